/* tests/unit/storage/segment/test_segment.c - segments against a model: every form, every
 * predicate, with modules and without, and with bits flipped. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "io/sim.h"
#include "modules.h"
#include "storage/cache/cache.h"
#include "storage/segment/merge.h"
#include "storage/segment/segment.h"

#define COLS 14

/* ck_assert tells the runner of every pass: too dear for a check a value. */
#define EXPECT(cond, ...)              \
    do {                               \
        if (!(cond))                   \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

static const struct luma_type types[COLS] = {
    {LUMA_TYPE_INT8, 0, 0, -1},       /* 0 ascending */
    {LUMA_TYPE_INT4, 0, 0, -1},       /* 1 small range, nulls */
    {LUMA_TYPE_INT8, 0, 0, -1},       /* 2 anything */
    {LUMA_TYPE_TEXT, 0, 0, -1},       /* 3 few values, nulls */
    {LUMA_TYPE_TEXT, 0, 0, -1},       /* 4 all different, some long */
    {LUMA_TYPE_BOOL, 0, 0, -1},       /* 5 */
    {LUMA_TYPE_FLOAT8, 0, 0, -1},     /* 6 with NaN */
    {LUMA_TYPE_NUMERIC, 0, 2, 15},    /* 7 prices */
    {LUMA_TYPE_NUMERIC, 0, 4, 30},    /* 8 wide decimals */
    {LUMA_TYPE_UUID, 0, 0, -1},       /* 9 */
    {LUMA_TYPE_DATE, 0, 0, -1},       /* 10 long runs */
    {LUMA_TYPE_INT2, 0, 0, -1},       /* 11 nulls only */
    {LUMA_TYPE_VARCHAR, 0, 0, 40},    /* 12 constant */
    {LUMA_TYPE_TIMESTAMPTZ, 0, 0, -1} /* 13 climbing unevenly, nulls */
};

struct model {
    uint32_t rows;
    struct luma_vec cols[COLS];
    int64_t *rowids;
    uint64_t *begins, *ends;
};

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static struct lk_formats *formats;
static struct luma_store_col store_cols[COLS + 1];
static struct luma_store_coll def;

static void
setup_with(const struct luma_host_services *services, const char *codec)
{
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 64 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
    ck_assert_int_eq(lk_formats_load(&c.ctx, services, codec, &formats), LUMA_OK);
    memset(store_cols, 0, sizeof(store_cols));
    for (uint32_t i = 0; i < COLS; i++) {
        store_cols[i].id = i + 1;
        store_cols[i].type = types[i];
    }
    def = (struct luma_store_coll){.id = 42, .cols_count = COLS, .cols = store_cols};
}

static void
teardown(void)
{
    lk_formats_free(formats);
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

static struct luma_str
text(const char *fmt, uint64_t v, uint32_t repeat)
{
    char buf[256];
    uint32_t n = 0;
    for (uint32_t i = 0; i <= repeat; i++)
        n += (uint32_t)snprintf(buf + n, sizeof(buf) - n, fmt, (unsigned long long)v);
    return luma_str_make(luma_arena_copy(arena, buf, n), n);
}

static void
fill_value(struct lk_rand *r, uint32_t col, uint32_t row, struct luma_vec *vec)
{
    void *at = (uint8_t *)vec->data + (size_t)row * luma_phys_bytes((enum luma_phys)vec->phys);
    switch (col) {
    case 0:
        *(int64_t *)at =
            (row == 0 ? 100 : ((int64_t *)vec->data)[row - 1]) + (int64_t)lk_rand_below(r, 4);
        break;
    case 1:
        *(int32_t *)at = (int32_t)lk_rand_between(r, -500, 500);
        break;
    case 2:
        *(int64_t *)at = (int64_t)lk_rand_u64(r);
        break;
    case 3:
        *(struct luma_str *)at = text("value %llu with a tail", lk_rand_below(r, 40), 0);
        break;
    case 4:
        *(struct luma_str *)at =
            text("%llu;", lk_rand_u64(r) >> lk_rand_below(r, 60), (uint32_t)lk_rand_below(r, 5));
        break;
    case 5:
        *(uint8_t *)at = lk_rand_percent(r, 30);
        break;
    case 6:
        *(double *)at = lk_rand_percent(r, 2) ? (double)NAN : lk_rand_double(r) * 100 - 50;
        break;
    case 7:
        *(int64_t *)at = lk_rand_between(r, 90000, 10494950);
        break;
    case 8:
        *(luma_i128 *)at = (luma_i128)lk_rand_between(r, -1000000, 1000000) * 1000000007;
        break;
    case 9: {
        uint64_t w[2] = {lk_rand_below(r, 1000), lk_rand_u64(r)};
        memcpy(at, w, 16);
        break;
    }
    case 10:
        *(int32_t *)at = row > 0 && lk_rand_percent(r, 98) ? ((int32_t *)vec->data)[row - 1]
                                                           : (int32_t)lk_rand_below(r, 9000);
        break;
    case 12:
        *(struct luma_str *)at = text("the same everywhere, and long%s", 0, 0);
        break;
    case 13:
        *(int64_t *)at = (row == 0 ? 700000000000000 : ((int64_t *)vec->data)[row - 1]) +
                         lk_rand_between(r, -50, 2000000);
        break;
    default:
        break;
    }
}

static void
model_make(struct model *m, uint32_t rows, uint64_t seed, bool contiguous)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    m->rows = rows;
    for (uint32_t i = 0; i < COLS; i++) {
        ck_assert(luma_vec_init(&m->cols[i], arena, types[i], rows));
        for (uint32_t row = 0; row < rows; row++)
            if (i != 12)
                fill_value(&r, i, row, &m->cols[i]);
        static const char same[] = "the same everywhere, and long";
        for (uint32_t row = 0; i == 12 && row < rows; row++)
            ((struct luma_str *)m->cols[i].data)[row] = luma_str_make(same, sizeof(same) - 1);
        bool nullable = i == 1 || i == 3 || i == 11 || i == 13;
        if (!nullable)
            continue;
        ck_assert(luma_vec_need_valid(&m->cols[i], arena, rows));
        for (uint32_t row = 0; row < rows; row++)
            if (i == 11 || lk_rand_percent(&r, 10))
                luma_bit_clear(m->cols[i].valid, row);
    }
    m->rowids = luma_arena_alloc(arena, rows * 8 + 8);
    m->begins = luma_arena_alloc(arena, rows * 8 + 8);
    m->ends = luma_arena_alloc(arena, rows * 8 + 8);
    int64_t id = 1000;
    for (uint32_t row = 0; row < rows; row++) {
        m->rowids[row] = id;
        id += contiguous ? 1 : 1 + (int64_t)lk_rand_below(&r, 3);
        m->begins[row] = contiguous ? 7 : 5 + lk_rand_below(&r, 100);
        m->ends[row] = !contiguous && lk_rand_percent(&r, 5) ? 200 : 0;
    }
}

/* Writes the model in batches of odd sizes and forms. */
static struct lk_segment_info
model_write(const struct model *m, bool contiguous)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    ck_assert_int_eq(lk_segment_write_begin(&c.ctx, objects, formats, &def, &writer), LUMA_OK);
    for (uint32_t first = 0; first < m->rows;) {
        uint32_t n = LK_MIN(m->rows - first, first % 3 == 0 ? 2048u : 777u);
        struct luma_vec cols[COLS];
        uint16_t sel[LUMA_BATCH_ROWS];
        for (uint32_t i = 0; i < n; i++)
            sel[i] = (uint16_t)i;
        for (uint32_t i = 0; i < COLS; i++) {
            cols[i] = m->cols[i];
            cols[i].data = (uint8_t *)cols[i].data +
                           (size_t)first * luma_phys_bytes((enum luma_phys)cols[i].phys);
            if (m->cols[i].valid == NULL)
                continue;
            cols[i].valid = luma_arena_zalloc(arena, LUMA_BATCH_ROWS / 8);
            for (uint32_t k = 0; k < n; k++)
                if (luma_bit_get(m->cols[i].valid, first + k))
                    luma_bit_set(cols[i].valid, k);
        }
        struct luma_batch batch = {.rows = n,
                                   .sel_rows = n,
                                   .sel = n == 777 ? sel : NULL,
                                   .cols_count = COLS,
                                   .cols = cols};
        ck_assert_int_eq(
            lk_segment_write_append(&c.ctx, writer, &batch, contiguous ? NULL : m->rowids + first,
                                    m->rowids[first], contiguous ? NULL : m->begins + first, 7,
                                    contiguous ? NULL : m->ends + first),
            LUMA_OK);
        first += n;
    }
    ck_assert_int_eq(lk_segment_write_end(&c.ctx, writer, &info), LUMA_OK);
    ck_assert_uint_eq(info.rows, m->rows);
    return info;
}

