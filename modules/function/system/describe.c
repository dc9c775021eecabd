/*
 * describe.c - what an object is, in words: pg_get_indexdef and its kin, format_type, comments,
 * sizes, visibility.
 */
#include <stdlib.h>
#include <strings.h>

#include "system.h"

/* ---- helpers ---- */

static const char *
column_name(struct system_row *row, const struct luma_cat_object *table, uint32_t col_id)
{
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (table->cols[i].id == col_id)
            return system_quote(row, table->cols[i].name);
    return "?";
}

static const char *
column_list(struct system_row *row, const struct luma_cat_object *table, const uint32_t *ids,
            uint32_t count)
{
    const char *text = "";
    for (uint32_t i = 0; i < count && text != NULL; i++)
        text =
            system_format(row, "%s%s%s", text, i > 0 ? ", " : "", column_name(row, table, ids[i]));
    return text;
}

/* ---- format_type ---- */

static bool
type_visible(const struct system_row *row, const struct luma_cat_object *type)
{
    uint64_t ids[32];
    uint32_t n = system_path(row, ids, 32);
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_cat_object *o = system_host->catalog->type(row->view, ids[i], type->name);
        if (o != NULL)
            return o->id == type->id;
    }
    return false;
}

static luma_rc
type_is_visible(struct system_row *row)
{
    const struct luma_cat_object *o = system_object(row, system_oid(row, 0));
    return system_set_bool(row, o == NULL || o->kind != LUMA_CAT_TYPE || type_visible(row, o));
}

static struct luma_type
type_with(const struct luma_type_info *info, int32_t typmod)
{
    struct luma_type t = info->type;
    t.mod = -1;
    t.scale = 0;
    if (typmod < 0)
        return t;
    if (t.id == LUMA_TYPE_VARCHAR || t.id == LUMA_TYPE_BPCHAR)
        t.mod = typmod - 4;
    else if (t.id == LUMA_TYPE_NUMERIC) {
        t.mod = ((typmod - 4) >> 16) & 0xffff;
        t.scale = (int16_t)((typmod - 4) & 0x7ff);
    } else if (t.id == LUMA_TYPE_INTERVAL) {
        t.mod = (typmod & 0xffff) == 0xffff ? -1 : typmod & 0xffff;
    } else {
        t.mod = typmod;
    }
    return t;
}

/* A type of the catalogue: "mood", "other.mood", "mood[]"; NULL: no such type. */
static const char *
made_type_text(struct system_row *row, uint32_t oid)
{
    const struct luma_cat_object *o = system_object(row, oid);
    bool array = o == NULL || o->kind != LUMA_CAT_TYPE;
    if (array)
        o = system_object(row, (uint64_t)oid - 1);
    if (o == NULL || o->kind != LUMA_CAT_TYPE)
        return NULL;
    const struct luma_cat_object *schema =
        type_visible(row, o) ? NULL : system_object(row, o->schema_id);
    return system_format(row, "%s%s%s%s", schema != NULL ? system_quote(row, schema->name) : "",
                         schema != NULL ? "." : "", system_quote(row, o->name), array ? "[]" : "");
}

static luma_rc
format_type(struct system_row *row)
{
    static const struct {
        uint32_t oid;
        const char *name;
    } pseudo[] = {{2276, "\"any\""},    {2277, "anyarray"}, {2278, "void"},
                  {2283, "anyelement"}, {2249, "record"},   {705, "unknown"},
                  {2275, "cstring"},    {2279, "trigger"},  {2281, "internal"}};
    if (row->args[0].is_null)
        return LUMA_OK;
    uint32_t oid = system_oid(row, 0);
    int32_t typmod = row->args[1].is_null ? -1 : row->args[1].i32;
    if (oid == 0)
        return system_set_text(row, "-");
    for (size_t i = 0; i < LUMA_COUNTOF(pseudo); i++)
        if (pseudo[i].oid == oid)
            return system_set_text(row, pseudo[i].name);
    const struct luma_type_info *info = system_host->data->type_by_oid(oid);
    if (info == NULL) {
        const char *made = made_type_text(row, oid);
        return system_set_text(row, made != NULL ? made : "???");
    }
    bool array = info->array_oid == oid && info->type.id != LUMA_TYPE_ARRAY;
    struct luma_type t = type_with(info, typmod);
    if (info->type.id == LUMA_TYPE_ARRAY) {
        array = true;
        t = luma_type_elem(info->type);
    }
    const char *text = system_need(row, system_host->data->type_text(t, row->arena));
    if (t.id == LUMA_TYPE_BPCHAR && typmod < 0)
        text = "character";
    return system_set_text(row, array ? system_format(row, "%s[]", text) : text);
}

