/* function/core/float.c - floating point arithmetic with PostgreSQL's overflow and underflow. */
#include <math.h>

#include "core.h"

enum { OVERFLOWED = 1, UNDERFLOWED = 2 };

static luma_rc
float_verdict(const struct luma_func_call *call, int bad)
{
    if (bad & OVERFLOWED)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "value out of range: overflow");
    if (bad & UNDERFLOWED)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "value out of range: underflow");
    return LUMA_OK;
}

/* Infinite without an infinite operand; zero without a zero one (UNDER says which ones count). */
#define ARITH(name_, TX, TY, TR, EXPR, UNDER)                                              \
    CORE_EVAL(name_)                                                                       \
    {                                                                                      \
        int bad = 0;                                                                       \
        (void)args_count;                                                                  \
        LUMA_BINARY_LOOP(TX, TY, TR, args, sel, rows, out, ({                              \
                             TR v = (TR)(EXPR);                                            \
                             bad |= (isinf(v) && !isinf(x) && !isinf(y)) ? OVERFLOWED : 0; \
                             bad |= (v == 0 && (UNDER)) ? UNDERFLOWED : 0;                 \
                             v;                                                            \
                         }));                                                              \
        return float_verdict(call, bad);                                                   \
    }

#define DIVIDE(name_, TX, TY, TR)                                              \
    CORE_EVAL(name_)                                                           \
    {                                                                          \
        const TX *px = args[0].data;                                           \
        const TY *py = args[1].data;                                           \
        size_t sx = luma_vec_stride(&args[0]), sy = luma_vec_stride(&args[1]); \
        TR *r = out->data;                                                     \
        int bad = 0;                                                           \
        (void)args_count;                                                      \
        LUMA_ROWS(sel, rows, i)                                                \
        {                                                                      \
            TX x = px[i * sx];                                                 \
            TY y = py[i * sy];                                                 \
            TR v;                                                              \
            if (y == 0 && !isnan(x))                                           \
                return core_division_by_zero(call);                            \
            v = (TR)((TR)x / (TR)y);                                           \
            bad |= isinf(v) && !isinf(x) ? OVERFLOWED : 0;                     \
            bad |= v == 0 && x != 0 && !isinf(y) ? UNDERFLOWED : 0;            \
            r[i] = v;                                                          \
        }                                                                      \
        return float_verdict(call, bad);                                       \
    }

#define FOUR(suffix_, TX, TY, TR)                                    \
    ARITH(add_##suffix_, TX, TY, TR, (TR)x + (TR)y, 0)               \
    ARITH(sub_##suffix_, TX, TY, TR, (TR)x - (TR)y, 0)               \
    ARITH(mul_##suffix_, TX, TY, TR, (TR)x *(TR)y, x != 0 && y != 0) \
    DIVIDE(div_##suffix_, TX, TY, TR)

FOUR(44, float, float, float)
FOUR(48, float, double, double)
FOUR(84, double, float, double)
FOUR(88, double, double, double)

#define SIGNS(suffix_, T)                 \
    SIMPLE_UNARY(neg_##suffix_, T, T, -x) \
    SIMPLE_UNARY(plus_##suffix_, T, T, x) \
    SIMPLE_UNARY(abs_##suffix_, T, T, x < 0 || (x == 0 && signbit(x)) ? -x : x)

SIGNS(4, float)
SIGNS(8, double)

#define OPS(tx, ty, tr, suffix_)                                                                \
    LUMA_FUNC_OP("+", CORE_OP, LUMA_OP_ADD, LUMA_T(tr), add_##suffix_, LUMA_T(tx), LUMA_T(ty)), \
        LUMA_FUNC_OP("-", CORE_OP, LUMA_OP_SUB, LUMA_T(tr), sub_##suffix_, LUMA_T(tx),          \
                     LUMA_T(ty)),                                                               \
        LUMA_FUNC_OP("*", CORE_OP, LUMA_OP_MUL, LUMA_T(tr), mul_##suffix_, LUMA_T(tx),          \
                     LUMA_T(ty)),                                                               \
        LUMA_FUNC_OP("/", CORE_OP, LUMA_OP_DIV, LUMA_T(tr), div_##suffix_, LUMA_T(tx), LUMA_T(ty))
#define ONE_TYPE(t, suffix_)                                                      \
    LUMA_FUNC_OP("-", CORE_OP, LUMA_OP_NEG, LUMA_T(t), neg_##suffix_, LUMA_T(t)), \
        LUMA_FUNC("+", CORE_OP, LUMA_T(t), plus_##suffix_, LUMA_T(t)),            \
        LUMA_FUNC("@", CORE_OP, LUMA_T(t), abs_##suffix_, LUMA_T(t)),             \
        LUMA_FUNC("abs", LUMA_FUNC_STRICT, LUMA_T(t), abs_##suffix_, LUMA_T(t))

static const struct luma_func float_functions[] = {
    OPS(FLOAT4, FLOAT4, FLOAT4, 44),
    OPS(FLOAT4, FLOAT8, FLOAT8, 48),
    OPS(FLOAT8, FLOAT4, FLOAT8, 84),
    OPS(FLOAT8, FLOAT8, FLOAT8, 88),
    ONE_TYPE(FLOAT4, 4),
    ONE_TYPE(FLOAT8, 8),
};

const struct luma_func_part core_float = {float_functions, LUMA_COUNTOF(float_functions)};
