/*
 * storage/merge_rows.c - merging segments: few large ones instead of many small ones, and no rows
 * that nobody sees any more.
 *
 * Rows that nobody needs any more are left out. Segments are merged if no snapshot lies between
 * what began in one and in another: then one version of a row at most is needed of all of them, as
 * a segment can hold no more, however old the snapshot is. Deletes that the result still has, those
 * that come while it is written among them, go over to it through the map of old rows to new before
 * the view changes; those that the manifest's state has go into a delete map, so that result and
 * map together describe the commit number that the manifest does then: checkpoints may have been
 * made meanwhile.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/checkpoint.h"
#include "storage/mutant.h"
#include "storage/redo.h"

#define MERGE_INPUTS_MAX 16u
#define MERGE_INPUTS_MIN 4u

struct input {
    struct lk_seg *seg;
    struct lk_segment_cursor *cursor;
    struct luma_batch *batch; /* NULL: at its end */
    uint32_t at;              /* next of batch->sel */
    uint32_t group;
    const uint64_t *begins; /* of the batch's rows; NULL: one for all */
    uint64_t begin;
    int64_t *rows; /* old row -> new row, -1: dropped */
};

struct rows_merge {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_coll *coll;
    struct lk_view *view;
    struct lk_needs needs;      /* what they do not name is dropped */
    struct luma_scan_spec spec; /* all columns */
    struct input inputs[MERGE_INPUTS_MAX], *reading;
    uint32_t count;
    bool held_back; /* two versions of one row are needed still: no segment holds both */
    struct lk_segment_writer *writer;
    uint32_t written;
    struct luma_arena *arena; /* of the rows being gathered */
    struct luma_batch out;
    int64_t rowids[LUMA_BATCH_ROWS];
    uint64_t begins[LUMA_BATCH_ROWS];
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "merge: out of memory");
}

/* --- reading --- */

/* Leaves out rows that nobody needs. */
static luma_rc
window_live(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    struct rows_merge *m = arg;
    lk_seg_needed(m->reading->seg, &m->store->slots, &m->needs, first_row, n, bits);
    return LUMA_OK;
}

static luma_rc
input_next(struct rows_merge *m, struct input *in)
{
    m->reading = in;
    in->at = 0;
    for (;;) {
        bool more = false;
        LUMA_TRY(lk_segment_cursor_next(m->ctx, in->cursor, window_live, m, &in->batch, &more));
        if (more && in->batch->sel_rows == 0)
            continue;
        if (more)
            break;
        if (++in->group >= in->seg->groups_count) {
            in->batch = NULL;
            return LUMA_OK;
        }
        LUMA_TRY(lk_segment_cursor_seek(m->ctx, in->cursor, in->seg->segment, in->group));
    }
    const uint64_t *ends = NULL;
    in->begins = NULL;
    if (atomic_load(&in->seg->begin) == 0)
        LUMA_TRY(lk_segment_cursor_commits(m->ctx, in->cursor,
                                           lk_segment_cursor_first_row(in->cursor), in->batch->rows,
                                           &in->begins, &ends));
    return LUMA_OK;
}

static luma_rc
inputs_open(struct rows_merge *m)
{
    const struct lk_def *def = m->view->def;
    uint32_t *ids = LUMA_NEW_ARRAY(m->arena, uint32_t, def->coll.cols_count + 1);
    if (ids == NULL)
        return no_memory(m->ctx);
    for (uint32_t i = 0; i < def->coll.cols_count; i++)
        ids[i] = def->coll.cols[i].id;
    m->spec = (struct luma_scan_spec){.cols = ids, .cols_count = def->coll.cols_count};
    m->spec.rowids = true;
    for (uint32_t i = 0; i < m->count; i++) {
        struct input *in = &m->inputs[i];
        in->begin = lk_stamp_resolve(&m->store->slots, &in->seg->begin);
        if (in->begin == 0)
            in->begin = in->seg->info.commit_max;
        in->rows = malloc((in->seg->info.rows + 1) * sizeof(*in->rows));
        if (in->rows == NULL)
            return no_memory(m->ctx);
        for (uint64_t k = 0; k < in->seg->info.rows; k++)
            in->rows[k] = -1;
        LUMA_TRY(lk_segment_cursor_open(m->ctx, &def->coll, &m->spec, &in->cursor));
        LUMA_TRY(lk_segment_cursor_seek(m->ctx, in->cursor, in->seg->segment, 0));
        LUMA_TRY(input_next(m, in));
    }
    return LUMA_OK;
}

