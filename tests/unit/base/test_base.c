/* tests/unit/base/test_base.c - what kernel/base promises. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "base/base.h"

START_TEST(crc32c_known_values)
{
    uint8_t zeros[32] = {0};
    ck_assert_uint_eq(lk_crc32c(0, "123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(lk_crc32c(0, zeros, sizeof(zeros)), 0x8a9136aau); /* RFC 3720, B.4 */
    ck_assert_uint_eq(lk_crc32c(0, NULL, 0), 0);
}
END_TEST

START_TEST(crc32c_forms_agree_and_chain)
{
    uint8_t data[4099];
    struct lk_rand r;
    lk_rand_init(&r, 7);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)lk_rand_u64(&r);
    for (int round = 0; round < 500; round++) {
        size_t at = lk_rand_below(&r, 64), n = lk_rand_below(&r, sizeof(data) - at);
        size_t cut = n == 0 ? 0 : lk_rand_below(&r, n);
        uint32_t whole = lk_crc32c(0, data + at, n);
        ck_assert_uint_eq(whole, lk_crc32c_plain(0, data + at, n));
        uint32_t chained = lk_crc32c(lk_crc32c(0, data + at, cut), data + at + cut, n - cut);
        ck_assert_uint_eq(whole, chained);
    }
}
END_TEST

START_TEST(varint_round_trips_and_refuses)
{
    uint8_t room[LK_VARINT_BYTES_MAX];
    struct lk_rand r;
    lk_rand_init(&r, 1);
    for (int i = 0; i < 2000; i++) {
        uint64_t v = lk_rand_u64(&r) >> lk_rand_below(&r, 64), back = 0;
        uint8_t *end = lk_varint_put(room, v);
        ck_assert_uint_eq((size_t)(end - room), lk_varint_bytes(v));
        ck_assert_ptr_eq(lk_varint_get(room, end, &back), end);
        ck_assert_uint_eq(back, v);
        ck_assert_ptr_null(lk_varint_get(room, end - 1, &back));
    }
    uint8_t too_long[11] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0};
    uint64_t v;
    ck_assert_ptr_null(lk_varint_get(too_long, too_long + 11, &v));
    ck_assert_int_eq(lk_unzigzag(lk_zigzag(INT64_MIN)), INT64_MIN);
    ck_assert_int_eq(lk_unzigzag(lk_zigzag(-5)), -5);
}
END_TEST

START_TEST(budget_tree_limits_and_rolls_back)
{
    struct luma_budget *parent = lk_budget_create(NULL, "parent", 1000);
    struct luma_budget *child = lk_budget_create(parent, "child", 0);
    size_t root_before = lk_budget_used(NULL);
    ck_assert(lk_budget_reserve(child, 900));
    ck_assert(!lk_budget_reserve(child, 101));
    ck_assert_uint_eq(lk_budget_used(child), 900);
    ck_assert_uint_eq(lk_budget_used(parent), 900);
    ck_assert_uint_eq(lk_budget_used(NULL), root_before + 900);
    ck_assert(!lk_budget_reserve(child, SIZE_MAX));
    ck_assert(lk_budget_reserve(child, 100));
    ck_assert_uint_eq(lk_budget_limit(child), 1000);
    lk_budget_unreserve(child, 1000);
    ck_assert_uint_eq(lk_budget_used(NULL), root_before);
    ck_assert_uint_eq(lk_budget_peak(parent), 1000);
    lk_budget_destroy(child);
    lk_budget_destroy(parent);
}
END_TEST

/* --- memory that is given back --- */

#define POOL_THREADS 4
#define POOL_ITEM    ((size_t)1000)
#define POOL_ITEMS   ((size_t)POOL_THREADS * 4)

static _Atomic size_t pool_items; /* of the whole server's memory, which the pool fills */

/* Gives what is asked for, as far as it has it, an item at a time. */
static bool
pool_reclaim(void *arg, size_t bytes)
{
    bool any = false;
    for (size_t n = (bytes + POOL_ITEM - 1) / POOL_ITEM; n > 0; n--) {
        size_t items = atomic_load((_Atomic size_t *)arg);
        while (items > 0 && !atomic_compare_exchange_weak((_Atomic size_t *)arg, &items, items - 1))
            continue;
        if (items == 0)
            break;
        lk_budget_unreserve(NULL, POOL_ITEM);
        any = true;
    }
    return any;
}

