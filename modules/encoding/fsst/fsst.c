/*
 * modules/encoding/fsst/fsst.c - strings as codes of a table of symbols, with bit-packed lengths.
 *
 *   0  u8  physical form (STR)
 *   1  u8  symbols, 0 .. 255
 *   2  u8  bits of a string's codes in bytes less the smallest, 0 .. 32
 *   3  u8  log2 of the rows of a block: 5
 *   4  u32 rows
 *   8  u32 fewest codes of a string, in bytes
 *   12 u32 blocks
 *   16 u32 offset of the packed lengths, a multiple of 8
 *   20 u32 offset of the codes
 *   24 u32 bytes of all strings
 *   28 u32 0
 *   32 per block u32 where its first string begins in the codes, u32 where in the strings
 *   .. symbols x u64, longest first; symbols x u8 their lengths
 *   .. packed lengths less the smallest, then the codes
 *
 * A string's codes are the longest symbol at each place, FSST_ESCAPE and a byte where there is
 * none: so two strings are equal when their codes are.
 */
#include "fsst.h"

#include <lumadb/module.h>

#include <stdlib.h>

#include "lengths.h"

#define HEADER_BYTES   32
#define SAMPLE_PIECES  1024u
#define TEXT_BYTES_MIN 65536 /* learning takes 2 ms, a table up to 2.3 KB */
#define FEW_BYTES      4096u /* of a constant's codes */

/* words[] of an open view, behind those of the lengths */
enum { W_BLOCKS = W_OWN, W_CODES };

struct head {
    uint8_t phys, symbols, bits, block_log2;
    uint32_t rows, fewest, blocks, lengths_at, codes_at, text_bytes, zero;
};
LUMA_STATIC_ASSERT(sizeof(struct head) == HEADER_BYTES, "as on disk");

struct block {
    uint32_t codes, text;
};

static inline size_t
symbols_at(uint32_t blocks)
{
    return HEADER_BYTES + (size_t)blocks * sizeof(struct block);
}

static struct head
head_make(uint32_t rows, uint32_t symbols, uint32_t fewest, uint32_t most)
{
    struct head h = {.phys = LUMA_PHYS_STR, .block_log2 = BLOCK_LOG2};
    h.symbols = (uint8_t)symbols;
    h.bits = (uint8_t)bits_needed(most - fewest);
    h.rows = rows;
    h.fewest = fewest;
    h.blocks = blocks_of(rows);
    h.lengths_at = (uint32_t)align8(symbols_at(h.blocks) + (size_t)symbols * 9);
    h.codes_at = h.lengths_at + (uint32_t)align8(luma_packed_bytes(h.bits, rows));
    return h;
}

/* --- writing --- */

/* Strings from all over the column; NULL: no memory. */
static struct fsst_sample *
sample_of(const struct luma_vec *vec, uint32_t rows)
{
    const struct luma_str *s = strings_of(vec);
    struct fsst_sample *sample = fsst_sample_create();
    uint32_t step = rows / SAMPLE_PIECES + 1;
    /* Strides of odd numbers first meet other strings at each turn. */
    for (uint32_t turn = 0; sample != NULL && turn < step; turn++)
        for (uint32_t i = turn; i < rows; i += step)
            if (!fsst_sample_add(sample, luma_str_data(&s[i]), s[i].bytes))
                return sample;
    return sample;
}

/* NULL: no memory. */
static struct fsst_matcher *
learn(const struct luma_vec *vec, uint32_t rows, size_t *out_bytes, size_t *out_codes)
{
    struct fsst_sample *sample = sample_of(vec, rows);
    struct fsst_matcher *matcher = malloc(sizeof(*matcher));
    if (sample == NULL || matcher == NULL || !fsst_learn(sample, matcher)) {
        free(matcher);
        matcher = NULL;
    } else if (out_bytes != NULL) {
        fsst_sample_measure(sample, matcher, out_bytes, out_codes);
    }
    fsst_sample_destroy(sample);
    return matcher;
}

