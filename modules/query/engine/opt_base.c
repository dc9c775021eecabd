/* opt_base.c - memory, variables and expressions of the query tree. */
#include "opt.h"

void
eng_pp_throw(struct prep *pp, luma_rc rc)
{
    pp->rc = rc;
    longjmp(pp->out, 1);
}

void *
eng_pp_alloc(struct prep *pp, size_t bytes)
{
    void *p = luma_arena_zalloc(pp->arena, bytes);
    if (LUMA_UNLIKELY(p == NULL))
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return p;
}

uint32_t
eng_var_new(struct prep *pp, struct luma_type type, struct rel *def)
{
    if (pp->vars_count == pp->vars_room) {
        uint32_t room = pp->vars_room == 0 ? 64 : pp->vars_room * 2;
        struct var *vars = PP_ARRAY(pp, struct var, room);
        if (pp->vars_count > 0)
            memcpy(vars, pp->vars, sizeof(*vars) * pp->vars_count);
        pp->vars = vars;
        pp->vars_room = room;
    }
    pp->vars[pp->vars_count].type = type;
    pp->vars[pp->vars_count].def = def;
    return pp->vars_count++;
}

bool
eng_bits_has(const struct bits *b, uint32_t i)
{
    return (i >> 6) < b->words && ((b->w[i >> 6] >> (i & 63)) & 1);
}

static void
bits_room(struct prep *pp, struct bits *b, uint32_t words)
{
    if (b->words >= words)
        return;
    uint64_t *w = PP_ARRAY(pp, uint64_t, words + 2);
    if (b->words > 0)
        memcpy(w, b->w, sizeof(uint64_t) * b->words);
    b->w = w;
    b->words = words + 2;
}

void
eng_bits_add(struct prep *pp, struct bits *b, uint32_t i)
{
    bits_room(pp, b, (i >> 6) + 1);
    b->w[i >> 6] |= (uint64_t)1 << (i & 63);
}

void
eng_bits_add_all(struct prep *pp, struct bits *b, const uint32_t *vars, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        eng_bits_add(pp, b, vars[i]);
}

void
eng_bits_union(struct prep *pp, struct bits *b, const struct bits *from)
{
    bits_room(pp, b, from->words);
    for (uint32_t i = 0; i < from->words; i++)
        b->w[i] |= from->w[i];
}

bool
eng_bits_within(const struct bits *b, const struct bits *all)
{
    for (uint32_t i = 0; i < b->words; i++)
        if (b->w[i] & ~(i < all->words ? all->w[i] : 0))
            return false;
    return true;
}

bool
eng_bits_meet(const struct bits *a, const struct bits *b)
{
    for (uint32_t i = 0; i < a->words && i < b->words; i++)
        if (a->w[i] & b->w[i])
            return true;
    return false;
}

bool
eng_bits_empty(const struct bits *b)
{
    for (uint32_t i = 0; i < b->words; i++)
        if (b->w[i] != 0)
            return false;
    return true;
}

struct bits
eng_bits_copy(struct prep *pp, const struct bits *from)
{
    struct bits b = {0, NULL};
    eng_bits_union(pp, &b, from);
    return b;
}

