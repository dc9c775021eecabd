/*
 * main/shell/print.c - rows as a table, as records, as CSV (RFC 4180, lines end as the system's do)
 * and as JSON. A table is as wide as its first rows want; the others follow without being held in
 * memory.
 */
#include <utf8proc.h>

#include "main/shell/shell.h"

#define HELD_ROWS 2000

/* --- text on a terminal --- */

/* One character at p: its bytes, its columns, and whether it must be written as an escape. */
struct glyph {
    size_t bytes;
    int width;
    bool escaped;
};

static struct glyph
glyph_at(const char *p, size_t left)
{
    utf8proc_int32_t code;
    unsigned char c = (unsigned char)*p;
    if (c >= 0x20 && c < 0x7f)
        return (struct glyph){1, 1, false};
    if (c == '\t' || c == '\r')
        return (struct glyph){1, 2, true};
    if (c < 0x80)
        return (struct glyph){1, 4, true};
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)left, &code);
    if (n <= 0)
        return (struct glyph){1, 4, true};
    return (struct glyph){(size_t)n, utf8proc_charwidth(code), false};
}

int
lki_text_width(const char *text, size_t bytes)
{
    int width = 0;
    for (size_t i = 0; i < bytes && text[i] != '\n';) {
        struct glyph g = glyph_at(text + i, bytes - i);
        width += g.width;
        i += g.bytes;
    }
    return width;
}

/* The widest of the lines of a cell. */
static int
cell_width(const char *text)
{
    int widest = 0;
    for (const char *p = text; p != NULL;) {
        const char *end = strchr(p, '\n');
        int w = lki_text_width(p, end == NULL ? strlen(p) : (size_t)(end - p));
        widest = LK_MAX(widest, w);
        p = end == NULL ? NULL : end + 1;
    }
    return widest;
}

static void
put_spaces(FILE *out, int n)
{
    if (n > 0)
        fprintf(out, "%*s", n, "");
}

static void
put_text(FILE *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        struct glyph g = glyph_at(text + i, bytes - i);
        unsigned char c = (unsigned char)text[i];
        if (!g.escaped)
            fwrite(text + i, 1, g.bytes, out);
        else if (c == '\t' || c == '\r')
            fputs(c == '\t' ? "\\t" : "\\r", out);
        else
            fprintf(out, "\\x%02X", c);
        i += g.bytes;
    }
}

static bool
is_number(Oid type)
{
    return type == 20 || type == 21 || type == 23 || type == 26 || type == 700 || type == 701 ||
           type == 790 || type == 1700;
}

static const char *
cell_text(const struct lki_printer *p, const PGresult *row, int r, int c)
{
    return PQgetisnull(row, r, c) ? p->shell->null_text : PQgetvalue(row, r, c);
}

/* --- tables --- */

static void
rule(struct lki_printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        if (c > 0)
            fputc('+', p->shell->out);
        for (int i = 0; i < p->widths[c] + 2; i++)
            fputc('-', p->shell->out);
    }
    fputc('\n', p->shell->out);
}

static void
table_header(struct lki_printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        size_t bytes = strlen(p->names[c]);
        int room = p->widths[c] - lki_text_width(p->names[c], bytes);
        fputs(c > 0 ? "| " : " ", p->shell->out);
        put_spaces(p->shell->out, room / 2);
        put_text(p->shell->out, p->names[c], bytes);
        put_spaces(p->shell->out, room - room / 2);
        fputc(' ', p->shell->out);
    }
    fputc('\n', p->shell->out);
    rule(p);
}

/* One line of one cell; gives what is left of the cell, NULL: nothing. */
static const char *
table_cell(struct lki_printer *p, int c, const char *text)
{
    FILE *out = p->shell->out;
    const char *end = text == NULL ? NULL : strchr(text, '\n');
    size_t bytes = text == NULL ? 0 : end == NULL ? strlen(text) : (size_t)(end - text);
    int room = p->widths[c] - (text == NULL ? 0 : lki_text_width(text, bytes));
    bool last = c + 1 == p->columns;
    fputs(c > 0 ? "| " : " ", out);
    if (is_number(p->types[c]))
        put_spaces(out, room);
    if (text != NULL)
        put_text(out, text, bytes);
    if (!is_number(p->types[c]) && (!last || end != NULL))
        put_spaces(out, room);
    if (end != NULL)
        fputc('+', out);
    else if (!last)
        fputc(' ', out);
    return end == NULL ? NULL : end + 1;
}

static void
table_row(struct lki_printer *p, const PGresult *result, int r)
{
    const char **left = p->left;
    bool more = true;
    for (int c = 0; c < p->columns; c++)
        left[c] = cell_text(p, result, r, c);
    while (more) {
        more = false;
        for (int c = 0; c < p->columns; c++) {
            left[c] = table_cell(p, c, left[c]);
            more = more || left[c] != NULL;
        }
        fputc('\n', p->shell->out);
    }
}

static void
measure(struct lki_printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        p->widths[c] = p->shell->header ? lki_text_width(p->names[c], strlen(p->names[c])) : 0;
        for (size_t i = 0; i < p->held_count; i++)
            for (int r = 0; r < PQntuples(p->held[i]); r++) {
                int w = cell_width(cell_text(p, p->held[i], r, c));
                p->widths[c] = LK_MAX(p->widths[c], w);
            }
    }
    p->measured = true;
}

/* --- records --- */

