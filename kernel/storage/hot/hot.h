/*
 * storage/hot - rows in memory: for each row id a chain of versions, newest first.
 *
 * A hot table takes the versions of one collection from one checkpoint to the next; then it is
 * frozen (new versions go to its successor) and written as a segment. Each version is judged by
 * itself: visible when its begin is seen and its end is not. So a scan takes hot tables and
 * segments in any order and looks nothing up across them.
 *
 * A version that a checkpoint has written carries the generation of the view that names its
 * segment: readers of that view or a later one skip it here.
 */
#ifndef LK_STORAGE_HOT_H
#define LK_STORAGE_HOT_H

#include <lumadb/host/mem.h>

#include "base/lock.h"
#include "data/tuple.h"
#include "storage/hot/stamp.h"

#define LK_HOT_SHARDS 32

struct lk_seg;

struct lk_version {
    _Atomic uint64_t begin, end; /* stamps */
    uint32_t begin_command, end_command;
    int64_t rowid;
    struct lk_version *older; /* of the same row */
    struct lk_version *next;  /* newest version of another row in this bucket */
    _Atomic uint64_t flushed; /* generation of views that have it in `seg`; 0: not written */
    struct lk_seg *seg;       /* held by the table */
    uint32_t seg_row;
    uint32_t tuple_bytes;
    uint8_t tuple[];
};

struct lk_hot_shard {
    struct lk_mutex lock;
    uint32_t buckets_log2;
    uint32_t rows;
    struct lk_version **buckets;
} LK_ALIGNED_LINE;

struct lk_hot {
    _Atomic uint32_t refs;
    struct luma_budget *budget;
    _Atomic uint64_t bytes;    /* of all versions */
    _Atomic uint64_t versions; /* inserted and not pruned */
    struct lk_mutex late_lock;
    struct lk_version **late; /* ended after a flush had begun to write them */
    uint32_t late_count, late_room;
    /* What to give back when the table goes: the segments its versions were written to. */
    void (*release)(void *kept);
    void **kept;
    uint32_t kept_count, kept_room;
    /* Of a frozen table; who holds the store's work lock looks at them. */
    uint64_t flush_gen;  /* the newest generation that something was written for */
    uint64_t swept_gen;  /* up to which what was written has been taken out */
    uint64_t swept_pins; /* the snapshots that what is left was kept for */
    uint64_t ended_max;  /* what is left and has ended did so here at the latest */
    bool settled;        /* nothing is left but versions that ended */
    struct lk_hot_shard shards[LK_HOT_SHARDS];
};

LUMA_NODISCARD luma_rc lk_hot_create(struct luma_budget *budget, struct lk_hot **out_hot);
void lk_hot_ref(struct lk_hot *hot);
void lk_hot_unref(struct lk_hot *hot); /* NULL is fine */

/* A version of its own, not yet in the table: the caller fills tuple. NULL: over budget. */
struct lk_version *lk_hot_version(struct lk_hot *hot, int64_t rowid, uint32_t tuple_bytes);
/* Puts it at the head of its row's chain. Versions behind it that are dead, and
 * that no flush is writing, go. */
LUMA_NODISCARD luma_rc lk_hot_add(struct lk_hot *hot, struct lk_version *version,
                                  const struct lk_slots *slots, const struct lk_dead *dead);
/* Gives back a version that was not added. */
void lk_hot_version_free(struct lk_hot *hot, struct lk_version *version);

/* Takes a version out of the table and frees it; false: it is not in this table. Only who made it
 * can see it: it has not been committed. */
bool lk_hot_forget(struct lk_hot *hot, struct lk_version *version);

/* The version of the row that the snapshot sees, for readers of a view of generation gen. The
 * pointer stays valid as long as the snapshot is registered and the table is held. */
struct lk_version *lk_hot_find(struct lk_hot *hot, int64_t rowid, struct lk_snapshot *snap,
                               uint64_t gen);
/* Visits the versions of a row, newest first, until fn says false; under the shard's lock. */
void lk_hot_row(struct lk_hot *hot, int64_t rowid, uint64_t gen,
                bool (*fn)(void *arg, struct lk_version *version), void *arg);
/* All versions of a shard, under its lock. */
void lk_hot_each(struct lk_hot *hot, uint32_t shard, void (*fn)(void *arg, struct lk_version *v),
                 void *arg);

