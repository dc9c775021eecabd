/* function/numeric/math.c - mathematics in floating point, and of whole numbers. */
#include <lumadb/host/sched.h>

#include <math.h>

#include "numeric.h"

static luma_rc
bad_argument(const struct luma_func_call *call, const char *sqlstate, const char *text)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, sqlstate, "%s", text);
}

static luma_rc
check_result(const struct luma_func_call *call, double v, bool input_infinite)
{
    if (isinf(v) && !input_infinite)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "value out of range: overflow");
    return LUMA_OK;
}

/* f(x) with a condition that must hold for x. */
#define FLOAT1(name_, EXPR, BAD, ...)                     \
    NUMERIC_EVAL(name_)                                   \
    {                                                     \
        double *r = out->data;                            \
        (void)args_count;                                 \
        LUMA_ROWS(sel, rows, i)                           \
        {                                                 \
            double x = luma_arg_f64(&args[0], i);         \
            if (BAD)                                      \
                return bad_argument(call, __VA_ARGS__);   \
            r[i] = (EXPR);                                \
            LUMA_TRY(check_result(call, r[i], isinf(x))); \
        }                                                 \
        return LUMA_OK;                                   \
    }
#define OUT_OF_RANGE "22003", "input is out of range"

static double
cot(double x)
{
    return 1.0 / tan(x);
}

/* Degrees: scaled so that the usual angles give exact results, as PostgreSQL does. */
static double
sin_to_30(double x)
{
    static volatile const double thirty = 30.0;
    return sin(x * (M_PI / 180.0)) / sin(thirty * (M_PI / 180.0)) / 2.0;
}

static double
cos_to_60(double x)
{
    static volatile const double sixty = 60.0;
    return 1.0 - (1.0 - cos(x * (M_PI / 180.0))) / (1.0 - cos(sixty * (M_PI / 180.0))) / 2.0;
}

static double
sin_quadrant(double x)
{
    return x <= 30.0 ? sin_to_30(x) : cos_to_60(90.0 - x);
}

static double
cos_quadrant(double x)
{
    return x <= 60.0 ? cos_to_60(x) : sin_to_30(90.0 - x);
}

static double
sin_degrees(double x)
{
    double a = fmod(x, 360.0), sign = 1;

    if (a < 0) {
        a = -a;
        sign = -1;
    }
    if (a > 180) {
        a = 360 - a;
        sign = -sign;
    }
    if (a > 90)
        a = 180 - a;
    return sign * sin_quadrant(a);
}

static double
cos_degrees(double x)
{
    double a = fabs(fmod(x, 360.0)), sign = 1;

    if (a > 180)
        a = 360 - a;
    if (a > 90) {
        a = 180 - a;
        sign = -sign;
    }
    return sign * cos_quadrant(a);
}

static double
tan_degrees(double x)
{
    double a = fmod(x, 360.0), sign = 1, v;

    if (a < 0) {
        a = -a;
        sign = -1;
    }
    if (a > 180) {
        a = 360 - a;
        sign = -sign;
    }
    if (a > 90) {
        a = 180 - a;
        sign = -sign;
    }
    v = sin_quadrant(a) / cos_quadrant(a);
    v = sign * (v / (sin_quadrant(45.0) / cos_quadrant(45.0)));
    return v == 0 ? 0.0 : v; /* no minus zero */
}

FLOAT1(float_ceil, ceil(x), false, OUT_OF_RANGE)
FLOAT1(float_floor, floor(x), false, OUT_OF_RANGE)
FLOAT1(float_round, rint(x), false, OUT_OF_RANGE)
FLOAT1(float_trunc, trunc(x), false, OUT_OF_RANGE)
FLOAT1(float_sign, x > 0 ? 1 : x < 0 ? -1 : 0, false, OUT_OF_RANGE)
FLOAT1(float_sqrt, sqrt(x), x < 0, "2201F", "cannot take square root of a negative number")
FLOAT1(float_cbrt, cbrt(x), false, OUT_OF_RANGE)
FLOAT1(float_exp, exp(x), false, OUT_OF_RANGE)
FLOAT1(float_ln, log(x), x <= 0, "2201E",
       x == 0 ? "cannot take logarithm of zero" : "cannot take logarithm of a negative number")