/* Takes an item's bytes and leaves them to the pool; how often there was no room. */
static void *
take_and_leave(void *arg)
{
    size_t *out_refused = arg;
    for (int i = 0; i < 20000; i++) {
        if (lk_budget_reserve(NULL, POOL_ITEM))
            atomic_fetch_add(&pool_items, 1);
        else
            ++*out_refused;
    }
    return NULL;
}

/* There are more items than threads, so nobody may be sent away, however many ask at once. */
START_TEST(memory_given_back_reaches_who_asks)
{
    pthread_t threads[POOL_THREADS];
    size_t refused[POOL_THREADS] = {0};

    ck_assert(lk_budget_reserve(NULL, POOL_ITEM * POOL_ITEMS));
    atomic_store(&pool_items, POOL_ITEMS);
    lk_budget_set_limit(NULL, lk_budget_used(NULL));
    lk_budget_set_reclaim(pool_reclaim, &pool_items);
    for (int i = 0; i < POOL_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_leave, &refused[i]), 0);
    for (int i = 0; i < POOL_THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(refused[i], 0);
    }
    ck_assert_uint_eq(atomic_load(&pool_items), POOL_ITEMS);
    ck_assert(!lk_budget_reserve(NULL, POOL_ITEM * POOL_ITEMS + 1));
    lk_budget_set_reclaim(NULL, &pool_items);
    lk_budget_set_limit(NULL, 0);
    lk_budget_unreserve(NULL, POOL_ITEM * atomic_load(&pool_items));
}
END_TEST

START_TEST(arena_allocates_aligned_within_budget)
{
    struct luma_budget *budget = lk_budget_create(NULL, "arena", 4 << 20);
    struct luma_arena *arena = lk_arena_create(budget, 0);
    struct lk_rand r;
    lk_rand_init(&r, 3);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 500; i++) {
            size_t bytes = lk_rand_below(&r, i % 50 == 0 ? 60000 : 200);
            size_t align = (size_t)1 << lk_rand_below(&r, 7);
            uint8_t *p = luma_arena_alloc_aligned(arena, bytes, align);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq((uintptr_t)p & (align - 1), 0);
            memset(p, round, bytes);
        }
        ck_assert_uint_eq(lk_arena_bytes(arena), lk_budget_used(budget));
        arena->reset(arena);
        ck_assert_uint_le(lk_arena_bytes(arena), 70000);
    }
    ck_assert_ptr_null(luma_arena_alloc(arena, 5 << 20));
    ck_assert_ptr_null(luma_arena_alloc(arena, SIZE_MAX - 5));
    ck_assert_ptr_nonnull(luma_arena_alloc(arena, 100));
    ck_assert_str_eq(lk_arena_printf(arena, "%d-%s", 5, "x"), "5-x");
    lk_arena_destroy(arena);
    ck_assert_uint_eq(lk_budget_used(budget), 0);
    lk_budget_destroy(budget);
}
END_TEST

START_TEST(pages_are_aligned_zeroed_and_counted)
{
    struct luma_budget *budget = lk_budget_create(NULL, "pages", 0);
    size_t big = (size_t)5 << 20;
    uint8_t *p = lk_pages_alloc(budget, big), *q = lk_pages_alloc(budget, 100);
    ck_assert_uint_eq((uintptr_t)p % ((size_t)2 << 20), 0);
    ck_assert_uint_eq((uintptr_t)q % 4096, 0);
    ck_assert_uint_eq(p[big - 1], 0);
    ck_assert_uint_eq(lk_budget_used(budget), ((size_t)6 << 20) + 4096);
    lk_pages_free(budget, p, big);
    lk_pages_free(budget, q, 100);
    ck_assert_uint_eq(lk_budget_used(budget), 0);
    lk_budget_destroy(budget);
}
END_TEST

