/*
 * storage/segment/field.c - conditions on fields of documents, judged in a group: on the leaf that
 * has all of a field's values (zone map, encoded values), else by the forms of the group's
 * documents (formula.c). What neither can judge is left to the caller, who is told so.
 */
#include "storage/segment/cursor.h"
#include "storage/segment/formula.h"

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for conditions on documents");
}

luma_rc
lki_fields_init(struct luma_ctx *ctx, struct lk_segment_cursor *cursor)
{
    const struct luma_scan_spec *spec = cursor->spec;
    if (spec->fields_count == 0)
        return LUMA_OK;
    if (spec->fields_count > LUMA_FIELD_PREDS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "a scan with %u conditions on fields",
                         spec->fields_count);
    cursor->fields = lk_zalloc(NULL, spec->fields_count * sizeof(*cursor->fields));
    if (cursor->fields == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < spec->fields_count; i++) {
        struct lki_field *f = &cursor->fields[i];
        f->field = &spec->fields[i];
        f->values = lk_zalloc(NULL, (f->field->values_count + 1) * sizeof(*f->values));
        if (f->values == NULL)
            return no_memory(ctx);
    }
    return LUMA_OK;
}

void
lki_fields_fini(struct lk_segment_cursor *cursor)
{
    for (uint32_t i = 0; cursor->fields != NULL && i < cursor->spec->fields_count; i++) {
        struct lki_field *f = &cursor->fields[i];
        if (f->field != NULL)
            lk_free(NULL, f->values, (f->field->values_count + 1) * sizeof(*f->values));
        lki_pred_fini(&f->pred);
        lki_formula_free(f->formula);
    }
    lk_free(NULL, cursor->fields, cursor->spec->fields_count * sizeof(*cursor->fields));
    cursor->fields = NULL;
}

void
lki_fields_leave(struct lk_segment_cursor *cursor)
{
    for (uint32_t i = 0; cursor->fields != NULL && i < cursor->spec->fields_count; i++) {
        cursor->fields[i].pred.dict = NULL;
        lki_formula_reset(cursor->fields[i].formula);
    }
}

/* --- on one leaf --- */

void
lki_leaf_bounds(const struct lk_segment *segment, const struct lki_chunk *chunk,
                struct luma_type type, struct lki_bounds *out)
{
    struct luma_value lo, hi;
    bool number = type.id == LUMA_TYPE_INT8 || type.id == LUMA_TYPE_NUMERIC;

    out->known = number && lki_chunk_min(segment, chunk, type, &lo);
    if (!out->known)
        return;
    hi = lo;
    if ((chunk->flags & LKI_CHUNK_CONST) == 0)
        out->known = lki_chunk_max(segment, chunk, type, &hi);
    out->lo = lo.i64;
    out->hi = hi.i64;
}

/* IN: the values that a leaf can have. */
static enum lki_fit
fit_list(struct lki_field *f, struct luma_type type, const int64_t *lo, const int64_t *hi)
{
    const struct luma_field_pred *field = f->field;
    enum luma_pred_op op;
    uint32_t n = 0;

    for (uint32_t i = 0; i < field->values_count; i++) {
        enum lki_fit fit = lki_leaf_fit(type, lo, hi, field->as, LUMA_PRED_EQ, &field->values[i],
                                        &op, &f->values[n]);
        if (fit == LKI_FIT_CANNOT || fit == LKI_FIT_ALL)
            return LKI_FIT_CANNOT;
        n += fit == LKI_FIT_OP ? 1 : 0;
    }
    f->leaf.op = LUMA_PRED_IN;
    f->leaf.values_count = n;
    return n == 0 ? LKI_FIT_NEVER : LKI_FIT_OP;
}

