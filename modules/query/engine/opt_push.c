/*
 * opt_push.c - conditions travel down to where they cost least: into scans where they can.
 *
 * Inner, semi and anti joins are flattened into a group on the way, whose members opt_join.c puts
 * in order. A condition never passes a node that would change what it means: a limit, the nullable
 * side of an outer join, an aggregate's results; volatile ones do not move at all.
 */
#include "opt.h"

/* --- does a condition reject rows where these variables are null? --- */

static bool
null_if_null(const struct ex *ex, const struct bits *vars)
{
    switch (ex->kind) {
    case LUMA_EXPR_COL:
        return eng_bits_has(vars, (uint32_t)ex->index);
    case LUMA_EXPR_CALL:
        if (!(ex->func->flags & LUMA_FUNC_STRICT))
            return false;
        for (uint32_t i = 0; i < ex->args_count; i++)
            if (null_if_null(ex->args[i], vars))
                return true;
        return false;
    case LUMA_EXPR_NOT:
    case LUMA_EXPR_IN:
        return null_if_null(ex->args[0], vars);
    default:
        return false;
    }
}

static bool
rejects_null(const struct ex *ex, const struct bits *vars)
{
    if (null_if_null(ex, vars))
        return true;
    if (ex->kind == LUMA_EXPR_AND) {
        for (uint32_t i = 0; i < ex->args_count; i++)
            if (rejects_null(ex->args[i], vars))
                return true;
        return false;
    }
    if (ex->kind == LUMA_EXPR_OR) {
        for (uint32_t i = 0; i < ex->args_count; i++)
            if (!rejects_null(ex->args[i], vars))
                return false;
        return ex->args_count > 0;
    }
    return ex->kind == LUMA_EXPR_IS_NULL && ex->negated && null_if_null(ex->args[0], vars);
}

static bool
any_rejects(const struct ex_list *conds, struct bits *vars)
{
    for (uint32_t i = 0; i < conds->count; i++)
        if (rejects_null(conds->items[i], vars))
            return true;
    return false;
}

/* --- OR: factors common to all arms --- */

static void
extract_or(struct prep *pp, struct ex *cond, struct ex_list *out)
{
    if (cond->kind != LUMA_EXPR_OR || cond->args_count < 2) {
        eng_list_add(pp, out, cond);
        return;
    }
    struct ex_list *arms = PP_ARRAY(pp, struct ex_list, cond->args_count);
    for (uint32_t i = 0; i < cond->args_count; i++)
        eng_conj_split(pp, cond->args[i], &arms[i]);
    bool found = false;
    for (uint32_t k = 0; k < arms[0].count;) {
        struct ex *factor = arms[0].items[k];
        uint32_t at[64], arm = 1;
        for (; arm < cond->args_count && arm < 64 && !eng_ex_volatile(factor); arm++) {
            uint32_t j = 0;
            while (j < arms[arm].count && !eng_ex_equal(arms[arm].items[j], factor))
                j++;
            if (j == arms[arm].count)
                break;
            at[arm] = j;
        }
        if (arm < cond->args_count) {
            k++;
            continue;
        }
        found = true;
        eng_list_add(pp, out, factor);
        arms[0].items[k] = arms[0].items[--arms[0].count];
        for (uint32_t i = 1; i < cond->args_count; i++)
            arms[i].items[at[i]] = arms[i].items[--arms[i].count];
    }
    if (!found) {
        eng_list_add(pp, out, cond);
        return;
    }
    struct ex **args = PP_ARRAY(pp, struct ex *, cond->args_count);
    for (uint32_t i = 0; i < cond->args_count; i++) {
        args[i] = eng_ex_and(pp, &arms[i]);
        if (args[i] == NULL)
            return; /* one arm is nothing but the factors */
    }
    eng_list_add(pp, out, eng_ex_args(pp, LUMA_EXPR_OR, cond->type, cond->args_count, args));
}

