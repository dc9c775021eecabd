/*
 * txn/commit.c - a commit's place in the log, and what becomes of a transaction's stamps.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "storage/mutant.h"
#include "txn/large.h"
#include "txn/serial.h"

#define LOADS_CROWD 12u

/* The same change at a row of a segment and wherever merges have carried it since. The latch of
 * the collection is held, so no merge moves it now. */
static void
seg_restamp(struct lk_seg *seg, uint32_t row, uint64_t from, uint64_t to)
{
    while (seg != NULL) {
        lk_seg_restamp(seg, row, from, to);
        if (seg->moved_to == NULL || seg->moved_rows[row] < 0)
            return;
        row = (uint32_t)seg->moved_rows[row];
        seg = seg->moved_to;
    }
}

static void
version_end(const struct lk_coll *coll, struct lk_version *v, uint64_t from, uint64_t to)
{
    atomic_store_explicit(&v->end, to, memory_order_release);
    /* Published: the segment has a copy of the end. Not yet published: it is copied later. */
    uint64_t flushed = atomic_load_explicit(&v->flushed, memory_order_acquire);
    if (flushed != 0 && flushed <= coll->published_gen)
        seg_restamp(v->seg, v->seg_row, from, to);
}

/* The first write of an index archives all its runs: the others find none with the stamp. */
static void
runs_archive(struct luma_txn *txn, struct lk_cidx *cidx)
{
    for (uint32_t i = 0; txn->store->conf.wal_archive != NULL; i++) {
        lk_mutex_lock(&cidx->runs_lock);
        bool more = i < cidx->runs_count;
        bool ours = more && atomic_load(&cidx->runs[i].begin) == txn->stamp;
        uint64_t id = more ? cidx->runs[i].info.object_id : 0;
        lk_mutex_unlock(&cidx->runs_lock);
        if (!more)
            break;
        if (ours)
            lk_archive_add(txn->store, LK_OBJECT_RUN, id);
    }
}

static void
write_stamp(struct luma_txn *txn, struct lk_write *w, uint64_t commit)
{
    switch ((enum lk_write_kind)w->kind) {
    case LK_WRITE_BEGIN:
        atomic_store_explicit(&w->version->begin, commit, memory_order_release);
        break;
    case LK_WRITE_END_HOT:
        version_end(w->coll, w->version, txn->stamp, commit);
        break;
    case LK_WRITE_END_SEG:
        seg_restamp(w->seg, w->row, txn->stamp, commit);
        lk_seg_unref(w->seg);
        break;
    case LK_WRITE_SEG:
        lk_archive_add(txn->store, LK_OBJECT_SEGMENT, w->seg->info.object_id);
        w->seg->info.commit_min = w->seg->info.commit_max = commit;
        atomic_store_explicit(&w->seg->begin, commit, memory_order_release);
        lk_seg_unref(w->seg);
        break;
    case LK_WRITE_RUN:
        runs_archive(txn, w->cidx);
        lk_cidx_run_restamp(w->cidx, txn->stamp, commit);
        lk_cidx_unref(w->cidx);
        break;
    case LK_WRITE_LARGE:
        lki_large_stamp(txn, w->large, commit);
        break;
    case LK_WRITE_VIEW: /* published with the commit number */
        lk_view_unref(w->old_view);
        break;
    }
}

void
lk_txn_stamp(struct luma_txn *txn, uint64_t commit)
{
    struct lk_coll *latched = NULL;
    for (uint32_t i = 0; i < txn->writes_count; i++) {
        struct lk_write *w = &txn->writes[i];
        if (w->coll != latched) {
            if (latched != NULL)
                lk_rwlock_unlock(&latched->latch);
            latched = w->coll;
            lk_rwlock_rdlock(&latched->latch);
        }
        write_stamp(txn, w, commit);
    }
    if (latched != NULL)
        lk_rwlock_unlock(&latched->latch);
    txn->writes_count = 0;
}

/* --- undo --- */

/* Index entries of a row that never was. */
static void
entries_remove(struct luma_txn *txn, const struct lk_write *w)
{
    struct lk_view *view = lk_coll_view(w->coll, txn);
    struct lk_bytes key;
    lk_bytes_init(&key, NULL);
    for (uint32_t i = 0; view != NULL && i < view->idx_count + view->building_count; i++) {
        bool null = false;
        lk_bytes_reset(&key);
        if (lk_key_tuple(&key, view->def, view->idx[i], w->version->tuple, &null) != LUMA_OK)
            continue; /* it stays as a candidate that never fits */
        struct luma_index_entry entry = {lk_bytes_view(&key), w->version->rowid};
        lk_index_remove(view->idx[i]->index, &entry);
    }
    lk_bytes_fini(&key);
    lk_view_unref(view);
}

