/* data/numeric.c - numbers in base 10000: forms, comparison, the four operations, rounding. */
#include "data/numeric.h"

#include <math.h>
#include <stdlib.h>

const luma_i128 lki_pow10[39] = {
    1,
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
    1000000000000000000,
    (luma_i128)1000000000000000000 * 10,
    (luma_i128)1000000000000000000 * 100,
    (luma_i128)1000000000000000000 * 1000,
    (luma_i128)1000000000000000000 * 10000,
    (luma_i128)1000000000000000000 * 100000,
    (luma_i128)1000000000000000000 * 1000000,
    (luma_i128)1000000000000000000 * 10000000,
    (luma_i128)1000000000000000000 * 100000000,
    (luma_i128)1000000000000000000 * 1000000000,
    (luma_i128)1000000000000000000 * 10000000000,
    (luma_i128)1000000000000000000 * 100000000000,
    (luma_i128)1000000000000000000 * 1000000000000,
    (luma_i128)1000000000000000000 * 10000000000000,
    (luma_i128)1000000000000000000 * 100000000000000,
    (luma_i128)1000000000000000000 * 1000000000000000,
    (luma_i128)1000000000000000000 * 10000000000000000,
    (luma_i128)1000000000000000000 * 100000000000000000,
    (luma_i128)1000000000000000000 * 1000000000000000000,
    (luma_i128)1000000000000000000 * 1000000000000000000 * 10,
    (luma_i128)1000000000000000000 * 1000000000000000000 * 100,
};

static const uint16_t pow10_small[4] = {1, 10, 100, 1000};

static uint16_t *
digits_new(struct lki_calc *calc, int32_t count)
{
    uint16_t *d;

    if (calc->failed)
        return NULL;
    d = luma_arena_alloc_aligned(calc->arena, sizeof(uint16_t) * (size_t)(count < 1 ? 1 : count),
                                 8);
    if (d == NULL) {
        calc->failed = true;
        return NULL;
    }
    memset(d, 0, sizeof(uint16_t) * (size_t)(count < 1 ? 1 : count));
    return d;
}

static struct lki_num
zero_of(int32_t dscale)
{
    struct lki_num n = {LKI_NUM_POS, 0, dscale, 0, NULL};
    return n;
}

void
lki_num_strip(struct lki_num *a)
{
    while (a->count > 0 && a->digits[0] == 0) {
        a->digits++;
        a->count--;
        a->weight--;
    }
    while (a->count > 0 && a->digits[a->count - 1] == 0)
        a->count--;
    if (a->count == 0) {
        a->weight = 0;
        if (a->kind == LKI_NUM_NEG)
            a->kind = LKI_NUM_POS;
    }
}

/* --- forms --- */

struct lki_num
lki_num_load(struct lki_calc *calc, const struct luma_str *str)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(str);
    struct lki_num n = {LKI_NUM_NAN, 0, 0, 0, NULL};
    uint16_t dscale;
    int16_t weight;

    if (str->bytes < LKI_NUM_HEADER_BYTES)
        return n;
    memcpy(&dscale, p + 2, 2);
    memcpy(&weight, p + 4, 2);
    n.kind = p[0] > LKI_NUM_NINF ? LKI_NUM_NAN : p[0];
    n.dscale = dscale;
    n.weight = weight;
    n.count = (int32_t)((str->bytes - LKI_NUM_HEADER_BYTES) / 2);
    n.digits = digits_new(calc, n.count + 1); /* a spare one in front: rounding may carry out */
    if (n.digits == NULL)
        return zero_of(0);
    n.digits++;
    memcpy(n.digits, p + LKI_NUM_HEADER_BYTES, (size_t)n.count * 2);
    return n;
}

