/*
 * modules/simd/body.c - the inner loops, compiled once per instruction set.
 *
 * Comparisons fill 64 byte masks in a loop that every compiler vectorizes and turn them into a word
 * of bits (simd.h). What remains by hand is marked.
 */
#include "simd.h"

/* --- compare --- */

/* out: bits of EXPR over x[i]; the last word is padded with zeros. */
#define COMPARE_LOOP(n_, out_, EXPR)                \
    do {                                            \
        size_t full_ = (n_) & ~(size_t)63;          \
        for (size_t b_ = 0; b_ < full_; b_ += 64) { \
            uint8_t m_[64];                         \
            for (size_t k_ = 0; k_ < 64; k_++) {    \
                size_t i = b_ + k_;                 \
                m_[k_] = (uint8_t) - (EXPR);        \
            }                                       \
            (out_)[b_ >> 6] = mask_of_64(m_);       \
        }                                           \
        if (full_ < (n_)) {                         \
            uint64_t w_ = 0;                        \
            for (size_t i = full_; i < (n_); i++)   \
                w_ |= (uint64_t)(EXPR) << (i & 63); \
            (out_)[full_ >> 6] = w_;                \
        }                                           \
    } while (0)

#define COMPARE_SWITCH(op_, n_, out_, RIGHT)   \
    switch (op_) {                             \
    case LUMA_CMP_EQ:                          \
        COMPARE_LOOP(n_, out_, x[i] == RIGHT); \
        break;                                 \
    case LUMA_CMP_NE:                          \
        COMPARE_LOOP(n_, out_, x[i] != RIGHT); \
        break;                                 \
    case LUMA_CMP_LT:                          \
        COMPARE_LOOP(n_, out_, x[i] < RIGHT);  \
        break;                                 \
    case LUMA_CMP_LE:                          \
        COMPARE_LOOP(n_, out_, x[i] <= RIGHT); \
        break;                                 \
    case LUMA_CMP_GT:                          \
        COMPARE_LOOP(n_, out_, x[i] > RIGHT);  \
        break;                                 \
    default:                                   \
        COMPARE_LOOP(n_, out_, x[i] >= RIGHT); \
        break;                                 \
    }

static void
cmp_i16(enum luma_cmp op, const int16_t *x, int16_t y, size_t n, uint64_t *out)
{
    COMPARE_SWITCH(op, n, out, y)
}

static void
cmp_u8(enum luma_cmp op, const uint8_t *x, uint8_t y, size_t n, uint64_t *out)
{
    COMPARE_SWITCH(op, n, out, y)
}

/* With mask registers a comparison is the mask: by hand for the widths that scans live on. */
#if defined(SIMD_AVX512)
#define MASKED_LOOP(T, LANES, LOAD, CMP, PRED)                         \
    do {                                                               \
        size_t full = n & ~(size_t)63;                                 \
        for (size_t b = 0; b < full; b += 64) {                        \
            uint64_t w = 0;                                            \
            for (size_t k = 0; k < 64; k += LANES)                     \
                w |= (uint64_t)CMP(LOAD(x + b + k), right, PRED) << k; \
            out[b >> 6] = w;                                           \
        }                                                              \
        x += full;                                                     \
        out += full >> 6;                                              \
        n -= full;                                                     \
    } while (0)
#define MASKED_SWITCH(T, LANES, LOAD, CMP, EQ, NE, LT, LE, GT, GE) \
    switch (op) {                                                  \
    case LUMA_CMP_EQ:                                              \
        MASKED_LOOP(T, LANES, LOAD, CMP, EQ);                      \
        break;                                                     \
    case LUMA_CMP_NE:                                              \
        MASKED_LOOP(T, LANES, LOAD, CMP, NE);                      \
        break;                                                     \
    case LUMA_CMP_LT:                                              \
        MASKED_LOOP(T, LANES, LOAD, CMP, LT);                      \
        break;                                                     \
    case LUMA_CMP_LE:                                              \
        MASKED_LOOP(T, LANES, LOAD, CMP, LE);                      \
        break;                                                     \
    case LUMA_CMP_GT:                                              \
        MASKED_LOOP(T, LANES, LOAD, CMP, GT);                      \
        break;                                                     \
    default:                                                       \
        MASKED_LOOP(T, LANES, LOAD, CMP, GE);                      \
        break;                                                     \
    }
