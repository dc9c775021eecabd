/*
 * bind_change.c - INSERT, UPDATE, DELETE.
 */
#include "sql.h"

static const struct luma_cat_object *
target_table(struct sql_bind *b, const PgQuery__RangeVar *var, const char *verb,
             struct sql_relation *out)
{
    for (const struct sql_cte *cte = b->ctes; cte != NULL && var->schemaname[0] == '\0';
         cte = cte->next)
        if (strcmp(cte->name, var->relname) == 0)
            SQL_THROW(b, var->location, LUMA_E_TYPE, "42809",
                      "relation \"%s\" cannot be the target of a modifying statement", cte->name);
    sql_relation_get(b, var, out);
    if (out->object == NULL)
        SQL_THROW(b, var->location, LUMA_E_DENIED, "42501",
                  "permission denied: \"%s\" is a system catalog", out->virt->name);
    if (out->object->kind == LUMA_CAT_VIEW) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNSUPPORTED, "55000", "cannot %s view \"%s\"",
                                   verb, out->object->name);
        b->ctx->error->detail = "Views are not automatically updatable.";
        sql_throw(b, -1, rc);
    }
    if (out->object->kind != LUMA_CAT_TABLE)
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "cannot change %s \"%s\"",
                  out->object->kind == LUMA_CAT_SEQUENCE ? "sequence" : "index", out->object->name);
    return out->object;
}

static uint32_t
column_position(struct sql_bind *b, const struct luma_cat_object *table, const char *name,
                int32_t location)
{
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (strcmp(table->cols[i].name, name) == 0)
            return i;
    SQL_THROW(b, location, LUMA_E_UNDEFINED, "42703",
              "column \"%s\" of relation \"%s\" does not exist", name, table->name);
}

static struct luma_expr *
assign(struct sql_bind *b, const struct luma_cat_column *col, struct luma_expr *e, int32_t location)
{
    struct luma_expr *out = sql_coerce_try(b, e, col->type, SQL_CAST_ASSIGN, location);
    if (out != NULL)
        return out;
    luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42804",
                               "column \"%s\" is of type %s but expression is of type %s",
                               col->name, sql_type_text(b, col->type), sql_type_text(b, e->type));
    sql_hint(b, "You will need to rewrite or cast the expression.");
    sql_throw(b, location, rc);
}

static void
demand_columns(struct sql_bind *b, const struct luma_cat_object *table, const uint32_t *cols,
               uint32_t count, uint32_t rights)
{
    if (b->in_view || sql_rights(b, table, 0, rights))
        return;
    if (count == 0)
        sql_demand(b, table, 0, rights);
    for (uint32_t i = 0; i < count; i++)
        if (!sql_rights(b, table, table->cols[cols[i]].id, rights))
            sql_demand(b, table, 0, rights);
}

/* ---- INSERT ---- */

struct insert {
    const PgQuery__InsertStmt *stmt;
    const struct luma_cat_object *table;
    uint32_t cols_count;
    uint32_t *cols;              /* positions named (or implied) */
    struct luma_expr **defaults; /* per table column */
};

static void
insert_columns(struct sql_bind *b, struct insert *in)
{
    const PgQuery__InsertStmt *stmt = in->stmt;
    uint32_t n = (uint32_t)stmt->n_cols;
    in->cols = SQL_NEW_ARRAY(b, uint32_t, in->table->cols_count);
    if (n > in->table->cols_count)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42701", "a column is specified more than once");
    if (n == 0) {
        in->cols_count = in->table->cols_count;
        for (uint32_t i = 0; i < in->cols_count; i++)
            in->cols[i] = i;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const PgQuery__ResTarget *res = stmt->cols[i]->res_target;
        in->cols[i] = column_position(b, in->table, res->name, res->location);
        for (uint32_t j = 0; j < i; j++)
            if (in->cols[j] == in->cols[i])
                SQL_THROW(b, res->location, LUMA_E_SYNTAX, "42701",
                          "column \"%s\" specified more than once", res->name);
    }
    in->cols_count = n;
}

static struct luma_expr *
default_of(struct sql_bind *b, struct insert *in, uint32_t position)
{
    if (in->defaults[position] == NULL)
        in->defaults[position] = sql_column_default(b, in->table, &in->table->cols[position]);
    return in->defaults[position];
}

