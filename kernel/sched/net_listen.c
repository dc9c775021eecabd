/*
 * net_listen.c - listening, taking connections, draining; and the table that modules get.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/net_priv.h"

static struct {
    struct lk_mutex lock;
    struct lk_list listeners;
    bool ready;
    _Atomic uint32_t next_loop;
} net = {.lock = LK_MUTEX_INIT(LK_LOCK_NET_LISTENERS)};

/* --- a connection's life --- */

static void
conn_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct luma_conn *conn = arg;
    if (what & EV_CLOSED)
        lki_conn_closing(conn);
    if (what & (EV_READ | EV_CLOSED))
        atomic_store(&conn->readable, true);
    if (what & (EV_WRITE | EV_CLOSED))
        atomic_store(&conn->writable, true);
    uint8_t waits = atomic_load(&conn->waits);
    if ((waits == LKI_WAITS_READ && (what & (EV_READ | EV_CLOSED))) ||
        (waits == LKI_WAITS_WRITE && (what & (EV_WRITE | EV_CLOSED))))
        lki_task_unpark(conn->task);
}

static void
listener_free(struct luma_listener *listener)
{
    listener->magic = 0;
    lk_mutex_fini(&listener->lock);
    free((void *)listener->spec.name);
    free((void *)listener->spec.host);
    free((void *)listener->spec.conf_origin);
    free(listener);
}

static void
listener_forget_conn(struct luma_listener *listener, bool refused)
{
    if (!refused)
        atomic_fetch_sub(&listener->connections, 1);
    lk_mutex_lock(&listener->lock);
    bool last = --listener->conns_count == 0;
    bool free_it = last && listener->unlistened;
    if (last && listener->gone_waited)
        lki_event_signal(&listener->gone);
    lk_mutex_unlock(&listener->lock);
    if (free_it)
        listener_free(listener);
}

static void
conn_run(void *arg)
{
    struct luma_conn *conn = arg;
    struct luma_listener *listener = conn->listener;
    bool refused = conn->refused;
    conn->task = lki_current();
    lki_loop_place(conn->loop);
    short what = (short)(EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST);
    conn->event = event_new(conn->loop->base, conn->fd, what, conn_event, conn);
    if (conn->event != NULL && event_add(conn->event, NULL) == 0) {
        if (!refused)
            listener->spec.serve(listener->spec.arg, conn);
        else if (listener->spec.refuse != NULL)
            listener->spec.refuse(listener->spec.arg, conn);
    }
    lki_conn_close(conn);
    listener_forget_conn(listener, refused);
}

static void
conn_name_peer(struct luma_conn *conn, const struct sockaddr_storage *addr)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        conn->loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
        snprintf(conn->peer, sizeof(conn->peer), "%s:%u", host, ntohs(in->sin_port));
    } else if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        conn->loopback =
            IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
            (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127);
        snprintf(conn->peer, sizeof(conn->peer), "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}

/* The loop with the fewest connections; equal ones take turns. */
static struct lki_loop *
pick_loop(void)
{
    uint32_t first = atomic_fetch_add_explicit(&net.next_loop, 1, memory_order_relaxed);
    struct lki_loop *best = NULL;
    for (uint32_t i = 0; i < lki_sched.loops_count; i++) {
        struct lki_loop *loop = &lki_sched.loops[(first + i) % lki_sched.loops_count];
        if (best == NULL || atomic_load_explicit(&loop->connections, memory_order_relaxed) <
                                atomic_load_explicit(&best->connections, memory_order_relaxed))
            best = loop;
    }
    return best;
}

static bool
conn_start(struct luma_listener *listener, int fd, const struct sockaddr_storage *addr)
{
    struct luma_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return false;
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    conn->magic = LKI_CONN_MAGIC;
    conn->fd = fd;
    conn->listener = listener;
    conn->in_max = LKI_NET_INPUT_MAX;
    conn->loop = pick_loop();
    atomic_store(&conn->writable, true);
    conn_name_peer(conn, addr);
    uint32_t others = atomic_load(&listener->connections);
    conn->refused = listener->spec.connections_max != 0 && others >= listener->spec.connections_max;
    lk_mutex_lock(&listener->lock);
    lk_list_push_back(&listener->conns, &conn->link);
    listener->conns_count++;
    lk_mutex_unlock(&listener->lock);
    if (!conn->refused)
        atomic_fetch_add(&listener->connections, 1);
    atomic_fetch_add_explicit(&conn->loop->connections, 1, memory_order_relaxed);
    if (lk_sched_spawn_on_loop(conn->loop->thread.index, listener->spec.name, LUMA_STACK_NORMAL,
                               conn_run, conn) == LUMA_OK)
        return true;
    bool refused = conn->refused;
    atomic_fetch_sub_explicit(&conn->loop->connections, 1, memory_order_relaxed);
    lk_mutex_lock(&listener->lock);
    lk_list_remove(&conn->link);
    lk_mutex_unlock(&listener->lock);
    free(conn);
    listener_forget_conn(listener, refused);
    return false;
}

/* --- accepting --- */

static void
accept_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct lki_listen_socket *socket = arg;
    event_add(socket->event, NULL);
}

