/* function/numeric/round.c - round and trunc of numeric. */
#include "numeric.h"

/* 64-bit numbers to the same constant number of decimals. */
static luma_rc
cut_narrow(const struct luma_func_call *call, const struct luma_vec *vec, int32_t digits,
           bool truncate, const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    int64_t unit = numeric_pow10[vec->scale - digits], half = unit / 2, *r;

    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_I64, (int16_t)digits,
                              vec->bound == 0 ? 0 : vec->bound / (uint64_t)unit + 1, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t x = luma_arg_i64(vec, i), q = x / unit, rest = x % unit;
        if (!truncate && unit > 1 && (rest < 0 ? -rest : rest) >= half)
            q += x < 0 ? -1 : 1;
        r[i] = q;
    }
    return LUMA_OK;
}

static luma_rc
cut(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
    bool truncate, const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    struct luma_str *r;
    bool same = args_count == 1 || args[1].form == LUMA_VEC_CONST;
    int32_t digits = args_count == 1 ? 0 : same ? luma_arg_i32(&args[1], 0) : 0;

    if (same && args[0].phys == LUMA_PHYS_I64 && digits >= 0 && digits <= args[0].scale &&
        args[0].scale - digits <= 18)
        return cut_narrow(call, &args[0], digits, truncate, sel, rows, out);
    LUMA_TRY(numeric_out_form(call, sel, rows, LUMA_PHYS_STR, 0, 0, out));
    r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_str x;
        luma_rc rc;
        if (!same)
            digits = luma_arg_i32(&args[1], i);
        LUMA_TRY(numeric_str_at(call, &args[0], i, &x));
        rc = numeric_host->data->numeric_round(call->arena, &x, digits, truncate, &r[i]);
        if (rc == LUMA_E_RANGE)
            return LUMA_FAIL_SQL(call->ctx, rc, "22003", "value overflows numeric format");
        if (rc != LUMA_OK)
            return luma_func_no_memory(call);
    }
    return LUMA_OK;
}

NUMERIC_EVAL(numeric_round_eval)
{
    return cut(call, args, args_count, false, sel, rows, out);
}

NUMERIC_EVAL(numeric_trunc_eval)
{
    return cut(call, args, args_count, true, sel, rows, out);
}

#define N LUMA_T(NUMERIC)

static const struct luma_func round_functions[] = {
    LUMA_FUNC("round", LUMA_FUNC_STRICT, N, numeric_round_eval, N),
    LUMA_FUNC("round", LUMA_FUNC_STRICT, N, numeric_round_eval, N, LUMA_T(INT4)),
    LUMA_FUNC("trunc", LUMA_FUNC_STRICT, N, numeric_trunc_eval, N),
    LUMA_FUNC("trunc", LUMA_FUNC_STRICT, N, numeric_trunc_eval, N, LUMA_T(INT4)),
};

const struct luma_func_part numeric_round = {round_functions, LUMA_COUNTOF(round_functions)};
