/*
 * bind_from.c - FROM: tables, views, subqueries, functions and joins become a plan and the names
 * over its row.
 *
 * Every right side of a join is bound below a boundary scope that holds the left side's names: what
 * refers to it (LATERAL) becomes OUTER, and the join is marked lateral when anything did.
 */
#include "foreign.h"

static void bind_item(struct sql_bind *b, struct sql_scope *bound, const PgQuery__Node *node,
                      struct sql_from *out, bool *out_escaped);

void
sql_items_append(struct sql_item **list, struct sql_item *more)
{
    while (*list != NULL)
        list = &(*list)->next;
    *list = more;
}

/* ---- items ---- */

static void
alias_columns(struct sql_bind *b, struct sql_item *item, const PgQuery__Alias *alias)
{
    if (alias == NULL)
        return;
    uint32_t visible = 0;
    for (uint32_t i = 0; i < item->cols_count; i++)
        visible += !item->cols[i].hidden;
    if (alias->n_colnames > visible)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42P10",
                  "table \"%s\" has %u columns available but %zu columns specified",
                  alias->aliasname, visible, alias->n_colnames);
    for (size_t i = 0; i < alias->n_colnames; i++)
        item->cols[i].name = sql_string(alias->colnames[i]);
}

struct sql_item *
sql_item_of_plan(struct sql_bind *b, const struct luma_plan *plan, const char *name,
                 const PgQuery__Alias *alias)
{
    struct sql_item *item = SQL_NEW(b, struct sql_item);
    item->name = alias != NULL && alias->aliasname[0] != '\0' ? alias->aliasname : name;
    item->cols_visible = true;
    item->rel_visible = item->name != NULL;
    item->rowid_index = -1;
    item->cols_count = plan->cols_count;
    item->cols = SQL_NEW_ARRAY(b, struct sql_column, plan->cols_count);
    for (uint32_t i = 0; i < plan->cols_count; i++)
        item->cols[i] = (struct sql_column){.name = plan->cols[i].name,
                                            .type = plan->cols[i].type,
                                            .index = (int32_t)i,
                                            .table_id = plan->cols[i].table_id,
                                            .col_id = plan->cols[i].col_id};
    alias_columns(b, item, alias);
    return item;
}

static struct luma_expr *
shift_map(struct sql_bind *b, void *arg, struct luma_expr *e, int32_t level, bool *out_done)
{
    int32_t by = *(const int32_t *)arg;
    bool hit = (level == 0 && e->kind == LUMA_EXPR_COL) ||
               (level > 0 && e->kind == LUMA_EXPR_OUTER && e->level == level);
    if (!hit)
        return NULL;
    struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
    *copy = *e;
    copy->index += by;
    *out_done = true;
    return copy;
}

static void
items_shift(struct sql_bind *b, struct sql_item *items, int32_t by)
{
    for (; items != NULL; items = items->next) {
        if (items->rowid_index >= 0)
            items->rowid_index += by;
        for (uint32_t i = 0; i < items->cols_count; i++) {
            struct sql_column *col = &items->cols[i];
            if (col->merged != NULL)
                col->merged = sql_expr_map(b, col->merged, 0, shift_map, &by);
            else
                col->index += by;
        }
    }
}

/* ---- tables and views ---- */

static struct luma_plan *
scan_of(struct sql_bind *b, const struct luma_cat_object *table, bool rowid)
{
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_SCAN, NULL);
    uint32_t n = table->cols_count, total = n + (rowid ? 1 : 0);
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, total);
    uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        cols[i] = (struct luma_plan_col){sql_text(b, table->cols[i].name), table->cols[i].type,
                                         table->id, table->cols[i].id};
        ids[i] = table->cols[i].id;
    }
    if (rowid)
        cols[n] = (struct luma_plan_col){"rowid", luma_type(LUMA_TYPE_INT8), 0, 0};
    plan->cols_count = total;
    plan->cols = cols;
    plan->coll_id = table->id;
    plan->table_name = sql_text(b, table->name);
    plan->scan_cols = ids;
    plan->rowid = rowid;
    return plan;
}

