/*
 * storage/row.c - finding the version of a row: for a reader's snapshot, or the current one.
 */
#include "storage/core.h"

/* Segments whose range may hold rowid, from the last one downwards; UINT32_MAX: none is left. */
static uint32_t
seg_last(const struct lk_view *view, int64_t rowid)
{
    uint32_t lo = 0, hi = view->segs_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (view->segs[mid]->info.rowid_min <= rowid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo - 1;
}

static uint32_t
seg_step(const struct lk_view *view, int64_t rowid, uint32_t at)
{
    while (at != UINT32_MAX && view->reach[at] >= rowid) {
        if (view->segs[at]->info.rowid_max >= rowid)
            return at;
        at--;
    }
    return UINT32_MAX;
}

static luma_rc
seg_sees(struct luma_ctx *ctx, struct lk_seg *seg, int64_t rowid, struct lk_snapshot *snap,
         int64_t *out_row)
{
    *out_row = -1;
    if (lk_seg_begin_none(seg, snap))
        return LUMA_OK;
    int64_t row = -1;
    LUMA_TRY(lk_seg_usable(ctx, seg));
    LUMA_TRY(lk_segment_find(ctx, seg->segment, rowid, &row));
    if (row < 0)
        return LUMA_OK;
    uint32_t command = 0;
    uint64_t end = lk_seg_end_of(seg, snap->slots, (uint32_t)row, &command);
    if (lk_stamp_seen(snap, end, command))
        return LUMA_OK;
    bool seen = false;
    LUMA_TRY(lk_seg_begin_seen(ctx, seg, (uint32_t)row, snap, &seen));
    if (seen)
        *out_row = row;
    return LUMA_OK;
}

luma_rc
lk_row_find(struct luma_ctx *ctx, struct lk_view *view, int64_t rowid, struct lk_snapshot *snap,
            struct lk_place *out_place, bool *out_found)
{
    *out_found = true;
    for (uint32_t i = 0; i < view->hots_count; i++) {
        struct lk_version *v = lk_hot_find(view->hots[i], rowid, snap, view->gen);
        if (v != NULL) {
            *out_place = (struct lk_place){.hot = view->hots[i], .version = v};
            return LUMA_OK;
        }
    }
    for (uint32_t at = seg_step(view, rowid, seg_last(view, rowid)); at != UINT32_MAX;
         at = seg_step(view, rowid, at - 1)) {
        int64_t row = -1;
        LUMA_TRY(seg_sees(ctx, view->segs[at], rowid, snap, &row));
        if (row >= 0) {
            *out_place = (struct lk_place){.seg = view->segs[at], .row = (uint32_t)row};
            return LUMA_OK;
        }
    }
    *out_found = false;
    return LUMA_OK;
}

/* Others may prune a version, or take it back, as soon as its shard is unlocked: who holds no lock
 * of the row looks at a copy. */
static struct lk_version *
version_keep(struct lk_version *v, struct lk_bytes *keep)
{
    if (keep == NULL)
        return v;
    lk_bytes_reset(keep);
    struct lk_version *copy = (void *)lk_bytes_extend(keep, lk_version_bytes(v->tuple_bytes));
    if (copy == NULL)
        return NULL;
    memset(copy, 0, sizeof(*copy));
    atomic_init(&copy->begin, atomic_load_explicit(&v->begin, memory_order_relaxed));
    atomic_init(&copy->end, atomic_load_explicit(&v->end, memory_order_relaxed));
    copy->begin_command = v->begin_command;
    copy->rowid = v->rowid;
    copy->tuple_bytes = v->tuple_bytes;
    memcpy(copy->tuple, v->tuple, v->tuple_bytes);
    return copy;
}

struct current {
    const struct lk_slots *slots;
    struct lk_bytes *keep;
    uint64_t own, other, begin;
    struct lk_version *version;
    bool found;
};

/* Is a version with these (resolved) stamps the current one? */
static bool
is_current(struct current *c, uint64_t begin, uint64_t end)
{
    if (begin == LK_STAMP_ABORTED || ((begin & LK_STAMP_TXN) && begin != c->own))
        return false;
    if (end != LK_STAMP_NONE && (!(end & LK_STAMP_TXN) || end == c->own))
        return false;
    c->begin = begin;
    c->other = end;
    return true;
}

static bool
current_version(void *arg, struct lk_version *v)
{
    struct current *c = arg;
    if (!is_current(c, lk_stamp_resolve(c->slots, &v->begin), lk_stamp_resolve(c->slots, &v->end)))
        return true;
    c->version = version_keep(v, c->keep);
    c->found = true;
    return false;
}

static luma_rc
current_in_seg(struct luma_ctx *ctx, struct current *c, struct lk_seg *seg, int64_t rowid,
               int64_t *out_row)
{
    int64_t row = -1;
    *out_row = -1;
    uint64_t begin = lk_stamp_resolve(c->slots, &seg->begin);
    if ((begin & LK_STAMP_TXN) && begin != c->own)
        return LUMA_OK;
    LUMA_TRY(lk_seg_usable(ctx, seg));
    LUMA_TRY(lk_segment_find(ctx, seg->segment, rowid, &row));
    if (row < 0)
        return LUMA_OK;
    uint32_t command = 0;
    uint64_t end = lk_seg_end_of(seg, c->slots, (uint32_t)row, &command);
    if (begin == 0) {
        begin = seg->info.commit_max;
        if (seg->info.commit_min != seg->info.commit_max) {
            uint64_t unused = 0;
            LUMA_TRY(lk_segment_row_commits(ctx, seg->segment, (uint32_t)row, &begin, &unused));
        }
    }
    if (is_current(c, begin, end))
        *out_row = row;
    return LUMA_OK;
}

luma_rc
lk_row_current(struct luma_ctx *ctx, struct lk_view *view, const struct lk_slots *slots,
               int64_t rowid, uint64_t own, struct lk_bytes *keep, struct lk_place *out_place,
               bool *out_found, uint64_t *out_other)
{
    struct current c = {.slots = slots, .own = own, .keep = keep};
    *out_found = true;
    *out_other = 0;
    for (uint32_t i = 0; i < view->hots_count; i++) {
        lk_hot_row(view->hots[i], rowid, view->gen, current_version, &c);
        if (c.found && c.version == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "row: out of memory");
        if (c.found) {
            *out_place = (struct lk_place){.hot = view->hots[i], .version = c.version};
            out_place->begin = c.begin;
            *out_other = c.other;
            return LUMA_OK;
        }
    }
    for (uint32_t at = seg_step(view, rowid, seg_last(view, rowid)); at != UINT32_MAX;
         at = seg_step(view, rowid, at - 1)) {
        int64_t row = -1;
        LUMA_TRY(current_in_seg(ctx, &c, view->segs[at], rowid, &row));
        if (row >= 0) {
            *out_place = (struct lk_place){.seg = view->segs[at], .row = (uint32_t)row};
            out_place->begin = c.begin;
            *out_other = c.other;
            return LUMA_OK;
        }
    }
    *out_found = false;
    return LUMA_OK;
}

struct pending {
    const struct lk_slots *slots;
    struct lk_bytes *keep;
    uint64_t own, other;
    struct lk_version *version;
    bool found;
};

static bool
pending_version(void *arg, struct lk_version *v)
{
    struct pending *p = arg;
    uint64_t begin = lk_stamp_resolve(p->slots, &v->begin);
    if (!(begin & LK_STAMP_TXN) || begin == p->own ||
        lk_stamp_resolve(p->slots, &v->end) != LK_STAMP_NONE)
        return true;
    p->version = version_keep(v, p->keep);
    p->found = true;
    p->other = begin;
    return false;
}

luma_rc
lk_row_pending(struct luma_ctx *ctx, struct lk_view *view, const struct lk_slots *slots,
               int64_t rowid, uint64_t own, struct lk_bytes *keep, struct lk_place *out_place,
               bool *out_found, uint64_t *out_other)
{
    struct pending p = {.slots = slots, .own = own, .keep = keep};
    *out_found = true;
    for (uint32_t i = 0; i < view->hots_count; i++) {
        lk_hot_row(view->hots[i], rowid, view->gen, pending_version, &p);
        if (p.found && p.version == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "row: out of memory");
        if (p.found) {
            *out_place = (struct lk_place){.hot = view->hots[i], .version = p.version};
            *out_other = p.other;
            return LUMA_OK;
        }
    }
    for (uint32_t at = seg_step(view, rowid, seg_last(view, rowid)); at != UINT32_MAX;
         at = seg_step(view, rowid, at - 1)) {
        struct lk_seg *seg = view->segs[at];
        int64_t row = -1;
        uint32_t command = 0;
        uint64_t begin = lk_stamp_resolve(slots, &seg->begin);
        if (!(begin & LK_STAMP_TXN) || begin == own || seg->segment == NULL)
            continue;
        LUMA_TRY(lk_segment_find(ctx, seg->segment, rowid, &row));
        if (row < 0 || lk_seg_end_of(seg, slots, (uint32_t)row, &command) != LK_STAMP_NONE)
            continue;
        *out_place = (struct lk_place){.seg = seg, .row = (uint32_t)row};
        *out_other = begin;
        return LUMA_OK;
    }
    *out_found = false;
    return LUMA_OK;
}
