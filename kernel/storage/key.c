/*
 * storage/key.c - index keys of rows, wherever the row lies.
 */
#include "storage/core.h"

struct luma_vec
lk_vec_of(const struct luma_value *value, uint64_t *valid_room)
{
    struct luma_vec vec;
    memset(&vec, 0, sizeof(vec));
    vec.type = value->type;
    vec.phys = value->phys;
    vec.scale = value->scale;
    vec.form = LUMA_VEC_CONST;
    vec.data = (void *)(uintptr_t)&value->b;
    *valid_room = 0;
    if (value->is_null)
        vec.valid = valid_room;
    return vec;
}

static luma_rc
key_add(struct lk_bytes *out, const struct luma_vec *vec, uint32_t row, uint32_t flags)
{
    if (!lk_bytes_reserve(out, lk_data_key_bound(vec, row)))
        return LUMA_E_NOMEM;
    out->bytes += lk_data_key_write(vec, row, flags, out->data + out->bytes);
    return LUMA_OK;
}

luma_rc
lk_key_values(struct lk_bytes *out, const struct lk_cidx *cidx, const struct luma_value *values,
              uint32_t count, bool *out_null)
{
    if (out_null != NULL)
        *out_null = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t valid;
        struct luma_vec vec = lk_vec_of(&values[i], &valid);
        if (out_null != NULL && values[i].is_null)
            *out_null = true;
        LUMA_TRY(key_add(out, &vec, 0, cidx->index_def->cols[i].flags));
    }
    return LUMA_OK;
}

luma_rc
lk_key_batch(struct lk_bytes *out, const struct lk_cidx *cidx, const struct lk_def *def,
             const struct luma_vec *const *cols, uint32_t row, bool *out_null)
{
    const struct luma_store_index *index = cidx->index_def;
    *out_null = false;
    for (uint32_t i = 0; i < index->cols_count; i++) {
        int32_t at = lk_def_col(def, index->cols[i].col_id);
        if (at < 0)
            return LUMA_E_INTERNAL;
        if (luma_vec_is_null(cols[at], row))
            *out_null = true;
        LUMA_TRY(key_add(out, cols[at], row, index->cols[i].flags));
    }
    return LUMA_OK;
}

static void
tuple_value(const struct lk_def *def, const uint8_t *tuple, uint32_t col_id, struct luma_value *out)
{
    int32_t at = lk_def_col(def, col_id);
    const struct luma_store_col *col = &def->coll.cols[at];
    memset(out, 0, sizeof(*out));
    out->type = col->type;
    out->phys = (uint8_t)luma_type_phys(col->type);
    switch (lk_tuple_get(tuple, col_id, col->type, out)) {
    case LK_TUPLE_VALUE:
        break;
    case LK_TUPLE_NULL:
        out->is_null = true;
        break;
    case LK_TUPLE_MISSING:
        *out = col->missing;
        break;
    }
}

luma_rc
lk_key_tuple(struct lk_bytes *out, const struct lk_def *def, const struct lk_cidx *cidx,
             const uint8_t *tuple, bool *out_null)
{
    const struct luma_store_index *index = cidx->index_def;
    *out_null = false;
    for (uint32_t i = 0; i < index->cols_count; i++) {
        if (lk_def_col(def, index->cols[i].col_id) < 0)
            return LUMA_E_INTERNAL;
        struct luma_value value;
        uint64_t valid;
        tuple_value(def, tuple, index->cols[i].col_id, &value);
        struct luma_vec vec = lk_vec_of(&value, &valid);
        *out_null = *out_null || value.is_null;
        LUMA_TRY(key_add(out, &vec, 0, index->cols[i].flags));
    }
    return LUMA_OK;
}

luma_rc
lk_place_value(struct luma_ctx *ctx, const struct lk_view *view, const struct lk_place *place,
               uint32_t col_id, struct luma_arena *arena, struct luma_value *out)
{
    int32_t at = lk_def_col(view->def, col_id);
    if (at < 0)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "collection %llu has no column %u",
                         (unsigned long long)view->def->coll.id, col_id);
    if (place->hot == NULL)
        return lk_segment_get(ctx, place->seg->segment, place->row, &view->def->coll.cols[at],
                              arena, out);
    tuple_value(view->def, place->version->tuple, col_id, out);
    return LUMA_OK;
}

luma_rc
lk_key_place(struct luma_ctx *ctx, struct lk_bytes *out, const struct lk_view *view,
             const struct lk_cidx *cidx, const struct lk_place *place, struct luma_arena *arena,
             bool *out_null)
{
    struct luma_value values[LK_INDEX_COLS_MAX];
    for (uint32_t i = 0; i < cidx->index_def->cols_count; i++)
        LUMA_TRY(
            lk_place_value(ctx, view, place, cidx->index_def->cols[i].col_id, arena, &values[i]));
    return lk_key_values(out, cidx, values, cidx->index_def->cols_count, out_null);
}