/* tableoid is a constant of the relation. */
static void
add_tableoid(struct sql_bind *b, struct sql_item *item, uint32_t oid)
{
    struct sql_column *cols = SQL_NEW_ARRAY(b, struct sql_column, item->cols_count + 1);
    memcpy(cols, item->cols, sizeof(*cols) * item->cols_count);
    struct luma_expr *e = sql_const_null(b, luma_type(LUMA_TYPE_OID));
    e->value.is_null = false;
    e->value.i32 = (int32_t)oid;
    cols[item->cols_count] = (struct sql_column){
        .name = "tableoid", .type = e->type, .index = -1, .merged = e, .hidden = true};
    item->cols = cols;
    item->cols_count++;
}

static void
table_rights(struct sql_bind *b, struct sql_item *item, uint32_t rights)
{
    if (rights == 0 || b->in_view || sql_rights(b, item->object, 0, rights))
        return;
    if (rights != LUMA_RIGHT_SELECT)
        sql_demand(b, item->object, 0, rights);
    bool any = false;
    for (uint32_t i = 0; i < item->cols_count && !any; i++)
        any =
            item->cols[i].col_id != 0 && sql_rights(b, item->object, item->cols[i].col_id, rights);
    if (!any)
        sql_demand(b, item->object, 0, rights);
    item->by_column = true;
}

static struct luma_plan *
bind_view(struct sql_bind *b, const struct luma_cat_object *view)
{
    if (++b->view_depth > 32)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "42P17", "infinite recursion detected in view \"%s\"",
                  view->name);
    const char *text = b->text;
    struct sql_cte *ctes = b->ctes;
    bool in_view = b->in_view, want_rowids = b->want_rowids;
    b->text = NULL;
    b->ctes = NULL;
    b->in_view = true;
    b->want_rowids = false;
    PgQuery__Node *node = sql_parse_nested(b, view->sql);
    struct luma_plan *plan = sql_bind_select(b, NULL, node->select_stmt, NULL);
    b->text = text;
    b->ctes = ctes;
    b->in_view = in_view;
    b->want_rowids = want_rowids;
    b->view_depth--;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, plan->cols_count);
    memcpy(cols, plan->cols, sizeof(*cols) * plan->cols_count);
    for (uint32_t i = 0; i < plan->cols_count && i < view->cols_count; i++) {
        cols[i].name = sql_text(b, view->cols[i].name);
        cols[i].table_id = view->id;
        cols[i].col_id = view->cols[i].id;
    }
    plan->cols = cols;
    return plan;
}

static struct luma_plan *
sequence_plan(struct sql_bind *b, const struct luma_cat_object *seq)
{
    static const char *const names[] = {"last_value", "log_cnt", "is_called"};
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, 3);
    struct luma_expr *oid = sql_const_null(b, luma_type(LUMA_TYPE_REGCLASS));
    oid->value.is_null = false;
    oid->value.i32 = (int32_t)seq->id;
    struct luma_expr *last = sql_call(b, "pg_sequence_last_value", -1, &oid, 1);
    struct luma_expr *start = sql_coerce(b, sql_const_i64(b, seq->seq_start),
                                         luma_type(LUMA_TYPE_INT8), SQL_CAST_EXPLICIT, -1);
    exprs[0] = sql_expr(b, LUMA_EXPR_COALESCE, luma_type(LUMA_TYPE_INT8), 2);
    exprs[0]->args[0] = last;
    exprs[0]->args[1] = start;
    exprs[1] = sql_coerce(b, sql_const_i64(b, 0), luma_type(LUMA_TYPE_INT8), SQL_CAST_EXPLICIT, -1);
    exprs[2] = sql_expr(b, LUMA_EXPR_IS_NULL, luma_type(LUMA_TYPE_BOOL), 1);
    exprs[2]->args[0] = last;
    exprs[2]->negated = true;
    return sql_plan_project(b, NULL, 3, exprs, names);
}