luma_rc
lki_num_store(struct lki_calc *calc, const struct lki_num *num, struct luma_str *out)
{
    struct lki_num n = *num;
    uint8_t local[LUMA_STR_INLINE_MAX], *p = local;
    uint32_t bytes;

    if (calc->failed)
        return LUMA_E_NOMEM;
    if (!lki_num_finite(&n))
        n = lki_num_special((enum lki_num_kind)n.kind);
    lki_num_strip(&n);
    if (n.weight > LKI_NUM_WEIGHT_MAX || n.weight < -LKI_NUM_WEIGHT_MAX ||
        n.dscale > LKI_NUM_DSCALE_MAX)
        return LUMA_E_RANGE;
    bytes = LKI_NUM_HEADER_BYTES + 2 * (uint32_t)n.count;
    if (bytes > sizeof(local)) {
        p = luma_arena_alloc_aligned(calc->arena, bytes, 2);
        if (p == NULL)
            return LUMA_E_NOMEM;
    }
    p[0] = n.kind;
    p[1] = 0;
    memcpy(p + 2, &(uint16_t){(uint16_t)n.dscale}, 2);
    memcpy(p + 4, &(int16_t){(int16_t)n.weight}, 2);
    if (n.count > 0)
        memcpy(p + LKI_NUM_HEADER_BYTES, n.digits, (size_t)n.count * 2);
    *out = luma_str_make((const char *)p, bytes);
    return LUMA_OK;
}

struct lki_num
lki_num_of_i128(luma_i128 v, int32_t scale, uint16_t digits[12])
{
    struct lki_num n = {LKI_NUM_POS, 0, scale < 0 ? 0 : scale, 0, digits};
    unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    int32_t frac = scale < 0 ? 0 : scale, pad = (4 - frac % 4) % 4, count = 0;
    uint16_t reversed[12];

    if (v < 0)
        n.kind = LKI_NUM_NEG;
    /* The last base digit holds the last `4 - pad` decimals followed by pad zeros. */
    if (u != 0 && pad != 0) {
        uint32_t part = pow10_small[4 - pad];
        reversed[count++] = (uint16_t)((uint32_t)(u % part) * pow10_small[pad]);
        u /= part;
    }
    while (u > UINT64_MAX) {
        reversed[count++] = (uint16_t)(u % LKI_NUM_BASE);
        u /= LKI_NUM_BASE;
    }
    for (uint64_t w = (uint64_t)u; w != 0; w /= LKI_NUM_BASE)
        reversed[count++] = (uint16_t)(w % LKI_NUM_BASE);
    digits[0] = 0;
    n.digits = digits + 1;
    for (int32_t i = 0; i < count; i++)
        n.digits[i] = reversed[count - 1 - i];
    n.count = count;
    n.weight = count - 1 - (frac + 3) / 4;
    lki_num_strip(&n);
    return n;
}

struct lki_num
lki_num_from_i128(struct lki_calc *calc, luma_i128 v, int32_t scale)
{
    uint16_t *digits = digits_new(calc, 12);

    return digits == NULL ? zero_of(0) : lki_num_of_i128(v, scale, digits);
}

bool
lki_num_to_i128(const struct lki_num *num, int32_t scale, luma_i128 *out)
{
    struct lki_num n = *num;
    uint16_t local[32];
    unsigned __int128 u = 0;
    const unsigned __int128 max = ((unsigned __int128)1 << 127) - 1;
    int32_t last, keep;

    if (!lki_num_finite(num) || num->weight > 10)
        return false;
    /* Only a few digits can matter: copy those, round, then read them off. */
    keep = num->weight + 2 + (scale + 3) / 4;
    if (keep < 0) {
        *out = 0;
        return true;
    }
    if (keep > 31)
        keep = 31;
    n.count = num->count < keep ? num->count : keep;
    n.digits = local + 1; /* rounding may carry into a new first digit */
    local[0] = 0;
    if (n.count > 0)
        memcpy(n.digits, num->digits, (size_t)n.count * 2);
    {
        struct lki_num r = {n.kind, n.weight + 1, n.dscale, n.count + 1, local};
        lki_num_round(&r, scale);
        n = r;
    }
    if (n.count == 0) {
        *out = 0;
        return true;
    }
    /* Weight of the digit that holds the last wanted decimal. */
    last = scale <= 0 ? 0 : -((scale + 3) / 4);
    for (int32_t w = n.weight; w >= last; w--) {
        int32_t i = n.weight - w;
        uint32_t digit = i < n.count ? n.digits[i] : 0, mul = LKI_NUM_BASE;
        if (w == last && scale > 0 && scale % 4 != 0) {
            mul = pow10_small[scale % 4];
            digit /= pow10_small[4 - scale % 4];
        }
        if (u > (max - digit) / mul)
            return false;
        u = u * mul + digit;
    }
    *out = n.kind == LKI_NUM_NEG ? -(luma_i128)u : (luma_i128)u;
    return true;
}

