/*
 * simd_body.h - the inner loops, once: included by the main file of each variant.
 *
 * A variant defines SIMD_NAME, SIMD_RANK and SIMD_USABLE, and, if it has vectors, VECTOR_BYTES with
 * mask_8, mask_16, mask_32 and mask_64: the top bits of a vector's lanes as an integer. It may
 * bring faster forms of single functions by defining HAVE_<FUNCTION>. The rest is C that the
 * compiler turns into the variant's instructions. Every variant gives exactly what the scalar one
 * gives.
 */
#ifndef LUMA_SIMD_BODY_H
#define LUMA_SIMD_BODY_H

#include <lumadb/batch.h>
#include <lumadb/kind/simd.h>

#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

static inline uint64_t
load_u64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* --- comparisons --- */

/* 64 rows give one word; `cond` sees row i. */
#define WORD_TAIL(cond)                       \
    for (; i < n; i += 64) {                  \
        uint64_t word = 0;                    \
        size_t end = n - i < 64 ? n - i : 64; \
        for (size_t k = 0; k < end; k++, i++) \
            word |= (uint64_t)(cond) << k;    \
        i -= end;                             \
        out[i / 64] = word;                   \
    }

#ifdef VECTOR_BYTES
#define DEFINE_VECTOR(name, type) \
    typedef type name __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(type)), may_alias));
DEFINE_VECTOR(vec_u8, uint8_t)
DEFINE_VECTOR(vec_i16, int16_t)
DEFINE_VECTOR(vec_i32, int32_t)
DEFINE_VECTOR(vec_i64, int64_t)
DEFINE_VECTOR(vec_f64, double)

#define LANES(type) (VECTOR_BYTES / sizeof(type))
#define AT(vec, p)  (*(const vec *)(const void *)(p))

/* `cond` is a vector over rows i + k and on; `mask` its lanes' top bits. */
#define WORDS(type, mask, cond)                          \
    for (; i + 64 <= n; i += 64) {                       \
        uint64_t word = 0;                               \
        for (size_t k = 0; k < 64; k += LANES(type))     \
            word |= (uint64_t)mask((vec_u8)(cond)) << k; \
        out[i / 64] = word;                              \
    }
#else
#define WORDS(type, mask, cond)
#endif

#define COMPARE_ALL(BOTH) \
    switch (op) {         \
    case LUMA_CMP_EQ:     \
        BOTH(==) break;   \
    case LUMA_CMP_NE:     \
        BOTH(!=) break;   \
    case LUMA_CMP_LT:     \
        BOTH(<) break;    \
    case LUMA_CMP_LE:     \
        BOTH(<=) break;   \
    case LUMA_CMP_GT:     \
        BOTH(>) break;    \
    case LUMA_CMP_GE:     \
    default:              \
        BOTH(>=) break;   \
    }

