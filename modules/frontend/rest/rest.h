/*
 * rest.h - the HTTP interface: health, login, queries.
 *
 *   rest.c   the module, routes
 *   login.c  passwords to tokens
 *   query.c  POST /query: statement, parameters, rows as JSON
 *   json.c   writing JSON; values of every type
 */
#ifndef REST_H
#define REST_H

#include <lumadb/host/data.h>
#include <lumadb/host/host.h>
#include <lumadb/host/log.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/net.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>
#include <lumadb/host/stats.h>
#include <lumadb/kind/query.h>

#include <http.h>

#define REST_WHO "frontend.rest"

struct rest_conf {
    const char *host;
    int64_t port;
    int64_t max_connections;
    int64_t max_body_size;
    int64_t idle_timeout;  /* nanoseconds */
    int64_t query_timeout; /* nanoseconds */
    int64_t token_ttl;     /* nanoseconds */
    const char *database;
    bool tls;
};

struct rest {
    const struct luma_host *host;
    const struct rest_conf *_Atomic conf;
    const struct luma_language *sql; /* NULL: no query module is there */
    struct luma_listener *listener;
    struct luma_stat *requests, *errors, *seconds;
};

/* One request being answered. */
struct rest_call {
    struct rest *rest;
    const struct luma_host *host;
    struct luma_conn *conn;
    struct http *http;
    const struct http_request *request;
    struct luma_session *session;
    struct luma_ctx *ctx;
};

/* Growing text. */
struct rest_text {
    const struct luma_host_mem *mem;
    char *data;
    size_t bytes, room;
    bool failed;
};

/* --- rest.c --- */

/* The error in ctx as JSON with its HTTP status. */
luma_rc rest_answer_error(struct rest_call *call);
luma_rc rest_answer_json(struct rest_call *call, int status, const struct rest_text *text);
/* Who sends the bearer token; the session is logged in then. */
luma_rc rest_authorize(struct rest_call *call);
const char *rest_error_code(luma_rc code);
int rest_error_status(luma_rc code, const char *sqlstate);

/* --- login.c, query.c --- */

luma_rc rest_login(struct rest_call *call);
luma_rc rest_logout(struct rest_call *call);
luma_rc rest_query(struct rest_call *call);

/* --- json.c --- */

void rest_text_add(struct rest_text *text, const char *data, size_t bytes);
void rest_text_puts(struct rest_text *text, const char *s);
void rest_text_fini(struct rest_text *text);
void rest_json_string(struct rest_text *text, const char *data, size_t bytes);
void rest_json_value(struct rest_text *text, const struct luma_host_data *data,
                     const struct luma_vec *vec, uint32_t row, const struct luma_format *format,
                     struct luma_arena *arena);
void rest_json_error(struct rest_text *text, const struct luma_error *error);

#endif
