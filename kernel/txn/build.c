/*
 * txn/build.c - CREATE INDEX beside writers.
 *
 * 1. The index joins the collection's view as one being built: from here on writers give it the
 *    entries of what they add; nobody looks anything up in it.
 * 2. Entries of every version that was there then, in progress or not, become its first run.
 * 3. What writers have added meanwhile becomes runs, in rounds, until little is left.
 * 4. Writers are locked out; the rest becomes a run. The definition follows in this transaction.
 *
 * A unique constraint is not kept by writers meanwhile. Keys that more than one entry has are
 * judged by their rows: the first run's while its keys pass in order, those of later rounds one by
 * one. What is undecided then, because a transaction is in progress, is judged again in step 4.
 */
#include "txn/build.h"

#include <stdlib.h>

#include "sched/sched.h"
#include "storage/mutant.h"

#define ROUNDS_MAX    6
#define ROUND_ENTRIES 4096u /* few enough to be left to the locked round */
#define SUSPECTS_MAX  65536u
#define YIELD_KEYS    256u

struct build {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct lk_coll *coll;
    struct lk_def *def;
    struct lk_cidx *cidx;
    struct luma_coll h; /* sees the newest view */
    struct luma_arena *arena;
    struct lk_bytes key;      /* of the row being judged */
    struct lk_bytes version;  /* the same row, as nobody else can change it */
    struct lk_bytes suspects; /* keys to be judged again: sized slices */
    uint32_t suspects_count;
    bool locked;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index build: out of memory");
}

/* --- is it worth it? --- */

static bool
same_columns(const struct luma_store_coll *a, const struct luma_store_coll *b)
{
    if (a->cols_count != b->cols_count)
        return false;
    for (uint32_t i = 0; i < a->cols_count; i++)
        if (a->cols[i].id != b->cols[i].id || a->cols[i].type.id != b->cols[i].type.id)
            return false;
    return true;
}

bool
lki_build_is_online(struct luma_txn *txn, struct lk_coll *coll, const struct lk_def *def)
{
    for (uint32_t i = 0; i < txn->colls_count; i++)
        if (txn->colls[i] == coll)
            return false; /* it has changed rows itself: they are its own anyway */
    struct lk_view *view = lk_coll_view(coll, NULL);
    if (view == NULL)
        return false;
    uint64_t rows = 0;
    bool adds = false;
    for (uint32_t i = 0; i < view->segs_count; i++)
        rows += view->segs[i]->info.rows;
    for (uint32_t i = 0; i < view->hots_count; i++)
        rows += atomic_load(&view->hots[i]->versions);
    for (uint32_t i = 0; i < def->coll.indexes_count; i++)
        adds = adds || lk_view_index(view, def->coll.indexes[i].id) == NULL;
    bool online =
        adds && rows >= coll->store->conf.build_rows && same_columns(&view->def->coll, &def->coll);
    lk_view_unref(view);
    return online;
}

/* --- the view --- */

static luma_rc
building_join(struct build *b)
{
    struct lk_coll *coll = b->coll;
    struct lk_view_edit edit = {.building_new = b->cidx};
    lk_rwlock_wrlock(&coll->latch);
    luma_rc rc = coll->view == NULL ? LUMA_E_UNDEFINED : lk_coll_edit(coll, &edit);
    lk_rwlock_unlock(&coll->latch);
    if (rc == LUMA_E_UNDEFINED)
        return LUMA_FAIL(b->ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                         (unsigned long long)coll->id);
    return rc == LUMA_OK ? rc : no_memory(b->ctx);
}

/* It stops to get entries. If there is no memory for that it goes on to: they harm nobody. */
static void
building_leave(struct build *b)
{
    struct lk_coll *coll = b->coll;
    struct lk_view_edit edit = {.building_gone = b->cidx};
    lk_rwlock_wrlock(&coll->latch);
    if (coll->view != NULL && lk_coll_edit(coll, &edit) != LUMA_OK)
        lk_log_warn("txn", "an index stays in memory until its table changes");
    lk_rwlock_unlock(&coll->latch);
}

/* --- runs --- */

static luma_rc
entries_sort(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
             const bool *nulls, uint32_t count)
{
    (void)nulls;
    return lk_run_sorter_add(ctx, arg, 0, entries, count);
}

