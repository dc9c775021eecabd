/* tests/unit/storage/cache/test_cache.c - the block cache: hits, budget, eviction, races. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "storage/cache/cache.h"

struct loader {
    struct lk_cache *cache;
    size_t bytes;
    size_t parsed_bytes;
    _Atomic uint64_t loads;
    luma_rc fail;
};

static luma_rc
load(struct luma_ctx *ctx, void *arg, uint64_t object_id, uint64_t offset,
     struct lk_cache_block *out_block)
{
    struct loader *loader = arg;
    (void)ctx;
    atomic_fetch_add(&loader->loads, 1);
    LUMA_TRY(lk_cache_room(loader->cache, loader->bytes, loader->parsed_bytes, out_block));
    if (loader->fail != LUMA_OK) {
        lk_cache_room_free(loader->cache, out_block);
        return loader->fail;
    }
    uint8_t *data = (uint8_t *)(uintptr_t)out_block->bytes.data;
    memset(data, (int)(object_id * 31 + offset), loader->bytes);
    memcpy(data, &object_id, 8);
    memcpy(data + 8, &offset, 8);
    if (out_block->parsed != NULL)
        memcpy(out_block->parsed, &offset, 8);
    return LUMA_OK;
}

static void
check_block(const struct lk_cache_block *block, size_t bytes, uint64_t object_id, uint64_t offset)
{
    uint64_t got[2];
    ck_assert_uint_eq(block->bytes.bytes, bytes);
    memcpy(got, block->bytes.data, sizeof(got));
    ck_assert_uint_eq(got[0], object_id);
    ck_assert_uint_eq(got[1], offset);
    ck_assert_uint_eq(block->bytes.data[bytes - 1], (uint8_t)(object_id * 31 + offset));
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(block->bytes.data[bytes + (size_t)i], 0);
    ck_assert_uint_eq((uintptr_t)block->bytes.data % 64, 0);
}

static struct luma_budget *budget;
static struct loader loader;
static struct lk_ctx c;

static void
setup(size_t limit_bytes, size_t block_bytes)
{
    lk_ctx_init(&c, NULL);
    budget = lk_budget_create(NULL, "cache", 0);
    memset(&loader, 0, sizeof(loader));
    loader.bytes = block_bytes;
    ck_assert_int_eq(lk_cache_create(budget, limit_bytes, &loader.cache), LUMA_OK);
}

static void
teardown(void)
{
    lk_cache_destroy(loader.cache);
    ck_assert_uint_eq(lk_budget_used(budget), 0);
    lk_budget_destroy(budget);
}

static void
touch(uint64_t object_id, uint64_t offset, bool trial)
{
    struct lk_cache_block *block;
    ck_assert_int_eq(lk_cache_pin_as(&c.ctx, loader.cache, object_id, offset, trial, NULL, load,
                                     &loader, &block),
                     LUMA_OK);
    lk_cache_unpin(loader.cache, block);
}

static uint32_t
present(uint64_t object_id, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct lk_cache_block *block = lk_cache_peek(loader.cache, object_id, i * 64);
        n += block != NULL;
        if (block != NULL)
            lk_cache_unpin(loader.cache, block);
    }
    return n;
}

/* What is read once goes for its like; what is used again stays, and is on trial no more. */
START_TEST(blocks_on_trial_take_nothing_from_others)
{
    struct lk_cache_stats stats;
    setup(1 << 20, 4000);
    for (uint32_t i = 0; i < 150; i++)
        touch(1, i * 64, false);
    for (uint32_t i = 0; i < 2000; i++)
        touch(2, i * 64, true);
    ck_assert_uint_eq(present(1, 150), 150);
    lk_cache_stats(loader.cache, &stats);
    ck_assert_uint_le(stats.used_bytes, 1 << 20);
    ck_assert_uint_gt(stats.trial_bytes, 0);
    for (uint32_t i = 0; i < 20; i++) { /* used again, while others pass by */
        touch(3, i * 64, true);
        touch(3, i * 64, true);
    }
    for (uint32_t i = 0; i < 2000; i++)
        touch(4, i * 64, true);
    ck_assert_uint_ge(present(3, 20), 18);
    for (uint32_t i = 0; i < 2000; i++) /* others need the room */
        touch(5, i * 64, false);
    lk_cache_stats(loader.cache, &stats);
    ck_assert_uint_le(stats.used_bytes, 1 << 20);
    ck_assert_uint_le(present(4, 2000), 60);
    teardown();
}
END_TEST

START_TEST(a_block_is_loaded_once)
{
    struct lk_cache_block *a, *b;
    setup(1 << 20, 1000);
    loader.parsed_bytes = 24;
    ck_assert_ptr_null(lk_cache_peek(loader.cache, 7, 64));
    ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 7, 64, load, &loader, &a), LUMA_OK);
    ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 7, 64, load, &loader, &b), LUMA_OK);
    ck_assert_ptr_eq(a, b);
    check_block(a, 1000, 7, 64);
    uint64_t parsed;
    memcpy(&parsed, a->parsed, 8);
    ck_assert_uint_eq(parsed, 64);
    ck_assert_uint_eq(loader.loads, 1);
    lk_cache_unpin(loader.cache, a);
    lk_cache_unpin(loader.cache, b);
    b = lk_cache_peek(loader.cache, 7, 64);
    ck_assert_ptr_eq(a, b);
    lk_cache_unpin(loader.cache, b);
    teardown();
}
END_TEST

