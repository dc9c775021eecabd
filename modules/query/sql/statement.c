/*
 * statement.c - statements: made from text (or found in the session's cache), bound when they are
 * described or executed, bound again when the catalogue, the settings or the user changed.
 */
#include <stdlib.h>

#include "sql.h"

#define CACHE_SLOTS           256u
#define CACHED_TEXT_BYTES_MAX 8192u

/* ---- the session's slot ---- */

static const char slot_owner = 'q';

static void
session_fini(void *content)
{
    struct sql_session *own = content;
    if (own == NULL)
        return;
    sql_cursors_close(own, true);
    sql_named_fini(own);
    sql_foreign_fini(own);
    for (uint32_t i = 0; i < CACHE_SLOTS; i++)
        while (own->cache[i] != NULL) {
            struct luma_stmt *stmt = own->cache[i];
            own->cache[i] = stmt->cache_next;
            stmt->cached = false;
            sql_stmt_release(stmt);
        }
    sql_temp_drop(own);
    sql_results_fini(own);
    free(own->cache);
    free(own->path_text);
    free(own->path);
    free(own);
}

struct sql_session *
sql_session_of(struct luma_session *session)
{
    void **slot = sql_host->session->slot(session, &slot_owner, session_fini);
    return slot == NULL ? NULL : *slot;
}