static luma_rc
pg_typeof(struct system_row *row)
{
    return system_set_int(row, system_host->data->type_oid(row->args[0].type));
}

/* ---- indexes ---- */

static const struct luma_cat_index *
index_of(const struct system_row *row, uint32_t oid, const struct luma_cat_object **out_table)
{
    const struct luma_cat_object *object = system_object(row, oid);
    if (object == NULL || object->kind != LUMA_CAT_INDEX)
        return NULL;
    *out_table = system_object(row, object->table_id);
    for (uint32_t i = 0; *out_table != NULL && i < (*out_table)->indexes_count; i++)
        if ((*out_table)->indexes[i].id == oid)
            return &(*out_table)->indexes[i];
    return NULL;
}

static const char *
index_column(struct system_row *row, const struct luma_cat_object *table,
             const struct luma_store_index_col *col)
{
    bool desc = (col->flags & LUMA_KEY_DESC) != 0;
    bool first = (col->flags & LUMA_KEY_NULLS_FIRST) != 0;
    return system_format(row, "%s%s%s", column_name(row, table, col->col_id), desc ? " DESC" : "",
                         desc && !first   ? " NULLS LAST"
                         : !desc && first ? " NULLS FIRST"
                                          : "");
}

static luma_rc
get_indexdef(struct system_row *row)
{
    const struct luma_cat_object *table = NULL;
    const struct luma_cat_index *index = index_of(row, system_oid(row, 0), &table);
    int32_t column = row->args_count > 1 ? row->args[1].i32 : 0;
    bool pretty = row->args_count > 2 && row->args[2].b;
    if (index == NULL)
        return LUMA_OK;
    if (column > 0)
        return (uint32_t)column > index->cols_count
                   ? system_set_text(row, "")
                   : system_set_text(row, column_name(row, table, index->cols[column - 1].col_id));
    const char *cols = "";
    for (uint32_t i = 0; i < index->cols_count && cols != NULL; i++)
        cols = system_format(row, "%s%s%s", cols, i > 0 ? ", " : "",
                             index_column(row, table, &index->cols[i]));
    const struct luma_cat_object *schema = system_object(row, table->schema_id);
    const char *name = pretty || schema == NULL
                           ? system_relation_name(row, table)
                           : system_format(row, "%s.%s", system_quote(row, schema->name),
                                           system_quote(row, table->name));
    return system_set_text(row,
                           system_format(row, "CREATE %sINDEX %s ON %s USING %s (%s)%s",
                                         index->unique ? "UNIQUE " : "",
                                         system_quote(row, index->name), name, index->kind, cols,
                                         index->nulls_not_distinct ? " NULLS NOT DISTINCT" : ""));
}

/* ---- constraints ---- */

struct find_constraint {
    uint64_t id;
    const struct luma_cat_object *table;
    const struct luma_cat_constraint *constraint;
};

static bool
find_constraint(void *arg, const struct luma_cat_object *table)
{
    struct find_constraint *find = arg;
    for (uint32_t i = 0; i < table->constraints_count; i++)
        if (table->constraints[i].id == find->id) {
            find->table = table;
            find->constraint = &table->constraints[i];
            return false;
        }
    return true;
}

