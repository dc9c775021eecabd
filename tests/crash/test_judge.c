/*
 * tests/crash/test_judge.c - histories made by hand: each anomaly is found and named, and what the
 * levels permit is permitted.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/suite.h"
#include "base/hash.h"
#include "base/mem.h"
#include "history.h"

#define RC LUMA_READ_COMMITTED
#define RR LUMA_REPEATABLE_READ
#define S  LUMA_SERIALIZABLE

static struct history *h;

static uint32_t
element(uint32_t txn, int32_t key, int32_t group)
{
    uint32_t e = history_append(h, txn, key, group);
    history_append_at(h, e)->undone = false;
    return e;
}

/* A statement that finds these lists; lists[k] ends with 0, NULL: the row is not there. */
static void
reads(uint32_t txn, int32_t key, int32_t group, const uint32_t *const lists[HISTORY_KEYS])
{
    struct history_read *r = history_read(h, txn, key, group);
    for (int32_t k = 0; k < HISTORY_KEYS; k++) {
        uint32_t count = 0;
        if (lists[k] == NULL)
            continue;
        while (lists[k][count] != 0)
            count++;
        int32_t of = history_append_at(h, lists[k][count - 1])->group;
        ck_assert_ptr_null(history_row(h, &r->rows[k], txn, k, lists[k], count, of));
    }
    r->returned = history_now(h);
}

static void
commits(uint32_t txn)
{
    static uint64_t number;
    struct history_txn *t = history_txn_at(h, txn);
    t->invoked = history_now(h);
    t->returned = history_now(h);
    t->status = HISTORY_COMMITTED;
    t->commit = ++number;
}

static void
ends_with(int32_t key, const uint32_t *list)
{
    uint32_t count = 0;
    while (list[count] != 0)
        count++;
    history_final(h, key, list, count);
}

/* part NULL: nothing is wrong. */
static void
verdict(const char *part)
{
    const char *wrong = history_check(h);
    if (part == NULL)
        ck_assert_msg(wrong == NULL, "%s", wrong);
    else
        ck_assert_msg(wrong != NULL && strstr(wrong, part) != NULL, "%s: %s", part,
                      wrong == NULL ? "found sound" : wrong);
}

static void
setup(void)
{
    h = history_create();
}

static void
teardown(void)
{
    history_destroy(h);
}

#define LIST(...) ((const uint32_t[]){__VA_ARGS__ __VA_OPT__(, ) 0})
#define ROWS(...) ((const uint32_t *const[HISTORY_KEYS]){__VA_ARGS__})

START_TEST(one_after_the_other_is_fine)
{
    uint32_t a = history_txn(h, RR, 0);
    reads(a, 0, -1, ROWS(NULL));
    uint32_t e = element(a, 0, 1);
    commits(a);
    uint32_t b = history_txn(h, S, 0);
    reads(b, 0, -1, ROWS(LIST(e)));
    uint32_t f = element(b, 0, 2);
    commits(b);
    ends_with(0, LIST(e, f));
    verdict(NULL);
}
END_TEST

START_TEST(writes_in_two_orders)
{
    uint32_t a = history_txn(h, RC, 0), b = history_txn(h, RC, 0);
    uint32_t a0 = element(a, 0, 0), b0 = element(b, 0, 0);
    uint32_t b1 = element(b, 1, 0), a1 = element(a, 1, 0);
    uint64_t begun = history_now(h);
    commits(a);
    commits(b);
    history_txn_at(h, a)->invoked = history_txn_at(h, b)->invoked = begun;
    history_txn_at(h, a)->returned = history_now(h);
    ends_with(0, LIST(a0, b0));
    ends_with(1, LIST(b1, a1));
    verdict("G0");
}
END_TEST

START_TEST(an_aborted_write_is_seen)
{
    uint32_t a = history_txn(h, RC, 0), b = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0);
    reads(b, 0, -1, ROWS(LIST(e)));
    commits(b);
    ends_with(0, LIST());
    verdict("G1a");
}
END_TEST

START_TEST(an_aborted_write_stays)
{
    uint32_t a = history_txn(h, RC, 0);
    ends_with(0, LIST(element(a, 0, 0)));
    verdict("G1a");
}
END_TEST

START_TEST(an_intermediate_write_is_seen)
{
    uint32_t a = history_txn(h, RC, 0), b = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0), f = element(a, 0, 0);
    reads(b, 0, -1, ROWS(LIST(e)));
    commits(a);
    commits(b);
    ends_with(0, LIST(e, f));
    verdict("G1b");
}
END_TEST

START_TEST(information_flows_in_a_circle)
{
    uint32_t a = history_txn(h, RC, 0), b = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0), f = element(b, 1, 0);
    reads(a, 1, -1, ROWS(LIST(e), LIST(f)));
    reads(b, 0, -1, ROWS(LIST(e), LIST(f)));
    commits(a);
    commits(b);
    ends_with(0, LIST(e));
    ends_with(1, LIST(f));
    verdict("G1c");
}
END_TEST

