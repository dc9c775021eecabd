/*
 * txn/coll.h - an open collection, and what the row functions share.
 */
#ifndef LK_TXN_COLL_H
#define LK_TXN_COLL_H

#include "storage/redo.h"
#include "txn/txn_priv.h"

/* Parallel parts of a statement read through one handle. A view that was replaced is kept until
 * the handle is closed: others may still be reading it. */
struct lki_old_view {
    struct lki_old_view *next;
    struct lk_view *view;
};

struct luma_coll {
    struct lk_coll *coll;
    struct luma_txn *txn;
    struct lk_def *def;           /* as opened */
    struct lk_mutex lock;         /* COLL_HANDLE: replacing the view */
    struct lk_view *_Atomic view; /* newest known */
    _Atomic uint64_t serial;      /* of that view */
    struct lki_old_view *old;
};

void lki_coll_init(struct luma_coll *h, struct lk_coll *coll, struct luma_txn *txn);
void lki_coll_fini(struct luma_coll *h);
/* The newest view; valid until the handle is closed. NULL: the collection was dropped. */
struct lk_view *lki_coll_view(struct luma_coll *h);

/* Candidates of a key: row ids, duplicates possible. */
struct lki_rowids {
    int64_t *items;
    uint32_t count, room;
    bool failed;
    int64_t few[16];
};
void lki_rowids_init(struct lki_rowids *list);
void lki_rowids_fini(struct lki_rowids *list);
void lki_rowids_add(struct lki_rowids *list, int64_t rowid);
/* Of one key, from the index and from what this transaction's bulk loads brought. */
LUMA_NODISCARD luma_rc lki_candidates(struct luma_ctx *ctx, struct luma_txn *txn,
                                      struct luma_coll *h, struct lk_cidx *cidx,
                                      struct luma_slice key, struct lki_rowids *out);

/* How a proposed key meets the rows that are there. */
struct lki_conflict {
    int64_t rowid; /* -1: none */
    uint64_t begin;
    bool same_command; /* the row was made by this very command */
};
/* Locks the key and looks for a row that has it, other than `self`; waits for whoever is about to
 * take such a row away. */
LUMA_NODISCARD luma_rc lki_unique_check(struct luma_ctx *ctx, struct luma_txn *txn,
                                        struct luma_coll *h, struct lk_cidx *cidx,
                                        struct luma_slice key, int64_t self,
                                        struct lki_conflict *out);
LUMA_NODISCARD luma_rc lki_unique_error(struct luma_ctx *ctx, const struct lk_cidx *cidx);

/* Adds a version (redo, hot table, account of writes). cols follow def->tuple_cols. */
LUMA_NODISCARD luma_rc lki_row_add(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                                   int64_t rowid, const struct luma_vec *const *cols, uint32_t row,
                                   bool fresh);
/* Entries of a version just added, for indexes that are being built. cols follow the definition. */
LUMA_NODISCARD luma_rc lki_building_insert(struct luma_ctx *ctx, struct luma_coll *h,
                                           const struct luma_vec *const *cols, uint32_t row,
                                           int64_t rowid);
/* Ends the current version of a row; key_goes: a unique key with it. *out_found false: it has none.
 */
LUMA_NODISCARD luma_rc lki_row_end(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                                   int64_t rowid, bool key_goes, bool *out_found);
/* Did the present command make this version? */
static inline bool
lki_place_is_of_command(const struct luma_txn *txn, const struct lk_place *place)
{
    uint32_t command =
        place->hot != NULL ? place->version->begin_command : place->seg->begin_command;
    return place->begin == txn->stamp && command == txn->snap.command;
}
/* The current version for this transaction; keep: as in lk_row_current. */
LUMA_NODISCARD luma_rc lki_row_current(struct luma_ctx *ctx, struct luma_txn *txn,
                                       struct luma_coll *h, int64_t rowid, struct lk_bytes *keep,
                                       struct lk_place *out_place, bool *out_found,
                                       uint64_t *out_other);

