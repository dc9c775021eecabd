/* import.c - a logical plan as a tree of rel nodes over variables. */
#include "opt.h"

static struct ex_key *
import_keys(struct prep *pp, const struct luma_sort_key *keys, uint32_t count, const uint32_t *in,
            uint32_t in_count, const struct scope *up)
{
    struct ex_key *out = PP_ARRAY(pp, struct ex_key, count);
    for (uint32_t i = 0; i < count; i++) {
        out[i].expr = eng_import_expr(pp, keys[i].expr, in, in_count, up);
        out[i].desc = keys[i].desc;
        out[i].nulls_first = keys[i].nulls_first;
    }
    return out;
}

static struct ex **
import_exprs(struct prep *pp, struct luma_expr *const *exprs, uint32_t count, const uint32_t *in,
             uint32_t in_count, const struct scope *up)
{
    struct ex **out = PP_ARRAY(pp, struct ex *, count);
    for (uint32_t i = 0; i < count; i++)
        out[i] = eng_import_expr(pp, exprs[i], in, in_count, up);
    return out;
}

static struct ex_window *
import_window(struct prep *pp, const struct luma_window *w, const uint32_t *in, uint32_t in_count,
              const struct scope *up)
{
    struct ex_window *out = PP_NEW(pp, struct ex_window);
    out->partition_count = w->partition_count;
    out->partition = import_exprs(pp, w->partition, w->partition_count, in, in_count, up);
    out->order_count = w->order_count;
    out->order = import_keys(pp, w->order, w->order_count, in, in_count, up);
    out->mode = w->mode;
    out->start = w->start;
    out->end = w->end;
    out->exclude = w->exclude;
    if (w->start_offset != NULL)
        out->start_offset = eng_import_expr(pp, w->start_offset, in, in_count, up);
    if (w->end_offset != NULL)
        out->end_offset = eng_import_expr(pp, w->end_offset, in, in_count, up);
    return out;
}

static uint32_t
outer_var(struct prep *pp, const struct luma_expr *e, const struct scope *up)
{
    const struct scope *s = up;
    for (int32_t level = 1; level < e->level && s != NULL; level++)
        s = s->up;
    if (s == NULL || e->index < 0 || (uint32_t)e->index >= s->count)
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: no outer column %d of level %d",
                                   e->index, e->level));
    return s->vars[e->index];
}

struct ex *
eng_import_expr(struct prep *pp, const struct luma_expr *e, const uint32_t *in, uint32_t in_count,
                const struct scope *up)
{
    if (e->kind == LUMA_EXPR_COL) {
        if (e->index < 0 || (uint32_t)e->index >= in_count)
            eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: column %d of a row of %u",
                                       e->index, in_count));
        return eng_ex_col(pp, in[e->index]);
    }
    if (e->kind == LUMA_EXPR_OUTER)
        return eng_ex_col(pp, outer_var(pp, e, up));
    struct ex *ex = eng_ex_new(pp, e->kind, e->type);
    ex->negated = e->negated;
    ex->index = e->index;
    ex->value = e->value;
    ex->func = e->func;
    ex->args_count = e->args_count;
    ex->args = import_exprs(pp, e->args, e->args_count, in, in_count, up);
    ex->sublink = e->sublink;
    ex->cmp = e->cmp;
    ex->cmp_funcs = e->cmp_funcs;
    ex->distinct = e->distinct;
    if (e->filter != NULL)
        ex->filter = eng_import_expr(pp, e->filter, in, in_count, up);
    ex->order_count = e->order_count;
    if (e->order_count > 0)
        ex->order = import_keys(pp, e->order, e->order_count, in, in_count, up);
    if (e->window != NULL)
        ex->window = import_window(pp, e->window, in, in_count, up);
    if (e->kind == LUMA_EXPR_SUBLINK) {
        struct scope *scope = PP_NEW(pp, struct scope);
        scope->up = up;
        scope->vars = in;
        scope->count = in_count;
        ex->sub = eng_import(pp, e->plan, scope);
    }
    return eng_fold(pp, ex);
}

static uint32_t *
new_outs(struct prep *pp, struct rel *rel, const struct luma_plan_col *cols, uint32_t count)
{
    uint32_t *outs = PP_ARRAY(pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        outs[i] = eng_var_new(pp, cols[i].type, rel);
        pp->vars[outs[i]].name = cols[i].name;
    }
    return outs;
}

static const struct luma_cat_object *
cat_table(struct prep *pp, uint64_t id)
{
    return pp->cat == NULL ? NULL : eng.catalog->by_id(pp->cat, id);
}