/* What an OR over several members says of one of them alone, or NULL. */
static struct ex *
or_of_member(struct prep *pp, const struct ex *cond, const struct bits *member)
{
    struct ex **args = PP_ARRAY(pp, struct ex *, cond->args_count);
    for (uint32_t i = 0; i < cond->args_count; i++) {
        struct ex_list arm = {NULL, 0, 0}, own = {NULL, 0, 0};
        eng_conj_split(pp, cond->args[i], &arm);
        for (uint32_t k = 0; k < arm.count; k++) {
            struct bits vars = {0, NULL};
            eng_ex_vars(pp, arm.items[k], &vars);
            if (eng_bits_within(&vars, member) && !eng_bits_empty(&vars) &&
                !eng_ex_has_sublink(arm.items[k]) && !eng_ex_volatile(arm.items[k]))
                eng_list_add(pp, &own, arm.items[k]);
        }
        args[i] = eng_ex_and(pp, &own);
        if (args[i] == NULL)
            return NULL;
    }
    return eng_ex_args(pp, LUMA_EXPR_OR, cond->type, cond->args_count, args);
}

/* --- groups of joins --- */

static void
group_add(struct prep *pp, struct rel *group, struct rel *member, const struct rel *join)
{
    uint32_t n = group->members_count;
    struct rel **members = PP_ARRAY(pp, struct rel *, n + 1);
    enum luma_join *joins = PP_ARRAY(pp, enum luma_join, n + 1);
    struct ex_list *conds = PP_ARRAY(pp, struct ex_list, n + 1);
    bool *aware = PP_ARRAY(pp, bool, n + 1);
    if (n > 0) {
        memcpy(members, group->members, sizeof(*members) * n);
        memcpy(joins, group->member_join, sizeof(*joins) * n);
        memcpy(conds, group->member_conds, sizeof(*conds) * n);
        memcpy(aware, group->member_aware, sizeof(*aware) * n);
    }
    members[n] = member;
    joins[n] = join == NULL ? LUMA_JOIN_INNER : join->join;
    if (join != NULL) {
        conds[n] = join->conds;
        aware[n] = join->null_aware;
    }
    group->members = members;
    group->member_join = joins;
    group->member_conds = conds;
    group->member_aware = aware;
    group->members_count = n + 1;
}

static bool
passes_only(const struct rel *rel)
{
    if (rel->kind != REL_PROJECT || rel->child[0] == NULL)
        return false;
    for (uint32_t i = 0; i < rel->exprs_count; i++)
        if (rel->exprs[i]->kind != LUMA_EXPR_COL || (uint32_t)rel->exprs[i]->index != rel->outs[i])
            return false;
    return true;
}

static bool
has_volatile(const struct ex_list *conds)
{
    for (uint32_t i = 0; i < conds->count; i++)
        if (eng_ex_volatile(conds->items[i]))
            return true;
    return false;
}

/* A LEFT join whose nullable side is rejected above is an inner one; RIGHT is LEFT turned round. */
static void
simplify_outer(struct prep *pp, struct rel *rel, const struct ex_list *above)
{
    if (rel->kind != REL_JOIN || rel->single)
        return;
    if (rel->join == LUMA_JOIN_RIGHT && !rel->lateral) {
        struct rel *left = rel->child[0];
        rel->child[0] = rel->child[1];
        rel->child[1] = left;
        rel->join = LUMA_JOIN_LEFT;
    }
    struct bits left = {0, NULL}, right = {0, NULL};
    eng_rel_outs(pp, rel->child[0], &left);
    eng_rel_outs(pp, rel->child[1], &right);
    if (rel->join == LUMA_JOIN_FULL && any_rejects(above, &left))
        rel->join = LUMA_JOIN_LEFT;
    else if (rel->join == LUMA_JOIN_FULL && any_rejects(above, &right)) {
        struct rel *child = rel->child[0];
        rel->child[0] = rel->child[1];
        rel->child[1] = child;
        rel->join = LUMA_JOIN_LEFT;
        right = left;
    }
    if (rel->join == LUMA_JOIN_LEFT && any_rejects(above, &right))
        rel->join = LUMA_JOIN_INNER;
}

