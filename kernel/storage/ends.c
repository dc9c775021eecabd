/*
 * storage/ends.c - when rows of segments ended: what a delete map leaves out, for a history that
 * outlives the process.
 *
 * On disk: the commit that all are younger than, then stretches of rows that ended together, as
 * rows since the last stretch, rows in this one, commits since the first number; all varints.
 */
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "storage/mutant.h"

#define CLAIM_ROWS 1024u /* a longer stretch is one claim */

void
lk_ends_fini(struct lk_ends *ends)
{
    free(ends->items);
    memset(ends, 0, sizeof(*ends));
}

static bool
end_add(struct lk_ends *ends, const int64_t *rows, uint32_t row, uint64_t commit)
{
    if (rows != NULL && rows[row] < 0)
        return true;
    if (ends->count == ends->room) {
        size_t room = ends->room == 0 ? 64 : ends->room * 2;
        struct lk_end *items = realloc(ends->items, room * sizeof(*items));
        if (items == NULL)
            return false;
        ends->items = items;
        ends->room = room;
    }
    ends->items[ends->count++] = (struct lk_end){commit, rows == NULL ? row : (uint32_t)rows[row]};
    return true;
}

luma_rc
lk_ends_gather(struct lk_seg *seg, const struct lk_slots *slots, uint64_t from, uint64_t to,
               const int64_t *rows, struct lk_ends *out)
{
    bool ok = true;
    lk_mutex_lock(&seg->lock);
    for (uint32_t g = 0; g < seg->groups_count; g++) {
        const struct lk_young_group *group = &seg->young[g];
        for (uint32_t i = 0; ok && group->count > 0 && i < group->room; i++) {
            const struct lk_young_entry *e = &group->entries[i];
            if (e->row_plus1 == 0 || e->row_plus1 == UINT32_MAX)
                continue;
            uint64_t stamp = lk_stamp_resolve(slots, &e->stamp);
            if (stamp > from && stamp <= to)
                ok = end_add(out, rows, e->row_plus1 - 1, stamp);
        }
    }
    for (const struct lk_claim *claim = seg->claims; ok && claim != NULL; claim = claim->next) {
        uint64_t stamp = lk_stamp_resolve(slots, &claim->stamp);
        roaring_uint32_iterator_t it;
        if (stamp <= from || stamp > to)
            continue;
        roaring_init_iterator(claim->rows, &it);
        for (; ok && it.has_value; roaring_advance_uint32_iterator(&it))
            ok = end_add(out, rows, it.current_value, stamp);
    }
    lk_mutex_unlock(&seg->lock);
    return ok ? LUMA_OK : LUMA_E_NOMEM;
}

static int
by_row(const void *a, const void *b)
{
    const struct lk_end *ea = a, *eb = b;
    return (ea->row > eb->row) - (ea->row < eb->row);
}

bool
lk_ends_write(struct lk_ends *ends, uint64_t base, struct lk_bytes *out)
{
    if (ends->count > 1)
        qsort(ends->items, ends->count, sizeof(ends->items[0]), by_row);
    bool ok = lk_bytes_varint(out, base);
    uint32_t next = 0;
    for (size_t i = 0, n; ok && i < ends->count; i += n) {
        const struct lk_end *first = &ends->items[i];
        for (n = 1; i + n < ends->count; n++)
            if (first[n].row != first->row + n || first[n].commit != first->commit)
                break;
        ok = lk_bytes_varint(out, first->row - next) && lk_bytes_varint(out, n) &&
             lk_bytes_varint(out, first->commit - base);
        next = first->row + (uint32_t)n;
    }
    return ok;
}

luma_rc
lk_ends_pack(struct luma_ctx *ctx, struct lk_store *store, struct lk_pack_writer *pack,
             struct lk_ends *ends, uint64_t base, uint64_t segment_id,
             struct lk_manifest_edit *edit)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_ENDS, .a = segment_id};
    struct lk_bytes bytes;
    if (ends->count == 0 || LK_MUTANT(ENDS_LOST)) {
        if (lk_manifest_get(store->manifest, &key).data != NULL)
            lk_manifest_remove(edit, key.kind, key.a, key.b);
        return LUMA_OK;
    }
    lk_bytes_init(&bytes, NULL);
    luma_rc rc =
        lk_ends_write(ends, base, &bytes)
            ? lk_pack_name(ctx, store, pack, lk_bytes_view(&bytes), ends->count, &key, edit)
            : LUMA_FAIL(ctx, LUMA_E_NOMEM, "delete map: out of memory");
    lk_bytes_fini(&bytes);
    return rc;
}

/* Rows first to first + n - 1 ended with `commit`. */
static luma_rc
stretch_end(struct lk_seg *seg, uint32_t first, uint32_t n, uint64_t commit)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&seg->lock);
    if (seg->dead != NULL)
        roaring_bitmap_remove_range(seg->dead, first, (uint64_t)first + n);
    lk_mutex_unlock(&seg->lock);
    if (n < CLAIM_ROWS) {
        for (uint32_t i = 0; rc == LUMA_OK && i < n; i++)
            rc = lk_seg_end(seg, first + i, commit, 0);
        return rc;
    }
    roaring_bitmap_t *rows = roaring_bitmap_from_range(first, (uint64_t)first + n, 1);
    if (rows == NULL)
        return LUMA_E_NOMEM;
    rc = lk_seg_claim(seg, commit, 0, 0, false, rows);
    roaring_bitmap_free(rows);
    return rc;
}

luma_rc
lk_ends_read(struct luma_ctx *ctx, struct lk_seg *seg, struct luma_slice bytes, uint64_t floor)
{
    struct lk_reader r = lk_reader(bytes);
    uint64_t base = lk_reader_varint(&r), next = 0;
    luma_rc rc = LUMA_OK;
    while (rc == LUMA_OK && !r.failed && lk_reader_left(&r) > 0) {
        uint64_t skip = lk_reader_varint(&r), n = lk_reader_varint(&r);
        uint64_t commit = lk_reader_varint(&r);
        uint64_t rows = seg->info.rows;
        if (r.failed || base >= LK_STAMP_ABORTED || skip > rows - next || n == 0 ||
            n > rows - next - skip || commit >= LK_STAMP_ABORTED - base) {
            r.failed = true;
            break;
        }
        if (base + commit > floor)
            rc = stretch_end(seg, (uint32_t)(next + skip), (uint32_t)n, base + commit);
        next += skip + n;
    }
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "recovery: out of memory");
    return r.failed ? LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                                "the ends of rows of segment %016llx cannot be read",
                                (unsigned long long)seg->info.object_id)
                    : LUMA_OK;
}