START_TEST(ctx_keeps_the_first_error)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx a, b;
    lk_ctx_init(&a, arena);
    lk_ctx_init(&b, arena);
    ck_assert_int_eq(LUMA_FAIL(&a.ctx, LUMA_E_CONFLICT, "one %d", 1), LUMA_E_CONFLICT);
    ck_assert_int_eq(LUMA_FAIL_SQL(&a.ctx, LUMA_E_DATA, "22P02", "two"), LUMA_E_DATA);
    ck_assert_str_eq(a.error.message, "one 1");
    ck_assert_str_eq(a.error.sqlstate, "40001");
    char hint[] = "try again";
    a.error.hint = hint;
    lk_ctx_merge(&b.ctx, &a.error);
    hint[0] = 'X';
    ck_assert_str_eq(b.error.hint, "try again");
    ck_assert_int_eq(b.error.code, LUMA_E_CONFLICT);
    luma_error_reset(&b.error);
    ck_assert_int_eq(lk_ctx_ensure(&b.ctx, LUMA_E_FULL), LUMA_E_FULL);
    ck_assert_str_eq(b.error.sqlstate, "53100");
    ck_assert_int_eq(lk_ctx_ensure(&b.ctx, LUMA_OK), LUMA_OK);
    lk_arena_destroy(arena);
}
END_TEST

START_TEST(ctx_cuts_long_messages_between_characters)
{
    char text[1400];
    struct lk_ctx c;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4); /* three bytes each */
        lk_ctx_init(&c, NULL);
        (void)LUMA_FAIL(&c.ctx, LUMA_E_DATA, "%s", text);
        size_t n = strlen(c.error.message);
        ck_assert_uint_eq((n - shift) % 3, 0);
        ck_assert_uint_ge(n, sizeof(c.error.message) - 4);
    }
}
END_TEST

START_TEST(error_table_knows_every_code)
{
    for (luma_rc code = LUMA_ERROR_FIRST_ + 1; code < LUMA_ERROR_END_; code++) {
        const struct lk_error_info *info = lk_error_info(code);
        ck_assert_uint_eq(strlen(info->sqlstate), 5);
        ck_assert_uint_eq(strlen(info->ecode), 4);
        ck_assert_int_ge(info->http, 200);
    }
    ck_assert_str_eq(lk_error_info(LUMA_E_AUTH)->ecode, "E001");
    ck_assert_int_eq(lk_error_info(LUMA_E_AUTH)->grpc, 16);
    ck_assert_str_eq(lk_error_info(12345)->name, "INTERNAL");
}
END_TEST

START_TEST(map_matches_a_model)
{
    struct lk_map map = {0};
    static uint64_t model[400]; /* value + 1, 0: absent */
    struct lk_rand r;
    lk_rand_init(&r, 11);
    for (int i = 0; i < 40000; i++) {
        size_t k = lk_rand_below(&r, LUMA_COUNTOF(model));
        char key[32];
        snprintf(key, sizeof(key), "key-%zu", k);
        uintptr_t v = lk_rand_below(&r, 1000) + 1;
        if (lk_rand_percent(&r, 40)) {
            ck_assert_uint_eq((uintptr_t)lk_map_remove(&map, luma_slice_text(key)), model[k]);
            model[k] = 0;
        } else {
            void *old = NULL;
            ck_assert_int_eq(lk_map_put(&map, luma_slice_text(key), (void *)v, &old), LUMA_OK);
            ck_assert_uint_eq((uintptr_t)old, model[k]);
            model[k] = v;
        }
        size_t other = lk_rand_below(&r, LUMA_COUNTOF(model));
        snprintf(key, sizeof(key), "key-%zu", other);
        ck_assert_uint_eq((uintptr_t)lk_map_get_text(&map, key), model[other]);
    }
    size_t present = 0, seen = 0, cursor = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(model); i++)
        present += model[i] != 0;
    while (lk_map_next(&map, &cursor) != NULL)
        seen++;
    ck_assert_uint_eq(seen, present);
    lk_map_fini(&map);
}
END_TEST

