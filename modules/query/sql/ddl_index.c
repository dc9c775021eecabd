/*
 * ddl_index.c - CREATE INDEX.
 */
#include <stdio.h>

#include "ddl.h"

struct index_call {
    const PgQuery__IndexStmt *stmt;
    struct sql_draft *draft;
    bool exists;
};

static const char *
index_kind(struct sql_bind *b, const char *method)
{
    if (method[0] == '\0')
        return "btree";
    char service[80];
    snprintf(service, sizeof(service), "index.%s", method);
    if (sql_host->services->lookup(service, 1) == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "access method \"%s\" does not exist", method);
    return method;
}

static void
check_statement(struct sql_bind *b, const PgQuery__IndexStmt *stmt)
{
    const char *what = stmt->where_clause != NULL           ? "partial indexes"
                       : stmt->n_exclude_op_names > 0       ? "exclusion constraints"
                       : stmt->n_index_including_params > 0 ? "INCLUDE columns"
                                                            : NULL;
    if (what != NULL)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "%s are not supported", what);
}

static const char *
column_names(struct sql_bind *b, const PgQuery__IndexStmt *stmt)
{
    const char *text = "";
    for (size_t i = 0; i < stmt->n_index_params; i++)
        text = sql_format(b, "%s%s%s", text, i > 0 ? "_" : "",
                          stmt->index_params[i]->index_elem->name);
    return text;
}

static void
index_columns(struct sql_bind *b, const struct index_call *call, struct luma_cat_index *index)
{
    const PgQuery__IndexStmt *stmt = call->stmt;
    uint32_t n = (uint32_t)stmt->n_index_params;
    struct luma_store_index_col *cols = SQL_NEW_ARRAY(b, struct luma_store_index_col, n);
    if (n > 32)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54011", "cannot use more than 32 columns in an index");
    for (uint32_t i = 0; i < n; i++) {
        const PgQuery__IndexElem *elem = stmt->index_params[i]->index_elem;
        if (elem->expr != NULL) {
            luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                       "indexes on expressions are not supported");
            sql_hint(b, "Add a generated column and index that.");
            sql_throw(b, -1, rc);
        }
        int32_t at = sql_draft_find(call->draft, elem->name);
        if (at < 0)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703", "column \"%s\" does not exist", elem->name);
        if (!sql_type_sortable(call->draft->cols[at].type))
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
                      "data type %s has no default operator class for access method \"%s\"",
                      sql_type_text(b, call->draft->cols[at].type), index->kind);
        bool desc = elem->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
        bool first = elem->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                         ? desc
                         : elem->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
        cols[i].col_id = call->draft->cols[at].id;
        cols[i].flags = (desc ? LUMA_KEY_DESC : 0u) | (first ? LUMA_KEY_NULLS_FIRST : 0u);
    }
    index->cols = cols;
    index->cols_count = n;
}

static void
build_index(struct sql_bind *b, void *arg)
{
    struct index_call *call = arg;
    const PgQuery__IndexStmt *stmt = call->stmt;
    struct sql_relation rel;
    check_statement(b, stmt);
    sql_relation_get(b, stmt->relation, &rel);
    if (rel.object == NULL || rel.object->kind != LUMA_CAT_TABLE)
        SQL_THROW(b, stmt->relation->location, LUMA_E_TYPE, "42809",
                  "cannot create index on relation \"%s\"", stmt->relation->relname);
    sql_must_own(b, rel.object);
    sql_draft_begin(b, call->draft, rel.object, 0, 1);
    struct luma_cat_object *o = &call->draft->object;
    if (stmt->idxname[0] != '\0' &&
        sql_host->catalog->relation(b->view, o->schema_id, stmt->idxname) != NULL) {
        if (!stmt->if_not_exists)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42P07", "relation \"%s\" already exists",
                      stmt->idxname);
        sql_host->session->notice(b->session, "NOTICE", "42P07",
                                  "relation \"%s\" already exists, skipping", stmt->idxname);
        call->exists = true;
        return;
    }
    struct luma_cat_index *index = &call->draft->indexes[o->indexes_count];
    memset(index, 0, sizeof(*index));
    index->kind = index_kind(b, stmt->access_method);
    sql_tablespace(b, stmt->table_space);
    index->unique = stmt->unique;
    index->nulls_not_distinct = stmt->nulls_not_distinct;
    index_columns(b, call, index);
    index->name =
        stmt->idxname[0] != '\0'
            ? stmt->idxname
            : sql_free_name(b, o->schema_id, o->name, column_names(b, stmt), "idx", call->draft);
    o->indexes_count++;
}

luma_rc
sql_create_index(struct sql_utility *u)
{
    struct sql_draft *draft = LUMA_NEW(u->ctx->arena, struct sql_draft);
    struct index_call call = {u->node->index_stmt, draft, false};
    struct sql_bind b;
    if (draft == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_index, &call));
    if (!call.exists)
        LUMA_TRY(sql_draft_put(u, draft));
    return sql_done(u, "CREATE INDEX");
}
