/*
 * txn/insert.c - new rows.
 */
#include <stdlib.h>

#include "storage/mutant.h"
#include "txn/large.h"
#include "txn/serial.h"

void
lki_coll_init(struct luma_coll *h, struct lk_coll *coll, struct luma_txn *txn)
{
    memset(h, 0, sizeof(*h));
    lk_mutex_init(&h->lock, LK_LOCK_COLL_HANDLE);
    h->coll = coll;
    h->txn = txn;
}

void
lki_coll_fini(struct luma_coll *h)
{
    lk_view_unref(h->view);
    while (h->old != NULL) {
        struct lki_old_view *old = h->old;
        h->old = old->next;
        lk_view_unref(old->view);
        free(old);
    }
    lk_def_unref(h->def);
    lk_mutex_fini(&h->lock);
}

static struct lk_view *
view_renew(struct luma_coll *h)
{
    lk_mutex_lock(&h->lock);
    uint64_t serial = atomic_load_explicit(&h->coll->view_serial, memory_order_acquire);
    struct lk_view *view = h->view;
    if (view == NULL || serial != h->serial) {
        struct lki_old_view *old = view == NULL ? NULL : malloc(sizeof(*old));
        if (view == NULL || old != NULL) {
            if (old != NULL) {
                *old = (struct lki_old_view){h->old, view};
                h->old = old;
            }
            view = lk_coll_view(h->coll, h->txn);
            h->view = view;
            h->serial = serial;
        }
    }
    lk_mutex_unlock(&h->lock);
    return view;
}

struct lk_view *
lki_coll_view(struct luma_coll *h)
{
    uint64_t serial = atomic_load_explicit(&h->coll->view_serial, memory_order_acquire);
    if (LUMA_LIKELY(atomic_load_explicit(&h->serial, memory_order_acquire) == serial)) {
        struct lk_view *view = atomic_load_explicit(&h->view, memory_order_acquire);
        if (view != NULL)
            return view;
    }
    return view_renew(h);
}

/* The view changes go to, while the latch is held. */
static struct lk_view *
latched_view(struct luma_coll *h)
{
    return h->coll->pending_txn == h->txn ? h->coll->pending : h->coll->view;
}

/* An odd serial says that somebody is at it. */
static void
dead_find(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    uint32_t serial = atomic_load(&txns->dead_serial);
    if ((serial & 1) != 0 ||
        !atomic_compare_exchange_strong(&txns->dead_serial, &serial, serial + 1))
        return;
    /* With a history every commit in its window may be asked for. */
    uint64_t commit = lk_wal_durable(store->wal);
    if (store->conf.history_ns > 0)
        commit = LK_MIN(commit, lk_slots_horizon(&store->slots));
    struct lk_dead dead = lk_slots_dead(&store->slots, commit);
    uint64_t words[LKI_DEAD_WORDS];
    memcpy(words, &dead, sizeof(dead));
    for (size_t i = 0; i < LKI_DEAD_WORDS; i++)
        atomic_store(&txns->dead[i], words[i]);
    atomic_store(&txns->dead_serial, serial + 2);
}

/* Versions that can go; looked up now and then. What was found once stays true, but its parts
 * belong together: who finds them being replaced takes out nothing. */
static struct lk_dead
dead_now(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    struct lk_dead dead;
    uint64_t words[LKI_DEAD_WORDS];
    if ((atomic_fetch_add_explicit(&txns->dead_passes, 1, memory_order_relaxed) & 31) == 0)
        dead_find(store);
    uint32_t serial = atomic_load_explicit(&txns->dead_serial, memory_order_acquire);
    for (size_t i = 0; i < LKI_DEAD_WORDS; i++)
        words[i] = atomic_load_explicit(&txns->dead[i], memory_order_acquire);
    memcpy(&dead, words, sizeof(dead));
    bool whole = (serial & 1) == 0 &&
                 atomic_load_explicit(&txns->dead_serial, memory_order_relaxed) == serial;
    return whole ? dead : (struct lk_dead){0};
}

/* The redo record of a version, with the tuple at its end. */
static luma_rc
redo_tuple(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
           const struct luma_vec *const *cols, uint32_t row, bool fresh,
           struct luma_slice *out_tuple)
{
    const struct lk_def *def = h->def;
    uint32_t count = def->coll.cols_count;
    size_t bytes = lk_tuple_size(def->tuple_cols, count, def->ids_known, cols, row);
    if (bytes == 0)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "row is too big: at most %u bytes", LK_TUPLE_BYTES_MAX);
    struct lk_bytes *redo = &txn->redo;
    bool ok = lk_bytes_u8(redo, fresh ? LK_REDO_INSERT : LK_REDO_UPDATE) &&
              lk_bytes_varint(redo, h->coll->id) && lk_bytes_varint(redo, (uint64_t)rowid) &&
              lk_bytes_varint(redo, bytes);
    uint8_t *to = ok ? lk_bytes_extend(redo, bytes) : NULL;
    if (to == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM,
                         "the transaction's changes take more memory than there is");
    lk_tuple_write(def->tuple_cols, count, def->ids_known, cols, row, to);
    *out_tuple = luma_slice(to, bytes);
    return LUMA_OK;
}

