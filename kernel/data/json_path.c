/*
 * data/json_path.c - fields of JSON text as they are written: json's -> and ->> give the bytes
 * between a value's first and last character, spaces and digits included.
 */
#include "base/base.h"
#include "data/shape.h"

static const uint8_t *
skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* Behind the string that begins at p. */
static const uint8_t *
skip_string(const uint8_t *p, const uint8_t *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

/* Behind the value that begins at p. */
static const uint8_t *
skip_value(const uint8_t *p, const uint8_t *end)
{
    uint32_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (depth > 0) {
            depth -= *p == '}' || *p == ']';
            p++;
        } else {
            while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\n' &&
                   *p != '\t' && *p != '\r')
                p++;
            return p;
        }
        if (depth == 0)
            return p;
    }
    return end;
}

/* Is the string literal the name? */
static bool
is_name(struct luma_arena *arena, struct luma_slice literal, struct luma_slice name)
{
    struct luma_str doc;
    if (literal.bytes < 2)
        return false;
    struct luma_slice inside = luma_slice(literal.data + 1, literal.bytes - 2);
    if (memchr(inside.data, '\\', inside.bytes) == NULL)
        return luma_slice_equal(inside, name);
    if (!lki_doc_fast(arena, literal, false, &doc) || doc.bytes == 0)
        return false;
    return luma_slice_equal(luma_slice(luma_str_data(&doc) + 1, doc.bytes - 1), name);
}

/* The member of that name, the last one if there are several. */
static bool
find_member(struct luma_arena *arena, struct luma_slice json, struct luma_slice name,
            struct luma_slice *out)
{
    const uint8_t *p = json.data + 1, *end = json.data + json.bytes;
    bool found = false;
    for (;;) {
        p = skip_space(p, end);
        if (p >= end || *p != '"')
            return found;
        const uint8_t *stop = skip_string(p, end);
        bool same = is_name(arena, luma_slice(p, (size_t)(stop - p)), name);
        p = skip_space(stop, end);
        if (p >= end || *p != ':')
            return found;
        p = skip_space(p + 1, end);
        stop = skip_value(p, end);
        if (same) {
            *out = luma_slice(p, (size_t)(stop - p));
            found = true;
        }
        p = skip_space(stop, end);
        if (p >= end || *p != ',')
            return found;
        p++;
    }
}

static bool
find_element(struct luma_slice json, uint32_t index, struct luma_slice *out)
{
    const uint8_t *p = json.data + 1, *end = json.data + json.bytes;
    for (;; index--) {
        p = skip_space(p, end);
        if (p >= end || *p == ']')
            return false;
        const uint8_t *stop = skip_value(p, end);
        if (index == 0) {
            *out = luma_slice(p, (size_t)(stop - p));
            return true;
        }
        p = skip_space(stop, end);
        if (p >= end || *p != ',')
            return false;
        p++;
    }
}

static struct luma_slice
trimmed(struct luma_slice json)
{
    const uint8_t *end = json.data + json.bytes, *p = skip_space(json.data, end);
    while (end > p && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return luma_slice(p, (size_t)(end - p));
}

luma_rc
lk_data_json_path(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                  const struct luma_path_step *steps, uint32_t count, bool as_text,
                  struct luma_str *out, bool *out_null)
{
    struct luma_str doc;

    *out_null = true;
    for (uint32_t i = 0; i < count; i++) {
        json = trimmed(json);
        if (json.bytes < 2 || json.data[0] != (steps[i].is_index ? '[' : '{'))
            return LUMA_OK;
        if (!(steps[i].is_index ? find_element(json, steps[i].index, &json)
                                : find_member(arena, json, steps[i].name, &json)))
            return LUMA_OK;
    }
    json = count == 0 ? trimmed(json) : json;
    if (as_text && luma_slice_equal(json, luma_slice_text("null")))
        return LUMA_OK;
    *out_null = false;
    if (!as_text || json.bytes == 0 || json.data[0] != '"') {
        *out = luma_str_make((const char *)json.data, (uint32_t)json.bytes);
        return LUMA_OK;
    }
    if (!lki_doc_fast(arena, json, false, &doc))
        LUMA_TRY(lki_doc_careful(ctx, arena, json, &doc));
    /* The document's bytes are in arena, or in doc when they are few. */
    const char *text = luma_str_data(&doc) + 1;
    *out = luma_str_make(text, doc.bytes - 1);
    return LUMA_OK;
}

/* --- text that a document can stand for --- */

/* Writes doc as JSON text in a style; at most lk_data_doc_text_bound bytes. */
static size_t
write_style(struct luma_slice doc, uint8_t style, char *out)
{
    return style == LK_JSON_COMPACT ? lki_doc_text_compact(doc, out)
                                    : lk_data_doc_text_write(doc, false, out);
}

bool
lk_data_json_doc(struct luma_arena *arena, struct luma_slice json, struct luma_slice *out_doc,
                 uint8_t *out_style)
{
    struct luma_str doc, *kept;
    const uint8_t *mark = memchr(json.data, ':', json.bytes);

    if (mark == NULL)
        mark = memchr(json.data, ',', json.bytes);
    if (!lki_doc_fast(arena, json, true, &doc))
        return false;
    kept = luma_arena_copy(arena, &doc, sizeof(doc));
    if (kept == NULL)
        return false;
    *out_doc = luma_str_slice(kept);
    *out_style = mark != NULL && mark + 1 < json.data + json.bytes && mark[1] == ' '
                     ? LK_JSON_SPACED
                     : LK_JSON_COMPACT;
    size_t bound = lk_data_doc_text_bound(*out_doc);
    char *text = lk_alloc(NULL, bound);
    if (text == NULL)
        return false;
    size_t n = write_style(*out_doc, *out_style, text);
    bool same = n == json.bytes && memcmp(text, json.data, n) == 0;
    lk_free(NULL, text, bound);
    return same;
}

luma_rc
lk_data_json_join(struct lk_join *join, struct luma_slice rest, uint32_t row,
                  struct luma_arena *arena, struct luma_str *out)
{
    struct luma_slice doc;

    if (rest.bytes == 0 || rest.data[0] > LK_JSON_SPACED)
        return LUMA_E_CORRUPT;
    if (rest.data[0] == LK_JSON_RAW) {
        char *copy = luma_arena_copy(arena, rest.data + 1, rest.bytes - 1);
        *out = luma_str_make(copy, (uint32_t)(rest.bytes - 1));
        return copy == NULL ? LUMA_E_NOMEM : LUMA_OK;
    }
    LUMA_TRY(lk_data_join(join, luma_slice(rest.data + 1, rest.bytes - 1), row, &doc));
    char *text = luma_arena_alloc_aligned(arena, lk_data_doc_text_bound(doc), 1);
    if (text == NULL)
        return LUMA_E_NOMEM;
    *out = luma_str_make(text, (uint32_t)write_style(doc, rest.data[0], text));
    return LUMA_OK;
}