FLOAT1(float_log10, log10(x), x <= 0, "2201E",
       x == 0 ? "cannot take logarithm of zero" : "cannot take logarithm of a negative number")
FLOAT1(float_sin, sin(x), isinf(x), OUT_OF_RANGE)
FLOAT1(float_cos, cos(x), isinf(x), OUT_OF_RANGE)
FLOAT1(float_tan, tan(x), isinf(x), OUT_OF_RANGE)
FLOAT1(float_asin, asin(x), x<-1 || x> 1, OUT_OF_RANGE)
FLOAT1(float_acos, acos(x), x<-1 || x> 1, OUT_OF_RANGE)
FLOAT1(float_atan, atan(x), false, OUT_OF_RANGE)
FLOAT1(float_sinh, sinh(x), false, OUT_OF_RANGE)
FLOAT1(float_cosh, cosh(x), false, OUT_OF_RANGE)
FLOAT1(float_tanh, tanh(x), false, OUT_OF_RANGE)
FLOAT1(float_asinh, asinh(x), false, OUT_OF_RANGE)
FLOAT1(float_acosh, acosh(x), x < 1, OUT_OF_RANGE)
FLOAT1(float_atanh, x == 1 ? INFINITY : x == -1 ? -INFINITY : atanh(x), x<-1 || x> 1, OUT_OF_RANGE)
FLOAT1(float_degrees, x / (M_PI / 180.0), false, OUT_OF_RANGE)
FLOAT1(float_radians, x *(M_PI / 180.0), false, OUT_OF_RANGE)
FLOAT1(float_sind, sin_degrees(x), isinf(x), OUT_OF_RANGE)
FLOAT1(float_cosd, cos_degrees(x), isinf(x), OUT_OF_RANGE)

NUMERIC_EVAL(float_cot)
{
    double *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double x = luma_arg_f64(&args[0], i);
        if (isinf(x))
            return bad_argument(call, OUT_OF_RANGE);
        r[i] = cot(x);
    }
    return LUMA_OK;
}

/* Infinite at a right angle. */
NUMERIC_EVAL(float_tand)
{
    double *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double x = luma_arg_f64(&args[0], i);
        if (isinf(x))
            return bad_argument(call, OUT_OF_RANGE);
        r[i] = tan_degrees(x);
    }
    return LUMA_OK;
}

NUMERIC_EVAL(float_atan2)
{
    (void)call;
    (void)args_count;
    LUMA_BINARY_LOOP(double, double, double, args, sel, rows, out, atan2(x, y));
    return LUMA_OK;
}

static luma_rc
power_of(const struct luma_func_call *call, double x, double y, double *out)
{
    if (x == 0 && y < 0)
        return bad_argument(call, "2201F", "zero raised to a negative power is undefined");
    if (x < 0 && !isinf(x) && floor(y) != y && !isnan(y))
        return bad_argument(
            call, "2201F",
            "a negative number raised to a non-integer power yields a complex result");
    *out = pow(x, y);
    if (*out == 0 && x != 0 && !isinf(x) && !isinf(y))
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "value out of range: underflow");
    return check_result(call, *out, isinf(x) || isinf(y));
}

NUMERIC_EVAL(float_power)
{
    double *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(power_of(call, luma_arg_f64(&args[0], i), luma_arg_f64(&args[1], i), &r[i]));
    }
    return LUMA_OK;
}

NUMERIC_EVAL(pi_value)
{
    double *r = out->data;

    (void)call;
    (void)args;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = M_PI;
    }
    return LUMA_OK;
}

