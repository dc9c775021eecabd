/*
 * storage/cache/cache.c - decompressed blocks of objects.
 *
 * A hit takes no lock. Descriptors are type-stable: once made they live as long as the cache, so a
 * reader may touch one at any time. `pins` decides: its top bit (DEAD) says that the descriptor
 * holds no block. A reader adds 1, and if DEAD was not set and the key is still the one it looks
 * for, the block is its own until it subtracts 1 again; otherwise it takes the 1 back and looks
 * under the shard's lock. The evictor swaps 0 for DEAD, which no pinned block has; a descriptor
 * that is used again loses DEAD by a subtraction, so that a late reader's 1 is never lost.
 */
#include "storage/cache/cache.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

#define SHARDS        16 /* power of two */
#define DEAD          0x80000000u
#define SLOTS_MIN     256
#define ROOM_HEADER   64
#define PAD_BYTES     16
#define TABLES_MAX    32
#define RECLAIM_BYTES ((size_t)1 << 20) /* given back at least, when memory is short */
#define TRIAL_PART    8                 /* of the cache, for blocks that were used once */

struct block {
    struct lk_cache_block pub; /* first: what callers hold */
    _Atomic uint64_t object_id, offset;
    _Atomic uint32_t pins;
    _Atomic uint32_t referenced; /* since the hand of the clock passed */
    bool trial;                  /* has to show that it is used again; under the shard's lock */
    struct block *free_next;
};

/* Lies before a block's bytes. */
struct room {
    void *alloc;
    size_t alloc_bytes;
};

struct table {
    uint32_t mask;
    struct block *_Atomic slots[];
};

struct shard {
    struct lk_mutex lock;
    struct table *_Atomic table;
    struct table *tables[TABLES_MAX]; /* this one and those outgrown: readers may still look */
    uint32_t tables_count;
    struct block **blocks; /* every descriptor of the shard, the clock's face */
    uint32_t blocks_count, blocks_room, hand, live;
    struct block *free;
    _Atomic uint64_t misses, evicted;
} LK_ALIGNED_LINE;

struct lk_cache {
    struct luma_budget *budget;
    size_t limit_bytes;
    _Atomic size_t used_bytes, trial_bytes, kept_bytes;
    _Atomic uint32_t evict_next; /* shard */
    struct shard shards[SHARDS];
};

static inline uint64_t
key_hash(uint64_t object_id, uint64_t offset)
{
    return lk_hash_u64(object_id * 0x9e3779b97f4a7c15ULL + offset);
}

static inline bool
key_is(const struct block *block, uint64_t object_id, uint64_t offset)
{
    return atomic_load_explicit(&block->object_id, memory_order_relaxed) == object_id &&
           atomic_load_explicit(&block->offset, memory_order_relaxed) == offset;
}

static inline struct shard *
shard_of(struct lk_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> 60 & (SHARDS - 1)];
}

/* --- life --- */

static bool reclaim(void *arg, size_t bytes);

static bool
shard_init(struct shard *shard)
{
    struct table *table = calloc(1, sizeof(*table) + SLOTS_MIN * sizeof(table->slots[0]));
    lk_mutex_init(&shard->lock, LK_LOCK_CACHE);
    if (table == NULL)
        return false;
    table->mask = SLOTS_MIN - 1;
    shard->tables[shard->tables_count++] = table;
    atomic_init(&shard->table, table);
    return true;
}

luma_rc
lk_cache_create(struct luma_budget *budget, size_t limit_bytes, struct lk_cache **out_cache)
{
    struct lk_cache *cache = aligned_alloc(LK_CACHE_LINE, sizeof(*cache));
    if (cache == NULL)
        return LUMA_E_NOMEM;
    memset(cache, 0, sizeof(*cache));
    cache->budget = budget;
    cache->limit_bytes = limit_bytes;
    for (uint32_t i = 0; i < SHARDS; i++) {
        if (!shard_init(&cache->shards[i])) {
            lk_cache_destroy(cache);
            return LUMA_E_NOMEM;
        }
    }
    *out_cache = cache;
    lk_budget_set_reclaim(reclaim, cache);
    return LUMA_OK;
}

static struct room
room_of(const struct lk_cache_block *pub)
{
    struct room room;
    memcpy(&room, pub->bytes.data - ROOM_HEADER, sizeof(room));
    return room;
}

static void
room_release(struct lk_cache *cache, struct lk_cache_block *pub)
{
    struct room room = room_of(pub);
    atomic_fetch_sub_explicit(&cache->used_bytes, room.alloc_bytes, memory_order_relaxed);
    lk_free(cache->budget, room.alloc, room.alloc_bytes);
}

