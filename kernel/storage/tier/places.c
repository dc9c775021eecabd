/*
 * storage/tier/places.c - folders for old segments: what the manifest knows of them, and moving a
 * segment there and back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/core.h"
#include "storage/mutant.h"

#define LOCK_NAME "lock"

/* --- the start --- */

struct open_call {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_manifest_edit *gone; /* a restored folder has all it needs in itself */
};

static luma_rc
place_read(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct open_call *call = arg;
    struct lk_store *store = call->store;
    if (key->b == 0 || key->b >= LK_PLACES_MAX)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "%s: the manifest names place %llu", store->dir,
                         (unsigned long long)key->b);
    if (call->gone != NULL) {
        lk_manifest_remove(call->gone, LK_MANIFEST_PLACE, key->a, key->b);
        return LUMA_OK;
    }
    char *dir = malloc(value.bytes + 1);
    if (dir != NULL) {
        memcpy(dir, value.data, value.bytes);
        dir[value.bytes] = '\0';
    }
    luma_rc rc = dir == NULL
                     ? LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "store: out of memory")
                     : lk_objects_place_set(call->ctx, store->objects, (uint32_t)key->b, dir);
    free(dir);
    return rc;
}

/* A file in the data folder counts more than what the manifest says: it is whole, and may be all
 * there is, after a restore. */
static luma_rc
lies_read(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct open_call *call = arg;
    struct lk_store *store = call->store;
    struct lk_reader r = lk_reader(value);
    uint64_t place = lk_reader_varint(&r);
    int64_t born_us = (int64_t)lk_reader_u64(&r);
    if (call->gone != NULL) {
        lk_manifest_remove(call->gone, LK_MANIFEST_LIES, key->a, key->b);
        return LUMA_OK;
    }
    if (r.failed || place == 0 || place >= LK_PLACES_MAX ||
        lk_objects_place(store->objects, (uint32_t)place) == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT,
                         "%s: the manifest does not say where segment %016llx lies", store->dir,
                         (unsigned long long)key->a);
    char *path = NULL;
    if (asprintf(&path, "%s/%016llx.%s", store->dir, (unsigned long long)key->a,
                 lk_object_kind_name(LK_OBJECT_SEGMENT)) < 0)
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "store: out of memory");
    bool here = false;
    luma_rc rc = lk_io_find(call->ctx, store->conf.io, path, &here);
    free(path);
    if (rc != LUMA_OK || here)
        return rc;
    return lk_objects_lies(call->ctx, store->objects, key->a, (uint32_t)place, born_us);
}

