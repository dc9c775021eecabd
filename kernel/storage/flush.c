/*
 * storage/flush.c - hot versions as segments.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/checkpoint.h"
#include "storage/mutant.h"

struct flush {
    struct luma_ctx *ctx;
    struct lk_coll *coll;
    struct lk_view *view;
    struct luma_arena *arena;
    uint64_t begins[LUMA_BATCH_ROWS];
    struct lk_versions_batch rows;
};

luma_rc
lk_versions_batch(struct luma_ctx *ctx, const struct lk_def *def,
                  struct lk_version *const *versions, uint32_t n, struct luma_arena *arena,
                  struct lk_versions_batch *out)
{
    uint32_t cols = def->coll.cols_count;
    arena->reset(arena);
    struct luma_vec *vecs = LUMA_NEW_ARRAY(arena, struct luma_vec, cols + 1);
    struct luma_vec **by_id = LUMA_NEW_ARRAY(arena, struct luma_vec *, cols + 1);
    struct luma_value *missing = LUMA_NEW_ARRAY(arena, struct luma_value, cols + 1);
    if (vecs == NULL || by_id == NULL || missing == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "flush: out of memory");
    for (uint32_t i = 0; i < cols; i++) {
        uint32_t at = def->positions[i];
        if (!luma_vec_init(&vecs[at], arena, def->coll.cols[at].type, n))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "flush: out of memory");
        by_id[i] = &vecs[at];
        missing[i] = def->coll.cols[at].missing;
    }
    for (uint32_t i = 0; i < n; i++) {
        out->tuples[i] = versions[i]->tuple;
        out->rowids[i] = versions[i]->rowid;
    }
    luma_rc rc =
        lk_tuple_decode(arena, out->tuples, 0, n, n, def->tuple_cols, cols, missing, false, by_id);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "flush: rows of collection %llu could not be decoded",
                         (unsigned long long)def->coll.id);
    memset(&out->batch, 0, sizeof(out->batch));
    out->batch.rows = out->batch.sel_rows = n;
    out->batch.cols_count = cols;
    out->batch.cols = vecs;
    out->batch.rowids = out->rowids;
    return LUMA_OK;
}

static luma_rc
segment_write(struct flush *f, struct lk_version *const *versions, uint32_t count,
              struct lk_seg **out_seg)
{
    struct lk_store *store = f->coll->store;
    struct lk_segment_writer *writer = NULL;
    struct lk_segment_info info;
    uint32_t rows = count - (count > 1 && LK_MUTANT(FLUSH_ROW_LOST));
    LUMA_TRY(lk_segment_write_begin(f->ctx, store->objects, store->formats, &f->view->def->coll,
                                    &writer));
    luma_rc rc = LUMA_OK;
    for (uint32_t at = 0; rc == LUMA_OK && at < rows; at += LUMA_BATCH_ROWS) {
        uint32_t n = LK_MIN(rows - at, (uint32_t)LUMA_BATCH_ROWS);
        for (uint32_t i = 0; i < n; i++)
            f->begins[i] = lk_stamp_resolve(&store->slots, &versions[at + i]->begin);
        rc = lk_versions_batch(f->ctx, f->view->def, versions + at, n, f->arena, &f->rows);
        if (rc == LUMA_OK)
            rc = lk_segment_write_append(f->ctx, writer, &f->rows.batch, f->rows.rowids, 0,
                                         f->begins, 0, NULL);
        if (rc == LUMA_OK && lk_sched_host.in_task())
            rc = lk_sched_host.yield(f->ctx);
    }
    if (rc != LUMA_OK) {
        lk_segment_write_abort(writer);
        return rc;
    }
    LUMA_TRY(lk_segment_write_end(f->ctx, writer, &info));
    rc = lk_seg_create(f->ctx, store, info.object_id, out_seg);
    if (rc != LUMA_OK) {
        lk_object_remove(store->objects, LK_OBJECT_SEGMENT, info.object_id);
        return rc;
    }
    for (uint32_t i = 0; i < count; i++) {
        versions[i]->seg = *out_seg;
        versions[i]->seg_row = i;
    }
    lk_stat_add(store->stats.segments_written, 1);
    lk_stat_add(store->stats.segment_bytes_written, (int64_t)info.bytes);
    return LUMA_OK;
}

luma_rc
lk_flush_versions(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_view *view,
                  struct lk_versions *versions, struct lk_seg ***segs, uint32_t *segs_count)
{
    struct flush *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "flush: out of memory");
    f->ctx = ctx;
    f->coll = coll;
    f->view = view;
    f->arena = lk_arena_create(coll->store->budget, 1u << 16);
    luma_rc rc = f->arena == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "flush: out of memory") : LUMA_OK;
    for (uint32_t at = 0; rc == LUMA_OK && at < versions->count; at += LK_SEGMENT_ROWS_MAX) {
        uint32_t n = LK_MIN(versions->count - at, LK_SEGMENT_ROWS_MAX);
        struct lk_seg **grown = realloc(*segs, (*segs_count + 1) * sizeof(**segs));
        if (grown == NULL) {
            rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "flush: out of memory");
            break;
        }
        *segs = grown;
        rc = segment_write(f, versions->items + at, n, &grown[*segs_count]);
        if (rc == LUMA_OK)
            ++*segs_count;
    }
    lk_arena_destroy(f->arena);
    free(f);
    return rc;
}
