/*
 * storage/segment/shred.c - a jsonb column of a group taken apart: its common scalars become
 * leaves, the documents keep holes. Documents that look alike are then the same bytes, so each
 * distinct one is kept once and their column is little more than a dictionary's codes.
 */
#include "storage/segment/segment_priv.h"

#define ROWS_MIN    64 /* fewer documents stay whole */
#define SAMPLES_MAX 1024
#define SAME_SLOTS  1024

void
lki_write_col_fini(struct luma_budget *budget, struct lki_write_col *column)
{
    lk_free(budget, column->data, (size_t)column->room * column->size);
    lk_free(budget, column->valid, LK_GROUP_ROWS / 8);
    lki_chunk_out_fini(budget, &column->out);
}

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to take documents apart");
}

static inline const struct luma_str *
doc_at(const struct lki_write_col *column, uint32_t row)
{
    return (const struct luma_str *)(const void *)column->data + row;
}

/* The document of a row: json's is read from its text; false: it has none, the text stays. */
static bool
row_document(const struct lki_write_col *column, const struct luma_str *value,
             struct luma_arena *arena, struct luma_slice *out, uint8_t *out_style)
{
    *out_style = LK_JSON_RAW;
    if (column->type.id == LUMA_TYPE_JSON)
        return lk_data_json_doc(arena, luma_str_slice(value), out, out_style);
    *out = luma_str_slice(value);
    return true;
}

static luma_rc
leaves_make(struct luma_ctx *ctx, struct luma_budget *budget, const struct lki_write_col *column,
            struct lki_shredder *out)
{
    uint32_t count = lk_data_shape_choose(out->shape, LK_SHRED_COLS_MAX);
    if (count == 0)
        return LUMA_OK;
    out->leaves = lk_zalloc(budget, count * sizeof(*out->leaves));
    if (out->leaves == NULL)
        return no_memory(ctx);
    out->leaves_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct lk_leaf *leaf = lk_data_shape_leaf(out->shape, i);
        struct lki_write_col *col = &out->leaves[i];
        col->id = column->id;
        col->role = LKI_LEAF;
        col->type = leaf->type;
        col->phys = (uint8_t)luma_type_phys(leaf->type);
        col->size = luma_phys_bytes((enum luma_phys)col->phys);
        col->path = leaf->path;
        col->has_nulls = true;
    }
    return LUMA_OK;
}

luma_rc
lki_shredder_learn(struct luma_ctx *ctx, struct luma_budget *budget, struct lki_write_col *column,
                   struct luma_arena *texts, uint32_t rows, struct lki_shredder *out)
{
    if (rows < ROWS_MIN)
        return LUMA_OK;
    out->shape = lk_data_shape_create(budget);
    if (out->shape == NULL)
        return no_memory(ctx);
    uint32_t step = rows / SAMPLES_MAX + 1;
    for (uint32_t row = 0; row < rows; row += step) {
        struct luma_slice doc;
        uint8_t style;
        if (luma_bit_get(column->valid, row) &&
            row_document(column, doc_at(column, row), texts, &doc, &style) &&
            !lk_data_shape_sample(out->shape, doc))
            return no_memory(ctx);
    }
    LUMA_TRY(leaves_make(ctx, budget, column, out));
    if (out->leaves_count > 0)
        column->role = LKI_SHREDDED;
    return LUMA_OK;
}

static luma_rc
leaves_room(struct luma_ctx *ctx, struct luma_budget *budget, uint32_t rows,
            struct lki_shredder *shredder)
{
    for (uint32_t i = 0; i < shredder->leaves_count; i++) {
        struct lki_write_col *leaf = &shredder->leaves[i];
        if (leaf->valid == NULL)
            leaf->valid = lk_alloc(budget, LK_GROUP_ROWS / 8);
        if (leaf->room < rows) {
            lk_free(budget, leaf->data, (size_t)leaf->room * leaf->size);
            leaf->room = 0;
            leaf->data = lk_alloc(budget, (size_t)rows * leaf->size);
            leaf->room = leaf->data == NULL ? 0 : rows;
        }
        if (leaf->valid == NULL || leaf->data == NULL)
            return no_memory(ctx);
        memset(leaf->valid, 0, LK_GROUP_ROWS / 8);
        leaf->has_nulls = true;
    }
    return LUMA_OK;
}

/* One copy of documents that are the same. */
static bool
keep_once(struct luma_str *same, struct luma_arena *texts, struct luma_slice doc,
          struct luma_str *out)
{
    struct luma_str *slot = &same[lk_hash_bytes(doc.data, doc.bytes) & (SAME_SLOTS - 1)];
    if (slot->bytes != doc.bytes || memcmp(luma_str_data(slot), doc.data, doc.bytes) != 0) {
        const char *copy = doc.bytes <= LUMA_STR_INLINE_MAX
                               ? (const char *)doc.data
                               : luma_arena_copy(texts, doc.data, doc.bytes);
        if (copy == NULL)
            return false;
        *slot = luma_str_make(copy, (uint32_t)doc.bytes);
    }
    *out = *slot;
    return true;
}