static const char *
action_text(struct system_row *row, const char *when, char action)
{
    const char *what = action == 'c'   ? "CASCADE"
                       : action == 'n' ? "SET NULL"
                       : action == 'd' ? "SET DEFAULT"
                       : action == 'r' ? "RESTRICT"
                                       : NULL;
    return what == NULL ? "" : system_format(row, " %s %s", when, what);
}

static const char *
foreign_text(struct system_row *row, const struct luma_cat_object *table,
             const struct luma_cat_constraint *con)
{
    const struct luma_cat_object *ref = system_object(row, con->ref_table_id);
    if (ref == NULL)
        return NULL;
    const char *columns =
        con->set_cols_count == 0
            ? ""
            : system_format(row, " (%s)",
                            column_list(row, table, con->set_cols, con->set_cols_count));
    return system_format(
        row, "FOREIGN KEY (%s) REFERENCES %s(%s)%s%s%s%s%s%s%s",
        column_list(row, table, con->cols, con->cols_count), system_relation_name(row, ref),
        column_list(row, ref, con->ref_cols, con->cols_count),
        con->match == 'f' ? " MATCH FULL" : "", action_text(row, "ON UPDATE", con->on_update),
        action_text(row, "ON DELETE", con->on_delete), columns,
        con->deferrable ? " DEFERRABLE" : "", con->deferred ? " INITIALLY DEFERRED" : "",
        con->not_valid ? " NOT VALID" : "");
}

static luma_rc
get_constraintdef(struct system_row *row)
{
    struct find_constraint find = {.id = system_oid(row, 0)};
    system_host->catalog->each(row->view, LUMA_CAT_TABLE, find_constraint, &find);
    if (find.constraint == NULL)
        system_host->catalog->each(row->view, LUMA_CAT_TYPE, find_constraint, &find);
    const struct luma_cat_constraint *con = find.constraint;
    if (con == NULL)
        return LUMA_OK;
    switch (con->kind) {
    case LUMA_CONSTRAINT_CHECK:
        return system_set_text(
            row, system_format(
                     row, row->args_count > 1 && row->args[1].b ? "CHECK (%s)%s" : "CHECK ((%s))%s",
                     con->check_sql, con->not_valid ? " NOT VALID" : ""));
    case LUMA_CONSTRAINT_FOREIGN:
        return system_set_text(row, foreign_text(row, find.table, con));
    default:
        return system_set_text(
            row, system_format(row, "%s (%s)",
                               con->kind == LUMA_CONSTRAINT_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
                               column_list(row, find.table, con->cols, con->cols_count)));
    }
}

/* ---- expressions and views ---- */

static luma_rc
get_expr(struct system_row *row)
{
    return system_set_text(row, system_text(row, 0));
}

static luma_rc
get_viewdef(struct system_row *row)
{
    const struct luma_cat_object *view = system_object(row, system_oid(row, 0));
    if (view == NULL || view->kind != LUMA_CAT_VIEW)
        return LUMA_OK;
    return system_set_text(row, system_format(row, " %s;", view->sql));
}

static luma_rc
get_viewdef_name(struct system_row *row)
{
    const struct luma_cat_object *view = system_find_relation(row, system_text(row, 0));
    if (view == NULL || view->kind != LUMA_CAT_VIEW)
        return LUMA_OK;
    return system_set_text(row, system_format(row, " %s;", view->sql));
}

static luma_rc
get_ruledef(struct system_row *row)
{
    const struct luma_cat_object *view = system_object(row, system_oid(row, 0));
    if (view == NULL || view->kind != LUMA_CAT_VIEW)
        return LUMA_OK;
    return system_set_text(row, system_format(row,
                                              "CREATE RULE \"_RETURN\" AS ON SELECT TO %s DO "
                                              "INSTEAD %s;",
                                              system_relation_name(row, view), view->sql));
}

static luma_rc
always_null(struct system_row *row)
{
    (void)row;
    return LUMA_OK;
}

static luma_rc
always_true(struct system_row *row)
{
    return system_set_bool(row, true);
}

static luma_rc
always_false(struct system_row *row)
{
    return system_set_bool(row, false);
}

static luma_rc
always_zero(struct system_row *row)
{
    return system_set_int(row, 0);
}

