/*
 * x86_unpack.h - bit-packed values, eight at a time, with AVX2.
 *
 * Eight values of b bits take b bytes, so that each eight begin at the same bit of a byte: which
 * bytes a lane wants and how far it shifts them is the same in every round.
 */
#ifndef LUMA_SIMD_X86_UNPACK_H
#define LUMA_SIMD_X86_UNPACK_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define HAVE_UNPACK

/* How four 32-bit (or two 64-bit) values get from 16 bytes into the lanes of half a vector. */
struct unpack_half {
    size_t offset; /* of the 16 bytes, from where the eight values begin */
    uint8_t bytes[16];
    uint64_t shift[4];
};

static void
unpack_half_plan(struct unpack_half *half, uint32_t bits, size_t bit, uint32_t lanes)
{
    uint32_t lane_bytes = 16 / lanes;
    half->offset = bit >> 3;
    for (uint32_t k = 0; k < lanes; k++) {
        size_t at = (bit & 7) + (size_t)k * bits;
        half->shift[k] = at & 7;
        for (uint32_t byte = 0; byte < lane_bytes; byte++) {
            size_t from = (at >> 3) + byte;
            half->bytes[k * lane_bytes + byte] = from < 16 ? (uint8_t)from : 0x80;
        }
    }
}

static inline __m256i
unpack_load(const uint8_t *p, const struct unpack_half *a, const struct unpack_half *b)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(p + a->offset));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + b->offset));
    return _mm256_set_m128i(high, low);
}

static inline __m256i
unpack_bytes(const struct unpack_half *a, const struct unpack_half *b)
{
    return _mm256_set_m128i(_mm_loadu_si128((const __m128i *)(const void *)b->bytes),
                            _mm_loadu_si128((const __m128i *)(const void *)a->bytes));
}

/* Rounds of eight whose 16-byte loads end at most 8 bytes behind the last value. */
static size_t
unpack_rounds(const struct unpack_half *last, uint32_t bits, size_t first, size_t n)
{
    size_t begin = (first * bits) >> 3, end = ((first + n) * bits + 7) / 8 + 8, rounds = n / 8;
    while (rounds > 0 && begin + (rounds - 1) * bits + last->offset + 16 > end)
        rounds--;
    return rounds;
}

/* Up to 25 bits a value and its shift fit 32 bits. */
static size_t
unpack_32_wide(const uint8_t *packed, uint32_t bits, uint32_t base, size_t first, size_t n,
               uint32_t *out)
{
    if (bits > 25)
        return 0;
    struct unpack_half half[2];
    size_t bit = (first * bits) & 7;
    unpack_half_plan(&half[0], bits, bit, 4);
    unpack_half_plan(&half[1], bits, bit + 4 * (size_t)bits, 4);
    size_t rounds = unpack_rounds(&half[1], bits, first, n);
    __m256i bytes = unpack_bytes(&half[0], &half[1]);
    __m256i shift = _mm256_setr_epi32(
        (int)half[0].shift[0], (int)half[0].shift[1], (int)half[0].shift[2], (int)half[0].shift[3],
        (int)half[1].shift[0], (int)half[1].shift[1], (int)half[1].shift[2], (int)half[1].shift[3]);
    __m256i mask = _mm256_set1_epi32((int)(((uint32_t)1 << bits) - 1));
    __m256i add = _mm256_set1_epi32((int)base);
    const uint8_t *p = packed + ((first * bits) >> 3);
    for (size_t r = 0; r < rounds; r++, p += bits) {
        __m256i v = _mm256_shuffle_epi8(unpack_load(p, &half[0], &half[1]), bytes);
        v = _mm256_and_si256(_mm256_srlv_epi32(v, shift), mask);
        _mm256_storeu_si256((__m256i *)(void *)(out + 8 * r), _mm256_add_epi32(v, add));
    }
    return rounds * 8;
}

static inline __m256i
unpack_four(const uint8_t *p, const struct unpack_half *a, const struct unpack_half *b,
            __m256i bytes, __m256i shift, __m256i mask)
{
    __m256i v = _mm256_shuffle_epi8(unpack_load(p, a, b), bytes);
    return _mm256_and_si256(_mm256_srlv_epi64(v, shift), mask);
}

/* Up to 57 bits a value and its shift fit 64 bits. */
static size_t
unpack_64_wide(const uint8_t *packed, uint32_t bits, uint64_t base, size_t first, size_t n,
               uint64_t *out)
{
    if (bits > 57)
        return 0;
    struct unpack_half half[4];
    __m256i bytes[2], shift[2];
    for (uint32_t h = 0; h < 4; h++)
        unpack_half_plan(&half[h], bits, ((first * bits) & 7) + 2 * (size_t)h * bits, 2);
    for (uint32_t h = 0; h < 2; h++) {
        const struct unpack_half *a = &half[2 * h], *b = &half[2 * h + 1];
        bytes[h] = unpack_bytes(a, b);
        shift[h] = _mm256_setr_epi64x((long long)a->shift[0], (long long)a->shift[1],
                                      (long long)b->shift[0], (long long)b->shift[1]);
    }
    size_t rounds = unpack_rounds(&half[3], bits, first, n);
    __m256i mask = _mm256_set1_epi64x((long long)(((uint64_t)1 << bits) - 1));
    __m256i add = _mm256_set1_epi64x((long long)base);
    const uint8_t *p = packed + ((first * bits) >> 3);
    for (size_t r = 0; r < rounds; r++, p += bits) {
        __m256i v = unpack_four(p, &half[0], &half[1], bytes[0], shift[0], mask);
        __m256i w = unpack_four(p, &half[2], &half[3], bytes[1], shift[1], mask);
        _mm256_storeu_si256((__m256i *)(void *)(out + 8 * r), _mm256_add_epi64(v, add));
        _mm256_storeu_si256((__m256i *)(void *)(out + 8 * r + 4), _mm256_add_epi64(w, add));
    }
    return rounds * 8;
}

#endif