static bool
cat_not_null(const struct luma_cat_object *table, uint32_t col_id)
{
    for (uint32_t i = 0; table != NULL && i < table->cols_count; i++)
        if (table->cols[i].id == col_id)
            return table->cols[i].not_null;
    return false;
}

static void
import_scan(struct prep *pp, struct rel *rel, const struct luma_plan *plan)
{
    rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
    uint32_t stored = plan->cols_count - (plan->rowid ? 1 : 0);
    const struct luma_cat_object *table = cat_table(pp, plan->coll_id);
    for (uint32_t i = 0; i < stored; i++) {
        struct var *var = &pp->vars[rel->outs[i]];
        var->coll_id = plan->coll_id;
        var->col_id = plan->scan_cols[i];
        var->not_null = cat_not_null(table, var->col_id);
    }
    if (plan->rowid) {
        rel->rowid_var = rel->outs[stored];
        pp->vars[rel->rowid_var].not_null = true;
    }
}

/* A bare column keeps its variable through a projection. */
static void
import_project(struct prep *pp, struct rel *rel, const struct luma_plan *plan, const uint32_t *in,
               uint32_t in_count, const struct scope *scope)
{
    rel->exprs_count = plan->exprs_count;
    rel->exprs = import_exprs(pp, plan->exprs, plan->exprs_count, in, in_count, scope);
    rel->outs = PP_ARRAY(pp, uint32_t, plan->exprs_count);
    for (uint32_t i = 0; i < plan->exprs_count; i++) {
        if (rel->exprs[i]->kind == LUMA_EXPR_COL && rel->child[0] != NULL &&
            eng_rel_defines(rel->child[0], (uint32_t)rel->exprs[i]->index)) {
            rel->outs[i] = (uint32_t)rel->exprs[i]->index;
            continue;
        }
        rel->outs[i] = eng_var_new(pp, rel->exprs[i]->type, rel);
        if (i < plan->cols_count)
            pp->vars[rel->outs[i]].name = plan->cols[i].name;
    }
}

static void
import_aggregate(struct prep *pp, struct rel *rel, const struct luma_plan *plan, const uint32_t *in,
                 uint32_t in_count, const struct scope *scope)
{
    rel->exprs_count = plan->exprs_count;
    rel->exprs = import_exprs(pp, plan->exprs, plan->exprs_count, in, in_count, scope);
    rel->aggs_count = plan->aggs_count;
    rel->aggs = import_exprs(pp, plan->aggs, plan->aggs_count, in, in_count, scope);
    rel->outs_count = plan->exprs_count + plan->aggs_count;
    rel->outs = PP_ARRAY(pp, uint32_t, rel->outs_count);
    for (uint32_t i = 0; i < rel->outs_count; i++) {
        struct ex *ex = i < plan->exprs_count ? rel->exprs[i] : rel->aggs[i - plan->exprs_count];
        bool keeps = i < plan->exprs_count && ex->kind == LUMA_EXPR_COL && plan->sets_count == 0 &&
                     eng_rel_defines(rel->child[0], (uint32_t)ex->index);
        rel->outs[i] = keeps ? (uint32_t)ex->index : eng_var_new(pp, ex->type, rel);
    }
}

static void
import_join(struct prep *pp, struct rel *rel, const struct luma_plan *plan,
            const struct scope *scope)
{
    struct rel *left = eng_import(pp, plan->children[0], scope);
    const struct scope *right_scope = scope;
    if (plan->lateral) {
        struct scope *s = PP_NEW(pp, struct scope);
        s->up = scope;
        s->vars = left->outs;
        s->count = left->outs_count;
        right_scope = s;
    }
    struct rel *right = eng_import(pp, plan->children[1], right_scope);
    rel->child[0] = left;
    rel->child[1] = right;
    rel->join = plan->join;
    pp->has_join = true;
    uint32_t count = left->outs_count + right->outs_count;
    uint32_t *both = PP_ARRAY(pp, uint32_t, count);
    memcpy(both, left->outs, sizeof(uint32_t) * left->outs_count);
    memcpy(both + left->outs_count, right->outs, sizeof(uint32_t) * right->outs_count);
    if (plan->filter != NULL)
        eng_conj_split(pp, eng_import_expr(pp, plan->filter, both, count, scope), &rel->conds);
    bool left_only = plan->join == LUMA_JOIN_SEMI || plan->join == LUMA_JOIN_ANTI;
    rel->outs = both;
    rel->outs_count = left_only ? left->outs_count : count;
    if (plan->lateral) {
        struct bits free = {0, NULL}, outs = {0, NULL};
        eng_rel_free_vars(pp, right, &free);
        eng_rel_outs(pp, left, &outs);
        rel->lateral = eng_bits_meet(&free, &outs);
    }
}

