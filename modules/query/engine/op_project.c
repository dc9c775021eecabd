/*
 * op_project.c - the expressions of a select list.
 *
 * A function may make a long text of nearly nothing. Where expressions make texts, a batch is taken
 * in slices: few rows at first, then as many as their texts let fit.
 */
#include "explain.h"
#include "phys.h"
#include "spill.h"

#define SLICE_FIRST  16u
#define SLICE_GROWTH 8u
#define SLICE_SHARE  16 /* of what a part may take: the texts of a slice */
#define SLICE_LEAST  ((size_t)64 << 10)
#define SLICE_MOST   ((size_t)4 << 20)

struct op_project {
    struct op op;
    struct xp **exprs; /* per column */
    bool makes_text;
    bool *is_text; /* per column: made here, and as long as it likes */
};

struct project_part {
    struct luma_batch batch, *in;
    struct luma_vec *cols;
    uint32_t at, slice; /* in the selection of in; how many rows next */
    uint16_t *rows;     /* 0, 1, ..: the selection of a batch without one */
};

static luma_rc
project_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    return op->child[0] == NULL ? LUMA_OK : eng_open(x, ctx, op->child[0]);
}

static uint32_t
project_parts(struct exec *x, const struct op *op)
{
    return op->child[0] == NULL ? 1 : eng_parts(x, op->child[0]);
}

static void
project_start(struct exec *x, const struct op *op, uint32_t parts)
{
    if (op->child[0] != NULL)
        eng_start(x, op->child[0], parts);
}

/* The selection of the rows from `at` on. */
static luma_rc
slice_rows(struct part *p, struct project_part *st, uint16_t **out_sel)
{
    if (st->in->sel != NULL) {
        *out_sel = st->in->sel + st->at;
        return LUMA_OK;
    }
    if (st->rows == NULL) {
        st->rows = luma_arena_alloc(p->arena, sizeof(*st->rows) * LUMA_BATCH_ROWS);
        ENG_NEED(p->ctx, st->rows, "a projection");
        for (uint32_t i = 0; i < LUMA_BATCH_ROWS; i++)
            st->rows[i] = (uint16_t)i;
    }
    *out_sel = st->rows + st->at;
    return LUMA_OK;
}

/* How many rows' texts are as much as a slice should hold. */
static void
next_slice(struct part *p, const struct op_project *op, struct project_part *st)
{
    size_t bytes = 0, most = eng_spill_share(p->x, p->x->parts_max) / SLICE_SHARE;
    uint32_t n = st->batch.sel_rows;
    most = most < SLICE_LEAST ? SLICE_LEAST : most > SLICE_MOST ? SLICE_MOST : most;
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        if (op->is_text[i])
            bytes += eng_vec_bytes(&st->cols[i], st->batch.sel, n);
    size_t rows = most / (bytes / n + 1) + 1;
    if (rows > (size_t)n * SLICE_GROWTH)
        rows = (size_t)n * SLICE_GROWTH;
    st->slice = rows > LUMA_BATCH_ROWS ? LUMA_BATCH_ROWS : (uint32_t)rows;
}

static luma_rc
project_rows(struct part *p, const struct op_project *op, struct project_part *st)
{
    uint32_t left = st->in->sel_rows - st->at;
    uint32_t n = op->makes_text && st->slice < left ? st->slice : left;
    uint16_t *sel = st->in->sel;
    struct luma_arena *arena;
    if (n < st->in->sel_rows)
        LUMA_TRY(slice_rows(p, st, &sel));
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        LUMA_TRY(eng_eval(&e, op->exprs[i], st->in, sel, n, &st->cols[i]));
        st->cols[i].type = op->op.types[i];
    }
    st->batch = *st->in;
    st->batch.sel = sel;
    st->batch.sel_rows = n;
    st->batch.cols = st->cols;
    st->batch.cols_count = op->op.cols_count;
    st->at += n;
    if (op->makes_text && n > 0)
        next_slice(p, op, st);
    return LUMA_OK;
}

static luma_rc
project_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    static struct luma_batch one = {.rows = 1, .sel_rows = 1};
    const struct op_project *op = (const struct op_project *)base;
    struct project_part *st;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*st), &mem));
    st = mem;
    if (st->in == NULL || st->at == st->in->sel_rows) {
        if (base->child[0] == NULL && (st->in != NULL || p->index > 0))
            return LUMA_OK; /* the one row was given */
        st->in = &one;
        st->at = 0;
        if (base->child[0] != NULL)
            LUMA_TRY(eng_next(p, base->child[0], &st->in));
        if (st->in == NULL)
            return LUMA_OK;
    }
    if (st->cols == NULL) {
        st->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, base->cols_count + 1);
        ENG_NEED(p->ctx, st->cols, "a projection");
        st->slice = SLICE_FIRST;
    }
    LUMA_TRY(project_rows(p, op, st));
    *out = &st->batch;
    return LUMA_OK;
}

static void
project_explain(struct explain *ex, const struct op *op)
{
    if (op->rel != NULL && op->rel->kind == REL_PROJECT)
        eng_explain_exprs(ex, "Output", op->rel->exprs, op->rel->exprs_count);
}

static const struct op_class project_class = {
    .name = "Project",
    .open = project_open,
    .parts = project_parts,
    .start = project_start,
    .next = project_next,
    .explain = project_explain,
};

static const struct op_class result_class = {
    .name = "Result",
    .open = project_open,
    .parts = project_parts,
    .start = project_start,
    .next = project_next,
    .explain = project_explain,
};

struct op *
eng_phys_project(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    uint32_t count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct ex **exprs = PP_ARRAY(pp, struct ex *, count);
    struct bits below = {0, NULL};
    bool passes = true;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < rel->exprs_count; k++)
            if (rel->outs[k] == vars[i] && exprs[i] == NULL)
                exprs[i] = rel->exprs[k];
        passes = passes && exprs[i]->kind == LUMA_EXPR_COL && (uint32_t)exprs[i]->index == vars[i];
    }
    eng_need_exs(pp, &below, exprs, count);
    struct op *child = rel->child[0] == NULL ? NULL : eng_phys(ph, rel->child[0], &below);
    if (passes && child != NULL)
        return child;
    struct comp c = eng_comp(ph, child);
    struct op_project *op = eng_op_new(ph, child == NULL ? &result_class : &project_class,
                                       sizeof(*op), rel, vars, count);
    op->op.child[0] = child;
    op->exprs = eng_compile_all(&c, exprs, count);
    op->is_text = PP_ARRAY(pp, bool, count);
    for (uint32_t i = 0; i < count; i++) {
        op->is_text[i] = luma_type_phys(op->op.types[i]) == LUMA_PHYS_STR &&
                         op->op.types[i].id != LUMA_TYPE_NUMERIC && op->exprs[i]->kind != XP_COL &&
                         !(op->exprs[i]->flags & XP_CONSTANT);
        op->makes_text = op->makes_text || op->is_text[i];
    }
    return &op->op;
}
