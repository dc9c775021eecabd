/*
 * data/array.c - one-dimensional arrays in their stored form, and PostgreSQL's text of them.
 *
 *   uint32_t count
 *   uint8_t  element type, uint8_t 0, uint16_t 0
 *   uint8_t  validity[(count + 7) / 8]
 *   fixed-width elements: count values, packed, nulls zero
 *   others: uint32_t ends[count], counted from the start of the bytes; bytes
 *
 * Numeric elements are always of the variable form.
 */
#include <strings.h>

#include "base/base.h"
#include "data/data_priv.h"

#define HEADER_BYTES 8

static enum luma_phys
elem_phys(uint8_t elem)
{
    return elem == LUMA_TYPE_NUMERIC ? LUMA_PHYS_STR
                                     : luma_type_phys(luma_type((enum luma_type_id)elem));
}

static inline uint32_t
load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

uint32_t
lk_data_array_count(const struct luma_str *array)
{
    return array->bytes < HEADER_BYTES ? 0 : load32((const uint8_t *)luma_str_data(array));
}

/* --- making --- */

static luma_rc
numeric_variable(struct luma_arena *arena, const struct luma_value *value, struct luma_str *out)
{
    if (value->phys == LUMA_PHYS_STR) {
        *out = value->str;
        return LUMA_OK;
    }
    return lk_data_numeric_from_i128(arena, value->phys == LUMA_PHYS_I64 ? value->i64 : value->i128,
                                     value->scale, out);
}

luma_rc
lk_data_array_make(struct luma_arena *arena, enum luma_type_id elem,
                   const struct luma_value *values, uint32_t count, struct luma_str *out)
{
    enum luma_phys phys = elem_phys((uint8_t)elem);
    size_t valid_bytes = ((size_t)count + 7) / 8, width = luma_phys_bytes(phys);
    size_t total = HEADER_BYTES + valid_bytes;
    struct luma_str *strs = NULL;
    uint8_t *bytes, *valid, *at;
    uint32_t end = 0;

    if (phys == LUMA_PHYS_STR) {
        strs = luma_arena_zalloc(arena, sizeof(*strs) * ((size_t)count + 1));
        if (strs == NULL)
            return LUMA_E_NOMEM;
        for (uint32_t i = 0; i < count; i++) {
            if (values[i].is_null)
                continue;
            if (elem == LUMA_TYPE_NUMERIC)
                LUMA_TRY(numeric_variable(arena, &values[i], &strs[i]));
            else
                strs[i] = values[i].str;
            total += strs[i].bytes;
        }
        width = 4;
    }
    total += width * count;
    if (total > UINT32_MAX / 2)
        return LUMA_E_LIMIT;
    bytes = luma_arena_alloc_aligned(arena, total, 8);
    if (bytes == NULL)
        return LUMA_E_NOMEM;
    memset(bytes, 0, HEADER_BYTES + valid_bytes);
    memcpy(bytes, &count, 4);
    bytes[4] = (uint8_t)elem;
    valid = bytes + HEADER_BYTES;
    at = valid + valid_bytes;
    for (uint32_t i = 0; i < count; i++) {
        if (!values[i].is_null)
            valid[i >> 3] = (uint8_t)(valid[i >> 3] | 1u << (i & 7));
        if (phys != LUMA_PHYS_STR) {
            if (values[i].is_null)
                memset(at + i * width, 0, width);
            else
                memcpy(at + i * width, &values[i].b, width);
            continue;
        }
        if (strs[i].bytes > 0)
            memcpy(at + width * count + end, luma_str_data(&strs[i]), strs[i].bytes);
        end += strs[i].bytes;
        memcpy(at + i * width, &end, 4);
    }
    *out = luma_str_make((const char *)bytes, (uint32_t)total);
    return LUMA_OK;
}

/* --- reading --- */

bool
lki_array_valid(const struct luma_str *array, struct luma_type elem)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(array);
    size_t count = lk_data_array_count(array), valid_bytes = (count + 7) / 8, rest;
    enum luma_phys phys;
    uint32_t before = 0;

    if (array->bytes < HEADER_BYTES || p[4] >= LUMA_TYPE_COUNT_)
        return false;
    phys = elem_phys(p[4]);
    rest = array->bytes - HEADER_BYTES;
    if (phys == LUMA_PHYS_NONE || phys != elem_phys(elem.id) || valid_bytes > rest)
        return false;
    rest -= valid_bytes;
    if (phys != LUMA_PHYS_STR)
        return rest == count * luma_phys_bytes(phys);
    if (rest / 4 < count)
        return false;
    p += HEADER_BYTES + valid_bytes;
    for (size_t i = 0; i < count; i++) {
        uint32_t end = load32(p + 4 * i);
        if (end < before || end > rest - 4 * count)
            return false;
        before = end;
    }
    return before == rest - 4 * count;
}