/* --- common table expressions --- */

static bool plan_writes(const struct luma_plan *plan);

static uint32_t count_expr_refs(const struct luma_expr *e, uint32_t id);

static uint32_t
count_exprs(struct luma_expr *const *exprs, uint32_t count, uint32_t id)
{
    uint32_t refs = 0;
    for (uint32_t i = 0; i < count; i++)
        refs += count_expr_refs(exprs[i], id);
    return refs;
}

static uint32_t
count_refs(const struct luma_plan *plan, uint32_t id)
{
    if (plan == NULL)
        return 0;
    uint32_t refs = plan->kind == LUMA_PLAN_CTE_SCAN && plan->cte_id == id ? 1 : 0;
    for (uint32_t i = 0; i < plan->children_count; i++)
        refs += count_refs(plan->children[i], id);
    uint32_t exprs =
        plan->kind == LUMA_PLAN_VALUES ? plan->values_rows * plan->cols_count : plan->exprs_count;
    refs += count_exprs(plan->exprs, exprs, id) + count_exprs(plan->aggs, plan->aggs_count, id) +
            count_expr_refs(plan->filter, id) + count_expr_refs(plan->limit, id) +
            count_expr_refs(plan->offset, id) + count_exprs(plan->windows, plan->windows_count, id);
    for (uint32_t i = 0; i < plan->sort_count; i++)
        refs += count_expr_refs(plan->sort[i].expr, id);
    /* A recursive step runs many times. */
    return plan->kind == LUMA_PLAN_RECURSIVE ? refs * 2 : refs;
}

static uint32_t
count_expr_refs(const struct luma_expr *e, uint32_t id)
{
    if (e == NULL)
        return 0;
    uint32_t refs = count_exprs(e->args, e->args_count, id) + count_expr_refs(e->filter, id);
    if (e->plan != NULL)
        refs += 2 * count_refs(e->plan, id);
    return refs;
}

static bool
plan_writes(const struct luma_plan *plan)
{
    if (plan == NULL)
        return false;
    return plan->kind == LUMA_PLAN_INSERT || plan->kind == LUMA_PLAN_UPDATE ||
           plan->kind == LUMA_PLAN_DELETE || plan->kind == LUMA_PLAN_LOCK ||
           (plan->children_count > 0 && plan_writes(plan->children[0])) ||
           (plan->children_count > 1 && plan_writes(plan->children[1]));
}

static struct cte_import *
cte_add(struct prep *pp, const struct luma_plan *plan, const struct scope *scope)
{
    struct cte_import *ctes = PP_ARRAY(pp, struct cte_import, pp->ctes_count + 1);
    if (pp->ctes_count > 0)
        memcpy(ctes, pp->ctes, sizeof(*ctes) * pp->ctes_count);
    pp->ctes = ctes;
    struct cte_import *cte = &ctes[pp->ctes_count++];
    cte->id = plan->cte_id;
    cte->def = plan->children[0];
    cte->scope = scope;
    return cte;
}

static struct cte_import *
cte_find(struct prep *pp, uint32_t id)
{
    for (uint32_t i = pp->ctes_count; i-- > 0;)
        if (pp->ctes[i].id == id)
            return &pp->ctes[i];
    return NULL;
}

static struct rel *
import_cte(struct prep *pp, struct rel *rel, const struct luma_plan *plan,
           const struct scope *scope)
{
    struct cte_import *cte = cte_add(pp, plan, scope);
    uint32_t refs = count_refs(plan->children[1], plan->cte_id);
    if (refs <= 1 && !plan_writes(plan->children[0])) {
        cte->inlined = true;
        return eng_import(pp, plan->children[1], scope);
    }
    rel->child[0] = eng_import(pp, plan->children[0], scope);
    cte_find(pp, plan->cte_id)->rel = rel->child[0];
    rel->child[1] = eng_import(pp, plan->children[1], scope);
    rel->cte_id = plan->cte_id;
    rel->outs = rel->child[1]->outs;
    rel->outs_count = rel->child[1]->outs_count;
    return rel;
}

static struct rel *
import_cte_scan(struct prep *pp, struct rel *rel, const struct luma_plan *plan)
{
    struct cte_import *cte = cte_find(pp, plan->cte_id);
    if (cte != NULL && cte->inlined)
        return eng_import(pp, cte->def, cte->scope);
    rel->cte_id = plan->cte_id;
    rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
    rel->child[0] = NULL;
    return rel;
}

/* --- changes --- */

