/*
 * catalog/sequence.c - sequences: the catalogue holds what they are, the store where they stand.
 */
#include "catalog/catalog_priv.h"
#include "storage/store.h"

static struct lk_sequence_spec
spec_of(const struct luma_cat_object *sequence)
{
    return (struct lk_sequence_spec){.start = sequence->seq_start,
                                     .increment = sequence->seq_increment,
                                     .min = sequence->seq_min,
                                     .max = sequence->seq_max,
                                     .cycle = sequence->seq_cycle};
}

luma_rc
lki_catalog_sequence_next(struct luma_ctx *ctx, struct luma_txn *txn,
                          const struct luma_cat_object *sequence, uint32_t count,
                          int64_t *out_first, uint32_t *out_count)
{
    struct lk_sequence_spec spec = spec_of(sequence);
    return lk_store_sequence_next(ctx, txn, sequence->id, &spec, count, out_first, out_count);
}

luma_rc
lki_catalog_sequence_set(struct luma_ctx *ctx, struct luma_txn *txn,
                         const struct luma_cat_object *sequence, int64_t value, bool is_called)
{
    if (value < sequence->seq_min || value > sequence->seq_max)
        return LUMA_FAIL_SQL(ctx, LUMA_E_RANGE, "22003",
                             "setval: value %lld is out of bounds for sequence \"%s\" (%lld..%lld)",
                             (long long)value, sequence->name, (long long)sequence->seq_min,
                             (long long)sequence->seq_max);
    return lk_store_sequence_set(ctx, txn, sequence->id, value, is_called);
}

bool
lki_catalog_sequence_last(const struct luma_cat_object *sequence, int64_t *out_last)
{
    return lk_store_sequence_peek(lk_store_current(), sequence->id, out_last);
}

/* Ids of objects come from a sequence that no catalogue object describes. */
uint64_t
lki_catalog_next_id(struct luma_ctx *ctx, struct luma_txn *txn)
{
    static const struct lk_sequence_spec spec = {
        .start = LUMA_CAT_ID_USER_FIRST, .increment = 1, .min = 1, .max = UINT32_MAX};
    int64_t id = 0;
    uint32_t count = 0;
    luma_rc rc = lk_store_sequence_next(ctx, txn, LK_CATALOG_SEQUENCE_ID, &spec, 1, &id, &count);
    return rc == LUMA_OK ? (uint64_t)id : 0;
}
