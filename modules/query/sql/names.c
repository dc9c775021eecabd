/*
 * names.c - schemas, relations and columns by name.
 */
#include <stdlib.h>

#include "sql.h"

/* ---- search_path ---- */

static const char *
path_next(const char *p, char *out, size_t room)
{
    size_t n = 0;
    while (*p == ' ' || *p == ',')
        p++;
    if (*p == '\0')
        return NULL;
    if (*p == '"') {
        for (p++; *p != '\0'; p++) {
            if (*p == '"' && p[1] != '"')
                break;
            if (*p == '"')
                p++;
            if (n + 1 < room)
                out[n++] = *p;
        }
        p += *p == '"';
    } else {
        for (; *p != '\0' && *p != ',' && *p != ' '; p++)
            if (n + 1 < room)
                out[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    }
    out[n] = '\0';
    return p;
}

static void
path_append(struct sql_bind *b, uint64_t id)
{
    struct sql_session *own = b->own;
    for (uint32_t i = 0; i < own->path_count; i++)
        if (own->path[i] == id)
            return;
    uint64_t *grown = realloc(own->path, sizeof(uint64_t) * (own->path_count + 1));
    if (grown == NULL) {
        free(LUMA_TAKE(own->path_text)); /* half a path is none */
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    }
    own->path = grown;
    own->path[own->path_count++] = id;
}

static uint64_t
path_schema(struct sql_bind *b, const char *name)
{
    const char *user = sql_host->session->user(b->session);
    if (strcmp(name, "$user") == 0)
        name = user != NULL ? user : "";
    if (strcmp(name, "pg_temp") == 0)
        return b->own->temp_schema_id;
    const struct luma_cat_object *schema = sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, name);
    return schema != NULL ? schema->id : 0;
}

/* The path is worked out again when its text, the user or the catalogue changes. */
static void
path_refresh(struct sql_bind *b)
{
    struct sql_session *own = b->own;
    const char *text = sql_host->session->setting(b->session, "search_path");
    uint64_t version = sql_host->catalog->version(b->view);
    uint64_t user = sql_host->session->user_id(b->session);
    if (text == NULL)
        text = "\"$user\", public";
    if (own->path_text != NULL && own->path_version == version && own->path_user == user &&
        strcmp(own->path_text, text) == 0)
        return;
    free(own->path_text);
    own->path_text = strdup(text);
    own->path_version = version;
    own->path_user = user;
    own->path_count = 0;
    own->path_create = UINT32_MAX;
    if (strstr(text, "pg_temp") == NULL && own->temp_schema_id != 0)
        path_append(b, own->temp_schema_id);
    if (strstr(text, "pg_catalog") == NULL)
        path_append(b, LUMA_CAT_ID_PG_CATALOG);
    char name[128];
    for (const char *p = path_next(text, name, sizeof(name)); p != NULL;
         p = path_next(p, name, sizeof(name))) {
        uint64_t id = path_schema(b, name);
        if (id == 0)
            continue;
        path_append(b, id);
        if (own->path_create == UINT32_MAX)
            own->path_create = own->path_count - 1;
    }
}

const uint64_t *
sql_search_path(struct sql_bind *b, uint32_t *out_count)
{
    path_refresh(b);
    *out_count = b->own->path_count;
    return b->own->path;
}

uint64_t
sql_schema_create(struct sql_bind *b)
{
    path_refresh(b);
    if (b->own->path_create >= b->own->path_count)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "3F000", "no schema has been selected to create in");
    return b->own->path[b->own->path_create];
}

uint64_t
sql_schema_id(struct sql_bind *b, const char *name, int32_t location)
{
    if (strcmp(name, "pg_temp") == 0 && b->own->temp_schema_id != 0)
        return b->own->temp_schema_id;
    const struct luma_cat_object *schema = sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, name);
    if (schema == NULL)
        SQL_THROW(b, location, LUMA_E_UNDEFINED, "3F000", "schema \"%s\" does not exist", name);
    return schema->id;
}

/* ---- relations ---- */