static bool
same_value(const struct luma_vec *a, size_t row_a, const struct luma_vec *b, size_t row_b)
{
    bool null = luma_vec_is_null(a, row_a);
    if (null != luma_vec_is_null(b, row_b))
        return false;
    if (null)
        return true;
    if (a->phys == LUMA_PHYS_STR)
        return luma_str_equal(luma_vec_at(a, row_a), luma_vec_at(b, row_b));
    return memcmp(luma_vec_at(a, row_a), luma_vec_at(b, row_b),
                  luma_phys_bytes((enum luma_phys)a->phys)) == 0;
}

static void
check_bound(const struct luma_vec *vec, size_t row)
{
    if (vec->bound == 0 || luma_vec_is_null(vec, row))
        return;
    const void *at = luma_vec_at(vec, row);
    int64_t v = vec->phys == LUMA_PHYS_I32   ? *(const int32_t *)at
                : vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at
                                             : 0;
    EXPECT((v < 0 ? 0 - (uint64_t)v : (uint64_t)v) <= vec->bound, "beyond its bound");
}

static const uint32_t all_ids[COLS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

static luma_rc
live_odd(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    (void)arg;
    for (uint32_t i = 0; i < n; i++)
        if (((first_row + i) & 1) == 0)
            luma_bit_clear(bits, i);
    return LUMA_OK;
}

static void
check_scan(struct lk_segment *segment, const struct model *m, bool odd)
{
    bool lazy[COLS] = {[4] = true, [7] = true};
    struct luma_scan_spec spec = {
        .cols = all_ids, .cols_count = COLS, .rowids = true, .lazy = lazy};
    struct lk_segment_cursor *cursor;
    uint32_t seen = 0;
    ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
    for (uint32_t g = 0; g < lk_segment_groups(segment); g++) {
        struct luma_batch *batch;
        bool more;
        ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, g), LUMA_OK);
        for (;;) {
            ck_assert_int_eq(
                lk_segment_cursor_next(&c.ctx, cursor, odd ? live_odd : NULL, NULL, &batch, &more),
                LUMA_OK);
            if (!more)
                break;
            ck_assert(odd || batch->sel == NULL);
            ck_assert_int_eq(lk_segment_cursor_load(&c.ctx, cursor, batch, 4), LUMA_OK);
            ck_assert_int_eq(lk_segment_cursor_load(&c.ctx, cursor, batch, 7), LUMA_OK);
            uint32_t first = lk_segment_cursor_first_row(cursor);
            const uint64_t *begins, *ends;
            ck_assert_int_eq(
                lk_segment_cursor_commits(&c.ctx, cursor, first, batch->rows, &begins, &ends),
                LUMA_OK);
            LUMA_BATCH_FOR (batch, row) {
                for (uint32_t i = 0; i < COLS; i++) {
                    EXPECT(same_value(&batch->cols[i], row, &m->cols[i], first + row),
                           "column %u row %u", i, first + row);
                    check_bound(&batch->cols[i], row);
                }
                EXPECT(batch->rowids[row] == m->rowids[first + row], "row id");
                EXPECT((begins == NULL ? lk_segment_info(segment)->commit_min : begins[row]) ==
                           m->begins[first + row],
                       "begin");
                EXPECT((ends == NULL ? 0 : ends[row]) == m->ends[first + row], "end");
                seen++;
            }
        }
    }
    ck_assert_uint_eq(seen, odd ? m->rows / 2 : m->rows);
    lk_segment_cursor_close(cursor);
}

