/*
 * txn/lock.h - a lock, who holds it and who waits for it.
 */
#ifndef LK_TXN_LOCK_H
#define LK_TXN_LOCK_H

#include "txn/txn_priv.h"

#define MODE_BIT(mode) (1u << (mode))

/* Modes that conflict with each mode: PostgreSQL's table of row locks. */
static const uint8_t lki_lock_conflicts[4] = {
    [LUMA_LOCK_UPDATE] = 0xf,
    [LUMA_LOCK_NO_KEY_UPDATE] =
        MODE_BIT(LUMA_LOCK_UPDATE) | MODE_BIT(LUMA_LOCK_NO_KEY_UPDATE) | MODE_BIT(LUMA_LOCK_SHARE),
    [LUMA_LOCK_SHARE] = MODE_BIT(LUMA_LOCK_UPDATE) | MODE_BIT(LUMA_LOCK_NO_KEY_UPDATE),
    [LUMA_LOCK_KEY_SHARE] = MODE_BIT(LUMA_LOCK_UPDATE),
};

struct lk_hold {
    struct lki_lock *lock;
    struct luma_txn *txn;
    struct lk_hold *next_in_lock, *next_in_txn;
    uint8_t modes;
};

struct lk_lock_waiter {
    struct lki_lock *lock;
    struct luma_txn *txn;
    struct lk_hold *hold; /* used when the lock is handed over */
    struct lk_lock_waiter *next;
    struct luma_event event;
    enum luma_lock_mode mode;
    bool granted; /* under the shard's lock */
};

struct lki_lock {
    struct lk_lock_key key;
    struct lki_lock_shard *shard;
    struct lki_lock *next;
    struct lk_hold *holds;
    struct lk_lock_waiter *waiters;
};

/* Does following the waits of txn lead back to it? *out_cycle (in the arena of ctx, or NULL) says
 * how. TXN_WAITS is held, so that no wait begins or ends. */
bool lki_deadlocked(struct luma_ctx *ctx, struct luma_txn *txn, const char **out_cycle);

/* Of host/txn.h. */
luma_rc lki_locks_list(struct luma_ctx *ctx, struct luma_lock_info **out_list, uint32_t *out_count);
luma_rc lki_lock_blockers(struct luma_ctx *ctx, uint32_t owner, uint32_t **out_owners,
                          uint32_t *out_count);

#endif
