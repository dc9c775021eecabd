/*
 * storage/redo.c - writing redo records, and applying them in recovery.
 */
#include "storage/redo.h"

#include <stdlib.h>

#include "storage/mutant.h"

bool
lk_redo_row(struct lk_bytes *out, enum lk_redo_op op, uint64_t coll_id, int64_t rowid,
            struct luma_slice tuple)
{
    return lk_bytes_u8(out, (uint8_t)op) && lk_bytes_varint(out, coll_id) &&
           lk_bytes_varint(out, (uint64_t)rowid) &&
           (op == LK_REDO_DELETE || lk_bytes_sized(out, tuple));
}

bool
lk_redo_deletes(struct lk_bytes *out, uint64_t coll_id, uint32_t high, const roaring_bitmap_t *low)
{
    size_t bytes = roaring_bitmap_portable_size_in_bytes(low);
    if (!lk_bytes_u8(out, LK_REDO_DELETES) || !lk_bytes_varint(out, coll_id) ||
        !lk_bytes_varint(out, high) || !lk_bytes_varint(out, bytes))
        return false;
    char *to = (char *)lk_bytes_extend(out, bytes);
    if (to != NULL)
        roaring_bitmap_portable_serialize(low, to);
    return to != NULL;
}

bool
lk_segment_info_write(struct lk_bytes *out, const struct lk_segment_info *info)
{
    return lk_bytes_u64(out, info->object_id) && lk_bytes_varint(out, info->coll_id) &&
           lk_bytes_varint(out, info->bytes) && lk_bytes_varint(out, info->rows) &&
           lk_bytes_varint(out, (uint64_t)info->rowid_min) &&
           lk_bytes_varint(out, (uint64_t)info->rowid_max) && lk_bytes_u64(out, info->commit_min) &&
           lk_bytes_u64(out, info->commit_max) && lk_bytes_varint(out, info->level);
}

void
lk_segment_info_read(struct lk_reader *r, struct lk_segment_info *out)
{
    out->object_id = lk_reader_u64(r);
    out->coll_id = lk_reader_varint(r);
    out->bytes = lk_reader_varint(r);
    out->rows = lk_reader_varint(r);
    out->rowid_min = (int64_t)lk_reader_varint(r);
    out->rowid_max = (int64_t)lk_reader_varint(r);
    out->commit_min = lk_reader_u64(r);
    out->commit_max = lk_reader_u64(r);
    out->level = (uint32_t)lk_reader_varint(r);
}

bool
lk_run_info_write(struct lk_bytes *out, const struct lk_run_info *info)
{
    return lk_bytes_u64(out, info->object_id) && lk_bytes_varint(out, info->index_id) &&
           lk_bytes_varint(out, info->bytes) && lk_bytes_varint(out, info->entries) &&
           lk_bytes_varint(out, info->level);
}

void
lk_run_info_read(struct lk_reader *r, struct lk_run_info *out)
{
    memset(out, 0, sizeof(*out));
    out->object_id = lk_reader_u64(r);
    out->index_id = lk_reader_varint(r);
    out->bytes = lk_reader_varint(r);
    out->entries = lk_reader_varint(r);
    out->level = (uint32_t)lk_reader_varint(r);
}

bool
lk_redo_segment(struct lk_bytes *out, const struct lk_segment_info *info)
{
    return lk_bytes_u8(out, LK_REDO_SEGMENT) && lk_bytes_varint(out, info->coll_id) &&
           lk_segment_info_write(out, info);
}

bool
lk_redo_run(struct lk_bytes *out, uint64_t coll_id, const struct lk_run_info *info)
{
    return lk_bytes_u8(out, LK_REDO_RUN) && lk_bytes_varint(out, coll_id) &&
           lk_run_info_write(out, info);
}

bool
lk_redo_sequence(struct lk_bytes *out, uint64_t seq_id, enum lk_sequence_state state,
                 int64_t position)
{
    return lk_bytes_u8(out, LK_REDO_SEQUENCE) && lk_bytes_varint(out, seq_id) &&
           lk_bytes_u8(out, (uint8_t)state) && lk_bytes_u64(out, (uint64_t)position);
}

