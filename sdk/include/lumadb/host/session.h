/*
 * lumadb/host/session.h - who is asking, with what rights, settings and transaction.
 *
 * A session belongs to one task at a time. Frontends open one per connection (or per token), log it
 * in, and hand it down with each request.
 */
#ifndef LUMADB_HOST_SESSION_H
#define LUMADB_HOST_SESSION_H

#include <lumadb/error.h>
#include <lumadb/host/data.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/txn.h>

struct luma_session;
struct luma_conn;

/* What a frontend wants to hear; all may be NULL. Called from the session's own task. */
struct luma_session_hooks {
    void (*notice)(void *arg, const char *severity, const char *sqlstate, const char *message,
                   const char *detail, const char *hint);
    void (*parameter)(void *arg, const char *name,
                      const char *value); /* a reported setting changed */
    void *arg;
};

struct luma_session_info {
    uint32_t pid; /* number shown as process id; unique among live sessions */
    const char *user, *database, *frontend, *peer, *application;
    const char *state;     /* "idle", "active", "idle in transaction", ... */
    const char *statement; /* last or running text, shortened */
    int64_t started_us, statement_started_us, state_changed_us; /* since 1970 */
};

/* SCRAM-SHA-256 verifier of a user (RFC 5803): what the server may know. */
struct luma_scram {
    uint32_t iterations;
    uint8_t salt[32];
    uint32_t salt_bytes;
    uint8_t stored_key[32], server_key[32];
};

enum luma_block_state {
    LUMA_BLOCK_IDLE = 0,  /* no transaction block: 'I' */
    LUMA_BLOCK_OPEN = 1,  /* inside BEGIN: 'T' */
    LUMA_BLOCK_FAILED = 2 /* an error happened inside: 'E' */
};

struct luma_setting_info {
    const char *name, *value, *def, *type, *unit, *help,
        *source;        /* type: bool integer real string enum */
    const char *values; /* enum: "a|b" */
    bool report;        /* told to clients when it changes */
};

struct luma_host_session {
    struct luma_head head;

    /* --- life --- */
    luma_rc (*open)(const char *frontend, struct luma_conn *conn,
                    const struct luma_session_hooks *hooks, struct luma_session **out_session);
    void (*close)(struct luma_session *session); /* rolls back, frees slots; NULL is fine */
    /* The session's request context: statement arena, cancel token, error. */
    struct luma_ctx *(*ctx)(struct luma_session *session);
    /* Forgets the last request: resets arena and error, re-arms the cancel token with the
     * statement_timeout. text is kept (shortened) for views; NULL: idle. */
    void (*request_begin)(struct luma_session *session, const char *text, size_t bytes);
    void (*request_end)(struct luma_session *session);

    /* --- identity --- */
    /* Verifier of a user; for an unknown one a made-up but constant one and *out_known false, so
     * that names cannot be probed. */
    luma_rc (*scram)(struct luma_ctx *ctx, const char *user, struct luma_scram *out,
                     bool *out_known);
    /* Checks a password (PBKDF2, off the loop). LUMA_E_AUTH. */
    luma_rc (*check_password)(struct luma_ctx *ctx, struct luma_session *session, const char *user,
                              const char *password);
    /* After proof: sets user and database, applies their settings and the loopback rule of the
     * first-run user. LUMA_E_AUTH (28000), LUMA_E_NOTFOUND with 3D000 for a database there is not.
     */
    luma_rc (*login)(struct luma_ctx *ctx, struct luma_session *session, const char *user,
                     const char *database);
    /* Bearer tokens: random 256 bits, kept hashed, expiring, revocable. */
    luma_rc (*token_issue)(struct luma_ctx *ctx, struct luma_session *session, uint64_t ttl_s,
                           char *out_text /* 65 bytes */, int64_t *out_expires_us);
    luma_rc (*token_login)(struct luma_ctx *ctx, struct luma_session *session, const char *token);
    luma_rc (*token_revoke)(struct luma_ctx *ctx, const char *token);
    const char *(*user)(const struct luma_session *session);
    uint64_t (*user_id)(const struct luma_session *session);
    bool (*is_superuser)(const struct luma_session *session);
    const char *(*database)(const struct luma_session *session);

