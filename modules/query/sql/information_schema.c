/*
 * information_schema.c - the SQL standard's views of the catalogue.
 */
#include "rows.h"

static const char *
database_name(const struct sql_rows *rows)
{
    return sql_host->session->database(rows->session);
}

static const char *
schema_name(const struct sql_rows *rows, const struct luma_cat_object *o)
{
    return sql_rows_name(rows, o->schema_id);
}

/* ---- schemata ---- */

static bool
schemata_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "ttt", database_name(rows), o->name, sql_rows_name(rows, o->owner_id));
    return rows->rc == LUMA_OK;
}

static void
fill_schemata(struct sql_rows *rows)
{
    if (sql_rows_object(rows, LUMA_CAT_ID_INFORMATION_SCHEMA) == NULL)
        sql_rows_add(rows, "ttt", database_name(rows), "information_schema", "lumadb");
    if (sql_rows_object(rows, LUMA_CAT_ID_PG_CATALOG) == NULL)
        sql_rows_add(rows, "ttt", database_name(rows), "pg_catalog", "lumadb");
    sql_rows_each(rows, LUMA_CAT_SCHEMA, schemata_object);
}

/* ---- tables ---- */

static bool
tables_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->kind != LUMA_CAT_TABLE && o->kind != LUMA_CAT_VIEW)
        return true;
    bool view = o->kind == LUMA_CAT_VIEW;
    sql_rows_add(rows, "ttttnnnnntt", database_name(rows), schema_name(rows, o), o->name,
                 view           ? "VIEW"
                 : o->temporary ? "LOCAL TEMPORARY"
                                : "BASE TABLE",
                 view ? "NO" : "YES", "NO");
    return rows->rc == LUMA_OK;
}

static void
fill_tables(struct sql_rows *rows)
{
    const struct sql_virtual *virt;
    sql_rows_each(rows, 0, tables_object);
    for (size_t i = 0; (virt = sql_virtual_at(i)) != NULL; i++)
        sql_rows_add(rows, "ttttnnnnntt", database_name(rows), virt->schema, virt->name,
                     virt->oid < 12000 ? "BASE TABLE" : "VIEW", "NO", "NO");
}

/* ---- columns ---- */

static int
numeric_precision(struct luma_type t)
{
    switch (t.id) {
    case LUMA_TYPE_INT2:
        return 16;
    case LUMA_TYPE_INT4:
        return 32;
    case LUMA_TYPE_INT8:
        return 64;
    case LUMA_TYPE_FLOAT4:
        return 24;
    case LUMA_TYPE_FLOAT8:
        return 53;
    case LUMA_TYPE_NUMERIC:
        return t.mod > 0 ? t.mod : 0;
    default:
        return 0;
    }
}

static void
identity_texts(struct sql_rows *rows, const struct luma_cat_object *seq, const char *out[5])
{
    memset(out, 0, sizeof(*out) * 5);
    if (seq == NULL)
        return;
    const int64_t numbers[4] = {seq->seq_start, seq->seq_increment, seq->seq_max, seq->seq_min};
    for (int i = 0; i < 4; i++)
        out[i] = sql_rows_format(rows, "%lld", (long long)numbers[i]);
    out[4] = seq->seq_cycle ? "YES" : "NO";
}

/* The name of a type that a user made; NULL: the type is none, and the domain is over none. */
struct made {
    const char *schema, *name;
};

static struct made
made_names(struct sql_rows *rows, struct luma_type type, const struct luma_cat_object *domain)
{
    struct made made = {NULL, NULL};
    const struct luma_cat_object *below = domain != NULL && domain->cols[0].domain_id != 0
                                              ? sql_rows_object(rows, domain->cols[0].domain_id)
                                          : luma_type_is_made(type)
                                              ? sql_rows_object(rows, (uint64_t)type.mod)
                                              : NULL;
    if (below == NULL)
        return made;
    made.schema = schema_name(rows, below);
    made.name =
        type.id == LUMA_TYPE_ARRAY ? sql_rows_format(rows, "_%s", below->name) : below->name;
    return made;
}

#define IDENTITY(ids) (ids)[0], (ids)[1], (ids)[2], (ids)[3], (ids)[4]

