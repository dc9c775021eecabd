/* tests/unit/storage/run/test_run.c - an index against a model: hot part, frozen parts, runs,
 * merges; the sorter; threads; flipped bits. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "../segment/modules.h"
#include "base/base.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/run/run.h"

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static struct lk_index *index_;
static const char *kind_name = "btree";

static void
setup(void)
{
    if (test_services_count == 0) {
        ck_assert(test_module_load("index-btree"));
        ck_assert(test_module_load("index-hash"));
    }
    struct luma_store_index def = {.id = 9, .kind = kind_name};
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 64 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
    ck_assert_int_eq(lk_index_create(&c.ctx, objects, NULL, &test_host_services, &def, &index_),
                     LUMA_OK);
}

static void
teardown(void)
{
    lk_index_destroy(index_);
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

/* --- the model: all entries, sorted --- */

#define MODEL_MAX 40000

static struct luma_index_entry model[MODEL_MAX];
static size_t model_count;

static int
entry_order(const void *a, const void *b)
{
    const struct luma_index_entry *x = a, *y = b;
    int k = luma_slice_compare(x->key, y->key);
    return k != 0 ? k : (x->rowid > y->rowid) - (x->rowid < y->rowid);
}

static void
model_sort(void)
{
    size_t n = 0;
    qsort(model, model_count, sizeof(model[0]), entry_order);
    for (size_t i = 0; i < model_count; i++)
        if (i == 0 || entry_order(&model[i], &model[n - 1]) != 0)
            model[n++] = model[i];
    model_count = n;
}

/* style 0: 9 bytes like an integer key; 1: text; 2: few keys, many rows; 3: long ones */
static struct luma_index_entry
random_entry(struct lk_rand *r, int style)
{
    struct luma_index_entry e = {.rowid = (int64_t)lk_rand_below(r, 100000)};
    char buf[3000];
    size_t n = 0;
    if (style == 0) {
        uint64_t v = lk_rand_below(r, 50000) * 977;
        buf[0] = 1;
        lk_store_be64(buf + 1, v);
        n = 9;
    } else if (style == 3) {
        n = 100 + lk_rand_below(r, 2800);
        memset(buf, (int)('a' + lk_rand_below(r, 3)), n);
        snprintf(buf + n - 12, 12, "%011u", (unsigned)lk_rand_below(r, 1000));
    } else {
        n = (size_t)snprintf(buf, sizeof(buf), style == 1 ? "key/%llx" : "k%llu",
                             (unsigned long long)lk_rand_below(r, style == 1 ? 100000 : 5));
    }
    e.key = luma_slice(luma_arena_copy(arena, buf, n), n);
    return e;
}

static void
insert_random(struct lk_rand *r, int style, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct luma_index_entry e = random_entry(r, style);
        ck_assert(lk_index_insert(&c.ctx, index_, &e, 1) == LUMA_OK);
        model[model_count++] = e;
    }
    model_sort();
}

static struct luma_slice found_key;
static size_t found_count;
static bool found_wrong;

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    uint8_t *seen = arg;
    struct luma_index_entry want = {found_key, rowid};
    struct luma_index_entry *at = bsearch(&want, model, model_count, sizeof(model[0]), entry_order);
    found_wrong = found_wrong || at == NULL || key_index != 0;
    if (at != NULL && !seen[at - model]) {
        seen[at - model] = 1;
        found_count++;
    }
}

static void
check_find(struct lk_rand *r, int style, int rounds)
{
    static uint8_t seen[MODEL_MAX];
    for (int i = 0; i < rounds; i++) {
        struct luma_index_entry e = random_entry(r, style);
        if (model_count > 0 && lk_rand_percent(r, 70))
            e = model[lk_rand_below(r, model_count)];
        size_t expected = 0;
        for (size_t k = 0; k < model_count; k++)
            expected += luma_slice_equal(model[k].key, e.key);
        memset(seen, 0, sizeof(seen));
        found_key = e.key;
        found_count = 0;
        found_wrong = false;
        ck_assert_int_eq(lk_index_find(&c.ctx, index_, &e.key, 1, emit, seen), LUMA_OK);
        ck_assert(!found_wrong);
        ck_assert_uint_eq(found_count, expected);
    }
}

