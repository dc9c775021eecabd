/*
 * txn/age.c - snapshots that grow too old.
 */
#include "txn/age.h"

#include "txn/coll.h"

luma_rc
lki_snapshot_old(struct luma_ctx *ctx)
{
    return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                         "snapshot too old: it is older than storage.max_snapshot_age");
}

/* --- uses --- */

luma_rc
lki_use_begin(struct luma_ctx *ctx, struct luma_txn *txn)
{
    if (txn->store->conf.snapshot_age_ns == 0)
        return LUMA_OK;
    /* Pairs with the exchange in snapshot_take_away: either it finds the use, or this the mark. */
    uint32_t uses = atomic_fetch_add_explicit(&txn->uses, 1, memory_order_acq_rel);
    if (LUMA_LIKELY((uses & LKI_USES_EXPIRED) == 0 && !lki_snapshot_is_old(txn)))
        return LUMA_OK;
    lki_use_end(txn);
    return lki_snapshot_old(ctx);
}

void
lki_renew_begin(struct luma_txn *txn)
{
    if (txn->store->conf.snapshot_age_ns == 0)
        return;
    uint32_t uses = atomic_fetch_add_explicit(&txn->uses, 1, memory_order_acq_rel);
    if (LUMA_LIKELY((uses & LKI_USES_EXPIRED) == 0))
        return;
    lk_mutex_lock(&txn->readers_lock); /* who takes it away has done so, or finds another serial */
    (void)atomic_fetch_and_explicit(&txn->uses, ~LKI_USES_EXPIRED, memory_order_acq_rel);
    lk_mutex_unlock(&txn->readers_lock);
}

void
lki_renew_end(struct luma_txn *txn)
{
    if (txn->store->conf.snapshot_age_ns == 0)
        return;
    uint32_t serial = atomic_load_explicit(&txn->snap_serial, memory_order_relaxed) + 1;
    atomic_store_explicit(&txn->snap_serial, serial == 0 ? 1 : serial, memory_order_release);
    lki_use_end(txn);
}

/* --- age --- */

/* Only while nobody reads with it. */
static void
snapshot_take_away(struct luma_txn *txn, uint32_t serial)
{
    uint32_t unused = 0;
    lk_mutex_lock(&txn->readers_lock);
    if (txn->readers == NULL &&
        atomic_compare_exchange_strong_explicit(&txn->uses, &unused, LKI_USES_EXPIRED,
                                                memory_order_acq_rel, memory_order_relaxed)) {
        /* It may have been renewed since it was looked at. */
        if (atomic_load_explicit(&txn->snap_serial, memory_order_acquire) == serial)
            atomic_store_explicit(&txn->slot->snapshot, 0, memory_order_release);
        else
            (void)atomic_fetch_and_explicit(&txn->uses, ~LKI_USES_EXPIRED, memory_order_acq_rel);
    }
    lk_mutex_unlock(&txn->readers_lock);
}

static void
snapshot_look(struct lk_store *store, struct luma_txn *txn, uint64_t now_ns)
{
    uint32_t serial = atomic_load_explicit(&txn->snap_serial, memory_order_acquire);
    if (txn->aged_serial != serial) {
        txn->aged_serial = serial;
        txn->aged_from_ns = now_ns;
        return;
    }
    if (atomic_load_explicit(&txn->slot->snapshot, memory_order_relaxed) == 0 ||
        now_ns - txn->aged_from_ns < store->conf.snapshot_age_ns)
        return;
    if (atomic_exchange_explicit(&txn->old_serial, serial, memory_order_relaxed) != serial)
        lk_stat_add(store->stats.snapshots_too_old, 1);
    snapshot_take_away(txn, serial);
}

void
lki_snapshots_age(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    if (store->conf.snapshot_age_ns == 0)
        return;
    uint64_t now_ns = lk_io_now_ns(store->conf.io);
    uint32_t used = atomic_load(&store->slots.used);
    for (uint32_t i = 0; i < used; i++) {
        struct luma_txn *txn = atomic_load_explicit(&txns->all[i], memory_order_acquire);
        if (txn != NULL)
            snapshot_look(store, txn, now_ns);
    }
}

/* --- the host table's functions --- */

#define USE(ctx, txn, call)                \
    do {                                   \
        LUMA_TRY(lki_use_begin(ctx, txn)); \
        luma_rc rc_ = (call);              \
        lki_use_end(txn);                  \
        return rc_;                        \
    } while (0)

luma_rc
lki_use_scan_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                  const struct luma_scan_spec *spec, struct luma_scan **out_scan)
{
    USE(ctx, txn, lki_scan_open(ctx, txn, h, spec, out_scan));
}

luma_rc
lki_use_fetch(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
              const int64_t *rowids, uint32_t count, const uint32_t *cols, uint32_t cols_count,
              bool newest, struct luma_arena *arena, struct luma_batch *out, int32_t *out_found)
{
    USE(ctx, txn,
        lki_fetch(ctx, txn, h, rowids, count, cols, cols_count, newest, arena, out, out_found));
}

luma_rc
lki_use_get(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
            const struct luma_value *key, uint32_t key_count, const uint32_t *cols,
            uint32_t cols_count, struct luma_arena *arena, struct luma_value *out_values,
            int64_t *out_rowid)
{
    USE(ctx, txn,
        lki_get(ctx, txn, h, index_id, key, key_count, cols, cols_count, arena, out_values,
                out_rowid));
}

luma_rc
lki_use_probe(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
              const struct luma_vec *keys, uint32_t key_count, uint32_t keys_rows,
              const uint32_t *cols, uint32_t cols_count, bool rowids, struct luma_arena *arena,
              struct luma_batch *out, uint32_t *out_key_index, uint64_t *inout_state)
{
    USE(ctx, txn,
        lki_probe(ctx, txn, h, index_id, keys, key_count, keys_rows, cols, cols_count, rowids,
                  arena, out, out_key_index, inout_state));
}

luma_rc
lki_use_index_scan(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                   uint64_t index_id, const struct luma_key_range *range,
                   const struct luma_scan_spec *spec, struct luma_cursor **out_cursor)
{
    USE(ctx, txn, lki_index_scan(ctx, txn, h, index_id, range, spec, out_cursor));
}

luma_rc
lki_use_insert(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
               const struct luma_batch *batch, const struct luma_insert_opts *opts,
               int64_t *out_rowids, int64_t *out_conflicts)
{
    USE(ctx, txn, lki_insert(ctx, txn, h, batch, opts, out_rowids, out_conflicts));
}

luma_rc
lki_use_lock(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, const int64_t *rowids,
             uint32_t count, enum luma_lock_mode mode, enum luma_lock_wait wait,
             enum luma_lock_result *results)
{
    USE(ctx, txn, lki_lock_rows(ctx, txn, h, rowids, count, mode, wait, results));
}

luma_rc
lki_use_update(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
               const int64_t *rowids, uint32_t count, const uint32_t *col_ids,
               const struct luma_batch *batch)
{
    USE(ctx, txn, lki_update(ctx, txn, h, rowids, count, col_ids, batch));
}

luma_rc
lki_use_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
               const int64_t *rowids, uint32_t count)
{
    USE(ctx, txn, lki_remove(ctx, txn, h, rowids, count));
}
