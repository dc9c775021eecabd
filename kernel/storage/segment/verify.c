/*
 * storage/segment/verify.c - reading everything of a segment, and telling people what is in it.
 */
#include <stdio.h>

#include "data/data.h"
#include "storage/segment/segment_priv.h"

#define WINDOW LUMA_BATCH_ROWS

static luma_rc
bad(struct luma_ctx *ctx, const struct lk_segment *segment, uint32_t group, uint32_t col,
    const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "segment %s, group %u, column %u: %s",
                     lk_object_name(segment->reader), group, segment->col[col].id, what);
}

struct check {
    struct lk_segment *segment;
    uint32_t group, col;
    const struct lki_chunk *chunk;
    const struct lki_loaded *loaded;
    struct luma_type type;
    bool has_bounds;
    struct luma_value min, max;
    uint32_t nulls;
    uint8_t *buffer;
    struct luma_arena *arena; /* strings of a window */
};

static luma_rc
check_value(struct luma_ctx *ctx, struct check *check, const struct luma_vec *vec, uint32_t row)
{
    struct luma_value v;
    const void *at = luma_vec_at(vec, row);
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);

    memset(&v, 0, sizeof(v));
    v.type = check->type;
    v.phys = vec->phys;
    v.scale = check->type.id == LUMA_TYPE_NUMERIC ? check->type.scale : (int16_t)0;
    memcpy(&v.uuid, at, size);
    if (!lki_segment_value_valid(check->segment, check->col, &v))
        return bad(ctx, check->segment, check->group, check->col, "a value is none of its type");
    if (!check->has_bounds)
        return LUMA_OK;
    if (lki_value_compare(&v, &check->min) < 0 || lki_value_compare(&v, &check->max) > 0)
        return bad(ctx, check->segment, check->group, check->col,
                   "a value lies outside its bounds");
    return LUMA_OK;
}

/* Both ways to a value, range and single, must agree, and lie within the bounds. */
static luma_rc
check_window(struct luma_ctx *ctx, struct check *check, uint32_t first, uint32_t n)
{
    const struct lki_loaded *loaded = check->loaded;
    struct luma_vec vec = {.phys = loaded->view.phys, .data = check->buffer};
    uint8_t single[16];

    check->arena->reset(check->arena);
    LUMA_TRY(loaded->encoding->decode(&loaded->view, first, n, check->arena, &vec));
    for (uint32_t i = 0; i < n; i++) {
        if (!luma_bit_get(loaded->valid, first + i)) {
            check->nulls++;
            continue;
        }
        LUMA_TRY(luma_enc_get(loaded->encoding, &loaded->view, first + i, check->arena, single));
        const void *at = luma_vec_at(&vec, i);
        bool same = vec.phys == LUMA_PHYS_STR
                        ? luma_str_equal((const struct luma_str *)(const void *)single, at)
                        : memcmp(single, at, luma_phys_bytes((enum luma_phys)vec.phys)) == 0;
        if (!same)
            return bad(ctx, check->segment, check->group, check->col, "two readings differ");
        LUMA_TRY(check_value(ctx, check, &vec, i));
    }
    return LUMA_OK;
}

static luma_rc
check_rows(struct luma_ctx *ctx, struct check *check)
{
    uint32_t rows = check->segment->group_rows[check->group];
    for (uint32_t first = 0; first < rows; first += WINDOW)
        LUMA_TRY(check_window(ctx, check, first, LK_MIN(rows - first, (uint32_t)WINDOW)));
    if (check->nulls != check->chunk->nulls)
        return bad(ctx, check->segment, check->group, check->col, "its nulls are miscounted");
    return LUMA_OK;
}