luma_rc
sql_session_need(struct luma_ctx *ctx, struct luma_session *session, struct sql_session **out_own)
{
    void **slot = sql_host->session->slot(session, &slot_owner, session_fini);
    if (LUMA_UNLIKELY(slot != NULL && *slot == NULL)) {
        struct sql_session *own = calloc(1, sizeof(*own));
        if (own != NULL && (own->cache = calloc(CACHE_SLOTS, sizeof(*own->cache))) == NULL) {
            free(own);
            own = NULL;
        }
        if (own != NULL)
            own->session = session;
        *slot = own;
    }
    if (slot == NULL || *slot == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_own = *slot;
    return LUMA_OK;
}

/* ---- life ---- */

void
sql_bound_release(struct sql_bound *bound)
{
    if (bound == NULL || --bound->refs > 0)
        return;
    if (bound->query != NULL)
        sql_engine->release(bound->query);
    sql_host->mem->arena_destroy(bound->arena);
}

void
sql_stmt_ref(struct luma_stmt *stmt)
{
    stmt->refs++;
}

void
sql_stmt_release(struct luma_stmt *stmt)
{
    if (stmt == NULL || --stmt->refs > 0)
        return;
    sql_bound_release(stmt->bound);
    sql_parse_release(stmt->parse);
    free(stmt->param_types);
    free(stmt);
}

static struct luma_stmt *
stmt_new(struct sql_parse *parse, const PgQuery__RawStmt *raw)
{
    struct luma_stmt *stmt = calloc(1, sizeof(*stmt));
    if (stmt == NULL)
        return NULL;
    stmt->refs = 1;
    stmt->parse = parse;
    parse->refs++;
    stmt->text = parse->text;
    if (raw == NULL)
        return stmt;
    stmt->node = raw->stmt;
    stmt->text += raw->stmt_location;
    stmt->text_bytes =
        raw->stmt_len > 0 ? (size_t)raw->stmt_len : parse->bytes - (size_t)raw->stmt_location;
    return stmt;
}

bool
sql_stmt_is_plan(const PgQuery__Node *node)
{
    return node->node_case == PGN(INSERT_STMT) || node->node_case == PGN(UPDATE_STMT) ||
           node->node_case == PGN(DELETE_STMT) || node->node_case == PGN(MERGE_STMT) ||
           (node->node_case == PGN(SELECT_STMT) && node->select_stmt->into_clause == NULL);
}

/* ---- cache ---- */

static uint64_t
text_hash(struct luma_slice text, const uint32_t *types, uint32_t count)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ text.bytes, word;
    size_t i = 0;
    for (; i + 8 <= text.bytes; i += 8) {
        memcpy(&word, text.data + i, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (; i < text.bytes; i++)
        h = (h ^ text.data[i]) * 0x100000001b3u;
    for (uint32_t t = 0; t < count; t++)
        h = (h ^ types[t]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static bool
types_match(const struct luma_stmt *stmt, const uint32_t *oids, uint32_t count)
{
    uint32_t n = count > stmt->param_types_count ? count : stmt->param_types_count;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t have = i < stmt->param_types_count && stmt->param_types[i].id != LUMA_TYPE_NONE
                            ? sql_host->data->type_oid(stmt->param_types[i])
                            : 0;
        if (have != (i < count ? oids[i] : 0))
            return false;
    }
    return true;
}

static struct luma_stmt *
cache_find(struct sql_session *own, struct luma_slice text, const uint32_t *oids, uint32_t count,
           uint64_t hash)
{
    if (text.bytes > CACHED_TEXT_BYTES_MAX)
        return NULL;
    for (struct luma_stmt *s = own->cache[hash % CACHE_SLOTS]; s != NULL; s = s->cache_next)
        if (s->cache_hash == hash && s->literals == NULL && s->parse->bytes == text.bytes &&
            memcmp(s->parse->text, text.data, text.bytes) == 0 && types_match(s, oids, count)) {
            s->cache_used = ++own->cache_clock;
            return s;
        }
    return NULL;
}

static void
cache_evict(struct sql_session *own)
{
    struct luma_stmt **oldest = NULL;
    for (uint32_t i = 0; i < CACHE_SLOTS; i++)
        for (struct luma_stmt **p = &own->cache[i]; *p != NULL; p = &(*p)->cache_next)
            if (oldest == NULL || (*p)->cache_used < (*oldest)->cache_used)
                oldest = p;
    if (oldest == NULL)
        return;
    struct luma_stmt *stmt = *oldest;
    *oldest = stmt->cache_next;
    stmt->cached = false;
    own->cache_count--;
    sql_stmt_release(stmt);
}

static void
cache_put(struct sql_session *own, struct luma_stmt *stmt, uint64_t hash)
{
    if (stmt->node == NULL || !sql_stmt_is_plan(stmt->node) ||
        stmt->parse->bytes > CACHED_TEXT_BYTES_MAX || sql_conf->cached_statements == 0)
        return;
    while (own->cache_count >= (uint64_t)sql_conf->cached_statements)
        cache_evict(own);
    stmt->cache_hash = hash;
    stmt->cache_used = ++own->cache_clock;
    stmt->cache_next = own->cache[hash % CACHE_SLOTS];
    own->cache[hash % CACHE_SLOTS] = stmt;
    own->cache_count++;
    stmt->cached = true;
    sql_stmt_ref(stmt);
}

/* ---- from text ---- */

static luma_rc
script_of_one(struct luma_ctx *ctx, struct luma_stmt *stmt, struct luma_stmt ***out_stmts,
              uint32_t *out_count)
{
    *out_stmts = LUMA_NEW_ARRAY(ctx->arena, struct luma_stmt *, 1);
    if (*out_stmts == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    sql_stmt_ref(stmt);
    (*out_stmts)[0] = stmt;
    *out_count = 1;
    return LUMA_OK;
}

/* The statement that texts with other numbers share; NULL: there is none for this one. What is
 * wrong with the statement is found and said when the text is taken as it is; *out_begin tells that
 * none can begin. */
static struct luma_stmt *
shared_statement(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                 luma_rc *out_begin)
{
    *out_begin = LUMA_OK;
    struct sql_session *own = sql_session_of(session);
    struct sql_literals *literals = luma_arena_alloc(ctx->arena, sizeof(*literals));
    if (sql_conf->cached_statements == 0 || literals == NULL ||
        !sql_normalize(text, ctx->arena, literals))
        return NULL;
    struct luma_slice plain = luma_slice(literals->text, literals->bytes);
    uint64_t hash = text_hash(plain, NULL, 0) ^ 0x5bd1e995u; /* apart from texts that have $1 */
    for (uint32_t i = 0; i < literals->count; i++)
        hash = (hash ^ literals->values[i].type.id) * 0x100000001b3u;
    struct luma_stmt *hit = NULL;
    for (struct luma_stmt *s = own->cache[hash % CACHE_SLOTS]; s != NULL; s = s->cache_next)
        if (s->cache_hash == hash && s->literals != NULL && s->parse->bytes == plain.bytes &&
            s->param_types_count == literals->count &&
            memcmp(s->parse->text, plain.data, plain.bytes) == 0)
            hit = s;
    if (hit != NULL) {
        hit->cache_used = ++own->cache_clock;
        hit->literals = literals;
        return hit;
    }
    if (own->plain_texts[hash % LUMA_COUNTOF(own->plain_texts)] == hash)
        return NULL;
    struct luma_type types[SQL_LITERALS_MAX];
    struct luma_txn *txn = NULL;
    for (uint32_t i = 0; i < literals->count; i++)
        types[i] = literals->values[i].type;
    luma_rc rc = sql_stmt_prepare(ctx, session, plain, types, literals->count, &hit);
    if (rc == LUMA_OK && (hit->node == NULL || !sql_stmt_is_plan(hit->node)))
        rc = LUMA_E_UNSUPPORTED;
    if (rc == LUMA_OK)
        rc = *out_begin = sql_host->session->statement_begin(ctx, session, &txn);
    if (*out_begin != LUMA_OK) {
        sql_stmt_release(hit);
        return NULL;
    }
    if (rc == LUMA_OK)
        rc = sql_stmt_bind(ctx, session, txn, hit);
    if (rc == LUMA_OK && hit->bound->params_count == literals->count) {
        hit->literals = literals;
        cache_put(own, hit, hash);
        sql_stmt_release(hit); /* the cache has it */
        return hit->cached ? hit : NULL;
    }
    if (rc != LUMA_E_NOTFOUND && rc != LUMA_E_UNDEFINED && rc != LUMA_E_ABORTED)
        own->plain_texts[hash % LUMA_COUNTOF(own->plain_texts)] = hash;
    luma_error_reset(ctx->error);
    sql_stmt_release(hit);
    return NULL;
}

static luma_rc
script(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
       struct luma_stmt ***out_stmts, uint32_t *out_count)
{
    struct sql_session *own;
    LUMA_TRY(sql_session_need(ctx, session, &own));
    uint64_t hash = text_hash(text, NULL, 0);
    struct luma_stmt *hit = cache_find(own, text, NULL, 0, hash);
    luma_rc begin = LUMA_OK;
    if (hit == NULL)
        hit = shared_statement(ctx, session, text, &begin);
    if (begin != LUMA_OK)
        return begin;
    if (hit != NULL)
        return script_of_one(ctx, hit, out_stmts, out_count);
    struct sql_parse *parse = NULL;
    LUMA_TRY(sql_parse_open(ctx, text, &parse));
    uint32_t n = (uint32_t)parse->tree->n_stmts;
    struct luma_stmt **stmts = LUMA_NEW_ARRAY(ctx->arena, struct luma_stmt *, n + 1);
    bool failed = stmts == NULL;
    uint32_t made = 0;
    for (; !failed && made < n; made++) {
        stmts[made] = stmt_new(parse, parse->tree->stmts[made]);
        failed = stmts[made] == NULL;
    }
    if (!failed && n == 1)
        cache_put(own, stmts[0], hash);
    sql_parse_release(parse);
    if (failed) {
        for (uint32_t i = 0; stmts != NULL && i < made; i++)
            sql_stmt_release(stmts[i]);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    *out_stmts = stmts;
    *out_count = n;
    return LUMA_OK;
}

luma_rc
sql_stmt_prepare(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                 const struct luma_type *types, uint32_t types_count, struct luma_stmt **out_stmt)
{
    (void)session;
    struct sql_parse *parse = NULL;
    LUMA_TRY(sql_parse_open(ctx, text, &parse));
    struct luma_stmt *stmt = NULL;
    luma_rc rc = LUMA_OK;
    if (parse->tree->n_stmts > 1)
        rc = LUMA_FAIL_SQL(ctx, LUMA_E_SYNTAX, "42601",
                           "cannot insert multiple commands into a prepared statement");
    else
        stmt = stmt_new(parse, parse->tree->n_stmts == 1 ? parse->tree->stmts[0] : NULL);
    sql_parse_release(parse);
    if (rc != LUMA_OK)
        return rc;
    if (stmt != NULL && types_count > 0) {
        stmt->param_types = calloc(types_count, sizeof(*types));
        stmt->param_types_count = types_count;
        if (stmt->param_types != NULL)
            memcpy(stmt->param_types, types, sizeof(*types) * types_count);
    }
    if (stmt == NULL || (types_count > 0 && stmt->param_types == NULL)) {
        sql_stmt_release(stmt);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    *out_stmt = stmt;
    return LUMA_OK;
}

static luma_rc
types_of_oids(struct luma_ctx *ctx, const uint32_t *oids, uint32_t count, struct luma_type *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = luma_type(LUMA_TYPE_NONE);
        if (oids[i] == 0 || oids[i] == 705)
            continue;
        const struct luma_type_info *info = sql_host->data->type_by_oid(oids[i]);
        const struct luma_cat_view *view = info == NULL ? sql_host->catalog->view(NULL) : NULL;
        bool made = view != NULL && sql_made_type_by_oid(view, oids[i], &out[i]);
        if (view != NULL)
            sql_host->catalog->release(view);
        if (made)
            continue;
        if (info == NULL)
            return LUMA_FAIL_SQL(ctx, LUMA_E_UNDEFINED, "42704", "type with OID %u does not exist",
                                 oids[i]);
        out[i] = info->type;
        out[i].mod = -1;
        if (info->array_oid != 0 && oids[i] == info->array_oid && out[i].id != LUMA_TYPE_ARRAY)
            out[i] = luma_type_array_of(info->type);
    }
    return LUMA_OK;
}

/* ---- binding ---- */

struct binding {
    const PgQuery__Node *node;
    const struct luma_type *types;
    uint32_t types_count;
    struct sql_bound *bound;
};

static const char *
tag_of(const PgQuery__Node *node)
{
    return node->node_case == PGN(INSERT_STMT)   ? "INSERT 0"
           : node->node_case == PGN(UPDATE_STMT) ? "UPDATE"
           : node->node_case == PGN(DELETE_STMT) ? "DELETE"
                                                 : "SELECT";
}

static void
bind_params(struct sql_bind *b, const struct binding *in)
{
    if (in->types_count == 0)
        return;
    b->params = SQL_NEW_ARRAY(b, struct luma_type, in->types_count);
    memcpy(b->params, in->types, sizeof(*b->params) * in->types_count);
    b->params_count = b->params_room = in->types_count;
}

static void
finish_params(struct sql_bind *b, struct sql_bound *bound)
{
    for (uint32_t i = 0; i < b->params_count; i++)
        if (b->params[i].id == LUMA_TYPE_NONE || b->params[i].id == LUMA_TYPE_UNKNOWN)
            SQL_THROW(b, -1, LUMA_E_TYPE, "42P18", "could not determine data type of parameter $%u",
                      i + 1);
    bound->params = b->params;
    bound->params_count = b->params_count;
}

static void
bind_now(struct sql_bind *b, void *arg)
{
    struct binding *in = arg;
    struct sql_bound *bound = in->bound;
    bind_params(b, in);
    bound->plan = sql_bind_query(b, NULL, in->node, NULL);
    finish_params(b, bound);
    if (sql_plan_depth(bound->plan) > SQL_NODES_DEPTH_MAX) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_LIMIT, "54001", "stack depth limit exceeded");
        sql_hint(b, "The statement nests expressions or subqueries more than %u deep.",
                 SQL_NODES_DEPTH_MAX);
        sql_throw(b, -1, rc);
    }
    struct luma_result_col *cols =
        SQL_NEW_ARRAY(b, struct luma_result_col, bound->plan->cols_count);
    for (uint32_t i = 0; i < bound->plan->cols_count; i++) {
        const struct luma_plan_col *col = &bound->plan->cols[i];
        cols[i] = (struct luma_result_col){col->name, col->type, col->table_id, col->col_id};
    }
    bound->cols = cols;
    bound->cols_count = bound->plan->cols_count;
    bound->tag = tag_of(in->node);
    bound->returns_rows = in->node->node_case == PGN(SELECT_STMT) || bound->cols_count > 0;
}

luma_rc
sql_bind_node(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
              const char *text, size_t text_bytes, PgQuery__Node *node,
              const struct luma_type *types, uint32_t types_count, struct sql_bound **out)
{
    struct luma_arena *arena = sql_host->mem->arena_create(NULL, 8192);
    struct sql_bound *bound = arena != NULL ? LUMA_NEW(arena, struct sql_bound) : NULL;
    if (bound == NULL) {
        sql_host->mem->arena_destroy(arena);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    bound->refs = 1;
    bound->arena = arena;
    struct sql_bind b;
    struct binding in = {node, types, types_count, bound};
    sql_bind_init(&b, ctx, session, txn, arena, text, text_bytes);
    luma_rc rc = sql_guard(&b, bind_now, &in);
    if (rc != LUMA_OK) {
        sql_bound_release(bound);
        return rc;
    }
    bound->version = sql_host->catalog->version(b.view);
    bound->settings = b.own->settings_generation;
    bound->user_id = sql_host->session->user_id(session);
    *out = bound;
    return LUMA_OK;
}

static bool
same_columns(const struct sql_bound *a, const struct sql_bound *b)
{
    if (a->cols_count != b->cols_count)
        return false;
    for (uint32_t i = 0; i < a->cols_count; i++)
        if (!sql_type_exact(a->cols[i].type, b->cols[i].type))
            return false;
    return true;
}

luma_rc
sql_stmt_bind(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
              struct luma_stmt *stmt)
{
    struct sql_bound *old = stmt->bound, *bound = NULL;
    if (old != NULL) {
        uint64_t version = sql_host->catalog->version_now(txn);
        if (LUMA_LIKELY(old->version == version &&
                        old->settings == sql_session_of(session)->settings_generation &&
                        old->user_id == sql_host->session->user_id(session)))
            return LUMA_OK;
    }
    /* parameters keep the types a client was told */
    const struct luma_type *types = old != NULL ? old->params : stmt->param_types;
    uint32_t count = old != NULL ? old->params_count : stmt->param_types_count;
    LUMA_TRY(sql_bind_node(ctx, session, txn, stmt->parse->text, stmt->parse->bytes, stmt->node,
                           types, count, &bound));
    if (old != NULL && stmt->described && !same_columns(old, bound)) {
        sql_bound_release(bound);
        return LUMA_FAIL_SQL(ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "cached plan must not change result type");
    }
    sql_bound_release(old);
    stmt->bound = bound;
    return LUMA_OK;
}

luma_rc
sql_bound_compile(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                  struct sql_bound *bound)
{
    if (LUMA_LIKELY(bound->query != NULL))
        return LUMA_OK;
    return sql_engine->prepare(ctx, session, txn, bound->plan, bound->params, bound->params_count,
                               &bound->query);
}

/* ---- the language's table ---- */

luma_rc
sql_stmt_cached(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                const uint32_t *type_oids, uint32_t types_count, struct luma_stmt **out_stmt)
{
    struct sql_session *own;
    LUMA_TRY(sql_session_need(ctx, session, &own));
    uint64_t hash = text_hash(text, type_oids, types_count);
    struct luma_stmt *stmt = cache_find(own, text, type_oids, types_count, hash);
    if (stmt != NULL) {
        sql_stmt_ref(stmt);
    } else {
        struct luma_type *types = LUMA_NEW_ARRAY(ctx->arena, struct luma_type, types_count + 1);
        if (types == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        LUMA_TRY(types_of_oids(ctx, type_oids, types_count, types));
        LUMA_TRY(sql_stmt_prepare(ctx, session, text, types, types_count, &stmt));
        cache_put(own, stmt, hash);
    }
    *out_stmt = stmt;
    return LUMA_OK;
}

static luma_rc
prepare(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
        const uint32_t *type_oids, uint32_t types_count, struct luma_stmt **out_stmt)
{
    struct luma_stmt *stmt = NULL;
    LUMA_TRY(sql_stmt_cached(ctx, session, text, type_oids, types_count, &stmt));
    luma_rc rc = LUMA_OK;
    if (stmt->node != NULL && sql_stmt_is_plan(stmt->node)) {
        struct luma_txn *txn = NULL;
        rc = sql_host->session->statement_begin(ctx, session, &txn);
        if (rc == LUMA_OK) {
            rc = sql_stmt_bind(ctx, session, txn, stmt);
            sql_host->session->statement_end(session, rc);
        }
    }
    if (rc != LUMA_OK) {
        sql_stmt_release(stmt);
        return rc;
    }
    *out_stmt = stmt;
    return LUMA_OK;
}

static luma_rc
describe(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
         const struct luma_type **out_params, uint32_t *out_params_count,
         const struct luma_result_col **out_cols, uint32_t *out_cols_count)
{
    *out_params = NULL;
    *out_params_count = 0;
    *out_cols = NULL;
    *out_cols_count = 0;
    if (stmt->node == NULL)
        return LUMA_OK;
    if (!sql_stmt_is_plan(stmt->node))
        return sql_utility_cols(ctx, session, stmt, out_cols, out_cols_count);
    struct luma_txn *txn = NULL;
    LUMA_TRY(sql_host->session->statement_begin(ctx, session, &txn));
    luma_rc rc = sql_stmt_bind(ctx, session, txn, stmt);
    sql_host->session->statement_end(session, rc);
    if (rc != LUMA_OK)
        return rc;
    stmt->described = true;
    *out_params = stmt->bound->params;
    *out_params_count = stmt->bound->params_count;
    *out_cols = stmt->bound->cols;
    *out_cols_count = stmt->bound->cols_count;
    return LUMA_OK;
}

/* Binds, compiles and opens under txn; the caller ends the statement when this fails. */
luma_rc
sql_run_stmt(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
             struct luma_stmt *stmt, const struct luma_value *params, uint32_t params_count,
             bool ends_statement, struct luma_result **out_result)
{
    LUMA_TRY(sql_stmt_bind(ctx, session, txn, stmt));
    struct sql_bound *bound = stmt->bound;
    if (params_count != bound->params_count)
        return LUMA_FAIL_SQL(ctx, LUMA_E_PROTOCOL, "08P01",
                             "bind message supplies %u parameters, but prepared statement \"\" "
                             "requires %u",
                             params_count, bound->params_count);
    LUMA_TRY(sql_bound_compile(ctx, session, txn, bound));
    struct luma_result *inner = NULL;
    bool changes = bound->plan->kind == LUMA_PLAN_INSERT || bound->plan->kind == LUMA_PLAN_UPDATE ||
                   bound->plan->kind == LUMA_PLAN_DELETE;
    luma_rc rc = sql_engine->open(ctx, session, txn, bound->query, params, params_count, &inner);
    if (rc == LUMA_OK && changes)
        rc = sql_foreign_end(ctx, session, txn);
    if (rc != LUMA_OK) {
        sql_foreign_forget(sql_session_of(session));
        if (inner != NULL)
            inner->close(inner);
        return rc;
    }
    return sql_result_wrap(ctx, session, bound, inner, ends_statement, out_result);
}

static luma_rc
execute_plan(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
             const struct luma_exec_opts *opts, struct luma_result **out_result)
{
    struct luma_txn *txn = NULL;
    LUMA_TRY(sql_host->session->statement_begin(ctx, session, &txn));
    const struct sql_literals *literals = stmt->literals;
    luma_rc rc;
    if (literals != NULL) {
        rc = sql_run_stmt(ctx, session, txn, stmt, literals->values, literals->count, true,
                          out_result);
        if (rc != LUMA_OK && ctx->error->position != 0)
            ctx->error->position = sql_literals_position(literals, ctx->error->position);
    } else {
        rc = sql_run_stmt(ctx, session, txn, stmt, opts != NULL ? opts->params : NULL,
                          opts != NULL ? opts->params_count : 0, true, out_result);
    }
    if (rc != LUMA_OK)
        sql_host->session->statement_end(session, rc);
    return rc;
}

static luma_rc
execute(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
        const struct luma_exec_opts *opts, struct luma_result **out_result)
{
    if (stmt->node == NULL)
        return sql_result_done(ctx, session, "", false, 0, out_result);
    if (LUMA_UNLIKELY(stmt->stat == NULL))
        stmt->stat = sql_stat_of(session, stmt->text, stmt->text_bytes);
    uint64_t started_ns = sql_host->sched->now_ns();
    bool is_plan = sql_stmt_is_plan(stmt->node);
    luma_rc rc = is_plan ? execute_plan(ctx, session, stmt, opts, out_result)
                         : sql_utility(ctx, session, stmt, opts, out_result);
    if (rc == LUMA_OK && is_plan) {
        sql_result_time(*out_result, stmt, started_ns);
        return rc;
    }
    uint64_t ns = sql_host->sched->now_ns() - started_ns;
    uint64_t rows = rc == LUMA_OK ? (*out_result)->rows_done : 0;
    sql_stat_count(stmt->stat, ns, rows, rc != LUMA_OK);
    sql_slow_log(session, stmt, NULL, ns, rows, rc);
    return rc;
}

static bool
is_empty(const struct luma_stmt *stmt)
{
    return stmt->node == NULL;
}

static bool
ends_block(const struct luma_stmt *stmt)
{
    if (stmt->node == NULL || stmt->node->node_case != PGN(TRANSACTION_STMT))
        return false;
    PgQuery__TransactionStmtKind kind = stmt->node->transaction_stmt->kind;
    return kind == PG_TRANS(COMMIT) || kind == PG_TRANS(ROLLBACK) || kind == PG_TRANS(ROLLBACK_TO);
}

const struct luma_language sql_language = {
    .head = LUMA_QUERY_HEAD,
    .script = script,
    .prepare = prepare,
    .release = sql_stmt_release,
    .describe = describe,
    .execute = execute,
    .is_empty = is_empty,
    .ends_block = ends_block,
    .named_put = sql_named_put,
    .named_get = sql_named_get,
    .named_drop = sql_named_drop,
    .cursor_get = sql_cursor_get,
    .retain = sql_stmt_ref,
};
