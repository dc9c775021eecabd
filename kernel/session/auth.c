/*
 * auth.c - who somebody is: SCRAM verifiers, passwords, login, bearer tokens, patience with
 * failures.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/session_priv.h"

#define ITERATIONS_DEFAULT 4096
#define SALT_BYTES         16
#define TOKEN_BYTES        32

/* --- verifiers: SCRAM-SHA-256$iterations:salt$stored:server --- */

/* Exactly `bytes`, or at most when out_bytes is asked for. */
static bool
base64_read(const char *text, size_t text_bytes, uint8_t *out, size_t room, size_t *out_bytes)
{
    uint8_t plain[96];
    if (text_bytes == 0 || text_bytes % 4 != 0 || text_bytes / 4 * 3 > sizeof(plain))
        return false;
    int n = EVP_DecodeBlock(plain, (const uint8_t *)text, (int)text_bytes);
    if (n < 0)
        return false;
    size_t pad = (size_t)(text[text_bytes - 1] == '=') + (size_t)(text[text_bytes - 2] == '=');
    size_t bytes = (size_t)n - pad;
    if (bytes > room || (out_bytes == NULL && bytes != room))
        return false;
    memcpy(out, plain, bytes);
    if (out_bytes != NULL)
        *out_bytes = bytes;
    return true;
}

static bool
verifier_parse(const char *text, struct luma_scram *out)
{
    static const char head[] = "SCRAM-SHA-256$";
    if (text == NULL || strncmp(text, head, sizeof(head) - 1) != 0)
        return false;
    char *end = NULL;
    unsigned long iterations = strtoul(text + sizeof(head) - 1, &end, 10);
    if (iterations == 0 || iterations > 100000000 || *end != ':')
        return false;
    const char *salt = end + 1, *stored = strchr(salt, '$');
    const char *server = stored == NULL ? NULL : strchr(stored + 1, ':');
    if (server == NULL)
        return false;
    size_t salt_bytes = 0;
    stored++;
    server++;
    if (!base64_read(salt, (size_t)(stored - 1 - salt), out->salt, sizeof(out->salt),
                     &salt_bytes) ||
        !base64_read(stored, (size_t)(server - 1 - stored), out->stored_key, 32, NULL) ||
        !base64_read(server, strlen(server), out->server_key, 32, NULL))
        return false;
    out->iterations = (uint32_t)iterations;
    out->salt_bytes = (uint32_t)salt_bytes;
    return true;
}

static void
derive(const char *what, const char *user, uint8_t out[32])
{
    char text[LKI_NAME_BYTES + 32];
    int n = snprintf(text, sizeof(text), "%s:%.*s", what, LKI_NAME_BYTES, user);
    unsigned bytes = 32;
    HMAC(EVP_sha256(), lki_sessions.secret, sizeof(lki_sessions.secret), (const uint8_t *)text,
         (size_t)n, out, &bytes);
}

/* Constant while the server runs, so that asking twice tells nothing. */
static void
verifier_make_up(const char *user, struct luma_scram *out)
{
    uint8_t salt[32];
    memset(out, 0, sizeof(*out));
    derive("salt", user, salt);
    memcpy(out->salt, salt, SALT_BYTES);
    out->salt_bytes = SALT_BYTES;
    out->iterations = ITERATIONS_DEFAULT;
    derive("stored", user, out->stored_key);
    derive("server", user, out->server_key);
}

static bool
role_may_log_in(const struct luma_cat_object *role)
{
    if (role == NULL || !role->can_login)
        return false;
    return role->valid_until_us == 0 || lki_wall_us() < role->valid_until_us;
}

luma_rc
lki_auth_scram(struct luma_ctx *ctx, const char *user, struct luma_scram *out, bool *out_known)
{
    if (ctx->session != NULL)
        LUMA_TRY(lki_failures_check(ctx, ctx->session));
    const struct luma_host_catalog *catalog = lki_sessions.parts.catalog;
    const struct luma_cat_view *view = catalog->view(NULL);
    const struct luma_cat_object *role = catalog->find(view, LUMA_CAT_ROLE, user);
    *out_known = role_may_log_in(role) && verifier_parse(role->verifier, out);
    if (!*out_known)
        verifier_make_up(user, out);
    catalog->release(view);
    return LUMA_OK;
}

/* --- plain passwords: HTTP login --- */

struct password_check {
    const char *password;
    struct luma_scram scram;
    bool matches;
};

