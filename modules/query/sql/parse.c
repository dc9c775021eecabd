/*
 * parse.c - text to parse tree: libpg_query on the parser's stack, then its protobuf unpacked into
 * an arena; and back from a tree to text.
 */
#include <stdio.h>

#include "sql.h"

uint32_t
sql_char_position(const char *text, size_t bytes, int32_t offset)
{
    if (offset < 0 || text == NULL)
        return 0;
    uint32_t chars = 1;
    for (size_t i = 0; i < (size_t)offset && i < bytes; i++)
        chars += (text[i] & 0xc0) != 0x80;
    return chars;
}

/* protobuf-c allocates from the arena and frees nothing. */
static void *
tree_alloc(void *arena, size_t bytes)
{
    return luma_arena_alloc(arena, bytes);
}

static void
tree_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

struct parse_call {
    struct luma_arena *arena;
    const char *text;
    PgQuery__ParseResult *tree;
    bool failed;
    char message[512];
    int cursor;
};

static void
parse_on_stack(void *arg)
{
    struct parse_call *call = arg;
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(call->text);
    if (result.error != NULL) {
        call->failed = true;
        snprintf(call->message, sizeof(call->message), "%s", result.error->message);
        call->cursor = result.error->cursorpos;
    } else {
        ProtobufCAllocator allocator = {tree_alloc, tree_free, call->arena};
        call->tree = pg_query__parse_result__unpack(&allocator, result.parse_tree.len,
                                                    (const uint8_t *)result.parse_tree.data);
    }
    pg_query_free_protobuf_parse_result(result);
}

static luma_rc
parse_failed(struct luma_ctx *ctx, const struct parse_call *call)
{
    bool encoding = strstr(call->message, "invalid byte sequence") != NULL ||
                    strstr(call->message, "Unicode") != NULL;
    bool too_long = strstr(call->message, "memory exhausted") != NULL;
    luma_rc rc = LUMA_FAIL_SQL(ctx, too_long ? LUMA_E_LIMIT : LUMA_E_SYNTAX,
                               encoding   ? "22021"
                               : too_long ? "54001"
                                          : "42601",
                               "%s", call->message);
    /* libpg_query counts characters from 1 */
    ctx->error->position = call->cursor > 0 ? (uint32_t)call->cursor : 0;
    return rc;
}

