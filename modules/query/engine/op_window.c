/*
 * op_window.c - window functions: the rows are kept, sorted once for each different window, and
 * every function walks the partitions of its window. What does not fit goes to disk
 * (window_spill.c, window_sort.c).
 */
#include "explain.h"
#include "window.h"

void
eng_window_rows_empty(struct window_state *st, const struct rowlay *lay)
{
    eng_sort_run_fini(&st->run, st->budget);
    st->at = 0;
    st->arena->reset(st->arena);
    eng_rows_init(&st->run.rows, lay, st->arena);
}

/* Memory is short: one way or the other, rows go to disk from now on. */
static luma_rc
relieve(struct part *p, const struct op_window *op, struct window_state *st)
{
    if (st->disk != NULL || st->sorting || !eng_window_spill_due(p->x, op, st))
        return LUMA_OK;
    return op->can_divide ? eng_window_spill_begin(p, op, st) : eng_window_sort_begin(p, op, st);
}

static luma_rc
window_sink(struct part *p, void *arg, struct luma_batch *in)
{
    const struct op_window *op = arg;
    struct window_state *st = p->x->op_state[op->op.id];
    const struct luma_value none = {
        .type = luma_type(LUMA_TYPE_INT8), .phys = LUMA_PHYS_I64, .i64 = 0};
    struct luma_arena *arena;
    LUMA_TRY(relieve(p, op, st));
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    const struct rowlay *lay = &op->sorts[0].lay;
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (lay->cols + 1));
    ENG_NEED(p->ctx, cols, "a window function");
    if (op->child_cols > 0)
        memcpy(cols, in->cols, sizeof(*cols) * op->child_cols);
    for (uint32_t i = 0; i < op->extra_count; i++)
        LUMA_TRY(eng_eval(&e, op->extra[i], in, in->sel, in->sel_rows, &cols[op->child_cols + i]));
    eng_vec_of_value(&cols[op->kept], &none);
    if (st->disk != NULL)
        return eng_window_spill_append(&e, op, st, cols, in);
    if (st->sorting)
        return eng_window_sort_append(&e, op, st, cols, in);
    return eng_sort_append(&e, &st->run, st->budget, cols, NULL, NULL, 0, in->sel, in->sel_rows,
                           in->rows, NULL);
}

/* The key of one row, and in its row the bytes of it that are the partition's. */
static luma_rc
write_key(struct luma_ctx *ctx, struct window_state *st, const struct win_sort *ws,
          const struct op_window *op, const struct luma_vec *keys, uint32_t k,
          struct sort_item *item)
{
    const struct rowlay *lay = &op->sorts[0].lay; /* in memory rows have that, whatever the sort */
    struct sort_tail *tail = SORT_TAIL(lay, item->row);
    int64_t *part_bytes = (int64_t *)(void *)(item->row + lay->off[op->kept]);
    size_t bytes = 0, at = 0;
    for (uint32_t i = 0; i < ws->keys_count; i++)
        bytes += eng.data->key_bound(&keys[i], k);
    uint8_t *key = luma_arena_alloc_aligned(st->arena, bytes + 8, 1);
    ENG_NEED(ctx, key, "a window function");
    memset(key, 0, 8);
    *part_bytes = 0;
    for (uint32_t i = 0; i < ws->keys_count; i++) {
        uint32_t flags = (ws->keys[i].desc ? LUMA_KEY_DESC : 0u) |
                         (ws->keys[i].nulls_first ? LUMA_KEY_NULLS_FIRST : 0u);
        at += eng.data->key_write(&keys[i], k, flags, key + at);
        if (i + 1 == ws->partition_count)
            *part_bytes = (int64_t)at;
    }
    uint8_t first8[8] = {0};
    uint64_t prefix;
    memcpy(first8, key, at < 8 ? at : 8);
    memcpy(&prefix, first8, 8);
    tail->key = key;
    tail->bytes = (uint32_t)at;
    item->prefix = __builtin_bswap64(prefix);
    return LUMA_OK;
}

