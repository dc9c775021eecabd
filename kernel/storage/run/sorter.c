/*
 * storage/run/sorter.c - entries in any order become a run: each part collects and sorts by itself,
 * what is too much goes to spill objects, one merge writes the run.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/run/run_priv.h"

#define PART_BYTES_MAX   ((size_t)128 << 20) /* of a part in memory, before it spills */
#define PART_BYTES_MIN   ((size_t)256 << 10)
#define BUDGET_SHARE     32 /* of the memory budget, for the parts of one sort */
#define SPILL_READ_BYTES ((size_t)256 << 10)
#define SPILL_READ_MIN   ((size_t)4 << 10)
#define SPILLS_MAX       1024
#define SORT_STRETCH     4096

struct item {
    uint64_t head; /* first 8 bytes of the key as a number: decides most comparisons */
    const uint8_t *key;
    uint32_t key_bytes;
    uint32_t zero;
    int64_t rowid;
};

struct part {
    struct luma_arena *keys;
    struct item *items;
    size_t count, room;
    bool unsorted;               /* an entry came out of order, or again */
    uint64_t spills[SPILLS_MAX]; /* object ids */
    uint64_t spill_bytes[SPILLS_MAX];
    uint32_t spills_count;
};

struct lk_run_sorter {
    struct lk_index *index;
    size_t share; /* of memory, for all parts or for all that the merge reads */
    size_t part_bytes_max;
    uint32_t parts_count;
    struct part parts[];
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to sort index entries");
}

/* Of one in `count`, between two bounds. */
static size_t
share_of(const struct lk_run_sorter *sorter, uint32_t count, size_t min, size_t max)
{
    size_t bytes = count == 0 ? sorter->share : sorter->share / count;
    return bytes < min ? min : LK_MIN(bytes, max);
}

luma_rc
lk_run_sorter_create(struct luma_ctx *ctx, struct lk_index *index, uint32_t parts,
                     struct lk_run_sorter **out_sorter)
{
    struct lk_run_sorter *sorter =
        lk_zalloc(NULL, sizeof(*sorter) + parts * sizeof(sorter->parts[0]));
    if (sorter == NULL)
        return no_memory(ctx);
    sorter->index = index;
    sorter->parts_count = parts;
    sorter->share = lk_budget_limit(NULL) / BUDGET_SHARE;
    sorter->part_bytes_max = share_of(sorter, parts, PART_BYTES_MIN, PART_BYTES_MAX);
    *out_sorter = sorter;
    return LUMA_OK;
}

static void
part_clear(struct part *part)
{
    lk_arena_destroy(part->keys);
    lk_free(NULL, part->items, part->room * sizeof(*part->items));
    part->keys = NULL;
    part->items = NULL;
    part->count = part->room = 0;
    part->unsorted = false;
}

void
lk_run_sorter_abort(struct lk_run_sorter *sorter)
{
    if (sorter == NULL)
        return;
    for (uint32_t i = 0; i < sorter->parts_count; i++) {
        struct part *part = &sorter->parts[i];
        part_clear(part);
        for (uint32_t k = 0; k < part->spills_count; k++)
            lk_object_remove(sorter->index->objects, LK_OBJECT_SPILL, part->spills[k]);
    }
    lk_free(NULL, sorter, sizeof(*sorter) + sorter->parts_count * sizeof(sorter->parts[0]));
}

/* --- sorting --- */

static inline uint64_t
head_of(struct luma_slice key)
{
    uint8_t bytes[8] = {0};
    memcpy(bytes, key.data, LK_MIN(key.bytes, (size_t)8));
    return lk_load_be64(bytes);
}

static inline int
item_compare(const struct item *a, const struct item *b)
{
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    int c = luma_slice_compare(luma_slice(a->key, a->key_bytes), luma_slice(b->key, b->key_bytes));
    return c != 0 ? c : (a->rowid > b->rowid) - (a->rowid < b->rowid);
}

static int
item_order(const void *a, const void *b)
{
    return item_compare(a, b);
}

static luma_rc
breathe(struct luma_ctx *ctx)
{
    return lk_sched_host.in_task() ? lk_sched_host.yield(ctx) : LUMA_OK;
}

