/*
 * data/column_in.c - a column of text fields into a vector: the inner loop of COPY.
 *
 * Whole numbers, decimals, dates and strings have loops of their own; a field that these do not
 * understand, and every other type, goes the way of single values, which also words the errors.
 */
#include "data/calendar.h"
#include "data/float.h"
#include "data/text_in.h"

struct column {
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct luma_type type;
    const struct luma_format *format;
    const struct luma_slice *fields;
    uint32_t rows;
    struct luma_vec *out;
    uint32_t *out_bad;
};

/* One field the careful way. */
static luma_rc
slow_field(const struct column *col, uint32_t row)
{
    struct luma_value v;
    luma_rc rc =
        lk_data_from_text(col->ctx, col->arena, col->type, col->format, col->fields[row], &v);
    uint32_t width = luma_phys_bytes((enum luma_phys)col->out->phys);

    if (rc != LUMA_OK) {
        *col->out_bad = row;
        return rc;
    }
    memcpy((uint8_t *)col->out->data + (size_t)row * width, &v.b, width);
    return LUMA_OK;
}

/* [-]digits, at most `digits_max` of them; false: the careful way. */
static inline bool
quick_int(struct luma_slice field, size_t digits_max, int64_t *out)
{
    const uint8_t *p = field.data, *end = p + field.bytes;
    bool negative = field.bytes > 0 && *p == '-';
    uint64_t u = 0;

    p += negative;
    if (p == end || (size_t)(end - p) > digits_max)
        return false;
    do {
        unsigned digit = (unsigned)*p - '0';
        if (digit > 9)
            return false;
        u = u * 10 + digit;
    } while (++p < end);
    *out = negative ? -(int64_t)u : (int64_t)u;
    return true;
}

static luma_rc
int_column(const struct column *col)
{
    size_t digits_max = col->out->phys == LUMA_PHYS_I16   ? 4
                        : col->out->phys == LUMA_PHYS_I32 ? 9
                                                          : 18;

    for (uint32_t i = 0; i < col->rows; i++) {
        int64_t v = 0;
        if (col->fields[i].data == NULL)
            continue;
        if (!quick_int(col->fields[i], digits_max, &v)) {
            LUMA_TRY(slow_field(col, i));
            continue;
        }
        if (col->out->phys == LUMA_PHYS_I32)
            ((int32_t *)col->out->data)[i] = (int32_t)v;
        else if (col->out->phys == LUMA_PHYS_I64)
            ((int64_t *)col->out->data)[i] = v;
        else
            ((int16_t *)col->out->data)[i] = (int16_t)v;
    }
    return LUMA_OK;
}

/* [-]digits[.digits] with no more decimals than the scale and few enough digits for 64 bits. */
static inline bool
quick_decimal(struct luma_slice field, int32_t precision, int32_t scale, int64_t *out)
{
    static const int64_t pow10[19] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000};
    const uint8_t *p = field.data, *end = p + field.bytes, *first;
    bool negative = field.bytes > 0 && *p == '-';
    uint64_t u = 0;
    ptrdiff_t whole, frac = 0;
    unsigned digit;

    p += negative;
    first = p;
    while (p < end && (digit = (unsigned)*p - '0') <= 9) {
        u = u * 10 + digit;
        p++;
    }
    whole = p - first;
    if (whole == 0 || whole > precision - scale)
        return false;
    if (p < end) {
        if (*p++ != '.')
            return false;
        first = p;
        while (p < end && (digit = (unsigned)*p - '0') <= 9) {
            u = u * 10 + digit;
            p++;
        }
        frac = p - first;
        if (p != end || frac > scale)
            return false;
    }
    u *= (uint64_t)pow10[scale - frac];
    *out = negative ? -(int64_t)u : (int64_t)u;
    return true;
}

static luma_rc
decimal_column(const struct column *col)
{
    int64_t *data = col->out->data;

    for (uint32_t i = 0; i < col->rows; i++)
        if (col->fields[i].data != NULL &&
            !quick_decimal(col->fields[i], col->type.mod, col->type.scale, &data[i]))
            LUMA_TRY(slow_field(col, i));
    col->out->bound = (uint64_t)lki_pow10[col->type.mod] - 1;
    return LUMA_OK;
}

