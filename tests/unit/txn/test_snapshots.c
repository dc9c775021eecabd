/*
 * Old snapshots beside writers, checkpoints and merges: each goes on seeing exactly its versions,
 * and keeps no more than one of a row, in memory, in segments and in indexes.
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

#define ROWS    2000
#define WRITERS 2
#define READERS 4
#define COLL    1001
#define PK      2001
#define BY_V    2002

static struct lk_store *store;
static _Atomic bool stop;
static _Atomic uint64_t looks, snapshots_taken;
static char dir[64];

static void
fatal(const char *what, const struct lk_ctx *c)
{
    fprintf(stderr, "%s: %s\n", what, c->error.message);
    abort();
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
define(struct luma_ctx *ctx)
{
    struct luma_txn *txn = NULL;
    struct luma_store_col cols[2];
    memset(cols, 0, sizeof(cols));
    for (uint32_t i = 0; i < 2; i++) {
        cols[i].id = i + 1;
        cols[i].type = luma_type(LUMA_TYPE_INT8);
    }
    struct luma_store_index_col pk = {1, 0}, by_v = {2, 0};
    struct luma_store_index indexes[2] = {
        {.id = PK, .kind = "btree", .unique = true, .primary = true, .cols_count = 1, .cols = &pk},
        {.id = BY_V, .kind = "btree", .cols_count = 1, .cols = &by_v},
    };
    struct luma_store_coll def = {.id = COLL, .cols_count = 2, .cols = cols, .indexes_count = 2};
    def.indexes = indexes;
    LUMA_TRY(lk_txn_host.begin(ctx, NULL, &txn));
    luma_rc rc = lk_store_define(ctx, txn, &def);
    if (rc != LUMA_OK) {
        lk_txn_host.rollback(txn);
        return rc;
    }
    return lk_txn_host.commit(ctx, txn);
}

static void
vec_of(struct luma_vec *vec, int64_t *data)
{
    memset(vec, 0, sizeof(*vec));
    vec->type = luma_type(LUMA_TYPE_INT8);
    vec->phys = LUMA_PHYS_I64;
    vec->data = data;
}

static luma_rc
insert_one(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t key, int64_t v)
{
    struct luma_vec cols[2];
    vec_of(&cols[0], &key);
    vec_of(&cols[1], &v);
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 2, .cols = cols};
    return lk_store_host.insert(ctx, txn, h, &batch, NULL, NULL, NULL);
}

/* The row of a key gets another value; now and then it is a new row. */
static luma_rc
set_one(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t key, int64_t v,
        bool anew)
{
    static const uint32_t cols[1] = {2};
    struct luma_value k = int8_value(key), was;
    struct luma_vec vec;
    int64_t rowid = -1;
    enum luma_lock_result result;
    LUMA_TRY(lk_store_host.get(ctx, txn, h, PK, &k, 1, cols, 1, ctx->arena, &was, &rowid));
    if (rowid < 0)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "key %lld is not there", (long long)key);
    LUMA_TRY(lk_store_host.lock(ctx, txn, h, &rowid, 1,
                                anew ? LUMA_LOCK_UPDATE : LUMA_LOCK_NO_KEY_UPDATE, LUMA_LOCK_WAIT,
                                &result));
    if (result == LUMA_ROW_GONE) /* another has made it anew */
        return LUMA_OK;
    vec_of(&vec, &v);
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 1, .cols = &vec};
    if (!anew)
        return lk_store_host.update(ctx, txn, h, &rowid, 1, cols, &batch);
    LUMA_TRY(lk_store_host.remove(ctx, txn, h, &rowid, 1));
    lk_txn_host.command_end(txn);
    return insert_one(ctx, txn, h, key, v);
}

