/*
 * storage/object/object.c - immutable objects as files: written through a buffer from front to
 * back, made durable by one sync of the file and one of the folder, read by pread into the cache.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/cache/cache.h"
#include "storage/mutant.h"
#include "storage/object/object_priv.h"

#define BUFFER_BYTES ((size_t)256 << 10)

static const char *const kind_names[] = {NULL, "segment", "run", "deletes", "spill"};

struct writer {
    struct lk_object_writer pub; /* first */
    struct lk_objects *objects;
    struct lk_file *file;
    enum lk_object_kind kind;
    uint64_t written; /* bytes in the file */
    size_t buffered;
    luma_rc failed; /* of an append: finish gives it again */
    uint8_t buffer[];
};

void
lki_object_name(enum lk_object_kind kind, uint64_t id, char *out)
{
    snprintf(out, LKI_OBJECT_NAME_BYTES, "%016llx.%s", (unsigned long long)id, kind_names[kind]);
}

char *
lki_object_path(const struct lk_objects *objects, uint32_t place, enum lk_object_kind kind,
                uint64_t id)
{
    char name[LKI_OBJECT_NAME_BYTES];
    const char *dir = objects->dirs[place];
    lki_object_name(kind, id, name);
    size_t bytes = strlen(dir) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/%s", dir, name);
    return path;
}

static char *
object_path(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    return lki_object_path(objects, lk_objects_place_of(objects, kind, id), kind, id);
}

bool
lki_object_parse(const char *name, enum lk_object_kind *out_kind, uint64_t *out_id)
{
    uint64_t id = 0;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        id = id << 4 | (uint64_t)digit;
    }
    if (name[16] != '.')
        return false;
    for (int k = LK_OBJECT_SEGMENT; k <= LK_OBJECT_SPILL; k++) {
        if (strcmp(name + 17, kind_names[k]) == 0) {
            *out_kind = (enum lk_object_kind)k;
            *out_id = id;
            return true;
        }
    }
    return false;
}

/* --- the folder --- */

luma_rc
lk_objects_open(struct luma_ctx *ctx, struct lk_io *io, const char *dir, struct lk_cache *cache,
                struct lk_objects **out_objects)
{
    LUMA_TRY(lk_io_mkdir_all(ctx, io, dir));
    struct lk_objects *objects = calloc(1, sizeof(*objects));
    if (objects == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open \"%s\"", dir);
    lk_mutex_init(&objects->lock, LK_LOCK_OBJECTS);
    objects->io = io;
    objects->cache = cache;
    objects->bytes_written = lk_stat_open(
        LUMA_STAT_COUNTER, "lumadb_store_object_bytes_written", "", "bytes",
        "Bytes of segments, index runs and packs written: by checkpoints, loads and merges. With "
        "lumadb_wal_bytes it tells the write amplification.");
    objects->dirs[0] = strdup(dir);
    if (objects->dirs[0] == NULL) {
        lk_objects_close(objects);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open \"%s\"", dir);
    }
    *out_objects = objects;
    return LUMA_OK;
}

void
lk_objects_close(struct lk_objects *objects)
{
    if (objects == NULL)
        return;
    for (int i = 0; i < LKI_OBJECT_BUCKETS; i++)
        LK_ASSERT(objects->buckets[i] == NULL);
    lk_mutex_fini(&objects->lock);
    for (uint32_t i = 0; i < LK_PLACES_MAX; i++)
        free(objects->dirs[i]);
    free(objects->kept);
    free(objects->lies);
    free(objects);
}

uint64_t
lk_objects_next_id(struct lk_objects *objects)
{
    return atomic_fetch_add_explicit(&objects->id_last, 1, memory_order_relaxed) + 1;
}

