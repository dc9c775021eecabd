/*
 * ddl_drop.c - DROP: what goes, and what depends on it (2BP01, or dropped too with CASCADE).
 */
#include "ddl.h"

#define DROPS_MAX 4096u

struct drops {
    struct luma_ctx *ctx;
    const struct luma_cat_view *view;
    bool cascade;
    uint64_t *ids; /* objects that go, dependents after what they depend on */
    uint32_t count;
    uint32_t named; /* the first ones were named in the statement */
    /* foreign keys that go although their table stays */
    uint64_t *foreign_tables;
    uint64_t *foreign_ids;
    uint32_t foreign_count;
    const char *blocker; /* what stands in the way without CASCADE */
    /* columns that go with their type */
    uint64_t *column_tables;
    const char **column_names;
    uint32_t columns_count;
    /* what CASCADE takes along, said when all is known */
    const char *cascades[64];
    uint32_t cascades_count;
};

static void
cascades(struct drops *d, const char *what)
{
    if (d->cascades_count < LUMA_COUNTOF(d->cascades))
        d->cascades[d->cascades_count] = what;
    d->cascades_count++;
}

static void
say_cascades(struct sql_bind *b, const struct drops *d)
{
    if (d->cascades_count == 1)
        sql_host->session->notice(b->session, "NOTICE", "00000", "drop cascades to %s",
                                  d->cascades[0]);
    else if (d->cascades_count > 1)
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "drop cascades to %u other objects", d->cascades_count);
}

static bool
in_list(const struct drops *d, uint64_t id)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->ids[i] == id)
            return true;
    return false;
}

static void
add(struct sql_bind *b, struct drops *d, uint64_t id)
{
    if (in_list(d, id))
        return;
    if (d->count == DROPS_MAX)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54000", "too many objects to drop at once");
    d->ids[d->count++] = id;
}

/* Does a view's text name the relation? Stored views qualify every name. */
static bool
view_uses(struct sql_bind *b, const struct luma_cat_object *view,
          const struct luma_cat_object *object)
{
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, object->schema_id);
    return schema != NULL &&
           sql_view_names(sql_parse_nested(b, view->sql), schema->name, object->name);
}

struct dependents {
    struct sql_bind *b;
    struct drops *drops;
    const struct luma_cat_object *object;
    const struct luma_cat_object *list[256];
    uint32_t count;
};

static bool
collect_views(void *arg, const struct luma_cat_object *view)
{
    struct dependents *dep = arg;
    if (dep->count < LUMA_COUNTOF(dep->list) && !in_list(dep->drops, view->id) &&
        view->id != dep->object->id && view_uses(dep->b, view, dep->object))
        dep->list[dep->count++] = view;
    return true;
}

static bool
collect_foreign(void *arg, const struct luma_cat_object *table)
{
    struct dependents *dep = arg;
    struct drops *d = dep->drops;
    if (table->id == dep->object->id || in_list(d, table->id))
        return true;
    for (uint32_t i = 0; i < table->constraints_count; i++) {
        const struct luma_cat_constraint *con = &table->constraints[i];
        if (con->kind != LUMA_CONSTRAINT_FOREIGN || con->ref_table_id != dep->object->id)
            continue;
        if (!d->cascade) {
            d->blocker = sql_format(dep->b, "constraint %s on table %s", con->name, table->name);
            return false;
        }
        if (d->foreign_count < DROPS_MAX) {
            d->foreign_tables[d->foreign_count] = table->id;
            d->foreign_ids[d->foreign_count++] = con->id;
        }
        cascades(d, sql_format(dep->b, "constraint %s on table %s", con->name, table->name));
    }
    return true;
}

static void
blocked(struct sql_bind *b, const struct luma_cat_object *object, const char *by)
{
    luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "2BP01",
                               "cannot drop %s %s because other objects depend on it",
                               sql_kind_name(object), object->name);
    b->ctx->error->detail =
        sql_format(b, "%s depends on %s %s", by, sql_kind_name(object), object->name);
    sql_hint(b, "Use DROP ... CASCADE to drop the dependent objects too.");
    sql_throw(b, -1, rc);
}

