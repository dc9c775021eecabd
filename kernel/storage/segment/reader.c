/*
 * storage/segment/reader.c - opening a segment: the footer is read, checked as a whole and kept;
 * what follows looks things up in it.
 */
#include <math.h>

#include "data/data.h"
#include "storage/segment/segment_priv.h"

#define FOOTER_BYTES_MAX ((uint32_t)1 << 30)
#define FIND_ROWS        128u /* row ids decoded to find one */

static luma_rc
corrupt(struct luma_ctx *ctx, const struct lk_segment *segment, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "segment %s: %s", lk_object_name(segment->reader), what);
}

/* --- checks of a footer --- */

/* No codec does better than zstd's run of one byte: four bytes for a block of 128 KiB. Whoever
 * claims more would have us make room for it before its checksum is looked at. */
static bool
is_expandable(const struct lki_chunk *chunk)
{
    return chunk->raw_bytes / 32768 <= (uint64_t)chunk->stored_bytes + 4;
}

/* A constant is handed out as the value it is; the bounds of strings may be cut ones and are of
 * types ordered by their bytes alone. */
static luma_rc
check_bounds(struct luma_ctx *ctx, const struct lk_segment *segment, const struct lki_chunk *chunk,
             uint32_t at)
{
    struct luma_type type = lki_segment_col_type(&segment->col[at]);
    const union lki_bound *bound[2] = {&chunk->min, &chunk->max};
    struct luma_value value;

    if (chunk->phys != LUMA_PHYS_STR)
        return LUMA_OK;
    for (int i = 0; i < 2; i++) {
        uint32_t wanted = i == 0 ? LKI_CHUNK_MIN | LKI_CHUNK_CONST : LKI_CHUNK_MAX;
        if ((chunk->flags & wanted) != 0 &&
            (bound[i]->heap.at > segment->heap_bytes ||
             bound[i]->heap.bytes_count > segment->heap_bytes - bound[i]->heap.at))
            return corrupt(ctx, segment, "a bound lies outside the footer");
    }
    if ((chunk->flags & (LKI_CHUNK_MIN | LKI_CHUNK_MAX)) != 0 &&
        lki_order_of(type, chunk->phys) != LKI_ORDER_BYTES)
        return corrupt(ctx, segment, "a column without order has bounds");
    if ((chunk->flags & LKI_CHUNK_CONST) != 0 && lki_chunk_min(segment, chunk, type, &value) &&
        !lki_segment_value_valid(segment, at, &value))
        return corrupt(ctx, segment, "a constant is no value of its type");
    return LUMA_OK;
}

static luma_rc
check_chunk(struct luma_ctx *ctx, const struct lk_segment *segment, const struct lki_chunk *chunk,
            uint32_t at, uint32_t rows, uint64_t end)
{
    if (chunk->phys != segment->col[at].phys || chunk->nulls > rows)
        return corrupt(ctx, segment, "a chunk does not fit its column");
    if (lki_chunk_has_bytes(chunk)) {
        if (chunk->offset < sizeof(struct lki_segment_header) || chunk->offset > end ||
            chunk->stored_bytes > end - chunk->offset || chunk->values_at > chunk->raw_bytes ||
            (chunk->values_at & (LKI_ALIGN - 1)) != 0 || chunk->raw_bytes > UINT32_MAX / 2 ||
            chunk->room_bytes > (uint64_t)chunk->raw_bytes * 16 + 4096)
            return corrupt(ctx, segment, "a chunk lies outside the file");
        if ((chunk->nulls > 0) !=
                (chunk->values_at > 0 && chunk->values_at >= LUMA_BIT_WORDS(rows) * 8) ||
            (chunk->codec == LKI_CODEC_NONE && chunk->stored_bytes != chunk->raw_bytes) ||
            !is_expandable(chunk))
            return corrupt(ctx, segment, "a chunk's parts do not add up");
    }
    if ((chunk->flags & LKI_CHUNK_NULL) != 0 && chunk->nulls != rows)
        return corrupt(ctx, segment, "a chunk of nulls does not count them");
    if ((chunk->flags & LKI_CHUNK_AFFINE) != 0 && chunk->phys != LUMA_PHYS_I64)
        return corrupt(ctx, segment, "a chunk of consecutive numbers has no numbers");
    return check_bounds(ctx, segment, chunk, at);
}

