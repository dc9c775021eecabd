/* function/core/cast_time.c - casts among dates, times, timestamps and intervals. */
#include "core.h"

#define DAY_US INT64_C(86400000000)

static inline bool
is_finite(int64_t us)
{
    return us != INT64_MAX && us != INT64_MIN;
}

static int64_t
floor_day(int64_t us)
{
    return us / DAY_US - (us % DAY_US < 0);
}

/* Rounds to the declared digits of seconds. */
static int64_t
round_to(int64_t us, int32_t digits)
{
    static const int64_t unit[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int64_t u;

    if (digits < 0 || digits >= 6 || !is_finite(us))
        return us;
    u = unit[digits];
    return us >= 0 ? (us + u / 2) / u * u : -((-us + u / 2) / u * u);
}

static luma_rc
out_of_range(const struct luma_func_call *call, const char *what)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "%s out of range", what);
}

static luma_rc
to_utc(const struct luma_func_call *call, int64_t local, int64_t *out)
{
    struct luma_civil civil;

    *out = local;
    if (!is_finite(local) || call->format->zone == NULL)
        return LUMA_OK;
    core_host->data->civil_from_timestamp(local, NULL, &civil);
    if (core_host->data->timestamp_from_civil(&civil, call->format->zone, out) != LUMA_OK)
        return out_of_range(call, "timestamp");
    return LUMA_OK;
}

static int64_t
to_local(const struct luma_func_call *call, int64_t us)
{
    struct luma_civil civil;

    if (!is_finite(us) || call->format->zone == NULL)
        return us;
    core_host->data->civil_from_timestamp(us, call->format->zone, &civil);
    return us + civil.gmtoff * INT64_C(1000000);
}

static luma_rc
date_to_us(const struct luma_func_call *call, int32_t date, int64_t *out)
{
    if (date == INT32_MAX || date == INT32_MIN) {
        *out = date > 0 ? INT64_MAX : INT64_MIN;
        return LUMA_OK;
    }
    if (date > 106751982)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "date out of range for timestamp");
    *out = date * DAY_US;
    return LUMA_OK;
}

static int32_t
us_to_date(int64_t us)
{
    if (!is_finite(us))
        return us > 0 ? INT32_MAX : INT32_MIN;
    return (int32_t)floor_day(us);
}

CORE_EVAL(date_timestamp)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(date_to_us(call, luma_arg_i32(&args[0], i), &r[i]));
    }
    return LUMA_OK;
}

CORE_EVAL(date_timestamptz)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = 0;
        LUMA_TRY(date_to_us(call, luma_arg_i32(&args[0], i), &us));
        LUMA_TRY(to_utc(call, us, &r[i]));
    }
    return LUMA_OK;
}

CORE_EVAL(timestamp_date)
{
    int32_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = us_to_date(luma_arg_i64(&args[0], i));
    }
    return LUMA_OK;
}

CORE_EVAL(timestamptz_date)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = us_to_date(to_local(call, luma_arg_i64(&args[0], i)));
    }
    return LUMA_OK;
}

CORE_EVAL(timestamp_timestamptz)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = 0;
        LUMA_TRY(to_utc(call, luma_arg_i64(&args[0], i), &us));
        r[i] = round_to(us, call->result.mod);
    }
    return LUMA_OK;
}

CORE_EVAL(timestamptz_timestamp)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = round_to(to_local(call, luma_arg_i64(&args[0], i)), call->result.mod);
    }
    return LUMA_OK;
}

static luma_rc
time_of_day(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
            uint32_t rows, struct luma_vec *out, bool zoned)
{
    int64_t *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = luma_arg_i64(&args[0], i);
        if (!is_finite(us)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        if (zoned)
            us = to_local(call, us);
        r[i] = round_to(us - floor_day(us) * DAY_US, call->result.mod);
    }
    return LUMA_OK;
}

CORE_EVAL(timestamp_time)
{
    (void)args_count;
    return time_of_day(call, args, sel, rows, out, false);
}

CORE_EVAL(timestamptz_time)
{
    (void)args_count;
    return time_of_day(call, args, sel, rows, out, true);
}

CORE_EVAL(time_interval)
{
    struct luma_interval *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = (struct luma_interval){luma_arg_i64(&args[0], i), 0, 0};
    }
    return LUMA_OK;
}

CORE_EVAL(interval_time)
{
    const struct luma_interval *px = args[0].data;
    size_t sx = luma_vec_stride(&args[0]);
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = px[i * sx].microseconds;
        r[i] = round_to(us - floor_day(us) * DAY_US, call->result.mod);
    }
    return LUMA_OK;
}

/* time(p), timestamp(p) */
CORE_EVAL(round_usecs)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = round_to(luma_arg_i64(&args[0], i), call->result.mod);
    }
    return LUMA_OK;
}

CORE_EVAL(round_interval)
{
    const struct luma_interval *px = args[0].data;
    size_t sx = luma_vec_stride(&args[0]);
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = px[i * sx];
        r[i].microseconds = round_to(r[i].microseconds, call->result.mod);
    }
    return LUMA_OK;
}

#define CAST(from_, to_, flags_, eval_)                                                         \
    LUMA_FUNC_OP(#to_, LUMA_FUNC_STRICT | LUMA_FUNC_CAST | (flags_), LUMA_OP_CAST, LUMA_T(to_), \
                 eval_, LUMA_T(from_))
#define ASSIGN   LUMA_FUNC_CAST_ASSIGN
#define IMPLICIT (LUMA_FUNC_CAST_ASSIGN | LUMA_FUNC_CAST_IMPLICIT)
#define ZONED    LUMA_FUNC_STABLE

static const struct luma_func cast_functions[] = {
    CAST(DATE, TIMESTAMP, IMPLICIT, date_timestamp),
    CAST(DATE, TIMESTAMPTZ, IMPLICIT | ZONED, date_timestamptz),
    CAST(TIMESTAMP, DATE, ASSIGN, timestamp_date),
    CAST(TIMESTAMP, TIME, ASSIGN, timestamp_time),
    CAST(TIMESTAMP, TIMESTAMPTZ, IMPLICIT | ZONED, timestamp_timestamptz),
    CAST(TIMESTAMPTZ, DATE, ASSIGN | ZONED, timestamptz_date),
    CAST(TIMESTAMPTZ, TIME, ASSIGN | ZONED, timestamptz_time),
    CAST(TIMESTAMPTZ, TIMESTAMP, ASSIGN | ZONED, timestamptz_timestamp),
    CAST(TIME, INTERVAL, IMPLICIT, time_interval),
    CAST(INTERVAL, TIME, ASSIGN, interval_time),
    CAST(TIME, TIME, IMPLICIT, round_usecs),
    CAST(TIMESTAMP, TIMESTAMP, IMPLICIT, round_usecs),
    CAST(TIMESTAMPTZ, TIMESTAMPTZ, IMPLICIT, round_usecs),
    CAST(INTERVAL, INTERVAL, IMPLICIT, round_interval),
};

const struct luma_func_part core_cast_time = {cast_functions, LUMA_COUNTOF(cast_functions)};