void
eng_list_add(struct prep *pp, struct ex_list *list, struct ex *ex)
{
    if (list->count == list->room) {
        uint32_t room = list->room == 0 ? 8 : list->room * 2;
        struct ex **items = PP_ARRAY(pp, struct ex *, room);
        if (list->count > 0)
            memcpy(items, list->items, sizeof(*items) * list->count);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = ex;
}

struct ex *
eng_ex_new(struct prep *pp, enum luma_expr_kind kind, struct luma_type type)
{
    struct ex *ex = PP_NEW(pp, struct ex);
    ex->kind = kind;
    ex->type = type;
    return ex;
}

struct ex *
eng_ex_col(struct prep *pp, uint32_t var)
{
    struct ex *ex = eng_ex_new(pp, LUMA_EXPR_COL, pp->vars[var].type);
    ex->index = (int32_t)var;
    return ex;
}

struct ex *
eng_ex_bool(struct prep *pp, bool value)
{
    struct ex *ex = eng_ex_new(pp, LUMA_EXPR_CONST, luma_type(LUMA_TYPE_BOOL));
    ex->value.type = ex->type;
    ex->value.phys = LUMA_PHYS_BOOL;
    ex->value.b = value;
    return ex;
}

struct ex *
eng_ex_args(struct prep *pp, enum luma_expr_kind kind, struct luma_type type, uint32_t count,
            struct ex *const *args)
{
    struct ex *ex = eng_ex_new(pp, kind, type);
    ex->args_count = count;
    ex->args = PP_ARRAY(pp, struct ex *, count);
    if (count > 0)
        memcpy(ex->args, args, sizeof(*args) * count);
    return ex;
}

struct ex *
eng_ex_and(struct prep *pp, const struct ex_list *list)
{
    if (list->count == 0)
        return NULL;
    if (list->count == 1)
        return list->items[0];
    return eng_ex_args(pp, LUMA_EXPR_AND, luma_type(LUMA_TYPE_BOOL), list->count, list->items);
}

struct ex *
eng_ex_not(struct prep *pp, struct ex *ex)
{
    return eng_ex_args(pp, LUMA_EXPR_NOT, luma_type(LUMA_TYPE_BOOL), 1, &ex);
}

bool
eng_ex_is_const(const struct ex *ex, bool value)
{
    return ex->kind == LUMA_EXPR_CONST && ex->type.id == LUMA_TYPE_BOOL && !ex->value.is_null &&
           ex->value.b == value;
}

void
eng_conj_split(struct prep *pp, struct ex *ex, struct ex_list *out)
{
    if (ex == NULL || eng_ex_is_const(ex, true))
        return;
    if (ex->kind != LUMA_EXPR_AND) {
        eng_list_add(pp, out, ex);
        return;
    }
    for (uint32_t i = 0; i < ex->args_count; i++)
        eng_conj_split(pp, ex->args[i], out);
}

/* Calls fn for every direct part of ex. */
static void
ex_each(struct ex *ex, void (*fn)(void *arg, struct ex **part), void *arg)
{
    for (uint32_t i = 0; i < ex->args_count; i++)
        fn(arg, &ex->args[i]);
    if (ex->filter != NULL)
        fn(arg, &ex->filter);
    for (uint32_t i = 0; i < ex->order_count; i++)
        fn(arg, &ex->order[i].expr);
    struct ex_window *w = ex->window;
    if (w == NULL)
        return;
    for (uint32_t i = 0; i < w->partition_count; i++)
        fn(arg, &w->partition[i]);
    for (uint32_t i = 0; i < w->order_count; i++)
        fn(arg, &w->order[i].expr);
    if (w->start_offset != NULL)
        fn(arg, &w->start_offset);
    if (w->end_offset != NULL)
        fn(arg, &w->end_offset);
}

struct vars_walk {
    struct prep *pp;
    struct bits *out;
};

static void
vars_part(void *arg, struct ex **part)
{
    struct vars_walk *walk = arg;
    eng_ex_vars(walk->pp, *part, walk->out);
}

void
eng_ex_vars(struct prep *pp, const struct ex *ex, struct bits *out)
{
    if (ex == NULL)
        return;
    if (ex->kind == LUMA_EXPR_COL) {
        eng_bits_add(pp, out, (uint32_t)ex->index);
        return;
    }
    struct vars_walk walk = {pp, out};
    ex_each((struct ex *)(uintptr_t)ex, vars_part, &walk);
    if (ex->sub != NULL)
        eng_rel_free_vars(pp, ex->sub, out);
}

void
eng_rel_each_ex(struct rel *rel, void (*fn)(void *arg, struct ex **ex), void *arg)
{
    for (uint32_t i = 0; i < rel->conds.count; i++)
        fn(arg, &rel->conds.items[i]);
    for (uint32_t i = 0; i < rel->exprs_count; i++)
        if (rel->exprs[i] != NULL)
            fn(arg, &rel->exprs[i]);
    for (uint32_t i = 0; i < rel->aggs_count; i++)
        fn(arg, &rel->aggs[i]);
    for (uint32_t i = 0; i < rel->sort_count; i++)
        fn(arg, &rel->sort[i].expr);
    if (rel->limit != NULL)
        fn(arg, &rel->limit);
    if (rel->offset != NULL)
        fn(arg, &rel->offset);
    if (rel->kind != REL_CHANGE)
        return;
    const struct luma_plan_change *change = rel->plan->change;
    for (uint32_t i = 0; i < change->set_count; i++)
        fn(arg, &rel->set_exprs[i]);
    if (rel->set_where != NULL)
        fn(arg, &rel->set_where);
    if (rel->recheck != NULL)
        fn(arg, &rel->recheck);
    for (uint32_t i = 0; i < change->checks_count; i++)
        fn(arg, &rel->checks[i]);
    for (uint32_t i = 0; i < change->returning_count; i++)
        fn(arg, &rel->returning[i]);
}

/* Everything used below minus everything defined below: variables are unique. */
static void
rel_walk(struct prep *pp, const struct rel *rel, struct bits *used, struct bits *defined)
{
    if (rel == NULL)
        return;
    struct vars_walk walk = {pp, used};
    eng_rel_each_ex((struct rel *)(uintptr_t)rel, vars_part, &walk);
    eng_bits_add_all(pp, defined, rel->outs, rel->outs_count);
    eng_bits_add_all(pp, defined, rel->path_vars, rel->path_vars_count);
    if (rel->kind == REL_CHANGE) {
        uint32_t cols = rel->plan->change->table_cols_count;
        eng_bits_add_all(pp, defined, rel->new_vars, cols);
        if (rel->old_vars != NULL)
            eng_bits_add_all(pp, defined, rel->old_vars, cols);
    }
    rel_walk(pp, rel->child[0], used, defined);
    rel_walk(pp, rel->child[1], used, defined);
    for (uint32_t i = 0; i < rel->members_count; i++) {
        rel_walk(pp, rel->members[i], used, defined);
        for (uint32_t k = 0; k < rel->member_conds[i].count; k++)
            eng_ex_vars(pp, rel->member_conds[i].items[k], used);
    }
}

void
eng_rel_free_vars(struct prep *pp, const struct rel *rel, struct bits *out)
{
    struct bits used = {0, NULL}, defined = {0, NULL};
    rel_walk(pp, rel, &used, &defined);
    for (uint32_t i = 0; i < used.words; i++)
        if (i < defined.words)
            used.w[i] &= ~defined.w[i];
    eng_bits_union(pp, out, &used);
}

static bool
keys_equal(const struct ex_key *a, const struct ex_key *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (a[i].desc != b[i].desc || a[i].nulls_first != b[i].nulls_first ||
            !eng_ex_equal(a[i].expr, b[i].expr))
            return false;
    return true;
}

bool
eng_ex_equal(const struct ex *a, const struct ex *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->kind != b->kind || a->type.id != b->type.id ||
        a->type.mod != b->type.mod || a->type.scale != b->type.scale || a->negated != b->negated ||
        a->index != b->index || a->func != b->func || a->args_count != b->args_count ||
        a->cmp != b->cmp || a->distinct != b->distinct || a->order_count != b->order_count)
        return false;
    if (a->sub != NULL || b->sub != NULL || a->window != NULL || b->window != NULL)
        return false; /* another instance; equal only when it is the same object */
    if (a->kind == LUMA_EXPR_CONST) {
        if (a->value.is_null || b->value.is_null)
            return a->value.is_null == b->value.is_null;
        return a->value.phys == b->value.phys && a->value.scale == b->value.scale &&
               eng.data->value_compare(&a->value, &b->value) == 0;
    }
    for (uint32_t i = 0; i < a->args_count; i++)
        if (!eng_ex_equal(a->args[i], b->args[i]))
            return false;
    if ((a->filter != NULL) != (b->filter != NULL) ||
        (a->filter != NULL && !eng_ex_equal(a->filter, b->filter)))
        return false;
    return keys_equal(a->order, b->order, a->order_count);
}

