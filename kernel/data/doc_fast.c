/*
 * data/doc_fast.c - JSON text into binary documents, the quick way, in one pass.
 *
 * Values are built bottom up: a scalar is appended to the work area, a container that closes takes
 * the place of its members. Strings are searched sixteen bytes at a time. Whatever is wrong or
 * rare (an error, an exponent, more than 16 digits, deep nesting) makes it give up, and
 * doc_parse.c reads the text again: it knows every case and what to say of it.
 */
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/base.h"
#include "data/doc.h"

#define FAST_DEPTH   64
#define FAST_MEMBERS 256
#define FAST_BYTES   8192

struct member {
    uint64_t key; /* length, then the first seven bytes: most names differ here */
    const char *name;
    uint32_t name_bytes;
    uint32_t at, bytes; /* of the value */
    uint32_t place;     /* as written */
};

struct open {
    uint32_t first; /* member */
    uint32_t at;    /* where its values begin */
    bool object;
};

struct fast {
    const char *p, *end;
    struct luma_arena *arena;
    uint8_t *out;
    size_t used, room;
    struct member *members;
    uint32_t members_count, members_room;
    uint32_t depth;
    bool keep; /* the order of names */
    struct open open[FAST_DEPTH];
    uint8_t *out_heap;
    struct member *members_heap;
    struct member first_members[FAST_MEMBERS];
    uint8_t first_out[FAST_BYTES];
};

/* --- room --- */

static bool
out_grow(struct fast *f, size_t bytes)
{
    size_t room = f->room * 2;
    while (room - f->used < bytes)
        room *= 2;
    if (room > 4 * LKI_DOC_BYTES_MAX)
        return false;
    uint8_t *more = lk_alloc(NULL, room);
    if (more == NULL)
        return false;
    memcpy(more, f->out, f->used);
    if (f->out_heap != NULL)
        lk_free(NULL, f->out_heap, f->room);
    f->out = f->out_heap = more;
    f->room = room;
    return true;
}

static inline bool
out_need(struct fast *f, size_t bytes)
{
    return LUMA_LIKELY(f->room - f->used >= bytes) || out_grow(f, bytes);
}

static bool
members_grow(struct fast *f)
{
    uint32_t room = f->members_room * 4;
    struct member *more = lk_alloc(NULL, room * sizeof(*more));
    if (more == NULL)
        return false;
    memcpy(more, f->members, f->members_count * sizeof(*more));
    if (f->members_heap != NULL)
        lk_free(NULL, f->members_heap, f->members_room * sizeof(*more));
    f->members = f->members_heap = more;
    f->members_room = room;
    return true;
}

/* --- strings --- */

static inline bool
is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

/* The first quote, backslash or control character. */
static inline const char *
string_stop(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        int bits = _mm_movemask_epi8(bad);
        if (bits != 0)
            return p + __builtin_ctz((unsigned)bits);
    }
#endif
    while (p < end && !is_special(*p))
        p++;
    return p;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
