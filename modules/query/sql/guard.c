/*
 * guard.c - refuses statements nested deeper than the parser's stack bears, by a scan of their
 * bytes.
 */
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
