/*
 * toy.c - see toy.h.
 */
#include "toy.h"

#include <lumadb/host/data.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/sched.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PARAMS_MAX 16

static const struct luma_host *host;

void
toy_init(const struct luma_host *table)
{
    host = table;
}

/* --- transactions that only remember that they are there --- */

struct luma_txn {
    struct luma_txn_opts opts;
    bool wrote, broken;
    uint64_t savepoints;
};

static luma_rc
txn_begin(struct luma_ctx *ctx, const struct luma_txn_opts *opts, struct luma_txn **out)
{
    struct luma_txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    txn->opts = *opts;
    *out = txn;
    return LUMA_OK;
}

static luma_rc
txn_statement_begin(struct luma_ctx *ctx, struct luma_txn *txn)
{
    (void)ctx;
    (void)txn;
    return LUMA_OK;
}

static luma_rc
txn_commit(struct luma_ctx *ctx, struct luma_txn *txn)
{
    bool broken = txn->broken;
    free(txn);
    if (broken)
        return LUMA_FAIL(ctx, LUMA_E_IO, "the log is broken");
    return LUMA_OK;
}

static void
txn_rollback(struct luma_txn *txn)
{
    free(txn);
}

static luma_rc
txn_savepoint(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out)
{
    (void)ctx;
    *out = ++txn->savepoints;
    return LUMA_OK;
}

static luma_rc
txn_rollback_to(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t savepoint)
{
    (void)ctx;
    (void)txn;
    (void)savepoint;
    return LUMA_OK;
}

static void
txn_release(struct luma_txn *txn, uint64_t savepoint)
{
    (void)txn;
    (void)savepoint;
}

static luma_rc
txn_wait_seen(struct luma_ctx *ctx, struct luma_txn *txn)
{
    (void)ctx;
    (void)txn;
    return LUMA_OK;
}

static enum luma_isolation
txn_isolation(const struct luma_txn *txn)
{
    return txn->opts.isolation;
}

static bool
txn_is_read_only(const struct luma_txn *txn)
{
    return txn->opts.read_only;
}

static void
txn_set_read_only(struct luma_txn *txn, bool read_only)
{
    txn->opts.read_only = read_only;
}

static void
txn_set_lock_timeout(struct luma_txn *txn, uint64_t nanoseconds)
{
    txn->opts.lock_timeout_ns = nanoseconds;
}

static int64_t
txn_start_us(const struct luma_txn *txn)
{
    (void)txn;
    return host->sched->wall_us();
}

static luma_rc
txn_commit_get(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_commit)
{
    *out_commit = 0;
    return txn_commit(ctx, txn);
}

const struct luma_host_txn toy_txn = {
    .head = {sizeof(struct luma_host_txn), 1, 0},
    .begin = txn_begin,
    .statement_begin = txn_statement_begin,
    .commit = txn_commit,
    .commit_get = txn_commit_get,
    .rollback = txn_rollback,
    .savepoint = txn_savepoint,
    .rollback_to = txn_rollback_to,
    .release = txn_release,
    .wait_seen = txn_wait_seen,
    .isolation = txn_isolation,
    .is_read_only = txn_is_read_only,
    .set_read_only = txn_set_read_only,
    .set_lock_timeout = txn_set_lock_timeout,
    .start_us = txn_start_us,
};

/* --- a catalogue of two users --- */

static const char verifier[] = "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$"
                               "nQpbZ77WudtqufPwikHXGRt6g2QJ4zns8bZLw273DRM=:"
                               "jn2amWP1q1h+jgjy0YTO14S6/F02SV7taipOeB7ef20=";

static const struct luma_cat_object objects[] = {
    {.id = 10,
     .kind = LUMA_CAT_ROLE,
     .name = "lumadb",
     .superuser = true,
     .can_login = true,
     .first_run = true,
     .verifier = verifier},
    {.id = 11, .kind = LUMA_CAT_ROLE, .name = "bob", .can_login = true, .verifier = verifier},
    {.id = 5, .kind = LUMA_CAT_DATABASE, .name = "default"},
};

static const struct luma_cat_view *
cat_view(struct luma_txn *txn)
{
    (void)txn;
    return (const struct luma_cat_view *)(const void *)objects;
}

static void
cat_release(const struct luma_cat_view *view)
{
    (void)view;
}

