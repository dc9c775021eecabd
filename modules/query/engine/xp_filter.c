/* xp_filter.c - predicates as selections: what is false falls out, nothing else is made. */
#include "xp.h"

static bool
cmp_of(enum luma_func_op op, enum luma_cmp *out)
{
    switch (op) {
    case LUMA_OP_EQ:
        *out = LUMA_CMP_EQ;
        return true;
    case LUMA_OP_NE:
        *out = LUMA_CMP_NE;
        return true;
    case LUMA_OP_LT:
        *out = LUMA_CMP_LT;
        return true;
    case LUMA_OP_LE:
        *out = LUMA_CMP_LE;
        return true;
    case LUMA_OP_GT:
        *out = LUMA_CMP_GT;
        return true;
    case LUMA_OP_GE:
        *out = LUMA_CMP_GE;
        return true;
    default:
        return false;
    }
}

static bool
simd_type(const struct luma_vec *a, const struct luma_vec *b)
{
    if (a->phys != b->phys || a->type.id != b->type.id || a->scale != b->scale)
        return false;
    switch (a->type.id) {
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_DATE:
        return a->phys == LUMA_PHYS_I32;
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_NUMERIC:
        return a->phys == LUMA_PHYS_I64;
    default:
        return false;
    }
}

static uint32_t
take_bits(const uint64_t *bits, const uint16_t *sel, uint32_t n, uint16_t *out)
{
    uint32_t count = 0;
    if (sel == NULL)
        return (uint32_t)eng.simd->bits_to_sel(bits, n, out);
    for (uint32_t k = 0; k < n; k++) {
        uint16_t row = sel[k];
        out[count] = row;
        count += (uint32_t)(bits[row >> 6] >> (row & 63)) & 1;
    }
    return count;
}

/* column op constant and column op column of plain integers: straight on the simd table. */
static luma_rc
filter_simd(struct xenv *e, enum luma_cmp cmp, const struct luma_vec *a, const struct luma_vec *b,
            uint32_t rows, const uint16_t *sel, uint32_t n, uint16_t *out_sel, uint32_t *out_n)
{
    uint64_t *bits;
    uint32_t span = sel == NULL ? n : rows;
    LUMA_TRY(eng_vec_bits(e, span, false, &bits));
    bool wide = a->phys == LUMA_PHYS_I64;
    if (b->form == LUMA_VEC_FLAT && wide)
        eng.simd->cmp2_i64(cmp, a->data, b->data, span, bits);
    else if (b->form == LUMA_VEC_FLAT)
        eng.simd->cmp2_i32(cmp, a->data, b->data, span, bits);
    else if (wide)
        eng.simd->cmp_i64(cmp, a->data, *(const int64_t *)b->data, span, bits);
    else
        eng.simd->cmp_i32(cmp, a->data, *(const int32_t *)b->data, span, bits);
    for (uint32_t w = 0; w < LUMA_BIT_WORDS(span); w++) {
        if (a->valid != NULL)
            bits[w] &= a->valid[w];
        if (b->valid != NULL && b->form == LUMA_VEC_FLAT)
            bits[w] &= b->valid[w];
    }
    *out_n = take_bits(bits, sel, n, out_sel);
    return LUMA_OK;
}

static luma_rc
take_true(struct xenv *e, const struct luma_vec *vec, const uint16_t *sel, uint32_t n,
          uint16_t *out_sel, uint32_t *out_n)
{
    (void)e;
    uint32_t count = 0;
    if (vec->form == LUMA_VEC_CONST) {
        bool yes = !luma_vec_is_null(vec, 0) && *(const uint8_t *)vec->data != 0;
        for (uint32_t k = 0; yes && k < n; k++)
            out_sel[k] = (uint16_t)eng_sel_at(sel, k);
        *out_n = yes ? n : 0;
        return LUMA_OK;
    }
    const uint8_t *data = vec->data;
    if (vec->form == LUMA_VEC_DICT) {
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            out_sel[count] = (uint16_t)row;
            count += !luma_vec_is_null(vec, row) && *(const uint8_t *)luma_vec_at(vec, row) != 0;
        }
    } else if (vec->valid == NULL) {
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            out_sel[count] = (uint16_t)row;
            count += data[row] != 0;
        }
    } else {
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            out_sel[count] = (uint16_t)row;
            count += data[row] != 0 && luma_bit_get(vec->valid, row);
        }
    }
    *out_n = count;
    return LUMA_OK;
}