luma_rc
eng_window_keys(struct part *p, const struct op_window *op, struct window_state *st,
                const struct win_sort *ws)
{
    const struct rowlay *lay = &op->sorts[0].lay;
    uint64_t count = st->run.count;
    struct luma_vec *cols = luma_arena_alloc(st->arena, sizeof(*cols) * (lay->cols + 1));
    struct luma_vec *keys = luma_arena_alloc(st->arena, sizeof(*keys) * (ws->keys_count + 1));
    if (cols == NULL || keys == NULL)
        return ENG_NOMEM(p->ctx, "a window function");
    uint8_t *rows[LUMA_BATCH_ROWS];
    for (uint64_t first = 0; first < count; first += LUMA_BATCH_ROWS) {
        uint32_t n = (uint32_t)(count - first < LUMA_BATCH_ROWS ? count - first : LUMA_BATCH_ROWS);
        struct luma_arena *arena;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        LUMA_TRY(eng.sched->yield(p->ctx));
        struct xenv e = eng_env(p, arena);
        for (uint32_t k = 0; k < n; k++)
            rows[k] = st->run.items[first + k].row;
        for (uint32_t c = 0; c < op->child_cols; c++)
            LUMA_TRY(eng_rows_gather(&e, lay, c, rows, NULL, n, n, &cols[c]));
        struct luma_batch in = {
            .rows = n, .sel_rows = n, .cols = cols, .cols_count = op->child_cols};
        for (uint32_t i = 0; i < ws->keys_count; i++)
            LUMA_TRY(eng_eval(&e, ws->keys[i].xp, &in, NULL, n, &keys[i]));
        for (uint32_t k = 0; k < n; k++)
            LUMA_TRY(write_key(p->ctx, st, ws, op, keys, k, &st->run.items[first + k]));
    }
    return LUMA_OK;
}

static bool
same_partition(const struct op_window *op, const struct sort_item *a, const struct sort_item *b)
{
    const struct rowlay *lay = &op->sorts[0].lay;
    const struct sort_tail *ta = SORT_TAIL(lay, a->row), *tb = SORT_TAIL(lay, b->row);
    const int64_t *na = (const int64_t *)(const void *)(a->row + lay->off[op->kept]);
    const int64_t *nb = (const int64_t *)(const void *)(b->row + lay->off[op->kept]);
    return *na == *nb && memcmp(ta->key, tb->key, (size_t)*na) == 0;
}

/* Where the partition that begins at wp->first ends, and where its peer groups begin. */
static luma_rc
find_groups(struct luma_ctx *ctx, const struct op_window *op, uint64_t count, uint64_t *group_rows,
            struct win_part *wp)
{
    const struct sort_item *items = wp->items;
    uint64_t at = wp->first, groups = 0;
    do {
        if (at == wp->first || eng_sort_compare(wp->lay, &items[at - 1], &items[at]) != 0)
            group_rows[groups++] = at;
        if ((++at & 0xfff) == 0)
            LUMA_TRY(eng.sched->yield(ctx));
    } while (at < count && same_partition(op, &items[wp->first], &items[at]));
    wp->last = at;
    wp->groups = 0;
    wp->groups_end = groups;
    return LUMA_OK;
}

static luma_rc
compute_part(struct part *p, const struct op_window *op, struct window_state *st, uint32_t which,
             struct win_run *runs, struct win_part *wp)
{
    struct xenv e = eng_env(p, st->arena);
    for (uint32_t f = 0; f < op->funcs_count; f++)
        if (op->funcs[f].sort == which)
            eng_window_run_begin(&op->funcs[f], wp, &runs[f]);
    LUMA_TRY(eng_window_first(&e, wp));
    while (wp->at < wp->last) {
        uint32_t seq = SORT_TAIL(wp->lay, wp->items[wp->at].row)->seq;
        for (uint32_t f = 0; f < op->funcs_count; f++)
            if (op->funcs[f].sort == which)
                LUMA_TRY(eng_window_value(&e, &op->funcs[f], wp, &runs[f], &st->results[f][seq]));
        LUMA_TRY(eng_window_step(&e, wp));
    }
    return LUMA_OK;
}

static void
sort_runs_fini(struct exec *x, struct window_state *st)
{
    for (uint32_t f = 0; f < st->runs_count; f++)
        eng_window_run_fini(x, &st->runs_of[f]);
    st->runs_count = 0;
}

