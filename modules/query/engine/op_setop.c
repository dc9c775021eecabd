/* op_setop.c - UNION, INTERSECT, EXCEPT, DISTINCT. */
#include "agg.h"
#include "explain.h"

/* --- UNION ALL: one side after the other --- */

struct op_append {
    struct op op;
    uint32_t *pos[2]; /* side's column of each output column */
};

struct append_state {
    uint32_t parts[2];
};

struct append_part {
    uint32_t side;
    struct batch_view view;
};

static luma_rc
append_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct append_state), &mem));
    struct append_state *st = mem;
    for (uint32_t side = 0; side < 2; side++) {
        LUMA_TRY(eng_open(x, ctx, base->child[side]));
        st->parts[side] = eng_parts(x, base->child[side]);
    }
    return LUMA_OK;
}

static uint32_t
append_parts(struct exec *x, const struct op *base)
{
    const struct append_state *st = x->op_state[base->id];
    return st->parts[0] > st->parts[1] ? st->parts[0] : st->parts[1];
}

static void
append_start(struct exec *x, const struct op *base, uint32_t parts)
{
    struct append_state *st = x->op_state[base->id];
    for (uint32_t side = 0; side < 2; side++) {
        st->parts[side] = st->parts[side] < parts ? st->parts[side] : parts;
        eng_start(x, base->child[side], st->parts[side]);
    }
}

static luma_rc
append_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_append *op = (const struct op_append *)base;
    const struct append_state *st = p->x->op_state[base->id];
    struct append_part *part;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*part), &mem));
    part = mem;
    for (; part->side < 2; part->side++) {
        struct luma_batch *in = NULL;
        if (p->index < st->parts[part->side])
            LUMA_TRY(eng_next(p, base->child[part->side], &in));
        if (in == NULL)
            continue;
        return eng_batch_view(p, base, &part->view, in, op->pos[part->side], NULL, out);
    }
    return LUMA_OK;
}

static const struct op_class append_class = {
    .name = "Append",
    .open = append_open,
    .parts = append_parts,
    .start = append_start,
    .next = append_next,
};

static uint32_t *
side_positions(struct phys *ph, const struct rel *rel, const struct rel *side, const struct op *op,
               const uint32_t *vars, uint32_t count)
{
    uint32_t *pos = PP_ARRAY(ph->pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (rel->outs[k] != vars[i])
            k++;
        pos[i] = eng_op_pos(ph->pp, op, side->outs[k]);
    }
    return pos;
}

static struct op *
phys_append(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    uint32_t count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op *sides[2];
    uint32_t *pos[2];
    for (uint32_t side = 0; side < 2; side++) {
        struct rel *child = rel->child[side];
        struct bits below = {0, NULL};
        for (uint32_t i = 0; i < rel->outs_count; i++)
            if (eng_bits_has(need, rel->outs[i]))
                eng_bits_add(pp, &below, child->outs[i]);
        sides[side] = eng_phys(ph, child, &below);
        pos[side] = side_positions(ph, rel, child, sides[side], vars, count);
    }
    struct op_append *op = eng_op_new(ph, &append_class, sizeof(*op), rel, vars, count);
    for (uint32_t side = 0; side < 2; side++) {
        op->op.child[side] = sides[side];
        op->pos[side] = pos[side];
    }
    return &op->op;
}

/* --- DISTINCT as grouping --- */

static struct rel *
as_group(struct prep *pp, struct rel *child)
{
    struct rel *agg = eng_rel_new(pp, REL_AGG, child);
    agg->exprs_count = child->outs_count;
    agg->exprs = PP_ARRAY(pp, struct ex *, child->outs_count);
    for (uint32_t i = 0; i < child->outs_count; i++)
        agg->exprs[i] = eng_ex_col(pp, child->outs[i]);
    return agg;
}

/*
 * --- INTERSECT, EXCEPT: both sides, the right one's rows marked, are grouped by all columns; how
 * often a group has come from each says how often it goes on. Memory, parallel parts and files are
 * those of the grouping. ---
 */

struct op_setop {
    struct op op;
    enum luma_setop what;
    bool all;
    uint32_t *pos;                 /* group's column of each output column */
    uint32_t both_pos, marked_pos; /* its counts: rows of both sides, those of the right one */
};

struct setop_part {
    struct luma_batch *in;
    uint32_t at;    /* group of in, counted in its selection */
    int64_t repeat; /* how often it still comes; 0: not looked at yet */
    struct luma_batch batch;
};

