/* xp_logic.c - three-valued logic: AND, OR, NOT, IS NULL, IS TRUE, IS DISTINCT FROM. */
#include "xp.h"

struct tri {
    uint8_t *value;
    uint64_t *valid;
};

static luma_rc
tri_room(struct xenv *e, uint32_t rows, struct luma_vec *out, struct tri *t)
{
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_BOOL), LUMA_PHYS_BOOL, rows, out));
    LUMA_TRY(eng_vec_bits(e, rows, true, &out->valid));
    t->value = out->data;
    t->valid = out->valid;
    return LUMA_OK;
}

static bool
bool_at(const struct luma_vec *vec, uint32_t row)
{
    return *(const uint8_t *)luma_vec_at(vec, row) != 0;
}

/* AND and OR: rows already decided (false for AND, true for OR) are not asked again. */
static luma_rc
eval_and_or(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
            uint32_t n, struct luma_vec *out)
{
    bool decides = xp->kind == XP_OR;
    struct tri t;
    LUMA_TRY(tri_room(e, in->rows, out, &t));
    uint16_t *open = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1));
    ENG_NEED(e->ctx, open, "an expression");
    for (uint32_t k = 0; k < n; k++) {
        open[k] = (uint16_t)eng_sel_at(sel, k);
        t.value[open[k]] = !decides;
    }
    for (uint32_t i = 0; i < xp->args_count && n > 0; i++) {
        struct luma_vec arg;
        LUMA_TRY(eng_eval(e, xp->args[i], in, open, n, &arg));
        uint32_t left = 0;
        for (uint32_t k = 0; k < n; k++) {
            uint16_t row = open[k];
            if (luma_vec_is_null(&arg, row)) {
                luma_bit_clear(t.valid, row);
                open[left++] = row;
            } else if (bool_at(&arg, row) == decides) {
                t.value[row] = decides;
                luma_bit_set(t.valid, row);
            } else {
                open[left++] = row;
            }
        }
        n = left;
    }
    return LUMA_OK;
}

static luma_rc
eval_tests(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
           uint32_t n, struct luma_vec *out)
{
    struct luma_vec arg;
    struct tri t;
    LUMA_TRY(eng_eval(e, xp->args[0], in, sel, n, &arg));
    LUMA_TRY(tri_room(e, in->rows, out, &t));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        bool null = luma_vec_is_null(&arg, row);
        switch (xp->kind) {
        case XP_IS_NULL:
            t.value[row] = null != xp->negated;
            break;
        case XP_NOT:
            t.value[row] = !null && !bool_at(&arg, row);
            if (null)
                luma_bit_clear(t.valid, row);
            break;
        default: { /* IS TRUE 1, IS FALSE 0, IS UNKNOWN -1 */
            int32_t what = (int32_t)xp->index;
            bool is = what < 0 ? null : !null && bool_at(&arg, row) == (what == 1);
            t.value[row] = is != xp->negated;
            break;
        }
        }
    }
    return LUMA_OK;
}

static luma_rc
eval_distinct(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
              uint32_t n, struct luma_vec *out)
{
    struct luma_vec args[2], eq;
    struct tri t;
    LUMA_TRY(eng_eval_flat(e, xp->args[0], in, sel, n, &args[0]));
    LUMA_TRY(eng_eval_flat(e, xp->args[1], in, sel, n, &args[1]));
    LUMA_TRY(
        eng_call(e, xp->func, NULL, luma_type(LUMA_TYPE_BOOL), args, 2, in->rows, sel, n, &eq));
    LUMA_TRY(tri_room(e, in->rows, out, &t));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        bool na = luma_vec_is_null(&args[0], row), nb = luma_vec_is_null(&args[1], row);
        bool distinct = na || nb ? na != nb : !bool_at(&eq, row);
        t.value[row] = distinct != xp->negated;
    }
    return LUMA_OK;
}

luma_rc
eng_eval_logic(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
               const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    switch (xp->kind) {
    case XP_AND:
    case XP_OR:
        return eval_and_or(e, xp, in, sel, n, out);
    case XP_NOT:
    case XP_IS_NULL:
    case XP_IS_BOOL:
        return eval_tests(e, xp, in, sel, n, out);
    case XP_DISTINCT:
        return eval_distinct(e, xp, in, sel, n, out);
    default:
        return LUMA_FAIL(e->ctx, LUMA_E_INTERNAL, "engine: expression kind %d", xp->kind);
    }
}
