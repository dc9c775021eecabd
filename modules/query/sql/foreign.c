/*
 * foreign.c - foreign keys at the end of a statement or transaction: all collected keys of a
 * constraint are checked, or its action carried out, by one statement of SQL.
 *
 * Who refers to a row locks it (FOR KEY SHARE), who deletes it or changes its key has it locked for
 * UPDATE: one of two that meet waits for the other and then looks with a new snapshot. Under
 * REPEATABLE READ, where the snapshot is old, rows that refer to a deleted one but came after the
 * snapshot are looked for by a transaction of its own: a violation, or 40001 when they would have
 * to be changed.
 */
#include "foreign.h"

#include <stdio.h>
#include <stdlib.h>

#include "ddl.h"

#define MANY_KEYS 1000u

struct run {
    struct luma_ctx *ctx;
    struct luma_session *session;
    struct sql_session *own;
    struct luma_txn *txn;
    const struct sql_keys *keys;
    const struct luma_cat_object *child, *parent;
    const struct luma_cat_constraint *con;
};

/* ---- SQL over the keys ---- */

static const char *format(const struct run *r, const char *fmt, ...) LUMA_PRINTF(2, 3);

static const char *
format(const struct run *r, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = luma_arena_alloc(r->ctx->arena, (size_t)bytes + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)bytes + 1, fmt, again);
    va_end(again);
    if (text == NULL)
        r->own->foreign_no_memory = true; /* execute says so */
    return text != NULL ? text : "";
}

static const char *
quoted(const struct run *r, const char *name)
{
    const char *text = sql_quote(r->ctx->arena, name);
    if (text == NULL)
        r->own->foreign_no_memory = true;
    return text != NULL ? text : "";
}

static const char *
table_text(const struct run *r, const struct luma_cat_object *table)
{
    const struct luma_cat_object *schema =
        sql_host->catalog->by_id(sql_host->catalog->view(r->txn), table->schema_id);
    return format(r, "%s.%s", quoted(r, schema != NULL ? schema->name : "public"),
                  quoted(r, table->name));
}

static const char *
plain_column(const struct luma_cat_object *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (table->cols[i].id == id)
            return table->cols[i].name;
    return "?";
}

static const char *
column(const struct run *r, const struct luma_cat_object *table, uint32_t id)
{
    return quoted(r, plain_column(table, id));
}

/* "alias.a = k.c1 AND alias.b = k.c2" over the child's or the parent's columns. */
static const char *
match_text(const struct run *r, const char *alias, bool parent)
{
    const char *text = "";
    for (uint32_t i = 0; i < r->con->cols_count; i++)
        text = format(r, "%s%s%s.%s = k.c%u", text, i > 0 ? " AND " : "", alias,
                      parent ? column(r, r->parent, r->con->ref_cols[i])
                             : column(r, r->child, r->con->cols[i]),
                      i + 1);
    return text;
}

static const char *
keys_text(const struct run *r)
{
    return format(r, "\"%s\" k", r->keys->rows < MANY_KEYS ? SQL_FOREIGN_FEW : SQL_FOREIGN_MANY);
}

static const char *
key_columns(const struct run *r)
{
    const char *text = "";
    for (uint32_t i = 0; i < r->con->cols_count; i++)
        text = format(r, "%s%sk.c%u", text, i > 0 ? ", " : "", i + 1);
    return text;
}

static const char *
exists_text(const struct run *r, bool parent)
{
    return format(r, "EXISTS (SELECT 1 FROM %s t WHERE %s)",
                  table_text(r, parent ? r->parent : r->child), match_text(r, "t", parent));
}

/* "(1, x)": the first row of a batch. */
static const char *
row_text(const struct run *r, const struct luma_batch *batch)
{
    const char *text = "(";
    for (uint32_t i = 0; i < batch->cols_count; i++) {
        struct luma_value v = sql_host->data->vec_value(&batch->cols[i], luma_batch_row(batch, 0));
        const char *value =
            v.is_null ? "null"
                      : sql_host->data->value_text(&v, sql_host->session->format(r->session),
                                                   r->ctx->arena);
        text = format(r, "%s%s%s", text, i > 0 ? ", " : "", value != NULL ? value : "?");
    }
    return format(r, "%s)", text);
}

