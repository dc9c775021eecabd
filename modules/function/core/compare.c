/* function/core/compare.c - = <> < <= > >= of all types. */
#include "core.h"

/* One loop per operator: the switch is outside, the loop vectorizes. */
#define COMPARE_BODY(TX, TY, EQ, NE, LT, LE, GT, GE)                 \
    switch (call->func->op) {                                        \
    case LUMA_OP_EQ:                                                 \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, EQ); \
        break;                                                       \
    case LUMA_OP_NE:                                                 \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, NE); \
        break;                                                       \
    case LUMA_OP_LT:                                                 \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, LT); \
        break;                                                       \
    case LUMA_OP_LE:                                                 \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, LE); \
        break;                                                       \
    case LUMA_OP_GT:                                                 \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, GT); \
        break;                                                       \
    default:                                                         \
        LUMA_BINARY_LOOP(TX, TY, uint8_t, args, sel, rows, out, GE); \
        break;                                                       \
    }                                                                \
    return LUMA_OK

#define COMPARE_EVAL(name_)                                                              \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

#define COMPARE_PLAIN(name_, TX, TY)                                     \
    COMPARE_EVAL(name_)                                                  \
    {                                                                    \
        (void)args_count;                                                \
        COMPARE_BODY(TX, TY, x == y, x != y, x<y, x <= y, x> y, x >= y); \
    }

/* NaN equals itself and is above everything. */
#define COMPARE_FLOAT(name_, TX, TY)                                                             \
    COMPARE_EVAL(name_)                                                                          \
    {                                                                                            \
        (void)args_count;                                                                        \
        COMPARE_BODY(TX, TY, (x == y) | ((x != x) & (y != y)),                                   \
                     !((x == y) | ((x != x) & (y != y))), (x < y) | ((y != y) & (x == x)),       \
                     (x <= y) | (y != y), (x > y) | ((x != x) & (y == y)), (x >= y) | (x != x)); \
    }

COMPARE_PLAIN(compare_bool, uint8_t, uint8_t)
COMPARE_PLAIN(compare_22, int16_t, int16_t)
COMPARE_PLAIN(compare_24, int16_t, int32_t)
COMPARE_PLAIN(compare_28, int16_t, int64_t)
COMPARE_PLAIN(compare_42, int32_t, int16_t)
COMPARE_PLAIN(compare_44, int32_t, int32_t)
COMPARE_PLAIN(compare_48, int32_t, int64_t)
COMPARE_PLAIN(compare_82, int64_t, int16_t)
COMPARE_PLAIN(compare_84, int64_t, int32_t)
COMPARE_PLAIN(compare_88, int64_t, int64_t)
COMPARE_PLAIN(compare_oid, uint32_t, uint32_t)
COMPARE_FLOAT(compare_f44, float, float)
COMPARE_FLOAT(compare_f48, float, double)
COMPARE_FLOAT(compare_f84, double, float)
COMPARE_FLOAT(compare_f88, double, double)

static inline bool
holds(enum luma_func_op op, int c)
{
    switch (op) {
    case LUMA_OP_EQ:
        return c == 0;
    case LUMA_OP_NE:
        return c != 0;
    case LUMA_OP_LT:
        return c < 0;
    case LUMA_OP_LE:
        return c <= 0;
    case LUMA_OP_GT:
        return c > 0;
    default:
        return c >= 0;
    }
}

/* Any type, by the kernel's order. */
COMPARE_EVAL(compare_any)
{
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = holds(call->func->op, core_host->data->compare(&args[0], i, &args[1], i));
    }
    return LUMA_OK;
}

COMPARE_EVAL(compare_text)
{
    uint8_t *r = out->data;
    enum luma_func_op op = call->func->op;

    (void)args_count;
    if (op == LUMA_OP_EQ || op == LUMA_OP_NE) {
        LUMA_ROWS(sel, rows, i)
        {
            r[i] = luma_str_equal(luma_arg_str(&args[0], i), luma_arg_str(&args[1], i)) ==
                   (op == LUMA_OP_EQ);
        }
        return LUMA_OK;
    }
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = holds(op, luma_str_compare(luma_arg_str(&args[0], i), luma_arg_str(&args[1], i)));
    }
    return LUMA_OK;
}

/* --- numeric: on integers brought to one scale where that cannot overflow --- */

static const int64_t pow10_i64[19] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000};

