/*
 * ddl_other.c - CREATE SCHEMA, RENAME, OWNER TO, SET SCHEMA, COMMENT, databases.
 */
#include "ddl.h"

/* ---- schemas ---- */

luma_rc
sql_create_schema(struct sql_utility *u)
{
    const PgQuery__CreateSchemaStmt *stmt = u->node->create_schema_stmt;
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    struct luma_cat_object schema = {.kind = LUMA_CAT_SCHEMA, .name = stmt->schemaname};
    if (stmt->n_schema_elts > 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "CREATE SCHEMA with objects in it is not supported");
    LUMA_TRY(sql_role_find(u->ctx, u->session, view, stmt->authrole, &schema.owner_id));
    if (schema.name[0] == '\0' && stmt->authrole != NULL)
        schema.name = stmt->authrole->rolename;
    if (strncmp(schema.name, "pg_", 3) == 0) {
        luma_rc rc = LUMA_FAIL_SQL(u->ctx, LUMA_E_INVALID, "42939",
                                   "unacceptable schema name \"%s\"", schema.name);
        u->ctx->error->detail = "The prefix \"pg_\" is reserved for system schemas.";
        return rc;
    }
    if (sql_host->catalog->find(view, LUMA_CAT_SCHEMA, schema.name) != NULL) {
        if (!stmt->if_not_exists)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_EXISTS, "42P06", "schema \"%s\" already exists",
                                 schema.name);
        sql_host->session->notice(u->session, "NOTICE", "42P06",
                                  "schema \"%s\" already exists, skipping", schema.name);
        return sql_done(u, "CREATE SCHEMA");
    }
    const struct luma_cat_object *database =
        sql_host->catalog->find(view, LUMA_CAT_DATABASE, sql_host->session->database(u->session));
    if (database != NULL)
        LUMA_TRY(sql_host->catalog->check(u->ctx, view, database, 0, LUMA_RIGHT_CREATE));
    schema.id = sql_host->catalog->next_id(u->ctx, u->txn);
    if (schema.id == 0)
        return u->ctx->error->code;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &schema));
    return sql_done(u, "CREATE SCHEMA");
}

/* ---- finding what a statement is about ---- */

struct find_call {
    PgQuery__ObjectType type;
    const PgQuery__RangeVar *var;
    const PgQuery__Node *object;
    bool missing_ok, own;
    const struct luma_cat_object *found;
};

static const char *
object_names(const PgQuery__Node *node, const char **out_schema)
{
    *out_schema = NULL;
    if (node->node_case == PGN(LIST))
        return sql_name_parts(node->list->items, node->list->n_items, out_schema);
    return sql_string(node);
}

static void
find_plain(struct sql_bind *b, struct find_call *call, enum luma_cat_kind kind, const char *word,
           const char *state)
{
    const char *schema, *name = object_names(call->object, &schema);
    call->found = sql_host->catalog->find(b->view, kind, name);
    if (call->found == NULL && !call->missing_ok)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, state, "%s \"%s\" does not exist", word, name);
    if (call->found != NULL && call->own && kind != LUMA_CAT_ROLE)
        sql_must_own(b, call->found);
}

static bool
is_type(PgQuery__ObjectType type)
{
    return type == PG_OBJECT(TYPE) || type == PG_OBJECT(DOMAIN) || type == PG_OBJECT(DOMCONSTRAINT);
}

static void
find_type(struct sql_bind *b, struct find_call *call)
{
    const PgQuery__Node *node = call->object;
    const char *schema = NULL, *name;
    if (node->node_case == PGN(TYPE_NAME))
        name = sql_name_parts(node->type_name->names, node->type_name->n_names, &schema);
    else
        name = object_names(node, &schema);
    call->found = sql_made_type_find(b, schema, name);
    if (call->found == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "type \"%s\" does not exist", name);
    if (call->type != PG_OBJECT(TYPE) && call->found->type_kind != 'd')
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "%s is not a domain", name);
    if (call->own)
        sql_must_own(b, call->found);
}

