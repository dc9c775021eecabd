/*
 * opt_sublink.c - subqueries of expressions as joins.
 *
 * EXISTS and IN become semi joins, NOT EXISTS and NOT IN anti joins, a correlated scalar subquery
 * a left join with the subquery grouped by what correlates it. The conditions that mention the
 * outer row are pulled up to the join (Kim's and Dayal's rewriting). What cannot be pulled stays a
 * subquery that the expression runs; uncorrelated scalar ones do so on purpose, once.
 */
#include "opt.h"

struct pull {
    struct prep *pp;
    struct bits avail; /* variables of the outer row */
    bool scalar_agg;   /* an aggregate without keys may get keys: absent means empty */
    struct ex_list lifted;
};

static bool
meets(struct pull *pl, const struct ex *ex)
{
    struct bits vars = {0, NULL};
    eng_ex_vars(pl->pp, ex, &vars);
    return eng_bits_meet(&vars, &pl->avail);
}

static bool
rel_meets(struct pull *pl, const struct rel *rel)
{
    struct bits vars = {0, NULL};
    eng_rel_free_vars(pl->pp, rel, &vars);
    return eng_bits_meet(&vars, &pl->avail);
}

/* inner = outer with no variable on the wrong side? */
static bool
separable(struct pull *pl, const struct ex *cond, struct ex **out_inner, struct ex **out_outer)
{
    struct ex *a, *b;
    if (!eng_is_eq(cond, &a, &b))
        return false;
    struct bits va = {0, NULL}, vb = {0, NULL};
    eng_ex_vars(pl->pp, a, &va);
    eng_ex_vars(pl->pp, b, &vb);
    if (eng_bits_within(&vb, &pl->avail) && !eng_bits_meet(&va, &pl->avail)) {
        *out_inner = a;
        *out_outer = b;
        return true;
    }
    if (eng_bits_within(&va, &pl->avail) && !eng_bits_meet(&vb, &pl->avail)) {
        *out_inner = b;
        *out_outer = a;
        return true;
    }
    return false;
}

static bool
conds_pullable(struct pull *pl, const struct rel *rel, bool eq_only)
{
    struct ex *inner, *outer;
    for (uint32_t i = 0; i < rel->conds.count; i++) {
        struct ex *cond = rel->conds.items[i];
        if (!meets(pl, cond))
            continue;
        if (eng_ex_has_sublink(cond) || eng_ex_volatile(cond) ||
            (eq_only && !separable(pl, cond, &inner, &outer)))
            return false;
    }
    return true;
}

static bool
exprs_meet(struct pull *pl, struct ex *const *exprs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (meets(pl, exprs[i]))
            return true;
    return false;
}

/* Can every mention of the outer row below rel be lifted above it? */
static bool
pullable(struct pull *pl, const struct rel *rel, bool eq_only)
{
    if (!rel_meets(pl, rel))
        return true;
    switch (rel->kind) {
    case REL_SCAN:
        return conds_pullable(pl, rel, eq_only);
    case REL_FILTER:
        if (rel->child[0]->kind == REL_AGG && rel->child[0]->exprs_count == 0)
            return false; /* HAVING of a scalar aggregate: absent is not empty */
        return conds_pullable(pl, rel, eq_only) && pullable(pl, rel->child[0], eq_only);
    case REL_PROJECT:
        return rel->child[0] != NULL && !exprs_meet(pl, rel->exprs, rel->exprs_count) &&
               pullable(pl, rel->child[0], eq_only);
    case REL_JOIN:
        if (rel->lateral)
            return false;
        if (rel->join == LUMA_JOIN_INNER)
            return conds_pullable(pl, rel, eq_only) && pullable(pl, rel->child[0], eq_only) &&
                   pullable(pl, rel->child[1], eq_only);
        return (rel->join == LUMA_JOIN_LEFT || rel->join == LUMA_JOIN_SEMI ||
                rel->join == LUMA_JOIN_ANTI) &&
               !exprs_meet(pl, rel->conds.items, rel->conds.count) &&
               !rel_meets(pl, rel->child[1]) && pullable(pl, rel->child[0], eq_only);
    case REL_AGG:
        return (rel->exprs_count > 0 || pl->scalar_agg) &&
               (rel->plan == NULL || rel->plan->sets_count == 0) &&
               !exprs_meet(pl, rel->exprs, rel->exprs_count) &&
               !exprs_meet(pl, rel->aggs, rel->aggs_count) && pullable(pl, rel->child[0], true);
    case REL_DISTINCT:
        return rel->distinct_count == 0 && pullable(pl, rel->child[0], eq_only);
    case REL_SORT:
        return pullable(pl, rel->child[0], eq_only);
    default:
        return false;
    }
}

