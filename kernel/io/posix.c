/* io/posix.c - the machine's own files, clocks and random numbers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "io/io.h"

#define POSIX_VEC_MAX 64

struct posix_file {
    struct lk_file pub;
    int fd;
};

static int
fd_of(const struct lk_file *file)
{
    return ((const struct posix_file *)file)->fd;
}

static int
open_fd(const char *path, uint32_t flags)
{
    int how = O_CLOEXEC | ((flags & LK_IO_WRITE) ? O_RDWR : O_RDONLY);
    how |= (flags & LK_IO_CREATE) ? O_CREAT : 0;
    how |= (flags & LK_IO_EXCLUSIVE) ? O_EXCL : 0;
    how |= (flags & LK_IO_TRUNCATE) ? O_TRUNC : 0;
    how |= (flags & LK_IO_APPEND) ? O_APPEND : 0;
    int fd = -1;
    if (flags & LK_IO_DIRECT)
        fd = open(path, how | O_DIRECT, 0600);
    /* tmpfs and others know no O_DIRECT: buffered there. */
    if (fd < 0 && (!(flags & LK_IO_DIRECT) || errno == EINVAL))
        fd = open(path, how, 0600);
    return fd;
}

static int
posix_open(struct lk_io *io, const char *path, uint32_t flags, struct lk_file **out_file)
{
    struct posix_file *file = calloc(1, sizeof(*file));
    char *copy = strdup(path);
    file = file == NULL || copy == NULL ? (free(file), NULL) : file;
    if (file == NULL) {
        free(copy);
        return ENOMEM;
    }
    file->pub = (struct lk_file){.io = io, .path = copy, .flags = flags};
    file->fd = open_fd(path, flags);
    if (file->fd < 0) {
        int err = errno;
        free(copy);
        free(file);
        return err;
    }
    if (flags & LK_IO_SEQUENTIAL)
        (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *out_file = &file->pub;
    return 0;
}

static void
posix_close(struct lk_file *file)
{
    close(fd_of(file));
    free(file->path);
    free(file);
}

static int
to_iovec(const struct lk_io_vec *vec, int vec_count, struct iovec *out)
{
    int count = LK_MIN(vec_count, POSIX_VEC_MAX);
    for (int i = 0; i < count; i++)
        out[i] = (struct iovec){.iov_base = vec[i].data, .iov_len = vec[i].bytes};
    return count;
}

static int
posix_readv(struct lk_file *file, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
            size_t *out_bytes)
{
    struct iovec iov[POSIX_VEC_MAX];
    ssize_t n = vec_count == 1
                    ? pread(fd_of(file), vec[0].data, vec[0].bytes, (off_t)offset)
                    : preadv(fd_of(file), iov, to_iovec(vec, vec_count, iov), (off_t)offset);
    if (n < 0)
        return errno;
    *out_bytes = (size_t)n;
    return 0;
}

static int
posix_writev(struct lk_file *file, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
             size_t *out_bytes)
{
    struct iovec iov[POSIX_VEC_MAX];
    ssize_t n = vec_count == 1
                    ? pwrite(fd_of(file), vec[0].data, vec[0].bytes, (off_t)offset)
                    : pwritev(fd_of(file), iov, to_iovec(vec, vec_count, iov), (off_t)offset);
    if (n < 0)
        return errno;
    *out_bytes = (size_t)n;
    return 0;
}

static int
posix_sync(struct lk_file *file, bool data_only)
{
    int rc = data_only ? fdatasync(fd_of(file)) : fsync(fd_of(file));
    return rc == 0 ? 0 : errno;
}

static int
posix_truncate(struct lk_file *file, uint64_t bytes)
{
    return ftruncate(fd_of(file), (off_t)bytes) == 0 ? 0 : errno;
}

static int
posix_size(struct lk_file *file, uint64_t *out_bytes)
{
    struct stat st;
    if (fstat(fd_of(file), &st) != 0)
        return errno;
    *out_bytes = (uint64_t)st.st_size;
    return 0;
}

static int
posix_lock(struct lk_file *file)
{
    return flock(fd_of(file), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
}

static int
posix_stat(struct lk_io *io, const char *path, struct lk_io_stat *out_stat)
{
    struct stat st;
    (void)io;
    if (stat(path, &st) != 0)
        return errno;
    *out_stat = (struct lk_io_stat){.bytes = (uint64_t)st.st_size,
                                    .is_dir = S_ISDIR(st.st_mode),
                                    .modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 +
                                                   st.st_mtim.tv_nsec / 1000};
    return 0;
}

static int
posix_unlink(struct lk_io *io, const char *path)
{
    (void)io;
    return unlink(path) == 0 ? 0 : errno;
}

static int
posix_rename(struct lk_io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) == 0 ? 0 : errno;
}

static int
posix_mkdir(struct lk_io *io, const char *path)
{
    (void)io;
    return mkdir(path, 0700) == 0 ? 0 : errno;
}

static int
posix_rmdir(struct lk_io *io, const char *path)
{
    (void)io;
    return rmdir(path) == 0 ? 0 : errno;
}

static int
posix_sync_dir(struct lk_io *io, const char *path)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int err = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return err;
}

