/* main/main.h - the kernel's parts for whoever has the store inside: kernel/main/embed. */
#ifndef LK_MAIN_MAIN_H
#define LK_MAIN_MAIN_H

#include <lumadb/embed.h>

#include "base/base.h"

/*
 * Starts the store in folder dir with the modules it needs. What was started before an error is
 * stopped again. arena: as long as the store is open.
 */
LUMA_NODISCARD luma_rc lk_main_start(struct luma_ctx *ctx, struct luma_arena *arena,
                                     const char *dir, const struct luma_db_opts *opts);
/* Checkpoints and stops all of it. */
void lk_main_stop(void);

#endif
