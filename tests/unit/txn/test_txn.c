/*
 * What one transaction sees of another, who loses a race, who waits, and what a full disk does; on
 * the simulated disk, in one thread unless somebody has to wait.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/quiet.h"
#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/mem.h"
#include "io/sim.h"
#include "storage/store.h"

#define COLL 1001
#define PK   2001

static struct lk_io *io;
static struct lk_store *store;
static struct luma_arena *arena;
static struct lk_ctx c;

static void
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
    lk_ctx_init(&c, arena);
    ck_assert_msg(lk_store_open(&c.ctx, &conf, &store) == LUMA_OK, "%s", c.error.message);
}

static struct luma_txn *
begin(enum luma_isolation isolation)
{
    struct luma_txn_opts opts = {.isolation = isolation};
    struct luma_txn *txn = NULL;
    lk_ctx_init(&c, arena);
    ck_assert_int_eq(lk_txn_host.begin(&c.ctx, &opts, &txn), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.statement_begin(&c.ctx, txn), LUMA_OK);
    return txn;
}

static void
setup(void)
{
    if (test_services_count == 0)
        ck_assert(test_module_load("index-btree"));
    io = lk_io_sim_create(5);
    arena = lk_arena_create(NULL, 0);
    open_store();
    struct luma_store_col cols[2];
    memset(cols, 0, sizeof(cols));
    cols[0].id = 1, cols[0].type = luma_type(LUMA_TYPE_INT8);
    cols[1].id = 2, cols[1].type = luma_type(LUMA_TYPE_TEXT);
    struct luma_store_index_col pk = {1, 0};
    struct luma_store_index index = {.id = PK, .kind = "btree", .unique = true, .primary = true};
    index.cols_count = 1;
    index.cols = &pk;
    struct luma_store_coll def = {.id = COLL, .cols_count = 2, .cols = cols, .indexes_count = 1};
    def.indexes = &index;
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(lk_store_define(&c.ctx, txn, &def), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.commit(&c.ctx, txn), LUMA_OK);
}

static void
teardown(void)
{
    lk_store_close(store);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

static luma_rc
insert(struct luma_ctx *ctx, struct luma_txn *txn, int64_t key, const char *text,
       enum luma_conflict_mode mode, int64_t *out_rowid)
{
    struct luma_coll *h = NULL;
    struct luma_vec cols[2];
    struct luma_str str = luma_str_make(text, (uint32_t)strlen(text));
    struct luma_insert_opts opts = {.conflict = mode};
    int64_t conflict = -1;
    memset(cols, 0, sizeof(cols));
    cols[0].type = luma_type(LUMA_TYPE_INT8);
    cols[0].phys = LUMA_PHYS_I64;
    cols[0].data = &key;
    cols[1].type = luma_type(LUMA_TYPE_TEXT);
    cols[1].phys = LUMA_PHYS_STR;
    cols[1].data = &str;
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 2, .cols = cols};
    LUMA_TRY(lk_store_host.open(ctx, txn, COLL, &h));
    luma_rc rc = lk_store_host.insert(ctx, txn, h, &batch, &opts, out_rowid, &conflict);
    lk_store_host.close(h);
    lk_txn_host.command_end(txn);
    return rc;
}

/* Row id of a key as txn sees it, -1: none. */
static int64_t
find(struct luma_ctx *ctx, struct luma_txn *txn, int64_t key)
{
    struct luma_coll *h = NULL;
    struct luma_value value, out;
    static const uint32_t cols[1] = {2};
    int64_t rowid = -1;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = key;
    ck_assert_int_eq(lk_store_host.open(ctx, txn, COLL, &h), LUMA_OK);
    ck_assert_int_eq(lk_store_host.get(ctx, txn, h, PK, &value, 1, cols, 1, arena, &out, &rowid),
                     LUMA_OK);
    lk_store_host.close(h);
    return rowid;
}

static luma_rc
lock(struct luma_ctx *ctx, struct luma_txn *txn, int64_t rowid, enum luma_lock_wait wait,
     enum luma_lock_result *result)
{
    struct luma_coll *h = NULL;
    LUMA_TRY(lk_store_host.open(ctx, txn, COLL, &h));
    luma_rc rc = lk_store_host.lock(ctx, txn, h, &rowid, 1, LUMA_LOCK_UPDATE, wait, result);
    lk_store_host.close(h);
    return rc;
}