/* Runs text with the keys in sight; *out_rows rows came back or changed; *out_first (may be NULL)
 * is the first one's text. */
static luma_rc
execute(const struct run *r, struct luma_txn *txn, const char *text, uint64_t *out_rows,
        const char **out_first)
{
    struct luma_stmt *stmt = NULL;
    struct luma_result *result = NULL;
    const struct sql_keys *outer = r->own->foreign_run;
    uint64_t rows = 0;
    bool no_memory = r->own->foreign_no_memory;
    r->own->foreign_no_memory = false;
    if (no_memory)
        return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "out of memory");
    r->own->foreign_run = r->keys;
    luma_rc rc =
        sql_stmt_cached(r->ctx, r->session, luma_slice(text, strlen(text)), NULL, 0, &stmt);
    if (rc == LUMA_OK)
        rc = sql_stmt_bind(r->ctx, r->session, txn, stmt);
    if (rc == LUMA_OK)
        rc = sql_bound_compile(r->ctx, r->session, txn, stmt->bound);
    if (rc == LUMA_OK)
        rc = sql_engine->open(r->ctx, r->session, txn, stmt->bound->query, NULL, 0, &result);
    while (rc == LUMA_OK && result->cols_count > 0) {
        struct luma_batch *batch = NULL;
        rc = result->next(r->ctx, result, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        if (rows == 0 && out_first != NULL)
            *out_first = row_text(r, batch);
        rows += batch->sel_rows;
    }
    if (rc == LUMA_OK && result->cols_count == 0)
        rows = result->rows_done;
    if (result != NULL)
        result->close(result);
    sql_stmt_release(stmt);
    r->own->foreign_run = outer;
    *out_rows = rows;
    return rc;
}

/* What was written so far becomes visible, and under READ COMMITTED what others committed. */
static luma_rc
look_anew(const struct run *r)
{
    sql_host->txn->command_end(r->txn);
    if (sql_host->txn->isolation(r->txn) != LUMA_READ_COMMITTED)
        return LUMA_OK;
    return sql_host->txn->statement_begin(r->ctx, r->txn);
}

/* ---- errors ---- */

static const char *
key_names(const struct run *r, const struct luma_cat_object *table, const uint32_t *ids)
{
    const char *text = "(";
    for (uint32_t i = 0; i < r->con->cols_count; i++)
        text = format(r, "%s%s%s", text, i > 0 ? ", " : "", plain_column(table, ids[i]));
    return format(r, "%s)", text);
}

static luma_rc
named(const struct run *r, luma_rc rc)
{
    const struct luma_cat_object *schema =
        sql_host->catalog->by_id(sql_host->catalog->view(r->txn), r->child->schema_id);
    struct luma_error *error = r->ctx->error;
    error->schema = schema != NULL ? format(r, "%s", schema->name) : NULL;
    error->table = format(r, "%s", r->child->name);
    error->constraint = format(r, "%s", r->con->name);
    return rc;
}

static luma_rc
fail_child(const struct run *r, const char *key)
{
    luma_rc rc =
        LUMA_FAIL_SQL(r->ctx, LUMA_E_FOREIGN, "23503",
                      "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
                      r->child->name, r->con->name);
    r->ctx->error->detail = format(r, "Key %s=%s is not present in table \"%s\".",
                                   key_names(r, r->child, r->con->cols), key, r->parent->name);
    return named(r, rc);
}

static luma_rc
fail_parent(const struct run *r, const char *key)
{
    luma_rc rc = LUMA_FAIL_SQL(r->ctx, LUMA_E_FOREIGN, "23503",
                               "update or delete on table \"%s\" violates foreign key constraint "
                               "\"%s\" on table \"%s\"",
                               r->parent->name, r->con->name, r->child->name);
    r->ctx->error->detail = format(r, "Key %s=%s is still referenced from table \"%s\".",
                                   key_names(r, r->parent, r->con->ref_cols), key, r->child->name);
    return named(r, rc);
}