/* Leaves come behind the table's columns, those of one column together. */
static luma_rc
check_role(struct luma_ctx *ctx, const struct lk_segment *segment, uint32_t i)
{
    const struct lki_segment_col *col = &segment->col[i];
    bool after_leaf = i > 0 && segment->col[i - 1].role == LKI_LEAF;
    bool sound = col->role <= LKI_LEAF;

    if (col->role == LKI_SHREDDED)
        sound = col->type_id == LUMA_TYPE_JSONB || col->type_id == LUMA_TYPE_JSON;
    if (col->role == LKI_LEAF) {
        int32_t parent = lki_segment_col(segment, col->id);
        sound = i < segment->cols && parent >= 0 && segment->col[parent].role == LKI_SHREDDED &&
                lk_data_path_valid(lki_leaf_path(segment, i)) &&
                lk_data_leaf_type_valid(lki_segment_col_type(col));
    } else if (after_leaf && i < segment->cols) {
        sound = false;
    }
    return sound ? LUMA_OK : corrupt(ctx, segment, "the parts of a document column do not fit");
}

static luma_rc
check_columns(struct luma_ctx *ctx, const struct lk_segment *segment)
{
    for (uint32_t i = 0; i < segment->cols_all; i++) {
        const struct lki_segment_col *col = &segment->col[i];
        if (col->type_id == LUMA_TYPE_NONE || col->type_id >= LUMA_TYPE_COUNT_ ||
            col->phys != luma_type_phys(lki_segment_col_type(col)) ||
            col->sketch_at > segment->heap_bytes ||
            col->sketch_bytes > segment->heap_bytes - col->sketch_at ||
            col->path_at > segment->heap_bytes ||
            col->path_bytes > segment->heap_bytes - col->path_at)
            return corrupt(ctx, segment, "a column's description is damaged");
        LUMA_TRY(check_role(ctx, segment, i));
    }
    for (uint32_t i = 0; i < LKI_SPECIALS; i++)
        if (segment->col[segment->cols + i].phys != LUMA_PHYS_I64)
            return corrupt(ctx, segment, "row ids and commit numbers are missing");
    return LUMA_OK;
}

/* Also makes group_first and learns whether row ids are contiguous. */
static luma_rc
check_groups(struct luma_ctx *ctx, struct lk_segment *segment, uint64_t end)
{
    uint64_t rows = 0;
    int64_t next = segment->info.rowid_min;

    segment->contiguous = true;
    for (uint32_t g = 0; g < segment->groups; g++) {
        if (segment->group_rows[g] == 0 || segment->group_rows[g] > LK_GROUP_ROWS)
            return corrupt(ctx, segment, "a group has a wrong number of rows");
        segment->group_first[g] = (uint32_t)rows;
        for (uint32_t i = 0; i < segment->cols_all; i++)
            LUMA_TRY(check_chunk(ctx, segment, lki_segment_chunk(segment, g, i), i,
                                 segment->group_rows[g], end));
        const struct lki_chunk *ids = lki_segment_chunk(segment, g, segment->cols + LKI_ROWID);
        if ((ids->flags & (LKI_CHUNK_AFFINE | LKI_CHUNK_CONST)) == 0 || ids->min.i64 != next)
            segment->contiguous = false;
        next = ids->min.i64 + (int64_t)segment->group_rows[g];
        rows += segment->group_rows[g];
    }
    segment->group_first[segment->groups] = (uint32_t)rows;
    if (rows != segment->info.rows || rows > UINT32_MAX)
        return corrupt(ctx, segment, "the groups do not have all rows");
    return LUMA_OK;
}

