/*
 * lumadb/kind/function_util.h - what authors of function packages write again and again: types in
 * signatures, loops over rows, strings in arenas. All inline; nothing here is an interface.
 */
#ifndef LUMADB_KIND_FUNCTION_UTIL_H
#define LUMADB_KIND_FUNCTION_UTIL_H

#include <lumadb/host/host.h>
#include <lumadb/kind/function.h>
#include <lumadb/module.h>

#include <stdlib.h>

/* A type in a signature: LUMA_T(INT4), LUMA_TA(TEXT) for text[]. */
#define LUMA_T(id_)               \
    {                             \
        LUMA_TYPE_##id_, 0, 0, -1 \
    }
#define LUMA_TA(id_)                            \
    {                                           \
        LUMA_TYPE_ARRAY, LUMA_TYPE_##id_, 0, -1 \
    }

/* One signature: LUMA_FUNC("abs", LUMA_FUNC_STRICT, LUMA_T(INT4), abs_int4, LUMA_T(INT4)), the
 * result before the body, the arguments after it. */
#define LUMA_FUNC(name_, flags_, result_, eval_, ...)                                 \
    LUMA_FUNC_OP_(name_, flags_, LUMA_OP_NONE, eval_, __VA_ARGS__), .result = result_ \
    }
#define LUMA_FUNC_OP(name_, flags_, op_, result_, eval_, ...)                \
    LUMA_FUNC_OP_(name_, flags_, op_, eval_, __VA_ARGS__), .result = result_ \
    }
