/*
 * hot/replay.c - rows of the log, put in by one thread a shard while nobody else looks: no locks,
 * counters settled once for many rows, and the memory of a version that nobody can see any more
 * taken over by the one that replaces it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "storage/hot/hot_priv.h"

#define GRANT_BYTES ((size_t)1 << 20)

uint32_t
lk_hot_shard(int64_t rowid)
{
    return (uint32_t)(lki_hot_hash(rowid) >> 59);
}

void
lk_hot_replay_ahead(const struct lk_hot *hot, int64_t rowid, int step)
{
    uint64_t hash = lki_hot_hash(rowid);
    const struct lk_hot_shard *shard = &hot->shards[hash >> 59];
    if (shard->buckets == NULL)
        return;
    struct lk_version **bucket = lki_hot_bucket(shard, hash);
    if (step == 0)
        __builtin_prefetch(bucket, 1);
    else if (*bucket != NULL)
        __builtin_prefetch(*bucket, 1);
}

bool
lk_hot_replay_end(struct lk_hot *hot, int64_t rowid, uint64_t commit)
{
    uint64_t hash = lki_hot_hash(rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);
    struct lk_version *v = shard->buckets == NULL ? NULL : *lki_hot_link(shard, hash, rowid);
    while (v != NULL && atomic_load_explicit(&v->end, memory_order_relaxed) != LK_STAMP_NONE)
        v = v->older;
    if (v == NULL)
        return false;
    v->end_command = 0;
    atomic_store_explicit(&v->end, commit, memory_order_relaxed);
    return true;
}

static bool
grant_take(struct lk_hot_grant *grant, size_t bytes)
{
    if (grant->left < bytes && lk_budget_reserve(grant->budget, GRANT_BYTES))
        grant->left += GRANT_BYTES;
    if (grant->left < bytes && lk_budget_reserve(grant->budget, bytes))
        grant->left += bytes; /* the budget is nearly used up */
    if (grant->left < bytes)
        return false;
    grant->left -= bytes;
    return true;
}

void
lk_hot_grant_end(struct lk_hot_grant *grant)
{
    lk_budget_unreserve(grant->budget, grant->left);
    grant->left = 0;
}

static bool
is_gone(const struct lk_version *v, uint64_t before)
{
    uint64_t end = atomic_load_explicit(&v->end, memory_order_relaxed);
    return end != LK_STAMP_NONE && end <= before;
}

/* Versions behind the newest one that nobody can see go. */
static void
chain_prune(struct lk_version *newest, struct lk_hot_tally *tally, struct lk_hot_grant *grant,
            uint64_t before)
{
    for (struct lk_version **link = &newest->older; *link != NULL;) {
        struct lk_version *v = *link;
        if (!is_gone(v, before)) {
            link = &v->older;
            continue;
        }
        size_t bytes = lk_version_bytes(v->tuple_bytes);
        *link = v->older;
        tally->versions--;
        tally->bytes -= (int64_t)bytes;
        grant->left += bytes;
        free(v);
    }
}

static struct lk_version *
version_make(struct lk_hot_tally *tally, struct lk_hot_grant *grant, int64_t rowid,
             struct luma_slice tuple, uint64_t commit)
{
    size_t bytes = lk_version_bytes((uint32_t)tuple.bytes);
    if (LK_FAULT("base.alloc") || !grant_take(grant, bytes))
        return NULL;
    struct lk_version *v = malloc(bytes);
    if (v == NULL) {
        grant->left += bytes;
        return NULL;
    }
    memset(v, 0, sizeof(*v));
    v->rowid = rowid;
    v->tuple_bytes = (uint32_t)tuple.bytes;
    memcpy(v->tuple, tuple.data, tuple.bytes);
    atomic_init(&v->begin, commit);
    tally->bytes += (int64_t)bytes;
    tally->versions++;
    return v;
}

luma_rc
lk_hot_replay_put(struct lk_hot *hot, struct lk_hot_tally *tally, struct lk_hot_grant *grant,
                  int64_t rowid, struct luma_slice tuple, uint64_t commit, uint64_t before,
                  bool fresh)
{
    uint64_t hash = lki_hot_hash(rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);
    if (!lki_hot_room(shard))
        return LUMA_E_NOMEM;
    struct lk_version **link =
        fresh ? lki_hot_bucket(shard, hash) : lki_hot_link(shard, hash, rowid);
    struct lk_version *old = fresh ? NULL : *link;
    if (old != NULL && old->tuple_bytes == tuple.bytes && is_gone(old, before)) {
        memcpy(old->tuple, tuple.data, tuple.bytes);
        atomic_store_explicit(&old->begin, commit, memory_order_relaxed);
        atomic_store_explicit(&old->end, LK_STAMP_NONE, memory_order_relaxed);
        return LUMA_OK;
    }
    struct lk_version *v = version_make(tally, grant, rowid, tuple, commit);
    if (v == NULL)
        return LUMA_E_NOMEM;
    v->older = old;
    if (old != NULL) {
        v->next = old->next;
        old->next = NULL;
    } else {
        v->next = fresh ? *link : NULL;
        shard->rows++;
    }
    *link = v;
    if (old != NULL)
        chain_prune(v, tally, grant, before);
    return LUMA_OK;
}

luma_rc
lk_hot_replay_ended(struct lk_hot *hot, struct lk_hot_tally *tally, struct lk_hot_grant *grant,
                    int64_t rowid, struct luma_slice tuple, uint64_t begin, uint64_t end)
{
    uint64_t hash = lki_hot_hash(rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);
    if (!lki_hot_room(shard))
        return LUMA_E_NOMEM;
    struct lk_version **link = lki_hot_link(shard, hash, rowid);
    struct lk_version *v = version_make(tally, grant, rowid, tuple, begin);
    if (v == NULL)
        return LUMA_E_NOMEM;
    atomic_init(&v->end, end);
    if (*link != NULL) {
        v->older = (*link)->older;
        (*link)->older = v;
    } else {
        *link = v;
        shard->rows++;
    }
    return LUMA_OK;
}

void
lk_hot_replay_settle(struct lk_hot *hot, const struct lk_hot_tally *tally)
{
    atomic_fetch_add_explicit(&hot->bytes, (uint64_t)tally->bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&hot->versions, (uint64_t)tally->versions, memory_order_relaxed);
}
