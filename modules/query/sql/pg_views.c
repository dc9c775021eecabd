/*
 * pg_views.c - pg_catalog's views for people: pg_tables, pg_views, pg_indexes, pg_settings,
 * pg_stat_activity and their like.
 */
#include <lumadb/module.h>

#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

static bool
tables_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "tttnbbbb", sql_rows_name(rows, o->schema_id), o->name,
                 sql_rows_name(rows, o->owner_id), o->indexes_count > 0, 0, 0, 0);
    return rows->rc == LUMA_OK;
}

static void
fill_tables(struct sql_rows *rows)
{
    const struct sql_virtual *virt;
    sql_rows_each(rows, LUMA_CAT_TABLE, tables_object);
    for (size_t i = 0; (virt = sql_virtual_at(i)) != NULL; i++)
        if (virt->oid < 12000 && strcmp(virt->schema, "pg_catalog") == 0)
            sql_rows_add(rows, "tttnbbbb", virt->schema, virt->name, "lumadb", 0, 0, 0, 0);
}

static bool
views_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "tttt", sql_rows_name(rows, o->schema_id), o->name,
                 sql_rows_name(rows, o->owner_id), sql_rows_format(rows, "%s;", o->sql));
    return rows->rc == LUMA_OK;
}

static void
fill_views(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_VIEW, views_object);
}

static const char *
column_name(const struct luma_cat_object *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (table->cols[i].id == id)
            return table->cols[i].name;
    return "?";
}

static const char *
index_def(struct sql_rows *rows, const struct luma_cat_object *table,
          const struct luma_cat_index *index)
{
    const char *cols = "";
    for (uint32_t i = 0; i < index->cols_count; i++)
        cols = sql_rows_format(rows, "%s%s%s%s", cols, i > 0 ? ", " : "",
                               column_name(table, index->cols[i].col_id),
                               index->cols[i].flags & LUMA_KEY_DESC ? " DESC" : "");
    return sql_rows_format(rows, "CREATE %sINDEX %s ON %s.%s USING %s (%s)",
                           index->unique ? "UNIQUE " : "", index->name,
                           sql_rows_name(rows, table->schema_id), table->name, index->kind, cols);
}

static bool
indexes_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    for (uint32_t i = 0; i < o->indexes_count; i++)
        sql_rows_add(rows, "tttnt", sql_rows_name(rows, o->schema_id), o->name, o->indexes[i].name,
                     index_def(rows, o, &o->indexes[i]));
    return rows->rc == LUMA_OK;
}

static void
fill_indexes(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, indexes_object);
}

static bool
sequences_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    int64_t last = 0;
    bool called = sql_host->catalog->sequence_last(o, &last);
    if (called)
        sql_rows_add(rows, "tttollllbll", sql_rows_name(rows, o->schema_id), o->name,
                     sql_rows_name(rows, o->owner_id), sql_type_oid_of(o->seq_type), o->seq_start,
                     o->seq_min, o->seq_max, o->seq_increment, o->seq_cycle, o->seq_cache, last);
    else
        sql_rows_add(rows, "tttollllbln", sql_rows_name(rows, o->schema_id), o->name,
                     sql_rows_name(rows, o->owner_id), sql_type_oid_of(o->seq_type), o->seq_start,
                     o->seq_min, o->seq_max, o->seq_increment, o->seq_cycle, o->seq_cache);
    return rows->rc == LUMA_OK;
}

static void
fill_sequences(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_SEQUENCE, sequences_object);
}

/* ---- settings ---- */

static void
setting(void *arg, const struct luma_setting_info *s)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "tttttntttnnnttnnb", s->name, s->value, s->unit, "Settings", s->help, "user",
                 s->type, s->source, s->def, s->def, 0);
}

static void
fill_settings(struct sql_rows *rows)
{
    sql_host->session->setting_each(rows->session, setting, rows);
}

/* ---- activity ---- */

static int64_t
since_2000(int64_t us)
{
    return us != 0 ? us - 946684800000000 : INT64_MIN;
}

static void
add_session(void *arg, const struct luma_session_info *s)
{
    struct sql_rows *rows = arg;
    bool visible =
        sql_host->session->is_superuser(rows->session) ||
        (s->user != NULL && strcmp(s->user, sql_host->session->user(rows->session)) == 0);
    sql_rows_add(rows,
                 "ittttttt"
                 "zzz",
                 (int)s->pid, s->user, s->database, s->frontend, visible ? s->peer : NULL,
                 s->application, s->state, visible ? s->statement : "<insufficient privilege>",
                 since_2000(s->started_us), since_2000(s->statement_started_us),
                 since_2000(s->state_changed_us));
}

