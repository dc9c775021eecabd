/* data/numeric_text.c - decimal numbers in text: parsing, and PostgreSQL's output. */
#include <ctype.h>
#include <strings.h>

#include "data/numeric.h"

static inline bool
is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
trim(const char **text, size_t *bytes)
{
    while (*bytes > 0 && is_space(**text))
        (*text)++, (*bytes)--;
    while (*bytes > 0 && is_space((*text)[*bytes - 1]))
        (*bytes)--;
}

enum lki_parse
lki_num_parse_i128(const char *text, size_t bytes, int32_t scale, luma_i128 *out)
{
    const char *p = text, *end = text + bytes, *start;
    bool negative = false, up = false;
    uint64_t small = 0;
    unsigned __int128 big = 0;
    int32_t frac = 0, digits = 0;

    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    start = p;
    while (p < end && *p == '0')
        p++;
    while (p < end && is_digit(*p)) {
        if (++digits > 18) {
            if (digits == 19)
                big = small;
            if (digits > 37)
                return LKI_PARSE_SYNTAX;
            big = big * 10 + (unsigned)(*p++ - '0');
            continue;
        }
        small = small * 10 + (unsigned)(*p++ - '0');
    }
    if (p < end && *p == '.') {
        if (++p == end && p - start == 1)
            return LKI_PARSE_SYNTAX;
        for (; p < end && is_digit(*p); p++) {
            if (frac == scale) {
                up = *p >= '5';
                while (++p < end && is_digit(*p))
                    ;
                break;
            }
            frac++;
            if (++digits > 18) {
                if (digits == 19)
                    big = small;
                if (digits > 37)
                    return LKI_PARSE_SYNTAX;
                big = big * 10 + (unsigned)(*p - '0');
                continue;
            }
            small = small * 10 + (unsigned)(*p - '0');
        }
    } else if (p == start) {
        return LKI_PARSE_SYNTAX;
    }
    if (p != end)
        return LKI_PARSE_SYNTAX;
    if (digits + (scale - frac) <= 18) {
        int64_t v = (int64_t)small * (int64_t)lki_pow10[scale - frac] + up;
        *out = negative ? -v : v;
        return LKI_PARSE_OK;
    }
    if (digits <= 18)
        big = small;
    if (digits + (scale - frac) > 37)
        return LKI_PARSE_SYNTAX;
    big = big * (unsigned __int128)lki_pow10[scale - frac] + up;
    *out = negative ? -(luma_i128)big : (luma_i128)big;
    return LKI_PARSE_OK;
}

static bool
word_is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static bool
parse_special(const char *p, size_t n, struct lki_num *out)
{
    bool sign = n > 0 && (*p == '+' || *p == '-');
    const char *word = p + sign;

    if (word_is(p, n, "nan")) {
        *out = lki_num_special(LKI_NUM_NAN);
        return true;
    }
    if (!word_is(word, n - sign, "infinity") && !word_is(word, n - sign, "inf"))
        return false;
    *out = lki_num_special(*p == '-' ? LKI_NUM_NINF : LKI_NUM_PINF);
    return true;
}

/* The exponent after 'e'; false: not one. */
static bool
parse_exponent(const char *p, const char *end, int32_t *out)
{
    bool negative = false;
    int32_t v = 0;

    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (p == end)
        return false;
    for (; p < end; p++) {
        if (!is_digit(*p))
            return false;
        if (v < 1000000)
            v = v * 10 + (*p - '0');
    }
    *out = negative ? -v : v;
    return true;
}

enum lki_parse
lki_num_parse(struct lki_calc *calc, const char *text, size_t bytes, struct lki_num *out)
{
    const char *p, *end, *first;
    struct lki_num n = {LKI_NUM_POS, 0, 0, 0, NULL};
    int32_t before = 0, after = 0, exponent = 0, dweight, lead;
    uint16_t *room;

    trim(&text, &bytes);
    if (bytes == 0)
        return LKI_PARSE_SYNTAX;
    if (parse_special(text, bytes, out))
        return LKI_PARSE_OK;
    if (bytes > 300000)
        return LKI_PARSE_RANGE;
    p = text;
    end = text + bytes;
    if (*p == '-' || *p == '+')
        n.kind = *p++ == '-' ? LKI_NUM_NEG : LKI_NUM_POS;
    first = p;
    for (; p < end && is_digit(*p); p++)
        before++;
    if (p < end && *p == '.')
        for (p++; p < end && is_digit(*p); p++)
            after++;
    if (before + after == 0)
        return LKI_PARSE_SYNTAX;
    if (p < end && (*p == 'e' || *p == 'E')) {
        if (!parse_exponent(p + 1, end, &exponent))
            return LKI_PARSE_SYNTAX;
    } else if (p != end) {
        return LKI_PARSE_SYNTAX;
    }
    if (exponent > 200000 || exponent < -200000)
        return LKI_PARSE_RANGE;
    dweight = before - 1 + exponent; /* decimal weight of the first digit */
    n.dscale = after - exponent < 0 ? 0 : after - exponent;
    n.weight = dweight >= 0 ? (dweight + 1 + 3) / 4 - 1 : -((-dweight - 1) / 4 + 1);
    lead = (n.weight + 1) * 4 - (dweight + 1); /* zeros in front, to fill the first base digit */
    n.count = (lead + before + after + 3) / 4;
    room = luma_arena_alloc(calc->arena, sizeof(uint16_t) * ((size_t)n.count + 1));
    if (room == NULL) {
        calc->failed = true;
        return LKI_PARSE_RANGE;
    }
    memset(room, 0, sizeof(uint16_t) * ((size_t)n.count + 1));
    n.digits = room + 1;
    p = first;
    for (int32_t i = 0; i < before + after; i++, p++) {
        static const uint16_t unit[4] = {1000, 100, 10, 1};
        if (*p == '.')
            p++;
        n.digits[(lead + i) / 4] =
            (uint16_t)(n.digits[(lead + i) / 4] + (*p - '0') * unit[(lead + i) % 4]);
    }
    lki_num_strip(&n);
    if (n.count > 0 && (n.weight > LKI_NUM_WEIGHT_MAX || n.weight < -LKI_NUM_WEIGHT_MAX))
        return LKI_PARSE_RANGE;
    if (n.dscale > LKI_NUM_DSCALE_MAX)
        return LKI_PARSE_RANGE;
    *out = n;
    return LKI_PARSE_OK;
}

