/* function/core/cast_number.c - casts among numbers and booleans. */
#include <math.h>

#include "core.h"

#define WIDEN(name_, TX, TR)                              \
    CORE_EVAL(name_)                                      \
    {                                                     \
        (void)call;                                       \
        (void)args_count;                                 \
        LUMA_UNARY_LOOP(TX, TR, args, sel, rows, out, x); \
        out->bound = args[0].bound;                       \
        return LUMA_OK;                                   \
    }

WIDEN(int2_int4, int16_t, int32_t)
WIDEN(int2_int8, int16_t, int64_t)
WIDEN(int4_int8, int32_t, int64_t)

#define TO_FLOAT(name_, TX, TR)                           \
    CORE_EVAL(name_)                                      \
    {                                                     \
        (void)call;                                       \
        (void)args_count;                                 \
        LUMA_UNARY_LOOP(TX, TR, args, sel, rows, out, x); \
        return LUMA_OK;                                   \
    }

TO_FLOAT(int2_float4, int16_t, float)
TO_FLOAT(int4_float4, int32_t, float)
TO_FLOAT(int8_float4, int64_t, float)
TO_FLOAT(int2_float8, int16_t, double)
TO_FLOAT(int4_float8, int32_t, double)
TO_FLOAT(int8_float8, int64_t, double)
TO_FLOAT(float4_float8, float, double)

#define SHORTEN(name_, TX, TR, MIN, MAX, TEXT)                                             \
    CORE_EVAL(name_)                                                                       \
    {                                                                                      \
        int bad = 0;                                                                       \
        (void)args_count;                                                                  \
        LUMA_UNARY_LOOP(TX, TR, args, sel, rows, out, (bad |= x < (MIN) || x > (MAX), x)); \
        return bad ? core_out_of_range(call, TEXT) : LUMA_OK;                              \
    }

SHORTEN(int4_int2, int32_t, int16_t, INT16_MIN, INT16_MAX, "smallint")
SHORTEN(int8_int2, int64_t, int16_t, INT16_MIN, INT16_MAX, "smallint")
SHORTEN(int8_int4, int64_t, int32_t, INT32_MIN, INT32_MAX, "integer")
SHORTEN(int8_oid, int64_t, uint32_t, 0, UINT32_MAX, "OID")

/* Half to even, as rint does; the limits are exact powers of two. */
#define ROUND(name_, TX, TR, LOW, HIGH, TEXT)         \
    CORE_EVAL(name_)                                  \
    {                                                 \
        const TX *px = args[0].data;                  \
        size_t sx = luma_vec_stride(&args[0]);        \
        TR *r = out->data;                            \
        (void)args_count;                             \
        LUMA_ROWS(sel, rows, i)                       \
        {                                             \
            double v = rint((double)px[i * sx]);      \
            if (!(v >= (LOW) && v < (HIGH)))          \
                return core_out_of_range(call, TEXT); \
            r[i] = (TR)v;                             \
        }                                             \
        return LUMA_OK;                               \
    }

ROUND(float4_int2, float, int16_t, -32768.0, 32768.0, "smallint")
ROUND(float8_int2, double, int16_t, -32768.0, 32768.0, "smallint")
ROUND(float4_int4, float, int32_t, -2147483648.0, 2147483648.0, "integer")
ROUND(float8_int4, double, int32_t, -2147483648.0, 2147483648.0, "integer")
ROUND(float4_int8, float, int64_t, -9223372036854775808.0, 9223372036854775808.0, "bigint")
ROUND(float8_int8, double, int64_t, -9223372036854775808.0, 9223372036854775808.0, "bigint")

CORE_EVAL(float8_float4)
{
    int bad = 0;

    (void)args_count;
    LUMA_UNARY_LOOP(double, float, args, sel, rows, out, ({
                        float v = (float)x;
                        bad |= isinf(v) && !isinf(x) ? 1 : 0;
                        bad |= v == 0 && x != 0 ? 2 : 0;
                        v;
                    }));
    if (bad)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "value out of range: %s",
                             bad & 1 ? "overflow" : "underflow");
    return LUMA_OK;
}

CORE_EVAL(bool_int4)
{
    (void)call;
    (void)args_count;
    LUMA_UNARY_LOOP(uint8_t, int32_t, args, sel, rows, out, x != 0);
    return LUMA_OK;
}

