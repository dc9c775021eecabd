/*
 * storage/redo.h - the records of the log: what a commit changed, as a list of operations.
 * docs/formats/log.md lists them.
 */
#ifndef LK_STORAGE_REDO_H
#define LK_STORAGE_REDO_H

#include "storage/core.h"

/* Written: values are never reused. */
enum lk_redo_op {
    LK_REDO_INSERT = 1,   /* collection, row id, tuple */
    LK_REDO_UPDATE = 2,   /* the same; the row exists */
    LK_REDO_DELETE = 3,   /* collection, row id */
    LK_REDO_DEFINE = 4,   /* collection, definition */
    LK_REDO_DROP = 5,     /* collection */
    LK_REDO_TRUNCATE = 6, /* collection */
    LK_REDO_SEGMENT = 7,  /* collection, segment info: its rows begin with this commit */
    LK_REDO_RUN = 8,      /* collection, run info */
    LK_REDO_SEQUENCE = 9, /* sequence, its state, position */
    LK_REDO_ROWIDS = 10,  /* collection, next row id */
    LK_REDO_TIME = 11,    /* when it was committed: microseconds since 1970 */
    LK_REDO_DELETES = 12  /* collection, high half of row ids, their low halves as a bitmap */
};

LUMA_NODISCARD bool lk_redo_row(struct lk_bytes *out, enum lk_redo_op op, uint64_t coll_id,
                                int64_t rowid, struct luma_slice tuple);
/* Rows that ended, whose ids have this high half. */
LUMA_NODISCARD bool lk_redo_deletes(struct lk_bytes *out, uint64_t coll_id, uint32_t high,
                                    const roaring_bitmap_t *low);
LUMA_NODISCARD bool lk_redo_segment(struct lk_bytes *out, const struct lk_segment_info *info);
LUMA_NODISCARD bool lk_redo_run(struct lk_bytes *out, uint64_t coll_id,
                                const struct lk_run_info *info);
/* What a sequence's record says of its position. Written: values are never reused. */
enum lk_sequence_state { LK_SEQUENCE_GONE = 0, LK_SEQUENCE_CALLED = 1, LK_SEQUENCE_UNCALLED = 2 };
LUMA_NODISCARD bool lk_redo_sequence(struct lk_bytes *out, uint64_t seq_id,
                                     enum lk_sequence_state state, int64_t position);
bool lk_segment_info_write(struct lk_bytes *out, const struct lk_segment_info *info);
void lk_segment_info_read(struct lk_reader *r, struct lk_segment_info *out);
bool lk_run_info_write(struct lk_bytes *out, const struct lk_run_info *info);
void lk_run_info_read(struct lk_reader *r, struct lk_run_info *out);

struct lk_redo_rows;
/* Applies one record to the store in memory, its rows when `rows` is settled; reports
 * LUMA_E_CORRUPT with `where`. */
LUMA_NODISCARD luma_rc lk_redo_apply(struct luma_ctx *ctx, struct lk_store *store,
                                     struct lk_redo_rows *rows, uint64_t commit,
                                     struct luma_slice payload, const char *where);
/* One operation of a record, without applying it; false: the end, or r->failed. */
struct lk_redo_seen {
    uint8_t op;                /* enum lk_redo_op */
    uint64_t coll_id;          /* or the sequence */
    int64_t rowid;             /* of INSERT, UPDATE and DELETE */
    uint64_t object_id, bytes; /* of SEGMENT and RUN */
    int64_t time_us;           /* of TIME */
};
bool lk_redo_walk(struct lk_reader *r, struct lk_redo_seen *out);
/* When a record was committed; 0: it does not say. */
int64_t lk_redo_time(struct luma_slice payload);
LUMA_NODISCARD bool lk_redo_stamp_time(struct lk_bytes *out, int64_t time_us);

/* A segment of recovery: one that cannot be read is said, and stands there as broken. */
LUMA_NODISCARD luma_rc lk_redo_segment_open(struct luma_ctx *ctx, struct lk_store *store,
                                            const struct lk_segment_info *info,
                                            struct lk_seg **out_seg);
/* The error in ctx becomes the reason why it cannot be read. */
LUMA_NODISCARD luma_rc lk_redo_segment_broken(struct luma_ctx *ctx, struct lk_store *store,
                                              const struct lk_segment_info *info,
                                              struct lk_seg **out_seg);
/* A run of recovery: one that cannot be read leaves its index to be rebuilt. */
LUMA_NODISCARD luma_rc lk_redo_attach(struct luma_ctx *ctx, struct lk_coll *coll,
                                      struct lk_cidx *cidx, const struct lk_run_info *info);

/* --- redo_rows.c: rows of the log, gathered and then applied by many threads --- */
LUMA_NODISCARD luma_rc lk_redo_rows_create(struct luma_ctx *ctx, struct lk_store *store,
                                           struct lk_redo_rows **out_rows);
void lk_redo_rows_destroy(struct lk_redo_rows *rows); /* NULL is fine */
/* As lk_coll_find, sooner for a collection that had a row lately. */
struct lk_coll *lk_redo_rows_coll(struct lk_redo_rows *rows, uint64_t coll_id);
/* op is INSERT (the row has no older version), UPDATE or DELETE. The tuple is copied. */
LUMA_NODISCARD luma_rc lk_redo_rows_add(struct luma_ctx *ctx, struct lk_redo_rows *rows,
                                        struct lk_coll *coll, uint64_t commit, enum lk_redo_op op,
                                        int64_t rowid, struct luma_slice tuple);
/* A version that is in the past already; those of rows that go on come after these. */
LUMA_NODISCARD luma_rc lk_redo_rows_ended(struct luma_ctx *ctx, struct lk_redo_rows *rows,
                                          struct lk_coll *coll, uint64_t begin, uint64_t end,
                                          int64_t rowid, struct luma_slice tuple);
/* Bytes of what was gathered and not yet applied. */
uint64_t lk_redo_rows_bytes(const struct lk_redo_rows *rows);
/* Applies what was gathered. */
LUMA_NODISCARD luma_rc lk_redo_rows_settle(struct luma_ctx *ctx, struct lk_redo_rows *rows);
/* Gives all hot rows their index entries: when everything has been applied, or before a
 * checkpoint. Those that are there already are kept once. */
LUMA_NODISCARD luma_rc lk_redo_rows_index(struct luma_ctx *ctx, struct lk_store *store);
/* Versions that checkpoints put aside for the history (past.c); the collection's rows are there.
 * LUMA_E_CORRUPT: some cannot be read. */
LUMA_NODISCARD luma_rc lk_past_load(struct luma_ctx *ctx, struct lk_redo_rows *rows,
                                    struct lk_coll *coll, const struct lk_def *def);
/* Ends a row wherever its current version lies. */
LUMA_NODISCARD luma_rc lk_redo_row_end(struct luma_ctx *ctx, struct lk_coll *coll,
                                       struct lk_view *view, uint64_t commit, int64_t rowid);

#endif
