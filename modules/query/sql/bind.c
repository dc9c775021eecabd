/*
 * bind.c - the context of one binding: memory that is always there, errors that unwind, positions.
 */
#include <stdio.h>

#include "sql.h"

void
sql_throw(struct sql_bind *b, int32_t location, luma_rc rc)
{
    if (b->ctx->error->position == 0)
        b->ctx->error->position = sql_char_position(b->text, b->text_bytes, location);
    longjmp(*b->escape, rc == LUMA_OK ? LUMA_E_INTERNAL : rc);
}

void
sql_hint(struct sql_bind *b, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    b->ctx->error->hint = luma_arena_text(b->ctx->arena, text, strlen(text));
}

void
sql_check(struct sql_bind *b, int32_t location, luma_rc rc)
{
    if (rc != LUMA_OK)
        sql_throw(b, location, rc);
}

void *
sql_alloc(struct sql_bind *b, size_t bytes)
{
    void *p = luma_arena_zalloc(b->arena, bytes == 0 ? 1 : bytes);
    if (p == NULL)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    return p;
}

char *
sql_text_of(struct sql_bind *b, const void *data, size_t bytes)
{
    char *copy = sql_alloc(b, bytes + 1);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

char *
sql_text(struct sql_bind *b, const char *text)
{
    return sql_text_of(b, text, strlen(text));
}

const char *
sql_format(struct sql_bind *b, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return sql_text(b, text);
}

const char *
sql_type_text(struct sql_bind *b, struct luma_type type)
{
    if (type.id == LUMA_TYPE_UNKNOWN)
        return "unknown";
    if (luma_type_is_made(type))
        return sql_made_type_text(b, type);
    type.mod = -1;
    type.scale = 0;
    const char *text = sql_host->data->type_text(type, b->arena);
    return text != NULL ? text : "?";
}

struct guarded {
    struct sql_bind *b;
    void (*fn)(struct sql_bind *b, void *arg);
    void *arg;
    luma_rc rc;
};

static void
guarded_on_stack(void *arg)
{
    struct guarded *g = arg;
    jmp_buf escape, *outer = g->b->escape;
    g->b->escape = &escape;
    int rc = setjmp(escape);
    if (rc == 0)
        g->fn(g->b, g->arg);
    g->rc = rc;
    g->b->escape = outer;
}

luma_rc
sql_guard(struct sql_bind *b, void (*fn)(struct sql_bind *b, void *arg), void *arg)
{
    struct guarded g = {b, fn, arg, LUMA_OK};
    sql_functions_load();
    sql_host->sched->on_stack(LUMA_STACK_PARSER, guarded_on_stack, &g);
    return g.rc;
}

void
sql_bind_init(struct sql_bind *b, struct luma_ctx *ctx, struct luma_session *session,
              struct luma_txn *txn, struct luma_arena *arena, const char *text, size_t text_bytes)
{
    memset(b, 0, sizeof(*b));
    b->ctx = ctx;
    b->session = session;
    b->own = sql_session_of(session);
    b->txn = txn;
    b->view = sql_host->catalog->view(txn);
    b->arena = arena;
    b->text = text;
    b->text_bytes = text_bytes;
    b->in_view = b->own->foreign_run != NULL; /* whoever made the constraint had the rights */
}
