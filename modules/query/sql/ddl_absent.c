/*
 * ddl_absent.c - DROP of kinds of objects of which this server has none of its users': types,
 * functions, triggers, extensions and so on. What is named does not exist, and IF EXISTS says so;
 * scripts that clean up before they begin rely on it.
 */
#include "ddl.h"

static const struct absent {
    PgQuery__ObjectType type;
    const char *word, *state, *tag;
} absents[] = {
    {PG_OBJECT(COLLATION), "collation", "42704", "DROP COLLATION"},
    {PG_OBJECT(CONVERSION), "conversion", "42704", "DROP CONVERSION"},
    {PG_OBJECT(TSPARSER), "text search parser", "42704", "DROP TEXT SEARCH PARSER"},
    {PG_OBJECT(TSDICTIONARY), "text search dictionary", "42704", "DROP TEXT SEARCH DICTIONARY"},
    {PG_OBJECT(TSTEMPLATE), "text search template", "42704", "DROP TEXT SEARCH TEMPLATE"},
    {PG_OBJECT(TSCONFIGURATION), "text search configuration", "42704",
     "DROP TEXT SEARCH CONFIGURATION"},
    {PG_OBJECT(EXTENSION), "extension", "42704", "DROP EXTENSION"},
    {PG_OBJECT(LANGUAGE), "language", "42704", "DROP LANGUAGE"},
    {PG_OBJECT(FDW), "foreign-data wrapper", "42704", "DROP FOREIGN DATA WRAPPER"},
    {PG_OBJECT(FOREIGN_SERVER), "server", "42704", "DROP SERVER"},
    {PG_OBJECT(FOREIGN_TABLE), "foreign table", "42P01", "DROP FOREIGN TABLE"},
    {PG_OBJECT(MATVIEW), "materialized view", "42P01", "DROP MATERIALIZED VIEW"},
    {PG_OBJECT(ACCESS_METHOD), "access method", "42704", "DROP ACCESS METHOD"},
    {PG_OBJECT(EVENT_TRIGGER), "event trigger", "42704", "DROP EVENT TRIGGER"},
    {PG_OBJECT(PUBLICATION), "publication", "42704", "DROP PUBLICATION"},
    {PG_OBJECT(STATISTIC_EXT), "statistics object", "42704", "DROP STATISTICS"},
    {PG_OBJECT(TRIGGER), "trigger", "42704", "DROP TRIGGER"},
    {PG_OBJECT(RULE), "rule", "42704", "DROP RULE"},
    {PG_OBJECT(POLICY), "policy", "42704", "DROP POLICY"},
    {PG_OBJECT(FUNCTION), "function", "42883", "DROP FUNCTION"},
    {PG_OBJECT(PROCEDURE), "procedure", "42883", "DROP PROCEDURE"},
    {PG_OBJECT(ROUTINE), "routine", "42883", "DROP ROUTINE"},
    {PG_OBJECT(AGGREGATE), "aggregate", "42883", "DROP AGGREGATE"},
    {PG_OBJECT(OPERATOR), "operator", "42883", "DROP OPERATOR"},
    {PG_OBJECT(OPCLASS), "operator class", "42704", "DROP OPERATOR CLASS"},
    {PG_OBJECT(OPFAMILY), "operator family", "42704", "DROP OPERATOR FAMILY"},
    {PG_OBJECT(CAST), "cast", "42704", "DROP CAST"},
};

struct absent_drop {
    struct sql_bind *b;
    const PgQuery__DropStmt *stmt;
    const struct absent *kind;
};

/* Says that something is not there: an error, or with IF EXISTS a notice. */
static void
missing(const struct absent_drop *d, const char *state, const char *text)
{
    if (!d->stmt->missing_ok)
        SQL_THROW(d->b, -1, LUMA_E_UNDEFINED, state, "%s", text);
    sql_host->session->notice(d->b->session, "NOTICE", "00000", "%s, skipping", text);
}

