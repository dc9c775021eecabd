/*
 * modules/index/hash/run.c - immutable hash tables.
 *
 * A block: u32 count, u32 offsets[count + 1] from the block's start, then per entry i64 row id and
 * the key. A slot: 20 bits of the hash, 28 bits of the block's number + 1, 16 bits of the entry's;
 * 0 is free, collisions go to the next slot. It names the first entry of a key; the others of that
 * key follow it.
 */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "hash.h"

#define BLOCKS_MAX  (((uint64_t)1 << 28) - 2)
#define ENTRIES_MAX 60000
#define PAGE_BYTES  (HASH_PAGE_SLOTS * sizeof(uint64_t))

#define HASH_BLOOM_BYTES_MAX ((size_t)1 << 30)

uint64_t
hash_key(struct luma_slice key)
{
    return XXH3_64bits(key.data, key.bytes);
}

static inline uint64_t
slot_make(uint64_t hash, uint64_t block, uint32_t at)
{
    return (hash >> 44) << 44 | (block + 1) << 16 | at;
}

static inline uint64_t
place_make(uint64_t offset, size_t bytes)
{
    return offset << 24 | bytes;
}

#define PLACE_BYTES_MAX (((size_t)1 << 24) - 1)

/* --- build --- */

struct list {
    uint64_t *items;
    size_t count, room;
};

static bool
list_push(struct list *list, uint64_t v)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 1024 : list->room * 2;
        uint64_t *grown = realloc(list->items, room * sizeof(*grown));
        if (grown == NULL)
            return false;
        list->items = grown;
        list->room = room;
    }
    list->items[list->count++] = v;
    return true;
}

struct build {
    struct luma_object_writer *writer;
    struct luma_buf body;       /* row ids and keys of the block */
    struct list offsets;        /* of its entries in body */
    struct luma_buf last;       /* key before */
    struct list hashes, firsts; /* of each different key: its hash, its first entry's slot bits */
    struct list places;
    struct hash_trailer trailer;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to build an index run");
}

static bool
buf_append(struct luma_buf *buf, const void *data, size_t bytes)
{
    if (bytes > buf->room_bytes - buf->used_bytes) {
        size_t room = (buf->used_bytes + bytes) * 2 + 64;
        uint8_t *grown = realloc(buf->data, room);
        if (grown == NULL)
            return false;
        buf->data = grown;
        buf->room_bytes = room;
    }
    if (bytes > 0)
        memcpy(buf->data + buf->used_bytes, data, bytes);
    buf->used_bytes += bytes;
    return true;
}

static luma_rc
flush_block(struct luma_ctx *ctx, struct build *build)
{
    uint32_t count = (uint32_t)build->offsets.count;
    size_t head = 4 + ((size_t)count + 1) * 4, bytes = head + build->body.used_bytes;
    if (count == 0)
        return LUMA_OK;
    if (bytes > PLACE_BYTES_MAX || build->places.count >= BLOCKS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "an index key is too long, or there are too many");
    uint8_t *block = malloc(bytes);
    if (block == NULL)
        return no_memory(ctx);
    memcpy(block, &count, 4);
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t at =
            (uint32_t)(head + (i < count ? build->offsets.items[i] : build->body.used_bytes));
        memcpy(block + 4 + (size_t)i * 4, &at, 4);
    }
    memcpy(block + head, build->body.data, build->body.used_bytes);
    bool kept = list_push(&build->places, place_make(build->writer->offset(build->writer), bytes));
    luma_rc rc = kept ? build->writer->append(ctx, build->writer, block, bytes) : no_memory(ctx);
    free(block);
    build->offsets.count = 0;
    build->body.used_bytes = 0;
    return rc;
}

