/*
 * opt_join.c - the order of joins.
 *
 * Dynamic programming over subsets (DPsub) up to 10 members, greedy operator ordering above. Semi
 * and anti joins take part as members that can only be joined to a set that has what they ask for.
 * Equality classes give one condition a join however many were written.
 */
#include "opt.h"

#define DP_MEMBERS_MAX 10

struct jcond {
    struct ex *ex;
    uint64_t mask; /* members it mentions */
};

struct order {
    struct prep *pp;
    struct rel *group;
    uint32_t n, conds_count;
    struct bits *outs;
    struct jcond *conds;
    uint64_t *semi_needs; /* members a semi member's conditions mention */
    /* Equality classes: members and one variable of each class in each member. */
    uint32_t classes_count;
    uint32_t *class_var; /* [class * n + member], NO_VAR */
    const struct luma_func **class_eq;
};

struct cand {
    double rows, cost;
    uint64_t left, right; /* 0: a single member */
};

static uint64_t
members_of(struct order *o, const struct ex *ex)
{
    struct bits vars = {0, NULL};
    eng_ex_vars(o->pp, ex, &vars);
    uint64_t mask = 0;
    for (uint32_t i = 0; i < o->n; i++)
        if (eng_bits_meet(&vars, &o->outs[i]))
            mask |= (uint64_t)1 << i;
    return mask;
}

static uint32_t
member_of_var(struct order *o, uint32_t var)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (o->group->member_join[i] == LUMA_JOIN_INNER && eng_bits_has(&o->outs[i], var))
            return i;
    return NO_VAR;
}

static uint32_t
class_find(struct order *o, uint32_t member, uint32_t var)
{
    for (uint32_t c = 0; c < o->classes_count; c++)
        if (o->class_var[c * o->n + member] == var)
            return c;
    return NO_VAR;
}

static void
class_merge(struct order *o, uint32_t into, uint32_t from)
{
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t *a = &o->class_var[into * o->n + i], *b = &o->class_var[from * o->n + i];
        if (*a == NO_VAR)
            *a = *b;
        *b = NO_VAR;
    }
}

/* Takes an equality of two variables of two members; false: it stays a condition. */
static bool
class_add(struct order *o, const struct ex *cond)
{
    struct ex *a, *b;
    if (!eng_is_eq(cond, &a, &b) || a->kind != LUMA_EXPR_COL || b->kind != LUMA_EXPR_COL ||
        a->type.id != b->type.id || a->type.mod != b->type.mod)
        return false;
    uint32_t ma = member_of_var(o, (uint32_t)a->index), mb = member_of_var(o, (uint32_t)b->index);
    if (ma == NO_VAR || mb == NO_VAR || ma == mb)
        return false;
    uint32_t ca = class_find(o, ma, (uint32_t)a->index), cb = class_find(o, mb, (uint32_t)b->index);
    if (ca == NO_VAR && cb == NO_VAR) {
        ca = o->classes_count++;
        for (uint32_t i = 0; i < o->n; i++)
            o->class_var[ca * o->n + i] = NO_VAR;
        o->class_eq[ca] = cond->func;
        o->class_var[ca * o->n + ma] = (uint32_t)a->index;
        o->class_var[ca * o->n + mb] = (uint32_t)b->index;
        return true;
    }
    if (ca != NO_VAR && cb != NO_VAR) {
        if (ca == cb)
            return true;
        for (uint32_t i = 0; i < o->n; i++)
            if (o->class_var[ca * o->n + i] != NO_VAR && o->class_var[cb * o->n + i] != NO_VAR)
                return false; /* two variables of one member: a condition keeps it simple */
        class_merge(o, ca, cb);
        return true;
    }
    uint32_t c = ca != NO_VAR ? ca : cb, m = ca != NO_VAR ? mb : ma;
    uint32_t var = (uint32_t)(ca != NO_VAR ? b->index : a->index);
    if (o->class_var[c * o->n + m] != NO_VAR)
        return false;
    o->class_var[c * o->n + m] = var;
    return true;
}

