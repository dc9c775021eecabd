/*
 * modules/encoding/xor/xor.c - floating point numbers near each other: what differs from the first
 * one of a block of 128 rows, without the leading and trailing zeros that all of the block have.
 * Unlike a chain of differences it gives any row at once.
 *
 *   0  u8  physical form (F32 or F64)
 *   1  u8  log2 of the rows of a block: 7
 *   2  u16 0
 *   4  u32 rows
 *   8  u32 blocks
 *   12 u32 bytes of the packed area
 *   16 blocks x { u64 first value's bits, u32 offset in the packed area, u8 bits, u8 shift, u16 0 }
 *   .. packed area: per block (value xor first) >> shift, of every row
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#define ENCODING_NAME "xor"
#define BLOCK_LOG2    7
#define PHYS_MASK     (1u << LUMA_PHYS_F32 | 1u << LUMA_PHYS_F64)

struct block {
    uint64_t first;
    uint32_t offset;
    uint8_t bits, shift;
    uint16_t zero;
};
LUMA_STATIC_ASSERT(sizeof(struct block) == 16, "as on disk");

#include "blocks.h"

static inline uint64_t
bits_at(const struct luma_vec *vec, uint32_t row)
{
    return vec->phys == LUMA_PHYS_F32 ? ((const uint32_t *)vec->data)[row]
                                      : ((const uint64_t *)vec->data)[row];
}

static struct block
block_measure(const struct luma_vec *vec, uint32_t first, uint32_t n)
{
    struct block block = {.first = bits_at(vec, first)};
    uint64_t any = 0;
    for (uint32_t i = 1; i < n; i++)
        any |= bits_at(vec, first + i) ^ block.first;
    if (any != 0) {
        block.shift = (uint8_t)__builtin_ctzll(any);
        block.bits = (uint8_t)(64 - __builtin_clzll(any) - block.shift);
    }
    return block;
}

static uint32_t
bits_of(const struct luma_vec *vec, uint32_t first, uint32_t n)
{
    return block_measure(vec, first, n).bits;
}

static size_t
xor_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             uint32_t *out_cost)
{
    (void)stats;
    if (rows < 2)
        return SIZE_MAX;
    *out_cost = 12;
    return blocks_estimate(vec, rows, bits_of);
}

static size_t
xor_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return blocks_bound(rows, 8);
}

static luma_rc
xor_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
           const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint8_t *packed = blocks_packed(dst, rows);
    uint32_t offset = 0;
    uint64_t parts[BLOCK_ROWS];

    (void)ctx;
    if (dst->room_bytes < xor_bound(vec, rows, stats))
        return LUMA_E_ROOM;
    for (uint32_t b = 0; b < blocks_of(rows); b++) {
        uint32_t first = b << BLOCK_LOG2, n = block_rows(rows, b);
        struct block block = block_measure(vec, first, n);
        block.offset = offset;
        for (uint32_t i = 0; i < n; i++)
            parts[i] = (bits_at(vec, first + i) ^ block.first) >> block.shift;
        simd->pack_64(parts, 0, block.bits, n, packed + offset);
        offset += (uint32_t)luma_packed_bytes(block.bits, n);
        memcpy(blocks_entry(dst, b), &block, sizeof(block));
    }
    blocks_finish(dst, vec->phys, rows, offset);
    return LUMA_OK;
}

static bool
block_sound(const struct block *block, uint32_t n, const uint8_t *packed, uint32_t packed_bytes)
{
    (void)packed;
    return block->shift <= 63 && block_holds(block, n, packed_bytes);
}

static luma_rc
xor_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    return blocks_open(ctx, view, block_sound);
}

static void
store_bits(uint8_t phys, const uint64_t *parts, const struct block *block, uint32_t n, uint32_t at,
           void *out)
{
    if (phys == LUMA_PHYS_F64) {
        uint64_t *to = (uint64_t *)out + at;
        for (uint32_t i = 0; i < n; i++)
            to[i] = parts[i] << block->shift ^ block->first;
    } else {
        uint32_t *to = (uint32_t *)out + at;
        for (uint32_t i = 0; i < n; i++)
            to[i] = (uint32_t)(parts[i] << block->shift ^ block->first);
    }
}

static luma_rc
xor_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
           struct luma_vec *out)
{
    uint64_t parts[BLOCK_ROWS];

    (void)arena;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n;) {
        uint32_t row = first + done, b = row >> BLOCK_LOG2, skip = row & (BLOCK_ROWS - 1);
        uint32_t m = block_rows(view->rows, b) - skip;
        const struct block *block = block_at(view, b);
        m = m < n - done ? m : n - done;
        view->simd->unpack_64(packed_of(view, block), block->bits, 0, skip, m, parts);
        store_bits(view->phys, parts, block, m, done, out->data);
        done += m;
    }
    return LUMA_OK;
}

static void
xor_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    const struct block *block = block_at(view, row >> BLOCK_LOG2);
    uint64_t part = luma_packed_get(packed_of(view, block), block->bits, row & (BLOCK_ROWS - 1));
    store_bits(view->phys, &part, block, 1, 0, out);
}

static luma_rc
xor_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
               uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    if (sel_rows > n / 8)
        return xor_decode(view, first, n, arena, out);
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        xor_get(view, first + sel[k], (uint8_t *)out->data + (size_t)sel[k] * size);
    return LUMA_OK;
}

static const struct luma_encoding xor_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x786f7220, /* written in segment files: a value is never used twice */
    .phys_mask = PHYS_MASK,
    .estimate = xor_estimate,
    .bound = xor_bound,
    .encode = xor_encode,
    .open = xor_open,
    .decode = xor_decode,
    .decode_sel = xor_decode_sel,
    .get = xor_get,
};

LUMA_MODULE(.kind = "encoding", .name = "xor", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "floating point numbers near each other",
            .offers = LUMA_OFFERS({"encoding.xor", &xor_encoding.head}));
