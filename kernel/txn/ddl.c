/*
 * txn/ddl.c - definitions of collections, changed within transactions.
 */
#include <stdlib.h>

#include "txn/build.h"
#include "txn/load.h"
#include "txn/scan.h"

/* Indexes that were built beside writers. */
struct built {
    struct lk_cidx **idx;
    uint32_t count;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "definition: out of memory");
}

/* Every current row goes into the index; other writers are locked out. */
static luma_rc
index_fill(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, struct lki_load *load)
{
    const struct lk_def *def = h->def;
    const struct luma_store_index *index = load->cidx->index_def;
    uint32_t ids[LK_INDEX_COLS_MAX];
    const struct luma_vec **cols = calloc((size_t)def->coll.cols_count + 1, sizeof(*cols));
    if (cols == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < index->cols_count; i++)
        ids[i] = index->cols[i].col_id;
    struct luma_scan_spec spec = {.cols = ids, .cols_count = index->cols_count, .rowids = true};
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    luma_rc rc = lki_scan_open(ctx, txn, h, &spec, &scan);
    if (rc == LUMA_OK) {
        scan->snap.commit = LK_COMMIT_NEWEST;
        scan->snap.command = UINT32_MAX;
        rc = lki_cursor_open(ctx, scan, &cursor);
    }
    while (rc == LUMA_OK) {
        struct luma_batch *batch = NULL;
        int64_t rowids[LUMA_BATCH_ROWS];
        rc = lki_cursor_next(ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        for (uint32_t k = 0; k < batch->sel_rows; k++)
            rowids[k] = batch->rowids[luma_batch_row(batch, k)];
        for (uint32_t i = 0; i < index->cols_count; i++)
            cols[lk_def_col(def, ids[i])] = &batch->cols[i];
        rc = lki_load_add(ctx, load, 0, def, cols, batch, rowids);
    }
    lki_cursor_close(cursor);
    lki_scan_close(scan);
    free(cols);
    return rc;
}

/* The commit names the runs of a new index. */
static luma_rc
runs_record(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll, struct lk_cidx *cidx)
{
    for (uint32_t i = 0; i < cidx->runs_count; i++) {
        struct lk_write write = {.kind = LK_WRITE_RUN, .coll = coll};
        write.cidx = cidx;
        if (!lk_redo_run(&txn->redo, coll->id, &cidx->runs[i].info))
            return no_memory(ctx);
        LUMA_TRY(lk_txn_write(ctx, txn, &write, NULL));
        lk_cidx_ref(cidx);
    }
    return LUMA_OK;
}

static luma_rc
index_build(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, struct lk_cidx *cidx)
{
    struct lki_load load;
    luma_rc rc = lki_load_begin(ctx, cidx, 1, &load);
    if (rc == LUMA_OK)
        rc = index_fill(ctx, txn, h, &load);
    if (rc == LUMA_OK)
        rc = lki_load_finish(ctx, txn, &load);
    lki_load_fini(&load);
    return rc == LUMA_OK ? runs_record(ctx, txn, h->coll, cidx) : rc;
}

static struct lk_cidx *
built_find(const struct built *built, uint64_t index_id)
{
    for (uint32_t i = 0; i < built->count; i++)
        if (built->idx[i]->index_def->id == index_id)
            return built->idx[i];
    return NULL;
}

/* Indexes that the new view has and the old one has not. */
static luma_rc
indexes_build(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll,
              const struct lk_view *old, struct lk_view *view, const struct built *built)
{
    struct luma_coll h;
    luma_rc rc = LUMA_OK;
    lki_coll_init(&h, coll, txn);
    lk_def_ref(view->def);
    h.def = view->def;
    for (uint32_t i = 0; rc == LUMA_OK && i < view->idx_count; i++) {
        if (built_find(built, view->idx[i]->index_def->id) != NULL)
            rc = runs_record(ctx, txn, coll, view->idx[i]);
        else if (lk_view_index(old, view->idx[i]->index_def->id) == NULL)
            rc = index_build(ctx, txn, &h, view->idx[i]);
    }
    lki_coll_fini(&h);
    return rc;
}

static luma_rc
define(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll, struct lk_def *def,
       const struct built *built)
{
    struct lk_view *old = lk_coll_view(coll, txn), *view = NULL;
    struct lk_bytes bytes;
    luma_rc rc = lk_view_define(ctx, coll, def, old, false, built->idx, built->count, &view);
    lk_bytes_init(&bytes, NULL);
    if (rc == LUMA_OK) {
        lk_view_ref(view); /* for the indexes below */
        rc = lki_pending_set(ctx, txn, coll, view);
    }
    if (rc == LUMA_OK &&
        (!lk_def_write(&def->coll, &bytes) || !lk_bytes_u8(&txn->redo, LK_REDO_DEFINE) ||
         !lk_bytes_varint(&txn->redo, coll->id) ||
         !lk_bytes_sized(&txn->redo, lk_bytes_view(&bytes))))
        rc = no_memory(ctx);
    if (rc == LUMA_OK && old != NULL)
        rc = indexes_build(ctx, txn, coll, old, view, built);
    lk_bytes_fini(&bytes);
    lk_view_unref(view);
    lk_view_unref(old);
    return rc;
}

/* No other transaction writes to the collection until this one ends. */
static luma_rc
writers_out(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll)
{
    LUMA_TRY(lk_txn_write_begin(ctx, txn, coll));
    return lk_lock_take(ctx, txn, lk_lock_coll(coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT);
}

/* Builds what is new while others write. On return writers are locked out. */
static luma_rc
build_all(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll, struct lk_def *def,
          struct built *built)
{
    struct lk_view *old = lk_coll_view(coll, NULL);
    built->idx = calloc((size_t)def->coll.indexes_count + 1, sizeof(struct lk_cidx *));
    luma_rc rc = built->idx == NULL ? no_memory(ctx) : LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && old != NULL && i < def->coll.indexes_count; i++) {
        const struct luma_store_index *index = &def->coll.indexes[i];
        if (lk_view_index(old, index->id) != NULL)
            continue;
        rc = lki_build_online(ctx, txn, coll, def, index, &built->idx[built->count]);
        built->count += rc == LUMA_OK;
    }
    lk_view_unref(old);
    return rc;
}

luma_rc
lk_store_define(struct luma_ctx *ctx, struct luma_txn *txn, const struct luma_store_coll *def)
{
    struct lk_coll *coll = NULL;
    struct lk_def *copy = NULL;
    for (uint32_t i = 0; i < def->indexes_count; i++)
        if (def->indexes[i].cols_count == 0 || def->indexes[i].cols_count > LK_INDEX_COLS_MAX)
            return LUMA_FAIL(ctx, LUMA_E_LIMIT, "an index has 1 to %u columns", LK_INDEX_COLS_MAX);
    LUMA_TRY(lk_coll_ensure(ctx, txn->store, def->id, &coll));
    if (lk_def_create(def, &copy) != LUMA_OK)
        return no_memory(ctx);
    struct built built = {NULL, 0};
    luma_rc rc = lk_txn_stamp_take(ctx, txn);
    if (rc == LUMA_OK)
        rc = lk_lock_take(ctx, txn, lk_lock_def(coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT);
    if (rc == LUMA_OK && lki_build_is_online(txn, coll, copy))
        rc = build_all(ctx, txn, coll, copy, &built);
    if (rc == LUMA_OK)
        rc = writers_out(ctx, txn, coll);
    if (rc == LUMA_OK)
        rc = define(ctx, txn, coll, copy, &built);
    for (uint32_t i = 0; i < built.count; i++) {
        if (rc != LUMA_OK)
            lk_cidx_runs_discard(txn->store, built.idx[i], txn->stamp);
        lk_cidx_unref(built.idx[i]);
    }
    free(built.idx);
    lk_def_unref(copy);
    return rc;
}

luma_rc
lk_store_drop(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t coll_id)
{
    struct lk_coll *coll = lk_coll_find(txn->store, coll_id);
    if (coll == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu does not exist",
                         (unsigned long long)coll_id);
    LUMA_TRY(lk_txn_stamp_take(ctx, txn));
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_def(coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT));
    LUMA_TRY(writers_out(ctx, txn, coll));
    LUMA_TRY(lki_pending_set(ctx, txn, coll, NULL));
    if (!lk_bytes_u8(&txn->redo, LK_REDO_DROP) || !lk_bytes_varint(&txn->redo, coll_id))
        return no_memory(ctx);
    return LUMA_OK;
}
