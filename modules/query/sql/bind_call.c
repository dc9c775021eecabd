/*
 * bind_call.c - function calls: scalar functions, aggregates, window functions, sets.
 */
#include <stdio.h>

#include "sql.h"

static const char *
place_name(enum sql_place place)
{
    switch (place) {
    case SQL_PLACE_WHERE:
        return "WHERE";
    case SQL_PLACE_GROUP:
        return "GROUP BY";
    case SQL_PLACE_ON:
        return "JOIN conditions";
    case SQL_PLACE_FROM_FUNCTION:
        return "functions in FROM";
    case SQL_PLACE_VALUES:
        return "VALUES";
    case SQL_PLACE_LIMIT:
        return "LIMIT";
    case SQL_PLACE_SET:
        return "UPDATE";
    case SQL_PLACE_RETURNING:
        return "RETURNING";
    case SQL_PLACE_CHECK:
        return "check constraints";
    case SQL_PLACE_DEFAULT:
        return "DEFAULT expressions";
    case SQL_PLACE_HAVING:
        return "HAVING";
    case SQL_PLACE_FILTER:
        return "FILTER";
    default:
        return NULL;
    }
}

static const struct luma_func *
any_named(const char *name, uint32_t flag)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        if ((f->flags & flag) != 0 && strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static void
remember(struct sql_bind *b, struct luma_expr ***list, uint32_t *count, uint32_t *room,
         struct luma_expr *e)
{
    if (*count == *room) {
        uint32_t grown_room = *room == 0 ? 8 : *room * 2;
        struct luma_expr **grown = SQL_NEW_ARRAY(b, struct luma_expr *, grown_room);
        if (*count > 0)
            memcpy(grown, *list, sizeof(*grown) * *count);
        *list = grown;
        *room = grown_room;
    }
    (*list)[(*count)++] = e;
}

static void
bind_agg_order(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
               struct luma_expr *e)
{
    if (call->n_agg_order == 0)
        return;
    struct luma_sort_key *keys = SQL_NEW_ARRAY(b, struct luma_sort_key, call->n_agg_order);
    for (size_t i = 0; i < call->n_agg_order; i++) {
        const PgQuery__SortBy *by = call->agg_order[i]->sort_by;
        sql_sort_key(b, by, sql_known(b, sql_bind_expr(b, scope, by->node)), &keys[i]);
    }
    e->order_count = (uint32_t)call->n_agg_order;
    e->order = keys;
}

static bool
is_outer(void *arg, const struct luma_expr *e)
{
    bool *has_local = arg;
    if (e->kind == LUMA_EXPR_COL)
        *has_local = true;
    return e->kind == LUMA_EXPR_OUTER;
}

static void
agg_place(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call)
{
    if (scope->in_aggregate)
        SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42803",
                  "aggregate function calls cannot be nested");
    const char *place = place_name(scope->place);
    if (place != NULL && scope->place != SQL_PLACE_HAVING)
        SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42803",
                  "aggregate functions are not allowed in %s", place);
}

static struct luma_expr *
bind_filter(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call)
{
    return call->agg_filter == NULL
               ? NULL
               : sql_bind_condition(b, scope, call->agg_filter, SQL_PLACE_FILTER, "FILTER");
}

static struct luma_expr *
finish_agg(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
           struct luma_expr *e)
{
    e->kind = LUMA_EXPR_AGG;
    e->distinct = call->agg_distinct;
    bool has_local = false, has_outer = false;
    for (uint32_t i = 0; i < e->args_count; i++)
        has_outer |= sql_expr_walk(e->args[i], is_outer, &has_local);
    if (has_outer && !has_local)
        SQL_THROW(b, call->location, LUMA_E_UNSUPPORTED, "0A000",
                  "aggregates over columns of an outer query are not supported");
    if (e->distinct && e->args_count == 1)
        sql_operator_func(b, "=", e->args[0]->type, call->location);
    remember(b, &scope->aggs, &scope->aggs_count, &scope->aggs_room, e);
    return e;
}