/* Descriptions grew: those of version 1 are filled up. */
static luma_rc
take_columns(struct luma_ctx *ctx, struct lk_segment *segment, const uint8_t *from,
             size_t col_bytes)
{
    segment->col = lk_zalloc(NULL, segment->cols_all * sizeof(*segment->col));
    if (segment->col == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open a segment");
    for (uint32_t i = 0; i < segment->cols_all; i++)
        memcpy(&segment->col[i], from + i * col_bytes, col_bytes);
    return LUMA_OK;
}

static luma_rc
parse_footer(struct luma_ctx *ctx, struct lk_segment *segment, uint64_t end, uint32_t version)
{
    size_t col_bytes = version == 1 ? LKI_COL_BYTES_V1 : sizeof(struct lki_segment_col);
    struct lki_segment_footer head;
    if (segment->footer_bytes < sizeof(head))
        return corrupt(ctx, segment, "the footer is too short");
    memcpy(&head, segment->footer, sizeof(head));
    if (head.cols > LKI_COLS_MAX || head.groups > FOOTER_BYTES_MAX / sizeof(struct lki_chunk))
        return corrupt(ctx, segment, "the footer is damaged");
    segment->cols = head.cols;
    segment->cols_all = head.cols + LKI_SPECIALS;
    segment->groups = head.groups;
    segment->heap_bytes = head.heap_bytes;
    size_t col_at = sizeof(head);
    size_t rows_at = col_at + segment->cols_all * col_bytes;
    size_t chunks_at = rows_at + lk_align_up((size_t)head.groups * 4, 8);
    size_t heap_at = chunks_at + (size_t)head.groups * segment->cols_all * sizeof(struct lki_chunk);
    if (heap_at + head.heap_bytes != segment->footer_bytes)
        return corrupt(ctx, segment, "the footer's parts do not add up");
    const uint8_t *footer = segment->footer;
    LUMA_TRY(take_columns(ctx, segment, footer + col_at, col_bytes));
    segment->group_rows = (const uint32_t *)(const void *)(footer + rows_at);
    segment->chunks = (const struct lki_chunk *)(const void *)(footer + chunks_at);
    segment->heap = footer + heap_at;
    segment->info = (struct lk_segment_info){.object_id = segment->reader->object_id,
                                             .coll_id = head.coll_id,
                                             .bytes = segment->reader->bytes,
                                             .rows = head.rows,
                                             .rowid_min = head.rowid_min,
                                             .rowid_max = head.rowid_max,
                                             .commit_min = head.commit_min,
                                             .commit_max = head.commit_max,
                                             .level = head.level};
    segment->group_first = lk_alloc(NULL, ((size_t)head.groups + 1) * sizeof(uint32_t));
    if (segment->group_first == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open a segment");
    LUMA_TRY(check_columns(ctx, segment));
    return check_groups(ctx, segment, end);
}

static luma_rc
read_footer(struct luma_ctx *ctx, struct lk_segment *segment)
{
    struct luma_object_reader *reader = segment->reader;
    struct lki_segment_header header;
    struct lki_segment_tail tail;

    if (reader->bytes < sizeof(header) + sizeof(tail))
        return corrupt(ctx, segment, "the file is too short");
    LUMA_TRY(lk_object_read(ctx, reader, &header, sizeof(header), 0));
    LUMA_TRY(lk_object_read(ctx, reader, &tail, sizeof(tail), reader->bytes - sizeof(tail)));
    if (header.magic != LKI_SEGMENT_MAGIC || tail.magic != LKI_SEGMENT_MAGIC_END ||
        header.crc != lk_crc32c(0, &header, offsetof(struct lki_segment_header, crc)) ||
        tail.crc != lk_crc32c(0, &tail, offsetof(struct lki_segment_tail, crc)))
        return corrupt(ctx, segment, "it does not begin and end as a segment does");
    if (header.version == 0 || header.version > LKI_SEGMENT_VERSION ||
        tail.version != header.version)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                         "segment %s has format version %u, this program reads up to %u",
                         lk_object_name(reader), header.version, LKI_SEGMENT_VERSION);
    if (header.object_id != reader->object_id)
        return corrupt(ctx, segment, "it is another segment's file");
    if (tail.footer_bytes > FOOTER_BYTES_MAX || tail.footer_offset < sizeof(header) ||
        tail.footer_offset != reader->bytes - sizeof(tail) - tail.footer_bytes)
        return corrupt(ctx, segment, "the footer lies outside the file");
    segment->footer = lk_alloc(NULL, tail.footer_bytes);
    if (segment->footer == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open a segment");
    segment->footer_bytes = tail.footer_bytes;
    LUMA_TRY(lk_object_read(ctx, reader, segment->footer, tail.footer_bytes, tail.footer_offset));
    if (lk_crc32c(0, segment->footer, tail.footer_bytes) != tail.footer_crc)
        return corrupt(ctx, segment, "the footer's checksum is wrong");
    return parse_footer(ctx, segment, tail.footer_offset, header.version);
}

static size_t
hints_bytes(const struct lk_segment *segment)
{
    return (size_t)segment->groups * segment->cols_all * sizeof(struct lk_cache_hint);
}

static void
segment_free(struct lk_segment *segment)
{
    if (segment->group_first != NULL)
        lk_free(NULL, segment->group_first, ((size_t)segment->groups + 1) * sizeof(uint32_t));
    if (segment->col != NULL)
        lk_free(NULL, segment->col, segment->cols_all * sizeof(*segment->col));
    if (segment->hints != NULL)
        lk_free(NULL, segment->hints, hints_bytes(segment));
    lk_free(NULL, segment->footer, segment->footer_bytes);
    lk_object_close(segment->reader);
    lk_free(NULL, segment, sizeof(*segment));
}

luma_rc
lk_segment_open(struct luma_ctx *ctx, struct lk_objects *objects, const struct lk_formats *formats,
                uint64_t object_id, struct lk_segment **out_segment)
{
    struct lk_segment *segment = lk_zalloc(NULL, sizeof(*segment));
    if (segment == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open a segment");
    atomic_init(&segment->refs, 1);
    segment->formats = formats;
    luma_rc rc = lk_object_open(ctx, objects, LK_OBJECT_SEGMENT, object_id, &segment->reader);
    if (rc == LUMA_OK)
        rc = read_footer(ctx, segment);
    if (rc == LUMA_OK && hints_bytes(segment) > 0) {
        segment->hints = lk_zalloc(NULL, hints_bytes(segment));
        if (segment->hints == NULL)
            rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open a segment");
    }
    if (rc != LUMA_OK) {
        segment_free(segment);
        return rc;
    }
    *out_segment = segment;
    return LUMA_OK;
}

void
lk_segment_ref(struct lk_segment *segment)
{
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
}

void
lk_segment_unref(struct lk_segment *segment)
{
    /* The last one sees what all others did. */
    if (segment != NULL && atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) == 1)
        segment_free(segment);
}

const struct lk_segment_info *
lk_segment_info(const struct lk_segment *segment)
{
    return &segment->info;
}

uint32_t
lk_segment_groups(const struct lk_segment *segment)
{
    return segment->groups;
}

uint32_t
lk_segment_group_rows(const struct lk_segment *segment, uint32_t group)
{
    return segment->group_rows[group];
}

uint32_t
lk_segment_group_first(const struct lk_segment *segment, uint32_t group)
{
    return segment->group_first[group];
}

uint64_t
lk_segment_group_bytes(const struct lk_segment *segment)
{
    uint64_t most = 0;
    for (uint32_t g = 0; g < segment->groups; g++) {
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < segment->cols_all; i++) {
            const struct lki_chunk *chunk = lki_segment_chunk(segment, g, i);
            if (lki_chunk_has_bytes(chunk))
                bytes += chunk->raw_bytes + chunk->room_bytes;
        }
        most = LK_MAX(most, bytes);
    }
    return most;
}

uint32_t
lki_segment_group_of(const struct lk_segment *segment, uint32_t row)
{
    uint32_t lo = 0, hi = segment->groups;
    uint32_t guess = row / LK_GROUP_ROWS; /* right unless groups ended early */
    if (guess < hi && segment->group_first[guess] <= row && row < segment->group_first[guess + 1])
        return guess;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (segment->group_first[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int32_t
lki_segment_col(const struct lk_segment *segment, uint32_t col_id)
{
    for (uint32_t i = 0; i < segment->cols; i++)
        if (segment->col[i].id == col_id && segment->col[i].role != LKI_LEAF)
            return (int32_t)i;
    return -1;
}

uint32_t
lki_segment_leaves(const struct lk_segment *segment, uint32_t at, uint32_t *out_first)
{
    uint32_t first = at + 1, count = 0;
    while (first < segment->cols &&
           (segment->col[first].role != LKI_LEAF || segment->col[first].id != segment->col[at].id))
        first++;
    while (first + count < segment->cols && segment->col[first + count].role == LKI_LEAF &&
           segment->col[first + count].id == segment->col[at].id)
        count++;
    *out_first = first;
    return count;
}

struct luma_type
lki_segment_col_type(const struct lki_segment_col *col)
{
    struct luma_type type = {col->type_id, col->type_elem, col->type_scale, col->type_mod};
    return type;
}

bool
lki_segment_value_valid(const struct lk_segment *segment, uint32_t at,
                        const struct luma_value *value)
{
    struct luma_slice doc = luma_str_slice(&value->str);
    uint32_t first;

    if (segment->col[at].role != LKI_SHREDDED)
        return lk_data_value_valid(value);
    if (segment->col[at].type_id == LUMA_TYPE_JSON) {
        if (doc.bytes == 0 || doc.data[0] > LK_JSON_SPACED)
            return false;
        if (doc.data[0] == LK_JSON_RAW)
            return true;
        doc = luma_slice(doc.data + 1, doc.bytes - 1);
    }
    return lk_data_shred_valid(doc, lki_segment_leaves(segment, at, &first));
}

/* --- bounds --- */

static void
bound_value(const struct lk_segment *segment, const struct lki_chunk *chunk,
            const union lki_bound *bound, struct luma_type type, struct luma_value *out)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = chunk->phys;
    out->scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    if (chunk->phys == LUMA_PHYS_STR)
        out->str =
            luma_str_make((const char *)segment->heap + bound->heap.at, bound->heap.bytes_count);
    else
        memcpy(&out->uuid, bound, luma_phys_bytes((enum luma_phys)chunk->phys));
}

bool
lki_chunk_min(const struct lk_segment *segment, const struct lki_chunk *chunk,
              struct luma_type type, struct luma_value *out)
{
    if ((chunk->flags & (LKI_CHUNK_MIN | LKI_CHUNK_CONST)) == 0)
        return false;
    bound_value(segment, chunk, &chunk->min, type, out);
    return true;
}

bool
lki_chunk_max(const struct lk_segment *segment, const struct lki_chunk *chunk,
              struct luma_type type, struct luma_value *out)
{
    if ((chunk->flags & (LKI_CHUNK_MAX | LKI_CHUNK_CONST)) == 0)
        return false;
    bound_value(segment, chunk, (chunk->flags & LKI_CHUNK_CONST) != 0 ? &chunk->min : &chunk->max,
                type, out);
    return true;
}

static uint64_t
magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

uint64_t
lki_chunk_bound(const struct lki_chunk *chunk)
{
    const union lki_bound *min = &chunk->min;
    const union lki_bound *max = (chunk->flags & LKI_CHUNK_CONST) != 0 ? min : &chunk->max;
    uint64_t bound = 0;

    if ((chunk->flags & (LKI_CHUNK_CONST | LKI_CHUNK_MAX)) == 0)
        return 0;
    switch (chunk->phys) {
    case LUMA_PHYS_I16:
        bound = LK_MAX(magnitude(min->i16), magnitude(max->i16));
        break;
    case LUMA_PHYS_I32:
        bound = LK_MAX(magnitude(min->i32), magnitude(max->i32));
        break;
    case LUMA_PHYS_I64:
        bound = LK_MAX(magnitude(min->i64), magnitude(max->i64));
        break;
    case LUMA_PHYS_I128:
        for (int i = 0; i < 2; i++) {
            luma_i128 v;
            memcpy(&v, i == 0 ? min : max, sizeof(v));
            v = v < 0 ? -v : v;
            if (v < 0 || v > INT64_MAX)
                return 0;
            bound = LK_MAX(bound, (uint64_t)v);
        }
        break;
    default:
        return 0;
    }
    return bound == 0 ? 1 : bound; /* 0 would say "not known" */
}

/* --- statistics --- */

static void
sketch_load(const struct lk_segment *segment, const struct lki_segment_col *col, uint8_t *out)
{
    const uint8_t *p = segment->heap + col->sketch_at;
    memset(out, 0, LKI_SKETCH_REGISTERS);
    if (col->sketch_bytes == LKI_SKETCH_REGISTERS) {
        memcpy(out, p, LKI_SKETCH_REGISTERS);
        return;
    }
    for (uint32_t i = 0; i + 3 <= col->sketch_bytes; i += 3)
        out[lk_load_u16(p + i) & (LKI_SKETCH_REGISTERS - 1)] =
            p[i + 2] > 63 ? (uint8_t)63 : p[i + 2];
}

static bool
stats_bounds(const struct lk_segment *segment, int32_t at, struct luma_col_stats *out)
{
    struct luma_type type = lki_segment_col_type(&segment->col[at]);
    bool any = false;
    for (uint32_t g = 0; g < segment->groups; g++) {
        const struct lki_chunk *chunk = lki_segment_chunk(segment, g, (uint32_t)at);
        struct luma_value min, max;
        if ((chunk->flags & LKI_CHUNK_NULL) != 0)
            continue;
        if (!lki_chunk_min(segment, chunk, type, &min) ||
            !lki_chunk_max(segment, chunk, type, &max))
            return false;
        if (!any || lki_value_compare(&min, &out->min) < 0)
            out->min = min;
        if (!any || lki_value_compare(&max, &out->max) > 0)
            out->max = max;
        any = true;
    }
    return any;
}

bool
lk_segment_col_sketch(const struct lk_segment *segment, uint32_t col_id,
                      uint8_t out_registers[LK_SEGMENT_SKETCH_BYTES])
{
    int32_t at = lki_segment_col(segment, col_id);
    if (at < 0)
        return false;
    sketch_load(segment, &segment->col[at], out_registers);
    return true;
}

bool
lk_segment_col_stats(const struct lk_segment *segment, uint32_t col_id, struct luma_col_stats *out)
{
    int32_t at = lki_segment_col(segment, col_id);
    uint8_t registers[LKI_SKETCH_REGISTERS];

    if (at < 0)
        return false;
    const struct lki_segment_col *col = &segment->col[at];
    memset(out, 0, sizeof(*out));
    out->known = true;
    out->rows = segment->info.rows;
    out->nulls = col->nulls;
    sketch_load(segment, col, registers);
    out->distinct = lk_sketch_estimate(registers);
    if (out->distinct > (double)(out->rows - out->nulls))
        out->distinct = (double)(out->rows - out->nulls);
    out->width_bytes = col->phys != LUMA_PHYS_STR ? luma_phys_bytes((enum luma_phys)col->phys)
                       : out->rows == 0           ? 0
                                                  : (double)col->text_bytes / (double)out->rows;
    if (lki_order_of(lki_segment_col_type(col), col->phys) == LKI_ORDER_OTHER ||
        !stats_bounds(segment, at, out))
        out->min.is_null = out->max.is_null = true;
    return true;
}

/* --- one row --- */

/* A number of a special column, which is never null. */
static luma_rc
special_get(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group,
            enum lki_segment_special which, uint32_t row, int64_t *out)
{
    uint32_t col = segment->cols + (uint32_t)which;
    const struct lki_chunk *chunk = lki_segment_chunk(segment, group, col);
    struct lk_cache_block *block;

    if (!lki_chunk_has_bytes(chunk)) {
        *out = chunk->min.i64 + ((chunk->flags & LKI_CHUNK_AFFINE) != 0 ? (int64_t)row : 0);
        return LUMA_OK;
    }
    LUMA_TRY(lki_segment_load(ctx, segment, group, col, &block));
    const struct lki_loaded *loaded = lki_loaded(block);
    loaded->encoding->get(&loaded->view, row, out);
    lk_cache_unpin(lk_object_cache(segment->reader), block);
    return LUMA_OK;
}

/* The group whose row ids may include rowid, -1: none. */
static int64_t
group_of_rowid(const struct lk_segment *segment, int64_t rowid)
{
    uint32_t lo = 0, hi = segment->groups, ids = segment->cols + LKI_ROWID;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (lki_segment_chunk(segment, mid, ids)->min.i64 <= rowid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (int64_t)lo - 1;
}

/* Where rows begin that may include rowid: encodings that sum up differences begin anew at these
 * places, so that one value costs no more there than anywhere in the others. */
static uint32_t
find_block(const struct lki_loaded *loaded, uint32_t rows, int64_t rowid)
{
    uint32_t lo = 0, hi = (rows + FIND_ROWS - 1) / FIND_ROWS;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        int64_t v = 0;
        loaded->encoding->get(&loaded->view, mid * FIND_ROWS, &v);
        if (v <= rowid)
            lo = mid;
        else
            hi = mid;
    }
    return lo * FIND_ROWS;
}

/* Where in `ids` rowid is, or would be. */
static uint32_t
find_among(const int64_t *ids, uint32_t n, int64_t rowid)
{
    uint32_t at = 0;
    while (n > 1) {
        uint32_t half = n / 2;
        at += ids[at + half - 1] < rowid ? half : 0;
        n -= half;
    }
    return at;
}

static luma_rc
find_in_group(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group, int64_t rowid,
              int64_t *out_row)
{
    struct lk_cache_block *block;
    uint32_t rows = segment->group_rows[group];
    int64_t room[FIND_ROWS];
    struct luma_vec ids = {.phys = LUMA_PHYS_I64, .data = room};

    LUMA_TRY(lki_segment_load(ctx, segment, group, segment->cols + LKI_ROWID, &block));
    const struct lki_loaded *loaded = lki_loaded(block);
    uint32_t first = find_block(loaded, rows, rowid), n = LK_MIN(FIND_ROWS, rows - first);
    luma_rc rc = loaded->encoding->decode(&loaded->view, first, n, ctx->arena, &ids);
    if (rc == LUMA_OK && ids.form != LUMA_VEC_FLAT) {
        for (uint32_t i = 0; i < n; i++)
            loaded->encoding->get(&loaded->view, first + i, &room[i]);
        ids.data = room;
    }
    if (rc == LUMA_OK) {
        const int64_t *values = ids.data;
        uint32_t at = find_among(values, n, rowid);
        *out_row = values[at] == rowid ? (int64_t)segment->group_first[group] + first + at : -1;
    }
    lk_cache_unpin(lk_object_cache(segment->reader), block);
    return rc == LUMA_OK ? LUMA_OK : LUMA_FAIL(ctx, rc, "row ids of a segment cannot be read");
}

luma_rc
lk_segment_find(struct luma_ctx *ctx, struct lk_segment *segment, int64_t rowid, int64_t *out_row)
{
    if (rowid < segment->info.rowid_min || rowid > segment->info.rowid_max) {
        *out_row = -1;
        return LUMA_OK;
    }
    if (segment->contiguous) {
        *out_row = rowid - segment->info.rowid_min;
        return LUMA_OK;
    }
    int64_t group = group_of_rowid(segment, rowid);
    if (group < 0) {
        *out_row = -1;
        return LUMA_OK;
    }
    uint32_t g = (uint32_t)group;
    const struct lki_chunk *ids = lki_segment_chunk(segment, g, segment->cols + LKI_ROWID);
    if (lki_chunk_has_bytes(ids))
        return find_in_group(ctx, segment, g, rowid, out_row);
    uint64_t at = (uint64_t)rowid - (uint64_t)ids->min.i64;
    *out_row = at < segment->group_rows[g] ? (int64_t)(segment->group_first[g] + at) : -1;
    return LUMA_OK;
}

luma_rc
lk_segment_rowid(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t row, int64_t *out_rowid)
{
    uint32_t group = lki_segment_group_of(segment, row);
    return special_get(ctx, segment, group, LKI_ROWID, row - segment->group_first[group],
                       out_rowid);
}

luma_rc
lk_segment_row_commits(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t row,
                       uint64_t *out_begin, uint64_t *out_end)
{
    uint32_t group = lki_segment_group_of(segment, row);
    int64_t begin, end;
    row -= segment->group_first[group];
    LUMA_TRY(special_get(ctx, segment, group, LKI_BEGIN, row, &begin));
    LUMA_TRY(special_get(ctx, segment, group, LKI_END, row, &end));
    *out_begin = (uint64_t)begin;
    *out_end = (uint64_t)end;
    return LUMA_OK;
}

static luma_rc
keep_value(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_value *value)
{
    if (value->is_null || value->phys != LUMA_PHYS_STR || value->str.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    char *copy = luma_arena_alloc_aligned(arena, value->str.bytes, 1);
    if (copy == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a value of %u bytes", value->str.bytes);
    memcpy(copy, value->str.ptr, value->str.bytes);
    value->str = luma_str_make(copy, value->str.bytes);
    return LUMA_OK;
}

static luma_rc
get_loaded(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group, uint32_t at,
           uint32_t row, struct luma_arena *arena, struct luma_value *out)
{
    struct lk_cache_block *block;
    LUMA_TRY(lki_segment_load(ctx, segment, group, at, &block));
    const struct lki_loaded *loaded = lki_loaded(block);
    luma_rc rc = LUMA_OK;
    out->is_null = !luma_bit_get(loaded->valid, row);
    if (!out->is_null) {
        rc = luma_enc_get(loaded->encoding, &loaded->view, row, arena, &out->uuid);
        if (rc != LUMA_OK)
            rc = LUMA_FAIL(ctx, rc, "a value cannot be read");
        else if (!lki_makes_strings(loaded->encoding))
            rc = keep_value(ctx, arena, out);
    }
    lk_cache_unpin(lk_object_cache(segment->reader), block);
    return rc;
}

/* Value of a column at a place of the segment; bytes in arena. */
static luma_rc
get_at(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group, uint32_t at, uint32_t row,
       struct luma_type type, struct luma_arena *arena, struct luma_value *out)
{
    const struct lki_chunk *chunk = lki_segment_chunk(segment, group, at);
    struct luma_value value;

    memset(&value, 0, sizeof(value));
    value.type = type;
    value.phys = chunk->phys;
    value.scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    if ((chunk->flags & LKI_CHUNK_NULL) != 0) {
        value.is_null = true;
    } else if ((chunk->flags & LKI_CHUNK_CONST) != 0) {
        (void)lki_chunk_min(segment, chunk, type, &value);
        LUMA_TRY(keep_value(ctx, arena, &value));
    } else {
        LUMA_TRY(get_loaded(ctx, segment, group, at, row, arena, &value));
    }
    *out = value;
    return LUMA_OK;
}

/* A document of its holes' leaves. */
static luma_rc
get_joined(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group, uint32_t at,
           uint32_t row, struct luma_arena *arena, struct luma_value *inout)
{
    uint64_t holes[LUMA_BIT_WORDS(256)] = {0};
    struct luma_value values[LK_SHRED_COLS_MAX];
    struct luma_vec vecs[LK_SHRED_COLS_MAX];
    struct luma_slice whole;
    uint32_t first, count = lki_segment_leaves(segment, at, &first);

    if (count > LK_SHRED_COLS_MAX)
        return corrupt(ctx, segment, "a document column has too many parts");
    bool text = segment->col[at].type_id == LUMA_TYPE_JSON;
    struct luma_slice rest = luma_str_slice(&inout->str);
    if (!text)
        lk_data_doc_holes(rest, holes);
    else if (rest.bytes > 0 && rest.data[0] != LK_JSON_RAW)
        lk_data_doc_holes(luma_slice(rest.data + 1, rest.bytes - 1), holes);
    memset(vecs, 0, count * sizeof(vecs[0]));
    for (uint32_t i = 0; i < count; i++) {
        struct luma_type type = lki_segment_col_type(&segment->col[first + i]);
        if (!luma_bit_get(holes, i))
            continue;
        LUMA_TRY(get_at(ctx, segment, group, first + i, row, type, arena, &values[i]));
        if (!values[i].is_null)
            vecs[i] = (struct luma_vec){.type = type,
                                        .phys = values[i].phys,
                                        .form = LUMA_VEC_CONST,
                                        .scale = values[i].scale,
                                        .data = &values[i].uuid};
    }
    struct lk_join join;
    lk_data_join_init(&join);
    join.cols = vecs;
    join.cols_count = count;
    struct luma_str joined;
    luma_rc rc = text ? lk_data_json_join(&join, rest, 0, arena, &joined)
                      : lk_data_join(&join, rest, 0, &whole);
    if (rc == LUMA_OK && text) {
        inout->str = joined;
    } else if (rc == LUMA_OK) {
        inout->str = luma_str_make((const char *)whole.data, (uint32_t)whole.bytes);
        rc = keep_value(ctx, arena, inout);
    } else {
        rc = rc == LUMA_E_CORRUPT ? corrupt(ctx, segment, "a document lacks one of its values")
                                  : LUMA_FAIL(ctx, rc, "no memory to put a document together");
    }
    lk_data_join_fini(&join);
    return rc;
}

luma_rc
lk_segment_get(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t row,
               const struct luma_store_col *col, struct luma_arena *arena, struct luma_value *out)
{
    int32_t at = lki_segment_col(segment, col->id);
    struct luma_value value;

    if (at < 0) {
        value = col->missing;
        value.type = col->type;
        LUMA_TRY(keep_value(ctx, arena, &value));
        *out = value;
        return LUMA_OK;
    }
    uint32_t group = lki_segment_group_of(segment, row);
    row -= segment->group_first[group];
    LUMA_TRY(get_at(ctx, segment, group, (uint32_t)at, row, col->type, arena, &value));
    if (segment->col[at].role == LKI_SHREDDED && !value.is_null)
        LUMA_TRY(get_joined(ctx, segment, group, (uint32_t)at, row, arena, &value));
    *out = value;
    return LUMA_OK;
}
