/*
 * serve.c - the loop of messages, and the simple query protocol.
 *
 * Answers gather in the connection's output buffer and leave when the next message is not there
 * yet: a pipeline is answered in one write.
 */
#include <lumadb/host/txn.h>

#include <stdio.h>

#include "write.h"

#define TAG_BYTES 64

luma_rc
pg_flush(struct pg_conn *c)
{
    if (c->io == LUMA_OK)
        c->io = c->net->flush(c->conn);
    return c->io;
}

/* Before waiting for the client: it gets its answers, and silence has a limit. */
static luma_rc
before_wait(struct pg_conn *c)
{
    LUMA_TRY(pg_flush(c));
    if (c->started) {
        uint64_t idle_ns = c->in_request ? 0 : c->ses->idle_timeout_ns(c->session);
        if (idle_ns != c->idle_ns)
            c->net->set_idle_timeout(c->conn, idle_ns);
        c->idle_ns = idle_ns;
    }
    return LUMA_OK;
}

luma_rc
pg_read(struct pg_conn *c, struct pg_message *out)
{
    struct luma_slice view;
    if (c->io != LUMA_OK)
        return c->io;
    if (c->net->buffered(c->conn) < 5)
        LUMA_TRY(before_wait(c));
    LUMA_TRY(c->net->peek(c->conn, 5, &view));
    size_t bytes = pg_get32(view.data + 1);
    if (LUMA_UNLIKELY(bytes < 4 || bytes > (size_t)c->pg->conf->max_message_size))
        return LUMA_E_LIMIT;
    if (view.bytes < bytes + 1) {
        LUMA_TRY(before_wait(c));
        LUMA_TRY(c->net->peek(c->conn, bytes + 1, &view));
    }
    out->type = view.data[0];
    out->body = luma_slice(view.data + 5, bytes - 4);
    c->net->consume(c->conn, bytes + 1);
    return LUMA_OK;
}

/* --- requests --- */

void
pg_request_begin(struct pg_conn *c, struct luma_slice text)
{
    if (c->in_request)
        return;
    c->in_request = true;
    c->request_ns = c->host->sched->now_ns();
    c->ses->request_begin(c->session, (const char *)text.data, text.bytes);
}

void
pg_request_end(struct pg_conn *c)
{
    if (!c->in_request)
        return;
    c->in_request = false;
    c->ses->request_end(c->session);
    c->host->stats->observe_ns(c->pg->seconds, c->host->sched->now_ns() - c->request_ns);
}

void
pg_ready(struct pg_conn *c)
{
    static const uint8_t states[] = {
        [LUMA_BLOCK_IDLE] = 'I', [LUMA_BLOCK_OPEN] = 'T', [LUMA_BLOCK_FAILED] = 'E'};
    struct pg_out out;
    if (!pg_out_begin(c, &out, 'Z', 1))
        return;
    pg_out_8(&out, states[c->ses->block_state(c->session)]);
    pg_out_end(c, &out);
}

/* Errors after which the session cannot go on. */
static bool
is_fatal(luma_rc rc)
{
    return rc == LUMA_E_SHUTDOWN || rc == LUMA_E_CLOSED;
}

void
pg_statement_failed(struct pg_conn *c, struct luma_ctx *ctx, luma_rc rc)
{
    c->copying_in = false;
    if (ctx->error->code == LUMA_OK)
        (void)LUMA_FAIL(ctx, rc, "%s", rc == LUMA_E_NOMEM ? "out of memory" : "internal error");
    if (c->host->log->enabled(LUMA_LOG_DEBUG))
        c->host->log->write(LUMA_LOG_DEBUG, PG_WHO, "%s: %s (%s) at %s:%d",
                            c->ses->user(c->session), ctx->error->message, ctx->error->sqlstate,
                            ctx->error->file, ctx->error->line);
    pg_error(c, is_fatal(rc) ? "FATAL" : "ERROR", ctx->error);
    c->ses->statement_end(c->session, rc);
    if (is_fatal(rc)) {
        (void)pg_flush(c);
        c->io = LUMA_E_CLOSED;
    }
}

void
pg_command_complete(struct pg_conn *c, const char *tag, bool with_rows, uint64_t rows)
{
    struct pg_out out;
    size_t bytes = strlen(tag);
    if (!pg_out_begin(c, &out, 'C', bytes + 24))
        return;
    pg_out_bytes(&out, tag, bytes);
    if (with_rows) {
        char digits[24];
        int n = snprintf(digits, sizeof(digits), " %llu", (unsigned long long)rows);
        pg_out_bytes(&out, digits, (size_t)n);
    }
    pg_out_8(&out, 0);
    pg_out_end(c, &out);
}