static struct luma_expr *
finish_window(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
              struct luma_expr *e)
{
    const char *place = place_name(scope->place);
    if (place != NULL)
        SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42P20",
                  "window functions are not allowed in %s", place);
    if (scope->in_window)
        SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42P20",
                  "window function calls cannot be nested");
    if (call->agg_distinct)
        SQL_THROW(b, call->location, LUMA_E_UNSUPPORTED, "0A000",
                  "DISTINCT is not implemented for window functions");
    scope->in_window = true;
    e->kind = LUMA_EXPR_WINDOW;
    e->window = sql_bind_window(b, scope, call->over);
    scope->in_window = false;
    remember(b, &scope->windows, &scope->windows_count, &scope->windows_room, e);
    return e;
}

/* Functions whose arguments have names that anyone writes, and what stands for one left out. */
static const struct named_func {
    const char *func;
    const char *names[8], *defaults[8]; /* NULL default: it must be given */
} named_funcs[] = {
    {"make_interval",
     {"years", "months", "weeks", "days", "hours", "mins", "secs"},
     {"0", "0", "0", "0", "0", "0", "0"}},
    {"jsonb_set_lax",
     {"target", "path", "value", "create_if_missing", "null_value_treatment"},
     {NULL, NULL, NULL, "true", "'use_json_null'"}},
    {"jsonb_set", {"target", "path", "value", "create_if_missing"}, {NULL, NULL, NULL, "true"}},
    {"jsonb_insert", {"target", "path", "value", "insert_after"}, {NULL, NULL, NULL, "false"}},
    {"jsonb_path_exists", {"target", "path", "vars", "silent"}, {NULL, NULL, "'{}'", "false"}},
    {"jsonb_path_match", {"target", "path", "vars", "silent"}, {NULL, NULL, "'{}'", "false"}},
    {"jsonb_path_query", {"target", "path", "vars", "silent"}, {NULL, NULL, "'{}'", "false"}},
    {"jsonb_path_query_array", {"target", "path", "vars", "silent"}, {NULL, NULL, "'{}'", "false"}},
    {"jsonb_path_query_first", {"target", "path", "vars", "silent"}, {NULL, NULL, "'{}'", "false"}},
};

static size_t
named_place(struct sql_bind *b, const PgQuery__FuncCall *call, const char *func,
            const struct named_func *known, const char *name)
{
    for (size_t k = 0; known != NULL && k < LUMA_COUNTOF(known->names); k++)
        if (known->names[k] != NULL && strcmp(known->names[k], name) == 0)
            return k;
    SQL_THROW(b, call->location, LUMA_E_UNDEFINED, "42883",
              "function %s has no argument named \"%s\"", func, name);
}

/* name => value */
static struct luma_expr **
named_args(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
           uint32_t *out_count)
{
    const char *func = sql_name_parts(call->funcname, call->n_funcname, NULL);
    const struct named_func *known = NULL;
    for (size_t i = 0; i < LUMA_COUNTOF(named_funcs) && known == NULL; i++)
        if (strcmp(named_funcs[i].func, func) == 0)
            known = &named_funcs[i];
    struct luma_expr **args = SQL_NEW_ARRAY(b, struct luma_expr *, 8 + call->n_args);
    *out_count = 0;
    for (size_t i = 0; i < call->n_args; i++) {
        const PgQuery__NamedArgExpr *named =
            call->args[i]->node_case == PGN(NAMED_ARG_EXPR) ? call->args[i]->named_arg_expr : NULL;
        size_t at = named != NULL ? named_place(b, call, func, known, named->name) : i;
        if (args[at] != NULL)
            SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42601",
                      "argument name \"%s\" used more than once", named != NULL ? named->name : "");
        args[at] = sql_bind_expr(b, scope, named != NULL ? named->arg : call->args[i]);
        *out_count = at + 1 > *out_count ? (uint32_t)at + 1 : *out_count;
    }
    for (uint32_t i = 0; i < *out_count; i++) {
        if (args[i] != NULL)
            continue;
        if (known == NULL || i >= LUMA_COUNTOF(known->defaults) || known->defaults[i] == NULL)
            SQL_THROW(b, call->location, LUMA_E_UNDEFINED, "42883",
                      "function %s needs a value for its argument %u", func, i + 1);
        args[i] = sql_bind_text(b, known->defaults[i], NULL, scope->place);
    }
    return args;
}

static bool
has_named(const PgQuery__FuncCall *call)
{
    for (size_t i = 0; i < call->n_args; i++)
        if (call->args[i]->node_case == PGN(NAMED_ARG_EXPR))
            return true;
    return false;
}

