/*
 * fake_conn.c - see fake_conn.h.
 */
#include "fake_conn.h"

#include <stdlib.h>

#include "data/data.h"
#include "io/io.h"
#include "sched/sched.h"
#include "session/session.h"
#include "toy.h"

void
fake_conn_init(struct luma_conn *conn, const uint8_t *data, size_t bytes, size_t step)
{
    static bool started;
    memset(conn, 0, sizeof(*conn));
    conn->data = data;
    conn->bytes = bytes;
    conn->step = step == 0 ? bytes : step;
    conn->input_max = 1 << 20;
    if (!started) {
        static const struct lk_session_conf conf = {
            .token_ttl = 1000000000, .tokens_max = 10, .timezone = "UTC"};
        struct lk_session_parts parts = {&toy_txn, &toy_catalog, &lk_data_host};
        struct lk_ctx c;
        lk_ctx_init(&c, NULL);
        toy_init(&fake_host);
        LK_ASSERT(lk_session_start(&c.ctx, &conf, &parts) == LUMA_OK);
        lk_log_set_level(LUMA_LOG_ERROR);
        started = true;
    }
}

void
fake_conn_fini(struct luma_conn *conn)
{
    free(conn->out);
}

static luma_rc
fake_peek(struct luma_conn *conn, size_t bytes, struct luma_slice *out)
{
    if (bytes > conn->input_max)
        return LUMA_E_LIMIT;
    while (conn->shown - conn->at < bytes) {
        if (conn->shown == conn->bytes)
            return LUMA_E_CLOSED;
        conn->shown += LK_MIN(conn->step, conn->bytes - conn->shown);
    }
    *out = luma_slice(conn->data + conn->at, conn->shown - conn->at);
    return LUMA_OK;
}

static void
fake_consume(struct luma_conn *conn, size_t bytes)
{
    LK_ASSERT(bytes <= conn->shown - conn->at);
    conn->at += bytes;
}

static size_t
fake_buffered(struct luma_conn *conn)
{
    return conn->shown - conn->at;
}

static void
fake_set_input_max(struct luma_conn *conn, size_t bytes)
{
    conn->input_max = bytes;
}

static void
fake_set_idle_timeout(struct luma_conn *conn, uint64_t nanoseconds)
{
    (void)conn;
    (void)nanoseconds;
}

/* Exactly the room that was asked for, so that a byte too many is seen. */
static luma_rc
fake_reserve(struct luma_conn *conn, size_t bytes, uint8_t **out)
{
    free(conn->out);
    conn->out = malloc(bytes == 0 ? 1 : bytes);
    conn->out_room = bytes;
    *out = conn->out;
    return conn->out == NULL ? LUMA_E_NOMEM : LUMA_OK;
}

static void
fake_commit(struct luma_conn *conn, size_t bytes)
{
    LK_ASSERT(bytes <= conn->out_room);
    conn->out_room -= bytes;
}

static luma_rc
fake_write(struct luma_conn *conn, const void *data, size_t bytes)
{
    (void)conn;
    (void)data;
    (void)bytes;
    return LUMA_OK;
}

static luma_rc
fake_flush(struct luma_conn *conn)
{
    (void)conn;
    return LUMA_OK;
}

static bool
fake_false(const struct luma_conn *conn)
{
    (void)conn;
    return false;
}

static bool
fake_peer_gone(struct luma_conn *conn)
{
    (void)conn;
    return false;
}

static bool
fake_tls_available(void)
{
    return false;
}

static struct luma_slice
fake_tls_binding(const struct luma_conn *conn)
{
    (void)conn;
    return luma_slice(NULL, 0);
}

static const char *
fake_peer(const struct luma_conn *conn)
{
    (void)conn;
    return "fuzzer";
}

static bool
fake_loopback(const struct luma_conn *conn)
{
    (void)conn;
    return true;
}

static void
fake_cancel_on_close(struct luma_conn *conn, struct luma_cancel *cancel)
{
    (void)conn;
    (void)cancel;
}

static const struct luma_host_net fake_net = {
    .head = {sizeof(fake_net), 1, 0},
    .peek = fake_peek,
    .consume = fake_consume,
    .buffered = fake_buffered,
    .set_input_max = fake_set_input_max,
    .set_idle_timeout = fake_set_idle_timeout,
    .reserve = fake_reserve,
    .commit = fake_commit,
    .write = fake_write,
    .flush = fake_flush,
    .tls_available = fake_tls_available,
    .tls_binding = fake_tls_binding,
    .peer = fake_peer,
    .peer_is_loopback = fake_loopback,
    .draining = fake_false,
    .peer_gone = fake_peer_gone,
    .cancel_on_close = fake_cancel_on_close,
};

/* Nothing waits for a clock. */
static luma_rc
fake_sleep(struct luma_ctx *ctx, uint64_t nanoseconds)
{
    (void)ctx;
    (void)nanoseconds;
    return LUMA_OK;
}

static luma_rc
fake_yield(struct luma_ctx *ctx)
{
    (void)ctx;
    return LUMA_OK;
}

static uint64_t
fake_now_ns(void)
{
    return 1;
}

static int64_t
fake_wall_us(void)
{
    return 1;
}

static void
fake_random(void *out, size_t bytes)
{
    memset(out, 7, bytes);
}

static const struct luma_host_sched fake_sched = {
    .head = {sizeof(fake_sched), 1, 0},
    .yield = fake_yield,
    .sleep = fake_sleep,
    .now_ns = fake_now_ns,
    .wall_us = fake_wall_us,
    .random = fake_random,
};

static const struct luma_head *
fake_lookup(const char *service, uint16_t major)
{
    (void)service;
    (void)major;
    return &toy_language.head;
}

static const struct luma_host_services fake_services = {
    .head = {sizeof(fake_services), 1, 0},
    .lookup = fake_lookup,
};

const struct luma_host fake_host = {
    .head = {sizeof(fake_host), 0, 1},
    .log = &lk_log_host,
    .mem = &lk_mem_host,
    .stats = &lk_stats_host,
    .data = &lk_data_host,
    .sched = &fake_sched,
    .net = &fake_net,
    .session = &lk_session_host,
    .txn = &toy_txn,
    .catalog = &toy_catalog,
    .services = &fake_services,
};
