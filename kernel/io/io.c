/* io/io.c - what all disks have in common: whole transfers, messages, small conveniences. */
#include "io/io.h"

#include <errno.h>
#include <stdlib.h>

#define IO_VEC_MAX           64
#define ALLOCATE_BLOCK_BYTES ((size_t)1 << 20)

static __thread const char *phase_label;

const char *
lk_io_phase(const char *label)
{
    const char *previous = phase_label;
    phase_label = label;
    return previous;
}

const char *
lk_io_phase_now(void)
{
    return phase_label == NULL ? "" : phase_label;
}

static luma_rc
io_failed(struct luma_ctx *ctx, int err, const char *verb, const char *path)
{
    luma_rc code = err == EWOULDBLOCK ? LUMA_E_BUSY : lk_error_from_errno(err);
    if (ctx == NULL)
        return code;
    char text[128];
    return LUMA_FAIL(ctx, code, "cannot %s \"%s\": %s", verb, path,
                     strerror_r(err, text, sizeof(text)));
}

/* One idiom for all the calls that either work or do not. */
#define IO_CALL(ctx, call, verb, path)                        \
    do {                                                      \
        int io_err_ = (call);                                 \
        if (LUMA_UNLIKELY(io_err_ != 0))                      \
            return io_failed((ctx), io_err_, (verb), (path)); \
    } while (0)

luma_rc
lk_io_open(struct luma_ctx *ctx, struct lk_io *io, const char *path, uint32_t flags,
           struct lk_file **out_file)
{
    if (LK_FAULT("io.open"))
        return io_failed(ctx, EIO, "open", path);
    struct lk_file *file = NULL;
    IO_CALL(ctx, io->ops->open(io, path, flags, &file), "open", path);
    *out_file = file;
    return LUMA_OK;
}

void
lk_io_close(struct lk_file *file)
{
    if (file != NULL)
        file->io->ops->close(file);
}

luma_rc
lk_io_read(struct luma_ctx *ctx, struct lk_file *file, void *buf, size_t bytes, uint64_t offset,
           size_t *out_bytes)
{
    size_t done = 0;
    if (LK_FAULT("io.read"))
        return io_failed(ctx, EIO, "read", file->path);
    while (done < bytes) {
        size_t n = 0;
        struct lk_io_vec vec = {(uint8_t *)buf + done, bytes - done};
        int err = file->io->ops->readv(file, &vec, 1, offset + done, &n);
        if (err == EINTR)
            continue;
        if (err != 0)
            return io_failed(ctx, err, "read", file->path);
        if (n == 0)
            break;
        done += n;
    }
    *out_bytes = done;
    return LUMA_OK;
}

static luma_rc
ends_early(struct luma_ctx *ctx, struct lk_file *file, uint64_t offset, size_t bytes)
{
    if (ctx == NULL)
        return LUMA_E_CORRUPT;
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "\"%s\" ends before byte %llu", file->path,
                     (unsigned long long)(offset + bytes));
}

luma_rc
lk_io_read_exact(struct luma_ctx *ctx, struct lk_file *file, void *buf, size_t bytes,
                 uint64_t offset)
{
    size_t got = 0;
    LUMA_TRY(lk_io_read(ctx, file, buf, bytes, offset, &got));
    return got == bytes ? LUMA_OK : ends_early(ctx, file, offset, bytes);
}

/* Takes `bytes` off the front of vec[0 .. *count - 1]. */
static void
vec_advance(struct lk_io_vec *vec, int *count, size_t bytes)
{
    int done = 0;
    while (done < *count && bytes >= vec[done].bytes)
        bytes -= vec[done++].bytes;
    *count -= done;
    memmove(vec, vec + done, (size_t)*count * sizeof(*vec));
    if (*count > 0 && bytes > 0) {
        vec[0].data = (uint8_t *)vec[0].data + bytes;
        vec[0].bytes -= bytes;
    }
}

/* Transfers all of up to IO_VEC_MAX pieces; *out_bytes is how far it came. */
static int
transfer_some(struct lk_file *file, const struct lk_io_vec *vec, int count, uint64_t offset,
              bool is_write, size_t *out_bytes)
{
    struct lk_io_vec left[IO_VEC_MAX];
    size_t done = 0;
    memcpy(left, vec, (size_t)count * sizeof(*left));
    vec_advance(left, &count, 0);
    while (count > 0) {
        size_t n = 0;
        int err = is_write ? file->io->ops->writev(file, left, count, offset + done, &n)
                           : file->io->ops->readv(file, left, count, offset + done, &n);
        *out_bytes = done;
        if (err == EINTR)
            continue;
        if (err != 0)
            return err;
        if (n == 0) /* end of file; a write that moves nothing has no room */
            return is_write ? ENOSPC : 0;
        done += n;
        vec_advance(left, &count, n);
    }
    *out_bytes = done;
    return 0;
}

