/*
 * txn/scan.c - scans: morsels are groups of segments and shards of hot tables.
 */
#include "txn/scan.h"

#include <stdlib.h>

#include "data/shred.h"
#include "txn/age.h"
#include "txn/serial.h"

#define SCAN_WHOLE_HOT                                                        \
    16384u /* versions up to which a hot table is one morsel, in row id order \
            */

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "scan: out of memory");
}

static uint32_t
hot_morsels(const struct lk_hot *hot)
{
    uint64_t versions = atomic_load_explicit(&hot->versions, memory_order_relaxed);
    return versions == 0 ? 0 : versions <= SCAN_WHOLE_HOT ? 1 : LK_HOT_SHARDS;
}

static luma_rc
morsels_list(struct luma_ctx *ctx, struct luma_scan *scan)
{
    const struct lk_view *view = scan->view;
    size_t count = (size_t)view->hots_count * LK_HOT_SHARDS;
    for (uint32_t i = 0; i < view->segs_count; i++)
        count += view->segs[i]->groups_count;
    scan->morsels = malloc((count + 1) * sizeof(scan->morsels[0]));
    if (scan->morsels == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < view->segs_count; i++) {
        struct lk_seg *seg = view->segs[i];
        if (lk_seg_begin_none(seg, &scan->snap))
            continue;
        scan->stats.segments++;
        for (uint32_t g = 0; g < seg->groups_count; g++)
            scan->morsels[scan->morsels_count++] = (struct lki_morsel){.seg = seg, .from = g};
    }
    for (uint32_t i = view->hots_count; i > 0; i--) {
        uint32_t parts = hot_morsels(view->hots[i - 1]);
        for (uint32_t k = 0; k < parts; k++)
            scan->morsels[scan->morsels_count++] = (struct lki_morsel){
                .hot = view->hots[i - 1],
                .from = k * (LK_HOT_SHARDS / parts),
                .to = (k + 1) * (LK_HOT_SHARDS / parts),
            };
    }
    return LUMA_OK;
}

luma_rc
lki_scan_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
              const struct luma_scan_spec *spec, struct luma_scan **out_scan)
{
    struct lk_view *view = lki_coll_view(h);
    if (view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)h->coll->id);
    if (LUMA_UNLIKELY(txn->serial != NULL))
        LUMA_TRY(lki_serial_read(ctx, txn, h, NULL, NULL, spec));
    struct luma_scan *scan = calloc(1, sizeof(*scan));
    if (scan == NULL)
        return no_memory(ctx);
    lk_view_ref(view);
    lk_def_ref(h->def);
    scan->txn = txn;
    scan->view = view;
    scan->def = h->def;
    scan->spec = *spec;
    scan->snap = txn->snap;
    scan->snap.seen = 0;
    lki_reader_add(txn, &scan->reader);
    luma_rc rc = morsels_list(ctx, scan);
    if (rc != LUMA_OK) {
        lki_scan_close(scan);
        return rc;
    }
    *out_scan = scan;
    return LUMA_OK;
}

uint32_t
lki_scan_morsels(const struct luma_scan *scan)
{
    uint32_t next = atomic_load_explicit(&scan->next, memory_order_relaxed);
    return next >= scan->morsels_count ? 0 : scan->morsels_count - next;
}

void
lki_scan_stats(const struct luma_scan *scan, struct luma_scan_stats *out)
{
    *out = scan->stats;
    out->groups = atomic_load(&scan->groups);
    out->groups_skipped = atomic_load(&scan->groups_skipped);
    out->rows_hot = atomic_load(&scan->rows_hot);
    out->rows_read = atomic_load(&scan->rows_read);
    out->rows_out = atomic_load(&scan->rows_out);
}

void
lki_scan_close(struct luma_scan *scan)
{
    if (scan == NULL)
        return;
    lki_reader_remove(scan->txn, &scan->reader);
    free(scan->morsels);
    lk_view_unref(scan->view);
    lk_def_unref(scan->def);
    free(scan);
}

/* --- cursors --- */

