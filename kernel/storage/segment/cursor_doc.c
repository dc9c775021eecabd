/*
 * storage/segment/cursor_doc.c - documents that were taken apart, read again: a field from its own
 * leaf alone where the leaf has all of it, anything else put together of what is needed.
 */
#include "storage/segment/cursor.h"

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to put documents together");
}

static luma_rc
corrupt(struct luma_ctx *ctx, const struct lk_segment_cursor *cursor,
        const struct lki_cursor_col *column)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                     "segment %s, group %u, column %u: a document lacks one of its values",
                     lk_object_name(cursor->segment->reader), cursor->group, column->def->id);
}

/* --- entering a group --- */

luma_rc
lki_cursor_need_arena(struct luma_ctx *ctx, struct lk_segment_cursor *cursor)
{
    if (cursor->arena == NULL)
        cursor->arena = lk_arena_create(NULL, (size_t)1 << 16);
    if (cursor->arena_paths == NULL)
        cursor->arena_paths = lk_arena_create(NULL, 512);
    return cursor->arena == NULL || cursor->arena_paths == NULL ? no_memory(ctx) : LUMA_OK;
}

static luma_rc
leaves_room(struct luma_ctx *ctx, struct lki_cursor_col *column, uint32_t count)
{
    if (count <= column->leaves_room)
        return LUMA_OK;
    lki_cursor_doc_fini(column);
    column->leaves = lk_zalloc(NULL, count * sizeof(*column->leaves));
    column->leaf_vecs = lk_zalloc(NULL, count * sizeof(*column->leaf_vecs));
    column->leaves_room = count;
    return column->leaves == NULL || column->leaf_vecs == NULL ? no_memory(ctx) : LUMA_OK;
}

/* The leaves on the path's way (all without one) are made ready; the others stay without values. */
static luma_rc
enter_leaves(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
             uint32_t first, uint32_t count)
{
    struct lk_segment *segment = cursor->segment;

    LUMA_TRY(leaves_room(ctx, column, count));
    lk_data_join_forget(&column->join);
    column->leaves_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct lki_cursor_col *leaf = &column->leaves[i];
        leaf->def = column->def;
        leaf->type = lki_segment_col_type(&segment->col[first + i]);
        leaf->at = -1;
        struct luma_slice path = lki_leaf_path(segment, first + i);
        /* A scalar is found at its own path, and at index 0 below it. */
        if (column->def->type.id != LUMA_TYPE_JSON && !lk_data_path_below(path, column->path_key) &&
            !lk_data_path_below(column->path_key, path))
            continue;
        if (leaf->buffer == NULL)
            leaf->buffer = lk_alloc(NULL, (size_t)WINDOW * 16);
        if (leaf->buffer == NULL)
            return no_memory(ctx);
        LUMA_TRY(lki_cursor_enter(ctx, cursor, leaf, (int32_t)(first + i)));
    }
    return LUMA_OK;
}

/* The leaf that has the path's values, all of them; -1: none. */
static int32_t
exact_leaf(const struct lk_segment_cursor *cursor, const struct lki_cursor_col *column,
           uint32_t first, uint32_t count)
{
    if (column->path->type.id == LUMA_TYPE_JSON)
        return -1; /* text as it is written */
    uint32_t wanted =
        LKI_MARK_EXACT | (column->path->type.id == LUMA_TYPE_JSONB ? LKI_MARK_NO_NULLS : 0u);
    for (uint32_t i = first; i < first + count; i++)
        if (luma_slice_equal(lki_leaf_path(cursor->segment, i), column->path_key))
            return (lki_segment_chunk(cursor->segment, cursor->group, i)->marks & wanted) == wanted
                       ? (int32_t)i
                       : -1;
    return -1;
}

