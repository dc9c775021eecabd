/*
 * storage/publish.c - new views from old ones.
 */
#include <stdlib.h>

#include "storage/core.h"

luma_rc
lk_view_define(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_def *def,
               const struct lk_view *old, bool empty, struct lk_cidx *const *built,
               uint32_t built_count, struct lk_view **out_view)
{
    uint32_t idx_count = def->coll.indexes_count;
    struct lk_cidx **idx = calloc((size_t)idx_count + 1, sizeof(*idx));
    struct lk_hot *fresh = NULL;
    luma_rc rc = idx == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "collection: out of memory") : LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < idx_count; i++) {
        const struct luma_store_index *index_def = &def->coll.indexes[i];
        idx[i] = old == NULL || empty ? NULL : lk_view_index(old, index_def->id);
        for (uint32_t k = 0; k < built_count; k++)
            if (built[k]->index_def->id == index_def->id)
                idx[i] = built[k];
        if (idx[i] != NULL)
            lk_cidx_ref(idx[i]);
        else
            rc = lk_cidx_create(ctx, coll->store, def, index_def, &idx[i]);
    }
    bool keep = old != NULL && !empty;
    if (rc == LUMA_OK && !keep && lk_hot_create(coll->store->hot_budget, &fresh) != LUMA_OK)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "collection: out of memory");
    if (rc == LUMA_OK) {
        rc = keep ? lk_view_create(coll, def, old->hots, old->hots_count, old->segs,
                                   old->segs_count, idx, idx_count, 0, old->gen, out_view)
                  : lk_view_create(coll, def, &fresh, 1, NULL, 0, idx, idx_count, 0,
                                   old == NULL ? 0 : old->gen, out_view);
        if (rc != LUMA_OK)
            rc = LUMA_FAIL(ctx, rc, "collection: out of memory");
    }
    lk_hot_unref(fresh);
    for (uint32_t i = 0; idx != NULL && i < idx_count; i++)
        lk_cidx_unref(idx[i]);
    free(idx);
    return rc;
}

bool
lk_view_same_rows(const struct lk_view *old, const struct lk_view *view)
{
    if (old == NULL || view == NULL || old->hots[0] != view->hots[0] ||
        old->def->coll.cols_count != view->def->coll.cols_count)
        return false;
    for (uint32_t i = 0; i < old->def->coll.cols_count; i++) {
        const struct luma_store_col *a = &old->def->coll.cols[i], *b = &view->def->coll.cols[i];
        if (a->id != b->id || a->type.id != b->type.id)
            return false;
    }
    return true;
}

static bool
hot_gone(const struct lk_view_edit *edit, const struct lk_hot *hot)
{
    for (uint32_t i = 0; i < edit->hots_gone_count; i++)
        if (edit->hots_gone[i] == hot)
            return true;
    return false;
}

static bool
seg_gone(const struct lk_view_edit *edit, const struct lk_seg *seg)
{
    for (uint32_t i = 0; i < edit->segs_gone_count; i++)
        if (edit->segs_gone[i] == seg)
            return true;
    return false;
}

static luma_rc
view_edit(const struct lk_view *old, const struct lk_view_edit *edit, struct lk_view **out_view)
{
    struct lk_hot **hots = calloc((size_t)old->hots_count + 2, sizeof(*hots));
    struct lk_seg **segs =
        calloc((size_t)old->segs_count + edit->segs_new_count + 1, sizeof(*segs));
    struct lk_cidx **idx =
        calloc((size_t)old->idx_count + old->building_count + 1, sizeof(struct lk_cidx *));
    uint32_t hots_count = 0, segs_count = 0, building = 0;
    luma_rc rc = LUMA_E_NOMEM;
    if (hots != NULL && segs != NULL && idx != NULL) {
        if (edit->hot_front != NULL)
            hots[hots_count++] = edit->hot_front;
        for (uint32_t i = 0; i < old->hots_count; i++)
            if (!hot_gone(edit, old->hots[i]))
                hots[hots_count++] = old->hots[i];
        for (uint32_t i = 0; i < old->segs_count; i++)
            if (!seg_gone(edit, old->segs[i]))
                segs[segs_count++] = old->segs[i];
        for (uint32_t i = 0; i < edit->segs_new_count; i++)
            segs[segs_count++] = edit->segs_new[i];
        for (uint32_t i = 0; i < old->idx_count; i++)
            idx[i] = old->idx[i];
        for (uint32_t i = 0; i < old->building_count; i++)
            if (old->idx[old->idx_count + i] != edit->building_gone)
                idx[old->idx_count + building++] = old->idx[old->idx_count + i];
        if (edit->building_new != NULL)
            idx[old->idx_count + building++] = edit->building_new;
        rc = lk_view_create(old->coll, old->def, hots, hots_count, segs, segs_count, idx,
                            old->idx_count, building, edit->gen == 0 ? old->gen : edit->gen,
                            out_view);
    }
    free(idx);
    free(hots);
    free(segs);
    return rc;
}