static void
append_out(struct prep *pp, struct rel *rel, uint32_t var)
{
    if (eng_rel_defines(rel, var))
        return;
    uint32_t *outs = PP_ARRAY(pp, uint32_t, rel->outs_count + 1);
    memcpy(outs, rel->outs, sizeof(uint32_t) * rel->outs_count);
    outs[rel->outs_count] = var;
    rel->outs = outs;
    if (rel->kind == REL_PROJECT) {
        struct ex **exprs = PP_ARRAY(pp, struct ex *, rel->exprs_count + 1);
        memcpy(exprs, rel->exprs, sizeof(*exprs) * rel->exprs_count);
        exprs[rel->exprs_count++] = eng_ex_col(pp, var);
        rel->exprs = exprs;
    }
    rel->outs_count++;
}

/* The variables of lifted conditions must come out of rel too. */
static void
pass_lifted(struct pull *pl, struct rel *rel)
{
    struct bits vars = {0, NULL};
    for (uint32_t i = 0; i < pl->lifted.count; i++)
        eng_ex_vars(pl->pp, pl->lifted.items[i], &vars);
    for (uint32_t v = 0; v < vars.words * 64; v++)
        if (eng_bits_has(&vars, v) && !eng_bits_has(&pl->avail, v) &&
            ((rel->child[0] != NULL && eng_rel_defines(rel->child[0], v)) ||
             (rel->child[1] != NULL && eng_rel_defines(rel->child[1], v))))
            append_out(pl->pp, rel, v);
}

static void
lift_conds(struct pull *pl, struct rel *rel)
{
    struct ex_list stay = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++) {
        struct ex *cond = rel->conds.items[i];
        eng_list_add(pl->pp, meets(pl, cond) ? &pl->lifted : &stay, cond);
    }
    rel->conds = stay;
}

/* Equalities lifted through an aggregate become group keys. */
static void
lift_keys(struct pull *pl, struct rel *agg, uint32_t first)
{
    struct prep *pp = pl->pp;
    uint32_t more = pl->lifted.count - first;
    struct ex **exprs = PP_ARRAY(pp, struct ex *, agg->exprs_count + more);
    uint32_t *outs = PP_ARRAY(pp, uint32_t, agg->outs_count + more);
    uint32_t keys = agg->exprs_count;
    memcpy(exprs, agg->exprs, sizeof(*exprs) * keys);
    memcpy(outs, agg->outs, sizeof(uint32_t) * keys);
    for (uint32_t i = first; i < pl->lifted.count; i++) {
        struct ex *cond = pl->lifted.items[i], *inner, *outer;
        (void)separable(pl, cond, &inner, &outer);
        uint32_t found = 0;
        while (found < keys && !eng_ex_equal(exprs[found], inner))
            found++;
        if (found == keys) {
            exprs[keys] = inner;
            outs[keys] = inner->kind == LUMA_EXPR_COL ? (uint32_t)inner->index
                                                      : eng_var_new(pp, inner->type, agg);
            keys++;
        }
        struct ex *copy = PP_NEW(pp, struct ex);
        *copy = *cond;
        copy->args = PP_ARRAY(pp, struct ex *, 2);
        copy->args[0] = cond->args[0] == inner ? eng_ex_col(pp, outs[found]) : outer;
        copy->args[1] = cond->args[0] == inner ? outer : eng_ex_col(pp, outs[found]);
        pl->lifted.items[i] = copy;
    }
    memcpy(outs + keys, agg->outs + agg->exprs_count, sizeof(uint32_t) * agg->aggs_count);
    agg->exprs = exprs;
    agg->exprs_count = keys;
    agg->outs = outs;
    agg->outs_count = keys + agg->aggs_count;
}

