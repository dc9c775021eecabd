/* tests/unit/data/test_tuple.c - tuples against a model, added columns, damaged bytes. */
#include <check.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "base/base.h"
#include "base/ctx.h"
#include "data/data.h"
#include "data/tuple.h"

#define COLUMNS 70
#define ROWS    64

static const enum luma_type_id kinds[] = {LUMA_TYPE_BOOL, LUMA_TYPE_INT2, LUMA_TYPE_INT4,
                                          LUMA_TYPE_INT8, LUMA_TYPE_TEXT, LUMA_TYPE_FLOAT8,
                                          LUMA_TYPE_UUID, LUMA_TYPE_DATE};

static struct lk_tuple_column cols[COLUMNS];
static struct luma_vec vecs[COLUMNS], *out[COLUMNS];
static const struct luma_vec *sources[COLUMNS];

static void
fill_value(struct lk_rand *r, struct luma_arena *arena, struct luma_vec *vec, uint32_t row)
{
    if (vec->phys == LUMA_PHYS_STR) {
        uint32_t n = (uint32_t)lk_rand_below(r, 30);
        char *p = luma_arena_alloc(arena, n + 1);
        memset(p, (int)('a' + lk_rand_below(r, 26)), n);
        ((struct luma_str *)vec->data)[row] = luma_str_make(p, n);
    } else if (vec->phys == LUMA_PHYS_BOOL) {
        ((uint8_t *)vec->data)[row] = (uint8_t)lk_rand_below(r, 2);
    } else {
        uint8_t *at = (uint8_t *)vec->data + row * luma_phys_bytes((enum luma_phys)vec->phys);
        for (uint32_t k = 0; k < luma_phys_bytes((enum luma_phys)vec->phys); k++)
            at[k] = (uint8_t)lk_rand_u64(r);
        if (vec->type.id == LUMA_TYPE_FLOAT8)
            ((double *)vec->data)[row] = (double)lk_rand_below(r, 1000);
    }
    if (lk_rand_percent(r, 30))
        luma_bit_clear(vec->valid, row);
}

static void
fill(struct lk_rand *r, struct luma_arena *arena)
{
    uint32_t id = 0;

    for (uint32_t i = 0; i < COLUMNS; i++) {
        id += 1 + (uint32_t)lk_rand_below(r, 3);
        cols[i].id = id;
        cols[i].type = luma_type(kinds[lk_rand_below(r, LUMA_COUNTOF(kinds))]);
        ck_assert(luma_vec_init(&vecs[i], arena, cols[i].type, ROWS));
        ck_assert(luma_vec_need_valid(&vecs[i], arena, ROWS));
        for (uint32_t row = 0; row < ROWS; row++)
            fill_value(r, arena, &vecs[i], row);
        sources[i] = &vecs[i];
    }
}

static void
check_same(const struct luma_vec *a, const struct luma_vec *b, uint32_t row)
{
    ck_assert_int_eq(luma_vec_is_null(a, row), luma_vec_is_null(b, row));
    if (!luma_vec_is_null(a, row))
        ck_assert_int_eq(lk_data_compare(a, row, b, row), 0);
}

START_TEST(tuples_give_back_what_went_in)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_rand r;

    lk_rand_init(&r, 3);
    for (int round = 0; round < 20; round++) {
        const uint8_t *tuples[ROWS];
        uint32_t known;
        arena->reset(arena);
        fill(&r, arena);
        known = cols[COLUMNS - 1].id + 2;
        for (uint32_t row = 0; row < ROWS; row++) {
            ck_assert_int_eq(lk_tuple_make(arena, cols, COLUMNS, known, sources, row, &tuples[row]),
                             LUMA_OK);
            ck_assert_uint_eq(lk_tuple_bytes(tuples[row]),
                              lk_tuple_size(cols, COLUMNS, known, sources, row));
            ck_assert_int_eq(
                lk_tuple_check(luma_slice(tuples[row], lk_tuple_bytes(tuples[row])), cols, COLUMNS),
                LUMA_OK);
        }
        for (uint32_t i = 0; i < COLUMNS; i++) {
            out[i] = luma_arena_alloc(arena, sizeof(*out[i]));
            ck_assert(luma_vec_init(out[i], arena, cols[i].type, ROWS));
        }
        ck_assert_int_eq(
            lk_tuple_decode(arena, tuples, 0, ROWS, ROWS, cols, COLUMNS, NULL, round % 2 == 0, out),
            LUMA_OK);
        for (uint32_t row = 0; row < ROWS; row++)
            for (uint32_t i = 0; i < COLUMNS; i++) {
                struct luma_value v;
                enum lk_tuple_found found = lk_tuple_get(tuples[row], cols[i].id, cols[i].type, &v);
                check_same(&vecs[i], out[i], row);
                ck_assert_int_eq(found == LK_TUPLE_NULL, luma_vec_is_null(&vecs[i], row));
            }
    }
    lk_arena_destroy(arena);
}
END_TEST

