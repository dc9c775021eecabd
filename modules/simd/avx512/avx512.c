/* simd/avx512 - 64-byte vectors of AVX-512 (F, BW, DQ, VL), whose comparisons give bits at once. */
#include <lumadb/kind/simd.h>

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "x86_crc.h"
#include "x86_unpack.h"

#define SIMD_NAME "avx512"
#define SIMD_RANK 30
#define SIMD_USABLE                                                              \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&  \
     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && \
     __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2"))
#define VECTOR_BYTES 64
#define HAVE_CRC32C
#define HAVE_COMPARE
#define HAVE_BITS_TO_SEL

#define mask_8(v) ((uint64_t)_mm512_movepi8_mask((__m512i)(v)))

/* The rows a last, partial word has; 64 rows otherwise. */
static inline uint64_t
rows_mask(size_t left)
{
    return left >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
}

/* One word: masked loads read no row behind the end. `test` sees rows a of lane mask m. */
#define WORD_BY(lanes, mask_type, load, p, test)            \
    for (size_t k = 0; k < 64 && i + k < n; k += (lanes)) { \
        mask_type m = (mask_type)(rows_mask(n - i) >> k);   \
        __m512i a = load(m, (p) + i + k);                   \
        word |= (uint64_t)(mask_type)(test) << k;           \
    }

#define DEFINE_WORDS(name, args, lanes, mask_type, load, test) \
    static void name args                                      \
    {                                                          \
        for (size_t i = 0; i < n; i += 64) {                   \
            uint64_t word = 0;                                 \
            WORD_BY(lanes, mask_type, load, x, test)           \
            out[i / 64] = word;                                \
        }                                                      \
    }

#define ARGS(type)  (const type *x, type y, size_t n, uint64_t *out)
#define ARGS2(type) (const type *x, const type *y, size_t n, uint64_t *out)

#define DEFINE_OP(op_name, predicate, float_predicate)                                          \
    DEFINE_WORDS(u8_##op_name, ARGS(uint8_t), 64, __mmask64, _mm512_maskz_loadu_epi8,           \
                 _mm512_mask_cmp_epu8_mask(m, a, _mm512_set1_epi8((char)y), predicate))         \
    DEFINE_WORDS(i16_##op_name, ARGS(int16_t), 32, __mmask32, _mm512_maskz_loadu_epi16,         \
                 _mm512_mask_cmp_epi16_mask(m, a, _mm512_set1_epi16(y), predicate))             \
    DEFINE_WORDS(i32_##op_name, ARGS(int32_t), 16, __mmask16, _mm512_maskz_loadu_epi32,         \
                 _mm512_mask_cmp_epi32_mask(m, a, _mm512_set1_epi32(y), predicate))             \
    DEFINE_WORDS(i64_##op_name, ARGS(int64_t), 8, __mmask8, _mm512_maskz_loadu_epi64,           \
                 _mm512_mask_cmp_epi64_mask(m, a, _mm512_set1_epi64(y), predicate))             \
    DEFINE_WORDS(                                                                               \
        f64_##op_name, ARGS(double), 8, __mmask8, _mm512_maskz_loadu_epi64,                     \
        _mm512_mask_cmp_pd_mask(m, _mm512_castsi512_pd(a), _mm512_set1_pd(y), float_predicate)) \
    DEFINE_WORDS(                                                                               \
        two_i32_##op_name, ARGS2(int32_t), 16, __mmask16, _mm512_maskz_loadu_epi32,             \
        _mm512_mask_cmp_epi32_mask(m, a, _mm512_maskz_loadu_epi32(m, y + i + k), predicate))    \
    DEFINE_WORDS(                                                                               \
        two_i64_##op_name, ARGS2(int64_t), 8, __mmask8, _mm512_maskz_loadu_epi64,               \
        _mm512_mask_cmp_epi64_mask(m, a, _mm512_maskz_loadu_epi64(m, y + i + k), predicate))

