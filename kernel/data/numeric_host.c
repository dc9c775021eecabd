/* data/numeric_host.c - numbers in the variable form, as host/data.h offers them. */
#include <math.h>
#include <stdio.h>

#include "data/data_priv.h"
#include "data/numeric.h"

static luma_rc
store(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *num, struct luma_str *out)
{
    luma_rc rc = lki_num_store(calc, num, out);

    if (rc == LUMA_E_RANGE)
        return LUMA_FAIL(ctx, rc, "value overflows numeric format");
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "out of memory");
    return LUMA_OK;
}

luma_rc
lk_data_numeric_from_i128(struct luma_arena *arena, luma_i128 v, int16_t scale,
                          struct luma_str *out)
{
    struct lki_calc calc = {arena, false};
    uint16_t digits[12];
    struct lki_num num = lki_num_of_i128(v, scale, digits);

    return lki_num_store(&calc, &num, out);
}

luma_rc
lk_data_numeric_to_i128(const struct luma_str *num, int16_t scale, luma_i128 *out)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(num);
    uint16_t digits[40];
    struct lki_num n = {LKI_NUM_NAN, 0, 0, 0, digits};
    int16_t weight;

    if (num->bytes < LKI_NUM_HEADER_BYTES || p[0] > LKI_NUM_NEG)
        return LUMA_E_RANGE;
    memcpy(&weight, p + 4, 2);
    n.kind = p[0];
    n.weight = weight;
    n.count = (int32_t)((num->bytes - LKI_NUM_HEADER_BYTES) / 2);
    if (n.count > 40) /* what lies below cannot reach the result */
        n.count = 40;
    memcpy(digits, p + LKI_NUM_HEADER_BYTES, (size_t)n.count * 2);
    return lki_num_to_i128(&n, scale, out) ? LUMA_OK : LUMA_E_RANGE;
}

luma_rc
lk_data_numeric_from_f64(struct luma_ctx *ctx, struct luma_arena *arena, double v,
                         struct luma_str *out)
{
    struct lki_calc calc = {arena, false};
    struct lki_num num;
    char text[48];

    if (isnan(v) || isinf(v)) {
        num = lki_num_special(isnan(v) ? LKI_NUM_NAN : v > 0 ? LKI_NUM_PINF : LKI_NUM_NINF);
        return store(ctx, &calc, &num, out);
    }
    snprintf(text, sizeof(text), "%.15g", v);
    if (lki_num_parse(&calc, text, strlen(text), &num) != LKI_PARSE_OK && !calc.failed)
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
    return store(ctx, &calc, &num, out);
}

double
lk_data_numeric_to_f64(const struct luma_str *num)
{
    uint16_t digits[40];
    const uint8_t *p = (const uint8_t *)luma_str_data(num);
    struct lki_num n = {LKI_NUM_NAN, 0, 0, 0, digits};
    int16_t weight;

    if (num->bytes < LKI_NUM_HEADER_BYTES)
        return NAN;
    memcpy(&weight, p + 4, 2);
    n.kind = p[0];
    n.weight = weight;
    n.count = (int32_t)((num->bytes - LKI_NUM_HEADER_BYTES) / 2);
    if (n.count > 40)
        n.count = 40;
    memcpy(digits, p + LKI_NUM_HEADER_BYTES, (size_t)n.count * 2);
    return lki_num_to_f64(&n);
}

/* --- operations with NaN and the infinities --- */

static int
sign_of(const struct lki_num *a)
{
    switch (a->kind) {
    case LKI_NUM_POS:
        return a->count > 0;
    case LKI_NUM_NEG:
        return a->count > 0 ? -1 : 0;
    case LKI_NUM_PINF:
        return 1;
    case LKI_NUM_NINF:
        return -1;
    default:
        return 0;
    }
}

static struct lki_num
infinity_of(int sign)
{
    return lki_num_special(sign > 0 ? LKI_NUM_PINF : sign < 0 ? LKI_NUM_NINF : LKI_NUM_NAN);
}

static struct lki_num
plain_zero(void)
{
    struct lki_num n = {LKI_NUM_POS, 0, 0, 0, NULL};
    return n;
}

static luma_rc
division_by_zero(struct luma_ctx *ctx)
{
    return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "22012", "division by zero");
}

