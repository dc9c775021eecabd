/*
 * storage/checkpoint.c - one commit number, one manifest edit, all collections.
 */
#include "storage/checkpoint.h"

#include <stdlib.h>

#include "storage/mutant.h"
#include "storage/redo.h"

/* What a checkpoint does to one collection. */
struct work {
    struct work *next;
    struct lk_coll *coll;
    struct lk_view *view; /* at the beginning; with a new front hot table when rows are flushed */
    bool flush;           /* rows go to segments and hot index parts to runs */
    uint64_t gen;
    uint64_t history_from;        /* of the state at the mark */
    struct lk_versions *versions; /* per frozen hot table, then all of them at the end */
    bool *left;                   /* per frozen hot table: it stays in the view */
    struct lk_seg **segs;         /* new ones */
    uint32_t segs_count;
    struct lk_run_info *runs; /* per index of the view */
    bool *frozen, *written;
};

#define PUBLISH_TRIES    2000
#define PUBLISH_PAUSE_NS 5000000ULL

struct checkpoint {
    struct luma_ctx *ctx;
    struct lk_store *store;
    uint64_t commit;
    bool history;          /* what the past needs is written as well */
    int64_t mark_us;       /* when the mark was made; 0: in recovery, some time before it */
    uint64_t floor;        /* oldest commit that can be read */
    struct lk_needs needs; /* of old versions */
    lk_lsn lsn;
    struct work *works;
    bool pressed; /* there is something to write without a new commit */
    struct lk_pack_writer pack;
    const struct lk_coll *wanted; /* its rows go to segments, few as they may be; NULL: none */
    struct lk_manifest_edit edit;
    struct lk_bytes value; /* scratch */
    struct {
        uint32_t kind;
        uint64_t id;
    } * gone; /* objects no longer named */
    size_t gone_count, gone_room;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "checkpoint: out of memory");
}

/* --- beginning: which collections, and new hot tables for those that are flushed --- */

static uint64_t
view_hot_bytes(const struct lk_view *view)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < view->hots_count; i++)
        bytes += atomic_load_explicit(&view->hots[i]->bytes, memory_order_relaxed);
    return bytes;
}

static luma_rc
work_freeze(struct checkpoint *cp, struct work *w)
{
    struct lk_hot *front = NULL;
    struct lk_coll *coll = w->coll;
    if (lk_hot_create(cp->store->hot_budget, &front) != LUMA_OK)
        return no_memory(cp->ctx);
    struct lk_view_edit edit = {.hot_front = front};
    lk_rwlock_wrlock(&coll->latch);
    luma_rc rc = coll->view == NULL ? LUMA_E_UNDEFINED : lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    lk_hot_unref(front);
    if (rc == LUMA_E_NOMEM)
        return no_memory(cp->ctx);
    if (rc != LUMA_OK) {
        w->flush = false; /* dropped since: the state at the mark has it still */
        return LUMA_OK;
    }
    lk_view_unref(w->view);
    w->view = lk_coll_view(coll, NULL);
    w->gen = ++coll->gen;
    uint32_t hots = w->view->hots_count, idx = w->view->idx_count;
    w->versions = calloc((size_t)hots + 1, sizeof(*w->versions));
    w->left = calloc((size_t)hots + 1, sizeof(bool));
    w->runs = calloc((size_t)idx + 1, sizeof(*w->runs));
    w->frozen = calloc((size_t)idx + 1, sizeof(bool));
    w->written = calloc((size_t)idx + 1, sizeof(bool));
    if (w->versions == NULL || w->left == NULL || w->runs == NULL || w->frozen == NULL ||
        w->written == NULL)
        return no_memory(cp->ctx);
    for (uint32_t i = 0; i < idx; i++) {
        LUMA_TRY(lk_index_freeze(cp->ctx, w->view->idx[i]->index));
        w->frozen[i] = true;
    }
    return LUMA_OK;
}

/* Do entries fill the hot parts of indexes? A large transaction adds them before it commits. */
static bool
indexes_press(const struct lk_store *store, struct lk_coll *coll)
{
    uint64_t bytes = 0, limit = LK_MAX(store->conf.small_bytes, store->conf.hot_bytes / 16);
    struct lk_view *view = lk_coll_view(coll, NULL);
    for (uint32_t i = 0; view != NULL && i < view->idx_count; i++)
        bytes += lk_index_hot_bytes(view->idx[i]->index);
    lk_view_unref(view);
    return bytes > limit;
}

