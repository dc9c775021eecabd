/* data/doc_path.c - paths into documents: stored form, look-up, values as text or documents. */
#include <stdio.h>

#include "base/base.h"
#include "data/shape.h"

#define STEP_NAME  1
#define STEP_INDEX 2

/* --- stored form --- */

bool
lk_data_path_make(struct luma_arena *arena, const struct luma_path_step *steps, uint32_t count,
                  struct luma_slice *out)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += 3 + (steps[i].is_index ? 0 : steps[i].name.bytes);
    uint8_t *p = luma_arena_alloc_aligned(arena, bytes + 1, 1), *start = p;
    if (p == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct luma_path_step *step = &steps[i];
        /* What does not fit is no column's path: any bytes that differ do. */
        uint16_t v = step->is_index ? (uint16_t)LK_MIN(step->index, (uint32_t)UINT16_MAX)
                                    : (uint16_t)LK_MIN(step->name.bytes, (size_t)UINT16_MAX);
        *p++ = step->is_index ? STEP_INDEX : STEP_NAME;
        memcpy(p, &v, 2);
        p += 2;
        if (!step->is_index && step->name.bytes > 0) {
            memcpy(p, step->name.data, step->name.bytes);
            p += step->name.bytes;
        }
    }
    *out = luma_slice(start, bytes);
    return true;
}

/* One step from *inout_at on; false: the bytes end or are damaged. */
static bool
next_step(struct luma_slice path, size_t *inout_at, bool *out_index, uint16_t *out_v,
          const char **out_name)
{
    size_t at = *inout_at;
    if (path.bytes - at < 3 || (path.data[at] != STEP_NAME && path.data[at] != STEP_INDEX))
        return false;
    *out_index = path.data[at] == STEP_INDEX;
    memcpy(out_v, path.data + at + 1, 2);
    *out_name = (const char *)path.data + at + 3;
    at += 3 + (*out_index ? (size_t)0 : (size_t)*out_v);
    if (at > path.bytes)
        return false;
    *inout_at = at;
    return true;
}

bool
lk_data_path_valid(struct luma_slice path)
{
    size_t at = 0;
    bool index;
    uint16_t v;
    const char *name;
    while (at < path.bytes)
        if (!next_step(path, &at, &index, &v, &name))
            return false;
    return path.bytes > 0;
}

size_t
lk_data_path_text(struct luma_slice path, char *out, size_t room)
{
    size_t at = 0, n = 0;
    bool index;
    uint16_t v;
    const char *name;
    out[0] = '\0';
    while (at < path.bytes && next_step(path, &at, &index, &v, &name) && n + 1 < room) {
        int k = index ? snprintf(out + n, room - n, "[%u]", v)
                      : snprintf(out + n, room - n, "%s%.*s", n > 0 ? "." : "", (int)v, name);
        if (k > 0)
            n = LK_MIN(n + (size_t)k, room - 1);
    }
    return n;
}

bool
lk_data_path_below(struct luma_slice path, struct luma_slice prefix)
{
    return path.bytes >= prefix.bytes &&
           (prefix.bytes == 0 || memcmp(path.data, prefix.data, prefix.bytes) == 0);
}

/* --- look-up --- */

bool
lk_data_path_find(struct luma_slice doc, const struct luma_path_step *steps, uint32_t count,
                  struct luma_slice *out)
{
    for (uint32_t i = 0; i < count; i++) {
        bool container = lki_doc_kind(doc) == LKI_DOC_ARRAY || lki_doc_kind(doc) == LKI_DOC_OBJECT;
        if (steps[i].is_index && steps[i].index == 0 && !container)
            continue; /* a scalar counts as an array of one */
        bool found = steps[i].is_index ? lk_data_doc_element(doc, steps[i].index, &doc)
                                       : lk_data_doc_field(doc, steps[i].name, &doc);
        if (!found)
            return false;
    }
    *out = doc;
    return true;
}

static void
holes_at(struct luma_slice doc, uint64_t *bits, int depth)
{
    struct lki_doc_view view;
    struct luma_slice value;
    uint32_t col;

    if (lk_data_doc_hole(doc, &col))
        luma_bit_set(bits, col);
    else if (depth <= LKI_DOC_DEPTH_MAX && lki_doc_open(doc, &view))
        for (uint32_t i = 0; i < view.count && lki_doc_value_at(&view, i, &value); i++)
            holes_at(value, bits, depth + 1);
}

void
lk_data_doc_holes(struct luma_slice doc, uint64_t *bits)
{
    holes_at(doc, bits, 0);
}

/* Sound, with holes; scalars and names are judged as in any document. */
static bool
valid_at(struct luma_slice doc, uint32_t cols_count, int depth)
{
    struct lki_doc_view view;
    uint32_t col;

    if (lk_data_doc_hole(doc, &col))
        return col < cols_count;
    if (!lki_doc_open(doc, &view))
        return lk_data_doc_valid(doc);
    if (depth > LKI_DOC_DEPTH_MAX)
        return false;
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice value;
        if (!lki_doc_value_at(&view, i, &value) || !valid_at(value, cols_count, depth + 1))
            return false;
    }
    return true;
}