static luma_rc
password_run(void *arg)
{
    struct password_check *check = arg;
    uint8_t salted[32], client[32], stored[32];
    unsigned bytes = 32;
    bool ok = PKCS5_PBKDF2_HMAC(check->password, (int)strlen(check->password), check->scram.salt,
                                (int)check->scram.salt_bytes, (int)check->scram.iterations,
                                EVP_sha256(), sizeof(salted), salted) == 1;
    ok = ok &&
         HMAC(EVP_sha256(), salted, 32, (const uint8_t *)"Client Key", 10, client, &bytes) != NULL;
    ok = ok && SHA256(client, 32, stored) != NULL;
    check->matches = ok && CRYPTO_memcmp(stored, check->scram.stored_key, 32) == 0;
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client, sizeof(client));
    return LUMA_OK;
}

static luma_rc
auth_failed(struct luma_ctx *ctx, const char *user)
{
    return LUMA_FAIL(ctx, LUMA_E_AUTH, "password authentication failed for user \"%.100s\"", user);
}

luma_rc
lki_auth_check_password(struct luma_ctx *ctx, struct luma_session *s, const char *user,
                        const char *password)
{
    struct password_check check = {.password = password};
    bool known = false;
    LUMA_TRY(lki_failures_check(ctx, s));
    LUMA_TRY(lki_auth_scram(ctx, user, &check.scram, &known));
    LUMA_TRY(lk_sched_host.blocking(ctx, password_run, &check));
    if (known && check.matches)
        return LUMA_OK;
    lki_failures_note(s);
    return auth_failed(ctx, user);
}

/* --- login --- */

static luma_rc
check_role(struct luma_ctx *ctx, struct luma_session *s, const struct luma_cat_object *role,
           const char *user)
{
    if (role == NULL)
        return auth_failed(ctx, user);
    if (!role->can_login)
        return LUMA_FAIL_SQL(ctx, LUMA_E_AUTH, "28000",
                             "role \"%.100s\" is not permitted to log in", user);
    if (role->valid_until_us != 0 && lki_wall_us() >= role->valid_until_us)
        return auth_failed(ctx, user);
    if (role->first_run && s->conn != NULL && !lk_net_host.peer_is_loopback(s->conn)) {
        luma_rc rc = LUMA_FAIL_SQL(
            ctx, LUMA_E_AUTH, "28000",
            "user \"%.100s\" still has its first password and may connect from this machine only",
            user);
        ctx->error->hint = "Log in on the server's machine and change it with ALTER ROLE ... "
                           "PASSWORD.";
        return rc;
    }
    return LUMA_OK;
}

/* ALTER ROLE ... SET: what cannot be set is said, not fatal. */
static void
apply_role_settings(struct luma_ctx *ctx, struct luma_session *s,
                    const struct luma_cat_object *role)
{
    for (uint32_t i = 0; i < role->settings_count; i++) {
        const char *eq = strchr(role->settings[i], '=');
        char name[LKI_NAME_BYTES];
        if (eq == NULL || (size_t)(eq - role->settings[i]) >= sizeof(name))
            continue;
        memcpy(name, role->settings[i], (size_t)(eq - role->settings[i]));
        name[eq - role->settings[i]] = '\0';
        if (lki_setting_set(ctx, s, name, eq + 1, false) != LUMA_OK) {
            lki_session_notice(s, "WARNING", "01000", "setting of the role: %s",
                               ctx->error->message);
            luma_error_reset(ctx->error);
        }
    }
}

static luma_rc
login_as(struct luma_ctx *ctx, struct luma_session *s, const struct luma_cat_view *view,
         const char *user, const char *database)
{
    const struct luma_host_catalog *catalog = lki_sessions.parts.catalog;
    const struct luma_cat_object *role = catalog->find(view, LUMA_CAT_ROLE, user);
    LUMA_TRY(check_role(ctx, s, role, user));
    const struct luma_cat_object *db = catalog->find(view, LUMA_CAT_DATABASE, database);
    if (db == NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_NOTFOUND, "3D000", "database \"%.100s\" does not exist",
                             database);
    lk_mutex_lock(&s->lock);
    snprintf(s->user, sizeof(s->user), "%s", user);
    snprintf(s->database, sizeof(s->database), "%s", database);
    lk_mutex_unlock(&s->lock);
    s->role_id = role->id;
    s->database_id = db->id;
    s->superuser = role->superuser;
    LUMA_TRY(catalog->check(ctx, view, db, 0, LUMA_RIGHT_CONNECT));
    LUMA_TRY(lki_setting_force(ctx, s, LKI_SET_SESSION_AUTHORIZATION, user));
    LUMA_TRY(lki_setting_force(ctx, s, LKI_SET_IS_SUPERUSER, role->superuser ? "on" : "off"));
    apply_role_settings(ctx, s, role);
    s->logged_in = true;
    return LUMA_OK;
}

