/*
 * simd/neon - 16-byte vectors of NEON.
 *
 * On ARM by the compiler's own header, elsewhere by simde, so that the same source is compiled and
 * compared with the scalar loops on every machine; there its rank keeps it from being chosen.
 */
#include <stddef.h>
#include <stdint.h>

#if defined(__aarch64__)
#include <arm_neon.h>
#define NEON(name) name
#define SIMD_RANK  20
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wextra"
#include <simde/arm/neon.h>
#pragma GCC diagnostic pop
#define NEON(name) simde_##name
#define SIMD_RANK  (-1)
#endif

#define SIMD_NAME    "neon"
#define SIMD_USABLE  true
#define VECTOR_BYTES 16

typedef uint8_t bytes_16 __attribute__((vector_size(16), aligned(1), may_alias));

/* Each lane's weight where its bit is set, added up: NEON's way of a move mask. */
static inline uint32_t
mask_8(bytes_16 v)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8_t lanes[16];
    NEON(vst1q_u8)
    (lanes, NEON(vandq_u8)(NEON(vld1q_u8)((const uint8_t *)&v), NEON(vld1q_u8)(weights)));
    return (uint32_t)NEON(vaddv_u8)(NEON(vld1_u8)(lanes)) |
           (uint32_t)NEON(vaddv_u8)(NEON(vld1_u8)(lanes + 8)) << 8;
}

static inline uint32_t
mask_16(bytes_16 v)
{
    static const uint16_t weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint16_t lanes[8];
    __builtin_memcpy(lanes, &v, sizeof(lanes));
    return NEON(vaddvq_u16)(NEON(vandq_u16)(NEON(vld1q_u16)(lanes), NEON(vld1q_u16)(weights)));
}

static inline uint32_t
mask_32(bytes_16 v)
{
    static const uint32_t weights[4] = {1, 2, 4, 8};
    uint32_t lanes[4];
    __builtin_memcpy(lanes, &v, sizeof(lanes));
    return NEON(vaddvq_u32)(NEON(vandq_u32)(NEON(vld1q_u32)(lanes), NEON(vld1q_u32)(weights)));
}

static inline uint32_t
mask_64(bytes_16 v)
{
    uint64_t lanes[2];
    __builtin_memcpy(lanes, &v, sizeof(lanes));
    return (uint32_t)((lanes[0] & 1) | (lanes[1] & 2));
}

#include <lumadb/kind/simd_body.def>

SIMD_MODULE("neon", "16-byte vectors of NEON");