static luma_rc
run_sort(struct part *p, const struct op_window *op, struct window_state *st, uint32_t which)
{
    uint64_t count = st->run.count;
    struct win_part wp = {.op = &op->op, .lay = &op->sorts[0].lay, .items = st->run.items};
    LUMA_TRY(eng_window_keys(p, op, st, &op->sorts[which]));
    LUMA_TRY(eng_sort_items(p->ctx, wp.lay, wp.items, count));
    uint64_t *group_rows = luma_arena_alloc(st->arena, sizeof(*group_rows) * (count + 1));
    struct win_run *runs = LUMA_NEW_ARRAY(st->arena, struct win_run, op->funcs_count + 1);
    if (group_rows == NULL || runs == NULL)
        return ENG_NOMEM(p->ctx, "a window function");
    wp.group_rows = group_rows;
    st->runs_of = runs;
    st->runs_count = op->funcs_count;
    for (uint32_t f = 0; f < op->funcs_count; f++)
        if (op->funcs[f].sort == which)
            LUMA_TRY(eng_window_run_init(p, st->arena, &op->funcs[f], &runs[f]));
    for (; wp.first < count; wp.first = wp.last) {
        LUMA_TRY(find_groups(p->ctx, op, count, group_rows, &wp));
        LUMA_TRY(compute_part(p, op, st, which, runs, &wp));
        LUMA_TRY(eng.sched->yield(p->ctx));
    }
    sort_runs_fini(p->x, st);
    return LUMA_OK;
}

luma_rc
eng_window_compute(struct part *p, const struct op_window *op, struct window_state *st)
{
    /* seq numbers rows from 1 on: results are found by it */
    for (uint64_t i = 0; i < st->run.count; i++)
        SORT_TAIL(&op->sorts[0].lay, st->run.items[i].row)->seq = (uint32_t)i;
    st->at = 0;
    st->results = LUMA_NEW_ARRAY(st->arena, struct luma_value *, op->funcs_count + 1);
    ENG_NEED(p->ctx, st->results, "a window function");
    for (uint32_t f = 0; f < op->funcs_count; f++) {
        st->results[f] = LUMA_NEW_ARRAY(st->arena, struct luma_value, st->run.count + 1);
        ENG_NEED(p->ctx, st->results[f], "a window function");
    }
    for (uint32_t s = 0; s < op->sorts_count; s++)
        LUMA_TRY(run_sort(p, op, st, s));
    return LUMA_OK;
}

static luma_rc
window_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_window *op = (const struct op_window *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct window_state), &mem));
    struct window_state *st = mem;
    struct part *p = eng_part(x, 0, ctx);
    st->budget = eng.mem->budget_create(x->budget, "window", 0);
    if (st->budget != NULL)
        st->arena = eng.mem->arena_create(st->budget, 32u << 10);
    ENG_NEED(ctx, st->arena, "a window function");
    st->run.budget = st->budget;
    st->run.arena = st->arena;
    eng_rows_init(&st->run.rows, &op->sorts[0].lay, st->arena);
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    LUMA_TRY(eng_run(x, ctx, base->child[0], 1, window_sink, NULL, (void *)(uintptr_t)op));
    eng_release(x, base->child[0]);
    if (st->disk != NULL)
        return eng_window_spill_list(p, st);
    if (st->sorting)
        return eng_window_sort_end(p, op, st);
    return eng_window_compute(p, op, st);
}

luma_rc
eng_window_column(struct xenv *e, const struct win_func *f, const struct luma_value *const *values,
                  uint32_t n, struct luma_vec *out)
{
    const struct luma_value *model = NULL;
    bool same = true;
    for (uint32_t k = 0; k < n; k++) {
        const struct luma_value *v = values[k];
        if (v->is_null)
            continue;
        same = same && (model == NULL || (model->phys == v->phys && model->scale == v->scale));
        model = v;
    }
    if (model == NULL) {
        eng_vec_null(out, f->type);
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_room(e, f->type, same ? model->phys : (uint32_t)LUMA_PHYS_STR, n, out));
    LUMA_TRY(eng_vec_bits(e, n, true, &out->valid));
    out->scale = model->scale;
    uint32_t bytes = luma_phys_bytes(out->phys);
    for (uint32_t k = 0; k < n; k++) {
        const struct luma_value *v = values[k];
        struct luma_vec one;
        if (v->is_null) {
            luma_bit_clear(out->valid, k);
            memset((uint8_t *)out->data + (size_t)k * bytes, 0, bytes);
            continue;
        }
        eng_vec_of_value(&one, v);
        if (one.phys != out->phys)
            LUMA_TRY(eng_vec_table_form(e, luma_type(LUMA_TYPE_NUMERIC), &one, NULL, 1, 1, &one));
        memcpy((uint8_t *)out->data + (size_t)k * bytes, one.data, bytes);
    }
    return LUMA_OK;
}