static void
accept_event(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct lki_listen_socket *socket = arg;
    for (int i = 0; i < 64; i++) {
        struct sockaddr_storage addr;
        socklen_t addr_bytes = sizeof(addr);
        memset(&addr, 0, sizeof(addr));
        int peer = accept4(fd, (struct sockaddr *)&addr, &addr_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer >= 0) {
            if (!conn_start(socket->listener, peer, &addr))
                close(peer);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            /* Out of descriptors or memory: the connection stays in the backlog for a while. */
            lk_log_warn("net", "%s: accept: %s", socket->listener->spec.name, strerror(errno));
            struct timeval soon = {.tv_sec = 0, .tv_usec = 100000};
            event_del(socket->event);
            event_add(socket->retry, &soon);
        }
        return;
    }
}

struct listen_call {
    struct luma_listener *listener;
    struct luma_event done;
    luma_rc rc;
};

/* On the loop: only its thread touches its base. */
static void
accept_on(void *arg)
{
    struct listen_call *call = arg;
    struct luma_listener *listener = call->listener;
    for (uint32_t i = 0; i < listener->sockets_count && call->rc == LUMA_OK; i++) {
        struct lki_listen_socket *s = &listener->sockets[i];
        s->loop = &lki_sched.loops[0];
        s->event = event_new(s->loop->base, s->fd, EV_READ | EV_PERSIST, accept_event, s);
        s->retry = evtimer_new(s->loop->base, accept_retry, s);
        if (s->event == NULL || s->retry == NULL || event_add(s->event, NULL) != 0)
            call->rc = LUMA_E_NOMEM;
    }
    lki_event_signal(&call->done);
}

static void
accept_off(void *arg)
{
    struct listen_call *call = arg;
    struct luma_listener *listener = call->listener;
    for (uint32_t i = 0; i < listener->sockets_count; i++) {
        struct lki_listen_socket *s = &listener->sockets[i];
        if (s->event != NULL)
            event_free(s->event);
        if (s->retry != NULL)
            event_free(s->retry);
        s->event = s->retry = NULL;
        close(s->fd);
    }
    listener->sockets_count = 0;
    lki_event_signal(&call->done);
}

static luma_rc
on_loop(struct luma_listener *listener, luma_task_fn fn)
{
    struct listen_call call = {.listener = listener};
    LUMA_TRY(lk_sched_spawn_on_loop(0, "listen", LUMA_STACK_SMALL, fn, &call));
    luma_rc rc = lki_event_wait(NULL, &call.done, 0);
    return rc != LUMA_OK ? rc : call.rc;
}

/* --- listening --- */

static int
socket_open(const struct addrinfo *ai, uint16_t port, uint16_t *out_port)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_storage addr;
    memset(&addr, 0, sizeof(addr));
    memcpy(&addr, ai->ai_addr, ai->ai_addrlen);
    if (ai->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&addr)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&addr)->sin_port = htons(port);
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    socklen_t addr_bytes = sizeof(addr);
    if (bind(fd, (struct sockaddr *)&addr, ai->ai_addrlen) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &addr_bytes) != 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    *out_port = ntohs(ai->ai_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                : ((struct sockaddr_in *)&addr)->sin_port);
    return fd;
}

