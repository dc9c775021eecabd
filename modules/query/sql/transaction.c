/*
 * transaction.c - BEGIN, COMMIT, ROLLBACK, savepoints, SET TRANSACTION.
 */
#include "sql.h"

static const char *
def_text(const PgQuery__DefElem *def)
{
    const PgQuery__Node *arg = def->arg;
    if (arg == NULL)
        return "";
    if (arg->node_case == PGN(STRING))
        return arg->string->sval;
    if (arg->node_case == PGN(A_CONST) && arg->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        return arg->a_const->sval->sval;
    return "";
}

static bool
def_bool(const PgQuery__DefElem *def)
{
    const PgQuery__Node *arg = def->arg;
    if (arg == NULL)
        return true;
    if (arg->node_case == PGN(INTEGER))
        return arg->integer->ival != 0;
    if (arg->node_case == PGN(BOOLEAN))
        return arg->boolean->boolval;
    if (arg->node_case == PGN(A_CONST) && arg->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        return arg->a_const->ival->ival != 0;
    return false;
}

static enum luma_isolation
isolation_of(const char *name)
{
    return strcmp(name, "serializable") == 0      ? LUMA_SERIALIZABLE
           : strcmp(name, "repeatable read") == 0 ? LUMA_REPEATABLE_READ
                                                  : LUMA_READ_COMMITTED;
}

static luma_rc
begin(struct sql_utility *u, const PgQuery__TransactionStmt *stmt)
{
    const char *isolation = sql_host->session->setting(u->session, "default_transaction_isolation");
    const char *read_only = sql_host->session->setting(u->session, "default_transaction_read_only");
    const char *deferrable =
        sql_host->session->setting(u->session, "default_transaction_deferrable");
    struct luma_txn_opts opts = {.isolation = isolation != NULL ? isolation_of(isolation)
                                                                : LUMA_READ_COMMITTED,
                                 .read_only = read_only != NULL && strcmp(read_only, "on") == 0,
                                 .deferrable = deferrable != NULL && strcmp(deferrable, "on") == 0};
    for (size_t i = 0; i < stmt->n_options; i++) {
        const PgQuery__DefElem *def = stmt->options[i]->def_elem;
        if (strcmp(def->defname, "transaction_isolation") == 0)
            opts.isolation = isolation_of(def_text(def));
        else if (strcmp(def->defname, "transaction_read_only") == 0)
            opts.read_only = def_bool(def);
        else if (strcmp(def->defname, "transaction_deferrable") == 0)
            opts.deferrable = def_bool(def);
    }
    LUMA_TRY(
        sql_host->session->block_begin(u->ctx, u->session, stmt->n_options > 0 ? &opts : NULL));
    return sql_done(u, stmt->kind == PG_TRANS(BEGIN) ? "BEGIN" : "START TRANSACTION");
}

luma_rc
sql_transaction(struct sql_utility *u)
{
    const PgQuery__TransactionStmt *stmt = u->node->transaction_stmt;
    const struct luma_host_session *session = sql_host->session;
    bool rolled_back = false;
    switch (stmt->kind) {
    case PG_TRANS(BEGIN):
    case PG_TRANS(START):
        return begin(u, stmt);
    case PG_TRANS(COMMIT):
        sql_cursors_close(u->own, false);
        LUMA_TRY(session->block_commit(u->ctx, u->session, &rolled_back));
        if (stmt->chain)
            LUMA_TRY(session->block_begin(u->ctx, u->session, NULL));
        return sql_done(u, rolled_back ? "ROLLBACK" : "COMMIT");
    case PG_TRANS(ROLLBACK):
        sql_cursors_close(u->own, false);
        LUMA_TRY(session->block_rollback(u->ctx, u->session));
        if (stmt->chain)
            LUMA_TRY(session->block_begin(u->ctx, u->session, NULL));
        return sql_done(u, "ROLLBACK");
    case PG_TRANS(SAVEPOINT):
        LUMA_TRY(session->block_savepoint(u->ctx, u->session, stmt->savepoint_name));
        return sql_done(u, "SAVEPOINT");
    case PG_TRANS(RELEASE):
        LUMA_TRY(session->block_release(u->ctx, u->session, stmt->savepoint_name));
        return sql_done(u, "RELEASE");
    case PG_TRANS(ROLLBACK_TO):
        LUMA_TRY(session->block_rollback_to(u->ctx, u->session, stmt->savepoint_name));
        return sql_done(u, "ROLLBACK");
    default:
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "two-phase commit is not supported");
    }
}
