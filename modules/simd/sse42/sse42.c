/* simd/sse42 - 16-byte vectors of SSE4.2, and its CRC instruction. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "x86_crc.h"

#define SIMD_NAME    "sse42"
#define SIMD_RANK    10
#define SIMD_USABLE  (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))
#define VECTOR_BYTES 16
#define HAVE_CRC32C

#define mask_8(v)  ((uint32_t)_mm_movemask_epi8((__m128i)(v)))
#define mask_16(v) ((uint32_t)_mm_movemask_epi8(_mm_packs_epi16((__m128i)(v), _mm_setzero_si128())))
#define mask_32(v) ((uint32_t)_mm_movemask_ps((__m128)(v)))
#define mask_64(v) ((uint32_t)_mm_movemask_pd((__m128d)(v)))

#include <lumadb/kind/simd_body.def>

SIMD_MODULE("sse42", "16-byte vectors of SSE4.2");
