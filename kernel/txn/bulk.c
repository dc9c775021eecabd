/*
 * txn/bulk.c - bulk loads: columns become segments that only their transaction sees until it
 * commits; the log gets their names. A load that stays small takes the way of single rows, which
 * suits few rows better and shares objects.
 */
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "txn/large.h"
#include "txn/load.h"
#include "txn/serial.h"

#define BULK_SMALL_ROWS  4096u
#define BULK_SMALL_SHARE 64 /* of the memory budget: what a part keeps back of long rows */

struct kept {
    struct kept *next;
    struct luma_batch batch;
};

struct part {
    struct luma_arena *arena; /* of rows kept back while the load may stay small */
    struct kept *kept, **kept_end;
    uint32_t kept_rows;
    struct lk_segment_writer *writer;
    uint32_t rows; /* in the writer */
    int64_t next_rowid;
    struct lk_segment_info *done;
    uint32_t done_count;
    uint64_t total;
    const struct luma_vec **cols;
    int64_t rowids[LUMA_BATCH_ROWS];
};

struct luma_bulk {
    struct luma_txn *txn;
    struct luma_coll *h;
    struct part *parts;
    uint32_t parts_count;
    struct lki_load *loads; /* one per index */
    uint32_t loads_count;
    _Atomic uint64_t rows;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "bulk load: out of memory");
}

/* --- opening --- */

static luma_rc
loads_open(struct luma_ctx *ctx, struct luma_bulk *bulk)
{
    struct lk_view *view = lki_coll_view(bulk->h);
    bulk->loads = calloc((size_t)view->idx_count + 1, sizeof(*bulk->loads));
    if (bulk->loads == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < view->idx_count; i++) {
        struct lk_cidx *own = NULL;
        LUMA_TRY(lk_cidx_create(ctx, bulk->txn->store, view->idx[i]->def, view->idx[i]->index_def,
                                &own));
        luma_rc rc = lki_load_begin(ctx, own, bulk->parts_count, &bulk->loads[i]);
        bulk->loads_count++;
        lk_cidx_unref(own);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

luma_rc
lki_bulk_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint32_t parts,
              struct luma_bulk **out_bulk)
{
    LUMA_TRY(lk_txn_write_begin(ctx, txn, h->coll));
    if (lki_coll_view(h) == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)h->coll->id);
    struct luma_bulk *bulk = calloc(1, sizeof(*bulk));
    if (bulk == NULL)
        return no_memory(ctx);
    bulk->txn = txn;
    bulk->h = h;
    bulk->parts_count = parts == 0 ? 1 : parts;
    bulk->parts = calloc(bulk->parts_count, sizeof(*bulk->parts));
    luma_rc rc = bulk->parts == NULL ? no_memory(ctx) : LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < bulk->parts_count; i++) {
        struct part *part = &bulk->parts[i];
        part->kept_end = &part->kept;
        part->arena = lk_arena_create(txn->store->budget, 1u << 16);
        part->cols = calloc((size_t)h->def->coll.cols_count + 1, sizeof(*part->cols));
        if (part->arena == NULL || part->cols == NULL)
            rc = no_memory(ctx);
    }
    if (rc == LUMA_OK)
        rc = loads_open(ctx, bulk);
    if (rc != LUMA_OK) {
        lki_bulk_abort(bulk);
        return rc;
    }
    *out_bulk = bulk;
    return LUMA_OK;
}

/* --- appending --- */

static luma_rc
segment_end(struct luma_ctx *ctx, struct part *part)
{
    if (part->writer == NULL)
        return LUMA_OK;
    struct lk_segment_info *done =
        realloc(part->done, (part->done_count + 1) * sizeof(*part->done));
    if (done == NULL)
        return no_memory(ctx);
    part->done = done;
    LUMA_TRY(lk_segment_write_end(ctx, LUMA_TAKE(part->writer), &done[part->done_count]));
    part->done_count++;
    part->rows = 0;
    return LUMA_OK;
}

