/* data/text_in.c - one value from its text, with PostgreSQL's rules and errors. */
#include "data/text_in.h"

#include <stdio.h>
#include <strings.h>

#include "data/calendar.h"
#include "data/float.h"
#include "data/jsonpath_priv.h"

static inline bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct luma_slice
trimmed(struct luma_slice text)
{
    while (text.bytes > 0 && is_space((char)text.data[0]))
        text.data++, text.bytes--;
    while (text.bytes > 0 && is_space((char)text.data[text.bytes - 1]))
        text.bytes--;
    return text;
}

/* What an error message shows of the text. */
static int
shown(struct luma_slice text)
{
    return (int)(text.bytes > 200 ? lki_utf8_prefix((const char *)text.data, 200, 100)
                                  : text.bytes);
}

luma_rc
lki_text_syntax(struct luma_ctx *ctx, const char *type_name, struct luma_slice text)
{
    return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P02", "invalid input syntax for type %s: \"%.*s\"",
                         type_name, shown(text), (const char *)text.data);
}

luma_rc
lki_text_range(struct luma_ctx *ctx, const char *type_name, struct luma_slice text)
{
    return LUMA_FAIL(ctx, LUMA_E_RANGE, "value \"%.*s\" is out of range for type %s", shown(text),
                     (const char *)text.data, type_name);
}

luma_rc
lki_numeric_overflow(struct luma_ctx *ctx, struct luma_type type)
{
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_RANGE, "numeric field overflow");

    if (ctx->error != NULL && ctx->arena != NULL && ctx->error->detail == NULL && type.mod > 0) {
        char detail[160];
        int n = snprintf(detail, sizeof(detail),
                         "A field with precision %d, scale %d must round to an absolute value less "
                         "than %s%d.",
                         type.mod, type.scale, type.mod == type.scale ? "" : "10^",
                         type.mod == type.scale ? 1 : type.mod - type.scale);
        ctx->error->detail = luma_arena_text(ctx->arena, detail, (size_t)n);
    }
    return rc;
}

enum lki_parse
lki_int_parse(const char *text, size_t bytes, int64_t min, int64_t max, int64_t *out)
{
    const char *p = text, *end = text + bytes, *start;
    bool negative = false;
    uint64_t u = 0, limit;

    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    start = p;
    limit = negative ? -(uint64_t)min : (uint64_t)max;
    for (; p < end && (unsigned char)(*p - '0') <= 9; p++) {
        unsigned digit = (unsigned char)(*p - '0');
        if (u > (limit - digit) / 10) {
            while (p < end && (unsigned char)(*p - '0') <= 9)
                p++;
            return p == end ? LKI_PARSE_RANGE : LKI_PARSE_SYNTAX;
        }
        u = u * 10 + digit;
    }
    if (p == start || p != end)
        return LKI_PARSE_SYNTAX;
    *out = negative ? (int64_t)-u : (int64_t)u;
    return LKI_PARSE_OK;
}

static luma_rc
int_from(struct luma_ctx *ctx, struct luma_type type, struct luma_slice text,
         struct luma_value *out)
{
    static const struct {
        int64_t min, max;
    } limits[] = {{INT16_MIN, INT16_MAX}, {INT32_MIN, INT32_MAX}, {INT64_MIN, INT64_MAX}};
    int which = type.id == LUMA_TYPE_INT2 ? 0 : type.id == LUMA_TYPE_INT4 ? 1 : 2;
    const char *name = lk_data_type_info(luma_type((enum luma_type_id)type.id))->sql_name;
    int64_t v = 0;

    switch (lki_int_parse((const char *)text.data, text.bytes, limits[which].min, limits[which].max,
                          &v)) {
    case LKI_PARSE_OK:
        break;
    case LKI_PARSE_RANGE:
        return lki_text_range(ctx, name, text);
    default:
        return lki_text_syntax(ctx, name, text);
    }
    if (which == 0)
        out->i16 = (int16_t)v;
    else if (which == 1)
        out->i32 = (int32_t)v;
    else
        out->i64 = v;
    return LUMA_OK;
}

