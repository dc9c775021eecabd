/*
 * pg_types.c - pg_catalog: types, casts, operators, roles, databases and other lists.
 */
#include "rows.h"

/* ---- pg_type ---- */

static char
storage_of(int16_t typlen)
{
    return typlen == -1 ? 'x' : 'p';
}

static void
add_type(struct sql_rows *rows, uint32_t oid, const char *name, int16_t typlen, bool byval,
         char kind, char category, bool preferred, uint32_t elem, uint32_t array, char align,
         bool collatable)
{
    uint32_t in = category == 'A' ? SQL_OID_ARRAY_IN : oid,
             subscript = elem != 0 && category == 'A' ? 6179u : 0u;
    sql_rows_add(rows,
                 "otoosb"
                 "ccbbc"
                 "oooo"
                 "ooooooo"
                 "ccboiiontt",
                 oid, name, (uint32_t)LUMA_CAT_ID_PG_CATALOG, (uint32_t)LUMA_CAT_ID_ROLE_LUMADB,
                 (int)typlen, byval, kind, category, preferred, 1, ',', 0u, subscript, elem, array,
                 in, in, in, in, 0u, 0u, 0u, align, storage_of(typlen), 0, 0u, -1, 0,
                 collatable ? SQL_OID_COLLATION_DEFAULT : 0u, NULL, NULL);
}

/* ---- types that users made ---- */

static bool
made_type(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    bool is_enum = o->type_kind == 'e';
    const struct luma_cat_column *col = is_enum ? NULL : &o->cols[0];
    const struct luma_type_info *info =
        sql_host->data->type_info(is_enum ? luma_type(LUMA_TYPE_ENUM) : col->type);
    uint32_t acl_count = 0, id = (uint32_t)o->id, in = id, collation = 0;
    const char *const *acl = sql_rows_acl(rows, o, 0, &acl_count);
    uint32_t base = is_enum               ? 0u
                    : col->domain_id != 0 ? (uint32_t)col->domain_id
                                          : sql_type_oid_of(col->type);
    int typmod = is_enum ? -1 : (int)sql_host->data->type_typmod(col->type);
    if (!is_enum && sql_type_is_string(col->type))
        collation = SQL_OID_COLLATION_DEFAULT;
    sql_rows_add(rows,
                 "otoosb"
                 "ccbbc"
                 "oooo"
                 "ooooooo"
                 "ccboiiontT",
                 id, o->name, (uint32_t)o->schema_id, (uint32_t)o->owner_id, (int)info->typlen,
                 info->typbyval, o->type_kind, is_enum ? 'E' : sql_type_category(col->type), 0, 1,
                 ',', 0u, 0u, 0u, id + 1, in, in, in, in, 0u, 0u, 0u, info->align,
                 storage_of(info->typlen), is_enum ? 0 : col->not_null, base, typmod, 0, collation,
                 is_enum ? NULL : col->default_sql, acl, acl_count);
    in = SQL_OID_ARRAY_IN;
    sql_rows_add(rows,
                 "otoosb"
                 "ccbbc"
                 "oooo"
                 "ooooooo"
                 "ccboiionnn",
                 id + 1, sql_rows_format(rows, "_%s", o->name), (uint32_t)o->schema_id,
                 (uint32_t)o->owner_id, -1, 0, 'b', 'A', 0, 1, ',', 0u, 6179u, id, 0u, in, in, in,
                 in, 0u, 0u, 0u, info->align == 'd' ? 'd' : 'i', 'x', 0, 0u, -1, 0, collation);
    return rows->rc == LUMA_OK;
}

