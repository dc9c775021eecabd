/*
 * storage/temp/temp.c - temporary files: appended to by many parts at once, removed when closed.
 *
 * A write takes its place with one atomic addition, so that the parts of an operator share a file
 * without a lock. Nothing is synced: a crash loses nothing that anybody counts on, and the next
 * start empties the folder.
 */
#include "storage/temp/temp.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/log.h"
#include "base/stats.h"
#include "sched/sched.h"

#define TEMP_MAGIC 0x74656d70u

struct luma_temp {
    uint32_t magic;
    struct lk_file *file;
    _Atomic uint64_t end; /* where the next write goes */
};

static struct {
    struct lk_io *io;
    char *dir;
    uint64_t limit_bytes;
    _Atomic uint64_t used_bytes, serial;
} temp;

static int64_t
used_now(void *arg)
{
    (void)arg;
    return (int64_t)lk_temp_used();
}

uint64_t
lk_temp_used(void)
{
    return atomic_load_explicit(&temp.used_bytes, memory_order_relaxed);
}

static luma_rc
remove_leftover(void *arg, const char *name, bool is_dir)
{
    struct luma_ctx *ctx = arg;
    char path[512];
    int n = snprintf(path, sizeof(path), "%s/%s", temp.dir, name);
    if (is_dir || n < 0 || (size_t)n >= sizeof(path))
        return LUMA_OK; /* nothing of ours */
    return lk_io_unlink(ctx, temp.io, path);
}

luma_rc
lk_temp_start(struct luma_ctx *ctx, struct lk_io *io, const char *dir, uint64_t limit_bytes)
{
    static bool counted;
    size_t bytes = strlen(dir) + sizeof("/temp");
    temp.dir = malloc(bytes);
    if (temp.dir == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the temporary folder's name");
    (void)snprintf(temp.dir, bytes, "%s/temp", dir);
    temp.io = io;
    temp.limit_bytes = limit_bytes;
    atomic_store(&temp.used_bytes, 0);
    if (!counted)
        lk_stat_open_fn("lumadb_temp_bytes", "", "bytes", "temporary files of running statements",
                        used_now, NULL);
    counted = true;
    LUMA_TRY(lk_io_mkdir(ctx, io, temp.dir));
    return lk_io_list(ctx, io, temp.dir, remove_leftover, ctx);
}

void
lk_temp_stop(void)
{
    LK_ASSERT(lk_temp_used() == 0);
    free(temp.dir);
    temp.dir = NULL;
}

static luma_rc
temp_create(struct luma_ctx *ctx, struct luma_temp **out_file)
{
    char path[512];
    if (temp.dir == NULL)
        return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED, "there is no folder for temporary files");
    uint64_t serial = atomic_fetch_add_explicit(&temp.serial, 1, memory_order_relaxed);
    int n = snprintf(path, sizeof(path), "%s/%016llx.tmp", temp.dir, (unsigned long long)serial);
    if (n < 0 || (size_t)n >= sizeof(path))
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "the temporary folder's name is too long");
    struct luma_temp *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a temporary file");
    lk_sched_to_worker(); /* no event loop waits for a disk */
    luma_rc rc =
        lk_io_open(ctx, temp.io, path, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE, &t->file);
    if (rc != LUMA_OK) {
        free(t);
        return rc;
    }
    t->magic = TEMP_MAGIC;
    *out_file = t;
    return LUMA_OK;
}

/* Takes `bytes` of what all files may hold. */
static luma_rc
take_room(struct luma_ctx *ctx, size_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&temp.used_bytes, bytes, memory_order_relaxed);
    if (temp.limit_bytes == 0 || before + bytes <= temp.limit_bytes)
        return LUMA_OK;
    atomic_fetch_sub_explicit(&temp.used_bytes, bytes, memory_order_relaxed);
    return LUMA_FAIL_SQL(ctx, LUMA_E_FULL, "53400",
                         "temporary files would exceed temp_limit (%llu bytes)",
                         (unsigned long long)temp.limit_bytes);
}

static luma_rc
temp_write(struct luma_ctx *ctx, struct luma_temp *file, const void *data, size_t bytes,
           uint64_t *out_offset)
{
    LK_ASSERT(file->magic == TEMP_MAGIC);
    LUMA_TRY(take_room(ctx, bytes));
    uint64_t offset = atomic_fetch_add_explicit(&file->end, bytes, memory_order_relaxed);
    lk_sched_to_worker();
    LUMA_TRY(lk_io_write(ctx, file->file, data, bytes, offset));
    *out_offset = offset;
    return LUMA_OK;
}

static luma_rc
temp_read(struct luma_ctx *ctx, struct luma_temp *file, void *buf, size_t bytes, uint64_t offset)
{
    LK_ASSERT(file->magic == TEMP_MAGIC);
    lk_sched_to_worker();
    return lk_io_read_exact(ctx, file->file, buf, bytes, offset);
}

static uint64_t
temp_bytes(const struct luma_temp *file)
{
    return file == NULL ? 0 : atomic_load_explicit(&file->end, memory_order_relaxed);
}

static void
temp_close(struct luma_temp *file)
{
    if (file == NULL)
        return;
    LK_ASSERT(file->magic == TEMP_MAGIC);
    if (lk_io_unlink(NULL, temp.io, file->file->path) != LUMA_OK)
        lk_log_warn("storage", "%s stays until the next start: it cannot be removed",
                    file->file->path);
    lk_io_close(file->file);
    atomic_fetch_sub_explicit(&temp.used_bytes, temp_bytes(file), memory_order_relaxed);
    file->magic = 0;
    free(file);
}

const struct luma_host_temp lk_temp_host = {
    .head = {sizeof(struct luma_host_temp), 0, 1},
    .create = temp_create,
    .write = temp_write,
    .read = temp_read,
    .bytes = temp_bytes,
    .close = temp_close,
};
