/*
 * kernel/storage/run - indexes: one hot part plus immutable runs of a module's kind.
 *
 * Entries are (memcomparable key, row id), see lumadb/kind/index.h. The index knows no visibility:
 * it gives candidates. Freeze and publish happen inside a checkpoint of the store; merging in the
 * background.
 */
#ifndef LK_STORAGE_RUN_H
#define LK_STORAGE_RUN_H

#include <lumadb/host/store.h>
#include <lumadb/kind/index.h>

#include "storage/object/object.h"

struct luma_host_services;
struct lk_index; /* one index: hot parts and the current list of runs */

/* What the manifest keeps of a run. */
struct lk_run_info {
    uint64_t object_id;
    uint64_t index_id;
    uint64_t bytes;
    uint64_t entries;
    uint32_t level;
};

LUMA_NODISCARD luma_rc lk_index_create(struct luma_ctx *ctx, struct lk_objects *objects,
                                       struct luma_budget *budget,
                                       const struct luma_host_services *services,
                                       const struct luma_store_index *def,
                                       struct lk_index **out_index);
void lk_index_destroy(struct lk_index *index);

/* --- entries: any thread, never parks --- */
LUMA_NODISCARD luma_rc lk_index_insert(struct luma_ctx *ctx, struct lk_index *index,
                                       const struct luma_index_entry *entries, size_t count);
void lk_index_remove(struct lk_index *index, const struct luma_index_entry *entry);

/* --- candidates, duplicates possible between parts --- */
LUMA_NODISCARD luma_rc lk_index_find(struct luma_ctx *ctx, struct lk_index *index,
                                     const struct luma_slice *keys, size_t count,
                                     void (*emit)(void *arg, size_t key_index, int64_t rowid),
                                     void *arg);
/* Merged over hot parts and runs in key order, duplicates (key, rowid) left out. Holds the parts it
 * reads until it is closed. */
struct lk_index_cursor;
LUMA_NODISCARD luma_rc lk_index_cursor_open(struct luma_ctx *ctx, struct lk_index *index,
                                            const struct luma_index_range *range,
                                            struct luma_arena *arena,
                                            struct lk_index_cursor **out_cursor);
LUMA_NODISCARD luma_rc lk_index_cursor_next(struct luma_ctx *ctx, struct lk_index_cursor *cursor,
                                            struct luma_index_entry *out_entry, bool *out_more);
void lk_index_cursor_close(struct lk_index_cursor *cursor);
uint64_t lk_index_estimate(struct luma_ctx *ctx, struct lk_index *index,
                           const struct luma_index_range *range);
bool lk_index_is_ordered(const struct lk_index *index);
uint64_t lk_index_entries(struct lk_index *index); /* of all parts */
size_t lk_index_hot_bytes(const struct lk_index *index);
uint64_t lk_index_hot_count(struct lk_index *index); /* entries no run holds yet */
uint64_t lk_index_bytes(const struct lk_index *index);

/* --- checkpoint --- */
/* Makes the present hot part read-only and starts a new one; LUMA_E_AGAIN while one is frozen
 * still. */
LUMA_NODISCARD luma_rc lk_index_freeze(struct luma_ctx *ctx, struct lk_index *index);
/* Writes the frozen part as a run (durable on return); entries 0: nothing written, *out_written
 * false. */
LUMA_NODISCARD luma_rc lk_index_write_frozen(struct luma_ctx *ctx, struct lk_index *index,
                                             struct lk_run_info *out_info, bool *out_written);
/* The manifest names it now: readers switch from frozen part to run. info NULL: drop the frozen
 * part (nothing was written); lk_index_unfreeze puts it back before the hot part after a failure.
 */
LUMA_NODISCARD luma_rc lk_index_publish(struct luma_ctx *ctx, struct lk_index *index,
                                        const struct lk_run_info *info);
void lk_index_unfreeze(struct lk_index *index);

/* --- runs made elsewhere: recovery, bulk loads, CREATE INDEX --- */
LUMA_NODISCARD luma_rc lk_index_attach(struct luma_ctx *ctx, struct lk_index *index,
                                       const struct lk_run_info *info);
/* Sorts entries given in any order (spilling over budget) and writes runs. */
struct lk_run_sorter;
LUMA_NODISCARD luma_rc lk_run_sorter_create(struct luma_ctx *ctx, struct lk_index *index,
                                            uint32_t parts, struct lk_run_sorter **out_sorter);
LUMA_NODISCARD luma_rc lk_run_sorter_add(struct luma_ctx *ctx, struct lk_run_sorter *sorter,
                                         uint32_t part, const struct luma_index_entry *entries,
                                         size_t count);
/* Takes the sorter. With check_unique: LUMA_E_UNIQUE when two entries have one key (first
 * offender's key in out_dup, arena). *out_written false: no entries. */
LUMA_NODISCARD luma_rc lk_run_sorter_finish(struct luma_ctx *ctx, struct lk_run_sorter *sorter,
                                            bool check_unique, struct luma_slice *out_dup,
                                            struct lk_run_info *out_info, bool *out_written);
void lk_run_sorter_abort(struct lk_run_sorter *sorter);

/* --- merging --- */
/* Runs worth merging now (size tiers), written as one; the caller publishes through the manifest
 * and then calls replace. *out_written false: nothing to do. */
struct lk_run_judge {
    bool (*may)(void *arg, uint64_t object_id); /* this run may be merged; NULL: all */
    bool (*dead)(void *arg, const struct luma_index_entry *entry); /* needs not be kept */
    void *arg;
};
struct lk_run_merge {
    uint32_t inputs_count;
    struct lk_run_info inputs[16];
    struct lk_run_info output;
};
LUMA_NODISCARD luma_rc lk_index_merge(struct luma_ctx *ctx, struct lk_index *index,
                                      const struct lk_run_judge *judge,
                                      struct lk_run_merge *out_merge, bool *out_written);
LUMA_NODISCARD luma_rc lk_index_replace(struct luma_ctx *ctx, struct lk_index *index,
                                        const struct lk_run_merge *merge);
/* Runs go, a rebuilt one (NULL: no entries) takes their place. */
LUMA_NODISCARD luma_rc lk_index_rebuilt(struct luma_ctx *ctx, struct lk_index *index,
                                        const uint64_t *ids, uint32_t count,
                                        const struct lk_run_info *info);
/* Is the run open, and can all of it be read? */
bool lk_index_run_sound(struct luma_ctx *ctx, struct lk_index *index, uint64_t object_id);
LUMA_NODISCARD luma_rc lk_index_verify(struct luma_ctx *ctx, struct lk_index *index);

#endif