static luma_rc
oid_from(struct luma_ctx *ctx, struct luma_type type, struct luma_slice text,
         struct luma_value *out)
{
    int64_t v = 0;
    const char *name = lk_data_type_info(luma_type((enum luma_type_id)type.id))->sql_name;

    if (type.id != LUMA_TYPE_OID && text.bytes == 1 && text.data[0] == '-') {
        out->i32 = 0;
        return LUMA_OK;
    }
    switch (lki_int_parse((const char *)text.data, text.bytes, INT32_MIN, UINT32_MAX, &v)) {
    case LKI_PARSE_OK:
        out->i32 = (int32_t)(uint32_t)v;
        return LUMA_OK;
    case LKI_PARSE_RANGE:
        return lki_text_range(ctx, name, text);
    default:
        return lki_text_syntax(ctx, name, text);
    }
}

static luma_rc
bool_from(struct luma_ctx *ctx, struct luma_slice text, struct luma_value *out)
{
    static const struct {
        const char *word;
        size_t least; /* letters that make it unique */
        bool value;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    struct luma_slice t = trimmed(text);

    for (size_t i = 0; i < LUMA_COUNTOF(words); i++)
        if (t.bytes >= words[i].least && t.bytes <= strlen(words[i].word) &&
            strncasecmp((const char *)t.data, words[i].word, t.bytes) == 0) {
            out->b = words[i].value;
            return LUMA_OK;
        }
    return lki_text_syntax(ctx, "boolean", text);
}

static luma_rc
float_from(struct luma_ctx *ctx, struct luma_type type, struct luma_slice text,
           struct luma_value *out)
{
    bool single = type.id == LUMA_TYPE_FLOAT4;
    enum lki_parse result = single
                                ? lki_float4_parse((const char *)text.data, text.bytes, &out->f32)
                                : lki_float8_parse((const char *)text.data, text.bytes, &out->f64);

    if (result == LKI_PARSE_RANGE)
        return LUMA_FAIL(ctx, LUMA_E_RANGE, "\"%.*s\" is out of range for type %s", shown(text),
                         (const char *)text.data, single ? "real" : "double precision");
    return result == LKI_PARSE_OK
               ? LUMA_OK
               : lki_text_syntax(ctx, single ? "real" : "double precision", text);
}

static luma_rc
numeric_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
             struct luma_slice text, struct luma_value *out)
{
    struct lki_calc calc = {arena, false};
    struct luma_value v = {.type = type, .phys = LUMA_PHYS_STR};
    struct luma_vec vec, made;
    struct lki_num num;
    luma_i128 i;

    if (out->phys != LUMA_PHYS_STR &&
        lki_num_parse_i128((const char *)text.data, text.bytes, type.scale < 0 ? 0 : type.scale,
                           &i) == LKI_PARSE_OK &&
        type.scale >= 0) {
        if (!lki_decimal_fits(i, type.mod))
            return lki_numeric_overflow(ctx, type);
        out->scale = type.scale;
        if (out->phys == LUMA_PHYS_I64)
            out->i64 = (int64_t)i;
        else
            out->i128 = i;
        return LUMA_OK;
    }
    switch (lki_num_parse(&calc, (const char *)text.data, text.bytes, &num)) {
    case LKI_PARSE_OK:
        break;
    case LKI_PARSE_RANGE:
        return calc.failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory")
                           : LUMA_FAIL(ctx, LUMA_E_RANGE, "value overflows numeric format");
    default:
        return lki_text_syntax(ctx, "numeric", text);
    }
    luma_rc rc = lki_num_store(&calc, &num, &v.str);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc,
                         rc == LUMA_E_NOMEM ? "out of memory" : "value overflows numeric format");
    if (type.mod <= 0) {
        *out = v;
        return LUMA_OK;
    }
    vec = lki_value_vec(&v);
    LUMA_TRY(lk_data_numeric_vec_as(ctx, arena, &vec, NULL, 1, type, &made));
    *out = lk_data_vec_value(&made, 0);
    return LUMA_OK;
}

