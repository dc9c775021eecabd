/* function/numeric/numeric.c - the package, and what its files share. */
#include "numeric.h"

const struct luma_host *numeric_host;

const int64_t numeric_pow10[19] = {1,
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

luma_rc
numeric_str_at(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
               struct luma_str *out)
{
    const void *at = luma_vec_at(vec, row);

    if (vec->phys == LUMA_PHYS_STR) {
        *out = *(const struct luma_str *)at;
        return LUMA_OK;
    }
    if (numeric_host->data->numeric_from_i128(
            call->arena, vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at,
            vec->scale, out) != LUMA_OK)
        return luma_func_no_memory(call);
    return LUMA_OK;
}

luma_rc
numeric_out_form(const struct luma_func_call *call, const uint16_t *sel, uint32_t rows,
                 enum luma_phys phys, int16_t scale, uint64_t bound, struct luma_vec *out)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];

    if (out->phys != phys) {
        out->data = luma_arena_zalloc(call->arena, ((size_t)highest + 1) * luma_phys_bytes(phys));
        if (out->data == NULL)
            return luma_func_no_memory(call);
        out->phys = (uint8_t)phys;
    }
    out->scale = scale;
    out->bound = bound;
    return LUMA_OK;
}

static struct luma_function_package numeric_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
numeric_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    const struct luma_func_part parts[] = {numeric_arith, numeric_round, numeric_math,
                                           numeric_series};

    (void)conf;
    numeric_host = host;
    if (!luma_function_package_join(&numeric_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "numeric", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "decimal arithmetic and mathematics",
            .offers = LUMA_OFFERS({"function.numeric", &numeric_package.head}),
            .init = numeric_init);
