/*
 * tests/bench/micro/columns.c - rates of the column store on one core: writing segments of
 * lineitem's shape, scanning and filtering them, single rows, index runs.
 *
 *     LUMA_BUILD_DIR=. tests/bench/micro/columns [rows]
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../unit/storage/segment/modules.h"
#include "base/base.h"
#include "io/io.h"
#include "storage/cache/cache.h"
#include "storage/run/run.h"
#include "storage/segment/segment.h"

#define COLS 16

static const struct luma_type types[COLS] = {
    {LUMA_TYPE_INT8, 0, 0, -1},    {LUMA_TYPE_INT4, 0, 0, -1},    {LUMA_TYPE_INT4, 0, 0, -1},
    {LUMA_TYPE_INT4, 0, 0, -1},    {LUMA_TYPE_NUMERIC, 0, 2, 15}, {LUMA_TYPE_NUMERIC, 0, 2, 15},
    {LUMA_TYPE_NUMERIC, 0, 2, 15}, {LUMA_TYPE_NUMERIC, 0, 2, 15}, {LUMA_TYPE_BPCHAR, 0, 0, 1},
    {LUMA_TYPE_BPCHAR, 0, 0, 1},   {LUMA_TYPE_DATE, 0, 0, -1},    {LUMA_TYPE_DATE, 0, 0, -1},
    {LUMA_TYPE_DATE, 0, 0, -1},    {LUMA_TYPE_BPCHAR, 0, 0, 25},  {LUMA_TYPE_BPCHAR, 0, 0, 10},
    {LUMA_TYPE_VARCHAR, 0, 0, 44},
};

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_objects *objects;
static struct lk_formats *formats;
static struct luma_store_col store_cols[COLS];
static struct luma_store_coll def;

static void
must(luma_rc rc, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %d %s\n", what, (int)rc, c.error.message);
    exit(1);
}

static double
now(void)
{
    return (double)lk_io_now_ns(lk_io_posix()) / 1e9;
}

/* --- data --- */

#define BATCH LUMA_BATCH_ROWS

static const char *const words[] = {"carefully", "final",  "deposits", "sleep",    "furiously",
                                    "regular",   "across", "the",      "packages", "ironic",
                                    "slyly",     "even",   "requests", "haggle",   "blithely"};
static const char *const instructs[] = {"DELIVER IN PERSON", "COLLECT COD", "NONE",
                                        "TAKE BACK RETURN"};
static const char *const modes[] = {"REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"};

static struct luma_str
str(const char *text)
{
    return luma_str_make(text, (uint32_t)strlen(text));
}

static struct luma_str
comment(struct lk_rand *r, char *room)
{
    uint32_t n = 0, want = 10 + (uint32_t)lk_rand_below(r, 34);
    while (n < want) {
        const char *w = words[lk_rand_below(r, LUMA_COUNTOF(words))];
        uint32_t k = (uint32_t)strlen(w);
        memcpy(room + n, w, k);
        room[n + k] = ' ';
        n += k + 1;
    }
    return luma_str_make(room, want);
}

static void
fill(struct luma_vec *cols, struct lk_rand *r, uint64_t first, char *texts)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        int32_t ship = 7305 - 10957 + 10957 - 2922 + (int32_t)lk_rand_below(r, 2526);
        int64_t quantity = 1 + (int64_t)lk_rand_below(r, 50);
        ((int64_t *)cols[0].data)[i] = (int64_t)((first + i) / 4 * 4 / 4 * 8 / 8);
        ((int32_t *)cols[1].data)[i] = (int32_t)lk_rand_below(r, 200000);
        ((int32_t *)cols[2].data)[i] = (int32_t)lk_rand_below(r, 10000);
        ((int32_t *)cols[3].data)[i] = (int32_t)((first + i) & 3) + 1;
        ((int64_t *)cols[4].data)[i] = quantity * 100;
        ((int64_t *)cols[5].data)[i] = quantity * lk_rand_between(r, 90000, 209900);
        ((int64_t *)cols[6].data)[i] = (int64_t)lk_rand_below(r, 11);
        ((int64_t *)cols[7].data)[i] = (int64_t)lk_rand_below(r, 9);
        ((struct luma_str *)cols[8].data)[i] = str(lk_rand_percent(r, 50)   ? "N"
                                                   : lk_rand_percent(r, 50) ? "A"
                                                                            : "R");
        ((struct luma_str *)cols[9].data)[i] = str(lk_rand_percent(r, 50) ? "O" : "F");
        ((int32_t *)cols[10].data)[i] = ship;
        ((int32_t *)cols[11].data)[i] = ship + (int32_t)lk_rand_below(r, 60) - 30;
        ((int32_t *)cols[12].data)[i] = ship + 1 + (int32_t)lk_rand_below(r, 30);
        ((struct luma_str *)cols[13].data)[i] = str(instructs[lk_rand_below(r, 4)]);
        ((struct luma_str *)cols[14].data)[i] = str(modes[lk_rand_below(r, 7)]);
        ((struct luma_str *)cols[15].data)[i] = comment(r, texts + (size_t)i * 64);
    }
}