static luma_rc
listen_failed(struct luma_ctx *ctx, const struct luma_listen_spec *spec, int err)
{
    const char *where = spec->conf_origin == NULL ? spec->name : spec->conf_origin;
    const char *host = spec->host == NULL ? "*" : spec->host;
    if (err == EADDRINUSE)
        return LUMA_FAIL(ctx, LUMA_E_BUSY, "%s: port %u on %s is taken by another program", where,
                         spec->port, host);
    if (err == EACCES)
        return LUMA_FAIL(ctx, LUMA_E_DENIED, "%s: port %u on %s needs more rights", where,
                         spec->port, host);
    return LUMA_FAIL(ctx, LUMA_E_IO, "%s: cannot listen on %s port %u: %s", where, host, spec->port,
                     strerror(err));
}

static luma_rc
listener_bind(struct luma_ctx *ctx, struct luma_listener *listener,
              const struct luma_listen_spec *spec)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    bool any = spec->host == NULL || spec->host[0] == '\0' || strcmp(spec->host, "*") == 0;
    int err = getaddrinfo(any ? NULL : spec->host, "0", &hints, &list);
    if (err != 0)
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "%s: address %s: %s",
                         spec->conf_origin == NULL ? spec->name : spec->conf_origin,
                         any ? "*" : spec->host, gai_strerror(err));
    uint16_t port = spec->port;
    int failed = 0;
    for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        if (listener->sockets_count == LKI_LISTEN_SOCKETS_MAX ||
            (ai->ai_family != AF_INET && ai->ai_family != AF_INET6))
            continue;
        int fd = socket_open(ai, port, &port);
        if (fd >= 0) {
            struct lki_listen_socket *s = &listener->sockets[listener->sockets_count++];
            s->listener = listener;
            s->fd = fd;
        } else if (failed == 0 || -fd == EADDRINUSE) {
            failed = -fd;
        }
    }
    freeaddrinfo(list);
    listener->port = port;
    /* One address of a machine without IPv6 may be missing; a taken one may not. */
    if (listener->sockets_count == 0 || failed == EADDRINUSE)
        return listen_failed(ctx, spec, failed == 0 ? EADDRNOTAVAIL : failed);
    return LUMA_OK;
}

static char *
copy_text(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

static luma_rc
net_listen(struct luma_ctx *ctx, const struct luma_listen_spec *spec,
           struct luma_listener **out_listener)
{
    if (!lk_sched_running())
        return LUMA_FAIL(ctx, LUMA_E_SHUTDOWN, "%s: the event loops are not running", spec->name);
    struct luma_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "%s: no memory for a listener", spec->name);
    listener->magic = LKI_LISTENER_MAGIC;
    listener->spec = *spec;
    listener->spec.name = copy_text(spec->name);
    listener->spec.host = copy_text(spec->host);
    listener->spec.conf_origin = copy_text(spec->conf_origin);
    lk_mutex_init(&listener->lock, LK_LOCK_NET_CONNS);
    lk_list_init(&listener->conns);
    luma_rc rc = listener_bind(ctx, listener, spec);
    if (rc == LUMA_OK) {
        rc = on_loop(listener, accept_on);
        if (rc != LUMA_OK)
            (void)LUMA_FAIL(ctx, rc, "%s: no memory for a listener", spec->name);
    }
    if (rc != LUMA_OK) {
        struct listen_call call = {.listener = listener};
        if (on_loop(listener, accept_off) != LUMA_OK)
            accept_off(&call);
        listener_free(listener);
        return rc;
    }
    lk_mutex_lock(&net.lock);
    if (!net.ready)
        lk_list_init(&net.listeners);
    net.ready = true;
    lk_list_push_back(&net.listeners, &listener->link);
    lk_mutex_unlock(&net.lock);
    *out_listener = listener;
    return LUMA_OK;
}

static uint16_t
net_listener_port(const struct luma_listener *listener)
{
    return listener->port;
}

/* --- draining --- */

static void
conns_each(struct luma_listener *listener, void (*fn)(struct luma_conn *conn))
{
    lk_mutex_lock(&listener->lock);
    LK_LIST_FOR (&listener->conns, conn, struct luma_conn, link)
        fn(conn);
    lk_mutex_unlock(&listener->lock);
}

