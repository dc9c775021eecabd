/*
 * op_sort.c - ORDER BY, with or without LIMIT. Each part sorts a run of its own; the runs are
 * merged as they are read. With a limit a part keeps no more than a few times that many rows and
 * turns away what cannot be among them.
 */
#include "explain.h"
#include "scan.h"
#include "sort.h"

#define TOP_SLACK  4096
#define LIMIT_TIES (-2) /* go on while rows equal the last one */

struct op_sort {
    struct op op;
    struct rowlay lay;
    uint32_t keys_count;
    struct xp_key *keys;
    struct xp *limit, *offset;
    bool with_ties;
};

struct sort_state {
    uint32_t parts;
    struct sort_run *runs;
    int64_t limit, offset; /* limit < 0: none */
    uint64_t keep;         /* rows each part must keep; 0: all */
    struct sort_item last;
    struct luma_batch batch;
    struct sort_disk disk;
    struct sort_merge *merge; /* some run went to disk: all did */
    struct luma_str last_key; /* the same as last, of a merge; in last_room */
    char *last_room;
    uint32_t last_bytes;
};

static luma_rc
truncate_run(struct luma_ctx *ctx, const struct op_sort *op, struct sort_run *run, uint64_t keep)
{
    LUMA_TRY(eng_sort_items(ctx, &op->lay, run->items, run->count));
    if (run->count > keep)
        run->count = keep;
    return LUMA_OK;
}

static luma_rc
run_ready(struct part *p, const struct op_sort *op, struct sort_run *run)
{
    if (run->rows.lay != NULL)
        return LUMA_OK;
    if (run->budget == NULL)
        run->budget = eng.mem->budget_create(p->x->budget, "sort", 0);
    if (run->budget != NULL && run->arena == NULL)
        run->arena = eng.mem->arena_create(run->budget, 32u << 10);
    ENG_NEED(p->ctx, run->arena, "a sort");
    eng_rows_init(&run->rows, &op->lay, run->arena);
    return LUMA_OK;
}

/* What the run holds, and what it takes more when so many rows come. */
static size_t
run_bytes(const struct sort_run *run, uint32_t rows)
{
    bool grows = run->count + rows > run->room;
    return eng.mem->used_bytes(run->budget) +
           (grows ? run->room * 2 * sizeof(struct sort_item) : 0);
}

/* With a limit the rows beyond it are worth nothing: only what is left then goes to disk. */
static luma_rc
make_room(struct part *p, const struct op_sort *op, struct sort_state *st, struct sort_run *run)
{
    if (st->keep > 0)
        LUMA_TRY(truncate_run(p->ctx, op, run, st->keep));
    return eng_sort_spill(p, &op->op, &op->lay, &st->disk, run);
}

bool
eng_sort_bound(struct part *p, const struct op *sort, uint32_t col, struct luma_value *out)
{
    const struct op_sort *op = (const struct op_sort *)sort;
    const struct sort_state *st = p->x->op_state[sort->id];
    if (st == NULL || st->runs == NULL || st->keep == 0 || p->index >= st->parts ||
        !st->runs[p->index].cut)
        return false;
    const struct sort_run *run = &st->runs[p->index];
    const uint8_t *row = run->items[st->keep - 1].row;
    struct luma_vec vec;
    eng_row_vec(&op->lay, row, col, &vec);
    memset(out, 0, sizeof(*out));
    out->is_null = ROW_NULL(&op->lay, row, col);
    out->i64 = eng_vec_int(&vec, 0);
    return true;
}

