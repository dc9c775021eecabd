/*
 * index-sorted - an ordered index in the plainest form there is, as a module of its own.
 *
 * The hot part is an array of entries, sorted by (key, row id), behind a read-write lock: good up
 * to some ten thousand entries between checkpoints. A run is a row of blocks of about 16 KiB, a
 * directory with each block's first key, and a trailer:
 *
 *     block:      { uint32 key_bytes, int64 rowid, key } ...
 *     directory:  { uint64 offset, uint32 bytes, uint32 count, uint32 key_bytes, key } ...
 *     trailer:    uint64 directory offset, uint32 directory bytes, uint32 blocks, uint64 entries,
 *                 uint32 magic
 *
 * All integers are little-endian. Each part is one append, so that the kernel checks each of them.
 */
#include <lumadb/kind/index.h>

#include <pthread.h>
#include <stdlib.h>

#define BLOCK_BYTES   16384
#define ENTRY_HEAD    12
#define TRAILER_BYTES 28
#define MAGIC         0x64747273u /* "srtd" */

/* --- order and ranges --- */

static int
entry_compare(struct luma_slice a_key, int64_t a_rowid, struct luma_slice b_key, int64_t b_rowid)
{
    int c = luma_slice_compare(a_key, b_key);
    return c != 0 ? c : (a_rowid > b_rowid) - (a_rowid < b_rowid);
}

static bool
begins_with(struct luma_slice key, struct luma_slice prefix)
{
    return key.bytes >= prefix.bytes && memcmp(key.data, prefix.data, prefix.bytes) == 0;
}

/* -1: before the range, 0: in it, 1: behind it. A key that begins with a bound equals it. */
static int
range_side(const struct luma_index_range *range, struct luma_slice key)
{
    if (range->lo.data != NULL) {
        if (luma_slice_compare(key, range->lo) < 0)
            return -1;
        if (range->lo_exclusive && begins_with(key, range->lo))
            return -1;
    }
    if (range->hi.data != NULL) {
        if (begins_with(key, range->hi))
            return range->hi_exclusive ? 1 : 0;
        if (luma_slice_compare(key, range->hi) > 0)
            return 1;
    }
    return 0;
}

/* --- hot part --- */

struct hot_entry {
    uint8_t *key;
    size_t key_bytes;
    int64_t rowid;
};

struct hot {
    pthread_rwlock_t lock; /* held for a search, never across a call that may park */
    struct hot_entry *entries;
    size_t count, room, key_bytes;
};

static struct luma_slice
hot_key(const struct hot *hot, size_t i)
{
    return luma_slice(hot->entries[i].key, hot->entries[i].key_bytes);
}