/* --- output --- */

size_t
lki_num_text_bound(const struct luma_str *str)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(str);
    int16_t weight;
    uint16_t dscale;

    if (str->bytes < LKI_NUM_HEADER_BYTES)
        return 16;
    memcpy(&dscale, p + 2, 2);
    memcpy(&weight, p + 4, 2);
    return 16 + (weight < 0 ? 0 : ((size_t)weight + 1) * 4) + dscale;
}

static inline uint32_t
raw_digit(const uint8_t *digits, uint32_t count, int32_t i)
{
    uint16_t d;
    if (i < 0 || (uint32_t)i >= count)
        return 0;
    memcpy(&d, digits + 2 * (size_t)i, 2);
    return d;
}

static char *
put_four(char *p, uint32_t d)
{
    p[0] = (char)('0' + d / 1000);
    p[1] = (char)('0' + d / 100 % 10);
    p[2] = (char)('0' + d / 10 % 10);
    p[3] = (char)('0' + d % 10);
    return p + 4;
}

size_t
lki_num_text_write(const struct luma_str *str, char *out)
{
    static const char *const special[] = {"NaN", "Infinity", "-Infinity"};
    const uint8_t *raw = (const uint8_t *)luma_str_data(str), *digits = raw + 6;
    uint32_t count;
    uint16_t dscale;
    int16_t weight;
    char *p = out, *after;

    if (str->bytes < LKI_NUM_HEADER_BYTES || raw[0] >= LKI_NUM_NAN) {
        const char *word = special[str->bytes < 6 || raw[0] > 4 ? 0 : raw[0] - LKI_NUM_NAN];
        memcpy(out, word, strlen(word));
        return strlen(word);
    }
    memcpy(&dscale, raw + 2, 2);
    memcpy(&weight, raw + 4, 2);
    count = (str->bytes - 6) / 2;
    if (raw[0] == LKI_NUM_NEG)
        *p++ = '-';
    if (weight < 0 || count == 0) {
        *p++ = '0';
    } else {
        char four[4];
        uint32_t skip = 0;
        put_four(four, raw_digit(digits, count, 0));
        while (skip < 3 && four[skip] == '0')
            skip++;
        memcpy(p, four + skip, 4 - skip);
        p += 4 - skip;
        for (int32_t i = 1; i <= weight; i++)
            p = put_four(p, raw_digit(digits, count, i));
    }
    if (dscale == 0)
        return (size_t)(p - out);
    *p++ = '.';
    after = p;
    for (int32_t i = count == 0 ? 0 : weight + 1; p < after + dscale; i++)
        p = put_four(p, raw_digit(digits, count, i));
    return (size_t)(after - out) + dscale;
}

static const char two_digits[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899";

/* Writes the digits of u backwards, ending before `end`; the place of the first. */
static char *
digits_back(char *end, uint64_t u)
{
    while (u >= 100) {
        end -= 2;
        memcpy(end, two_digits + u % 100 * 2, 2);
        u /= 100;
    }
    if (u >= 10) {
        end -= 2;
        memcpy(end, two_digits + u * 2, 2);
    } else {
        *--end = (char)('0' + u);
    }
    return end;
}

static size_t
write_digits(char *out, bool negative, const char *digits, size_t count, size_t scale)
{
    char *p = out;

    if (negative)
        *p++ = '-';
    if (count <= scale) {
        *p++ = '0';
        *p++ = '.';
        memset(p, '0', scale - count);
        p += scale - count;
        memcpy(p, digits, count);
        return (size_t)(p + count - out);
    }
    memcpy(p, digits, count - scale);
    p += count - scale;
    if (scale > 0) {
        *p++ = '.';
        memcpy(p, digits + count - scale, scale);
        p += scale;
    }
    return (size_t)(p - out);
}

size_t
lki_num_text_write_i64(int64_t v, int32_t scale, char *out)
{
    char tmp[24], *first;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

    first = digits_back(tmp + sizeof(tmp), u);
    return write_digits(out, v < 0, first, (size_t)(tmp + sizeof(tmp) - first),
                        scale < 0 ? 0 : (size_t)scale);
}

size_t
lki_num_text_write_i128(luma_i128 v, int32_t scale, char *out)
{
    char tmp[48], *end = tmp + sizeof(tmp), *first = end;
    unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;

    while (u > UINT64_MAX) {
        uint64_t low = (uint64_t)(u % 10000000000000000);
        char *stop = first - 16;
        u /= 10000000000000000;
        first = digits_back(first, low);
        while (first > stop)
            *--first = '0';
    }
    first = digits_back(first, (uint64_t)u);
    return write_digits(out, v < 0, first, (size_t)(end - first), scale < 0 ? 0 : (size_t)scale);
}
