/*
 * lumadb/host/temp.h - temporary files: where operators put rows that do not fit their memory.
 *
 * A file has no name outside, is written by appending and read anywhere, and is gone when it is
 * closed, or when the server starts again. All files together stay below the configured limit.
 */
#ifndef LUMADB_HOST_TEMP_H
#define LUMADB_HOST_TEMP_H

#include <lumadb/error.h>

struct luma_temp;

struct luma_host_temp {
    struct luma_head head;
    luma_rc (*create)(struct luma_ctx *ctx, struct luma_temp **out_file);
    /* Appends; *out_offset says where. Any thread, several at once. LUMA_E_FULL: no space (53100),
     * or the limit of all temporary files (53400). May park. */
    luma_rc (*write)(struct luma_ctx *ctx, struct luma_temp *file, const void *data, size_t bytes,
                     uint64_t *out_offset);
    /* Exactly what write has put there. Any thread. May park. */
    luma_rc (*read)(struct luma_ctx *ctx, struct luma_temp *file, void *buf, size_t bytes,
                    uint64_t offset);
    uint64_t (*bytes)(const struct luma_temp *file); /* written so far */
    void (*close)(struct luma_temp *file);           /* and removes it; NULL is fine */
};

#endif