static luma_rc
setop_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    return eng_open(x, ctx, base->child[0]);
}

static uint32_t
setop_parts(struct exec *x, const struct op *base)
{
    return eng_parts(x, base->child[0]);
}

static void
setop_start(struct exec *x, const struct op *base, uint32_t parts)
{
    eng_start(x, base->child[0], parts);
}

static int64_t
setop_times(const struct op_setop *op, const struct luma_batch *in, uint32_t row)
{
    int64_t right = eng_vec_int(&in->cols[op->marked_pos], row);
    int64_t left = eng_vec_int(&in->cols[op->both_pos], row) - right;
    bool intersect = op->what == LUMA_SETOP_INTERSECT;
    if (!op->all)
        return left > 0 && (right > 0) == intersect;
    int64_t times = intersect ? (left < right ? left : right) : left - right;
    return times < 0 ? 0 : times;
}

/* Rows to give next, of this batch of groups only: the next one takes its place. */
static uint32_t
setop_rows(const struct op_setop *op, struct setop_part *sp, uint32_t *rows)
{
    uint32_t n = 0;
    while (n < LUMA_BATCH_ROWS && sp->at < sp->in->sel_rows) {
        uint32_t row = luma_batch_row(sp->in, sp->at);
        if (sp->repeat == 0)
            sp->repeat = setop_times(op, sp->in, row);
        uint32_t room = LUMA_BATCH_ROWS - n;
        uint32_t more = sp->repeat < room ? (uint32_t)sp->repeat : room;
        for (uint32_t k = 0; k < more; k++)
            rows[n++] = row;
        sp->repeat -= more;
        sp->at += sp->repeat == 0;
    }
    return n;
}

static luma_rc
setop_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_setop *op = (const struct op_setop *)base;
    uint32_t rows[LUMA_BATCH_ROWS], n = 0;
    struct setop_part *sp;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*sp), &mem));
    sp = mem;
    while (n == 0) {
        if (sp->in == NULL || sp->at == sp->in->sel_rows) {
            LUMA_TRY(eng_next(p, base->child[0], &sp->in));
            sp->at = 0;
            if (sp->in == NULL)
                return LUMA_OK;
        }
        n = setop_rows(op, sp, rows);
    }
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, cols, base->cls->name);
    for (uint32_t i = 0; i < base->cols_count; i++)
        LUMA_TRY(eng_vec_gather(&e, &sp->in->cols[op->pos[i]], rows, n, &cols[i]));
    sp->batch =
        (struct luma_batch){.rows = n, .sel_rows = n, .cols_count = base->cols_count, .cols = cols};
    *out = &sp->batch;
    return LUMA_OK;
}

static void
setop_explain(struct explain *ex, const struct op *base)
{
    static const char *const names[2][2] = {{"Intersect", "Intersect All"},
                                            {"Except", "Except All"}};
    const struct op_setop *op = (const struct op_setop *)base;
    eng_explain_text(ex, "Command", names[op->what == LUMA_SETOP_EXCEPT][op->all]);
}

static const struct op_class setop_class = {
    .name = "SetOp",
    .open = setop_open,
    .parts = setop_parts,
    .start = setop_start,
    .next = setop_next,
    .explain = setop_explain,
};

/* A side with a column more, which is null on the left. */
static struct rel *
marked_side(struct prep *pp, struct rel *side, bool right)
{
    uint32_t cols = side->outs_count;
    struct rel *project = eng_rel_new(pp, REL_PROJECT, side);
    struct ex *mark = eng_ex_new(pp, LUMA_EXPR_CONST, luma_type(LUMA_TYPE_INT4));
    mark->value = (struct luma_value){
        .type = mark->type, .phys = LUMA_PHYS_I32, .is_null = !right, .i32 = right};
    project->outs = PP_ARRAY(pp, uint32_t, cols + 1);
    project->outs_count = project->exprs_count = cols + 1;
    project->exprs = PP_ARRAY(pp, struct ex *, cols + 1);
    for (uint32_t i = 0; i < cols; i++) {
        project->outs[i] = side->outs[i];
        project->exprs[i] = eng_ex_col(pp, side->outs[i]);
    }
    project->outs[cols] = eng_var_new(pp, mark->type, project);
    project->exprs[cols] = mark;
    return project;
}

