/*
 * storage/check.c - `lumadb check`: everything there is, read and compared.
 */
#include <stdio.h>

#include "storage/core.h"

struct check {
    struct luma_ctx *ctx;
    struct lk_store *store;
    void (*progress)(void *arg, const char *line);
    void *arg;
    struct luma_arena *arena;
    uint64_t segments, rows, entries, indexes;
};

static void
say(struct check *c, const char *line)
{
    if (c->progress != NULL)
        c->progress(c->arg, line);
}

struct present {
    struct check *c;
    struct lk_view *view;
    struct lk_cidx *cidx;
    struct lk_bytes key;
    bool found;
    int64_t rowid;
};

static void
entry_found(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    struct present *p = arg;
    p->found = p->found || rowid == p->rowid;
}

/* Every index has an entry for the row. */
static luma_rc
row_indexed(struct check *c, struct lk_view *view, const struct lk_place *place, int64_t rowid)
{
    for (uint32_t i = 0; i < view->idx_count; i++) {
        struct present p = {.c = c, .view = view, .cidx = view->idx[i], .rowid = rowid};
        bool null = false;
        lk_bytes_init(&p.key, NULL);
        luma_rc rc = lk_key_place(c->ctx, &p.key, view, p.cidx, place, c->arena, &null);
        struct luma_slice key = lk_bytes_view(&p.key);
        if (rc == LUMA_OK)
            rc = lk_index_find(c->ctx, p.cidx->index, &key, 1, entry_found, &p);
        lk_bytes_fini(&p.key);
        LUMA_TRY(rc);
        c->entries++;
        if (!p.found)
            return LUMA_FAIL(c->ctx, LUMA_E_CORRUPT,
                             "collection %llu: row %lld is missing in index %llu",
                             (unsigned long long)view->def->coll.id, (long long)rowid,
                             (unsigned long long)p.cidx->index_def->id);
    }
    return LUMA_OK;
}

static luma_rc
segment_check(struct check *c, struct lk_view *view, struct lk_seg *seg)
{
    char line[128];
    snprintf(line, sizeof(line), "segment %016llx: %llu rows",
             (unsigned long long)seg->info.object_id, (unsigned long long)seg->info.rows);
    say(c, line);
    LUMA_TRY(lk_seg_usable(c->ctx, seg));
    LUMA_TRY(lk_segment_verify(c->ctx, seg->segment, NULL, NULL));
    c->segments++;
    int64_t at = seg->info.rowid_min;
    uint64_t found = 0;
    for (; view->idx_count > 0 && at <= seg->info.rowid_max; at++) {
        int64_t row = -1;
        uint32_t command = 0;
        LUMA_TRY(lk_segment_find(c->ctx, seg->segment, at, &row));
        if (row < 0)
            continue;
        found++;
        c->arena->reset(c->arena);
        struct lk_place place = {.seg = seg, .row = (uint32_t)row};
        if (lk_seg_end_of(seg, &c->store->slots, (uint32_t)row, &command) == LK_STAMP_NONE)
            LUMA_TRY(row_indexed(c, view, &place, at));
    }
    c->rows += found;
    if (view->idx_count > 0 && found != seg->info.rows)
        return LUMA_FAIL(c->ctx, LUMA_E_CORRUPT, "segment %016llx has %llu rows, not %llu",
                         (unsigned long long)seg->info.object_id, (unsigned long long)found,
                         (unsigned long long)seg->info.rows);
    return LUMA_OK;
}

static luma_rc
hot_check(struct check *c, struct lk_view *view, struct lk_hot *hot)
{
    struct lk_snapshot snap = {.slots = &c->store->slots, .commit = LK_COMMIT_NEWEST};
    struct lk_versions list = {NULL, 0, 0};
    luma_rc rc = LUMA_OK;
    for (uint32_t s = 0; rc == LUMA_OK && s < LK_HOT_SHARDS; s++) {
        list.count = 0;
        rc = lk_hot_collect(hot, s, &snap, view->gen, &list);
        for (uint32_t i = 0; rc == LUMA_OK && i < list.count; i++) {
            struct lk_place place = {.hot = hot, .version = list.items[i]};
            c->rows++;
            c->arena->reset(c->arena);
            rc = row_indexed(c, view, &place, list.items[i]->rowid);
        }
    }
    lk_versions_fini(&list);
    return rc;
}

static luma_rc
coll_check(void *arg, struct lk_coll *coll)
{
    struct check *c = arg;
    struct lk_view *view = lk_coll_view(coll, NULL);
    luma_rc rc = LUMA_OK;
    char line[96];
    if (view == NULL)
        return LUMA_OK;
    snprintf(line, sizeof(line), "collection %llu", (unsigned long long)coll->id);
    say(c, line);
    for (uint32_t i = 0; rc == LUMA_OK && i < view->idx_count; i++) {
        rc = lk_index_verify(c->ctx, view->idx[i]->index);
        c->indexes++;
    }
    for (uint32_t i = 0; rc == LUMA_OK && i < view->segs_count; i++)
        rc = segment_check(c, view, view->segs[i]);
    for (uint32_t i = 0; rc == LUMA_OK && i < view->hots_count; i++)
        rc = hot_check(c, view, view->hots[i]);
    lk_view_unref(view);
    return rc;
}

luma_rc
lk_store_check(struct luma_ctx *ctx, const struct lk_store_conf *conf,
               void (*progress)(void *arg, const char *line), void *arg)
{
    struct check c = {.ctx = ctx, .progress = progress, .arg = arg};
    LUMA_TRY(lk_core_open(ctx, conf, true, &c.store));
    c.arena = lk_arena_create(c.store->budget, 0);
    luma_rc rc = c.arena == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "check: out of memory")
                                 : lk_colls_each(c.store, coll_check, &c);
    if (rc == LUMA_OK) {
        char line[160];
        snprintf(line, sizeof(line),
                 "%llu rows, %llu segments, %llu indexes, %llu index entries looked up: sound",
                 (unsigned long long)c.rows, (unsigned long long)c.segments,
                 (unsigned long long)c.indexes, (unsigned long long)c.entries);
        say(&c, line);
    }
    lk_arena_destroy(c.arena);
    lk_core_close(c.store);
    return rc;
}
