/* opt_fold.c - what is known before the query runs: constants, and logic with constants in it. */
#include "xp.h"

static struct ex *
fold_logic(struct prep *pp, struct ex *ex)
{
    bool is_and = ex->kind == LUMA_EXPR_AND;
    struct ex_list list = {NULL, 0, 0};
    for (uint32_t i = 0; i < ex->args_count; i++) {
        struct ex *arg = ex->args[i];
        if (eng_ex_is_const(arg, is_and))
            continue;
        if (eng_ex_is_const(arg, !is_and))
            return arg;
        if (arg->kind == ex->kind)
            for (uint32_t k = 0; k < arg->args_count; k++)
                eng_list_add(pp, &list, arg->args[k]);
        else
            eng_list_add(pp, &list, arg);
    }
    if (list.count == 0)
        return eng_ex_bool(pp, is_and);
    if (list.count == 1)
        return list.items[0];
    return eng_ex_args(pp, ex->kind, ex->type, list.count, list.items);
}

static struct ex *
const_null(struct prep *pp, struct luma_type type)
{
    struct ex *ex = eng_ex_new(pp, LUMA_EXPR_CONST, type);
    ex->value.type = type;
    ex->value.phys = (uint8_t)luma_type_phys(type);
    ex->value.is_null = true;
    return ex;
}

static struct ex *
fold_call(struct prep *pp, struct ex *ex)
{
    const struct luma_func *func = ex->func;
    if (func == NULL || func->eval == NULL || ex->args_count > LUMA_FUNC_ARGS_MAX ||
        (func->flags & (LUMA_FUNC_VOLATILE | LUMA_FUNC_STABLE | LUMA_FUNC_SET)))
        return ex;
    struct luma_vec args[LUMA_FUNC_ARGS_MAX];
    struct luma_type types[LUMA_FUNC_ARGS_MAX];
    const struct luma_value *consts[LUMA_FUNC_ARGS_MAX];
    for (uint32_t i = 0; i < ex->args_count; i++) {
        if (ex->args[i]->kind != LUMA_EXPR_CONST)
            return ex;
        if ((func->flags & LUMA_FUNC_STRICT) && ex->args[i]->value.is_null)
            return const_null(pp, ex->type);
        eng_vec_of_value(&args[i], &ex->args[i]->value);
        args[i].type = types[i] = ex->args[i]->type;
        consts[i] = &ex->args[i]->value;
    }
    struct exec x = {.format = eng.session->format(pp->session), .session = pp->session};
    struct xenv e = {&x, NULL, pp->ctx, pp->arena, NULL};
    struct luma_func_call call = {
        .ctx = pp->ctx, .arena = pp->arena, .func = func, .format = x.format, .result = ex->type};
    struct luma_vec out;
    luma_rc rc = func->bind == NULL ? LUMA_OK : func->bind(&call, types, consts, ex->args_count);
    if (rc == LUMA_OK)
        rc = eng_call(&e, func, call.bound, ex->type, args, ex->args_count, 1, NULL, 1, &out);
    if (rc != LUMA_OK) {
        if (rc == LUMA_E_NOMEM || rc == LUMA_E_CANCELED)
            eng_pp_throw(pp, rc);
        /* It fails when, and only when, somebody evaluates it. */
        luma_error_reset(pp->ctx->error);
        return ex;
    }
    struct ex *made = eng_ex_new(pp, LUMA_EXPR_CONST, ex->type);
    made->value = eng.data->vec_value(&out, 0);
    made->value.type = ex->type;
    return made;
}

struct ex *
eng_fold(struct prep *pp, struct ex *ex)
{
    switch (ex->kind) {
    case LUMA_EXPR_AND:
    case LUMA_EXPR_OR:
        return fold_logic(pp, ex);
    case LUMA_EXPR_NOT:
        if (eng_ex_is_const(ex->args[0], true) || eng_ex_is_const(ex->args[0], false))
            return eng_ex_bool(pp, !ex->args[0]->value.b);
        return ex->args[0]->kind == LUMA_EXPR_NOT ? ex->args[0]->args[0] : ex;
    case LUMA_EXPR_CALL:
        return fold_call(pp, ex);
    default:
        return ex;
    }
}
