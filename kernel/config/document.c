/* config/document.c - what the parsers make: keys in order, with their lines. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "config/config_priv.h"

struct lk_conf_doc *
lk_conf_doc_create(struct luma_arena *arena, enum lk_conf_source source, const char *file)
{
    struct lk_conf_doc *doc = LUMA_NEW(arena, struct lk_conf_doc);
    if (doc == NULL)
        return NULL;
    doc->source = source;
    doc->file = luma_arena_text(arena, file, strlen(file));
    const char *slash = strrchr(file, '/');
    size_t dir_bytes = source == LK_CONF_FROM_SET || slash == NULL ? 0 : (size_t)(slash - file);
    doc->dir = slash == file ? "/" : luma_arena_text(arena, file, dir_bytes);
    return doc->file == NULL || doc->dir == NULL ? NULL : doc;
}

luma_rc
lki_doc_add(struct luma_arena *arena, struct lk_conf_doc *doc, const char *path,
            const struct lk_conf_value *value, int line)
{
    struct lk_conf_entry *e = LUMA_NEW(arena, struct lk_conf_entry);
    if (e == NULL)
        return LUMA_E_NOMEM;
    *e = (struct lk_conf_entry){.path = path, .value = *value, .line = line};
    if (doc->entries == NULL)
        doc->entries = e;
    else
        doc->entries_last->next = e;
    doc->entries_last = e;
    return LUMA_OK;
}

luma_rc
lki_doc_add_table(struct luma_arena *arena, struct lk_conf_doc *doc, const char *path, int line)
{
    struct lk_conf_table *t = LUMA_NEW(arena, struct lk_conf_table);
    if (t == NULL)
        return LUMA_E_NOMEM;
    *t = (struct lk_conf_table){.path = path, .line = line};
    if (doc->tables == NULL)
        doc->tables = t;
    else
        doc->tables_last->next = t;
    doc->tables_last = t;
    return LUMA_OK;
}

bool
lki_key_is_plain(const char *key, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = key[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return bytes > 0;
}

const char *
lki_join(struct luma_arena *arena, const char *a, const char *b)
{
    return a[0] == '\0' ? luma_arena_text(arena, b, strlen(b))
                        : lk_arena_printf(arena, "%s.%s", a, b);
}

/* Digits of `base` with single underscores between them; copies them without. */
static bool
clean_digits(const char *p, int base, char *out, size_t room)
{
    size_t n = 0;
    bool digit_before = false;
    for (; *p != '\0'; p++) {
        if (*p == '_') {
            if (!digit_before || p[1] == '\0')
                return false;
            digit_before = false;
            continue;
        }
        int v = *p >= '0' && *p <= '9'   ? *p - '0'
                : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                : *p >= 'A' && *p <= 'F' ? *p - 'A' + 10
                                         : 99;
        if (v >= base || n + 1 >= room)
            return false;
        out[n++] = *p;
        digit_before = true;
    }
    out[n] = '\0';
    return n > 0 && digit_before;
}

static bool
scalar_int(const char *text, int64_t *out)
{
    char digits[80], *end;
    bool negative = text[0] == '-', has_sign = negative || text[0] == '+';
    const char *p = text + (has_sign ? 1 : 0);
    int base = p[0] != '0' ? 10 : p[1] == 'x' ? 16 : p[1] == 'o' ? 8 : p[1] == 'b' ? 2 : 10;
    if (base != 10 && has_sign)
        return false;
    if (base == 10 && p[0] == '0' && p[1] != '\0') /* 007 is no number in TOML */
        return false;
    digits[0] = '-';
    if (!clean_digits(base == 10 ? p : p + 2, base, digits + 1, sizeof(digits) - 1))
        return false;
    errno = 0;
    *out = (int64_t)strtoll(negative ? digits : digits + 1, &end, base);
    return errno == 0 && *end == '\0';
}

static bool
scalar_float(const char *text, double *out)
{
    char clean[80];
    size_t n = 0;
    const char *word = text + (text[0] == '-' || text[0] == '+' ? 1 : 0);
    if (strcmp(word, "inf") == 0 || strcmp(word, "nan") == 0) {
        *out = word[0] == 'n' ? NAN : text[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    for (const char *p = text; *p != '\0'; p++) {
        bool digit = *p >= '0' && *p <= '9';
        bool sign = (*p == '+' || *p == '-') && (p == text || p[-1] == 'e' || p[-1] == 'E');
        bool inner = (*p == '.' || *p == '_') && p > word && p[-1] >= '0' && p[-1] <= '9' &&
                     p[1] >= '0' && p[1] <= '9';
        bool exponent = (*p == 'e' || *p == 'E') && p > word && p[-1] >= '0' && p[-1] <= '9';
        if ((!digit && !sign && !inner && !exponent) || n + 1 >= sizeof(clean))
            return false;
        if (*p != '_')
            clean[n++] = *p;
    }
    clean[n] = '\0';
    if (word[0] == '0' && word[1] >= '0' && word[1] <= '9')
        return false;
    char *end;
    *out = strtod(clean, &end);
    return n > 0 && *end == '\0' && (strpbrk(clean, ".eE") != NULL);
}

bool
lki_scalar(const char *text, struct lk_conf_value *out_value)
{
    struct lk_conf_value v = {.text = text};
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        v.kind = LK_CONF_BOOL;
        v.b = text[0] == 't';
    } else if (scalar_int(text, &v.i)) {
        v.kind = LK_CONF_INT;
        v.f = (double)v.i;
    } else if (scalar_float(text, &v.f)) {
        v.kind = LK_CONF_FLOAT;
    } else {
        return false;
    }
    *out_value = v;
    return true;
}

luma_rc
lki_list_text(struct luma_arena *arena, struct lk_conf_value *value)
{
    size_t bytes = 1;
    for (size_t i = 0; i < value->items_count; i++)
        bytes += strlen(value->items[i]) + 2;
    char *text = luma_arena_alloc(arena, bytes), *p = text;
    if (text == NULL)
        return LUMA_E_NOMEM;
    for (size_t i = 0; i < value->items_count; i++) {
        if (i > 0)
            p = stpcpy(p, ", ");
        p = stpcpy(p, value->items[i]);
    }
    *p = '\0';
    value->text = text;
    return LUMA_OK;
}

bool
lki_utf8_valid(struct luma_slice text, size_t *out_offset)
{
    for (size_t i = 0; i < text.bytes;) {
        const uint8_t *p = text.data + i;
        size_t n = p[0] < 0x80                    ? 1
                   : p[0] >= 0xc2 && p[0] < 0xe0  ? 2
                   : (p[0] & 0xf0) == 0xe0        ? 3
                   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                  : 0;
        bool ok = n > 0 && i + n <= text.bytes;
        for (size_t k = 1; ok && k < n; k++)
            ok = (p[k] & 0xc0) == 0x80;
        if (ok && n == 3)
            ok = !(p[0] == 0xe0 && p[1] < 0xa0) && !(p[0] == 0xed && p[1] >= 0xa0);
        if (ok && n == 4)
            ok = !(p[0] == 0xf0 && p[1] < 0x90) && !(p[0] == 0xf4 && p[1] >= 0x90);
        if (!ok) {
            *out_offset = i;
            return false;
        }
        i += n;
    }
    return true;
}