static void
add_column(struct sql_rows *rows, const char *schema, const char *table, const char *name,
           int position, struct luma_type type, const char *def, bool not_null, char identity,
           const char *generated, bool updatable, const struct luma_cat_object *sequence,
           uint64_t domain_id)
{
    const struct luma_cat_object *domain = domain_id != 0 ? sql_rows_object(rows, domain_id) : NULL;
    struct made made = made_names(rows, type, domain);
    const char *ids[5];
    identity_texts(rows, identity != 0 ? sequence : NULL, ids);
    const struct luma_type_info *info = sql_host->data->type_info(type);
    bool array = type.id == LUMA_TYPE_ARRAY;
    bool text = type.id == LUMA_TYPE_VARCHAR || type.id == LUMA_TYPE_BPCHAR;
    bool integer =
        type.id == LUMA_TYPE_INT2 || type.id == LUMA_TYPE_INT4 || type.id == LUMA_TYPE_INT8;
    bool exact = integer || (type.id == LUMA_TYPE_NUMERIC && type.mod > 0);
    bool time = type.id == LUMA_TYPE_TIME || type.id == LUMA_TYPE_TIMESTAMP ||
                type.id == LUMA_TYPE_TIMESTAMPTZ || type.id == LUMA_TYPE_INTERVAL ||
                type.id == LUMA_TYPE_TIMETZ;
    int precision = numeric_precision(type);
    char kinds[64] = "ttttittt";
    strcat(kinds, text && type.mod > 0 ? "i" : "n");
    strcat(kinds, sql_type_is_string(type) ? "i" : "n");
    strcat(kinds, precision > 0 ? "ii" : "nn");
    strcat(kinds, exact ? "i" : "n");
    strcat(kinds, time || type.id == LUMA_TYPE_DATE ? "i" : "n");
    strcat(kinds, "tttttttt");
    strcat(kinds, "nnttttttntn");
    const char *udt =
        made.name != NULL ? made.name
        : array
            ? sql_rows_format(rows, "_%s", sql_host->data->type_info(luma_type_elem(type))->name)
            : info->name;
    const char *udt_schema = made.name != NULL ? made.schema : "pg_catalog";
    const char *domain_name = domain != NULL ? domain->name : NULL;
    const char *domain_schema = domain != NULL ? schema_name(rows, domain) : NULL;
    const char *data_type = array ? "ARRAY" : made.name != NULL ? "USER-DEFINED" : info->sql_name;
    const char *database = database_name(rows);
    const char *is_identity = identity != 0 ? "YES" : "NO";
    const char *generation = identity == 'a' ? "ALWAYS" : identity == 'd' ? "BY DEFAULT" : NULL;
    const char *is_generated = generated != NULL ? "ALWAYS" : "NEVER";
    const char *can_update = updatable ? "YES" : "NO";
    int length = type.mod, octets = text && type.mod > 0 ? type.mod * 4 : 1073741824;
    int radix = type.id == LUMA_TYPE_NUMERIC ? 10 : 2, scale = integer ? 0 : type.scale;
    int digits = type.id == LUMA_TYPE_DATE ? 0 : type.mod >= 0 ? type.mod : 6;
    /* the numbers that are null take no argument: every combination that occurs is one call */
    if (text && type.mod > 0)
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, length, octets, database, udt_schema, udt,
                     is_identity, generation, is_generated, generated, can_update, domain_name,
                     IDENTITY(ids), domain_schema);
    else if (sql_type_is_string(type))
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, octets, database, udt_schema, udt,
                     is_identity, generation, is_generated, generated, can_update, domain_name,
                     IDENTITY(ids), domain_schema);
    else if (exact)
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, precision, radix, scale, database,
                     udt_schema, udt, is_identity, generation, is_generated, generated, can_update,
                     domain_name, IDENTITY(ids), domain_schema);
    else if (precision > 0)
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, precision, radix, database, udt_schema,
                     udt, is_identity, generation, is_generated, generated, can_update, domain_name,
                     IDENTITY(ids), domain_schema);
    else if (time || type.id == LUMA_TYPE_DATE)
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, digits, database, udt_schema, udt,
                     is_identity, generation, is_generated, generated, can_update, domain_name,
                     IDENTITY(ids), domain_schema);
    else
        sql_rows_add(rows, kinds, database, schema, table, name, position, def,
                     not_null ? "NO" : "YES", data_type, database, udt_schema, udt, is_identity,
                     generation, is_generated, generated, can_update, domain_name, IDENTITY(ids),
                     domain_schema);
}

