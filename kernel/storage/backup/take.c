/*
 * storage/backup/take.c - taking a backup: manifest, log, then the objects that they name.
 *
 * The order makes it one state. The manifest is copied first; then the log from where the manifest
 * wants it on, the newest file before the older ones: so no file is there whose predecessor ends
 * too early. A file that is being written may end in half a record, as after a crash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/backup/backup_priv.h"
#include "storage/object/object.h"
#include "storage/wait.h"

#define PIN_PAUSE_NS 10000000ULL
#define PIN_WAIT_NS  5000000000ULL /* the server holds the lock for moments only */

struct take {
    struct luma_ctx *ctx;
    struct lk_io *io;
    const char *dir, *place;
    const char *path; /* PLACE/NAME */
    struct lki_copy copy;
    struct lki_objects objects;
    struct lk_backup_info info;
};

static luma_rc
pin(struct luma_ctx *ctx, struct lk_io *io, const char *dir, struct lk_file **out_lock)
{
    char *path = lki_backup_path(ctx, "%s/" LK_OBJECTS_PIN, dir);
    uint64_t give_up_ns = lk_io_now_ns(io) + PIN_WAIT_NS;
    luma_rc rc = path == NULL ? LUMA_E_NOMEM : LUMA_E_BUSY;
    while (rc == LUMA_E_BUSY && lk_io_now_ns(io) < give_up_ns) {
        rc = lk_io_lock(NULL, io, path, out_lock);
        if (rc == LUMA_E_BUSY) {
            struct luma_event never = {{0}};
            struct lk_ctx quiet;
            lk_ctx_init(&quiet, NULL);
            luma_rc waited =
                lk_wait_event(NULL, &quiet.ctx, &never, lk_io_now_ns(io) + PIN_PAUSE_NS);
            (void)waited; /* it timed out */
        }
    }
    if (rc == LUMA_E_BUSY)
        return LUMA_FAIL(ctx, rc, "another backup of %s is being taken", dir);
    return rc == LUMA_OK ? rc : LUMA_FAIL(ctx, rc, "%s cannot be locked", path);
}

/* The place belongs to one store: names of objects are unique within it. */
static luma_rc
place_open(struct take *t)
{
    uint64_t id = 0, log = 0;
    char text[64];
    LUMA_TRY(lki_backup_state(t->ctx, t->io, t->dir, &id, &log));
    char *objects = lki_backup_path(t->ctx, "%s/objects", t->place);
    char *owner = lki_backup_path(t->ctx, "%s/store", t->place);
    if (objects == NULL || owner == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lk_io_mkdir_all(t->ctx, t->io, objects));
    t->info.store_id = id;
    int bytes = snprintf(text, sizeof(text), "%016llx\n", (unsigned long long)id);
    if (!lk_io_exists(t->io, owner))
        return lk_io_write_file(t->ctx, t->io, owner, text, (size_t)bytes);
    struct lk_bytes have;
    lk_bytes_init(&have, NULL);
    luma_rc rc = lk_io_read_file(t->ctx, t->io, owner, sizeof(text), &have);
    if (rc == LUMA_OK && !luma_slice_equal(lk_bytes_view(&have), luma_slice(text, (size_t)bytes)))
        rc = LUMA_FAIL(t->ctx, LUMA_E_INVALID, "%s holds backups of another store", t->place);
    lk_bytes_fini(&have);
    return rc;
}

static luma_rc
name_make(struct take *t)
{
    time_t now = (time_t)(lk_io_wall_us(t->io) / 1000000);
    for (int i = 0; i < 100; i++, now++) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(t->info.name, sizeof(t->info.name), "%Y%m%dT%H%M%SZ", &tm);
        t->path = lki_backup_path(t->ctx, "%s/%s", t->place, t->info.name);
        if (t->path == NULL)
            return LUMA_E_NOMEM;
        if (lk_io_exists(t->io, t->path))
            continue;
        return lk_io_mkdir_all(t->ctx, t->io, t->path);
    }
    return LUMA_FAIL(t->ctx, LUMA_E_EXISTS, "%s is there already", t->path);
}

