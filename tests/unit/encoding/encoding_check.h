/*
 * tests/unit/encoding/encoding_check.h - what every column encoding must do, whatever it is: round
 * trips of all forms it takes, windows and selections, single rows, filters that agree with the
 * values, too little room, truncated and damaged input. Each test names its module and its forms.
 */
#ifndef ENCODING_CHECK_H
#define ENCODING_CHECK_H

#include <lumadb/kind/encoding.h>

#include <check.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/base.h"
#include "storage/segment/segment.h"

#define EXPECT(cond, ...)              \
    do {                               \
        if (!(cond))                   \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

#define ENC_ROWS_MAX 9000

static const struct luma_encoding *enc;
static struct lk_formats *enc_formats;
static const struct luma_simd *enc_simd;
static struct luma_arena *enc_arena;
static struct lk_ctx enc_c;

static inline void
enc_setup(const char *name)
{
    char file[64], service[64];
    snprintf(file, sizeof(file), "encoding-%s", name);
    snprintf(service, sizeof(service), "encoding.%s", name);
    if (test_lookup(service, LUMA_ENCODING_MAJOR) == NULL)
        ck_assert(test_module_load(file));
    enc = (const struct luma_encoding *)test_lookup(service, LUMA_ENCODING_MAJOR);
    enc_arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&enc_c, enc_arena);
    ck_assert_int_eq(lk_formats_load(&enc_c.ctx, NULL, NULL, &enc_formats), LUMA_OK);
    enc_simd = lk_formats_simd(enc_formats);
}

static inline void
enc_teardown(void)
{
    lk_formats_free(enc_formats);
    lk_arena_destroy(enc_arena);
}

static inline struct luma_type
enc_type(enum luma_phys phys)
{
    static const uint8_t ids[LUMA_PHYS_COUNT_] = {
        0,
        LUMA_TYPE_BOOL,
        LUMA_TYPE_INT2,
        LUMA_TYPE_INT4,
        LUMA_TYPE_INT8,
        LUMA_TYPE_NUMERIC,
        LUMA_TYPE_FLOAT4,
        LUMA_TYPE_FLOAT8,
        LUMA_TYPE_UUID,
        LUMA_TYPE_TEXT,
    };
    return phys == LUMA_PHYS_I128 ? luma_type_numeric(30, 2)
                                  : luma_type((enum luma_type_id)ids[phys]);
}

/* shape 0: anything the form holds (within 60 bits); 1: few values; 2: runs; 3: climbing; 4: one */
static inline void
enc_fill(struct lk_rand *r, struct luma_vec *vec, uint32_t rows, int shape)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);
    int64_t v = 1000;
    for (uint32_t i = 0; i < rows; i++) {
        uint8_t *at = (uint8_t *)vec->data + (size_t)i * size;
        switch (shape) {
        case 0:
            v = (int64_t)(lk_rand_u64(r) >> 4) - ((int64_t)1 << 58);
            break;
        case 1:
            v = (int64_t)lk_rand_below(r, 50) * 311 - 2000;
            break;
        case 2:
            v = lk_rand_percent(r, 97) ? v : (int64_t)lk_rand_below(r, 30000);
            break;
        case 3:
            v += (int64_t)lk_rand_below(r, 20);
            break;
        default:
            v = 77;
            break;
        }
        if (vec->phys == LUMA_PHYS_BOOL) {
            *at = (uint8_t)(v & 1);
        } else if (vec->phys == LUMA_PHYS_STR) {
            char text[64];
            int n = snprintf(text, sizeof(text), v % 3 == 0 ? "%lld" : "a longer text of %lld",
                             (long long)v);
            struct luma_str s =
                luma_str_make(luma_arena_copy(enc_arena, text, (size_t)n), (uint32_t)n);
            memcpy(at, &s, sizeof(s));
        } else if (vec->phys == LUMA_PHYS_F32) {
            float f = (float)(v % 1000);
            memcpy(at, &f, sizeof(f));
        } else if (vec->phys == LUMA_PHYS_F64) {
            double f = v % 97 == 0 ? -0.0 : (double)v / (shape == 3 ? 100 : 7);
            memcpy(at, &f, sizeof(f));
        } else if (size == 16) {
            luma_i128 wide = v;
            memcpy(at, &wide, 16);
        } else {
            memcpy(at, &v, size);
        }
    }
}

static inline bool
enc_same(uint8_t phys, const void *a, const void *b)
{
    if (phys == LUMA_PHYS_STR)
        return luma_str_equal(a, b);
    return memcmp(a, b, luma_phys_bytes((enum luma_phys)phys)) == 0;
}