static const char *
schema_name(struct sql_bind *b, uint64_t id)
{
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, id);
    return schema != NULL ? schema->name : "pg_catalog";
}

static bool
find_in(struct sql_bind *b, uint64_t schema_id, const char *name, struct sql_relation *out)
{
    if (schema_id == LUMA_CAT_ID_PG_CATALOG || schema_id == LUMA_CAT_ID_INFORMATION_SCHEMA) {
        const char *schema =
            schema_id == LUMA_CAT_ID_PG_CATALOG ? "pg_catalog" : "information_schema";
        const struct sql_virtual *virt = sql_virtual_find(schema, name);
        if (virt == NULL)
            return false;
        *out = (struct sql_relation){NULL, virt, virt->schema};
        return true;
    }
    const struct luma_cat_object *object = sql_host->catalog->relation(b->view, schema_id, name);
    if (object == NULL)
        return false;
    *out = (struct sql_relation){object, NULL, schema_name(b, schema_id)};
    return true;
}

bool
sql_relation_find(struct sql_bind *b, const char *schema, const char *name,
                  struct sql_relation *out)
{
    if (schema != NULL && schema[0] != '\0') {
        if (strcmp(schema, "pg_catalog") == 0)
            return find_in(b, LUMA_CAT_ID_PG_CATALOG, name, out);
        if (strcmp(schema, "information_schema") == 0)
            return find_in(b, LUMA_CAT_ID_INFORMATION_SCHEMA, name, out);
        if (strcmp(schema, "pg_temp") == 0)
            return b->own->temp_schema_id != 0 && find_in(b, b->own->temp_schema_id, name, out);
        const struct luma_cat_object *object =
            sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, schema);
        if (object != NULL)
            return find_in(b, object->id, name, out);
        const struct sql_virtual *virt =
            strcmp(schema, "lumadb") == 0 ? sql_virtual_find(schema, name) : NULL;
        *out = (struct sql_relation){NULL, virt, schema};
        return virt != NULL;
    }
    uint32_t count;
    const uint64_t *path = sql_search_path(b, &count);
    for (uint32_t i = 0; i < count; i++)
        if (find_in(b, path[i], name, out))
            return true;
    return false;
}

void
sql_relation_get(struct sql_bind *b, const PgQuery__RangeVar *var, struct sql_relation *out)
{
    const char *schema = var->schemaname;
    if (var->catalogname != NULL && var->catalogname[0] != '\0' &&
        strcmp(var->catalogname, sql_host->session->database(b->session)) != 0)
        SQL_THROW(b, var->location, LUMA_E_UNSUPPORTED, "0A000",
                  "cross-database references are not implemented: \"%s.%s.%s\"", var->catalogname,
                  schema, var->relname);
    if (sql_relation_find(b, schema, var->relname, out))
        return;
    if (schema != NULL && schema[0] != '\0')
        SQL_THROW(b, var->location, LUMA_E_NOTFOUND, "42P01", "relation \"%s.%s\" does not exist",
                  schema, var->relname);
    SQL_THROW(b, var->location, LUMA_E_NOTFOUND, "42P01", "relation \"%s\" does not exist",
              var->relname);
}

/* ---- rights ---- */

bool
sql_rights(struct sql_bind *b, const struct luma_cat_object *object, uint32_t col_id,
           uint32_t rights)
{
    if (sql_host->catalog->check(b->ctx, b->view, object, col_id, rights) == LUMA_OK)
        return true;
    luma_error_reset(b->ctx->error);
    return false;
}

void
sql_demand(struct sql_bind *b, const struct luma_cat_object *object, uint32_t col_id,
           uint32_t rights)
{
    sql_check(b, -1, sql_host->catalog->check(b->ctx, b->view, object, col_id, rights));
}

/* ---- columns ---- */

const char *
sql_string(const PgQuery__Node *node)
{
    return node != NULL && node->node_case == PGN(STRING) && node->string->sval != NULL
               ? node->string->sval
               : "";
}