static luma_rc
delete_row(struct luma_ctx *ctx, struct luma_txn *txn, int64_t rowid)
{
    struct luma_coll *h = NULL;
    enum luma_lock_result result = LUMA_ROW_GONE;
    LUMA_TRY(lock(ctx, txn, rowid, LUMA_LOCK_WAIT, &result));
    ck_assert_int_eq(result, LUMA_ROW_LOCKED);
    LUMA_TRY(lk_store_host.open(ctx, txn, COLL, &h));
    luma_rc rc = lk_store_host.remove(ctx, txn, h, &rowid, 1);
    lk_store_host.close(h);
    lk_txn_host.command_end(txn);
    return rc;
}

static void
commit(struct luma_txn *txn)
{
    lk_ctx_init(&c, arena);
    ck_assert_msg(lk_txn_host.commit(&c.ctx, txn) == LUMA_OK, "%s", c.error.message);
}

static void
put(int64_t key)
{
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(
        insert(&c.ctx, txn, key, "a text that is not inline", LUMA_CONFLICT_FAIL, NULL), LUMA_OK);
    commit(txn);
}

START_TEST(a_snapshot_stays_and_the_first_updater_wins)
{
    put(1);
    struct luma_txn *old = begin(LUMA_REPEATABLE_READ);
    int64_t rowid = find(&c.ctx, old, 1);
    ck_assert_int_ge(rowid, 0);
    struct luma_txn *other = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(delete_row(&c.ctx, other, rowid), LUMA_OK);
    ck_assert_int_eq(find(&c.ctx, other, 1), -1);
    ck_assert_int_eq(find(&c.ctx, old, 1), rowid);
    commit(other);
    ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.statement_begin(&c.ctx, old), LUMA_OK);
    ck_assert_int_eq(find(&c.ctx, old, 1), rowid);
    enum luma_lock_result result;
    ck_assert_int_eq(lock(&c.ctx, old, rowid, LUMA_LOCK_WAIT, &result), LUMA_E_CONFLICT);
    ck_assert_str_eq(c.error.sqlstate, "40001");
    lk_txn_host.rollback(old);
}
END_TEST

START_TEST(savepoints_take_back_their_part)
{
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    uint64_t savepoint = 0;
    ck_assert_int_eq(insert(&c.ctx, txn, 1, "kept", LUMA_CONFLICT_FAIL, NULL), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.savepoint(&c.ctx, txn, &savepoint), LUMA_OK);
    ck_assert_int_eq(delete_row(&c.ctx, txn, find(&c.ctx, txn, 1)), LUMA_OK);
    ck_assert_int_eq(insert(&c.ctx, txn, 2, "taken back", LUMA_CONFLICT_FAIL, NULL), LUMA_OK);
    ck_assert_int_eq(find(&c.ctx, txn, 1), -1);
    ck_assert_int_eq(lk_txn_host.rollback_to(&c.ctx, txn, savepoint), LUMA_OK);
    ck_assert_int_ge(find(&c.ctx, txn, 1), 0);
    ck_assert_int_eq(find(&c.ctx, txn, 2), -1);
    commit(txn);
    lk_store_close(store);
    open_store();
    txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_ge(find(&c.ctx, txn, 1), 0);
    ck_assert_int_eq(find(&c.ctx, txn, 2), -1);
    lk_txn_host.rollback(txn);
}
END_TEST

START_TEST(keys_are_unique_and_conflicts_are_told)
{
    int64_t rowid = 0;
    put(7);
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(insert(&c.ctx, txn, 7, "x", LUMA_CONFLICT_SKIP, &rowid), LUMA_OK);
    ck_assert_int_eq(rowid, -1);
    ck_assert_int_eq(insert(&c.ctx, txn, 7, "x", LUMA_CONFLICT_FAIL, NULL), LUMA_E_UNIQUE);
    ck_assert_str_eq(c.error.sqlstate, "23505");
    ck_assert_str_eq(c.error.constraint, "2001");
    lk_txn_host.rollback(txn);
    /* A deleted key is free again, in the same transaction too. */
    txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(delete_row(&c.ctx, txn, find(&c.ctx, txn, 7)), LUMA_OK);
    ck_assert_int_eq(insert(&c.ctx, txn, 7, "again", LUMA_CONFLICT_FAIL, &rowid), LUMA_OK);
    commit(txn);
    txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(find(&c.ctx, txn, 7), rowid);
    lk_txn_host.rollback(txn);
}
END_TEST

