/* xp_eval.c - columns, constants and calls. */
#include "xp.h"

/* Rows of sel that are not null in any argument; false in *out_any when there are none. */
static luma_rc
narrow_nulls(struct xenv *e, const struct luma_vec *args, uint32_t args_count, uint32_t rows,
             const uint16_t **inout_sel, uint32_t *inout_n, uint64_t **out_valid)
{
    uint64_t *valid = NULL;
    size_t words = LUMA_BIT_WORDS(rows);
    for (uint32_t i = 0; i < args_count; i++) {
        if (args[i].valid == NULL || args[i].form == LUMA_VEC_CONST)
            continue;
        if (valid == NULL)
            LUMA_TRY(eng_vec_bits(e, rows, true, &valid));
        for (size_t w = 0; w < words; w++)
            valid[w] &= args[i].valid[w];
    }
    *out_valid = valid;
    if (valid == NULL)
        return LUMA_OK;
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (*inout_n + 1));
    ENG_NEED(e->ctx, sel, "an expression");
    uint32_t n = 0;
    for (uint32_t k = 0; k < *inout_n; k++) {
        uint32_t row = eng_sel_at(*inout_sel, k);
        sel[n] = (uint16_t)row;
        n += luma_bit_get(valid, row) ? 1 : 0;
    }
    *inout_sel = sel;
    *inout_n = n;
    return LUMA_OK;
}

luma_rc
eng_call(struct xenv *e, const struct luma_func *func, void *bound, struct luma_type result,
         struct luma_vec *args, uint32_t args_count, uint32_t rows, const uint16_t *sel, uint32_t n,
         struct luma_vec *out)
{
    bool strict = (func->flags & LUMA_FUNC_STRICT) != 0, all_const = true;
    for (uint32_t i = 0; i < args_count; i++) {
        if (args[i].form != LUMA_VEC_CONST)
            all_const = false;
        else if (strict && luma_vec_is_null(&args[i], 0)) {
            eng_vec_null(out, result);
            return LUMA_OK;
        }
    }
    if (func->flags & LUMA_FUNC_VOLATILE)
        all_const = false;
    if (all_const) { /* one row stands for all */
        sel = NULL;
        n = 1;
        rows = 1;
    }
    if (n == 0) {
        eng_vec_null(out, result);
        return LUMA_OK;
    }
    struct luma_vec made;
    LUMA_TRY(eng_vec_room(e, result, LUMA_PHYS_NONE, rows, &made));
    if (strict && !all_const) {
        LUMA_TRY(narrow_nulls(e, args, args_count, rows, &sel, &n, &made.valid));
        if (n == 0) {
            eng_vec_null(out, result);
            return LUMA_OK;
        }
    }
    if (func->eval == NULL)
        return LUMA_FAIL(e->ctx, LUMA_E_UNSUPPORTED, "function %s cannot be called here",
                         func->name);
    struct luma_func_call call = {.ctx = e->ctx,
                                  .arena = e->arena,
                                  .func = func,
                                  .format = e->x->format,
                                  .bound = bound,
                                  .result = result};
    luma_rc rc = func->eval(&call, args, args_count, sel, n, &made);
    if (rc != LUMA_OK)
        return rc == LUMA_E_NOMEM ? ENG_NOMEM(e->ctx, func->name) : rc;
    if (all_const)
        made.form = LUMA_VEC_CONST;
    *out = made;
    return LUMA_OK;
}

/* One argument in dictionary form, the others constant: once per value, not per row. */
static luma_rc
call_on_dict(struct xenv *e, const struct xp *xp, struct luma_vec *args, uint32_t which,
             uint32_t rows, const uint16_t *sel, uint32_t n, struct luma_vec *out, bool *out_done)
{
    const struct luma_vec *codes = &args[which];
    struct luma_vec saved = *codes, made;
    uint32_t values = codes->dict_rows;
    args[which] = *saved.dict;
    args[which].valid = NULL;
    bool had_error = e->ctx->error->code != LUMA_OK;
    luma_rc rc = eng_call(e, xp->func, xp->bound, xp->type, args, xp->args_count, values, NULL,
                          values, &made);
    args[which] = saved;
    if (rc != LUMA_OK) {
        /* A value that no row has may be what failed. */
        if (rc == LUMA_E_NOMEM || rc == LUMA_E_CANCELED || had_error)
            return rc;
        luma_error_reset(e->ctx->error);
        return LUMA_OK;
    }
    *out_done = true;
    if (made.form == LUMA_VEC_CONST && (saved.valid == NULL || luma_vec_is_null(&made, 0))) {
        *out = made;
        return LUMA_OK;
    }
    struct luma_vec flat;
    LUMA_TRY(eng_vec_flatten(e, &made, NULL, values, values, true, &flat));
    struct luma_vec *dict = luma_arena_alloc(e->arena, sizeof(*dict));
    ENG_NEED(e->ctx, dict, "an expression");
    *dict = flat;
    dict->valid = NULL;
    struct luma_vec result = flat;
    result.form = LUMA_VEC_DICT;
    result.data = saved.data;
    result.dict = dict;
    result.dict_rows = values;
    result.valid = saved.valid;
    if (flat.valid != NULL) {
        const uint32_t *code = saved.data;
        LUMA_TRY(eng_vec_bits(e, rows, true, &result.valid));
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            if (!luma_bit_get(saved.valid, row) || !luma_bit_get(flat.valid, code[row]))
                luma_bit_clear(result.valid, row);
        }
    }
    if (result.phys == LUMA_PHYS_BOOL)
        return eng_vec_flatten(e, &result, sel, n, rows, false, out);
    *out = result;
    return LUMA_OK;
}