static luma_rc
stretches_merge(struct luma_ctx *ctx, const struct item *from, struct item *to, size_t count,
                size_t width)
{
    for (size_t begin = 0; begin < count; begin += 2 * width) {
        size_t middle = LK_MIN(begin + width, count), end = LK_MIN(middle + width, count);
        size_t a = begin, b = middle;
        for (size_t at = begin; at < end; at++) {
            bool left = b == end || (a < middle && item_compare(&from[a], &from[b]) <= 0);
            to[at] = left ? from[a++] : from[b++];
            if (at % SORT_STRETCH == 0)
                LUMA_TRY(breathe(ctx));
        }
    }
    return LUMA_OK;
}

/* Stretches that fit the cache, then merges of them: others get the thread in between, which the
 * library's sort of some million entries keeps for a second. It does it where memory is short, and
 * parts are small. */
static luma_rc
items_sort(struct luma_ctx *ctx, struct part *part)
{
    size_t bytes = part->count * sizeof(*part->items);
    struct item *other = lk_alloc(NULL, bytes), *from = part->items, *to = other;
    luma_rc rc = LUMA_OK;
    if (other == NULL) {
        qsort(from, part->count, sizeof(*from), item_order);
        return LUMA_OK;
    }
    for (size_t at = 0; rc == LUMA_OK && at < part->count; at += SORT_STRETCH) {
        qsort(part->items + at, LK_MIN(part->count - at, (size_t)SORT_STRETCH),
              sizeof(*part->items), item_order);
        rc = breathe(ctx);
    }
    for (size_t width = SORT_STRETCH; rc == LUMA_OK && width < part->count; width *= 2) {
        rc = stretches_merge(ctx, from, to, part->count, width);
        struct item *swap = from;
        from = to;
        to = swap;
    }
    if (rc == LUMA_OK && from != part->items)
        memcpy(part->items, from, bytes);
    lk_free(NULL, other, bytes);
    return rc;
}

/* An entry that was given twice (of a row that lies in two places) is kept once. */
static luma_rc
part_sort(struct luma_ctx *ctx, struct part *part)
{
    size_t kept = 0;
    if (!part->unsorted)
        return LUMA_OK;
    LUMA_TRY(items_sort(ctx, part));
    for (size_t i = 0; i < part->count; i++)
        if (kept == 0 || item_compare(&part->items[kept - 1], &part->items[i]) != 0)
            part->items[kept++] = part->items[i];
    part->count = kept;
    part->unsorted = false;
    return LUMA_OK;
}

/* --- spilling: u32 key bytes, i64 row id, key --- */

#define SPILL_HEADER_BYTES 12

static luma_rc
spill_items(struct luma_ctx *ctx, const struct part *part, struct luma_object_writer *writer)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct item *item = &part->items[i];
        uint8_t header[SPILL_HEADER_BYTES];
        lk_store_u32(header, item->key_bytes);
        lk_store_u64(header + 4, (uint64_t)item->rowid);
        LUMA_TRY(writer->append(ctx, writer, header, sizeof(header)));
        LUMA_TRY(writer->append(ctx, writer, item->key, item->key_bytes));
    }
    return LUMA_OK;
}

static luma_rc
part_spill(struct luma_ctx *ctx, struct lk_run_sorter *sorter, struct part *part)
{
    struct lk_object_writer *writer;
    if (part->count == 0)
        return LUMA_OK;
    if (part->spills_count == SPILLS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "too many index entries to sort");
    LUMA_TRY(part_sort(ctx, part));
    LUMA_TRY(lk_object_create(ctx, sorter->index->objects, LK_OBJECT_SPILL, &writer));
    luma_rc rc = spill_items(ctx, part, &writer->base);
    if (rc != LUMA_OK) {
        lk_object_abort(writer);
        return rc;
    }
    uint64_t id = writer->id;
    LUMA_TRY(lk_object_finish(ctx, writer, &part->spill_bytes[part->spills_count]));
    part->spills[part->spills_count++] = id;
    part_clear(part);
    return LUMA_OK;
}

/* --- collecting --- */