static luma_rc
sort_sink(struct part *p, void *arg, struct luma_batch *in)
{
    const struct op_sort *op = arg;
    struct sort_state *st = p->x->op_state[op->op.id];
    struct sort_run *run = &st->runs[p->index];
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    LUMA_TRY(run_ready(p, op, run));
    if (eng_spill_due(p->x, run_bytes(run, in->sel_rows) * st->parts))
        LUMA_TRY(make_room(p, op, st, run));
    struct luma_vec *keys = luma_arena_alloc(arena, sizeof(*keys) * (op->keys_count + 1));
    ENG_NEED(p->ctx, keys, "a sort");
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(&e, op->keys[i].xp, in, in->sel, in->sel_rows, &keys[i]));
    if (st->keep > 0 && run->count > (run->cut ? 2 * st->keep + TOP_SLACK : st->keep)) {
        LUMA_TRY(truncate_run(p->ctx, op, run, st->keep));
        run->cut = true;
    }
    /* The last row of the last cut: whatever is not before it is not wanted. */
    const struct sort_item *threshold = run->cut ? &run->items[st->keep - 1] : NULL;
    return eng_sort_append(&e, run, run->budget, in->cols, keys, op->keys, op->keys_count, in->sel,
                           in->sel_rows, in->rows, threshold);
}

static luma_rc
sort_done(struct part *p, void *arg)
{
    const struct op_sort *op = arg;
    struct sort_state *st = p->x->op_state[op->op.id];
    struct sort_run *run = &st->runs[p->index];
    if (st->keep > 0)
        return truncate_run(p->ctx, op, run, st->keep);
    return eng_sort_items(p->ctx, &op->lay, run->items, run->count);
}

static void
run_free(struct exec *x, struct sort_run *run)
{
    eng_sort_run_fini(run, run->budget);
    eng.mem->arena_destroy(run->arena);
    run->arena = NULL;
    run->rows.lay = NULL;
    run->rows.first = run->rows.last = NULL;
    if (run->budget != NULL)
        eng.mem->budget_destroy(run->budget);
    run->budget = NULL;
    (void)x;
}

static luma_rc
sort_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_sort *op = (const struct op_sort *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct sort_state), &mem));
    struct sort_state *st = mem;
    LUMA_TRY(eng_limit_values(x, ctx, op->limit, op->offset, &st->limit, &st->offset));
    if (st->limit >= 0 && !op->with_ties && st->limit + st->offset < INT32_MAX)
        st->keep = (uint64_t)(st->limit + st->offset);
    if (st->limit == 0)
        return LUMA_OK;
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    st->parts = eng_parts_for(x, base->child[0]);
    st->runs = LUMA_NEW_ARRAY(x->arena, struct sort_run, st->parts);
    ENG_NEED(ctx, st->runs, "a sort");
    LUMA_TRY(
        eng_run(x, ctx, base->child[0], st->parts, sort_sink, sort_done, (void *)(uintptr_t)op));
    eng_release(x, base->child[0]);
    if (st->disk.count == 0)
        return LUMA_OK;
    struct part *p = eng_part(x, 0, ctx);
    for (uint32_t i = 0; i < st->parts; i++) {
        struct sort_run *run = &st->runs[i];
        uint32_t serial = run->serial;
        if (run->count > 0)
            LUMA_TRY(eng_sort_spill(p, base, &op->lay, &st->disk, run));
        if (run->serial > serial)
            st->disk.runs[st->disk.count - 1].part = i;
        run_free(x, run);
    }
    return eng_sort_merge_begin(p, base, &st->disk, &st->merge);
}

/* The least of the runs' heads. */
static bool
pop(const struct op_sort *op, struct sort_state *st, struct sort_item *out)
{
    struct sort_run *best = NULL;
    for (uint32_t i = 0; i < st->parts; i++) {
        struct sort_run *run = &st->runs[i];
        if (run->at < run->count &&
            (best == NULL ||
             eng_sort_compare(&op->lay, &run->items[run->at], &best->items[best->at]) < 0))
            best = run;
    }
    if (best == NULL)
        return false;
    *out = best->items[best->at++];
    return true;
}

/* Remembers the key of the last row of a batch: rows equal to it may still be wanted. */
static luma_rc
keep_last(struct part *p, struct sort_state *st, const struct luma_str *key)
{
    if (key->bytes > st->last_bytes) {
        st->last_bytes = key->bytes * 2;
        st->last_room = luma_arena_alloc_aligned(p->arena, st->last_bytes, 1);
        ENG_NEED(p->ctx, st->last_room, "a sort");
    }
    memcpy(st->last_room == NULL ? (char *)&st->last_key : st->last_room, luma_str_data(key),
           key->bytes);
    st->last_key = luma_str_make(st->last_room, key->bytes);
    return LUMA_OK;
}

