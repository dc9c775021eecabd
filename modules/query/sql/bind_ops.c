/*
 * bind_ops.c - operators: plain ones, IN, BETWEEN, LIKE, ANY/ALL, rows, and sublinks.
 */
#include "sql.h"

static const char *
op_name(const PgQuery__AExpr *a)
{
    return sql_name_parts(a->name, a->n_name, NULL);
}

enum luma_cmp
sql_cmp_of(const char *op, bool *out_known)
{
    static const struct {
        const char *name;
        enum luma_cmp cmp;
    } ops[] = {{"=", LUMA_CMP_EQ},  {"<>", LUMA_CMP_NE}, {"!=", LUMA_CMP_NE}, {"<", LUMA_CMP_LT},
               {"<=", LUMA_CMP_LE}, {">", LUMA_CMP_GT},  {">=", LUMA_CMP_GE}};
    for (size_t i = 0; i < LUMA_COUNTOF(ops); i++)
        if (strcmp(ops[i].name, op) == 0) {
            *out_known = true;
            return ops[i].cmp;
        }
    *out_known = false;
    return LUMA_CMP_EQ;
}

/* Operands of one comparison, brought to the operator's types: its function. */
static const struct luma_func *
compare(struct sql_bind *b, const char *op, struct luma_expr **left, struct luma_expr **right,
        int32_t location)
{
    struct luma_expr *call = sql_operator(b, op, location, *left, *right);
    *left = call->args[0];
    *right = call->args[1];
    return call->func;
}

/* ---- rows ---- */

static struct luma_expr *
row_order(struct sql_bind *b, enum luma_cmp cmp, const struct luma_expr *l,
          const struct luma_expr *r, int32_t location)
{
    uint32_t n = l->args_count;
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_ROW_CMP, luma_type(LUMA_TYPE_BOOL), n * 2);
    e->cmp = cmp;
    e->cmp_funcs = SQL_NEW_ARRAY(b, const struct luma_func *, n * 2);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_expr *left = l->args[i], *right = r->args[i];
        e->cmp_funcs[i * 2 + 1] = compare(b, "<", &left, &right, location);
        e->cmp_funcs[i * 2] = compare(b, "=", &left, &right, location);
        e->args[i] = left;
        e->args[n + i] = right;
    }
    return e;
}

static struct luma_expr *
row_compare(struct sql_bind *b, const char *op, const struct luma_expr *l,
            const struct luma_expr *r, int32_t location)
{
    bool known;
    enum luma_cmp cmp = sql_cmp_of(op, &known);
    if (!known)
        SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                  "could not determine interpretation of row comparison operator %s", op);
    if (l->args_count != r->args_count)
        SQL_THROW(b, location, LUMA_E_SYNTAX, "42601",
                  "unequal number of entries in row expressions");
    if (cmp != LUMA_CMP_EQ && cmp != LUMA_CMP_NE)
        return row_order(b, cmp, l, r, location);
    struct luma_expr *e = sql_expr(b, cmp == LUMA_CMP_EQ ? LUMA_EXPR_AND : LUMA_EXPR_OR,
                                   luma_type(LUMA_TYPE_BOOL), l->args_count);
    for (uint32_t i = 0; i < l->args_count; i++)
        e->args[i] = sql_operator(b, op, location, l->args[i], r->args[i]);
    return l->args_count == 1 ? e->args[0] : e;
}

/* ---- the kinds of A_Expr ---- */

static struct luma_expr *
bind_op(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    const char *op = op_name(a);
    struct luma_expr *left = a->lexpr != NULL ? sql_bind_expr(b, scope, a->lexpr) : NULL;
    struct luma_expr *right = sql_bind_expr(b, scope, a->rexpr);
    if (left == NULL && strcmp(op, "+") == 0)
        return sql_type_category(right->type) == 'N'
                   ? right
                   : sql_operator(b, op, a->location, NULL, right);
    if (left == NULL && strcmp(op, "-") == 0 && right->kind == LUMA_EXPR_CONST &&
        right->type.id == LUMA_TYPE_INT8 && right->value.i64 == 2147483648)
        return sql_const_i64(b, -2147483648LL); /* the smallest int4 */
    if (left != NULL && left->kind == LUMA_EXPR_ROW && right->kind == LUMA_EXPR_ROW)
        return row_compare(b, op, left, right, a->location);
    return sql_operator(b, op, a->location, left, right);
}