static void
pull(struct pull *pl, struct rel *rel)
{
    if (!rel_meets(pl, rel))
        return;
    uint32_t first = pl->lifted.count;
    switch (rel->kind) {
    case REL_SCAN:
        lift_conds(pl, rel);
        return;
    case REL_FILTER:
        lift_conds(pl, rel);
        pull(pl, rel->child[0]);
        break;
    case REL_JOIN:
        pull(pl, rel->child[0]);
        if (rel->join == LUMA_JOIN_INNER) {
            pull(pl, rel->child[1]);
            lift_conds(pl, rel);
        }
        break;
    case REL_AGG:
        pull(pl, rel->child[0]);
        lift_keys(pl, rel, first);
        return;
    default:
        pull(pl, rel->child[0]);
        break;
    }
    pass_lifted(pl, rel);
}

/* --- which subqueries --- */

static bool
is_correlated(struct prep *pp, const struct rel *sub, const struct rel *child)
{
    struct bits free = {0, NULL}, outs = {0, NULL};
    eng_rel_free_vars(pp, sub, &free);
    eng_bits_add_all(pp, &outs, child->outs, child->outs_count);
    return eng_bits_meet(&free, &outs);
}

/* EXISTS asks for a row, not for its columns, order or number. */
static struct rel *
strip_for_exists(struct rel *sub)
{
    for (;;) {
        bool limit_one = sub->kind == REL_LIMIT && sub->offset == NULL && sub->limit != NULL &&
                         sub->limit->kind == LUMA_EXPR_CONST && !sub->limit->value.is_null &&
                         sub->limit->value.i64 > 0;
        bool plain = sub->kind == REL_PROJECT || sub->kind == REL_SORT ||
                     (sub->kind == REL_DISTINCT && sub->distinct_count == 0);
        if ((!plain && !limit_one) || sub->child[0] == NULL)
            return sub;
        sub = sub->child[0];
    }
}

static struct rel *
join_new(struct prep *pp, enum luma_join join, struct rel *left, struct rel *right)
{
    struct rel *rel = eng_rel_new(pp, REL_JOIN, left);
    rel->child[1] = right;
    rel->join = join;
    if (join == LUMA_JOIN_SEMI || join == LUMA_JOIN_ANTI)
        return rel;
    rel->outs_count = left->outs_count + right->outs_count;
    rel->outs = PP_ARRAY(pp, uint32_t, rel->outs_count);
    memcpy(rel->outs, left->outs, sizeof(uint32_t) * left->outs_count);
    memcpy(rel->outs + left->outs_count, right->outs, sizeof(uint32_t) * right->outs_count);
    return rel;
}

static struct rel *
exists_join(struct prep *pp, struct rel *child, struct ex *sublink, bool negated)
{
    struct pull pl = {.pp = pp};
    eng_rel_outs(pp, child, &pl.avail);
    struct rel *sub = strip_for_exists(sublink->sub);
    if (!rel_meets(&pl, sub) || !pullable(&pl, sub, false))
        return NULL; /* uncorrelated ones run once */
    pull(&pl, sub);
    struct rel *join = join_new(pp, negated ? LUMA_JOIN_ANTI : LUMA_JOIN_SEMI, child, sub);
    join->conds = pl.lifted;
    return join;
}

static bool
has_outer_join(const struct rel *rel)
{
    if (rel == NULL)
        return false;
    if (rel->kind == REL_JOIN && rel->join != LUMA_JOIN_INNER && rel->join != LUMA_JOIN_SEMI &&
        rel->join != LUMA_JOIN_ANTI)
        return true;
    return has_outer_join(rel->child[0]) || has_outer_join(rel->child[1]);
}

static bool
never_null(struct prep *pp, const struct ex *ex, const struct rel *rel)
{
    if (ex->kind == LUMA_EXPR_CONST)
        return !ex->value.is_null;
    return ex->kind == LUMA_EXPR_COL && pp->vars[ex->index].not_null && !has_outer_join(rel);
}

static struct ex *
is_not(struct prep *pp, struct ex *cond, int32_t what)
{
    struct ex *ex = eng_ex_args(pp, LUMA_EXPR_IS_BOOL, luma_type(LUMA_TYPE_BOOL), 1, &cond);
    ex->index = what;
    ex->negated = true;
    return ex;
}

/*
 * x op ANY (sub) as a conjunct: semi join on x op y. Its negation holds when no row has x op y true
 * or unknown: an anti join, null-aware where a null can occur. x op ALL (sub): no row has x op y
 * false or unknown.
 */
