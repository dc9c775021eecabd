/*
 * session_priv.h - a session from inside.
 */
#ifndef LK_SESSION_SESSION_PRIV_H
#define LK_SESSION_SESSION_PRIV_H

#include <stdatomic.h>

#include "base/base.h"
#include "io/io.h"
#include "sched/sched.h"
#include "session/session.h"

#define LKI_SESSION_MAGIC   0x4c4b5345u
#define LKI_STATEMENT_SHOWN 1024
#define LKI_NAME_BYTES      128
#define LKI_SLOTS_MAX       64

/* A setting's text, shared by the current value, the session's and what a rollback needs. */
struct lki_text {
    uint32_t refs; /* of one session: no atomics */
    uint32_t bytes;
    char s[];
};

enum lki_setting_type {
    LKI_SETTING_BOOL,
    LKI_SETTING_INT,
    LKI_SETTING_REAL,
    LKI_SETTING_STRING,
    LKI_SETTING_ENUM
};

enum lki_setting_flags {
    LKI_SETTING_REPORT = 1,   /* clients are told */
    LKI_SETTING_INTERNAL = 2, /* SET is refused */
    LKI_SETTING_LIST = 4      /* a list of names */
};

enum lki_setting_id { /* those the kernel acts on; order of the table in settings_table.c */
#define LKI_SETTING(id, ...) LKI_SET_##id,
#include "session/settings.def"
#undef LKI_SETTING
                      LKI_SETTINGS_COUNT
};

struct lki_setting_def {
    const char *name;
    enum lki_setting_type type;
    const char *def;
    int64_t min, max;
    const char *unit;   /* "ms", "s", "kB", "8kB", NULL */
    const char *values; /* ENUM */
    uint32_t flags;
    const char *help;
};

extern const struct lki_setting_def lki_setting_defs[LKI_SETTINGS_COUNT];

struct lki_setting {
    struct lki_text *current; /* NULL: the default */
    struct lki_text *session; /* what is left at the end of the transaction */
    struct lki_text *reset;   /* what RESET goes back to: given at login */
};

struct lki_custom { /* a setting with a dot in its name: nobody's but the client's */
    char *name;
    struct lki_setting value;
};

/* One change inside a transaction. */
struct lki_undo {
    uint32_t setting; /* from LKI_SETTINGS_COUNT on: customs */
    struct lki_text *current, *session;
};

struct lki_savepoint {
    char *name;
    uint64_t id;
    uint32_t undo_count;
};

struct lki_slot {
    const void *owner;
    void *content;
    void (*fini)(void *content);
};

struct luma_session {
    uint32_t magic;
    uint32_t pid, secret;
    struct lk_list link;
    struct lk_ctx c;
    struct luma_cancel cancel;
    struct luma_arena *arena_session, *arena_statement;
    struct luma_budget *budget;
    struct luma_session_hooks hooks;
    struct luma_conn *conn;
    bool starting; /* until the first request: settings become what RESET goes back to */
    bool logged_in, superuser;
    _Atomic bool terminated;
    uint64_t role_id, database_id;

    /* What others may look at; under `lock`. */
    struct lk_mutex lock;
    char frontend[32], user[LKI_NAME_BYTES], database[LKI_NAME_BYTES], peer[64];
    char application[LKI_NAME_BYTES];
    char statement[LKI_STATEMENT_SHOWN];
    bool active;
    enum luma_block_state shown_block;
    int64_t started_us, statement_started_us, state_changed_us;

    /* Settings. */
    struct lki_setting settings[LKI_SETTINGS_COUNT];
    struct lki_custom *customs;
    uint32_t customs_count;
    struct lki_undo *undo;
    uint32_t undo_count, undo_room;
    struct luma_format format;
    uint64_t statement_timeout_ns, lock_timeout_ns, idle_ns, idle_block_ns;
    bool lock_timeout_changed;

    /* Transaction. */
    struct luma_txn *txn;
    bool implicit;
    enum luma_block_state block;
    struct luma_txn_opts block_opts;
    struct lki_savepoint *savepoints;
    uint32_t savepoints_count, savepoints_room;
    luma_rc (*before_commit)(struct luma_ctx *ctx, struct luma_session *session,
                             struct luma_txn *txn, void *arg);
    void *before_commit_arg;

    char last_commit[LUMA_COMMIT_TOKEN_BYTES]; /* token; empty: none */

    struct lki_slot *slots;
    uint32_t slots_count;
};

struct lki_sessions {
    struct lk_mutex lock; /* the list */
    struct lk_list list;
    _Atomic uint32_t next_pid;
    const struct lk_session_conf *_Atomic conf;
    struct lk_session_parts parts;
    uint8_t secret[32]; /* of this run: made-up verifiers */
    struct luma_stat *stat_open, *stat_total;
    bool running;
};

