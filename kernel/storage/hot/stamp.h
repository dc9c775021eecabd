/*
 * hot/stamp.h - who may see what: stamps of row versions, slots of transactions, snapshots.
 *
 * A stamp says when a version began or ended: a commit number, or the transaction that is about
 * to say so (top bit set; the low 16 bits are its slot). A slot tells the commit number from the
 * moment the commit record has its place in the log, so that all changes of a transaction become
 * visible with one store; afterwards its stamps are replaced one by one and the slot is reused
 * under a new stamp.
 *
 * A stamp whose slot has moved on, and that is still there, belongs to a copy nobody looks after
 * any more: a segment took the row over while the transaction ran. Only readers whose snapshot is
 * older than that still look at it, so the answer is "in progress".
 */
#ifndef LK_STORAGE_HOT_STAMP_H
#define LK_STORAGE_HOT_STAMP_H

#include <stdatomic.h>

#include "base/base.h"

#define LK_STAMP_NONE    0ULL
#define LK_STAMP_TXN     (1ULL << 63)
#define LK_STAMP_ABORTED (LK_STAMP_TXN - 1) /* begin of a version that never was */
#define LK_COMMIT_NEWEST (1ULL << 62)       /* a snapshot that sees every commit */
#define LK_SLOTS_MAX     65536u

/* One per transaction that exists, a cache line each. */
struct lk_slot {
    _Atomic uint64_t stamp;    /* 0: has not written */
    _Atomic uint64_t commit;   /* 0: in progress */
    _Atomic uint64_t snapshot; /* oldest commit number it reads at, plus 1; 0: none */
} LK_ALIGNED_LINE;

struct lk_slots {
    struct lk_slot *slots;        /* LK_SLOTS_MAX, pages that are never touched cost nothing */
    _Atomic uint32_t used;        /* slots ever handed out */
    _Atomic uint64_t next_serial; /* of stamps */
    _Atomic uint64_t visible;     /* newest commit number new snapshots see */
    _Atomic uint64_t floor;       /* no new snapshot is older: published before it is relied on */
};

/* What a reader sees. Copied into cursors; `seen` says what the answer rests on. */
struct lk_snapshot {
    const struct lk_slots *slots;
    uint64_t commit;  /* commits up to here */
    uint64_t own;     /* stamp of the reader's transaction, 0: it has written nothing */
    uint32_t command; /* own changes of commands before this one */
    uint64_t seen;    /* newest commit that mattered */
};

LUMA_NODISCARD luma_rc lk_slots_init(struct lk_slots *slots, struct luma_budget *budget);
void lk_slots_fini(struct lk_slots *slots, struct luma_budget *budget);

/* Takes a snapshot in the slot: about 20 ns, no lock. */
static inline uint64_t
lk_slots_snapshot(struct lk_slots *slots, struct lk_slot *slot)
{
    for (;;) {
        uint64_t commit = atomic_load_explicit(&slots->visible, memory_order_acquire);
        /* Either the look behind the publication sees this store, or this load sees the floor. */
        atomic_store_explicit(&slot->snapshot, commit + 1, memory_order_seq_cst);
        if (LUMA_LIKELY(atomic_load_explicit(&slots->floor, memory_order_seq_cst) <= commit))
            return commit;
    }
}

/* The commit number that every snapshot, now or later, has reached. */
uint64_t lk_slots_horizon(struct lk_slots *slots);

/*
 * Which versions somebody may see. A version that began after one snapshot and ended before the
 * next is needed by nobody, however old the first one is: an old snapshot keeps what it sees, not
 * all that came since.
 */
#define LK_NEEDS_MAX 64u
struct lk_needs {
    uint64_t upto; /* what ended after this is needed */
    uint32_t count;
    uint64_t snapshots[LK_NEEDS_MAX]; /* ascending, up to `upto` */
};
/* Only what ended at or before `commit` is judged; *out lasts as long as it is wanted: snapshots
 * that are taken later need nothing more. */
void lk_slots_needs(struct lk_slots *slots, uint64_t commit, struct lk_needs *out);

/* Does one of the snapshots see commit `from` and not yet commit `to`? */
static inline bool
lk_needs_between(const struct lk_needs *needs, uint64_t from, uint64_t to)
{
    uint32_t lo = 0, hi = needs->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (needs->snapshots[mid] < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < needs->count && needs->snapshots[lo] < to;
}

/* A version with these commit numbers. One that began somewhat later than `begin` is needed by no
 * more snapshots. */
static inline bool
lk_needed(const struct lk_needs *needs, uint64_t begin, uint64_t end)
{
    return end > needs->upto || lk_needs_between(needs, begin, end);
}

/* The lowest commit number that no snapshot tells from `end`, which is at most `upto`: what ended
 * there may as well have ended here. */
uint64_t lk_needs_same(const struct lk_needs *needs, uint64_t end);

/* The longest of the gaps between snapshots, cheaper to ask: what ended at or before `before`, and
 * what began after a gap's `from` and ended at or before its `to`, is needed by nobody. */
#define LK_DEAD_GAPS 4u
struct lk_gap {
    uint64_t from, to;
};
struct lk_dead {
    uint64_t before;
    struct lk_gap gaps[LK_DEAD_GAPS]; /* to 0: none */
};
struct lk_dead lk_slots_dead(struct lk_slots *slots, uint64_t commit);

static inline bool
lk_is_dead(const struct lk_dead *dead, uint64_t begin, uint64_t end)
{
    bool gone = end <= dead->before;
    for (uint32_t i = 0; i < LK_DEAD_GAPS && !gone; i++)
        gone = begin > dead->gaps[i].from && end <= dead->gaps[i].to;
    return gone;
}

/* A new stamp for slot number `index`. */
uint64_t lk_slots_stamp(struct lk_slots *slots, uint32_t index);

/* The commit number behind a stamp, or the stamp itself while its transaction is in progress. */
static inline uint64_t
lk_stamp_resolve(const struct lk_slots *slots, const _Atomic uint64_t *field)
{
    uint64_t stamp = atomic_load_explicit(field, memory_order_acquire);
    while (LUMA_UNLIKELY(stamp & LK_STAMP_TXN)) {
        struct lk_slot *slot = &slots->slots[stamp & (LK_SLOTS_MAX - 1)];
        bool before = atomic_load_explicit(&slot->stamp, memory_order_acquire) == stamp;
        uint64_t commit = atomic_load_explicit(&slot->commit, memory_order_acquire);
        bool after = atomic_load_explicit(&slot->stamp, memory_order_acquire) == stamp;
        if (before && after)
            return commit != 0 ? commit : stamp;
        uint64_t again = atomic_load_explicit(field, memory_order_acquire);
        if (again == stamp)
            return stamp;
        stamp = again;
    }
    return stamp;
}

/* Does the snapshot see what a (resolved) stamp of command `command` says? NONE: no. */
static inline bool
lk_stamp_seen(struct lk_snapshot *snap, uint64_t stamp, uint32_t command)
{
    if (stamp & LK_STAMP_TXN)
        return stamp == snap->own && command < snap->command;
    if (stamp == LK_STAMP_NONE || stamp > snap->commit)
        return false;
    if (stamp > snap->seen)
        snap->seen = stamp;
    return true;
}

#endif
