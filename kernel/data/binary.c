/* data/binary.c - PostgreSQL's binary wire format. */
#include "data/data_priv.h"
#include "data/doc.h"
#include "data/jsonpath_priv.h"

static inline uint64_t
get_be(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static inline char *
put_be(char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(v >> (8 * (bytes - 1 - i)));
    return p + bytes;
}

static luma_rc
bad(struct luma_ctx *ctx, struct luma_type type)
{
    const struct luma_type_info *info = lk_data_type_info(type);

    return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P03", "incorrect binary data format for type %s",
                         info == NULL ? "?" : info->sql_name);
}

/* --- numeric: ndigits, weight, sign, dscale, digits; all 16 bits --- */

enum {
    WIRE_POS = 0x0000,
    WIRE_NEG = 0x4000,
    WIRE_NAN = 0xc000,
    WIRE_PINF = 0xd000,
    WIRE_NINF = 0xf000
};

static luma_rc
numeric_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
             struct luma_slice in, struct luma_value *out)
{
    struct lki_calc calc = {arena, false};
    struct lki_num num = {LKI_NUM_POS, 0, 0, 0, NULL};
    struct luma_value v = {.type = type, .phys = LUMA_PHYS_STR};
    struct luma_vec vec, made;
    uint16_t *digits;

    if (in.bytes < 8 || in.bytes != 8 + 2 * get_be(in.data, 2))
        return bad(ctx, type);
    num.count = (int32_t)get_be(in.data, 2);
    num.weight = (int16_t)get_be(in.data + 2, 2);
    num.dscale = (int32_t)get_be(in.data + 6, 2);
    switch (get_be(in.data + 4, 2)) {
    case WIRE_POS:
        break;
    case WIRE_NEG:
        num.kind = LKI_NUM_NEG;
        break;
    case WIRE_NAN:
        num = lki_num_special(LKI_NUM_NAN);
        break;
    case WIRE_PINF:
        num = lki_num_special(LKI_NUM_PINF);
        break;
    case WIRE_NINF:
        num = lki_num_special(LKI_NUM_NINF);
        break;
    default:
        return bad(ctx, type);
    }
    if (num.dscale > LKI_NUM_DSCALE_MAX)
        return bad(ctx, type);
    digits = luma_arena_zalloc(arena, sizeof(*digits) * ((size_t)num.count + 2));
    if (digits == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    num.digits = digits + 1;
    for (int32_t i = 0; i < num.count; i++) {
        num.digits[i] = (uint16_t)get_be(in.data + 8 + 2 * (size_t)i, 2);
        if (num.digits[i] >= LKI_NUM_BASE)
            return bad(ctx, type);
    }
    lki_num_strip(&num);
    if (lki_num_finite(&num))
        lki_num_trunc(&num, num.dscale); /* what lies below the display scale does not count */
    luma_rc rc = lki_num_store(&calc, &num, &v.str);
    if (rc != LUMA_OK)
        return rc == LUMA_E_NOMEM ? LUMA_FAIL(ctx, rc, "out of memory") : bad(ctx, type);
    if (type.mod <= 0) {
        *out = v;
        return LUMA_OK;
    }
    vec = lki_value_vec(&v);
    LUMA_TRY(lk_data_numeric_vec_as(ctx, arena, &vec, NULL, 1, type, &made));
    *out = lk_data_vec_value(&made, 0);
    return LUMA_OK;
}

static size_t
numeric_to(const struct luma_str *str, char *out)
{
    static const uint16_t signs[] = {WIRE_POS, WIRE_NEG, WIRE_NAN, WIRE_PINF, WIRE_NINF};
    const uint8_t *raw = (const uint8_t *)luma_str_data(str);
    uint32_t count = str->bytes < 6 ? 0 : (str->bytes - 6) / 2;
    uint16_t dscale, digit;
    int16_t weight;
    char *p = out;

    memcpy(&dscale, raw + 2, 2);
    memcpy(&weight, raw + 4, 2);
    p = put_be(p, count, 2);
    p = put_be(p, (uint16_t)weight, 2);
    p = put_be(p, signs[raw[0] > 4 ? 2 : raw[0]], 2);
    p = put_be(p, raw[0] > LKI_NUM_NEG ? 0 : dscale, 2);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&digit, raw + 6 + 2 * (size_t)i, 2);
        p = put_be(p, digit, 2);
    }
    return (size_t)(p - out);
}