static luma_rc
transfer(struct luma_ctx *ctx, struct lk_file *file, const struct lk_io_vec *vec, int vec_count,
         uint64_t offset, bool is_write)
{
    for (int at = 0; at < vec_count; at += IO_VEC_MAX) {
        int count = LK_MIN(vec_count - at, IO_VEC_MAX);
        size_t want = 0, done = 0;
        for (int i = 0; i < count; i++)
            want += vec[at + i].bytes;
        int err = transfer_some(file, vec + at, count, offset, is_write, &done);
        if (err != 0)
            return io_failed(ctx, err, is_write ? "write" : "read", file->path);
        if (done < want)
            return ends_early(ctx, file, offset, want);
        offset += want;
    }
    return LUMA_OK;
}

luma_rc
lk_io_readv(struct luma_ctx *ctx, struct lk_file *file, const struct lk_io_vec *vec, int vec_count,
            uint64_t offset)
{
    if (LK_FAULT("io.read"))
        return io_failed(ctx, EIO, "read", file->path);
    return transfer(ctx, file, vec, vec_count, offset, false);
}

luma_rc
lk_io_writev(struct luma_ctx *ctx, struct lk_file *file, const struct lk_io_vec *vec, int vec_count,
             uint64_t offset)
{
    if (LK_FAULT("io.write"))
        return io_failed(ctx, EIO, "write", file->path);
    if (LK_FAULT("io.write.full"))
        return io_failed(ctx, ENOSPC, "write", file->path);
    return transfer(ctx, file, vec, vec_count, offset, true);
}

luma_rc
lk_io_write(struct luma_ctx *ctx, struct lk_file *file, const void *buf, size_t bytes,
            uint64_t offset)
{
    struct lk_io_vec vec = {(void *)(uintptr_t)buf, bytes};
    return lk_io_writev(ctx, file, &vec, 1, offset);
}

luma_rc
lk_io_sync(struct luma_ctx *ctx, struct lk_file *file)
{
    if (LK_FAULT("io.sync"))
        return io_failed(ctx, EIO, "sync", file->path);
    IO_CALL(ctx, file->io->ops->sync(file, true), "sync", file->path);
    return LUMA_OK;
}

luma_rc
lk_io_sync_full(struct luma_ctx *ctx, struct lk_file *file)
{
    if (LK_FAULT("io.sync"))
        return io_failed(ctx, EIO, "sync", file->path);
    IO_CALL(ctx, file->io->ops->sync(file, false), "sync", file->path);
    return LUMA_OK;
}

luma_rc
lk_io_sync_dir(struct luma_ctx *ctx, struct lk_io *io, const char *path)
{
    if (LK_FAULT("io.sync_dir"))
        return io_failed(ctx, EIO, "sync directory", path);
    IO_CALL(ctx, io->ops->sync_dir(io, path), "sync directory", path);
    return LUMA_OK;
}

luma_rc
lk_io_truncate(struct luma_ctx *ctx, struct lk_file *file, uint64_t bytes)
{
    IO_CALL(ctx, file->io->ops->truncate(file, bytes), "resize", file->path);
    return LUMA_OK;
}

luma_rc
lk_io_allocate(struct luma_ctx *ctx, struct lk_file *file, uint64_t offset, uint64_t bytes)
{
    size_t block_bytes = (size_t)LK_MIN(bytes, (uint64_t)ALLOCATE_BLOCK_BYTES);
    if (bytes == 0)
        return LUMA_OK;
    void *zeros = lk_pages_alloc(NULL, block_bytes); /* page-aligned: fit for LK_IO_DIRECT */
    if (zeros == NULL)
        return io_failed(ctx, ENOMEM, "allocate", file->path);
    luma_rc rc = LUMA_OK;
    for (uint64_t done = 0; rc == LUMA_OK && done < bytes;) {
        size_t n = (size_t)LK_MIN(bytes - done, (uint64_t)block_bytes);
        rc = lk_io_write(ctx, file, zeros, n, offset + done);
        done += n;
    }
    lk_pages_free(NULL, zeros, block_bytes);
    return rc;
}