static void
gather(struct prep *pp, struct rel *group, struct rel *rel, struct ex_list *conds)
{
    simplify_outer(pp, rel, conds);
    if (rel->kind == REL_JOIN && !rel->lateral && rel->join == LUMA_JOIN_INNER) {
        for (uint32_t i = 0; i < rel->conds.count; i++)
            eng_conj_split(pp, rel->conds.items[i], conds);
        gather(pp, group, rel->child[0], conds);
        gather(pp, group, rel->child[1], conds);
    } else if (rel->kind == REL_JOIN && !rel->lateral &&
               (rel->join == LUMA_JOIN_SEMI || rel->join == LUMA_JOIN_ANTI)) {
        gather(pp, group, rel->child[0], conds);
        group_add(pp, group, rel->child[1], rel);
    } else if (rel->kind == REL_FILTER && !has_volatile(&rel->conds)) {
        for (uint32_t i = 0; i < rel->conds.count; i++)
            eng_conj_split(pp, rel->conds.items[i], conds);
        gather(pp, group, rel->child[0], conds);
    } else if (passes_only(rel)) {
        gather(pp, group, rel->child[0], conds);
    } else {
        group_add(pp, group, rel, NULL);
    }
}

/* Equivalence of variables by equality conditions: cls[var], 0 is none. */
struct classes {
    uint32_t *of;
    uint32_t count;
};

static bool
var_pair(struct prep *pp, const struct ex *cond, uint32_t *out_a, uint32_t *out_b)
{
    struct ex *a, *b;
    if (!eng_is_eq(cond, &a, &b) || a->kind != LUMA_EXPR_COL || b->kind != LUMA_EXPR_COL ||
        a->type.id != b->type.id || a->index == b->index)
        return false;
    *out_a = (uint32_t)a->index;
    *out_b = (uint32_t)b->index;
    return *out_a < pp->vars_count && *out_b < pp->vars_count;
}

static void
make_classes(struct prep *pp, const struct ex_list *conds, struct classes *cls)
{
    cls->of = PP_ARRAY(pp, uint32_t, pp->vars_count);
    for (uint32_t i = 0; i < conds->count; i++) {
        uint32_t a, b;
        if (!var_pair(pp, conds->items[i], &a, &b))
            continue;
        uint32_t ca = cls->of[a], cb = cls->of[b];
        uint32_t c = ca != 0 ? ca : cb != 0 ? cb : ++cls->count;
        cls->of[a] = cls->of[b] = c;
        for (uint32_t v = 0; v < pp->vars_count; v++)
            if ((ca != 0 && cls->of[v] == ca) || (cb != 0 && cls->of[v] == cb))
                cls->of[v] = c;
    }
}

struct swap {
    uint32_t from, to;
};

static struct ex *
swap_var(struct prep *pp, void *arg, uint32_t var)
{
    const struct swap *swap = arg;
    return var == swap->from ? eng_ex_col(pp, swap->to) : NULL;
}

