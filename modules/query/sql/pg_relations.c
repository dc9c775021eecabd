/*
 * pg_relations.c - pg_catalog: what tables are made of. pg_class, pg_attribute, pg_index,
 * pg_constraint, pg_attrdef, pg_namespace, pg_sequence, pg_depend, pg_description.
 */
#include "rows.h"

/* ---- pg_class ---- */

/* PostgreSQL keeps foreign keys by triggers: pg_dump looks for keys where there are some. */
static bool
has_foreign(const struct luma_cat_object *o)
{
    for (uint32_t i = 0; i < o->constraints_count; i++)
        if (o->constraints[i].kind == LUMA_CONSTRAINT_FOREIGN)
            return true;
    return false;
}

static void
add_class(struct sql_rows *rows, const struct luma_cat_object *o, char kind, uint32_t am,
          uint32_t checks, bool has_index)
{
    uint32_t acl_count = 0, options_count = 0;
    const char *const *acl = sql_rows_acl(rows, o, 0, &acl_count);
    const char *options[16];
    char *copy = o->options != NULL ? sql_rows_format(rows, "%s", o->options) : NULL;
    for (char *save = NULL, *p = copy != NULL ? strtok_r(copy, ",", &save) : NULL;
         p != NULL && options_count < 16; p = strtok_r(NULL, ",", &save))
        options[options_count++] = p;
    double tuples = -1;
    uint32_t pages = 0;
    if (kind == 'r') {
        struct luma_coll *coll = NULL;
        if (sql_host->store->open(rows->ctx, rows->txn, o->id, &coll) == LUMA_OK) {
            tuples = (double)sql_host->store->rows_estimate(coll);
            pages = (uint32_t)(sql_host->store->bytes(coll) / 8192);
            sql_host->store->close(coll);
        } else {
            luma_error_reset(rows->ctx->error);
        }
    }
    uint32_t natts = kind == 'S' ? 3 : o->cols_count;
    sql_rows_add(rows,
                 "otooooooo"
                 "ifiobb"
                 "ccss"
                 "bbbbbbcboooTTn",
                 (uint32_t)o->id, o->name, (uint32_t)o->schema_id, 0u, 0u, (uint32_t)o->owner_id,
                 am, (uint32_t)o->id, 0u, (int)pages, tuples, 0, 0u, has_index, 0,
                 o->temporary  ? 't'
                 : o->unlogged ? 'u'
                               : 'p',
                 kind, (int)natts, (int)checks, kind == 'v', has_foreign(o), 0, 0, 0, 1,
                 kind == 'r' ? 'd' : 'n', 0, 0u, 700u, 1u, acl, acl_count,
                 options_count > 0 ? options : NULL, options_count);
}

static bool
class_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    uint32_t checks = 0;
    switch (o->kind) {
    case LUMA_CAT_TABLE:
        for (uint32_t i = 0; i < o->constraints_count; i++)
            checks += o->constraints[i].kind == LUMA_CONSTRAINT_CHECK;
        add_class(rows, o, 'r', SQL_OID_AM_HEAP, checks, o->indexes_count > 0);
        break;
    case LUMA_CAT_VIEW:
        add_class(rows, o, 'v', 0, 0, false);
        break;
    case LUMA_CAT_SEQUENCE:
        add_class(rows, o, 'S', 0, 0, false);
        break;
    case LUMA_CAT_INDEX: {
        const struct luma_cat_object *table = sql_rows_object(rows, o->table_id);
        struct luma_cat_object index = *o;
        for (uint32_t i = 0; table != NULL && i < table->indexes_count; i++)
            if (table->indexes[i].id == o->id) {
                index.cols_count = table->indexes[i].cols_count;
                index.owner_id = table->owner_id;
                index.schema_id = table->schema_id;
                index.temporary = table->temporary;
                index.grants_count = 0;
                add_class(rows, &index, 'i', sql_kind_am(table->indexes[i].kind), 0, false);
            }
        break;
    }
    default:
        break;
    }
    return rows->rc == LUMA_OK;
}

