/*
 * lumadb/host/txn.h - transactions. One belongs to one task at a time (parallel parts read under
 * it, only its task writes and ends it).
 */
#ifndef LUMADB_HOST_TXN_H
#define LUMADB_HOST_TXN_H

#include <lumadb/error.h>

struct luma_txn;

enum luma_isolation {
    LUMA_READ_COMMITTED = 0,  /* a snapshot per statement */
    LUMA_REPEATABLE_READ = 1, /* snapshot isolation, first updater wins */
    LUMA_SERIALIZABLE = 2
};

struct luma_txn_opts {
    enum luma_isolation isolation;
    bool read_only;
    bool deferrable; /* SERIALIZABLE, read only: waits for a snapshot that needs no watching */
    uint64_t lock_timeout_ns; /* 0: wait for ever */
    uint32_t owner;           /* number of the session, shown with its locks */
    uint64_t as_of;           /* reads as of this commit; 0: now. Read only; 72000: not kept */
};

#define LUMA_COMMIT_TOKEN_BYTES 56

enum luma_locked {
    LUMA_LOCKED_COLLECTION = 0, /* id is the collection's */
    LUMA_LOCKED_ROW = 1,        /* id is the collection's, row_id the row's */
    LUMA_LOCKED_KEY = 2,        /* id is a unique index's */
    LUMA_LOCKED_TXN = 3         /* a transaction that changed many rows; id is 0 */
};

/* A lock that somebody holds or waits for. */
struct luma_lock_info {
    uint64_t id;
    int64_t row_id;
    uint64_t txn_id;
    uint32_t owner; /* as given at begin */
    uint8_t kind;   /* enum luma_locked */
    uint8_t mode;   /* enum luma_lock_mode */
    bool granted;
};

struct luma_host_txn {
    struct luma_head head;
    luma_rc (*begin)(struct luma_ctx *ctx, const struct luma_txn_opts *opts,
                     struct luma_txn **out_txn);
    /* Under READ COMMITTED takes a new snapshot; call before each statement. Own writes of earlier
     * statements become visible, those of the statement itself are not (command ids). */
    luma_rc (*statement_begin)(struct luma_ctx *ctx, struct luma_txn *txn);
    /* Makes this statement's own writes visible to what follows within the same statement group. */
    void (*command_end)(struct luma_txn *txn);
    /* Takes txn whatever it returns. Parks until the commit (for a reader: the newest commit it
     * saw) is durable as configured. On an error nothing of it is visible (LUMA_E_IO: unknown until
     * restart, said in the message). */
    luma_rc (*commit)(struct luma_ctx *ctx, struct luma_txn *txn);
    void (*rollback)(struct luma_txn *txn); /* takes txn; NULL is fine */
    luma_rc (*savepoint)(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_savepoint);
    luma_rc (*rollback_to)(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t savepoint);
    void (*release)(struct luma_txn *txn, uint64_t savepoint);
    /* Parks until everything the current snapshot saw is durable: before a result leaves the server
     * inside a transaction that goes on. Nearly always one comparison. */
    luma_rc (*wait_seen)(struct luma_ctx *ctx, struct luma_txn *txn);
    uint64_t (*id)(const struct luma_txn *txn); /* unique, ascending; txid_current() */
    bool (*wrote)(const struct luma_txn *txn);
    uint64_t (*snapshot)(const struct luma_txn *txn); /* commit number it sees up to */
    enum luma_isolation (*isolation)(const struct luma_txn *txn);
    bool (*is_read_only)(const struct luma_txn *txn);
    void (*set_read_only)(struct luma_txn *txn, bool read_only);
    void (*set_lock_timeout)(struct luma_txn *txn, uint64_t nanoseconds);
    int64_t (*start_us)(const struct luma_txn *txn); /* wall clock, us since 1970: now() */
    /* Called after commit became visible (committed true) or after rollback; for LISTEN/NOTIFY,
     * caches and the like. Never parks. */
    luma_rc (*on_end)(struct luma_ctx *ctx, struct luma_txn *txn,
                      void (*fn)(void *arg, bool committed), void *arg);
    /* All locks at about one moment, in the arena of ctx. */
    luma_rc (*locks)(struct luma_ctx *ctx, struct luma_lock_info **out_list, uint32_t *out_count);
    /* For whom the transaction of this owner waits. */
    luma_rc (*blockers)(struct luma_ctx *ctx, uint32_t owner, uint32_t **out_owners,
                        uint32_t *out_count);
    /* As commit; *out_commit: its number, 0 when nothing was written. */
    luma_rc (*commit_get)(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_commit);
    /* A commit's token: opaque text that names it on every port of this server, across restarts. */
    void (*token_text)(uint64_t commit, char *out_text /* LUMA_COMMIT_TOKEN_BYTES */);
    luma_rc (*token_read)(struct luma_ctx *ctx, const char *text, uint64_t *out_commit);
    /* The newest commit at a time of the wall clock (us since 1970). 72000: not kept. */
    luma_rc (*commit_at)(struct luma_ctx *ctx, int64_t us, uint64_t *out_commit);
    /* Parks until what this commit did is seen and durable. */
    luma_rc (*wait_for)(struct luma_ctx *ctx, uint64_t commit);
};

#endif
