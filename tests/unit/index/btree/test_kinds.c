/*
 * tests/unit/index/btree/test_kinds.c - each index kind by its own functions against a model: the
 * hot part, runs, ranges both ways, entries merged from several parts, many entries of one key,
 * threads. (tests/unit/storage/run has what the kernel makes of them.)
 */
#include <lumadb/kind/index.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "../../storage/segment/modules.h"
#include "base/base.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/object/object.h"

#define MODEL_MAX 20000

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static const struct luma_index_kind *kind;

static struct luma_index_entry model[MODEL_MAX];
static size_t model_count;

static const char *const services[] = {"index.btree", "index.hash"};

static void
setup(int which)
{
    if (test_services_count == 0) {
        ck_assert(test_module_load("index-btree"));
        ck_assert(test_module_load("index-hash"));
    }
    kind = (const struct luma_index_kind *)test_lookup(services[which], LUMA_INDEX_MAJOR);
    ck_assert_ptr_nonnull(kind);
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 64 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
    model_count = 0;
}

static void
teardown(void)
{
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

/* --- the model --- */

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

enum style { NUMBERS, TEXTS, FEW_KEYS, PREFIXES, STYLES };

static struct luma_index_entry
random_entry(struct lk_rand *r, enum style style)
{
    struct luma_index_entry e = {.rowid = (int64_t)lk_rand_below(r, 1u << 20)};
    char buf[600];
    size_t n = 0;
    switch (style) {
    case NUMBERS:
        buf[0] = 1;
        lk_store_be64(buf + 1, lk_rand_below(r, 5000) * 131);
        n = 9;
        break;
    case TEXTS:
        n = (size_t)snprintf(buf, sizeof(buf), "%llx", (unsigned long long)lk_rand_below(r, 90000));
        break;
    case FEW_KEYS:
        n = (size_t)snprintf(buf, sizeof(buf), "key %llu", (unsigned long long)lk_rand_below(r, 3));
        break;
    default: /* keys that begin with each other, one of them empty */
        n = lk_rand_below(r, 500);
        memset(buf, 'a', n);
        break;
    }
    e.key = luma_slice(luma_arena_copy(arena, buf, n + 1), n);
    return e;
}

static void
model_fill(struct lk_rand *r, enum style style, size_t count)
{
    for (size_t i = 0; i < count; i++)
        model[model_count++] = random_entry(r, style);
}

static bool
in_model(struct luma_slice key, int64_t rowid)
{
    struct luma_index_entry want = {key, rowid};
    return bsearch(&want, model, model_count, sizeof(model[0]), entry_order) != NULL;
}

static size_t
model_times(struct luma_slice key)
{
    size_t n = 0;
    for (size_t i = 0; i < model_count; i++)
        n += luma_slice_equal(model[i].key, key);
    return n;
}

/* Prefix semantics of bounds: a key that begins with the whole bound is equal to it. */
static int
against(struct luma_slice key, struct luma_slice bound)
{
    size_t n = LK_MIN(key.bytes, bound.bytes);
    int k = n == 0 ? 0 : memcmp(key.data, bound.data, n);
    return k != 0 ? k : key.bytes < bound.bytes ? -1 : 0;
}

static bool
in_range(const struct luma_index_range *range, struct luma_slice key)
{
    if (range->lo.data != NULL) {
        int k = against(key, range->lo);
        if (k < 0 || (k == 0 && range->lo_exclusive))
            return false;
    }
    if (range->hi.data != NULL) {
        int k = against(key, range->hi);
        if (k > 0 || (k == 0 && range->hi_exclusive))
            return false;
    }
    return true;
}

/* --- parts --- */

static void *
hot_of(const struct luma_index_entry *entries, size_t count)
{
    void *hot = NULL;
    ck_assert_int_eq(kind->hot_create(&c.ctx, NULL, &hot), LUMA_OK);
    /* Few at a time, one, and so many that they are put in order first. */
    static const size_t pieces[] = {7, 1, 300, 64};
    for (size_t i = 0, turn = 0, n; i < count; i += n, turn++) {
        n = LK_MIN(count - i, pieces[turn % LUMA_COUNTOF(pieces)]);
        ck_assert_int_eq(kind->hot_insert(&c.ctx, hot, entries + i, n), LUMA_OK);
    }
    return hot;
}

struct list_source {
    struct luma_index_source base;
    const struct luma_index_entry *entries;
    size_t at, count;
};

static luma_rc
list_next(struct luma_ctx *ctx, struct luma_index_source *base, struct luma_index_entry *out_entry,
          bool *out_more)
{
    struct list_source *s = (struct list_source *)base;
    (void)ctx;
    *out_more = s->at < s->count;
    if (*out_more)
        *out_entry = s->entries[s->at++];
    return LUMA_OK;
}

struct run {
    struct luma_object_reader *reader;
    void *run;
};

static struct run
run_of(const struct luma_index_entry *sorted, size_t count)
{
    struct list_source source = {{list_next}, sorted, 0, count};
    struct lk_object_writer *writer = NULL;
    struct run run = {NULL, NULL};
    uint64_t bytes = 0;
    ck_assert_int_eq(lk_object_create(&c.ctx, objects, LK_OBJECT_RUN, &writer), LUMA_OK);
    uint64_t id = writer->id;
    ck_assert_int_eq(kind->run_build(&c.ctx, &source.base, &writer->base), LUMA_OK);
    ck_assert_int_eq(lk_object_finish(&c.ctx, writer, &bytes), LUMA_OK);
    ck_assert_int_eq(lk_object_open(&c.ctx, objects, LK_OBJECT_RUN, id, &run.reader), LUMA_OK);
    ck_assert_msg(kind->run_open(&c.ctx, run.reader, &run.run) == LUMA_OK, "%s", c.error.message);
    ck_assert_uint_eq(kind->run_count(run.run), count);
    return run;
}

static void
run_end(struct run *run)
{
    kind->run_close(run->run);
    lk_object_close(run->reader);
}

/* --- what is found --- */

static size_t found;
static bool wrong;
static const struct luma_slice *asked;

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    (void)arg;
    found++;
    wrong = wrong || !in_model(asked[key_index], rowid);
}

