/* xp_compile.c - expressions over variables become expressions over positions. */
#include "phys.h"
#include "xp.h"

static const uint8_t xp_kinds[] = {
    [LUMA_EXPR_CONST] = XP_CONST,
    [LUMA_EXPR_PARAM] = XP_PARAM,
    [LUMA_EXPR_CALL] = XP_CALL,
    [LUMA_EXPR_AND] = XP_AND,
    [LUMA_EXPR_OR] = XP_OR,
    [LUMA_EXPR_NOT] = XP_NOT,
    [LUMA_EXPR_IS_NULL] = XP_IS_NULL,
    [LUMA_EXPR_IS_BOOL] = XP_IS_BOOL,
    [LUMA_EXPR_DISTINCT] = XP_DISTINCT,
    [LUMA_EXPR_CASE] = XP_CASE,
    [LUMA_EXPR_COALESCE] = XP_COALESCE,
    [LUMA_EXPR_NULLIF] = XP_NULLIF,
    [LUMA_EXPR_GREATEST] = XP_GREATEST,
    [LUMA_EXPR_LEAST] = XP_LEAST,
    [LUMA_EXPR_IN] = XP_IN,
    [LUMA_EXPR_ANY] = XP_ANY,
    [LUMA_EXPR_ARRAY] = XP_ARRAY,
    [LUMA_EXPR_ROW] = XP_ROW,
    [LUMA_EXPR_ROW_CMP] = XP_ROW_CMP,
    [LUMA_EXPR_SUBSCRIPT] = XP_SUBSCRIPT,
    [LUMA_EXPR_SUBLINK] = XP_SUBLINK,
};

static uint32_t
outer_slot(struct comp *c, uint32_t var)
{
    struct prog *prog = c->prog;
    for (uint32_t i = 0; i < prog->outer_count; i++)
        if (prog->outer_vars[i] == var)
            return i;
    if (prog->up == NULL)
        eng_pp_throw(c->pp, LUMA_FAIL(c->pp->ctx, LUMA_E_INTERNAL,
                                      "engine: variable %u is not in the row", var));
    if (prog->outer_count == prog->outer_room) {
        uint32_t room = prog->outer_room * 2 + 4;
        uint32_t *vars = PP_ARRAY(c->pp, uint32_t, room);
        if (prog->outer_count > 0)
            memcpy(vars, prog->outer_vars, sizeof(uint32_t) * prog->outer_count);
        prog->outer_vars = vars;
        prog->outer_room = room;
    }
    prog->outer_vars[prog->outer_count] = var;
    return prog->outer_count++;
}

static struct xp *
compile_col(struct comp *c, const struct ex *ex)
{
    struct xp *xp = PP_NEW(c->pp, struct xp);
    uint32_t var = (uint32_t)ex->index;
    xp->type = ex->type;
    xp->state = UINT32_MAX;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->vars[i] == var) {
            xp->kind = XP_COL;
            xp->index = i;
            return xp;
        }
    xp->kind = XP_OUTER;
    xp->flags = XP_CONSTANT;
    xp->index = outer_slot(c, var);
    return xp;
}

void
eng_bind(struct prep *pp, const struct luma_func *func, const struct luma_type *arg_types,
         const struct luma_value *const *consts, uint32_t args_count, struct luma_type result,
         void **out_bound)
{
    *out_bound = NULL;
    if (func->bind == NULL)
        return;
    struct luma_func_call call = {.ctx = pp->ctx,
                                  .arena = pp->arena,
                                  .func = func,
                                  .format = eng.session->format(pp->session),
                                  .result = result};
    eng_pp_try(pp, func->bind(&call, arg_types, consts, args_count));
    *out_bound = call.bound;
}

static void
bind_call(struct comp *c, struct xp *xp)
{
    struct luma_type *types = PP_ARRAY(c->pp, struct luma_type, xp->args_count);
    const struct luma_value **consts = PP_ARRAY(c->pp, const struct luma_value *, xp->args_count);
    for (uint32_t i = 0; i < xp->args_count; i++) {
        types[i] = xp->args[i]->type;
        consts[i] = xp->args[i]->kind == XP_CONST ? &xp->args[i]->value : NULL;
    }
    eng_bind(c->pp, xp->func, types, consts, xp->args_count, xp->type, &xp->bound);
}

