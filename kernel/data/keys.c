/*
 * data/keys.c - memcomparable keys: bytes whose order is the order of the values.
 *
 * A column is a marker (1 null and nulls come first, 2 a value, 3 null and nulls come last), then
 * for a value its payload, all bits flipped when descending:
 *   integers, dates, times    big endian, sign bit flipped (oid: as it is)
 *   bool                      one byte
 *   floats                    big endian, sign flipped, all bits when negative; NaN highest
 *   strings, bytea            bytes, 00 written 00 ff; closed by 00 01
 *   uuid                      its 16 bytes
 *   interval                  its length in microseconds, 16 bytes
 *   numeric                   class byte; weight big endian, base-10000 digits plus one, closed by
 *                             zero; all bits flipped for negative ones: every form alike
 *   arrays                    each element as a column with nulls last, closed by 00
 *   jsonb                     rank, then by kind; containers count first
 */
#include <math.h>

#include "base/base.h"
#include "base/ctx.h"
#include "data/calendar.h"
#include "data/data_priv.h"
#include "data/doc.h"

enum { MARK_NULL_FIRST = 1, MARK_VALUE = 2, MARK_NULL_LAST = 3 };
enum {
    NUM_NINF = 0x10,
    NUM_NEG = 0x20,
    NUM_ZERO = 0x30,
    NUM_POS = 0x40,
    NUM_PINF = 0x50,
    NUM_NAN = 0x60
};

