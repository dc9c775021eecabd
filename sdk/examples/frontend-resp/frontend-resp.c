/*
 * frontend-resp - a port that speaks enough of Redis' protocol for AUTH, PING, GET, SET, DEL and
 * QUIT.
 *
 * Keys live in the table `redis`, so that SQL sees what redis-cli wrote. Each connection is a task:
 * straight-line code whose reads and writes park. Every command is one transaction; its answer is
 * written after the commit is durable.
 */
#include <lumadb/host/host.h>
#include <lumadb/host/net.h>
#include <lumadb/host/session.h>
#include <lumadb/kind/frontend.h>
#include <lumadb/kind/query.h>
#include <lumadb/module.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LINE_BYTES_MAX 4096
#define ARGS_MAX       64
#define BULK_BYTES_MAX (16 << 20)

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS redis (key text PRIMARY KEY, value text NOT NULL)";

enum statement { STMT_GET, STMT_SET, STMT_DEL, STMT_COUNT };
static const char *const statement_text[STMT_COUNT] = {
    [STMT_GET] = "SELECT value FROM redis WHERE key = $1",
    [STMT_SET] = "INSERT INTO redis VALUES ($1, $2) "
                 "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [STMT_DEL] = "DELETE FROM redis WHERE key = $1",
};
static const uint32_t statement_params[STMT_COUNT] = {1, 2, 1};

struct resp_conf {
    const char *host;
    int64_t port;
    int64_t max_connections;
    const char *database;
};

static const struct luma_conf_item resp_conf_items[] = {
    LUMA_CONF_TEXT(struct resp_conf, host, .sdef = "127.0.0.1", .help = "address to listen on"),
    LUMA_CONF_INT(struct resp_conf, port, .def = 6379, .min = 0, .max = 65535,
                  .help = "port; 0 lets the system choose"),
    LUMA_CONF_INT(struct resp_conf, max_connections, .def = 100, .min = 1, .max = 100000,
                  .unit = "connections", .help = "more are refused"),
    LUMA_CONF_TEXT(struct resp_conf, database, .sdef = "default", .help = "where the table lies"),
    LUMA_CONF_END,
};

struct resp {
    const struct luma_host *host;
    const struct resp_conf *conf;
    const struct luma_language *sql;
    struct luma_listener *listener;
};

/* One connection. */
struct client {
    const struct resp *resp;
    const struct luma_host_net *net;
    struct luma_conn *conn;
    struct luma_session *session;
    struct luma_stmt *stmts[STMT_COUNT];
    bool logged_in;
    /* The command being read: args point into text. */
    uint32_t args_count;
    struct luma_slice args[ARGS_MAX];
    uint8_t *text;
    size_t text_bytes, text_room;
};

/* --- answers --- */

static luma_rc
say(struct client *c, const char *text)
{
    return c->net->write(c->conn, text, strlen(text));
}

static luma_rc
say_integer(struct client *c, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), ":%llu\r\n", (unsigned long long)value);
    return say(c, text);
}

static luma_rc
say_bulk(struct client *c, struct luma_slice bytes)
{
    char head[32];
    snprintf(head, sizeof(head), "$%zu\r\n", bytes.bytes);
    LUMA_TRY(say(c, head));
    LUMA_TRY(c->net->write(c->conn, bytes.data, bytes.bytes));
    return say(c, "\r\n");
}

