/*
 * modules/encoding/alp/alp.c - doubles that are decimals: 12.5 is 125 with one digit behind the
 * point. The integers are bit-packed in blocks of 1024 rows; values that would not come back bit by
 * bit are kept beside them. After "ALP: Adaptive Lossless floating-Point Compression" (Afroozeh,
 * Kuffo, Boncz 2023), with one pair of powers for the whole column.
 *
 *   0  u8  physical form (F64)
 *   1  u8  log2 of the rows of a block: 10
 *   2  u8  e, u8 f: value = integer * 10^f * 10^-e
 *   4  u32 rows
 *   8  u32 blocks
 *   12 u32 bytes of the packed area
 *   16 blocks x { i64 base, u32 offset in the packed area, u16 exceptions, u8 bits, u8 0 }
 *   .. packed area: per block the integers less base, then u16 rows of the exceptions in ascending
 *      order, then their values
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#include <math.h>

#define ENCODING_NAME "alp"
#define BLOCK_LOG2    10
#define PHYS_MASK     (1u << LUMA_PHYS_F64)
#define SAMPLES       128
#define POWER_MAX     18
#define BITS_MAX      52
#define EXCEPTION     10 /* bytes of one */

struct block {
    int64_t base;
    uint32_t offset;
    uint16_t exceptions;
    uint8_t bits;
    uint8_t zero;
};
LUMA_STATIC_ASSERT(sizeof(struct block) == 16, "as on disk");

#include "blocks.h"

/* words[] of an open view */
enum { W_UP = W_OWN, W_DOWN };

static const double powers[POWER_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,
                                             1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13,
                                             1e14, 1e15, 1e16, 1e17, 1e18};
static const double shares[POWER_MAX + 1] = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,
                                             1e-7,  1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13,
                                             1e-14, 1e-15, 1e-16, 1e-17, 1e-18};

static inline double
alp_value(int64_t v, uint32_t e, uint32_t f)
{
    return (double)v * powers[f] * shares[e];
}

/* The integer of a value; false: it would not come back bit by bit. */
static inline bool
alp_integer(double x, uint32_t e, uint32_t f, int64_t *out)
{
    double scaled = x * powers[e] * shares[f];
    /* Beyond 2^51 not every double is an integer and a half away from the next. */
    if (!(scaled > -2251799813685248.0 && scaled < 2251799813685248.0))
        return false;
    int64_t v = (int64_t)rint(scaled);
    double back = alp_value(v, e, f);
    *out = v;
    return memcmp(&back, &x, sizeof(x)) == 0;
}

/* --- the choice of powers --- */

/* Bits that the samples take with a pair of powers. */
static size_t
sample_bits(const double *x, uint32_t count, uint32_t e, uint32_t f, uint32_t *out_exceptions)
{
    int64_t min = INT64_MAX, max = INT64_MIN, v;
    uint32_t exceptions = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!alp_integer(x[i], e, f, &v)) {
            exceptions++;
            continue;
        }
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    *out_exceptions = exceptions;
    size_t bits = exceptions == count ? 0 : bits_needed((uint64_t)max - (uint64_t)min);
    return bits * count + (size_t)exceptions * EXCEPTION * 8;
}

static uint32_t
take_samples(const struct luma_vec *vec, uint32_t rows, double *out)
{
    const double *x = vec->data;
    uint32_t step = rows / SAMPLES + 1, count = 0;
    for (uint32_t row = 0; row < rows; row += step)
        out[count++] = x[row];
    return count;
}

/* Bits of the samples with the best pair. */
static size_t
choose(const double *x, uint32_t count, uint32_t *out_e, uint32_t *out_f, uint32_t *out_exceptions)
{
    size_t best = SIZE_MAX;
    for (uint32_t e = 0; e <= POWER_MAX; e++)
        for (uint32_t f = 0; f <= e; f++) {
            uint32_t exceptions;
            size_t bits = sample_bits(x, count, e, f, &exceptions);
            if (bits >= best)
                continue;
            best = bits;
            *out_e = e;
            *out_f = f;
            *out_exceptions = exceptions;
        }
    return best;
}

