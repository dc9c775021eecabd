/* function/aggregate/aggregate.c - the package; counting. */
#include "aggregate.h"

const struct luma_host *aggregate_host;

void
value_numeric(struct luma_value *out, struct luma_str str)
{
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_NUMERIC);
    out->phys = LUMA_PHYS_STR;
    out->str = str;
}

void
value_null(struct luma_value *out, struct luma_type type)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    out->is_null = true;
}

AGG_UPDATE(count_update)
{
    (void)call;
    (void)args;
    (void)args_count;
    (void)sel;
    for (uint32_t k = 0; k < rows; k++)
        ++*(int64_t *)states[k];
    return LUMA_OK;
}

AGG_MERGE(count_merge)
{
    (void)call;
    *(int64_t *)into += *(const int64_t *)from;
    return LUMA_OK;
}

AGG_FINISH(count_finish)
{
    (void)call;
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_INT8);
    out->phys = LUMA_PHYS_I64;
    out->i64 = *(const int64_t *)state;
    return LUMA_OK;
}

static const struct luma_func_aggregate count_rows = {.state_bytes = sizeof(int64_t),
                                                      .update = count_update,
                                                      .merge = count_merge,
                                                      .finish = count_finish};
static const struct luma_func_aggregate count_values = {.state_bytes = sizeof(int64_t),
                                                        .ignores_nulls = true,
                                                        .update = count_update,
                                                        .merge = count_merge,
                                                        .finish = count_finish};

static const struct luma_func count_functions[] = {
    {.name = "count",
     .flags = LUMA_FUNC_AGGREGATE,
     .op = LUMA_OP_COUNT_STAR,
     .result = LUMA_T(INT8),
     .aggregate = &count_rows},
    AGG("count", LUMA_OP_COUNT, LUMA_T(INT8), count_values, LUMA_T(ANY)),
};

const struct luma_func_part aggregate_count = {count_functions, LUMA_COUNTOF(count_functions)};

static struct luma_function_package aggregate_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
aggregate_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx,
               void **out_state)
{
    const struct luma_func_part parts[] = {aggregate_count, aggregate_sum, aggregate_extreme,
                                           aggregate_deviation, aggregate_collect};

    (void)conf;
    aggregate_host = host;
    if (!luma_function_package_join(&aggregate_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "aggregate", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "count, sum, avg, min, max, deviations, string_agg ...",
            .offers = LUMA_OFFERS({"function.aggregate", &aggregate_package.head}),
            .init = aggregate_init);