static luma_rc
run_join(struct build *b, const struct lk_run_info *info)
{
    luma_rc rc = lk_index_attach(b->ctx, b->cidx->index, info);
    if (rc == LUMA_OK && lk_cidx_run_add(b->cidx, info, b->txn->stamp) != LUMA_OK)
        rc = no_memory(b->ctx);
    if (rc != LUMA_OK)
        lk_object_remove(b->txn->store->objects, LK_OBJECT_RUN, info->object_id);
    return rc;
}

/* Versions of a view, or of segments that came by themselves, as one run. */
static luma_rc
run_of_rows(struct build *b, const struct lk_view *view, struct lk_seg *const *segs, uint32_t count,
            struct lk_run_info *out_info, bool *out_written)
{
    struct lk_store *store = b->txn->store;
    struct lk_run_sorter *sorter = NULL;
    struct lk_entries spec = {.slots = &store->slots, .def = b->def, .cidx = b->cidx};
    LUMA_TRY(lk_run_sorter_create(b->ctx, b->cidx->index, 1, &sorter));
    spec.add = entries_sort;
    spec.arg = sorter;
    spec.horizon = lk_slots_horizon(&store->slots);
    luma_rc rc = view == NULL ? LUMA_OK : lk_entries_of_view(b->ctx, &spec, view);
    for (uint32_t i = 0; rc == LUMA_OK && i < count; i++)
        rc = lk_entries_of_seg(b->ctx, &spec, segs[i]);
    if (rc != LUMA_OK) {
        lk_run_sorter_abort(sorter);
        return rc;
    }
    LUMA_TRY(lk_run_sorter_finish(b->ctx, sorter, false, NULL, out_info, out_written));
    return *out_written ? run_join(b, out_info) : LUMA_OK;
}

static luma_rc
run_of_missed(struct build *b, struct lk_run_info *out_info, bool *out_written)
{
    struct lk_seg **segs = NULL;
    uint32_t count = 0;
    *out_written = false;
    lk_cidx_missed_take(b->cidx, &segs, &count);
    luma_rc rc = count == 0 || LK_MUTANT(BUILD_MISSED)
                     ? LUMA_OK
                     : run_of_rows(b, NULL, segs, count, out_info, out_written);
    for (uint32_t i = 0; i < count; i++)
        lk_seg_unref(segs[i]);
    free(segs);
    return rc;
}

static luma_rc
run_of_added(struct build *b, struct lk_run_info *out_info, bool *out_written)
{
    struct lk_index *index = b->cidx->index;
    LUMA_TRY(lk_index_freeze(b->ctx, index));
    luma_rc rc = lk_index_write_frozen(b->ctx, index, out_info, out_written);
    if (rc != LUMA_OK) {
        lk_index_unfreeze(index);
        return rc;
    }
    if (*out_written && lk_cidx_run_add(b->cidx, out_info, b->txn->stamp) != LUMA_OK)
        return no_memory(b->ctx);
    return lk_index_publish(b->ctx, index, *out_written ? out_info : NULL);
}

/* --- keys that more than one entry has --- */

enum verdict { GONE, LIVE, UNSURE, HAS_NULL };

struct progress_look {
    struct build *b;
    bool found;
};

static bool
progress_found(void *arg, struct lk_version *v)
{
    struct progress_look *look = arg;
    uint64_t begin = lk_stamp_resolve(&look->b->txn->store->slots, &v->begin);
    look->found = (begin & LK_STAMP_TXN) != 0 && begin != look->b->txn->stamp;
    return !look->found;
}

/* May the row get another version by a transaction that has not ended? */
static bool
row_is_unsure(struct build *b, const struct lk_view *view, int64_t rowid)
{
    struct progress_look look = {b, false};
    for (uint32_t i = 0; i < view->hots_count && !look.found; i++)
        lk_hot_row(view->hots[i], rowid, 0, progress_found, &look);
    for (uint32_t i = 0; i < view->segs_count && !look.found; i++) {
        struct lk_seg *seg = view->segs[i];
        uint64_t begin = lk_stamp_resolve(&b->txn->store->slots, &seg->begin);
        look.found = rowid >= seg->info.rowid_min && rowid <= seg->info.rowid_max &&
                     (begin & LK_STAMP_TXN) && begin != b->txn->stamp;
    }
    return look.found;
}

