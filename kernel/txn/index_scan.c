/*
 * txn/index_scan.c - ranges of an index in key order: entries are candidates, the rows decide.
 */
#include <stdlib.h>

#include "txn/scan.h"
#include "txn/serial.h"

#define CHUNK_MIN 64u /* rows of the first batch: LIMIT 1 should not read 2048 */

/* One index: the collection's, or one of a bulk load of this transaction. */
struct source {
    struct lk_index_cursor *cursor;
    struct luma_index_entry entry;
    bool more;
};

struct lki_index_scan {
    struct lk_coll *coll;
    struct lk_cidx *cidx; /* held */
    struct lk_view *view; /* held */
    struct luma_arena *arena;
    struct source *sources;
    uint32_t sources_count;
    struct lk_bytes lo, hi, scratch;
    bool reverse;
    uint32_t bounded; /* columns that a bound speaks of: nulls do not satisfy it */
    uint32_t chunk;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index scan: out of memory");
}

void
lki_index_scan_close(struct lki_index_scan *scan)
{
    if (scan == NULL)
        return;
    for (uint32_t i = 0; i < scan->sources_count; i++)
        lk_index_cursor_close(scan->sources[i].cursor);
    lk_bytes_fini(&scan->lo);
    lk_bytes_fini(&scan->hi);
    lk_bytes_fini(&scan->scratch);
    lk_arena_destroy(scan->arena);
    lk_cidx_unref(scan->cidx);
    lk_view_unref(scan->view);
    free(scan);
}

/* Bounds as bytes. Values are in the order of the columns' types; where the column that tells the
 * bounds apart is stored descending, low and high change places. */
static luma_rc
range_make(struct lk_cidx *cidx, const struct luma_key_range *range, struct lk_bytes *lo,
           struct lk_bytes *hi, struct luma_index_range *out)
{
    memset(out, 0, sizeof(*out));
    if (range == NULL)
        return LUMA_OK;
    LUMA_TRY(lk_key_values(lo, cidx, range->lo, range->lo_count, NULL));
    LUMA_TRY(lk_key_values(hi, cidx, range->hi, range->hi_count, NULL));
    out->lo = range->lo_count == 0 ? luma_slice(NULL, 0) : lk_bytes_view(lo);
    out->hi = range->hi_count == 0 ? luma_slice(NULL, 0) : lk_bytes_view(hi);
    out->lo_exclusive = range->lo_exclusive;
    out->hi_exclusive = range->hi_exclusive;
    out->reverse = range->reverse;
    uint32_t count = LK_MAX(range->lo_count, range->hi_count);
    if (count > 0 && (cidx->index_def->cols[count - 1].flags & LUMA_KEY_DESC)) {
        struct luma_slice low = out->lo;
        out->lo = out->hi;
        out->hi = low;
        out->lo_exclusive = range->hi_exclusive;
        out->hi_exclusive = range->lo_exclusive;
    }
    return LUMA_OK;
}

static uint32_t
bounded_columns(const struct luma_key_range *range)
{
    uint32_t n = 0;
    if (range == NULL)
        return 0;
    while (n < range->lo_count && !range->lo[n].is_null)
        n++;
    uint32_t m = 0;
    while (m < range->hi_count && !range->hi[m].is_null)
        m++;
    return LK_MAX(n, m);
}

static luma_rc
source_step(struct luma_ctx *ctx, struct lki_index_scan *scan, struct source *source)
{
    luma_rc rc = lk_index_cursor_next(ctx, source->cursor, &source->entry, &source->more);
    if (LUMA_UNLIKELY(rc == LUMA_E_CORRUPT) && source == scan->sources)
        lk_cidx_damage(scan->coll, scan->cidx, ctx->error->message);
    return rc;
}

