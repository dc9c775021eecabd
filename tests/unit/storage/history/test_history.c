/*
 * What a history that outlives the process is made of: when rows of segments ended, and what a
 * damaged section costs: earlier states may be refused, never told wrongly.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/quiet.h"
#include "../../../lib/suite.h"
#include "../segment/modules.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/sim.h"
#include "storage/core.h"

#define COLL 1001
#define ROWS 200000u

static struct lk_ctx c;

/* --- ends.c --- */

static struct lk_seg *
segment(struct lk_store *store, bool all_dead)
{
    struct lk_segment_info info = {.object_id = 7, .rows = ROWS};
    struct lk_seg *seg = NULL;
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_seg_create_broken(&c.ctx, store, &info, "", &seg), LUMA_OK);
    if (all_dead)
        lk_seg_set_dead(seg, roaring_bitmap_from_range(0, ROWS, 1));
    return seg;
}

static void
some_ends(struct lk_seg *seg, struct lk_rand *r)
{
    for (int i = 0; i < 2000; i++) {
        uint32_t row = (uint32_t)lk_rand_below(r, ROWS);
        ck_assert_int_eq(lk_seg_end(seg, row, 10 + lk_rand_below(r, 90), 0), LUMA_OK);
    }
    for (int i = 0; i < 3; i++) {
        uint32_t from = (uint32_t)lk_rand_below(r, ROWS - 5000);
        roaring_bitmap_t *rows = roaring_bitmap_create();
        for (uint32_t row = from; row < from + 5000; row++) {
            uint32_t command = 0;
            if (lk_seg_end_of(seg, NULL, row, &command) == LK_STAMP_NONE)
                roaring_bitmap_add(rows, row);
        }
        ck_assert_int_eq(lk_seg_claim(seg, 10 + lk_rand_below(r, 90), 0, 0, false, rows), LUMA_OK);
        roaring_bitmap_free(rows);
    }
}

/* Ends after 20 are known again up to 80, those after `floor` by their commit. */
static void
ends_compare(struct lk_seg *seg, struct lk_seg *again, uint64_t floor)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t command = 0;
        uint64_t end = lk_seg_end_of(seg, NULL, row, &command);
        bool told = end > 20 && end <= 80 && end > floor;
        ck_assert_uint_eq(lk_seg_end_of(again, NULL, row, &command), told ? end : 1);
    }
}

START_TEST(ends_are_told_again)
{
    struct lk_store *store = calloc(1, sizeof(*store));
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct lk_rand r;
        struct lk_ends ends = {NULL, 0, 0};
        struct lk_bytes bytes;
        uint64_t floor = seed % 2 == 0 ? 50 : 5;
        lk_rand_init(&r, seed);
        lk_bytes_init(&bytes, NULL);
        struct lk_seg *seg = segment(store, false), *again = segment(store, true);
        some_ends(seg, &r);
        ck_assert_int_eq(lk_ends_gather(seg, NULL, 20, 80, NULL, &ends), LUMA_OK);
        ck_assert(lk_ends_write(&ends, 20, &bytes));
        ck_assert_int_eq(lk_ends_read(&c.ctx, again, lk_bytes_view(&bytes), floor), LUMA_OK);
        ends_compare(seg, again, floor);
        for (int i = 0; i < 200; i++) { /* what a checksum would not let through does no harm */
            struct lk_seg *other = segment(store, true);
            size_t cut = (size_t)lk_rand_below(&r, bytes.bytes);
            bytes.data[cut] ^= (uint8_t)(1u << lk_rand_below(&r, 8));
            luma_rc rc = lk_ends_read(&c.ctx, other, luma_slice(bytes.data, bytes.bytes), floor);
            ck_assert(rc == LUMA_OK || rc == LUMA_E_CORRUPT);
            lk_seg_unref(other);
        }
        lk_seg_unref(seg);
        lk_seg_unref(again);
        lk_ends_fini(&ends);
        lk_bytes_fini(&bytes);
    }
    free(store);
}
END_TEST

/* --- damage --- */

static struct lk_io *io;
static struct lk_store *store;
static struct luma_arena *arena;
static bool async;

static luma_rc
open_store(void)
{
    struct lk_store_conf conf;
    lk_store_conf_default(&conf);
    conf.io = io;
    conf.dir = "/data";
    conf.services = &test_host_services;
    conf.wal_file_bytes = 64u << 10;
    conf.small_bytes = 2u << 10;
    conf.cache_bytes = 4u << 20;
    conf.wal_inline = true;
    conf.async = async;
    conf.history_ns = 3600 * 1000000000ULL;
    lk_ctx_init(&c, arena);
    return lk_store_open(&c.ctx, &conf, &store);
}