static bool
scaled_fits(const struct luma_vec *vec, int64_t unit)
{
    return unit == 1 || (vec->bound != 0 && vec->bound <= (uint64_t)(INT64_MAX / unit));
}

COMPARE_EVAL(compare_numeric)
{
    int32_t diff = args[1].scale - args[0].scale;
    int64_t ux, uy;

    if (args[0].phys != LUMA_PHYS_I64 || args[1].phys != LUMA_PHYS_I64 || diff > 18 || diff < -18)
        return compare_any(call, args, args_count, sel, rows, out);
    ux = diff > 0 ? pow10_i64[diff] : 1;
    uy = diff < 0 ? pow10_i64[-diff] : 1;
    if (ux == 1 && uy == 1)
        return compare_88(call, args, args_count, sel, rows, out);
    if (scaled_fits(&args[0], ux) && scaled_fits(&args[1], uy)) {
        COMPARE_BODY(int64_t, int64_t, x * ux == y * uy, x * ux != y * uy,
                     x * ux<y * uy, x * ux <= y * uy, x * ux> y * uy, x * ux >= y * uy);
    }
#define WX ((luma_i128)x * ux)
#define WY ((luma_i128)y * uy)
    COMPARE_BODY(int64_t, int64_t, WX == WY, WX != WY, WX<WY, WX <= WY, WX> WY, WX >= WY);
#undef WX
#undef WY
}

/* --- dates against timestamps; the zone matters for timestamptz --- */

static int64_t
date_us(int32_t date)
{
    if (date == INT32_MAX || date == INT32_MIN)
        return date > 0 ? INT64_MAX : INT64_MIN;
    if (date > 106751982) /* later than any timestamp */
        return INT64_MAX - 1;
    return date * INT64_C(86400000000);
}

static luma_rc
local_to_utc(const struct luma_func_call *call, int64_t local, int64_t *out)
{
    struct luma_civil civil;

    *out = local;
    if (local == INT64_MAX || local == INT64_MIN || call->format->zone == NULL)
        return LUMA_OK;
    core_host->data->civil_from_timestamp(local, NULL, &civil);
    if (core_host->data->timestamp_from_civil(&civil, call->format->zone, out) != LUMA_OK)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "timestamp out of range");
    return LUMA_OK;
}

static luma_rc
instant_of(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row, bool zoned,
           int64_t *out)
{
    int64_t us;

    if (vec->type.id == LUMA_TYPE_DATE)
        us = date_us(luma_arg_i32(vec, row));
    else
        us = luma_arg_i64(vec, row);
    if (zoned && vec->type.id != LUMA_TYPE_TIMESTAMPTZ)
        return local_to_utc(call, us, out);
    *out = us;
    return LUMA_OK;
}

COMPARE_EVAL(compare_instants)
{
    uint8_t *r = out->data;
    bool zoned = call->func->args[0].id == LUMA_TYPE_TIMESTAMPTZ ||
                 call->func->args[1].id == LUMA_TYPE_TIMESTAMPTZ;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t x = 0, y = 0;
        LUMA_TRY(instant_of(call, &args[0], i, zoned, &x));
        LUMA_TRY(instant_of(call, &args[1], i, zoned, &y));
        r[i] = holds(call->func->op, (x > y) - (x < y));
    }
    return LUMA_OK;
}

/* --- signatures --- */

#define SIX_FLAGS(tx, ty, eval_, flags_)                                                 \
    LUMA_FUNC_OP("=", CORE_OP | (flags_), LUMA_OP_EQ, LUMA_T(BOOL), eval_, tx, ty),      \
        LUMA_FUNC_OP("<>", CORE_OP | (flags_), LUMA_OP_NE, LUMA_T(BOOL), eval_, tx, ty), \
        LUMA_FUNC_OP("<", CORE_OP | (flags_), LUMA_OP_LT, LUMA_T(BOOL), eval_, tx, ty),  \
        LUMA_FUNC_OP("<=", CORE_OP | (flags_), LUMA_OP_LE, LUMA_T(BOOL), eval_, tx, ty), \
        LUMA_FUNC_OP(">", CORE_OP | (flags_), LUMA_OP_GT, LUMA_T(BOOL), eval_, tx, ty),  \
        LUMA_FUNC_OP(">=", CORE_OP | (flags_), LUMA_OP_GE, LUMA_T(BOOL), eval_, tx, ty)