/* The error of the request, on one line. */
static luma_rc
say_error(struct client *c, const struct luma_ctx *ctx)
{
    char text[256];
    int bytes = snprintf(text, sizeof(text), "-ERR %.200s", ctx->error->message);
    for (int i = 0; i < bytes; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    LUMA_TRY(say(c, text));
    return say(c, "\r\n");
}

/* --- commands --- */

/* Reads one line, without its end, into out (NUL-terminated). */
static luma_rc
read_line(struct client *c, char *out)
{
    for (size_t want = 1;;) {
        struct luma_slice view;
        LUMA_TRY(c->net->peek(c->conn, want, &view));
        const uint8_t *end = memchr(view.data, '\n', view.bytes);
        size_t bytes = end == NULL ? view.bytes : (size_t)(end - view.data);
        if (bytes >= LINE_BYTES_MAX)
            return LUMA_E_PROTOCOL;
        if (end == NULL) {
            want = view.bytes + 1;
            continue;
        }
        memcpy(out, view.data, bytes);
        c->net->consume(c->conn, bytes + 1);
        out[bytes > 0 && out[bytes - 1] == '\r' ? bytes - 1 : bytes] = '\0';
        return LUMA_OK;
    }
}

static bool
keep_text(struct client *c, const void *data, size_t bytes)
{
    if (c->text_room - c->text_bytes < bytes) {
        size_t room = 2 * (c->text_bytes + bytes);
        uint8_t *grown = realloc(c->text, room);
        if (grown == NULL)
            return false;
        c->text = grown;
        c->text_room = room;
    }
    if (bytes > 0)
        memcpy(c->text + c->text_bytes, data, bytes);
    c->text_bytes += bytes;
    return true;
}

static bool
parse_count(const char *text, long max, long *out)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > max)
        return false;
    *out = value;
    return true;
}

static luma_rc
read_bulk(struct client *c, size_t *out_bytes)
{
    char line[LINE_BYTES_MAX];
    long bytes;
    LUMA_TRY(read_line(c, line));
    if (line[0] != '$' || !parse_count(line + 1, BULK_BYTES_MAX, &bytes))
        return LUMA_E_PROTOCOL;
    struct luma_slice view;
    LUMA_TRY(c->net->peek(c->conn, (size_t)bytes + 2, &view));
    if (view.data[bytes] != '\r' || view.data[bytes + 1] != '\n')
        return LUMA_E_PROTOCOL;
    if (!keep_text(c, view.data, (size_t)bytes))
        return LUMA_E_NOMEM;
    c->net->consume(c->conn, (size_t)bytes + 2);
    *out_bytes = (size_t)bytes;
    return LUMA_OK;
}

/* An array of bulk strings, or words on a line as a person types them. */
static luma_rc
read_command(struct client *c)
{
    char line[LINE_BYTES_MAX];
    size_t sizes[ARGS_MAX];
    LUMA_TRY(read_line(c, line));
    c->args_count = 0;
    c->text_bytes = 0;
    if (line[0] == '*') {
        long count;
        if (!parse_count(line + 1, ARGS_MAX, &count))
            return LUMA_E_PROTOCOL;
        for (; c->args_count < (uint32_t)count; c->args_count++)
            LUMA_TRY(read_bulk(c, &sizes[c->args_count]));
    } else {
        char *rest = line;
        for (char *word; (word = strsep(&rest, " ")) != NULL && c->args_count < ARGS_MAX;) {
            if (*word == '\0')
                continue;
            sizes[c->args_count] = strlen(word);
            if (!keep_text(c, word, sizes[c->args_count++]))
                return LUMA_E_NOMEM;
        }
    }
    /* The text has stopped moving: now the arguments can point into it. */
    size_t at = 0;
    for (uint32_t i = 0; i < c->args_count; at += sizes[i], i++)
        c->args[i] = luma_slice(c->text + at, sizes[i]);
    return LUMA_OK;
}

static struct luma_value
text_value(struct luma_slice text)
{
    struct luma_value value = {
        .type = luma_type(LUMA_TYPE_TEXT),
        .phys = LUMA_PHYS_STR,
        .str = luma_str_make((const char *)text.data, (uint32_t)text.bytes),
    };
    return value;
}

