/*
 * bind_expr.c - expressions: constants, parameters, names, tests, CASE and the like.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sql.h"

static struct luma_expr *
bind_const(struct sql_bind *b, const PgQuery__AConst *c)
{
    if (c->isnull)
        return sql_const_null(b, luma_type(LUMA_TYPE_UNKNOWN));
    switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        return sql_const_i64(b, c->ival->ival);
    case PG_QUERY__A__CONST__VAL_FVAL: {
        errno = 0;
        char *end;
        long long v = strtoll(c->fval->fval, &end, 10);
        if (*end == '\0' && errno == 0)
            return sql_const_i64(b, v);
        struct luma_expr *text = sql_const_text(b, luma_type(LUMA_TYPE_UNKNOWN), c->fval->fval);
        return sql_coerce(b, text, luma_type(LUMA_TYPE_NUMERIC), SQL_CAST_EXPLICIT, c->location);
    }
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        return sql_const_bool(b, c->boolval->boolval);
    case PG_QUERY__A__CONST__VAL_SVAL:
        return sql_const_text(b, luma_type(LUMA_TYPE_UNKNOWN), c->sval->sval);
    case PG_QUERY__A__CONST__VAL_BSVAL:
        SQL_THROW(b, c->location, LUMA_E_UNSUPPORTED, "0A000", "bit strings are not supported");
    default:
        return sql_const_i64(b, 0);
    }
}

static struct luma_expr *
bind_param(struct sql_bind *b, const PgQuery__ParamRef *p)
{
    if (p->number < 1 || p->number > 65535 ||
        (b->params_fixed && (uint32_t)p->number > b->params_count))
        SQL_THROW(b, p->location, LUMA_E_UNDEFINED, "42P02", "there is no parameter $%d",
                  p->number);
    uint32_t n = (uint32_t)p->number;
    if (n > b->params_room) {
        uint32_t room = n < 8 ? 8 : n * 2;
        struct luma_type *grown = SQL_NEW_ARRAY(b, struct luma_type, room);
        if (b->params_count > 0)
            memcpy(grown, b->params, sizeof(*grown) * b->params_count);
        for (uint32_t i = b->params_count; i < room; i++)
            grown[i] = luma_type(LUMA_TYPE_NONE);
        b->params = grown;
        b->params_room = room;
    }
    if (n > b->params_count)
        b->params_count = n;
    struct luma_type type = b->params[n - 1];
    if (type.id == LUMA_TYPE_NONE)
        type = b->params[n - 1] = luma_type(LUMA_TYPE_UNKNOWN);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_PARAM, type, 0);
    e->index = p->number - 1;
    return e;
}

static struct luma_expr *
bind_cast(struct sql_bind *b, struct sql_scope *scope, const PgQuery__TypeCast *cast)
{
    struct luma_type to = sql_type_resolve(b, cast->type_name);
    uint64_t domain_id;
    const PgQuery__Node *arg = cast->arg;
    if (arg->node_case == PGN(A_ARRAY_EXPR) && to.id == LUMA_TYPE_ARRAY &&
        arg->a_array_expr->n_elements == 0)
        return sql_expr(b, LUMA_EXPR_ARRAY, sql_domain_base(b, to, &domain_id), 0);
    struct luma_expr *e = sql_bind_expr(b, scope, arg);
    int32_t location = cast->location >= 0 ? cast->location : sql_node_location(arg);
    if (e->kind == LUMA_EXPR_CONST)
        location = sql_node_location(arg);
    return sql_coerce(b, e, to, SQL_CAST_EXPLICIT, location);
}

static struct luma_expr *
bind_bool(struct sql_bind *b, struct sql_scope *scope, const PgQuery__BoolExpr *x)
{
    struct luma_type boolean = luma_type(LUMA_TYPE_BOOL);
    bool is_not = x->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR;
    bool is_and = x->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    enum luma_expr_kind kind = is_not ? LUMA_EXPR_NOT : is_and ? LUMA_EXPR_AND : LUMA_EXPR_OR;
    struct luma_expr *e = sql_expr(b, kind, boolean, (uint32_t)x->n_args);
    for (size_t i = 0; i < x->n_args; i++)
        e->args[i] = sql_coerce_bool(b, sql_bind_expr(b, scope, x->args[i]),
                                     is_not   ? "NOT"
                                     : is_and ? "AND"
                                              : "OR",
                                     sql_node_location(x->args[i]));
    return e;
}

static struct luma_expr *
bind_null_test(struct sql_bind *b, struct sql_scope *scope, const PgQuery__NullTest *t)
{
    struct luma_expr *arg = sql_known(b, sql_bind_expr(b, scope, t->arg));
    bool negated = t->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL;
    if (arg->kind == LUMA_EXPR_ROW && arg->args_count > 0) {
        /* true when all fields are (not) null */
        struct luma_expr *all = NULL;
        for (uint32_t i = 0; i < arg->args_count; i++) {
            struct luma_expr *one = sql_expr(b, LUMA_EXPR_IS_NULL, luma_type(LUMA_TYPE_BOOL), 1);
            one->args[0] = sql_known(b, arg->args[i]);
            one->negated = negated;
            all = sql_and(b, all, one);
        }
        return all;
    }
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_IS_NULL, luma_type(LUMA_TYPE_BOOL), 1);
    e->args[0] = arg;
    e->negated = negated;
    return e;
}

