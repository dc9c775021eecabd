/*
 * bind_group.c - GROUP BY, grouping sets, aggregates and window functions: what stands above them
 * is rewritten to refer to their output.
 */
#include "sql.h"

#define KEYS_MAX 64u
#define SETS_MAX 4096u

/* ---- GROUP BY ---- */

static const struct sql_target *
group_target(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
             const struct sql_targets *targets)
{
    if (node->node_case == PGN(A_CONST) && !node->a_const->isnull) {
        if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
            SQL_THROW(b, node->a_const->location, LUMA_E_SYNTAX, "42601",
                      "non-integer constant in GROUP BY");
        int32_t n = node->a_const->ival->ival;
        if (n < 1 || (uint32_t)n > targets->count)
            SQL_THROW(b, node->a_const->location, LUMA_E_SYNTAX, "42P10",
                      "GROUP BY position %d is not in select list", n);
        return &targets->list[n - 1];
    }
    if (node->node_case != PGN(COLUMN_REF) || node->column_ref->n_fields != 1)
        return NULL;
    /* an input column goes before an output name */
    const char *name = sql_string(node->column_ref->fields[0]);
    for (const struct sql_item *item = scope->items; item != NULL; item = item->next)
        for (uint32_t i = 0; item->cols_visible && i < item->cols_count; i++)
            if (strcmp(item->cols[i].name, name) == 0)
                return NULL;
    for (uint32_t i = 0; i < targets->count; i++)
        if (strcmp(targets->list[i].name, name) == 0)
            return &targets->list[i];
    return NULL;
}

static bool
has_aggregate(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->kind == LUMA_EXPR_AGG;
}

/* Bit of the key, which is added when it is new. */
static uint64_t
group_key(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
          const struct sql_targets *targets, struct sql_group *group)
{
    const struct sql_target *t = group_target(b, scope, node, targets);
    struct luma_expr *e = t != NULL ? t->expr : NULL;
    if (e == NULL) {
        scope->place = SQL_PLACE_GROUP;
        e = sql_bind_expr(b, scope, node);
        scope->place = SQL_PLACE_OTHER;
    }
    e = sql_known(b, e);
    if (sql_expr_walk(e, has_aggregate, NULL))
        SQL_THROW(b, sql_node_location(node), LUMA_E_SYNTAX, "42803",
                  "aggregate functions are not allowed in GROUP BY");
    for (uint32_t i = 0; i < group->keys_count; i++)
        if (sql_expr_equal(group->keys[i], e))
            return (uint64_t)1 << i;
    if (e->type.id == LUMA_TYPE_JSON)
        SQL_THROW(b, sql_node_location(node), LUMA_E_UNDEFINED, "42883",
                  "could not identify an equality operator for type json");
    if (group->keys_count >= KEYS_MAX)
        SQL_THROW(b, sql_node_location(node), LUMA_E_LIMIT, "54011",
                  "GROUP BY can have at most %u expressions", KEYS_MAX);
    if (group->keys == NULL)
        group->keys = SQL_NEW_ARRAY(b, struct luma_expr *, KEYS_MAX);
    group->keys[group->keys_count] = e;
    return (uint64_t)1 << group->keys_count++;
}

struct sets {
    uint64_t *masks;
    uint32_t count;
};

static void
sets_add(struct sql_bind *b, struct sets *sets, uint64_t mask)
{
    if (sets->masks == NULL)
        sets->masks = SQL_NEW_ARRAY(b, uint64_t, SETS_MAX);
    if (sets->count >= SETS_MAX)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54001", "too many grouping sets present (maximum %u)",
                  SETS_MAX);
    sets->masks[sets->count++] = mask;
}

/* One element of ROLLUP or CUBE: a column or a parenthesized list. */
static uint64_t
element_mask(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
             const struct sql_targets *targets, struct sql_group *group)
{
    if (node->node_case != PGN(ROW_EXPR))
        return group_key(b, scope, node, targets, group);
    uint64_t mask = 0;
    for (size_t i = 0; i < node->row_expr->n_args; i++)
        mask |= group_key(b, scope, node->row_expr->args[i], targets, group);
    return mask;
}