luma_rc
lki_auth_login(struct luma_ctx *ctx, struct luma_session *s, const char *user, const char *database)
{
    const struct luma_host_catalog *catalog = lki_sessions.parts.catalog;
    if (strlen(user) >= LKI_NAME_BYTES || strlen(database) >= LKI_NAME_BYTES)
        return auth_failed(ctx, user);
    const struct luma_cat_view *view = catalog->view(NULL);
    luma_rc rc = login_as(ctx, s, view, user, database);
    if (rc != LUMA_OK)
        s->role_id = 0;
    catalog->release(view);
    return rc;
}

/* --- bearer tokens --- */

struct token {
    uint8_t hash[32]; /* of the text: what is kept does not open anything */
    char user[LKI_NAME_BYTES], database[LKI_NAME_BYTES];
    int64_t expires_us;
    int64_t second; /* the requests of this second */
    int64_t requests;
};

static struct {
    struct lk_mutex lock;
    struct token *all;
    size_t count, room;
} tokens = {.lock = LK_MUTEX_INIT(LK_LOCK_SESSION_TOKENS)};

static void
token_hash(const char *text, uint8_t out[32])
{
    SHA256((const uint8_t *)text, strlen(text), out);
}

/* Locked. */
static void
tokens_expire(int64_t now_us)
{
    for (size_t i = 0; i < tokens.count;) {
        if (tokens.all[i].expires_us <= now_us)
            tokens.all[i] = tokens.all[--tokens.count];
        else
            i++;
    }
}

/* Locked. Full: the one that would end first goes. */
static struct token *
token_place(size_t tokens_max)
{
    if (tokens.count >= tokens_max && tokens.count > 0) {
        size_t first = 0;
        for (size_t i = 1; i < tokens.count; i++)
            if (tokens.all[i].expires_us < tokens.all[first].expires_us)
                first = i;
        return &tokens.all[first];
    }
    if (tokens.count == tokens.room) {
        size_t room = tokens.room == 0 ? 16 : tokens.room * 2;
        struct token *all = realloc(tokens.all, room * sizeof(*all));
        if (all == NULL)
            return NULL;
        tokens.all = all;
        tokens.room = room;
    }
    return &tokens.all[tokens.count++];
}

