/*
 * storage/backup - copies of a data folder, taken while a server works on it, and the way back.
 *
 * A backup place is a folder that keeps any number of backups of one store. Objects never change
 * and their names are unique, so backups share them: the next one copies only what is new.
 *
 *   PLACE/store                  whose backups these are
 *   PLACE/objects/               segments, index runs, packs
 *   PLACE/20260131T101500Z/      one backup: manifest/, wal/ and, written last, "backup"
 *
 * While a backup is taken its process holds DIR/backup.lock. A server that finds it held removes no
 * object and trims no log; both look only after the manifest has changed, so that whoever holds the
 * lock finds everything the manifest names. Nothing else is needed: no connection to the server.
 */
#ifndef LK_STORAGE_BACKUP_H
#define LK_STORAGE_BACKUP_H

#include "io/io.h"

struct lk_store_conf;

#define LK_BACKUP_NAME_BYTES 20

/* What a backup says of itself. */
struct lk_backup_info {
    char name[LK_BACKUP_NAME_BYTES]; /* when it was begun, UTC */
    uint64_t store_id;
    int64_t begun_us, ended_us;
    uint64_t commit;       /* newest one in it */
    uint64_t objects;      /* in all */
    uint64_t bytes;        /* of them and the log */
    uint64_t bytes_copied; /* that the place did not have yet */
};

struct lk_backup_say {
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t all_bytes); /* NULL: nobody listens */
    void *arg;
};

/*
 * Backs the data folder `dir` up to `place` (made when it is not there). It holds every commit that
 * was acknowledged before the call.
 *
 * Errors:  LUMA_E_BUSY another backup is being taken; LUMA_E_INVALID the place is another store's;
 *          what has been copied by then stays for the next attempt.
 */
LUMA_NODISCARD luma_rc lk_backup_take(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                      const char *place, const struct lk_backup_say *say,
                                      struct lk_backup_info *out_info);

/* Whole backups of a place, oldest first, until fn gives something other than LUMA_OK. */
LUMA_NODISCARD luma_rc lk_backup_each(struct luma_ctx *ctx, struct lk_io *io, const char *place,
                                      luma_rc (*fn)(void *arg, const struct lk_backup_info *info),
                                      void *arg);

/* Where a restore ends. */
struct lk_backup_until {
    const char *backup;      /* name; NULL: the newest that is old enough */
    int64_t time_us;         /* commits up to this time; 0: all */
    uint64_t commit;         /* commits up to this one; 0: all */
    const char *const *logs; /* folders with archived log, or the lost folder's own log */
    uint32_t logs_count;
};

/*
 * Makes the data folder conf->dir (absent or empty) from a backup and, with logs, what came after
 * it. An interrupted restore leaves a folder that no server opens; run it again.
 */
LUMA_NODISCARD luma_rc lk_backup_restore(struct luma_ctx *ctx, const struct lk_store_conf *conf,
                                         const char *place, const struct lk_backup_until *until,
                                         const struct lk_backup_say *say,
                                         struct lk_backup_info *out_info);

#endif