const char *
sql_name_parts(PgQuery__Node *const *names, size_t count, const char **out_schema)
{
    if (out_schema != NULL)
        *out_schema = count > 1 ? sql_string(names[count - 2]) : NULL;
    return count == 0 ? "" : sql_string(names[count - 1]);
}

struct luma_expr *
sql_column_expr(struct sql_bind *b, const struct sql_column *col, int32_t level)
{
    if (col->merged != NULL) {
        if (level == 0)
            return col->merged;
        /* a USING column of an outer query: its parts become outer references */
        struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
        *copy = *col->merged;
        if (copy->kind == LUMA_EXPR_COL) {
            copy->kind = LUMA_EXPR_OUTER;
            copy->level = level;
            return copy;
        }
        copy->args = SQL_NEW_ARRAY(b, struct luma_expr *, copy->args_count);
        for (uint32_t i = 0; i < copy->args_count; i++) {
            struct sql_column part = {.merged = col->merged->args[i]};
            copy->args[i] = sql_column_expr(b, &part, level);
        }
        return copy;
    }
    struct luma_expr *e = sql_col(b, col->index, col->type);
    e->position = b->column_location >= 0 ? (uint32_t)b->column_location + 1 : 0;
    if (level > 0) {
        e->kind = LUMA_EXPR_OUTER;
        e->level = level;
    }
    return e;
}

static void
mark_escaped(struct sql_scope *scope, int32_t level)
{
    for (; level > 0; level--, scope = scope->parent)
        scope->escaped = true;
}

static void
column_rights(struct sql_bind *b, const struct sql_item *item, const struct sql_column *col)
{
    if (item->by_column && item->object != NULL && !b->in_view)
        sql_demand(b, item->object, col->col_id, LUMA_RIGHT_SELECT);
}

static const struct sql_column *
column_in(struct sql_bind *b, const struct sql_item *item, const char *name, int32_t location)
{
    const struct sql_column *found = NULL;
    for (uint32_t i = 0; i < item->cols_count; i++) {
        if (strcmp(item->cols[i].name, name) != 0)
            continue;
        if (found != NULL)
            SQL_THROW(b, location, LUMA_E_SYNTAX, "42702", "column reference \"%s\" is ambiguous",
                      name);
        found = &item->cols[i];
    }
    return found;
}

/* An unqualified name in one scope. */
static const struct sql_column *
column_unqualified(struct sql_bind *b, struct sql_scope *scope, const char *name, int32_t location,
                   const struct sql_item **out_item)
{
    const struct sql_column *found = NULL;
    for (struct sql_item *item = scope->items; item != NULL; item = item->next) {
        if (!item->cols_visible)
            continue;
        for (uint32_t i = 0; i < item->cols_count; i++) {
            struct sql_column *col = &item->cols[i];
            if (strcmp(col->name, name) != 0 ||
                (col->hidden && item->object == NULL && col->merged == NULL))
                continue;
            if (col->hidden && col->merged == NULL && col->index < 0)
                continue;
            if (found != NULL)
                SQL_THROW(b, location, LUMA_E_SYNTAX, "42702",
                          "column reference \"%s\" is ambiguous", name);
            found = col;
            *out_item = item;
        }
    }
    return found;
}

struct sql_item *
sql_item_find(struct sql_scope *scope, const char *schema, const char *name, int32_t *out_level,
              struct sql_scope **out_scope)
{
    int32_t level = 0;
    for (struct sql_scope *s = scope; s != NULL; s = s->parent, level++)
        for (struct sql_item *item = s->items; item != NULL; item = item->next) {
            if (!item->rel_visible || item->name == NULL || strcmp(item->name, name) != 0)
                continue;
            if (schema != NULL && (item->schema == NULL || strcmp(item->schema, schema) != 0))
                continue;
            *out_level = level;
            *out_scope = s;
            return item;
        }
    return NULL;
}

