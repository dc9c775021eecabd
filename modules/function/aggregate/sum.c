/* function/aggregate/sum.c - sum and avg, with PostgreSQL's result types and scales. */
#include <math.h>

#include "aggregate.h"

/* --- exact sums --- */

static bool
rescale(luma_i128 *v, int32_t up)
{
    for (; up > 0; up--)
        if (__builtin_mul_overflow(*v, (luma_i128)10, v))
            return false;
    return true;
}

/* Moves the 128-bit part into the variable form. */
static luma_rc
spill(const struct luma_func_call *call, struct exact_sum *s)
{
    const struct luma_host_data *data = aggregate_host->data;
    struct luma_str part;

    if (data->numeric_from_i128(call->arena, s->sum, (int16_t)s->scale, &part) != LUMA_OK)
        return luma_func_no_memory(call);
    if (s->big.bytes == 0)
        s->big = part;
    else
        LUMA_TRY(
            data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_ADD, &s->big, &part, &s->big));
    s->sum = 0;
    return LUMA_OK;
}

static luma_rc
add_big(const struct luma_func_call *call, struct exact_sum *s, const struct luma_str *str)
{
    if (s->big.bytes == 0) {
        char *copy = luma_func_room(call, str->bytes);
        if (copy == NULL)
            return luma_func_no_memory(call);
        memcpy(copy, luma_str_data(str), str->bytes);
        s->big = luma_str_make(copy, str->bytes);
        return LUMA_OK;
    }
    return aggregate_host->data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_ADD, &s->big, str,
                                            &s->big);
}

luma_rc
exact_add_i128(const struct luma_func_call *call, struct exact_sum *s, luma_i128 v, int32_t scale)
{
    luma_i128 sum;

    if (scale != s->scale) {
        if (scale > s->scale) {
            luma_i128 wider = s->sum;
            if (!rescale(&wider, scale - s->scale)) {
                LUMA_TRY(spill(call, s));
                wider = 0;
            }
            s->sum = wider;
            s->scale = scale;
        } else if (!rescale(&v, s->scale - scale)) {
            struct luma_str str;
            if (aggregate_host->data->numeric_from_i128(call->arena, v, (int16_t)scale, &str) !=
                LUMA_OK)
                return luma_func_no_memory(call);
            return add_big(call, s, &str);
        }
    }
    if (__builtin_add_overflow(s->sum, v, &sum)) {
        LUMA_TRY(spill(call, s));
        sum = v;
    }
    s->sum = sum;
    return LUMA_OK;
}

luma_rc
exact_add(const struct luma_func_call *call, struct exact_sum *s, const struct luma_vec *vec,
          uint32_t row)
{
    const struct luma_host_data *data = aggregate_host->data;
    const void *at = luma_vec_at(vec, row);
    luma_i128 v;

    s->count++;
    switch (vec->phys) {
    case LUMA_PHYS_I16:
        s->sum += *(const int16_t *)at;
        return LUMA_OK;
    case LUMA_PHYS_I32:
        s->sum += *(const int32_t *)at;
        return LUMA_OK;
    case LUMA_PHYS_I64:
        return exact_add_i128(call, s, *(const int64_t *)at,
                              vec->type.id == LUMA_TYPE_NUMERIC ? vec->scale : 0);
    case LUMA_PHYS_I128:
        return exact_add_i128(call, s, *(const luma_i128 *)at, vec->scale);
    default: {
        int32_t scale = data->numeric_dscale(at);
        if (scale < 30 && data->numeric_to_i128(at, (int16_t)scale, &v) == LUMA_OK)
            return exact_add_i128(call, s, v, scale);
        return add_big(call, s, at);
    }
    }
}

luma_rc
exact_merge(const struct luma_func_call *call, struct exact_sum *into, const struct exact_sum *from)
{
    into->count += from->count;
    if (from->big.bytes != 0)
        LUMA_TRY(add_big(call, into, &from->big));
    return exact_add_i128(call, into, from->sum, from->scale);
}

luma_rc
exact_total(const struct luma_func_call *call, const struct exact_sum *s, struct luma_str *out)
{
    struct exact_sum copy = *s;

    LUMA_TRY(spill(call, &copy));
    *out = copy.big;
    return LUMA_OK;
}

AGG_UPDATE(exact_update)
{
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++)
        LUMA_TRY(exact_add(call, states[k], &args[0], AGG_ROW(sel, k)));
    return LUMA_OK;
}

