/*
 * storage/view.c - views, indexes in use, the table of collections.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "storage/core.h"

/* --- indexes --- */

luma_rc
lk_cidx_create(struct luma_ctx *ctx, struct lk_store *store, struct lk_def *def,
               const struct luma_store_index *index_def, struct lk_cidx **out_cidx)
{
    struct lk_cidx *cidx = calloc(1, sizeof(*cidx));
    if (cidx == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index: out of memory");
    atomic_init(&cidx->refs, 1);
    lk_mutex_init(&cidx->runs_lock, LK_LOCK_CIDX_RUNS);
    lk_def_ref(def);
    cidx->def = def;
    cidx->index_def = index_def;
    for (uint32_t i = 0; i < index_def->cols_count && i < LK_INDEX_COLS_MAX; i++) {
        int32_t at = lk_def_col(def, index_def->cols[i].col_id);
        if (at >= 0)
            cidx->types[i] = def->coll.cols[at].type;
    }
    luma_rc rc = lk_index_create(ctx, store->objects, store->hot_budget, store->conf.services,
                                 index_def, &cidx->index);
    if (rc != LUMA_OK) {
        lk_cidx_unref(cidx);
        return rc;
    }
    *out_cidx = cidx;
    return LUMA_OK;
}

void
lk_cidx_ref(struct lk_cidx *cidx)
{
    atomic_fetch_add_explicit(&cidx->refs, 1, memory_order_relaxed);
}

void
lk_cidx_unref(struct lk_cidx *cidx)
{
    if (cidx == NULL || atomic_fetch_sub_explicit(&cidx->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (cidx->index != NULL)
        lk_index_destroy(cidx->index);
    lk_def_unref(cidx->def);
    lk_mutex_fini(&cidx->runs_lock);
    for (uint32_t i = 0; i < cidx->missed_count; i++)
        lk_seg_unref(cidx->missed[i]);
    free(cidx->missed);
    free(cidx->runs);
    free(cidx->damage);
    free(cidx);
}

luma_rc
lk_cidx_run_add(struct lk_cidx *cidx, const struct lk_run_info *info, uint64_t begin)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&cidx->runs_lock);
    if (cidx->runs_count == cidx->runs_room) {
        uint32_t room = cidx->runs_room == 0 ? 8 : cidx->runs_room * 2;
        struct lk_cidx_run *runs = realloc(cidx->runs, room * sizeof(*runs));
        if (runs == NULL) {
            rc = LUMA_E_NOMEM;
        } else {
            cidx->runs = runs;
            cidx->runs_room = room;
        }
    }
    if (rc == LUMA_OK) {
        struct lk_cidx_run *run = &cidx->runs[cidx->runs_count++];
        run->info = *info;
        atomic_init(&run->begin, begin);
    }
    lk_mutex_unlock(&cidx->runs_lock);
    return rc;
}

void
lk_cidx_run_remove(struct lk_cidx *cidx, uint64_t object_id)
{
    lk_mutex_lock(&cidx->runs_lock);
    for (uint32_t i = 0; i < cidx->runs_count; i++) {
        if (cidx->runs[i].info.object_id != object_id)
            continue;
        cidx->runs[i] = cidx->runs[--cidx->runs_count];
        break;
    }
    lk_mutex_unlock(&cidx->runs_lock);
}

/* Restamps one run; 0: there is none left. */
static uint64_t
run_discard(struct lk_cidx *cidx, uint64_t stamp)
{
    uint64_t id = 0;
    lk_mutex_lock(&cidx->runs_lock);
    for (uint32_t i = 0; id == 0 && i < cidx->runs_count; i++) {
        if (atomic_load(&cidx->runs[i].begin) != stamp)
            continue;
        atomic_store(&cidx->runs[i].begin, LK_STAMP_ABORTED);
        id = cidx->runs[i].info.object_id;
    }
    lk_mutex_unlock(&cidx->runs_lock);
    return id;
}

void
lk_cidx_runs_discard(struct lk_store *store, struct lk_cidx *cidx, uint64_t stamp)
{
    uint64_t id;
    while ((id = run_discard(cidx, stamp)) != 0)
        lk_object_remove(store->objects, LK_OBJECT_RUN, id);
}

void
lk_cidx_run_discard(struct lk_store *store, struct lk_cidx *cidx, uint64_t object_id)
{
    bool found = false;
    lk_mutex_lock(&cidx->runs_lock);
    for (uint32_t i = 0; !found && i < cidx->runs_count; i++) {
        found = cidx->runs[i].info.object_id == object_id &&
                atomic_load(&cidx->runs[i].begin) != LK_STAMP_ABORTED;
        if (found)
            atomic_store(&cidx->runs[i].begin, LK_STAMP_ABORTED);
    }
    lk_mutex_unlock(&cidx->runs_lock);
    if (found)
        lk_object_remove(store->objects, LK_OBJECT_RUN, object_id);
}

luma_rc
lk_cidx_missed_add(struct lk_cidx *cidx, struct lk_seg *seg)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&cidx->runs_lock);
    if (cidx->missed_count == cidx->missed_room) {
        uint32_t room = cidx->missed_room == 0 ? 8 : cidx->missed_room * 2;
        struct lk_seg **missed = realloc(cidx->missed, room * sizeof(struct lk_seg *));
        if (missed != NULL) {
            cidx->missed = missed;
            cidx->missed_room = room;
        } else {
            rc = LUMA_E_NOMEM;
        }
    }
    if (rc == LUMA_OK) {
        lk_seg_ref(seg);
        cidx->missed[cidx->missed_count++] = seg;
    }
    lk_mutex_unlock(&cidx->runs_lock);
    return rc;
}

