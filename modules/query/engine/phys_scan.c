/* phys_scan.c - how a table is read: which conditions storage judges, which columns are wanted. */
#include "scan.h"

enum luma_pred_op
eng_pred_op(enum luma_func_op op, bool swapped)
{
    switch (op) {
    case LUMA_OP_NE:
        return LUMA_PRED_NE;
    case LUMA_OP_LT:
        return swapped ? LUMA_PRED_GT : LUMA_PRED_LT;
    case LUMA_OP_LE:
        return swapped ? LUMA_PRED_GE : LUMA_PRED_LE;
    case LUMA_OP_GT:
        return swapped ? LUMA_PRED_LT : LUMA_PRED_GT;
    case LUMA_OP_GE:
        return swapped ? LUMA_PRED_LE : LUMA_PRED_GE;
    default:
        return LUMA_PRED_EQ;
    }
}

/* The stored column an expression is, through casts that keep order; NO_VAR: it is not one. */
static uint32_t
scan_col(const struct scan_build *b, const struct ex *ex)
{
    struct luma_type type = ex->type;
    while (ex->kind == LUMA_EXPR_CALL && ex->func->op == LUMA_OP_CAST && ex->args_count >= 1)
        ex = ex->args[0];
    if (ex->kind != LUMA_EXPR_COL || !eng_pred_sees_through(ex->type, type) ||
        b->ph->pp->vars[ex->index].path != NULL)
        return NO_VAR;
    for (uint32_t i = 0; i < b->scan->stored; i++)
        if (b->scan->all_vars[i] == (uint32_t)ex->index)
            return i;
    return NO_VAR;
}

bool
eng_scan_is_fixed(struct scan_build *b, const struct ex *ex)
{
    struct bits vars = {0, NULL}, outs = {0, NULL};
    eng_ex_vars(b->ph->pp, ex, &vars);
    eng_rel_outs(b->ph->pp, b->rel, &outs);
    return !eng_bits_meet(&vars, &outs) && !eng_ex_volatile(ex);
}

static void
add_pred(struct scan_build *b, uint32_t col, enum luma_pred_op op, struct ex *const *values,
         uint32_t count, const struct ex *cond, bool hint)
{
    struct op_scan *scan = b->scan;
    struct scan_pred *pred = &scan->preds[scan->preds_count];
    pred->col = col;
    pred->op = op;
    pred->values_count = count;
    pred->values = eng_compile_all(&b->comp, values, count);
    pred->cond = hint ? NULL : eng_compile(&b->comp, cond);
    pred->hint = hint;
    b->pred_conds[scan->preds_count++] = cond;
}

static struct ex *
text_const(struct prep *pp, const char *data, size_t bytes)
{
    struct ex *ex = eng_ex_new(pp, LUMA_EXPR_CONST, luma_type(LUMA_TYPE_TEXT));
    char *copy = PP_ARRAY(pp, char, bytes);
    memcpy(copy, data, bytes);
    ex->value.type = ex->type;
    ex->value.phys = LUMA_PHYS_STR;
    ex->value.str = luma_str_make(copy, (uint32_t)bytes);
    return ex;
}

/* LIKE 'abc%' says col >= 'abc' and col < 'abd'; the pattern is judged all the same. */
static void
like_hints(struct scan_build *b, const struct ex *cond)
{
    uint32_t col = scan_col(b, cond->args[0]);
    const struct ex *pattern = cond->args[1];
    if (col == NO_VAR || pattern->kind != LUMA_EXPR_CONST || pattern->value.is_null ||
        pattern->value.phys != LUMA_PHYS_STR || cond->args[0]->type.id == LUMA_TYPE_BPCHAR)
        return;
    const char *text = luma_str_data(&pattern->value.str);
    size_t n = 0;
    while (n < pattern->value.str.bytes && text[n] != '%' && text[n] != '_' && text[n] != '\\')
        n++;
    if (n == 0 || (uint8_t)text[n - 1] >= 0x7f)
        return;
    struct ex *lo = text_const(b->ph->pp, text, n), *hi = text_const(b->ph->pp, text, n);
    char *last = (char *)(uintptr_t)luma_str_data(&hi->value.str) + n - 1;
    (*last)++;
    hi->value.str = luma_str_make(luma_str_data(&hi->value.str), (uint32_t)n);
    add_pred(b, col, LUMA_PRED_GE, &lo, 1, cond, true);
    add_pred(b, col, LUMA_PRED_LT, &hi, 1, cond, true);
}