static void
find_object(struct sql_bind *b, void *arg)
{
    struct find_call *call = arg;
    if (is_type(call->type) && call->object != NULL) {
        find_type(b, call);
        return;
    }
    if (call->type == PG_OBJECT(SCHEMA) && call->object != NULL) {
        find_plain(b, call, LUMA_CAT_SCHEMA, "schema", "3F000");
        return;
    }
    if (call->type == PG_OBJECT(DATABASE) && call->object != NULL) {
        find_plain(b, call, LUMA_CAT_DATABASE, "database", "3D000");
        return;
    }
    if (call->type == PG_OBJECT(ROLE) && call->object != NULL) {
        find_plain(b, call, LUMA_CAT_ROLE, "role", "42704");
        return;
    }
    const char *schema = NULL, *name;
    if (call->var != NULL) {
        schema = call->var->schemaname;
        name = call->var->relname;
    } else {
        name = object_names(call->object, &schema);
    }
    struct sql_relation rel;
    if (!sql_relation_find(b, schema, name, &rel)) {
        if (!call->missing_ok)
            SQL_THROW(b, -1, LUMA_E_NOTFOUND, "42P01", "relation \"%s\" does not exist", name);
        sql_host->session->notice(b->session, "NOTICE", "42P01",
                                  "relation \"%s\" does not exist, skipping", name);
        return;
    }
    if (rel.object == NULL)
        SQL_THROW(b, -1, LUMA_E_DENIED, "42501", "permission denied: \"%s\" is a system catalog",
                  name);
    call->found = rel.object;
    if (call->own && rel.object->kind != LUMA_CAT_INDEX)
        sql_must_own(b, rel.object);
}

static luma_rc
find(struct sql_utility *u, struct find_call *call)
{
    struct sql_bind b;
    sql_utility_bind(u, &b);
    return sql_guard(&b, find_object, call);
}

/* The table an index belongs to, as a copy whose index can be changed. */
static luma_rc
index_of_table(struct sql_utility *u, const struct luma_cat_object *index,
               struct luma_cat_object **out_table, struct luma_cat_index **out_index)
{
    const struct luma_cat_object *table =
        sql_host->catalog->by_id(sql_host->catalog->view(u->txn), index->table_id);
    struct luma_cat_object *copy = table != NULL ? sql_object_copy(u->ctx, table) : NULL;
    struct luma_cat_index *indexes = table != NULL
                                         ? luma_arena_copy(u->ctx->arena, table->indexes,
                                                           sizeof(*indexes) * table->indexes_count)
                                         : NULL;
    if (copy == NULL || indexes == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->indexes = indexes;
    for (uint32_t i = 0; i < copy->indexes_count; i++)
        if (indexes[i].id == index->id)
            *out_index = &indexes[i];
    *out_table = copy;
    return LUMA_OK;
}

/* ---- RENAME ---- */

static luma_rc
rename_column(struct sql_utility *u, const PgQuery__RenameStmt *stmt,
              const struct luma_cat_object *table)
{
    struct luma_cat_object *copy = sql_object_copy(u->ctx, table);
    struct luma_cat_column *cols =
        luma_arena_copy(u->ctx->arena, table->cols, sizeof(*cols) * table->cols_count);
    struct luma_cat_column *col = NULL;
    if (copy == NULL || cols == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->cols = cols;
    for (uint32_t i = 0; i < copy->cols_count; i++) {
        if (strcmp(cols[i].name, stmt->newname) == 0)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_EXISTS, "42701",
                                 "column \"%s\" of relation \"%s\" already exists", stmt->newname,
                                 table->name);
        if (strcmp(cols[i].name, stmt->subname) == 0)
            col = &cols[i];
    }
    if (col == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42703", "column \"%s\" does not exist",
                             stmt->subname);
    for (uint32_t i = 0; i < copy->constraints_count; i++)
        if (copy->constraints[i].check_sql != NULL &&
            strstr(copy->constraints[i].check_sql, stmt->subname) != NULL)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                 "column \"%s\" is named by check constraint \"%s\"", stmt->subname,
                                 copy->constraints[i].name);
    col->name = stmt->newname;
    return sql_host->catalog->put(u->ctx, u->txn, copy);
}

static luma_rc
rename_constraint(struct sql_utility *u, const PgQuery__RenameStmt *stmt,
                  const struct luma_cat_object *table)
{
    struct luma_cat_object *copy = sql_object_copy(u->ctx, table);
    struct luma_cat_constraint *cons = luma_arena_copy(u->ctx->arena, table->constraints,
                                                       sizeof(*cons) * table->constraints_count);
    struct luma_cat_index *indexes =
        luma_arena_copy(u->ctx->arena, table->indexes, sizeof(*indexes) * table->indexes_count);
    if (copy == NULL || cons == NULL || indexes == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->constraints = cons;
    copy->indexes = indexes;
    for (uint32_t i = 0; i < copy->constraints_count; i++) {
        if (strcmp(cons[i].name, stmt->subname) != 0)
            continue;
        cons[i].name = stmt->newname;
        for (uint32_t k = 0; k < copy->indexes_count; k++)
            if (cons[i].index_id != 0 && indexes[k].id == cons[i].index_id)
                indexes[k].name = stmt->newname;
        return sql_host->catalog->put(u->ctx, u->txn, copy);
    }
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42704",
                         "constraint \"%s\" for table \"%s\" does not exist", stmt->subname,
                         table->name);
}

