/*
 * kernel/storage/segment - immutable columnar segments.
 *
 * A segment holds rows of one collection in ascending row id order (no id twice), in groups of up
 * to 65,536 rows; per group and column a chunk: validity, an encoding, a codec, CRC32C, zone map.
 * Each row has a begin commit number: one constant for the segment, or a column while it is young.
 * A row may carry an end commit number as well (a version superseded before it was written).
 */
#ifndef LK_STORAGE_SEGMENT_H
#define LK_STORAGE_SEGMENT_H

#include <lumadb/batch.h>
#include <lumadb/host/store.h>

#include "storage/object/object.h"

#define LK_GROUP_ROWS 65536

struct lk_segment; /* open for reading, reference counted */
struct lk_segment_writer;

/* Codecs and encodings the store found among the modules. codec_preferred NULL: lz4 or else zstd;
 * "none": chunks are stored as they are encoded. services NULL: the kernel's own only. */
struct lk_formats;
struct luma_host_services;
LUMA_NODISCARD luma_rc lk_formats_load(struct luma_ctx *ctx,
                                       const struct luma_host_services *services,
                                       const char *codec_preferred,
                                       struct lk_formats **out_formats);
void lk_formats_free(struct lk_formats *formats);
/* The inner loops of the machine: the module's choice, or the kernel's own plain ones. */
const struct luma_simd *lk_formats_simd(const struct lk_formats *formats);

/* What the manifest keeps of a segment. */
struct lk_segment_info {
    uint64_t object_id;
    uint64_t coll_id;
    uint64_t bytes;
    uint64_t rows;
    int64_t rowid_min, rowid_max;
    uint64_t commit_min, commit_max; /* begin commit numbers */
    uint32_t level;                  /* how often merged */
};

/* --- writing --- */
LUMA_NODISCARD luma_rc lk_segment_write_begin(struct luma_ctx *ctx, struct lk_objects *objects,
                                              const struct lk_formats *formats,
                                              const struct luma_store_coll *def,
                                              struct lk_segment_writer **out_writer);
/* Rows in ascending row id order across calls, columns as in def, all forms, sel honoured: rowids,
 * begins and ends have one entry per row that counts, in their order.
 * rowids NULL: contiguous from rowid_base. begins NULL: all begin at `begin`; a bulk load writes
 * LK_COMMIT_OWN and the manifest entry tells the number when it is published. ends NULL: none. */
LUMA_NODISCARD luma_rc lk_segment_write_append(struct luma_ctx *ctx,
                                               struct lk_segment_writer *writer,
                                               const struct luma_batch *batch,
                                               const int64_t *rowids, int64_t rowid_base,
                                               const uint64_t *begins, uint64_t begin,
                                               const uint64_t *ends);
/* Durable when it returns. Takes the writer. */
LUMA_NODISCARD luma_rc lk_segment_write_end(struct luma_ctx *ctx, struct lk_segment_writer *writer,
                                            struct lk_segment_info *out_info);
void lk_segment_write_abort(struct lk_segment_writer *writer);
/* How often the rows were merged: kept in the info. */
void lk_segment_write_level(struct lk_segment_writer *writer, uint32_t level);
size_t lk_segment_write_bytes(const struct lk_segment_writer *writer); /* memory held now */

/* Begin commit number meaning "the commit that published this segment". */
#define LK_COMMIT_OWN UINT64_MAX

/* --- reading --- */
LUMA_NODISCARD luma_rc lk_segment_open(struct luma_ctx *ctx, struct lk_objects *objects,
                                       const struct lk_formats *formats, uint64_t object_id,
                                       struct lk_segment **out_segment);
void lk_segment_ref(struct lk_segment *segment);
void lk_segment_unref(struct lk_segment *segment);
const struct lk_segment_info *lk_segment_info(const struct lk_segment *segment);
uint32_t lk_segment_groups(const struct lk_segment *segment);
uint32_t lk_segment_group_rows(const struct lk_segment *segment, uint32_t group);
/* Segment row number of a group's first row. */
uint32_t lk_segment_group_first(const struct lk_segment *segment, uint32_t group);
/* What a cursor over all columns pins of the largest group, expanded. */
uint64_t lk_segment_group_bytes(const struct lk_segment *segment);
/* Row number of a row id, or -1. O(1) when contiguous, else O(log n) (may pin the rowid chunk). */
LUMA_NODISCARD luma_rc lk_segment_find(struct luma_ctx *ctx, struct lk_segment *segment,
                                       int64_t rowid, int64_t *out_row);
/* Zone map and counts of a column over the whole segment. false: the segment lacks the column. */
bool lk_segment_col_stats(const struct lk_segment *segment, uint32_t col_id,
                          struct luma_col_stats *out);
/* The sketch behind stats.distinct: merge sketches of many segments before estimating. */
#define LK_SEGMENT_SKETCH_BYTES 1024
bool lk_segment_col_sketch(const struct lk_segment *segment, uint32_t col_id,
                           uint8_t out_registers[LK_SEGMENT_SKETCH_BYTES]);
