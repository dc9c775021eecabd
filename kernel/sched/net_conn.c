/*
 * net_conn.c - reading, writing and waiting on a connection.
 */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/net_priv.h"

void
lki_conn_rouse(struct luma_conn *conn)
{
    if (atomic_load(&conn->waits) != LKI_WAITS_NOT)
        lki_task_unpark(conn->task);
}

luma_rc
lki_conn_wait(struct luma_conn *conn, enum lki_conn_waits what, uint64_t deadline_ns)
{
    _Atomic bool *flag = what == LKI_WAITS_READ ? &conn->readable : &conn->writable;
    luma_rc rc = LUMA_OK;
    LK_ASSERT(lki_current() == conn->task);
    for (;;) {
        /* Pairs with the callback: it sets the flag, then looks at `waits`. */
        atomic_store(&conn->waits, (uint8_t)what);
        if (atomic_load(flag))
            break;
        if (atomic_load(&conn->killed))
            rc = LUMA_E_CLOSED;
        else if (what == LKI_WAITS_READ &&
                 (atomic_load(&conn->interrupted) || atomic_load(&conn->listener->draining)))
            rc = LUMA_E_SHUTDOWN;
        else if (deadline_ns != 0 && lki_now_ns() >= deadline_ns)
            rc = LUMA_E_TIMEOUT;
        if (rc != LUMA_OK)
            break;
        lki_task_park_until(deadline_ns);
    }
    atomic_store_explicit(&conn->waits, LKI_WAITS_NOT, memory_order_relaxed);
    return rc;
}

/* --- reading --- */

static ssize_t
plain_read(struct luma_conn *conn, void *data, size_t bytes)
{
    for (;;) {
        ssize_t n = recv(conn->fd, data, bytes, 0);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? LKI_IO_AGAIN : LKI_IO_FAILED;
    }
}

/* Room for at least one more byte behind what is there. */
static luma_rc
input_room(struct luma_conn *conn)
{
    if (conn->in_start == conn->in_end) {
        conn->in_start = conn->in_end = 0;
        if (conn->in_room > LKI_NET_KEEP_BYTES) {
            lk_free(NULL, conn->in, conn->in_room);
            conn->in = NULL;
            conn->in_room = 0;
        }
    }
    if (conn->in_end < conn->in_room)
        return LUMA_OK;
    size_t unread = conn->in_end - conn->in_start;
    if (conn->in_start >= conn->in_room / 2 && conn->in_start > 0) {
        memmove(conn->in, conn->in + conn->in_start, unread);
    } else {
        /* Doubles with what came, never by what a length field promises. */
        size_t room = conn->in_room == 0 ? LKI_NET_BUFFER_BYTES : conn->in_room * 2;
        uint8_t *in = lk_alloc(NULL, room);
        if (in == NULL)
            return LUMA_E_NOMEM;
        if (unread > 0)
            memcpy(in, conn->in + conn->in_start, unread);
        lk_free(NULL, conn->in, conn->in_room);
        conn->in = in;
        conn->in_room = room;
    }
    conn->in_start = 0;
    conn->in_end = unread;
    return LUMA_OK;
}

/* Reads what is there, parking until there is something. */
static luma_rc
input_fill(struct luma_conn *conn)
{
    uint64_t deadline_ns = 0;
    LUMA_TRY(input_room(conn));
    for (;;) {
        if (conn->ended)
            return LUMA_E_CLOSED;
        if (!atomic_load_explicit(&conn->readable, memory_order_relaxed)) {
            if (deadline_ns == 0 && conn->idle_ns != 0)
                deadline_ns = lki_now_ns() + conn->idle_ns;
            lk_sched_to_loop(); /* the next request arrives there */
            LUMA_TRY(lki_conn_wait(conn, LKI_WAITS_READ, deadline_ns));
        }
        size_t room = conn->in_room - conn->in_end;
        atomic_store(&conn->readable, false);
        ssize_t n = conn->ssl == NULL ? plain_read(conn, conn->in + conn->in_end, room)
                                      : lki_tls_read(conn, conn->in + conn->in_end, room);
        /* A short read has emptied the socket and the next byte makes an edge; not so after the
         * peer's last byte, nor with what TLS holds. */
        if (n == (ssize_t)room || conn->ssl != NULL ||
            atomic_load_explicit(&conn->closing, memory_order_relaxed)) {
            if (n != LKI_IO_AGAIN)
                atomic_store_explicit(&conn->readable, true, memory_order_relaxed);
        }
        if (n > 0) {
            conn->in_end += (size_t)n;
            return LUMA_OK;
        }
        if (n != LKI_IO_AGAIN)
            conn->ended = true;
    }
}