static struct luma_plan *
virtual_plan(struct sql_bind *b, const struct sql_virtual *virt)
{
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_VIRTUAL, NULL);
    plan->provider = &virt->provider;
    plan->table_name = virt->name;
    plan->cols_count = virt->cols_count;
    plan->cols = virt->cols;
    return plan;
}

struct sql_item *
sql_item_of_table(struct sql_bind *b, const struct sql_relation *rel, const PgQuery__Alias *alias,
                  bool rowid, uint32_t rights, struct luma_plan **out_plan)
{
    const struct luma_cat_object *object = rel->object;
    const char *name = object != NULL ? object->name : rel->virt->name;
    struct luma_plan *plan;
    if (object == NULL) {
        plan = virtual_plan(b, rel->virt);
    } else if (object->kind == LUMA_CAT_TABLE) {
        plan = scan_of(b, object, rowid);
    } else if (object->kind == LUMA_CAT_VIEW) {
        plan = bind_view(b, object);
    } else if (object->kind == LUMA_CAT_SEQUENCE) {
        plan = sequence_plan(b, object);
    } else {
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "\"%s\" is an index", name);
    }
    struct sql_item *item = sql_item_of_plan(b, plan, sql_text(b, name), NULL);
    item->object = object;
    item->schema = alias == NULL ? sql_text(b, rel->schema) : NULL;
    if (plan->kind == LUMA_PLAN_SCAN && rowid) {
        item->rowid_index = (int32_t)plan->cols_count - 1;
        item->cols_count--;
    }
    if (alias != NULL) {
        item->name = alias->aliasname;
        plan->alias = item->name;
        alias_columns(b, item, alias);
    }
    if (object != NULL)
        table_rights(b, item, rights);
    add_tableoid(b, item, object != NULL ? (uint32_t)object->id : rel->virt->oid);
    *out_plan = plan;
    return item;
}

static bool
bind_cte_ref(struct sql_bind *b, struct sql_scope *bound, const PgQuery__RangeVar *var,
             struct sql_from *out)
{
    struct sql_cte *cte = b->ctes;
    while (cte != NULL && strcmp(cte->name, var->relname) != 0)
        cte = cte->next;
    if (cte == NULL || var->schemaname[0] != '\0')
        return false;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_CTE_SCAN, NULL);
    plan->cte_id = cte->id;
    plan->cte_name = cte->name;
    plan->cols_count = cte->cols_count;
    plan->cols = cte->cols;
    cte->uses++;
    cte->scan = plan;
    cte->movable = cte->movable && bound == cte->parent;
    out->plan = plan;
    out->items = sql_item_of_plan(b, plan, cte->name, var->alias);
    return true;
}

static void
bind_range_var(struct sql_bind *b, struct sql_scope *bound, const PgQuery__RangeVar *var,
               struct sql_from *out)
{
    struct sql_relation rel;
    if (bind_cte_ref(b, bound, var, out))
        return;
    if (LUMA_UNLIKELY(b->own->foreign_run != NULL)) {
        out->plan = sql_foreign_source(b, var->relname);
        if (out->plan != NULL) {
            out->items = sql_item_of_plan(b, out->plan, var->relname, var->alias);
            return;
        }
    }
    sql_relation_get(b, var, &rel);
    out->items =
        sql_item_of_table(b, &rel, var->alias, b->want_rowids, LUMA_RIGHT_SELECT, &out->plan);
}

/* ---- subqueries and functions ---- */

/* Names of the boundaries are for LATERAL items only. */
static void
boundaries_hide(struct sql_scope *bound, struct sql_item **saved, uint32_t *out_count)
{
    uint32_t n = 0;
    for (struct sql_scope *s = bound; s != NULL && s->boundary && n < 64; s = s->parent) {
        saved[n++] = s->items;
        s->items = NULL;
    }
    *out_count = n;
}

