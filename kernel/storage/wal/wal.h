/*
 * storage/wal - the write-ahead log: redo records in commit order, durable by group commit.
 *
 * An interface of append, read, seal and trim over an opaque, ordered position (lsn). Here it is
 * kept in preallocated files that are overwritten; nothing above knows.
 *
 * Locks: WAL. Phases (io.h): "group commit", "log roll".
 */
#ifndef LK_STORAGE_WAL_H
#define LK_STORAGE_WAL_H

#include <lumadb/host/sched.h>

#include "io/io.h"

typedef uint64_t lk_lsn; /* opaque, ordered; 0: before everything */

#define LK_WAL_FILE_BYTES_MIN (64u << 10)

struct lk_wal;

struct lk_wal_conf {
    struct lk_io *io;
    const char *dir; /* of the log's files; exists */
    uint64_t store_id;
    uint64_t file_bytes;
    uint64_t async_flush_ns;
    const char *archive_dir; /* full files are copied there before they go; NULL: nowhere */
    bool async;              /* "written" is enough for lk_wal_wait */
    bool inline_write;       /* waiters write themselves; else a thread does */
    const struct luma_host_sched *sched;
};

/* One appended payload, put together again. */
struct lk_wal_record {
    lk_lsn lsn;
    uint64_t commit;
    struct luma_slice payload;
    uint64_t done_bytes, all_bytes; /* of the log being read; all: nearly */
    uint64_t epoch;                 /* its owner's */
};

/* Where reading ended: what lk_wal_open continues from. */
struct lk_wal_end {
    uint64_t file;   /* number of the last file; 0: none */
    uint64_t offset; /* end of the last whole record in it */
    uint64_t epoch;  /* highest owner seen */
    uint64_t commit; /* of the last record, 0: none */
    uint64_t records;
};

/*
 * Reads everything from `from` on, in order.
 *
 * A record that is not whole ends the log if it can be the torn end of a crash: no later file
 * exists, and no later record says that this place had been durable. Otherwise LUMA_E_CORRUPT
 * names file and offset. fn's error ends the reading and is returned.
 */
LUMA_NODISCARD luma_rc lk_wal_read(struct luma_ctx *ctx, const struct lk_wal_conf *conf,
                                   lk_lsn from,
                                   luma_rc (*fn)(void *arg, struct luma_ctx *ctx,
                                                 const struct lk_wal_record *record),
                                   void *arg, struct lk_wal_end *out_end);

/* Opens for appending behind `end`, under a higher epoch, in a new file. Makes what was read
 * durable first: it may have been in the page cache only. */
LUMA_NODISCARD luma_rc lk_wal_open(struct luma_ctx *ctx, const struct lk_wal_conf *conf,
                                   const struct lk_wal_end *end, struct lk_wal **out_wal);
uint64_t lk_wal_epoch(const struct lk_wal *wal);
void lk_wal_close(struct lk_wal *wal); /* writes what was appended; NULL is fine */

/* Makes sure that payloads of `bytes` in all find room: may create files. LUMA_E_FULL. */
LUMA_NODISCARD luma_rc lk_wal_room(struct luma_ctx *ctx, struct lk_wal *wal, uint64_t bytes);

/*
 * Takes a place for the payload; the caller orders the calls (commit numbers ascend).
 *
 * Owns:    the bytes are copied.
 * Errors:  LUMA_E_AGAIN no room prepared: lk_wal_room, then once more; LUMA_E_IO the log has failed
 *          and takes nothing more. Reports nothing.
 * Threads: any, never parks, does no I/O.
 */
LUMA_NODISCARD luma_rc lk_wal_append(struct lk_wal *wal, uint64_t commit, struct luma_slice payload,
                                     uint32_t payload_crc, lk_lsn *out_lsn);

/* Parks until the record of `commit` is durable (async: written). LUMA_E_IO: the log failed and it
 * is not known to be. */
LUMA_NODISCARD luma_rc lk_wal_wait(struct luma_ctx *ctx, struct lk_wal *wal, uint64_t commit);
/* Async with inline_write: syncs what is due, as the log's thread does where there is one. */
void lk_wal_tick(struct lk_wal *wal);
/* Newest commit number for which lk_wal_wait returns at once. */
uint64_t lk_wal_durable(const struct lk_wal *wal);
/* Newest commit number that a power cut leaves: what is gone for every snapshot of it may go from
 * the disk. Behind lk_wal_durable when async. */
uint64_t lk_wal_synced(const struct lk_wal *wal);
bool lk_wal_failed(const struct lk_wal *wal);

lk_lsn lk_wal_position(struct lk_wal *wal); /* of the next record */
/* Nothing before lsn is needed any more. What is to be archived and is not yet stays. */
void lk_wal_trim(struct lk_wal *wal, lk_lsn lsn);
/* Copies full files to the archive that it has not; one thread at a time. */
LUMA_NODISCARD luma_rc lk_wal_archive(struct luma_ctx *ctx, struct lk_wal *wal);
/* Nothing is appended any more; what was is durable on return. */
LUMA_NODISCARD luma_rc lk_wal_seal(struct luma_ctx *ctx, struct lk_wal *wal);

struct lk_wal_stats {
    uint64_t records, bytes, syncs, batches, files;
};
void lk_wal_stats(struct lk_wal *wal, struct lk_wal_stats *out);

#endif
