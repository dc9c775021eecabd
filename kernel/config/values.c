/* config/values.c - from what is written to the fields of a struct, and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config_priv.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"kB", 1024},
    {"KB", 1024},
    {"KiB", 1024},
    {"MB", 1048576},
    {"MiB", 1048576},
    {"GB", 1073741824},
    {"GiB", 1073741824},
    {"TB", 1099511627776},
    {"TiB", 1099511627776},
};

static const struct unit time_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"min", 60000000000},
    {"m", 60000000000},
    {"h", 3600000000000},
    {"d", 86400000000000},
};

/* "1.5 GB" with one of the units; no unit: `bare` times the number, or false when that is 0. */
static bool
parse_quantity(const char *text, const struct unit *units, size_t units_count, int64_t bare,
               int64_t *out)
{
    char *end;
    while (*text == ' ')
        text++;
    if (!((*text >= '0' && *text <= '9') || *text == '-' || *text == '.'))
        return false;
    double number = strtod(text, &end);
    size_t digits = (size_t)(end - text);
    while (*end == ' ')
        end++;
    int64_t factor = *end == '\0' ? (number == 0 ? 1 : bare) : 0;
    for (size_t i = 0; i < units_count; i++)
        if (strcmp(end, units[i].name) == 0)
            factor = units[i].factor;
    double result = number * (double)factor;
    if (factor == 0 || !isfinite(result))
        return false;
    bool is_whole = strcspn(text, ".eExX") >= digits; /* exact, where a double may not be */
    int64_t whole = (int64_t)strtoll(text, NULL, 10);
    if (is_whole && __builtin_mul_overflow(whole, factor, out))
        return false;
    if (!is_whole && fabs(result) > 9.0e18)
        return false;
    if (!is_whole)
        *out = (int64_t)llround(result);
    return true;
}

bool
lk_conf_parse_bytes(const char *text, int64_t *out_bytes)
{
    return parse_quantity(text, byte_units, LUMA_COUNTOF(byte_units), 1, out_bytes);
}

bool
lk_conf_parse_duration(const char *text, int64_t *out_ns)
{
    return parse_quantity(text, time_units, LUMA_COUNTOF(time_units), 0, out_ns);
}

/* --- ranges --- */

static bool
in_range(const struct luma_conf_item *item, int64_t v)
{
    return item->min == item->max || (v >= item->min && v <= item->max);
}

const char *
lki_range_text(struct luma_arena *arena, const struct luma_conf_item *item)
{
    struct lk_bytes b = {0};
    bool ok = true;
    if (item->type == LUMA_CONF_TYPE_ENUM)
        ok = lk_bytes_printf(&b, "one of %s", item->values == NULL ? "" : item->values);
    else if (item->type == LUMA_CONF_TYPE_FLOAT && item->fmin < item->fmax)
        ok = lk_bytes_printf(&b, "%g .. %g", item->fmin, item->fmax);
    else if (item->min != item->max && item->type == LUMA_CONF_TYPE_INT)
        ok = lk_bytes_printf(&b, "%lld .. %lld", (long long)item->min, (long long)item->max);
    else if (item->min != item->max && item->type == LUMA_CONF_TYPE_BYTES)
        ok = lki_print_bytes(&b, item->min) && lk_bytes_text(&b, " .. ") &&
             lki_print_bytes(&b, item->max);
    else if (item->min != item->max && item->type == LUMA_CONF_TYPE_DURATION)
        ok = lki_print_duration(&b, item->min) && lk_bytes_text(&b, " .. ") &&
             lki_print_duration(&b, item->max);
    const char *text = luma_arena_text(arena, b.data, ok ? b.bytes : 0);
    lk_bytes_fini(&b);
    return text == NULL ? "" : text;
}

static bool
one_of(const char *values, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = values; p != NULL;) {
        size_t bytes = strcspn(p, "|");
        if (bytes == n && memcmp(p, text, n) == 0)
            return true;
        p = p[bytes] == '|' ? p + bytes + 1 : NULL;
    }
    return false;
}

/* --- filling --- */

