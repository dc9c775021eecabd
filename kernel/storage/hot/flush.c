/*
 * hot/flush.c - choosing what a checkpoint writes, and the slots that tell how old snapshots are.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "storage/hot/hot.h"

luma_rc
lk_slots_init(struct lk_slots *slots, struct luma_budget *budget)
{
    memset(slots, 0, sizeof(*slots));
    slots->slots = lk_pages_alloc(budget, LK_SLOTS_MAX * sizeof(struct lk_slot));
    return slots->slots == NULL ? LUMA_E_NOMEM : LUMA_OK;
}

void
lk_slots_fini(struct lk_slots *slots, struct luma_budget *budget)
{
    if (slots->slots != NULL)
        lk_pages_free(budget, slots->slots, LK_SLOTS_MAX * sizeof(struct lk_slot));
    slots->slots = NULL;
}

uint64_t
lk_slots_stamp(struct lk_slots *slots, uint32_t index)
{
    uint64_t serial = atomic_fetch_add_explicit(&slots->next_serial, 1, memory_order_relaxed);
    uint64_t stamp = LK_STAMP_TXN | ((serial << 16) & ~LK_STAMP_TXN) | index;
    atomic_store_explicit(&slots->slots[index].commit, 0, memory_order_release);
    atomic_store_explicit(&slots->slots[index].stamp, stamp, memory_order_release);
    return stamp;
}

static uint64_t
oldest_snapshot(struct lk_slots *slots, uint64_t limit)
{
    uint32_t used = atomic_load_explicit(&slots->used, memory_order_acquire);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t snapshot = atomic_load_explicit(&slots->slots[i].snapshot, memory_order_seq_cst);
        if (snapshot != 0 && snapshot - 1 < limit)
            limit = snapshot - 1;
    }
    return limit;
}

static void
floor_raise(struct lk_slots *slots, uint64_t commit)
{
    uint64_t old = atomic_load_explicit(&slots->floor, memory_order_relaxed);
    while (old < commit &&
           !atomic_compare_exchange_weak_explicit(&slots->floor, &old, commit, memory_order_seq_cst,
                                                  memory_order_relaxed))
        continue;
}

uint64_t
lk_slots_horizon(struct lk_slots *slots)
{
    uint64_t visible = atomic_load_explicit(&slots->visible, memory_order_acquire);
    uint64_t horizon = oldest_snapshot(slots, visible);
    floor_raise(slots, horizon);
    /* A snapshot taken between the first look and the publication is seen now; a later one finds
     * the published floor and is not older. */
    return oldest_snapshot(slots, horizon);
}

static int
by_number(const void *a, const void *b)
{
    uint64_t na = *(const uint64_t *)a, nb = *(const uint64_t *)b;
    return (na > nb) - (na < nb);
}

/* Takes a snapshot in: of too many the oldest are kept, and all after them counts as needed. */
static void
needs_add(struct lk_needs *needs, uint64_t snapshot)
{
    for (uint32_t i = 0; i < needs->count; i++)
        if (needs->snapshots[i] == snapshot)
            return;
    if (snapshot > needs->upto)
        return;
    if (needs->count == LK_NEEDS_MAX) {
        uint32_t last = 0;
        for (uint32_t i = 1; i < needs->count; i++)
            last = needs->snapshots[i] > needs->snapshots[last] ? i : last;
        needs->upto = LK_MAX(snapshot, needs->snapshots[last]);
        if (snapshot < needs->snapshots[last])
            needs->snapshots[last] = snapshot;
        return;
    }
    needs->snapshots[needs->count++] = snapshot;
}

void
lk_slots_needs(struct lk_slots *slots, uint64_t commit, struct lk_needs *out)
{
    uint64_t visible = atomic_load_explicit(&slots->visible, memory_order_acquire);
    out->count = 0;
    out->upto = LK_MIN(visible, commit);
    floor_raise(slots, out->upto);
    uint32_t used = atomic_load_explicit(&slots->used, memory_order_acquire);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t snapshot = atomic_load_explicit(&slots->slots[i].snapshot, memory_order_seq_cst);
        if (snapshot != 0)
            needs_add(out, snapshot - 1);
    }
    if (out->count > 1)
        qsort(out->snapshots, out->count, sizeof(out->snapshots[0]), by_number);
}

