/*
 * modules/encoding/bitpack/bitpack.c - frame of reference: each value as its distance from the
 * smallest, in as few bits as the largest distance needs.
 *
 *   0  u8  bits of a value, 0 .. 64
 *   1  u8  physical form
 *   2  u16 0
 *   4  u32 rows
 *   8  i128 base
 *   24 u64 0
 *   32 packed values, LSB first
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#define HEADER_BYTES 32
#define TMP_ROWS     1024 /* a multiple of 64: a block of any width ends on a byte */

#define PHYS_MASK                                                                             \
    (1u << LUMA_PHYS_BOOL | 1u << LUMA_PHYS_I16 | 1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64 | \
     1u << LUMA_PHYS_I128)

/* words[] of an open view */
enum { W_PACKED, W_BITS, W_BASE_LO, W_BASE_HI };

struct frame {
    luma_i128 base;
    uint32_t bits;
};

static inline luma_i128
value_at(const struct luma_vec *vec, uint32_t row)
{
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        return ((const uint8_t *)vec->data)[row];
    case LUMA_PHYS_I16:
        return ((const int16_t *)vec->data)[row];
    case LUMA_PHYS_I32:
        return ((const int32_t *)vec->data)[row];
    case LUMA_PHYS_I64:
        return ((const int64_t *)vec->data)[row];
    default:
        return ((const luma_i128 *)vec->data)[row];
    }
}

static uint32_t
width(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

/* False: the values span more than 64 bits. Null rows count too: the kernel writes what is cheap.
 */
static bool
frame_of(const struct luma_vec *vec, uint32_t rows, struct frame *out)
{
    luma_i128 min = rows == 0 ? 0 : value_at(vec, 0), max = min;
    for (uint32_t i = 1; i < rows; i++) {
        luma_i128 v = value_at(vec, i);
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    unsigned __int128 span = (unsigned __int128)max - (unsigned __int128)min;
    if (span >> 64 != 0)
        return false;
    out->base = min;
    out->bits = width((uint64_t)span);
    return true;
}

/* From the statistics where they have it: no pass over the values. */
static bool
frame_from(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
           struct frame *out)
{
    if (vec->phys == LUMA_PHYS_I128 || vec->phys == LUMA_PHYS_BOOL)
        return frame_of(vec, rows, out);
    out->base = stats->min;
    out->bits = width((uint64_t)stats->max - (uint64_t)stats->min);
    return true;
}

static size_t
bitpack_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
                 uint32_t *out_cost)
{
    struct frame frame;
    if (!frame_from(vec, rows, stats, &frame) ||
        frame.bits >= luma_phys_bytes((enum luma_phys)vec->phys) * 8)
        return SIZE_MAX;
    *out_cost = 11;
    return HEADER_BYTES + luma_packed_bytes(frame.bits, rows);
}

static size_t
bitpack_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    (void)stats;
    return HEADER_BYTES + (size_t)rows * 8 + 16;
}

static void
widen(const struct luma_vec *vec, uint32_t first, uint32_t n, uint64_t *out)
{
    switch (vec->phys) {
    case LUMA_PHYS_I32:
        for (uint32_t i = 0; i < n; i++)
            out[i] = (uint64_t)(int64_t)((const int32_t *)vec->data)[first + i];
        break;
    case LUMA_PHYS_I64:
        memcpy(out, (const uint64_t *)vec->data + first, (size_t)n * 8);
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            out[i] = (uint64_t)value_at(vec, first + i);
        break;
    }
}

static luma_rc
bitpack_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
               const struct luma_enc_stats *stats, const struct luma_simd *simd,
               struct luma_buf *dst)
{
    struct frame frame;
    uint64_t tmp[TMP_ROWS];

    (void)stats; /* the frame is what the values say: a wrong statistic must not lose data */
    if (!frame_of(vec, rows, &frame))
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "bitpack: values span more than 64 bits");
    size_t bytes = HEADER_BYTES + luma_packed_bytes(frame.bits, rows);
    if (dst->room_bytes < bytes + 8)
        return LUMA_E_ROOM;
    memset(dst->data, 0, HEADER_BYTES);
    dst->data[0] = (uint8_t)frame.bits;
    dst->data[1] = vec->phys;
    memcpy(dst->data + 4, &rows, sizeof(rows));
    memcpy(dst->data + 8, &frame.base, sizeof(frame.base));
    uint8_t *packed = dst->data + HEADER_BYTES;
    for (uint32_t first = 0; first < rows; first += TMP_ROWS) {
        uint32_t n = rows - first < TMP_ROWS ? rows - first : TMP_ROWS;
        widen(vec, first, n, tmp);
        simd->pack_64(tmp, (uint64_t)frame.base, frame.bits, n, packed);
        packed += luma_packed_bytes(frame.bits, n);
    }
    dst->used_bytes = bytes;
    return LUMA_OK;
}