/* May a value be given for this column at all? */
static void
check_given(struct sql_bind *b, const struct insert *in, uint32_t position)
{
    const struct luma_cat_column *col = &in->table->cols[position];
    luma_rc rc = LUMA_OK;
    if (col->generated_sql != NULL) {
        rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "428C9",
                           "cannot insert a non-DEFAULT value into column \"%s\"", col->name);
        b->ctx->error->detail = "The column is a generated column.";
    } else if (col->identity == 'a' &&
               in->stmt->override != PG_QUERY__OVERRIDING_KIND__OVERRIDING_SYSTEM_VALUE) {
        rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "428C9",
                           "cannot insert a non-DEFAULT value into column \"%s\"", col->name);
        b->ctx->error->detail = "The column is an identity column defined as GENERATED ALWAYS.";
        sql_hint(b, "Use OVERRIDING SYSTEM VALUE to override.");
    }
    if (rc != LUMA_OK)
        sql_throw(b, -1, rc);
}

static void
wrong_count(struct sql_bind *b, bool more_values, int32_t location)
{
    SQL_THROW(b, location, LUMA_E_SYNTAX, "42601", "INSERT has more %s than %s",
              more_values ? "expressions" : "target columns",
              more_values ? "target columns" : "expressions");
}

static void
insert_row(struct sql_bind *b, struct insert *in, const PgQuery__List *list, struct luma_expr **row)
{
    struct sql_scope scope = {.place = SQL_PLACE_VALUES};
    if (list->n_items > in->cols_count)
        wrong_count(b, true, sql_node_location(list->items[in->cols_count]));
    if (list->n_items < in->cols_count && in->stmt->n_cols > 0)
        wrong_count(b, false, in->stmt->cols[list->n_items]->res_target->location);
    for (size_t i = 0; i < list->n_items; i++) {
        const PgQuery__Node *node = list->items[i];
        uint32_t at = in->cols[i];
        if (node->node_case == PGN(SET_TO_DEFAULT))
            continue;
        check_given(b, in, at);
        row[at] = assign(b, &in->table->cols[at], sql_bind_expr(b, &scope, node),
                         sql_node_location(node));
    }
    for (uint32_t i = 0; i < in->table->cols_count; i++)
        if (row[i] == NULL)
            row[i] = default_of(b, in, i);
}

static struct luma_plan_col *
row_columns(struct sql_bind *b, const struct luma_cat_object *table)
{
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++)
        cols[i] =
            (struct luma_plan_col){sql_text(b, table->cols[i].name), table->cols[i].type, 0, 0};
    return cols;
}

static struct luma_plan *
insert_values(struct sql_bind *b, struct insert *in, const PgQuery__SelectStmt *values)
{
    uint32_t n = in->table->cols_count;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_VALUES, NULL);
    plan->values_rows = values != NULL ? (uint32_t)values->n_values_lists : 1;
    plan->cols_count = n;
    plan->cols = row_columns(b, in->table);
    plan->exprs = SQL_NEW_ARRAY(b, struct luma_expr *, (size_t)plan->values_rows * n);
    if (values == NULL) {
        for (uint32_t i = 0; i < n; i++)
            plan->exprs[i] = default_of(b, in, i);
        return plan;
    }
    for (uint32_t r = 0; r < plan->values_rows; r++) {
        const PgQuery__List *list = values->values_lists[r]->list;
        if (list->n_items != values->values_lists[0]->list->n_items)
            SQL_THROW(b, sql_node_location(list->items[0]), LUMA_E_SYNTAX, "42601",
                      "VALUES lists must all be the same length");
        insert_row(b, in, list, plan->exprs + (size_t)r * n);
    }
    return plan;
}