static struct luma_expr *
bind_distinct(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    struct luma_expr *left = sql_bind_expr(b, scope, a->lexpr);
    struct luma_expr *right = sql_bind_expr(b, scope, a->rexpr);
    bool negated = a->kind == PG_AEXPR(NOT_DISTINCT);
    if (left->kind == LUMA_EXPR_ROW && right->kind == LUMA_EXPR_ROW &&
        left->args_count == right->args_count && left->args_count > 0) {
        struct luma_expr *e = sql_expr(b, negated ? LUMA_EXPR_AND : LUMA_EXPR_OR,
                                       luma_type(LUMA_TYPE_BOOL), left->args_count);
        for (uint32_t i = 0; i < left->args_count; i++) {
            struct luma_expr *one = sql_expr(b, LUMA_EXPR_DISTINCT, luma_type(LUMA_TYPE_BOOL), 2);
            one->args[0] = left->args[i];
            one->args[1] = right->args[i];
            one->func = compare(b, "=", &one->args[0], &one->args[1], a->location);
            one->negated = negated;
            e->args[i] = one;
        }
        return left->args_count == 1 ? e->args[0] : e;
    }
    if (left->type.id == LUMA_TYPE_UNKNOWN && right->type.id == LUMA_TYPE_UNKNOWN)
        left = sql_known(b, left);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_DISTINCT, luma_type(LUMA_TYPE_BOOL), 2);
    e->func = compare(b, "=", &left, &right, a->location);
    e->args[0] = left;
    e->args[1] = right;
    e->negated = negated;
    return e;
}

static struct luma_expr *
bind_nullif(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    struct luma_expr *left = sql_known(b, sql_bind_expr(b, scope, a->lexpr));
    struct luma_expr *right = sql_bind_expr(b, scope, a->rexpr);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_NULLIF, left->type, 2);
    e->func = compare(b, "=", &left, &right, a->location);
    e->args[0] = left;
    e->args[1] = right;
    e->type = left->type;
    return e;
}

static PgQuery__List *
list_of(struct sql_bind *b, const PgQuery__Node *node, int32_t location)
{
    if (node->node_case != PGN(LIST))
        SQL_THROW(b, location, LUMA_E_SYNTAX, "42601", "a list was expected here");
    return node->list;
}

static struct luma_expr *
bind_in(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    const PgQuery__List *list = list_of(b, a->rexpr, a->location);
    bool negated = strcmp(op_name(a), "<>") == 0;
    struct luma_expr *left = sql_bind_expr(b, scope, a->lexpr);
    uint32_t n = (uint32_t)list->n_items;
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_IN, luma_type(LUMA_TYPE_BOOL), n + 1);
    e->args[0] = left;
    for (uint32_t i = 0; i < n; i++)
        e->args[i + 1] = sql_bind_expr(b, scope, list->items[i]);
    if (left->kind == LUMA_EXPR_ROW) {
        struct luma_expr *any =
            sql_expr(b, n == 1 ? LUMA_EXPR_AND : LUMA_EXPR_OR, luma_type(LUMA_TYPE_BOOL), n);
        for (uint32_t i = 0; i < n; i++)
            any->args[i] = row_compare(b, "=", left, e->args[i + 1], a->location);
        any = n == 1 ? any->args[0] : any;
        return negated ? sql_not(b, any) : any;
    }
    struct luma_type type = sql_common_type(b, e->args, n + 1, "IN", a->location);
    for (uint32_t i = 0; i <= n; i++)
        e->args[i] = sql_coerce(b, e->args[i], type, SQL_CAST_IMPLICIT, a->location);
    /* the operator may want yet another type (varchar compares as text) */
    struct luma_expr *x = e->args[0], *y = n > 0 ? e->args[1] : e->args[0];
    e->func = compare(b, "=", &x, &y, a->location);
    if (!sql_type_same(x->type, e->args[0]->type))
        for (uint32_t i = 0; i <= n; i++)
            e->args[i] = sql_coerce(b, e->args[i], x->type, SQL_CAST_IMPLICIT, a->location);
    e->negated = negated;
    return e;
}

static struct luma_expr *
between_once(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a, size_t lo,
             size_t hi)
{
    const PgQuery__List *list = list_of(b, a->rexpr, a->location);
    struct luma_expr *ge = sql_operator(b, ">=", a->location, sql_bind_expr(b, scope, a->lexpr),
                                        sql_bind_expr(b, scope, list->items[lo]));
    struct luma_expr *le = sql_operator(b, "<=", a->location, sql_bind_expr(b, scope, a->lexpr),
                                        sql_bind_expr(b, scope, list->items[hi]));
    return sql_and(b, ge, le);
}

