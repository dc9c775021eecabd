/*
 * lumadb/kind/simd.h - inner loops, one table per instruction set.
 *
 * Every variant computes exactly what the scalar one does; the kernel compares each with it on
 * random input before use, picks the best that the machine has (or conf.d forces) and offers it as
 * service "simd" version 1. All functions: any thread, no alignment wanted beyond the element's,
 * n may be 0.
 */
#ifndef LUMADB_KIND_SIMD_H
#define LUMADB_KIND_SIMD_H

#include <lumadb/base.h>
#include <lumadb/module.h>
#include <lumadb/type.h>

#define LUMA_SIMD_MAJOR 1

enum luma_cmp { LUMA_CMP_EQ, LUMA_CMP_NE, LUMA_CMP_LT, LUMA_CMP_LE, LUMA_CMP_GT, LUMA_CMP_GE };

/* Does `a op b` hold? order is below, equal to or above 0 as a is to b, what memcmp() says. */
static inline bool
luma_cmp_holds(enum luma_cmp op, int order)
{
    switch (op) {
    case LUMA_CMP_EQ:
        return order == 0;
    case LUMA_CMP_NE:
        return order != 0;
    case LUMA_CMP_LT:
        return order < 0;
    case LUMA_CMP_LE:
        return order <= 0;
    case LUMA_CMP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

struct luma_simd {
    struct luma_head head;
    const char *name;     /* "avx2" */
    int32_t rank;         /* the machine's highest usable rank is chosen */
    bool (*usable)(void); /* does this processor have it? */

    /* --- compare: bitmap (LSB first, ceil(n/64) words, tail bits zero) of x[i] op y --- */
    void (*cmp_i16)(enum luma_cmp op, const int16_t *x, int16_t y, size_t n, uint64_t *out);
    void (*cmp_i32)(enum luma_cmp op, const int32_t *x, int32_t y, size_t n, uint64_t *out);
    void (*cmp_i64)(enum luma_cmp op, const int64_t *x, int64_t y, size_t n, uint64_t *out);
    void (*cmp_f64)(enum luma_cmp op, const double *x, double y, size_t n, uint64_t *out);
    void (*cmp_u8)(enum luma_cmp op, const uint8_t *x, uint8_t y, size_t n, uint64_t *out);
    /* lo <= x[i] && x[i] <= hi */
    void (*between_i32)(const int32_t *x, int32_t lo, int32_t hi, size_t n, uint64_t *out);
    void (*between_i64)(const int64_t *x, int64_t lo, int64_t hi, size_t n, uint64_t *out);
    /* x[i] op y[i] */
    void (*cmp2_i32)(enum luma_cmp op, const int32_t *x, const int32_t *y, size_t n, uint64_t *out);
    void (*cmp2_i64)(enum luma_cmp op, const int64_t *x, const int64_t *y, size_t n, uint64_t *out);

    /* --- bitmaps and selections --- */
    size_t (*bits_count)(const uint64_t *bits, size_t n);                 /* ones in n bits */
    size_t (*bits_to_sel)(const uint64_t *bits, size_t n, uint16_t *out); /* n <= 65536 */
    void (*sel_to_bits)(const uint16_t *sel, size_t count, size_t n, uint64_t *out);

    /* --- gather: out[i] = x[sel[i]] --- */
    void (*take_32)(const uint32_t *x, const uint16_t *sel, size_t n, uint32_t *out);
    void (*take_64)(const uint64_t *x, const uint16_t *sel, size_t n, uint64_t *out);
    /* out[i] = x[idx[i]] */
    void (*gather_32)(const uint32_t *x, const uint32_t *idx, size_t n, uint32_t *out);
    void (*gather_64)(const uint64_t *x, const uint32_t *idx, size_t n, uint64_t *out);

    /* --- bit-packing: n values of `bits` (0..64) each, little endian, LSB first, from value
     * `first` of the packed area; adds base. Reads at most 8 bytes past the last value (areas are
     * padded). --- */
    void (*unpack_64)(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
                      uint64_t *out);
    void (*unpack_32)(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
                      uint32_t *out);
    void (*pack_64)(const uint64_t *x, uint64_t base, uint32_t bits, size_t n, uint8_t *out);

    /* --- arithmetic that cannot overflow (the caller knows the bounds) --- */
    void (*add_i64)(const int64_t *x, const int64_t *y, size_t n, int64_t *out);
    void (*sub_i64)(const int64_t *x, const int64_t *y, size_t n, int64_t *out);
    void (*mul_i64)(const int64_t *x, const int64_t *y, size_t n, int64_t *out);
    void (*add_i64_const)(const int64_t *x, int64_t y, size_t n, int64_t *out);
    void (*rsub_i64_const)(const int64_t *x, int64_t y, size_t n, int64_t *out); /* y - x[i] */
    void (*mul_i64_const)(const int64_t *x, int64_t y, size_t n, int64_t *out);
    void (*widen_i32)(const int32_t *x, size_t n, int64_t *out);
    void (*widen_i16)(const int16_t *x, size_t n, int64_t *out);
    /* --- aggregates over all n --- */
    luma_i128 (*sum_i64)(const int64_t *x, size_t n);
    int64_t (*sum_i32)(const int32_t *x, size_t n);
    double (*sum_f64)(const double *x,
                      size_t n); /* order of additions is fixed: 8 lanes, pairwise */
    void (*minmax_i32)(const int32_t *x, size_t n, int32_t *out_min, int32_t *out_max); /* n > 0 */
    void (*minmax_i64)(const int64_t *x, size_t n, int64_t *out_min, int64_t *out_max); /* n > 0 */
    /* prefix sum: out[i] = base + x[0] + ... + x[i], wrapping */
    void (*prefix_i64)(const int64_t *x, int64_t base, size_t n, int64_t *out);

    /* --- hashes: the same 64-bit mix everywhere (kernel/base lk_hash_u64) --- */
    void (*hash_64)(const uint64_t *x, size_t n, uint64_t *out);

    /* --- bytes --- */
    /* First occurrence of needle in hay; hay_bytes when absent. */
    size_t (*find)(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes);
    /* First of bytes a, b, c, d in text; bytes when none (COPY and JSON scanning). */
    size_t (*find_any4)(const char *text, size_t bytes, char a, char b, char c, char d);
    bool (*utf8_valid)(const char *text, size_t bytes);
    uint32_t (*crc32c)(uint32_t crc, const void *data, size_t bytes);
};

#define LUMA_SIMD_HEAD                               \
    {                                                \
        sizeof(struct luma_simd), LUMA_SIMD_MAJOR, 0 \
    }

#endif