static struct luma_expr *
bind_bool_test(struct sql_bind *b, struct sql_scope *scope, const PgQuery__BooleanTest *t)
{
    static const struct {
        int8_t index;
        bool negated;
        const char *name;
    } tests[] = {{0, false, ""},
                 {1, false, "IS TRUE"},
                 {1, true, "IS NOT TRUE"},
                 {0, false, "IS FALSE"},
                 {0, true, "IS NOT FALSE"},
                 {-1, false, "IS UNKNOWN"},
                 {-1, true, "IS NOT UNKNOWN"}};
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_IS_BOOL, luma_type(LUMA_TYPE_BOOL), 1);
    e->index = tests[t->booltesttype].index;
    e->negated = tests[t->booltesttype].negated;
    e->args[0] = sql_coerce_bool(b, sql_bind_expr(b, scope, t->arg), tests[t->booltesttype].name,
                                 t->location);
    return e;
}

/* Coerces args in place to their common type. */
static struct luma_type
unify(struct sql_bind *b, struct luma_expr **args, uint32_t count, const char *where,
      int32_t location)
{
    struct luma_type type = sql_common_type(b, args, count, where, location);
    for (uint32_t i = 0; i < count; i++)
        args[i] = sql_coerce(b, args[i], type, SQL_CAST_IMPLICIT, location);
    return type;
}

static struct luma_expr *
case_condition(struct sql_bind *b, struct sql_scope *scope, const PgQuery__CaseExpr *c,
               const PgQuery__CaseWhen *when)
{
    if (c->arg == NULL)
        return sql_coerce_bool(b, sql_bind_expr(b, scope, when->expr), "CASE/WHEN",
                               sql_node_location(when->expr));
    struct luma_expr *left = sql_bind_expr(b, scope, c->arg);
    struct luma_expr *right = sql_bind_expr(b, scope, when->expr);
    if (left->type.id == LUMA_TYPE_UNKNOWN && right->type.id == LUMA_TYPE_UNKNOWN)
        left = sql_known(b, left);
    return sql_operator(b, "=", when->location, left, right);
}

static struct luma_expr *
bind_case(struct sql_bind *b, struct sql_scope *scope, const PgQuery__CaseExpr *c)
{
    uint32_t whens = (uint32_t)c->n_args;
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CASE, luma_type(LUMA_TYPE_UNKNOWN), whens * 2 + 1);
    struct luma_expr **results = SQL_NEW_ARRAY(b, struct luma_expr *, whens + 1);
    for (uint32_t i = 0; i < whens; i++) {
        const PgQuery__CaseWhen *when = c->args[i]->case_when;
        e->args[i * 2] = case_condition(b, scope, c, when);
        results[i + 1] = sql_bind_expr(b, scope, when->result);
    }
    results[0] = c->defresult != NULL ? sql_bind_expr(b, scope, c->defresult)
                                      : sql_const_null(b, luma_type(LUMA_TYPE_UNKNOWN));
    e->type = unify(b, results, whens + 1, "CASE", c->location);
    for (uint32_t i = 0; i < whens; i++)
        e->args[i * 2 + 1] = results[i + 1];
    e->args[whens * 2] = results[0];
    return e;
}

