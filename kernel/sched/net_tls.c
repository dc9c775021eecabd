/*
 * net_tls.c - TLS 1.2 and later through OpenSSL, on the same non-blocking sockets.
 *
 * OpenSSL keeps its errors in a queue of the thread; it is read before any call that may park.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "sched/net_priv.h"

#define HANDSHAKE_NS 10000000000u

const struct luma_conf_item lk_net_conf_items[] = {
    LUMA_CONF_PATH(struct lk_net_conf, cert, .flags = LUMA_CONF_RELOAD,
                   .help = "certificate chain (PEM); unset: no TLS"),
    LUMA_CONF_PATH(struct lk_net_conf, key, .flags = LUMA_CONF_RELOAD,
                   .help = "private key of the certificate (PEM)"),
    LUMA_CONF_ENUM(struct lk_net_conf, min_version, .sdef = "1.2", .values = "1.2|1.3",
                   .flags = LUMA_CONF_RELOAD, .help = "oldest protocol version accepted"),
    LUMA_CONF_END,
};

static struct {
    struct lk_mutex lock;
    SSL_CTX *ctx;
} tls = {.lock = LK_MUTEX_INIT(LK_LOCK_NET_TLS)};

/* --- the certificate --- */

/* tls-server-end-point (RFC 5929): the certificate's hash by its own signature's function, SHA-256
 * where that is MD5 or SHA-1. */
static unsigned
binding_make(X509 *cert, uint8_t *out)
{
    int digest = NID_undef;
    if (cert == NULL || OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL) == 0)
        return 0;
    const EVP_MD *md = digest == NID_md5 || digest == NID_sha1 || digest == NID_undef
                           ? EVP_sha256()
                           : EVP_get_digestbynid(digest);
    unsigned bytes = 0;
    if (md == NULL || X509_digest(cert, md, out, &bytes) != 1)
        return 0;
    return bytes;
}

/* The server's order of preference decides. */
static int
alpn_choose(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
            unsigned in_bytes, void *arg)
{
    (void)arg;
    const struct luma_conn *conn = SSL_get_app_data(ssl);
    const char *wanted = conn == NULL ? NULL : conn->alpn_wanted;
    while (wanted != NULL && *wanted != '\0') {
        size_t n = strcspn(wanted, ",");
        for (unsigned at = 0; at + 1 + in[at] <= in_bytes; at += 1u + in[at]) {
            if (in[at] == n && memcmp(in + at + 1, wanted, n) == 0) {
                *out = in + at + 1;
                *out_bytes = in[at];
                return SSL_TLSEXT_ERR_OK;
            }
            if (at + 1 + in[at] == in_bytes)
                break;
        }
        wanted += n + (wanted[n] == ',');
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static const char *
tls_error(char *text, size_t room)
{
    unsigned long err = ERR_get_error();
    if (err == 0)
        snprintf(text, room, "unknown reason");
    else
        ERR_error_string_n(err, text, room);
    ERR_clear_error();
    return text;
}

static luma_rc
tls_load(struct luma_ctx *ctx, const struct lk_net_conf *conf, SSL_CTX **out_ssl)
{
    char text[256];
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "[tls]: %s", tls_error(text, sizeof(text)));
    bool only13 = conf->min_version != NULL && strcmp(conf->min_version, "1.3") == 0;
    SSL_CTX_set_min_proto_version(ssl, only13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ssl, alpn_choose, NULL);
    if (SSL_CTX_use_certificate_chain_file(ssl, conf->cert) != 1) {
        SSL_CTX_free(ssl);
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "[tls] cert: %s: %s", conf->cert,
                         tls_error(text, sizeof(text)));
    }
    const char *key = conf->key == NULL ? conf->cert : conf->key;
    if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ssl) != 1) {
        SSL_CTX_free(ssl);
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "[tls] key: %s: %s", key,
                         tls_error(text, sizeof(text)));
    }
    *out_ssl = ssl;
    return LUMA_OK;
}

luma_rc
lk_net_start(struct luma_ctx *ctx, const struct lk_net_conf *conf)
{
    signal(SIGPIPE, SIG_IGN); /* a peer that left is an error code, not the end */
    SSL_CTX *fresh = NULL;
    if (conf != NULL && conf->cert != NULL && conf->cert[0] != '\0')
        LUMA_TRY(tls_load(ctx, conf, &fresh));
    lk_mutex_lock(&tls.lock);
    SSL_CTX *old = tls.ctx;
    tls.ctx = fresh;
    lk_mutex_unlock(&tls.lock);
    SSL_CTX_free(old); /* connections hold references of their own */
    return LUMA_OK;
}