/* --- dates and times --- */

static luma_rc
datetime_error(struct luma_ctx *ctx, enum lki_dt_error error, const char *type_name,
               struct luma_slice text)
{
    switch (error) {
    case LKI_DT_RANGE:
        return LUMA_FAIL_SQL(ctx, LUMA_E_RANGE, "22008",
                             "date/time field value out of range: \"%.*s\"", shown(text),
                             (const char *)text.data);
    case LKI_DT_ZONE_RANGE:
        return LUMA_FAIL_SQL(ctx, LUMA_E_RANGE, "22009",
                             "time zone displacement out of range: \"%.*s\"", shown(text),
                             (const char *)text.data);
    case LKI_DT_ZONE_UNKNOWN:
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "22023", "time zone \"%.*s\" not recognized",
                             shown(text), (const char *)text.data);
    default:
        return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22007",
                             "invalid input syntax for type %s: \"%.*s\"", type_name, shown(text),
                             (const char *)text.data);
    }
}

static luma_rc
datetime_from(struct luma_ctx *ctx, struct luma_type type, const struct luma_format *format,
              struct luma_slice text, struct luma_value *out)
{
    enum lki_dt_kind kind = type.id == LUMA_TYPE_DATE        ? LKI_DT_DATE
                            : type.id == LUMA_TYPE_TIME      ? LKI_DT_TIME
                            : type.id == LUMA_TYPE_TIMESTAMP ? LKI_DT_TIMESTAMP
                                                             : LKI_DT_TIMESTAMPTZ;
    int64_t v = 0;
    enum lki_dt_error error =
        lki_datetime_parse(kind, format, (const char *)text.data, text.bytes, &v, NULL);

    if (error != LKI_DT_OK)
        return datetime_error(
            ctx, error, lk_data_type_info(luma_type((enum luma_type_id)type.id))->sql_name, text);
    if (kind == LKI_DT_DATE)
        out->i32 = (int32_t)v;
    else
        out->i64 = type.mod >= 0 && lki_timestamp_finite(v) ? lki_round_usecs(v, type.mod) : v;
    return LUMA_OK;
}

static luma_rc
interval_from(struct luma_ctx *ctx, struct luma_type type, const struct luma_format *format,
              struct luma_slice text, struct luma_value *out)
{
    enum lki_dt_error error =
        lki_interval_parse(format, (const char *)text.data, text.bytes, &out->interval);

    if (error == LKI_DT_RANGE)
        return LUMA_FAIL_SQL(ctx, LUMA_E_RANGE, "22015",
                             "interval field value out of range: \"%.*s\"", shown(text),
                             (const char *)text.data);
    if (error != LKI_DT_OK)
        return datetime_error(ctx, error, "interval", text);
    if (type.mod >= 0)
        out->interval.microseconds = lki_round_usecs(out->interval.microseconds, type.mod);
    return LUMA_OK;
}

/* --- bytes --- */

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static luma_rc
uuid_from(struct luma_ctx *ctx, struct luma_slice text, struct luma_value *out)
{
    const uint8_t *p = text.data, *end = p + text.bytes;
    bool braces = text.bytes > 0 && *p == '{';

    if (braces) {
        p++;
        if (end == p || *--end != '}')
            return lki_text_syntax(ctx, "uuid", text);
    }
    for (int i = 0; i < 16; i++) {
        int high, low;
        if (end - p < 2)
            return lki_text_syntax(ctx, "uuid", text);
        high = hex_digit(p[0]);
        low = hex_digit(p[1]);
        if (high < 0 || low < 0)
            return lki_text_syntax(ctx, "uuid", text);
        out->uuid.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
        if (p < end && *p == '-' && i % 2 == 1 && i < 15)
            p++;
    }
    return p == end ? LUMA_OK : lki_text_syntax(ctx, "uuid", text);
}