static struct luma_expr **
bind_args(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
          uint32_t *out_count)
{
    if (has_named(call))
        return named_args(b, scope, call, out_count);
    size_t extra = call->agg_within_group ? call->n_agg_order : 0;
    struct luma_expr **args = SQL_NEW_ARRAY(b, struct luma_expr *, call->n_args + extra + 1);
    for (size_t i = 0; i < call->n_args; i++) {
        args[i] = sql_bind_expr(b, scope, call->args[i]);
    }
    for (size_t i = 0; i < extra; i++)
        args[call->n_args + i] =
            sql_known(b, sql_bind_expr(b, scope, call->agg_order[i]->sort_by->node));
    *out_count = (uint32_t)(call->n_args + extra);
    return args;
}

static void
no_function(struct sql_bind *b, const PgQuery__FuncCall *call, const char *name,
            struct luma_expr **args, uint32_t count)
{
    const char *types = "";
    const char *schema = NULL;
    sql_name_parts(call->funcname, call->n_funcname, &schema);
    for (uint32_t i = 0; i < count; i++)
        types = sql_format(b, "%s%s%s", types, i == 0 ? "" : ", ", sql_type_text(b, args[i]->type));
    luma_rc rc =
        LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883", "function %s%s%s(%s) does not exist",
                      schema != NULL ? schema : "", schema != NULL ? "." : "", name, types);
    sql_hint(b, "No function matches the given name and argument types. You might need to add "
                "explicit type casts.");
    sql_throw(b, call->location, rc);
}

/* type 'text' written as a call: int4('5'), text(x) */
static struct luma_expr *
call_as_cast(struct sql_bind *b, const char *name, struct luma_expr **args, uint32_t count,
             int32_t location)
{
    const struct luma_type_info *info = count == 1 ? sql_host->data->type_by_name(name) : NULL;
    if (info == NULL || info->type.id == LUMA_TYPE_RECORD || strcmp(info->name, name) != 0)
        return NULL;
    struct luma_type to = luma_type((enum luma_type_id)info->type.id);
    to.elem = info->type.elem;
    return sql_coerce_try(b, args[0], to, SQL_CAST_EXPLICIT, location);
}

/* Does `scope` allow a set here, and which kind of node is it? */
static void
set_place(struct sql_bind *b, struct sql_scope *scope, int32_t location)
{
    const char *place = place_name(scope->place);
    if (place != NULL && scope->place != SQL_PLACE_FROM_FUNCTION &&
        scope->place != SQL_PLACE_HAVING)
        SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                  "set-returning functions are not allowed in %s", place);
    scope->has_sets = true;
}

/* A constant array as the list of its elements. */
static struct luma_expr *
elements_of(struct sql_bind *b, const struct luma_expr *array)
{
    uint32_t count = sql_host->data->array_count(&array->value.str);
    struct luma_type elem = luma_type_elem(array->type);
    struct luma_expr *list = sql_expr(b, LUMA_EXPR_ARRAY, array->type, count);
    for (uint32_t i = 0; i < count; i++) {
        list->args[i] = sql_const_null(b, elem);
        sql_check(b, -1,
                  sql_host->data->array_get(&array->value.str, elem, i, &list->args[i]->value));
    }
    return list;
}

static struct luma_expr *
variadic_call(struct sql_bind *b, const PgQuery__FuncCall *call, const char *name,
              struct luma_expr **args, uint32_t count)
{
    /* VARIADIC array: spread when its elements are written out */
    struct luma_expr *last = count > 0 ? args[count - 1] : NULL;
    if (last != NULL && last->kind == LUMA_EXPR_CONST && last->type.id == LUMA_TYPE_ARRAY &&
        !last->value.is_null)
        last = elements_of(b, last);
    if (last == NULL || last->kind != LUMA_EXPR_ARRAY)
        SQL_THROW(b, call->location, LUMA_E_UNSUPPORTED, "0A000",
                  "VARIADIC with an array that is not written out is not supported");
    struct luma_expr **spread = SQL_NEW_ARRAY(b, struct luma_expr *, count + last->args_count);
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, count + last->args_count);
    uint32_t n = 0;
    for (uint32_t i = 0; i + 1 < count; i++)
        spread[n++] = args[i];
    for (uint32_t i = 0; i < last->args_count; i++)
        spread[n++] = last->args[i];
    for (uint32_t i = 0; i < n; i++)
        types[i] = spread[i]->type;
    struct sql_resolved r;
    if (!sql_resolve(b, SQL_FUNC_CALL, name, types, n, call->location, &r))
        no_function(b, call, name, args, count);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CALL, r.result, n);
    e->func = r.func;
    for (uint32_t i = 0; i < n; i++)
        e->args[i] = sql_coerce(b, spread[i], r.args[i], SQL_CAST_IMPLICIT, call->location);
    return e;
}