static bool
entry_is_dir(DIR *dir, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    return fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int
posix_list(struct lk_io *io, const char *path, int (*fn)(void *arg, const char *name, bool is_dir),
           void *arg)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno;
    int err = 0;
    while (err == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            err = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = fn(arg, entry->d_name, entry_is_dir(dir, entry));
    }
    closedir(dir);
    return err;
}

static int
posix_space(struct lk_io *io, const char *path, uint64_t *out_free_bytes)
{
    struct statvfs st;
    (void)io;
    if (statvfs(path, &st) != 0)
        return errno;
    *out_free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

static uint64_t
posix_now_ns(struct lk_io *io)
{
    struct timespec ts;
    (void)io;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t
posix_wall_us(struct lk_io *io)
{
    struct timespec ts;
    (void)io;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
posix_random(struct lk_io *io, void *out, size_t bytes)
{
    (void)io;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = getrandom((uint8_t *)out + done, bytes - done, 0);
        LK_ASSERT(n >= 0 || errno == EINTR); /* no secrets can be made without it */
        done += n > 0 ? (size_t)n : 0;
    }
}

static const struct lk_io_ops posix_ops = {
    .name = "posix",
    .open = posix_open,
    .close = posix_close,
    .readv = posix_readv,
    .writev = posix_writev,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .size = posix_size,
    .lock = posix_lock,
    .stat = posix_stat,
    .unlink = posix_unlink,
    .rename = posix_rename,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .space = posix_space,
    .now_ns = posix_now_ns,
    .wall_us = posix_wall_us,
    .random = posix_random,
};

static struct lk_io posix_io = {.ops = &posix_ops};

struct lk_io *
lk_io_posix(void)
{
    return &posix_io;
}

/* The sink of messages into a file: O_APPEND, one write a line; a full disk loses lines only. */
static void
log_file_sink(void *arg, const char *line, size_t bytes)
{
    ssize_t ignored = write((int)(intptr_t)arg, line, bytes);
    (void)ignored;
}

luma_rc
lk_io_log_open(struct luma_ctx *ctx, const char *path)
{
    static int fd = -1; /* main thread only: start and reload */
    int opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (opened < 0) {
        int err = errno;
        char text[128];
        return LUMA_FAIL(ctx, lk_error_from_errno(err), "cannot open log file \"%s\": %s", path,
                         strerror_r(err, text, sizeof(text)));
    }
    lk_log_set_sink(log_file_sink, (void *)(intptr_t)opened);
    if (fd >= 0)
        close(fd);
    fd = opened;
    return LUMA_OK;
}
