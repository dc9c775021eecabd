/*
 * storage/segment/merge.h - many segments into one: dead rows go, row ids stay.
 *
 * Because row ids are stable no index changes; deletes that arrive while a merge runs are found
 * again by row id in the new segment (lk_segment_find) before the manifest switches.
 */
#ifndef LK_STORAGE_SEGMENT_MERGE_H
#define LK_STORAGE_SEGMENT_MERGE_H

#include "storage/segment/segment.h"

struct lk_segment_merge_opts {
    struct lk_segment *const *inputs; /* of one collection; row ids may interleave */
    uint32_t inputs_count;
    /* Commit that published an input whose rows begin with LK_COMMIT_OWN; NULL: there is none. */
    const uint64_t *published;
    /* No snapshot is older: begins up to it become one constant, rows that ended up to it go. */
    uint64_t horizon;
    /* Clears bits of rows first .. first+n-1 of an input that nobody may see any more; may be NULL.
     */
    luma_rc (*live)(void *arg, uint32_t input, uint32_t first_row, uint32_t n, uint64_t *bits);
    void *arg;
};

/* Begin of merged rows that every snapshot sees. */
#define LK_COMMIT_SETTLED 1

/*
 * Writes the living rows of all inputs, durable when it returns. *out_written false: none was left,
 * nothing was written. Yields between windows; call it in a background task.
 *
 * Errors:  LUMA_E_AGAIN  two inputs have versions of one row that somebody may still see: merge
 *          them later.
 */
LUMA_NODISCARD luma_rc lk_segment_merge(struct luma_ctx *ctx, struct lk_objects *objects,
                                        const struct lk_formats *formats,
                                        const struct luma_store_coll *def,
                                        const struct lk_segment_merge_opts *opts,
                                        struct lk_segment_info *out_info, bool *out_written);

/*
 * Which segments are worth merging now: four or more of one size class (a factor of four in rows),
 * or one with more than a third of its rows dead. dead[i] is the number of dead rows of infos[i].
 * Gives positions in out (room of them), 0: nothing to do.
 */
uint32_t lk_segment_merge_pick(const struct lk_segment_info *infos, const uint64_t *dead,
                               uint32_t count, uint32_t *out, uint32_t room);

#endif