luma_rc
lki_cursor_doc_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                     struct lki_cursor_col *column, int32_t *inout_at)
{
    const struct lk_segment *segment = cursor->segment;
    int32_t at = *inout_at;
    uint32_t first;

    column->way = column->path == NULL ? LKI_WAY_CHUNK : LKI_WAY_FIELD;
    if (column->path != NULL || (at >= 0 && segment->col[at].role == LKI_SHREDDED))
        LUMA_TRY(lki_cursor_need_arena(ctx, cursor));
    if (column->path != NULL && column->path_key.data == NULL &&
        !lk_data_path_make(cursor->arena_paths, column->path->steps, column->path->steps_count,
                           &column->path_key))
        return no_memory(ctx);
    if (at < 0 || segment->col[at].role != LKI_SHREDDED)
        return LUMA_OK;
    uint32_t count = lki_segment_leaves(segment, (uint32_t)at, &first);
    if (column->path != NULL) {
        int32_t leaf = exact_leaf(cursor, column, first, count);
        if (leaf >= 0) {
            column->way = LKI_WAY_LEAF;
            column->type = lki_segment_col_type(&segment->col[leaf]);
            *inout_at = leaf;
            return LUMA_OK;
        }
    }
    column->way = column->path == NULL ? LKI_WAY_JOIN : LKI_WAY_PART;
    return enter_leaves(ctx, cursor, column, first, count);
}

void
lki_cursor_doc_fini(struct lki_cursor_col *column)
{
    for (uint32_t i = 0; column->leaves != NULL && i < column->leaves_room; i++)
        lk_free(NULL, column->leaves[i].buffer, (size_t)WINDOW * 16);
    lk_free(NULL, column->leaves, column->leaves_room * sizeof(*column->leaves));
    lk_free(NULL, column->leaf_vecs, column->leaves_room * sizeof(*column->leaf_vecs));
    lk_data_join_fini(&column->join);
    column->leaves = NULL;
    column->leaf_vecs = NULL;
    column->leaves_room = 0;
}

/* --- a window --- */

static luma_rc
decode_leaves(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
              uint32_t n, const uint16_t *sel, uint32_t sel_rows)
{
    for (uint32_t i = 0; i < column->leaves_count; i++) {
        struct lki_cursor_col *leaf = &column->leaves[i];
        memset(&column->leaf_vecs[i], 0, sizeof(column->leaf_vecs[i]));
        if (leaf->at < 0 || (leaf->chunk->flags & LKI_CHUNK_NULL) != 0)
            continue;
        LUMA_TRY(lki_cursor_decode(ctx, cursor, leaf, n, sel, sel_rows, &column->leaf_vecs[i]));
    }
    column->join.cols = column->leaf_vecs;
    column->join.cols_count = column->leaves_count;
    return LUMA_OK;
}

/* One row's document or field: *out_there false where the path leads nowhere. */
static luma_rc
row_part(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
         struct luma_slice doc, uint32_t row, bool *out_there, struct luma_slice *out)
{
    const struct luma_path *path = column->path;

    *out_there = true;
    if (path != NULL && !lk_data_path_find(doc, path->steps, path->steps_count, &doc)) {
        *out_there = false;
        return LUMA_OK;
    }
    luma_rc rc = lk_data_join(&column->join, doc, row, out);
    return rc == LUMA_OK          ? LUMA_OK
           : rc == LUMA_E_CORRUPT ? corrupt(ctx, cursor, column)
                                  : no_memory(ctx);
}

/* json: the whole text, or a field of it. */
static luma_rc
row_text(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
         struct luma_slice rest, uint32_t row, struct luma_vec *out)
{
    const struct luma_path *path = column->path;
    struct luma_str whole, *to = (struct luma_str *)out->data + row;
    bool null = false;
    luma_rc rc = lk_data_json_join(&column->join, rest, row, cursor->arena, &whole);
    if (rc != LUMA_OK)
        return rc == LUMA_E_CORRUPT ? corrupt(ctx, cursor, column) : no_memory(ctx);
    *to = whole;
    if (path != NULL)
        LUMA_TRY(lk_data_json_path(ctx, cursor->arena, luma_str_slice(&whole), path->steps,
                                   path->steps_count, path->type.id == LUMA_TYPE_TEXT, to, &null));
    if (!null)
        luma_bit_set(out->valid, row);
    return LUMA_OK;
}