START_TEST(waits_end_by_timeout_nowait_or_skip)
{
    put(1);
    struct luma_txn *a = begin(LUMA_READ_COMMITTED);
    int64_t rowid = find(&c.ctx, a, 1);
    enum luma_lock_result result;
    ck_assert_int_eq(lock(&c.ctx, a, rowid, LUMA_LOCK_WAIT, &result), LUMA_OK);
    struct luma_txn *b = begin(LUMA_READ_COMMITTED);
    ck_assert_int_eq(lock(&c.ctx, b, rowid, LUMA_LOCK_SKIP, &result), LUMA_OK);
    ck_assert_int_eq(result, LUMA_ROW_SKIPPED);
    ck_assert_int_eq(lock(&c.ctx, b, rowid, LUMA_LOCK_NOWAIT, &result), LUMA_E_LOCKED);
    ck_assert_str_eq(c.error.sqlstate, "55P03");
    lk_txn_host.rollback(a);
    lk_ctx_init(&c, arena);
    ck_assert_int_eq(lock(&c.ctx, b, rowid, LUMA_LOCK_NOWAIT, &result), LUMA_OK);
    lk_txn_host.rollback(b);
}
END_TEST

struct other {
    pthread_t thread;
    struct luma_txn *txn;
    int64_t rowid;
    luma_rc rc;
};

static void *
lock_other(void *arg)
{
    struct other *o = arg;
    struct luma_arena *own = lk_arena_create(NULL, 0);
    struct lk_ctx ctx;
    enum luma_lock_result result;
    lk_ctx_init(&ctx, own);
    o->rc = lock(&ctx.ctx, o->txn, o->rowid, LUMA_LOCK_WAIT, &result);
    if (o->rc == LUMA_OK)
        o->rc = lk_txn_host.commit(&ctx.ctx, o->txn);
    else
        lk_txn_host.rollback(o->txn);
    lk_arena_destroy(own);
    return NULL;
}

START_TEST(one_of_a_cycle_is_the_victim)
{
    put(1);
    put(2);
    struct luma_txn *a = begin(LUMA_READ_COMMITTED), *b = begin(LUMA_READ_COMMITTED);
    int64_t one = find(&c.ctx, a, 1), two = find(&c.ctx, a, 2);
    enum luma_lock_result result;
    ck_assert_int_eq(lock(&c.ctx, a, one, LUMA_LOCK_WAIT, &result), LUMA_OK);
    ck_assert_int_eq(lock(&c.ctx, b, two, LUMA_LOCK_WAIT, &result), LUMA_OK);
    struct other other = {.txn = b, .rowid = one};
    ck_assert_int_eq(pthread_create(&other.thread, NULL, lock_other, &other), 0);
    lk_ctx_init(&c, arena);
    luma_rc rc = lock(&c.ctx, a, two, LUMA_LOCK_WAIT, &result);
    if (rc == LUMA_OK)
        commit(a);
    else
        lk_txn_host.rollback(a);
    pthread_join(other.thread, NULL);
    ck_assert((rc == LUMA_E_DEADLOCK) != (other.rc == LUMA_E_DEADLOCK));
    ck_assert(rc == LUMA_OK || other.rc == LUMA_OK);
}
END_TEST

