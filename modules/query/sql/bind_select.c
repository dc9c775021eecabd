/*
 * bind_select.c - SELECT: targets, WHERE, ORDER BY, DISTINCT, LIMIT, set operations, VALUES.
 */
#include "sql.h"

/* ---- targets ---- */

struct sql_target *
sql_targets_add(struct sql_bind *b, struct sql_targets *targets, struct luma_expr *expr,
                const char *name)
{
    if (targets->count == targets->room) {
        uint32_t room = targets->room == 0 ? 16 : targets->room * 2;
        struct sql_target *grown = SQL_NEW_ARRAY(b, struct sql_target, room);
        if (targets->count > 0)
            memcpy(grown, targets->list, sizeof(*grown) * targets->count);
        targets->list = grown;
        targets->room = room;
    }
    struct sql_target *t = &targets->list[targets->count++];
    *t = (struct sql_target){.expr = expr, .name = name};
    return t;
}

static void
expand_item(struct sql_bind *b, struct sql_scope *scope, const struct sql_item *item, int32_t level,
            struct sql_targets *out)
{
    for (uint32_t i = 0; i < item->cols_count; i++) {
        const struct sql_column *col = &item->cols[i];
        if (col->hidden)
            continue;
        if (item->by_column && !b->in_view)
            sql_demand(b, item->object, col->col_id, LUMA_RIGHT_SELECT);
        struct sql_target *t = sql_targets_add(b, out, sql_column_expr(b, col, level), col->name);
        t->table_id = col->table_id;
        t->col_id = col->col_id;
    }
    (void)scope;
}

/* "*" or "t.*"; false when the node is neither. */
static bool
expand_star(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
            struct sql_targets *out)
{
    if (node->node_case != PGN(COLUMN_REF))
        return false;
    const PgQuery__ColumnRef *ref = node->column_ref;
    if (ref->n_fields == 0 || ref->fields[ref->n_fields - 1]->node_case != PGN(A_STAR))
        return false;
    if (ref->n_fields == 1) {
        if (scope->items == NULL)
            SQL_THROW(b, ref->location, LUMA_E_SYNTAX, "42601",
                      "SELECT * with no tables specified is not valid");
        for (const struct sql_item *item = scope->items; item != NULL; item = item->next)
            if (item->cols_visible)
                expand_item(b, scope, item, 0, out);
        return true;
    }
    const char *schema = ref->n_fields > 2 ? sql_string(ref->fields[ref->n_fields - 3]) : NULL;
    const char *table = sql_string(ref->fields[ref->n_fields - 2]);
    int32_t level = 0;
    struct sql_scope *at;
    const struct sql_item *item = sql_item_find(scope, schema, table, &level, &at);
    if (item == NULL)
        SQL_THROW(b, ref->location, LUMA_E_UNDEFINED, "42P01",
                  "missing FROM-clause entry for table \"%s\"", table);
    for (struct sql_scope *s = scope; s != at; s = s->parent)
        s->escaped = true;
    expand_item(b, scope, item, level, out);
    return true;
}

static void
origin_of(const struct sql_scope *scope, struct sql_target *t)
{
    if (t->expr->kind != LUMA_EXPR_COL)
        return;
    for (const struct sql_item *item = scope->items; item != NULL; item = item->next)
        for (uint32_t i = 0; i < item->cols_count; i++)
            if (item->cols[i].merged == NULL && item->cols[i].index == t->expr->index) {
                t->table_id = item->cols[i].table_id;
                t->col_id = item->cols[i].col_id;
                return;
            }
}

void
sql_bind_targets(struct sql_bind *b, struct sql_scope *scope, PgQuery__Node *const *nodes,
                 size_t count, enum sql_place place, struct sql_targets *out)
{
    enum sql_place saved = scope->place;
    scope->place = place;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__ResTarget *res = nodes[i]->res_target;
        if (expand_star(b, scope, res->val, out))
            continue;
        struct luma_expr *e = sql_bind_expr(b, scope, res->val);
        const char *name = res->name[0] != '\0' ? res->name : sql_target_name(res->val, "?column?");
        struct sql_target *t = sql_targets_add(b, out, e, name);
        t->node = res->val;
        origin_of(scope, t);
    }
    scope->place = saved;
}

static bool
is_set(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->kind == LUMA_EXPR_SET;
}