/* Changes about `percent` of all rows, in one transaction. */
static void
change_some(struct lk_rand *r, struct luma_arena *arena, uint32_t percent)
{
    struct lk_ctx c;
    struct luma_txn *txn = NULL;
    struct luma_coll *h = NULL;
    arena->reset(arena);
    lk_ctx_init(&c, arena);
    luma_rc rc = lk_txn_host.begin(&c.ctx, NULL, &txn);
    if (rc == LUMA_OK)
        rc = lk_store_host.open(&c.ctx, txn, COLL, &h);
    for (int64_t key = 0; rc == LUMA_OK && key < ROWS; key++) {
        if (!lk_rand_percent(r, percent))
            continue;
        rc = lk_txn_host.statement_begin(&c.ctx, txn);
        if (rc == LUMA_OK)
            rc = set_one(&c.ctx, txn, h, key, (int64_t)lk_rand_below(r, 1000000),
                         lk_rand_percent(r, 5));
    }
    lk_store_host.close(h);
    if (rc == LUMA_OK)
        rc = lk_txn_host.commit(&c.ctx, txn);
    else
        lk_txn_host.rollback(txn);
    if (rc != LUMA_OK && rc != LUMA_E_DEADLOCK)
        fatal("a change", &c);
}

/* --- snapshots --- */

struct snapshot {
    struct luma_txn *txn;
    int64_t seen[ROWS];
};

static void
read_all(struct luma_txn *txn, bool by_index, int64_t *out)
{
    static const uint32_t cols[2] = {1, 2};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct luma_coll *h = NULL;
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    struct lk_ctx c;
    uint32_t rows = 0;
    lk_ctx_init(&c, arena);
    luma_rc rc = lk_txn_host.statement_begin(&c.ctx, txn);
    if (rc == LUMA_OK)
        rc = lk_store_host.open(&c.ctx, txn, COLL, &h);
    if (rc == LUMA_OK && by_index) {
        rc = lk_store_host.index_scan(&c.ctx, txn, h, BY_V, NULL, &spec, &cursor);
    } else if (rc == LUMA_OK) {
        rc = lk_store_host.scan_open(&c.ctx, txn, h, &spec, &scan);
        if (rc == LUMA_OK)
            rc = lk_store_host.cursor_open(&c.ctx, scan, &cursor);
    }
    for (int64_t i = 0; i < ROWS; i++)
        out[i] = -1;
    while (rc == LUMA_OK) {
        rc = lk_store_host.cursor_next(&c.ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row) {
            int64_t key = *(const int64_t *)luma_vec_at(&batch->cols[0], row);
            if (key < 0 || key >= ROWS || out[key] != -1) {
                fprintf(stderr, "key %lld twice, or never written\n", (long long)key);
                abort();
            }
            out[key] = *(const int64_t *)luma_vec_at(&batch->cols[1], row);
            rows++;
        }
    }
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    lk_store_host.close(h);
    lk_arena_destroy(arena);
    if (rc != LUMA_OK)
        fatal("reading", &c);
    if (rows != ROWS) {
        fprintf(stderr, "%u rows of %d\n", rows, ROWS);
        abort();
    }
    atomic_fetch_add(&looks, 1);
}

static void
snapshot_take(struct snapshot *s)
{
    struct lk_ctx c;
    struct luma_txn_opts opts = {.isolation = LUMA_REPEATABLE_READ, .read_only = true};
    lk_ctx_init(&c, NULL);
    if (lk_txn_host.begin(&c.ctx, &opts, &s->txn) != LUMA_OK)
        fatal("begin", &c);
    read_all(s->txn, false, s->seen);
    atomic_fetch_add(&snapshots_taken, 1);
}

static void
snapshot_check(struct snapshot *s, bool by_index)
{
    int64_t now[ROWS];
    read_all(s->txn, by_index, now);
    for (int i = 0; i < ROWS; i++) {
        if (now[i] == s->seen[i])
            continue;
        fprintf(stderr, "by %s: key %d was %lld for this snapshot and is %lld\n",
                by_index ? "index" : "scan", i, (long long)s->seen[i], (long long)now[i]);
        abort();
    }
}

static void
snapshot_end(struct snapshot *s)
{
    lk_txn_host.rollback(s->txn);
    s->txn = NULL;
}

/* --- the store --- */

