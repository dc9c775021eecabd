/* function/aggregate - aggregates: sums, averages, extremes, deviations, collections. */
#ifndef FUNCTION_AGGREGATE_H
#define FUNCTION_AGGREGATE_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *aggregate_host;
extern const struct luma_func_part aggregate_count, aggregate_sum, aggregate_extreme,
    aggregate_deviation, aggregate_collect;

/* An exact sum: 128-bit at one scale, what does not fit in the variable form. */
struct exact_sum {
    luma_i128 sum;
    struct luma_str big; /* bytes 0: none */
    int64_t count;
    int32_t scale; /* of sum, and the digits that the result shows */
};

luma_rc exact_add(const struct luma_func_call *call, struct exact_sum *s,
                  const struct luma_vec *vec, uint32_t row);
luma_rc exact_add_i128(const struct luma_func_call *call, struct exact_sum *s, luma_i128 v,
                       int32_t scale);
luma_rc exact_merge(const struct luma_func_call *call, struct exact_sum *into,
                    const struct exact_sum *from);
/* The variable form. */
luma_rc exact_total(const struct luma_func_call *call, const struct exact_sum *s,
                    struct luma_str *out);
void value_numeric(struct luma_value *out, struct luma_str str);
void value_null(struct luma_value *out, struct luma_type type);

#define AGG_UPDATE(name_)                                                                \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         void *const *states)
#define AGG_MERGE(name_) \
    static luma_rc name_(const struct luma_func_call *call, void *into, void *from)
#define AGG_FINISH(name_) \
    static luma_rc name_(const struct luma_func_call *call, void *state, struct luma_value *out)

/* Row of the k-th selected one. */
#define AGG_ROW(sel_, k_) ((sel_) == NULL ? (k_) : (sel_)[k_])

#define AGG(name_, op_, result_, agg_, ...)                                                 \
    LUMA_FUNC_OP_(name_, LUMA_FUNC_AGGREGATE, op_, NULL, __VA_ARGS__), .result = result_,   \
                                                                       .aggregate = &(agg_) \
    }

#endif
