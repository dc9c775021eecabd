/*
 * rows.c - RowDescription, and DataRow straight from the columns of a batch into the output buffer.
 */
#include <stdio.h>

#include "write.h"

#define WINDOW_BYTES ((size_t)16 << 10)

enum how {
    /* of a fixed bound */
    HOW_BOOL_TEXT,
    HOW_I16_TEXT,
    HOW_I32_TEXT,
    HOW_I64_TEXT,
    HOW_BOOL_BINARY,
    HOW_2_BINARY,
    HOW_4_BINARY,
    HOW_8_BINARY,
    HOW_16_BINARY,
    HOW_FIXED_END_,
    /* bound depends on the value */
    HOW_STR,
    HOW_ANY_TEXT,
    HOW_ANY_BINARY
};

static const uint8_t fixed_bound[HOW_FIXED_END_] = {
    [HOW_BOOL_TEXT] = 1, [HOW_I16_TEXT] = 6,    [HOW_I32_TEXT] = 11,
    [HOW_I64_TEXT] = 20, [HOW_BOOL_BINARY] = 1, [HOW_2_BINARY] = 2,
    [HOW_4_BINARY] = 4,  [HOW_8_BINARY] = 8,    [HOW_16_BINARY] = 16,
};

/* --- RowDescription --- */

static uint16_t
format_of(const uint16_t *formats, uint32_t formats_count, uint32_t col)
{
    return formats_count == 0 ? (uint16_t)PG_TEXT : formats_count == 1 ? formats[0] : formats[col];
}

static void
describe_col(struct pg_conn *c, struct pg_out *out, const struct luma_result_col *col,
             uint16_t format)
{
    struct luma_type type = col->type;
    if (type.id == LUMA_TYPE_UNKNOWN) /* clients do not know what to do with it */
        type = luma_type(LUMA_TYPE_TEXT);
    const struct luma_type_info *info = c->data->type_info(type);
    pg_out_text(out, col->name);
    pg_out_32(out, (uint32_t)col->table_id);
    pg_out_16(out, (uint16_t)col->col_id);
    pg_out_32(out, c->data->type_oid(type));
    pg_out_16(out, (uint16_t)(type.id == LUMA_TYPE_ARRAY ? -1 : info->typlen));
    pg_out_32(out, (uint32_t)c->data->type_typmod(type));
    pg_out_16(out, format);
}

void
pg_row_description(struct pg_conn *c, const struct luma_result_col *cols, uint32_t count,
                   const uint16_t *formats, uint32_t formats_count)
{
    struct pg_out out;
    size_t bound = 2;
    for (uint32_t i = 0; i < count; i++)
        bound += strlen(cols[i].name) + 1 + 18;
    if (!pg_out_begin(c, &out, 'T', bound))
        return;
    pg_out_16(&out, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++)
        describe_col(c, &out, &cols[i], format_of(formats, formats_count, i));
    pg_out_end(c, &out);
}

luma_rc
pg_rows_begin(struct pg_conn *c, struct luma_ctx *ctx, const struct luma_result_col *cols,
              uint32_t count, const uint16_t *formats, uint32_t formats_count)
{
    (void)cols;
    if (formats_count > 1 && formats_count != count)
        return LUMA_FAIL(ctx, LUMA_E_PROTOCOL,
                         "bind message has %u result formats but query has %u columns",
                         formats_count, count);
    if (c->cols_room < count) {
        struct pg_col *more = c->host->mem->resize(NULL, c->cols, c->cols_room * sizeof(*more),
                                                   count * sizeof(*more));
        if (more == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for %u columns", count);
        c->cols = more;
        c->cols_room = count;
    }
    for (uint32_t i = 0; i < count; i++)
        c->cols[i].format = (uint8_t)format_of(formats, formats_count, i);
    return LUMA_OK;
}

/* --- how each column of this batch is written --- */

static enum how
how_text(const struct luma_vec *vec)
{
    switch (vec->type.id) {
    case LUMA_TYPE_BOOL:
        return HOW_BOOL_TEXT;
    case LUMA_TYPE_INT2:
        return HOW_I16_TEXT;
    case LUMA_TYPE_INT4:
        return HOW_I32_TEXT;
    case LUMA_TYPE_INT8:
        return HOW_I64_TEXT;
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_NAME:
    case LUMA_TYPE_JSON:
    case LUMA_TYPE_UNKNOWN:
        return HOW_STR;
    default:
        return HOW_ANY_TEXT;
    }
}

/* Fixed types are kept as PostgreSQL sends them, but for the order of their bytes. */
static enum how
how_binary(const struct luma_vec *vec)
{
    switch (vec->type.id) {
    case LUMA_TYPE_BOOL:
        return HOW_BOOL_BINARY;
    case LUMA_TYPE_INT2:
        return HOW_2_BINARY;
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_OID:
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_FLOAT4:
        return HOW_4_BINARY;
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_FLOAT8:
        return HOW_8_BINARY;
    case LUMA_TYPE_UUID:
        return HOW_16_BINARY;
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_NAME:
    case LUMA_TYPE_JSON:
    case LUMA_TYPE_UNKNOWN:
        return HOW_STR;
    default:
        return HOW_ANY_BINARY;
    }
}

/* --- values --- */

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

static inline size_t
put_i64_text(char *out, int64_t value)
{
    char text[20];
    char *end = text + sizeof(text), *at = end;
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (v >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + 2 * v, 2);
    } else {
        *--at = (char)('0' + v);
    }
    if (value < 0)
        *out++ = '-';
    memcpy(out, at, (size_t)(end - at));
    return (size_t)(end - at) + (value < 0);
}