void
lk_objects_id_floor(struct lk_objects *objects, uint64_t id)
{
    uint64_t seen = atomic_load_explicit(&objects->id_last, memory_order_relaxed);
    while (seen < id &&
           !atomic_compare_exchange_weak_explicit(&objects->id_last, &seen, id,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

struct each_call {
    struct luma_ctx *ctx;
    struct lk_objects *objects;
    uint32_t place;
    void (*fn)(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes);
    void *arg;
};

static luma_rc
each_entry(void *arg, const char *name, bool is_dir)
{
    struct each_call *call = arg;
    enum lk_object_kind kind;
    struct lk_io_stat stat;
    uint64_t id;

    if (is_dir || !lki_object_parse(name, &kind, &id) ||
        lk_objects_place_of(call->objects, kind, id) != call->place)
        return LUMA_OK; /* or it is a copy that the next start removes */
    char *path = lki_object_path(call->objects, call->place, kind, id);
    if (path == NULL)
        return LUMA_E_NOMEM;
    luma_rc rc = lk_io_stat(call->ctx, call->objects->io, path, &stat);
    free(path);
    LUMA_TRY(rc);
    call->fn(call->arg, kind, id, stat.bytes);
    return LUMA_OK;
}

luma_rc
lk_objects_each(struct luma_ctx *ctx, struct lk_objects *objects,
                void (*fn)(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes),
                void *arg)
{
    struct each_call call = {ctx, objects, 0, fn, arg};
    luma_rc rc = LUMA_OK;
    for (; rc == LUMA_OK && call.place < LK_PLACES_MAX; call.place++) {
        const char *dir = objects->dirs[call.place];
        if (dir != NULL && (call.place == 0 || lk_io_exists(objects->io, dir)))
            rc = lk_io_list(ctx, objects->io, dir, each_entry, &call);
    }
    return rc;
}

/* --- writing --- */

static luma_rc
writer_flush(struct luma_ctx *ctx, struct writer *writer)
{
    if (writer->buffered == 0)
        return LUMA_OK;
    LUMA_TRY(lk_io_write(ctx, writer->file, writer->buffer, writer->buffered, writer->written));
    writer->written += writer->buffered;
    writer->buffered = 0;
    return LUMA_OK;
}

static luma_rc
writer_put(struct luma_ctx *ctx, struct writer *writer, const uint8_t *data, size_t bytes)
{
    if (bytes > BUFFER_BYTES - writer->buffered)
        LUMA_TRY(writer_flush(ctx, writer));
    if (bytes >= BUFFER_BYTES) {
        LUMA_TRY(lk_io_write(ctx, writer->file, data, bytes, writer->written));
        writer->written += bytes;
        return LUMA_OK;
    }
    if (bytes > 0)
        memcpy(writer->buffer + writer->buffered, data, bytes);
    writer->buffered += bytes;
    return LUMA_OK;
}

static luma_rc
writer_append(struct luma_ctx *ctx, struct luma_object_writer *base, const void *data, size_t bytes)
{
    struct writer *writer = (struct writer *)base;
    if (writer->failed == LUMA_OK)
        writer->failed = writer_put(ctx, writer, data, bytes);
    return writer->failed;
}

static uint64_t
writer_offset(const struct luma_object_writer *base)
{
    const struct writer *writer = (const struct writer *)base;
    return writer->written + writer->buffered;
}

luma_rc
lk_object_create(struct luma_ctx *ctx, struct lk_objects *objects, enum lk_object_kind kind,
                 struct lk_object_writer **out_writer)
{
    struct writer *writer = malloc(sizeof(*writer) + BUFFER_BYTES);
    if (writer == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to write an object");
    memset(writer, 0, sizeof(*writer));
    writer->pub.base.append = writer_append;
    writer->pub.base.offset = writer_offset;
    writer->pub.id = lk_objects_next_id(objects);
    writer->objects = objects;
    writer->kind = kind;
    char *path = object_path(objects, kind, writer->pub.id);
    luma_rc rc = path == NULL
                     ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to write an object")
                     : lk_io_open(ctx, objects->io, path,
                                  LK_IO_WRITE | LK_IO_CREATE | LK_IO_EXCLUSIVE, &writer->file);
    free(path);
    if (rc != LUMA_OK) {
        free(writer);
        return rc;
    }
    *out_writer = &writer->pub;
    return LUMA_OK;
}

const char *
lk_object_kind_name(enum lk_object_kind kind)
{
    return kind_names[kind];
}

bool
lk_objects_pinned(struct lk_objects *objects)
{
    struct lk_file *lock = NULL;
    char *path = NULL;
    if (asprintf(&path, "%s/" LK_OBJECTS_PIN, objects->dirs[0]) < 0)
        return true;
    /* Who makes the file after this look finds the state that the manifest has now. */
    bool pinned = lk_io_exists(objects->io, path) &&
                  lk_io_lock(NULL, objects->io, path, &lock) == LUMA_E_BUSY;
    lk_io_close(lock);
    free(path);
    return pinned;
}

/* It goes with the first one that goes after the backup, or at the next start. */
static void
unlink_later(struct lk_objects *objects, uint32_t place, enum lk_object_kind kind, uint64_t id)
{
    lk_mutex_lock(&objects->lock);
    if (objects->kept_count == objects->kept_room) {
        size_t room = objects->kept_room == 0 ? 32 : objects->kept_room * 2;
        struct lki_object_kept *kept = realloc(objects->kept, room * sizeof(*kept));
        if (kept != NULL) {
            objects->kept = kept;
            objects->kept_room = room;
        }
    }
    if (objects->kept_count < objects->kept_room)
        objects->kept[objects->kept_count++] = (struct lki_object_kept){kind, id, place};
    lk_mutex_unlock(&objects->lock);
}

static bool
kept_take(struct lk_objects *objects, struct lki_object_kept *out)
{
    lk_mutex_lock(&objects->lock);
    bool any = objects->kept_count > 0;
    if (any)
        *out = objects->kept[--objects->kept_count];
    lk_mutex_unlock(&objects->lock);
    return any;
}

static void
unlink_now(struct lk_objects *objects, uint32_t place, enum lk_object_kind kind, uint64_t id)
{
    char *path = lki_object_path(objects, place, kind, id);
    /* A file that stays is garbage: the next start collects it. */
    luma_rc rc = path == NULL ? LUMA_OK : lk_io_unlink(NULL, objects->io, path);
    if (rc != LUMA_OK && rc != LUMA_E_UNDEFINED)
        lk_log_warn("storage", "cannot remove %s", path);
    free(path);
}

void
lki_object_unlink(struct lk_objects *objects, uint32_t place, enum lk_object_kind kind, uint64_t id)
{
    struct lki_object_kept kept;
    if (kind != LK_OBJECT_SPILL && lk_objects_pinned(objects)) {
        unlink_later(objects, place, kind, id);
        return;
    }
    unlink_now(objects, place, kind, id);
    while (kind != LK_OBJECT_SPILL && kept_take(objects, &kept))
        unlink_now(objects, kept.place, kept.kind, kept.id);
}

static void
unlink_object(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    lki_object_unlink(objects, lk_objects_place_of(objects, kind, id), kind, id);
    lk_objects_lies_forget(objects, kind, id);
}

void
lk_object_abort(struct lk_object_writer *pub)
{
    struct writer *writer = (struct writer *)pub;
    if (writer == NULL)
        return;
    lk_io_close(writer->file);
    unlink_object(writer->objects, writer->kind, writer->pub.id);
    free(writer);
}

luma_rc
lk_object_finish(struct luma_ctx *ctx, struct lk_object_writer *pub, uint64_t *out_bytes)
{
    struct writer *writer = (struct writer *)pub;
    luma_rc rc = writer->failed;

    if (rc == LUMA_OK)
        rc = writer_flush(ctx, writer);
    /* A spill lives no longer than its process: nothing of it must survive a crash. */
    bool stays = writer->kind != LK_OBJECT_SPILL;
    if (rc == LUMA_OK && stays && !LK_MUTANT(FLUSH_UNSYNCED))
        rc = lk_io_sync(ctx, writer->file);
    if (rc == LUMA_OK && stays && !LK_MUTANT(FLUSH_NAMELESS))
        rc = lk_io_sync_dir(ctx, writer->objects->io, writer->objects->dirs[0]);
    if (rc != LUMA_OK) {
        lk_object_abort(pub);
        return rc;
    }
    *out_bytes = writer->written;
    if (writer->kind != LK_OBJECT_SPILL)
        lk_stat_add(writer->objects->bytes_written, (int64_t)writer->written);
    lk_io_close(writer->file);
    free(writer);
    return LUMA_OK;
}

/* --- reading --- */

luma_rc
lk_object_read(struct luma_ctx *ctx, struct luma_object_reader *reader, void *buf, size_t bytes,
               uint64_t offset)
{
    struct lki_object *object = (struct lki_object *)reader;
    if (offset > reader->bytes || bytes > reader->bytes - offset)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: %zu bytes at %llu lie beyond its end",
                         object->name, bytes, (unsigned long long)offset);
    lk_sched_to_worker(); /* no event loop waits for a disk */
    lk_mutex_lock(&object->objects->lock);
    struct lki_object_file *file = object->file;
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    lk_mutex_unlock(&object->objects->lock);
    luma_rc rc = lk_io_read_exact(ctx, file->file, buf, bytes, offset);
    lki_object_file_unref(file);
    return rc;
}

struct load_call {
    struct luma_object_reader *reader;
    size_t bytes;
};

static luma_rc
load_block(struct luma_ctx *ctx, void *arg, uint64_t object_id, uint64_t offset,
           struct lk_cache_block *out_block)
{
    struct load_call *call = arg;
    struct lki_object *object = (struct lki_object *)call->reader;

    (void)object_id;
    if (offset > call->reader->bytes || call->bytes > call->reader->bytes - offset)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: %zu bytes at %llu lie beyond its end",
                         object->name, call->bytes, (unsigned long long)offset);
    luma_rc rc = lk_cache_room(object->objects->cache, call->bytes, 0, out_block);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "no memory to read %s", object->name);
    rc = lk_object_read(ctx, call->reader, (uint8_t *)(uintptr_t)out_block->bytes.data, call->bytes,
                        offset);
    if (rc != LUMA_OK)
        lk_cache_room_free(object->objects->cache, out_block);
    return rc;
}

static luma_rc
reader_pin(struct luma_ctx *ctx, struct luma_object_reader *reader, uint64_t offset, size_t bytes,
           struct luma_pin *out_pin)
{
    struct lki_object *object = (struct lki_object *)reader;
    struct load_call call = {reader, bytes};
    struct lk_cache_block *block;

    LUMA_TRY(lk_cache_pin(ctx, object->objects->cache, reader->object_id, offset, load_block, &call,
                          &block));
    if (block->bytes.bytes != bytes) {
        size_t held = block->bytes.bytes;
        lk_cache_unpin(object->objects->cache, block);
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: the block at %llu has %zu bytes, not %zu",
                         object->name, (unsigned long long)offset, held, bytes);
    }
    out_pin->bytes = block->bytes;
    out_pin->opaque = block;
    return LUMA_OK;
}

