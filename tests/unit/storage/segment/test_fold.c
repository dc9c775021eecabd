/*
 * Folding a segment's deletes: every snapshot sees what it saw, nothing stays young that a
 * checkpoint has met, and as many maps are left as there are old snapshots.
 */
#include <check.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/rand.h"
#include "storage/core.h"

#define ROWS       70000 /* two groups */
#define BORN       10
#define COMMIT     900
#define COMMIT_MAX 1000
#define SNAPSHOTS  6

static struct lk_store store;
static struct lk_slots *const slots = &store.slots;
static struct lk_seg *seg;
static uint64_t ends[ROWS], taken[SNAPSHOTS];

static void
setup(void)
{
    struct lk_ctx c;
    struct lk_segment_info info = {.rows = ROWS, .commit_min = BORN, .commit_max = BORN};
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_slots_init(slots, NULL), LUMA_OK);
    ck_assert_int_eq(lk_seg_create_broken(&c.ctx, &store, &info, "not on disk", &seg), LUMA_OK);
    atomic_store(&slots->visible, COMMIT_MAX);
}

static void
teardown(void)
{
    lk_seg_unref(seg);
    lk_slots_fini(slots, NULL);
}

static void
snapshots(uint32_t count)
{
    atomic_store(&slots->used, SNAPSHOTS);
    for (uint32_t i = 0; i < SNAPSHOTS; i++)
        atomic_store(&slots->slots[i].snapshot, i < count ? taken[i] + 1 : 0);
}

/* Rows end one by one, and some together, as those of a large transaction do. */
static void
rows_end(struct lk_rand *r)
{
    roaring_bitmap_t *together = roaring_bitmap_create();
    uint64_t at = BORN + 1 + lk_rand_below(r, COMMIT_MAX - BORN);
    uint32_t failed = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        ends[row] = LK_STAMP_NONE;
        if (lk_rand_percent(r, 2)) {
            ends[row] = at;
            roaring_bitmap_add(together, row);
        } else if (lk_rand_percent(r, 40)) {
            ends[row] = BORN + 1 + lk_rand_below(r, COMMIT_MAX - BORN);
            failed += lk_seg_end(seg, row, ends[row], 0) != LUMA_OK;
        }
    }
    ck_assert_uint_eq(failed, 0);
    ck_assert_int_eq(lk_seg_claim(seg, at, 0, 0, false, together), LUMA_OK);
    roaring_bitmap_free(together);
}

static void
sees(uint64_t commit)
{
    struct lk_snapshot snap = {.slots = slots, .commit = commit};
    uint32_t wrong = 0;
    for (uint32_t first = 0; first < ROWS; first += LUMA_BATCH_ROWS) {
        uint64_t bits[LUMA_BATCH_ROWS / 64];
        uint32_t n = LK_MIN(ROWS - first, (uint32_t)LUMA_BATCH_ROWS);
        memset(bits, 0xff, sizeof(bits));
        ck_assert_int_eq(lk_seg_live(seg, &snap, first, n, bits), LUMA_OK);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t end = ends[first + i];
            wrong += luma_bit_get(bits, i) != (end == LK_STAMP_NONE || end > commit);
        }
    }
    ck_assert_uint_eq(wrong, 0);
}

static void
needed(const struct lk_needs *needs)
{
    uint64_t gone = 0, wrong = 0;
    for (uint32_t first = 0; first < ROWS; first += LUMA_BATCH_ROWS) {
        uint64_t bits[LUMA_BATCH_ROWS / 64];
        uint32_t n = LK_MIN(ROWS - first, (uint32_t)LUMA_BATCH_ROWS);
        memset(bits, 0xff, sizeof(bits));
        lk_seg_needed(seg, slots, needs, first, n, bits);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t end = ends[first + i];
            bool want = end == LK_STAMP_NONE || lk_needed(needs, BORN, end);
            wrong += luma_bit_get(bits, i) != want;
            gone += !want;
        }
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(lk_seg_gone(seg, slots, needs), gone);
}

static void
fold(uint64_t commit, struct lk_needs *needs)
{
    roaring_bitmap_t *disk = NULL;
    uint32_t wrong = 0;
    lk_slots_needs(slots, commit, needs);
    ck_assert_int_eq(lk_seg_fold(seg, slots, commit, needs, &disk), LUMA_OK);
    for (uint32_t row = 0; row < ROWS; row++)
        wrong += roaring_bitmap_contains(disk, row) !=
                 (ends[row] != LK_STAMP_NONE && ends[row] <= commit);
    ck_assert_uint_eq(wrong, 0);
    roaring_bitmap_free(disk);
}

static uint32_t
claims_count(void)
{
    uint32_t count = 0;
    for (const struct lk_claim *claim = seg->claims; claim != NULL; claim = claim->next)
        count++;
    return count;
}

START_TEST(every_snapshot_sees_what_it_saw)
{
    struct lk_rand r;
    struct lk_needs needs;
    uint64_t later = 0;
    lk_rand_init(&r, (uint64_t)_i + 1);
    for (int i = 0; i < SNAPSHOTS; i++)
        taken[i] = lk_rand_below(&r, COMMIT_MAX);
    rows_end(&r);
    for (uint32_t count = SNAPSHOTS; count != UINT32_MAX; count -= 2) { /* some go */
        snapshots(count);
        fold(COMMIT, &needs);
        for (uint32_t i = 0; i < count; i++)
            sees(taken[i]);
        sees(COMMIT);
        sees(COMMIT_MAX);
        needed(&needs);
        ck_assert_uint_le(claims_count(), count + 1); /* and a younger one */
        if (count == 0)
            break;
    }
    for (uint32_t row = 0; row < ROWS; row++)
        later += ends[row] > COMMIT;
    ck_assert_uint_le(seg->young_count, later);
    fold(COMMIT_MAX, &needs);
    sees(COMMIT_MAX);
    ck_assert_uint_eq(seg->young_count, 0);
    ck_assert_uint_eq(claims_count(), 0);
    ck_assert(!atomic_load(&seg->dirty));
}
END_TEST

/* What a transaction in progress has ended is its own until it is over. */
START_TEST(what_is_not_final_stays_young)
{
    struct lk_needs needs;
    uint64_t stamp;
    memset(ends, 0, sizeof(ends));
    snapshots(0);
    stamp = lk_slots_stamp(slots, 0);
    ck_assert_int_eq(lk_seg_end(seg, 7, stamp, 0), LUMA_OK);
    fold(COMMIT, &needs);
    ck_assert_uint_eq(seg->young_count, 1);
    ck_assert(atomic_load(&seg->dirty));
    atomic_store(&slots->slots[0].commit, 800); /* committed, and the stamp not replaced yet */
    ends[7] = 800;
    fold(COMMIT, &needs);
    ck_assert_uint_eq(seg->young_count, 1);
    sees(799);
    sees(800);
    lk_seg_restamp(seg, 7, stamp, 800);
    fold(COMMIT, &needs);
    ck_assert_uint_eq(seg->young_count, 0);
    sees(COMMIT);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("fold");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_snapshot_sees_what_it_saw, 0, 6);
    tcase_add_test(tc, what_is_not_final_stays_young);
    return test_run("fold", tc);
}