static luma_rc
power_special(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *a,
              const struct lki_num *b, struct lki_num *out)
{
    struct lki_num one = lki_num_from_i128(calc, 1, 0), magnitude = *a;
    int c;

    /* 1 ^ anything and anything ^ 0 are 1, even for NaN. */
    if ((lki_num_finite(a) && lki_num_compare(a, &one) == 0) ||
        (lki_num_finite(b) && b->count == 0)) {
        *out = one;
        return LUMA_OK;
    }
    if (a->kind == LKI_NUM_NAN || b->kind == LKI_NUM_NAN) {
        *out = lki_num_special(LKI_NUM_NAN);
        return LUMA_OK;
    }
    if (sign_of(a) == 0 && sign_of(b) < 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                             "zero raised to a negative power is undefined");
    if (lki_num_finite(b)) { /* an infinite base */
        bool whole = b->count <= b->weight + 1, odd;
        if (sign_of(a) < 0 && !whole)
            return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                                 "a negative number raised to a non-integer power yields a complex "
                                 "result");
        odd = whole && b->count == b->weight + 1 && (b->digits[b->count - 1] & 1) != 0;
        *out = sign_of(b) < 0 ? plain_zero() : infinity_of(sign_of(a) < 0 && odd ? -1 : 1);
        return LUMA_OK;
    }
    magnitude.kind = lki_num_finite(a) ? LKI_NUM_POS : LKI_NUM_PINF;
    c = lki_num_compare(&magnitude, &one);
    if (c == 0)
        *out = one;
    else
        *out = (c > 0) == (b->kind == LKI_NUM_PINF) ? infinity_of(1) : plain_zero();
    return LUMA_OK;
}

static luma_rc
op_special(struct luma_ctx *ctx, struct lki_calc *calc, enum luma_numeric_op op,
           const struct lki_num *a, const struct lki_num *b, struct lki_num *out)
{
    bool a_inf = !lki_num_finite(a), b_inf = !lki_num_finite(b);

    if (op == LUMA_NUMERIC_POWER)
        return power_special(ctx, calc, a, b, out);
    if (a->kind == LKI_NUM_NAN || b->kind == LKI_NUM_NAN) {
        *out = lki_num_special(LKI_NUM_NAN);
        return LUMA_OK;
    }
    switch (op) {
    case LUMA_NUMERIC_ADD:
        *out = a_inf && b_inf && a->kind != b->kind ? lki_num_special(LKI_NUM_NAN)
                                                    : infinity_of(sign_of(a_inf ? a : b));
        return LUMA_OK;
    case LUMA_NUMERIC_SUB:
        if (a_inf && b_inf)
            *out = a->kind == b->kind ? lki_num_special(LKI_NUM_NAN) : infinity_of(sign_of(a));
        else
            *out = a_inf ? infinity_of(sign_of(a)) : infinity_of(-sign_of(b));
        return LUMA_OK;
    case LUMA_NUMERIC_MUL:
        *out = infinity_of(sign_of(a) * sign_of(b));
        return LUMA_OK;
    case LUMA_NUMERIC_MOD:
        if (!b_inf && b->count == 0)
            return division_by_zero(ctx);
        *out = a_inf ? lki_num_special(LKI_NUM_NAN) : *a;
        return LUMA_OK;
    default:
        if (!b_inf && b->count == 0)
            return division_by_zero(ctx);
        if (a_inf && b_inf)
            *out = lki_num_special(LKI_NUM_NAN);
        else
            *out = a_inf ? infinity_of(sign_of(a) * sign_of(b)) : plain_zero();
        return LUMA_OK;
    }
}

static luma_rc
op_finite(struct luma_ctx *ctx, struct lki_calc *calc, enum luma_numeric_op op,
          const struct lki_num *a, const struct lki_num *b, struct lki_num *out)
{
    struct lki_num q;

    if ((op == LUMA_NUMERIC_DIV || op == LUMA_NUMERIC_MOD || op == LUMA_NUMERIC_DIVTRUNC) &&
        b->count == 0)
        return division_by_zero(ctx);
    switch (op) {
    case LUMA_NUMERIC_ADD:
        *out = lki_num_add(calc, a, b);
        break;
    case LUMA_NUMERIC_SUB:
        *out = lki_num_sub(calc, a, b);
        break;
    case LUMA_NUMERIC_MUL:
        *out = lki_num_mul(calc, a, b, -1);
        if (out->dscale > LKI_NUM_DSCALE_MAX)
            lki_num_round(out, LKI_NUM_DSCALE_MAX);
        break;
    case LUMA_NUMERIC_DIV:
        *out = lki_num_div(calc, a, b, lki_num_div_scale(a, b), true);
        break;
    case LUMA_NUMERIC_DIVTRUNC:
        *out = lki_num_div(calc, a, b, 0, false);
        break;
    case LUMA_NUMERIC_MOD:
        q = lki_num_div(calc, a, b, 0, false);
        q = lki_num_mul(calc, &q, b, -1);
        *out = lki_num_sub(calc, a, &q);
        break;
    case LUMA_NUMERIC_POWER:
        return lki_num_power(ctx, calc, a, b, out);
    }
    return LUMA_OK;
}