static int
prefix_compare(struct luma_slice key, struct luma_slice bound)
{
    size_t n = LK_MIN(key.bytes, bound.bytes);
    int k = memcmp(key.data, bound.data, n);
    return k != 0 ? k : key.bytes < bound.bytes ? -1 : 0;
}

static bool
in_range(const struct luma_index_range *range, struct luma_slice key)
{
    if (range->lo.data != NULL) {
        int k = prefix_compare(key, range->lo);
        if (k < 0 || (k == 0 && range->lo_exclusive))
            return false;
    }
    if (range->hi.data != NULL) {
        int k = prefix_compare(key, range->hi);
        if (k > 0 || (k == 0 && range->hi_exclusive))
            return false;
    }
    return true;
}

static void
check_range(const struct luma_index_range *range)
{
    struct lk_index_cursor *cursor;
    struct luma_index_entry e;
    uint64_t expected = 0;
    bool more;
    ck_assert_int_eq(lk_index_cursor_open(&c.ctx, index_, range, arena, &cursor), LUMA_OK);
    for (size_t i = 0; i < model_count; i++) {
        const struct luma_index_entry *want = &model[range->reverse ? model_count - 1 - i : i];
        if (!in_range(range, want->key))
            continue;
        expected++;
        ck_assert(lk_index_cursor_next(&c.ctx, cursor, &e, &more) == LUMA_OK);
        if (!more || entry_order(&e, want) != 0)
            ck_abort_msg("entry %zu differs (more %d)", i, more);
    }
    ck_assert_int_eq(lk_index_cursor_next(&c.ctx, cursor, &e, &more), LUMA_OK);
    ck_assert(!more);
    ck_assert_int_eq(lk_index_cursor_next(&c.ctx, cursor, &e, &more), LUMA_OK);
    ck_assert(!more);
    lk_index_cursor_close(cursor);
    uint64_t estimate = lk_index_estimate(&c.ctx, index_, range);
    ck_assert(estimate <= model_count * 3 + 100 &&
              (expected == 0 || estimate + 2000 > expected / 4));
}

static void
check_ranges(struct lk_rand *r, int rounds)
{
    struct luma_index_range range = {0};
    check_range(&range);
    range.reverse = true;
    check_range(&range);
    for (int i = 0; i < rounds; i++) {
        memset(&range, 0, sizeof(range));
        range.reverse = lk_rand_percent(r, 50);
        if (lk_rand_percent(r, 80)) {
            range.lo = model[lk_rand_below(r, model_count)].key;
            range.lo.bytes -= lk_rand_percent(r, 50) ? lk_rand_below(r, range.lo.bytes) : 0;
        }
        if (lk_rand_percent(r, 80)) {
            range.hi = model[lk_rand_below(r, model_count)].key;
            range.hi.bytes -= lk_rand_percent(r, 50) ? lk_rand_below(r, range.hi.bytes) : 0;
        }
        range.lo_exclusive = lk_rand_percent(r, 50);
        range.hi_exclusive = lk_rand_percent(r, 50);
        check_range(&range);
    }
}

static void
checkpoint(bool lose)
{
    struct lk_run_info info;
    bool written;
    ck_assert_int_eq(lk_index_freeze(&c.ctx, index_), LUMA_OK);
    ck_assert_int_eq(lk_index_freeze(&c.ctx, index_), LUMA_E_AGAIN);
    if (lose) {
        lk_index_unfreeze(index_);
        return;
    }
    ck_assert_int_eq(lk_index_write_frozen(&c.ctx, index_, &info, &written), LUMA_OK);
    ck_assert_int_eq(lk_index_publish(&c.ctx, index_, written ? &info : NULL), LUMA_OK);
}