/* Called at the mark: the view is the one of that commit. */
static luma_rc
work_add(void *arg, struct lk_coll *coll)
{
    struct checkpoint *cp = arg;
    bool wanted = coll == cp->wanted, press = indexes_press(cp->store, coll);
    if (atomic_load(&coll->touched) <= coll->covered && !wanted && !press)
        return LUMA_OK;
    struct work *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return no_memory(cp->ctx);
    w->coll = coll;
    w->next = cp->works;
    cp->works = w;
    w->view = lk_coll_view(coll, NULL);
    w->history_from = atomic_load(&coll->history_from);
    /* Rows in a damaged pack stay there for who may mend it: new ones do not take their place. */
    uint64_t few = wanted ? 0 : cp->store->conf.small_bytes;
    w->flush =
        w->view != NULL && (view_hot_bytes(w->view) > few || press || coll->rows_broken != NULL);
    cp->pressed = cp->pressed || press;
    return LUMA_OK;
}

/* --- writing --- */

static int
by_rowid(const void *a, const void *b)
{
    int64_t ra = (*(struct lk_version *const *)a)->rowid;
    int64_t rb = (*(struct lk_version *const *)b)->rowid;
    return (ra > rb) - (ra < rb);
}

static luma_rc
work_flush(struct checkpoint *cp, struct work *w)
{
    struct lk_versions all = {NULL, 0, 0};
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 1; rc == LUMA_OK && i < w->view->hots_count; i++) {
        rc = lk_hot_flush_begin(w->view->hots[i], &cp->store->slots, cp->commit, &cp->needs, w->gen,
                                &w->versions[i], &w->left[i]);
        for (uint32_t k = 0; rc == LUMA_OK && k < w->versions[i].count; k++)
            if (!lk_versions_push(&all, w->versions[i].items[k]))
                rc = LUMA_E_NOMEM;
    }
    if (rc != LUMA_OK)
        rc = no_memory(cp->ctx);
    if (rc == LUMA_OK && all.count > 1)
        qsort(all.items, all.count, sizeof(all.items[0]), by_rowid);
    if (rc == LUMA_OK)
        rc = lk_flush_versions(cp->ctx, w->coll, w->view, &all, &w->segs, &w->segs_count);
    lk_versions_fini(&all);
    for (uint32_t i = 0; rc == LUMA_OK && i < w->view->idx_count; i++)
        rc = lk_index_write_frozen(cp->ctx, w->view->idx[i]->index, &w->runs[i], &w->written[i]);
    return rc;
}

struct pack_rows {
    struct checkpoint *cp;
    struct lk_bytes bytes, begins;
    uint64_t count;
    struct lk_snapshot snap;
    uint64_t gen;
};

static bool
row_write(struct pack_rows *rows, const struct lk_version *v)
{
    rows->count++;
    return lk_bytes_varint(&rows->bytes, (uint64_t)v->rowid) &&
           lk_bytes_sized(&rows->bytes, luma_slice(v->tuple, v->tuple_bytes)) &&
           (!rows->cp->history ||
            lk_bytes_varint(&rows->begins, lk_stamp_resolve(rows->snap.slots, &v->begin)));
}

static luma_rc
rows_name(struct checkpoint *cp, uint32_t kind, uint64_t coll_id, const struct lk_bytes *bytes,
          uint64_t count)
{
    struct lk_manifest_key key = {.kind = kind, .a = coll_id};
    if (count > 0)
        return lk_pack_name(cp->ctx, cp->store, &cp->pack, lk_bytes_view(bytes), count, &key,
                            &cp->edit);
    lk_manifest_remove(&cp->edit, kind, coll_id, 0);
    return LUMA_OK;
}

static luma_rc
rows_pack(struct checkpoint *cp, struct work *w)
{
    struct pack_rows rows = {.cp = cp, .gen = w->view->gen};
    rows.snap = (struct lk_snapshot){.slots = &cp->store->slots, .commit = cp->commit};
    struct lk_versions list = {NULL, 0, 0};
    lk_bytes_init(&rows.bytes, NULL);
    lk_bytes_init(&rows.begins, NULL);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < w->view->hots_count; i++) {
        for (uint32_t s = 0; rc == LUMA_OK && s < LK_HOT_SHARDS; s++) {
            list.count = 0;
            rc = lk_hot_collect(w->view->hots[i], s, &rows.snap, rows.gen, &list);
            for (uint32_t k = 0; rc == LUMA_OK && k < list.count; k++)
                rc = row_write(&rows, list.items[k]) ? LUMA_OK : LUMA_E_NOMEM;
        }
    }
    lk_versions_fini(&list);
    if (rc != LUMA_OK)
        rc = no_memory(cp->ctx);
    if (rc == LUMA_OK)
        rc = rows_name(cp, LK_MANIFEST_ROWS, w->coll->id, &rows.bytes, rows.count);
    if (rc == LUMA_OK && cp->history)
        rc = rows_name(cp, LK_MANIFEST_BEGINS, w->coll->id, &rows.begins, rows.count);
    lk_bytes_fini(&rows.bytes);
    lk_bytes_fini(&rows.begins);
    return rc;
}