START_TEST(an_update_is_lost)
{
    uint32_t a = history_txn(h, RR, 0), b = history_txn(h, RR, 0);
    reads(a, 0, -1, ROWS(NULL));
    reads(b, 0, -1, ROWS(NULL));
    uint32_t e = element(a, 0, 0), f = element(b, 0, 0);
    commits(a);
    commits(b);
    ends_with(0, LIST(e, f));
    verdict("G-single");
    ends_with(0, LIST(f));
    verdict("lost");
}
END_TEST

START_TEST(a_read_is_not_repeatable)
{
    uint32_t a = history_txn(h, RR, 0), b = history_txn(h, RC, 0), c = history_txn(h, RC, 0);
    reads(a, 0, -1, ROWS(NULL));
    reads(c, 0, -1, ROWS(NULL));
    uint32_t e = element(b, 0, 0);
    commits(b);
    reads(c, 0, -1, ROWS(LIST(e))); /* as READ COMMITTED may */
    ends_with(0, LIST(e));
    verdict(NULL);
    reads(a, 0, -1, ROWS(LIST(e)));
    verdict("G-single");
}
END_TEST

START_TEST(a_statement_sees_half)
{
    uint32_t a = history_txn(h, RC, 0), b = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0), f = element(a, 1, 0);
    reads(b, -1, -1, ROWS(LIST(e)));
    commits(a);
    ends_with(0, LIST(e));
    ends_with(1, LIST(f));
    verdict("G-single");
}
END_TEST

START_TEST(a_snapshot_is_old)
{
    uint32_t a = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0);
    commits(a);
    uint32_t b = history_txn(h, RC, 0);
    reads(b, -1, -1, ROWS(NULL));
    ends_with(0, LIST(e));
    verdict("ended before");
}
END_TEST

static void
skew(enum luma_isolation level, bool by_group)
{
    uint32_t a = history_txn(h, level, 0), b = history_txn(h, level, 0);
    reads(a, by_group ? -1 : 1, by_group ? 7 : -1, ROWS(NULL));
    reads(b, by_group ? -1 : 0, by_group ? 7 : -1, ROWS(NULL));
    uint32_t e = element(a, 0, 7), f = element(b, 1, 7);
    commits(a);
    commits(b);
    ends_with(0, LIST(e));
    ends_with(1, LIST(f));
}

START_TEST(write_skew)
{
    skew(RR, false);
    verdict(NULL);
    teardown();
    setup();
    skew(S, false);
    verdict("G2");
}
END_TEST

START_TEST(phantoms)
{
    skew(RR, true);
    verdict(NULL);
    teardown();
    setup();
    skew(S, true);
    verdict("G2");
}
END_TEST

START_TEST(another_group_is_no_phantom)
{
    uint32_t a = history_txn(h, S, 0), b = history_txn(h, S, 0);
    reads(a, -1, 7, ROWS(NULL));
    reads(b, -1, 7, ROWS(NULL));
    uint32_t e = element(a, 0, 7), f = element(b, 1, 8);
    commits(a);
    commits(b);
    ends_with(0, LIST(e));
    ends_with(1, LIST(f));
    verdict(NULL);
}
END_TEST

START_TEST(half_a_transaction)
{
    uint32_t a = history_txn(h, RC, 0);
    uint32_t e = element(a, 0, 0);
    element(a, 1, 0);
    history_txn_at(h, a)->invoked = history_now(h);
    history_txn_at(h, a)->status = HISTORY_UNKNOWN;
    history_restart(h);
    ends_with(0, LIST(e));
    ends_with(1, LIST());
    verdict("changes 1 are there");
    ends_with(0, LIST());
    verdict(NULL);
}
END_TEST

/* Three commits 1 ms apart, the power goes 1 ms after the last. */
static void
three_commits(uint32_t e[3])
{
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t a = history_txn(h, RC, 0);
        e[i] = element(a, (int32_t)i, 0);
        commits(a);
        history_txn_at(h, a)->acknowledged_ns = (i + 1) * 1000000;
    }
    history_may_lose(h, 0, 4000000, 2500000);
    history_restart(h);
}

START_TEST(what_an_asynchronous_log_may_lose)
{
    uint32_t e[3];
    three_commits(e);
    ends_with(0, LIST(e[0]));
    verdict(NULL); /* the last two, both within 2.5 ms */
    ends_with(2, LIST(e[2]));
    verdict("after it is not");
    ends_with(0, LIST());
    ends_with(2, LIST());
    verdict("before the power went");
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("judge");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, one_after_the_other_is_fine);
    tcase_add_test(tc, writes_in_two_orders);
    tcase_add_test(tc, an_aborted_write_is_seen);
    tcase_add_test(tc, an_aborted_write_stays);
    tcase_add_test(tc, an_intermediate_write_is_seen);
    tcase_add_test(tc, information_flows_in_a_circle);
    tcase_add_test(tc, an_update_is_lost);
    tcase_add_test(tc, a_read_is_not_repeatable);
    tcase_add_test(tc, a_statement_sees_half);
    tcase_add_test(tc, a_snapshot_is_old);
    tcase_add_test(tc, write_skew);
    tcase_add_test(tc, phantoms);
    tcase_add_test(tc, another_group_is_no_phantom);
    tcase_add_test(tc, half_a_transaction);
    tcase_add_test(tc, what_an_asynchronous_log_may_lose);
    return test_run("judge", tc);
}