/* ---- checks ---- */

static luma_rc
check_child(const struct run *r)
{
    uint64_t rows = 0;
    const char *key = NULL;
    LUMA_TRY(execute(r, r->txn,
                     format(r, "SELECT 1 FROM %s p, %s WHERE %s FOR KEY SHARE OF p",
                            table_text(r, r->parent), keys_text(r), match_text(r, "p", true)),
                     &rows, NULL));
    if (rows == r->keys->rows)
        return LUMA_OK;
    /* Some key has no partner; that matters while a row still has it. */
    LUMA_TRY(look_anew(r));
    LUMA_TRY(execute(r, r->txn,
                     format(r, "SELECT k.* FROM %s WHERE NOT %s AND %s LIMIT 1", keys_text(r),
                            exists_text(r, true), exists_text(r, false)),
                     &rows, &key));
    return rows > 0 ? fail_child(r, key) : LUMA_OK;
}

/* Rows that came after the snapshot of a REPEATABLE READ transaction. Those that this transaction
 * changed itself are locked by it, and skipped. */
static luma_rc
check_unseen(const struct run *r, bool is_action)
{
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED};
    struct luma_txn *now = NULL;
    const char *key = NULL;
    uint64_t rows = 0;
    LUMA_TRY(sql_host->txn->begin(r->ctx, &opts, &now));
    luma_rc rc = sql_host->txn->statement_begin(r->ctx, now);
    if (rc == LUMA_OK)
        rc = execute(r, now,
                     format(r,
                            "SELECT %s FROM %s t, %s WHERE %s LIMIT 1 FOR KEY SHARE OF t "
                            "SKIP LOCKED",
                            key_columns(r), table_text(r, r->child), keys_text(r),
                            match_text(r, "t", false)),
                     &rows, &key);
    sql_host->txn->rollback(now);
    if (rc == LUMA_OK && rows > 0)
        return is_action ? LUMA_FAIL(r->ctx, LUMA_E_CONFLICT,
                                     "could not serialize access due to concurrent update")
                         : fail_parent(r, key);
    return rc;
}

static luma_rc
check_parent(const struct run *r, char action)
{
    uint64_t rows = 0;
    const char *key = NULL;
    const char *absent = action == 'r' ? "" : format(r, "NOT %s AND ", exists_text(r, true));
    LUMA_TRY(execute(r, r->txn,
                     format(r, "SELECT %s FROM %s WHERE %s%s LIMIT 1", key_columns(r), keys_text(r),
                            absent, exists_text(r, false)),
                     &rows, &key));
    if (rows > 0)
        return fail_parent(r, key);
    return sql_host->txn->isolation(r->txn) == LUMA_READ_COMMITTED ? LUMA_OK
                                                                   : check_unseen(r, false);
}

/* ---- actions ---- */

static bool
action_sets(const struct run *r, uint32_t i)
{
    const struct luma_cat_constraint *con = r->con;
    if (r->keys->event != SQL_FOREIGN_GONE || con->set_cols_count == 0)
        return true;
    for (uint32_t k = 0; k < con->set_cols_count; k++)
        if (con->set_cols[k] == con->cols[i])
            return true;
    return false;
}

