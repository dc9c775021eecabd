/*
 * scan_keys.c - rows of many keys of an index: id IN (1, 2, 3), id = ANY ($1), a = 1 OR a = 2.
 *
 * The keys are sorted and each is asked for once, so that no row comes twice; what other conditions
 * say is judged on the rows.
 */
#include <stdlib.h>

#include "scan.h"

luma_rc
eng_scan_in_values(struct xenv *e, const struct scan_pred *pred, struct luma_type col,
                   struct luma_value **out_values, uint32_t *out_count, bool *out_cannot)
{
    struct luma_value array;
    uint32_t count = pred->values_count, n = 0;
    bool from_array = pred->array;
    if (from_array) {
        LUMA_TRY(eng_eval_value(e, pred->values[0], &array));
        count = array.is_null ? 0 : eng.data->array_count(&array.str);
    }
    struct luma_value *values = luma_arena_alloc(e->arena, sizeof(*values) * (count + (size_t)1));
    ENG_NEED(e->ctx, values, "a scan");
    for (uint32_t i = 0; i < count && !*out_cannot; i++) {
        struct luma_value v;
        enum luma_pred_op got;
        if (from_array)
            LUMA_TRY(eng.data->array_get(&array.str, luma_type_elem(array.type), i, &v));
        else
            LUMA_TRY(eng_eval_value(e, pred->values[i], &v));
        enum pred_fit fit = eng_pred_fit(col, LUMA_PRED_EQ, &v, &got, &values[n]);
        *out_cannot = fit == PRED_CANNOT || fit == PRED_ALWAYS;
        n += fit == PRED_FITS ? 1 : 0;
    }
    *out_values = values;
    *out_count = n;
    return LUMA_OK;
}

static int
by_value(const void *a, const void *b)
{
    return eng.data->value_compare(a, b);
}

static uint32_t
sort_unique(struct luma_value *values, uint32_t count)
{
    uint32_t n = 0;
    qsort(values, count, sizeof(*values), by_value);
    for (uint32_t i = 0; i < count; i++)
        if (n == 0 || eng.data->value_compare(&values[n - 1], &values[i]) != 0)
            values[n++] = values[i];
    return n;
}

static void
store_value(struct luma_vec *vec, uint32_t row, const struct luma_value *value)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);
    memcpy((uint8_t *)vec->data + (size_t)row * size, &value->uuid, size);
}

luma_rc
eng_scan_keys_open(struct xenv *e, const struct op_scan *op, struct scan_keys *keys,
                   bool *out_never, bool *out_cannot)
{
    struct luma_value *list = NULL;
    uint32_t count = 1;
    if (op->in_at < op->eq_count) {
        LUMA_TRY(eng_scan_in_values(e, &op->eqs[op->in_at], op->key_types[op->in_at], &list, &count,
                                    out_cannot));
        count = *out_cannot ? 0 : sort_unique(list, count);
        *out_never = *out_never || count == 0;
    }
    keys->keys = luma_arena_alloc(e->arena, sizeof(*keys->keys) * (op->eq_count + 1));
    ENG_NEED(e->ctx, keys->keys, "a scan");
    for (uint32_t k = 0; k < op->eq_count && !*out_cannot && !*out_never; k++) {
        struct luma_value one;
        if (!luma_vec_init(&keys->keys[k], e->arena, op->key_types[k], count))
            return ENG_NOMEM(e->ctx, "a scan");
        if (k != op->in_at) {
            struct luma_value v;
            enum luma_pred_op got;
            LUMA_TRY(eng_eval_value(e, op->eqs[k].values[0], &v));
            enum pred_fit fit = eng_pred_fit(op->key_types[k], LUMA_PRED_EQ, &v, &got, &one);
            *out_never = *out_never || fit == PRED_NEVER;
            *out_cannot = *out_cannot || fit == PRED_CANNOT || fit == PRED_ALWAYS;
        }
        for (uint32_t i = 0; i < count && !*out_cannot && !*out_never; i++)
            store_value(&keys->keys[k], i, k == op->in_at ? &list[i] : &one);
    }
    keys->keys_rows = count;
    return LUMA_OK;
}

/* Is the predicate one of those that the key stands for? */
static bool
in_key(const struct op_scan *op, const struct scan_pred *pred)
{
    for (uint32_t i = 0; i < op->eq_count; i++)
        if (op->eqs[i].cond == pred->cond)
            return true;
    return false;
}

static luma_rc
judge_rest(struct xenv *e, const struct op_scan *op, struct luma_batch *batch)
{
    for (uint32_t i = 0; i < op->preds_count && batch->sel_rows > 0; i++)
        if (!op->preds[i].hint && !in_key(op, &op->preds[i]))
            LUMA_TRY(eng_filter_batch(e, op->preds[i].cond, batch));
    return LUMA_OK;
}

luma_rc
eng_scan_keys_next(struct part *p, const struct op_scan *op, struct luma_coll *coll,
                   struct scan_keys *keys, struct luma_batch **out)
{
    struct luma_arena *arena;
    *out = NULL;
    if (keys->cols == NULL) {
        keys->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->stored + 2);
        ENG_NEED(p->ctx, keys->cols, "a scan");
    }
    while (!keys->ended) {
        LUMA_TRY(eng_step_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        uint32_t *which = luma_arena_alloc(arena, sizeof(uint32_t) * LUMA_BATCH_ROWS);
        ENG_NEED(p->ctx, which, "a scan");
        memset(&keys->found, 0, sizeof(keys->found));
        LUMA_TRY(eng.store->probe(p->ctx, p->x->txn, coll, op->index_id, keys->keys, op->eq_count,
                                  keys->keys_rows, op->col_ids, op->stored, op->rowid, arena,
                                  &keys->found, which, &keys->state));
        if (keys->found.rows == 0) {
            keys->ended = true;
            return LUMA_OK;
        }
        keys->batch = keys->found;
        keys->batch.sel_rows = keys->found.rows;
        keys->batch.sel = NULL;
        keys->batch.cols = keys->cols;
        keys->batch.cols_count = op->stored + (op->rowid ? 1 : 0);
        if (op->stored > 0)
            memcpy(keys->cols, keys->found.cols, sizeof(*keys->cols) * op->stored);
        LUMA_TRY(eng_scan_fields(p->ctx, arena, op, keys->cols, keys->found.rows));
        if (op->rowid)
            eng_vec_int8(&keys->cols[op->stored], keys->found.rowids);
        LUMA_TRY(judge_rest(&e, op, &keys->batch));
        if (keys->batch.sel_rows > 0) {
            *out = &keys->batch;
            return LUMA_OK;
        }
        LUMA_TRY(eng.sched->yield(p->ctx));
    }
    return LUMA_OK;
}