luma_rc
lk_io_size(struct luma_ctx *ctx, struct lk_file *file, uint64_t *out_bytes)
{
    IO_CALL(ctx, file->io->ops->size(file, out_bytes), "measure", file->path);
    return LUMA_OK;
}

luma_rc
lk_io_stat(struct luma_ctx *ctx, struct lk_io *io, const char *path, struct lk_io_stat *out_stat)
{
    IO_CALL(ctx, io->ops->stat(io, path, out_stat), "look at", path);
    return LUMA_OK;
}

luma_rc
lk_io_find(struct luma_ctx *ctx, struct lk_io *io, const char *path, bool *out_found)
{
    struct lk_io_stat stat;
    int rc = io->ops->stat(io, path, &stat);
    *out_found = rc == 0;
    if (rc != 0 && rc != ENOENT && rc != ENOTDIR)
        IO_CALL(ctx, rc, "look at", path);
    return LUMA_OK;
}

bool
lk_io_exists(struct lk_io *io, const char *path)
{
    struct lk_io_stat stat;
    return io->ops->stat(io, path, &stat) == 0;
}

luma_rc
lk_io_unlink(struct luma_ctx *ctx, struct lk_io *io, const char *path)
{
    IO_CALL(ctx, io->ops->unlink(io, path), "remove", path);
    return LUMA_OK;
}

luma_rc
lk_io_rename(struct luma_ctx *ctx, struct lk_io *io, const char *from, const char *to)
{
    IO_CALL(ctx, io->ops->rename(io, from, to), "rename to", to);
    return LUMA_OK;
}

luma_rc
lk_io_mkdir(struct luma_ctx *ctx, struct lk_io *io, const char *path)
{
    int err = io->ops->mkdir(io, path);
    if (err == 0)
        return LUMA_OK;
    struct lk_io_stat stat;
    if (err == EEXIST && io->ops->stat(io, path, &stat) == 0 && stat.is_dir)
        return LUMA_OK;
    return io_failed(ctx, err, "make directory", path);
}

luma_rc
lk_io_rmdir(struct luma_ctx *ctx, struct lk_io *io, const char *path)
{
    IO_CALL(ctx, io->ops->rmdir(io, path), "remove directory", path);
    return LUMA_OK;
}

/* Parent of path in a buffer that begins as a copy of it. */
static const char *
parent_of(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n == 0)
        return ".";
    while (n > 1 && path[n - 1] == '/')
        n--;
    path[n] = '\0';
    return path;
}

char *
lk_io_dirname(struct luma_arena *arena, const char *path)
{
    char *copy = luma_arena_text(arena, path, strlen(path));
    if (copy == NULL)
        return NULL;
    const char *parent = parent_of(copy);
    return parent == copy ? copy : luma_arena_text(arena, parent, strlen(parent));
}

luma_rc
lk_io_mkdir_all(struct luma_ctx *ctx, struct lk_io *io, const char *path)
{
    struct lk_io_stat stat;
    if (io->ops->stat(io, path, &stat) == 0 && stat.is_dir)
        return LUMA_OK;
    char *copy = strdup(path);
    if (copy == NULL)
        return io_failed(ctx, ENOMEM, "make directory", path);
    const char *parent = parent_of(copy);
    luma_rc rc = strcmp(parent, path) == 0 ? LUMA_OK : lk_io_mkdir_all(ctx, io, parent);
    if (rc == LUMA_OK)
        rc = lk_io_mkdir(ctx, io, path);
    if (rc == LUMA_OK)
        rc = lk_io_sync_dir(ctx, io, parent);
    free(copy);
    return rc;
}

struct list_call {
    luma_rc (*fn)(void *arg, const char *name, bool is_dir);
    void *arg;
    luma_rc rc;
};

static int
list_entry(void *arg, const char *name, bool is_dir)
{
    struct list_call *call = arg;
    call->rc = call->fn(call->arg, name, is_dir);
    return call->rc == LUMA_OK ? 0 : ECANCELED;
}

luma_rc
lk_io_list(struct luma_ctx *ctx, struct lk_io *io, const char *path,
           luma_rc (*fn)(void *arg, const char *name, bool is_dir), void *arg)
{
    struct list_call call = {fn, arg, LUMA_OK};
    int err = io->ops->list(io, path, list_entry, &call);
    if (call.rc != LUMA_OK)
        return call.rc;
    if (err != 0)
        return io_failed(ctx, err, "list", path);
    return LUMA_OK;
}