static struct luma_value
model_value(const struct luma_vec *vec, uint32_t row)
{
    struct luma_value v;
    memset(&v, 0, sizeof(v));
    v.type = vec->type;
    v.phys = vec->phys;
    v.scale = vec->scale;
    memcpy(&v.uuid, luma_vec_at(vec, row), luma_phys_bytes((enum luma_phys)vec->phys));
    return v;
}

static int
model_compare(const struct luma_vec *vec, uint32_t row, const struct luma_value *v)
{
    const void *at = luma_vec_at(vec, row);
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        return *(const uint8_t *)at - v->b;
    case LUMA_PHYS_I16:
        return *(const int16_t *)at - v->i16;
    case LUMA_PHYS_I32:
        return (*(const int32_t *)at > v->i32) - (*(const int32_t *)at < v->i32);
    case LUMA_PHYS_I64:
        return (*(const int64_t *)at > v->i64) - (*(const int64_t *)at < v->i64);
    case LUMA_PHYS_I128:
        return (*(const luma_i128 *)at > v->i128) - (*(const luma_i128 *)at < v->i128);
    case LUMA_PHYS_F64: {
        double x = *(const double *)at, y = v->f64;
        if (isnan(x) || isnan(y))
            return (isnan(x) ? 1 : 0) - (isnan(y) ? 1 : 0);
        return (x > y) - (x < y);
    }
    case LUMA_PHYS_B16:
        return memcmp(at, &v->uuid, 16);
    default:
        return luma_str_compare(at, &v->str);
    }
}

