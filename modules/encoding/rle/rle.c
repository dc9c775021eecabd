/*
 * modules/encoding/rle/rle.c - runs of equal neighbours: each value once with the row its run ends
 * before. A value is found by binary search, a predicate is answered once a run.
 *
 *   0  u8  physical form
 *   1  u8[3] 0
 *   4  u32 rows
 *   8  u32 runs
 *   12 u32 offset of the values, a multiple of 16
 *   16 u32 ends[runs]: the row after the run
 *   .. fixed widths: values[runs]. Strings: u32 offsets[runs + 1], then the bytes
 */
#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

#define HEADER_BYTES 16

#define PHYS_MASK                                                                             \
    (1u << LUMA_PHYS_BOOL | 1u << LUMA_PHYS_I16 | 1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64 | \
     1u << LUMA_PHYS_I128 | 1u << LUMA_PHYS_F32 | 1u << LUMA_PHYS_F64 | 1u << LUMA_PHYS_B16 | \
     1u << LUMA_PHYS_STR)

/* words[] of an open view */
enum { W_ENDS, W_RUNS, W_VALUES };

/* What the runs' strings are parsed into: lives in view->room. */
struct parsed {
    struct luma_vec vec;
    struct luma_str values[];
};

static inline const void *
row_at(const struct luma_vec *vec, uint32_t row)
{
    return (const uint8_t *)vec->data + (size_t)row * luma_phys_bytes((enum luma_phys)vec->phys);
}

static inline bool
row_equal(const struct luma_vec *vec, uint32_t a, uint32_t b)
{
    if (vec->phys == LUMA_PHYS_STR)
        return luma_str_equal(row_at(vec, a), row_at(vec, b));
    return memcmp(row_at(vec, a), row_at(vec, b), luma_phys_bytes((enum luma_phys)vec->phys)) == 0;
}

static size_t
rle_estimate(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats,
             uint32_t *out_cost)
{
    if (rows == 0 || stats->runs > rows / 4)
        return SIZE_MAX;
    *out_cost = stats->runs < rows / 64 ? 8 : 16; /* long runs are cheaper than values */
    size_t value = vec->phys == LUMA_PHYS_STR ? stats->text_bytes / rows + 4
                                              : luma_phys_bytes((enum luma_phys)vec->phys);
    return HEADER_BYTES + 16 + ((size_t)stats->runs + 1) * (4 + value);
}

static size_t
rle_bound(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats)
{
    size_t value = vec->phys == LUMA_PHYS_STR ? 4 : luma_phys_bytes((enum luma_phys)vec->phys);
    return HEADER_BYTES + 16 + ((size_t)rows + 1) * (4 + value) + stats->text_bytes + 16;
}

/* Values of the runs, bytes written or SIZE_MAX when they do not fit. */
static size_t
write_values(const struct luma_vec *vec, const uint8_t *ends, uint32_t runs, uint8_t *out,
             size_t room)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys), row = 0;
    bool text = vec->phys == LUMA_PHYS_STR;
    size_t table = text ? ((size_t)runs + 1) * 4 : (size_t)runs * size, used = 0;

    if (room < table)
        return SIZE_MAX;
    for (uint32_t r = 0; r < runs; r++) {
        if (text) {
            const struct luma_str *s = row_at(vec, row);
            uint32_t offset = (uint32_t)used;
            memcpy(out + (size_t)r * 4, &offset, 4);
            if (room - table - used < s->bytes || used + s->bytes > UINT32_MAX)
                return SIZE_MAX;
            memcpy(out + table + used, luma_str_data(s), s->bytes);
            used += s->bytes;
        } else {
            memcpy(out + (size_t)r * size, row_at(vec, row), size);
        }
        memcpy(&row, ends + (size_t)r * 4, 4);
    }
    if (text) {
        uint32_t end = (uint32_t)used;
        memcpy(out + (size_t)runs * 4, &end, 4);
    }
    return table + used;
}

