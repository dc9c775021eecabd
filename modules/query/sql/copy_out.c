/*
 * copy_out.c - COPY ... TO STDOUT in text, csv and binary form.
 */
#include <stdlib.h>

#include "copy.h"

struct copy_out {
    struct sql_copy *copy;
    struct luma_copy_io *io;
    const struct luma_format *format;
    char *buffer;
    size_t bytes, room;
    char *value; /* text form of one value */
    size_t value_room;
};

static luma_rc
need(struct luma_ctx *ctx, char **buffer, size_t *room, size_t bytes)
{
    if (bytes <= *room)
        return LUMA_OK;
    char *grown = realloc(*buffer, bytes * 2);
    if (grown == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *buffer = grown;
    *room = bytes * 2;
    return LUMA_OK;
}

static void
put_escaped(struct copy_out *out, const char *text, size_t bytes)
{
    static const char from[] = "\b\f\n\r\t\v", to[] = "bfnrtv";
    char delimiter = out->copy->opts.delimiter;
    for (size_t i = 0; i < bytes; i++) {
        const char *special = text[i] != '\0' ? strchr(from, text[i]) : NULL;
        if (special != NULL) {
            out->buffer[out->bytes++] = '\\';
            out->buffer[out->bytes++] = to[special - from];
        } else if (text[i] == '\\' || text[i] == delimiter) {
            out->buffer[out->bytes++] = '\\';
            out->buffer[out->bytes++] = text[i];
        } else {
            out->buffer[out->bytes++] = text[i];
        }
    }
}

static bool
csv_needs_quotes(const struct copy_out *out, const char *text, size_t bytes, uint32_t col)
{
    const struct sql_copy_opts *o = &out->copy->opts;
    if (o->force_quote != NULL && o->force_quote[col])
        return true;
    if (bytes == o->null_bytes && memcmp(text, o->null, bytes) == 0)
        return true;
    if (bytes == 2 && text[0] == '\\' && text[1] == '.')
        return true;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == o->delimiter || text[i] == o->quote || text[i] == '\n' || text[i] == '\r')
            return true;
    return false;
}

static void
put_csv(struct copy_out *out, const char *text, size_t bytes, uint32_t col)
{
    const struct sql_copy_opts *o = &out->copy->opts;
    if (!csv_needs_quotes(out, text, bytes, col)) {
        memcpy(out->buffer + out->bytes, text, bytes);
        out->bytes += bytes;
        return;
    }
    out->buffer[out->bytes++] = o->quote;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == o->quote || text[i] == o->escape)
            out->buffer[out->bytes++] = o->escape;
        out->buffer[out->bytes++] = text[i];
    }
    out->buffer[out->bytes++] = o->quote;
}

static luma_rc
put_text_field(struct luma_ctx *ctx, struct copy_out *out, const char *text, size_t bytes,
               uint32_t col)
{
    LUMA_TRY(need(ctx, &out->buffer, &out->room, out->bytes + bytes * 2 + 8));
    if (out->copy->opts.format == SQL_COPY_CSV)
        put_csv(out, text, bytes, col);
    else
        put_escaped(out, text, bytes);
    return LUMA_OK;
}

static luma_rc
put_text_row(struct luma_ctx *ctx, struct copy_out *out, const struct luma_batch *batch,
             uint32_t row, uint32_t cols)
{
    const struct sql_copy_opts *o = &out->copy->opts;
    out->bytes = 0;
    for (uint32_t c = 0; c < cols; c++) {
        const struct luma_vec *vec = &batch->cols[c];
        LUMA_TRY(need(ctx, &out->buffer, &out->room, out->bytes + o->null_bytes + 4));
        if (c > 0)
            out->buffer[out->bytes++] = o->delimiter;
        if (luma_vec_is_null(vec, row)) {
            memcpy(out->buffer + out->bytes, o->null, o->null_bytes);
            out->bytes += o->null_bytes;
            continue;
        }
        LUMA_TRY(
            need(ctx, &out->value, &out->value_room, sql_host->data->text_bound(vec, row) + 1));
        size_t bytes = sql_host->data->text_write(vec, row, out->format, out->value);
        LUMA_TRY(put_text_field(ctx, out, out->value, bytes, c));
    }
    LUMA_TRY(need(ctx, &out->buffer, &out->room, out->bytes + 1));
    out->buffer[out->bytes++] = '\n';
    return out->io->write(ctx, out->io, out->buffer, out->bytes);
}