/* ---- comments ---- */

static luma_rc
obj_description(struct system_row *row)
{
    const struct luma_cat_object *object = system_object(row, system_oid(row, 0));
    if (object == NULL)
        return LUMA_OK;
    if (row->args_count > 1) {
        const char *catalog = system_text(row, 1);
        bool relation = object->kind == LUMA_CAT_TABLE || object->kind == LUMA_CAT_VIEW ||
                        object->kind == LUMA_CAT_INDEX || object->kind == LUMA_CAT_SEQUENCE;
        if (strcmp(catalog, relation                          ? "pg_class"
                            : object->kind == LUMA_CAT_SCHEMA ? "pg_namespace"
                            : object->kind == LUMA_CAT_ROLE   ? "pg_authid"
                                                              : "pg_database") != 0)
            return LUMA_OK;
    }
    return system_set_text(row, object->comment);
}

static luma_rc
col_description(struct system_row *row)
{
    const struct luma_cat_object *table = system_object(row, system_oid(row, 0));
    for (uint32_t i = 0; table != NULL && i < table->cols_count; i++)
        if (table->cols[i].id == (uint32_t)row->args[1].i32)
            return system_set_text(row, table->cols[i].comment);
    return LUMA_OK;
}

/* ---- visibility and names ---- */

static luma_rc
table_is_visible(struct system_row *row)
{
    uint32_t oid = system_oid(row, 0);
    const struct luma_cat_object *object = system_object(row, oid);
    /* query/sql numbers the views of information_schema from 13100 */
    if (object == NULL)
        return oid < LUMA_CAT_ID_USER_FIRST ? system_set_bool(row, oid < 13100) : LUMA_OK;
    return system_set_bool(row, system_visible(row, object));
}

static luma_rc
get_userbyid(struct system_row *row)
{
    const struct luma_cat_object *role = system_object(row, system_oid(row, 0));
    if (role == NULL || role->kind != LUMA_CAT_ROLE)
        return system_set_text(row, system_format(row, "unknown (OID=%u)", system_oid(row, 0)));
    return system_set_text(row, role->name);
}

static luma_rc
to_regclass(struct system_row *row)
{
    const char *text = system_text(row, 0);
    if (text[0] >= '0' && text[0] <= '9')
        return system_set_int(row, (int64_t)strtoull(text, NULL, 10));
    const struct luma_cat_object *object = system_find_relation(row, text);
    return object != NULL ? system_set_int(row, (int64_t)object->id) : LUMA_OK;
}

static luma_rc
to_regtype(struct system_row *row)
{
    const char *text = system_text(row, 0);
    size_t bytes = strlen(text);
    bool array = bytes > 2 && strcmp(text + bytes - 2, "[]") == 0;
    char *plain = luma_arena_text(row->arena, text, array ? bytes - 2 : bytes), *to = plain;
    if (plain == NULL)
        return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
    for (const char *p = plain; *p != '\0'; p++)
        if (*p != '"') /* no type's name needs its quotes */
            *to++ = *p;
    *to = '\0';
    const char *name = plain;
    if (strncmp(name, "pg_catalog.", 11) == 0)
        name += 11;
    const struct luma_type_info *info = system_host->data->type_by_name(name);
    return info != NULL ? system_set_int(row, array ? info->array_oid : info->oid) : LUMA_OK;
}

static luma_rc
to_regnamespace(struct system_row *row)
{
    const struct luma_cat_object *schema =
        system_host->catalog->find(row->view, LUMA_CAT_SCHEMA, system_text(row, 0));
    return schema != NULL ? system_set_int(row, (int64_t)schema->id) : LUMA_OK;
}

static luma_rc
to_regrole(struct system_row *row)
{
    const struct luma_cat_object *role =
        system_host->catalog->find(row->view, LUMA_CAT_ROLE, system_text(row, 0));
    return role != NULL ? system_set_int(row, (int64_t)role->id) : LUMA_OK;
}

/* ---- sizes ---- */