static void
compile_sublink(struct comp *c, const struct ex *ex, struct xp *xp)
{
    xp->prog = eng_prog(c->pp, ex->sub, c->prog);
    xp->outer = PP_ARRAY(c->pp, struct xp *, xp->prog->outer_count);
    bool constant = true;
    for (uint32_t i = 0; i < xp->prog->outer_count; i++) {
        xp->outer[i] = compile_col(c, eng_ex_col(c->pp, xp->prog->outer_vars[i]));
        constant = constant && (xp->outer[i]->flags & XP_CONSTANT) != 0;
    }
    for (uint32_t i = 0; i < xp->args_count; i++)
        constant = constant && (xp->args[i]->flags & XP_CONSTANT) != 0;
    xp->prog->once = xp->prog->outer_count == 0;
    if (xp->prog->once && !xp->prog->uses_outer_cte)
        eng_query_add_sub(c->pp, xp->prog);
    xp->flags = constant ? XP_CONSTANT : 0;
}

static uint32_t
flags_of(const struct xp *xp)
{
    uint32_t flags = XP_CONSTANT | XP_IMMUTABLE;
    for (uint32_t i = 0; i < xp->args_count; i++) {
        flags &= xp->args[i]->flags | XP_VOLATILE;
        flags |= xp->args[i]->flags & XP_VOLATILE;
    }
    if (xp->func != NULL && (xp->func->flags & LUMA_FUNC_VOLATILE))
        flags = (flags & ~(uint32_t)(XP_CONSTANT | XP_IMMUTABLE)) | XP_VOLATILE;
    if (xp->func != NULL && (xp->func->flags & LUMA_FUNC_STABLE))
        flags &= ~(uint32_t)XP_IMMUTABLE;
    if (flags & XP_VOLATILE)
        flags &= ~(uint32_t)XP_CONSTANT;
    return flags;
}

/* The one argument whose scale does not matter to what is made of it. */
static void
mark_any_scale(struct xp *xp)
{
    bool compares = xp->kind == XP_CALL && xp->func->op >= LUMA_OP_EQ && xp->func->op <= LUMA_OP_GE;
    for (uint32_t i = 0; i < xp->args_count && compares; i++)
        xp->args[i]->flags |= XP_ANY_SCALE;
}

struct xp *
eng_compile(struct comp *c, const struct ex *ex)
{
    if (ex->kind == LUMA_EXPR_COL)
        return compile_col(c, ex);
    if (ex->kind >= LUMA_COUNTOF(xp_kinds) || xp_kinds[ex->kind] == 0)
        eng_pp_throw(c->pp, LUMA_FAIL(c->pp->ctx, LUMA_E_INTERNAL,
                                      "engine: expression %d where a scalar is wanted", ex->kind));
    struct xp *xp = PP_NEW(c->pp, struct xp);
    xp->kind = xp_kinds[ex->kind];
    xp->type = ex->type;
    xp->index = (uint32_t)ex->index;
    xp->state = UINT32_MAX;
    xp->negated = ex->negated;
    xp->func = ex->func;
    xp->value = ex->value;
    xp->value.type = ex->kind == LUMA_EXPR_CONST ? ex->type : ex->value.type;
    xp->sublink = ex->sublink;
    xp->cmp = ex->cmp;
    xp->cmp_funcs = ex->cmp_funcs;
    xp->args_count = ex->args_count;
    xp->args = eng_compile_all(c, ex->args, ex->args_count);
    xp->flags = flags_of(xp);
    mark_any_scale(xp);
    switch (xp->kind) {
    case XP_PARAM:
        xp->flags = XP_CONSTANT;
        break;
    case XP_CALL:
        bind_call(c, xp);
        xp->state = c->prog->states_count++;
        break;
    case XP_IN:
        xp->set = eng_in_set(c->pp, xp);
        break;
    case XP_SUBLINK:
        compile_sublink(c, ex, xp);
        xp->state = c->prog->states_count++;
        break;
    default:
        break;
    }
    return xp;
}

struct xp **
eng_compile_all(struct comp *c, struct ex *const *exs, uint32_t count)
{
    struct xp **xps = PP_ARRAY(c->pp, struct xp *, count);
    for (uint32_t i = 0; i < count; i++)
        xps[i] = eng_compile(c, exs[i]);
    return xps;
}
