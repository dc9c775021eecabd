/*
 * modules/encoding/dictionary/dictionary.c - the distinct values once, in ascending order, and a
 * bit-packed code a row. A predicate on values becomes a range of codes; strings are given as a
 * DICT vector whose dictionary is the same for all windows of a chunk.
 *
 *   0  u8  bits of a code, 0 .. 31
 *   1  u8  physical form
 *   2  u16 0
 *   4  u32 rows
 *   8  u32 values in the dictionary
 *   12 u32 offset of the codes
 *   16 u32 bytes of the dictionary's area
 *   20 u8[12] 0
 *   32 fixed widths: the values. Strings: u32 offsets[values + 1], then the bytes
 *   .. codes, at a multiple of 8
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#define XXH_INLINE_ALL
#include "dictionary.h"

#include <stdlib.h>
#include <xxhash.h>

/* words[] of an open view */
enum { W_CODES, W_BITS, W_VALUES, W_COUNT };

#define TMP_ROWS 1024

static uint32_t
width(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

static inline uint64_t
mix(uint64_t v)
{
    v ^= v >> 32;
    v *= 0xe9846af9b1a615dULL;
    return v ^ v >> 29;
}

static inline uint64_t
value_hash(uint8_t phys, const void *at)
{
    uint64_t w[2] = {0, 0};
    if (phys == LUMA_PHYS_STR) {
        const struct luma_str *s = at;
        if (s->bytes > LUMA_STR_INLINE_MAX)
            return XXH3_64bits(s->ptr, s->bytes);
    }
    memcpy(w, at, luma_phys_bytes((enum luma_phys)phys));
    return mix(w[0] ^ mix(w[1] + 0x9e3779b97f4a7c15ULL));
}

static inline bool
value_equal(uint8_t phys, const void *a, const void *b)
{
    if (phys == LUMA_PHYS_STR)
        return luma_str_equal(a, b);
    return memcmp(a, b, luma_phys_bytes((enum luma_phys)phys)) == 0;
}

#define COMPARE_AS(type)          \
    do {                          \
        type x, y;                \
        memcpy(&x, a, sizeof(x)); \
        memcpy(&y, b, sizeof(y)); \
        return (x > y) - (x < y); \
    } while (0)

int
dictionary_compare(uint8_t phys, const void *a, const void *b)
{
    switch (phys) {
    case LUMA_PHYS_STR:
        return luma_str_compare(a, b);
    case LUMA_PHYS_I16:
        COMPARE_AS(int16_t);
    case LUMA_PHYS_I32:
        COMPARE_AS(int32_t);
    case LUMA_PHYS_I64:
        COMPARE_AS(int64_t);
    case LUMA_PHYS_I128:
        COMPARE_AS(luma_i128);
    case LUMA_PHYS_F32: /* floats: any total order of their bits */
        COMPARE_AS(uint32_t);
    case LUMA_PHYS_F64:
        COMPARE_AS(uint64_t);
    default:
        return memcmp(a, b, luma_phys_bytes((enum luma_phys)phys));
    }
}

/* --- encode --- */

struct builder {
    const struct luma_vec *vec;
    uint32_t *slots; /* 1 + position in firsts; 0: free */
    uint32_t slots_count;
    uint32_t *firsts; /* row of each distinct value's first occurrence */
    uint32_t *codes;  /* per row: position in firsts, later the code */
    uint32_t *order;  /* positions in ascending order of value */
    uint32_t count;
};

static void
builder_fini(struct builder *b)
{
    free(b->slots);
    free(b->firsts);
    free(b->codes);
    free(b->order);
}

static inline const void *
row_at(const struct luma_vec *vec, uint32_t row)
{
    return (const uint8_t *)vec->data + (size_t)row * luma_phys_bytes((enum luma_phys)vec->phys);
}

static bool
builder_init(struct builder *b, const struct luma_vec *vec, uint32_t rows)
{
    memset(b, 0, sizeof(*b));
    b->vec = vec;
    b->slots_count = 64;
    while (b->slots_count < rows * 2)
        b->slots_count *= 2;
    b->slots = calloc(b->slots_count, sizeof(*b->slots));
    b->firsts = malloc(((size_t)rows + 1) * sizeof(*b->firsts));
    b->codes = malloc(((size_t)rows + 1) * sizeof(*b->codes));
    return b->slots != NULL && b->firsts != NULL && b->codes != NULL;
}

static void
builder_collect(struct builder *b, uint32_t rows)
{
    uint8_t phys = b->vec->phys;
    for (uint32_t row = 0; row < rows; row++) {
        const void *at = row_at(b->vec, row);
        if (row > 0 && value_equal(phys, at, row_at(b->vec, row - 1))) {
            b->codes[row] = b->codes[row - 1];
            continue;
        }
        uint32_t slot = (uint32_t)value_hash(phys, at) & (b->slots_count - 1);
        while (b->slots[slot] != 0 &&
               !value_equal(phys, at, row_at(b->vec, b->firsts[b->slots[slot] - 1])))
            slot = (slot + 1) & (b->slots_count - 1);
        if (b->slots[slot] == 0) {
            b->firsts[b->count++] = row;
            b->slots[slot] = b->count;
        }
        b->codes[row] = b->slots[slot] - 1;
    }
}

static int
order_compare(const void *x, const void *y, void *arg)
{
    const struct builder *b = arg;
    return dictionary_compare(b->vec->phys, row_at(b->vec, b->firsts[*(const uint32_t *)x]),
                              row_at(b->vec, b->firsts[*(const uint32_t *)y]));
}

static bool
builder_sort(struct builder *b, uint32_t rows)
{
    b->order = malloc(((size_t)b->count + 1) * 2 * sizeof(*b->order));
    if (b->order == NULL)
        return false;
    for (uint32_t i = 0; i < b->count; i++)
        b->order[i] = i;
    qsort_r(b->order, b->count, sizeof(*b->order), order_compare, b);
    uint32_t *rank = b->order + b->count;
    for (uint32_t i = 0; i < b->count; i++)
        rank[b->order[i]] = i;
    for (uint32_t row = 0; row < rows; row++)
        b->codes[row] = rank[b->codes[row]];
    return true;
}

/* Gives the number of bytes written, 0: no room. */
static size_t
write_values(const struct builder *b, uint8_t *out, size_t room)
{
    uint8_t phys = b->vec->phys;
    if (phys != LUMA_PHYS_STR) {
        uint32_t size = luma_phys_bytes((enum luma_phys)phys);
        if (room < (size_t)size * b->count)
            return SIZE_MAX;
        for (uint32_t i = 0; i < b->count; i++)
            memcpy(out + (size_t)i * size, row_at(b->vec, b->firsts[b->order[i]]), size);
        return (size_t)size * b->count;
    }
    size_t at = ((size_t)b->count + 1) * 4, used = 0;
    if (room < at)
        return SIZE_MAX;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct luma_str *s = row_at(b->vec, b->firsts[b->order[i]]);
        uint32_t offset = (uint32_t)used;
        memcpy(out + (size_t)i * 4, &offset, 4);
        if (room - at - used < s->bytes || used + s->bytes > UINT32_MAX)
            return SIZE_MAX;
        memcpy(out + at + used, luma_str_data(s), s->bytes);
        used += s->bytes;
    }
    uint32_t end = (uint32_t)used;
    memcpy(out + (size_t)b->count * 4, &end, 4);
    return at + used;
}