static size_t
numeric_int_to(luma_i128 v, int16_t scale, char *out)
{
    uint16_t digits[12];
    uint8_t bytes[32];
    struct lki_num num = lki_num_of_i128(v, scale, digits);
    struct luma_str str = lki_num_str_in(&num, bytes);

    return numeric_to(&str, out);
}

/* --- arrays: ndim, has nulls, element oid, (length, lower bound), (bytes, value)* --- */

static luma_rc
array_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
           const struct luma_format *format, struct luma_slice in, struct luma_value *out)
{
    const uint8_t *p = in.data, *end = p + in.bytes;
    struct luma_type elem = luma_type_elem(type);
    struct luma_value *values;
    uint32_t ndim, count = 0;

    if (in.bytes < 12)
        return bad(ctx, type);
    ndim = (uint32_t)get_be(p, 4);
    uint32_t elem_oid = (uint32_t)get_be(p + 8, 4);
    p += 12;
    if (elem_oid == 0 || elem_oid != lk_data_type_oid(elem))
        return LUMA_FAIL_SQL(ctx, LUMA_E_TYPE, "42804", "wrong element type");
    if (ndim > 1)
        return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED,
                         "arrays of more than one dimension are not supported");
    if (ndim == 1) {
        if (end - p < 8)
            return bad(ctx, type);
        count = (uint32_t)get_be(p, 4);
        p += 8;
    }
    if (count > (size_t)(end - p) / 4)
        return bad(ctx, type);
    values = luma_arena_zalloc(arena, sizeof(*values) * ((size_t)count + 1));
    if (values == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n;
        if (end - p < 4)
            return bad(ctx, type);
        n = (uint32_t)get_be(p, 4);
        p += 4;
        if (n == UINT32_MAX) {
            values[i].is_null = true;
            continue;
        }
        if (n > (size_t)(end - p))
            return bad(ctx, type);
        LUMA_TRY(lk_data_from_binary_as(ctx, arena, elem, format, luma_slice(p, n), &values[i]));
        p += n;
    }
    if (p != end)
        return bad(ctx, type);
    *out = (struct luma_value){.type = type, .phys = LUMA_PHYS_STR};
    if (lk_data_array_make(arena, (enum luma_type_id)type.elem, values, count, &out->str) !=
        LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    return LUMA_OK;
}

static size_t
array_bound(const struct luma_str *array, struct luma_type type)
{
    uint32_t count = lk_data_array_count(array);
    size_t total = 20;

    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec vec;
        lki_array_value(array, luma_type_elem(type), i, &v);
        vec = lki_value_vec(&v);
        total += 4 + lk_data_binary_bound(&vec, 0);
    }
    return total;
}

static size_t
array_to(const struct luma_str *array, struct luma_type type, const struct luma_format *format,
         char *out)
{
    uint32_t count = lk_data_array_count(array);
    struct luma_type elem = luma_type_elem(type);
    char *p = out, *nulls;

    p = put_be(p, count > 0, 4);
    nulls = p;
    p = put_be(p, 0, 4);
    p = put_be(p, lk_data_type_oid(elem), 4);
    if (count > 0) {
        p = put_be(p, count, 4);
        p = put_be(p, 1, 4);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        struct luma_vec vec;
        size_t n;
        if (!lki_array_value(array, elem, i, &v)) {
            put_be(nulls, 1, 4);
            p = put_be(p, UINT32_MAX, 4);
            continue;
        }
        vec = lki_value_vec(&v);
        n = lk_data_binary_write_as(&vec, 0, format, p + 4);
        put_be(p, n, 4);
        p += 4 + n;
    }
    return (size_t)(p - out);
}