static void
fill_type(struct sql_rows *rows)
{
    const struct luma_type_info *info;
    for (size_t i = 0; (info = sql_host->data->type_at(i)) != NULL; i++) {
        if (info->oid == 0 || info->type.id == LUMA_TYPE_ARRAY)
            continue;
        bool pseudo = info->category == 'P';
        add_type(rows, info->oid, info->name, info->typlen, info->typbyval, pseudo ? 'p' : 'b',
                 info->category, info->preferred, info->type.id == LUMA_TYPE_NAME ? 18u : 0u,
                 info->array_oid, info->align, sql_type_is_string(info->type));
        if (info->array_oid != 0)
            add_type(rows, info->array_oid, sql_rows_format(rows, "_%s", info->name), -1, false,
                     'b', 'A', false, info->oid, 0, info->align == 'd' ? 'd' : 'i',
                     sql_type_is_string(info->type));
    }
    sql_rows_each(rows, LUMA_CAT_TYPE, made_type);
}

/* ---- pg_enum ---- */

/* As the labels' places lie to each other, or their numbers where a float4 cannot say that. */
static bool
places_fit(const struct luma_cat_object *o)
{
    for (uint32_t i = 0; i < o->labels_count; i++) {
        double place = (double)o->labels[i].place / (double)LUMA_CAT_LABEL_STEP;
        if ((double)(float)place != place)
            return false;
    }
    return true;
}

static bool
enum_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    bool fit = places_fit(o);
    for (uint32_t i = 0; i < o->labels_count; i++)
        sql_rows_add(rows, "ooft", (uint32_t)o->labels[i].id, (uint32_t)o->id,
                     fit ? (double)o->labels[i].place / (double)LUMA_CAT_LABEL_STEP : i + 1.0,
                     o->labels[i].name);
    return rows->rc == LUMA_OK;
}

static void
fill_enum(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TYPE, enum_object);
}

/* ---- pg_cast ---- */

static void
fill_cast(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        if (!(f->flags & LUMA_FUNC_CAST))
            continue;
        sql_rows_add(rows, "oooocc", SQL_OID_CASTS + i, sql_type_oid_of(f->args[0]),
                     sql_type_oid_of(f->result), list->entries[i]->oid,
                     f->flags & LUMA_FUNC_CAST_IMPLICIT ? 'i'
                     : f->flags & LUMA_FUNC_CAST_ASSIGN ? 'a'
                                                        : 'e',
                     'f');
    }
}

/* ---- pg_operator ---- */

static void
fill_operator(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        if (!(f->flags & LUMA_FUNC_OPERATOR))
            continue;
        bool prefix = f->args_count == 1;
        sql_rows_add(rows, "otoocbboooooooo", SQL_OID_OPERATORS + i, f->name,
                     (uint32_t)LUMA_CAT_ID_PG_CATALOG, (uint32_t)LUMA_CAT_ID_ROLE_LUMADB,
                     prefix ? 'l' : 'b', f->op == LUMA_OP_EQ, f->op == LUMA_OP_EQ,
                     prefix ? 0u : sql_type_oid_of(f->args[0]),
                     sql_type_oid_of(f->args[prefix ? 0 : 1]), sql_type_oid_of(f->result), 0u, 0u,
                     list->entries[i]->oid, 0u, 0u);
    }
}

/* ---- pg_am ---- */

static void
fill_am(struct sql_rows *rows)
{
    sql_rows_add(rows, "otoc", SQL_OID_AM_HEAP, "columnar", 0u, 't');
    sql_rows_add(rows, "otoc", SQL_OID_AM_BTREE, "btree", 0u, 'i');
    sql_rows_add(rows, "otoc", SQL_OID_AM_HASH, "hash", 0u, 'i');
}

/* ---- pg_database ---- */

static bool
database_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    uint32_t acl_count = 0;
    const char *const *acl = sql_rows_acl(rows, o, 0, &acl_count);
    sql_rows_add(rows, "otoicbbioootttnT", (uint32_t)o->id, o->name, (uint32_t)o->owner_id, 6, 'c',
                 0, 1, -1, 700u, 1u, 1663u, "C.UTF-8", "C.UTF-8", NULL, acl, acl_count);
    return rows->rc == LUMA_OK;
}

static void
fill_database(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_DATABASE, database_object);
}

/* ---- roles ---- */

