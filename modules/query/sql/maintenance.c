/*
 * maintenance.c - TRUNCATE, VACUUM, ANALYZE.
 */
#include "ddl.h"

struct truncate_call {
    const PgQuery__TruncateStmt *stmt;
    const struct luma_cat_object *tables[1024];
    uint32_t count;
    const struct luma_cat_object *referrer;
    const struct luma_cat_object *referred;
};

static bool
in_call(const struct truncate_call *call, uint64_t id)
{
    for (uint32_t i = 0; i < call->count; i++)
        if (call->tables[i]->id == id)
            return true;
    return false;
}

struct referrers {
    struct truncate_call *call;
    const struct luma_cat_object *table;
    bool cascade, added;
};

static bool
find_referrers(void *arg, const struct luma_cat_object *table)
{
    struct referrers *r = arg;
    if (in_call(r->call, table->id))
        return true;
    for (uint32_t i = 0; i < table->constraints_count; i++) {
        if (table->constraints[i].kind != LUMA_CONSTRAINT_FOREIGN ||
            table->constraints[i].ref_table_id != r->table->id)
            continue;
        if (!r->cascade) {
            r->call->referrer = table;
            r->call->referred = r->table;
            return false;
        }
        if (r->call->count < LUMA_COUNTOF(r->call->tables)) {
            r->call->tables[r->call->count++] = table;
            r->added = true;
        }
        return true;
    }
    return true;
}

static void
truncate_tables(struct sql_bind *b, void *arg)
{
    struct truncate_call *call = arg;
    bool cascade = call->stmt->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    for (size_t i = 0; i < call->stmt->n_relations && i < LUMA_COUNTOF(call->tables); i++) {
        struct sql_relation rel;
        const PgQuery__RangeVar *var = call->stmt->relations[i]->range_var;
        sql_relation_get(b, var, &rel);
        if (rel.object == NULL || rel.object->kind != LUMA_CAT_TABLE)
            SQL_THROW(b, var->location, LUMA_E_TYPE, "42809", "\"%s\" is not a table",
                      var->relname);
        sql_demand(b, rel.object, 0, LUMA_RIGHT_TRUNCATE);
        if (!in_call(call, rel.object->id))
            call->tables[call->count++] = rel.object;
    }
    for (uint32_t i = 0; i < call->count; i++) {
        struct referrers r = {call, call->tables[i], cascade, false};
        sql_host->catalog->each(b->view, LUMA_CAT_TABLE, find_referrers, &r);
        if (call->referrer == NULL)
            continue;
        luma_rc rc =
            LUMA_FAIL_SQL(b->ctx, LUMA_E_UNSUPPORTED, "0A000",
                          "cannot truncate a table referenced in a foreign key constraint");
        b->ctx->error->detail = sql_format(b, "Table \"%s\" references \"%s\".",
                                           call->referrer->name, call->referred->name);
        sql_hint(b, "Truncate table \"%s\" at the same time, or use TRUNCATE ... CASCADE.",
                 call->referrer->name);
        sql_throw(b, -1, rc);
    }
}

static luma_rc
restart_sequences(struct sql_utility *u, const struct luma_cat_object *table)
{
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    for (uint32_t i = 0; i < table->cols_count; i++) {
        const struct luma_cat_object *seq =
            table->cols[i].sequence_id != 0
                ? sql_host->catalog->by_id(view, table->cols[i].sequence_id)
                : NULL;
        if (seq != NULL)
            LUMA_TRY(sql_host->catalog->sequence_set(u->ctx, u->txn, seq, seq->seq_start, false));
    }
    return LUMA_OK;
}

luma_rc
sql_truncate(struct sql_utility *u)
{
    struct truncate_call *call = LUMA_NEW(u->ctx->arena, struct truncate_call);
    struct sql_bind b;
    if (call == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    call->stmt = u->node->truncate_stmt;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, truncate_tables, call));
    for (uint32_t i = 0; i < call->count; i++) {
        struct luma_coll *coll = NULL;
        LUMA_TRY(sql_host->store->open(u->ctx, u->txn, call->tables[i]->id, &coll));
        luma_rc rc = sql_host->store->truncate(u->ctx, u->txn, coll);
        sql_host->store->close(coll);
        if (rc == LUMA_OK && call->stmt->restart_seqs)
            rc = restart_sequences(u, call->tables[i]);
        if (rc != LUMA_OK)
            return rc;
    }
    return sql_done(u, "TRUNCATE TABLE");
}

/* ---- VACUUM, ANALYZE: segments, statistics and old versions look after themselves ---- */

static void
check_relations(struct sql_bind *b, void *arg)
{
    const PgQuery__VacuumStmt *stmt = arg;
    for (size_t i = 0; i < stmt->n_rels; i++) {
        struct sql_relation rel;
        const PgQuery__VacuumRelation *vr = stmt->rels[i]->vacuum_relation;
        if (vr->relation != NULL)
            sql_relation_get(b, vr->relation, &rel);
    }
}

/* How VACUUM goes about it is for the storage to decide; what is no option is an error. */
static luma_rc
check_options(struct luma_ctx *ctx, const PgQuery__VacuumStmt *stmt)
{
    static const char *const vacuum[] = {
        "full",     "freeze",      "verbose",       "analyze",  "disable_page_skipping",
        "truncate", "skip_locked", "index_cleanup", "parallel", "process_toast"};
    for (size_t i = 0; i < stmt->n_options; i++) {
        const char *name = stmt->options[i]->def_elem->defname;
        bool known = false;
        for (size_t k = 0; k < LUMA_COUNTOF(vacuum); k++)
            known |= strcmp(vacuum[k], name) == 0 && (stmt->is_vacuumcmd || k == 2 || k == 6);
        if (!known)
            return LUMA_FAIL_SQL(ctx, LUMA_E_SYNTAX, "42601", "unrecognized %s option \"%s\"",
                                 stmt->is_vacuumcmd ? "VACUUM" : "ANALYZE", name);
    }
    return LUMA_OK;
}

luma_rc
sql_vacuum(struct sql_utility *u)
{
    const PgQuery__VacuumStmt *stmt = u->node->vacuum_stmt;
    struct sql_bind b;
    LUMA_TRY(check_options(u->ctx, stmt));
    if (stmt->is_vacuumcmd && sql_host->session->block_state(u->session) != LUMA_BLOCK_IDLE)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_TXNSTATE, "25001",
                             "VACUUM cannot run inside a transaction block");
    LUMA_TRY(sql_host->session->statement_begin(u->ctx, u->session, &u->txn));
    sql_utility_bind(u, &b);
    luma_rc rc = sql_guard(&b, check_relations, (void *)stmt);
    if (rc == LUMA_OK)
        rc = sql_done(u, stmt->is_vacuumcmd ? "VACUUM" : "ANALYZE");
    sql_host->session->statement_end(u->session, rc);
    return rc;
}