/* The rows of the map that ended within the history. */
static luma_rc
ends_pack(struct checkpoint *cp, struct lk_seg *seg)
{
    struct lk_ends ends = {NULL, 0, 0};
    luma_rc rc = lk_ends_gather(seg, &cp->store->slots, cp->needs.upto, cp->commit, NULL, &ends);
    rc = rc != LUMA_OK ? no_memory(cp->ctx)
                       : lk_ends_pack(cp->ctx, cp->store, &cp->pack, &ends, cp->needs.upto,
                                      seg->info.object_id, &cp->edit);
    lk_ends_fini(&ends);
    return rc;
}

static luma_rc
deletes_pack(struct checkpoint *cp, struct lk_seg *seg)
{
    if (!atomic_load(&seg->dirty) || LK_MUTANT(DELETES_DROPPED))
        return LUMA_OK;
    roaring_bitmap_t *bitmap = NULL;
    if (lk_seg_fold(seg, &cp->store->slots, cp->commit, &cp->needs, &bitmap) != LUMA_OK)
        return no_memory(cp->ctx);
    luma_rc rc = LUMA_OK;
    if (!roaring_bitmap_is_empty(bitmap))
        rc = lk_deletes_pack(cp->ctx, cp->store, &cp->pack, bitmap, seg->info.object_id, &cp->value,
                             &cp->edit);
    roaring_bitmap_free(bitmap);
    if (rc == LUMA_OK && cp->history)
        rc = ends_pack(cp, seg);
    if (rc != LUMA_OK)
        atomic_store(&seg->dirty, true);
    return rc;
}

/* --- the edit --- */

static luma_rc
object_gone(struct checkpoint *cp, uint32_t kind, uint64_t id)
{
    if (cp->gone_count == cp->gone_room) {
        size_t room = cp->gone_room == 0 ? 32 : cp->gone_room * 2;
        void *gone = realloc(cp->gone, room * sizeof(*cp->gone));
        if (gone == NULL)
            return no_memory(cp->ctx);
        cp->gone = gone;
        cp->gone_room = room;
    }
    cp->gone[cp->gone_count].kind = kind;
    cp->gone[cp->gone_count++].id = id;
    return LUMA_OK;
}

static bool
committed_by(const struct checkpoint *cp, const _Atomic uint64_t *stamp)
{
    return lk_stamp_resolve(&cp->store->slots, stamp) <= cp->commit;
}

static bool
seg_in_state(const struct checkpoint *cp, const struct work *w, uint64_t object_id)
{
    for (uint32_t i = 0; w->view != NULL && i < w->view->segs_count; i++)
        if (w->view->segs[i]->info.object_id == object_id)
            return committed_by(cp, &w->view->segs[i]->begin);
    return false;
}

struct diff {
    struct checkpoint *cp;
    struct work *w;
};

static luma_rc
diff_segment(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    (void)value;
    struct diff *d = arg;
    if (seg_in_state(d->cp, d->w, key->b))
        return LUMA_OK;
    lk_manifest_remove(&d->cp->edit, LK_MANIFEST_SEGMENT, key->a, key->b);
    lk_manifest_remove(&d->cp->edit, LK_MANIFEST_DELETES, key->b, 0);
    if (d->cp->history)
        lk_manifest_remove(&d->cp->edit, LK_MANIFEST_ENDS, key->b, 0);
    lk_manifest_remove(&d->cp->edit, LK_MANIFEST_LIES, key->b, 0);
    return object_gone(d->cp, LK_OBJECT_SEGMENT, key->b);
}

static bool
run_in_state(const struct checkpoint *cp, const struct work *w, uint64_t object_id)
{
    bool found = false;
    for (uint32_t i = 0; w->view != NULL && !found && i < w->view->idx_count; i++) {
        struct lk_cidx *cidx = w->view->idx[i];
        lk_mutex_lock(&cidx->runs_lock);
        for (uint32_t k = 0; k < cidx->runs_count; k++)
            if (cidx->runs[k].info.object_id == object_id)
                found = committed_by(cp, &cidx->runs[k].begin);
        lk_mutex_unlock(&cidx->runs_lock);
    }
    return found;
}

static luma_rc
diff_run(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    (void)value;
    struct diff *d = arg;
    if (run_in_state(d->cp, d->w, key->b))
        return LUMA_OK;
    lk_manifest_remove(&d->cp->edit, LK_MANIFEST_RUN, key->a, key->b);
    return object_gone(d->cp, LK_OBJECT_RUN, key->b);
}

