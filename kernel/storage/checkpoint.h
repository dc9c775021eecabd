/*
 * storage/checkpoint.h - moving what was committed from log and memory into objects.
 *
 * A checkpoint describes the state at one commit number N, for all collections at once: rows go to
 * segments, or, where they are few, to a pack object that collections share; young deletes to
 * delete maps in the pack; hot parts of indexes to runs. One manifest edit makes all of it the
 * state; then memory follows and the log before N goes.
 *
 * Phases (io.h): "flush", "merge", and those of the manifest.
 */
#ifndef LK_STORAGE_CHECKPOINT_H
#define LK_STORAGE_CHECKPOINT_H

#include "storage/core.h"

#define LK_SEGMENT_ROWS_MAX (16u * LK_GROUP_ROWS)

/* A checkpoint of recovery: no log is open yet, and what is replayed next lies at `lsn`. */
LUMA_NODISCARD luma_rc lk_checkpoint_replayed(struct luma_ctx *ctx, struct lk_store *store,
                                              lk_lsn lsn);

/* An object being written that holds sections of several collections. */
struct lk_pack_writer {
    struct lk_object_writer *writer; /* NULL: nothing was written yet */
    uint64_t object_id;
};
LUMA_NODISCARD luma_rc lk_pack_add(struct luma_ctx *ctx, struct lk_store *store,
                                   struct lk_pack_writer *pack, struct luma_slice bytes,
                                   uint64_t count, struct lk_pack_place *out_place);
LUMA_NODISCARD luma_rc lk_pack_finish(struct luma_ctx *ctx, struct lk_pack_writer *pack);
void lk_pack_abort(struct lk_pack_writer *pack);
/* The same, and the manifest's entry that says where. */
LUMA_NODISCARD luma_rc lk_pack_name(struct luma_ctx *ctx, struct lk_store *store,
                                    struct lk_pack_writer *pack, struct luma_slice bytes,
                                    uint64_t count, const struct lk_manifest_key *key,
                                    struct lk_manifest_edit *edit);
/* A delete map of a segment into the pack, its place into the edit; scratch is the caller's. */
LUMA_NODISCARD luma_rc lk_deletes_pack(struct luma_ctx *ctx, struct lk_store *store,
                                       struct lk_pack_writer *pack, roaring_bitmap_t *bitmap,
                                       uint64_t segment_id, struct lk_bytes *scratch,
                                       struct lk_manifest_edit *edit);

/* With a history: when the rows of the map ended, or that no entry says so any more. */
LUMA_NODISCARD luma_rc lk_ends_pack(struct luma_ctx *ctx, struct lk_store *store,
                                    struct lk_pack_writer *pack, struct lk_ends *ends,
                                    uint64_t base, uint64_t segment_id,
                                    struct lk_manifest_edit *edit);
/* With a history: versions in the view's hot tables, and nowhere else, that ended after the commit
 * that the collection's objects describe and up to `to`, and that a snapshot from `floor` on sees.
 */
LUMA_NODISCARD luma_rc lk_past_pack(struct luma_ctx *ctx, struct lk_coll *coll,
                                    const struct lk_view *view, struct lk_pack_writer *pack,
                                    uint64_t floor, uint64_t to, struct lk_manifest_edit *edit);
/* Such versions that are needed no longer, of collections of which `from` tells that nothing before
 * it can be read. */
LUMA_NODISCARD luma_rc lk_past_drop(const struct lk_manifest *manifest, uint64_t coll_id,
                                    uint64_t from, struct lk_manifest_edit *edit);

/* Versions, in row id order, as segments of at most LK_SEGMENT_ROWS_MAX rows. Sets seg and seg_row
 * of each version. Appends to *segs (freed by the caller, references given). */
LUMA_NODISCARD luma_rc lk_flush_versions(struct luma_ctx *ctx, struct lk_coll *coll,
                                         struct lk_view *view, struct lk_versions *versions,
                                         struct lk_seg ***segs, uint32_t *segs_count);

/* The tuples of n versions as a batch in arena (reset first), with their row ids. */
struct lk_versions_batch {
    const uint8_t *tuples[LUMA_BATCH_ROWS];
    int64_t rowids[LUMA_BATCH_ROWS];
    struct luma_batch batch;
};
LUMA_NODISCARD luma_rc lk_versions_batch(struct luma_ctx *ctx, const struct lk_def *def,
                                         struct lk_version *const *versions, uint32_t n,
                                         struct luma_arena *arena, struct lk_versions_batch *out);

/* Merges some of the collection's segments if it is worth it; the merge lock is held. */
LUMA_NODISCARD luma_rc lk_rows_merge(struct luma_ctx *ctx, struct lk_coll *coll,
                                     struct lk_view *view, bool *out_done);
/* Between writing and publishing: tests do something there. */
static inline void
lk_merge_pause(const struct lk_store *store)
{
    if (store->conf.merge_pause != NULL)
        store->conf.merge_pause(store->conf.merge_pause_arg);
}

#endif