static bool
has_sets(const struct sql_targets *targets)
{
    bool sets = false;
    for (uint32_t i = 0; i < targets->count; i++)
        sets |= sql_expr_walk(targets->list[i].expr, is_set, NULL);
    return sets;
}

/* Sets nested in expressions are computed one level below: f(unnest(x)) over PROJECT_SET. */
struct lift {
    struct luma_plan *child;
    struct sql_targets sets;
};

static struct luma_expr *
lift_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    struct lift *lift = arg;
    if (level != 0 || e->kind != LUMA_EXPR_SET)
        return NULL;
    *out_done = true;
    sql_targets_add(b, &lift->sets, e, e->func->name);
    return sql_col(b, (int32_t)(lift->child->cols_count + lift->sets.count - 1), e->type);
}

static struct luma_plan *
project_set(struct sql_bind *b, struct luma_plan *child, uint32_t count, struct luma_expr **exprs,
            const char *const *names)
{
    struct luma_plan *plan = sql_plan_project(b, child, count, exprs, names);
    plan->kind = LUMA_PLAN_PROJECT_SET;
    return plan;
}

static struct luma_plan *
plan_sets(struct sql_bind *b, struct luma_plan *child, uint32_t count, struct luma_expr **exprs,
          const char *const *names)
{
    bool nested = false;
    for (uint32_t i = 0; i < count; i++)
        nested |= exprs[i]->kind != LUMA_EXPR_SET && sql_expr_walk(exprs[i], is_set, NULL);
    if (!nested)
        return project_set(b, child, count, exprs, names);
    struct luma_plan none = {.cols_count = 0};
    struct lift lift = {.child = child != NULL ? child : &none};
    for (uint32_t i = 0; i < count; i++)
        exprs[i] = sql_expr_map(b, exprs[i], 0, lift_map, &lift);
    uint32_t n = lift.child->cols_count, total = n + lift.sets.count;
    struct luma_expr **below = SQL_NEW_ARRAY(b, struct luma_expr *, total);
    for (uint32_t i = 0; i < n; i++)
        below[i] = sql_col(b, (int32_t)i, lift.child->cols[i].type);
    for (uint32_t i = 0; i < lift.sets.count; i++)
        below[n + i] = lift.sets.list[i].expr;
    return sql_plan_project(b, project_set(b, child, total, below, NULL), count, exprs, names);
}

struct luma_plan *
sql_plan_targets(struct sql_bind *b, struct luma_plan *child, const struct sql_targets *targets)
{
    uint32_t n = targets->count;
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    const char **names = SQL_NEW_ARRAY(b, const char *, n);
    for (uint32_t i = 0; i < n; i++) {
        exprs[i] = targets->list[i].expr;
        names[i] = targets->list[i].name;
    }
    struct luma_plan *plan = has_sets(targets) ? plan_sets(b, child, n, exprs, names)
                                               : sql_plan_project(b, child, n, exprs, names);
    struct luma_plan_col *cols = (struct luma_plan_col *)plan->cols;
    for (uint32_t i = 0; i < n; i++) {
        cols[i].table_id = targets->list[i].table_id;
        cols[i].col_id = targets->list[i].col_id;
    }
    return plan;
}

/* ---- ORDER BY, DISTINCT ON ---- */

void
sql_sort_key(struct sql_bind *b, const PgQuery__SortBy *by, struct luma_expr *expr,
             struct luma_sort_key *out)
{
    if (!sql_type_sortable(expr->type)) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883",
                                   "could not identify an ordering operator for type %s",
                                   sql_type_text(b, expr->type));
        sql_hint(b, "Use an explicit ordering operator or modify the query.");
        sql_throw(b, sql_node_location(by->node), rc);
    }
    out->expr = expr;
    out->desc = by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    if (by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
        const char *op = sql_name_parts(by->use_op, by->n_use_op, NULL);
        out->desc = op[0] == '>';
    }
    out->nulls_first = by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                           ? out->desc
                           : by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
}