static luma_rc
table_bytes(struct system_row *row, const struct luma_cat_object *table, bool rows, bool indexes,
            int64_t *inout)
{
    struct luma_coll *coll = NULL;
    LUMA_TRY(system_host->store->open(row->ctx, row->txn, table->id, &coll));
    if (rows)
        *inout += (int64_t)system_host->store->bytes(coll);
    for (uint32_t i = 0; indexes && i < table->indexes_count; i++)
        *inout += (int64_t)system_host->store->index_bytes(coll, table->indexes[i].id);
    system_host->store->close(coll);
    return LUMA_OK;
}

static luma_rc
size_of(struct system_row *row, bool rows, bool indexes)
{
    uint32_t oid = system_oid(row, 0);
    const struct luma_cat_object *object = system_object(row, oid);
    int64_t bytes = 0;
    if (object == NULL)
        return oid < LUMA_CAT_ID_USER_FIRST ? system_set_int(row, 0) : LUMA_OK;
    if (object->kind == LUMA_CAT_TABLE) {
        LUMA_TRY(table_bytes(row, object, rows, indexes, &bytes));
    } else if (object->kind == LUMA_CAT_INDEX && rows) {
        const struct luma_cat_object *table = system_object(row, object->table_id);
        struct luma_coll *coll = NULL;
        if (table != NULL) {
            LUMA_TRY(system_host->store->open(row->ctx, row->txn, table->id, &coll));
            bytes = (int64_t)system_host->store->index_bytes(coll, oid);
            system_host->store->close(coll);
        }
    }
    return system_set_int(row, bytes);
}

static luma_rc
relation_size(struct system_row *row)
{
    return size_of(row, true, false);
}

static luma_rc
indexes_size(struct system_row *row)
{
    return size_of(row, false, true);
}

static luma_rc
total_size(struct system_row *row)
{
    return size_of(row, true, true);
}

struct database_size {
    struct system_row *row;
    int64_t bytes;
    luma_rc rc;
};

static bool
add_table_size(void *arg, const struct luma_cat_object *table)
{
    struct database_size *size = arg;
    size->rc = table_bytes(size->row, table, true, true, &size->bytes);
    return size->rc == LUMA_OK;
}

static luma_rc
database_size(struct system_row *row)
{
    struct database_size size = {.row = row};
    system_host->catalog->each(row->view, LUMA_CAT_TABLE, add_table_size, &size);
    return size.rc == LUMA_OK ? system_set_int(row, size.bytes) : size.rc;
}

/* ---- encodings ---- */

static luma_rc
encoding_to_char(struct system_row *row)
{
    return system_set_text(row, row->args[0].i32 == 6   ? "UTF8"
                                : row->args[0].i32 == 0 ? "SQL_ASCII"
                                                        : "");
}

static luma_rc
char_to_encoding(struct system_row *row)
{
    const char *name = system_text(row, 0);
    bool utf8 = strcasecmp(name, "utf8") == 0 || strcasecmp(name, "utf-8") == 0 ||
                strcasecmp(name, "unicode") == 0;
    return system_set_int(row, utf8 ? 6 : -1);
}

static luma_rc
database_encoding(struct system_row *row)
{
    return system_set_text(row, "UTF8");
}

#define NS (LUMA_FUNC_STABLE)
#define ST SYSTEM_STABLE