static bool
part_put(struct part *part, const struct luma_index_entry *entry)
{
    if (part->keys == NULL) {
        part->keys = lk_arena_create(NULL, (size_t)64 << 10);
        if (part->keys == NULL)
            return false;
    }
    if (part->count == part->room) {
        size_t room = part->room == 0 ? 4096 : part->room * 2;
        struct item *items =
            lk_resize(NULL, part->items, part->room * sizeof(*items), room * sizeof(*items));
        if (items == NULL)
            return false;
        part->items = items;
        part->room = room;
    }
    uint8_t *key = luma_arena_alloc_aligned(part->keys, entry->key.bytes + 1, 1);
    if (key == NULL)
        return false;
    if (entry->key.bytes > 0)
        memcpy(key, entry->key.data, entry->key.bytes);
    struct item *item = &part->items[part->count];
    *item = (struct item){head_of(entry->key), key, (uint32_t)entry->key.bytes, 0, entry->rowid};
    if (part->count > 0 && !part->unsorted)
        part->unsorted = item_compare(item - 1, item) >= 0;
    part->count++;
    return true;
}

static size_t
part_bytes(const struct part *part)
{
    return part->room * sizeof(*part->items) +
           (part->keys == NULL ? 0 : lk_arena_bytes(part->keys));
}

luma_rc
lk_run_sorter_add(struct luma_ctx *ctx, struct lk_run_sorter *sorter, uint32_t part_index,
                  const struct luma_index_entry *entries, size_t count)
{
    struct part *part = &sorter->parts[part_index];
    for (size_t i = 0; i < count; i++) {
        if (part_put(part, &entries[i]))
            continue;
        LUMA_TRY(part_spill(ctx, sorter, part)); /* over budget: make room and try once more */
        if (!part_put(part, &entries[i]))
            return no_memory(ctx);
    }
    if (part_bytes(part) > sorter->part_bytes_max)
        return part_spill(ctx, sorter, part);
    return LUMA_OK;
}

/* --- sources of the merge --- */

struct memory_source {
    struct lki_source base;
    const struct part *part;
    size_t at;
};

static luma_rc
memory_next(struct luma_ctx *ctx, struct lki_source *base, struct luma_index_entry *out_entry,
            bool *out_more)
{
    struct memory_source *source = (struct memory_source *)base;
    (void)ctx;
    *out_more = source->at < source->part->count;
    if (!*out_more)
        return LUMA_OK;
    const struct item *item = &source->part->items[source->at++];
    out_entry->key = luma_slice(item->key, item->key_bytes);
    out_entry->rowid = item->rowid;
    return LUMA_OK;
}

static void
memory_close(struct lki_source *base)
{
    (void)base;
}

struct spill_source {
    struct lki_source base;
    struct luma_object_reader *reader;
    uint8_t *buffer;
    size_t room, filled, at;
    uint64_t offset; /* of what follows the buffer */
};

/* Makes `bytes` of the spill stand at buffer + at; false in *out_more at its end. */
static luma_rc
spill_need(struct luma_ctx *ctx, struct spill_source *source, size_t bytes, bool *out_more)
{
    size_t left = source->filled - source->at;
    *out_more = true;
    if (left >= bytes)
        return LUMA_OK;
    memmove(source->buffer, source->buffer + source->at, left);
    source->at = 0;
    source->filled = left;
    if (bytes > source->room) {
        uint8_t *grown = lk_resize(NULL, source->buffer, source->room, bytes * 2);
        if (grown == NULL)
            return no_memory(ctx);
        source->buffer = grown;
        source->room = bytes * 2;
    }
    uint64_t rest = source->reader->bytes - source->offset;
    size_t n = (size_t)LK_MIN(rest, (uint64_t)(source->room - left));
    LUMA_TRY(lk_object_read(ctx, source->reader, source->buffer + left, n, source->offset));
    source->offset += n;
    source->filled += n;
    if (source->filled >= bytes)
        return LUMA_OK;
    *out_more = false;
    return source->filled == 0 ? LUMA_OK
                               : LUMA_FAIL(ctx, LUMA_E_CORRUPT, "a spill of a sort ends early");
}

static luma_rc
spill_next(struct luma_ctx *ctx, struct lki_source *base, struct luma_index_entry *out_entry,
           bool *out_more)
{
    struct spill_source *source = (struct spill_source *)base;
    LUMA_TRY(spill_need(ctx, source, SPILL_HEADER_BYTES, out_more));
    if (!*out_more)
        return LUMA_OK;
    uint32_t key_bytes = lk_load_u32(source->buffer + source->at);
    LUMA_TRY(spill_need(ctx, source, SPILL_HEADER_BYTES + (size_t)key_bytes, out_more));
    const uint8_t *p = source->buffer + source->at;
    out_entry->rowid = (int64_t)lk_load_u64(p + 4);
    out_entry->key = luma_slice(p + SPILL_HEADER_BYTES, key_bytes);
    source->at += SPILL_HEADER_BYTES + (size_t)key_bytes;
    return LUMA_OK;
}