static luma_rc
act(const struct run *r, char action)
{
    uint64_t rows = 0;
    const char *sets = "";
    if (sql_host->txn->isolation(r->txn) != LUMA_READ_COMMITTED)
        LUMA_TRY(check_unseen(r, true));
    if (action == 'c' && r->keys->event == SQL_FOREIGN_GONE)
        return execute(r, r->txn,
                       format(r, "DELETE FROM ONLY %s t USING %s WHERE %s", table_text(r, r->child),
                              keys_text(r), match_text(r, "t", false)),
                       &rows, NULL);
    for (uint32_t i = 0; i < r->con->cols_count; i++) {
        if (!action_sets(r, i))
            continue;
        const char *comma = sets[0] != '\0' ? ", " : "",
                   *name = column(r, r->child, r->con->cols[i]);
        sets = action == 'c' ? format(r, "%s%s%s = k.n%u", sets, comma, name, i + 1)
                             : format(r, "%s%s%s = %s", sets, comma, name,
                                      action == 'n' ? "NULL" : "DEFAULT");
    }
    return execute(r, r->txn,
                   format(r, "UPDATE ONLY %s t SET %s FROM %s WHERE %s", table_text(r, r->child),
                          sets, keys_text(r), match_text(r, "t", false)),
                   &rows, NULL);
}

/* ---- what is due ---- */

/* Finds the constraint of keys; false: it is no more. */
static bool
run_of(struct run *r, const struct sql_keys *keys)
{
    const struct luma_cat_view *view = sql_host->catalog->view(r->txn);
    r->keys = keys;
    r->con = NULL;
    r->child = sql_host->catalog->by_id(view, keys->child_id);
    for (uint32_t i = 0; r->child != NULL && i < r->child->constraints_count; i++)
        if (r->child->constraints[i].id == keys->constraint_id)
            r->con = &r->child->constraints[i];
    r->parent = r->con != NULL ? sql_host->catalog->by_id(view, r->con->ref_table_id) : NULL;
    return r->parent != NULL;
}

static char
action_of(const struct run *r)
{
    return r->keys->event == SQL_FOREIGN_GONE    ? r->con->on_delete
           : r->keys->event == SQL_FOREIGN_MOVED ? r->con->on_update
                                                 : 'a';
}

static bool
is_deferred(const struct run *r)
{
    bool deferred = r->con->deferred;
    if (!r->con->deferrable || action_of(r) == 'r')
        return false;
    if (r->own->foreign_txn != sql_host->txn->id(r->txn))
        return deferred;
    for (uint32_t i = 0; i < r->own->foreign_modes_count; i++) {
        const struct sql_foreign_mode *mode = &r->own->foreign_modes[i];
        if (mode->constraint_id == 0 || mode->constraint_id == r->con->id)
            deferred = mode->deferred;
    }
    return deferred;
}

static luma_rc
check(const struct run *r)
{
    return r->keys->event == SQL_FOREIGN_CHILD ? check_child(r) : check_parent(r, action_of(r));
}

static luma_rc at_commit(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                         void *arg);

/* What belongs to an earlier transaction goes. */
static void
of_this_transaction(struct sql_session *own, struct luma_txn *txn)
{
    uint64_t id = sql_host->txn->id(txn);
    if (own->foreign_txn == id)
        return;
    sql_keys_free(LUMA_TAKE(own->foreign_deferred));
    own->foreign_modes_count = 0;
    own->foreign_txn = id;
}

static void
defer(struct run *r, struct sql_keys *keys)
{
    of_this_transaction(r->own, r->txn);
    struct sql_keys **at = &r->own->foreign_deferred;
    while (*at != NULL)
        at = &(*at)->next;
    keys->next = NULL;
    *at = keys;
    sql_host->session->before_commit(r->session, at_commit, NULL);
}

static struct sql_keys *
take_first(struct sql_keys **list)
{
    struct sql_keys *keys = *list;
    if (keys != NULL) {
        *list = keys->next;
        keys->next = NULL;
    }
    return keys;
}

/* Actions until no more rows change; what is to be checked afterwards goes to *checks. */
static luma_rc
run_actions(struct run *r, struct sql_keys **checks)
{
    luma_rc rc = LUMA_OK;
    struct sql_keys *keys, **end = checks;
    while (*end != NULL)
        end = &(*end)->next;
    while (rc == LUMA_OK && (keys = take_first(&r->own->foreign_now)) != NULL) {
        char action = run_of(r, keys) ? action_of(r) : '\0';
        if (action == 'a' || action == 'r') {
            *end = keys;
            end = &keys->next;
            continue;
        }
        if (action != '\0')
            rc = look_anew(r);
        if (action != '\0' && rc == LUMA_OK)
            rc = act(r, action);
        sql_keys_free(keys);
    }
    return rc;
}

