/*
 * copy_in.c - COPY ... FROM STDIN.
 *
 * Two tasks share the work: the session's own reads from the client (only it may), cuts the stream
 * at record ends into chunks and queues them; a loader has the transaction meanwhile and runs the
 * engine's load, whose parts take chunks and parse them side by side. The queue is short, so a slow
 * load slows the client down and memory stays small.
 *
 * Rows that need more than constants for the columns COPY does not name go through an INSERT plan
 * over the same parser instead.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "copy.h"

#define CHUNK_BYTES   (1u << 20)
#define CHUNKS_QUEUED 6u
#define PARTS_MAX     16u

struct copy_queue {
    pthread_mutex_t lock; /* guards what follows; never held across a wait */
    struct sql_copy_chunk *first, *last, *spare;
    uint32_t count;
    bool done;   /* no more chunks will come */
    bool failed; /* the loader has given up */
    struct luma_event chunk_event, room_event;
};

struct copy_part {
    struct sql_copy_parser parser;
    struct luma_arena *arena; /* of the current batch */
    struct luma_vec *vecs;    /* per table column */
    struct sql_copy_chunk *chunk;
};

struct copy_in {
    struct sql_copy *copy;
    struct copy_queue queue;
    struct luma_value *defaults; /* per table column; used where the data has none */
    int32_t *data_col;           /* per table column: position in the data, -1: not there */
    struct copy_part parts[PARTS_MAX];
    uint32_t parts_count;
    const struct luma_format *format;
    /* the plan way */
    struct luma_plan *plan;
    struct luma_provider provider;
    struct luma_plan_change *change;
    /* the loader */
    struct luma_event loaded;
    struct luma_ctx *ctx; /* the statement's */
    luma_rc rc;
    uint64_t rows;
    /* the reader */
    uint64_t line;
    bool header_left, marker;
};

/* ---- the queue ---- */

static struct sql_copy_chunk *
chunk_take(struct luma_ctx *ctx, struct copy_queue *q, luma_rc *out_rc)
{
    *out_rc = LUMA_OK;
    for (;;) {
        pthread_mutex_lock(&q->lock);
        struct sql_copy_chunk *chunk = q->first;
        bool done = q->done;
        if (chunk != NULL) {
            q->first = chunk->next;
            if (q->first == NULL)
                q->last = NULL;
            q->count--;
        }
        pthread_mutex_unlock(&q->lock);
        if (chunk != NULL) {
            sql_host->sched->signal(&q->room_event);
            return chunk;
        }
        if (done) {
            sql_host->sched->signal(&q->chunk_event); /* for the next part that looks */
            return NULL;
        }
        *out_rc = sql_host->sched->wait(ctx, &q->chunk_event, 0);
        if (*out_rc != LUMA_OK)
            return NULL;
    }
}