static void
check_hot_find(void *hot, struct luma_slice key)
{
    static int64_t rowids[MODEL_MAX];
    size_t count = 0;
    ck_assert_int_eq(kind->hot_find(&c.ctx, hot, key, rowids, MODEL_MAX, &count), LUMA_OK);
    ck_assert_uint_eq(count, model_times(key));
    for (size_t i = 0; i < count; i++)
        ck_assert(in_model(key, rowids[i]));
    if (count > 1) { /* short room tells how many there are */
        size_t again = 0;
        ck_assert_int_eq(kind->hot_find(&c.ctx, hot, key, rowids, 1, &again), LUMA_OK);
        ck_assert_uint_eq(again, count);
    }
}

static void
check_run_find(void *run, struct lk_rand *r, enum style style)
{
    struct luma_slice keys[64];
    size_t want = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(keys); i++) {
        keys[i] = lk_rand_percent(r, 50) ? model[lk_rand_below(r, model_count)].key
                                         : random_entry(r, style).key;
        want += model_times(keys[i]);
    }
    found = 0;
    wrong = false;
    asked = keys;
    ck_assert_int_eq(kind->run_find(&c.ctx, run, keys, LUMA_COUNTOF(keys), emit, NULL), LUMA_OK);
    ck_assert(!wrong);
    ck_assert_uint_eq(found, want);
}

static void
check_range(struct luma_index_cursor *cursor, const struct luma_index_range *range)
{
    struct luma_index_entry entry;
    bool more = true;
    size_t at = range->reverse ? model_count : 0;
    for (;;) {
        ck_assert_int_eq(kind->cursor_next(&c.ctx, cursor, &entry, &more), LUMA_OK);
        if (range->reverse)
            while (at > 0 && !in_range(range, model[at - 1].key))
                at--;
        else
            while (at < model_count && !in_range(range, model[at].key))
                at++;
        bool left = range->reverse ? at > 0 : at < model_count;
        ck_assert_int_eq(more, left);
        if (!more)
            break;
        const struct luma_index_entry *want = &model[range->reverse ? --at : at++];
        ck_assert_int_eq(entry_order(&entry, want), 0);
    }
    kind->cursor_close(cursor);
}

static struct luma_index_range
random_range(struct lk_rand *r, enum style style)
{
    struct luma_index_range range = {.reverse = lk_rand_percent(r, 50)};
    if (lk_rand_percent(r, 75))
        range.lo = random_entry(r, style).key;
    if (lk_rand_percent(r, 75))
        range.hi = random_entry(r, style).key;
    if (lk_rand_percent(r, 30) && range.hi.bytes > 1)
        range.hi.bytes -= lk_rand_below(r, range.hi.bytes); /* a prefix */
    range.lo_exclusive = lk_rand_percent(r, 50);
    range.hi_exclusive = lk_rand_percent(r, 50);
    return range;
}