luma_rc
lk_data_numeric_op(struct luma_ctx *ctx, struct luma_arena *arena, enum luma_numeric_op op,
                   const struct luma_str *a, const struct luma_str *b, struct luma_str *out)
{
    struct lki_calc calc = {arena, false};
    struct lki_num x = lki_num_load(&calc, a), y = lki_num_load(&calc, b), r = plain_zero();

    if (calc.failed) /* zeros are not what was meant */
        return store(ctx, &calc, &r, out);
    if (lki_num_finite(&x) && lki_num_finite(&y))
        LUMA_TRY(op_finite(ctx, &calc, op, &x, &y, &r));
    else
        LUMA_TRY(op_special(ctx, &calc, op, &x, &y, &r));
    return store(ctx, &calc, &r, out);
}

static int32_t
max32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t
result_scale(int32_t rscale, int32_t dscale)
{
    rscale = max32(max32(rscale, dscale), 0);
    return rscale > LKI_NUM_DISPLAY_MAX ? LKI_NUM_DISPLAY_MAX : rscale;
}

static luma_rc
sqrt_of(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *a, struct lki_num *out)
{
    int32_t sweight;

    if (sign_of(a) < 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                             "cannot take square root of a negative number");
    if (a->kind == LKI_NUM_PINF) {
        *out = *a;
        return LUMA_OK;
    }
    sweight = a->weight >= 0 ? a->weight * 4 / 2 + 1 : 1 - (1 - a->weight * 4) / 2;
    *out = lki_num_sqrt(calc, a, result_scale(LKI_NUM_SIG_MIN - sweight, a->dscale));
    return LUMA_OK;
}

static luma_rc
exp_of(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *a, struct lki_num *out)
{
    double val;

    if (a->kind == LKI_NUM_PINF || a->kind == LKI_NUM_NINF) {
        *out = a->kind == LKI_NUM_PINF ? *a : plain_zero();
        return LUMA_OK;
    }
    val = lki_num_to_f64(a) * 0.434294481903252;
    if (val > LKI_NUM_RESULT_SCALE_MAX * 3.0)
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
    if (val < -LKI_NUM_RESULT_SCALE_MAX * 3.0) {
        *out = plain_zero();
        out->dscale = LKI_NUM_DISPLAY_MAX;
        return LUMA_OK;
    }
    val = fmin(fmax(val, -LKI_NUM_RESULT_SCALE_MAX), LKI_NUM_RESULT_SCALE_MAX);
    *out = lki_num_exp(calc, a, result_scale(LKI_NUM_SIG_MIN - (int32_t)val, a->dscale));
    return LUMA_OK;
}

