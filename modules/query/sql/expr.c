/*
 * expr.c - making, comparing and rewriting bound expressions and plan nodes.
 */
#include "sql.h"

struct luma_expr *
sql_expr(struct sql_bind *b, enum luma_expr_kind kind, struct luma_type type, uint32_t args_count)
{
    struct luma_expr *e = SQL_NEW(b, struct luma_expr);
    e->kind = kind;
    e->type = type;
    e->args_count = args_count;
    if (args_count > 0)
        e->args = SQL_NEW_ARRAY(b, struct luma_expr *, args_count);
    return e;
}

struct luma_expr *
sql_const_null(struct sql_bind *b, struct luma_type type)
{
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CONST, type, 0);
    e->value.type = type;
    e->value.phys = (uint8_t)luma_type_phys(type);
    e->value.scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    e->value.is_null = true;
    return e;
}

struct luma_expr *
sql_const_bool(struct sql_bind *b, bool value)
{
    struct luma_expr *e = sql_const_null(b, luma_type(LUMA_TYPE_BOOL));
    e->value.is_null = false;
    e->value.b = value;
    return e;
}

struct luma_expr *
sql_const_i64(struct sql_bind *b, int64_t value)
{
    bool small = value >= INT32_MIN && value <= INT32_MAX;
    struct luma_expr *e = sql_const_null(b, luma_type(small ? LUMA_TYPE_INT4 : LUMA_TYPE_INT8));
    e->value.is_null = false;
    if (small)
        e->value.i32 = (int32_t)value;
    else
        e->value.i64 = value;
    return e;
}

struct luma_expr *
sql_const_text(struct sql_bind *b, struct luma_type type, const char *text)
{
    struct luma_expr *e = sql_const_null(b, type);
    e->value.is_null = false;
    e->value.phys = LUMA_PHYS_STR;
    e->value.str = luma_str_make(sql_text(b, text), (uint32_t)strlen(text));
    return e;
}

struct luma_expr *
sql_col(struct sql_bind *b, int32_t index, struct luma_type type)
{
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_COL, type, 0);
    e->index = index;
    return e;
}

struct luma_expr *
sql_and(struct sql_bind *b, struct luma_expr *left, struct luma_expr *right)
{
    if (left == NULL || right == NULL)
        return left != NULL ? left : right;
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_AND, luma_type(LUMA_TYPE_BOOL), 2);
    e->args[0] = left;
    e->args[1] = right;
    return e;
}

struct luma_expr *
sql_not(struct sql_bind *b, struct luma_expr *arg)
{
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_NOT, luma_type(LUMA_TYPE_BOOL), 1);
    e->args[0] = arg;
    return e;
}

static bool
const_equal(const struct luma_value *a, const struct luma_value *b)
{
    if (a->is_null || b->is_null)
        return a->is_null == b->is_null && sql_type_same(a->type, b->type);
    if (!sql_type_same(a->type, b->type))
        return false;
    if (a->type.id == LUMA_TYPE_UNKNOWN)
        return luma_str_equal(&a->str, &b->str);
    return sql_host->data->value_compare(a, b) == 0;
}

static bool
keys_equal(const struct luma_sort_key *a, const struct luma_sort_key *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (a[i].desc != b[i].desc || a[i].nulls_first != b[i].nulls_first ||
            !sql_expr_equal(a[i].expr, b[i].expr))
            return false;
    return true;
}

bool
sql_expr_equal(const struct luma_expr *a, const struct luma_expr *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->kind != b->kind || a->index != b->index ||
        a->level != b->level || a->negated != b->negated || a->func != b->func ||
        a->args_count != b->args_count || a->distinct != b->distinct || a->cmp != b->cmp ||
        a->order_count != b->order_count || a->window != b->window || a->plan != b->plan ||
        a->sublink != b->sublink || !sql_type_exact(a->type, b->type))
        return false;
    if (a->kind == LUMA_EXPR_CONST)
        return const_equal(&a->value, &b->value);
    if (a->kind == LUMA_EXPR_SUBLINK)
        return false; /* plans are not compared */
    for (uint32_t i = 0; i < a->args_count; i++)
        if (!sql_expr_equal(a->args[i], b->args[i]))
            return false;
    return sql_expr_equal(a->filter, b->filter) && keys_equal(a->order, b->order, a->order_count);
}

