/*
 * net_priv.h - connections and listeners, for the net_*.c files.
 *
 * A connection belongs to one task and one loop. Its socket is registered once, edge triggered, for
 * both directions; the callback (on the loop) only sets flags and unparks the task. Flags are
 * cleared before a system call that may find nothing, so that an edge in between is not lost.
 */
#ifndef LK_SCHED_NET_PRIV_H
#define LK_SCHED_NET_PRIV_H

#include <openssl/ssl.h>

#include "sched/sched_priv.h"

#define LKI_CONN_MAGIC     0x4c4b434eu
#define LKI_LISTENER_MAGIC 0x4c4b4c53u

#define LKI_NET_BUFFER_BYTES ((size_t)8192)
#define LKI_NET_FLUSH_BYTES  ((size_t)128 << 10) /* pending output that is sent unasked */
#define LKI_NET_KEEP_BYTES   ((size_t)256 << 10) /* larger buffers are given back when empty */
#define LKI_NET_INPUT_MAX    ((size_t)1 << 20)   /* until the frontend says otherwise */

enum lki_conn_waits { LKI_WAITS_NOT = 0, LKI_WAITS_READ = 1, LKI_WAITS_WRITE = 2 };

struct luma_conn {
    uint32_t magic;
    int fd;
    struct luma_listener *listener;
    struct lki_loop *loop;
    struct luma_task *task;
    struct event *event;
    _Atomic bool readable, writable;
    _Atomic bool closing; /* the peer has sent its last byte: no edge will follow */
    _Atomic bool interrupted, killed;
    _Atomic uint8_t waits;
    bool ended; /* end of stream was read */
    struct lki_spin watch_lock;
    struct luma_cancel *watch; /* under watch_lock: cancelled when the peer closes; NULL: none */
    uint8_t *in, *out;
    size_t in_room, in_start, in_end, in_max;
    size_t out_room, out_used;
    uint64_t idle_ns;
    SSL *ssl;
    uint8_t binding[EVP_MAX_MD_SIZE]; /* of the certificate this connection was shown */
    unsigned binding_bytes;
    const char *alpn_wanted;
    char alpn[32];
    struct lk_list link; /* in the listener's list */
    bool loopback, refused;
    char peer[64];
};

#define LKI_LISTEN_SOCKETS_MAX 8

struct lki_listen_socket {
    struct luma_listener *listener;
    struct lki_loop *loop;
    struct event *event, *retry;
    int fd;
};

struct luma_listener {
    uint32_t magic;
    struct luma_listen_spec spec;
    struct lki_listen_socket sockets[LKI_LISTEN_SOCKETS_MAX];
    uint32_t sockets_count;
    uint16_t port;
    _Atomic bool draining;
    _Atomic uint32_t connections; /* those of the limit: without refused ones */
    struct lk_mutex lock;         /* conns, unlistened */
    struct lk_list conns;
    uint32_t conns_count;
    bool unlistened;  /* the last connection frees it */
    bool gone_waited; /* unlisten waits for `gone` */
    struct luma_event gone;
    struct lk_list link; /* in the list of all listeners */
};

/* --- the socket, plain or TLS --- */

enum lki_io_result { LKI_IO_AGAIN = -1, LKI_IO_END = 0, LKI_IO_FAILED = -2 };

/* Bytes moved (> 0) or one of the above. For writing AGAIN may mean that TLS wants to read. */
ssize_t lki_tls_read(struct luma_conn *conn, void *data, size_t bytes);
ssize_t lki_tls_write(struct luma_conn *conn, const void *data, size_t bytes);
void lki_tls_close(struct luma_conn *conn);
luma_rc lki_tls_start(struct luma_ctx *ctx, struct luma_conn *conn, const char *alpn);
bool lki_tls_available(void);
struct luma_slice lki_tls_binding(const struct luma_conn *conn);

/* Parks until the flag is set. LUMA_E_TIMEOUT at deadline_ns (0: none), LUMA_E_SHUTDOWN (reading:
 * drain or interrupt), LUMA_E_CLOSED (killed). */
luma_rc lki_conn_wait(struct luma_conn *conn, enum lki_conn_waits what, uint64_t deadline_ns);
void lki_conn_rouse(struct luma_conn *conn);
/* Closes and frees; from its own task. */
void lki_conn_close(struct luma_conn *conn);

luma_rc lki_conn_peek(struct luma_conn *conn, size_t bytes, struct luma_slice *out_view);
void lki_conn_consume(struct luma_conn *conn, size_t bytes);
size_t lki_conn_buffered(struct luma_conn *conn);
luma_rc lki_conn_reserve(struct luma_conn *conn, size_t bytes, uint8_t **out_room);
void lki_conn_commit(struct luma_conn *conn, size_t bytes);
luma_rc lki_conn_write(struct luma_conn *conn, const void *data, size_t bytes);
luma_rc lki_conn_flush(struct luma_conn *conn);
bool lki_conn_peer_gone(struct luma_conn *conn);
void lki_conn_cancel_on_close(struct luma_conn *conn, struct luma_cancel *cancel);
void lki_conn_closing(struct luma_conn *conn); /* the peer has closed: on its loop */

#endif