static luma_rc
row_value(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
          const struct luma_vec *docs, uint32_t row, struct luma_vec *out)
{
    struct luma_str *to = (struct luma_str *)out->data + row;
    struct luma_slice part;
    bool there, null = false;

    if (luma_vec_is_null(docs, row))
        return LUMA_OK;
    if (column->def->type.id == LUMA_TYPE_JSON)
        return row_text(ctx, cursor, column, luma_str_slice(luma_vec_at(docs, row)), row, out);
    LUMA_TRY(
        row_part(ctx, cursor, column, luma_str_slice(luma_vec_at(docs, row)), row, &there, &part));
    if (!there)
        return LUMA_OK;
    /* The place where parts are put together is used again by the next row. */
    char *copy = luma_arena_alloc_aligned(cursor->arena, part.bytes, 1);
    if (copy == NULL)
        return no_memory(ctx);
    memcpy(copy, part.data, part.bytes);
    part.data = (const uint8_t *)copy;
    if (out->type.id == LUMA_TYPE_JSONB)
        *to = luma_str_make(copy, (uint32_t)part.bytes);
    else if (!lk_data_doc_as_text(part, cursor->arena, to, &null))
        return no_memory(ctx);
    if (!null)
        luma_bit_set(out->valid, row);
    return LUMA_OK;
}

static luma_rc
decode_joined(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
              uint32_t n, const uint16_t *sel, uint32_t sel_rows, struct luma_vec *vec)
{
    struct luma_vec docs;

    LUMA_TRY(lki_cursor_decode(ctx, cursor, column, n, sel, sel_rows, &docs));
    LUMA_TRY(decode_leaves(ctx, cursor, column, n, sel, sel_rows));
    if (docs.form == LUMA_VEC_FLAT) /* nothing says that these bytes stay longer than the window */
        lk_data_join_forget(&column->join);
    memset(vec, 0, sizeof(*vec));
    vec->type = column->path == NULL ? column->type : column->path->type;
    vec->phys = LUMA_PHYS_STR;
    vec->data = luma_arena_alloc(cursor->arena, (size_t)n * sizeof(struct luma_str));
    vec->valid = luma_arena_zalloc(cursor->arena, WINDOW / 8);
    if (vec->data == NULL || vec->valid == NULL)
        return no_memory(ctx);
    for (uint32_t k = 0; k < (sel == NULL ? n : sel_rows); k++)
        LUMA_TRY(row_value(ctx, cursor, column, &docs, sel == NULL ? k : sel[k], vec));
    return LUMA_OK;
}

luma_rc
lki_cursor_doc_decode(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                      struct lki_cursor_col *column, uint32_t n, const uint16_t *sel,
                      uint32_t sel_rows, struct luma_vec *vec)
{
    struct luma_vec stored;

    if (column->way == LKI_WAY_JOIN || column->way == LKI_WAY_PART)
        return decode_joined(ctx, cursor, column, n, sel, sel_rows, vec);
    LUMA_TRY(lki_cursor_decode(ctx, cursor, column, n, sel, sel_rows, &stored));
    if (column->way == LKI_WAY_FIELD)
        return lk_data_path_of(ctx, cursor->arena, &stored, column->path, sel,
                               sel == NULL ? n : sel_rows, n, vec);
    bool number = stored.type.id == LUMA_TYPE_INT8 || stored.type.id == LUMA_TYPE_NUMERIC;
    if (number && column->path->any_type) {
        *vec = stored;
        return LUMA_OK;
    }
    return lk_data_leaf_as(ctx, cursor->arena, &stored, column->path->type, sel,
                           sel == NULL ? n : sel_rows, n, vec);
}
