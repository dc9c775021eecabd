/*
 * function/aggregate/deviation.c - variance and its kin.
 *
 * Whole numbers and numerics are exact (sum and sum of squares); floating point follows Youngs and
 * Cramer, as PostgreSQL does, which does not lose digits to large means.
 */
#include <math.h>

#include "aggregate.h"

/* --- exact --- */

struct exact_square {
    struct exact_sum sum, squares;
};

static luma_rc
square_add(const struct luma_func_call *call, struct exact_square *s, const struct luma_vec *vec,
           uint32_t row)
{
    const struct luma_host_data *data = aggregate_host->data;
    struct luma_value v = data->vec_value(vec, row);
    struct luma_str str, product;
    struct luma_vec one;
    luma_i128 wide = 0, sq;
    int32_t scale = 0;
    bool is_int = true;

    LUMA_TRY(exact_add(call, &s->sum, vec, row));
    switch (v.phys) {
    case LUMA_PHYS_I16:
        wide = v.i16;
        break;
    case LUMA_PHYS_I32:
        wide = v.i32;
        break;
    case LUMA_PHYS_I64:
        wide = v.i64;
        scale = v.type.id == LUMA_TYPE_NUMERIC ? v.scale : 0;
        break;
    case LUMA_PHYS_I128:
        wide = v.i128;
        scale = v.scale;
        break;
    default:
        is_int = false;
        break;
    }
    if (is_int && !__builtin_mul_overflow(wide, wide, &sq)) {
        s->squares.count++;
        return exact_add_i128(call, &s->squares, sq, 2 * scale);
    }
    str = v.str;
    if (is_int && data->numeric_from_i128(call->arena, wide, (int16_t)scale, &str) != LUMA_OK)
        return luma_func_no_memory(call);
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_MUL, &str, &str, &product));
    value_numeric(&v, product);
    if (data->vec_const(call->arena, &v, &one) != LUMA_OK)
        return luma_func_no_memory(call);
    return exact_add(call, &s->squares, &one, 0);
}

AGG_UPDATE(square_update)
{
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++)
        LUMA_TRY(square_add(call, states[k], &args[0], AGG_ROW(sel, k)));
    return LUMA_OK;
}

AGG_MERGE(square_merge)
{
    struct exact_square *a = into, *b = from;

    LUMA_TRY(exact_merge(call, &a->sum, &b->sum));
    return exact_merge(call, &a->squares, &b->squares);
}

/* (N * sum(x^2) - sum(x)^2) / (N * (N - 1)), or / N^2 */
static luma_rc
exact_variance(const struct luma_func_call *call, const struct exact_square *s, bool sample,
               bool root, struct luma_value *out)
{
    const struct luma_host_data *data = aggregate_host->data;
    struct luma_str x, xx, n, m, zero, a, b;
    luma_i128 count = s->sum.count;
    int dscale;

    value_null(out, luma_type(LUMA_TYPE_NUMERIC));
    if (count == 0 || (sample && count == 1))
        return LUMA_OK;
    LUMA_TRY(exact_total(call, &s->sum, &x));
    LUMA_TRY(exact_total(call, &s->squares, &xx));
    if (data->numeric_from_i128(call->arena, count, 0, &n) != LUMA_OK ||
        data->numeric_from_i128(call->arena, count * (sample ? count - 1 : count), 0, &m) !=
            LUMA_OK ||
        data->numeric_from_i128(call->arena, 0, 0, &zero) != LUMA_OK)
        return luma_func_no_memory(call);
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_MUL, &x, &x, &a));
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_MUL, &n, &xx, &b));
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_SUB, &b, &a, &b));
    if (data->numeric_compare(&b, &zero) <= 0) {
        value_numeric(out, zero);
        return LUMA_OK;
    }
    LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_DIV, &b, &m, &a));
    dscale = data->numeric_dscale(&a);
    if (root) {
        LUMA_TRY(data->numeric_fn(call->ctx, call->arena, LUMA_NUMERIC_SQRT, &a, &a));
        if (data->numeric_round(call->arena, &a, dscale, false, &a) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    value_numeric(out, a);
    return LUMA_OK;
}

AGG_FINISH(exact_var_samp)
{
    return exact_variance(call, state, true, false, out);
}

AGG_FINISH(exact_var_pop)
{
    return exact_variance(call, state, false, false, out);
}

AGG_FINISH(exact_stddev_samp)
{
    return exact_variance(call, state, true, true, out);
}

AGG_FINISH(exact_stddev_pop)
{
    return exact_variance(call, state, false, true, out);
}

/* --- floating point, one and two variables --- */

struct moments {
    double n, sx, sxx, sy, syy, sxy;
};

static double
float_at(const struct luma_vec *vec, uint32_t row)
{
    const void *at = luma_vec_at(vec, row);
    return vec->phys == LUMA_PHYS_F64 ? *(const double *)at : (double)*(const float *)at;
}

AGG_UPDATE(moments_update)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        struct moments *m = states[k];
        double x = float_at(&args[0], AGG_ROW(sel, k));
        m->n += 1;
        m->sx += x;
        if (m->n > 1) {
            double tmp = x * m->n - m->sx;
            m->sxx += tmp * tmp / (m->n * (m->n - 1));
        } else if (isnan(x) || isinf(x)) {
            m->sxx = NAN;
        }
    }
    return LUMA_OK;
}

