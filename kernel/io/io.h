/*
 * io/io.h - the only door to files, clocks and randomness.
 *
 * All storage code is handed a `struct lk_io *`: lk_io_posix() in the server, a simulation
 * (io/sim.h) in tests, which loses what was not synced, tears writes and fails any call.
 *
 * What a crash keeps, and nothing else:
 *  - bytes of a file, and its size, covered by a completed lk_io_sync of that file;
 *  - names in a directory (creations, renames, removals) covered by a completed lk_io_sync_dir of
 *    that directory. Syncing a new file does not keep its name.
 * A 512-byte sector is written whole or not at all; sectors of one write may reach the disk in any
 * order. After a sync has failed nothing more is known about what it covered: a later sync that
 * succeeds proves nothing about it.
 *
 * Every function reports into ctx, naming path and reason, and returns LUMA_OK or
 *   LUMA_E_FULL (no space, quota), LUMA_E_UNDEFINED (no such file), LUMA_E_EXISTS, LUMA_E_DENIED,
 *   LUMA_E_NOMEM, LUMA_E_BUSY (locked by somebody else), LUMA_E_IO (anything else).
 * ctx may be NULL: nothing is reported, the code is the same.
 *
 * Threads: any; one file may be read and written by many threads at once. The calls block the
 * thread and never park the task: run them where blocking is allowed.
 */
#ifndef LK_IO_IO_H
#define LK_IO_IO_H

#include "base/base.h"

#define LK_IO_SECTOR_BYTES 512
#define LK_IO_DIRECT_ALIGN 4096

struct lk_io;

/* An open file. */
struct lk_file {
    struct lk_io *io;
    char *path; /* as given to open: for messages */
    uint32_t flags;
};

enum lk_io_flags {
    LK_IO_WRITE = 1,      /* else read only */
    LK_IO_CREATE = 2,     /* make it when it is not there */
    LK_IO_EXCLUSIVE = 4,  /* with CREATE: LUMA_E_EXISTS when it is there */
    LK_IO_TRUNCATE = 8,   /* empty it */
    LK_IO_DIRECT = 16,    /* past the page cache: buffer, offset and length are multiples of
                             LK_IO_DIRECT_ALIGN; silently buffered where it is not supported */
    LK_IO_APPEND = 32,    /* offsets of writes are ignored: always at the end */
    LK_IO_SEQUENTIAL = 64 /* advice: read ahead */
};

struct lk_io_stat {
    uint64_t bytes;
    bool is_dir;
    int64_t modified_us; /* since 1970 */
};

/* One piece of a vectored transfer. */
struct lk_io_vec {
    void *data;
    size_t bytes;
};

/* The functions behind one kind of disk. They give 0 or an errno. Users call lk_io_* below. */
struct lk_io_ops {
    const char *name;
    int (*open)(struct lk_io *io, const char *path, uint32_t flags, struct lk_file **out_file);
    void (*close)(struct lk_file *file);
    /* May transfer less than asked; 0 bytes read: end of file. */
    int (*readv)(struct lk_file *file, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
                 size_t *out_bytes);
    int (*writev)(struct lk_file *file, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
                  size_t *out_bytes);
    int (*sync)(struct lk_file *file, bool data_only);
    int (*truncate)(struct lk_file *file, uint64_t bytes);
    int (*size)(struct lk_file *file, uint64_t *out_bytes);
    int (*lock)(struct lk_file *file); /* exclusive, fails with EWOULDBLOCK */
    int (*stat)(struct lk_io *io, const char *path, struct lk_io_stat *out_stat);
    int (*unlink)(struct lk_io *io, const char *path);
    int (*rename)(struct lk_io *io, const char *from, const char *to);
    int (*mkdir)(struct lk_io *io, const char *path);
    int (*rmdir)(struct lk_io *io, const char *path);
    int (*sync_dir)(struct lk_io *io, const char *path);
    int (*list)(struct lk_io *io, const char *path,
                int (*fn)(void *arg, const char *name, bool is_dir), void *arg);
    int (*space)(struct lk_io *io, const char *path, uint64_t *out_free_bytes);
    uint64_t (*now_ns)(struct lk_io *io);
    int64_t (*wall_us)(struct lk_io *io);
    void (*random)(struct lk_io *io, void *out, size_t bytes);
};