static bool
model_holds(const struct luma_vec *vec, uint32_t row, const struct luma_pred *p)
{
    bool null = luma_vec_is_null(vec, row);
    if (p->op == LUMA_PRED_IS_NULL || p->op == LUMA_PRED_NOT_NULL)
        return null == (p->op == LUMA_PRED_IS_NULL);
    if (null)
        return false;
    if (p->op == LUMA_PRED_IN) {
        for (uint32_t i = 0; i < p->values_count; i++)
            if (model_compare(vec, row, &p->values[i]) == 0)
                return true;
        return false;
    }
    int k = model_compare(vec, row, &p->values[0]);
    switch (p->op) {
    case LUMA_PRED_EQ:
        return k == 0;
    case LUMA_PRED_NE:
        return k != 0;
    case LUMA_PRED_LT:
        return k < 0;
    case LUMA_PRED_LE:
        return k <= 0;
    case LUMA_PRED_GT:
        return k > 0;
    default:
        return k >= 0;
    }
}

static void
check_preds(struct lk_segment *segment, const struct model *m, uint64_t seed)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    for (int round = 0; round < 60; round++) {
        struct luma_pred preds[2];
        struct luma_value values[2][20];
        uint32_t n = 1 + (uint32_t)lk_rand_below(&r, 2), seen = 0, expected = 0;
        for (uint32_t i = 0; i < n; i++) {
            preds[i].col = (uint32_t)lk_rand_below(&r, COLS);
            preds[i].op = (enum luma_pred_op)lk_rand_below(&r, LUMA_PRED_NOT_NULL + 1);
            preds[i].values = values[i];
            preds[i].values_count =
                preds[i].op == LUMA_PRED_IN ? 1 + (uint32_t)lk_rand_below(&r, 20) : 1;
            for (uint32_t k = 0; k < preds[i].values_count; k++)
                values[i][k] =
                    model_value(&m->cols[preds[i].col], (uint32_t)lk_rand_below(&r, m->rows));
        }
        struct luma_scan_spec spec = {
            .cols = all_ids, .cols_count = COLS, .preds = preds, .preds_count = n};
        struct lk_segment_cursor *cursor;
        ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
        for (uint32_t g = 0; g < lk_segment_groups(segment); g++) {
            struct luma_batch *batch;
            bool more, any = false;
            ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, g), LUMA_OK);
            for (;;) {
                ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more),
                                 LUMA_OK);
                if (!more)
                    break;

                uint32_t first = lk_segment_cursor_first_row(cursor);
                any = true;
                LUMA_BATCH_FOR (batch, row) {
                    seen++;
                    for (uint32_t i = 0; i < n; i++)
                        EXPECT(model_holds(&m->cols[preds[i].col], first + row, &preds[i]),
                               "column %u op %d row %u", preds[i].col, (int)preds[i].op,
                               first + row);
                    for (uint32_t i = 0; i < COLS; i++)
                        EXPECT(same_value(&batch->cols[i], row, &m->cols[i], first + row),
                               "column %u", i);
                }
            }
            ck_assert(!any || lk_segment_group_may(segment, g, &spec));
        }
        lk_segment_cursor_close(cursor);
        for (uint32_t row = 0; row < m->rows; row++) {
            bool all = true;
            for (uint32_t i = 0; i < n; i++)
                all = all && model_holds(&m->cols[preds[i].col], row, &preds[i]);
            expected += all;
        }
        EXPECT(seen == expected, "op %d on column %u: %u rows, not %u", (int)preds[0].op,
               preds[0].col, seen, expected);
    }
}