static struct luma_expr *
whole_row(struct sql_bind *b, struct sql_scope *scope, const struct sql_item *item, int32_t level)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < item->cols_count; i++)
        count += !item->cols[i].hidden;
    mark_escaped(scope, level);
    struct luma_expr *row = sql_expr(b, LUMA_EXPR_ROW, luma_type(LUMA_TYPE_RECORD), count);
    uint32_t n = 0;
    for (uint32_t i = 0; i < item->cols_count; i++)
        if (!item->cols[i].hidden) {
            column_rights(b, item, &item->cols[i]);
            row->args[n++] = sql_column_expr(b, &item->cols[i], level);
        }
    if (item->is_function && count == 1)
        return row->args[0];
    return row;
}

static struct luma_expr *
resolve_unqualified(struct sql_bind *b, struct sql_scope *scope, const char *name, int32_t location)
{
    int32_t level = 0;
    for (struct sql_scope *s = scope; s != NULL; s = s->parent, level++) {
        const struct sql_item *item = NULL;
        const struct sql_column *col = column_unqualified(b, s, name, location, &item);
        if (col == NULL)
            continue;
        column_rights(b, item, col);
        mark_escaped(scope, level);
        return sql_column_expr(b, col, level);
    }
    struct sql_scope *at;
    struct sql_item *item = sql_item_find(scope, NULL, name, &level, &at);
    if (item != NULL)
        return whole_row(b, scope, item, level);
    SQL_THROW(b, location, LUMA_E_UNDEFINED, "42703", "column \"%s\" does not exist", name);
}

static void
no_item(struct sql_bind *b, struct sql_scope *scope, const char *name, int32_t location)
{
    luma_rc rc = LUMA_OK;
    for (struct sql_scope *s = scope; s != NULL && rc == LUMA_OK; s = s->parent)
        for (struct sql_item *item = s->items; item != NULL && rc == LUMA_OK; item = item->next)
            if (item->object != NULL && item->name != NULL &&
                strcmp(item->object->name, name) == 0) {
                rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42P01",
                                   "invalid reference to FROM-clause entry for table \"%s\"", name);
                sql_hint(b, "Perhaps you meant to reference the table alias \"%s\".", item->name);
            }
    if (rc == LUMA_OK)
        rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42P01",
                           "missing FROM-clause entry for table \"%s\"", name);
    sql_throw(b, location, rc);
}

static struct luma_expr *
resolve_qualified(struct sql_bind *b, struct sql_scope *scope, const char *schema,
                  const char *table, const char *name, int32_t location)
{
    int32_t level;
    struct sql_scope *at;
    struct sql_item *item = sql_item_find(scope, schema, table, &level, &at);
    if (item == NULL)
        no_item(b, scope, table, location);
    const struct sql_column *col = column_in(b, item, name, location);
    if (col == NULL)
        SQL_THROW(b, location, LUMA_E_UNDEFINED, "42703", "column %s.%s does not exist", table,
                  name);
    column_rights(b, item, col);
    mark_escaped(scope, level);
    return sql_column_expr(b, col, level);
}

struct luma_expr *
sql_name_resolve(struct sql_bind *b, struct sql_scope *scope, const PgQuery__ColumnRef *ref)
{
    size_t n = ref->n_fields;
    b->column_location = ref->location;
    if (n > 0 && ref->fields[n - 1]->node_case == PGN(A_STAR)) {
        int32_t level;
        struct sql_scope *at;
        const char *table = n > 1 ? sql_string(ref->fields[n - 2]) : "";
        struct sql_item *item = n > 1 ? sql_item_find(scope, NULL, table, &level, &at) : NULL;
        if (n > 1 && item == NULL)
            no_item(b, scope, table, ref->location);
        if (item != NULL)
            return whole_row(b, scope, item, level);
        SQL_THROW(b, ref->location, LUMA_E_SYNTAX, "42601",
                  "row expansion via \"*\" is not supported here");
    }
    switch (n) {
    case 1:
        return resolve_unqualified(b, scope, sql_string(ref->fields[0]), ref->location);
    case 2:
        return resolve_qualified(b, scope, NULL, sql_string(ref->fields[0]),
                                 sql_string(ref->fields[1]), ref->location);
    case 3:
        return resolve_qualified(b, scope, sql_string(ref->fields[0]), sql_string(ref->fields[1]),
                                 sql_string(ref->fields[2]), ref->location);
    case 4:
        return resolve_qualified(b, scope, sql_string(ref->fields[1]), sql_string(ref->fields[2]),
                                 sql_string(ref->fields[3]), ref->location);
    default:
        SQL_THROW(b, ref->location, LUMA_E_SYNTAX, "42601", "improper qualified name");
    }
}