static luma_rc
bytea_hex(struct luma_ctx *ctx, struct luma_slice text, uint8_t *bytes, size_t *out_count)
{
    const uint8_t *p = text.data + 2, *end = text.data + text.bytes;
    size_t n = 0;

    while (p < end) {
        int high, low;
        if (is_space((char)*p)) {
            p++;
            continue;
        }
        high = hex_digit(*p);
        if (high < 0)
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "invalid hexadecimal digit: \"%c\"", *p);
        if (p + 1 == end)
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "invalid hexadecimal data: odd number of digits");
        low = hex_digit(p[1]);
        if (low < 0)
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "invalid hexadecimal digit: \"%c\"", p[1]);
        bytes[n++] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *out_count = n;
    return LUMA_OK;
}

static luma_rc
bytea_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice text,
           struct luma_value *out)
{
    uint8_t *bytes = luma_arena_alloc_aligned(arena, text.bytes + 1, 1);
    size_t n = 0;

    if (bytes == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    if (text.bytes >= 2 && text.data[0] == '\\' && text.data[1] == 'x') {
        LUMA_TRY(bytea_hex(ctx, text, bytes, &n));
    } else {
        for (size_t i = 0; i < text.bytes;) {
            const uint8_t *p = text.data + i;
            if (*p != '\\') {
                bytes[n++] = *p;
                i++;
            } else if (i + 1 < text.bytes && p[1] == '\\') {
                bytes[n++] = '\\';
                i += 2;
            } else if (i + 3 < text.bytes && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
                       p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
                bytes[n++] = (uint8_t)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                i += 4;
            } else {
                return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P02",
                                     "invalid input syntax for type bytea");
            }
        }
    }
    out->str = luma_str_make((const char *)bytes, (uint32_t)n);
    return LUMA_OK;
}

/* --- strings --- */

luma_rc
lki_text_fit(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
             struct luma_slice text, struct luma_str *out)
{
    const char *p = (const char *)text.data;
    size_t bytes = text.bytes, chars, limit = type.mod < 0 ? SIZE_MAX : (size_t)type.mod;

    if (bytes > UINT32_MAX / 4)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "value too long");
    if (bytes > limit && (chars = lki_utf8_chars(p, bytes)) > limit) {
        size_t keep = lki_utf8_prefix(p, bytes, limit);
        for (size_t i = keep; i < bytes; i++)
            if (p[i] != ' ')
                return LUMA_FAIL_SQL(
                    ctx, LUMA_E_DATA, "22001", "value too long for type %s(%d)",
                    type.id == LUMA_TYPE_BPCHAR ? "character" : "character varying", type.mod);
        bytes = keep;
    }
    if (type.id == LUMA_TYPE_BPCHAR && type.mod > 0) {
        chars = lki_utf8_chars(p, bytes);
        if (chars < limit) {
            char *padded = luma_arena_alloc_aligned(arena, bytes + limit - chars, 1);
            if (padded == NULL)
                return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
            if (bytes > 0)
                memcpy(padded, p, bytes);
            memset(padded + bytes, ' ', limit - chars);
            p = padded;
            bytes += limit - chars;
        }
    }
    *out = luma_str_make(p, (uint32_t)bytes);
    return LUMA_OK;
}

static luma_rc
vector_from(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
            struct luma_slice text, struct luma_value *out)
{
    struct luma_slice t = trimmed(text);
    const char *p = (const char *)t.data, *end = p + t.bytes;
    float *values;
    uint32_t count = 0;

    if (t.bytes < 2 || *p != '[' || end[-1] != ']')
        return lki_text_syntax(ctx, "vector", text);
    values = luma_arena_alloc(arena, sizeof(*values) * (t.bytes / 2 + 1));
    if (values == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    p++;
    end--;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma == NULL ? end : comma;
        if (lki_float4_parse(p, (size_t)(stop - p), &values[count]) != LKI_PARSE_OK)
            return lki_text_syntax(ctx, "vector", text);
        count++;
        p = stop + (comma != NULL);
        if (comma != NULL && p == end)
            return lki_text_syntax(ctx, "vector", text);
    }
    if (type.mod > 0 && (uint32_t)type.mod != count)
        return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22000", "expected %d dimensions, not %u", type.mod,
                             count);
    out->str = luma_str_make((const char *)values, count * 4);
    return LUMA_OK;
}