static struct luma_plan *
insert_select(struct sql_bind *b, struct insert *in, const PgQuery__SelectStmt *select)
{
    b->keep_unknown = true;
    struct luma_plan *child = sql_bind_select(b, NULL, select, NULL);
    b->keep_unknown = false;
    if (child->cols_count > in->cols_count)
        wrong_count(b, true, -1);
    if (child->cols_count < in->cols_count && in->stmt->n_cols > 0)
        wrong_count(b, false, in->stmt->cols[child->cols_count]->res_target->location);
    uint32_t n = in->table->cols_count;
    /* untyped literals of the SELECT take the columns' types where they stand */
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, child->cols_count);
    for (uint32_t i = 0; i < child->cols_count; i++) {
        types[i] = child->cols[i].type;
        if (types[i].id == LUMA_TYPE_UNKNOWN)
            types[i] = in->table->cols[in->cols[i]].type;
    }
    child = sql_plan_coerce(b, child, types, SQL_CAST_ASSIGN);
    struct luma_expr **row = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    for (uint32_t i = 0; i < child->cols_count; i++) {
        uint32_t at = in->cols[i];
        check_given(b, in, at);
        row[at] = assign(b, &in->table->cols[at], sql_col(b, (int32_t)i, child->cols[i].type), -1);
    }
    for (uint32_t i = 0; i < n; i++)
        if (row[i] == NULL)
            row[i] = default_of(b, in, i);
    struct luma_plan *plan = sql_plan_project(b, child, n, row, NULL);
    plan->cols = row_columns(b, in->table);
    return plan;
}

/* Generated columns are computed from the others. */
static struct luma_plan *
plan_generated(struct sql_bind *b, const struct luma_cat_object *table, struct luma_plan *plan)
{
    bool any = false;
    for (uint32_t i = 0; i < table->cols_count; i++)
        any |= table->cols[i].generated_sql != NULL;
    if (!any)
        return plan;
    struct luma_expr **row = SQL_NEW_ARRAY(b, struct luma_expr *, table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++) {
        const struct luma_cat_column *col = &table->cols[i];
        row[i] = col->generated_sql == NULL
                     ? sql_col(b, (int32_t)i, col->type)
                     : sql_coerce(b,
                                  sql_bind_text(b, col->generated_sql,
                                                sql_item_of_row(b, table, table->name, 0),
                                                SQL_PLACE_CHECK),
                                  col->type, SQL_CAST_ASSIGN, -1);
    }
    struct luma_plan *out = sql_plan_project(b, plan, table->cols_count, row, NULL);
    out->cols = row_columns(b, table);
    return out;
}

static void
bind_returning(struct sql_bind *b, struct sql_item *items, PgQuery__Node *const *nodes,
               size_t count, struct luma_plan *plan, struct luma_plan_change *change)
{
    struct sql_targets targets = {NULL, 0, 0};
    struct sql_scope scope = {.items = items};
    if (count == 0)
        return;
    sql_bind_targets(b, &scope, nodes, count, SQL_PLACE_RETURNING, &targets);
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, targets.count);
    change->returning = SQL_NEW_ARRAY(b, struct luma_expr *, targets.count);
    change->returning_count = targets.count;
    for (uint32_t i = 0; i < targets.count; i++) {
        change->returning[i] = sql_known(b, targets.list[i].expr);
        cols[i] = (struct luma_plan_col){targets.list[i].name, change->returning[i]->type,
                                         targets.list[i].table_id, targets.list[i].col_id};
    }
    plan->cols_count = targets.count;
    plan->cols = cols;
}

/* ---- ON CONFLICT ---- */

static bool
index_covers(struct sql_bind *b, const struct luma_cat_object *table,
             const struct luma_cat_index *index, const PgQuery__InferClause *infer)
{
    if (!index->unique || index->cols_count != infer->n_index_elems)
        return false;
    for (size_t i = 0; i < infer->n_index_elems; i++) {
        const PgQuery__IndexElem *elem = infer->index_elems[i]->index_elem;
        if (elem->expr != NULL)
            SQL_THROW(b, infer->location, LUMA_E_UNSUPPORTED, "0A000",
                      "ON CONFLICT over expressions is not supported");
        uint32_t col_id = table->cols[column_position(b, table, elem->name, infer->location)].id;
        bool found = false;
        for (uint32_t c = 0; c < index->cols_count; c++)
            found |= index->cols[c].col_id == col_id;
        if (!found)
            return false;
    }
    return true;
}

static uint64_t
infer_index(struct sql_bind *b, const struct luma_cat_object *table,
            const PgQuery__InferClause *infer)
{
    if (infer == NULL)
        return 0;
    if (infer->conname[0] != '\0') {
        for (uint32_t i = 0; i < table->constraints_count; i++)
            if (table->constraints[i].index_id != 0 &&
                strcmp(table->constraints[i].name, infer->conname) == 0)
                return table->constraints[i].index_id;
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
                  "constraint \"%s\" for table \"%s\" does not exist", infer->conname, table->name);
    }
    for (uint32_t i = 0; i < table->indexes_count; i++)
        if (index_covers(b, table, &table->indexes[i], infer))
            return table->indexes[i].id;
    SQL_THROW(b, -1, LUMA_E_INVALID, "42P10",
              "there is no unique or exclusion constraint matching the ON CONFLICT specification");
}