static size_t
first_bad_byte(struct pg_conn *c, struct luma_slice text)
{
    size_t good = 0, bad = text.bytes; /* the longest valid beginning, by halves */
    while (good < bad) {
        size_t middle = good + (bad - good + 1) / 2;
        size_t whole = middle; /* do not cut a character */
        while (whole < text.bytes && (text.data[whole] & 0xc0) == 0x80 && whole < middle + 4)
            whole++;
        if (c->data->utf8_valid(text.data, whole))
            good = middle;
        else
            bad = middle - 1;
    }
    return good;
}

luma_rc
pg_check_text(struct pg_conn *c, struct luma_ctx *ctx, struct luma_slice text)
{
    if (LUMA_LIKELY(c->data->utf8_valid(text.data, text.bytes)))
        return LUMA_OK;
    size_t at = first_bad_byte(c, text);
    return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22021",
                         "invalid byte sequence for encoding \"UTF8\": 0x%02x",
                         at < text.bytes ? text.data[at] : 0);
}

/* --- simple protocol --- */

/* Rows of a running statement; the result is closed by the caller. */
static luma_rc
send_result(struct pg_conn *c, struct luma_result *result)
{
    struct luma_ctx *ctx = c->ctx;
    if (result->cols_count == 0 && !result->tag_rows)
        return LUMA_OK;
    if (result->cols_count > 0) {
        LUMA_TRY(pg_rows_begin(c, ctx, result->cols, result->cols_count, NULL, 0));
        pg_row_description(c, result->cols, result->cols_count, NULL, 0);
    }
    for (bool seen = false;; seen = true) {
        struct luma_batch *batch = NULL;
        if (result->cols_count == 0)
            return LUMA_OK;
        LUMA_TRY(result->next(ctx, result, &batch));
        if (batch->sel_rows == 0)
            return LUMA_OK;
        struct luma_txn *txn = seen ? NULL : c->ses->txn(c->session);
        if (txn != NULL) /* nothing leaves that a crash could take back */
            LUMA_TRY(c->host->txn->wait_seen(ctx, txn));
        if (pg_rows_send(c, batch, 0, batch->sel_rows) != LUMA_OK)
            return LUMA_FAIL(ctx, LUMA_E_CLOSED, "connection to client lost");
        if (seen)
            LUMA_TRY(c->host->sched->yield(ctx));
    }
}

static luma_rc
run_statement(struct pg_conn *c, struct luma_stmt *stmt, bool last)
{
    struct luma_ctx *ctx = c->ctx;
    struct luma_exec_opts opts = {.copy = &c->copy_io};
    struct luma_result *result = NULL;
    c->host->stats->add(c->pg->statements, 1);
    LUMA_TRY(c->sql->execute(ctx, c->session, stmt, &opts, &result));
    luma_rc rc = send_result(c, result);
    char tag[TAG_BYTES]; /* a COMMIT is done: nothing may fail any more */
    snprintf(tag, sizeof(tag), "%s", result->tag == NULL ? "" : result->tag);
    bool tag_rows = result->tag_rows;
    uint64_t rows = result->rows_done;
    result->close(result);
    /* The last statement's success is the transaction's: said when it is durable. */
    if (rc == LUMA_OK && last)
        rc = c->ses->implicit_commit(ctx, c->session);
    if (rc == LUMA_OK)
        pg_command_complete(c, tag, tag_rows, rows);
    return rc;
}

static luma_rc
run_one(struct pg_conn *c, struct luma_stmt *stmt, bool last)
{
    if (c->sql->is_empty(stmt)) {
        if (last)
            LUMA_TRY(c->ses->implicit_commit(c->ctx, c->session));
        return LUMA_OK;
    }
    if (c->ses->block_state(c->session) == LUMA_BLOCK_FAILED && !c->sql->ends_block(stmt))
        return LUMA_FAIL(c->ctx, LUMA_E_ABORTED,
                         "current transaction is aborted, commands ignored until end of "
                         "transaction block");
    if (c->sql->ends_block(stmt))
        pg_portals_drop(c);
    return run_statement(c, stmt, last);
}

static luma_rc
run_script(struct pg_conn *c, struct luma_stmt **stmts, uint32_t count)
{
    luma_rc rc = LUMA_OK;
    uint32_t last = count;
    while (last > 0 && c->sql->is_empty(stmts[last - 1]))
        last--;
    if (last == 0)
        pg_out_empty(c, 'I');
    for (uint32_t i = 0; i < count; i++) {
        if (rc == LUMA_OK && c->io == LUMA_OK)
            rc = run_one(c, stmts[i], i + 1 >= last);
        c->sql->release(stmts[i]);
    }
    return rc;
}

