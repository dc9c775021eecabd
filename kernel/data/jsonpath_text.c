/* data/jsonpath_text.c - the tree of a jsonpath as PostgreSQL prints it. */
#include <stdio.h>

#include "data/jsonpath.h"
#include "data/jsonpath_priv.h"

#define DEPTH_MAX 2000u /* of what bytes from a disk may claim */

struct printer {
    struct lk_reader in;
    char *out;
    size_t bytes;
    uint32_t depth;
};

/* Every node takes two bytes and gives at most `** {n to n}` or ` starts with ` in brackets. */
size_t
lki_jsonpath_text_bound(const struct luma_str *path)
{
    return (size_t)path->bytes * 16 + 64;
}

static void
put(struct printer *p, const char *text)
{
    size_t n = strlen(text);
    memcpy(p->out + p->bytes, text, n);
    p->bytes += n;
}

static uint32_t
get_u32(struct printer *p)
{
    uint32_t v = 0;
    struct luma_slice s = lk_reader_take(&p->in, sizeof(v));
    if (!p->in.failed)
        memcpy(&v, s.data, sizeof(v));
    return v;
}

static struct luma_slice
get_bytes(struct printer *p)
{
    struct luma_slice s = lk_reader_take(&p->in, get_u32(p));
    return p->in.failed ? luma_slice("", 0) : s;
}

static void
put_quoted(struct printer *p, struct luma_slice s)
{
    static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
    p->out[p->bytes++] = '"';
    for (size_t i = 0; i < s.bytes; i++) {
        char c = (char)s.data[i];
        const char *known = c != '\0' ? strchr(from, c) : NULL;
        if (known != NULL) {
            p->out[p->bytes++] = '\\';
            p->out[p->bytes++] = to[known - from];
        } else if ((unsigned char)c < ' ') {
            p->bytes += (size_t)sprintf(p->out + p->bytes, "\\u%04x", (unsigned)(unsigned char)c);
        } else {
            p->out[p->bytes++] = c;
        }
    }
    p->out[p->bytes++] = '"';
}

static int
priority(uint8_t kind)
{
    switch (kind) {
    case LUMA_JSONPATH_OR:
        return 0;
    case LUMA_JSONPATH_AND:
        return 1;
    case LUMA_JSONPATH_ADD:
    case LUMA_JSONPATH_SUB:
        return 3;
    case LUMA_JSONPATH_MUL:
    case LUMA_JSONPATH_DIV:
    case LUMA_JSONPATH_MOD:
        return 4;
    case LUMA_JSONPATH_PLUS:
    case LUMA_JSONPATH_MINUS:
        return 5;
    default:
        return (kind >= LUMA_JSONPATH_EQ && kind <= LUMA_JSONPATH_GE) ||
                       kind == LUMA_JSONPATH_STARTS
                   ? 2
                   : 6;
    }
}

static void print_node(struct printer *p, bool in_key, bool brackets);

/* An operand: in brackets when it binds no tighter than what it stands in. */
static void
print_operand(struct printer *p, uint8_t outer)
{
    uint8_t kind = lk_reader_left(&p->in) > 0 ? p->in.p[0] : 0;
    print_node(p, false, priority(kind) <= priority(outer));
}

static void
print_subscripts(struct printer *p)
{
    uint32_t count = get_u32(p);
    put(p, "[");
    for (uint32_t i = 0; i < count && !p->in.failed; i++) {
        if (i > 0)
            put(p, ",");
        print_node(p, false, false);
        if (lk_reader_u8(&p->in) != 0) {
            put(p, " to ");
            print_node(p, false, false);
        }
    }
    put(p, "]");
}

static void
print_any(struct printer *p)
{
    uint32_t first = get_u32(p), last = get_u32(p);
    char text[64] = "**";
    if (first == last && first == UINT32_MAX)
        snprintf(text, sizeof(text), "**{last}");
    else if (first == last)
        snprintf(text, sizeof(text), "**{%u}", first);
    else if (first == UINT32_MAX)
        snprintf(text, sizeof(text), "**{last to %u}", last);
    else if (last == UINT32_MAX && first != 0)
        snprintf(text, sizeof(text), "**{%u to last}", first);
    else if (last != UINT32_MAX)
        snprintf(text, sizeof(text), "**{%u to %u}", first, last);
    put(p, text);
}

static void
print_regex(struct printer *p, uint8_t kind)
{
    static const char letters[] = "ismxq";
    print_operand(p, kind);
    uint8_t flags = lk_reader_u8(&p->in);
    put(p, " like_regex ");
    put_quoted(p, get_bytes(p));
    if (flags == 0)
        return;
    put(p, " flag \"");
    for (int i = 0; i < 5; i++)
        if ((flags >> i & 1) != 0)
            p->out[p->bytes++] = letters[i];
    put(p, "\"");
}

