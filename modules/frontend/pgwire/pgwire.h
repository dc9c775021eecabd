/*
 * pgwire.h - one connection of the PostgreSQL protocol, and what its files ask of each other.
 *
 *   pgwire.c   the module: configuration, listening
 *   serve.c    the loop of messages, the simple protocol
 *   startup.c  from the first packet to ReadyForQuery
 *   scram.c    SCRAM-SHA-256 on the server's side
 *   extended.c Parse, Bind, Describe, Execute, Close, Sync; portals
 *   rows.c     RowDescription, DataRow
 *   copy.c     COPY from and to the client
 *   report.c   ErrorResponse, NoticeResponse, ParameterStatus
 *   write.h    building messages in the connection's output
 */
#ifndef PGWIRE_H
#define PGWIRE_H

#include <lumadb/arena.h>
#include <lumadb/host/data.h>
#include <lumadb/host/host.h>
#include <lumadb/host/log.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/net.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>
#include <lumadb/host/stats.h>
#include <lumadb/kind/query.h>

#define PG_WHO "frontend.pgwire"

struct pg_conf {
    const char *host;
    int64_t port;
    int64_t max_connections;
    int64_t max_message_size;
    int64_t auth_timeout; /* nanoseconds */
    bool require_tls;
};

/* The module. */
struct pg {
    const struct luma_host *host;
    const struct pg_conf *_Atomic conf;
    const struct luma_language *sql;
    struct luma_listener *listener;
    struct luma_stat *connections, *statements, *errors, *seconds;
};

enum pg_format { PG_TEXT = 0, PG_BINARY = 1 };

struct pg_portal {
    struct pg_portal *next;
    char *name; /* NULL: the unnamed one */
    bool used;
    struct luma_stmt *stmt;
    struct luma_arena *arena; /* parameters, plan, rows of this portal */
    struct luma_ctx ctx;      /* the session's with that arena */
    struct luma_value *params;
    uint32_t params_count;
    uint16_t *formats; /* of result columns, as Bind said: 0, 1 or one each */
    uint32_t formats_count;
    struct luma_result *result; /* running or suspended */
    struct luma_batch *batch;   /* partly sent */
    uint32_t batch_next;        /* selected rows of it that have been sent */
    bool done, had_rows, seen;
};

/* How a column of the current result is written. */
struct pg_col {
    uint8_t how; /* enum in rows.c */
    uint8_t format;
};

struct pg_conn {
    struct pg *pg;
    const struct luma_host *host;
    const struct luma_host_net *net;
    const struct luma_host_session *ses;
    const struct luma_host_data *data;
    const struct luma_language *sql;
    struct luma_conn *conn;
    struct luma_session *session;
    struct luma_ctx *ctx;
    luma_rc io;   /* first failure of the connection: everything ends with it */
    bool started; /* ParameterStatus may be sent */
    bool tls;
    bool in_request; /* request_begin without request_end */
    bool skip_to_sync;
    uint64_t request_ns;
    struct luma_stmt *unnamed; /* statement */
    struct pg_portal unnamed_portal;
    struct pg_portal *portals;
    struct pg_col *cols; /* of the result being sent */
    uint32_t cols_room;
    struct luma_copy_io copy_io;
    bool copying_in;
    uint64_t idle_ns; /* timeout in force */
};

/* A message as it lies in the input buffer, consumed but valid until the next read. */
struct pg_message {
    uint8_t type;
    struct luma_slice body;
};

/* --- serve.c --- */

void pg_serve(void *arg, struct luma_conn *conn);
/* Flushes before it has to wait. */
luma_rc pg_read(struct pg_conn *c, struct pg_message *out);
luma_rc pg_flush(struct pg_conn *c);
void pg_request_begin(struct pg_conn *c, struct luma_slice text);
void pg_request_end(struct pg_conn *c);
void pg_ready(struct pg_conn *c);
/* The statement failed: what is in ctx goes to the client, the transaction hears of it. */
void pg_statement_failed(struct pg_conn *c, struct luma_ctx *ctx, luma_rc rc);
void pg_command_complete(struct pg_conn *c, const char *tag, bool with_rows, uint64_t rows);
/* 22021 unless text is valid UTF-8 without NUL. */
luma_rc pg_check_text(struct pg_conn *c, struct luma_ctx *ctx, struct luma_slice text);

/* --- startup.c --- */

luma_rc pg_startup(struct pg_conn *c);
void pg_refuse(void *arg, struct luma_conn *conn);

/* --- scram.c --- */

luma_rc pg_scram(struct pg_conn *c, const char *user);

/* --- extended.c --- */

void pg_parse(struct pg_conn *c, struct luma_slice body);
void pg_bind(struct pg_conn *c, struct luma_slice body);
void pg_describe(struct pg_conn *c, struct luma_slice body);
void pg_execute(struct pg_conn *c, struct luma_slice body);
void pg_close(struct pg_conn *c, struct luma_slice body);
void pg_sync(struct pg_conn *c);
void pg_portal_reset(struct pg_conn *c, struct pg_portal *portal);
void pg_portals_drop(struct pg_conn *c);
void pg_unnamed_drop(struct pg_conn *c);
void pg_extended_fini(struct pg_conn *c);

/* --- rows.c --- */

void pg_row_description(struct pg_conn *c, const struct luma_result_col *cols, uint32_t count,
                        const uint16_t *formats, uint32_t formats_count);
/* Prepares c->cols. */
luma_rc pg_rows_begin(struct pg_conn *c, struct luma_ctx *ctx, const struct luma_result_col *cols,
                      uint32_t count, const uint16_t *formats, uint32_t formats_count);
/* Sends selected rows first .. first + count - 1. */
luma_rc pg_rows_send(struct pg_conn *c, const struct luma_batch *batch, uint32_t first,
                     uint32_t count);

/* --- copy.c --- */

void pg_copy_init(struct pg_conn *c);

/* --- report.c --- */

void pg_error(struct pg_conn *c, const char *severity, const struct luma_error *error);
/* FATAL with this state and text; the connection ends. */
void pg_fatal(struct pg_conn *c, const char *sqlstate, const char *fmt, ...) LUMA_PRINTF(3, 4);
void pg_notice_hook(void *arg, const char *severity, const char *sqlstate, const char *message,
                    const char *detail, const char *hint);
void pg_parameter_hook(void *arg, const char *name, const char *value);
/* A violation of the protocol, reported in ctx. */
luma_rc pg_violation(struct luma_ctx *ctx, const char *what);

#endif
