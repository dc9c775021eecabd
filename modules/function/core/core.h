/* function/core - comparisons, whole and floating point arithmetic, casts. */
#ifndef FUNCTION_CORE_H
#define FUNCTION_CORE_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *core_host;

extern const struct luma_func_part core_compare, core_integer, core_float, core_cast_number,
    core_cast_time, core_cast_text, core_text_order;

#define CORE_EVAL(name_)                                                                 \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

/* A whole evaluator whose expression over x (and y) cannot fail. */
#define SIMPLE_UNARY(name, TX, TR, expr)                     \
    CORE_EVAL(name)                                          \
    {                                                        \
        (void)call;                                          \
        (void)args_count;                                    \
        LUMA_UNARY_LOOP(TX, TR, args, sel, rows, out, expr); \
        return LUMA_OK;                                      \
    }
#define SIMPLE_BINARY(name, TX, TY, TR, expr)                     \
    CORE_EVAL(name)                                               \
    {                                                             \
        (void)call;                                               \
        (void)args_count;                                         \
        LUMA_BINARY_LOOP(TX, TY, TR, args, sel, rows, out, expr); \
        return LUMA_OK;                                           \
    }

#define CORE_OP (LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR)

/* 22003 with PostgreSQL's words. */
luma_rc core_out_of_range(const struct luma_func_call *call, const char *type_name);
luma_rc core_division_by_zero(const struct luma_func_call *call);

#endif