luma_rc
lki_cursor_open(struct luma_ctx *ctx, struct luma_scan *scan, struct luma_cursor **out_cursor)
{
    struct luma_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL)
        return no_memory(ctx);
    cursor->scan = scan;
    cursor->txn = scan->txn;
    cursor->view = scan->view;
    cursor->spec = scan->spec;
    cursor->snap = scan->snap;
    cursor->arena = lk_arena_create(scan->txn->store->budget, 1u << 14);
    if (cursor->arena == NULL) {
        lki_cursor_close(cursor);
        return no_memory(ctx);
    }
    *out_cursor = cursor;
    return LUMA_OK;
}

void
lki_cursor_close(struct luma_cursor *cursor)
{
    if (cursor == NULL)
        return;
    if (cursor->segment_cursor != NULL)
        lk_segment_cursor_close(cursor->segment_cursor);
    if (cursor->index_scan != NULL)
        lki_index_scan_close(cursor->index_scan);
    lki_reader_remove(cursor->txn, &cursor->reader);
    lk_txn_saw(cursor->txn, cursor->snap.seen);
    lk_versions_fini(&cursor->versions);
    lk_arena_destroy(cursor->arena);
    free(cursor);
}

/* Which rows of a window the snapshot sees: begun, and not ended. */
static luma_rc
window_live(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    struct luma_cursor *cursor = arg;
    struct lk_seg *seg = cursor->seg;
    if (!lk_seg_begin_all(seg, &cursor->snap)) {
        const uint64_t *begins = NULL, *ends = NULL;
        LUMA_TRY(lk_segment_cursor_commits(cursor->ctx, cursor->segment_cursor, first_row, n,
                                           &begins, &ends));
        for (uint32_t i = 0; begins != NULL && i < n; i++)
            if (begins[i] > cursor->snap.commit)
                luma_bit_clear(bits, i);
    }
    return lk_seg_live(seg, &cursor->snap, first_row, n, bits);
}

static luma_rc
segment_next(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch **out_batch,
             bool *out_more)
{
    cursor->ctx = ctx;
    return lk_segment_cursor_next(ctx, cursor->segment_cursor, window_live, cursor, out_batch,
                                  out_more);
}

static int
by_rowid(const void *a, const void *b)
{
    int64_t ra = (*(struct lk_version *const *)a)->rowid;
    int64_t rb = (*(struct lk_version *const *)b)->rowid;
    return (ra > rb) - (ra < rb);
}

static luma_rc
morsel_begin(struct luma_ctx *ctx, struct luma_cursor *cursor, const struct lki_morsel *morsel)
{
    struct luma_scan *scan = cursor->scan;
    if (morsel->hot != NULL) {
        cursor->versions.count = cursor->at = 0;
        for (uint32_t s = morsel->from; s < morsel->to; s++)
            if (lk_hot_collect(morsel->hot, s, &cursor->snap, cursor->view->gen,
                               &cursor->versions) != LUMA_OK)
                return no_memory(ctx);
        if (cursor->versions.count > 1)
            qsort(cursor->versions.items, cursor->versions.count, sizeof(cursor->versions.items[0]),
                  by_rowid);
        atomic_fetch_add_explicit(&scan->rows_hot, cursor->versions.count, memory_order_relaxed);
        return LUMA_OK;
    }
    LUMA_TRY(lk_seg_usable(ctx, morsel->seg));
    atomic_fetch_add_explicit(&scan->groups, 1, memory_order_relaxed);
    if (!lk_segment_group_may(morsel->seg->segment, morsel->from, &cursor->spec)) {
        atomic_fetch_add_explicit(&scan->groups_skipped, 1, memory_order_relaxed);
        return LUMA_OK;
    }
    if (cursor->segment_cursor == NULL)
        LUMA_TRY(
            lk_segment_cursor_open(ctx, &scan->def->coll, &cursor->spec, &cursor->segment_cursor));
    LUMA_TRY(
        lk_segment_cursor_seek(ctx, cursor->segment_cursor, morsel->seg->segment, morsel->from));
    if (lk_segment_cursor_dead(cursor->segment_cursor)) {
        atomic_fetch_add_explicit(&scan->groups_skipped, 1, memory_order_relaxed);
        return LUMA_OK;
    }
    atomic_fetch_add_explicit(&scan->rows_read,
                              lk_segment_group_rows(morsel->seg->segment, morsel->from),
                              memory_order_relaxed);
    cursor->seg = morsel->seg;
    return LUMA_OK;
}

