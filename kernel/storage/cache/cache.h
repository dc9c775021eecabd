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

/* Makes the block: returns memory from lk_cache_room with bytes and parsed set. */
typedef luma_rc (*lk_cache_load_fn)(struct luma_ctx *ctx, void *arg, uint64_t object_id,
                                    uint64_t offset, struct lk_cache_block *out_block);

LUMA_NODISCARD luma_rc lk_cache_create(struct luma_budget *budget, size_t limit_bytes,
                                       struct lk_cache **out_cache);
void lk_cache_destroy(struct lk_cache *cache);
/* Room for a loader's block: bytes + 16, with parsed_bytes beside it, 64-byte aligned. */
LUMA_NODISCARD luma_rc lk_cache_room(struct lk_cache *cache, size_t bytes, size_t parsed_bytes,
                                     struct lk_cache_block *out_block);
/* Finds or loads and pins. Tasks that miss one block at once may each load it; one copy stays. */
LUMA_NODISCARD luma_rc lk_cache_pin(struct luma_ctx *ctx, struct lk_cache *cache,
                                    uint64_t object_id, uint64_t offset, lk_cache_load_fn load,
                                    void *arg, struct lk_cache_block **out_block);
/* A loader gives back room it could not fill. */
void lk_cache_room_free(struct lk_cache *cache, struct lk_cache_block *block);
/* Only what is there: NULL when it would have to be loaded. */
struct lk_cache_block *lk_cache_peek(struct lk_cache *cache, uint64_t object_id, uint64_t offset);
void lk_cache_unpin(struct lk_cache *cache, struct lk_cache_block *block);
void lk_cache_forget(struct lk_cache *cache, uint64_t object_id); /* the object was removed */

struct lk_cache_stats {
    uint64_t misses, evicted;
    size_t used_bytes, limit_bytes;
    uint64_t blocks;
};
void lk_cache_stats(struct lk_cache *cache, struct lk_cache_stats *out);

#endif
