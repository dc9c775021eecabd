/*
 * txn/txn.h - transactions from inside: what they have changed, what they hold, how they end.
 *
 * A transaction keeps two accounts of its changes: redo records, which its commit appends to the
 * log in one piece, and a list of writes, which tells where its stamps are: commit turns them into
 * the commit number, rollback takes them back, newest first.
 */
#ifndef LK_TXN_TXN_H
#define LK_TXN_TXN_H

#include "storage/core.h"
#include "txn/slot.h"

struct lk_hold;
struct lki_large;
struct lki_mark_command;
struct lki_reader;
struct lki_serial;
struct lk_lock_waiter;

enum lk_write_kind {
    LK_WRITE_BEGIN,   /* a hot version this transaction made */
    LK_WRITE_END_HOT, /* a hot version it ended */
    LK_WRITE_END_SEG, /* a segment's row it ended */
    LK_WRITE_SEG,     /* a segment it loaded */
    LK_WRITE_RUN,     /* a run of an index it loaded */
    LK_WRITE_VIEW,    /* a pending view: definition, TRUNCATE, DROP */
    LK_WRITE_LARGE    /* many changes of a collection, put aside as objects (large.h) */
};

struct lk_write {
    uint8_t kind;     /* enum lk_write_kind */
    bool fresh;       /* BEGIN: an insert, whose index entries are its own; END: a key goes */
    uint16_t touched; /* BEGIN: indexes (by position) whose runs lack its key */
    uint32_t row;
    struct lk_coll *coll;
    union {
        struct lk_version *version;
        struct lk_seg *seg;       /* held */
        struct lk_cidx *cidx;     /* held */
        struct lk_view *old_view; /* pending before, held */
        struct lki_large *large;  /* owned */
    };
};

#define LK_TOUCHED_REST 15u /* bit of all indexes from this position on */
#define LK_TOUCHED_ALL  UINT16_MAX

struct lk_savepoint {
    uint64_t serial;
    uint32_t writes;
    size_t redo;
    struct lk_hold *holds;
};

struct lk_txn_end {
    struct lk_txn_end *next;
    void (*fn)(void *arg, bool committed);
    void *arg;
};

/* An index of its own for rows that a bulk load of this transaction brought. */
struct lk_private_index {
    struct lk_private_index *next;
    struct lk_coll *coll;
    uint64_t index_id;
    struct lk_cidx *cidx; /* holds the private runs */
    uint32_t writes;      /* length of the list of writes when it was made */
};

struct luma_txn {
    struct lk_store *store;
    uint32_t index; /* of its slot */
    struct lk_slot *slot;
    struct luma_txn *next_free;

    enum luma_isolation isolation;
    bool read_only, deferrable;
    struct lki_serial *serial; /* NULL: another level, or nothing can harm it */
    uint64_t lock_timeout_ns, id, stamp;
    int64_t start_us;
    bool as_of;     /* reads the past */
    uint32_t owner; /* whose it is, for people */
    struct lk_snapshot snap;
    _Atomic uint64_t seen;

    struct lk_bytes redo;
    struct lk_write *writes;
    uint32_t writes_count, writes_room;
    struct lk_coll **colls; /* changed */
    uint32_t colls_count, colls_room;
    struct lk_hot **hots; /* held: they have versions of ours */
    uint32_t hots_count, hots_room;
    struct lk_savepoint *savepoints;
    uint32_t savepoints_count, savepoints_room;
    uint64_t savepoint_serial;
    struct lk_private_index *privates;
    struct lk_txn_end *ends;
    void *slot_content;
    uint64_t undo_count;

    /* Large transactions: large.h. */
    bool large;          /* the lock of its stamp is held: rows are claimed */
    bool barrier_wanted; /* what has been written stays in order */
    uint32_t barrier_writes;
    size_t barrier_redo;
    struct lki_mark_command *marks;
    uint32_t marks_count, marks_room, marked_command;
    struct lk_mutex readers_lock; /* TXN_READERS */
    struct lki_reader *readers;