static void
fill_sessions(struct sql_rows *rows)
{
    sql_host->session->each(add_session, rows);
}

static void
activity(void *arg, const struct luma_session_info *s)
{
    struct sql_rows *rows = arg;
    const struct luma_cat_object *role =
        s->user != NULL ? sql_host->catalog->find(rows->view, LUMA_CAT_ROLE, s->user) : NULL;
    const int64_t epoch = 946684800000000;
    bool visible = sql_host->session->is_superuser(rows->session) ||
                   (role != NULL && role->id == sql_host->session->user_id(rows->session));
    char address[64] = "";
    int port = -1;
    if (s->peer != NULL) {
        const char *colon = strrchr(s->peer, ':');
        size_t n = colon != NULL ? (size_t)(colon - s->peer) : strlen(s->peer);
        snprintf(address, sizeof(address), "%.*s", (int)(n < 60 ? n : 60), s->peer);
        port = colon != NULL ? (int)strtol(colon + 1, NULL, 10) : -1;
    }
    sql_rows_add(rows,
                 "otinotttni"
                 "zzzz"
                 "tttnnntt",
                 (uint32_t)LUMA_CAT_ID_DATABASE_DEFAULT, s->database, (int)s->pid,
                 role != NULL ? (uint32_t)role->id : 0u, s->user,
                 s->application != NULL ? s->application : "",
                 s->peer != NULL ? sql_rows_format(rows, "%s", address) : NULL, port,
                 s->started_us - epoch,
                 s->statement_started_us != 0 ? s->statement_started_us - epoch : INT64_MIN,
                 s->statement_started_us != 0 ? s->statement_started_us - epoch : INT64_MIN,
                 s->state_changed_us != 0 ? s->state_changed_us - epoch : INT64_MIN, NULL, NULL,
                 visible ? s->state : NULL, visible ? s->statement : "<insufficient privilege>",
                 "client backend");
}

static void
fill_activity(struct sql_rows *rows)
{
    sql_host->session->each(activity, rows);
}

/* ---- locks ---- */

/* Locks of tables by the names PostgreSQL gives them; rows by those of its row locks. */
static const char *
lock_mode(const struct luma_lock_info *lock)
{
    static const char *const row_modes[] = {"AccessExclusiveLock", "ExclusiveLock", "RowShareLock",
                                            "AccessShareLock"};
    if (lock->kind != LUMA_LOCKED_COLLECTION)
        return row_modes[lock->mode];
    return lock->mode == LUMA_LOCK_KEY_SHARE ? "RowExclusiveLock" : "AccessExclusiveLock";
}

static void
lock_row(struct sql_rows *rows, const struct luma_lock_info *lock)
{
    static const char *const kinds[] = {"relation", "tuple", "object", "transactionid"};
    int64_t row_id = lock->kind == LUMA_LOCKED_ROW ? lock->row_id : 0;
    sql_rows_add(rows,
                 "toonnno"
                 "nnntitbbnl",
                 kinds[lock->kind], (uint32_t)LUMA_CAT_ID_DATABASE_DEFAULT, (uint32_t)lock->id,
                 (uint32_t)lock->txn_id,
                 sql_rows_format(rows, "%u/%llu", lock->owner, (unsigned long long)lock->txn_id),
                 (int)lock->owner, lock_mode(lock), lock->granted, 0, row_id);
}

static void
fill_locks(struct sql_rows *rows)
{
    struct luma_lock_info *list = NULL;
    uint32_t count = 0;
    luma_rc rc = sql_host->txn->locks(rows->ctx, &list, &count);
    if (rc != LUMA_OK)
        rows->rc = rc;
    for (uint32_t i = 0; rc == LUMA_OK && i < count; i++)
        lock_row(rows, &list[i]);
}

/* ---- prepared statements ---- */

static void
prepared(void *arg, const char *name, struct luma_stmt *stmt)
{
    struct sql_rows *rows = arg;
    sql_rows_add(rows, "tt", name,
                 sql_rows_format(rows, "%.*s", (int)stmt->text_bytes, stmt->text));
}

static void
fill_prepared(struct sql_rows *rows)
{
    sql_named_each(rows->session, prepared, rows);
}

/* ---- statistics of tables ---- */

