/*
 * rest - HTTP/1.1: health, login, queries.
 */
#include "rest.h"

#include <lumadb/kind/frontend.h>
#include <lumadb/module.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct luma_conf_item rest_conf_items[] = {
    LUMA_CONF_TEXT(struct rest_conf, host, .sdef = "127.0.0.1",
                   .help = "address to listen on; * or 0.0.0.0: every one"),
    LUMA_CONF_INT(struct rest_conf, port, .def = 8080, .min = 0, .max = 65535,
                  .help = "port; 0 lets the system choose"),
    LUMA_CONF_INT(struct rest_conf, max_connections, .def = 1000, .min = 1, .max = 1000000,
                  .unit = "connections", .help = "more are refused"),
    LUMA_CONF_BYTES(struct rest_conf, max_body_size, .def = 16 << 20, .min = 1024,
                    .max = (int64_t)1 << 32, .help = "longest body of a request"),
    LUMA_CONF_DURATION(struct rest_conf, idle_timeout, .def = 60000000000, .min = 1000000,
                       .max = 86400000000000, .help = "longest silence of a connection"),
    LUMA_CONF_DURATION(struct rest_conf, query_timeout, .def = 300000000000, .min = 1000000,
                       .max = 86400000000000, .flags = LUMA_CONF_RELOAD,
                       .help = "longest time of a query"),
    LUMA_CONF_DURATION(struct rest_conf, token_ttl, .def = 3600000000000, .min = 1000000000,
                       .max = 31536000000000000, .flags = LUMA_CONF_RELOAD,
                       .help = "life of a bearer token"),
    LUMA_CONF_TEXT(struct rest_conf, database, .sdef = "default", .flags = LUMA_CONF_RELOAD,
                   .help = "database of a login that names none"),
    LUMA_CONF_BOOL(struct rest_conf, tls, .def = 0,
                   .help = "speak HTTPS with the certificate of [tls]"),
    LUMA_CONF_END,
};

/* --- errors --- */

static const struct {
    const char *ecode;
    int http;
} error_table[] = {
#define LUMA_ERROR(name, ecode, sqlstate, http, grpc, text) \
    [LUMA_E_##name - LUMA_ERROR_FIRST_] = {ecode, http},
#include <lumadb/errors.def>
#undef LUMA_ERROR
};

static size_t
error_index(luma_rc code)
{
    bool known = code > LUMA_ERROR_FIRST_ && code < LUMA_ERROR_END_;
    return (size_t)((known ? code : LUMA_E_INTERNAL) - LUMA_ERROR_FIRST_);
}

const char *
rest_error_code(luma_rc code)
{
    return error_table[error_index(code)].ecode;
}

int
rest_error_status(luma_rc code, const char *sqlstate)
{
    if (strcmp(sqlstate, "42P01") == 0)
        return 404;
    return error_table[error_index(code)].http;
}

/* A commit of the request is named, so that another port can be asked to show it. */
static const char *
extra_headers(struct rest_call *call, int status, char *room, size_t bytes)
{
    const char *token = call->session == NULL
                            ? NULL
                            : call->host->session->setting(call->session, "lumadb.last_commit");
    snprintf(room, bytes, "%s%s%s%s",
             status == 401   ? "WWW-Authenticate: Bearer\r\n"
             : status == 429 ? "Retry-After: 1\r\n"
                             : "",
             token == NULL || token[0] == '\0' ? "" : "LumaDB-Commit: ", token == NULL ? "" : token,
             token == NULL || token[0] == '\0' ? "" : "\r\n");
    return room[0] == '\0' ? NULL : room;
}

luma_rc
rest_answer_json(struct rest_call *call, int status, const struct rest_text *text)
{
    char extra[160];
    static const char out_of_memory[] = "{\"error\":{\"code\":\"E012\",\"sqlstate\":\"53200\","
                                        "\"message\":\"out of memory\"}}";
    if (text->failed)
        return http_respond(call->http, 503, "application/json", NULL, out_of_memory,
                            sizeof(out_of_memory) - 1);
    return http_respond(call->http, status, "application/json",
                        extra_headers(call, status, extra, sizeof(extra)), text->data, text->bytes);
}

luma_rc
rest_answer_error(struct rest_call *call)
{
    struct rest_text text = {.mem = call->host->mem};
    struct luma_error *error = call->ctx->error;
    if (error->code == LUMA_OK)
        (void)LUMA_FAIL(call->ctx, LUMA_E_INTERNAL, "internal error");
    call->host->stats->add(call->rest->errors, 1);
    call->host->log->write(LUMA_LOG_DEBUG, REST_WHO, "%s %s: %s (%s)", call->request->method,
                           call->request->path, error->message, error->sqlstate);
    rest_text_puts(&text, "{\"error\":");
    rest_json_error(&text, error);
    rest_text_puts(&text, "}");
    luma_rc rc = rest_answer_json(call, rest_error_status(error->code, error->sqlstate), &text);
    rest_text_fini(&text);
    return rc;
}

luma_rc
rest_authorize(struct rest_call *call)
{
    const char *header = http_header(call->http, "authorization");
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_AUTH, "28000", "a bearer token is needed");
    const struct luma_host_session *ses = call->host->session;
    LUMA_TRY(ses->token_login(call->ctx, call->session, header + 7));
    const char *as_of = http_header(call->http, "lumadb-as-of");
    if (as_of != NULL)
        LUMA_TRY(ses->setting_set(call->ctx, call->session, "lumadb.as_of", as_of, false));
    const char *wait_for = http_header(call->http, "lumadb-wait-for");
    if (wait_for != NULL)
        LUMA_TRY(ses->setting_set(call->ctx, call->session, "lumadb.wait_for", wait_for, false));
    return LUMA_OK;
}