AGG_MERGE(exact_merge_states)
{
    return exact_merge(call, into, from);
}

AGG_FINISH(sum_numeric_finish)
{
    const struct exact_sum *s = state;
    struct luma_str str;

    value_null(out, luma_type(LUMA_TYPE_NUMERIC));
    if (s->count == 0)
        return LUMA_OK;
    if (s->big.bytes == 0 && (int64_t)s->sum == s->sum && s->scale <= INT16_MAX) {
        out->is_null = false;
        out->phys = LUMA_PHYS_I64;
        out->scale = (int16_t)s->scale;
        out->i64 = (int64_t)s->sum;
        return LUMA_OK;
    }
    LUMA_TRY(exact_total(call, s, &str));
    value_numeric(out, str);
    return LUMA_OK;
}

AGG_FINISH(sum_int8_finish)
{
    const struct exact_sum *s = state;

    value_null(out, luma_type(LUMA_TYPE_INT8));
    if (s->count == 0)
        return LUMA_OK;
    if ((int64_t)s->sum != s->sum)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "bigint out of range");
    out->is_null = false;
    out->i64 = (int64_t)s->sum;
    return LUMA_OK;
}

AGG_FINISH(avg_numeric_finish)
{
    const struct luma_host_data *data = aggregate_host->data;
    const struct exact_sum *s = state;
    struct luma_str total, count, result;

    value_null(out, luma_type(LUMA_TYPE_NUMERIC));
    if (s->count == 0)
        return LUMA_OK;
    LUMA_TRY(exact_total(call, s, &total));
    if (data->numeric_from_i128(call->arena, s->count, 0, &count) != LUMA_OK)
        return luma_func_no_memory(call);
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_DIV, &total, &count, &result));
    value_numeric(out, result);
    return LUMA_OK;
}

/* --- floating point --- */

struct float_sum {
    double sum;
    int64_t count;
};

AGG_UPDATE(float_update)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        const void *at = luma_vec_at(&args[0], AGG_ROW(sel, k));
        struct float_sum *s = states[k];
        s->sum += args[0].phys == LUMA_PHYS_F64 ? *(const double *)at : (double)*(const float *)at;
        s->count++;
    }
    return LUMA_OK;
}

AGG_MERGE(float_merge)
{
    struct float_sum *a = into;
    const struct float_sum *b = from;

    (void)call;
    a->sum += b->sum;
    a->count += b->count;
    return LUMA_OK;
}

AGG_FINISH(sum_float8_finish)
{
    const struct float_sum *s = state;

    (void)call;
    value_null(out, luma_type(LUMA_TYPE_FLOAT8));
    out->is_null = s->count == 0;
    out->f64 = s->sum;
    return LUMA_OK;
}

/* float4 sums as PostgreSQL does, in single precision. */
AGG_UPDATE(float4_update)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        struct float_sum *s = states[k];
        s->sum = (double)((float)s->sum + *(const float *)luma_vec_at(&args[0], AGG_ROW(sel, k)));
        s->count++;
    }
    return LUMA_OK;
}

AGG_FINISH(sum_float4_finish)
{
    const struct float_sum *s = state;

    (void)call;
    value_null(out, luma_type(LUMA_TYPE_FLOAT4));
    out->is_null = s->count == 0;
    out->f32 = (float)s->sum;
    return LUMA_OK;
}

AGG_FINISH(avg_float_finish)
{
    const struct float_sum *s = state;

    (void)call;
    value_null(out, luma_type(LUMA_TYPE_FLOAT8));
    out->is_null = s->count == 0;
    if (s->count != 0)
        out->f64 = s->sum / (double)s->count;
    return LUMA_OK;
}

/* --- intervals --- */

struct interval_sum {
    luma_i128 us;
    int64_t days, months, count;
};

AGG_UPDATE(interval_update)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        const struct luma_interval *iv = luma_vec_at(&args[0], AGG_ROW(sel, k));
        struct interval_sum *s = states[k];
        s->us += iv->microseconds;
        s->days += iv->days;
        s->months += iv->months;
        s->count++;
    }
    return LUMA_OK;
}

AGG_MERGE(interval_merge)
{
    struct interval_sum *a = into;
    const struct interval_sum *b = from;

    (void)call;
    a->us += b->us;
    a->days += b->days;
    a->months += b->months;
    a->count += b->count;
    return LUMA_OK;
}

