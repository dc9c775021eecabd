/*
 * function/numeric/arith.c - + - * / % of numeric.
 *
 * A vector says in which form its numbers are, at which scale, and how large they can be. The
 * narrowest form that cannot overflow is taken: 64-bit loops when the bounds prove it, 128-bit ones
 * with a check, and the variable form for the rest and for division, whose number of decimals
 * depends on the values.
 */
#include "numeric.h"

/* No |value| exceeds this; 0 means 2^63 for 64-bit vectors. */
static inline uint64_t
bound_of(const struct luma_vec *vec)
{
    return vec->bound != 0 ? vec->bound : (uint64_t)1 << 63;
}

static luma_rc
by_variable_form(const struct luma_func_call *call, enum luma_numeric_op op,
                 const struct luma_vec *args, const uint16_t *sel, uint32_t rows,
                 struct luma_vec *out)
{
    struct luma_str *r;

    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x, y;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        LUMA_TRY(numeric_str_at(call, &args[1], i, &y));
        LUMA_TRY(numeric_host->data->numeric_op(call->ctx, call->arena, op, &x, &y, &r[i]));
    }
    return LUMA_OK;
}

static inline luma_i128
wide_at(const struct luma_vec *vec, uint32_t row)
{
    size_t at = row * luma_vec_stride(vec);
    return vec->phys == LUMA_PHYS_I64 ? ((const int64_t *)vec->data)[at]
                                      : ((const luma_i128 *)vec->data)[at];
}

/* --- sums --- */

static bool
wide_sums(const struct luma_vec *args, const uint16_t *sel, uint32_t rows, luma_i128 ux,
          luma_i128 uy, bool minus, luma_i128 *r)
{
    bool bad = false;

    LUMA_ROWS(sel, rows, i)
    {
        luma_i128 x, y;
        bad |= __builtin_mul_overflow(wide_at(&args[0], i), ux, &x);
        bad |= __builtin_mul_overflow(wide_at(&args[1], i), uy, &y);
        bad |= minus ? __builtin_sub_overflow(x, y, &r[i]) : __builtin_add_overflow(x, y, &r[i]);
    }
    return !bad;
}

static luma_rc
sum_of(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
       uint32_t rows, bool minus, struct luma_vec *out)
{
    int32_t diff = args[1].scale - args[0].scale;
    int16_t scale = diff > 0 ? args[1].scale : args[0].scale;
    enum luma_numeric_op op = minus ? LUMA_NUMERIC_SUB : LUMA_NUMERIC_ADD;
    int64_t ux, uy;

    if (args[0].phys == LUMA_PHYS_STR || args[1].phys == LUMA_PHYS_STR || diff > 18 || diff < -18)
        return by_variable_form(call, op, args, sel, rows, out);
    ux = diff > 0 ? numeric_pow10[diff] : 1;
    uy = diff < 0 ? numeric_pow10[-diff] : 1;
    if (args[0].phys == LUMA_PHYS_I64 && args[1].phys == LUMA_PHYS_I64) {
        unsigned __int128 bound = (unsigned __int128)bound_of(&args[0]) * (uint64_t)ux +
                                  (unsigned __int128)bound_of(&args[1]) * (uint64_t)uy;
        if (bound <= INT64_MAX) {
            LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I64, scale, (uint64_t)bound, out));
            if (minus)
                LUMA_BINARY_LOOP(int64_t, int64_t, int64_t, args, sel, rows, out, x * ux - y * uy);
            else
                LUMA_BINARY_LOOP(int64_t, int64_t, int64_t, args, sel, rows, out, x * ux + y * uy);
            return LUMA_OK;
        }
    }
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I128, scale, 0, out));
    if (wide_sums(args, sel, rows, ux, uy, minus, out->data))
        return LUMA_OK;
    return by_variable_form(call, op, args, sel, rows, out);
}

NUMERIC_EVAL(numeric_add)
{
    (void)args_count;
    return sum_of(call, args, sel, rows, false, out);
}

NUMERIC_EVAL(numeric_sub)
{
    (void)args_count;
    return sum_of(call, args, sel, rows, true, out);
}

/* --- products --- */

NUMERIC_EVAL(numeric_mul)
{
    int32_t scale = args[0].scale + args[1].scale;
    bool bad = false;

    (void)args_count;
    if (args[0].phys == LUMA_PHYS_STR || args[1].phys == LUMA_PHYS_STR || scale > 1000)
        return by_variable_form(call, LUMA_NUMERIC_MUL, args, sel, rows, out);
    if (args[0].phys == LUMA_PHYS_I64 && args[1].phys == LUMA_PHYS_I64) {
        unsigned __int128 bound = (unsigned __int128)bound_of(&args[0]) * bound_of(&args[1]);
        if (bound <= INT64_MAX) {
            LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I64, (int16_t)scale,
                                      (uint64_t)bound, out));
            LUMA_BINARY_LOOP(int64_t, int64_t, int64_t, args, sel, rows, out, x * y);
            return LUMA_OK;
        }
        LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I128, (int16_t)scale,
                                  bound <= UINT64_MAX ? (uint64_t)bound : 0, out));
        LUMA_BINARY_LOOP(int64_t, int64_t, luma_i128, args, sel, rows, out, (luma_i128)x * y);
        return LUMA_OK;
    }
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I128, (int16_t)scale, 0, out));
    {
        luma_i128 *r = out->data;
        LUMA_ROWS(sel, rows, i)
        {
            bad |= __builtin_mul_overflow(wide_at(&args[0], i), wide_at(&args[1], i), &r[i]);
        }
    }
    return bad ? by_variable_form(call, LUMA_NUMERIC_MUL, args, sel, rows, out) : LUMA_OK;
}