START_TEST(a_full_disk_loses_nothing)
{
    char text[3000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    lk_io_sim_set_capacity(io, 400u << 10);
    int64_t key = 1;
    luma_rc rc = LUMA_OK;
    while (key < 5000) {
        struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
        rc = insert(&c.ctx, txn, key, text, LUMA_CONFLICT_FAIL, NULL);
        if (rc != LUMA_OK) {
            lk_txn_host.rollback(txn);
            break;
        }
        rc = lk_txn_host.commit(&c.ctx, txn);
        if (rc != LUMA_OK)
            break;
        key++;
        if (key % 40 == 0 && (rc = lk_store_checkpoint(&c.ctx, store)) != LUMA_OK)
            break;
    }
    ck_assert_int_eq(rc, LUMA_E_FULL);
    ck_assert_str_eq(c.error.sqlstate, "53100");
    ck_assert_int_gt(key, 10);
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    for (int64_t k = 1; k < key; k++)
        ck_assert_int_ge(find(&c.ctx, txn, k), 0);
    lk_txn_host.rollback(txn);
    lk_io_sim_set_capacity(io, 0);
    lk_ctx_init(&c, arena);
    ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    put(10000);
    lk_store_close(store);
    open_store();
    txn = begin(LUMA_READ_COMMITTED);
    for (int64_t k = 1; k < key; k++)
        ck_assert_int_ge(find(&c.ctx, txn, k), 0);
    ck_assert_int_ge(find(&c.ctx, txn, 10000), 0);
    lk_txn_host.rollback(txn);
}
END_TEST

START_TEST(a_damaged_segment_is_named_and_the_rest_goes_on)
{
    struct luma_txn *txn = begin(LUMA_READ_COMMITTED);
    for (int64_t k = 1; k <= 400; k++)
        ck_assert_int_eq(
            insert(&c.ctx, txn, k, "a text that is not inline", LUMA_CONFLICT_FAIL, NULL), LUMA_OK);
    commit(txn);
    ck_assert_int_eq(lk_store_checkpoint(&c.ctx, store), LUMA_OK);
    put(1000);
    lk_store_close(store);
    const char *const *names = NULL;
    size_t count = 0;
    char path[128] = "";
    uint64_t bytes = 0;
    ck_assert_int_eq(lk_io_list_sorted(&c.ctx, io, "/data", arena, &names, &count), LUMA_OK);
    for (size_t i = 0; i < count; i++)
        if (strstr(names[i], ".segment") != NULL)
            snprintf(path, sizeof(path), "/data/%s", names[i]);
    struct lk_io_stat stat;
    ck_assert_int_eq(lk_io_stat(&c.ctx, io, path, &stat), LUMA_OK);
    bytes = stat.bytes;
    ck_assert(lk_io_sim_corrupt(io, path, bytes - 20, 1)); /* of its footer */
    open_store();
    txn = begin(LUMA_READ_COMMITTED);
    ck_assert_int_ge(find(&c.ctx, txn, 1000), 0);
    struct luma_coll *h = NULL;
    struct luma_value value, out;
    static const uint32_t cols[1] = {2};
    int64_t rowid = -1;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = 5;
    ck_assert_int_eq(lk_store_host.open(&c.ctx, txn, COLL, &h), LUMA_OK);
    ck_assert_int_eq(lk_store_host.get(&c.ctx, txn, h, PK, &value, 1, cols, 1, arena, &out, &rowid),
                     LUMA_E_CORRUPT);
    ck_assert_str_eq(c.error.sqlstate, "XX001");
    ck_assert_ptr_nonnull(strstr(c.error.message, strrchr(path, '/') + 1));
    lk_store_host.close(h);
    lk_txn_host.rollback(txn);
    put(1001);
    lk_ctx_init(&c, arena);
    ck_assert_msg(lk_store_checkpoint(&c.ctx, store) == LUMA_OK, "%s", c.error.message);
}
END_TEST

int
main(void)
{
    test_quiet();
    TCase *tc = tcase_create("txn");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_snapshot_stays_and_the_first_updater_wins);
    tcase_add_test(tc, savepoints_take_back_their_part);
    tcase_add_test(tc, keys_are_unique_and_conflicts_are_told);
    tcase_add_test(tc, waits_end_by_timeout_nowait_or_skip);
    tcase_add_test(tc, one_of_a_cycle_is_the_victim);
    tcase_add_test(tc, a_full_disk_loses_nothing);
    tcase_add_test(tc, a_damaged_segment_is_named_and_the_rest_goes_on);
    return test_run("txn", tc);
}