/* UNION ALL of the marked sides. */
static struct rel *
marked_sides(struct prep *pp, const struct rel *rel)
{
    uint32_t cols = rel->outs_count;
    struct rel *both = eng_rel_new(pp, REL_SETOP, NULL);
    both->setop = LUMA_SETOP_UNION;
    both->all = true;
    both->outs = PP_ARRAY(pp, uint32_t, cols + 1);
    both->outs_count = cols + 1;
    for (uint32_t i = 0; i < cols; i++)
        both->outs[i] = rel->outs[i];
    both->outs[cols] = eng_var_new(pp, luma_type(LUMA_TYPE_INT4), both);
    for (uint32_t side = 0; side < 2; side++)
        both->child[side] = marked_side(pp, rel->child[side], side == 1);
    return both;
}

static struct rel *
counted_groups(struct prep *pp, const struct rel *rel)
{
    static const struct luma_func count = {
        .name = "count", .flags = LUMA_FUNC_AGGREGATE, .op = LUMA_OP_COUNT};
    uint32_t cols = rel->outs_count;
    struct rel *both = marked_sides(pp, rel), *agg = eng_rel_new(pp, REL_AGG, both);
    agg->exprs_count = cols;
    agg->exprs = PP_ARRAY(pp, struct ex *, cols);
    agg->aggs_count = 2;
    agg->aggs = PP_ARRAY(pp, struct ex *, 2);
    agg->outs_count = cols + 2;
    agg->outs = PP_ARRAY(pp, uint32_t, cols + 2);
    for (uint32_t i = 0; i < cols; i++) {
        agg->exprs[i] = eng_ex_col(pp, rel->outs[i]);
        agg->outs[i] = rel->outs[i];
    }
    struct ex *mark = eng_ex_col(pp, both->outs[cols]);
    for (uint32_t i = 0; i < 2; i++) {
        struct ex *ex = eng_ex_new(pp, LUMA_EXPR_AGG, luma_type(LUMA_TYPE_INT8));
        ex->func = &count;
        ex->args_count = i; /* of all rows, of the marked ones */
        ex->args = PP_ARRAY(pp, struct ex *, 1);
        ex->args[0] = mark;
        agg->aggs[i] = ex;
        agg->outs[cols + i] = eng_var_new(pp, ex->type, agg);
    }
    return agg;
}

static struct op *
phys_counted(struct phys *ph, struct rel *rel)
{
    struct prep *pp = ph->pp;
    struct bits all = {0, NULL};
    struct rel *agg = counted_groups(pp, rel);
    eng_rel_outs(pp, agg, &all);
    struct op *child = eng_phys_agg(ph, agg, &all);
    struct op_setop *op =
        eng_op_new(ph, &setop_class, sizeof(*op), rel, rel->outs, rel->outs_count);
    op->op.child[0] = child;
    op->what = rel->setop;
    op->all = rel->all;
    op->pos = PP_ARRAY(pp, uint32_t, rel->outs_count);
    for (uint32_t i = 0; i < rel->outs_count; i++)
        op->pos[i] = eng_op_pos(pp, child, rel->outs[i]);
    op->both_pos = eng_op_pos(pp, child, agg->outs[rel->outs_count]);
    op->marked_pos = eng_op_pos(pp, child, agg->outs[rel->outs_count + 1]);
    return &op->op;
}

struct op *
eng_phys_setop(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    if (rel->setop == LUMA_SETOP_UNION && rel->all)
        return phys_append(ph, rel, need);
    if (rel->setop == LUMA_SETOP_UNION) {
        rel->all = true; /* below, duplicates come through; the grouping above takes them out */
        struct bits all = {0, NULL};
        eng_rel_outs(pp, rel, &all);
        return eng_phys_agg(ph, as_group(pp, rel), &all);
    }
    return phys_counted(ph, rel);
}

/* --- DISTINCT ON: the first row of each group, in the child's order --- */

#define FORGET_GROUPS 8192

struct op_first {
    struct op op;
    struct rowlay lay;
    uint32_t *pos;
    bool together; /* rows of a group come one after the other */
};

struct first_state {
    struct agg_table table;
    struct luma_arena *arena; /* of its rows */
    struct luma_batch batch;
};