static bool
merge(void)
{
    struct lk_run_merge m;
    bool written;
    ck_assert_int_eq(lk_index_merge(&c.ctx, index_, NULL, &m, &written), LUMA_OK);
    if (!written)
        return false;
    ck_assert_int_eq(lk_index_replace(&c.ctx, index_, &m), LUMA_OK);
    for (uint32_t i = 0; i < m.inputs_count; i++)
        lk_object_remove(objects, LK_OBJECT_RUN, m.inputs[i].object_id);
    return true;
}

static void
life(int style, uint64_t seed, size_t step, bool ordered)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    model_count = 0;
    bool merged = false;
    for (int round = 0; round < 9; round++) {
        insert_random(&r, style, step);
        check_find(&r, style, 40);
        if (ordered)
            check_ranges(&r, 4);
        checkpoint(round % 4 == 1);
        check_find(&r, style, 40);
        if (ordered)
            check_ranges(&r, 4);
        merged = merge() || merged;
    }
    ck_assert(merged);
    check_find(&r, style, 100);
    ck_assert_int_eq(lk_index_verify(&c.ctx, index_), LUMA_OK);
    ck_assert_uint_gt(lk_index_bytes(index_), 0);
}

START_TEST(integer_keys_live)
{
    setup();
    life(0, 1, 3000, true);
    teardown();
}
END_TEST

START_TEST(text_keys_live)
{
    setup();
    life(1, 2, 3000, true);
    teardown();
}
END_TEST

START_TEST(common_keys_live)
{
    setup();
    life(2, 3, 2000, true);
    teardown();
}
END_TEST

START_TEST(long_keys_live)
{
    setup();
    life(3, 4, 300, true);
    teardown();
}
END_TEST

START_TEST(hash_indexes_live)
{
    kind_name = "hash";
    setup();
    life(0, 5, 3000, false);
    teardown();
    setup();
    life(2, 6, 1000, false);
    teardown();
}
END_TEST

START_TEST(removed_entries_are_gone_and_come_back)
{
    struct lk_rand r;
    setup();
    lk_rand_init(&r, 1);
    model_count = 0;
    insert_random(&r, 1, 2000);
    struct luma_index_entry e = model[500];
    lk_index_remove(index_, &e);
    lk_index_remove(index_, &e);
    memmove(&model[500], &model[501], (model_count - 501) * sizeof(model[0]));
    model_count--;
    check_ranges(&r, 5);
    ck_assert_int_eq(lk_index_insert(&c.ctx, index_, &e, 1), LUMA_OK);
    model[model_count++] = e;
    model_sort();
    check_ranges(&r, 5);
    teardown();
}
END_TEST

static bool
dead_odd(void *arg, const struct luma_index_entry *entry)
{
    (void)arg;
    return (entry->rowid & 1) != 0;
}

START_TEST(a_merge_leaves_dead_entries_out)
{
    struct lk_rand r;
    struct lk_run_merge m;
    bool written;
    setup();
    lk_rand_init(&r, 1);
    model_count = 0;
    for (int i = 0; i < 4; i++) {
        insert_random(&r, 1, 500);
        checkpoint(false);
    }
    const struct lk_run_judge odd = {.dead = dead_odd};
    ck_assert_int_eq(lk_index_merge(&c.ctx, index_, &odd, &m, &written), LUMA_OK);
    ck_assert(written);
    ck_assert_uint_eq(m.inputs_count, 4);
    ck_assert_uint_eq(m.output.level, 1);
    ck_assert_int_eq(lk_index_replace(&c.ctx, index_, &m), LUMA_OK);
    size_t n = 0;
    for (size_t i = 0; i < model_count; i++)
        if ((model[i].rowid & 1) == 0)
            model[n++] = model[i];
    model_count = n;
    ck_assert_uint_eq(m.output.entries, n);
    check_ranges(&r, 5);
    teardown();
}
END_TEST