static void
store_begin(uint64_t hot_bytes)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_store_conf conf;
    struct lk_ctx c;
    struct luma_txn *txn = NULL;
    struct luma_coll *h = NULL;
    snprintf(dir, sizeof(dir), "/tmp/luma-snapshots-%d", (int)getpid());
    ck_assert(test_module_load("index-btree"));
    lk_store_conf_default(&conf);
    conf.io = lk_io_posix();
    conf.dir = dir;
    conf.services = &test_host_services;
    conf.wal_file_bytes = 1u << 20;
    conf.small_bytes = 8u << 10;
    conf.cache_bytes = 16u << 20;
    conf.hot_bytes = hot_bytes;
    lk_ctx_init(&c, arena);
    ck_assert_msg(lk_store_open(&c.ctx, &conf, &store) == LUMA_OK, "%s", c.error.message);
    ck_assert_int_eq(define(&c.ctx), LUMA_OK);
    ck_assert_int_eq(lk_txn_host.begin(&c.ctx, NULL, &txn), LUMA_OK);
    ck_assert_int_eq(lk_store_host.open(&c.ctx, txn, COLL, &h), LUMA_OK);
    for (int64_t i = 0; i < ROWS; i++)
        ck_assert_int_eq(insert_one(&c.ctx, txn, h, i, i), LUMA_OK);
    lk_store_host.close(h);
    ck_assert_int_eq(lk_txn_host.commit(&c.ctx, txn), LUMA_OK);
    lk_arena_destroy(arena);
}

static void
store_end(void)
{
    char command[128];
    lk_store_close(store);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void
checkpoint(void)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    if (lk_store_checkpoint(&c.ctx, store) != LUMA_OK)
        fatal("checkpoint", &c);
}

static void
merge_all(void)
{
    struct lk_ctx c;
    for (bool work = true; work;) {
        lk_ctx_init(&c, NULL);
        if (lk_store_merge(&c.ctx, store, &work) != LUMA_OK)
            fatal("merge", &c);
    }
}

struct kept {
    uint64_t hot_rows, hot_tables, segments, rows, entries;
};

static bool
part_count(void *arg, const struct luma_store_part *part)
{
    struct kept *kept = arg;
    if (part->coll_id != COLL)
        return true;
    if (strcmp(part->kind, "hot") == 0) {
        kept->hot_tables++;
        kept->hot_rows += part->rows;
    } else if (strcmp(part->kind, "segment") == 0) {
        kept->segments++;
        kept->rows += part->rows;
    } else if (strcmp(part->kind, "index run") == 0 && part->index_id == BY_V) {
        kept->entries += part->rows;
    }
    return true;
}

static struct kept
what_is_kept(void)
{
    struct kept kept = {0};
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_store_host.parts(&c.ctx, part_count, &kept), LUMA_OK);
    return kept;
}

/* --- one thread: what is kept --- */

static void
rounds(struct lk_rand *r, struct luma_arena *arena, int count)
{
    for (int i = 0; i < count; i++) {
        change_some(r, arena, 40);
        checkpoint();
        merge_all();
    }
}

START_TEST(an_old_snapshot_keeps_one_version_of_a_row)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct snapshot *first = calloc(1, sizeof(*first)), *second = calloc(1, sizeof(*second));
    struct lk_rand r;
    lk_rand_init(&r, 11);
    store_begin(64u << 20);
    checkpoint();
    change_some(&r, arena, 40);
    snapshot_take(first);
    rounds(&r, arena, 15);
    snapshot_check(first, false);
    snapshot_take(second);
    rounds(&r, arena, 15);
    for (int by_index = 0; by_index < 2; by_index++) {
        snapshot_check(first, by_index);
        snapshot_check(second, by_index);
    }
    /* One for each snapshot and one for today, as often again for what merges have not met yet. */
    struct kept kept = what_is_kept();
    ck_assert_uint_le(kept.rows, 6 * ROWS);
    ck_assert_uint_le(kept.entries, 8 * ROWS);
    ck_assert_uint_le(kept.segments, 10);
    ck_assert_uint_le(kept.hot_rows, 2 * ROWS);
    ck_assert_uint_le(kept.hot_tables, 3);
    snapshot_end(first);
    rounds(&r, arena, 4);
    snapshot_check(second, true);
    snapshot_check(second, false);
    snapshot_end(second);
    rounds(&r, arena, 4);
    kept = what_is_kept();
    ck_assert_uint_le(kept.rows, 3 * ROWS);
    ck_assert_uint_le(kept.segments, 5);
    ck_assert_uint_eq(kept.hot_rows, 0);
    ck_assert_uint_eq(kept.hot_tables, 1);
    store_end();
    free(first);
    free(second);
    lk_arena_destroy(arena);
}
END_TEST