static void
order_init(struct order *o)
{
    struct prep *pp = o->pp;
    struct rel *group = o->group;
    o->outs = PP_ARRAY(pp, struct bits, o->n);
    o->semi_needs = PP_ARRAY(pp, uint64_t, o->n);
    for (uint32_t i = 0; i < o->n; i++)
        eng_rel_outs(pp, group->members[i], &o->outs[i]);
    o->conds = PP_ARRAY(pp, struct jcond, group->conds.count);
    o->class_var = PP_ARRAY(pp, uint32_t, (group->conds.count + 1) * o->n);
    o->class_eq = PP_ARRAY(pp, const struct luma_func *, group->conds.count);
    for (uint32_t i = 0; i < group->conds.count; i++) {
        struct ex *cond = group->conds.items[i];
        if (class_add(o, cond))
            continue;
        o->conds[o->conds_count].ex = cond;
        o->conds[o->conds_count++].mask = members_of(o, cond);
    }
    for (uint32_t i = 0; i < o->n; i++) {
        for (uint32_t c = 0; c < group->member_conds[i].count; c++)
            o->semi_needs[i] |= members_of(o, group->member_conds[i].items[c]);
        o->semi_needs[i] &= ~((uint64_t)1 << i);
    }
}

static int
first_bit(uint64_t mask)
{
    return __builtin_ctzll(mask);
}

/* One variable of class c within the members of mask, or NO_VAR. */
static uint32_t
class_in(const struct order *o, uint32_t c, uint64_t mask)
{
    for (; mask != 0; mask &= mask - 1) {
        uint32_t var = o->class_var[c * o->n + (uint32_t)first_bit(mask)];
        if (var != NO_VAR)
            return var;
    }
    return NO_VAR;
}

/* Member index of a set that is one semi or anti member, or NO_VAR. */
static uint32_t
semi_of(const struct order *o, uint64_t mask)
{
    if ((mask & (mask - 1)) != 0)
        return NO_VAR;
    uint32_t i = (uint32_t)first_bit(mask);
    return o->group->member_join[i] == LUMA_JOIN_INNER ? NO_VAR : i;
}

static double
semi_rows(struct order *o, uint32_t semi, double left)
{
    struct rel *sub = o->group->members[semi];
    const struct ex_list *conds = &o->group->member_conds[semi];
    double right = eng_rows(o->pp, sub), share = 1;
    for (uint32_t i = 0; i < conds->count; i++) {
        struct ex *a, *b;
        if (!eng_is_eq(conds->items[i], &a, &b)) {
            share *= 0.9;
            continue;
        }
        bool a_left = a->kind == LUMA_EXPR_COL && !eng_bits_has(&o->outs[semi], (uint32_t)a->index);
        struct ex *l = a_left ? a : b, *r = a_left ? b : a;
        double dl = l->kind == LUMA_EXPR_COL ? eng_distinct(o->pp, (uint32_t)l->index, left) : left;
        double dr =
            r->kind == LUMA_EXPR_COL ? eng_distinct(o->pp, (uint32_t)r->index, right) : right;
        double full = l->kind == LUMA_EXPR_COL ? eng_distinct(o->pp, (uint32_t)l->index, 1e18) : dl;
        double s = dr / (full > 1 ? full : 1);
        share *= s > 1 ? 1 : s;
    }
    if (o->group->member_join[semi] == LUMA_JOIN_ANTI)
        share = 1 - share < 0.1 ? 0.1 : 1 - share;
    return left * share;
}

static double
join_estimate(struct order *o, uint64_t l, uint64_t r, double rows_l, double rows_r,
              bool *out_connected)
{
    double rows = rows_l * rows_r, all_l = 1, all_r = 1, single = 1;
    uint32_t count = 0;
    *out_connected = false;
    for (uint32_t c = 0; c < o->classes_count; c++) {
        uint32_t a = class_in(o, c, l), b = class_in(o, c, r);
        if (a == NO_VAR || b == NO_VAR)
            continue;
        double da = eng_distinct(o->pp, a, rows_l), db = eng_distinct(o->pp, b, rows_r);
        all_l *= da;
        all_r *= db;
        single = da > db ? da : db;
        *out_connected = true;
        count++;
    }
    /* Several columns are rarely independent: no side has more combinations than rows, and the side
     * with fewer of them is most likely the one they are the key of. */
    if (count > 1) {
        all_l = all_l > rows_l ? rows_l : all_l;
        all_r = all_r > rows_r ? rows_r : all_r;
        single = all_l < all_r ? all_l : all_r;
    }
    rows /= single < 1 ? 1 : single;
    for (uint32_t i = 0; i < o->conds_count; i++) {
        uint64_t mask = o->conds[i].mask;
        if ((mask & ~(l | r)) != 0 || (mask & l) == 0 || (mask & r) == 0)
            continue;
        rows *= eng_join_selectivity(o->pp, o->conds[i].ex, rows_l, rows_r);
        struct ex *a, *b;
        *out_connected = *out_connected || eng_is_eq(o->conds[i].ex, &a, &b);
    }
    return rows < 1 ? 1 : rows;
}

