/*
 * storage/seg.c - a segment in use: when its rows begin, and which have ended.
 *
 * A delete is young (row -> stamp, in a table per group) until a checkpoint; then it moves to the
 * bitmap, unless a snapshot needs the row. Those that no snapshot tells apart become one claim
 * (claims.c), as a large transaction's deletes are: one bitmap with one stamp. So an old snapshot
 * costs a bit for each row that has ended since, and nothing is looked at again and again. On disk
 * there is only a bitmap: after a restart no old snapshot exists. Where a history is kept, ends.c
 * tells of the others beside it.
 */
#include <stdlib.h>

#include "storage/core.h"
#include "storage/mutant.h"

#define YOUNG_USED     UINT32_MAX
#define YOUNG_ROOM_MIN 16

luma_rc
lk_seg_create(struct luma_ctx *ctx, struct lk_store *store, uint64_t object_id,
              struct lk_seg **out_seg)
{
    struct lk_seg *seg = calloc(1, sizeof(*seg));
    if (seg == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "segment: out of memory");
    atomic_init(&seg->refs, 1);
    lk_mutex_init(&seg->lock, LK_LOCK_SEG_YOUNG);
    seg->objects = store->objects;
    atomic_init(&seg->born_us, lk_io_wall_us(store->conf.io));
    luma_rc rc = lk_segment_open(ctx, store->objects, store->formats, object_id, &seg->segment);
    if (rc == LUMA_E_CORRUPT) { /* the disk may have misread it */
        luma_error_reset(ctx->error);
        rc = lk_segment_open(ctx, store->objects, store->formats, object_id, &seg->segment);
    }
    if (rc == LUMA_OK) {
        seg->info = *lk_segment_info(seg->segment);
        int64_t born_us = lk_object_born_us(store->objects, object_id);
        if (born_us != 0)
            atomic_store(&seg->born_us, born_us);
        seg->groups_count = lk_segment_groups(seg->segment);
        seg->young = calloc((size_t)seg->groups_count + 1, sizeof(*seg->young));
        if (seg->young == NULL)
            rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "segment: out of memory");
    }
    if (rc != LUMA_OK) {
        lk_seg_unref(seg);
        return rc;
    }
    *out_seg = seg;
    return LUMA_OK;
}

luma_rc
lk_seg_create_broken(struct luma_ctx *ctx, struct lk_store *store,
                     const struct lk_segment_info *info, const char *why, struct lk_seg **out_seg)
{
    struct lk_seg *seg = calloc(1, sizeof(*seg));
    if (seg == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "segment: out of memory");
    atomic_init(&seg->refs, 1);
    lk_mutex_init(&seg->lock, LK_LOCK_SEG_YOUNG);
    seg->objects = store->objects;
    seg->info = *info;
    seg->groups_count = (uint32_t)((info->rows + LK_GROUP_ROWS - 1) / LK_GROUP_ROWS);
    seg->young = calloc((size_t)seg->groups_count + 1, sizeof(*seg->young));
    seg->broken = strdup(why);
    if (seg->young == NULL || seg->broken == NULL) {
        lk_seg_unref(seg);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "segment: out of memory");
    }
    *out_seg = seg;
    return LUMA_OK;
}

luma_rc
lk_seg_usable(struct luma_ctx *ctx, const struct lk_seg *seg)
{
    if (LUMA_LIKELY(seg->segment != NULL))
        return LUMA_OK;
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s", seg->broken);
}

void
lk_seg_ref(struct lk_seg *seg)
{
    atomic_fetch_add_explicit(&seg->refs, 1, memory_order_relaxed);
}

