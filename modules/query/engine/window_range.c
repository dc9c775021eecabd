/*
 * window_range.c - where a RANGE frame with an offset ends: at the value of the current row plus or
 * minus the offset, exactly. Whole numbers, times and intervals are one 128-bit number each.
 */
#include "window.h"

#define DAY_US  ((luma_i128)86400000000)
#define ENDLESS ((luma_i128)1 << 100) /* beyond every date and time */

static luma_i128
interval_us(const struct luma_interval *iv)
{
    return ((luma_i128)iv->months * 30 + iv->days) * DAY_US + iv->microseconds;
}

static luma_i128
exact_of(const struct luma_value *v)
{
    if (v->type.id == LUMA_TYPE_INTERVAL)
        return interval_us(&v->interval);
    if (v->type.id == LUMA_TYPE_DATE)
        return v->i32 == INT32_MAX ? ENDLESS : v->i32 == INT32_MIN ? -ENDLESS : v->i32 * DAY_US;
    if (v->phys == LUMA_PHYS_I16)
        return v->i16;
    return v->phys == LUMA_PHYS_I32 ? v->i32 : v->i64;
}

static double
float_of(const struct luma_value *v)
{
    return v->phys == LUMA_PHYS_F32 ? (double)v->f32 : v->f64;
}

static luma_rc
bad_size(struct luma_ctx *ctx)
{
    return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "22013",
                         "invalid preceding or following size in window function");
}

static luma_rc
float_edge(struct luma_ctx *ctx, double key, double offset, bool back, struct win_edge *out)
{
    if (__builtin_isnan(offset) || offset < 0)
        return bad_size(ctx);
    out->kind = WIN_EDGE_FLOAT;
    /* As far from one end as the other end is: every row is within. */
    if (__builtin_isinf(offset) && __builtin_isinf(key) && (back ? key > 0 : key < 0))
        out->kind = WIN_EDGE_NONE;
    out->f64 = back ? key - offset : key + offset;
    return LUMA_OK;
}

/* The form that has room for every number. */
static luma_rc
numeric_str(struct xenv *e, const struct luma_value *v, struct luma_str *out)
{
    luma_rc rc = LUMA_OK;
    *out = v->str;
    if (v->phys == LUMA_PHYS_I64)
        rc = eng.data->numeric_from_i128(e->arena, v->i64, v->scale, out);
    else if (v->phys != LUMA_PHYS_STR)
        rc = eng.data->numeric_from_i128(e->arena, v->i128, v->scale, out);
    return rc == LUMA_OK ? rc : ENG_NOMEM(e->ctx, "a window function");
}

static bool
is_nan(const struct luma_str *numeric)
{
    return __builtin_isnan(eng.data->numeric_to_f64(numeric));
}

static luma_rc
numeric_edge(struct xenv *e, const struct luma_value *key, const struct luma_value *offset,
             bool back, struct win_edge *out)
{
    struct luma_str at, by, zero;
    LUMA_TRY(numeric_str(e, key, &at));
    LUMA_TRY(numeric_str(e, offset, &by));
    if (eng.data->numeric_from_i128(e->arena, 0, 0, &zero) != LUMA_OK)
        return ENG_NOMEM(e->ctx, "a window function");
    if (is_nan(&by) || eng.data->numeric_compare(&by, &zero) < 0)
        return bad_size(e->ctx);
    memset(&out->value, 0, sizeof(out->value));
    out->value.type = luma_type(LUMA_TYPE_NUMERIC);
    out->value.phys = LUMA_PHYS_STR;
    LUMA_TRY(eng.data->numeric_op(e->ctx, e->arena, back ? LUMA_NUMERIC_SUB : LUMA_NUMERIC_ADD, &at,
                                  &by, &out->value.str));
    out->kind = is_nan(&out->value.str) && !is_nan(&at) ? WIN_EDGE_NONE : WIN_EDGE_NUMERIC;
    return LUMA_OK;
}