static void
volatile_part(void *arg, struct ex **part)
{
    bool *found = arg;
    *found = *found || eng_ex_volatile(*part);
}

bool
eng_ex_volatile(const struct ex *ex)
{
    bool found = ex->func != NULL && (ex->func->flags & LUMA_FUNC_VOLATILE) != 0;
    ex_each((struct ex *)(uintptr_t)ex, volatile_part, &found);
    return found || ex->kind == LUMA_EXPR_SET;
}

static void
sublink_part(void *arg, struct ex **part)
{
    bool *found = arg;
    *found = *found || eng_ex_has_sublink(*part);
}

bool
eng_ex_has_sublink(const struct ex *ex)
{
    bool found = ex->kind == LUMA_EXPR_SUBLINK;
    ex_each((struct ex *)(uintptr_t)ex, sublink_part, &found);
    return found;
}

struct subst_walk {
    struct prep *pp;
    eng_subst_fn fn;
    void *arg;
};

static void
subst_part(void *arg, struct ex **part)
{
    struct subst_walk *walk = arg;
    *part = eng_ex_subst(walk->pp, *part, walk->fn, walk->arg);
}

static void
subst_rel(struct subst_walk *walk, struct rel *rel)
{
    if (rel == NULL)
        return;
    eng_rel_each_ex(rel, subst_part, walk);
    subst_rel(walk, rel->child[0]);
    subst_rel(walk, rel->child[1]);
    for (uint32_t i = 0; i < rel->members_count; i++)
        subst_rel(walk, rel->members[i]);
}

