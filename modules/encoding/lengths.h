/*
 * lengths.h - runs of bytes, one behind the other, with bit-packed lengths in place of offsets:
 * what text and fsst have in common. Lengths are packed less the smallest; where the first run of
 * each block of 32 begins is kept apart, so that one row costs one block.
 */
#ifndef ENCODING_LENGTHS_H
#define ENCODING_LENGTHS_H

#include <lumadb/kind/encoding.h>

#include <string.h>

#define BLOCK_LOG2 5
#define BLOCK_ROWS (1u << BLOCK_LOG2)
#define STEP_ROWS  256u /* lengths packed or unpacked at a time: whole blocks */

/* The first words[] of an open view; an encoding has those from W_OWN on. */
enum { W_LENGTHS, W_BITS, W_SHORTEST, W_OWN };

static inline const struct luma_str *
strings_of(const struct luma_vec *vec)
{
    return vec->data;
}

static inline uint32_t
bits_needed(uint32_t v)
{
    return v == 0 ? 0 : 32 - (uint32_t)__builtin_clz(v);
}

static inline size_t
align8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static inline uint32_t
blocks_of(uint32_t rows)
{
    return (rows + BLOCK_ROWS - 1) >> BLOCK_LOG2;
}

/* Rows of the step that begins `done` rows into n. */
static inline uint32_t
step_rows(uint32_t n, uint32_t done)
{
    return n - done < STEP_ROWS ? n - done : STEP_ROWS;
}

/* --- writing --- */

/* Packs the lengths of a step, the rows from `first` on; any number of bits of a whole step ends on
 * a byte. */
static inline void
lengths_pack(const struct luma_simd *simd, const uint64_t *lengths, uint32_t first, uint32_t n,
             uint32_t shortest, uint32_t bits, uint8_t *area)
{
    uint8_t packed[STEP_ROWS * 4 + 16];
    simd->pack_64(lengths, shortest, bits, n, packed);
    memcpy(area + luma_packed_bytes(bits, first), packed, luma_packed_bytes(bits, n));
}

/* --- reading --- */

static inline void
lengths_open(struct luma_enc_view *view, const uint8_t *area, uint32_t bits, uint32_t shortest)
{
    view->words[W_LENGTHS] = (uint64_t)(uintptr_t)area;
    view->words[W_BITS] = bits;
    view->words[W_SHORTEST] = shortest;
}

static inline void
lengths_at(const struct luma_enc_view *view, uint32_t first, uint32_t n, uint32_t *out)
{
    view->simd->unpack_32((const uint8_t *)(uintptr_t)view->words[W_LENGTHS],
                          (uint32_t)view->words[W_BITS], (uint32_t)view->words[W_SHORTEST], first,
                          n, out);
}

/* Bytes of a row's block that lie before the row. */
static inline size_t
bytes_before(const struct luma_enc_view *view, uint32_t row)
{
    uint32_t lengths[BLOCK_ROWS], before = row & (BLOCK_ROWS - 1);
    size_t bytes = 0;
    if (before > 0)
        lengths_at(view, row - before, before, lengths);
    for (uint32_t i = 0; i < before; i++)
        bytes += lengths[i];
    return bytes;
}

/* --- filters --- */

/* Of n runs, sets the bits of those whose bytes are the wanted ones, or of those whose are not. */
static inline void
same_bytes(const void *runs, const uint32_t *lengths, uint32_t n, const void *wanted,
           size_t wanted_bytes, bool same, uint64_t *out_bits)
{
    const uint8_t *at = runs;
    for (uint32_t i = 0; i < n; i++) {
        bool is = lengths[i] == wanted_bytes && memcmp(at, wanted, wanted_bytes) == 0;
        out_bits[i / 64] |= (uint64_t)(is == same) << (i & 63);
        at += lengths[i];
    }
}

#endif