static luma_rc
put_segment(struct checkpoint *cp, const struct lk_segment_info *info)
{
    lk_bytes_reset(&cp->value);
    if (!lk_segment_info_write(&cp->value, info))
        return no_memory(cp->ctx);
    lk_manifest_put(&cp->edit, LK_MANIFEST_SEGMENT, info->coll_id, info->object_id,
                    lk_bytes_view(&cp->value));
    return LUMA_OK;
}

static luma_rc
put_run(struct checkpoint *cp, uint64_t coll_id, const struct lk_run_info *info)
{
    lk_bytes_reset(&cp->value);
    if (!lk_run_info_write(&cp->value, info))
        return no_memory(cp->ctx);
    lk_manifest_put(&cp->edit, LK_MANIFEST_RUN, coll_id, info->object_id,
                    lk_bytes_view(&cp->value));
    return LUMA_OK;
}

static bool
is_named(const struct lk_manifest *m, uint32_t kind, uint64_t a, uint64_t b)
{
    struct lk_manifest_key key = {.kind = kind, .a = a, .b = b};
    return lk_manifest_get(m, &key).data != NULL;
}

/* Segments and runs that bulk loads and CREATE INDEX brought since the last checkpoint. */
static luma_rc
put_arrivals(struct checkpoint *cp, struct work *w)
{
    const struct lk_manifest *m = cp->store->manifest;
    uint64_t coll_id = w->coll->id;
    for (uint32_t i = 0; i < w->view->segs_count; i++) {
        struct lk_seg *seg = w->view->segs[i];
        uint64_t begin = lk_stamp_resolve(&cp->store->slots, &seg->begin);
        if (begin > cp->commit || is_named(m, LK_MANIFEST_SEGMENT, coll_id, seg->info.object_id))
            continue;
        struct lk_segment_info info = seg->info;
        if (begin != 0)
            info.commit_min = info.commit_max = begin;
        LUMA_TRY(put_segment(cp, &info));
    }
    for (uint32_t i = 0; i < w->view->idx_count; i++) {
        struct lk_cidx *cidx = w->view->idx[i];
        luma_rc rc = LUMA_OK;
        lk_mutex_lock(&cidx->runs_lock);
        for (uint32_t k = 0; rc == LUMA_OK && k < cidx->runs_count; k++)
            if (committed_by(cp, &cidx->runs[k].begin) &&
                !is_named(m, LK_MANIFEST_RUN, coll_id, cidx->runs[k].info.object_id))
                rc = put_run(cp, coll_id, &cidx->runs[k].info);
        lk_mutex_unlock(&cidx->runs_lock);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

/* Versions that have ended in memory; older ones that cannot be read any more go. */
static luma_rc
past_edit(struct checkpoint *cp, struct work *w)
{
    uint64_t from = w->view == NULL ? UINT64_MAX : w->history_from;
    LUMA_TRY(lk_past_drop(cp->store->manifest, w->coll->id, from, &cp->edit));
    if (w->view == NULL || (w->flush && w->coll->rows_broken == NULL))
        lk_manifest_remove(&cp->edit, LK_MANIFEST_BEGINS, w->coll->id, 0);
    if (w->view == NULL)
        return LUMA_OK;
    return lk_past_pack(cp->ctx, w->coll, w->view, &cp->pack,
                        LK_MAX(cp->needs.upto, w->history_from), cp->commit, &cp->edit);
}

/* How far the past reaches back that the edit makes readable. */
static luma_rc
history_edit(struct checkpoint *cp)
{
    struct lk_pack_place place;
    struct lk_bytes marks;
    uint64_t count = 0;
    lk_bytes_init(&marks, NULL);
    luma_rc rc =
        lk_history_write(cp->store, cp->commit, cp->mark_us, &marks, &count, &cp->floor)
            ? lk_pack_add(cp->ctx, cp->store, &cp->pack, lk_bytes_view(&marks), count, &place)
            : no_memory(cp->ctx);
    lk_bytes_fini(&marks);
    LUMA_TRY(rc);
    lk_bytes_reset(&cp->value);
    if (!lk_pack_place_write(&cp->value, &place) || !lk_bytes_varint(&cp->value, cp->floor) ||
        !lk_bytes_varint(&cp->value, (uint64_t)cp->store->history.window_us))
        return no_memory(cp->ctx);
    lk_manifest_put(&cp->edit, LK_MANIFEST_HISTORY, 0, 0, lk_bytes_view(&cp->value));
    return lk_past_drop(cp->store->manifest, 0, cp->floor, &cp->edit);
}

static luma_rc
work_edit(struct checkpoint *cp, struct work *w)
{
    struct diff d = {cp, w};
    uint64_t coll_id = w->coll->id;
    LUMA_TRY(lk_manifest_each(cp->store->manifest, LK_MANIFEST_SEGMENT, coll_id, diff_segment, &d));
    LUMA_TRY(lk_manifest_each(cp->store->manifest, LK_MANIFEST_RUN, coll_id, diff_run, &d));
    if (w->view == NULL) {
        lk_manifest_remove(&cp->edit, LK_MANIFEST_ROWS, coll_id, 0);
        lk_manifest_remove(&cp->edit, LK_MANIFEST_COLL, coll_id, 0);
        return cp->history ? past_edit(cp, w) : LUMA_OK;
    }
    lk_bytes_reset(&cp->value);
    struct lk_bytes def;
    lk_bytes_init(&def, NULL);
    bool ok = lk_def_write(&w->view->def->coll, &def) &&
              lk_bytes_varint(&cp->value, (uint64_t)atomic_load(&w->coll->next_rowid)) &&
              lk_bytes_sized(&cp->value, lk_bytes_view(&def)) &&
              (!cp->history || lk_bytes_varint(&cp->value, w->history_from));
    lk_bytes_fini(&def);
    if (!ok)
        return no_memory(cp->ctx);
    lk_manifest_put(&cp->edit, LK_MANIFEST_COLL, coll_id, 0, lk_bytes_view(&cp->value));
    LUMA_TRY(put_arrivals(cp, w));
    for (uint32_t i = 0; i < w->view->segs_count; i++)
        if (committed_by(cp, &w->view->segs[i]->begin))
            LUMA_TRY(deletes_pack(cp, w->view->segs[i]));
    if (cp->history)
        LUMA_TRY(past_edit(cp, w));
    if (!w->flush)
        return rows_pack(cp, w);
    if (w->coll->rows_broken == NULL)
        lk_manifest_remove(&cp->edit, LK_MANIFEST_ROWS, coll_id, 0);
    for (uint32_t i = 0; i < w->segs_count; i++)
        LUMA_TRY(put_segment(cp, &w->segs[i]->info));
    for (uint32_t i = 0; i < w->view->idx_count; i++)
        if (w->written[i] && !LK_MUTANT(RUN_UNNAMED))
            LUMA_TRY(put_run(cp, coll_id, &w->runs[i]));
    return LUMA_OK;
}

static luma_rc
state_edit(struct checkpoint *cp)
{
    struct lk_store *store = cp->store;
    lk_bytes_reset(&cp->value);
    uint64_t commit = cp->commit + LK_MUTANT(COMMIT_SKIPPED);
    if (!lk_bytes_varint(&cp->value, commit) || !lk_bytes_u64(&cp->value, cp->lsn) ||
        !lk_bytes_u64(&cp->value, lk_objects_next_id(store->objects)))
        return no_memory(cp->ctx);
    lk_manifest_put(&cp->edit, LK_MANIFEST_STATE, 0, 0, lk_bytes_view(&cp->value));
    return LUMA_OK;
}

/* The commit number, the place in the log, the sequences and the views, at one moment. */
static luma_rc
checkpoint_mark(struct checkpoint *cp)
{
    struct lk_store *store = cp->store;
    if (cp->history)
        lk_history_hold(store);
    lk_mutex_lock(&store->commit_lock);
    cp->commit = store->commit;
    if (store->wal != NULL)
        cp->lsn = lk_wal_position(store->wal);
    if (!cp->history)
        (void)lk_slots_snapshot(&store->slots, &store->slots.slots[0]);
    else if (store->wal != NULL)
        cp->mark_us = lk_io_wall_us(store->conf.io);
    for (uint32_t i = 0; i < LK_SEQUENCES_BUCKETS; i++) {
        for (const struct lk_sequence *seq = store->sequences[i]; seq != NULL; seq = seq->next) {
            if (seq->commit <= store->checkpoint_commit)
                continue;
            uint8_t bytes[9];
            lk_store_u64(bytes, (uint64_t)seq->logged);
            bytes[8] = seq->logged_uncalled;
            if (seq->gone)
                lk_manifest_remove(&cp->edit, LK_MANIFEST_SEQUENCE, seq->id, 0);
            else
                lk_manifest_put(&cp->edit, LK_MANIFEST_SEQUENCE, seq->id, 0,
                                luma_slice(bytes, sizeof(bytes)));
        }
    }
    luma_rc rc = lk_colls_each(store, work_add, cp);
    lk_mutex_unlock(&store->commit_lock);
    return rc;
}

/* --- after the manifest: memory follows --- */

/* Ends that came while their rows were being written go over to the new segments. */
static luma_rc
late_ends(struct lk_hot *hot)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&hot->late_lock);
    for (uint32_t i = 0; rc == LUMA_OK && i < hot->late_count; i++) {
        struct lk_version *v = hot->late[i];
        uint64_t end = atomic_load(&v->end);
        if (end != LK_STAMP_NONE && !LK_MUTANT(LATE_END_LOST))
            rc = lk_seg_end(v->seg, v->seg_row, end, v->end_command);
    }
    if (rc == LUMA_OK) /* otherwise all of them are told once more */
        hot->late_count = 0;
    lk_mutex_unlock(&hot->late_lock);
    return rc;
}

