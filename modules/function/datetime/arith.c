/* function/datetime/arith.c - + - * / of dates, times, timestamps and intervals. */
#include <math.h>

#include "datetime.h"

/* --- dates --- */

static luma_rc
shift_date(const struct luma_func_call *call, int32_t date, int64_t days, int32_t *out)
{
    int64_t sum = date + days;

    if (date == INT32_MAX || date == INT32_MIN) {
        *out = date;
        return LUMA_OK;
    }
    if (sum < -2451545 || sum >= 2145031949)
        return dt_out_of_range(call, "date");
    *out = (int32_t)sum;
    return LUMA_OK;
}

DT_EVAL(date_plus_int)
{
    int32_t *r = out->data;
    bool minus = call->func->name[0] == '-';
    uint32_t date_at = call->func->args[0].id == LUMA_TYPE_DATE ? 0 : 1;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t days = luma_arg_i32(&args[1 - date_at], i);
        LUMA_TRY(shift_date(call, luma_arg_i32(&args[date_at], i), minus ? -days : days, &r[i]));
    }
    return LUMA_OK;
}

DT_EVAL(date_minus_date)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int32_t x = luma_arg_i32(&args[0], i), y = luma_arg_i32(&args[1], i);
        if (x == INT32_MAX || x == INT32_MIN || y == INT32_MAX || y == INT32_MIN)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "cannot subtract infinite dates");
        r[i] = x - y;
    }
    return LUMA_OK;
}

DT_EVAL(date_plus_time)
{
    uint32_t date_at = call->func->args[0].id == LUMA_TYPE_DATE ? 0 : 1;
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = 0;
        LUMA_TRY(dt_date_us(call, luma_arg_i32(&args[date_at], i), &us));
        r[i] = dt_finite(us) ? us + luma_arg_i64(&args[1 - date_at], i) : us;
    }
    return LUMA_OK;
}

/* --- timestamps and intervals --- */

/* date, timestamp or timestamptz with an interval, in either order. */
DT_EVAL(instant_interval)
{
    const struct luma_host_data *data = dt_host->data;
    uint32_t at = call->func->args[0].id == LUMA_TYPE_INTERVAL ? 1 : 0;
    const struct luma_zone *zone =
        call->func->args[at].id == LUMA_TYPE_TIMESTAMPTZ ? call->format->zone : NULL;
    bool minus = call->func->name[0] == '-';
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_interval iv = *dt_arg_interval(&args[1 - at], i);
        int64_t us = 0;
        if (args[at].type.id == LUMA_TYPE_DATE)
            LUMA_TRY(dt_date_us(call, luma_arg_i32(&args[at], i), &us));
        else
            us = luma_arg_i64(&args[at], i);
        if (minus) {
            if (iv.months == INT32_MIN || iv.days == INT32_MIN || iv.microseconds == INT64_MIN)
                return dt_out_of_range(call, "interval");
            iv = (struct luma_interval){-iv.microseconds, -iv.days, -iv.months};
        }
        if (data->timestamp_add_interval(us, &iv, zone, &r[i]) != LUMA_OK)
            return dt_out_of_range(call, "timestamp");
    }
    return LUMA_OK;
}

/* Whole days apart from the rest. */
DT_EVAL(instant_minus_instant)
{
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t x = luma_arg_i64(&args[0], i), y = luma_arg_i64(&args[1], i), us;
        if (!dt_finite(x) || !dt_finite(y))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "cannot subtract infinite timestamps");
        if (__builtin_sub_overflow(x, y, &us))
            return dt_out_of_range(call, "interval");
        r[i] = (struct luma_interval){us % USECS_PER_DAY, (int32_t)(us / USECS_PER_DAY), 0};
    }
    return LUMA_OK;
}

DT_EVAL(time_interval)
{
    uint32_t at = call->func->args[0].id == LUMA_TYPE_INTERVAL ? 1 : 0;
    bool minus = call->func->name[0] == '-';
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t iv = dt_arg_interval(&args[1 - at], i)->microseconds % USECS_PER_DAY;
        int64_t us = luma_arg_i64(&args[at], i) + (minus ? -iv : iv);
        r[i] = us - dt_floor_day(us) * USECS_PER_DAY;
    }
    return LUMA_OK;
}