/* Rows of the batch that are wanted: behind the offset, within the limit, or equal to its last. */
static luma_rc
limit_batch(struct part *p, const struct op_sort *op, struct sort_state *st,
            struct luma_batch *batch, uint16_t *sel)
{
    const struct luma_str *keys = batch->cols[batch->cols_count].data;
    uint32_t skip = st->offset < batch->rows ? (uint32_t)st->offset : batch->rows, n = 0;
    st->offset -= skip;
    for (uint32_t i = skip; i < batch->rows && st->limit != 0; i++) {
        if (st->limit == LIMIT_TIES && !luma_str_equal(&keys[i], &st->last_key)) {
            st->limit = 0;
            break;
        }
        sel[n++] = (uint16_t)i;
        if (st->limit <= 0 || --st->limit > 0)
            continue;
        if (op->with_ties) {
            st->limit = LIMIT_TIES;
            LUMA_TRY(keep_last(p, st, &keys[i]));
        }
    }
    batch->sel = sel;
    batch->sel_rows = n;
    return LUMA_OK;
}

static luma_rc
next_merged(struct part *p, const struct op_sort *op, struct sort_state *st,
            struct luma_batch **out)
{
    while (st->limit != 0) {
        struct luma_arena *arena;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        LUMA_TRY(eng.sched->yield(p->ctx));
        struct xenv e = eng_env(p, arena);
        uint16_t *sel = luma_arena_alloc(arena, sizeof(uint16_t) * (LUMA_BATCH_ROWS + 8));
        ENG_NEED(p->ctx, sel, "a sort");
        LUMA_TRY(eng_sort_merge_next(&e, st->merge, LUMA_BATCH_ROWS, &st->batch));
        if (st->batch.rows == 0)
            return LUMA_OK;
        LUMA_TRY(limit_batch(p, op, st, &st->batch, sel));
        if (st->batch.sel_rows == 0)
            continue;
        if (st->batch.sel_rows == st->batch.rows)
            st->batch.sel = NULL;
        *out = &st->batch;
        return LUMA_OK;
    }
    return LUMA_OK;
}

static luma_rc
sort_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_sort *op = (const struct op_sort *)base;
    struct sort_state *st = p->x->op_state[base->id];
    uint8_t *rows[LUMA_BATCH_ROWS];
    uint32_t n = 0;
    struct sort_item item;
    if (p->index > 0 || st->runs == NULL)
        return LUMA_OK;
    if (st->merge != NULL)
        return next_merged(p, op, st, out);
    while (st->offset > 0 && pop(op, st, &item))
        if (--st->offset % 4096 == 0)
            LUMA_TRY(eng.sched->yield(p->ctx));
    while (n < LUMA_BATCH_ROWS && st->limit != 0) {
        if (!pop(op, st, &item)) {
            st->limit = 0;
            break;
        }
        if (st->limit == LIMIT_TIES && eng_sort_compare(&op->lay, &item, &st->last) != 0) {
            st->limit = 0;
            break;
        }
        rows[n++] = item.row;
        st->last = item;
        if (st->limit > 0 && --st->limit == 0 && op->with_ties)
            st->limit = LIMIT_TIES;
    }
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, cols, "a sort");
    for (uint32_t c = 0; c < base->cols_count; c++)
        LUMA_TRY(eng_rows_gather(&e, &op->lay, c, rows, NULL, n, n, &cols[c]));
    st->batch =
        (struct luma_batch){.rows = n, .sel_rows = n, .cols_count = base->cols_count, .cols = cols};
    *out = &st->batch;
    return LUMA_OK;
}

static void
sort_release(struct exec *x, const struct op *base)
{
    struct sort_state *st = x->op_state[base->id];
    for (uint32_t i = 0; st->runs != NULL && i < st->parts; i++)
        run_free(x, &st->runs[i]);
    eng_sort_merge_close(st->merge);
    st->merge = NULL;
    st->limit = 0;
    eng_sort_disk_free(x, &st->disk);
}