static luma_rc
eval_call(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
          uint32_t n, struct luma_vec *out)
{
    struct luma_vec few[4], *args = few;
    uint32_t dicts = 0, others = 0, which = 0;
    if (xp->args_count > LUMA_COUNTOF(few)) {
        args = luma_arena_alloc(e->arena, sizeof(*args) * xp->args_count);
        ENG_NEED(e->ctx, args, "an expression");
    }
    for (uint32_t i = 0; i < xp->args_count; i++) {
        LUMA_TRY(eng_eval(e, xp->args[i], in, sel, n, &args[i]));
        if (args[i].form == LUMA_VEC_DICT) {
            dicts++;
            which = i;
        } else if (args[i].form == LUMA_VEC_FLAT) {
            others++;
        }
    }
    uint32_t rows = in->rows;
    if (xp->func->op == LUMA_OP_CAST && xp->args[0]->type.id == LUMA_TYPE_TEXT &&
        args[0].type.id != LUMA_TYPE_TEXT &&
        (args[0].type.id == LUMA_TYPE_INT8 || args[0].type.id == LUMA_TYPE_NUMERIC)) {
        bool done = false;
        LUMA_TRY(eng_eval_field_cast(e, xp, &args[0], rows, sel, n, out, &done));
        if (done)
            return LUMA_OK;
    }
    if (dicts == 1 && others == 0 && args[which].dict_rows <= n && args[which].dict_rows > 0 &&
        (xp->func->flags & LUMA_FUNC_STRICT) && !(xp->func->flags & LUMA_FUNC_VOLATILE)) {
        bool done = false;
        LUMA_TRY(call_on_dict(e, xp, args, which, rows, sel, n, out, &done));
        if (done)
            return LUMA_OK;
    }
    if (dicts > 0)
        for (uint32_t i = 0; i < xp->args_count; i++)
            LUMA_TRY(eng_vec_flatten(e, &args[i], sel, n, rows, false, &args[i]));
    return eng_call(e, xp->func, xp->bound, xp->type, args, xp->args_count, rows, sel, n, out);
}

luma_rc
eng_eval(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
         uint32_t n, struct luma_vec *out)
{
    switch (xp->kind) {
    case XP_COL:
        *out = in->cols[xp->index];
        return LUMA_OK;
    case XP_CONST:
        eng_vec_of_value(out, &xp->value);
        return LUMA_OK;
    case XP_PARAM:
        if (xp->index >= e->x->params_count)
            return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "42P02", "there is no parameter $%u",
                                 xp->index + 1);
        eng_vec_of_value(out, &e->x->params[xp->index]);
        out->type = xp->type;
        return LUMA_OK;
    case XP_OUTER:
        eng_vec_of_value(out, &e->x->outer[xp->index]);
        out->type = xp->type;
        return LUMA_OK;
    case XP_CALL:
        return eval_call(e, xp, in, sel, n, out);
    case XP_CASE:
    case XP_COALESCE:
    case XP_NULLIF:
    case XP_GREATEST:
    case XP_LEAST:
        return eng_eval_choice(e, xp, in, sel, n, out);
    case XP_IN:
        return eng_eval_in(e, xp, in, sel, n, out);
    case XP_ANY:
        return eng_eval_any(e, xp, in, sel, n, out);
    case XP_ARRAY:
    case XP_SUBSCRIPT:
    case XP_ROW:
        return eng_eval_array(e, xp, in, sel, n, out);
    case XP_ROW_CMP:
        return eng_eval_row_cmp(e, xp, in, sel, n, out);
    case XP_SUBLINK:
        return eng_eval_sublink(e, xp, in, sel, n, out);
    default:
        return eng_eval_logic(e, xp, in, sel, n, out);
    }
}

luma_rc
eng_eval_flat(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
              uint32_t n, struct luma_vec *out)
{
    LUMA_TRY(eng_eval(e, xp, in, sel, n, out));
    return eng_vec_flatten(e, out, sel, n, in->rows, false, out);
}

luma_rc
eng_eval_value(struct xenv *e, const struct xp *xp, struct luma_value *out)
{
    struct luma_batch one = {.rows = 1, .sel_rows = 1};
    struct luma_vec vec;
    LUMA_TRY(eng_eval(e, xp, &one, NULL, 1, &vec));
    *out = eng.data->vec_value(&vec, 0);
    out->type = xp->type;
    return LUMA_OK;
}