static void
check_points(struct lk_segment *segment, const struct model *m, uint64_t seed)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    for (int i = 0; i < 3000; i++) {
        uint32_t row = (uint32_t)lk_rand_below(&r, m->rows),
                 col = (uint32_t)lk_rand_below(&r, COLS);
        int64_t found, rowid;
        uint64_t begin, end;
        struct luma_value v;
        ck_assert_int_eq(lk_segment_find(&c.ctx, segment, m->rowids[row], &found), LUMA_OK);
        ck_assert_int_eq(found, row);
        ck_assert_int_eq(lk_segment_rowid(&c.ctx, segment, row, &rowid), LUMA_OK);
        ck_assert_int_eq(rowid, m->rowids[row]);
        ck_assert_int_eq(lk_segment_row_commits(&c.ctx, segment, row, &begin, &end), LUMA_OK);
        ck_assert_uint_eq(begin, m->begins[row]);
        ck_assert_uint_eq(end, m->ends[row]);
        ck_assert_int_eq(lk_segment_get(&c.ctx, segment, row, &store_cols[col], arena, &v),
                         LUMA_OK);
        ck_assert_int_eq(v.is_null, luma_vec_is_null(&m->cols[col], row));
        if (!v.is_null)
            ck_assert_int_eq(model_compare(&m->cols[col], row, &v), 0);
        int64_t absent = (int64_t)lk_rand_below(&r, (uint64_t)m->rows * 4);
        ck_assert_int_eq(lk_segment_find(&c.ctx, segment, absent, &found), LUMA_OK);
        if (found >= 0)
            ck_assert_int_eq(m->rowids[found], absent);
    }
}

static void
check_stats(struct lk_segment *segment, const struct model *m)
{
    for (uint32_t i = 0; i < COLS; i++) {
        struct luma_col_stats stats;
        uint32_t nulls = 0;
        ck_assert(lk_segment_col_stats(segment, i + 1, &stats));
        for (uint32_t row = 0; row < m->rows; row++)
            nulls += luma_vec_is_null(&m->cols[i], row);
        ck_assert_uint_eq(stats.nulls, nulls);
        ck_assert_uint_eq(stats.rows, m->rows);
        if (stats.min.is_null)
            continue;
        for (uint32_t row = 0; row < m->rows; row++) {
            if (luma_vec_is_null(&m->cols[i], row))
                continue;
            EXPECT(model_compare(&m->cols[i], row, &stats.min) >= 0, "below min");
            EXPECT(model_compare(&m->cols[i], row, &stats.max) <= 0, "above max");
        }
    }
    struct luma_col_stats stats;
    ck_assert(lk_segment_col_stats(segment, 4, &stats));
    ck_assert_double_eq_tol(stats.distinct, m->rows > 1000 ? 40 : stats.distinct, 4);
    ck_assert(lk_segment_col_stats(segment, 3, &stats));
    ck_assert_double_eq_tol(stats.distinct, m->rows, m->rows * 0.15 + 1);
    ck_assert(!lk_segment_col_stats(segment, 99, &stats));
}

static void
round_trip(uint32_t rows, uint64_t seed, bool contiguous)
{
    struct model m;
    struct lk_segment *segment;
    model_make(&m, rows, seed, contiguous);
    struct lk_segment_info info = model_write(&m, contiguous);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), LUMA_OK);
    ck_assert_mem_eq(lk_segment_info(segment), &info, sizeof(info));
    check_scan(segment, &m, false);
    check_scan(segment, &m, true);
    check_points(segment, &m, seed + 1);
    check_preds(segment, &m, seed + 2);
    check_stats(segment, &m);
    ck_assert_int_eq(lk_segment_verify(&c.ctx, segment, NULL, NULL), LUMA_OK);
    lk_segment_unref(segment);
}

