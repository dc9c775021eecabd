/*
 * txn/host.c - lk_store_host: opening collections, their statistics, and the table of functions.
 */
#include <stdlib.h>

#include "txn/age.h"
#include "txn/coll.h"

static luma_rc
coll_open(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t coll_id, struct luma_coll **out_coll)
{
    struct lk_coll *coll = lk_coll_find(txn->store, coll_id);
    uint64_t serial =
        coll == NULL ? 0 : atomic_load_explicit(&coll->view_serial, memory_order_acquire);
    struct lk_view *view = coll == NULL ? NULL : lk_coll_view(coll, txn);
    if (view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu does not exist",
                         (unsigned long long)coll_id);
    if (coll->rows_broken != NULL) {
        lk_view_unref(view);
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s", coll->rows_broken);
    }
    if (txn->as_of && atomic_load(&coll->history_from) > txn->snap.commit) {
        lk_view_unref(view);
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                             "snapshot too old: the table has been made, truncated or redefined "
                             "since");
    }
    struct luma_coll *h = malloc(sizeof(*h));
    if (h == NULL) {
        lk_view_unref(view);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "collection: out of memory");
    }
    lki_coll_init(h, coll, txn);
    h->view = view;
    h->serial = serial;
    h->def = view->def;
    lk_def_ref(h->def);
    *out_coll = h;
    return LUMA_OK;
}

static void
coll_close(struct luma_coll *h)
{
    if (h == NULL)
        return;
    lki_coll_fini(h);
    free(h);
}

static const struct luma_store_coll *
coll_def(const struct luma_coll *h)
{
    return &h->def->coll;
}

static uint64_t
coll_rows_estimate(struct luma_coll *h)
{
    struct lk_view *view = lki_coll_view(h);
    uint64_t rows = 0;
    for (uint32_t i = 0; view != NULL && i < view->segs_count; i++) {
        uint64_t deleted = lk_seg_deleted(view->segs[i]);
        rows += view->segs[i]->info.rows > deleted ? view->segs[i]->info.rows - deleted : 0;
    }
    for (uint32_t i = 0; view != NULL && i < view->hots_count; i++) {
        uint32_t hot_rows = 0;
        for (uint32_t s = 0; s < LK_HOT_SHARDS; s++)
            hot_rows += view->hots[i]->shards[s].rows;
        rows += i == 0 ? hot_rows : 0;
    }
    return rows;
}

static void
stats_add(struct luma_col_stats *sum, const struct luma_col_stats *more)
{
    if (!sum->known) {
        *sum = *more;
        return;
    }
    uint64_t rows = sum->rows + more->rows;
    if (rows > 0)
        sum->width_bytes =
            (sum->width_bytes * (double)sum->rows + more->width_bytes * (double)more->rows) /
            (double)rows;
    /* Segments hold rows of different times: keys go on, categories repeat. */
    bool keys = more->distinct > 0.5 * (double)more->rows;
    sum->distinct = keys ? sum->distinct + more->distinct : LK_MAX(sum->distinct, more->distinct);
    sum->rows = rows;
    sum->nulls += more->nulls;
    if (sum->min.is_null ||
        (!more->min.is_null && lk_data_value_compare(&more->min, &sum->min) < 0))
        sum->min = more->min;
    if (sum->max.is_null ||
        (!more->max.is_null && lk_data_value_compare(&more->max, &sum->max) > 0))
        sum->max = more->max;
}

static void
coll_col_stats(struct luma_coll *h, uint32_t col_id, struct luma_col_stats *out)
{
    struct lk_view *view = lki_coll_view(h);
    memset(out, 0, sizeof(*out));
    out->min.is_null = out->max.is_null = true;
    for (uint32_t i = 0; view != NULL && i < view->segs_count; i++) {
        struct luma_col_stats one;
        if (view->segs[i]->segment != NULL &&
            lk_segment_col_stats(view->segs[i]->segment, col_id, &one))
            stats_add(out, &one);
    }
}

static uint64_t
coll_bytes(struct luma_coll *h)
{
    struct lk_view *view = lki_coll_view(h);
    uint64_t bytes = 0;
    for (uint32_t i = 0; view != NULL && i < view->segs_count; i++)
        bytes += view->segs[i]->info.bytes;
    for (uint32_t i = 0; view != NULL && i < view->hots_count; i++)
        bytes += atomic_load(&view->hots[i]->bytes);
    return bytes;
}

static uint64_t
coll_index_bytes(struct luma_coll *h, uint64_t index_id)
{
    struct lk_view *view = lki_coll_view(h);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, index_id);
    return cidx == NULL ? 0 : lk_index_bytes(cidx->index) + lk_index_hot_bytes(cidx->index);
}

/* --- the store itself --- */

static luma_rc
no_store(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_SHUTDOWN, "the store is closed");
}

static luma_rc
store_checkpoint(struct luma_ctx *ctx)
{
    struct lk_store *store = lk_store_current();
    return store == NULL ? no_store(ctx) : lk_store_checkpoint(ctx, store);
}

static luma_rc
store_flush(struct luma_ctx *ctx, uint64_t coll_id)
{
    struct lk_store *store = lk_store_current();
    return store == NULL ? no_store(ctx) : lk_store_flush(ctx, store, coll_id);
}

static luma_rc
store_reindex(struct luma_ctx *ctx, uint64_t coll_id, uint64_t index_id)
{
    struct lk_store *store = lk_store_current();
    struct lk_coll *coll = store == NULL ? NULL : lk_coll_find(store, coll_id);
    struct lk_view *view = coll == NULL ? NULL : lk_coll_view(coll, NULL);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; view != NULL && rc == LUMA_OK && i < view->idx_count; i++)
        if (index_id == 0 || view->idx[i]->index_def->id == index_id)
            rc = lk_cidx_rebuild(ctx, coll, view->idx[i]);
    lk_view_unref(view);
    return rc;
}

const struct luma_host_store lk_store_host = {
    .head = {sizeof(struct luma_host_store), 1, 0},
    .open = coll_open,
    .close = coll_close,
    .def = coll_def,
    .rows_estimate = coll_rows_estimate,
    .col_stats = coll_col_stats,
    .bytes = coll_bytes,
    .index_bytes = coll_index_bytes,
    .scan_open = lki_use_scan_open,
    .scan_morsels = lki_scan_morsels,
    .scan_stats = lki_scan_stats,
    .scan_close = lki_scan_close,
    .cursor_open = lki_cursor_open,
    .cursor_next = lki_cursor_next,
    .cursor_load = lki_cursor_load,
    .cursor_close = lki_cursor_close,
    .fetch = lki_use_fetch,
    .get = lki_use_get,
    .probe = lki_use_probe,
    .index_scan = lki_use_index_scan,
    .index_estimate = lki_index_estimate,
    .insert = lki_use_insert,
    .lock = lki_use_lock,
    .update = lki_use_update,
    .remove = lki_use_remove,
    .truncate = lki_truncate,
    .bulk_open = lki_bulk_open,
    .bulk_append = lki_bulk_append,
    .bulk_finish = lki_bulk_finish,
    .bulk_abort = lki_bulk_abort,
    .checkpoint = store_checkpoint,
    .flush = store_flush,
    .reindex = store_reindex,
    .parts = lki_store_parts,
    .cursor_fields = lki_cursor_fields,
};