static int64_t
valid_until(const struct luma_cat_object *o)
{
    return o->valid_until_us == 0 ? INT64_MIN : o->valid_until_us - 946684800000000;
}

static bool
roles_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "tbbbbbbitzbTo", o->name, o->superuser, o->inherit, o->create_role,
                 o->create_db, o->can_login, 0, -1, "********", valid_until(o), 0,
                 o->settings_count > 0 ? o->settings : NULL, o->settings_count, (uint32_t)o->id);
    return rows->rc == LUMA_OK;
}

static void
fill_roles(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_ROLE, roles_object);
}

static bool
authid_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    bool visible = sql_host->session->is_superuser(rows->session);
    sql_rows_add(rows, "otbbbbbbbitz", (uint32_t)o->id, o->name, o->superuser, o->inherit,
                 o->create_role, o->create_db, o->can_login, 0, 0, -1, visible ? o->verifier : NULL,
                 valid_until(o));
    return rows->rc == LUMA_OK;
}

static void
fill_authid(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_ROLE, authid_object);
}

static bool
user_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->can_login)
        sql_rows_add(rows, "tobbbbtzT", o->name, (uint32_t)o->id, o->create_db, o->superuser, 0, 0,
                     "********", valid_until(o), o->settings_count > 0 ? o->settings : NULL,
                     o->settings_count);
    return rows->rc == LUMA_OK;
}

static void
fill_user(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_ROLE, user_object);
}

static bool
member_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->members_of_count; i++)
        sql_rows_add(rows, "ooob", (uint32_t)o->members_of[i], (uint32_t)o->id,
                     (uint32_t)LUMA_CAT_ID_ROLE_LUMADB, 0);
    return rows->rc == LUMA_OK;
}

static void
fill_members(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_ROLE, member_object);
}

static bool
shared_description(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    if (o->comment != NULL && (o->kind == LUMA_CAT_ROLE || o->kind == LUMA_CAT_DATABASE))
        sql_rows_add(rows, "oot", (uint32_t)o->id, o->kind == LUMA_CAT_ROLE ? 1260u : 1262u,
                     o->comment);
    return rows->rc == LUMA_OK;
}

static void
fill_shdescription(struct sql_rows *rows)
{
    sql_rows_each(rows, 0, shared_description);
}

/* ---- small fixed lists ---- */

static void
fill_collation(struct sql_rows *rows)
{
    static const struct {
        uint32_t oid;
        const char *name;
        char provider;
    } list[] = {{SQL_OID_COLLATION_DEFAULT, "default", 'd'},
                {SQL_OID_COLLATION_C, "C", 'c'},
                {951, "POSIX", 'c'}};
    for (size_t i = 0; i < LUMA_COUNTOF(list); i++)
        sql_rows_add(rows, "otoocbitttt", list[i].oid, list[i].name,
                     (uint32_t)LUMA_CAT_ID_PG_CATALOG, (uint32_t)LUMA_CAT_ID_ROLE_LUMADB,
                     list[i].provider, 1, -1, i == 0 ? NULL : list[i].name,
                     i == 0 ? NULL : list[i].name, NULL, NULL);
}

static void
fill_tablespace(struct sql_rows *rows)
{
    sql_rows_add(rows, "otonn", 1663u, "pg_default", (uint32_t)LUMA_CAT_ID_ROLE_LUMADB);
}

static void
fill_language(struct sql_rows *rows)
{
    sql_rows_add(rows, "otobbooon", 12u, "internal", (uint32_t)LUMA_CAT_ID_ROLE_LUMADB, 0, 0, 0u,
                 0u, 0u);
    sql_rows_add(rows, "otobbooon", 14u, "sql", (uint32_t)LUMA_CAT_ID_ROLE_LUMADB, 0, 1, 0u, 0u,
                 0u);
}

#define PG "pg_catalog"

