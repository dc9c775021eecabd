/* vec.c - forms of vectors: flattening, gathering, mixing. */
#include "xp.h"

luma_rc
eng_vec_bits(struct xenv *e, uint32_t rows, bool set, uint64_t **out)
{
    size_t bytes = LUMA_BIT_WORDS(rows == 0 ? 1 : rows) * sizeof(uint64_t);
    uint64_t *bits = luma_arena_alloc(e->arena, bytes);
    ENG_NEED(e->ctx, bits, "an expression");
    memset(bits, set ? 0xff : 0, bytes);
    *out = bits;
    return LUMA_OK;
}

luma_rc
eng_vec_room(struct xenv *e, struct luma_type type, uint32_t phys, uint32_t rows,
             struct luma_vec *out)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)(phys == LUMA_PHYS_NONE ? luma_type_phys(type) : phys);
    out->scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    size_t bytes = (size_t)(rows == 0 ? 1 : rows) * luma_phys_bytes(out->phys);
    out->data = luma_arena_alloc(e->arena, bytes == 0 ? 16 : bytes);
    ENG_NEED(e->ctx, out->data, "an expression");
    return LUMA_OK;
}

void
eng_vec_int8(struct luma_vec *out, void *values)
{
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_INT8);
    out->phys = LUMA_PHYS_I64;
    out->data = values;
}

void
eng_vec_null(struct luma_vec *out, struct luma_type type)
{
    static const luma_i128 zero[2];
    static const uint64_t none;
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    out->form = LUMA_VEC_CONST;
    out->data = (void *)(uintptr_t)zero;
    out->valid = (uint64_t *)(uintptr_t)&none;
}

static uint64_t
bound_of(int64_t v)
{
    return v == INT64_MIN ? 0 : v < 0 ? (uint64_t)-v : v == 0 ? 1 : (uint64_t)v;
}

void
eng_vec_of_value(struct luma_vec *out, const struct luma_value *value)
{
    if (value->is_null) {
        eng_vec_null(out, value->type);
        return;
    }
    memset(out, 0, sizeof(*out));
    out->type = value->type;
    out->phys = value->phys;
    out->scale = value->scale;
    out->form = LUMA_VEC_CONST;
    out->data = (void *)(uintptr_t)&value->b;
    if (value->phys == LUMA_PHYS_I64)
        out->bound = bound_of(value->i64);
    else if (value->phys == LUMA_PHYS_I32)
        out->bound = bound_of(value->i32);
    else if (value->phys == LUMA_PHYS_I16)
        out->bound = bound_of(value->i16);
}

#define SPREAD(ctype, src_index)                 \
    do {                                         \
        const ctype *restrict from_ = src;       \
        ctype *restrict to_ = dst;               \
        for (uint32_t k_ = 0; k_ < n; k_++) {    \
            uint32_t row_ = eng_sel_at(sel, k_); \
            to_[row_] = from_[src_index];        \
        }                                        \
    } while (0)

struct two_words {
    uint64_t a, b;
};

static void
spread_codes(uint32_t bytes, const void *src, const uint32_t *codes, const uint16_t *sel,
             uint32_t n, void *dst)
{
    switch (bytes) {
    case 1:
        SPREAD(uint8_t, codes[row_]);
        break;
    case 2:
        SPREAD(uint16_t, codes[row_]);
        break;
    case 4:
        SPREAD(uint32_t, codes[row_]);
        break;
    case 8:
        SPREAD(uint64_t, codes[row_]);
        break;
    default:
        SPREAD(struct two_words, codes[row_]);
        break;
    }
}

static void
spread_const(uint32_t bytes, const void *src, const uint16_t *sel, uint32_t n, void *dst)
{
    switch (bytes) {
    case 1:
        SPREAD(uint8_t, 0);
        break;
    case 2:
        SPREAD(uint16_t, 0);
        break;
    case 4:
        SPREAD(uint32_t, 0);
        break;
    case 8:
        SPREAD(uint64_t, 0);
        break;
    default:
        SPREAD(struct two_words, 0);
        break;
    }
}