void
lk_cache_destroy(struct lk_cache *cache)
{
    if (cache == NULL)
        return;
    lk_budget_set_reclaim(NULL, cache);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        for (uint32_t b = 0; b < shard->blocks_count; b++) {
            uint32_t pins = atomic_load_explicit(&shard->blocks[b]->pins, memory_order_relaxed);
            LK_ASSERT((pins & ~DEAD) == 0);
            if ((pins & DEAD) == 0)
                room_release(cache, &shard->blocks[b]->pub);
            free(shard->blocks[b]);
        }
        for (uint32_t t = 0; t < shard->tables_count; t++)
            free(shard->tables[t]);
        free(shard->blocks);
        lk_mutex_fini(&shard->lock);
    }
    free(cache);
}

/* --- look up --- */

/* Pins the block if it is alive and the one looked for. */
static bool
try_pin(struct block *block, uint64_t object_id, uint64_t offset)
{
    /* Pairs with the subtraction of DEAD in publish: what was written before it is seen. */
    uint32_t was = atomic_fetch_add_explicit(&block->pins, 1, memory_order_acquire);
    if ((was & DEAD) == 0 && key_is(block, object_id, offset)) {
        if (atomic_load_explicit(&block->referenced, memory_order_relaxed) == 0)
            atomic_store_explicit(&block->referenced, 1, memory_order_relaxed);
        return true;
    }
    atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
    return false;
}

/* May miss a block that is there while the table changes; never gives a wrong one. */
static struct block *
probe(struct shard *shard, uint64_t hash, uint64_t object_id, uint64_t offset)
{
    struct table *table = atomic_load_explicit(&shard->table, memory_order_acquire);
    for (uint32_t at = (uint32_t)hash & table->mask, steps = 0; steps <= table->mask;
         at = (at + 1) & table->mask, steps++) {
        struct block *block = atomic_load_explicit(&table->slots[at], memory_order_acquire);
        if (block == NULL)
            return NULL;
        if (key_is(block, object_id, offset) && try_pin(block, object_id, offset))
            return block;
    }
    return NULL;
}

struct lk_cache_block *
lk_cache_peek(struct lk_cache *cache, uint64_t object_id, uint64_t offset)
{
    uint64_t hash = key_hash(object_id, offset);
    struct block *block = probe(shard_of(cache, hash), hash, object_id, offset);
    return block == NULL ? NULL : &block->pub;
}

void
lk_cache_unpin(struct lk_cache *cache, struct lk_cache_block *pub)
{
    (void)cache;
    struct block *block = (struct block *)(void *)pub;
    atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
}

/* --- the table, under the shard's lock --- */

static void
table_put(struct table *table, struct block *block)
{
    uint64_t hash = key_hash(atomic_load_explicit(&block->object_id, memory_order_relaxed),
                             atomic_load_explicit(&block->offset, memory_order_relaxed));
    uint32_t at = (uint32_t)hash & table->mask;
    while (atomic_load_explicit(&table->slots[at], memory_order_relaxed) != NULL)
        at = (at + 1) & table->mask;
    atomic_store_explicit(&table->slots[at], block, memory_order_release);
}

static inline uint32_t
home_of(const struct table *table, const struct block *block)
{
    return (uint32_t)key_hash(atomic_load_explicit(&block->object_id, memory_order_relaxed),
                              atomic_load_explicit(&block->offset, memory_order_relaxed)) &
           table->mask;
}

/* Takes the block out and closes the gap. Readers on the way may miss a block that moves. */
static void
table_remove(struct table *table, struct block *gone)
{
    uint32_t gap = home_of(table, gone);
    while (atomic_load_explicit(&table->slots[gap], memory_order_relaxed) != gone)
        gap = (gap + 1) & table->mask;
    for (uint32_t at = (gap + 1) & table->mask;; at = (at + 1) & table->mask) {
        struct block *block = atomic_load_explicit(&table->slots[at], memory_order_relaxed);
        if (block == NULL)
            break;
        if (((at - home_of(table, block)) & table->mask) < ((at - gap) & table->mask))
            continue;
        atomic_store_explicit(&table->slots[gap], block, memory_order_release);
        gap = at;
    }
    atomic_store_explicit(&table->slots[gap], NULL, memory_order_release);
}