static struct luma_expr *
bind_between(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    struct luma_expr *e = between_once(b, scope, a, 0, 1);
    if (a->kind == PG_AEXPR(BETWEEN_SYM) || a->kind == PG_AEXPR(NOT_BETWEEN_SYM)) {
        struct luma_expr *either = sql_expr(b, LUMA_EXPR_OR, luma_type(LUMA_TYPE_BOOL), 2);
        either->args[0] = e;
        either->args[1] = between_once(b, scope, a, 1, 0);
        e = either;
    }
    bool negated = a->kind == PG_AEXPR(NOT_BETWEEN) || a->kind == PG_AEXPR(NOT_BETWEEN_SYM);
    return negated ? sql_not(b, e) : e;
}

/* x op ANY (array) */
static struct luma_expr *
bind_any_array(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    struct luma_expr *left = sql_bind_expr(b, scope, a->lexpr);
    struct luma_expr *array = sql_bind_expr(b, scope, a->rexpr);
    if (array->type.id == LUMA_TYPE_UNKNOWN) {
        left = sql_known(b, left);
        array =
            sql_coerce(b, array, luma_type_array_of(left->type), SQL_CAST_IMPLICIT, a->location);
    }
    if (array->type.id != LUMA_TYPE_ARRAY)
        SQL_THROW(b, a->location, LUMA_E_TYPE, "42809",
                  "op ANY/ALL (array) requires array on right side");
    struct luma_expr *elem = sql_const_null(b, luma_type_elem(array->type));
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_ANY, luma_type(LUMA_TYPE_BOOL), 2);
    e->func = compare(b, op_name(a), &left, &elem, a->location);
    if (e->func->result.id != LUMA_TYPE_BOOL)
        SQL_THROW(b, a->location, LUMA_E_TYPE, "42809",
                  "op ANY/ALL (array) requires operator to yield boolean");
    e->args[0] = left;
    e->args[1] =
        elem->type.id == array->type.elem
            ? array
            : sql_coerce(b, array, luma_type_array_of(elem->type), SQL_CAST_IMPLICIT, a->location);
    bool known;
    e->cmp = sql_cmp_of(op_name(a), &known);
    e->negated = a->kind == PG_AEXPR(OP_ALL);
    return e;
}

struct luma_expr *
sql_bind_a_expr(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AExpr *a)
{
    switch (a->kind) {
    case PG_AEXPR(OP):
    case PG_AEXPR(LIKE):
    case PG_AEXPR(ILIKE):
    case PG_AEXPR(SIMILAR):
        return bind_op(b, scope, a);
    case PG_AEXPR(DISTINCT):
    case PG_AEXPR(NOT_DISTINCT):
        return bind_distinct(b, scope, a);
    case PG_AEXPR(NULLIF):
        return bind_nullif(b, scope, a);
    case PG_AEXPR(IN):
        return bind_in(b, scope, a);
    case PG_AEXPR(BETWEEN):
    case PG_AEXPR(NOT_BETWEEN):
    case PG_AEXPR(BETWEEN_SYM):
    case PG_AEXPR(NOT_BETWEEN_SYM):
        return bind_between(b, scope, a);
    case PG_AEXPR(OP_ANY):
    case PG_AEXPR(OP_ALL):
        return bind_any_array(b, scope, a);
    default:
        SQL_THROW(b, a->location, LUMA_E_UNSUPPORTED, "0A000",
                  "this kind of operator is not supported");
    }
}

/* ---- sublinks ---- */

static void
one_column(struct sql_bind *b, const struct luma_plan *plan, int32_t location)
{
    if (plan->cols_count != 1)
        SQL_THROW(b, location, LUMA_E_SYNTAX, "42601", "subquery must return only one column");
}