static inline uint8_t *
put_be(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static inline uint64_t
get_be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;

    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static uint8_t *
put_escaped(uint8_t *p, const char *data, size_t bytes)
{
    const char *end = data + bytes;

    while (data < end) {
        const char *zero = memchr(data, 0, (size_t)(end - data));
        size_t n = (size_t)((zero == NULL ? end : zero) - data);
        memcpy(p, data, n);
        p += n;
        data += n;
        if (zero != NULL) {
            *p++ = 0;
            *p++ = 0xff;
            data++;
        }
    }
    *p++ = 0;
    *p++ = 1;
    return p;
}

static uint64_t
ordered_f64(double d)
{
    uint64_t bits;

    if (isnan(d))
        return UINT64_MAX;
    if (d == 0)
        d = 0;
    memcpy(&bits, &d, sizeof(bits));
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double
from_ordered_f64(uint64_t bits)
{
    double d;

    if (bits == UINT64_MAX)
        return NAN;
    bits = bits >> 63 ? bits ^ UINT64_C(1) << 63 : ~bits;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

/* --- numeric --- */

static uint8_t *
put_numeric(uint8_t *p, const struct luma_str *str)
{
    static const uint8_t class_of[] = {NUM_POS, NUM_NEG, NUM_NAN, NUM_PINF, NUM_NINF};
    const uint8_t *raw = (const uint8_t *)luma_str_data(str);
    uint8_t kind = str->bytes < 6 ? LKI_NUM_NAN : raw[0], *start;
    uint32_t count = str->bytes < 6 ? 0 : (str->bytes - 6) / 2;
    int16_t weight;

    if (kind <= LKI_NUM_NEG && count == 0) {
        *p++ = NUM_ZERO;
        return p;
    }
    *p++ = class_of[kind > LKI_NUM_NINF ? LKI_NUM_NAN : kind];
    if (kind > LKI_NUM_NEG)
        return p;
    start = p;
    memcpy(&weight, raw + 4, 2);
    p = put_be(p, (uint16_t)(weight + 0x8000), 2);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t d;
        memcpy(&d, raw + 6 + 2 * (size_t)i, 2);
        p = put_be(p, (uint64_t)d + 1, 2);
    }
    p = put_be(p, 0, 2);
    if (kind == LKI_NUM_NEG)
        for (uint8_t *q = start; q < p; q++)
            *q = (uint8_t) ~*q;
    return p;
}

static uint8_t *
put_numeric_int(uint8_t *p, luma_i128 v, int32_t scale)
{
    uint16_t digits[12];
    uint8_t bytes[32];
    struct lki_num num = lki_num_of_i128(v, scale, digits);
    struct luma_str str = lki_num_str_in(&num, bytes);

    return put_numeric(p, &str);
}

/* --- jsonb --- */

static size_t
doc_key_bound(struct luma_slice doc, int depth)
{
    struct lki_doc_view view;
    size_t total = 16;

    if (!lki_doc_open(doc, &view) || depth > LKI_DOC_DEPTH_MAX)
        return 32 + 2 * doc.bytes;
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        if (view.kind == LKI_DOC_OBJECT && lki_doc_name_at(&view, i, &part))
            total += 2 * part.bytes + 2;
        if (lki_doc_value_at(&view, i, &part))
            total += doc_key_bound(part, depth + 1);
    }
    return total;
}

enum {
    DOC_NULL = 1,
    DOC_STRING = 2,
    DOC_NUMBER = 3,
    DOC_FALSE = 4,
    DOC_TRUE = 5,
    DOC_ARRAY = 6,
    DOC_OBJECT = 7,
    DOC_OTHER = 8
};

static uint8_t *
put_doc(uint8_t *p, struct luma_slice doc, int depth)
{
    struct lki_doc_view view;
    struct luma_value v;

    switch (lki_doc_kind(doc)) {
    case LKI_DOC_NULL:
        *p++ = DOC_NULL;
        return p;
    case LKI_DOC_FALSE:
    case LKI_DOC_TRUE:
        *p++ = lki_doc_kind(doc) == LKI_DOC_TRUE ? DOC_TRUE : DOC_FALSE;
        return p;
    case LKI_DOC_INT:
    case LKI_DOC_NUMBER:
        *p++ = DOC_NUMBER;
        if (!lk_data_doc_scalar(doc, NULL, &v))
            return p;
        return v.phys == LUMA_PHYS_I64 ? put_numeric_int(p, v.i64, 0) : put_numeric(p, &v.str);
    case LKI_DOC_STRING:
        *p++ = DOC_STRING;
        return put_escaped(p, (const char *)doc.data + 1, doc.bytes - 1);
    default:
        break;
    }
    if (!lki_doc_open(doc, &view) || depth > LKI_DOC_DEPTH_MAX) {
        *p++ = DOC_OTHER;
        return put_escaped(p, (const char *)doc.data, doc.bytes);
    }
    *p++ = view.kind == LKI_DOC_ARRAY ? DOC_ARRAY : DOC_OBJECT;
    p = put_be(p, view.count, 4);
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        if (view.kind == LKI_DOC_OBJECT && lki_doc_name_at(&view, i, &part))
            p = put_escaped(p, (const char *)part.data, part.bytes);
        if (lki_doc_value_at(&view, i, &part))
            p = put_doc(p, part, depth + 1);
    }
    return p;
}

/* --- writing --- */

static size_t
str_bound(const struct luma_str *str, struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        return 8 + (size_t)str->bytes;
    case LUMA_TYPE_JSONB:
        return 1 + doc_key_bound(luma_str_slice(str), 0);
    case LUMA_TYPE_ARRAY: {
        uint32_t n = lk_data_array_count(str);
        struct luma_type elem = luma_type_elem(type);
        size_t total = 2;
        for (uint32_t i = 0; i < n; i++) {
            struct luma_value v;
            if (lki_array_value(str, elem, i, &v)) {
                struct luma_vec vec = lki_value_vec(&v);
                total += lk_data_key_bound(&vec, 0);
            } else {
                total++;
            }
        }
        return total;
    }
    default:
        return 3 + 2 * (size_t)str->bytes;
    }
}

size_t
lk_data_key_bound(const struct luma_vec *vec, uint32_t row)
{
    if (luma_vec_is_null(vec, row))
        return 1;
    if (vec->phys == LUMA_PHYS_STR)
        return str_bound(luma_vec_at(vec, row), vec->type);
    return vec->type.id == LUMA_TYPE_NUMERIC ? 32 : 17;
}

