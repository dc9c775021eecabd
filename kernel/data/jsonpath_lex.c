/* data/jsonpath_lex.c - the words of a jsonpath: strings with their escapes, numbers, keywords. */
#include <strings.h>

#include "data/jsonpath.h"

static bool
is_other(char c)
{
    return c != '\0' && strchr("?%$.[]{}()|&!=<>@#,*:-+/\\\" \t\n\r\f", c) == NULL;
}

static luma_rc
fail_near(struct lki_jsonpath_lexer *x, const char *what, const char *near_text, size_t bytes)
{
    if (bytes == 0)
        return LUMA_FAIL_SQL(x->ctx, LUMA_E_SYNTAX, "42601", "%s at end of jsonpath input", what);
    return LUMA_FAIL_SQL(x->ctx, LUMA_E_SYNTAX, "42601", "%s at or near \"%.*s\" of jsonpath input",
                         what, (int)bytes, near_text);
}

luma_rc
lki_jsonpath_syntax(struct lki_jsonpath_lexer *x)
{
    return fail_near(x, "syntax error", x->begin, (size_t)(x->at - x->begin));
}

/* ---- strings ---- */

static size_t
put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static int
hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* digits hex digits at p (braces: one to six of them in braces); false: they are not there. */
static bool
hex_escape(const char **inout, const char *end, int digits, uint32_t *out)
{
    const char *p = *inout;
    bool braces = digits == 4 && p < end && *p == '{';
    int room = braces ? 6 : digits, n = 0;
    *out = 0;
    p += braces;
    for (; p < end && n < room && hex_value(*p) >= 0; p++, n++)
        *out = *out * 16 + (uint32_t)hex_value(*p);
    if (braces ? n == 0 || p == end || *p != '}' : n != digits)
        return false;
    *inout = p + braces;
    return true;
}

static luma_rc
unicode_escape(struct lki_jsonpath_lexer *x, char kind, char *out, size_t *inout_bytes)
{
    uint32_t c, low;
    const char *begin = x->at - 2;
    if (!hex_escape(&x->at, x->end, kind == 'x' ? 2 : 4, &c))
        return fail_near(x,
                         kind == 'x' ? "invalid hexadecimal character sequence"
                                     : "invalid Unicode escape sequence",
                         begin, (size_t)(x->at - begin));
    if (c >= 0xd800 && c < 0xdc00) {
        if (x->end - x->at < 2 || x->at[0] != '\\' || x->at[1] != 'u')
            return LUMA_FAIL_SQL(x->ctx, LUMA_E_DATA, "22P02",
                                 "Unicode low surrogate must follow "
                                 "a high surrogate.");
        x->at += 2;
        if (!hex_escape(&x->at, x->end, 4, &low) || low < 0xdc00 || low > 0xdfff)
            return LUMA_FAIL_SQL(x->ctx, LUMA_E_DATA, "22P02",
                                 "Unicode low surrogate must follow "
                                 "a high surrogate.");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return LUMA_FAIL_SQL(x->ctx, LUMA_E_DATA, "22P02",
                             "Unicode low surrogate must follow a high surrogate.");
    }
    if (c == 0 || c > 0x10ffff)
        return LUMA_FAIL_SQL(x->ctx, LUMA_E_DATA, "22P05", "unsupported Unicode escape sequence");
    *inout_bytes += put_utf8(c, out + *inout_bytes);
    return LUMA_OK;
}

/* What follows a backslash. */
static luma_rc
escape(struct lki_jsonpath_lexer *x, char *out, size_t *inout_bytes)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    if (x->at == x->end)
        return fail_near(x, "unexpected end after backslash", x->at, 0);
    char c = *x->at++;
    const char *known = strchr(from, c);
    if (c == 'x' || c == 'u')
        return unicode_escape(x, c, out, inout_bytes);
    out[(*inout_bytes)++] = known != NULL && c != '\0' ? to[known - from] : c;
    return LUMA_OK;
}

static luma_rc
read_string(struct lki_jsonpath_lexer *x, bool quoted)
{
    char *out = luma_arena_alloc_aligned(x->arena, (size_t)(x->end - x->at) + 4, 1);
    size_t n = 0;
    if (out == NULL)
        return LUMA_FAIL(x->ctx, LUMA_E_NOMEM, "out of memory");
    while (x->at < x->end && (quoted ? *x->at != '"' : is_other(*x->at) || *x->at == '\\')) {
        if (*x->at != '\\') {
            out[n++] = *x->at++;
            continue;
        }
        x->at++;
        LUMA_TRY(escape(x, out, &n));
    }
    if (quoted && x->at == x->end)
        return fail_near(x, "unterminated quoted string", x->at, 0);
    x->at += quoted;
    x->text = luma_slice(out, n);
    return LUMA_OK;
}

/* ---- numbers ---- */

