/* function/datetime/make.c - make_date and its kin, justify_*, isfinite. */
#include <math.h>

#include "datetime.h"

static bool
valid_date(int32_t y, int32_t m, int32_t d, int32_t *out)
{
    int32_t y2, m2, d2;

    if (y == 0 || m < 1 || m > 12 || d < 1 || d > 31 || y > 5874897 || y < -4714)
        return false;
    if (y < 0)
        y++; /* there is no year zero */
    *out = dt_host->data->date_from_ymd(y, m, d);
    dt_host->data->ymd_from_date(*out, &y2, &m2, &d2);
    return y == y2 && m == m2 && d == d2;
}

DT_EVAL(make_date)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int32_t y = luma_arg_i32(&args[0], i), m = luma_arg_i32(&args[1], i);
        int32_t d = luma_arg_i32(&args[2], i);
        if (!valid_date(y, m, d, &r[i]))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "date field value out of range: %d-%02d-%02d", y, m, d);
    }
    return LUMA_OK;
}

static bool
valid_time(int32_t h, int32_t m, double s, int64_t *out)
{
    if (h < 0 || m < 0 || m > 59 || !(s >= 0 && s <= 60) || h > 24 || (h == 24 && (m > 0 || s > 0)))
        return false;
    *out = h * USECS_PER_HOUR + m * USECS_PER_MINUTE + (int64_t)rint(s * 1e6);
    return true;
}

DT_EVAL(make_time)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int32_t h = luma_arg_i32(&args[0], i), m = luma_arg_i32(&args[1], i);
        double s = luma_arg_f64(&args[2], i);
        if (!valid_time(h, m, s, &r[i]))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "time field value out of range: %d:%02d:%02g", h, m, s);
    }
    return LUMA_OK;
}

DT_EVAL(make_timestamp)
{
    bool zoned = call->func->result.id == LUMA_TYPE_TIMESTAMPTZ;
    int64_t *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_zone *zone = call->format->zone;
        int32_t y = luma_arg_i32(&args[0], i), m = luma_arg_i32(&args[1], i);
        int32_t d = luma_arg_i32(&args[2], i), date;
        int64_t time;
        if (!valid_date(y, m, d, &date))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "date field value out of range: %d-%02d-%02d", y, m, d);
        if (!valid_time(luma_arg_i32(&args[3], i), luma_arg_i32(&args[4], i),
                        luma_arg_f64(&args[5], i), &time))
            return LUMA_FAIL_SQL(
                call->ctx, LUMA_E_RANGE, "22008", "time field value out of range: %d:%02d:%02g",
                luma_arg_i32(&args[3], i), luma_arg_i32(&args[4], i), luma_arg_f64(&args[5], i));
        if (date > 106751982)
            return dt_out_of_range(call, "timestamp");
        r[i] = date * USECS_PER_DAY + time;
        if (args_count > 6)
            LUMA_TRY(dt_find_zone(call, luma_arg_str(&args[6], i), &zone));
        if (zoned)
            LUMA_TRY(dt_to_utc(call, zone, r[i], &r[i]));
    }
    return LUMA_OK;
}

/* make_interval(years, months, weeks, days, hours, mins, secs), any number of them */
DT_EVAL(make_interval)
{
    struct luma_interval *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        double part[7] = {0};
        for (uint32_t a = 0; a < args_count; a++)
            part[a] = a == 6 ? luma_arg_f64(&args[a], i) : luma_arg_i32(&args[a], i);
        if (isnan(part[6]) || isinf(part[6]))
            return dt_out_of_range(call, "interval");
        LUMA_TRY(dt_interval_of(call, part[0] * 12 + part[1], part[2] * 7 + part[3],
                                part[4] * 3600e6 + part[5] * 60e6 + rint(part[6] * 1e6), &r[i]));
    }
    return LUMA_OK;
}

/* --- justify --- */

static void
justify_hours(struct luma_interval *iv)
{
    int64_t days = iv->microseconds / USECS_PER_DAY;

    iv->microseconds -= days * USECS_PER_DAY;
    iv->days += (int32_t)days;
    if (iv->days > 0 && iv->microseconds < 0) {
        iv->microseconds += USECS_PER_DAY;
        iv->days--;
    } else if (iv->days < 0 && iv->microseconds > 0) {
        iv->microseconds -= USECS_PER_DAY;
        iv->days++;
    }
}