/* A condition on one variable holds for all variables equal to it. */
static void
spread(struct prep *pp, struct ex_list *conds, const struct bits *inner)
{
    struct classes cls = {NULL, 0};
    make_classes(pp, conds, &cls);
    uint32_t count = conds->count, vars_count = pp->vars_count;
    for (uint32_t i = 0; i < count && cls.count > 0; i++) {
        struct ex *cond = conds->items[i];
        struct bits vars = {0, NULL};
        eng_ex_vars(pp, cond, &vars);
        uint32_t from = NO_VAR, n = 0;
        for (uint32_t v = 0; v < vars_count; v++)
            if (eng_bits_has(&vars, v) && eng_bits_has(inner, v)) {
                from = v;
                n++;
            }
        if (n != 1 || cls.of[from] == 0 || eng_ex_has_sublink(cond) || eng_ex_volatile(cond) ||
            cond->kind == LUMA_EXPR_OR)
            continue;
        for (uint32_t v = 0; v < vars_count; v++) {
            if (v == from || cls.of[v] != cls.of[from] ||
                pp->vars[v].type.mod != pp->vars[from].type.mod)
                continue;
            struct swap swap = {from, v};
            struct ex *copy = eng_ex_subst(pp, cond, swap_var, &swap);
            bool known = false;
            for (uint32_t k = 0; k < conds->count && !known; k++)
                known = eng_ex_equal(conds->items[k], copy);
            if (!known)
                eng_list_add(pp, conds, copy);
        }
    }
}

static void
push_members(struct prep *pp, struct rel *group, struct ex_list *conds)
{
    uint32_t n = group->members_count;
    struct bits *outs = PP_ARRAY(pp, struct bits, n);
    struct ex_list *own = PP_ARRAY(pp, struct ex_list, n);
    struct bits inner = {0, NULL};
    for (uint32_t i = 0; i < n; i++) {
        eng_rel_outs(pp, group->members[i], &outs[i]);
        if (group->member_join[i] == LUMA_JOIN_INNER)
            eng_bits_union(pp, &inner, &outs[i]);
    }
    spread(pp, conds, &inner);
    for (uint32_t c = 0; c < conds->count; c++) {
        struct ex *cond = conds->items[c];
        struct bits vars = {0, NULL};
        eng_ex_vars(pp, cond, &vars);
        uint32_t touched = 0, first = 0;
        for (uint32_t i = n; i-- > 0;)
            if (group->member_join[i] == LUMA_JOIN_INNER &&
                (eng_bits_meet(&vars, &outs[i]) || (i == 0 && touched == 0))) {
                touched++;
                first = i;
            }
        if (touched == 1 && !eng_ex_volatile(cond)) {
            eng_list_add(pp, &own[first], cond);
            continue;
        }
        eng_list_add(pp, &group->conds, cond);
        for (uint32_t i = 0; i < n && cond->kind == LUMA_EXPR_OR; i++) {
            struct ex *part =
                eng_bits_meet(&vars, &outs[i]) && group->member_join[i] == LUMA_JOIN_INNER
                    ? or_of_member(pp, cond, &outs[i])
                    : NULL;
            if (part != NULL)
                eng_list_add(pp, &own[i], part);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        struct ex_list stay = {NULL, 0, 0};
        for (uint32_t c = 0; c < group->member_conds[i].count; c++) {
            struct ex *cond = group->member_conds[i].items[c];
            struct bits vars = {0, NULL};
            eng_ex_vars(pp, cond, &vars);
            bool alone = !eng_bits_meet(&vars, &inner) && eng_bits_meet(&vars, &outs[i]) &&
                         !eng_ex_volatile(cond);
            eng_list_add(pp, alone ? &own[i] : &stay, cond);
        }
        group->member_conds[i] = stay;
        group->members[i] = eng_push(pp, group->members[i], &own[i]);
    }
}

static struct rel *
push_group(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct rel *group = eng_rel_new(pp, REL_GROUP, NULL);
    group->outs = rel->outs;
    group->outs_count = rel->outs_count;
    struct ex_list all = {NULL, 0, 0}, split = {NULL, 0, 0};
    for (uint32_t i = 0; i < conds->count; i++)
        eng_list_add(pp, &all, conds->items[i]);
    gather(pp, group, rel, &all);
    for (uint32_t i = 0; i < all.count; i++)
        extract_or(pp, all.items[i], &split);
    push_members(pp, group, &split);
    return eng_order(pp, group);
}

/* --- other nodes --- */

static void
split_by(struct prep *pp, const struct ex_list *conds, const struct bits *vars,
         struct ex_list *inside, struct ex_list *outside, const struct bits *never)
{
    for (uint32_t i = 0; i < conds->count; i++) {
        struct bits used = {0, NULL};
        eng_ex_vars(pp, conds->items[i], &used);
        bool in = !eng_ex_volatile(conds->items[i]) &&
                  (vars != NULL ? eng_bits_meet(&used, vars) : true) &&
                  (never == NULL || !eng_bits_meet(&used, never));
        eng_list_add(pp, in ? inside : outside, conds->items[i]);
    }
}

static struct rel *
push_left(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct bits left = {0, NULL}, right = {0, NULL};
    eng_rel_outs(pp, rel->child[0], &left);
    eng_rel_outs(pp, rel->child[1], &right);
    struct ex_list to_left = {NULL, 0, 0}, above = {NULL, 0, 0}, to_right = {NULL, 0, 0},
                   on = {NULL, 0, 0};
    split_by(pp, conds, NULL, &to_left, &above, &right);
    if (rel->lateral && !rel->single)
        split_by(pp, &rel->conds, NULL, &to_right, &on, NULL);
    else
        split_by(pp, &rel->conds, &right, &to_right, &on, &left);
    rel->conds = on;
    rel->child[0] = eng_push(pp, rel->child[0], &to_left);
    rel->child[1] = eng_push(pp, rel->child[1], &to_right);
    return eng_rel_filter(pp, rel, &above);
}

static struct rel *
push_lateral(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct bits right = {0, NULL};
    eng_rel_outs(pp, rel->child[1], &right);
    struct ex_list to_left = {NULL, 0, 0}, above = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++)
        eng_list_add(pp, conds, rel->conds.items[i]);
    rel->conds = above;
    split_by(pp, conds, NULL, &to_left, &above, &right);
    struct ex_list to_right = {NULL, 0, 0}, rest = {NULL, 0, 0};
    split_by(pp, &above, &right, &to_right, &rest, NULL);
    rel->child[0] = eng_push(pp, rel->child[0], &to_left);
    rel->child[1] = eng_push(pp, rel->child[1], &to_right);
    return eng_rel_filter(pp, rel, &rest);
}

