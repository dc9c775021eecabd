/*
 * txn/age.h - snapshots that grow too old (conf.snapshot_age_ns): their statements end with an
 * error, and what only they could see is kept no longer.
 *
 * The background work looks at every transaction now and then. It may take a snapshot away while
 * nobody reads with it: `uses` counts calls of the transaction that look at rows, and open scans
 * and cursors are in its list of readers. Who enters such a call finds the mark.
 */
#ifndef LK_TXN_AGE_H
#define LK_TXN_AGE_H

#include "txn/txn_priv.h"

#define LKI_USES_EXPIRED 0x80000000u /* the slot holds nothing any more */

static inline bool
lki_snapshot_is_old(const struct luma_txn *txn)
{
    uint32_t old = atomic_load_explicit(&txn->old_serial, memory_order_relaxed);
    return LUMA_UNLIKELY(old != 0) &&
           old == atomic_load_explicit(&txn->snap_serial, memory_order_relaxed);
}

/* 72000: snapshot too old. */
LUMA_NODISCARD luma_rc lki_snapshot_old(struct luma_ctx *ctx);

/* Around calls that look at rows. An error: there is no end. */
LUMA_NODISCARD luma_rc lki_use_begin(struct luma_ctx *ctx, struct luma_txn *txn);
static inline void
lki_use_end(struct luma_txn *txn)
{
    if (txn->store->conf.snapshot_age_ns != 0)
        (void)atomic_fetch_sub_explicit(&txn->uses, 1, memory_order_release);
}

/* Around the taking of a snapshot: whatever the one before has come to. */
void lki_renew_begin(struct luma_txn *txn);
void lki_renew_end(struct luma_txn *txn);

/* The host table's functions, as uses. */
luma_rc lki_use_scan_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                          const struct luma_scan_spec *spec, struct luma_scan **out_scan);
luma_rc lki_use_fetch(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                      const int64_t *rowids, uint32_t count, const uint32_t *cols,
                      uint32_t cols_count, bool newest, struct luma_arena *arena,
                      struct luma_batch *out, int32_t *out_found);
luma_rc lki_use_get(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                    uint64_t index_id, const struct luma_value *key, uint32_t key_count,
                    const uint32_t *cols, uint32_t cols_count, struct luma_arena *arena,
                    struct luma_value *out_values, int64_t *out_rowid);
luma_rc lki_use_probe(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                      uint64_t index_id, const struct luma_vec *keys, uint32_t key_count,
                      uint32_t keys_rows, const uint32_t *cols, uint32_t cols_count, bool rowids,
                      struct luma_arena *arena, struct luma_batch *out, uint32_t *out_key_index,
                      uint64_t *inout_state);
luma_rc lki_use_index_scan(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                           uint64_t index_id, const struct luma_key_range *range,
                           const struct luma_scan_spec *spec, struct luma_cursor **out_cursor);
luma_rc lki_use_insert(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                       const struct luma_batch *batch, const struct luma_insert_opts *opts,
                       int64_t *out_rowids, int64_t *out_conflicts);
luma_rc lki_use_lock(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                     const int64_t *rowids, uint32_t count, enum luma_lock_mode mode,
                     enum luma_lock_wait wait, enum luma_lock_result *results);
luma_rc lki_use_update(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                       const int64_t *rowids, uint32_t count, const uint32_t *col_ids,
                       const struct luma_batch *batch);
luma_rc lki_use_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                       const int64_t *rowids, uint32_t count);

/* Background work. */
void lki_snapshots_age(struct lk_store *store);

#endif