static luma_rc
version_add(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
            struct luma_slice tuple, bool fresh)
{
    struct lk_store *store = txn->store;
    struct lk_view *view = latched_view(h);
    if (view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)h->coll->id);
    struct lk_hot *hot = view->hots[0];
    struct lk_version *v = lk_hot_version(hot, rowid, (uint32_t)tuple.bytes);
    if (v == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "hot rows: out of memory");
    memcpy(v->tuple, tuple.data, tuple.bytes);
    v->begin_command = txn->snap.command;
    atomic_init(&v->begin, txn->stamp);
    struct lk_write write = {.kind = LK_WRITE_BEGIN, .fresh = fresh, .coll = h->coll};
    write.version = v;
    struct lk_dead dead = fresh ? (struct lk_dead){0} : dead_now(store);
    write.touched = fresh ? LK_TOUCHED_ALL : 0;
    luma_rc rc = lk_txn_write(ctx, txn, &write, hot);
    if (rc == LUMA_OK) {
        rc = lk_hot_add(hot, v, &store->slots, &dead);
        if (rc != LUMA_OK) {
            txn->writes_count--;
            rc = LUMA_FAIL(ctx, rc, "hot rows: out of memory");
        }
    }
    if (rc != LUMA_OK)
        lk_hot_version_free(hot, v);
    return rc;
}

luma_rc
lki_row_add(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
            const struct luma_vec *const *cols, uint32_t row, bool fresh)
{
    struct luma_slice tuple = {NULL, 0};
    size_t mark = txn->redo.bytes;
    luma_rc rc = redo_tuple(ctx, txn, h, rowid, cols, row, fresh, &tuple);
    if (rc == LUMA_OK && txn->serial != NULL)
        rc = lki_serial_write(ctx, txn, h, tuple);
    if (rc == LUMA_OK) {
        lk_rwlock_rdlock(&h->coll->latch);
        rc = version_add(ctx, txn, h, rowid, tuple, fresh);
        lk_rwlock_unlock(&h->coll->latch);
    }
    if (rc != LUMA_OK) {
        txn->redo.bytes = mark;
        txn->redo.failed = false;
    }
    return rc;
}

/* The view is looked at after the version was added under the latch: either it has the index
 * already, or who builds it finds the version. */
luma_rc
lki_building_insert(struct luma_ctx *ctx, struct luma_coll *h, const struct luma_vec *const *cols,
                    uint32_t row, int64_t rowid)
{
    struct lk_view *view = lki_coll_view(h);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0;
         view != NULL && rc == LUMA_OK && !LK_MUTANT(BUILD_LATE) && i < view->building_count; i++) {
        struct lk_cidx *cidx = view->idx[view->idx_count + i];
        struct lk_bytes key;
        bool null = false;
        lk_bytes_init(&key, NULL);
        rc = lk_key_batch(&key, cidx, h->def, cols, row, &null);
        struct luma_index_entry entry = {lk_bytes_view(&key), rowid};
        rc = rc == LUMA_OK ? lk_index_insert(ctx, cidx->index, &entry, 1)
                           : LUMA_FAIL(ctx, rc, "index: a key could not be made");
        lk_bytes_fini(&key);
    }
    return rc;
}

/* --- insert --- */

struct insert {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct luma_coll *h;
    const struct luma_insert_opts *opts;
    const struct luma_vec **cols;  /* in order of the definition */
    const struct luma_vec **by_id; /* in order of tuple_cols */
    struct lk_bytes *keys;         /* per index of the view */
    int64_t conflict;
};

static bool
decides(const struct insert *in, const struct lk_cidx *cidx)
{
    return in->opts != NULL && in->opts->conflict != LUMA_CONFLICT_FAIL &&
           (in->opts->conflict_index == 0 || in->opts->conflict_index == cidx->index_def->id);
}

static luma_rc
not_seen(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_CONFLICT, "could not serialize access due to concurrent update");
}

/* What becomes of a proposed row whose key is taken; *out_again: the row in the way has gone while
 * it was being locked. */
static luma_rc
conflict_resolve(struct insert *in, struct lk_cidx *cidx, const struct lki_conflict *found,
                 bool *out_again)
{
    struct luma_txn *txn = in->txn;
    *out_again = false;
    lk_txn_saw(txn, found->begin & LK_STAMP_TXN ? 0 : found->begin);
    if (!decides(in, cidx))
        return lki_unique_error(in->ctx, cidx);
    if (found->same_command && in->opts->conflict == LUMA_CONFLICT_REPORT)
        return LUMA_FAIL_SQL(in->ctx, LUMA_E_INVALID, "21000",
                             "ON CONFLICT DO UPDATE command cannot affect row a second time");
    if (txn->isolation != LUMA_READ_COMMITTED && !(found->begin & LK_STAMP_TXN) &&
        found->begin > txn->snap.commit)
        return not_seen(in->ctx);
    in->conflict = found->rowid;
    if (in->opts->conflict == LUMA_CONFLICT_SKIP)
        return LUMA_OK;
    LUMA_TRY(
        lki_row_lock(in->ctx, txn, in->h, found->rowid, LUMA_LOCK_NO_KEY_UPDATE, LUMA_LOCK_WAIT));
    struct lki_conflict still;
    const struct lk_bytes *key = &in->keys[0];
    for (uint32_t i = 0; i < in->h->view->idx_count; i++)
        if (in->h->view->idx[i] == cidx)
            key = &in->keys[i];
    LUMA_TRY(lki_unique_check(in->ctx, txn, in->h, cidx, lk_bytes_view(key), -1, &still));
    *out_again = still.rowid != found->rowid;
    if (*out_again)
        in->conflict = -1;
    return LUMA_OK;
}