static luma_rc
write_column(const struct builder *b, uint32_t rows, const struct luma_simd *simd,
             struct luma_buf *dst)
{
    struct dictionary_header h = {.bits = (uint8_t)width(b->count == 0 ? 0 : b->count - 1),
                                  .phys = b->vec->phys,
                                  .rows = rows,
                                  .count = b->count};
    uint64_t tmp[TMP_ROWS];

    if (dst->room_bytes < sizeof(h))
        return LUMA_E_ROOM;
    size_t values = write_values(b, dst->data + sizeof(h), dst->room_bytes - sizeof(h));
    if (values > UINT32_MAX - 64)
        return LUMA_E_ROOM;
    h.values_bytes = (uint32_t)values;
    h.codes_offset = (uint32_t)(sizeof(h) + ((values + 7) & ~(size_t)7));
    size_t bytes = h.codes_offset + luma_packed_bytes(h.bits, rows);
    if (dst->room_bytes < bytes + 8)
        return LUMA_E_ROOM;
    memset(dst->data + sizeof(h) + values, 0, h.codes_offset - sizeof(h) - values);
    memcpy(dst->data, &h, sizeof(h));
    uint8_t *packed = dst->data + h.codes_offset;
    for (uint32_t first = 0; first < rows; first += TMP_ROWS) {
        uint32_t n = rows - first < TMP_ROWS ? rows - first : TMP_ROWS;
        for (uint32_t i = 0; i < n; i++)
            tmp[i] = b->codes[first + i];
        simd->pack_64(tmp, 0, h.bits, n, packed);
        packed += luma_packed_bytes(h.bits, n);
    }
    dst->used_bytes = bytes;
    return LUMA_OK;
}

