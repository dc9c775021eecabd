/*
 * modules/index/btree/btree.h - the parts of the btree kind.
 *
 * Hot part: a skip list with nodes in an arena (hot.c). Run: a static B+tree of blocks (block.c,
 * build.c, run.c) with a bloom filter over whole keys in front.
 */
#ifndef BTREE_H
#define BTREE_H

#include <lumadb/kind/index.h>

#include "bloom.h"

/* Set by init; NULL where no host is (a check of the module alone): plain malloc then. */
extern const struct luma_host_mem *btree_mem;

/*
 * Order of a key against a bound: a key that begins with the whole bound is equal to it. Monotone
 * in key order, so a binary search may use it.
 */
static inline int
btree_compare(struct luma_slice key, struct luma_slice bound)
{
    size_t n = key.bytes < bound.bytes ? key.bytes : bound.bytes;
    int c = n == 0 ? 0 : memcmp(key.data, bound.data, n);
    return c != 0 ? c : key.bytes < bound.bytes ? -1 : 0;
}

/* Does the key lie before the bound where a cursor starts (after: keys equal to it do as well)? */
static inline bool
btree_before(struct luma_slice key, struct luma_slice bound, bool after)
{
    int c = btree_compare(key, bound);
    return c < 0 || (after && c == 0);
}

/* Is the key beyond the end of a range walked in its direction? */
static inline bool
btree_beyond(const struct luma_index_range *range, struct luma_slice key)
{
    if (!range->reverse)
        return range->hi.data != NULL && !btree_before(key, range->hi, !range->hi_exclusive);
    return range->lo.data != NULL && btree_before(key, range->lo, range->lo_exclusive);
}

/* Both kinds of cursors begin with this. */
struct luma_index_cursor {
    luma_rc (*next)(struct luma_ctx *ctx, struct luma_index_cursor *cursor,
                    struct luma_index_entry *out_entry, bool *out_more);
    void (*close)(struct luma_index_cursor *cursor);
};

/* --- hot.c --- */
luma_rc btree_hot_create(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot);
void btree_hot_destroy(void *hot);
luma_rc btree_hot_insert(struct luma_ctx *ctx, void *hot, const struct luma_index_entry *entries,
                         size_t count);
void btree_hot_remove(void *hot, const struct luma_index_entry *entry);
size_t btree_hot_bytes(const void *hot);
size_t btree_hot_count(const void *hot);
luma_rc btree_hot_find(struct luma_ctx *ctx, void *hot, struct luma_slice key, int64_t *out_rowids,
                       size_t room, size_t *out_count);
luma_rc btree_hot_cursor(struct luma_ctx *ctx, void *hot, const struct luma_index_range *range,
                         struct luma_arena *arena, struct luma_index_cursor **out_cursor);

/* --- order.c --- */

/* First 8 bytes of a key as a number, zero padded: most comparisons end here. */
static inline uint64_t
btree_key_head(struct luma_slice key)
{
    uint8_t bytes[8] = {0};
    uint64_t v;
    memcpy(bytes, key.data, key.bytes < 8 ? key.bytes : 8);
    memcpy(&v, bytes, sizeof(v));
    return __builtin_bswap64(v);
}

/* An entry by its place in the caller's array. */
struct btree_ordered {
    uint64_t head; /* of what follows the bytes that all keys begin with */
    uint64_t at;
};
/* Sorts them by key and row id; *out: of count items, or NULL when the entries are in order as they
 * are. To be freed with btree_free. LUMA_E_NOMEM. */
luma_rc btree_order(struct luma_budget *budget, const struct luma_index_entry *entries,
                    size_t count, struct btree_ordered **out);

/* Counted memory of the host, or plain where there is none. */
void *btree_alloc(struct luma_budget *budget, size_t bytes);
void btree_free(struct luma_budget *budget, void *p, size_t bytes);

/* --- block.c: sorted entries with their common prefix taken out, searchable as they lie --- */

/*
 *   0  u8  bytes of a row id less the base, 0 .. 8
 *   1  u8  1: all suffixes have suffix_bytes, 0: u32 offsets[count + 1] say where they end
 *   2  u16 level, 0 for entries; above, row ids are places of blocks one level lower and keys their
 *          last ones
 *   4  u32 count
 *   8  i64 smallest row id
 *   16 u32 bytes of the prefix
 *   20 u32 bytes of a suffix, or of all
 *   24 prefix, then (padded to 4) offsets, suffixes, row ids
 */
