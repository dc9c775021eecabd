/*
 * named.c - PREPARE, EXECUTE, DEALLOCATE; DECLARE, FETCH, CLOSE.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql.h"

/* ---- named statements ---- */

struct sql_named {
    struct sql_named *next;
    char *name;
    struct luma_stmt *stmt;
};

static struct sql_named **
named_place(struct sql_session *own, const char *name)
{
    struct sql_named **p = &own->named;
    while (*p != NULL && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

static void
named_free(struct sql_named *named)
{
    sql_stmt_release(named->stmt);
    free(named->name);
    free(named);
}

void
sql_named_fini(struct sql_session *own)
{
    while (own->named != NULL) {
        struct sql_named *named = own->named;
        own->named = named->next;
        named_free(named);
    }
}

luma_rc
sql_named_put(struct luma_ctx *ctx, struct luma_session *session, const char *name,
              struct luma_stmt *stmt)
{
    struct sql_session *own;
    LUMA_TRY(sql_session_need(ctx, session, &own));
    if (*named_place(own, name) != NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42P05",
                             "prepared statement \"%s\" already exists", name);
    struct sql_named *named = calloc(1, sizeof(*named));
    char *copy = strdup(name);
    if (named == NULL || copy == NULL) {
        free(named);
        free(copy);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    sql_stmt_ref(stmt);
    *named = (struct sql_named){own->named, copy, stmt};
    own->named = named;
    return LUMA_OK;
}

struct luma_stmt *
sql_named_get(struct luma_session *session, const char *name)
{
    struct sql_session *own = sql_session_of(session);
    struct sql_named *named = own == NULL ? NULL : *named_place(own, name);
    return named != NULL ? named->stmt : NULL;
}

void
sql_named_drop(struct luma_session *session, const char *name)
{
    struct sql_session *own = sql_session_of(session);
    if (own == NULL)
        return;
    if (name == NULL) {
        sql_named_fini(own);
        return;
    }
    struct sql_named **p = named_place(own, name), *named = *p;
    if (named != NULL) {
        *p = named->next;
        named_free(named);
    }
}

void
sql_named_each(struct luma_session *session,
               void (*fn)(void *arg, const char *name, struct luma_stmt *stmt), void *arg)
{
    for (struct sql_named *n = sql_session_of(session)->named; n != NULL; n = n->next)
        fn(arg, n->name, n->stmt);
}

struct types_call {
    const PgQuery__PrepareStmt *prepare;
    struct luma_type *types;
};

static void
resolve_types(struct sql_bind *b, void *arg)
{
    struct types_call *call = arg;
    call->types = SQL_NEW_ARRAY(b, struct luma_type, call->prepare->n_argtypes);
    uint64_t domain_id;
    for (size_t i = 0; i < call->prepare->n_argtypes; i++)
        call->types[i] = sql_domain_base(
            b, sql_type_resolve(b, call->prepare->argtypes[i]->type_name), &domain_id);
}

luma_rc
sql_prepare_stmt(struct sql_utility *u)
{
    const PgQuery__PrepareStmt *prepare = u->node->prepare_stmt;
    struct types_call call = {prepare, NULL};
    struct sql_bind b;
    const char *text = NULL;
    struct luma_stmt *stmt = NULL;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, resolve_types, &call));
    if (!sql_stmt_is_plan(prepare->query))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "only queries and changes can be prepared");
    LUMA_TRY(sql_deparse(u->ctx, u->ctx->arena, prepare->query, &text));
    LUMA_TRY(sql_stmt_prepare(u->ctx, u->session, luma_slice_text(text), call.types,
                              (uint32_t)prepare->n_argtypes, &stmt));
    luma_rc rc = sql_stmt_bind(u->ctx, u->session, u->txn, stmt);
    if (rc == LUMA_OK)
        rc = sql_named_put(u->ctx, u->session, prepare->name, stmt);
    sql_stmt_release(stmt);
    return rc == LUMA_OK ? sql_done(u, "PREPARE") : rc;
}

struct args_call {
    const PgQuery__ExecuteStmt *execute;
    const struct luma_type *types;
    struct luma_expr **exprs;
};

