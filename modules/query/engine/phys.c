/* phys.c - the query tree becomes operators; columns nobody needs are left out on the way. */
#include "phys.h"

void *
eng_op_new(struct phys *ph, const struct op_class *cls, size_t bytes, struct rel *rel,
           const uint32_t *vars, uint32_t count)
{
    struct prep *pp = ph->pp;
    struct op *op = eng_pp_alloc(pp, bytes);
    op->cls = cls;
    op->id = ph->prog->ops_count++;
    op->rel = rel;
    op->rows_est = rel == NULL ? 1 : eng_rows(pp, rel);
    op->cols_count = count;
    op->vars = PP_ARRAY(pp, uint32_t, count);
    op->types = PP_ARRAY(pp, struct luma_type, count);
    for (uint32_t i = 0; i < count; i++) {
        op->vars[i] = vars[i];
        op->types[i] = pp->vars[vars[i]].type;
    }
    return op;
}

struct comp
eng_comp(struct phys *ph, const struct op *op)
{
    struct comp c = {ph->pp, ph->prog, op == NULL ? NULL : op->vars,
                     op == NULL ? 0 : op->cols_count};
    return c;
}

struct xp *
eng_compile_conds(struct comp *c, const struct ex_list *conds)
{
    struct ex *all = eng_ex_and(c->pp, conds);
    return all == NULL ? NULL : eng_compile(c, all);
}

uint32_t
eng_op_pos(struct prep *pp, const struct op *op, uint32_t var)
{
    for (uint32_t i = 0; i < op->cols_count; i++)
        if (op->vars[i] == var)
            return i;
    eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "engine: variable %u is not made by %s",
                               var, op->cls->name));
}

void
eng_need_exs(struct prep *pp, struct bits *need, struct ex *const *exs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        eng_ex_vars(pp, exs[i], need);
}

void
eng_need_list(struct prep *pp, struct bits *need, const struct ex_list *list)
{
    eng_need_exs(pp, need, list->items, list->count);
}

uint32_t *
eng_needed_outs(struct prep *pp, const struct rel *rel, const struct bits *need,
                uint32_t *out_count)
{
    uint32_t *vars = PP_ARRAY(pp, uint32_t, rel->outs_count);
    struct bits seen = {0, NULL};
    uint32_t n = 0;
    for (uint32_t i = 0; i < rel->outs_count; i++) {
        if (!eng_bits_has(need, rel->outs[i]) || eng_bits_has(&seen, rel->outs[i]))
            continue;
        eng_bits_add(pp, &seen, rel->outs[i]);
        vars[n++] = rel->outs[i];
    }
    *out_count = n;
    return vars;
}

struct op *
eng_phys(struct phys *ph, struct rel *rel, const struct bits *need)
{
    switch (rel->kind) {
    case REL_SCAN:
        return eng_phys_scan(ph, rel, need);
    case REL_VIRTUAL:
        return eng_phys_virtual(ph, rel, need);
    case REL_VALUES:
    case REL_EMPTY:
        return eng_phys_values(ph, rel, need);
    case REL_SET_FUNC:
        return eng_phys_set_func(ph, rel, need);
    case REL_FILTER:
        return eng_phys_filter(ph, rel, need);
    case REL_PROJECT:
        return eng_phys_project(ph, rel, need);
    case REL_PROJECT_SET:
        return eng_phys_project_set(ph, rel, need);
    case REL_JOIN:
        return rel->lateral ? eng_phys_lateral(ph, rel, need) : eng_phys_join(ph, rel, need);
    case REL_AGG:
        return eng_phys_agg(ph, rel, need);
    case REL_DISTINCT:
        return eng_phys_distinct(ph, rel, need);
    case REL_SORT:
        return eng_phys_sort(ph, rel, need, NULL);
    case REL_LIMIT:
        return eng_phys_limit(ph, rel, need);
    case REL_SETOP:
        return eng_phys_setop(ph, rel, need);
    case REL_CTE:
        return eng_phys_cte(ph, rel, need);
    case REL_CTE_SCAN:
        return eng_phys_cte_scan(ph, rel, need);
    case REL_RECURSIVE:
        return eng_phys_recursive(ph, rel, need);
    case REL_WINDOW:
        return eng_phys_window(ph, rel, need);
    case REL_LOCK:
        return eng_phys_lock(ph, rel, need);
    case REL_CHANGE:
        return rel->plan->kind == LUMA_PLAN_INSERT ? eng_phys_insert(ph, rel)
                                                   : eng_phys_update(ph, rel);
    case REL_GROUP:
        break;
    }
    eng_pp_throw(ph->pp, LUMA_FAIL(ph->pp->ctx, LUMA_E_INTERNAL, "engine: node %d", rel->kind));
}

struct prog *
eng_prog(struct prep *pp, struct rel *rel, struct prog *up)
{
    struct prog *prog = PP_NEW(pp, struct prog);
    struct phys ph = {pp, prog};
    struct bits need = {0, NULL};
    prog->query = pp->query;
    prog->up = up;
    prog->index = pp->query->progs_count++;
    eng_rel_outs(pp, rel, &need);
    prog->root = eng_phys(&ph, rel, &need);
    if (up == NULL)
        prog->root = eng_phys_gather(&ph, prog->root);
    prog->outs_count = rel->outs_count;
    prog->out_pos = PP_ARRAY(pp, uint32_t, rel->outs_count);
    prog->out_types = PP_ARRAY(pp, struct luma_type, rel->outs_count);
    bool same = rel->outs_count == prog->root->cols_count;
    for (uint32_t i = 0; i < rel->outs_count; i++) {
        prog->out_pos[i] = eng_op_pos(pp, prog->root, rel->outs[i]);
        prog->out_types[i] = pp->vars[rel->outs[i]].type;
        same = same && prog->out_pos[i] == i;
    }
    if (same)
        prog->out_pos = NULL;
    return prog;
}

void
eng_query_add_sub(struct prep *pp, struct prog *prog)
{
    struct luma_query *query = pp->query;
    if (query->subs_count == query->subs_room) {
        uint32_t room = query->subs_room * 2 + 4;
        struct prog **subs = PP_ARRAY(pp, struct prog *, room);
        if (query->subs_count > 0)
            memcpy(subs, query->subs, sizeof(*subs) * query->subs_count);
        query->subs = subs;
        query->subs_room = room;
    }
    query->subs[query->subs_count++] = prog;
}