static void
fill_class(struct sql_rows *rows)
{
    const struct sql_virtual *virt;
    for (size_t i = 0; (virt = sql_virtual_at(i)) != NULL; i++) {
        bool catalog = strcmp(virt->schema, "pg_catalog") == 0;
        bool view = !catalog || virt->oid >= 12000;
        struct luma_cat_object o = {.id = virt->oid,
                                    .name = virt->name,
                                    .schema_id = catalog ? LUMA_CAT_ID_PG_CATALOG
                                                         : LUMA_CAT_ID_INFORMATION_SCHEMA,
                                    .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
                                    .cols_count = virt->cols_count};
        add_class(rows, &o, view ? 'v' : 'r', view ? 0 : SQL_OID_AM_HEAP, 0, false);
    }
    luma_error_reset(rows->ctx->error); /* system tables have no storage to open */
    sql_rows_each(rows, 0, class_object);
}

/* ---- pg_attribute ---- */

static void
add_attribute(struct sql_rows *rows, uint32_t relid, const char *name, struct luma_type type,
              uint64_t domain_id, int attnum, bool not_null, bool has_default, char identity,
              char generated, const char *const *acl, uint32_t acl_count)
{
    const struct luma_type_info *info = sql_host->data->type_info(type);
    bool array = type.id == LUMA_TYPE_ARRAY;
    bool collatable = sql_type_is_string(type);
    int len = array ? -1 : info->typlen;
    sql_rows_add(rows,
                 "otoissiiib"
                 "cccbbb"
                 "ccb"
                 "bioTnnn",
                 relid, name, domain_id != 0 ? (uint32_t)domain_id : sql_type_oid_of(type), -1, len,
                 attnum, array ? 1 : 0, -1,
                 domain_id != 0 ? -1 : (int)sql_host->data->type_typmod(type),
                 !array && info->typbyval, array ? 'i' : info->align, len < 0 ? 'x' : 'p', 0,
                 not_null, has_default, 0, identity, generated, 0, 1, 0,
                 collatable ? SQL_OID_COLLATION_DEFAULT : 0u, acl, acl_count);
}

static bool
attribute_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->kind == LUMA_CAT_SEQUENCE) {
        add_attribute(rows, (uint32_t)o->id, "last_value", luma_type(LUMA_TYPE_INT8), 0, 1, true,
                      false, 0, 0, NULL, 0);
        add_attribute(rows, (uint32_t)o->id, "log_cnt", luma_type(LUMA_TYPE_INT8), 0, 2, true,
                      false, 0, 0, NULL, 0);
        add_attribute(rows, (uint32_t)o->id, "is_called", luma_type(LUMA_TYPE_BOOL), 0, 3, true,
                      false, 0, 0, NULL, 0);
    }
    if (o->kind != LUMA_CAT_TABLE && o->kind != LUMA_CAT_VIEW)
        return true;
    for (uint32_t i = 0; i < o->cols_count; i++) {
        const struct luma_cat_column *c = &o->cols[i];
        uint32_t acl_count = 0;
        const char *const *acl = sql_rows_acl(rows, o, c->id, &acl_count);
        add_attribute(rows, (uint32_t)o->id, c->name, c->type, c->domain_id, (int)c->id,
                      c->not_null, c->default_sql != NULL || c->generated_sql != NULL, c->identity,
                      c->generated_sql != NULL ? 's' : 0, acl, acl_count);
    }
    for (uint32_t i = 0; i < o->indexes_count; i++)
        for (uint32_t k = 0; k < o->indexes[i].cols_count; k++)
            for (uint32_t c = 0; c < o->cols_count; c++)
                if (o->cols[c].id == o->indexes[i].cols[k].col_id)
                    add_attribute(rows, (uint32_t)o->indexes[i].id, o->cols[c].name,
                                  o->cols[c].type, o->cols[c].domain_id, (int)k + 1, false, false,
                                  0, 0, NULL, 0);
    return rows->rc == LUMA_OK;
}