static const struct luma_cat_object *
cat_find(const struct luma_cat_view *view, enum luma_cat_kind kind, const char *name)
{
    (void)view;
    for (size_t i = 0; i < LUMA_COUNTOF(objects); i++)
        if (objects[i].kind == kind && strcmp(objects[i].name, name) == 0)
            return &objects[i];
    return NULL;
}

static const struct luma_cat_object *
cat_by_id(const struct luma_cat_view *view, uint64_t id)
{
    (void)view;
    (void)id;
    return NULL;
}

static luma_rc
cat_check(struct luma_ctx *ctx, const struct luma_cat_view *view,
          const struct luma_cat_object *object, uint32_t col_id, uint32_t rights)
{
    (void)ctx;
    (void)view;
    (void)object;
    (void)col_id;
    (void)rights;
    return LUMA_OK;
}

const struct luma_host_catalog toy_catalog = {
    .head = {sizeof(struct luma_host_catalog), 1, 0},
    .view = cat_view,
    .release = cat_release,
    .by_id = cat_by_id,
    .find = cat_find,
    .check = cat_check,
};

/* --- statements --- */

enum verb {
    VERB_EMPTY,
    VERB_SELECT,
    VERB_ROWS,
    VERB_ECHO,
    VERB_LOOKUP,
    VERB_INSERT,
    VERB_BEGIN,
    VERB_COMMIT,
    VERB_ROLLBACK_TO,
    VERB_ROLLBACK,
    VERB_SAVEPOINT,
    VERB_SET,
    VERB_SHOW,
    VERB_COPY_IN,
    VERB_COPY_OUT,
    VERB_SLEEP,
    VERB_FAIL,
    VERB_NOTICE,
    VERB_BROKEN,
    VERB_UNKNOWN
};

static const struct {
    const char *text;
    enum verb verb;
} verbs[] = {
    {"select abalance", VERB_LOOKUP},
    {"select", VERB_SELECT},
    {"rows", VERB_ROWS},
    {"echo", VERB_ECHO},
    {"lookup", VERB_LOOKUP},
    {"insert", VERB_INSERT},
    {"begin", VERB_BEGIN},
    {"commit", VERB_COMMIT},
    {"rollback to", VERB_ROLLBACK_TO},
    {"rollback", VERB_ROLLBACK},
    {"savepoint", VERB_SAVEPOINT},
    {"set", VERB_SET},
    {"show", VERB_SHOW},
    {"copy in", VERB_COPY_IN},
    {"copy out", VERB_COPY_OUT},
    {"sleep", VERB_SLEEP},
    {"fail", VERB_FAIL},
    {"notice", VERB_NOTICE},
    {"broken commit", VERB_BROKEN},
};

struct luma_stmt {
    uint32_t refs;
    enum verb verb;
    char *text; /* what follows the verb */
    uint32_t params_count, cols_count;
    struct luma_type params[PARAMS_MAX];
    struct luma_result_col cols[PARAMS_MAX];
};

static void
stmt_retain(struct luma_stmt *stmt)
{
    stmt->refs++;
}

static void
stmt_release(struct luma_stmt *stmt)
{
    if (--stmt->refs > 0)
        return;
    free(stmt->text);
    free(stmt);
}

static void
stmt_columns(struct luma_stmt *stmt)
{
    static const char *const row_names[] = {"n", "t", "f"};
    static const enum luma_type_id row_types[] = {LUMA_TYPE_INT4, LUMA_TYPE_TEXT, LUMA_TYPE_FLOAT8};
    switch (stmt->verb) {
    case VERB_SELECT:
    case VERB_LOOKUP:
        stmt->cols[0] =
            (struct luma_result_col){.name = "abalance", .type = luma_type(LUMA_TYPE_INT4)};
        stmt->cols_count = 1;
        break;
    case VERB_ROWS:
        for (uint32_t i = 0; i < 3; i++)
            stmt->cols[i] =
                (struct luma_result_col){.name = row_names[i], .type = luma_type(row_types[i])};
        stmt->cols_count = 3;
        break;
    case VERB_ECHO:
        for (uint32_t i = 0; i < stmt->params_count; i++)
            stmt->cols[i] = (struct luma_result_col){.name = "p", .type = stmt->params[i]};
        stmt->cols_count = stmt->params_count;
        break;
    case VERB_SHOW:
        stmt->cols[0] =
            (struct luma_result_col){.name = "value", .type = luma_type(LUMA_TYPE_TEXT)};
        stmt->cols_count = 1;
        break;
    default:
        break;
    }
}

