/*
 * storage/wal/wal_file.h - files of the log from outside: backups and archives copy them. Their
 * names mean nothing, their headers say what they are.
 */
#ifndef LK_STORAGE_WAL_FILE_H
#define LK_STORAGE_WAL_FILE_H

#include "storage/wal/wal.h"

struct lk_wal_file_id {
    uint64_t number, epoch;
};
/* *out_known false: it is no file of this store's log. */
LUMA_NODISCARD luma_rc lk_wal_file_look(struct luma_ctx *ctx, struct lk_io *io, const char *path,
                                        uint64_t store_id, struct lk_wal_file_id *out_id,
                                        bool *out_known);

#endif