static luma_rc
json_from(struct luma_ctx *ctx, struct luma_slice text, struct luma_value *out)
{
    LUMA_TRY(lk_data_json_check(ctx, text));
    out->str = luma_str_make((const char *)text.data, (uint32_t)text.bytes);
    return LUMA_OK;
}

static luma_rc
enum_from(struct luma_ctx *ctx, struct luma_type type, const struct luma_format *format,
          struct luma_slice text, struct luma_value *out)
{
    if (format != NULL && format->enum_place != NULL &&
        format->enum_place(format->arg, (uint32_t)type.mod, text, &out->i64))
        return LUMA_OK;
    const char *name = format != NULL && format->type_name != NULL
                           ? format->type_name(format->arg, (uint32_t)type.mod)
                           : NULL;
    return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P02", "invalid input value for enum %s: \"%.*s\"",
                         name != NULL ? name : "anyenum", shown(text), (const char *)text.data);
}

luma_rc
lk_data_from_text(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                  const struct luma_format *format, struct luma_slice text, struct luma_value *out)
{
    struct luma_value v = {.type = type, .phys = (uint8_t)luma_type_phys(type)};
    luma_rc rc = LUMA_OK;

    switch (type.id) {
    case LUMA_TYPE_BOOL:
        rc = bool_from(ctx, text, &v);
        break;
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
        rc = int_from(ctx, type, text, &v);
        break;
    case LUMA_TYPE_OID:
    case LUMA_TYPE_XID:
    case LUMA_TYPE_REGCLASS:
    case LUMA_TYPE_REGTYPE:
    case LUMA_TYPE_REGPROC:
    case LUMA_TYPE_REGNAMESPACE:
        rc = oid_from(ctx, type, text, &v);
        break;
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8:
        rc = float_from(ctx, type, text, &v);
        break;
    case LUMA_TYPE_NUMERIC:
        rc = numeric_from(ctx, arena, type, text, &v);
        break;
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
        rc = datetime_from(ctx, type, format, text, &v);
        break;
    case LUMA_TYPE_INTERVAL:
        rc = interval_from(ctx, type, format, text, &v);
        break;
    case LUMA_TYPE_ENUM:
        rc = enum_from(ctx, type, format, text, &v);
        break;
    case LUMA_TYPE_UUID:
        rc = uuid_from(ctx, text, &v);
        break;
    case LUMA_TYPE_BYTEA:
        rc = bytea_from(ctx, arena, text, &v);
        break;
    case LUMA_TYPE_JSON:
        rc = json_from(ctx, text, &v);
        break;
    case LUMA_TYPE_JSONB:
        rc = lk_data_doc_from_json(ctx, arena, text, &v.str);
        break;
    case LUMA_TYPE_JSONPATH:
        rc = lki_jsonpath_parse(ctx, arena, text, &v.str);
        break;
    case LUMA_TYPE_ARRAY:
        rc = lki_array_parse(ctx, arena, type, format, text, &v.str);
        break;
    case LUMA_TYPE_VECTOR:
        rc = vector_from(ctx, arena, type, text, &v);
        break;
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
        rc = lki_text_fit(ctx, arena, type, text, &v.str);
        break;
    case LUMA_TYPE_NAME:
        v.str =
            luma_str_make((const char *)text.data, (uint32_t)(text.bytes > 63 ? 63 : text.bytes));
        break;
    case LUMA_TYPE_CHAR1:
        v.str = luma_str_make((const char *)text.data, text.bytes > 1 ? 1 : (uint32_t)text.bytes);
        break;
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_UNKNOWN:
    case LUMA_TYPE_RECORD:
        v.str = luma_str_make((const char *)text.data, (uint32_t)text.bytes);
        break;
    case LUMA_TYPE_VOID:
        v.str = luma_str_make("", 0);
        break;
    default:
        return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED, "type has no text form");
    }
    if (rc == LUMA_OK)
        *out = v;
    return rc;
}
