/*
 * Ten thousand tasks wait for one row on four threads, and go on in the order they came.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/mem.h"
#include "io/io.h"
#include "sched/sched.h"
#include "storage/store.h"

#define COLL 1001
#ifdef __SANITIZE_THREAD__
#define WAITERS 1000 /* its maps of fibers' stacks are limited */
#else
#define WAITERS 10000
#endif

static struct lk_store *store;
static int64_t rowid;
static _Atomic uint32_t waiting, finished, failed;
static uint32_t order[WAITERS]; /* in which they got the row; it is theirs while they write here */
static uint32_t granted;

static void
need(luma_rc rc, const struct lk_ctx *c, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %d %s\n", what, rc, c->error.message);
    abort();
}

static void
row_make(struct lk_ctx *c)
{
    struct luma_txn *txn = NULL;
    struct luma_coll *h = NULL;
    struct luma_store_col col = {.id = 1, .type = luma_type(LUMA_TYPE_INT8)};
    struct luma_store_coll def = {.id = COLL, .cols_count = 1, .cols = &col};
    int64_t value = 0;
    struct luma_vec vec = {.type = col.type, .phys = LUMA_PHYS_I64, .data = &value};
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 1, .cols = &vec};
    need(lk_txn_host.begin(&c->ctx, NULL, &txn), c, "begin");
    need(lk_store_define(&c->ctx, txn, &def), c, "define");
    need(lk_store_host.open(&c->ctx, txn, COLL, &h), c, "open");
    need(lk_store_host.insert(&c->ctx, txn, h, &batch, NULL, &rowid, NULL), c, "insert");
    lk_store_host.close(h);
    need(lk_txn_host.commit(&c->ctx, txn), c, "commit");
}

static luma_rc
row_lock(struct lk_ctx *c, struct luma_txn *txn)
{
    struct luma_coll *h = NULL;
    enum luma_lock_result result;
    LUMA_TRY(lk_store_host.open(&c->ctx, txn, COLL, &h));
    luma_rc rc =
        lk_store_host.lock(&c->ctx, txn, h, &rowid, 1, LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT, &result);
    lk_store_host.close(h);
    return rc;
}

static void
waiter(void *arg)
{
    struct lk_ctx c;
    struct luma_txn *txn = NULL;
    lk_ctx_init(&c, NULL);
    luma_rc rc = lk_txn_host.begin(&c.ctx, NULL, &txn);
    atomic_fetch_add(&waiting, 1);
    if (rc == LUMA_OK)
        rc = row_lock(&c, txn);
    if (rc == LUMA_OK)
        order[granted++] = (uint32_t)(uintptr_t)arg;
    else
        atomic_fetch_add(&failed, 1);
    if (txn != NULL && lk_txn_host.commit(&c.ctx, txn) != LUMA_OK)
        atomic_fetch_add(&failed, 1);
    atomic_fetch_add(&finished, 1);
}

static bool
comes_to(_Atomic uint32_t *count, uint32_t wanted)
{
    for (int i = 0; i < 60000 && atomic_load(count) < wanted; i++)
        usleep(1000);
    return atomic_load(count) >= wanted;
}

static unsigned
threads_now(void)
{
    unsigned threads = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f) != NULL)
        (void)sscanf(line, "Threads: %u", &threads);
    fclose(f);
    return threads;
}

START_TEST(ten_thousand_wait_for_one_row)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_sched_conf sched;
    struct lk_store_conf conf;
    struct lk_ctx c;
    char dir[64], command[128];
    snprintf(dir, sizeof(dir), "/tmp/luma-waiters-%d", (int)getpid());
    lk_ctx_init(&c, arena);
    lk_sched_conf_default(&sched);
    sched.loops = sched.workers = 2;
    need(lk_sched_start(&c.ctx, &sched), &c, "scheduler");
    lk_store_conf_default(&conf);
    conf.io = lk_io_posix();
    conf.dir = dir;
    conf.services = &test_host_services;
    conf.sched = &lk_sched_host;
    conf.async = true;
    need(lk_store_open(&c.ctx, &conf, &store), &c, "store");
    row_make(&c);

    /* One holds the row; the rest come one after the other, so that their order is known. */
    struct luma_txn *holder = NULL;
    need(lk_txn_host.begin(&c.ctx, NULL, &holder), &c, "begin");
    need(row_lock(&c, holder), &c, "lock");
    unsigned before = threads_now();
    for (uint32_t i = 0; i < WAITERS; i++) {
        need(lk_sched_spawn_on_loop(0, "waiter", LUMA_STACK_SMALL, waiter, (void *)(uintptr_t)i),
             &c, "spawn");
    }
    ck_assert(comes_to(&waiting, WAITERS));
    usleep(100000);
    ck_assert_uint_eq(atomic_load(&finished), 0);
    ck_assert_uint_le(threads_now(), before); /* who waits holds no thread */
    need(lk_txn_host.commit(&c.ctx, holder), &c, "commit");
    ck_assert(comes_to(&finished, WAITERS));
    ck_assert_uint_eq(atomic_load(&failed), 0);
    ck_assert_uint_eq(granted, WAITERS);
    for (uint32_t i = 0; i < WAITERS; i++)
        ck_assert_uint_eq(order[i], i);
    usleep(50000);
    lk_sched_stop();
    lk_store_close(store);
    lk_arena_destroy(arena);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("waiters");
    if (!test_module_load("index-btree"))
        return EXIT_FAILURE;
    tcase_set_timeout(tc, 150);
    tcase_add_test(tc, ten_thousand_wait_for_one_row);
    return test_run("waiters", tc);
}