double
lki_num_to_f64(const struct lki_num *num)
{
    char text[32 * 4 + 24], *p = text;
    int32_t digits = num->count < 30 ? num->count : 30;

    switch (num->kind) {
    case LKI_NUM_NAN:
        return NAN;
    case LKI_NUM_PINF:
        return INFINITY;
    case LKI_NUM_NINF:
        return -INFINITY;
    default:
        break;
    }
    if (digits == 0)
        return 0.0;
    if (digits <= 4 && num->weight - digits + 1 >= -5 && num->weight <= 4) {
        /* An integer below 2^53 over or times an exact power of ten is correctly rounded. */
        uint64_t m = 0;
        int32_t e = 4 * (num->weight - digits + 1);
        for (int32_t i = 0; i < digits; i++)
            m = m * LKI_NUM_BASE + num->digits[i];
        if (m < (uint64_t)1 << 53) {
            double v = (double)m;
            v = e < 0 ? v / (double)lki_pow10[-e] : v * (double)lki_pow10[e];
            return num->kind == LKI_NUM_NEG ? -v : v;
        }
    }
    if (num->kind == LKI_NUM_NEG)
        *p++ = '-';
    for (int32_t i = 0; i < digits; i++)
        for (int32_t k = 3; k >= 0; k--)
            *p++ = (char)('0' + num->digits[i] / pow10_small[k] % 10);
    if (num->count > digits) /* a sticky digit keeps the rounding right */
        *p++ = '1';
    *p++ = 'e';
    {
        int32_t e = 4 * (num->weight - digits + 1) - (num->count > digits ? 1 : 0);
        char exp[12];
        int n = 0;
        if (e < 0) {
            *p++ = '-';
            e = -e;
        }
        do {
            exp[n++] = (char)('0' + e % 10);
            e /= 10;
        } while (e > 0);
        while (n > 0)
            *p++ = exp[--n];
    }
    *p = '\0';
    return strtod(text, NULL);
}

/* --- comparison --- */

int
lki_num_compare_abs(const struct lki_num *a, const struct lki_num *b)
{
    if (a->count == 0 || b->count == 0)
        return (a->count > 0) - (b->count > 0);
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    for (int32_t i = 0; i < a->count || i < b->count; i++) {
        int32_t da = i < a->count ? a->digits[i] : 0, db = i < b->count ? b->digits[i] : 0;
        if (da != db)
            return da < db ? -1 : 1;
    }
    return 0;
}

/* NaN above everything, as PostgreSQL has it. */
static int
kind_rank(uint8_t kind, int32_t count)
{
    switch (kind) {
    case LKI_NUM_NINF:
        return -2;
    case LKI_NUM_NEG:
        return count == 0 ? 0 : -1;
    case LKI_NUM_POS:
        return count == 0 ? 0 : 1;
    case LKI_NUM_PINF:
        return 2;
    default:
        return 3;
    }
}

int
lki_num_compare(const struct lki_num *a, const struct lki_num *b)
{
    int ra = kind_rank(a->kind, a->count), rb = kind_rank(b->kind, b->count);

    if (ra != rb)
        return ra < rb ? -1 : 1;
    if (ra != 1 && ra != -1)
        return 0;
    return ra * lki_num_compare_abs(a, b);
}

