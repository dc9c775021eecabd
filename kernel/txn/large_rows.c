/*
 * txn/large_rows.c - the rows of a stretch of changes as private segments, their keys as index
 * runs, the rows it ended as claims; and what commit and rollback do to them.
 *
 * Objects are written first, then readers are switched over under the collection's latch. A merge
 * of index runs under way may judge by a view without the new segments: it drops nothing that is
 * not in a new run as well, and new runs are no part of it.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/checkpoint.h"
#include "txn/large.h"
#include "txn/load.h"

struct make {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct lk_coll *coll;
    struct lk_view *view; /* held */
    struct lki_stretch *stretch;
    struct lki_large *large;
    uint32_t *begins; /* writes with a version, by row and then in order */
    uint32_t begins_count;
    struct lk_version **live; /* ascending row ids: those that are current */
    uint16_t *touched;        /* indexes whose keys are new, of each of them */
    uint32_t live_count;
    struct luma_arena *arena;
    struct lk_versions_batch rows;
    struct lki_load *loads; /* one for each index with new keys; cidx NULL: none */
    uint16_t sel[LUMA_BATCH_ROWS];
    int64_t rowids[LUMA_BATCH_ROWS];
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
}

static struct lk_version *
version_of(const struct make *m, uint32_t i)
{
    return m->stretch->writes[m->begins[i]].version;
}

/* --- choosing --- */

static int
by_row_and_order(const void *a, const void *b, void *arg)
{
    const struct make *m = arg;
    uint32_t ia = *(const uint32_t *)a, ib = *(const uint32_t *)b;
    int64_t ra = m->stretch->writes[ia].version->rowid, rb = m->stretch->writes[ib].version->rowid;
    if (ra != rb)
        return (ra > rb) - (ra < rb);
    return (ia > ib) - (ia < ib);
}

static bool
is_ended(const struct lk_version *v)
{
    return atomic_load_explicit(&v->end, memory_order_relaxed) != LK_STAMP_NONE;
}

/* Of the versions of a row the last one counts, if it is current still. It has new keys in every
 * index in which one of them had. */
static luma_rc
versions_choose(struct make *m)
{
    const struct lki_stretch *t = m->stretch;
    m->begins = malloc(((size_t)t->count + 1) * sizeof(*m->begins));
    m->live = malloc(((size_t)t->count + 1) * sizeof(struct lk_version *));
    m->touched = malloc(((size_t)t->count + 1) * sizeof(*m->touched));
    if (m->begins == NULL || m->live == NULL || m->touched == NULL)
        return no_memory(m->ctx);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->writes[i].kind == LK_WRITE_BEGIN && t->writes[i].coll == m->coll)
            m->begins[m->begins_count++] = i;
    qsort_r(m->begins, m->begins_count, sizeof(m->begins[0]), by_row_and_order, m);
    for (uint32_t i = 0, next; i < m->begins_count; i = next) {
        uint16_t touched = 0;
        for (next = i;
             next < m->begins_count && version_of(m, next)->rowid == version_of(m, i)->rowid;
             next++)
            touched |= t->writes[m->begins[next]].touched;
        if (is_ended(version_of(m, next - 1)))
            continue;
        m->touched[m->live_count] = touched;
        m->live[m->live_count++] = version_of(m, next - 1);
    }
    return LUMA_OK;
}

/* --- objects --- */

static bool
touches(uint16_t touched, uint32_t index)
{
    return (touched >> LK_MIN(index, LK_TOUCHED_REST) & 1) != 0;
}