/* --- routes --- */

static luma_rc
rest_health(struct rest_call *call)
{
    return http_respond(call->http, 200, "text/plain; charset=utf-8", NULL, "OK", 2);
}

static const struct route {
    const char *path, *method;
    luma_rc (*answer)(struct rest_call *call);
    bool wants_session;
} routes[] = {
    {"/health", "GET", rest_health, false},        {"/query", "POST", rest_query, true},
    {"/api/v1/query", "POST", rest_query, true},   {"/api/v1/login", "POST", rest_login, true},
    {"/api/v1/logout", "POST", rest_logout, true},
};

static luma_rc
answer_plain_error(struct rest_call *call, int status, const char *code, const char *message,
                   const char *extra)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code,
                     message);
    return http_respond(call->http, status, "application/json", extra, text, (size_t)n);
}

static luma_rc
with_session(struct rest_call *call, const struct route *route)
{
    const struct luma_host_session *ses = call->host->session;
    if (ses->open("rest", call->conn, NULL, &call->session) != LUMA_OK)
        return answer_plain_error(call, 503, "E012", "out of memory", NULL);
    call->ctx = ses->ctx(call->session);
    luma_rc rc = route->answer(call);
    ses->close(call->session);
    return rc;
}

static luma_rc
answer(struct rest_call *call)
{
    const struct http_request *request = call->request;
    const struct route *found = NULL;
    for (size_t i = 0; i < LUMA_COUNTOF(routes); i++)
        if (strcmp(routes[i].path, request->path) == 0)
            found = &routes[i];
    if (found == NULL)
        return answer_plain_error(call, 404, "E004", "no such path", NULL);
    if (strcmp(found->method, request->method) != 0 &&
        !(request->head && strcmp(found->method, "GET") == 0))
        return answer_plain_error(call, 405, "E010", "method not allowed",
                                  strcmp(found->method, "GET") == 0 ? "Allow: GET, HEAD\r\n"
                                                                    : "Allow: POST\r\n");
    return found->wants_session ? with_session(call, found) : found->answer(call);
}