static int32_t
target_ordinal(struct sql_bind *b, const PgQuery__Node *node, const struct sql_targets *targets,
               const char *clause)
{
    if (node->node_case != PGN(A_CONST) || node->a_const->isnull)
        return -1;
    if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
        SQL_THROW(b, node->a_const->location, LUMA_E_SYNTAX, "42601", "non-integer constant in %s",
                  clause);
    int32_t n = node->a_const->ival->ival;
    uint32_t visible = 0;
    for (uint32_t i = 0; i < targets->count; i++)
        visible += !targets->list[i].junk;
    if (n < 1 || (uint32_t)n > visible)
        SQL_THROW(b, node->a_const->location, LUMA_E_SYNTAX, "42P10",
                  "%s position %d is not in select list", clause, n);
    return n - 1;
}

static int32_t
target_by_name(struct sql_bind *b, const PgQuery__Node *node, const struct sql_targets *targets,
               const char *clause)
{
    if (node->node_case != PGN(COLUMN_REF) || node->column_ref->n_fields != 1)
        return -1;
    const char *name = sql_string(node->column_ref->fields[0]);
    int32_t found = -1;
    for (uint32_t i = 0; i < targets->count; i++) {
        if (targets->list[i].junk || strcmp(targets->list[i].name, name) != 0)
            continue;
        if (found >= 0 && !sql_expr_equal(targets->list[found].expr, targets->list[i].expr))
            SQL_THROW(b, node->column_ref->location, LUMA_E_SYNTAX, "42702",
                      "%s \"%s\" is ambiguous", clause, name);
        found = found < 0 ? (int32_t)i : found;
    }
    return found;
}

/* The target an ORDER BY or DISTINCT ON item means; a new junk one when it is none of the list. */
static uint32_t
target_of(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
          struct sql_targets *targets, const char *clause)
{
    int32_t at = target_by_name(b, node, targets, clause);
    if (at < 0)
        at = target_ordinal(b, node, targets, clause);
    if (at >= 0)
        return (uint32_t)at;
    enum sql_place saved = scope->place;
    scope->place = SQL_PLACE_ORDER;
    struct luma_expr *e = sql_known(b, sql_bind_expr(b, scope, node));
    scope->place = saved;
    for (uint32_t i = 0; i < targets->count; i++)
        if (sql_expr_equal(targets->list[i].expr, e))
            return i;
    sql_targets_add(b, targets, e, "?column?")->junk = true;
    return targets->count - 1;
}

struct ordering {
    uint32_t count;
    uint32_t *targets;
    struct luma_sort_key *keys; /* exprs are filled in over the projection */
    uint32_t on_count;
    uint32_t *on;
};

static void
bind_ordering(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
              struct sql_targets *targets, struct ordering *out)
{
    out->count = (uint32_t)select->n_sort_clause;
    out->targets = SQL_NEW_ARRAY(b, uint32_t, out->count);
    out->keys = SQL_NEW_ARRAY(b, struct luma_sort_key, out->count);
    for (uint32_t i = 0; i < out->count; i++) {
        const PgQuery__SortBy *by = select->sort_clause[i]->sort_by;
        out->targets[i] = target_of(b, scope, by->node, targets, "ORDER BY");
        struct luma_expr *e = targets->list[out->targets[i]].expr;
        sql_sort_key(b, by, sql_known(b, e), &out->keys[i]);
    }
}

static bool
has_distinct(const PgQuery__SelectStmt *select)
{
    return select->n_distinct_clause > 0;
}

static bool
has_distinct_on(const PgQuery__SelectStmt *select)
{
    return select->n_distinct_clause > 0 && select->distinct_clause[0] != NULL &&
           select->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET;
}

static void
bind_distinct_on(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
                 struct sql_targets *targets, struct ordering *o)
{
    if (!has_distinct_on(select))
        return;
    o->on_count = (uint32_t)select->n_distinct_clause;
    o->on = SQL_NEW_ARRAY(b, uint32_t, o->on_count);
    for (uint32_t i = 0; i < o->on_count; i++)
        o->on[i] = target_of(b, scope, select->distinct_clause[i], targets, "DISTINCT ON");
    for (uint32_t i = 0; i < o->count && i < o->on_count; i++) {
        bool found = false;
        for (uint32_t j = 0; j < o->on_count; j++)
            found |= o->on[j] == o->targets[i];
        if (!found)
            SQL_THROW(b, sql_node_location(select->distinct_clause[0]), LUMA_E_SYNTAX, "42P10",
                      "SELECT DISTINCT ON expressions must match initial ORDER BY expressions");
    }
}