static bool
is_variable(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->kind == LUMA_EXPR_COL || e->kind == LUMA_EXPR_OUTER || e->kind == LUMA_EXPR_SUBLINK ||
           e->kind == LUMA_EXPR_AGG || e->kind == LUMA_EXPR_WINDOW || e->kind == LUMA_EXPR_SET;
}

bool
sql_expr_is_const(const struct luma_expr *e)
{
    return !sql_expr_walk(e, is_variable, NULL);
}

bool
sql_expr_walk(const struct luma_expr *e, bool (*fn)(void *arg, const struct luma_expr *e),
              void *arg)
{
    if (e == NULL)
        return false;
    if (fn(arg, e))
        return true;
    for (uint32_t i = 0; i < e->args_count; i++)
        if (sql_expr_walk(e->args[i], fn, arg))
            return true;
    for (uint32_t i = 0; i < e->order_count; i++)
        if (sql_expr_walk(e->order[i].expr, fn, arg))
            return true;
    return sql_expr_walk(e->filter, fn, arg);
}

/* ---- rewriting references ---- */

static void plan_map(struct sql_bind *b, struct luma_plan *plan, int32_t level, sql_map_fn fn,
                     void *arg);

static const struct luma_sort_key *
keys_map(struct sql_bind *b, const struct luma_sort_key *keys, uint32_t count, int32_t level,
         sql_map_fn fn, void *arg)
{
    if (count == 0)
        return keys;
    struct luma_sort_key *copy = SQL_NEW_ARRAY(b, struct luma_sort_key, count);
    memcpy(copy, keys, sizeof(*copy) * count);
    for (uint32_t i = 0; i < count; i++)
        copy[i].expr = sql_expr_map(b, keys[i].expr, level, fn, arg);
    return copy;
}

static const struct luma_window *
window_map(struct sql_bind *b, const struct luma_window *w, int32_t level, sql_map_fn fn, void *arg)
{
    struct luma_window *copy = SQL_NEW(b, struct luma_window);
    *copy = *w;
    if (w->partition_count > 0)
        copy->partition = SQL_NEW_ARRAY(b, struct luma_expr *, w->partition_count);
    for (uint32_t i = 0; i < w->partition_count; i++)
        copy->partition[i] = sql_expr_map(b, w->partition[i], level, fn, arg);
    copy->order = keys_map(b, w->order, w->order_count, level, fn, arg);
    return copy;
}

struct luma_expr *
sql_expr_map(struct sql_bind *b, struct luma_expr *e, int32_t level, sql_map_fn fn, void *arg)
{
    if (e == NULL)
        return NULL;
    bool done = false;
    struct luma_expr *mapped = fn(b, arg, e, level, &done);
    if (done)
        return mapped;
    struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
    *copy = *e;
    if (e->args_count > 0) {
        copy->args = SQL_NEW_ARRAY(b, struct luma_expr *, e->args_count);
        for (uint32_t i = 0; i < e->args_count; i++)
            copy->args[i] = sql_expr_map(b, e->args[i], level, fn, arg);
    }
    copy->filter = sql_expr_map(b, e->filter, level, fn, arg);
    copy->order = keys_map(b, e->order, e->order_count, level, fn, arg);
    if (e->window != NULL)
        copy->window = window_map(b, e->window, level, fn, arg);
    if (e->kind == LUMA_EXPR_SUBLINK && e->correlated)
        plan_map(b, (struct luma_plan *)e->plan, level + 1, fn, arg);
    return copy;
}

static void
exprs_map(struct sql_bind *b, struct luma_expr **exprs, size_t count, int32_t level, sql_map_fn fn,
          void *arg)
{
    for (size_t i = 0; i < count; i++)
        exprs[i] = sql_expr_map(b, exprs[i], level, fn, arg);
}

static void
change_map(struct sql_bind *b, struct luma_plan_change *c, int32_t level, sql_map_fn fn, void *arg)
{
    exprs_map(b, c->set_exprs, c->set_count, level, fn, arg);
    exprs_map(b, c->returning, c->returning_count, level, fn, arg);
    c->set_where = sql_expr_map(b, c->set_where, level, fn, arg);
    c->recheck = sql_expr_map(b, c->recheck, level, fn, arg);
}