static int64_t
input_rowid(const struct input *in, uint32_t at)
{
    return in->batch->rowids[luma_batch_row(in->batch, at)];
}

/* --- writing --- */

static void
row_moved(struct rows_merge *m, struct input *in, uint32_t at)
{
    uint32_t row = luma_batch_row(in->batch, at);
    in->rows[lk_segment_cursor_first_row(in->cursor) + row] = m->written++;
}

static luma_rc
gathered_write(struct rows_merge *m)
{
    if (m->out.rows == 0)
        return LUMA_OK;
    m->out.sel_rows = m->out.rows;
    luma_rc rc =
        lk_segment_write_append(m->ctx, m->writer, &m->out, m->rowids, 0, m->begins, 0, NULL);
    m->out.rows = 0;
    return rc;
}

/* All that is left of an input's window, in one piece. */
static luma_rc
window_write(struct rows_merge *m, struct input *in)
{
    LUMA_TRY(gathered_write(m));
    struct luma_batch part = *in->batch;
    uint16_t sel[LUMA_BATCH_ROWS];
    uint32_t n = in->batch->sel_rows - in->at;
    n -= n > 1 && LK_MUTANT(MERGE_ROW_LOST);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = luma_batch_row(in->batch, in->at + k);
        sel[k] = (uint16_t)row;
        m->rowids[k] = in->batch->rowids[row];
        m->begins[k] = in->begins == NULL ? in->begin : in->begins[row];
        row_moved(m, in, in->at + k);
    }
    part.sel = sel;
    part.sel_rows = n;
    LUMA_TRY(lk_segment_write_append(m->ctx, m->writer, &part, m->rowids, 0, m->begins, 0, NULL));
    return input_next(m, in);
}

static luma_rc
gather_room(struct rows_merge *m)
{
    const struct lk_def *def = m->view->def;
    uint32_t cols = def->coll.cols_count;
    m->arena->reset(m->arena);
    memset(&m->out, 0, sizeof(m->out));
    m->out.cols = LUMA_NEW_ARRAY(m->arena, struct luma_vec, cols + 1);
    m->out.cols_count = cols;
    if (m->out.cols == NULL)
        return no_memory(m->ctx);
    for (uint32_t c = 0; c < cols; c++)
        if (!luma_vec_init(&m->out.cols[c], m->arena, def->coll.cols[c].type, LUMA_BATCH_ROWS))
            return no_memory(m->ctx);
    return LUMA_OK;
}

static luma_rc
row_gather(struct rows_merge *m, struct input *in)
{
    if (m->out.rows == 0)
        LUMA_TRY(gather_room(m));
    uint32_t row = luma_batch_row(in->batch, in->at), to = m->out.rows;
    for (uint32_t c = 0; c < m->out.cols_count; c++) {
        struct luma_vec *vec = &m->out.cols[c];
        if (luma_vec_is_null(&in->batch->cols[c], row)) {
            if (!luma_vec_need_valid(vec, m->arena, LUMA_BATCH_ROWS))
                return no_memory(m->ctx);
            luma_bit_clear(vec->valid, to);
            continue;
        }
        struct luma_value value = lk_data_vec_value(&in->batch->cols[c], row);
        if (lk_data_vec_set(m->arena, vec, to, &value) != LUMA_OK)
            return no_memory(m->ctx);
    }
    m->rowids[to] = in->batch->rowids[row];
    m->begins[to] = in->begins == NULL ? in->begin : in->begins[row];
    m->out.rows++;
    row_moved(m, in, in->at);
    if (++in->at == in->batch->sel_rows)
        LUMA_TRY(input_next(m, in));
    return m->out.rows == LUMA_BATCH_ROWS ? gathered_write(m) : LUMA_OK;
}