static void
load_modules(void)
{
    static const char *const names[] = {"codec-lz4",        "codec-zstd",   "encoding-dictionary",
                                        "encoding-bitpack", "encoding-rle", "encoding-delta",
                                        "encoding-dod",     "encoding-alp", "encoding-xor",
                                        "encoding-text",    "encoding-fsst"};
    if (test_services_count == 0)
        for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
            ck_assert(test_module_load(names[i]));
}

START_TEST(plain_segments_read_back)
{
    setup_with(NULL, NULL);
    round_trip(1, 1, true);
    round_trip(63, 2, false);
    round_trip(5000, 3, true);
    round_trip(70000, 4, false);
    teardown();
}
END_TEST

START_TEST(encoded_segments_read_back)
{
    load_modules();
    setup_with(&test_host_services, NULL);
    round_trip(1, 1, false);
    round_trip(64, 2, true);
    round_trip(4097, 3, false);
    round_trip(67000, 4, true);
    round_trip(66001, 5, false);
    teardown();
}
END_TEST

START_TEST(zstd_segments_read_back)
{
    load_modules();
    setup_with(&test_host_services, "zstd");
    round_trip(20000, 9, false);
    teardown();
}
END_TEST

/* Without a codec strings are codes of symbols, those of several groups after one comparison. */
START_TEST(segments_without_codec_read_back)
{
    load_modules();
    setup_with(&test_host_services, "none");
    round_trip(3000, 10, true);
    round_trip(140000, 11, false);
    teardown();
}
END_TEST

START_TEST(an_added_column_has_its_missing_value)
{
    struct model m;
    struct lk_segment *segment;
    struct lk_segment_cursor *cursor;
    struct luma_batch *batch;
    struct luma_value v;
    bool more;
    setup_with(NULL, NULL);
    model_make(&m, 100, 1, true);
    struct lk_segment_info info = model_write(&m, true);
    store_cols[COLS].id = 77;
    store_cols[COLS].type = luma_type(LUMA_TYPE_INT4);
    store_cols[COLS].missing =
        (struct luma_value){.type = luma_type(LUMA_TYPE_INT4), .phys = LUMA_PHYS_I32, .i32 = 12345};
    def.cols_count = COLS + 1;
    uint32_t id = 77;
    struct luma_pred pred = {.col = 0, .op = LUMA_PRED_GT, .values_count = 1, .values = &v};
    memset(&v, 0, sizeof(v));
    v.type = luma_type(LUMA_TYPE_INT4);
    v.phys = LUMA_PHYS_I32;
    v.i32 = 12344;
    struct luma_scan_spec spec = {.cols = &id, .cols_count = 1, .preds = &pred, .preds_count = 1};
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), LUMA_OK);
    ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
    ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, 0), LUMA_OK);
    ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more), LUMA_OK);
    ck_assert(more);
    ck_assert_uint_eq(batch->sel_rows, 100);
    ck_assert_int_eq(*(const int32_t *)luma_vec_at(&batch->cols[0], 50), 12345);
    v.i32 = 12345;
    ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, 0), LUMA_OK);
    ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more), LUMA_OK);
    ck_assert(!more);
    ck_assert_int_eq(lk_segment_get(&c.ctx, segment, 3, &store_cols[COLS], arena, &v), LUMA_OK);
    ck_assert_int_eq(v.i32, 12345);
    lk_segment_cursor_close(cursor);
    lk_segment_unref(segment);
    teardown();
}
END_TEST

START_TEST(an_absent_module_is_named)
{
    struct model m;
    struct lk_segment *segment;
    struct luma_value v;
    luma_rc rc = LUMA_OK;
    load_modules();
    setup_with(&test_host_services, "lz4");
    model_make(&m, 10000, 1, true);
    struct lk_segment_info info = model_write(&m, true);
    struct lk_formats *bare;
    ck_assert_int_eq(lk_formats_load(&c.ctx, NULL, NULL, &bare), LUMA_OK);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, bare, info.object_id, &segment), LUMA_OK);
    for (uint32_t i = 0; i < COLS && rc == LUMA_OK; i++)
        rc = lk_segment_get(&c.ctx, segment, 5, &store_cols[i], arena, &v);
    ck_assert_int_eq(rc, LUMA_E_MODULE);
    ck_assert_ptr_nonnull(strstr(c.error.message, "needed and not loaded"));
    lk_segment_unref(segment);
    lk_formats_free(bare);
    teardown();
}
END_TEST