/* Left operands against the subquery's columns; coerces the latter by a projection where needed. */
static struct luma_expr *
link_compare(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SubLink *link,
             struct luma_plan *plan, bool all)
{
    struct luma_expr *left = sql_bind_expr(b, scope, link->testexpr);
    uint32_t n = left->kind == LUMA_EXPR_ROW ? left->args_count : 1;
    const char *op =
        link->n_oper_name > 0 ? sql_name_parts(link->oper_name, link->n_oper_name, NULL) : "=";
    if (plan->cols_count != n)
        SQL_THROW(b, link->location, LUMA_E_SYNTAX, "42601", "subquery has too %s columns",
                  plan->cols_count < n ? "few" : "many");
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_SUBLINK, luma_type(LUMA_TYPE_BOOL), n);
    struct luma_expr **cols = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    bool converted = false, known;
    e->cmp_funcs = SQL_NEW_ARRAY(b, const struct luma_func *, n);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_expr *l = left->kind == LUMA_EXPR_ROW ? left->args[i] : left;
        cols[i] = sql_col(b, (int32_t)i, plan->cols[i].type);
        e->cmp_funcs[i] = compare(b, op, &l, &cols[i], link->location);
        e->args[i] = l;
        converted |=
            cols[i]->kind != LUMA_EXPR_COL || !sql_type_exact(cols[i]->type, plan->cols[i].type);
    }
    e->cmp = sql_cmp_of(op, &known);
    e->sublink = all ? LUMA_SUBLINK_ALL : LUMA_SUBLINK_ANY;
    e->plan = converted ? sql_plan_project(b, plan, n, cols, NULL) : plan;
    return e;
}

/* (a, b) = (SELECT x, y ...): the row comparison over one row. */
static struct luma_expr *
link_row(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SubLink *link,
         struct luma_plan *plan, bool correlated)
{
    struct luma_expr *left = sql_bind_expr(b, scope, link->testexpr);
    struct luma_expr *right =
        sql_expr(b, LUMA_EXPR_ROW, luma_type(LUMA_TYPE_RECORD), plan->cols_count);
    if (left->kind != LUMA_EXPR_ROW)
        SQL_THROW(b, link->location, LUMA_E_SYNTAX, "42601", "a row was expected here");
    for (uint32_t i = 0; i < plan->cols_count; i++) {
        struct luma_expr *col = sql_col(b, (int32_t)i, plan->cols[i].type);
        struct luma_expr *one = sql_expr(b, LUMA_EXPR_SUBLINK, col->type, 0);
        one->sublink = LUMA_SUBLINK_SCALAR;
        one->plan = sql_plan_project(
            b, plan, 1, memcpy(SQL_NEW(b, struct luma_expr *), &col, sizeof(col)), NULL);
        one->correlated = correlated;
        right->args[i] = one;
    }
    return row_compare(b, sql_name_parts(link->oper_name, link->n_oper_name, NULL), left, right,
                       link->location);
}

struct luma_expr *
sql_bind_sublink(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SubLink *link)
{
    if (scope->place == SQL_PLACE_CHECK || scope->place == SQL_PLACE_DEFAULT)
        SQL_THROW(b, link->location, LUMA_E_UNSUPPORTED, "0A000", "cannot use subquery in %s",
                  scope->place == SQL_PLACE_CHECK ? "check constraint" : "DEFAULT expression");
    /* sql_bind_select makes the subquery's own scope below `scope` and reports what left it. */
    bool correlated = false;
    const PgQuery__Node *select = link->subselect;
    struct luma_plan *plan = sql_bind_select(b, scope, select->select_stmt, &correlated);
    struct luma_expr *e;
    switch (link->sub_link_type) {
    case PG_LINK(EXISTS):
        e = sql_expr(b, LUMA_EXPR_SUBLINK, luma_type(LUMA_TYPE_BOOL), 0);
        e->sublink = LUMA_SUBLINK_EXISTS;
        e->plan = plan;
        break;
    case PG_LINK(EXPR):
        one_column(b, plan, link->location);
        e = sql_expr(b, LUMA_EXPR_SUBLINK, plan->cols[0].type, 0);
        e->sublink = LUMA_SUBLINK_SCALAR;
        e->plan = plan;
        break;
    case PG_LINK(ARRAY):
        one_column(b, plan, link->location);
        e = sql_expr(b, LUMA_EXPR_SUBLINK, luma_type_array_of(plan->cols[0].type), 0);
        e->sublink = LUMA_SUBLINK_ARRAY;
        e->plan = plan;
        break;
    case PG_LINK(ANY):
    case PG_LINK(ALL):
        e = link_compare(b, scope, link, plan, link->sub_link_type == PG_LINK(ALL));
        break;
    case PG_LINK(ROWCOMPARE):
        return link_row(b, scope, link, plan, correlated);
    default:
        SQL_THROW(b, link->location, LUMA_E_UNSUPPORTED, "0A000",
                  "this kind of subquery is not supported");
    }
    e->correlated = correlated;
    return e;
}
