/*
 * txn/txn_priv.h - kernel/txn's own state of a store.
 */
#ifndef LK_TXN_PRIV_H
#define LK_TXN_PRIV_H

#include "txn/txn.h"

#define LKI_LOCK_SHARDS 256
#define LKI_POOLS       8
#define LKI_DEAD_WORDS  (sizeof(struct lk_dead) / sizeof(uint64_t))

struct lki_lock;

struct lki_lock_shard {
    struct lk_mutex lock; /* TXN_LOCKS */
    struct lki_lock **buckets, *free;
    uint32_t count, room, free_count;
} LK_ALIGNED_LINE;

struct lki_pool {
    struct lk_mutex lock; /* TXN_POOL */
    struct luma_txn *free;
} LK_ALIGNED_LINE;

struct lki_serial_list {
    struct lki_serial *first, *last;
};

struct lk_txns {
    uint64_t began_commit;      /* newest when the store was opened */
    struct lk_mutex waits_lock; /* TXN_WAITS */
    uint64_t visits;
    _Atomic uint64_t next_id;
    /* Versions that may go (a struct lk_dead), and the serial under which they were found. */
    _Atomic uint64_t dead[LKI_DEAD_WORDS];
    _Atomic uint32_t dead_serial;
    _Atomic uint32_t dead_passes;
    _Atomic uint64_t wal_mark;   /* log bytes at the last checkpoint */
    struct lk_mutex serial_lock; /* TXN_SERIAL */
    uint64_t serial_next;
    struct lki_serial_list serial_active, serial_finished;
    struct luma_txn *_Atomic *all; /* LK_SLOTS_MAX, by slot; NULL: not made yet */
    struct lki_pool pools[LKI_POOLS];
    struct lki_lock_shard shards[LKI_LOCK_SHARDS];
};

void lki_locks_destroy(struct lk_txns *txns);
void lki_holds_free(struct luma_txn *txn);
/* Commits what txn wrote: log, visibility, stamps. Nothing is waited for. */
LUMA_NODISCARD luma_rc lki_commit_place(struct luma_ctx *ctx, struct luma_txn *txn,
                                        uint64_t *out_commit);

/* Frees private indexes made when there were at least `writes` writes. */
void lki_privates_free(struct luma_txn *txn, uint32_t writes, bool committed);
/* What a sequence's log record says. */
struct lk_sequence_block {
    struct lk_sequence *seq;
    int64_t position;
    uint64_t ahead;     /* values up to position */
    bool set, uncalled; /* set: the position is the present one; uncalled: it comes next */
};
void lki_sequence_placed(struct lk_sequence_block *block, uint64_t commit);
/* Appends a sequence's record, which belongs to no transaction. */
LUMA_NODISCARD luma_rc lki_log(struct luma_ctx *ctx, struct lk_store *store,
                               struct luma_slice payload, struct lk_sequence_block *block,
                               uint64_t *out_commit);
/* Now and then: statistics, and a checkpoint when the log has grown enough. */
void lki_checkpoint_due(struct lk_store *store);
bool lki_lock_is_held(struct luma_txn *txn, struct lk_lock_key key);

#endif
