/*
 * Transactions of several threads at once on real files: sums stay what they are, nothing is seen
 * half, deadlocks are found, unique keys stay unique, while checkpoints and merges go on.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/io.h"
#include "storage/store.h"

#define ACCOUNTS 60
#define THREADS  6
#define BALANCE  1000
#define COLL     1001
#define PK       2001

static struct lk_store *store;
static _Atomic bool stop;
static _Atomic uint64_t commits, conflicts, deadlocks, checks, duplicates;
static char dir[64];

static void
conf_make(struct lk_store_conf *conf)
{
    lk_store_conf_default(conf);
    conf->io = lk_io_posix();
    conf->dir = dir;
    conf->services = &test_host_services;
    conf->wal_file_bytes = 1u << 20;
    conf->small_bytes = 8u << 10;
    conf->cache_bytes = 16u << 20;
}

static luma_rc
define(struct luma_ctx *ctx)
{
    struct luma_txn *txn = NULL;
    struct luma_store_col cols[2];
    memset(cols, 0, sizeof(cols));
    cols[0].id = 1, cols[0].type = luma_type(LUMA_TYPE_INT8);
    cols[1].id = 2, cols[1].type = luma_type(LUMA_TYPE_INT8);
    struct luma_store_index_col pk = {1, 0};
    struct luma_store_index index = {.id = PK, .kind = "btree", .unique = true, .primary = true};
    index.cols_count = 1;
    index.cols = &pk;
    struct luma_store_coll def = {.id = COLL, .cols_count = 2, .cols = cols, .indexes_count = 1};
    def.indexes = &index;
    LUMA_TRY(lk_txn_host.begin(ctx, NULL, &txn));
    luma_rc rc = lk_store_define(ctx, txn, &def);
    if (rc != LUMA_OK) {
        lk_txn_host.rollback(txn);
        return rc;
    }
    return lk_txn_host.commit(ctx, txn);
}

static struct luma_value
int8_value(int64_t v)
{
    struct luma_value value;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = v;
    return value;
}

static luma_rc
insert_one(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t key, int64_t v)
{
    struct luma_vec cols[2];
    memset(cols, 0, sizeof(cols));
    for (int i = 0; i < 2; i++) {
        cols[i].type = luma_type(LUMA_TYPE_INT8);
        cols[i].phys = LUMA_PHYS_I64;
    }
    cols[0].data = &key;
    cols[1].data = &v;
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 2, .cols = cols};
    return lk_store_host.insert(ctx, txn, h, &batch, NULL, NULL, NULL);
}

/* Adds delta to an account: find, lock, read the newest, write. */
static luma_rc
add(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t key, int64_t delta)
{
    static const uint32_t cols[1] = {2};
    struct luma_value k = int8_value(key), v;
    int64_t rowid = -1;
    enum luma_lock_result result;
    LUMA_TRY(lk_store_host.get(ctx, txn, h, PK, &k, 1, cols, 1, ctx->arena, &v, &rowid));
    if (rowid < 0)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "account %lld is not there", (long long)key);
    LUMA_TRY(lk_store_host.lock(ctx, txn, h, &rowid, 1, LUMA_LOCK_NO_KEY_UPDATE, LUMA_LOCK_WAIT,
                                &result));
    if (result == LUMA_ROW_GONE)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "account %lld has gone", (long long)key);
    struct luma_batch got;
    int32_t found = -1;
    LUMA_TRY(lk_store_host.fetch(ctx, txn, h, &rowid, 1, cols, 1, true, ctx->arena, &got, &found));
    if (found < 0)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "locked account %lld is not there", (long long)key);
    int64_t sum = *(const int64_t *)luma_vec_at(&got.cols[0], 0) + delta;
    struct luma_vec vec;
    memset(&vec, 0, sizeof(vec));
    vec.type = luma_type(LUMA_TYPE_INT8);
    vec.phys = LUMA_PHYS_I64;
    vec.data = &sum;
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 1, .cols = &vec};
    return lk_store_host.update(ctx, txn, h, &rowid, 1, cols, &batch);
}