struct project_subst {
    const struct rel *rel;
    bool blocked;
};

static struct ex *
project_expr(struct prep *pp, void *arg, uint32_t var)
{
    struct project_subst *s = arg;
    (void)pp;
    for (uint32_t i = 0; i < s->rel->exprs_count; i++) {
        if (s->rel->outs[i] != var)
            continue;
        struct ex *ex = s->rel->exprs[i];
        s->blocked = s->blocked || eng_ex_volatile(ex) || eng_ex_has_sublink(ex);
        return ex;
    }
    return NULL;
}

static struct rel *
push_project(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct ex_list down = {NULL, 0, 0}, above = {NULL, 0, 0};
    for (uint32_t i = 0; i < conds->count; i++) {
        struct project_subst s = {rel, rel->child[0] == NULL};
        struct ex *cond = conds->items[i];
        bool moves = !eng_ex_volatile(cond) && !eng_ex_has_sublink(cond);
        struct ex *copy = moves ? eng_ex_subst(pp, cond, project_expr, &s) : NULL;
        if (copy != NULL && !s.blocked)
            eng_list_add(pp, &down, copy);
        else
            eng_list_add(pp, &above, cond);
    }
    if (rel->child[0] != NULL)
        rel->child[0] = eng_push(pp, rel->child[0], &down);
    return eng_rel_filter(pp, rel, &above);
}

