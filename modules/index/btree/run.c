/*
 * modules/index/btree/run.c - reading a run: from the root, which stays pinned, down one pinned
 * block a level. The kernel checks a block's checksum when it comes from disk.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "btree.h"

struct run {
    struct luma_object_reader *reader;
    struct btree_trailer trailer;
    struct luma_pin bloom, root;
    _Atomic uint32_t asked, passed; /* of keys given to the filter now and then */
    struct btree_block root_block;
};

/* A way from the root to an entry. */
struct walk {
    struct run *run;
    uint32_t levels;
    struct {
        struct luma_pin pin; /* the root's belongs to the run */
        struct btree_block block;
        uint32_t at;
    } level[BTREE_LEVELS_MAX]; /* 0: entries */
};

static luma_rc
corrupt(struct luma_ctx *ctx, const struct run *run, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %llu: %s",
                     (unsigned long long)run->reader->object_id, what);
}

static luma_rc
pin_block(struct luma_ctx *ctx, struct run *run, uint64_t place, uint32_t level,
          struct luma_pin *out_pin, struct btree_block *out_block)
{
    LUMA_TRY(run->reader->pin(ctx, run->reader, place >> 24,
                              (size_t)(place & BTREE_PLACE_BYTES_MAX), out_pin));
    if (btree_block_open(out_pin->bytes, out_block) && out_block->level == level)
        return LUMA_OK;
    run->reader->unpin(out_pin);
    return corrupt(ctx, run, "a block is damaged");
}

/* --- open --- */

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
    const struct btree_trailer *t = &run->trailer;
    if (t->magic != BTREE_RUN_MAGIC || t->levels > BTREE_LEVELS_MAX ||
        (t->levels == 0) != (t->count == 0) || t->bloom_bytes % BLOOM_LINE_BYTES != 0)
        return corrupt(ctx, run, "it does not end as a run does");
    return LUMA_OK;
}

static luma_rc
open_run(struct luma_ctx *ctx, struct run *run)
{
    LUMA_TRY(read_trailer(ctx, run));
    if (run->trailer.bloom_bytes > 0)
        LUMA_TRY(run->reader->pin(ctx, run->reader, run->trailer.bloom_offset,
                                  run->trailer.bloom_bytes, &run->bloom));
    if (run->trailer.levels > 0)
        LUMA_TRY(pin_block(ctx, run, run->trailer.root, run->trailer.levels - 1, &run->root,
                           &run->root_block));
    return LUMA_OK;
}

void
btree_run_close(void *arg)
{
    struct run *run = arg;
    if (run == NULL)
        return;
    if (run->bloom.opaque != NULL)
        run->reader->unpin(&run->bloom);
    if (run->root.opaque != NULL)
        run->reader->unpin(&run->root);
    free(run);
}

luma_rc
btree_run_open(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an index run");
    run->reader = reader;
    luma_rc rc = open_run(ctx, run);
    if (rc != LUMA_OK) {
        btree_run_close(run);
        return rc;
    }
    *out_run = run;
    return LUMA_OK;
}

uint64_t
btree_run_count(const void *arg)
{
    return ((const struct run *)arg)->trailer.count;
}

/* --- walking --- */

static void
walk_init(struct walk *walk, struct run *run)
{
    memset(walk, 0, sizeof(*walk));
    walk->run = run;
    walk->levels = run->trailer.levels;
    if (walk->levels > 0)
        walk->level[walk->levels - 1].block = run->root_block;
}

static void
walk_release(struct walk *walk, uint32_t level)
{
    if (level + 1 < walk->levels && walk->level[level].pin.opaque != NULL)
        walk->run->reader->unpin(&walk->level[level].pin);
}

static void
walk_fini(struct walk *walk)
{
    for (uint32_t level = 0; level < walk->levels; level++)
        walk_release(walk, level);
}

/* Pins the child that the entry of `level` names. */
static luma_rc
walk_down(struct luma_ctx *ctx, struct walk *walk, uint32_t level)
{
    uint64_t place = (uint64_t)btree_block_rowid(&walk->level[level].block, walk->level[level].at);
    walk_release(walk, level - 1);
    return pin_block(ctx, walk->run, place, level - 1, &walk->level[level - 1].pin,
                     &walk->level[level - 1].block);
}

