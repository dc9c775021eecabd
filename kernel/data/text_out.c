/* data/text_out.c - values as text, byte for byte as PostgreSQL prints them. */
#include <stdio.h>

#include "data/calendar.h"
#include "data/data_priv.h"
#include "data/doc.h"
#include "data/float.h"
#include "data/jsonpath_priv.h"

static const char two_digits[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899";

static size_t
write_u32(uint32_t u, char *out)
{
    char tmp[10], *p = tmp + sizeof(tmp);
    size_t n;

    while (u >= 100) {
        p -= 2;
        memcpy(p, two_digits + u % 100 * 2, 2);
        u /= 100;
    }
    if (u >= 10) {
        p -= 2;
        memcpy(p, two_digits + u * 2, 2);
    } else {
        *--p = (char)('0' + u);
    }
    n = (size_t)(tmp + sizeof(tmp) - p);
    memcpy(out, p, n);
    return n;
}

static size_t
write_i32(int32_t v, char *out)
{
    if (v >= 0)
        return write_u32((uint32_t)v, out);
    *out = '-';
    return 1 + write_u32(-(uint32_t)v, out + 1);
}

static size_t
write_uuid(const uint8_t *bytes, char *out)
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[bytes[i] >> 4];
        *p++ = hex[bytes[i] & 15];
    }
    return (size_t)(p - out);
}

static size_t
write_bytea(const struct luma_str *str, bool escape, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *b = (const uint8_t *)luma_str_data(str);
    char *p = out;

    if (!escape) {
        *p++ = '\\';
        *p++ = 'x';
        for (uint32_t i = 0; i < str->bytes; i++) {
            *p++ = hex[b[i] >> 4];
            *p++ = hex[b[i] & 15];
        }
        return (size_t)(p - out);
    }
    for (uint32_t i = 0; i < str->bytes; i++) {
        if (b[i] == '\\') {
            *p++ = '\\';
            *p++ = '\\';
        } else if (b[i] < 0x20 || b[i] > 0x7e) {
            *p++ = '\\';
            *p++ = (char)('0' + (b[i] >> 6));
            *p++ = (char)('0' + (b[i] >> 3 & 7));
            *p++ = (char)('0' + (b[i] & 7));
        } else {
            *p++ = (char)b[i];
        }
    }
    return (size_t)(p - out);
}

static size_t
write_vector(const struct luma_str *str, char *out)
{
    char *p = out;

    *p++ = '[';
    for (uint32_t i = 0; i + 4 <= str->bytes; i += 4) {
        float f;
        memcpy(&f, luma_str_data(str) + i, 4);
        if (i > 0)
            *p++ = ',';
        p += lki_float4_write(f, 1, p);
    }
    *p++ = ']';
    return (size_t)(p - out);
}

static bool
is_regname(uint8_t id)
{
    return id >= LUMA_TYPE_REGCLASS && id <= LUMA_TYPE_REGNAMESPACE;
}

static size_t
str_text_bound(const struct luma_str *str, struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        return lki_num_text_bound(str);
    case LUMA_TYPE_BYTEA:
        return (size_t)str->bytes * 4 + 2;
    case LUMA_TYPE_JSONB:
        return lk_data_doc_text_bound(luma_str_slice(str));
    case LUMA_TYPE_ARRAY:
        return lki_array_text_bound(str, type);
    case LUMA_TYPE_JSONPATH:
        return lki_jsonpath_text_bound(str);
    case LUMA_TYPE_VECTOR:
        return (size_t)str->bytes / 4 * (LKI_FLOAT_TEXT_BYTES + 1) + 2;
    default:
        return str->bytes;
    }
}

size_t
lk_data_text_bound(const struct luma_vec *vec, uint32_t row)
{
    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row))
        return 0;
    switch (vec->phys) {
    case LUMA_PHYS_STR:
        return str_text_bound(luma_vec_at(vec, row), vec->type);
    case LUMA_PHYS_BOOL:
        return 1;
    case LUMA_PHYS_I16:
        return 6;
    case LUMA_PHYS_I32:
        return is_regname(vec->type.id) ? 256 : vec->type.id == LUMA_TYPE_DATE ? 32 : 11;
    case LUMA_PHYS_I64:
        return vec->type.id == LUMA_TYPE_INT8      ? 20
               : vec->type.id == LUMA_TYPE_ENUM    ? 64
               : vec->type.id == LUMA_TYPE_NUMERIC ? 24 + (vec->scale < 0 ? 0 : (size_t)vec->scale)
                                                   : LKI_DATETIME_TEXT_BYTES;
    case LUMA_PHYS_I128:
        return 48 + (vec->scale < 0 ? 0 : (size_t)vec->scale);
    case LUMA_PHYS_B16:
        return LKI_INTERVAL_TEXT_BYTES;
    default:
        return LKI_FLOAT_TEXT_BYTES;
    }
}