bool
eng_collect_in(struct scan_build *b, struct ex *cond, eng_side_fn is, void *arg,
               uint32_t *inout_col, struct ex_list *values)
{
    if (cond->kind == LUMA_EXPR_OR) {
        for (uint32_t i = 0; i < cond->args_count; i++)
            if (!eng_collect_in(b, cond->args[i], is, arg, inout_col, values))
                return false;
        return true;
    }
    bool equal =
        cond->kind == LUMA_EXPR_CALL && cond->args_count == 2 && cond->func->op == LUMA_OP_EQ;
    if (!equal && (cond->kind != LUMA_EXPR_IN || cond->negated))
        return false;
    uint32_t side = equal && is(arg, cond->args[0]) == NO_VAR ? 1 : 0;
    uint32_t col = is(arg, cond->args[side]);
    if (col == NO_VAR || (*inout_col != NO_VAR && *inout_col != col))
        return false;
    *inout_col = col;
    for (uint32_t i = 0; i < cond->args_count; i++) {
        if (i == side)
            continue;
        if (!eng_scan_is_fixed(b, cond->args[i]))
            return false;
        eng_list_add(b->ph->pp, values, cond->args[i]);
    }
    return true;
}

static uint32_t
is_scan_col(void *arg, const struct ex *ex)
{
    return scan_col(arg, ex);
}

static bool
take_in(struct scan_build *b, struct ex *cond)
{
    struct ex_list values = {NULL, 0, 0};
    uint32_t col = NO_VAR;
    if (cond->kind == LUMA_EXPR_ANY) {
        col = scan_col(b, cond->args[0]);
        if (cond->negated || cond->func->op != LUMA_OP_EQ || col == NO_VAR ||
            !eng_scan_is_fixed(b, cond->args[1]))
            return false;
        add_pred(b, col, LUMA_PRED_IN, &cond->args[1], 1, cond, false);
        b->scan->preds[b->scan->preds_count - 1].array = true;
        return true;
    }
    if (!eng_collect_in(b, cond, is_scan_col, b, &col, &values))
        return false;
    add_pred(b, col, LUMA_PRED_IN, values.items, values.count, cond, false);
    return true;
}

/* True when the condition has become a predicate. */
static bool
take_pred(struct scan_build *b, struct ex *cond)
{
    if (cond->kind == LUMA_EXPR_COL) {
        uint32_t col = scan_col(b, cond);
        struct ex *yes = eng_ex_bool(b->ph->pp, true);
        if (col == NO_VAR)
            return false;
        add_pred(b, col, LUMA_PRED_EQ, &yes, 1, cond, false);
        return true;
    }
    if (cond->kind == LUMA_EXPR_IS_NULL) {
        const struct ex *arg = cond->args[0];
        uint32_t col = arg->kind == LUMA_EXPR_COL ? scan_col(b, arg) : NO_VAR;
        if (col == NO_VAR)
            return false;
        add_pred(b, col, cond->negated ? LUMA_PRED_NOT_NULL : LUMA_PRED_IS_NULL, NULL, 0, cond,
                 false);
        return true;
    }
    if (cond->kind == LUMA_EXPR_IN || cond->kind == LUMA_EXPR_OR || cond->kind == LUMA_EXPR_ANY)
        return take_in(b, cond);
    if (cond->kind != LUMA_EXPR_CALL || cond->args_count != 2)
        return false;
    if (cond->func->op == LUMA_OP_LIKE)
        like_hints(b, cond);
    if (cond->func->op < LUMA_OP_EQ || cond->func->op > LUMA_OP_GE)
        return false;
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t col = scan_col(b, cond->args[side]);
        if (col == NO_VAR || !eng_scan_is_fixed(b, cond->args[1 - side]))
            continue;
        add_pred(b, col, eng_pred_op(cond->func->op, side == 1), &cond->args[1 - side], 1, cond,
                 false);
        return true;
    }
    return false;
}

