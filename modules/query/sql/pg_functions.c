/*
 * pg_functions.c - pg_proc and pg_aggregate: the functions of all packages.
 */
#include "rows.h"

static uint32_t
pseudo_oid(struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_ANY:
        return 2276;
    case LUMA_TYPE_ANYARRAY:
        return 2277;
    case LUMA_TYPE_ANYELEMENT:
        return 2283;
    case LUMA_TYPE_RECORD:
        return 2249;
    case LUMA_TYPE_VOID:
        return 2278;
    default:
        return sql_type_oid_of(type);
    }
}

static void
fill_proc(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++) {
        const struct luma_func *f = list->entries[i]->func;
        uint32_t args[LUMA_FUNC_ARGS_MAX];
        if (f->flags & LUMA_FUNC_CAST)
            continue;
        for (uint32_t k = 0; k < f->args_count; k++)
            args[k] = pseudo_oid(f->args[k]);
        bool variadic = (f->flags & LUMA_FUNC_VARIADIC) != 0 && f->args_count > 0;
        sql_rows_add(
            rows,
            "otooof"
            "fo"
            "o"
            "cbbbbcc"
            "ssoO"
            "nnnnn"
            "tnnnn",
            list->entries[i]->oid, f->name, (uint32_t)LUMA_CAT_ID_PG_CATALOG,
            (uint32_t)LUMA_CAT_ID_ROLE_LUMADB, 12u, 1.0, f->flags & LUMA_FUNC_SET ? 1000.0 : 0.0,
            variadic ? args[f->args_count - 1] : 0u, 0u, f->flags & LUMA_FUNC_AGGREGATE ? 'a' : 'f',
            0, 0, (f->flags & LUMA_FUNC_STRICT) != 0, (f->flags & LUMA_FUNC_SET) != 0,
            f->flags & LUMA_FUNC_VOLATILE ? 'v'
            : f->flags & LUMA_FUNC_STABLE ? 's'
                                          : 'i',
            's', (int)f->args_count, 0, pseudo_oid(f->result), args, (uint32_t)f->args_count,
            f->name);
    }
}

static void
fill_aggregate(struct sql_rows *rows)
{
    const struct sql_func_list *list = sql_functions_all();
    for (uint32_t i = 0; i < list->count; i++)
        if (list->entries[i]->func->flags & LUMA_FUNC_AGGREGATE)
            sql_rows_add(rows, "ocs", list->entries[i]->oid, 'n', 0);
}

#define PG "pg_catalog"

static struct sql_virtual tables[] = {
    {PG,
     "pg_proc",
     1255,
     "oid oid, proname name, pronamespace oid, proowner oid, prolang oid, procost float4, "
     "prorows float4, provariadic oid, prosupport regproc, prokind char, prosecdef bool, "
     "proleakproof bool, proisstrict bool, proretset bool, provolatile char, proparallel char, "
     "pronargs int2, pronargdefaults int2, prorettype oid, proargtypes oidvector, "
     "proallargtypes oid[], proargmodes text[], proargnames text[], proargdefaults text, "
     "protrftypes oid[], prosrc text, probin text, prosqlbody text, proconfig text[], "
     "proacl text[]",
     fill_proc,
     0,
     NULL,
     {0}},
    {PG,
     "pg_aggregate",
     2600,
     "aggfnoid regproc, aggkind char, aggnumdirectargs int2, aggtransfn regproc, aggfinalfn "
     "regproc",
     fill_aggregate,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_pg_functions = {tables, LUMA_COUNTOF(tables)};
