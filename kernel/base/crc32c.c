/*
 * base/crc32c.c - CRC-32C by the processor's instruction where there is one, else by eight tables
 * (slicing-by-8, Kounavis and Berry, "A Systematic Approach to Building High Performance
 * Software-based CRC Generators").
 */
#include <pthread.h>

#include "base/bits.h"
#include "base/hash.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#define CRC32C_POLY 0x82f63b78u

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_tables_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ ((c & 1) ? CRC32C_POLY : 0);
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++) {
            uint32_t c = crc_table[t - 1][i];
            crc_table[t][i] = (c >> 8) ^ crc_table[0][c & 0xff];
        }
    }
}

uint32_t
lk_crc32c_plain(uint32_t seed, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint32_t crc = ~seed;
    pthread_once(&crc_once, crc_tables_make);
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint32_t lo = crc ^ lk_load_u32(p), hi = lk_load_u32(p + 4);
        crc = crc_table[7][lo & 0xff] ^ crc_table[6][(lo >> 8) & 0xff] ^
              crc_table[5][(lo >> 16) & 0xff] ^ crc_table[4][lo >> 24] ^ crc_table[3][hi & 0xff] ^
              crc_table[2][(hi >> 8) & 0xff] ^ crc_table[1][(hi >> 16) & 0xff] ^
              crc_table[0][hi >> 24];
    }
    for (; bytes > 0; bytes--)
        crc = (crc >> 8) ^ crc_table[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t seed, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint64_t crc = (uint32_t)~seed;
    for (; bytes >= 8; bytes -= 8, p += 8)
        crc = __builtin_ia32_crc32di(crc, lk_load_u64(p));
    uint32_t tail = (uint32_t)crc;
    for (; bytes > 0; bytes--)
        tail = __builtin_ia32_crc32qi(tail, *p++);
    return ~tail;
}

uint32_t
lk_crc32c(uint32_t seed, const void *data, size_t bytes)
{
    if (LUMA_LIKELY(__builtin_cpu_supports("sse4.2")))
        return crc32c_sse42(seed, data, bytes);
    return lk_crc32c_plain(seed, data, bytes);
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

uint32_t
lk_crc32c(uint32_t seed, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint32_t crc = ~seed;
    for (; bytes >= 8; bytes -= 8, p += 8)
        crc = __crc32cd(crc, lk_load_u64(p));
    for (; bytes > 0; bytes--)
        crc = __crc32cb(crc, *p++);
    return ~crc;
}

#else

uint32_t
lk_crc32c(uint32_t seed, const void *data, size_t bytes)
{
    return lk_crc32c_plain(seed, data, bytes);
}

#endif