bool
lki_tls_available(void)
{
    lk_mutex_lock(&tls.lock);
    bool available = tls.ctx != NULL;
    lk_mutex_unlock(&tls.lock);
    return available;
}

struct luma_slice
lki_tls_binding(const struct luma_conn *conn)
{
    return luma_slice(conn->binding, conn->binding_bytes);
}

/* --- moving bytes --- */

static ssize_t
tls_result(struct luma_conn *conn, int n, bool writing)
{
    switch (SSL_get_error(conn->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        (void)writing;
        return LKI_IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return LKI_IO_END;
    default:
        ERR_clear_error();
        return LKI_IO_FAILED;
    }
}

ssize_t
lki_tls_read(struct luma_conn *conn, void *data, size_t bytes)
{
    ERR_clear_error();
    int n = SSL_read(conn->ssl, data, bytes > INT32_MAX ? INT32_MAX : (int)bytes);
    return n > 0 ? n : tls_result(conn, n, false);
}

ssize_t
lki_tls_write(struct luma_conn *conn, const void *data, size_t bytes)
{
    ERR_clear_error();
    int n = SSL_write(conn->ssl, data, bytes > INT32_MAX ? INT32_MAX : (int)bytes);
    return n > 0 ? n : tls_result(conn, n, true);
}

void
lki_tls_close(struct luma_conn *conn)
{
    if (conn->ssl == NULL)
        return;
    ERR_clear_error();
    if (SSL_is_init_finished(conn->ssl))
        (void)SSL_shutdown(conn->ssl); /* says goodbye, does not wait for an answer */
    ERR_clear_error();
    SSL_free(conn->ssl);
    conn->ssl = NULL;
}

/* --- the handshake --- */

static luma_rc
handshake_step(struct luma_ctx *ctx, struct luma_conn *conn, uint64_t deadline_ns, bool *out_done)
{
    char text[256];
    ERR_clear_error();
    atomic_store(&conn->readable, false);
    atomic_store(&conn->writable, false);
    int n = SSL_accept(conn->ssl);
    if (n == 1) {
        *out_done = true;
        return LUMA_OK;
    }
    int why = SSL_get_error(conn->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        return LUMA_FAIL(ctx, LUMA_E_PROTOCOL, "TLS handshake: %s", tls_error(text, sizeof(text)));
    luma_rc rc = lki_conn_wait(conn, why == SSL_ERROR_WANT_READ ? LKI_WAITS_READ : LKI_WAITS_WRITE,
                               deadline_ns);
    return rc == LUMA_OK ? rc : LUMA_FAIL(ctx, rc, "TLS handshake was not finished");
}

luma_rc
lki_tls_start(struct luma_ctx *ctx, struct luma_conn *conn, const char *alpn)
{
    /* Plain bytes that came along must not be taken for encrypted ones. */
    if (lki_conn_buffered(conn) > 0)
        return LUMA_FAIL(ctx, LUMA_E_PROTOCOL, "unencrypted data after a request for TLS");
    luma_rc flushed = lki_conn_flush(conn);
    if (flushed != LUMA_OK)
        return LUMA_FAIL(ctx, flushed, "connection closed before the TLS handshake");
    lk_mutex_lock(&tls.lock);
    SSL *ssl = tls.ctx == NULL ? NULL : SSL_new(tls.ctx);
    lk_mutex_unlock(&tls.lock);
    if (ssl == NULL || SSL_set_fd(ssl, conn->fd) != 1) {
        SSL_free(ssl);
        return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED, "TLS is not configured");
    }
    conn->ssl = ssl;
    conn->alpn_wanted = alpn;
    SSL_set_app_data(ssl, conn);
    uint64_t deadline_ns = lki_now_ns() + (conn->idle_ns != 0 ? conn->idle_ns : HANDSHAKE_NS);
    for (bool done = false; !done;)
        LUMA_TRY(handshake_step(ctx, conn, deadline_ns, &done));
    const unsigned char *chosen = NULL;
    unsigned bytes = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &bytes);
    if (bytes > 0 && bytes < sizeof(conn->alpn))
        memcpy(conn->alpn, chosen, bytes);
    conn->alpn_wanted = NULL;
    /* By now a reload may have brought another certificate for those who come later. */
    conn->binding_bytes = binding_make(SSL_get_certificate(ssl), conn->binding);
    atomic_store(&conn->readable, true); /* data may have come with the last message */
    atomic_store(&conn->writable, true);
    return LUMA_OK;
}
