/*
 * scram.c - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, 7677, 5929).
 *
 * The server knows StoredKey and ServerKey only. An unknown user goes through the same steps with
 * a made-up verifier and fails at the end, like a wrong password.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "write.h"

#define NONCE_BYTES 18
#define TEXT_MAX    1024

struct scram {
    struct luma_scram verifier;
    bool known, plus;
    char gs2[TEXT_MAX];          /* "n,,", "y,," or "p=...,," */
    char client_first[TEXT_MAX]; /* without gs2 */
    char server_first[TEXT_MAX];
    char nonce[TEXT_MAX]; /* client's and server's */
    uint8_t signature[32];
};

static luma_rc
malformed(struct luma_ctx *ctx, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_PROTOCOL, "malformed SCRAM message: %s", what);
}

static void
hmac(const uint8_t key[32], const void *data, size_t bytes, uint8_t out[32])
{
    unsigned n = 32;
    HMAC(EVP_sha256(), key, 32, data, bytes, out, &n);
}

static bool
base64_read(const char *text, size_t text_bytes, uint8_t *out, size_t room, size_t *out_bytes)
{
    uint8_t plain[TEXT_MAX];
    if (text_bytes == 0 || text_bytes % 4 != 0 || text_bytes / 4 * 3 > sizeof(plain))
        return false;
    int n = EVP_DecodeBlock(plain, (const uint8_t *)text, (int)text_bytes);
    size_t pad = (size_t)(text[text_bytes - 1] == '=') + (size_t)(text[text_bytes - 2] == '=');
    if (n < 0 || (size_t)n - pad > room)
        return false;
    *out_bytes = (size_t)n - pad;
    memcpy(out, plain, *out_bytes);
    return true;
}

/* --- messages of the authentication exchange --- */

static void
send_auth(struct pg_conn *c, uint32_t code, const void *data, size_t bytes)
{
    struct pg_out out;
    if (!pg_out_begin(c, &out, 'R', bytes + 4))
        return;
    pg_out_32(&out, code);
    pg_out_bytes(&out, data, bytes);
    pg_out_end(c, &out);
}

static luma_rc
read_response(struct pg_conn *c, struct pg_message *out)
{
    LUMA_TRY(pg_read(c, out));
    if (out->type != 'p')
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "expected SASL response, got message type %u",
                         out->type);
    if (out->body.bytes >= TEXT_MAX)
        return malformed(c->ctx, "too long");
    return LUMA_OK;
}

static void
offer(struct pg_conn *c)
{
    static const char both[] = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
    static const char plain[] = "SCRAM-SHA-256\0";
    if (c->net->tls_binding(c->conn).bytes > 0)
        send_auth(c, 10, both, sizeof(both));
    else
        send_auth(c, 10, plain, sizeof(plain));
}

/* --- client-first --- */

static luma_rc
check_gs2(struct pg_conn *c, struct scram *s)
{
    bool can_bind = c->net->tls_binding(c->conn).bytes > 0;
    if (s->plus) {
        if (strncmp(s->gs2, "p=tls-server-end-point,", 23) != 0)
            return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "unsupported SCRAM channel-binding type");
    } else if (s->gs2[0] == 'y' && can_bind) {
        /* The client could have bound but was not told that we can: somebody sits between. */
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_AUTH, "28000",
                             "SCRAM channel binding negotiation error");
    } else if (s->gs2[0] != 'n' && s->gs2[0] != 'y') {
        return malformed(c->ctx, "channel binding without SCRAM-SHA-256-PLUS");
    }
    return LUMA_OK;
}

/* text: gs2 header, then n=user,r=nonce[,extensions]. */
static luma_rc
take_client_first(struct pg_conn *c, struct scram *s, const char *text)
{
    const char *comma = strchr(text, ',');
    const char *bare = comma == NULL ? NULL : strchr(comma + 1, ',');
    if (bare == NULL)
        return malformed(c->ctx, "no header");
    bare++;
    if (comma[1] != ',' && strncmp(comma + 1, "a=", 2) != 0)
        return malformed(c->ctx, "authorization identity");
    memcpy(s->gs2, text, (size_t)(bare - text));
    s->gs2[bare - text] = '\0';
    LUMA_TRY(check_gs2(c, s));
    snprintf(s->client_first, sizeof(s->client_first), "%s", bare);
    if (strncmp(bare, "m=", 2) == 0)
        return LUMA_FAIL(c->ctx, LUMA_E_UNSUPPORTED,
                         "client requires an unsupported SCRAM extension");
    const char *nonce = strstr(bare, ",r=");
    if (strncmp(bare, "n=", 2) != 0 || nonce == NULL)
        return malformed(c->ctx, "no user or nonce");
    size_t bytes = strcspn(nonce + 3, ",");
    if (bytes == 0 || bytes > TEXT_MAX / 4)
        return malformed(c->ctx, "nonce");
    for (size_t i = 0; i < bytes; i++)
        if (nonce[3 + i] < 0x21 || nonce[3 + i] > 0x7e)
            return malformed(c->ctx, "nonce");
    memcpy(s->nonce, nonce + 3, bytes);
    s->nonce[bytes] = '\0';
    return LUMA_OK;
}

