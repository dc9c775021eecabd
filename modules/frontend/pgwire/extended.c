/*
 * extended.c - Parse, Bind, Describe, Execute, Close, Sync.
 *
 * A portal has an arena of its own for its parameters and what the statement needs while it runs,
 * because a suspended one outlives the message that began it. The unnamed portal's arena is reused.
 */
#include <lumadb/host/txn.h>

#include <stdio.h>
#include <stdlib.h>

#include "write.h"

static void
result_close(struct pg_portal *portal)
{
    if (portal->result != NULL)
        portal->result->close(portal->result);
    portal->result = NULL;
    portal->batch = NULL;
}

/* The rest of the pipeline is skipped. Results end before their transaction does; what the error
 * points to lies in a portal's arena, which goes last. */
static void
fail(struct pg_conn *c, struct luma_ctx *ctx, luma_rc rc)
{
    result_close(&c->unnamed_portal);
    for (struct pg_portal *p = c->portals; p != NULL; p = p->next)
        result_close(p);
    pg_statement_failed(c, ctx, rc);
    for (struct pg_portal *p = c->portals; p != NULL; p = p->next)
        pg_portal_reset(c, p);
    c->skip_to_sync = true;
}

/* --- portals --- */

void
pg_portal_reset(struct pg_conn *c, struct pg_portal *portal)
{
    result_close(portal);
    if (portal->stmt != NULL)
        c->sql->release(portal->stmt);
    if (portal->arena != NULL && portal->used)
        portal->arena->reset(portal->arena);
    portal->used = false;
    portal->stmt = NULL;
    portal->params = NULL;
    portal->formats = NULL;
    portal->params_count = portal->formats_count = portal->batch_next = 0;
    portal->done = portal->had_rows = portal->seen = false;
}

static void
portal_free(struct pg_conn *c, struct pg_portal *portal)
{
    pg_portal_reset(c, portal);
    c->host->mem->arena_destroy(portal->arena);
    free(portal->name);
    free(portal);
}

static struct pg_portal *
portal_find(struct pg_conn *c, const char *name)
{
    if (name[0] == '\0')
        return c->unnamed_portal.used ? &c->unnamed_portal : NULL;
    for (struct pg_portal *p = c->portals; p != NULL; p = p->next)
        if (p->used && strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

static void
portal_drop(struct pg_conn *c, struct pg_portal *portal)
{
    if (portal == &c->unnamed_portal) {
        pg_portal_reset(c, portal);
        return;
    }
    for (struct pg_portal **p = &c->portals; *p != NULL; p = &(*p)->next) {
        if (*p == portal) {
            *p = portal->next;
            portal_free(c, portal);
            return;
        }
    }
}

void
pg_portals_drop(struct pg_conn *c)
{
    if (c->unnamed_portal.used)
        pg_portal_reset(c, &c->unnamed_portal);
    while (LUMA_UNLIKELY(c->portals != NULL))
        portal_drop(c, c->portals);
}

void
pg_unnamed_drop(struct pg_conn *c)
{
    if (c->unnamed_portal.used)
        pg_portal_reset(c, &c->unnamed_portal);
    if (c->unnamed != NULL)
        c->sql->release(c->unnamed);
    c->unnamed = NULL;
}

void
pg_extended_fini(struct pg_conn *c)
{
    pg_portals_drop(c);
    pg_unnamed_drop(c);
    c->host->mem->arena_destroy(c->unnamed_portal.arena);
}

static luma_rc
portal_make(struct pg_conn *c, const char *name, struct pg_portal **out_portal)
{
    struct pg_portal *portal = &c->unnamed_portal;
    if (name[0] == '\0') {
        if (portal->used)
            pg_portal_reset(c, portal);
    } else {
        if (portal_find(c, name) != NULL)
            return LUMA_FAIL_SQL(c->ctx, LUMA_E_EXISTS, "42P03", "cursor \"%.100s\" already exists",
                                 name);
        portal = calloc(1, sizeof(*portal));
        char *copy = portal == NULL ? NULL : strdup(name);
        if (copy == NULL) {
            free(portal);
            return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "no memory for a portal");
        }
        portal->name = copy;
        portal->next = c->portals;
        c->portals = portal;
    }
    if (portal->arena == NULL)
        portal->arena = c->host->mem->arena_create(c->ses->budget(c->session), 0);
    if (portal->arena == NULL)
        return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "no memory for a portal");
    portal->ctx = *c->ctx;
    portal->ctx.arena = portal->arena;
    portal->used = true;
    *out_portal = portal;
    return LUMA_OK;
}