/* Do all values fit the physical form? base and base + 2^bits - 1 must not wrap within it, except
 * that the highest codes may be unused: then the largest value tells, and it was written by us. */
static bool
fits(uint8_t phys, luma_i128 base)
{
    switch (phys) {
    case LUMA_PHYS_BOOL:
        return base == 0 || base == 1;
    case LUMA_PHYS_I16:
        return base >= INT16_MIN && base <= INT16_MAX;
    case LUMA_PHYS_I32:
        return base >= INT32_MIN && base <= INT32_MAX;
    case LUMA_PHYS_I64:
        return base >= INT64_MIN && base <= INT64_MAX;
    default:
        return true;
    }
}

static luma_rc
bitpack_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    const uint8_t *p = view->bytes.data;
    uint32_t rows;
    luma_i128 base;

    if (view->bytes.bytes < HEADER_BYTES)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "bitpack: %zu bytes are no column",
                         view->bytes.bytes);
    memcpy(&rows, p + 4, sizeof(rows));
    memcpy(&base, p + 8, sizeof(base));
    uint32_t bits = p[0];
    uint32_t bits_max =
        view->phys == LUMA_PHYS_BOOL ? 1 : luma_phys_bytes((enum luma_phys)view->phys) * 8;
    if (p[1] != view->phys || (PHYS_MASK >> view->phys & 1) == 0 || rows != view->rows ||
        bits > 64 || bits > bits_max || !fits(view->phys, base) ||
        (view->phys == LUMA_PHYS_BOOL && base == 1 && bits != 0) ||
        view->bytes.bytes < HEADER_BYTES + luma_packed_bytes(bits, rows))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "bitpack: the column's header is damaged");
    view->words[W_PACKED] = (uint64_t)(uintptr_t)(p + HEADER_BYTES);
    view->words[W_BITS] = bits;
    view->words[W_BASE_LO] = (uint64_t)base;
    view->words[W_BASE_HI] = (uint64_t)(base >> 64);
    return LUMA_OK;
}

static inline struct frame
view_frame(const struct luma_enc_view *view, const uint8_t **out_packed)
{
    *out_packed = (const uint8_t *)(uintptr_t)view->words[W_PACKED];
    struct frame frame = {
        (luma_i128)((unsigned __int128)view->words[W_BASE_HI] << 64 | view->words[W_BASE_LO]),
        (uint32_t)view->words[W_BITS]};
    return frame;
}

static void
store_value(uint8_t phys, luma_i128 base, uint64_t code, void *out)
{
    luma_i128 v = (luma_i128)((unsigned __int128)base + code);
    switch (phys) {
    case LUMA_PHYS_BOOL:
        *(uint8_t *)out = (uint8_t)v;
        break;
    case LUMA_PHYS_I16:
        *(int16_t *)out = (int16_t)v;
        break;
    case LUMA_PHYS_I32:
        *(int32_t *)out = (int32_t)v;
        break;
    case LUMA_PHYS_I64:
        *(int64_t *)out = (int64_t)v;
        break;
    default:
        memcpy(out, &v, sizeof(v));
        break;
    }
}

static void
decode_narrow(const struct luma_enc_view *view, const uint8_t *packed, struct frame frame,
              uint32_t first, uint32_t n, void *out)
{
    uint32_t tmp[TMP_ROWS];
    for (uint32_t done = 0; done < n; done += TMP_ROWS) {
        uint32_t m = n - done < TMP_ROWS ? n - done : TMP_ROWS;
        view->simd->unpack_32(packed, frame.bits, (uint32_t)frame.base, first + done, m, tmp);
        if (view->phys == LUMA_PHYS_I16)
            for (uint32_t i = 0; i < m; i++)
                ((uint16_t *)out)[done + i] = (uint16_t)tmp[i];
        else
            for (uint32_t i = 0; i < m; i++)
                ((uint8_t *)out)[done + i] = (uint8_t)tmp[i];
    }
}

static luma_rc
bitpack_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n,
               struct luma_arena *arena, struct luma_vec *out)
{
    const uint8_t *packed;
    struct frame frame = view_frame(view, &packed);