static bool
ends_in_progress(struct lk_hot *hot)
{
    bool found = false;
    lk_mutex_lock(&hot->late_lock);
    for (uint32_t i = 0; i < hot->late_count; i++)
        found = found || (atomic_load(&hot->late[i]->end) & LK_STAMP_TXN) != 0;
    lk_mutex_unlock(&hot->late_lock);
    return found;
}

static void
seg_release(void *seg)
{
    lk_seg_unref(seg);
}

/* A run that cannot be opened now is named all the same; what it holds stays readable in memory,
 * and goes into the next run once more. */
static luma_rc
indexes_publish(struct work *w)
{
    for (uint32_t i = 0; i < w->view->idx_count; i++) {
        struct lk_cidx *cidx = w->view->idx[i];
        struct lk_ctx c;
        if (!w->frozen[i]) /* an earlier attempt did it */
            continue;
        lk_ctx_init(&c, NULL);
        if (w->written[i])
            LUMA_TRY(lk_cidx_run_add(cidx, &w->runs[i], 0));
        w->frozen[i] = false;
        if (lk_index_publish(&c.ctx, cidx->index, w->written[i] ? &w->runs[i] : NULL) != LUMA_OK) {
            lk_index_unfreeze(cidx->index);
            lk_log_warn("storage", "a new index run stays unused until the next start: %s",
                        c.error.message);
        }
    }
    return LUMA_OK;
}