/* A sublink's plan belongs to one expression only, so it is changed in place. */
static void
plan_map(struct sql_bind *b, struct luma_plan *plan, int32_t level, sql_map_fn fn, void *arg)
{
    if (plan == NULL)
        return;
    plan->filter = sql_expr_map(b, plan->filter, level, fn, arg);
    plan->limit = sql_expr_map(b, plan->limit, level, fn, arg);
    plan->offset = sql_expr_map(b, plan->offset, level, fn, arg);
    size_t exprs = plan->kind == LUMA_PLAN_VALUES ? (size_t)plan->values_rows * plan->cols_count
                                                  : plan->exprs_count;
    exprs_map(b, plan->exprs, exprs, level, fn, arg);
    exprs_map(b, plan->aggs, plan->aggs_count, level, fn, arg);
    exprs_map(b, plan->windows, plan->windows_count, level, fn, arg);
    plan->sort = keys_map(b, plan->sort, plan->sort_count, level, fn, arg);
    if (plan->change != NULL)
        change_map(b, (struct luma_plan_change *)plan->change, level, fn, arg);
    for (uint32_t i = 0; i < plan->children_count; i++) {
        bool lateral = plan->kind == LUMA_PLAN_JOIN && plan->lateral && i == 1;
        plan_map(b, plan->children[i], level + (lateral ? 1 : 0), fn, arg);
    }
}

/* ---- depth: what the engine's stack must bear ---- */

static uint32_t
expr_depth(const struct luma_expr *e)
{
    if (e == NULL)
        return 0;
    uint32_t deepest = expr_depth(e->filter);
    for (uint32_t i = 0; i < e->args_count; i++) {
        uint32_t depth = expr_depth(e->args[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    if (e->plan != NULL) {
        uint32_t depth = sql_plan_depth(e->plan);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static uint32_t
exprs_depth(struct luma_expr **exprs, size_t count)
{
    uint32_t deepest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t depth = expr_depth(exprs[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

uint32_t
sql_plan_depth(const struct luma_plan *plan)
{
    size_t count = plan->kind == LUMA_PLAN_VALUES ? (size_t)plan->values_rows * plan->cols_count
                                                  : plan->exprs_count;
    uint32_t depths[] = {
        expr_depth(plan->filter),
        exprs_depth(plan->exprs, count),
        exprs_depth(plan->aggs, plan->aggs_count),
        plan->children_count > 0 ? sql_plan_depth(plan->children[0]) : 0,
        plan->children_count > 1 ? sql_plan_depth(plan->children[1]) : 0,
        plan->change != NULL ? exprs_depth(plan->change->set_exprs, plan->change->set_count) : 0};
    uint32_t deepest = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(depths); i++)
        deepest = depths[i] > deepest ? depths[i] : deepest;
    return deepest + 1;
}

/* ---- plan nodes ---- */

struct luma_plan *
sql_plan(struct sql_bind *b, enum luma_plan_kind kind, struct luma_plan *child)
{
    struct luma_plan *plan = SQL_NEW(b, struct luma_plan);
    plan->kind = kind;
    if (child != NULL) {
        plan->children_count = 1;
        plan->children[0] = child;
        plan->cols_count = child->cols_count;
        plan->cols = child->cols;
    }
    return plan;
}

struct luma_plan *
sql_plan_project(struct sql_bind *b, struct luma_plan *child, uint32_t count,
                 struct luma_expr **exprs, const char *const *names)
{
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_PROJECT, child);
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, count);
    for (uint32_t i = 0; i < count; i++) {
        if (child != NULL && exprs[i]->kind == LUMA_EXPR_COL)
            cols[i] = child->cols[exprs[i]->index];
        if (names != NULL && names[i] != NULL)
            cols[i].name = names[i];
        if (cols[i].name == NULL)
            cols[i].name = "?column?";
        cols[i].type = exprs[i]->type;
    }
    plan->cols_count = count;
    plan->cols = cols;
    plan->exprs_count = count;
    plan->exprs = exprs;
    return plan;
}

struct luma_plan *
sql_plan_filter(struct sql_bind *b, struct luma_plan *child, struct luma_expr *filter)
{
    if (filter == NULL)
        return child;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_FILTER, child);
    plan->filter = filter;
    return plan;
}