static luma_rc
receive_client_first(struct pg_conn *c, struct scram *s)
{
    struct pg_message m;
    char text[TEXT_MAX];
    LUMA_TRY(read_response(c, &m));
    struct pg_in in = pg_in(m.body);
    const char *mechanism = pg_in_text(&in);
    uint32_t bytes = pg_in_32(&in);
    const uint8_t *data = in.bad || bytes >= TEXT_MAX ? NULL : pg_in_take(&in, bytes);
    if (in.bad || data == NULL)
        return malformed(c->ctx, "first message");
    s->plus = strcmp(mechanism, "SCRAM-SHA-256-PLUS") == 0;
    if (!s->plus && strcmp(mechanism, "SCRAM-SHA-256") != 0)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "client selected an invalid SASL mechanism");
    if (s->plus && c->net->tls_binding(c->conn).bytes == 0)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "client selected channel binding without TLS");
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (strlen(text) != bytes)
        return malformed(c->ctx, "NUL");
    return take_client_first(c, s, text);
}

/* --- server-first --- */

static void
send_server_first(struct pg_conn *c, struct scram *s)
{
    uint8_t raw[NONCE_BYTES], salt[64];
    uint8_t encoded[64];
    c->host->sched->random(raw, sizeof(raw));
    EVP_EncodeBlock(encoded, raw, sizeof(raw));
    size_t at = strlen(s->nonce);
    snprintf(s->nonce + at, sizeof(s->nonce) - at, "%s", (char *)encoded);
    EVP_EncodeBlock(salt, s->verifier.salt, (int)s->verifier.salt_bytes);
    int n = snprintf(s->server_first, sizeof(s->server_first), "r=%s,s=%s,i=%u", s->nonce,
                     (char *)salt, s->verifier.iterations);
    send_auth(c, 11, s->server_first, (size_t)n);
}

/* --- client-final --- */

/* c= must repeat the header, with the binding where one was promised. */
static bool
binding_matches(struct pg_conn *c, const struct scram *s, const char *text, size_t text_bytes)
{
    uint8_t got[TEXT_MAX], want[TEXT_MAX + 64];
    size_t got_bytes = 0, want_bytes = strlen(s->gs2);
    if (!base64_read(text, text_bytes, got, sizeof(got), &got_bytes))
        return false;
    memcpy(want, s->gs2, want_bytes);
    if (s->plus) {
        struct luma_slice binding = c->net->tls_binding(c->conn);
        memcpy(want + want_bytes, binding.data, binding.bytes);
        want_bytes += binding.bytes;
    }
    return got_bytes == want_bytes && CRYPTO_memcmp(got, want, want_bytes) == 0;
}

static bool
proof_matches(struct scram *s, const uint8_t proof[32], const char *auth_message)
{
    uint8_t signature[32], key[32], stored[32];
    hmac(s->verifier.stored_key, auth_message, strlen(auth_message), signature);
    for (int i = 0; i < 32; i++)
        key[i] = proof[i] ^ signature[i];
    SHA256(key, 32, stored);
    hmac(s->verifier.server_key, auth_message, strlen(auth_message), s->signature);
    return CRYPTO_memcmp(stored, s->verifier.stored_key, 32) == 0;
}

static luma_rc
take_client_final(struct pg_conn *c, struct scram *s, const char *text, bool *out_matches)
{
    char auth_message[4 * TEXT_MAX];
    uint8_t proof[32];
    size_t proof_bytes = 0;
    const char *nonce = strstr(text, ",r="), *p = strstr(text, ",p=");
    if (strncmp(text, "c=", 2) != 0 || nonce == NULL || p == NULL || p < nonce)
        return malformed(c->ctx, "final message");
    if (!binding_matches(c, s, text + 2, (size_t)(nonce - text - 2)))
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_AUTH, "28000", "SCRAM channel binding check failed");
    size_t nonce_bytes = strcspn(nonce + 3, ",");
    if (nonce_bytes != strlen(s->nonce) || memcmp(nonce + 3, s->nonce, nonce_bytes) != 0)
        return malformed(c->ctx, "nonce does not match");
    if (!base64_read(p + 3, strlen(p + 3), proof, sizeof(proof), &proof_bytes) || proof_bytes != 32)
        return malformed(c->ctx, "proof");
    snprintf(auth_message, sizeof(auth_message), "%s,%s,%.*s", s->client_first, s->server_first,
             (int)(p - text), text);
    *out_matches = proof_matches(s, proof, auth_message) && s->known;
    return LUMA_OK;
}

static luma_rc
receive_client_final(struct pg_conn *c, struct scram *s, bool *out_matches)
{
    struct pg_message m;
    char text[TEXT_MAX];
    LUMA_TRY(read_response(c, &m));
    memcpy(text, m.body.data, m.body.bytes);
    text[m.body.bytes] = '\0';
    size_t bytes = m.body.bytes;
    if (strlen(text) != bytes)
        return malformed(c->ctx, "NUL");
    return take_client_final(c, s, text, out_matches);
}

luma_rc
pg_scram(struct pg_conn *c, const char *user)
{
    struct scram s;
    memset(&s, 0, sizeof(s));
    LUMA_TRY(c->ses->scram(c->ctx, user, &s.verifier, &s.known));
    offer(c);
    LUMA_TRY(pg_flush(c));
    LUMA_TRY(receive_client_first(c, &s));
    send_server_first(c, &s);
    LUMA_TRY(pg_flush(c));
    bool matches = false;
    LUMA_TRY(receive_client_final(c, &s, &matches));
    if (!matches) {
        c->ses->login_failed(c->session);
        return LUMA_FAIL(c->ctx, LUMA_E_AUTH, "password authentication failed for user \"%.100s\"",
                         user);
    }
    char text[64] = "v=";
    EVP_EncodeBlock((uint8_t *)text + 2, s.signature, 32);
    send_auth(c, 12, text, strlen(text));
    return LUMA_OK;
}