static bool
stat_object(void *arg, const struct luma_cat_object *o)
{
    struct sql_rows *rows = arg;
    struct luma_coll *coll = NULL;
    int64_t live = 0;
    if (sql_host->store->open(rows->ctx, rows->txn, o->id, &coll) == LUMA_OK) {
        live = (int64_t)sql_host->store->rows_estimate(coll);
        sql_host->store->close(coll);
    } else {
        luma_error_reset(rows->ctx->error);
    }
    sql_rows_add(rows, "otttl", (uint32_t)o->id, sql_rows_name(rows, o->schema_id), o->name, live);
    return rows->rc == LUMA_OK;
}

static void
fill_stat_tables(struct sql_rows *rows)
{
    sql_rows_each(rows, LUMA_CAT_TABLE, stat_object);
}

/* ---- modules and their services ---- */

static void
module(void *arg, const struct luma_service_info *info)
{
    struct sql_rows *rows = arg;
    const struct luma_module *m = info->module;
    sql_rows_add(rows, "tttttt", m != NULL ? m->kind : NULL, m != NULL ? m->name : info->service,
                 m != NULL ? m->version : NULL, info->state, info->file, info->conf_file);
}

static void
fill_modules(struct sql_rows *rows)
{
    sql_host->services->each_module(module, rows);
}

#define PG "pg_catalog"

static struct sql_virtual tables[] = {
    {PG,
     "pg_tables",
     0,
     "schemaname name, tablename name, tableowner name, tablespace name, hasindexes bool, "
     "hasrules bool, hastriggers bool, rowsecurity bool",
     fill_tables,
     0,
     NULL,
     {0}},
    {PG,
     "pg_views",
     0,
     "schemaname name, viewname name, viewowner name, definition text",
     fill_views,
     0,
     NULL,
     {0}},
    {PG,
     "pg_indexes",
     0,
     "schemaname name, tablename name, indexname name, tablespace name, indexdef text",
     fill_indexes,
     0,
     NULL,
     {0}},
    {PG,
     "pg_sequences",
     0,
     "schemaname name, sequencename name, sequenceowner name, data_type regtype, start_value int8, "
     "min_value int8, max_value int8, increment_by int8, cycle bool, cache_size int8, "
     "last_value int8",
     fill_sequences,
     0,
     NULL,
     {0}},
    {PG,
     "pg_settings",
     0,
     "name text, setting text, unit text, category text, short_desc text, extra_desc text, "
     "context text, vartype text, source text, min_val text, max_val text, enumvals text[], "
     "boot_val text, reset_val text, sourcefile text, sourceline int4, pending_restart bool",
     fill_settings,
     0,
     NULL,
     {0}},
    {PG,
     "pg_stat_activity",
     0,
     "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, "
     "application_name text, client_addr text, client_hostname text, client_port int4, "
     "backend_start timestamptz, xact_start timestamptz, query_start timestamptz, "
     "state_change timestamptz, wait_event_type text, wait_event text, state text, "
     "backend_xid xid, backend_xmin xid, query_id int8, query text, backend_type text",
     fill_activity,
     0,
     NULL,
     {0}},
    {PG,
     "pg_locks",
     0,
     "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, "
     "transactionid xid, classid oid, objid oid, objsubid int2, virtualtransaction text, "
     "pid int4, mode text, granted bool, fastpath bool, waitstart timestamptz, row_id int8",
     fill_locks,
     0,
     NULL,
     {0}},
    {PG, "pg_prepared_statements", 0, "name text, statement text", fill_prepared, 0, NULL, {0}},
    {PG,
     "pg_stat_user_tables",
     0,
     "relid oid, schemaname name, relname name, n_live_tup int8, n_dead_tup int8, seq_scan int8, "
     "idx_scan int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, last_vacuum timestamptz, "
     "last_autovacuum timestamptz, last_analyze timestamptz, last_autoanalyze timestamptz",
     fill_stat_tables,
     0,
     NULL,
     {0}},
    {PG,
     "lumadb_statements",
     0,
     "queryid int8, query text, calls int8, errors int8, rows int8, total_ms float8, "
     "mean_ms float8, p50_ms float8, p99_ms float8, max_ms float8, username name",
     sql_fill_statements,
     0,
     NULL,
     {0}},
    {PG,
     "lumadb_sessions",
     0,
     "pid int4, username name, database name, frontend text, peer text, application text, "
     "state text, statement text, started timestamptz, statement_started timestamptz, "
     "state_changed timestamptz",
     fill_sessions,
     0,
     NULL,
     {0}},
    {PG,
     "lumadb_modules",
     0,
     "kind text, name text, version text, state text, file text, conf_file text",
     fill_modules,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_pg_views = {tables, LUMA_COUNTOF(tables)};