/* Whatever bit is flipped: it is found, or it was between the chunks. Nothing else may happen. */
START_TEST(flipped_bits_are_found)
{
    struct model m;
    struct lk_rand r;
    uint32_t found = 0;
    load_modules();
    setup_with(&test_host_services, NULL);
    lk_rand_init(&r, 5);
    model_make(&m, 3000, 8, false);
    for (int round = 0; round < 100; round++) {
        struct lk_segment_info info = model_write(&m, false);
        struct lk_segment *segment;
        char path[64];
        snprintf(path, sizeof(path), "objects/%016llx.segment", (unsigned long long)info.object_id);
        ck_assert(lk_io_sim_corrupt(io, path, lk_rand_below(&r, info.bytes),
                                    (unsigned)lk_rand_below(&r, 8)));
        luma_error_reset(c.ctx.error);
        luma_rc rc = lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment);
        if (rc == LUMA_OK) {
            rc = lk_segment_verify(&c.ctx, segment, NULL, NULL);
            lk_segment_unref(segment);
        }
        ck_assert(rc == LUMA_OK || rc == LUMA_E_CORRUPT);
        found += rc != LUMA_OK;
        lk_object_remove(objects, LK_OBJECT_SEGMENT, info.object_id);
        arena->reset(arena);
        model_make(&m, 3000, 8, false);
    }
    ck_assert_uint_gt(found, 90);
    teardown();
}
END_TEST

/* --- merging --- */

/* Every parts-th ten rows of the model. */
static struct lk_segment *
write_share(const struct model *m, uint32_t part, uint32_t parts)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    struct lk_segment *segment;
    ck_assert_int_eq(lk_segment_write_begin(&c.ctx, objects, formats, &def, &writer), LUMA_OK);
    for (uint32_t first = 0; first < m->rows; first += 1024) {
        uint32_t n = LK_MIN(m->rows - first, 1024u), k = 0;
        struct luma_vec cols[COLS];
        uint16_t sel[1024];
        int64_t rowids[1024];
        uint64_t begins[1024], ends[1024];
        for (uint32_t i = 0; i < n; i++) {
            if ((first + i) / 10 % parts != part)
                continue;
            sel[k] = (uint16_t)i;
            rowids[k] = m->rowids[first + i];
            begins[k] = m->begins[first + i];
            ends[k++] = m->ends[first + i];
        }
        for (uint32_t i = 0; i < COLS; i++) {
            cols[i] = m->cols[i];
            cols[i].data = (uint8_t *)cols[i].data +
                           (size_t)first * luma_phys_bytes((enum luma_phys)cols[i].phys);
            if (cols[i].valid != NULL)
                cols[i].valid += first / 64;
        }
        struct luma_batch batch = {
            .rows = n, .sel_rows = k, .sel = sel, .cols_count = COLS, .cols = cols};
        ck_assert_int_eq(
            lk_segment_write_append(&c.ctx, writer, &batch, rowids, 0, begins, 0, ends), LUMA_OK);
    }
    ck_assert_int_eq(lk_segment_write_end(&c.ctx, writer, &info), LUMA_OK);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), LUMA_OK);
    return segment;
}

/* Every seventh row of the first input is dead. */
static luma_rc
live_merge(void *arg, uint32_t input, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    (void)arg;
    for (uint32_t i = 0; i < n && input == 0; i++)
        if ((first_row + i) % 7 == 0)
            luma_bit_clear(bits, i);
    return LUMA_OK;
}