static luma_rc
rename_index(struct sql_utility *u, const char *name, const struct luma_cat_object *index)
{
    struct luma_cat_object *table = NULL;
    struct luma_cat_index *entry = NULL;
    LUMA_TRY(index_of_table(u, index, &table, &entry));
    struct luma_cat_constraint *cons = luma_arena_copy(u->ctx->arena, table->constraints,
                                                       sizeof(*cons) * table->constraints_count);
    if (cons == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < table->constraints_count; i++)
        if (cons[i].index_id == index->id)
            cons[i].name = name;
    table->constraints = cons;
    entry->name = name;
    return sql_host->catalog->put(u->ctx, u->txn, table);
}

static const char *
rename_tag(PgQuery__ObjectType type)
{
    return type == PG_OBJECT(VIEW)       ? "ALTER VIEW"
           : type == PG_OBJECT(INDEX)    ? "ALTER INDEX"
           : type == PG_OBJECT(SEQUENCE) ? "ALTER SEQUENCE"
           : type == PG_OBJECT(SCHEMA)   ? "ALTER SCHEMA"
           : type == PG_OBJECT(DATABASE) ? "ALTER DATABASE"
           : type == PG_OBJECT(ROLE)     ? "ALTER ROLE"
           : type == PG_OBJECT(TYPE)     ? "ALTER TYPE"
           : is_type(type)               ? "ALTER DOMAIN"
                                         : "ALTER TABLE";
}

luma_rc
sql_rename(struct sql_utility *u)
{
    const PgQuery__RenameStmt *stmt = u->node->rename_stmt;
    PgQuery__Node name_node = PG_QUERY__NODE__INIT;
    PgQuery__String name_text = PG_QUERY__STRING__INIT;
    struct find_call call = {.type = stmt->rename_type,
                             .var = stmt->relation,
                             .object = stmt->object,
                             .missing_ok = stmt->missing_ok,
                             .own = true};
    if (stmt->relation == NULL && stmt->object == NULL) {
        /* schemas, databases and roles are named by a plain string */
        name_node.node_case = PGN(STRING);
        name_node.string = &name_text;
        name_text.sval = stmt->subname;
        call.object = &name_node;
    }
    LUMA_TRY(find(u, &call));
    if (call.found == NULL)
        return sql_done(u, rename_tag(stmt->rename_type));
    if (stmt->rename_type == PG_OBJECT(COLUMN))
        LUMA_TRY(rename_column(u, stmt, call.found));
    else if (stmt->rename_type == PG_OBJECT(DOMCONSTRAINT))
        LUMA_TRY(sql_rename_domain_constraint(u, call.found, stmt->subname, stmt->newname));
    else if (stmt->rename_type == PG_OBJECT(TABCONSTRAINT))
        LUMA_TRY(rename_constraint(u, stmt, call.found));
    else if (call.found->kind == LUMA_CAT_INDEX)
        LUMA_TRY(rename_index(u, stmt->newname, call.found));
    else {
        struct luma_cat_object *copy = sql_object_copy(u->ctx, call.found);
        if (copy == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        copy->name = stmt->newname;
        LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, copy));
    }
    return sql_done(u, rename_tag(stmt->rename_type));
}

/* ---- OWNER TO, SET SCHEMA ---- */

luma_rc
sql_alter_owner(struct sql_utility *u)
{
    const PgQuery__AlterOwnerStmt *stmt = u->node->alter_owner_stmt;
    struct find_call call = {
        .type = stmt->object_type, .var = stmt->relation, .object = stmt->object, .own = true};
    LUMA_TRY(find(u, &call));
    struct luma_cat_object *copy = sql_object_copy(u->ctx, call.found);
    if (copy == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    LUMA_TRY(sql_role_find(u->ctx, u->session, sql_host->catalog->view(u->txn), stmt->newowner,
                           &copy->owner_id));
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, copy));
    return sql_done(u, rename_tag(stmt->object_type));
}

