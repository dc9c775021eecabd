/*
 * tests/bench/point.c - get by primary key through the kernel's functions, beside SQLite in process
 * on the same rows: point [ROWS [GETS [FOLDER]]]. Built on demand:
 *
 *   make tests/bench/point && LUMA_BUILD_DIR=. tests/bench/point 10000000
 *
 * Both read one row at random keys that are there, all columns, in one transaction, warm; each is
 * run three times in turn and the best counts.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/storage/segment/modules.h"
#include "base/mem.h"
#include "base/rand.h"
#include "data/data.h"
#include "io/io.h"
#include "storage/store.h"

#define COLL  1001
#define INDEX 2001
#define TURNS 3
#define BATCH 2048u
#define TEXT  24

static struct lk_ctx c;
static struct luma_arena *arena;

static void
must(luma_rc rc, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, c.error.message);
    exit(1);
}

static double
now_s(void)
{
    return (double)lk_io_now_ns(lk_io_posix()) / 1e9;
}

static size_t
text_of(int64_t key, char *out)
{
    return (size_t)snprintf(out, TEXT, "value %016llx",
                            (unsigned long long)lk_hash_u64((uint64_t)key));
}

/* --- LumaDB --- */

static struct lk_store *
store_open(const char *dir)
{
    static char path[512];
    struct lk_store_conf conf;
    struct lk_store *store = NULL;
    snprintf(path, sizeof(path), "%s/luma", dir);
    lk_store_conf_default(&conf);
    conf.io = lk_io_posix();
    conf.dir = path;
    conf.services = &test_host_services;
    conf.cache_bytes = 2ULL << 30;
    must(lk_store_open(&c.ctx, &conf, &store), "open");
    return store;
}

static struct luma_txn *
txn_begin(void)
{
    struct luma_txn *txn = NULL;
    must(lk_txn_host.begin(&c.ctx, NULL, &txn), "begin");
    must(lk_txn_host.statement_begin(&c.ctx, txn), "statement");
    return txn;
}

static void
define(void)
{
    struct luma_store_col cols[3];
    struct luma_store_index_col pk = {1, 0};
    struct luma_store_index index = {.id = INDEX, .kind = "btree", .unique = true, .primary = true};
    memset(cols, 0, sizeof(cols));
    for (uint32_t i = 0; i < 3; i++)
        cols[i].id = i + 1;
    cols[0].type = luma_type(LUMA_TYPE_INT8);
    cols[1].type = luma_type(LUMA_TYPE_INT4);
    cols[2].type = luma_type(LUMA_TYPE_TEXT);
    index.cols_count = 1;
    index.cols = &pk;
    struct luma_store_coll def = {.id = COLL, .cols_count = 3, .cols = cols};
    def.indexes_count = 1;
    def.indexes = &index;
    struct luma_txn *txn = txn_begin();
    must(lk_store_define(&c.ctx, txn, &def), "define");
    must(lk_txn_host.commit(&c.ctx, txn), "commit");
}

static void
batch_fill(struct luma_arena *room, struct luma_batch *batch, int64_t first, uint32_t n)
{
    memset(batch, 0, sizeof(*batch));
    batch->rows = batch->sel_rows = n;
    batch->cols_count = 3;
    batch->cols = LUMA_NEW_ARRAY(room, struct luma_vec, 3);
    luma_vec_init(&batch->cols[0], room, luma_type(LUMA_TYPE_INT8), n);
    luma_vec_init(&batch->cols[1], room, luma_type(LUMA_TYPE_INT4), n);
    luma_vec_init(&batch->cols[2], room, luma_type(LUMA_TYPE_TEXT), n);
    for (uint32_t i = 0; i < n; i++) {
        char text[TEXT];
        size_t bytes = text_of(first + i, text);
        ((int64_t *)batch->cols[0].data)[i] = first + i;
        ((int32_t *)batch->cols[1].data)[i] = (int32_t)((first + i) % 1000);
        ((struct luma_str *)batch->cols[2].data)[i] =
            luma_str_make(luma_arena_copy(room, text, bytes), (uint32_t)bytes);
    }
}

static void
luma_load(int64_t rows)
{
    struct luma_arena *room = lk_arena_create(NULL, 0);
    struct luma_txn *txn = txn_begin();
    struct luma_coll *coll = NULL;
    struct luma_bulk *bulk = NULL;
    must(lk_store_host.open(&c.ctx, txn, COLL, &coll), "coll");
    must(lk_store_host.bulk_open(&c.ctx, txn, coll, 1, &bulk), "bulk");
    for (int64_t at = 0; at < rows; at += BATCH) {
        struct luma_batch batch;
        room->reset(room);
        batch_fill(room, &batch, at, (uint32_t)LK_MIN((int64_t)BATCH, rows - at));
        must(lk_store_host.bulk_append(&c.ctx, bulk, 0, &batch), "append");
    }
    must(lk_store_host.bulk_finish(&c.ctx, bulk, NULL), "finish");
    lk_store_host.close(coll);
    must(lk_txn_host.commit(&c.ctx, txn), "commit");
    lk_arena_destroy(room);
}

