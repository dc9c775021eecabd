/*
 * blocks.h - columns cut into blocks of 2^BLOCK_LOG2 rows: what delta, dod, xor and alp have in
 * common. The main file defines, before it includes this, ENCODING_NAME, BLOCK_LOG2, PHYS_MASK and
 * struct block, the entry of a block as on disk, with members offset and bits.
 *
 *   0  u8  physical form
 *   1  u8  BLOCK_LOG2
 *   2  u8[2] what the encoding wants to say of the whole column, else 0
 *   4  u32 rows
 *   8  u32 blocks
 *   12 u32 bytes of the packed area
 *   16 blocks x struct block
 *   .. packed area: each block's bytes lie at its offset
 */
#ifndef ENCODING_BLOCKS_H
#define ENCODING_BLOCKS_H

#include <lumadb/kind/encoding.h>

#include <string.h>

#define HEADER_BYTES 16
#define BLOCK_ROWS   (1u << BLOCK_LOG2)

/* The first words[] of an open view; an encoding has those from W_OWN on. */
enum { W_BLOCKS, W_PACKED, W_OWN };

static inline uint32_t
bits_needed(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

static inline uint32_t
blocks_of(uint32_t rows)
{
    return (rows + BLOCK_ROWS - 1) >> BLOCK_LOG2;
}

/* Rows of block b. */
static inline uint32_t
block_rows(uint32_t rows, uint32_t b)
{
    uint32_t left = rows - (b << BLOCK_LOG2);
    return left < BLOCK_ROWS ? left : BLOCK_ROWS;
}

/* Room for a column of which a row takes row_bytes at most. */
static inline size_t
blocks_bound(uint32_t rows, size_t row_bytes)
{
    return HEADER_BYTES + ((size_t)rows / BLOCK_ROWS + 1) * (sizeof(struct block) + 16) +
           (size_t)rows * row_bytes + 16;
}

/* Bytes of the column by a sample of its blocks: an outlier costs its block only, not the column.
 * bits_of gives the bits that a value of the rows [first, first + n) takes. */
static inline size_t
blocks_estimate(const struct luma_vec *vec, uint32_t rows,
                uint32_t (*bits_of)(const struct luma_vec *vec, uint32_t first, uint32_t n))
{
    uint32_t blocks = blocks_of(rows), step = blocks > 16 ? blocks / 16 : 1;
    size_t bytes = 0, seen = 0;
    for (uint32_t b = 0; b < blocks; b += step) {
        uint32_t n = block_rows(rows, b);
        bytes += sizeof(struct block) + luma_packed_bytes(bits_of(vec, b << BLOCK_LOG2, n), n);
        seen += n;
    }
    return HEADER_BYTES + bytes * rows / seen;
}

/* Where the entries and the packed area of a column being written begin. */
static inline uint8_t *
blocks_entry(const struct luma_buf *dst, uint32_t b)
{
    return dst->data + HEADER_BYTES + (size_t)b * sizeof(struct block);
}

static inline uint8_t *
blocks_packed(const struct luma_buf *dst, uint32_t rows)
{
    return blocks_entry(dst, blocks_of(rows));
}

/* The header of a column whose entries and packed area are written. */
static inline void
blocks_finish(struct luma_buf *dst, uint8_t phys, uint32_t rows, uint32_t packed_bytes)
{
    uint32_t blocks = blocks_of(rows);
    memset(dst->data, 0, HEADER_BYTES);
    dst->data[0] = phys;
    dst->data[1] = BLOCK_LOG2;
    memcpy(dst->data + 4, &rows, 4);
    memcpy(dst->data + 8, &blocks, 4);
    memcpy(dst->data + 12, &packed_bytes, 4);
    dst->used_bytes = HEADER_BYTES + (size_t)blocks * sizeof(struct block) + packed_bytes;
}

/* Judges everything but what block_sound does: that one block lies inside of the packed area. */
static inline luma_rc
blocks_open(struct luma_ctx *ctx, struct luma_enc_view *view,
            bool (*block_sound)(const struct block *block, uint32_t n, const uint8_t *packed,
                                uint32_t packed_bytes))
{
    const uint8_t *p = view->bytes.data;
    uint32_t rows, blocks, packed_bytes;

    if (view->bytes.bytes < HEADER_BYTES)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, ENCODING_NAME ": %zu bytes are no column",
                         view->bytes.bytes);
    memcpy(&rows, p + 4, 4);
    memcpy(&blocks, p + 8, 4);
    memcpy(&packed_bytes, p + 12, 4);
    if (p[0] != view->phys || (PHYS_MASK >> view->phys & 1) == 0 || p[1] != BLOCK_LOG2 ||
        rows != view->rows || rows > LUMA_CHUNK_ROWS_MAX || blocks != blocks_of(rows) ||
        view->bytes.bytes != HEADER_BYTES + (size_t)blocks * sizeof(struct block) + packed_bytes)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, ENCODING_NAME ": the column's header is damaged");
    const struct block *block = (const struct block *)(const void *)(p + HEADER_BYTES);
    const uint8_t *packed = (const uint8_t *)(block + blocks);
    for (uint32_t b = 0; b < blocks; b++)
        if (block[b].offset > packed_bytes ||
            !block_sound(&block[b], block_rows(rows, b), packed, packed_bytes))
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, ENCODING_NAME ": block %u is damaged", b);
    view->words[W_BLOCKS] = (uint64_t)(uintptr_t)block;
    view->words[W_PACKED] = (uint64_t)(uintptr_t)packed;
    return LUMA_OK;
}

/* Are `count` values of the block's bits all there? */
static inline bool
block_holds(const struct block *block, uint32_t count, uint32_t packed_bytes)
{
    return block->bits <= 64 &&
           luma_packed_bytes(block->bits, count) <= packed_bytes - block->offset;
}

static inline const struct block *
block_at(const struct luma_enc_view *view, uint32_t b)
{
    return (const struct block *)(uintptr_t)view->words[W_BLOCKS] + b;
}

static inline const uint8_t *
packed_of(const struct luma_enc_view *view, const struct block *block)
{
    return (const uint8_t *)(uintptr_t)view->words[W_PACKED] + block->offset;
}

/* --- whole numbers: I32 and I64 --- */

static inline uint64_t
whole_at(const struct luma_vec *vec, uint32_t row)
{
    return vec->phys == LUMA_PHYS_I32 ? (uint64_t)((const int32_t *)vec->data)[row]
                                      : (uint64_t)((const int64_t *)vec->data)[row];
}

static inline void
whole_store(uint8_t phys, const int64_t *src, uint32_t n, uint32_t at, void *out)
{
    if (phys == LUMA_PHYS_I64)
        memcpy((int64_t *)out + at, src, (size_t)n * 8);
    else
        for (uint32_t i = 0; i < n; i++)
            ((int32_t *)out)[at + i] = (int32_t)src[i];
}

#endif