static size_t
alp_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             uint32_t *out_cost)
{
    double samples[SAMPLES + 1];
    uint32_t e, f, exceptions, count;

    (void)stats;
    if (rows < 8)
        return SIZE_MAX;
    count = take_samples(vec, rows, samples);
    size_t bits = choose(samples, count, &e, &f, &exceptions);
    if (exceptions * 4 > count)
        return SIZE_MAX;
    *out_cost = 12;
    return HEADER_BYTES + bits * rows / count / 8 + (rows / BLOCK_ROWS + 1) * sizeof(struct block);
}

/* --- encode --- */

static size_t
alp_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return blocks_bound(rows, 8 + EXCEPTION);
}

/* Puts the block's bytes at `to`; gives how many. */
static size_t
block_encode(const double *x, uint32_t n, uint32_t e, uint32_t f, const struct luma_simd *simd,
             struct block *block, uint8_t *to)
{
    int64_t integers[BLOCK_ROWS], min = INT64_MAX, max = INT64_MIN;
    uint16_t rows[BLOCK_ROWS];
    uint32_t exceptions = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!alp_integer(x[i], e, f, &integers[i])) {
            rows[exceptions++] = (uint16_t)i;
            continue;
        }
        min = integers[i] < min ? integers[i] : min;
        max = integers[i] > max ? integers[i] : max;
    }
    min = exceptions == n ? 0 : min;
    max = exceptions == n ? 0 : max;
    for (uint32_t i = 0; i < exceptions; i++)
        integers[rows[i]] = min;
    block->base = min;
    block->exceptions = (uint16_t)exceptions;
    block->bits = (uint8_t)bits_needed((uint64_t)max - (uint64_t)min);
    simd->pack_64((const uint64_t *)integers, (uint64_t)min, block->bits, n, to);
    size_t at = luma_packed_bytes(block->bits, n);
    memcpy(to + at, rows, (size_t)exceptions * 2);
    at += (size_t)exceptions * 2;
    for (uint32_t i = 0; i < exceptions; i++, at += 8)
        memcpy(to + at, &x[rows[i]], 8);
    return at;
}

static luma_rc
alp_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
           const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint8_t *packed = blocks_packed(dst, rows);
    uint32_t offset = 0, e = 0, f = 0, exceptions;
    double samples[SAMPLES + 1];

    (void)ctx;
    if (dst->room_bytes < alp_bound(vec, rows, stats))
        return LUMA_E_ROOM;
    (void)choose(samples, take_samples(vec, rows, samples), &e, &f, &exceptions);
    for (uint32_t b = 0; b < blocks_of(rows); b++) {
        struct block block = {.offset = offset};
        offset += (uint32_t)block_encode((const double *)vec->data + ((size_t)b << BLOCK_LOG2),
                                         block_rows(rows, b), e, f, simd, &block, packed + offset);
        memcpy(blocks_entry(dst, b), &block, sizeof(block));
    }
    blocks_finish(dst, vec->phys, rows, offset);
    dst->data[2] = (uint8_t)e;
    dst->data[3] = (uint8_t)f;
    return LUMA_OK;
}

/* --- read --- */

static bool
block_sound(const struct block *block, uint32_t n, const uint8_t *packed, uint32_t packed_bytes)
{
    size_t at = luma_packed_bytes(block->bits, n);
    int32_t previous = -1;
    if (block->bits > BITS_MAX + 2 || block->exceptions > n ||
        at + (size_t)block->exceptions * EXCEPTION > packed_bytes - block->offset)
        return false;
    for (uint32_t i = 0; i < block->exceptions; i++) {
        uint16_t row;
        memcpy(&row, packed + block->offset + at + (size_t)i * 2, 2);
        if (row >= n || row <= previous)
            return false;
        previous = row;
    }
    return true;
}