static luma_rc
row_judge(struct build *b, struct luma_slice key, int64_t rowid, enum verdict *out)
{
    struct lk_place place;
    bool found = false, null = false;
    uint64_t other = 0;
    LUMA_TRY(lki_row_current(b->ctx, b->txn, &b->h, rowid, &b->version, &place, &found, &other));
    const struct lk_view *view = b->h.view;
    b->arena->reset(b->arena);
    lk_bytes_reset(&b->key);
    if (found)
        LUMA_TRY(lk_key_place(b->ctx, &b->key, view, b->cidx, &place, b->arena, &null));
    if (!found || !luma_slice_equal(lk_bytes_view(&b->key), key))
        *out = row_is_unsure(b, view, rowid) ? UNSURE : GONE;
    else if (null && !b->cidx->index_def->nulls_not_distinct)
        *out = HAS_NULL;
    else
        *out = other != 0 ? UNSURE : LIVE;
    return LUMA_OK;
}

static luma_rc
suspect(struct build *b, struct luma_slice key)
{
    if (b->locked || ++b->suspects_count > SUSPECTS_MAX)
        return lki_unique_error(b->ctx, b->cidx);
    return lk_bytes_sized(&b->suspects, key) ? LUMA_OK : no_memory(b->ctx);
}

static int
by_value(const void *a, const void *b)
{
    int64_t ia = *(const int64_t *)a, ib = *(const int64_t *)b;
    return (ia > ib) - (ia < ib);
}

static luma_rc
rows_judge(struct build *b, struct luma_slice key, struct lki_rowids *rows)
{
    int64_t live = -1;
    uint32_t count = 0;
    if (rows->count > 1)
        qsort(rows->items, rows->count, sizeof(rows->items[0]), by_value);
    for (uint32_t i = 0; i < rows->count; i++) {
        enum verdict verdict = GONE;
        if (i > 0 && rows->items[i] == rows->items[i - 1])
            continue;
        LUMA_TRY(row_judge(b, key, rows->items[i], &verdict));
        if (verdict == HAS_NULL)
            return LUMA_OK;
        if (verdict == LIVE && live >= 0) {
            /* If the first one still is there, they were there together. */
            LUMA_TRY(row_judge(b, key, live, &verdict));
            return verdict == LIVE ? lki_unique_error(b->ctx, b->cidx) : suspect(b, key);
        }
        if (verdict == LIVE)
            live = rows->items[i];
        count += verdict == LIVE || verdict == UNSURE;
    }
    return count > 1 ? suspect(b, key) : LUMA_OK;
}

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    lki_rowids_add(arg, rowid);
}

/* Have two rows this key? */
static luma_rc
key_judge(struct build *b, struct luma_slice key)
{
    struct lki_rowids rows;
    lki_rowids_init(&rows);
    luma_rc rc = lk_index_find(b->ctx, b->cidx->index, &key, 1, emit, &rows);
    if (rc == LUMA_OK && rows.failed)
        rc = no_memory(b->ctx);
    if (rc == LUMA_OK && rows.count > 1)
        rc = rows_judge(b, key, &rows);
    lki_rowids_fini(&rows);
    return rc;
}

/* Goes through the keys of an index in order. all: judges each, else those with several entries. */
static luma_rc
keys_walk(struct build *b, struct lk_index *index, bool all)
{
    LUMA_CLEANUP(lk_arena_destroy)
    struct luma_arena *arena = lk_arena_create(b->txn->store->budget, 0);
    struct luma_index_range range = {0};
    struct lk_index_cursor *cursor = NULL;
    struct lk_bytes last;
    bool more = true, judged = true;
    uint32_t passed = 0;
    if (arena == NULL)
        return no_memory(b->ctx);
    LUMA_TRY(lk_index_cursor_open(b->ctx, index, &range, arena, &cursor));
    lk_bytes_init(&last, NULL);
    luma_rc rc = LUMA_OK;
    while (rc == LUMA_OK) {
        struct luma_index_entry entry;
        rc = lk_index_cursor_next(b->ctx, cursor, &entry, &more);
        if (rc != LUMA_OK || !more)
            break;
        bool again = passed > 0 && luma_slice_equal(lk_bytes_view(&last), entry.key);
        if (!again) {
            lk_bytes_reset(&last);
            judged = false;
            if (!lk_bytes_slice(&last, entry.key))
                rc = no_memory(b->ctx);
        }
        if (rc == LUMA_OK && !judged && (all || again)) {
            judged = true;
            rc = key_judge(b, lk_bytes_view(&last));
        }
        if (++passed % YIELD_KEYS == 0 && rc == LUMA_OK && lk_sched_host.in_task())
            rc = lk_sched_host.yield(b->ctx);
    }
    lk_bytes_fini(&last);
    lk_index_cursor_close(cursor);
    return rc;
}

