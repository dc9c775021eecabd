/* scan_field.c - conditions on documents while a scan runs: what storage is told, what is left to
 * judge. */
#include "scan.h"

static bool
is_decimal(struct luma_type type)
{
    return type.id == LUMA_TYPE_NUMERIC || type.id == LUMA_TYPE_INT2 || type.id == LUMA_TYPE_INT4 ||
           type.id == LUMA_TYPE_INT8;
}

/* The condition in the terms of what the field is cast to; false: storage is not asked. */
static luma_rc
make_pred(struct xenv *e, const struct scan_field *field, struct luma_field_pred *out,
          bool *out_asked)
{
    const struct scan_pred *sp = &field->pred;
    struct luma_value v, *value;

    *out = (struct luma_field_pred){.col = sp->col, .op = sp->op, .as = field->as};
    *out_asked = true;
    if (sp->op == LUMA_PRED_IN) {
        struct luma_value *values;
        bool cannot = false;
        LUMA_TRY(eng_scan_in_values(e, sp, field->as, &values, &out->values_count, &cannot));
        out->values = values;
        *out_asked = !cannot && out->values_count > 0;
        return LUMA_OK;
    }
    if (sp->values_count == 0)
        return LUMA_OK;
    value = LUMA_NEW(e->arena, struct luma_value);
    ENG_NEED(e->ctx, value, "a scan");
    out->values = value;
    out->values_count = 1;
    LUMA_TRY(eng_eval_value(e, sp->values[0], &v));
    if (sp->op == LUMA_PRED_CONTAINS || field->as.id == LUMA_TYPE_NUMERIC) { /* of any form */
        *value = v;
        *out_asked = !v.is_null && (sp->op == LUMA_PRED_CONTAINS || is_decimal(v.type));
        return LUMA_OK;
    }
    *out_asked = eng_pred_fit(field->as, sp->op, &v, &out->op, value) == PRED_FITS;
    return LUMA_OK;
}

luma_rc
eng_scan_fields_open(struct xenv *e, const struct op_scan *op, struct scan_fields *out)
{
    out->count = 0;
    out->preds = luma_arena_alloc(e->arena, sizeof(*out->preds) * (op->fields_count + 1));
    out->from = luma_arena_alloc(e->arena, sizeof(*out->from) * (op->fields_count + 1));
    if (out->preds == NULL || out->from == NULL)
        return ENG_NOMEM(e->ctx, "a scan");
    for (uint32_t i = 0; i < op->fields_count; i++) {
        bool asked;
        LUMA_TRY(make_pred(e, &op->fields[i], &out->preds[out->count], &asked));
        out->from[out->count] = i;
        out->count += asked ? 1 : 0;
    }
    return LUMA_OK;
}

luma_rc
eng_scan_fields_judge(struct xenv *e, const struct op_scan *op, const struct scan_fields *fields,
                      uint64_t judged, eng_load_fn load, void *arg, struct luma_batch *batch)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < fields->count; i++)
        if ((judged >> i & 1) != 0)
            done |= UINT64_C(1) << fields->from[i];
    for (uint32_t i = 0; i < op->fields_count && batch->sel_rows > 0; i++) {
        const struct scan_field *field = &op->fields[i];
        if ((done >> i & 1) != 0)
            continue;
        for (uint32_t k = 0; load != NULL && k < field->cols_count; k++)
            if (op->lazy[field->cols[k]])
                LUMA_TRY(load(arg, batch, field->cols[k]));
        LUMA_TRY(eng_filter_batch(e, field->pred.cond, batch));
    }
    return LUMA_OK;
}