static luma_rc
manifest_copy(struct take *t)
{
    const char *const *names = NULL;
    size_t count = 0;
    char *from = lki_backup_path(t->ctx, "%s/manifest", t->dir);
    char *to = lki_backup_path(t->ctx, "%s/manifest", t->path);
    if (from == NULL || to == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lk_io_mkdir_all(t->ctx, t->io, to));
    LUMA_TRY(lk_io_list_sorted(t->ctx, t->io, from, t->ctx->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *file = lki_backup_path(t->ctx, "%s/%s", from, names[i]);
        char *copy = lki_backup_path(t->ctx, "%s/%s", to, names[i]);
        if (file == NULL || copy == NULL)
            return LUMA_E_NOMEM;
        LUMA_TRY(lki_copy_file(&t->copy, file, copy));
    }
    return lk_io_sync_dir(t->ctx, t->io, to);
}

static luma_rc
log_copy(struct take *t)
{
    uint64_t id = 0, first = 0;
    struct lki_log *logs = NULL;
    size_t count = 0;
    char *from = lki_backup_path(t->ctx, "%s/wal", t->dir);
    char *to = lki_backup_path(t->ctx, "%s/wal", t->path);
    if (from == NULL || to == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lki_backup_state(t->ctx, t->io, t->path, &id, &first));
    LUMA_TRY(lk_io_mkdir_all(t->ctx, t->io, to));
    LUMA_TRY(lki_backup_logs(t->ctx, t->io, from, id, &logs, &count));
    for (size_t i = count; i > 0; i--) {
        char *copy = lki_backup_path(t->ctx, "%s/%06zu.wal", to, i);
        if (copy == NULL)
            return LUMA_E_NOMEM;
        if (logs[i - 1].number >= first)
            LUMA_TRY(lki_copy_file(&t->copy, logs[i - 1].path, copy));
    }
    return lk_io_sync_dir(t->ctx, t->io, to);
}

static luma_rc
object_copy(struct take *t, const struct lki_object *object, const char *folder)
{
    struct lk_io_stat have, there;
    char *name = lki_backup_object_name(t->ctx, object);
    char *from = name == NULL ? NULL : lki_backup_path(t->ctx, "%s/%s", t->dir, name);
    char *to = from == NULL ? NULL : lki_backup_path(t->ctx, "%s/%s", folder, name);
    /* While it is copied, an object that moves stays where it was as well. */
    if (to != NULL && object->elsewhere != NULL && !lk_io_exists(t->io, from)) {
        from = lki_backup_path(t->ctx, "%s/%s", object->elsewhere, name);
        to = from == NULL ? NULL : to;
    }
    if (to == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lk_io_stat(t->ctx, t->io, from, &there));
    t->info.bytes += there.bytes;
    if (lk_io_exists(t->io, to) && lk_io_stat(NULL, t->io, to, &have) == LUMA_OK &&
        have.bytes == there.bytes) {
        lki_copy_skip(&t->copy, there.bytes);
        return LUMA_OK;
    }
    return lki_copy_file(&t->copy, from, to);
}

static luma_rc
objects_copy(struct take *t)
{
    char *folder = lki_backup_path(t->ctx, "%s/objects", t->place);
    if (folder == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lki_backup_objects(t->ctx, t->io, t->path, &t->objects, &t->info.commit));
    t->info.objects = t->objects.count;
    t->copy.all = t->copy.done;
    for (size_t i = 0; i < t->objects.count; i++)
        t->copy.all += t->objects.items[i].bytes;
    for (size_t i = 0; i < t->objects.count; i++)
        LUMA_TRY(object_copy(t, &t->objects.items[i], folder));
    return lk_io_sync_dir(t->ctx, t->io, folder);
}

/* Makes the backup count. */
static luma_rc
seal(struct take *t)
{
    struct lk_backup_info *info = &t->info;
    info->ended_us = lk_io_wall_us(t->io);
    info->bytes_copied = t->copy.copied;
    char *text = lki_backup_path(
        t->ctx,
        "format %d\nstore %016llx\nbegun_us %lld\nended_us %lld\ncommit %llu\nobjects %llu\n"
        "bytes %llu\nbytes_copied %llu\n",
        LKI_BACKUP_FORMAT, (unsigned long long)info->store_id, (long long)info->begun_us,
        (long long)info->ended_us, (unsigned long long)info->commit,
        (unsigned long long)info->objects, (unsigned long long)info->bytes,
        (unsigned long long)info->bytes_copied);
    char *path = lki_backup_path(t->ctx, "%s/backup", t->path);
    if (text == NULL || path == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lk_io_sync_dir(t->ctx, t->io, t->path));
    LUMA_TRY(lk_io_write_file(t->ctx, t->io, path, text, strlen(text)));
    return lk_io_sync_dir(t->ctx, t->io, t->place);
}

luma_rc
lk_backup_take(struct luma_ctx *ctx, struct lk_io *io, const char *dir, const char *place,
               const struct lk_backup_say *say, struct lk_backup_info *out_info)
{
    struct take t = {.ctx = ctx, .io = io, .dir = dir, .place = place};
    struct lk_file *lock = NULL;
    char *manifest = lki_backup_path(ctx, "%s/manifest", dir);
    if (manifest == NULL)
        return LUMA_E_NOMEM;
    if (!lk_io_exists(io, manifest))
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no data folder \"%s\"", dir);
    t.info.begun_us = lk_io_wall_us(io);
    luma_rc rc = lki_copy_init(&t.copy, ctx, io, say);
    if (rc == LUMA_OK)
        rc = pin(ctx, io, dir, &lock);
    if (rc == LUMA_OK)
        rc = place_open(&t);
    if (rc == LUMA_OK)
        rc = name_make(&t);
    if (rc == LUMA_OK)
        rc = manifest_copy(&t);
    if (rc == LUMA_OK)
        rc = log_copy(&t);
    if (rc == LUMA_OK)
        rc = objects_copy(&t);
    if (rc == LUMA_OK)
        rc = seal(&t);
    lk_io_close(lock);
    lki_copy_fini(&t.copy);
    free(t.objects.items);
    if (rc == LUMA_OK)
        *out_info = t.info;
    return rc;
}