static luma_rc
take_entry(struct luma_ctx *ctx, struct build *build, const struct luma_index_entry *entry)
{
    if (build->offsets.count > 0 &&
        (build->body.used_bytes + entry->key.bytes + 12 > HASH_BLOCK_BYTES ||
         build->offsets.count >= ENTRIES_MAX))
        LUMA_TRY(flush_block(ctx, build));
    bool first =
        build->trailer.count == 0 ||
        !luma_slice_equal(entry->key, luma_slice(build->last.data, build->last.used_bytes));
    if (first) {
        build->last.used_bytes = 0;
        uint64_t where = (uint64_t)build->places.count << 16 | build->offsets.count;
        if (!buf_append(&build->last, entry->key.data, entry->key.bytes) ||
            !list_push(&build->hashes, hash_key(entry->key)) || !list_push(&build->firsts, where))
            return no_memory(ctx);
    }
    build->trailer.count++;
    return list_push(&build->offsets, build->body.used_bytes) &&
                   buf_append(&build->body, &entry->rowid, 8) &&
                   buf_append(&build->body, entry->key.data, entry->key.bytes)
               ? LUMA_OK
               : no_memory(ctx);
}

/* Pages of equal size follow each other in equal steps, whatever the kernel puts between. */
static luma_rc
write_pages(struct luma_ctx *ctx, struct build *build, const uint64_t *words, size_t count,
            uint64_t *out_offset)
{
    uint64_t page[HASH_PAGE_SLOTS];
    *out_offset = build->writer->offset(build->writer);
    for (size_t at = 0; at < count; at += HASH_PAGE_SLOTS) {
        size_t n = count - at < HASH_PAGE_SLOTS ? count - at : HASH_PAGE_SLOTS;
        uint64_t before = build->writer->offset(build->writer);
        memset(page, 0, sizeof(page));
        memcpy(page, words + at, n * sizeof(uint64_t));
        LUMA_TRY(build->writer->append(ctx, build->writer, page, sizeof(page)));
        build->trailer.page_step = build->writer->offset(build->writer) - before;
    }
    return LUMA_OK;
}

/* A byte a slot: between 11 and 23 bits a key. */
static luma_rc
write_bloom(struct luma_ctx *ctx, struct build *build)
{
    size_t bytes = build->trailer.slots, lines = bytes / BLOOM_LINE_BYTES;
    if (bytes > HASH_BLOOM_BYTES_MAX)
        return LUMA_OK;
    uint64_t *words = calloc(lines, BLOOM_LINE_BYTES);
    if (words == NULL)
        return no_memory(ctx);
    for (size_t k = 0; k < build->hashes.count; k++)
        bloom_add(words, lines, build->hashes.items[k]);
    build->trailer.bloom_offset = build->writer->offset(build->writer);
    luma_rc rc = build->writer->append(ctx, build->writer, words, bytes);
    free(words);
    return rc;
}

static luma_rc
write_table(struct luma_ctx *ctx, struct build *build)
{
    size_t keys = build->hashes.count, slots = HASH_PAGE_SLOTS;
    if (keys == 0)
        return LUMA_OK;
    while (slots * 7 < keys * 10)
        slots *= 2;
    uint64_t *table = calloc(slots, sizeof(*table));
    if (table == NULL)
        return no_memory(ctx);
    for (size_t k = 0; k < keys; k++) {
        uint64_t hash = build->hashes.items[k], where = build->firsts.items[k];
        size_t at = (size_t)hash & (slots - 1);
        while (table[at] != 0)
            at = (at + 1) & (slots - 1);
        table[at] = slot_make(hash, where >> 16, (uint32_t)(where & 0xffff));
    }
    luma_rc rc = write_pages(ctx, build, table, slots, &build->trailer.slots_offset);
    free(table);
    build->trailer.slots = slots;
    build->trailer.blocks = build->places.count;
    if (rc == LUMA_OK)
        rc = write_pages(ctx, build, build->places.items, build->places.count,
                         &build->trailer.places_offset);
    return rc == LUMA_OK ? write_bloom(ctx, build) : rc;
}

static luma_rc
take_all(struct luma_ctx *ctx, struct build *build, struct luma_index_source *source)
{
    struct luma_index_entry entry;
    bool more;
    for (;;) {
        LUMA_TRY(source->next(ctx, source, &entry, &more));
        if (!more)
            return flush_block(ctx, build);
        LUMA_TRY(take_entry(ctx, build, &entry));
    }
}

