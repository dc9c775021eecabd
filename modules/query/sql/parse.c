/*
 * parse.c - text to parse tree: a guard against nesting that no stack bears, then libpg_query on
 * the parser's stack, then its protobuf unpacked into an arena.
 */
#include <stdio.h>

#include "sql.h"

/* Nesting of one statement: an operator or a nesting keyword makes the tree one deeper, a comma at
 * the same level begins a new branch. */
struct guard {
    const char *text;
    size_t bytes, at;
    uint32_t *levels; /* operators since the last comma, per open bracket */
    size_t depth, depth_max;
    uint64_t open; /* sum over levels */
};

static void
guard_skip_quoted(struct guard *g, char quote, bool escapes)
{
    for (g->at++; g->at < g->bytes; g->at++) {
        if (escapes && g->text[g->at] == '\\')
            g->at++;
        else if (g->text[g->at] == quote)
            break;
    }
}

static void
guard_skip_block_comment(struct guard *g)
{
    uint32_t depth = 1;
    for (g->at += 2; g->at < g->bytes && depth > 0; g->at++) {
        if (g->at + 1 >= g->bytes)
            continue;
        if (g->text[g->at] == '/' && g->text[g->at + 1] == '*') {
            depth++;
            g->at++;
        } else if (g->text[g->at] == '*' && g->text[g->at + 1] == '/') {
            depth--;
            g->at++;
        }
    }
    g->at--;
}

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* $tag$ ... $tag$; false when this '$' begins no such string. */
static bool
guard_skip_dollar(struct guard *g)
{
    size_t end = g->at + 1;
    while (end < g->bytes && is_word(g->text[end]))
        end++;
    if (end >= g->bytes || g->text[end] != '$' ||
        (end > g->at + 1 && g->text[g->at + 1] >= '0' && g->text[g->at + 1] <= '9'))
        return false;
    size_t tag_bytes = end + 1 - g->at;
    const char *tag = g->text + g->at;
    for (size_t i = end + 1; i + tag_bytes <= g->bytes; i++)
        if (g->text[i] == '$' && memcmp(g->text + i, tag, tag_bytes) == 0) {
            g->at = i + tag_bytes - 1;
            return true;
        }
    g->at = g->bytes;
    return true;
}

static bool
word_nests(const char *word, size_t bytes)
{
    static const char *const words[] = {
        "not",     "union",   "except", "intersect", "case", "join",   "is",    "like", "ilike",
        "similar", "between", "in",     "collate",   "at",   "select", "array", "row",  "exists"};
    char lower[12];
    if (bytes >= sizeof(lower))
        return false;
    for (size_t i = 0; i < bytes; i++)
        lower[i] = (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] + 32 : word[i]);
    lower[bytes] = '\0';
    for (size_t i = 0; i < LUMA_COUNTOF(words); i++)
        if (strcmp(words[i], lower) == 0)
            return true;
    return false;
}

static void
guard_word(struct guard *g)
{
    size_t start = g->at;
    while (g->at + 1 < g->bytes && is_word(g->text[g->at + 1]))
        g->at++;
    if (word_nests(g->text + start, g->at + 1 - start)) {
        g->levels[g->depth]++;
        g->open++;
    }
}

/* False: deeper than allowed. */
static bool
guard_byte(struct guard *g)
{
    char c = g->text[g->at], next = g->at + 1 < g->bytes ? g->text[g->at + 1] : '\0';
    if (c == '\'') {
        bool escapes = g->at > 0 && (g->text[g->at - 1] == 'E' || g->text[g->at - 1] == 'e');
        guard_skip_quoted(g, '\'', escapes);
    } else if (c == '"') {
        guard_skip_quoted(g, '"', false);
    } else if (c == '-' && next == '-') {
        while (g->at + 1 < g->bytes && g->text[g->at + 1] != '\n')
            g->at++;
    } else if (c == '/' && next == '*') {
        guard_skip_block_comment(g);
    } else if (c == '$' && guard_skip_dollar(g)) {
        return true;
    } else if (is_word(c)) {
        guard_word(g);
    } else if (c == '(' || c == '[') {
        if (++g->depth >= g->depth_max)
            return false;
        g->levels[g->depth] = 0;
    } else if ((c == ')' || c == ']') && g->depth > 0) {
        g->open -= g->levels[g->depth];
        g->depth--;
    } else if (c == ',' || c == ';') {
        g->open -= g->levels[g->depth];
        g->levels[g->depth] = 0;
    } else if (strchr("+-*/<>=~!@#%^&|?:", c) != NULL && c != '\0') {
        g->levels[g->depth]++;
        g->open++;
    }
    return g->open + g->depth < g->depth_max;
}

luma_rc
sql_parse_guard(struct luma_ctx *ctx, struct luma_slice text)
{
    struct guard g = {.text = (const char *)text.data,
                      .bytes = text.bytes,
                      .depth_max = (size_t)sql_conf->nesting_max};
    if (text.bytes < g.depth_max)
        return LUMA_OK; /* cannot be that deep */
    g.levels = LUMA_NEW_ARRAY(ctx->arena, uint32_t, g.depth_max + 1);
    if (g.levels == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    for (; g.at < g.bytes; g.at++)
        if (!guard_byte(&g)) {
            luma_rc rc = LUMA_FAIL_SQL(ctx, LUMA_E_LIMIT, "54001", "stack depth limit exceeded");
            ctx->error->hint = "The statement nests operators, brackets or subqueries deeper than "
                               "\"nesting_max\" of the sql module allows.";
            return rc;
        }
    return LUMA_OK;
}

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
    if (call.tree == NULL || call.tree->n_stmts != 1)
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

const char *
sql_deparse_here(struct sql_bind *b, PgQuery__Node *node)
{
    const char *text = NULL;
    sql_check(b, -1, deparse(b->ctx, b->arena, node, true, &text));
    return text;
}
