/*
 * bind_with.c - WITH, plain and recursive. A definition that is used once at its own level takes
 * the place of its reference; any other is computed once and read by CTE_SCANs.
 */
#include "sql.h"

static struct sql_cte *
cte_push(struct sql_bind *b, struct sql_scope *parent, const PgQuery__CommonTableExpr *def)
{
    struct sql_cte *cte = SQL_NEW(b, struct sql_cte);
    cte->name = def->ctename;
    cte->id = ++b->cte_next;
    cte->parent = parent;
    cte->movable = true;
    cte->materialized = def->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeAlways;
    cte->next = b->ctes;
    b->ctes = cte;
    return cte;
}

static void
cte_columns(struct sql_bind *b, struct sql_cte *cte, const struct luma_plan *plan,
            const PgQuery__CommonTableExpr *def)
{
    if (def->n_aliascolnames > plan->cols_count)
        SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42P10",
                  "WITH query \"%s\" has %u columns available but %zu columns specified",
                  def->ctename, plan->cols_count, def->n_aliascolnames);
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, plan->cols_count);
    memcpy(cols, plan->cols, sizeof(*cols) * plan->cols_count);
    for (size_t i = 0; i < def->n_aliascolnames; i++)
        cols[i].name = sql_string(def->aliascolnames[i]);
    cte->cols = cols;
    cte->cols_count = plan->cols_count;
}

static struct luma_type *
types_of(struct sql_bind *b, const struct luma_plan *plan)
{
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, plan->cols_count);
    for (uint32_t i = 0; i < plan->cols_count; i++)
        types[i] = plan->cols[i].type;
    return types;
}

/* start UNION [ALL] step: the step reads what the last round gave. */
static void
bind_recursive(struct sql_bind *b, struct sql_scope *parent, const PgQuery__CommonTableExpr *def,
               bool *out_escaped)
{
    const PgQuery__SelectStmt *select = def->ctequery->select_stmt;
    const struct sql_cte *outer = b->ctes;
    struct luma_plan *start = sql_bind_select(b, parent, select->larg, out_escaped);
    struct sql_cte *inner = cte_push(b, parent, def);
    cte_columns(b, inner, start, def);
    struct luma_plan *step = sql_bind_select(b, parent, select->rarg, out_escaped);
    if (step->cols_count != start->cols_count)
        SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42601",
                  "each UNION query must have the same number of columns");
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_RECURSIVE, start);
    plan->children_count = 2;
    plan->children[1] = sql_plan_coerce(b, step, types_of(b, start), SQL_CAST_IMPLICIT);
    plan->cte_id = inner->id;
    plan->cte_name = def->ctename;
    plan->all = select->all;
    b->ctes = (struct sql_cte *)outer;
    struct sql_cte *cte = cte_push(b, parent, def);
    cte->plan = plan;
    cte_columns(b, cte, plan, def);
}

/* Does a node below name the relation? A cheap walk over FROM is enough to tell recursion. */
static bool from_names(PgQuery__Node *const *nodes, size_t count, const char *name);

static bool
select_names(const PgQuery__SelectStmt *s, const char *name)
{
    if (s == NULL)
        return false;
    return from_names(s->from_clause, s->n_from_clause, name) || select_names(s->larg, name) ||
           select_names(s->rarg, name) ||
           (s->where_clause != NULL && from_names(&s->where_clause, 1, name));
}

static bool
from_names(PgQuery__Node *const *nodes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *n = nodes[i];
        if (n == NULL)
            continue;
        if (n->node_case == PGN(RANGE_VAR) && strcmp(n->range_var->relname, name) == 0)
            return true;
        if (n->node_case == PGN(JOIN_EXPR) &&
            (from_names(&n->join_expr->larg, 1, name) || from_names(&n->join_expr->rarg, 1, name)))
            return true;
        if (n->node_case == PGN(RANGE_SUBSELECT) &&
            n->range_subselect->subquery->node_case == PGN(SELECT_STMT) &&
            select_names(n->range_subselect->subquery->select_stmt, name))
            return true;
        if (n->node_case == PGN(SUB_LINK) && n->sub_link->subselect != NULL &&
            n->sub_link->subselect->node_case == PGN(SELECT_STMT) &&
            select_names(n->sub_link->subselect->select_stmt, name))
            return true;
        if (n->node_case == PGN(BOOL_EXPR) &&
            from_names(n->bool_expr->args, n->bool_expr->n_args, name))
            return true;
    }
    return false;
}

static bool
is_recursive(const PgQuery__CommonTableExpr *def)
{
    const PgQuery__Node *q = def->ctequery;
    return q->node_case == PGN(SELECT_STMT) && q->select_stmt->op == PG_SETOP(UNION) &&
           select_names(q->select_stmt->rarg, def->ctename);
}

struct sql_cte *
sql_with_begin(struct sql_bind *b, struct sql_scope *parent, const PgQuery__WithClause *with,
               bool *out_escaped)
{
    struct sql_cte *saved = b->ctes;
    if (with == NULL)
        return saved;
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PgQuery__CommonTableExpr *def = with->ctes[i]->common_table_expr;
        for (const struct sql_cte *c = b->ctes; c != saved; c = c->next)
            if (strcmp(c->name, def->ctename) == 0)
                SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42712",
                          "WITH query name \"%s\" specified more than once", def->ctename);
        if (def->search_clause != NULL || def->cycle_clause != NULL)
            SQL_THROW(b, def->location, LUMA_E_UNSUPPORTED, "0A000",
                      "SEARCH and CYCLE clauses are not supported");
        if (with->recursive && is_recursive(def)) {
            bind_recursive(b, parent, def, out_escaped);
            continue;
        }
        struct luma_plan *plan = sql_bind_query(b, parent, def->ctequery, out_escaped);
        struct sql_cte *cte = cte_push(b, parent, def);
        cte->plan = plan;
        cte->changes = def->ctequery->node_case != PGN(SELECT_STMT);
        cte_columns(b, cte, plan, def);
    }
    return saved;
}

struct luma_plan *
sql_with_end(struct sql_bind *b, struct luma_plan *body, struct sql_cte *saved)
{
    /* the list begins with the last definition, which is the innermost */
    for (struct sql_cte *cte = b->ctes; cte != saved; cte = cte->next) {
        if (cte->uses == 0 && !cte->changes)
            continue;
        if (cte->uses == 1 && cte->movable && !cte->materialized && !cte->changes) {
            const struct luma_plan_col *cols = cte->scan->cols;
            *cte->scan = *cte->plan;
            if (cte->scan->kind != LUMA_PLAN_INSERT)
                cte->scan->cols = cols;
            continue;
        }
        struct luma_plan *node = sql_plan(b, LUMA_PLAN_CTE, cte->plan);
        node->children_count = 2;
        node->children[1] = body;
        node->cols_count = body->cols_count;
        node->cols = body->cols;
        node->cte_id = cte->id;
        node->cte_name = cte->name;
        body = node;
    }
    b->ctes = saved;
    return body;
}