hex_four(const char *p, const char *end, uint32_t *out)
{
    *out = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

/* A character behind \u, pairs of surrogates as one; NULL: give up. */
static const char *
take_unicode(const char *p, const char *end, uint8_t **out)
{
    uint32_t c, low;
    uint8_t *o = *out;

    if (!hex_four(p, end, &c) || c == 0 || (c >= 0xdc00 && c < 0xe000))
        return NULL;
    p += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex_four(p + 2, end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return NULL;
        p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c < 0x80) {
        *o++ = (uint8_t)c;
    } else if (c < 0x800) {
        *o++ = (uint8_t)(0xc0 | c >> 6);
        *o++ = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *o++ = (uint8_t)(0xe0 | c >> 12);
        *o++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *o++ = (uint8_t)(0x80 | (c & 63));
    } else {
        *o++ = (uint8_t)(0xf0 | c >> 18);
        *o++ = (uint8_t)(0x80 | (c >> 12 & 63));
        *o++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *o++ = (uint8_t)(0x80 | (c & 63));
    }
    *out = o;
    return p;
}

static const char *
take_escape(const char *p, const char *end, uint8_t **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return NULL;
    if (p[1] == 'u')
        return take_unicode(p + 2, end, out);
    const char *at = p[1] == '\0' ? NULL : strchr(from, p[1]);
    if (at == NULL)
        return NULL;
    *(*out)++ = (uint8_t)to[at - from];
    return p + 2;
}

/* The rest of a string with escapes, from `start`, into room for as many bytes as it has as text;
 * false: give up. p is left behind the closing quote. */
static bool
take_escaped(struct fast *f, const char *start, uint8_t *to, uint32_t *out_bytes)
{
    uint8_t *o = to;
    const char *p = start;
    for (;;) {
        const char *stop = string_stop(p, f->end);
        memcpy(o, p, (size_t)(stop - p));
        o += stop - p;
        p = stop;
        if (p >= f->end || (unsigned char)*p < 0x20)
            return false;
        if (*p == '"')
            break;
        p = take_escape(p, f->end, &o);
        if (p == NULL)
            return false;
    }
    f->p = p + 1;
    *out_bytes = (uint32_t)(o - to);
    return true;
}

/* Where a string with escapes ends at the latest: its closing quote. */
static size_t
escaped_bytes(const struct fast *f, const char *p)
{
    const char *start = p;
    while (p < f->end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return (size_t)(p - start);
}

static bool
take_string(struct fast *f)
{
    const char *start = f->p + 1, *stop = string_stop(start, f->end);
    size_t n = (size_t)(stop - start);

    if (stop >= f->end)
        return false;
    if (LUMA_LIKELY(*stop == '"')) {
        if (!out_need(f, n + 1))
            return false;
        f->out[f->used] = LKI_DOC_STRING;
        lki_doc_put(f->out + f->used + 1, start, n);
        f->used += n + 1;
        f->p = stop + 1;
        return true;
    }
    uint32_t bytes;
    if (*stop != '\\' || !out_need(f, escaped_bytes(f, start) + 1))
        return false;
    f->out[f->used] = LKI_DOC_STRING;
    if (!take_escaped(f, start, f->out + f->used + 1, &bytes))
        return false;
    f->used += bytes + 1;
    return true;
}

static inline uint64_t
name_key(const char *name, uint32_t n, const char *end)
{
    uint64_t v = 0;
    if (LUMA_LIKELY(end - name >= 8)) {
        memcpy(&v, name, 8);
        v = __builtin_bswap64(v) >> 8;
        if (n < 7)
            v &= ~UINT64_C(0) << (56 - 8 * n);
    } else {
        for (uint32_t i = 0; i < 7; i++)
            v = v << 8 | (i < n ? (uint8_t)name[i] : 0);
    }
    v &= UINT64_C(0x00ffffffffffffff);
    return (uint64_t)LK_MIN(n, 255u) << 56 | v;
}

static bool
take_name(struct fast *f, struct member *m)
{
    const char *start = f->p + 1, *stop;

    if (f->p >= f->end || *f->p != '"')
        return false;
    stop = string_stop(start, f->end);
    if (stop >= f->end)
        return false;
    if (LUMA_LIKELY(*stop == '"')) {
        m->name = start;
        m->name_bytes = (uint32_t)(stop - start);
        m->key = name_key(start, m->name_bytes, f->end);
        f->p = stop + 1;
        return true;
    }
    uint8_t *copy = luma_arena_alloc_aligned(f->arena, escaped_bytes(f, start) + 1, 1);
    if (*stop != '\\' || copy == NULL || !take_escaped(f, start, copy, &m->name_bytes))
        return false;
    m->name = (const char *)copy;
    m->key = name_key(m->name, m->name_bytes, m->name);
    return true;
}

/* --- numbers --- */

static bool
put_int(struct fast *f, int64_t v)
{
    if (!out_need(f, 9))
        return false;
    size_t n = lki_doc_int_bytes(v);
    f->out[f->used] = LKI_DOC_INT;
    memcpy(f->out + f->used + 1, &v, 8);
    f->used += n + 1;
    return true;
}

/* A decimal of at most sixteen digits: whole.frac, `scale` digits behind the point, as the variable
 * form of a numeric. */
static bool
put_decimal(struct fast *f, bool negative, uint64_t whole, uint64_t frac, uint32_t scale)
{
    static const uint32_t pad[4] = {1, 1000, 100, 10};
    uint16_t digits[12];
    uint32_t groups = (scale + 3) / 4, count = 0, first = 0;
    int16_t weight;

    if (!out_need(f, 40))
        return false;
    frac *= pad[scale & 3];
    uint32_t ahead = whole >= 1000000000000u ? 4
                     : whole >= 100000000u   ? 3
                     : whole >= 10000u       ? 2
                                             : 1;
    for (uint32_t i = ahead; i-- > 0; whole /= 10000)
        digits[i] = (uint16_t)(whole % 10000);
    for (uint32_t i = groups; i-- > 0; frac /= 10000)
        digits[ahead + i] = (uint16_t)(frac % 10000);
    count = ahead + groups;
    weight = (int16_t)(ahead - 1);
    while (first < count && digits[first] == 0) {
        first++;
        weight--;
    }
    while (count > first && digits[count - 1] == 0)
        count--;
    uint8_t *o = f->out + f->used;
    *o++ = LKI_DOC_NUMBER;
    bool zero = count == first;
    uint16_t dscale = (uint16_t)scale;
    *o++ = negative && !zero ? LKI_NUM_NEG : LKI_NUM_POS;
    *o++ = 0;
    if (zero)
        weight = 0;
    memcpy(o, &dscale, 2);
    memcpy(o + 2, &weight, 2);
    memcpy(o + 4, digits + first, (size_t)(count - first) * 2);
    f->used += 1 + LKI_NUM_HEADER_BYTES + (size_t)(count - first) * 2;
    return true;
}

static inline bool
word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '.' ||
           (unsigned char)c >= 0x80;
}

static inline const char *
take_digits(const char *p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    while (p < end && (unsigned char)(*p - '0') <= 9)
        v = v * 10 + (uint64_t)(*p++ - '0');
    *out = v;
    return p;
}

static bool
take_number(struct fast *f)
{
    const char *p = f->p, *start, *dot;
    bool negative = *p == '-';
    uint64_t whole, frac = 0;

    start = p += negative;
    p = take_digits(p, f->end, &whole);
    if (p == start || p - start > 16 || (*start == '0' && p - start > 1))
        return false;
    if (p < f->end && *p == '.') {
        dot = p + 1;
        p = take_digits(dot, f->end, &frac);
        if (p == dot || p - start > 17)
            return false;
        if (p < f->end && word_char(*p))
            return false;
        f->p = p;
        return put_decimal(f, negative, whole, frac, (uint32_t)(p - dot));
    }
    if (p < f->end && word_char(*p))
        return false;
    f->p = p;
    return put_int(f, negative ? -(int64_t)whole : (int64_t)whole);
}

static bool
take_word(struct fast *f)
{
    static const struct {
        char text[6];
        uint8_t bytes, kind;
    } words[] = {{"null", 4, LKI_DOC_NULL}, {"true", 4, LKI_DOC_TRUE}, {"false", 5, LKI_DOC_FALSE}};
    for (size_t i = 0; i < LUMA_COUNTOF(words); i++) {
        size_t n = words[i].bytes;
        if ((size_t)(f->end - f->p) < n || memcmp(f->p, words[i].text, n) != 0)
            continue;
        f->p += n;
        if ((f->p < f->end && word_char(*f->p)) || !out_need(f, 1))
            return false;
        f->out[f->used++] = words[i].kind;
        return true;
    }
    return false;
}

/* --- containers --- */

static inline int
name_compare(const struct member *a, const struct member *b)
{
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->name_bytes != b->name_bytes)
        return a->name_bytes < b->name_bytes ? -1 : 1;
    return a->name_bytes <= 7 ? 0 : memcmp(a->name, b->name, a->name_bytes);
}