/* Rows in memory: columns from the rows, results by their numbers. */
static luma_rc
rows_out(struct xenv *e, const struct op_window *op, const struct window_state *st,
         uint8_t *const *rows, uint32_t n, struct luma_vec *cols)
{
    const struct luma_value *values[LUMA_BATCH_ROWS];
    const struct rowlay *lay = &op->sorts[0].lay;
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        uint32_t from = op->out_from[i];
        if (from < op->kept) {
            LUMA_TRY(eng_rows_gather(e, lay, from, rows, NULL, n, n, &cols[i]));
            continue;
        }
        for (uint32_t k = 0; k < n; k++)
            values[k] = &st->results[from - op->kept][SORT_TAIL(lay, rows[k])->seq];
        LUMA_TRY(eng_window_column(e, &op->funcs[from - op->kept], values, n, &cols[i]));
    }
    return LUMA_OK;
}

static luma_rc
next_in_memory(struct part *p, const struct op_window *op, struct window_state *st,
               struct luma_batch **out)
{
    uint8_t *rows[LUMA_BATCH_ROWS];
    uint32_t n = 0;
    while (n < LUMA_BATCH_ROWS && st->at < st->run.count)
        rows[n++] = st->run.items[st->at++].row;
    if (n == 0)
        return LUMA_OK;
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (op->op.cols_count + 1));
    ENG_NEED(p->ctx, cols, "a window function");
    LUMA_TRY(rows_out(&e, op, st, rows, n, cols));
    st->batch = (struct luma_batch){
        .rows = n, .sel_rows = n, .cols_count = op->op.cols_count, .cols = cols};
    *out = &st->batch;
    return LUMA_OK;
}

static luma_rc
next_on_disk(struct part *p, const struct op_window *op, struct window_state *st,
             struct luma_batch **out)
{
    struct luma_batch *in;
    LUMA_TRY(eng_window_sort_next(p, op, st, &in));
    if (in == NULL)
        return LUMA_OK;
    struct luma_vec *cols =
        luma_arena_alloc(p->batch[op->op.id], sizeof(*cols) * (op->op.cols_count + 1));
    ENG_NEED(p->ctx, cols, "a window function");
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        uint32_t from = op->out_from[i];
        cols[i] = in->cols[from < op->kept ? from : op->funcs[from - op->kept].col];
    }
    st->batch = *in;
    st->batch.cols = cols;
    st->batch.cols_count = op->op.cols_count;
    *out = &st->batch;
    return LUMA_OK;
}

static luma_rc
window_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_window *op = (const struct op_window *)base;
    struct window_state *st = p->x->op_state[base->id];
    if (p->index > 0)
        return LUMA_OK;
    if (st->sorted != NULL) {
        LUMA_TRY(next_on_disk(p, op, st, out));
        if (*out != NULL)
            return LUMA_OK;
    }
    if (st->disk != NULL && st->at == st->run.count)
        LUMA_TRY(eng_window_spill_next(p, op, st));
    return st->sorted != NULL ? next_on_disk(p, op, st, out) : next_in_memory(p, op, st, out);
}

static void
window_release(struct exec *x, const struct op *base)
{
    struct window_state *st = x->op_state[base->id];
    if (st->budget == NULL)
        return;
    sort_runs_fini(x, st);
    eng_window_sort_free(x, st);
    eng_window_spill_free(st);
    eng_sort_run_fini(&st->run, st->budget);
    eng.mem->arena_destroy(st->arena);
    eng.mem->budget_destroy(st->budget);
    st->arena = NULL;
    st->budget = NULL;
}

static void
window_close(struct exec *x, const struct op *base)
{
    struct window_state *st = x->op_state[base->id];
    window_release(x, base);
    eng_spill_close(x, &st->spill);
}

static void
window_explain(struct explain *ex, const struct op *base)
{
    const struct exec *x = eng_explain_exec(ex);
    const struct window_state *st = x == NULL ? NULL : x->op_state[base->id];
    if (st != NULL)
        eng_explain_spill(ex, &st->spill);
}

static const struct op_class window_class = {
    .name = "WindowAgg",
    .open = window_open,
    .next = window_next,
    .close = window_close,
    .release = window_release,
    .explain = window_explain,
};

/* --- building --- */

struct win_build {
    struct phys *ph;
    struct op_window *op;
    struct comp comp;
    uint32_t room;
};

static uint32_t
add_extra(struct win_build *b, const struct ex *ex)
{
    b->op->extra[b->op->extra_count] = eng_compile(&b->comp, ex);
    return b->op->child_cols + b->op->extra_count++;
}