static void
put_big(char *at, uint32_t v)
{
    at[0] = (char)(v >> 24);
    at[1] = (char)(v >> 16);
    at[2] = (char)(v >> 8);
    at[3] = (char)v;
}

static luma_rc
put_binary_row(struct luma_ctx *ctx, struct copy_out *out, const struct luma_batch *batch,
               uint32_t row, uint32_t cols)
{
    LUMA_TRY(need(ctx, &out->buffer, &out->room, 2));
    out->buffer[0] = (char)(cols >> 8);
    out->buffer[1] = (char)cols;
    out->bytes = 2;
    for (uint32_t c = 0; c < cols; c++) {
        const struct luma_vec *vec = &batch->cols[c];
        bool is_null = luma_vec_is_null(vec, row);
        size_t bound = is_null ? 0 : sql_host->data->binary_bound(vec, row);
        LUMA_TRY(need(ctx, &out->buffer, &out->room, out->bytes + bound + 4));
        size_t bytes = is_null ? 0
                               : sql_host->data->binary_write_as(vec, row, out->format,
                                                                 out->buffer + out->bytes + 4);
        put_big(out->buffer + out->bytes, is_null ? UINT32_MAX : (uint32_t)bytes);
        out->bytes += 4 + bytes;
    }
    return out->io->write(ctx, out->io, out->buffer, out->bytes);
}

static luma_rc
put_header(struct luma_ctx *ctx, struct copy_out *out, const struct luma_result *result)
{
    static const char binary[19] = "PGCOPY\n\377\r\n";
    const struct sql_copy_opts *o = &out->copy->opts;
    if (o->format == SQL_COPY_BINARY)
        return out->io->write(ctx, out->io, binary, sizeof(binary));
    if (!o->header)
        return LUMA_OK;
    out->bytes = 0;
    for (uint32_t c = 0; c < result->cols_count; c++) {
        LUMA_TRY(need(ctx, &out->buffer, &out->room, out->bytes + 4));
        if (c > 0)
            out->buffer[out->bytes++] = o->delimiter;
        LUMA_TRY(put_text_field(ctx, out, result->cols[c].name, strlen(result->cols[c].name), c));
    }
    out->buffer[out->bytes++] = '\n';
    return out->io->write(ctx, out->io, out->buffer, out->bytes);
}

static luma_rc
put_rows(struct luma_ctx *ctx, struct copy_out *out, struct luma_result *result, uint64_t *out_rows)
{
    bool binary = out->copy->opts.format == SQL_COPY_BINARY;
    struct luma_batch *batch = NULL;
    LUMA_TRY(out->io->begin_out(ctx, out->io, binary, result->cols_count));
    LUMA_TRY(put_header(ctx, out, result));
    for (;;) {
        LUMA_TRY(result->next(ctx, result, &batch));
        if (batch->sel_rows == 0)
            break;
        for (uint32_t i = 0; i < batch->sel_rows; i++) {
            uint32_t row = luma_batch_row(batch, i);
            LUMA_TRY(binary ? put_binary_row(ctx, out, batch, row, result->cols_count)
                            : put_text_row(ctx, out, batch, row, result->cols_count));
        }
        *out_rows += batch->sel_rows;
        LUMA_TRY(sql_host->sched->yield(ctx));
    }
    if (binary)
        LUMA_TRY(out->io->write(ctx, out->io, "\377\377", 2));
    return out->io->end_out(ctx, out->io);
}