static void
node_sets(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
          const struct sql_targets *targets, struct sql_group *group, struct sets *out)
{
    if (node->node_case != PGN(GROUPING_SET)) {
        sets_add(b, out, element_mask(b, scope, node, targets, group));
        return;
    }
    const PgQuery__GroupingSet *gs = node->grouping_set;
    uint64_t masks[KEYS_MAX];
    if (gs->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_EMPTY) {
        sets_add(b, out, 0);
        return;
    }
    if (gs->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_SETS) {
        for (size_t i = 0; i < gs->n_content; i++)
            node_sets(b, scope, gs->content[i], targets, group, out);
        return;
    }
    bool cube = gs->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_CUBE;
    if (gs->n_content > (cube ? 12 : KEYS_MAX))
        SQL_THROW(b, gs->location, LUMA_E_LIMIT, "54011", "%s is limited to %u elements",
                  cube ? "CUBE" : "ROLLUP", cube ? 12u : KEYS_MAX);
    for (size_t i = 0; i < gs->n_content; i++)
        masks[i] = element_mask(b, scope, gs->content[i], targets, group);
    if (!cube) {
        for (size_t n = gs->n_content + 1; n-- > 0;) {
            uint64_t mask = 0;
            for (size_t i = 0; i < n; i++)
                mask |= masks[i];
            sets_add(b, out, mask);
        }
        return;
    }
    for (uint64_t pick = ((uint64_t)1 << gs->n_content); pick-- > 0;) {
        uint64_t mask = 0;
        for (size_t i = 0; i < gs->n_content; i++)
            if ((pick >> (gs->n_content - 1 - i)) & 1)
                mask |= masks[i];
        sets_add(b, out, mask);
    }
}

/* Several items of GROUP BY: the cross product of their sets. */
static void
sets_cross(struct sql_bind *b, struct sets *left, const struct sets *right)
{
    struct sets out = {NULL, 0};
    for (uint32_t i = 0; i < left->count; i++)
        for (uint32_t j = 0; j < right->count; j++)
            sets_add(b, &out, left->masks[i] | right->masks[j]);
    *left = out;
}

void
sql_bind_group(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
               struct sql_targets *targets, struct sql_group *out)
{
    bool any_sets = false;
    for (size_t i = 0; i < select->n_group_clause; i++)
        any_sets |= select->group_clause[i]->node_case == PGN(GROUPING_SET);
    if (!any_sets) {
        for (size_t i = 0; i < select->n_group_clause; i++)
            element_mask(b, scope, select->group_clause[i], targets, out);
        return;
    }
    struct sets all = {NULL, 0};
    sets_add(b, &all, 0);
    for (size_t i = 0; i < select->n_group_clause; i++) {
        struct sets one = {NULL, 0};
        node_sets(b, scope, select->group_clause[i], targets, out, &one);
        sets_cross(b, &all, &one);
    }
    if (select->group_distinct) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < all.count; i++) {
            bool seen = false;
            for (uint32_t k = 0; k < kept; k++)
                seen |= all.masks[k] == all.masks[i];
            if (!seen)
                all.masks[kept++] = all.masks[i];
        }
        all.count = kept;
    }
    out->sets_count = all.count;
    out->sets = all.masks;
}

/* ---- rewriting over AGGREGATE ---- */

struct regroup {
    struct sql_scope *scope;
    struct sql_group *group;
    struct luma_plan *child;
    struct luma_expr **aggs;
    uint32_t aggs_count, aggs_room;
};

static void
ungrouped(struct sql_bind *b, const struct regroup *r, const struct luma_expr *col)
{
    int32_t index = col->index;
    const char *table = NULL, *column = "?column?";
    for (const struct sql_item *item = r->scope->items; item != NULL; item = item->next)
        for (uint32_t i = 0; i < item->cols_count; i++)
            if (item->cols[i].merged == NULL && item->cols[i].index == index && table == NULL) {
                table = item->name;
                column = item->cols[i].name;
            }
    SQL_THROW(b, (int32_t)col->position - 1, LUMA_E_SYNTAX, "42803",
              "column \"%s%s%s\" must appear in the GROUP BY clause or be used in an aggregate "
              "function",
              table != NULL ? table : "", table != NULL ? "." : "", column);
}