static void
boundaries_show(struct sql_scope *bound, struct sql_item **saved, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, bound = bound->parent)
        bound->items = saved[i];
}

/* FOR UPDATE of a subquery locks the rows below it: its clauses join the subquery's own. */
static const PgQuery__SelectStmt *
with_locks(struct sql_bind *b, const PgQuery__RangeSubselect *sub)
{
    const PgQuery__SelectStmt *own = sub->subquery->select_stmt, *outer = b->locking;
    if (!b->want_rowids || outer == NULL || own->n_values_lists > 0)
        return own;
    PgQuery__SelectStmt *select = SQL_NEW(b, PgQuery__SelectStmt);
    size_t n = own->n_locking_clause;
    *select = *own;
    select->locking_clause = SQL_NEW_ARRAY(b, PgQuery__Node *, n + outer->n_locking_clause);
    if (n > 0)
        memcpy(select->locking_clause, own->locking_clause, sizeof(PgQuery__Node *) * n);
    for (size_t i = 0; i < outer->n_locking_clause; i++) {
        const PgQuery__LockingClause *clause = outer->locking_clause[i]->locking_clause;
        bool named = clause->n_locked_rels == 0;
        for (size_t r = 0; r < clause->n_locked_rels; r++)
            named |= strcmp(clause->locked_rels[r]->range_var->relname, sub->alias->aliasname) == 0;
        if (!named)
            continue;
        PgQuery__Node *node = SQL_NEW(b, PgQuery__Node);
        PgQuery__LockingClause *whole = SQL_NEW(b, PgQuery__LockingClause);
        *node = *outer->locking_clause[i];
        *whole = *clause;
        whole->n_locked_rels = 0;
        node->locking_clause = whole;
        select->locking_clause[n++] = node;
    }
    select->n_locking_clause = n;
    return select;
}

static void
bind_subselect(struct sql_bind *b, struct sql_scope *bound, const PgQuery__RangeSubselect *sub,
               struct sql_from *out, bool *out_escaped)
{
    struct sql_item *saved[64];
    uint32_t hidden = 0;
    bool want_rowids = b->want_rowids;
    if (sub->alias == NULL)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "subquery in FROM must have an alias");
    if (!sub->lateral)
        boundaries_hide(bound, saved, &hidden);
    const PgQuery__SelectStmt *select = with_locks(b, sub);
    b->want_rowids = false;
    out->plan = sql_bind_select(b, bound, select, out_escaped);
    b->want_rowids = want_rowids;
    boundaries_show(bound, saved, hidden);
    out->items = sql_item_of_plan(b, out->plan, NULL, sub->alias);
}

static void
set_columns(struct sql_bind *b, const struct luma_expr *e, const char *name, struct luma_plan *plan)
{
    const struct luma_func_set *set = e->func->set;
    uint32_t count = 1;
    const char *const *names = NULL;
    const struct luma_type *types = NULL;
    if (set->columns != NULL) {
        struct luma_func_call call = {.ctx = b->ctx,
                                      .arena = b->arena,
                                      .func = e->func,
                                      .format = sql_host->session->format(b->session),
                                      .result = e->type};
        struct luma_value *args = SQL_NEW_ARRAY(b, struct luma_value, e->args_count + 1);
        for (uint32_t i = 0; i < e->args_count; i++) {
            args[i] = e->args[i]->value;
            args[i].type = e->args[i]->type;
            if (e->args[i]->kind != LUMA_EXPR_CONST)
                args[i].is_null = true;
        }
        sql_check(b, -1, set->columns(&call, args, e->args_count, &count, &names, &types));
    }
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        cols[i].name = names != NULL && names[i] != NULL ? names[i] : name;
        cols[i].type = types != NULL ? types[i] : e->type;
        if (cols[i].type.id == LUMA_TYPE_ANYELEMENT || cols[i].type.id == LUMA_TYPE_NONE)
            cols[i].type = e->type;
    }
    if (plan->with_ordinality)
        cols[count++] = (struct luma_plan_col){"ordinality", luma_type(LUMA_TYPE_INT8), 0, 0};
    plan->cols = cols;
    plan->cols_count = count;
}