static void
simple_query(struct pg_conn *c, struct luma_slice body)
{
    struct luma_stmt **stmts = NULL;
    uint32_t count = 0;
    struct luma_slice text = luma_slice(body.data, body.bytes == 0 ? 0 : body.bytes - 1);
    pg_request_begin(c, text);
    pg_unnamed_drop(c);
    luma_rc rc = body.bytes == 0 || body.data[body.bytes - 1] != '\0'
                     ? pg_violation(c->ctx, "invalid string in message")
                     : pg_check_text(c, c->ctx, text);
    if (rc == LUMA_OK)
        rc = c->sql->script(c->ctx, c->session, text, &stmts, &count);
    if (rc == LUMA_OK)
        rc = run_script(c, stmts, count);
    if (rc == LUMA_OK) /* what a script left open by ending in an empty statement */
        rc = c->ses->implicit_commit(c->ctx, c->session);
    if (rc != LUMA_OK)
        pg_statement_failed(c, c->ctx, rc);
    if (c->ses->block_state(c->session) == LUMA_BLOCK_IDLE)
        pg_portals_drop(c);
    pg_request_end(c);
    pg_ready(c);
}

static void
refuse_call(struct pg_conn *c)
{
    pg_request_begin(c, luma_slice(NULL, 0));
    pg_statement_failed(
        c, c->ctx,
        LUMA_FAIL(c->ctx, LUMA_E_UNSUPPORTED, "the function call protocol is not supported"));
    pg_request_end(c);
    pg_ready(c);
}

/* --- dispatch --- */

static void
extended(struct pg_conn *c, const struct pg_message *m)
{
    if (c->skip_to_sync)
        return;
    switch (m->type) {
    case 'P':
        pg_parse(c, m->body);
        break;
    case 'B':
        pg_bind(c, m->body);
        break;
    case 'D':
        pg_describe(c, m->body);
        break;
    case 'E':
        pg_execute(c, m->body);
        break;
    case 'C':
        pg_close(c, m->body);
        break;
    default: /* 'H' */
        (void)pg_flush(c);
        break;
    }
}

/* False: the session is over. */
static bool
dispatch(struct pg_conn *c, const struct pg_message *m)
{
    switch (m->type) {
    case 'B':
    case 'E':
    case 'P':
    case 'D':
    case 'C':
    case 'H':
        extended(c, m);
        break;
    case 'S':
        pg_sync(c);
        break;
    case 'Q':
        c->skip_to_sync = false;
        simple_query(c, m->body);
        break;
    case 'F':
        if (!c->skip_to_sync)
            refuse_call(c);
        break;
    case 'd': /* the rest of a COPY that has failed */
    case 'c':
    case 'f':
        break;
    case 'X':
        return false;
    default:
        pg_fatal(c, "08P01", "invalid frontend message type %u", m->type);
        return false;
    }
    return c->io == LUMA_OK;
}

static void
say_why(struct pg_conn *c, luma_rc rc)
{
    switch (rc) {
    case LUMA_E_SHUTDOWN:
        pg_fatal(c, "57P01", "terminating connection due to administrator command");
        break;
    case LUMA_E_TIMEOUT:
        if (c->ses->block_state(c->session) == LUMA_BLOCK_IDLE)
            pg_fatal(c, "57P05", "terminating connection due to idle-session timeout");
        else
            pg_fatal(c, "25P03", "terminating connection due to idle-in-transaction timeout");
        break;
    case LUMA_E_LIMIT:
        pg_fatal(c, "08P01", "invalid message length");
        break;
    case LUMA_E_NOMEM:
        pg_fatal(c, "53200", "out of memory");
        break;
    default:
        break;
    }
}

static void
talk(struct pg_conn *c)
{
    struct pg_message m;
    luma_rc rc = LUMA_OK;
    c->net->set_idle_timeout(c->conn, 0);
    c->net->set_input_max(c->conn, (size_t)c->pg->conf->max_message_size + 1);
    do
        rc = pg_read(c, &m);
    while (rc == LUMA_OK && dispatch(c, &m));
    if (rc != LUMA_OK && c->io == LUMA_OK)
        say_why(c, rc);
    pg_request_end(c);
}

void
pg_serve(void *arg, struct luma_conn *conn)
{
    struct pg *pg = arg;
    const struct luma_host *host = pg->host;
    struct pg_conn *c = host->mem->alloc(NULL, sizeof(*c));
    if (c == NULL)
        return;
    memset(c, 0, sizeof(*c));
    c->pg = pg;
    c->host = host;
    c->net = host->net;
    c->ses = host->session;
    c->data = host->data;
    c->sql = pg->sql;
    c->conn = conn;
    pg_copy_init(c);
    struct luma_session_hooks hooks = {
        .notice = pg_notice_hook, .parameter = pg_parameter_hook, .arg = c};
    if (c->ses->open("pgwire", conn, &hooks, &c->session) == LUMA_OK) {
        host->stats->add(pg->connections, 1);
        c->ctx = c->ses->ctx(c->session);
        c->net->cancel_on_close(conn, c->ctx->cancel); /* nobody would read the answer */
        if (pg_startup(c) == LUMA_OK)
            talk(c);
        c->net->cancel_on_close(conn, NULL);
        pg_extended_fini(c);
        c->ses->close(c->session);
        host->stats->add(pg->connections, -1);
    }
    host->mem->release(NULL, c->cols, c->cols_room * sizeof(*c->cols));
    host->mem->release(NULL, c, sizeof(*c));
}