/* 53 random bits each, drawn for the whole batch at once. */
NUMERIC_EVAL(random_value)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    uint64_t *bits = luma_arena_alloc(call->arena, ((size_t)highest + 1) * sizeof(*bits));
    double *r = out->data;

    (void)args;
    (void)args_count;
    if (bits == NULL)
        return luma_func_no_memory(call);
    numeric_host->sched->random(bits, ((size_t)highest + 1) * sizeof(*bits));
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = (double)(bits[i] >> 11) * 0x1p-53;
    }
    return LUMA_OK;
}

static uint64_t
magnitude(int64_t v)
{
    return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

static uint64_t
gcd_of(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

#define WHOLE_PAIR(name_, T, MAX, TEXT, EXPR)                                                    \
    NUMERIC_EVAL(name_)                                                                          \
    {                                                                                            \
        const T *px = args[0].data, *py = args[1].data;                                          \
        size_t sx = luma_vec_stride(&args[0]), sy = luma_vec_stride(&args[1]);                   \
        T *r = out->data;                                                                        \
        (void)args_count;                                                                        \
        LUMA_ROWS(sel, rows, i)                                                                  \
        {                                                                                        \
            uint64_t a = magnitude(px[i * sx]), b = magnitude(py[i * sy]);                       \
            unsigned __int128 v = (EXPR);                                                        \
            if (v > (MAX))                                                                       \
                return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "%s out of range", TEXT); \
            r[i] = (T)v;                                                                         \
        }                                                                                        \
        return LUMA_OK;                                                                          \
    }

WHOLE_PAIR(gcd_int4, int32_t, INT32_MAX, "integer", gcd_of(a, b))
WHOLE_PAIR(gcd_int8, int64_t, INT64_MAX, "bigint", gcd_of(a, b))
WHOLE_PAIR(lcm_int4, int32_t, INT32_MAX, "integer",
           a == 0 || b == 0 ? 0 : (unsigned __int128)(a / gcd_of(a, b)) * b)
WHOLE_PAIR(lcm_int8, int64_t, INT64_MAX, "bigint",
           a == 0 || b == 0 ? 0 : (unsigned __int128)(a / gcd_of(a, b)) * b)

NUMERIC_EVAL(factorial)
{
    struct luma_str *r;

    (void)args_count;
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t n = luma_arg_i64(&args[0], i);
        struct luma_str v, k;
        if (n < 0)
            return bad_argument(call, "22003", "factorial of a negative number is undefined");
        if (n > 32177)
            return bad_argument(call, "22003", "value overflows numeric format");
        LUMA_TRY(numeric_host->data->numeric_from_i128(call->arena, 1, 0, &v));
        for (int64_t f = 2; f <= n; f++) {
            LUMA_TRY(numeric_host->data->numeric_from_i128(call->arena, f, 0, &k));
            LUMA_TRY(numeric_host->data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_MUL, &v,
                                                    &k, &v));
        }
        r[i] = v;
    }
    return LUMA_OK;
}

static luma_rc
bucket_of(const struct luma_func_call *call, double x, double low, double high, int32_t count,
          int32_t *out)
{
    double share;

    if (count <= 0)
        return bad_argument(call, "2201G", "count must be greater than zero");
    if (isnan(x) || isnan(low) || isnan(high))
        return bad_argument(call, "2201G", "operand, lower bound, and upper bound cannot be NaN");
    if (isinf(low) || isinf(high))
        return bad_argument(call, "2201G", "lower and upper bounds must be finite");
    if (low == high)
        return bad_argument(call, "2201G", "lower bound cannot equal upper bound");
    share = low < high ? (x - low) / (high - low) : (low - x) / (low - high);
    if (share < 0)
        *out = 0;
    else if (share >= 1 && count == INT32_MAX)
        return bad_argument(call, "22003", "integer out of range");
    else if (share >= 1)
        *out = count + 1;
    else
        *out = (int32_t)((double)count * share) + 1;
    return LUMA_OK;
}

