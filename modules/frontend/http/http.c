/*
 * http.c - see http.h. llhttp takes the bytes apart; this file keeps what it finds, within limits.
 */
#include "http.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct http {
    const struct luma_host *host;
    const struct luma_host_net *net;
    struct luma_conn *conn;
    struct http_limits limits;
    llhttp_t parser;
    llhttp_settings_t settings;
    int refused; /* status of a request that breaks a limit */
    bool complete, open, chunked, head, begun;

    char text[HTTP_HEAD_BYTES]; /* target, names and values, each with its NUL */
    uint32_t text_bytes;
    uint32_t target; /* offset */
    struct http_header headers[HTTP_HEADERS_MAX];
    uint32_t headers_count;
    bool in_value;
    char *path; /* decoded, in place of the target */

    uint8_t *body;
    size_t body_bytes, body_room;
};

/* --- what llhttp finds --- */

static int
refuse(struct http *http, int status)
{
    if (http->refused == 0)
        http->refused = status;
    return HPE_USER;
}

static int
keep_text(struct http *http, const char *at, size_t bytes)
{
    if (bytes > HTTP_HEAD_BYTES - 1 - http->text_bytes)
        return refuse(http, 431);
    memcpy(http->text + http->text_bytes, at, bytes);
    http->text_bytes += (uint32_t)bytes;
    http->text[http->text_bytes] = '\0';
    return 0;
}

/* Ends the piece being kept. */
static int
end_text(struct http *http)
{
    if (http->text_bytes + 1 >= HTTP_HEAD_BYTES)
        return refuse(http, 431);
    http->text[http->text_bytes++] = '\0';
    return 0;
}

static struct http *
http_of(llhttp_t *parser)
{
    return parser->data;
}

static int
on_begin(llhttp_t *parser)
{
    struct http *http = http_of(parser);
    http->text_bytes = http->target = http->headers_count = 0;
    http->text[0] = '\0';
    http->in_value = http->complete = false;
    http->body_bytes = 0;
    http->refused = 0;
    http->begun = true;
    return 0;
}

static int
on_url(llhttp_t *parser, const char *at, size_t bytes)
{
    return keep_text(http_of(parser), at, bytes);
}

static int
on_url_complete(llhttp_t *parser)
{
    return end_text(http_of(parser));
}

static int
on_field(llhttp_t *parser, const char *at, size_t bytes)
{
    struct http *http = http_of(parser);
    if (http->headers_count == 0 || http->in_value) {
        if (http->headers_count == HTTP_HEADERS_MAX)
            return refuse(http, 431);
        http->headers[http->headers_count++] = (struct http_header){.name = http->text_bytes};
        http->in_value = false;
    }
    uint32_t from = http->text_bytes;
    int rc = keep_text(http, at, bytes);
    for (uint32_t i = from; i < http->text_bytes; i++)
        if (http->text[i] >= 'A' && http->text[i] <= 'Z')
            http->text[i] = (char)(http->text[i] + 32);
    return rc;
}

static int
on_field_complete(llhttp_t *parser)
{
    struct http *http = http_of(parser);
    int rc = end_text(http);
    http->headers[http->headers_count - 1].value = http->text_bytes;
    http->in_value = true;
    return rc;
}

static int
on_value(llhttp_t *parser, const char *at, size_t bytes)
{
    return keep_text(http_of(parser), at, bytes);
}

static int
on_value_complete(llhttp_t *parser)
{
    return end_text(http_of(parser));
}

static int
on_headers_complete(llhttp_t *parser)
{
    struct http *http = http_of(parser);
    if (parser->http_major != 1)
        return refuse(http, 505) == 0 ? 0 : -1;
    if ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > http->limits.body_bytes_max)
        return refuse(http, 413) == 0 ? 0 : -1;
    const char *expect = http_header(http, "expect");
    if (expect != NULL && strcasecmp(expect, "100-continue") == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (http->net->write(http->conn, go_on, sizeof(go_on) - 1) != LUMA_OK)
            return -1;
    }
    return 0;
}

