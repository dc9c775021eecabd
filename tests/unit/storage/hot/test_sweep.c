/*
 * Sweeping a frozen table: whatever a snapshot finds there for a view in use it finds afterwards,
 * and nothing else is left.
 */
#include <check.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/rand.h"
#include "storage/hot/hot.h"

#define ROWS       300
#define COMMIT_MAX 1000
#define SNAPSHOTS  12
#define GENS       4 /* views of generations 0 .. 3 */

static struct lk_slots slots;
static struct lk_needs needs;
static uint64_t taken[SNAPSHOTS];

static void
setup(void)
{
    ck_assert_int_eq(lk_slots_init(&slots, NULL), LUMA_OK);
}

static void
teardown(void)
{
    lk_slots_fini(&slots, NULL);
}

static struct lk_version *
version_add(struct lk_hot *hot, int64_t rowid, uint64_t begin, uint64_t end, uint64_t flushed)
{
    static const struct lk_dead nothing;
    struct lk_version *v = lk_hot_version(hot, rowid, 0);
    ck_assert_ptr_nonnull(v);
    atomic_init(&v->begin, begin);
    atomic_init(&v->end, end);
    atomic_init(&v->flushed, flushed);
    ck_assert_int_eq(lk_hot_add(hot, v, &slots, &nothing), LUMA_OK);
    return v;
}

/* Versions of one row, each from where the one before ended. Gives how many a sweep must leave. */
static uint64_t
row_fill(struct lk_rand *r, struct lk_hot *hot, int64_t rowid, uint64_t gen)
{
    uint64_t left = 0, at = 1 + lk_rand_below(r, 50);
    while (at < COMMIT_MAX) {
        uint64_t end = at + 1 + lk_rand_below(r, 120);
        bool last = end >= COMMIT_MAX || lk_rand_percent(r, 5);
        uint64_t flushed = lk_rand_percent(r, 30) ? 1 + lk_rand_below(r, GENS - 1) : 0;
        if (last && lk_rand_percent(r, 70))
            end = LK_STAMP_NONE;
        (void)version_add(hot, rowid, at, end, flushed);
        if (flushed != 0)
            left += flushed > gen;
        else
            left += end == LK_STAMP_NONE || lk_needed(&needs, at, end);
        if (last)
            break;
        at = end;
    }
    return left;
}

static uint64_t
begin_of(struct lk_hot *hot, int64_t rowid, uint64_t commit, uint64_t gen)
{
    struct lk_snapshot snap = {.slots = &slots, .commit = commit};
    struct lk_version *v = lk_hot_find(hot, rowid, &snap, gen);
    return v == NULL ? 0 : atomic_load(&v->begin);
}

/* Everything that can be found for views from generation `gen` on. */
static void
find_all(struct lk_hot *hot, uint64_t gen, uint64_t out[ROWS][SNAPSHOTS + 1][GENS])
{
    for (int64_t row = 0; row < ROWS; row++)
        for (int i = 0; i <= SNAPSHOTS; i++)
            for (uint64_t g = gen; g < GENS; g++)
                out[row][i][g] = begin_of(hot, row, i == SNAPSHOTS ? COMMIT_MAX : taken[i], g);
}

START_TEST(what_is_seen_is_left_and_no_more)
{
    static uint64_t before[ROWS][SNAPSHOTS + 1][GENS], after[ROWS][SNAPSHOTS + 1][GENS];
    struct lk_rand r;
    lk_rand_init(&r, (uint64_t)_i + 1);
    atomic_store(&slots.visible, COMMIT_MAX);
    atomic_store(&slots.used, SNAPSHOTS);
    for (int i = 0; i < SNAPSHOTS; i++) {
        taken[i] = lk_rand_below(&r, COMMIT_MAX);
        atomic_store(&slots.slots[i].snapshot, taken[i] + 1);
    }
    lk_slots_needs(&slots, COMMIT_MAX, &needs);
    struct lk_hot *hot = NULL;
    uint64_t gen = lk_rand_below(&r, GENS), left = 0;
    struct lk_hot_swept swept = {0};
    ck_assert_int_eq(lk_hot_create(NULL, &hot), LUMA_OK);
    for (int64_t row = 0; row < ROWS; row++)
        left += row_fill(&r, hot, row, gen);
    find_all(hot, gen, before);
    for (uint32_t s = 0; s < LK_HOT_SHARDS; s++)
        lk_hot_sweep(hot, s, &needs, gen, &swept);
    find_all(hot, gen, after);
    ck_assert_mem_eq(before, after, sizeof(before));
    ck_assert_uint_eq(atomic_load(&hot->versions), left);
    lk_hot_unref(hot);
}
END_TEST

/* Whoever has put its stamp there comes back to it. */
START_TEST(a_version_of_a_transaction_in_progress_stays)
{
    struct lk_hot *hot = NULL;
    struct lk_hot_swept swept = {0};
    atomic_store(&slots.visible, COMMIT_MAX);
    atomic_store(&slots.used, 2);
    atomic_store(&slots.slots[1].snapshot, 0);
    uint64_t stamp = lk_slots_stamp(&slots, 0);
    lk_slots_needs(&slots, COMMIT_MAX, &needs);
    ck_assert_int_eq(lk_hot_create(NULL, &hot), LUMA_OK);
    struct lk_version *ended = version_add(hot, 1, 5, stamp, 1);
    struct lk_version *begun = version_add(hot, 1, stamp, LK_STAMP_NONE, 0);
    (void)version_add(hot, 2, LK_STAMP_ABORTED, LK_STAMP_NONE, 0);
    for (uint32_t s = 0; s < LK_HOT_SHARDS; s++)
        lk_hot_sweep(hot, s, &needs, 1, &swept);
    ck_assert_uint_eq(atomic_load(&hot->versions), 2);
    ck_assert(swept.open && swept.written);
    atomic_store(&ended->end, 7);
    atomic_store(&begun->begin, 7);
    swept = (struct lk_hot_swept){0};
    for (uint32_t s = 0; s < LK_HOT_SHARDS; s++)
        lk_hot_sweep(hot, s, &needs, 1, &swept);
    ck_assert_uint_eq(atomic_load(&hot->versions), 1);
    ck_assert(swept.open && !swept.written);
    ck_assert_uint_eq(begin_of(hot, 1, 10, 1), 7);
    lk_hot_unref(hot);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("sweep");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_is_seen_is_left_and_no_more, 0, 40);
    tcase_add_test(tc, a_version_of_a_transaction_in_progress_stays);
    return test_run("sweep", tc);
}