static luma_rc
run_checks(struct run *r, struct sql_keys **checks, bool at_end)
{
    luma_rc rc = *checks != NULL ? look_anew(r) : LUMA_OK;
    struct sql_keys *keys;
    while (rc == LUMA_OK && (keys = take_first(checks)) != NULL) {
        if (run_of(r, keys)) {
            if (!at_end && is_deferred(r)) {
                defer(r, keys);
                continue;
            }
            rc = check(r);
        }
        sql_keys_free(keys);
    }
    return rc;
}

luma_rc
sql_foreign_end(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn)
{
    struct sql_session *own = sql_session_of(session);
    struct run r = {.ctx = ctx, .session = session, .own = own, .txn = txn};
    struct sql_keys *checks = NULL;
    if (LUMA_LIKELY(own->foreign_now == NULL) || own->foreign_run != NULL)
        return LUMA_OK; /* nothing to do, or a statement of our own: the one above does it */
    own->foreign_no_memory = false;
    luma_rc rc = run_actions(&r, &checks);
    if (rc == LUMA_OK)
        rc = run_checks(&r, &checks, false);
    sql_keys_free(checks);
    if (rc != LUMA_OK)
        sql_foreign_forget(own);
    else
        sql_host->txn->command_end(txn);
    return rc;
}

void
sql_foreign_forget(struct sql_session *own)
{
    if (own->foreign_run == NULL)
        sql_keys_free(LUMA_TAKE(own->foreign_now));
}

static luma_rc
at_commit(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn, void *arg)
{
    (void)arg;
    struct sql_session *own = sql_session_of(session);
    struct run r = {.ctx = ctx, .session = session, .own = own, .txn = txn};
    struct sql_keys *checks = NULL;
    own->foreign_no_memory = false;
    if (own->foreign_txn == sql_host->txn->id(txn))
        checks = LUMA_TAKE(own->foreign_deferred);
    luma_rc rc = run_checks(&r, &checks, true);
    sql_keys_free(checks);
    return rc;
}

void
sql_foreign_fini(struct sql_session *own)
{
    sql_keys_free(own->foreign_now);
    sql_keys_free(own->foreign_deferred);
    free(own->foreign_modes);
    free(own->foreign_refs);
}

/* ---- all rows of a table ---- */

luma_rc
sql_foreign_validate(struct sql_utility *u, uint64_t table_id, uint64_t constraint_id)
{
    const struct sql_keys keys = {.child_id = table_id, .constraint_id = constraint_id};
    struct run r = {.ctx = u->ctx, .session = u->session, .own = u->own, .txn = u->txn};
    uint64_t rows = 0;
    const char *key = NULL, *cols = "", *match = "", *full = "", *any = "";
    sql_host->txn->command_end(u->txn);
    u->own->foreign_no_memory = false;
    if (!run_of(&r, &keys))
        return LUMA_OK;
    for (uint32_t i = 0; i < r.con->cols_count; i++) {
        const char *own = column(&r, r.child, r.con->cols[i]);
        const char *glue = i > 0 ? " AND " : "";
        cols = format(&r, "%s%sc.%s", cols, i > 0 ? ", " : "", own);
        match = format(&r, "%s%sp.%s = c.%s", match, glue, column(&r, r.parent, r.con->ref_cols[i]),
                       own);
        full = format(&r, "%s%sc.%s IS NOT NULL", full, glue, own);
        any = format(&r, "%s%sc.%s IS NOT NULL", any, i > 0 ? " OR " : "", own);
    }
    if (r.con->match == 'f') {
        LUMA_TRY(execute(&r, u->txn,
                         format(&r, "SELECT 1 FROM %s c WHERE (%s) AND NOT (%s) LIMIT 1",
                                table_text(&r, r.child), any, full),
                         &rows, NULL));
        if (rows > 0) {
            luma_rc rc = fail_child(&r, "");
            u->ctx->error->detail =
                "MATCH FULL does not allow mixing of null and nonnull key values.";
            return rc;
        }
    }
    LUMA_TRY(execute(&r, u->txn,
                     format(&r,
                            "SELECT %s FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE "
                            "%s) LIMIT 1",
                            cols, table_text(&r, r.child), full, table_text(&r, r.parent), match),
                     &rows, &key));
    return rows > 0 ? fail_child(&r, key) : LUMA_OK;
}