static luma_rc
first_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_first *op = (const struct op_first *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct first_state), &mem));
    struct first_state *st = mem;
    st->arena = eng.mem->arena_create(x->budget, (size_t)32 << 10);
    if (st->arena == NULL || eng_table_init(&st->table, &op->lay, st->arena, x->budget) != LUMA_OK)
        return ENG_NOMEM(ctx, "DISTINCT ON");
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    eng_start(x, base->child[0], 1);
    return LUMA_OK;
}

/* Groups that come together do not come again: only that of the last row is remembered. */
static luma_rc
forget_groups(struct xenv *e, const struct op_first *op, struct first_state *st,
              const struct luma_batch *in)
{
    uint16_t last = (uint16_t)luma_batch_row(in, in->sel_rows - 1), *sel;
    struct luma_batch one = *in;
    uint32_t n;
    if (!op->together || st->table.rows.count < FORGET_GROUPS)
        return LUMA_OK;
    eng_table_fini(&st->table);
    st->arena->reset(st->arena);
    if (eng_table_init(&st->table, &op->lay, st->arena, e->x->budget) != LUMA_OK)
        return ENG_NOMEM(e->ctx, "DISTINCT ON");
    one.sel = &last;
    one.sel_rows = 1;
    return eng_table_fresh(e, &st->table, &one, op->pos, &sel, &n);
}

static luma_rc
first_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_first *op = (const struct op_first *)base;
    struct first_state *st = p->x->op_state[base->id];
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            return LUMA_OK;
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        uint16_t *sel;
        uint32_t n;
        LUMA_TRY(eng_table_fresh(&e, &st->table, in, op->pos, &sel, &n));
        LUMA_TRY(forget_groups(&e, op, st, in));
        if (n == 0)
            continue;
        st->batch = *in;
        st->batch.sel = sel;
        st->batch.sel_rows = n;
        *out = &st->batch;
        return LUMA_OK;
    }
}

static void
first_close(struct exec *x, const struct op *base)
{
    struct first_state *st = x->op_state[base->id];
    eng_table_fini(&st->table);
    eng.mem->arena_destroy(st->arena);
    st->arena = NULL;
}

static const struct op_class first_class = {
    .name = "Unique",
    .open = first_open,
    .next = first_next,
    .close = first_close,
};

/* Is the child sorted by these columns first, in whatever order of theirs? */
static bool
sorted_by(struct prep *pp, const struct rel *sort, const uint32_t *vars, uint32_t count)
{
    struct bits wanted = {0, NULL}, have = {0, NULL};
    while (sort->kind == REL_PROJECT && sort->child[0] != NULL)
        sort = sort->child[0]; /* bare columns keep their variables, rows their order */
    if (sort->kind != REL_SORT || sort->sort_count < count)
        return false;
    eng_bits_add_all(pp, &wanted, vars, count);
    for (uint32_t i = 0; i < count; i++)
        if (sort->sort[i].expr->kind == LUMA_EXPR_COL)
            eng_bits_add(pp, &have, (uint32_t)sort->sort[i].expr->index);
    return eng_bits_within(&wanted, &have) && eng_bits_within(&have, &wanted);
}

struct op *
eng_phys_distinct(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    bool sorted = rel->child[0]->kind == REL_SORT;
    if (rel->distinct_count == 0 && !sorted) {
        struct bits all = {0, NULL};
        eng_rel_outs(pp, rel, &all);
        struct rel *group = as_group(pp, rel->child[0]);
        group->outs = rel->outs;
        group->outs_count = group->exprs_count = rel->outs_count;
        for (uint32_t i = 0; i < rel->outs_count; i++)
            group->exprs[i] = eng_ex_col(pp, rel->outs[i]);
        return eng_phys_agg(ph, group, &all);
    }
    uint32_t keys = rel->distinct_count == 0 ? rel->outs_count : rel->distinct_count;
    struct bits below = eng_bits_copy(pp, need);
    eng_bits_add_all(pp, &below, rel->outs, keys);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    struct op_first *op =
        eng_op_new(ph, &first_class, sizeof(*op), rel, child->vars, child->cols_count);
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, keys);
    op->op.child[0] = child;
    op->together = sorted_by(pp, rel->child[0], rel->outs, keys);
    op->pos = PP_ARRAY(pp, uint32_t, keys);
    for (uint32_t i = 0; i < keys; i++) {
        op->pos[i] = eng_op_pos(pp, child, rel->outs[i]);
        types[i] = child->types[op->pos[i]];
    }
    if (eng_rowlay_init(pp->arena, types, keys, 0, &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}