struct lk_io {
    const struct lk_io_ops *ops;
};

/* The machine's own files, clocks and random numbers. Never NULL, one per process. */
struct lk_io *lk_io_posix(void);

/*
 * Open a file; *out_file is given, lk_io_close frees it.
 *
 * Errors:  see above; LUMA_E_DENIED also for a directory opened for writing.
 * Faults:  io.open
 */
LUMA_NODISCARD luma_rc lk_io_open(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                  uint32_t flags, struct lk_file **out_file);

/* Takes file; NULL is fine. Gives up its lock. Syncs nothing. */
void lk_io_close(struct lk_file *file);
LUMA_DEFINE_CLEANUP(struct lk_file *, lk_io_close)

/*
 * Read up to `bytes` at `offset`; less is given only at the end of the file.
 *
 * Owns:    buf is borrowed.
 * Faults:  io.read
 */
LUMA_NODISCARD luma_rc lk_io_read(struct luma_ctx *ctx, struct lk_file *file, void *buf,
                                  size_t bytes, uint64_t offset, size_t *out_bytes);

/* Read exactly `bytes`; LUMA_E_CORRUPT when the file ends before. */
LUMA_NODISCARD luma_rc lk_io_read_exact(struct luma_ctx *ctx, struct lk_file *file, void *buf,
                                        size_t bytes, uint64_t offset);

/* Read exactly the sum of vec's bytes, in as few calls as the machine allows. */
LUMA_NODISCARD luma_rc lk_io_readv(struct luma_ctx *ctx, struct lk_file *file,
                                   const struct lk_io_vec *vec, int vec_count, uint64_t offset);

/*
 * Write all of `bytes` at `offset` (LK_IO_APPEND: at the end).
 *
 * Not durable before lk_io_sync. On an error any part may have been written.
 * Errors:  LUMA_E_FULL, LUMA_E_IO
 * Faults:  io.write
 */
LUMA_NODISCARD luma_rc lk_io_write(struct luma_ctx *ctx, struct lk_file *file, const void *buf,
                                   size_t bytes, uint64_t offset);
LUMA_NODISCARD luma_rc lk_io_writev(struct luma_ctx *ctx, struct lk_file *file,
                                    const struct lk_io_vec *vec, int vec_count, uint64_t offset);

/*
 * Make the file's bytes and size durable (fdatasync).
 *
 * Errors:  LUMA_E_IO, LUMA_E_FULL: what was written since the last success may be lost in part, now
 *          and for ever: do not try again, recover from the log.
 * Faults:  io.sync
 */
LUMA_NODISCARD luma_rc lk_io_sync(struct luma_ctx *ctx, struct lk_file *file);

/* The same with all metadata (fsync). */
LUMA_NODISCARD luma_rc lk_io_sync_full(struct luma_ctx *ctx, struct lk_file *file);

/* Make the names in a directory durable. Faults: io.sync_dir */
LUMA_NODISCARD luma_rc lk_io_sync_dir(struct luma_ctx *ctx, struct lk_io *io, const char *path);

/* Cut or extend (with zeros) to `bytes`. */
LUMA_NODISCARD luma_rc lk_io_truncate(struct luma_ctx *ctx, struct lk_file *file, uint64_t bytes);

/*
 * Fill offset .. offset + bytes with zeros that are really written, so that overwriting them later
 * needs no metadata: a sync then costs one write (36 us where appending costs 84). Not synced.
 */
LUMA_NODISCARD luma_rc lk_io_allocate(struct luma_ctx *ctx, struct lk_file *file, uint64_t offset,
                                      uint64_t bytes);