static void
fill_attribute(struct sql_rows *rows)
{
    const struct sql_virtual *virt;
    for (size_t i = 0; (virt = sql_virtual_at(i)) != NULL; i++)
        for (uint32_t c = 0; c < virt->cols_count; c++)
            add_attribute(rows, virt->oid, virt->cols[c].name, virt->cols[c].type, 0, (int)c + 1,
                          false, false, 0, 0, NULL, 0);
    sql_rows_each(rows, 0, attribute_object);
}

/* ---- pg_index ---- */

static bool
index_table(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->indexes_count; i++) {
        const struct luma_cat_index *x = &o->indexes[i];
        int16_t keys[64], options[64];
        uint32_t zeros[64] = {0}, n = x->cols_count < 64 ? x->cols_count : 64;
        for (uint32_t k = 0; k < n; k++) {
            keys[k] = (int16_t)x->cols[k].col_id;
            options[k] = (int16_t)(((x->cols[k].flags & LUMA_KEY_DESC) ? 1 : 0) |
                                   ((x->cols[k].flags & LUMA_KEY_NULLS_FIRST) ? 2 : 0));
        }
        sql_rows_add(rows,
                     "oossbbbbbbbbbbb"
                     "SOOSnn",
                     (uint32_t)x->id, (uint32_t)o->id, (int)n, (int)n, x->unique,
                     x->nulls_not_distinct, x->primary, 0, 1, 0, 1, 0, 1, 1, 0, keys, n, zeros, n,
                     zeros, n, options, n);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_index(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, index_table);
}

/* ---- pg_constraint ---- */

static uint64_t
foreign_index(const struct sql_rows *rows, const struct luma_cat_constraint *con)
{
    const struct luma_cat_object *ref = sql_rows_object(rows, con->ref_table_id);
    for (uint32_t i = 0; ref != NULL && i < ref->indexes_count; i++)
        if (ref->indexes[i].unique && ref->indexes[i].cols_count == con->cols_count &&
            ref->indexes[i].cols[0].col_id == con->ref_cols[0])
            return ref->indexes[i].id;
    return 0;
}

static bool
constraint_table(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->constraints_count; i++) {
        const struct luma_cat_constraint *con = &o->constraints[i];
        bool foreign = con->kind == LUMA_CONSTRAINT_FOREIGN;
        int16_t keys[64], refs[64];
        uint32_t n = con->cols_count < 64 ? con->cols_count : 64;
        for (uint32_t k = 0; k < n; k++) {
            keys[k] = (int16_t)con->cols[k];
            refs[k] = foreign ? (int16_t)con->ref_cols[k] : (int16_t)0;
        }
        uint64_t index = foreign ? foreign_index(rows, con) : con->index_id;
        sql_rows_add(
            rows,
            "otocbbbooooo"
            "cccbib"
            "SSnnnnnt",
            (uint32_t)con->id, con->name, (uint32_t)o->schema_id, (int)con->kind, con->deferrable,
            con->deferred, !con->not_valid, o->kind == LUMA_CAT_TYPE ? 0u : (uint32_t)o->id,
            o->kind == LUMA_CAT_TYPE ? (uint32_t)o->id : 0u, (uint32_t)index, 0u,
            foreign ? (uint32_t)con->ref_table_id : 0u, foreign ? con->on_update : ' ',
            foreign ? con->on_delete : ' ', foreign ? (con->match == 'f' ? 'f' : 's') : ' ', 1, 0,
            con->kind != LUMA_CONSTRAINT_CHECK, n > 0 ? keys : NULL, n, foreign ? refs : NULL, n,
            con->check_sql);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_constraint(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, constraint_table);
    sql_rows_each(rows, LUMA_CAT_TYPE, constraint_table);
}

/* ---- pg_attrdef ---- */

static bool
attrdef_table(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->cols_count; i++) {
        const struct luma_cat_column *c = &o->cols[i];
        const char *text = c->generated_sql != NULL ? c->generated_sql : c->default_sql;
        if (text != NULL)
            sql_rows_add(rows, "oost", sql_default_oid(o->id, c->id), (uint32_t)o->id, (int)c->id,
                         text);
    }
    return rows->rc == LUMA_OK;
}

static void
fill_attrdef(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, attrdef_table);
}