static bool
table_grow(struct shard *shard, struct table *old)
{
    uint32_t slots = (old->mask + 1) * 2;
    struct table *table = calloc(1, sizeof(*table) + slots * sizeof(table->slots[0]));
    if (table == NULL || shard->tables_count == TABLES_MAX) {
        free(table);
        return false;
    }
    table->mask = slots - 1;
    for (uint32_t i = 0; i <= old->mask; i++) {
        struct block *block = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (block != NULL)
            table_put(table, block);
    }
    shard->tables[shard->tables_count++] = table;
    atomic_store_explicit(&shard->table, table, memory_order_release);
    return true;
}

/* --- eviction --- */

/* With the lock held: it is on trial no more. */
static void
trial_end(struct lk_cache *cache, struct block *block)
{
    if (!block->trial)
        return;
    block->trial = false;
    atomic_fetch_sub_explicit(&cache->trial_bytes, room_of(&block->pub).alloc_bytes,
                              memory_order_relaxed);
}

/* With the lock held. False: pinned. */
static bool
evict(struct lk_cache *cache, struct shard *shard, struct block *block)
{
    uint32_t unpinned = 0;
    /* Pairs with the release in lk_cache_unpin: its reads of the bytes are over. */
    if (!atomic_compare_exchange_strong_explicit(&block->pins, &unpinned, DEAD,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    table_remove(atomic_load_explicit(&shard->table, memory_order_relaxed), block);
    trial_end(cache, block);
    room_release(cache, &block->pub);
    block->free_next = shard->free;
    shard->free = block;
    shard->live--;
    return true;
}

/* One shard's hand goes round at most twice, its lock held, and takes blocks (only those on trial).
 * True: something went. */
static bool
shard_sweep(struct lk_cache *cache, struct shard *shard, size_t target_bytes, bool trial)
{
    bool any = false;
    for (uint32_t steps = shard->blocks_count * 2;
         steps > 0 && atomic_load_explicit(&cache->used_bytes, memory_order_relaxed) > target_bytes;
         steps--) {
        struct block *block = shard->blocks[shard->hand];
        shard->hand = (shard->hand + 1) % shard->blocks_count;
        if (atomic_load_explicit(&block->pins, memory_order_relaxed) != 0)
            continue;
        if (trial && !block->trial)
            continue;
        if (atomic_exchange_explicit(&block->referenced, 0, memory_order_relaxed) != 0) {
            trial_end(cache, block);
            continue;
        }
        if (evict(cache, shard, block)) {
            any = true;
            atomic_fetch_add_explicit(&shard->evicted, 1, memory_order_relaxed);
        }
        if ((steps & 15) == 0 && any)
            break; /* share the loss among the shards */
    }
    return any;
}

static bool
shard_evict(struct lk_cache *cache, struct shard *shard, size_t target_bytes, bool trial)
{
    lk_mutex_lock(&shard->lock);
    bool any = shard_sweep(cache, shard, target_bytes, trial);
    lk_mutex_unlock(&shard->lock);
    return any;
}

static bool
trial_is_over(struct lk_cache *cache)
{
    return atomic_load_explicit(&cache->trial_bytes, memory_order_relaxed) >
           cache->limit_bytes / TRIAL_PART;
}

/* Makes the cache's bytes fit; what is pinned may keep it above. Blocks on trial go first when they
 * have more than their part: a scan of what is read once takes nothing from others. */
static void
make_room(struct lk_cache *cache, size_t target_bytes)
{
    bool trial = true;
    uint32_t idle = 0;
    while (idle < SHARDS &&
           atomic_load_explicit(&cache->used_bytes, memory_order_relaxed) > target_bytes) {
        uint32_t i = atomic_fetch_add_explicit(&cache->evict_next, 1, memory_order_relaxed);
        struct shard *shard = &cache->shards[i & (SHARDS - 1)];
        trial = trial && trial_is_over(cache);
        idle = shard_evict(cache, shard, target_bytes, trial) ? 0 : idle + 1;
        if (idle == SHARDS && trial) {
            trial = false;
            idle = 0;
        }
    }
}

/* The whole server is short of memory: blocks go, unless somebody is at work in their shard. */
static bool
reclaim(void *arg, size_t bytes)
{
    struct lk_cache *cache = arg;
    size_t used = atomic_load_explicit(&cache->used_bytes, memory_order_relaxed);
    size_t goal = LK_MAX(bytes, RECLAIM_BYTES), target = used > goal ? used - goal : 0;
    bool any = false;
    for (uint32_t n = 0; n < SHARDS * 8; n++) {
        uint32_t i = atomic_fetch_add_explicit(&cache->evict_next, 1, memory_order_relaxed);
        struct shard *shard = &cache->shards[i & (SHARDS - 1)];
        if (atomic_load_explicit(&cache->used_bytes, memory_order_relaxed) <= target)
            break;
        if (!lk_mutex_try(&shard->lock))
            continue;
        any = shard_sweep(cache, shard, target, false) || any;
        lk_mutex_untry(&shard->lock);
    }
    return any;
}

/* --- rooms --- */

luma_rc
lk_cache_room(struct lk_cache *cache, size_t bytes, size_t parsed_bytes,
              struct lk_cache_block *out_block)
{
    size_t body = lk_align_up(bytes + PAD_BYTES, 64);
    size_t all = lk_cache_room_bytes(bytes, parsed_bytes);
    size_t before = atomic_fetch_add_explicit(&cache->used_bytes, all, memory_order_relaxed);

    if (before + all > cache->limit_bytes)
        make_room(cache, cache->limit_bytes);
    void *alloc = lk_alloc(cache->budget, all);
    if (alloc == NULL) { /* the whole server is short: give what we can */
        make_room(cache, cache->limit_bytes / 2);
        alloc = lk_alloc(cache->budget, all);
    }
    if (alloc == NULL) {
        atomic_fetch_sub_explicit(&cache->used_bytes, all, memory_order_relaxed);
        return LUMA_E_NOMEM;
    }
    uint8_t *data = (uint8_t *)(uintptr_t)lk_align_up((uintptr_t)alloc + ROOM_HEADER, 64);
    struct room room = {alloc, all};
    memcpy(data - ROOM_HEADER, &room, sizeof(room));
    memset(data + bytes, 0, body - bytes);
    out_block->bytes = luma_slice(data, bytes);
    out_block->parsed = parsed_bytes == 0 ? NULL : data + body;
    return LUMA_OK;
}

void
lk_cache_room_free(struct lk_cache *cache, struct lk_cache_block *block)
{
    room_release(cache, block);
    memset(block, 0, sizeof(*block));
}

/* --- misses --- */

/* A descriptor for one more block, with the lock held. NULL: no memory. */
static struct block *
block_new(struct shard *shard)
{
    struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    if ((shard->live + 1) * 2 > table->mask && !table_grow(shard, table))
        return NULL;
    struct block *block = shard->free;
    if (block != NULL) {
        shard->free = block->free_next;
        return block;
    }
    if (shard->blocks_count == shard->blocks_room) {
        uint32_t room = shard->blocks_room == 0 ? 64 : shard->blocks_room * 2;
        struct block **grown = realloc(shard->blocks, room * sizeof(struct block *));
        if (grown == NULL)
            return NULL;
        shard->blocks = grown;
        shard->blocks_room = room;
    }
    block = calloc(1, sizeof(*block));
    if (block == NULL)
        return NULL;
    atomic_init(&block->pins, DEAD);
    shard->blocks[shard->blocks_count++] = block;
    return block;
}

/* Makes a loaded block findable, pinned once; takes its room. Somebody may have been faster: then
 * theirs is given. */
static struct block *
publish(struct lk_cache *cache, struct shard *shard, uint64_t hash, uint64_t object_id,
        uint64_t offset, bool trial, struct lk_cache_block *loaded)
{
    lk_mutex_lock(&shard->lock);
    struct block *block = probe(shard, hash, object_id, offset);
    if (block != NULL) {
        lk_mutex_unlock(&shard->lock);
        lk_cache_room_free(cache, loaded);
        return block;
    }
    block = block_new(shard);
    if (block != NULL) {
        block->pub = *loaded;
        atomic_store_explicit(&block->object_id, object_id, memory_order_relaxed);
        atomic_store_explicit(&block->offset, offset, memory_order_relaxed);
        atomic_store_explicit(&block->referenced, !trial, memory_order_relaxed);
        block->trial = trial;
        if (trial)
            atomic_fetch_add_explicit(&cache->trial_bytes, room_of(loaded).alloc_bytes,
                                      memory_order_relaxed);
        /* Pairs with the addition in try_pin. */
        atomic_fetch_sub_explicit(&block->pins, DEAD - 1, memory_order_release);
        table_put(atomic_load_explicit(&shard->table, memory_order_relaxed), block);
        shard->live++;
    }
    lk_mutex_unlock(&shard->lock);
    return block;
}

/* Descriptors live as long as the cache: a hint that is out of date names another block, or none.
 */
static bool
hinted(struct lk_cache_hint *hint, uint64_t object_id, uint64_t offset,
       struct lk_cache_block **out_block)
{
    struct lk_cache_block *pub = atomic_load_explicit(&hint->block, memory_order_acquire);
    struct block *block = (struct block *)(void *)pub;
    if (block == NULL || !key_is(block, object_id, offset) || !try_pin(block, object_id, offset))
        return false;
    *out_block = pub;
    return true;
}

static void
hint_set(struct lk_cache_hint *hint, struct block *block)
{
    if (hint != NULL)
        atomic_store_explicit(&hint->block, &block->pub, memory_order_release);
}

luma_rc
lk_cache_pin_as(struct luma_ctx *ctx, struct lk_cache *cache, uint64_t object_id, uint64_t offset,
                bool trial, struct lk_cache_hint *hint, lk_cache_load_fn load, void *arg,
                struct lk_cache_block **out_block)
{
    if (hint != NULL && hinted(hint, object_id, offset, out_block))
        return LUMA_OK;
    uint64_t hash = key_hash(object_id, offset);
    struct shard *shard = shard_of(cache, hash);
    struct block *block = probe(shard, hash, object_id, offset);

    if (LUMA_LIKELY(block != NULL)) {
        hint_set(hint, block);
        *out_block = &block->pub;
        return LUMA_OK;
    }
    atomic_fetch_add_explicit(&shard->misses, 1, memory_order_relaxed);
    struct lk_cache_block loaded;
    LUMA_TRY(load(ctx, arg, object_id, offset, &loaded));
    block = publish(cache, shard, hash, object_id, offset, trial, &loaded);
    if (block == NULL) {
        lk_cache_room_free(cache, &loaded);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the block cache");
    }
    hint_set(hint, block);
    *out_block = &block->pub;
    return LUMA_OK;
}

luma_rc
lk_cache_pin(struct luma_ctx *ctx, struct lk_cache *cache, uint64_t object_id, uint64_t offset,
             lk_cache_load_fn load, void *arg, struct lk_cache_block **out_block)
{
    return lk_cache_pin_as(ctx, cache, object_id, offset, false, NULL, load, arg, out_block);
}

bool
lk_cache_each(struct lk_cache *cache, bool (*fn)(void *arg, uint64_t object_id, size_t bytes),
              void *arg)
{
    bool more = true;
    for (uint32_t i = 0; i < SHARDS && more; i++) {
        struct shard *shard = &cache->shards[i];
        lk_mutex_lock(&shard->lock);
        for (uint32_t b = 0; b < shard->blocks_count && more; b++) {
            struct block *block = shard->blocks[b];
            if ((atomic_load_explicit(&block->pins, memory_order_relaxed) & DEAD) == 0)
                more = fn(arg, atomic_load_explicit(&block->object_id, memory_order_relaxed),
                          room_of(&block->pub).alloc_bytes);
        }
        lk_mutex_unlock(&shard->lock);
    }
    return more;
}

void
lk_cache_kept_add(struct lk_cache *cache, size_t bytes)
{
    atomic_fetch_add_explicit(&cache->kept_bytes, bytes, memory_order_relaxed);
}

void
lk_cache_kept_sub(struct lk_cache *cache, size_t bytes)
{
    atomic_fetch_sub_explicit(&cache->kept_bytes, bytes, memory_order_relaxed);
}

size_t
lk_cache_room_bytes(size_t bytes, size_t parsed_bytes)
{
    return ROOM_HEADER + 64 + lk_align_up(bytes + PAD_BYTES, 64) + lk_align_up(parsed_bytes, 64);
}

void
lk_cache_forget(struct lk_cache *cache, uint64_t object_id)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        lk_mutex_lock(&shard->lock);
        for (uint32_t b = 0; b < shard->blocks_count; b++) {
            struct block *block = shard->blocks[b];
            uint32_t pins = atomic_load_explicit(&block->pins, memory_order_relaxed);
            if ((pins & DEAD) == 0 &&
                atomic_load_explicit(&block->object_id, memory_order_relaxed) == object_id)
                evict(cache, shard, block); /* pinned: the clock takes it later */
        }
        lk_mutex_unlock(&shard->lock);
    }
}

void
lk_cache_stats(struct lk_cache *cache, struct lk_cache_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->limit_bytes = cache->limit_bytes;
    out->used_bytes = atomic_load_explicit(&cache->used_bytes, memory_order_relaxed);
    out->kept_bytes = atomic_load_explicit(&cache->kept_bytes, memory_order_relaxed);
    out->trial_bytes = atomic_load_explicit(&cache->trial_bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        out->misses += atomic_load_explicit(&shard->misses, memory_order_relaxed);
        out->evicted += atomic_load_explicit(&shard->evicted, memory_order_relaxed);
        lk_mutex_lock(&shard->lock);
        out->blocks += shard->live;
        lk_mutex_unlock(&shard->lock);
    }
}