static const struct sql_item *
item_of_index(const struct sql_scope *scope, int32_t index)
{
    for (const struct sql_item *item = scope->items; item != NULL; item = item->next)
        for (uint32_t i = 0; i < item->cols_count; i++)
            if (item->object != NULL && item->cols[i].merged == NULL &&
                item->cols[i].index == index)
                return item;
    return NULL;
}

static bool
key_has_column(const struct sql_group *group, const struct sql_item *item, uint32_t col_id)
{
    for (uint32_t i = 0; i < item->cols_count; i++) {
        if (item->cols[i].col_id != col_id)
            continue;
        for (uint32_t k = 0; k < group->keys_count; k++)
            if (group->keys[k]->kind == LUMA_EXPR_COL &&
                group->keys[k]->index == item->cols[i].index)
                return true;
    }
    return false;
}

/* A column whose table's primary key is grouped by depends on it: it becomes a key too. */
static int32_t
dependent_key(struct sql_bind *b, struct regroup *r, struct luma_expr *col)
{
    const struct sql_item *item = item_of_index(r->scope, col->index);
    if (item == NULL || r->group->sets_count > 0 || r->group->keys_count >= KEYS_MAX)
        return -1;
    for (uint32_t i = 0; i < item->object->indexes_count; i++) {
        const struct luma_cat_index *index = &item->object->indexes[i];
        bool all = index->primary;
        for (uint32_t c = 0; all && c < index->cols_count; c++)
            all = key_has_column(r->group, item, index->cols[c].col_id);
        if (all) {
            if (r->group->keys == NULL)
                r->group->keys = SQL_NEW_ARRAY(b, struct luma_expr *, KEYS_MAX);
            r->group->keys[r->group->keys_count] = col;
            return (int32_t)r->group->keys_count++;
        }
    }
    return -1;
}

/* A cast that changes no bits leaves the column what it is, under another type. */
static bool
is_key(const struct luma_expr *key, const struct luma_expr *e)
{
    return sql_expr_equal(key, e) ||
           (key->kind == LUMA_EXPR_COL && e->kind == LUMA_EXPR_COL && key->index == e->index);
}

#define AGG_BASE 1000000 /* aggregates' columns until the number of keys is final */

static struct luma_expr *
agg_column(struct sql_bind *b, struct regroup *r, struct luma_expr *agg)
{
    for (uint32_t i = 0; i < r->aggs_count; i++)
        if (sql_expr_equal(r->aggs[i], agg))
            return sql_col(b, (int32_t)(AGG_BASE + i), agg->type);
    if (r->aggs_count == r->aggs_room) {
        uint32_t room = r->aggs_room == 0 ? 16 : r->aggs_room * 2;
        struct luma_expr **grown = SQL_NEW_ARRAY(b, struct luma_expr *, room);
        if (r->aggs_count > 0)
            memcpy(grown, r->aggs, sizeof(*grown) * r->aggs_count);
        r->aggs = grown;
        r->aggs_room = room;
    }
    r->aggs[r->aggs_count] = agg;
    return sql_col(b, (int32_t)(AGG_BASE + r->aggs_count++), agg->type);
}

static struct luma_expr *
regroup_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    struct regroup *r = arg;
    if (level > 0) {
        if (e->kind != LUMA_EXPR_OUTER || e->level != level)
            return NULL;
        struct luma_expr *local = sql_col(b, e->index, e->type);
        for (uint32_t i = 0; i <= r->group->keys_count; i++) {
            int32_t key = i < r->group->keys_count
                              ? (sql_expr_equal(r->group->keys[i], local) ? (int32_t)i : -1)
                              : dependent_key(b, r, local);
            if (key < 0)
                continue;
            struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
            *copy = *e;
            copy->index = key;
            *out_done = true;
            return copy;
        }
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42803", "subquery uses ungrouped column from outer query");
    }
    for (uint32_t i = 0; i < r->group->keys_count; i++)
        if (is_key(r->group->keys[i], e)) {
            *out_done = true;
            return sql_col(b, (int32_t)i, e->type);
        }
    if (e->kind == LUMA_EXPR_AGG) {
        *out_done = true;
        return agg_column(b, r, e);
    }
    if (e->kind == LUMA_EXPR_COL) {
        int32_t key = dependent_key(b, r, e);
        if (key < 0)
            ungrouped(b, r, e);
        *out_done = true;
        return sql_col(b, key, e->type);
    }
    return NULL;
}