static void
bind_arguments(struct sql_bind *b, void *arg)
{
    struct args_call *call = arg;
    struct sql_scope scope = {.place = SQL_PLACE_VALUES};
    call->exprs = SQL_NEW_ARRAY(b, struct luma_expr *, call->execute->n_params);
    for (size_t i = 0; i < call->execute->n_params; i++)
        call->exprs[i] = sql_coerce(b, sql_bind_expr(b, &scope, call->execute->params[i]),
                                    call->types[i], SQL_CAST_ASSIGN, -1);
}

static luma_rc
execute_named(struct sql_utility *u, struct luma_stmt *stmt)
{
    const PgQuery__ExecuteStmt *execute = u->node->execute_stmt;
    uint32_t n = (uint32_t)execute->n_params;
    LUMA_TRY(sql_stmt_bind(u->ctx, u->session, u->txn, stmt));
    if (n != stmt->bound->params_count) {
        luma_rc rc = LUMA_FAIL_SQL(u->ctx, LUMA_E_SYNTAX, "42601",
                                   "wrong number of parameters for prepared statement \"%s\"",
                                   execute->name);
        char detail[96];
        snprintf(detail, sizeof(detail), "Expected %u parameters but got %u.",
                 stmt->bound->params_count, n);
        u->ctx->error->detail = luma_arena_text(u->ctx->arena, detail, strlen(detail));
        return rc;
    }
    struct luma_value *values = LUMA_NEW_ARRAY(u->ctx->arena, struct luma_value, n + 1);
    if (values == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    struct args_call call = {execute, stmt->bound->params, NULL};
    struct sql_bind b;
    sql_utility_bind(u, &b);
    if (n > 0)
        LUMA_TRY(sql_guard(&b, bind_arguments, &call));
    for (uint32_t i = 0; i < n; i++)
        LUMA_TRY(sql_engine->eval(u->ctx, u->session, u->txn, call.exprs[i], NULL, 0, u->ctx->arena,
                                  &values[i]));
    return sql_run_stmt(u->ctx, u->session, u->txn, stmt, values, n, true, u->out_result);
}

luma_rc
sql_execute_stmt(struct sql_utility *u)
{
    const char *name = u->node->execute_stmt->name;
    struct luma_stmt *stmt = sql_named_get(u->session, name);
    if (stmt == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "26000",
                             "prepared statement \"%s\" does not exist", name);
    if (stmt->node == NULL || !sql_stmt_is_plan(stmt->node))
        return stmt->node == NULL ? sql_done(u, "")
                                  : sql_utility(u->ctx, u->session, stmt, u->opts, u->out_result);
    LUMA_TRY(sql_host->session->statement_begin(u->ctx, u->session, &u->txn));
    luma_rc rc = execute_named(u, stmt);
    if (rc != LUMA_OK)
        sql_host->session->statement_end(u->session, rc);
    return rc;
}

luma_rc
sql_deallocate(struct sql_utility *u)
{
    const char *name = u->node->deallocate_stmt->name;
    if (name[0] == '\0') {
        sql_named_drop(u->session, NULL);
        return sql_done(u, "DEALLOCATE ALL");
    }
    if (sql_named_get(u->session, name) == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "26000",
                             "prepared statement \"%s\" does not exist", name);
    sql_named_drop(u->session, name);
    return sql_done(u, "DEALLOCATE");
}

/* ---- cursors ---- */

/* A cursor is the engine's result, read a few rows at a time; what is left of a batch waits in it.
 */
struct sql_cursor {
    struct luma_result base; /* as a portal: the rows still to come */
    struct sql_cursor *next;
    char *name;
    struct luma_session *session;
    struct luma_stmt *stmt; /* of DECLARE, held: names of columns lie in its tree */
    struct luma_result *inner;
    struct luma_batch *batch; /* the inner's newest */
    uint32_t taken;           /* rows of it that were fetched */
    struct luma_batch window; /* what a fetch shows */
    uint16_t sel[LUMA_BATCH_ROWS];
    uint64_t position;
    bool ended, hold;
};

static luma_rc
cursor_fill(struct luma_ctx *ctx, struct sql_cursor *c)
{
    while (!c->ended && (c->batch == NULL || c->taken >= c->batch->sel_rows)) {
        LUMA_TRY(c->inner->next(ctx, c->inner, &c->batch));
        c->taken = 0;
        c->ended = c->batch->sel_rows == 0;
    }
    return LUMA_OK;
}

/* Up to `rows` rows of the current batch as a batch of their own. */
static luma_rc
cursor_take(struct luma_ctx *ctx, struct sql_cursor *c, uint64_t rows, struct luma_batch **out)
{
    LUMA_TRY(cursor_fill(ctx, c));
    memset(&c->window, 0, sizeof(c->window));
    *out = &c->window;
    if (c->ended)
        return LUMA_OK;
    uint32_t left = c->batch->sel_rows - c->taken;
    uint32_t n = rows < left ? (uint32_t)rows : left;
    c->window = *c->batch;
    for (uint32_t i = 0; i < n; i++)
        c->sel[i] = (uint16_t)luma_batch_row(c->batch, c->taken + i);
    c->window.sel = c->sel;
    c->window.sel_rows = n;
    c->taken += n;
    c->position += n;
    return LUMA_OK;
}

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_result *base, struct luma_batch **out_batch)
{
    struct sql_cursor *c = (struct sql_cursor *)base;
    LUMA_TRY(cursor_take(ctx, c, LUMA_BATCH_ROWS, out_batch));
    base->rows_done += (*out_batch)->sel_rows;
    return LUMA_OK;
}