static void
rest_serve(void *arg, struct luma_conn *conn)
{
    struct rest *rest = arg;
    const struct luma_host *host = rest->host;
    const struct rest_conf *conf = rest->conf;
    struct http_limits limits = {.body_bytes_max = (size_t)conf->max_body_size,
                                 .idle_ns = (uint64_t)conf->idle_timeout};
    struct http_request request;
    if (conf->tls) {
        struct luma_session *session = NULL;
        if (host->session->open("rest", conn, NULL, &session) != LUMA_OK)
            return;
        luma_rc rc = host->net->start_tls(host->session->ctx(session), conn, "http/1.1");
        host->session->close(session);
        if (rc != LUMA_OK)
            return;
    }
    struct http *http = http_create(host, conn, &limits);
    luma_rc rc = http == NULL ? LUMA_E_NOMEM : LUMA_OK;
    while (rc == LUMA_OK && (rc = http_read(http, &request)) == LUMA_OK) {
        uint64_t begun_ns = host->sched->now_ns();
        struct rest_call call = {
            .rest = rest, .host = host, .conn = conn, .http = http, .request = &request};
        host->stats->add(rest->requests, 1);
        rc = answer(&call);
        host->stats->observe_ns(rest->seconds, host->sched->now_ns() - begun_ns);
    }
    (void)host->net->flush(conn);
    http_destroy(http);
}

static void
rest_refuse(void *arg, struct luma_conn *conn)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    struct rest *rest = arg;
    struct luma_slice view;
    rest->host->net->set_idle_timeout(conn, 1000000000u);
    (void)rest->host->net->peek(conn, 1, &view);
    (void)rest->host->net->write(conn, text, sizeof(text) - 1);
}

/* --- the module --- */

static luma_rc
rest_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    struct rest *rest = calloc(1, sizeof(*rest));
    if (rest == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    rest->host = host;
    rest->conf = conf;
    rest->requests = host->stats->open(LUMA_STAT_COUNTER, "lumadb_http_requests_total", "",
                                       "requests", "HTTP requests");
    rest->errors = host->stats->open(LUMA_STAT_COUNTER, "lumadb_http_errors_total", "", "errors",
                                     "HTTP requests answered with an error");
    rest->seconds = host->stats->open(LUMA_STAT_HISTOGRAM, "lumadb_http_request_seconds", "",
                                      "seconds", "time from a request's end to its answer");
    *out_state = rest;
    return LUMA_OK;
}

static luma_rc
rest_start(void *state, struct luma_ctx *ctx)
{
    struct rest *rest = state;
    const struct rest_conf *conf = rest->conf;
    if (conf->tls && !rest->host->net->tls_available())
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "[server] tls wants [tls] cert and key");
    rest->sql =
        (const struct luma_language *)rest->host->services->lookup("query.sql", LUMA_QUERY_MAJOR);
    struct luma_listen_spec spec = {
        .name = REST_WHO,
        .host = conf->host,
        .port = (uint16_t)conf->port,
        .connections_max = (uint32_t)conf->max_connections,
        .conf_origin = "[server] port",
        .serve = rest_serve,
        .refuse = rest_refuse,
        .arg = rest,
    };
    return rest->host->net->listen(ctx, &spec, &rest->listener);
}

static void
rest_reload(void *state, const void *conf)
{
    struct rest *rest = state;
    rest->conf = conf;
}

static void
rest_stop(void *state, uint64_t deadline_ns)
{
    struct rest *rest = state;
    if (rest->listener != NULL)
        rest->host->net->unlisten(rest->listener, deadline_ns);
    rest->listener = NULL;
}

static void
rest_fini(void *state)
{
    free(state);
}

static uint16_t
rest_port(void *state)
{
    struct rest *rest = state;
    return rest->listener == NULL ? 0 : rest->host->net->listener_port(rest->listener);
}

static void
rest_how(void *state, char *out, size_t room)
{
    struct rest *rest = state;
    if (rest->listener != NULL)
        snprintf(out, room, "curl %s://localhost:%u/health", rest->conf->tls ? "https" : "http",
                 rest_port(rest));
    else if (room > 0)
        out[0] = '\0';
}

static const struct luma_frontend rest_frontend = {
    .head = LUMA_FRONTEND_HEAD,
    .protocol = "HTTP/1.1 JSON",
    .how = rest_how,
    .port = rest_port,
};

LUMA_MODULE(.kind = "frontend", .name = "rest", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "HTTP: health, login, queries as JSON",
            .section = "server", .needs = LUMA_NEEDS({"query.sql", LUMA_QUERY_MAJOR, true}),
            .offers = LUMA_OFFERS({"frontend.rest", &rest_frontend.head}), .conf = rest_conf_items,
            .conf_bytes = sizeof(struct rest_conf), .init = rest_init, .start = rest_start,
            .reload = rest_reload, .stop = rest_stop, .fini = rest_fini);
