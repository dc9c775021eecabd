/*
 * config/toml.c - TOML 1.0, strictly: a file means one thing or is refused with its line.
 *
 * The parser walks the text once. What each name was defined as is kept in a map, because TOML
 * forbids to define anything twice: a table by two headers, by a header and by dotted keys, a key
 * under a value.
 */
#include <stdio.h>

#include "config/config_priv.h"

#define DEPTH_MAX     32
#define KEY_BYTES_MAX 256

enum name_kind {
    NAME_VALUE = 1,    /* a key */
    NAME_HEADER = 2,   /* [a.b] */
    NAME_IMPLICIT = 3, /* a, because of [a.b] */
    NAME_DOTTED = 4,   /* a, because of a.b = 1 */
    NAME_INLINE = 5    /* a = { ... }: closed */
};

struct parser {
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct lk_conf_doc *doc;
    const char *file;
    const char *p, *end;
    int line;
    const char *table;   /* path of the current one, "" at the top */
    struct lk_map names; /* path -> enum name_kind */
};

#define FAIL(ps, ...) toml_fail((ps), (ps)->line, __VA_ARGS__)

static luma_rc toml_fail(struct parser *ps, int line, const char *fmt, ...) LUMA_PRINTF(3, 4);

static luma_rc
toml_fail(struct parser *ps, int line, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return LUMA_FAIL(ps->ctx, LUMA_E_CONFIG, "%s:%d: %s", ps->file, line, text);
}

static bool
at_end(const struct parser *ps)
{
    return ps->p >= ps->end;
}

static char
peek(const struct parser *ps)
{
    return at_end(ps) ? '\0' : *ps->p;
}

static bool
take(struct parser *ps, char c)
{
    if (at_end(ps) || *ps->p != c)
        return false;
    ps->p++;
    return true;
}

static void
skip_blanks(struct parser *ps)
{
    while (!at_end(ps) && (*ps->p == ' ' || *ps->p == '\t'))
        ps->p++;
}

static bool
take_newline(struct parser *ps)
{
    if (peek(ps) == '\r' && ps->p + 1 < ps->end && ps->p[1] == '\n')
        ps->p++;
    if (!take(ps, '\n'))
        return false;
    ps->line++;
    return true;
}

static luma_rc
skip_comment(struct parser *ps)
{
    if (!take(ps, '#'))
        return LUMA_OK;
    while (!at_end(ps) && *ps->p != '\n' && *ps->p != '\r') {
        uint8_t c = (uint8_t)*ps->p;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return FAIL(ps, "control character 0x%02x in a comment", c);
        ps->p++;
    }
    return LUMA_OK;
}

static luma_rc
end_of_line(struct parser *ps)
{
    skip_blanks(ps);
    LUMA_TRY(skip_comment(ps));
    if (at_end(ps) || take_newline(ps))
        return LUMA_OK;
    return FAIL(ps, "unexpected '%c' after the value", *ps->p);
}

/* Blanks, newlines and comments, inside an array. */
static luma_rc
skip_space(struct parser *ps)
{
    for (;;) {
        skip_blanks(ps);
        LUMA_TRY(skip_comment(ps));
        if (!take_newline(ps))
            return LUMA_OK;
    }
}

/* --- strings --- */

static bool
put_rune(struct lk_bytes *b, uint32_t rune)
{
    if (rune < 0x80)
        return lk_bytes_u8(b, (uint8_t)rune);
    if (rune < 0x800)
        return lk_bytes_u8(b, (uint8_t)(0xc0 | rune >> 6)) &&
               lk_bytes_u8(b, (uint8_t)(0x80 | (rune & 0x3f)));
    if (rune < 0x10000)
        return lk_bytes_u8(b, (uint8_t)(0xe0 | rune >> 12)) &&
               lk_bytes_u8(b, (uint8_t)(0x80 | (rune >> 6 & 0x3f))) &&
               lk_bytes_u8(b, (uint8_t)(0x80 | (rune & 0x3f)));
    return lk_bytes_u8(b, (uint8_t)(0xf0 | rune >> 18)) &&
           lk_bytes_u8(b, (uint8_t)(0x80 | (rune >> 12 & 0x3f))) &&
           lk_bytes_u8(b, (uint8_t)(0x80 | (rune >> 6 & 0x3f))) &&
           lk_bytes_u8(b, (uint8_t)(0x80 | (rune & 0x3f)));
}

