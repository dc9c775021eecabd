/*
 * kernel/storage/cache - decompressed blocks of objects, shared by all readers.
 *
 * Key: (object id, offset). Value: bytes the loader made (decompressed, checked), followed by 16
 * readable zero bytes, and a small parsed header of the loader's choice. Sharded, CLOCK eviction,
 * bounded by the cache budget; pinned blocks stay.
 */
#ifndef LK_STORAGE_CACHE_H
#define LK_STORAGE_CACHE_H

#include <lumadb/error.h>
#include <lumadb/host/mem.h>

struct lk_cache;

struct lk_cache_block {
    struct luma_slice bytes;
    void *parsed; /* what the loader left (in the block's own memory) */
};

/* Where somebody who comes back may find a block at once; zero at first, shared by any threads, and
 * no claim on the block. */
struct lk_cache_hint {
    struct lk_cache_block *_Atomic block;
};

/* Makes the block: returns memory from lk_cache_room with bytes and parsed set. */
typedef luma_rc (*lk_cache_load_fn)(struct luma_ctx *ctx, void *arg, uint64_t object_id,
                                    uint64_t offset, struct lk_cache_block *out_block);

LUMA_NODISCARD luma_rc lk_cache_create(struct luma_budget *budget, size_t limit_bytes,
                                       struct lk_cache **out_cache);
void lk_cache_destroy(struct lk_cache *cache);
/* What such room takes of the cache. */
size_t lk_cache_room_bytes(size_t bytes, size_t parsed_bytes);
/* Room for a loader's block: bytes + 16, with parsed_bytes beside it, 64-byte aligned. */
LUMA_NODISCARD luma_rc lk_cache_room(struct lk_cache *cache, size_t bytes, size_t parsed_bytes,
                                     struct lk_cache_block *out_block);
/* Finds or loads and pins. Tasks that miss one block at once may each load it; one copy stays. */
LUMA_NODISCARD luma_rc lk_cache_pin(struct luma_ctx *ctx, struct lk_cache *cache,
                                    uint64_t object_id, uint64_t offset, lk_cache_load_fn load,
                                    void *arg, struct lk_cache_block **out_block);
/* The same; trial: a block that has to be loaded is used once, for all that is known. While such
 * blocks have more than an eighth of the cache they make room for each other, and nothing else goes
 * for them. One that is used again is like any other. hint (may be NULL): spares looking it up. */
LUMA_NODISCARD luma_rc lk_cache_pin_as(struct luma_ctx *ctx, struct lk_cache *cache,
                                       uint64_t object_id, uint64_t offset, bool trial,
                                       struct lk_cache_hint *hint, lk_cache_load_fn load, void *arg,
                                       struct lk_cache_block **out_block);
/* Account of blocks that somebody pins for long. */
void lk_cache_kept_add(struct lk_cache *cache, size_t bytes);
void lk_cache_kept_sub(struct lk_cache *cache, size_t bytes);
/* A loader gives back room it could not fill. */
void lk_cache_room_free(struct lk_cache *cache, struct lk_cache_block *block);
/* Only what is there: NULL when it would have to be loaded. */
struct lk_cache_block *lk_cache_peek(struct lk_cache *cache, uint64_t object_id, uint64_t offset);
void lk_cache_unpin(struct lk_cache *cache, struct lk_cache_block *block);
void lk_cache_forget(struct lk_cache *cache, uint64_t object_id); /* the object was removed */

struct lk_cache_stats {
    uint64_t misses, evicted;
    size_t used_bytes, limit_bytes;
    size_t trial_bytes; /* of blocks used once */
    size_t kept_bytes;  /* of blocks that stay pinned */
    uint64_t blocks;
};
void lk_cache_stats(struct lk_cache *cache, struct lk_cache_stats *out);
/* Every block there is, with a shard's lock held: fn does no more than note it. False: fn said so.
 */
bool lk_cache_each(struct lk_cache *cache, bool (*fn)(void *arg, uint64_t object_id, size_t bytes),
                   void *arg);

#endif