/* Rows straight into the part's segment and the sorters. */
static luma_rc
part_write(struct luma_ctx *ctx, struct luma_bulk *bulk, uint32_t number,
           const struct luma_batch *batch)
{
    struct part *part = &bulk->parts[number];
    struct lk_store *store = bulk->txn->store;
    const struct lk_def *def = bulk->h->def;
    uint32_t n = batch->sel_rows;
    if (part->writer != NULL && part->rows + n > LK_SEGMENT_ROWS_MAX)
        LUMA_TRY(segment_end(ctx, part));
    if (part->writer == NULL) {
        /* A stretch of ids of its own keeps them contiguous within the segment. */
        part->next_rowid =
            atomic_fetch_add(&bulk->h->coll->next_rowid, (int64_t)LK_SEGMENT_ROWS_MAX);
        LUMA_TRY(
            lk_segment_write_begin(ctx, store->objects, store->formats, &def->coll, &part->writer));
    }
    int64_t first = part->next_rowid;
    LUMA_TRY(
        lk_segment_write_append(ctx, part->writer, batch, NULL, first, NULL, LK_COMMIT_OWN, NULL));
    part->next_rowid += n;
    part->rows += n;
    part->total += n;
    if (bulk->loads_count == 0)
        return LUMA_OK;
    for (uint32_t k = 0; k < n; k++)
        part->rowids[k] = first + k;
    for (uint32_t c = 0; c < def->coll.cols_count; c++)
        part->cols[c] = &batch->cols[c];
    for (uint32_t i = 0; i < bulk->loads_count; i++)
        LUMA_TRY(lki_load_add(ctx, &bulk->loads[i], number, def, part->cols, batch, part->rowids));
    return LUMA_OK;
}

static luma_rc
batch_keep(struct luma_ctx *ctx, struct luma_bulk *bulk, struct part *part,
           const struct luma_batch *batch)
{
    uint32_t cols = bulk->h->def->coll.cols_count;
    struct kept *kept = LUMA_NEW(part->arena, struct kept);
    struct luma_vec *vecs = LUMA_NEW_ARRAY(part->arena, struct luma_vec, cols + 1);
    if (kept == NULL || vecs == NULL)
        return no_memory(ctx);
    for (uint32_t c = 0; c < cols; c++)
        if (lk_data_vec_copy(part->arena, &batch->cols[c], batch->sel, batch->sel_rows, true,
                             &vecs[c]) != LUMA_OK)
            return no_memory(ctx);
    kept->batch.rows = kept->batch.sel_rows = batch->sel_rows;
    kept->batch.cols_count = cols;
    kept->batch.cols = vecs;
    *part->kept_end = kept;
    part->kept_end = &kept->next;
    part->kept_rows += batch->sel_rows;
    return LUMA_OK;
}

static luma_rc
kept_write(struct luma_ctx *ctx, struct luma_bulk *bulk, uint32_t number)
{
    struct part *part = &bulk->parts[number];
    for (struct kept *kept = part->kept; kept != NULL; kept = kept->next)
        LUMA_TRY(part_write(ctx, bulk, number, &kept->batch));
    part->kept = NULL;
    part->kept_end = &part->kept;
    part->kept_rows = 0;
    part->arena->reset(part->arena);
    return LUMA_OK;
}

luma_rc
lki_bulk_append(struct luma_ctx *ctx, struct luma_bulk *bulk, uint32_t number,
                const struct luma_batch *batch)
{
    struct part *part = &bulk->parts[number];
    if (batch->sel_rows == 0)
        return LUMA_OK;
    uint64_t rows = atomic_fetch_add(&bulk->rows, batch->sel_rows) + batch->sel_rows;
    if (rows <= BULK_SMALL_ROWS && part->total == 0 &&
        lk_arena_bytes(part->arena) <= lk_budget_limit(NULL) / BULK_SMALL_SHARE)
        return batch_keep(ctx, bulk, part, batch);
    if (part->total == 0)
        LUMA_TRY(kept_write(ctx, bulk, number));
    return part_write(ctx, bulk, number, batch);
}