static struct lk_segment_info
write_rows(uint64_t rows)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    struct luma_vec cols[COLS];
    struct lk_rand r;
    char *texts = malloc((size_t)BATCH * 64);
    double spent = 0;

    lk_rand_init(&r, 1);
    for (uint32_t i = 0; i < COLS; i++)
        if (!luma_vec_init(&cols[i], arena, types[i], BATCH))
            exit(1);
    must(lk_segment_write_begin(&c.ctx, objects, formats, &def, &writer), "begin");
    for (uint64_t first = 0; first < rows; first += BATCH) {
        struct luma_batch batch = {
            .rows = BATCH, .sel_rows = BATCH, .cols_count = COLS, .cols = cols};
        fill(cols, &r, first, texts);
        double begun = now();
        must(lk_segment_write_append(&c.ctx, writer, &batch, NULL, (int64_t)first, NULL, 7, NULL),
             "append");
        spent += now() - begun;
    }
    double begun = now();
    must(lk_segment_write_end(&c.ctx, writer, &info), "end");
    spent += now() - begun;
    free(texts);
    printf("write            %8.2f M rows/s  %6.1f M values/s  %.1f bytes a row (%.2f s)\n",
           (double)info.rows / spent / 1e6, (double)info.rows * COLS / spent / 1e6,
           (double)info.bytes / (double)info.rows, spent);
    return info;
}

/* --- scans --- */

static void
scan(struct lk_segment *segment, const char *name, const uint32_t *ids, uint32_t count,
     const struct luma_pred *preds, uint32_t preds_count)
{
    struct luma_scan_spec spec = {
        .cols = ids, .cols_count = count, .preds = preds, .preds_count = preds_count};
    struct lk_segment_cursor *cursor;
    struct luma_batch *batch;
    bool more;
    uint64_t out = 0;
    double best = 1e9;

    must(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), "cursor");
    for (int round = 0; round < 4; round++) {
        double begun = now();
        out = 0;
        for (uint32_t g = 0; g < lk_segment_groups(segment); g++) {
            must(lk_segment_cursor_seek(&c.ctx, cursor, segment, g), "seek");
            for (;;) {
                must(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more), "next");
                if (!more)
                    break;
                out += batch->sel_rows;
            }
        }
        best = now() - begun < best ? now() - begun : best;
    }
    lk_segment_cursor_close(cursor);
    double rows = (double)lk_segment_info(segment)->rows;
    printf("%-16s %8.2f M rows/s  %6.2f G values/s  (%llu rows out)\n", name, rows / best / 1e6,
           rows * count / best / 1e9, (unsigned long long)out);
}

static void
points(struct lk_segment *segment)
{
    struct lk_rand r;
    struct luma_value v;
    uint64_t rows = lk_segment_info(segment)->rows, n = 2000000;
    lk_rand_init(&r, 2);
    double begun = now();
    for (uint64_t i = 0; i < n; i++) {
        int64_t row;
        must(lk_segment_find(&c.ctx, segment, (int64_t)lk_rand_below(&r, rows), &row), "find");
        must(lk_segment_get(&c.ctx, segment, (uint32_t)row, &store_cols[4], arena, &v), "get");
    }
    printf("find + get       %8.1f ns\n", (now() - begun) / (double)n * 1e9);
}

/* --- index --- */

static void
count_emit(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    (void)rowid;
    ++*(uint64_t *)arg;
}

