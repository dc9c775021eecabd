/*
 * normalize.c - numbers out of a statement's text, so that statements that differ in them alone
 * share one parse, one binding and one plan: "... WHERE aid = 4711" is "... WHERE aid = $1" with
 * 4711.
 *
 * Only plain integers in places where a parameter of their type means the same are taken out:
 * behind
 * `=`, `+` and `-`, and as items of VALUES. What orders, limits or estimates (ORDER BY 1, x < 5)
 * stays, as does everything in a text with comments, dollars or backslashes.
 */
#include "sql.h"

#define NORMALIZED_BYTES_MAX 1024u /* longer ones are worth a plan of their own */

struct scan {
    const char *text, *end;
    const char *at;
    char *out;
    struct sql_literals *literals;
    char last, before; /* the last two characters that are no space */
    bool last_is_word;
    int depth, values_depth; /* of brackets; of the list of VALUES, -1: not in one */
};

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool
is_operator(char c)
{
    return c != '\0' && strchr("+-*/<>=~!@#%^&|`?", c) != NULL;
}

static void
put(struct scan *s, const char *from, size_t bytes)
{
    memcpy(s->out, from, bytes);
    s->out += bytes;
}

static void
saw(struct scan *s, char c)
{
    s->before = s->last;
    s->last = c;
    s->last_is_word = is_word(c);
}

/* 'text' or "name", to its end; false: it does not end. */
static bool
quoted(struct scan *s)
{
    char quote = *s->at;
    const char *from = s->at++;
    for (;; s->at++) {
        if (s->at == s->end)
            return false;
        if (*s->at != quote)
            continue;
        if (s->at + 1 < s->end && s->at[1] == quote)
            s->at++;
        else
            break;
    }
    s->at++;
    put(s, from, (size_t)(s->at - from));
    saw(s, quote);
    return true;
}

static bool
word_is(const char *word, size_t bytes, const char *other)
{
    if (strlen(other) != bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((word[i] | 0x20) != other[i])
            return false;
    return true;
}

static void
word(struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_word(*s->at))
        s->at++;
    size_t bytes = (size_t)(s->at - from);
    if (word_is(from, bytes, "values"))
        s->values_depth = s->depth + 1;
    else if (s->depth < s->values_depth)
        s->values_depth = -1; /* ON CONFLICT, RETURNING: behind the rows */
    put(s, from, bytes);
    saw(s, 'w');
}

/* May a parameter stand here? */
static bool
free_place(const struct scan *s)
{
    if (s->last == '=' || s->last == '+' || s->last == '-')
        return !is_operator(s->before) ||
               (s->last == '-' && (s->before == '=' || s->before == '+'));
    return s->depth == s->values_depth && (s->last == '(' || s->last == ',');
}

static void
number(struct scan *s)
{
    struct sql_literals *l = s->literals;
    const char *from = s->at;
    uint64_t n = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9' && s->at - from < 18)
        n = n * 10 + (uint64_t)(*s->at++ - '0');
    char next = s->at < s->end ? *s->at : '\0';
    /* -2147483648 is an integer, 2147483648 is a bigint */
    bool least = s->last == '-' && n == (uint64_t)INT32_MAX + 1;
    bool plain = !is_word(next) && next != '.' && free_place(s) && s->last != '.' && !least &&
                 l->count < SQL_LITERALS_MAX;
    while (s->at < s->end && (is_word(*s->at) || *s->at == '.'))
        s->at++;
    if (!plain) {
        put(s, from, (size_t)(s->at - from));
        saw(s, '9');
        return;
    }
    bool wide = n > INT32_MAX;
    struct luma_value *v = &l->values[l->count];
    *v = (struct luma_value){.type = luma_type(wide ? LUMA_TYPE_INT8 : LUMA_TYPE_INT4)};
    v->phys = wide ? LUMA_PHYS_I64 : LUMA_PHYS_I32;
    if (wide)
        v->i64 = (int64_t)n;
    else
        v->i32 = (int32_t)n;
    l->places[l->count].bytes = (uint32_t)(s->at - from);
    *s->out++ = '$';
    l->count++;
    if (l->count >= 10)
        *s->out++ = (char)('0' + l->count / 10);
    *s->out++ = (char)('0' + l->count % 10);
    l->places[l->count - 1].end = (uint32_t)(s->out - l->text);
    saw(s, '9');
}

/* A statement whose numbers may be taken out, as far as one word tells. */
static bool
begins_well(const char *text, size_t bytes)
{
    static const char *const verbs[] = {"select", "insert", "update", "delete"};
    size_t skip = 0, n = 0;
    while (skip < bytes && (text[skip] == ' ' || text[skip] == '\n'))
        skip++;
    while (skip + n < bytes && is_word(text[skip + n]))
        n++;
    for (size_t i = 0; i < LUMA_COUNTOF(verbs); i++)
        if (word_is(text + skip, n, verbs[i]))
            return true;
    return false;
}

bool
sql_normalize(struct luma_slice text, struct luma_arena *arena, struct sql_literals *out)
{
    struct scan s = {.text = (const char *)text.data, .literals = out, .values_depth = -1};
    out->count = 0;
    if (text.bytes == 0 || text.bytes > NORMALIZED_BYTES_MAX || !begins_well(s.text, text.bytes))
        return false;
    /* a number becomes at most two bytes longer */
    out->text = s.out = luma_arena_alloc(arena, text.bytes + 2 * SQL_LITERALS_MAX + 1);
    if (out->text == NULL)
        return false;
    s.at = s.text;
    s.end = s.text + text.bytes;
    while (s.at < s.end) {
        char c = *s.at;
        if (c == '\'' || c == '"') {
            if (!quoted(&s))
                return false;
            continue;
        }
        if (c >= '0' && c <= '9') {
            number(&s);
            continue;
        }
        if (is_word(c)) {
            word(&s);
            continue;
        }
        if (c == '\\' || c == '$' || c == '\0' ||
            (c == '-' && s.at + 1 < s.end && s.at[1] == '-') ||
            (c == '/' && s.at + 1 < s.end && s.at[1] == '*'))
            return false;
        s.depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        put(&s, s.at++, 1);
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            saw(&s, c);
    }
    *s.out = '\0';
    out->bytes = (size_t)(s.out - out->text);
    return out->count > 0;
}

uint32_t
sql_literals_position(const struct sql_literals *literals, uint32_t position)
{
    uint32_t moved = position;
    for (uint32_t i = 0; i < literals->count; i++) {
        uint32_t written = i + 1 >= 10 ? 3 : 2;
        if (position > literals->places[i].end)
            moved = moved + literals->places[i].bytes - written;
    }
    return moved;
}