/* Conditions over `vars` only go below; the others stay above. */
static struct rel *
push_over(struct prep *pp, struct rel *rel, struct ex_list *conds, const struct bits *vars)
{
    struct ex_list down = {NULL, 0, 0}, above = {NULL, 0, 0};
    struct bits outs = {0, NULL};
    eng_rel_outs(pp, rel, &outs);
    for (uint32_t i = 0; i < conds->count; i++) {
        struct bits used = {0, NULL};
        eng_ex_vars(pp, conds->items[i], &used);
        bool ok = !eng_ex_volatile(conds->items[i]) && !eng_ex_has_sublink(conds->items[i]);
        for (uint32_t w = 0; w < used.words && ok; w++) {
            uint64_t own = used.w[w] & (w < outs.words ? outs.w[w] : 0);
            ok = (own & ~(w < vars->words ? vars->w[w] : 0)) == 0;
        }
        eng_list_add(pp, ok ? &down : &above, conds->items[i]);
    }
    if (rel->kind == REL_AGG || rel->kind == REL_PROJECT_SET)
        for (uint32_t i = 0; i < down.count; i++) {
            struct project_subst s = {rel, false};
            down.items[i] = eng_ex_subst(pp, down.items[i], project_expr, &s);
        }
    rel->child[0] = eng_push(pp, rel->child[0], &down);
    return eng_rel_filter(pp, rel, &above);
}

static struct rel *
push_window(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct bits vars = {0, NULL};
    for (uint32_t v = 0; v < rel->child[0]->outs_count; v++) {
        uint32_t var = rel->child[0]->outs[v], n = 0;
        for (uint32_t i = 0; i < rel->aggs_count; i++) {
            const struct ex_window *w = rel->aggs[i]->window;
            bool has = false;
            for (uint32_t k = 0; k < w->partition_count; k++)
                has = has || (w->partition[k]->kind == LUMA_EXPR_COL &&
                              (uint32_t)w->partition[k]->index == var);
            n += has ? 1 : 0;
        }
        if (n == rel->aggs_count)
            eng_bits_add(pp, &vars, var);
    }
    return push_over(pp, rel, conds, &vars);
}

struct setop_swap {
    const struct rel *rel, *side;
};

static struct ex *
setop_col(struct prep *pp, void *arg, uint32_t var)
{
    const struct setop_swap *s = arg;
    for (uint32_t i = 0; i < s->rel->outs_count; i++)
        if (s->rel->outs[i] == var)
            return eng_ex_col(pp, s->side->outs[i]);
    return NULL;
}