static struct luma_txn *
begin(uint64_t as_of, luma_rc *out_rc)
{
    struct luma_txn_opts opts = {.as_of = as_of};
    struct luma_txn *txn = NULL;
    lk_ctx_init(&c, arena);
    *out_rc = lk_txn_host.begin(&c.ctx, &opts, &txn);
    if (*out_rc == LUMA_OK)
        *out_rc = lk_txn_host.statement_begin(&c.ctx, txn);
    return txn;
}

static uint64_t
commit(struct luma_txn *txn)
{
    uint64_t number = 0;
    ck_assert_int_eq(lk_txn_host.commit_get(&c.ctx, txn, &number), LUMA_OK);
    return number;
}

static void
insert(struct luma_txn *txn, int64_t coll, int64_t first, uint32_t rows)
{
    struct luma_coll *h = NULL;
    int64_t keys[LUMA_BATCH_ROWS];
    struct luma_vec col;
    memset(&col, 0, sizeof(col));
    col.type = luma_type(LUMA_TYPE_INT8);
    col.phys = LUMA_PHYS_I64;
    col.data = keys;
    for (uint32_t i = 0; i < rows; i++)
        keys[i] = first + i;
    struct luma_batch batch = {.rows = rows, .sel_rows = rows, .cols_count = 1, .cols = &col};
    ck_assert_int_eq(lk_store_host.open(&c.ctx, txn, (uint64_t)coll, &h), LUMA_OK);
    ck_assert_int_eq(lk_store_host.insert(&c.ctx, txn, h, &batch, NULL, NULL, NULL), LUMA_OK);
    lk_store_host.close(h);
    lk_txn_host.command_end(txn);
}

/* Sum of the keys; removes rows whose key `divisor` divides (0: none). */
static luma_rc
walk(struct luma_txn *txn, uint64_t coll, int64_t divisor, int64_t *out_sum)
{
    static const uint32_t cols[1] = {1};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 1, .rowids = true};
    struct luma_coll *h = NULL;
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    int64_t rowids[4096];
    uint32_t count = 0;
    *out_sum = 0;
    luma_rc rc = lk_store_host.open(&c.ctx, txn, coll, &h);
    if (rc == LUMA_OK)
        rc = lk_store_host.scan_open(&c.ctx, txn, h, &spec, &scan);
    if (rc == LUMA_OK)
        rc = lk_store_host.cursor_open(&c.ctx, scan, &cursor);
    for (struct luma_batch *batch = NULL; rc == LUMA_OK;) {
        rc = lk_store_host.cursor_next(&c.ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row) {
            int64_t key = *(const int64_t *)luma_vec_at(&batch->cols[0], row);
            *out_sum += key;
            if (divisor != 0 && key % divisor == 0)
                rowids[count++] = batch->rowids[row];
        }
    }
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    for (uint32_t i = 0; rc == LUMA_OK && i < count; i++) {
        enum luma_lock_result result = LUMA_ROW_GONE;
        rc = lk_store_host.lock(&c.ctx, txn, h, &rowids[i], 1, LUMA_LOCK_UPDATE, LUMA_LOCK_NOWAIT,
                                &result);
        if (rc == LUMA_OK)
            rc = lk_store_host.remove(&c.ctx, txn, h, &rowids[i], 1);
    }
    lk_store_host.close(h);
    return rc;
}

#define STATES 4

static void
define(void)
{
    luma_rc rc = LUMA_OK;
    struct luma_txn *txn = begin(0, &rc);
    struct luma_store_col col;
    memset(&col, 0, sizeof(col));
    col.id = 1, col.type = luma_type(LUMA_TYPE_INT8);
    for (uint64_t i = 0; i < 2; i++) {
        struct luma_store_coll def = {.id = COLL + i, .cols_count = 1, .cols = &col};
        ck_assert_int_eq(lk_store_define(&c.ctx, txn, &def), LUMA_OK);
    }
    commit(txn);
}

/* Many rows in a segment and few in a pack, some of both deleted before a checkpoint. */
static void
make_states(uint64_t commits[STATES], int64_t sums[STATES][2])
{
    luma_rc rc = LUMA_OK;
    define();
    for (int i = 0; i < STATES; i++) {
        struct luma_txn *txn = begin(0, &rc);
        for (int k = 0; k < 2; k++) {
            insert(txn, COLL + k, i * 1000, k == 0 ? 900 : 5);
            ck_assert_int_eq(walk(txn, COLL + (uint64_t)k, 2 + i, &sums[i][k]), LUMA_OK);
        }
        lk_txn_host.command_end(txn);
        ck_assert_int_eq(lk_txn_host.statement_begin(&c.ctx, txn), LUMA_OK);
        for (uint64_t k = 0; k < 2; k++)
            ck_assert_int_eq(walk(txn, COLL + k, 0, &sums[i][k]), LUMA_OK);
        commits[i] = commit(txn);
        if (i % 2 == 1)
            ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    }
}