static luma_rc
place_lock(struct luma_ctx *ctx, struct lk_store *store, uint32_t place)
{
    const char *dir = lk_objects_place(store->objects, place);
    char *path = NULL;
    if (dir == NULL || !lk_io_exists(store->conf.io, dir))
        return LUMA_OK;
    if (asprintf(&path, "%s/" LOCK_NAME, dir) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    luma_rc rc = lk_io_lock(ctx, store->conf.io, path, &store->place_locks[place]);
    free(path);
    if (rc == LUMA_E_BUSY)
        return LUMA_FAIL(ctx, LUMA_E_BUSY,
                         "\"%s\" is used by another data folder, of which this one is a copy", dir);
    return rc;
}

/* The place in conf.cold_dir: one there is, or a new folder with a name that no other store has. */
static luma_rc
cold_make(struct luma_ctx *ctx, struct lk_store *store)
{
    const char *cold = store->conf.cold_dir;
    size_t bytes = strlen(cold);
    uint32_t place = 0;
    for (uint32_t i = LK_PLACES_MAX - 1; i > 0; i--) {
        const char *dir = lk_objects_place(store->objects, i);
        if (dir != NULL && strncmp(dir, cold, bytes) == 0 && dir[bytes] == '/') {
            store->cold_place = i;
            return LUMA_OK;
        }
        place = dir == NULL ? i : place;
    }
    if (place == 0)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "storage.cold_dir: there are %d places already",
                         LK_PLACES_MAX - 1);
    uint64_t name;
    char *dir = NULL;
    lk_io_random(store->conf.io, &name, sizeof(name));
    if (asprintf(&dir, "%s/lumadb-%016llx", cold, (unsigned long long)name) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    struct lk_manifest_edit edit;
    lk_manifest_edit_init(&edit);
    lk_manifest_put(&edit, LK_MANIFEST_PLACE, 0, place, luma_slice_text(dir));
    luma_rc rc = lk_io_mkdir_all(ctx, store->conf.io, dir);
    if (rc == LUMA_OK)
        rc = lk_manifest_commit(ctx, store->manifest, &edit);
    if (rc == LUMA_OK)
        rc = lk_objects_place_set(ctx, store->objects, place, dir);
    if (rc == LUMA_OK)
        store->cold_place = place;
    lk_manifest_edit_fini(&edit);
    free(dir);
    return rc;
}

luma_rc
lk_places_open(struct luma_ctx *ctx, struct lk_store *store, bool read_only)
{
    struct lk_manifest_edit gone;
    bool restoring = store->conf.restoring && !read_only;
    struct open_call call = {ctx, store, restoring ? &gone : NULL};
    lk_manifest_edit_init(&gone);
    luma_rc rc = lk_manifest_each(store->manifest, LK_MANIFEST_PLACE, 0, place_read, &call);
    if (rc == LUMA_OK)
        rc = lk_manifest_each(store->manifest, LK_MANIFEST_LIES, 0, lies_read, &call);
    if (rc == LUMA_OK && gone.changes > 0)
        rc = lk_manifest_commit(ctx, store->manifest, &gone);
    lk_manifest_edit_fini(&gone);
    if (rc == LUMA_OK && !read_only && !restoring && store->conf.cold_dir != NULL)
        rc = cold_make(ctx, store);
    for (uint32_t i = 1; rc == LUMA_OK && !read_only && i < LK_PLACES_MAX; i++)
        rc = place_lock(ctx, store, i);
    return rc;
}

void
lk_places_close(struct lk_store *store)
{
    for (uint32_t i = 1; i < LK_PLACES_MAX; i++)
        lk_io_close(store->place_locks[i]);
}

/* --- moving --- */

static luma_rc
move_publish(struct luma_ctx *ctx, struct lk_store *store, struct lk_seg *seg, uint32_t place,
             bool *out_named)
{
    uint64_t id = seg->info.object_id;
    struct lk_manifest_key key = {.kind = LK_MANIFEST_SEGMENT, .a = seg->info.coll_id, .b = id};
    *out_named = lk_manifest_get(store->manifest, &key).data != NULL;
    if (!*out_named)
        return LUMA_OK;
    struct lk_manifest_edit edit;
    struct lk_bytes value;
    lk_manifest_edit_init(&edit);
    lk_bytes_init(&value, NULL);
    luma_rc rc = LUMA_OK;
    if (place == 0)
        lk_manifest_remove(&edit, LK_MANIFEST_LIES, id, 0);
    else if (lk_bytes_varint(&value, place) &&
             lk_bytes_u64(&value, (uint64_t)atomic_load(&seg->born_us)))
        lk_manifest_put(&edit, LK_MANIFEST_LIES, id, 0, lk_bytes_view(&value));
    else
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "tiers: out of memory");
    if (rc == LUMA_OK && !LK_MUTANT(MOVE_UNNAMED))
        rc = lk_manifest_commit(ctx, store->manifest, &edit);
    lk_manifest_edit_fini(&edit);
    lk_bytes_fini(&value);
    return rc;
}

luma_rc
lk_seg_move(struct luma_ctx *ctx, struct lk_store *store, struct lk_seg *seg, uint32_t place)
{
    LK_IO_PHASE("move");
    uint64_t id = seg->info.object_id;
    struct lk_manifest_key key = {.kind = LK_MANIFEST_SEGMENT, .a = seg->info.coll_id, .b = id};
    lk_wait_lock(store->conf.sched, &store->work_lock);
    bool named = lk_manifest_get(store->manifest, &key).data != NULL;
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    if (!named)
        return LUMA_OK; /* the log names it yet, or nothing does any more */
    LUMA_TRY(lk_object_copy(ctx, store->objects, id, place));
    lk_wait_lock(store->conf.sched, &store->work_lock);
    luma_rc rc = move_publish(ctx, store, seg, place, &named);
    /* After an error the manifest may say either: both files stay until the next start. */
    if (rc == LUMA_OK && named)
        lk_object_moved(store->objects, id, place, atomic_load(&seg->born_us));
    else if (rc == LUMA_OK)
        lk_object_copy_drop(store->objects, id, place);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    return rc;
}