static void
conn_kill(struct luma_conn *conn)
{
    atomic_store(&conn->killed, true);
    (void)shutdown(conn->fd, SHUT_RDWR);
    lki_conn_rouse(conn);
}

static bool
conns_gone(struct luma_listener *listener, uint64_t deadline_ns)
{
    for (;;) {
        lk_mutex_lock(&listener->lock);
        uint32_t left = listener->conns_count;
        lk_mutex_unlock(&listener->lock);
        if (left == 0)
            return true;
        if (lki_event_wait(NULL, &listener->gone, deadline_ns) == LUMA_E_TIMEOUT)
            return false;
    }
}

static void
net_unlisten(struct luma_listener *listener, uint64_t deadline_ns)
{
    LK_ASSERT(listener->magic == LKI_LISTENER_MAGIC);
    lk_mutex_lock(&net.lock);
    lk_list_remove(&listener->link);
    lk_mutex_unlock(&net.lock);
    (void)on_loop(listener, accept_off);
    if (deadline_ns != 0) {
        lk_mutex_lock(&listener->lock);
        listener->gone_waited = true;
        lk_mutex_unlock(&listener->lock);
        atomic_store(&listener->draining, true);
        conns_each(listener, lki_conn_rouse);
        if (!conns_gone(listener, deadline_ns)) {
            conns_each(listener, conn_kill);
            if (!conns_gone(listener, lki_now_ns() + 1000000000u))
                lk_log_warn("net", "%s: %u connections did not end", listener->spec.name,
                            listener->conns_count);
        }
    }
    lk_mutex_lock(&listener->lock);
    listener->unlistened = true;
    listener->gone_waited = false;
    bool free_it = listener->conns_count == 0;
    lk_mutex_unlock(&listener->lock);
    if (free_it)
        listener_free(listener);
}

void
lk_net_stop(void)
{
    for (;;) {
        lk_mutex_lock(&net.lock);
        struct lk_list *first =
            net.ready && !lk_list_empty(&net.listeners) ? net.listeners.next : NULL;
        lk_mutex_unlock(&net.lock);
        if (first == NULL)
            return;
        net_unlisten(LK_LIST_ENTRY(first, struct luma_listener, link), lki_now_ns() + 1);
    }
}

/* --- the table --- */

static void
net_set_input_max(struct luma_conn *conn, size_t bytes_max)
{
    conn->in_max = bytes_max;
}

static void
net_set_idle_timeout(struct luma_conn *conn, uint64_t nanoseconds)
{
    conn->idle_ns = nanoseconds;
}

static const char *
net_peer(const struct luma_conn *conn)
{
    return conn->peer;
}

static bool
net_peer_is_loopback(const struct luma_conn *conn)
{
    return conn->loopback;
}

static bool
net_draining(const struct luma_conn *conn)
{
    return atomic_load_explicit(&conn->listener->draining, memory_order_relaxed) ||
           atomic_load_explicit(&conn->interrupted, memory_order_relaxed);
}

static void
net_interrupt(struct luma_conn *conn)
{
    atomic_store(&conn->interrupted, true);
    lki_conn_rouse(conn);
}

static const char *
net_tls_alpn(const struct luma_conn *conn)
{
    return conn->alpn[0] == '\0' ? NULL : conn->alpn;
}

const struct luma_host_net lk_net_host = {
    .head = {sizeof(struct luma_host_net), 1, 0},
    .listen = net_listen,
    .listener_port = net_listener_port,
    .unlisten = net_unlisten,
    .peek = lki_conn_peek,
    .consume = lki_conn_consume,
    .buffered = lki_conn_buffered,
    .set_input_max = net_set_input_max,
    .set_idle_timeout = net_set_idle_timeout,
    .reserve = lki_conn_reserve,
    .commit = lki_conn_commit,
    .write = lki_conn_write,
    .flush = lki_conn_flush,
    .start_tls = lki_tls_start,
    .tls_available = lki_tls_available,
    .tls_alpn = net_tls_alpn,
    .tls_binding = lki_tls_binding,
    .peer = net_peer,
    .peer_is_loopback = net_peer_is_loopback,
    .draining = net_draining,
    .interrupt = net_interrupt,
    .peer_gone = lki_conn_peer_gone,
    .cancel_on_close = lki_conn_cancel_on_close,
};
