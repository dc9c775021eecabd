/* function/datetime/now.c - the clock and time zones. */
#include <lumadb/host/sched.h>

#include <math.h>

#include "datetime.h"

static luma_rc
all_rows(const uint16_t *sel, uint32_t rows, int64_t us, struct luma_vec *out)
{
    int64_t *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        r[i] = us;
    }
    return LUMA_OK;
}

DT_EVAL(now)
{
    (void)args;
    (void)args_count;
    return all_rows(sel, rows, dt_now_us(call), out);
}

DT_EVAL(statement_timestamp)
{
    int64_t us = call->format->statement_us;

    (void)args;
    (void)args_count;
    return all_rows(sel, rows, us != 0 ? us : dt_now_us(call), out);
}

DT_EVAL(clock_timestamp)
{
    (void)call;
    (void)args;
    (void)args_count;
    return all_rows(sel, rows, dt_host->sched->wall_us() - EPOCH_USECS, out);
}

/* timezone(zone, timestamp): that wall clock there; timezone(zone, timestamptz): the wall clock
 * there at that instant. */
DT_EVAL(timezone)
{
    bool to_local = call->func->args[1].id == LUMA_TYPE_TIMESTAMPTZ;
    const struct luma_zone *zone = NULL;
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t us = luma_arg_i64(&args[1], i);
        if (zone == NULL || args[0].form != LUMA_VEC_CONST)
            LUMA_TRY(dt_find_zone(call, luma_arg_str(&args[0], i), &zone));
        if (to_local)
            r[i] = dt_to_local(zone, us);
        else
            LUMA_TRY(dt_to_utc(call, zone, us, &r[i]));
    }
    return LUMA_OK;
}

DT_EVAL(timezone_interval)
{
    bool to_local = call->func->args[1].id == LUMA_TYPE_TIMESTAMPTZ;
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_interval *iv = dt_arg_interval(&args[0], i);
        int64_t us = luma_arg_i64(&args[1], i);
        if (iv->months != 0 || iv->days != 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "interval time zone must not include months or days");
        r[i] = !dt_finite(us) ? us : to_local ? us + iv->microseconds : us - iv->microseconds;
    }
    return LUMA_OK;
}

/* Seconds since 1970. */
DT_EVAL(to_timestamp_seconds)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double s = luma_arg_f64(&args[0], i);
        if (isinf(s)) {
            r[i] = s > 0 ? INT64_MAX : INT64_MIN;
            continue;
        }
        if (isnan(s))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "timestamp cannot be NaN");
        if (s < -210866803200.0 || s >= 9224318016000.0)
            return dt_out_of_range(call, "timestamp");
        r[i] = (int64_t)rint((s - 946684800.0) * 1e6);
    }
    return LUMA_OK;
}

#define NOW(name_) LUMA_FUNC0(name_, STABLE, TIMESTAMPTZ, now)

static const struct luma_func now_functions[] = {
    NOW("now"),
    NOW("transaction_timestamp"),
    NOW("current_timestamp"),
    LUMA_FUNC0("statement_timestamp", STABLE, TIMESTAMPTZ, statement_timestamp),
    LUMA_FUNC0("clock_timestamp", LUMA_FUNC_VOLATILE, TIMESTAMPTZ, clock_timestamp),
    LUMA_FUNC("timezone", STRICT, TIMESTAMPTZ, timezone, TEXT, TIMESTAMP),
    LUMA_FUNC("timezone", STRICT, TIMESTAMP, timezone, TEXT, TIMESTAMPTZ),
    LUMA_FUNC("timezone", STRICT, TIMESTAMPTZ, timezone_interval, INTERVAL, TIMESTAMP),
    LUMA_FUNC("timezone", STRICT, TIMESTAMP, timezone_interval, INTERVAL, TIMESTAMPTZ),
    LUMA_FUNC("to_timestamp", STRICT, TIMESTAMPTZ, to_timestamp_seconds, FLOAT8),
};

const struct luma_func_part dt_now = {now_functions, LUMA_COUNTOF(now_functions)};