    (void)arena;
    out->form = LUMA_VEC_FLAT;
    if (frame.bits == 0) {
        out->form = LUMA_VEC_CONST;
        store_value(view->phys, frame.base, 0, out->data);
        return LUMA_OK;
    }
    switch (view->phys) {
    case LUMA_PHYS_I32:
        view->simd->unpack_32(packed, frame.bits, (uint32_t)frame.base, first, n, out->data);
        break;
    case LUMA_PHYS_I64:
        view->simd->unpack_64(packed, frame.bits, (uint64_t)frame.base, first, n, out->data);
        break;
    case LUMA_PHYS_I128:
        for (uint32_t i = 0; i < n; i++)
            store_value(view->phys, frame.base, luma_packed_get(packed, frame.bits, first + i),
                        (luma_i128 *)out->data + i);
        break;
    default:
        decode_narrow(view, packed, frame, first, n, out->data);
        break;
    }
    return LUMA_OK;
}

static luma_rc
bitpack_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n,
                   const uint16_t *sel, uint32_t sel_rows, struct luma_arena *arena,
                   struct luma_vec *out)
{
    const uint8_t *packed;
    struct frame frame = view_frame(view, &packed);

    /* Unpacking in order is several times cheaper a value than picking. */
    if (frame.bits == 0 || sel_rows > n / 8)
        return bitpack_decode(view, first, n, arena, out);
    out->form = LUMA_VEC_FLAT;
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    for (uint32_t k = 0; k < sel_rows; k++)
        store_value(view->phys, frame.base,
                    luma_packed_get(packed, frame.bits, (size_t)first + sel[k]),
                    (uint8_t *)out->data + (size_t)sel[k] * size);
    return LUMA_OK;
}

static void
bitpack_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    const uint8_t *packed;
    struct frame frame = view_frame(view, &packed);
    store_value(view->phys, frame.base, luma_packed_get(packed, frame.bits, row), out);
}

static luma_i128
constant_of(const struct luma_value *c)
{
    switch (c->phys) {
    case LUMA_PHYS_BOOL:
        return c->b;
    case LUMA_PHYS_I16:
        return c->i16;
    case LUMA_PHYS_I32:
        return c->i32;
    case LUMA_PHYS_I64:
        return c->i64;
    default:
        return c->i128;
    }
}

/* Compares codes with the constant's distance from the base: no value is made. */
static bool
bitpack_filter(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
               const struct luma_value *constant, uint64_t *out_bits)
{
    union {
        uint32_t u32[TMP_ROWS];
        uint64_t u64[TMP_ROWS];
    } tmp;
    const uint8_t *packed;
    struct frame frame = view_frame(view, &packed);
    luma_i128 distance;

    if (constant->phys != view->phys || frame.bits == 64)
        return false;
    if (__builtin_sub_overflow(constant_of(constant), frame.base, &distance))
        return false;
    if (distance < 0 || distance > ((luma_i128)1 << frame.bits) - 1) {
        luma_bits_all(out_bits, n, luma_cmp_holds(op, distance < 0 ? 1 : -1));
        return true;
    }
    for (uint32_t done = 0; done < n; done += TMP_ROWS) {
        uint32_t m = n - done < TMP_ROWS ? n - done : TMP_ROWS;
        if (frame.bits <= 31) {
            view->simd->unpack_32(packed, frame.bits, 0, first + done, m, tmp.u32);
            view->simd->cmp_i32(op, (const int32_t *)tmp.u32, (int32_t)distance, m,
                                out_bits + done / 64);
        } else {
            view->simd->unpack_64(packed, frame.bits, 0, first + done, m, tmp.u64);
            view->simd->cmp_i64(op, (const int64_t *)tmp.u64, (int64_t)distance, m,
                                out_bits + done / 64);
        }
    }
    return true;
}

static const struct luma_encoding bitpack_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x6270636b, /* written in segment files: a value is never used twice */
    .phys_mask = PHYS_MASK,
    .estimate = bitpack_estimate,
    .bound = bitpack_bound,
    .encode = bitpack_encode,
    .open = bitpack_open,
    .decode = bitpack_decode,
    .decode_sel = bitpack_decode_sel,
    .get = bitpack_get,
    .filter = bitpack_filter,
};

LUMA_MODULE(.kind = "encoding", .name = "bitpack", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "integers, dates and decimals in as few bits as their span needs",
            .offers = LUMA_OFFERS({"encoding.bitpack", &bitpack_encoding.head}));