/* Past the cache what the disk has now counts, not what was read some time ago. */
static luma_rc
check_stored(struct luma_ctx *ctx, const struct check *check)
{
    const struct lki_chunk *chunk = check->chunk;
    uint8_t *stored = lk_alloc(NULL, chunk->stored_bytes);
    if (stored == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to check a segment");
    luma_rc rc =
        lk_object_read(ctx, check->segment->reader, stored, chunk->stored_bytes, chunk->offset);
    if (rc == LUMA_OK && lk_crc32c(0, stored, chunk->stored_bytes) != chunk->crc)
        rc = bad(ctx, check->segment, check->group, check->col, "the checksum is wrong");
    lk_free(NULL, stored, chunk->stored_bytes);
    return rc;
}

static luma_rc
check_chunk(struct luma_ctx *ctx, struct check *check)
{
    struct lk_segment *segment = check->segment;
    struct lk_cache_block *block;

    check->type = lki_segment_col_type(&segment->col[check->col]);
    check->chunk = lki_segment_chunk(segment, check->group, check->col);
    if (!lki_chunk_has_bytes(check->chunk))
        return LUMA_OK;
    LUMA_TRY(check_stored(ctx, check));
    LUMA_TRY(lki_segment_load(ctx, segment, check->group, check->col, &block));
    check->loaded = lki_loaded(block);
    check->nulls = 0;
    check->has_bounds = lki_chunk_min(segment, check->chunk, check->type, &check->min) &&
                        lki_chunk_max(segment, check->chunk, check->type, &check->max);
    luma_rc rc = check_rows(ctx, check);
    lk_cache_unpin(lk_object_cache(segment->reader), block);
    return rc;
}

static luma_rc
check_rowids(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group,
             int64_t *inout_previous, bool *inout_any)
{
    for (uint32_t i = 0; i < segment->group_rows[group]; i++) {
        int64_t id;
        LUMA_TRY(lk_segment_rowid(ctx, segment, segment->group_first[group] + i, &id));
        if ((*inout_any && id <= *inout_previous) || id < segment->info.rowid_min ||
            id > segment->info.rowid_max)
            return bad(ctx, segment, group, segment->cols + LKI_ROWID, "row ids do not ascend");
        *inout_previous = id;
        *inout_any = true;
    }
    return LUMA_OK;
}

static bool
document_sound(struct luma_ctx *ctx, bool text, const struct luma_str *doc)
{
    return text ? lk_data_json_check(ctx, luma_str_slice(doc)) == LUMA_OK
                : lk_data_doc_valid(luma_str_slice(doc));
}

/* Every document can be put together and is one. */
static luma_rc
check_documents(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t col)
{
    uint32_t id = segment->col[col].id;
    bool text = segment->col[col].type_id == LUMA_TYPE_JSON;
    const struct luma_store_col column = {
        .id = id, .type = luma_type(text ? LUMA_TYPE_JSON : LUMA_TYPE_JSONB)};
    const struct luma_store_coll def = {.cols_count = 1, .cols = &column};
    const struct luma_scan_spec spec = {.cols = &id, .cols_count = 1};
    struct lk_segment_cursor *cursor = NULL;
    luma_rc rc = lk_segment_cursor_open(ctx, &def, &spec, &cursor);

    for (uint32_t g = 0; g < segment->groups && rc == LUMA_OK; g++) {
        bool more = true;
        rc = lk_segment_cursor_seek(ctx, cursor, segment, g);
        while (rc == LUMA_OK && more) {
            struct luma_batch *batch;
            rc = lk_segment_cursor_next(ctx, cursor, NULL, NULL, &batch, &more);
            for (uint32_t i = 0; rc == LUMA_OK && more && i < batch->rows; i++)
                if (!luma_vec_is_null(&batch->cols[0], i) &&
                    !document_sound(ctx, text, luma_vec_at(&batch->cols[0], i)))
                    rc = bad(ctx, segment, g, col, "a document is damaged");
        }
    }
    lk_segment_cursor_close(cursor);
    return rc;
}

luma_rc
lk_segment_verify(struct luma_ctx *ctx, struct lk_segment *segment,
                  void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg)
{
    struct check check = {.segment = segment,
                          .buffer = lk_alloc(NULL, (size_t)WINDOW * 16),
                          .arena = lk_arena_create(NULL, (size_t)1 << 16)};
    luma_rc rc = check.buffer == NULL || check.arena == NULL
                     ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to check a segment")
                     : LUMA_OK;
    int64_t previous = 0;
    bool any = false;

    for (uint32_t g = 0; g < segment->groups && rc == LUMA_OK; g++) {
        check.group = g;
        for (uint32_t i = 0; i < segment->cols_all && rc == LUMA_OK; i++) {
            check.col = i;
            rc = check_chunk(ctx, &check);
        }
        if (rc == LUMA_OK)
            rc = check_rowids(ctx, segment, g, &previous, &any);
        if (progress != NULL)
            progress(arg, g + 1, segment->groups);
    }
    for (uint32_t i = 0; i < segment->cols && rc == LUMA_OK; i++)
        if (segment->col[i].role == LKI_SHREDDED)
            rc = check_documents(ctx, segment, i);
    lk_arena_destroy(check.arena);
    lk_free(NULL, check.buffer, (size_t)WINDOW * 16);
    return rc;
}

/* --- for people --- */

static const char *
form_of(const struct lki_chunk *chunk, char encoding[5], char codec[5])
{
    if ((chunk->flags & LKI_CHUNK_NULL) != 0)
        return "null";
    if ((chunk->flags & LKI_CHUNK_CONST) != 0)
        return "const";
    if ((chunk->flags & LKI_CHUNK_AFFINE) != 0)
        return "consecutive";
    lki_wire_name(chunk->encoding, encoding);
    if (chunk->codec != LKI_CODEC_NONE)
        lki_wire_name(chunk->codec, codec);
    return encoding;
}

static const char *
col_name(const struct lk_segment *segment, uint32_t i, char *out, size_t room)
{
    static const char *const specials[LKI_SPECIALS] = {"row id", "begin", "end"};
    if (i >= segment->cols)
        return specials[i - segment->cols];
    int n = snprintf(out, room, "column %u", segment->col[i].id);
    if (segment->col[i].role == LKI_LEAF && (size_t)n + 1 < room) {
        out[n++] = ' ';
        lk_data_path_text(lki_leaf_path(segment, i), out + n, room - (size_t)n);
    }
    return out;
}

/* " [1 .. 9]" when the chunk has bounds; what is left of documents is for no one to read. */
static void
describe_bounds(const struct lk_segment *segment, uint32_t i, const struct lki_chunk *chunk,
                struct luma_arena *arena, char *out, size_t room)
{
    struct luma_type type = lki_segment_col_type(&segment->col[i]);
    struct luma_value min, max;
    out[0] = '\0';
    if (arena == NULL || segment->col[i].role == LKI_SHREDDED ||
        !lki_chunk_min(segment, chunk, type, &min) || !lki_chunk_max(segment, chunk, type, &max))
        return;
    const char *low = lk_data_value_text(&min, NULL, arena);
    const char *high = lk_data_value_text(&max, NULL, arena);
    if (low != NULL && high != NULL)
        snprintf(out, room, " [%.40s .. %.40s]", low, high);
}

static void
describe_chunk(struct lk_segment *segment, uint32_t group, uint32_t i, struct luma_arena *arena,
               void (*line)(void *arg, const char *text), void *arg)
{
    const struct lki_chunk *chunk = lki_segment_chunk(segment, group, i);
    char text[512], name[128], bounds[128], encoding[5] = "", codec[5] = "-";
    const char *form = form_of(chunk, encoding, codec);
    describe_bounds(segment, i, chunk, arena, bounds, sizeof(bounds));
    snprintf(text, sizeof(text),
             "  %-28s %-12s codec %-4s %9u bytes of %9u at %llu, nulls %u, distinct ~%u%s",
             col_name(segment, i, name, sizeof(name)), form, codec, chunk->stored_bytes,
             chunk->raw_bytes, (unsigned long long)chunk->offset, chunk->nulls, chunk->distinct,
             bounds);
    line(arg, text);
}

luma_rc
lk_segment_describe(struct luma_ctx *ctx, struct lk_segment *segment,
                    void (*line)(void *arg, const char *text), void *arg)
{
    const struct lk_segment_info *info = &segment->info;
    char text[256];

    snprintf(text, sizeof(text),
             "segment %llu of collection %llu: %llu rows, %u groups, %u columns, %llu bytes, "
             "level %u",
             (unsigned long long)info->object_id, (unsigned long long)info->coll_id,
             (unsigned long long)info->rows, segment->groups, segment->cols,
             (unsigned long long)info->bytes, info->level);
    line(arg, text);
    snprintf(text, sizeof(text), "row ids %lld .. %lld%s, commits %llu .. %llu",
             (long long)info->rowid_min, (long long)info->rowid_max,
             segment->contiguous ? " (consecutive)" : "", (unsigned long long)info->commit_min,
             (unsigned long long)info->commit_max);
    line(arg, text);
    for (uint32_t g = 0; g < segment->groups; g++) {
        snprintf(text, sizeof(text), "group %u: %u rows", g, segment->group_rows[g]);
        line(arg, text);
        for (uint32_t i = 0; i < segment->cols_all; i++)
            describe_chunk(segment, g, i, ctx->arena, line, arg);
    }
    return LUMA_OK;
}
