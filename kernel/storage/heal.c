/*
 * storage/heal.c - an index with a run that cannot be read is built anew from the rows.
 *
 * Damage is found when a run is opened (at the start) or when one of its blocks is read. From then
 * on nothing is looked up in the index: who needs it rebuilds it, or waits for who does; entries of
 * new rows go to its hot part all the while. So a unique constraint holds throughout. The new run
 * takes the place of all runs with one manifest edit; a run that was damaged is put aside in the
 * folder "quarantine".
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "storage/mutant.h"
#include "storage/redo.h"

#define HEAL_RETRY_NS 30000000000ULL /* between attempts of what cannot be read either */

void
lk_cidx_damage(struct lk_coll *coll, struct lk_cidx *cidx, const char *why)
{
    struct lk_store *store = coll->store;
    bool first = !atomic_exchange(&cidx->damaged, true);
    if (first) {
        char *text = strdup(why);
        lk_mutex_lock(&cidx->runs_lock);
        char *old = cidx->damage;
        cidx->damage = text;
        lk_mutex_unlock(&cidx->runs_lock);
        free(old);
        atomic_store(&cidx->heal_after_ns, 0);
        lk_log_error("storage",
                     "index %llu of collection %llu is damaged and will be rebuilt from the rows: "
                     "%s",
                     (unsigned long long)cidx->index_def->id, (unsigned long long)coll->id, why);
        lk_stat_add(store->stats.index_damages, 1);
    }
    atomic_store(&store->heal_wanted, true);
    if (atomic_load(&store->running))
        lk_wait_signal(store->conf.sched, &store->wake);
}

/* --- building --- */

static luma_rc
entries_sort(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
             const bool *nulls, uint32_t count)
{
    (void)nulls; /* the rows have passed the constraint already */
    return lk_run_sorter_add(ctx, arg, 0, entries, count);
}

/* The index's entries as one run. The work lock is held, and with it slot 0. */
static luma_rc
run_build(struct luma_ctx *ctx, struct lk_coll *coll, const struct lk_view *view,
          struct lk_cidx *cidx, struct lk_run_info *out_info, bool *out_written)
{
    struct lk_store *store = coll->store;
    struct lk_run_sorter *sorter = NULL;
    struct lk_entries spec = {.slots = &store->slots, .def = view->def, .cidx = cidx};
    LUMA_TRY(lk_run_sorter_create(ctx, cidx->index, 1, &sorter));
    spec.add = entries_sort;
    spec.arg = sorter;
    (void)lk_slots_snapshot(&store->slots, &store->slots.slots[0]);
    spec.horizon = LK_MIN(lk_slots_horizon(&store->slots), lk_wal_synced(store->wal));
    luma_rc rc = lk_entries_of_view(ctx, &spec, view);
    atomic_store(&store->slots.slots[0].snapshot, 0);
    if (rc != LUMA_OK) {
        lk_run_sorter_abort(sorter);
        return rc;
    }
    return lk_run_sorter_finish(ctx, sorter, false, NULL, out_info, out_written);
}

/* --- publishing --- */

/* The runs a new one replaces. Bulk loads may bring others while it is built: those stay. */
struct old_runs {
    uint64_t *ids;
    bool *sound;
    uint32_t count;
};

static void
old_runs_fini(struct old_runs *old)
{
    free(old->ids);
    free(old->sound);
}

