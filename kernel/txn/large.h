/*
 * txn/large.h - transactions that change more than memory should hold.
 *
 * What a transaction changes lies in hot tables, in its account of writes, in its redo records and
 * in the table of locks. When that exceeds store_conf.large_bytes, a stretch of its changes is put
 * aside: its rows become private segments with index runs, the rows it ended become claims (delete
 * maps that are lock and conflict point at once). Account and redo records name objects from then
 * on, so the commit publishes names, and a rollback drops objects. Objects that a crash leaves
 * behind are named by nothing and go at the next start.
 *
 * A stretch never reaches back over a savepoint, a change of definition or a bulk load. Its rows
 * get one command number, so it holds no rows that a reader of the same transaction, still open,
 * tells apart by their commands: marks remember where commands began.
 */
#ifndef LK_TXN_LARGE_H
#define LK_TXN_LARGE_H

#include "txn/coll.h"

/* Where the changes of a command begin. */
struct lki_mark_command {
    uint32_t command, writes;
    size_t redo;
};

/* A scan or cursor that is open: it sees commands before its own. */
struct lki_reader {
    struct lki_reader *next, **link;
    uint32_t command;
};
void lki_reader_add(struct luma_txn *txn, struct lki_reader *reader);
void lki_reader_remove(struct luma_txn *txn, struct lki_reader *reader);

/* Called before rows are changed, between every LKI_LARGE_STEP of them (they may be wide), and
 * between statements: puts changes aside when they are too many. May park. */
#define LKI_LARGE_STEP 256u
LUMA_NODISCARD luma_rc lki_large_due(struct luma_ctx *ctx, struct luma_txn *txn);
/* Before a savepoint: a smaller stretch will do, it cannot be put aside later. */
LUMA_NODISCARD luma_rc lki_large_before_savepoint(struct luma_ctx *ctx, struct luma_txn *txn);
/* What was written up to here stays as it is: definitions and bulk loads have their own order. */
void lki_large_barrier(struct luma_txn *txn);
/* After a rollback to a savepoint. */
void lki_large_rolled_back(struct luma_txn *txn, const struct lk_savepoint *sp);
void lki_large_begin(struct luma_txn *txn); /* a new transaction */

/* --- large_rows.c --- */

/* What became of a stretch of changes of one collection. */
struct lki_large_end {
    struct lk_seg *seg; /* held */
    roaring_bitmap_t *rows;
    bool weak;
};
struct lki_large_run {
    struct lk_cidx *cidx; /* held */
    struct lk_run_info info;
};
struct lki_large {
    struct lk_coll *coll;
    struct lk_seg **segs; /* held */
    struct lki_large_end *ends;
    struct lki_large_run *runs;
    uint32_t segs_count, ends_count, ends_room, runs_count;
    uint32_t runs_attached;
};

/* A stretch of the account of writes; `kept` tells which of them stay (all, before anything is put
 * aside). */
struct lki_stretch {
    struct lk_write *writes;
    uint32_t count, command, floor;
    bool *kept;
};

/* Puts the changes of one collection aside. */
LUMA_NODISCARD luma_rc lki_large_make(struct luma_ctx *ctx, struct luma_txn *txn,
                                      struct lk_coll *coll, struct lki_stretch *stretch,
                                      struct lki_large **out_large);
void lki_large_free(struct lki_large *large);
void lki_large_stamp(struct luma_txn *txn, struct lki_large *large, uint64_t commit);
void lki_large_undo(struct luma_txn *txn, struct lki_large *large);

/* Waits until the transaction behind a stamp, which holds rows without locks of their own, has
 * ended. LUMA_E_LOCKED with NOWAIT and SKIP. */
LUMA_NODISCARD luma_rc lki_large_wait(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t stamp,
                                      enum luma_lock_wait wait);
/* Locks a row, claims of other transactions included. */
LUMA_NODISCARD luma_rc lki_row_lock(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                                    int64_t rowid, enum luma_lock_mode mode,
                                    enum luma_lock_wait wait);

#endif