/* ---- SET lists ---- */

struct set_list {
    const struct luma_cat_object *table;
    uint32_t count;
    uint32_t *cols;
    struct luma_expr **exprs;
};

static struct luma_expr *
multi_assign(struct sql_bind *b, struct sql_scope *scope, const PgQuery__MultiAssignRef *ref)
{
    const PgQuery__Node *source = ref->source;
    uint32_t at = (uint32_t)ref->colno - 1;
    if (source->node_case == PGN(ROW_EXPR)) {
        if (source->row_expr->n_args != (size_t)ref->ncolumns)
            SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                      "number of columns does not match number of values");
        return sql_bind_expr(b, scope, source->row_expr->args[at]);
    }
    if (source->node_case != PGN(SUB_LINK))
        SQL_THROW(
            b, -1, LUMA_E_UNSUPPORTED, "0A000",
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression");
    bool correlated = false;
    struct luma_plan *plan =
        sql_bind_select(b, scope, source->sub_link->subselect->select_stmt, &correlated);
    if (plan->cols_count != (uint32_t)ref->ncolumns)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "number of columns does not match number of values");
    struct luma_expr **one = SQL_NEW_ARRAY(b, struct luma_expr *, 1);
    one[0] = sql_col(b, (int32_t)at, plan->cols[at].type);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_SUBLINK, plan->cols[at].type, 0);
    e->sublink = LUMA_SUBLINK_SCALAR;
    e->plan = sql_plan_project(b, plan, 1, one, NULL);
    e->correlated = correlated;
    return e;
}

static void
bind_set(struct sql_bind *b, struct sql_scope *scope, const struct luma_cat_object *table,
         PgQuery__Node *const *targets, size_t count, struct set_list *out)
{
    out->table = table;
    out->cols = SQL_NEW_ARRAY(b, uint32_t, count + table->cols_count);
    out->exprs = SQL_NEW_ARRAY(b, struct luma_expr *, count + table->cols_count);
    scope->place = SQL_PLACE_SET;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__ResTarget *res = targets[i]->res_target;
        uint32_t at = column_position(b, table, res->name, res->location);
        const struct luma_cat_column *col = &table->cols[at];
        if (res->n_indirection > 0)
            SQL_THROW(b, res->location, LUMA_E_UNSUPPORTED, "0A000",
                      "assignment to array elements is not supported");
        for (uint32_t j = 0; j < out->count; j++)
            if (out->cols[j] == at)
                SQL_THROW(b, res->location, LUMA_E_SYNTAX, "42601",
                          "multiple assignments to same column \"%s\"", res->name);
        bool is_default = res->val->node_case == PGN(SET_TO_DEFAULT);
        if (!is_default && (col->generated_sql != NULL || col->identity == 'a')) {
            luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "428C9",
                                       "column \"%s\" can only be updated to DEFAULT", col->name);
            sql_throw(b, res->location, rc);
        }
        struct luma_expr *e = is_default ? sql_column_default(b, table, col)
                              : res->val->node_case == PGN(MULTI_ASSIGN_REF)
                                  ? multi_assign(b, scope, res->val->multi_assign_ref)
                                  : sql_bind_expr(b, scope, res->val);
        out->cols[out->count] = at;
        out->exprs[out->count++] = assign(b, col, e, sql_node_location(res->val));
    }
    scope->place = SQL_PLACE_OTHER;
}

/* Columns computed from ones that change are set too. */
static struct luma_expr *
set_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    (void)b;
    struct set_list *set = arg;
    if (level != 0 || e->kind != LUMA_EXPR_COL)
        return NULL;
    for (uint32_t i = 0; i < set->count; i++)
        if ((int32_t)set->cols[i] == e->index) {
            *out_done = true;
            return set->exprs[i];
        }
    return NULL;
}

static void
set_generated(struct sql_bind *b, struct set_list *set)
{
    struct set_list given = *set;
    for (uint32_t i = 0; i < set->table->cols_count; i++) {
        const struct luma_cat_column *col = &set->table->cols[i];
        if (col->generated_sql == NULL)
            continue;
        struct luma_expr *e =
            sql_bind_text(b, col->generated_sql,
                          sql_item_of_row(b, set->table, set->table->name, 0), SQL_PLACE_CHECK);
        e = sql_expr_map(b, assign(b, col, e, -1), 0, set_map, &given);
        set->cols[set->count] = i;
        set->exprs[set->count++] = e;
    }
}

