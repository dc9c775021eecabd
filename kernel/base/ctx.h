/*
 * base/ctx.h - request contexts and the error table behind errors.def.
 */
#ifndef LK_BASE_CTX_H
#define LK_BASE_CTX_H

#include <lumadb/arena.h>
#include <lumadb/error.h>

/* A context with its error inside, for the many places that make one on the stack. */
struct lk_ctx {
    struct luma_ctx ctx;
    struct luma_error error;
};

/* Sets everything; arena may be NULL where nothing of statement lifetime is needed. */
void lk_ctx_init(struct lk_ctx *c, struct luma_arena *arena);

/* luma_ctx.fail of every context. The first error wins until it is reset. */
luma_rc lk_ctx_fail(struct luma_ctx *ctx, luma_rc code, const char *sqlstate, const char *file,
                    int line, const char *fmt, ...) LUMA_PRINTF(6, 7);

/* Copies an error into ctx unless ctx has one already; its strings move to ctx's arena. */
void lk_ctx_merge(struct luma_ctx *ctx, const struct luma_error *error);

/* Reports `code` with its standard text when nobody did; for codes that come back bare. */
luma_rc lk_ctx_ensure(struct luma_ctx *ctx, luma_rc code);

struct lk_error_info {
    const char *name;     /* "CONFLICT" */
    const char *ecode;    /* "E007" */
    const char *sqlstate; /* "40001" */
    int http;
    int grpc; /* status number */
    const char *grpc_name;
    const char *text;
};

/* Never NULL: an unknown code is answered as INTERNAL. */
const struct lk_error_info *lk_error_info(luma_rc code);

/* errno of a failed system call as one of ours: ENOSPC/EDQUOT/EFBIG FULL, ENOMEM NOMEM, else IO. */
luma_rc lk_error_from_errno(int err);

#endif