bool
lk_data_shred_valid(struct luma_slice doc, uint32_t cols_count)
{
    return valid_at(doc, cols_count, 0);
}

/* --- values --- */

bool
lk_data_doc_as_text(struct luma_slice doc, struct luma_arena *arena, struct luma_str *out,
                    bool *out_null)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);

    *out_null = kind == LKI_DOC_NULL;
    if (*out_null)
        return true;
    if (kind == LKI_DOC_STRING) {
        *out = luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        return true;
    }
    char *text = luma_arena_alloc_aligned(arena, lk_data_doc_text_bound(doc), 1);
    if (text == NULL)
        return false;
    size_t n = lk_data_doc_text_write(doc, false, text);
    if (kind > LKI_DOC_OBJECT && kind != LKI_DOC_VECTOR && n >= 2) { /* without its quotes */
        text++;
        n -= 2;
    }
    *out = luma_str_make(text, (uint32_t)n);
    return true;
}

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for fields of documents");
}

static luma_rc
room_for(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type, uint32_t rows,
         struct luma_vec *out)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = LUMA_PHYS_STR;
    out->data = luma_arena_alloc(arena, (size_t)rows * sizeof(struct luma_str));
    out->valid = luma_arena_zalloc(arena, LUMA_BIT_WORDS(rows) * sizeof(uint64_t));
    return out->data == NULL || out->valid == NULL ? no_memory(ctx) : LUMA_OK;
}

/* A leaf's value as text. */
static bool
leaf_text(const struct luma_vec *vec, uint32_t row, struct luma_arena *arena, struct luma_str *out)
{
    const void *at = luma_vec_at(vec, row);
    char text[48];
    int64_t v;
    size_t n;

    if (vec->type.id == LUMA_TYPE_BOOL) {
        *out = *(const uint8_t *)at != 0 ? luma_str_make("true", 4) : luma_str_make("false", 5);
        return true;
    }
    if (vec->type.id == LUMA_TYPE_JSONB) {
        bool null;
        return lk_data_doc_as_text(luma_str_slice(at), arena, out, &null) && !null;
    }
    memcpy(&v, at, 8);
    n = lki_num_text_write_i64(v, vec->type.id == LUMA_TYPE_NUMERIC ? vec->scale : 0, text);
    if (n <= LUMA_STR_INLINE_MAX) {
        *out = luma_str_make(text, (uint32_t)n);
        return true;
    }
    char *copy = luma_arena_copy(arena, text, n);
    if (copy != NULL)
        *out = luma_str_make(copy, (uint32_t)n);
    return copy != NULL;
}

luma_rc
lk_data_leaf_as(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *vec,
                struct luma_type type, const uint16_t *sel, uint32_t n, uint32_t rows,
                struct luma_vec *out)
{
    struct lk_join join;
    luma_rc rc = LUMA_OK;

    if (vec->type.id == type.id) {
        *out = *vec;
        return LUMA_OK;
    }
    LUMA_TRY(room_for(ctx, arena, type, rows, out));
    lk_data_join_init(&join);
    for (uint32_t k = 0; k < n && rc == LUMA_OK; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        struct luma_str *to = (struct luma_str *)out->data + row;
        if (luma_vec_is_null(vec, row))
            continue;
        luma_bit_set(out->valid, row);
        if (type.id == LUMA_TYPE_TEXT) {
            rc = leaf_text(vec, row, arena, to) ? LUMA_OK : no_memory(ctx);
            continue;
        }
        join.used = 0;
        void *copy =
            lki_leaf_doc(&join, vec, row) ? luma_arena_copy(arena, join.data, join.used) : NULL;
        if (copy != NULL)
            *to = luma_str_make(copy, (uint32_t)join.used);
        else
            rc = no_memory(ctx);
    }
    lk_data_join_fini(&join);
    return rc;
}

luma_rc
lk_data_path_of(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *docs,
                const struct luma_path *path, const uint16_t *sel, uint32_t n, uint32_t rows,
                struct luma_vec *out)
{
    LUMA_TRY(room_for(ctx, arena, path->type, rows, out));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        struct luma_str *to = (struct luma_str *)out->data + row;
        const struct luma_str *doc = luma_vec_at(docs, row);
        struct luma_slice part;
        bool null = false;
        if (docs->type.id == LUMA_TYPE_JSON && !luma_vec_is_null(docs, row)) {
            LUMA_TRY(lk_data_json_path(ctx, arena, luma_str_slice(doc), path->steps,
                                       path->steps_count, path->type.id == LUMA_TYPE_TEXT, to,
                                       &null));
            if (!null)
                luma_bit_set(out->valid, row);
            continue;
        }
        if (luma_vec_is_null(docs, row) ||
            !lk_data_path_find(luma_str_slice(doc), path->steps, path->steps_count, &part))
            continue;
        if (path->type.id == LUMA_TYPE_JSONB)
            *to = luma_str_make((const char *)part.data, (uint32_t)part.bytes);
        else if (!lk_data_doc_as_text(part, arena, to, &null))
            return no_memory(ctx);
        if (!null)
            luma_bit_set(out->valid, row);
    }
    return LUMA_OK;
}
