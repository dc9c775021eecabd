/*
 * wal/archive.c - whole files of the log are copied to the archive before they are written over.
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/wal/wal_file.h"
#include "storage/wal/wal_priv.h"

#define COPY_BYTES ((size_t)1 << 20)

luma_rc
lk_wal_file_look(struct luma_ctx *ctx, struct lk_io *io, const char *path, uint64_t store_id,
                 struct lk_wal_file_id *out_id, bool *out_known)
{
    struct lki_wal_header header;
    struct lk_file *file = NULL;
    size_t got = 0;
    *out_known = false;
    LUMA_TRY(lk_io_open(ctx, io, path, 0, &file));
    luma_rc rc = lk_io_read(ctx, file, &header, sizeof(header), 0, &got);
    lk_io_close(file);
    LUMA_TRY(rc);
    *out_known = got == sizeof(header) && header.magic == LKI_WAL_MAGIC &&
                 header.crc == lki_wal_header_crc(&header) && header.store_id == store_id &&
                 header.file != 0;
    out_id->number = header.file;
    out_id->epoch = header.epoch;
    return LUMA_OK;
}

static luma_rc
file_copy(struct luma_ctx *ctx, struct lk_wal *wal, struct lki_wal_file *file, const char *to)
{
    struct lk_file *out = NULL;
    uint8_t *buffer = malloc(COPY_BYTES);
    if (buffer == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory");
    luma_rc rc =
        lk_io_open(ctx, wal->conf.io, to, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE, &out);
    uint64_t at = 0;
    size_t got = 1;
    while (rc == LUMA_OK && got > 0) {
        rc = lk_io_read(ctx, file->file, buffer, COPY_BYTES, at, &got);
        if (rc == LUMA_OK && got > 0)
            rc = lk_io_write(ctx, out, buffer, got, at);
        at += got;
    }
    if (rc == LUMA_OK)
        rc = lk_io_sync_full(ctx, out);
    lk_io_close(out);
    free(buffer);
    return rc;
}

static luma_rc
file_archive(struct luma_ctx *ctx, struct lk_wal *wal, struct lki_wal_file *file)
{
    char *to = NULL, *part = NULL;
    const char *dir = wal->conf.archive_dir;
    luma_rc rc =
        asprintf(&to, "%s/%016llx-%010llu-%llu.wal", dir, (unsigned long long)wal->conf.store_id,
                 (unsigned long long)file->number, (unsigned long long)file->epoch) < 0 ||
                asprintf(&part, "%s.part", to) < 0
            ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory")
            : lk_io_mkdir_all(ctx, wal->conf.io, dir);
    if (rc == LUMA_OK && !lk_io_exists(wal->conf.io, to)) {
        rc = file_copy(ctx, wal, file, part);
        if (rc == LUMA_OK)
            rc = lk_io_rename(ctx, wal->conf.io, part, to);
        if (rc == LUMA_OK)
            rc = lk_io_sync_dir(ctx, wal->conf.io, dir);
    }
    free(to);
    free(part);
    return rc;
}

/* The oldest file that is full, durable and not archived; trim leaves it alone until it is. */
static struct lki_wal_file *
file_due(struct lk_wal *wal)
{
    lk_mutex_lock(&wal->lock);
    struct lki_wal_file *file = wal->files;
    while (file != wal->files_tail && (file->archived || file->file == NULL))
        file = file->next;
    bool due = file != wal->files_tail &&
               atomic_load(&wal->durable_lsn) >= lki_wal_lsn(file->next->number, 0);
    lk_mutex_unlock(&wal->lock);
    return due ? file : NULL;
}

luma_rc
lk_wal_archive(struct luma_ctx *ctx, struct lk_wal *wal)
{
    LK_IO_PHASE("archive");
    struct lki_wal_file *file;
    if (wal->conf.archive_dir == NULL)
        return LUMA_OK;
    while ((file = file_due(wal)) != NULL) {
        LUMA_TRY(file_archive(ctx, wal, file));
        lk_mutex_lock(&wal->lock);
        file->archived = true;
        lk_mutex_unlock(&wal->lock);
    }
    return LUMA_OK;
}