void
lk_seg_unref(struct lk_seg *seg)
{
    if (seg == NULL || atomic_fetch_sub_explicit(&seg->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (atomic_load(&seg->remove))
        lk_object_remove(seg->objects, LK_OBJECT_SEGMENT, seg->info.object_id);
    if (seg->segment != NULL) {
        lk_segment_let_go(seg->segment, &seg->kept);
        lk_segment_unref(seg->segment);
    }
    if (seg->young != NULL)
        for (uint32_t i = 0; i < seg->groups_count; i++)
            free(seg->young[i].entries);
    free(seg->young);
    lk_claims_free(seg);
    if (seg->dead != NULL)
        roaring_bitmap_free(seg->dead);
    lk_seg_unref(seg->moved_to);
    free(seg->moved_rows);
    free(seg->broken);
    lk_mutex_fini(&seg->lock);
    free(seg);
}

static struct lk_young_entry *
young_slot(const struct lk_young_group *group, uint32_t row)
{
    uint32_t at = (row * 2654435761u) & (group->room - 1);
    while (group->entries[at].row_plus1 != 0 && group->entries[at].row_plus1 != row + 1)
        at = (at + 1) & (group->room - 1);
    return &group->entries[at];
}

static bool
young_grow(struct lk_young_group *group)
{
    struct lk_young_group bigger = *group;
    bigger.room = YOUNG_ROOM_MIN;
    while (bigger.room < group->count * 4)
        bigger.room *= 2;
    bigger.entries = calloc(bigger.room, sizeof(bigger.entries[0]));
    if (bigger.entries == NULL)
        return false;
    bigger.used = group->count;
    for (uint32_t i = 0; i < group->room; i++) {
        const struct lk_young_entry *e = &group->entries[i];
        if (e->row_plus1 == 0 || e->row_plus1 == YOUNG_USED)
            continue;
        struct lk_young_entry *to = young_slot(&bigger, e->row_plus1 - 1);
        to->row_plus1 = e->row_plus1;
        to->command = e->command;
        atomic_init(&to->stamp, atomic_load_explicit(&e->stamp, memory_order_relaxed));
    }
    free(group->entries);
    *group = bigger;
    return true;
}

static struct lk_young_entry *
young_find(struct lk_seg *seg, uint32_t row)
{
    struct lk_young_group *group = &seg->young[row / LK_GROUP_ROWS];
    if (group->count == 0)
        return NULL;
    struct lk_young_entry *e = young_slot(group, row);
    return e->row_plus1 == 0 ? NULL : e;
}

luma_rc
lk_seg_end(struct lk_seg *seg, uint32_t row, uint64_t stamp, uint32_t command)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&seg->lock);
    struct lk_young_group *group = &seg->young[row / LK_GROUP_ROWS];
    if (group->used * 2 >= group->room && !young_grow(group))
        rc = LUMA_E_NOMEM;
    if (rc == LUMA_OK) {
        struct lk_young_entry *e = young_slot(group, row);
        if (e->row_plus1 == 0) {
            e->row_plus1 = row + 1;
            group->count++;
            group->used++;
            seg->young_count++;
        }
        e->command = command;
        atomic_store_explicit(&e->stamp, stamp, memory_order_release);
        atomic_store_explicit(&seg->has_deletes, true, memory_order_release);
        atomic_store_explicit(&seg->dirty, true, memory_order_release);
    }
    lk_mutex_unlock(&seg->lock);
    return rc;
}

static void
young_remove(struct lk_seg *seg, struct lk_young_group *group, struct lk_young_entry *e)
{
    e->row_plus1 = YOUNG_USED;
    atomic_store_explicit(&e->stamp, LK_STAMP_NONE, memory_order_relaxed);
    group->count--;
    seg->young_count--;
    if (group->count == 0) { /* a large delete has left it behind */
        free(group->entries);
        *group = (struct lk_young_group){0};
    }
}

void
lk_seg_restamp(struct lk_seg *seg, uint32_t row, uint64_t from, uint64_t to)
{
    lk_mutex_lock(&seg->lock);
    struct lk_young_entry *e = young_find(seg, row);
    if (e != NULL && atomic_load_explicit(&e->stamp, memory_order_relaxed) == from) {
        if (to == LK_STAMP_NONE)
            young_remove(seg, &seg->young[row / LK_GROUP_ROWS], e);
        else
            atomic_store_explicit(&e->stamp, to, memory_order_release);
    }
    lk_mutex_unlock(&seg->lock);
}