static luma_rc
parse_into(struct luma_ctx *ctx, struct sql_parse *parse, struct luma_slice text)
{
    if (memchr(text.data, '\0', text.bytes) != NULL ||
        !sql_host->data->utf8_valid(text.data, text.bytes))
        return LUMA_FAIL_SQL(ctx, LUMA_E_SYNTAX, "22021",
                             "invalid byte sequence for encoding \"UTF8\"");
    parse->text = luma_arena_text(parse->arena, text.data, text.bytes);
    parse->bytes = text.bytes;
    if (parse->text == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    struct parse_call call = {.arena = parse->arena, .text = parse->text};
    sql_host->sched->on_stack(LUMA_STACK_PARSER, parse_on_stack, &call);
    if (call.failed)
        return parse_failed(ctx, &call);
    if (call.tree == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    parse->tree = call.tree;
    return LUMA_OK;
}

luma_rc
sql_parse_open(struct luma_ctx *ctx, struct luma_slice text, struct sql_parse **out_parse)
{
    if (text.bytes > (size_t)sql_conf->statement_bytes_max)
        return LUMA_FAIL_SQL(ctx, LUMA_E_LIMIT, "54000",
                             "statement of %zu bytes is longer than statement_bytes_max allows",
                             text.bytes);
    LUMA_TRY(sql_parse_guard(ctx, text));
    struct luma_arena *arena = sql_host->mem->arena_create(NULL, 4096);
    if (arena == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    struct sql_parse *parse = LUMA_NEW(arena, struct sql_parse);
    luma_rc rc = LUMA_E_NOMEM;
    if (parse != NULL) {
        parse->refs = 1;
        parse->arena = arena;
        rc = parse_into(ctx, parse, text);
    }
    if (rc != LUMA_OK) {
        sql_host->mem->arena_destroy(arena);
        return rc;
    }
    *out_parse = parse;
    return LUMA_OK;
}

void
sql_parse_release(struct sql_parse *parse)
{
    if (parse != NULL && --parse->refs == 0)
        sql_host->mem->arena_destroy(parse->arena);
}

/* Below a binding we are on the parser's stack already. */
PgQuery__Node *
sql_parse_nested(struct sql_bind *b, const char *text)
{
    struct parse_call call = {.arena = b->arena, .text = text};
    parse_on_stack(&call);
    if (call.failed)
        sql_throw(b, -1, parse_failed(b->ctx, &call));
    if (call.tree == NULL)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    if (call.tree->n_stmts != 1)
        SQL_THROW(b, -1, LUMA_E_INTERNAL, "XX000", "stored text is not one statement: %s", text);
    return call.tree->stmts[0]->stmt;
}

/* ---- back to text ---- */

struct deparse_call {
    uint8_t *packed;
    PgQuery__ParseResult *tree;
    struct luma_arena *arena;
    const char *text;
    bool no_memory;
    char message[512];
};

static void
deparse_on_stack(void *arg)
{
    struct deparse_call *call = arg;
    size_t bytes = pg_query__parse_result__get_packed_size(call->tree);
    call->packed = luma_arena_alloc(call->arena, bytes + 1);
    if (call->packed == NULL) {
        call->no_memory = true;
        return;
    }
    PgQueryProtobuf packed = {pg_query__parse_result__pack(call->tree, call->packed),
                              (char *)call->packed};
    PgQueryDeparseResult result = pg_query_deparse_protobuf(packed);
    if (result.error != NULL)
        snprintf(call->message, sizeof(call->message), "%s", result.error->message);
    else
        call->text = luma_arena_text(call->arena, result.query, strlen(result.query));
    pg_query_free_deparse_result(result);
}

/* SELECT <node>, so that an expression can stand alone as a statement. */
static PgQuery__Node *
select_of(struct luma_arena *arena, PgQuery__Node *node)
{
    PgQuery__Node *target = LUMA_NEW(arena, PgQuery__Node), *stmt = LUMA_NEW(arena, PgQuery__Node);
    PgQuery__ResTarget *res = LUMA_NEW(arena, PgQuery__ResTarget);
    PgQuery__SelectStmt *select = LUMA_NEW(arena, PgQuery__SelectStmt);
    PgQuery__Node **list = LUMA_NEW(arena, PgQuery__Node *);
    if (target == NULL || stmt == NULL || res == NULL || select == NULL || list == NULL)
        return NULL;
    pg_query__res_target__init(res);
    res->val = node;
    pg_query__node__init(target);
    target->node_case = PGN(RES_TARGET);
    target->res_target = res;
    list[0] = target;
    pg_query__select_stmt__init(select);
    select->target_list = list;
    select->n_target_list = 1;
    select->limit_option = PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_DEFAULT;
    select->op = PG_SETOP(NONE);
    pg_query__node__init(stmt);
    stmt->node_case = PGN(SELECT_STMT);
    stmt->select_stmt = select;
    return stmt;
}

PgQuery__Node *
sql_select_of(struct sql_bind *b, PgQuery__Node *expr)
{
    PgQuery__Node *node = select_of(b->arena, expr);
    if (node == NULL)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    return node;
}

static luma_rc
deparse(struct luma_ctx *ctx, struct luma_arena *arena, PgQuery__Node *node, bool here,
        const char **out_text)
{
    bool is_expr = !sql_stmt_is_plan(node);
    PgQuery__Node *stmt = is_expr ? select_of(arena, node) : node;
    PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT, *raws[1] = {&raw};
    PgQuery__ParseResult tree = PG_QUERY__PARSE_RESULT__INIT;
    tree.version = PG_VERSION_NUM;
    tree.n_stmts = 1;
    tree.stmts = raws;
    raw.stmt = stmt;
    struct deparse_call call = {.tree = &tree, .arena = arena};
    if (stmt != NULL && here)
        deparse_on_stack(&call);
    else if (stmt != NULL)
        sql_host->sched->on_stack(LUMA_STACK_PARSER, deparse_on_stack, &call);
    if (call.message[0] != '\0')
        return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "cannot write the expression as text: %s",
                         call.message);
    if (call.text == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_text = is_expr && strncmp(call.text, "SELECT ", 7) == 0 ? call.text + 7 : call.text;
    return LUMA_OK;
}

luma_rc
sql_deparse(struct luma_ctx *ctx, struct luma_arena *arena, PgQuery__Node *node,
            const char **out_text)
{
    return deparse(ctx, arena, node, false, out_text);
}

static bool
qualify_type(void *arg, ProtobufCMessage *node)
{
    sql_made_type_qualify(arg, (PgQuery__TypeName *)node);
    return false;
}

const char *
sql_deparse_here(struct sql_bind *b, PgQuery__Node *node)
{
    const char *text = NULL;
    (void)sql_tree_each(&node->base, &pg_query__type_name__descriptor, qualify_type, b);
    sql_check(b, -1, deparse(b->ctx, b->arena, node, true, &text));
    return text;
}