/* First entry not before the bound; *out_more false: there is none. */
static luma_rc
walk_seek(struct luma_ctx *ctx, struct walk *walk, struct luma_slice bound, bool after,
          bool *out_more)
{
    *out_more = false;
    for (uint32_t level = walk->levels; level-- > 0;) {
        uint32_t at = btree_block_seek(&walk->level[level].block, bound, after);
        if (at == walk->level[level].block.count)
            return level + 1 == walk->levels
                       ? LUMA_OK
                       : corrupt(ctx, walk->run, "a block ends before its last key");
        walk->level[level].at = at;
        if (level > 0)
            LUMA_TRY(walk_down(ctx, walk, level));
        else
            *out_more = true;
    }
    return LUMA_OK;
}

/* The very first entry, or the very last. */
static luma_rc
walk_edge(struct luma_ctx *ctx, struct walk *walk, uint32_t from_level, bool last)
{
    for (uint32_t level = from_level; level-- > 0;) {
        walk->level[level].at = last ? walk->level[level].block.count - 1 : 0;
        if (level > 0)
            LUMA_TRY(walk_down(ctx, walk, level));
    }
    return LUMA_OK;
}

static luma_rc
walk_step(struct luma_ctx *ctx, struct walk *walk, bool back, bool *out_more)
{
    for (uint32_t level = 0; level < walk->levels; level++) {
        bool edge = back ? walk->level[level].at == 0
                         : walk->level[level].at + 1 >= walk->level[level].block.count;
        if (edge)
            continue;
        walk->level[level].at = back ? walk->level[level].at - 1 : walk->level[level].at + 1;
        *out_more = true;
        if (level == 0)
            return LUMA_OK;
        LUMA_TRY(walk_down(ctx, walk, level));
        return walk_edge(ctx, walk, level, back);
    }
    *out_more = false;
    return LUMA_OK;
}

/* --- the filter --- */

#define FILTER_SAMPLE 16u   /* of so many keys one counts */
#define FILTER_MEMORY 1024u /* keys that count: then all before count half */

/* Where nearly all keys that are looked for are there, the filter is a miss of the cache for
 * nothing. */
static bool
filter_is_idle(const struct run *run)
{
    uint32_t asked = atomic_load_explicit(&run->asked, memory_order_relaxed);
    uint32_t passed = atomic_load_explicit(&run->passed, memory_order_relaxed);
    return asked >= FILTER_MEMORY / 8 && passed > asked - asked / 16;
}

/* Threads may overtake each other here: it is an estimate. */
static void
filter_count(struct run *run, bool passed)
{
    uint32_t asked = atomic_load_explicit(&run->asked, memory_order_relaxed) + 1;
    uint32_t all = atomic_load_explicit(&run->passed, memory_order_relaxed) + passed;
    uint32_t shift = asked >= FILTER_MEMORY;
    atomic_store_explicit(&run->asked, asked >> shift, memory_order_relaxed);
    atomic_store_explicit(&run->passed, all >> shift, memory_order_relaxed);
}

/* May the key be there? */
static bool
filter_passes(struct run *run, struct luma_slice key)
{
    size_t lines = run->trailer.bloom_bytes / BLOOM_LINE_BYTES;
    if (lines == 0)
        return true;
    uint64_t hash = btree_key_hash(key);
    bool counts = hash % FILTER_SAMPLE == 0;
    if (!counts && filter_is_idle(run))
        return true;
    bool passes = bloom_has((const uint64_t *)(const void *)run->bloom.bytes.data, lines, hash);
    if (counts)
        filter_count(run, passes);
    return passes;
}

/* --- exact lookups --- */

static inline bool
entry_is(const struct btree_block *block, uint32_t i, struct luma_slice key)
{
    struct luma_slice suffix = btree_block_suffix(block, i);
    return key.bytes == block->prefix.bytes + suffix.bytes &&
           memcmp(key.data, block->prefix.data, block->prefix.bytes) == 0 &&
           memcmp(key.data + block->prefix.bytes, suffix.data, suffix.bytes) == 0;
}