static const char *
digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static luma_rc
read_number(struct lki_jsonpath_lexer *x)
{
    const char *p = x->at;
    bool whole = true;
    if (*p != '.')
        p = *p == '0' ? p + 1 : digits(p, x->end);
    if (p < x->end && *p == '.') {
        whole = false;
        p = digits(p + 1, x->end);
    }
    if (p < x->end && (*p == 'e' || *p == 'E')) {
        const char *sign = p + 1 < x->end && (p[1] == '+' || p[1] == '-') ? p + 2 : p + 1;
        const char *stop = digits(sign, x->end);
        if (stop == sign && sign == p + 2)
            return fail_near(x, "invalid numeric literal", x->at, (size_t)(sign - x->at));
        if (stop > sign) {
            p = stop;
            whole = false;
        }
    }
    if (p < x->end && is_other(*p))
        return fail_near(x, "trailing junk after numeric literal", x->at, (size_t)(p + 1 - x->at));
    x->text = luma_slice(x->at, (size_t)(p - x->at));
    x->token = whole ? LKI_JP_INT : LKI_JP_NUMERIC;
    x->at = p;
    return LUMA_OK;
}

/* ---- keywords ---- */

static const struct {
    const char *word;
    enum lki_jsonpath_token token;
    bool lower; /* in lower case only */
} keywords[] = {
    {"is", LKI_JP_IS, false},
    {"to", LKI_JP_TO, false},
    {"abs", LKI_JP_ABS, false},
    {"lax", LKI_JP_LAX, false},
    {"flag", LKI_JP_FLAG, false},
    {"last", LKI_JP_LAST, false},
    {"null", LKI_JP_NULL, true},
    {"size", LKI_JP_SIZE, false},
    {"true", LKI_JP_TRUE, true},
    {"type", LKI_JP_TYPE, false},
    {"with", LKI_JP_WITH, false},
    {"false", LKI_JP_FALSE, true},
    {"floor", LKI_JP_FLOOR, false},
    {"double", LKI_JP_DOUBLE, false},
    {"exists", LKI_JP_EXISTS, false},
    {"starts", LKI_JP_STARTS, false},
    {"strict", LKI_JP_STRICT, false},
    {"ceiling", LKI_JP_CEILING, false},
    {"unknown", LKI_JP_UNKNOWN, false},
    {"datetime", LKI_JP_DATETIME, false},
    {"keyvalue", LKI_JP_KEYVALUE, false},
    {"like_regex", LKI_JP_REGEX, false},
};

static enum lki_jsonpath_token
keyword(struct luma_slice text)
{
    for (size_t i = 0; i < LUMA_COUNTOF(keywords); i++) {
        if (strlen(keywords[i].word) != text.bytes)
            continue;
        if (keywords[i].lower
                ? memcmp(keywords[i].word, text.data, text.bytes) == 0
                : strncasecmp(keywords[i].word, (const char *)text.data, text.bytes) == 0)
            return keywords[i].token;
    }
    return LKI_JP_IDENT;
}

/* ---- tokens ---- */

static luma_rc
skip_space(struct lki_jsonpath_lexer *x)
{
    for (;;) {
        while (x->at < x->end && strchr(" \t\n\r\f", *x->at) != NULL)
            x->at++;
        if (x->end - x->at < 2 || x->at[0] != '/' || x->at[1] != '*')
            return LUMA_OK;
        const char *p = x->at + 2;
        while (x->end - p >= 2 && !(p[0] == '*' && p[1] == '/'))
            p++;
        if (x->end - p < 2)
            return fail_near(x, "unexpected end of comment", x->at, 0);
        x->at = p + 2;
    }
}

static luma_rc
variable(struct lki_jsonpath_lexer *x)
{
    x->at++;
    x->token = LKI_JP_VARIABLE;
    if (x->at < x->end && *x->at == '"') {
        x->at++;
        return read_string(x, true);
    }
    if (x->at < x->end && (is_other(*x->at) || *x->at == '\\'))
        return read_string(x, false);
    x->token = (enum lki_jsonpath_token)'$';
    return LUMA_OK;
}

luma_rc
lki_jsonpath_next(struct lki_jsonpath_lexer *x)
{
    static const struct {
        char text[3];
        enum lki_jsonpath_token token;
    } doubles[] = {{"&&", LKI_JP_AND}, {"||", LKI_JP_OR}, {"==", LKI_JP_EQ}, {"!=", LKI_JP_NE},
                   {"<>", LKI_JP_NE},  {"<=", LKI_JP_LE}, {">=", LKI_JP_GE}, {"**", LKI_JP_ANY}};
    LUMA_TRY(skip_space(x));
    x->begin = x->at;
    x->token = LKI_JP_END;
    if (x->at == x->end)
        return LUMA_OK;
    char c = *x->at;
    for (size_t i = 0; i < LUMA_COUNTOF(doubles) && x->end - x->at >= 2; i++)
        if (memcmp(doubles[i].text, x->at, 2) == 0) {
            x->token = doubles[i].token;
            x->at += 2;
            return LUMA_OK;
        }
    if (c == '$')
        return variable(x);
    if (c == '"') {
        x->at++;
        x->token = LKI_JP_STRING;
        return read_string(x, true);
    }
    if ((c >= '0' && c <= '9') ||
        (c == '.' && x->end - x->at > 1 && x->at[1] >= '0' && x->at[1] <= '9'))
        return read_number(x);
    if (is_other(c) || c == '\\') {
        LUMA_TRY(read_string(x, false));
        x->token = keyword(x->text);
        return LUMA_OK;
    }
    x->at++;
    x->token = (enum lki_jsonpath_token)(unsigned char)c;
    return LUMA_OK;
}
