/*
 * txn/change.c - locking, updating and deleting rows that are there.
 */
#include <stdlib.h>

#include "storage/mutant.h"
#include "txn/large.h"
#include "txn/serial.h"

luma_rc
lki_row_current(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
                struct lk_bytes *keep, struct lk_place *out_place, bool *out_found,
                uint64_t *out_other)
{
    struct lk_view *view = lki_coll_view(h);
    if (view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)h->coll->id);
    return lk_row_current(ctx, view, &txn->store->slots, rowid, txn->stamp, keep, out_place,
                          out_found, out_other);
}

/* --- locks --- */

static luma_rc
lost_race(struct luma_ctx *ctx, struct luma_txn *txn, const char *what)
{
    lk_stat_add(txn->store->stats.conflicts, 1);
    return LUMA_FAIL(ctx, LUMA_E_CONFLICT, "could not serialize access due to concurrent %s", what);
}

/* What has become of a row since the snapshot, now that it is locked. */
static luma_rc
row_judge(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
          enum luma_lock_mode mode, enum luma_lock_wait wait, enum luma_lock_result *out_result)
{
    struct lk_place place;
    bool found = false;
    uint64_t other = 0;
    bool snapshot = txn->isolation != LUMA_READ_COMMITTED;
    LUMA_TRY(lki_row_current(ctx, txn, h, rowid, NULL, &place, &found, &other));
    if (LUMA_UNLIKELY(found && other != 0)) { /* claimed by a large transaction */
        LUMA_TRY(lki_row_lock(ctx, txn, h, rowid, mode, wait));
        LUMA_TRY(lki_row_current(ctx, txn, h, rowid, NULL, &place, &found, &other));
    }
    if (!found) {
        lk_txn_saw(txn, atomic_load(&txn->store->slots.visible));
        if (snapshot) {
            bool seen = false;
            LUMA_TRY(lk_row_find(ctx, h->view, rowid, &txn->snap, &place, &seen));
            if (seen)
                return lost_race(ctx, txn, "delete");
        }
        *out_result = LUMA_ROW_GONE;
        return LUMA_OK;
    }
    *out_result = LUMA_ROW_LOCKED;
    if (place.begin & LK_STAMP_TXN)
        return LUMA_OK; /* its own */
    lk_txn_saw(txn, place.begin);
    if (place.begin <= txn->snap.commit)
        return LUMA_OK;
    if (snapshot && !LK_MUTANT(CONFLICT_UNSEEN))
        return lost_race(ctx, txn, "update");
    *out_result = LK_MUTANT(CHANGE_UNTOLD) ? LUMA_ROW_LOCKED : LUMA_ROW_CHANGED;
    return LUMA_OK;
}