static luma_rc
find_one(struct luma_ctx *ctx, struct walk *walk, struct luma_slice key, size_t index,
         void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    bool more;
    LUMA_TRY(walk_seek(ctx, walk, key, false, &more));
    while (more && entry_is(&walk->level[0].block, walk->level[0].at, key)) {
        emit(arg, index, btree_block_rowid(&walk->level[0].block, walk->level[0].at));
        LUMA_TRY(walk_step(ctx, walk, false, &more));
    }
    return LUMA_OK;
}

luma_rc
btree_run_find(struct luma_ctx *ctx, void *arg_run, const struct luma_slice *keys, size_t count,
               void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    struct run *run = arg_run;
    struct walk walk;
    luma_rc rc = LUMA_OK;

    if (run->trailer.count == 0)
        return LUMA_OK;
    walk_init(&walk, run);
    for (size_t i = 0; i < count && rc == LUMA_OK; i++)
        if (filter_passes(run, keys[i]))
            rc = find_one(ctx, &walk, keys[i], i, emit, arg);
    walk_fini(&walk);
    return rc;
}

/* --- ranges --- */

struct cursor {
    struct luma_index_cursor base;
    struct walk walk;
    struct luma_index_range range;
    struct luma_arena *arena;
    uint8_t *key; /* the entry's, put together */
    size_t key_room;
    bool begun, done;
};

static luma_rc
cursor_begin(struct luma_ctx *ctx, struct cursor *cursor, bool *out_more)
{
    const struct luma_index_range *range = &cursor->range;
    struct walk *walk = &cursor->walk;

    *out_more = walk->levels > 0;
    if (walk->levels == 0)
        return LUMA_OK;
    if (!range->reverse) {
        if (range->lo.data == NULL)
            return walk_edge(ctx, walk, walk->levels, false);
        return walk_seek(ctx, walk, range->lo, range->lo_exclusive, out_more);
    }
    if (range->hi.data != NULL) {
        bool found;
        LUMA_TRY(walk_seek(ctx, walk, range->hi, !range->hi_exclusive, &found));
        if (found)
            return walk_step(ctx, walk, true, out_more);
    }
    return walk_edge(ctx, walk, walk->levels, true);
}

static luma_rc
cursor_key(struct luma_ctx *ctx, struct cursor *cursor, struct luma_slice *out)
{
    const struct btree_block *block = &cursor->walk.level[0].block;
    struct luma_slice suffix = btree_block_suffix(block, cursor->walk.level[0].at);
    size_t bytes = block->prefix.bytes + suffix.bytes;
    if (block->prefix.bytes == 0 && suffix.bytes > 0) { /* it lies in one piece */
        *out = suffix;
        return LUMA_OK;
    }
    if (bytes > cursor->key_room || cursor->key == NULL) {
        cursor->key_room = bytes * 2 + 64;
        cursor->key = luma_arena_alloc(cursor->arena, cursor->key_room);
        if (cursor->key == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index key");
    }
    memcpy(cursor->key, block->prefix.data, block->prefix.bytes);
    memcpy(cursor->key + block->prefix.bytes, suffix.data, suffix.bytes);
    *out = luma_slice(cursor->key, bytes);
    return LUMA_OK;
}

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *base,
            struct luma_index_entry *out_entry, bool *out_more)
{
    struct cursor *cursor = (struct cursor *)base;
    struct luma_index_entry entry;
    bool more = false;

    if (!cursor->done) {
        if (cursor->begun)
            LUMA_TRY(walk_step(ctx, &cursor->walk, cursor->range.reverse, &more));
        else
            LUMA_TRY(cursor_begin(ctx, cursor, &more));
        cursor->begun = true;
    }
    if (more) {
        LUMA_TRY(cursor_key(ctx, cursor, &entry.key));
        more = !btree_beyond(&cursor->range, entry.key);
    }
    *out_more = more;
    cursor->done = !more;
    if (!more)
        return LUMA_OK;
    entry.rowid = btree_block_rowid(&cursor->walk.level[0].block, cursor->walk.level[0].at);
    *out_entry = entry;
    return LUMA_OK;
}