static struct luma_plan *
function_plan(struct sql_bind *b, struct luma_expr *e, const char *name, bool ordinality)
{
    if (e->kind != LUMA_EXPR_SET) {
        struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, 2);
        const char *names[2] = {name, "ordinality"};
        exprs[0] = sql_known(b, e);
        exprs[1] =
            sql_coerce(b, sql_const_i64(b, 1), luma_type(LUMA_TYPE_INT8), SQL_CAST_EXPLICIT, -1);
        return sql_plan_project(b, NULL, ordinality ? 2 : 1, exprs, names);
    }
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_SET_FUNC, NULL);
    plan->exprs_count = 1;
    plan->exprs = SQL_NEW_ARRAY(b, struct luma_expr *, 1);
    plan->exprs[0] = e;
    plan->with_ordinality = ordinality;
    plan->table_name = name;
    set_columns(b, e, name, plan);
    return plan;
}

/* One column of json_to_record(set): what the object has under its name, as its type. */
static struct luma_expr *
record_column(struct sql_bind *b, struct luma_type json, const PgQuery__ColumnDef *def)
{
    uint64_t domain_id;
    struct luma_type type = sql_domain_base(b, sql_type_resolve(b, def->type_name), &domain_id);
    bool as_json = type.id == LUMA_TYPE_JSON || type.id == LUMA_TYPE_JSONB;
    struct luma_expr *name = sql_const_text(b, luma_type(LUMA_TYPE_TEXT), def->colname);
    struct luma_expr *e = sql_operator(b, as_json ? "->" : "->>", -1, sql_col(b, 0, json), name);
    return sql_coerce(b, e, type, SQL_CAST_EXPLICIT, -1);
}

/* json_to_record(x) AS t(a int, ...) and its kin. */
static void
bind_record_function(struct sql_bind *b, struct sql_scope *scope, const PgQuery__RangeFunction *rf,
                     const PgQuery__Node *node, struct sql_from *out)
{
    const char *schema = NULL, *name = "";
    if (node->node_case == PGN(FUNC_CALL))
        name = sql_name_parts(node->func_call->funcname, node->func_call->n_funcname, &schema);
    bool is_json = strcmp(name, "json_to_record") == 0 || strcmp(name, "json_to_recordset") == 0;
    bool is_jsonb = strcmp(name, "jsonb_to_record") == 0 || strcmp(name, "jsonb_to_recordset") == 0;
    if ((!is_json && !is_jsonb) || node->func_call->n_args != 1)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "a column definition list is only allowed for functions returning \"record\"");
    bool is_set = strcmp(name + strlen(name) - 3, "set") == 0;
    struct luma_type json = luma_type(is_json ? LUMA_TYPE_JSON : LUMA_TYPE_JSONB);
    struct luma_expr **arg = SQL_NEW_ARRAY(b, struct luma_expr *, 1);
    arg[0] = sql_coerce(b, sql_bind_expr(b, scope, node->func_call->args[0]), json,
                        SQL_CAST_IMPLICIT, -1);
    struct luma_plan *source;
    if (is_set) {
        struct luma_expr *each =
            sql_call(b, is_json ? "json_array_elements" : "jsonb_array_elements", -1, arg, 1);
        each->kind = LUMA_EXPR_SET;
        source = function_plan(b, each, "value", rf->ordinality);
    } else {
        source = sql_plan_project(b, NULL, 1, arg, NULL);
    }
    uint32_t n = (uint32_t)rf->n_coldeflist, total = n + (is_set && rf->ordinality ? 1 : 0);
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, total);
    const char **names = SQL_NEW_ARRAY(b, const char *, total);
    for (uint32_t i = 0; i < n; i++) {
        const PgQuery__ColumnDef *def = rf->coldeflist[i]->column_def;
        exprs[i] = record_column(b, json, def);
        names[i] = def->colname;
    }
    if (total > n) {
        exprs[n] = sql_col(b, 1, luma_type(LUMA_TYPE_INT8));
        names[n] = "ordinality";
    }
    out->plan = sql_plan_project(b, source, total, exprs, names);
    out->items = sql_item_of_plan(b, out->plan, name, rf->alias);
}