/* --- finishing --- */

static luma_rc
segment_publish(struct luma_ctx *ctx, struct luma_bulk *bulk, struct lk_segment_info *info)
{
    struct luma_txn *txn = bulk->txn;
    struct lk_coll *coll = bulk->h->coll;
    struct lk_seg *seg = NULL;
    info->coll_id = coll->id;
    if (!lk_redo_segment(&txn->redo, info))
        return no_memory(ctx);
    LUMA_TRY(lk_seg_create(ctx, txn->store, info->object_id, &seg));
    seg->begin_command = txn->snap.command;
    seg->info.coll_id = coll->id;
    atomic_store(&seg->begin, txn->stamp);
    struct lk_write write = {.kind = LK_WRITE_SEG, .coll = coll};
    write.seg = seg;
    luma_rc rc = lk_txn_write(ctx, txn, &write, NULL);
    if (rc != LUMA_OK) {
        lk_seg_unref(seg);
        return rc;
    }
    struct lk_view_edit edit = {.segs_new = &seg, .segs_new_count = 1};
    lk_rwlock_wrlock(&coll->latch);
    for (uint32_t i = 0; coll->view != NULL && rc == LUMA_OK && i < coll->view->building_count; i++)
        rc = lk_cidx_missed_add(coll->view->idx[coll->view->idx_count + i], seg);
    if (rc == LUMA_OK)
        rc = coll->pending_txn == txn ? lk_coll_edit_pending(coll, &edit)
             : coll->view != NULL     ? lk_coll_edit(coll, &edit)
                                      : LUMA_E_UNDEFINED;
    lk_rwlock_unlock(&coll->latch);
    return rc == LUMA_OK ? rc : no_memory(ctx);
}

struct dup_check {
    struct lki_rowids rows;
    uint32_t key_index[256];
    bool overflow;
};

static void
dup_emit(void *arg, size_t key_index, int64_t rowid)
{
    struct dup_check *check = arg;
    if (check->rows.count < LUMA_COUNTOF(check->key_index))
        check->key_index[check->rows.count] = (uint32_t)key_index;
    lki_rowids_add(&check->rows, rowid);
}

/* Is a key of the load taken by a row that was there? All writers are locked out. */
static luma_rc
dup_one(struct luma_ctx *ctx, struct luma_bulk *bulk, struct lk_cidx *cidx, struct luma_slice key,
        int64_t rowid)
{
    struct lk_place place;
    bool found = false, null = false;
    uint64_t other = 0;
    LUMA_TRY(lki_row_current(ctx, bulk->txn, bulk->h, rowid, NULL, &place, &found, &other));
    if (!found)
        return LUMA_OK;
    struct lk_bytes have;
    lk_bytes_init(&have, NULL);
    luma_rc rc = lk_key_place(ctx, &have, bulk->h->view, cidx, &place, ctx->arena, &null);
    bool same = rc == LUMA_OK && luma_slice_equal(lk_bytes_view(&have), key);
    lk_bytes_fini(&have);
    if (rc == LUMA_OK && same && (!null || cidx->index_def->nulls_not_distinct))
        rc = lki_unique_error(ctx, cidx);
    return rc;
}