static luma_rc
rle_encode(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
           const struct luma_enc_stats *stats, const struct luma_simd *simd, struct luma_buf *dst)
{
    uint32_t runs = 0;

    (void)ctx;
    (void)stats;
    (void)simd;
    if (dst->room_bytes < HEADER_BYTES)
        return LUMA_E_ROOM;
    uint8_t *ends = dst->data + HEADER_BYTES;
    size_t ends_room = dst->room_bytes - HEADER_BYTES;
    for (uint32_t row = 1; row <= rows; row++) {
        if (row < rows && row_equal(vec, row, row - 1))
            continue;
        if (ends_room < ((size_t)runs + 1) * 4)
            return LUMA_E_ROOM;
        memcpy(ends + (size_t)runs++ * 4, &row, 4);
    }
    uint32_t offset = (uint32_t)((HEADER_BYTES + (size_t)runs * 4 + 15) & ~(size_t)15);
    if (dst->room_bytes < offset)
        return LUMA_E_ROOM;
    memset(ends + (size_t)runs * 4, 0, offset - HEADER_BYTES - (size_t)runs * 4);
    size_t values = write_values(vec, ends, runs, dst->data + offset, dst->room_bytes - offset);
    if (values == SIZE_MAX)
        return LUMA_E_ROOM;
    memset(dst->data, 0, HEADER_BYTES);
    dst->data[0] = vec->phys;
    memcpy(dst->data + 4, &rows, 4);
    memcpy(dst->data + 8, &runs, 4);
    memcpy(dst->data + 12, &offset, 4);
    dst->used_bytes = offset + values;
    return LUMA_OK;
}

/* --- read --- */

static size_t
rle_room_bytes(const struct luma_enc_view *view)
{
    uint32_t runs;
    if (view->phys != LUMA_PHYS_STR || view->bytes.bytes < HEADER_BYTES)
        return 0;
    memcpy(&runs, view->bytes.data + 8, 4);
    return sizeof(struct parsed) + (size_t)runs * sizeof(struct luma_str);
}

static luma_rc
parse_strings(struct luma_ctx *ctx, struct luma_enc_view *view, uint32_t offset, uint32_t runs)
{
    const uint8_t *area = view->bytes.data + offset;
    size_t area_bytes = view->bytes.bytes - offset, table = ((size_t)runs + 1) * 4;
    struct parsed *parsed = view->room;
    uint32_t at, next;

    if (table > area_bytes || parsed == NULL)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: no room for %u values", runs);
    memset(&parsed->vec, 0, sizeof(parsed->vec));
    memcpy(&at, area, 4);
    for (uint32_t r = 0; r < runs; r++, at = next) {
        memcpy(&next, area + ((size_t)r + 1) * 4, 4);
        if (next < at || next > area_bytes - table)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: value %u lies outside", r);
        parsed->values[r] = luma_str_make((const char *)area + table + at, next - at);
    }
    parsed->vec.type = luma_type(LUMA_TYPE_TEXT);
    parsed->vec.phys = LUMA_PHYS_STR;
    parsed->vec.data = parsed->values;
    view->words[W_VALUES] = (uint64_t)(uintptr_t)parsed;
    return LUMA_OK;
}

static luma_rc
rle_open(struct luma_ctx *ctx, struct luma_enc_view *view)
{
    const uint8_t *p = view->bytes.data;
    uint32_t rows, runs, offset, previous = 0, end;

    if (view->bytes.bytes < HEADER_BYTES)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: %zu bytes are no column", view->bytes.bytes);
    memcpy(&rows, p + 4, 4);
    memcpy(&runs, p + 8, 4);
    memcpy(&offset, p + 12, 4);
    if (p[0] != view->phys || (PHYS_MASK >> view->phys & 1) == 0 || rows != view->rows ||
        runs > rows || (offset & 15) != 0 || offset < HEADER_BYTES + (size_t)runs * 4 ||
        offset > view->bytes.bytes)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: the column's header is damaged");
    for (uint32_t r = 0; r < runs; r++, previous = end) {
        memcpy(&end, p + HEADER_BYTES + (size_t)r * 4, 4);
        if (end <= previous)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: run %u ends before it begins", r);
    }
    if (previous != rows)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: the runs have %u rows of %u", previous, rows);
    view->words[W_ENDS] = (uint64_t)(uintptr_t)(p + HEADER_BYTES);
    view->words[W_RUNS] = runs;
    if (view->phys == LUMA_PHYS_STR)
        return parse_strings(ctx, view, offset, runs);
    if (view->bytes.bytes - offset < (size_t)runs * luma_phys_bytes((enum luma_phys)view->phys))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "rle: values are missing");
    view->words[W_VALUES] = (uint64_t)(uintptr_t)(p + offset);
    return LUMA_OK;
}

static inline const uint32_t *
view_ends(const struct luma_enc_view *view)
{
    return (const uint32_t *)(uintptr_t)view->words[W_ENDS];
}

static inline const uint8_t *
view_value(const struct luma_enc_view *view, uint32_t run)
{
    const uint8_t *values = (const uint8_t *)(uintptr_t)view->words[W_VALUES];
    if (view->phys == LUMA_PHYS_STR)
        values = (const uint8_t *)((const struct parsed *)(const void *)values)->values;
    return values + (size_t)run * luma_phys_bytes((enum luma_phys)view->phys);
}