static void
bind_on_conflict(struct sql_bind *b, const struct luma_cat_object *table, const char *alias,
                 const PgQuery__OnConflictClause *on, struct luma_plan_change *change)
{
    if (on == NULL)
        return;
    bool update = on->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE;
    change->conflict = update ? LUMA_CONFLICT_REPORT : LUMA_CONFLICT_SKIP;
    change->conflict_index = infer_index(b, table, on->infer);
    if (!update)
        return;
    if (on->infer == NULL) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_SYNTAX, "42601",
                                   "ON CONFLICT DO UPDATE requires inference specification or "
                                   "constraint name");
        sql_hint(b, "For example, ON CONFLICT (column_name).");
        sql_throw(b, on->location, rc);
    }
    struct sql_item *existing = sql_item_of_row(b, table, alias, 0);
    struct sql_item *proposed = sql_item_of_row(b, table, "excluded", (int32_t)table->cols_count);
    proposed->cols_visible = false;
    existing->next = proposed;
    struct sql_scope scope = {.items = existing};
    struct set_list set = {.count = 0};
    bind_set(b, &scope, table, on->target_list, on->n_target_list, &set);
    set_generated(b, &set);
    demand_columns(b, table, set.cols, set.count, LUMA_RIGHT_UPDATE);
    change->set_count = set.count;
    change->set_cols = set.cols;
    change->set_exprs = set.exprs;
    change->set_where = sql_bind_condition(b, &scope, on->where_clause, SQL_PLACE_WHERE, "WHERE");
}

struct luma_plan *
sql_bind_insert(struct sql_bind *b, struct sql_scope *parent, const PgQuery__InsertStmt *stmt)
{
    struct sql_relation rel;
    bool escaped = false;
    struct sql_cte *saved = sql_with_begin(b, parent, stmt->with_clause, &escaped);
    struct insert in = {.stmt = stmt};
    in.table = target_table(b, stmt->relation, "insert into", &rel);
    in.defaults = SQL_NEW_ARRAY(b, struct luma_expr *, in.table->cols_count);
    insert_columns(b, &in);
    demand_columns(b, in.table, in.cols, in.cols_count, LUMA_RIGHT_INSERT);
    const PgQuery__SelectStmt *select =
        stmt->select_stmt != NULL ? stmt->select_stmt->select_stmt : NULL;
    bool values = select == NULL || (select->n_values_lists > 0 && select->n_sort_clause == 0 &&
                                     select->limit_count == NULL && select->limit_offset == NULL &&
                                     select->with_clause == NULL);
    struct luma_plan *child =
        values ? insert_values(b, &in, select) : insert_select(b, &in, select);
    child = plan_generated(b, in.table, child);
    const char *alias = stmt->relation->alias != NULL ? stmt->relation->alias->aliasname
                                                      : sql_text(b, in.table->name);
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_INSERT, child);
    struct luma_plan_change *change = sql_change_of(b, in.table, true);
    plan->cols_count = 0;
    plan->cols = NULL;
    plan->table_name = change->table_name;
    plan->change = change;
    change->bulk = !values;
    bind_on_conflict(b, in.table, alias, stmt->on_conflict_clause, change);
    sql_foreign_bind(b, in.table, change, LUMA_PLAN_INSERT);
    if (stmt->n_returning_list > 0)
        demand_columns(b, in.table, NULL, 0, LUMA_RIGHT_SELECT);
    bind_returning(b, sql_item_of_row(b, in.table, alias, 0), stmt->returning_list,
                   stmt->n_returning_list, plan, change);
    return sql_with_end(b, plan, saved);
}

/* ---- UPDATE, DELETE ---- */

/* The target with its row id, crossed with FROM or USING, filtered. */
static struct luma_plan *
change_source(struct sql_bind *b, struct sql_scope *scope, const struct sql_relation *rel,
              const PgQuery__RangeVar *var, PgQuery__Node *const *from_nodes, size_t from_count,
              const PgQuery__Node *where_node, struct luma_plan_change *change)
{
    struct sql_from from = {NULL, NULL};
    uint32_t rights = where_node != NULL || from_count > 0 ? LUMA_RIGHT_SELECT : 0;
    from.items = sql_item_of_table(b, rel, var->alias, true, rights, &from.plan);
    sql_bind_from(b, scope, from_nodes, from_count, &from);
    struct luma_expr *where = sql_bind_condition(b, scope, where_node, SQL_PLACE_WHERE, "WHERE");
    change->recheck = where;
    return sql_plan_filter(b, from.plan, where);
}