static void
sort_close(struct exec *x, const struct op *base)
{
    struct sort_state *st = x->op_state[base->id];
    sort_release(x, base);
    eng_spill_close(x, &st->disk.spill);
}

static void
sort_explain(struct explain *ex, const struct op *base)
{
    const struct op_sort *op = (const struct op_sort *)base;
    eng_explain_keys(ex, "Sort Key", base->rel->sort, base->rel->sort_count);
    if (op->limit != NULL)
        eng_explain_text(ex, "Sort Method", "top-N");
    const struct exec *x = eng_explain_exec(ex);
    const struct sort_state *st = x == NULL ? NULL : x->op_state[base->id];
    if (st != NULL)
        eng_explain_spill(ex, &st->disk.spill);
}

static const struct op_class sort_class = {
    .name = "Sort",
    .open = sort_open,
    .next = sort_next,
    .close = sort_close,
    .release = sort_release,
    .explain = sort_explain,
};

static const struct op_class top_class = {
    .name = "Top-N Sort",
    .open = sort_open,
    .next = sort_next,
    .close = sort_close,
    .release = sort_release,
    .explain = sort_explain,
};

#define ROWS_UNKNOWN 100 /* of a limit that is a parameter */

static double
rows_wanted(const struct ex *ex, double unknown)
{
    if (ex == NULL)
        return 0;
    return ex->kind == LUMA_EXPR_CONST && !ex->value.is_null ? (double)ex->value.i64 : unknown;
}

/* The table's scan is told what order the first few rows are wanted in. */
static void
ask_for_order(const struct rel *sort, const struct rel *limit)
{
    struct rel *rel = sort->child[0];
    if (limit == NULL || limit->limit == NULL || limit->with_ties)
        return;
    while (rel->kind == REL_FILTER || rel->kind == REL_PROJECT) {
        rel = rel->child[0];
        if (rel == NULL)
            return;
    }
    if (rel->kind != REL_SCAN)
        return;
    rel->order = sort;
    rel->order_rows =
        rows_wanted(limit->limit, ROWS_UNKNOWN) + rows_wanted(limit->offset, ROWS_UNKNOWN);
}

static bool
comes_ordered(const struct op *op)
{
    while (op->child[0] != NULL)
        op = op->child[0];
    return op->cls == &eng_scan_class && ((const struct op_scan *)op)->index_ordered;
}

struct op *
eng_phys_sort(struct phys *ph, struct rel *rel, const struct bits *need, struct rel *limit)
{
    struct prep *pp = ph->pp;
    struct bits below = eng_bits_copy(pp, need);
    for (uint32_t i = 0; i < rel->sort_count; i++)
        eng_ex_vars(pp, rel->sort[i].expr, &below);
    ask_for_order(rel, limit);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    if (limit != NULL && comes_ordered(child))
        return eng_limit_op(ph, limit, child);
    struct op_sort *op = eng_op_new(ph, limit == NULL ? &sort_class : &top_class, sizeof(*op), rel,
                                    child->vars, child->cols_count);
    struct comp c = eng_comp(ph, child), none = eng_comp(ph, NULL);
    op->op.child[0] = child;
    op->keys_count = rel->sort_count;
    op->keys = PP_ARRAY(pp, struct xp_key, rel->sort_count);
    for (uint32_t i = 0; i < rel->sort_count; i++)
        op->keys[i] = (struct xp_key){eng_compile(&c, rel->sort[i].expr), rel->sort[i].desc,
                                      rel->sort[i].nulls_first};
    if (limit != NULL) {
        op->limit = limit->limit == NULL ? NULL : eng_compile(&none, limit->limit);
        op->offset = limit->offset == NULL ? NULL : eng_compile(&none, limit->offset);
        op->with_ties = limit->with_ties;
        if (!op->with_ties)
            eng_scan_take_top(pp, child, &op->op, &rel->sort[0]);
        op->op.rows_est = eng_rows(pp, limit);
    }
    if (eng_rowlay_init(pp->arena, op->op.types, op->op.cols_count, sizeof(struct sort_tail),
                        &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}