/* YYYY-MM-DD. The date last seen is kept: neighbours often agree. */
static luma_rc
date_column(const struct column *col)
{
    int32_t *data = col->out->data, last = 0;
    uint8_t last_text[10] = {0};

    for (uint32_t i = 0; i < col->rows; i++) {
        struct luma_slice f = col->fields[i];
        const uint8_t *p = f.data;
        uint32_t y, m, d;
        if (p == NULL)
            continue;
        if (f.bytes == 10 && memcmp(p, last_text, 10) == 0) {
            data[i] = last;
            continue;
        }
        if (f.bytes != 10 || p[4] != '-' || p[7] != '-') {
            LUMA_TRY(slow_field(col, i));
            continue;
        }
#define DIGIT(k) ((uint32_t)p[k] - '0')
        y = DIGIT(0) * 1000 + DIGIT(1) * 100 + DIGIT(2) * 10 + DIGIT(3);
        m = DIGIT(5) * 10 + DIGIT(6);
        d = DIGIT(8) * 10 + DIGIT(9);
        if (DIGIT(0) > 9 || DIGIT(1) > 9 || DIGIT(2) > 9 || DIGIT(3) > 9 || DIGIT(5) > 9 ||
            DIGIT(6) > 9 || DIGIT(8) > 9 || DIGIT(9) > 9 || y == 0 || m < 1 || m > 12 || d < 1 ||
            (d > 28 && d > (uint32_t)lki_month_days((int32_t)y, (int32_t)m))) {
            LUMA_TRY(slow_field(col, i));
            continue;
        }
#undef DIGIT
        last = data[i] = lki_date_from_ymd((int32_t)y, (int32_t)m, (int32_t)d);
        memcpy(last_text, p, 10);
    }
    return LUMA_OK;
}

static luma_rc
float8_column(const struct column *col)
{
    double *data = col->out->data;

    for (uint32_t i = 0; i < col->rows; i++)
        if (col->fields[i].data != NULL &&
            lki_float8_parse((const char *)col->fields[i].data, col->fields[i].bytes, &data[i]) !=
                LKI_PARSE_OK)
            LUMA_TRY(slow_field(col, i));
    return LUMA_OK;
}

static luma_rc
text_column(const struct column *col)
{
    struct luma_str *data = col->out->data;
    size_t limit = col->type.id == LUMA_TYPE_VARCHAR && col->type.mod > 0 ? (size_t)col->type.mod
                   : col->type.id == LUMA_TYPE_BPCHAR                     ? 0
                                                                          : UINT32_MAX / 4;

    for (uint32_t i = 0; i < col->rows; i++) {
        struct luma_slice f = col->fields[i];
        if (f.data == NULL)
            continue;
        if (f.bytes <= limit)
            data[i] = luma_str_make((const char *)f.data, (uint32_t)f.bytes);
        else if (col->type.id == LUMA_TYPE_BPCHAR && f.bytes == (size_t)col->type.mod &&
                 lki_utf8_chars((const char *)f.data, f.bytes) == f.bytes)
            data[i] = luma_str_make((const char *)f.data, (uint32_t)f.bytes);
        else
            LUMA_TRY(slow_field(col, i));
    }
    return LUMA_OK;
}

static luma_rc
other_column(const struct column *col)
{
    for (uint32_t i = 0; i < col->rows; i++)
        if (col->fields[i].data != NULL)
            LUMA_TRY(slow_field(col, i));
    return LUMA_OK;
}

static luma_rc
fill(const struct column *col)
{
    switch (col->type.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
        return int_column(col);
    case LUMA_TYPE_NUMERIC:
        if (col->out->phys == LUMA_PHYS_I64 && col->type.scale >= 0 &&
            col->type.scale <= col->type.mod)
            return decimal_column(col);
        return other_column(col);
    case LUMA_TYPE_DATE:
        return date_column(col);
    case LUMA_TYPE_FLOAT8:
        return float8_column(col);
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
        return text_column(col);
    default:
        return other_column(col);
    }
}

luma_rc
lk_data_column_from_text(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                         const struct luma_format *format, const struct luma_slice *fields,
                         uint32_t rows, struct luma_vec *out, uint32_t *out_bad)
{
    struct column col = {ctx, arena, type, format, fields, rows, out, out_bad};
    bool nulls = false;

    for (uint32_t i = 0; i < rows; i++)
        nulls |= fields[i].data == NULL;
    if (nulls) {
        if (!luma_vec_need_valid(out, arena, rows))
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        for (uint32_t i = 0; i < rows; i++)
            if (fields[i].data == NULL)
                luma_bit_clear(out->valid, i);
    }
    return fill(&col);
}
