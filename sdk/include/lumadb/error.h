/*
 * lumadb/error.h - the request context and the error it carries.
 *
 * LUMA_FAIL keeps file, line and text in the request's context and gives the code back, LUMA_TRY
 * passes it up unchanged, the frontend logs it once. A function either reports or returns.
 */
#ifndef LUMADB_ERROR_H
#define LUMADB_ERROR_H

#include <lumadb/base.h>

struct luma_arena;
struct luma_session;
struct luma_cancel;

/* What went wrong, in the words every protocol needs. Strings live in the context's own storage
 * (message) or in the statement arena (the others, NULL: absent) until the next reset. */
struct luma_error {
    luma_rc code;      /* LUMA_OK: no error */
    char sqlstate[6];  /* five characters and NUL */
    uint32_t position; /* 1-based character in the statement text; 0: unknown */
    const char *file;  /* where it was born */
    int line;
    const char *detail, *hint;
    const char *schema, *table, *column, *constraint, *type;
    const char *context; /* where in the data: "COPY t, line 7, column c" */
    char message[1024];
};

/* One per request or background task; passed down every call. Not shared between threads:
 * parallel parts get their own (luma_sched.parallel makes them) and the first error is merged. */
struct luma_ctx {
    struct luma_arena *arena;     /* statement lifetime */
    struct luma_session *session; /* NULL: the kernel itself */
    struct luma_cancel *cancel;   /* NULL: cannot be cancelled */
    struct luma_error *error;     /* never NULL */
    /* Fills *error and returns code; sqlstate NULL: the default of errors.def. Formats itself, so
     * that modules need no symbol of the program. The first error wins until it is reset. */
    luma_rc (*fail)(struct luma_ctx *ctx, luma_rc code, const char *sqlstate, const char *file,
                    int line, const char *fmt, ...) LUMA_PRINTF(6, 7);
};

/* report an error: return LUMA_FAIL(ctx, LUMA_E_RANGE, "integer out of range"); */
#define LUMA_FAIL(ctx, code, ...) \
    (((ctx)->fail)((ctx), (code), NULL, __FILE__, __LINE__, __VA_ARGS__))
/* the same with a precise SQLSTATE */
#define LUMA_FAIL_SQL(ctx, code, sqlstate, ...) \
    (((ctx)->fail)((ctx), (code), (sqlstate), __FILE__, __LINE__, __VA_ARGS__))

#define LUMA_TRY(call)                          \
    do {                                        \
        luma_rc luma_rc_ = (call);              \
        if (LUMA_UNLIKELY(luma_rc_ != LUMA_OK)) \
            return luma_rc_;                    \
    } while (0)

static inline void
luma_error_reset(struct luma_error *error)
{
    memset(error, 0, offsetof(struct luma_error, message) + 1);
}

#endif
