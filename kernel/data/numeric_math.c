/*
 * data/numeric_math.c - square root, exponential, logarithm, power.
 *
 * The number of decimals of a result follows PostgreSQL's rules; the value is computed with guard
 * digits and rounded once.
 */
#include <math.h>

#include "data/numeric.h"

static struct lki_num
from_int(struct lki_calc *calc, int64_t v)
{
    return lki_num_from_i128(calc, v, 0);
}

/* x / n for a small n, to rscale decimals. */
static struct lki_num
div_int(struct lki_calc *calc, const struct lki_num *x, int64_t n, int32_t rscale)
{
    struct lki_num d = from_int(calc, n);
    return lki_num_div(calc, x, &d, rscale, true);
}

/* Newton's iteration from a double, precision doubling, then one exact step. */
struct lki_num
lki_num_sqrt(struct lki_calc *calc, const struct lki_num *a, int32_t rscale)
{
    struct lki_num x, half, square;
    int32_t work = (rscale + 7) / 4 * 4, e = 0; /* whole base digits */
    double guess;

    if (a->count == 0) {
        x = *a;
        x.dscale = rscale;
        return x;
    }
    {
        struct lki_num scaled = *a;
        e = scaled.weight / 2; /* keep the double in range */
        scaled.weight -= 2 * e;
        guess = sqrt(lki_num_to_f64(&scaled));
    }
    x = lki_num_from_i128(calc, (luma_i128)(guess * 1e12), 12);
    x.weight += e;
    if (x.dscale < work)
        x.dscale = work;
    half = lki_num_from_i128(calc, 5, 1);
    for (int i = 0; i < 64 && !calc->failed; i++) {
        struct lki_num q = lki_num_div(calc, a, &x, work, true), sum = lki_num_add(calc, &x, &q);
        struct lki_num next = lki_num_mul(calc, &sum, &half, work), diff;
        diff = lki_num_sub(calc, &next, &x);
        x = next;
        if (diff.count == 0 || 4 * (diff.weight + 1) < -work + 2)
            break;
    }
    /* x is within a few units of the last guard digit; make it the exact floor at `work`. */
    for (int i = 0; i < 64 && !calc->failed; i++) {
        struct lki_num ulp = from_int(calc, 1), up;
        ulp.weight = -work / 4;
        ulp.dscale = work;
        square = lki_num_mul(calc, &x, &x, -1);
        if (lki_num_compare(&square, a) > 0) {
            x = lki_num_sub(calc, &x, &ulp);
            continue;
        }
        up = lki_num_add(calc, &x, &ulp);
        square = lki_num_mul(calc, &up, &up, -1);
        if (lki_num_compare(&square, a) > 0)
            break;
        x = up;
    }
    x = lki_num_copy(calc, &x);
    lki_num_round(&x, rscale);
    return x;
}

/* e^x: halve x until it is small, Taylor, square back. */
struct lki_num
lki_num_exp(struct lki_calc *calc, const struct lki_num *a, int32_t rscale)
{
    struct lki_num x = lki_num_copy(calc, a), term, sum;
    double val = lki_num_to_f64(a);
    int32_t halvings = 0, work, dweight;

    dweight = (int32_t)(val * 0.434294481903252);
    while (fabs(val) > 0.01) {
        halvings++;
        val /= 2;
    }
    work = rscale + (dweight > 0 ? dweight : 0) + halvings + 12;
    if (halvings > 0) {
        struct lki_num two = from_int(calc, 1);
        two = lki_num_from_i128(calc, (luma_i128)1 << (halvings < 100 ? halvings : 100), 0);
        x = lki_num_div(calc, &x, &two, work + halvings, true);
    }
    sum = from_int(calc, 1);
    sum = lki_num_add(calc, &sum, &x);
    term = x;
    for (int64_t n = 2; n < 100000 && !calc->failed; n++) {
        term = lki_num_mul(calc, &term, &x, work);
        term = div_int(calc, &term, n, work);
        if (term.count == 0)
            break;
        sum = lki_num_add(calc, &sum, &term);
    }
    for (int32_t i = 0; i < halvings && !calc->failed; i++)
        sum = lki_num_mul(calc, &sum, &sum, work);
    lki_num_round(&sum, rscale);
    return sum;
}

