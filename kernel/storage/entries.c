/*
 * storage/entries.c - the index entries of rows that are there already: what an index is built of
 * when it comes later than its rows, or anew when it was lost.
 *
 * Entries of every version that somebody may see are given, of versions in progress too: an entry
 * is a candidate, and who looks it up judges the row.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/core.h"

struct sink {
    struct luma_ctx *ctx;
    const struct lk_entries *spec;
    const struct lk_seg *seg; /* being read */
    struct lk_bytes keys;
    uint32_t *ends;
    bool *nulls;
    struct luma_index_entry *entries;
    uint32_t count, room;
    bool failed;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index entries: out of memory");
}

static bool
sink_room(struct sink *s)
{
    if (s->count < s->room)
        return true;
    uint32_t room = s->room == 0 ? LUMA_BATCH_ROWS : s->room * 2;
    uint32_t *ends = realloc(s->ends, room * sizeof(*ends));
    s->ends = ends == NULL ? s->ends : ends;
    bool *nulls = realloc(s->nulls, room * sizeof(*nulls));
    s->nulls = nulls == NULL ? s->nulls : nulls;
    struct luma_index_entry *entries = realloc(s->entries, room * sizeof(*entries));
    s->entries = entries == NULL ? s->entries : entries;
    if (ends == NULL || nulls == NULL || entries == NULL)
        return false;
    s->room = room;
    return true;
}

static void
sink_fini(struct sink *s)
{
    lk_bytes_fini(&s->keys);
    free(s->ends);
    free(s->nulls);
    free(s->entries);
}

/* Hands over what was gathered. The keys no longer move: entries may point into them. */
static luma_rc
sink_give(struct sink *s)
{
    uint32_t count = s->count;
    if (s->failed)
        return no_memory(s->ctx);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t begin = i == 0 ? 0 : s->ends[i - 1];
        s->entries[i].key = luma_slice(s->keys.data + begin, s->ends[i] - begin);
    }
    s->count = 0;
    luma_rc rc =
        count == 0 ? LUMA_OK : s->spec->add(s->spec->arg, s->ctx, s->entries, s->nulls, count);
    lk_bytes_reset(&s->keys);
    return rc;
}

static bool
ended_for_all(const struct lk_entries *spec, uint64_t end)
{
    return end != LK_STAMP_NONE && end <= spec->horizon;
}

/* --- segments --- */

static luma_rc
window_live(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    struct sink *s = arg;
    struct lk_seg *seg = (struct lk_seg *)(uintptr_t)s->seg;
    if (!atomic_load_explicit(&seg->has_deletes, memory_order_acquire))
        return LUMA_OK;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t command = 0;
        if (ended_for_all(s->spec, lk_seg_end_of(seg, s->spec->slots, first_row + i, &command)))
            luma_bit_clear(bits, i);
    }
    return LUMA_OK;
}

static luma_rc
batch_entries(struct sink *s, const struct luma_batch *batch, const struct luma_vec **cols)
{
    const struct lk_cidx *cidx = s->spec->cidx;
    const struct lk_def *def = s->spec->def;
    for (uint32_t i = 0; i < cidx->index_def->cols_count; i++)
        cols[lk_def_col(def, cidx->index_def->cols[i].col_id)] = &batch->cols[i];
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t row = luma_batch_row(batch, k);
        if (!sink_room(s) ||
            lk_key_batch(&s->keys, cidx, def, cols, row, &s->nulls[s->count]) != LUMA_OK)
            return no_memory(s->ctx);
        s->ends[s->count] = (uint32_t)s->keys.bytes;
        s->entries[s->count++].rowid = batch->rowids[row];
    }
    return sink_give(s);
}

