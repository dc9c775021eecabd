/* xp_in.c - IN lists, ANY/ALL of arrays, row comparison, arrays. */
#include "xp.h"

/* --- IN: a hash set when the list is of constants --- */

struct in_set {
    uint32_t mask;
    bool has_null;
    uint32_t count;
    const struct luma_value **slots;
};

static uint64_t
hash_value(const struct luma_value *v)
{
    struct luma_vec vec;
    uint64_t hash;
    eng_vec_of_value(&vec, v);
    eng.data->hash(&vec, NULL, 1, false, &hash);
    return hash;
}

struct in_set *
eng_in_set(struct prep *pp, const struct xp *xp)
{
    if (xp->args_count < 4)
        return NULL;
    for (uint32_t i = 1; i < xp->args_count; i++)
        if (xp->args[i]->kind != XP_CONST || xp->args[i]->type.id != xp->args[0]->type.id)
            return NULL;
    uint32_t room = 8;
    while (room < xp->args_count * 2)
        room *= 2;
    struct in_set *set = PP_NEW(pp, struct in_set);
    set->mask = room - 1;
    set->slots = PP_ARRAY(pp, const struct luma_value *, room);
    for (uint32_t i = 1; i < xp->args_count; i++) {
        const struct luma_value *v = &xp->args[i]->value;
        if (v->is_null) {
            set->has_null = true;
            continue;
        }
        uint32_t at = (uint32_t)hash_value(v) & set->mask;
        while (set->slots[at] != NULL)
            at = (at + 1) & set->mask;
        set->slots[at] = v;
        set->count++;
    }
    return set;
}

static bool
set_has(const struct in_set *set, const struct luma_vec *vec, uint32_t row, uint64_t hash)
{
    struct luma_vec one;
    for (uint32_t at = (uint32_t)hash & set->mask; set->slots[at] != NULL;
         at = (at + 1) & set->mask) {
        eng_vec_of_value(&one, set->slots[at]);
        if (eng.data->compare(vec, row, &one, 0) == 0)
            return true;
    }
    return false;
}

static luma_rc
bool_room(struct xenv *e, uint32_t rows, struct luma_vec *out)
{
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_BOOL), LUMA_PHYS_BOOL, rows, out));
    return eng_vec_bits(e, rows, true, &out->valid);
}

static luma_rc
eval_in_set(struct xenv *e, const struct xp *xp, const struct luma_vec *lhs, uint32_t rows,
            const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    const struct in_set *set = xp->set;
    uint64_t *hashes = luma_arena_alloc(e->arena, sizeof(uint64_t) * (n + 1));
    ENG_NEED(e->ctx, hashes, "an expression");
    eng.data->hash(lhs, sel, n, false, hashes);
    LUMA_TRY(bool_room(e, rows, out));
    uint8_t *value = out->data;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (luma_vec_is_null(lhs, row)) {
            luma_bit_clear(out->valid, row);
            continue;
        }
        bool has = set_has(set, lhs, row, hashes[k]);
        value[row] = has != xp->negated;
        if (!has && set->has_null)
            luma_bit_clear(out->valid, row);
    }
    return LUMA_OK;
}

/* x = a OR x = b ..., arm by arm on the rows still undecided. */
static luma_rc
eval_in_list(struct xenv *e, const struct xp *xp, struct luma_vec *lhs, const struct luma_batch *in,
             const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    LUMA_TRY(bool_room(e, in->rows, out));
    uint8_t *value = out->data;
    uint16_t *open = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1));
    ENG_NEED(e->ctx, open, "an expression");
    for (uint32_t k = 0; k < n; k++) {
        open[k] = (uint16_t)eng_sel_at(sel, k);
        value[open[k]] = xp->negated;
    }
    for (uint32_t i = 1; i < xp->args_count && n > 0; i++) {
        struct luma_vec args[2] = {*lhs}, eq;
        LUMA_TRY(eng_eval_flat(e, xp->args[i], in, open, n, &args[1]));
        LUMA_TRY(eng_call(e, xp->func, NULL, luma_type(LUMA_TYPE_BOOL), args, 2, in->rows, open, n,
                          &eq));
        uint32_t left = 0;
        for (uint32_t k = 0; k < n; k++) {
            uint16_t row = open[k];
            if (luma_vec_is_null(&eq, row)) {
                luma_bit_clear(out->valid, row);
                open[left++] = row;
            } else if (*(const uint8_t *)luma_vec_at(&eq, row)) {
                value[row] = !xp->negated;
                luma_bit_set(out->valid, row);
            } else {
                open[left++] = row;
            }
        }
        n = left;
    }
    return LUMA_OK;
}