/* json: the style comes before the document, or the text where there is none, and then no leaf has
 * everything. */
static luma_rc
split_text(struct luma_ctx *ctx, const struct lki_shredder *shredder, const struct luma_str *value,
           const struct lki_write_col *column, struct luma_arena *texts, uint32_t row,
           struct lk_shred_col *cols, struct lk_bytes *room, struct luma_slice *out)
{
    struct luma_slice doc, rest = luma_str_slice(value);
    uint8_t style;
    if (row_document(column, value, texts, &doc, &style)) {
        if (!lk_data_shred(shredder->shape, doc, row, cols, &rest))
            return no_memory(ctx);
    } else {
        style = LK_JSON_RAW;
        for (uint32_t i = 0; i < shredder->leaves_count; i++)
            cols[i].others++;
    }
    room->bytes = 0;
    if (!lk_bytes_u8(room, style) || !lk_bytes_slice(room, rest))
        return no_memory(ctx);
    *out = lk_bytes_view(room);
    return LUMA_OK;
}

static luma_rc
split_row(struct luma_ctx *ctx, const struct lki_shredder *shredder, const struct luma_str *value,
          const struct lki_write_col *column, struct luma_arena *texts, uint32_t row,
          struct lk_shred_col *cols, struct lk_bytes *room, struct luma_slice *out)
{
    if (column->type.id == LUMA_TYPE_JSON)
        return split_text(ctx, shredder, value, column, texts, row, cols, room, out);
    return lk_data_shred(shredder->shape, luma_str_slice(value), row, cols, out) ? LUMA_OK
                                                                                 : no_memory(ctx);
}

static luma_rc
split_rows(struct luma_ctx *ctx, struct luma_arena *texts, struct lki_write_col *column,
           uint32_t rows, const struct lki_shredder *shredder, struct lk_shred_col *cols)
{
    struct luma_str *docs = (struct luma_str *)(void *)column->data;
    struct luma_str *same = luma_arena_zalloc(texts, SAME_SLOTS * sizeof(*same));
    struct lk_bytes room;
    luma_rc rc = LUMA_OK;
    if (same == NULL)
        return no_memory(ctx);
    lk_bytes_init(&room, NULL);
    for (uint32_t row = 0; row < rows && rc == LUMA_OK; row++) {
        struct luma_slice rest;
        if (!luma_bit_get(column->valid, row))
            continue;
        /* A short document lies in its slot, which is written below. */
        struct luma_str value = docs[row];
        rc = split_row(ctx, shredder, &value, column, texts, row, cols, &room, &rest);
        if (rc == LUMA_OK && !keep_once(same, texts, rest, &docs[row]))
            rc = no_memory(ctx);
    }
    lk_bytes_fini(&room);
    return rc;
}

luma_rc
lki_shredder_split(struct luma_ctx *ctx, struct luma_budget *budget, struct luma_arena *texts,
                   struct lki_write_col *column, uint32_t rows, struct lki_shredder *shredder)
{
    uint32_t count = shredder->leaves_count;
    struct lk_shred_col *cols = luma_arena_zalloc(texts, count * sizeof(*cols));

    if (cols == NULL)
        return no_memory(ctx);
    LUMA_TRY(leaves_room(ctx, budget, rows, shredder));
    for (uint32_t i = 0; i < count; i++) {
        struct lki_write_col *leaf = &shredder->leaves[i];
        cols[i].vec = (struct luma_vec){
            .type = leaf->type, .phys = leaf->phys, .data = leaf->data, .valid = leaf->valid};
    }
    LUMA_TRY(split_rows(ctx, texts, column, rows, shredder, cols));
    for (uint32_t i = 0; i < count; i++) {
        bool exact = cols[i].others == 0;
        shredder->leaves[i].marks =
            exact ? LKI_MARK_EXACT | (cols[i].json_nulls == 0 ? LKI_MARK_NO_NULLS : 0) : 0;
    }
    return LUMA_OK;
}

void
lki_shredder_fini(struct luma_budget *budget, struct lki_shredder *shredder)
{
    for (uint32_t i = 0; i < shredder->leaves_count; i++)
        lki_write_col_fini(budget, &shredder->leaves[i]);
    lk_free(budget, shredder->leaves, shredder->leaves_count * sizeof(*shredder->leaves));
    lk_data_shape_destroy(shredder->shape);
}