static bool
same_window(const struct ex_window *a, const struct ex_window *b)
{
    if (a->partition_count != b->partition_count || a->order_count != b->order_count)
        return false;
    for (uint32_t i = 0; i < a->partition_count; i++)
        if (!eng_ex_equal(a->partition[i], b->partition[i]))
            return false;
    for (uint32_t i = 0; i < a->order_count; i++)
        if (!eng_ex_equal(a->order[i].expr, b->order[i].expr) ||
            a->order[i].desc != b->order[i].desc ||
            a->order[i].nulls_first != b->order[i].nulls_first)
            return false;
    return true;
}

static uint32_t
sort_for(struct win_build *b, const struct ex_window *w)
{
    struct op_window *op = b->op;
    for (uint32_t s = 0; s < op->sorts_count; s++)
        if (same_window(op->sorts[s].window, w))
            return s;
    struct win_sort *ws = &op->sorts[op->sorts_count];
    ws->window = w;
    ws->partition_count = w->partition_count;
    ws->keys = PP_ARRAY(b->ph->pp, struct xp_key, w->partition_count + w->order_count);
    for (uint32_t i = 0; i < w->partition_count; i++)
        ws->keys[ws->keys_count++] =
            (struct xp_key){eng_compile(&b->comp, w->partition[i]), false, false};
    for (uint32_t i = 0; i < w->order_count; i++)
        ws->keys[ws->keys_count++] = (struct xp_key){eng_compile(&b->comp, w->order[i].expr),
                                                     w->order[i].desc, w->order[i].nulls_first};
    return op->sorts_count++;
}

static enum win_kind
kind_of(const struct luma_func *func)
{
    static const struct {
        const char *name;
        enum win_kind kind;
    } names[] = {
        {"row_number", WIN_ROW_NUMBER},
        {"rank", WIN_RANK},
        {"dense_rank", WIN_DENSE_RANK},
        {"percent_rank", WIN_PERCENT_RANK},
        {"cume_dist", WIN_CUME_DIST},
        {"ntile", WIN_NTILE},
        {"lag", WIN_LAG},
        {"lead", WIN_LEAD},
        {"first_value", WIN_FIRST_VALUE},
        {"last_value", WIN_LAST_VALUE},
        {"nth_value", WIN_NTH_VALUE},
    };
    for (uint32_t i = 0; i < LUMA_COUNTOF(names) && func->aggregate == NULL; i++)
        if (strcmp(func->name, names[i].name) == 0)
            return names[i].kind;
    return WIN_AGG;
}

static void
build_func(struct win_build *b, const struct ex *ex, struct win_func *f)
{
    struct prep *pp = b->ph->pp;
    const struct ex_window *w = ex->window;
    f->kind = kind_of(ex->func);
    f->type = ex->type;
    f->sort = sort_for(b, w);
    f->mode = w->mode;
    f->start = w->start;
    f->end = w->end;
    f->exclude = w->exclude;
    f->has_order = w->order_count > 0;
    f->start_off = f->end_off = f->filter = f->order_col = UINT32_MAX;
    f->args_count = ex->args_count < 4 ? ex->args_count : 4;
    for (uint32_t i = 0; i < f->args_count; i++)
        f->args[i] = add_extra(b, ex->args[i]);
    if (ex->filter != NULL)
        f->filter = add_extra(b, ex->filter);
    if (w->start_offset != NULL)
        f->start_off = add_extra(b, w->start_offset);
    if (w->end_offset != NULL)
        f->end_off = add_extra(b, w->end_offset);
    if (w->mode == LUMA_FRAME_RANGE && (w->start_offset != NULL || w->end_offset != NULL)) {
        const struct ex *offsets[] = {w->start_offset, w->end_offset};
        for (uint32_t i = 0; i < LUMA_COUNTOF(offsets); i++)
            if (offsets[i] != NULL &&
                (w->order_count != 1 ||
                 !eng_window_range_fits(w->order[0].expr->type, offsets[i]->type)))
                eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: RANGE offset"));
        f->order_col = add_extra(b, w->order[0].expr);
        f->order_desc = w->order[0].desc;
    }
    if (f->kind != WIN_AGG)
        return;
    if (ex->func->aggregate == NULL && eng_agg_kind(ex) == AGG_FUNC)
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_UNSUPPORTED, "%s is not a window function",
                                   ex->func->name));
    struct luma_type types[LUMA_FUNC_ARGS_MAX];
    const struct luma_value *consts[LUMA_FUNC_ARGS_MAX] = {NULL};
    f->agg.kind = eng_agg_kind(ex);
    f->agg.func = ex->func;
    f->agg.type = ex->type;
    f->agg.args_count = f->args_count;
    f->agg.same_as = UINT32_MAX;
    f->agg.bytes = eng_agg_bytes(f->agg.kind, ex->func);
    for (uint32_t i = 0; i < f->args_count; i++)
        types[i] = ex->args[i]->type;
    eng_bind(pp, ex->func, types, consts, f->args_count, ex->type, &f->agg.bound);
}