/* Columns of places as a dense batch in arena, bytes copied. */
LUMA_NODISCARD luma_rc lki_places_batch(struct luma_ctx *ctx, const struct lk_view *view,
                                        const struct lk_place *places, uint32_t count,
                                        const uint32_t *cols, uint32_t cols_count,
                                        struct luma_arena *arena, struct luma_batch *out);

/* The functions of lk_store_host, by file. */
luma_rc lki_insert(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                   const struct luma_batch *batch, const struct luma_insert_opts *opts,
                   int64_t *out_rowids, int64_t *out_conflicts);
luma_rc lki_lock_rows(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                      const int64_t *rowids, uint32_t count, enum luma_lock_mode mode,
                      enum luma_lock_wait wait, enum luma_lock_result *results);
luma_rc lki_update(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                   const int64_t *rowids, uint32_t count, const uint32_t *col_ids,
                   const struct luma_batch *batch);
luma_rc lki_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                   const int64_t *rowids, uint32_t count);
luma_rc lki_truncate(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h);
luma_rc lki_fetch(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                  const int64_t *rowids, uint32_t count, const uint32_t *cols, uint32_t cols_count,
                  bool newest, struct luma_arena *arena, struct luma_batch *out,
                  int32_t *out_found);
luma_rc lki_get(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
                const struct luma_value *key, uint32_t key_count, const uint32_t *cols,
                uint32_t cols_count, struct luma_arena *arena, struct luma_value *out_values,
                int64_t *out_rowid);
luma_rc lki_probe(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                  uint64_t index_id, const struct luma_vec *keys, uint32_t key_count,
                  uint32_t keys_rows, const uint32_t *cols, uint32_t cols_count, bool rowids,
                  struct luma_arena *arena, struct luma_batch *out, uint32_t *out_key_index,
                  uint64_t *inout_state);
luma_rc lki_scan_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                      const struct luma_scan_spec *spec, struct luma_scan **out_scan);
uint32_t lki_scan_morsels(const struct luma_scan *scan);
void lki_scan_stats(const struct luma_scan *scan, struct luma_scan_stats *out);
void lki_scan_close(struct luma_scan *scan);
luma_rc lki_cursor_open(struct luma_ctx *ctx, struct luma_scan *scan,
                        struct luma_cursor **out_cursor);
luma_rc lki_cursor_next(struct luma_ctx *ctx, struct luma_cursor *cursor,
                        struct luma_batch **out_batch);
luma_rc lki_cursor_load(struct luma_ctx *ctx, struct luma_cursor *cursor, struct luma_batch *batch,
                        uint32_t col);
void lki_cursor_close(struct luma_cursor *cursor);
uint64_t lki_cursor_fields(const struct luma_cursor *cursor);
luma_rc lki_index_scan(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                       uint64_t index_id, const struct luma_key_range *range,
                       const struct luma_scan_spec *spec, struct luma_cursor **out_cursor);
uint64_t lki_index_estimate(struct luma_ctx *ctx, struct luma_coll *h, uint64_t index_id,
                            const struct luma_key_range *range);
luma_rc lki_bulk_open(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                      uint32_t parts, struct luma_bulk **out_bulk);
luma_rc lki_bulk_append(struct luma_ctx *ctx, struct luma_bulk *bulk, uint32_t part,
                        const struct luma_batch *batch);
luma_rc lki_bulk_finish(struct luma_ctx *ctx, struct luma_bulk *bulk, uint64_t *out_rows);
void lki_bulk_abort(struct luma_bulk *bulk);

/* Gives txn a pending view of the collection. Takes the reference to view (NULL: dropped). */
LUMA_NODISCARD luma_rc lki_pending_set(struct luma_ctx *ctx, struct luma_txn *txn,
                                       struct lk_coll *coll, struct lk_view *view);
/* The rows of `batch` that satisfy the predicates, as a selection in sel. Gives their number. */
uint32_t lki_preds_apply(const struct luma_scan_spec *spec, const struct luma_batch *batch,
                         uint16_t *sel);

/* --- parts.c --- */
luma_rc lki_store_parts(struct luma_ctx *ctx,
                        bool (*fn)(void *arg, const struct luma_store_part *part), void *arg);

#endif
