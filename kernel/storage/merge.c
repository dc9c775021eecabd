/*
 * storage/merge.c - merging index runs: fewer places to look a key up in, and no dead entries.
 * Segments are merged by merge_rows.c.
 *
 * Only what the manifest names is merged: a run that came with a commit since the last checkpoint
 * is named by the log, and must be there when the log is replayed.
 *
 * A merge reads and writes under the merge lock alone. Checkpoints go on meanwhile: it takes the
 * work lock to choose, and again to publish if what it has merged is still there then.
 */
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "storage/mutant.h"
#include "storage/redo.h"

struct judge {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_coll *coll;
    struct lk_view *view;
    struct lk_view *looked; /* the view being looked at: that one, or the newest */
    struct lk_cidx *cidx;
    struct luma_arena *arena;
    struct lk_bytes key;
    struct lk_needs needs; /* of old versions */
    uint64_t *runs;        /* object ids of those that may be merged */
    uint32_t runs_count;
    bool paused;
    /* of the entry being judged */
    const struct luma_index_entry *entry;
    bool alive;
};

static bool
key_is(struct judge *j, const struct lk_place *place)
{
    bool null = false;
    lk_bytes_reset(&j->key);
    /* What cannot be read is kept. */
    if (lk_key_place(j->ctx, &j->key, j->looked, j->cidx, place, j->arena, &null) != LUMA_OK)
        return true;
    return luma_slice_equal(lk_bytes_view(&j->key), j->entry->key);
}

static bool
judge_version(void *arg, struct lk_version *v)
{
    struct judge *j = arg;
    const struct lk_slots *slots = &j->store->slots;
    uint64_t begin = lk_stamp_resolve(slots, &v->begin), end = lk_stamp_resolve(slots, &v->end);
    bool gone =
        begin == LK_STAMP_ABORTED || (end != LK_STAMP_NONE && !lk_needed(&j->needs, begin, end));
    struct lk_place place = {.hot = j->looked->hots[0], .version = v};
    j->alive = !gone && key_is(j, &place);
    return !j->alive;
}

/* Has no version of the row that somebody may see this key, by what a view knows? */
static bool
is_dead_in(struct judge *j, struct lk_view *view)
{
    j->looked = view;
    j->alive = false;
    j->arena->reset(j->arena);
    for (uint32_t i = 0; i < view->hots_count && !j->alive; i++)
        lk_hot_row(view->hots[i], j->entry->rowid, 0, judge_version, j);
    for (uint32_t i = 0; i < view->segs_count && !j->alive; i++) {
        struct lk_seg *seg = view->segs[i];
        int64_t row = -1;
        uint32_t command = 0;
        if (j->entry->rowid < seg->info.rowid_min || j->entry->rowid > seg->info.rowid_max)
            continue;
        if (seg->segment == NULL ||
            lk_segment_find(j->ctx, seg->segment, j->entry->rowid, &row) != LUMA_OK)
            return false;
        if (row < 0)
            continue;
        uint64_t end = lk_seg_end_of(seg, &j->store->slots, (uint32_t)row, &command);
        struct lk_place place = {.seg = seg, .row = (uint32_t)row};
        uint64_t born = lk_seg_born(seg, &j->store->slots);
        if (end == LK_STAMP_NONE || lk_needed(&j->needs, born, end))
            j->alive = key_is(j, &place);
    }
    return !j->alive;
}

/*
 * May the entry go? What the merge began with says no for most. Where it says yes, a checkpoint
 * since then may have folded the end of a row that goes on in a hot table which that view does not
 * have: no checkpoint runs while the newest view decides.
 */
static bool
entry_is_dead(void *arg, const struct luma_index_entry *entry)
{
    struct judge *j = arg;
    if (LK_MUTANT(RUN_MERGE_LIVE) && entry->rowid % 7 == 0)
        return true;
    if (!j->paused) { /* tests change and checkpoint something between the choice and the judgement
                       */
        j->paused = true;
        lk_merge_pause(j->store);
    }
    j->entry = entry;
    if (!is_dead_in(j, j->view))
        return false;
    if (LK_MUTANT(RUN_MERGE_OLD))
        return true;
    lk_wait_lock(j->store->conf.sched, &j->store->work_lock);
    struct lk_view *newest = lk_coll_view(j->coll, NULL);
    bool dead = newest == NULL || is_dead_in(j, newest);
    lk_view_unref(newest);
    lk_wait_unlock(j->store->conf.sched, &j->store->work_lock);
    return dead;
}