/* With a history both of two versions of a row may be needed. The merge is made when the older one
 * of them is not any more. */
static void
hold_back(struct rows_merge *m, int64_t rowid)
{
    uint64_t until = LK_STAMP_NONE;
    for (uint32_t i = 0; i < m->count; i++) {
        struct input *in = &m->inputs[i];
        uint32_t command = 0;
        if (in->batch == NULL || input_rowid(in, in->at) != rowid)
            continue;
        uint32_t row =
            (uint32_t)lk_segment_cursor_first_row(in->cursor) + luma_batch_row(in->batch, in->at);
        until = LK_MIN(until, lk_seg_end_of(in->seg, &m->store->slots, row, &command));
    }
    m->held_back = true;
    m->coll->merge_after = (until & LK_STAMP_TXN) == 0 ? until : 0;
}

static luma_rc
inputs_merge(struct rows_merge *m)
{
    while (!m->held_back) {
        if (lk_sched_host.in_task())
            LUMA_TRY(lk_sched_host.yield(m->ctx));
        struct input *first = NULL;
        int64_t others = INT64_MAX; /* lowest row id of the rest */
        for (uint32_t i = 0; i < m->count; i++) {
            struct input *in = &m->inputs[i];
            if (in->batch == NULL)
                continue;
            if (first == NULL || input_rowid(in, in->at) < input_rowid(first, first->at)) {
                if (first != NULL)
                    others = LK_MIN(others, input_rowid(first, first->at));
                first = in;
            } else {
                others = LK_MIN(others, input_rowid(in, in->at));
            }
        }
        if (first == NULL)
            return gathered_write(m);
        bool alone = input_rowid(first, first->batch->sel_rows - 1) < others;
        if (input_rowid(first, first->at) == others)
            hold_back(m, others);
        else
            LUMA_TRY(alone ? window_write(m, first) : row_gather(m, first));
    }
    return LUMA_OK;
}

/* --- publishing --- */

/* And when, as far as the history needs it. */
static luma_rc
ends_pack(struct rows_merge *m, uint64_t object_id, struct lk_pack_writer *pack,
          struct lk_manifest_edit *edit)
{
    struct lk_ends ends = {NULL, 0, 0};
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < m->count; i++)
        rc = lk_ends_gather(m->inputs[i].seg, &m->store->slots, m->needs.upto,
                            m->store->checkpoint_commit, m->inputs[i].rows, &ends);
    rc = rc != LUMA_OK
             ? no_memory(m->ctx)
             : lk_ends_pack(m->ctx, m->store, pack, &ends, m->needs.upto, object_id, edit);
    lk_ends_fini(&ends);
    return rc;
}

/* Rows of the result that have ended in the state that the manifest describes now. */
static luma_rc
ended_pack(struct rows_merge *m, uint64_t object_id, struct lk_pack_writer *pack,
           struct lk_manifest_edit *edit)
{
    struct lk_bytes value;
    roaring_bitmap_t *ended = roaring_bitmap_create();
    luma_rc rc = ended == NULL ? no_memory(m->ctx) : LUMA_OK;
    lk_bytes_init(&value, NULL);
    for (uint32_t i = 0; rc == LUMA_OK && !LK_MUTANT(MERGE_STALE) && i < m->count; i++)
        lk_seg_carried(m->inputs[i].seg, &m->store->slots, m->store->checkpoint_commit,
                       m->inputs[i].rows, ended);
    if (rc == LUMA_OK && !roaring_bitmap_is_empty(ended))
        rc = lk_deletes_pack(m->ctx, m->store, pack, ended, object_id, &value, edit);
    lk_bytes_fini(&value);
    if (ended != NULL)
        roaring_bitmap_free(ended);
    if (rc == LUMA_OK && lk_history_floor(m->store) != UINT64_MAX)
        rc = ends_pack(m, object_id, pack, edit);
    return rc == LUMA_OK ? lk_pack_finish(m->ctx, pack) : rc;
}

