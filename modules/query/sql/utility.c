/*
 * utility.c - statements that are not queries: each is sent to the function that does it.
 */
#include "ddl.h"

typedef luma_rc (*utility_fn)(struct sql_utility *u);

struct utility {
    PgQuery__Node__NodeCase kind;
    bool own_transaction; /* begins and ends statements itself */
    utility_fn fn;
};

static luma_rc
checkpoint(struct sql_utility *u)
{
    LUMA_TRY(sql_host->store->checkpoint(u->ctx));
    return sql_done(u, "CHECKPOINT");
}

struct reindex_call {
    const PgQuery__ReindexStmt *stmt;
    uint64_t table_id, index_id;
};

static void
reindex_find(struct sql_bind *b, void *arg)
{
    struct reindex_call *call = arg;
    struct sql_relation rel;
    if (call->stmt->relation == NULL)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "REINDEX of a schema or database is not supported: name a table or an index");
    sql_relation_get(b, call->stmt->relation, &rel);
    if (rel.object == NULL)
        return; /* a view of the system has no index */
    sql_must_own(b, rel.object);
    bool index = rel.object->kind == LUMA_CAT_INDEX;
    if (index != (call->stmt->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX))
        SQL_THROW(b, call->stmt->relation->location, LUMA_E_INVALID, "42809", "\"%s\" is not %s",
                  rel.object->name, index ? "a table" : "an index");
    call->table_id = index ? rel.object->table_id : rel.object->id;
    call->index_id = index ? rel.object->id : 0;
}

static luma_rc
reindex(struct sql_utility *u)
{
    struct reindex_call call = {.stmt = u->node->reindex_stmt};
    struct sql_bind b;
    LUMA_TRY(sql_host->session->statement_begin(u->ctx, u->session, &u->txn));
    sql_utility_bind(u, &b);
    luma_rc rc = sql_guard(&b, reindex_find, &call);
    if (rc == LUMA_OK && call.table_id != 0)
        rc = sql_host->store->reindex(u->ctx, call.table_id, call.index_id);
    if (rc == LUMA_OK)
        rc = sql_done(u, "REINDEX");
    sql_host->session->statement_end(u->session, rc);
    return rc;
}

#define LOCK_MODE_ROW_EXCLUSIVE 3 /* the strongest that changes of rows take */

static void
lock_relations(struct sql_bind *b, void *arg)
{
    const PgQuery__LockStmt *stmt = arg;
    for (size_t i = 0; i < stmt->n_relations; i++) {
        struct sql_relation rel;
        sql_relation_get(b, stmt->relations[i]->range_var, &rel);
        if (rel.object != NULL)
            sql_demand(b, rel.object, 0, LUMA_RIGHT_SELECT);
    }
}

/* The weak modes keep out only what versions keep out already; stronger ones would have to wait. */
static luma_rc
lock_table(struct sql_utility *u)
{
    const PgQuery__LockStmt *stmt = u->node->lock_stmt;
    struct sql_bind b;
    if (sql_host->session->block_state(u->session) != LUMA_BLOCK_OPEN)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_TXNSTATE, "25P01",
                             "LOCK TABLE can only be used in transaction blocks");
    if (stmt->mode > LOCK_MODE_ROW_EXCLUSIVE)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "LOCK TABLE in a mode that keeps others out is not supported");
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, lock_relations, (void *)stmt));
    return sql_done(u, "LOCK TABLE");
}

static const struct utility utilities[] = {
    {PGN(TRANSACTION_STMT), true, sql_transaction},
    {PGN(VARIABLE_SET_STMT), true, sql_set},
    {PGN(VARIABLE_SHOW_STMT), true, sql_show},
    {PGN(DISCARD_STMT), true, sql_discard},
    {PGN(PREPARE_STMT), false, sql_prepare_stmt},
    {PGN(EXECUTE_STMT), true, sql_execute_stmt},
    {PGN(DEALLOCATE_STMT), true, sql_deallocate},
    {PGN(DECLARE_CURSOR_STMT), false, sql_declare_cursor},
    {PGN(FETCH_STMT), true, sql_fetch},
    {PGN(CLOSE_PORTAL_STMT), true, sql_close_cursor},
    {PGN(EXPLAIN_STMT), false, sql_explain},
    {PGN(CREATE_STMT), false, sql_create_table},
    {PGN(CREATE_TABLE_AS_STMT), false, sql_create_table_as},
    {PGN(SELECT_STMT), false, sql_create_table_as},
    {PGN(ALTER_TABLE_STMT), false, sql_alter_table},
    {PGN(DROP_STMT), false, sql_drop},
    {PGN(TRUNCATE_STMT), false, sql_truncate},
    {PGN(INDEX_STMT), false, sql_create_index},
    {PGN(VIEW_STMT), false, sql_create_view},
    {PGN(CREATE_SEQ_STMT), false, sql_create_sequence},
    {PGN(ALTER_SEQ_STMT), false, sql_alter_sequence},
    {PGN(CREATE_SCHEMA_STMT), false, sql_create_schema},
    {PGN(RENAME_STMT), false, sql_rename},
    {PGN(ALTER_OWNER_STMT), false, sql_alter_owner},
    {PGN(ALTER_OBJECT_SCHEMA_STMT), false, sql_alter_schema},
    {PGN(CREATE_ENUM_STMT), false, sql_create_enum},
    {PGN(ALTER_ENUM_STMT), false, sql_alter_enum},
    {PGN(CREATE_DOMAIN_STMT), false, sql_create_domain},
    {PGN(ALTER_DOMAIN_STMT), false, sql_alter_domain},
    {PGN(COMMENT_STMT), false, sql_comment},
    {PGN(CREATE_ROLE_STMT), false, sql_create_role},
    {PGN(ALTER_ROLE_STMT), false, sql_alter_role},
    {PGN(ALTER_ROLE_SET_STMT), false, sql_alter_role_set},
    {PGN(DROP_ROLE_STMT), false, sql_drop_role},
    {PGN(GRANT_STMT), false, sql_grant},
    {PGN(GRANT_ROLE_STMT), false, sql_grant_role},
    {PGN(VACUUM_STMT), true, sql_vacuum},
    {PGN(COPY_STMT), false, sql_copy},
    {PGN(CREATEDB_STMT), false, sql_create_database},
    {PGN(DROPDB_STMT), false, sql_drop_database},
    {PGN(CHECK_POINT_STMT), true, checkpoint},
    {PGN(REINDEX_STMT), true, reindex},
    {PGN(LOCK_STMT), false, lock_table},
    {PGN(CONSTRAINTS_SET_STMT), false, sql_set_constraints},
};