/* --- strings --- */

static luma_rc
text_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
          struct luma_slice in, struct luma_value *out)
{
    if (type.id == LUMA_TYPE_BYTEA) {
        *out = (struct luma_value){.type = type, .phys = LUMA_PHYS_STR};
        out->str = luma_str_make((const char *)in.data, (uint32_t)in.bytes);
        return LUMA_OK;
    }
    if (type.id == LUMA_TYPE_JSONB || type.id == LUMA_TYPE_JSONPATH) {
        if (in.bytes < 1 || in.data[0] != 1)
            return LUMA_FAIL(ctx, LUMA_E_DATA, "unsupported %s version number",
                             type.id == LUMA_TYPE_JSONB ? "jsonb" : "jsonpath");
        in = luma_slice(in.data + 1, in.bytes - 1);
    }
    if (!lk_data_utf8_valid(in.data, in.bytes) || memchr(in.data, 0, in.bytes) != NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22021",
                             "invalid byte sequence for encoding \"UTF8\"");
    return lk_data_from_text(ctx, arena, type, NULL, in, out);
}

static luma_rc
vector_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
            struct luma_slice in, struct luma_value *out)
{
    size_t count;
    uint8_t *copy;

    if (in.bytes < 4)
        return bad(ctx, type);
    count = get_be(in.data, 2);
    if (in.bytes != 4 + 4 * count)
        return bad(ctx, type);
    copy = luma_arena_alloc(arena, 4 * count + 1);
    if (copy == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)get_be(in.data + 4 + 4 * i, 4);
        memcpy(copy + 4 * i, &bits, 4);
    }
    *out = (struct luma_value){.type = type, .phys = LUMA_PHYS_STR};
    out->str = luma_str_make((const char *)copy, (uint32_t)(4 * count));
    return LUMA_OK;
}

luma_rc
lk_data_from_binary(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                    struct luma_slice in, struct luma_value *out)
{
    return lk_data_from_binary_as(ctx, arena, type, NULL, in, out);
}

luma_rc
lk_data_from_binary_as(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                       const struct luma_format *format, struct luma_slice in,
                       struct luma_value *out)
{
    static const uint8_t widths[LUMA_PHYS_COUNT_] = {0, 1, 2, 4, 8, 0, 4, 8, 16, 0};
    struct luma_value v = {.type = type, .phys = (uint8_t)luma_type_phys(type)};
    uint64_t u;
    uint32_t u32;

    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        return numeric_from(ctx, arena, type, in, out);
    case LUMA_TYPE_ARRAY:
        return array_from(ctx, arena, type, format, in, out);
    case LUMA_TYPE_ENUM:
        return lk_data_from_text(ctx, arena, type, format, in, out);
    case LUMA_TYPE_VECTOR:
        return vector_from(ctx, arena, type, in, out);
    default:
        break;
    }
    if (v.phys == LUMA_PHYS_STR)
        return text_from(ctx, arena, type, in, out);
    if (in.bytes != widths[v.phys] || in.bytes == 0)
        return bad(ctx, type);
    u = get_be(in.data, in.bytes < 8 ? in.bytes : 8);
    switch (v.phys) {
    case LUMA_PHYS_BOOL:
        v.b = u != 0;
        break;
    case LUMA_PHYS_I16:
        v.i16 = (int16_t)u;
        break;
    case LUMA_PHYS_I32:
        v.i32 = (int32_t)u;
        break;
    case LUMA_PHYS_I64:
        v.i64 = (int64_t)u;
        break;
    case LUMA_PHYS_F32:
        u32 = (uint32_t)u;
        memcpy(&v.f32, &u32, 4);
        break;
    case LUMA_PHYS_F64:
        memcpy(&v.f64, &u, 8);
        break;
    default:
        if (type.id == LUMA_TYPE_INTERVAL) {
            v.interval.microseconds = (int64_t)u;
            v.interval.days = (int32_t)get_be(in.data + 8, 4);
            v.interval.months = (int32_t)get_be(in.data + 12, 4);
        } else {
            memcpy(&v.uuid, in.data, 16);
        }
        break;
    }
    *out = v;
    return LUMA_OK;
}