static struct luma_plan *
plan_sort(struct sql_bind *b, struct luma_plan *plan, const struct ordering *o)
{
    if (o->count == 0)
        return plan;
    struct luma_plan *sort = sql_plan(b, LUMA_PLAN_SORT, plan);
    for (uint32_t i = 0; i < o->count; i++)
        o->keys[i].expr = sql_col(b, (int32_t)o->targets[i], plan->cols[o->targets[i]].type);
    sort->sort_count = o->count;
    sort->sort = o->keys;
    return sort;
}

/* Keeps the first `count` columns; leading ones named by `order` when that is not NULL. */
static struct luma_plan *
plan_trim(struct sql_bind *b, struct luma_plan *plan, uint32_t first, uint32_t count)
{
    if (first == 0 && count == plan->cols_count)
        return plan;
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, count);
    for (uint32_t i = 0; i < count; i++)
        exprs[i] = sql_col(b, (int32_t)(first + i), plan->cols[first + i].type);
    return sql_plan_project(b, plan, count, exprs, NULL);
}

/* DISTINCT ON: its columns are repeated in front, where the node wants them. */
static struct luma_plan *
plan_distinct_on(struct sql_bind *b, struct luma_plan *plan, const struct ordering *o,
                 uint32_t visible)
{
    uint32_t n = o->on_count + plan->cols_count;
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    for (uint32_t i = 0; i < o->on_count; i++)
        exprs[i] = sql_col(b, (int32_t)o->on[i], plan->cols[o->on[i]].type);
    for (uint32_t i = 0; i < plan->cols_count; i++)
        exprs[o->on_count + i] = sql_col(b, (int32_t)i, plan->cols[i].type);
    struct luma_plan *front = sql_plan_project(b, plan, n, exprs, NULL);
    struct luma_plan *distinct = sql_plan(b, LUMA_PLAN_DISTINCT, front);
    distinct->distinct_count = o->on_count;
    return plan_trim(b, distinct, o->on_count, visible);
}

static void
check_distinct_types(struct sql_bind *b, const struct luma_plan *plan)
{
    for (uint32_t i = 0; i < plan->cols_count; i++)
        if (plan->cols[i].type.id == LUMA_TYPE_JSON)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42883",
                      "could not identify an equality operator for type %s",
                      sql_type_text(b, plan->cols[i].type));
}

/* ---- LIMIT ---- */

static struct luma_expr *
bind_count(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node, const char *what)
{
    if (node == NULL || (node->node_case == PGN(A_CONST) && node->a_const->isnull))
        return NULL;
    struct sql_scope none = {.parent = scope->parent, .place = SQL_PLACE_LIMIT};
    struct luma_expr *e = sql_bind_expr(b, &none, node);
    scope->escaped |= none.escaped;
    struct luma_expr *n =
        sql_coerce_try(b, e, luma_type(LUMA_TYPE_INT8), SQL_CAST_ASSIGN, sql_node_location(node));
    if (n == NULL)
        SQL_THROW(b, sql_node_location(node), LUMA_E_TYPE, "42804",
                  "argument of %s must be type bigint, not type %s", what,
                  sql_type_text(b, e->type));
    return n;
}

struct luma_plan *
sql_bind_limit(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
               struct luma_plan *plan)
{
    if (select->limit_count == NULL && select->limit_offset == NULL)
        return plan;
    struct luma_plan *limit = sql_plan(b, LUMA_PLAN_LIMIT, plan);
    limit->limit = bind_count(b, scope, select->limit_count, "LIMIT");
    limit->offset = bind_count(b, scope, select->limit_offset, "OFFSET");
    limit->with_ties = select->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES;
    if (limit->with_ties && select->n_sort_clause == 0)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "WITH TIES cannot be specified without ORDER BY clause");
    if (limit->with_ties && select->limit_count->node_case == PGN(A_CONST) &&
        select->limit_count->a_const->isnull)
        SQL_THROW(b, -1, LUMA_E_INVALID, "2201W",
                  "row count cannot be null in FETCH FIRST ... WITH TIES clause");
    return limit;
}

/* ---- FOR UPDATE ---- */