luma_rc
lki_conn_peek(struct luma_conn *conn, size_t bytes, struct luma_slice *out_view)
{
    if (LUMA_UNLIKELY(bytes > conn->in_max))
        return LUMA_E_LIMIT;
    if (LUMA_UNLIKELY(atomic_load_explicit(&conn->interrupted, memory_order_relaxed)))
        return LUMA_E_SHUTDOWN;
    while (conn->in_end - conn->in_start < bytes)
        LUMA_TRY(input_fill(conn));
    *out_view = luma_slice(conn->in + conn->in_start, conn->in_end - conn->in_start);
    return LUMA_OK;
}

void
lki_conn_consume(struct luma_conn *conn, size_t bytes)
{
    LK_ASSERT(bytes <= conn->in_end - conn->in_start);
    conn->in_start += bytes;
}

size_t
lki_conn_buffered(struct luma_conn *conn)
{
    return conn->in_end - conn->in_start;
}

/* --- writing --- */

static ssize_t
plain_write(struct luma_conn *conn, const void *data, size_t bytes)
{
    for (;;) {
        ssize_t n = send(conn->fd, data, bytes, MSG_NOSIGNAL);
        if (n > 0)
            return n;
        if (n < 0 && errno == EINTR)
            continue;
        return n == 0 || errno == EAGAIN || errno == EWOULDBLOCK ? LKI_IO_AGAIN : LKI_IO_FAILED;
    }
}

static luma_rc
output_send(struct luma_conn *conn, const uint8_t *data, size_t bytes)
{
    bool cleared = false;
    while (bytes > 0) {
        ssize_t n =
            conn->ssl == NULL ? plain_write(conn, data, bytes) : lki_tls_write(conn, data, bytes);
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
            cleared = false;
            continue;
        }
        if (n != LKI_IO_AGAIN)
            return LUMA_E_CLOSED;
        if (cleared) {
            LUMA_TRY(lki_conn_wait(conn, LKI_WAITS_WRITE, 0));
            cleared = false;
        } else { /* and try once more: an edge may have come before the flag was cleared */
            atomic_store(&conn->writable, false);
            cleared = true;
        }
    }
    return LUMA_OK;
}

luma_rc
lki_conn_flush(struct luma_conn *conn)
{
    if (conn->out_used == 0)
        return LUMA_OK;
    size_t bytes = conn->out_used;
    conn->out_used = 0;
    LUMA_TRY(output_send(conn, conn->out, bytes));
    if (conn->out_room > LKI_NET_KEEP_BYTES) {
        lk_free(NULL, conn->out, conn->out_room);
        conn->out = NULL;
        conn->out_room = 0;
    }
    return LUMA_OK;
}

static luma_rc
output_grow(struct luma_conn *conn, size_t bytes)
{
    size_t room = conn->out_room == 0 ? LKI_NET_BUFFER_BYTES : conn->out_room;
    while (room - conn->out_used < bytes) {
        if (room > SIZE_MAX / 4)
            return LUMA_E_LIMIT;
        room *= 2;
    }
    uint8_t *out = lk_alloc(NULL, room);
    if (out == NULL)
        return LUMA_E_NOMEM;
    if (conn->out_used > 0)
        memcpy(out, conn->out, conn->out_used);
    lk_free(NULL, conn->out, conn->out_room);
    conn->out = out;
    conn->out_room = room;
    return LUMA_OK;
}

