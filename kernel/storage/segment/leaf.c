/*
 * storage/segment/leaf.c - conditions on fields of documents in terms of the leaves that have the
 * values.
 *
 * The field is a text, perhaps cast to something; the leaf has numbers, booleans or texts that
 * print as that text. A condition goes over to the leaf only where it comes out the same for every
 * value of the leaf, the errors of casts included.
 */
#include <math.h>

#include "data/data.h"
#include "storage/segment/cursor.h"

#define EXACT_MAX (INT64_C(1) << 53) /* integers up to here are doubles */

static const double powers[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* --- values as texts --- */

static struct luma_value
int_value(struct luma_type leaf, int64_t v)
{
    return (struct luma_value){.type = leaf,
                               .phys = LUMA_PHYS_I64,
                               .scale = leaf.id == LUMA_TYPE_NUMERIC ? leaf.scale : (int16_t)0,
                               .i64 = v};
}

/* The leaf's number that is written exactly so; false: none is. */
static bool
number_written(struct luma_type leaf, const struct luma_str *text, struct luma_value *out)
{
    const char *p = luma_str_data(text);
    uint32_t n = text->bytes, i = n > 0 && p[0] == '-' ? 1 : 0;
    int64_t v = 0;
    char again[64];

    if (n > 40)
        return false;
    for (; i < n; i++) {
        if (p[i] == '.')
            continue;
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_sub_overflow(v, (int64_t)(p[i] - '0'), &v))
            return false;
    }
    if ((n == 0 || p[0] != '-') && __builtin_sub_overflow((int64_t)0, v, &v))
        return false;
    struct luma_vec one = {.type = leaf, .phys = LUMA_PHYS_I64, .data = &v};
    one.scale = leaf.id == LUMA_TYPE_NUMERIC ? leaf.scale : (int16_t)0;
    size_t bytes = lk_data_text_write(&one, 0, NULL, again);
    *out = int_value(leaf, v);
    return bytes == n && memcmp(again, p, n) == 0;
}

static enum lki_fit
fit_absent(enum luma_pred_op op)
{
    return op == LUMA_PRED_EQ ? LKI_FIT_NEVER : op == LUMA_PRED_NE ? LKI_FIT_ALL : LKI_FIT_CANNOT;
}

static enum lki_fit
fit_text(struct luma_type leaf, enum luma_pred_op op, const struct luma_value *value,
         struct luma_value *out)
{
    if (leaf.id == LUMA_TYPE_TEXT) {
        *out = *value;
        out->type = leaf;
        return LKI_FIT_OP;
    }
    if (op != LUMA_PRED_EQ && op != LUMA_PRED_NE)
        return LKI_FIT_CANNOT;
    if (leaf.id == LUMA_TYPE_BOOL) {
        struct luma_str yes = luma_str_make("true", 4), no = luma_str_make("false", 5);
        *out = (struct luma_value){.type = leaf, .phys = LUMA_PHYS_BOOL};
        out->b = luma_str_equal(&value->str, &yes);
        return out->b || luma_str_equal(&value->str, &no) ? LKI_FIT_OP : fit_absent(op);
    }
    if (leaf.id != LUMA_TYPE_INT8 && leaf.id != LUMA_TYPE_NUMERIC)
        return LKI_FIT_CANNOT;
    return number_written(leaf, &value->str, out) ? LKI_FIT_OP : fit_absent(op);
}

/* --- values as decimals --- */

struct decimal {
    luma_i128 v;
    int32_t scale;
};

static bool
decimal_of(const struct luma_value *value, struct decimal *out)
{
    out->scale = value->type.id == LUMA_TYPE_NUMERIC ? value->scale : 0;
    switch (value->phys) {
    case LUMA_PHYS_I16:
        out->v = value->i16;
        return true;
    case LUMA_PHYS_I32:
        out->v = value->i32;
        return true;
    case LUMA_PHYS_I64:
        out->v = value->i64;
        return true;
    case LUMA_PHYS_I128:
        out->v = value->i128;
        return true;
    default:
        out->scale = lk_data_numeric_dscale(&value->str);
        return value->type.id == LUMA_TYPE_NUMERIC && out->scale >= 0 && out->scale <= 18 &&
               lk_data_numeric_to_i128(&value->str, (int16_t)out->scale, &out->v) == LUMA_OK;
    }
}

/* For integers i: i op v, when v lies between floor and floor + 1. */
static enum lki_fit
between(enum luma_pred_op op, enum luma_pred_op *out_op)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return LKI_FIT_NEVER;
    case LUMA_PRED_NE:
        return LKI_FIT_ALL;
    case LUMA_PRED_LT:
        *out_op = LUMA_PRED_LE;
        return LKI_FIT_OP;
    case LUMA_PRED_GE:
        *out_op = LUMA_PRED_GT;
        return LKI_FIT_OP;
    default:
        return LKI_FIT_OP;
    }
}