static void
cursor_portal_close(struct luma_result *base)
{
    (void)base; /* CLOSE ends it, or the transaction's end */
}

static struct sql_cursor **
cursor_place(struct sql_session *own, const char *name)
{
    struct sql_cursor **p = &own->cursors;
    while (*p != NULL && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

static void
cursor_free(struct sql_cursor *c)
{
    if (c->inner != NULL)
        c->inner->close(c->inner);
    sql_stmt_release(c->stmt);
    free(c->name);
    free(c);
}

void
sql_cursors_close(struct sql_session *own, bool all)
{
    struct sql_cursor **p = &own->cursors;
    while (*p != NULL) {
        struct sql_cursor *c = *p;
        if (!all && c->hold) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        cursor_free(c);
    }
}

struct luma_result *
sql_cursor_get(struct luma_session *session, const char *name)
{
    struct sql_session *own = sql_session_of(session);
    struct sql_cursor *c = own == NULL ? NULL : *cursor_place(own, name);
    return c != NULL ? &c->base : NULL;
}

#define CURSOR_HOLD   0x0020
#define CURSOR_SCROLL 0x0002

luma_rc
sql_declare_cursor(struct sql_utility *u)
{
    const PgQuery__DeclareCursorStmt *declare = u->node->declare_cursor_stmt;
    if (declare->options & CURSOR_HOLD)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "cursors WITH HOLD are not supported");
    if (sql_host->session->block_state(u->session) != LUMA_BLOCK_OPEN)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_TXNSTATE, "25P01",
                             "DECLARE CURSOR can only be used in transaction blocks");
    if (*cursor_place(u->own, declare->portalname) != NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_EXISTS, "42P03", "cursor \"%s\" already exists",
                             declare->portalname);
    struct sql_bound *bound = NULL;
    struct luma_result *inner = NULL, *wrapped = NULL;
    LUMA_TRY(sql_bind_node(u->ctx, u->session, u->txn, u->stmt->parse->text, u->stmt->parse->bytes,
                           declare->query, NULL, 0, &bound));
    luma_rc rc = sql_bound_compile(u->ctx, u->session, u->txn, bound);
    if (rc == LUMA_OK)
        rc = sql_engine->open(u->ctx, u->session, u->txn, bound->query, NULL, 0, &inner);
    if (rc == LUMA_OK)
        rc = sql_result_wrap(u->ctx, u->session, bound, inner, false, &wrapped);
    sql_bound_release(bound);
    if (rc != LUMA_OK)
        return rc;
    struct sql_cursor *c = calloc(1, sizeof(*c));
    char *name = strdup(declare->portalname);
    if (c == NULL || name == NULL) {
        free(c);
        free(name);
        wrapped->close(wrapped);
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    }
    c->name = name;
    c->session = u->session;
    c->stmt = u->stmt;
    sql_stmt_ref(u->stmt);
    c->inner = wrapped;
    c->base.cols = wrapped->cols;
    c->base.cols_count = wrapped->cols_count;
    c->base.next = cursor_next;
    c->base.close = cursor_portal_close;
    c->base.tag = "SELECT";
    c->base.tag_rows = true;
    c->next = u->own->cursors;
    u->own->cursors = c;
    return sql_done(u, "DECLARE CURSOR");
}