/* --- statements --- */

static luma_rc
stmt_find(struct pg_conn *c, const char *name, struct luma_stmt **out_stmt)
{
    struct luma_stmt *stmt = name[0] == '\0' ? c->unnamed : c->sql->named_get(c->session, name);
    if (stmt == NULL && name[0] == '\0')
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_UNDEFINED, "26000",
                             "unnamed prepared statement does not exist");
    if (stmt == NULL)
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_UNDEFINED, "26000",
                             "prepared statement \"%.100s\" does not exist", name);
    *out_stmt = stmt;
    return LUMA_OK;
}

static luma_rc
check_block(struct pg_conn *c, const struct luma_stmt *stmt)
{
    if (LUMA_LIKELY(c->ses->block_state(c->session) != LUMA_BLOCK_FAILED) ||
        c->sql->ends_block(stmt))
        return LUMA_OK;
    return LUMA_FAIL(c->ctx, LUMA_E_ABORTED,
                     "current transaction is aborted, commands ignored until end of transaction "
                     "block");
}

static luma_rc
parse(struct pg_conn *c, struct luma_slice body)
{
    struct pg_in in = pg_in(body);
    const char *name = pg_in_text(&in), *text = pg_in_text(&in);
    uint32_t count = pg_in_16(&in);
    const uint8_t *raw = in.bad ? NULL : pg_in_take(&in, (size_t)count * 4);
    if (in.bad || raw == NULL || in.at != in.end)
        return pg_violation(c->ctx, "invalid Parse message");
    struct luma_slice query = luma_slice_text(text);
    LUMA_TRY(pg_check_text(c, c->ctx, query));
    LUMA_TRY(pg_check_text(c, c->ctx, luma_slice_text(name)));
    uint32_t *oids = luma_arena_alloc(c->ctx->arena, (size_t)count * 4 + 4);
    if (oids == NULL)
        return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        oids[i] = pg_get32(raw + 4 * i);
    if (name[0] == '\0')
        pg_unnamed_drop(c);
    struct luma_stmt *stmt = NULL;
    LUMA_TRY(c->sql->prepare(c->ctx, c->session, query, oids, count, &stmt));
    if (name[0] == '\0') {
        c->unnamed = stmt;
        return LUMA_OK;
    }
    luma_rc rc = c->sql->named_put(c->ctx, c->session, name, stmt);
    c->sql->release(stmt); /* the session's table has a reference of its own */
    return rc;
}

void
pg_parse(struct pg_conn *c, struct luma_slice body)
{
    struct pg_in in = pg_in(body);
    (void)pg_in_text(&in);
    pg_request_begin(c, luma_slice_text(pg_in_text(&in)));
    luma_rc rc = parse(c, body);
    if (rc == LUMA_OK)
        pg_out_empty(c, '1');
    else
        fail(c, c->ctx, rc);
}

/* --- Bind --- */