#define SIX(x, y, eval_) SIX_FLAGS(LUMA_T(x), LUMA_T(y), eval_, 0)

static const struct luma_func compare_functions[] = {
    SIX(BOOL, BOOL, compare_bool),
    SIX(INT2, INT2, compare_22),
    SIX(INT2, INT4, compare_24),
    SIX(INT2, INT8, compare_28),
    SIX(INT4, INT2, compare_42),
    SIX(INT4, INT4, compare_44),
    SIX(INT4, INT8, compare_48),
    SIX(INT8, INT2, compare_82),
    SIX(INT8, INT4, compare_84),
    SIX(INT8, INT8, compare_88),
    SIX(FLOAT4, FLOAT4, compare_f44),
    SIX(FLOAT4, FLOAT8, compare_f48),
    SIX(FLOAT8, FLOAT4, compare_f84),
    SIX(FLOAT8, FLOAT8, compare_f88),
    SIX(NUMERIC, NUMERIC, compare_numeric),
    SIX_FLAGS(LUMA_T(TEXT), LUMA_T(TEXT), compare_text, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(BPCHAR), LUMA_T(BPCHAR), compare_any, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(NAME), LUMA_T(NAME), compare_text, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(NAME), LUMA_T(TEXT), compare_text, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(TEXT), LUMA_T(NAME), compare_text, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(BYTEA), LUMA_T(BYTEA), compare_text, LUMA_FUNC_DICT),
    SIX_FLAGS(LUMA_T(CHAR1), LUMA_T(CHAR1), compare_text, LUMA_FUNC_DICT),
    SIX(DATE, DATE, compare_44),
    SIX(TIME, TIME, compare_88),
    SIX(TIMESTAMP, TIMESTAMP, compare_88),
    SIX(TIMESTAMPTZ, TIMESTAMPTZ, compare_88),
    SIX(DATE, TIMESTAMP, compare_instants),
    SIX(TIMESTAMP, DATE, compare_instants),
    SIX_FLAGS(LUMA_T(DATE), LUMA_T(TIMESTAMPTZ), compare_instants, LUMA_FUNC_STABLE),
    SIX_FLAGS(LUMA_T(TIMESTAMPTZ), LUMA_T(DATE), compare_instants, LUMA_FUNC_STABLE),
    SIX_FLAGS(LUMA_T(TIMESTAMP), LUMA_T(TIMESTAMPTZ), compare_instants, LUMA_FUNC_STABLE),
    SIX_FLAGS(LUMA_T(TIMESTAMPTZ), LUMA_T(TIMESTAMP), compare_instants, LUMA_FUNC_STABLE),
    SIX(INTERVAL, INTERVAL, compare_any),
    SIX(UUID, UUID, compare_any),
    SIX(JSONB, JSONB, compare_any),
    SIX(VECTOR, VECTOR, compare_any),
    SIX(ANYARRAY, ANYARRAY, compare_any),
    SIX(ENUM, ENUM, compare_88),
    SIX(OID, OID, compare_oid),
    LUMA_FUNC_OP("=", CORE_OP, LUMA_OP_EQ, LUMA_T(BOOL), compare_oid, LUMA_T(XID), LUMA_T(XID)),
    LUMA_FUNC_OP("<>", CORE_OP, LUMA_OP_NE, LUMA_T(BOOL), compare_oid, LUMA_T(XID), LUMA_T(XID)),
};

const struct luma_func_part core_compare = {compare_functions, LUMA_COUNTOF(compare_functions)};

/* ~<~ and its kin: bytewise order, which is the only one there is. */
#define BYTEWISE(name_, op_)                                                                       \
    LUMA_FUNC_OP(name_, CORE_OP | LUMA_FUNC_HIDDEN, op_, LUMA_T(BOOL), compare_text, LUMA_T(TEXT), \
                 LUMA_T(TEXT))

static const struct luma_func text_order_functions[] = {
    BYTEWISE("~<~", LUMA_OP_LT),
    BYTEWISE("~<=~", LUMA_OP_LE),
    BYTEWISE("~>~", LUMA_OP_GT),
    BYTEWISE("~>=~", LUMA_OP_GE),
};

const struct luma_func_part core_text_order = {text_order_functions,
                                               LUMA_COUNTOF(text_order_functions)};