static luma_rc
manifest_edit(struct rows_merge *m, const struct lk_segment_info *info)
{
    struct lk_pack_writer pack = {0};
    struct lk_manifest_edit edit;
    struct lk_bytes value;
    lk_manifest_edit_init(&edit);
    lk_bytes_init(&value, NULL);
    luma_rc rc = LUMA_OK;
    if (info != NULL && !LK_MUTANT(MERGE_UNNAMED)) {
        if (lk_segment_info_write(&value, info))
            lk_manifest_put(&edit, LK_MANIFEST_SEGMENT, m->coll->id, info->object_id,
                            lk_bytes_view(&value));
        else
            rc = no_memory(m->ctx);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        uint64_t id = m->inputs[i].seg->info.object_id;
        lk_manifest_remove(&edit, LK_MANIFEST_SEGMENT, m->coll->id, id);
        lk_manifest_remove(&edit, LK_MANIFEST_DELETES, id, 0);
        if (lk_history_floor(m->store) != UINT64_MAX)
            lk_manifest_remove(&edit, LK_MANIFEST_ENDS, id, 0);
        lk_manifest_remove(&edit, LK_MANIFEST_LIES, id, 0);
    }
    if (rc == LUMA_OK && info != NULL)
        rc = ended_pack(m, info->object_id, &pack, &edit);
    lk_history_raise(m->store, &edit, m->needs.upto);
    lk_pack_abort(&pack);
    if (rc == LUMA_OK)
        rc = lk_manifest_commit(m->ctx, m->store->manifest, &edit);
    lk_manifest_edit_fini(&edit);
    lk_bytes_fini(&value);
    return rc;
}

/* Does the manifest still name them? After TRUNCATE or DROP a checkpoint has taken them out. */
static bool
inputs_are_named(const struct rows_merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct lk_manifest_key key = {.kind = LK_MANIFEST_SEGMENT, .a = m->coll->id};
        key.b = m->inputs[i].seg->info.object_id;
        if (lk_manifest_get(m->store->manifest, &key).data == NULL)
            return false;
    }
    return true;
}

static bool
inputs_are_there(const struct rows_merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        bool found = false;
        for (uint32_t k = 0; m->coll->view != NULL && k < m->coll->view->segs_count; k++)
            found = found || m->coll->view->segs[k] == m->inputs[i].seg;
        if (!found)
            return false;
    }
    return true;
}

/* The manifest has changed: memory follows or the process ends (only memory can fail here). */
static void
view_follow(struct rows_merge *m, struct lk_seg *result)
{
    struct lk_seg *gone[MERGE_INPUTS_MAX];
    struct lk_view_edit edit = {.segs_gone = gone, .segs_gone_count = m->count};
    edit.segs_new = &result;
    edit.segs_new_count = result != NULL;
    luma_rc rc = LUMA_OK;
    lk_rwlock_wrlock(&m->coll->latch);
    if (inputs_are_there(m)) { /* else TRUNCATE or DROP came first: the next checkpoint tells */
        for (uint32_t i = 0; i < m->count; i++) {
            struct input *in = &m->inputs[i];
            gone[i] = in->seg;
            if (result != NULL && rc == LUMA_OK && !LK_MUTANT(MERGE_CARRY_LOST))
                rc = lk_seg_carry(in->seg, result, in->rows);
        }
        if (rc == LUMA_OK)
            rc = lk_coll_edit(m->coll, &edit);
        for (uint32_t i = 0; rc == LUMA_OK && result != NULL && i < m->count; i++) {
            lk_seg_ref(result);
            m->inputs[i].seg->moved_to = result;
            m->inputs[i].seg->moved_rows = LUMA_TAKE(m->inputs[i].rows);
        }
    }
    lk_rwlock_unlock(&m->coll->latch);
    LK_ASSERT(rc == LUMA_OK);
}