/* Cost of a hash join: building is dearer than probing; a cross product pays for every pair. */
static double
join_cost(double rows_l, double rows_r, double rows, bool connected)
{
    double build = rows_l < rows_r ? rows_l : rows_r, probe = rows_l < rows_r ? rows_r : rows_l;
    return build * 2.5 + probe + rows * 0.5 + (connected ? 0 : rows_l * rows_r * 2);
}

static bool
try_join(struct order *o, const struct cand *a, const struct cand *b, uint64_t l, uint64_t r,
         struct cand *out)
{
    uint32_t semi = semi_of(o, r);
    if (semi_of(o, l) != NO_VAR)
        return false;
    bool connected = true;
    double rows;
    if (semi != NO_VAR) {
        if ((o->semi_needs[semi] & ~l) != 0)
            return false;
        rows = semi_rows(o, semi, a->rows);
    } else {
        rows = join_estimate(o, l, r, a->rows, b->rows, &connected);
    }
    out->rows = rows;
    out->cost = a->cost + b->cost + join_cost(a->rows, b->rows, rows, connected);
    out->left = l;
    out->right = r;
    return true;
}

static struct cand
member_cand(struct order *o, uint32_t i)
{
    struct cand cand = {.rows = eng_rows(o->pp, o->group->members[i])};
    struct rel *rel = o->group->members[i];
    double base = cand.rows;
    if (rel->kind == REL_SCAN)
        (void)eng_coll(o->pp, rel->plan->coll_id, &base);
    cand.cost = base * 0.2;
    return cand;
}

static struct rel *
make_join(struct order *o, const struct cand *cand, struct rel *left, struct rel *right)
{
    struct prep *pp = o->pp;
    uint64_t l = cand->left, r = cand->right;
    uint32_t semi = semi_of(o, r);
    struct rel *join = eng_rel_new(pp, REL_JOIN, left);
    join->child[1] = right;
    join->rows = cand->rows;
    join->cost = cand->cost;
    if (semi != NO_VAR) {
        join->join = o->group->member_join[semi];
        join->conds = o->group->member_conds[semi];
        join->null_aware = o->group->member_aware[semi];
        return join;
    }
    join->join = LUMA_JOIN_INNER;
    join->outs_count = left->outs_count + right->outs_count;
    join->outs = PP_ARRAY(pp, uint32_t, join->outs_count);
    memcpy(join->outs, left->outs, sizeof(uint32_t) * left->outs_count);
    memcpy(join->outs + left->outs_count, right->outs, sizeof(uint32_t) * right->outs_count);
    for (uint32_t c = 0; c < o->classes_count; c++) {
        uint32_t a = class_in(o, c, l), b = class_in(o, c, r);
        if (a == NO_VAR || b == NO_VAR)
            continue;
        struct ex *args[2] = {eng_ex_col(pp, a), eng_ex_col(pp, b)};
        struct ex *eq = eng_ex_args(pp, LUMA_EXPR_CALL, luma_type(LUMA_TYPE_BOOL), 2, args);
        eq->func = o->class_eq[c];
        eng_list_add(pp, &join->conds, eq);
    }
    for (uint32_t i = 0; i < o->conds_count; i++) {
        uint64_t mask = o->conds[i].mask;
        if ((mask & ~(l | r)) == 0 && (mask & l) != 0 && (mask & r) != 0)
            eng_list_add(pp, &join->conds, o->conds[i].ex);
    }
    return join;
}

/* --- dynamic programming --- */

static struct rel *
build_tree(struct order *o, const struct cand *best, uint64_t set)
{
    const struct cand *cand = &best[set];
    if (cand->left == 0)
        return o->group->members[first_bit(set)];
    struct rel *left = build_tree(o, best, cand->left);
    struct rel *right = build_tree(o, best, cand->right);
    return make_join(o, cand, left, right);
}