static void
index_rates(uint64_t entries)
{
    struct luma_store_index index_def = {.id = 1, .kind = "btree"};
    struct lk_index *index;
    struct lk_run_info info;
    struct lk_rand r;
    uint64_t found = 0;
    bool written;

    lk_rand_init(&r, 3);
    must(lk_index_create(&c.ctx, objects, NULL, &test_host_services, &index_def, &index), "index");
    double begun = now();
    for (uint64_t i = 0; i < entries; i++) {
        uint8_t key[9] = {1};
        lk_store_be64(key + 1, (lk_hash_u64(i) >> 1) | 1);
        struct luma_index_entry e = {luma_slice(key, 9), (int64_t)i};
        must(lk_index_insert(&c.ctx, index, &e, 1), "insert");
    }
    printf("hot insert       %8.1f ns (random, %llu entries)\n",
           (now() - begun) / (double)entries * 1e9, (unsigned long long)entries);
    for (int part = 0; part < 2; part++) {
        for (int absent = 0; absent < 2; absent++) {
            uint64_t n = 1000000;
            begun = now();
            for (uint64_t i = 0; i < n; i++) {
                uint8_t key[9] = {1};
                uint64_t v = (lk_hash_u64(lk_rand_below(&r, entries)) >> 1) | 1;
                lk_store_be64(key + 1, v - (uint64_t)absent);
                struct luma_slice k = luma_slice(key, 9);
                must(lk_index_find(&c.ctx, index, &k, 1, count_emit, &found), "find");
            }
            printf("%s find %-8s %8.1f ns\n", part == 0 ? "hot" : "run",
                   absent == 0 ? "present" : "absent", (now() - begun) / (double)n * 1e9);
        }
        if (part == 1)
            break;
        begun = now();
        must(lk_index_freeze(&c.ctx, index), "freeze");
        must(lk_index_write_frozen(&c.ctx, index, &info, &written), "write");
        must(lk_index_publish(&c.ctx, index, &info), "publish");
        printf("run write        %8.2f M entries/s, %.1f bytes an entry\n",
               (double)entries / (now() - begun) / 1e6, (double)info.bytes / (double)entries);
    }
    struct lk_index_cursor *cursor;
    struct luma_index_range all = {0};
    struct luma_index_entry e;
    bool more;
    begun = now();
    must(lk_index_cursor_open(&c.ctx, index, &all, arena, &cursor), "cursor");
    do {
        must(lk_index_cursor_next(&c.ctx, cursor, &e, &more), "next");
    } while (more);
    lk_index_cursor_close(cursor);
    printf("run cursor       %8.1f ns an entry\n", (now() - begun) / (double)entries * 1e9);
    lk_index_destroy(index);
}

static void
load_modules(void)
{
    static const char *const names[] = {"codec-lz4",        "codec-zstd",   "encoding-dictionary",
                                        "encoding-bitpack", "encoding-rle", "encoding-delta",
                                        "index-btree"};
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        if (!test_module_load(names[i]))
            exit(1);
    const char *simd = getenv("LUMA_SIMD");
    if (simd == NULL || !test_module_load(simd))
        return;
    test_services[test_services_count - 1].service = "simd";
}

int
main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1 << 20;
    char dir[] = "/tmp/lumadb-bench-XXXXXX", cmd[64];
    struct lk_cache *cache;

    if (mkdtemp(dir) == NULL)
        return 1;
    load_modules();
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    must(lk_cache_create(NULL, (size_t)2 << 30, &cache), "cache");
    must(lk_objects_open(&c.ctx, lk_io_posix(), dir, cache, &objects), "objects");
    must(lk_formats_load(&c.ctx, &test_host_services, NULL, &formats), "formats");
    for (uint32_t i = 0; i < COLS; i++) {
        store_cols[i].id = i + 1;
        store_cols[i].type = types[i];
    }
    def = (struct luma_store_coll){.id = 1, .cols_count = COLS, .cols = store_cols};
    printf("inner loops      %s\n", lk_formats_simd(formats)->name);

    struct lk_segment_info info = write_rows(rows / BATCH * BATCH);
    struct lk_segment *segment;
    must(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), "open");
    struct luma_value lo = {.type = types[10], .phys = LUMA_PHYS_I32, .i32 = 5000};
    struct luma_value hi = {.type = types[10], .phys = LUMA_PHYS_I32, .i32 = 5365};
    struct luma_value disc = {.type = types[6], .phys = LUMA_PHYS_I64, .scale = 2, .i64 = 5};
    struct luma_value disc_hi = {.type = types[6], .phys = LUMA_PHYS_I64, .scale = 2, .i64 = 7};
    struct luma_value quantity = {.type = types[4], .phys = LUMA_PHYS_I64, .scale = 2, .i64 = 2400};
    const uint32_t q6_ids[] = {11, 7, 5, 6}, q1_ids[] = {11, 5, 6, 7, 8, 9, 10};
    const struct luma_pred q6[] = {{0, LUMA_PRED_GE, 1, &lo},
                                   {0, LUMA_PRED_LT, 1, &hi},
                                   {1, LUMA_PRED_GE, 1, &disc},
                                   {1, LUMA_PRED_LE, 1, &disc_hi},
                                   {2, LUMA_PRED_LT, 1, &quantity}};
    const uint32_t date_id[] = {11}, qty_id[] = {5}, price_id[] = {6}, key_id[] = {1},
                   flag_id[] = {9}, text_id[] = {16};
    scan(segment, "scan date", date_id, 1, NULL, 0);
    scan(segment, "scan quantity", qty_id, 1, NULL, 0);
    scan(segment, "scan price", price_id, 1, NULL, 0);
    scan(segment, "scan orderkey", key_id, 1, NULL, 0);
    scan(segment, "scan flag", flag_id, 1, NULL, 0);
    scan(segment, "scan comment", text_id, 1, NULL, 0);
    scan(segment, "filter date", date_id, 1, q6, 1);
    scan(segment, "Q6's scan", q6_ids, 4, q6, 5);
    scan(segment, "Q1's scan", q1_ids, 7, NULL, 0);
    points(segment);
    index_rates(1000000);
    lk_segment_unref(segment);
    lk_formats_free(formats);
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_arena_destroy(arena);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd);
}