bool
lki_array_value(const struct luma_str *array, struct luma_type elem, uint32_t index,
                struct luma_value *out)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(array), *at;
    uint32_t count = lk_data_array_count(array);
    enum luma_phys phys = elem_phys(array->bytes < HEADER_BYTES ? 0 : p[4]);

    memset(out, 0, sizeof(*out));
    out->type = elem;
    out->phys = (uint8_t)phys;
    out->is_null = true;
    if (index >= count || !(p[HEADER_BYTES + (index >> 3)] >> (index & 7) & 1))
        return false;
    out->is_null = false;
    at = p + HEADER_BYTES + ((size_t)count + 7) / 8;
    if (phys != LUMA_PHYS_STR) {
        size_t width = luma_phys_bytes(phys);
        memcpy(&out->b, at + index * width, width);
    } else {
        uint32_t start = index == 0 ? 0 : load32(at + 4 * ((size_t)index - 1));
        uint32_t end = load32(at + 4 * (size_t)index);
        out->str = luma_str_make((const char *)at + 4 * (size_t)count + start, end - start);
    }
    return true;
}

luma_rc
lk_data_array_get(const struct luma_str *array, struct luma_type elem, uint32_t index,
                  struct luma_value *out)
{
    if (index >= lk_data_array_count(array))
        return LUMA_E_RANGE;
    lki_array_value(array, elem, index, out);
    return LUMA_OK;
}

int
lki_array_compare(const struct luma_str *a, const struct luma_str *b, struct luma_type type)
{
    uint32_t na = lk_data_array_count(a), nb = lk_data_array_count(b);
    struct luma_type elem = luma_type_elem(type);

    for (uint32_t i = 0; i < na && i < nb; i++) {
        struct luma_value x, y;
        bool has_x = lki_array_value(a, elem, i, &x), has_y = lki_array_value(b, elem, i, &y);
        int c;
        if (!has_x || !has_y) { /* a null is above everything */
            if (has_x != has_y)
                return has_x ? -1 : 1;
            continue;
        }
        c = lk_data_value_compare(&x, &y);
        if (c != 0)
            return c;
    }
    return (na > nb) - (na < nb);
}

uint64_t
lki_array_hash(const struct luma_str *a, struct luma_type type)
{
    uint32_t count = lk_data_array_count(a);
    uint64_t h = 1;

    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec vec;
        lki_array_value(a, luma_type_elem(type), i, &v);
        vec = lki_value_vec(&v);
        lk_data_hash(&vec, NULL, 1, true, &h);
    }
    return h;
}

/* --- text --- */

static inline bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
needs_quotes(const char *p, size_t n)
{
    if (n == 0 || (n == 4 && strncasecmp(p, "null", 4) == 0))
        return true;
    for (size_t i = 0; i < n; i++)
        if (p[i] == '"' || p[i] == '\\' || p[i] == '{' || p[i] == '}' || p[i] == ',' ||
            is_space(p[i]))
            return true;
    return false;
}

size_t
lki_array_text_bound(const struct luma_str *array, struct luma_type type)
{
    uint32_t count = lk_data_array_count(array);
    size_t total = 2;

    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec vec;
        lki_array_value(array, luma_type_elem(type), i, &v);
        vec = lki_value_vec(&v);
        total += v.is_null ? 5 : 3 + 3 * lk_data_text_bound(&vec, 0);
    }
    return total;
}

size_t
lki_array_text_write(const struct luma_str *array, struct luma_type type,
                     const struct luma_format *format, char *out)
{
    uint32_t count = lk_data_array_count(array);
    bool braces = !luma_type_is_oldvector(type);
    char *p = out;

    if (braces)
        *p++ = '{';
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec vec;
        size_t n, bound;
        char *text;
        if (i > 0)
            *p++ = braces ? ',' : ' ';
        if (!lki_array_value(array, luma_type_elem(type), i, &v)) {
            memcpy(p, "NULL", 4);
            p += 4;
            continue;
        }
        /* Written behind the room that quoting may take, then moved up. */
        vec = lki_value_vec(&v);
        bound = lk_data_text_bound(&vec, 0);
        text = p + 2 + 2 * bound;
        n = lk_data_text_write(&vec, 0, format, text);
        if (v.type.id == LUMA_TYPE_BOOL || !needs_quotes(text, n)) {
            memmove(p, text, n);
            p += n;
            continue;
        }
        *p++ = '"';
        for (size_t k = 0; k < n; k++) {
            if (text[k] == '"' || text[k] == '\\')
                *p++ = '\\';
            *p++ = text[k];
        }
        *p++ = '"';
    }
    if (braces)
        *p++ = '}';
    return (size_t)(p - out);
}