NUMERIC_EVAL(numeric_div)
{
    (void)args_count;
    return by_variable_form(call, LUMA_NUMERIC_DIV, args, sel, rows, out);
}

/* Remainders of 64-bit numbers at one scale; all else in the variable form. */
NUMERIC_EVAL(numeric_mod)
{
    (void)args_count;
    if (args[0].phys == LUMA_PHYS_I64 && args[1].phys == LUMA_PHYS_I64 &&
        args[0].scale == args[1].scale) {
        int64_t *r;
        LUMA_TRY(
            numeric_out_form(call, sel, rows, LUMA_PHYS_I64, args[0].scale, args[1].bound, out));
        r = out->data;
        LUMA_ROWS(sel, rows, i)
        {
            int64_t x = luma_arg_i64(&args[0], i), y = luma_arg_i64(&args[1], i);
            if (y == 0)
                return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22012", "division by zero");
            r[i] = y == -1 ? 0 : x % y;
        }
        return LUMA_OK;
    }
    return by_variable_form(call, LUMA_NUMERIC_MOD, args, sel, rows, out);
}

NUMERIC_EVAL(numeric_divtrunc)
{
    (void)args_count;
    return by_variable_form(call, LUMA_NUMERIC_DIVTRUNC, args, sel, rows, out);
}

NUMERIC_EVAL(numeric_power)
{
    (void)args_count;
    return by_variable_form(call, LUMA_NUMERIC_POWER, args, sel, rows, out);
}

/* --- signs --- */

static luma_rc
fn_variable_form(const struct luma_func_call *call, enum luma_numeric_fn fn,
                 const struct luma_vec *args, const uint16_t *sel, uint32_t rows,
                 struct luma_vec *out)
{
    struct luma_str *r;

    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        LUMA_TRY(numeric_host->data->numeric_fn(call->ctx, call->arena, fn, &x, &r[i]));
    }
    return LUMA_OK;
}

NUMERIC_EVAL(numeric_neg)
{
    (void)args_count;
    if (args[0].phys == LUMA_PHYS_I64 && args[0].bound != 0 && args[0].bound <= INT64_MAX) {
        LUMA_TRY(
            numeric_out_form(call, sel, rows, LUMA_PHYS_I64, args[0].scale, args[0].bound, out));
        LUMA_UNARY_LOOP(int64_t, int64_t, args, sel, rows, out, -x);
        return LUMA_OK;
    }
    return fn_variable_form(call, LUMA_NUMERIC_NEG, args, sel, rows, out);
}

NUMERIC_EVAL(numeric_abs)
{
    (void)args_count;
    if (args[0].phys == LUMA_PHYS_I64 && args[0].bound != 0 && args[0].bound <= INT64_MAX) {
        LUMA_TRY(
            numeric_out_form(call, sel, rows, LUMA_PHYS_I64, args[0].scale, args[0].bound, out));
        LUMA_UNARY_LOOP(int64_t, int64_t, args, sel, rows, out, x < 0 ? -x : x);
        return LUMA_OK;
    }
    return fn_variable_form(call, LUMA_NUMERIC_ABS, args, sel, rows, out);
}

NUMERIC_EVAL(numeric_plus)
{
    uint64_t *valid = out->valid;

    (void)call;
    (void)args_count;
    (void)sel;
    (void)rows;
    *out = args[0];
    if (out->form != LUMA_VEC_CONST)
        out->valid = valid;
    return LUMA_OK;
}

#define FN(name_, fn_)                                            \
    NUMERIC_EVAL(name_)                                           \
    {                                                             \
        (void)args_count;                                         \
        return fn_variable_form(call, fn_, args, sel, rows, out); \
    }

FN(numeric_sign, LUMA_NUMERIC_SIGN)
FN(numeric_ceil, LUMA_NUMERIC_CEIL)
FN(numeric_floor, LUMA_NUMERIC_FLOOR)
FN(numeric_sqrt, LUMA_NUMERIC_SQRT)
FN(numeric_exp, LUMA_NUMERIC_EXP)
FN(numeric_ln, LUMA_NUMERIC_LN)
FN(numeric_log10, LUMA_NUMERIC_LOG10)

NUMERIC_EVAL(numeric_scale_of)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        if ((uint8_t)luma_str_data(&x)[0] > 1) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        r[i] = numeric_host->data->numeric_dscale(&x);
    }
    return LUMA_OK;
}

