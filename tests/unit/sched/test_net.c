/* tests/unit/sched/test_net.c - listening, connections, TLS, draining, seen from real sockets. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "base/base.h"
#include "sched/sched.h"

static const struct luma_host_sched *const sched = &lk_sched_host;
static const struct luma_host_net *const net = &lk_net_host;

static void
start(void)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    struct lk_sched_conf conf;
    lk_sched_conf_default(&conf);
    conf.loops = 2;
    conf.workers = 2;
    ck_assert_int_eq(lk_sched_start(&c.ctx, &conf), LUMA_OK);
    ck_assert_int_eq(lk_net_start(&c.ctx, NULL), LUMA_OK);
}

static void
stop(void)
{
    lk_net_stop();
    lk_sched_stop();
}

struct server {
    struct luma_listener *listener;
    bool tls, away;
    size_t input_max;
    uint64_t idle_ns;
    _Atomic int last_rc, served, refused;
};

/* Echoes 4-byte-length frames. */
static void
serve(void *arg, struct luma_conn *conn)
{
    struct server *s = arg;
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    luma_rc rc = s->tls ? net->start_tls(&c.ctx, conn, "h2,http/1.1") : LUMA_OK;
    if (s->input_max != 0)
        net->set_input_max(conn, s->input_max);
    net->set_idle_timeout(conn, s->idle_ns);
    while (rc == LUMA_OK) {
        struct luma_slice view;
        uint32_t bytes = 0;
        rc = net->peek(conn, 4, &view);
        if (rc != LUMA_OK)
            break;
        memcpy(&bytes, view.data, 4);
        rc = net->peek(conn, (size_t)bytes + 4, &view);
        if (rc != LUMA_OK)
            break;
        if (s->away) /* answers from another thread than it reads on */
            lk_sched_to_worker();
        rc = net->write(conn, view.data, (size_t)bytes + 4);
        net->consume(conn, (size_t)bytes + 4);
        if (rc == LUMA_OK && net->buffered(conn) == 0)
            rc = net->flush(conn);
    }
    atomic_store(&s->last_rc, rc);
    atomic_fetch_add(&s->served, 1);
}

static void
refuse(void *arg, struct luma_conn *conn)
{
    struct server *s = arg;
    atomic_fetch_add(&s->refused, 1);
    if (net->write(conn, "full", 4) != LUMA_OK)
        abort();
}

static uint16_t
listen_on(struct server *s, uint32_t connections_max)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    struct luma_listen_spec spec = {.name = "test",
                                    .host = "127.0.0.1",
                                    .connections_max = connections_max,
                                    .serve = serve,
                                    .refuse = refuse,
                                    .arg = s};
    luma_rc rc = net->listen(&c.ctx, &spec, &s->listener);
    ck_assert_msg(rc == LUMA_OK, "%s", c.error.message);
    uint16_t port = net->listener_port(s->listener);
    ck_assert_uint_ne(port, 0);
    return port;
}

static int
dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    int one = 1; /* half messages leave at once */
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    return fd;
}

static void
send_all(int fd, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        p += n;
        bytes -= (size_t)n;
    }
}

