/*
 * copy_parse.c - records and fields of COPY's text and csv forms.
 */
#include <stdlib.h>

#include "copy.h"

/* ---- where records end ---- */

static size_t
cut_text(const char *data, size_t bytes)
{
    while (bytes > 0) {
        const char *end = memrchr(data, '\n', bytes);
        if (end == NULL)
            return 0;
        size_t at = (size_t)(end - data), slashes = 0;
        while (slashes < at && data[at - 1 - slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return at + 1;
        bytes = at; /* a newline of the data */
    }
    return 0;
}

static size_t
cut_csv(const struct sql_copy_opts *o, const char *data, size_t bytes)
{
    bool quoted = false;
    size_t cut = 0;
    for (size_t at = 0; at < bytes; at++) {
        at += sql_copy_find(data + at, bytes - at, o->quote, o->escape, '\n', o->quote);
        if (at >= bytes)
            break;
        if (quoted && data[at] == o->escape && o->escape != o->quote)
            at++;
        else if (data[at] == o->quote)
            quoted = !quoted;
        else if (data[at] == '\n' && !quoted)
            cut = at + 1;
    }
    return cut;
}

size_t
sql_copy_cut(const struct sql_copy_opts *opts, const char *data, size_t bytes)
{
    return opts->format == SQL_COPY_CSV ? cut_csv(opts, data, bytes) : cut_text(data, bytes);
}

/* ---- fields ---- */

static luma_rc
extra_data(struct luma_ctx *ctx, const struct sql_copy_parser *p)
{
    return sql_copy_where(
        ctx, p->copy, p->line, NULL,
        LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P04", "extra data after last expected column"));
}

static luma_rc
missing_data(struct luma_ctx *ctx, const struct sql_copy_parser *p, uint32_t col)
{
    const struct luma_cat_object *t = p->copy->table;
    return sql_copy_where(ctx, p->copy, p->line, NULL,
                          LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P04", "missing data for column \"%s\"",
                                        t->cols[p->copy->cols[col]].name));
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One escape sequence at text[*at] (after the backslash); returns the byte it stands for. */
static char
unescape_one(const char *text, size_t bytes, size_t *at)
{
    char c = text[(*at)++];
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    default:
        break;
    }
    if (c >= '0' && c <= '7') {
        int v = c - '0';
        for (int i = 0; i < 2 && *at < bytes && text[*at] >= '0' && text[*at] <= '7'; i++)
            v = v * 8 + (text[(*at)++] - '0');
        return (char)v;
    }
    if (c == 'x' && *at < bytes && hex_digit(text[*at]) >= 0) {
        int v = 0;
        for (int i = 0; i < 2 && *at < bytes && hex_digit(text[*at]) >= 0; i++)
            v = v * 16 + hex_digit(text[(*at)++]);
        return (char)v;
    }
    return c;
}

static size_t
unescape(char *text, size_t bytes)
{
    size_t out = 0, at = 0;
    while (at < bytes) {
        if (text[at] != '\\' || at + 1 >= bytes) {
            text[out++] = text[at++];
            continue;
        }
        at++;
        text[out++] = unescape_one(text, bytes, &at);
    }
    return out;
}

static bool
is_text(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) == NULL && sql_host->data->utf8_valid(text, bytes);
}

static luma_rc
no_text(struct luma_ctx *ctx, const struct sql_copy *copy, uint64_t line)
{
    return sql_copy_where(
        ctx, copy, line, NULL,
        LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22021", "invalid byte sequence for encoding \"UTF8\""));
}

luma_rc
sql_copy_check(struct luma_ctx *ctx, const struct sql_copy *copy,
               const struct sql_copy_chunk *chunk)
{
    const char *data = chunk->data;
    uint64_t line = chunk->line;
    size_t left = chunk->bytes;
    if (LUMA_LIKELY(is_text(data, left)))
        return LUMA_OK;
    for (; left > 0; line++) { /* a line end is never part of a character */
        const char *end = memchr(data, '\n', left);
        size_t bytes = end == NULL ? left : (size_t)(end - data) + 1;
        if (!is_text(data, bytes))
            break;
        data += bytes;
        left -= bytes;
    }
    return no_text(ctx, copy, line);
}

static luma_rc
set_field(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t col, uint32_t row, char *text,
          size_t bytes, bool escaped)
{
    const struct sql_copy_opts *o = &p->copy->opts;
    struct luma_slice *field = &p->fields[(size_t)col * LUMA_BATCH_ROWS + row];
    if (bytes == o->null_bytes && memcmp(text, o->null, bytes) == 0) {
        *field = luma_slice(NULL, 0);
        return LUMA_OK;
    }
    if (escaped)
        bytes = unescape(text, bytes);
    *field = luma_slice(text, bytes);
    return !escaped || is_text(text, bytes) ? LUMA_OK : no_text(ctx, p->copy, p->line);
}