#define DEFINE_COMPARE(name, type, vec, mask)                                          \
    static void name(enum luma_cmp op, const type *x, type y, size_t n, uint64_t *out) \
    {                                                                                  \
        size_t i = 0;                                                                  \
        COMPARE_ALL(COMPARE_ONE_##vec)                                                 \
    }
#define COMPARE_ONE_vec_u8(o) WORDS(uint8_t, mask_8, AT(vec_u8, x + i + k) o y) WORD_TAIL(x[i] o y)
#define COMPARE_ONE_vec_i16(o) \
    WORDS(int16_t, mask_16, AT(vec_i16, x + i + k) o y) WORD_TAIL(x[i] o y)
#define COMPARE_ONE_vec_i32(o) \
    WORDS(int32_t, mask_32, AT(vec_i32, x + i + k) o y) WORD_TAIL(x[i] o y)
#define COMPARE_ONE_vec_i64(o) \
    WORDS(int64_t, mask_64, AT(vec_i64, x + i + k) o y) WORD_TAIL(x[i] o y)
#define COMPARE_ONE_vec_f64(o) \
    WORDS(double, mask_64, AT(vec_f64, x + i + k) o y) WORD_TAIL(x[i] o y)

#ifndef HAVE_COMPARE
DEFINE_COMPARE(cmp_u8, uint8_t, vec_u8, mask_8)
DEFINE_COMPARE(cmp_i16, int16_t, vec_i16, mask_16)
DEFINE_COMPARE(cmp_i32, int32_t, vec_i32, mask_32)
DEFINE_COMPARE(cmp_i64, int64_t, vec_i64, mask_64)
DEFINE_COMPARE(cmp_f64, double, vec_f64, mask_64)

static void
between_i32(const int32_t *x, int32_t lo, int32_t hi, size_t n, uint64_t *out)
{
    size_t i = 0;
    WORDS(int32_t, mask_32, (AT(vec_i32, x + i + k) >= lo) & (AT(vec_i32, x + i + k) <= hi))
    WORD_TAIL(lo <= x[i] && x[i] <= hi)
}

static void
between_i64(const int64_t *x, int64_t lo, int64_t hi, size_t n, uint64_t *out)
{
    size_t i = 0;
    WORDS(int64_t, mask_64, (AT(vec_i64, x + i + k) >= lo) & (AT(vec_i64, x + i + k) <= hi))
    WORD_TAIL(lo <= x[i] && x[i] <= hi)
}

#define COMPARE_TWO_I32(o)                                                   \
    WORDS(int32_t, mask_32, AT(vec_i32, x + i + k) o AT(vec_i32, y + i + k)) \
    WORD_TAIL(x[i] o y[i])
#define COMPARE_TWO_I64(o)                                                   \
    WORDS(int64_t, mask_64, AT(vec_i64, x + i + k) o AT(vec_i64, y + i + k)) \
    WORD_TAIL(x[i] o y[i])

static void
cmp2_i32(enum luma_cmp op, const int32_t *x, const int32_t *y, size_t n, uint64_t *out)
{
    size_t i = 0;
    COMPARE_ALL(COMPARE_TWO_I32)
}

static void
cmp2_i64(enum luma_cmp op, const int64_t *x, const int64_t *y, size_t n, uint64_t *out)
{
    size_t i = 0;
    COMPARE_ALL(COMPARE_TWO_I64)
}
#endif

/* --- bitmaps and selections --- */

static size_t
bits_count(const uint64_t *bits, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n / 64; i++)
        count += (size_t)__builtin_popcountll(bits[i]);
    if ((n & 63) != 0)
        count += (size_t)__builtin_popcountll(bits[n / 64] & (((uint64_t)1 << (n & 63)) - 1));
    return count;
}

/* Word i / 64 of n bits, without the bits behind the end. */
static inline uint64_t
word_of(const uint64_t *bits, size_t i, size_t n)
{
    uint64_t word = bits[i / 64];
    return n - i < 64 ? word & (((uint64_t)1 << (n - i)) - 1) : word;
}

#ifndef HAVE_BITS_TO_SEL
static size_t
bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word = word_of(bits, i, n);
        if (word == ~(uint64_t)0) {
            for (size_t k = 0; k < 64; k++)
                out[count + k] = (uint16_t)(i + k);
            count += 64;
            continue;
        }
        for (; word != 0; word &= word - 1)
            out[count++] = (uint16_t)(i + (size_t)__builtin_ctzll(word));
    }
    return count;
}
#endif

static void
sel_to_bits(const uint16_t *sel, size_t count, size_t n, uint64_t *out)
{
    memset(out, 0, LUMA_BIT_WORDS(n) * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        out[sel[i] >> 6] |= (uint64_t)1 << (sel[i] & 63);
}

#define DEFINE_TAKE(name, type, index)                                           \
    static void name(const type *restrict x, const index *restrict at, size_t n, \
                     type *restrict out)                                         \
    {                                                                            \
        for (size_t i = 0; i < n; i++)                                           \
            out[i] = x[at[i]];                                                   \
    }

DEFINE_TAKE(take_32, uint32_t, uint16_t)
DEFINE_TAKE(take_64, uint64_t, uint16_t)
DEFINE_TAKE(gather_32, uint32_t, uint32_t)
DEFINE_TAKE(gather_64, uint64_t, uint32_t)

/* --- bit-packing --- */

/* Values [i, n) one by one; `at` is the first bit of value i. */
static void
unpack_64_each(const uint8_t *packed, uint32_t bits, uint64_t base, size_t at, size_t i, size_t n,
               uint64_t *restrict out)
{
    uint64_t mask = bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
    for (; i < n; i++, at += bits) {
        uint32_t shift = (uint32_t)(at & 7);
        uint64_t v = load_u64(packed + (at >> 3)) >> shift;
        if (shift + bits > 64)
            v |= (uint64_t)packed[(at >> 3) + 8] << (64 - shift);
        out[i] = base + (v & mask);
    }
}

static void
unpack_32_each(const uint8_t *packed, uint32_t bits, uint32_t base, size_t at, size_t i, size_t n,
               uint32_t *restrict out)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    for (; i < n; i++, at += bits)
        out[i] = base + (uint32_t)(load_u64(packed + (at >> 3)) >> (at & 7) & mask);
}