static inline size_t
put_value(struct pg_conn *c, enum how how, const struct luma_vec *vec, uint32_t row,
          const struct luma_format *format, uint8_t *out)
{
    const void *at = luma_vec_at(vec, row);
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (how) {
    case HOW_BOOL_TEXT:
        out[0] = *(const uint8_t *)at ? 't' : 'f';
        return 1;
    case HOW_I16_TEXT:
        memcpy(&v16, at, 2);
        return put_i64_text((char *)out, (int16_t)v16);
    case HOW_I32_TEXT:
        memcpy(&v32, at, 4);
        return put_i64_text((char *)out, (int32_t)v32);
    case HOW_I64_TEXT:
        memcpy(&v64, at, 8);
        return put_i64_text((char *)out, (int64_t)v64);
    case HOW_BOOL_BINARY:
        out[0] = *(const uint8_t *)at != 0;
        return 1;
    case HOW_2_BINARY:
        memcpy(&v16, at, 2);
        pg_put16(out, v16);
        return 2;
    case HOW_4_BINARY:
        memcpy(&v32, at, 4);
        pg_put32(out, v32);
        return 4;
    case HOW_8_BINARY:
        memcpy(&v64, at, 8);
        pg_put64(out, v64);
        return 8;
    case HOW_16_BINARY:
        memcpy(out, at, 16);
        return 16;
    case HOW_STR: {
        const struct luma_str *s = at;
        memcpy(out, luma_str_data(s), s->bytes);
        return s->bytes;
    }
    case HOW_ANY_TEXT:
        return c->data->text_write(vec, row, format, (char *)out);
    case HOW_ANY_BINARY:
    case HOW_FIXED_END_:
        break;
    }
    return c->data->binary_write_as(vec, row, format, (char *)out);
}

static inline size_t
value_bound(struct pg_conn *c, enum how how, const struct luma_vec *vec, uint32_t row)
{
    if (how < HOW_FIXED_END_)
        return fixed_bound[how];
    if (luma_vec_is_null(vec, row))
        return 0;
    if (how == HOW_STR)
        return ((const struct luma_str *)luma_vec_at(vec, row))->bytes;
    return how == HOW_ANY_TEXT ? c->data->text_bound(vec, row) : c->data->binary_bound(vec, row);
}

/* --- rows --- */

static uint8_t *
put_row(struct pg_conn *c, const struct luma_batch *batch, uint32_t row,
        const struct luma_format *format, uint8_t *out)
{
    uint8_t *at = out + 7;
    out[0] = 'D';
    pg_put16(out + 5, (uint16_t)batch->cols_count);
    for (uint32_t i = 0; i < batch->cols_count; i++) {
        const struct luma_vec *vec = &batch->cols[i];
        if (luma_vec_is_null(vec, row)) {
            pg_put32(at, UINT32_MAX);
            at += 4;
            continue;
        }
        size_t bytes = put_value(c, (enum how)c->cols[i].how, vec, row, format, at + 4);
        pg_put32(at, (uint32_t)bytes);
        at += 4 + bytes;
    }
    pg_put32(out + 1, (uint32_t)(at - out - 1));
    return at;
}

static size_t
row_bound(struct pg_conn *c, const struct luma_batch *batch, uint32_t row)
{
    size_t bound = 7;
    for (uint32_t i = 0; i < batch->cols_count; i++)
        bound += 4 + value_bound(c, (enum how)c->cols[i].how, &batch->cols[i], row);
    return bound;
}

luma_rc
pg_rows_send(struct pg_conn *c, const struct luma_batch *batch, uint32_t first, uint32_t count)
{
    const struct luma_format *format = c->ses->format(c->session);
    for (uint32_t i = 0; i < batch->cols_count; i++)
        c->cols[i].how = (uint8_t)(c->cols[i].format == PG_TEXT ? how_text(&batch->cols[i])
                                                                : how_binary(&batch->cols[i]));
    uint8_t *room = NULL, *at = NULL, *end = NULL;
    for (uint32_t k = first; k < first + count; k++) {
        uint32_t row = luma_batch_row(batch, k);
        size_t bound = row_bound(c, batch, row);
        if ((size_t)(end - at) < bound) {
            c->net->commit(c->conn, (size_t)(at - room));
            size_t bytes = first + count - k > 8 && bound < WINDOW_BYTES ? WINDOW_BYTES : bound;
            luma_rc rc = c->io != LUMA_OK ? c->io : c->net->reserve(c->conn, bytes, &room);
            if (LUMA_UNLIKELY(rc != LUMA_OK)) {
                c->io = rc;
                return rc;
            }
            at = room;
            end = room + bytes;
        }
        at = put_row(c, batch, row, format, at);
    }
    c->net->commit(c->conn, (size_t)(at - room));
    return LUMA_OK;
}