LUMA_NODISCARD luma_rc lk_io_size(struct luma_ctx *ctx, struct lk_file *file, uint64_t *out_bytes);
LUMA_NODISCARD luma_rc lk_io_stat(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                  struct lk_io_stat *out_stat);
/* Is it there? What cannot be looked at is an error, not an absence: for whoever would make it. */
LUMA_NODISCARD luma_rc lk_io_find(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                  bool *out_found);
/* Reports nothing: an unreadable path does not exist. */
bool lk_io_exists(struct lk_io *io, const char *path);
LUMA_NODISCARD luma_rc lk_io_unlink(struct luma_ctx *ctx, struct lk_io *io, const char *path);
/* Replaces `to` in one step. Durable after syncing the directories of both. */
LUMA_NODISCARD luma_rc lk_io_rename(struct luma_ctx *ctx, struct lk_io *io, const char *from,
                                    const char *to);
/* A directory that is there already is fine. */
LUMA_NODISCARD luma_rc lk_io_mkdir(struct luma_ctx *ctx, struct lk_io *io, const char *path);
/* With all parents, each made durable. */
LUMA_NODISCARD luma_rc lk_io_mkdir_all(struct luma_ctx *ctx, struct lk_io *io, const char *path);
LUMA_NODISCARD luma_rc lk_io_rmdir(struct luma_ctx *ctx, struct lk_io *io, const char *path);

/* Calls fn for each entry but "." and "..", in no order, until it gives something other than
 * LUMA_OK, which is then returned. */
LUMA_NODISCARD luma_rc lk_io_list(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                  luma_rc (*fn)(void *arg, const char *name, bool is_dir),
                                  void *arg);

/* The names in a directory, sorted bytewise, in arena. */
LUMA_NODISCARD luma_rc lk_io_list_sorted(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                         struct luma_arena *arena, const char *const **out_names,
                                         size_t *out_count);

LUMA_NODISCARD luma_rc lk_io_space(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                   uint64_t *out_free_bytes);

/* Creates the file if need be and holds it until lk_io_close or the process' end. LUMA_E_BUSY: some
 * other process (or handle) has it. */
LUMA_NODISCARD luma_rc lk_io_lock(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                  struct lk_file **out_file);

/* Appends the whole file to out; LUMA_E_LIMIT over bytes_max. */
LUMA_NODISCARD luma_rc lk_io_read_file(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                       size_t bytes_max, struct lk_bytes *out);

/* Replaces the file in one durable step, by way of <path>.new. */
LUMA_NODISCARD luma_rc lk_io_write_file(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                        const void *data, size_t bytes);

/* "a/b" of "a/b/c", "." of "c", "/" of "/c"; in arena, NULL: no memory. */
char *lk_io_dirname(struct luma_arena *arena, const char *path);

/* Monotonic nanoseconds. */
static inline uint64_t
lk_io_now_ns(struct lk_io *io)
{
    return io->ops->now_ns(io);
}

/* Microseconds since 1970 UTC. */
static inline int64_t
lk_io_wall_us(struct lk_io *io)
{
    return io->ops->wall_us(io);
}

/* Fit for secrets (simulation: from its seed). */
static inline void
lk_io_random(struct lk_io *io, void *out, size_t bytes)
{
    io->ops->random(io, out, bytes);
}

/*
 * Names what this thread is doing ("group commit", "flush", ...), for the simulation's accounts of
 * calls and crashes. Text must be static. Gives the previous one. Set it right around the calls:
 * a task that parks may wake on another thread.
 */
const char *lk_io_phase(const char *label);
const char *lk_io_phase_now(void); /* never NULL; "" outside any */

static inline void
lk_io_phase_restore_(const char **previous)
{
    lk_io_phase(*previous);
}

/* LK_IO_PHASE("flush"); holds until the end of the block. */
#define LK_IO_PHASE(label)           LK_IO_PHASE_AT_(label, __LINE__)
#define LK_IO_PHASE_AT_(label, line) LK_IO_PHASE_NAMED_(label, line)
#define LK_IO_PHASE_NAMED_(label, line)                                                     \
    const char *lk_io_phase_##line __attribute__((cleanup(lk_io_phase_restore_), unused)) = \
        lk_io_phase(label)

/* Messages into a file: opens (and on each call reopens, for rotation) and installs it as the sink.
 * On an error the sink in use stays. */
LUMA_NODISCARD luma_rc lk_io_log_open(struct luma_ctx *ctx, const char *path);

#endif
