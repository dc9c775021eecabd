/*
 * txn/build.h - an index of rows that are there, built while others go on writing.
 */
#ifndef LK_TXN_BUILD_H
#define LK_TXN_BUILD_H

#include "txn/coll.h"

/* Can the indexes that def adds be built beside writers, and is it worth it? */
bool lki_build_is_online(struct luma_txn *txn, struct lk_coll *coll, const struct lk_def *def);

/*
 * Builds the index with the given definition (of def); only at the end are other writers locked
 * out, until txn ends. *out_cidx (a reference) has all entries; its runs carry txn's stamp.
 *
 * Errors:  LUMA_E_UNIQUE two rows have one key; nothing of the index is left then, or after any
 *          other error.
 * Locks:   lk_lock_def is held; takes lk_lock_coll at the end.
 */
LUMA_NODISCARD luma_rc lki_build_online(struct luma_ctx *ctx, struct luma_txn *txn,
                                        struct lk_coll *coll, struct lk_def *def,
                                        const struct luma_store_index *index,
                                        struct lk_cidx **out_cidx);

#endif