/* false: the schema is not there, which was said. */
static bool
schema_there(const struct absent_drop *d, const char *schema)
{
    if (schema == NULL || sql_host->catalog->find(d->b->view, LUMA_CAT_SCHEMA, schema) != NULL)
        return true;
    missing(d, "3F000", sql_format(d->b, "schema \"%s\" does not exist", schema));
    return false;
}

/* "integer[]"; as_written: "pg_catalog.int4[]". NULL: no such type, which was said. */
static const char *
type_name(const struct absent_drop *d, const PgQuery__TypeName *type, bool as_written)
{
    const char *schema = NULL, *name = sql_name_parts(type->names, type->n_names, &schema);
    struct luma_type found;
    if (strcmp(name, "any") == 0 || strcmp(name, "void") == 0)
        return name;
    if (schema != NULL && strcmp(schema, "pg_catalog") != 0 && !schema_there(d, schema))
        return NULL;
    if (!sql_type_by_name(name, &found)) {
        missing(d, "42704", sql_format(d->b, "type \"%s\" does not exist", name));
        return NULL;
    }
    const char *array = type->n_array_bounds > 0 ? "[]" : "";
    if (as_written)
        return schema != NULL ? sql_format(d->b, "%s.%s%s", schema, name, array)
                              : sql_format(d->b, "%s%s", name, array);
    return sql_format(d->b, "%s%s", sql_type_text(d->b, found), array);
}

static bool
has_function(const char *name)
{
    const struct sql_func_list *all = sql_functions_all();
    for (uint32_t i = 0; i < all->count; i++)
        if (strcmp(all->entries[i]->func->name, name) == 0)
            return true;
    return false;
}

static void
drop_function(const struct absent_drop *d, const PgQuery__ObjectWithArgs *object)
{
    bool is_operator = d->kind->type == PG_OBJECT(OPERATOR);
    const char *schema = NULL;
    const char *name = sql_name_parts(object->objname, object->n_objname, &schema);
    const char *args = "", *first = NULL, *second = NULL;
    if (!schema_there(d, schema))
        return;
    for (size_t i = 0; i < object->n_objargs; i++) {
        if (object->objargs[i]->node_case != PGN(TYPE_NAME))
            continue; /* NONE of a prefix operator */
        const char *type =
            type_name(d, object->objargs[i]->type_name, d->stmt->missing_ok && !is_operator);
        if (type == NULL)
            return;
        args = sql_format(d->b, "%s%s%s", args,
                          args[0] == '\0'       ? ""
                          : d->stmt->missing_ok ? ","
                                                : ", ",
                          type);
        second = type;
        first = first == NULL ? type : first;
    }
    if (has_function(name))
        SQL_THROW(d->b, -1, LUMA_E_INVALID, "2BP01",
                  "cannot drop %s %s because it is required by the database system", d->kind->word,
                  name);
    if (is_operator)
        missing(d, d->kind->state,
                d->stmt->missing_ok
                    ? sql_format(d->b, "operator %s does not exist", name)
                    : sql_format(d->b, "operator does not exist: %s %s %s",
                                 first != NULL ? first : "", name, second != NULL ? second : ""));
    else if (object->args_unspecified && !d->stmt->missing_ok)
        missing(d, d->kind->state,
                sql_format(d->b, "could not find a %s named \"%s\"", d->kind->word, name));
    else
        missing(d, d->kind->state,
                sql_format(d->b, "%s %s(%s) does not exist", d->kind->word, name,
                           args[0] == '\0' && d->kind->type == PG_OBJECT(AGGREGATE) &&
                                   !d->stmt->missing_ok
                               ? "*"
                               : args));
}

static void
drop_cast(const struct absent_drop *d, const PgQuery__List *types)
{
    const char *from = type_name(d, types->items[0]->type_name, false);
    const char *to = from != NULL ? type_name(d, types->items[1]->type_name, false) : NULL;
    if (to != NULL)
        missing(d, "42704",
                sql_format(d->b, "cast from type %s to type %s does not exist", from, to));
}