/* Whole bytes, and nothing at all, need no shifting; false: they are neither. */
#define DEFINE_UNPACK_BYTES(name, type)                                                      \
    static bool name(const uint8_t *restrict packed, uint32_t bits, type base, size_t first, \
                     size_t n, type *restrict out)                                           \
    {                                                                                        \
        if (bits == 0) {                                                                     \
            for (size_t i = 0; i < n; i++)                                                   \
                out[i] = base;                                                               \
            return true;                                                                     \
        }                                                                                    \
        if (bits == 8) {                                                                     \
            for (size_t i = 0; i < n; i++)                                                   \
                out[i] = (type)(base + packed[first + i]);                                   \
            return true;                                                                     \
        }                                                                                    \
        if (bits == 16) {                                                                    \
            for (size_t i = 0; i < n; i++) {                                                 \
                uint16_t v;                                                                  \
                memcpy(&v, packed + 2 * (first + i), sizeof(v));                             \
                out[i] = (type)(base + v);                                                   \
            }                                                                                \
            return true;                                                                     \
        }                                                                                    \
        if (bits == 32) {                                                                    \
            for (size_t i = 0; i < n; i++) {                                                 \
                uint32_t v;                                                                  \
                memcpy(&v, packed + 4 * (first + i), sizeof(v));                             \
                out[i] = (type)(base + v);                                                   \
            }                                                                                \
            return true;                                                                     \
        }                                                                                    \
        return false;                                                                        \
    }

DEFINE_UNPACK_BYTES(unpack_64_bytes, uint64_t)
DEFINE_UNPACK_BYTES(unpack_32_bytes, uint32_t)

#ifndef HAVE_UNPACK
static size_t
unpack_64_wide(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
               uint64_t *out)
{
    (void)packed, (void)bits, (void)base, (void)first, (void)n, (void)out;
    return 0;
}

static size_t
unpack_32_wide(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
               uint32_t *out)
{
    (void)packed, (void)bits, (void)base, (void)first, (void)n, (void)out;
    return 0;
}
#endif

static void
unpack_64(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
          uint64_t *out)
{
    if (unpack_64_bytes(packed, bits, base, first, n, out))
        return;
    size_t done = unpack_64_wide(packed, bits, base, first, n, out);
    unpack_64_each(packed, bits, base, (first + done) * bits, done, n, out);
}

static void
unpack_32(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
          uint32_t *out)
{
    if (unpack_32_bytes(packed, bits, base, first, n, out))
        return;
    size_t done = unpack_32_wide(packed, bits, base, first, n, out);
    unpack_32_each(packed, bits, base, (first + done) * bits, done, n, out);
}

static void
pack_64(const uint64_t *x, uint64_t base, uint32_t bits, size_t n, uint8_t *out)
{
    uint64_t mask = bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
    unsigned __int128 held = 0;
    uint32_t held_bits = 0;

    if (bits == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        held |= (unsigned __int128)((x[i] - base) & mask) << held_bits;
        held_bits += bits;
        if (held_bits >= 64) {
            uint64_t full = (uint64_t)held;
            memcpy(out, &full, sizeof(full));
            out += sizeof(full);
            held >>= 64;
            held_bits -= 64;
        }
    }
    for (; held_bits > 0; held_bits = held_bits > 8 ? held_bits - 8 : 0) {
        *out++ = (uint8_t)held;
        held >>= 8;
    }
}