size_t
lk_data_binary_bound(const struct luma_vec *vec, uint32_t row)
{
    const struct luma_str *str;

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row))
        return 0;
    if (vec->phys != LUMA_PHYS_STR)
        return vec->type.id == LUMA_TYPE_ENUM ? 64 : 40;
    str = luma_vec_at(vec, row);
    switch (vec->type.id) {
    case LUMA_TYPE_JSONB:
        return 1 + lk_data_doc_text_bound(luma_str_slice(str));
    case LUMA_TYPE_JSONPATH:
        return 1 + lki_jsonpath_text_bound(str);
    case LUMA_TYPE_ARRAY:
        return array_bound(str, vec->type);
    default:
        return (size_t)str->bytes + 8;
    }
}

static size_t
str_to(const struct luma_vec *vec, const struct luma_str *str, const struct luma_format *format,
       char *out)
{
    switch (vec->type.id) {
    case LUMA_TYPE_NUMERIC:
        return numeric_to(str, out);
    case LUMA_TYPE_ARRAY:
        return array_to(str, vec->type, format, out);
    case LUMA_TYPE_JSONPATH:
        *out = 1;
        return 1 + lki_jsonpath_text_write(str, out + 1);
    case LUMA_TYPE_JSONB:
        *out = 1;
        return 1 + lk_data_doc_text_write(luma_str_slice(str), false, out + 1);
    case LUMA_TYPE_VECTOR: {
        char *p = put_be(out, str->bytes / 4, 2);
        p = put_be(p, 0, 2);
        for (uint32_t i = 0; i + 4 <= str->bytes; i += 4) {
            uint32_t bits;
            memcpy(&bits, luma_str_data(str) + i, 4);
            p = put_be(p, bits, 4);
        }
        return (size_t)(p - out);
    }
    default:
        memcpy(out, luma_str_data(str), str->bytes);
        return str->bytes;
    }
}

size_t
lk_data_binary_write(const struct luma_vec *vec, uint32_t row, char *out)
{
    return lk_data_binary_write_as(vec, row, NULL, out);
}

size_t
lk_data_binary_write_as(const struct luma_vec *vec, uint32_t row, const struct luma_format *format,
                        char *out)
{
    const void *at;

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row))
        return 0;
    at = luma_vec_at(vec, row);
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        *out = *(const uint8_t *)at != 0;
        return 1;
    case LUMA_PHYS_I16:
        put_be(out, *(const uint16_t *)at, 2);
        return 2;
    case LUMA_PHYS_I32:
    case LUMA_PHYS_F32:
        put_be(out, *(const uint32_t *)at, 4);
        return 4;
    case LUMA_PHYS_I64:
        if (vec->type.id == LUMA_TYPE_NUMERIC)
            return numeric_int_to(*(const int64_t *)at, vec->scale, out);
        if (vec->type.id == LUMA_TYPE_ENUM)
            return lk_data_text_write(vec, row, format, out);
        put_be(out, *(const uint64_t *)at, 8);
        return 8;
    case LUMA_PHYS_F64:
        put_be(out, *(const uint64_t *)at, 8);
        return 8;
    case LUMA_PHYS_I128:
        return numeric_int_to(*(const luma_i128 *)at, vec->scale, out);
    case LUMA_PHYS_B16:
        if (vec->type.id == LUMA_TYPE_INTERVAL) {
            const struct luma_interval *iv = at;
            put_be(out, (uint64_t)iv->microseconds, 8);
            put_be(out + 8, (uint32_t)iv->days, 4);
            put_be(out + 12, (uint32_t)iv->months, 4);
        } else {
            memcpy(out, at, 16);
        }
        return 16;
    default:
        return str_to(vec, at, format, out);
    }
}