static bool
collect_default_users(void *arg, const struct luma_cat_object *table)
{
    struct dependents *dep = arg;
    if (in_list(dep->drops, table->id))
        return true;
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (table->cols[i].sequence_id == dep->object->id && dep->count < LUMA_COUNTOF(dep->list))
            dep->list[dep->count++] = table;
    return true;
}

/* ---- what uses a type ---- */

static bool
uses_type(const struct luma_cat_column *col, const struct luma_cat_object *type)
{
    return col->domain_id == type->id ||
           (luma_type_is_made(col->type) && (uint64_t)col->type.mod == type->id);
}

static void add_dependents(struct sql_bind *b, struct drops *d,
                           const struct luma_cat_object *object);

static bool
collect_type_users(void *arg, const struct luma_cat_object *object)
{
    struct dependents *dep = arg;
    struct drops *d = dep->drops;
    if (object->id == dep->object->id || in_list(d, object->id))
        return true;
    for (uint32_t i = 0; i < object->cols_count; i++) {
        if (!uses_type(&object->cols[i], dep->object))
            continue;
        const char *what =
            object->kind == LUMA_CAT_TABLE
                ? sql_format(dep->b, "column %s of table %s", object->cols[i].name, object->name)
                : sql_format(dep->b, "%s %s", sql_kind_name(object), object->name);
        if (!d->cascade) {
            d->blocker = what;
            return false;
        }
        cascades(d, what);
        if (object->kind != LUMA_CAT_TABLE) {
            add(dep->b, d, object->id);
            add_dependents(dep->b, d, object);
            return true;
        }
        if (d->columns_count < DROPS_MAX) {
            d->column_tables[d->columns_count] = object->id;
            d->column_names[d->columns_count++] = object->cols[i].name;
        }
    }
    return true;
}

/* Everything that depends on the object, transitively. */
static void
add_dependents(struct sql_bind *b, struct drops *d, const struct luma_cat_object *object)
{
    struct dependents *dep = SQL_NEW(b, struct dependents);
    dep->b = b;
    dep->drops = d;
    dep->object = object;
    if (object->kind == LUMA_CAT_TABLE || object->kind == LUMA_CAT_VIEW)
        sql_host->catalog->each(b->view, LUMA_CAT_VIEW, collect_views, dep);
    for (uint32_t i = 0; i < dep->count; i++) {
        if (!d->cascade)
            blocked(b, object, sql_format(b, "view %s", dep->list[i]->name));
        cascades(d, sql_format(b, "view %s", dep->list[i]->name));
        add(b, d, dep->list[i]->id);
        add_dependents(b, d, dep->list[i]);
    }
    if (object->kind == LUMA_CAT_TYPE) {
        sql_host->catalog->each(b->view, 0, collect_type_users, dep);
        if (d->blocker != NULL)
            blocked(b, object, d->blocker);
    }
    if (object->kind == LUMA_CAT_TABLE) {
        sql_host->catalog->each(b->view, LUMA_CAT_TABLE, collect_foreign, dep);
        if (d->blocker != NULL)
            blocked(b, object, d->blocker);
        for (uint32_t i = 0; i < object->cols_count; i++)
            if (object->cols[i].sequence_id != 0)
                add(b, d, object->cols[i].sequence_id);
    }
    if (object->kind == LUMA_CAT_SEQUENCE) {
        dep->count = 0;
        sql_host->catalog->each(b->view, LUMA_CAT_TABLE, collect_default_users, dep);
        if (dep->count > 0)
            blocked(b, object,
                    sql_format(b, "default value of a column of table %s", dep->list[0]->name));
    }
}

/* ---- what the statement names ---- */

struct drop_call {
    const PgQuery__DropStmt *stmt;
    struct drops drops;
    uint64_t *indexes; /* ids */
    uint32_t indexes_count;
};

static bool
is_ours(PgQuery__ObjectType type)
{
    return type == PG_OBJECT(TABLE) || type == PG_OBJECT(VIEW) || type == PG_OBJECT(INDEX) ||
           type == PG_OBJECT(SEQUENCE) || type == PG_OBJECT(SCHEMA) || type == PG_OBJECT(TYPE) ||
           type == PG_OBJECT(DOMAIN);
}

