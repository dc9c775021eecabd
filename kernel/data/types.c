/* data/types.c - the types: oids, names, categories, as PostgreSQL's pg_type has them. */
#include <stdio.h>
#include <strings.h>

#include "data/data_priv.h"

#define TYPE(id_, oid_, array_, len_, cat_, pref_, byval_, align_, name_, sql_)           \
    {                                                                                     \
        .type = {LUMA_TYPE_##id_, 0, 0, -1}, .oid = (oid_), .array_oid = (array_),        \
        .typlen = (len_), .category = (cat_), .preferred = (pref_), .typbyval = (byval_), \
        .align = (align_), .name = (name_), .sql_name = (sql_)                            \
    }
#define ARRAY(id_, oid_, align_, name_, sql_)                                                    \
    {                                                                                            \
        .type = {LUMA_TYPE_ARRAY, LUMA_TYPE_##id_, 0, -1}, .oid = (oid_), .array_oid = 0,        \
        .typlen = -1, .category = 'A', .preferred = false, .typbyval = false, .align = (align_), \
        .name = (name_), .sql_name = (sql_)                                                      \
    }

static const struct luma_type_info types[] = {
    TYPE(BOOL, 16, 1000, 1, 'B', true, true, 'c', "bool", "boolean"),
    TYPE(INT2, 21, 1005, 2, 'N', false, true, 's', "int2", "smallint"),
    TYPE(INT4, 23, 1007, 4, 'N', false, true, 'i', "int4", "integer"),
    TYPE(INT8, 20, 1016, 8, 'N', false, true, 'd', "int8", "bigint"),
    TYPE(FLOAT4, 700, 1021, 4, 'N', false, true, 'i', "float4", "real"),
    TYPE(FLOAT8, 701, 1022, 8, 'N', true, true, 'd', "float8", "double precision"),
    TYPE(NUMERIC, 1700, 1231, -1, 'N', false, false, 'i', "numeric", "numeric"),
    TYPE(TEXT, 25, 1009, -1, 'S', true, false, 'i', "text", "text"),
    TYPE(VARCHAR, 1043, 1015, -1, 'S', false, false, 'i', "varchar", "character varying"),
    TYPE(BPCHAR, 1042, 1014, -1, 'S', false, false, 'i', "bpchar", "character"),
    TYPE(NAME, 19, 1003, 64, 'S', false, false, 'c', "name", "name"),
    TYPE(BYTEA, 17, 1001, -1, 'U', false, false, 'i', "bytea", "bytea"),
    TYPE(DATE, 1082, 1182, 4, 'D', false, true, 'i', "date", "date"),
    TYPE(TIME, 1083, 1183, 8, 'D', false, true, 'd', "time", "time without time zone"),
    TYPE(TIMESTAMP, 1114, 1115, 8, 'D', false, true, 'd', "timestamp",
         "timestamp without time zone"),
    TYPE(TIMESTAMPTZ, 1184, 1185, 8, 'D', true, true, 'd', "timestamptz",
         "timestamp with time zone"),
    TYPE(INTERVAL, 1186, 1187, 16, 'T', true, false, 'd', "interval", "interval"),
    TYPE(UUID, 2950, 2951, 16, 'U', false, false, 'c', "uuid", "uuid"),
    TYPE(JSON, 114, 199, -1, 'U', false, false, 'i', "json", "json"),
    TYPE(JSONB, 3802, 3807, -1, 'U', false, false, 'i', "jsonb", "jsonb"),
    TYPE(VECTOR, 9001, 9002, -1, 'U', false, false, 'i', "vector", "vector"),
    TYPE(OID, 26, 1028, 4, 'N', true, true, 'i', "oid", "oid"),
    TYPE(REGCLASS, 2205, 2210, 4, 'N', false, true, 'i', "regclass", "regclass"),
    TYPE(REGTYPE, 2206, 2211, 4, 'N', false, true, 'i', "regtype", "regtype"),
    TYPE(REGPROC, 24, 1008, 4, 'N', false, true, 'i', "regproc", "regproc"),
    TYPE(REGNAMESPACE, 4089, 4090, 4, 'N', false, true, 'i', "regnamespace", "regnamespace"),
    TYPE(CHAR1, 18, 1002, 1, 'Z', false, true, 'c', "char", "\"char\""),
    TYPE(VOID, 2278, 0, 4, 'P', false, true, 'i', "void", "void"),
    TYPE(UNKNOWN, 705, 0, -2, 'X', false, false, 'c', "unknown", "unknown"),
    TYPE(ANY, 2276, 0, 4, 'P', false, true, 'i', "any", "\"any\""),
    TYPE(ANYARRAY, 2277, 0, -1, 'P', false, false, 'd', "anyarray", "anyarray"),
    TYPE(ANYELEMENT, 2283, 0, 4, 'P', false, true, 'i', "anyelement", "anyelement"),
    TYPE(RECORD, 2249, 2287, -1, 'P', false, false, 'd', "record", "record"),
    TYPE(XID, 28, 1011, 4, 'U', false, true, 'i', "xid", "xid"),
    TYPE(TIMETZ, 1266, 1270, 12, 'D', false, false, 'd', "timetz", "time with time zone"),
    TYPE(JSONPATH, 4072, 4073, -1, 'U', false, false, 'i', "jsonpath", "jsonpath"),
    TYPE(ENUM, 3500, 0, 4, 'E', false, true, 'i', "anyenum", "anyenum"),
    ARRAY(BOOL, 1000, 'i', "_bool", "boolean[]"),
    ARRAY(INT2, 1005, 'i', "_int2", "smallint[]"),
    ARRAY(INT4, 1007, 'i', "_int4", "integer[]"),
    ARRAY(INT8, 1016, 'd', "_int8", "bigint[]"),
    ARRAY(FLOAT4, 1021, 'i', "_float4", "real[]"),
    ARRAY(FLOAT8, 1022, 'd', "_float8", "double precision[]"),
    ARRAY(NUMERIC, 1231, 'i', "_numeric", "numeric[]"),
    ARRAY(TEXT, 1009, 'i', "_text", "text[]"),
    ARRAY(VARCHAR, 1015, 'i', "_varchar", "character varying[]"),
    ARRAY(BPCHAR, 1014, 'i', "_bpchar", "character[]"),
    ARRAY(NAME, 1003, 'i', "_name", "name[]"),
    ARRAY(BYTEA, 1001, 'i', "_bytea", "bytea[]"),
    ARRAY(DATE, 1182, 'i', "_date", "date[]"),
    ARRAY(TIME, 1183, 'd', "_time", "time without time zone[]"),
    ARRAY(TIMESTAMP, 1115, 'd', "_timestamp", "timestamp without time zone[]"),
    ARRAY(TIMESTAMPTZ, 1185, 'd', "_timestamptz", "timestamp with time zone[]"),
    ARRAY(INTERVAL, 1187, 'd', "_interval", "interval[]"),
    ARRAY(UUID, 2951, 'i', "_uuid", "uuid[]"),
    ARRAY(JSON, 199, 'i', "_json", "json[]"),
    ARRAY(JSONB, 3807, 'i', "_jsonb", "jsonb[]"),
    ARRAY(VECTOR, 9002, 'i', "_vector", "vector[]"),
    ARRAY(OID, 1028, 'i', "_oid", "oid[]"),
    ARRAY(REGCLASS, 2210, 'i', "_regclass", "regclass[]"),
    ARRAY(REGTYPE, 2211, 'i', "_regtype", "regtype[]"),
    ARRAY(REGPROC, 1008, 'i', "_regproc", "regproc[]"),
    ARRAY(REGNAMESPACE, 4090, 'i', "_regnamespace", "regnamespace[]"),
    ARRAY(CHAR1, 1002, 'i', "_char", "\"char\"[]"),
    ARRAY(RECORD, 2287, 'd', "_record", "record[]"),
    ARRAY(XID, 1011, 'i', "_xid", "xid[]"),
    ARRAY(TIMETZ, 1270, 'd', "_timetz", "time with time zone[]"),
    ARRAY(JSONPATH, 4073, 'i', "_jsonpath", "jsonpath[]"),
    ARRAY(ENUM, 0, 'i', "_anyenum", "anyenum[]"),
};

static const struct {
    const char *alias, *name;
} aliases[] = {
    {"int", "int4"},      {"decimal", "numeric"}, {"dec", "numeric"},  {"float", "float8"},
    {"double", "float8"}, {"string", "text"},     {"nchar", "bpchar"}, {"char varying", "varchar"},
};

const struct luma_type_info *
lk_data_type_info(struct luma_type type)
{
    for (size_t i = 0; i < LUMA_COUNTOF(types); i++)
        if (types[i].type.id == type.id && types[i].type.elem == type.elem)
            return &types[i];
    return NULL;
}

const struct luma_type_info *
lk_data_type_by_oid(uint32_t oid)
{
    for (size_t i = 0; oid != 0 && i < LUMA_COUNTOF(types); i++)
        if (types[i].oid == oid)
            return &types[i];
    return NULL;
}

static const struct luma_type_info *
find_by_name(const char *name)
{
    for (size_t i = 0; i < LUMA_COUNTOF(types); i++)
        if (strcasecmp(types[i].sql_name, name) == 0)
            return &types[i];
    for (size_t i = 0; i < LUMA_COUNTOF(aliases); i++)
        if (strcasecmp(aliases[i].alias, name) == 0)
            name = aliases[i].name;
    for (size_t i = 0; i < LUMA_COUNTOF(types); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const struct luma_type_info *
lk_data_type_by_name(const char *name)
{
    const struct luma_type_info *info = find_by_name(name);
    size_t bytes = strlen(name);
    char elem[64];

    if (info != NULL || bytes < 3 || bytes - 2 >= sizeof(elem) ||
        strcmp(name + bytes - 2, "[]") != 0)
        return info;
    memcpy(elem, name, bytes - 2);
    elem[bytes - 2] = '\0';
    info = find_by_name(elem);
    return info == NULL || info->array_oid == 0 ? NULL : lk_data_type_by_oid(info->array_oid);
}

const struct luma_type_info *
lk_data_type_at(size_t index)
{
    return index < LUMA_COUNTOF(types) ? &types[index] : NULL;
}

uint32_t
lk_data_type_oid(struct luma_type type)
{
    const struct luma_type_info *info = lk_data_type_info(type);
    if (luma_type_is_made(type) && type.mod > 0) /* an array's id is the one after its elements' */
        return (uint32_t)type.mod + (type.id == LUMA_TYPE_ARRAY);
    if (luma_type_is_oldvector(type))
        return type.elem == LUMA_TYPE_INT2 ? 22 : 30;
    return info == NULL ? 0 : info->oid;
}

/* Writes the name with its modifier of a type that is no array. */
static void
scalar_text(struct luma_type type, char *out, size_t room)
{
    const struct luma_type_info *info = lk_data_type_info(type);
    const char *name = info == NULL ? "???" : info->sql_name;

    if (type.mod < 0) {
        /* An unbounded bpchar is its own name: "character" would mean character(1). */
        snprintf(out, room, "%s", type.id == LUMA_TYPE_BPCHAR ? "bpchar" : name);
        return;
    }
    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        snprintf(out, room, "numeric(%d,%d)", type.mod, type.scale);
        break;
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
    case LUMA_TYPE_INTERVAL:
    case LUMA_TYPE_VECTOR:
        snprintf(out, room, "%s(%d)", name, type.mod);
        break;
    case LUMA_TYPE_TIME:
        snprintf(out, room, "time(%d) without time zone", type.mod);
        break;
    case LUMA_TYPE_TIMETZ:
        snprintf(out, room, "time(%d) with time zone", type.mod);
        break;
    case LUMA_TYPE_TIMESTAMP:
        snprintf(out, room, "timestamp(%d) without time zone", type.mod);
        break;
    case LUMA_TYPE_TIMESTAMPTZ:
        snprintf(out, room, "timestamp(%d) with time zone", type.mod);
        break;
    default:
        snprintf(out, room, "%s", name);
        break;
    }
}

const char *
lk_data_type_text(struct luma_type type, struct luma_arena *arena)
{
    char text[80];
    struct luma_type scalar = type;

    if (type.id == LUMA_TYPE_ARRAY) {
        scalar.id = type.elem;
        scalar.elem = 0;
    }
    scalar_text(scalar, text, sizeof(text) - 2);
    if (type.id == LUMA_TYPE_ARRAY)
        strcat(text, "[]");
    return luma_arena_text(arena, text, strlen(text));
}

int32_t
lk_data_type_typmod(struct luma_type type)
{
    uint8_t id = type.id == LUMA_TYPE_ARRAY ? type.elem : type.id;

    if (type.mod < 0 || luma_type_is_made(type))
        return -1;
    switch (id) {
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
        return type.mod + 4;
    case LUMA_TYPE_NUMERIC:
        return ((type.mod << 16) | (type.scale & 0x7ff)) + 4;
    case LUMA_TYPE_INTERVAL:
        return (0x7fff << 16) | (type.mod & 0xffff);
    default:
        return type.mod;
    }
}