#define INT_PREDICATES \
    _MM_CMPINT_EQ, _MM_CMPINT_NE, _MM_CMPINT_LT, _MM_CMPINT_LE, _MM_CMPINT_NLE, _MM_CMPINT_NLT
#define CALL_SWITCH(...) MASKED_SWITCH(__VA_ARGS__)
#endif

static void
cmp_i32(enum luma_cmp op, const int32_t *x, int32_t y, size_t n, uint64_t *out)
{
#if defined(SIMD_AVX512)
    __m512i right = _mm512_set1_epi32(y);
    CALL_SWITCH(int32_t, 16, _mm512_loadu_si512, _mm512_cmp_epi32_mask, INT_PREDICATES)
#endif
    COMPARE_SWITCH(op, n, out, y)
}

static void
cmp_i64(enum luma_cmp op, const int64_t *x, int64_t y, size_t n, uint64_t *out)
{
#if defined(SIMD_AVX512)
    __m512i right = _mm512_set1_epi64(y);
    CALL_SWITCH(int64_t, 8, _mm512_loadu_si512, _mm512_cmp_epi64_mask, INT_PREDICATES)
#endif
    COMPARE_SWITCH(op, n, out, y)
}

static void
cmp_f64(enum luma_cmp op, const double *x, double y, size_t n, uint64_t *out)
{
#if defined(SIMD_AVX512)
    __m512d right = _mm512_set1_pd(y);
    CALL_SWITCH(double, 8, _mm512_loadu_pd, _mm512_cmp_pd_mask, _CMP_EQ_OQ, _CMP_NEQ_UQ, _CMP_LT_OQ,
                _CMP_LE_OQ, _CMP_GT_OQ, _CMP_GE_OQ)
#endif
    COMPARE_SWITCH(op, n, out, y)
}

static void
between_i32(const int32_t *x, int32_t lo, int32_t hi, size_t n, uint64_t *out)
{
    COMPARE_LOOP(n, out, (lo <= x[i]) & (x[i] <= hi));
}

static void
between_i64(const int64_t *x, int64_t lo, int64_t hi, size_t n, uint64_t *out)
{
    COMPARE_LOOP(n, out, (lo <= x[i]) & (x[i] <= hi));
}

static void
cmp2_i32(enum luma_cmp op, const int32_t *x, const int32_t *y, size_t n, uint64_t *out)
{
    COMPARE_SWITCH(op, n, out, y[i])
}

static void
cmp2_i64(enum luma_cmp op, const int64_t *x, const int64_t *y, size_t n, uint64_t *out)
{
    COMPARE_SWITCH(op, n, out, y[i])
}

/* --- bitmaps and selections --- */

static size_t
bits_count(const uint64_t *bits, size_t n)
{
    size_t count = 0;

    for (size_t w = 0; w < n >> 6; w++)
        count += (size_t)__builtin_popcountll(bits[w]);
    if (n & 63)
        count += (size_t)__builtin_popcountll(bits[n >> 6] & (((uint64_t)1 << (n & 63)) - 1));
    return count;
}

/* By hand where lanes can be compressed; elsewhere one step per set bit, runs of ones at once. */
static uint16_t *
word_to_sel(uint64_t word, size_t base, uint16_t *out)
{
#if defined(SIMD_AVX512)
    __m512i lanes =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32((int)base));
    for (int k = 0; k < 4; k++, word >>= 16) {
        __mmask16 m = (__mmask16)word;
        int count = __builtin_popcount(m);
        __m256i packed = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(m, lanes));
        _mm256_mask_storeu_epi16(out, (__mmask16)((1u << count) - 1), packed);
        out += count;
        lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(16));
    }
    return out;
#else
    if (word == ~(uint64_t)0) {
        for (size_t i = 0; i < 64; i++)
            out[i] = (uint16_t)(base + i);
        return out + 64;
    }
    while (word != 0) {
        *out++ = (uint16_t)(base + (size_t)__builtin_ctzll(word));
        word &= word - 1;
    }
    return out;