static luma_rc
stmt_make(struct luma_ctx *ctx, const char *text, size_t bytes, const uint32_t *oids,
          uint32_t oids_count, struct luma_stmt **out)
{
    struct luma_stmt *stmt = calloc(1, sizeof(*stmt));
    while (bytes > 0 && strchr(" \n\t", *text) != NULL)
        text++, bytes--;
    stmt->refs = 1;
    stmt->verb = bytes == 0 ? VERB_EMPTY : VERB_UNKNOWN;
    size_t skip = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(verbs) && stmt->verb == VERB_UNKNOWN; i++) {
        skip = strlen(verbs[i].text);
        if (bytes >= skip && strncasecmp(text, verbs[i].text, skip) == 0)
            stmt->verb = verbs[i].verb;
    }
    if (stmt->verb == VERB_UNKNOWN) {
        free(stmt);
        luma_rc rc = LUMA_FAIL(ctx, LUMA_E_SYNTAX, "syntax error at or near \"%.*s\"",
                               (int)(bytes > 20 ? 20 : bytes), text);
        ctx->error->position = 1;
        return rc;
    }
    stmt->text = strndup(text + (bytes == 0 ? 0 : skip), bytes == 0 ? 0 : bytes - skip);
    for (const char *at = stmt->text; (at = strchr(at, '$')) != NULL; at++)
        stmt->params_count++;
    if (stmt->params_count > PARAMS_MAX)
        stmt->params_count = PARAMS_MAX;
    for (uint32_t i = 0; i < stmt->params_count; i++) {
        const struct luma_type_info *info =
            i < oids_count && oids[i] != 0 ? host->data->type_by_oid(oids[i]) : NULL;
        stmt->params[i] =
            info != NULL ? info->type
                         : luma_type(stmt->verb == VERB_LOOKUP ? LUMA_TYPE_INT4 : LUMA_TYPE_TEXT);
    }
    stmt_columns(stmt);
    *out = stmt;
    return LUMA_OK;
}

static luma_rc
toy_script(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
           struct luma_stmt ***out_stmts, uint32_t *out_count)
{
    (void)session;
    struct luma_stmt **stmts = LUMA_NEW_ARRAY(ctx->arena, struct luma_stmt *, text.bytes + 1);
    uint32_t count = 0;
    const char *at = (const char *)text.data, *end = at + text.bytes;
    while (at < end) {
        const char *semi = memchr(at, ';', (size_t)(end - at));
        const char *stop = semi == NULL ? end : semi;
        struct luma_stmt *stmt = NULL;
        luma_rc rc = stmt_make(ctx, at, (size_t)(stop - at), NULL, 0, &stmt);
        if (rc != LUMA_OK) {
            while (count > 0)
                stmt_release(stmts[--count]);
            return rc;
        }
        if (stmt->verb == VERB_EMPTY)
            stmt_release(stmt);
        else
            stmts[count++] = stmt;
        at = stop + 1;
    }
    *out_stmts = stmts;
    *out_count = count;
    return LUMA_OK;
}

static luma_rc
toy_prepare(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
            const uint32_t *oids, uint32_t oids_count, struct luma_stmt **out)
{
    (void)session;
    while (text.bytes > 0 && text.data[text.bytes - 1] == ';')
        text.bytes--;
    return stmt_make(ctx, (const char *)text.data, text.bytes, oids, oids_count, out);
}

static luma_rc
toy_describe(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
             const struct luma_type **out_params, uint32_t *out_params_count,
             const struct luma_result_col **out_cols, uint32_t *out_cols_count)
{
    (void)ctx;
    (void)session;
    *out_params = stmt->params;
    *out_params_count = stmt->params_count;
    *out_cols = stmt->cols;
    *out_cols_count = stmt->cols_count;
    return LUMA_OK;
}

/* --- results --- */

struct toy_result {
    struct luma_result base;
    struct luma_stmt *stmt;
    struct luma_session *session;
    struct luma_batch batch;
    struct luma_vec cols[PARAMS_MAX];
    struct luma_value values[PARAMS_MAX];
    uint64_t next, rows;
    int32_t number;
    uint64_t valid;
    int32_t ints[LUMA_BATCH_ROWS];
    double doubles[LUMA_BATCH_ROWS];
    struct luma_str strs[LUMA_BATCH_ROWS];
};