static const struct {
    PgQuery__Node__NodeCase kind;
    const char *what, *hint;
} refused[] = {
    {PGN(LISTEN_STMT), "LISTEN", "Poll a table, or read changes through the REST interface."},
    {PGN(NOTIFY_STMT), "NOTIFY", "Poll a table, or read changes through the REST interface."},
    {PGN(UNLISTEN_STMT), "UNLISTEN", NULL},
    {PGN(CREATE_TRIG_STMT), "CREATE TRIGGER", "Use generated columns or checks."},
    {PGN(CREATE_EVENT_TRIG_STMT), "CREATE EVENT TRIGGER", NULL},
    {PGN(CREATE_FUNCTION_STMT), "CREATE FUNCTION", "Functions are modules: see docs/modules.md."},
    {PGN(DO_STMT), "DO", "Procedural languages are not part of this server."},
    {PGN(CALL_STMT), "CALL", NULL},
    {PGN(RULE_STMT), "CREATE RULE", NULL},
    {PGN(CREATE_EXTENSION_STMT), "CREATE EXTENSION", "Extensions are modules: see conf.d."},
    {PGN(COMPOSITE_TYPE_STMT), "CREATE TYPE", "Use jsonb, or a table of its own."},
    {PGN(REFRESH_MAT_VIEW_STMT), "REFRESH MATERIALIZED VIEW", NULL},
    {PGN(CREATE_POLICY_STMT), "CREATE POLICY", NULL},
    {PGN(CLUSTER_STMT), "CLUSTER", NULL},
    {PGN(ALTER_TYPE_STMT), "ALTER TYPE", NULL},
    {PGN(CREATE_RANGE_STMT), "CREATE TYPE ... AS RANGE", NULL},
    {PGN(CREATE_CAST_STMT), "CREATE CAST", NULL},
    {PGN(CREATE_CONVERSION_STMT), "CREATE CONVERSION", NULL},
    {PGN(CREATE_OP_CLASS_STMT), "CREATE OPERATOR CLASS", NULL},
    {PGN(CREATE_OP_FAMILY_STMT), "CREATE OPERATOR FAMILY", NULL},
    {PGN(CREATE_PLANG_STMT), "CREATE LANGUAGE", NULL},
    {PGN(CREATE_TABLE_SPACE_STMT), "CREATE TABLESPACE", NULL},
    {PGN(DROP_TABLE_SPACE_STMT), "DROP TABLESPACE", NULL},
    {PGN(CREATE_FDW_STMT), "CREATE FOREIGN DATA WRAPPER", NULL},
    {PGN(CREATE_FOREIGN_SERVER_STMT), "CREATE SERVER", NULL},
    {PGN(CREATE_FOREIGN_TABLE_STMT), "CREATE FOREIGN TABLE", NULL},
    {PGN(CREATE_USER_MAPPING_STMT), "CREATE USER MAPPING", NULL},
    {PGN(IMPORT_FOREIGN_SCHEMA_STMT), "IMPORT FOREIGN SCHEMA", NULL},
    {PGN(CREATE_PUBLICATION_STMT), "CREATE PUBLICATION", NULL},
    {PGN(CREATE_SUBSCRIPTION_STMT), "CREATE SUBSCRIPTION", NULL},
    {PGN(CREATE_STATS_STMT), "CREATE STATISTICS", NULL},
    {PGN(CREATE_AM_STMT), "CREATE ACCESS METHOD", NULL},
    {PGN(CREATE_TRANSFORM_STMT), "CREATE TRANSFORM", NULL},
    {PGN(SEC_LABEL_STMT), "SECURITY LABEL", NULL},
    {PGN(LOAD_STMT), "LOAD", NULL},
    {PGN(ALTER_SYSTEM_STMT), "ALTER SYSTEM", NULL},
    {PGN(ALTER_DEFAULT_PRIVILEGES_STMT), "ALTER DEFAULT PRIVILEGES", NULL},
    {PGN(REASSIGN_OWNED_STMT), "REASSIGN OWNED", NULL},
    {PGN(DROP_OWNED_STMT), "DROP OWNED", NULL},
    {PGN(ALTER_FUNCTION_STMT), "ALTER FUNCTION", NULL},
    {PGN(ALTER_OPERATOR_STMT), "ALTER OPERATOR", NULL},
    {PGN(ALTER_DATABASE_STMT), "ALTER DATABASE", NULL},
    {PGN(ALTER_DATABASE_SET_STMT), "ALTER DATABASE", NULL},
    {PGN(ALTER_EXTENSION_STMT), "ALTER EXTENSION", NULL},
    {PGN(ALTER_POLICY_STMT), "ALTER POLICY", NULL},
    {PGN(ALTER_COLLATION_STMT), "ALTER COLLATION", NULL},
    {PGN(DEFINE_STMT), "CREATE of an aggregate, operator, type, collation or text search object",
     NULL},
};