static const struct system_func list[] = {
    {"format_type", "oi", 't', NS, format_type},
    {"pg_typeof", "a", 'r', NS, pg_typeof},
    {"pg_get_indexdef", "o", 't', ST, get_indexdef},
    {"pg_get_indexdef", "oib", 't', ST, get_indexdef},
    {"pg_get_constraintdef", "o", 't', ST, get_constraintdef},
    {"pg_get_constraintdef", "ob", 't', ST, get_constraintdef},
    {"pg_get_expr", "to", 't', ST, get_expr},
    {"pg_get_expr", "tob", 't', ST, get_expr},
    {"pg_get_viewdef", "o", 't', ST, get_viewdef},
    {"pg_get_viewdef", "ob", 't', ST, get_viewdef},
    {"pg_get_viewdef", "oi", 't', ST, get_viewdef},
    {"pg_get_viewdef", "t", 't', ST, get_viewdef_name},
    {"pg_get_viewdef", "tb", 't', ST, get_viewdef_name},
    {"pg_get_ruledef", "o", 't', ST, get_ruledef},
    {"pg_get_ruledef", "ob", 't', ST, get_ruledef},
    {"pg_get_triggerdef", "o", 't', ST, always_null},
    {"pg_get_triggerdef", "ob", 't', ST, always_null},
    {"pg_get_partkeydef", "o", 't', ST, always_null},
    {"pg_get_partition_constraintdef", "o", 't', ST, always_null},
    {"pg_get_statisticsobjdef", "o", 't', ST, always_null},
    {"pg_get_statisticsobjdef_columns", "o", 't', ST, always_null},
    {"pg_get_function_sqlbody", "o", 't', ST, always_null},
    {"pg_get_functiondef", "o", 't', ST, always_null},
    {"obj_description", "o", 't', ST, obj_description},
    {"obj_description", "on", 't', ST, obj_description},
    {"shobj_description", "on", 't', ST, obj_description},
    {"col_description", "oi", 't', ST, col_description},
    {"pg_table_is_visible", "o", 'b', ST, table_is_visible},
    {"pg_type_is_visible", "o", 'b', ST, type_is_visible},
    {"pg_function_is_visible", "o", 'b', ST, always_true},
    {"pg_operator_is_visible", "o", 'b', ST, always_true},
    {"pg_opclass_is_visible", "o", 'b', ST, always_true},
    {"pg_opfamily_is_visible", "o", 'b', ST, always_true},
    {"pg_collation_is_visible", "o", 'b', ST, always_true},
    {"pg_conversion_is_visible", "o", 'b', ST, always_true},
    {"pg_statistics_obj_is_visible", "o", 'b', ST, always_true},
    {"pg_ts_config_is_visible", "o", 'b', ST, always_true},
    {"pg_ts_dict_is_visible", "o", 'b', ST, always_true},
    {"pg_ts_parser_is_visible", "o", 'b', ST, always_true},
    {"pg_ts_template_is_visible", "o", 'b', ST, always_true},
    {"pg_relation_is_publishable", "c", 'b', ST, always_false},
    {"pg_is_other_temp_schema", "o", 'b', ST, always_false},
    {"row_security_active", "o", 'b', ST, always_false},
    {"pg_get_userbyid", "o", 'n', ST, get_userbyid},
    {"to_regclass", "t", 'c', ST, to_regclass},
    {"to_regtype", "t", 'r', ST, to_regtype},
    {"to_regnamespace", "t", 'S', ST, to_regnamespace},
    {"to_regrole", "t", 'o', ST, to_regrole},
    {"pg_relation_size", "c", 'l', ST, relation_size},
    {"pg_relation_size", "ct", 'l', ST, relation_size},
    {"pg_table_size", "c", 'l', ST, relation_size},
    {"pg_indexes_size", "c", 'l', ST, indexes_size},
    {"pg_total_relation_size", "c", 'l', ST, total_size},
    {"pg_database_size", "n", 'l', ST, database_size},
    {"pg_database_size", "o", 'l', ST, database_size},
    {"pg_tablespace_size", "o", 'l', ST, database_size},
    {"pg_tablespace_size", "n", 'l', ST, database_size},
    {"pg_tablespace_location", "o", 't', ST, always_null},
    {"pg_relation_filenode", "c", 'o', ST, always_null},
    {"pg_stat_get_numscans", "o", 'l', ST, always_zero},
    {"pg_encoding_to_char", "i", 'n', ST, encoding_to_char},
    {"pg_char_to_encoding", "n", 'i', ST, char_to_encoding},
    {"getdatabaseencoding", "", 'n', ST, database_encoding},
    {"pg_client_encoding", "", 'n', ST, database_encoding},
};

const struct system_list system_describe = {list, LUMA_COUNTOF(list)};
