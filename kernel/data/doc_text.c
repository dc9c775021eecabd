/* data/doc_text.c - binary documents as JSON text, the way PostgreSQL prints jsonb. */
#include <stdio.h>

#include "data/calendar.h"
#include "data/doc.h"
#include "data/float.h"

size_t
lki_json_string_bound(size_t bytes)
{
    return bytes * 6 + 2;
}

size_t
lki_json_string_write(const char *text, size_t bytes, char *out)
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;

    *p++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *at;
        if (LUMA_LIKELY(c >= 0x20 && c != '"' && c != '\\')) {
            *p++ = (char)c;
            continue;
        }
        *p++ = '\\';
        at = c == 0 ? NULL : strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
        if (at != NULL) {
            *p++ = at[1];
            continue;
        }
        memcpy(p, "u00", 3);
        p[3] = hex[c >> 4];
        p[4] = hex[c & 15];
        p += 5;
    }
    *p++ = '"';
    return (size_t)(p - out);
}

/* Exact enough for a buffer: escapes are counted, numbers bounded. */
static size_t
bound_at(struct luma_slice doc, bool pretty, int depth)
{
    struct lki_doc_view view;
    size_t total = 2, indent = pretty ? 4 * ((size_t)depth + 1) + 1 : 1;

    switch (lki_doc_kind(doc)) {
    case LKI_DOC_NULL:
    case LKI_DOC_FALSE:
    case LKI_DOC_TRUE:
        return 5;
    case LKI_DOC_INT:
        return 21;
    case LKI_DOC_NUMBER: {
        struct luma_str str = luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        return lki_num_text_bound(&str);
    }
    case LKI_DOC_STRING:
        return lki_json_string_bound(doc.bytes);
    case LKI_DOC_ARRAY:
    case LKI_DOC_OBJECT:
        break;
    case LKI_DOC_BYTES:
        return doc.bytes * 2 + 6;
    default:
        return doc.bytes * 8 + 64;
    }
    if (!lki_doc_open(doc, &view) || depth > LKI_DOC_DEPTH_MAX)
        return 4;
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        if (view.kind == LKI_DOC_OBJECT && lki_doc_name_at(&view, i, &part))
            total += lki_json_string_bound(part.bytes) + 2;
        if (lki_doc_value_at(&view, i, &part))
            total += bound_at(part, pretty, depth + 1);
        total += 1 + indent;
    }
    return total + indent;
}

size_t
lk_data_doc_text_bound(struct luma_slice doc)
{
    return bound_at(doc, true, 0);
}

static char *
put_indent(char *p, int depth)
{
    *p++ = '\n';
    memset(p, ' ', (size_t)depth * 4);
    return p + (size_t)depth * 4;
}

static char *
put_word(char *p, const char *word)
{
    size_t n = strlen(word);
    memcpy(p, word, n);
    return p + n;
}

static char *
put_scalar(char *p, struct luma_slice doc)
{
    struct luma_value v;

    if (lki_doc_kind(doc) == LKI_DOC_VECTOR) {
        *p++ = '[';
        for (size_t i = 1; i + 4 <= doc.bytes; i += 4) {
            float f;
            memcpy(&f, doc.data + i, 4);
            if (i > 1)
                p = put_word(p, ", ");
            p += lki_float4_write(f, 1, p);
        }
        *p++ = ']';
        return p;
    }
    if (!lk_data_doc_scalar(doc, NULL, &v) || v.is_null)
        return put_word(p, "null");
    switch (v.type.id) {
    case LUMA_TYPE_BOOL:
        return put_word(p, v.b ? "true" : "false");
    case LUMA_TYPE_NUMERIC:
        return p + (v.phys == LUMA_PHYS_I64 ? lki_num_text_write_i64(v.i64, 0, p)
                                            : lki_num_text_write(&v.str, p));
    case LUMA_TYPE_TEXT:
        return p + lki_json_string_write(luma_str_data(&v.str), v.str.bytes, p);
    default: {
        struct luma_vec vec = {
            .type = v.type, .phys = v.phys, .form = LUMA_VEC_CONST, .data = &v.b};
        *p++ = '"';
        if (v.type.id == LUMA_TYPE_BYTEA)
            *p++ = '\\'; /* \x becomes \\x */
        p += lk_data_text_write(&vec, 0, NULL, p);
        if (v.type.id == LUMA_TYPE_TIMESTAMPTZ)
            for (char *q = p - 1; *q != '"'; q--)
                if (*q == ' ' && q[-1] >= '0' && q[-1] <= '9' && q[1] >= '0' && q[1] <= '9')
                    *q = 'T';
        *p++ = '"';
        return p;
    }
    }
}

enum style { COMPACT, SPACED, PRETTY };

static char *
write_at(char *p, struct luma_slice doc, enum style style, int depth)
{
    struct lki_doc_view view;
    bool object;

    if (!lki_doc_open(doc, &view) || depth > LKI_DOC_DEPTH_MAX)
        return put_scalar(p, doc);
    object = view.kind == LKI_DOC_OBJECT;
    *p++ = object ? '{' : '[';
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        uint32_t at;
        if (!lki_doc_written(&view, i, &at))
            break;
        if (i > 0)
            *p++ = ',';
        if (style == PRETTY)
            p = put_indent(p, depth + 1);
        else if (i > 0 && style == SPACED)
            *p++ = ' ';
        if (object && lki_doc_name_at(&view, at, &part)) {
            p += lki_json_string_write((const char *)part.data, part.bytes, p);
            *p++ = ':';
            if (style != COMPACT)
                *p++ = ' ';
        }
        if (lki_doc_value_at(&view, at, &part))
            p = write_at(p, part, style, depth + 1);
    }
    if (style == PRETTY)
        p = put_indent(p, depth);
    *p++ = object ? '}' : ']';
    return p;
}

size_t
lk_data_doc_text_write(struct luma_slice doc, bool pretty, char *out)
{
    return (size_t)(write_at(out, doc, pretty ? PRETTY : SPACED, 0) - out);
}

size_t
lki_doc_text_compact(struct luma_slice doc, char *out)
{
    return (size_t)(write_at(out, doc, COMPACT, 0) - out);
}