static struct toy_result *spare; /* of a lookup: one is enough for one loop, others are allocated */
static int spare_lock;

static struct toy_result *
result_take(void)
{
    struct toy_result *r = NULL;
    while (__atomic_exchange_n(&spare_lock, 1, __ATOMIC_ACQUIRE) != 0)
        ;
    if (spare != NULL) {
        r = spare;
        spare = *(struct toy_result **)(void *)r;
    }
    __atomic_store_n(&spare_lock, 0, __ATOMIC_RELEASE);
    return r != NULL ? r : malloc(sizeof(*r));
}

static void
result_give(struct toy_result *r)
{
    while (__atomic_exchange_n(&spare_lock, 1, __ATOMIC_ACQUIRE) != 0)
        ;
    *(struct toy_result **)(void *)r = spare;
    spare = r;
    __atomic_store_n(&spare_lock, 0, __ATOMIC_RELEASE);
}

static void
batch_fill(struct toy_result *r)
{
    uint64_t left = r->rows - r->next;
    uint32_t n = left > LUMA_BATCH_ROWS ? LUMA_BATCH_ROWS : (uint32_t)left;
    for (uint32_t i = 0; i < n && r->stmt->verb == VERB_ROWS; i++) {
        char text[32];
        int bytes = snprintf(text, sizeof(text), "row %llu", (unsigned long long)(r->next + i));
        r->ints[i] = (int32_t)(r->next + i);
        r->doubles[i] = (double)(r->next + i) / 4;
        r->strs[i] = luma_str_make(text, (uint32_t)(bytes > 12 ? 12 : bytes));
    }
    r->next += n;
    r->batch.rows = r->batch.sel_rows = n;
}

static luma_rc
result_next(struct luma_ctx *ctx, struct luma_result *base, struct luma_batch **out)
{
    struct toy_result *r = (struct toy_result *)base;
    (void)ctx;
    batch_fill(r);
    base->rows_done = r->next;
    *out = &r->batch;
    return LUMA_OK;
}

static void
result_close(struct luma_result *base)
{
    struct toy_result *r = (struct toy_result *)base;
    host->session->statement_end(r->session, LUMA_OK);
    stmt_release(r->stmt);
    result_give(r);
}

static void
result_columns(struct toy_result *r)
{
    struct luma_vec *cols = r->cols;
    r->batch.cols = cols;
    r->batch.cols_count = r->stmt->cols_count;
    memset(cols, 0, sizeof(r->cols));
    for (uint32_t i = 0; i < r->stmt->cols_count; i++) {
        cols[i].type = r->stmt->cols[i].type;
        cols[i].phys = (uint8_t)luma_type_phys(cols[i].type);
        if (r->stmt->verb == VERB_ECHO || r->stmt->verb == VERB_SHOW) {
            cols[i].form = LUMA_VEC_CONST;
            cols[i].data = &r->values[i].b;
            cols[i].phys = r->values[i].phys;
            cols[i].scale = r->values[i].scale;
            if (r->values[i].is_null)
                cols[i].valid = &r->valid;
        }
    }
    if (r->stmt->verb == VERB_ROWS) {
        cols[1].data = r->strs;
        cols[2].data = r->doubles;
    }
    if (r->stmt->verb != VERB_ECHO && r->stmt->verb != VERB_SHOW && r->stmt->cols_count > 0)
        cols[0].data = r->ints;
}

/* --- running --- */

/* How many rows a statement wants: enough for any test, few enough for a fuzzer. */
static uint64_t
rows_asked(const char *text)
{
    unsigned long long rows = strtoull(text, NULL, 10);
    return rows < 1000000 ? rows : 1000000;
}

static luma_rc
copy_in(struct luma_ctx *ctx, struct luma_copy_io *io, uint64_t *out_rows)
{
    LUMA_TRY(io->begin_in(ctx, io, false, 1));
    for (;;) {
        struct luma_slice piece;
        LUMA_TRY(io->read(ctx, io, &piece));
        if (piece.bytes == 0)
            return LUMA_OK;
        for (size_t i = 0; i < piece.bytes; i++) {
            *out_rows += piece.data[i] == '\n';
            if (piece.data[i] == '!')
                return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P04", "'!' is not data");
        }
    }
}