static luma_rc
loads_open(struct make *m)
{
    uint16_t any = 0;
    for (uint32_t i = 0; i < m->live_count; i++)
        any |= m->touched[i];
    m->loads = calloc((size_t)m->view->idx_count + 1, sizeof(*m->loads));
    if (m->loads == NULL)
        return no_memory(m->ctx);
    for (uint32_t i = 0; i < m->view->idx_count; i++) {
        const struct lk_cidx *cidx = m->view->idx[i];
        struct lk_cidx *own = NULL;
        if (!touches(any, i))
            continue;
        LUMA_TRY(lk_cidx_create(m->ctx, m->txn->store, cidx->def, cidx->index_def, &own));
        luma_rc rc = lki_load_begin(m->ctx, own, 1, &m->loads[i]);
        lk_cidx_unref(own);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

/* The keys of rows first .. first + n - 1, which are in m->rows. */
static luma_rc
keys_add(struct make *m, uint32_t first, uint32_t n, const struct luma_vec **cols)
{
    for (uint32_t c = 0; c < m->rows.batch.cols_count; c++)
        cols[c] = &m->rows.batch.cols[c];
    for (uint32_t i = 0; i < m->view->idx_count; i++) {
        struct luma_batch some = m->rows.batch;
        uint32_t count = 0;
        if (m->loads[i].cidx == NULL)
            continue;
        for (uint32_t k = 0; k < n; k++)
            if (touches(m->touched[first + k], i)) {
                m->rowids[count] = m->rows.rowids[k];
                m->sel[count++] = (uint16_t)k;
            }
        some.sel = m->sel;
        some.sel_rows = count;
        if (count > 0)
            LUMA_TRY(lki_load_add(m->ctx, &m->loads[i], 0, m->view->def, cols, &some, m->rowids));
    }
    return LUMA_OK;
}

static luma_rc
rows_write(struct make *m, uint32_t first, uint32_t count, struct lk_segment_writer *writer,
           const struct luma_vec **cols)
{
    for (uint32_t at = 0; at < count; at += LUMA_BATCH_ROWS) {
        uint32_t n = LK_MIN(count - at, (uint32_t)LUMA_BATCH_ROWS);
        LUMA_TRY(
            lk_versions_batch(m->ctx, m->view->def, m->live + first + at, n, m->arena, &m->rows));
        LUMA_TRY(lk_segment_write_append(m->ctx, writer, &m->rows.batch, m->rows.rowids, 0, NULL,
                                         LK_COMMIT_OWN, NULL));
        LUMA_TRY(keys_add(m, first + at, n, cols));
        if (lk_sched_host.in_task())
            LUMA_TRY(lk_sched_host.yield(m->ctx));
    }
    return LUMA_OK;
}

static luma_rc
segment_make(struct make *m, uint32_t first, uint32_t count, const struct luma_vec **cols)
{
    struct lk_store *store = m->txn->store;
    struct lki_large *large = m->large;
    struct lk_segment_writer *writer = NULL;
    struct lk_segment_info info;
    struct lk_seg **segs =
        realloc(large->segs, ((size_t)large->segs_count + 1) * sizeof(struct lk_seg *));
    if (segs == NULL)
        return no_memory(m->ctx);
    large->segs = segs;
    LUMA_TRY(lk_segment_write_begin(m->ctx, store->objects, store->formats, &m->view->def->coll,
                                    &writer));
    luma_rc rc = rows_write(m, first, count, writer, cols);
    if (rc != LUMA_OK) {
        lk_segment_write_abort(writer);
        return rc;
    }
    LUMA_TRY(lk_segment_write_end(m->ctx, writer, &info));
    struct lk_seg *seg = NULL;
    rc = lk_seg_create(m->ctx, store, info.object_id, &seg);
    if (rc != LUMA_OK) {
        lk_object_remove(store->objects, LK_OBJECT_SEGMENT, info.object_id);
        return rc;
    }
    seg->info.coll_id = m->coll->id;
    seg->begin_command = m->stretch->command;
    atomic_store(&seg->begin, m->txn->stamp);
    large->segs[large->segs_count++] = seg;
    lk_stat_add(store->stats.segments_written, 1);
    lk_stat_add(store->stats.segment_bytes_written, (int64_t)info.bytes);
    return LUMA_OK;
}

static luma_rc
runs_make(struct make *m)
{
    struct lki_large *large = m->large;
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->view->idx_count; i++)
        if (m->loads[i].cidx != NULL) {
            LUMA_TRY(lki_load_finish(m->ctx, m->txn, &m->loads[i]));
            count += m->loads[i].cidx->runs_count;
        }
    large->runs = calloc((size_t)count + 1, sizeof(*large->runs));
    if (large->runs == NULL)
        return no_memory(m->ctx);
    for (uint32_t i = 0; i < m->view->idx_count; i++) {
        const struct lk_cidx *own = m->loads[i].cidx;
        for (uint32_t k = 0; own != NULL && k < own->runs_count; k++) {
            lk_cidx_ref(m->view->idx[i]);
            large->runs[large->runs_count++] =
                (struct lki_large_run){m->view->idx[i], own->runs[k].info};
        }
    }
    return LUMA_OK;
}

static luma_rc
objects_make(struct make *m)
{
    luma_rc rc = LUMA_OK;
    const struct luma_vec **cols = calloc((size_t)m->view->def->coll.cols_count + 1, sizeof(*cols));
    m->arena = lk_arena_create(m->txn->store->budget, 1u << 16);
    if (cols == NULL || m->arena == NULL)
        rc = no_memory(m->ctx);
    if (rc == LUMA_OK)
        rc = loads_open(m);
    for (uint32_t at = 0; rc == LUMA_OK && at < m->live_count; at += LK_SEGMENT_ROWS_MAX)
        rc = segment_make(m, at, LK_MIN(m->live_count - at, LK_SEGMENT_ROWS_MAX), cols);
    if (rc == LUMA_OK)
        rc = runs_make(m);
    free(cols);
    return rc;
}

/* --- ends --- */

static luma_rc
end_add(struct make *m, struct lk_seg *seg, uint32_t row, bool weak)
{
    struct lki_large *large = m->large;
    while (seg->moved_to != NULL) { /* a merge took the row over */
        if (seg->moved_rows[row] < 0)
            return LUMA_OK;
        row = (uint32_t)seg->moved_rows[row];
        seg = seg->moved_to;
    }
    uint32_t i = large->ends_count;
    while (i > 0 && (large->ends[i - 1].seg != seg || large->ends[i - 1].weak != weak))
        i--;
    if (i == 0) {
        if (large->ends_count == large->ends_room) {
            uint32_t room = large->ends_room == 0 ? 8 : large->ends_room * 2;
            struct lki_large_end *ends = realloc(large->ends, room * sizeof(*ends));
            if (ends == NULL)
                return no_memory(m->ctx);
            large->ends = ends;
            large->ends_room = room;
        }
        roaring_bitmap_t *rows = roaring_bitmap_create();
        if (rows == NULL)
            return no_memory(m->ctx);
        lk_seg_ref(seg);
        large->ends[large->ends_count++] = (struct lki_large_end){seg, rows, weak};
        i = large->ends_count;
    }
    roaring_bitmap_add(large->ends[i - 1].rows, row);
    return LUMA_OK;
}

/* Has a checkpoint written the version and switched readers to the copy? */
static bool
is_written(const struct make *m, const struct lk_version *v)
{
    uint64_t flushed = atomic_load_explicit(&v->flushed, memory_order_acquire);
    return flushed != 0 && flushed <= m->coll->published_gen;
}

/* The latch is held alone. */
static luma_rc
ends_gather(struct make *m)
{
    for (uint32_t i = 0; i < m->stretch->count; i++) {
        const struct lk_write *w = &m->stretch->writes[i];
        if (w->coll != m->coll)
            continue;
        if (w->kind == LK_WRITE_END_SEG)
            LUMA_TRY(end_add(m, w->seg, w->row, !w->fresh));
        else if (w->kind == LK_WRITE_END_HOT && is_written(m, w->version))
            LUMA_TRY(end_add(m, w->version->seg, w->version->seg_row, !w->fresh));
    }
    return LUMA_OK;
}

/* --- switching over --- */

static int
by_version(const void *a, const void *b)
{
    const struct lk_version *va = *(struct lk_version *const *)a;
    const struct lk_version *vb = *(struct lk_version *const *)b;
    return (va > vb) - (va < vb);
}

static luma_rc
latched_switch(struct make *m)
{
    struct lk_coll *coll = m->coll;
    struct lki_large *large = m->large;
    LUMA_TRY(ends_gather(m));
    for (uint32_t i = 0; i < large->ends_count; i++)
        if (lk_seg_claim(large->ends[i].seg, m->txn->stamp, m->stretch->command, m->stretch->floor,
                         large->ends[i].weak, large->ends[i].rows) != LUMA_OK)
            return no_memory(m->ctx);
    struct lk_view_edit edit = {.segs_new = large->segs, .segs_new_count = large->segs_count};
    luma_rc rc = LUMA_OK;
    for (uint32_t k = 0; k < large->segs_count; k++)
        for (uint32_t i = 0; coll->view != NULL && rc == LUMA_OK && i < coll->view->building_count;
             i++)
            rc = lk_cidx_missed_add(coll->view->idx[coll->view->idx_count + i], large->segs[k]);
    if (rc == LUMA_OK && large->segs_count > 0)
        rc = coll->pending_txn == m->txn ? lk_coll_edit_pending(coll, &edit)
             : coll->view != NULL        ? lk_coll_edit(coll, &edit)
                                         : LUMA_E_UNDEFINED;
    return rc == LUMA_OK ? rc : no_memory(m->ctx);
}

static luma_rc
runs_attach(struct make *m)
{
    struct lki_large *large = m->large;
    for (uint32_t i = 0; i < large->runs_count; i++) {
        struct lki_large_run *run = &large->runs[i];
        LUMA_TRY(lk_cidx_usable(m->ctx, m->coll, run->cidx));
        LUMA_TRY(lk_index_attach(m->ctx, run->cidx->index, &run->info));
        large->runs_attached++;
        if (lk_cidx_run_add(run->cidx, &run->info, m->txn->stamp) != LUMA_OK)
            return no_memory(m->ctx);
    }
    return LUMA_OK;
}

/* The entries of a row that this transaction has made are in runs now. Entries of other rows stay:
 * older versions may have the same key. */
static void
entries_remove(struct make *m, const struct lk_version *v)
{
    struct lk_bytes key;
    lk_bytes_init(&key, NULL);
    for (uint32_t i = 0; i < m->view->idx_count; i++) {
        bool null = false;
        lk_bytes_reset(&key);
        if (lk_key_tuple(&key, m->view->def, m->view->idx[i], v->tuple, &null) != LUMA_OK)
            continue;
        struct luma_index_entry entry = {lk_bytes_view(&key), v->rowid};
        lk_index_remove(m->view->idx[i]->index, &entry);
    }
    lk_bytes_fini(&key);
}

static void
versions_forget(struct make *m)
{
    struct luma_txn *txn = m->txn;
    bool fresh = false;
    int64_t rowid = -1;
    for (uint32_t i = 0; i < m->begins_count; i++) {
        struct lk_version *v = version_of(m, i);
        if (rowid != v->rowid) /* the first version of a row */
            fresh = m->stretch->writes[m->begins[i]].fresh;
        rowid = v->rowid;
        if (fresh)
            entries_remove(m, v);
        for (uint32_t k = txn->hots_count; k > 0 && !lk_hot_forget(txn->hots[k - 1], v); k--)
            continue;
        m->stretch->writes[m->begins[i]].version = NULL;
        m->stretch->kept[m->begins[i]] = false;
    }
}

/* Ends that the claims say now. Ends of versions of the stretch itself went with them. */
static luma_rc
ends_forget(struct make *m)
{
    struct lki_stretch *t = m->stretch;
    struct lk_version **own = malloc(((size_t)m->begins_count + 1) * sizeof(struct lk_version *));
    if (own == NULL)
        return no_memory(m->ctx);
    for (uint32_t i = 0; i < m->begins_count; i++)
        own[i] = version_of(m, i);
    qsort(own, m->begins_count, sizeof(struct lk_version *), by_version);
    for (uint32_t i = 0; i < t->count; i++) {
        struct lk_write *w = &t->writes[i];
        if (w->coll != m->coll)
            continue;
        if (w->kind == LK_WRITE_END_SEG) {
            lk_seg_unref(w->seg);
            t->kept[i] = false;
        } else if (w->kind == LK_WRITE_END_HOT) {
            if (bsearch(&w->version, own, m->begins_count, sizeof(struct lk_version *),
                        by_version) != NULL) {
                t->kept[i] = false;
            } else if (is_written(m, w->version)) {
                /* Who still looks here is older than the end, or reads for a command before it. */
                atomic_store_explicit(&w->version->end, LK_STAMP_NONE, memory_order_release);
                t->kept[i] = false;
            }
        }
    }
    free(own);
    return LUMA_OK;
}

static luma_rc
switch_over(struct make *m)
{
    luma_rc rc = runs_attach(m);
    if (rc == LUMA_OK) {
        lk_rwlock_wrlock(&m->coll->latch);
        rc = latched_switch(m);
        if (rc == LUMA_OK)
            rc = ends_forget(m);
        lk_rwlock_unlock(&m->coll->latch);
    }
    if (rc == LUMA_OK)
        versions_forget(m);
    return rc;
}

luma_rc
lki_large_make(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll,
               struct lki_stretch *stretch, struct lki_large **out_large)
{
    struct make *m = calloc(1, sizeof(*m));
    struct lki_large *large = calloc(1, sizeof(*large));
    luma_rc rc = m == NULL || large == NULL ? no_memory(ctx) : LUMA_OK;
    if (rc == LUMA_OK) {
        *m = (struct make){.ctx = ctx, .txn = txn, .coll = coll};
        large->coll = coll;
        m->large = large;
        m->stretch = stretch;
        m->view = lk_coll_view(coll, txn);
        if (m->view == NULL)
            rc = LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                           (unsigned long long)coll->id);
    }
    if (rc == LUMA_OK)
        rc = versions_choose(m);
    if (rc == LUMA_OK)
        rc = objects_make(m);
    if (rc == LUMA_OK)
        rc = switch_over(m);
    if (rc != LUMA_OK && large != NULL)
        lki_large_undo(txn, large);
    else
        *out_large = large;
    for (uint32_t i = 0; m != NULL && m->loads != NULL && i < m->view->idx_count; i++)
        if (m->loads[i].cidx != NULL) {
            if (rc != LUMA_OK)
                lk_cidx_runs_discard(txn->store, m->loads[i].cidx, txn->stamp);
            lki_load_fini(&m->loads[i]);
        }
    if (m != NULL) {
        lk_view_unref(m->view);
        lk_arena_destroy(m->arena);
        free(m->loads);
        free(m->begins);
        free(m->live);
        free(m->touched);
    }
    free(m);
    return rc;
}