static luma_rc
interval_value(const struct luma_func_call *call, double months, double days, double us,
               struct luma_value *out)
{
    if (fabs(months) > INT32_MAX || fabs(days) > INT32_MAX || fabs(us) > 9.2e18)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "interval out of range");
    value_null(out, luma_type(LUMA_TYPE_INTERVAL));
    out->is_null = false;
    out->interval = (struct luma_interval){(int64_t)us, (int32_t)days, (int32_t)months};
    return LUMA_OK;
}

AGG_FINISH(sum_interval_finish)
{
    const struct interval_sum *s = state;

    value_null(out, luma_type(LUMA_TYPE_INTERVAL));
    if (s->count == 0)
        return LUMA_OK;
    LUMA_TRY(interval_value(call, (double)s->months, (double)s->days, (double)s->us, out));
    out->interval.microseconds = (int64_t)s->us;
    return LUMA_OK;
}

/* Fractions of months go down into days, of days into time. */
AGG_FINISH(avg_interval_finish)
{
    const struct interval_sum *s = state;
    double n = (double)s->count, months, days, rest;

    value_null(out, luma_type(LUMA_TYPE_INTERVAL));
    if (s->count == 0)
        return LUMA_OK;
    months = trunc((double)s->months / n);
    rest = ((double)s->months / n - months) * 30;
    rest = rint(rest * 1e6) / 1e6;
    days = trunc((double)s->days / n);
    rest += (double)s->days / n - days;
    days += trunc(rest);
    rest -= trunc(rest);
    return interval_value(call, months, days, rint((double)s->us / n + rest * 86400e6), out);
}

#define EXACT(name_, finish_)                                                                 \
    static const struct luma_func_aggregate name_ = {.state_bytes = sizeof(struct exact_sum), \
                                                     .ignores_nulls = true,                   \
                                                     .update = exact_update,                  \
                                                     .merge = exact_merge_states,             \
                                                     .finish = finish_}
EXACT(sum_int, sum_int8_finish);
EXACT(sum_numeric, sum_numeric_finish);
EXACT(avg_numeric, avg_numeric_finish);

#define FLOATING(name_, update_, finish_)                                                     \
    static const struct luma_func_aggregate name_ = {.state_bytes = sizeof(struct float_sum), \
                                                     .ignores_nulls = true,                   \
                                                     .update = update_,                       \
                                                     .merge = float_merge,                    \
                                                     .finish = finish_}
FLOATING(sum_float8, float_update, sum_float8_finish);
FLOATING(sum_float4, float4_update, sum_float4_finish);
FLOATING(avg_float, float_update, avg_float_finish);

static const struct luma_func_aggregate sum_interval = {.state_bytes = sizeof(struct interval_sum),
                                                        .ignores_nulls = true,
                                                        .update = interval_update,
                                                        .merge = interval_merge,
                                                        .finish = sum_interval_finish};
static const struct luma_func_aggregate avg_interval = {.state_bytes = sizeof(struct interval_sum),
                                                        .ignores_nulls = true,
                                                        .update = interval_update,
                                                        .merge = interval_merge,
                                                        .finish = avg_interval_finish};

static const struct luma_func sum_functions[] = {
    AGG("sum", LUMA_OP_SUM, LUMA_T(INT8), sum_int, LUMA_T(INT2)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(INT8), sum_int, LUMA_T(INT4)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(NUMERIC), sum_numeric, LUMA_T(INT8)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(NUMERIC), sum_numeric, LUMA_T(NUMERIC)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(FLOAT4), sum_float4, LUMA_T(FLOAT4)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(FLOAT8), sum_float8, LUMA_T(FLOAT8)),
    AGG("sum", LUMA_OP_SUM, LUMA_T(INTERVAL), sum_interval, LUMA_T(INTERVAL)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(NUMERIC), avg_numeric, LUMA_T(INT2)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(NUMERIC), avg_numeric, LUMA_T(INT4)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(NUMERIC), avg_numeric, LUMA_T(INT8)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(NUMERIC), avg_numeric, LUMA_T(NUMERIC)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(FLOAT8), avg_float, LUMA_T(FLOAT4)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(FLOAT8), avg_float, LUMA_T(FLOAT8)),
    AGG("avg", LUMA_OP_AVG, LUMA_T(INTERVAL), avg_interval, LUMA_T(INTERVAL)),
};

const struct luma_func_part aggregate_sum = {sum_functions, LUMA_COUNTOF(sum_functions)};