static bool
fill_number(const struct luma_conf_item *item, const struct lk_conf_value *v, void *field,
            const char **out_why)
{
    int64_t n = v->i;
    bool ok = v->kind == LK_CONF_INT;
    *out_why = "a whole number";
    if (item->type == LUMA_CONF_TYPE_BYTES) {
        *out_why = "a size like 64MB, or a number of bytes";
        ok = ok || (v->kind == LK_CONF_STR && lk_conf_parse_bytes(v->text, &n));
    } else if (item->type == LUMA_CONF_TYPE_DURATION) {
        *out_why = "a duration with its unit, like 30s or 200ms";
        ok = (ok && n == 0) || (v->kind == LK_CONF_STR && lk_conf_parse_duration(v->text, &n));
    }
    if (!ok)
        return false;
    *out_why = NULL; /* the range says what is expected */
    if (!in_range(item, n))
        return false;
    *(int64_t *)field = n;
    return true;
}

static bool
fill_float(const struct luma_conf_item *item, const struct lk_conf_value *v, void *field,
           const char **out_why)
{
    *out_why = "a number";
    if (v->kind != LK_CONF_FLOAT && v->kind != LK_CONF_INT)
        return false;
    *out_why = NULL;
    if (item->fmin < item->fmax && !(v->f >= item->fmin && v->f <= item->fmax))
        return false;
    *(double *)field = v->f;
    return true;
}

static bool
fill_list(struct luma_arena *arena, const struct lk_conf_value *v, void *field)
{
    struct luma_conf_list list = {v->items, v->items_count};
    if (v->kind == LK_CONF_STR) { /* "a, b" */
        const char **items = LUMA_NEW_ARRAY(arena, const char *, strlen(v->text) / 2 + 2);
        if (items == NULL)
            return false;
        list = (struct luma_conf_list){items, 0};
        for (const char *p = v->text; *p != '\0';) {
            p += strspn(p, " ,");
            size_t bytes = strcspn(p, ","), trimmed = bytes;
            while (trimmed > 0 && p[trimmed - 1] == ' ')
                trimmed--;
            if (trimmed > 0)
                items[list.count++] = luma_arena_text(arena, p, trimmed);
            p += bytes;
        }
    }
    *(struct luma_conf_list *)field = list;
    return true;
}

static const char *
resolve_path(struct luma_arena *arena, const struct lk_conf_doc *doc, const char *path)
{
    if (path[0] == '/' || path[0] == '\0' || doc->dir[0] == '\0')
        return path;
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    return lk_arena_printf(arena, "%s/%s", doc->dir, path);
}

static bool
fill_text(struct luma_arena *arena, const struct luma_conf_item *item,
          const struct lk_conf_value *v, const struct lk_conf_doc *doc, void *field,
          const char **out_why)
{
    /* On a command line everything is text; in a file a number wants quotes to be one. */
    bool is_text = v->kind == LK_CONF_STR || (doc->source == LK_CONF_FROM_SET && v->items == NULL);
    *out_why = "text in quotes";
    if (!is_text)
        return false;
    *out_why = NULL;
    if (item->type == LUMA_CONF_TYPE_ENUM && !one_of(item->values, v->text))
        return false;
    const char *text =
        item->type == LUMA_CONF_TYPE_PATH ? resolve_path(arena, doc, v->text) : v->text;
    *(const char **)field = text;
    return text != NULL;
}

bool
lki_fill(struct luma_arena *arena, const struct luma_conf_item *item,
         const struct lk_conf_entry *entry, const struct lk_conf_doc *doc, void *values,
         const char **out_why)
{
    void *field = (uint8_t *)values + item->offset;
    const struct lk_conf_value *v = &entry->value;
    switch (item->type) {
    case LUMA_CONF_TYPE_BOOL:
        *out_why = "true or false";
        if (v->kind != LK_CONF_BOOL)
            return false;
        *(bool *)field = v->b;
        return true;
    case LUMA_CONF_TYPE_INT:
    case LUMA_CONF_TYPE_BYTES:
    case LUMA_CONF_TYPE_DURATION:
        return fill_number(item, v, field, out_why);
    case LUMA_CONF_TYPE_FLOAT:
        return fill_float(item, v, field, out_why);
    case LUMA_CONF_TYPE_LIST:
        *out_why = "a list of text";
        return (v->kind == LK_CONF_LIST || v->kind == LK_CONF_STR) && fill_list(arena, v, field);
    case LUMA_CONF_TYPE_TEXT:
    case LUMA_CONF_TYPE_PATH:
    case LUMA_CONF_TYPE_ENUM:
        return fill_text(arena, item, v, doc, field, out_why);
    case LUMA_CONF_TYPE_END:
        break;
    }
    *out_why = "a type this program knows";
    return false;
}