static size_t
fsst_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
              uint32_t *out_cost)
{
    size_t bytes, codes;
    if (rows == 0 || stats->text_bytes < TEXT_BYTES_MIN)
        return SIZE_MAX;
    struct fsst_matcher *matcher = learn(vec, rows, &bytes, &codes);
    if (matcher == NULL)
        return SIZE_MAX;
    *out_cost = 14;
    size_t text = (size_t)((double)stats->text_bytes * (double)codes / (double)(bytes + 1));
    uint32_t most = (uint32_t)(2 * text / rows); /* lengths mostly lie below twice their mean */
    text += head_make(rows, matcher->table.count, 0, most).codes_at;
    free(matcher);
    return text;
}

static size_t
fsst_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    (void)vec;
    return HEADER_BYTES + (size_t)rows * 5 + 4096 + 2 * stats->text_bytes;
}

/* Codes of all strings, one behind the other, and how many bytes each has. */
struct pieces {
    uint8_t *codes;
    uint32_t *lengths;
    size_t bytes;
    uint32_t fewest, most;
};

static bool
compress_all(const struct luma_vec *vec, uint32_t rows, const struct fsst_matcher *matcher,
             size_t text_bytes, struct pieces *out)
{
    const struct luma_str *s = strings_of(vec);
    *out = (struct pieces){.fewest = UINT32_MAX};
    out->codes = malloc(2 * text_bytes + 2);
    out->lengths = malloc(rows * sizeof(*out->lengths));
    if (out->codes == NULL || out->lengths == NULL)
        return false;
    for (uint32_t i = 0; i < rows; i++) {
        size_t n =
            fsst_compress(matcher, luma_str_data(&s[i]), s[i].bytes, out->codes + out->bytes);
        out->lengths[i] = (uint32_t)n;
        out->bytes += n;
        out->fewest = (uint32_t)n < out->fewest ? (uint32_t)n : out->fewest;
        out->most = (uint32_t)n > out->most ? (uint32_t)n : out->most;
    }
    return true;
}

static void
write_lengths(const struct luma_vec *vec, const struct head *h, const struct pieces *pieces,
              const struct luma_simd *simd, uint8_t *out)
{
    const struct luma_str *s = strings_of(vec);
    uint64_t lengths[STEP_ROWS];
    struct block at = {0, 0};
    for (uint32_t first = 0; first < h->rows; first += STEP_ROWS) {
        uint32_t n = step_rows(h->rows, first);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t row = first + i;
            if ((row & (BLOCK_ROWS - 1)) == 0)
                memcpy(out + HEADER_BYTES + (size_t)(row >> BLOCK_LOG2) * sizeof(at), &at,
                       sizeof(at));
            lengths[i] = pieces->lengths[row];
            at.codes += pieces->lengths[row];
            at.text += s[row].bytes;
        }
        lengths_pack(simd, lengths, first, n, h->fewest, h->bits, out + h->lengths_at);
    }
}

static luma_rc
write_column(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             const struct luma_simd *simd, const struct fsst_matcher *matcher, struct luma_buf *dst)
{
    const struct fsst_table *table = &matcher->table;
    struct pieces pieces;
    luma_rc rc = LUMA_E_NOMEM;
    if (compress_all(vec, rows, matcher, stats->text_bytes, &pieces)) {
        struct head h = head_make(rows, table->count, pieces.fewest, pieces.most);
        size_t symbols = symbols_at(h.blocks);
        h.text_bytes = (uint32_t)stats->text_bytes;
        dst->used_bytes = h.codes_at + pieces.bytes;
        rc = dst->used_bytes <= dst->room_bytes ? LUMA_OK : LUMA_E_ROOM;
        if (rc == LUMA_OK) {
            memset(dst->data, 0, h.codes_at);
            memcpy(dst->data, &h, sizeof(h));
            memcpy(dst->data + symbols, table->values, (size_t)table->count * 8);
            memcpy(dst->data + symbols + (size_t)table->count * 8, table->bytes, table->count);
            write_lengths(vec, &h, &pieces, simd, dst->data);
            memcpy(dst->data + h.codes_at, pieces.codes, pieces.bytes);
        }
    }
    free(pieces.codes);
    free(pieces.lengths);
    return rc;
}

