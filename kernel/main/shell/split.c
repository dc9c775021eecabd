/*
 * main/shell/split.c - where a statement ends: at a semicolon outside of quotes, comments and
 * parentheses. The lexical rules are those of PostgreSQL (SQL syntax, "Lexical Structure").
 */
#include "main/shell/split.h"

void
lki_split_init(struct lki_split *split)
{
    memset(split, 0, sizeof(*split));
    split->blank = true;
}

static bool
is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80) != 0;
}

/* Bytes of $tag$ at the start of p, 0: that is no tag. */
static uint32_t
dollar_tag(const char *p, size_t bytes)
{
    if (bytes > 1 && p[1] >= '0' && p[1] <= '9')
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if (p[i] == '$')
            return (uint32_t)(i + 1);
        if (!is_name(p[i]))
            return 0;
    }
    return 0;
}

/* Is the quote at `at` that of E'...', in which a backslash takes the next character along? */
static bool
is_escape_string(const char *text, size_t at)
{
    return at > 0 && (text[at - 1] == 'e' || text[at - 1] == 'E') &&
           (at == 1 || !is_name(text[at - 2]));
}

/* A comment to the end of the line; without one, wait for more. False: it goes on. */
static bool
skip_line(struct lki_split *split, const char *text, size_t bytes)
{
    const char *end = memchr(text + split->at, '\n', bytes - split->at);
    if (end == NULL)
        return false;
    split->at = (size_t)(end - text) + 1;
    return true;
}

/* One step outside of quotes and comments; true: the statement ends here. */
static bool
plain_step(struct lki_split *split, const char *text, size_t bytes)
{
    char c = text[split->at], next = split->at + 1 < bytes ? text[split->at + 1] : 0;
    if (c == '/' && next == '*') {
        split->state = SPLIT_COMMENT;
        split->depth = 1;
        split->at += 2;
        return false;
    }
    split->blank = split->blank && (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f');
    if (c == '\'') {
        split->state = is_escape_string(text, split->at) ? SPLIT_ESCAPES : SPLIT_QUOTE;
    } else if (c == '"') {
        split->state = SPLIT_NAME;
    } else if (c == '$' && (split->at == 0 || !is_name(text[split->at - 1]))) {
        uint32_t tag = dollar_tag(text + split->at, bytes - split->at);
        if (tag != 0) {
            split->state = SPLIT_DOLLAR;
            split->tag_at = split->at;
            split->tag_bytes = tag;
            split->at += tag - 1;
        }
    } else if (c == '(') {
        split->parentheses++;
    } else if (c == ')' && split->parentheses > 0) {
        split->parentheses--;
    }
    split->at++;
    return c == ';' && split->parentheses == 0;
}

/* One step inside of a quote. */
static void
quoted_step(struct lki_split *split, const char *text, size_t bytes)
{
    char c = text[split->at++], quote = split->state == SPLIT_NAME ? '"' : '\'';
    if (split->state == SPLIT_ESCAPES && c == '\\')
        split->at += split->at < bytes;
    else if (c == quote && split->at < bytes && text[split->at] == quote)
        split->at++; /* doubled: one of the text */
    else if (c == quote)
        split->state = SPLIT_PLAIN;
}

static void
dollar_step(struct lki_split *split, const char *text, size_t bytes)
{
    const char *tag = text + split->tag_at;
    if (text[split->at] == '$' && bytes - split->at >= split->tag_bytes &&
        memcmp(text + split->at, tag, split->tag_bytes) == 0) {
        split->at += split->tag_bytes;
        split->state = SPLIT_PLAIN;
    } else {
        split->at++;
    }
}

static void
comment_step(struct lki_split *split, const char *text, size_t bytes)
{
    char c = text[split->at], next = split->at + 1 < bytes ? text[split->at + 1] : 0;
    if (c == '*' && next == '/') {
        split->at += 2;
        if (--split->depth == 0)
            split->state = SPLIT_PLAIN;
    } else if (c == '/' && next == '*') {
        split->at += 2;
        split->depth++;
    } else {
        split->at++;
    }
}

size_t
lki_split_next(struct lki_split *split, const char *text, size_t bytes)
{
    while (split->at < bytes) {
        if (split->state == SPLIT_DOLLAR) {
            dollar_step(split, text, bytes);
        } else if (split->state == SPLIT_COMMENT) {
            comment_step(split, text, bytes);
        } else if (split->state != SPLIT_PLAIN) {
            quoted_step(split, text, bytes);
        } else if (text[split->at] == '-' && split->at + 1 < bytes && text[split->at + 1] == '-') {
            if (!skip_line(split, text, bytes))
                return 0;
        } else if (plain_step(split, text, bytes)) {
            return split->at;
        }
    }
    return 0;
}

char
lki_split_mark(const struct lki_split *split)
{
    static const char marks[] = {0, '\'', '\'', '"', '$', '*'};
    if (split->state != SPLIT_PLAIN)
        return marks[split->state];
    return split->parentheses > 0 ? '(' : split->blank ? '=' : '-';
}