static void
bind_function(struct sql_bind *b, struct sql_scope *bound, const PgQuery__RangeFunction *rf,
              struct sql_from *out, bool *out_escaped)
{
    if (rf->n_functions != 1)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "ROWS FROM is not supported");
    const PgQuery__Node *node = rf->functions[0];
    if (node->node_case == PGN(LIST))
        node = node->list->items[0];
    struct sql_scope scope = {.parent = bound, .place = SQL_PLACE_FROM_FUNCTION};
    if (rf->n_coldeflist > 0) {
        bind_record_function(b, &scope, rf, node, out);
        *out_escaped |= scope.escaped;
        return;
    }
    struct luma_expr *e = sql_bind_expr(b, &scope, node);
    *out_escaped |= scope.escaped;
    const char *name = sql_target_name(node, "function");
    bool multi = e->kind == LUMA_EXPR_SET && e->func->set->columns != NULL;
    const char *alias =
        rf->alias != NULL && rf->alias->aliasname[0] != '\0' ? rf->alias->aliasname : NULL;
    out->plan = function_plan(b, e, !multi && alias != NULL ? alias : name, rf->ordinality);
    out->items = sql_item_of_plan(b, out->plan, name, rf->alias);
    out->items->is_function = out->plan->cols_count == 1;
}

/* ---- joins ---- */

static struct luma_plan *
join_plan(struct sql_bind *b, enum luma_join kind, struct luma_plan *left, struct luma_plan *right,
          struct luma_expr *on, bool lateral)
{
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_JOIN, left);
    plan->children_count = 2;
    plan->children[1] = right;
    plan->join = kind;
    plan->filter = on;
    plan->lateral = lateral;
    plan->cols_count = left->cols_count + right->cols_count;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, plan->cols_count);
    memcpy(cols, left->cols, sizeof(*cols) * left->cols_count);
    memcpy(cols + left->cols_count, right->cols, sizeof(*cols) * right->cols_count);
    plan->cols = cols;
    return plan;
}

/* Binds the right side of a join whose left side is known. */
static bool
bind_right(struct sql_bind *b, struct sql_scope *bound, const struct sql_from *left,
           const PgQuery__Node *node, struct sql_from *right, bool *out_escaped)
{
    struct sql_scope boundary = {.parent = bound, .items = left->items, .boundary = true};
    bool lateral = false;
    bind_item(b, &boundary, node, right, &lateral);
    items_shift(b, right->items, (int32_t)left->plan->cols_count);
    *out_escaped |= boundary.escaped;
    return lateral;
}

static const struct sql_column *
visible_column(struct sql_bind *b, const struct sql_item *items, const char *name, const char *side)
{
    const struct sql_column *found = NULL;
    for (; items != NULL; items = items->next)
        for (uint32_t i = 0; items->cols_visible && i < items->cols_count; i++) {
            if (items->cols[i].hidden || strcmp(items->cols[i].name, name) != 0)
                continue;
            if (found != NULL)
                SQL_THROW(b, -1, LUMA_E_SYNTAX, "42702",
                          "common column name \"%s\" appears more than once in %s table", name,
                          side);
            found = &items->cols[i];
        }
    return found;
}

/* The columns of USING, or those NATURAL finds. */
static uint32_t
common_columns(struct sql_bind *b, const PgQuery__JoinExpr *join, const struct sql_from *left,
               const struct sql_from *right, const char ***out_names)
{
    uint32_t n = 0, room = (uint32_t)join->n_using_clause + left->plan->cols_count + 1;
    const char **names = SQL_NEW_ARRAY(b, const char *, room);
    *out_names = names;
    for (size_t i = 0; i < join->n_using_clause; i++)
        names[n++] = sql_string(join->using_clause[i]);
    if (!join->is_natural)
        return n;
    for (const struct sql_item *item = left->items; item != NULL; item = item->next)
        for (uint32_t i = 0; item->cols_visible && i < item->cols_count; i++)
            if (!item->cols[i].hidden && n < room &&
                visible_column(b, right->items, item->cols[i].name, "right") != NULL)
                names[n++] = item->cols[i].name;
    return n;
}