START_TEST(a_cursor_outlives_what_it_reads)
{
    struct lk_rand r;
    struct lk_index_cursor *cursor;
    struct luma_index_range all = {0};
    struct luma_index_entry e;
    bool more;
    setup();
    lk_rand_init(&r, 1);
    model_count = 0;
    for (int i = 0; i < 4; i++) {
        insert_random(&r, 1, 500);
        checkpoint(false);
    }
    ck_assert_int_eq(lk_index_cursor_open(&c.ctx, index_, &all, arena, &cursor), LUMA_OK);
    for (size_t i = 0; i < model_count; i++) {
        if (i == 100)
            ck_assert(merge());
        ck_assert(lk_index_cursor_next(&c.ctx, cursor, &e, &more) == LUMA_OK && more);
        ck_assert(entry_order(&e, &model[i]) == 0);
    }
    lk_index_cursor_close(cursor);
    teardown();
}
END_TEST

START_TEST(sorted_entries_become_a_run)
{
    struct lk_rand r;
    struct lk_run_sorter *sorter;
    struct lk_run_info info;
    bool written;
    setup();
    lk_rand_init(&r, 3);
    model_count = 0;
    ck_assert_int_eq(lk_run_sorter_create(&c.ctx, index_, 3, &sorter), LUMA_OK);
    for (uint32_t i = 0; i < 9000; i++) {
        model[model_count] = random_entry(&r, 1);
        ck_assert(lk_run_sorter_add(&c.ctx, sorter, i % 3, &model[model_count++], 1) == LUMA_OK);
    }
    model_sort();
    ck_assert_int_eq(lk_run_sorter_finish(&c.ctx, sorter, false, NULL, &info, &written), LUMA_OK);
    ck_assert(written);
    ck_assert_uint_eq(info.entries, model_count);
    ck_assert_int_eq(lk_index_attach(&c.ctx, index_, &info), LUMA_OK);
    check_ranges(&r, 10);
    check_find(&r, 1, 100);

    ck_assert_int_eq(lk_run_sorter_create(&c.ctx, index_, 1, &sorter), LUMA_OK);
    ck_assert_int_eq(lk_run_sorter_finish(&c.ctx, sorter, true, NULL, &info, &written), LUMA_OK);
    ck_assert(!written);
    teardown();
}
END_TEST

START_TEST(a_duplicate_is_told)
{
    struct lk_run_sorter *sorter;
    struct lk_run_info info;
    struct luma_slice dup;
    bool written;
    struct luma_index_entry e[3] = {
        {luma_slice_text("b"), 1}, {luma_slice_text("a"), 2}, {luma_slice_text("b"), 3}};
    setup();
    ck_assert_int_eq(lk_run_sorter_create(&c.ctx, index_, 2, &sorter), LUMA_OK);
    ck_assert_int_eq(lk_run_sorter_add(&c.ctx, sorter, 0, e, 2), LUMA_OK);
    ck_assert_int_eq(lk_run_sorter_add(&c.ctx, sorter, 1, e + 2, 1), LUMA_OK);
    ck_assert_int_eq(lk_run_sorter_finish(&c.ctx, sorter, true, &dup, &info, &written),
                     LUMA_E_UNIQUE);
    ck_assert(luma_slice_equal(dup, luma_slice_text("b")));
    teardown();
}
END_TEST

#define THREADS    4
#define PER_THREAD 8000

static void *
insert_thread(void *arg)
{
    struct lk_ctx mine;
    uint64_t base = (uint64_t)(uintptr_t)arg * PER_THREAD;
    lk_ctx_init(&mine, NULL);
    for (uint64_t i = 0; i < PER_THREAD; i++) {
        uint8_t key[9] = {1};
        lk_store_be64(key + 1, lk_hash_u64(base + i));
        struct luma_index_entry e = {luma_slice(key, 9), (int64_t)(base + i)};
        if (lk_index_insert(&mine.ctx, index_, &e, 1) != LUMA_OK)
            return "insert";
        if (i % 64 == 0)
            lk_index_remove(index_, &e);
    }
    return NULL;
}