static luma_rc
dup_keys(struct luma_ctx *ctx, struct luma_bulk *bulk, struct lk_cidx *cidx, struct lk_index *old,
         const struct luma_slice *keys, uint32_t count)
{
    struct dup_check check;
    lki_rowids_init(&check.rows);
    luma_rc rc = lk_index_find(ctx, old, keys, count, dup_emit, &check);
    if (rc == LUMA_OK && check.rows.failed)
        rc = no_memory(ctx);
    if (rc == LUMA_OK && check.rows.count > LUMA_COUNTOF(check.key_index)) {
        /* More candidates than keys: one key at a time. */
        lki_rowids_fini(&check.rows);
        if (count == 1)
            return LUMA_FAIL(ctx, LUMA_E_LIMIT, "too many candidates of one unique key");
        for (uint32_t i = 0; rc == LUMA_OK && i < count; i++)
            rc = dup_keys(ctx, bulk, cidx, old, &keys[i], 1);
        return rc;
    }
    for (uint32_t i = 0; rc == LUMA_OK && i < check.rows.count; i++)
        rc = dup_one(ctx, bulk, cidx, keys[check.key_index[i]], check.rows.items[i]);
    lki_rowids_fini(&check.rows);
    return rc;
}

#define DUP_KEYS 128

static luma_rc
dups_look(struct luma_ctx *ctx, struct luma_bulk *bulk, struct lk_cidx *cidx, struct lk_index *old)
{
    LUMA_CLEANUP(lk_arena_destroy)
    struct luma_arena *arena = lk_arena_create(bulk->txn->store->budget, 0);
    LUMA_CLEANUP(lk_arena_destroy)
    struct luma_arena *keys_arena = lk_arena_create(bulk->txn->store->budget, 0);
    struct luma_index_range all;
    struct lk_index_cursor *cursor = NULL;
    memset(&all, 0, sizeof(all));
    if (arena == NULL || keys_arena == NULL)
        return no_memory(ctx);
    LUMA_TRY(lk_index_cursor_open(ctx, cidx->index, &all, arena, &cursor));
    luma_rc rc = LUMA_OK;
    bool more = true;
    while (rc == LUMA_OK && more) {
        struct luma_slice keys[DUP_KEYS];
        uint32_t n = 0;
        keys_arena->reset(keys_arena);
        while (rc == LUMA_OK && n < DUP_KEYS) {
            struct luma_index_entry entry;
            rc = lk_index_cursor_next(ctx, cursor, &entry, &more);
            if (rc != LUMA_OK || !more)
                break;
            keys[n].data = luma_arena_copy(keys_arena, entry.key.data, entry.key.bytes);
            keys[n].bytes = entry.key.bytes;
            if (keys[n++].data == NULL)
                rc = no_memory(ctx);
        }
        if (rc == LUMA_OK && n > 0)
            rc = dup_keys(ctx, bulk, cidx, old, keys, n);
    }
    lk_index_cursor_close(cursor);
    return rc;
}

static bool
coll_is_empty(const struct lk_view *view)
{
    uint64_t versions = 0;
    for (uint32_t i = 0; i < view->hots_count; i++)
        versions += atomic_load(&view->hots[i]->versions);
    return versions == 0 && view->segs_count == 0;
}

static luma_rc
indexes_finish(struct luma_ctx *ctx, struct luma_bulk *bulk)
{
    struct luma_txn *txn = bulk->txn;
    struct lk_coll *coll = bulk->h->coll;
    bool unique = false;
    for (uint32_t i = 0; i < bulk->loads_count; i++) {
        LUMA_TRY(lki_load_finish(ctx, txn, &bulk->loads[i]));
        unique = unique || bulk->loads[i].cidx->index_def->unique;
    }
    if (unique)
        LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_coll(coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT));
    struct lk_view *view = lki_coll_view(bulk->h);
    bool empty = coll_is_empty(view);
    for (uint32_t i = 0; i < bulk->loads_count; i++) {
        struct lk_cidx *own = bulk->loads[i].cidx;
        struct lk_cidx *old = lk_view_index(view, own->index_def->id);
        if (own->index_def->unique && !empty && old != NULL) {
            LUMA_TRY(lk_cidx_usable(ctx, coll, old));
            LUMA_TRY(dups_look(ctx, bulk, own, old->index));
            for (struct lk_private_index *p = txn->privates; p != NULL; p = p->next)
                if (p->coll == coll && p->index_id == own->index_def->id)
                    LUMA_TRY(dups_look(ctx, bulk, own, p->cidx->index));
        }
    }
    for (uint32_t i = 0; i < bulk->loads_count; i++) {
        struct lk_private_index *p = malloc(sizeof(*p));
        struct lk_cidx *own = bulk->loads[i].cidx;
        if (p == NULL)
            return no_memory(ctx);
        lk_cidx_ref(own);
        *p = (struct lk_private_index){txn->privates, coll, own->index_def->id, own,
                                       txn->writes_count};
        txn->privates = p;
        for (uint32_t k = 0; k < own->runs_count; k++)
            if (!lk_redo_run(&txn->redo, coll->id, &own->runs[k].info))
                return no_memory(ctx);
    }
    return LUMA_OK;
}