static int
by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = name_compare(x, y);
    return c != 0 ? c : (x->place > y->place) - (x->place < y->place);
}

/* Sorted by name; of equal ones the last stays. Gives how many are left. */
static uint32_t
sort_members(struct member *m, uint32_t n)
{
    if (n > 24) {
        qsort(m, n, sizeof(*m), by_name);
    } else {
        for (uint32_t i = 1; i < n; i++) {
            if (name_compare(&m[i - 1], &m[i]) <= 0)
                continue;
            struct member moving = m[i];
            uint32_t k = i;
            for (; k > 0 && name_compare(&m[k - 1], &moving) > 0; k--)
                m[k] = m[k - 1];
            m[k] = moving;
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (i + 1 == n || name_compare(&m[i], &m[i + 1]) != 0)
            m[kept++] = m[i];
    return kept;
}

static bool
in_order(const struct member *m, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (m[i].place < m[i - 1].place)
            return false;
    return true;
}

/* The container that closes takes the place of its values. */
static bool
close_container(struct fast *f)
{
    const struct open *open = &f->open[f->depth - 1];
    struct member *m = f->members + open->first;
    uint32_t n = f->members_count - open->first, name_end = 0, value_end = 0;
    size_t names_bytes = 0, values_bytes = 0;
    uint8_t *name_ends, *value_ends, *names, *values;
    bool ordered = false;

    for (uint32_t i = 0; i < n; i++) {
        m[i].bytes = (i + 1 < n ? m[i + 1].at : (uint32_t)f->used) - m[i].at;
        m[i].place = i;
    }
    if (open->object) {
        uint32_t kept = sort_members(m, n);
        if (f->keep && kept != n)
            return false;
        n = kept;
        ordered = f->keep && !in_order(m, n);
        for (uint32_t i = 0; i < n; i++)
            names_bytes += m[i].name_bytes;
    }
    for (uint32_t i = 0; i < n; i++)
        values_bytes += m[i].bytes;
    struct lki_doc_layout layout = lki_doc_layout_of(open->object ? LKI_DOC_OBJECT : LKI_DOC_ARRAY,
                                                     n, names_bytes, values_bytes, ordered);
    if (names_bytes + values_bytes > LKI_DOC_BYTES_MAX || !out_need(f, layout.total_bytes))
        return false;
    uint8_t *to = f->out + f->used;
    uint8_t *order = lki_doc_begin(&layout, to, &name_ends, &value_ends, &names, &values);
    for (uint32_t i = 0; i < n; i++) {
        if (open->object) {
            lki_doc_put(names + name_end, m[i].name, m[i].name_bytes);
            name_end += m[i].name_bytes;
            lki_doc_put_end(name_ends, layout.width, i, name_end);
            if (ordered)
                lki_doc_put_end(order, layout.width, m[i].place, i);
        }
        lki_doc_put(values + value_end, f->out + m[i].at, m[i].bytes);
        value_end += m[i].bytes;
        lki_doc_put_end(value_ends, layout.width, i, value_end);
    }
    memmove(f->out + open->at, to, layout.total_bytes);
    f->used = open->at + layout.total_bytes;
    f->members_count = open->first;
    f->depth--;
    return true;
}

static inline void
skip_space(struct fast *f)
{
    while (f->p < f->end && (*f->p == ' ' || *f->p == '\n' || *f->p == '\t' || *f->p == '\r'))
        f->p++;
}

/* A member begins; in objects its name and colon are read. */
static inline bool
begin_member(struct fast *f, bool object)
{
    if (f->members_count == f->members_room && !members_grow(f))
        return false;
    struct member *m = &f->members[f->members_count++];
    m->at = (uint32_t)f->used;
    if (!object)
        return true;
    if (!take_name(f, m))
        return false;
    skip_space(f);
    if (f->p >= f->end || *f->p != ':')
        return false;
    f->p++;
    skip_space(f);
    return true;
}

static bool
open_container(struct fast *f)
{
    if (f->depth == FAST_DEPTH)
        return false;
    f->open[f->depth++] = (struct open){f->members_count, (uint32_t)f->used, *f->p == '{'};
    f->p++;
    skip_space(f);
    return true;
}

/* Commas and closings behind a value. *out_more: another value follows. */
static bool
after_value(struct fast *f, bool *out_more)
{
    while (f->depth > 0) {
        bool object = f->open[f->depth - 1].object;
        skip_space(f);
        if (f->p >= f->end)
            return false;
        char c = *f->p++;
        if (c == ',') {
            skip_space(f);
            *out_more = true;
            return begin_member(f, object);
        }
        if (c != (object ? '}' : ']') || !close_container(f))
            return false;
    }
    *out_more = false;
    return true;
}

static bool
take_value(struct fast *f, bool *out_opened)
{
    if (f->p >= f->end)
        return false;
    switch (*f->p) {
    case '"':
        return take_string(f);
    case '{':
    case '[':
        *out_opened = true;
        return open_container(f);
    case '-':
    case '0' ... '9':
        return take_number(f);
    default:
        return take_word(f);
    }
}

static bool
parse(struct fast *f)
{
    bool more = true;
    skip_space(f);
    while (more) {
        bool opened = false;
        if (!take_value(f, &opened))
            return false;
        if (opened) {
            bool object = f->open[f->depth - 1].object;
            if (f->p < f->end && *f->p != (object ? '}' : ']')) {
                if (!begin_member(f, object))
                    return false;
                continue;
            }
        }
        if (!after_value(f, &more))
            return false;
    }
    skip_space(f);
    return f->p == f->end;
}

bool
lki_doc_fast(struct luma_arena *arena, struct luma_slice json, bool keep_order,
             struct luma_str *out)
{
    struct fast f; /* large, so not cleared */
    f.p = (const char *)json.data;
    f.end = f.p + json.bytes;
    f.arena = arena;
    f.out = f.first_out;
    f.used = 0;
    f.room = sizeof(f.first_out);
    f.members = f.first_members;
    f.members_count = 0;
    f.members_room = FAST_MEMBERS;
    f.depth = 0;
    f.keep = keep_order;
    f.out_heap = NULL;
    f.members_heap = NULL;
    bool done = json.bytes <= LKI_DOC_BYTES_MAX / 2 && parse(&f);
    if (done) {
        char *bytes = luma_arena_alloc_aligned(arena, f.used, 1);
        done = bytes != NULL;
        if (done) {
            memcpy(bytes, f.out, f.used);
            *out = luma_str_make(bytes, (uint32_t)f.used);
        }
    }
    if (f.out_heap != NULL)
        lk_free(NULL, f.out_heap, f.room);
    if (f.members_heap != NULL)
        lk_free(NULL, f.members_heap, f.members_room * sizeof(*f.members));
    return done;
}