static void
window_only(struct sql_bind *b, const PgQuery__FuncCall *call, const char *name)
{
    if (call->over == NULL)
        SQL_THROW(b, call->location, LUMA_E_SYNTAX, "42809",
                  "window function %s requires an OVER clause", name);
}

static void
check_decoration(struct sql_bind *b, const PgQuery__FuncCall *call, const char *name, bool is_agg)
{
    if (is_agg)
        return;
    const char *what = call->agg_star             ? "(*)"
                       : call->agg_distinct       ? "DISTINCT"
                       : call->n_agg_order > 0    ? "ORDER BY"
                       : call->agg_filter != NULL ? "FILTER"
                                                  : NULL;
    if (what != NULL && strcmp(what, "(*)") == 0)
        SQL_THROW(b, call->location, LUMA_E_TYPE, "42809",
                  "%s(*) specified, but %s is not an aggregate function", name, name);
    if (what != NULL)
        SQL_THROW(b, call->location, LUMA_E_TYPE, "42809",
                  "%s specified, but %s is not an aggregate function", what, name);
    if (call->over != NULL)
        SQL_THROW(b, call->location, LUMA_E_TYPE, "42809",
                  "OVER specified, but %s is not a window function nor an aggregate function",
                  name);
}

static struct luma_expr *
resolve_call(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
             const char *name, struct luma_expr **args, uint32_t count, bool *out_window)
{
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, count + 1);
    for (uint32_t i = 0; i < count; i++)
        types[i] = args[i]->type;
    struct sql_resolved r;
    const struct luma_func *window = sql_window_func(name, count);
    if (!sql_resolve(b, SQL_FUNC_CALL, name, types, count, call->location, &r)) {
        struct luma_expr *cast = call_as_cast(b, name, args, count, call->location);
        if (cast != NULL)
            return cast;
        if (window == NULL)
            no_function(b, call, name, args, count);
        r = (struct sql_resolved){.func = window, .result = window->result, .args = types};
        for (uint32_t i = 0; i < count; i++) {
            types[i] = window->args[i].id == LUMA_TYPE_ANYELEMENT ? sql_known(b, args[0])->type
                                                                  : window->args[i];
            if (r.result.id == LUMA_TYPE_ANYELEMENT)
                r.result = types[0];
        }
    }
    *out_window = window != NULL;
    if (window != NULL)
        window_only(b, call, name);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CALL, r.result, count);
    e->func = r.func;
    for (uint32_t i = 0; i < count; i++)
        e->args[i] = sql_coerce(b, args[i], r.args[i], SQL_CAST_IMPLICIT, call->location);
    (void)scope;
    return e;
}

/* Functions live in pg_catalog; any schema that exists may be written. */
static void
known_schema(struct sql_bind *b, const PgQuery__FuncCall *call)
{
    const char *schema = NULL;
    sql_name_parts(call->funcname, call->n_funcname, &schema);
    if (schema == NULL || strcmp(schema, "pg_catalog") == 0 || strcmp(schema, "public") == 0)
        return;
    if (sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, schema) == NULL &&
        strcmp(schema, "information_schema") != 0)
        SQL_THROW(b, call->location, LUMA_E_UNDEFINED, "3F000", "schema \"%s\" does not exist",
                  schema);
}

/* percentile_cont, percentile_disc and mode WITHIN GROUP (ORDER BY x): a function of the sorted
 * array of the group's values. NULL: call is none of them. */