static luma_rc
fsst_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
            const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    if (rows == 0 || dst->room_bytes < head_make(rows, 0, 0, 0).codes_at ||
        stats->text_bytes > UINT32_MAX / 4)
        return LUMA_E_ROOM;
    struct fsst_matcher *matcher = learn(vec, rows, NULL, NULL);
    luma_rc rc =
        matcher == NULL ? LUMA_E_NOMEM : write_column(vec, rows, stats, simd, matcher, dst);
    free(matcher);
    return rc == LUMA_E_NOMEM ? LUMA_FAIL(ctx, rc, "no memory to compress strings") : rc;
}

/* --- reading --- */

static inline const struct fsst_table *
table_of(const struct luma_enc_view *view)
{
    return view->room;
}

static inline const struct block *
block_of(const struct luma_enc_view *view, uint32_t row)
{
    return (const struct block *)(uintptr_t)view->words[W_BLOCKS] + (row >> BLOCK_LOG2);
}

/* Where the codes of a row begin. */
static const uint8_t *
codes_of(const struct luma_enc_view *view, uint32_t row)
{
    const uint8_t *codes = (const uint8_t *)(uintptr_t)view->words[W_CODES];
    return codes + block_of(view, row)->codes + bytes_before(view, row);
}

static luma_rc
bad(struct luma_ctx *ctx, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "fsst: %s", what);
}

/* Bytes of the string that codes stand for; SIZE_MAX: they stand for none. */
static size_t
text_bytes(const struct fsst_table *table, const uint8_t *codes, uint32_t length)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (codes[i] == FSST_ESCAPE)
            i++;
        else if (codes[i] >= table->count)
            return SIZE_MAX;
        else
            bytes += (size_t)table->bytes[codes[i]] - 1;
        if (i >= length)
            return SIZE_MAX;
        bytes++;
    }
    return bytes;
}

/* Blocks begin where what is before them ends, and every code is of a symbol. */
static bool
codes_sound(const struct luma_enc_view *view, size_t bytes, uint32_t text)
{
    const uint8_t *codes = (const uint8_t *)(uintptr_t)view->words[W_CODES];
    uint32_t lengths[STEP_ROWS];
    uint64_t at = 0, text_at = 0;
    for (uint32_t first = 0; first < view->rows; first += STEP_ROWS) {
        uint32_t n = step_rows(view->rows, first);
        lengths_at(view, first, n, lengths);
        for (uint32_t i = 0; i < n; i++) {
            const struct block *block = block_of(view, first + i);
            if (((first + i) & (BLOCK_ROWS - 1)) == 0 &&
                (block->codes != at || block->text != text_at))
                return false;
            if (lengths[i] > bytes - at)
                return false;
            size_t string = text_bytes(table_of(view), codes + at, lengths[i]);
            if (string > text - text_at)
                return false;
            at += lengths[i];
            text_at += string;
        }
    }
    return at == bytes && text_at == text;
}

static bool
take_table(struct fsst_table *table, const uint8_t *symbols, uint32_t count)
{
    table->count = count;
    memset(table->bytes, 1, sizeof(table->bytes));
    memset(table->values, 0, sizeof(table->values));
    memcpy(table->values, symbols, (size_t)count * 8);
    memcpy(table->bytes, symbols + (size_t)count * 8, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = table->bytes[i];
        if (bytes < 1 || bytes > FSST_SYMBOL_BYTES || (i > 0 && bytes > table->bytes[i - 1]) ||
            (bytes < 8 && table->values[i] >> (bytes * 8) != 0))
            return false;
    }
    return true;
}

static size_t
fsst_room(const struct luma_enc_view *view)
{
    (void)view;
    return sizeof(struct fsst_table);
}