    /* The age of its snapshot: age.h. */
    _Atomic uint32_t uses;
    _Atomic uint32_t snap_serial; /* of the snapshot; grows with each */
    _Atomic uint32_t old_serial;  /* which is too old */
    uint32_t aged_serial;         /* what the background work saw, and when first */
    uint64_t aged_from_ns;

    /* Locks. */
    struct lk_hold *holds, *holds_free;
    uint32_t holds_free_count;
    struct lk_lock_waiter *waiting; /* under TXN_WAITS */
    uint64_t visit;                 /* of deadlock detection */
    uint64_t visit_from_at;
    struct luma_txn *visit_from; /* who waits for it, in search visit_from_at */
};

/* kernel/txn's part of a store. */
struct lk_txns;
LUMA_NODISCARD luma_rc lk_txns_create(struct luma_ctx *ctx, struct lk_store *store);
void lk_txns_destroy(struct lk_store *store);

/* Gets a stamp; LUMA_E_READONLY. */
LUMA_NODISCARD luma_rc lk_txn_stamp_take(struct luma_ctx *ctx, struct luma_txn *txn);
/* The same, and a lock, before the first write to a collection. */
LUMA_NODISCARD luma_rc lk_txn_write_begin(struct luma_ctx *ctx, struct luma_txn *txn,
                                          struct lk_coll *coll);
/* Remembers a write; hot: holds the table of the version. */
LUMA_NODISCARD luma_rc lk_txn_write(struct luma_ctx *ctx, struct luma_txn *txn,
                                    const struct lk_write *write, struct lk_hot *hot);
void lk_txn_saw(struct luma_txn *txn, uint64_t commit);
/* Takes back writes down to `count`. */
void lk_txn_undo(struct luma_txn *txn, uint32_t count);
/* After the commit has number `commit`: stamps become final. */
void lk_txn_stamp(struct luma_txn *txn, uint64_t commit);

/* --- locks: rows, keys of unique indexes, collections --- */

struct lk_lock_key {
    uint64_t space, id;
};

static inline struct lk_lock_key
lk_lock_row(uint64_t coll_id, int64_t rowid)
{
    return (struct lk_lock_key){coll_id << 2, (uint64_t)rowid};
}

static inline struct lk_lock_key
lk_lock_index_key(uint64_t index_id, uint64_t hash)
{
    return (struct lk_lock_key){index_id << 2 | 1, hash};
}

static inline struct lk_lock_key
lk_lock_coll(uint64_t coll_id)
{
    return (struct lk_lock_key){2, coll_id};
}

/* Who changes the definition takes this one first: no other definition, but writers go on. */
static inline struct lk_lock_key
lk_lock_def(uint64_t coll_id)
{
    return (struct lk_lock_key){3, coll_id};
}

/* What waits for a transaction whose rows are claimed: not locked one by one. */
static inline struct lk_lock_key
lk_lock_txn(uint64_t stamp)
{
    return (struct lk_lock_key){0, stamp};
}

/*
 * Takes a lock until the transaction (or its savepoint) ends; modes are those of rows. Collections:
 * writers take KEY_SHARE, who changes the definition takes UPDATE.
 *
 * Errors:  LUMA_E_LOCKED NOWAIT and SKIP (not reported), lock timeout (reported);
 *          LUMA_E_DEADLOCK; LUMA_E_CANCELED, LUMA_E_TIMEOUT of the statement.
 */
LUMA_NODISCARD luma_rc lk_lock_take(struct luma_ctx *ctx, struct luma_txn *txn,
                                    struct lk_lock_key key, enum luma_lock_mode mode,
                                    enum luma_lock_wait wait);
/* Gives back everything taken after `mark` (a value of txn->holds; NULL: all). */
void lk_lock_release(struct luma_txn *txn, struct lk_hold *mark);
/* Of those taken after `mark`, the ones that `gives` says. */
void lki_locks_give(struct luma_txn *txn, struct lk_hold *mark,
                    bool (*gives)(void *arg, struct lk_lock_key key), void *arg);
LUMA_NODISCARD luma_rc lk_locks_create(struct luma_ctx *ctx, struct lk_txns *txns);

#endif