    /* --- cancel and views --- */
    void (*cancel_key)(const struct luma_session *session, uint32_t *out_pid, uint32_t *out_secret);
    bool (*cancel)(uint32_t pid, uint32_t secret);    /* from another connection */
    bool (*cancel_pid)(uint32_t pid, bool terminate); /* pg_cancel_backend, pg_terminate_backend */
    void (*each)(void (*fn)(void *arg, const struct luma_session_info *info), void *arg);
    void (*notice)(struct luma_session *session, const char *severity, const char *sqlstate,
                   const char *fmt, ...) LUMA_PRINTF(4, 5);

    /* --- settings (SET, SHOW) --- */
    const char *(*setting)(struct luma_session *session, const char *name); /* NULL: unknown */
    luma_rc (*setting_set)(struct luma_ctx *ctx, struct luma_session *session, const char *name,
                           const char *value /* NULL: default */, bool local);
    void (*setting_each)(struct luma_session *session,
                         void (*fn)(void *arg, const struct luma_setting_info *info), void *arg);
    const struct luma_format *(*format)(
        struct luma_session *session); /* TimeZone, DateStyle, ... */

    /* --- transaction of the session --- */
    /* The transaction a statement runs in: the open block's, else an implicit one (begun if there
     * is none); takes the statement snapshot. LUMA_E_ABORTED (25P02) in a failed block. */
    luma_rc (*statement_begin)(struct luma_ctx *ctx, struct luma_session *session,
                               struct luma_txn **out_txn);
    /* The statement ended; rc != OK fails an open block, rolls an implicit transaction back. */
    void (*statement_end)(struct luma_session *session, luma_rc rc);
    /* Ends the implicit transaction, if there is one: at the end of a simple query, at Sync, and
     * before an answer that says done. Parks until durable. */
    luma_rc (*implicit_commit)(struct luma_ctx *ctx, struct luma_session *session);
    bool (*in_implicit)(const struct luma_session *session);
    /* BEGIN, COMMIT, ... as SQL means them (warnings through notice). *out_rolled_back: COMMIT of a
     * failed block answers ROLLBACK. */
    luma_rc (*block_begin)(struct luma_ctx *ctx, struct luma_session *session,
                           const struct luma_txn_opts *opts /* NULL: the session's defaults */);
    luma_rc (*block_commit)(struct luma_ctx *ctx, struct luma_session *session,
                            bool *out_rolled_back);
    luma_rc (*block_rollback)(struct luma_ctx *ctx, struct luma_session *session);
    luma_rc (*block_savepoint)(struct luma_ctx *ctx, struct luma_session *session,
                               const char *name);
    luma_rc (*block_rollback_to)(struct luma_ctx *ctx, struct luma_session *session,
                                 const char *name);
    luma_rc (*block_release)(struct luma_ctx *ctx, struct luma_session *session, const char *name);
    enum luma_block_state (*block_state)(const struct luma_session *session);
    struct luma_txn *(*txn)(struct luma_session *session); /* current one or NULL */

    /* --- a place for a module's own things of this session --- */
    /* owner: address of something static in the module. The slot starts NULL; fini (may be NULL) is
     * called with its content at close. */
    void **(*slot)(struct luma_session *session, const void *owner, void (*fini)(void *content));
    struct luma_arena *(*arena)(struct luma_session *session);   /* session lifetime */
    struct luma_budget *(*budget)(struct luma_session *session); /* of its statements */
    /* Longest silence now: idle_in_transaction_session_timeout inside a block, else
     * idle_session_timeout; 0: no limit. */
    uint64_t (*idle_timeout_ns)(const struct luma_session *session);
    /* fn is called once, when the current transaction is about to commit (never when it rolls
     * back); an error rolls it back. For checks that wait until then. One at a time: a further call
     * replaces, NULL forgets. */
    void (*before_commit)(struct luma_session *session,
                          luma_rc (*fn)(struct luma_ctx *ctx, struct luma_session *session,
                                        struct luma_txn *txn, void *arg),
                          void *arg);
    /* A proof was wrong: counts against the address; `scram` refuses it for a while (LUMA_E_RATE)
     * when there are too many. */
    void (*login_failed)(struct luma_session *session);
};

#endif
