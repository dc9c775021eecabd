/* function/string/format.c - format(), quoting. */
#include <strings.h>

#include "str.h"

static bool
needs_quotes(const char *p, size_t bytes)
{
    /* The words PostgreSQL reserves, which cannot stand as names. */
    static const char *const reserved[] = {"all",
                                           "analyse",
                                           "analyze",
                                           "and",
                                           "any",
                                           "array",
                                           "as",
                                           "asc",
                                           "asymmetric",
                                           "both",
                                           "case",
                                           "cast",
                                           "check",
                                           "collate",
                                           "column",
                                           "constraint",
                                           "create",
                                           "current_date",
                                           "current_role",
                                           "current_time",
                                           "current_timestamp",
                                           "current_user",
                                           "default",
                                           "deferrable",
                                           "desc",
                                           "distinct",
                                           "do",
                                           "else",
                                           "end",
                                           "except",
                                           "false",
                                           "fetch",
                                           "for",
                                           "foreign",
                                           "from",
                                           "grant",
                                           "group",
                                           "having",
                                           "in",
                                           "initially",
                                           "intersect",
                                           "into",
                                           "lateral",
                                           "leading",
                                           "limit",
                                           "localtime",
                                           "localtimestamp",
                                           "not",
                                           "null",
                                           "offset",
                                           "on",
                                           "only",
                                           "or",
                                           "order",
                                           "placing",
                                           "primary",
                                           "references",
                                           "returning",
                                           "select",
                                           "session_user",
                                           "some",
                                           "symmetric",
                                           "table",
                                           "then",
                                           "to",
                                           "trailing",
                                           "true",
                                           "union",
                                           "unique",
                                           "user",
                                           "using",
                                           "variadic",
                                           "when",
                                           "where",
                                           "window",
                                           "with"};

    if (bytes == 0 || !((p[0] >= 'a' && p[0] <= 'z') || p[0] == '_'))
        return true;
    for (size_t i = 0; i < bytes; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_'))
            return true;
    for (size_t i = 0; i < LUMA_COUNTOF(reserved); i++)
        if (strlen(reserved[i]) == bytes && memcmp(reserved[i], p, bytes) == 0)
            return true;
    return false;
}

static void
put_doubled(struct string_buf *buf, const char *p, size_t bytes, char quote)
{
    string_put(buf, &quote, 1);
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] == quote || (quote == '\'' && p[i] == '\\'))
            string_put(buf, &p[i], 1);
        string_put(buf, &p[i], 1);
    }
    string_put(buf, &quote, 1);
}

static void
put_ident(struct string_buf *buf, const char *p, size_t bytes)
{
    if (needs_quotes(p, bytes))
        put_doubled(buf, p, bytes, '"');
    else
        string_put(buf, p, bytes);
}

static void
put_literal(struct string_buf *buf, const char *p, size_t bytes)
{
    if (memchr(p, '\\', bytes) != NULL)
        string_put(buf, "E", 1);
    put_doubled(buf, p, bytes, '\'');
}

STRING_EVAL(quote_ident)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        struct string_buf buf = {.call = call};
        put_ident(&buf, luma_str_data(s), s->bytes);
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* Row's value as text. */
static luma_rc
text_of(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
        struct luma_slice *out)
{
    const struct luma_host_data *data = string_host->data;
    char *room = luma_func_room(call, data->text_bound(vec, row));

    if (room == NULL)
        return luma_func_no_memory(call);
    *out = luma_slice(room, data->text_write(vec, row, call->format, room));
    return LUMA_OK;
}

STRING_EVAL(quote_literal)
{
    bool nullable = strcmp(call->func->name, "quote_nullable") == 0;
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct string_buf buf = {.call = call};
        struct luma_slice text = {NULL, 0};
        if (nullable && luma_vec_is_null(&args[0], i)) {
            r[i] = luma_str_make("NULL", 4);
            continue;
        }
        LUMA_TRY(text_of(call, &args[0], i, &text));
        put_literal(&buf, (const char *)text.data, text.bytes);
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* --- format --- */

struct directive {
    int32_t position; /* 0: the next argument */
    bool left, width_star;
    int32_t width_position, width;
    char kind;
};

static const char *
read_number(const char *p, const char *end, int32_t *out)
{
    int32_t v = 0;

    while (p < end && *p >= '0' && *p <= '9' && v < 100000000)
        v = v * 10 + (*p++ - '0');
    *out = v;
    return p;
}

/* Behind the %; NULL: not a directive. */
static const char *
read_directive(const char *p, const char *end, struct directive *out)
{
    const char *start = p;
    int32_t n;

    memset(out, 0, sizeof(*out));
    p = read_number(p, end, &n);
    if (p > start && p < end && *p == '$') {
        out->position = n;
        p++;
    } else {
        p = start;
    }
    while (p < end && *p == '-') {
        out->left = true;
        p++;
    }
    if (p < end && *p == '*') {
        out->width_star = true;
        start = ++p;
        p = read_number(p, end, &n);
        if (p > start && p < end && *p == '$') {
            out->width_position = n;
            p++;
        }
    } else {
        p = read_number(p, end, &out->width);
    }
    if (p == end)
        return NULL;
    out->kind = *p;
    return p + 1;
}

static luma_rc
format_error(const struct luma_func_call *call, const char *text)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "%s", text);
}