luma_rc
eng_eval_in(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
            uint32_t n, struct luma_vec *out)
{
    struct luma_vec lhs;
    LUMA_TRY(eng_eval(e, xp->args[0], in, sel, n, &lhs));
    if (xp->set != NULL && lhs.form == LUMA_VEC_DICT && lhs.dict_rows <= n) {
        struct luma_vec values = *lhs.dict, made;
        values.valid = NULL;
        LUMA_TRY(eval_in_set(e, xp, &values, lhs.dict_rows, NULL, lhs.dict_rows, &made));
        LUMA_TRY(bool_room(e, in->rows, out));
        const uint32_t *codes = lhs.data;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            bool null = luma_vec_is_null(&lhs, row) || !luma_bit_get(made.valid, codes[row]);
            if (null)
                luma_bit_clear(out->valid, row);
            else
                ((uint8_t *)out->data)[row] = ((const uint8_t *)made.data)[codes[row]];
        }
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_flatten(e, &lhs, sel, n, in->rows, false, &lhs));
    if (xp->set != NULL)
        return eval_in_set(e, xp, &lhs, in->rows, sel, n, out);
    return eval_in_list(e, xp, &lhs, in, sel, n, out);
}

/* --- x op ANY (array), x op ALL (array) --- */

static luma_rc
any_one(struct xenv *e, const struct xp *xp, struct luma_vec *lhs, uint32_t row,
        const struct luma_str *array, bool *out_null, bool *out_value)
{
    struct luma_type elem = luma_type_elem(xp->args[1]->type);
    uint32_t count = eng.data->array_count(array);
    bool all = xp->negated, null = false;
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec args[2], res;
        LUMA_TRY(eng.data->array_get(array, elem, i, &v));
        struct luma_value left = eng.data->vec_value(lhs, row);
        eng_vec_of_value(&args[0], &left);
        eng_vec_of_value(&args[1], &v);
        LUMA_TRY(eng_call(e, xp->func, NULL, luma_type(LUMA_TYPE_BOOL), args, 2, 1, NULL, 1, &res));
        if (luma_vec_is_null(&res, 0)) {
            null = true;
        } else if ((*(const uint8_t *)res.data != 0) != all) {
            *out_null = false;
            *out_value = !all;
            return LUMA_OK;
        }
    }
    *out_null = null;
    *out_value = all;
    return LUMA_OK;
}

luma_rc
eng_eval_any(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
             uint32_t n, struct luma_vec *out)
{
    struct luma_vec lhs, arr;
    LUMA_TRY(eng_eval_flat(e, xp->args[0], in, sel, n, &lhs));
    LUMA_TRY(eng_eval_flat(e, xp->args[1], in, sel, n, &arr));
    LUMA_TRY(bool_room(e, in->rows, out));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        bool null = true, value = false;
        if (!luma_vec_is_null(&arr, row))
            LUMA_TRY(any_one(e, xp, &lhs, row, luma_vec_at(&arr, row), &null, &value));
        ((uint8_t *)out->data)[row] = value;
        if (null)
            luma_bit_clear(out->valid, row);
    }
    return LUMA_OK;
}

/* --- arrays --- */

static luma_rc
eval_subscript(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
               const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    struct luma_vec arr, idx;
    LUMA_TRY(eng_eval_flat(e, xp->args[0], in, sel, n, &arr));
    LUMA_TRY(eng_eval_flat(e, xp->args[1], in, sel, n, &idx));
    LUMA_TRY(eng_vec_room(e, xp->type, LUMA_PHYS_NONE, in->rows, out));
    LUMA_TRY(eng_vec_bits(e, in->rows, true, &out->valid));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        struct luma_value v = {.is_null = true, .type = xp->type};
        if (!luma_vec_is_null(&arr, row) && !luma_vec_is_null(&idx, row)) {
            struct luma_value at = eng.data->vec_value(&idx, row);
            int64_t i = at.phys == LUMA_PHYS_I64   ? at.i64
                        : at.phys == LUMA_PHYS_I32 ? at.i32
                                                   : at.i16;
            const struct luma_str *array = luma_vec_at(&arr, row);
            if (i >= 1 && i <= eng.data->array_count(array))
                LUMA_TRY(eng.data->array_get(array, xp->type, (uint32_t)(i - 1), &v));
        }
        if (v.is_null)
            luma_bit_clear(out->valid, row);
        else
            LUMA_TRY(eng.data->vec_set(e->arena, out, row, &v));
    }
    return LUMA_OK;
}