static luma_rc
read_param(struct pg_conn *c, struct luma_ctx *ctx, struct luma_type type, uint16_t format,
           struct luma_slice bytes, struct luma_value *out)
{
    out->type = type;
    if (format == PG_BINARY) {
        if (bytes.bytes == 4 && type.id == LUMA_TYPE_INT4) {
            out->phys = LUMA_PHYS_I32;
            out->i32 = (int32_t)pg_get32(bytes.data);
            return LUMA_OK;
        }
        return c->data->from_binary_as(ctx, ctx->arena, type, c->host->session->format(c->session),
                                       bytes, out);
    }
    if (format != PG_TEXT)
        return LUMA_FAIL(ctx, LUMA_E_PROTOCOL, "unsupported format code: %u", format);
    if (type.id == LUMA_TYPE_INT4 && bytes.bytes > 0 && bytes.bytes <= 9) {
        int32_t v = 0;
        size_t i = 0;
        while (i < bytes.bytes && (uint8_t)(bytes.data[i] - '0') <= 9)
            v = v * 10 + (bytes.data[i++] - '0');
        if (i == bytes.bytes) { /* digits only: nothing can go wrong */
            out->phys = LUMA_PHYS_I32;
            out->i32 = v;
            return LUMA_OK;
        }
    }
    LUMA_TRY(pg_check_text(c, ctx, bytes));
    return c->data->from_text(ctx, ctx->arena, type, c->ses->format(c->session), bytes, out);
}

struct bind_head {
    const uint8_t *formats;
    uint32_t formats_count;
};

static luma_rc
read_params(struct pg_conn *c, struct pg_portal *portal, struct pg_in *in,
            const struct bind_head *head, uint32_t count, const struct luma_type *types)
{
    struct luma_ctx *ctx = &portal->ctx;
    struct luma_value *params = luma_arena_alloc(portal->arena, (count + 1) * sizeof(*params));
    if (params == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for parameters");
    memset(params, 0, count * sizeof(*params));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = pg_in_32(in);
        uint16_t format = head->formats_count == 0   ? (uint16_t)PG_TEXT
                          : head->formats_count == 1 ? pg_get16(head->formats)
                                                     : pg_get16(head->formats + 2 * i);
        if (bytes == UINT32_MAX) {
            params[i].type = types[i];
            params[i].phys = (uint8_t)luma_type_phys(types[i]);
            params[i].is_null = true;
            continue;
        }
        if (in->bad || bytes > (size_t)(in->end - in->at))
            return pg_violation(ctx, "insufficient data left in message");
        struct luma_slice value = luma_slice(in->at, bytes);
        in->at += bytes;
        LUMA_TRY(read_param(c, ctx, types[i], format, value, &params[i]));
    }
    portal->params = params;
    portal->params_count = count;
    return LUMA_OK;
}

static luma_rc
read_result_formats(struct pg_conn *c, struct pg_portal *portal, struct pg_in *in)
{
    uint32_t count = pg_in_16(in);
    const uint8_t *raw = in->bad ? NULL : pg_in_take(in, (size_t)count * 2);
    if (in->bad || raw == NULL || in->at != in->end)
        return pg_violation(c->ctx, "invalid Bind message");
    portal->formats = luma_arena_alloc_aligned(portal->arena, (size_t)count * 2 + 2, 2);
    if (portal->formats == NULL)
        return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "out of memory");
    portal->formats_count = count;
    for (uint32_t i = 0; i < count; i++) {
        portal->formats[i] = pg_get16(raw + 2 * i);
        if (portal->formats[i] > PG_BINARY)
            return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "unsupported format code: %u",
                             portal->formats[i]);
    }
    return LUMA_OK;
}

static luma_rc
bind_values(struct pg_conn *c, struct pg_portal *portal, struct pg_in *in, const char *stmt_name)
{
    const struct luma_type *types = NULL;
    const struct luma_result_col *cols = NULL;
    uint32_t types_count = 0, cols_count = 0;
    struct bind_head head = {.formats_count = pg_in_16(in)};
    head.formats = in->bad ? NULL : pg_in_take(in, (size_t)head.formats_count * 2);
    uint32_t count = in->bad ? 0 : pg_in_16(in);
    if (in->bad || head.formats == NULL)
        return pg_violation(c->ctx, "invalid Bind message");
    if (head.formats_count > 1 && head.formats_count != count)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL,
                         "bind message has %u parameter formats but %u parameters",
                         head.formats_count, count);
    LUMA_TRY(c->sql->describe(&portal->ctx, c->session, portal->stmt, &types, &types_count, &cols,
                              &cols_count));
    if (count != types_count)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL,
                         "bind message supplies %u parameters, but prepared statement \"%.100s\" "
                         "requires %u",
                         count, stmt_name, types_count);
    LUMA_TRY(read_params(c, portal, in, &head, count, types));
    return read_result_formats(c, portal, in);
}

