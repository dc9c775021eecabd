/*
 * phys_field.c - conditions on fields of documents: doc->>'a' = 'x', (doc->>'n')::int > 5, doc @>
 * '{...}'.
 *
 * Storage judges them where its segments have the fields as columns; the condition itself is kept
 * for the other rows.
 */
#include "scan.h"

/* What a condition compares: a field, and what its text is cast to. */
struct side {
    struct scan_build *b;
    struct luma_type as;
};

static uint32_t
stored_at(const struct scan_build *b, const struct ex *ex)
{
    if (ex->kind != LUMA_EXPR_COL)
        return NO_VAR;
    for (uint32_t i = 0; i < b->scan->stored; i++)
        if (b->scan->all_vars[i] == (uint32_t)ex->index)
            return i;
    return NO_VAR;
}

static bool
may_be_cast(struct luma_type as)
{
    switch (as.id) {
    case LUMA_TYPE_BOOL:
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_FLOAT8:
    case LUMA_TYPE_TEXT:
        return true;
    case LUMA_TYPE_NUMERIC:
        return as.mod <= 0;
    default:
        return false;
    }
}

/* The field an expression is, as text or cast, through casts that keep order. */
static uint32_t
field_side(void *arg, const struct ex *ex)
{
    struct side *side = arg;
    const struct prep *pp = side->b->ph->pp;
    struct luma_type type = ex->type;

    while (ex->kind == LUMA_EXPR_CALL && ex->func->op == LUMA_OP_CAST && ex->args_count >= 1 &&
           ex->args[0]->type.id != LUMA_TYPE_TEXT)
        ex = ex->args[0];
    side->as = ex->type;
    if (ex->kind == LUMA_EXPR_CALL && ex->func->op == LUMA_OP_CAST && ex->args_count >= 1)
        ex = ex->args[0];
    uint32_t col = stored_at(side->b, ex);
    return col != NO_VAR && pp->vars[ex->index].path != NULL && ex->type.id == LUMA_TYPE_TEXT &&
                   may_be_cast(side->as) && eng_pred_sees_through(side->as, type)
               ? col
               : NO_VAR;
}

static bool
add_field(struct scan_build *b, uint32_t col, struct luma_type as, enum luma_pred_op op,
          struct ex *const *values, uint32_t count, struct ex *cond)
{
    struct op_scan *scan = b->scan;
    struct prep *pp = b->ph->pp;
    struct bits vars = {0, NULL};

    if (scan->fields_count == LUMA_FIELD_PREDS_MAX)
        return false;
    struct scan_field *field = &scan->fields[scan->fields_count++];
    field->as = as;
    field->pred.col = col;
    field->pred.op = op;
    field->pred.values_count = count;
    field->pred.values = eng_compile_all(&b->comp, values, count);
    field->pred.cond = eng_compile(&b->comp, cond);
    field->cols = PP_ARRAY(pp, uint32_t, scan->stored);
    eng_ex_vars(pp, cond, &vars);
    for (uint32_t i = 0; i < scan->stored; i++)
        if (eng_bits_has(&vars, scan->all_vars[i]))
            field->cols[field->cols_count++] = i;
    return true;
}

static bool
take_list(struct scan_build *b, struct ex *cond)
{
    struct ex_list values = {NULL, 0, 0};
    struct side side = {b, luma_type(LUMA_TYPE_TEXT)};
    uint32_t col = NO_VAR;

    if (cond->kind == LUMA_EXPR_ANY) {
        col = field_side(&side, cond->args[0]);
        if (cond->negated || cond->func->op != LUMA_OP_EQ || col == NO_VAR ||
            !eng_scan_is_fixed(b, cond->args[1]) ||
            !add_field(b, col, side.as, LUMA_PRED_IN, &cond->args[1], 1, cond))
            return false;
        b->scan->fields[b->scan->fields_count - 1].pred.array = true;
        return true;
    }
    return eng_collect_in(b, cond, field_side, &side, &col, &values) &&
           add_field(b, col, side.as, LUMA_PRED_IN, values.items, values.count, cond);
}

static bool
take_contains(struct scan_build *b, struct ex *cond, bool flipped)
{
    const struct ex *doc = cond->args[flipped ? 1 : 0];
    struct ex *wanted = cond->args[flipped ? 0 : 1];
    uint32_t col = stored_at(b, doc);

    return col != NO_VAR && doc->type.id == LUMA_TYPE_JSONB && wanted->type.id == LUMA_TYPE_JSONB &&
           eng_scan_is_fixed(b, wanted) &&
           add_field(b, col, doc->type, LUMA_PRED_CONTAINS, &wanted, 1, cond);
}

static bool
take_null(struct scan_build *b, struct ex *cond)
{
    const struct ex *arg = cond->args[0];
    uint32_t col = stored_at(b, arg);

    return col != NO_VAR && b->ph->pp->vars[arg->index].path != NULL &&
           add_field(b, col, luma_type(LUMA_TYPE_TEXT),
                     cond->negated ? LUMA_PRED_NOT_NULL : LUMA_PRED_IS_NULL, NULL, 0, cond);
}

/* (doc->>'flag')::boolean */
static bool
take_flag(struct scan_build *b, struct ex *cond)
{
    struct side side = {b, luma_type(LUMA_TYPE_TEXT)};
    struct ex *yes = eng_ex_bool(b->ph->pp, true);
    uint32_t col = field_side(&side, cond);
    return col != NO_VAR && add_field(b, col, side.as, LUMA_PRED_EQ, &yes, 1, cond);
}

bool
eng_take_field(struct scan_build *b, struct ex *cond)
{
    if (cond->kind == LUMA_EXPR_IS_NULL)
        return take_null(b, cond);
    if (cond->kind == LUMA_EXPR_IN || cond->kind == LUMA_EXPR_OR || cond->kind == LUMA_EXPR_ANY)
        return take_list(b, cond);
    if (cond->kind != LUMA_EXPR_CALL)
        return false;
    if (cond->func->op == LUMA_OP_CAST)
        return take_flag(b, cond);
    if (cond->args_count != 2)
        return false;
    const char *name = cond->func->name;
    if (strcmp(name, "@>") == 0 || strcmp(name, "<@") == 0)
        return take_contains(b, cond, name[0] == '<');
    if (cond->func->op < LUMA_OP_EQ || cond->func->op > LUMA_OP_GE)
        return false;
    for (uint32_t at = 0; at < 2; at++) {
        struct side side = {b, luma_type(LUMA_TYPE_TEXT)};
        uint32_t col = field_side(&side, cond->args[at]);
        if (col != NO_VAR && eng_scan_is_fixed(b, cond->args[1 - at]))
            return add_field(b, col, side.as, eng_pred_op(cond->func->op, at == 1),
                             &cond->args[1 - at], 1, cond);
    }
    return false;
}