int
lki_num_compare_str(const struct luma_str *a, const struct luma_str *b)
{
    const uint8_t *pa = (const uint8_t *)luma_str_data(a), *pb = (const uint8_t *)luma_str_data(b);
    uint32_t na = a->bytes < 6 ? 0 : (a->bytes - 6) / 2, nb = b->bytes < 6 ? 0 : (b->bytes - 6) / 2;
    int ra = kind_rank(a->bytes < 6 ? LKI_NUM_NAN : pa[0], (int32_t)na);
    int rb = kind_rank(b->bytes < 6 ? LKI_NUM_NAN : pb[0], (int32_t)nb);
    int16_t wa, wb;

    if (ra != rb)
        return ra < rb ? -1 : 1;
    if (ra != 1 && ra != -1)
        return 0;
    memcpy(&wa, pa + 4, 2);
    memcpy(&wb, pb + 4, 2);
    if (wa != wb)
        return wa < wb ? -ra : ra;
    for (uint32_t i = 0; i < na && i < nb; i++) {
        uint16_t da, db;
        memcpy(&da, pa + 6 + 2 * (size_t)i, 2);
        memcpy(&db, pb + 6 + 2 * (size_t)i, 2);
        if (da != db)
            return da < db ? -ra : ra;
    }
    return na == nb ? 0 : na < nb ? -ra : ra;
}

/* --- rounding --- */

static void
cut(struct lki_num *a, int32_t rscale, bool round)
{
    int32_t decs, keep, part;
    bool up = false;

    a->dscale = rscale < 0 ? 0 : rscale;
    decs = (a->weight + 1) * 4 + rscale; /* decimal digits kept, from the first base digit on */
    if (a->count == 0)
        return;
    if (decs < 0 || (decs == 0 && !round)) {
        a->count = 0;
        a->weight = 0;
        a->kind = LKI_NUM_POS;
        return;
    }
    keep = (decs + 3) / 4;
    part = decs % 4;
    if (keep > a->count || (keep == a->count && part == 0))
        return;
    if (part == 0) {
        up = round && a->digits[keep] >= LKI_NUM_BASE / 2;
    } else {
        uint32_t unit = pow10_small[4 - part], digit = a->digits[keep - 1], extra = digit % unit;
        digit -= extra;
        if (round && extra >= unit / 2) {
            digit += unit;
            if (digit >= LKI_NUM_BASE) {
                digit -= LKI_NUM_BASE;
                up = true;
            }
        }
        a->digits[keep - 1] = (uint16_t)digit;
    }
    a->count = keep;
    for (int32_t i = part == 0 ? keep - 1 : keep - 2; up; i--) {
        if (i < 0) {
            /* Callers leave room for one digit in front (see grow_front). */
            a->digits--;
            a->digits[0] = 1;
            a->count++;
            a->weight++;
            break;
        }
        if (++a->digits[i] < LKI_NUM_BASE)
            break;
        a->digits[i] = 0;
    }
    lki_num_strip(a);
}

void
lki_num_round(struct lki_num *a, int32_t rscale)
{
    cut(a, rscale, true);
}

void
lki_num_trunc(struct lki_num *a, int32_t rscale)
{
    cut(a, rscale, false);
}

/* A copy with one spare digit in front, so that rounding may carry out. */
struct lki_num
lki_num_copy(struct lki_calc *calc, const struct lki_num *a)
{
    struct lki_num n = *a;
    uint16_t *d = digits_new(calc, a->count + 1);

    if (d == NULL)
        return zero_of(0);
    n.digits = d + 1;
    if (a->count > 0)
        memcpy(n.digits, a->digits, (size_t)a->count * 2);
    return n;
}

/* --- add and subtract --- */

static inline int32_t
digit_at(const struct lki_num *a, int32_t weight)
{
    int32_t i = a->weight - weight;
    return i >= 0 && i < a->count ? a->digits[i] : 0;
}