static struct rel *
push_setop(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct ex_list above = {NULL, 0, 0}, down[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    for (uint32_t i = 0; i < conds->count; i++) {
        struct ex *cond = conds->items[i];
        if (eng_ex_volatile(cond) || eng_ex_has_sublink(cond)) {
            eng_list_add(pp, &above, cond);
            continue;
        }
        for (uint32_t side = 0; side < 2; side++) {
            struct setop_swap s = {rel, rel->child[side]};
            eng_list_add(pp, &down[side], eng_ex_subst(pp, cond, setop_col, &s));
        }
    }
    for (uint32_t side = 0; side < 2; side++) {
        /* The order of columns counts: what is pushed must not change the sides' rows. */
        struct rel *child = rel->child[side];
        uint32_t *outs = child->outs, outs_count = child->outs_count;
        child = eng_push(pp, child, &down[side]);
        child->outs = outs;
        child->outs_count = outs_count;
        rel->child[side] = child;
    }
    return eng_rel_filter(pp, rel, &above);
}

static void
push_sub(void *arg, struct ex **part)
{
    struct prep *pp = arg;
    struct ex *ex = *part;
    if (ex->sub != NULL && ex->index == 0) {
        struct ex_list none = {NULL, 0, 0};
        uint32_t *outs = ex->sub->outs, outs_count = ex->sub->outs_count;
        ex->index = 1; /* seen: conditions meet this more than once on their way */
        ex->sub = eng_push(pp, ex->sub, &none);
        ex->sub->outs = outs;
        ex->sub->outs_count = outs_count;
    }
    for (uint32_t i = 0; i < ex->args_count; i++)
        push_sub(arg, &ex->args[i]);
    if (ex->filter != NULL)
        push_sub(arg, &ex->filter);
}

static struct rel *
push_into(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    struct ex_list none = {NULL, 0, 0};
    struct bits vars = {0, NULL};
    switch (rel->kind) {
    case REL_FILTER: {
        struct ex_list stay = {NULL, 0, 0};
        for (uint32_t i = 0; i < rel->conds.count; i++) {
            bool moves = !eng_ex_volatile(rel->conds.items[i]);
            eng_list_add(pp, moves ? conds : &stay, rel->conds.items[i]);
        }
        return eng_rel_filter(pp, eng_push(pp, rel->child[0], conds), &stay);
    }
    case REL_JOIN:
        simplify_outer(pp, rel, conds);
        if (rel->lateral)
            return rel->join == LUMA_JOIN_INNER ? push_lateral(pp, rel, conds)
                                                : push_left(pp, rel, conds);
        if (rel->join == LUMA_JOIN_LEFT)
            return push_left(pp, rel, conds);
        if (rel->join == LUMA_JOIN_FULL)
            break;
        return push_group(pp, rel, conds);
    case REL_SCAN:
    case REL_VIRTUAL:
        for (uint32_t i = 0; i < conds->count; i++)
            extract_or(pp, conds->items[i], &rel->conds);
        return rel;
    case REL_PROJECT:
        return push_project(pp, rel, conds);
    case REL_PROJECT_SET:
        for (uint32_t i = 0; i < rel->exprs_count; i++)
            if (rel->exprs[i]->kind == LUMA_EXPR_COL)
                eng_bits_add(pp, &vars, rel->outs[i]);
        if (rel->child[0] == NULL)
            break;
        return push_over(pp, rel, conds, &vars);
    case REL_AGG:
        if (rel->exprs_count == 0 || (rel->plan != NULL && rel->plan->sets_count > 0))
            break;
        eng_bits_add_all(pp, &vars, rel->outs, rel->exprs_count);
        return push_over(pp, rel, conds, &vars);
    case REL_WINDOW:
        return push_window(pp, rel, conds);
    case REL_DISTINCT:
        eng_bits_add_all(pp, &vars, rel->outs,
                         rel->distinct_count == 0 ? rel->outs_count : rel->distinct_count);
        return push_over(pp, rel, conds, &vars);
    case REL_SORT:
        eng_rel_outs(pp, rel, &vars);
        return push_over(pp, rel, conds, &vars);
    case REL_SETOP:
        return push_setop(pp, rel, conds);
    case REL_CTE: {
        uint32_t *outs = rel->child[0]->outs, outs_count = rel->child[0]->outs_count;
        rel->child[0] = eng_push(pp, rel->child[0], &none);
        rel->child[0]->outs = outs;
        rel->child[0]->outs_count = outs_count;
        rel->child[1] = eng_push(pp, rel->child[1], conds);
        return rel;
    }
    default:
        break;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (rel->child[i] == NULL)
            continue;
        struct ex_list empty = {NULL, 0, 0};
        uint32_t *outs = rel->child[i]->outs, outs_count = rel->child[i]->outs_count;
        rel->child[i] = eng_push(pp, rel->child[i], &empty);
        rel->child[i]->outs = outs; /* positions matter to changes and recursion */
        rel->child[i]->outs_count = outs_count;
    }
    return eng_rel_filter(pp, rel, conds);
}

struct rel *
eng_push(struct prep *pp, struct rel *rel, struct ex_list *conds)
{
    eng_rel_each_ex(rel, push_sub, pp);
    for (uint32_t i = 0; i < conds->count; i++)
        if (eng_ex_is_const(conds->items[i], false) ||
            (conds->items[i]->kind == LUMA_EXPR_CONST && conds->items[i]->value.is_null)) {
            struct rel *empty = eng_rel_new(pp, REL_EMPTY, NULL);
            empty->outs = rel->outs;
            empty->outs_count = rel->outs_count;
            return empty;
        }
    return push_into(pp, rel, conds);
}