static inline int
enc_compare(uint8_t phys, const void *a, const void *b)
{
    luma_i128 x = 0, y = 0;
    if (phys == LUMA_PHYS_STR)
        return luma_str_compare(a, b);
    switch (phys) {
    case LUMA_PHYS_BOOL:
        x = *(const uint8_t *)a;
        y = *(const uint8_t *)b;
        break;
    case LUMA_PHYS_I16:
        x = *(const int16_t *)a;
        y = *(const int16_t *)b;
        break;
    case LUMA_PHYS_I32:
        x = *(const int32_t *)a;
        y = *(const int32_t *)b;
        break;
    case LUMA_PHYS_I64:
        x = *(const int64_t *)a;
        y = *(const int64_t *)b;
        break;
    default:
        memcpy(&x, a, 16);
        memcpy(&y, b, 16);
        break;
    }
    return (x > y) - (x < y);
}

static inline bool
enc_holds(enum luma_cmp op, int k)
{
    return op == LUMA_CMP_EQ   ? k == 0
           : op == LUMA_CMP_NE ? k != 0
           : op == LUMA_CMP_LT ? k < 0
           : op == LUMA_CMP_LE ? k <= 0
           : op == LUMA_CMP_GT ? k > 0
                               : k >= 0;
}

static inline struct luma_enc_stats
enc_stats(const struct luma_vec *vec, uint32_t rows)
{
    struct luma_enc_stats s = {.rows = rows, .runs = rows > 0, .distinct = rows};
    for (uint32_t i = 0; i < rows; i++) {
        int64_t v = vec->phys == LUMA_PHYS_I64   ? ((const int64_t *)vec->data)[i]
                    : vec->phys == LUMA_PHYS_I32 ? ((const int32_t *)vec->data)[i]
                    : vec->phys == LUMA_PHYS_I16 ? ((const int16_t *)vec->data)[i]
                                                 : 0;
        s.min = i == 0 || v < s.min ? v : s.min;
        s.max = i == 0 || v > s.max ? v : s.max;
        if (i > 0)
            s.runs += !enc_same(vec->phys, luma_vec_at(vec, i), luma_vec_at(vec, i - 1));
        if (vec->phys == LUMA_PHYS_STR)
            s.text_bytes += ((const struct luma_str *)vec->data)[i].bytes;
    }
    return s;
}

/* An encoded column: bytes and a view. bytes begin at a multiple of 64 and have room behind. */
struct enc_column {
    struct luma_vec vec;
    uint32_t rows;
    struct luma_enc_stats stats;
    uint8_t *bytes;
    size_t used;
    struct luma_enc_view view;
    uint8_t *room;
};

static inline luma_rc
enc_open(struct enc_column *col, const uint8_t *bytes, size_t used)
{
    memset(&col->view, 0, sizeof(col->view));
    col->view.bytes = luma_slice(bytes, used);
    col->view.rows = col->rows;
    col->view.phys = col->vec.phys;
    col->view.simd = enc_simd;
    size_t room = enc->room_bytes == NULL ? 0 : enc->room_bytes(&col->view);
    if (room > used * 16 + 4096)
        return LUMA_E_CORRUPT;
    free(col->room);
    col->room = room == 0 ? NULL : aligned_alloc(64, (room + 63) & ~(size_t)63);
    col->view.room = col->room;
    return enc->open(&enc_c.ctx, &col->view);
}

static inline luma_rc
enc_make(struct enc_column *col, struct lk_rand *r, enum luma_phys phys, uint32_t rows, int shape)
{
    memset(col, 0, sizeof(*col));
    ck_assert(luma_vec_init(&col->vec, enc_arena, enc_type(phys), rows));
    ck_assert_uint_eq(col->vec.phys, phys);
    enc_fill(r, &col->vec, rows, shape);
    col->rows = rows;
    col->stats = enc_stats(&col->vec, rows);
    size_t bound = enc->bound(&col->vec, rows, &col->stats);
    col->bytes = aligned_alloc(64, (bound + 127) & ~(size_t)63);
    struct luma_buf dst = {col->bytes, bound, 0};
    luma_rc rc = enc->encode(&enc_c.ctx, &col->vec, rows, &col->stats, enc_simd, &dst);
    col->used = dst.used_bytes;
    ck_assert_uint_le(dst.used_bytes, bound);
    return rc;
}

static inline void
enc_free(struct enc_column *col)
{
    free(col->bytes);
    free(col->room);
}