luma_rc
lki_lock_rows(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
              const int64_t *rowids, uint32_t count, enum luma_lock_mode mode,
              enum luma_lock_wait wait, enum luma_lock_result *results)
{
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    for (uint32_t i = 0; i < count; i++) {
        luma_rc rc = lk_lock_take(ctx, txn, lk_lock_row(h->coll->id, rowids[i]), mode, wait);
        if (LUMA_LIKELY(rc == LUMA_OK))
            rc = row_judge(ctx, txn, h, rowids[i], mode, wait, &results[i]);
        if (rc == LUMA_E_LOCKED && wait == LUMA_LOCK_SKIP) {
            results[i] = LUMA_ROW_SKIPPED;
            continue;
        }
        if (rc == LUMA_E_LOCKED && wait == LUMA_LOCK_NOWAIT)
            return LUMA_FAIL(ctx, LUMA_E_LOCKED, "could not obtain lock on row");
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

/* --- ending versions --- */

static luma_rc
place_end(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
          const struct lk_place *place, bool key_goes)
{
    struct lk_write write = {.coll = h->coll, .fresh = key_goes};
    luma_rc rc;
    if (place->hot != NULL) {
        write.kind = LK_WRITE_END_HOT;
        write.version = place->version;
        LUMA_TRY(lk_txn_write(ctx, txn, &write, place->hot));
        rc = lk_hot_end(place->hot, place->version, txn->stamp, txn->snap.command);
    } else {
        write.kind = LK_WRITE_END_SEG;
        write.seg = place->seg;
        write.row = place->row;
        LUMA_TRY(lk_txn_write(ctx, txn, &write, NULL));
        rc = lk_seg_end(place->seg, place->row, txn->stamp, txn->snap.command);
        if (rc == LUMA_OK)
            lk_seg_ref(place->seg);
    }
    if (rc == LUMA_OK)
        return LUMA_OK;
    txn->writes_count--;
    return LUMA_FAIL(ctx, rc, "row: out of memory");
}

luma_rc
lki_row_end(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
            bool key_goes, bool *out_found)
{
    for (;;) {
        struct lk_place place;
        uint64_t other = 0;
        LUMA_TRY(lki_row_current(ctx, txn, h, rowid, NULL, &place, out_found, &other));
        if (!*out_found)
            return LUMA_OK;
        if (other != 0)
            return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "row %lld is changed without a lock on it",
                             (long long)rowid);
        /* Finding may have parked; the place is right only in the newest view. */
        lk_rwlock_rdlock(&h->coll->latch);
        bool same = atomic_load_explicit(&h->coll->view_serial, memory_order_acquire) == h->serial;
        luma_rc rc = same ? place_end(ctx, txn, h, &place, key_goes) : LUMA_OK;
        lk_rwlock_unlock(&h->coll->latch);
        if (same)
            return rc;
    }
}

luma_rc
lki_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, const int64_t *rowids,
           uint32_t count)
{
    LUMA_TRY(lk_core_throttle(ctx, txn->store));
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    LUMA_TRY(lki_large_due(ctx, txn));
    if (LUMA_UNLIKELY(txn->serial != NULL))
        LUMA_TRY(lki_serial_remove(ctx, txn, h, rowids, count));
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;
        LUMA_TRY(lki_row_end(ctx, txn, h, rowids[i], true, &found));
        if (found && !LK_MUTANT(DELETE_LOST) &&
            !lk_redo_row(&txn->redo, LK_REDO_DELETE, h->coll->id, rowids[i], luma_slice(NULL, 0)))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "delete: out of memory");
    }
    return LUMA_OK;
}

/* --- update --- */

struct update {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct luma_coll *h;
    struct luma_arena *arena;
    const struct luma_batch *batch;
    struct luma_batch old;
    int32_t *found;               /* per row: position in old */
    int32_t *given;               /* per column of the definition: position in batch, -1: keeps */
    const struct luma_vec **cols; /* of the row being made, in order of the definition */
    const struct luma_vec **by_id;
    struct luma_vec *singles; /* the row's values, one each: old and new lie at different rows */
    uint64_t *valid;
    uint16_t touched; /* indexes in which the row has a new key */
    bool key_goes;    /* one of them is unique */
};

/* Was this row made by this very command? Then it was changed already. */
static luma_rc
changed_already(struct update *u, int64_t rowid, bool *out_yes)
{
    struct lk_place place;
    bool found = false;
    uint64_t other = 0;
    LUMA_TRY(lki_row_current(u->ctx, u->txn, u->h, rowid, NULL, &place, &found, &other));
    *out_yes = !found || lki_place_is_of_command(u->txn, &place);
    return LUMA_OK;
}

/* A one-row constant vector of row `row` of vec. */
static void
single(struct luma_vec *out, uint64_t *valid, const struct luma_vec *vec, uint32_t row)
{
    *out = *vec;
    out->form = LUMA_VEC_CONST;
    out->dict = NULL;
    out->valid = NULL;
    out->data = (void *)(uintptr_t)luma_vec_at(vec, row);
    *valid = 0;
    if (luma_vec_is_null(vec, row))
        out->valid = valid;
}