luma_rc
eng_vec_flatten(struct xenv *e, const struct luma_vec *in, const uint16_t *sel, uint32_t n,
                uint32_t rows, bool consts, struct luma_vec *out)
{
    if (in->form == LUMA_VEC_FLAT || (in->form == LUMA_VEC_CONST && !consts)) {
        *out = *in;
        return LUMA_OK;
    }
    struct luma_vec flat;
    LUMA_TRY(eng_vec_room(e, in->type, in->phys, rows, &flat));
    flat.scale = in->scale;
    flat.bound = in->bound;
    uint32_t bytes = luma_phys_bytes(in->phys);
    if (in->form == LUMA_VEC_CONST) {
        bool null = luma_vec_is_null(in, 0);
        if (null)
            LUMA_TRY(eng_vec_bits(e, rows, false, &flat.valid));
        spread_const(bytes, in->data, sel, n, flat.data);
    } else {
        flat.valid = in->valid;
        if (in->valid == NULL) {
            spread_codes(bytes, in->dict->data, in->data, sel, n, flat.data);
        } else {
            /* Codes of nulls may be anything. */
            const uint32_t *codes = in->data;
            for (uint32_t k = 0; k < n; k++) {
                uint32_t row = eng_sel_at(sel, k);
                uint8_t *to = (uint8_t *)flat.data + (size_t)row * bytes;
                if (luma_bit_get(in->valid, row))
                    memcpy(to, (const uint8_t *)in->dict->data + (size_t)codes[row] * bytes, bytes);
                else
                    memset(to, 0, bytes);
            }
        }
    }
    *out = flat;
    return LUMA_OK;
}

/* Narrow integers as int8: keys of joins between columns of different widths. */
static luma_rc
widen(struct xenv *e, const struct luma_vec *in, const uint16_t *sel, uint32_t n, uint32_t rows,
      struct luma_vec *out)
{
    struct luma_vec flat;
    LUMA_TRY(eng_vec_flatten(e, in, sel, n, rows, false, &flat));
    bool is_const = flat.form == LUMA_VEC_CONST;
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_INT8), LUMA_PHYS_I64, is_const ? 1 : rows, out));
    int64_t *to = out->data;
    for (uint32_t k = 0; k < (is_const ? 1 : n); k++) {
        uint32_t row = is_const ? 0 : eng_sel_at(sel, k);
        to[row] = flat.phys == LUMA_PHYS_I32 ? ((const int32_t *)flat.data)[row]
                                             : ((const int16_t *)flat.data)[row];
    }
    out->form = flat.form;
    out->valid = flat.valid;
    return LUMA_OK;
}

luma_rc
eng_vec_table_form(struct xenv *e, struct luma_type type, const struct luma_vec *in,
                   const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec *out)
{
    enum luma_phys phys = luma_type_phys(type);
    bool same = in->phys == phys &&
                (type.id != LUMA_TYPE_NUMERIC || phys == LUMA_PHYS_STR || in->scale == type.scale);
    if (same)
        return eng_vec_flatten(e, in, sel, n, rows, false, out);
    if (in->form == LUMA_VEC_CONST && luma_vec_is_null(in, 0)) {
        eng_vec_null(out, type);
        return LUMA_OK;
    }
    if (phys == LUMA_PHYS_I64 && type.id == LUMA_TYPE_INT8)
        return widen(e, in, sel, n, rows, out);
    if (type.id != LUMA_TYPE_NUMERIC)
        return LUMA_FAIL(e->ctx, LUMA_E_INTERNAL, "engine: a vector of form %d where %d was bound",
                         in->phys, (int)phys);
    struct luma_vec flat;
    LUMA_TRY(eng_vec_flatten(e, in, sel, n, rows, false, &flat));
    bool is_const = flat.form == LUMA_VEC_CONST;
    LUMA_TRY(eng.data->numeric_vec_as(e->ctx, e->arena, &flat, is_const ? NULL : sel,
                                      is_const ? 1 : n, type, out));
    out->form = flat.form;
    out->valid = flat.valid;
    return LUMA_OK;
}

static luma_i128
numeric_at(const struct luma_vec *vec, uint32_t row)
{
    size_t i = vec->form == LUMA_VEC_CONST ? 0 : row;
    return vec->phys == LUMA_PHYS_I64 ? ((const int64_t *)vec->data)[i]
                                      : ((const luma_i128 *)vec->data)[i];
}

/* All of them as I128 of one scale; false when a value does not fit. */
static luma_rc
rescale(struct xenv *e, struct luma_vec *vec, int16_t scale, const uint16_t *sel, uint32_t n,
        uint32_t rows, bool *out_fits)
{
    luma_i128 factor = 1;
    struct luma_vec wide;
    for (int16_t s = vec->scale; s < scale; s++)
        factor *= 10;
    bool is_const = vec->form == LUMA_VEC_CONST;
    LUMA_TRY(eng_vec_room(e, vec->type, LUMA_PHYS_I128, is_const ? 1 : rows, &wide));
    luma_i128 *to = wide.data;
    uint32_t count = is_const ? 1 : n;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = is_const ? 0 : eng_sel_at(sel, k);
        if (luma_vec_is_null(vec, row)) {
            to[row] = 0;
            continue;
        }
        if (__builtin_mul_overflow(numeric_at(vec, row), factor, &to[row])) {
            *out_fits = false;
            return LUMA_OK;
        }
    }
    wide.form = vec->form;
    wide.valid = vec->valid;
    wide.scale = scale;
    *vec = wide;
    return LUMA_OK;
}