/* Sets the end of a version whose row the caller has locked. */
LUMA_NODISCARD luma_rc lk_hot_end(struct lk_hot *hot, struct lk_version *version, uint64_t stamp,
                                  uint32_t command);

/* Remembers a version that is ended while it is being written: its segment must learn of it. */
LUMA_NODISCARD bool lk_hot_late(struct lk_hot *hot, struct lk_version *version);

/* A growing list of versions. */
struct lk_versions {
    struct lk_version **items;
    uint32_t count, room;
};
LUMA_NODISCARD bool lk_versions_push(struct lk_versions *list, struct lk_version *version);
void lk_versions_fini(struct lk_versions *list);
/* Appends what the snapshot sees of a shard; LUMA_E_NOMEM. */
LUMA_NODISCARD luma_rc lk_hot_collect(struct lk_hot *hot, uint32_t shard, struct lk_snapshot *snap,
                                      uint64_t gen, struct lk_versions *out);

/* --- replay of the log: one thread works on a shard at a time, and nobody else looks --- */

uint32_t lk_hot_shard(int64_t rowid);
/* What a thread has changed, to be settled at once: counters that all threads share cost more than
 * the rows. */
struct lk_hot_tally {
    int64_t bytes, versions;
};
/* A part of the budget, taken in larger steps. */
struct lk_hot_grant {
    struct luma_budget *budget;
    size_t left;
};
/* The row's bucket is wanted soon (step 0), then what hangs there (step 1). */
void lk_hot_replay_ahead(const struct lk_hot *hot, int64_t rowid, int step);
/* Ends the row's current version; false: the table has none. */
LUMA_NODISCARD bool lk_hot_replay_end(struct lk_hot *hot, int64_t rowid, uint64_t commit);
/* Puts a version in. fresh: the row has none yet. Versions that ended at or before `before` go. */
LUMA_NODISCARD luma_rc lk_hot_replay_put(struct lk_hot *hot, struct lk_hot_tally *tally,
                                         struct lk_hot_grant *grant, int64_t rowid,
                                         struct luma_slice tuple, uint64_t commit, uint64_t before,
                                         bool fresh);
/* Puts in a version that has ended, behind the newest one of its row. */
LUMA_NODISCARD luma_rc lk_hot_replay_ended(struct lk_hot *hot, struct lk_hot_tally *tally,
                                           struct lk_hot_grant *grant, int64_t rowid,
                                           struct luma_slice tuple, uint64_t begin, uint64_t end);
void lk_hot_replay_settle(struct lk_hot *hot, const struct lk_hot_tally *tally);
void lk_hot_grant_end(struct lk_hot_grant *grant);

/* --- flushing --- */
/* Marks and lists the versions that a segment of the state at `commit` must hold, in row id order.
 * *out_left: something stays that a snapshot may need (in progress, newer than `commit`, or ended
 * after `horizon`). */
LUMA_NODISCARD luma_rc lk_hot_flush_begin(struct lk_hot *hot, const struct lk_slots *slots,
                                          uint64_t commit, const struct lk_needs *needs,
                                          uint64_t gen, struct lk_versions *out, bool *out_left);
/* The table takes a reference to something until it is destroyed. */
LUMA_NODISCARD bool lk_hot_keep(struct lk_hot *hot, void *kept, void (*release)(void *kept));
/* Not written after all. */
void lk_hot_flush_cancel(struct lk_hot *hot, struct lk_versions *versions);

/* --- sweeping: a frozen table keeps what old snapshots see, and no more --- */
struct lk_hot_swept {
    bool written;       /* some that were written are left */
    bool open;          /* some have not ended, or may be taken back */
    uint64_t ended_max; /* the rest ended here at the latest */
};
/* Takes out of a shard versions that nobody needs, and those that were written for a generation up
 * to `gen`, which all views in use with this table have. Adds to *swept what is left. Nobody sets
 * a stamp meanwhile: the collection's latch is held alone, and no flush is under way. */
void lk_hot_sweep(struct lk_hot *hot, uint32_t shard, const struct lk_needs *needs, uint64_t gen,
                  struct lk_hot_swept *swept);
/* Gives back what the table keeps for versions that were written. */
void lk_hot_release(struct lk_hot *hot);

static inline size_t
lk_version_bytes(uint32_t tuple_bytes)
{
    return sizeof(struct lk_version) + tuple_bytes;
}

#endif
