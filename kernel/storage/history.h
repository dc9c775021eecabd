/*
 * storage/history.h - the past that can be read: how far it reaches back, and which commit was the
 * newest when.
 *
 * A slot that belongs to no transaction holds the horizon back to the oldest commit of the window,
 * so that versions, deletes and index entries of the window outlive checkpoints and merges. Every
 * commit leaves a mark of its time; marks thin out when there are too many.
 *
 * Checkpoints write what the window needs beside the state: the marks, when rows of segments ended
 * (ends.c), the versions that ended in memory and when few rows began (past.c). The manifest's
 * entry of the history names the commit from which on all of that is complete; whoever drops what
 * older snapshots would need raises it in the same edit. With storage.history 0 nothing of it is
 * written, and what there was is forgotten.
 */
#ifndef LK_STORAGE_HISTORY_H
#define LK_STORAGE_HISTORY_H

#include "base/bytes.h"
#include "base/lock.h"
#include "storage/hot/stamp.h"
#include "storage/manifest/manifest.h"

struct lk_store;

struct lk_mark {
    int64_t us; /* wall clock when the commit was seen */
    uint64_t commit;
};

/* An owner of the log, and the newest commit that it found: what an earlier one did after that was
 * lost, and its number was given out again. */
struct lk_start {
    uint64_t epoch, commit;
};
#define LK_STARTS_MAX 64u

struct lk_history {
    struct lk_mutex lock;  /* STORE_HISTORY */
    int64_t window_us;     /* 0: none is kept */
    struct lk_slot *pin;   /* holds the horizon at the oldest commit that can be read */
    struct lk_mark *marks; /* ascending; none before first */
    uint32_t first, count, room;
    bool anew;                             /* in recovery: it begins where that ends */
    struct lk_start starts[LK_STARTS_MAX]; /* ascending; changed in recovery only */
    uint32_t starts_count;
};

LUMA_NODISCARD luma_rc lk_history_open(struct luma_ctx *ctx, struct lk_store *store);
void lk_history_close(struct lk_store *store);
/* Recovery: what the manifest says. If it says nothing, whoever had the store before may have kept
 * none, and dropped entries of indexes for rows that the log ends: the history begins anew. */
LUMA_NODISCARD luma_rc lk_history_load(struct luma_ctx *ctx, struct lk_store *store);
/* Recovery is done: there is a mark at least. */
void lk_history_settle(struct lk_store *store);
/* One is kept that the manifest does not tell of: a checkpoint must, before anything is promised.
 */
bool lk_history_unwritten(const struct lk_store *store);
/* Does a checkpoint write what the past needs? */
bool lk_history_kept(const struct lk_store *store);
/* A commit was visible at us; marks are judged at now_us. */
void lk_history_note(struct lk_store *store, int64_t us, int64_t now_us, uint64_t commit);
/* Lets go of what has left the window. */
void lk_history_prune(struct lk_store *store);
/* Recovery: from here on the log is that of a later owner. */
void lk_history_start(struct lk_store *store, uint64_t epoch, uint64_t commit);
/* The newest commit of an earlier owner, as far as is known, that was there for all that came after
 * it. */
uint64_t lk_history_last(const struct lk_store *store, uint64_t epoch);
/* Versions that ended up to here are read by nobody who looks back; UINT64_MAX: no history is kept,
 * nobody looks back. */
uint64_t lk_history_floor(const struct lk_store *store);
/* The checkpoint's slot holds what the history holds now. */
void lk_history_hold(struct lk_store *store);

/* The marks up to `commit`, which was reached at us (0: at that of the last one). *out_floor: the
 * oldest of their commits. False: out of memory. */
LUMA_NODISCARD bool lk_history_write(struct lk_store *store, uint64_t commit, int64_t us,
                                     struct lk_bytes *out, uint64_t *out_count,
                                     uint64_t *out_floor);
/* What older snapshots than that of `floor` need is dropped by this edit, or lacks in what it
 * names. */
void lk_history_raise(struct lk_store *store, struct lk_manifest_edit *edit, uint64_t floor);
/* No history is kept: takes it out of the manifest before anything is dropped that it promises. */
LUMA_NODISCARD luma_rc lk_history_forget(struct luma_ctx *ctx, struct lk_store *store);

#endif