/* --- commit and rollback --- */

void
lki_large_free(struct lki_large *large)
{
    for (uint32_t i = 0; i < large->segs_count; i++)
        lk_seg_unref(large->segs[i]);
    for (uint32_t i = 0; i < large->ends_count; i++) {
        lk_seg_unref(large->ends[i].seg);
        roaring_bitmap_free(large->ends[i].rows);
    }
    for (uint32_t i = 0; i < large->runs_count; i++)
        lk_cidx_unref(large->runs[i].cidx);
    free(large->segs);
    free(large->ends);
    free(large->runs);
    free(large);
}

/* The collection's latch is held. */
void
lki_large_stamp(struct luma_txn *txn, struct lki_large *large, uint64_t commit)
{
    for (uint32_t i = 0; i < large->segs_count; i++) {
        struct lk_seg *seg = large->segs[i];
        lk_archive_add(txn->store, LK_OBJECT_SEGMENT, seg->info.object_id);
        seg->info.commit_min = seg->info.commit_max = commit;
        atomic_store_explicit(&seg->begin, commit, memory_order_release);
    }
    for (uint32_t i = 0; i < large->ends_count; i++)
        for (struct lk_seg *seg = large->ends[i].seg; seg != NULL; seg = seg->moved_to)
            lk_seg_claims_restamp(seg, txn->stamp, commit);
    for (uint32_t i = 0; i < large->runs_count; i++) {
        lk_archive_add(txn->store, LK_OBJECT_RUN, large->runs[i].info.object_id);
        lk_cidx_run_restamp(large->runs[i].cidx, txn->stamp, commit);
    }
    lki_large_free(large);
}