static luma_rc
fsst_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    const uint8_t *data = view->bytes.data;
    struct head h;

    if (view->phys != LUMA_PHYS_STR || view->bytes.bytes < HEADER_BYTES)
        return bad(ctx, "no header of strings");
    memcpy(&h, data, sizeof(h));
    if (h.bits > 32 || h.rows != view->rows || h.rows > LUMA_CHUNK_ROWS_MAX)
        return bad(ctx, "the header does not hold");
    uint64_t most = (uint64_t)h.fewest + ((uint64_t)1 << h.bits) - 1;
    if (most > UINT32_MAX)
        return bad(ctx, "a string is too long");
    struct head want = head_make(h.rows, h.symbols, h.fewest, (uint32_t)most);
    want.text_bytes = h.text_bytes;
    if (memcmp(&h, &want, sizeof(h)) != 0 || view->bytes.bytes < h.codes_at)
        return bad(ctx, "the areas are not where they belong");
    if (!take_table(view->room, data + symbols_at(h.blocks), h.symbols))
        return bad(ctx, "the symbols are damaged");
    view->words[W_BLOCKS] = (uint64_t)(uintptr_t)(data + HEADER_BYTES);
    view->words[W_CODES] = (uint64_t)(uintptr_t)(data + h.codes_at);
    lengths_open(view, data + h.lengths_at, h.bits, h.fewest);
    if (!codes_sound(view, view->bytes.bytes - h.codes_at, h.text_bytes))
        return bad(ctx, "the codes are not those of the strings");
    return LUMA_OK;
}

static inline char *
put_symbol(const struct fsst_table *table, uint8_t code, char *to)
{
    memcpy(to, &table->values[code], 8);
    return to + table->bytes[code];
}

/* Writes up to 8 bytes past the string. Four codes at a time, unless one is the escape. */
static inline char *
expand(const struct fsst_table *table, const uint8_t *codes, uint32_t length, char *to)
{
    const uint8_t *end = codes + length;
    while (codes < end) {
        uint32_t four = 0;
        if (end - codes >= 4)
            memcpy(&four, codes, 4);
        if (end - codes >= 4 && ((~four - 0x01010101u) & four & 0x80808080u) == 0) {
            to = put_symbol(table, codes[0], to);
            to = put_symbol(table, codes[1], to);
            to = put_symbol(table, codes[2], to);
            to = put_symbol(table, codes[3], to);
            codes += 4;
        } else if (*codes == FSST_ESCAPE) {
            *to++ = (char)codes[1];
            codes += 2;
        } else {
            to = put_symbol(table, *codes++, to);
        }
    }
    return to;
}

/* Room for the strings of blocks that have the rows; the last block ends with all. */
static size_t
text_of_rows(const struct luma_enc_view *view, uint32_t first, uint32_t n)
{
    uint32_t last = (first + n - 1) | (BLOCK_ROWS - 1), text;
    memcpy(&text, view->bytes.data + offsetof(struct head, text_bytes), sizeof(text));
    uint32_t to = last + 1 < view->rows ? block_of(view, last + 1)->text : text;
    return to - block_of(view, first)->text;
}

static luma_rc
fsst_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
            struct luma_vec *out)
{
    const struct fsst_table *table = table_of(view);
    const uint8_t *codes = codes_of(view, first);
    struct luma_str *strings = out->data;
    uint32_t lengths[STEP_ROWS];
    char *to =
        arena == NULL ? NULL : luma_arena_alloc_aligned(arena, text_of_rows(view, first, n) + 8, 1);

    out->form = LUMA_VEC_FLAT;
    if (to == NULL)
        return LUMA_E_NOMEM;
    for (uint32_t done = 0; done < n; done += STEP_ROWS) {
        uint32_t m = step_rows(n, done);
        lengths_at(view, first + done, m, lengths);
        for (uint32_t i = 0; i < m; i++) {
            char *end = expand(table, codes, lengths[i], to);
            strings[done + i] = luma_str_make(to, (uint32_t)(end - to));
            codes += lengths[i];
            to = end;
        }
    }
    return LUMA_OK;
}

static luma_rc
fsst_get_into(const struct luma_enc_view *view, uint32_t row, struct luma_arena *arena, void *out)
{
    const struct fsst_table *table = table_of(view);
    const uint8_t *codes = codes_of(view, row);
    char few[LUMA_STR_INLINE_MAX + 8], *to = few;
    uint32_t length;
    lengths_at(view, row, 1, &length);
    uint32_t bytes = (uint32_t)text_bytes(table, codes, length);
    if (bytes > LUMA_STR_INLINE_MAX)
        to = arena == NULL ? NULL : luma_arena_alloc_aligned(arena, (size_t)bytes + 8, 1);
    if (to == NULL)
        return LUMA_E_NOMEM;
    (void)expand(table, codes, length, to);
    struct luma_str s = luma_str_make(to, bytes);
    memcpy(out, &s, sizeof(s));
    return LUMA_OK;
}