struct btree_block_header {
    uint8_t rowid_bytes;
    uint8_t fixed;
    uint16_t level;
    uint32_t count;
    int64_t rowid_base;
    uint32_t prefix_bytes;
    uint32_t suffix_bytes;
};
LUMA_STATIC_ASSERT(sizeof(struct btree_block_header) == 24, "as on disk");

struct btree_block {
    uint32_t count;
    uint16_t level;
    uint8_t rowid_bytes;
    bool fixed;
    uint32_t suffix_bytes;
    int64_t rowid_base;
    struct luma_slice prefix;
    const uint32_t *offsets;
    const uint8_t *suffixes;
    const uint8_t *rowids;
};

/* Checks that nothing leads outside; false: damaged. */
bool btree_block_open(struct luma_slice bytes, struct btree_block *out);

static inline struct luma_slice
btree_block_suffix(const struct btree_block *block, uint32_t i)
{
    if (block->fixed)
        return luma_slice(block->suffixes + (size_t)i * block->suffix_bytes, block->suffix_bytes);
    uint32_t from = block->offsets[i], to = block->offsets[i + 1];
    if (from > to || to > block->suffix_bytes) /* damage a checksum did not see: stay inside */
        return luma_slice(block->suffixes, 0);
    return luma_slice(block->suffixes + from, to - from);
}

static inline int64_t
btree_block_rowid(const struct btree_block *block, uint32_t i)
{
    uint64_t v = 0;
    memcpy(&v, block->rowids + (size_t)i * block->rowid_bytes, block->rowid_bytes);
    return (int64_t)((uint64_t)block->rowid_base + v);
}

/* First entry that is not before the bound (btree_before); count: none. */
uint32_t btree_block_seek(const struct btree_block *block, struct luma_slice bound, bool after);

/* Entries of a block that is being made. */
struct btree_block_writer {
    struct luma_buf keys; /* one after the other */
    uint32_t *ends;       /* of each key in keys */
    int64_t *rowids;
    uint32_t count, room;
    uint16_t level;
};

bool btree_block_add(struct btree_block_writer *writer, struct luma_slice key, int64_t rowid);
size_t btree_block_bytes(const struct btree_block_writer *writer); /* about what it will take */
/* Writes the block into out (grown with realloc) and empties the writer. */
bool btree_block_write(struct btree_block_writer *writer, struct luma_buf *out);
void btree_block_fini(struct btree_block_writer *writer);

/* --- build.c, run.c --- */

#define BTREE_BLOCK_BYTES 8192
#define BTREE_INDEX_BYTES 32768
#define BTREE_LEVELS_MAX  8
#define BTREE_BLOOM_BITS  10                    /* a key */
#define BTREE_RUN_MAGIC   0x31455254424d554cULL /* "LUMBTRE1" */

/* Last append of a run. */
struct btree_trailer {
    uint64_t magic;
    uint64_t count;
    uint64_t root; /* place, 0: empty */
    uint64_t bloom_offset;
    uint32_t bloom_bytes; /* a multiple of 64; 0: none */
    uint32_t levels;      /* of blocks, entries included */
    uint64_t blocks;
    uint8_t zero[16];
};
LUMA_STATIC_ASSERT(sizeof(struct btree_trailer) == 64, "as on disk");

/* Where a block lies, in one number: what index entries keep as row ids. */
static inline uint64_t
btree_place(uint64_t offset, size_t bytes)
{
    return offset << 24 | bytes;
}

#define BTREE_PLACE_BYTES_MAX (((size_t)1 << 24) - 1)

uint64_t btree_key_hash(struct luma_slice key);

luma_rc btree_run_build(struct luma_ctx *ctx, struct luma_index_source *source,
                        struct luma_object_writer *writer);
luma_rc btree_run_open(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run);
void btree_run_close(void *run);
luma_rc btree_run_find(struct luma_ctx *ctx, void *run, const struct luma_slice *keys, size_t count,
                       void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg);
luma_rc btree_run_cursor(struct luma_ctx *ctx, void *run, const struct luma_index_range *range,
                         struct luma_arena *arena, struct luma_index_cursor **out_cursor);
uint64_t btree_run_count(const void *run);
uint64_t btree_run_estimate(struct luma_ctx *ctx, void *run, const struct luma_index_range *range);
luma_rc btree_run_verify(struct luma_ctx *ctx, void *run);

#endif
