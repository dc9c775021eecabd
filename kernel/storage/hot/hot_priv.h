/*
 * hot/hot_priv.h - how rows are found in a hot table.
 */
#ifndef LK_STORAGE_HOT_PRIV_H
#define LK_STORAGE_HOT_PRIV_H

#include "base/hash.h"
#include "storage/hot/hot.h"

#define LKI_HOT_BUCKETS_LOG2_MIN 3u

static inline uint64_t
lki_hot_hash(int64_t rowid)
{
    return lk_hash_u64((uint64_t)rowid);
}

static inline struct lk_hot_shard *
lki_hot_shard_of(struct lk_hot *hot, uint64_t hash)
{
    return &hot->shards[hash >> 59];
}

static inline struct lk_version **
lki_hot_bucket(const struct lk_hot_shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (((uint64_t)1 << shard->buckets_log2) - 1)];
}

/* Where the newest version of the row hangs; *NULL when there is none. */
static inline struct lk_version **
lki_hot_link(const struct lk_hot_shard *shard, uint64_t hash, int64_t rowid)
{
    struct lk_version **link = lki_hot_bucket(shard, hash);
    while (*link != NULL && (*link)->rowid != rowid)
        link = &(*link)->next;
    return link;
}

/* One bucket a row at the most. The shard is locked; false: out of memory. */
bool lki_hot_room(struct lk_hot_shard *shard);

/* Gives the shard 2^log2 buckets; false: out of memory, it stays as it is. */
bool lki_hot_resize(struct lk_hot_shard *shard, uint32_t log2);

#endif