CORE_EVAL(int4_bool)
{
    (void)call;
    (void)args_count;
    LUMA_UNARY_LOOP(int32_t, uint8_t, args, sel, rows, out, x != 0);
    return LUMA_OK;
}

/* oid, regclass and int4 have the same bits. */
CORE_EVAL(same_32)
{
    (void)call;
    (void)args_count;
    LUMA_UNARY_LOOP(int32_t, int32_t, args, sel, rows, out, x);
    return LUMA_OK;
}

CORE_EVAL(oid_int8)
{
    (void)call;
    (void)args_count;
    LUMA_UNARY_LOOP(uint32_t, int64_t, args, sel, rows, out, x);
    return LUMA_OK;
}

CORE_EVAL(int2_oid)
{
    (void)call;
    (void)args_count;
    LUMA_UNARY_LOOP(int16_t, uint32_t, args, sel, rows, out, x);
    return LUMA_OK;
}

/* --- numeric --- */

/* The numbers in the form of the result's type, when it has a declared precision. */
static luma_rc
fit_numeric(const struct luma_func_call *call, const uint16_t *sel, uint32_t rows,
            struct luma_vec *inout)
{
    struct luma_vec made;
    uint64_t *valid = inout->valid;

    if (call->result.mod <= 0)
        return LUMA_OK;
    LUMA_TRY(core_host->data->numeric_vec_as(call->ctx, call->arena, inout, sel, rows, call->result,
                                             &made));
    if (made.valid == NULL)
        made.valid = valid;
    *inout = made;
    return LUMA_OK;
}

/* Whole numbers are 64-bit ones of scale 0. */
static luma_rc
int_numeric(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
            uint32_t rows, struct luma_vec *out)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    struct luma_vec wide = *out;

    wide.type = luma_type(LUMA_TYPE_NUMERIC);
    wide.phys = LUMA_PHYS_I64;
    wide.scale = 0;
    wide.data = luma_arena_alloc(call->arena, sizeof(int64_t) * ((size_t)highest + 1));
    if (wide.data == NULL)
        return luma_func_no_memory(call);
    switch (args[0].phys) {
    case LUMA_PHYS_I16:
        LUMA_UNARY_LOOP(int16_t, int64_t, args, sel, rows, &wide, x);
        wide.bound = 32768;
        break;
    case LUMA_PHYS_I32:
        LUMA_UNARY_LOOP(int32_t, int64_t, args, sel, rows, &wide, x);
        wide.bound = 2147483648u;
        break;
    default:
        LUMA_UNARY_LOOP(int64_t, int64_t, args, sel, rows, &wide, x);
        wide.bound = 0;
        break;
    }
    if (args[0].bound != 0)
        wide.bound = args[0].bound;
    LUMA_TRY(fit_numeric(call, sel, rows, &wide));
    *out = wide;
    return LUMA_OK;
}

CORE_EVAL(any_int_numeric)
{
    (void)args_count;
    return int_numeric(call, args, sel, rows, out);
}

static luma_rc
numeric_integer(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
                int64_t min, int64_t max, const char *type_name, int64_t *out)
{
    const void *at = luma_vec_at(vec, row);
    luma_i128 v, unit = 1, rest;

    if (vec->phys == LUMA_PHYS_STR) {
        const struct luma_str *str = at;
        uint8_t kind = (uint8_t)luma_str_data(str)[0];
        if (kind > 1)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_UNSUPPORTED, "0A000", "cannot convert %s to %s",
                                 kind == 2 ? "NaN" : "infinity", type_name);
        if (core_host->data->numeric_to_i128(str, 0, &v) != LUMA_OK)
            return core_out_of_range(call, type_name);
    } else {
        v = vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at;
        for (int16_t s = 0; s < vec->scale && s < 38; s++)
            unit *= 10;
        rest = v % unit;
        v /= unit;
        if (unit > 1 && (rest < 0 ? -rest : rest) >= unit / 2)
            v += rest < 0 ? -1 : 1;
    }
    if (v < min || v > max)
        return core_out_of_range(call, type_name);
    *out = (int64_t)v;
    return LUMA_OK;
}

#define NUMERIC_INT(name_, TR, MIN, MAX, TEXT)                                \
    CORE_EVAL(name_)                                                          \
    {                                                                         \
        TR *r = out->data;                                                    \
        (void)args_count;                                                     \
        LUMA_ROWS(sel, rows, i)                                               \
        {                                                                     \
            int64_t v = 0;                                                    \
            LUMA_TRY(numeric_integer(call, &args[0], i, MIN, MAX, TEXT, &v)); \
            r[i] = (TR)v;                                                     \
        }                                                                     \
        return LUMA_OK;                                                       \
    }

