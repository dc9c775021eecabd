/* function/numeric - decimal arithmetic and mathematics. */
#ifndef FUNCTION_NUMERIC_H
#define FUNCTION_NUMERIC_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *numeric_host;
extern const struct luma_func_part numeric_arith, numeric_round, numeric_math, numeric_series;

#define NUMERIC_EVAL(name_)                                                              \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

/* 10^0 .. 10^18 */
extern const int64_t numeric_pow10[19];

/* Row's number in the variable form; converted ones lie in the batch arena. */
luma_rc numeric_str_at(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
                       struct luma_str *out);
/* Gives out room for values of another form, for all rows up to the highest selected. */
luma_rc numeric_out_form(const struct luma_func_call *call, const uint16_t *sel, uint32_t rows,
                         enum luma_phys phys, int16_t scale, uint64_t bound, struct luma_vec *out);

#endif