static bool
is_common(const char **names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void
copy_visible(struct sql_item *out, const struct sql_item *items, const char **names, uint32_t count)
{
    for (; items != NULL; items = items->next)
        for (uint32_t i = 0; items->cols_visible && i < items->cols_count; i++)
            if (!items->cols[i].hidden && !is_common(names, count, items->cols[i].name))
                out->cols[out->cols_count++] = items->cols[i];
}

static uint32_t
columns_of(const struct sql_item *items)
{
    uint32_t n = 0;
    for (; items != NULL; items = items->next)
        n += items->cols_count;
    return n;
}

static struct sql_column
merge_column(struct sql_bind *b, enum luma_join kind, const struct sql_column *l,
             const struct sql_column *r, struct luma_expr **inout_on)
{
    struct luma_expr *left = sql_column_expr(b, l, 0), *right = sql_column_expr(b, r, 0);
    struct luma_expr *pair[2] = {left, right};
    struct luma_type type = sql_common_type(b, pair, 2, "JOIN/USING", -1);
    *inout_on = sql_and(b, *inout_on, sql_operator(b, "=", -1, left, right));
    struct sql_column col = {.name = l->name, .type = type, .index = -1};
    left = sql_coerce(b, left, type, SQL_CAST_IMPLICIT, -1);
    right = sql_coerce(b, right, type, SQL_CAST_IMPLICIT, -1);
    if (kind == LUMA_JOIN_FULL) {
        col.merged = sql_expr(b, LUMA_EXPR_COALESCE, type, 2);
        col.merged->args[0] = left;
        col.merged->args[1] = right;
    } else {
        const struct sql_column *from = kind == LUMA_JOIN_RIGHT ? r : l;
        col.merged = kind == LUMA_JOIN_RIGHT ? right : left;
        col.table_id = from->table_id;
        col.col_id = from->col_id;
    }
    return col;
}

/* The joined table as one item: merged columns first, then the left ones, then the right ones. */
static struct sql_item *
joined_item(struct sql_bind *b, enum luma_join kind, const PgQuery__JoinExpr *join,
            const struct sql_from *left, const struct sql_from *right, struct luma_expr **inout_on)
{
    const char **names;
    uint32_t common = common_columns(b, join, left, right, &names);
    if (common == 0 && join->alias == NULL)
        return NULL;
    struct sql_item *item = SQL_NEW(b, struct sql_item);
    item->cols = SQL_NEW_ARRAY(b, struct sql_column,
                               common + columns_of(left->items) + columns_of(right->items));
    for (uint32_t i = 0; i < common; i++) {
        const struct sql_column *l = visible_column(b, left->items, names[i], "left");
        const struct sql_column *r = visible_column(b, right->items, names[i], "right");
        if (l == NULL || r == NULL)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703",
                      "column \"%s\" specified in USING clause does not exist in %s table",
                      names[i], l == NULL ? "left" : "right");
        item->cols[item->cols_count++] = merge_column(b, kind, l, r, inout_on);
    }
    copy_visible(item, left->items, names, common);
    copy_visible(item, right->items, names, common);
    item->cols_visible = true;
    item->rowid_index = -1;
    if (join->alias != NULL) {
        item->name = join->alias->aliasname;
        item->rel_visible = true;
        alias_columns(b, item, join->alias);
    } else if (join->join_using_alias != NULL) {
        item->name = join->join_using_alias->aliasname;
        item->rel_visible = true;
    }
    return item;
}