static luma_rc
total(struct luma_ctx *ctx, struct luma_txn *txn, int64_t *out_sum, uint32_t *out_rows)
{
    static const uint32_t cols[2] = {1, 2};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_coll *h = NULL;
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    LUMA_TRY(lk_store_host.open(ctx, txn, COLL, &h));
    luma_rc rc = lk_store_host.scan_open(ctx, txn, h, &spec, &scan);
    if (rc == LUMA_OK)
        rc = lk_store_host.cursor_open(ctx, scan, &cursor);
    *out_sum = 0;
    *out_rows = 0;
    while (rc == LUMA_OK) {
        struct luma_batch *batch = NULL;
        rc = lk_store_host.cursor_next(ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row) {
            if (*(const int64_t *)luma_vec_at(&batch->cols[0], row) >= ACCOUNTS)
                continue;
            *out_sum += *(const int64_t *)luma_vec_at(&batch->cols[1], row);
            ++*out_rows;
        }
    }
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    lk_store_host.close(h);
    return rc;
}

static void
fatal(const char *what, const struct lk_ctx *c)
{
    fprintf(stderr, "%s: %s\n", what, c->error.message);
    abort();
}

/* Moves money between two accounts; sometimes in an order that invites deadlocks. */
static luma_rc
transfer(struct luma_ctx *ctx, struct lk_rand *r, struct luma_txn *txn)
{
    struct luma_coll *h = NULL;
    int64_t from = (int64_t)lk_rand_below(r, ACCOUNTS), to = (int64_t)lk_rand_below(r, ACCOUNTS);
    int64_t amount = (int64_t)lk_rand_below(r, 50);
    if (from == to)
        return LUMA_OK;
    LUMA_TRY(lk_txn_host.statement_begin(ctx, txn));
    LUMA_TRY(lk_store_host.open(ctx, txn, COLL, &h));
    luma_rc rc = add(ctx, txn, h, from, -amount);
    if (rc == LUMA_OK)
        rc = lk_txn_host.statement_begin(ctx, txn);
    if (rc == LUMA_OK)
        rc = add(ctx, txn, h, to, amount);
    if (rc == LUMA_OK && lk_rand_percent(r, 20)) {
        /* A key that others propose too: at most one of them may have it. */
        rc = lk_txn_host.statement_begin(ctx, txn);
        if (rc == LUMA_OK)
            rc = insert_one(ctx, txn, h, 1000 + (int64_t)lk_rand_below(r, 400), 0);
    }
    lk_store_host.close(h);
    return rc;
}

static void
worker_step(struct lk_ctx *c, struct lk_rand *r)
{
    struct luma_txn *txn = NULL;
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED};
    if (lk_rand_percent(r, 30))
        opts.isolation = lk_rand_percent(r, 50) ? LUMA_REPEATABLE_READ : LUMA_SERIALIZABLE;
    if (lk_txn_host.begin(&c->ctx, &opts, &txn) != LUMA_OK)
        fatal("begin", c);
    luma_rc rc;
    if (lk_rand_percent(r, 15)) {
        int64_t sum = 0;
        uint32_t rows = 0;
        rc = lk_txn_host.statement_begin(&c->ctx, txn);
        if (rc == LUMA_OK)
            rc = total(&c->ctx, txn, &sum, &rows);
        if (rc == LUMA_OK && (rows != ACCOUNTS || sum != (int64_t)ACCOUNTS * BALANCE)) {
            fprintf(stderr, "%u accounts with %lld in them\n", rows, (long long)sum);
            abort();
        }
        atomic_fetch_add(&checks, 1);
    } else {
        rc = transfer(&c->ctx, r, txn);
    }
    if (rc == LUMA_OK && lk_rand_percent(r, 90)) {
        rc = lk_txn_host.commit(&c->ctx, txn);
        if (rc != LUMA_OK && rc != LUMA_E_CONFLICT)
            fatal("commit", c);
        atomic_fetch_add(rc == LUMA_OK ? &commits : &conflicts, 1);
        return;
    }
    lk_txn_host.rollback(txn);
    if (rc == LUMA_E_CONFLICT)
        atomic_fetch_add(&conflicts, 1);
    else if (rc == LUMA_E_DEADLOCK)
        atomic_fetch_add(&deadlocks, 1);
    else if (rc == LUMA_E_UNIQUE)
        atomic_fetch_add(&duplicates, 1);
    else if (rc != LUMA_OK)
        fatal("a transfer", c);
}