#endif
}

static size_t
bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    uint16_t *end = out;

    for (size_t b = 0; b < n; b += 64) {
        uint64_t word = bits[b >> 6];
        if (n - b < 64)
            word &= ((uint64_t)1 << (n - b)) - 1;
        if (word != 0)
            end = word_to_sel(word, b, end);
    }
    return (size_t)(end - out);
}

static void
sel_to_bits(const uint16_t *sel, size_t count, size_t n, uint64_t *out)
{
    memset(out, 0, (n + 63) / 64 * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        out[sel[i] >> 6] |= (uint64_t)1 << (sel[i] & 63);
}

/* --- gather --- */

static void
take_32(const uint32_t *x, const uint16_t *sel, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[sel[i]];
}

static void
take_64(const uint64_t *x, const uint16_t *sel, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[sel[i]];
}

static void
gather_32(const uint32_t *x, const uint32_t *idx, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[idx[i]];
}

static void
gather_64(const uint64_t *x, const uint32_t *idx, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[idx[i]];
}

/* --- bit-packing --- */

static inline uint64_t
load_64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* One value; more than 57 bits may reach into a ninth byte. */
static inline uint64_t
unpack_one(const uint8_t *packed, uint32_t bits, uint64_t mask, size_t index)
{
    size_t at = index * bits;
    uint64_t v = load_64(packed + (at >> 3)) >> (at & 7);

    if (bits + (at & 7) > 64)
        v |= (uint64_t)packed[(at >> 3) + 8] << (64 - (at & 7));
    return v & mask;
}

static inline uint64_t
mask_bits(uint32_t bits)
{
    return bits >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
}

static void
unpack_64(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
          uint64_t *out)
{
    uint64_t mask = mask_bits(bits);
    size_t i = 0;

    if (bits == 0) {
        for (; i < n; i++)
            out[i] = base;
        return;
    }
#if defined(SIMD_AVX512)
    if (bits <= 57) { /* eight words gathered, shifted by lane */
        __m512i at = _mm512_mullo_epi64(_mm512_add_epi64(_mm512_set1_epi64((long long)first),
                                                         _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)),
                                        _mm512_set1_epi64(bits));
        __m512i step = _mm512_set1_epi64(8 * (long long)bits), seven = _mm512_set1_epi64(7);
        __m512i m = _mm512_set1_epi64((long long)mask), add = _mm512_set1_epi64((long long)base);
        for (; i + 8 <= n; i += 8) {
            __m512i w = _mm512_i64gather_epi64(_mm512_srli_epi64(at, 3), packed, 1);
            w = _mm512_and_si512(_mm512_srlv_epi64(w, _mm512_and_si512(at, seven)), m);
            _mm512_storeu_si512(out + i, _mm512_add_epi64(w, add));
            at = _mm512_add_epi64(at, step);
        }
    }
#elif defined(SIMD_AVX2)
    if (bits <= 57) {
        long long b = (long long)bits, f = (long long)first * b;
        __m256i at = _mm256_setr_epi64x(f, f + b, f + 2 * b, f + 3 * b);
        __m256i step = _mm256_set1_epi64x(4 * b), seven = _mm256_set1_epi64x(7);
        __m256i m = _mm256_set1_epi64x((long long)mask), add = _mm256_set1_epi64x((long long)base);
        for (; i + 4 <= n; i += 4) {
            __m256i w =
                _mm256_i64gather_epi64((const long long *)packed, _mm256_srli_epi64(at, 3), 1);
            w = _mm256_and_si256(_mm256_srlv_epi64(w, _mm256_and_si256(at, seven)), m);
            _mm256_storeu_si256((__m256i *)(out + i), _mm256_add_epi64(w, add));
            at = _mm256_add_epi64(at, step);
        }
    }
#endif
    for (; i < n; i++)
        out[i] = base + unpack_one(packed, bits, mask, first + i);
}

