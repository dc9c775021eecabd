/*
 * http.h - HTTP/1.1 on a connection, for the frontends that speak it. Compiled into each of them.
 *
 * http_read gives one request at a time, whole, with limits on every part; answers gather in the
 * connection's output and leave when the next request is not there yet.
 */
#ifndef HTTP_H
#define HTTP_H

#include <lumadb/host/host.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/net.h>

#define HTTP_HEADERS_MAX 100
#define HTTP_HEAD_BYTES  ((size_t)16384)

struct http_limits {
    size_t body_bytes_max;
    uint64_t idle_ns; /* longest silence */
};

struct http_header {
    uint32_t name, value; /* offsets into text; names in lower case */
};

struct http;

struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* percent-decoded, without the query */
    const char *query;  /* after '?', as it came; "" */
    struct luma_slice body;
    bool keep_alive, head; /* head: answer without a body */
};

/* Heap object of one connection; NULL: no memory. */
struct http *http_create(const struct luma_host *host, struct luma_conn *conn,
                         const struct http_limits *limits);
void http_destroy(struct http *http);

/*
 * The next request, valid until the next call. LUMA_E_CLOSED, LUMA_E_TIMEOUT, LUMA_E_SHUTDOWN: the
 * connection is over. LUMA_E_PROTOCOL: not HTTP or over a limit; it was answered, the connection is
 * over too.
 */
luma_rc http_read(struct http *http, struct http_request *out);
/* Value of a header of the current request, NULL: absent. name in lower case. */
const char *http_header(const struct http *http, const char *name);

/* A whole answer. extra: further header lines, each with its end, or NULL. */
luma_rc http_respond(struct http *http, int status, const char *type, const char *extra,
                     const void *body, size_t bytes);
/* An answer of unknown length, piece by piece; a request of HTTP/1.0 gets it by closing. */
luma_rc http_stream_begin(struct http *http, int status, const char *type);
luma_rc http_stream_write(struct http *http, const void *data, size_t bytes);
luma_rc http_stream_end(struct http *http);
/* The answer to a HEAD or the last one of a connection: http_read will not go on. */
bool http_is_open(const struct http *http);

#endif