static void
chunk_free(struct copy_queue *q, struct sql_copy_chunk *chunk)
{
    if (chunk == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    chunk->next = q->spare;
    q->spare = chunk;
    pthread_mutex_unlock(&q->lock);
}

static void
queue_fini(struct copy_queue *q)
{
    struct sql_copy_chunk *lists[2] = {q->first, q->spare};
    for (int i = 0; i < 2; i++)
        while (lists[i] != NULL) {
            struct sql_copy_chunk *chunk = lists[i];
            lists[i] = chunk->next;
            free(chunk->data);
            free(chunk);
        }
    pthread_mutex_destroy(&q->lock);
}

static struct sql_copy_chunk *
chunk_new(struct luma_ctx *ctx, struct copy_queue *q, size_t room)
{
    pthread_mutex_lock(&q->lock);
    struct sql_copy_chunk *chunk = q->spare;
    if (chunk != NULL)
        q->spare = chunk->next;
    pthread_mutex_unlock(&q->lock);
    if (chunk == NULL)
        chunk = calloc(1, sizeof(*chunk));
    if (chunk != NULL && chunk->room < room) {
        char *grown = realloc(chunk->data, room);
        if (grown == NULL) {
            free(chunk->data);
            free(chunk);
            chunk = NULL;
        } else {
            chunk->data = grown;
            chunk->room = room;
        }
    }
    if (chunk == NULL)
        (void)LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    else
        chunk->bytes = 0;
    return chunk;
}

/* Waits for room; false: the loader has given up. */
static luma_rc
chunk_put(struct luma_ctx *ctx, struct copy_queue *q, struct sql_copy_chunk *chunk, bool *out_stop)
{
    for (;;) {
        pthread_mutex_lock(&q->lock);
        bool room = q->count < CHUNKS_QUEUED;
        *out_stop = q->failed;
        if (room && !q->failed) {
            chunk->next = NULL;
            if (q->last != NULL)
                q->last->next = chunk;
            else
                q->first = chunk;
            q->last = chunk;
            q->count++;
        }
        pthread_mutex_unlock(&q->lock);
        if (*out_stop) {
            chunk_free(q, chunk);
            return LUMA_OK;
        }
        if (room) {
            sql_host->sched->signal(&q->chunk_event);
            return LUMA_OK;
        }
        luma_rc rc = sql_host->sched->wait(ctx, &q->room_event, 0);
        if (rc != LUMA_OK) {
            chunk_free(q, chunk);
            return rc;
        }
    }
}

static void
queue_end(struct copy_queue *q, bool failed)
{
    pthread_mutex_lock(&q->lock);
    q->done = true;
    q->failed |= failed;
    pthread_mutex_unlock(&q->lock);
    sql_host->sched->signal(&q->chunk_event);
    sql_host->sched->signal(&q->room_event);
}

/* ---- parsing: the parts of the load ---- */

static luma_rc
column_failed(struct luma_ctx *ctx, const struct copy_in *in, const struct copy_part *part,
              uint32_t table_col, uint32_t row, luma_rc rc)
{
    const struct sql_copy *copy = in->copy;
    uint32_t data_col = (uint32_t)in->data_col[table_col];
    struct luma_slice field = part->parser.fields[(size_t)data_col * LUMA_BATCH_ROWS + row];
    size_t shown = field.bytes < 100 ? field.bytes : 100;
    const char *value = luma_arena_text(ctx->arena, field.data, shown);
    size_t bytes = shown + strlen(copy->table->cols[table_col].name) + 8;
    char *column = luma_arena_alloc(ctx->arena, bytes);
    if (column != NULL && value != NULL)
        snprintf(column, bytes, "%s: \"%s\"", copy->table->cols[table_col].name, value);
    return sql_copy_where(ctx, copy, part->parser.lines[row],
                          column != NULL ? column : copy->table->cols[table_col].name, rc);
}

static luma_rc
parse_columns(struct luma_ctx *ctx, struct copy_in *in, struct copy_part *part, uint32_t rows)
{
    const struct luma_cat_object *table = in->copy->table;
    for (uint32_t c = 0; c < table->cols_count; c++) {
        struct luma_vec *vec = &part->vecs[c];
        if (in->data_col[c] < 0) {
            LUMA_TRY(sql_host->data->vec_const(part->arena, &in->defaults[c], vec));
            continue;
        }
        const struct luma_slice *fields =
            part->parser.fields + (size_t)in->data_col[c] * LUMA_BATCH_ROWS;
        uint32_t bad = 0;
        if (!luma_vec_init(vec, part->arena, table->cols[c].type, rows))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory in COPY");
        luma_rc rc = sql_host->data->column_from_text(ctx, part->arena, table->cols[c].type,
                                                      in->format, fields, rows, vec, &bad);
        if (rc != LUMA_OK)
            return column_failed(ctx, in, part, c, bad, rc);
    }
    return LUMA_OK;
}

static luma_rc
next_batch(void *arg, uint32_t part_index, struct luma_ctx *ctx, struct luma_batch *out)
{
    struct copy_in *in = arg;
    struct copy_part *part = &in->parts[part_index % in->parts_count];
    uint32_t rows = 0;
    memset(out, 0, sizeof(*out));
    part->arena->reset(part->arena);
    while (rows == 0) {
        if (part->chunk == NULL || part->parser.at >= part->chunk->bytes) {
            luma_rc rc;
            chunk_free(&in->queue, part->chunk);
            part->chunk = chunk_take(ctx, &in->queue, &rc);
            if (part->chunk == NULL)
                return rc;
            part->parser.chunk = part->chunk;
            part->parser.at = 0;
            part->parser.line = part->chunk->line;
            LUMA_TRY(sql_copy_check(ctx, in->copy, part->chunk));
        }
        LUMA_TRY(sql_copy_records(ctx, &part->parser, &rows));
    }
    LUMA_TRY(parse_columns(ctx, in, part, rows));
    out->rows = out->sel_rows = rows;
    out->cols_count = in->copy->table->cols_count;
    out->cols = part->vecs;
    return sql_host->sched->yield(ctx);
}

static luma_rc
parts_init(struct luma_ctx *ctx, struct copy_in *in, uint32_t count)
{
    struct luma_budget *budget = sql_host->session->budget(in->copy->u->session);
    for (; in->parts_count < count; in->parts_count++) {
        struct copy_part *part = &in->parts[in->parts_count];
        part->arena = sql_host->mem->arena_create(budget, 1u << 18);
        part->vecs = calloc(in->copy->table->cols_count + 1, sizeof(*part->vecs));
        part->parser.copy = in->copy;
        part->parser.fields =
            malloc(sizeof(struct luma_slice) * LUMA_BATCH_ROWS * (in->copy->cols_count + 1));
        if (part->arena == NULL || part->vecs == NULL || part->parser.fields == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    return LUMA_OK;
}

static void
parts_fini(struct copy_in *in)
{
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        struct copy_part *part = &in->parts[i];
        if (part->chunk != NULL) {
            free(part->chunk->data);
            free(part->chunk);
        }
        sql_host->mem->arena_destroy(part->arena);
        free(part->vecs);
        free(part->parser.fields);
    }
}

/* ---- the plan way: the parser as a row source ---- */

static luma_rc
source_open(struct luma_ctx *ctx, struct luma_txn *txn, void *arg, struct luma_arena *arena,
            void **out_state)
{
    (void)ctx;
    (void)txn;
    (void)arena;
    *out_state = arg;
    return LUMA_OK;
}

static luma_rc
source_next(struct luma_ctx *ctx, void *state, struct luma_batch *out)
{
    return next_batch(state, 0, ctx, out);
}

static void
source_close(void *state)
{
    (void)state;
}

static bool
needs_row(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->func != NULL && (e->func->flags & LUMA_FUNC_VOLATILE) != 0;
}

static void
bind_load(struct sql_bind *b, void *arg)
{
    struct copy_in *in = arg;
    const struct luma_cat_object *table = in->copy->table;
    uint32_t n = table->cols_count;
    bool plain = true;
    struct luma_expr **row = SQL_NEW_ARRAY(b, struct luma_expr *, n);
    in->change = sql_change_of(b, table, true);
    in->change->bulk = true;
    sql_foreign_bind(b, table, in->change, LUMA_PLAN_INSERT);
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_cat_column *col = &table->cols[i];
        if (in->data_col[i] >= 0) {
            row[i] = sql_col(b, (int32_t)i, col->type);
        } else if (col->generated_sql != NULL) {
            row[i] = sql_coerce(b,
                                sql_bind_text(b, col->generated_sql,
                                              sql_item_of_row(b, table, table->name, 0),
                                              SQL_PLACE_CHECK),
                                col->type, SQL_CAST_ASSIGN, -1);
            plain = false;
        } else {
            row[i] = sql_column_default(b, table, col);
            plain &= !sql_expr_walk(row[i], needs_row, NULL);
        }
    }
    if (plain) {
        in->plan = NULL;
        for (uint32_t i = 0; i < n; i++)
            if (in->data_col[i] < 0) {
                in->defaults[i].type = table->cols[i].type;
                in->defaults[i].is_null = true;
                in->defaults[i].phys = (uint8_t)luma_type_phys(table->cols[i].type);
                in->change->set_exprs = row; /* evaluated before the load begins */
            }
        return;
    }
    in->provider = (struct luma_provider){.name = "copy",
                                          .open = source_open,
                                          .next = source_next,
                                          .close = source_close,
                                          .arg = in,
                                          .rows_estimate = 1000000};
    for (uint32_t i = 0; i < n; i++) {
        in->defaults[i].type = table->cols[i].type;
        in->defaults[i].is_null = true;
        in->defaults[i].phys = (uint8_t)luma_type_phys(table->cols[i].type);
    }
    struct luma_plan *source = sql_plan(b, LUMA_PLAN_VIRTUAL, NULL);
    source->provider = &in->provider;
    source->table_name = "copy";
    source->cols_count = n;
    source->cols = in->change->table_cols;
    struct luma_plan *project = sql_plan_project(b, source, n, row, NULL);
    in->plan = sql_plan(b, LUMA_PLAN_INSERT, project);
    in->plan->cols_count = 0;
    in->plan->cols = NULL;
    in->plan->table_name = in->change->table_name;
    in->plan->change = in->change;
}

static luma_rc
eval_defaults(struct luma_ctx *ctx, struct copy_in *in)
{
    struct sql_utility *u = in->copy->u;
    struct luma_expr **row = in->change->set_exprs;
    in->change->set_exprs = NULL;
    for (uint32_t i = 0; row != NULL && i < in->copy->table->cols_count; i++)
        if (in->data_col[i] < 0)
            LUMA_TRY(sql_engine->eval(ctx, u->session, u->txn, row[i], NULL, 0, ctx->arena,
                                      &in->defaults[i]));
    return LUMA_OK;
}

/* ---- the loader ---- */

static luma_rc
load_by_plan(struct copy_in *in)
{
    struct sql_utility *u = in->copy->u;
    struct luma_query *query = NULL;
    struct luma_result *result = NULL;
    LUMA_TRY(sql_engine->prepare(in->ctx, u->session, u->txn, in->plan, NULL, 0, &query));
    luma_rc rc = sql_engine->open(in->ctx, u->session, u->txn, query, NULL, 0, &result);
    if (rc == LUMA_OK) {
        in->rows = result->rows_done;
        result->close(result);
    }
    sql_engine->release(query);
    return rc;
}

static void
loader(void *arg)
{
    struct copy_in *in = arg;
    struct sql_utility *u = in->copy->u;
    in->rc = in->plan != NULL ? load_by_plan(in)
                              : sql_engine->load(in->ctx, u->session, u->txn, in->change,
                                                 in->parts_count, next_batch, in, &in->rows);
    queue_end(&in->queue, true);
    sql_host->sched->signal(&in->loaded);
}

/* ---- the reader ---- */

static uint64_t
count_lines(const char *data, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += data[i] == '\n';
    return n;
}

/* Drops the header line; the chunk begins with the first record then. */
static void
skip_header(struct copy_in *in, struct sql_copy_chunk *chunk)
{
    char *end = memchr(chunk->data, '\n', chunk->bytes);
    size_t bytes = end != NULL ? (size_t)(end - chunk->data) + 1 : chunk->bytes;
    memmove(chunk->data, chunk->data + bytes, chunk->bytes - bytes);
    chunk->bytes -= bytes;
    in->line++;
    in->header_left = false;
}

/* Queues the whole records of `open`; what is left begins the next chunk. */
static luma_rc
flush_chunk(struct luma_ctx *ctx, struct copy_in *in, struct sql_copy_chunk **inout, bool last,
            bool *out_stop)
{
    struct sql_copy_chunk *chunk = *inout;
    size_t cut = last ? chunk->bytes : sql_copy_cut(&in->copy->opts, chunk->data, chunk->bytes);
    if (cut == 0 && !last) {
        if (chunk->room > (size_t)1 << 30)
            return LUMA_FAIL_SQL(ctx, LUMA_E_LIMIT, "54000", "COPY record is longer than 1 GB");
        char *grown = realloc(chunk->data, chunk->room * 2);
        if (grown == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        chunk->data = grown;
        chunk->room *= 2;
        return LUMA_OK;
    }
    size_t rest = chunk->bytes - cut;
    struct sql_copy_chunk *next = chunk_new(ctx, &in->queue, rest + CHUNK_BYTES);
    if (next == NULL)
        return LUMA_E_NOMEM;
    memcpy(next->data, chunk->data + cut, rest);
    next->bytes = rest;
    chunk->bytes = cut;
    *inout = next;
    if (in->header_left)
        skip_header(in, chunk);
    chunk->line = in->line;
    in->line += count_lines(chunk->data, chunk->bytes);
    if (chunk->bytes == 0) {
        chunk_free(&in->queue, chunk);
        return LUMA_OK;
    }
    return chunk_put(ctx, &in->queue, chunk, out_stop);
}

static luma_rc
read_all(struct luma_ctx *ctx, struct copy_in *in)
{
    struct luma_copy_io *io = in->copy->u->opts->copy;
    struct sql_copy_chunk *open = chunk_new(ctx, &in->queue, CHUNK_BYTES);
    bool stop = false;
    luma_rc rc = open != NULL ? LUMA_OK : LUMA_E_NOMEM;
    while (rc == LUMA_OK) {
        struct luma_slice piece;
        rc = io->read(ctx, io, &piece);
        if (rc != LUMA_OK || piece.bytes == 0)
            break;
        while (rc == LUMA_OK && !stop && open->bytes + piece.bytes > open->room)
            rc = flush_chunk(ctx, in, &open, false, &stop);
        if (stop || rc != LUMA_OK)
            continue; /* the rest of the stream is read and dropped */
        memcpy(open->data + open->bytes, piece.data, piece.bytes);
        open->bytes += piece.bytes;
    }
    if (rc == LUMA_OK && !stop && open->bytes > 0)
        rc = flush_chunk(ctx, in, &open, true, &stop);
    if (open != NULL)
        chunk_free(&in->queue, open);
    queue_end(&in->queue, rc != LUMA_OK);
    return rc;
}

/* Errors of the reader are its own: the loader has the statement's context. */
struct reader_ctx {
    struct luma_ctx ctx;
    struct luma_error error;
    struct luma_cancel cancel;
};

static luma_rc
run(struct luma_ctx *ctx, struct copy_in *in)
{
    struct sql_utility *u = in->copy->u;
    struct reader_ctx *reader = calloc(1, sizeof(*reader));
    struct luma_arena *arena =
        sql_host->mem->arena_create(sql_host->session->budget(u->session), 4096);
    if (reader == NULL || arena == NULL) {
        free(reader);
        sql_host->mem->arena_destroy(arena);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    reader->ctx = *ctx;
    reader->ctx.arena = arena;
    reader->ctx.error = &reader->error;
    in->ctx = ctx;
    luma_rc rc =
        sql_host->sched->spawn("copy", LUMA_PRIO_INTERACTIVE, LUMA_STACK_NORMAL, loader, in);
    if (rc == LUMA_OK) {
        rc = read_all(&reader->ctx, in);
        (void)sql_host->sched->wait(NULL, &in->loaded, 0);
        if (in->rc != LUMA_OK && ctx->error->code != LUMA_OK)
            rc = in->rc;
        else if (rc != LUMA_OK) {
            /* the client's fault or its wish: said in the statement's context */
            luma_error_reset(ctx->error);
            rc = LUMA_FAIL_SQL(ctx, rc,
                               reader->error.sqlstate[0] != '\0' ? reader->error.sqlstate : NULL,
                               "%s", reader->error.message);
        } else {
            rc = in->rc;
        }
    }
    sql_host->mem->arena_destroy(arena);
    free(reader);
    return rc;
}

luma_rc
sql_copy_from(struct sql_copy *copy)
{
    struct sql_utility *u = copy->u;
    const struct luma_cat_object *table = copy->table;
    struct luma_copy_io *io = u->opts->copy;
    if (copy->opts.format == SQL_COPY_BINARY)
        return sql_copy_from_binary(copy);
    struct copy_in *in = calloc(1, sizeof(*in));
    if (in == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    in->copy = copy;
    in->line = 1;
    in->header_left = copy->opts.header;
    in->format = sql_host->session->format(u->session);
    in->defaults = LUMA_NEW_ARRAY(u->ctx->arena, struct luma_value, table->cols_count);
    in->data_col = LUMA_NEW_ARRAY(u->ctx->arena, int32_t, table->cols_count);
    pthread_mutex_init(&in->queue.lock, NULL);
    luma_rc rc = in->defaults != NULL && in->data_col != NULL
                     ? LUMA_OK
                     : LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    struct sql_bind b;
    sql_utility_bind(u, &b);
    for (uint32_t i = 0; rc == LUMA_OK && i < table->cols_count; i++)
        in->data_col[i] = -1;
    for (uint32_t i = 0; rc == LUMA_OK && i < copy->cols_count; i++)
        in->data_col[copy->cols[i]] = (int32_t)i;
    if (rc == LUMA_OK)
        rc = sql_guard(&b, bind_load, in);
    if (rc == LUMA_OK)
        rc = eval_defaults(u->ctx, in);
    uint32_t workers = sql_host->sched->workers();
    uint32_t parts = in->plan != NULL ? 1 : workers < PARTS_MAX ? workers : PARTS_MAX;
    if (rc == LUMA_OK)
        rc = parts_init(u->ctx, in, parts == 0 ? 1 : parts);
    if (rc == LUMA_OK)
        rc = io->begin_in(u->ctx, io, false, copy->cols_count);
    if (rc == LUMA_OK)
        rc = run(u->ctx, in);
    uint64_t rows = in->rows;
    parts_fini(in);
    queue_fini(&in->queue);
    free(in);
    if (rc != LUMA_OK)
        return rc;
    return sql_result_done(u->ctx, u->session, "COPY", true, rows, u->out_result);
}