/* *out_result NULL: every row was dead. */
static luma_rc
result_end(struct rows_merge *m, struct lk_segment_info *out_info, struct lk_seg **out_result)
{
    *out_result = NULL;
    if (m->written == 0) {
        lk_segment_write_abort(LUMA_TAKE(m->writer));
        return LUMA_OK;
    }
    LUMA_TRY(lk_segment_write_end(m->ctx, LUMA_TAKE(m->writer), out_info));
    luma_rc rc = lk_seg_create(m->ctx, m->store, out_info->object_id, out_result);
    if (rc != LUMA_OK) {
        lk_object_remove(m->store->objects, LK_OBJECT_SEGMENT, out_info->object_id);
        return rc;
    }
    out_info->coll_id = (*out_result)->info.coll_id = m->coll->id;
    int64_t born_us = 0; /* as young as the youngest of them */
    for (uint32_t i = 0; i < m->count; i++)
        born_us = LK_MAX(born_us, atomic_load(&m->inputs[i].seg->born_us));
    atomic_store(&(*out_result)->born_us, born_us);
    for (uint32_t i = 0; i < m->count; i++)
        out_info->level = LK_MAX(out_info->level, m->inputs[i].seg->info.level + 1);
    (*out_result)->info.level = out_info->level;
    return LUMA_OK;
}

/* The work lock is held. */
static luma_rc
rows_publish(struct rows_merge *m, const struct lk_segment_info *info, struct lk_seg *result,
             bool *out_done)
{
    if (!inputs_are_named(m)) {
        if (result != NULL)
            atomic_store(&result->remove, true);
        return LUMA_OK;
    }
    luma_rc rc = manifest_edit(m, result == NULL ? NULL : info);
    if (rc == LUMA_OK) {
        view_follow(m, result);
        for (uint32_t i = 0; i < m->count; i++)
            lk_object_remove(m->store->objects, LK_OBJECT_SEGMENT,
                             m->inputs[i].seg->info.object_id);
        lk_stat_add(m->store->stats.merges, 1);
        *out_done = true;
    }
    return rc;
}

/* --- choosing --- */

static bool
seg_settled(const struct lk_store *store, const struct lk_seg *seg)
{
    return lk_stamp_resolve(&store->slots, &seg->begin) <= store->checkpoint_commit;
}

/* What may be merged with what. */
struct candidate {
    struct lk_seg *seg;
    uint64_t rows, era; /* those of one era tell no two snapshots apart by what began in them */
};

static int
by_era(const void *a, const void *b)
{
    const struct candidate *ca = a, *cb = b;
    if (ca->era != cb->era)
        return ca->era < cb->era ? -1 : 1;
    return (ca->rows > cb->rows) - (ca->rows < cb->rows);
}

/* false: a snapshot sees some of its rows, and not yet others. */
static bool
era_of(const struct rows_merge *m, const struct lk_seg *seg, uint64_t *out_era)
{
    uint64_t begin = lk_stamp_resolve(&m->store->slots, &seg->begin);
    uint64_t from = begin == 0 ? seg->info.commit_min : begin;
    uint64_t to = begin == 0 ? seg->info.commit_max : begin;
    *out_era = lk_needs_same(&m->needs, from);
    return !lk_needs_between(&m->needs, from, to);
}

/* Of one era, the smallest first: segments of like size, no more at once than the cache may hold
 * beside what statements read. */
static void
like_sized(struct rows_merge *m, const struct candidate *all, uint32_t n)
{
    uint64_t rows = 0, bytes = 0, bytes_max = m->store->conf.cache_bytes / 4;
    uint32_t few = MERGE_INPUTS_MIN;
    m->count = 0;
    while (m->count < n && m->count < MERGE_INPUTS_MAX) {
        const struct candidate *next = &all[m->count];
        if (rows + next->rows > LK_SEGMENT_ROWS_MAX ||
            (m->count > 0 && next->rows > rows * 2 + 4096))
            break;
        bytes += lk_segment_group_bytes(next->seg->segment);
        if (bytes > bytes_max) {
            few = 2;
            break;
        }
        rows += next->rows;
        m->inputs[m->count++] = (struct input){.seg = next->seg};
    }
    if (m->count < few)
        m->count = 0;
}

/* Puts segments that may be merged into `all`, which has room for those of the view. One that is
 * mostly dead is merged by itself: it is the input then. */
