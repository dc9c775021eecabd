/*
 * function/core/integer.c - arithmetic of whole numbers.
 *
 * Loops compute all rows and gather one flag of overflow; only when it is set does a second look
 * decide. Where the vectors' bounds prove that nothing can overflow, 64-bit loops do not test.
 */
#include "core.h"

static const char *
result_name(const struct luma_func_call *call)
{
    return call->func->result.id == LUMA_TYPE_INT2   ? "smallint"
           : call->func->result.id == LUMA_TYPE_INT4 ? "integer"
                                                     : "bigint";
}

/* Narrow results: computed in 64 bits, the highest excess decides. */
#define NARROW(name_, TX, TY, TR, MIN, MAX, OP)                            \
    CORE_EVAL(name_)                                                       \
    {                                                                      \
        int64_t bad = 0;                                                   \
        (void)args_count;                                                  \
        LUMA_BINARY_LOOP(TX, TY, TR, args, sel, rows, out, ({              \
                             int64_t v = (int64_t)x OP(int64_t) y;         \
                             bad |= (int64_t)((v < (MIN)) | (v > (MAX)));  \
                             v;                                            \
                         }));                                              \
        return bad ? core_out_of_range(call, result_name(call)) : LUMA_OK; \
    }

NARROW(add_22, int16_t, int16_t, int16_t, INT16_MIN, INT16_MAX, +)
NARROW(sub_22, int16_t, int16_t, int16_t, INT16_MIN, INT16_MAX, -)
NARROW(mul_22, int16_t, int16_t, int16_t, INT16_MIN, INT16_MAX, *)
NARROW(add_24, int16_t, int32_t, int32_t, INT32_MIN, INT32_MAX, +)
NARROW(sub_24, int16_t, int32_t, int32_t, INT32_MIN, INT32_MAX, -)
NARROW(mul_24, int16_t, int32_t, int32_t, INT32_MIN, INT32_MAX, *)
NARROW(add_42, int32_t, int16_t, int32_t, INT32_MIN, INT32_MAX, +)
NARROW(sub_42, int32_t, int16_t, int32_t, INT32_MIN, INT32_MAX, -)
NARROW(mul_42, int32_t, int16_t, int32_t, INT32_MIN, INT32_MAX, *)
NARROW(add_44, int32_t, int32_t, int32_t, INT32_MIN, INT32_MAX, +)
NARROW(sub_44, int32_t, int32_t, int32_t, INT32_MIN, INT32_MAX, -)
NARROW(mul_44, int32_t, int32_t, int32_t, INT32_MIN, INT32_MAX, *)

static uint64_t
bound_of(const struct luma_vec *vec)
{
    if (vec->bound != 0)
        return vec->bound;
    return vec->phys == LUMA_PHYS_I16 ? 32768 : vec->phys == LUMA_PHYS_I32 ? 2147483648u : 0;
}

/* The bound of the result when it is known to fit; 0: not known. */
static uint64_t
sum_bound(const struct luma_vec *args)
{
    uint64_t x = bound_of(&args[0]), y = bound_of(&args[1]);
    return x != 0 && y != 0 && x < (uint64_t)1 << 62 && y < (uint64_t)1 << 62 ? x + y : 0;
}

static uint64_t
product_bound(const struct luma_vec *args)
{
    uint64_t x = bound_of(&args[0]), y = bound_of(&args[1]), r;
    return x != 0 && y != 0 && !__builtin_mul_overflow(x, y, &r) && r <= INT64_MAX ? r : 0;
}

#define WIDE(name_, TX, TY, BOUND, OP, BUILTIN)                                                \
    CORE_EVAL(name_)                                                                           \
    {                                                                                          \
        uint64_t bound = BOUND(args);                                                          \
        int64_t bad = 0;                                                                       \
        (void)args_count;                                                                      \
        if (bound != 0 && bound <= INT64_MAX) {                                                \
            LUMA_BINARY_LOOP(TX, TY, int64_t, args, sel, rows, out, (int64_t)x OP(int64_t) y); \
            out->bound = bound;                                                                \
            return LUMA_OK;                                                                    \
        }                                                                                      \
        LUMA_BINARY_LOOP(TX, TY, int64_t, args, sel, rows, out, ({                             \
                             int64_t v;                                                        \
                             bad |= BUILTIN((int64_t)x, (int64_t)y, &v);                       \
                             v;                                                                \
                         }));                                                                  \
        return bad ? core_out_of_range(call, "bigint") : LUMA_OK;                              \
    }