START_TEST(a_failed_load_leaves_nothing)
{
    struct lk_cache_block *a;
    setup(1 << 20, 1000);
    loader.fail = LUMA_E_CORRUPT;
    ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 1, 0, load, &loader, &a), LUMA_E_CORRUPT);
    ck_assert_uint_eq(lk_budget_used(budget), 0);
    loader.fail = LUMA_OK;
    ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 1, 0, load, &loader, &a), LUMA_OK);
    lk_cache_unpin(loader.cache, a);
    teardown();
}
END_TEST

START_TEST(the_limit_holds_and_pinned_blocks_stay)
{
    struct lk_cache_block *kept, *block;
    struct lk_cache_stats stats;
    setup(200000, 1000);
    ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 1, 0, load, &loader, &kept), LUMA_OK);
    for (uint64_t i = 0; i < 5000; i++) {
        ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 2, i, load, &loader, &block), LUMA_OK);
        check_block(block, 1000, 2, i);
        lk_cache_unpin(loader.cache, block);
        ck_assert_uint_le(lk_budget_used(budget), 200000);
    }
    check_block(kept, 1000, 1, 0);
    lk_cache_stats(loader.cache, &stats);
    ck_assert_uint_gt(stats.evicted, 4000);
    ck_assert_uint_gt(stats.blocks, 100);
    lk_cache_unpin(loader.cache, kept);
    teardown();
}
END_TEST

START_TEST(what_is_used_survives_a_scan)
{
    struct lk_cache_block *block;
    setup(400000, 1000);
    for (uint64_t i = 0; i < 3000; i++) {
        for (uint64_t hot = 0; hot < 20; hot++) {
            ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 1, hot, load, &loader, &block),
                             LUMA_OK);
            lk_cache_unpin(loader.cache, block);
        }
        ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, 2, i, load, &loader, &block), LUMA_OK);
        lk_cache_unpin(loader.cache, block);
    }
    ck_assert_uint_lt(loader.loads, 3000 + 20 * 10);
    teardown();
}
END_TEST

START_TEST(forget_drops_one_object)
{
    struct lk_cache_block *block;
    setup(1 << 20, 100);
    for (uint64_t i = 0; i < 20; i++) {
        ck_assert_int_eq(lk_cache_pin(&c.ctx, loader.cache, i & 1, i, load, &loader, &block),
                         LUMA_OK);
        lk_cache_unpin(loader.cache, block);
    }
    lk_cache_forget(loader.cache, 1);
    for (uint64_t i = 0; i < 20; i++) {
        block = lk_cache_peek(loader.cache, i & 1, i);
        ck_assert_int_eq(block == NULL, (i & 1) == 1);
        if (block != NULL)
            lk_cache_unpin(loader.cache, block);
    }
    teardown();
}
END_TEST

/* A hint finds its block; one that is out of date finds no other. */
START_TEST(hints_are_hints)
{
    struct lk_cache_hint hint = {NULL};
    struct lk_cache_block *block, *again;
    setup(120000, 1000);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t offset = i * 7 % 1000;
        ck_assert_int_eq(
            lk_cache_pin_as(&c.ctx, loader.cache, 2, offset, false, &hint, load, &loader, &block),
            LUMA_OK);
        check_block(block, 1000, 2, offset);
        uint64_t loads = loader.loads;
        ck_assert_int_eq(
            lk_cache_pin_as(&c.ctx, loader.cache, 2, offset, false, &hint, load, &loader, &again),
            LUMA_OK);
        ck_assert_ptr_eq(block, again);
        ck_assert_uint_eq(loader.loads, loads);
        lk_cache_unpin(loader.cache, block);
        lk_cache_unpin(loader.cache, again);
    }
    teardown();
}
END_TEST

#define THREADS 4
#define HINTS   97 /* several blocks each */

static struct lk_cache_hint hints[HINTS];

static void *
hammer(void *arg)
{
    struct lk_rand r;
    struct lk_ctx mine;
    uint64_t wrong = 0;
    lk_rand_init(&r, (uint64_t)(uintptr_t)arg);
    lk_ctx_init(&mine, NULL);
    for (int i = 0; i < 60000; i++) {
        struct lk_cache_block *block;
        uint64_t offset = lk_rand_below(&r, 600), got[2];
        if (lk_rand_below(&r, 5000) == 0)
            lk_cache_forget(loader.cache, lk_rand_below(&r, 3));
        struct lk_cache_hint *hint = i % 2 == 0 ? &hints[offset % HINTS] : NULL;
        if (lk_cache_pin_as(&mine.ctx, loader.cache, offset % 3, offset, false, hint, load, &loader,
                            &block) != LUMA_OK) {
            wrong++;
            continue;
        }
        memcpy(got, block->bytes.data, sizeof(got));
        wrong += got[0] != offset % 3 || got[1] != offset;
        lk_cache_unpin(loader.cache, block);
    }
    return (void *)(uintptr_t)wrong;
}

START_TEST(many_threads_see_the_right_blocks)
{
    pthread_t threads[THREADS];
    setup(120000, 256); /* far less than the 600 blocks want */
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
    teardown();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("cache");
    tcase_add_test(tc, a_block_is_loaded_once);
    tcase_add_test(tc, blocks_on_trial_take_nothing_from_others);
    tcase_add_test(tc, a_failed_load_leaves_nothing);
    tcase_add_test(tc, the_limit_holds_and_pinned_blocks_stay);
    tcase_add_test(tc, what_is_used_survives_a_scan);
    tcase_add_test(tc, forget_drops_one_object);
    tcase_add_test(tc, hints_are_hints);
    tcase_add_test(tc, many_threads_see_the_right_blocks);
    return test_run("cache", tc);
}
