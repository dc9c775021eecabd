/*
 * storage/segment/fallback.c - the inner loops in plain C, for a server without any simd module:
 * what it has stored it must be able to read.
 */
#include "storage/segment/segment_priv.h"

static bool
plain_usable(void)
{
    return true;
}

/* One function per type; the compiler makes what it can of the inner loop of 64. */
#define COMPARE_LOOP(cond)                  \
    for (size_t i = 0; i < n; i += 64) {    \
        size_t m = n - i < 64 ? n - i : 64; \
        uint64_t word = 0;                  \
        for (size_t k = 0; k < m; k++)      \
            word |= (uint64_t)(cond) << k;  \
        out[i / 64] = word;                 \
    }

#define DEFINE_COMPARE(name, type)                                                     \
    static void name(enum luma_cmp op, const type *x, type y, size_t n, uint64_t *out) \
    {                                                                                  \
        switch (op) {                                                                  \
        case LUMA_CMP_EQ:                                                              \
            COMPARE_LOOP(x[i + k] == y) break;                                         \
        case LUMA_CMP_NE:                                                              \
            COMPARE_LOOP(x[i + k] != y) break;                                         \
        case LUMA_CMP_LT:                                                              \
            COMPARE_LOOP(x[i + k] < y) break;                                          \
        case LUMA_CMP_LE:                                                              \
            COMPARE_LOOP(x[i + k] <= y) break;                                         \
        case LUMA_CMP_GT:                                                              \
            COMPARE_LOOP(x[i + k] > y) break;                                          \
        default:                                                                       \
            COMPARE_LOOP(x[i + k] >= y) break;                                         \
        }                                                                              \
    }

#define DEFINE_COMPARE2(name, type)                                                           \
    static void name(enum luma_cmp op, const type *x, const type *y, size_t n, uint64_t *out) \
    {                                                                                         \
        switch (op) {                                                                         \
        case LUMA_CMP_EQ:                                                                     \
            COMPARE_LOOP(x[i + k] == y[i + k]) break;                                         \
        case LUMA_CMP_NE:                                                                     \
            COMPARE_LOOP(x[i + k] != y[i + k]) break;                                         \
        case LUMA_CMP_LT:                                                                     \
            COMPARE_LOOP(x[i + k] < y[i + k]) break;                                          \
        case LUMA_CMP_LE:                                                                     \
            COMPARE_LOOP(x[i + k] <= y[i + k]) break;                                         \
        case LUMA_CMP_GT:                                                                     \
            COMPARE_LOOP(x[i + k] > y[i + k]) break;                                          \
        default:                                                                              \
            COMPARE_LOOP(x[i + k] >= y[i + k]) break;                                         \
        }                                                                                     \
    }

DEFINE_COMPARE(plain_cmp_i16, int16_t)
DEFINE_COMPARE(plain_cmp_i32, int32_t)
DEFINE_COMPARE(plain_cmp_i64, int64_t)
DEFINE_COMPARE(plain_cmp_f64, double)
DEFINE_COMPARE(plain_cmp_u8, uint8_t)
DEFINE_COMPARE2(plain_cmp2_i32, int32_t)
DEFINE_COMPARE2(plain_cmp2_i64, int64_t)

static void
plain_between_i32(const int32_t *x, int32_t lo, int32_t hi, size_t n, uint64_t *out)
{
    COMPARE_LOOP(lo <= x[i + k] && x[i + k] <= hi)
}

static void
plain_between_i64(const int64_t *x, int64_t lo, int64_t hi, size_t n, uint64_t *out)
{
    COMPARE_LOOP(lo <= x[i + k] && x[i + k] <= hi)
}

static size_t
plain_bits_count(const uint64_t *bits, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n / 64; i++)
        count += (size_t)__builtin_popcountll(bits[i]);
    if ((n & 63) != 0)
        count += (size_t)__builtin_popcountll(bits[n / 64] & (((uint64_t)1 << (n & 63)) - 1));
    return count;
}