static luma_rc
bind(struct pg_conn *c, struct luma_slice body)
{
    struct pg_in names = pg_in(body);
    struct pg_portal *portal = NULL;
    struct luma_stmt *stmt = NULL;
    const char *portal_name = pg_in_text(&names), *stmt_name = pg_in_text(&names);
    if (names.bad)
        return pg_violation(c->ctx, "invalid Bind message");
    LUMA_TRY(stmt_find(c, stmt_name, &stmt));
    LUMA_TRY(check_block(c, stmt));
    LUMA_TRY(portal_make(c, portal_name, &portal));
    c->sql->retain(stmt);
    portal->stmt = stmt;
    /* The values outlive the input buffer. */
    size_t rest = (size_t)(names.end - names.at);
    const uint8_t *copy = luma_arena_copy(portal->arena, names.at, rest);
    if (copy == NULL)
        return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "no memory for parameters");
    struct pg_in in = pg_in(luma_slice(copy, rest));
    return bind_values(c, portal, &in, stmt_name);
}

void
pg_bind(struct pg_conn *c, struct luma_slice body)
{
    pg_request_begin(c, luma_slice(NULL, 0));
    luma_rc rc = bind(c, body);
    if (rc == LUMA_OK)
        pg_out_empty(c, '2');
    else
        fail(c, c->ctx, rc);
}

/* --- Describe --- */

static void
send_params(struct pg_conn *c, const struct luma_type *types, uint32_t count)
{
    struct pg_out out;
    if (!pg_out_begin(c, &out, 't', 2 + (size_t)count * 4))
        return;
    pg_out_16(&out, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++)
        pg_out_32(&out, c->data->type_oid(types[i]));
    pg_out_end(c, &out);
}

static luma_rc
describe(struct pg_conn *c, struct luma_slice body)
{
    const struct luma_type *types = NULL;
    const struct luma_result_col *cols = NULL;
    uint32_t types_count = 0, cols_count = 0;
    struct pg_in in = pg_in(body);
    struct luma_stmt *stmt = NULL;
    struct pg_portal *portal = NULL;
    uint8_t what = pg_in_8(&in);
    const char *name = pg_in_text(&in);
    if (in.bad || (what != 'S' && what != 'P'))
        return pg_violation(c->ctx, "invalid Describe message");
    if (what == 'S') {
        LUMA_TRY(stmt_find(c, name, &stmt));
    } else {
        portal = portal_find(c, name);
        if (portal == NULL)
            return LUMA_FAIL_SQL(c->ctx, LUMA_E_UNDEFINED, "34000",
                                 "portal \"%.100s\" does not exist", name);
        stmt = portal->stmt;
    }
    LUMA_TRY(check_block(c, stmt));
    LUMA_TRY(c->sql->describe(portal == NULL ? c->ctx : &portal->ctx, c->session, stmt, &types,
                              &types_count, &cols, &cols_count));
    if (what == 'S')
        send_params(c, types, types_count);
    if (cols_count == 0)
        pg_out_empty(c, 'n');
    else if (portal != NULL && portal->formats_count > 1 && portal->formats_count != cols_count)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL,
                         "bind message has %u result formats but query has %u columns",
                         portal->formats_count, cols_count);
    else
        pg_row_description(c, cols, cols_count, portal == NULL ? NULL : portal->formats,
                           portal == NULL ? 0 : portal->formats_count);
    return LUMA_OK;
}