static bool
columns_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->kind != LUMA_CAT_TABLE && o->kind != LUMA_CAT_VIEW)
        return true;
    for (uint32_t i = 0; i < o->cols_count; i++) {
        const struct luma_cat_column *c = &o->cols[i];
        add_column(rows, schema_name(rows, o), o->name, c->name, (int)c->id, c->type,
                   c->default_sql, c->not_null, c->identity, c->generated_sql,
                   o->kind == LUMA_CAT_TABLE, sql_rows_object(rows, c->sequence_id), c->domain_id);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_columns(struct sql_rows *rows)
{
    const struct sql_virtual *virt;
    sql_rows_each(rows, 0, columns_object);
    for (size_t i = 0; (virt = sql_virtual_at(i)) != NULL; i++)
        for (uint32_t c = 0; c < virt->cols_count; c++)
            add_column(rows, virt->schema, virt->name, virt->cols[c].name, (int)c + 1,
                       virt->cols[c].type, NULL, false, 0, NULL, false, NULL, 0);
}

/* ---- domains ---- */

static bool
domains_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->type_kind != 'd')
        return true;
    struct luma_type type = o->cols[0].type;
    struct made made = made_names(rows, type, o);
    const struct luma_type_info *info = sql_host->data->type_info(type);
    bool array = type.id == LUMA_TYPE_ARRAY;
    const char *udt =
        made.name != NULL ? made.name
        : array
            ? sql_rows_format(rows, "_%s", sql_host->data->type_info(luma_type_elem(type))->name)
            : info->name;
    sql_rows_add(rows, "tttttttt", database_name(rows), schema_name(rows, o), o->name,
                 array               ? "ARRAY"
                 : made.name != NULL ? "USER-DEFINED"
                                     : info->sql_name,
                 o->cols[0].default_sql, database_name(rows),
                 made.name != NULL ? made.schema : "pg_catalog", udt);
    return rows->rc == LUMA_OK;
}

static void
fill_domains(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TYPE, domains_object);
}

static bool
domain_constraints_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    const char *database = database_name(rows), *schema = schema_name(rows, o);
    if (o->type_kind != 'd')
        return true;
    for (uint32_t i = 0; i < o->constraints_count; i++)
        sql_rows_add(rows, "tttttttt", database, schema, o->constraints[i].name, database, schema,
                     o->name, "NO", "NO");
    return rows->rc == LUMA_OK;
}

static void
fill_domain_constraints(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TYPE, domain_constraints_object);
}

/* ---- constraints ---- */

static const char *
kind_text(enum luma_constraint_kind kind)
{
    return kind == LUMA_CONSTRAINT_PRIMARY  ? "PRIMARY KEY"
           : kind == LUMA_CONSTRAINT_UNIQUE ? "UNIQUE"
           : kind == LUMA_CONSTRAINT_CHECK  ? "CHECK"
                                            : "FOREIGN KEY";
}

static bool
constraints_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++)
        sql_rows_add(rows, "tttttttttt", database_name(rows), schema_name(rows, o),
                     o->constraints[i].name, database_name(rows), schema_name(rows, o), o->name,
                     kind_text(o->constraints[i].kind), o->constraints[i].deferrable ? "YES" : "NO",
                     o->constraints[i].deferred ? "YES" : "NO", "YES");
    for (uint32_t i = 0; i < o->cols_count; i++)
        if (o->cols[i].not_null)
            sql_rows_add(
                rows, "tttttttttt", database_name(rows), schema_name(rows, o),
                sql_rows_format(rows, "%llu_%llu_%u_not_null", (unsigned long long)o->schema_id,
                                (unsigned long long)o->id, o->cols[i].id),
                database_name(rows), schema_name(rows, o), o->name, "CHECK", "NO", "NO", "YES");
    return rows->rc == LUMA_OK;
}

static void
fill_constraints(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, constraints_object);
}