/* "name ON table" */
static void
drop_of_table(const struct absent_drop *d, const PgQuery__List *list)
{
    const char *schema = NULL, *name = sql_string(list->items[list->n_items - 1]);
    const char *table = sql_name_parts(list->items, list->n_items - 1, &schema);
    struct sql_relation rel;
    if (!schema_there(d, schema))
        return;
    if (!sql_relation_find(d->b, schema, table, &rel)) {
        missing(d, "42P01", sql_format(d->b, "relation \"%s\" does not exist", table));
        return;
    }
    bool is_trigger = d->kind->type == PG_OBJECT(TRIGGER) && !d->stmt->missing_ok;
    missing(d, d->kind->state,
            sql_format(d->b, "%s \"%s\" for %s \"%s\" does not exist", d->kind->word, name,
                       is_trigger ? "table" : "relation", table));
}

/* Operator classes: access method, then the name. */
static void
drop_of_method(const struct absent_drop *d, const PgQuery__List *list)
{
    const char *method = sql_string(list->items[0]), *schema = NULL;
    const char *name = sql_name_parts(list->items + 1, list->n_items - 1, &schema);
    if (strcmp(method, "btree") != 0 && strcmp(method, "hash") != 0)
        SQL_THROW(d->b, -1, LUMA_E_UNDEFINED, "42704", "access method \"%s\" does not exist",
                  method);
    if (schema_there(d, schema))
        missing(d, d->kind->state,
                sql_format(d->b, "%s \"%s\" does not exist for access method \"%s\"", d->kind->word,
                           name, method));
}

static void
drop_named(const struct absent_drop *d, const PgQuery__Node *object)
{
    const char *schema = NULL, *name;
    struct luma_type type;
    if (object->node_case == PGN(TYPE_NAME))
        name = sql_name_parts(object->type_name->names, object->type_name->n_names, &schema);
    else if (object->node_case == PGN(LIST))
        name = sql_name_parts(object->list->items, object->list->n_items, &schema);
    else
        name = sql_string(object);
    if (!schema_there(d, schema))
        return;
    if (object->node_case == PGN(TYPE_NAME) && sql_type_by_name(name, &type))
        SQL_THROW(d->b, -1, LUMA_E_INVALID, "2BP01",
                  "cannot drop type %s because it is required by the database system", name);
    missing(d, d->kind->state, sql_format(d->b, "%s \"%s\" does not exist", d->kind->word, name));
}

static void
drop_all(struct sql_bind *b, void *arg)
{
    struct absent_drop *d = arg;
    d->b = b;
    for (size_t i = 0; i < d->stmt->n_objects; i++) {
        const PgQuery__Node *object = d->stmt->objects[i];
        if (object->node_case == PGN(OBJECT_WITH_ARGS))
            drop_function(d, object->object_with_args);
        else if (d->kind->type == PG_OBJECT(CAST))
            drop_cast(d, object->list);
        else if (d->kind->type == PG_OBJECT(TRIGGER) || d->kind->type == PG_OBJECT(RULE) ||
                 d->kind->type == PG_OBJECT(POLICY))
            drop_of_table(d, object->list);
        else if (d->kind->type == PG_OBJECT(OPCLASS) || d->kind->type == PG_OBJECT(OPFAMILY))
            drop_of_method(d, object->list);
        else
            drop_named(d, object);
    }
}

luma_rc
sql_drop_absent(struct sql_utility *u)
{
    struct absent_drop d = {.stmt = u->node->drop_stmt};
    for (size_t i = 0; i < LUMA_COUNTOF(absents) && d.kind == NULL; i++)
        if (absents[i].type == d.stmt->remove_type)
            d.kind = &absents[i];
    if (d.kind == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "DROP of this kind of object is not supported");
    struct sql_bind b;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, drop_all, &d));
    return sql_done(u, d.kind->tag);
}
