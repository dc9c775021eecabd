/*
 * base/hash.h - XXH3 for hash tables and content keys, CRC32C for what lies on disk.
 */
#ifndef LK_BASE_HASH_H
#define LK_BASE_HASH_H

#include <lumadb/base.h>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

static inline uint64_t
lk_hash_bytes(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

static inline uint64_t
lk_hash_seeded(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

/* A bijection in which each input bit touches every output bit. */
static inline uint64_t
lk_hash_u64(uint64_t v)
{
    v ^= v >> 32;
    v *= 0xe9846af9b1a615dULL;
    v ^= v >> 32;
    v *= 0xe9846af9b1a615dULL;
    v ^= v >> 28;
    return v;
}

/* Order matters: combine(a, b) differs from combine(b, a). */
static inline uint64_t
lk_hash_combine(uint64_t a, uint64_t b)
{
    return lk_hash_u64(a + 0x9e3779b97f4a7c15ULL + (b << 6) + (b >> 2)) ^ b;
}

/* CRC-32C (Castagnoli) of seed's data followed by data; the first piece starts with seed 0. */
uint32_t lk_crc32c(uint32_t seed, const void *data, size_t bytes);

/* The table-driven form, whatever the machine: what the fast one is tested against. */
uint32_t lk_crc32c_plain(uint32_t seed, const void *data, size_t bytes);

#endif