static luma_rc
fsst_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n, const uint16_t *sel,
                uint32_t sel_rows, struct luma_arena *arena, struct luma_vec *out)
{
    struct luma_str *strings = out->data;
    if (sel_rows > n / 8)
        return fsst_decode(view, first, n, arena, out);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++)
        LUMA_TRY(fsst_get_into(view, first + sel[k], arena, &strings[sel[k]]));
    return LUMA_OK;
}

/* --- filters --- */

/* Order of the string against text, as far as symbols need to be looked at. */
static int
compare(const struct fsst_table *table, const uint8_t *codes, uint32_t length, const char *text,
        size_t bytes)
{
    for (uint32_t i = 0; i < length; i++) {
        const char *symbol = (const char *)&table->values[codes[i]];
        size_t n = table->bytes[codes[i]];
        if (codes[i] == FSST_ESCAPE)
            symbol = (const char *)&codes[++i];
        size_t both = n < bytes ? n : bytes;
        int c = memcmp(symbol, text, both);
        if (c != 0)
            return c;
        if (n > bytes)
            return 1;
        text += n;
        bytes -= n;
    }
    return bytes > 0 ? -1 : 0;
}

/* Bits of the strings whose order against the wanted one holds. */
static void
order_step(const struct fsst_table *table, enum luma_cmp op, const uint8_t *codes,
           const uint32_t *lengths, uint32_t m, const char *wanted, size_t wanted_bytes,
           uint64_t *out)
{
    for (uint32_t i = 0; i < m; i++) {
        int c = compare(table, codes, lengths[i], wanted, wanted_bytes);
        out[i / 64] |= (uint64_t)luma_cmp_holds(op, c) << (i & 63);
        codes += lengths[i];
    }
}

/* Equality is that of codes; a constant of too many to be there has SIZE_MAX of them. */
static bool
fsst_filter(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
            const struct luma_value *constant, uint64_t *out_bits)
{
    const struct fsst_table *table = table_of(view);
    bool same = op == LUMA_CMP_EQ || op == LUMA_CMP_NE;
    uint32_t lengths[STEP_ROWS];
    uint8_t few[FEW_BYTES];

    if (constant->phys != LUMA_PHYS_STR || n == 0 || (same && constant->str.bytes > FEW_BYTES / 2))
        return false;
    const char *wanted = luma_str_data(&constant->str);
    size_t bytes = constant->str.bytes;
    if (same)
        bytes = fsst_compress_few(table, wanted, bytes, few, sizeof(few));
    const uint8_t *codes = codes_of(view, first);
    luma_bits_all(out_bits, n, false);
    for (uint32_t done = 0; done < n; done += STEP_ROWS) {
        uint32_t m = step_rows(n, done);
        lengths_at(view, first + done, m, lengths);
        if (same)
            same_bytes(codes, lengths, m, few, bytes, op == LUMA_CMP_EQ, out_bits + done / 64);
        else
            order_step(table, op, codes, lengths, m, wanted, bytes, out_bits + done / 64);
        for (uint32_t i = 0; i < m; i++)
            codes += lengths[i];
    }
    return true;
}

static const struct luma_encoding fsst_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x66737374, /* written in segment files: a value is never used twice */
    .phys_mask = 1u << LUMA_PHYS_STR,
    .estimate = fsst_estimate,
    .bound = fsst_bound,
    .encode = fsst_encode,
    .room_bytes = fsst_room,
    .open = fsst_open,
    .decode = fsst_decode,
    .decode_sel = fsst_decode_sel,
    .filter = fsst_filter,
    .flags = LUMA_ENCODING_DENSE,
    .get_into = fsst_get_into,
};

LUMA_MODULE(.kind = "encoding", .name = "fsst", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "strings as codes of frequent parts",
            .offers = LUMA_OFFERS({"encoding.fsst", &fsst_encoding.head}));