static enum lki_fit
beyond(enum luma_pred_op op, bool above)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return LKI_FIT_NEVER;
    case LUMA_PRED_NE:
        return LKI_FIT_ALL;
    case LUMA_PRED_LT:
    case LUMA_PRED_LE:
        return above ? LKI_FIT_ALL : LKI_FIT_NEVER;
    default:
        return above ? LKI_FIT_NEVER : LKI_FIT_ALL;
    }
}

static enum lki_fit
fit_decimal(struct luma_type leaf, enum luma_pred_op op, const struct luma_value *value,
            enum luma_pred_op *out_op, struct luma_value *out)
{
    int32_t scale = leaf.id == LUMA_TYPE_NUMERIC ? leaf.scale : 0;
    struct decimal d;
    luma_i128 p = 1;

    if (!decimal_of(value, &d))
        return LKI_FIT_CANNOT;
    for (int32_t s = d.scale; s < scale; s++)
        if (__builtin_mul_overflow(d.v, (luma_i128)10, &d.v))
            return LKI_FIT_CANNOT;
    for (int32_t s = scale; s < d.scale; s++)
        p *= 10;
    luma_i128 floor = d.v / p - (d.v % p < 0 ? 1 : 0);
    if (floor > INT64_MAX || floor < INT64_MIN)
        return beyond(op, floor > 0);
    *out = int_value(leaf, (int64_t)floor);
    return floor * p == d.v ? LKI_FIT_OP : between(op, out_op);
}

/* --- values as doubles --- */

/* The first integer i whose i / 10^scale is c or above (above: above it). */
static int64_t
first_of(double c, int32_t scale, bool above)
{
    int64_t i = (int64_t)floor(c * powers[scale]) - 2;
    while (above ? (double)i / powers[scale] <= c : (double)i / powers[scale] < c)
        i++;
    return i;
}

static enum lki_fit
fit_double(struct luma_type leaf, enum luma_pred_op op, double c, enum luma_pred_op *out_op,
           struct luma_value *out)
{
    int32_t scale = leaf.id == LUMA_TYPE_NUMERIC ? leaf.scale : 0;
    if (scale < 0 || scale > 15 || !(fabs(c) * powers[scale] < (double)(EXACT_MAX - 4)))
        return LKI_FIT_CANNOT;
    int64_t from = first_of(c, scale, false), behind = first_of(c, scale, true);
    switch (op) {
    case LUMA_PRED_EQ:
    case LUMA_PRED_NE:
        *out = int_value(leaf, from);
        return behind == from + 1 ? LKI_FIT_OP : behind == from ? fit_absent(op) : LKI_FIT_CANNOT;
    case LUMA_PRED_LT:
    case LUMA_PRED_GE:
        *out = int_value(leaf, from);
        return LKI_FIT_OP;
    case LUMA_PRED_LE:
        *out_op = LUMA_PRED_LT;
        break;
    default:
        *out_op = LUMA_PRED_GE;
        break;
    }
    *out = int_value(leaf, behind);
    return LKI_FIT_OP;
}

/* --- all of it --- */

static bool
within(const int64_t *lo, const int64_t *hi, int64_t min, int64_t max)
{
    return lo != NULL && hi != NULL && *lo >= min && *hi <= max;
}

static bool
cast_is_sound(struct luma_type leaf, const int64_t *lo, const int64_t *hi, struct luma_type as)
{
    bool whole = leaf.id == LUMA_TYPE_INT8, number = whole || leaf.id == LUMA_TYPE_NUMERIC;
    switch (as.id) {
    case LUMA_TYPE_TEXT:
        return true;
    case LUMA_TYPE_BOOL:
        return leaf.id == LUMA_TYPE_BOOL;
    case LUMA_TYPE_INT2:
        return whole && within(lo, hi, INT16_MIN, INT16_MAX);
    case LUMA_TYPE_INT4:
        return whole && within(lo, hi, INT32_MIN, INT32_MAX);
    case LUMA_TYPE_INT8:
        return whole;
    case LUMA_TYPE_NUMERIC:
        return number;
    case LUMA_TYPE_FLOAT8:
        return number && within(lo, hi, -EXACT_MAX, EXACT_MAX);
    default:
        return false;
    }
}

enum lki_fit
lki_leaf_fit(struct luma_type leaf, const int64_t *lo, const int64_t *hi, struct luma_type as,
             enum luma_pred_op op, const struct luma_value *value, enum luma_pred_op *out_op,
             struct luma_value *out)
{
    *out_op = op;
    if (op > LUMA_PRED_GE || !cast_is_sound(leaf, lo, hi, as))
        return LKI_FIT_CANNOT;
    switch (as.id) {
    case LUMA_TYPE_TEXT:
        return fit_text(leaf, op, value, out);
    case LUMA_TYPE_BOOL:
        *out = *value;
        out->type = leaf;
        return LKI_FIT_OP;
    case LUMA_TYPE_FLOAT8:
        return fit_double(leaf, op, value->f64, out_op, out);
    default:
        return fit_decimal(leaf, op, value, out_op, out);
    }
}