/* First entry that is not before (key, rowid). */
static size_t
hot_search(const struct hot *hot, struct luma_slice key, int64_t rowid)
{
    size_t low = 0, high = hot->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_compare(hot_key(hot, middle), hot->entries[middle].rowid, key, rowid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static luma_rc
hot_create(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot)
{
    (void)budget; /* the kernel counts hot_bytes */
    struct hot *hot = calloc(1, sizeof(*hot));
    if (hot == NULL || pthread_rwlock_init(&hot->lock, NULL) != 0) {
        free(hot);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    *out_hot = hot;
    return LUMA_OK;
}

static void
hot_destroy(void *arg)
{
    struct hot *hot = arg;
    if (hot == NULL)
        return;
    for (size_t i = 0; i < hot->count; i++)
        free(hot->entries[i].key);
    free(hot->entries);
    pthread_rwlock_destroy(&hot->lock);
    free(hot);
}

static bool
hot_insert_one(struct hot *hot, const struct luma_index_entry *entry)
{
    size_t at = hot_search(hot, entry->key, entry->rowid);
    if (at < hot->count &&
        entry_compare(hot_key(hot, at), hot->entries[at].rowid, entry->key, entry->rowid) == 0)
        return true;
    if (hot->count == hot->room) {
        size_t room = hot->room == 0 ? 64 : hot->room * 2;
        struct hot_entry *grown = realloc(hot->entries, room * sizeof(*grown));
        if (grown == NULL)
            return false;
        hot->entries = grown;
        hot->room = room;
    }
    uint8_t *key = malloc(entry->key.bytes + 1);
    if (key == NULL)
        return false;
    if (entry->key.bytes > 0)
        memcpy(key, entry->key.data, entry->key.bytes);
    memmove(hot->entries + at + 1, hot->entries + at, (hot->count - at) * sizeof(*hot->entries));
    hot->entries[at] = (struct hot_entry){key, entry->key.bytes, entry->rowid};
    hot->count++;
    hot->key_bytes += entry->key.bytes;
    return true;
}

static luma_rc
hot_insert(struct luma_ctx *ctx, void *arg, const struct luma_index_entry *entries, size_t count)
{
    struct hot *hot = arg;
    bool ok = true;
    pthread_rwlock_wrlock(&hot->lock);
    for (size_t i = 0; i < count && ok; i++)
        ok = hot_insert_one(hot, &entries[i]);
    pthread_rwlock_unlock(&hot->lock);
    return ok ? LUMA_OK : LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
}

static void
hot_remove(void *arg, const struct luma_index_entry *entry)
{
    struct hot *hot = arg;
    pthread_rwlock_wrlock(&hot->lock);
    size_t at = hot_search(hot, entry->key, entry->rowid);
    if (at < hot->count &&
        entry_compare(hot_key(hot, at), hot->entries[at].rowid, entry->key, entry->rowid) == 0) {
        hot->key_bytes -= hot->entries[at].key_bytes;
        free(hot->entries[at].key);
        hot->count--;
        memmove(hot->entries + at, hot->entries + at + 1,
                (hot->count - at) * sizeof(*hot->entries));
    }
    pthread_rwlock_unlock(&hot->lock);
}

static size_t
hot_bytes(const void *arg)
{
    const struct hot *hot = arg;
    return sizeof(*hot) + hot->room * sizeof(*hot->entries) + hot->key_bytes + 16 * hot->count;
}

static size_t
hot_count(const void *arg)
{
    return ((const struct hot *)arg)->count;
}

static luma_rc
hot_find(struct luma_ctx *ctx, void *arg, struct luma_slice key, int64_t *out_rowids, size_t room,
         size_t *out_count)
{
    (void)ctx;
    struct hot *hot = arg;
    size_t found = 0;
    pthread_rwlock_rdlock(&hot->lock);
    for (size_t i = hot_search(hot, key, INT64_MIN); i < hot->count; i++, found++) {
        if (!luma_slice_equal(hot_key(hot, i), key))
            break;
        if (found < room)
            out_rowids[found] = hot->entries[i].rowid;
    }
    pthread_rwlock_unlock(&hot->lock);
    *out_count = found;
    return LUMA_OK;
}

/* --- runs: writing --- */

struct bytes {
    uint8_t *data;
    size_t used, room;
};

static bool
put(struct bytes *b, const void *data, size_t bytes)
{
    if (b->room - b->used < bytes) {
        size_t room = 2 * (b->room + bytes) + 64;
        uint8_t *grown = realloc(b->data, room);
        if (grown == NULL)
            return false;
        b->data = grown;
        b->room = room;
    }
    if (bytes > 0)
        memcpy(b->data + b->used, data, bytes);
    b->used += bytes;
    return true;
}

struct builder {
    struct bytes block, directory;
    uint32_t block_count, blocks;
    uint64_t count;
};

static luma_rc
builder_flush(struct luma_ctx *ctx, struct builder *b, struct luma_object_writer *writer)
{
    if (b->block_count == 0)
        return LUMA_OK;
    uint64_t offset = writer->offset(writer);
    uint32_t bytes = (uint32_t)b->block.used, key_bytes;
    memcpy(&key_bytes, b->block.data, sizeof(key_bytes));
    if (!put(&b->directory, &offset, 8) || !put(&b->directory, &bytes, 4) ||
        !put(&b->directory, &b->block_count, 4) || !put(&b->directory, &key_bytes, 4) ||
        !put(&b->directory, b->block.data + ENTRY_HEAD, key_bytes))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    LUMA_TRY(writer->append(ctx, writer, b->block.data, b->block.used));
    b->blocks++;
    b->block.used = 0;
    b->block_count = 0;
    return LUMA_OK;
}

static luma_rc
builder_add_all(struct luma_ctx *ctx, struct builder *b, struct luma_index_source *source,
                struct luma_object_writer *writer)
{
    for (;;) {
        struct luma_index_entry entry = {.rowid = 0};
        bool more;
        LUMA_TRY(source->next(ctx, source, &entry, &more));
        if (!more)
            return builder_flush(ctx, b, writer);
        uint32_t key_bytes = (uint32_t)entry.key.bytes;
        if (!put(&b->block, &key_bytes, 4) || !put(&b->block, &entry.rowid, 8) ||
            !put(&b->block, entry.key.data, entry.key.bytes))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        b->block_count++;
        b->count++;
        if (b->block.used >= BLOCK_BYTES)
            LUMA_TRY(builder_flush(ctx, b, writer));
    }
}

static luma_rc
builder_end(struct luma_ctx *ctx, struct builder *b, struct luma_object_writer *writer)
{
    uint8_t trailer[TRAILER_BYTES];
    uint64_t offset = writer->offset(writer);
    uint32_t bytes = (uint32_t)b->directory.used, magic = MAGIC;
    memcpy(trailer, &offset, 8);
    memcpy(trailer + 8, &bytes, 4);
    memcpy(trailer + 12, &b->blocks, 4);
    memcpy(trailer + 16, &b->count, 8);
    memcpy(trailer + 24, &magic, 4);
    if (bytes > 0)
        LUMA_TRY(writer->append(ctx, writer, b->directory.data, bytes));
    return writer->append(ctx, writer, trailer, sizeof(trailer));
}

static luma_rc
run_build(struct luma_ctx *ctx, struct luma_index_source *source, struct luma_object_writer *writer)
{
    struct builder b = {.blocks = 0};
    luma_rc rc = builder_add_all(ctx, &b, source, writer);
    if (rc == LUMA_OK)
        rc = builder_end(ctx, &b, writer);
    free(b.block.data);
    free(b.directory.data);
    return rc;
}

/* --- runs: reading --- */

struct block_info {
    uint64_t offset;
    uint32_t bytes, count;
    struct luma_slice first;
};

struct run {
    struct luma_object_reader *reader;
    uint8_t *directory;
    struct block_info *blocks;
    uint32_t blocks_count;
    uint64_t count;
};

static luma_rc
corrupt(struct luma_ctx *ctx, const struct run *run, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %llu: %s",
                     (unsigned long long)run->reader->object_id, what);
}

static void
run_close(void *arg)
{
    struct run *run = arg;
    if (run == NULL)
        return;
    free(run->directory);
    free(run->blocks);
    free(run);
}

static luma_rc
parse_directory(struct luma_ctx *ctx, struct run *run, size_t bytes)
{
    size_t at = 0;
    for (uint32_t i = 0; i < run->blocks_count; i++) {
        struct block_info *info = &run->blocks[i];
        uint32_t key_bytes;
        if (bytes - at < 20)
            return corrupt(ctx, run, "directory is short");
        memcpy(&info->offset, run->directory + at, 8);
        memcpy(&info->bytes, run->directory + at + 8, 4);
        memcpy(&info->count, run->directory + at + 12, 4);
        memcpy(&key_bytes, run->directory + at + 16, 4);
        at += 20;
        if (bytes - at < key_bytes || info->offset > run->reader->bytes ||
            info->bytes > run->reader->bytes - info->offset ||
            info->count > info->bytes / ENTRY_HEAD)
            return corrupt(ctx, run, "directory names what is not there");
        info->first = luma_slice(run->directory + at, key_bytes);
        at += key_bytes;
    }
    return at == bytes ? LUMA_OK : corrupt(ctx, run, "directory is too long");
}

static luma_rc
run_load(struct luma_ctx *ctx, struct run *run)
{
    struct luma_object_reader *reader = run->reader;
    struct luma_pin pin;
    uint64_t offset;
    uint32_t bytes, magic;
    if (reader->bytes < TRAILER_BYTES)
        return corrupt(ctx, run, "too short");
    LUMA_TRY(reader->pin(ctx, reader, reader->bytes - TRAILER_BYTES, TRAILER_BYTES, &pin));
    memcpy(&offset, pin.bytes.data, 8);
    memcpy(&bytes, pin.bytes.data + 8, 4);
    memcpy(&run->blocks_count, pin.bytes.data + 12, 4);
    memcpy(&run->count, pin.bytes.data + 16, 8);
    memcpy(&magic, pin.bytes.data + 24, 4);
    reader->unpin(&pin);
    if (magic != MAGIC || bytes > reader->bytes || offset > reader->bytes - bytes ||
        run->blocks_count > bytes / 20)
        return corrupt(ctx, run, "bad trailer");
    run->directory = malloc((size_t)bytes + 1);
    run->blocks = calloc((size_t)run->blocks_count + 1, sizeof(*run->blocks));
    if (run->directory == NULL || run->blocks == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    if (bytes > 0) {
        LUMA_TRY(reader->pin(ctx, reader, offset, bytes, &pin));
        memcpy(run->directory, pin.bytes.data, bytes);
        reader->unpin(&pin);
    }
    return parse_directory(ctx, run, bytes);
}

static luma_rc
run_open(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    run->reader = reader;
    luma_rc rc = run_load(ctx, run);
    if (rc != LUMA_OK) {
        run_close(run);
        return rc;
    }
    *out_run = run;
    return LUMA_OK;
}

static uint64_t
run_count(const void *arg)
{
    return ((const struct run *)arg)->count;
}

/* The entry at *at of a pinned block; *at moves behind it. */
static luma_rc
read_entry(struct luma_ctx *ctx, const struct run *run, struct luma_slice block, size_t *at,
           struct luma_index_entry *out)
{
    uint32_t key_bytes;
    if (block.bytes - *at < ENTRY_HEAD)
        return corrupt(ctx, run, "entry is cut off");
    memcpy(&key_bytes, block.data + *at, 4);
    memcpy(&out->rowid, block.data + *at + 4, 8);
    *at += ENTRY_HEAD;
    if (block.bytes - *at < key_bytes)
        return corrupt(ctx, run, "key is cut off");
    out->key = luma_slice(block.data + *at, key_bytes);
    *at += key_bytes;
    return LUMA_OK;
}

/* The last block whose first key is before key (equal keys may begin in it); 0 if there is none. */
static uint32_t
first_block_for(const struct run *run, struct luma_slice key)
{
    uint32_t low = 0, high = run->blocks_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (luma_slice_compare(run->blocks[middle].first, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : low - 1;
}

static luma_rc
find_in_block(struct luma_ctx *ctx, const struct run *run, struct luma_slice block, uint32_t count,
              struct luma_slice key, size_t key_index,
              void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct luma_index_entry entry = {.rowid = 0};
        LUMA_TRY(read_entry(ctx, run, block, &at, &entry));
        if (luma_slice_equal(entry.key, key))
            emit(arg, key_index, entry.rowid);
    }
    return LUMA_OK;
}

static luma_rc
run_find(struct luma_ctx *ctx, void *arg, const struct luma_slice *keys, size_t count,
         void (*emit)(void *arg, size_t key_index, int64_t rowid), void *emit_arg)
{
    struct run *run = arg;
    for (size_t k = 0; k < count; k++) {
        for (uint32_t b = first_block_for(run, keys[k]); b < run->blocks_count; b++) {
            const struct block_info *info = &run->blocks[b];
            if (luma_slice_compare(info->first, keys[k]) > 0)
                break;
            struct luma_pin pin;
            LUMA_TRY(run->reader->pin(ctx, run->reader, info->offset, info->bytes, &pin));
            luma_rc rc =
                find_in_block(ctx, run, pin.bytes, info->count, keys[k], k, emit, emit_arg);
            run->reader->unpin(&pin);
            LUMA_TRY(rc);
        }
    }
    return LUMA_OK;
}

/* Blocks that touch the range, times their mean number of entries. */
static uint64_t
run_estimate(struct luma_ctx *ctx, void *arg, const struct luma_index_range *range)
{
    (void)ctx;
    struct run *run = arg;
    uint64_t entries = 0;
    for (uint32_t b = range->lo.data == NULL ? 0 : first_block_for(run, range->lo);
         b < run->blocks_count && range_side(range, run->blocks[b].first) <= 0; b++)
        entries += run->blocks[b].count;
    return entries;
}

static luma_rc
verify_block(struct luma_ctx *ctx, const struct run *run, struct luma_slice block, uint32_t count,
             struct bytes *last, int64_t *last_rowid, bool *any)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct luma_index_entry entry = {.rowid = 0};
        LUMA_TRY(read_entry(ctx, run, block, &at, &entry));
        if (*any && entry_compare(luma_slice(last->data, last->used), *last_rowid, entry.key,
                                  entry.rowid) >= 0)
            return corrupt(ctx, run, "entries out of order");
        last->used = 0;
        if (!put(last, entry.key.data, entry.key.bytes))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        *last_rowid = entry.rowid;
        *any = true;
    }
    return at == block.bytes ? LUMA_OK : corrupt(ctx, run, "block is too long");
}

static luma_rc
run_verify(struct luma_ctx *ctx, void *arg)
{
    struct run *run = arg;
    struct bytes last = {.used = 0};
    int64_t last_rowid = 0;
    uint64_t entries = 0;
    bool any = false;
    luma_rc rc = LUMA_OK;
    for (uint32_t b = 0; b < run->blocks_count && rc == LUMA_OK; b++) {
        const struct block_info *info = &run->blocks[b];
        struct luma_pin pin;
        rc = run->reader->pin(ctx, run->reader, info->offset, info->bytes, &pin);
        if (rc != LUMA_OK)
            break;
        rc = verify_block(ctx, run, pin.bytes, info->count, &last, &last_rowid, &any);
        entries += info->count;
        run->reader->unpin(&pin);
    }
    free(last.data);
    LUMA_TRY(rc);
    return entries == run->count ? LUMA_OK : corrupt(ctx, run, "wrong number of entries");
}

/* --- cursors of both parts --- */

struct luma_index_cursor {
    struct hot *hot; /* NULL: of a run */
    struct run *run;
    struct luma_index_range range; /* bounds copied into bounds */
    struct bytes bounds, key;      /* key: of the entry last given */
    int64_t rowid;
    bool started, ended, no_memory;
    /* Runs: the block in hand, its entries' places in it, and which one is next. */
    uint32_t block, next;
    bool pinned;
    struct luma_pin pin;
    struct bytes places;
};

static void
cursor_close(struct luma_index_cursor *cursor)
{
    if (cursor == NULL)
        return;
    if (cursor->pinned)
        cursor->run->reader->unpin(&cursor->pin);
    free(cursor->bounds.data);
    free(cursor->key.data);
    free(cursor->places.data);
    free(cursor);
}

static luma_rc
cursor_create(struct luma_ctx *ctx, const struct luma_index_range *range,
              struct luma_index_cursor **out_cursor)
{
    struct luma_index_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL || !put(&cursor->bounds, range->lo.data, range->lo.bytes) ||
        !put(&cursor->bounds, range->hi.data, range->hi.bytes) || !put(&cursor->bounds, "", 1)) {
        cursor_close(cursor);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    cursor->range = *range;
    if (range->lo.data != NULL)
        cursor->range.lo.data = cursor->bounds.data;
    if (range->hi.data != NULL)
        cursor->range.hi.data = cursor->bounds.data + range->lo.bytes;
    *out_cursor = cursor;
    return LUMA_OK;
}

static luma_rc
hot_cursor(struct luma_ctx *ctx, void *hot, const struct luma_index_range *range,
           struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    (void)arena;
    LUMA_TRY(cursor_create(ctx, range, out_cursor));
    (*out_cursor)->hot = hot;
    return LUMA_OK;
}

/* First place whose entry is not on the side before the range (or, behind, is behind it). */
static size_t
hot_edge(const struct hot *hot, const struct luma_index_range *range, int side)
{
    size_t low = 0, high = hot->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (range_side(range, hot_key(hot, middle)) < side)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Finds its place anew each time: entries may have come and gone since. */
static bool
hot_step(struct luma_index_cursor *cursor)
{
    struct hot *hot = cursor->hot;
    struct luma_slice last = luma_slice(cursor->key.data, cursor->key.used);
    size_t at;
    if (cursor->range.reverse) {
        at = cursor->started ? hot_search(hot, last, cursor->rowid)
                             : hot_edge(hot, &cursor->range, 1);
        if (at == 0)
            return false;
        at--;
    } else if (cursor->started) {
        at = hot_search(hot, last, cursor->rowid);
        if (at < hot->count &&
            entry_compare(hot_key(hot, at), hot->entries[at].rowid, last, cursor->rowid) == 0)
            at++;
    } else {
        at = hot_edge(hot, &cursor->range, 0);
    }
    if (at >= hot->count || range_side(&cursor->range, hot_key(hot, at)) != 0)
        return false;
    cursor->key.used = 0;
    if (!put(&cursor->key, hot->entries[at].key, hot->entries[at].key_bytes)) {
        cursor->no_memory = true;
        return false;
    }
    cursor->rowid = hot->entries[at].rowid;
    cursor->started = true;
    return true;
}

static luma_rc
run_cursor(struct luma_ctx *ctx, void *arg, const struct luma_index_range *range,
           struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    (void)arena;
    struct run *run = arg;
    LUMA_TRY(cursor_create(ctx, range, out_cursor));
    struct luma_index_cursor *cursor = *out_cursor;
    cursor->run = run;
    if (!range->reverse) {
        cursor->block = range->lo.data == NULL ? 0 : first_block_for(run, range->lo);
        return LUMA_OK;
    }
    /* Backwards: from the last block that may hold a key not behind the range. */
    cursor->block = run->blocks_count;
    while (cursor->block > 0 && range_side(range, run->blocks[cursor->block - 1].first) > 0)
        cursor->block--;
    return LUMA_OK;
}

/* Pins the cursor's block and notes where its entries begin. */
static luma_rc
load_block(struct luma_ctx *ctx, struct luma_index_cursor *cursor, uint32_t block)
{
    struct run *run = cursor->run;
    const struct block_info *info = &run->blocks[block];
    LUMA_TRY(run->reader->pin(ctx, run->reader, info->offset, info->bytes, &cursor->pin));
    cursor->pinned = true;
    cursor->places.used = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < info->count; i++) {
        struct luma_index_entry entry = {.rowid = 0};
        uint32_t place = (uint32_t)at;
        if (!put(&cursor->places, &place, sizeof(place)))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        LUMA_TRY(read_entry(ctx, run, cursor->pin.bytes, &at, &entry));
    }
    cursor->next = cursor->range.reverse ? info->count : 0;
    return LUMA_OK;
}

/* The next entry in the cursor's direction, whether in the range or not. */
static luma_rc
run_step(struct luma_ctx *ctx, struct luma_index_cursor *cursor, struct luma_index_entry *out_entry,
         bool *out_more)
{
    bool reverse = cursor->range.reverse;
    while (!cursor->pinned ||
           cursor->next == (reverse ? 0 : (uint32_t)(cursor->places.used / sizeof(uint32_t)))) {
        if (cursor->pinned) {
            cursor->run->reader->unpin(&cursor->pin);
            cursor->pinned = false;
        }
        if (cursor->block == (reverse ? 0 : cursor->run->blocks_count)) {
            *out_more = false;
            return LUMA_OK;
        }
        LUMA_TRY(load_block(ctx, cursor, reverse ? --cursor->block : cursor->block++));
    }
    uint32_t place;
    memcpy(&place,
           cursor->places.data + sizeof(place) * (reverse ? --cursor->next : cursor->next++),
           sizeof(place));
    size_t at = place;
    *out_more = true;
    return read_entry(ctx, cursor->run, cursor->pin.bytes, &at, out_entry);
}

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *cursor,
            struct luma_index_entry *out_entry, bool *out_more)
{
    *out_more = false;
    if (cursor->ended)
        return LUMA_OK;
    if (cursor->hot != NULL) {
        pthread_rwlock_rdlock(&cursor->hot->lock);
        *out_more = hot_step(cursor);
        pthread_rwlock_unlock(&cursor->hot->lock);
        if (cursor->no_memory)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        out_entry->key = luma_slice(cursor->key.data, cursor->key.used);
        out_entry->rowid = cursor->rowid;
        cursor->ended = !*out_more;
        return LUMA_OK;
    }
    for (;;) {
        LUMA_TRY(run_step(ctx, cursor, out_entry, out_more));
        if (!*out_more)
            break;
        int side = range_side(&cursor->range, out_entry->key);
        if (side == 0)
            return LUMA_OK;
        if ((side > 0) != cursor->range.reverse)
            break;
    }
    cursor->ended = true;
    *out_more = false;
    return LUMA_OK;
}

static const struct luma_index_kind sorted_kind = {
    .head = LUMA_INDEX_HEAD,
    .wire_id = MAGIC,
    .caps = LUMA_INDEX_ORDERED | LUMA_INDEX_EQUAL | LUMA_INDEX_UNIQUE,
    .hot_create = hot_create,
    .hot_destroy = hot_destroy,
    .hot_insert = hot_insert,
    .hot_remove = hot_remove,
    .hot_bytes = hot_bytes,
    .hot_count = hot_count,
    .hot_find = hot_find,
    .hot_cursor = hot_cursor,
    .run_build = run_build,
    .run_open = run_open,
    .run_close = run_close,
    .run_find = run_find,
    .run_cursor = run_cursor,
    .run_count = run_count,
    .run_estimate = run_estimate,
    .run_verify = run_verify,
    .cursor_next = cursor_next,
    .cursor_close = cursor_close,
};

LUMA_MODULE(.kind = "index", .name = "sorted", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB examples", .summary = "a sorted array and sorted runs",
            .flags = LUMA_MODULE_STORAGE,
            .offers = LUMA_OFFERS({"index.sorted", &sorted_kind.head}));