START_TEST(a_column_added_later_is_missing)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_tuple_column two[2] = {{1, luma_type(LUMA_TYPE_INT4)},
                                     {2, luma_type(LUMA_TYPE_TEXT)}};
    struct luma_value missing[2] = {{.type = luma_type(LUMA_TYPE_NONE)},
                                    {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR}};
    struct luma_value v;
    struct luma_vec vec, results[2], *ptrs[2] = {&results[0], &results[1]};
    const struct luma_vec *source[1] = {&vec};
    const uint8_t *tuple;

    missing[1].str = luma_str_make("a default of some length", 24);
    ck_assert(luma_vec_init(&vec, arena, two[0].type, 1));
    ((int32_t *)vec.data)[0] = 42;
    ck_assert_int_eq(lk_tuple_make(arena, two, 1, 1, source, 0, &tuple), LUMA_OK);
    ck_assert_int_eq(lk_tuple_get(tuple, 2, two[1].type, &v), LK_TUPLE_MISSING);
    ck_assert_int_eq(lk_tuple_get(tuple, 1, two[0].type, &v), LK_TUPLE_VALUE);
    ck_assert_int_eq(v.i32, 42);
    ck_assert(luma_vec_init(&results[0], arena, two[0].type, 1));
    ck_assert(luma_vec_init(&results[1], arena, two[1].type, 1));
    ck_assert_int_eq(lk_tuple_decode(arena, &tuple, 0, 1, 1, two, 2, missing, false, ptrs),
                     LUMA_OK);
    ck_assert(luma_str_equal(&missing[1].str, (struct luma_str *)results[1].data));
    lk_arena_destroy(arena);
}
END_TEST

START_TEST(damaged_tuples_are_refused_or_harmless)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_rand r;
    const uint8_t *tuple;

    lk_rand_init(&r, 9);
    fill(&r, arena);
    ck_assert_int_eq(lk_tuple_make(arena, cols, COLUMNS, cols[COLUMNS - 1].id, sources, 0, &tuple),
                     LUMA_OK);
    for (int round = 0; round < 20000; round++) {
        size_t bytes = lk_tuple_bytes(tuple);
        uint8_t *copy = malloc(bytes);
        memcpy(copy, tuple, bytes);
        for (int k = 0; k < 3; k++)
            copy[lk_rand_below(&r, bytes)] = (uint8_t)lk_rand_u64(&r);
        if (lk_rand_percent(&r, 10))
            bytes = lk_rand_below(&r, bytes);
        if (lk_tuple_check(luma_slice(copy, bytes), cols, COLUMNS) == LUMA_OK)
            for (uint32_t i = 0; i < COLUMNS; i++) {
                struct luma_value v;
                if (lk_tuple_get(copy, cols[i].id, cols[i].type, &v) == LK_TUPLE_VALUE &&
                    v.phys == LUMA_PHYS_STR && v.str.bytes > 0)
                    ck_assert_int_ne(luma_str_data(&v.str)[v.str.bytes - 1], 256);
            }
        free(copy);
    }
    lk_arena_destroy(arena);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, tuples_give_back_what_went_in);
    tcase_add_test(tc, a_column_added_later_is_missing);
    tcase_add_test(tc, damaged_tuples_are_refused_or_harmless);
    return test_run("tuple", tc);
}