START_TEST(threads_insert_while_parts_freeze)
{
    pthread_t threads[THREADS];
    struct luma_index_range all = {0};
    setup();
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, insert_thread, (void *)i), 0);
    for (int i = 0; i < 12; i++) {
        struct lk_index_cursor *cursor;
        struct luma_index_entry e, last = {luma_slice("", 0), 0};
        uint8_t copy[9];
        bool more;
        checkpoint(i % 3 == 0);
        merge();
        ck_assert_int_eq(lk_index_cursor_open(&c.ctx, index_, &all, arena, &cursor), LUMA_OK);
        while (lk_index_cursor_next(&c.ctx, cursor, &e, &more) == LUMA_OK && more) {
            ck_assert(luma_slice_compare(last.key, e.key) < 0);
            memcpy(copy, e.key.data, 9);
            last.key = luma_slice(copy, 9);
        }
        lk_index_cursor_close(cursor);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    /* Every entry that was not taken out is there (those may be too: a run keeps them). */
    model_count = 0;
    struct lk_index_cursor *cursor;
    struct luma_index_entry e;
    size_t there = 0;
    bool more;
    ck_assert_int_eq(lk_index_cursor_open(&c.ctx, index_, &all, arena, &cursor), LUMA_OK);
    while (lk_index_cursor_next(&c.ctx, cursor, &e, &more) == LUMA_OK && more)
        there += e.rowid % PER_THREAD % 64 != 0;
    lk_index_cursor_close(cursor);
    ck_assert_uint_eq(there, THREADS * (PER_THREAD - PER_THREAD / 64));
    teardown();
}
END_TEST

START_TEST(flipped_bits_in_runs_are_found)
{
    struct lk_rand r;
    setup();
    lk_rand_init(&r, 6);
    model_count = 0;
    for (int i = 0; i < 2000; i++)
        model[model_count++] = random_entry(&r, 1);
    for (int round = 0; round < 100; round++) {
        struct luma_store_index def = {.id = 9, .kind = "btree"};
        struct lk_run_sorter *sorter;
        struct lk_run_info info;
        struct lk_index *other;
        char path[64];
        bool written;
        ck_assert_int_eq(lk_run_sorter_create(&c.ctx, index_, 1, &sorter), LUMA_OK);
        ck_assert_int_eq(lk_run_sorter_add(&c.ctx, sorter, 0, model, model_count), LUMA_OK);
        ck_assert_int_eq(lk_run_sorter_finish(&c.ctx, sorter, false, NULL, &info, &written),
                         LUMA_OK);
        snprintf(path, sizeof(path), "objects/%016llx.run", (unsigned long long)info.object_id);
        ck_assert(lk_io_sim_corrupt(io, path, lk_rand_below(&r, info.bytes),
                                    (unsigned)lk_rand_below(&r, 8)));
        ck_assert_int_eq(lk_index_create(&c.ctx, objects, NULL, &test_host_services, &def, &other),
                         LUMA_OK);
        luma_rc rc = lk_index_attach(&c.ctx, other, &info);
        if (rc == LUMA_OK)
            rc = lk_index_verify(&c.ctx, other);
        ck_assert_int_eq(rc, LUMA_E_CORRUPT);
        lk_index_destroy(other);
        lk_object_remove(objects, LK_OBJECT_RUN, info.object_id);
        luma_error_reset(c.ctx.error);
    }
    teardown();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("run");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, integer_keys_live);
    tcase_add_test(tc, text_keys_live);
    tcase_add_test(tc, common_keys_live);
    tcase_add_test(tc, long_keys_live);
    tcase_add_test(tc, hash_indexes_live);
    tcase_add_test(tc, removed_entries_are_gone_and_come_back);
    tcase_add_test(tc, a_merge_leaves_dead_entries_out);
    tcase_add_test(tc, a_cursor_outlives_what_it_reads);
    tcase_add_test(tc, sorted_entries_become_a_run);
    tcase_add_test(tc, a_duplicate_is_told);
    tcase_add_test(tc, threads_insert_while_parts_freeze);
    tcase_add_test(tc, flipped_bits_in_runs_are_found);
    return test_run("run", tc);
}
