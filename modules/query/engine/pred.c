/* pred.c - conditions in a column's own terms: integers, scaled numerics, dates, texts. */
#include "scan.h"

#define US_PER_DAY INT64_C(86400000000)

struct number {
    luma_i128 v;
    int16_t scale;
};

static bool
is_int(uint8_t id)
{
    return id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4 || id == LUMA_TYPE_INT8;
}

static bool
is_text(uint8_t id)
{
    return id == LUMA_TYPE_TEXT || id == LUMA_TYPE_VARCHAR || id == LUMA_TYPE_UNKNOWN ||
           id == LUMA_TYPE_NAME;
}

bool
eng_pred_sees_through(struct luma_type from, struct luma_type to)
{
    if (from.id == to.id) /* a cast to fewer digits rounds; the column itself is no cast */
        return from.id != LUMA_TYPE_NUMERIC || to.mod <= 0 ||
               (to.mod == from.mod && to.scale == from.scale);
    if (is_int(from.id))
        return (is_int(to.id) && to.id > from.id) || (to.id == LUMA_TYPE_NUMERIC && to.mod <= 0);
    if (from.id == LUMA_TYPE_VARCHAR)
        return to.id == LUMA_TYPE_TEXT;
    return from.id == LUMA_TYPE_DATE && to.id == LUMA_TYPE_TIMESTAMP;
}

static bool
number_of(const struct luma_value *v, struct number *out)
{
    out->scale = 0;
    switch (v->phys) {
    case LUMA_PHYS_I16:
        out->v = v->i16;
        return true;
    case LUMA_PHYS_I32:
        out->v = v->i32;
        return true;
    case LUMA_PHYS_I64:
        out->v = v->i64;
        break;
    case LUMA_PHYS_I128:
        out->v = v->i128;
        break;
    case LUMA_PHYS_STR: {
        if (v->type.id != LUMA_TYPE_NUMERIC)
            return false;
        int scale = eng.data->numeric_dscale(&v->str);
        if (scale < 0 || scale > 30 ||
            eng.data->numeric_to_i128(&v->str, (int16_t)scale, &out->v) != LUMA_OK)
            return false;
        out->scale = (int16_t)scale;
        return true;
    }
    default:
        return false;
    }
    if (v->type.id == LUMA_TYPE_NUMERIC)
        out->scale = v->scale;
    return true;
}

static luma_i128
floor_div(luma_i128 a, luma_i128 b)
{
    luma_i128 q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* Largest multiple of the column's unit that is not above the number; false: out of any range. */
static bool
floor_to(const struct number *n, int16_t scale, luma_i128 *out, bool *out_exact)
{
    luma_i128 v = n->v, p = 1;
    for (int16_t s = n->scale; s < scale; s++)
        if (__builtin_mul_overflow(v, (luma_i128)10, &v))
            return false;
    for (int16_t s = scale; s < n->scale; s++)
        p *= 10;
    *out = floor_div(v, p);
    *out_exact = *out * p == v;
    return true;
}

/* x op v for x on a grid, v between grid points perhaps: v's floor and what op becomes. */
static enum pred_fit
grid_op(enum luma_pred_op op, bool exact, enum luma_pred_op *out_op)
{
    *out_op = op;
    if (exact)
        return PRED_FITS;
    switch (op) {
    case LUMA_PRED_EQ:
        return PRED_NEVER;
    case LUMA_PRED_NE:
        return PRED_ALWAYS;
    case LUMA_PRED_LT:
        *out_op = LUMA_PRED_LE;
        return PRED_FITS;
    case LUMA_PRED_GE:
        *out_op = LUMA_PRED_GT;
        return PRED_FITS;
    default:
        return PRED_FITS;
    }
}

static enum pred_fit
beyond(enum luma_pred_op op, bool above)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return PRED_NEVER;
    case LUMA_PRED_NE:
        return PRED_ALWAYS;
    case LUMA_PRED_LT:
    case LUMA_PRED_LE:
        return above ? PRED_ALWAYS : PRED_NEVER;
    default:
        return above ? PRED_NEVER : PRED_ALWAYS;
    }
}