uint32_t *
eng_scan_needed(struct prep *pp, const struct rel *rel, const struct bits *need,
                uint32_t *out_count)
{
    struct rel with = *rel;
    with.outs_count = rel->outs_count + rel->path_vars_count;
    with.outs = PP_ARRAY(pp, uint32_t, with.outs_count);
    memcpy(with.outs, rel->outs, sizeof(uint32_t) * rel->outs_count);
    if (rel->path_vars_count > 0)
        memcpy(with.outs + rel->outs_count, rel->path_vars,
               sizeof(uint32_t) * rel->path_vars_count);
    return eng_needed_outs(pp, &with, need, out_count);
}

static void
scan_paths(struct prep *pp, struct op_scan *scan)
{
    bool any = false;
    for (uint32_t i = 0; i < scan->stored; i++)
        any = any || pp->vars[scan->all_vars[i]].path != NULL;
    if (!any)
        return;
    scan->paths = PP_ARRAY(pp, struct luma_path, scan->stored);
    for (uint32_t i = 0; i < scan->stored; i++)
        if (pp->vars[scan->all_vars[i]].path != NULL)
            scan->paths[i] = *pp->vars[scan->all_vars[i]].path;
}

struct op *
eng_phys_scan(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits shown = eng_bits_copy(pp, need), all = eng_bits_copy(pp, need);
    eng_need_list(pp, &all, &rel->conds);
    uint32_t count, stored = 0;
    uint32_t *vars = eng_scan_needed(pp, rel, &all, &count);
    uint32_t *order = PP_ARRAY(pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        if (vars[i] != rel->rowid_var)
            order[stored++] = vars[i];
    bool rowid = stored < count;
    if (rowid)
        order[stored] = rel->rowid_var;
    uint32_t out_count;
    uint32_t *out_vars = eng_needed_outs(pp, rel, need, &out_count);
    struct op_scan *scan = eng_op_new(ph, &eng_scan_class, sizeof(*scan), rel, out_vars, out_count);
    scan->coll_id = rel->plan->coll_id;
    scan->stored = stored;
    scan->rowid = rowid;
    scan->all_vars = order;
    scan->out_from = PP_ARRAY(pp, uint32_t, out_count);
    for (uint32_t i = 0; i < out_count; i++)
        while (order[scan->out_from[i]] != out_vars[i])
            scan->out_from[i]++;
    scan->lazy = PP_ARRAY(pp, bool, stored);
    scan->col_ids = PP_ARRAY(pp, uint32_t, stored);
    scan->col_types = PP_ARRAY(pp, struct luma_type, stored);
    for (uint32_t i = 0; i < stored; i++) {
        scan->col_ids[i] = pp->vars[order[i]].col_id;
        scan->col_types[i] = pp->vars[order[i]].type;
    }
    scan_paths(pp, scan);
    struct scan_build b = {
        .ph = ph, .rel = rel, .scan = scan, .comp = {pp, ph->prog, order, count}};
    uint32_t room = rel->conds.count * 3 + 1;
    scan->preds = PP_ARRAY(pp, struct scan_pred, room);
    scan->fields = PP_ARRAY(pp, struct scan_field, rel->conds.count);
    b.pred_conds = PP_ARRAY(pp, const struct ex *, room);
    for (uint32_t i = 0; i < rel->conds.count; i++)
        if (!take_pred(&b, rel->conds.items[i]) && !eng_take_field(&b, rel->conds.items[i]))
            eng_list_add(pp, &b.residual, rel->conds.items[i]);
    scan->residual = eng_compile_conds(&b.comp, &b.residual);
    /* Columns that only predicates look at need not be decoded. */
    eng_need_list(pp, &shown, &b.residual);
    for (uint32_t i = 0; i < stored; i++)
        scan->lazy[i] = !eng_bits_has(&shown, order[i]);
    eng_choose_index(&b);
    scan->op.rows_est = eng_rows(pp, rel);
    return &scan->op;
}