#define WIDE3(suffix_, TX, TY)                                        \
    WIDE(add_##suffix_, TX, TY, sum_bound, +, __builtin_add_overflow) \
    WIDE(sub_##suffix_, TX, TY, sum_bound, -, __builtin_sub_overflow) \
    WIDE(mul_##suffix_, TX, TY, product_bound, *, __builtin_mul_overflow)

WIDE3(88, int64_t, int64_t)
WIDE3(48, int32_t, int64_t)
WIDE3(84, int64_t, int32_t)
WIDE3(28, int16_t, int64_t)
WIDE3(82, int64_t, int16_t)

/* Division looks at each row: zero, and the one quotient that does not fit. */
#define DIVIDE(suffix_, TX, TY, TR, LEAST)                                     \
    CORE_EVAL(div_##suffix_)                                                   \
    {                                                                          \
        const TX *px = args[0].data;                                           \
        const TY *py = args[1].data;                                           \
        size_t sx = luma_vec_stride(&args[0]), sy = luma_vec_stride(&args[1]); \
        TR *r = out->data;                                                     \
        (void)args_count;                                                      \
        LUMA_ROWS(sel, rows, i)                                                \
        {                                                                      \
            TX x = px[i * sx];                                                 \
            TY y = py[i * sy];                                                 \
            if (y == 0)                                                        \
                return core_division_by_zero(call);                            \
            if (LEAST)                                                         \
                return core_out_of_range(call, result_name(call));             \
            r[i] = (TR)(x / y);                                                \
        }                                                                      \
        return LUMA_OK;                                                        \
    }

#define MODULO(suffix_, T)                                                     \
    CORE_EVAL(mod_##suffix_)                                                   \
    {                                                                          \
        const T *px = args[0].data;                                            \
        const T *py = args[1].data;                                            \
        size_t sx = luma_vec_stride(&args[0]), sy = luma_vec_stride(&args[1]); \
        T *r = out->data;                                                      \
        (void)args_count;                                                      \
        LUMA_ROWS(sel, rows, i)                                                \
        {                                                                      \
            T x = px[i * sx];                                                  \
            T y = py[i * sy];                                                  \
            if (y == 0)                                                        \
                return core_division_by_zero(call);                            \
            r[i] = y == -1 ? 0 : (T)(x % y);                                   \
        }                                                                      \
        return LUMA_OK;                                                        \
    }

MODULO(22, int16_t)
MODULO(44, int32_t)
MODULO(88, int64_t)

DIVIDE(22, int16_t, int16_t, int16_t, x == INT16_MIN && y == -1)
DIVIDE(24, int16_t, int32_t, int32_t, false)
DIVIDE(42, int32_t, int16_t, int32_t, x == INT32_MIN && y == -1)
DIVIDE(44, int32_t, int32_t, int32_t, x == INT32_MIN && y == -1)
DIVIDE(48, int32_t, int64_t, int64_t, false)
DIVIDE(84, int64_t, int32_t, int64_t, x == INT64_MIN && y == -1)
DIVIDE(28, int16_t, int64_t, int64_t, false)
DIVIDE(82, int64_t, int16_t, int64_t, x == INT64_MIN && y == -1)
DIVIDE(88, int64_t, int64_t, int64_t, x == INT64_MIN && y == -1)

#define SIGNS(suffix_, T, MIN)                                                             \
    CORE_EVAL(neg_##suffix_)                                                               \
    {                                                                                      \
        int bad = 0;                                                                       \
        (void)args_count;                                                                  \
        LUMA_UNARY_LOOP(T, T, args, sel, rows, out, (bad |= x == (MIN), 0 - (uint64_t)x)); \
        return bad ? core_out_of_range(call, result_name(call)) : LUMA_OK;                 \
    }                                                                                      \
    CORE_EVAL(abs_##suffix_)                                                               \
    {                                                                                      \
        int bad = 0;                                                                       \
        (void)args_count;                                                                  \
        LUMA_UNARY_LOOP(T, T, args, sel, rows, out,                                        \
                        (bad |= x == (MIN), x < 0 ? 0 - (uint64_t)x : (uint64_t)x));       \
        return bad ? core_out_of_range(call, result_name(call)) : LUMA_OK;                 \
    }                                                                                      \
    SIMPLE_UNARY(plus_##suffix_, T, T, x)                                                  \
    SIMPLE_UNARY(not_##suffix_, T, T, ~x)

SIGNS(2, int16_t, INT16_MIN)
SIGNS(4, int32_t, INT32_MIN)
SIGNS(8, int64_t, INT64_MIN)

#define BITS(suffix_, T, UT, MASK)                                     \
    SIMPLE_BINARY(and_##suffix_, T, T, T, x &y)                        \
    SIMPLE_BINARY(or_##suffix_, T, T, T, x | y)                        \
    SIMPLE_BINARY(xor_##suffix_, T, T, T, x ^ y)                       \
    SIMPLE_BINARY(shl_##suffix_, T, int32_t, T, (UT)x << (y & (MASK))) \
    SIMPLE_BINARY(shr_##suffix_, T, int32_t, T, x >> (y & (MASK)))

BITS(2, int16_t, uint32_t, 31)
BITS(4, int32_t, uint32_t, 31)
BITS(8, int64_t, uint64_t, 63)

#define FIVE(tx, ty, tr, suffix_)                                                               \
    LUMA_FUNC_OP("+", CORE_OP, LUMA_OP_ADD, LUMA_T(tr), add_##suffix_, LUMA_T(tx), LUMA_T(ty)), \
        LUMA_FUNC_OP("-", CORE_OP, LUMA_OP_SUB, LUMA_T(tr), sub_##suffix_, LUMA_T(tx),          \
                     LUMA_T(ty)),                                                               \
        LUMA_FUNC_OP("*", CORE_OP, LUMA_OP_MUL, LUMA_T(tr), mul_##suffix_, LUMA_T(tx),          \
                     LUMA_T(ty)),                                                               \
        LUMA_FUNC_OP("/", CORE_OP, LUMA_OP_DIV, LUMA_T(tr), div_##suffix_, LUMA_T(tx), LUMA_T(ty))
#define MOD(t, suffix_)                                                                      \
    LUMA_FUNC_OP("%", CORE_OP, LUMA_OP_MOD, LUMA_T(t), mod_##suffix_, LUMA_T(t), LUMA_T(t)), \
        LUMA_FUNC("mod", LUMA_FUNC_STRICT, LUMA_T(t), mod_##suffix_, LUMA_T(t), LUMA_T(t))
#define ONE_TYPE(t, suffix_)                                                         \
    LUMA_FUNC_OP("-", CORE_OP, LUMA_OP_NEG, LUMA_T(t), neg_##suffix_, LUMA_T(t)),    \
        LUMA_FUNC("+", CORE_OP, LUMA_T(t), plus_##suffix_, LUMA_T(t)),               \
        LUMA_FUNC("@", CORE_OP, LUMA_T(t), abs_##suffix_, LUMA_T(t)),                \
        LUMA_FUNC("abs", LUMA_FUNC_STRICT, LUMA_T(t), abs_##suffix_, LUMA_T(t)),     \
        LUMA_FUNC("~", CORE_OP, LUMA_T(t), not_##suffix_, LUMA_T(t)),                \
        LUMA_FUNC("&", CORE_OP, LUMA_T(t), and_##suffix_, LUMA_T(t), LUMA_T(t)),     \
        LUMA_FUNC("|", CORE_OP, LUMA_T(t), or_##suffix_, LUMA_T(t), LUMA_T(t)),      \
        LUMA_FUNC("#", CORE_OP, LUMA_T(t), xor_##suffix_, LUMA_T(t), LUMA_T(t)),     \
        LUMA_FUNC("<<", CORE_OP, LUMA_T(t), shl_##suffix_, LUMA_T(t), LUMA_T(INT4)), \
        LUMA_FUNC(">>", CORE_OP, LUMA_T(t), shr_##suffix_, LUMA_T(t), LUMA_T(INT4))

static const struct luma_func integer_functions[] = {
    FIVE(INT2, INT2, INT2, 22),
    FIVE(INT2, INT4, INT4, 24),
    FIVE(INT2, INT8, INT8, 28),
    FIVE(INT4, INT2, INT4, 42),
    FIVE(INT4, INT4, INT4, 44),
    FIVE(INT4, INT8, INT8, 48),
    FIVE(INT8, INT2, INT8, 82),
    FIVE(INT8, INT4, INT8, 84),
    FIVE(INT8, INT8, INT8, 88),
    MOD(INT2, 22),
    MOD(INT4, 44),
    MOD(INT8, 88),
    ONE_TYPE(INT2, 2),
    ONE_TYPE(INT4, 4),
    ONE_TYPE(INT8, 8),
};

const struct luma_func_part core_integer = {integer_functions, LUMA_COUNTOF(integer_functions)};
