/* main/transfer/array.c - arrays and values: from JSON to the text of SQL and back. */
#include "main/transfer/record.h"

#define DEPTH_MAX 6 /* dimensions of an array */

/* --- from JSON --- */

static void
put_quoted(const char *text, size_t bytes, struct lki_text *out)
{
    lki_text_put(out, '"');
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"' || text[i] == '\\')
            lki_text_put(out, '\\');
        lki_text_put(out, text[i]);
    }
    lki_text_put(out, '"');
}

static bool
put_element(const char *json, size_t bytes, enum lki_json kind, struct lki_text *out)
{
    struct lki_text plain = {0};
    bool ok = true;
    switch (kind) {
    case JSON_NULL:
        lki_text_add(out, "NULL", 4);
        return true;
    case JSON_STRING:
        ok = lki_json_unescape(json, bytes, &plain);
        if (ok)
            put_quoted(plain.bytes, plain.used, out);
        lki_text_fini(&plain);
        return ok;
    case JSON_OBJECT: /* of json[] */
        put_quoted(json, bytes, out);
        return true;
    default:
        lki_text_add(out, json, bytes);
        return true;
    }
}

bool
lki_array_from_json(const char *json, size_t bytes, struct lki_text *out)
{
    size_t at = 0, depth = 0;
    bool after = false; /* a value went before */
    while (at < bytes) {
        char c = json[at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            at++;
        } else if (c == '[' && !after) {
            if (++depth > DEPTH_MAX)
                return false;
            lki_text_put(out, '{');
            at++;
        } else if (c == ']' && depth > 0) {
            lki_text_put(out, '}');
            after = true;
            at++;
            if (--depth == 0)
                return at == bytes;
        } else if (c == ',' && after && depth > 0) {
            lki_text_put(out, ',');
            after = false;
            at++;
        } else {
            size_t from;
            enum lki_json kind =
                after || depth == 0 ? JSON_BAD : lki_json_skip(json, bytes, &at, &from);
            if (kind == JSON_BAD || !put_element(json + from, at - from, kind, out))
                return false;
            after = true;
        }
    }
    return false;
}

/* --- to JSON --- */

/* A document in one line: line ends stand between its tokens only. */
static void
put_one_line(const char *json, size_t bytes, struct lki_text *out)
{
    char *to = lki_text_room(out, bytes);
    for (size_t i = 0; i < bytes; i++)
        to[i] = json[i] == '\n' || json[i] == '\r' ? ' ' : json[i];
    out->used += bytes;
}

void
lki_form_to_json(const char *text, size_t bytes, enum lki_form form, struct lki_text *out)
{
    if (form == FORM_JSON)
        put_one_line(text, bytes, out);
    else if (form == FORM_NUMBER && lki_json_is_number(text, bytes))
        lki_text_add(out, text, bytes);
    else if (form == FORM_BOOL && bytes == 1 && (text[0] == 't' || text[0] == 'f'))
        lki_text_say(out, text[0] == 't' ? "true" : "false");
    else
        lki_json_quote(text, bytes, out);
}

/* The element at *at, without quotes and escapes. */
static bool
take_element(const char *text, size_t bytes, size_t *at, struct lki_text *out, bool *out_null)
{
    bool quoted = text[*at] == '"', inside = quoted;
    size_t i = *at + quoted;
    out->used = 0;
    for (; i < bytes; i++) {
        char c = text[i];
        if (inside && c == '"') {
            inside = false;
            i++;
            break;
        }
        if (!inside && (c == ',' || c == '}' || c == '{' || c == '"'))
            break;
        if (c == '\\' && ++i == bytes)
            return false;
        lki_text_put(out, text[i]);
    }
    *lki_text_room(out, 0) = 0;
    *out_null = !quoted && out->used == 4 && memcmp(out->bytes, "NULL", 4) == 0;
    *at = i;
    return !inside && (quoted || out->used > 0);
}

bool
lki_array_to_json(const char *text, size_t bytes, enum lki_form element, struct lki_text *out)
{
    struct lki_text plain = {0};
    size_t depth = 0, at = 0;
    bool null, ok = true;
    if (bytes > 0 && text[0] == '[') { /* [2:3]={...}: bounds other than 1 do not go into JSON */
        const char *equals = memchr(text, '=', bytes);
        at = equals == NULL ? bytes : (size_t)(equals - text) + 1;
    }
    if (at >= bytes || text[at] != '{')
        return false;
    do {
        char c = text[at];
        if (c == '{' || c == '}' || c == ',') {
            lki_text_put(out, c == '{' ? '[' : c == '}' ? ']' : ',');
            depth += c == '{' ? 1 : 0;
            depth -= c == '}' ? 1 : 0;
            at++;
        } else if ((ok = take_element(text, bytes, &at, &plain, &null))) {
            if (null)
                lki_text_add(out, "null", 4);
            else
                lki_form_to_json(plain.bytes, plain.used, element, out);
        }
    } while (ok && depth > 0 && at < bytes);
    lki_text_fini(&plain);
    return ok && depth == 0 && at == bytes;
}