static void
record(struct lki_printer *p, const PGresult *result, int r)
{
    FILE *out = p->shell->out;
    int widest = 0;
    for (int c = 0; c < p->columns; c++)
        widest = LK_MAX(widest, lki_text_width(p->names[c], strlen(p->names[c])));
    fprintf(out, "-[ RECORD %llu ]-\n", (unsigned long long)p->rows + 1);
    for (int c = 0; c < p->columns; c++) {
        const char *text = cell_text(p, result, r, c);
        int name_width = lki_text_width(p->names[c], strlen(p->names[c]));
        put_text(out, p->names[c], strlen(p->names[c]));
        put_spaces(out, widest - name_width);
        fputs(" | ", out);
        for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
            put_text(out, text, (size_t)(end - text));
            fputc('\n', out);
            put_spaces(out, widest);
            fputs(" | ", out);
        }
        put_text(out, text, strlen(text));
        fputc('\n', out);
    }
}

/* --- CSV and JSON --- */

static void
csv_cell(FILE *out, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == 0 && text[0] != 0) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void
csv_header(struct lki_printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        if (c > 0)
            fputc(',', p->shell->out);
        csv_cell(p->shell->out, p->names[c]);
    }
    fputc('\n', p->shell->out);
}

static void
csv_row(struct lki_printer *p, const PGresult *result, int r)
{
    for (int c = 0; c < p->columns; c++) {
        if (c > 0)
            fputc(',', p->shell->out);
        if (!PQgetisnull(result, r, c))
            csv_cell(p->shell->out, PQgetvalue(result, r, c));
    }
    fputc('\n', p->shell->out);
}

static void
json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void
json_value(FILE *out, Oid type, const char *text)
{
    bool finite = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] != 'I');
    if (is_number(type) && type != 790 && finite)
        fputs(text, out);
    else if (type == 16)
        fputs(text[0] == 't' ? "true" : "false", out);
    else if (type == 114 || type == 3802)
        fputs(text, out);
    else
        json_text(out, text);
}

static void
json_row(struct lki_printer *p, const PGresult *result, int r)
{
    FILE *out = p->shell->out;
    fputs(p->rows == 0 ? "[{" : ",\n {", out);
    for (int c = 0; c < p->columns; c++) {
        if (c > 0)
            fputs(", ", out);
        json_text(out, p->names[c]);
        fputs(": ", out);
        if (PQgetisnull(result, r, c))
            fputs("null", out);
        else
            json_value(out, p->types[c], PQgetvalue(result, r, c));
    }
    fputc('}', out);
}

/* --- all of them --- */

static bool
begin(struct lki_printer *p, const PGresult *result)
{
    if (p->begun)
        return true;
    p->begun = true;
    p->columns = PQnfields(result);
    size_t n = (size_t)LK_MAX(p->columns, 1);
    p->widths = calloc(n, sizeof(*p->widths));
    p->names = calloc(n, sizeof(*p->names));
    p->types = calloc(n, sizeof(*p->types));
    p->left = calloc(n, sizeof(*p->left));
    p->held = calloc(HELD_ROWS, sizeof(PGresult *));
    bool ok = p->widths != NULL && p->names != NULL && p->types != NULL && p->left != NULL &&
              p->held != NULL;
    for (int c = 0; ok && c < p->columns; c++) {
        p->types[c] = PQftype(result, c);
        p->names[c] = strdup(PQfname(result, c));
        ok = p->names[c] != NULL;
    }
    if (ok && p->shell->format == SHELL_CSV && p->shell->header)
        csv_header(p);
    return ok;
}

static void
show(struct lki_printer *p, const PGresult *result)
{
    for (int r = 0; r < PQntuples(result); r++, p->rows++) {
        switch (p->shell->format) {
        case SHELL_TABLE:
            table_row(p, result, r);
            break;
        case SHELL_EXPANDED:
            record(p, result, r);
            break;
        case SHELL_CSV:
            csv_row(p, result, r);
            break;
        case SHELL_JSON:
            json_row(p, result, r);
            break;
        }
    }
}

/* The rows held for their widths; from here on each row is shown as it comes. */
static void
flush(struct lki_printer *p)
{
    measure(p);
    if (p->shell->header)
        table_header(p);
    for (size_t i = 0; i < p->held_count; i++) {
        show(p, p->held[i]);
        PQclear(p->held[i]);
    }
    p->held_count = 0;
}

bool
lki_printer_take(struct lki_printer *p, PGresult *result)
{
    if (!begin(p, result)) {
        PQclear(result);
        return false;
    }
    if (p->shell->format == SHELL_TABLE && !p->measured) {
        p->held[p->held_count++] = result;
        if (p->held_count == HELD_ROWS)
            flush(p);
        return true;
    }
    show(p, result);
    PQclear(result);
    return true;
}

bool
lki_printer_end(struct lki_printer *p, PGresult *result)
{
    FILE *out = p->shell->out;
    bool ok = begin(p, result);
    PQclear(result);
    if (ok && p->shell->format == SHELL_TABLE) {
        if (!p->measured)
            flush(p);
        if (p->shell->header)
            fprintf(out, "(%llu row%s)\n\n", (unsigned long long)p->rows, p->rows == 1 ? "" : "s");
    } else if (ok && p->shell->format == SHELL_EXPANDED) {
        fputs(p->rows == 0 ? "(0 rows)\n\n" : "\n", out);
    } else if (ok && p->shell->format == SHELL_JSON) {
        fputs(p->rows == 0 ? "[]\n" : "]\n", out);
    }
    lki_printer_fini(p);
    return ok;
}

void
lki_printer_fini(struct lki_printer *p)
{
    for (size_t i = 0; i < p->held_count; i++)
        PQclear(p->held[i]);
    for (int c = 0; p->names != NULL && c < p->columns; c++)
        free(p->names[c]);
    free(p->held);
    free(p->names);
    free(p->types);
    free(p->left);
    free(p->widths);
    *p = (struct lki_printer){.shell = p->shell};
}