void
pg_describe(struct pg_conn *c, struct luma_slice body)
{
    pg_request_begin(c, luma_slice(NULL, 0));
    luma_rc rc = describe(c, body);
    if (rc != LUMA_OK)
        fail(c, c->ctx, rc);
}

/* --- Execute --- */

static luma_rc
execute_begin(struct pg_conn *c, struct pg_portal *portal)
{
    struct luma_exec_opts opts = {
        .params = portal->params, .params_count = portal->params_count, .copy = &c->copy_io};
    c->host->stats->add(c->pg->statements, 1);
    if (c->sql->ends_block(portal->stmt)) /* other portals end with their transaction */
        for (struct pg_portal *p = c->portals; p != NULL; p = p->next)
            if (p != portal)
                pg_portal_reset(c, p);
    LUMA_TRY(c->sql->execute(&portal->ctx, c->session, portal->stmt, &opts, &portal->result));
    portal->had_rows = portal->result->cols_count > 0;
    return LUMA_OK;
}

/* The next batch with rows in it, or none at the end. */
static luma_rc
next_batch(struct pg_conn *c, struct pg_portal *portal)
{
    struct luma_result *result = portal->result;
    if (portal->batch != NULL)
        return LUMA_OK;
    LUMA_TRY(result->next(&portal->ctx, result, &portal->batch));
    portal->batch_next = 0;
    if (portal->batch->sel_rows == 0) {
        portal->batch = NULL;
        return LUMA_OK;
    }
    /* Nothing leaves that a crash could take back; a small answer outside a block waits at Sync. */
    if (!portal->seen && (portal->batch->sel_rows > 64 || !c->ses->in_implicit(c->session))) {
        struct luma_txn *txn = c->ses->txn(c->session);
        if (txn != NULL)
            LUMA_TRY(c->host->txn->wait_seen(&portal->ctx, txn));
        portal->seen = true;
    }
    return LUMA_OK;
}

/* Sends up to max rows (0: all). *out_more: it stopped at max. */
static luma_rc
send_rows(struct pg_conn *c, struct pg_portal *portal, uint32_t max, uint64_t *out_sent,
          bool *out_more)
{
    struct luma_result *result = portal->result;
    LUMA_TRY(pg_rows_begin(c, &portal->ctx, result->cols, result->cols_count, portal->formats,
                           portal->formats_count));
    for (uint64_t sent = 0;;) {
        LUMA_TRY(next_batch(c, portal));
        struct luma_batch *batch = portal->batch;
        if (batch == NULL) {
            *out_sent = sent;
            return LUMA_OK;
        }
        uint32_t rows = batch->sel_rows - portal->batch_next;
        if (max != 0 && rows > max - sent)
            rows = (uint32_t)(max - sent);
        if (pg_rows_send(c, batch, portal->batch_next, rows) != LUMA_OK)
            return LUMA_FAIL(&portal->ctx, LUMA_E_CLOSED, "connection to client lost");
        sent += rows;
        portal->batch_next += rows;
        if (portal->batch_next == batch->sel_rows)
            portal->batch = NULL;
        if (max != 0 && sent == max) {
            *out_more = true;
            return LUMA_OK;
        }
        if (batch->sel_rows == LUMA_BATCH_ROWS)
            LUMA_TRY(c->host->sched->yield(&portal->ctx));
    }
}

static void
execute_end(struct pg_conn *c, struct pg_portal *portal, uint64_t sent)
{
    struct luma_result *result = LUMA_TAKE(portal->result);
    uint64_t rows =
        portal->had_rows && sent < result->rows_done && portal->seen ? sent : result->rows_done;
    if (strncmp(result->tag == NULL ? "" : result->tag, "SELECT", 6) == 0)
        rows = sent; /* those of this Execute, as PostgreSQL counts them */
    pg_command_complete(c, result->tag == NULL ? "" : result->tag, result->tag_rows, rows);
    result->close(result);
    portal->batch = NULL;
    portal->done = true;
}

