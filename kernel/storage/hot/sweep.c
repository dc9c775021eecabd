/*
 * hot/sweep.c - a frozen table after a checkpoint: what it has written goes when no reader looks
 * for it here any more, what has ended goes when nobody needs it.
 *
 * Without it one version that an old snapshot sees would keep all of its table in memory.
 */
#include <stdlib.h>

#include "storage/hot/hot_priv.h"

#define SPARSE        8u /* buckets a row from which on there are too many */
#define BUCKETS_AHEAD 8u /* whose rows are asked of memory while others are walked */

/* The transaction that set a final stamp does not look at the version again. */
static bool
may_go(const struct lk_version *v, const struct lk_needs *needs, uint64_t gen,
       struct lk_hot_swept *swept)
{
    uint64_t begin = atomic_load_explicit(&v->begin, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&v->end, memory_order_acquire);
    uint64_t flushed = atomic_load_explicit(&v->flushed, memory_order_relaxed);
    if (begin == LK_STAMP_ABORTED)
        return true;
    if ((begin | end) & LK_STAMP_TXN) {
        swept->written = swept->written || flushed != 0;
        swept->open = true;
        return false;
    }
    if (flushed != 0) {
        swept->written = swept->written || flushed > gen;
        return flushed <= gen;
    }
    if (end == LK_STAMP_NONE) {
        swept->open = true;
        return false;
    }
    if (!lk_needed(needs, begin, end))
        return true;
    swept->ended_max = LK_MAX(swept->ended_max, end);
    return false;
}

static void
bucket_sweep(struct lk_hot *hot, struct lk_hot_shard *shard, struct lk_version **link,
             const struct lk_needs *needs, uint64_t gen, struct lk_hot_swept *swept)
{
    while (*link != NULL) {
        struct lk_version *row = *link, *next = row->next, *newest = NULL, **last = &newest;
        for (struct lk_version *v = row, *older; v != NULL; v = older) {
            older = v->older;
            if (may_go(v, needs, gen, swept)) {
                atomic_fetch_sub_explicit(&hot->versions, 1, memory_order_relaxed);
                lk_hot_version_free(hot, v);
            } else {
                *last = v;
                last = &v->older;
            }
        }
        *last = NULL;
        if (newest == NULL) {
            *link = next;
            shard->rows--;
        } else {
            newest->next = next;
            *link = newest;
            link = &newest->next;
        }
    }
}

/* Readers walk all buckets: not more than the rows ask for. */
static void
shard_fit(struct lk_hot_shard *shard)
{
    uint32_t log2 = LKI_HOT_BUCKETS_LOG2_MIN;
    if (shard->rows == 0) {
        free(shard->buckets);
        shard->buckets = NULL;
        shard->buckets_log2 = 0;
        return;
    }
    while ((1u << log2) < shard->rows)
        log2++;
    if (shard->buckets_log2 > log2 && 1u << shard->buckets_log2 > shard->rows * SPARSE)
        (void)lki_hot_resize(shard, log2);
}

void
lk_hot_sweep(struct lk_hot *hot, uint32_t shard_number, const struct lk_needs *needs, uint64_t gen,
             struct lk_hot_swept *swept)
{
    struct lk_hot_shard *shard = &hot->shards[shard_number];
    lk_mutex_lock(&shard->lock);
    if (shard->buckets != NULL) {
        size_t buckets = (size_t)1 << shard->buckets_log2;
        for (size_t i = 0; i < buckets; i++) {
            if (i + BUCKETS_AHEAD < buckets)
                __builtin_prefetch(shard->buckets[i + BUCKETS_AHEAD]);
            bucket_sweep(hot, shard, &shard->buckets[i], needs, gen, swept);
        }
        shard_fit(shard);
    }
    lk_mutex_unlock(&shard->lock);
}