void
lk_young_take_out(struct lk_seg *seg, uint64_t stamp, const roaring_bitmap_t *rows)
{
    roaring_uint32_iterator_t it;
    roaring_init_iterator(rows, &it);
    for (; it.has_value && seg->young_count > 0; roaring_advance_uint32_iterator(&it)) {
        struct lk_young_entry *e = young_find(seg, it.current_value);
        if (e != NULL && atomic_load_explicit(&e->stamp, memory_order_relaxed) == stamp)
            young_remove(seg, &seg->young[it.current_value / LK_GROUP_ROWS], e);
    }
}

uint64_t
lk_seg_end_of(struct lk_seg *seg, const struct lk_slots *slots, uint32_t row, uint32_t *out_command)
{
    *out_command = 0;
    if (!atomic_load_explicit(&seg->has_deletes, memory_order_acquire))
        return LK_STAMP_NONE;
    uint64_t stamp = LK_STAMP_NONE;
    lk_mutex_lock(&seg->lock);
    if (seg->dead != NULL && roaring_bitmap_contains(seg->dead, row)) {
        stamp = 1;
    } else {
        struct lk_young_entry *e = young_find(seg, row);
        struct lk_claim *claim = e == NULL ? lk_claim_of(seg, row) : NULL;
        if (e != NULL) {
            stamp = lk_stamp_resolve(slots, &e->stamp);
            *out_command = e->command;
        } else if (claim != NULL) {
            stamp = lk_stamp_resolve(slots, &claim->stamp);
            *out_command = claim->command;
        }
    }
    lk_mutex_unlock(&seg->lock);
    return stamp;
}

static void
live_dead(const roaring_bitmap_t *dead, uint32_t first, uint32_t n, uint64_t *bits)
{
    roaring_uint32_iterator_t it;
    roaring_init_iterator(dead, &it);
    if (!roaring_move_uint32_iterator_equalorlarger(&it, first))
        return;
    while (it.has_value && it.current_value - first < n) {
        luma_bit_clear(bits, it.current_value - first);
        roaring_advance_uint32_iterator(&it);
    }
}

uint64_t
lk_seg_born(const struct lk_seg *seg, const struct lk_slots *slots)
{
    uint64_t begin = lk_stamp_resolve(slots, &seg->begin);
    if (begin == 0)
        return seg->info.commit_min;
    return begin & LK_STAMP_TXN ? 0 : begin;
}

/* Whose eyes ends are looked at with: those of one snapshot, or of all there are. */
struct look {
    struct lk_snapshot *snap; /* NULL: all */
    const struct lk_slots *slots;
    const struct lk_needs *needs;
    uint64_t born;
};

static bool
is_gone(const struct look *look, uint64_t stamp, uint32_t command)
{
    if (look->snap != NULL)
        return lk_stamp_seen(look->snap, stamp, command);
    return stamp != LK_STAMP_NONE && !lk_needed(look->needs, look->born, stamp);
}

static void
live_entry(struct lk_young_entry *e, const struct look *look, uint32_t at, uint64_t *bits)
{
    if (is_gone(look, lk_stamp_resolve(look->slots, &e->stamp), e->command))
        luma_bit_clear(bits, at);
}

/* Rows first + at and n - 1 more, which one young group has. */
static void
live_young(struct lk_seg *seg, const struct look *look, uint32_t first, uint32_t at, uint32_t n,
           uint64_t *bits)
{
    const struct lk_young_group *group = &seg->young[(first + at) / LK_GROUP_ROWS];
    if (group->count != 0 && group->room <= n) {
        for (uint32_t i = 0; i < group->room; i++) {
            uint32_t row = group->entries[i].row_plus1 - 1;
            if (group->entries[i].row_plus1 != YOUNG_USED && row >= first + at &&
                row - first - at < n)
                live_entry(&group->entries[i], look, row - first, bits);
        }
    } else if (group->count != 0) {
        for (uint32_t i = at; i < at + n; i++) {
            struct lk_young_entry *e = young_slot(group, first + i);
            if (e->row_plus1 != 0)
                live_entry(e, look, i, bits);
        }
    }
}