/* Without the zeros at the end of the decimals. */
static luma_rc
least_scale(const struct luma_func_call *call, const struct luma_str *x, int32_t *out)
{
    const struct luma_host_data *data = numeric_host->data;
    int32_t scale = data->numeric_dscale(x);
    struct luma_str shorter;

    while (scale > 0) {
        if (data->numeric_round(call->arena, x, scale - 1, true, &shorter) != LUMA_OK)
            return luma_func_no_memory(call);
        if (data->numeric_compare(&shorter, x) != 0)
            break;
        scale--;
    }
    *out = scale;
    return LUMA_OK;
}

NUMERIC_EVAL(numeric_min_scale)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        if ((uint8_t)luma_str_data(&x)[0] > 1) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        LUMA_TRY(least_scale(call, &x, &r[i]));
    }
    return LUMA_OK;
}

NUMERIC_EVAL(numeric_trim_scale)
{
    struct luma_str *r;

    (void)args_count;
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x;
        int32_t scale = 0;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        LUMA_TRY(least_scale(call, &x, &scale));
        if (numeric_host->data->numeric_round(call->arena, &x, scale, true, &r[i]) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    return LUMA_OK;
}

/* log(b, x) = ln x / ln b; the quotient has 16 significant digits. */
NUMERIC_EVAL(numeric_log_base)
{
    const struct luma_host_data *data = numeric_host->data;
    struct luma_str *r;

    (void)args_count;
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str b, x;
        LUMA_TRY(numeric_str_at(call, &args[0], i, &b));
        LUMA_TRY(numeric_str_at(call, &args[1], i, &x));
        /* Thirty decimals in make thirty come out: the quotient is then right to its last digit. */
        if (data->numeric_round(call->arena, &b, 30, false, &b) != LUMA_OK ||
            data->numeric_round(call->arena, &x, 30, false, &x) != LUMA_OK)
            return luma_func_no_memory(call);
        LUMA_TRY(data->numeric_fn(call->ctx, call->arena, LUMA_NUMERIC_LN, &b, &b));
        LUMA_TRY(data->numeric_fn(call->ctx, call->arena, LUMA_NUMERIC_LN, &x, &x));
        LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_DIV, &x, &b, &r[i]));
        if (data->numeric_round(call->arena, &r[i], 16, false, &r[i]) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    return LUMA_OK;
}

#define OP    (LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR)
#define PLAIN LUMA_FUNC_STRICT
#define N     LUMA_T(NUMERIC)

static const struct luma_func arith_functions[] = {
    LUMA_FUNC_OP("+", OP, LUMA_OP_ADD, N, numeric_add, N, N),
    LUMA_FUNC_OP("-", OP, LUMA_OP_SUB, N, numeric_sub, N, N),
    LUMA_FUNC_OP("*", OP, LUMA_OP_MUL, N, numeric_mul, N, N),
    LUMA_FUNC_OP("/", OP, LUMA_OP_DIV, N, numeric_div, N, N),
    LUMA_FUNC_OP("%", OP, LUMA_OP_MOD, N, numeric_mod, N, N),
    LUMA_FUNC("^", OP, N, numeric_power, N, N),
    LUMA_FUNC_OP("-", OP, LUMA_OP_NEG, N, numeric_neg, N),
    LUMA_FUNC("+", OP, N, numeric_plus, N),
    LUMA_FUNC("@", OP, N, numeric_abs, N),
    LUMA_FUNC("mod", PLAIN, N, numeric_mod, N, N),
    LUMA_FUNC("div", PLAIN, N, numeric_divtrunc, N, N),
    LUMA_FUNC("power", PLAIN, N, numeric_power, N, N),
    LUMA_FUNC("pow", PLAIN, N, numeric_power, N, N),
    LUMA_FUNC("abs", PLAIN, N, numeric_abs, N),
    LUMA_FUNC("sign", PLAIN, N, numeric_sign, N),
    LUMA_FUNC("ceil", PLAIN, N, numeric_ceil, N),
    LUMA_FUNC("ceiling", PLAIN, N, numeric_ceil, N),
    LUMA_FUNC("floor", PLAIN, N, numeric_floor, N),
    LUMA_FUNC("sqrt", PLAIN, N, numeric_sqrt, N),
    LUMA_FUNC("exp", PLAIN, N, numeric_exp, N),
    LUMA_FUNC("ln", PLAIN, N, numeric_ln, N),
    LUMA_FUNC("log", PLAIN, N, numeric_log10, N),
    LUMA_FUNC("log10", PLAIN, N, numeric_log10, N),
    LUMA_FUNC("log", PLAIN, N, numeric_log_base, N, N),
    LUMA_FUNC("scale", PLAIN, LUMA_T(INT4), numeric_scale_of, N),
    LUMA_FUNC("min_scale", PLAIN, LUMA_T(INT4), numeric_min_scale, N),
    LUMA_FUNC("trim_scale", PLAIN, N, numeric_trim_scale, N),
};

const struct luma_func_part numeric_arith = {arith_functions, LUMA_COUNTOF(arith_functions)};