static const char *
column_of(const struct luma_cat_object *o, uint32_t id)
{
    for (uint32_t i = 0; i < o->cols_count; i++)
        if (o->cols[i].id == id)
            return o->cols[i].name;
    return NULL;
}

/* Which column of the referenced key a foreign key's column stands for, from 1. */
static int
position_in_key(const struct sql_rows *rows, const struct luma_cat_constraint *con, uint32_t k)
{
    const struct luma_cat_object *ref = sql_rows_object(rows, con->ref_table_id);
    for (uint32_t i = 0; ref != NULL && i < ref->constraints_count; i++) {
        const struct luma_cat_constraint *key = &ref->constraints[i];
        if (key->index_id == 0 || key->cols_count != con->cols_count)
            continue;
        for (uint32_t c = 0; c < key->cols_count; c++)
            if (key->cols[c] == con->ref_cols[k])
                return (int)c + 1;
    }
    return (int)k + 1;
}

static bool
key_usage_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++) {
        const struct luma_cat_constraint *con = &o->constraints[i];
        bool foreign = con->kind == LUMA_CONSTRAINT_FOREIGN;
        for (uint32_t k = 0; con->kind != LUMA_CONSTRAINT_CHECK && k < con->cols_count; k++)
            sql_rows_add(rows, foreign ? "tttttttii" : "tttttttin", database_name(rows),
                         schema_name(rows, o), con->name, database_name(rows), schema_name(rows, o),
                         o->name, column_of(o, con->cols[k]), (int)k + 1,
                         foreign ? position_in_key(rows, con, k) : 0);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_key_usage(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, key_usage_object);
}

static bool
column_usage_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++) {
        const struct luma_cat_constraint *con = &o->constraints[i];
        bool foreign = con->kind == LUMA_CONSTRAINT_FOREIGN;
        const struct luma_cat_object *t = foreign ? sql_rows_object(rows, con->ref_table_id) : o;
        const uint32_t *ids = foreign ? con->ref_cols : con->cols;
        for (uint32_t k = 0; t != NULL && k < con->cols_count; k++)
            sql_rows_add(rows, "ttttttt", database_name(rows), schema_name(rows, t), t->name,
                         column_of(t, ids[k]), database_name(rows), schema_name(rows, o),
                         con->name);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_column_usage(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, column_usage_object);
}

static const char *
rule_text(char action)
{
    return action == 'c'   ? "CASCADE"
           : action == 'n' ? "SET NULL"
           : action == 'd' ? "SET DEFAULT"
           : action == 'r' ? "RESTRICT"
                           : "NO ACTION";
}

static bool
referential_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++) {
        const struct luma_cat_constraint *con = &o->constraints[i];
        const struct luma_cat_object *ref = sql_rows_object(rows, con->ref_table_id);
        if (con->kind != LUMA_CONSTRAINT_FOREIGN || ref == NULL)
            continue;
        const char *key = NULL;
        for (uint32_t k = 0; k < ref->constraints_count && key == NULL; k++)
            if (ref->constraints[k].index_id != 0 &&
                ref->constraints[k].cols_count == con->cols_count &&
                ref->constraints[k].cols[0] == con->ref_cols[0])
                key = ref->constraints[k].name;
        sql_rows_add(rows, "ttttttttt", database_name(rows), schema_name(rows, o), con->name,
                     database_name(rows), schema_name(rows, ref), key, "NONE",
                     rule_text(con->on_update), rule_text(con->on_delete));
    }
    return rows->rc == LUMA_OK;
}

static void
fill_referential(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, referential_object);
}

static bool
check_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++)
        if (o->constraints[i].kind == LUMA_CONSTRAINT_CHECK)
            sql_rows_add(rows, "tttt", database_name(rows), schema_name(rows, o),
                         o->constraints[i].name,
                         sql_rows_format(rows, "(%s)", o->constraints[i].check_sql));
    return rows->rc == LUMA_OK;
}

static void
fill_checks(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, check_object);
}

/* ---- views, sequences, routines ---- */

static bool
views_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "ttttttt", database_name(rows), schema_name(rows, o), o->name,
                 sql_rows_format(rows, "%s;", o->sql), "NONE", "NO", "NO");
    return rows->rc == LUMA_OK;
}

static void
fill_views(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_VIEW, views_object);
}