static luma_rc
row_keys(struct insert *in, uint32_t row, int64_t rowid)
{
    struct lk_view *view = in->h->view;
    for (uint32_t i = 0; i < view->idx_count; i++) {
        struct lk_cidx *cidx = view->idx[i];
        bool null = false, again = true;
        lk_bytes_reset(&in->keys[i]);
        if (lk_key_batch(&in->keys[i], cidx, in->h->def, in->cols, row, &null) != LUMA_OK)
            return LUMA_FAIL(in->ctx, LUMA_E_NOMEM, "insert: out of memory");
        if (!cidx->index_def->unique || (null && !cidx->index_def->nulls_not_distinct))
            continue;
        while (again) {
            struct lki_conflict found;
            LUMA_TRY(lki_unique_check(in->ctx, in->txn, in->h, cidx, lk_bytes_view(&in->keys[i]),
                                      rowid, &found));
            again = false;
            if (found.rowid >= 0)
                LUMA_TRY(conflict_resolve(in, cidx, &found, &again));
        }
        if (in->conflict >= 0)
            return LUMA_OK;
    }
    return LUMA_OK;
}

static luma_rc
row_insert(struct insert *in, uint32_t row, int64_t rowid)
{
    struct lk_view *view = lki_coll_view(in->h);
    if (view == NULL)
        return LUMA_FAIL(in->ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)in->h->coll->id);
    in->conflict = -1;
    LUMA_TRY(row_keys(in, row, rowid));
    if (in->conflict >= 0)
        return LUMA_OK;
    LUMA_TRY(lki_row_add(in->ctx, in->txn, in->h, rowid, in->by_id, row, true));
    for (uint32_t i = 0; i < in->h->view->idx_count; i++) {
        struct luma_index_entry entry = {lk_bytes_view(&in->keys[i]), rowid};
        LUMA_TRY(lk_index_insert(in->ctx, in->h->view->idx[i]->index, &entry, 1));
    }
    return lki_building_insert(in->ctx, in->h, in->cols, row, rowid);
}

static luma_rc
insert_rows(struct insert *in, const struct luma_batch *batch, int64_t *out_rowids,
            int64_t *out_conflicts)
{
    int64_t next = atomic_fetch_add(&in->h->coll->next_rowid, (int64_t)batch->sel_rows);
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        if (k % LKI_LARGE_STEP == LKI_LARGE_STEP - 1)
            LUMA_TRY(lki_large_due(in->ctx, in->txn));
        LUMA_TRY(row_insert(in, luma_batch_row(batch, k), next + k));
        if (out_rowids != NULL)
            out_rowids[k] = in->conflict >= 0 ? -1 : next + k;
        if (out_conflicts != NULL)
            out_conflicts[k] = in->conflict;
    }
    return LUMA_OK;
}

luma_rc
lki_insert(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
           const struct luma_batch *batch, const struct luma_insert_opts *opts, int64_t *out_rowids,
           int64_t *out_conflicts)
{
    struct insert in = {.ctx = ctx, .txn = txn, .h = h, .opts = opts};
    const struct lk_def *def = h->def;
    uint32_t count = def->coll.cols_count;
    if (batch->cols_count < count)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "insert: %u columns given, the collection has %u",
                         batch->cols_count, count);
    LUMA_TRY(lk_core_throttle(ctx, txn->store));
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    LUMA_TRY(lki_large_due(ctx, txn));
    struct lk_view *view = lki_coll_view(h);
    uint32_t idx = view == NULL ? 0 : view->idx_count;
    const struct luma_vec **cols = calloc((size_t)count * 2 + 2, sizeof(*cols));
    in.keys = calloc((size_t)idx + 1, sizeof(*in.keys));
    luma_rc rc = LUMA_OK;
    if (cols == NULL || in.keys == NULL)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "insert: out of memory");
    if (rc == LUMA_OK) {
        in.cols = cols;
        in.by_id = cols + count;
        for (uint32_t i = 0; i < count; i++)
            in.cols[i] = &batch->cols[i];
        for (uint32_t i = 0; i < count; i++)
            in.by_id[i] = &batch->cols[def->positions[i]];
        rc = insert_rows(&in, batch, out_rowids, out_conflicts);
    }
    for (uint32_t i = 0; in.keys != NULL && i < idx; i++)
        lk_bytes_fini(&in.keys[i]);
    free(in.keys);
    free(cols);
    return rc;
}