/* Judges the keys of one run. */
static luma_rc
run_walk(struct build *b, const struct lk_run_info *info)
{
    struct lk_cidx *own = NULL;
    if (!b->cidx->index_def->unique)
        return LUMA_OK;
    LUMA_TRY(lk_cidx_create(b->ctx, b->txn->store, b->def, b->cidx->index_def, &own));
    luma_rc rc = lk_index_attach(b->ctx, own->index, info);
    if (rc == LUMA_OK)
        rc = keys_walk(b, own->index, true);
    lk_cidx_unref(own);
    return rc;
}

static luma_rc
suspects_judge(struct build *b)
{
    struct lk_reader r = lk_reader(lk_bytes_view(&b->suspects));
    while (lk_reader_left(&r) > 0)
        LUMA_TRY(key_judge(b, lk_reader_sized(&r)));
    return LUMA_OK;
}

/* --- the steps --- */

static luma_rc
first_run(struct build *b)
{
    struct lk_view *view = lk_coll_view(b->coll, NULL);
    struct lk_run_info info;
    bool written = false;
    luma_rc rc = view == NULL ? LUMA_OK : run_of_rows(b, view, NULL, 0, &info, &written);
    lk_view_unref(view);
    if (rc == LUMA_OK && b->cidx->index_def->unique)
        rc = keys_walk(b, b->cidx->index, false);
    return rc;
}

/* Takes in what writers have added. */
static luma_rc
catch_up(struct build *b)
{
    struct lk_run_info info;
    bool written = false;
    LUMA_TRY(run_of_missed(b, &info, &written));
    if (written)
        LUMA_TRY(run_walk(b, &info));
    LUMA_TRY(run_of_added(b, &info, &written));
    return written ? run_walk(b, &info) : LUMA_OK;
}

static luma_rc
build_run(struct build *b)
{
    const struct lk_store_conf *conf = &b->coll->store->conf;
    LK_IO_PHASE("index build");
    LUMA_TRY(first_run(b));
    if (conf->build_pause != NULL)
        conf->build_pause(conf->build_pause_arg);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        uint64_t before = lk_index_bytes(b->cidx->index);
        if (lk_index_hot_count(b->cidx->index) < ROUND_ENTRIES && i > 0)
            break;
        LUMA_TRY(catch_up(b));
        if (lk_index_bytes(b->cidx->index) == before)
            break;
    }
    LUMA_TRY(
        lk_lock_take(b->ctx, b->txn, lk_lock_coll(b->coll->id), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT));
    b->locked = true;
    LUMA_TRY(catch_up(b));
    return suspects_judge(b);
}

luma_rc
lki_build_online(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll,
                 struct lk_def *def, const struct luma_store_index *index,
                 struct lk_cidx **out_cidx)
{
    struct build b = {.ctx = ctx, .txn = txn, .coll = coll, .def = def};
    LUMA_TRY(lk_cidx_create(ctx, txn->store, def, index, &b.cidx));
    lki_coll_init(&b.h, coll, txn);
    lk_def_ref(def);
    b.h.def = def;
    lk_bytes_init(&b.key, NULL);
    lk_bytes_init(&b.version, NULL);
    lk_bytes_init(&b.suspects, NULL);
    b.arena = lk_arena_create(txn->store->budget, 0);
    luma_rc rc = b.arena == NULL ? no_memory(ctx) : building_join(&b);
    if (rc == LUMA_OK) {
        rc = build_run(&b);
        building_leave(&b);
    }
    lk_bytes_fini(&b.key);
    lk_bytes_fini(&b.version);
    lk_bytes_fini(&b.suspects);
    lk_arena_destroy(b.arena);
    lki_coll_fini(&b.h);
    if (rc != LUMA_OK) {
        lk_cidx_runs_discard(txn->store, b.cidx, txn->stamp);
        lk_cidx_unref(b.cidx);
        return rc;
    }
    *out_cidx = b.cidx;
    return LUMA_OK;
}
