/*
 * modules/encoding/text/text.c - strings one behind the other, with bit-packed lengths in place of
 * offsets.
 *
 * Offsets climb, and a codec makes little of them; lengths are few bits, none at all where every
 * string is as long. The bytes stay as they are: vectors point at them, and the codec has them to
 * itself.
 *
 *   0  u8  physical form (STR)
 *   1  u8  bits of a length less the smallest, 0 .. 32
 *   2  u8  log2 of the rows of a block: 5
 *   3  u8  0
 *   4  u32 rows
 *   8  u32 smallest length
 *   12 u32 blocks; 0 when all strings are as long
 *   16 u32 offset of the packed lengths, a multiple of 8
 *   20 u32 offset of the bytes
 *   24 u64 0
 *   32 u32 where the first string of each block begins, in the bytes
 *   .. packed lengths less the smallest, then the bytes
 */
#include <lumadb/module.h>

#include "lengths.h"

#define HEADER_BYTES 32
#define SAMPLE_ROWS  1024u

/* words[] of an open view, behind those of the lengths */
enum { W_STARTS = W_OWN, W_BYTES };

struct head {
    uint8_t phys, bits, block_log2, zero;
    uint32_t rows, shortest, blocks, lengths_at, bytes_at;
    uint64_t nothing;
};
LUMA_STATIC_ASSERT(sizeof(struct head) == HEADER_BYTES, "as on disk");

/* --- writing --- */

static struct head
head_make(uint32_t rows, uint32_t shortest, uint32_t longest)
{
    struct head h = {.phys = LUMA_PHYS_STR, .block_log2 = BLOCK_LOG2};
    h.bits = (uint8_t)bits_needed(longest - shortest);
    h.rows = rows;
    h.shortest = shortest;
    h.blocks = h.bits == 0 ? 0 : blocks_of(rows);
    h.lengths_at = (uint32_t)align8(HEADER_BYTES + (size_t)h.blocks * 4);
    h.bytes_at = h.lengths_at + (uint32_t)align8(luma_packed_bytes(h.bits, rows));
    return h;
}

static struct head
measure(const struct luma_vec *vec, uint32_t rows, uint32_t step)
{
    const struct luma_str *s = strings_of(vec);
    uint32_t shortest = UINT32_MAX, longest = 0;
    for (uint32_t i = 0; i < rows; i += step) {
        shortest = s[i].bytes < shortest ? s[i].bytes : shortest;
        longest = s[i].bytes > longest ? s[i].bytes : longest;
    }
    return head_make(rows, rows == 0 ? 0 : shortest, longest);
}

static size_t
text_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
              uint32_t *out_cost)
{
    if (rows == 0)
        return SIZE_MAX;
    *out_cost = 10;
    return measure(vec, rows, rows / SAMPLE_ROWS + 1).bytes_at + stats->text_bytes;
}

static size_t
text_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    return HEADER_BYTES + (size_t)rows * 5 + 64 + stats->text_bytes;
}

static void
write_lengths(const struct luma_vec *vec, const struct head *h, const struct luma_simd *simd,
              uint8_t *out)
{
    const struct luma_str *s = strings_of(vec);
    uint64_t lengths[STEP_ROWS];
    uint32_t at = 0;
    for (uint32_t first = 0; first < h->rows; first += STEP_ROWS) {
        uint32_t n = step_rows(h->rows, first);
        for (uint32_t i = 0; i < n; i++) {
            if (((first + i) & (BLOCK_ROWS - 1)) == 0)
                memcpy(out + HEADER_BYTES + (size_t)((first + i) >> BLOCK_LOG2) * 4, &at, 4);
            lengths[i] = s[first + i].bytes;
            at += s[first + i].bytes;
        }
        lengths_pack(simd, lengths, first, n, h->shortest, h->bits, out + h->lengths_at);
    }
}

static luma_rc
text_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
            const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    const struct luma_str *s = strings_of(vec);
    struct head h = measure(vec, rows, 1);
    size_t at = h.bytes_at;

    (void)ctx;
    (void)stats;
    if (dst->room_bytes < at)
        return LUMA_E_ROOM;
    memset(dst->data, 0, at);
    memcpy(dst->data, &h, sizeof(h));
    for (uint32_t i = 0; i < rows; i++) {
        if (dst->room_bytes - at < s[i].bytes || at + s[i].bytes > UINT32_MAX / 2)
            return LUMA_E_ROOM;
        memcpy(dst->data + at, luma_str_data(&s[i]), s[i].bytes);
        at += s[i].bytes;
    }
    if (h.bits > 0)
        write_lengths(vec, &h, simd, dst->data);
    dst->used_bytes = at;
    return LUMA_OK;
}

/* --- reading --- */

/* Where the string of a row begins. */
static size_t
start_of(const struct luma_enc_view *view, uint32_t row)
{
    const uint32_t *starts = (const uint32_t *)(uintptr_t)view->words[W_STARTS];
    if (view->words[W_BITS] == 0)
        return (size_t)row * view->words[W_SHORTEST];
    return starts[row >> BLOCK_LOG2] + bytes_before(view, row);
}

static luma_rc
bad(struct luma_ctx *ctx, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "text: %s", what);
}