static luma_rc
copy_out(struct luma_ctx *ctx, struct luma_copy_io *io, uint64_t rows)
{
    LUMA_TRY(io->begin_out(ctx, io, false, 1));
    for (uint64_t i = 0; i < rows; i++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)i);
        LUMA_TRY(io->write(ctx, io, text, (size_t)n));
    }
    return io->end_out(ctx, io);
}

static luma_rc
run_session_verb(struct luma_ctx *ctx, struct luma_session *session, struct toy_result *r)
{
    const struct luma_host_session *ses = host->session;
    const char *text = r->stmt->text + strspn(r->stmt->text, " ");
    char name[100] = "", value[100] = "";
    bool back = false;
    switch (r->stmt->verb) {
    case VERB_BEGIN:
        r->base.tag = "BEGIN";
        return ses->block_begin(ctx, session, NULL);
    case VERB_COMMIT:
        LUMA_TRY(ses->block_commit(ctx, session, &back));
        r->base.tag = back ? "ROLLBACK" : "COMMIT";
        return LUMA_OK;
    case VERB_ROLLBACK:
        r->base.tag = "ROLLBACK";
        return ses->block_rollback(ctx, session);
    case VERB_ROLLBACK_TO:
        r->base.tag = "ROLLBACK";
        return ses->block_rollback_to(ctx, session, text);
    case VERB_SAVEPOINT:
        r->base.tag = "SAVEPOINT";
        return ses->block_savepoint(ctx, session, text);
    case VERB_SET:
        r->base.tag = "SET";
        if (sscanf(text, "%99s %99[^\n]", name, value) != 2)
            return LUMA_FAIL(ctx, LUMA_E_SYNTAX, "set NAME VALUE");
        return ses->setting_set(ctx, session, name, value, false);
    default:
        return LUMA_OK;
    }
}

static luma_rc
run_verb(struct luma_ctx *ctx, struct luma_session *session, const struct luma_exec_opts *opts,
         struct toy_result *r)
{
    const char *text = r->stmt->text + strspn(r->stmt->text, " ");
    struct luma_txn *txn = NULL;
    r->base.tag_rows = true;
    switch (r->stmt->verb) {
    case VERB_SELECT:
        r->base.tag = "SELECT";
        r->ints[0] = atoi(text);
        r->rows = 1;
        break;
    case VERB_LOOKUP:
        r->base.tag = "SELECT";
        r->ints[0] = opts->params_count > 0 ? opts->params[0].i32 : 0;
        r->rows = 1;
        break;
    case VERB_ROWS:
        r->base.tag = "SELECT";
        r->rows = rows_asked(text);
        break;
    case VERB_ECHO:
    case VERB_SHOW:
        r->base.tag = "SELECT";
        r->rows = 1;
        for (uint32_t i = 0; i < opts->params_count; i++)
            r->values[i] = opts->params[i];
        if (r->stmt->verb == VERB_SHOW) {
            const char *value = host->session->setting(session, text);
            r->values[0] = (struct luma_value){
                .type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR, .is_null = value == NULL};
            if (value != NULL)
                r->values[0].str = luma_str_make(value, (uint32_t)strlen(value));
        }
        break;
    case VERB_INSERT:
    case VERB_BROKEN:
        LUMA_TRY(host->session->statement_begin(ctx, session, &txn));
        txn->broken |= r->stmt->verb == VERB_BROKEN;
        txn->wrote = true;
        r->base.tag = "INSERT 0";
        r->base.rows_done = 1;
        return LUMA_OK;
    case VERB_COPY_IN:
        r->base.tag = "COPY";
        if (opts->copy == NULL)
            return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED, "no COPY here");
        return copy_in(ctx, opts->copy, &r->base.rows_done);
    case VERB_COPY_OUT:
        r->base.tag = "COPY";
        r->base.rows_done = rows_asked(text);
        return copy_out(ctx, opts->copy, r->base.rows_done);
    case VERB_SLEEP:
        r->base.tag = "SLEEP";
        r->base.tag_rows = false;
        return host->sched->sleep(ctx, strtoull(text, NULL, 10) * 1000000u);
    case VERB_NOTICE:
        r->base.tag = "NOTICE";
        r->base.tag_rows = false;
        host->session->notice(session, "NOTICE", "00000", "%s", text);
        return LUMA_OK;
    case VERB_FAIL: {
        char state[6] = "XX000";
        memcpy(state, text, strlen(text) < 5 ? strlen(text) : 5);
        luma_rc rc =
            LUMA_FAIL_SQL(ctx, LUMA_E_DATA, state, "%s", strlen(text) > 6 ? text + 6 : "failed");
        ctx->error->detail = luma_arena_text(ctx->arena, "the detail", 10);
        ctx->error->hint = "the hint";
        ctx->error->position = 7;
        ctx->error->schema = "s";
        ctx->error->table = "t";
        ctx->error->column = "c";
        ctx->error->constraint = "n";
        ctx->error->type = "d";
        return rc;
    }
    default:
        r->base.tag_rows = false;
        return run_session_verb(ctx, session, r);
    }
    return host->session->statement_begin(ctx, session, &txn);
}