/* The rows of one FETCH. */
struct fetch {
    struct luma_result base;
    struct sql_cursor *cursor;
    uint64_t left;
};

static luma_rc
fetch_next(struct luma_ctx *ctx, struct luma_result *base, struct luma_batch **out_batch)
{
    struct fetch *f = (struct fetch *)base;
    LUMA_TRY(cursor_take(ctx, f->cursor, f->left, out_batch));
    f->left -= (*out_batch)->sel_rows;
    base->rows_done += (*out_batch)->sel_rows;
    return LUMA_OK;
}

static void
fetch_close(struct luma_result *base)
{
    struct fetch *f = (struct fetch *)base;
    sql_host->session->statement_end(f->cursor->session, LUMA_OK);
    free(f);
}

static luma_rc
fetch_count(struct luma_ctx *ctx, const PgQuery__FetchStmt *fetch, const struct sql_cursor *c,
            uint64_t *out_skip, uint64_t *out_rows)
{
    int64_t n = fetch->how_many;
    *out_skip = 0;
    *out_rows = 0;
    bool absolute = fetch->direction == PG_QUERY__FETCH_DIRECTION__FETCH_ABSOLUTE;
    bool relative = fetch->direction == PG_QUERY__FETCH_DIRECTION__FETCH_RELATIVE;
    if (absolute && n >= 1)
        n -= (int64_t)c->position;
    if ((absolute || relative) && n >= 1) {
        *out_skip = (uint64_t)n - 1;
        *out_rows = 1;
        return LUMA_OK;
    }
    if (fetch->direction == PG_QUERY__FETCH_DIRECTION__FETCH_FORWARD && n >= 0) {
        *out_rows = (uint64_t)n;
        return LUMA_OK;
    }
    if (n == 0)
        return LUMA_OK;
    luma_rc rc = LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "55000", "cursor can only scan forward");
    ctx->error->hint = "Declare it with SCROLL option to enable backward scan.";
    return rc;
}

static luma_rc
fetch_start(struct sql_utility *u, struct sql_cursor *c)
{
    const PgQuery__FetchStmt *stmt = u->node->fetch_stmt;
    uint64_t skip, rows, moved = 0;
    struct luma_batch *batch;
    LUMA_TRY(fetch_count(u->ctx, stmt, c, &skip, &rows));
    if (stmt->ismove) {
        skip += rows;
        rows = 0;
    }
    while (skip > 0) {
        LUMA_TRY(cursor_take(u->ctx, c, skip, &batch));
        if (batch->sel_rows == 0)
            break;
        skip -= batch->sel_rows;
        moved += batch->sel_rows;
    }
    if (stmt->ismove) {
        LUMA_TRY(sql_result_done(u->ctx, u->session, "MOVE", true, moved, u->out_result));
        sql_host->session->statement_end(u->session, LUMA_OK);
        return LUMA_OK;
    }
    struct fetch *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    f->cursor = c;
    f->left = skip > 0 ? 0 : rows;
    f->base.cols = c->base.cols;
    f->base.cols_count = c->base.cols_count;
    f->base.next = fetch_next;
    f->base.close = fetch_close;
    f->base.tag = "FETCH";
    f->base.tag_rows = true;
    *u->out_result = &f->base;
    return LUMA_OK;
}

luma_rc
sql_fetch(struct sql_utility *u)
{
    const char *name = u->node->fetch_stmt->portalname;
    struct sql_cursor *c = *cursor_place(u->own, name);
    if (c == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "34000", "cursor \"%s\" does not exist",
                             name);
    LUMA_TRY(sql_host->session->statement_begin(u->ctx, u->session, &u->txn));
    luma_rc rc = fetch_start(u, c);
    if (rc != LUMA_OK)
        sql_host->session->statement_end(u->session, rc);
    return rc;
}

luma_rc
sql_close_cursor(struct sql_utility *u)
{
    const char *name = u->node->close_portal_stmt->portalname;
    if (name[0] == '\0') {
        sql_cursors_close(u->own, true);
        return sql_done(u, "CLOSE CURSOR ALL");
    }
    struct sql_cursor **p = cursor_place(u->own, name), *c = *p;
    if (c == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "34000", "cursor \"%s\" does not exist",
                             name);
    *p = c->next;
    cursor_free(c);
    return sql_done(u, "CLOSE CURSOR");
}