static luma_rc
rows_publish(struct work *w)
{
    struct lk_coll *coll = w->coll;
    const struct lk_hot **gone = calloc((size_t)w->view->hots_count + 1, sizeof(*gone));
    if (gone == NULL)
        return LUMA_E_NOMEM;
    struct lk_view_edit edit = {.segs_new = w->segs, .segs_new_count = w->segs_count};
    luma_rc rc = LUMA_OK;
    edit.gen = w->gen;
    edit.hots_gone = gone;
    lk_rwlock_wrlock(&coll->latch);
    for (uint32_t i = 1; rc == LUMA_OK && i < w->view->hots_count; i++) {
        struct lk_hot *hot = w->view->hots[i];
        if (!w->left[i] && !ends_in_progress(hot))
            gone[edit.hots_gone_count++] = hot;
        for (uint32_t k = 0; rc == LUMA_OK && k < w->segs_count; k++) {
            lk_seg_ref(w->segs[k]);
            if (!lk_hot_keep(hot, w->segs[k], seg_release)) {
                lk_seg_unref(w->segs[k]);
                rc = LUMA_E_NOMEM;
            }
        }
        if (rc == LUMA_OK)
            rc = late_ends(hot);
    }
    if (rc == LUMA_OK && coll->view != NULL)
        rc = lk_coll_edit(coll, &edit);
    if (rc == LUMA_OK)
        coll->published_gen = w->gen;
    lk_rwlock_unlock(&coll->latch);
    if (rc == LUMA_OK && edit.hots_gone_count + 1 < w->view->hots_count)
        lk_sweep_want(coll);
    free(gone);
    return rc;
}

static void
publish_pause(struct lk_store *store)
{
    struct luma_event never;
    memset(&never, 0, sizeof(never));
    uint64_t until_ns = lk_io_now_ns(store->conf.io) + PUBLISH_PAUSE_NS;
    luma_rc rc = lk_wait_event(store->conf.sched, NULL, &never, until_ns);
    LK_ASSERT(rc == LUMA_OK || rc == LUMA_E_TIMEOUT);
}

/* The manifest has changed, so memory must: there is no way back. What it takes is little; when
 * there is none, others give some back in a moment. A process that could not follow for all that is
 * better restarted from what is on disk. */
static void
work_publish(struct checkpoint *cp, struct work *w)
{
    if (w->flush) {
        luma_rc rc = LUMA_E_NOMEM;
        for (int i = 0; rc == LUMA_E_NOMEM && i < PUBLISH_TRIES; i++) {
            if (i > 1)
                publish_pause(cp->store);
            rc = indexes_publish(w);
            if (rc == LUMA_OK)
                rc = rows_publish(w);
        }
        if (rc != LUMA_OK)
            lk_log_error("storage", "a finished checkpoint could not be published: %s",
                         cp->ctx->error->message);
        LK_ASSERT(rc == LUMA_OK);
    }
    w->coll->covered = cp->commit;
}