/* ln x: square roots bring x near 1, then 2 * atanh((x - 1) / (x + 1)). */
struct lki_num
lki_num_ln(struct lki_calc *calc, const struct lki_num *a, int32_t rscale)
{
    struct lki_num x = lki_num_copy(calc, a), one = from_int(calc, 1), low, high;
    struct lki_num up, down, z, zz, power, sum;
    int32_t roots = 0, work = rscale + 16;

    low = lki_num_from_i128(calc, 95, 2);
    high = lki_num_from_i128(calc, 105, 2);
    /* Far from 1 the first roots need few decimals after the point but many before it. */
    while ((lki_num_compare(&x, &low) < 0 || lki_num_compare(&x, &high) > 0) && roots < 400 &&
           !calc->failed) {
        int32_t extra = x.weight < 0 ? -4 * x.weight : 0;
        x = lki_num_sqrt(calc, &x, work + extra + roots / 3);
        roots++;
    }
    work += roots / 3;
    up = lki_num_sub(calc, &x, &one);
    down = lki_num_add(calc, &x, &one);
    z = lki_num_div(calc, &up, &down, work, true);
    zz = lki_num_mul(calc, &z, &z, work);
    sum = z;
    power = z;
    for (int64_t n = 3; n < 100000 && !calc->failed; n += 2) {
        struct lki_num term;
        power = lki_num_mul(calc, &power, &zz, work);
        term = div_int(calc, &power, n, work);
        if (term.count == 0)
            break;
        sum = lki_num_add(calc, &sum, &term);
    }
    {
        struct lki_num factor =
            lki_num_from_i128(calc, (luma_i128)2 << (roots < 120 ? roots : 120), 0);
        sum = lki_num_mul(calc, &sum, &factor, rscale);
    }
    return sum;
}

/* Decimal weight of ln(a), roughly: decides how many decimals a logarithm gets. */
int
lki_num_ln_dweight(struct lki_calc *calc, const struct lki_num *a)
{
    struct lki_num low = lki_num_from_i128(calc, 9, 1), high = lki_num_from_i128(calc, 11, 1);
    int32_t digits, dweight;

    if (a->kind != LKI_NUM_POS || a->count == 0)
        return 0;
    if (lki_num_compare(a, &low) >= 0 && lki_num_compare(a, &high) <= 0) {
        struct lki_num one = from_int(calc, 1), x = lki_num_sub(calc, a, &one);
        return x.count == 0 ? 0 : x.weight * 4 + (int)log10(x.digits[0]);
    }
    digits = a->digits[0];
    dweight = a->weight * 4;
    if (a->count > 1) {
        digits = digits * LKI_NUM_BASE + a->digits[1];
        dweight -= 4;
    }
    return (int)log10(fabs(log((double)digits) + dweight * 2.302585092994046));
}

static int32_t
clamp_scale(int32_t rscale)
{
    if (rscale < 0)
        return 0;
    return rscale > LKI_NUM_DISPLAY_MAX ? LKI_NUM_DISPLAY_MAX : rscale;
}