static enum pred_fit
fit_number(struct luma_type col, enum luma_pred_op op, const struct luma_value *value,
           enum luma_pred_op *out_op, struct luma_value *out)
{
    struct number n;
    luma_i128 floor;
    bool exact;
    enum luma_phys phys = luma_type_phys(col);
    int16_t scale = col.id == LUMA_TYPE_NUMERIC ? col.scale : (int16_t)0;
    if (!number_of(value, &n))
        return PRED_CANNOT;
    if (!floor_to(&n, scale, &floor, &exact))
        return beyond(op, n.v > 0);
    luma_i128 lo = INT64_MIN, hi = INT64_MAX;
    if (phys == LUMA_PHYS_I16) {
        lo = INT16_MIN;
        hi = INT16_MAX;
    } else if (phys == LUMA_PHYS_I32) {
        lo = INT32_MIN;
        hi = INT32_MAX;
    }
    if (phys != LUMA_PHYS_I128 && (floor > hi || floor < lo))
        return beyond(op, floor > hi);
    out->phys = (uint8_t)phys;
    out->scale = scale;
    if (phys == LUMA_PHYS_I16)
        out->i16 = (int16_t)floor;
    else if (phys == LUMA_PHYS_I32)
        out->i32 = (int32_t)floor;
    else if (phys == LUMA_PHYS_I64)
        out->i64 = (int64_t)floor;
    else
        out->i128 = floor;
    return grid_op(op, exact, out_op);
}

static enum pred_fit
fit_date(enum luma_pred_op op, const struct luma_value *value, enum luma_pred_op *out_op,
         struct luma_value *out)
{
    out->phys = LUMA_PHYS_I32;
    if (value->i64 == INT64_MAX || value->i64 == INT64_MIN) {
        out->i32 = value->i64 > 0 ? INT32_MAX : INT32_MIN;
        *out_op = op;
        return PRED_FITS;
    }
    luma_i128 day = floor_div(value->i64, US_PER_DAY);
    out->i32 = (int32_t)day;
    return grid_op(op, day * US_PER_DAY == value->i64, out_op);
}

enum pred_fit
eng_pred_fit(struct luma_type col, enum luma_pred_op op, const struct luma_value *value,
             enum luma_pred_op *out_op, struct luma_value *out)
{
    *out_op = op;
    if (value->is_null)
        return PRED_NEVER;
    *out = *value;
    out->type = col;
    enum luma_phys phys = luma_type_phys(col);
    bool number = value->type.id == LUMA_TYPE_NUMERIC || is_int(value->type.id);
    if ((is_int(col.id) || (col.id == LUMA_TYPE_NUMERIC && phys != LUMA_PHYS_STR)) && number)
        return fit_number(col, op, value, out_op, out);
    if (col.id == LUMA_TYPE_DATE && value->type.id == LUMA_TYPE_TIMESTAMP)
        return fit_date(op, value, out_op, out);
    if (col.id == LUMA_TYPE_TIMESTAMP && value->type.id == LUMA_TYPE_DATE) {
        out->phys = LUMA_PHYS_I64;
        out->i64 = value->i32 == INT32_MAX   ? INT64_MAX
                   : value->i32 == INT32_MIN ? INT64_MIN
                                             : (int64_t)value->i32 * US_PER_DAY;
        return PRED_FITS;
    }
    if (is_text(col.id) && is_text(value->type.id))
        return PRED_FITS;
    bool plain = col.id == value->type.id && col.id != LUMA_TYPE_NUMERIC &&
                 col.id != LUMA_TYPE_BPCHAR && col.id != LUMA_TYPE_ARRAY &&
                 col.id != LUMA_TYPE_JSON && col.id != LUMA_TYPE_JSONB &&
                 col.id != LUMA_TYPE_INTERVAL && value->phys == phys;
    return plain ? PRED_FITS : PRED_CANNOT;
}