/* ---- pg_namespace ---- */

static bool
namespace_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    uint32_t acl_count = 0;
    const char *const *acl = sql_rows_acl(rows, o, 0, &acl_count);
    sql_rows_add(rows, "otoT", (uint32_t)o->id, o->name, (uint32_t)o->owner_id, acl, acl_count);
    return rows->rc == LUMA_OK;
}

static void
fill_namespace(struct sql_rows *rows)
{
    static const struct {
        uint32_t id;
        const char *name;
    } system[] = {{LUMA_CAT_ID_PG_CATALOG, "pg_catalog"},
                  {LUMA_CAT_ID_INFORMATION_SCHEMA, "information_schema"}};
    for (size_t i = 0; i < LUMA_COUNTOF(system); i++)
        if (sql_rows_object(rows, system[i].id) == NULL)
            sql_rows_add(rows, "oton", system[i].id, system[i].name,
                         (uint32_t)LUMA_CAT_ID_ROLE_LUMADB);
    sql_rows_each(rows, LUMA_CAT_SCHEMA, namespace_object);
}

/* ---- pg_sequence ---- */

static bool
sequence_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "oolllllb", (uint32_t)o->id, sql_type_oid_of(o->seq_type), o->seq_start,
                 o->seq_increment, o->seq_max, o->seq_min, o->seq_cache, o->seq_cycle);
    return rows->rc == LUMA_OK;
}

static void
fill_sequence(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_SEQUENCE, sequence_object);
}

/* ---- pg_depend: sequences of columns, indexes of constraints ---- */

static bool
depend_table(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->cols_count; i++)
        if (o->cols[i].sequence_id != 0) {
            sql_rows_add(rows, "ooiooic", 1259u, (uint32_t)o->cols[i].sequence_id, 0, 1259u,
                         (uint32_t)o->id, (int)o->cols[i].id, o->cols[i].identity != 0 ? 'i' : 'a');
            if (o->cols[i].default_sql != NULL)
                sql_rows_add(rows, "ooiooic", 2604u, sql_default_oid(o->id, o->cols[i].id), 0,
                             1259u, (uint32_t)o->cols[i].sequence_id, 0, 'n');
        }
    for (uint32_t i = 0; i < o->constraints_count; i++)
        if (o->constraints[i].index_id != 0 && o->constraints[i].kind != LUMA_CONSTRAINT_FOREIGN)
            sql_rows_add(rows, "ooiooic", 1259u, (uint32_t)o->constraints[i].index_id, 0, 2606u,
                         (uint32_t)o->constraints[i].id, 0, 'i');
    return rows->rc == LUMA_OK;
}

static void
fill_depend(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, depend_table);
}

/* ---- pg_description ---- */

static bool
description_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    bool relation = o->kind == LUMA_CAT_TABLE || o->kind == LUMA_CAT_VIEW ||
                    o->kind == LUMA_CAT_INDEX || o->kind == LUMA_CAT_SEQUENCE;
    if (o->comment != NULL && (relation || o->kind == LUMA_CAT_SCHEMA))
        sql_rows_add(rows, "ooit", (uint32_t)o->id, relation ? 1259u : 2615u, 0, o->comment);
    for (uint32_t i = 0; i < o->cols_count; i++)
        if (o->cols[i].comment != NULL)
            sql_rows_add(rows, "ooit", (uint32_t)o->id, 1259u, (int)o->cols[i].id,
                         o->cols[i].comment);
    return rows->rc == LUMA_OK;
}

static void
fill_description(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    sql_rows_each(rows, 0, description_object);
    for (uint32_t i = 0; i < list->count; i++)
        if (list->entries[i]->func->help != NULL)
            sql_rows_add(rows, "ooit", list->entries[i]->oid, 1255u, 0,
                         list->entries[i]->func->help);
}

/* ---- pg_rewrite: one _RETURN rule per view ---- */

static bool
rewrite_view(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "otoccbtt", (uint32_t)o->id, "_RETURN", (uint32_t)o->id, '1', 'O', 1, "",
                 o->sql);
    return rows->rc == LUMA_OK;
}