/* --- tests --- */

START_TEST(hot_part)
{
    for (int style = 0; style < STYLES; style++) {
        struct lk_rand r;
        setup(_i);
        lk_rand_init(&r, (uint64_t)style + 1);
        model_fill(&r, (enum style)style, 6000);
        void *hot = hot_of(model, model_count);
        model_sort();
        ck_assert_uint_eq(kind->hot_count(hot), model_count);
        ck_assert_uint_gt(kind->hot_bytes(hot), 0);
        /* Every third goes, twice; half of those come back. */
        size_t kept = 0;
        for (size_t i = 0; i < model_count; i++) {
            if (i % 3 == 0) {
                kind->hot_remove(hot, &model[i]);
                kind->hot_remove(hot, &model[i]);
            }
            if (i % 6 == 0)
                ck_assert_int_eq(kind->hot_insert(&c.ctx, hot, &model[i], 1), LUMA_OK);
            if (i % 3 != 0 || i % 6 == 0)
                model[kept++] = model[i];
        }
        model_count = kept;
        for (int i = 0; i < 200; i++)
            check_hot_find(hot, i % 2 == 0 ? model[lk_rand_below(&r, model_count)].key
                                           : random_entry(&r, (enum style)style).key);
        kind->hot_destroy(hot);
        teardown();
    }
}
END_TEST

START_TEST(runs)
{
    static const size_t sizes[] = {0, 1, 2, 500, 12000};
    for (int style = 0; style < STYLES; style++) {
        for (size_t s = 0; s < LUMA_COUNTOF(sizes); s++) {
            struct lk_rand r;
            setup(_i);
            lk_rand_init(&r, (uint64_t)style * 10 + s + 1);
            model_fill(&r, (enum style)style, sizes[s]);
            model_sort();
            struct run run = run_of(model, model_count);
            ck_assert_msg(kind->run_verify(&c.ctx, run.run) == LUMA_OK, "%s", c.error.message);
            for (int i = 0; i < 20 && model_count > 0; i++)
                check_run_find(run.run, &r, (enum style)style);
            /* All of it, in order: what merges rest on. */
            struct luma_index_range all = {0};
            struct luma_index_cursor *cursor = NULL;
            ck_assert_int_eq(kind->run_cursor(&c.ctx, run.run, &all, arena, &cursor), LUMA_OK);
            check_range(cursor, &all);
            run_end(&run);
            teardown();
        }
    }
}
END_TEST

START_TEST(ranges_both_ways)
{
    for (int style = 0; style < STYLES; style++) {
        struct lk_rand r;
        setup(_i);
        if ((kind->caps & LUMA_INDEX_ORDERED) == 0) {
            teardown();
            return;
        }
        lk_rand_init(&r, (uint64_t)style + 77);
        model_fill(&r, (enum style)style, 3000);
        void *hot = hot_of(model, model_count);
        model_sort();
        struct run run = run_of(model, model_count);
        for (int i = 0; i < 120; i++) {
            struct luma_index_range range = random_range(&r, (enum style)style);
            struct luma_index_cursor *cursor = NULL;
            ck_assert_int_eq(kind->hot_cursor(&c.ctx, hot, &range, arena, &cursor), LUMA_OK);
            check_range(cursor, &range);
            ck_assert_int_eq(kind->run_cursor(&c.ctx, run.run, &range, arena, &cursor), LUMA_OK);
            check_range(cursor, &range);
            ck_assert_uint_le(kind->run_estimate(&c.ctx, run.run, &range), model_count);
        }
        kind->hot_destroy(hot);
        run_end(&run);
        teardown();
    }
}
END_TEST

/* A filter spares runs that cannot have a key: nearly no block is read for keys that are absent. */
START_TEST(absent_keys_cost_nothing)
{
    struct lk_rand r;
    setup(_i);
    lk_rand_init(&r, 5);
    model_fill(&r, NUMBERS, 12000);
    model_sort();
    struct run run = run_of(model, model_count);
    uint64_t before = lk_io_sim_calls_of(io, LK_IO_CALL_READ);
    for (uint64_t i = 0; i < 2000; i++) {
        uint8_t bytes[9] = {1};
        lk_store_be64(bytes + 1, i * 131 + 7); /* no multiple of 131 */
        struct luma_slice key = luma_slice(bytes, sizeof(bytes));
        found = 0;
        asked = &key;
        ck_assert_int_eq(kind->run_find(&c.ctx, run.run, &key, 1, emit, NULL), LUMA_OK);
        ck_assert_uint_eq(found, 0);
    }
    ck_assert_uint_lt(lk_io_sim_calls_of(io, LK_IO_CALL_READ) - before, 100);
    run_end(&run);
    teardown();
}
END_TEST