luma_rc
hash_run_build(struct luma_ctx *ctx, struct luma_index_source *source,
               struct luma_object_writer *writer)
{
    struct build build = {.writer = writer, .trailer.magic = HASH_RUN_MAGIC};
    luma_rc rc = take_all(ctx, &build, source);
    if (rc == LUMA_OK)
        rc = write_table(ctx, &build);
    if (rc == LUMA_OK)
        rc = writer->append(ctx, writer, &build.trailer, sizeof(build.trailer));
    free(build.body.data);
    free(build.last.data);
    free(build.offsets.items);
    free(build.hashes.items);
    free(build.firsts.items);
    free(build.places.items);
    return rc;
}

/* --- read --- */

struct run {
    struct luma_object_reader *reader;
    struct hash_trailer trailer;
    struct luma_pin bloom;
};

static luma_rc
corrupt(struct luma_ctx *ctx, const struct run *run, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %llu: %s",
                     (unsigned long long)run->reader->object_id, what);
}

static luma_rc
read_trailer(struct luma_ctx *ctx, struct run *run)
{
    struct luma_object_reader *reader = run->reader;
    struct luma_pin pin;
    if (reader->bytes < sizeof(run->trailer))
        return corrupt(ctx, run, "it is too short");
    LUMA_TRY(
        reader->pin(ctx, reader, reader->bytes - sizeof(run->trailer), sizeof(run->trailer), &pin));
    memcpy(&run->trailer, pin.bytes.data, sizeof(run->trailer));
    reader->unpin(&pin);
    const struct hash_trailer *t = &run->trailer;
    if (t->magic != HASH_RUN_MAGIC || (t->slots & (t->slots - 1)) != 0 ||
        (t->slots == 0) != (t->count == 0) || (t->slots > 0 && t->slots < HASH_PAGE_SLOTS) ||
        t->blocks > BLOCKS_MAX || (t->count > 0 && t->blocks == 0) ||
        (t->bloom_offset != 0 && (t->slots == 0 || t->slots > HASH_BLOOM_BYTES_MAX)))
        return corrupt(ctx, run, "it does not end as a run does");
    return LUMA_OK;
}

luma_rc
hash_run_open(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an index run");
    run->reader = reader;
    luma_rc rc = read_trailer(ctx, run);
    if (rc == LUMA_OK && run->trailer.bloom_offset != 0)
        rc = reader->pin(ctx, reader, run->trailer.bloom_offset, run->trailer.slots, &run->bloom);
    if (rc != LUMA_OK) {
        free(run);
        return rc;
    }
    *out_run = run;
    return LUMA_OK;
}

void
hash_run_close(void *arg)
{
    struct run *run = arg;
    if (run != NULL && run->bloom.opaque != NULL)
        run->reader->unpin(&run->bloom);
    free(run);
}

uint64_t
hash_run_count(const void *run)
{
    return ((const struct run *)run)->trailer.count;
}

/* One word of an array in pages. */
static luma_rc
page_word(struct luma_ctx *ctx, struct run *run, uint64_t offset, uint64_t index, uint64_t *out)
{
    struct luma_pin pin;
    LUMA_TRY(run->reader->pin(ctx, run->reader,
                              offset + index / HASH_PAGE_SLOTS * run->trailer.page_step, PAGE_BYTES,
                              &pin));
    memcpy(out, pin.bytes.data + index % HASH_PAGE_SLOTS * sizeof(uint64_t), sizeof(*out));
    run->reader->unpin(&pin);
    return LUMA_OK;
}

struct block {
    struct luma_pin pin;
    uint64_t number;
    uint32_t count;
};