/* A batch of hot rows in cursor->batch, predicates applied. */
static luma_rc
hot_next(struct luma_ctx *ctx, struct luma_cursor *cursor)
{
    uint32_t n = LK_MIN(cursor->versions.count - cursor->at, (uint32_t)LUMA_BATCH_ROWS);
    struct luma_arena *arena = cursor->arena;
    arena->reset(arena);
    struct lk_place *places = LUMA_NEW_ARRAY(arena, struct lk_place, n);
    if (places == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < n; i++) {
        places[i].hot = cursor->view->hots[0]; /* says "not in a segment" */
        places[i].version = cursor->versions.items[cursor->at + i];
        cursor->rowids[i] = places[i].version->rowid;
    }
    cursor->at += n;
    return lki_cursor_fill(ctx, cursor, places, n);
}

luma_rc
lki_cursor_fill(struct luma_ctx *ctx, struct luma_cursor *cursor, const struct lk_place *places,
                uint32_t n)
{
    struct luma_batch *batch = &cursor->batch;
    LUMA_TRY(lki_places_batch(ctx, cursor->view, places, n, cursor->spec.cols,
                              cursor->spec.cols_count, cursor->arena, batch));
    batch->rowids = cursor->spec.rowids ? cursor->rowids : NULL;
    for (uint32_t i = 0; cursor->spec.paths != NULL && i < cursor->spec.cols_count; i++) {
        struct luma_vec docs = batch->cols[i];
        if (cursor->spec.paths[i].steps_count > 0)
            LUMA_TRY(lk_data_path_of(ctx, cursor->arena, &docs, &cursor->spec.paths[i], NULL, n, n,
                                     &batch->cols[i]));
    }
    if (cursor->spec.preds_count > 0) {
        batch->sel_rows = lki_preds_apply(&cursor->spec, batch, cursor->sel);
        if (batch->sel_rows < n)
            batch->sel = cursor->sel;
    }
    return LUMA_OK;
}

static luma_rc
scan_next(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch **out_batch)
{
    struct luma_scan *scan = cursor->scan;
    for (;;) {
        if (cursor->seg != NULL) {
            struct luma_batch *batch = NULL;
            bool more = false;
            LUMA_TRY(segment_next(ctx, cursor, &batch, &more));
            if (!more) {
                cursor->seg = NULL;
            } else if (batch->sel_rows > 0) {
                *out_batch = batch;
                return LUMA_OK;
            }
            continue;
        }
        if (cursor->at < cursor->versions.count) {
            LUMA_TRY(hot_next(ctx, cursor));
            if (cursor->batch.sel_rows > 0) {
                *out_batch = &cursor->batch;
                return LUMA_OK;
            }
            continue;
        }
        uint32_t next = atomic_fetch_add_explicit(&scan->next, 1, memory_order_relaxed);
        if (next >= scan->morsels_count) {
            memset(&cursor->batch, 0, sizeof(cursor->batch));
            *out_batch = &cursor->batch;
            return LUMA_OK;
        }
        LUMA_TRY(morsel_begin(ctx, cursor, &scan->morsels[next]));
    }
}

luma_rc
lki_cursor_next(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch **out_batch)
{
    if (lki_snapshot_is_old(cursor->txn))
        return lki_snapshot_old(ctx);
    luma_rc rc = cursor->index_scan != NULL ? lki_index_scan_next(ctx, cursor, out_batch)
                                            : scan_next(ctx, cursor, out_batch);
    lk_txn_saw(cursor->txn, cursor->snap.seen);
    if (rc == LUMA_OK && cursor->scan != NULL)
        atomic_fetch_add_explicit(&cursor->scan->rows_out, (*out_batch)->sel_rows,
                                  memory_order_relaxed);
    return rc;
}

luma_rc
lki_cursor_load(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch *batch,
                uint32_t col)
{
    if (batch == &cursor->batch)
        return LUMA_OK; /* hot rows were decoded whole */
    return lk_segment_cursor_load(ctx, cursor->segment_cursor, batch, col);
}

uint64_t
lki_cursor_fields(const struct luma_cursor *cursor)
{
    return cursor->seg == NULL ? 0 : lk_segment_cursor_fields(cursor->segment_cursor);
}