static struct luma_expr *
bind_list(struct sql_bind *b, struct sql_scope *scope, enum luma_expr_kind kind,
          PgQuery__Node *const *args, size_t count, const char *where, int32_t location)
{
    struct luma_expr *e = sql_expr(b, kind, luma_type(LUMA_TYPE_UNKNOWN), (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        e->args[i] = sql_bind_expr(b, scope, args[i]);
    e->type = unify(b, e->args, e->args_count, where, location);
    return e;
}

static struct luma_expr *
bind_array(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AArrayExpr *a)
{
    if (a->n_elements == 0) {
        luma_rc rc =
            LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42P18", "cannot determine type of empty array");
        sql_hint(b, "Explicitly cast to the desired type, for example ARRAY[]::integer[].");
        sql_throw(b, a->location, rc);
    }
    struct luma_expr *e =
        bind_list(b, scope, LUMA_EXPR_ARRAY, a->elements, a->n_elements, "ARRAY", a->location);
    if (e->type.id == LUMA_TYPE_ARRAY)
        SQL_THROW(b, a->location, LUMA_E_UNSUPPORTED, "0A000",
                  "arrays of more than one dimension are not supported");
    e->type = luma_type_array_of(e->type);
    return e;
}

static struct luma_expr *
bind_row(struct sql_bind *b, struct sql_scope *scope, const PgQuery__RowExpr *r)
{
    struct luma_expr *e =
        sql_expr(b, LUMA_EXPR_ROW, luma_type(LUMA_TYPE_RECORD), (uint32_t)r->n_args);
    for (size_t i = 0; i < r->n_args; i++)
        e->args[i] = sql_bind_expr(b, scope, r->args[i]);
    return e;
}

static struct luma_expr *
bind_value_function(struct sql_bind *b, const PgQuery__SQLValueFunction *f)
{
    static const char *const names[] = {
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE] = "current_date",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP] = "now",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N] = "now",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE] = "current_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER] = "current_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER] = "current_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER] = "session_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG] = "current_database",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA] = "current_schema"};
    /* LOCALTIME and friends are conversions of now() by the session's time zone */
    const char *name = names[f->op];
    struct luma_expr *e;
    if (strncmp(name, "local", 5) == 0 || strcmp(name, "current_date") == 0 ||
        strcmp(name, "current_time") == 0) {
        struct luma_type to = luma_type(strcmp(name, "localtimestamp") == 0 ? LUMA_TYPE_TIMESTAMP
                                        : strcmp(name, "current_date") == 0 ? LUMA_TYPE_DATE
                                        : strcmp(name, "localtime") == 0    ? LUMA_TYPE_TIME
                                                                            : LUMA_TYPE_TIMETZ);
        e = sql_coerce(b, sql_call(b, "now", f->location, NULL, 0), to, SQL_CAST_EXPLICIT,
                       f->location);
    } else {
        e = sql_call(b, name, f->location, NULL, 0);
    }
    if (f->typmod >= 0 && f->typmod <= 6) {
        struct luma_type to = e->type;
        to.mod = f->typmod;
        if (f->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N ||
            f->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N ||
            f->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N ||
            f->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N)
            e = sql_coerce(b, e, to, SQL_CAST_EXPLICIT, f->location);
    }
    return e;
}

static struct luma_expr *
bind_slice(struct sql_bind *b, struct sql_scope *scope, struct luma_expr *array,
           const PgQuery__AIndices *ix, int32_t location)
{
    struct luma_type int4 = luma_type(LUMA_TYPE_INT4);
    struct luma_expr *args[3] = {array, NULL, NULL};
    args[1] = ix->lidx != NULL ? sql_bind_expr(b, scope, ix->lidx) : sql_const_null(b, int4);
    args[2] = ix->uidx != NULL ? sql_bind_expr(b, scope, ix->uidx) : sql_const_null(b, int4);
    for (int i = 1; i < 3; i++)
        args[i] = sql_coerce(b, args[i], int4, SQL_CAST_ASSIGN, location);
    return sql_call(b, "array_slice", location, args, 3);
}