START_TEST(merged_segments_keep_what_lives)
{
    struct model m;
    struct lk_segment *inputs[3], *merged;
    struct lk_segment_info info;
    uint32_t kept = 0, seen[3] = {0};
    bool written;
    load_modules();
    setup_with(&test_host_services, NULL);
    model_make(&m, 20000, 21, false);
    for (uint32_t i = 0; i < 3; i++)
        inputs[i] = write_share(&m, i, 3);
    struct lk_segment_merge_opts opts = {
        .inputs = inputs, .inputs_count = 3, .horizon = 50, .live = live_merge};
    ck_assert_int_eq(lk_segment_merge(&c.ctx, objects, formats, &def, &opts, &info, &written),
                     LUMA_OK);
    ck_assert(written);
    ck_assert_uint_eq(info.level, 1);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &merged), LUMA_OK);
    ck_assert_int_eq(lk_segment_verify(&c.ctx, merged, NULL, NULL), LUMA_OK);
    for (uint32_t row = 0; row < m.rows; row++) {
        uint32_t part = row / 10 % 3;
        bool lives = part != 0 || seen[0] % 7 != 0;
        int64_t found;
        uint64_t begin, end;
        seen[part]++;
        EXPECT(lk_segment_find(&c.ctx, merged, m.rowids[row], &found) == LUMA_OK, "find");
        EXPECT((found >= 0) == lives, "row %u", row);
        if (!lives)
            continue;
        EXPECT(found == kept, "order");
        kept++;
        for (uint32_t i = 0; i < COLS; i++) {
            struct luma_value v;
            EXPECT(lk_segment_get(&c.ctx, merged, (uint32_t)found, &store_cols[i], arena, &v) ==
                       LUMA_OK,
                   "get");
            EXPECT(v.is_null == luma_vec_is_null(&m.cols[i], row), "null");
            EXPECT(v.is_null || model_compare(&m.cols[i], row, &v) == 0, "value");
        }
        EXPECT(lk_segment_row_commits(&c.ctx, merged, (uint32_t)found, &begin, &end) == LUMA_OK,
               "commits");
        EXPECT(begin == (m.begins[row] <= 50 ? LK_COMMIT_SETTLED : m.begins[row]), "begin");
        EXPECT(end == m.ends[row], "end");
    }
    ck_assert_uint_eq(info.rows, kept);

    /* A row in two inputs whose old version is still seen: not now. */
    struct lk_segment *both[2] = {inputs[1], merged};
    opts.inputs = both;
    opts.inputs_count = 2;
    opts.live = NULL;
    ck_assert_int_eq(lk_segment_merge(&c.ctx, objects, formats, &def, &opts, &info, &written),
                     LUMA_E_AGAIN);
    ck_assert(!written);
    lk_segment_unref(merged);
    for (uint32_t i = 0; i < 3; i++)
        lk_segment_unref(inputs[i]);
    teardown();
}
END_TEST

START_TEST(what_to_merge)
{
    struct lk_segment_info infos[6] = {{.rows = 100}, {.rows = 9000000}, {.rows = 2000},
                                       {.rows = 50},  {.rows = 3000000}, {.rows = 4000}};
    uint64_t dead[6] = {0};
    uint32_t out[6];
    ck_assert_uint_eq(lk_segment_merge_pick(infos, dead, 6, out, 6), 4);
    ck_assert_uint_eq(out[0], 0);
    ck_assert_uint_eq(out[1], 2);
    ck_assert_uint_eq(out[2], 3);
    ck_assert_uint_eq(out[3], 5);
    ck_assert_uint_eq(lk_segment_merge_pick(infos, dead, 3, out, 6), 0);
    dead[4] = 1200000;
    ck_assert_uint_eq(lk_segment_merge_pick(infos, dead, 6, out, 6), 1);
    ck_assert_uint_eq(out[0], 4);
}
END_TEST

static void
count_line(void *arg, const char *line)
{
    ck_assert_uint_gt(strlen(line), 0);
    ++*(uint32_t *)arg;
}

START_TEST(a_segment_describes_itself)
{
    struct model m;
    struct lk_segment *segment;
    uint32_t lines = 0;
    setup_with(NULL, NULL);
    model_make(&m, 100, 1, true);
    struct lk_segment_info info = model_write(&m, true);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), LUMA_OK);
    ck_assert_int_eq(lk_segment_describe(&c.ctx, segment, count_line, &lines), LUMA_OK);
    ck_assert_uint_gt(lines, COLS);
    lk_segment_unref(segment);
    teardown();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("segment");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, plain_segments_read_back);
    tcase_add_test(tc, encoded_segments_read_back);
    tcase_add_test(tc, zstd_segments_read_back);
    tcase_add_test(tc, segments_without_codec_read_back);
    tcase_add_test(tc, an_added_column_has_its_missing_value);
    tcase_add_test(tc, an_absent_module_is_named);
    tcase_add_test(tc, flipped_bits_are_found);
    tcase_add_test(tc, merged_segments_keep_what_lives);
    tcase_add_test(tc, what_to_merge);
    tcase_add_test(tc, a_segment_describes_itself);
    return test_run("segment", tc);
}