/* --- arithmetic --- */

#define DEFINE_MAP2(name, expr)                                                  \
    static void name(const int64_t *x, const int64_t *y, size_t n, int64_t *out) \
    {                                                                            \
        for (size_t i = 0; i < n; i++)                                           \
            out[i] = (int64_t)(expr);                                            \
    }
#define DEFINE_MAP1(name, expr)                                           \
    static void name(const int64_t *x, int64_t y, size_t n, int64_t *out) \
    {                                                                     \
        for (size_t i = 0; i < n; i++)                                    \
            out[i] = (int64_t)(expr);                                     \
    }

DEFINE_MAP2(add_i64, (uint64_t)x[i] + (uint64_t)y[i])
DEFINE_MAP2(sub_i64, (uint64_t)x[i] - (uint64_t)y[i])
DEFINE_MAP2(mul_i64, (uint64_t)x[i] * (uint64_t)y[i])
DEFINE_MAP1(add_i64_const, (uint64_t)x[i] + (uint64_t)y)
DEFINE_MAP1(rsub_i64_const, (uint64_t)y - (uint64_t)x[i])
DEFINE_MAP1(mul_i64_const, (uint64_t)x[i] * (uint64_t)y)

static void
widen_i32(const int32_t *restrict x, size_t n, int64_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

static void
widen_i16(const int16_t *restrict x, size_t n, int64_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

/*
 * Exact in 128 bits without a carry per row: with the sign bit flipped every value is x + 2^63 and
 * not negative; its halves add up in 64 bits for up to 2^32 rows.
 */
static luma_i128
sum_i64(const int64_t *x, size_t n)
{
    luma_i128 sum = 0;
    for (size_t begin = 0; begin < n;) {
        size_t end = n - begin < ((size_t)1 << 31) ? n : begin + ((size_t)1 << 31);
        uint64_t low = 0, high = 0;
        for (size_t i = begin; i < end; i++) {
            uint64_t v = (uint64_t)x[i] ^ ((uint64_t)1 << 63);
            low += v & 0xffffffffu;
            high += v >> 32;
        }
        sum += (luma_i128)low + ((luma_i128)high << 32) - ((luma_i128)(end - begin) << 63);
        begin = end;
    }
    return sum;
}

static int64_t
sum_i32(const int32_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Eight lanes, added pairwise at the end: the order every variant keeps. */
static double
sum_f64(const double *x, size_t n)
{
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            lane[k] += x[i + k];
    for (; i < n; i++)
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

DEFINE_MINMAX(minmax_i32, int32_t)
DEFINE_MINMAX(minmax_i64, int64_t)

static void
prefix_i64(const int64_t *x, int64_t base, size_t n, int64_t *out)
{
    uint64_t sum = (uint64_t)base;
    for (size_t i = 0; i < n; i++) {
        sum += (uint64_t)x[i];
        out[i] = (int64_t)sum;
    }
}

/* The kernel's lk_hash_u64. */
static void
hash_64(const uint64_t *x, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = x[i];
        v ^= v >> 32;
        v *= 0xe9846af9b1a615dULL;
        v ^= v >> 32;
        v *= 0xe9846af9b1a615dULL;
        v ^= v >> 28;
        out[i] = v;
    }
}

/* --- bytes --- */

#ifdef VECTOR_BYTES
/* Where the first and the last byte of the needle stand right is a candidate. */
static size_t
find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    if (needle_bytes == 0)
        return 0;
    size_t i = 0, last = needle_bytes - 1;
    uint8_t a = (uint8_t)needle[0], z = (uint8_t)needle[last];
    for (; i + last + VECTOR_BYTES <= hay_bytes; i += VECTOR_BYTES) {
        uint64_t hits = (uint64_t)mask_8(
            (vec_u8)((AT(vec_u8, hay + i) == a) & (AT(vec_u8, hay + i + last) == z)));
        for (; hits != 0; hits &= hits - 1) {
            size_t at = i + (size_t)__builtin_ctzll(hits);
            if (memcmp(hay + at, needle, needle_bytes) == 0)
                return at;
        }
    }
    const char *rest = i < hay_bytes ? memmem(hay + i, hay_bytes - i, needle, needle_bytes) : NULL;
    return rest == NULL ? hay_bytes : (size_t)(rest - hay);
}

static size_t
find_any4(const char *text, size_t bytes, char a, char b, char c, char d)
{
    size_t i = 0;
    for (; i + VECTOR_BYTES <= bytes; i += VECTOR_BYTES) {
        vec_u8 v = AT(vec_u8, text + i);
        uint64_t hits = (uint64_t)mask_8((vec_u8)((v == (uint8_t)a) | (v == (uint8_t)b) |
                                                  (v == (uint8_t)c) | (v == (uint8_t)d)));
        if (hits != 0)
            return i + (size_t)__builtin_ctzll(hits);
    }
    while (i < bytes && text[i] != a && text[i] != b && text[i] != c && text[i] != d)
        i++;
    return i;
}
#else
static size_t
find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    const char *at = needle_bytes == 0 ? hay : memmem(hay, hay_bytes, needle, needle_bytes);
    return at == NULL ? hay_bytes : (size_t)(at - hay);
}

static size_t
find_any4(const char *text, size_t bytes, char a, char b, char c, char d)
{
    size_t i = 0;
    while (i < bytes && text[i] != a && text[i] != b && text[i] != c && text[i] != d)
        i++;
    return i;
}
#endif

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
utf8_valid(const char *text, size_t bytes)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t i = 0; i < bytes;) {
        /* Most text is ASCII: 32 bytes at a time while it is. */
        while (bytes - i >= 32 && ((load_u64(s + i) | load_u64(s + i + 8) | load_u64(s + i + 16) |
                                    load_u64(s + i + 24)) &
                                   0x8080808080808080u) == 0)
            i += 32;
        if (i == bytes)
            break;
        size_t n = utf8_step(s + i, bytes - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

#ifndef HAVE_CRC32C
/* Half a byte at a time: what needs speed has the instruction. */
static uint32_t
crc32c(uint32_t crc, const void *data, size_t bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}
#endif

static bool
usable(void)
{
    return SIMD_USABLE;
}

static const struct luma_simd simd_table = {
    .head = LUMA_SIMD_HEAD,
    .name = SIMD_NAME,
    .rank = SIMD_RANK,
    .usable = usable,
    .cmp_i16 = cmp_i16,
    .cmp_i32 = cmp_i32,
    .cmp_i64 = cmp_i64,
    .cmp_f64 = cmp_f64,
    .cmp_u8 = cmp_u8,
    .between_i32 = between_i32,
    .between_i64 = between_i64,
    .cmp2_i32 = cmp2_i32,
    .cmp2_i64 = cmp2_i64,
    .bits_count = bits_count,
    .bits_to_sel = bits_to_sel,
    .sel_to_bits = sel_to_bits,
    .take_32 = take_32,
    .take_64 = take_64,
    .gather_32 = gather_32,
    .gather_64 = gather_64,
    .unpack_64 = unpack_64,
    .unpack_32 = unpack_32,
    .pack_64 = pack_64,
    .add_i64 = add_i64,
    .sub_i64 = sub_i64,
    .mul_i64 = mul_i64,
    .add_i64_const = add_i64_const,
    .rsub_i64_const = rsub_i64_const,
    .mul_i64_const = mul_i64_const,
    .widen_i32 = widen_i32,
    .widen_i16 = widen_i16,
    .sum_i64 = sum_i64,
    .sum_i32 = sum_i32,
    .sum_f64 = sum_f64,
    .minmax_i32 = minmax_i32,
    .minmax_i64 = minmax_i64,
    .prefix_i64 = prefix_i64,
    .hash_64 = hash_64,
    .find = find,
    .find_any4 = find_any4,
    .utf8_valid = utf8_valid,
    .crc32c = crc32c,
};

#define SIMD_MODULE(module_name, about)                                                           \
    LUMA_MODULE(.kind = "simd", .name = module_name, .version = "1.0.0", .licence = "Apache-2.0", \
                .author = "LumaDB", .summary = about, .flags = LUMA_MODULE_STORAGE,               \
                .offers = LUMA_OFFERS({"simd." module_name, &simd_table.head}))

#endif
