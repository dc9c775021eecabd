/*
 * storage/tier/tier.c - segments where the tier of their collection wants them: kept in memory, or
 * on disk and read on use.
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/core.h"

#define KEPT_PART 2 /* of the cache, at most, for collections that are kept in memory */

const char *
lk_tier_name(enum lk_tier tier)
{
    switch (tier) {
    case LK_TIER_RAM:
        return "ram";
    case LK_TIER_SSD:
        return "ssd";
    case LK_TIER_DEFAULT:
    case LK_TIER_HYBRID:
        break;
    }
    return "hybrid";
}

/* --- policies --- */

void
lk_store_set_tier(struct lk_store *store, uint64_t coll_id, const struct lk_tier_policy *policy,
                  const char *name)
{
    struct lk_coll *coll = lk_coll_find(store, coll_id);
    if (coll == NULL)
        return;
    lk_mutex_lock(&coll->view_lock);
    coll->tier = *policy;
    snprintf(coll->tier_name, sizeof(coll->tier_name), "%s", name);
    lk_mutex_unlock(&coll->view_lock);
    if (atomic_load(&store->running))
        lk_wait_signal(store->conf.sched, &store->wake);
}

static int64_t
limit_of(int64_t own, int64_t configured)
{
    int64_t limit = own != 0 ? own : configured;
    return limit == LK_TIER_NO_LIMIT ? 0 : limit;
}

void
lk_coll_tier(struct lk_coll *coll, struct lk_tier_policy *out)
{
    const struct lk_tier_policy *configured = &coll->store->conf.tier;
    lk_mutex_lock(&coll->view_lock);
    *out = coll->tier;
    lk_mutex_unlock(&coll->view_lock);
    if (out->tier == LK_TIER_DEFAULT)
        out->tier = configured->tier == LK_TIER_DEFAULT ? LK_TIER_HYBRID : configured->tier;
    out->age_us = limit_of(out->age_us, configured->age_us);
    out->bytes = limit_of(out->bytes, configured->bytes);
}

/* --- a pass over all collections --- */

struct pass {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_coll *coll;
    struct lk_tier_policy policy;
    int64_t now_us;
    size_t kept_max;
    size_t missing; /* bytes of the collection that found no room */
};

static void
seg_let_go(struct lk_seg *seg)
{
    lk_segment_let_go(seg->segment, &seg->kept);
    atomic_store(&seg->kept_bytes, 0);
}

/* What has no room, or cannot be read, stays on disk. */
static luma_rc
seg_keep(struct pass *pass, struct lk_seg *seg)
{
    struct lk_cache_stats cache;
    size_t bytes = lk_segment_memory(seg->segment);
    if (seg->kept.blocks != NULL || seg->keep_failed)
        return LUMA_OK;
    lk_cache_stats(pass->store->cache, &cache);
    bool room = cache.kept_bytes + bytes <= pass->kept_max;
    luma_rc rc = room ? lk_segment_keep(pass->ctx, seg->segment, &seg->kept) : LUMA_E_NOMEM;
    if (rc == LUMA_E_NOMEM) {
        pass->missing += bytes;
    } else if (rc == LUMA_OK) {
        atomic_store(&seg->kept_bytes, seg->kept.bytes);
    } else if (rc == LUMA_E_CORRUPT || rc == LUMA_E_MODULE || rc == LUMA_E_IO) {
        lk_log_warn("storage", "a segment of \"%s\" cannot be kept in memory: %s",
                    pass->coll->tier_name, pass->ctx->error->message);
        seg->keep_failed = true;
    } else {
        return rc;
    }
    luma_error_reset(pass->ctx->error);
    return LUMA_OK;
}

/* Old segments go to the cold place, if there is one; others come back. */
static luma_rc
seg_place(struct pass *pass, struct lk_seg *seg, bool old)
{
    struct lk_store *store = pass->store;
    uint32_t is = lk_objects_place_of(store->objects, LK_OBJECT_SEGMENT, seg->info.object_id);
    uint32_t wanted = !old ? 0 : store->cold_place != 0 ? store->cold_place : is;
    if (is == wanted || seg->move_failed)
        return LUMA_OK;
    lk_wait_lock(store->conf.sched, &store->merge_lock);
    luma_rc rc = lk_seg_move(pass->ctx, store, seg, wanted);
    lk_wait_unlock(store->conf.sched, &store->merge_lock);
    seg->move_failed = rc == LUMA_E_CORRUPT; /* what cannot be read stays */
    return rc;
}