static void
unpack_32(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
          uint32_t *out)
{
    uint64_t mask = mask_bits(bits);
    size_t i = 0;

    if (bits == 0) {
        for (; i < n; i++)
            out[i] = base;
        return;
    }
#if defined(SIMD_AVX512)
    if (bits <= 32) {
        __m512i at = _mm512_mullo_epi64(_mm512_add_epi64(_mm512_set1_epi64((long long)first),
                                                         _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)),
                                        _mm512_set1_epi64(bits));
        __m512i step = _mm512_set1_epi64(8 * (long long)bits), seven = _mm512_set1_epi64(7);
        __m512i m = _mm512_set1_epi64((long long)mask);
        __m256i add = _mm256_set1_epi32((int)base);
        for (; i + 8 <= n; i += 8) {
            __m512i w = _mm512_i64gather_epi64(_mm512_srli_epi64(at, 3), packed, 1);
            w = _mm512_and_si512(_mm512_srlv_epi64(w, _mm512_and_si512(at, seven)), m);
            _mm256_storeu_si256((__m256i *)(out + i),
                                _mm256_add_epi32(_mm512_cvtepi64_epi32(w), add));
            at = _mm512_add_epi64(at, step);
        }
    }
#endif
    for (; i < n; i++)
        out[i] = base + (uint32_t)unpack_one(packed, bits, mask, first + i);
}

static void
pack_64(const uint64_t *x, uint64_t base, uint32_t bits, size_t n, uint8_t *out)
{
    uint64_t mask = mask_bits(bits), pending = 0;
    uint32_t filled = 0;

    if (bits == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = (x[i] - base) & mask;
        pending |= v << filled;
        if (filled + bits >= 64) {
            uint32_t used = 64 - filled;
            memcpy(out, &pending, 8);
            out += 8;
            pending = used < 64 ? v >> used : 0;
            filled = filled + bits - 64;
        } else {
            filled += bits;
        }
    }
    memcpy(out, &pending, (filled + 7) / 8);
}

/* --- arithmetic: wraps, the caller knows the bounds --- */

#define WRAP(a_, OP, b_) (int64_t)((uint64_t)(a_)OP(uint64_t)(b_))

static void
add_i64(const int64_t *x, const int64_t *y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(x[i], +, y[i]);
}

static void
sub_i64(const int64_t *x, const int64_t *y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(x[i], -, y[i]);
}

static void
mul_i64(const int64_t *x, const int64_t *y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(x[i], *, y[i]);
}

static void
add_i64_const(const int64_t *x, int64_t y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(x[i], +, y);
}

static void
rsub_i64_const(const int64_t *x, int64_t y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(y, -, x[i]);
}

static void
mul_i64_const(const int64_t *x, int64_t y, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = WRAP(x[i], *, y);
}