static enum luma_cat_kind
kind_of(PgQuery__ObjectType type)
{
    return type == PG_OBJECT(TABLE)                               ? LUMA_CAT_TABLE
           : type == PG_OBJECT(VIEW)                              ? LUMA_CAT_VIEW
           : type == PG_OBJECT(INDEX)                             ? LUMA_CAT_INDEX
           : type == PG_OBJECT(SEQUENCE)                          ? LUMA_CAT_SEQUENCE
           : type == PG_OBJECT(TYPE) || type == PG_OBJECT(DOMAIN) ? LUMA_CAT_TYPE
                                                                  : LUMA_CAT_SCHEMA;
}

static const char *
kind_word(enum luma_cat_kind kind)
{
    return kind == LUMA_CAT_TABLE      ? "table"
           : kind == LUMA_CAT_VIEW     ? "view"
           : kind == LUMA_CAT_INDEX    ? "index"
           : kind == LUMA_CAT_SEQUENCE ? "sequence"
                                       : "schema";
}

static bool
collect_schema(void *arg, const struct luma_cat_object *object)
{
    struct dependents *dep = arg;
    if (object->schema_id == dep->object->id && object->kind != LUMA_CAT_INDEX &&
        dep->count < LUMA_COUNTOF(dep->list))
        dep->list[dep->count++] = object;
    return true;
}

static void
drop_schema(struct sql_bind *b, struct drop_call *call, const char *name)
{
    const struct luma_cat_object *schema = sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, name);
    if (schema == NULL) {
        if (!call->stmt->missing_ok)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "3F000", "schema \"%s\" does not exist", name);
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "schema \"%s\" does not exist, skipping", name);
        return;
    }
    sql_must_own(b, schema);
    if (schema->id < LUMA_CAT_ID_USER_FIRST && schema->id != LUMA_CAT_ID_PUBLIC)
        SQL_THROW(b, -1, LUMA_E_INVALID, "2BP01",
                  "cannot drop schema %s because it is required by the database system", name);
    struct dependents *dep = SQL_NEW(b, struct dependents);
    dep->b = b;
    dep->object = schema;
    sql_host->catalog->each(b->view, 0, collect_schema, dep);
    if (dep->count > 0 && !call->drops.cascade)
        blocked(b, schema,
                sql_format(b, "%s %s.%s", sql_kind_name(dep->list[0]), name, dep->list[0]->name));
    add(b, &call->drops, schema->id);
    for (uint32_t i = 0; i < dep->count; i++) {
        cascades(&call->drops,
                 sql_format(b, "%s %s", sql_kind_name(dep->list[i]), dep->list[i]->name));
        add(b, &call->drops, dep->list[i]->id);
        if (dep->list[i]->kind != LUMA_CAT_SEQUENCE)
            add_dependents(b, &call->drops, dep->list[i]);
    }
}

static void
check_index(struct sql_bind *b, const struct luma_cat_object *index)
{
    const struct luma_cat_object *table = sql_host->catalog->by_id(b->view, index->table_id);
    for (uint32_t i = 0; table != NULL && i < table->constraints_count; i++)
        if (table->constraints[i].index_id == index->id) {
            luma_rc rc =
                LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "2BP01",
                              "cannot drop index %s because constraint %s on table %s requires it",
                              index->name, table->constraints[i].name, table->name);
            sql_hint(b, "You can drop constraint %s on table %s instead.",
                     table->constraints[i].name, table->name);
            sql_throw(b, -1, rc);
        }
    if (table != NULL)
        sql_must_own(b, table);
}