static luma_rc
escape_rune(struct parser *ps, struct lk_bytes *b, int digits)
{
    uint32_t rune = 0;
    for (int i = 0; i < digits; i++) {
        char c = peek(ps);
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (v < 0)
            return FAIL(ps, "\\%c wants %d hexadecimal digits", digits == 4 ? 'u' : 'U', digits);
        rune = rune << 4 | (uint32_t)v;
        ps->p++;
    }
    if (rune == 0 || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
        return FAIL(ps, "U+%04X is not a character", rune);
    return put_rune(b, rune) ? LUMA_OK : FAIL(ps, "out of memory");
}

static luma_rc
string_escape(struct parser *ps, struct lk_bytes *b, bool multi)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    char c = peek(ps);
    const char *at = c == '\0' ? NULL : strchr(from, c);
    if (at != NULL) {
        ps->p++;
        return lk_bytes_u8(b, (uint8_t)to[at - from]) ? LUMA_OK : FAIL(ps, "out of memory");
    }
    if (take(ps, 'u'))
        return escape_rune(ps, b, 4);
    if (take(ps, 'U'))
        return escape_rune(ps, b, 8);
    if (multi && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
        skip_blanks(ps);
        if (!take_newline(ps))
            return FAIL(ps, "a line-ending backslash has something behind it");
        do
            skip_blanks(ps);
        while (take_newline(ps));
        return LUMA_OK;
    }
    return FAIL(ps, "unknown escape \\%c in a string", c == '\0' ? ' ' : c);
}

static bool
three(const struct parser *ps, char quote)
{
    return ps->end - ps->p >= 3 && ps->p[0] == quote && ps->p[1] == quote && ps->p[2] == quote;
}

/* Behind the opening quote(s); takes the closing ones. */
static luma_rc
string_body(struct parser *ps, char quote, bool multi, struct lk_bytes *b)
{
    int begun = ps->line;
    for (;;) {
        uint8_t c = (uint8_t)peek(ps);
        if (at_end(ps) || (!multi && (c == '\n' || c == '\r')))
            return toml_fail(ps, begun, "this string does not end");
        if (multi ? three(ps, quote) : c == (uint8_t)quote)
            break;
        if (c == '\n' || (c == '\r' && ps->p + 1 < ps->end && ps->p[1] == '\n')) {
            take_newline(ps);
            c = '\n';
        } else if (c == '\\' && quote == '"') {
            ps->p++;
            LUMA_TRY(string_escape(ps, b, multi));
            continue;
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return FAIL(ps, "control character 0x%02x in a string", c);
        } else {
            ps->p++;
        }
        if (!lk_bytes_u8(b, c))
            return FAIL(ps, "out of memory");
    }
    ps->p += multi ? 3 : 1;
    /* Up to two quotes may stand right before the closing three. */
    for (int extra = 0; multi && extra < 2 && peek(ps) == quote; extra++, ps->p++)
        if (!lk_bytes_u8(b, (uint8_t)quote))
            return FAIL(ps, "out of memory");
    return LUMA_OK;
}

static luma_rc
parse_string(struct parser *ps, const char **out_text)
{
    struct lk_bytes b = {0};
    char quote = *ps->p;
    bool multi = three(ps, quote);
    ps->p += multi ? 3 : 1;
    if (multi)
        take_newline(ps);
    luma_rc rc = string_body(ps, quote, multi, &b);
    if (rc == LUMA_OK) {
        *out_text = luma_arena_text(ps->arena, b.data, b.bytes);
        if (*out_text == NULL)
            rc = FAIL(ps, "out of memory");
    }
    lk_bytes_fini(&b);
    return rc;
}

/* --- keys --- */