static uint8_t *
put_str(uint8_t *p, const struct luma_str *str, struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        return put_numeric(p, str);
    case LUMA_TYPE_BPCHAR:
        return put_escaped(p, luma_str_data(str), lki_bpchar_bytes(str));
    case LUMA_TYPE_JSONB:
        return put_doc(p, luma_str_slice(str), 0);
    case LUMA_TYPE_ARRAY: {
        uint32_t n = lk_data_array_count(str);
        for (uint32_t i = 0; i < n; i++) {
            struct luma_value v;
            if (lki_array_value(str, luma_type_elem(type), i, &v))
                p += lk_data_key_write_value(&v, 0, p);
            else
                *p++ = MARK_NULL_LAST;
        }
        *p++ = 0;
        return p;
    }
    default:
        return put_escaped(p, luma_str_data(str), str->bytes);
    }
}

static bool
is_unsigned(struct luma_type type)
{
    return type.id == LUMA_TYPE_OID || type.id == LUMA_TYPE_XID ||
           (type.id >= LUMA_TYPE_REGCLASS && type.id <= LUMA_TYPE_REGNAMESPACE);
}

static uint8_t *
put_payload(uint8_t *p, const struct luma_vec *vec, const void *at)
{
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        *p++ = *(const uint8_t *)at != 0;
        return p;
    case LUMA_PHYS_I16:
        return put_be(p, (uint16_t) * (const int16_t *)at ^ 0x8000u, 2);
    case LUMA_PHYS_I32:
        return put_be(p, *(const uint32_t *)at ^ (is_unsigned(vec->type) ? 0 : 0x80000000u), 4);
    case LUMA_PHYS_I64:
        if (vec->type.id == LUMA_TYPE_NUMERIC)
            return put_numeric_int(p, *(const int64_t *)at, vec->scale);
        return put_be(p, *(const uint64_t *)at ^ UINT64_C(1) << 63, 8);
    case LUMA_PHYS_I128:
        return put_numeric_int(p, *(const luma_i128 *)at, vec->scale);
    case LUMA_PHYS_F32:
        return put_be(p, ordered_f64((double)*(const float *)at), 8);
    case LUMA_PHYS_F64:
        return put_be(p, ordered_f64(*(const double *)at), 8);
    case LUMA_PHYS_B16:
        if (vec->type.id == LUMA_TYPE_INTERVAL) {
            luma_i128 span = lki_interval_span(at);
            p = put_be(p, (uint64_t)((unsigned __int128)span >> 64) ^ UINT64_C(1) << 63, 8);
            return put_be(p, (uint64_t)span, 8);
        }
        memcpy(p, at, 16);
        return p + 16;
    default:
        return put_str(p, at, vec->type);
    }
}

size_t
lk_data_key_write(const struct luma_vec *vec, uint32_t row, uint32_t flags, uint8_t *out)
{
    uint8_t *end;

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row)) {
        out[0] = flags & LUMA_KEY_NULLS_FIRST ? MARK_NULL_FIRST : MARK_NULL_LAST;
        return 1;
    }
    out[0] = MARK_VALUE;
    end = put_payload(out + 1, vec, luma_vec_at(vec, row));
    if (flags & LUMA_KEY_DESC)
        for (uint8_t *p = out + 1; p < end; p++)
            *p = (uint8_t) ~*p;
    return (size_t)(end - out);
}

size_t
lk_data_key_write_value(const struct luma_value *value, uint32_t flags, uint8_t *out)
{
    struct luma_vec vec = lki_value_vec(value);

    return lk_data_key_write(&vec, 0, flags, out);
}

/* --- reading --- */

struct reader {
    const uint8_t *p, *end;
    uint8_t flip; /* 0xff when descending */
    struct luma_arena *arena;
};