/* information_schema._pg_expandarray(array) gives (x, n): element and position. Drivers take one of
 * them: n is bound here, the call by itself gives x. */
static struct luma_expr *
expanded_position(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AIndirection *ind)
{
    const char *schema = NULL;
    if (ind->arg->node_case != PGN(FUNC_CALL) || ind->n_indirection != 1 ||
        ind->indirection[0]->node_case != PGN(STRING) ||
        strcmp(ind->indirection[0]->string->sval, "n") != 0)
        return NULL;
    const PgQuery__FuncCall *call = ind->arg->func_call;
    if (call->n_args != 1 ||
        strcmp(sql_name_parts(call->funcname, call->n_funcname, &schema), "_pg_expandarray") != 0)
        return NULL;
    struct luma_expr **args = SQL_NEW_ARRAY(b, struct luma_expr *, 2);
    args[0] = sql_bind_expr(b, scope, call->args[0]);
    args[1] = sql_coerce(b, sql_const_i64(b, 1), luma_type(LUMA_TYPE_INT4), SQL_CAST_EXPLICIT, -1);
    struct luma_expr *e = sql_call(b, "generate_subscripts", call->location, args, 2);
    e->kind = LUMA_EXPR_SET;
    scope->has_sets = true;
    return e;
}

static struct luma_expr *
bind_indirection(struct sql_bind *b, struct sql_scope *scope, const PgQuery__AIndirection *ind)
{
    struct luma_expr *e = expanded_position(b, scope, ind);
    if (e != NULL)
        return e;
    e = sql_bind_expr(b, scope, ind->arg);
    int32_t location = sql_node_location(ind->arg);
    for (size_t i = 0; i < ind->n_indirection; i++) {
        const PgQuery__Node *step = ind->indirection[i];
        if (step->node_case == PGN(STRING) && e->type.id == LUMA_TYPE_INT2 && e->type.scale == 1 &&
            strcmp(step->string->sval, "x") == 0)
            continue; /* (_pg_expandarray(...)).x is what stands for the whole */
        if (step->node_case != PGN(A_INDICES))
            SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                      "selecting a field of a composite value is not supported");
        const PgQuery__AIndices *ix = step->a_indices;
        if (ix->is_slice) {
            e = bind_slice(b, scope, e, ix, location);
            continue;
        }
        struct luma_expr *index = sql_bind_expr(b, scope, ix->uidx);
        if (e->type.id == LUMA_TYPE_JSONB) {
            e = sql_operator(b, "->", location, e, index);
            continue;
        }
        if (e->type.id == LUMA_TYPE_NAME) {
            /* characters from 0: pg_dump looks for the underscore of array types so */
            struct luma_expr *args[3] = {
                e, sql_operator(b, "+", location, index, sql_const_i64(b, 1)), sql_const_i64(b, 1)};
            e = sql_call(b, "substr", location, args, 3);
            continue;
        }
        if (e->type.id != LUMA_TYPE_ARRAY)
            SQL_THROW(b, location, LUMA_E_TYPE, "42804",
                      "cannot subscript type %s because it does not support subscripting",
                      sql_type_text(b, e->type));
        struct luma_expr *sub = sql_expr(b, LUMA_EXPR_SUBSCRIPT, luma_type_elem(e->type), 2);
        sub->args[0] = e;
        sub->args[1] = sql_coerce(b, index, luma_type(LUMA_TYPE_INT4), SQL_CAST_ASSIGN, location);
        if (luma_type_is_oldvector(e->type))
            sub->args[1] = sql_operator(b, "+", location, sub->args[1], sql_const_i64(b, 1));
        e = sub;
    }
    return e;
}