bool
lk_redo_stamp_time(struct lk_bytes *out, int64_t time_us)
{
    return lk_bytes_u8(out, LK_REDO_TIME) && lk_bytes_u64(out, (uint64_t)time_us);
}

/* --- looking --- */

bool
lk_redo_walk(struct lk_reader *r, struct lk_redo_seen *out)
{
    struct lk_segment_info segment;
    struct lk_run_info run;
    memset(out, 0, sizeof(*out));
    if (r->failed || lk_reader_left(r) == 0)
        return false;
    out->op = lk_reader_u8(r);
    if (out->op == LK_REDO_TIME) {
        out->time_us = (int64_t)lk_reader_u64(r);
        return !r->failed;
    }
    out->coll_id = lk_reader_varint(r);
    switch ((enum lk_redo_op)out->op) {
    case LK_REDO_INSERT:
    case LK_REDO_UPDATE:
    case LK_REDO_DELETE:
        out->rowid = (int64_t)lk_reader_varint(r);
        if (out->op != LK_REDO_DELETE)
            (void)lk_reader_sized(r);
        break;
    case LK_REDO_DEFINE:
        (void)lk_reader_sized(r);
        break;
    case LK_REDO_SEGMENT:
        lk_segment_info_read(r, &segment);
        out->object_id = segment.object_id;
        out->bytes = segment.bytes;
        break;
    case LK_REDO_RUN:
        lk_run_info_read(r, &run);
        out->object_id = run.object_id;
        out->bytes = run.bytes;
        break;
    case LK_REDO_SEQUENCE:
        (void)lk_reader_u8(r);
        (void)lk_reader_u64(r);
        break;
    case LK_REDO_ROWIDS:
        (void)lk_reader_varint(r);
        break;
    case LK_REDO_DELETES:
        (void)lk_reader_varint(r);
        (void)lk_reader_sized(r);
        break;
    case LK_REDO_DROP:
    case LK_REDO_TRUNCATE:
        break;
    default:
        r->failed = true;
    }
    return !r->failed;
}

int64_t
lk_redo_time(struct luma_slice payload)
{
    struct lk_reader r = lk_reader(payload);
    struct lk_redo_seen seen;
    int64_t time_us = 0;
    while (lk_redo_walk(&r, &seen))
        time_us = seen.op == LK_REDO_TIME ? seen.time_us : time_us;
    return time_us;
}

/* --- applying --- */

struct apply {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_redo_rows *rows;
    uint64_t commit;
    const char *where;
    struct lk_reader r;
};

static luma_rc
apply_damaged(const struct apply *a, const char *what)
{
    return LUMA_FAIL(a->ctx, LUMA_E_CORRUPT, "%s: the record of commit %llu %s", a->where,
                     (unsigned long long)a->commit, what);
}

static luma_rc
coll_of(const struct apply *a, uint64_t coll_id, struct lk_coll **out_coll)
{
    *out_coll = lk_redo_rows_coll(a->rows, coll_id);
    if (*out_coll == NULL)
        return apply_damaged(a, "names a collection that was never defined");
    atomic_store(&(*out_coll)->touched, a->commit);
    return LUMA_OK;
}

static luma_rc
apply_row(struct apply *a, uint8_t op)
{
    uint64_t coll_id = lk_reader_varint(&a->r);
    int64_t rowid = (int64_t)lk_reader_varint(&a->r);
    struct luma_slice tuple = luma_slice(NULL, 0);
    if (op != LK_REDO_DELETE)
        tuple = lk_reader_sized(&a->r);
    if (a->r.failed)
        return apply_damaged(a, "cannot be read");
    struct lk_coll *coll = NULL;
    LUMA_TRY(coll_of(a, coll_id, &coll));
    return lk_redo_rows_add(a->ctx, a->rows, coll, a->commit, (enum lk_redo_op)op, rowid, tuple);
}

/* The rows of a bitmap that lie in one segment, gathered while ids ascend. */
struct ending {
    struct apply *a;
    struct lk_coll *coll;
    struct lk_view *view;
    roaring_bitmap_t **rows; /* per segment of the view; NULL: none yet */
};

