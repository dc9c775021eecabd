/*
 * txn/preds.c - predicates on decoded hot rows; segments evaluate theirs on encoded chunks.
 */
#include "txn/coll.h"

static bool
op_holds(enum luma_pred_op op, int c)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return c == 0;
    case LUMA_PRED_NE:
        return c != 0;
    case LUMA_PRED_LT:
        return c < 0;
    case LUMA_PRED_LE:
        return c <= 0;
    case LUMA_PRED_GT:
        return c > 0;
    case LUMA_PRED_GE:
        return c >= 0;
    default:
        return false;
    }
}

/* Signed integers whose order is that of their bits as they lie. */
static bool
is_plain(const struct luma_vec *vec, const struct luma_value *value)
{
    if (vec->form != LUMA_VEC_FLAT || vec->phys != value->phys || vec->scale != value->scale)
        return false;
    switch (vec->type.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_TIME:
        return true;
    case LUMA_TYPE_NUMERIC:
        return vec->phys == LUMA_PHYS_I64;
    default:
        return false;
    }
}

static int64_t
plain_at(const struct luma_vec *vec, uint32_t row)
{
    switch (vec->phys) {
    case LUMA_PHYS_I16:
        return ((const int16_t *)vec->data)[row];
    case LUMA_PHYS_I32:
        return ((const int32_t *)vec->data)[row];
    default:
        return ((const int64_t *)vec->data)[row];
    }
}

static int64_t
plain_value(const struct luma_value *value)
{
    return value->phys == LUMA_PHYS_I16   ? value->i16
           : value->phys == LUMA_PHYS_I32 ? value->i32
                                          : value->i64;
}

static uint32_t
compare_plain(const struct luma_pred *pred, const struct luma_vec *vec, uint16_t *sel, uint32_t n)
{
    int64_t bound = plain_value(&pred->values[0]);
    uint32_t kept = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint16_t row = sel[k];
        int64_t v = plain_at(vec, row);
        bool holds = op_holds(pred->op, (v > bound) - (v < bound));
        sel[kept] = row;
        kept += holds && !luma_vec_is_null(vec, row);
    }
    return kept;
}

static uint32_t
compare_any(const struct luma_pred *pred, const struct luma_vec *vec, uint16_t *sel, uint32_t n)
{
    uint32_t kept = 0, values = pred->op == LUMA_PRED_IN ? pred->values_count : 1;
    enum luma_pred_op op = pred->op == LUMA_PRED_IN ? LUMA_PRED_EQ : pred->op;
    for (uint32_t k = 0; k < n; k++) {
        uint16_t row = sel[k];
        bool holds = false;
        for (uint32_t i = 0; !holds && i < values && !luma_vec_is_null(vec, row); i++) {
            uint64_t valid;
            struct luma_vec one = lk_vec_of(&pred->values[i], &valid);
            holds = op_holds(op, lk_data_compare(vec, row, &one, 0));
        }
        sel[kept] = row;
        kept += holds;
    }
    return kept;
}

static uint32_t
compare_null(const struct luma_pred *pred, const struct luma_vec *vec, uint16_t *sel, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint16_t row = sel[k];
        sel[kept] = row;
        kept += luma_vec_is_null(vec, row) == (pred->op == LUMA_PRED_IS_NULL);
    }
    return kept;
}

static uint32_t
bloom(const struct luma_pred *pred, const struct luma_vec *vec, uint16_t *sel, uint32_t n)
{
    struct luma_pred_bloom filter;
    uint64_t hashes[LUMA_BATCH_ROWS];
    uint32_t kept = 0;
    memcpy(&filter, luma_str_data(&pred->values[0].str), sizeof(filter));
    lk_data_hash(vec, sel, n, false, hashes);
    for (uint32_t k = 0; k < n; k++) {
        uint16_t row = sel[k];
        bool holds = !luma_vec_is_null(vec, row) && luma_bloom_has(&filter, hashes[k]);
        sel[kept] = row;
        kept += holds;
    }
    return kept;
}

uint32_t
lki_preds_apply(const struct luma_scan_spec *spec, const struct luma_batch *batch, uint16_t *sel)
{
    uint32_t n = batch->rows;
    for (uint32_t k = 0; k < n; k++)
        sel[k] = (uint16_t)k;
    for (uint32_t i = 0; i < spec->preds_count && n > 0; i++) {
        const struct luma_pred *pred = &spec->preds[i];
        const struct luma_vec *vec = &batch->cols[pred->col];
        if (pred->op == LUMA_PRED_IS_NULL || pred->op == LUMA_PRED_NOT_NULL)
            n = compare_null(pred, vec, sel, n);
        else if (pred->op == LUMA_PRED_BLOOM)
            n = bloom(pred, vec, sel, n);
        else if (pred->op != LUMA_PRED_IN && is_plain(vec, &pred->values[0]))
            n = compare_plain(pred, vec, sel, n);
        else
            n = compare_any(pred, vec, sel, n);
    }
    return n;
}