static bool
lock_names(const PgQuery__LockingClause *clause, const struct sql_item *item)
{
    if (clause->n_locked_rels == 0)
        return true;
    for (size_t i = 0; i < clause->n_locked_rels; i++)
        if (item->name != NULL &&
            strcmp(clause->locked_rels[i]->range_var->relname, item->name) == 0)
            return true;
    return false;
}

static void
set_lock(struct luma_plan_lock *lock, const PgQuery__LockingClause *clause)
{
    switch (clause->strength) {
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORUPDATE:
        lock->mode = LUMA_LOCK_UPDATE;
        break;
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE:
        lock->mode = LUMA_LOCK_NO_KEY_UPDATE;
        break;
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORSHARE:
        lock->mode = LUMA_LOCK_SHARE;
        break;
    default:
        lock->mode = LUMA_LOCK_KEY_SHARE;
        break;
    }
    lock->wait = clause->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitError ? LUMA_LOCK_NOWAIT
                 : clause->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitSkip ? LUMA_LOCK_SKIP
                                                                                   : LUMA_LOCK_WAIT;
}

static struct luma_plan *
plan_locks(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
           struct luma_plan *plan)
{
    uint32_t items = 0, n = 0;
    for (const struct sql_item *item = scope->items; item != NULL; item = item->next)
        items++;
    struct luma_plan_lock *locks =
        SQL_NEW_ARRAY(b, struct luma_plan_lock, items * select->n_locking_clause);
    for (size_t i = 0; i < select->n_locking_clause; i++) {
        const PgQuery__LockingClause *clause = select->locking_clause[i]->locking_clause;
        for (const struct sql_item *item = scope->items; item != NULL; item = item->next) {
            if (item->rowid_index < 0 || !lock_names(clause, item))
                continue;
            if (!b->in_view && !sql_rights(b, item->object, 0, LUMA_RIGHT_UPDATE))
                sql_demand(b, item->object, 0, LUMA_RIGHT_UPDATE);
            locks[n].coll_id = item->object->id;
            locks[n].rowid_col = (uint32_t)item->rowid_index;
            set_lock(&locks[n++], clause);
        }
    }
    if (n == 0)
        return plan;
    struct luma_plan *node = sql_plan(b, LUMA_PLAN_LOCK, plan);
    node->locks_count = n;
    node->locks = locks;
    return node;
}

/* Names after OF are those of FROM. */
static void
check_locked_names(struct sql_bind *b, const PgQuery__SelectStmt *select,
                   const struct sql_scope *scope)
{
    for (size_t i = 0; i < select->n_locking_clause; i++) {
        const PgQuery__LockingClause *clause = select->locking_clause[i]->locking_clause;
        for (size_t r = 0; r < clause->n_locked_rels; r++) {
            const PgQuery__RangeVar *rel = clause->locked_rels[r]->range_var;
            const struct sql_item *item = scope->items;
            while (item != NULL && (item->name == NULL || strcmp(item->name, rel->relname) != 0))
                item = item->next;
            if (item == NULL)
                SQL_THROW(b, rel->location, LUMA_E_NOTFOUND, "42P01",
                          "relation \"%s\" in FOR UPDATE clause not found in FROM clause",
                          rel->relname);
        }
    }
}

/*
 * Rows are locked in the order they are wanted in, and no more of them than LIMIT lets through: the
 * sort goes below the locks, over the columns of FROM and its own keys, and the limit is told to
 * them.
 */
static struct luma_plan *
plan_sort_first(struct sql_bind *b, struct luma_plan *plan, const struct sql_targets *targets,
                struct ordering *o)
{
    uint32_t cols = plan->cols_count, n = cols + o->count;
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    for (uint32_t i = 0; i < cols; i++)
        exprs[i] = sql_col(b, (int32_t)i, plan->cols[i].type);
    for (uint32_t i = 0; i < o->count; i++) {
        exprs[cols + i] = targets->list[o->targets[i]].expr;
        o->targets[i] = cols + i;
    }
    plan = plan_sort(b, sql_plan_project(b, plan, n, exprs, NULL), o);
    o->count = 0;
    return plan;
}

static void
limit_locks(struct luma_plan *plan)
{
    const struct luma_plan *limit = plan->kind == LUMA_PLAN_LIMIT ? plan : NULL;
    if (limit == NULL || limit->with_ties)
        return;
    do
        plan = plan->children[0];
    while (plan->kind == LUMA_PLAN_PROJECT && plan->children_count > 0);
    if (plan->kind == LUMA_PLAN_LOCK) {
        plan->limit = limit->limit;
        plan->offset = limit->offset;
    }
}