/* Rows come back, wherever merges have carried them. */
static void
rows_unclaim(struct luma_txn *txn, struct lk_seg *seg, roaring_bitmap_t *rows)
{
    roaring_bitmap_t *here = rows;
    while (seg != NULL && here != NULL) {
        lk_seg_unclaim(seg, txn->stamp, here);
        roaring_bitmap_t *there = seg->moved_to == NULL ? NULL : roaring_bitmap_create();
        roaring_uint32_iterator_t it;
        roaring_init_iterator(here, &it);
        for (; there != NULL && it.has_value; roaring_advance_uint32_iterator(&it))
            if (seg->moved_rows[it.current_value] >= 0)
                roaring_bitmap_add(there, (uint32_t)seg->moved_rows[it.current_value]);
        if (here != rows)
            roaring_bitmap_free(here);
        here = there;
        seg = seg->moved_to;
    }
}

static void
segs_discard(struct luma_txn *txn, struct lki_large *large)
{
    struct lk_coll *coll = large->coll;
    struct lk_view_edit edit = {.segs_gone = large->segs, .segs_gone_count = large->segs_count};
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; i < large->segs_count; i++) {
        atomic_store(&large->segs[i]->begin, LK_STAMP_ABORTED);
        atomic_store(&large->segs[i]->remove, true);
    }
    lk_rwlock_wrlock(&coll->latch);
    if (large->segs_count == 0)
        rc = LUMA_OK;
    else if (coll->pending_txn == txn)
        rc = lk_coll_edit_pending(coll, &edit);
    else if (coll->view != NULL)
        rc = lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    if (rc != LUMA_OK)
        lk_log_warn("txn", "a rolled back segment stays in memory until the next checkpoint");
}

void
lki_large_undo(struct luma_txn *txn, struct lki_large *large)
{
    segs_discard(txn, large);
    lk_rwlock_rdlock(&large->coll->latch);
    for (uint32_t i = 0; i < large->ends_count; i++)
        rows_unclaim(txn, large->ends[i].seg, large->ends[i].rows);
    lk_rwlock_unlock(&large->coll->latch);
    /* Their entries are candidates that never fit. */
    for (uint32_t i = 0; i < large->runs_attached; i++)
        lk_cidx_run_discard(txn->store, large->runs[i].cidx, large->runs[i].info.object_id);
    lki_large_free(large);
}