static bool
take(struct reader *r, uint8_t *out, size_t bytes)
{
    if ((size_t)(r->end - r->p) < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        out[i] = r->p[i] ^ r->flip;
    r->p += bytes;
    return true;
}

static luma_rc
read_escaped(struct reader *r, struct luma_str *out)
{
    const uint8_t *scan = r->p;
    char *copy, *q;

    for (;; scan++) { /* find the end */
        if (r->end - scan < 2)
            return LUMA_E_CORRUPT;
        if ((*scan ^ r->flip) != 0)
            continue;
        scan++;
        if ((*scan ^ r->flip) == 1)
            break;
        if ((*scan ^ r->flip) != 0xff)
            return LUMA_E_CORRUPT;
    }
    copy = q = luma_arena_alloc_aligned(r->arena, (size_t)(scan - r->p), 1);
    if (copy == NULL)
        return LUMA_E_NOMEM;
    for (const uint8_t *p = r->p; p < scan - 1; p++) {
        *q++ = (char)(*p ^ r->flip);
        if ((*p ^ r->flip) == 0)
            p++;
    }
    r->p = scan + 1;
    *out = luma_str_make(copy, (uint32_t)(q - copy));
    return LUMA_OK;
}

static luma_rc
read_numeric(struct reader *r, struct luma_str *out)
{
    struct lki_calc calc = {r->arena, false};
    struct lki_num num = {LKI_NUM_POS, 0, 0, 0, NULL};
    uint8_t class, two[2], flip = r->flip;
    const uint8_t *start;
    int32_t decs;

    if (!take(r, &class, 1))
        return LUMA_E_CORRUPT;
    switch (class) {
    case NUM_ZERO:
        return lki_num_store(&calc, &num, out);
    case NUM_NAN:
    case NUM_PINF:
    case NUM_NINF:
        num.kind = class == NUM_NAN ? LKI_NUM_NAN : class == NUM_PINF ? LKI_NUM_PINF : LKI_NUM_NINF;
        return lki_num_store(&calc, &num, out);
    case NUM_POS:
        break;
    case NUM_NEG:
        num.kind = LKI_NUM_NEG;
        r->flip = (uint8_t)~r->flip;
        break;
    default:
        return LUMA_E_CORRUPT;
    }
    if (!take(r, two, 2))
        return LUMA_E_CORRUPT;
    num.weight = (int32_t)get_be(two, 2) - 0x8000;
    for (start = r->p;;) {
        if (!take(r, two, 2))
            return LUMA_E_CORRUPT;
        if (get_be(two, 2) == 0)
            break;
        if (get_be(two, 2) > LKI_NUM_BASE)
            return LUMA_E_CORRUPT;
        num.count++;
    }
    if (num.count == 0)
        return LUMA_E_CORRUPT;
    num.digits = luma_arena_alloc(r->arena, sizeof(uint16_t) * (size_t)num.count);
    if (num.digits == NULL)
        return LUMA_E_NOMEM;
    r->p = start;
    for (int32_t i = 0; i < num.count; i++) {
        if (!take(r, two, 2))
            return LUMA_E_CORRUPT;
        num.digits[i] = (uint16_t)(get_be(two, 2) - 1);
    }
    r->p += 2;
    r->flip = flip;
    decs = (num.count - 1 - num.weight) * 4;
    if (decs > 0) {
        uint16_t last = num.digits[num.count - 1];
        decs -= last % 1000 == 0 ? 3 : last % 100 == 0 ? 2 : last % 10 == 0 ? 1 : 0;
    }
    num.dscale = decs < 0 ? 0 : decs > LKI_NUM_DSCALE_MAX ? LKI_NUM_DSCALE_MAX : decs;
    return lki_num_store(&calc, &num, out);
}

/* In the table form of its type. */
static luma_rc
read_numeric_as(struct reader *r, struct luma_value *out)
{
    struct luma_str str;
    luma_i128 v;

    LUMA_TRY(read_numeric(r, &str));
    if (out->phys == LUMA_PHYS_STR) {
        out->str = str;
        return LUMA_OK;
    }
    out->scale = out->type.scale;
    if (lk_data_numeric_to_i128(&str, out->scale, &v) != LUMA_OK)
        return LUMA_E_CORRUPT;
    if (out->phys == LUMA_PHYS_I64) {
        if ((int64_t)v != v)
            return LUMA_E_CORRUPT;
        out->i64 = (int64_t)v;
    } else {
        out->i128 = v;
    }
    return LUMA_OK;
}

static luma_rc read_doc(struct reader *r, int depth, struct luma_str *out);

static luma_rc
read_doc_container(struct reader *r, bool object, int depth, struct luma_str *out)
{
    uint8_t four[4];
    uint32_t count;
    struct luma_slice *docs, *names;
    struct lk_ctx c;

    if (depth > LKI_DOC_DEPTH_MAX || !take(r, four, 4))
        return LUMA_E_CORRUPT;
    lk_ctx_init(&c, r->arena);
    count = (uint32_t)get_be(four, 4);
    if (count > (size_t)(r->end - r->p))
        return LUMA_E_CORRUPT;
    docs = luma_arena_alloc(r->arena, sizeof(*docs) * 2 * ((size_t)count + 1));
    if (docs == NULL)
        return LUMA_E_NOMEM;
    names = docs + count + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct luma_str *name = luma_arena_alloc(r->arena, sizeof(*name) * 2);
        if (name == NULL)
            return LUMA_E_NOMEM;
        if (object) {
            LUMA_TRY(read_escaped(r, name));
            names[i] = luma_str_slice(name);
        }
        LUMA_TRY(read_doc(r, depth + 1, name + 1));
        docs[i] = luma_str_slice(name + 1);
    }
    return object ? lk_data_doc_make_object(&c.ctx, r->arena, names, docs, count, out)
                  : lk_data_doc_make_array(&c.ctx, r->arena, docs, count, out);
}