static struct rel *
any_join(struct prep *pp, struct rel *child, struct ex *sublink, bool negated)
{
    struct pull pl = {.pp = pp, .scalar_agg = !negated && sublink->sublink == LUMA_SUBLINK_ANY};
    eng_rel_outs(pp, child, &pl.avail);
    struct rel *sub = sublink->sub;
    bool all = sublink->sublink == LUMA_SUBLINK_ALL;
    if ((all && negated) || sub->outs_count < sublink->args_count || !pullable(&pl, sub, false))
        return NULL;
    for (uint32_t i = 0; i < sublink->args_count; i++)
        if (eng_ex_has_sublink(sublink->args[i]) || eng_ex_volatile(sublink->args[i]))
            return NULL;
    bool nulls = false, hashable = true;
    struct ex_list cmps = {NULL, 0, 0};
    for (uint32_t i = 0; i < sublink->args_count; i++) {
        struct ex *pair[2] = {sublink->args[i], eng_ex_col(pp, sub->outs[i])};
        struct ex *cmp = eng_ex_args(pp, LUMA_EXPR_CALL, luma_type(LUMA_TYPE_BOOL), 2, pair);
        cmp->func = sublink->cmp_funcs[i];
        hashable = hashable && cmp->func->op == LUMA_OP_EQ;
        nulls = nulls || !never_null(pp, pair[0], child) || !never_null(pp, pair[1], sub);
        eng_list_add(pp, &cmps, cmp);
    }
    pull(&pl, sub);
    bool anti = negated || all;
    struct rel *join = join_new(pp, anti ? LUMA_JOIN_ANTI : LUMA_JOIN_SEMI, child, sub);
    join->conds = pl.lifted;
    if (!anti || (negated && !nulls)) {
        for (uint32_t i = 0; i < cmps.count; i++)
            eng_list_add(pp, &join->conds, cmps.items[i]);
    } else if (negated && hashable && cmps.count == 1 && pl.lifted.count == 0) {
        join->null_aware = true;
        eng_list_add(pp, &join->conds, cmps.items[0]);
    } else {
        struct ex *whole = eng_ex_and(pp, &cmps);
        eng_list_add(pp, &join->conds, is_not(pp, whole, all ? 1 : 0));
    }
    return join;
}

static struct rel *
conjunct_join(struct prep *pp, struct rel *child, struct ex *cond)
{
    bool negated = false;
    struct ex *ex = cond;
    while (ex->kind == LUMA_EXPR_NOT) {
        negated = !negated;
        ex = ex->args[0];
    }
    if (ex->kind != LUMA_EXPR_SUBLINK)
        return NULL;
    negated = negated != ex->negated;
    if (ex->sublink == LUMA_SUBLINK_EXISTS)
        return exists_join(pp, child, ex, negated);
    if (ex->sublink == LUMA_SUBLINK_ANY || ex->sublink == LUMA_SUBLINK_ALL)
        return any_join(pp, child, ex, negated);
    return NULL;
}

/* --- scalar subqueries --- */

struct scalar_walk {
    struct prep *pp;
    struct rel *child; /* grows by left joins */
};

/* Aggregates over no rows: counts are 0, everything else is null, which a left join gives. */
static struct ex *
empty_count(struct prep *pp, void *arg, uint32_t var)
{
    const struct rel *agg = arg;
    for (uint32_t i = 0; i < agg->aggs_count; i++) {
        const struct luma_func *func = agg->aggs[i]->func;
        if (agg->outs[agg->exprs_count + i] != var ||
            (func->op != LUMA_OP_COUNT && func->op != LUMA_OP_COUNT_STAR))
            continue;
        struct ex *zero = eng_ex_new(pp, LUMA_EXPR_CONST, luma_type(LUMA_TYPE_INT8));
        zero->value.type = zero->type;
        zero->value.phys = LUMA_PHYS_I64;
        struct ex *both[2] = {eng_ex_col(pp, var), zero};
        return eng_ex_args(pp, LUMA_EXPR_COALESCE, zero->type, 2, both);
    }
    return NULL;
}