DEFINE_OP(eq, _MM_CMPINT_EQ, _CMP_EQ_OQ)
DEFINE_OP(ne, _MM_CMPINT_NE, _CMP_NEQ_UQ)
DEFINE_OP(lt, _MM_CMPINT_LT, _CMP_LT_OQ)
DEFINE_OP(le, _MM_CMPINT_LE, _CMP_LE_OQ)
DEFINE_OP(gt, _MM_CMPINT_NLE, _CMP_GT_OQ)
DEFINE_OP(ge, _MM_CMPINT_NLT, _CMP_GE_OQ)

#define DEFINE_CHOICE(name, prefix, type, y_type)                                        \
    static void name(enum luma_cmp op, const type *x, y_type y, size_t n, uint64_t *out) \
    {                                                                                    \
        switch (op) {                                                                    \
        case LUMA_CMP_EQ:                                                                \
            prefix##_eq(x, y, n, out);                                                   \
            break;                                                                       \
        case LUMA_CMP_NE:                                                                \
            prefix##_ne(x, y, n, out);                                                   \
            break;                                                                       \
        case LUMA_CMP_LT:                                                                \
            prefix##_lt(x, y, n, out);                                                   \
            break;                                                                       \
        case LUMA_CMP_LE:                                                                \
            prefix##_le(x, y, n, out);                                                   \
            break;                                                                       \
        case LUMA_CMP_GT:                                                                \
            prefix##_gt(x, y, n, out);                                                   \
            break;                                                                       \
        case LUMA_CMP_GE:                                                                \
        default:                                                                         \
            prefix##_ge(x, y, n, out);                                                   \
            break;                                                                       \
        }                                                                                \
    }

DEFINE_CHOICE(cmp_u8, u8, uint8_t, uint8_t)
DEFINE_CHOICE(cmp_i16, i16, int16_t, int16_t)
DEFINE_CHOICE(cmp_i32, i32, int32_t, int32_t)
DEFINE_CHOICE(cmp_i64, i64, int64_t, int64_t)
DEFINE_CHOICE(cmp_f64, f64, double, double)
DEFINE_CHOICE(cmp2_i32, two_i32, int32_t, const int32_t *)
DEFINE_CHOICE(cmp2_i64, two_i64, int64_t, const int64_t *)

DEFINE_WORDS(between_i32, (const int32_t *x, int32_t lo, int32_t hi, size_t n, uint64_t *out), 16,
             __mmask16, _mm512_maskz_loadu_epi32,
             _mm512_mask_cmp_epi32_mask(_mm512_mask_cmp_epi32_mask(m, a, _mm512_set1_epi32(lo),
                                                                   _MM_CMPINT_NLT),
                                        a, _mm512_set1_epi32(hi), _MM_CMPINT_LE))
DEFINE_WORDS(between_i64, (const int64_t *x, int64_t lo, int64_t hi, size_t n, uint64_t *out), 8,
             __mmask8, _mm512_maskz_loadu_epi64,
             _mm512_mask_cmp_epi64_mask(_mm512_mask_cmp_epi64_mask(m, a, _mm512_set1_epi64(lo),
                                                                   _MM_CMPINT_NLT),
                                        a, _mm512_set1_epi64(hi), _MM_CMPINT_LE))

/* Sixteen row numbers at a time, compressed to those whose bit is one. */
static size_t
bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t count = 0;
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word = bits[i / 64] & rows_mask(n - i);
        for (size_t k = 0; word != 0; k += 16, word >>= 16) {
            __mmask16 m = (__mmask16)word;
            __m512i rows = _mm512_add_epi32(iota, _mm512_set1_epi32((int)(i + k)));
            __m256i narrow = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(m, rows));
            unsigned ones = (unsigned)__builtin_popcount(m);
            _mm256_mask_storeu_epi16(out + count, (__mmask16)((1u << ones) - 1), narrow);
            count += ones;
        }
    }
    return count;
}

#include <lumadb/kind/simd_body.def>

SIMD_MODULE("avx512", "64-byte vectors of AVX-512");