static luma_rc
update_index(struct update *u, uint32_t position, const struct luma_vec *const *old_cols,
             uint32_t old_row, int64_t rowid, struct lk_bytes *old_key, struct lk_bytes *new_key)
{
    struct lk_cidx *cidx = u->h->view->idx[position];
    bool old_null = false, null = false, touched = false;
    for (uint32_t i = 0; i < cidx->index_def->cols_count; i++) {
        int32_t at = lk_def_col(u->h->def, cidx->index_def->cols[i].col_id);
        touched = touched || (at >= 0 && u->given[at] >= 0);
    }
    if (!touched)
        return LUMA_OK;
    lk_bytes_reset(old_key);
    lk_bytes_reset(new_key);
    if (lk_key_batch(old_key, cidx, u->h->def, old_cols, old_row, &old_null) != LUMA_OK ||
        lk_key_batch(new_key, cidx, u->h->def, u->cols, 0, &null) != LUMA_OK)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "update: out of memory");
    if (luma_slice_equal(lk_bytes_view(old_key), lk_bytes_view(new_key)))
        return LUMA_OK;
    if (cidx->index_def->unique) /* others may rely on the key: their locks are in the way */
        LUMA_TRY(lk_lock_take(u->ctx, u->txn, lk_lock_row(u->h->coll->id, rowid), LUMA_LOCK_UPDATE,
                              LUMA_LOCK_WAIT));
    if (cidx->index_def->unique && (!null || cidx->index_def->nulls_not_distinct)) {
        struct lki_conflict taken;
        LUMA_TRY(
            lki_unique_check(u->ctx, u->txn, u->h, cidx, lk_bytes_view(new_key), rowid, &taken));
        if (taken.rowid >= 0) {
            lk_txn_saw(u->txn, taken.begin & LK_STAMP_TXN ? 0 : taken.begin);
            return lki_unique_error(u->ctx, cidx);
        }
    }
    struct luma_index_entry entry = {lk_bytes_view(new_key), rowid};
    u->touched |= (uint16_t)(1u << LK_MIN(position, LK_TOUCHED_REST));
    u->key_goes = u->key_goes || cidx->index_def->unique;
    return lk_index_insert(u->ctx, cidx->index, &entry, 1);
}

static luma_rc
update_row(struct update *u, uint32_t i, int64_t rowid, const struct luma_vec *const *old_cols,
           struct lk_bytes *old_key, struct lk_bytes *new_key)
{
    const struct lk_def *def = u->h->def;
    bool already = false, found = false;
    LUMA_TRY(changed_already(u, rowid, &already));
    if (already || u->found[i] < 0)
        return LUMA_OK;
    uint32_t old_row = (uint32_t)u->found[i];
    for (uint32_t c = 0; c < def->coll.cols_count; c++) {
        if (u->given[c] >= 0)
            single(&u->singles[c], &u->valid[c], &u->batch->cols[u->given[c]], i);
        else
            single(&u->singles[c], &u->valid[c], old_cols[c], old_row);
    }
    struct lk_view *view = lki_coll_view(u->h);
    u->touched = 0;
    u->key_goes = false;
    for (uint32_t k = 0; k < view->idx_count; k++)
        LUMA_TRY(update_index(u, k, old_cols, old_row, rowid, old_key, new_key));
    LUMA_TRY(lki_row_end(u->ctx, u->txn, u->h, rowid, u->key_goes, &found));
    if (!found)
        return LUMA_OK;
    /* Entries of a hot row are in no run yet: if the new version is put aside, all of them are to
     * go with it. */
    if (u->txn->writes[u->txn->writes_count - 1].kind == LK_WRITE_END_HOT)
        u->touched = LK_TOUCHED_ALL;
    LUMA_TRY(lki_row_add(u->ctx, u->txn, u->h, rowid, u->by_id, 0, false));
    u->txn->writes[u->txn->writes_count - 1].touched = u->touched;
    return lki_building_insert(u->ctx, u->h, u->cols, 0, rowid);
}

static luma_rc
update_prepare(struct update *u, const int64_t *rowids, uint32_t count, const uint32_t *col_ids)
{
    const struct lk_def *def = u->h->def;
    uint32_t cols = def->coll.cols_count;
    uint32_t *all = LUMA_NEW_ARRAY(u->arena, uint32_t, cols + 1);
    u->found = LUMA_NEW_ARRAY(u->arena, int32_t, count + 1);
    u->given = LUMA_NEW_ARRAY(u->arena, int32_t, cols + 1);
    u->cols = LUMA_NEW_ARRAY(u->arena, const struct luma_vec *, cols + 1);
    u->by_id = LUMA_NEW_ARRAY(u->arena, const struct luma_vec *, cols + 1);
    u->singles = LUMA_NEW_ARRAY(u->arena, struct luma_vec, cols + 1);
    u->valid = LUMA_NEW_ARRAY(u->arena, uint64_t, cols + 1);
    if (all == NULL || u->found == NULL || u->given == NULL || u->cols == NULL ||
        u->by_id == NULL || u->singles == NULL || u->valid == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "update: out of memory");
    for (uint32_t c = 0; c < cols; c++) {
        all[c] = def->coll.cols[c].id;
        u->given[c] = -1;
        u->cols[c] = &u->singles[c];
        u->by_id[c] = &u->singles[def->positions[c]];
    }
    for (uint32_t k = 0; k < u->batch->cols_count; k++) {
        int32_t at = lk_def_col(def, col_ids[k]);
        if (at < 0)
            return LUMA_FAIL(u->ctx, LUMA_E_INTERNAL, "update: no column %u", col_ids[k]);
        u->given[at] = (int32_t)k;
    }
    return lki_fetch(u->ctx, u->txn, u->h, rowids, count, all, cols, true, u->arena, &u->old,
                     u->found);
}