luma_rc
eng_vec_unify(struct xenv *e, struct luma_vec *vecs, uint32_t count, bool any_scale,
              const uint16_t *const *sels, const uint32_t *ns, uint32_t rows)
{
    if (count == 0 || vecs[0].type.id != LUMA_TYPE_NUMERIC)
        return LUMA_OK;
    bool same = true, ints = true, one_scale = true;
    int16_t scale = 0, first = -1;
    for (uint32_t i = 0; i < count; i++) {
        if (vecs[i].form == LUMA_VEC_CONST && luma_vec_is_null(&vecs[i], 0))
            continue;
        if (first < 0)
            first = (int16_t)i;
        same = same && vecs[i].phys == vecs[first].phys && vecs[i].scale == vecs[first].scale;
        ints = ints && vecs[i].phys != LUMA_PHYS_STR;
        one_scale = one_scale && vecs[i].scale == vecs[first].scale;
        scale = vecs[i].scale > scale ? vecs[i].scale : scale;
    }
    if (same || first < 0)
        return LUMA_OK;
    bool fits = ints && (one_scale || any_scale) && scale <= 36;
    for (uint32_t i = 0; i < count && fits; i++)
        if (vecs[i].form != LUMA_VEC_CONST || !luma_vec_is_null(&vecs[i], 0))
            LUMA_TRY(rescale(e, &vecs[i], scale, sels[i], ns[i], rows, &fits));
    struct luma_type text = luma_type(LUMA_TYPE_NUMERIC);
    for (uint32_t i = 0; i < count && !fits; i++)
        if (vecs[i].phys != LUMA_PHYS_STR)
            LUMA_TRY(eng_vec_table_form(e, text, &vecs[i], sels[i], ns[i], rows, &vecs[i]));
    return LUMA_OK;
}

void
eng_vec_put(struct luma_vec *out, const struct luma_vec *in, const uint16_t *sel, uint32_t n)
{
    uint32_t bytes = luma_phys_bytes(out->phys);
    bool is_const = in->form == LUMA_VEC_CONST;
    if (is_const && luma_vec_is_null(in, 0)) {
        for (uint32_t k = 0; k < n; k++)
            luma_bit_clear(out->valid, eng_sel_at(sel, k));
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (!is_const && in->valid != NULL && !luma_bit_get(in->valid, row)) {
            luma_bit_clear(out->valid, row);
            continue;
        }
        memcpy((uint8_t *)out->data + (size_t)row * bytes,
               (const uint8_t *)in->data + (is_const ? 0 : (size_t)row * bytes), bytes);
    }
    out->bound = in->bound > out->bound && out->bound != 0 ? in->bound : out->bound;
}

luma_rc
eng_vec_gather(struct xenv *e, const struct luma_vec *in, const uint32_t *idx, uint32_t n,
               struct luma_vec *out)
{
    if (in->form == LUMA_VEC_CONST) {
        *out = *in;
        return LUMA_OK;
    }
    struct luma_vec flat;
    LUMA_TRY(
        eng_vec_room(e, in->type, in->form == LUMA_VEC_DICT ? LUMA_PHYS_I32 : in->phys, n, &flat));
    flat.phys = in->phys;
    flat.form = in->form;
    flat.dict = in->dict;
    flat.dict_rows = in->dict_rows;
    flat.scale = in->scale;
    flat.bound = in->bound;
    uint32_t bytes = in->form == LUMA_VEC_DICT ? 4 : luma_phys_bytes(in->phys);
    const uint16_t *sel = NULL;
    const void *src = in->data;
    void *dst = flat.data;
    switch (bytes) {
    case 1:
        SPREAD(uint8_t, idx[row_]);
        break;
    case 2:
        SPREAD(uint16_t, idx[row_]);
        break;
    case 4:
        SPREAD(uint32_t, idx[row_]);
        break;
    case 8:
        SPREAD(uint64_t, idx[row_]);
        break;
    default:
        SPREAD(struct two_words, idx[row_]);
        break;
    }
    if (in->valid != NULL) {
        LUMA_TRY(eng_vec_bits(e, n, true, &flat.valid));
        for (uint32_t i = 0; i < n; i++)
            if (!luma_bit_get(in->valid, idx[i]))
                luma_bit_clear(flat.valid, i);
    }
    *out = flat;
    return LUMA_OK;
}
