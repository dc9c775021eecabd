/*
 * query.c - POST /query: one statement, its parameters, its rows as JSON.
 *
 * A small answer is built whole, so that its status is right whatever happens; one that grows
 * beyond STREAM_BYTES is sent as it comes, and an error after that stands at its end.
 */
#include <lumadb/host/txn.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "rest.h"

#define STREAM_BYTES   ((size_t)256 << 10)
#define PARAMS_MAX     1000
#define PEER_LOOK_ROWS 65536

struct answer {
    struct rest_call *call;
    struct rest_text text;
    bool streaming;
    uint64_t rows, rows_looked;
};

/* --- parameters --- */

static luma_rc
param_from_json(struct rest_call *call, const json_t *json, struct luma_type type,
                struct luma_value *out)
{
    struct luma_ctx *ctx = call->ctx;
    char number[40];
    struct luma_slice text;
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    switch (json_typeof(json)) {
    case JSON_NULL:
        out->is_null = true;
        return LUMA_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        text = luma_slice_text(json_is_true(json) ? "true" : "false");
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json));
        text = luma_slice_text(number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.17g", json_real_value(json));
        text = luma_slice_text(number);
        break;
    case JSON_STRING:
        text = luma_slice(json_string_value(json), json_string_length(json));
        break;
    default: {
        char *dump = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        if (dump == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        text = luma_slice_text(luma_arena_text(ctx->arena, dump, strlen(dump)));
        free(dump);
        break;
    }
    }
    /* The value may borrow the text: it must live as long as the statement. */
    uint8_t *copy = luma_arena_copy(ctx->arena, text.data, text.bytes);
    if (copy == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    return call->host->data->from_text(ctx, ctx->arena, type,
                                       call->host->session->format(call->session),
                                       luma_slice(copy, text.bytes), out);
}

static luma_rc
read_params(struct rest_call *call, const json_t *json, const struct luma_type *types,
            uint32_t types_count, struct luma_value **out_params)
{
    size_t count = json == NULL ? 0 : json_array_size(json);
    if (count != types_count)
        return LUMA_FAIL(call->ctx, LUMA_E_INVALID,
                         "the statement has %u parameters, \"params\" has %zu", types_count, count);
    struct luma_value *params = LUMA_NEW_ARRAY(call->ctx->arena, struct luma_value, count + 1);
    if (params == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        LUMA_TRY(param_from_json(call, json_array_get(json, i), types[i], &params[i]));
    *out_params = params;
    return LUMA_OK;
}

/* --- rows --- */

static luma_rc
lost(struct rest_call *call)
{
    return LUMA_FAIL(call->ctx, LUMA_E_CLOSED, "connection to client lost");
}

/* Sends what has gathered once it is too much to keep. */
static luma_rc
answer_push(struct answer *a)
{
    struct rest_call *call = a->call;
    if (a->text.failed)
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory for the answer");
    if (a->text.bytes < STREAM_BYTES)
        return LUMA_OK;
    if (!a->streaming) {
        struct luma_txn *txn = call->host->session->txn(call->session);
        if (txn != NULL) /* nothing leaves that a crash could take back */
            LUMA_TRY(call->host->txn->wait_seen(call->ctx, txn));
        if (http_stream_begin(call->http, 200, "application/json") != LUMA_OK)
            return lost(call);
        a->streaming = true;
    }
    if (http_stream_write(call->http, a->text.data, a->text.bytes) != LUMA_OK)
        return lost(call);
    a->text.bytes = 0;
    return LUMA_OK;
}

static void
put_columns(struct answer *a, const struct luma_result *result)
{
    struct rest_text *text = &a->text;
    const struct luma_host_data *data = a->call->host->data;
    rest_text_puts(text, "{\"columns\":[");
    for (uint32_t i = 0; i < result->cols_count; i++) {
        const char *name = result->cols[i].name;
        const char *type = data->type_text(result->cols[i].type, a->call->ctx->arena);
        rest_text_puts(text, i == 0 ? "{\"name\":" : ",{\"name\":");
        rest_json_string(text, name, strlen(name));
        rest_text_puts(text, ",\"type\":");
        rest_json_string(text, type, strlen(type));
        rest_text_puts(text, "}");
    }
    rest_text_puts(text, "],\"rows\":[");
}

static void
put_batch(struct answer *a, const struct luma_batch *batch, struct luma_arena *arena)
{
    struct rest_call *call = a->call;
    const struct luma_format *format = call->host->session->format(call->session);
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t row = luma_batch_row(batch, k);
        rest_text_puts(&a->text, a->rows++ == 0 ? "[" : ",[");
        for (uint32_t c = 0; c < batch->cols_count; c++) {
            if (c > 0)
                rest_text_add(&a->text, ",", 1);
            rest_json_value(&a->text, call->host->data, &batch->cols[c], row, format, arena);
        }
        rest_text_add(&a->text, "]", 1);
    }
}

static luma_rc
put_rows(struct answer *a, struct luma_result *result, struct luma_arena *arena)
{
    struct rest_call *call = a->call;
    if (result->cols_count == 0)
        return LUMA_OK;
    for (;;) {
        struct luma_batch *batch = NULL;
        LUMA_TRY(result->next(call->ctx, result, &batch));
        if (batch->sel_rows == 0)
            return LUMA_OK;
        arena->reset(arena);
        put_batch(a, batch, arena);
        LUMA_TRY(answer_push(a));
        LUMA_TRY(call->host->sched->yield(call->ctx));
        if (a->rows - a->rows_looked < PEER_LOOK_ROWS)
            continue;
        a->rows_looked = a->rows;
        if (call->host->net->peer_gone(call->conn))
            return lost(call);
    }
}

/* Before the statement's success is said its transaction is durable. */
static luma_rc
finish(struct rest_call *call)
{
    const struct luma_host_session *ses = call->host->session;
    if (ses->block_state(call->session) != LUMA_BLOCK_IDLE)
        return LUMA_FAIL(call->ctx, LUMA_E_UNSUPPORTED,
                         "a transaction block cannot go beyond one request");
    return ses->implicit_commit(call->ctx, call->session);
}

static void
put_end(struct answer *a, const char *tag, uint64_t rows_done)
{
    char line[64];
    rest_text_puts(&a->text, "],\"command\":");
    rest_json_string(&a->text, tag, strlen(tag));
    snprintf(line, sizeof(line), ",\"row_count\":%llu}", (unsigned long long)rows_done);
    rest_text_puts(&a->text, line);
}

static luma_rc
run(struct answer *a, struct luma_stmt *stmt, const struct luma_value *params, uint32_t count)
{
    struct rest_call *call = a->call;
    struct luma_exec_opts opts = {.params = params, .params_count = count};
    struct luma_result *result = NULL;
    char tag[64] = "";
    LUMA_TRY(call->rest->sql->execute(call->ctx, call->session, stmt, &opts, &result));
    struct luma_arena *arena =
        call->host->mem->arena_create(call->host->session->budget(call->session), 0);
    put_columns(a, result);
    luma_rc rc = arena == NULL ? LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory")
                               : put_rows(a, result, arena);
    call->host->mem->arena_destroy(arena);
    snprintf(tag, sizeof(tag), "%s", result->tag == NULL ? "" : result->tag);
    if (strncmp(tag, "INSERT", 6) == 0)
        tag[6] = '\0'; /* the protocol's "INSERT 0" */
    uint64_t rows_done = result->cols_count > 0 ? a->rows : result->rows_done;
    result->close(result);
    if (rc == LUMA_OK)
        rc = finish(call);
    if (rc == LUMA_OK)
        put_end(a, tag, rows_done);
    return rc;
}

/* --- the request --- */

static luma_rc
query_json(struct answer *a, const json_t *json)
{
    struct rest_call *call = a->call;
    struct luma_ctx *ctx = call->ctx;
    const struct luma_language *sql = call->rest->sql;
    const struct luma_type *types = NULL;
    const struct luma_result_col *cols = NULL;
    uint32_t types_count = 0, cols_count = 0;
    struct luma_value *params = NULL;
    struct luma_stmt *stmt = NULL;
    const json_t *text = json_object_get(json, "sql"), *list = json_object_get(json, "params");
    if (!json_is_string(text) || (list != NULL && !json_is_array(list)) ||
        json_array_size(list) > PARAMS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "want {\"sql\": \"...\", \"params\": [...]}");
    struct luma_slice query = luma_slice(json_string_value(text), json_string_length(text));
    call->host->session->request_begin(call->session, (const char *)query.data, query.bytes);
    LUMA_TRY(sql->prepare(ctx, call->session, query, NULL, 0, &stmt));
    luma_rc rc = sql->is_empty(stmt) ? LUMA_FAIL(ctx, LUMA_E_SYNTAX, "the statement is empty")
                                     : sql->describe(ctx, call->session, stmt, &types, &types_count,
                                                     &cols, &cols_count);
    if (rc == LUMA_OK)
        rc = read_params(call, list, types, types_count, &params);
    if (rc == LUMA_OK)
        rc = run(a, stmt, params, types_count);
    sql->release(stmt);
    return rc;
}

static luma_rc
set_timeout(struct rest_call *call)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)(call->rest->conf->query_timeout / 1000000));
    return call->host->session->setting_set(call->ctx, call->session, "statement_timeout", text,
                                            false);
}