static luma_rc
put_argument(const struct luma_func_call *call, struct string_buf *buf, const struct directive *d,
             const struct luma_vec *arg, uint32_t row)
{
    struct string_buf piece = {.call = call};
    struct luma_slice text = {NULL, 0};
    struct luma_str done;
    int64_t padding;

    if (!luma_vec_is_null(arg, row)) {
        LUMA_TRY(text_of(call, arg, row, &text));
        if (d->kind == 's')
            string_put(&piece, (const char *)text.data, text.bytes);
        else if (d->kind == 'I')
            put_ident(&piece, (const char *)text.data, text.bytes);
        else
            put_literal(&piece, (const char *)text.data, text.bytes);
    } else if (d->kind == 'I') {
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22004",
                             "null values cannot be formatted as an SQL identifier");
    } else if (d->kind == 'L') {
        string_put(&piece, "NULL", 4);
    }
    LUMA_TRY(string_done(&piece, &done));
    padding = d->width - (int64_t)string_chars(luma_str_data(&done), done.bytes);
    for (int64_t k = 0; k < padding && !d->left; k++)
        string_put(buf, " ", 1);
    string_put(buf, luma_str_data(&done), done.bytes);
    for (int64_t k = 0; k < padding && d->left; k++)
        string_put(buf, " ", 1);
    return LUMA_OK;
}

static luma_rc
star_width(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           uint32_t *next, uint32_t row, struct directive *d)
{
    uint32_t at = d->width_position > 0 ? (uint32_t)d->width_position : (*next)++;
    struct luma_slice text;
    int32_t sign = 1;

    if (at >= args_count)
        return format_error(call, "too few arguments for format()");
    if (luma_vec_is_null(&args[at], row))
        return LUMA_OK;
    LUMA_TRY(text_of(call, &args[at], row, &text));
    if (text.bytes > 0 && text.data[0] == '-') {
        sign = -1;
        text.data++;
        text.bytes--;
    }
    read_number((const char *)text.data, (const char *)text.data + text.bytes, &d->width);
    if (sign < 0)
        d->left = true;
    return LUMA_OK;
}

static luma_rc
format_row(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           uint32_t row, struct luma_str *out)
{
    const struct luma_str *pattern = luma_arg_str(&args[0], row);
    const char *p = luma_str_data(pattern), *end = p + pattern->bytes;
    struct string_buf buf = {.call = call};
    uint32_t next = 1;

    while (p < end) {
        struct directive d;
        uint32_t at;
        if (*p != '%') {
            string_put(&buf, p++, 1);
            continue;
        }
        if (p + 1 < end && p[1] == '%') {
            string_put(&buf, p, 1);
            p += 2;
            continue;
        }
        p = read_directive(p + 1, end, &d);
        if (p == NULL)
            return format_error(call, "unterminated format() type specifier");
        if (d.kind != 's' && d.kind != 'I' && d.kind != 'L')
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "unrecognized format() type specifier \"%c\"", d.kind);
        if (d.width_star)
            LUMA_TRY(star_width(call, args, args_count, &next, row, &d));
        if (d.position > 0)
            next = (uint32_t)d.position;
        at = next++;
        if (at >= args_count)
            return format_error(call, "too few arguments for format()");
        LUMA_TRY(put_argument(call, &buf, &d, &args[at], row));
    }
    return string_done(&buf, out);
}

STRING_EVAL(format_eval)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        if (luma_vec_is_null(&args[0], i))
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            LUMA_TRY(format_row(call, args, args_count, i, &r[i]));
    }
    return LUMA_OK;
}

static const struct luma_func format_functions[] = {
    LUMA_FUNC("quote_ident", DICT, TEXT, quote_ident, TEXT),
    LUMA_FUNC("quote_literal", DICT, TEXT, quote_literal, TEXT),
    LUMA_FUNC("quote_literal", STRICT | LUMA_FUNC_STABLE, TEXT, quote_literal, LUMA_T(ANYELEMENT)),
    LUMA_FUNC("quote_nullable", 0, TEXT, quote_literal, TEXT),
    LUMA_FUNC("quote_nullable", LUMA_FUNC_STABLE, TEXT, quote_literal, LUMA_T(ANYELEMENT)),
    LUMA_FUNC("format", LUMA_FUNC_STABLE, TEXT, format_eval, TEXT),
    LUMA_FUNC("format", LUMA_FUNC_STABLE | LUMA_FUNC_VARIADIC, TEXT, format_eval, TEXT,
              LUMA_T(ANY)),
};

const struct luma_func_part string_format = {format_functions, LUMA_COUNTOF(format_functions)};
