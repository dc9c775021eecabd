/*
 * storage/claims.c - ends of many rows of a segment by one transaction.
 *
 * A young delete costs a table entry and a lock of its row. A transaction that changes more rows
 * than memory should hold turns them into a claim: a bitmap with one stamp, which is end, lock and
 * conflict point of all its rows. Who meets a claim of a transaction in progress waits for that
 * transaction (txn/large.c). Checkpoints make claims, too, of young deletes that an old snapshot
 * does not see (seg.c).
 */
#include <stdlib.h>

#include "storage/core.h"

static void
claim_free(struct lk_claim *claim)
{
    if (claim->rows != NULL)
        roaring_bitmap_free(claim->rows);
    free(claim);
}

void
lk_claims_free(struct lk_seg *seg)
{
    while (seg->claims != NULL) {
        struct lk_claim *claim = seg->claims;
        seg->claims = claim->next;
        claim_free(claim);
    }
}

struct lk_claim *
lk_claim_of(const struct lk_seg *seg, uint32_t row)
{
    struct lk_claim *claim = seg->claims;
    while (claim != NULL && !roaring_bitmap_contains(claim->rows, row))
        claim = claim->next;
    return claim;
}

/* A claim of its own. The lock is held, or the segment is nobody else's yet. */
static luma_rc
claim_new(struct lk_seg *seg, uint64_t stamp, uint32_t command, bool weak, roaring_bitmap_t *rows)
{
    struct lk_claim *claim = calloc(1, sizeof(*claim));
    if (claim == NULL || rows == NULL) {
        free(claim);
        if (rows != NULL)
            roaring_bitmap_free(rows);
        return LUMA_E_NOMEM;
    }
    claim->command = command;
    claim->weak = weak;
    claim->rows = rows;
    atomic_init(&claim->stamp, stamp);
    claim->next = seg->claims;
    seg->claims = claim;
    atomic_store_explicit(&seg->has_deletes, true, memory_order_release);
    atomic_store_explicit(&seg->dirty, true, memory_order_release);
    return LUMA_OK;
}

roaring_bitmap_t *
lk_claim_like(struct lk_seg *seg, uint64_t stamp)
{
    struct lk_claim *claim = seg->claims;
    while (claim != NULL && atomic_load_explicit(&claim->stamp, memory_order_relaxed) != stamp)
        claim = claim->next;
    if (claim != NULL)
        return claim->rows;
    return claim_new(seg, stamp, 0, false, roaring_bitmap_create()) == LUMA_OK ? seg->claims->rows
                                                                               : NULL;
}

luma_rc
lk_seg_claim(struct lk_seg *seg, uint64_t stamp, uint32_t command, uint32_t floor, bool weak,
             const roaring_bitmap_t *rows)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&seg->lock);
    struct lk_claim *claim = seg->claims;
    while (claim != NULL && (atomic_load_explicit(&claim->stamp, memory_order_relaxed) != stamp ||
                             claim->weak != weak || claim->command < floor))
        claim = claim->next;
    if (claim != NULL) {
        roaring_bitmap_or_inplace(claim->rows, rows);
        claim->command = LK_MAX(claim->command, command);
    } else {
        rc = claim_new(seg, stamp, command, weak, roaring_bitmap_copy(rows));
    }
    if (rc == LUMA_OK)
        lk_young_take_out(seg, stamp, rows);
    lk_mutex_unlock(&seg->lock);
    return rc;
}

void
lk_seg_unclaim(struct lk_seg *seg, uint64_t stamp, const roaring_bitmap_t *rows)
{
    lk_mutex_lock(&seg->lock);
    struct lk_claim **link = &seg->claims;
    while (*link != NULL) {
        struct lk_claim *claim = *link;
        if (atomic_load_explicit(&claim->stamp, memory_order_relaxed) == stamp)
            roaring_bitmap_andnot_inplace(claim->rows, rows);
        if (roaring_bitmap_is_empty(claim->rows)) {
            *link = claim->next;
            claim_free(claim);
        } else {
            link = &claim->next;
        }
    }
    lk_mutex_unlock(&seg->lock);
}

void
lk_seg_claims_restamp(struct lk_seg *seg, uint64_t from, uint64_t to)
{
    lk_mutex_lock(&seg->lock);
    for (struct lk_claim *claim = seg->claims; claim != NULL; claim = claim->next) {
        if (atomic_load_explicit(&claim->stamp, memory_order_relaxed) != from)
            continue;
        roaring_bitmap_run_optimize(claim->rows);
        atomic_store_explicit(&claim->stamp, to, memory_order_release);
    }
    lk_mutex_unlock(&seg->lock);
}

enum lk_claimed
lk_seg_claimed(struct lk_seg *seg, uint32_t row)
{
    lk_mutex_lock(&seg->lock);
    const struct lk_claim *claim = lk_claim_of(seg, row);
    enum lk_claimed claimed = claim == NULL ? LK_CLAIMED_NOT
                              : claim->weak ? LK_CLAIMED_WEAKLY
                                            : LK_CLAIMED;
    lk_mutex_unlock(&seg->lock);
    return claimed;
}

luma_rc
lk_claims_carry(const struct lk_seg *from, struct lk_seg *to, const int64_t *rows)
{
    for (const struct lk_claim *claim = from->claims; claim != NULL; claim = claim->next) {
        roaring_bitmap_t *moved = roaring_bitmap_create();
        roaring_uint32_iterator_t it;
        if (moved == NULL)
            return LUMA_E_NOMEM;
        roaring_init_iterator(claim->rows, &it);
        for (; it.has_value; roaring_advance_uint32_iterator(&it))
            if (rows[it.current_value] >= 0)
                roaring_bitmap_add(moved, (uint32_t)rows[it.current_value]);
        if (roaring_bitmap_is_empty(moved)) {
            roaring_bitmap_free(moved);
            continue;
        }
        LUMA_TRY(claim_new(to, atomic_load_explicit(&claim->stamp, memory_order_acquire),
                           claim->command, claim->weak, moved));
    }
    return LUMA_OK;
}