static void
drop_relation(struct sql_bind *b, struct drop_call *call, const char *schema, const char *name,
              enum luma_cat_kind kind)
{
    struct sql_relation rel;
    if (schema != NULL && call->stmt->missing_ok && strcmp(schema, "pg_temp") != 0 &&
        sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, schema) == NULL) {
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "schema \"%s\" does not exist, skipping", schema);
        return;
    }
    if (!sql_relation_find(b, schema, name, &rel)) {
        if (!call->stmt->missing_ok)
            SQL_THROW(b, -1, LUMA_E_NOTFOUND, kind == LUMA_CAT_INDEX ? "42704" : "42P01",
                      "%s \"%s\" does not exist", kind_word(kind), name);
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "%s \"%s\" does not exist, skipping", kind_word(kind), name);
        return;
    }
    if (rel.object == NULL)
        SQL_THROW(b, -1, LUMA_E_DENIED, "42501", "permission denied: \"%s\" is a system catalog",
                  name);
    if (rel.object->kind != kind) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42809", "\"%s\" is not %s %s", name,
                                   kind == LUMA_CAT_INDEX ? "an" : "a", kind_word(kind));
        sql_hint(b, "Use DROP %s to remove %s %s.",
                 rel.object->kind == LUMA_CAT_TABLE   ? "TABLE"
                 : rel.object->kind == LUMA_CAT_VIEW  ? "VIEW"
                 : rel.object->kind == LUMA_CAT_INDEX ? "INDEX"
                                                      : "SEQUENCE",
                 rel.object->kind == LUMA_CAT_INDEX ? "an" : "a", sql_kind_name(rel.object));
        sql_throw(b, -1, rc);
    }
    if (kind == LUMA_CAT_INDEX) {
        check_index(b, rel.object);
        call->indexes[call->indexes_count++] = rel.object->id;
        return;
    }
    sql_must_own(b, rel.object);
    add(b, &call->drops, rel.object->id);
}

static void
drop_type(struct sql_bind *b, struct drop_call *call, const PgQuery__TypeName *type)
{
    const char *schema = NULL, *name = sql_name_parts(type->names, type->n_names, &schema);
    bool domain = call->stmt->remove_type == PG_OBJECT(DOMAIN);
    const struct luma_cat_object *o = sql_made_type_find(b, schema, name);
    struct luma_type found;
    if (o == NULL && schema != NULL &&
        sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, schema) == NULL) {
        if (!call->stmt->missing_ok)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "3F000", "schema \"%s\" does not exist", schema);
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "schema \"%s\" does not exist, skipping", schema);
        return;
    }
    if (o == NULL && sql_type_by_name(name, &found))
        SQL_THROW(b, -1, LUMA_E_INVALID, "2BP01",
                  "cannot drop type %s because it is required by the database system", name);
    if (o == NULL) {
        if (!call->stmt->missing_ok)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "type \"%s\" does not exist", name);
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "type \"%s\" does not exist, skipping", name);
        return;
    }
    if (domain && o->type_kind != 'd')
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "\"%s\" is not a domain", name);
    sql_must_own(b, o);
    add(b, &call->drops, o->id);
}

static void
name_objects(struct sql_bind *b, void *arg)
{
    struct drop_call *call = arg;
    const PgQuery__DropStmt *stmt = call->stmt;
    struct drops *d = &call->drops;
    enum luma_cat_kind kind = kind_of(stmt->remove_type);
    d->ids = SQL_NEW_ARRAY(b, uint64_t, DROPS_MAX);
    d->foreign_tables = SQL_NEW_ARRAY(b, uint64_t, DROPS_MAX);
    d->foreign_ids = SQL_NEW_ARRAY(b, uint64_t, DROPS_MAX);
    d->column_tables = SQL_NEW_ARRAY(b, uint64_t, DROPS_MAX);
    d->column_names = SQL_NEW_ARRAY(b, const char *, DROPS_MAX);
    call->indexes = SQL_NEW_ARRAY(b, uint64_t, stmt->n_objects);
    d->cascade = stmt->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    for (size_t i = 0; i < stmt->n_objects; i++) {
        const PgQuery__Node *object = stmt->objects[i];
        if (kind == LUMA_CAT_SCHEMA) {
            drop_schema(b, call, sql_string(object));
            continue;
        }
        if (kind == LUMA_CAT_TYPE) {
            drop_type(b, call, object->type_name);
            continue;
        }
        const char *schema = NULL;
        const char *name = object->node_case == PGN(LIST)
                               ? sql_name_parts(object->list->items, object->list->n_items, &schema)
                               : sql_string(object);
        drop_relation(b, call, schema, name, kind);
    }
    d->named = d->count;
    for (uint32_t i = 0; i < d->named && kind != LUMA_CAT_SCHEMA; i++)
        add_dependents(b, d, sql_host->catalog->by_id(b->view, d->ids[i]));
    say_cascades(b, d);
}