static void
import_change(struct prep *pp, struct rel *rel, const struct luma_plan *plan,
              const struct scope *scope)
{
    const struct luma_plan_change *change = plan->change;
    struct rel *child = rel->child[0];
    uint32_t cols = change->table_cols_count;
    bool is_insert = plan->kind == LUMA_PLAN_INSERT;
    rel->new_vars = new_outs(pp, rel, change->table_cols, cols);
    uint32_t extra = is_insert || child->outs_count <= cols ? 0 : child->outs_count - cols - 1;
    const uint32_t *in = child->outs;
    uint32_t in_count = child->outs_count;
    if (is_insert && change->conflict == LUMA_CONFLICT_REPORT) {
        rel->old_vars = new_outs(pp, rel, change->table_cols, cols);
        uint32_t *both = PP_ARRAY(pp, uint32_t, cols * 2);
        memcpy(both, rel->old_vars, sizeof(uint32_t) * cols);
        memcpy(both + cols, rel->new_vars, sizeof(uint32_t) * cols);
        in = both;
        in_count = cols * 2;
    }
    rel->set_exprs = import_exprs(pp, change->set_exprs, change->set_count, in, in_count, scope);
    if (change->set_where != NULL)
        rel->set_where = eng_import_expr(pp, change->set_where, in, in_count, scope);
    if (change->recheck != NULL)
        rel->recheck = eng_import_expr(pp, change->recheck, in, in_count, scope);
    rel->checks = PP_ARRAY(pp, struct ex *, change->checks_count);
    for (uint32_t i = 0; i < change->checks_count; i++)
        rel->checks[i] = eng_import_expr(pp, change->checks[i].expr, rel->new_vars, cols, scope);
    uint32_t *ret = PP_ARRAY(pp, uint32_t, cols + extra);
    memcpy(ret, rel->new_vars, sizeof(uint32_t) * cols);
    if (extra > 0)
        memcpy(ret + cols, child->outs + cols + 1, sizeof(uint32_t) * extra);
    rel->returning =
        import_exprs(pp, change->returning, change->returning_count, ret, cols + extra, scope);
    rel->outs = new_outs(pp, rel, plan->cols, change->returning_count);
    rel->outs_count = change->returning_count;
}

static void
import_window_node(struct prep *pp, struct rel *rel, const struct luma_plan *plan,
                   const struct scope *scope)
{
    struct rel *child = rel->child[0];
    rel->aggs_count = plan->windows_count;
    rel->aggs =
        import_exprs(pp, plan->windows, plan->windows_count, child->outs, child->outs_count, scope);
    rel->outs_count = child->outs_count + plan->windows_count;
    rel->outs = PP_ARRAY(pp, uint32_t, rel->outs_count);
    memcpy(rel->outs, child->outs, sizeof(uint32_t) * child->outs_count);
    for (uint32_t i = 0; i < plan->windows_count; i++)
        rel->outs[child->outs_count + i] = eng_var_new(pp, plan->windows[i]->type, rel);
}

static const enum rel_kind rel_kinds[] = {
    [LUMA_PLAN_SCAN] = REL_SCAN,
    [LUMA_PLAN_VIRTUAL] = REL_VIRTUAL,
    [LUMA_PLAN_VALUES] = REL_VALUES,
    [LUMA_PLAN_SET_FUNC] = REL_SET_FUNC,
    [LUMA_PLAN_FILTER] = REL_FILTER,
    [LUMA_PLAN_PROJECT] = REL_PROJECT,
    [LUMA_PLAN_PROJECT_SET] = REL_PROJECT_SET,
    [LUMA_PLAN_JOIN] = REL_JOIN,
    [LUMA_PLAN_AGGREGATE] = REL_AGG,
    [LUMA_PLAN_DISTINCT] = REL_DISTINCT,
    [LUMA_PLAN_SORT] = REL_SORT,
    [LUMA_PLAN_LIMIT] = REL_LIMIT,
    [LUMA_PLAN_SETOP] = REL_SETOP,
    [LUMA_PLAN_CTE] = REL_CTE,
    [LUMA_PLAN_CTE_SCAN] = REL_CTE_SCAN,
    [LUMA_PLAN_RECURSIVE] = REL_RECURSIVE,
    [LUMA_PLAN_WINDOW] = REL_WINDOW,
    [LUMA_PLAN_LOCK] = REL_LOCK,
    [LUMA_PLAN_INSERT] = REL_CHANGE,
    [LUMA_PLAN_UPDATE] = REL_CHANGE,
    [LUMA_PLAN_DELETE] = REL_CHANGE,
};