/* Runs one statement to its end. A row's first column is answered as it comes. */
static luma_rc
run(struct client *c, struct luma_stmt *stmt, uint32_t params_count, uint64_t *out_rows)
{
    const struct luma_host_session *sessions = c->resp->host->session;
    struct luma_ctx *ctx = sessions->ctx(c->session);
    struct luma_value params[2];
    for (uint32_t i = 0; i < params_count; i++) {
        if (!c->resp->host->data->utf8_valid(c->args[1 + i].data, c->args[1 + i].bytes))
            return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22021", "keys and values are UTF-8 text");
        params[i] = text_value(c->args[1 + i]);
    }
    struct luma_exec_opts opts = {.params = params, .params_count = params_count};
    struct luma_result *result;
    LUMA_TRY(c->resp->sql->execute(ctx, c->session, stmt, &opts, &result));

    uint64_t rows = 0;
    luma_rc rc = LUMA_OK;
    while (result->cols_count > 0 && rc == LUMA_OK) {
        struct luma_batch *batch;
        rc = result->next(ctx, result, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        uint32_t row = luma_batch_row(batch, 0);
        rc = say_bulk(c, luma_str_slice(luma_vec_at(&batch->cols[0], row)));
        rows += batch->sel_rows;
    }
    if (result->cols_count == 0)
        rows = result->rows_done;
    result->close(result);
    LUMA_TRY(rc);
    *out_rows = rows;
    return sessions->implicit_commit(ctx, c->session);
}

static luma_rc
run_known(struct client *c, enum statement which, uint64_t *out_rows)
{
    static const uint32_t text_oids[] = {25, 25};
    struct luma_ctx *ctx = c->resp->host->session->ctx(c->session);
    if (c->stmts[which] == NULL)
        LUMA_TRY(c->resp->sql->prepare(ctx, c->session, luma_slice_text(statement_text[which]),
                                       text_oids, statement_params[which], &c->stmts[which]));
    return run(c, c->stmts[which], statement_params[which], out_rows);
}

static luma_rc
log_in(struct client *c)
{
    const struct luma_host_session *sessions = c->resp->host->session;
    struct luma_ctx *ctx = sessions->ctx(c->session);
    char user[64] = "lumadb", password[256];
    struct luma_slice given = c->args[c->args_count - 1];
    if (c->args_count == 3 && c->args[1].bytes < sizeof(user))
        snprintf(user, sizeof(user), "%.*s", (int)c->args[1].bytes, (const char *)c->args[1].data);
    if (given.bytes >= sizeof(password))
        return LUMA_FAIL(ctx, LUMA_E_AUTH, "password too long");
    snprintf(password, sizeof(password), "%.*s", (int)given.bytes, (const char *)given.data);
    LUMA_TRY(sessions->check_password(ctx, c->session, user, password));
    LUMA_TRY(sessions->login(ctx, c->session, user, c->resp->conf->database));

    struct luma_stmt *create;
    uint64_t rows;
    LUMA_TRY(
        c->resp->sql->prepare(ctx, c->session, luma_slice_text(create_table), NULL, 0, &create));
    luma_rc rc = run(c, create, 0, &rows);
    c->resp->sql->release(create);
    LUMA_TRY(rc);
    c->logged_in = true;
    return say(c, "+OK\r\n");
}

static bool
is(const struct client *c, const char *name, uint32_t args_count)
{
    return c->args_count == args_count && c->args[0].bytes == strlen(name) &&
           strncasecmp((const char *)c->args[0].data, name, strlen(name)) == 0;
}

/* LUMA_E_CLOSED ends the connection; any other error is answered. */
static luma_rc
serve_command(struct client *c)
{
    struct luma_ctx *ctx = c->resp->host->session->ctx(c->session);
    uint64_t rows;
    if (is(c, "PING", 1))
        return say(c, "+PONG\r\n");
    if (is(c, "QUIT", 1)) {
        LUMA_TRY(say(c, "+OK\r\n"));
        return LUMA_E_CLOSED;
    }
    if (is(c, "AUTH", 2) || is(c, "AUTH", 3))
        return log_in(c);
    if (!c->logged_in)
        return say(c, "-NOAUTH Authentication required.\r\n");
    if (is(c, "GET", 2)) {
        LUMA_TRY(run_known(c, STMT_GET, &rows));
        return rows == 0 ? say(c, "$-1\r\n") : LUMA_OK;
    }
    if (is(c, "SET", 3)) {
        LUMA_TRY(run_known(c, STMT_SET, &rows));
        return say(c, "+OK\r\n");
    }
    if (is(c, "DEL", 2)) {
        LUMA_TRY(run_known(c, STMT_DEL, &rows));
        return say_integer(c, rows);
    }
    return LUMA_FAIL(ctx, LUMA_E_SYNTAX, "unknown command or wrong number of arguments");
}

static void
converse(struct client *c)
{
    const struct luma_host_session *sessions = c->resp->host->session;
    struct luma_ctx *ctx = sessions->ctx(c->session);
    while (!c->net->draining(c->conn)) {
        /* Answers leave together when the client has nothing more in flight. */
        if (c->net->buffered(c->conn) == 0 && c->net->flush(c->conn) != LUMA_OK)
            return;
        luma_rc rc = read_command(c);
        if (rc == LUMA_E_PROTOCOL && say(c, "-ERR Protocol error\r\n") != LUMA_OK)
            return;
        if (rc != LUMA_OK)
            break;
        if (c->args_count == 0)
            continue;
        sessions->request_begin(c->session, (const char *)c->args[0].data, c->args[0].bytes);
        rc = serve_command(c);
        if (rc != LUMA_OK && rc != LUMA_E_CLOSED && say_error(c, ctx) != LUMA_OK)
            rc = LUMA_E_CLOSED;
        sessions->request_end(c->session);
        if (rc == LUMA_E_CLOSED)
            break;
    }
    (void)c->net->flush(c->conn);
}

static void
resp_serve(void *arg, struct luma_conn *conn)
{
    struct resp *resp = arg;
    struct client c = {.resp = resp, .net = resp->host->net, .conn = conn};
    if (resp->host->session->open("resp", conn, NULL, &c.session) != LUMA_OK)
        return;
    c.net->set_input_max(conn, BULK_BYTES_MAX + LINE_BYTES_MAX);
    converse(&c);
    for (size_t i = 0; i < STMT_COUNT; i++)
        if (c.stmts[i] != NULL)
            resp->sql->release(c.stmts[i]);
    resp->host->session->close(c.session);
    free(c.text);
}

static void
resp_refuse(void *arg, struct luma_conn *conn)
{
    static const char text[] = "-ERR max number of clients reached\r\n";
    struct resp *resp = arg;
    if (resp->host->net->write(conn, text, sizeof(text) - 1) == LUMA_OK)
        (void)resp->host->net->flush(conn);
}

/* --- the module --- */

static void
resp_how(void *state, char *out, size_t room)
{
    struct resp *resp = state;
    snprintf(out, room, "redis-cli -h %s -p %u --user lumadb --askpass", resp->conf->host,
             resp->host->net->listener_port(resp->listener));
}

static uint16_t
resp_port(void *state)
{
    struct resp *resp = state;
    return resp->listener == NULL ? 0 : resp->host->net->listener_port(resp->listener);
}

static luma_rc
resp_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    struct resp *resp = calloc(1, sizeof(*resp));
    if (resp == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    resp->host = host;
    resp->conf = conf;
    *out_state = resp;
    return LUMA_OK;
}

static luma_rc
resp_start(void *state, struct luma_ctx *ctx)
{
    struct resp *resp = state;
    resp->sql = (const struct luma_language *)resp->host->services->lookup("query.sql", 1);
    if (resp->sql == NULL)
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "query.sql is not there");
    struct luma_listen_spec spec = {
        .name = "frontend.resp",
        .host = resp->conf->host,
        .port = (uint16_t)resp->conf->port,
        .connections_max = (uint32_t)resp->conf->max_connections,
        .conf_origin = "[resp] port",
        .serve = resp_serve,
        .refuse = resp_refuse,
        .arg = resp,
    };
    return resp->host->net->listen(ctx, &spec, &resp->listener);
}

static void
resp_stop(void *state, uint64_t deadline_ns)
{
    struct resp *resp = state;
    resp->host->net->unlisten(resp->listener, deadline_ns);
    resp->listener = NULL;
}

static const struct luma_frontend resp_frontend = {
    .head = LUMA_FRONTEND_HEAD,
    .protocol = "Redis serialization protocol 2",
    .how = resp_how,
    .port = resp_port,
};

LUMA_MODULE(.kind = "frontend", .name = "resp", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB examples", .summary = "GET and SET of Redis on a table",
            .section = "resp", .needs = LUMA_NEEDS({"query.sql", 1, false}),
            .conf = resp_conf_items, .conf_bytes = sizeof(struct resp_conf), .init = resp_init,
            .start = resp_start, .stop = resp_stop, .fini = free,
            .offers = LUMA_OFFERS({"frontend.resp", &resp_frontend.head}));