static uint32_t
candidates(struct rows_merge *m, struct candidate *all)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->view->segs_count; i++) {
        struct lk_seg *seg = m->view->segs[i];
        if (seg->segment == NULL || !seg_settled(m->store, seg))
            continue;
        if (lk_seg_gone(seg, &m->store->slots, &m->needs) * 2 > seg->info.rows &&
            seg->info.rows <= LK_SEGMENT_ROWS_MAX) {
            m->inputs[0] = (struct input){.seg = seg};
            m->count = 1;
            return 0;
        }
        all[n] = (struct candidate){.seg = seg, .rows = seg->info.rows};
        n += seg->info.rows <= LK_SEGMENT_ROWS_MAX / 2 && era_of(m, seg, &all[n].era);
    }
    return n;
}

/* One that is mostly dead, or some of like size. */
static luma_rc
inputs_choose(struct rows_merge *m)
{
    struct candidate *all = calloc((size_t)m->view->segs_count + 1, sizeof(*all));
    if (all == NULL)
        return no_memory(m->ctx);
    uint32_t n = candidates(m, all);
    if (m->needs.upto < m->coll->merge_after)
        n = 0;
    if (n > 1)
        qsort(all, n, sizeof(all[0]), by_era);
    for (uint32_t at = 0, end; at < n && m->count == 0; at = end) {
        for (end = at; end < n && all[end].era == all[at].era;)
            end++;
        like_sized(m, all + at, end - at);
    }
    free(all);
    return LUMA_OK;
}

static void
merge_fini(struct rows_merge *m)
{
    if (m->writer != NULL)
        lk_segment_write_abort(m->writer);
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->inputs[i].cursor != NULL)
            lk_segment_cursor_close(m->inputs[i].cursor);
        free(m->inputs[i].rows);
    }
}

static luma_rc
merge_write(struct rows_merge *m)
{
    struct luma_arena *ids = m->arena = lk_arena_create(m->store->budget, 0);
    struct luma_arena *gather = lk_arena_create(m->store->budget, 1u << 16);
    luma_rc rc = ids == NULL || gather == NULL ? no_memory(m->ctx) : LUMA_OK;
    if (rc == LUMA_OK)
        rc = lk_segment_write_begin(m->ctx, m->store->objects, m->store->formats,
                                    &m->view->def->coll, &m->writer);
    if (rc == LUMA_OK)
        rc = inputs_open(m);
    m->arena = gather;
    if (rc == LUMA_OK)
        rc = inputs_merge(m);
    for (uint32_t i = 0; i < m->count; i++)
        if (m->inputs[i].cursor != NULL)
            lk_segment_cursor_close(LUMA_TAKE(m->inputs[i].cursor));
    lk_arena_destroy(ids);
    lk_arena_destroy(gather);
    return rc;
}

static luma_rc
merge_make(struct rows_merge *m, bool *out_done)
{
    struct lk_store *store = m->store;
    struct lk_segment_info info;
    struct lk_seg *result = NULL;
    LUMA_TRY(merge_write(m));
    if (m->held_back)
        return LUMA_OK;
    LUMA_TRY(result_end(m, &info, &result));
    lk_merge_pause(store);
    lk_wait_lock(store->conf.sched, &store->work_lock);
    luma_rc rc = rows_publish(m, &info, result, out_done);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    lk_seg_unref(result);
    return rc;
}

luma_rc
lk_rows_merge(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_view *view, bool *out_done)
{
    struct rows_merge *m = calloc(1, sizeof(*m));
    struct lk_store *store = coll->store;
    if (m == NULL)
        return no_memory(ctx);
    m->ctx = ctx;
    m->store = store;
    m->coll = coll;
    m->view = view;
    lk_wait_lock(store->conf.sched, &store->work_lock);
    lk_core_needs(store, store->checkpoint_commit, &m->needs);
    luma_rc rc = inputs_choose(m);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    if (rc == LUMA_OK && m->count > 0)
        rc = merge_make(m, out_done);
    merge_fini(m);
    free(m);
    return rc;
}