/* ---- SET CONSTRAINTS ---- */

struct modes {
    const PgQuery__ConstraintsSetStmt *stmt;
    uint64_t ids[64];
    uint32_t count;
    const char *name;
    bool found, fixed;
    struct sql_bind *b;
    uint64_t schema_id;
};

static bool
find_named(void *arg, const struct luma_cat_object *table)
{
    struct modes *m = arg;
    for (uint32_t i = 0; i < table->constraints_count; i++) {
        const struct luma_cat_constraint *con = &table->constraints[i];
        if (strcmp(con->name, m->name) != 0 ||
            (m->schema_id != 0 && table->schema_id != m->schema_id))
            continue;
        m->found = true;
        if (!con->deferrable)
            m->fixed = true;
        else if (m->count < LUMA_COUNTOF(m->ids))
            m->ids[m->count++] = con->id;
    }
    return true;
}

static void
find_modes(struct sql_bind *b, void *arg)
{
    struct modes *m = arg;
    for (size_t i = 0; i < m->stmt->n_constraints; i++) {
        const PgQuery__RangeVar *var = m->stmt->constraints[i]->range_var;
        m->name = var->relname;
        m->found = m->fixed = false;
        m->schema_id = var->schemaname[0] != '\0' ? sql_schema_id(b, var->schemaname, -1) : 0;
        sql_host->catalog->each(b->view, LUMA_CAT_TABLE, find_named, m);
        if (!m->found)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "constraint \"%s\" does not exist",
                      m->name);
        if (m->fixed)
            SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "constraint \"%s\" is not deferrable", m->name);
    }
    if (m->stmt->n_constraints == 0)
        m->ids[m->count++] = 0;
}

static luma_rc
add_mode(struct luma_ctx *ctx, struct sql_session *own, uint64_t id, bool deferred)
{
    struct sql_foreign_mode *grown =
        realloc(own->foreign_modes, sizeof(*grown) * (own->foreign_modes_count + 1));
    if (grown == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    own->foreign_modes = grown;
    grown[own->foreign_modes_count++] = (struct sql_foreign_mode){id, deferred};
    return LUMA_OK;
}

luma_rc
sql_set_constraints(struct sql_utility *u)
{
    struct modes m = {.stmt = u->node->constraints_set_stmt};
    struct sql_bind b;
    sql_utility_bind(u, &b);
    if (sql_host->session->block_state(u->session) != LUMA_BLOCK_OPEN)
        sql_host->session->notice(u->session, "WARNING", "25P01",
                                  "SET CONSTRAINTS can only be used in transaction blocks");
    LUMA_TRY(sql_guard(&b, find_modes, &m));
    of_this_transaction(u->own, u->txn);
    if (m.stmt->n_constraints == 0)
        u->own->foreign_modes_count = 0;
    for (uint32_t i = 0; i < m.count; i++)
        LUMA_TRY(add_mode(u->ctx, u->own, m.ids[i], m.stmt->deferred));
    if (!m.stmt->deferred) {
        struct run r = {.ctx = u->ctx, .session = u->session, .own = u->own, .txn = u->txn};
        struct sql_keys *checks = LUMA_TAKE(u->own->foreign_deferred);
        luma_rc rc = run_checks(&r, &checks, false);
        sql_keys_free(checks);
        LUMA_TRY(rc);
    }
    return sql_done(u, "SET CONSTRAINTS");
}