static luma_rc
ending_row(struct ending *e, int64_t rowid)
{
    struct lk_place place;
    bool found = false;
    uint64_t other = 0;
    struct luma_ctx *ctx = e->a->ctx;
    luma_rc rc = lk_row_current(ctx, e->view, &e->coll->store->slots, rowid, 0, NULL, &place,
                                &found, &other);
    if (rc == LUMA_E_CORRUPT)
        return lk_redo_row_end(ctx, e->coll, e->view, e->a->commit, rowid); /* says so */
    LUMA_TRY(rc);
    if (!found)
        return LUMA_OK;
    if (place.hot != NULL)
        return lk_hot_end(place.hot, place.version, e->a->commit, 0);
    uint32_t at = 0;
    while (e->view->segs[at] != place.seg)
        at++;
    if (e->rows[at] == NULL)
        e->rows[at] = roaring_bitmap_create();
    if (e->rows[at] == NULL)
        return LUMA_E_NOMEM;
    roaring_bitmap_add(e->rows[at], place.row);
    return LUMA_OK;
}

static luma_rc
apply_ends(struct ending *e, uint32_t high, const roaring_bitmap_t *low)
{
    luma_rc rc = LUMA_OK;
    roaring_uint32_iterator_t it;
    roaring_init_iterator(low, &it);
    for (; rc == LUMA_OK && it.has_value; roaring_advance_uint32_iterator(&it))
        rc = ending_row(e, (int64_t)((uint64_t)high << 32 | it.current_value));
    for (uint32_t i = 0; i < e->view->segs_count; i++) {
        if (e->rows[i] == NULL)
            continue;
        if (rc == LUMA_OK)
            rc = lk_seg_claim(e->view->segs[i], e->a->commit, 0, 0, false, e->rows[i]);
        roaring_bitmap_free(e->rows[i]);
    }
    return rc == LUMA_E_NOMEM ? LUMA_FAIL(e->a->ctx, rc, "recovery: out of memory") : rc;
}

/* A large transaction's deletes. */
static luma_rc
apply_deletes(struct apply *a)
{
    struct ending e = {.a = a};
    uint64_t coll_id = lk_reader_varint(&a->r);
    uint64_t high = lk_reader_varint(&a->r);
    struct luma_slice bytes = lk_reader_sized(&a->r);
    roaring_bitmap_t *low =
        a->r.failed || high > UINT32_MAX
            ? NULL
            : roaring_bitmap_portable_deserialize_safe((const char *)bytes.data, bytes.bytes);
    if (low == NULL)
        return apply_damaged(a, "has a map of deletes that cannot be read");
    luma_rc rc = coll_of(a, coll_id, &e.coll);
    if (rc == LUMA_OK) {
        e.view = lk_coll_view(e.coll, NULL);
        if (e.view == NULL)
            rc = apply_damaged(a, "deletes rows of a dropped collection");
    }
    if (rc == LUMA_OK) {
        e.rows = calloc((size_t)e.view->segs_count + 1, sizeof(roaring_bitmap_t *));
        rc = e.rows == NULL ? LUMA_FAIL(a->ctx, LUMA_E_NOMEM, "recovery: out of memory")
                            : apply_ends(&e, (uint32_t)high, low);
    }
    free(e.rows);
    lk_view_unref(e.view);
    roaring_bitmap_free(low);
    return rc;
}

static luma_rc
apply_define(struct apply *a)
{
    uint64_t coll_id = lk_reader_varint(&a->r);
    struct luma_slice bytes = lk_reader_sized(&a->r);
    struct lk_def *def = NULL;
    luma_rc rc = a->r.failed ? LUMA_E_CORRUPT : lk_def_read(bytes, &def);
    if (rc == LUMA_E_NOMEM)
        return LUMA_FAIL(a->ctx, rc, "recovery: out of memory");
    if (rc != LUMA_OK || def->coll.id != coll_id) {
        lk_def_unref(def);
        return apply_damaged(a, "has a definition that cannot be read");
    }
    struct lk_coll *coll = NULL;
    struct lk_view *view = NULL, *old = NULL;
    rc = lk_coll_ensure(a->ctx, a->store, coll_id, &coll);
    if (rc == LUMA_OK) {
        old = lk_coll_view(coll, NULL);
        rc = lk_view_define(a->ctx, coll, def, old, false, NULL, 0, &view);
    }
    if (rc == LUMA_OK) {
        atomic_store(&coll->touched, a->commit);
        if (!lk_view_same_rows(old, view))
            atomic_store(&coll->history_from, a->commit);
        lk_coll_publish(coll, view);
    }
    lk_view_unref(old);
    lk_def_unref(def);
    return rc;
}