/* |a| + |b|, or |a| - |b| with |a| >= |b|. */
static struct lki_num
combine_abs(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b, int sign)
{
    int32_t top = a->weight > b->weight ? a->weight : b->weight;
    int32_t low_a = a->weight - a->count, low_b = b->weight - b->count;
    int32_t low = low_a < low_b ? low_a : low_b, carry = 0;
    struct lki_num r = zero_of(a->dscale > b->dscale ? a->dscale : b->dscale);
    uint16_t *d;

    if (a->count == 0)
        top = b->weight, low = low_b;
    else if (b->count == 0)
        top = a->weight, low = low_a;
    d = digits_new(calc, top - low + 2);
    if (d == NULL)
        return r;
    r.weight = top + 1;
    r.count = top - low + 1;
    r.digits = d + 1;
    for (int32_t w = low + 1; w <= top + 1; w++) {
        int32_t v = digit_at(a, w) + sign * digit_at(b, w) + carry;
        carry = 0;
        if (v >= LKI_NUM_BASE)
            v -= LKI_NUM_BASE, carry = 1;
        else if (v < 0)
            v += LKI_NUM_BASE, carry = -1;
        r.digits[r.weight - w] = (uint16_t)v;
    }
    lki_num_strip(&r);
    return r;
}

static struct lki_num
add_signed(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b, bool flip)
{
    uint8_t kind_b = flip ? (uint8_t)!b->kind : b->kind;
    struct lki_num r;
    int c;

    if (a->kind == kind_b) {
        r = combine_abs(calc, a, b, 1);
        r.kind = r.count == 0 ? LKI_NUM_POS : a->kind;
        return r;
    }
    c = lki_num_compare_abs(a, b);
    if (c == 0)
        return zero_of(a->dscale > b->dscale ? a->dscale : b->dscale);
    r = c > 0 ? combine_abs(calc, a, b, -1) : combine_abs(calc, b, a, -1);
    r.kind = c > 0 ? a->kind : kind_b;
    return r;
}

struct lki_num
lki_num_add(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b)
{
    return add_signed(calc, a, b, false);
}

struct lki_num
lki_num_sub(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b)
{
    return add_signed(calc, a, b, true);
}

/* --- multiply and divide --- */

struct lki_num
lki_num_mul(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b, int32_t rscale)
{
    struct lki_num r = zero_of(a->dscale + b->dscale);
    uint64_t *sums;

    if (calc->failed || a->count == 0 || b->count == 0) {
        if (rscale >= 0)
            r.dscale = rscale;
        return r;
    }
    r.count = a->count + b->count;
    r.weight = a->weight + b->weight + 1;
    r.digits = digits_new(calc, r.count + 1);
    sums = luma_arena_alloc(calc->arena, sizeof(*sums) * (size_t)r.count);
    if (r.digits == NULL || sums == NULL) {
        calc->failed = true;
        return zero_of(0);
    }
    r.digits++;
    memset(sums, 0, sizeof(*sums) * (size_t)r.count);
    for (int32_t i = 0; i < a->count; i++)
        for (int32_t j = 0; j < b->count; j++)
            sums[i + j + 1] += (uint32_t)a->digits[i] * b->digits[j];
    for (int32_t i = r.count - 1; i > 0; i--) {
        sums[i - 1] += sums[i] / LKI_NUM_BASE;
        r.digits[i] = (uint16_t)(sums[i] % LKI_NUM_BASE);
    }
    r.digits[0] = (uint16_t)sums[0];
    r.kind = a->kind == b->kind ? LKI_NUM_POS : LKI_NUM_NEG;
    lki_num_strip(&r);
    if (rscale >= 0)
        lki_num_round(&r, rscale);
    return r;
}

/* A quotient has at least 16 significant digits and as many decimals as either operand. */
int32_t
lki_num_div_scale(const struct lki_num *a, const struct lki_num *b)
{
    int32_t first_a = a->count > 0 ? a->digits[0] : 0, first_b = b->count > 0 ? b->digits[0] : 0;
    int32_t weight = (a->count > 0 ? a->weight : 0) - (b->count > 0 ? b->weight : 0), rscale;

    if (first_a <= first_b)
        weight--;
    rscale = LKI_NUM_SIG_MIN - weight * 4;
    if (rscale < a->dscale)
        rscale = a->dscale;
    if (rscale < b->dscale)
        rscale = b->dscale;
    if (rscale < 0)
        rscale = 0;
    return rscale > LKI_NUM_DISPLAY_MAX ? LKI_NUM_DISPLAY_MAX : rscale;
}