static void
live_rows(struct lk_seg *seg, const struct look *look, uint32_t first, uint32_t n, uint64_t *bits)
{
    if (!atomic_load_explicit(&seg->has_deletes, memory_order_acquire))
        return;
    lk_mutex_lock(&seg->lock);
    if (seg->dead != NULL)
        live_dead(seg->dead, first, n, bits);
    for (struct lk_claim *claim = seg->claims; claim != NULL; claim = claim->next)
        if (is_gone(look, lk_stamp_resolve(look->slots, &claim->stamp), claim->command))
            live_dead(claim->rows, first, n, bits);
    /* Young groups count rows, those of the segment may end early: a window may touch two. */
    for (uint32_t at = 0, some; at < n; at += some) {
        some = LK_MIN(n - at, LK_GROUP_ROWS - (first + at) % LK_GROUP_ROWS);
        live_young(seg, look, first, at, some, bits);
    }
    lk_mutex_unlock(&seg->lock);
}

luma_rc
lk_seg_live(struct lk_seg *seg, struct lk_snapshot *snap, uint32_t first, uint32_t n,
            uint64_t *bits)
{
    struct look look = {.snap = snap, .slots = snap->slots};
    live_rows(seg, &look, first, n, bits);
    return LUMA_OK;
}

void
lk_seg_needed(struct lk_seg *seg, const struct lk_slots *slots, const struct lk_needs *needs,
              uint32_t first, uint32_t n, uint64_t *bits)
{
    struct look look = {.slots = slots, .needs = needs, .born = lk_seg_born(seg, slots)};
    live_rows(seg, &look, first, n, bits);
}

uint64_t
lk_seg_gone(struct lk_seg *seg, const struct lk_slots *slots, const struct lk_needs *needs)
{
    struct look look = {.slots = slots, .needs = needs, .born = lk_seg_born(seg, slots)};
    if (!atomic_load_explicit(&seg->has_deletes, memory_order_acquire))
        return 0;
    lk_mutex_lock(&seg->lock);
    uint64_t count = seg->dead == NULL ? 0 : roaring_bitmap_get_cardinality(seg->dead);
    for (uint32_t g = 0; g < seg->groups_count; g++) {
        struct lk_young_group *group = &seg->young[g];
        for (uint32_t i = 0; group->count > 0 && i < group->room; i++) {
            struct lk_young_entry *e = &group->entries[i];
            if (e->row_plus1 != 0 && e->row_plus1 != YOUNG_USED)
                count += is_gone(&look, lk_stamp_resolve(slots, &e->stamp), 0);
        }
    }
    for (const struct lk_claim *claim = seg->claims; claim != NULL; claim = claim->next)
        if (is_gone(&look, lk_stamp_resolve(slots, &claim->stamp), 0))
            count += roaring_bitmap_get_cardinality(claim->rows);
    lk_mutex_unlock(&seg->lock);
    return count;
}

/* --- folding --- */

struct fold {
    struct lk_seg *seg;
    const struct lk_slots *slots;
    const struct lk_needs *needs;
    uint64_t commit, born;
    roaring_bitmap_t *disk; /* for the disk: all ends up to `commit` */
    bool later;             /* there are younger ones */
};

/* The bitmap that takes rows which ended at `stamp`, a commit number that stays: the one of the
 * dead, or the claim of their like. NULL: they stay where they are. */
static roaring_bitmap_t *
fold_place(struct fold *f, uint64_t stamp)
{
    struct lk_seg *seg = f->seg;
    if (lk_needed(f->needs, f->born, stamp))
        return stamp > f->needs->upto ? NULL : lk_claim_like(seg, lk_needs_same(f->needs, stamp));
    if (seg->dead == NULL)
        seg->dead = roaring_bitmap_create();
    return seg->dead;
}