static void
check_locking(struct sql_bind *b, const PgQuery__SelectStmt *select, const struct sql_scope *scope)
{
    check_locked_names(b, select, scope);
    const char *with = has_distinct(select)            ? "DISTINCT clause"
                       : select->n_group_clause > 0    ? "GROUP BY clause"
                       : select->having_clause != NULL ? "HAVING clause"
                       : scope->aggs_count > 0         ? "aggregate functions"
                       : scope->windows_count > 0      ? "window functions"
                                                       : NULL;
    if (with != NULL)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "FOR UPDATE is not allowed with %s", with);
}

/* ---- one SELECT ---- */

static struct luma_plan *
finish_select(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
              struct luma_plan *plan, struct sql_targets *targets, const struct ordering *o,
              uint32_t visible)
{
    bool distinct_on = o->on_count > 0;
    plan = sql_plan_targets(b, plan, targets);
    if (has_distinct(select) && !distinct_on) {
        if (targets->count > visible)
            SQL_THROW(b, sql_node_location(select->sort_clause[0]->sort_by->node), LUMA_E_SYNTAX,
                      "42P10",
                      "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
        check_distinct_types(b, plan);
        plan = sql_plan(b, LUMA_PLAN_DISTINCT, plan);
    }
    plan = plan_sort(b, plan, o);
    if (distinct_on)
        plan = plan_distinct_on(b, plan, o, visible);
    plan = sql_bind_limit(b, scope, select, plan);
    if (select->n_locking_clause > 0)
        limit_locks(plan);
    return distinct_on ? plan : plan_trim(b, plan, 0, visible);
}

static struct luma_plan *
bind_simple(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select)
{
    struct sql_from from = {NULL, NULL};
    struct sql_targets targets = {NULL, 0, 0};
    struct sql_group group = {.keys_count = 0};
    struct ordering order = {.count = 0};
    bool keep_unknown = b->keep_unknown, want_rowids = b->want_rowids;
    b->keep_unknown = false;
    const PgQuery__SelectStmt *locking = b->locking;
    b->want_rowids = select->n_locking_clause > 0;
    b->locking = select;
    scope->select = select;
    sql_bind_from(b, scope, select->from_clause, select->n_from_clause, &from);
    b->want_rowids = want_rowids;
    b->locking = locking;
    struct luma_expr *where =
        sql_bind_condition(b, scope, select->where_clause, SQL_PLACE_WHERE, "WHERE");
    sql_bind_targets(b, scope, select->target_list, select->n_target_list, SQL_PLACE_TARGET,
                     &targets);
    for (uint32_t i = 0; i < targets.count && !keep_unknown; i++)
        targets.list[i].expr = sql_known(b, targets.list[i].expr);
    uint32_t visible = targets.count;
    sql_bind_group(b, scope, select, &targets, &group);
    struct luma_expr *having =
        sql_bind_condition(b, scope, select->having_clause, SQL_PLACE_HAVING, "HAVING");
    bind_ordering(b, scope, select, &targets, &order);
    bind_distinct_on(b, scope, select, &targets, &order);
    struct luma_plan *plan = from.plan;
    if (where != NULL)
        plan = sql_plan_filter(b, plan != NULL ? plan : sql_plan_project(b, NULL, 0, NULL, NULL),
                               where);
    if (select->n_locking_clause > 0) {
        check_locking(b, select, scope);
        if (plan != NULL && order.count > 0 && !has_sets(&targets))
            plan = plan_sort_first(b, plan, &targets, &order);
        plan = plan != NULL ? plan_locks(b, scope, select, plan) : plan;
    }
    if (scope->aggs_count > 0 || group.keys_count > 0 || group.sets_count > 0 || having != NULL) {
        plan = sql_plan_group(b, scope, plan, &group, &targets, &having);
        plan = sql_plan_filter(b, plan, having);
    }
    if (scope->windows_count > 0)
        plan = sql_plan_windows(b, scope, plan, &targets);
    return finish_select(b, scope, select, plan, &targets, &order, visible);
}

/* ---- VALUES ---- */

static struct luma_plan *
bind_values(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select)
{
    uint32_t rows = (uint32_t)select->n_values_lists;
    uint32_t cols = (uint32_t)select->values_lists[0]->list->n_items;
    bool keep_unknown = b->keep_unknown;
    b->keep_unknown = false;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_VALUES, NULL);
    plan->values_rows = rows;
    plan->cols_count = cols;
    plan->exprs = SQL_NEW_ARRAY(b, struct luma_expr *, (size_t)rows * cols);
    scope->place = SQL_PLACE_VALUES;
    for (uint32_t r = 0; r < rows; r++) {
        const PgQuery__List *list = select->values_lists[r]->list;
        if (list->n_items != cols)
            SQL_THROW(b, sql_node_location(list->items[0]), LUMA_E_SYNTAX, "42601",
                      "VALUES lists must all be the same length");
        for (uint32_t c = 0; c < cols; c++)
            plan->exprs[(size_t)r * cols + c] = sql_bind_expr(b, scope, list->items[c]);
    }
    struct luma_plan_col *out = SQL_NEW_ARRAY(b, struct luma_plan_col, cols);
    struct luma_expr **column = SQL_NEW_ARRAY(b, struct luma_expr *, rows);
    for (uint32_t c = 0; c < cols; c++) {
        bool all_unknown = true;
        for (uint32_t r = 0; r < rows; r++) {
            column[r] = plan->exprs[(size_t)r * cols + c];
            all_unknown &= column[r]->type.id == LUMA_TYPE_UNKNOWN;
        }
        struct luma_type type = luma_type(LUMA_TYPE_UNKNOWN);
        if (!all_unknown || !keep_unknown)
            type = sql_common_type(b, column, rows, "VALUES", -1);
        for (uint32_t r = 0; r < rows && type.id != LUMA_TYPE_UNKNOWN; r++)
            plan->exprs[(size_t)r * cols + c] =
                sql_coerce(b, column[r], type, SQL_CAST_IMPLICIT, -1);
        out[c].name = sql_format(b, "column%u", c + 1);
        out[c].type = type;
    }
    plan->cols = out;
    return plan;
}