/* ---- 'name'::regclass and its kin ---- */

/* Splits a possibly quoted, possibly qualified name. */
static const char *
split_qualified(struct sql_bind *b, const char *text, const char **out_schema)
{
    char part[2][128];
    uint32_t parts = 0;
    const char *p = text;
    *out_schema = NULL;
    while (parts < 2) {
        size_t n = 0;
        bool quoted = *p == '"';
        for (p += quoted; *p != '\0' && (quoted ? *p != '"' || p[1] == '"' : *p != '.'); p++) {
            if (quoted && *p == '"')
                p++;
            char c = !quoted && *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
            if (n + 1 < sizeof(part[0]))
                part[parts][n++] = c;
        }
        part[parts][n] = '\0';
        p += quoted && *p == '"';
        parts++;
        if (*p != '.')
            break;
        p++;
    }
    if (parts == 2)
        *out_schema = sql_text(b, part[0]);
    return sql_text(b, part[parts - 1]);
}

static uint32_t
regclass_lookup(struct sql_bind *b, const char *text, int32_t location)
{
    const char *schema, *name = split_qualified(b, text, &schema);
    struct sql_relation rel;
    if (!sql_relation_find(b, schema, name, &rel))
        SQL_THROW(b, location, LUMA_E_NOTFOUND, "42P01", "relation \"%s\" does not exist", text);
    return rel.object != NULL ? (uint32_t)rel.object->id : rel.virt->oid;
}

static uint32_t
regproc_lookup(struct sql_bind *b, const char *text, int32_t location)
{
    const char *schema, *name = split_qualified(b, text, &schema);
    size_t bytes = strcspn(name, "(");
    if (strcmp(name, "array_in") == 0)
        return SQL_OID_ARRAY_IN;
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        if (!(f->flags & (LUMA_FUNC_CAST | LUMA_FUNC_OPERATOR)) && strlen(f->name) == bytes &&
            memcmp(f->name, name, bytes) == 0)
            return list->entries[i]->oid;
    }
    SQL_THROW(b, location, LUMA_E_UNDEFINED, "42883", "function \"%s\" does not exist", text);
}

uint32_t
sql_reg_lookup(struct sql_bind *b, enum luma_type_id id, const char *text, int32_t location)
{
    if (text[0] >= '0' && text[0] <= '9')
        return (uint32_t)strtoul(text, NULL, 10);
    if (strcmp(text, "-") == 0)
        return 0;
    switch (id) {
    case LUMA_TYPE_REGCLASS:
        return regclass_lookup(b, text, location);
    case LUMA_TYPE_REGPROC:
        return regproc_lookup(b, text, location);
    case LUMA_TYPE_REGNAMESPACE:
        return (uint32_t)sql_schema_id(b, text, location);
    default: {
        const char *schema, *name = split_qualified(b, text, &schema);
        size_t bytes = strlen(name);
        bool array = bytes > 2 && strcmp(name + bytes - 2, "[]") == 0;
        const struct luma_type_info *info =
            sql_host->data->type_by_name(array ? sql_text_of(b, name, bytes - 2) : name);
        struct luma_type made;
        if (info == NULL || schema != NULL) {
            const char *plain = array ? sql_text_of(b, name, bytes - 2) : name;
            if (sql_made_type_by_name(b, schema, plain, &made))
                return sql_type_oid_of(array ? luma_type_array_of(made) : made);
        }
        if (info == NULL)
            SQL_THROW(b, location, LUMA_E_UNDEFINED, "42704", "type \"%s\" does not exist", text);
        return array ? info->array_oid : info->oid;
    }
    }
}