NUMERIC_INT(numeric_int2, int16_t, INT16_MIN, INT16_MAX, "smallint")
NUMERIC_INT(numeric_int4, int32_t, INT32_MIN, INT32_MAX, "integer")
NUMERIC_INT(numeric_int8, int64_t, INT64_MIN, INT64_MAX, "bigint")

static double
numeric_double(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row)
{
    static const double pow10[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const void *at = luma_vec_at(vec, row);
    struct luma_str str;
    luma_i128 v;

    if (vec->phys == LUMA_PHYS_STR)
        return core_host->data->numeric_to_f64(at);
    v = vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at;
    if (v < INT64_C(1) << 53 && v > -(INT64_C(1) << 53) && vec->scale >= 0 && vec->scale < 16)
        return (double)(int64_t)v / pow10[vec->scale];
    if (core_host->data->numeric_from_i128(call->arena, v, vec->scale, &str) != LUMA_OK)
        return (double)v / pow(10, vec->scale);
    return core_host->data->numeric_to_f64(&str);
}

CORE_EVAL(numeric_float8)
{
    double *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = numeric_double(call, &args[0], i);
        if (isinf(r[i]) && args[0].phys == LUMA_PHYS_STR &&
            luma_str_data(luma_vec_at(&args[0], i))[0] < 2)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003",
                                 "value is out of range for type double precision");
    }
    return LUMA_OK;
}

CORE_EVAL(numeric_float4)
{
    float *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        double v = numeric_double(call, &args[0], i);
        r[i] = (float)v;
        if (isinf(r[i]) && !isinf(v))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003",
                                 "value is out of range for type real");
    }
    return LUMA_OK;
}

/* Through the text of as many digits as the type holds: 15 or 6. */
static luma_rc
float_numeric(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
              uint32_t rows, struct luma_vec *out)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    struct luma_vec made = *out;

    made.type = luma_type(LUMA_TYPE_NUMERIC);
    made.phys = LUMA_PHYS_STR;
    made.scale = 0;
    made.data = luma_arena_zalloc(call->arena, sizeof(struct luma_str) * ((size_t)highest + 1));
    if (made.data == NULL)
        return luma_func_no_memory(call);
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str *str = (struct luma_str *)made.data + i;
        if (args[0].phys == LUMA_PHYS_F64) {
            LUMA_TRY(core_host->data->numeric_from_f64(call->ctx, call->arena,
                                                       luma_arg_f64(&args[0], i), str));
        } else {
            struct luma_format six = {.extra_float_digits = 0};
            struct luma_value v = core_host->data->vec_value(&args[0], i), n;
            const char *text = core_host->data->value_text(&v, &six, call->arena);
            if (text == NULL)
                return luma_func_no_memory(call);
            LUMA_TRY(core_host->data->from_text(call->ctx, call->arena,
                                                luma_type(LUMA_TYPE_NUMERIC), NULL,
                                                luma_slice_text(text), &n));
            *str = n.str;
        }
    }
    LUMA_TRY(fit_numeric(call, sel, rows, &made));
    *out = made;
    return LUMA_OK;
}

CORE_EVAL(any_float_numeric)
{
    (void)args_count;
    return float_numeric(call, args, sel, rows, out);
}

/* numeric to numeric(p, s) */
CORE_EVAL(numeric_numeric)
{
    uint64_t *valid = out->valid;

    (void)args_count;
    if (call->result.mod <= 0) {
        *out = args[0];
    } else {
        struct luma_vec made;
        LUMA_TRY(core_host->data->numeric_vec_as(call->ctx, call->arena, &args[0], sel, rows,
                                                 call->result, &made));
        *out = made;
    }
    if (out->form != LUMA_VEC_CONST)
        out->valid = valid;
    return LUMA_OK;
}

#define CAST(from_, to_, flags_, eval_)                                                         \
    LUMA_FUNC_OP(#to_, LUMA_FUNC_STRICT | LUMA_FUNC_CAST | (flags_), LUMA_OP_CAST, LUMA_T(to_), \
                 eval_, LUMA_T(from_))