DT_EVAL(time_minus_time)
{
    struct luma_interval *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = (struct luma_interval){luma_arg_i64(&args[0], i) - luma_arg_i64(&args[1], i), 0, 0};
    }
    return LUMA_OK;
}

DT_EVAL(interval_interval)
{
    bool minus = call->func->name[0] == '-';
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_interval *x = dt_arg_interval(&args[0], i);
        const struct luma_interval *y = dt_arg_interval(&args[1], i);
        struct luma_interval v;
        bool bad = false;
        if (minus) {
            bad |= __builtin_sub_overflow(x->months, y->months, &v.months);
            bad |= __builtin_sub_overflow(x->days, y->days, &v.days);
            bad |= __builtin_sub_overflow(x->microseconds, y->microseconds, &v.microseconds);
        } else {
            bad |= __builtin_add_overflow(x->months, y->months, &v.months);
            bad |= __builtin_add_overflow(x->days, y->days, &v.days);
            bad |= __builtin_add_overflow(x->microseconds, y->microseconds, &v.microseconds);
        }
        if (bad)
            return dt_out_of_range(call, "interval");
        r[i] = v;
    }
    return LUMA_OK;
}

DT_EVAL(interval_negate)
{
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_interval *x = dt_arg_interval(&args[0], i);
        if (x->months == INT32_MIN || x->days == INT32_MIN || x->microseconds == INT64_MIN)
            return dt_out_of_range(call, "interval");
        r[i] = (struct luma_interval){-x->microseconds, -x->days, -x->months};
    }
    return LUMA_OK;
}

/* Fractions of months go down into days, of days into time. */
static luma_rc
scale_interval(const struct luma_func_call *call, const struct luma_interval *x, double factor,
               struct luma_interval *out)
{
    double months = x->months * factor, days = x->days * factor, whole, month_days, seconds;

    if (isnan(factor) || isinf(factor))
        return dt_out_of_range(call, "interval");
    whole = trunc(months);
    month_days = (months - whole) * 30;
    month_days = rint(month_days * 1e6) / 1e6;
    seconds = (days - trunc(days)) + (month_days - trunc(month_days));
    seconds = rint(seconds * 86400.0 * 1e6) / 1e6;
    days = trunc(days);
    if (fabs(seconds) >= 86400) {
        days += trunc(seconds / 86400);
        seconds -= trunc(seconds / 86400) * 86400;
    }
    days += trunc(month_days);
    return dt_interval_of(call, whole, days, rint((double)x->microseconds * factor + seconds * 1e6),
                          out);
}

DT_EVAL(interval_times)
{
    uint32_t at = call->func->args[0].id == LUMA_TYPE_INTERVAL ? 0 : 1;
    bool divide = call->func->name[0] == '/';
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double factor = luma_arg_f64(&args[1 - at], i);
        if (divide && factor == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22012", "division by zero");
        LUMA_TRY(scale_interval(call, dt_arg_interval(&args[at], i), divide ? 1 / factor : factor,
                                &r[i]));
    }
    return LUMA_OK;
}

/* (start, end) OVERLAPS (start, end), half open; an end may be an interval. */
static luma_rc
end_of(const struct luma_func_call *call, const struct luma_vec *args, uint32_t at, uint32_t row,
       int64_t start, int64_t *out)
{
    if (args[at].type.id != LUMA_TYPE_INTERVAL) {
        *out = luma_arg_i64(&args[at], row);
        return LUMA_OK;
    }
    if (dt_host->data->timestamp_add_interval(
            start, dt_arg_interval(&args[at], row),
            args[at - 1].type.id == LUMA_TYPE_TIMESTAMPTZ ? call->format->zone : NULL,
            out) != LUMA_OK)
        return dt_out_of_range(call, "timestamp");
    return LUMA_OK;
}

DT_EVAL(overlaps)
{
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t s1 = luma_arg_i64(&args[0], i), s2 = luma_arg_i64(&args[2], i), e1 = 0, e2 = 0, t;
        LUMA_TRY(end_of(call, args, 1, i, s1, &e1));
        LUMA_TRY(end_of(call, args, 3, i, s2, &e2));
        if (e1 < s1)
            t = s1, s1 = e1, e1 = t;
        if (e2 < s2)
            t = s2, s2 = e2, e2 = t;
        r[i] = s1 > s2 ? s1 < e2 : s1 < s2 ? s2 < e1 : true;
    }
    return LUMA_OK;
}

