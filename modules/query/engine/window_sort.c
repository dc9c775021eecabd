/*
 * window_sort.c - window functions over rows that cannot be divided, one huge partition or windows
 * that partition differently: for each window the rows are sorted on disk and computed as they are
 * read in order; with their results they go into the next window's sort.
 */
#include "window.h"

/* How many bytes of each row's key are its partition's. */
static luma_rc
part_bytes(struct xenv *e, const struct win_sort *ws, const struct luma_vec *keys,
           const struct luma_batch *in, struct luma_vec *out)
{
    uint8_t *scratch = NULL;
    size_t room = 0;
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_INT8), LUMA_PHYS_I64, in->rows, out));
    int64_t *bytes = out->data;
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint32_t row = luma_batch_row(in, k);
        size_t need = 8, at = 0;
        for (uint32_t i = 0; i < ws->partition_count; i++)
            need += eng.data->key_bound(&keys[i], row);
        if (need > room) {
            room = need * 2;
            scratch = luma_arena_alloc_aligned(e->arena, room, 1);
            ENG_NEED(e->ctx, scratch, "a window function");
        }
        for (uint32_t i = 0; i < ws->partition_count; i++)
            at += eng.data->key_write(&keys[i], row, 0, scratch + at);
        bytes[row] = (int64_t)at;
    }
    return LUMA_OK;
}

static luma_rc
append_to(struct xenv *e, const struct op_window *op, struct window_state *st, uint32_t which,
          struct luma_vec *cols, const struct luma_batch *in)
{
    const struct win_sort *ws = &op->sorts[which];
    struct sort_run *run = &st->run;
    struct luma_batch below = *in;
    bool grows = run->count + in->sel_rows > run->room;
    size_t more = grows ? run->room * 2 * sizeof(struct sort_item) : 0;
    if (eng_spill_due(e->x, eng.mem->used_bytes(st->budget) + more))
        LUMA_TRY(eng_sort_spill(e->p, &op->op, &ws->lay, &st->runs, run));
    struct luma_vec *keys = luma_arena_alloc(e->arena, sizeof(*keys) * (ws->keys_count + 1));
    ENG_NEED(e->ctx, keys, "a window function");
    below.cols = cols;
    below.cols_count = op->child_cols;
    for (uint32_t i = 0; i < ws->keys_count; i++)
        LUMA_TRY(eng_eval(e, ws->keys[i].xp, &below, in->sel, in->sel_rows, &keys[i]));
    LUMA_TRY(part_bytes(e, ws, keys, in, &cols[op->kept]));
    return eng_sort_append(e, run, st->budget, cols, keys, ws->keys, ws->keys_count, in->sel,
                           in->sel_rows, in->rows, NULL);
}

luma_rc
eng_window_sort_begin(struct part *p, const struct op_window *op, struct window_state *st)
{
    const struct win_sort *ws = &op->sorts[0];
    st->sorting = true;
    if (st->run.count > 0) {
        LUMA_TRY(eng_window_keys(p, op, st, ws));
        LUMA_TRY(eng_sort_spill(p, &op->op, &ws->lay, &st->runs, &st->run));
    }
    eng_window_rows_empty(st, &ws->lay);
    return LUMA_OK;
}

luma_rc
eng_window_sort_append(struct xenv *e, const struct op_window *op, struct window_state *st,
                       struct luma_vec *cols, const struct luma_batch *in)
{
    return append_to(e, op, st, 0, cols, in);
}

static void
runs_free(struct exec *x, struct window_state *st)
{
    eng_sort_disk_free(x, &st->runs);
    st->runs.types = NULL; /* the next sort has columns of its own */
    eng_spill_close(x, &st->runs.spill);
    st->spill.gone += st->runs.spill.gone;
    st->runs.spill.gone = 0;
}

/* The rows of a sort in order, with the results of its functions, into the next one. */
static luma_rc
hand_on(struct part *p, const struct op_window *op, struct window_state *st, uint32_t next)
{
    eng_window_rows_empty(st, &op->sorts[next].lay);
    for (;;) {
        struct luma_batch *batch;
        LUMA_TRY(eng_window_sort_next(p, op, st, &batch));
        if (batch == NULL)
            return LUMA_OK;
        struct xenv e = eng_env(p, p->batch[op->op.id]);
        LUMA_TRY(append_to(&e, op, st, next, batch->cols, batch));
    }
}

luma_rc
eng_window_sort_end(struct part *p, const struct op_window *op, struct window_state *st)
{
    for (uint32_t which = 0; which < op->sorts_count; which++) {
        const struct rowlay *lay = &op->sorts[which].lay;
        if (which > 0)
            LUMA_TRY(hand_on(p, op, st, which));
        LUMA_TRY(eng_sort_spill(p, &op->op, lay, &st->runs, &st->run));
        eng_window_rows_empty(st, lay);
        LUMA_TRY(eng_window_disk_make(p, op, st, which, &st->sorted));
        runs_free(p->x, st);
    }
    st->sorting = false;
    return LUMA_OK;
}

luma_rc
eng_window_sort_next(struct part *p, const struct op_window *op, struct window_state *st,
                     struct luma_batch **out)
{
    LUMA_TRY(eng_window_disk_next(p, op, st->sorted, out));
    if (*out != NULL)
        return LUMA_OK;
    eng_window_disk_free(p->x, st, st->sorted);
    st->sorted = NULL;
    return LUMA_OK;
}

void
eng_window_sort_free(struct exec *x, struct window_state *st)
{
    if (st->sorted != NULL)
        eng_window_disk_free(x, st, st->sorted);
    st->sorted = NULL;
    runs_free(x, st);
}