void
lk_cidx_missed_take(struct lk_cidx *cidx, struct lk_seg ***out_segs, uint32_t *out_count)
{
    lk_mutex_lock(&cidx->runs_lock);
    *out_segs = cidx->missed;
    *out_count = cidx->missed_count;
    cidx->missed = NULL;
    cidx->missed_count = cidx->missed_room = 0;
    lk_mutex_unlock(&cidx->runs_lock);
}

bool
lk_cidx_run_settled(const struct lk_store *store, const struct lk_cidx_run *run)
{
    uint64_t begin = lk_stamp_resolve(&store->slots, &run->begin);
    return begin <= store->checkpoint_commit || begin == LK_STAMP_ABORTED;
}

bool
lk_cidx_settled(const struct lk_store *store, struct lk_cidx *cidx)
{
    bool settled = true;
    lk_mutex_lock(&cidx->runs_lock);
    for (uint32_t i = 0; i < cidx->runs_count; i++)
        settled = settled && lk_cidx_run_settled(store, &cidx->runs[i]);
    lk_mutex_unlock(&cidx->runs_lock);
    return settled;
}

void
lk_cidx_run_restamp(struct lk_cidx *cidx, uint64_t from, uint64_t to)
{
    lk_mutex_lock(&cidx->runs_lock);
    for (uint32_t i = 0; i < cidx->runs_count; i++)
        if (atomic_load(&cidx->runs[i].begin) == from)
            atomic_store(&cidx->runs[i].begin, to);
    lk_mutex_unlock(&cidx->runs_lock);
}

/* --- views --- */

static int
by_rowid_min(const void *a, const void *b)
{
    const struct lk_seg *sa = *(struct lk_seg *const *)a, *sb = *(struct lk_seg *const *)b;
    if (sa->info.rowid_min != sb->info.rowid_min)
        return sa->info.rowid_min < sb->info.rowid_min ? -1 : 1;
    return (sa->info.object_id > sb->info.object_id) - (sa->info.object_id < sb->info.object_id);
}