static bool
run_may_go(void *arg, uint64_t object_id)
{
    const struct judge *j = arg;
    bool may = false;
    for (uint32_t i = 0; i < j->runs_count; i++)
        may = may || j->runs[i] == object_id;
    return may;
}

/*
 * The runs that the manifest names (or that are of a commit that never was), and a view that has
 * every row they have entries of: a run that a later checkpoint brings may have newer ones.
 */
static bool
judge_begin(struct judge *j, struct lk_coll *coll)
{
    struct lk_store *store = j->store;
    struct lk_cidx *cidx = j->cidx;
    lk_wait_lock(store->conf.sched, &store->work_lock);
    j->view = lk_coll_view(coll, NULL);
    lk_core_needs(store, lk_wal_synced(store->wal), &j->needs);
    lk_mutex_lock(&cidx->runs_lock);
    j->runs = calloc((size_t)cidx->runs_count + 1, sizeof(*j->runs));
    for (uint32_t i = 0; j->runs != NULL && i < cidx->runs_count; i++)
        if (lk_cidx_run_settled(store, &cidx->runs[i]))
            j->runs[j->runs_count++] = cidx->runs[i].info.object_id;
    lk_mutex_unlock(&cidx->runs_lock);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    lk_bytes_init(&j->key, NULL);
    j->arena = lk_arena_create(store->budget, 0);
    return j->arena != NULL && j->runs != NULL;
}

static void
judge_end(struct judge *j)
{
    lk_bytes_fini(&j->key);
    lk_arena_destroy(j->arena);
    lk_view_unref(j->view);
    free(j->runs);
}

/* A rebuild, TRUNCATE or DROP may have come first. The work lock is held. */
static bool
inputs_are_there(const struct judge *j, const struct lk_coll *coll,
                 const struct lk_run_merge *merge)
{
    for (uint32_t i = 0; i < merge->inputs_count; i++) {
        uint64_t id = merge->inputs[i].object_id;
        struct lk_manifest_key key = {.kind = LK_MANIFEST_RUN, .a = coll->id, .b = id};
        bool named = lk_manifest_get(j->store->manifest, &key).data != NULL, aborted = false;
        lk_mutex_lock(&j->cidx->runs_lock);
        for (uint32_t k = 0; !named && k < j->cidx->runs_count; k++)
            aborted = aborted || (j->cidx->runs[k].info.object_id == id &&
                                  atomic_load(&j->cidx->runs[k].begin) == LK_STAMP_ABORTED);
        lk_mutex_unlock(&j->cidx->runs_lock);
        if (!named && !aborted)
            return false;
    }
    return true;
}