static luma_rc
source_open(struct luma_ctx *ctx, struct lki_index_scan *scan, struct lk_index *index,
            const struct luma_index_range *range)
{
    struct source *source = &scan->sources[scan->sources_count];
    LUMA_TRY(lk_index_cursor_open(ctx, index, range, scan->arena, &source->cursor));
    scan->sources_count++;
    return source_step(ctx, scan, source);
}

/* The collection's own index; one that turns out to be damaged here is rebuilt first. */
static luma_rc
first_open(struct luma_ctx *ctx, struct lki_index_scan *scan, const struct luma_index_range *range)
{
    LUMA_TRY(lk_cidx_usable(ctx, scan->coll, scan->cidx));
    luma_rc rc = source_open(ctx, scan, scan->cidx->index, range);
    if (LUMA_LIKELY(rc != LUMA_E_CORRUPT))
        return rc;
    lk_cidx_damage(scan->coll, scan->cidx, ctx->error->message);
    luma_error_reset(ctx->error);
    if (scan->sources_count > 0)
        lk_index_cursor_close(scan->sources[--scan->sources_count].cursor);
    LUMA_TRY(lk_cidx_usable(ctx, scan->coll, scan->cidx));
    return source_open(ctx, scan, scan->cidx->index, range);
}

static luma_rc
sources_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
             struct lki_index_scan *scan, const struct luma_index_range *range)
{
    uint32_t count = 1;
    for (struct lk_private_index *p = txn->privates; p != NULL; p = p->next)
        count++;
    scan->sources = LUMA_NEW_ARRAY(scan->arena, struct source, count);
    if (scan->sources == NULL)
        return no_memory(ctx);
    LUMA_TRY(first_open(ctx, scan, range));
    for (struct lk_private_index *p = txn->privates; p != NULL; p = p->next)
        if (p->coll == h->coll && p->index_id == scan->cidx->index_def->id)
            LUMA_TRY(source_open(ctx, scan, p->cidx->index, range));
    return LUMA_OK;
}

luma_rc
lki_index_scan(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
               const struct luma_key_range *range, const struct luma_scan_spec *spec,
               struct luma_cursor **out_cursor)
{
    struct lk_view *view = lki_coll_view(h);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, index_id);
    if (cidx == NULL)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "index %llu has gone",
                         (unsigned long long)index_id);
    struct luma_cursor *cursor = calloc(1, sizeof(*cursor));
    struct lki_index_scan *scan = calloc(1, sizeof(*scan));
    if (cursor == NULL || scan == NULL) {
        free(cursor);
        free(scan);
        return no_memory(ctx);
    }
    lk_cidx_ref(cidx);
    lk_view_ref(view);
    scan->coll = h->coll;
    scan->cidx = cidx;
    scan->view = view;
    scan->chunk = CHUNK_MIN;
    scan->reverse = range != NULL && range->reverse;
    scan->bounded = bounded_columns(range);
    scan->arena = lk_arena_create(txn->store->budget, 0);
    cursor->index_scan = scan;
    cursor->txn = txn;
    cursor->view = view;
    cursor->spec = *spec;
    cursor->snap = txn->snap;
    cursor->snap.seen = 0;
    lki_reader_add(txn, &cursor->reader);
    cursor->arena = lk_arena_create(txn->store->budget, 0);
    struct luma_index_range bytes;
    luma_rc rc = scan->arena == NULL || cursor->arena == NULL ? no_memory(ctx) : LUMA_OK;
    if (rc == LUMA_OK && range_make(cidx, range, &scan->lo, &scan->hi, &bytes) != LUMA_OK)
        rc = no_memory(ctx);
    if (rc == LUMA_OK && txn->serial != NULL)
        rc = lki_serial_read(ctx, txn, h, cidx, &bytes, spec);
    if (rc == LUMA_OK)
        rc = sources_open(ctx, txn, h, scan, &bytes);
    if (rc != LUMA_OK) {
        lki_cursor_close(cursor);
        return rc;
    }
    *out_cursor = cursor;
    return LUMA_OK;
}