static void
reader_unpin(struct luma_pin *pin)
{
    if (pin->opaque != NULL)
        lk_cache_unpin(NULL, pin->opaque);
    memset(pin, 0, sizeof(*pin));
}

struct lki_object **
lki_object_find(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    struct lki_object **at = &objects->buckets[lk_hash_u64(id) % LKI_OBJECT_BUCKETS];
    while (*at != NULL && ((*at)->base.object_id != id || (*at)->kind != kind))
        at = &(*at)->next;
    return at;
}

static struct lki_object *
object_ref(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    lk_mutex_lock(&objects->lock);
    struct lki_object *object = *lki_object_find(objects, kind, id);
    if (object != NULL)
        object->refs++;
    lk_mutex_unlock(&objects->lock);
    return object;
}

void
lki_object_file_unref(struct lki_object_file *file)
{
    if (file == NULL || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
        return;
    lk_io_close(file->file);
    free(file);
}

luma_rc
lki_object_file_open(struct luma_ctx *ctx, struct lk_objects *objects, uint32_t place,
                     enum lk_object_kind kind, uint64_t id, struct lki_object_file **out_file)
{
    struct lki_object_file *file = calloc(1, sizeof(*file));
    char *path = lki_object_path(objects, place, kind, id);
    luma_rc rc = file == NULL || path == NULL
                     ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an object")
                     : lk_io_open(ctx, objects->io, path, 0, &file->file);
    free(path);
    if (rc != LUMA_OK) {
        free(file);
        return rc;
    }
    atomic_init(&file->refs, 1);
    *out_file = file;
    return LUMA_OK;
}

static void
object_free(struct lki_object *object)
{
    lki_object_file_unref(object->file);
    free(object);
}

static luma_rc
object_make(struct luma_ctx *ctx, struct lk_objects *objects, enum lk_object_kind kind, uint64_t id,
            struct lki_object **out_object)
{
    struct lki_object *object = calloc(1, sizeof(*object));
    uint32_t place = lk_objects_place_of(objects, kind, id);
    luma_rc rc = object == NULL
                     ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an object")
                     : lki_object_file_open(ctx, objects, place, kind, id, &object->file);
    if (rc == LUMA_OK)
        rc = lk_io_size(ctx, object->file->file, &object->base.bytes);
    if (rc != LUMA_OK) {
        if (object != NULL)
            object_free(object);
        return rc;
    }
    object->base.object_id = id;
    object->base.pin = reader_pin;
    object->base.unpin = reader_unpin;
    object->objects = objects;
    object->kind = kind;
    object->refs = 1;
    lki_object_name(kind, id, object->name);
    *out_object = object;
    return LUMA_OK;
}

luma_rc
lk_object_open(struct luma_ctx *ctx, struct lk_objects *objects, enum lk_object_kind kind,
               uint64_t id, struct luma_object_reader **out_reader)
{
    struct lki_object *object = object_ref(objects, kind, id), *twin;

    if (object == NULL) {
        LUMA_TRY(object_make(ctx, objects, kind, id, &object));
        lk_mutex_lock(&objects->lock);
        struct lki_object **at = lki_object_find(objects, kind, id);
        twin = *at;
        if (twin != NULL)
            twin->refs++;
        else
            *at = object;
        lk_mutex_unlock(&objects->lock);
        if (twin != NULL) { /* somebody opened it meanwhile */
            object_free(object);
            object = twin;
        }
    }
    *out_reader = &object->base;
    return LUMA_OK;
}

void
lk_object_close(struct luma_object_reader *reader)
{
    struct lki_object *object = (struct lki_object *)reader;
    if (object == NULL)
        return;
    struct lk_objects *objects = object->objects;
    lk_mutex_lock(&objects->lock);
    bool last = --object->refs == 0;
    if (last)
        *lki_object_find(objects, object->kind, reader->object_id) = object->next;
    lk_mutex_unlock(&objects->lock);
    if (!last)
        return;
    if (object->removed) {
        lk_cache_forget(objects->cache, reader->object_id);
        unlink_object(objects, object->kind, reader->object_id);
    }
    object_free(object);
}

void
lk_object_remove(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    lk_mutex_lock(&objects->lock);
    struct lki_object *object = *lki_object_find(objects, kind, id);
    if (object != NULL)
        object->removed = true;
    lk_mutex_unlock(&objects->lock);
    if (object == NULL) {
        lk_cache_forget(objects->cache, id);
        unlink_object(objects, kind, id);
    }
}

static luma_rc
quarantine(struct luma_ctx *ctx, struct lk_objects *objects, enum lk_object_kind kind, uint64_t id,
           const char *dir)
{
    char name[LKI_OBJECT_NAME_BYTES], *to = NULL;
    char *from = object_path(objects, kind, id);
    lki_object_name(kind, id, name);
    luma_rc rc = from == NULL || asprintf(&to, "%s/%s", dir, name) < 0
                     ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory")
                     : lk_io_mkdir(ctx, objects->io, dir);
    if (rc == LUMA_OK)
        rc = lk_io_rename(ctx, objects->io, from, to);
    if (rc == LUMA_OK)
        lk_log_warn("storage", "%s was moved to %s", from, to);
    free(from);
    free(to);
    return rc;
}

void
lk_object_quarantine(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id)
{
    struct lk_ctx c;
    char *dir = NULL;
    lk_ctx_init(&c, NULL);
    if (asprintf(&dir, "%s/quarantine", objects->dirs[0]) < 0)
        return;
    luma_rc rc = quarantine(&c.ctx, objects, kind, id, dir);
    if (rc == LUMA_E_UNDEFINED)
        lk_log_warn("storage", "object %016llx is missing", (unsigned long long)id);
    else if (rc != LUMA_OK) /* it stays where it is and goes at the next start */
        lk_log_warn("storage", "a damaged object could not be put aside: %s", c.error.message);
    lk_cache_forget(objects->cache, id);
    free(dir);
}

struct lk_cache *
lk_object_cache(struct luma_object_reader *reader)
{
    return ((struct lki_object *)reader)->objects->cache;
}

const char *
lk_object_name(const struct luma_object_reader *reader)
{
    return ((const struct lki_object *)reader)->name;
}
