/*
 * catalog/verifier.c - what is kept of a password: a SCRAM-SHA-256 verifier (RFC 5803) in
 * PostgreSQL's form, SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "catalog/catalog_priv.h"
#include "io/io.h"

#define VERIFIER_ITERATIONS 4096
#define VERIFIER_SALT_BYTES 16
#define BASE64_ROOM(bytes)  (((bytes) + 2) / 3 * 4 + 1)

static bool
hmac_sha256(const uint8_t *key, const char *text, uint8_t out[32])
{
    unsigned int bytes = 32;
    return HMAC(EVP_sha256(), key, 32, (const uint8_t *)text, strlen(text), out, &bytes) != NULL;
}

luma_rc
lki_catalog_make_verifier(struct luma_ctx *ctx, const char *password, struct luma_arena *arena,
                          const char **out_verifier)
{
    uint8_t salt[VERIFIER_SALT_BYTES], salted[32], client[32], stored[32], server[32];
    char salt64[BASE64_ROOM(sizeof(salt))], stored64[BASE64_ROOM(32)], server64[BASE64_ROOM(32)];

    lk_io_random(lk_io_posix(), salt, sizeof(salt));
    bool ok = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, sizeof(salt),
                                VERIFIER_ITERATIONS, EVP_sha256(), sizeof(salted), salted) == 1;
    ok = ok && hmac_sha256(salted, "Client Key", client) &&
         hmac_sha256(salted, "Server Key", server);
    ok = ok && SHA256(client, sizeof(client), stored) != NULL;
    if (!ok)
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "OpenSSL could not compute a password verifier");

    EVP_EncodeBlock((uint8_t *)salt64, salt, sizeof(salt));
    EVP_EncodeBlock((uint8_t *)stored64, stored, sizeof(stored));
    EVP_EncodeBlock((uint8_t *)server64, server, sizeof(server));
    const char *verifier = lk_arena_printf(arena, "SCRAM-SHA-256$%d:%s$%s:%s", VERIFIER_ITERATIONS,
                                           salt64, stored64, server64);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client, sizeof(client));
    if (verifier == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for a password verifier");
    *out_verifier = verifier;
    return LUMA_OK;
}
