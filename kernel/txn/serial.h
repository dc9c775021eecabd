/*
 * txn/serial.h - SERIALIZABLE: snapshot isolation that notices when it would not be serializable.
 *
 * After Cahill, Roehm and Fekete, "Serializable Isolation for Snapshot Databases" (2008), and
 * Ports and Grittner, "Serializable Snapshot Isolation in PostgreSQL" (2012). A transaction
 * remembers what it has read, as predicates, and what it has written, as images of rows. Where a
 * write of one falls into what a concurrent one has read, the reader must come before the writer in
 * any serial order: an edge reader -> writer. Every cycle that snapshot isolation lets through has
 * two such edges in a row, T1 -> T2 -> T3, of which T3 commits first; one of them is refused with
 * 40001 whenever that is found.
 *
 * What a committed transaction has read and written is kept until no transaction is left that ran
 * beside it. Transactions of the other levels take no part.
 */
#ifndef LK_TXN_SERIAL_H
#define LK_TXN_SERIAL_H

#include "txn/coll.h"

/* What others know of a serializable transaction; it may outlive the transaction. */
struct lki_serial;

/*
 * Registers txn and takes its snapshot; called again for its first statement. A read-only
 * transaction that nothing can harm is not registered (txn->serial stays NULL). Deferrable, read
 * only and may_wait: parks until there is such a snapshot.
 */
LUMA_NODISCARD luma_rc lki_serial_begin(struct luma_ctx *ctx, struct luma_txn *txn, bool may_wait);
/* Is it still to be allowed? Before each statement. */
LUMA_NODISCARD luma_rc lki_serial_check(struct luma_ctx *ctx, struct luma_txn *txn);
/* The last word: after it only a failing log keeps txn from committing. LUMA_E_CONFLICT. */
LUMA_NODISCARD luma_rc lki_serial_prepare(struct luma_ctx *ctx, struct luma_txn *txn);
/* The commit has its number and nobody has a snapshot of it yet. STORE_COMMIT is held. */
void lki_serial_placed(struct luma_txn *txn, uint64_t commit);
/* txn ends; txn->serial becomes NULL. */
void lki_serial_end(struct luma_txn *txn, bool committed);

/*
 * txn reads what satisfies range (of cidx; NULL: any key) and the predicates of spec (NULL: all).
 * Before or after the rows are looked at, in the same call of the store.
 */
LUMA_NODISCARD luma_rc lki_serial_read(struct luma_ctx *ctx, struct luma_txn *txn,
                                       struct luma_coll *h, struct lk_cidx *cidx,
                                       const struct luma_index_range *range,
                                       const struct luma_scan_spec *spec);
/* txn makes or ends a version with this content. */
LUMA_NODISCARD luma_rc lki_serial_write(struct luma_ctx *ctx, struct luma_txn *txn,
                                        struct luma_coll *h, struct luma_slice tuple);
/* txn writes more rows than can be named: bulk load, TRUNCATE, DROP. */
LUMA_NODISCARD luma_rc lki_serial_write_all(struct luma_ctx *ctx, struct luma_txn *txn,
                                            struct luma_coll *h);
/* txn is about to end these rows: looks their content up for lki_serial_write. */
LUMA_NODISCARD luma_rc lki_serial_remove(struct luma_ctx *ctx, struct luma_txn *txn,
                                         struct luma_coll *h, const int64_t *rowids,
                                         uint32_t count);

void lki_serial_destroy(struct lk_txns *txns);

/* --- serial_set.c: what one transaction has read and written --- */

struct lki_serial_sets {
    struct lki_serial_coll *colls;
    size_t bytes;
};
/* Taken out of a set; freed where no lock is held. */
struct lki_serial_read_item;
struct lki_serial_write_item;

/* Items are made by the caller without a lock; NULL: out of memory, the set widens. */
struct lki_serial_read_item *lki_serial_read_new(struct lk_cidx *cidx,
                                                 const struct luma_index_range *range,
                                                 const struct luma_scan_spec *spec);
struct lki_serial_write_item *lki_serial_write_new(struct lk_def *def, struct luma_slice tuple);
void lki_serial_read_free(struct lki_serial_read_item *item); /* all that follow, too */
void lki_serial_write_free(struct lki_serial_write_item *item);
/* Does what `writer` wrote fall into the item (NULL: into the collection)? */
bool lki_serial_reads(const struct lki_serial_read_item *item, const struct lki_serial_sets *writer,
                      uint64_t coll_id);
/* Does the item (NULL: anything in the collection) fall into what `reader` has read? */
bool lki_serial_writes(const struct lki_serial_write_item *item,
                       const struct lki_serial_sets *reader, uint64_t coll_id);
/* Adds, taking the item, or widens to the collection; what that frees goes to *out_freed. False:
 * there is no memory even for that. */
bool lki_serial_add_read(struct lki_serial_sets *sets, uint64_t coll_id,
                         struct lki_serial_read_item *item,
                         struct lki_serial_read_item **out_freed);
bool lki_serial_add_write(struct lki_serial_sets *sets, uint64_t coll_id,
                          struct lki_serial_write_item *item,
                          struct lki_serial_write_item **out_freed);
void lki_serial_sets_fini(struct lki_serial_sets *sets);

#endif