NUMERIC_EVAL(width_bucket_float)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(bucket_of(call, luma_arg_f64(&args[0], i), luma_arg_f64(&args[1], i),
                           luma_arg_f64(&args[2], i), luma_arg_i32(&args[3], i), &r[i]));
    }
    return LUMA_OK;
}

NUMERIC_EVAL(width_bucket_numeric)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double v[3];
        for (int k = 0; k < 3; k++) {
            struct luma_str x;
            LUMA_TRY(numeric_str_at(call, &args[k], i, &x));
            v[k] = numeric_host->data->numeric_to_f64(&x);
        }
        LUMA_TRY(bucket_of(call, v[0], v[1], v[2], luma_arg_i32(&args[3], i), &r[i]));
    }
    return LUMA_OK;
}

#define S               LUMA_FUNC_STRICT
#define F               LUMA_T(FLOAT8)
#define F1(sql_, eval_) LUMA_FUNC(sql_, S, F, eval_, F)

static const struct luma_func math_functions[] = {
    F1("ceil", float_ceil),
    F1("ceiling", float_ceil),
    F1("floor", float_floor),
    F1("round", float_round),
    F1("trunc", float_trunc),
    F1("sign", float_sign),
    F1("sqrt", float_sqrt),
    LUMA_FUNC("|/", S | LUMA_FUNC_OPERATOR, F, float_sqrt, F),
    F1("cbrt", float_cbrt),
    LUMA_FUNC("||/", S | LUMA_FUNC_OPERATOR, F, float_cbrt, F),
    F1("exp", float_exp),
    F1("ln", float_ln),
    F1("log", float_log10),
    F1("log10", float_log10),
    F1("sin", float_sin),
    F1("cos", float_cos),
    F1("tan", float_tan),
    F1("cot", float_cot),
    F1("asin", float_asin),
    F1("acos", float_acos),
    F1("atan", float_atan),
    F1("sinh", float_sinh),
    F1("cosh", float_cosh),
    F1("tanh", float_tanh),
    F1("asinh", float_asinh),
    F1("acosh", float_acosh),
    F1("atanh", float_atanh),
    F1("degrees", float_degrees),
    F1("radians", float_radians),
    F1("sind", float_sind),
    F1("cosd", float_cosd),
    F1("tand", float_tand),
    LUMA_FUNC("atan2", S, F, float_atan2, F, F),
    LUMA_FUNC("power", S, F, float_power, F, F),
    LUMA_FUNC("pow", S, F, float_power, F, F),
    LUMA_FUNC("^", S | LUMA_FUNC_OPERATOR, F, float_power, F, F),
    LUMA_FUNC0("pi", S, F, pi_value),
    LUMA_FUNC0("random", LUMA_FUNC_VOLATILE, F, random_value),
    LUMA_FUNC("gcd", S, LUMA_T(INT4), gcd_int4, LUMA_T(INT4), LUMA_T(INT4)),
    LUMA_FUNC("gcd", S, LUMA_T(INT8), gcd_int8, LUMA_T(INT8), LUMA_T(INT8)),
    LUMA_FUNC("lcm", S, LUMA_T(INT4), lcm_int4, LUMA_T(INT4), LUMA_T(INT4)),
    LUMA_FUNC("lcm", S, LUMA_T(INT8), lcm_int8, LUMA_T(INT8), LUMA_T(INT8)),
    LUMA_FUNC("factorial", S, LUMA_T(NUMERIC), factorial, LUMA_T(INT8)),
    LUMA_FUNC("width_bucket", S, LUMA_T(INT4), width_bucket_float, F, F, F, LUMA_T(INT4)),
    LUMA_FUNC("width_bucket", S, LUMA_T(INT4), width_bucket_numeric, LUMA_T(NUMERIC),
              LUMA_T(NUMERIC), LUMA_T(NUMERIC), LUMA_T(INT4)),
};

const struct luma_func_part numeric_math = {math_functions, LUMA_COUNTOF(math_functions)};
