/*
 * storage/segment/plain.c - the encoding the kernel has itself: values as they are. Fixed widths
 * are handed out where they lie; strings are u32 offsets[rows + 1] and then the bytes.
 */
#include "storage/segment/segment_priv.h"

enum { W_OFFSETS, W_BYTES };

static size_t
plain_bytes(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    if (vec->phys == LUMA_PHYS_STR)
        return ((size_t)rows + 1) * 4 + stats->text_bytes;
    return (size_t)rows * luma_phys_bytes((enum luma_phys)vec->phys);
}

static size_t
plain_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
               uint32_t *out_cost)
{
    *out_cost = 10;
    return plain_bytes(vec, rows, stats);
}

static luma_rc
plain_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
             const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    size_t need = plain_bytes(vec, rows, stats);
    (void)simd;
    if (need > UINT32_MAX / 2)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "a column of %zu bytes does not fit a chunk", need);
    if (dst->room_bytes < need)
        return LUMA_E_ROOM;
    dst->used_bytes = need;
    if (vec->phys != LUMA_PHYS_STR) {
        if (need > 0)
            memcpy(dst->data, vec->data, need);
        return LUMA_OK;
    }
    uint8_t *bytes = dst->data + ((size_t)rows + 1) * 4;
    uint32_t at = 0;
    for (uint32_t i = 0; i < rows; i++) {
        const struct luma_str *s = (const struct luma_str *)vec->data + i;
        lk_store_u32(dst->data + (size_t)i * 4, at);
        memcpy(bytes + at, luma_str_data(s), s->bytes);
        at += s->bytes;
    }
    lk_store_u32(dst->data + (size_t)rows * 4, at);
    return LUMA_OK;
}

static luma_rc
plain_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    size_t rows = view->rows;
    view->words[W_OFFSETS] = (uint64_t)(uintptr_t)view->bytes.data;
    if (view->phys == LUMA_PHYS_NONE || view->phys >= LUMA_PHYS_COUNT_)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "plain: no such physical form");
    if (view->phys != LUMA_PHYS_STR) {
        if (view->bytes.bytes != rows * luma_phys_bytes((enum luma_phys)view->phys))
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "plain: %zu bytes are not %zu values",
                             view->bytes.bytes, rows);
        return LUMA_OK;
    }
    if (view->bytes.bytes < (rows + 1) * 4)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "plain: %zu bytes are not %zu strings",
                         view->bytes.bytes, rows);
    const uint32_t *offsets = (const uint32_t *)(const void *)view->bytes.data;
    uint32_t sound = offsets[0] == 0;
    for (size_t i = 0; i < rows; i++)
        sound &= offsets[i] <= offsets[i + 1];
    if (sound == 0 || offsets[rows] != view->bytes.bytes - (rows + 1) * 4)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "plain: the offsets of strings are out of order");
    view->words[W_BYTES] = (uint64_t)(uintptr_t)(offsets + rows + 1);
    return LUMA_OK;
}

static inline struct luma_str
string_at(const struct luma_enc_view *view, size_t row)
{
    const uint32_t *offsets = (const uint32_t *)(uintptr_t)view->words[W_OFFSETS];
    const char *bytes = (const char *)(uintptr_t)view->words[W_BYTES];
    return luma_str_make(bytes + offsets[row], offsets[row + 1] - offsets[row]);
}

static luma_rc
plain_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
             struct luma_vec *out)
{
    (void)arena;
    out->form = LUMA_VEC_FLAT;
    if (view->phys != LUMA_PHYS_STR) { /* where they lie: nobody writes into a batch it is given */
        out->data = (uint8_t *)(uintptr_t)view->words[W_OFFSETS] +
                    (size_t)first * luma_phys_bytes((enum luma_phys)view->phys);
        return LUMA_OK;
    }
    struct luma_str *strings = out->data;
    for (uint32_t i = 0; i < n; i++)
        strings[i] = string_at(view, first + i);
    return LUMA_OK;
}

static luma_rc
plain_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
                 uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    if (view->phys != LUMA_PHYS_STR)
        return plain_decode(view, first, n, arena, out);
    struct luma_str *strings = out->data;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        strings[sel[k]] = string_at(view, (size_t)first + sel[k]);
    return LUMA_OK;
}

static void
plain_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    if (view->phys == LUMA_PHYS_STR) {
        struct luma_str s = string_at(view, row);
        memcpy(out, &s, sizeof(s));
        return;
    }
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    memcpy(out, (const uint8_t *)(uintptr_t)view->words[W_OFFSETS] + (size_t)row * size, size);
}

const struct luma_encoding lki_segment_plain = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = LKI_ENCODING_PLAIN,
    .phys_mask = ((1u << LUMA_PHYS_COUNT_) - 1) & ~1u,
    .estimate = plain_estimate,
    .bound = plain_bytes,
    .encode = plain_encode,
    .open = plain_open,
    .decode = plain_decode,
    .decode_sel = plain_decode_sel,
    .get = plain_get,
    .flags = LUMA_ENCODING_VERBATIM,
};