static inline void
enc_check_rows(struct enc_column *col, uint32_t first, uint32_t n, const uint16_t *sel,
               uint32_t sel_rows)
{
    uint64_t data[LUMA_BATCH_ROWS * 2 + 2];
    struct luma_vec out = {.phys = col->vec.phys, .data = data};
    if (sel != NULL && enc->decode_sel != NULL)
        ck_assert_int_eq(enc->decode_sel(&col->view, first, n, sel, sel_rows, enc_arena, &out),
                         LUMA_OK);
    else
        ck_assert_int_eq(enc->decode(&col->view, first, n, enc_arena, &out), LUMA_OK);
    for (uint32_t k = 0; k < (sel == NULL ? n : sel_rows); k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        EXPECT(out.form != LUMA_VEC_DICT || ((uint32_t *)out.data)[row] < out.dict_rows,
               "code of row %u", first + row);
        EXPECT(enc_same(col->vec.phys, luma_vec_at(&out, row), luma_vec_at(&col->vec, first + row)),
               "form %u row %u", col->vec.phys, first + row);
    }
}

static inline void
enc_check_filter(struct enc_column *col, struct lk_rand *r, uint32_t first, uint32_t n)
{
    uint64_t bits[LUMA_BATCH_ROWS / 64];
    struct luma_value c;
    enum luma_cmp op = (enum luma_cmp)lk_rand_below(r, 6);
    memset(&c, 0, sizeof(c));
    c.type = col->vec.type;
    c.phys = col->vec.phys;
    c.scale = col->vec.scale;
    memcpy(&c.uuid, luma_vec_at(&col->vec, (uint32_t)lk_rand_below(r, col->rows)),
           luma_phys_bytes((enum luma_phys)c.phys));
    if (c.phys == LUMA_PHYS_I32 && lk_rand_percent(r, 30))
        c.i32 += (int32_t)lk_rand_between(r, -100000, 100000);
    if (c.phys == LUMA_PHYS_I64 && lk_rand_percent(r, 30))
        c.i64 = lk_rand_percent(r, 50) ? INT64_MIN : INT64_MAX - 3;
    if (enc->filter == NULL || !enc->filter(&col->view, first, n, op, &c, bits))
        return;
    for (uint32_t i = 0; i < n; i++)
        EXPECT(luma_bit_get(bits, i) ==
                   enc_holds(op, enc_compare(c.phys, luma_vec_at(&col->vec, first + i), &c.uuid)),
               "form %u op %d row %u", c.phys, (int)op, first + i);
    for (uint32_t i = n; i < LUMA_BIT_WORDS(n) * 64; i++)
        EXPECT(!luma_bit_get(bits, i), "a bit behind the last row");
}

static inline void
enc_check_column(struct lk_rand *r, enum luma_phys phys, uint32_t rows, int shape)
{
    struct enc_column col;
    uint16_t sel[LUMA_BATCH_ROWS];
    uint64_t single[2];
    ck_assert_int_eq(enc_make(&col, r, phys, rows, shape), LUMA_OK);
    ck_assert_int_eq(enc_open(&col, col.bytes, col.used), LUMA_OK);
    for (uint32_t first = 0; first < rows; first += LUMA_BATCH_ROWS)
        enc_check_rows(&col, first, LK_MIN(rows - first, (uint32_t)LUMA_BATCH_ROWS), NULL, 0);
    for (int i = 0; i < 20; i++) {
        uint32_t first = (uint32_t)lk_rand_below(r, rows);
        uint32_t n =
            1 + (uint32_t)lk_rand_below(r, LK_MIN(rows - first, (uint32_t)LUMA_BATCH_ROWS));
        uint32_t sel_rows = 0, percent = i % 2 == 0 ? 2 : 60;
        for (uint32_t k = 0; k < n; k++)
            if (lk_rand_percent(r, percent))
                sel[sel_rows++] = (uint16_t)k;
        enc_check_rows(&col, first, n, NULL, 0);
        enc_check_rows(&col, first, n, sel, sel_rows);
        enc_check_filter(&col, r, first, n);
        uint32_t row = (uint32_t)lk_rand_below(r, rows);
        ck_assert_int_eq(luma_enc_get(enc, &col.view, row, enc_arena, single), LUMA_OK);
        EXPECT(enc_same(col.vec.phys, single, luma_vec_at(&col.vec, row)), "get of row %u", row);
    }
    enc_free(&col);
}

static inline void
enc_check_forms(const char *name, const enum luma_phys *forms, size_t forms_count)
{
    struct lk_rand r;
    enc_setup(name);
    lk_rand_init(&r, 11);
    for (size_t f = 0; f < forms_count; f++) {
        ck_assert((enc->phys_mask >> forms[f] & 1) != 0);
        for (int shape = 0; shape < 5; shape++) {
            enc_check_column(&r, forms[f], 1, shape);
            enc_check_column(&r, forms[f], 129, shape);
            enc_check_column(&r, forms[f], 2048, shape);
            enc_check_column(&r, forms[f], ENC_ROWS_MAX, shape);
            enc_arena->reset(enc_arena);
        }
    }
    enc_teardown();
}