static void
young_fold(struct fold *f, struct lk_young_group *group)
{
    uint64_t last = LK_STAMP_NONE;
    roaring_bitmap_t *place = NULL; /* of those that ended at `last` */
    for (uint32_t i = 0; i < group->room && group->count > 0; i++) {
        struct lk_young_entry *e = &group->entries[i];
        if (e->row_plus1 == 0 || e->row_plus1 == YOUNG_USED)
            continue;
        uint64_t stamp = lk_stamp_resolve(f->slots, &e->stamp);
        if (stamp > f->commit) {
            f->later = true;
            continue;
        }
        uint32_t row = e->row_plus1 - 1;
        roaring_bitmap_add(f->disk, row);
        if (atomic_load_explicit(&e->stamp, memory_order_relaxed) != stamp)
            continue;
        place = stamp == last ? place : fold_place(f, stamp);
        last = stamp;
        if (place != NULL) {
            roaring_bitmap_add(place, row);
            young_remove(f->seg, group, e);
        }
    }
}

static void
claims_fold(struct fold *f)
{
    struct lk_claim **link = &f->seg->claims;
    while (*link != NULL) {
        struct lk_claim *claim = *link;
        uint64_t stamp = lk_stamp_resolve(f->slots, &claim->stamp);
        bool final = atomic_load_explicit(&claim->stamp, memory_order_relaxed) == stamp;
        f->later = f->later || stamp > f->commit;
        if (stamp <= f->commit) {
            roaring_bitmap_or_inplace(f->disk, claim->rows);
            roaring_bitmap_t *place = final ? fold_place(f, stamp) : NULL;
            if (place != NULL && place != claim->rows) {
                roaring_bitmap_or_inplace(place, claim->rows);
                /* fold_place may have put another one in front. */
                for (link = &f->seg->claims; *link != claim; link = &(*link)->next)
                    continue;
                *link = claim->next;
                roaring_bitmap_free(claim->rows);
                free(claim);
                continue;
            }
        }
        link = &claim->next;
    }
}

luma_rc
lk_seg_fold(struct lk_seg *seg, const struct lk_slots *slots, uint64_t commit,
            const struct lk_needs *needs, roaring_bitmap_t **out_bitmap)
{
    struct fold f = {.seg = seg, .slots = slots, .needs = needs, .commit = commit};
    f.born = lk_seg_born(seg, slots);
    lk_mutex_lock(&seg->lock);
    f.disk = seg->dead == NULL ? roaring_bitmap_create() : roaring_bitmap_copy(seg->dead);
    if (f.disk != NULL) {
        for (uint32_t g = 0; g < seg->groups_count; g++)
            young_fold(&f, &seg->young[g]);
        claims_fold(&f);
        f.later = f.later && !LK_MUTANT(DELETES_FORGOTTEN);
        atomic_store_explicit(&seg->dirty, f.later, memory_order_release);
    }
    lk_mutex_unlock(&seg->lock);
    if (f.disk == NULL)
        return LUMA_E_NOMEM;
    roaring_bitmap_run_optimize(f.disk);
    *out_bitmap = f.disk;
    return LUMA_OK;
}

static void
moved_dead(const roaring_bitmap_t *dead, const int64_t *rows, roaring_bitmap_t *out)
{
    roaring_uint32_iterator_t it;
    for (roaring_init_iterator(dead, &it); it.has_value; roaring_advance_uint32_iterator(&it))
        if (rows[it.current_value] >= 0)
            roaring_bitmap_add(out, (uint32_t)rows[it.current_value]);
}

/* Rows that were alive when the merge read them and have become dead for all since. */
static luma_rc
carry_dead(const struct lk_seg *from, struct lk_seg *to, const int64_t *rows)
{
    if (from->dead == NULL)
        return LUMA_OK;
    lk_mutex_lock(&to->lock);
    if (to->dead == NULL)
        to->dead = roaring_bitmap_create();
    luma_rc rc = to->dead == NULL ? LUMA_E_NOMEM : LUMA_OK;
    if (rc == LUMA_OK) {
        moved_dead(from->dead, rows, to->dead);
        if (!roaring_bitmap_is_empty(to->dead))
            atomic_store_explicit(&to->has_deletes, true, memory_order_release);
    }
    lk_mutex_unlock(&to->lock);
    return rc;
}

