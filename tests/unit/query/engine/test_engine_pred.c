/* test_engine_pred.c - conditions in a column's own terms: exact, or told that they are not. */
#include <check.h>

#include "../../../lib/suite.h"
#include "host_double.h"
#include "scan.h"

static struct luma_value
number(int64_t v, int16_t scale)
{
    struct luma_value out = {.type = luma_type(LUMA_TYPE_NUMERIC), .phys = LUMA_PHYS_I64};
    out.scale = scale;
    out.i64 = v;
    return out;
}

static bool
holds(enum luma_pred_op op, double x, double v)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return x == v;
    case LUMA_PRED_NE:
        return x != v;
    case LUMA_PRED_LT:
        return x < v;
    case LUMA_PRED_LE:
        return x <= v;
    case LUMA_PRED_GT:
        return x > v;
    default:
        return x >= v;
    }
}

/* For every x of a numeric(6,1) column and v of scale 2, both sides of the conversion agree. */
START_TEST(numeric_grid)
{
    struct luma_type type = luma_type_numeric(6, 1);
    for (int64_t v = -35; v <= 35; v++)
        for (int op = LUMA_PRED_EQ; op <= LUMA_PRED_GE; op++) {
            struct luma_value value = number(v, 2), out;
            enum luma_pred_op got;
            enum pred_fit fit = eng_pred_fit(type, (enum luma_pred_op)op, &value, &got, &out);
            ck_assert(fit != PRED_CANNOT);
            for (int64_t x = -5; x <= 5; x++) {
                bool want = holds((enum luma_pred_op)op, (double)x * 10, (double)v);
                bool have = fit == PRED_ALWAYS ||
                            (fit == PRED_FITS && holds(got, (double)x, (double)out.i64));
                ck_assert_msg(want == have, "x %d op %d v %d", (int)x, op, (int)v);
            }
        }
}
END_TEST

START_TEST(values_out_of_the_columns_range)
{
    struct luma_type type = luma_type(LUMA_TYPE_INT2);
    struct luma_value big = {.type = luma_type(LUMA_TYPE_INT8), .phys = LUMA_PHYS_I64}, out;
    enum luma_pred_op got;
    big.i64 = 40000;
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_EQ, &big, &got, &out), PRED_NEVER);
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_LT, &big, &got, &out), PRED_ALWAYS);
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_GT, &big, &got, &out), PRED_NEVER);
    big.i64 = -40000;
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_GT, &big, &got, &out), PRED_ALWAYS);
    big.is_null = true;
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_NE, &big, &got, &out), PRED_NEVER);
}
END_TEST

START_TEST(dates_against_timestamps)
{
    struct luma_type type = luma_type(LUMA_TYPE_DATE);
    struct luma_value noon = {.type = luma_type(LUMA_TYPE_TIMESTAMP), .phys = LUMA_PHYS_I64}, out;
    enum luma_pred_op got;
    noon.i64 = -INT64_C(43200000000); /* 1999-12-31 12:00 */
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_LT, &noon, &got, &out), PRED_FITS);
    ck_assert_int_eq(got, LUMA_PRED_LE);
    ck_assert_int_eq(out.i32, -1);
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_EQ, &noon, &got, &out), PRED_NEVER);
    noon.i64 = 0;
    ck_assert_int_eq(eng_pred_fit(type, LUMA_PRED_LT, &noon, &got, &out), PRED_FITS);
    ck_assert_int_eq(got, LUMA_PRED_LT);
    ck_assert_int_eq(out.i32, 0);
}
END_TEST

START_TEST(a_declared_column_is_no_cast)
{
    struct luma_type wide = luma_type(LUMA_TYPE_NUMERIC), money = wide, cents = wide;
    money.mod = 15;
    money.scale = 2;
    cents.mod = 15;
    cents.scale = 1;
    ck_assert(eng_pred_sees_through(money, money));
    ck_assert(eng_pred_sees_through(money, wide));
    ck_assert(!eng_pred_sees_through(money, cents)); /* rounds */
    ck_assert(!eng_pred_sees_through(wide, money));
}
END_TEST

int
main(void)
{
    TCase *t = tcase_create("pred");
    double_host();
    tcase_add_test(t, numeric_grid);
    tcase_add_test(t, values_out_of_the_columns_range);
    tcase_add_test(t, dates_against_timestamps);
    tcase_add_test(t, a_declared_column_is_no_cast);
    return test_run("engine_pred", t);
}
