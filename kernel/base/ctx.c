/* base/ctx.c - how errors are kept and what each code means. */
#include "base/ctx.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16
};

static const struct lk_error_info error_table[] = {
#define LUMA_ERROR(name, ecode, sqlstate, http, grpc, text) \
    {#name, ecode, sqlstate, http, GRPC_##grpc, #grpc, text},
#include <lumadb/errors.def>
#undef LUMA_ERROR
};

const struct lk_error_info *
lk_error_info(luma_rc code)
{
    int64_t index = (int64_t)code - LUMA_ERROR_FIRST_ - 1;
    if (index < 0 || index >= (int64_t)LUMA_COUNTOF(error_table))
        index = LUMA_E_INTERNAL - LUMA_ERROR_FIRST_ - 1;
    return &error_table[index];
}

luma_rc
lk_error_from_errno(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return LUMA_E_FULL;
    case ENOMEM:
        return LUMA_E_NOMEM;
    case ENOENT:
    case ENOTDIR:
        return LUMA_E_UNDEFINED;
    case EEXIST:
        return LUMA_E_EXISTS;
    case EACCES:
    case EPERM:
        return LUMA_E_DENIED;
    default:
        return LUMA_E_IO;
    }
}

void
lk_ctx_init(struct lk_ctx *c, struct luma_arena *arena)
{
    memset(&c->ctx, 0, sizeof(c->ctx));
    luma_error_reset(&c->error);
    c->ctx.arena = arena;
    c->ctx.error = &c->error;
    c->ctx.fail = lk_ctx_fail;
}

/* A message cut by its room must not end in half a character. */
static void
trim_utf8(char *text, size_t room, int wanted)
{
    if (wanted < 0) {
        text[0] = '\0';
        return;
    }
    if ((size_t)wanted < room)
        return;
    size_t end = room - 1, start = end;
    while (start > 0 && end - start < 4 && ((uint8_t)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (uint8_t)text[start - 1] >= 0xc0)
        text[start - 1] = '\0';
}

luma_rc
lk_ctx_fail(struct luma_ctx *ctx, luma_rc code, const char *sqlstate, const char *file, int line,
            const char *fmt, ...)
{
    struct luma_error *e = ctx->error;
    LK_ASSERT(code < 0);
    if (e->code != LUMA_OK)
        return code;
    if (sqlstate == NULL)
        sqlstate = lk_error_info(code)->sqlstate;
    e->code = code;
    snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", sqlstate);
    e->file = file;
    e->line = line;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    trim_utf8(e->message, sizeof(e->message), n);
    return code;
}

static const char *
keep_text(struct luma_arena *arena, const char *text)
{
    if (text == NULL || arena == NULL)
        return NULL;
    return luma_arena_text(arena, text, strlen(text));
}

void
lk_ctx_merge(struct luma_ctx *ctx, const struct luma_error *error)
{
    struct luma_error *e = ctx->error;
    if (e == error || e->code != LUMA_OK || error->code == LUMA_OK)
        return;
    *e = *error;
    e->detail = keep_text(ctx->arena, error->detail);
    e->hint = keep_text(ctx->arena, error->hint);
    e->schema = keep_text(ctx->arena, error->schema);
    e->table = keep_text(ctx->arena, error->table);
    e->column = keep_text(ctx->arena, error->column);
    e->constraint = keep_text(ctx->arena, error->constraint);
    e->type = keep_text(ctx->arena, error->type);
    e->context = keep_text(ctx->arena, error->context);
}

luma_rc
lk_ctx_ensure(struct luma_ctx *ctx, luma_rc code)
{
    if (code != LUMA_OK && ctx->error->code == LUMA_OK)
        return LUMA_FAIL(ctx, code, "%s", lk_error_info(code)->text);
    return code;
}