/* The source whose entry is next in the scan's direction; NULL: all are at their end. */
static struct source *
source_next(struct lki_index_scan *scan)
{
    struct source *best = NULL;
    for (uint32_t i = 0; i < scan->sources_count; i++) {
        struct source *s = &scan->sources[i];
        if (!s->more)
            continue;
        int c = best == NULL ? -1 : luma_slice_compare(s->entry.key, best->entry.key);
        if (scan->reverse && best != NULL)
            c = -c;
        if (c < 0)
            best = s;
    }
    return best;
}

/* Does the row, as the snapshot sees it, have the entry's key? */
static luma_rc
entry_judge(struct luma_ctx *ctx, struct luma_cursor *cursor, const struct luma_index_entry *entry,
            struct lk_place *place, bool *out_fits)
{
    struct lki_index_scan *scan = cursor->index_scan;
    bool found = false, null = false;
    *out_fits = false;
    LUMA_TRY(lk_row_find(ctx, cursor->view, entry->rowid, &cursor->snap, place, &found));
    if (!found)
        return LUMA_OK;
    lk_bytes_reset(&scan->scratch);
    LUMA_TRY(
        lk_key_place(ctx, &scan->scratch, cursor->view, scan->cidx, place, cursor->arena, &null));
    if (!luma_slice_equal(lk_bytes_view(&scan->scratch), entry->key))
        return LUMA_OK;
    for (uint32_t i = 0; null && i < scan->bounded; i++) {
        struct luma_value value;
        LUMA_TRY(lk_place_value(ctx, cursor->view, place, scan->cidx->index_def->cols[i].col_id,
                                cursor->arena, &value));
        if (value.is_null)
            return LUMA_OK;
    }
    *out_fits = true;
    return LUMA_OK;
}

luma_rc
lki_index_scan_next(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch **out_batch)
{
    struct lki_index_scan *scan = cursor->index_scan;
    for (;;) {
        struct luma_arena *arena = cursor->arena;
        uint32_t n = 0;
        arena->reset(arena);
        struct lk_place *places = LUMA_NEW_ARRAY(arena, struct lk_place, scan->chunk);
        struct source *source = source_next(scan);
        if (places == NULL)
            return no_memory(ctx);
        if (source == NULL) {
            memset(&cursor->batch, 0, sizeof(cursor->batch));
            *out_batch = &cursor->batch;
            return LUMA_OK;
        }
        while (source != NULL && n < scan->chunk) {
            bool fits = false;
            LUMA_TRY(entry_judge(ctx, cursor, &source->entry, &places[n], &fits));
            if (fits)
                cursor->rowids[n++] = source->entry.rowid;
            LUMA_TRY(source_step(ctx, scan, source));
            source = source_next(scan);
        }
        scan->chunk = LK_MIN(scan->chunk * 2, (uint32_t)LUMA_BATCH_ROWS);
        if (n == 0)
            continue;
        LUMA_TRY(lki_cursor_fill(ctx, cursor, places, n));
        if (cursor->batch.sel_rows > 0) {
            *out_batch = &cursor->batch;
            return LUMA_OK;
        }
    }
}

uint64_t
lki_index_estimate(struct luma_ctx *ctx, struct luma_coll *h, uint64_t index_id,
                   const struct luma_key_range *range)
{
    struct lk_view *view = lki_coll_view(h);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, index_id);
    struct lk_bytes lo, hi;
    struct luma_index_range bytes;
    uint64_t estimate = 0;
    lk_bytes_init(&lo, NULL);
    lk_bytes_init(&hi, NULL);
    if (cidx != NULL && range_make(cidx, range, &lo, &hi, &bytes) == LUMA_OK)
        estimate = lk_index_estimate(ctx, cidx->index, &bytes);
    lk_bytes_fini(&lo);
    lk_bytes_fini(&hi);
    return estimate;
}