/* A date or time plus an interval, by the calendar. */
static luma_rc
calendar_edge(struct xenv *e, const struct luma_value *key, const struct luma_interval *iv,
              bool back, luma_i128 *out)
{
    struct luma_interval by = *iv;
    luma_i128 at = exact_of(key);
    bool endless = key->type.id == LUMA_TYPE_DATE ? at == ENDLESS || at == -ENDLESS
                                                  : at == INT64_MAX || at == INT64_MIN;
    const struct luma_zone *zone =
        key->type.id == LUMA_TYPE_TIMESTAMPTZ ? e->x->format->zone : NULL;
    int64_t us = 0;
    *out = at;
    if (endless)
        return LUMA_OK;
    bool fits = at > INT64_MIN && at < INT64_MAX;
    if (back)
        fits = fits && !__builtin_sub_overflow(0, iv->months, &by.months) &&
               !__builtin_sub_overflow(0, iv->days, &by.days) &&
               !__builtin_sub_overflow(0, iv->microseconds, &by.microseconds);
    if (!fits || eng.data->timestamp_add_interval((int64_t)at, &by, zone, &us) != LUMA_OK)
        return LUMA_FAIL_SQL(e->ctx, LUMA_E_RANGE, "22008", "timestamp out of range");
    *out = us;
    return LUMA_OK;
}

luma_rc
eng_window_edge(struct xenv *e, const struct luma_value *key, const struct luma_value *offset,
                bool back, struct win_edge *out)
{
    memset(out, 0, sizeof(*out));
    switch (key->type.id) {
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8:
        return float_edge(e->ctx, float_of(key), float_of(offset), back, out);
    case LUMA_TYPE_NUMERIC:
        return numeric_edge(e, key, offset, back, out);
    default:
        break;
    }
    luma_i128 by =
        key->type.id == LUMA_TYPE_TIME ? offset->interval.microseconds : exact_of(offset);
    if (by < 0)
        return bad_size(e->ctx);
    out->kind = WIN_EDGE_EXACT;
    if (key->type.id == LUMA_TYPE_DATE || key->type.id == LUMA_TYPE_TIMESTAMP ||
        key->type.id == LUMA_TYPE_TIMESTAMPTZ)
        return calendar_edge(e, key, &offset->interval, back, &out->exact);
    out->exact = exact_of(key) + (back ? -by : by);
    return LUMA_OK;
}

/* NaN is greater than all others, and its own peer. */
static int
float_compare(double a, double b)
{
    if (__builtin_isnan(a) || __builtin_isnan(b))
        return __builtin_isnan(a) - __builtin_isnan(b);
    return (a > b) - (a < b);
}

static bool
value_is_nan(const struct luma_value *v)
{
    if (v->type.id == LUMA_TYPE_NUMERIC)
        return v->phys == LUMA_PHYS_STR && is_nan(&v->str);
    return __builtin_isnan(float_of(v));
}

bool
eng_window_before_edge(const struct win_edge *edge, const struct luma_value *v, bool desc,
                       bool upper)
{
    int c = 0;
    if (edge->kind == WIN_EDGE_NONE && !value_is_nan(v))
        return upper;
    if (edge->kind == WIN_EDGE_NONE)
        c = 1;
    else if (edge->kind == WIN_EDGE_FLOAT)
        c = float_compare(float_of(v), edge->f64);
    else if (edge->kind == WIN_EDGE_NUMERIC)
        c = eng.data->value_compare(v, &edge->value);
    else
        c = (exact_of(v) > edge->exact) - (exact_of(v) < edge->exact);
    c = desc ? -c : c;
    return upper ? c <= 0 : c < 0;
}

bool
eng_window_range_fits(struct luma_type key, struct luma_type offset)
{
    switch (key.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
        return offset.id == LUMA_TYPE_INT2 || offset.id == LUMA_TYPE_INT4 ||
               offset.id == LUMA_TYPE_INT8;
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8:
        return offset.id == LUMA_TYPE_FLOAT4 || offset.id == LUMA_TYPE_FLOAT8;
    case LUMA_TYPE_NUMERIC:
        return offset.id == LUMA_TYPE_NUMERIC;
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_INTERVAL:
        return offset.id == LUMA_TYPE_INTERVAL;
    default:
        return false;
    }
}