static size_t
plain_bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word = bits[i / 64];
        if (n - i < 64)
            word &= ((uint64_t)1 << (n - i)) - 1;
        for (; word != 0; word &= word - 1)
            out[count++] = (uint16_t)(i + (size_t)__builtin_ctzll(word));
    }
    return count;
}

static void
plain_sel_to_bits(const uint16_t *sel, size_t count, size_t n, uint64_t *out)
{
    memset(out, 0, LUMA_BIT_WORDS(n) * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        luma_bit_set(out, sel[i]);
}

#define DEFINE_TAKE(name, type, index)                                    \
    static void name(const type *x, const index *at, size_t n, type *out) \
    {                                                                     \
        for (size_t i = 0; i < n; i++)                                    \
            out[i] = x[at[i]];                                            \
    }

DEFINE_TAKE(plain_take_32, uint32_t, uint16_t)
DEFINE_TAKE(plain_take_64, uint64_t, uint16_t)
DEFINE_TAKE(plain_gather_32, uint32_t, uint32_t)
DEFINE_TAKE(plain_gather_64, uint64_t, uint32_t)

static void
plain_unpack_64(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
                uint64_t *out)
{
    if (bits == 0) {
        for (size_t i = 0; i < n; i++)
            out[i] = base;
        return;
    }
    uint64_t mask = bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
    size_t at = first * bits;
    for (size_t i = 0; i < n; i++, at += bits) {
        uint32_t shift = (uint32_t)(at & 7);
        uint64_t v = lk_load_u64(packed + (at >> 3)) >> shift;
        if (shift + bits > 64)
            v |= (uint64_t)packed[(at >> 3) + 8] << (64 - shift);
        out[i] = base + (v & mask);
    }
}

static void
plain_unpack_32(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
                uint32_t *out)
{
    if (bits == 0) {
        for (size_t i = 0; i < n; i++)
            out[i] = base;
        return;
    }
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    size_t at = first * bits;
    for (size_t i = 0; i < n; i++, at += bits)
        out[i] = base + (uint32_t)(lk_load_u64(packed + (at >> 3)) >> (at & 7) & mask);
}

static void
plain_pack_64(const uint64_t *x, uint64_t base, uint32_t bits, size_t n, uint8_t *out)
{
    unsigned __int128 held = 0;
    uint32_t held_bits = 0;

    if (bits == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = x[i] - base;
        if (bits < 64)
            v &= ((uint64_t)1 << bits) - 1;
        held |= (unsigned __int128)v << held_bits;
        for (held_bits += bits; held_bits >= 64; held_bits -= 64) {
            lk_store_u64(out, (uint64_t)held);
            out += 8;
            held >>= 64;
        }
    }
    for (; held_bits > 0; held_bits = held_bits > 8 ? held_bits - 8 : 0) {
        *out++ = (uint8_t)held;
        held >>= 8;
    }
}

#define DEFINE_MAP2(name, type, expr)                                   \
    static void name(const type *x, const type *y, size_t n, type *out) \
    {                                                                   \
        for (size_t i = 0; i < n; i++)                                  \
            out[i] = (type)(expr);                                      \
    }
#define DEFINE_MAP1(name, type, expr)                            \
    static void name(const type *x, type y, size_t n, type *out) \
    {                                                            \
        for (size_t i = 0; i < n; i++)                           \
            out[i] = (type)(expr);                               \
    }

DEFINE_MAP2(plain_add_i64, int64_t, (uint64_t)x[i] + (uint64_t)y[i])
DEFINE_MAP2(plain_sub_i64, int64_t, (uint64_t)x[i] - (uint64_t)y[i])
DEFINE_MAP2(plain_mul_i64, int64_t, (uint64_t)x[i] * (uint64_t)y[i])
DEFINE_MAP1(plain_add_i64_const, int64_t, (uint64_t)x[i] + (uint64_t)y)
DEFINE_MAP1(plain_rsub_i64_const, int64_t, (uint64_t)y - (uint64_t)x[i])
DEFINE_MAP1(plain_mul_i64_const, int64_t, (uint64_t)x[i] * (uint64_t)y)

static void
plain_widen_i32(const int32_t *x, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

static void
plain_widen_i16(const int16_t *x, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

static luma_i128
plain_sum_i64(const int64_t *x, size_t n)
{
    luma_i128 sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static int64_t
plain_sum_i32(const int32_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Eight lanes, added pairwise at the end: the order every variant keeps. */
static double
plain_sum_f64(const double *x, size_t n)
{
    double lane[8] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i & 7] += x[i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

#define DEFINE_MINMAX(name, type)                                           \
    static void name(const type *x, size_t n, type *out_min, type *out_max) \
    {                                                                       \
        type min = x[0], max = x[0];                                        \
        for (size_t i = 1; i < n; i++) {                                    \
            min = x[i] < min ? x[i] : min;                                  \
            max = x[i] > max ? x[i] : max;                                  \
        }                                                                   \
        *out_min = min;                                                     \
        *out_max = max;                                                     \
    }

DEFINE_MINMAX(plain_minmax_i32, int32_t)
DEFINE_MINMAX(plain_minmax_i64, int64_t)

static void
plain_prefix_i64(const int64_t *x, int64_t base, size_t n, int64_t *out)
{
    uint64_t sum = (uint64_t)base;
    for (size_t i = 0; i < n; i++) {
        sum += (uint64_t)x[i];
        out[i] = (int64_t)sum;
    }
}

static void
plain_hash_64(const uint64_t *x, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = lk_hash_u64(x[i]);
}

static size_t
plain_find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    const char *at = needle_bytes == 0 ? hay : memmem(hay, hay_bytes, needle, needle_bytes);
    return at == NULL ? hay_bytes : (size_t)(at - hay);
}

static size_t
plain_find_any4(const char *text, size_t bytes, char a, char b, char c, char d)
{
    size_t i = 0;
    while (i < bytes && text[i] != a && text[i] != b && text[i] != c && text[i] != d)
        i++;
    return i;
}

/* Bytes of the well-formed sequence at s, 0: none (RFC 3629). */
static size_t
utf8_step(const uint8_t *s, size_t bytes)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || bytes < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static bool
plain_utf8_valid(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t n = utf8_step((const uint8_t *)text + i, bytes - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

const struct luma_simd lki_segment_simd_fallback = {
    .head = LUMA_SIMD_HEAD,
    .name = "plain",
    .rank = -1,
    .usable = plain_usable,
    .cmp_i16 = plain_cmp_i16,
    .cmp_i32 = plain_cmp_i32,
    .cmp_i64 = plain_cmp_i64,
    .cmp_f64 = plain_cmp_f64,
    .cmp_u8 = plain_cmp_u8,
    .between_i32 = plain_between_i32,
    .between_i64 = plain_between_i64,
    .cmp2_i32 = plain_cmp2_i32,
    .cmp2_i64 = plain_cmp2_i64,
    .bits_count = plain_bits_count,
    .bits_to_sel = plain_bits_to_sel,
    .sel_to_bits = plain_sel_to_bits,
    .take_32 = plain_take_32,
    .take_64 = plain_take_64,
    .gather_32 = plain_gather_32,
    .gather_64 = plain_gather_64,
    .unpack_64 = plain_unpack_64,
    .unpack_32 = plain_unpack_32,
    .pack_64 = plain_pack_64,
    .add_i64 = plain_add_i64,
    .sub_i64 = plain_sub_i64,
    .mul_i64 = plain_mul_i64,
    .add_i64_const = plain_add_i64_const,
    .rsub_i64_const = plain_rsub_i64_const,
    .mul_i64_const = plain_mul_i64_const,
    .widen_i32 = plain_widen_i32,
    .widen_i16 = plain_widen_i16,
    .sum_i64 = plain_sum_i64,
    .sum_i32 = plain_sum_i32,
    .sum_f64 = plain_sum_f64,
    .minmax_i32 = plain_minmax_i32,
    .minmax_i64 = plain_minmax_i64,
    .prefix_i64 = plain_prefix_i64,
    .hash_64 = plain_hash_64,
    .find = plain_find,
    .find_any4 = plain_find_any4,
    .utf8_valid = plain_utf8_valid,
    .crc32c = lk_crc32c,
};