/* RETURNING sees the new row, then what came after the row id. */
static struct sql_item *
returning_items(struct sql_bind *b, const struct sql_scope *scope)
{
    struct sql_item *items = NULL, *tail = NULL;
    for (const struct sql_item *item = scope->items; item != NULL; item = item->next) {
        struct sql_item *copy = SQL_NEW(b, struct sql_item);
        *copy = *item;
        copy->next = NULL;
        copy->cols = SQL_NEW_ARRAY(b, struct sql_column, item->cols_count);
        memcpy(copy->cols, item->cols, sizeof(*copy->cols) * item->cols_count);
        if (items != NULL)
            for (uint32_t i = 0; i < copy->cols_count; i++)
                if (copy->cols[i].merged == NULL)
                    copy->cols[i].index--; /* the row id is not there */
        if (items == NULL)
            items = copy;
        else
            tail->next = copy;
        tail = copy;
    }
    return items;
}

static struct luma_plan *
finish_change(struct sql_bind *b, struct sql_scope *scope, enum luma_plan_kind kind,
              struct luma_plan *child, struct luma_plan_change *change,
              PgQuery__Node *const *returning, size_t returning_count)
{
    struct luma_plan *plan = sql_plan(b, kind, child);
    plan->cols_count = 0;
    plan->cols = NULL;
    plan->table_name = change->table_name;
    plan->change = change;
    if (returning_count > 0)
        bind_returning(b, returning_items(b, scope), returning, returning_count, plan, change);
    return plan;
}

struct luma_plan *
sql_bind_update(struct sql_bind *b, struct sql_scope *parent, const PgQuery__UpdateStmt *stmt)
{
    struct sql_relation rel;
    bool escaped = false;
    struct sql_cte *saved = sql_with_begin(b, parent, stmt->with_clause, &escaped);
    const struct luma_cat_object *table = target_table(b, stmt->relation, "update", &rel);
    struct luma_plan_change *change = sql_change_of(b, table, true);
    struct sql_scope scope = {.parent = parent};
    struct luma_plan *child = change_source(b, &scope, &rel, stmt->relation, stmt->from_clause,
                                            stmt->n_from_clause, stmt->where_clause, change);
    struct set_list set = {.count = 0};
    bind_set(b, &scope, table, stmt->target_list, stmt->n_target_list, &set);
    demand_columns(b, table, set.cols, set.count, LUMA_RIGHT_UPDATE);
    set_generated(b, &set);
    change->set_count = set.count;
    change->set_cols = set.cols;
    change->set_exprs = set.exprs;
    sql_foreign_bind(b, table, change, LUMA_PLAN_UPDATE);
    struct luma_plan *plan = finish_change(b, &scope, LUMA_PLAN_UPDATE, child, change,
                                           stmt->returning_list, stmt->n_returning_list);
    return sql_with_end(b, plan, saved);
}

struct luma_plan *
sql_bind_delete(struct sql_bind *b, struct sql_scope *parent, const PgQuery__DeleteStmt *stmt)
{
    struct sql_relation rel;
    bool escaped = false;
    struct sql_cte *saved = sql_with_begin(b, parent, stmt->with_clause, &escaped);
    const struct luma_cat_object *table = target_table(b, stmt->relation, "delete from", &rel);
    struct luma_plan_change *change = sql_change_of(b, table, false);
    struct sql_scope scope = {.parent = parent};
    demand_columns(b, table, NULL, 0, LUMA_RIGHT_DELETE);
    struct luma_plan *child = change_source(b, &scope, &rel, stmt->relation, stmt->using_clause,
                                            stmt->n_using_clause, stmt->where_clause, change);
    sql_foreign_bind(b, table, change, LUMA_PLAN_DELETE);
    struct luma_plan *plan = finish_change(b, &scope, LUMA_PLAN_DELETE, child, change,
                                           stmt->returning_list, stmt->n_returning_list);
    return sql_with_end(b, plan, saved);
}