#define ASSIGN   LUMA_FUNC_CAST_ASSIGN
#define IMPLICIT (LUMA_FUNC_CAST_ASSIGN | LUMA_FUNC_CAST_IMPLICIT)

static const struct luma_func cast_functions[] = {
    CAST(INT2, INT4, IMPLICIT, int2_int4),
    CAST(INT2, INT8, IMPLICIT, int2_int8),
    CAST(INT2, FLOAT4, IMPLICIT, int2_float4),
    CAST(INT2, FLOAT8, IMPLICIT, int2_float8),
    CAST(INT2, NUMERIC, IMPLICIT, any_int_numeric),
    CAST(INT4, INT2, ASSIGN, int4_int2),
    CAST(INT4, INT8, IMPLICIT, int4_int8),
    CAST(INT4, FLOAT4, IMPLICIT, int4_float4),
    CAST(INT4, FLOAT8, IMPLICIT, int4_float8),
    CAST(INT4, NUMERIC, IMPLICIT, any_int_numeric),
    CAST(INT8, INT2, ASSIGN, int8_int2),
    CAST(INT8, INT4, ASSIGN, int8_int4),
    CAST(INT8, FLOAT4, IMPLICIT, int8_float4),
    CAST(INT8, FLOAT8, IMPLICIT, int8_float8),
    CAST(INT8, NUMERIC, IMPLICIT, any_int_numeric),
    CAST(FLOAT4, INT2, ASSIGN, float4_int2),
    CAST(FLOAT4, INT4, ASSIGN, float4_int4),
    CAST(FLOAT4, INT8, ASSIGN, float4_int8),
    CAST(FLOAT4, FLOAT8, IMPLICIT, float4_float8),
    CAST(FLOAT4, NUMERIC, ASSIGN, any_float_numeric),
    CAST(FLOAT8, INT2, ASSIGN, float8_int2),
    CAST(FLOAT8, INT4, ASSIGN, float8_int4),
    CAST(FLOAT8, INT8, ASSIGN, float8_int8),
    CAST(FLOAT8, FLOAT4, ASSIGN, float8_float4),
    CAST(FLOAT8, NUMERIC, ASSIGN, any_float_numeric),
    CAST(NUMERIC, INT2, ASSIGN, numeric_int2),
    CAST(NUMERIC, INT4, ASSIGN, numeric_int4),
    CAST(NUMERIC, INT8, ASSIGN, numeric_int8),
    CAST(NUMERIC, FLOAT4, IMPLICIT, numeric_float4),
    CAST(NUMERIC, FLOAT8, IMPLICIT, numeric_float8),
    CAST(NUMERIC, NUMERIC, IMPLICIT, numeric_numeric),
    CAST(BOOL, INT4, 0, bool_int4),
    CAST(INT4, BOOL, 0, int4_bool),
    CAST(INT2, OID, IMPLICIT, int2_oid),
    CAST(INT4, OID, IMPLICIT, same_32),
    CAST(INT8, OID, IMPLICIT, int8_oid),
    CAST(OID, INT4, ASSIGN, same_32),
    CAST(OID, INT8, ASSIGN, oid_int8),
    CAST(INT4, REGCLASS, IMPLICIT, same_32),
    CAST(INT8, REGCLASS, IMPLICIT, int8_oid),
    CAST(OID, REGCLASS, IMPLICIT, same_32),
    CAST(REGCLASS, OID, IMPLICIT, same_32),
    CAST(REGCLASS, INT4, ASSIGN, same_32),
    CAST(REGCLASS, INT8, ASSIGN, oid_int8),
    CAST(OID, REGTYPE, IMPLICIT, same_32),
    CAST(REGTYPE, OID, IMPLICIT, same_32),
    CAST(INT4, REGTYPE, IMPLICIT, same_32),
    CAST(REGTYPE, INT4, ASSIGN, same_32),
    CAST(OID, REGPROC, IMPLICIT, same_32),
    CAST(REGPROC, OID, IMPLICIT, same_32),
    CAST(INT4, REGPROC, IMPLICIT, same_32),
    CAST(OID, REGNAMESPACE, IMPLICIT, same_32),
    CAST(REGNAMESPACE, OID, IMPLICIT, same_32),
    CAST(INT4, REGNAMESPACE, IMPLICIT, same_32),
};

const struct luma_func_part core_cast_number = {cast_functions, LUMA_COUNTOF(cast_functions)};