static luma_rc
apply_empty(struct apply *a, bool drop)
{
    struct lk_coll *coll = NULL;
    uint64_t coll_id = lk_reader_varint(&a->r);
    LUMA_TRY(coll_of(a, coll_id, &coll));
    struct lk_view *old = lk_coll_view(coll, NULL), *view = NULL;
    luma_rc rc = LUMA_OK;
    if (old == NULL)
        return apply_damaged(a, "empties a dropped collection");
    if (!drop)
        rc = lk_view_define(a->ctx, coll, old->def, old, true, NULL, 0, &view);
    if (rc == LUMA_OK) {
        atomic_store(&coll->history_from, a->commit);
        lk_coll_publish(coll, view);
    }
    lk_view_unref(old);
    return rc;
}

static luma_rc
object_named(struct apply *a, uint64_t object_id)
{
    struct lk_store *store = a->store;
    if (store->named_count == store->named_room) {
        size_t room = store->named_room == 0 ? 64 : store->named_room * 2;
        uint64_t *named = realloc(store->named, room * sizeof(*named));
        if (named == NULL)
            return LUMA_FAIL(a->ctx, LUMA_E_NOMEM, "recovery: out of memory");
        store->named = named;
        store->named_room = room;
    }
    store->named[store->named_count++] = object_id;
    lk_objects_id_floor(store->objects, object_id);
    return LUMA_OK;
}

luma_rc
lk_redo_segment_broken(struct luma_ctx *ctx, struct lk_store *store,
                       const struct lk_segment_info *info, struct lk_seg **out_seg)
{
    char why[sizeof(ctx->error->message)];
    memcpy(why, ctx->error->message, sizeof(why));
    lk_log_error("storage", "collection %llu: %s", (unsigned long long)info->coll_id, why);
    luma_error_reset(ctx->error);
    return lk_seg_create_broken(ctx, store, info, why, out_seg);
}

luma_rc
lk_redo_segment_open(struct luma_ctx *ctx, struct lk_store *store,
                     const struct lk_segment_info *info, struct lk_seg **out_seg)
{
    luma_rc rc = lk_seg_create(ctx, store, info->object_id, out_seg);
    if (rc != LUMA_E_CORRUPT && rc != LUMA_E_UNDEFINED)
        return rc;
    return lk_redo_segment_broken(ctx, store, info, out_seg);
}

static luma_rc
apply_segment(struct apply *a)
{
    struct lk_segment_info info;
    uint64_t coll_id = lk_reader_varint(&a->r);
    lk_segment_info_read(&a->r, &info);
    if (a->r.failed)
        return apply_damaged(a, "names a segment that cannot be read");
    struct lk_coll *coll = NULL;
    struct lk_seg *seg = NULL;
    LUMA_TRY(coll_of(a, coll_id, &coll));
    LUMA_TRY(object_named(a, info.object_id));
    LUMA_TRY(lk_redo_segment_open(a->ctx, a->store, &info, &seg));
    info.commit_min = info.commit_max = a->commit;
    seg->info = info;
    atomic_store(&seg->begin, a->commit);
    if (seg->segment != NULL)
        lk_archive_add(a->store, LK_OBJECT_SEGMENT, info.object_id);
    luma_rc rc = lk_coll_add_segs(a->ctx, coll, &seg, 1);
    if (info.rowid_max >= atomic_load(&coll->next_rowid))
        atomic_store(&coll->next_rowid, info.rowid_max + 1);
    lk_seg_unref(seg);
    return rc;
}

