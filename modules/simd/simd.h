/*
 * modules/simd/simd.h - what differs between instruction sets: turning 64 byte masks into bits, and
 * a few loops that compilers do not find by themselves.
 *
 * Each variant compiles body.c with its own flags and one of SIMD_SCALAR, SIMD_SSE42, SIMD_AVX2,
 * SIMD_AVX512, SIMD_NEON.
 */
#ifndef MODULES_SIMD_SIMD_H
#define MODULES_SIMD_SIMD_H

#include <lumadb/kind/simd.h>
#include <lumadb/module.h>

#if defined(SIMD_SSE42) || defined(SIMD_AVX2) || defined(SIMD_AVX512)
#define SIMD_X86 1
#include <immintrin.h>
#elif defined(SIMD_NEON) && defined(__aarch64__)
#define SIMD_X86 0
#include <arm_neon.h>
#elif defined(SIMD_NEON)
#define SIMD_X86 0
#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wextra"
#include <simde/arm/neon.h>
#pragma GCC diagnostic pop
#else
#define SIMD_X86 0
#endif

#if defined(SIMD_AVX512)
#define SIMD_NAME "avx512"
#define SIMD_RANK 40
#elif defined(SIMD_AVX2)
#define SIMD_NAME "avx2"
#define SIMD_RANK 30
#elif defined(SIMD_SSE42)
#define SIMD_NAME "sse42"
#define SIMD_RANK 20
#elif defined(SIMD_NEON) && defined(__aarch64__)
#define SIMD_NAME "neon"
#define SIMD_RANK 20
#elif defined(SIMD_NEON)
#define SIMD_NAME "neon"
#define SIMD_RANK (-10) /* emulated: for tests, never the best */
#else
#define SIMD_NAME "scalar"
#define SIMD_RANK 0
#endif

/* One bit per byte of m, each 0x00 or 0xff. */
static inline uint64_t
mask_of_64(const uint8_t m[64])
{
#if defined(SIMD_AVX512)
    return _cvtmask64_u64(_mm512_movepi8_mask(_mm512_loadu_si512(m)));
#elif defined(SIMD_AVX2)
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_loadu_si256((const __m256i *)m));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_loadu_si256((const __m256i *)(m + 32)));
    return (uint64_t)high << 32 | low;
#elif defined(SIMD_SSE42)
    uint64_t bits = 0;
    for (int i = 3; i >= 0; i--)
        bits = bits << 16 |
               (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(m + 16 * i)));
    return bits;
#elif defined(SIMD_NEON)
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t w = vld1q_u8(weights);
    uint8x16_t a = vandq_u8(vld1q_u8(m), w), b = vandq_u8(vld1q_u8(m + 16), w);
    uint8x16_t c = vandq_u8(vld1q_u8(m + 32), w), d = vandq_u8(vld1q_u8(m + 48), w);
    a = vpaddq_u8(a, b);
    c = vpaddq_u8(c, d);
    a = vpaddq_u8(a, c);
    a = vpaddq_u8(a, a);
    return vgetq_lane_u64(vreinterpretq_u64_u8(a), 0);
#else
    uint64_t bits = 0;
    for (int i = 7; i >= 0; i--) {
        uint64_t w;
        memcpy(&w, m + 8 * i, 8);
        bits = bits << 8 | ((w & 0x0101010101010101) * 0x0102040810204080) >> 56;
    }
    return bits;
#endif
}

#endif