static void
seg_discard(struct luma_txn *txn, struct lk_write *w)
{
    struct lk_coll *coll = w->coll;
    struct lk_view_edit edit = {.segs_gone = &w->seg, .segs_gone_count = 1};
    atomic_store(&w->seg->begin, LK_STAMP_ABORTED);
    atomic_store(&w->seg->remove, true);
    lk_rwlock_wrlock(&coll->latch);
    luma_rc rc = LUMA_OK;
    if (coll->pending_txn == txn)
        rc = lk_coll_edit_pending(coll, &edit);
    else if (coll->view != NULL)
        rc = lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    if (rc != LUMA_OK)
        lk_log_warn("txn", "a rolled back segment stays in memory until the next checkpoint");
    lk_seg_unref(w->seg);
}

static void
view_restore(struct luma_txn *txn, struct lk_write *w)
{
    struct lk_coll *coll = w->coll;
    (void)txn;
    lk_rwlock_wrlock(&coll->latch);
    lk_mutex_lock(&coll->view_lock);
    struct lk_view *dropped = coll->pending;
    coll->pending = w->old_view;
    if (w->fresh) /* nothing was pending before */
        coll->pending_txn = NULL;
    atomic_fetch_add_explicit(&coll->view_serial, 1, memory_order_release);
    lk_mutex_unlock(&coll->view_lock);
    lk_rwlock_unlock(&coll->latch);
    lk_view_unref(dropped);
}

static void
write_undo(struct luma_txn *txn, struct lk_write *w)
{
    switch ((enum lk_write_kind)w->kind) {
    case LK_WRITE_BEGIN:
        if (w->fresh)
            entries_remove(txn, w);
        atomic_store_explicit(&w->version->begin, LK_STAMP_ABORTED, memory_order_release);
        break;
    case LK_WRITE_END_HOT:
        if (LK_MUTANT(UNDO_HALF))
            break;
        lk_rwlock_rdlock(&w->coll->latch);
        version_end(w->coll, w->version, txn->stamp, LK_STAMP_NONE);
        lk_rwlock_unlock(&w->coll->latch);
        break;
    case LK_WRITE_END_SEG:
        lk_rwlock_rdlock(&w->coll->latch);
        seg_restamp(w->seg, w->row, txn->stamp, LK_STAMP_NONE);
        lk_rwlock_unlock(&w->coll->latch);
        lk_seg_unref(w->seg);
        break;
    case LK_WRITE_SEG:
        seg_discard(txn, w);
        break;
    case LK_WRITE_RUN:
        /* Its entries are candidates that never fit. */
        lk_cidx_runs_discard(txn->store, w->cidx, txn->stamp);
        lk_cidx_unref(w->cidx);
        break;
    case LK_WRITE_LARGE:
        lki_large_undo(txn, w->large);
        break;
    case LK_WRITE_VIEW:
        view_restore(txn, w);
        break;
    }
}

void
lk_txn_undo(struct luma_txn *txn, uint32_t count)
{
    while (txn->writes_count > count)
        write_undo(txn, &txn->writes[--txn->writes_count]);
    lki_privates_free(txn, count, false);
}

void
lki_privates_free(struct luma_txn *txn, uint32_t writes, bool committed)
{
    (void)committed;
    while (txn->privates != NULL && txn->privates->writes >= writes) {
        struct lk_private_index *gone = txn->privates;
        txn->privates = gone->next;
        lk_cidx_unref(gone->cidx);
        free(gone);
    }
}

/* --- the log --- */

/* Pending views become what everybody sees. STORE_COMMIT is held: a checkpoint that marks this
 * commit finds them. */
static void
views_publish(struct luma_txn *txn, uint64_t commit)
{
    for (uint32_t i = 0; i < txn->writes_count; i++) {
        struct lk_coll *coll = txn->writes[i].coll;
        if (txn->writes[i].kind != LK_WRITE_VIEW || coll->pending_txn != txn)
            continue;
        lk_rwlock_wrlock(&coll->latch);
        lk_mutex_lock(&coll->view_lock);
        struct lk_view *view = coll->pending;
        coll->pending = NULL;
        coll->pending_txn = NULL;
        lk_mutex_unlock(&coll->view_lock);
        if (!lk_view_same_rows(coll->view, view))
            atomic_store(&coll->history_from, commit);
        lk_coll_publish(coll, view);
        lk_rwlock_unlock(&coll->latch);
    }
}

