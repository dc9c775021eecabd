/*
 * modules/index/hash/hot.c - the mutable part: 16 shards, each a chained table behind a mutex that
 * is held for one chain's length. Keys lie in the shard's chunks until the whole part goes.
 */
#include <pthread.h>
#include <stdlib.h>

#include "hash.h"

#define SHARDS      16
#define BUCKETS_MIN 64
#define CHUNK_BYTES ((size_t)64 << 10)

struct node {
    struct node *next;
    uint64_t hash;
    int64_t rowid;
    uint32_t key_bytes;
    uint8_t key[];
};

struct chunk {
    struct chunk *older;
    size_t bytes, used;
};

struct shard {
    pthread_mutex_t lock;
    struct node **buckets;
    size_t buckets_count, count, bytes;
    struct chunk *chunk;
} __attribute__((aligned(64)));

struct hot {
    struct luma_budget *budget;
    struct shard shards[SHARDS];
};

static void *
counted_alloc(struct luma_budget *budget, size_t bytes)
{
    return hash_mem == NULL ? malloc(bytes) : hash_mem->alloc(budget, bytes);
}

static void
counted_free(struct luma_budget *budget, void *p, size_t bytes)
{
    if (hash_mem == NULL)
        free(p);
    else if (p != NULL)
        hash_mem->release(budget, p, bytes);
}

luma_rc
hash_hot_create(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot)
{
    struct hot *hot = aligned_alloc(64, sizeof(*hot));
    if (hot == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    memset(hot, 0, sizeof(*hot));
    hot->budget = budget;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&hot->shards[i].lock, NULL);
    *out_hot = hot;
    return LUMA_OK;
}

void
hash_hot_destroy(void *arg)
{
    struct hot *hot = arg;
    if (hot == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &hot->shards[i];
        while (shard->chunk != NULL) {
            struct chunk *chunk = shard->chunk;
            shard->chunk = chunk->older;
            counted_free(hot->budget, chunk, chunk->bytes);
        }
        counted_free(hot->budget, shard->buckets, shard->buckets_count * sizeof(struct node *));
        pthread_mutex_destroy(&shard->lock);
    }
    free(hot);
}

static inline struct shard *
shard_of(struct hot *hot, uint64_t hash)
{
    return &hot->shards[hash >> 60];
}

/* --- with the shard's lock held --- */

static bool
grow(struct hot *hot, struct shard *shard)
{
    size_t count = shard->buckets_count == 0 ? BUCKETS_MIN : shard->buckets_count * 2;
    struct node **buckets = counted_alloc(hot->budget, count * sizeof(*buckets));
    if (buckets == NULL)
        return false;
    memset(buckets, 0, count * sizeof(*buckets));
    for (size_t i = 0; i < shard->buckets_count; i++) {
        struct node *node = shard->buckets[i];
        while (node != NULL) {
            struct node *next = node->next;
            node->next = buckets[node->hash & (count - 1)];
            buckets[node->hash & (count - 1)] = node;
            node = next;
        }
    }
    counted_free(hot->budget, shard->buckets, shard->buckets_count * sizeof(*buckets));
    shard->bytes += (count - shard->buckets_count) * sizeof(*buckets);
    shard->buckets = buckets;
    shard->buckets_count = count;
    return true;
}

static void *
take(struct hot *hot, struct shard *shard, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    struct chunk *chunk = shard->chunk;
    if (chunk == NULL || bytes > chunk->bytes - chunk->used) {
        size_t room = shard->count < 64 ? 4096 : CHUNK_BYTES;
        room = room < bytes + 64 ? bytes + 64 : room;
        chunk = counted_alloc(hot->budget, room);
        if (chunk == NULL)
            return NULL;
        chunk->older = shard->chunk;
        chunk->bytes = room;
        chunk->used = (sizeof(*chunk) + 15) & ~(size_t)15;
        shard->chunk = chunk;
        shard->bytes += room;
    }
    void *p = (uint8_t *)chunk + chunk->used;
    chunk->used += bytes;
    return p;
}

static struct node **
find_link(struct shard *shard, uint64_t hash, const struct luma_index_entry *entry)
{
    struct node **link = &shard->buckets[hash & (shard->buckets_count - 1)];
    for (; *link != NULL; link = &(*link)->next)
        if ((*link)->hash == hash && (*link)->rowid == entry->rowid &&
            luma_slice_equal(luma_slice((*link)->key, (*link)->key_bytes), entry->key))
            break;
    return link;
}

static bool
insert_locked(struct hot *hot, struct shard *shard, uint64_t hash,
              const struct luma_index_entry *entry)
{
    if (shard->count >= shard->buckets_count && !grow(hot, shard))
        return false;
    struct node **link = find_link(shard, hash, entry);
    if (*link != NULL)
        return true;
    struct node *node = take(hot, shard, sizeof(*node) + entry->key.bytes);
    if (node == NULL)
        return false;
    node->next = NULL;
    node->hash = hash;
    node->rowid = entry->rowid;
    node->key_bytes = (uint32_t)entry->key.bytes;
    if (entry->key.bytes > 0)
        memcpy(node->key, entry->key.data, entry->key.bytes);
    *link = node;
    shard->count++;
    return true;
}

