/* storage/backup/backup_priv.h - what taking and restoring share. */
#ifndef LK_STORAGE_BACKUP_PRIV_H
#define LK_STORAGE_BACKUP_PRIV_H

#include "base/base.h"
#include "storage/backup/backup.h"

#define LKI_BACKUP_FORMAT 1

/* Copies from place to place, with account of the bytes. */
struct lki_copy {
    struct luma_ctx *ctx;
    struct lk_io *io;
    const struct lk_backup_say *say;
    uint64_t done, all, copied;
    uint8_t *buffer;
};
LUMA_NODISCARD luma_rc lki_copy_init(struct lki_copy *copy, struct luma_ctx *ctx, struct lk_io *io,
                                     const struct lk_backup_say *say);
void lki_copy_fini(struct lki_copy *copy);
/* A file, durable under its name (of whose folder the caller makes the names durable). */
LUMA_NODISCARD luma_rc lki_copy_file(struct lki_copy *copy, const char *from, const char *to);
/* Bytes that need not be copied. */
void lki_copy_skip(struct lki_copy *copy, uint64_t bytes);

/* Text in ctx->arena; NULL: no memory (reported). */
char *lki_backup_path(struct luma_ctx *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Objects that a manifest and the log behind it name. */
struct lki_object {
    uint32_t kind; /* enum lk_object_kind */
    uint64_t id, bytes;
    const char *elsewhere; /* the folder that has it, if the data folder has not; NULL: none */
};
struct lki_objects {
    struct lki_object *items;
    size_t count, room;
};
/* Of the manifest and log in `dir`; *out_commit: the newest in the log. */
LUMA_NODISCARD luma_rc lki_backup_objects(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                          struct lki_objects *out, uint64_t *out_commit);
/* Its file: "0000000000000007.segment". */
char *lki_backup_object_name(struct luma_ctx *ctx, const struct lki_object *object);

/* A log file by its header. */
struct lki_log {
    char *path;
    uint64_t number, epoch;
};
/* The log files of a store in a folder, by number; in ctx->arena. */
LUMA_NODISCARD luma_rc lki_backup_logs(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                       uint64_t store_id, struct lki_log **out_logs,
                                       size_t *out_count);
/* Store id of a manifest, and the log file where replay of it begins. */
LUMA_NODISCARD luma_rc lki_backup_state(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                        uint64_t *out_store_id, uint64_t *out_log);

#endif