/* ---- UNION, INTERSECT, EXCEPT ---- */

struct luma_plan *
sql_plan_coerce(struct sql_bind *b, struct luma_plan *plan, const struct luma_type *types,
                enum sql_cast_context context)
{
    bool same = true;
    uint32_t n = plan->cols_count;
    for (uint32_t i = 0; i < n; i++)
        same &= sql_type_exact(plan->cols[i].type, types[i]);
    if (same)
        return plan;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, n);
    memcpy(cols, plan->cols, sizeof(*cols) * n);
    for (uint32_t i = 0; i < n; i++)
        cols[i].type = types[i];
    bool in_place = plan->kind == LUMA_PLAN_VALUES || plan->kind == LUMA_PLAN_PROJECT;
    struct luma_plan *out = plan;
    uint32_t rows = plan->kind == LUMA_PLAN_VALUES ? plan->values_rows : 1;
    if (!in_place) {
        struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, n);
        for (uint32_t i = 0; i < n; i++)
            exprs[i] = sql_col(b, (int32_t)i, plan->cols[i].type);
        out = sql_plan_project(b, plan, n, exprs, NULL);
    }
    for (size_t i = 0; i < (size_t)rows * n; i++)
        out->exprs[i] = sql_coerce(b, out->exprs[i], types[i % n], context, -1);
    out->cols = cols;
    return out;
}

static struct luma_plan *bind_body(struct sql_bind *b, struct sql_scope *parent,
                                   const PgQuery__SelectStmt *select, bool *out_escaped);

static const char *
setop_name(const PgQuery__SelectStmt *s)
{
    return s->op == PG_SETOP(UNION)       ? "UNION"
           : s->op == PG_SETOP(INTERSECT) ? "INTERSECT"
                                          : "EXCEPT";
}

static struct luma_plan *
setop_branch(struct sql_bind *b, struct sql_scope *parent, const PgQuery__SelectStmt *select,
             bool *out_escaped)
{
    b->keep_unknown = true;
    struct luma_plan *plan = sql_bind_select(b, parent, select, out_escaped);
    b->keep_unknown = false;
    return plan;
}