static void
check_names(struct sql_bind *b, const struct sql_item *left, const struct sql_item *right)
{
    for (const struct sql_item *r = right; r != NULL; r = r->next)
        for (const struct sql_item *l = left; l != NULL; l = l->next)
            if (l->rel_visible && r->rel_visible && strcmp(l->name, r->name) == 0 &&
                (l->schema == NULL || r->schema == NULL || strcmp(l->schema, r->schema) == 0))
                SQL_THROW(b, -1, LUMA_E_SYNTAX, "42712",
                          "table name \"%s\" specified more than once", r->name);
}

static enum luma_join
join_kind(PgQuery__JoinType type)
{
    return type == PG_JOIN(LEFT)    ? LUMA_JOIN_LEFT
           : type == PG_JOIN(RIGHT) ? LUMA_JOIN_RIGHT
           : type == PG_JOIN(FULL)  ? LUMA_JOIN_FULL
                                    : LUMA_JOIN_INNER;
}

static void
bind_join(struct sql_bind *b, struct sql_scope *bound, const PgQuery__JoinExpr *join,
          struct sql_from *out, bool *out_escaped)
{
    struct sql_from left = {NULL, NULL}, right = {NULL, NULL};
    enum luma_join kind = join_kind(join->jointype);
    struct luma_expr *on = NULL;
    bind_item(b, bound, join->larg, &left, out_escaped);
    bool lateral = bind_right(b, bound, &left, join->rarg, &right, out_escaped);
    if (lateral && (kind == LUMA_JOIN_RIGHT || kind == LUMA_JOIN_FULL))
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42P10",
                  "the combining JOIN type must be INNER or LEFT for a LATERAL reference");
    check_names(b, left.items, right.items);
    struct sql_item *joined = joined_item(b, kind, join, &left, &right, &on);
    sql_items_append(&left.items, right.items);
    if (join->quals != NULL) {
        struct sql_scope scope = {.parent = bound, .items = left.items};
        on = sql_and(b, on, sql_bind_condition(b, &scope, join->quals, SQL_PLACE_ON, "JOIN/ON"));
        *out_escaped |= scope.escaped;
    }
    if (joined != NULL) {
        for (struct sql_item *item = left.items; item != NULL; item = item->next) {
            item->cols_visible = false;
            item->rel_visible = item->rel_visible && join->alias == NULL;
        }
        joined->next = left.items;
        left.items = joined;
    }
    out->items = left.items;
    out->plan = join_plan(b, kind, left.plan, right.plan, on, lateral);
}

static void
bind_item(struct sql_bind *b, struct sql_scope *bound, const PgQuery__Node *node,
          struct sql_from *out, bool *out_escaped)
{
    switch (node->node_case) {
    case PGN(RANGE_VAR):
        bind_range_var(b, bound, node->range_var, out);
        return;
    case PGN(RANGE_SUBSELECT):
        bind_subselect(b, bound, node->range_subselect, out, out_escaped);
        return;
    case PGN(RANGE_FUNCTION):
        bind_function(b, bound, node->range_function, out, out_escaped);
        return;
    case PGN(JOIN_EXPR):
        bind_join(b, bound, node->join_expr, out, out_escaped);
        return;
    default:
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "this kind of FROM item is not supported");
    }
}

void
sql_bind_from(struct sql_bind *b, struct sql_scope *scope, PgQuery__Node *const *nodes,
              size_t count, struct sql_from *inout)
{
    for (size_t i = 0; i < count; i++) {
        struct sql_from next = {NULL, NULL};
        if (inout->plan == NULL) {
            bind_item(b, scope->parent, nodes[i], inout, &scope->escaped);
            continue;
        }
        bool lateral = bind_right(b, scope->parent, inout, nodes[i], &next, &scope->escaped);
        check_names(b, inout->items, next.items);
        inout->plan = join_plan(b, LUMA_JOIN_INNER, inout->plan, next.plan, NULL, lateral);
        sql_items_append(&inout->items, next.items);
    }
    scope->items = inout->items;
}