static enum lki_fit
fit_field(struct lki_field *f, struct luma_type type, const struct lki_bounds *b)
{
    const struct luma_field_pred *field = f->field;
    const int64_t *lo = b->known ? &b->lo : NULL, *hi = b->known ? &b->hi : NULL;

    f->leaf = (struct luma_pred){field->col, field->op, field->values_count, f->values};
    if (field->op == LUMA_PRED_IS_NULL || field->op == LUMA_PRED_NOT_NULL)
        return LKI_FIT_OP;
    if (field->op == LUMA_PRED_IN)
        return fit_list(f, type, lo, hi);
    enum lki_fit fit = lki_leaf_fit(type, lo, hi, field->as, field->op, &field->values[0],
                                    &f->leaf.op, &f->values[0]);
    if (fit == LKI_FIT_ALL) {
        f->leaf.op = LUMA_PRED_NOT_NULL;
        f->leaf.values_count = 0;
        return LKI_FIT_OP;
    }
    return fit;
}

static void
enter_leaf(struct lk_segment_cursor *cursor, struct lki_field *f,
           const struct lki_cursor_col *column)
{
    struct lki_bounds bounds;

    lki_leaf_bounds(cursor->segment, column->chunk, column->type, &bounds);
    enum lki_fit fit = fit_field(f, column->type, &bounds);
    if (fit == LKI_FIT_CANNOT)
        return;
    f->judged = true;
    f->pred.pred = &f->leaf;
    f->pred.order = lki_order_of(column->type, column->chunk->phys);
    f->pred.verdict = fit == LKI_FIT_NEVER
                          ? LKI_NEVER
                          : lki_pred_judge(cursor->segment, column->chunk, column->type, &f->leaf);
    if (f->pred.verdict == LKI_NEVER)
        cursor->dead = true;
}

luma_rc
lki_pred_on_column(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_pred *p,
                   struct lki_cursor_col *column, uint32_t n, uint64_t *bits)
{
    uint64_t tmp[WINDOW_WORDS];
    struct luma_vec vec;

    if (!column->is_fixed) {
        LUMA_TRY(lki_cursor_pin(ctx, cursor, column));
        if (lki_pred_encoded(p, column->loaded, cursor->window_first, n, tmp, bits))
            return LUMA_OK;
    }
    LUMA_TRY(lki_cursor_decode(ctx, cursor, column, n, NULL, 0, &vec));
    return lki_pred_decoded(ctx, cursor->simd, p, &vec, n, tmp, bits);
}

/* --- all of them --- */

luma_rc
lki_fields_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor)
{
    uint32_t count = cursor->spec->fields_count;
    /* Zone maps first: they may end it before anything is read. */
    for (uint32_t i = 0; i < count; i++) {
        struct lki_field *f = &cursor->fields[i];
        const struct lki_cursor_col *column = &cursor->columns[f->field->col];
        f->judged = false;
        if (column->chunk == NULL)
            continue;
        if (column->way == LKI_WAY_LEAF && f->field->op != LUMA_PRED_CONTAINS)
            enter_leaf(cursor, f, column);
        else if (f->field->op == LUMA_PRED_CONTAINS && lki_contains_never(cursor, f->field))
            cursor->dead = true;
    }
    for (uint32_t i = 0; i < count && !cursor->dead; i++) {
        struct lki_field *f = &cursor->fields[i];
        struct lki_cursor_col *column = &cursor->columns[f->field->col];
        if (column->way == LKI_WAY_JOIN || column->way == LKI_WAY_PART)
            LUMA_TRY(lki_formula_enter(ctx, cursor, f));
    }
    for (uint32_t i = 0; i < count; i++)
        if (cursor->fields[i].judged)
            cursor->judged |= UINT64_C(1) << i;
    return LUMA_OK;
}

static bool
any_bit(const uint64_t *bits, uint32_t n)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < LUMA_BIT_WORDS(n); i++)
        any |= bits[i];
    return any != 0;
}

luma_rc
lki_fields_apply(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, uint32_t n, uint64_t *bits)
{
    for (uint32_t i = 0; i < cursor->spec->fields_count && any_bit(bits, n); i++) {
        struct lki_field *f = &cursor->fields[i];
        struct lki_cursor_col *column = &cursor->columns[f->field->col];
        if (!f->judged)
            continue;
        if (column->way != LKI_WAY_LEAF)
            LUMA_TRY(lki_formula_apply(ctx, cursor, f, n, bits));
        else if (f->pred.verdict == LKI_SOME)
            LUMA_TRY(lki_pred_on_column(ctx, cursor, &f->pred, column, n, bits));
    }
    return LUMA_OK;
}