static luma_rc
old_runs_list(struct luma_ctx *ctx, const struct lk_store *store, struct lk_cidx *cidx,
              struct old_runs *out)
{
    lk_mutex_lock(&cidx->runs_lock);
    *out = (struct old_runs){calloc((size_t)cidx->runs_count + 1, sizeof(uint64_t)),
                             calloc((size_t)cidx->runs_count + 1, sizeof(bool)), 0};
    for (uint32_t i = 0; out->ids != NULL && out->sound != NULL && i < cidx->runs_count; i++)
        if (lk_cidx_run_settled(store, &cidx->runs[i]))
            out->ids[out->count++] = cidx->runs[i].info.object_id;
    lk_mutex_unlock(&cidx->runs_lock);
    if (out->ids == NULL || out->sound == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index: out of memory");
    for (uint32_t i = 0; i < out->count; i++) {
        LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
        struct lk_ctx quiet;
        lk_ctx_init(&quiet, arena);
        if (arena != NULL)
            out->sound[i] = lk_index_run_sound(&quiet.ctx, cidx->index, out->ids[i]);
    }
    return LUMA_OK;
}

static luma_rc
manifest_edit(struct luma_ctx *ctx, struct lk_coll *coll, const struct old_runs *old,
              const struct lk_run_info *info)
{
    struct lk_manifest_edit edit;
    struct lk_bytes value;
    lk_manifest_edit_init(&edit);
    lk_bytes_init(&value, NULL);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; i < old->count; i++)
        lk_manifest_remove(&edit, LK_MANIFEST_RUN, coll->id, old->ids[i]);
    if (info != NULL && !LK_MUTANT(REBUILD_UNNAMED)) {
        if (lk_run_info_write(&value, info))
            lk_manifest_put(&edit, LK_MANIFEST_RUN, coll->id, info->object_id,
                            lk_bytes_view(&value));
        else
            rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "index: out of memory");
    }
    if (rc == LUMA_OK)
        lk_history_raise(coll->store, &edit, lk_history_floor(coll->store));
    if (rc == LUMA_OK)
        rc = lk_manifest_commit(ctx, coll->store->manifest, &edit);
    lk_manifest_edit_fini(&edit);
    lk_bytes_fini(&value);
    return rc;
}

static luma_rc
run_publish(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx,
            const struct old_runs *old, const struct lk_run_info *info)
{
    struct lk_objects *objects = coll->store->objects;
    luma_rc rc = manifest_edit(ctx, coll, old, info);
    if (rc == LUMA_OK && info != NULL)
        rc = lk_cidx_run_add(cidx, info, 0);
    if (rc == LUMA_OK) {
        for (uint32_t i = 0; i < old->count; i++)
            lk_cidx_run_remove(cidx, old->ids[i]);
        rc = lk_index_rebuilt(ctx, cidx->index, old->ids, old->count, info);
    }
    for (uint32_t i = 0; rc == LUMA_OK && i < old->count; i++) {
        if (old->sound[i])
            lk_object_remove(objects, LK_OBJECT_RUN, old->ids[i]);
        else
            lk_object_quarantine(objects, LK_OBJECT_RUN, old->ids[i]);
    }
    return rc;
}

/* --- the whole --- */

/* Only what the manifest names is replaced: what the log names must be there when it is replayed.
 * The work lock is held on return, whatever the result. */
static luma_rc
runs_settle(struct luma_ctx *ctx, struct lk_store *store, struct lk_cidx *cidx)
{
    lk_wait_lock(store->conf.sched, &store->work_lock);
    if (lk_cidx_settled(store, cidx))
        return LUMA_OK;
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    luma_rc rc = lk_store_checkpoint(ctx, store);
    lk_wait_lock(store->conf.sched, &store->work_lock);
    if (rc == LUMA_OK && !lk_cidx_settled(store, cidx))
        rc = LUMA_FAIL(ctx, LUMA_E_BUSY, "index %llu is damaged and could not be rebuilt yet",
                       (unsigned long long)cidx->index_def->id);
    return rc;
}