struct rel *
eng_import(struct prep *pp, const struct luma_plan *plan, const struct scope *scope)
{
    if (plan->kind < LUMA_PLAN_SCAN || plan->kind > LUMA_PLAN_DELETE)
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: unknown node %d", plan->kind));
    struct rel *child = NULL;
    if (plan->children_count > 0 && plan->kind != LUMA_PLAN_JOIN && plan->kind != LUMA_PLAN_CTE)
        child = eng_import(pp, plan->children[0], scope);
    struct rel *rel = eng_rel_new(pp, rel_kinds[plan->kind], child);
    rel->plan = plan;
    rel->cte_id = plan->cte_id;
    bool has_id = plan->kind == LUMA_PLAN_CTE || plan->kind == LUMA_PLAN_CTE_SCAN ||
                  plan->kind == LUMA_PLAN_RECURSIVE;
    if (has_id && plan->cte_id >= pp->cte_ids)
        pp->cte_ids = plan->cte_id + 1;
    const uint32_t *in = child == NULL ? NULL : child->outs;
    uint32_t in_count = child == NULL ? 0 : child->outs_count;
    if (child == NULL)
        rel->outs_count = plan->cols_count;
    switch (plan->kind) {
    case LUMA_PLAN_SCAN:
        import_scan(pp, rel, plan);
        break;
    case LUMA_PLAN_VIRTUAL:
        rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
        break;
    case LUMA_PLAN_VALUES:
        rel->exprs_count = plan->values_rows * plan->cols_count;
        rel->exprs = import_exprs(pp, plan->exprs, rel->exprs_count, NULL, 0, scope);
        rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
        break;
    case LUMA_PLAN_SET_FUNC:
        rel->exprs_count = 1;
        rel->exprs = import_exprs(pp, plan->exprs, 1, NULL, 0, scope);
        rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
        break;
    case LUMA_PLAN_PROJECT:
    case LUMA_PLAN_PROJECT_SET:
        rel->outs_count = plan->exprs_count;
        import_project(pp, rel, plan, in, in_count, scope);
        break;
    case LUMA_PLAN_JOIN:
        import_join(pp, rel, plan, scope);
        return rel;
    case LUMA_PLAN_AGGREGATE:
        import_aggregate(pp, rel, plan, in, in_count, scope);
        break;
    case LUMA_PLAN_DISTINCT:
        rel->distinct_count = plan->distinct_count;
        break;
    case LUMA_PLAN_SORT:
        rel->sort_count = plan->sort_count;
        rel->sort = import_keys(pp, plan->sort, plan->sort_count, in, in_count, scope);
        break;
    case LUMA_PLAN_LIMIT:
        if (plan->limit != NULL)
            rel->limit = eng_import_expr(pp, plan->limit, NULL, 0, scope);
        if (plan->offset != NULL)
            rel->offset = eng_import_expr(pp, plan->offset, NULL, 0, scope);
        rel->with_ties = plan->with_ties;
        break;
    case LUMA_PLAN_SETOP:
        rel->child[1] = eng_import(pp, plan->children[1], scope);
        rel->setop = plan->setop;
        rel->all = plan->all;
        rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
        rel->outs_count = plan->cols_count;
        break;
    case LUMA_PLAN_CTE:
        return import_cte(pp, rel, plan, scope);
    case LUMA_PLAN_CTE_SCAN:
        return import_cte_scan(pp, rel, plan);
    case LUMA_PLAN_RECURSIVE:
        rel->child[1] = eng_import(pp, plan->children[1], scope);
        rel->all = plan->all;
        rel->outs = new_outs(pp, rel, plan->cols, plan->cols_count);
        rel->outs_count = plan->cols_count;
        break;
    case LUMA_PLAN_WINDOW:
        import_window_node(pp, rel, plan, scope);
        break;
    case LUMA_PLAN_INSERT:
    case LUMA_PLAN_UPDATE:
    case LUMA_PLAN_DELETE:
        import_change(pp, rel, plan, scope);
        break;
    case LUMA_PLAN_LOCK:
        if (plan->limit != NULL)
            rel->limit = eng_import_expr(pp, plan->limit, NULL, 0, scope);
        if (plan->offset != NULL)
            rel->offset = eng_import_expr(pp, plan->offset, NULL, 0, scope);
        break;
    case LUMA_PLAN_FILTER:
        break;
    }
    if (plan->filter != NULL) {
        const uint32_t *vars = child == NULL ? rel->outs : in;
        uint32_t count = child == NULL ? rel->outs_count : in_count;
        eng_conj_split(pp, eng_import_expr(pp, plan->filter, vars, count, scope), &rel->conds);
    }
    return rel;
}
