/* main/transfer/record.c - lines and CSV records; the text form of COPY. */
#include "main/transfer/record.h"

size_t
lki_record_end(const char *text, size_t bytes, bool csv, size_t *scanned, bool *quoted)
{
    size_t at = *scanned;
    while (at < bytes) {
        const char *newline = memchr(text + at, '\n', bytes - at);
        size_t end = newline == NULL ? bytes : (size_t)(newline - text);
        const char *p = text + at;
        while (csv && (p = memchr(p, '"', (size_t)(text + end - p))) != NULL) {
            *quoted = !*quoted;
            p++;
        }
        at = newline == NULL ? end : end + 1;
        if (newline != NULL && !*quoted)
            return at;
    }
    *scanned = at;
    return 0;
}

size_t
lki_record_trim(const char *text, size_t bytes)
{
    if (bytes > 0 && text[bytes - 1] == '\n')
        bytes--;
    if (bytes > 0 && text[bytes - 1] == '\r')
        bytes--;
    return bytes;
}

size_t
lki_record_lines(const char *text, size_t bytes)
{
    size_t lines = 0;
    const char *p = text, *end = text + bytes;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        lines++;
        p++;
    }
    return lines;
}

bool
lki_csv_field(const char *record, size_t bytes, char delimiter, size_t *at, struct lki_field *out)
{
    size_t i = *at;
    bool inside = false;
    if (i > bytes)
        return false;
    out->at = i;
    out->quoted = i < bytes && record[i] == '"';
    while (i < bytes && (inside || record[i] != delimiter)) {
        inside = inside != (record[i] == '"');
        i++;
    }
    out->bytes = i - out->at;
    *at = i + 1;
    return true;
}

void
lki_csv_value(const char *record, const struct lki_field *field, struct lki_text *out)
{
    const char *p = record + field->at, *end = p + field->bytes;
    bool inside = false;
    out->used = 0;
    for (; p < end; p++) {
        if (*p != '"') {
            lki_text_put(out, *p);
        } else if (inside && p + 1 < end && p[1] == '"') {
            lki_text_put(out, '"');
            p++;
        } else {
            inside = !inside;
        }
    }
    *lki_text_room(out, 0) = 0;
}

/* --- the text form of COPY --- */

static char
escape_of(char c)
{
    switch (c) {
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\v':
        return 'v';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

static char
unescape_of(char c)
{
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
        return c;
    }
}

void
lki_copy_escape(const char *text, size_t bytes, struct lki_text *out)
{
    char *to = lki_text_room(out, bytes * 2), *begin = to;
    for (size_t i = 0; i < bytes; i++) {
        char c = escape_of(text[i]);
        if (c != 0)
            *to++ = '\\';
        *to++ = c != 0 ? c : text[i];
    }
    out->used += (size_t)(to - begin);
}

bool
lki_copy_field(const char *line, size_t bytes, size_t *at, struct lki_text *out, bool *out_null)
{
    size_t i = *at;
    if (i > bytes)
        return false;
    out->used = 0;
    *out_null = bytes - i >= 2 && memcmp(line + i, "\\N", 2) == 0 &&
                (i + 2 == bytes || line[i + 2] == '\t');
    for (; i < bytes && line[i] != '\t'; i++) {
        if (line[i] == '\\' && i + 1 < bytes)
            lki_text_put(out, unescape_of(line[++i]));
        else
            lki_text_put(out, line[i]);
    }
    *lki_text_room(out, 0) = 0;
    *at = i + 1;
    return true;
}