/* Knuth's algorithm D: q[0..nq] = u / v; u has nq + nv + 1 digits and is destroyed. */
static void
divide_digits(int32_t *u, int32_t *v, int32_t nv, int32_t nq, uint16_t *q)
{
    int32_t norm = LKI_NUM_BASE / (v[0] + 1), carry = 0;

    if (norm > 1) {
        for (int32_t i = nv - 1; i >= 0; i--) {
            int32_t t = v[i] * norm + carry;
            v[i] = t % LKI_NUM_BASE;
            carry = t / LKI_NUM_BASE;
        }
        carry = 0;
        for (int32_t i = nq + nv; i >= 0; i--) {
            int32_t t = u[i] * norm + carry;
            u[i] = t % LKI_NUM_BASE;
            carry = t / LKI_NUM_BASE;
        }
    }
    for (int32_t j = 0; j <= nq; j++) {
        int32_t two = u[j] * LKI_NUM_BASE + (j + 1 <= nq + nv ? u[j + 1] : 0);
        int32_t guess = u[j] == v[0] ? LKI_NUM_BASE - 1 : two / v[0];
        if (nv > 1)
            while ((int64_t)v[1] * guess >
                   ((int64_t)two - (int64_t)guess * v[0]) * LKI_NUM_BASE + u[j + 2])
                guess--;
        if (guess > 0) {
            int32_t borrow = 0;
            for (int32_t i = nv - 1; i >= 0; i--) {
                int32_t t = u[j + i + 1] - guess * v[i] - borrow;
                borrow = t < 0 ? (-t + LKI_NUM_BASE - 1) / LKI_NUM_BASE : 0;
                u[j + i + 1] = t + borrow * LKI_NUM_BASE;
            }
            u[j] -= borrow;
            if (u[j] < 0) {
                guess--;
                carry = 0;
                for (int32_t i = nv - 1; i >= 0; i--) {
                    int32_t t = u[j + i + 1] + v[i] + carry;
                    carry = t >= LKI_NUM_BASE;
                    u[j + i + 1] = carry ? t - LKI_NUM_BASE : t;
                }
                u[j] += carry;
            }
        }
        q[j] = (uint16_t)guess;
    }
}

struct lki_num
lki_num_div(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b, int32_t rscale,
            bool round)
{
    struct lki_num r = zero_of(rscale < 0 ? 0 : rscale);
    int32_t nq, *u, *v;

    if (calc->failed || a->count == 0)
        return r;
    r.weight = a->weight - b->weight;
    nq = r.weight + 1 + (rscale + 3) / 4 + 1; /* one digit more decides the rounding */
    if (nq < 1)
        nq = 1;
    r.digits = digits_new(calc, nq + 2);
    u = luma_arena_alloc(calc->arena, sizeof(*u) * (size_t)(nq + b->count + 2));
    v = luma_arena_alloc(calc->arena, sizeof(*v) * (size_t)(b->count + 1));
    if (r.digits == NULL || u == NULL || v == NULL) {
        calc->failed = true;
        return zero_of(0);
    }
    memset(u, 0, sizeof(*u) * (size_t)(nq + b->count + 2));
    for (int32_t i = 0; i < a->count && i < nq + b->count; i++)
        u[i + 1] = a->digits[i];
    for (int32_t i = 0; i < b->count; i++)
        v[i] = b->digits[i];
    v[b->count] = 0;
    r.digits++;
    divide_digits(u, v, b->count, nq, r.digits);
    /* q[0] is the digit of weight (a.weight - b.weight): u began with an extra zero. */
    r.count = nq + 1;
    r.kind = a->kind == b->kind ? LKI_NUM_POS : LKI_NUM_NEG;
    lki_num_strip(&r);
    if (round)
        lki_num_round(&r, rscale);
    else
        lki_num_trunc(&r, rscale);
    return r;
}
