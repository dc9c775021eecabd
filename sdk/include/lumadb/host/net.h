/*
 * lumadb/host/net.h - listening, connections, TLS.
 *
 * A frontend listens and gets one task per connection, which reads and writes in straight-line
 * code; the calls park. Output is buffered until flush: pipelined answers leave in one write.
 */
#ifndef LUMADB_HOST_NET_H
#define LUMADB_HOST_NET_H

#include <lumadb/error.h>

struct luma_listener;
struct luma_conn;
struct luma_cancel;

struct luma_listen_spec {
    const char *name;         /* "frontend.pgwire" */
    const char *host;         /* address or name; NULL or "*": any */
    uint16_t port;            /* 0: choose one */
    uint32_t connections_max; /* 0: no limit of its own */
    const char *conf_origin;  /* "config.toml:12 [postgres] port": named when the port is taken */
    /* Runs as the connection's task; the connection closes when it returns. */
    void (*serve)(void *arg, struct luma_conn *conn);
    /* Called in place of serve for a connection over connections_max, so that the protocol can
     * say why; may be NULL. It must write little and return. */
    void (*refuse)(void *arg, struct luma_conn *conn);
    void *arg;
};

struct luma_host_net {
    struct luma_head head;
    luma_rc (*listen)(struct luma_ctx *ctx, const struct luma_listen_spec *spec,
                      struct luma_listener **out_listener);
    uint16_t (*listener_port)(const struct luma_listener *listener);
    /* Stops accepting; with deadline_ns != 0 waits until the connections are gone or it passes,
     * then closes the rest. connections are asked to finish through conn_draining. */
    void (*unlisten)(struct luma_listener *listener, uint64_t deadline_ns);

    /* --- reading: the connection owns a growing input buffer --- */
    /* Parks until at least `bytes` unread bytes are there and gives a view of ALL unread bytes,
     * valid until the next peek (consume only moves the beginning). LUMA_E_CLOSED at end of stream,
     * LUMA_E_TIMEOUT, LUMA_E_SHUTDOWN when draining, LUMA_E_LIMIT when bytes exceeds bytes_max. Not
     * reported in ctx. */
    luma_rc (*peek)(struct luma_conn *conn, size_t bytes, struct luma_slice *out_view);
    void (*consume)(struct luma_conn *conn, size_t bytes); /* of what peek showed */
    /* Unread bytes there already, without parking. */
    size_t (*buffered)(struct luma_conn *conn);
    void (*set_input_max)(struct luma_conn *conn, size_t bytes_max);
    void (*set_idle_timeout)(struct luma_conn *conn, uint64_t nanoseconds); /* of peek; 0: none */

    /* --- writing --- */
    /* Room for `bytes` in the output buffer; commit says how many were used. Flushes (parks) by
     * itself when much is pending. LUMA_E_CLOSED when the peer is gone. */
    luma_rc (*reserve)(struct luma_conn *conn, size_t bytes, uint8_t **out_room);
    void (*commit)(struct luma_conn *conn, size_t bytes);
    luma_rc (*write)(struct luma_conn *conn, const void *data, size_t bytes); /* copies */
    luma_rc (*flush)(struct luma_conn *conn); /* parks until the kernel took everything */

    /* --- TLS, on a connection that spoke plain text until now --- */
    /* Server side handshake; alpn is a comma separated list, may be NULL. Parks. */
    luma_rc (*start_tls)(struct luma_ctx *ctx, struct luma_conn *conn, const char *alpn);
    bool (*tls_available)(void); /* a certificate is configured ([tls] cert, key) */
    const char *(*tls_alpn)(const struct luma_conn *conn); /* chosen protocol or NULL */
    /* tls-server-end-point channel binding data (SCRAM-PLUS); 0 bytes: none. */
    struct luma_slice (*tls_binding)(const struct luma_conn *conn);

    /* --- the rest --- */
    const char *(*peer)(const struct luma_conn *conn); /* "127.0.0.1:40312" */
    bool (*peer_is_loopback)(const struct luma_conn *conn);
    bool (*draining)(const struct luma_conn *conn); /* finish what you do and return */
    /* From another task: makes a parked peek return LUMA_E_SHUTDOWN (drain) now. */
    void (*interrupt)(struct luma_conn *conn);
    /* Nonzero when the peer has closed although nobody reads: asked by long statements. */
    bool (*peer_gone)(struct luma_conn *conn);
    /* From now on a peer that closes cancels what runs under the token; NULL: no more. The token
     * outlives the connection, or is taken away before it goes. */
    void (*cancel_on_close)(struct luma_conn *conn, struct luma_cancel *cancel);
};

#endif