/* Now that the keys are final, aggregates get their place behind them. */
static struct luma_expr *
place_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    uint32_t keys = *(const uint32_t *)arg;
    if (level != 0 || e->kind != LUMA_EXPR_COL || e->index < AGG_BASE)
        return NULL;
    *out_done = true;
    return sql_col(b, e->index - AGG_BASE + (int32_t)keys, e->type);
}

struct luma_plan *
sql_plan_group(struct sql_bind *b, struct sql_scope *scope, struct luma_plan *child,
               struct sql_group *group, struct sql_targets *targets, struct luma_expr **having)
{
    struct regroup r = {.scope = scope, .group = group, .child = child};
    for (uint32_t i = 0; i < targets->count; i++)
        targets->list[i].expr = sql_expr_map(b, targets->list[i].expr, 0, regroup_map, &r);
    *having = sql_expr_map(b, *having, 0, regroup_map, &r);
    for (uint32_t i = 0; i < targets->count; i++)
        targets->list[i].expr =
            sql_expr_map(b, targets->list[i].expr, 0, place_map, &group->keys_count);
    *having = sql_expr_map(b, *having, 0, place_map, &group->keys_count);

    struct luma_plan *plan = sql_plan(
        b, LUMA_PLAN_AGGREGATE, child != NULL ? child : sql_plan_project(b, NULL, 0, NULL, NULL));
    uint32_t n = group->keys_count + r.aggs_count;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, n);
    for (uint32_t i = 0; i < group->keys_count; i++) {
        if (group->keys[i]->kind == LUMA_EXPR_COL)
            cols[i] = plan->children[0]->cols[group->keys[i]->index];
        cols[i].name = cols[i].name != NULL ? cols[i].name : "?column?";
        cols[i].type = group->keys[i]->type;
    }
    for (uint32_t i = 0; i < r.aggs_count; i++)
        cols[group->keys_count + i] =
            (struct luma_plan_col){r.aggs[i]->func->name, r.aggs[i]->type, 0, 0};
    plan->cols_count = n;
    plan->cols = cols;
    plan->exprs_count = group->keys_count;
    plan->exprs = group->keys;
    plan->aggs_count = r.aggs_count;
    plan->aggs = r.aggs;
    plan->sets_count = group->sets_count;
    plan->sets = group->sets;
    return plan;
}

/* ---- windows ---- */

#define FRAME_NONDEFAULT                0x00001
#define FRAME_RANGE                     0x00002
#define FRAME_ROWS                      0x00004
#define FRAME_GROUPS                    0x00008
#define FRAME_START_UNBOUNDED_PRECEDING 0x00020
#define FRAME_END_UNBOUNDED_FOLLOWING   0x00100
#define FRAME_START_CURRENT_ROW         0x00200
#define FRAME_END_CURRENT_ROW           0x00400
#define FRAME_START_OFFSET_PRECEDING    0x00800
#define FRAME_END_OFFSET_PRECEDING      0x01000
#define FRAME_START_OFFSET_FOLLOWING    0x02000
#define FRAME_END_OFFSET_FOLLOWING      0x04000
#define FRAME_EXCLUDE_CURRENT_ROW       0x08000
#define FRAME_EXCLUDE_GROUP             0x10000
#define FRAME_EXCLUDE_TIES              0x20000