struct ex *
eng_ex_subst(struct prep *pp, const struct ex *ex, eng_subst_fn fn, void *arg)
{
    if (ex->kind == LUMA_EXPR_COL) {
        struct ex *by = fn(pp, arg, (uint32_t)ex->index);
        return by != NULL ? by : (struct ex *)(uintptr_t)ex;
    }
    struct ex *copy = PP_NEW(pp, struct ex);
    *copy = *ex;
    copy->args = PP_ARRAY(pp, struct ex *, ex->args_count);
    if (ex->args_count > 0)
        memcpy(copy->args, ex->args, sizeof(*ex->args) * ex->args_count);
    if (ex->order_count > 0) {
        copy->order = PP_ARRAY(pp, struct ex_key, ex->order_count);
        memcpy(copy->order, ex->order, sizeof(*ex->order) * ex->order_count);
    }
    struct subst_walk walk = {pp, fn, arg};
    ex_each(copy, subst_part, &walk);
    if (ex->sub != NULL) /* a subquery is not copied: its outer references change where they are */
        subst_rel(&walk, ex->sub);
    return copy;
}

struct rel *
eng_rel_new(struct prep *pp, enum rel_kind kind, struct rel *child)
{
    struct rel *rel = PP_NEW(pp, struct rel);
    rel->kind = kind;
    rel->rows = -1;
    rel->rowid_var = NO_VAR;
    rel->child[0] = child;
    if (child != NULL) {
        rel->outs = child->outs;
        rel->outs_count = child->outs_count;
    }
    return rel;
}

void
eng_rel_outs(struct prep *pp, struct rel *rel, struct bits *out)
{
    eng_bits_add_all(pp, out, rel->outs, rel->outs_count);
}

bool
eng_rel_defines(const struct rel *rel, uint32_t var)
{
    for (uint32_t i = 0; i < rel->outs_count; i++)
        if (rel->outs[i] == var)
            return true;
    return false;
}

struct rel *
eng_rel_filter(struct prep *pp, struct rel *child, const struct ex_list *conds)
{
    if (conds->count == 0)
        return child;
    struct rel *rel = eng_rel_new(pp, REL_FILTER, child);
    for (uint32_t i = 0; i < conds->count; i++)
        eng_list_add(pp, &rel->conds, conds->items[i]);
    return rel;
}

bool
eng_is_eq(const struct ex *ex, struct ex **out_a, struct ex **out_b)
{
    if (ex->kind != LUMA_EXPR_CALL || ex->func->op != LUMA_OP_EQ || ex->args_count != 2)
        return false;
    *out_a = ex->args[0];
    *out_b = ex->args[1];
    return true;
}
