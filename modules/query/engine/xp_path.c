/*
 * xp_path.c - numbers cast from fields of documents: from the stored number where storage gives it,
 * from its text where the cast would not come out the same.
 */
#include "xp.h"

static const double powers[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* Exact integers divided: the nearest double, as the text's would be. */
static bool
to_float(const struct luma_vec *vec, const uint16_t *sel, uint32_t n, double *out)
{
    const int64_t *x = vec->data;
    uint32_t count = vec->form == LUMA_VEC_CONST ? 1 : n;
    if (vec->scale < 0 || vec->scale > 15)
        return false;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = vec->form == LUMA_VEC_CONST ? 0 : eng_sel_at(sel, k);
        if (!luma_vec_is_null(vec, row) &&
            (x[row] > (INT64_C(1) << 53) || x[row] < -(INT64_C(1) << 53)))
            return false;
        out[row] = (double)x[row] / powers[vec->scale];
    }
    return true;
}

static bool
to_int(const struct luma_vec *vec, const uint16_t *sel, uint32_t n, uint32_t bytes, void *out)
{
    const int64_t *x = vec->data;
    uint32_t count = vec->form == LUMA_VEC_CONST ? 1 : n;
    if (vec->type.id != LUMA_TYPE_INT8)
        return false;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = vec->form == LUMA_VEC_CONST ? 0 : eng_sel_at(sel, k);
        bool null = luma_vec_is_null(vec, row);
        int64_t v = null ? 0 : x[row];
        if (bytes == 4) {
            ((int32_t *)out)[row] = (int32_t)v;
            if (v != (int32_t)v)
                return false;
        } else {
            ((int16_t *)out)[row] = (int16_t)v;
            if (v != (int16_t)v)
                return false;
        }
    }
    return true;
}

/* The numbers as the wanted type; false: some have no such number, or the text decides. */
static luma_rc
cast_numbers(struct xenv *e, const struct xp *xp, const struct luma_vec *vec, const uint16_t *sel,
             uint32_t n, uint32_t rows, struct luma_vec *out, bool *out_done)
{
    struct luma_vec made;
    *out_done = true;
    if (xp->type.id == LUMA_TYPE_NUMERIC ||
        (xp->type.id == LUMA_TYPE_INT8 && vec->type.id == LUMA_TYPE_INT8)) {
        *out = *vec;
        out->type = xp->type;
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_room(e, xp->type, LUMA_PHYS_NONE, rows, &made));
    switch (xp->type.id) {
    case LUMA_TYPE_FLOAT8:
        *out_done = to_float(vec, sel, n, made.data);
        break;
    case LUMA_TYPE_INT4:
        *out_done = to_int(vec, sel, n, 4, made.data);
        break;
    case LUMA_TYPE_INT2:
        *out_done = to_int(vec, sel, n, 2, made.data);
        break;
    default:
        *out_done = false;
        break;
    }
    if (*out_done) {
        *out = made;
        out->form = vec->form;
        out->valid = vec->valid;
    }
    return LUMA_OK;
}

static luma_rc
as_text(struct xenv *e, struct luma_vec *vec, const uint16_t *sel, uint32_t n, uint32_t rows)
{
    struct luma_vec made;
    uint32_t count = vec->form == LUMA_VEC_CONST ? 1 : n;
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_TEXT), LUMA_PHYS_STR, rows, &made));
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = vec->form == LUMA_VEC_CONST ? 0 : eng_sel_at(sel, k);
        if (luma_vec_is_null(vec, row))
            continue;
        char *text = luma_arena_alloc_aligned(e->arena, 64, 1);
        ENG_NEED(e->ctx, text, "a field of a document");
        size_t bytes = eng.data->text_write(vec, row, NULL, text);
        ((struct luma_str *)made.data)[row] = luma_str_make(text, (uint32_t)bytes);
    }
    made.form = vec->form;
    made.valid = vec->valid;
    *vec = made;
    return LUMA_OK;
}

luma_rc
eng_eval_field_cast(struct xenv *e, const struct xp *xp, struct luma_vec *arg, uint32_t rows,
                    const uint16_t *sel, uint32_t n, struct luma_vec *out, bool *out_done)
{
    if (arg->form == LUMA_VEC_DICT)
        LUMA_TRY(eng_vec_flatten(e, arg, sel, n, rows, false, arg));
    LUMA_TRY(cast_numbers(e, xp, arg, sel, n, rows, out, out_done));
    return *out_done ? LUMA_OK : as_text(e, arg, sel, n, rows);
}
