/*
 * json.c - JSON out of values. Numbers keep all their digits; what JSON has no number for (NaN,
 * infinity) and every other type is a string in PostgreSQL's text form; json and jsonb are
 * themselves, arrays are arrays.
 */
#include <math.h>
#include <stdio.h>

#include "rest.h"

void
rest_text_add(struct rest_text *text, const char *data, size_t bytes)
{
    if (bytes > text->room - text->bytes) {
        size_t room = text->room == 0 ? 4096 : text->room;
        while (room - text->bytes < bytes)
            room *= 2;
        char *more = text->mem->resize(NULL, text->data, text->room, room);
        if (more == NULL) {
            text->failed = true;
            return;
        }
        text->data = more;
        text->room = room;
    }
    if (bytes > 0)
        memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
}

void
rest_text_puts(struct rest_text *text, const char *s)
{
    rest_text_add(text, s, strlen(s));
}

void
rest_text_fini(struct rest_text *text)
{
    text->mem->release(NULL, text->data, text->room);
    text->data = NULL;
    text->bytes = text->room = 0;
}

void
rest_json_string(struct rest_text *text, const char *data, size_t bytes)
{
    rest_text_add(text, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t c = (uint8_t)data[i];
        if (LUMA_LIKELY(c >= 0x20 && c != '"' && c != '\\'))
            continue;
        char escaped[8];
        int n = c == '"' || c == '\\' ? snprintf(escaped, sizeof(escaped), "\\%c", c)
                : c == '\n'           ? snprintf(escaped, sizeof(escaped), "\\n")
                : c == '\t'           ? snprintf(escaped, sizeof(escaped), "\\t")
                                      : snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        rest_text_add(text, data + from, i - from);
        rest_text_add(text, escaped, (size_t)n);
        from = i + 1;
    }
    rest_text_add(text, data + from, bytes - from);
    rest_text_add(text, "\"", 1);
}

/* A number as SQL writes it is one for JSON, but for those that are none. */
static bool
is_json_number(const char *s, size_t bytes)
{
    size_t i = bytes > 0 && s[0] == '-' ? 1 : 0;
    return i < bytes && s[i] >= '0' && s[i] <= '9';
}

static bool
is_number(uint8_t type)
{
    return type == LUMA_TYPE_INT2 || type == LUMA_TYPE_INT4 || type == LUMA_TYPE_INT8 ||
           type == LUMA_TYPE_FLOAT4 || type == LUMA_TYPE_FLOAT8 || type == LUMA_TYPE_NUMERIC ||
           type == LUMA_TYPE_OID;
}

static void
json_array(struct rest_text *text, const struct luma_host_data *data, const struct luma_vec *vec,
           uint32_t row, const struct luma_format *format, struct luma_arena *arena)
{
    const struct luma_str *array = luma_vec_at(vec, row);
    struct luma_type elem = luma_type_elem(vec->type);
    uint32_t count = data->array_count(array);
    rest_text_add(text, "[", 1);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value value;
        struct luma_vec one;
        if (i > 0)
            rest_text_add(text, ",", 1);
        if (data->array_get(array, elem, i, &value) != LUMA_OK || value.is_null ||
            data->vec_const(arena, &value, &one) != LUMA_OK)
            rest_text_puts(text, "null");
        else
            rest_json_value(text, data, &one, 0, format, arena);
    }
    rest_text_add(text, "]", 1);
}

void
rest_json_value(struct rest_text *text, const struct luma_host_data *data,
                const struct luma_vec *vec, uint32_t row, const struct luma_format *format,
                struct luma_arena *arena)
{
    if (luma_vec_is_null(vec, row)) {
        rest_text_puts(text, "null");
        return;
    }
    if (vec->type.id == LUMA_TYPE_BOOL) {
        rest_text_puts(text, *(const uint8_t *)luma_vec_at(vec, row) ? "true" : "false");
        return;
    }
    if (vec->type.id == LUMA_TYPE_ARRAY) {
        json_array(text, data, vec, row, format, arena);
        return;
    }
    char room[256], *out = room;
    size_t bound = data->text_bound(vec, row);
    if (bound > sizeof(room))
        out = luma_arena_alloc(arena, bound);
    if (out == NULL) {
        text->failed = true;
        return;
    }
    size_t bytes = data->text_write(vec, row, format, out);
    if (vec->type.id == LUMA_TYPE_JSON || vec->type.id == LUMA_TYPE_JSONB ||
        (is_number(vec->type.id) && is_json_number(out, bytes)))
        rest_text_add(text, out, bytes);
    else
        rest_json_string(text, out, bytes);
}

static void
member(struct rest_text *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    rest_text_puts(text, ",\"");
    rest_text_puts(text, name);
    rest_text_puts(text, "\":");
    rest_json_string(text, value, strlen(value));
}

void
rest_json_error(struct rest_text *text, const struct luma_error *error)
{
    rest_text_puts(text, "{\"code\":");
    const char *code = rest_error_code(error->code);
    rest_json_string(text, code, strlen(code));
    member(text, "sqlstate", error->sqlstate);
    member(text, "message", error->message);
    member(text, "detail", error->detail);
    member(text, "hint", error->hint);
    member(text, "table", error->table);
    member(text, "column", error->column);
    member(text, "constraint", error->constraint);
    if (error->position != 0) {
        char position[40];
        snprintf(position, sizeof(position), ",\"position\":%u", error->position);
        rest_text_puts(text, position);
    }
    rest_text_puts(text, "}");
}