luma_rc
eng_eval_array(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
               const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    if (xp->kind == XP_SUBSCRIPT)
        return eval_subscript(e, xp, in, sel, n, out);
    struct luma_vec *args = luma_arena_alloc(e->arena, sizeof(*args) * (xp->args_count + 1));
    struct luma_value *values = luma_arena_alloc(e->arena, sizeof(*values) * (xp->args_count + 1));
    if (args == NULL || values == NULL)
        return ENG_NOMEM(e->ctx, "an expression");
    for (uint32_t i = 0; i < xp->args_count; i++)
        LUMA_TRY(eng_eval_flat(e, xp->args[i], in, sel, n, &args[i]));
    LUMA_TRY(eng_vec_room(e, xp->type, LUMA_PHYS_STR, in->rows, out));
    struct luma_str *strs = out->data;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        for (uint32_t i = 0; i < xp->args_count; i++)
            values[i] = eng.data->vec_value(&args[i], row);
        if (xp->kind == XP_ARRAY) {
            LUMA_TRY(
                eng.data->array_make(e->arena, xp->type.elem, values, xp->args_count, &strs[row]));
            continue;
        }
        /* A record prints as (a,b,...): kept as that text. */
        char *text = luma_arena_alloc(e->arena, 3);
        ENG_NEED(e->ctx, text, "an expression");
        size_t len = 0;
        text[len++] = '(';
        for (uint32_t i = 0; i < xp->args_count; i++) {
            const char *part =
                values[i].is_null ? "" : eng.data->value_text(&values[i], e->x->format, e->arena);
            size_t part_len = part == NULL ? 0 : strlen(part);
            char *more = luma_arena_alloc(e->arena, len + part_len + 3);
            ENG_NEED(e->ctx, more, "an expression");
            memcpy(more, text, len);
            if (i > 0)
                more[len++] = ',';
            if (part_len > 0)
                memcpy(more + len, part, part_len);
            len += part_len;
            text = more;
        }
        text[len++] = ')';
        strs[row] = luma_str_make(text, (uint32_t)len);
    }
    return LUMA_OK;
}

/* --- (a, b) op (c, d) --- */

static luma_rc
pair_call(struct xenv *e, const struct luma_func *func, const struct luma_vec *l,
          const struct luma_vec *r, uint32_t rows, const uint16_t *sel, uint32_t n,
          struct luma_vec *out)
{
    struct luma_vec args[2] = {*l, *r};
    return eng_call(e, func, NULL, luma_type(LUMA_TYPE_BOOL), args, 2, rows, sel, n, out);
}

/* One row against one row: -2 unknown, else the three-way order (equality only: 0 or 1). */
static int
row_order(const struct luma_vec *eqs, const struct luma_vec *lts, uint32_t cols, uint32_t row,
          bool equality)
{
    bool unknown = false;
    for (uint32_t i = 0; i < cols; i++) {
        if (luma_vec_is_null(&eqs[i], row)) {
            if (!equality)
                return -2;
            unknown = true;
            continue;
        }
        if (*(const uint8_t *)luma_vec_at(&eqs[i], row))
            continue;
        if (equality)
            return 1;
        return *(const uint8_t *)luma_vec_at(&lts[i], row) ? -1 : 1;
    }
    return unknown ? -2 : 0;
}

luma_rc
eng_eval_row_cmp(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                 const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    uint32_t cols = xp->args_count / 2;
    bool equality = xp->cmp == LUMA_CMP_EQ || xp->cmp == LUMA_CMP_NE;
    struct luma_vec *eqs = luma_arena_alloc(e->arena, sizeof(*eqs) * (cols * 2 + 1));
    ENG_NEED(e->ctx, eqs, "an expression");
    struct luma_vec *lts = eqs + cols;
    for (uint32_t i = 0; i < cols; i++) {
        struct luma_vec l, r;
        LUMA_TRY(eng_eval_flat(e, xp->args[i], in, sel, n, &l));
        LUMA_TRY(eng_eval_flat(e, xp->args[cols + i], in, sel, n, &r));
        LUMA_TRY(pair_call(e, xp->cmp_funcs[i * 2], &l, &r, in->rows, sel, n, &eqs[i]));
        if (!equality)
            LUMA_TRY(pair_call(e, xp->cmp_funcs[i * 2 + 1], &l, &r, in->rows, sel, n, &lts[i]));
    }
    LUMA_TRY(bool_room(e, in->rows, out));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        int c = row_order(eqs, lts, cols, row, equality);
        bool v = false;
        switch (xp->cmp) {
        case LUMA_CMP_EQ:
            v = c == 0;
            break;
        case LUMA_CMP_NE:
            v = c == 1;
            break;
        case LUMA_CMP_LT:
            v = c == -1;
            break;
        case LUMA_CMP_LE:
            v = c == -1 || c == 0;
            break;
        case LUMA_CMP_GT:
            v = c == 1;
            break;
        case LUMA_CMP_GE:
            v = c == 1 || c == 0;
            break;
        }
        ((uint8_t *)out->data)[row] = v != xp->negated;
        if (c == -2)
            luma_bit_clear(out->valid, row);
    }
    return LUMA_OK;
}