luma_rc
lki_conn_reserve(struct luma_conn *conn, size_t bytes, uint8_t **out_room)
{
    if (LUMA_UNLIKELY(conn->out_room - conn->out_used < bytes || conn->out_room == 0)) {
        if (conn->out_used >= LKI_NET_FLUSH_BYTES)
            LUMA_TRY(lki_conn_flush(conn));
        if (conn->out_room - conn->out_used < bytes || conn->out_room == 0)
            LUMA_TRY(output_grow(conn, bytes));
    }
    *out_room = conn->out + conn->out_used;
    return LUMA_OK;
}

void
lki_conn_commit(struct luma_conn *conn, size_t bytes)
{
    LK_ASSERT_SLOW(bytes <= conn->out_room - conn->out_used);
    conn->out_used += bytes;
}

luma_rc
lki_conn_write(struct luma_conn *conn, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        size_t n = LK_MIN(bytes, LKI_NET_FLUSH_BYTES);
        uint8_t *room;
        LUMA_TRY(lki_conn_reserve(conn, n, &room));
        memcpy(room, from, n);
        lki_conn_commit(conn, n);
        from += n;
        bytes -= n;
    }
    return LUMA_OK;
}

/* --- the end --- */

bool
lki_conn_peer_gone(struct luma_conn *conn)
{
    if (conn->ended || atomic_load(&conn->killed))
        return true;
    struct pollfd p = {.fd = conn->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void
lki_conn_cancel_on_close(struct luma_conn *conn, struct luma_cancel *cancel)
{
    lki_spin_lock(&conn->watch_lock);
    conn->watch = cancel;
    lki_spin_unlock(&conn->watch_lock);
}

void
lki_conn_closing(struct luma_conn *conn)
{
    atomic_store_explicit(&conn->closing, true, memory_order_relaxed);
    /* Under the lock the token is there: its owner takes it away before it goes. */
    lki_spin_lock(&conn->watch_lock);
    if (conn->watch != NULL)
        lki_cancel(conn->watch, LUMA_E_CANCELED);
    lki_spin_unlock(&conn->watch_lock);
}

#define LINGER_NS 1000000000u

/* Closing with unread bytes makes the system reset the connection, and the peer may lose the answer
 * that says why. So a peer that is still sending is heard out for a moment. */
static void
conn_linger(struct luma_conn *conn)
{
    uint8_t scratch[4096];
    if (conn->ended || atomic_load(&conn->killed) ||
        recv(conn->fd, scratch, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return;
    (void)shutdown(conn->fd, SHUT_WR);
    uint64_t deadline_ns = lki_now_ns() + LINGER_NS;
    for (;;) {
        atomic_store(&conn->readable, false);
        ssize_t n = plain_read(conn, scratch, sizeof(scratch));
        if (n == LKI_IO_END || n == LKI_IO_FAILED || lki_now_ns() >= deadline_ns)
            return;
        if (n == LKI_IO_AGAIN && lki_conn_wait(conn, LKI_WAITS_READ, deadline_ns) != LUMA_OK)
            return;
    }
}

void
lki_conn_close(struct luma_conn *conn)
{
    struct luma_listener *listener = conn->listener;
    (void)lki_conn_flush(conn);
    lk_sched_to_loop();
    lki_tls_close(conn);
    if (conn->event != NULL)
        conn_linger(conn);
    if (conn->event != NULL)
        event_free(conn->event);
    lk_mutex_lock(&listener->lock);
    lk_list_remove(&conn->link); /* nobody finds it any more */
    lk_mutex_unlock(&listener->lock);
    close(conn->fd);
    lk_free(NULL, conn->in, conn->in_room);
    lk_free(NULL, conn->out, conn->out_room);
    atomic_fetch_sub_explicit(&conn->loop->connections, 1, memory_order_relaxed);
    lki_loop_place(conn->loop);
    conn->magic = 0;
    free(conn);
}