static luma_rc
update_rows(struct update *u, const int64_t *rowids, uint32_t count, const uint32_t *col_ids)
{
    struct lk_bytes old_key, new_key;
    LUMA_TRY(update_prepare(u, rowids, count, col_ids));
    const struct luma_vec **old_cols =
        LUMA_NEW_ARRAY(u->arena, const struct luma_vec *, u->old.cols_count + 1);
    if (old_cols == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "update: out of memory");
    for (uint32_t c = 0; c < u->old.cols_count; c++)
        old_cols[c] = &u->old.cols[c];
    lk_bytes_init(&old_key, NULL);
    lk_bytes_init(&new_key, NULL);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < count; i++) {
        if (i % LKI_LARGE_STEP == LKI_LARGE_STEP - 1)
            rc = lki_large_due(u->ctx, u->txn);
        if (rc == LUMA_OK)
            rc = update_row(u, i, rowids[i], old_cols, &old_key, &new_key);
    }
    lk_bytes_fini(&old_key);
    lk_bytes_fini(&new_key);
    return rc;
}

luma_rc
lki_update(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, const int64_t *rowids,
           uint32_t count, const uint32_t *col_ids, const struct luma_batch *batch)
{
    if (count == 0)
        return LUMA_OK;
    struct update u = {.ctx = ctx, .txn = txn, .h = h, .batch = batch};
    LUMA_TRY(lk_core_throttle(ctx, txn->store));
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    LUMA_TRY(lki_large_due(ctx, txn));
    if (LUMA_UNLIKELY(txn->serial != NULL))
        LUMA_TRY(lki_serial_remove(ctx, txn, h, rowids, count));
    u.arena = lk_arena_create(txn->store->budget, 0);
    if (u.arena == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "update: out of memory");
    luma_rc rc = update_rows(&u, rowids, count, col_ids);
    lk_arena_destroy(u.arena);
    return rc;
}

/* --- truncate --- */

luma_rc
lki_pending_set(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll,
                struct lk_view *view)
{
    struct lk_write write = {.kind = LK_WRITE_VIEW, .coll = coll};
    write.fresh = coll->pending_txn != txn;
    write.old_view = coll->pending;
    lki_large_barrier(txn);
    luma_rc rc = lk_txn_write(ctx, txn, &write, NULL);
    if (rc != LUMA_OK) {
        lk_view_unref(view);
        return rc;
    }
    lk_rwlock_wrlock(&coll->latch);
    lk_mutex_lock(&coll->view_lock);
    coll->pending = view;
    coll->pending_txn = txn;
    atomic_fetch_add_explicit(&coll->view_serial, 1, memory_order_release);
    lk_mutex_unlock(&coll->view_lock);
    lk_rwlock_unlock(&coll->latch);
    return LUMA_OK;
}

luma_rc
lki_truncate(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h)
{
    LUMA_TRY(lk_txn_stamp_take(ctx, txn));
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_def(h->coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT));
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_coll(h->coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT));
    if (LUMA_UNLIKELY(txn->serial != NULL))
        LUMA_TRY(lki_serial_write_all(ctx, txn, h));
    struct lk_view *old = lki_coll_view(h), *view = NULL;
    if (old == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)h->coll->id);
    LUMA_TRY(lk_view_define(ctx, h->coll, old->def, old, true, NULL, 0, &view));
    LUMA_TRY(lki_pending_set(ctx, txn, h->coll, view));
    if (!lk_bytes_u8(&txn->redo, LK_REDO_TRUNCATE) || !lk_bytes_varint(&txn->redo, h->coll->id))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "truncate: out of memory");
    return LUMA_OK;
}