static luma_rc
parse_simple_key(struct parser *ps, const char **out_key)
{
    const char *begin = ps->p;
    char c = peek(ps);
    if (c == '"' || c == '\'') {
        if (three(ps, c))
            return FAIL(ps, "a key cannot be a multi-line string");
        LUMA_TRY(parse_string(ps, out_key));
    } else {
        while (!at_end(ps) && lki_key_is_plain(ps->p, 1))
            ps->p++;
        *out_key = luma_arena_text(ps->arena, begin, (size_t)(ps->p - begin));
        if (*out_key == NULL)
            return FAIL(ps, "out of memory");
        if (ps->p == begin)
            return at_end(ps) || c == '\n' || c == '\r' ? FAIL(ps, "a key is missing here")
                                                        : FAIL(ps, "unexpected '%c' for a key", c);
    }
    if (!lki_key_is_plain(*out_key, strlen(*out_key)) || strlen(*out_key) > KEY_BYTES_MAX)
        return FAIL(ps, "no key has a name like \"%.60s\"", *out_key);
    return LUMA_OK;
}

/* a.b.c with blanks around the dots: its parts. */
static luma_rc
parse_key(struct parser *ps, const char *parts[DEPTH_MAX], int *out_count)
{
    int count = 0;
    do {
        if (count == DEPTH_MAX)
            return FAIL(ps, "more than %d dots in a key", DEPTH_MAX);
        skip_blanks(ps);
        LUMA_TRY(parse_simple_key(ps, &parts[count++]));
        skip_blanks(ps);
    } while (take(ps, '.'));
    *out_count = count;
    return LUMA_OK;
}

static enum name_kind
name_get(struct parser *ps, const char *path)
{
    return (enum name_kind)(uintptr_t)lk_map_get_text(&ps->names, path);
}

static luma_rc
name_set(struct parser *ps, const char *path, enum name_kind kind)
{
    if (path == NULL ||
        lk_map_put(&ps->names, luma_slice_text(path), (void *)(uintptr_t)kind, NULL) != LUMA_OK)
        return FAIL(ps, "out of memory");
    return LUMA_OK;
}

/* The path of key inside base, with all names on the way defined as dotted tables. */
static luma_rc
define_key(struct parser *ps, const char *base, const char *const *parts, int count,
           const char **out_path)
{
    const char *path = base;
    for (int i = 0; i < count; i++) {
        path = lki_join(ps->arena, path, parts[i]);
        if (path == NULL)
            return FAIL(ps, "out of memory");
        enum name_kind kind = name_get(ps, path);
        if (i + 1 < count) {
            if (kind != 0 && kind != NAME_DOTTED)
                return FAIL(ps, "\"%s\" is defined already and cannot be extended here", path);
            LUMA_TRY(name_set(ps, path, NAME_DOTTED));
        } else if (kind != 0) {
            return FAIL(ps, "\"%s\" is set twice", path);
        }
    }
    *out_path = path;
    return LUMA_OK;
}

/* --- values --- */

static luma_rc parse_value(struct parser *ps, const char *path, int depth,
                           struct lk_conf_value *out_value);
static luma_rc parse_pair(struct parser *ps, const char *base, int depth);

static luma_rc
parse_array(struct parser *ps, int depth, struct lk_conf_value *out_value)
{
    const char *items[256];
    size_t count = 0;
    ps->p++;
    for (;;) {
        struct lk_conf_value item = {0};
        LUMA_TRY(skip_space(ps));
        if (take(ps, ']'))
            break;
        if (peek(ps) == '[' || peek(ps) == '{')
            return FAIL(ps, "lists here hold plain values only");
        if (count == LUMA_COUNTOF(items))
            return FAIL(ps, "more than %zu values in a list", LUMA_COUNTOF(items));
        LUMA_TRY(parse_value(ps, "", depth + 1, &item));
        items[count++] = item.text;
        LUMA_TRY(skip_space(ps));
        if (!take(ps, ',') && peek(ps) != ']')
            return at_end(ps) ? FAIL(ps, "this list does not end")
                              : FAIL(ps, "expected ',' or ']' in a list");
    }
    *out_value = (struct lk_conf_value){.kind = LK_CONF_LIST, .items_count = count};
    const char **copy = LUMA_NEW_ARRAY(ps->arena, const char *, count + 1);
    if (copy == NULL)
        return FAIL(ps, "out of memory");
    memcpy(copy, items, count * sizeof(*copy));
    out_value->items = copy;
    return lki_list_text(ps->arena, out_value) == LUMA_OK ? LUMA_OK : FAIL(ps, "out of memory");
}