static luma_rc
dictionary_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
                  const struct luma_enc_stats *stats, const struct luma_simd *simd,
                  struct luma_buf *dst)
{
    struct builder b;
    luma_rc rc = LUMA_E_NOMEM;

    (void)stats;
    if (builder_init(&b, vec, rows)) {
        builder_collect(&b, rows);
        if (builder_sort(&b, rows))
            rc = write_column(&b, rows, simd, dst);
    }
    builder_fini(&b);
    return rc == LUMA_E_NOMEM ? LUMA_FAIL(ctx, rc, "no memory for a dictionary of %u rows", rows)
                              : rc;
}

static size_t
dictionary_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
                    uint32_t *out_cost)
{
    /* Sorting and hashing pay only where values repeat. */
    if (rows == 0 || stats->distinct > rows / 3)
        return SIZE_MAX;
    size_t codes = luma_packed_bytes(width(stats->distinct), rows), value;
    if (vec->phys == LUMA_PHYS_STR) {
        value = stats->text_bytes / rows + 5;
        *out_cost = 6; /* a window is codes; consumers work once a distinct value */
    } else {
        value = luma_phys_bytes((enum luma_phys)vec->phys);
        *out_cost = 20; /* a gather a row: worth it where it saves more than a byte */
    }
    return sizeof(struct dictionary_header) + codes + value * stats->distinct;
}

static size_t
dictionary_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    size_t values = vec->phys == LUMA_PHYS_STR
                        ? stats->text_bytes + ((size_t)rows + 1) * 4
                        : (size_t)rows * luma_phys_bytes((enum luma_phys)vec->phys);
    return sizeof(struct dictionary_header) + values + 8 + luma_packed_bytes(17, rows) + 16;
}

/* --- read --- */

/* What a string dictionary is parsed into: lives in view->room. */
struct parsed {
    struct luma_vec vec;
    struct luma_str values[];
};

static size_t
dictionary_room_bytes(const struct luma_enc_view *view)
{
    struct dictionary_header h;
    if (view->phys != LUMA_PHYS_STR || view->bytes.bytes < sizeof(h))
        return 0;
    memcpy(&h, view->bytes.data, sizeof(h));
    return sizeof(struct parsed) + (size_t)h.count * sizeof(struct luma_str);
}

static luma_rc
parse_strings(struct luma_ctx *ctx, struct luma_enc_view *view, const struct dictionary_header *h)
{
    const uint8_t *area = view->bytes.data + sizeof(*h);
    size_t table = ((size_t)h->count + 1) * 4;
    struct parsed *parsed = view->room;
    uint32_t at, next;

    if (table > h->values_bytes || parsed == NULL)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: no room for %u values", h->count);
    const char *bytes = (const char *)area + table;
    size_t bytes_count = h->values_bytes - table;
    memset(&parsed->vec, 0, sizeof(parsed->vec));
    memcpy(&at, area, 4);
    if (at != 0)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: the values do not begin at 0");
    for (uint32_t i = 0; i < h->count; i++, at = next) {
        memcpy(&next, area + ((size_t)i + 1) * 4, 4);
        if (next < at || next > bytes_count)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: value %u lies outside", i);
        parsed->values[i] = luma_str_make(bytes + at, next - at);
        if (i > 0 && luma_str_compare(&parsed->values[i - 1], &parsed->values[i]) >= 0)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: value %u is out of order", i);
    }
    parsed->vec.type = luma_type(LUMA_TYPE_TEXT);
    parsed->vec.phys = LUMA_PHYS_STR;
    parsed->vec.form = LUMA_VEC_FLAT;
    parsed->vec.data = parsed->values;
    view->words[W_VALUES] = (uint64_t)(uintptr_t)parsed;
    return LUMA_OK;
}

static luma_rc
parse_fixed(struct luma_ctx *ctx, struct luma_enc_view *view, const struct dictionary_header *h)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    const uint8_t *values = view->bytes.data + sizeof(*h);

    if (h->values_bytes != (size_t)size * h->count)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: %u bytes are not %u values",
                         h->values_bytes, h->count);
    for (uint32_t i = 1; i < h->count; i++)
        if (dictionary_compare(view->phys, values + (size_t)(i - 1) * size,
                               values + (size_t)i * size) >= 0)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: value %u is out of order", i);
    view->words[W_VALUES] = (uint64_t)(uintptr_t)values;
    return LUMA_OK;
}

