/*
 * report.c - errors, notices and settings as the client hears them.
 */
#include <stdio.h>

#include "write.h"

/* Field R names the class of the error in errors.def: what a function's name is elsewhere. */
static const char *
class_of(luma_rc code)
{
    switch (code) {
#define LUMA_ERROR(name, ecode, sqlstate, http, grpc, text) \
    case LUMA_E_##name:                                     \
        return #name;
#include <lumadb/errors.def>
#undef LUMA_ERROR
    default:
        return "INTERNAL";
    }
}

static size_t
text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 2;
}

static void
field(struct pg_out *out, char code, const char *text)
{
    if (text == NULL)
        return;
    pg_out_8(out, (uint8_t)code);
    pg_out_text(out, text);
}

static void
number(struct pg_out *out, char code, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    field(out, code, text);
}

static const char *
file_name(const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

void
pg_error(struct pg_conn *c, const char *severity, const struct luma_error *error)
{
    struct pg_out out;
    size_t bound = 200 + strlen(error->message) + text_bytes(error->detail) +
                   text_bytes(error->hint) + text_bytes(error->schema) + text_bytes(error->table) +
                   text_bytes(error->column) + text_bytes(error->constraint) +
                   text_bytes(error->type) + text_bytes(error->context) + text_bytes(error->file);
    c->host->stats->add(c->pg->errors, 1);
    if (!pg_out_begin(c, &out, 'E', bound))
        return;
    field(&out, 'S', severity);
    field(&out, 'V', severity);
    field(&out, 'C', error->sqlstate[0] == '\0' ? "XX000" : error->sqlstate);
    field(&out, 'M', error->message);
    field(&out, 'D', error->detail);
    field(&out, 'H', error->hint);
    if (error->position != 0)
        number(&out, 'P', error->position);
    field(&out, 'W', error->context);
    field(&out, 's', error->schema);
    field(&out, 't', error->table);
    field(&out, 'c', error->column);
    field(&out, 'd', error->type);
    field(&out, 'n', error->constraint);
    field(&out, 'F', file_name(error->file));
    if (error->file != NULL)
        number(&out, 'L', (uint32_t)error->line);
    field(&out, 'R', class_of(error->code));
    pg_out_8(&out, 0);
    pg_out_end(c, &out);
}

void
pg_fatal(struct pg_conn *c, const char *sqlstate, const char *fmt, ...)
{
    struct luma_error error;
    memset(&error, 0, sizeof(error));
    error.code = LUMA_E_PROTOCOL;
    memcpy(error.sqlstate, sqlstate, 6);
    va_list args;
    va_start(args, fmt);
    vsnprintf(error.message, sizeof(error.message), fmt, args);
    va_end(args);
    c->host->log->write(LUMA_LOG_INFO, PG_WHO, "%s: %s (%s)", c->net->peer(c->conn), error.message,
                        sqlstate);
    pg_error(c, "FATAL", &error);
    (void)pg_flush(c);
    if (c->io == LUMA_OK)
        c->io = LUMA_E_CLOSED;
}

luma_rc
pg_violation(struct luma_ctx *ctx, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_PROTOCOL, "%s", what);
}

void
pg_notice_hook(void *arg, const char *severity, const char *sqlstate, const char *message,
               const char *detail, const char *hint)
{
    struct pg_conn *c = arg;
    struct pg_out out;
    size_t bound =
        40 + 2 * text_bytes(severity) + text_bytes(message) + text_bytes(detail) + text_bytes(hint);
    if (!pg_out_begin(c, &out, 'N', bound))
        return;
    field(&out, 'S', severity);
    field(&out, 'V', severity);
    field(&out, 'C', sqlstate == NULL ? "00000" : sqlstate);
    field(&out, 'M', message);
    field(&out, 'D', detail);
    field(&out, 'H', hint);
    pg_out_8(&out, 0);
    pg_out_end(c, &out);
}

void
pg_parameter_hook(void *arg, const char *name, const char *value)
{
    struct pg_conn *c = arg;
    struct pg_out out;
    if (!c->started || !pg_out_begin(c, &out, 'S', strlen(name) + strlen(value) + 2))
        return;
    pg_out_text(&out, name);
    pg_out_text(&out, value);
    pg_out_end(c, &out);
}