#define THREADS    4
#define PER_THREAD 4000

struct thread {
    pthread_t id;
    void *hot;
    const struct luma_index_entry *entries;
    _Atomic bool *stop;
    size_t bad;
};

static void *
insert_work(void *arg)
{
    struct thread *t = arg;
    struct lk_ctx own;
    lk_ctx_init(&own, NULL);
    for (size_t i = 0; i < PER_THREAD; i++) {
        size_t left = PER_THREAD - i, many = i / 1000 % 2 == 0 ? 1 : 200; /* the same ones again */
        t->bad += kind->hot_insert(&own.ctx, t->hot, &t->entries[i], LK_MIN(left, many)) != LUMA_OK;
        if (i % 5 == 0) { /* out and in again */
            kind->hot_remove(t->hot, &t->entries[i]);
            t->bad += kind->hot_insert(&own.ctx, t->hot, &t->entries[i], 1) != LUMA_OK;
        }
    }
    return NULL;
}

/* What is read meanwhile is in order and was inserted by somebody. */
static void *
read_work(void *arg)
{
    struct thread *t = arg;
    while (!atomic_load(t->stop)) {
        LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *own_arena = lk_arena_create(NULL, 0);
        struct luma_index_range all = {0};
        struct luma_index_cursor *cursor = NULL;
        struct luma_index_entry entry, last = {{NULL, 0}, 0};
        struct lk_ctx own;
        bool more = true;
        lk_ctx_init(&own, own_arena);
        if (kind->hot_cursor(&own.ctx, t->hot, &all, own_arena, &cursor) != LUMA_OK)
            t->bad++;
        while (cursor != NULL && kind->cursor_next(&own.ctx, cursor, &entry, &more) == LUMA_OK &&
               more) {
            t->bad += last.key.data != NULL && entry_order(&last, &entry) >= 0;
            last.key = luma_slice(luma_arena_copy(own_arena, entry.key.data, entry.key.bytes + 1),
                                  entry.key.bytes);
            last.rowid = entry.rowid;
        }
        kind->cursor_close(cursor);
    }
    return NULL;
}

START_TEST(readers_and_writers)
{
    struct thread threads[THREADS + 2];
    _Atomic bool stop = false;
    struct lk_rand r;
    setup(_i);
    lk_rand_init(&r, 9);
    model_fill(&r, TEXTS, (size_t)THREADS * PER_THREAD);
    void *hot = hot_of(NULL, 0);
    bool ordered = (kind->caps & LUMA_INDEX_ORDERED) != 0;
    for (size_t i = 0; i < LUMA_COUNTOF(threads); i++) {
        threads[i] = (struct thread){.hot = hot, .stop = &stop};
        if (i < THREADS)
            threads[i].entries = model + i * PER_THREAD;
        if (i < THREADS || ordered)
            pthread_create(&threads[i].id, NULL, i < THREADS ? insert_work : read_work,
                           &threads[i]);
    }
    for (size_t i = 0; i < LUMA_COUNTOF(threads); i++) {
        if (i == THREADS)
            atomic_store(&stop, true);
        if (i < THREADS || ordered)
            pthread_join(threads[i].id, NULL);
        ck_assert_uint_eq(threads[i].bad, 0);
    }
    model_sort();
    ck_assert_uint_eq(kind->hot_count(hot), model_count);
    for (int i = 0; i < 500; i++)
        check_hot_find(hot, model[lk_rand_below(&r, model_count)].key);
    kind->hot_destroy(hot);
    teardown();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("each");
    const int kinds = (int)LUMA_COUNTOF(services);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, hot_part, 0, kinds);
    tcase_add_loop_test(tc, runs, 0, kinds);
    tcase_add_loop_test(tc, ranges_both_ways, 0, kinds);
    tcase_add_loop_test(tc, absent_keys_cost_nothing, 0, kinds);
    tcase_add_loop_test(tc, readers_and_writers, 0, kinds);
    return test_run("index kinds", tc);
}
