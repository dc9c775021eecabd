/*
 * wal/wal_priv.h - the log's files and records. docs/formats/log.md draws them.
 */
#ifndef LK_STORAGE_WAL_PRIV_H
#define LK_STORAGE_WAL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/wal/wal.h"

#define LKI_WAL_MAGIC        0x314c4157414d554cULL /* "LUMAWAL1" */
#define LKI_WAL_VERSION      1u
#define LKI_WAL_HEADER_BYTES 4096u
#define LKI_WAL_RECORD_BYTES 40u
#define LKI_WAL_ALIGN        8u
#define LKI_WAL_CONTINUED    1u /* flag: the payload goes on in the next record */
#define LKI_WAL_SPARES       2u

/* First sector of a file. */
struct lki_wal_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc; /* CRC-32C of the header with this field 0 */
    uint64_t store_id;
    uint64_t file;     /* number of the file: part of every record's checksum */
    uint64_t epoch;    /* of the owner that writes it */
    uint64_t prev_end; /* where the file before ended */
    uint64_t commit;   /* of the last record before */
};

struct lki_wal_record {
    uint32_t crc; /* CRC-32C of the file's number, its epoch and the rest of this header */
    uint32_t payload_bytes;
    uint64_t commit;
    uint64_t durable; /* lsn: everything before it was durable when this was put together */
    uint64_t lsn;
    uint32_t payload_crc;
    uint32_t flags;
};
_Static_assert(sizeof(struct lki_wal_record) == LKI_WAL_RECORD_BYTES, "on disk");

struct lki_wal_file {
    struct lki_wal_file *next;
    struct lk_file *file;
    char *path;
    uint64_t number; /* 0: a spare */
    uint64_t epoch;
    bool archived;
};

/* Bytes that go to one file with one write and one sync. */
struct lki_wal_batch {
    struct lki_wal_batch *next;
    struct lki_wal_file *file;
    uint64_t offset;
    uint64_t commit; /* of its last record */
    bool opens;      /* begins with the file's header */
    struct lk_bytes data;
};

struct lki_wal_waiter {
    struct lki_wal_waiter *next;
    uint64_t commit;
    struct luma_event event;
};

struct lk_wal {
    struct lk_wal_conf conf;
    char *dir;
    uint64_t epoch;
    uint64_t part_bytes; /* largest payload of one record */

    struct lk_mutex lock;                    /* WAL; below it */
    struct lk_cond work;                     /* the writer sleeps on it */
    struct lki_wal_file *files, *files_tail; /* oldest first; tail is written */
    struct lki_wal_file *spares;
    uint32_t spares_count, names; /* names: file names handed out */
    uint64_t offset;              /* of the next record in the tail */
    uint64_t last_commit;
    struct lki_wal_batch *batches, *batches_tail, *batches_free;
    struct lki_wal_waiter *waiters;
    bool writing, sealed, closing, sleeping;
    uint64_t synced_at_ns;
    struct lki_wal_file *unsynced; /* async: the file with written, unsynced bytes */
    struct lk_wal_stats stats;

    _Atomic uint64_t durable_commit;
    _Atomic uint64_t synced_commit; /* async: behind durable_commit */
    _Atomic uint64_t durable_lsn;
    _Atomic bool failed;
    struct lk_mutex prepare_lock; /* one thread makes files */
    pthread_t thread;
    bool has_thread;
};

static inline lk_lsn
lki_wal_lsn(uint64_t file, uint64_t offset)
{
    return (file << 32) | offset;
}

static inline uint64_t
lki_wal_padded(uint64_t bytes)
{
    return (bytes + (LKI_WAL_ALIGN - 1)) & ~(uint64_t)(LKI_WAL_ALIGN - 1);
}

uint32_t lki_wal_record_crc(uint64_t file, uint64_t epoch, const struct lki_wal_record *record);
uint32_t lki_wal_header_crc(const struct lki_wal_header *header);

/* Writes everything appended; returns when another does so already. WAL is held on entry and exit,
 * not in between. */
void lki_wal_flush(struct lk_wal *wal);
/* Makes spare files until there are `count`. */
LUMA_NODISCARD luma_rc lki_wal_prepare(struct luma_ctx *ctx, struct lk_wal *wal, uint32_t count);
void *lki_wal_thread(void *arg);

#endif