/* Any room below what was used is refused, or enough; never written past. */
static inline void
enc_check_short_room(const char *name, const enum luma_phys *forms, size_t forms_count)
{
    struct lk_rand r;
    enc_setup(name);
    lk_rand_init(&r, 12);
    for (size_t f = 0; f < forms_count; f++) {
        struct enc_column col;
        ck_assert_int_eq(enc_make(&col, &r, forms[f], 300, 1), LUMA_OK);
        for (size_t room = 0; room < col.used; room += 1 + room / 16) {
            uint8_t *exact = malloc(room == 0 ? 1 : room);
            struct luma_buf dst = {exact, room, 0};
            luma_rc rc = enc->encode(&enc_c.ctx, &col.vec, col.rows, &col.stats, enc_simd, &dst);
            ck_assert_int_eq(rc, LUMA_E_ROOM);
            free(exact);
        }
        enc_free(&col);
    }
    enc_teardown();
}

/* Damage is refused by open, or what comes out is wrong but harmless: sanitizers watch. */
static inline void
enc_check_damage(const char *name, const enum luma_phys *forms, size_t forms_count)
{
    struct lk_rand r;
    uint64_t data[LUMA_BATCH_ROWS * 2 + 2];
    enc_setup(name);
    lk_rand_init(&r, 13);
    for (size_t f = 0; f < forms_count; f++) {
        for (int round = 0; round < 300; round++) {
            struct enc_column col;
            ck_assert_int_eq(enc_make(&col, &r, forms[f], 300, round % 5), LUMA_OK);
            size_t used = round % 3 == 0 ? lk_rand_below(&r, col.used) : col.used;
            size_t padded = (used + 16 + 63) & ~(size_t)63;
            uint8_t *bad = aligned_alloc(64, padded);
            memset(bad, 0, padded);
            memcpy(bad, col.bytes, used);
            for (int k = 0; k < round % 4 && used > 0; k++)
                bad[lk_rand_below(&r, round % 2 == 0 ? LK_MIN(used, (size_t)64) : used)] ^=
                    (uint8_t)(1 + lk_rand_below(&r, 255));
            luma_rc rc = enc_open(&col, bad, used);
            ck_assert(rc == LUMA_OK || rc == LUMA_E_CORRUPT);
            if (rc == LUMA_OK) {
                struct luma_vec out = {.phys = col.vec.phys, .data = data};
                ck_assert_int_eq(enc->decode(&col.view, 0, 300, enc_arena, &out), LUMA_OK);
                volatile uint64_t sum = 0;
                for (uint32_t i = 0; i < 300; i++) {
                    uint64_t single[2];
                    ck_assert_int_eq(luma_enc_get(enc, &col.view, i, enc_arena, single), LUMA_OK);
                    const struct luma_str *s = luma_vec_at(&out, i);
                    if (col.vec.phys == LUMA_PHYS_STR && s->bytes > 0)
                        sum += (uint64_t)luma_str_data(s)[s->bytes - 1];
                }
                (void)sum;
                enc_check_filter(&col, &r, 0, 0);
            }
            luma_error_reset(enc_c.ctx.error);
            free(bad);
            enc_free(&col);
        }
        enc_arena->reset(enc_arena);
    }
    enc_teardown();
}

/* main of an encoding's test. */
#define ENCODING_TEST(module, ...)                                        \
    static const enum luma_phys enc_forms[] = {__VA_ARGS__};              \
    START_TEST(values_come_back)                                          \
    {                                                                     \
        enc_check_forms(module, enc_forms, LUMA_COUNTOF(enc_forms));      \
    }                                                                     \
    END_TEST                                                              \
    START_TEST(too_little_room_is_told)                                   \
    {                                                                     \
        enc_check_short_room(module, enc_forms, LUMA_COUNTOF(enc_forms)); \
    }                                                                     \
    END_TEST                                                              \
    START_TEST(damage_does_no_harm)                                       \
    {                                                                     \
        enc_check_damage(module, enc_forms, LUMA_COUNTOF(enc_forms));     \
    }                                                                     \
    END_TEST                                                              \
    int main(void)                                                        \
    {                                                                     \
        TCase *tc = tcase_create(module);                                 \
        tcase_add_test(tc, values_come_back);                             \
        tcase_add_test(tc, too_little_room_is_told);                      \
        tcase_add_test(tc, damage_does_no_harm);                          \
        return test_run(module, tc);                                      \
    }

#endif