static luma_rc
execute(struct pg_conn *c, struct pg_portal *portal, uint32_t max)
{
    uint64_t sent = 0;
    bool more = false;
    LUMA_TRY(check_block(c, portal->stmt));
    if (c->sql->is_empty(portal->stmt)) {
        pg_out_empty(c, 'I');
        return LUMA_OK;
    }
    if (portal->done) {
        if (!portal->had_rows)
            return LUMA_FAIL_SQL(c->ctx, LUMA_E_TXNSTATE, "55000",
                                 "portal \"%.100s\" cannot be run",
                                 portal->name == NULL ? "" : portal->name);
        pg_command_complete(c, "SELECT", true, 0);
        return LUMA_OK;
    }
    if (portal->result == NULL)
        LUMA_TRY(execute_begin(c, portal));
    if (portal->had_rows)
        LUMA_TRY(send_rows(c, portal, max, &sent, &more));
    if (more)
        pg_out_empty(c, 's');
    else
        execute_end(c, portal, sent);
    return LUMA_OK;
}

void
pg_execute(struct pg_conn *c, struct luma_slice body)
{
    struct pg_in in = pg_in(body);
    const char *name = pg_in_text(&in);
    uint32_t max = pg_in_32(&in);
    pg_request_begin(c, luma_slice(NULL, 0));
    struct pg_portal *portal = in.bad ? NULL : portal_find(c, name);
    struct luma_ctx *ctx = portal == NULL ? c->ctx : &portal->ctx;
    luma_rc rc;
    if (in.bad)
        rc = pg_violation(ctx, "invalid Execute message");
    else if (portal == NULL)
        rc =
            LUMA_FAIL_SQL(ctx, LUMA_E_UNDEFINED, "34000", "portal \"%.100s\" does not exist", name);
    else
        rc = execute(c, portal, (int32_t)max < 0 ? 0 : max);
    if (rc != LUMA_OK)
        fail(c, ctx, rc);
}

/* --- Close, Sync --- */

static void
portals_of_drop(struct pg_conn *c, const struct luma_stmt *stmt)
{
    for (struct pg_portal *p = c->portals, *next; p != NULL; p = next) {
        next = p->next;
        if (p->stmt == stmt)
            portal_drop(c, p);
    }
    if (c->unnamed_portal.used && c->unnamed_portal.stmt == stmt)
        pg_portal_reset(c, &c->unnamed_portal);
}

void
pg_close(struct pg_conn *c, struct luma_slice body)
{
    struct pg_in in = pg_in(body);
    uint8_t what = pg_in_8(&in);
    const char *name = pg_in_text(&in);
    pg_request_begin(c, luma_slice(NULL, 0));
    if (in.bad || (what != 'S' && what != 'P')) {
        fail(c, c->ctx, pg_violation(c->ctx, "invalid Close message"));
        return;
    }
    if (what == 'P') {
        struct pg_portal *portal = portal_find(c, name);
        if (portal != NULL)
            portal_drop(c, portal);
    } else if (name[0] == '\0') {
        pg_unnamed_drop(c);
    } else {
        struct luma_stmt *stmt = c->sql->named_get(c->session, name);
        if (stmt != NULL) {
            portals_of_drop(c, stmt);
            c->sql->named_drop(c->session, name);
        }
    }
    pg_out_empty(c, '3');
}

/* Suspended results end before the implicit transaction they read under. */
void
pg_sync(struct pg_conn *c)
{
    c->skip_to_sync = false;
    pg_request_begin(c, luma_slice(NULL, 0));
    if (c->ses->block_state(c->session) == LUMA_BLOCK_IDLE)
        pg_portals_drop(c);
    luma_rc rc = c->ses->implicit_commit(c->ctx, c->session);
    if (LUMA_UNLIKELY(rc != LUMA_OK))
        pg_statement_failed(c, c->ctx, rc);
    pg_request_end(c);
    pg_ready(c);
}