static const PgQuery__WindowDef *
window_named(struct sql_bind *b, const struct sql_scope *scope, const char *name, int32_t location)
{
    for (size_t i = 0; scope->select != NULL && i < scope->select->n_window_clause; i++)
        if (strcmp(scope->select->window_clause[i]->window_def->name, name) == 0)
            return scope->select->window_clause[i]->window_def;
    SQL_THROW(b, location, LUMA_E_UNDEFINED, "42704", "window \"%s\" does not exist", name);
}

static bool
is_variable(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->kind == LUMA_EXPR_COL;
}

/* What is added to values of the order's type: NONE, nothing can be. */
static struct luma_type
range_offset_type(struct luma_type order)
{
    switch (order.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
        return luma_type(LUMA_TYPE_INT8);
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8:
        return luma_type(LUMA_TYPE_FLOAT8);
    case LUMA_TYPE_NUMERIC:
        return luma_type(LUMA_TYPE_NUMERIC);
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_INTERVAL:
        return luma_type(LUMA_TYPE_INTERVAL);
    default:
        return luma_type(LUMA_TYPE_NONE);
    }
}

static struct luma_expr *
range_offset(struct sql_bind *b, const struct luma_window *w, struct luma_expr *e, int32_t location)
{
    if (w->order_count != 1)
        SQL_THROW(b, location, LUMA_E_SYNTAX, "42P20",
                  "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column");
    struct luma_type order = w->order[0].expr->type, type = range_offset_type(order);
    if (type.id == LUMA_TYPE_NONE)
        SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                  "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s",
                  sql_type_text(b, order));
    struct luma_expr *offset = sql_coerce_try(b, e, type, SQL_CAST_IMPLICIT, location);
    if (offset == NULL)
        SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                  "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and "
                  "offset type %s",
                  sql_type_text(b, order), sql_type_text(b, e->type));
    return offset;
}

static void
window_frame(struct sql_bind *b, struct sql_scope *scope, const PgQuery__WindowDef *def,
             struct luma_window *w)
{
    int32_t f = def->frame_options;
    w->mode = f & FRAME_ROWS     ? LUMA_FRAME_ROWS
              : f & FRAME_GROUPS ? LUMA_FRAME_GROUPS
                                 : LUMA_FRAME_RANGE;
    w->start = f & FRAME_START_CURRENT_ROW        ? LUMA_BOUND_CURRENT
               : f & FRAME_START_OFFSET_PRECEDING ? LUMA_BOUND_PRECEDING
               : f & FRAME_START_OFFSET_FOLLOWING ? LUMA_BOUND_FOLLOWING
                                                  : LUMA_BOUND_UNBOUNDED_PRECEDING;
    w->end = f & FRAME_END_UNBOUNDED_FOLLOWING ? LUMA_BOUND_UNBOUNDED_FOLLOWING
             : f & FRAME_END_OFFSET_PRECEDING  ? LUMA_BOUND_PRECEDING
             : f & FRAME_END_OFFSET_FOLLOWING  ? LUMA_BOUND_FOLLOWING
                                               : LUMA_BOUND_CURRENT;
    w->exclude = f & FRAME_EXCLUDE_CURRENT_ROW ? 1
                 : f & FRAME_EXCLUDE_GROUP     ? 2
                 : f & FRAME_EXCLUDE_TIES      ? 3
                                               : 0;
    if (w->mode == LUMA_FRAME_GROUPS && w->order_count == 0)
        SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42P20",
                  "GROUPS mode requires an ORDER BY clause");
    static const char *const modes[] = {
        [LUMA_FRAME_ROWS] = "ROWS", [LUMA_FRAME_RANGE] = "RANGE", [LUMA_FRAME_GROUPS] = "GROUPS"};
    struct luma_expr **offsets[2] = {&w->start_offset, &w->end_offset};
    const PgQuery__Node *nodes[2] = {def->start_offset, def->end_offset};
    for (int i = 0; i < 2; i++) {
        if (nodes[i] == NULL)
            continue;
        struct luma_expr *e = sql_bind_expr(b, scope, nodes[i]);
        int32_t location = sql_node_location(nodes[i]);
        if (sql_expr_walk(e, is_variable, NULL))
            SQL_THROW(b, location, LUMA_E_SYNTAX, "42P10",
                      "argument of %s must not contain variables", modes[w->mode]);
        *offsets[i] = w->mode == LUMA_FRAME_RANGE
                          ? range_offset(b, w, e, location)
                          : sql_coerce(b, e, luma_type(LUMA_TYPE_INT8), SQL_CAST_ASSIGN, location);
    }
}

