/* x86_crc.h - CRC-32C by the instruction SSE4.2 brought: 8 bytes in 3 cycles. */
#ifndef LUMA_SIMD_X86_CRC_H
#define LUMA_SIMD_X86_CRC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t
crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint64_t state = ~crc;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, sizeof(v));
        state = _mm_crc32_u64(state, v);
    }
    for (; bytes > 0; bytes--, p++)
        state = _mm_crc32_u8((uint32_t)state, *p);
    return ~(uint32_t)state;
}

#endif
