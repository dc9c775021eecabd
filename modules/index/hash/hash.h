/*
 * modules/index/hash/hash.h - the parts of the hash kind: equality only, one probe.
 *
 * Hot part: chained tables in shards (hot.c). Run: entries in blocks, in key order so that runs can
 * be merged, and a table from hash to the first entry of each key (run.c).
 */
#ifndef HASH_H
#define HASH_H

#include <lumadb/kind/index.h>

#include "bloom.h"

/* Set by init; NULL where no host is (a check of the module alone): plain malloc then. */
extern const struct luma_host_mem *hash_mem;

uint64_t hash_key(struct luma_slice key);

struct luma_index_cursor {
    luma_rc (*next)(struct luma_ctx *ctx, struct luma_index_cursor *cursor,
                    struct luma_index_entry *out_entry, bool *out_more);
    void (*close)(struct luma_index_cursor *cursor);
};

static inline int
hash_entry_compare(const struct luma_index_entry *a, const struct luma_index_entry *b)
{
    int c = luma_slice_compare(a->key, b->key);
    return c != 0 ? c : (a->rowid > b->rowid) - (a->rowid < b->rowid);
}

/* --- hot.c --- */
luma_rc hash_hot_create(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot);
void hash_hot_destroy(void *hot);
luma_rc hash_hot_insert(struct luma_ctx *ctx, void *hot, const struct luma_index_entry *entries,
                        size_t count);
void hash_hot_remove(void *hot, const struct luma_index_entry *entry);
size_t hash_hot_bytes(const void *hot);
size_t hash_hot_count(const void *hot);
luma_rc hash_hot_find(struct luma_ctx *ctx, void *hot, struct luma_slice key, int64_t *out_rowids,
                      size_t room, size_t *out_count);
/* All entries, sorted: what a checkpoint writes. The range is not looked at. */
luma_rc hash_hot_cursor(struct luma_ctx *ctx, void *hot, const struct luma_index_range *range,
                        struct luma_arena *arena, struct luma_index_cursor **out_cursor);

/* --- run.c --- */

#define HASH_RUN_MAGIC   0x3148534148554c4cULL /* "LLUHASH1" */
#define HASH_BLOCK_BYTES 8192
#define HASH_PAGE_SLOTS  512

/* Last append of a run. */
struct hash_trailer {
    uint64_t magic;
    uint64_t count;
    uint64_t slots;        /* power of two, 0: empty */
    uint64_t slots_offset; /* pages of HASH_PAGE_SLOTS slots, one append each */
    uint64_t blocks;
    uint64_t places_offset; /* pages of HASH_PAGE_SLOTS places of blocks */
    uint64_t page_step;     /* from one page to the next */
    uint64_t bloom_offset;  /* a filter of `slots` bytes; 0: none, as older runs have it */
};
LUMA_STATIC_ASSERT(sizeof(struct hash_trailer) == 64, "as on disk");

luma_rc hash_run_build(struct luma_ctx *ctx, struct luma_index_source *source,
                       struct luma_object_writer *writer);
luma_rc hash_run_open(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run);
void hash_run_close(void *run);
luma_rc hash_run_find(struct luma_ctx *ctx, void *run, const struct luma_slice *keys, size_t count,
                      void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg);
luma_rc hash_run_cursor(struct luma_ctx *ctx, void *run, const struct luma_index_range *range,
                        struct luma_arena *arena, struct luma_index_cursor **out_cursor);
uint64_t hash_run_count(const void *run);
uint64_t hash_run_estimate(struct luma_ctx *ctx, void *run, const struct luma_index_range *range);
luma_rc hash_run_verify(struct luma_ctx *ctx, void *run);

#endif