static luma_rc
drop_columns(struct sql_utility *u, const struct drops *d)
{
    for (uint32_t i = 0; i < d->columns_count; i++) {
        struct sql_bind b;
        sql_utility_bind(u, &b);
        const struct luma_cat_object *table = sql_host->catalog->by_id(b.view, d->column_tables[i]);
        if (table == NULL)
            continue;
        const char *name = sql_qualified(&b, table);
        const char *column = sql_quote(u->ctx->arena, d->column_names[i]);
        if (name == NULL || column == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        LUMA_TRY(sql_internal_alter(u, "ALTER TABLE %s DROP COLUMN %s CASCADE", name, column));
    }
    return LUMA_OK;
}

static luma_rc
drop_foreign(struct sql_utility *u, uint64_t table_id, uint64_t constraint_id)
{
    const struct luma_cat_object *table =
        sql_host->catalog->by_id(sql_host->catalog->view(u->txn), table_id);
    if (table == NULL)
        return LUMA_OK;
    struct luma_cat_object *copy = sql_object_copy(u->ctx, table);
    struct luma_cat_constraint *kept = luma_arena_copy(u->ctx->arena, table->constraints,
                                                       sizeof(*kept) * table->constraints_count);
    if (copy == NULL || kept == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    uint32_t n = 0;
    for (uint32_t i = 0; i < table->constraints_count; i++)
        if (table->constraints[i].id != constraint_id)
            kept[n++] = table->constraints[i];
    copy->constraints = kept;
    copy->constraints_count = n;
    return sql_host->catalog->put(u->ctx, u->txn, copy);
}

static luma_rc
drop_index(struct sql_utility *u, uint64_t index_id)
{
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    const struct luma_cat_object *index = sql_host->catalog->by_id(view, index_id);
    const struct luma_cat_object *table =
        index != NULL ? sql_host->catalog->by_id(view, index->table_id) : NULL;
    if (table == NULL)
        return LUMA_OK;
    struct luma_cat_object *copy = sql_object_copy(u->ctx, table);
    struct luma_cat_index *kept =
        luma_arena_copy(u->ctx->arena, table->indexes, sizeof(*kept) * table->indexes_count);
    if (copy == NULL || kept == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    uint32_t n = 0;
    for (uint32_t i = 0; i < table->indexes_count; i++)
        if (table->indexes[i].id != index_id)
            kept[n++] = table->indexes[i];
    copy->indexes = kept;
    copy->indexes_count = n;
    return sql_host->catalog->put(u->ctx, u->txn, copy);
}

luma_rc
sql_drop(struct sql_utility *u)
{
    const PgQuery__DropStmt *stmt = u->node->drop_stmt;
    struct drop_call call = {.stmt = stmt};
    struct sql_bind b;
    if (!is_ours(stmt->remove_type))
        return sql_drop_absent(u);
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, name_objects, &call));
    for (uint32_t i = 0; i < call.indexes_count; i++)
        LUMA_TRY(drop_index(u, call.indexes[i]));
    for (uint32_t i = 0; i < call.drops.foreign_count; i++)
        LUMA_TRY(drop_foreign(u, call.drops.foreign_tables[i], call.drops.foreign_ids[i]));
    LUMA_TRY(drop_columns(u, &call.drops));
    for (uint32_t i = call.drops.count; i-- > 0;)
        LUMA_TRY(sql_host->catalog->remove(u->ctx, u->txn, call.drops.ids[i]));
    return sql_done(u, stmt->remove_type == PG_OBJECT(TABLE)      ? "DROP TABLE"
                       : stmt->remove_type == PG_OBJECT(VIEW)     ? "DROP VIEW"
                       : stmt->remove_type == PG_OBJECT(INDEX)    ? "DROP INDEX"
                       : stmt->remove_type == PG_OBJECT(SEQUENCE) ? "DROP SEQUENCE"
                       : stmt->remove_type == PG_OBJECT(TYPE)     ? "DROP TYPE"
                       : stmt->remove_type == PG_OBJECT(DOMAIN)   ? "DROP DOMAIN"
                                                                  : "DROP SCHEMA");
}