static void
work_cancel(struct work *w, bool remove_objects)
{
    /* What was folded is in no manifest: the next checkpoint writes the deletes again. */
    for (uint32_t i = 0; w->view != NULL && i < w->view->segs_count; i++)
        atomic_store(&w->view->segs[i]->dirty, true);
    if (!w->flush || w->view == NULL)
        return;
    for (uint32_t i = 1; w->versions != NULL && i < w->view->hots_count; i++)
        lk_hot_flush_cancel(w->view->hots[i], &w->versions[i]);
    for (uint32_t i = 0; i < w->segs_count; i++)
        if (remove_objects)
            atomic_store(&w->segs[i]->remove, true);
    for (uint32_t i = 0; w->frozen != NULL && i < w->view->idx_count; i++) {
        if (remove_objects && w->written != NULL && w->written[i])
            lk_object_remove(w->coll->store->objects, LK_OBJECT_RUN, w->runs[i].object_id);
        if (w->frozen[i])
            lk_index_unfreeze(w->view->idx[i]->index);
    }
}

static void
works_free(struct checkpoint *cp)
{
    while (cp->works != NULL) {
        struct work *w = cp->works;
        cp->works = w->next;
        for (uint32_t i = 0; w->versions != NULL && i < w->view->hots_count; i++)
            lk_versions_fini(&w->versions[i]);
        for (uint32_t i = 0; i < w->segs_count; i++)
            lk_seg_unref(w->segs[i]);
        lk_view_unref(w->view);
        free(w->versions);
        free(w->left);
        free(w->segs);
        free(w->runs);
        free(w->frozen);
        free(w->written);
        free(w);
    }
}

struct packs {
    uint64_t *ids;
    size_t count, room;
};

static luma_rc
pack_list(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    (void)key;
    struct packs *packs = arg;
    struct lk_pack_place place;
    if (!lk_pack_place_read(value, &place) ||
        (packs->count > 0 && packs->ids[packs->count - 1] == place.object_id))
        return LUMA_OK;
    if (packs->count == packs->room) {
        size_t room = packs->room == 0 ? 32 : packs->room * 2;
        uint64_t *ids = realloc(packs->ids, room * sizeof(*ids));
        if (ids == NULL)
            return LUMA_E_NOMEM;
        packs->ids = ids;
        packs->room = room;
    }
    packs->ids[packs->count++] = place.object_id;
    return LUMA_OK;
}

static int
by_number(const void *a, const void *b)
{
    uint64_t na = *(const uint64_t *)a, nb = *(const uint64_t *)b;
    return (na > nb) - (na < nb);
}

/* Ascending, duplicates possible. False: out of memory. */
static bool
packs_of(const struct lk_manifest *m, struct packs *out)
{
    if (lk_packs_each(m, pack_list, out) != LUMA_OK)
        return false;
    if (out->count > 1)
        qsort(out->ids, out->count, sizeof(out->ids[0]), by_number);
    return true;
}

/* Those of `before` that are not in `after`. Without memory to note one it stays until the next
 * start; the edit is committed. */
static void
packs_gone(struct checkpoint *cp, const struct packs *before, const struct packs *after)
{
    for (size_t i = 0, k = 0; i < before->count; i++) {
        uint64_t id = before->ids[i];
        if (i > 0 && before->ids[i - 1] == id)
            continue;
        while (k < after->count && after->ids[k] < id)
            k++;
        if ((k == after->count || after->ids[k] != id) &&
            object_gone(cp, LK_OBJECT_DELETES, id) != LUMA_OK)
            luma_error_reset(cp->ctx->error);
    }
}

/* Commits the edit and removes packs that it left without a reference. */
static luma_rc
edit_commit(struct checkpoint *cp)
{
    struct lk_manifest *m = cp->store->manifest;
    struct packs before = {NULL, 0, 0}, after = {NULL, 0, 0};
    bool known = packs_of(m, &before);
    luma_rc rc = lk_manifest_commit(cp->ctx, m, &cp->edit);
    if (rc == LUMA_OK && known && packs_of(m, &after))
        packs_gone(cp, &before, &after);
    free(before.ids);
    free(after.ids);
    return rc;
}

static luma_rc
checkpoint_write(struct checkpoint *cp)
{
    LK_IO_PHASE("flush");
    for (struct work *w = cp->works; w != NULL; w = w->next)
        if (w->flush)
            LUMA_TRY(work_freeze(cp, w));
    for (struct work *w = cp->works; w != NULL; w = w->next)
        if (w->flush)
            LUMA_TRY(work_flush(cp, w));
    for (struct work *w = cp->works; w != NULL; w = w->next)
        LUMA_TRY(work_edit(cp, w));
    if (cp->history)
        LUMA_TRY(history_edit(cp));
    LUMA_TRY(lk_pack_finish(cp->ctx, &cp->pack));
    return state_edit(cp);
}

