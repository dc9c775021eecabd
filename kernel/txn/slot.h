/*
 * txn/slot.h - what the catalogue needs of a transaction beyond host/txn.h.
 */
#ifndef LK_TXN_SLOT_H
#define LK_TXN_SLOT_H

#include <lumadb/host/txn.h>

/* A pointer of the catalogue's own in every transaction, NULL at begin. */
void **lk_txn_slot(struct luma_txn *txn);

/* Called with the slot's content (when it is not NULL) at the end of each transaction: after its
 * commit became visible to new snapshots (committed true, commit is its number) or after its
 * rollback. Never parks. Set once at start. */
void lk_txn_set_slot_end(void (*end)(void *content, bool committed, uint64_t commit));

/* How many rollbacks to a savepoint the transaction has had: what was derived from its own writes
 * before the last one may be gone. */
uint64_t lk_txn_undo_count(const struct luma_txn *txn);

#endif