static void
fill_rewrite(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_VIEW, rewrite_view);
}

#define PG "pg_catalog"

static struct sql_virtual tables[] = {
    {PG,
     "pg_class",
     1259,
     "oid oid, relname name, relnamespace oid, reltype oid, reloftype oid, relowner oid, relam "
     "oid, "
     "relfilenode oid, reltablespace oid, relpages int4, reltuples float4, relallvisible int4, "
     "reltoastrelid oid, relhasindex bool, relisshared bool, relpersistence char, relkind char, "
     "relnatts int2, relchecks int2, relhasrules bool, relhastriggers bool, relhassubclass bool, "
     "relrowsecurity bool, relforcerowsecurity bool, relispopulated bool, relreplident char, "
     "relispartition bool, relrewrite oid, relfrozenxid xid, relminmxid xid, relacl text[], "
     "reloptions text[], relpartbound text",
     fill_class,
     0,
     NULL,
     {0}},
    {PG,
     "pg_attribute",
     1249,
     "attrelid oid, attname name, atttypid oid, attstattarget int4, attlen int2, attnum int2, "
     "attndims int4, attcacheoff int4, atttypmod int4, attbyval bool, attalign char, "
     "attstorage char, attcompression char, attnotnull bool, atthasdef bool, atthasmissing bool, "
     "attidentity char, attgenerated char, attisdropped bool, attislocal bool, attinhcount int4, "
     "attcollation oid, attacl text[], attoptions text[], attfdwoptions text[], "
     "attmissingval text[]",
     fill_attribute,
     0,
     NULL,
     {0}},
    {PG,
     "pg_index",
     2610,
     "indexrelid oid, indrelid oid, indnatts int2, indnkeyatts int2, indisunique bool, "
     "indnullsnotdistinct bool, indisprimary bool, indisexclusion bool, indimmediate bool, "
     "indisclustered bool, indisvalid bool, indcheckxmin bool, indisready bool, indislive bool, "
     "indisreplident bool, indkey int2vector, indcollation oidvector, indclass oidvector, "
     "indoption int2vector, "
     "indexprs text, indpred text",
     fill_index,
     0,
     NULL,
     {0}},
    {PG,
     "pg_constraint",
     2606,
     "oid oid, conname name, connamespace oid, contype char, condeferrable bool, condeferred bool, "
     "convalidated bool, conrelid oid, contypid oid, conindid oid, conparentid oid, confrelid oid, "
     "confupdtype char, confdeltype char, confmatchtype char, conislocal bool, coninhcount int4, "
     "connoinherit bool, conkey int2[], confkey int2[], conpfeqop oid[], conppeqop oid[], "
     "conffeqop oid[], confdelsetcols int2[], conexclop oid[], conbin text",
     fill_constraint,
     0,
     NULL,
     {0}},
    {PG,
     "pg_attrdef",
     2604,
     "oid oid, adrelid oid, adnum int2, adbin text",
     fill_attrdef,
     0,
     NULL,
     {0}},
    {PG,
     "pg_namespace",
     2615,
     "oid oid, nspname name, nspowner oid, nspacl text[]",
     fill_namespace,
     0,
     NULL,
     {0}},
    {PG,
     "pg_sequence",
     2224,
     "seqrelid oid, seqtypid oid, seqstart int8, seqincrement int8, seqmax int8, seqmin int8, "
     "seqcache int8, seqcycle bool",
     fill_sequence,
     0,
     NULL,
     {0}},
    {PG,
     "pg_depend",
     2608,
     "classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, refobjsubid int4, "
     "deptype char",
     fill_depend,
     0,
     NULL,
     {0}},
    {PG,
     "pg_description",
     2609,
     "objoid oid, classoid oid, objsubid int4, description text",
     fill_description,
     0,
     NULL,
     {0}},
    {PG,
     "pg_rewrite",
     2618,
     "oid oid, rulename name, ev_class oid, ev_type char, ev_enabled char, is_instead bool, "
     "ev_qual text, ev_action text",
     fill_rewrite,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_pg_relations = {tables, LUMA_COUNTOF(tables)};