static void
widen_i32(const int32_t *x, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

static void
widen_i16(const int16_t *x, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

/* --- aggregates --- */

/* High and low halves apart, each far from overflow for 2^31 values at a time. */
static luma_i128
sum_i64(const int64_t *x, size_t n)
{
    luma_i128 total = 0;

    while (n > 0) {
        size_t part = n < ((size_t)1 << 30) ? n : (size_t)1 << 30;
        int64_t high = 0;
        uint64_t low = 0;
        for (size_t i = 0; i < part; i++) {
            high += x[i] >> 32;
            low += (uint32_t)x[i];
        }
        total += (luma_i128)high * ((luma_i128)1 << 32) + low;
        x += part;
        n -= part;
    }
    return total;
}

static int64_t
sum_i32(const int32_t *x, size_t n)
{
    int64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Eight running sums, added pairwise: the same result whatever the width of the registers. */
static double
sum_f64(const double *x, size_t n)
{
    double lane[8] = {0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            lane[k] += x[i + k];
    for (size_t k = 0; i < n; i++, k++)
        lane[k] += x[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void
minmax_i32(const int32_t *x, size_t n, int32_t *out_min, int32_t *out_max)
{
    int32_t low = x[0], high = x[0];

    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *out_min = low;
    *out_max = high;
}

static void
minmax_i64(const int64_t *x, size_t n, int64_t *out_min, int64_t *out_max)
{
    int64_t low = x[0], high = x[0];

    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *out_min = low;
    *out_max = high;
}

static void
prefix_i64(const int64_t *x, int64_t base, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        base = WRAP(base, +, x[i]);
        out[i] = base;
    }
}

/* --- hash: kernel/base's lk_hash_u64 --- */

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

/* Candidates are places where the first and the last byte of the needle both fit. */
static size_t
find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    size_t i = 0, last, end;

    if (needle_bytes == 0)
        return 0;
    if (needle_bytes > hay_bytes)
        return hay_bytes;
    if (needle_bytes == 1) {
        const char *p = memchr(hay, needle[0], hay_bytes);
        return p == NULL ? hay_bytes : (size_t)(p - hay);
    }
    last = needle_bytes - 1;
    end = hay_bytes - last; /* places where it may begin */
    for (; i + 64 <= end; i += 64) {
        uint8_t m[64];
        uint64_t bits;
        for (size_t k = 0; k < 64; k++)
            m[k] = (uint8_t) - ((hay[i + k] == needle[0]) & (hay[i + k + last] == needle[last]));
        for (bits = mask_of_64(m); bits != 0; bits &= bits - 1) {
            size_t at = i + (size_t)__builtin_ctzll(bits);
            if (memcmp(hay + at + 1, needle + 1, needle_bytes - 2) == 0)
                return at;
        }
    }
    for (; i < end; i++)
        if (hay[i] == needle[0] && hay[i + last] == needle[last] &&
            memcmp(hay + i + 1, needle + 1, needle_bytes - 2) == 0)
            return i;
    return hay_bytes;
}

static size_t
find_any4(const char *text, size_t bytes, char a, char b, char c, char d)
{
    size_t i = 0;

    for (; i + 64 <= bytes; i += 64) {
        uint8_t m[64];
        uint64_t bits;
        for (size_t k = 0; k < 64; k++) {
            char t = text[i + k];
            m[k] = (uint8_t) - ((t == a) | (t == b) | (t == c) | (t == d));
        }
        bits = mask_of_64(m);
        if (bits != 0)
            return i + (size_t)__builtin_ctzll(bits);
    }
    for (; i < bytes; i++)
        if (text[i] == a || text[i] == b || text[i] == c || text[i] == d)
            return i;
    return bytes;
}

/* Bytes of the sequence at p (RFC 3629); 0: not valid. */
static size_t
utf8_sequence(const uint8_t *p, size_t left)
{
    size_t n;

    if (p[0] < 0xc2)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static bool
utf8_valid(const char *text, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t i = 0;

    while (i < bytes) {
        while (bytes - i >= 64) { /* plain ASCII, 64 at a time */
            uint8_t any = 0;
            for (size_t k = 0; k < 64; k++)
                any |= p[i + k];
            if (any & 0x80)
                break;
            i += 64;
        }
        if (i == bytes)
            break;
        if (p[i] < 0x80) {
            i++;
        } else {
            size_t n = utf8_sequence(p + i, bytes - i);
            if (n == 0)
                return false;
            i += n;
        }
    }
    return true;
}

#if SIMD_X86
static uint32_t
crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint64_t c = ~crc;

    for (; bytes >= 8; bytes -= 8, p += 8)
        c = _mm_crc32_u64(c, load_64(p));
    for (; bytes > 0; bytes--, p++)
        c = _mm_crc32_u8((uint32_t)c, *p);
    return ~(uint32_t)c;
}
#else
/* Half a byte at a time: the table is small and the loop short; real machines have an instruction.
 */
static uint32_t
crc32c(uint32_t crc, const void *data, size_t bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;

    crc = ~crc;
    for (; bytes > 0; bytes--, p++) {
        crc = table[(crc ^ *p) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)*p >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}
#endif

/* --- the table --- */

static bool
usable(void)
{
#if defined(SIMD_AVX512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("bmi2");
#elif defined(SIMD_AVX2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#elif defined(SIMD_SSE42)
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
    return true;
#endif
}

static const struct luma_simd table = {
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

LUMA_MODULE(.kind = "simd", .name = SIMD_NAME, .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "inner loops for " SIMD_NAME,
            .offers = LUMA_OFFERS({"simd." SIMD_NAME, &table.head}));
