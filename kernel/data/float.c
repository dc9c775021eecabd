/*
 * data/float.c - binary floating point to and from text.
 *
 * Shortest output is Schubfach (R. Giulietti, "The Schubfach way to render doubles"), with the
 * bounds of the rounding interval left out, as PostgreSQL's output has it.
 */
#include "data/float.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct decimal {
    uint64_t digits;
    int32_t exponent;
};

static inline uint64_t
round_to_odd(const struct lki_pow10_128 *g, uint64_t cp)
{
    unsigned __int128 x = (unsigned __int128)g->low * cp, y = (unsigned __int128)g->high * cp;

    y += (uint64_t)(x >> 64);
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* The shortest decimal strictly between the midpoints around c * 2^q, nearest to it. */
static struct decimal
shortest(uint64_t c, int32_t q, bool lower_closer)
{
    int32_t k = (q * 1262611 - (lower_closer ? 524031 : 0)) >> 22;
    int32_t h = q + ((-k * 1741647) >> 19) + 1;
    const struct lki_pow10_128 *g = &lki_float_pow10[-k - LKI_FLOAT_POW10_MIN];
    uint64_t lower = round_to_odd(g, (4 * c - 2 + lower_closer) << h) + 1;
    uint64_t vb = round_to_odd(g, (4 * c) << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - 1;
    uint64_t s = vb / 4, mid;
    bool u_inside, w_inside;

    if (s >= 10) {
        uint64_t sp = s / 10;
        bool up_inside = lower <= 40 * sp, wp_inside = 40 * sp + 40 <= upper;
        if (up_inside != wp_inside)
            return (struct decimal){sp + wp_inside, k + 1};
    }
    u_inside = lower <= 4 * s;
    w_inside = 4 * s + 4 <= upper;
    if (u_inside != w_inside)
        return (struct decimal){s + w_inside, k};
    mid = 4 * s + 2;
    return (struct decimal){s + (vb > mid || (vb == mid && (s & 1) != 0)), k};
}

static struct decimal
shortest_of(uint64_t fraction, uint32_t exponent, int32_t bias, uint32_t fraction_bits)
{
    uint64_t c = fraction;
    int32_t q = 1 - bias;

    if (exponent != 0) {
        c |= (uint64_t)1 << fraction_bits;
        q = (int32_t)exponent - bias;
        if (q <= 0 && -q <= (int32_t)fraction_bits && (c & (((uint64_t)1 << -q) - 1)) == 0)
            return (struct decimal){c >> -q, 0}; /* a small whole number is exact */
    }
    return shortest(c, q, fraction == 0 && exponent > 1);
}

/* Fixed notation for decimal exponents -4 .. limit - 1, else d.ddde+XX. */
static size_t
write_decimal(struct decimal d, bool negative, int32_t limit, char *out)
{
    char digits[24], *p = out;
    int32_t count = 0, exp;

    while (d.digits != 0 && d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    for (uint64_t u = d.digits; u != 0; u /= 10)
        count++;
    for (int32_t i = count - 1; i >= 0; i--, d.digits /= 10)
        digits[i] = (char)('0' + d.digits % 10);
    exp = d.exponent + count - 1;
    if (negative)
        *p++ = '-';
    if (exp < -4 || exp >= limit) {
        *p++ = digits[0];
        if (count > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, (size_t)count - 1);
            p += count - 1;
        }
        return (size_t)(p - out) + (size_t)sprintf(p, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    }
    if (exp < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int32_t i = -1; i > exp; i--)
            *p++ = '0';
        memcpy(p, digits, (size_t)count);
        return (size_t)(p + count - out);
    }
    for (int32_t i = 0; i < count || i <= exp; i++) {
        if (i == exp + 1)
            *p++ = '.';
        *p++ = i < count ? digits[i] : '0';
    }
    return (size_t)(p - out);
}

static size_t
write_word(const char *word, char *out)
{
    size_t n = strlen(word);
    memcpy(out, word, n);
    return n;
}

static size_t
write_special(double v, char *out)
{
    return write_word(isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity", out);
}

size_t
lki_float8_write(double v, int extra_float_digits, char *out)
{
    uint64_t bits;

    if (isnan(v) || isinf(v))
        return write_special(v, out);
    if (extra_float_digits <= 0) {
        int digits = 15 + extra_float_digits;
        return (size_t)snprintf(out, LKI_FLOAT_TEXT_BYTES, "%.*g", digits < 1 ? 1 : digits, v);
    }
    if (v == 0)
        return write_word(signbit(v) ? "-0" : "0", out);
    memcpy(&bits, &v, sizeof(bits));
    return write_decimal(
        shortest_of(bits & 0xfffffffffffff, (uint32_t)(bits >> 52 & 0x7ff), 1075, 52), bits >> 63,
        15, out);
}

size_t
lki_float4_write(float v, int extra_float_digits, char *out)
{
    uint32_t bits;

    if (isnan(v) || isinf(v))
        return write_special((double)v, out);
    if (extra_float_digits <= 0) {
        int digits = 6 + extra_float_digits;
        return (size_t)snprintf(out, LKI_FLOAT_TEXT_BYTES, "%.*g", digits < 1 ? 1 : digits,
                                (double)v);
    }
    if (v == 0)
        return write_word(signbit(v) ? "-0" : "0", out);
    memcpy(&bits, &v, sizeof(bits));
    return write_decimal(shortest_of(bits & 0x7fffff, bits >> 23 & 0xff, 150, 23), bits >> 31, 6,
                         out);
}

/* --- parsing --- */

static const double exact_pow10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Digits, a point, digits, nothing else, and exact in a double: the usual number. */
static bool
parse_simple(const char *p, const char *end, double *out)
{
    bool negative = false;
    uint64_t m = 0;
    int32_t digits = 0, frac = 0;

    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    for (; p < end && (unsigned char)(*p - '0') <= 9; p++, digits++)
        m = m * 10 + (unsigned char)(*p - '0');
    if (p < end && *p == '.')
        for (p++; p < end && (unsigned char)(*p - '0') <= 9; p++, digits++, frac++)
            m = m * 10 + (unsigned char)(*p - '0');
    if (p != end || digits == 0 || digits > 18 || m >= (uint64_t)1 << 53)
        return false;
    *out = (double)m / exact_pow10[frac];
    if (negative)
        *out = -*out;
    return true;
}

static bool
word_is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static bool
parse_word(const char *p, size_t n, double *out)
{
    size_t sign = n > 0 && (*p == '+' || *p == '-');

    if (word_is(p, n, "nan"))
        *out = NAN;
    else if (word_is(p + sign, n - sign, "infinity") || word_is(p + sign, n - sign, "inf"))
        *out = *p == '-' ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

/* A NUL-terminated copy for strtod; NULL: longer than any sensible number and not on the heap. */
static char *
terminated(const char *p, size_t n, char *local, size_t room)
{
    char *copy = n < room ? local : malloc(n + 1);

    if (copy != NULL) {
        memcpy(copy, p, n);
        copy[n] = '\0';
    }
    return copy;
}

static enum lki_parse
parse_hard(const char *p, size_t n, bool single, double *out)
{
    char local[128], *copy, *stop;
    enum lki_parse result = LKI_PARSE_OK;
    double v;

    for (size_t i = 0; i < n; i++) /* strtod knows hexadecimal and nan(...) */
        if (!((p[i] >= '0' && p[i] <= '9') || p[i] == '.' || p[i] == '+' || p[i] == '-' ||
              p[i] == 'e' || p[i] == 'E'))
            return LKI_PARSE_SYNTAX;
    copy = terminated(p, n, local, sizeof(local));
    if (copy == NULL)
        return LKI_PARSE_RANGE;
    errno = 0;
    v = single ? (double)strtof(copy, &stop) : strtod(copy, &stop);
    if (stop != copy + n || n == 0)
        result = LKI_PARSE_SYNTAX;
    else if (errno == ERANGE && (v == 0 || isinf(v)))
        result = LKI_PARSE_RANGE;
    else
        *out = v;
    if (copy != local)
        free(copy);
    return result;
}

static enum lki_parse
parse_any(const char *text, size_t bytes, bool single, double *out)
{
    const char *p = text, *end = text + bytes;

    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    if (p == end)
        return LKI_PARSE_SYNTAX;
    if (!single && parse_simple(p, end, out))
        return LKI_PARSE_OK;
    if (parse_word(p, (size_t)(end - p), out))
        return LKI_PARSE_OK;
    return parse_hard(p, (size_t)(end - p), single, out);
}

enum lki_parse
lki_float8_parse(const char *text, size_t bytes, double *out)
{
    return parse_any(text, bytes, false, out);
}

enum lki_parse
lki_float4_parse(const char *text, size_t bytes, float *out)
{
    double v = 0;
    enum lki_parse result = parse_any(text, bytes, true, &v);

    if (result == LKI_PARSE_OK)
        *out = (float)v;
    return result;
}