/* A load that stayed small: its rows are inserted one by one. */
static luma_rc
rows_insert(struct luma_ctx *ctx, struct luma_bulk *bulk)
{
    for (uint32_t i = 0; i < bulk->parts_count; i++)
        for (struct kept *kept = bulk->parts[i].kept; kept != NULL; kept = kept->next)
            LUMA_TRY(lki_insert(ctx, bulk->txn, bulk->h, &kept->batch, NULL, NULL, NULL));
    return LUMA_OK;
}

static luma_rc
bulk_publish(struct luma_ctx *ctx, struct luma_bulk *bulk)
{
    if (bulk->txn->serial != NULL)
        LUMA_TRY(lki_serial_write_all(ctx, bulk->txn, bulk->h));
    for (uint32_t i = 0; i < bulk->parts_count; i++) {
        LUMA_TRY(kept_write(ctx, bulk, i));
        LUMA_TRY(segment_end(ctx, &bulk->parts[i]));
    }
    /* Before the segments are seen: the load's own rows are not in its own way. */
    LUMA_TRY(indexes_finish(ctx, bulk));
    lki_large_barrier(bulk->txn);
    for (uint32_t i = 0; i < bulk->parts_count; i++) {
        struct part *part = &bulk->parts[i];
        while (part->done_count > 0) {
            LUMA_TRY(segment_publish(ctx, bulk, &part->done[part->done_count - 1]));
            part->done_count--;
        }
    }
    return LUMA_OK;
}

static bool
is_small(const struct luma_bulk *bulk)
{
    bool all_kept = true;
    for (uint32_t i = 0; i < bulk->parts_count; i++)
        all_kept = all_kept && bulk->parts[i].total == 0;
    return all_kept && atomic_load(&bulk->rows) <= BULK_SMALL_ROWS;
}

luma_rc
lki_bulk_finish(struct luma_ctx *ctx, struct luma_bulk *bulk, uint64_t *out_rows)
{
    uint64_t rows = atomic_load(&bulk->rows);
    luma_rc rc = is_small(bulk) ? rows_insert(ctx, bulk) : bulk_publish(ctx, bulk);
    if (rc == LUMA_OK && out_rows != NULL)
        *out_rows = rows;
    lki_bulk_abort(bulk);
    return rc;
}

void
lki_bulk_abort(struct luma_bulk *bulk)
{
    if (bulk == NULL)
        return;
    struct lk_objects *objects = bulk->txn->store->objects;
    for (uint32_t i = 0; bulk->parts != NULL && i < bulk->parts_count; i++) {
        struct part *part = &bulk->parts[i];
        if (part->writer != NULL)
            lk_segment_write_abort(part->writer);
        for (uint32_t k = 0; k < part->done_count; k++)
            lk_object_remove(objects, LK_OBJECT_SEGMENT, part->done[k].object_id);
        lk_arena_destroy(part->arena);
        free(part->done);
        free(part->cols);
    }
    for (uint32_t i = 0; i < bulk->loads_count; i++)
        lki_load_fini(&bulk->loads[i]);
    free(bulk->loads);
    free(bulk->parts);
    free(bulk);
}