static int32_t
max32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* base ^ exp by repeated squaring, enough digits kept that the rounding at the end is right. */
static luma_rc
power_int(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *base, int64_t exp,
          int32_t exp_dscale, struct lki_num *out)
{
    double f = 0, log_base = 0;
    int32_t rscale, sig;
    struct lki_num square, r;
    bool negative = exp < 0;
    uint64_t mask = negative ? (uint64_t)-exp : (uint64_t)exp;

    if (base->count > 0) {
        double lead = base->digits[0];
        int32_t p = base->weight * 4;
        for (int32_t i = 1; i < base->count && i * 4 < 16; i++) {
            lead = lead * LKI_NUM_BASE + base->digits[i];
            p -= 4;
        }
        log_base = log10(lead) + p;
        f = (double)exp * log_base;
    }
    if (f > (32767 + 1) * 4.0)
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
    if (f + 1 < -LKI_NUM_DISPLAY_MAX) {
        *out = (struct lki_num){LKI_NUM_POS, 0, LKI_NUM_SIG_MIN, 0, NULL};
        return LUMA_OK;
    }
    rscale = clamp_scale(max32(max32(LKI_NUM_SIG_MIN, base->dscale), exp_dscale));
    if (exp == 0) {
        *out = from_int(calc, 1);
        out->dscale = rscale;
        return LUMA_OK;
    }
    if (base->count == 0) {
        if (negative)
            return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                                 "zero raised to a negative power is undefined");
        *out = (struct lki_num){LKI_NUM_POS, 0, rscale, 0, NULL};
        return LUMA_OK;
    }
    if (exp == 1) {
        *out = lki_num_copy(calc, base);
        lki_num_round(out, rscale);
        return LUMA_OK;
    }
    if (exp == -1 || exp == 2) {
        struct lki_num one = from_int(calc, 1);
        *out = exp == 2 ? lki_num_mul(calc, base, base, rscale)
                        : lki_num_div(calc, &one, base, rscale, true);
        return LUMA_OK;
    }
    /* Significant digits of every intermediate product; the error grows with the exponent. */
    sig = 1 + rscale + (int32_t)f;
    sig += (int32_t)log(fabs((double)exp)) + 16;
    if (sig < 20)
        sig = 20;
    square = lki_num_copy(calc, base);
    r = from_int(calc, 1);
    while (mask > 0 && !calc->failed) {
        if (mask & 1) {
            r = lki_num_mul(calc, &r, &square, -1);
            lki_num_round(&r, max32(sig - 4 * (r.weight + 1), negative ? 0 : rscale + 4));
        }
        mask >>= 1;
        if (mask > 0) {
            square = lki_num_mul(calc, &square, &square, -1);
            lki_num_round(&square, sig - 4 * square.weight);
        }
        if (square.weight > 2 * LKI_NUM_WEIGHT_MAX || r.weight > 2 * LKI_NUM_WEIGHT_MAX) {
            if (!negative)
                return LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
            *out = (struct lki_num){LKI_NUM_POS, 0, rscale, 0, NULL};
            return LUMA_OK;
        }
    }
    if (negative) {
        struct lki_num one = from_int(calc, 1);
        *out = lki_num_div(calc, &one, &r, rscale, true);
        return LUMA_OK;
    }
    *out = r;
    lki_num_round(out, rscale);
    return LUMA_OK;
}

static luma_rc
power_real(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *base,
           const struct lki_num *exp, struct lki_num *out)
{
    int32_t ln_dweight, local, rscale;
    struct lki_num ln, product;
    double val;

    if (base->count == 0) {
        *out = (struct lki_num){LKI_NUM_POS, 0, LKI_NUM_SIG_MIN, 0, NULL};
        return LUMA_OK;
    }
    ln_dweight = lki_num_ln_dweight(calc, base);
    local = max32(8 - ln_dweight, 0);
    ln = lki_num_ln(calc, base, local);
    product = lki_num_mul(calc, &ln, exp, local);
    val = lki_num_to_f64(&product);
    if (fabs(val) > LKI_NUM_RESULT_SCALE_MAX * 3.01) {
        if (val > 0)
            return LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
        *out = (struct lki_num){LKI_NUM_POS, 0, LKI_NUM_DISPLAY_MAX, 0, NULL};
        return LUMA_OK;
    }
    val *= 0.434294481903252;
    rscale = LKI_NUM_SIG_MIN - (int32_t)val;
    rscale = clamp_scale(max32(max32(rscale, base->dscale), exp->dscale));
    local = max32(rscale + (int32_t)val - ln_dweight + 8, 0);
    ln = lki_num_ln(calc, base, local);
    product = lki_num_mul(calc, &ln, exp, local);
    *out = lki_num_exp(calc, &product, rscale);
    return LUMA_OK;
}

/* Both finite. */
luma_rc
lki_num_power(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *base,
              const struct lki_num *exp, struct lki_num *out)
{
    bool whole = exp->count == 0 || exp->count <= exp->weight + 1;
    struct lki_num b = *base;
    luma_i128 n;

    if (whole && lki_num_to_i128(exp, 0, &n) && n >= INT32_MIN && n <= INT32_MAX)
        return power_int(ctx, calc, base, (int64_t)n, exp->dscale, out);
    if (base->count == 0 && exp->kind == LKI_NUM_NEG)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                             "zero raised to a negative power is undefined");
    if (base->kind == LKI_NUM_NEG) {
        bool odd;
        if (!whole)
            return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201F",
                                 "a negative number raised to a non-integer power yields a complex "
                                 "result");
        odd = exp->count == exp->weight + 1 && (exp->digits[exp->count - 1] & 1) != 0;
        b.kind = LKI_NUM_POS;
        LUMA_TRY(power_real(ctx, calc, &b, exp, out));
        if (odd && out->count > 0)
            out->kind = LKI_NUM_NEG;
        return LUMA_OK;
    }
    return power_real(ctx, calc, base, exp, out);
}
