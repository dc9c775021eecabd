/*
 * modules/encoding/delta/delta.c - differences of neighbours, bit-packed in blocks of 128 rows:
 * for keys, timestamps and whatever else mostly climbs.
 *
 *   0  u8  physical form (I32 or I64)
 *   1  u8  log2 of the rows of a block: 7
 *   2  u16 0
 *   4  u32 rows
 *   8  u32 blocks
 *   12 u32 bytes of the packed area
 *   16 blocks x { i64 first value, i64 smallest difference, u32 offset of its differences in the
 *      packed area, u8 bits of one, u8[3] 0 }
 *   .. packed area: per block 127 differences (fewer in the last) less the smallest one
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#define ENCODING_NAME "delta"
#define BLOCK_LOG2    7
#define PHYS_MASK     (1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64)

struct block {
    int64_t first;
    int64_t delta_min;
    uint32_t offset;
    uint8_t bits;
    uint8_t zero[3];
};
LUMA_STATIC_ASSERT(sizeof(struct block) == 24, "as on disk");

#include "blocks.h"

/* Differences wrap around: they are exact modulo 2^64, which is all that adding them up needs. */
static struct block
block_measure(const struct luma_vec *vec, uint32_t first, uint32_t n)
{
    struct block block = {.first = (int64_t)whole_at(vec, first)};
    uint64_t previous = (uint64_t)block.first;
    int64_t min = 0, max = 0;
    for (uint32_t i = 1; i < n; i++) {
        uint64_t v = whole_at(vec, first + i);
        int64_t d = (int64_t)(v - previous);
        min = i == 1 || d < min ? d : min;
        max = i == 1 || d > max ? d : max;
        previous = v;
    }
    block.delta_min = min;
    block.bits = (uint8_t)bits_needed((uint64_t)max - (uint64_t)min);
    return block;
}

static uint32_t
bits_of(const struct luma_vec *vec, uint32_t first, uint32_t n)
{
    return block_measure(vec, first, n).bits;
}

static size_t
delta_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
               uint32_t *out_cost)
{
    (void)stats;
    if (rows < 2)
        return SIZE_MAX;
    *out_cost = 14;
    return blocks_estimate(vec, rows, bits_of);
}

static size_t
delta_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return blocks_bound(rows, 8);
}

static luma_rc
delta_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
             const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint8_t *packed = blocks_packed(dst, rows);
    uint32_t offset = 0;
    uint64_t deltas[BLOCK_ROWS];

    (void)ctx;
    if (dst->room_bytes < delta_bound(vec, rows, stats))
        return LUMA_E_ROOM;
    for (uint32_t b = 0; b < blocks_of(rows); b++) {
        uint32_t first = b << BLOCK_LOG2, n = block_rows(rows, b);
        struct block block = block_measure(vec, first, n);
        block.offset = offset;
        for (uint32_t i = 1; i < n; i++)
            deltas[i - 1] = whole_at(vec, first + i) - whole_at(vec, first + i - 1);
        simd->pack_64(deltas, (uint64_t)block.delta_min, block.bits, n - 1, packed + offset);
        offset += (uint32_t)luma_packed_bytes(block.bits, n - 1);
        memcpy(blocks_entry(dst, b), &block, sizeof(block));
    }
    blocks_finish(dst, vec->phys, rows, offset);
    return LUMA_OK;
}

static bool
block_sound(const struct block *block, uint32_t n, const uint8_t *packed, uint32_t packed_bytes)
{
    (void)packed;
    return block_holds(block, n - 1, packed_bytes);
}

static luma_rc
delta_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    return blocks_open(ctx, view, block_sound);
}

/* The first n rows of a block. */
static void
block_decode(const struct luma_enc_view *view, uint32_t b, uint32_t n, int64_t *out)
{
    const struct block *block = block_at(view, b);
    const uint8_t *packed = packed_of(view, block);
    int64_t deltas[BLOCK_ROWS];

    out[0] = block->first;
    view->simd->unpack_64(packed, block->bits, (uint64_t)block->delta_min, 0, n - 1,
                          (uint64_t *)deltas);
    view->simd->prefix_i64(deltas, block->first, n - 1, out + 1);
}

static luma_rc
delta_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
             struct luma_vec *out)
{
    int64_t tmp[BLOCK_ROWS];

    (void)arena;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n;) {
        uint32_t row = first + done, b = row >> BLOCK_LOG2, skip = row & (BLOCK_ROWS - 1);
        uint32_t m = block_rows(view->rows, b) - skip;
        m = m < n - done ? m : n - done;
        if (skip == 0 && view->phys == LUMA_PHYS_I64) {
            block_decode(view, b, m, (int64_t *)out->data + done);
        } else {
            block_decode(view, b, skip + m, tmp);
            whole_store(view->phys, tmp + skip, m, done, out->data);
        }
        done += m;
    }
    return LUMA_OK;
}

static void
delta_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    uint32_t b = row >> BLOCK_LOG2, k = row & (BLOCK_ROWS - 1);
    const struct block *block = block_at(view, b);
    const uint8_t *packed = packed_of(view, block);
    uint64_t v = (uint64_t)block->first + (uint64_t)block->delta_min * k;

    if (block->bits != 0)
        for (uint32_t i = 0; i < k; i++)
            v += luma_packed_get(packed, block->bits, i);
    if (view->phys == LUMA_PHYS_I64)
        *(int64_t *)out = (int64_t)v;
    else
        *(int32_t *)out = (int32_t)v;
}

/* One or two rows of a window are cheaper got than decoded. */
static luma_rc
delta_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
                 uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    if (sel_rows > n / BLOCK_ROWS)
        return delta_decode(view, first, n, arena, out);
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        delta_get(view, first + sel[k], (uint8_t *)out->data + (size_t)sel[k] * size);
    return LUMA_OK;
}

static const struct luma_encoding delta_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x64656c74, /* written in segment files: a value is never used twice */
    .phys_mask = PHYS_MASK,
    .estimate = delta_estimate,
    .bound = delta_bound,
    .encode = delta_encode,
    .open = delta_open,
    .decode = delta_decode,
    .decode_sel = delta_decode_sel,
    .get = delta_get,
};

LUMA_MODULE(.kind = "encoding", .name = "delta", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "differences of neighbours: keys, timestamps, row ids",
            .offers = LUMA_OFFERS({"encoding.delta", &delta_encoding.head}));