/* { a = 1, b = 2 }: the keys join the document under path. */
static luma_rc
parse_inline_table(struct parser *ps, const char *path, int depth)
{
    if (path[0] == '\0')
        return FAIL(ps, "a table cannot stand here");
    ps->p++;
    skip_blanks(ps);
    if (take(ps, '}'))
        return LUMA_OK;
    do {
        skip_blanks(ps);
        LUMA_TRY(parse_pair(ps, path, depth));
        skip_blanks(ps);
    } while (take(ps, ','));
    return take(ps, '}') ? LUMA_OK : FAIL(ps, "expected ',' or '}' in a table");
}

static luma_rc
parse_bare_value(struct parser *ps, struct lk_conf_value *out_value)
{
    const char *begin = ps->p;
    while (!at_end(ps) && strchr(" \t\r\n,]}#", *ps->p) == NULL)
        ps->p++;
    const char *text = luma_arena_text(ps->arena, begin, (size_t)(ps->p - begin));
    if (text == NULL)
        return FAIL(ps, "out of memory");
    if (text[0] == '\0')
        return FAIL(ps, "a value is missing here");
    if (lki_scalar(text, out_value))
        return LUMA_OK;
    if (strlen(text) >= 8 && text[4] == '-' && text[7] == '-')
        return FAIL(ps, "no setting takes a date");
    return FAIL(ps, "\"%.60s\" is no value (text wants quotes)", text);
}

static luma_rc
parse_value(struct parser *ps, const char *path, int depth, struct lk_conf_value *out_value)
{
    char c = peek(ps);
    if (depth > DEPTH_MAX)
        return FAIL(ps, "nested too deeply");
    if (c == '"' || c == '\'') {
        *out_value = (struct lk_conf_value){.kind = LK_CONF_STR};
        return parse_string(ps, &out_value->text);
    }
    if (c == '[')
        return parse_array(ps, depth, out_value);
    if (c == '{') {
        out_value->text = NULL; /* marks that there is no value of its own */
        LUMA_TRY(parse_inline_table(ps, path, depth + 1));
        out_value->text = NULL;
        return LUMA_OK;
    }
    return parse_bare_value(ps, out_value);
}

static luma_rc
parse_pair(struct parser *ps, const char *base, int depth)
{
    const char *parts[DEPTH_MAX], *path = "";
    int count, line = ps->line;
    struct lk_conf_value value = {0};
    LUMA_TRY(parse_key(ps, parts, &count));
    if (!take(ps, '='))
        return FAIL(ps, "expected '=' after the key \"%s\"", parts[count - 1]);
    skip_blanks(ps);
    LUMA_TRY(define_key(ps, base, parts, count, &path));
    bool is_table = peek(ps) == '{';
    /* While it is read an inline table takes keys; afterwards it is closed. */
    LUMA_TRY(name_set(ps, path, is_table ? NAME_DOTTED : NAME_VALUE));
    LUMA_TRY(parse_value(ps, path, depth, &value));
    if (is_table)
        return name_set(ps, path, NAME_INLINE);
    if (lki_doc_add(ps->arena, ps->doc, path, &value, line) != LUMA_OK)
        return FAIL(ps, "out of memory");
    return LUMA_OK;
}

/* --- headers --- */

static luma_rc
parse_header(struct parser *ps)
{
    const char *parts[DEPTH_MAX], *path = "";
    int count, line = ps->line;
    ps->p++;
    if (peek(ps) == '[')
        return FAIL(ps, "no section is a list of tables ([[...]])");
    LUMA_TRY(parse_key(ps, parts, &count));
    if (!take(ps, ']'))
        return FAIL(ps, "expected ']' at the end of the section's name");
    for (int i = 0; i < count; i++) {
        path = lki_join(ps->arena, path, parts[i]);
        if (path == NULL)
            return FAIL(ps, "out of memory");
        enum name_kind kind = name_get(ps, path);
        bool last = i + 1 == count;
        if (kind == NAME_VALUE || kind == NAME_INLINE)
            return FAIL(ps, "\"%s\" has a value and cannot be a section", path);
        if (last && (kind == NAME_HEADER || kind == NAME_DOTTED))
            return FAIL(ps, "section [%s] is defined twice", path);
        if (last || kind == 0)
            LUMA_TRY(name_set(ps, path, last ? NAME_HEADER : NAME_IMPLICIT));
    }
    ps->table = path;
    if (lki_doc_add_table(ps->arena, ps->doc, path, line) != LUMA_OK)
        return FAIL(ps, "out of memory");
    return end_of_line(ps);
}

