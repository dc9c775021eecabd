/* main/transfer/json.c - JSON as it stands in a line: checked and cut, not made into a tree, so
 * that numbers keep their digits and objects their order. RFC 8259. */
#include <stdio.h>

#include "main/transfer/record.h"

#define DEPTH_MAX 1000

static size_t
skip_space(const char *text, size_t bytes, size_t at)
{
    while (at < bytes &&
           (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
        at++;
    return at;
}

static bool
is_digit(const char *text, size_t bytes, size_t at)
{
    return at < bytes && text[at] >= '0' && text[at] <= '9';
}

static size_t
skip_digits(const char *text, size_t bytes, size_t at)
{
    while (is_digit(text, bytes, at))
        at++;
    return at;
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits of \uXXXX; -1: they are none. */
static int32_t
hex_at(const char *text, size_t bytes, size_t at)
{
    int32_t code = 0;
    if (bytes - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(text[at + i]);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static bool
skip_string(const char *text, size_t bytes, size_t *at)
{
    for (size_t i = *at + 1; i < bytes; i++) {
        if ((unsigned char)text[i] < 0x20)
            return false;
        if (text[i] == '"') {
            *at = i + 1;
            return true;
        }
        if (text[i] != '\\')
            continue;
        i++;
        if (i >= bytes || strchr("\"\\/bfnrtu", text[i]) == NULL || text[i] == 0 ||
            (text[i] == 'u' && hex_at(text, bytes, i + 1) < 0))
            return false;
    }
    return false;
}

static bool
skip_number(const char *text, size_t bytes, size_t *at)
{
    size_t i = *at + (text[*at] == '-'), from = i;
    i = skip_digits(text, bytes, i);
    if (i == from || (text[from] == '0' && i > from + 1))
        return false;
    if (i < bytes && text[i] == '.') {
        from = ++i;
        if ((i = skip_digits(text, bytes, i)) == from)
            return false;
    }
    if (i < bytes && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        i += i < bytes && (text[i] == '+' || text[i] == '-');
        from = i;
        if ((i = skip_digits(text, bytes, i)) == from)
            return false;
    }
    *at = i;
    return true;
}

bool
lki_json_is_number(const char *text, size_t bytes)
{
    size_t at = 0;
    return bytes > 0 && skip_number(text, bytes, &at) && at == bytes;
}

static bool
skip_word(const char *text, size_t bytes, size_t *at, const char *word)
{
    size_t n = strlen(word);
    if (bytes - *at < n || memcmp(text + *at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

static enum lki_json
skip_scalar(const char *text, size_t bytes, size_t *at)
{
    switch (text[*at]) {
    case '"':
        return skip_string(text, bytes, at) ? JSON_STRING : JSON_BAD;
    case 't':
        return skip_word(text, bytes, at, "true") ? JSON_BOOL : JSON_BAD;
    case 'f':
        return skip_word(text, bytes, at, "false") ? JSON_BOOL : JSON_BAD;
    case 'n':
        return skip_word(text, bytes, at, "null") ? JSON_NULL : JSON_BAD;
    default:
        return skip_number(text, bytes, at) ? JSON_NUMBER : JSON_BAD;
    }
}

/* The name of a member and its colon. */
static bool
skip_name(const char *text, size_t bytes, size_t *at)
{
    *at = skip_space(text, bytes, *at);
    if (*at >= bytes || text[*at] != '"' || !skip_string(text, bytes, at))
        return false;
    *at = skip_space(text, bytes, *at);
    if (*at >= bytes || text[*at] != ':')
        return false;
    ++*at;
    return true;
}

/* The containers that are open, one bit each: set for an object. */
struct nest {
    uint64_t objects[DEPTH_MAX / 64 + 1];
    uint32_t depth;
};

static bool
nest_open(struct nest *nest, bool object)
{
    uint64_t bit = UINT64_C(1) << (nest->depth % 64);
    if (nest->depth == DEPTH_MAX)
        return false;
    if (object)
        nest->objects[nest->depth / 64] |= bit;
    else
        nest->objects[nest->depth / 64] &= ~bit;
    nest->depth++;
    return true;
}

static bool
in_object(const struct nest *nest)
{
    uint32_t top = nest->depth - 1;
    return (nest->objects[top / 64] >> (top % 64) & 1) != 0;
}

/* After a value: closes what ends here; true: another value follows, or all is closed. */
static bool
after_value(struct nest *nest, const char *text, size_t bytes, size_t *at)
{
    while (nest->depth > 0) {
        *at = skip_space(text, bytes, *at);
        if (*at >= bytes)
            return false;
        char c = text[(*at)++];
        if (c == ',')
            return !in_object(nest) || skip_name(text, bytes, at);
        if (c != (in_object(nest) ? '}' : ']'))
            return false;
        nest->depth--;
    }
    return true;
}

/* Opens a container at *at; *out_empty: it is closed again. */
static bool
open_container(struct nest *nest, const char *text, size_t bytes, size_t *at, bool *out_empty)
{
    bool object = text[*at] == '{';
    if (!nest_open(nest, object))
        return false;
    size_t i = skip_space(text, bytes, ++*at);
    *out_empty = i < bytes && text[i] == (object ? '}' : ']');
    if (*out_empty) {
        nest->depth--;
        *at = i + 1;
        return true;
    }
    return !object || skip_name(text, bytes, at);
}

enum lki_json
lki_json_skip(const char *text, size_t bytes, size_t *at, size_t *out_from)
{
    struct nest nest;
    nest.depth = 0;
    *at = *out_from = skip_space(text, bytes, *at);
    if (*at >= bytes)
        return JSON_BAD;
    if (text[*at] != '{' && text[*at] != '[')
        return skip_scalar(text, bytes, at);
    enum lki_json kind = text[*at] == '{' ? JSON_OBJECT : JSON_ARRAY;
    do {
        bool empty = true;
        *at = skip_space(text, bytes, *at);
        if (*at >= bytes)
            return JSON_BAD;
        if (text[*at] == '{' || text[*at] == '[') {
            if (!open_container(&nest, text, bytes, at, &empty))
                return JSON_BAD;
        } else if (skip_scalar(text, bytes, at) == JSON_BAD) {
            return JSON_BAD;
        }
        if (empty && !after_value(&nest, text, bytes, at))
            return JSON_BAD;
    } while (nest.depth > 0);
    return kind;
}

int
lki_json_member(const char *text, size_t bytes, size_t *at, struct lki_member *out)
{
    size_t i = skip_space(text, bytes, *at);
    bool first = *at == 0;
    if (i >= bytes || (first && text[i] != '{') || (!first && text[i] != ',' && text[i] != '}'))
        return -1;
    if (first) {
        size_t j = skip_space(text, bytes, i + 1);
        if (j < bytes && text[j] == '}')
            i = j;
    }
    if (text[i] == '}') {
        *at = i + 1;
        return skip_space(text, bytes, i + 1) == bytes ? 0 : -1;
    }
    out->name_at = i = skip_space(text, bytes, i + 1);
    if (i >= bytes || text[i] != '"' || !skip_string(text, bytes, &i))
        return -1;
    out->name_bytes = i - out->name_at;
    i = skip_space(text, bytes, i);
    if (i >= bytes || text[i] != ':')
        return -1;
    i++;
    out->kind = lki_json_skip(text, bytes, &i, &out->value_at);
    if (out->kind == JSON_BAD)
        return -1;
    out->value_bytes = i - out->value_at;
    *at = i;
    return 1;
}

/* --- strings --- */

static void
put_utf8(struct lki_text *out, uint32_t code)
{
    char b[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; code >>= 6)
        b[i] = (char)(0x80 | (code & 0x3f));
    b[0] = (char)(heads[n] | code);
    lki_text_add(out, b, n);
}

/* \uXXXX at i, which is moved behind it. */
static bool
put_unicode(const char *s, size_t bytes, size_t *i, struct lki_text *out)
{
    int32_t code = hex_at(s, bytes, *i + 2);
    *i += 6;
    if (code <= 0 || (code >= 0xdc00 && code < 0xe000))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        int32_t low =
            bytes - *i >= 6 && s[*i] == '\\' && s[*i + 1] == 'u' ? hex_at(s, bytes, *i + 2) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *i += 6;
    }
    put_utf8(out, (uint32_t)code);
    return true;
}

bool
lki_json_unescape(const char *s, size_t bytes, struct lki_text *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    out->used = 0;
    for (size_t i = 1; i + 1 < bytes;) {
        const char *stop = memchr(s + i, '\\', bytes - 1 - i);
        size_t n = stop == NULL ? bytes - 1 - i : (size_t)(stop - s) - i;
        lki_text_add(out, s + i, n);
        i += n;
        if (stop == NULL)
            break;
        if (s[i + 1] == 'u') {
            if (!put_unicode(s, bytes, &i, out))
                return false;
            continue;
        }
        const char *special = strchr(from, s[i + 1]);
        lki_text_put(out, special == NULL ? s[i + 1] : to[special - from]);
        i += 2;
    }
    *lki_text_room(out, 0) = 0;
    return true;
}

void
lki_json_quote(const char *text, size_t bytes, struct lki_text *out)
{
    char code[8];
    lki_text_put(out, '"');
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            lki_text_put(out, '\\');
            lki_text_put(out, (char)c);
        } else if (c >= 0x20) {
            lki_text_put(out, (char)c);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            lki_text_put(out, '\\');
            lki_text_put(out, c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        } else {
            snprintf(code, sizeof(code), "\\u%04x", c);
            lki_text_add(out, code, 6);
        }
    }
    lki_text_put(out, '"');
}