static bool
sequences_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    const struct luma_type_info *info = sql_host->data->type_info(o->seq_type);
    sql_rows_add(rows, "ttttiiittttt", database_name(rows), schema_name(rows, o), o->name,
                 info->sql_name, numeric_precision(o->seq_type), 2, 0,
                 sql_rows_format(rows, "%lld", (long long)o->seq_start),
                 sql_rows_format(rows, "%lld", (long long)o->seq_min),
                 sql_rows_format(rows, "%lld", (long long)o->seq_max),
                 sql_rows_format(rows, "%lld", (long long)o->seq_increment),
                 o->seq_cycle ? "YES" : "NO");
    return rows->rc == LUMA_OK;
}

static void
fill_sequences(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_SEQUENCE, sequences_object);
}

static void
fill_routines(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        if (f->flags & (LUMA_FUNC_CAST | LUMA_FUNC_OPERATOR | LUMA_FUNC_HIDDEN))
            continue;
        sql_rows_add(rows, "tttttttt", database_name(rows), "pg_catalog",
                     sql_rows_format(rows, "%s_%u", f->name, list->entries[i]->oid),
                     database_name(rows), "pg_catalog", f->name, "FUNCTION",
                     sql_host->data->type_text(f->result, rows->arena));
    }
}

static bool
privilege_object(void *arg, const struct luma_cat_object *o)
{
    static const struct {
        uint32_t right;
        const char *name;
    } names[] = {{LUMA_RIGHT_SELECT, "SELECT"},     {LUMA_RIGHT_INSERT, "INSERT"},
                 {LUMA_RIGHT_UPDATE, "UPDATE"},     {LUMA_RIGHT_DELETE, "DELETE"},
                 {LUMA_RIGHT_TRUNCATE, "TRUNCATE"}, {LUMA_RIGHT_REFERENCES, "REFERENCES"},
                 {LUMA_RIGHT_TRIGGER, "TRIGGER"}};
    struct sql_rows *rows = arg;
    if (o->kind != LUMA_CAT_TABLE && o->kind != LUMA_CAT_VIEW)
        return true;
    const char *owner = sql_rows_name(rows, o->owner_id);
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        sql_rows_add(rows, "tttttttt", owner, owner, database_name(rows), schema_name(rows, o),
                     o->name, names[i].name, "YES", "NO");
    for (uint32_t g = 0; g < o->grants_count; g++)
        for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
            if (o->grants[g].col_id == 0 && (o->grants[g].rights & names[i].right))
                sql_rows_add(rows, "tttttttt", owner,
                             o->grants[g].role_id == 0 ? "PUBLIC"
                                                       : sql_rows_name(rows, o->grants[g].role_id),
                             database_name(rows), schema_name(rows, o), o->name, names[i].name,
                             o->grants[g].grantable ? "YES" : "NO", "NO");
    return rows->rc == LUMA_OK;
}

static void
fill_privileges(struct sql_rows *rows)
{
    sql_rows_each(rows, 0, privilege_object);
}

static void
fill_catalog_name(struct sql_rows *rows)
{
    sql_rows_add(rows, "t", database_name(rows));
}

#define IS "information_schema"