static luma_rc
merge_publish(struct luma_ctx *ctx, struct lk_store *store, struct lk_coll *coll,
              const struct judge *j, const struct lk_run_merge *merge)
{
    struct lk_cidx *cidx = j->cidx;
    struct lk_manifest_edit edit;
    struct lk_bytes value;
    lk_manifest_edit_init(&edit);
    lk_bytes_init(&value, NULL);
    bool any = merge->output.object_id != 0 && merge->output.entries > 0;
    luma_rc rc = LUMA_OK;
    if (any && !lk_run_info_write(&value, &merge->output))
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "merge: out of memory");
    if (rc == LUMA_OK) {
        if (any && !LK_MUTANT(RUN_MERGE_UNNAMED))
            lk_manifest_put(&edit, LK_MANIFEST_RUN, coll->id, merge->output.object_id,
                            lk_bytes_view(&value));
        for (uint32_t i = 0; i < merge->inputs_count; i++)
            lk_manifest_remove(&edit, LK_MANIFEST_RUN, coll->id, merge->inputs[i].object_id);
        lk_history_raise(store, &edit, j->needs.upto);
        rc = lk_manifest_commit(ctx, store->manifest, &edit);
    }
    lk_manifest_edit_fini(&edit);
    lk_bytes_fini(&value);
    LUMA_TRY(rc);
    /* On disk it is done. If memory cannot follow it goes on reading the inputs, which are then
     * left to the next start. */
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    bool replaced = lk_index_replace(&c.ctx, cidx->index, merge) == LUMA_OK;
    if (!replaced)
        lk_log_warn("storage", "a merged index run stays unused until the next start: %s",
                    c.error.message);
    if (any)
        LUMA_TRY(lk_cidx_run_add(cidx, &merge->output, 0));
    for (uint32_t i = 0; i < merge->inputs_count; i++) {
        lk_cidx_run_remove(cidx, merge->inputs[i].object_id);
        if (replaced)
            lk_object_remove(store->objects, LK_OBJECT_RUN, merge->inputs[i].object_id);
    }
    lk_stat_add(store->stats.merges, 1);
    return LUMA_OK;
}

struct pass {
    struct luma_ctx *ctx;
    struct lk_store *store;
    bool work;
};

static luma_rc
run_merge(struct pass *pass, struct lk_coll *coll, struct judge *j)
{
    struct lk_store *store = pass->store;
    struct lk_run_judge judge = {.may = run_may_go, .dead = entry_is_dead, .arg = j};
    struct lk_run_merge merge;
    bool written = false;
    LUMA_TRY(lk_index_merge(pass->ctx, j->cidx->index, &judge, &merge, &written));
    if (!written)
        return LUMA_OK;
    lk_merge_pause(store);
    luma_rc rc = LUMA_OK;
    lk_wait_lock(store->conf.sched, &store->work_lock);
    if (inputs_are_there(j, coll, &merge)) {
        pass->work = true;
        rc = merge_publish(pass->ctx, store, coll, j, &merge);
    } else {
        lk_object_remove(store->objects, LK_OBJECT_RUN, merge.output.object_id);
    }
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

static luma_rc
index_merge(struct pass *pass, struct lk_coll *coll, struct lk_cidx *cidx)
{
    struct lk_ctx quiet; /* what cannot be judged is kept, and is no error of the merge */
    lk_ctx_init(&quiet, NULL);
    struct judge j = {.ctx = &quiet.ctx, .store = pass->store, .coll = coll, .cidx = cidx};
    if (atomic_load(&cidx->damaged))
        return LUMA_OK;
    luma_rc rc = LUMA_OK;
    if (!judge_begin(&j, coll))
        rc = LUMA_FAIL(pass->ctx, LUMA_E_NOMEM, "merge: out of memory");
    else if (j.view != NULL)
        rc = run_merge(pass, coll, &j);
    judge_end(&j);
    if (rc == LUMA_E_CORRUPT) {
        lk_cidx_damage(coll, cidx, pass->ctx->error->message);
        luma_error_reset(pass->ctx->error);
        return LUMA_OK;
    }
    return rc;
}

static luma_rc
coll_merge(void *arg, struct lk_coll *coll)
{
    struct pass *pass = arg;
    struct lk_view *view = lk_coll_view(coll, NULL);
    luma_rc rc = LUMA_OK;
    if (view != NULL)
        rc = lk_rows_merge(pass->ctx, coll, view, &pass->work);
    for (uint32_t i = 0; view != NULL && rc == LUMA_OK && i < view->idx_count; i++)
        rc = index_merge(pass, coll, view->idx[i]);
    lk_view_unref(view);
    return rc;
}

luma_rc
lk_store_merge(struct luma_ctx *ctx, struct lk_store *store, bool *out_work)
{
    struct pass pass = {ctx, store, false};
    lk_wait_lock(store->conf.sched, &store->merge_lock);
    luma_rc rc;
    {
        LK_IO_PHASE("merge");
        rc = lk_colls_each(store, coll_merge, &pass);
    }
    lk_wait_unlock(store->conf.sched, &store->merge_lock);
    *out_work = pass.work;
    return rc;
}
