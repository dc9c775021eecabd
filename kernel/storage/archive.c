/*
 * storage/archive.c - objects that the log names go to the archive with it: the log of a bulk load
 * holds names only, and without the files a restore from archived log would lack its rows.
 *
 * A commit queues what it names, and so does the replay of its record; the queue holds the object
 * open, so that a merge does not take the file away before it is copied. It is empty when a
 * checkpoint changes the manifest: what is not replayed any more has been copied.
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/core.h"

#define COPY_BYTES ((size_t)1 << 20)

struct lk_archive_item {
    struct lk_archive_item *next;
    struct luma_object_reader *reader;
};

void
lk_archive_add(struct lk_store *store, enum lk_object_kind kind, uint64_t object_id)
{
    struct lk_ctx quiet;
    if (store->conf.wal_archive == NULL)
        return;
    lk_ctx_init(&quiet, NULL);
    struct lk_archive_item *item = calloc(1, sizeof(*item));
    if (item == NULL ||
        lk_object_open(&quiet.ctx, store->objects, kind, object_id, &item->reader) != LUMA_OK) {
        free(item);
        lk_log_error("storage", "object %016llx is not archived: take a backup",
                     (unsigned long long)object_id);
        return;
    }
    lk_mutex_lock(&store->archive_lock);
    item->next = store->archive;
    store->archive = item;
    lk_mutex_unlock(&store->archive_lock);
}

static struct lk_archive_item *
item_take(struct lk_store *store)
{
    lk_mutex_lock(&store->archive_lock);
    struct lk_archive_item *item = store->archive;
    if (item != NULL)
        store->archive = item->next;
    lk_mutex_unlock(&store->archive_lock);
    return item;
}

static luma_rc
content_copy(struct luma_ctx *ctx, struct luma_object_reader *reader, struct lk_file *to,
             uint8_t *buffer)
{
    for (uint64_t at = 0; at < reader->bytes;) {
        size_t n = (size_t)LK_MIN((uint64_t)COPY_BYTES, reader->bytes - at);
        LUMA_TRY(lk_object_read(ctx, reader, buffer, n, at));
        LUMA_TRY(lk_io_write(ctx, to, buffer, n, at));
        at += n;
    }
    return lk_io_sync_full(ctx, to);
}

static luma_rc
object_copy(struct luma_ctx *ctx, struct lk_store *store, struct luma_object_reader *reader)
{
    struct lk_io *io = store->conf.io;
    struct lk_file *file = NULL;
    char *dir = NULL, *to = NULL, *part = NULL;
    uint8_t *buffer = malloc(COPY_BYTES);
    luma_rc rc = LUMA_OK;
    if (buffer == NULL ||
        asprintf(&dir, "%s/" LK_ARCHIVE_OBJECTS, store->conf.wal_archive,
                 (unsigned long long)store->id) < 0 ||
        asprintf(&to, "%s/%s", dir, lk_object_name(reader)) < 0 ||
        asprintf(&part, "%s.part", to) < 0)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "archive: out of memory");
    if (rc == LUMA_OK)
        rc = lk_io_mkdir_all(ctx, io, dir);
    if (rc == LUMA_OK && !lk_io_exists(io, to)) {
        rc = lk_io_open(ctx, io, part, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE, &file);
        if (rc == LUMA_OK)
            rc = content_copy(ctx, reader, file, buffer);
        lk_io_close(file);
        if (rc == LUMA_OK)
            rc = lk_io_rename(ctx, io, part, to);
        if (rc == LUMA_OK)
            rc = lk_io_sync_dir(ctx, io, dir);
    }
    free(buffer);
    free(dir);
    free(to);
    free(part);
    return rc;
}

void
lk_archive_drain(struct lk_store *store)
{
    LK_IO_PHASE("archive");
    struct lk_archive_item *item;
    while ((item = item_take(store)) != NULL) {
        struct lk_ctx c;
        lk_ctx_init(&c, NULL);
        /* An archive that cannot be written holds nothing up; the next backup has the object. */
        if (object_copy(&c.ctx, store, item->reader) != LUMA_OK)
            lk_log_error("storage", "%s is not archived: take a backup: %s",
                         lk_object_name(item->reader), c.error.message);
        lk_object_close(item->reader);
        free(item);
    }
}

void
lk_archive_forget(struct lk_store *store)
{
    struct lk_archive_item *item;
    while ((item = item_take(store)) != NULL) {
        lk_object_close(item->reader);
        free(item);
    }
}