/* No code may lead outside the dictionary; nothing to do when every code of that width is one. */
static bool
codes_sound(const struct luma_enc_view *view, const uint8_t *codes, uint32_t bits, uint32_t count)
{
    uint32_t tmp[TMP_ROWS], max = 0;
    if (count == (uint32_t)1 << bits)
        return true;
    for (uint32_t first = 0; first < view->rows; first += TMP_ROWS) {
        uint32_t n = view->rows - first < TMP_ROWS ? view->rows - first : TMP_ROWS;
        view->simd->unpack_32(codes, bits, 0, first, n, tmp);
        for (uint32_t i = 0; i < n; i++)
            max = tmp[i] > max ? tmp[i] : max;
    }
    return max < count;
}

static luma_rc
dictionary_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    struct dictionary_header h;

    if (view->bytes.bytes < sizeof(h))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: %zu bytes are no column",
                         view->bytes.bytes);
    memcpy(&h, view->bytes.data, sizeof(h));
    if (h.phys != view->phys || h.rows != view->rows || h.bits > 31 || h.count > h.rows ||
        (h.rows > 0 && h.count == 0) || (DICTIONARY_PHYS_MASK >> h.phys & 1) == 0 ||
        h.codes_offset > view->bytes.bytes || h.codes_offset < sizeof(h) ||
        h.values_bytes > h.codes_offset - sizeof(h) ||
        luma_packed_bytes(h.bits, h.rows) > view->bytes.bytes - h.codes_offset)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: the column's header is damaged");
    if (view->phys == LUMA_PHYS_STR)
        LUMA_TRY(parse_strings(ctx, view, &h));
    else
        LUMA_TRY(parse_fixed(ctx, view, &h));
    const uint8_t *codes = view->bytes.data + h.codes_offset;
    if (!codes_sound(view, codes, h.bits, h.count))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "dictionary: a code has no value");
    view->words[W_CODES] = (uint64_t)(uintptr_t)codes;
    view->words[W_BITS] = h.bits;
    view->words[W_COUNT] = h.count;
    return LUMA_OK;
}

static inline const uint8_t *
view_codes(const struct luma_enc_view *view)
{
    return (const uint8_t *)(uintptr_t)view->words[W_CODES];
}

static inline const void *
view_values(const struct luma_enc_view *view)
{
    const void *values = (const void *)(uintptr_t)view->words[W_VALUES];
    return view->phys == LUMA_PHYS_STR ? ((const struct parsed *)values)->values : values;
}

static void
pick(const struct luma_enc_view *view, const uint32_t *codes, uint32_t n, void *out)
{
    const void *values = view_values(view);
    switch (luma_phys_bytes((enum luma_phys)view->phys)) {
    case 2:
        for (uint32_t i = 0; i < n; i++)
            ((uint16_t *)out)[i] = ((const uint16_t *)values)[codes[i]];
        break;
    case 4:
        view->simd->gather_32(values, codes, n, out);
        break;
    case 8:
        view->simd->gather_64(values, codes, n, out);
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            memcpy((uint8_t *)out + (size_t)i * 16, (const uint8_t *)values + (size_t)codes[i] * 16,
                   16);
        break;
    }
}

static luma_rc
dictionary_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n,
                  struct luma_arena *arena, struct luma_vec *out)
{
    uint32_t bits = (uint32_t)view->words[W_BITS], tmp[TMP_ROWS];
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);

    (void)arena;
    if (bits == 0) {
        out->form = LUMA_VEC_CONST;
        memcpy(out->data, view_values(view), size);
        return LUMA_OK;
    }
    if (view->phys == LUMA_PHYS_STR) {
        struct parsed *parsed = (struct parsed *)(uintptr_t)view->words[W_VALUES];
        view->simd->unpack_32(view_codes(view), bits, 0, first, n, out->data);
        out->form = LUMA_VEC_DICT;
        out->dict = &parsed->vec;
        out->dict_rows = (uint32_t)view->words[W_COUNT];
        return LUMA_OK;
    }
    out->form = LUMA_VEC_FLAT;
    for (uint32_t done = 0; done < n; done += TMP_ROWS) {
        uint32_t m = n - done < TMP_ROWS ? n - done : TMP_ROWS;
        view->simd->unpack_32(view_codes(view), bits, 0, first + done, m, tmp);
        pick(view, tmp, m, (uint8_t *)out->data + (size_t)done * size);
    }
    return LUMA_OK;
}