luma_rc
lki_fill_default(struct luma_arena *arena, const struct luma_conf_item *item, void *values)
{
    void *field = (uint8_t *)values + item->offset;
    switch (item->type) {
    case LUMA_CONF_TYPE_BOOL:
        *(bool *)field = item->def != 0;
        break;
    case LUMA_CONF_TYPE_INT:
    case LUMA_CONF_TYPE_BYTES:
    case LUMA_CONF_TYPE_DURATION:
        *(int64_t *)field = item->def;
        break;
    case LUMA_CONF_TYPE_FLOAT:
        *(double *)field = item->fdef;
        break;
    case LUMA_CONF_TYPE_TEXT:
    case LUMA_CONF_TYPE_PATH:
    case LUMA_CONF_TYPE_ENUM:
        *(const char **)field = item->sdef;
        break;
    case LUMA_CONF_TYPE_LIST: {
        struct lk_conf_value v = {.text = item->sdef == NULL ? "" : item->sdef};
        return fill_list(arena, &v, field) ? LUMA_OK : LUMA_E_NOMEM;
    }
    case LUMA_CONF_TYPE_END:
        break;
    }
    return LUMA_OK;
}

/* --- printing --- */

static bool
print_quantity(struct lk_bytes *out, int64_t n, const struct unit *units, size_t units_count)
{
    for (size_t i = units_count; i > 0; i--) {
        if (n != 0 && n % units[i - 1].factor == 0)
            return lk_bytes_printf(out, "%lld%s", (long long)(n / units[i - 1].factor),
                                   units[i - 1].name);
    }
    return lk_bytes_printf(out, "%lld", (long long)n);
}

bool
lki_print_bytes(struct lk_bytes *out, int64_t bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"kB", 1024}, {"MB", 1048576}, {"GB", 1073741824}, {"TB", 1099511627776}};
    return print_quantity(out, bytes, units, LUMA_COUNTOF(units));
}

bool
lki_print_duration(struct lk_bytes *out, int64_t ns)
{
    static const struct unit units[] = {{"ns", 1},
                                        {"us", 1000},
                                        {"ms", 1000000},
                                        {"s", 1000000000},
                                        {"min", 60000000000},
                                        {"h", 3600000000000},
                                        {"d", 86400000000000}};
    return print_quantity(out, ns, units, LUMA_COUNTOF(units));
}

static bool
print_list(struct lk_bytes *out, const struct luma_conf_list *list)
{
    bool ok = lk_bytes_text(out, "[");
    for (size_t i = 0; ok && i < list->count; i++)
        ok = (i == 0 || lk_bytes_text(out, ", ")) &&
             lk_bytes_json(out, luma_slice_text(list->items[i]));
    return ok && lk_bytes_text(out, "]");
}

bool
lki_print_value(struct lk_bytes *out, const struct luma_conf_item *item, const void *values)
{
    const void *field = (const uint8_t *)values + item->offset;
    switch (item->type) {
    case LUMA_CONF_TYPE_BOOL:
        return lk_bytes_text(out, *(const bool *)field ? "true" : "false");
    case LUMA_CONF_TYPE_INT:
        return lk_bytes_printf(out, "%lld", (long long)*(const int64_t *)field);
    case LUMA_CONF_TYPE_BYTES:
        return lk_bytes_text(out, "\"") && lki_print_bytes(out, *(const int64_t *)field) &&
               lk_bytes_text(out, "\"");
    case LUMA_CONF_TYPE_DURATION:
        return lk_bytes_text(out, "\"") && lki_print_duration(out, *(const int64_t *)field) &&
               lk_bytes_text(out, "\"");
    case LUMA_CONF_TYPE_FLOAT:
        return lk_bytes_printf(out, "%.17g", *(const double *)field);
    case LUMA_CONF_TYPE_LIST:
        return print_list(out, field);
    case LUMA_CONF_TYPE_TEXT:
    case LUMA_CONF_TYPE_PATH:
    case LUMA_CONF_TYPE_ENUM: {
        const char *text = *(const char *const *)field;
        if ((item->flags & LUMA_CONF_SECRET) && text != NULL && text[0] != '\0')
            return lk_bytes_text(out, "\"(secret)\"");
        return lk_bytes_json(out, luma_slice_text(text == NULL ? "" : text));
    }
    case LUMA_CONF_TYPE_END:
        break;
    }
    return true;
}