struct array_parser {
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct luma_type elem;
    const struct luma_format *format;
    struct luma_slice text;
    const char *p, *end;
    struct luma_value *values;
    uint32_t count, room;
};

static luma_rc
malformed(struct array_parser *ap)
{
    return LUMA_FAIL_SQL(ap->ctx, LUMA_E_DATA, "22P02", "malformed array literal: \"%.*s\"",
                         (int)(ap->text.bytes > 200 ? 200 : ap->text.bytes),
                         (const char *)ap->text.data);
}

static luma_rc
add_value(struct array_parser *ap, const struct luma_value *value)
{
    if (ap->count == ap->room) {
        uint32_t room = ap->room == 0 ? 16 : ap->room * 2;
        struct luma_value *more = luma_arena_alloc(ap->arena, sizeof(*more) * room);
        if (more == NULL)
            return LUMA_FAIL(ap->ctx, LUMA_E_NOMEM, "out of memory");
        if (ap->count > 0)
            memcpy(more, ap->values, sizeof(*more) * ap->count);
        ap->values = more;
        ap->room = room;
    }
    ap->values[ap->count++] = *value;
    return LUMA_OK;
}

/* One element up to the comma or brace. */
static luma_rc
take_element(struct array_parser *ap)
{
    char *copy = luma_arena_alloc_aligned(ap->arena, (size_t)(ap->end - ap->p) + 1, 1), *q = copy;
    struct luma_value v = {.type = ap->elem, .is_null = true};
    bool quoted = false;
    char *kept;

    if (copy == NULL)
        return LUMA_FAIL(ap->ctx, LUMA_E_NOMEM, "out of memory");
    kept = copy; /* trailing blanks outside quotes do not count */
    for (; ap->p < ap->end && *ap->p != ',' && *ap->p != '}'; ap->p++) {
        if (*ap->p == '{')
            return malformed(ap);
        if (*ap->p == '"') {
            quoted = true;
            for (ap->p++; ap->p < ap->end && *ap->p != '"'; ap->p++) {
                if (*ap->p == '\\' && ap->p + 1 < ap->end)
                    ap->p++;
                *q++ = *ap->p;
            }
            if (ap->p == ap->end)
                return malformed(ap);
            kept = q;
            continue;
        }
        if (*ap->p == '\\' && ap->p + 1 < ap->end)
            ap->p++;
        *q++ = *ap->p;
        if (!is_space(*ap->p))
            kept = q;
    }
    if (!quoted && kept == copy)
        return malformed(ap);
    if (quoted || kept - copy != 4 || strncasecmp(copy, "null", 4) != 0)
        LUMA_TRY(lk_data_from_text(ap->ctx, ap->arena, ap->elem, ap->format,
                                   luma_slice(copy, (size_t)(kept - copy)), &v));
    return add_value(ap, &v);
}

static void
skip_space(struct array_parser *ap)
{
    while (ap->p < ap->end && is_space(*ap->p))
        ap->p++;
}

luma_rc
lki_array_parse(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                const struct luma_format *format, struct luma_slice text, struct luma_str *out)
{
    struct array_parser ap = {.ctx = ctx,
                              .arena = arena,
                              .elem = {type.elem, 0, type.scale, type.mod},
                              .format = format,
                              .text = text,
                              .p = (const char *)text.data,
                              .end = (const char *)text.data + text.bytes};

    skip_space(&ap);
    if (ap.p == ap.end || *ap.p != '{')
        return malformed(&ap);
    ap.p++;
    skip_space(&ap);
    if (ap.p < ap.end && *ap.p == '}') {
        ap.p++;
    } else {
        for (;;) {
            skip_space(&ap);
            if (ap.p < ap.end && *ap.p == '{')
                return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED,
                                 "arrays of more than one dimension are not supported");
            LUMA_TRY(take_element(&ap));
            if (ap.p == ap.end)
                return malformed(&ap);
            if (*ap.p++ == '}')
                break;
        }
    }
    skip_space(&ap);
    if (ap.p != ap.end)
        return malformed(&ap);
    if (lk_data_array_make(arena, (enum luma_type_id)type.elem, ap.values, ap.count, out) !=
        LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    return LUMA_OK;
}