uint64_t
lk_needs_same(const struct lk_needs *needs, uint64_t end)
{
    uint64_t same = 1;
    for (uint32_t i = 0; i < needs->count && needs->snapshots[i] < end; i++)
        same = needs->snapshots[i] + 1;
    return same;
}

/* Takes the gap in, in the place of the shortest one. */
static void
dead_add(struct lk_dead *dead, uint64_t from, uint64_t to)
{
    struct lk_gap *shortest = &dead->gaps[0];
    for (uint32_t i = 1; i < LK_DEAD_GAPS; i++)
        if (dead->gaps[i].to - dead->gaps[i].from < shortest->to - shortest->from)
            shortest = &dead->gaps[i];
    if (to - from > shortest->to - shortest->from)
        *shortest = (struct lk_gap){from, to};
}

struct lk_dead
lk_slots_dead(struct lk_slots *slots, uint64_t commit)
{
    struct lk_needs needs;
    lk_slots_needs(slots, commit, &needs);
    struct lk_dead dead = {.before = needs.count == 0 ? needs.upto : needs.snapshots[0]};
    for (uint32_t i = 0; i < needs.count; i++) {
        uint64_t next = i + 1 < needs.count ? needs.snapshots[i + 1] : needs.upto;
        dead_add(&dead, needs.snapshots[i], next);
    }
    return dead;
}

struct flush {
    struct lk_hot *hot;
    const struct lk_slots *slots;
    uint64_t commit, gen;
    const struct lk_needs *needs;
    struct lk_versions *out;
    bool left, failed;
};

static void
flush_version(void *arg, struct lk_version *v)
{
    struct flush *flush = arg;
    if (atomic_load_explicit(&v->flushed, memory_order_relaxed) != 0) {
        /* Written before. A transaction in progress may still refer to it from here. */
        uint64_t late = lk_stamp_resolve(flush->slots, &v->end);
        flush->left = flush->left || (late & LK_STAMP_TXN) != 0;
        return;
    }
    uint64_t begin = lk_stamp_resolve(flush->slots, &v->begin);
    uint64_t end = lk_stamp_resolve(flush->slots, &v->end);
    if (begin == LK_STAMP_ABORTED)
        return;
    if ((begin & LK_STAMP_TXN) || begin > flush->commit) {
        flush->left = true;
        return;
    }
    if (!(end & LK_STAMP_TXN) && end != LK_STAMP_NONE && end <= flush->commit) {
        flush->left = flush->left || lk_needed(flush->needs, begin, end);
        return;
    }
    if (!lk_versions_push(flush->out, v) || (end != LK_STAMP_NONE && !lk_hot_late(flush->hot, v))) {
        flush->failed = true;
        return;
    }
    atomic_store_explicit(&v->flushed, flush->gen, memory_order_release);
}

static int
by_rowid(const void *a, const void *b)
{
    int64_t ra = (*(struct lk_version *const *)a)->rowid;
    int64_t rb = (*(struct lk_version *const *)b)->rowid;
    return (ra > rb) - (ra < rb);
}

luma_rc
lk_hot_flush_begin(struct lk_hot *hot, const struct lk_slots *slots, uint64_t commit,
                   const struct lk_needs *needs, uint64_t gen, struct lk_versions *out,
                   bool *out_left)
{
    struct flush flush = {.hot = hot, .slots = slots, .commit = commit, .needs = needs, .gen = gen};
    flush.out = out;
    if (hot->settled) { /* all of it has ended, and somebody needs it: the sweep tells when not */
        *out_left = true;
        return LUMA_OK;
    }
    hot->flush_gen = gen;
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++)
        lk_hot_each(hot, i, flush_version, &flush);
    *out_left = flush.left;
    if (flush.failed)
        return LUMA_E_NOMEM;
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(out->items[0]), by_rowid);
    return LUMA_OK;
}

void
lk_hot_flush_cancel(struct lk_hot *hot, struct lk_versions *versions)
{
    for (uint32_t i = 0; i < versions->count; i++)
        atomic_store_explicit(&versions->items[i]->flushed, 0, memory_order_release);
    lk_mutex_lock(&hot->late_lock);
    hot->late_count = 0;
    lk_mutex_unlock(&hot->late_lock);
}