/* A pending view that began from nothing (TRUNCATE, CREATE) shares no hot table with the committed
 * one: what happens to the old rows does not concern it. */
static bool
shares_rows(const struct lk_view *pending, const struct lk_view *view)
{
    for (uint32_t i = 0; i < pending->hots_count; i++)
        for (uint32_t k = 0; k < view->hots_count; k++)
            if (pending->hots[i] == view->hots[k])
                return true;
    return false;
}

/* From their first reader on: a merge, or a scan, comes before the next pass over the tiers. */
static void
segs_follow_tier(struct lk_coll *coll, const struct lk_view_edit *edit)
{
    struct lk_tier_policy policy;
    if (edit->segs_new_count == 0)
        return;
    lk_coll_tier(coll, &policy);
    for (uint32_t i = 0; i < edit->segs_new_count; i++)
        if (edit->segs_new[i]->segment != NULL)
            lk_segment_set_trial(edit->segs_new[i]->segment, policy.tier == LK_TIER_SSD);
}

luma_rc
lk_coll_edit_pending(struct lk_coll *coll, const struct lk_view_edit *edit)
{
    segs_follow_tier(coll, edit);
    if (coll->pending == NULL || (coll->view != NULL && shares_rows(coll->pending, coll->view)))
        return coll->view == NULL ? LUMA_E_UNDEFINED : lk_coll_edit(coll, edit);
    struct lk_view *pending = NULL;
    LUMA_TRY(view_edit(coll->pending, edit, &pending));
    lk_mutex_lock(&coll->view_lock);
    struct lk_view *old = coll->pending;
    coll->pending = pending;
    lk_mutex_unlock(&coll->view_lock);
    lk_view_unref(old);
    return LUMA_OK;
}

luma_rc
lk_coll_edit(struct lk_coll *coll, const struct lk_view_edit *edit)
{
    struct lk_view *view = NULL, *pending = NULL;
    segs_follow_tier(coll, edit);
    luma_rc rc = view_edit(coll->view, edit, &view);
    if (rc == LUMA_OK && coll->pending != NULL && shares_rows(coll->pending, coll->view))
        rc = view_edit(coll->pending, edit, &pending);
    if (rc != LUMA_OK) {
        lk_view_unref(view);
        return rc;
    }
    if (pending != NULL) {
        lk_mutex_lock(&coll->view_lock);
        struct lk_view *old = coll->pending;
        coll->pending = pending;
        lk_mutex_unlock(&coll->view_lock);
        lk_view_unref(old);
    }
    lk_coll_publish(coll, view);
    return LUMA_OK;
}

luma_rc
lk_coll_add_segs(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_seg *const *segs,
                 uint32_t count)
{
    struct lk_view_edit edit = {.segs_new = segs, .segs_new_count = count};
    luma_rc rc = LUMA_E_UNDEFINED;
    lk_rwlock_wrlock(&coll->latch);
    if (coll->view != NULL)
        rc = lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    if (rc == LUMA_E_UNDEFINED)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "collection %llu was dropped",
                         (unsigned long long)coll->id);
    return rc == LUMA_OK ? rc : LUMA_FAIL(ctx, rc, "collection: out of memory");
}