/* What is read of it was never written to a segment, and is not all of what was in memory. */
START_TEST(what_a_snapshot_sees_in_memory_stays_and_the_rest_goes)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct snapshot *s = calloc(1, sizeof(*s));
    struct lk_rand r;
    lk_rand_init(&r, 12);
    store_begin(64u << 20);
    checkpoint();
    change_some(&r, arena, 10);
    snapshot_take(s);
    change_some(&r, arena, 100);
    checkpoint();
    struct kept kept = what_is_kept();
    ck_assert_uint_ge(kept.hot_rows, ROWS / 20);
    ck_assert_uint_le(kept.hot_rows, ROWS / 5);
    snapshot_check(s, false);
    checkpoint();
    ck_assert_uint_eq(what_is_kept().hot_rows, kept.hot_rows);
    snapshot_check(s, true);
    snapshot_end(s);
    ck_assert(!lk_store_sweep(store));
    kept = what_is_kept();
    ck_assert_uint_eq(kept.hot_rows, 0);
    ck_assert_uint_eq(kept.hot_tables, 1);
    store_end();
    free(s);
    lk_arena_destroy(arena);
}
END_TEST

/* --- threads --- */

static void *
writer(void *arg)
{
    struct lk_rand r;
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    lk_rand_init(&r, (uint64_t)(uintptr_t)arg);
    while (!atomic_load(&stop))
        change_some(&r, arena, 1 + (uint32_t)lk_rand_below(&r, 3));
    lk_arena_destroy(arena);
    return NULL;
}

/* Snapshots of all ages: most end soon, some stay to the end. */
static void *
reader(void *arg)
{
    struct lk_rand r;
    struct snapshot *s = calloc(1, sizeof(*s));
    lk_rand_init(&r, 100 + (uint64_t)(uintptr_t)arg);
    while (!atomic_load(&stop)) {
        snapshot_take(s);
        uint64_t life = lk_rand_below(&r, lk_rand_percent(&r, 30) ? 200 : 10);
        for (uint64_t i = 0; i <= life && !atomic_load(&stop); i++) {
            usleep((useconds_t)lk_rand_below(&r, 3000));
            snapshot_check(s, lk_rand_percent(&r, 50));
        }
        snapshot_check(s, false);
        snapshot_end(s);
    }
    free(s);
    return NULL;
}

static void *
background(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        checkpoint();
        merge_all();
        (void)lk_store_sweep(store);
        usleep(1000);
    }
    return NULL;
}

START_TEST(snapshots_of_all_ages_see_their_versions)
{
    pthread_t threads[WRITERS + READERS + 1];
    uintptr_t n = 0;
    store_begin(1u << 20);
    atomic_store(&stop, false);
    atomic_store(&looks, 0);
    for (uintptr_t i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[n++], NULL, writer, (void *)(i + 1)), 0);
    for (uintptr_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[n++], NULL, reader, (void *)(i + 1)), 0);
    ck_assert_int_eq(pthread_create(&threads[n++], NULL, background, NULL), 0);
    usleep(2500000);
    atomic_store(&stop, true);
    for (uintptr_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    printf("%llu snapshots, read %llu times\n", (unsigned long long)snapshots_taken,
           (unsigned long long)looks);
    ck_assert_uint_gt(looks, 20);
    store_end();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("snapshots");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, an_old_snapshot_keeps_one_version_of_a_row);
    tcase_add_test(tc, what_a_snapshot_sees_in_memory_stays_and_the_rest_goes);
    tcase_add_test(tc, snapshots_of_all_ages_see_their_versions);
    return test_run("snapshots", tc);
}