struct names {
    struct luma_arena *arena;
    const char **list;
    size_t count, room;
};

static luma_rc
names_add(void *arg, const char *name, bool is_dir)
{
    struct names *names = arg;
    (void)is_dir;
    if (names->count == names->room) {
        size_t room = names->room == 0 ? 16 : names->room * 2;
        const char **list = luma_arena_alloc(names->arena, room * sizeof(*list));
        if (list == NULL)
            return LUMA_E_NOMEM;
        if (names->count > 0)
            memcpy(list, names->list, names->count * sizeof(*list));
        names->list = list;
        names->room = room;
    }
    const char *copy = luma_arena_text(names->arena, name, strlen(name));
    if (copy == NULL)
        return LUMA_E_NOMEM;
    names->list[names->count++] = copy;
    return LUMA_OK;
}

static int
name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

luma_rc
lk_io_list_sorted(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                  struct luma_arena *arena, const char *const **out_names, size_t *out_count)
{
    struct names names = {.arena = arena};
    luma_rc rc = lk_io_list(ctx, io, path, names_add, &names);
    if (rc != LUMA_OK)
        return ctx == NULL ? rc : lk_ctx_ensure(ctx, rc);
    if (names.count > 0)
        qsort(names.list, names.count, sizeof(*names.list), name_order);
    *out_names = (const char *const *)names.list;
    *out_count = names.count;
    return LUMA_OK;
}

luma_rc
lk_io_space(struct luma_ctx *ctx, struct lk_io *io, const char *path, uint64_t *out_free_bytes)
{
    IO_CALL(ctx, io->ops->space(io, path, out_free_bytes), "measure the space of", path);
    return LUMA_OK;
}

luma_rc
lk_io_lock(struct luma_ctx *ctx, struct lk_io *io, const char *path, struct lk_file **out_file)
{
    LUMA_CLEANUP(lk_io_close) struct lk_file *file = NULL;
    LUMA_TRY(lk_io_open(ctx, io, path, LK_IO_WRITE | LK_IO_CREATE, &file));
    IO_CALL(ctx, io->ops->lock(file), "lock", path);
    *out_file = LUMA_TAKE(file);
    return LUMA_OK;
}

luma_rc
lk_io_read_file(struct luma_ctx *ctx, struct lk_io *io, const char *path, size_t bytes_max,
                struct lk_bytes *out)
{
    LUMA_CLEANUP(lk_io_close) struct lk_file *file = NULL;
    uint64_t bytes = 0;
    size_t got = 0;
    LUMA_TRY(lk_io_open(ctx, io, path, 0, &file));
    LUMA_TRY(lk_io_size(ctx, file, &bytes));
    if (bytes > bytes_max)
        return ctx == NULL ? LUMA_E_LIMIT
                           : LUMA_FAIL(ctx, LUMA_E_LIMIT, "\"%s\" has more than %zu bytes", path,
                                       bytes_max);
    if (!lk_bytes_reserve(out, (size_t)bytes + 1))
        return io_failed(ctx, ENOMEM, "read", path);
    LUMA_TRY(lk_io_read(ctx, file, out->data + out->bytes, (size_t)bytes, 0, &got));
    out->bytes += got;
    return LUMA_OK;
}

static luma_rc
write_new(struct luma_ctx *ctx, struct lk_io *io, const char *path, const void *data, size_t bytes)
{
    LUMA_CLEANUP(lk_io_close) struct lk_file *file = NULL;
    LUMA_TRY(lk_io_open(ctx, io, path, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE, &file));
    LUMA_TRY(lk_io_write(ctx, file, data, bytes, 0));
    return lk_io_sync_full(ctx, file);
}

luma_rc
lk_io_write_file(struct luma_ctx *ctx, struct lk_io *io, const char *path, const void *data,
                 size_t bytes)
{
    size_t n = strlen(path);
    char *temp = malloc(n + 8);
    if (temp == NULL)
        return io_failed(ctx, ENOMEM, "write", path);
    memcpy(temp, path, n);
    memcpy(temp + n, ".new", 5);
    luma_rc rc = write_new(ctx, io, temp, data, bytes);
    if (rc == LUMA_OK)
        rc = lk_io_rename(ctx, io, temp, path);
    if (rc == LUMA_OK) {
        memcpy(temp, path, n + 1);
        rc = lk_io_sync_dir(ctx, io, parent_of(temp));
    }
    free(temp);
    return rc;
}