/* The run that holds row. */
static uint32_t
run_of(const struct luma_enc_view *view, uint32_t row)
{
    const uint32_t *ends = view_ends(view);
    uint32_t lo = 0, hi = (uint32_t)view->words[W_RUNS];
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (ends[mid] <= row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void
fill(uint8_t phys, const void *value, uint32_t at, uint32_t n, void *out)
{
    switch (luma_phys_bytes((enum luma_phys)phys)) {
    case 1:
        memset((uint8_t *)out + at, *(const uint8_t *)value, n);
        break;
    case 2:
        for (uint32_t i = 0; i < n; i++)
            ((uint16_t *)out)[at + i] = *(const uint16_t *)value;
        break;
    case 4:
        for (uint32_t i = 0; i < n; i++)
            ((uint32_t *)out)[at + i] = *(const uint32_t *)value;
        break;
    case 8:
        for (uint32_t i = 0; i < n; i++)
            ((uint64_t *)out)[at + i] = *(const uint64_t *)value;
        break;
    default:
        for (uint32_t i = 0; i < n; i++)
            memcpy((uint8_t *)out + (size_t)(at + i) * 16, value, 16);
        break;
    }
}

static luma_rc
rle_decode(const struct luma_enc_view *view, uint32_t first, uint32_t n, struct luma_arena *arena,
           struct luma_vec *out)
{
    const uint32_t *ends = view_ends(view);
    uint32_t run = run_of(view, first);
    bool text = view->phys == LUMA_PHYS_STR;

    (void)arena;
    if (n > 0 && ends[run] >= first + n) {
        out->form = LUMA_VEC_CONST;
        memcpy(out->data, view_value(view, run), luma_phys_bytes((enum luma_phys)view->phys));
        return LUMA_OK;
    }
    out->form = text ? LUMA_VEC_DICT : LUMA_VEC_FLAT;
    if (text) {
        out->dict = &((struct parsed *)(uintptr_t)view->words[W_VALUES])->vec;
        out->dict_rows = (uint32_t)view->words[W_RUNS];
    }
    for (uint32_t done = 0; done < n; run++) {
        uint32_t end = ends[run] - first < n ? ends[run] - first : n;
        if (text)
            fill(LUMA_PHYS_I32, &run, done, end - done, out->data);
        else
            fill(view->phys, view_value(view, run), done, end - done, out->data);
        done = end;
    }
    return LUMA_OK;
}

static void
rle_get(const struct luma_enc_view *view, uint32_t row, void *out)
{
    memcpy(out, view_value(view, run_of(view, row)), luma_phys_bytes((enum luma_phys)view->phys));
}

#define COMPARE_AS(type, constant)                  \
    do {                                            \
        type x;                                     \
        memcpy(&x, value, sizeof(x));               \
        return (x > (constant)) - (x < (constant)); \
    } while (0)

static int
compare(const void *value, const struct luma_value *c)
{
    switch (c->phys) {
    case LUMA_PHYS_BOOL:
        COMPARE_AS(uint8_t, (uint8_t)c->b);
    case LUMA_PHYS_I16:
        COMPARE_AS(int16_t, c->i16);
    case LUMA_PHYS_I32:
        COMPARE_AS(int32_t, c->i32);
    case LUMA_PHYS_I64:
        COMPARE_AS(int64_t, c->i64);
    case LUMA_PHYS_I128:
        COMPARE_AS(luma_i128, c->i128);
    default:
        return luma_str_compare(value, &c->str);
    }
}

static bool
rle_filter(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
           const struct luma_value *constant, uint64_t *out_bits)
{
    const uint32_t *ends = view_ends(view);

    if (constant->phys != view->phys || view->phys == LUMA_PHYS_F32 ||
        view->phys == LUMA_PHYS_F64 || view->phys == LUMA_PHYS_B16)
        return false;
    luma_bits_all(out_bits, n, false);
    uint32_t done = 0;
    for (uint32_t run = run_of(view, first); done < n; run++) {
        uint32_t end = ends[run] - first < n ? ends[run] - first : n;
        if (luma_cmp_holds(op, compare(view_value(view, run), constant)))
            luma_bits_fill(out_bits, done, end - done);
        done = end;
    }
    return true;
}

static const struct luma_encoding rle_encoding = {
    .head = LUMA_ENCODING_HEAD,
    .wire_id = 0x726c6520, /* written in segment files: a value is never used twice */
    .phys_mask = PHYS_MASK,
    .estimate = rle_estimate,
    .bound = rle_bound,
    .encode = rle_encode,
    .room_bytes = rle_room_bytes,
    .open = rle_open,
    .decode = rle_decode,
    .get = rle_get,
    .filter = rle_filter,
};

LUMA_MODULE(.kind = "encoding", .name = "rle", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB", .summary = "runs of equal neighbours",
            .offers = LUMA_OFFERS({"encoding.rle", &rle_encoding.head}));