static struct sql_virtual tables[] = {
    {IS,
     "schemata",
     0,
     "catalog_name name, schema_name name, schema_owner name, default_character_set_catalog name, "
     "default_character_set_schema name, default_character_set_name name, sql_path text",
     fill_schemata,
     0,
     NULL,
     {0}},
    {IS,
     "tables",
     0,
     "table_catalog name, table_schema name, table_name name, table_type text, "
     "self_referencing_column_name name, reference_generation text, "
     "user_defined_type_catalog name, user_defined_type_schema name, user_defined_type_name name, "
     "is_insertable_into text, is_typed text, commit_action text",
     fill_tables,
     0,
     NULL,
     {0}},
    {IS,
     "domains",
     0,
     "domain_catalog name, domain_schema name, domain_name name, data_type text, "
     "domain_default text, udt_catalog name, udt_schema name, udt_name name",
     fill_domains,
     0,
     NULL,
     {0}},
    {IS,
     "domain_constraints",
     0,
     "constraint_catalog name, constraint_schema name, constraint_name name, "
     "domain_catalog name, domain_schema name, domain_name name, is_deferrable text, "
     "initially_deferred text",
     fill_domain_constraints,
     0,
     NULL,
     {0}},
    {IS,
     "columns",
     0,
     "table_catalog name, table_schema name, table_name name, column_name name, "
     "ordinal_position int4, column_default text, is_nullable text, data_type text, "
     "character_maximum_length int4, character_octet_length int4, numeric_precision int4, "
     "numeric_precision_radix int4, numeric_scale int4, datetime_precision int4, udt_catalog name, "
     "udt_schema name, udt_name name, is_identity text, identity_generation text, "
     "is_generated text, generation_expression text, is_updatable text, interval_type text, "
     "collation_name name, domain_name name, identity_start text, identity_increment text, "
     "identity_maximum text, identity_minimum text, identity_cycle text, "
     "character_set_name name, domain_schema name, interval_precision int4",
     fill_columns,
     0,
     NULL,
     {0}},
    {IS,
     "table_constraints",
     0,
     "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, "
     "table_schema name, table_name name, constraint_type text, is_deferrable text, "
     "initially_deferred text, enforced text, nulls_distinct text",
     fill_constraints,
     0,
     NULL,
     {0}},
    {IS,
     "key_column_usage",
     0,
     "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, "
     "table_schema name, table_name name, column_name name, ordinal_position int4, "
     "position_in_unique_constraint int4",
     fill_key_usage,
     0,
     NULL,
     {0}},
    {IS,
     "constraint_column_usage",
     0,
     "table_catalog name, table_schema name, table_name name, column_name name, "
     "constraint_catalog name, constraint_schema name, constraint_name name",
     fill_column_usage,
     0,
     NULL,
     {0}},
    {IS,
     "referential_constraints",
     0,
     "constraint_catalog name, constraint_schema name, constraint_name name, "
     "unique_constraint_catalog name, unique_constraint_schema name, unique_constraint_name name, "
     "match_option text, update_rule text, delete_rule text",
     fill_referential,
     0,
     NULL,
     {0}},
    {IS,
     "check_constraints",
     0,
     "constraint_catalog name, constraint_schema name, constraint_name name, check_clause text",
     fill_checks,
     0,
     NULL,
     {0}},
    {IS,
     "views",
     0,
     "table_catalog name, table_schema name, table_name name, view_definition text, "
     "check_option text, is_updatable text, is_insertable_into text",
     fill_views,
     0,
     NULL,
     {0}},
    {IS,
     "sequences",
     0,
     "sequence_catalog name, sequence_schema name, sequence_name name, data_type text, "
     "numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, start_value text, "
     "minimum_value text, maximum_value text, increment text, cycle_option text",
     fill_sequences,
     0,
     NULL,
     {0}},
    {IS,
     "routines",
     0,
     "specific_catalog name, specific_schema name, specific_name name, routine_catalog name, "
     "routine_schema name, routine_name name, routine_type text, data_type text",
     fill_routines,
     0,
     NULL,
     {0}},
    {IS,
     "table_privileges",
     0,
     "grantor name, grantee name, table_catalog name, table_schema name, table_name name, "
     "privilege_type text, is_grantable text, with_hierarchy text",
     fill_privileges,
     0,
     NULL,
     {0}},
    {IS,
     "role_table_grants",
     0,
     "grantor name, grantee name, table_catalog name, table_schema name, table_name name, "
     "privilege_type text, is_grantable text, with_hierarchy text",
     fill_privileges,
     0,
     NULL,
     {0}},
    {IS,
     "information_schema_catalog_name",
     0,
     "catalog_name name",
     fill_catalog_name,
     0,
     NULL,
     {0}},
    {IS,
     "triggers",
     0,
     "trigger_catalog name, trigger_schema name, trigger_name name, event_manipulation text, "
     "event_object_catalog name, event_object_schema name, event_object_table name",
     NULL,
     0,
     NULL,
     {0}},
    {IS,
     "parameters",
     0,
     "specific_catalog name, specific_schema name, specific_name name, ordinal_position int4, "
     "parameter_mode text, parameter_name name, data_type text",
     NULL,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_information_schema = {tables, LUMA_COUNTOF(tables)};