static struct rel *
order_dp(struct order *o)
{
    uint64_t full = ((uint64_t)1 << o->n) - 1;
    struct cand *best = PP_ARRAY(o->pp, struct cand, full + 1);
    for (uint64_t set = 1; set <= full; set++) {
        best[set].cost = -1;
        if ((set & (set - 1)) == 0) {
            best[set] = member_cand(o, (uint32_t)first_bit(set));
            continue;
        }
        for (uint64_t l = (set - 1) & set; l != 0; l = (l - 1) & set) {
            uint64_t r = set & ~l;
            struct cand cand;
            if (best[l].cost < 0 || best[r].cost < 0 ||
                !try_join(o, &best[l], &best[r], l, r, &cand))
                continue;
            /* Of two mirrored joins the one that builds on the right is kept. */
            bool tie = best[set].cost >= 0 && cand.cost == best[set].cost &&
                       best[r].rows < best[best[set].right].rows;
            if (best[set].cost < 0 || cand.cost < best[set].cost || tie)
                best[set] = cand;
        }
    }
    return build_tree(o, best, full);
}

/* --- greedy --- */

struct piece {
    uint64_t set;
    struct cand cand;
    struct rel *rel;
};

static struct rel *
order_greedy(struct order *o)
{
    struct piece *pieces = PP_ARRAY(o->pp, struct piece, o->n);
    uint32_t count = o->n;
    for (uint32_t i = 0; i < o->n; i++) {
        pieces[i].set = (uint64_t)1 << i;
        pieces[i].cand = member_cand(o, i);
        pieces[i].rel = o->group->members[i];
    }
    while (count > 1) {
        uint32_t best_a = 0, best_b = 0;
        struct cand best = {.cost = -1};
        for (uint32_t a = 0; a < count; a++) {
            for (uint32_t b = 0; b < count; b++) {
                struct cand cand;
                if (a == b || !try_join(o, &pieces[a].cand, &pieces[b].cand, pieces[a].set,
                                        pieces[b].set, &cand))
                    continue;
                double step = cand.cost - pieces[a].cand.cost - pieces[b].cand.cost;
                double best_step = best.cost;
                if (best.cost < 0 || step < best_step ||
                    (step == best_step && pieces[b].cand.rows < pieces[best_b].cand.rows)) {
                    best = cand;
                    best.cost = step;
                    best_a = a;
                    best_b = b;
                }
            }
        }
        best.cost += pieces[best_a].cand.cost + pieces[best_b].cand.cost;
        struct piece joined = {pieces[best_a].set | pieces[best_b].set, best,
                               make_join(o, &best, pieces[best_a].rel, pieces[best_b].rel)};
        uint32_t low = best_a < best_b ? best_a : best_b, high = best_a < best_b ? best_b : best_a;
        pieces[low] = joined;
        pieces[high] = pieces[--count];
    }
    return pieces[0].rel;
}

/* More members than a mask has bits: in the order written. */
static struct rel *
order_as_written(struct order *o)
{
    struct rel *tree = o->group->members[0];
    struct ex_list conds = o->group->conds;
    for (uint32_t i = 1; i < o->n; i++) {
        struct rel *join = eng_rel_new(o->pp, REL_JOIN, tree);
        join->child[1] = o->group->members[i];
        join->join = o->group->member_join[i];
        join->conds = o->group->member_conds[i];
        join->null_aware = o->group->member_aware[i];
        if (join->join == LUMA_JOIN_INNER) {
            struct rel *right = join->child[1];
            join->outs_count = tree->outs_count + right->outs_count;
            join->outs = PP_ARRAY(o->pp, uint32_t, join->outs_count);
            memcpy(join->outs, tree->outs, sizeof(uint32_t) * tree->outs_count);
            memcpy(join->outs + tree->outs_count, right->outs,
                   sizeof(uint32_t) * right->outs_count);
        }
        tree = join;
    }
    return eng_rel_filter(o->pp, tree, &conds);
}

struct rel *
eng_order(struct prep *pp, struct rel *group)
{
    struct order o = {.pp = pp, .group = group, .n = group->members_count};
    if (o.n == 1)
        return eng_rel_filter(pp, group->members[0], &group->conds);
    if (o.n > 62)
        return order_as_written(&o);
    order_init(&o);
    struct rel *tree = o.n <= DP_MEMBERS_MAX ? order_dp(&o) : order_greedy(&o);
    /* Conditions of no member (volatile ones) are judged last. */
    struct ex_list rest = {NULL, 0, 0};
    for (uint32_t i = 0; i < o.conds_count; i++)
        if ((o.conds[i].mask & (o.conds[i].mask - 1)) == 0)
            eng_list_add(pp, &rest, o.conds[i].ex);
    return eng_rel_filter(pp, tree, &rest);
}
