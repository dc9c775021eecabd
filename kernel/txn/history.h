/*
 * txn/history.h - the past that can be read: which commits are kept, and when they happened.
 *
 * A slot that belongs to no transaction holds the horizon back to the oldest commit of the window,
 * so that versions, deletes and index entries of the window outlive checkpoints and merges. Every
 * commit leaves a mark of its time; marks thin out when there are too many. A restart begins the
 * history anew: what objects say about rows that ended is kept only as far as snapshots need it.
 */
#ifndef LK_TXN_HISTORY_H
#define LK_TXN_HISTORY_H

#include "txn/txn_priv.h"

LUMA_NODISCARD luma_rc lki_history_create(struct luma_ctx *ctx, struct lk_store *store);
void lki_history_destroy(struct lk_txns *txns);
/* A commit is visible. */
void lki_history_note(struct lk_store *store, uint64_t commit);
/* Lets go of what has left the window. */
void lki_history_prune(struct lk_store *store);
/* Gives txn the snapshot of `commit`. 72000 when it is not kept. */
LUMA_NODISCARD luma_rc lki_history_pin(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t commit);

/* Of host/txn.h. */
luma_rc lki_history_at(struct luma_ctx *ctx, int64_t us, uint64_t *out_commit);
void lki_token_text(uint64_t commit, char *out_text);
luma_rc lki_token_read(struct luma_ctx *ctx, const char *text, uint64_t *out_commit);
luma_rc lki_wait_for(struct luma_ctx *ctx, uint64_t commit);

#endif