static void *
worker(void *arg)
{
    struct lk_rand r;
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    lk_rand_init(&r, (uint64_t)(uintptr_t)arg);
    while (!atomic_load(&stop)) {
        struct lk_ctx c;
        arena->reset(arena);
        lk_ctx_init(&c, arena);
        worker_step(&c, &r);
    }
    lk_arena_destroy(arena);
    return NULL;
}

static void *
background(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct lk_ctx c;
        bool work = false;
        lk_ctx_init(&c, NULL);
        if (lk_store_checkpoint(&c.ctx, store) != LUMA_OK ||
            lk_store_merge(&c.ctx, store, &work) != LUMA_OK)
            fatal("background", &c);
        usleep(2000);
    }
    return NULL;
}

static void
run_threads(unsigned milliseconds)
{
    pthread_t threads[THREADS + 1];
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)), 0);
    ck_assert_int_eq(pthread_create(&threads[THREADS], NULL, background, NULL), 0);
    usleep(milliseconds * 1000);
    atomic_store(&stop, true);
    for (int i = 0; i <= THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void
check_total(void)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    struct luma_txn *txn = NULL;
    int64_t sum = 0;
    uint32_t rows = 0;
    lk_ctx_init(&c, arena);
    ck_assert_int_eq(lk_txn_host.begin(&c.ctx, NULL, &txn), LUMA_OK);
    ck_assert_int_eq(total(&c.ctx, txn, &sum, &rows), LUMA_OK);
    ck_assert_uint_eq(rows, ACCOUNTS);
    ck_assert_int_eq(sum, (int64_t)ACCOUNTS * BALANCE);
    lk_txn_host.rollback(txn);
    lk_arena_destroy(arena);
}

START_TEST(money_is_neither_made_nor_lost)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_store_conf conf;
    struct lk_ctx c;
    struct luma_txn *txn = NULL;
    struct luma_coll *h = NULL;
    snprintf(dir, sizeof(dir), "/tmp/luma-threads-%d", (int)getpid());
    ck_assert(test_module_load("index-btree"));
    conf_make(&conf);
    lk_ctx_init(&c, arena);
    ck_assert_msg(lk_store_open(&c.ctx, &conf, &store) == LUMA_OK, "%s", c.error.message);
    ck_assert_int_eq(define(&c.ctx), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.begin(&c.ctx, NULL, &txn), LUMA_OK);
    ck_assert_int_eq(lk_store_host.open(&c.ctx, txn, COLL, &h), LUMA_OK);
    for (int64_t i = 0; i < ACCOUNTS; i++)
        ck_assert_int_eq(insert_one(&c.ctx, txn, h, i, BALANCE), LUMA_OK);
    lk_store_host.close(h);
    ck_assert_int_eq(lk_txn_host.commit(&c.ctx, txn), LUMA_OK);

    for (int round = 0; round < 3; round++) {
        run_threads(700);
        check_total();
        lk_store_close(store);
        lk_ctx_init(&c, arena);
        ck_assert_msg(lk_store_check(&c.ctx, &conf, NULL) == LUMA_OK, "%s", c.error.message);
        ck_assert_msg(lk_store_open(&c.ctx, &conf, &store) == LUMA_OK, "%s", c.error.message);
        check_total();
    }
    printf("%llu commits, %llu conflicts, %llu deadlocks, %llu duplicates, %llu checks\n",
           (unsigned long long)commits, (unsigned long long)conflicts,
           (unsigned long long)deadlocks, (unsigned long long)duplicates,
           (unsigned long long)checks);
    ck_assert_uint_gt(commits, 100);
    ck_assert_uint_gt(checks, 10);
    lk_store_close(store);
    lk_arena_destroy(arena);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, money_is_neither_made_nor_lost);
    return test_run("threads", tc);
}
