/*
 * storage/past.c - versions that ended while they were in memory, for a history that outlives the
 * process.
 *
 * A checkpoint writes those that ended since the one before it, each of them once: whatever ended
 * earlier is in an older section, whatever ended in a segment is in the segment. So the sections of
 * a collection are kept until the newest end in them has left the window. A section holds row id,
 * begin, commits from begin to end, sized tuple of each.
 */
#include "storage/checkpoint.h"
#include "storage/mutant.h"
#include "storage/redo.h"

struct past {
    const struct lk_slots *slots;
    uint64_t from, to; /* ended after `from`, up to `to` */
    struct lk_bytes bytes;
    uint64_t count;
    bool failed;
};

/* Under the shard's lock. */
static void
version_past(void *arg, struct lk_version *v)
{
    struct past *p = arg;
    if (p->failed || atomic_load_explicit(&v->flushed, memory_order_relaxed) != 0)
        return;
    uint64_t begin = lk_stamp_resolve(p->slots, &v->begin);
    uint64_t end = lk_stamp_resolve(p->slots, &v->end);
    if (end <= p->from || end > p->to || begin >= end)
        return;
    p->count++;
    p->failed = !lk_bytes_varint(&p->bytes, (uint64_t)v->rowid) ||
                !lk_bytes_varint(&p->bytes, begin) || !lk_bytes_varint(&p->bytes, end - begin) ||
                !lk_bytes_sized(&p->bytes, luma_slice(v->tuple, v->tuple_bytes));
}

luma_rc
lk_past_pack(struct luma_ctx *ctx, struct lk_coll *coll, const struct lk_view *view,
             struct lk_pack_writer *pack, uint64_t floor, uint64_t to,
             struct lk_manifest_edit *edit)
{
    struct past p = {.slots = &coll->store->slots, .to = to};
    struct lk_manifest_key key = {.kind = LK_MANIFEST_PAST, .a = coll->id, .b = to};
    p.from = LK_MAX(floor, coll->covered);
    lk_bytes_init(&p.bytes, NULL);
    for (uint32_t i = 0; i < view->hots_count; i++)
        for (uint32_t s = 0; s < LK_HOT_SHARDS && !LK_MUTANT(PAST_LOST); s++)
            lk_hot_each(view->hots[i], s, version_past, &p);
    luma_rc rc = p.failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "checkpoint: out of memory") : LUMA_OK;
    if (rc == LUMA_OK && p.count > 0)
        rc = lk_pack_name(ctx, coll->store, pack, lk_bytes_view(&p.bytes), p.count, &key, edit);
    lk_bytes_fini(&p.bytes);
    return rc;
}

struct drop {
    uint64_t from;
    struct lk_manifest_edit *edit;
};

static luma_rc
section_drop(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    const struct drop *d = arg;
    (void)value;
    if (key->b <= d->from)
        lk_manifest_remove(d->edit, key->kind, key->a, key->b);
    return LUMA_OK;
}

luma_rc
lk_past_drop(const struct lk_manifest *manifest, uint64_t coll_id, uint64_t from,
             struct lk_manifest_edit *edit)
{
    struct drop d = {from, edit};
    return lk_manifest_each(manifest, LK_MANIFEST_PAST, coll_id, section_drop, &d);
}

/* --- recovery --- */

static luma_rc
section_apply(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll,
              const struct lk_def *def, struct luma_slice bytes, uint64_t count)
{
    uint64_t floor = lk_history_floor(coll->store);
    struct lk_reader r = lk_reader(bytes);
    for (uint64_t i = 0; i < count; i++) {
        int64_t rowid = (int64_t)lk_reader_varint(&r);
        uint64_t begin = lk_reader_varint(&r), end = begin + lk_reader_varint(&r);
        struct luma_slice tuple = lk_reader_sized(&r);
        if (r.failed || begin >= end || end > coll->store->commit ||
            lk_tuple_check(tuple, def->tuple_cols, def->coll.cols_count) != LUMA_OK)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                             "earlier versions of rows of collection %llu cannot be read",
                             (unsigned long long)coll->id);
        if (end > floor)
            LUMA_TRY(lk_redo_rows_ended(ctx, rows, coll, begin, end, rowid, tuple));
    }
    return LUMA_OK;
}

struct load {
    struct luma_ctx *ctx;
    struct lk_redo_rows *rows;
    struct lk_coll *coll;
    const struct lk_def *def;
};

static luma_rc
section_load(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct load *load = arg;
    struct lk_coll *coll = load->coll;
    struct lk_pack_place place;
    struct lk_bytes bytes;
    if (key->b <= LK_MAX(lk_history_floor(coll->store), atomic_load(&coll->history_from)))
        return LUMA_OK;
    if (!lk_pack_place_read(value, &place))
        return LUMA_FAIL(load->ctx, LUMA_E_CORRUPT,
                         "the manifest's entry for the past of collection %llu cannot be read",
                         (unsigned long long)coll->id);
    lk_bytes_init(&bytes, NULL);
    luma_rc rc = lk_pack_read(load->ctx, coll->store, &place, &bytes);
    if (rc == LUMA_OK)
        rc = section_apply(load->ctx, load->rows, coll, load->def, lk_bytes_view(&bytes),
                           place.count);
    lk_bytes_fini(&bytes);
    return rc;
}

luma_rc
lk_past_load(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll,
             const struct lk_def *def)
{
    struct load load = {ctx, rows, coll, def};
    return lk_manifest_each(coll->store->manifest, LK_MANIFEST_PAST, coll->id, section_load, &load);
}
