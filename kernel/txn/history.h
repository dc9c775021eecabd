/*
 * txn/history.h - the past that can be read, and tokens of commits. What is kept of it is told by
 * storage/history.h.
 */
#ifndef LK_TXN_HISTORY_H
#define LK_TXN_HISTORY_H

#include "txn/txn_priv.h"

/* Gives txn the snapshot of `commit`. 72000 when it is not kept. */
LUMA_NODISCARD luma_rc lki_history_pin(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t commit);

/* Of host/txn.h. */
luma_rc lki_history_at(struct luma_ctx *ctx, int64_t us, uint64_t *out_commit);
void lki_token_text(uint64_t commit, char *out_text);
luma_rc lki_token_read(struct luma_ctx *ctx, const char *text, uint64_t *out_commit);
luma_rc lki_wait_for(struct luma_ctx *ctx, uint64_t commit);

#endif
