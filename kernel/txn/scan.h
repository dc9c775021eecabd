/*
 * txn/scan.h - scans and cursors from inside.
 */
#ifndef LK_TXN_SCAN_H
#define LK_TXN_SCAN_H

#include "txn/large.h"

/* A piece of work: a group of a segment, or shards [from, to) of a hot table. */
struct lki_morsel {
    struct lk_seg *seg;
    struct lk_hot *hot;
    uint32_t from, to;
};

struct luma_scan {
    struct luma_txn *txn;
    struct lk_view *view;
    struct lk_def *def;
    struct luma_scan_spec spec;
    struct lk_snapshot snap;
    struct lki_reader reader;
    struct lki_morsel *morsels;
    uint32_t morsels_count;
    _Atomic uint32_t next;
    _Atomic uint64_t groups, groups_skipped, rows_hot, rows_read, rows_out;
    struct luma_scan_stats stats;
};

struct lki_index_scan;

struct luma_cursor {
    struct luma_scan *scan; /* NULL: of an index range */
    struct luma_txn *txn;
    struct lk_view *view;
    struct luma_scan_spec spec;
    struct lk_snapshot snap;
    struct lki_reader reader; /* of an index range; a scan has its own */
    struct luma_ctx *ctx;     /* of the call under way */
    struct luma_arena *arena; /* of the present batch */

    struct lk_seg *seg; /* being read; NULL: none */
    struct lk_segment_cursor *segment_cursor;
    struct lk_versions versions; /* of the present hot morsel */
    uint32_t at;
    struct lki_index_scan *index_scan;

    struct luma_batch batch;
    uint16_t sel[LUMA_BATCH_ROWS];
    int64_t rowids[LUMA_BATCH_ROWS];
};

/* Makes cursor->batch of places whose row ids are in cursor->rowids, and applies predicates. */
LUMA_NODISCARD luma_rc lki_cursor_fill(struct luma_ctx *ctx, struct luma_cursor *cursor,
                                       const struct lk_place *places, uint32_t n);
LUMA_NODISCARD luma_rc lki_index_scan_next(struct luma_ctx *ctx, struct luma_cursor *cursor,
                                           struct luma_batch **out_batch);
void lki_index_scan_close(struct lki_index_scan *scan);

#endif
