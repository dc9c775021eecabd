/*
 * txn/load.h - filling an index from batches of rows: bulk loads and CREATE INDEX.
 */
#ifndef LK_TXN_LOAD_H
#define LK_TXN_LOAD_H

#include "txn/coll.h"

/* Two sorters where nulls are distinct: keys with a null in them are never duplicates. */
struct lki_load {
    struct lk_cidx *cidx; /* held */
    struct lk_run_sorter *sorter, *sorter_null;
    struct lki_load_part {
        struct lk_bytes keys;
        uint32_t ends[LUMA_BATCH_ROWS];
        bool nulls[LUMA_BATCH_ROWS];
        struct luma_index_entry entries[LUMA_BATCH_ROWS];
    } * *parts;
    uint32_t parts_count;
};

LUMA_NODISCARD luma_rc lki_load_begin(struct luma_ctx *ctx, struct lk_cidx *cidx, uint32_t parts,
                                      struct lki_load *out);
/* Entries of the rows that batch->sel names; their ids are rowids[0..sel_rows). cols are in the
 * order of the definition. One thread a part. */
LUMA_NODISCARD luma_rc lki_load_add(struct luma_ctx *ctx, struct lki_load *load, uint32_t part,
                                    const struct lk_def *def, const struct luma_vec *const *cols,
                                    const struct luma_batch *batch, const int64_t *rowids);
/* Writes the runs and attaches them to the index they were begun with. LUMA_E_UNIQUE. */
LUMA_NODISCARD luma_rc lki_load_finish(struct luma_ctx *ctx, struct luma_txn *txn,
                                       struct lki_load *load);
void lki_load_fini(struct lki_load *load);

#endif