static luma_rc
check_log(struct luma_ctx *ctx, const struct lki_num *a)
{
    if (sign_of(a) < 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201E",
                             "cannot take logarithm of a negative number");
    if (sign_of(a) == 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201E", "cannot take logarithm of zero");
    return LUMA_OK;
}

static luma_rc
ln_of(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *a, struct lki_num *out)
{
    LUMA_TRY(check_log(ctx, a));
    if (a->kind == LKI_NUM_PINF)
        *out = *a;
    else
        *out = lki_num_ln(calc, a,
                          result_scale(LKI_NUM_SIG_MIN - lki_num_ln_dweight(calc, a), a->dscale));
    return LUMA_OK;
}

static luma_rc
log10_of(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *a, struct lki_num *out)
{
    struct lki_num ten = lki_num_from_i128(calc, 10, 0), ln_ten, ln;
    int32_t num_dweight, ten_dweight, dweight, rscale;

    LUMA_TRY(check_log(ctx, a));
    if (a->kind == LKI_NUM_PINF) {
        *out = *a;
        return LUMA_OK;
    }
    num_dweight = lki_num_ln_dweight(calc, a);
    ten_dweight = lki_num_ln_dweight(calc, &ten);
    dweight = num_dweight - ten_dweight;
    rscale = result_scale(LKI_NUM_SIG_MIN - dweight, a->dscale);
    ln_ten = lki_num_ln(calc, &ten, max32(rscale + dweight - ten_dweight + 8, 0));
    ln = lki_num_ln(calc, a, max32(rscale + dweight - num_dweight + 8, 0));
    *out = lki_num_div(calc, &ln, &ln_ten, rscale, true);
    return LUMA_OK;
}

/* Up (or down) to the next integer. */
static struct lki_num
whole_of(struct lki_calc *calc, const struct lki_num *a, bool up)
{
    struct lki_num t = lki_num_copy(calc, a), one = lki_num_from_i128(calc, 1, 0);

    lki_num_trunc(&t, 0);
    if (lki_num_compare_abs(&t, a) == 0)
        return t;
    if (up && a->kind == LKI_NUM_POS)
        t = lki_num_add(calc, &t, &one);
    else if (!up && a->kind == LKI_NUM_NEG)
        t = lki_num_sub(calc, &t, &one);
    t.dscale = 0;
    return t;
}

luma_rc
lk_data_numeric_fn(struct luma_ctx *ctx, struct luma_arena *arena, enum luma_numeric_fn fn,
                   const struct luma_str *a, struct luma_str *out)
{
    struct lki_calc calc = {arena, false};
    struct lki_num x = lki_num_load(&calc, a), r = x;

    if (x.kind == LKI_NUM_NAN)
        return store(ctx, &calc, &x, out);
    switch (fn) {
    case LUMA_NUMERIC_NEG:
        if (lki_num_finite(&x))
            r.kind = x.count == 0 ? LKI_NUM_POS : !x.kind;
        else
            r = infinity_of(-sign_of(&x));
        break;
    case LUMA_NUMERIC_ABS:
        r.kind = lki_num_finite(&x) ? LKI_NUM_POS : LKI_NUM_PINF;
        break;
    case LUMA_NUMERIC_SIGN:
        r = lki_num_from_i128(&calc, sign_of(&x), 0);
        break;
    case LUMA_NUMERIC_CEIL:
    case LUMA_NUMERIC_FLOOR:
        if (lki_num_finite(&x))
            r = whole_of(&calc, &x, fn == LUMA_NUMERIC_CEIL);
        break;
    case LUMA_NUMERIC_SQRT:
        LUMA_TRY(sqrt_of(ctx, &calc, &x, &r));
        break;
    case LUMA_NUMERIC_EXP:
        LUMA_TRY(exp_of(ctx, &calc, &x, &r));
        break;
    case LUMA_NUMERIC_LN:
        LUMA_TRY(ln_of(ctx, &calc, &x, &r));
        break;
    case LUMA_NUMERIC_LOG10:
        LUMA_TRY(log10_of(ctx, &calc, &x, &r));
        break;
    }
    return store(ctx, &calc, &r, out);
}

luma_rc
lk_data_numeric_round(struct luma_arena *arena, const struct luma_str *a, int32_t dscale,
                      bool truncate, struct luma_str *out)
{
    struct lki_calc calc = {arena, false};
    struct lki_num x = lki_num_load(&calc, a);

    if (lki_num_finite(&x)) {
        if (dscale > LKI_NUM_RESULT_SCALE_MAX)
            dscale = LKI_NUM_RESULT_SCALE_MAX;
        if (dscale < -LKI_NUM_RESULT_SCALE_MAX)
            dscale = -LKI_NUM_RESULT_SCALE_MAX;
        if (truncate)
            lki_num_trunc(&x, dscale);
        else
            lki_num_round(&x, dscale);
    }
    return lki_num_store(&calc, &x, out);
}

int
lk_data_numeric_compare(const struct luma_str *a, const struct luma_str *b)
{
    return lki_num_compare_str(a, b);
}

int
lk_data_numeric_dscale(const struct luma_str *a)
{
    uint16_t dscale = 0;

    if (a->bytes >= LKI_NUM_HEADER_BYTES)
        memcpy(&dscale, luma_str_data(a) + 2, 2);
    return dscale;
}