static struct luma_expr *
bind_node(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PGN(A_CONST):
        return bind_const(b, node->a_const);
    case PGN(COLUMN_REF):
        return sql_name_resolve(b, scope, node->column_ref);
    case PGN(PARAM_REF):
        return bind_param(b, node->param_ref);
    case PGN(A_EXPR):
        return sql_bind_a_expr(b, scope, node->a_expr);
    case PGN(BOOL_EXPR):
        return bind_bool(b, scope, node->bool_expr);
    case PGN(FUNC_CALL):
        return sql_bind_func(b, scope, node->func_call);
    case PGN(TYPE_CAST):
        return bind_cast(b, scope, node->type_cast);
    case PGN(NULL_TEST):
        return bind_null_test(b, scope, node->null_test);
    case PGN(BOOLEAN_TEST):
        return bind_bool_test(b, scope, node->boolean_test);
    case PGN(CASE_EXPR):
        return bind_case(b, scope, node->case_expr);
    case PGN(COALESCE_EXPR):
        return bind_list(b, scope, LUMA_EXPR_COALESCE, node->coalesce_expr->args,
                         node->coalesce_expr->n_args, "COALESCE", node->coalesce_expr->location);
    case PGN(MIN_MAX_EXPR): {
        const PgQuery__MinMaxExpr *m = node->min_max_expr;
        bool greatest = m->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
        return bind_list(b, scope, greatest ? LUMA_EXPR_GREATEST : LUMA_EXPR_LEAST, m->args,
                         m->n_args, greatest ? "GREATEST" : "LEAST", m->location);
    }
    case PGN(SUB_LINK):
        return sql_bind_sublink(b, scope, node->sub_link);
    case PGN(A_ARRAY_EXPR):
        return bind_array(b, scope, node->a_array_expr);
    case PGN(ROW_EXPR):
        return bind_row(b, scope, node->row_expr);
    case PGN(SQLVALUE_FUNCTION):
        return bind_value_function(b, node->sqlvalue_function);
    case PGN(A_INDIRECTION):
        return bind_indirection(b, scope, node->a_indirection);
    case PGN(COLLATE_CLAUSE):
        sql_collation(b, node->collate_clause);
        return sql_bind_expr(b, scope, node->collate_clause->arg);
    case PGN(SET_TO_DEFAULT):
        SQL_THROW(b, node->set_to_default->location, LUMA_E_SYNTAX, "42601",
                  "DEFAULT is not allowed in this context");
    default:
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "this kind of expression is not supported");
    }
}

struct luma_expr *
sql_bind_expr(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node)
{
    return bind_node(b, scope, node);
}

struct luma_expr *
sql_bind_condition(struct sql_bind *b, struct sql_scope *scope, const PgQuery__Node *node,
                   enum sql_place place, const char *where)
{
    if (node == NULL)
        return NULL;
    enum sql_place saved = scope->place;
    scope->place = place;
    struct luma_expr *e = sql_bind_expr(b, scope, node);
    scope->place = saved;
    return sql_coerce_bool(b, e, where, sql_node_location(node));
}

int32_t
sql_node_location(const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PGN(A_CONST):
        return node->a_const->location;
    case PGN(COLUMN_REF):
        return node->column_ref->location;
    case PGN(PARAM_REF):
        return node->param_ref->location;
    case PGN(A_EXPR):
        return node->a_expr->lexpr != NULL ? sql_node_location(node->a_expr->lexpr)
                                           : node->a_expr->location;
    case PGN(BOOL_EXPR):
        return node->bool_expr->location;
    case PGN(FUNC_CALL):
        return node->func_call->location;
    case PGN(TYPE_CAST):
        return sql_node_location(node->type_cast->arg);
    case PGN(NULL_TEST):
        return sql_node_location(node->null_test->arg);
    case PGN(CASE_EXPR):
        return node->case_expr->location;
    case PGN(COALESCE_EXPR):
        return node->coalesce_expr->location;
    case PGN(SUB_LINK):
        return node->sub_link->location;
    case PGN(A_ARRAY_EXPR):
        return node->a_array_expr->location;
    case PGN(ROW_EXPR):
        return node->row_expr->location;
    case PGN(RES_TARGET):
        return node->res_target->location;
    case PGN(A_INDIRECTION):
        return sql_node_location(node->a_indirection->arg);
    default:
        return -1;
    }
}