#define PLUS(tr, tx, ty, eval_, flags_) \
    LUMA_FUNC_OP("+", OPERATOR | (flags_), LUMA_OP_ADD, DT_T_##tr, eval_, DT_T_##tx, DT_T_##ty)
#define MINUS(tr, tx, ty, eval_, flags_) \
    LUMA_FUNC_OP("-", OPERATOR | (flags_), LUMA_OP_SUB, DT_T_##tr, eval_, DT_T_##tx, DT_T_##ty)
#define ZONED LUMA_FUNC_STABLE
#define BOOL  LUMA_T(BOOL)

static const struct luma_func arith_functions[] = {
    PLUS(DATE, DATE, INT, date_plus_int, 0),
    PLUS(DATE, INT, DATE, date_plus_int, 0),
    MINUS(DATE, DATE, INT, date_plus_int, 0),
    MINUS(INT, DATE, DATE, date_minus_date, 0),
    PLUS(TIMESTAMP, DATE, TIME, date_plus_time, 0),
    PLUS(TIMESTAMP, TIME, DATE, date_plus_time, 0),
    PLUS(TIMESTAMP, DATE, INTERVAL, instant_interval, 0),
    PLUS(TIMESTAMP, INTERVAL, DATE, instant_interval, 0),
    MINUS(TIMESTAMP, DATE, INTERVAL, instant_interval, 0),
    PLUS(TIMESTAMP, TIMESTAMP, INTERVAL, instant_interval, 0),
    PLUS(TIMESTAMP, INTERVAL, TIMESTAMP, instant_interval, 0),
    MINUS(TIMESTAMP, TIMESTAMP, INTERVAL, instant_interval, 0),
    PLUS(TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL, instant_interval, ZONED),
    PLUS(TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, instant_interval, ZONED),
    MINUS(TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL, instant_interval, ZONED),
    MINUS(INTERVAL, TIMESTAMP, TIMESTAMP, instant_minus_instant, 0),
    MINUS(INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ, instant_minus_instant, 0),
    PLUS(TIME, TIME, INTERVAL, time_interval, 0),
    PLUS(TIME, INTERVAL, TIME, time_interval, 0),
    MINUS(TIME, TIME, INTERVAL, time_interval, 0),
    MINUS(INTERVAL, TIME, TIME, time_minus_time, 0),
    PLUS(INTERVAL, INTERVAL, INTERVAL, interval_interval, 0),
    MINUS(INTERVAL, INTERVAL, INTERVAL, interval_interval, 0),
    LUMA_FUNC_OP("-", OPERATOR, LUMA_OP_NEG, INTERVAL, interval_negate, INTERVAL),
    LUMA_FUNC("*", OPERATOR, INTERVAL, interval_times, INTERVAL, FLOAT8),
    LUMA_FUNC("*", OPERATOR, INTERVAL, interval_times, FLOAT8, INTERVAL),
    LUMA_FUNC("/", OPERATOR, INTERVAL, interval_times, INTERVAL, FLOAT8),
    LUMA_FUNC("overlaps", STRICT, BOOL, overlaps, TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMP),
    LUMA_FUNC("overlaps", STRICT, BOOL, overlaps, TIMESTAMP, INTERVAL, TIMESTAMP, INTERVAL),
    LUMA_FUNC("overlaps", STRICT, BOOL, overlaps, TIMESTAMP, TIMESTAMP, TIMESTAMP, INTERVAL),
    LUMA_FUNC("overlaps", STRICT, BOOL, overlaps, TIMESTAMP, INTERVAL, TIMESTAMP, TIMESTAMP),
    LUMA_FUNC("overlaps", STABLE, BOOL, overlaps, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ,
              TIMESTAMPTZ),
    LUMA_FUNC("overlaps", STABLE, BOOL, overlaps, TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, INTERVAL),
    LUMA_FUNC("overlaps", STRICT, BOOL, overlaps, TIME, TIME, TIME, TIME),
};

const struct luma_func_part dt_arith = {arith_functions, LUMA_COUNTOF(arith_functions)};