static void
cursor_close(struct luma_index_cursor *base)
{
    if (base != NULL)
        walk_fini(&((struct cursor *)base)->walk);
}

luma_rc
btree_run_cursor(struct luma_ctx *ctx, void *run, const struct luma_index_range *range,
                 struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    struct cursor *cursor = LUMA_NEW(arena, struct cursor);
    if (cursor == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    cursor->base.next = cursor_next;
    cursor->base.close = cursor_close;
    cursor->range = *range;
    cursor->arena = arena;
    walk_init(&cursor->walk, run);
    *out_cursor = &cursor->base;
    return LUMA_OK;
}

/* Share of all entries before the walk's entry, as if all blocks were equally full. */
static double
walk_share(const struct walk *walk)
{
    double share = 0;
    for (uint32_t level = 0; level < walk->levels; level++)
        share = (walk->level[level].at + share) / walk->level[level].block.count;
    return share;
}

static double
share_before(struct luma_ctx *ctx, struct run *run, struct luma_slice bound, bool after)
{
    struct walk walk;
    bool more;
    walk_init(&walk, run);
    double share = 1;
    if (walk_seek(ctx, &walk, bound, after, &more) == LUMA_OK && more)
        share = walk_share(&walk);
    walk_fini(&walk);
    return share;
}

uint64_t
btree_run_estimate(struct luma_ctx *ctx, void *arg, const struct luma_index_range *range)
{
    struct run *run = arg;
    if (run->trailer.count == 0)
        return 0;
    double lo = range->lo.data == NULL ? 0 : share_before(ctx, run, range->lo, range->lo_exclusive);
    double hi =
        range->hi.data == NULL ? 1 : share_before(ctx, run, range->hi, !range->hi_exclusive);
    return hi <= lo ? 0 : (uint64_t)((hi - lo) * (double)run->trailer.count + 0.5);
}

/* --- checking --- */

static luma_rc
verify_entries(struct luma_ctx *ctx, struct run *run, struct luma_index_cursor *cursor,
               struct luma_arena *arena)
{
    const uint64_t *bloom = (const uint64_t *)(const void *)run->bloom.bytes.data;
    size_t lines = run->trailer.bloom_bytes / BLOOM_LINE_BYTES, last_room = 0;
    struct luma_index_entry entry, last = {{NULL, 0}, 0};
    uint8_t *copy = NULL;
    uint64_t count = 0;
    bool more;

    for (;; count++) {
        LUMA_TRY(cursor->next(ctx, cursor, &entry, &more));
        if (!more)
            break;
        int c = count == 0 ? 1 : luma_slice_compare(entry.key, last.key);
        if (c < 0 || (c == 0 && entry.rowid <= last.rowid))
            return corrupt(ctx, run, "entries are out of order");
        if (lines > 0 && !bloom_has(bloom, lines, btree_key_hash(entry.key)))
            return corrupt(ctx, run, "the filter does not know a key");
        if (entry.key.bytes > last_room || copy == NULL) {
            last_room = entry.key.bytes * 2 + 64;
            copy = luma_arena_alloc(arena, last_room);
            if (copy == NULL)
                return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to check an index run");
        }
        memcpy(copy, entry.key.data, entry.key.bytes);
        last.key = luma_slice(copy, entry.key.bytes);
        last.rowid = entry.rowid;
    }
    return count == run->trailer.count ? LUMA_OK : corrupt(ctx, run, "entries are miscounted");
}

luma_rc
btree_run_verify(struct luma_ctx *ctx, void *run)
{
    struct luma_index_range all = {0};
    struct luma_index_cursor *cursor;
    LUMA_TRY(btree_run_cursor(ctx, run, &all, ctx->arena, &cursor));
    luma_rc rc = verify_entries(ctx, run, cursor, ctx->arena);
    cursor->close(cursor);
    return rc;
}