/* ---- what an output column is called ---- */

/* Named only for want of anything better. */
static bool
is_weak(const PgQuery__Node *node)
{
    return (node->node_case == PGN(TYPE_CAST) &&
            (is_weak(node->type_cast->arg) ||
             sql_target_name(node->type_cast->arg, NULL) == NULL)) ||
           (node->node_case == PGN(CASE_EXPR) &&
            (node->case_expr->defresult == NULL || is_weak(node->case_expr->defresult) ||
             sql_target_name(node->case_expr->defresult, NULL) == NULL));
}

const char *
sql_target_name(const PgQuery__Node *node, const char *def)
{
    switch (node->node_case) {
    case PGN(COLUMN_REF): {
        const PgQuery__ColumnRef *ref = node->column_ref;
        for (size_t i = ref->n_fields; i > 0; i--)
            if (ref->fields[i - 1]->node_case == PGN(STRING))
                return sql_string(ref->fields[i - 1]);
        return def;
    }
    case PGN(FUNC_CALL):
        return sql_name_parts(node->func_call->funcname, node->func_call->n_funcname, NULL);
    case PGN(TYPE_CAST): {
        /* a name below goes before the type's, but not another cast's */
        const char *name =
            is_weak(node->type_cast->arg) ? NULL : sql_target_name(node->type_cast->arg, NULL);
        const PgQuery__TypeName *type = node->type_cast->type_name;
        if (name == NULL && type->n_names > 0)
            name = sql_name_parts(type->names, type->n_names, NULL);
        return name != NULL ? name : def;
    }
    case PGN(CASE_EXPR): {
        const PgQuery__Node *last = node->case_expr->defresult;
        const char *name = last != NULL && !is_weak(last) ? sql_target_name(last, NULL) : NULL;
        return name != NULL ? name : "case";
    }
    case PGN(COALESCE_EXPR):
        return "coalesce";
    case PGN(MIN_MAX_EXPR):
        return node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
    case PGN(A_ARRAY_EXPR):
        return "array";
    case PGN(ROW_EXPR):
        return "row";
    case PGN(GROUPING_FUNC):
        return "grouping";
    case PGN(A_EXPR):
        return node->a_expr->kind == PG_AEXPR(NULLIF) ? "nullif" : def;
    case PGN(COLLATE_CLAUSE):
        return sql_target_name(node->collate_clause->arg, def);
    case PGN(A_INDIRECTION): {
        const PgQuery__AIndirection *ind = node->a_indirection;
        for (size_t i = ind->n_indirection; i-- > 0;)
            if (ind->indirection[i]->node_case == PGN(STRING))
                return ind->indirection[i]->string->sval;
        return sql_target_name(ind->arg, def);
    }
    case PGN(SUB_LINK): {
        const PgQuery__SubLink *link = node->sub_link;
        if (link->sub_link_type == PG_LINK(EXISTS))
            return "exists";
        if (link->sub_link_type == PG_LINK(ARRAY))
            return "array";
        if (link->sub_link_type == PG_LINK(EXPR) &&
            link->subselect->node_case == PGN(SELECT_STMT) &&
            link->subselect->select_stmt->n_target_list == 1) {
            const PgQuery__ResTarget *t = link->subselect->select_stmt->target_list[0]->res_target;
            return t->name != NULL && t->name[0] != '\0' ? t->name : sql_target_name(t->val, def);
        }
        return def;
    }
    case PGN(SQLVALUE_FUNCTION): {
        static const char *const names[] = {"",
                                            "current_date",
                                            "current_time",
                                            "current_time",
                                            "current_timestamp",
                                            "current_timestamp",
                                            "localtime",
                                            "localtime",
                                            "localtimestamp",
                                            "localtimestamp",
                                            "current_role",
                                            "current_user",
                                            "user",
                                            "session_user",
                                            "current_catalog",
                                            "current_schema"};
        return names[node->sqlvalue_function->op];
    }
    default:
        return def;
    }
}