static struct luma_plan *
bind_setop(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select)
{
    if (select->n_locking_clause > 0)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT");
    struct luma_plan *left = setop_branch(b, scope->parent, select->larg, &scope->escaped);
    struct luma_plan *right = setop_branch(b, scope->parent, select->rarg, &scope->escaped);
    if (left->cols_count != right->cols_count)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "each %s query must have the same number of columns", setop_name(select));
    uint32_t n = left->cols_count;
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, n);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_expr *pair[2] = {sql_col(b, 0, left->cols[i].type),
                                     sql_col(b, 0, right->cols[i].type)};
        types[i] = sql_common_type(b, pair, 2, setop_name(select), -1);
    }
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_SETOP, NULL);
    plan->children_count = 2;
    plan->children[0] = sql_plan_coerce(b, left, types, SQL_CAST_IMPLICIT);
    plan->children[1] = sql_plan_coerce(b, right, types, SQL_CAST_IMPLICIT);
    plan->setop = select->op == PG_SETOP(UNION)       ? LUMA_SETOP_UNION
                  : select->op == PG_SETOP(INTERSECT) ? LUMA_SETOP_INTERSECT
                                                      : LUMA_SETOP_EXCEPT;
    plan->all = select->all;
    plan->cols_count = n;
    plan->cols = plan->children[0]->cols;
    return plan;
}

/* ORDER BY and LIMIT over a set operation or VALUES: output columns only. */
static struct luma_plan *
sort_output(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
            struct luma_plan *plan)
{
    struct sql_targets targets = {NULL, 0, 0};
    struct ordering order = {.count = 0};
    for (uint32_t i = 0; i < plan->cols_count; i++)
        sql_targets_add(b, &targets, sql_col(b, (int32_t)i, plan->cols[i].type),
                        plan->cols[i].name);
    scope->items = NULL;
    bind_ordering(b, scope, select, &targets, &order);
    if (targets.count > plan->cols_count && plan->kind != LUMA_PLAN_VALUES) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                   "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
        b->ctx->error->detail =
            "Only result column names can be used, not expressions or functions.";
        sql_throw(b, -1, rc);
    }
    return sql_bind_limit(b, scope, select, plan_sort(b, plan, &order));
}

static struct luma_plan *
bind_body(struct sql_bind *b, struct sql_scope *parent, const PgQuery__SelectStmt *select,
          bool *out_escaped)
{
    struct sql_scope scope = {.parent = parent};
    struct luma_plan *plan;
    if (select->op != PG_SETOP(NONE) && select->op != 0)
        plan = sort_output(b, &scope, select, bind_setop(b, &scope, select));
    else if (select->n_values_lists > 0)
        plan = sort_output(b, &scope, select, bind_values(b, &scope, select));
    else
        plan = bind_simple(b, &scope, select);
    if (out_escaped != NULL)
        *out_escaped |= scope.escaped;
    return plan;
}

struct luma_plan *
sql_bind_select(struct sql_bind *b, struct sql_scope *parent, const PgQuery__SelectStmt *select,
                bool *out_escaped)
{
    bool escaped = false, keep_unknown = b->keep_unknown;
    if (select->into_clause != NULL)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "SELECT ... INTO is not allowed here");
    b->keep_unknown = false;
    struct sql_cte *saved = sql_with_begin(b, parent, select->with_clause, &escaped);
    b->keep_unknown = keep_unknown;
    struct luma_plan *plan = bind_body(b, parent, select, &escaped);
    plan = sql_with_end(b, plan, saved);
    if (out_escaped != NULL)
        *out_escaped |= escaped;
    return plan;
}

struct luma_plan *
sql_bind_query(struct sql_bind *b, struct sql_scope *parent, const PgQuery__Node *node,
               bool *out_escaped)
{
    switch (node->node_case) {
    case PGN(SELECT_STMT):
        return sql_bind_select(b, parent, node->select_stmt, out_escaped);
    case PGN(INSERT_STMT):
        return sql_bind_insert(b, parent, node->insert_stmt);
    case PGN(UPDATE_STMT):
        return sql_bind_update(b, parent, node->update_stmt);
    case PGN(DELETE_STMT):
        return sql_bind_delete(b, parent, node->delete_stmt);
    default:
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "%s is not supported",
                  node->node_case == PGN(MERGE_STMT) ? "MERGE" : "this statement");
    }
}