static luma_rc
parse_lines(struct parser *ps)
{
    for (;;) {
        LUMA_TRY(skip_space(ps));
        if (at_end(ps))
            return LUMA_OK;
        if (peek(ps) == '[') {
            LUMA_TRY(parse_header(ps));
        } else {
            LUMA_TRY(parse_pair(ps, ps->table, 0));
            LUMA_TRY(end_of_line(ps));
        }
    }
}

static luma_rc
check_utf8(struct parser *ps, struct luma_slice text)
{
    size_t offset = 0;
    int line = 1;
    if (lki_utf8_valid(text, &offset))
        return LUMA_OK;
    for (size_t i = 0; i < offset; i++)
        line += text.data[i] == '\n';
    return toml_fail(ps, line, "this is not UTF-8 text (byte 0x%02x)", text.data[offset]);
}

luma_rc
lk_conf_parse_toml(struct luma_ctx *ctx, struct luma_arena *arena, const char *file,
                   struct luma_slice text, struct lk_conf_doc **out_doc)
{
    struct parser ps = {.ctx = ctx, .arena = arena, .file = file, .line = 1, .table = ""};
    ps.doc = lk_conf_doc_create(arena, LK_CONF_FROM_FILE, file);
    if (ps.doc == NULL)
        return FAIL(&ps, "out of memory");
    LUMA_TRY(check_utf8(&ps, text));
    ps.p = text.bytes == 0 ? "" : (const char *)text.data;
    ps.end = ps.p + text.bytes;
    if (text.bytes >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
        ps.p += 3;
    luma_rc rc = parse_lines(&ps);
    lk_map_fini(&ps.names);
    if (rc == LUMA_OK)
        *out_doc = ps.doc;
    return rc;
}

bool
lki_toml_value(struct luma_arena *arena, const char *text, struct lk_conf_value *out_value)
{
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    struct parser ps = {.ctx = &c.ctx, .arena = arena, .file = "--set", .line = 1, .table = ""};
    ps.p = text;
    ps.end = text + strlen(text);
    if (text[0] == '{')
        return false;
    struct lk_conf_value value = {0};
    bool ok = parse_value(&ps, "", 0, &value) == LUMA_OK && at_end(&ps);
    if (ok)
        *out_value = value;
    return ok;
}

luma_rc
lk_conf_parse_set(struct luma_ctx *ctx, struct luma_arena *arena, const char *assignment,
                  struct lk_conf_doc *doc)
{
    const char *eq = strchr(assignment, '=');
    size_t offset = 0;
    if (eq == NULL || !lki_utf8_valid(luma_slice_text(assignment), &offset))
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "--set %.100s: expected section.key=value",
                         assignment);
    char *path = luma_arena_text(arena, assignment, (size_t)(eq - assignment));
    char *text = luma_arena_text(arena, eq + 1, strlen(eq + 1));
    if (path == NULL || text == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    bool plain = strchr(path, '.') != NULL;
    for (const char *p = path; plain && p != NULL;) {
        size_t bytes = strcspn(p, ".");
        plain = lki_key_is_plain(p, bytes);
        p = p[bytes] == '.' ? p + bytes + 1 : NULL;
    }
    if (!plain)
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "--set %.100s: expected section.key=value",
                         assignment);
    struct lk_conf_value value = {.kind = LK_CONF_STR, .text = text};
    if (!lki_toml_value(arena, text, &value))
        value = (struct lk_conf_value){.kind = LK_CONF_STR, .text = text};
    /* The last one of a key holds. */
    for (struct lk_conf_entry *e = doc->entries; e != NULL; e = e->next) {
        if (strcmp(e->path, path) == 0) {
            e->value = value;
            return LUMA_OK;
        }
    }
    if (lki_doc_add(arena, doc, path, &value, 0) != LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    return LUMA_OK;
}
