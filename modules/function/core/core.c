/* function/core/core.c - the package of what every query needs. */
#include "core.h"

const struct luma_host *core_host;

luma_rc
core_out_of_range(const struct luma_func_call *call, const char *type_name)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003", "%s out of range", type_name);
}

luma_rc
core_division_by_zero(const struct luma_func_call *call)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22012", "division by zero");
}

static struct luma_function_package core_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
core_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    const struct luma_func_part parts[] = {core_compare,     core_integer,   core_float,
                                           core_cast_number, core_cast_time, core_cast_text,
                                           core_text_order};

    (void)conf;
    core_host = host;
    if (!luma_function_package_join(&core_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "core", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "comparisons, arithmetic, casts",
            .offers = LUMA_OFFERS({"function.core", &core_package.head}), .init = core_init);