/* f(Y, X): the first argument is the dependent one. */
AGG_UPDATE(pairs_update)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = AGG_ROW(sel, k);
        struct moments *m = states[k];
        double x, y;
        if (luma_vec_is_null(&args[1], row))
            continue;
        y = float_at(&args[0], row);
        x = float_at(&args[1], row);
        m->n += 1;
        m->sx += x;
        m->sy += y;
        if (m->n > 1) {
            double tx = x * m->n - m->sx, ty = y * m->n - m->sy, scale = 1.0 / (m->n * (m->n - 1));
            m->sxx += tx * tx * scale;
            m->syy += ty * ty * scale;
            m->sxy += tx * ty * scale;
        } else if (isnan(x) || isinf(x) || isnan(y) || isinf(y)) {
            m->sxx = m->syy = m->sxy = NAN;
        }
    }
    return LUMA_OK;
}

AGG_MERGE(moments_merge)
{
    struct moments *a = into;
    const struct moments *b = from;
    double n = a->n + b->n, tx, ty;

    (void)call;
    if (b->n == 0)
        return LUMA_OK;
    if (a->n == 0) {
        *a = *b;
        return LUMA_OK;
    }
    tx = a->sx / a->n - b->sx / b->n;
    ty = a->sy / a->n - b->sy / b->n;
    a->sxx += b->sxx + a->n * b->n * tx * tx / n;
    a->syy += b->syy + a->n * b->n * ty * ty / n;
    a->sxy += b->sxy + a->n * b->n * tx * ty / n;
    a->sx += b->sx;
    a->sy += b->sy;
    a->n = n;
    return LUMA_OK;
}

static luma_rc
give(struct luma_value *out, bool known, double v)
{
    value_null(out, luma_type(LUMA_TYPE_FLOAT8));
    out->is_null = !known;
    out->f64 = known ? v : 0;
    return LUMA_OK;
}