luma_rc
lk_seg_carry(struct lk_seg *from, struct lk_seg *to, const int64_t *rows)
{
    luma_rc rc = LUMA_OK;
    for (uint32_t g = 0; g < from->groups_count; g++) {
        /* Nobody changes them: the latch of the collection is held alone. */
        const struct lk_young_group *group = &from->young[g];
        for (uint32_t i = 0; rc == LUMA_OK && i < group->room; i++) {
            const struct lk_young_entry *e = &group->entries[i];
            if (e->row_plus1 == 0 || e->row_plus1 == YOUNG_USED || rows[e->row_plus1 - 1] < 0)
                continue;
            rc = lk_seg_end(to, (uint32_t)rows[e->row_plus1 - 1],
                            atomic_load_explicit(&e->stamp, memory_order_acquire), e->command);
        }
    }
    if (rc == LUMA_OK)
        rc = carry_dead(from, to, rows);
    return rc == LUMA_OK ? lk_claims_carry(from, to, rows) : rc;
}

void
lk_seg_carried(struct lk_seg *from, const struct lk_slots *slots, uint64_t commit,
               const int64_t *rows, roaring_bitmap_t *ended)
{
    if (!atomic_load_explicit(&from->has_deletes, memory_order_acquire))
        return;
    lk_mutex_lock(&from->lock);
    if (from->dead != NULL)
        moved_dead(from->dead, rows, ended);
    for (uint32_t g = 0; g < from->groups_count; g++) {
        const struct lk_young_group *group = &from->young[g];
        for (uint32_t i = 0; group->count > 0 && i < group->room; i++) {
            const struct lk_young_entry *e = &group->entries[i];
            if (e->row_plus1 != 0 && e->row_plus1 != YOUNG_USED && rows[e->row_plus1 - 1] >= 0 &&
                lk_stamp_resolve(slots, &e->stamp) <= commit)
                roaring_bitmap_add(ended, (uint32_t)rows[e->row_plus1 - 1]);
        }
    }
    for (const struct lk_claim *claim = from->claims; claim != NULL; claim = claim->next)
        if (lk_stamp_resolve(slots, &claim->stamp) <= commit)
            moved_dead(claim->rows, rows, ended);
    lk_mutex_unlock(&from->lock);
}

void
lk_seg_set_dead(struct lk_seg *seg, roaring_bitmap_t *bitmap)
{
    seg->dead = bitmap;
    atomic_store_explicit(&seg->has_deletes, true, memory_order_release);
}

uint64_t
lk_seg_deleted(struct lk_seg *seg)
{
    lk_mutex_lock(&seg->lock);
    uint64_t count = seg->young_count;
    for (const struct lk_claim *claim = seg->claims; claim != NULL; claim = claim->next)
        count += roaring_bitmap_get_cardinality(claim->rows);
    if (seg->dead != NULL)
        count += roaring_bitmap_get_cardinality(seg->dead);
    lk_mutex_unlock(&seg->lock);
    return count;
}

bool
lk_seg_begin_all(struct lk_seg *seg, struct lk_snapshot *snap)
{
    if (atomic_load_explicit(&seg->begin, memory_order_acquire) != 0)
        return lk_stamp_seen(snap, lk_stamp_resolve(snap->slots, &seg->begin), seg->begin_command);
    return seg->info.commit_max <= snap->commit;
}

bool
lk_seg_begin_none(struct lk_seg *seg, struct lk_snapshot *snap)
{
    if (atomic_load_explicit(&seg->begin, memory_order_acquire) != 0)
        return !lk_stamp_seen(snap, lk_stamp_resolve(snap->slots, &seg->begin), seg->begin_command);
    return seg->info.commit_min > snap->commit;
}

luma_rc
lk_seg_begin_seen(struct luma_ctx *ctx, struct lk_seg *seg, uint32_t row, struct lk_snapshot *snap,
                  bool *out_seen)
{
    bool all = lk_seg_begin_all(seg, snap);
    if (all || lk_seg_begin_none(seg, snap)) {
        *out_seen = all;
        return LUMA_OK;
    }
    uint64_t begin = 0, end = 0;
    LUMA_TRY(lk_segment_row_commits(ctx, seg->segment, row, &begin, &end));
    *out_seen = begin <= snap->commit;
    return LUMA_OK;
}