static bool
view_fill(struct lk_view *v, struct lk_hot *const *hots, struct lk_seg *const *segs,
          struct lk_cidx *const *idx)
{
    v->hots = calloc((size_t)v->hots_count + 1, sizeof(struct lk_hot *));
    v->segs = calloc((size_t)v->segs_count + 1, sizeof(struct lk_seg *));
    v->reach = calloc((size_t)v->segs_count + 1, sizeof(int64_t));
    v->idx = calloc((size_t)v->idx_count + v->building_count + 1, sizeof(struct lk_cidx *));
    if (v->hots == NULL || v->segs == NULL || v->reach == NULL || v->idx == NULL)
        return false;
    for (uint32_t i = 0; i < v->hots_count; i++) {
        lk_hot_ref(hots[i]);
        v->hots[i] = hots[i];
    }
    for (uint32_t i = 0; i < v->segs_count; i++) {
        lk_seg_ref(segs[i]);
        v->segs[i] = segs[i];
    }
    for (uint32_t i = 0; i < v->idx_count + v->building_count; i++) {
        lk_cidx_ref(idx[i]);
        v->idx[i] = idx[i];
    }
    if (v->segs_count > 1)
        qsort(v->segs, v->segs_count, sizeof(struct lk_seg *), by_rowid_min);
    for (uint32_t i = 0; i < v->segs_count; i++) {
        int64_t max = v->segs[i]->info.rowid_max;
        v->reach[i] = i > 0 && v->reach[i - 1] > max ? v->reach[i - 1] : max;
    }
    return true;
}

static void
live_add(struct lk_view *view)
{
    struct lk_coll *coll = view->coll;
    lk_mutex_lock(&coll->live_lock);
    view->live_next = coll->live;
    view->live_link = &coll->live;
    if (coll->live != NULL)
        coll->live->live_link = &view->live_next;
    coll->live = view;
    lk_mutex_unlock(&coll->live_lock);
}

static void
live_remove(struct lk_view *view)
{
    if (view->live_link == NULL)
        return;
    lk_mutex_lock(&view->coll->live_lock);
    *view->live_link = view->live_next;
    if (view->live_next != NULL)
        view->live_next->live_link = view->live_link;
    lk_mutex_unlock(&view->coll->live_lock);
}

uint64_t
lk_view_oldest(struct lk_coll *coll, const struct lk_hot *hot)
{
    uint64_t oldest = UINT64_MAX;
    lk_mutex_lock(&coll->live_lock);
    for (const struct lk_view *view = coll->live; view != NULL; view = view->live_next)
        for (uint32_t i = 0; i < view->hots_count && view->gen < oldest; i++)
            if (view->hots[i] == hot)
                oldest = view->gen;
    lk_mutex_unlock(&coll->live_lock);
    return oldest;
}

luma_rc
lk_view_create(struct lk_coll *coll, struct lk_def *def, struct lk_hot *const *hots,
               uint32_t hots_count, struct lk_seg *const *segs, uint32_t segs_count,
               struct lk_cidx *const *idx, uint32_t idx_count, uint32_t building_count,
               uint64_t gen, struct lk_view **out_view)
{
    struct lk_view *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return LUMA_E_NOMEM;
    atomic_init(&v->refs, 1);
    v->coll = coll;
    lk_def_ref(def);
    v->def = def;
    v->gen = gen;
    v->hots_count = hots_count;
    v->segs_count = segs_count;
    v->idx_count = idx_count;
    v->building_count = building_count;
    if (!view_fill(v, hots, segs, idx)) {
        v->hots_count = v->hots == NULL ? 0 : v->hots_count;
        v->segs_count = v->segs == NULL ? 0 : v->segs_count;
        v->idx_count = v->idx == NULL ? 0 : v->idx_count;
        v->building_count = v->idx == NULL ? 0 : v->building_count;
        lk_view_unref(v);
        return LUMA_E_NOMEM;
    }
    live_add(v);
    *out_view = v;
    return LUMA_OK;
}

void
lk_view_ref(struct lk_view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
}

void
lk_view_unref(struct lk_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1)
        return;
    live_remove(view);
    for (uint32_t i = 0; i < view->hots_count; i++)
        lk_hot_unref(view->hots[i]);
    for (uint32_t i = 0; i < view->segs_count; i++)
        lk_seg_unref(view->segs[i]);
    for (uint32_t i = 0; i < view->idx_count + view->building_count; i++)
        lk_cidx_unref(view->idx[i]);
    free(view->hots);
    free(view->segs);
    free(view->reach);
    free(view->idx);
    lk_def_unref(view->def);
    free(view);
}