/* Gives how many could be read. */
static int
states_read(const uint64_t commits[STATES], int64_t sums[STATES][2])
{
    int seen = 0;
    for (int i = 0; i < STATES; i++) {
        luma_rc rc = LUMA_OK;
        struct luma_txn *txn = begin(commits[i], &rc);
        for (uint64_t k = 0; rc == LUMA_OK && k < 2; k++) {
            int64_t sum = 0;
            luma_rc read = walk(txn, COLL + k, 0, &sum);
            lk_ctx_init(&c, arena);
            if (read == LUMA_OK)
                ck_assert_int_eq(sum, sums[i][k]);
            seen += read == LUMA_OK;
        }
        lk_txn_host.rollback(txn);
    }
    return seen;
}

START_TEST(damage_costs_the_past_and_tells_nothing_wrong)
{
    uint64_t commits[STATES];
    int64_t sums[STATES][2];
    const char *const *names = NULL;
    size_t count = 0;
    int fewer = 0;
    ck_assert(test_services_count > 0 || test_module_load("index-btree"));
    io = lk_io_sim_create(3);
    arena = lk_arena_create(NULL, 0);
    ck_assert_int_eq(open_store(), LUMA_OK);
    make_states(commits, sums);
    lk_store_close(store);
    ck_assert_int_eq(open_store(), LUMA_OK);
    ck_assert_int_eq(states_read(commits, sums), 2 * STATES);
    lk_store_close(store);
    ck_assert_int_eq(lk_io_list_sorted(&c.ctx, io, "/data", arena, &names, &count), LUMA_OK);
    for (size_t i = 0; i < count; i++) {
        char path[128];
        struct lk_io_stat stat;
        snprintf(path, sizeof(path), "/data/%s", names[i]);
        if (strstr(names[i], ".deletes") == NULL)
            continue;
        ck_assert_int_eq(lk_io_stat(&c.ctx, io, path, &stat), LUMA_OK);
        for (uint64_t at = 0; at < stat.bytes; at += 1 + stat.bytes / 40) {
            ck_assert(lk_io_sim_corrupt(io, path, at, 3));
            ck_assert_msg(open_store() == LUMA_OK, "%s", c.error.message);
            fewer += states_read(commits, sums) < 2 * STATES;
            lk_store_close(store);
            ck_assert(lk_io_sim_corrupt(io, path, at, 3)); /* as it was */
        }
    }
    ck_assert_int_gt(fewer, 0);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}
END_TEST

/* --- tokens --- */

static uint64_t
insert_one(int64_t key)
{
    luma_rc rc = LUMA_OK;
    struct luma_txn *txn = begin(0, &rc);
    ck_assert_int_eq(rc, LUMA_OK);
    insert(txn, COLL, key, 1);
    return commit(txn);
}

/* True: the power cut took the newest commit, whose number another one has had since. */
static bool
lost_and_again(uint64_t seed)
{
    char token[LUMA_COMMIT_TOKEN_BYTES];
    uint64_t number = 0, read = 0;
    bool lost = false;
    io = lk_io_sim_create(seed);
    arena = lk_arena_create(NULL, 0);
    ck_assert_int_eq(open_store(), LUMA_OK);
    define();
    ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    for (int64_t k = 0; k < 5; k++)
        number = insert_one(k);
    lk_txn_host.token_text(number, token);
    lk_io_sim_crash(io);
    lk_store_close(store);
    lk_io_sim_restart(io);
    ck_assert_int_eq(open_store(), LUMA_OK);
    lost = atomic_load(&store->slots.visible) < number;
    for (int64_t k = 10; insert_one(k) <= number; k++)
        continue;
    if (seed % 2 == 0)
        ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    lk_store_close(store);
    ck_assert_int_eq(open_store(), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.token_read(&c.ctx, token, &read), lost ? LUMA_E_INVALID : LUMA_OK);
    ck_assert(!lost || strstr(c.error.message, "was lost") != NULL);
    lk_store_close(store);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
    return lost;
}

START_TEST(a_lost_commit_is_not_taken_for_another)
{
    int lost[2] = {0, 0};
    ck_assert(test_services_count > 0 || test_module_load("index-btree"));
    async = true;
    for (uint64_t seed = 1; seed <= 20; seed++)
        lost[seed % 2] += lost_and_again(seed);
    ck_assert_int_gt(lost[0], 0);
    ck_assert_int_gt(lost[1], 0);
}
END_TEST

int
main(void)
{
    test_quiet();
    TCase *tc = tcase_create("history");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, ends_are_told_again);
    tcase_add_test(tc, a_lost_commit_is_not_taken_for_another);
    tcase_add_test(tc, damage_costs_the_past_and_tells_nothing_wrong);
    return test_run("history", tc);
}
