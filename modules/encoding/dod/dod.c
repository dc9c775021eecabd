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

#define HEADER_BYTES 16
#define BLOCK_LOG2   7
#define BLOCK_ROWS   (1u << BLOCK_LOG2)
#define PHYS_MASK    (1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64)

struct block {
    int64_t first, step;
    int64_t change_min;
    uint32_t offset;
    uint8_t bits;
    uint8_t zero[3];
};
LUMA_STATIC_ASSERT(sizeof(struct block) == 32, "as on disk");

/* words[] of an open view */
enum { W_BLOCKS, W_PACKED };

static inline uint64_t
value_at(const struct luma_vec *vec, uint32_t row)
{
    return vec->phys == LUMA_PHYS_I32 ? (uint64_t)((const int32_t *)vec->data)[row]
                                      : (uint64_t)((const int64_t *)vec->data)[row];
}

static uint32_t
width(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

/* Rows of block b. */
static inline uint32_t
block_rows(uint32_t rows, uint32_t b)
{
    uint32_t left = rows - (b << BLOCK_LOG2);
    return left < BLOCK_ROWS ? left : BLOCK_ROWS;
}

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
    struct block block = {.first = (int64_t)value_at(vec, first)};
    uint64_t step = n > 1 ? value_at(vec, first + 1) - value_at(vec, first) : 0;
    int64_t min = 0, max = 0;
    block.step = (int64_t)step;
    for (uint32_t i = 0; i < changes_of(n); i++) {
        uint64_t next = value_at(vec, first + i + 2) - value_at(vec, first + i + 1);
        changes[i] = next - step;
        int64_t c = (int64_t)changes[i];
        min = i == 0 || c < min ? c : min;
        max = i == 0 || c > max ? c : max;
        step = next;
    }
    block.change_min = min;
    block.bits = (uint8_t)width((uint64_t)max - (uint64_t)min);
    return block;
}

static size_t
dod_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             uint32_t *out_cost)
{
    uint64_t changes[BLOCK_ROWS];
    (void)stats;
    if (rows < 3)
        return SIZE_MAX;
    /* A sample of blocks: one outlier costs its block only, not the column. */
    uint32_t blocks = (rows + BLOCK_ROWS - 1) >> BLOCK_LOG2, step = blocks > 16 ? blocks / 16 : 1;
    size_t bytes = 0, seen = 0;
    for (uint32_t b = 0; b < blocks; b += step) {
        uint32_t n = block_rows(rows, b);
        bytes += sizeof(struct block) +
                 luma_packed_bytes(block_measure(vec, b << BLOCK_LOG2, n, changes).bits, n);
        seen += n;
    }
    *out_cost = 17;
    return HEADER_BYTES + bytes * rows / seen;
}

static size_t
dod_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return HEADER_BYTES + ((size_t)rows / BLOCK_ROWS + 1) * (sizeof(struct block) + 8) +
           (size_t)rows * 8 + 16;
}

static luma_rc
dod_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
           const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint32_t blocks = (rows + BLOCK_ROWS - 1) >> BLOCK_LOG2, offset = 0;
    uint64_t changes[BLOCK_ROWS];

    (void)ctx;
    if (dst->room_bytes < dod_bound(vec, rows, stats))
        return LUMA_E_ROOM;
    memset(dst->data, 0, HEADER_BYTES);
    uint8_t *entry = dst->data + HEADER_BYTES;
    uint8_t *packed = entry + (size_t)blocks * sizeof(struct block);
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t n = block_rows(rows, b), count = changes_of(n);
        struct block block = block_measure(vec, b << BLOCK_LOG2, n, changes);
        block.offset = offset;
        simd->pack_64(changes, (uint64_t)block.change_min, block.bits, count, packed + offset);
        offset += (uint32_t)luma_packed_bytes(block.bits, count);
        memcpy(entry + (size_t)b * sizeof(block), &block, sizeof(block));
    }
    dst->data[0] = vec->phys;
    dst->data[1] = BLOCK_LOG2;
    memcpy(dst->data + 4, &rows, 4);
    memcpy(dst->data + 8, &blocks, 4);
    memcpy(dst->data + 12, &offset, 4);
    dst->used_bytes = HEADER_BYTES + (size_t)blocks * sizeof(struct block) + offset;
    return LUMA_OK;
}

static luma_rc
dod_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    const uint8_t *p = view->bytes.data;
    uint32_t rows, blocks, packed_bytes;

    if (view->bytes.bytes < HEADER_BYTES)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dod: %zu bytes are no column", view->bytes.bytes);
    memcpy(&rows, p + 4, 4);
    memcpy(&blocks, p + 8, 4);
    memcpy(&packed_bytes, p + 12, 4);
    if (p[0] != view->phys || (PHYS_MASK >> view->phys & 1) == 0 || p[1] != BLOCK_LOG2 ||
        rows != view->rows || rows > LUMA_CHUNK_ROWS_MAX ||
        blocks != (rows + BLOCK_ROWS - 1) >> BLOCK_LOG2 ||
        view->bytes.bytes != HEADER_BYTES + (size_t)blocks * sizeof(struct block) + packed_bytes)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dod: the column's header is damaged");
    const struct block *block = (const struct block *)(const void *)(p + HEADER_BYTES);
    for (uint32_t b = 0; b < blocks; b++) {
        size_t need = luma_packed_bytes(block[b].bits, changes_of(block_rows(rows, b)));
        if (block[b].bits > 64 || block[b].offset > packed_bytes ||
            need > packed_bytes - block[b].offset)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dod: block %u lies outside the column", b);
    }
    view->words[W_BLOCKS] = (uint64_t)(uintptr_t)block;
    view->words[W_PACKED] = (uint64_t)(uintptr_t)(block + blocks);
    return LUMA_OK;
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

static void
store_values(uint8_t phys, const int64_t *src, uint32_t n, uint32_t at, void *out)
{
    if (phys == LUMA_PHYS_I64)
        memcpy((int64_t *)out + at, src, (size_t)n * 8);
    else
        for (uint32_t i = 0; i < n; i++)
            ((int32_t *)out)[at + i] = (int32_t)src[i];
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
        store_values(view->phys, tmp + skip, m, done, out->data);
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