static void
spill_close(struct lki_source *base)
{
    struct spill_source *source = (struct spill_source *)base;
    lk_free(NULL, source->buffer, source->room);
    lk_object_close(source->reader);
}

static luma_rc
open_memory(struct luma_ctx *ctx, const struct part *part, struct luma_arena *arena,
            struct lki_merge *merge)
{
    struct memory_source *source = LUMA_NEW(arena, struct memory_source);
    if (source == NULL)
        return no_memory(ctx);
    source->base.next = memory_next;
    source->base.close = memory_close;
    source->part = part;
    merge->sources[merge->count++] = &source->base;
    return LUMA_OK;
}

static luma_rc
open_spill(struct luma_ctx *ctx, struct lk_run_sorter *sorter, uint64_t id, size_t room,
           struct luma_arena *arena, struct lki_merge *merge)
{
    struct spill_source *source = LUMA_NEW(arena, struct spill_source);
    if (source == NULL)
        return no_memory(ctx);
    source->base.next = spill_next;
    source->base.close = spill_close;
    source->room = room;
    source->buffer = lk_alloc(NULL, source->room);
    if (source->buffer == NULL)
        return no_memory(ctx);
    luma_rc rc = lk_object_open(ctx, sorter->index->objects, LK_OBJECT_SPILL, id, &source->reader);
    if (rc != LUMA_OK) {
        lk_free(NULL, source->buffer, source->room);
        return rc;
    }
    merge->sources[merge->count++] = &source->base;
    return LUMA_OK;
}

static luma_rc
open_all(struct luma_ctx *ctx, struct lk_run_sorter *sorter, struct luma_arena *arena,
         struct lki_merge *merge)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < sorter->parts_count; i++)
        all += 1 + sorter->parts[i].spills_count;
    merge->sources = LUMA_NEW_ARRAY(arena, struct lki_source *, all);
    if (merge->sources == NULL)
        return no_memory(ctx);
    size_t room = share_of(sorter, all, SPILL_READ_MIN, SPILL_READ_BYTES);
    for (uint32_t i = 0; i < sorter->parts_count; i++) {
        const struct part *part = &sorter->parts[i];
        if (part->count > 0)
            LUMA_TRY(open_memory(ctx, part, arena, merge));
        for (uint32_t k = 0; k < part->spills_count; k++)
            LUMA_TRY(open_spill(ctx, sorter, part->spills[k], room, arena, merge));
    }
    return LUMA_OK;
}

/* --- the run --- */

static luma_rc
sort_part(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    return part_sort(ctx, &((struct lk_run_sorter *)arg)->parts[part]);
}

static luma_rc
sort_all(struct luma_ctx *ctx, struct lk_run_sorter *sorter)
{
    if (sorter->parts_count > 1 && lk_sched_host.in_task())
        return lk_sched_host.parallel(ctx, sorter->parts_count, sort_part, sorter);
    for (uint32_t i = 0; i < sorter->parts_count; i++)
        LUMA_TRY(part_sort(ctx, &sorter->parts[i]));
    return LUMA_OK;
}

luma_rc
lk_run_sorter_finish(struct luma_ctx *ctx, struct lk_run_sorter *sorter, bool check_unique,
                     struct luma_slice *out_dup, struct lk_run_info *out_info, bool *out_written)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lki_merge merge = {0};
    luma_rc rc = arena == NULL ? no_memory(ctx) : sort_all(ctx, sorter);

    *out_written = false;
    if (rc == LUMA_OK)
        rc = open_all(ctx, sorter, arena, &merge);
    if (rc == LUMA_OK && merge.count > 0) {
        rc = lki_run_write(ctx, sorter->index, &merge, 0, NULL, NULL, check_unique, out_dup,
                           out_info);
        *out_written = rc == LUMA_OK;
    }
    lki_merge_close(&merge);
    lk_run_sorter_abort(sorter);
    return rc;
}