static void
window_order(struct sql_bind *b, struct sql_scope *scope, const PgQuery__WindowDef *def,
             struct luma_window *w)
{
    if (def->n_order_clause == 0)
        return;
    struct luma_sort_key *keys = SQL_NEW_ARRAY(b, struct luma_sort_key, def->n_order_clause);
    for (size_t i = 0; i < def->n_order_clause; i++) {
        const PgQuery__SortBy *by = def->order_clause[i]->sort_by;
        sql_sort_key(b, by, sql_known(b, sql_bind_expr(b, scope, by->node)), &keys[i]);
    }
    w->order_count = (uint32_t)def->n_order_clause;
    w->order = keys;
}

const struct luma_window *
sql_bind_window(struct sql_bind *b, struct sql_scope *scope, const PgQuery__WindowDef *def)
{
    struct luma_window *w = SQL_NEW(b, struct luma_window);
    bool named = def->name[0] != '\0' && def->n_partition_clause == 0 && def->n_order_clause == 0 &&
                 def->refname[0] == '\0' && scope->select != NULL;
    const PgQuery__WindowDef *base = NULL;
    if (named)
        def = window_named(b, scope, def->name, def->location);
    if (def->refname[0] != '\0') {
        base = window_named(b, scope, def->refname, def->location);
        *w = *sql_bind_window(b, scope, base);
    }
    if (def->n_partition_clause > 0) {
        w->partition_count = (uint32_t)def->n_partition_clause;
        w->partition = SQL_NEW_ARRAY(b, struct luma_expr *, w->partition_count);
        for (uint32_t i = 0; i < w->partition_count; i++)
            w->partition[i] = sql_known(b, sql_bind_expr(b, scope, def->partition_clause[i]));
    }
    window_order(b, scope, def, w);
    window_frame(b, scope, def, w);
    return w;
}

struct rewindow {
    uint32_t base;
    struct luma_expr **windows;
    uint32_t count, room;
};

static struct luma_expr *
rewindow_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    struct rewindow *r = arg;
    if (level != 0 || e->kind != LUMA_EXPR_WINDOW)
        return NULL;
    if (r->count == r->room) {
        uint32_t room = r->room == 0 ? 8 : r->room * 2;
        struct luma_expr **grown = SQL_NEW_ARRAY(b, struct luma_expr *, room);
        if (r->count > 0)
            memcpy(grown, r->windows, sizeof(*grown) * r->count);
        r->windows = grown;
        r->room = room;
    }
    r->windows[r->count] = e;
    *out_done = true;
    return sql_col(b, (int32_t)(r->base + r->count++), e->type);
}

struct luma_plan *
sql_plan_windows(struct sql_bind *b, struct sql_scope *scope, struct luma_plan *child,
                 struct sql_targets *targets)
{
    (void)scope;
    if (child == NULL)
        child = sql_plan_project(b, NULL, 0, NULL, NULL);
    struct rewindow r = {.base = child->cols_count};
    for (uint32_t i = 0; i < targets->count; i++)
        targets->list[i].expr = sql_expr_map(b, targets->list[i].expr, 0, rewindow_map, &r);
    if (r.count == 0)
        return child;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_WINDOW, child);
    uint32_t n = child->cols_count + r.count;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, n);
    if (child->cols_count > 0)
        memcpy(cols, child->cols, sizeof(*cols) * child->cols_count);
    for (uint32_t i = 0; i < r.count; i++)
        cols[child->cols_count + i] =
            (struct luma_plan_col){r.windows[i]->func->name, r.windows[i]->type, 0, 0};
    plan->cols_count = n;
    plan->cols = cols;
    plan->windows_count = r.count;
    plan->windows = r.windows;
    return plan;
}