luma_rc
sql_alter_schema(struct sql_utility *u)
{
    const PgQuery__AlterObjectSchemaStmt *stmt = u->node->alter_object_schema_stmt;
    struct find_call call = {.type = stmt->object_type,
                             .var = stmt->relation,
                             .object = stmt->object,
                             .missing_ok = stmt->missing_ok,
                             .own = true};
    LUMA_TRY(find(u, &call));
    if (call.found == NULL)
        return sql_done(u, rename_tag(stmt->object_type));
    const struct luma_cat_object *schema =
        sql_host->catalog->find(sql_host->catalog->view(u->txn), LUMA_CAT_SCHEMA, stmt->newschema);
    if (schema == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "3F000", "schema \"%s\" does not exist",
                             stmt->newschema);
    struct luma_cat_object *copy = sql_object_copy(u->ctx, call.found);
    if (copy == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->schema_id = schema->id;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, copy));
    return sql_done(u, rename_tag(stmt->object_type));
}

/* ---- COMMENT ---- */

static luma_rc
comment_column(struct sql_utility *u, const PgQuery__CommentStmt *stmt, const char *comment)
{
    const PgQuery__List *names = stmt->object->list;
    PgQuery__Node table_node = PG_QUERY__NODE__INIT;
    PgQuery__List table_names = PG_QUERY__LIST__INIT;
    table_names.n_items = names->n_items - 1;
    table_names.items = names->items;
    table_node.node_case = PGN(LIST);
    table_node.list = &table_names;
    const char *column = sql_string(names->items[names->n_items - 1]);
    struct find_call call = {.type = PG_OBJECT(TABLE), .object = &table_node, .own = true};
    LUMA_TRY(find(u, &call));
    struct luma_cat_object *copy = sql_object_copy(u->ctx, call.found);
    struct luma_cat_column *cols =
        luma_arena_copy(u->ctx->arena, call.found->cols, sizeof(*cols) * call.found->cols_count);
    if (copy == NULL || cols == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->cols = cols;
    for (uint32_t i = 0; i < copy->cols_count; i++)
        if (strcmp(cols[i].name, column) == 0) {
            cols[i].comment = comment;
            return sql_host->catalog->put(u->ctx, u->txn, copy);
        }
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42703",
                         "column \"%s\" of relation \"%s\" does not exist", column,
                         call.found->name);
}

luma_rc
sql_comment(struct sql_utility *u)
{
    const PgQuery__CommentStmt *stmt = u->node->comment_stmt;
    const char *comment = stmt->comment[0] != '\0' ? stmt->comment : NULL;
    if (stmt->objtype == PG_OBJECT(COLUMN)) {
        LUMA_TRY(comment_column(u, stmt, comment));
        return sql_done(u, "COMMENT");
    }
    if (stmt->objtype == PG_OBJECT(EXTENSION) || stmt->objtype == PG_OBJECT(TABCONSTRAINT) ||
        stmt->objtype == PG_OBJECT(FUNCTION)) {
        sql_host->session->notice(u->session, "WARNING", "01000",
                                  "comments on this kind of object are not kept");
        return sql_done(u, "COMMENT");
    }
    struct find_call call = {.type = stmt->objtype, .object = stmt->object, .own = true};
    LUMA_TRY(find(u, &call));
    struct luma_cat_object *copy = NULL;
    if (call.found->kind == LUMA_CAT_INDEX) {
        struct luma_cat_index *index = NULL;
        LUMA_TRY(index_of_table(u, call.found, &copy, &index));
        index->comment = comment;
    } else {
        copy = sql_object_copy(u->ctx, call.found);
        if (copy == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        copy->comment = comment;
    }
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, copy));
    return sql_done(u, "COMMENT");
}

/* ---- databases ---- */

luma_rc
sql_create_database(struct sql_utility *u)
{
    const PgQuery__CreatedbStmt *stmt = u->node->createdb_stmt;
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                         "cannot create database \"%s\": a server keeps one database, use schemas",
                         stmt->dbname);
}

luma_rc
sql_drop_database(struct sql_utility *u)
{
    const PgQuery__DropdbStmt *stmt = u->node->dropdb_stmt;
    const struct luma_cat_object *database =
        sql_host->catalog->find(sql_host->catalog->view(u->txn), LUMA_CAT_DATABASE, stmt->dbname);
    if (database == NULL && stmt->missing_ok) {
        sql_host->session->notice(u->session, "NOTICE", "3D000",
                                  "database \"%s\" does not exist, skipping", stmt->dbname);
        return sql_done(u, "DROP DATABASE");
    }
    if (database == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "3D000", "database \"%s\" does not exist",
                             stmt->dbname);
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                         "cannot drop the only database of the server");
}