START_TEST(bytes_grow_print_and_read_back)
{
    struct lk_bytes b = {0};
    ck_assert(lk_bytes_u8(&b, 7) && lk_bytes_u32(&b, 0xdeadbeef) && lk_bytes_varint(&b, 300));
    ck_assert(lk_bytes_sized(&b, luma_slice_text("hello")));
    ck_assert(lk_bytes_printf(&b, "%0500d", 5));
    struct lk_reader r = lk_reader(lk_bytes_view(&b));
    ck_assert_uint_eq(lk_reader_u8(&r), 7);
    ck_assert_uint_eq(lk_reader_u32(&r), 0xdeadbeef);
    ck_assert_uint_eq(lk_reader_varint(&r), 300);
    ck_assert(luma_slice_equal(lk_reader_sized(&r), luma_slice_text("hello")));
    ck_assert_uint_eq(lk_reader_left(&r), 500);
    ck_assert(!r.failed);
    ck_assert_uint_eq(lk_reader_take(&r, 501).bytes, 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(lk_reader_u8(&r), 0);
    ck_assert(!lk_bytes_reserve(&b, SIZE_MAX / 2));
    ck_assert(b.failed);
    lk_bytes_fini(&b);
}
END_TEST

START_TEST(json_text_is_escaped_and_valid)
{
    struct lk_bytes b = {0};
    const char raw[] = "a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80";
    ck_assert(lk_bytes_json(&b, luma_slice(raw, sizeof(raw) - 1)));
    ck_assert_str_eq(
        lk_bytes_cstr(&b),
        "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    lk_bytes_fini(&b);
}
END_TEST

struct item {
    int n;
    struct lk_list link;
};

START_TEST(lists_keep_order_and_allow_removal)
{
    struct lk_list head, other;
    struct item items[6];
    memset(items, 0, sizeof(items));
    lk_list_init(&head);
    lk_list_init(&other);
    for (int i = 0; i < 6; i++) {
        items[i].n = i;
        lk_list_push_back(i < 4 ? &head : &other, &items[i].link);
    }
    lk_list_splice(&head, &other);
    ck_assert(lk_list_empty(&other));
    int sum = 0;
    LK_LIST_FOR (&head, it, struct item, link) {
        if (it->n == 5)
            break;
        if (it->n % 2 == 0)
            lk_list_remove(&it->link);
        sum = sum * 10 + it->n;
    }
    ck_assert_int_eq(sum, 1234);
    ck_assert_int_eq(LK_LIST_ENTRY(lk_list_pop_front(&head), struct item, link)->n, 1);
    ck_assert(!lk_list_linked(&items[0].link));
}
END_TEST

static char sunk[4096];
static size_t sunk_bytes;

static void
sink(void *arg, const char *line, size_t bytes)
{
    (void)arg;
    memcpy(sunk, line, bytes);
    sunk[bytes] = '\0';
    sunk_bytes = bytes;
}

static int64_t
fixed_clock(void)
{
    return 1709210096789000; /* 2024-02-29T12:34:56.789Z */
}

START_TEST(log_lines_are_single_and_leveled)
{
    lk_log_set_sink(sink, NULL);
    lk_log_set_clock(fixed_clock);
    lk_log_info("unit", "two\nlines %d", 5);
    ck_assert_str_eq(sunk, "2024-02-29T12:34:56.789Z info  unit: two lines 5\n");
    sunk_bytes = 0;
    lk_log_debug("unit", "not shown");
    ck_assert_uint_eq(sunk_bytes, 0);
    enum luma_log_level level = LUMA_LOG_ERROR;
    ck_assert(lk_log_level_parse("debug", &level) && !lk_log_level_parse("loud", &level));
    lk_log_set_level(level);
    lk_log_set_json(true);
    lk_log_debug("unit", "say \"hi\"");
    ck_assert_str_eq(sunk, "{\"time\":\"2024-02-29T12:34:56.789Z\",\"level\":\"debug\","
                           "\"who\":\"unit\",\"message\":\"say \\\"hi\\\"\"}\n");
    char huge[8000];
    memset(huge, 'y', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    lk_log_set_json(false);
    lk_log_error("unit", "%s", huge);
    ck_assert_int_eq(sunk[sunk_bytes - 1], '\n');
    lk_log_set_sink(NULL, NULL);
}
END_TEST

static void *
count_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        lk_stat_add(arg, 1);
    return NULL;
}

static void
see_hist(void *arg, const struct luma_stat_sample *s)
{
    if (strcmp(s->name, "unit_seconds") != 0)
        return;
    *(bool *)arg = true;
    ck_assert_uint_eq(s->count, 1000);
    ck_assert_uint_eq(s->buckets[s->bounds_count], 1000);
    for (size_t i = 1; i <= s->bounds_count; i++)
        ck_assert_uint_ge(s->buckets[i], s->buckets[i - 1]);
    ck_assert_double_eq_tol(s->sum, 500.5, 1e-6);
}

START_TEST(stats_add_up_over_threads)
{
    struct luma_stat *c = lk_stat_open(LUMA_STAT_COUNTER, "unit_total", "", "", "help");
    ck_assert_ptr_eq(c, lk_stat_open(LUMA_STAT_COUNTER, "unit_total", "", "", "help"));
    ck_assert_ptr_ne(c, lk_stat_open(LUMA_STAT_COUNTER, "unit_total", "a=\"b\"", "", "help"));
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, count_many, c);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(lk_stat_value(c), 80000);
    struct luma_stat *g = lk_stat_open(LUMA_STAT_GAUGE, "unit_gauge", "", "", "help");
    lk_stat_add(g, 5);
    lk_stat_set(g, 42);
    ck_assert_int_eq(lk_stat_value(g), 42);
    struct luma_stat *h = lk_stat_open(LUMA_STAT_HISTOGRAM, "unit_seconds", "", "s", "help");
    for (uint64_t ms = 1; ms <= 1000; ms++)
        lk_stat_observe_ns(h, ms * 1000000);
    double p50 = (double)lk_stat_quantile_ns(h, 0.5), p99 = (double)lk_stat_quantile_ns(h, 0.99);
    ck_assert(p50 > 0.5e9 * 0.99 && p50 < 0.5e9 * 1.13);
    ck_assert(p99 > 0.99e9 * 0.99 && p99 < 0.99e9 * 1.13);
    bool seen = false;
    lk_stat_each(see_hist, &seen);
    ck_assert(seen);
}
END_TEST

#if LK_DEBUG
START_TEST(lock_ranks_must_rise)
{
    struct lk_mutex low, high;
    lk_mutex_init(&low, LK_LOCK_TEST_LOW);
    lk_mutex_init(&high, LK_LOCK_TEST_HIGH);
    lk_mutex_lock(&low);
    lk_mutex_lock(&high);
    ck_assert_uint_eq(lk_locks_held(), 2);
    lk_mutex_unlock(&low);
    lk_mutex_unlock(&high);
    ck_assert_uint_eq(lk_locks_held(), 0);
    lk_mutex_lock(&high);
    lk_mutex_lock(&low); /* aborts */
}
END_TEST

START_TEST(faults_fire_when_their_turn_comes)
{
    ck_assert(!LK_FAULT("unit.fault"));
    ck_assert(lk_fault_arm_text("unit.fault=2@1,unit.other"));
    ck_assert(!LK_FAULT("unit.fault"));
    ck_assert(LK_FAULT("unit.fault"));
    ck_assert(LK_FAULT("unit.fault"));
    ck_assert(!LK_FAULT("unit.fault"));
    ck_assert(LK_FAULT("unit.other"));
    ck_assert_uint_eq(lk_fault_passes("unit.fault"), 4);
    ck_assert(!lk_fault_arm_text("x=y"));
    lk_fault_disarm_all();
    ck_assert(!LK_FAULT("unit.other"));
}
END_TEST
#endif

START_TEST(assertions_abort)
{
    int one = 1;
    LK_ASSERT(one == 2);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, crc32c_known_values);
    tcase_add_test(tc, crc32c_forms_agree_and_chain);
    tcase_add_test(tc, varint_round_trips_and_refuses);
    tcase_add_test(tc, budget_tree_limits_and_rolls_back);
    tcase_add_test(tc, memory_given_back_reaches_who_asks);
    tcase_add_test(tc, arena_allocates_aligned_within_budget);
    tcase_add_test(tc, pages_are_aligned_zeroed_and_counted);
    tcase_add_test(tc, ctx_keeps_the_first_error);
    tcase_add_test(tc, ctx_cuts_long_messages_between_characters);
    tcase_add_test(tc, error_table_knows_every_code);
    tcase_add_test(tc, map_matches_a_model);
    tcase_add_test(tc, bytes_grow_print_and_read_back);
    tcase_add_test(tc, json_text_is_escaped_and_valid);
    tcase_add_test(tc, lists_keep_order_and_allow_removal);
    tcase_add_test(tc, log_lines_are_single_and_leveled);
    tcase_add_test(tc, stats_add_up_over_threads);
#if LK_DEBUG
    tcase_add_test_raise_signal(tc, lock_ranks_must_rise, SIGABRT);
    tcase_add_test(tc, faults_fire_when_their_turn_comes);
#endif
    tcase_add_test_raise_signal(tc, assertions_abort, SIGABRT);
    return test_run("base", tc);
}