static luma_rc
rebuild(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx)
{
    struct lk_view *view = lk_coll_view(coll, NULL);
    struct lk_run_info info;
    bool written = false;
    luma_rc rc = LUMA_OK;
    if (view != NULL && lk_view_index(view, cidx->index_def->id) == cidx) {
        LK_IO_PHASE("rebuild");
        uint64_t start_ns = lk_io_now_ns(coll->store->conf.io);
        struct old_runs old = {NULL, NULL, 0};
        rc = old_runs_list(ctx, coll->store, cidx, &old);
        if (rc == LUMA_OK)
            rc = run_build(ctx, coll, view, cidx, &info, &written);
        if (rc == LUMA_OK)
            rc = run_publish(ctx, coll, cidx, &old, written ? &info : NULL);
        old_runs_fini(&old);
        if (rc == LUMA_OK)
            lk_log_info("storage", "index %llu of collection %llu is rebuilt: %llu entries, %.1f s",
                        (unsigned long long)cidx->index_def->id, (unsigned long long)coll->id,
                        (unsigned long long)(written ? info.entries : 0),
                        (double)(lk_io_now_ns(coll->store->conf.io) - start_ns) / 1e9);
    }
    lk_view_unref(view);
    return rc;
}

/* Until the next attempt: what is damaged is said once more. */
static luma_rc
heal_later(struct luma_ctx *ctx, struct lk_cidx *cidx)
{
    char why[256] = "";
    lk_mutex_lock(&cidx->runs_lock);
    if (cidx->damage != NULL)
        snprintf(why, sizeof(why), "%s", cidx->damage);
    lk_mutex_unlock(&cidx->runs_lock);
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                     "index %llu is damaged (%s), and could not be rebuilt: see the log",
                     (unsigned long long)cidx->index_def->id, why);
}

luma_rc
lk_cidx_heal(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx)
{
    struct lk_store *store = coll->store;
    uint64_t now_ns = lk_io_now_ns(store->conf.io);
    if (now_ns < atomic_load(&cidx->heal_after_ns))
        return heal_later(ctx, cidx);
    luma_rc rc = runs_settle(ctx, store, cidx);
    if (rc == LUMA_OK && atomic_load(&cidx->damaged)) {
        rc = rebuild(ctx, coll, cidx);
        if (rc == LUMA_OK)
            atomic_store(&cidx->damaged, false);
        else if (rc == LUMA_E_CORRUPT)
            atomic_store(&cidx->heal_after_ns, lk_io_now_ns(store->conf.io) + HEAL_RETRY_NS);
    }
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}

luma_rc
lk_cidx_rebuild(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx)
{
    /* Nothing is known to be wrong, but nothing is relied on either until it is new. */
    atomic_store(&cidx->heal_after_ns, 0);
    atomic_store(&cidx->damaged, true);
    return lk_cidx_heal(ctx, coll, cidx);
}

luma_rc
lk_cidx_find(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx,
             const struct luma_slice *keys, size_t count,
             void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    LUMA_TRY(lk_cidx_usable(ctx, coll, cidx));
    luma_rc rc = lk_index_find(ctx, cidx->index, keys, count, emit, arg);
    if (LUMA_LIKELY(rc != LUMA_E_CORRUPT))
        return rc;
    lk_cidx_damage(coll, cidx, ctx->error->message);
    luma_error_reset(ctx->error);
    LUMA_TRY(lk_cidx_usable(ctx, coll, cidx));
    return lk_index_find(ctx, cidx->index, keys, count, emit, arg); /* candidates twice are fine */
}

static luma_rc
coll_heal(void *arg, struct lk_coll *coll)
{
    struct lk_view *view = lk_coll_view(coll, NULL);
    struct lk_store *store = arg;
    for (uint32_t i = 0; view != NULL && i < view->idx_count; i++) {
        struct lk_ctx c;
        lk_ctx_init(&c, NULL);
        if (atomic_load(&view->idx[i]->damaged) && !atomic_load(&store->stopping) &&
            lk_cidx_heal(&c.ctx, coll, view->idx[i]) != LUMA_OK)
            lk_log_error("storage", "index %llu of collection %llu could not be rebuilt: %s",
                         (unsigned long long)view->idx[i]->index_def->id,
                         (unsigned long long)coll->id, c.error.message);
    }
    lk_view_unref(view);
    return LUMA_OK;
}

void
lk_store_heal(struct lk_store *store)
{
    if (!atomic_exchange(&store->heal_wanted, false))
        return;
    luma_rc rc = lk_colls_each(store, coll_heal, store);
    LK_ASSERT(rc == LUMA_OK);
}