static const char *
operator_of(uint8_t kind)
{
    static const char *const words[] = {" && ", " || ", " == ", " != ",         " < ",
                                        " > ",  " <= ", " >= ", " + ",          " - ",
                                        " * ",  " / ",  " % ",  " starts with "};
    return words[kind - LUMA_JSONPATH_AND];
}

static const char *
word_of(uint8_t kind)
{
    switch (kind) {
    case LUMA_JSONPATH_NULL:
        return "null";
    case LUMA_JSONPATH_ROOT:
        return "$";
    case LUMA_JSONPATH_CURRENT:
        return "@";
    case LUMA_JSONPATH_LAST:
        return "last";
    case LUMA_JSONPATH_ANY_KEY:
        return "*";
    case LUMA_JSONPATH_ANY_ARRAY:
        return "[*]";
    case LUMA_JSONPATH_TYPE:
        return ".type()";
    case LUMA_JSONPATH_SIZE:
        return ".size()";
    case LUMA_JSONPATH_ABS:
        return ".abs()";
    case LUMA_JSONPATH_FLOOR:
        return ".floor()";
    case LUMA_JSONPATH_CEILING:
        return ".ceiling()";
    case LUMA_JSONPATH_DOUBLE:
        return ".double()";
    default:
        return ".keyvalue()";
    }
}

static void
print_unary(struct printer *p, uint8_t kind)
{
    static const char *const before[] = {"!(", "(", "exists (", "+", "-", "?("};
    static const char *const behind[] = {")", ") is unknown", ")", "", "", ")"};
    put(p, before[kind - LUMA_JSONPATH_NOT]);
    if (kind == LUMA_JSONPATH_PLUS || kind == LUMA_JSONPATH_MINUS)
        print_operand(p, kind);
    else
        print_node(p, false, false);
    put(p, behind[kind - LUMA_JSONPATH_NOT]);
}

static void
print_content(struct printer *p, uint8_t kind, bool next)
{
    if (kind >= LUMA_JSONPATH_AND && kind <= LUMA_JSONPATH_STARTS) {
        print_operand(p, kind);
        put(p, operator_of(kind));
        print_operand(p, kind);
        return;
    }
    if (kind >= LUMA_JSONPATH_NOT && kind <= LUMA_JSONPATH_FILTER) {
        print_unary(p, kind);
        return;
    }
    switch (kind) {
    case LUMA_JSONPATH_BOOL:
        put(p, lk_reader_u8(&p->in) != 0 ? "true" : "false");
        return;
    case LUMA_JSONPATH_NUMBER: {
        struct luma_slice text = get_bytes(p);
        p->bytes += (size_t)sprintf(p->out + p->bytes, next ? "(%.*s)" : "%.*s", (int)text.bytes,
                                    (const char *)text.data);
        return;
    }
    case LUMA_JSONPATH_VARIABLE:
        put(p, "$");
        put_quoted(p, get_bytes(p));
        return;
    case LUMA_JSONPATH_STRING:
    case LUMA_JSONPATH_KEY:
        put_quoted(p, get_bytes(p));
        return;
    case LUMA_JSONPATH_INDEX:
        print_subscripts(p);
        return;
    case LUMA_JSONPATH_ANY:
        print_any(p);
        return;
    case LUMA_JSONPATH_DATETIME:
        put(p, ".datetime(");
        if (lk_reader_u8(&p->in) != 0)
            print_node(p, false, false);
        put(p, ")");
        return;
    case LUMA_JSONPATH_REGEX:
        print_regex(p, kind);
        return;
    default:
        put(p, word_of(kind));
    }
}

static bool
takes_brackets(uint8_t kind)
{
    return (kind >= LUMA_JSONPATH_AND && kind <= LUMA_JSONPATH_STARTS) ||
           kind == LUMA_JSONPATH_PLUS || kind == LUMA_JSONPATH_MINUS || kind == LUMA_JSONPATH_REGEX;
}

static void
print_node(struct printer *p, bool in_key, bool brackets)
{
    if (++p->depth > DEPTH_MAX)
        p->in.failed = true;
    for (bool next = true; next && !p->in.failed; in_key = brackets = true) {
        uint8_t kind = lk_reader_u8(&p->in);
        next = lk_reader_u8(&p->in) != 0;
        if (p->in.failed || kind == 0 || kind >= LUMA_JSONPATH_COUNT_) {
            p->in.failed = true;
            break;
        }
        if (in_key && (kind == LUMA_JSONPATH_KEY || kind == LUMA_JSONPATH_ANY_KEY ||
                       kind == LUMA_JSONPATH_ANY))
            put(p, ".");
        bool open = brackets && takes_brackets(kind);
        if (open)
            put(p, "(");
        print_content(p, kind, next);
        if (open)
            put(p, ")");
    }
    p->depth--;
}

size_t
lki_jsonpath_text_write(const struct luma_str *path, char *out)
{
    struct printer p = {.in = lk_reader(luma_str_slice(path)), .out = out};
    if (lk_reader_u8(&p.in) == 0)
        put(&p, "strict ");
    print_node(&p, false, true);
    return p.bytes;
}
