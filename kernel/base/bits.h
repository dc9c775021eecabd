/*
 * base/bits.h - bit helpers, little-endian loads and stores, varints. All disk formats are
 * little-endian whatever the machine; these compile to single instructions where it is too.
 */
#ifndef LK_BASE_BITS_H
#define LK_BASE_BITS_H

#include <lumadb/base.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "LumaDB supports little-endian machines"
#endif

static inline uint16_t
lk_load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t
lk_load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t
lk_load_u64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void
lk_store_u16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void
lk_store_u32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void
lk_store_u64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint64_t
lk_load_be64(const void *p)
{
    return __builtin_bswap64(lk_load_u64(p));
}

static inline void
lk_store_be64(void *p, uint64_t v)
{
    lk_store_u64(p, __builtin_bswap64(v));
}

static inline uint32_t
lk_load_be32(const void *p)
{
    return __builtin_bswap32(lk_load_u32(p));
}

static inline void
lk_store_be32(void *p, uint32_t v)
{
    lk_store_u32(p, __builtin_bswap32(v));
}

/* Bits needed to write v; 0 for 0. */
static inline unsigned
lk_bits_width(uint64_t v)
{
    return v == 0 ? 0u : 64u - (unsigned)__builtin_clzll(v);
}

static inline bool
lk_is_pow2(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* Smallest power of two >= v; v is 1 .. 2^63. */
static inline uint64_t
lk_pow2_ceil(uint64_t v)
{
    return v <= 1 ? 1 : (uint64_t)1 << lk_bits_width(v - 1);
}

/* align is a power of two. */
static inline uint64_t
lk_align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline uint64_t
lk_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t
lk_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#define LK_VARINT_BYTES_MAX 10

/* LEB128; p has room for LK_VARINT_BYTES_MAX. Gives the byte after the last written. */
static inline uint8_t *
lk_varint_put(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static inline size_t
lk_varint_bytes(uint64_t v)
{
    unsigned width = lk_bits_width(v);
    return width == 0 ? 1 : (width + 6) / 7;
}

/* The byte after the varint, or NULL when it does not end before `end` or exceeds 64 bits. */
static inline const uint8_t *
lk_varint_get(const uint8_t *p, const uint8_t *end, uint64_t *out_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t b = *p++;
        if (shift == 63 && b > 1)
            return NULL;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out_v = v;
            return p;
        }
    }
    return NULL;
}

#endif