static luma_rc
dictionary_decode_sel(const struct luma_enc_view *view, uint32_t first, uint32_t n,
                      const uint16_t *sel, uint32_t sel_rows, struct luma_arena *arena,
                      struct luma_vec *out)
{
    uint32_t bits = (uint32_t)view->words[W_BITS];
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);

    if (bits == 0 || view->phys == LUMA_PHYS_STR || sel_rows > n / 8)
        return dictionary_decode(view, first, n, arena, out);
    out->form = LUMA_VEC_FLAT;
    for (uint32_t k = 0; k < sel_rows; k++) {
        uint64_t code = luma_packed_get(view_codes(view), bits, (size_t)first + sel[k]);
        memcpy((uint8_t *)out->data + (size_t)sel[k] * size,
               (const uint8_t *)view_values(view) + code * size, size);
    }
    return LUMA_OK;
}

static void
dictionary_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    uint64_t code = luma_packed_get(view_codes(view), (uint32_t)view->words[W_BITS], row);
    memcpy(out, (const uint8_t *)view_values(view) + code * size, size);
}

/* Position of the first value >= constant, and whether it is equal. */
static uint32_t
lower_bound(const struct luma_enc_view *view, const void *constant, bool *out_equal)
{
    uint32_t lo = 0, hi = (uint32_t)view->words[W_COUNT];
    uint32_t size = luma_phys_bytes((enum luma_phys)view->phys);
    const uint8_t *values = view_values(view);
    *out_equal = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = dictionary_compare(view->phys, values + (size_t)mid * size, constant);
        if (c < 0) {
            lo = mid + 1;
        } else {
            *out_equal = *out_equal || c == 0;
            hi = mid;
        }
    }
    return lo;
}

/* Bits of rows whose code op `code`. */
static void
filter_codes(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
             uint32_t code, uint64_t *out_bits)
{
    uint32_t tmp[TMP_ROWS];
    for (uint32_t done = 0; done < n; done += TMP_ROWS) {
        uint32_t m = n - done < TMP_ROWS ? n - done : TMP_ROWS;
        view->simd->unpack_32(view_codes(view), (uint32_t)view->words[W_BITS], 0, first + done, m,
                              tmp);
        view->simd->cmp_i32(op, (const int32_t *)tmp, (int32_t)code, m, out_bits + done / 64);
    }
}

static bool
dictionary_filter(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
                  const struct luma_value *constant, uint64_t *out_bits)
{
    uint32_t count = (uint32_t)view->words[W_COUNT];
    bool equal;

    /* Floats are not kept in their own order, intervals and uuids not in a comparable one. */
    if (constant->phys != view->phys || view->phys == LUMA_PHYS_F32 ||
        view->phys == LUMA_PHYS_F64 || view->phys == LUMA_PHYS_B16)
        return false;
    uint32_t at = lower_bound(view, &constant->str, &equal);
    if (op == LUMA_CMP_EQ || op == LUMA_CMP_NE) {
        if (!equal)
            luma_bits_all(out_bits, n, op == LUMA_CMP_NE);
        else
            filter_codes(view, first, n, op, at, out_bits);
        return true;
    }
    /* value < c is code < at; value <= c is code < at + equal; the others are their opposites. */
    uint32_t limit = op == LUMA_CMP_LE || op == LUMA_CMP_GT ? at + equal : at;
    bool less = op == LUMA_CMP_LT || op == LUMA_CMP_LE;
    if (limit == 0 || limit >= count)
        luma_bits_all(out_bits, n, (limit != 0) == less);
    else
        filter_codes(view, first, n, less ? LUMA_CMP_LT : LUMA_CMP_GE, limit, out_bits);
    return true;
}

static const struct luma_encoding dictionary_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x64696374, /* written in segment files: a value is never used twice */
    .phys_mask = DICTIONARY_PHYS_MASK,
    .estimate = dictionary_estimate,
    .bound = dictionary_bound,
    .encode = dictionary_encode,
    .room_bytes = dictionary_room_bytes,
    .open = dictionary_open,
    .decode = dictionary_decode,
    .decode_sel = dictionary_decode_sel,
    .get = dictionary_get,
    .filter = dictionary_filter,
};

LUMA_MODULE(.kind = "encoding", .name = "dictionary", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "distinct values once, in order; packed codes a row",
            .offers = LUMA_OFFERS({"encoding.dictionary", &dictionary_encoding.head}));