static luma_rc
block_pin(struct luma_ctx *ctx, struct run *run, uint64_t number, struct block *out)
{
    uint64_t place;
    if (number >= run->trailer.blocks)
        return corrupt(ctx, run, "a slot names no block");
    LUMA_TRY(page_word(ctx, run, run->trailer.places_offset, number, &place));
    LUMA_TRY(run->reader->pin(ctx, run->reader, place >> 24, (size_t)(place & PLACE_BYTES_MAX),
                              &out->pin));
    size_t bytes = out->pin.bytes.bytes;
    if (bytes >= 4)
        memcpy(&out->count, out->pin.bytes.data, 4);
    if (bytes < 4 || out->count == 0 || ((uint64_t)out->count + 1) * 4 + 4 > bytes) {
        run->reader->unpin(&out->pin);
        return corrupt(ctx, run, "a block is damaged");
    }
    out->number = number;
    return LUMA_OK;
}

static luma_rc
block_entry(struct luma_ctx *ctx, const struct run *run, const struct block *block, uint32_t i,
            struct luma_index_entry *out)
{
    const uint8_t *p = block->pin.bytes.data;
    uint32_t from, to;
    memcpy(&from, p + 4 + (size_t)i * 4, 4);
    memcpy(&to, p + 8 + (size_t)i * 4, 4);
    if (to > block->pin.bytes.bytes || from > to || to - from < 8)
        return corrupt(ctx, run, "an entry lies outside its block");
    memcpy(&out->rowid, p + from, 8);
    out->key = luma_slice(p + from + 8, to - from - 8);
    return LUMA_OK;
}

