/*
 * txn/parts.c - what collections consist of, and where it lies.
 */
#include <stdlib.h>

#include "txn/coll.h"

/* Cached bytes of an object. */
struct cached {
    uint64_t object_id;
    uint64_t bytes;
};

struct parts {
    struct cached *cached; /* ascending object ids */
    size_t cached_count, cached_room;
    bool failed; /* no memory for that list */
    const char *tier;
    bool (*fn)(void *arg, const struct luma_store_part *part);
    void *arg;
    bool go_on;
};

static bool
cached_add(void *arg, uint64_t object_id, size_t bytes)
{
    struct parts *p = arg;
    if (p->cached_count == p->cached_room) {
        size_t room = p->cached_room == 0 ? 256 : p->cached_room * 2;
        struct cached *cached = realloc(p->cached, room * sizeof(*cached));
        p->failed = cached == NULL;
        if (p->failed)
            return false;
        p->cached = cached;
        p->cached_room = room;
    }
    p->cached[p->cached_count++] = (struct cached){object_id, bytes};
    return true;
}

static int
by_object(const void *a, const void *b)
{
    const struct cached *ca = a, *cb = b;
    return (ca->object_id > cb->object_id) - (ca->object_id < cb->object_id);
}

/* One entry an object. */
static void
cached_sum(struct parts *p)
{
    size_t n = 0;
    if (p->cached_count > 1)
        qsort(p->cached, p->cached_count, sizeof(p->cached[0]), by_object);
    for (size_t i = 0; i < p->cached_count; i++) {
        if (n > 0 && p->cached[n - 1].object_id == p->cached[i].object_id)
            p->cached[n - 1].bytes += p->cached[i].bytes;
        else
            p->cached[n++] = p->cached[i];
    }
    p->cached_count = n;
}

static uint64_t
cached_of(const struct parts *p, uint64_t object_id)
{
    struct cached key = {.object_id = object_id};
    const struct cached *found =
        p->cached_count == 0 ? NULL
                             : bsearch(&key, p->cached, p->cached_count, sizeof(key), by_object);
    return found == NULL ? 0 : found->bytes;
}

static void
part_tell(struct parts *p, struct luma_store_part *part)
{
    bool object = part->object_id != 0;
    part->tier = p->tier;
    part->memory_bytes = object ? cached_of(p, part->object_id) : part->bytes;
    if (part->place == NULL)
        part->place = object ? "data" : "memory";
    p->go_on = p->go_on && p->fn(p->arg, part);
}

static void
index_parts(struct parts *p, uint64_t coll_id, struct lk_cidx *cidx)
{
    struct luma_store_part part = {.coll_id = coll_id, .index_id = cidx->index_def->id};
    part.kind = "index hot";
    part.rows = lk_index_hot_count(cidx->index);
    part.bytes = lk_index_hot_bytes(cidx->index);
    part_tell(p, &part);
    part.kind = "index run";
    for (uint32_t i = 0; p->go_on; i++) {
        lk_mutex_lock(&cidx->runs_lock);
        bool more = i < cidx->runs_count;
        struct lk_run_info info = more ? cidx->runs[i].info : (struct lk_run_info){0};
        lk_mutex_unlock(&cidx->runs_lock);
        if (!more)
            break;
        part.object_id = info.object_id;
        part.rows = info.entries;
        part.bytes = info.bytes;
        part.level = info.level;
        part.damage = atomic_load(&cidx->damaged) ? "the index waits to be rebuilt" : NULL;
        part_tell(p, &part);
    }
}

static luma_rc
coll_parts(void *arg, struct lk_coll *coll)
{
    struct parts *p = arg;
    struct lk_tier_policy policy;
    struct lk_view *view = lk_coll_view(coll, NULL);
    lk_coll_tier(coll, &policy);
    p->tier = lk_tier_name(policy.tier);
    for (uint32_t i = 0; view != NULL && i < view->hots_count; i++) {
        struct luma_store_part part = {.coll_id = coll->id, .kind = "hot"};
        part.rows = atomic_load(&view->hots[i]->versions);
        part.bytes = atomic_load(&view->hots[i]->bytes);
        part.damage = coll->rows_broken;
        part_tell(p, &part);
    }
    for (uint32_t i = 0; view != NULL && i < view->segs_count; i++) {
        struct lk_seg *seg = view->segs[i];
        struct luma_store_part part = {.coll_id = coll->id, .kind = "segment"};
        part.object_id = seg->info.object_id;
        part.rows = seg->info.rows;
        part.deleted = lk_seg_deleted(seg);
        part.bytes = seg->info.bytes;
        part.level = seg->info.level;
        part.damage = seg->broken;
        part.place =
            lk_objects_place_of(coll->store->objects, LK_OBJECT_SEGMENT, seg->info.object_id) == 0
                ? "data"
                : "cold";
        part.kept_bytes = atomic_load(&seg->kept_bytes);
        part.born_us = atomic_load(&seg->born_us);
        part_tell(p, &part);
    }
    for (uint32_t i = 0; view != NULL && i < view->idx_count; i++)
        index_parts(p, coll->id, view->idx[i]);
    lk_view_unref(view);
    return LUMA_OK;
}

luma_rc
lki_store_parts(struct luma_ctx *ctx, bool (*fn)(void *arg, const struct luma_store_part *part),
                void *arg)
{
    struct parts p = {.fn = fn, .arg = arg, .go_on = true};
    struct lk_store *store = lk_store_current();
    if (store == NULL)
        return LUMA_FAIL(ctx, LUMA_E_SHUTDOWN, "the store is closed");
    (void)lk_cache_each(store->cache, cached_add, &p);
    cached_sum(&p);
    luma_rc rc = p.failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory")
                          : lk_colls_each(store, coll_parts, &p);
    free(p.cached);
    return rc;
}