/* ---- the query ---- */

struct table_call {
    struct sql_copy *copy;
    struct sql_bound *bound;
};

static void
bind_table(struct sql_bind *b, void *arg)
{
    struct table_call *call = arg;
    struct sql_copy *copy = call->copy;
    struct sql_relation rel = {copy->table, NULL, "public"};
    struct luma_plan *scan = NULL;
    sql_item_of_table(b, &rel, NULL, false, LUMA_RIGHT_SELECT, &scan);
    struct luma_expr **exprs = SQL_NEW_ARRAY(b, struct luma_expr *, copy->cols_count);
    struct luma_result_col *cols = SQL_NEW_ARRAY(b, struct luma_result_col, copy->cols_count);
    for (uint32_t i = 0; i < copy->cols_count; i++) {
        exprs[i] = sql_col(b, (int32_t)copy->cols[i], copy->table->cols[copy->cols[i]].type);
        cols[i].name = sql_text(b, copy->table->cols[copy->cols[i]].name);
        cols[i].type = exprs[i]->type;
    }
    call->bound->plan = sql_plan_project(b, scan, copy->cols_count, exprs, NULL);
    call->bound->cols = cols;
    call->bound->cols_count = copy->cols_count;
    call->bound->returns_rows = true;
    call->bound->tag = "COPY";
}

static luma_rc
bind_source(struct sql_copy *copy, struct sql_bound **out_bound)
{
    struct sql_utility *u = copy->u;
    if (copy->table == NULL) {
        if (!sql_stmt_is_plan(copy->stmt->query))
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                 "COPY query must be a query or a change with RETURNING");
        return sql_bind_node(u->ctx, u->session, u->txn, u->stmt->parse->text,
                             u->stmt->parse->bytes, copy->stmt->query, NULL, 0, out_bound);
    }
    struct luma_arena *arena = sql_host->mem->arena_create(NULL, 8192);
    struct sql_bound *bound = arena != NULL ? LUMA_NEW(arena, struct sql_bound) : NULL;
    if (bound == NULL) {
        sql_host->mem->arena_destroy(arena);
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    }
    bound->refs = 1;
    bound->arena = arena;
    struct table_call call = {copy, bound};
    struct sql_bind b;
    sql_bind_init(&b, u->ctx, u->session, u->txn, arena, NULL, 0);
    luma_rc rc = sql_guard(&b, bind_table, &call);
    if (rc != LUMA_OK) {
        sql_bound_release(bound);
        return rc;
    }
    *out_bound = bound;
    return LUMA_OK;
}

luma_rc
sql_copy_to(struct sql_copy *copy)
{
    struct sql_utility *u = copy->u;
    struct copy_out out = {
        .copy = copy, .io = u->opts->copy, .format = sql_host->session->format(u->session)};
    struct sql_bound *bound = NULL;
    struct luma_result *inner = NULL, *result = NULL;
    uint64_t rows = 0;
    LUMA_TRY(bind_source(copy, &bound));
    luma_rc rc = sql_bound_compile(u->ctx, u->session, u->txn, bound);
    if (rc == LUMA_OK && bound->cols_count == 0)
        rc = LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                           "COPY query must have a RETURNING clause");
    if (rc == LUMA_OK)
        rc = sql_engine->open(u->ctx, u->session, u->txn, bound->query, NULL, 0, &inner);
    if (rc == LUMA_OK)
        rc = sql_result_wrap(u->ctx, u->session, bound, inner, false, &result);
    sql_bound_release(bound);
    if (rc == LUMA_OK) {
        rc = put_rows(u->ctx, &out, result, &rows);
        result->close(result);
    }
    free(out.buffer);
    free(out.value);
    if (rc != LUMA_OK)
        return rc;
    return sql_result_done(u->ctx, u->session, "COPY", true, rows, u->out_result);
}
