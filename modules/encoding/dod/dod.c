/*
 * modules/encoding/dod/dod.c - differences of differences, bit-packed in blocks of 128 rows: for
 * timestamps taken at nearly even intervals, where the differences themselves hardly change.
 *
 *   0  u8  physical form (I32 or I64)
 *   1  u8  log2 of the rows of a block: 7
 *   2  u16 0
 *   4  u32 rows
 *   8  u32 blocks
 *   12 u32 bytes of the packed area
 *   16 blocks x { i64 first value, i64 first difference, i64 smallest change of difference, u32
 *      offset of its changes in the packed area, u8 bits of one, u8[3] 0 }
 *   .. packed area: per block 126 changes (fewer in the last) less the smallest one
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#define ENCODING_NAME "dod"
#define BLOCK_LOG2    7
#define PHYS_MASK     (1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64)

struct block {
    int64_t first, step;
    int64_t change_min;
    uint32_t offset;
    uint8_t bits;
    uint8_t zero[3];
};
LUMA_STATIC_ASSERT(sizeof(struct block) == 32, "as on disk");

#include "blocks.h"

/* How often the difference changes in a block of n rows. */
static inline uint32_t
changes_of(uint32_t n)
{
    return n > 2 ? n - 2 : 0;
}

/* Everything wraps around: it is exact modulo 2^64, which is all that adding up needs. */
static struct block
block_measure(const struct luma_vec *vec, uint32_t first, uint32_t n, uint64_t *changes)
{
    struct block block = {.first = (int64_t)whole_at(vec, first)};
    uint64_t step = n > 1 ? whole_at(vec, first + 1) - whole_at(vec, first) : 0;
    int64_t min = 0, max = 0;
    block.step = (int64_t)step;
    for (uint32_t i = 0; i < changes_of(n); i++) {
        uint64_t next = whole_at(vec, first + i + 2) - whole_at(vec, first + i + 1);
        changes[i] = next - step;
        int64_t c = (int64_t)changes[i];
        min = i == 0 || c < min ? c : min;
        max = i == 0 || c > max ? c : max;
        step = next;
    }
    block.change_min = min;
    block.bits = (uint8_t)bits_needed((uint64_t)max - (uint64_t)min);
    return block;
}

static uint32_t
bits_of(const struct luma_vec *vec, uint32_t first, uint32_t n)
{
    uint64_t changes[BLOCK_ROWS];
    return block_measure(vec, first, n, changes).bits;
}

static size_t
dod_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             uint32_t *out_cost)
{
    (void)stats;
    if (rows < 3)
        return SIZE_MAX;
    *out_cost = 17;
    return blocks_estimate(vec, rows, bits_of);
}

static size_t
dod_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return blocks_bound(rows, 8);
}

static luma_rc
dod_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
           const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint8_t *packed = blocks_packed(dst, rows);
    uint32_t offset = 0;
    uint64_t changes[BLOCK_ROWS];

    (void)ctx;
    if (dst->room_bytes < dod_bound(vec, rows, stats))
        return LUMA_E_ROOM;
    for (uint32_t b = 0; b < blocks_of(rows); b++) {
        uint32_t n = block_rows(rows, b), count = changes_of(n);
        struct block block = block_measure(vec, b << BLOCK_LOG2, n, changes);
        block.offset = offset;
        simd->pack_64(changes, (uint64_t)block.change_min, block.bits, count, packed + offset);
        offset += (uint32_t)luma_packed_bytes(block.bits, count);
        memcpy(blocks_entry(dst, b), &block, sizeof(block));
    }
    blocks_finish(dst, vec->phys, rows, offset);
    return LUMA_OK;
}

static bool
block_sound(const struct block *block, uint32_t n, const uint8_t *packed, uint32_t packed_bytes)
{
    (void)packed;
    return block_holds(block, changes_of(n), packed_bytes);
}

static luma_rc
dod_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    return blocks_open(ctx, view, block_sound);
}

/* The first n rows of a block: summed up twice. */
static void
block_decode(const struct luma_enc_view *view, uint32_t b, uint32_t n, int64_t *out)
{
    const struct block *block = block_at(view, b);
    int64_t changes[BLOCK_ROWS], steps[BLOCK_ROWS];
    uint32_t count = changes_of(n);

    out[0] = block->first;
    if (n < 2)
        return;
    steps[0] = block->step;
    view->simd->unpack_64(packed_of(view, block), block->bits, (uint64_t)block->change_min, 0,
                          count, (uint64_t *)changes);
    view->simd->prefix_i64(changes, block->step, count, steps + 1);
    view->simd->prefix_i64(steps, block->first, n - 1, out + 1);
}

static luma_rc
dod_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
           struct luma_vec *out)
{
    int64_t tmp[BLOCK_ROWS];

    (void)arena;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n;) {
        uint32_t row = first + done, b = row >> BLOCK_LOG2, skip = row & (BLOCK_ROWS - 1);
        uint32_t m = block_rows(view->rows, b) - skip;
        m = m < n - done ? m : n - done;
        block_decode(view, b, skip + m, tmp);
        whole_store(view->phys, tmp + skip, m, done, out->data);
        done += m;
    }
    return LUMA_OK;
}

static void
dod_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    const struct block *block = block_at(view, row >> BLOCK_LOG2);
    const uint8_t *packed = packed_of(view, block);
    uint32_t k = row & (BLOCK_ROWS - 1);
    uint64_t v = (uint64_t)block->first, step = (uint64_t)block->step;

    for (uint32_t i = 0; i < k; i++) {
        v += step;
        if (i + 1 < k)
            step += (uint64_t)block->change_min + luma_packed_get(packed, block->bits, i);
    }
    if (view->phys == LUMA_PHYS_I64)
        *(int64_t *)out = (int64_t)v;
    else
        *(int32_t *)out = (int32_t)v;
}

static const struct luma_encoding dod_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x646f6420, /* written in segment files: a value is never used twice */
    .phys_mask = PHYS_MASK,
    .estimate = dod_estimate,
    .bound = dod_bound,
    .encode = dod_encode,
    .open = dod_open,
    .decode = dod_decode,
    .get = dod_get,
};

LUMA_MODULE(.kind = "encoding", .name = "dod", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "differences of differences: timestamps at even intervals",
            .offers = LUMA_OFFERS({"encoding.dod", &dod_encoding.head}));