static void
justify_days(struct luma_interval *iv)
{
    int32_t months = iv->days / 30;

    iv->days -= months * 30;
    iv->months += months;
    if (iv->months > 0 && iv->days < 0) {
        iv->days += 30;
        iv->months--;
    } else if (iv->months < 0 && iv->days > 0) {
        iv->days -= 30;
        iv->months++;
    }
}

static void
justify_all(struct luma_interval *iv)
{
    int64_t days = iv->microseconds / USECS_PER_DAY;
    int32_t months;

    iv->microseconds -= days * USECS_PER_DAY;
    iv->days += (int32_t)days;
    months = iv->days / 30;
    iv->days -= months * 30;
    iv->months += months;
    if (iv->months > 0 && (iv->days < 0 || (iv->days == 0 && iv->microseconds < 0))) {
        iv->days += 30;
        iv->months--;
    } else if (iv->months < 0 && (iv->days > 0 || (iv->days == 0 && iv->microseconds > 0))) {
        iv->days -= 30;
        iv->months++;
    }
    if (iv->days > 0 && iv->microseconds < 0) {
        iv->microseconds += USECS_PER_DAY;
        iv->days--;
    } else if (iv->days < 0 && iv->microseconds > 0) {
        iv->microseconds -= USECS_PER_DAY;
        iv->days++;
    }
}

DT_EVAL(justify)
{
    char which = call->func->name[8]; /* justify_hours, _days, _interval */
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = *dt_arg_interval(&args[0], i);
        if (which == 'h')
            justify_hours(&r[i]);
        else if (which == 'd')
            justify_days(&r[i]);
        else
            justify_all(&r[i]);
    }
    return LUMA_OK;
}

DT_EVAL(is_finite)
{
    uint8_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        if (args[0].type.id == LUMA_TYPE_INTERVAL)
            r[i] = true;
        else if (args[0].type.id == LUMA_TYPE_DATE)
            r[i] = luma_arg_i32(&args[0], i) != INT32_MAX && luma_arg_i32(&args[0], i) != INT32_MIN;
        else
            r[i] = dt_finite(luma_arg_i64(&args[0], i));
    }
    return LUMA_OK;
}

#define BOOL LUMA_T(BOOL)

static const struct luma_func make_functions[] = {
    LUMA_FUNC("make_date", STRICT, DATE, make_date, INT, INT, INT),
    LUMA_FUNC("make_time", STRICT, TIME, make_time, INT, INT, FLOAT8),
    LUMA_FUNC("make_timestamp", STRICT, TIMESTAMP, make_timestamp, INT, INT, INT, INT, INT, FLOAT8),
    LUMA_FUNC("make_timestamptz", STABLE, TIMESTAMPTZ, make_timestamp, INT, INT, INT, INT, INT,
              FLOAT8),
    LUMA_FUNC("make_timestamptz", STABLE, TIMESTAMPTZ, make_timestamp, INT, INT, INT, INT, INT,
              FLOAT8, TEXT),
    LUMA_FUNC0("make_interval", STRICT, INTERVAL, make_interval),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT, INT, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT, INT, INT, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT, INT, INT, INT, INT),
    LUMA_FUNC("make_interval", STRICT, INTERVAL, make_interval, INT, INT, INT, INT, INT, INT,
              FLOAT8),
    LUMA_FUNC("justify_hours", STRICT, INTERVAL, justify, INTERVAL),
    LUMA_FUNC("justify_days", STRICT, INTERVAL, justify, INTERVAL),
    LUMA_FUNC("justify_interval", STRICT, INTERVAL, justify, INTERVAL),
    LUMA_FUNC("isfinite", STRICT, BOOL, is_finite, DATE),
    LUMA_FUNC("isfinite", STRICT, BOOL, is_finite, TIMESTAMP),
    LUMA_FUNC("isfinite", STRICT, BOOL, is_finite, TIMESTAMPTZ),
    LUMA_FUNC("isfinite", STRICT, BOOL, is_finite, INTERVAL),
};

const struct luma_func_part dt_make = {make_functions, LUMA_COUNTOF(make_functions)};