static int
on_body(llhttp_t *parser, const char *at, size_t bytes)
{
    struct http *http = http_of(parser);
    if (bytes > http->limits.body_bytes_max - http->body_bytes)
        return refuse(http, 413);
    if (bytes > http->body_room - http->body_bytes) {
        size_t room = http->body_room == 0 ? 4096 : http->body_room;
        while (room - http->body_bytes < bytes)
            room *= 2;
        uint8_t *body = http->host->mem->resize(NULL, http->body, http->body_room, room);
        if (body == NULL)
            return refuse(http, 503);
        http->body = body;
        http->body_room = room;
    }
    memcpy(http->body + http->body_bytes, at, bytes);
    http->body_bytes += bytes;
    return 0;
}

static int
on_complete(llhttp_t *parser)
{
    http_of(parser)->complete = true;
    return HPE_PAUSED; /* what follows belongs to the next request */
}

/* --- life --- */

struct http *
http_create(const struct luma_host *host, struct luma_conn *conn, const struct http_limits *limits)
{
    struct http *http = host->mem->alloc(NULL, sizeof(*http));
    if (http == NULL)
        return NULL;
    memset(http, 0, sizeof(*http));
    http->host = host;
    http->net = host->net;
    http->conn = conn;
    http->limits = *limits;
    http->open = true;
    llhttp_settings_init(&http->settings);
    http->settings.on_message_begin = on_begin;
    http->settings.on_url = on_url;
    http->settings.on_url_complete = on_url_complete;
    http->settings.on_header_field = on_field;
    http->settings.on_header_field_complete = on_field_complete;
    http->settings.on_header_value = on_value;
    http->settings.on_header_value_complete = on_value_complete;
    http->settings.on_headers_complete = on_headers_complete;
    http->settings.on_body = on_body;
    http->settings.on_message_complete = on_complete;
    llhttp_init(&http->parser, HTTP_REQUEST, &http->settings);
    http->parser.data = http;
    host->net->set_idle_timeout(conn, limits->idle_ns);
    return http;
}

void
http_destroy(struct http *http)
{
    if (http == NULL)
        return;
    http->host->mem->release(NULL, http->body, http->body_room);
    http->host->mem->release(NULL, http, sizeof(*http));
}

bool
http_is_open(const struct http *http)
{
    return http->open;
}

/* --- a request --- */

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; false: a bad escape or a NUL. */
static bool
decode(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%') {
            *out++ = *at;
            continue;
        }
        int high = hex(at[1]), low = high < 0 ? -1 : hex(at[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *out++ = (char)(high * 16 + low);
        at += 2;
    }
    *out = '\0';
    return true;
}

static luma_rc
answer_refused(struct http *http, int status)
{
    http->open = false;
    http->parser.http_major = 1; /* whatever it claimed to be */
    http->parser.http_minor = 1;
    (void)http_respond(http, status, "text/plain; charset=utf-8", NULL, NULL, 0);
    (void)http->net->flush(http->conn);
    return LUMA_E_PROTOCOL;
}

static luma_rc
take_request(struct http *http, struct http_request *out)
{
    out->method = llhttp_method_name((llhttp_method_t)http->parser.method);
    out->head = http->parser.method == HTTP_HEAD;
    out->keep_alive = llhttp_should_keep_alive(&http->parser) && !http->parser.upgrade;
    char *target = http->text + http->target, *query = strchr(target, '?');
    char *path = strncmp(target, "http://", 7) == 0 ? strchr(target + 7, '/') : target;
    static char none[] = "";
    if (query != NULL)
        *query++ = '\0';
    out->query = query == NULL ? none : query;
    out->path = path == NULL ? "/" : path;
    out->body = luma_slice(http->body, http->body_bytes);
    http->open = out->keep_alive;
    http->head = out->head;
    if (path != NULL && !decode(path))
        return answer_refused(http, 400);
    return LUMA_OK;
}