static luma_rc
seg_follow(struct pass *pass, struct lk_seg *seg, bool old)
{
    enum lk_tier tier = pass->policy.tier;
    LUMA_TRY(seg_place(pass, seg, old));
    lk_segment_set_trial(seg->segment, tier == LK_TIER_SSD || old);
    if (tier == LK_TIER_RAM)
        return seg_keep(pass, seg);
    seg_let_go(seg);
    return LUMA_OK;
}

static int
youngest_first(const void *a, const void *b)
{
    const struct lk_seg *sa = *(struct lk_seg *const *)a, *sb = *(struct lk_seg *const *)b;
    int64_t ba = atomic_load(&sa->born_us), bb = atomic_load(&sb->born_us);
    if (ba != bb)
        return ba > bb ? -1 : 1;
    return (sa->info.object_id < sb->info.object_id) - (sa->info.object_id > sb->info.object_id);
}

static bool
seg_is_old(const struct pass *pass, struct lk_seg *seg, uint64_t bytes_before)
{
    const struct lk_tier_policy *policy = &pass->policy;
    if (policy->tier != LK_TIER_HYBRID)
        return false;
    return (policy->age_us > 0 && pass->now_us - atomic_load(&seg->born_us) > policy->age_us) ||
           (policy->bytes > 0 && bytes_before + seg->info.bytes > (uint64_t)policy->bytes);
}

static luma_rc
segs_follow(struct pass *pass, struct lk_seg **segs, uint32_t count)
{
    uint64_t bytes = 0;
    luma_rc rc = LUMA_OK;
    if (count > 1)
        qsort(segs, count, sizeof(struct lk_seg *), youngest_first);
    for (uint32_t i = 0; i < count && rc == LUMA_OK; i++) {
        if (segs[i]->segment == NULL || atomic_load(&pass->store->stopping))
            continue;
        rc = seg_follow(pass, segs[i], seg_is_old(pass, segs[i], bytes));
        bytes += segs[i]->info.bytes;
    }
    return rc;
}

/* Said once, and again after it had fitted. */
static void
shortage_say(struct pass *pass)
{
    struct lk_coll *coll = pass->coll;
    bool is_short = pass->missing > 0;
    if (is_short && !coll->tier_short)
        lk_log_warn("storage",
                    "\"%s\" has storage_tier ram and does not fit: %zu KiB of its segments are "
                    "read on use; such tables have %zu KiB, half of storage.cache_size",
                    coll->tier_name, pass->missing >> 10, pass->kept_max >> 10);
    coll->tier_short = is_short;
}

static luma_rc
coll_follow(void *arg, struct lk_coll *coll)
{
    struct pass *pass = arg;
    if (coll->id < LK_STORE_SYSTEM_END || atomic_load(&pass->store->stopping))
        return LUMA_OK;
    lk_coll_tier(coll, &pass->policy);
    bool plain =
        pass->policy.tier == LK_TIER_HYBRID && pass->policy.age_us == 0 && pass->policy.bytes == 0;
    struct lk_view *view = plain && !coll->tiered ? NULL : lk_coll_view(coll, NULL);
    if (view == NULL)
        return LUMA_OK;
    pass->coll = coll;
    pass->missing = 0;
    struct lk_seg **segs = malloc(((size_t)view->segs_count + 1) * sizeof(struct lk_seg *));
    luma_rc rc =
        segs == NULL ? LUMA_FAIL(pass->ctx, LUMA_E_NOMEM, "tiers: out of memory") : LUMA_OK;
    if (rc == LUMA_OK) {
        memcpy(segs, view->segs, view->segs_count * sizeof(struct lk_seg *));
        rc = segs_follow(pass, segs, view->segs_count);
        coll->tiered = !plain;
        shortage_say(pass);
    }
    free(segs);
    lk_view_unref(view);
    return rc;
}

luma_rc
lk_store_tiers(struct luma_ctx *ctx, struct lk_store *store)
{
    struct pass pass = {.ctx = ctx, .store = store};
    pass.now_us = lk_io_wall_us(store->conf.io);
    pass.kept_max = store->conf.cache_bytes / KEPT_PART;
    return lk_colls_each(store, coll_follow, &pass);
}