extern struct lki_sessions lki_sessions;

static inline int64_t
lki_wall_us(void)
{
    return lk_io_wall_us(lk_io_posix());
}

/* --- settings --- */

void lki_settings_init(struct luma_session *s);
void lki_settings_fini(struct luma_session *s);
const char *lki_setting_get(struct luma_session *s, const char *name);
luma_rc lki_setting_set(struct luma_ctx *ctx, struct luma_session *s, const char *name,
                        const char *value, bool local);
void lki_setting_each(struct luma_session *s,
                      void (*fn)(void *arg, const struct luma_setting_info *info), void *arg);
const char *lki_setting_at(struct luma_session *s, enum lki_setting_id id);
/* Sets without asking whether the client may: login's user, is_superuser. */
luma_rc lki_setting_force(struct luma_ctx *ctx, struct luma_session *s, enum lki_setting_id id,
                          const char *value);
/* The transaction ended. */
void lki_settings_end(struct luma_session *s, bool committed);
/* Back to how things were when there were `count` changes. */
void lki_settings_undo_to(struct luma_session *s, uint32_t count);

/* settings_parse.c: the canonical text of a value, in ctx's arena; reported errors. */
luma_rc lki_setting_canonical(struct luma_ctx *ctx, const struct lki_setting_def *def,
                              const char *text, const char **out);
/* Base units of a canonical integer ("30s" of a ms setting: 30000). */
int64_t lki_setting_int(const struct lki_setting_def *def, const char *text);
luma_rc lki_setting_datestyle(struct luma_ctx *ctx, const char *text, uint8_t *inout_style,
                              uint8_t *inout_order);
const char *lki_setting_datestyle_text(uint8_t style, uint8_t order);

/* --- transaction block --- */

luma_rc lki_statement_begin(struct luma_ctx *ctx, struct luma_session *s,
                            struct luma_txn **out_txn);
void lki_statement_end(struct luma_session *s, luma_rc rc);
luma_rc lki_implicit_commit(struct luma_ctx *ctx, struct luma_session *s);
luma_rc lki_block_begin(struct luma_ctx *ctx, struct luma_session *s,
                        const struct luma_txn_opts *opts);
luma_rc lki_block_commit(struct luma_ctx *ctx, struct luma_session *s, bool *out_rolled_back);
luma_rc lki_block_rollback(struct luma_ctx *ctx, struct luma_session *s);
luma_rc lki_block_savepoint(struct luma_ctx *ctx, struct luma_session *s, const char *name);
luma_rc lki_block_rollback_to(struct luma_ctx *ctx, struct luma_session *s, const char *name);
luma_rc lki_block_release(struct luma_ctx *ctx, struct luma_session *s, const char *name);
/* At close. */
void lki_block_drop(struct luma_session *s);
/* SHOW transaction_isolation and its kin: of the transaction, if there is one. */
const char *lki_block_isolation_text(struct luma_session *s);
bool lki_block_read_only(struct luma_session *s);
bool lki_block_deferrable(struct luma_session *s);
luma_rc lki_block_set_isolation(struct luma_ctx *ctx, struct luma_session *s, const char *text);
luma_rc lki_block_set_read_only(struct luma_ctx *ctx, struct luma_session *s, bool read_only);
/* What lumadb.as_of names: a token or a time. */
luma_rc lki_block_as_of(struct luma_ctx *ctx, struct luma_session *s, const char *text,
                        uint64_t *out_commit);
luma_rc lki_block_set_deferrable(struct luma_ctx *ctx, struct luma_session *s, bool deferrable);

/* --- identity --- */

luma_rc lki_auth_scram(struct luma_ctx *ctx, const char *user, struct luma_scram *out,
                       bool *out_known);
luma_rc lki_auth_check_password(struct luma_ctx *ctx, struct luma_session *s, const char *user,
                                const char *password);
luma_rc lki_auth_login(struct luma_ctx *ctx, struct luma_session *s, const char *user,
                       const char *database);
luma_rc lki_token_issue(struct luma_ctx *ctx, struct luma_session *s, uint64_t ttl_s,
                        char *out_text, int64_t *out_expires_us);
luma_rc lki_token_login(struct luma_ctx *ctx, struct luma_session *s, const char *token);
luma_rc lki_token_revoke(struct luma_ctx *ctx, const char *token);
void lki_tokens_clear(void);
/* LUMA_E_RATE while an address has failed too often; note counts one more failure. */
luma_rc lki_failures_check(struct luma_ctx *ctx, struct luma_session *s);
void lki_failures_note(struct luma_session *s);

void lki_session_notice(struct luma_session *s, const char *severity, const char *sqlstate,
                        const char *fmt, ...) LUMA_PRINTF(4, 5);

#endif