luma_rc
lk_redo_attach(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx,
               const struct lk_run_info *info)
{
    luma_rc rc = lk_index_attach(ctx, cidx->index, info);
    if (rc != LUMA_E_CORRUPT && rc != LUMA_E_UNDEFINED)
        return rc;
    lk_cidx_damage(coll, cidx, ctx->error->message);
    luma_error_reset(ctx->error);
    return LUMA_OK;
}

static luma_rc
apply_run(struct apply *a)
{
    struct lk_run_info info;
    uint64_t coll_id = lk_reader_varint(&a->r);
    lk_run_info_read(&a->r, &info);
    if (a->r.failed)
        return apply_damaged(a, "names an index run that cannot be read");
    struct lk_coll *coll = NULL;
    LUMA_TRY(coll_of(a, coll_id, &coll));
    LUMA_TRY(object_named(a, info.object_id));
    struct lk_view *view = lk_coll_view(coll, NULL);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, info.index_id);
    luma_rc rc = LUMA_OK;
    if (cidx == NULL)
        rc = apply_damaged(a, "names a run of an index that does not exist");
    if (rc == LUMA_OK)
        rc = lk_redo_attach(a->ctx, coll, cidx, &info);
    if (rc == LUMA_OK)
        rc = lk_cidx_run_add(cidx, &info, a->commit);
    if (rc == LUMA_OK && !atomic_load(&cidx->damaged))
        lk_archive_add(a->store, LK_OBJECT_RUN, info.object_id);
    lk_view_unref(view);
    return rc;
}

static luma_rc
apply_sequence(struct apply *a)
{
    uint64_t seq_id = lk_reader_varint(&a->r);
    uint8_t state = lk_reader_u8(&a->r);
    int64_t position = (int64_t)lk_reader_u64(&a->r);
    if (a->r.failed)
        return apply_damaged(a, "has a sequence that cannot be read");
    struct lk_sequence *seq = lk_core_sequence(a->store, seq_id, true);
    if (seq == NULL)
        return LUMA_FAIL(a->ctx, LUMA_E_NOMEM, "recovery: out of memory");
    seq->gone = state == LK_SEQUENCE_GONE;
    seq->has_last = !seq->gone;
    seq->uncalled = seq->logged_uncalled = state == LK_SEQUENCE_UNCALLED;
    seq->last = seq->logged = position;
    seq->ahead = 0;
    seq->commit = a->commit;
    return LUMA_OK;
}

/* What is not about one row: rows that were gathered before come first. */
static luma_rc
apply_other(struct apply *a, uint8_t op)
{
    LUMA_TRY(lk_redo_rows_settle(a->ctx, a->rows));
    switch (op) {
    case LK_REDO_DELETES:
        return apply_deletes(a);
    case LK_REDO_DEFINE:
        return apply_define(a);
    case LK_REDO_DROP:
    case LK_REDO_TRUNCATE:
        return apply_empty(a, op == LK_REDO_DROP);
    case LK_REDO_SEGMENT:
        return apply_segment(a);
    case LK_REDO_RUN:
        return apply_run(a);
    default:
        return apply_damaged(a, "has an operation this program does not know");
    }
}

luma_rc
lk_redo_apply(struct luma_ctx *ctx, struct lk_store *store, struct lk_redo_rows *rows,
              uint64_t commit, struct luma_slice payload, const char *where)
{
    struct apply a = {ctx, store, rows, commit, where, lk_reader(payload)};
    while (lk_reader_left(&a.r) > 0) {
        uint8_t op = lk_reader_u8(&a.r);
        switch (op) {
        case LK_REDO_INSERT:
        case LK_REDO_UPDATE:
        case LK_REDO_DELETE:
            LUMA_TRY(apply_row(&a, op));
            if (LK_MUTANT(REDO_HALF))
                return LUMA_OK;
            break;
        case LK_REDO_SEQUENCE:
            LUMA_TRY(apply_sequence(&a));
            break;
        case LK_REDO_TIME:
            (void)lk_reader_u64(&a.r);
            break;
        default:
            LUMA_TRY(apply_other(&a, op));
        }
    }
    return LUMA_OK;
}