void lk_sketch_merge(uint8_t *into, const uint8_t *from);
double lk_sketch_estimate(const uint8_t *registers);
/* Can any row of the group satisfy all of preds (cols are spec positions)? */
bool lk_segment_group_may(const struct lk_segment *segment, uint32_t group,
                          const struct luma_scan_spec *spec);

/* Row id of a segment row. */
LUMA_NODISCARD luma_rc lk_segment_rowid(struct luma_ctx *ctx, struct lk_segment *segment,
                                        uint32_t row, int64_t *out_rowid);
/* One value: O(1) from the cached chunk. Columns the segment lacks give def's missing value. */
LUMA_NODISCARD luma_rc lk_segment_get(struct luma_ctx *ctx, struct lk_segment *segment,
                                      uint32_t row, const struct luma_store_col *col,
                                      struct luma_arena *arena, struct luma_value *out);
LUMA_NODISCARD luma_rc lk_segment_row_commits(struct luma_ctx *ctx, struct lk_segment *segment,
                                              uint32_t row, uint64_t *out_begin, uint64_t *out_end);

/*
 * Reads a group in windows of LUMA_BATCH_ROWS rows. It pins chunks as it meets them and keeps them
 * until it moves to another group.
 */
struct lk_segment_cursor;
LUMA_NODISCARD luma_rc lk_segment_cursor_open(struct luma_ctx *ctx,
                                              const struct luma_store_coll *def,
                                              const struct luma_scan_spec *spec,
                                              struct lk_segment_cursor **out_cursor);
/* Goes to a group (of any segment of the collection). */
LUMA_NODISCARD luma_rc lk_segment_cursor_seek(struct luma_ctx *ctx,
                                              struct lk_segment_cursor *cursor,
                                              struct lk_segment *segment, uint32_t group);
/*
 * Next window of the group with rows that satisfy spec's predicates and are in `live`:
 * live(arg, first_row, n, bits) clears bits of rows of [first_row, first_row + n) (segment row
 * numbers) that the snapshot must not see; called before predicates. false in *out_more: group
 * done. *out_batch: eager columns filled for the selected rows, lazy ones by load; batch->rowids
 * when asked.
 */
LUMA_NODISCARD luma_rc
lk_segment_cursor_next(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                       luma_rc (*live)(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits),
                       void *arg, struct luma_batch **out_batch, bool *out_more);
LUMA_NODISCARD luma_rc lk_segment_cursor_load(struct luma_ctx *ctx,
                                              struct lk_segment_cursor *cursor,
                                              struct luma_batch *batch, uint32_t col);
/* Says the group's footer, after seek, that no row satisfies the predicates? */
bool lk_segment_cursor_dead(const struct lk_segment_cursor *cursor);
/* Bits of spec's field conditions that every row of this group's batches satisfies. */
uint64_t lk_segment_cursor_fields(const struct lk_segment_cursor *cursor);
/* Segment row number of batch row 0 (windows are contiguous). */
uint32_t lk_segment_cursor_first_row(const struct lk_segment_cursor *cursor);
void lk_segment_cursor_close(struct lk_segment_cursor *cursor);
/* Begin/end commit numbers for rows first..first+n-1 when the segment keeps them per row;
 * *out_begins or *out_ends NULL: the constant of info / none. Valid until the cursor moves. */
LUMA_NODISCARD luma_rc lk_segment_cursor_commits(struct luma_ctx *ctx,
                                                 struct lk_segment_cursor *cursor,
                                                 uint32_t first_row, uint32_t n,
                                                 const uint64_t **out_begins,
                                                 const uint64_t **out_ends);

/* --- in memory (keep.c) --- */

/* Chunks that are read come into the cache as if they were used once: lk_cache_pin_as. */
void lk_segment_set_trial(struct lk_segment *segment, bool trial);
/* What all its chunks take in the cache. */
size_t lk_segment_memory(const struct lk_segment *segment);
/* Chunks that stay in the cache. Zero-initialized: none. */
struct lk_cache_block;
struct lk_segment_kept {
    struct lk_cache_block **blocks;
    uint32_t count;
    size_t bytes;
};
/* Reads every chunk and pins it; all or nothing. Parks, and yields between chunks. */
LUMA_NODISCARD luma_rc lk_segment_keep(struct luma_ctx *ctx, struct lk_segment *segment,
                                       struct lk_segment_kept *kept);
void lk_segment_let_go(struct lk_segment *segment, struct lk_segment_kept *kept);

/* Everything: magic, footer, every chunk's CRC, decodability, order of row ids, zone maps. */
LUMA_NODISCARD luma_rc lk_segment_verify(struct luma_ctx *ctx, struct lk_segment *segment,
                                         void (*progress)(void *arg, uint64_t done, uint64_t all),
                                         void *arg);
/* What is inside, for people. */
LUMA_NODISCARD luma_rc lk_segment_describe(struct luma_ctx *ctx, struct lk_segment *segment,
                                           void (*line)(void *arg, const char *text), void *arg);

#endif