static size_t
recv_all(int fd, void *data, size_t bytes)
{
    size_t got = 0;
    while (got < bytes) {
        ssize_t n = recv(fd, (char *)data + got, bytes - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

struct client {
    uint16_t port;
    uint32_t frames, bytes_max, seed;
};

static void *
client_run(void *arg)
{
    struct client *cl = arg;
    struct lk_rand r;
    lk_rand_init(&r, cl->seed);
    int fd = dial(cl->port);
    uint8_t *frame = malloc(cl->bytes_max + 4u), *back = malloc(cl->bytes_max + 4u);
    for (uint32_t i = 0; i < cl->frames; i++) {
        uint32_t bytes = (uint32_t)lk_rand_below(&r, cl->bytes_max);
        memcpy(frame, &bytes, 4);
        for (uint32_t b = 0; b < bytes; b++)
            frame[4 + b] = (uint8_t)lk_rand_u64(&r);
        size_t cut = lk_rand_below(&r, bytes + 4u);
        send_all(fd, frame, cut); /* half messages */
        if (i % 16 == 0)
            usleep(200);
        send_all(fd, frame + cut, bytes + 4u - cut);
        ck_assert_uint_eq(recv_all(fd, back, bytes + 4u), bytes + 4u);
        ck_assert_mem_eq(frame, back, bytes + 4u);
    }
    close(fd);
    free(frame);
    free(back);
    return NULL;
}

static void
echo_many(bool away)
{
    static struct server s;
    s.away = away;
    uint16_t port = listen_on(&s, 0);
    pthread_t threads[8];
    struct client clients[8];
    for (uint32_t i = 0; i < 8; i++) {
        clients[i] = (struct client){port, 200, i % 2 ? 100 : 60000, i};
        pthread_create(&threads[i], NULL, client_run, &clients[i]);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&s.served) < 8)
        usleep(1000);
    ck_assert_int_eq(atomic_load(&s.last_rc), LUMA_E_CLOSED);
    net->unlisten(s.listener, sched->now_ns() + 1000000000u);
}

START_TEST(frames_come_back_whole_whatever_their_pieces)
{
    echo_many(false);
    echo_many(true);
}
END_TEST

START_TEST(pipelined_frames_and_a_closed_write_half_are_all_answered)
{
    static struct server s = {0};
    int fd = dial(listen_on(&s, 0));
    enum { COUNT = 30000, FRAME = 54 };
    uint8_t *all = calloc(COUNT, FRAME), *back = calloc(COUNT, FRAME);
    uint32_t bytes = FRAME - 4;
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(all + i * FRAME, &bytes, 4);
        memcpy(all + i * FRAME + 4, &i, sizeof(i));
    }
    /* The server's answers wait for us to read: it must not lose its place. */
    pid_t child = fork();
    if (child == 0) {
        send_all(fd, all, COUNT * FRAME);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    usleep(50000);
    ck_assert_uint_eq(recv_all(fd, back, COUNT * FRAME), COUNT * FRAME);
    ck_assert_mem_eq(all, back, COUNT * FRAME);
    char more;
    ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
    close(fd);
    free(all);
    free(back);
}
END_TEST

START_TEST(a_length_over_the_limit_and_silence_end_the_connection)
{
    static struct server s = {.input_max = 1000};
    int fd = dial(listen_on(&s, 0));
    uint32_t bytes = 1u << 30;
    send_all(fd, &bytes, 4);
    char more;
    ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
    close(fd);
    ck_assert_int_eq(atomic_load(&s.last_rc), LUMA_E_LIMIT);

    static struct server quiet = {.idle_ns = 30000000};
    fd = dial(listen_on(&quiet, 0));
    send_all(fd, &bytes, 3);
    uint64_t before = sched->now_ns();
    ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
    ck_assert_uint_ge(sched->now_ns() - before, 25000000);
    close(fd);
    ck_assert_int_eq(atomic_load(&quiet.last_rc), LUMA_E_TIMEOUT);
}
END_TEST

START_TEST(one_connection_too_many_hears_why)
{
    static struct server s = {0};
    uint16_t port = listen_on(&s, 2);
    int a = dial(port), b = dial(port);
    uint32_t frame[2] = {4, 7};
    send_all(a, frame, 8);
    send_all(b, frame, 8);
    ck_assert_uint_eq(recv_all(a, frame, 8), 8);
    ck_assert_uint_eq(recv_all(b, frame, 8), 8);
    int c = dial(port);
    char text[5] = "";
    ck_assert_uint_eq(recv_all(c, text, 5), 4);
    ck_assert_str_eq(text, "full");
    ck_assert_int_eq(atomic_load(&s.refused), 1);
    close(a);
    while (atomic_load(&s.served) < 1)
        usleep(1000);
    usleep(20000);
    int d = dial(port); /* a place is free again */
    send_all(d, frame, 8);
    ck_assert_uint_eq(recv_all(d, frame, 8), 8);
    close(b);
    close(c);
    close(d);
}
END_TEST

START_TEST(draining_ends_idle_connections_and_frees_the_port)
{
    static struct server s = {0};
    uint16_t port = listen_on(&s, 0);
    int fd = dial(port);
    uint32_t frame[2] = {4, 7};
    send_all(fd, frame, 8);
    ck_assert_uint_eq(recv_all(fd, frame, 8), 8);
    net->unlisten(s.listener, sched->now_ns() + 5000000000u);
    ck_assert_int_eq(atomic_load(&s.last_rc), LUMA_E_SHUTDOWN);
    char more;
    ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
    close(fd);
    int again = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_ne(connect(again, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(again);
}
END_TEST

START_TEST(a_taken_port_names_the_key)
{
    static struct server s = {0}, t = {0};
    uint16_t port = listen_on(&s, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    struct luma_listen_spec spec = {.name = "test",
                                    .host = "127.0.0.1",
                                    .port = port,
                                    .conf_origin = "config.toml:12 [postgres] port",
                                    .serve = serve,
                                    .arg = &t};
    ck_assert_int_eq(net->listen(&c.ctx, &spec, &t.listener), LUMA_E_BUSY);
    ck_assert_ptr_nonnull(strstr(c.error.message, "config.toml:12 [postgres] port"));
    ck_assert_ptr_nonnull(strstr(c.error.message, "taken"));
}
END_TEST

/* --- TLS --- */

static void
make_certificate(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    PEM_write_X509(f, x);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

START_TEST(tls_carries_the_same_frames)
{
    char path[] = "/tmp/lumadb-test-cert-XXXXXX";
    int pem = mkstemp(path);
    ck_assert_int_ge(pem, 0);
    close(pem);
    make_certificate(path);
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    ck_assert(!net->tls_available());
    struct lk_net_conf conf = {.cert = path, .key = path};
    luma_rc rc = lk_net_start(&c.ctx, &conf);
    ck_assert_msg(rc == LUMA_OK, "%s", c.error.message);
    ck_assert(net->tls_available());

    static struct server s = {.tls = true};
    int fd = dial(listen_on(&s, 0));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x08http/1.1", 9);
    SSL_set_fd(ssl, fd);
    ck_assert_int_eq(SSL_connect(ssl), 1);
    const unsigned char *alpn = NULL;
    unsigned alpn_bytes = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_bytes);
    ck_assert_uint_eq(alpn_bytes, 8);
    enum { BIG = 300000 };
    uint8_t *frame = calloc(1, BIG + 4), *back = calloc(1, BIG + 4);
    for (uint32_t bytes = 0; bytes <= BIG; bytes = bytes * 3 + 1) {
        memcpy(frame, &bytes, 4);
        for (uint32_t i = 0; i < bytes; i++)
            frame[4 + i] = (uint8_t)(i * 7 + bytes);
        ck_assert_int_gt(SSL_write(ssl, frame, (int)bytes + 4), 0);
        for (int got = 0; got < (int)bytes + 4;) {
            int n = SSL_read(ssl, back + got, (int)bytes + 4 - got);
            ck_assert_int_gt(n, 0);
            got += n;
        }
        ck_assert_mem_eq(frame, back, bytes + 4);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    free(frame);
    free(back);
    unlink(path);
    conf.cert = "/nonexistent.pem";
    ck_assert_int_eq(lk_net_start(&c.ctx, &conf), LUMA_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(c.error.message, "/nonexistent.pem"));
    lk_net_stop();
    ck_assert_int_eq(lk_net_start(&c.ctx, NULL), LUMA_OK);
}
END_TEST

START_TEST(garbage_in_place_of_a_handshake_ends_that_connection_only)
{
    static struct server s = {.tls = true};
    int fd = dial(listen_on(&s, 0)); /* no certificate: refused by name, not by a crash */
    char more;
    ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
    close(fd);
    ck_assert_int_eq(atomic_load(&s.last_rc), LUMA_E_UNSUPPORTED);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("net");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, frames_come_back_whole_whatever_their_pieces);
    tcase_add_test(tc, pipelined_frames_and_a_closed_write_half_are_all_answered);
    tcase_add_test(tc, a_length_over_the_limit_and_silence_end_the_connection);
    tcase_add_test(tc, one_connection_too_many_hears_why);
    tcase_add_test(tc, draining_ends_idle_connections_and_frees_the_port);
    tcase_add_test(tc, a_taken_port_names_the_key);
    tcase_add_test(tc, tls_carries_the_same_frames);
    tcase_add_test(tc, garbage_in_place_of_a_handshake_ends_that_connection_only);
    return test_run("net", tc);
}