/* One record of the text form. */
static luma_rc
text_record(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t row)
{
    char *data = p->chunk->data;
    size_t end = p->chunk->bytes, start = p->at, at = p->at;
    uint32_t cols = p->copy->cols_count, col = 0;
    char delimiter = p->copy->opts.delimiter;
    bool escaped = false, last = false;
    while (!last) {
        at += sql_copy_find(data + at, end - at, delimiter, '\n', '\\', '\n');
        if (at < end && data[at] == '\\') {
            escaped = true;
            at += at + 1 < end ? 2 : 1;
            p->line += data[at - 1] == '\n';
            continue;
        }
        last = at >= end || data[at] == '\n';
        size_t bytes = at - start;
        if (last && bytes > 0 && data[at - 1] == '\r')
            bytes--;
        if (col == 0 && last && cols == 1 && bytes == 0 && at >= end)
            return LUMA_OK;
        if (col >= cols) {
            if (cols == 0 && last && bytes == 0)
                break;
            return extra_data(ctx, p);
        }
        LUMA_TRY(set_field(ctx, p, col++, row, data + start, bytes, escaped));
        escaped = false;
        at++;
        start = at;
    }
    if (col < cols)
        return missing_data(ctx, p, col);
    p->at = at < end ? at : end;
    p->line++;
    return LUMA_OK;
}

/* One field of csv: *inout_at stands at its first byte and moves to the delimiter after it. */
static luma_rc
csv_field(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t col, uint32_t row,
          size_t *inout_at)
{
    const struct sql_copy_opts *o = &p->copy->opts;
    char *data = p->chunk->data;
    size_t end = p->chunk->bytes, at = *inout_at, start = at, out = at;
    bool quoted = false, was_quoted = false, bare_end = false;
    for (;;) {
        if (!quoted) {
            size_t run = sql_copy_find(data + at, end - at, o->delimiter, '\n', o->quote, '\n');
            if (out != at)
                memmove(data + out, data + at, run);
            out += run;
            at += run;
            bare_end = run > 0; /* the last byte stands outside quotes */
            if (at >= end || data[at] != o->quote)
                break;
            quoted = was_quoted = true;
            at++;
            continue;
        }
        size_t run = sql_copy_find(data + at, end - at, o->quote, o->escape, '\n', o->quote);
        if (out != at)
            memmove(data + out, data + at, run);
        out += run;
        at += run;
        if (at >= end)
            return sql_copy_where(
                ctx, p->copy, p->line, NULL,
                LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P04", "unterminated CSV quoted field"));
        char c = data[at++];
        if (c == '\n') {
            p->line++;
            data[out++] = c;
        } else if (c == o->escape && at < end && (data[at] == o->quote || data[at] == o->escape)) {
            data[out++] = data[at++];
        } else if (c == o->quote) {
            quoted = false;
        } else {
            data[out++] = c; /* an escape that escapes nothing */
        }
    }
    size_t bytes = out - start;
    if (bare_end && (at >= end || data[at] == '\n') && bytes > 0 && data[out - 1] == '\r')
        bytes--;
    struct luma_slice *field = &p->fields[(size_t)col * LUMA_BATCH_ROWS + row];
    bool is_null = bytes == o->null_bytes && memcmp(data + start, o->null, bytes) == 0;
    if (is_null && was_quoted && !(o->force_null != NULL && o->force_null[col]))
        is_null = false;
    if (is_null && !was_quoted && o->force_not_null != NULL && o->force_not_null[col])
        is_null = false;
    *field = is_null ? luma_slice(NULL, 0) : luma_slice(data + start, bytes);
    *inout_at = at;
    return LUMA_OK;
}

static luma_rc
csv_record(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t row)
{
    const char *data = p->chunk->data;
    size_t end = p->chunk->bytes, at = p->at;
    uint32_t cols = p->copy->cols_count, col = 0;
    for (;;) {
        if (col >= cols)
            return extra_data(ctx, p);
        LUMA_TRY(csv_field(ctx, p, col++, row, &at));
        if (at >= end || data[at] == '\n' || (data[at] == '\r'))
            break;
        at++; /* the delimiter */
    }
    if (at < end && data[at] == '\r')
        at++;
    if (col < cols)
        return missing_data(ctx, p, col);
    p->at = at < end ? at + 1 : end;
    p->line++;
    return LUMA_OK;
}

/* "\." alone on a line ends the data. */
static bool
at_marker(const struct sql_copy_parser *p)
{
    const char *text = p->chunk->data + p->at;
    size_t left = p->chunk->bytes - p->at;
    return left >= 2 && text[0] == '\\' && text[1] == '.' &&
           (left == 2 || text[2] == '\n' || (text[2] == '\r' && (left == 3 || text[3] == '\n')));
}

luma_rc
sql_copy_records(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t *out_rows)
{
    bool csv = p->copy->opts.format == SQL_COPY_CSV;
    uint32_t rows = 0;
    while (rows < LUMA_BATCH_ROWS && p->at < p->chunk->bytes && !p->ended) {
        if (at_marker(p)) {
            p->ended = true;
            p->at = p->chunk->bytes;
            break;
        }
        p->lines[rows] = p->line;
        LUMA_TRY(csv ? csv_record(ctx, p, rows) : text_record(ctx, p, rows));
        rows++;
    }
    *out_rows = rows;
    return LUMA_OK;
}