static size_t
write_str(const struct luma_vec *vec, const struct luma_str *str, const struct luma_format *format,
          char *out)
{
    switch (vec->type.id) {
    case LUMA_TYPE_NUMERIC:
        return lki_num_text_write(str, out);
    case LUMA_TYPE_BYTEA:
        return write_bytea(str, format->bytea_escape != 0, out);
    case LUMA_TYPE_JSONB:
        return lk_data_doc_text_write(luma_str_slice(str), false, out);
    case LUMA_TYPE_JSONPATH:
        return lki_jsonpath_text_write(str, out);
    case LUMA_TYPE_ARRAY:
        return lki_array_text_write(str, vec->type, format, out);
    case LUMA_TYPE_VECTOR:
        return write_vector(str, out);
    default:
        memcpy(out, luma_str_data(str), str->bytes);
        return str->bytes;
    }
}

static size_t
write_int32(const struct luma_vec *vec, int32_t v, const struct luma_format *format, char *out)
{
    const char *name;

    switch (vec->type.id) {
    case LUMA_TYPE_DATE:
        return lki_date_write(v, format, out);
    case LUMA_TYPE_OID:
    case LUMA_TYPE_XID:
        return write_u32((uint32_t)v, out);
    default:
        break;
    }
    if (!is_regname(vec->type.id))
        return write_i32(v, out);
    if (v == 0) {
        *out = '-';
        return 1;
    }
    name = format->regname == NULL
               ? NULL
               : format->regname(format->arg, (enum luma_type_id)vec->type.id, (uint32_t)v);
    if (name == NULL)
        return write_u32((uint32_t)v, out);
    {
        size_t n = strlen(name) > 256 ? 256 : strlen(name);
        memcpy(out, name, n);
        return n;
    }
}

/* A place that has no label (a value made by hand) is shown as its number. */
static size_t
write_label(struct luma_type type, int64_t place, const struct luma_format *format, char *out)
{
    const char *label = format->enum_label == NULL
                            ? NULL
                            : format->enum_label(format->arg, (uint32_t)type.mod, place);
    if (label == NULL)
        return lki_num_text_write_i64(place, 0, out);
    size_t n = strlen(label) > 63 ? 63 : strlen(label);
    memcpy(out, label, n);
    return n;
}

static size_t
write_int64(const struct luma_vec *vec, int64_t v, const struct luma_format *format, char *out)
{
    switch (vec->type.id) {
    case LUMA_TYPE_TIME:
        return lki_time_write(v, out);
    case LUMA_TYPE_TIMESTAMP:
        return lki_timestamp_write(v, format, out);
    case LUMA_TYPE_TIMESTAMPTZ:
        return lki_timestamptz_write(v, format, out);
    case LUMA_TYPE_ENUM:
        return write_label(vec->type, v, format, out);
    default:
        return lki_num_text_write_i64(v, vec->scale, out);
    }
}

size_t
lk_data_text_write(const struct luma_vec *vec, uint32_t row, const struct luma_format *format,
                   char *out)
{
    const void *at;

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row))
        return 0;
    if (format == NULL)
        format = &lk_data_format_default;
    at = luma_vec_at(vec, row);
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        *out = *(const uint8_t *)at ? 't' : 'f';
        return 1;
    case LUMA_PHYS_I16:
        return write_i32(*(const int16_t *)at, out);
    case LUMA_PHYS_I32:
        return write_int32(vec, *(const int32_t *)at, format, out);
    case LUMA_PHYS_I64:
        return write_int64(vec, *(const int64_t *)at, format, out);
    case LUMA_PHYS_I128:
        return lki_num_text_write_i128(*(const luma_i128 *)at, vec->scale, out);
    case LUMA_PHYS_F32:
        return lki_float4_write(*(const float *)at, format->extra_float_digits, out);
    case LUMA_PHYS_F64:
        return lki_float8_write(*(const double *)at, format->extra_float_digits, out);
    case LUMA_PHYS_B16:
        return vec->type.id == LUMA_TYPE_INTERVAL ? lki_interval_write(at, format, out)
                                                  : write_uuid(at, out);
    default:
        return write_str(vec, at, format, out);
    }
}

const char *
lk_data_value_text(const struct luma_value *value, const struct luma_format *format,
                   struct luma_arena *arena)
{
    struct luma_vec vec = lki_value_vec(value);
    size_t bound = lk_data_text_bound(&vec, 0);
    char *text = luma_arena_alloc_aligned(arena, bound + 1, 1);

    if (text == NULL)
        return NULL;
    text[lk_data_text_write(&vec, 0, format, text)] = '\0';
    return text;
}