static double
luma_gets(int64_t rows, int64_t gets, uint64_t seed)
{
    static const uint32_t cols[3] = {1, 2, 3};
    struct luma_txn *txn = txn_begin();
    struct luma_coll *coll = NULL;
    struct lk_rand r;
    int64_t sum = 0;
    lk_rand_init(&r, seed);
    must(lk_store_host.open(&c.ctx, txn, COLL, &coll), "coll");
    double begun = now_s();
    for (int64_t i = 0; i < gets; i++) {
        struct luma_value key, out[3];
        int64_t rowid = -1;
        memset(&key, 0, sizeof(key));
        key.type = luma_type(LUMA_TYPE_INT8);
        key.phys = LUMA_PHYS_I64;
        key.i64 = (int64_t)lk_rand_below(&r, (uint64_t)rows);
        arena->reset(arena);
        must(lk_store_host.get(&c.ctx, txn, coll, INDEX, &key, 1, cols, 3, arena, out, &rowid),
             "get");
        if (rowid < 0 || out[0].i64 != key.i64)
            must(LUMA_FAIL(&c.ctx, LUMA_E_CORRUPT, "key %lld was not found", (long long)key.i64),
                 "get");
        sum += out[1].i32 + luma_str_data(&out[2].str)[0];
    }
    double took = now_s() - begun;
    lk_store_host.close(coll);
    lk_txn_host.rollback(txn);
    return sum == 0 ? 0 : (double)gets / took;
}

/* --- SQLite --- */

static void
lite(int rc, sqlite3 *db, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        return;
    fprintf(stderr, "sqlite: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *
lite_load(const char *dir, int64_t rows)
{
    char path[512], text[TEXT];
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    snprintf(path, sizeof(path), "%s/lite.db", dir);
    lite(sqlite3_open(path, &db), db, "open");
    lite(sqlite3_exec(db,
                      "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = "
                      "-2000000; CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER, v TEXT); BEGIN",
                      NULL, NULL, NULL),
         db, "create");
    lite(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?, ?, ?)", -1, &insert, NULL), db, "insert");
    for (int64_t k = 0; k < rows; k++) {
        int bytes = (int)text_of(k, text);
        sqlite3_bind_int64(insert, 1, k);
        sqlite3_bind_int64(insert, 2, k % 1000);
        sqlite3_bind_text(insert, 3, text, bytes, SQLITE_STATIC);
        lite(sqlite3_step(insert), db, "insert");
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    lite(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db, "commit");
    return db;
}

static double
lite_gets(sqlite3 *db, int64_t rows, int64_t gets, uint64_t seed)
{
    sqlite3_stmt *get = NULL;
    struct lk_rand r;
    int64_t sum = 0;
    lk_rand_init(&r, seed);
    lite(sqlite3_prepare_v2(db, "SELECT k, n, v FROM t WHERE k = ?", -1, &get, NULL), db, "select");
    lite(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), db, "begin");
    double begun = now_s();
    for (int64_t i = 0; i < gets; i++) {
        sqlite3_bind_int64(get, 1, (int64_t)lk_rand_below(&r, (uint64_t)rows));
        lite(sqlite3_step(get), db, "get");
        sum += sqlite3_column_int64(get, 1) + sqlite3_column_text(get, 2)[0];
        sqlite3_reset(get);
    }
    double took = now_s() - begun;
    sqlite3_finalize(get);
    lite(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db, "commit");
    return sum == 0 ? 0 : (double)gets / took;
}

int
main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? atoll(argv[1]) : 10000000;
    int64_t gets = argc > 2 ? atoll(argv[2]) : 1000000;
    char made[] = "/tmp/lumadb-point.XXXXXX";
    const char *dir = argc > 3 ? argv[3] : mkdtemp(made);
    double luma = 0, peer = 0;
    if (dir == NULL || !test_module_load("index-btree") || !test_module_load("codec-lz4") ||
        !test_module_load("encoding-dictionary") || !test_module_load("encoding-bitpack") ||
        !test_module_load("encoding-delta") || !test_module_load("encoding-rle"))
        return 1;
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    struct lk_store *store = store_open(dir);
    define();
    luma_load(rows);
    must(lk_store_checkpoint(&c.ctx, store), "checkpoint");
    sqlite3 *db = lite_load(dir, rows);
    (void)luma_gets(rows, gets, 1); /* warm */
    (void)lite_gets(db, rows, gets, 1);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        luma = LK_MAX(luma, luma_gets(rows, gets, turn + 2));
        peer = LK_MAX(peer, lite_gets(db, rows, gets, turn + 2));
    }
    printf("%lld rows: LumaDB %.0f gets/s, SQLite %.0f gets/s, ratio %.2f\n", (long long)rows, luma,
           peer, luma / peer);
    sqlite3_close(db);
    lk_store_close(store);
    if (argc <= 3) {
        char command[600];
        snprintf(command, sizeof(command), "rm -rf '%s'", dir);
        return system(command) == 0 ? 0 : 1;
    }
    return 0;
}