/* Blocks begin where the lengths before them end, and the last one ends with the bytes. */
static bool
lengths_sound(const struct luma_enc_view *view, size_t bytes)
{
    const uint32_t *starts = (const uint32_t *)(uintptr_t)view->words[W_STARTS];
    uint32_t lengths[STEP_ROWS];
    uint64_t at = 0;
    if (view->words[W_BITS] == 0)
        return view->words[W_SHORTEST] * view->rows == bytes;
    for (uint32_t first = 0; first < view->rows; first += STEP_ROWS) {
        uint32_t n = step_rows(view->rows, first);
        lengths_at(view, first, n, lengths);
        for (uint32_t i = 0; i < n; i++) {
            if ((i & (BLOCK_ROWS - 1)) == 0 && starts[(first + i) >> BLOCK_LOG2] != at)
                return false;
            at += lengths[i];
        }
        if (at > bytes)
            return false;
    }
    return at == bytes;
}

static luma_rc
text_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    const uint8_t *data = view->bytes.data;
    struct head h;

    if (view->phys != LUMA_PHYS_STR || view->bytes.bytes < HEADER_BYTES)
        return bad(ctx, "no header of strings");
    memcpy(&h, data, sizeof(h));
    if (h.phys != LUMA_PHYS_STR || h.bits > 32 || h.block_log2 != BLOCK_LOG2 || h.zero != 0 ||
        h.rows != view->rows || h.nothing != 0)
        return bad(ctx, "the header does not hold");
    uint64_t longest = (uint64_t)h.shortest + ((uint64_t)1 << h.bits) - 1;
    if (h.shortest > UINT32_MAX / 2 || longest > UINT32_MAX)
        return bad(ctx, "a string is too long");
    struct head want = head_make(h.rows, h.shortest, (uint32_t)longest);
    if (memcmp(&h, &want, sizeof(h)) != 0 || view->bytes.bytes < h.bytes_at)
        return bad(ctx, "the areas are not where they belong");
    view->words[W_STARTS] = (uint64_t)(uintptr_t)(data + HEADER_BYTES);
    view->words[W_BYTES] = (uint64_t)(uintptr_t)(data + h.bytes_at);
    lengths_open(view, data + h.lengths_at, h.bits, h.shortest);
    if (!lengths_sound(view, view->bytes.bytes - h.bytes_at))
        return bad(ctx, "the lengths are not those of the bytes");
    return LUMA_OK;
}

static luma_rc
text_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
            struct luma_vec *out)
{
    const char *at = (const char *)(uintptr_t)view->words[W_BYTES] + start_of(view, first);
    struct luma_str *strings = out->data;
    uint32_t lengths[STEP_ROWS];

    (void)arena;
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n; done += STEP_ROWS) {
        uint32_t m = step_rows(n, done);
        lengths_at(view, first + done, m, lengths);
        for (uint32_t i = 0; i < m; i++) {
            strings[done + i] = luma_str_make(at, lengths[i]);
            at += lengths[i];
        }
    }
    return LUMA_OK;
}

static void
text_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    const char *bytes = (const char *)(uintptr_t)view->words[W_BYTES];
    uint32_t length;
    lengths_at(view, row, 1, &length);
    struct luma_str s = luma_str_make(bytes + start_of(view, row), length);
    memcpy(out, &s, sizeof(s));
}

static luma_rc
text_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
                uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    struct luma_str *strings = out->data;
    if (sel_rows > n / 16)
        return text_decode(view, first, n, arena, out);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        text_get(view, first + sel[k], &strings[sel[k]]);
    return LUMA_OK;
}

/* --- filters --- */

/* Bits of the strings whose order against the wanted one holds. */
static void
order_step(enum luma_cmp op, const char *at, const uint32_t *lengths, uint32_t m,
           const char *wanted, uint32_t wanted_bytes, uint64_t *out)
{
    for (uint32_t i = 0; i < m; i++) {
        uint32_t both = lengths[i] < wanted_bytes ? lengths[i] : wanted_bytes;
        int c = memcmp(at, wanted, both);
        if (c == 0)
            c = (lengths[i] > wanted_bytes) - (lengths[i] < wanted_bytes);
        out[i / 64] |= (uint64_t)luma_cmp_holds(op, c) << (i & 63);
        at += lengths[i];
    }
}

static bool
text_filter(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
            const struct luma_value *constant, uint64_t *out_bits)
{
    const char *at = (const char *)(uintptr_t)view->words[W_BYTES] + start_of(view, first);
    uint32_t lengths[STEP_ROWS];

    if (constant->phys != LUMA_PHYS_STR)
        return false;
    const char *wanted = luma_str_data(&constant->str);
    luma_bits_all(out_bits, n, false);
    for (uint32_t done = 0; done < n; done += STEP_ROWS) {
        uint32_t m = step_rows(n, done);
        lengths_at(view, first + done, m, lengths);
        if (op == LUMA_CMP_EQ || op == LUMA_CMP_NE)
            same_bytes(at, lengths, m, wanted, constant->str.bytes, op == LUMA_CMP_EQ,
                       out_bits + done / 64);
        else
            order_step(op, at, lengths, m, wanted, constant->str.bytes, out_bits + done / 64);
        for (uint32_t i = 0; i < m; i++)
            at += lengths[i];
    }
    return true;
}

static const struct luma_encoding text_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x74657874, /* written in segment files: a value is never used twice */
    .phys_mask = 1u << LUMA_PHYS_STR,
    .estimate = text_estimate,
    .bound = text_bound,
    .encode = text_encode,
    .open = text_open,
    .decode = text_decode,
    .decode_sel = text_decode_sel,
    .get = text_get,
    .filter = text_filter,
    .flags = LUMA_ENCODING_VERBATIM,
};

LUMA_MODULE(.kind = "encoding", .name = "text", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "strings with bit-packed lengths",
            .offers = LUMA_OFFERS({"encoding.text", &text_encoding.head}));
