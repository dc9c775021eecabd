/*
 * storage/temp/temp.h - temporary files of statements, in the folder temp of the data directory.
 */
#ifndef LK_STORAGE_TEMP_H
#define LK_STORAGE_TEMP_H

#include <lumadb/host/temp.h>

#include "io/io.h"

/*
 * Makes the folder, removes what an earlier process left in it, and lets files be made.
 *
 * Owns:    dir is copied.
 * Units:   limit_bytes is for all files together; 0: the disk's.
 * Errors:  LUMA_E_IO, LUMA_E_DENIED, LUMA_E_NOMEM
 */
LUMA_NODISCARD luma_rc lk_temp_start(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                     uint64_t limit_bytes);
/* All files were closed. */
void lk_temp_stop(void);
/* Bytes in all files now. */
uint64_t lk_temp_used(void);

extern const struct luma_host_temp lk_temp_host;

#endif
