/*
 * storage/object/places.c - segments in other folders than the data folder.
 *
 * A copy is made under another name and renamed when it is durable, so that a file with an object's
 * name is whole wherever it lies. The manifest then says where the object lies; two files of one
 * object have the same content.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/cache/cache.h"
#include "storage/mutant.h"
#include "storage/object/object_priv.h"

#define COPY_BYTES ((size_t)1 << 20)

luma_rc
lk_objects_place_set(struct luma_ctx *ctx, struct lk_objects *objects, uint32_t place,
                     const char *dir)
{
    LK_ASSERT(place > 0 && place < LK_PLACES_MAX && objects->dirs[place] == NULL);
    objects->dirs[place] = strdup(dir);
    return objects->dirs[place] == NULL
               ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open \"%s\"", dir)
               : LUMA_OK;
}

const char *
lk_objects_place(const struct lk_objects *objects, uint32_t place)
{
    return place < LK_PLACES_MAX ? objects->dirs[place] : NULL;
}

/* --- which object lies where --- */

/* Where the id is, or belongs. The lock is held. */
static size_t
lies_at(const struct lk_objects *objects, uint64_t id)
{
    size_t lo = 0, hi = objects->lies_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (objects->lies[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static const struct lki_lies *
lies_find(const struct lk_objects *objects, uint64_t id)
{
    size_t at = lies_at(objects, id);
    return at < objects->lies_count && objects->lies[at].id == id ? &objects->lies[at] : NULL;
}

uint32_t
lk_objects_place_of(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    if (kind != LK_OBJECT_SEGMENT)
        return 0;
    lk_mutex_lock(&objects->lock);
    const struct lki_lies *lies = lies_find(objects, id);
    uint32_t place = lies == NULL ? 0 : lies->place;
    lk_mutex_unlock(&objects->lock);
    return place;
}

/* Room for one more; the lock is held. */
static bool
lies_room(struct lk_objects *objects)
{
    if (objects->lies_count < objects->lies_room)
        return true;
    size_t room = objects->lies_room == 0 ? 64 : objects->lies_room * 2;
    struct lki_lies *lies = realloc(objects->lies, room * sizeof(*lies));
    if (lies == NULL)
        return false;
    objects->lies = lies;
    objects->lies_room = room;
    return true;
}

/* The lock is held, and there is room. */
static void
lies_put(struct lk_objects *objects, uint64_t id, uint32_t place, int64_t born_us)
{
    size_t at = lies_at(objects, id);
    bool there = at < objects->lies_count && objects->lies[at].id == id;
    struct lki_lies *lies = &objects->lies[at];
    if (place == 0 && there) {
        memmove(lies, lies + 1, (objects->lies_count - at - 1) * sizeof(*lies));
        objects->lies_count--;
    } else if (place != 0) {
        if (!there) {
            memmove(lies + 1, lies, (objects->lies_count - at) * sizeof(*lies));
            objects->lies_count++;
        }
        *lies = (struct lki_lies){id, place, born_us};
    }
}

luma_rc
lk_objects_lies(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t id, uint32_t place,
                int64_t born_us)
{
    lk_mutex_lock(&objects->lock);
    bool ok = lies_room(objects);
    if (ok)
        lies_put(objects, id, place, born_us);
    lk_mutex_unlock(&objects->lock);
    return ok ? LUMA_OK : LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to find an object");
}

void
lk_objects_lies_forget(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    if (kind != LK_OBJECT_SEGMENT)
        return;
    lk_mutex_lock(&objects->lock);
    if (objects->lies_count > 0)
        lies_put(objects, id, 0, 0);
    lk_mutex_unlock(&objects->lock);
}

int64_t
lk_object_born_us(struct lk_objects *objects, uint64_t id)
{
    struct lk_io_stat stat = {0};
    lk_mutex_lock(&objects->lock);
    const struct lki_lies *lies = lies_find(objects, id);
    int64_t born_us = lies == NULL ? 0 : lies->born_us;
    lk_mutex_unlock(&objects->lock);
    if (born_us != 0)
        return born_us;
    char *path = lki_object_path(objects, 0, LK_OBJECT_SEGMENT, id);
    if (path == NULL || lk_io_stat(NULL, objects->io, path, &stat) != LUMA_OK)
        stat.modified_us = 0;
    free(path);
    return stat.modified_us;
}

/* --- moving --- */

/* A piece: written, or compared with what was written. What the disk misreads once would be in the
 * copy for ever. */
static luma_rc
piece(struct luma_ctx *ctx, struct luma_object_reader *reader, struct lk_file *file,
      uint8_t *buffer, size_t bytes, uint64_t at, bool compare)
{
    LUMA_TRY(lk_object_read(ctx, reader, buffer, bytes, at));
    if (!compare)
        return lk_io_write(ctx, file, buffer, bytes, at);
    LUMA_TRY(lk_io_read_exact(ctx, file, buffer + COPY_BYTES, bytes, at));
    return memcmp(buffer, buffer + COPY_BYTES, bytes) == 0
               ? LUMA_OK
               : LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: its copy differs", lk_object_name(reader));
}

static luma_rc
content_pass(struct luma_ctx *ctx, struct luma_object_reader *reader, struct lk_file *file,
             bool compare)
{
    uint8_t *buffer = malloc(2 * COPY_BYTES);
    if (buffer == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to copy an object");
    luma_rc rc = LUMA_OK;
    for (uint64_t at = 0; rc == LUMA_OK && at < reader->bytes;) {
        size_t n = (size_t)LK_MIN((uint64_t)COPY_BYTES, reader->bytes - at);
        rc = piece(ctx, reader, file, buffer, n, at, compare);
        if (rc == LUMA_OK && lk_sched_host.in_task())
            rc = lk_sched_host.yield(ctx);
        at += n;
    }
    free(buffer);
    return rc;
}

static luma_rc
content_copy(struct luma_ctx *ctx, struct luma_object_reader *reader, struct lk_file *to)
{
    luma_rc rc = LUMA_E_CORRUPT;
    for (int i = 0; i < 3 && rc == LUMA_E_CORRUPT; i++) {
        luma_error_reset(ctx->error);
        rc = content_pass(ctx, reader, to, false);
        if (rc == LUMA_OK)
            rc = content_pass(ctx, reader, to, true);
    }
    return rc == LUMA_OK && !LK_MUTANT(MOVE_UNSYNCED) ? lk_io_sync_full(ctx, to) : rc;
}

static luma_rc
copy_to(struct luma_ctx *ctx, struct lk_objects *objects, struct luma_object_reader *reader,
        const char *dir, const char *path)
{
    struct lk_file *file = NULL;
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to copy an object");
    luma_rc rc =
        lk_io_open(ctx, objects->io, part, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE, &file);
    if (rc == LUMA_OK)
        rc = content_copy(ctx, reader, file);
    lk_io_close(file);
    if (rc == LUMA_OK)
        rc = lk_io_rename(ctx, objects->io, part, path);
    if (rc == LUMA_OK && !LK_MUTANT(MOVE_NAMELESS))
        rc = lk_io_sync_dir(ctx, objects->io, dir);
    if (rc != LUMA_OK && lk_io_unlink(NULL, objects->io, part) != LUMA_OK)
        lk_log_warn("storage", "%s stays until the next start", part);
    free(part);
    return rc;
}

luma_rc
lk_object_copy(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t id, uint32_t place)
{
    struct luma_object_reader *reader = NULL;
    char *path = lki_object_path(objects, place, LK_OBJECT_SEGMENT, id);
    luma_rc rc = path == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to copy an object")
                              : lk_object_open(ctx, objects, LK_OBJECT_SEGMENT, id, &reader);
    if (rc == LUMA_OK)
        rc = copy_to(ctx, objects, reader, objects->dirs[place], path);
    lk_object_close(reader);
    free(path);
    return rc;
}

void
lk_object_copy_drop(struct lk_objects *objects, uint64_t id, uint32_t place)
{
    lki_object_unlink(objects, place, LK_OBJECT_SEGMENT, id);
}

void
lk_object_moved(struct lk_objects *objects, uint64_t id, uint32_t place, int64_t born_us)
{
    uint32_t old = lk_objects_place_of(objects, LK_OBJECT_SEGMENT, id);
    struct lki_object_file *file = NULL, *was = NULL;
    bool there =
        lki_object_file_open(NULL, objects, place, LK_OBJECT_SEGMENT, id, &file) == LUMA_OK;
    lk_mutex_lock(&objects->lock);
    bool ok = there && lies_room(objects);
    if (ok) {
        lies_put(objects, id, place, born_us);
        struct lki_object *object = *lki_object_find(objects, LK_OBJECT_SEGMENT, id);
        if (object != NULL) {
            was = object->file;
            object->file = LUMA_TAKE(file);
        }
    }
    lk_mutex_unlock(&objects->lock);
    lki_object_file_unref(was);
    lki_object_file_unref(file);
    if (ok)
        lki_object_unlink(objects, old, LK_OBJECT_SEGMENT, id);
    else /* both files stay; the next start takes one of them */
        lk_log_warn("storage", "segment %016llx has been copied and is read where it was",
                    (unsigned long long)id);
}

/* --- the start --- */

struct settle {
    struct lk_objects *objects;
    uint32_t place;
};

static luma_rc
settle_entry(void *arg, const char *name, bool is_dir)
{
    struct settle *settle = arg;
    struct lk_objects *objects = settle->objects;
    enum lk_object_kind kind;
    uint64_t id;
    size_t bytes = strlen(name);
    bool part = bytes > 5 && strcmp(name + bytes - 5, ".part") == 0;
    bool object = !is_dir && lki_object_parse(name, &kind, &id);
    if (is_dir || (!part && !object) ||
        (object && (settle->place == 0 || lk_objects_place_of(objects, kind, id) == settle->place)))
        return LUMA_OK;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", objects->dirs[settle->place], name) < 0)
        return LUMA_E_NOMEM;
    if (lk_io_unlink(NULL, objects->io, path) != LUMA_OK)
        lk_log_warn("storage", "cannot remove %s", path);
    free(path);
    return LUMA_OK;
}

luma_rc
lk_objects_settle(struct luma_ctx *ctx, struct lk_objects *objects)
{
    struct settle settle = {objects, 0};
    bool any = false;
    for (uint32_t i = 1; i < LK_PLACES_MAX; i++)
        any = any || objects->dirs[i] != NULL;
    luma_rc rc = LUMA_OK;
    for (; any && rc == LUMA_OK && settle.place < LK_PLACES_MAX; settle.place++) {
        const char *dir = objects->dirs[settle.place];
        if (dir != NULL && lk_io_exists(objects->io, dir))
            rc = lk_io_list(ctx, objects->io, dir, settle_entry, &settle);
    }
    return rc;
}