#define MOMENTS(name_, KNOWN, EXPR)      \
    AGG_FINISH(name_##_finish)           \
    {                                    \
        const struct moments *m = state; \
        (void)call;                      \
        return give(out, KNOWN, EXPR);   \
    }                                    \
    static const struct luma_func_aggregate name_

#define ONE(name_, KNOWN, EXPR)                                           \
    MOMENTS(name_, KNOWN, EXPR) = {.state_bytes = sizeof(struct moments), \
                                   .ignores_nulls = true,                 \
                                   .update = moments_update,              \
                                   .merge = moments_merge,                \
                                   .finish = name_##_finish}
#define PAIR(name_, KNOWN, EXPR)                                          \
    MOMENTS(name_, KNOWN, EXPR) = {.state_bytes = sizeof(struct moments), \
                                   .ignores_nulls = true,                 \
                                   .update = pairs_update,                \
                                   .merge = moments_merge,                \
                                   .finish = name_##_finish}

ONE(var_samp, m->n > 1, m->sxx / (m->n - 1));
ONE(var_pop, m->n > 0, m->sxx / m->n);
ONE(stddev_samp, m->n > 1, sqrt(m->sxx / (m->n - 1)));
ONE(stddev_pop, m->n > 0, sqrt(m->sxx / m->n));
PAIR(covar_samp, m->n > 1, m->sxy / (m->n - 1));
PAIR(covar_pop, m->n > 0, m->sxy / m->n);
PAIR(corr, m->n > 0 && m->sxx != 0 && m->syy != 0, m->sxy / sqrt(m->sxx * m->syy));
PAIR(regr_avgx, m->n > 0, m->sx / m->n);
PAIR(regr_avgy, m->n > 0, m->sy / m->n);
PAIR(regr_sxx, m->n > 0, m->sxx);
PAIR(regr_syy, m->n > 0, m->syy);
PAIR(regr_sxy, m->n > 0, m->sxy);
PAIR(regr_slope, m->n > 0 && m->sxx != 0, m->sxy / m->sxx);
PAIR(regr_intercept, m->n > 0 && m->sxx != 0, (m->sy - m->sx * m->sxy / m->sxx) / m->n);
PAIR(regr_r2, m->n > 0 && m->sxx != 0, m->syy == 0 ? 1.0 : m->sxy * m->sxy / (m->sxx * m->syy));

AGG_FINISH(regr_count_finish)
{
    (void)call;
    value_null(out, luma_type(LUMA_TYPE_INT8));
    out->is_null = false;
    out->i64 = (int64_t)((const struct moments *)state)->n;
    return LUMA_OK;
}

static const struct luma_func_aggregate regr_count = {.state_bytes = sizeof(struct moments),
                                                      .ignores_nulls = true,
                                                      .update = pairs_update,
                                                      .merge = moments_merge,
                                                      .finish = regr_count_finish};

#define SQUARE(name_)                                                                       \
    static const struct luma_func_aggregate name_##_agg = {.state_bytes =                   \
                                                               sizeof(struct exact_square), \
                                                           .ignores_nulls = true,           \
                                                           .update = square_update,         \
                                                           .merge = square_merge,           \
                                                           .finish = name_}
SQUARE(exact_var_samp);
SQUARE(exact_var_pop);
SQUARE(exact_stddev_samp);
SQUARE(exact_stddev_pop);

#define ALL_TYPES(sql_, exact_, float_)                                    \
    AGG(sql_, LUMA_OP_NONE, LUMA_T(NUMERIC), exact_, LUMA_T(INT2)),        \
        AGG(sql_, LUMA_OP_NONE, LUMA_T(NUMERIC), exact_, LUMA_T(INT4)),    \
        AGG(sql_, LUMA_OP_NONE, LUMA_T(NUMERIC), exact_, LUMA_T(INT8)),    \
        AGG(sql_, LUMA_OP_NONE, LUMA_T(NUMERIC), exact_, LUMA_T(NUMERIC)), \
        AGG(sql_, LUMA_OP_NONE, LUMA_T(FLOAT8), float_, LUMA_T(FLOAT4)),   \
        AGG(sql_, LUMA_OP_NONE, LUMA_T(FLOAT8), float_, LUMA_T(FLOAT8))
#define TWO(name_) AGG(#name_, LUMA_OP_NONE, LUMA_T(FLOAT8), name_, LUMA_T(FLOAT8), LUMA_T(FLOAT8))

static const struct luma_func deviation_functions[] = {
    ALL_TYPES("variance", exact_var_samp_agg, var_samp),
    ALL_TYPES("var_samp", exact_var_samp_agg, var_samp),
    ALL_TYPES("var_pop", exact_var_pop_agg, var_pop),
    ALL_TYPES("stddev", exact_stddev_samp_agg, stddev_samp),
    ALL_TYPES("stddev_samp", exact_stddev_samp_agg, stddev_samp),
    ALL_TYPES("stddev_pop", exact_stddev_pop_agg, stddev_pop),
    TWO(covar_samp),
    TWO(covar_pop),
    TWO(corr),
    TWO(regr_avgx),
    TWO(regr_avgy),
    TWO(regr_sxx),
    TWO(regr_syy),
    TWO(regr_sxy),
    TWO(regr_slope),
    TWO(regr_intercept),
    TWO(regr_r2),
    AGG("regr_count", LUMA_OP_NONE, LUMA_T(INT8), regr_count, LUMA_T(FLOAT8), LUMA_T(FLOAT8)),
};

const struct luma_func_part aggregate_deviation = {deviation_functions,
                                                   LUMA_COUNTOF(deviation_functions)};