static luma_rc
groups_read(struct sink *s, struct lk_seg *seg, struct lk_segment_cursor *cursor,
            const struct luma_vec **cols)
{
    for (uint32_t g = 0; g < seg->groups_count; g++) {
        bool more = true;
        LUMA_TRY(lk_segment_cursor_seek(s->ctx, cursor, seg->segment, g));
        for (;;) {
            struct luma_batch *batch = NULL;
            LUMA_TRY(lk_segment_cursor_next(s->ctx, cursor, window_live, s, &batch, &more));
            if (!more)
                break;
            LUMA_TRY(batch_entries(s, batch, cols));
            if (lk_sched_host.in_task())
                LUMA_TRY(lk_sched_host.yield(s->ctx));
        }
    }
    return LUMA_OK;
}

luma_rc
lk_entries_of_seg(struct luma_ctx *ctx, const struct lk_entries *spec, struct lk_seg *seg)
{
    struct sink s = {.ctx = ctx, .spec = spec, .seg = seg};
    const struct luma_store_index *index = spec->cidx->index_def;
    uint32_t ids[LK_INDEX_COLS_MAX];
    struct luma_scan_spec cols_spec = {.cols = ids, .cols_count = index->cols_count};
    struct lk_segment_cursor *cursor = NULL;
    const struct luma_vec **cols = calloc((size_t)spec->def->coll.cols_count + 1, sizeof(*cols));
    cols_spec.rowids = true;
    for (uint32_t i = 0; i < index->cols_count; i++)
        ids[i] = index->cols[i].col_id;
    lk_bytes_init(&s.keys, NULL);
    luma_rc rc = cols == NULL ? no_memory(ctx) : lk_seg_usable(ctx, seg);
    if (rc == LUMA_OK)
        rc = lk_segment_cursor_open(ctx, &spec->def->coll, &cols_spec, &cursor);
    if (rc == LUMA_OK)
        rc = groups_read(&s, seg, cursor, cols);
    if (cursor != NULL)
        lk_segment_cursor_close(cursor);
    sink_fini(&s);
    free(cols);
    return rc;
}

/* --- hot tables --- */

/* Under the shard's lock: a version may go the moment it is released, so its key is made here. */
static void
version_entry(void *arg, struct lk_version *v)
{
    struct sink *s = arg;
    const struct lk_entries *spec = s->spec;
    uint64_t begin = lk_stamp_resolve(spec->slots, &v->begin);
    if (begin == LK_STAMP_ABORTED || ended_for_all(spec, lk_stamp_resolve(spec->slots, &v->end)))
        return;
    if (s->failed || !sink_room(s) ||
        lk_key_tuple(&s->keys, spec->def, spec->cidx, v->tuple, &s->nulls[s->count]) != LUMA_OK) {
        s->failed = true;
        return;
    }
    s->ends[s->count] = (uint32_t)s->keys.bytes;
    s->entries[s->count++].rowid = v->rowid;
}

luma_rc
lk_entries_of_shards(struct luma_ctx *ctx, const struct lk_entries *spec, struct lk_hot *hot,
                     uint32_t first, uint32_t count)
{
    struct sink s = {.ctx = ctx, .spec = spec};
    lk_bytes_init(&s.keys, NULL);
    for (uint32_t shard = first; shard < first + count; shard++)
        lk_hot_each(hot, shard, version_entry, &s);
    luma_rc rc = sink_give(&s);
    sink_fini(&s);
    return rc;
}

luma_rc
lk_entries_of_hot(struct luma_ctx *ctx, const struct lk_entries *spec, struct lk_hot *hot)
{
    for (uint32_t shard = 0; shard < LK_HOT_SHARDS; shard++)
        LUMA_TRY(lk_entries_of_shards(ctx, spec, hot, shard, 1));
    return LUMA_OK;
}

luma_rc
lk_entries_of_view(struct luma_ctx *ctx, const struct lk_entries *spec, const struct lk_view *view)
{
    /* An index that lacked rows which cannot be read would deny them in silence. */
    for (uint32_t i = 0; i < view->segs_count; i++)
        LUMA_TRY(lk_entries_of_seg(ctx, spec, view->segs[i]));
    for (uint32_t i = 0; i < view->hots_count; i++)
        LUMA_TRY(lk_entries_of_hot(ctx, spec, view->hots[i]));
    return LUMA_OK;
}