#define LUMA_FUNC_OP_(name_, flags_, op_, eval_, ...)                                             \
    {                                                                                             \
        .name = name_, .flags = (flags_), .op = op_, .eval = eval_,                               \
        .args_count = sizeof((const struct luma_type[]){__VA_ARGS__}) / sizeof(struct luma_type), \
        .args = {                                                                                 \
            __VA_ARGS__                                                                           \
        }
/* Without arguments. */
#define LUMA_FUNC0(name_, flags_, result_, eval_)                          \
    {                                                                      \
        .name = name_, .flags = (flags_), .eval = eval_, .result = result_ \
    }

struct luma_func_part {
    const struct luma_func *functions;
    size_t count;
};

/* Fills the package with the functions of all parts, once, at init; false: no memory. */
static inline bool
luma_function_package_join(struct luma_function_package *package,
                           const struct luma_func_part *parts, size_t parts_count)
{
    size_t count = 0, at = 0;
    struct luma_func *all;

    for (size_t i = 0; i < parts_count; i++)
        count += parts[i].count;
    all = (struct luma_func *)malloc(count * sizeof(*all));
    if (all == NULL)
        return false;
    for (size_t i = 0; i < parts_count; i++) {
        memcpy(all + at, parts[i].functions, parts[i].count * sizeof(*all));
        at += parts[i].count;
    }
    package->functions = all;
    package->functions_count = count;
    return true;
}

/* Visits the selected rows: LUMA_ROWS(sel, rows, i) { ... i ... } */
#define LUMA_ROWS(sel_, rows_, i_)                                                       \
    for (uint32_t luma_k_ = 0, i_ = 0;                                                   \
         luma_k_ < (rows_) && ((i_) = (sel_) == NULL ? luma_k_ : (sel_)[luma_k_], true); \
         luma_k_++)

/* 1 for FLAT, 0 for CONST: data[i * stride] is row i's value. */
static inline size_t
luma_vec_stride(const struct luma_vec *vec)
{
    return vec->form == LUMA_VEC_CONST ? 0 : 1;
}

/*
 * out[i] = EXPR of x and y for the selected rows, with loops that the compiler can vectorize for
 * the usual forms.
 */
#define LUMA_BINARY_LOOP(TX, TY, TR, args_, sel_, rows_, out_, EXPR)                             \
    do {                                                                                         \
        const TX *luma_x_ = (const TX *)(args_)[0].data;                                         \
        const TY *luma_y_ = (const TY *)(args_)[1].data;                                         \
        TR *luma_r_ = (TR *)(out_)->data;                                                        \
        size_t luma_sx_ = luma_vec_stride(&(args_)[0]), luma_sy_ = luma_vec_stride(&(args_)[1]); \
        if ((sel_) == NULL && luma_sx_ == 1 && luma_sy_ == 1) {                                  \
            for (uint32_t i = 0; i < (rows_); i++) {                                             \
                TX x = luma_x_[i];                                                               \
                TY y = luma_y_[i];                                                               \
                luma_r_[i] = (TR)(EXPR);                                                         \
            }                                                                                    \
        } else if ((sel_) == NULL && luma_sx_ == 1) {                                            \
            TY y = luma_y_[0];                                                                   \
            for (uint32_t i = 0; i < (rows_); i++) {                                             \
                TX x = luma_x_[i];                                                               \
                luma_r_[i] = (TR)(EXPR);                                                         \
            }                                                                                    \
        } else {                                                                                 \
            LUMA_ROWS(sel_, rows_, i)                                                            \
            {                                                                                    \
                TX x = luma_x_[i * luma_sx_];                                                    \
                TY y = luma_y_[i * luma_sy_];                                                    \
                luma_r_[i] = (TR)(EXPR);                                                         \
            }                                                                                    \
        }                                                                                        \
    } while (0)

/* out[i] = EXPR of x. */
#define LUMA_UNARY_LOOP(TX, TR, args_, sel_, rows_, out_, EXPR) \
    do {                                                        \
        const TX *luma_x_ = (const TX *)(args_)[0].data;        \
        TR *luma_r_ = (TR *)(out_)->data;                       \
        size_t luma_sx_ = luma_vec_stride(&(args_)[0]);         \
        LUMA_ROWS(sel_, rows_, i)                               \
        {                                                       \
            TX x = luma_x_[i * luma_sx_];                       \
            luma_r_[i] = (TR)(EXPR);                            \
        }                                                       \
    } while (0)

static inline const struct luma_str *
luma_arg_str(const struct luma_vec *vec, uint32_t row)
{
    return (const struct luma_str *)vec->data + row * luma_vec_stride(vec);
}

static inline int32_t
luma_arg_i32(const struct luma_vec *vec, uint32_t row)
{
    return ((const int32_t *)vec->data)[row * luma_vec_stride(vec)];
}

static inline int64_t
luma_arg_i64(const struct luma_vec *vec, uint32_t row)
{
    return ((const int64_t *)vec->data)[row * luma_vec_stride(vec)];
}

static inline double
luma_arg_f64(const struct luma_vec *vec, uint32_t row)
{
    return ((const double *)vec->data)[row * luma_vec_stride(vec)];
}

static inline bool
luma_arg_bool(const struct luma_vec *vec, uint32_t row)
{
    return ((const uint8_t *)vec->data)[row * luma_vec_stride(vec)] != 0;
}

static inline luma_rc
luma_func_no_memory(const struct luma_func_call *call)
{
    return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
}

/* Room for a string of a result; NULL: no memory (reported by the caller). */
static inline char *
luma_func_room(const struct luma_func_call *call, size_t bytes)
{
    return (char *)luma_arena_alloc_aligned(call->arena, bytes == 0 ? 1 : bytes, 1);
}

static inline void
luma_out_str(struct luma_vec *out, uint32_t row, const char *data, size_t bytes)
{
    ((struct luma_str *)out->data)[row] = luma_str_make(data, (uint32_t)bytes);
}

/* Row is null in the result of a function that is not strict, or of one that answers null. */
static inline luma_rc
luma_out_null(const struct luma_func_call *call, struct luma_vec *out, const uint16_t *sel,
              uint32_t rows, uint32_t row)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];

    if (!luma_vec_need_valid(out, call->arena, highest + 1))
        return luma_func_no_memory(call);
    luma_bit_clear(out->valid, row);
    return LUMA_OK;
}

/* A column for the rows of a function that returns rows; NULL: no memory. */
static inline struct luma_vec *
luma_set_column(const struct luma_func_call *call)
{
    struct luma_vec *col = LUMA_NEW(call->arena, struct luma_vec);

    return col != NULL && luma_vec_init(col, call->arena, call->result, LUMA_BATCH_ROWS) ? col
                                                                                         : NULL;
}

/* The batch of a function whose rows have one column. */
static inline void
luma_set_rows(struct luma_batch *out, struct luma_vec *col, uint32_t rows)
{
    memset(out, 0, sizeof(*out));
    out->rows = out->sel_rows = rows;
    out->cols_count = 1;
    out->cols = col;
}

#endif