static luma_rc
read_doc(struct reader *r, int depth, struct luma_str *out)
{
    struct luma_value v = {.phys = LUMA_PHYS_STR};
    struct lk_ctx c;
    uint8_t rank;

    if (!take(r, &rank, 1))
        return LUMA_E_CORRUPT;
    switch (rank) {
    case DOC_NULL:
        v.is_null = true;
        break;
    case DOC_FALSE:
    case DOC_TRUE:
        v.type = luma_type(LUMA_TYPE_BOOL);
        v.phys = LUMA_PHYS_BOOL;
        v.b = rank == DOC_TRUE;
        break;
    case DOC_NUMBER:
        v.type = luma_type(LUMA_TYPE_NUMERIC);
        LUMA_TRY(read_numeric(r, &v.str));
        break;
    case DOC_STRING:
        v.type = luma_type(LUMA_TYPE_TEXT);
        LUMA_TRY(read_escaped(r, &v.str));
        break;
    case DOC_ARRAY:
    case DOC_OBJECT:
        return read_doc_container(r, rank == DOC_OBJECT, depth, out);
    case DOC_OTHER:
        return read_escaped(r, out);
    default:
        return LUMA_E_CORRUPT;
    }
    lk_ctx_init(&c, r->arena);
    return lk_data_doc_make_value(&c.ctx, r->arena, NULL, &v, out);
}

static luma_rc
read_array(struct reader *r, struct luma_type type, struct luma_str *out)
{
    struct luma_value *values = NULL;
    uint32_t count = 0, room = 0;
    struct luma_type elem = luma_type_elem(type);

    for (;;) {
        size_t pos = 0;
        struct luma_slice rest = luma_slice(r->p, (size_t)(r->end - r->p));
        if (rest.bytes == 0)
            return LUMA_E_CORRUPT;
        if ((*r->p ^ r->flip) == 0) {
            r->p++;
            return lk_data_array_make(r->arena, (enum luma_type_id)type.elem, values, count, out);
        }
        if (count == room) {
            struct luma_value *more = luma_arena_alloc(r->arena, sizeof(*more) * (room * 2 + 8));
            if (more == NULL)
                return LUMA_E_NOMEM;
            if (count > 0)
                memcpy(more, values, sizeof(*more) * count);
            values = more;
            room = room * 2 + 8;
        }
        if (r->flip == 0) {
            LUMA_TRY(lk_data_key_read(r->arena, rest, &pos, elem, 0, &values[count]));
        } else { /* elements were flipped with their markers */
            uint8_t *plain = luma_arena_alloc(r->arena, rest.bytes);
            if (plain == NULL)
                return LUMA_E_NOMEM;
            for (size_t i = 0; i < rest.bytes; i++)
                plain[i] = (uint8_t)~rest.data[i];
            LUMA_TRY(lk_data_key_read(r->arena, luma_slice(plain, rest.bytes), &pos, elem, 0,
                                      &values[count]));
        }
        r->p += pos;
        count++;
    }
}