static struct luma_expr *
bind_ordered_set(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call,
                 const char *name)
{
    static const struct {
        const char *name, *over;
        size_t args;
    } sets[] = {{"percentile_cont", "array_percentile_cont", 1},
                {"percentile_disc", "array_percentile_disc", 1},
                {"mode", "array_mode", 0}};
    size_t which = 0;
    while (which < LUMA_COUNTOF(sets) && strcmp(sets[which].name, name) != 0)
        which++;
    if (!call->agg_within_group || which == LUMA_COUNTOF(sets) || call->n_agg_order != 1 ||
        call->n_args != sets[which].args)
        return NULL;
    if (call->over != NULL)
        SQL_THROW(b, call->location, LUMA_E_UNSUPPORTED, "0A000",
                  "OVER is not supported for ordered-set aggregate %s", name);
    struct luma_expr **args = SQL_NEW_ARRAY(b, struct luma_expr *, 2);
    if (call->n_args > 0)
        args[1] = sql_coerce(b, sql_bind_expr(b, scope, call->args[0]), luma_type(LUMA_TYPE_FLOAT8),
                             SQL_CAST_IMPLICIT, call->location);
    agg_place(b, scope, call);
    scope->in_aggregate = true;
    const PgQuery__SortBy *by = call->agg_order[0]->sort_by;
    struct luma_expr **value = SQL_NEW_ARRAY(b, struct luma_expr *, 1);
    value[0] = sql_known(b, sql_bind_expr(b, scope, by->node));
    if (which == 0) {
        if (sql_type_category(value[0]->type) != 'N')
            SQL_THROW(b, call->location, LUMA_E_UNSUPPORTED, "0A000",
                      "percentile_cont over type %s is not supported",
                      sql_type_text(b, value[0]->type));
        value[0] = sql_coerce(b, value[0], luma_type(LUMA_TYPE_FLOAT8), SQL_CAST_EXPLICIT, -1);
    }
    struct luma_expr *agg = sql_call(b, "array_agg", call->location, value, 1);
    struct luma_expr *given = sql_expr(b, LUMA_EXPR_IS_NULL, luma_type(LUMA_TYPE_BOOL), 1);
    given->args[0] = value[0];
    given->negated = true;
    struct luma_expr *filter = bind_filter(b, scope, call);
    agg->filter = filter != NULL ? sql_and(b, filter, given) : given;
    agg->order = SQL_NEW_ARRAY(b, struct luma_sort_key, 1);
    agg->order_count = 1;
    sql_sort_key(b, by, value[0], (struct luma_sort_key *)agg->order);
    scope->in_aggregate = false;
    args[0] = finish_agg(b, scope, call, agg);
    return sql_call(b, sets[which].over, call->location, args, (uint32_t)call->n_args + 1);
}

struct luma_expr *
sql_bind_func(struct sql_bind *b, struct sql_scope *scope, const PgQuery__FuncCall *call)
{
    const char *name = sql_name_parts(call->funcname, call->n_funcname, NULL);
    bool expand = strcmp(name, "_pg_expandarray") == 0;
    if (expand)
        name = "unnest"; /* its element stands for the pair: see bind_indirection */
    bool is_agg = any_named(name, LUMA_FUNC_AGGREGATE) != NULL, is_window = false;
    uint32_t count = 0;
    known_schema(b, call);
    struct luma_expr *ordered = bind_ordered_set(b, scope, call, name);
    if (ordered != NULL)
        return ordered;
    if (is_agg && call->over == NULL)
        agg_place(b, scope, call);
    bool was_aggregate = scope->in_aggregate;
    scope->in_aggregate = was_aggregate || (is_agg && call->over == NULL);
    struct luma_expr **args = bind_args(b, scope, call, &count);
    struct luma_expr *e = call->func_variadic
                              ? variadic_call(b, call, name, args, count)
                              : resolve_call(b, scope, call, name, args, count, &is_window);
    bool aggregate =
        e->func != NULL && e->kind == LUMA_EXPR_CALL && (e->func->flags & LUMA_FUNC_AGGREGATE) != 0;
    if (aggregate || is_window) {
        e->filter = bind_filter(b, scope, call);
        bind_agg_order(b, scope, call, e);
    }
    scope->in_aggregate = was_aggregate;
    check_decoration(b, call, name, aggregate || is_window);
    if (call->over != NULL && (aggregate || is_window))
        return finish_window(b, scope, call, e);
    if (aggregate)
        return finish_agg(b, scope, call, e);
    if (e->kind == LUMA_EXPR_CALL && e->func != NULL && (e->func->flags & LUMA_FUNC_SET)) {
        set_place(b, scope, call->location);
        e->kind = LUMA_EXPR_SET;
    }
    if (expand)
        e->type.scale = 1;
    return e;
}
