/*
 * storage/sweep.c - hot tables that a checkpoint has left in their views: somebody was changing a
 * row of theirs, or sees an old version there. The rest of each goes as soon as no reader has an
 * older view, so that what stays in memory is what somebody needs of it, and not the whole table.
 *
 * A table whose versions have all ended is looked at again only when a snapshot that it was kept
 * for has gone.
 */
#include "base/hash.h"
#include "storage/checkpoint.h"
#include "storage/core.h"

/* The snapshots that versions which ended up to `ended_max` may be needed by. */
static uint64_t
pins_of(const struct lk_needs *needs, uint64_t ended_max)
{
    uint64_t pins = 0;
    if (ended_max > needs->upto)
        return 1; /* nothing is known of the youngest yet */
    for (uint32_t i = 0; i < needs->count && needs->snapshots[i] < ended_max; i++)
        pins = lk_hash_u64(pins ^ needs->snapshots[i]);
    return pins;
}

/* Is there something that can go now, and could not before? */
static bool
is_due(const struct lk_hot *hot, const struct lk_needs *needs, uint64_t oldest)
{
    return hot->swept_gen < LK_MIN(oldest, hot->flush_gen) ||
           hot->swept_pins != pins_of(needs, hot->ended_max);
}

static void
hot_sweep(struct lk_coll *coll, struct lk_hot *hot, const struct lk_needs *needs, uint64_t oldest)
{
    struct lk_hot_swept swept = {0};
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++) {
        lk_rwlock_wrlock(&coll->latch);
        lk_hot_sweep(hot, i, needs, oldest, &swept);
        lk_rwlock_unlock(&coll->latch);
    }
    if (!swept.written)
        lk_hot_release(hot);
    hot->settled = !swept.written && !swept.open;
    hot->ended_max = swept.ended_max;
    hot->swept_pins = pins_of(needs, swept.ended_max);
    hot->swept_gen = LK_MIN(oldest, hot->flush_gen);
}

/* Tables that nothing is left in leave the view. */
static luma_rc
view_sweep(struct lk_coll *coll, struct lk_view *view)
{
    const struct lk_hot *gone[LK_SWEEP_TABLES];
    struct lk_view_edit edit = {.hots_gone = gone};
    for (uint32_t i = 1; i < view->hots_count && edit.hots_gone_count < LK_SWEEP_TABLES; i++)
        if (atomic_load_explicit(&view->hots[i]->versions, memory_order_relaxed) == 0)
            gone[edit.hots_gone_count++] = view->hots[i];
    if (edit.hots_gone_count == 0)
        return LUMA_OK;
    luma_rc rc = LUMA_OK;
    lk_rwlock_wrlock(&coll->latch);
    if (coll->view != NULL)
        rc = lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    return rc;
}

/* *out_bytes: what its frozen tables still hold. false: none are left. */
static bool
coll_sweep(struct lk_coll *coll, const struct lk_needs *needs, uint64_t *out_bytes, bool *out_wait)
{
    struct lk_view *view = lk_coll_view(coll, NULL);
    if (view == NULL)
        return false;
    for (uint32_t i = 1; i < view->hots_count; i++) {
        struct lk_hot *hot = view->hots[i];
        uint64_t oldest = lk_view_oldest(coll, hot);
        if (is_due(hot, needs, oldest))
            hot_sweep(coll, hot, needs, oldest);
        *out_bytes += atomic_load_explicit(&hot->bytes, memory_order_relaxed);
        *out_wait = *out_wait || hot->swept_gen < hot->flush_gen;
    }
    bool left = view->hots_count > 1;
    if (left && view_sweep(coll, view) != LUMA_OK)
        *out_wait = true;
    lk_view_unref(view);
    return left;
}

void
lk_sweep_want(struct lk_coll *coll)
{
    if (coll->is_left)
        return;
    coll->is_left = true;
    coll->left_next = coll->store->left;
    coll->store->left = coll;
}

bool
lk_sweep(struct lk_store *store)
{
    struct lk_needs needs;
    uint64_t bytes = 0;
    bool wait = false;
    if (store->left == NULL) {
        atomic_store_explicit(&store->left_bytes, 0, memory_order_relaxed);
        return false;
    }
    lk_core_needs(store, store->wal == NULL ? store->commit : lk_wal_durable(store->wal), &needs);
    for (struct lk_coll **link = &store->left; *link != NULL;) {
        struct lk_coll *coll = *link;
        if (coll_sweep(coll, &needs, &bytes, &wait)) {
            link = &coll->left_next;
        } else {
            *link = coll->left_next;
            coll->is_left = false;
        }
    }
    atomic_store_explicit(&store->left_bytes, bytes, memory_order_relaxed);
    return wait;
}

bool
lk_store_sweep(struct lk_store *store)
{
    lk_wait_lock(store->conf.sched, &store->work_lock);
    bool wait = lk_sweep(store);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return wait;
}
