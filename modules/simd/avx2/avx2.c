/* simd/avx2 - 32-byte vectors of AVX2, with the bit instructions of the same processors. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "x86_crc.h"
#include "x86_unpack.h"

#define SIMD_NAME "avx2"
#define SIMD_RANK 20
#define SIMD_USABLE                                                       \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&  \
     __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt") && \
     __builtin_cpu_supports("fma"))
#define VECTOR_BYTES 32
#define HAVE_CRC32C
#define HAVE_BITS_TO_SEL

/* Packing works within halves: the upper one's bytes land 16 further on. */
static inline uint32_t
mask_of_words(__m256i v)
{
    uint32_t m = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(v, _mm256_setzero_si256()));
    return (m & 0xff) | ((m >> 8) & 0xff00);
}

#define mask_8(v)  ((uint32_t)_mm256_movemask_epi8((__m256i)(v)))
#define mask_16(v) mask_of_words((__m256i)(v))
#define mask_32(v) ((uint32_t)_mm256_movemask_ps((__m256)(v)))
#define mask_64(v) ((uint32_t)_mm256_movemask_pd((__m256d)(v)))

/* Eight bits at a time: pext leaves the numbers of the ones, which become 16-bit row numbers. Whole
 * stores end where the result ends: the last few rows go one by one. */
static size_t
bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < n; i += 64)
        total += (size_t)__builtin_popcountll(
            n - i < 64 ? bits[i / 64] & (((uint64_t)1 << (n - i)) - 1) : bits[i / 64]);
    for (size_t i = 0; i < n && count < total; i += 8) {
        uint64_t byte = (bits[i / 64] >> (i & 63)) & 0xff;
        if (n - i < 8)
            byte &= ((uint64_t)1 << (n - i)) - 1;
        if (count + 8 <= total) {
            uint64_t wide = _pdep_u64(byte, 0x0101010101010101u) * 0xff;
            __m128i rows = _mm_cvtepu8_epi16(
                _mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100u, wide)));
            _mm_storeu_si128((__m128i *)(void *)(out + count),
                             _mm_add_epi16(rows, _mm_set1_epi16((short)i)));
            count += (size_t)__builtin_popcountll(byte);
        } else {
            for (; byte != 0; byte &= byte - 1)
                out[count++] = (uint16_t)(i + (size_t)__builtin_ctzll(byte));
        }
    }
    return total;
}

#include <lumadb/kind/simd_body.def>

SIMD_MODULE("avx2", "32-byte vectors of AVX2");