luma_rc
lki_token_issue(struct luma_ctx *ctx, struct luma_session *s, uint64_t ttl_s, char *out_text,
                int64_t *out_expires_us)
{
    static const char digits[] = "0123456789abcdef";
    const struct lk_session_conf *conf = atomic_load(&lki_sessions.conf);
    if (!s->logged_in)
        return LUMA_FAIL(ctx, LUMA_E_AUTH, "a token is for somebody who has logged in");
    uint8_t raw[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 1];
    lk_io_random(lk_io_posix(), raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++) {
        text[2 * i] = digits[raw[i] >> 4];
        text[2 * i + 1] = digits[raw[i] & 15];
    }
    text[2 * TOKEN_BYTES] = '\0';
    uint64_t most_s = (uint64_t)conf->token_ttl / 1000000000u;
    int64_t now_us = lki_wall_us();
    int64_t expires_us =
        now_us + (int64_t)(ttl_s == 0 || ttl_s > most_s ? most_s : ttl_s) * 1000000;
    lk_mutex_lock(&tokens.lock);
    tokens_expire(now_us);
    struct token *token = token_place((size_t)conf->tokens_max);
    if (token != NULL) {
        token_hash(text, token->hash);
        memcpy(token->user, s->user, sizeof(token->user));
        memcpy(token->database, s->database, sizeof(token->database));
        token->expires_us = expires_us;
        token->second = token->requests = 0;
    }
    lk_mutex_unlock(&tokens.lock);
    if (token == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a token");
    memcpy(out_text, text, sizeof(text));
    *out_expires_us = expires_us;
    return LUMA_OK;
}

/* Locked. All are compared in full, so that time tells nothing. */
static struct token *
token_find(const char *text)
{
    uint8_t hash[32];
    struct token *found = NULL;
    token_hash(text, hash);
    tokens_expire(lki_wall_us());
    for (size_t i = 0; i < tokens.count; i++)
        if (CRYPTO_memcmp(tokens.all[i].hash, hash, 32) == 0)
            found = &tokens.all[i];
    return found;
}

/* Locked. False: more requests in this second than one may make. */
static bool
token_admit(struct token *token)
{
    const struct lk_session_conf *conf = atomic_load(&lki_sessions.conf);
    int64_t second = lki_wall_us() / 1000000;
    if (second != token->second)
        token->requests = 0;
    token->second = second;
    return conf->requests_per_second == 0 || ++token->requests <= conf->requests_per_second;
}

luma_rc
lki_token_login(struct luma_ctx *ctx, struct luma_session *s, const char *text)
{
    char user[LKI_NAME_BYTES], database[LKI_NAME_BYTES];
    LUMA_TRY(lki_failures_check(ctx, s));
    lk_mutex_lock(&tokens.lock);
    struct token *token = token_find(text);
    bool admitted = token == NULL || token_admit(token);
    if (token != NULL) {
        memcpy(user, token->user, sizeof(user));
        memcpy(database, token->database, sizeof(database));
    }
    lk_mutex_unlock(&tokens.lock);
    if (!admitted)
        return LUMA_FAIL(ctx, LUMA_E_RATE, "too many requests with this token in a second");
    if (token == NULL) {
        lki_failures_note(s);
        return LUMA_FAIL_SQL(ctx, LUMA_E_AUTH, "28000", "the token is not valid or has expired");
    }
    return lki_auth_login(ctx, s, user, database);
}

luma_rc
lki_token_revoke(struct luma_ctx *ctx, const char *text)
{
    lk_mutex_lock(&tokens.lock);
    struct token *token = token_find(text);
    if (token != NULL)
        *token = tokens.all[--tokens.count];
    lk_mutex_unlock(&tokens.lock);
    if (token == NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_AUTH, "28000", "the token is not valid or has expired");
    return LUMA_OK;
}

void
lki_tokens_clear(void)
{
    lk_mutex_lock(&tokens.lock);
    free(tokens.all);
    tokens.all = NULL;
    tokens.count = tokens.room = 0;
    lk_mutex_unlock(&tokens.lock);
}

/* --- failures: an address that guesses must wait --- */

#define FAILURE_PLACES 1024
#define MINUTE_NS      60000000000u

static struct {
    struct lk_mutex lock;
    struct {
        uint64_t address; /* hash of it */
        uint64_t since_ns;
        uint32_t count;
    } places[FAILURE_PLACES];
} failures = {.lock = LK_MUTEX_INIT(LK_LOCK_SESSION_FAILURES)};

static uint64_t
address_of(const struct luma_session *s)
{
    const char *end = strrchr(s->peer, ':'); /* without the port */
    uint64_t hash = 1469598103934665603u;
    for (const char *c = s->peer; *c != '\0' && c != end; c++)
        hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    return hash | 1;
}

luma_rc
lki_failures_check(struct luma_ctx *ctx, struct luma_session *s)
{
    const struct lk_session_conf *conf = atomic_load(&lki_sessions.conf);
    uint64_t address = address_of(s), now = lk_io_now_ns(lk_io_posix());
    if (s->conn == NULL || conf->auth_failures == 0)
        return LUMA_OK;
    lk_mutex_lock(&failures.lock);
    bool wait = failures.places[address % FAILURE_PLACES].address == address &&
                now - failures.places[address % FAILURE_PLACES].since_ns < MINUTE_NS &&
                failures.places[address % FAILURE_PLACES].count >= (uint32_t)conf->auth_failures;
    lk_mutex_unlock(&failures.lock);
    if (wait)
        return LUMA_FAIL(ctx, LUMA_E_RATE,
                         "too many failed logins from this address: wait a minute");
    return LUMA_OK;
}

void
lki_failures_note(struct luma_session *s)
{
    uint64_t address = address_of(s), now = lk_io_now_ns(lk_io_posix());
    if (s->conn == NULL)
        return;
    lk_mutex_lock(&failures.lock);
    __typeof__(&failures.places[0]) place = &failures.places[address % FAILURE_PLACES];
    if (place->address != address || now - place->since_ns >= MINUTE_NS) {
        place->address = address;
        place->since_ns = now;
        place->count = 0;
    }
    place->count++;
    lk_mutex_unlock(&failures.lock);
}