luma_rc
http_read(struct http *http, struct http_request *out)
{
    if (!http->open)
        return LUMA_E_CLOSED;
    http->complete = http->begun = false;
    while (!http->complete) {
        struct luma_slice view;
        if (http->net->buffered(http->conn) == 0)
            LUMA_TRY(http->net->flush(http->conn));
        luma_rc rc = http->net->peek(http->conn, 1, &view);
        if (rc == LUMA_E_TIMEOUT && http->begun)
            return answer_refused(http, 408);
        if (rc != LUMA_OK)
            return rc;
        llhttp_errno_t err = llhttp_execute(&http->parser, (const char *)view.data, view.bytes);
        if (err == HPE_OK) {
            http->net->consume(http->conn, view.bytes);
            continue;
        }
        if (!http->complete)
            return answer_refused(http, http->refused != 0 ? http->refused : 400);
        const char *stop = llhttp_get_error_pos(&http->parser);
        http->net->consume(http->conn, (size_t)((const uint8_t *)stop - view.data));
    }
    luma_rc rc = take_request(http, out);
    if (http->parser.upgrade)
        llhttp_resume_after_upgrade(&http->parser);
    else
        llhttp_resume(&http->parser);
    return rc;
}

const char *
http_header(const struct http *http, const char *name)
{
    for (uint32_t i = 0; i < http->headers_count; i++)
        if (strcmp(http->text + http->headers[i].name, name) == 0)
            return http->text + http->headers[i].value;
    return NULL;
}

/* --- answers --- */

static const char *
reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {415, "Unsupported Media Type"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {499, "Client Closed Request"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"},
                   {507, "Insufficient Storage"}};
    for (size_t i = 0; i < LUMA_COUNTOF(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

static luma_rc
send_head(struct http *http, int status, const char *type, const char *extra, const char *length)
{
    char head[1024];
    if (http->net->draining(http->conn))
        http->open = false;
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\nServer: LumaDB\r\n%s%s%s%s%s%s\r\n", status,
                 reason(status), type == NULL ? "" : "Content-Type: ", type == NULL ? "" : type,
                 type == NULL ? "" : "\r\n", extra == NULL ? "" : extra, length,
                 http->open ? "" : "Connection: close\r\n");
    if (n < 0 || (size_t)n >= sizeof(head))
        return LUMA_E_ROOM;
    return http->net->write(http->conn, head, (size_t)n);
}

luma_rc
http_respond(struct http *http, int status, const char *type, const char *extra, const void *body,
             size_t bytes)
{
    char length[64];
    snprintf(length, sizeof(length), "Content-Length: %zu\r\n", bytes);
    LUMA_TRY(send_head(http, status, type, extra, length));
    if (http->head || bytes == 0)
        return LUMA_OK;
    return http->net->write(http->conn, body, bytes);
}

luma_rc
http_stream_begin(struct http *http, int status, const char *type)
{
    http->chunked = http->parser.http_minor >= 1;
    if (!http->chunked)
        http->open = false; /* the end of the connection is the end of the answer */
    return send_head(http, status, type, NULL,
                     http->chunked ? "Transfer-Encoding: chunked\r\n" : "");
}

luma_rc
http_stream_write(struct http *http, const void *data, size_t bytes)
{
    char size[32];
    if (bytes == 0 || http->head)
        return LUMA_OK;
    if (!http->chunked)
        return http->net->write(http->conn, data, bytes);
    int n = snprintf(size, sizeof(size), "%zx\r\n", bytes);
    LUMA_TRY(http->net->write(http->conn, size, (size_t)n));
    LUMA_TRY(http->net->write(http->conn, data, bytes));
    return http->net->write(http->conn, "\r\n", 2);
}

luma_rc
http_stream_end(struct http *http)
{
    if (!http->chunked || http->head)
        return LUMA_OK;
    return http->net->write(http->conn, "0\r\n\r\n", 5);
}