static luma_rc
filter_call(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
            uint32_t n, uint16_t *out_sel, uint32_t *out_n)
{
    enum luma_cmp cmp;
    struct luma_vec a, b, result;
    if (xp->args_count != 2 || !cmp_of(xp->func->op, &cmp) || xp->args[0]->kind != XP_COL ||
        in->cols[xp->args[0]->index].form != LUMA_VEC_FLAT || n * 4 < in->rows) {
        LUMA_TRY(eng_eval(e, xp, in, sel, n, &result));
        return take_true(e, &result, sel, n, out_sel, out_n);
    }
    a = in->cols[xp->args[0]->index];
    LUMA_TRY(eng_eval(e, xp->args[1], in, sel, n, &b));
    bool usable = b.form == LUMA_VEC_FLAT || (b.form == LUMA_VEC_CONST && !luma_vec_is_null(&b, 0));
    if (usable && simd_type(&a, &b))
        return filter_simd(e, cmp, &a, &b, in->rows, sel, n, out_sel, out_n);
    LUMA_TRY(eng_eval(e, xp, in, sel, n, &result));
    return take_true(e, &result, sel, n, out_sel, out_n);
}

/* Rows that an arm accepts are not shown to the next one. */
static luma_rc
filter_or(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
          uint32_t n, uint16_t *out_sel, uint32_t *out_n)
{
    uint64_t *bits;
    LUMA_TRY(eng_vec_bits(e, in->rows, false, &bits));
    uint16_t *open = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1) * 2);
    ENG_NEED(e->ctx, open, "an expression");
    uint16_t *hits = open + n + 1;
    for (uint32_t k = 0; k < n; k++)
        open[k] = (uint16_t)eng_sel_at(sel, k);
    uint32_t left = n;
    for (uint32_t i = 0; i < xp->args_count && left > 0; i++) {
        uint32_t hits_n, rest = 0;
        LUMA_TRY(eng_filter(e, xp->args[i], in, open, left, hits, &hits_n));
        for (uint32_t k = 0; k < hits_n; k++)
            luma_bit_set(bits, hits[k]);
        for (uint32_t k = 0; k < left && hits_n > 0; k++) {
            uint16_t row = open[k];
            open[rest] = row;
            rest += !luma_bit_get(bits, row);
        }
        left = hits_n > 0 ? rest : left;
    }
    *out_n = take_bits(bits, sel, n, out_sel);
    return LUMA_OK;
}

luma_rc
eng_filter(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
           uint32_t n, uint16_t *out_sel, uint32_t *out_n)
{
    if (xp->kind == XP_AND) {
        for (uint32_t i = 0; i < xp->args_count; i++) {
            LUMA_TRY(eng_filter(e, xp->args[i], in, sel, n, out_sel, &n));
            sel = out_sel;
            if (n == 0)
                break;
        }
        *out_n = n;
        return LUMA_OK;
    }
    if (xp->kind == XP_OR)
        return filter_or(e, xp, in, sel, n, out_sel, out_n);
    if (xp->kind == XP_CALL)
        return filter_call(e, xp, in, sel, n, out_sel, out_n);
    struct luma_vec result;
    LUMA_TRY(eng_eval(e, xp, in, sel, n, &result));
    return take_true(e, &result, sel, n, out_sel, out_n);
}

luma_rc
eng_filter_batch(struct xenv *e, const struct xp *xp, struct luma_batch *batch)
{
    uint32_t n;
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (batch->rows + 8));
    ENG_NEED(e->ctx, sel, "an expression");
    LUMA_TRY(eng_filter(e, xp, batch, batch->sel, batch->sel_rows, sel, &n));
    if (n < batch->sel_rows || batch->sel != NULL) {
        batch->sel = sel;
        batch->sel_rows = n;
    }
    return LUMA_OK;
}