static luma_rc
query(struct answer *a)
{
    struct rest_call *call = a->call;
    struct luma_slice body = call->request->body;
    LUMA_TRY(rest_authorize(call));
    LUMA_TRY(set_timeout(call));
    if (call->rest->sql == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_MODULE, "no module offers query.sql");
    json_error_t why;
    json_t *json = json_loadb((const char *)body.data, body.bytes, 0, &why);
    if (json == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_INVALID, "the body is not JSON: %.100s (line %d)",
                         why.text, why.line);
    luma_rc rc = query_json(a, json);
    json_decref(json);
    return rc;
}

/* An error after the beginning has left: it is the last member. */
static luma_rc
answer_late_error(struct answer *a)
{
    a->text.bytes = 0;
    rest_text_puts(&a->text, "],\"error\":");
    rest_json_error(&a->text, a->call->ctx->error);
    rest_text_puts(&a->text, "}");
    LUMA_TRY(http_stream_write(a->call->http, a->text.data, a->text.bytes));
    return http_stream_end(a->call->http);
}

luma_rc
rest_query(struct rest_call *call)
{
    struct answer a = {.call = call, .text = {.mem = call->host->mem}};
    luma_rc rc = query(&a);
    if (rc != LUMA_OK) {
        call->host->session->statement_end(call->session, rc);
        if (rc != LUMA_E_CLOSED)
            rc = a.streaming ? answer_late_error(&a) : rest_answer_error(call);
    } else if (a.streaming) {
        rc = http_stream_write(call->http, a.text.data, a.text.bytes);
        if (rc == LUMA_OK)
            rc = http_stream_end(call->http);
    } else {
        rc = rest_answer_json(call, 200, &a.text);
    }
    rest_text_fini(&a.text);
    call->host->session->request_end(call->session);
    return rc;
}