/* Emits the entries of key from (block, at) on; *out_matched: the first one is of that key. */
static luma_rc
emit_from(struct luma_ctx *ctx, struct run *run, uint64_t number, uint32_t at,
          struct luma_slice key, size_t index,
          void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg, bool *out_matched)
{
    struct luma_index_entry entry;
    struct block block;
    bool more = true;

    *out_matched = false;
    for (; more && number < run->trailer.blocks; number++, at = 0) {
        LUMA_TRY(block_pin(ctx, run, number, &block));
        luma_rc rc = at < block.count ? LUMA_OK : corrupt(ctx, run, "a slot names no entry");
        for (; rc == LUMA_OK && more && at < block.count; at++) {
            rc = block_entry(ctx, run, &block, at, &entry);
            more = rc == LUMA_OK && luma_slice_equal(entry.key, key);
            if (more) {
                *out_matched = true;
                emit(arg, index, entry.rowid);
            }
        }
        run->reader->unpin(&block.pin);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

static inline bool
may_have(const struct run *run, uint64_t hash)
{
    const uint64_t *words = (const uint64_t *)(const void *)run->bloom.bytes.data;
    return words == NULL || bloom_has(words, run->trailer.slots / BLOOM_LINE_BYTES, hash);
}

luma_rc
hash_run_find(struct luma_ctx *ctx, void *arg_run, const struct luma_slice *keys, size_t count,
              void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    struct run *run = arg_run;
    uint64_t slots = run->trailer.slots, slot;
    for (size_t k = 0; k < count && slots > 0; k++) {
        uint64_t hash = hash_key(keys[k]);
        bool matched = false;
        if (!may_have(run, hash))
            continue;
        for (uint64_t steps = 0; steps < slots && !matched; steps++) {
            LUMA_TRY(page_word(ctx, run, run->trailer.slots_offset, (hash + steps) & (slots - 1),
                               &slot));
            if (slot == 0)
                break;
            uint64_t number = (slot >> 16) & (((uint64_t)1 << 28) - 1);
            if (slot >> 44 != hash >> 44 || number == 0)
                continue;
            LUMA_TRY(emit_from(ctx, run, number - 1, (uint32_t)(slot & 0xffff), keys[k], k, emit,
                               arg, &matched));
        }
    }
    return LUMA_OK;
}

uint64_t
hash_run_estimate(struct luma_ctx *ctx, void *run, const struct luma_index_range *range)
{
    (void)ctx;
    return range->lo.data == NULL && range->hi.data == NULL ? hash_run_count(run) : 0;
}

/* --- all entries in order, for merging --- */

struct cursor {
    struct luma_index_cursor base;
    struct run *run;
    struct block block;
    uint64_t next_block;
    uint32_t at;
    bool pinned;
};

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *base,
            struct luma_index_entry *out_entry, bool *out_more)
{
    struct cursor *cursor = (struct cursor *)base;
    if (!cursor->pinned || cursor->at == cursor->block.count) {
        if (cursor->pinned)
            cursor->run->reader->unpin(&cursor->block.pin);
        cursor->pinned = false;
        *out_more = cursor->next_block < cursor->run->trailer.blocks;
        if (!*out_more)
            return LUMA_OK;
        LUMA_TRY(block_pin(ctx, cursor->run, cursor->next_block, &cursor->block));
        cursor->pinned = true;
        cursor->next_block++;
        cursor->at = 0;
    }
    LUMA_TRY(block_entry(ctx, cursor->run, &cursor->block, cursor->at, out_entry));
    cursor->at++;
    *out_more = true;
    return LUMA_OK;
}

static void
cursor_close(struct luma_index_cursor *base)
{
    struct cursor *cursor = (struct cursor *)base;
    if (cursor != NULL && cursor->pinned)
        cursor->run->reader->unpin(&cursor->block.pin);
}

luma_rc
hash_run_cursor(struct luma_ctx *ctx, void *run, const struct luma_index_range *range,
                struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    struct cursor *cursor = LUMA_NEW(arena, struct cursor);
    (void)range;
    if (cursor == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    cursor->base.next = cursor_next;
    cursor->base.close = cursor_close;
    cursor->run = run;
    *out_cursor = &cursor->base;
    return LUMA_OK;
}

/* --- checking --- */

struct seen {
    int64_t rowid;
    bool found;
};

static void
look(void *arg, size_t key_index, int64_t rowid)
{
    struct seen *seen = arg;
    (void)key_index;
    seen->found = seen->found || rowid == seen->rowid;
}

static luma_rc
verify_entries(struct luma_ctx *ctx, struct run *run, struct luma_index_cursor *cursor)
{
    struct luma_index_entry entry;
    struct luma_buf last = {0};
    int64_t last_rowid = 0;
    uint64_t count = 0;
    bool more = true;
    luma_rc rc = LUMA_OK;

    while (rc == LUMA_OK) {
        rc = cursor_next(ctx, cursor, &entry, &more);
        if (rc != LUMA_OK || !more)
            break;
        struct luma_index_entry before = {luma_slice(last.data, last.used_bytes), last_rowid};
        struct seen seen = {entry.rowid, false};
        if (count > 0 && hash_entry_compare(&before, &entry) >= 0)
            rc = corrupt(ctx, run, "entries are out of order");
        if (rc == LUMA_OK && (count == 0 || !luma_slice_equal(before.key, entry.key))) {
            rc = hash_run_find(ctx, run, &entry.key, 1, look, &seen);
            if (rc == LUMA_OK && !seen.found)
                rc = corrupt(ctx, run, "the table does not know a key");
        }
        last.used_bytes = 0;
        if (rc == LUMA_OK && !buf_append(&last, entry.key.data, entry.key.bytes))
            rc = no_memory(ctx);
        last_rowid = entry.rowid;
        count++;
    }
    free(last.data);
    if (rc == LUMA_OK && count != run->trailer.count)
        rc = corrupt(ctx, run, "entries are miscounted");
    return rc;
}

/* Every page, also those no lookup comes by. */
static luma_rc
verify_pages(struct luma_ctx *ctx, struct run *run)
{
    uint64_t word;
    for (uint64_t at = 0; at < run->trailer.slots; at += HASH_PAGE_SLOTS)
        LUMA_TRY(page_word(ctx, run, run->trailer.slots_offset, at, &word));
    return LUMA_OK;
}

luma_rc
hash_run_verify(struct luma_ctx *ctx, void *run)
{
    struct luma_index_range all = {0};
    struct luma_index_cursor *cursor;
    LUMA_TRY(verify_pages(ctx, run));
    LUMA_TRY(hash_run_cursor(ctx, run, &all, ctx->arena, &cursor));
    luma_rc rc = verify_entries(ctx, run, cursor);
    cursor_close(cursor);
    return rc;
}