/* --- the table's functions --- */

luma_rc
hash_hot_insert(struct luma_ctx *ctx, void *arg, const struct luma_index_entry *entries,
                size_t count)
{
    struct hot *hot = arg;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = hash_key(entries[i].key);
        struct shard *shard = shard_of(hot, hash);
        pthread_mutex_lock(&shard->lock);
        bool done = insert_locked(hot, shard, hash, &entries[i]);
        pthread_mutex_unlock(&shard->lock);
        if (!done)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index entry");
    }
    return LUMA_OK;
}

void
hash_hot_remove(void *arg, const struct luma_index_entry *entry)
{
    struct hot *hot = arg;
    uint64_t hash = hash_key(entry->key);
    struct shard *shard = shard_of(hot, hash);
    pthread_mutex_lock(&shard->lock);
    if (shard->buckets_count > 0) {
        struct node **link = find_link(shard, hash, entry);
        if (*link != NULL) {
            *link = (*link)->next;
            shard->count--;
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

static size_t
sum(const struct hot *hot, bool bytes)
{
    size_t total = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = (struct shard *)(uintptr_t)&hot->shards[i];
        pthread_mutex_lock(&shard->lock);
        total += bytes ? shard->bytes : shard->count;
        pthread_mutex_unlock(&shard->lock);
    }
    return total;
}

size_t
hash_hot_bytes(const void *hot)
{
    return sizeof(struct hot) + sum(hot, true);
}

size_t
hash_hot_count(const void *hot)
{
    return sum(hot, false);
}

luma_rc
hash_hot_find(struct luma_ctx *ctx, void *arg, struct luma_slice key, int64_t *out_rowids,
              size_t room, size_t *out_count)
{
    struct hot *hot = arg;
    uint64_t hash = hash_key(key);
    struct shard *shard = shard_of(hot, hash);
    size_t count = 0;

    (void)ctx;
    pthread_mutex_lock(&shard->lock);
    struct node *node =
        shard->buckets_count == 0 ? NULL : shard->buckets[hash & (shard->buckets_count - 1)];
    for (; node != NULL; node = node->next) {
        if (node->hash != hash || !luma_slice_equal(luma_slice(node->key, node->key_bytes), key))
            continue;
        if (count < room)
            out_rowids[count] = node->rowid;
        count++;
    }
    pthread_mutex_unlock(&shard->lock);
    *out_count = count;
    return LUMA_OK;
}

/* --- all of it, sorted --- */

struct cursor {
    struct luma_index_cursor base;
    struct luma_index_entry *entries;
    size_t count, at;
};

static int
order(const void *a, const void *b)
{
    return hash_entry_compare(a, b);
}

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *base,
            struct luma_index_entry *out_entry, bool *out_more)
{
    struct cursor *cursor = (struct cursor *)base;
    (void)ctx;
    *out_more = cursor->at < cursor->count;
    if (*out_more)
        *out_entry = cursor->entries[cursor->at++];
    return LUMA_OK;
}

static void
cursor_close(struct luma_index_cursor *base)
{
    if (base != NULL)
        free(((struct cursor *)base)->entries);
}

/* Nodes stay where they are: an entry's key is good for as long as the part. */
static bool
collect(struct shard *shard, struct cursor *cursor, size_t *room)
{
    for (size_t i = 0; i < shard->buckets_count; i++) {
        for (struct node *node = shard->buckets[i]; node != NULL; node = node->next) {
            if (cursor->count == *room) {
                size_t more = *room == 0 ? 1024 : *room * 2;
                struct luma_index_entry *grown = realloc(cursor->entries, more * sizeof(*grown));
                if (grown == NULL)
                    return false;
                cursor->entries = grown;
                *room = more;
            }
            cursor->entries[cursor->count].key = luma_slice(node->key, node->key_bytes);
            cursor->entries[cursor->count++].rowid = node->rowid;
        }
    }
    return true;
}

luma_rc
hash_hot_cursor(struct luma_ctx *ctx, void *arg, const struct luma_index_range *range,
                struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    struct hot *hot = arg;
    struct cursor *cursor = LUMA_NEW(arena, struct cursor);
    size_t room = 0;
    bool done = cursor != NULL;

    (void)range;
    for (int i = 0; i < SHARDS && done; i++) {
        pthread_mutex_lock(&hot->shards[i].lock);
        done = collect(&hot->shards[i], cursor, &room);
        pthread_mutex_unlock(&hot->shards[i].lock);
    }
    if (!done) {
        cursor_close(&cursor->base);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    }
    if (cursor->count > 0)
        qsort(cursor->entries, cursor->count, sizeof(*cursor->entries), order);
    cursor->base.next = cursor_next;
    cursor->base.close = cursor_close;
    *out_cursor = &cursor->base;
    return LUMA_OK;
}