/* Rows of one partition stay together when they are divided by what all windows partition by. */
static void
plan_division(struct win_build *b)
{
    struct op_window *op = b->op;
    const struct ex_window *first = op->sorts[0].window;
    op->can_divide = first->partition_count > 0;
    for (uint32_t s = 1; s < op->sorts_count; s++) {
        const struct ex_window *w = op->sorts[s].window;
        op->can_divide = op->can_divide && w->partition_count == first->partition_count;
        for (uint32_t i = 0; op->can_divide && i < w->partition_count; i++)
            op->can_divide = eng_ex_equal(w->partition[i], first->partition[i]);
    }
    struct luma_type *types = PP_ARRAY(b->ph->pp, struct luma_type, first->partition_count + 1);
    for (uint32_t i = 0; i < first->partition_count; i++) {
        types[i] = first->partition[i]->type;
        op->can_divide = op->can_divide && !eng_ex_volatile(first->partition[i]);
    }
    if (eng_rowlay_init(b->ph->pp->arena, types, first->partition_count, 0, &op->part_lay) !=
        LUMA_OK)
        eng_pp_throw(b->ph->pp, ENG_NOMEM(b->ph->pp->ctx, "planning"));
}

/* Results of a sort's functions stand behind what the sort before has made of a row. */
static void
plan_layouts(struct prep *pp, struct op_window *op)
{
    const struct op *child = op->op.child[0];
    uint32_t cols = op->kept;
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, cols + 1 + op->funcs_count);
    for (uint32_t i = 0; i < cols; i++)
        types[i] = i < op->child_cols ? child->types[i] : op->extra[i - op->child_cols]->type;
    types[cols++] = luma_type(LUMA_TYPE_INT8);
    for (uint32_t s = 0; s < op->sorts_count; s++) {
        if (eng_rowlay_init(pp->arena, types, cols, sizeof(struct sort_tail), &op->sorts[s].lay) !=
            LUMA_OK)
            eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
        for (uint32_t f = 0; f < op->funcs_count; f++) {
            if (op->funcs[f].sort != s)
                continue;
            op->funcs[f].col = cols;
            types[cols++] = op->funcs[f].type;
        }
    }
}

static void
need_window(struct prep *pp, struct bits *need, const struct rel *rel)
{
    eng_need_exs(pp, need, rel->aggs, rel->aggs_count);
}

struct op *
eng_phys_window(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits below = eng_bits_copy(pp, need);
    need_window(pp, &below, rel);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    uint32_t count, plain = rel->outs_count - rel->aggs_count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op_window *op = eng_op_new(ph, &window_class, sizeof(*op), rel, vars, count);
    op->op.child[0] = child;
    op->child_cols = child->cols_count;
    op->funcs_count = rel->aggs_count;
    op->funcs = PP_ARRAY(pp, struct win_func, rel->aggs_count);
    op->sorts = PP_ARRAY(pp, struct win_sort, rel->aggs_count);
    op->extra = PP_ARRAY(pp, struct xp *, rel->aggs_count * 8);
    struct win_build b = {.ph = ph, .op = op, .comp = eng_comp(ph, child)};
    for (uint32_t i = 0; i < rel->aggs_count; i++)
        build_func(&b, rel->aggs[i], &op->funcs[i]);
    plan_division(&b);
    uint32_t kept = op->kept = op->child_cols + op->extra_count;
    plan_layouts(pp, op);
    op->out_from = PP_ARRAY(pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        op->out_from[i] = UINT32_MAX;
        for (uint32_t f = 0; f < rel->aggs_count; f++)
            if (rel->outs[plain + f] == vars[i])
                op->out_from[i] = kept + f;
        if (op->out_from[i] == UINT32_MAX)
            op->out_from[i] = eng_op_pos(pp, child, vars[i]);
    }
    return &op->op;
}