void
sql_utility_bind(struct sql_utility *u, struct sql_bind *b)
{
    sql_bind_init(b, u->ctx, u->session, u->txn, u->ctx->arena, u->stmt->parse->text,
                  u->stmt->parse->bytes);
}

luma_rc
sql_done(struct sql_utility *u, const char *tag)
{
    return sql_result_done(u->ctx, u->session, tag, false, 0, u->out_result);
}

static luma_rc
refuse(struct sql_utility *u)
{
    for (size_t i = 0; i < LUMA_COUNTOF(refused); i++)
        if (refused[i].kind == u->node->node_case) {
            luma_rc rc = LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000", "%s is not supported",
                                       refused[i].what);
            u->ctx->error->hint = refused[i].hint;
            return rc;
        }
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000", "this statement is not supported");
}

luma_rc
sql_utility(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
            const struct luma_exec_opts *opts, struct luma_result **out_result)
{
    struct sql_utility u = {.ctx = ctx,
                            .session = session,
                            .own = sql_session_of(session),
                            .stmt = stmt,
                            .node = stmt->node,
                            .opts = opts,
                            .out_result = out_result};
    const struct utility *found = NULL;
    for (size_t i = 0; i < LUMA_COUNTOF(utilities) && found == NULL; i++)
        if (utilities[i].kind == stmt->node->node_case)
            found = &utilities[i];
    if (found != NULL && found->own_transaction)
        return found->fn(&u);
    LUMA_TRY(sql_host->session->statement_begin(ctx, session, &u.txn));
    luma_rc rc = found != NULL ? found->fn(&u) : refuse(&u);
    if (rc == LUMA_OK) {
        rc = sql_foreign_end(ctx, session, u.txn);
        if (rc != LUMA_OK)
            (*out_result)->close(*out_result);
    } else {
        sql_foreign_forget(u.own);
    }
    sql_host->session->statement_end(session, rc);
    return rc;
}

/* ---- what a client is told before it executes one ---- */

static luma_rc
one_text_column(struct luma_ctx *ctx, const char *name, const struct luma_result_col **out_cols,
                uint32_t *out_count)
{
    struct luma_result_col *col = LUMA_NEW(ctx->arena, struct luma_result_col);
    if (col == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    col->name = name;
    col->type = luma_type(LUMA_TYPE_TEXT);
    *out_cols = col;
    *out_count = 1;
    return LUMA_OK;
}

luma_rc
sql_utility_cols(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
                 const struct luma_result_col **out_cols, uint32_t *out_count)
{
    const PgQuery__Node *node = stmt->node;
    if (node->node_case == PGN(EXPLAIN_STMT))
        return one_text_column(ctx, "QUERY PLAN", out_cols, out_count);
    if (node->node_case == PGN(VARIABLE_SHOW_STMT) &&
        strcmp(node->variable_show_stmt->name, "all") != 0)
        return one_text_column(ctx, node->variable_show_stmt->name, out_cols, out_count);
    if (node->node_case == PGN(EXECUTE_STMT)) {
        struct luma_stmt *named = sql_named_get(session, node->execute_stmt->name);
        const struct luma_type *params;
        uint32_t params_count;
        if (named != NULL && named != stmt)
            return sql_language.describe(ctx, session, named, &params, &params_count, out_cols,
                                         out_count);
    }
    if (node->node_case == PGN(FETCH_STMT) && !node->fetch_stmt->ismove) {
        struct luma_result *cursor = sql_cursor_get(session, node->fetch_stmt->portalname);
        if (cursor != NULL) {
            *out_cols = cursor->cols;
            *out_count = cursor->cols_count;
        }
    }
    return LUMA_OK;
}