static luma_rc
toy_execute(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
            const struct luma_exec_opts *opts, struct luma_result **out)
{
    struct toy_result *r = result_take();
    memset(r, 0, offsetof(struct toy_result, ints));
    stmt_retain(stmt);
    r->stmt = stmt;
    r->session = session;
    r->base.next = result_next;
    r->base.close = result_close;
    r->base.cols = stmt->cols;
    r->base.cols_count = stmt->cols_count;
    luma_rc rc = run_verb(ctx, session, opts, r);
    if (rc != LUMA_OK) {
        result_close(&r->base);
        return rc;
    }
    result_columns(r);
    *out = &r->base;
    return LUMA_OK;
}

static bool
toy_is_empty(const struct luma_stmt *stmt)
{
    return stmt->verb == VERB_EMPTY;
}

static bool
toy_ends_block(const struct luma_stmt *stmt)
{
    return stmt->verb == VERB_COMMIT || stmt->verb == VERB_ROLLBACK ||
           stmt->verb == VERB_ROLLBACK_TO;
}

/* --- named statements --- */

struct named {
    struct named *next;
    char *name;
    struct luma_stmt *stmt;
};

static const char owner;

static void
named_fini(void *content)
{
    for (struct named *n = content, *next; n != NULL; n = next) {
        next = n->next;
        stmt_release(n->stmt);
        free(n->name);
        free(n);
    }
}

static struct named **
named_list(struct luma_session *session)
{
    return (struct named **)host->session->slot(session, &owner, named_fini);
}

static struct luma_stmt *
toy_named_get(struct luma_session *session, const char *name)
{
    for (struct named *n = *named_list(session); n != NULL; n = n->next)
        if (strcmp(n->name, name) == 0)
            return n->stmt;
    return NULL;
}

static luma_rc
toy_named_put(struct luma_ctx *ctx, struct luma_session *session, const char *name,
              struct luma_stmt *stmt)
{
    if (toy_named_get(session, name) != NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42P05",
                             "prepared statement \"%s\" already exists", name);
    struct named *n = calloc(1, sizeof(*n)), **list = named_list(session);
    n->name = strdup(name);
    n->stmt = stmt;
    n->next = *list;
    *list = n;
    stmt_retain(stmt);
    return LUMA_OK;
}

static void
toy_named_drop(struct luma_session *session, const char *name)
{
    struct named **p = named_list(session);
    while (*p != NULL) {
        struct named *n = *p;
        if (name != NULL && strcmp(n->name, name) != 0) {
            p = &n->next;
            continue;
        }
        *p = n->next;
        n->next = NULL;
        named_fini(n);
    }
}

static struct luma_result *
toy_cursor_get(struct luma_session *session, const char *name)
{
    (void)session;
    (void)name;
    return NULL;
}

const struct luma_language toy_language = {
    .head = LUMA_QUERY_HEAD,
    .script = toy_script,
    .prepare = toy_prepare,
    .release = stmt_release,
    .describe = toy_describe,
    .execute = toy_execute,
    .is_empty = toy_is_empty,
    .ends_block = toy_ends_block,
    .named_put = toy_named_put,
    .named_get = toy_named_get,
    .named_drop = toy_named_drop,
    .cursor_get = toy_cursor_get,
    .retain = stmt_retain,
};