static luma_rc
read_fixed(struct reader *r, struct luma_value *out)
{
    uint8_t b[16];
    static const uint8_t widths[LUMA_PHYS_COUNT_] = {0, 1, 2, 4, 8, 0, 8, 8, 16, 0};

    if (!take(r, b, widths[out->phys]))
        return LUMA_E_CORRUPT;
    switch (out->phys) {
    case LUMA_PHYS_BOOL:
        out->b = b[0] != 0;
        return b[0] > 1 ? LUMA_E_CORRUPT : LUMA_OK;
    case LUMA_PHYS_I16:
        out->i16 = (int16_t)(get_be(b, 2) ^ 0x8000);
        return LUMA_OK;
    case LUMA_PHYS_I32:
        out->i32 = (int32_t)(get_be(b, 4) ^ (is_unsigned(out->type) ? 0 : 0x80000000u));
        return LUMA_OK;
    case LUMA_PHYS_I64:
        out->i64 = (int64_t)(get_be(b, 8) ^ UINT64_C(1) << 63);
        return LUMA_OK;
    case LUMA_PHYS_F32:
        out->f32 = (float)from_ordered_f64(get_be(b, 8));
        return LUMA_OK;
    case LUMA_PHYS_F64:
        out->f64 = from_ordered_f64(get_be(b, 8));
        return LUMA_OK;
    default:
        break;
    }
    if (out->type.id == LUMA_TYPE_INTERVAL) {
        luma_i128 span = (luma_i128)((unsigned __int128)(get_be(b, 8) ^ UINT64_C(1) << 63) << 64 |
                                     get_be(b + 8, 8));
        luma_i128 days = span / LKI_USECS_PER_DAY, months = days / 30;
        if (months > INT32_MAX || months < INT32_MIN)
            return LUMA_E_CORRUPT;
        out->interval.months = (int32_t)months;
        out->interval.days = (int32_t)(days - months * 30);
        out->interval.microseconds = (int64_t)(span - days * LKI_USECS_PER_DAY);
        return LUMA_OK;
    }
    memcpy(&out->uuid, b, 16);
    return LUMA_OK;
}

luma_rc
lk_data_key_read(struct luma_arena *arena, struct luma_slice key, size_t *inout_pos,
                 struct luma_type type, uint32_t flags, struct luma_value *out)
{
    struct reader r = {key.data + *inout_pos, key.data + key.bytes, 0, arena};
    struct luma_value v = {.type = type, .phys = (uint8_t)luma_type_phys(type)};
    uint8_t mark;

    if (*inout_pos > key.bytes || !take(&r, &mark, 1))
        return LUMA_E_CORRUPT;
    if (mark == MARK_NULL_FIRST || mark == MARK_NULL_LAST) {
        v.is_null = true;
    } else if (mark != MARK_VALUE) {
        return LUMA_E_CORRUPT;
    } else {
        r.flip = flags & LUMA_KEY_DESC ? 0xff : 0;
        if (type.id == LUMA_TYPE_NUMERIC)
            LUMA_TRY(read_numeric_as(&r, &v));
        else if (type.id == LUMA_TYPE_JSONB)
            LUMA_TRY(read_doc(&r, 0, &v.str));
        else if (type.id == LUMA_TYPE_ARRAY)
            LUMA_TRY(read_array(&r, type, &v.str));
        else if (v.phys == LUMA_PHYS_STR)
            LUMA_TRY(read_escaped(&r, &v.str));
        else
            LUMA_TRY(read_fixed(&r, &v));
    }
    *inout_pos = (size_t)(r.p - key.data);
    *out = v;
    return LUMA_OK;
}