static luma_rc
checkpoint_run(struct checkpoint *cp)
{
    struct lk_store *store = cp->store;
    LUMA_TRY(checkpoint_mark(cp));
    if (cp->commit == store->checkpoint_commit && !store->settling && cp->wanted == NULL &&
        !cp->pressed)
        return LUMA_OK;
    /* What nobody needs any more must be dead after a crash too. */
    if (store->wal != NULL)
        LUMA_TRY(lk_wal_wait(cp->ctx, store->wal, cp->commit));
    lk_core_needs(store, cp->commit, &cp->needs);

    if (LK_MUTANT(ORDER_SWAPPED) && store->wal != NULL)
        lk_wal_trim(store->wal, cp->lsn);
    luma_rc rc = checkpoint_write(cp);
    if (rc != LUMA_OK) {
        for (struct work *w = cp->works; w != NULL; w = w->next)
            work_cancel(w, true);
        return rc;
    }
    lk_archive_drain(store); /* what is replayed no more has been archived */
    rc = edit_commit(cp);
    if (rc != LUMA_OK) {
        /* The edit may have reached the disk: its objects stay until the next start. */
        for (struct work *w = cp->works; w != NULL; w = w->next)
            work_cancel(w, false);
        return rc;
    }
    for (struct work *w = cp->works; w != NULL; w = w->next)
        work_publish(cp, w);
    store->checkpoint_commit = cp->commit;
    store->checkpoint_lsn = cp->lsn;
    if (store->wal != NULL && !lk_objects_pinned(store->objects))
        lk_wal_trim(store->wal, cp->lsn);
    for (size_t i = 0; i < cp->gone_count; i++)
        lk_object_remove(store->objects, (enum lk_object_kind)cp->gone[i].kind, cp->gone[i].id);
    return LUMA_OK;
}

static luma_rc
checkpoint_locked(struct luma_ctx *ctx, struct lk_store *store, const struct lk_coll *wanted,
                  lk_lsn lsn)
{
    struct checkpoint cp = {.ctx = ctx, .store = store, .wanted = wanted, .lsn = lsn};
    cp.history = lk_history_kept(store);
    uint64_t start_ns = lk_io_now_ns(store->conf.io);
    atomic_store(&store->checkpoint_wanted, false);
    atomic_store(&store->loads, 0);
    lk_manifest_edit_init(&cp.edit);
    lk_bytes_init(&cp.value, NULL);

    luma_rc rc = checkpoint_run(&cp);

    lk_pack_abort(&cp.pack);
    works_free(&cp);
    atomic_store(&store->slots.slots[0].snapshot, 0);
    (void)lk_sweep(store);
    uint64_t end_ns = lk_io_now_ns(store->conf.io);
    atomic_store(&store->checkpoint_at_ns, end_ns);
    atomic_fetch_add(&store->checkpoints, 1);
    lk_manifest_edit_fini(&cp.edit);
    lk_bytes_fini(&cp.value);
    free(cp.gone);
    lk_stat_add(store->stats.checkpoints, 1);
    lk_stat_observe_ns(store->stats.checkpoint_ns, end_ns - start_ns);
    return rc;
}

luma_rc
lk_store_checkpoint(struct luma_ctx *ctx, struct lk_store *store)
{
    lk_wait_lock(store->conf.sched, &store->work_lock);
    luma_rc rc = checkpoint_locked(ctx, store, NULL, 0);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

luma_rc
lk_checkpoint_replayed(struct luma_ctx *ctx, struct lk_store *store, lk_lsn lsn)
{
    lk_wait_lock(store->conf.sched, &store->work_lock);
    luma_rc rc = checkpoint_locked(ctx, store, NULL, lsn);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

luma_rc
lk_store_make_room(struct luma_ctx *ctx, struct lk_store *store)
{
    lk_wait_lock(store->conf.sched, &store->work_lock);
    (void)lk_sweep(store);
    luma_rc rc = lk_core_hot_full(store) ? checkpoint_locked(ctx, store, NULL, 0) : LUMA_OK;
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

luma_rc
lk_store_flush(struct luma_ctx *ctx, struct lk_store *store, uint64_t coll_id)
{
    struct lk_coll *coll = lk_coll_find(store, coll_id);
    if (coll == NULL)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no collection %llu",
                         (unsigned long long)coll_id);
    lk_wait_lock(store->conf.sched, &store->work_lock);
    luma_rc rc = checkpoint_locked(ctx, store, coll, 0);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

luma_rc
lk_store_settle(struct luma_ctx *ctx, struct lk_store *store)
{
    store->settling = true;
    luma_rc rc = lk_store_checkpoint(ctx, store);
    store->settling = false;
    return rc;
}