static luma_rc
append(struct luma_ctx *ctx, struct lk_store *store, struct luma_slice payload,
       void (*placed)(void *arg, uint64_t commit), void *arg, uint64_t *out_commit)
{
    uint32_t crc = lk_crc32c(0, payload.data, payload.bytes);
    luma_rc rc;
    do {
        lk_lsn lsn = 0;
        LUMA_TRY(lk_wal_room(ctx, store->wal, payload.bytes));
        lk_mutex_lock(&store->commit_lock);
        uint64_t commit = store->commit + 1;
        rc = lk_wal_append(store->wal, commit, payload, crc, &lsn);
        if (rc == LUMA_OK) {
            store->commit = commit;
            placed(arg, commit);
            /* Everything the commit changed is seen from here on, by new snapshots. */
            atomic_store_explicit(&store->slots.visible, commit, memory_order_release);
            *out_commit = commit;
        }
        lk_mutex_unlock(&store->commit_lock);
    } while (rc == LUMA_E_AGAIN);
    if (rc == LUMA_E_IO)
        return LUMA_FAIL(ctx, LUMA_E_IO,
                         "the log has failed: nothing can be committed until a restart");
    return rc == LUMA_OK ? rc : LUMA_FAIL(ctx, rc, "the log: out of memory");
}

static void
commit_placed(void *arg, uint64_t commit)
{
    struct luma_txn *txn = arg;
    for (uint32_t i = 0; i < txn->colls_count; i++)
        atomic_store_explicit(&txn->colls[i]->touched, commit, memory_order_release);
    views_publish(txn, commit);
    if (LUMA_UNLIKELY(txn->serial != NULL))
        lki_serial_placed(txn, commit);
    /* Pairs with lk_stamp_resolve: who takes a snapshot of this commit finds its number here. */
    atomic_store_explicit(&txn->slot->commit, commit, memory_order_release);
}

/* Runs of bulk loads join the collection's indexes. */
static luma_rc
private_attach(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_private_index *own)
{
    struct lk_view *view = lk_coll_view(own->coll, txn);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, own->index_id);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && cidx != NULL && i < own->cidx->runs_count; i++) {
        const struct lk_run_info *info = &own->cidx->runs[i].info;
        struct lk_write write = {.kind = LK_WRITE_RUN, .coll = own->coll};
        write.cidx = cidx;
        rc = lk_txn_write(ctx, txn, &write, NULL);
        if (rc == LUMA_OK) {
            lk_cidx_ref(cidx);
            rc = lk_index_attach(ctx, cidx->index, info);
        }
        if (rc == LUMA_OK && lk_cidx_run_add(cidx, info, txn->stamp) != LUMA_OK)
            rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "commit: out of memory");
    }
    lk_view_unref(view);
    return rc;
}

static luma_rc
privates_attach(struct luma_ctx *ctx, struct luma_txn *txn)
{
    if (txn->privates == NULL)
        return LUMA_OK;
    for (struct lk_private_index *own = txn->privates; own != NULL; own = own->next)
        LUMA_TRY(private_attach(ctx, txn, own));
    /* Many loads in a row: lookups ask all of their runs until a checkpoint lets them merge. */
    if (atomic_fetch_add(&txn->store->loads, 1) >= LOADS_CROWD)
        lk_core_want_checkpoint(txn->store);
    return LUMA_OK;
}

luma_rc
lki_commit_place(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_commit)
{
    struct lk_store *store = txn->store;
    if (!lk_redo_stamp_time(&txn->redo, lk_io_wall_us(store->conf.io)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "commit: out of memory");
    LUMA_TRY(privates_attach(ctx, txn));
    LUMA_TRY(append(ctx, store, lk_bytes_view(&txn->redo), commit_placed, txn, out_commit));
    if (store->history.window_us != 0) {
        int64_t now_us = lk_io_wall_us(store->conf.io);
        lk_history_note(store, now_us, now_us, *out_commit);
    }
    lk_txn_stamp(txn, *out_commit);
    return LUMA_OK;
}

static void
sequence_placed(void *arg, uint64_t commit)
{
    lki_sequence_placed(arg, commit);
}

luma_rc
lki_log(struct luma_ctx *ctx, struct lk_store *store, struct luma_slice payload,
        struct lk_sequence_block *block, uint64_t *out_commit)
{
    return append(ctx, store, payload, sequence_placed, block, out_commit);
}

void
lki_checkpoint_due(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    struct lk_wal_stats stats;
    static _Atomic uint32_t passes;
    if ((atomic_fetch_add_explicit(&passes, 1, memory_order_relaxed) & 63) != 0)
        return;
    lk_wal_stats(store->wal, &stats);
    lk_stat_set(store->stats.wal_bytes, (int64_t)stats.bytes);
    lk_stat_set(store->stats.wal_syncs, (int64_t)stats.syncs);
    lk_stat_set(store->stats.wal_records, (int64_t)stats.records);
    lk_stat_set(store->stats.hot_bytes, (int64_t)lk_core_hot_bytes(store));
    if (stats.bytes - atomic_load(&txns->wal_mark) > store->conf.checkpoint_wal_bytes) {
        atomic_store(&txns->wal_mark, stats.bytes);
        lk_core_want_checkpoint(store);
    }
}
