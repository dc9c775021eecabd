/*
 * copy_binary.c - COPY ... FROM STDIN in PostgreSQL's binary form: one pass, one part.
 */
#include <stdlib.h>

#include "copy.h"

static const char signature[11] = {'P',  'G',        'C',  'O',  'P', 'Y',
                                   '\n', (char)0xff, '\r', '\n', '\0'};

struct binary_in {
    struct sql_copy *copy;
    char *data; /* unread bytes: [at, bytes) */
    size_t at, bytes, room;
    bool ended, client_done;
    uint64_t row;
    struct luma_arena *arena;
    struct luma_vec *vecs;
    struct luma_value *defaults;
    int32_t *data_col;
    struct luma_plan_change *change;
};

static luma_rc
bad(struct luma_ctx *ctx, const struct binary_in *in, const char *what)
{
    return sql_copy_where(ctx, in->copy, in->row, NULL,
                          LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P04", "%s", what));
}

/* Makes `bytes` readable at in->at; false: the stream ends before. */
static luma_rc
need(struct luma_ctx *ctx, struct binary_in *in, size_t bytes, bool *out_there)
{
    struct luma_copy_io *io = in->copy->u->opts->copy;
    while (in->bytes - in->at < bytes && !in->client_done) {
        struct luma_slice piece;
        LUMA_TRY(io->read(ctx, io, &piece));
        if (piece.bytes == 0) {
            in->client_done = true;
            break;
        }
        if (in->at > 0)
            memmove(in->data, in->data + in->at, in->bytes - in->at);
        in->bytes -= in->at;
        in->at = 0;
        if (in->bytes + piece.bytes > in->room) {
            size_t room = (in->bytes + piece.bytes) * 2;
            char *grown = realloc(in->data, room);
            if (grown == NULL)
                return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
            in->data = grown;
            in->room = room;
        }
        memcpy(in->data + in->bytes, piece.data, piece.bytes);
        in->bytes += piece.bytes;
    }
    *out_there = in->bytes - in->at >= bytes;
    return LUMA_OK;
}

static uint32_t
big32(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static luma_rc
read_header(struct luma_ctx *ctx, struct binary_in *in)
{
    bool there;
    LUMA_TRY(need(ctx, in, 19, &there));
    if (!there || memcmp(in->data + in->at, signature, sizeof(signature)) != 0)
        return bad(ctx, in, "COPY file signature not recognized");
    uint32_t flags = big32(in->data + in->at + 11), extra = big32(in->data + in->at + 15);
    if ((flags >> 16) != 0)
        return bad(ctx, in, "unrecognized critical flags in COPY file header");
    in->at += 19;
    if (extra > (1u << 20))
        return bad(ctx, in, "invalid COPY file header (wrong length)");
    LUMA_TRY(need(ctx, in, extra, &there));
    if (!there)
        return bad(ctx, in, "invalid COPY file header (missing length)");
    in->at += extra;
    return LUMA_OK;
}

static luma_rc
read_field(struct luma_ctx *ctx, struct binary_in *in, uint32_t col, uint32_t row)
{
    bool there;
    uint32_t table_col = in->copy->cols[col];
    struct luma_vec *vec = &in->vecs[table_col];
    LUMA_TRY(need(ctx, in, 4, &there));
    if (!there)
        return bad(ctx, in, "unexpected EOF in COPY data");
    uint32_t bytes = big32(in->data + in->at);
    in->at += 4;
    if (bytes == UINT32_MAX) {
        if (!luma_vec_need_valid(vec, in->arena, LUMA_BATCH_ROWS))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        luma_bit_clear(vec->valid, row);
        return LUMA_OK;
    }
    if (bytes > (1u << 30))
        return bad(ctx, in, "invalid field size");
    LUMA_TRY(need(ctx, in, bytes, &there));
    if (!there)
        return bad(ctx, in, "unexpected EOF in COPY data");
    struct luma_value value;
    luma_rc rc = sql_host->data->from_binary_as(ctx, in->arena, vec->type,
                                                sql_host->session->format(ctx->session),
                                                luma_slice(in->data + in->at, bytes), &value);
    if (rc == LUMA_OK)
        rc = sql_host->data->vec_set(in->arena, vec, row, &value);
    if (rc != LUMA_OK)
        return sql_copy_where(ctx, in->copy, in->row, in->copy->table->cols[table_col].name, rc);
    in->at += bytes;
    return LUMA_OK;
}

/* *out_more false: the trailer was read. */
static luma_rc
read_row(struct luma_ctx *ctx, struct binary_in *in, uint32_t row, bool *out_more)
{
    bool there;
    in->row++;
    LUMA_TRY(need(ctx, in, 2, &there));
    if (!there && in->client_done && in->bytes == in->at) {
        *out_more = false; /* a missing trailer is forgiven, as PostgreSQL does */
        return LUMA_OK;
    }
    if (!there)
        return bad(ctx, in, "unexpected EOF in COPY data");
    int16_t count =
        (int16_t)((uint16_t)(uint8_t)in->data[in->at] << 8 | (uint8_t)in->data[in->at + 1]);
    in->at += 2;
    *out_more = count != -1;
    if (count == -1)
        return LUMA_OK;
    if ((uint32_t)count != in->copy->cols_count)
        return bad(ctx, in, "row field count is not that of the copied columns");
    for (uint32_t c = 0; c < in->copy->cols_count; c++)
        LUMA_TRY(read_field(ctx, in, c, row));
    return LUMA_OK;
}

static luma_rc
next_batch(void *arg, uint32_t part, struct luma_ctx *ctx, struct luma_batch *out)
{
    struct binary_in *in = arg;
    const struct luma_cat_object *table = in->copy->table;
    uint32_t rows = 0;
    bool more = true;
    (void)part;
    memset(out, 0, sizeof(*out));
    if (in->ended)
        return LUMA_OK;
    in->arena->reset(in->arena);
    for (uint32_t c = 0; c < table->cols_count; c++)
        if (in->data_col[c] < 0)
            LUMA_TRY(sql_host->data->vec_const(in->arena, &in->defaults[c], &in->vecs[c]));
        else if (!luma_vec_init(&in->vecs[c], in->arena, table->cols[c].type, LUMA_BATCH_ROWS))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    while (rows < LUMA_BATCH_ROWS && more) {
        LUMA_TRY(read_row(ctx, in, rows, &more));
        rows += more;
    }
    in->ended = !more;
    out->rows = out->sel_rows = rows;
    out->cols_count = table->cols_count;
    out->cols = in->vecs;
    return LUMA_OK;
}

static void
bind_change(struct sql_bind *b, void *arg)
{
    struct binary_in *in = arg;
    const struct luma_cat_object *table = in->copy->table;
    in->change = sql_change_of(b, table, true);
    in->change->bulk = true;
    sql_foreign_bind(b, table, in->change, LUMA_PLAN_INSERT);
    in->change->set_exprs = SQL_NEW_ARRAY(b, struct luma_expr *, table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (in->data_col[i] < 0) {
            if (table->cols[i].generated_sql != NULL || table->cols[i].sequence_id != 0)
                SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                          "binary COPY into a table with generated or serial columns needs them in "
                          "the data: column \"%s\"",
                          table->cols[i].name);
            in->change->set_exprs[i] = sql_column_default(b, table, &table->cols[i]);
        }
}

/* The whole stream is read here, by the session's own task: one part does not leave it. */
static luma_rc
load(struct binary_in *in, uint64_t *out_rows)
{
    struct sql_utility *u = in->copy->u;
    struct luma_expr **defaults = in->change->set_exprs;
    in->change->set_exprs = NULL;
    for (uint32_t i = 0; i < in->copy->table->cols_count; i++)
        if (in->data_col[i] < 0)
            LUMA_TRY(sql_engine->eval(u->ctx, u->session, u->txn, defaults[i], NULL, 0,
                                      u->ctx->arena, &in->defaults[i]));
    struct luma_copy_io *io = u->opts->copy;
    LUMA_TRY(io->begin_in(u->ctx, io, true, in->copy->cols_count));
    LUMA_TRY(read_header(u->ctx, in));
    LUMA_TRY(sql_engine->load(u->ctx, u->session, u->txn, in->change, 1, next_batch, in, out_rows));
    bool there;
    do
        LUMA_TRY(need(u->ctx, in, in->bytes - in->at + 1, &there));
    while (there);
    return LUMA_OK;
}

luma_rc
sql_copy_from_binary(struct sql_copy *copy)
{
    struct sql_utility *u = copy->u;
    uint32_t n = copy->table->cols_count;
    struct binary_in in = {.copy = copy};
    struct sql_bind b;
    uint64_t rows = 0;
    in.vecs = LUMA_NEW_ARRAY(u->ctx->arena, struct luma_vec, n);
    in.defaults = LUMA_NEW_ARRAY(u->ctx->arena, struct luma_value, n);
    in.data_col = LUMA_NEW_ARRAY(u->ctx->arena, int32_t, n);
    in.arena = sql_host->mem->arena_create(sql_host->session->budget(u->session), 1u << 18);
    luma_rc rc = LUMA_OK;
    if (in.vecs == NULL || in.defaults == NULL || in.data_col == NULL || in.arena == NULL)
        rc = LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; rc == LUMA_OK && i < n; i++)
        in.data_col[i] = -1;
    for (uint32_t i = 0; rc == LUMA_OK && i < copy->cols_count; i++)
        in.data_col[copy->cols[i]] = (int32_t)i;
    sql_utility_bind(u, &b);
    if (rc == LUMA_OK)
        rc = sql_guard(&b, bind_change, &in);
    if (rc == LUMA_OK)
        rc = load(&in, &rows);
    sql_host->mem->arena_destroy(in.arena);
    free(in.data);
    if (rc != LUMA_OK)
        return rc;
    return sql_result_done(u->ctx, u->session, "COPY", true, rows, u->out_result);
}