struct lk_cidx *
lk_view_index(const struct lk_view *view, uint64_t index_id)
{
    for (uint32_t i = 0; i < view->idx_count; i++)
        if (view->idx[i]->index_def->id == index_id)
            return view->idx[i];
    return NULL;
}

/* --- collections --- */

static struct lk_coll **
coll_bucket(struct lk_store *store, uint64_t coll_id)
{
    return &store->colls[lk_hash_u64(coll_id) % LK_COLLS_BUCKETS];
}

struct lk_coll *
lk_coll_find(struct lk_store *store, uint64_t coll_id)
{
    lk_rwlock_rdlock(&store->colls_lock);
    struct lk_coll *coll = *coll_bucket(store, coll_id);
    while (coll != NULL && coll->id != coll_id)
        coll = coll->next;
    lk_rwlock_unlock(&store->colls_lock);
    return coll;
}

luma_rc
lk_coll_ensure(struct luma_ctx *ctx, struct lk_store *store, uint64_t coll_id,
               struct lk_coll **out_coll)
{
    struct lk_coll *coll = lk_coll_find(store, coll_id);
    if (coll == NULL) {
        struct lk_coll *mine = calloc(1, sizeof(*mine));
        if (mine == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "collection: out of memory");
        mine->id = coll_id;
        mine->store = store;
        atomic_init(&mine->next_rowid, 1);
        lk_rwlock_init(&mine->latch, LK_LOCK_COLL_LATCH);
        lk_mutex_init(&mine->view_lock, LK_LOCK_COLL_VIEW);
        lk_mutex_init(&mine->live_lock, LK_LOCK_COLL_LIVE);
        lk_rwlock_wrlock(&store->colls_lock);
        struct lk_coll **bucket = coll_bucket(store, coll_id);
        for (coll = *bucket; coll != NULL && coll->id != coll_id;)
            coll = coll->next;
        if (coll == NULL) {
            mine->next = *bucket;
            *bucket = coll = mine;
            mine = NULL;
        }
        lk_rwlock_unlock(&store->colls_lock);
        if (mine != NULL) {
            lk_rwlock_fini(&mine->latch);
            lk_mutex_fini(&mine->view_lock);
            lk_mutex_fini(&mine->live_lock);
            free(mine);
        }
    }
    *out_coll = coll;
    return LUMA_OK;
}

struct lk_view *
lk_coll_view(struct lk_coll *coll, const struct luma_txn *txn)
{
    lk_mutex_lock(&coll->view_lock);
    struct lk_view *view = coll->view;
    if (txn != NULL && coll->pending_txn == txn)
        view = coll->pending;
    if (view != NULL)
        lk_view_ref(view);
    lk_mutex_unlock(&coll->view_lock);
    return view;
}

void
lk_coll_publish(struct lk_coll *coll, struct lk_view *view)
{
    lk_mutex_lock(&coll->view_lock);
    struct lk_view *old = coll->view;
    coll->view = view;
    atomic_fetch_add_explicit(&coll->view_serial, 1, memory_order_release);
    lk_mutex_unlock(&coll->view_lock);
    lk_view_unref(old);
}

luma_rc
lk_colls_each(struct lk_store *store, luma_rc (*fn)(void *arg, struct lk_coll *coll), void *arg)
{
    /* Collections are never freed and new ones join at the front of their bucket, so the lock is
     * needed for the heads only. */
    for (uint32_t i = 0; i < LK_COLLS_BUCKETS; i++) {
        lk_rwlock_rdlock(&store->colls_lock);
        struct lk_coll *coll = store->colls[i];
        lk_rwlock_unlock(&store->colls_lock);
        for (; coll != NULL; coll = coll->next)
            LUMA_TRY(fn(arg, coll));
    }
    return LUMA_OK;
}