static luma_rc
alp_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    LUMA_TRY(blocks_open(ctx, view, block_sound));
    const uint8_t *p = view->bytes.data;
    if (p[2] > POWER_MAX || p[3] > POWER_MAX)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "alp: the column's header is damaged");
    memcpy(&view->words[W_UP], &powers[p[3]], 8);
    memcpy(&view->words[W_DOWN], &shares[p[2]], 8);
    return LUMA_OK;
}

/* Rows skip .. skip+n-1 of a block; the integers lie where the doubles go. */
static void
block_decode(const struct luma_enc_view *view, uint32_t b, uint32_t skip, uint32_t n, double *out)
{
    const struct block *block = block_at(view, b);
    const uint8_t *packed = packed_of(view, block);
    uint64_t integers[BLOCK_ROWS];
    double up, down;

    memcpy(&up, &view->words[W_UP], 8);
    memcpy(&down, &view->words[W_DOWN], 8);
    view->simd->unpack_64(packed, block->bits, (uint64_t)block->base, skip, n, integers);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (double)(int64_t)integers[i] * up * down;
    const uint8_t *rows = packed + luma_packed_bytes(block->bits, block_rows(view->rows, b));
    const uint8_t *values = rows + (size_t)block->exceptions * 2;
    for (uint32_t i = 0; i < block->exceptions; i++) {
        uint16_t row;
        memcpy(&row, rows + (size_t)i * 2, 2);
        if (row >= skip && row - skip < n)
            memcpy(&out[row - skip], values + (size_t)i * 8, 8);
    }
}

static luma_rc
alp_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
           struct luma_vec *out)
{
    (void)arena;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n;) {
        uint32_t row = first + done, b = row >> BLOCK_LOG2, skip = row & (BLOCK_ROWS - 1);
        uint32_t m = block_rows(view->rows, b) - skip;
        m = m < n - done ? m : n - done;
        block_decode(view, b, skip, m, (double *)out->data + done);
        done += m;
    }
    return LUMA_OK;
}

static void
alp_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    const struct block *block = block_at(view, row >> BLOCK_LOG2);
    const uint8_t *packed = packed_of(view, block);
    uint32_t k = row & (BLOCK_ROWS - 1), lo = 0, hi = block->exceptions;
    const uint8_t *rows =
        packed + luma_packed_bytes(block->bits, block_rows(view->rows, row >> BLOCK_LOG2));
    double up, down;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        uint16_t at;
        memcpy(&at, rows + (size_t)mid * 2, 2);
        if (at == k) {
            memcpy(out, rows + (size_t)block->exceptions * 2 + (size_t)mid * 8, 8);
            return;
        }
        if (at < k)
            lo = mid + 1;
        else
            hi = mid;
    }
    memcpy(&up, &view->words[W_UP], 8);
    memcpy(&down, &view->words[W_DOWN], 8);
    int64_t v = (int64_t)((uint64_t)block->base + luma_packed_get(packed, block->bits, k));
    double x = (double)v * up * down;
    memcpy(out, &x, sizeof(x));
}

static luma_rc
alp_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
               uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    if (sel_rows > n / 8)
        return alp_decode(view, first, n, arena, out);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        alp_get(view, first + sel[k], (double *)out->data + sel[k]);
    return LUMA_OK;
}

static const struct luma_encoding alp_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x616c7020, /* written in segment files: a value is never used twice */
    .phys_mask = 1u << LUMA_PHYS_F64,
    .estimate = alp_estimate,
    .bound = alp_bound,
    .encode = alp_encode,
    .open = alp_open,
    .decode = alp_decode,
    .decode_sel = alp_decode_sel,
    .get = alp_get,
};

LUMA_MODULE(.kind = "encoding", .name = "alp", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "doubles that are decimals, as packed integers",
            .offers = LUMA_OFFERS({"encoding.alp", &alp_encoding.head}));
