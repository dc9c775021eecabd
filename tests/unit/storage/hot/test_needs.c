/*
 * Which versions somebody may see, judged from snapshots: nothing that one of them sees, or that a
 * later one may see, is ever called dead.
 */
#include <check.h>
#include <stdlib.h>

#include "base/rand.h"
#include "storage/hot/hot.h"

static struct lk_slots slots;

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

static void
snapshots(uint64_t visible, const uint64_t *list, uint32_t count)
{
    atomic_store(&slots.visible, visible);
    atomic_store(&slots.used, count);
    for (uint32_t i = 0; i < count; i++)
        atomic_store(&slots.slots[i].snapshot, list[i] + 1);
}

START_TEST(an_old_snapshot_keeps_what_it_sees)
{
    const uint64_t list[] = {80, 50, 80};
    struct lk_needs needs;
    snapshots(100, list, 3);
    lk_slots_needs(&slots, 200, &needs);
    ck_assert(lk_needed(&needs, 40, 60));
    ck_assert(lk_needed(&needs, 50, 51));
    ck_assert(!lk_needed(&needs, 40, 50));
    ck_assert(!lk_needed(&needs, 51, 80));
    ck_assert(lk_needed(&needs, 51, 81));
    ck_assert(!lk_needed(&needs, 81, 100));
    ck_assert(lk_needed(&needs, 81, 101));
    struct lk_dead dead = lk_slots_dead(&slots, 200);
    ck_assert(lk_is_dead(&dead, 40, 50));
    ck_assert(!lk_is_dead(&dead, 40, 51));
    ck_assert(lk_is_dead(&dead, 51, 80));
    ck_assert(!lk_is_dead(&dead, 50, 80));
    ck_assert(!lk_is_dead(&dead, 60, 81));
    ck_assert(lk_is_dead(&dead, 81, 100));
    ck_assert(!lk_is_dead(&dead, 81, 101));
    ck_assert_uint_eq(lk_needs_same(&needs, 50), 1);
    ck_assert_uint_eq(lk_needs_same(&needs, 51), 51);
    ck_assert_uint_eq(lk_needs_same(&needs, 80), 51);
    ck_assert_uint_eq(lk_needs_same(&needs, 95), 81);
    lk_slots_needs(&slots, 70, &needs); /* what ended later is not judged */
    ck_assert(lk_needed(&needs, 81, 100));
    ck_assert(!lk_needed(&needs, 51, 70));
}
END_TEST

START_TEST(a_new_snapshot_is_never_below_the_floor)
{
    struct lk_needs needs;
    struct lk_slot *slot = &slots.slots[0];
    snapshots(100, NULL, 0);
    lk_slots_needs(&slots, 100, &needs);
    ck_assert_uint_eq(lk_slots_snapshot(&slots, slot), 100);
    ck_assert_uint_eq(atomic_load(&slots.floor), 100);
    ck_assert(!lk_needed(&needs, 1, 100));
}
END_TEST

START_TEST(what_is_seen_is_needed)
{
    struct lk_rand r;
    lk_rand_init(&r, 7);
    for (int round = 0; round < 200; round++) {
        uint64_t list[200];
        struct lk_needs needs;
        uint32_t count = (uint32_t)lk_rand_below(&r, 200);
        for (uint32_t i = 0; i < count; i++)
            list[i] = lk_rand_below(&r, 1000);
        snapshots(1000, list, count);
        lk_slots_needs(&slots, 1000, &needs);
        struct lk_dead dead = lk_slots_dead(&slots, 1000);
        for (int i = 0; i < 500; i++) {
            uint64_t begin = lk_rand_below(&r, 1000), end = begin + 1 + lk_rand_below(&r, 60);
            bool seen = end > 1000;
            for (uint32_t k = 0; k < count; k++)
                seen = seen || (begin <= list[k] && list[k] < end);
            ck_assert(!seen || (lk_needed(&needs, begin, end) && !lk_is_dead(&dead, begin, end)));
            ck_assert(seen || count > LK_NEEDS_MAX || !lk_needed(&needs, begin, end));
            if (end > needs.upto)
                continue;
            /* Whoever looks takes the one for the other. */
            uint64_t same = lk_needs_same(&needs, end);
            ck_assert(same <= end && lk_needs_same(&needs, same) == same);
            uint32_t told = 0;
            for (uint32_t k = 0; k < count; k++)
                told += (list[k] < end) != (list[k] < same);
            ck_assert_uint_eq(told, 0);
        }
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("needs");
    TCase *tc = tcase_create("needs");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_old_snapshot_keeps_what_it_sees);
    tcase_add_test(tc, a_new_snapshot_is_never_below_the_floor);
    tcase_add_test(tc, what_is_seen_is_needed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