/* The subquery's one column, computed above the join when an aggregate stands right below. */
static struct ex *
scalar_result(struct prep *pp, struct rel **inout_sub)
{
    struct rel *sub = *inout_sub;
    if (sub->kind == REL_PROJECT && sub->child[0] != NULL && sub->child[0]->kind == REL_AGG &&
        sub->child[0]->exprs_count == 0 && !eng_ex_volatile(sub->exprs[0]) &&
        !eng_ex_has_sublink(sub->exprs[0])) {
        *inout_sub = sub->child[0];
        return eng_ex_subst(pp, sub->exprs[0], empty_count, sub->child[0]);
    }
    struct ex *col = eng_ex_col(pp, sub->outs[0]);
    return sub->kind == REL_AGG && sub->exprs_count == 0 ? eng_ex_subst(pp, col, empty_count, sub)
                                                         : col;
}

static void
scalar_part(void *arg, struct ex **part)
{
    struct scalar_walk *walk = arg;
    struct prep *pp = walk->pp;
    struct ex *ex = *part;
    if (ex->kind != LUMA_EXPR_SUBLINK) {
        for (uint32_t i = 0; i < ex->args_count; i++)
            scalar_part(arg, &ex->args[i]);
        if (ex->filter != NULL)
            scalar_part(arg, &ex->filter);
        return;
    }
    if (ex->sublink != LUMA_SUBLINK_SCALAR || !is_correlated(pp, ex->sub, walk->child))
        return;
    struct pull pl = {.pp = pp, .scalar_agg = true};
    eng_rel_outs(pp, walk->child, &pl.avail);
    struct rel *sub = ex->sub;
    struct ex *result = scalar_result(pp, &sub);
    bool agg = sub->kind == REL_AGG && sub->exprs_count == 0;
    if (!agg)
        pl.scalar_agg = false;
    if (!pullable(&pl, sub, false))
        return;
    pull(&pl, sub);
    struct rel *join = join_new(pp, LUMA_JOIN_LEFT, walk->child, sub);
    join->conds = pl.lifted;
    join->single = !agg;
    walk->child = join;
    *part = result;
}

static void
unnest_subs(void *arg, struct ex **part)
{
    struct prep *pp = arg;
    struct ex *ex = *part;
    if (ex->sub != NULL)
        ex->sub = eng_unnest(pp, ex->sub);
    for (uint32_t i = 0; i < ex->args_count; i++)
        unnest_subs(arg, &ex->args[i]);
    if (ex->filter != NULL)
        unnest_subs(arg, &ex->filter);
}

static void
unnest_filter(struct prep *pp, struct rel *rel)
{
    struct ex_list stay = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++) {
        struct ex *cond = rel->conds.items[i];
        struct rel *join = eng_ex_has_sublink(cond) ? conjunct_join(pp, rel->child[0], cond) : NULL;
        if (join != NULL)
            rel->child[0] = join;
        else
            eng_list_add(pp, &stay, cond);
    }
    struct scalar_walk walk = {pp, rel->child[0]};
    for (uint32_t i = 0; i < stay.count; i++)
        if (eng_ex_has_sublink(stay.items[i]))
            scalar_part(&walk, &stay.items[i]);
    rel->child[0] = walk.child;
    rel->conds = stay;
}

/* Conditions of scans and inner joins that hold subqueries move to a filter above. */
static struct rel *
split_sublink_conds(struct prep *pp, struct rel *rel)
{
    struct ex_list with = {NULL, 0, 0}, without = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++) {
        struct ex *cond = rel->conds.items[i];
        eng_list_add(pp, eng_ex_has_sublink(cond) ? &with : &without, cond);
    }
    if (with.count == 0)
        return rel;
    rel->conds = without;
    return eng_rel_filter(pp, rel, &with);
}

struct rel *
eng_unnest(struct prep *pp, struct rel *rel)
{
    for (uint32_t i = 0; i < 2; i++)
        if (rel->child[i] != NULL)
            rel->child[i] = eng_unnest(pp, rel->child[i]);
    eng_rel_each_ex(rel, unnest_subs, pp);
    if (rel->kind == REL_SCAN || rel->kind == REL_VIRTUAL ||
        (rel->kind == REL_JOIN && rel->join == LUMA_JOIN_INNER && !rel->lateral))
        rel = split_sublink_conds(pp, rel);
    if (rel->kind == REL_FILTER) {
        unnest_filter(pp, rel);
    } else if ((rel->kind == REL_PROJECT || rel->kind == REL_AGG || rel->kind == REL_SORT) &&
               rel->child[0] != NULL) {
        struct scalar_walk walk = {pp, rel->child[0]};
        eng_rel_each_ex(rel, scalar_part, &walk);
        rel->child[0] = walk.child;
    }
    return rel;
}