static struct sql_virtual tables[] = {
    {PG,
     "pg_type",
     1247,
     "oid oid, typname name, typnamespace oid, typowner oid, typlen int2, typbyval bool, "
     "typtype char, typcategory char, typispreferred bool, typisdefined bool, typdelim char, "
     "typrelid oid, typsubscript regproc, typelem oid, typarray oid, typinput regproc, "
     "typoutput regproc, typreceive regproc, typsend regproc, typmodin regproc, typmodout regproc, "
     "typanalyze regproc, typalign char, typstorage char, typnotnull bool, typbasetype oid, "
     "typtypmod int4, typndims int4, typcollation oid, typdefaultbin text, typdefault text, "
     "typacl text[]",
     fill_type,
     0,
     NULL,
     {0}},
    {PG,
     "pg_enum",
     3501,
     "oid oid, enumtypid oid, enumsortorder float4, enumlabel name",
     fill_enum,
     0,
     NULL,
     {0}},
    {PG,
     "pg_cast",
     2605,
     "oid oid, castsource oid, casttarget oid, castfunc oid, castcontext char, castmethod char",
     fill_cast,
     0,
     NULL,
     {0}},
    {PG,
     "pg_operator",
     2617,
     "oid oid, oprname name, oprnamespace oid, oprowner oid, oprkind char, oprcanmerge bool, "
     "oprcanhash bool, oprleft oid, oprright oid, oprresult oid, oprcom oid, oprnegate oid, "
     "oprcode regproc, oprrest regproc, oprjoin regproc",
     fill_operator,
     0,
     NULL,
     {0}},
    {PG,
     "pg_am",
     2601,
     "oid oid, amname name, amhandler regproc, amtype char",
     fill_am,
     0,
     NULL,
     {0}},
    {PG,
     "pg_database",
     1262,
     "oid oid, datname name, datdba oid, encoding int4, datlocprovider char, datistemplate bool, "
     "datallowconn bool, datconnlimit int4, datfrozenxid xid, datminmxid xid, dattablespace oid, "
     "datcollate text, datctype text, daticulocale text, datcollversion text, datacl text[]",
     fill_database,
     0,
     NULL,
     {0}},
    {PG,
     "pg_roles",
     0,
     "rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, "
     "rolcanlogin bool, rolreplication bool, rolconnlimit int4, rolpassword text, "
     "rolvaliduntil timestamptz, rolbypassrls bool, rolconfig text[], oid oid",
     fill_roles,
     0,
     NULL,
     {0}},
    {PG,
     "pg_authid",
     1260,
     "oid oid, rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, "
     "rolcanlogin bool, rolreplication bool, rolbypassrls bool, rolconnlimit int4, "
     "rolpassword text, rolvaliduntil timestamptz",
     fill_authid,
     0,
     NULL,
     {0}},
    {PG,
     "pg_user",
     0,
     "usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, "
     "usebypassrls bool, passwd text, valuntil timestamptz, useconfig text[]",
     fill_user,
     0,
     NULL,
     {0}},
    {PG,
     "pg_auth_members",
     1261,
     "roleid oid, member oid, grantor oid, admin_option bool",
     fill_members,
     0,
     NULL,
     {0}},
    {PG,
     "pg_shdescription",
     2396,
     "objoid oid, classoid oid, description text",
     fill_shdescription,
     0,
     NULL,
     {0}},
    {PG,
     "pg_collation",
     3456,
     "oid oid, collname name, collnamespace oid, collowner oid, collprovider char, "
     "collisdeterministic bool, collencoding int4, collcollate text, collctype text, "
     "colliculocale text, collversion text",
     fill_collation,
     0,
     NULL,
     {0}},
    {PG,
     "pg_tablespace",
     1213,
     "oid oid, spcname name, spcowner oid, spcacl text[], spcoptions text[]",
     fill_tablespace,
     0,
     NULL,
     {0}},
    {PG,
     "pg_language",
     2612,
     "oid oid, lanname name, lanowner oid, lanispl bool, lanpltrusted bool, lanplcallfoid oid, "
     "laninline oid, lanvalidator oid, lanacl text[]",
     fill_language,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_pg_types = {tables, LUMA_COUNTOF(tables)};
