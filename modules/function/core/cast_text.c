/* function/core/cast_text.c - casts to and from strings, lengths of strings, json. */
#include "core.h"

/* The text of a value; booleans are spelled out when cast. */
static luma_rc
value_to_text(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
              struct luma_str *out)
{
    const struct luma_host_data *data = core_host->data;
    char *text;

    if (vec->type.id == LUMA_TYPE_BOOL) {
        bool v = luma_arg_bool(vec, row);
        *out = luma_str_make(v ? "true" : "false", v ? 4 : 5);
        return LUMA_OK;
    }
    text = luma_func_room(call, data->text_bound(vec, row));
    if (text == NULL)
        return luma_func_no_memory(call);
    *out = luma_str_make(text, (uint32_t)data->text_write(vec, row, call->format, text));
    return LUMA_OK;
}

static size_t
prefix_bytes(const char *p, size_t bytes, size_t chars)
{
    for (size_t i = 0; i < bytes; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80 && chars-- == 0)
            return i;
    return bytes;
}

static size_t
count_chars(const char *p, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

/* varchar(n) and character(n): the rest is cut silently (explicit) or must be blanks. */
static luma_rc
fit(const struct luma_func_call *call, struct luma_type type, bool cut, struct luma_str *inout)
{
    const char *p = luma_str_data(inout);
    size_t bytes = inout->bytes, limit, chars;

    if (type.mod <= 0 || (type.id != LUMA_TYPE_VARCHAR && type.id != LUMA_TYPE_BPCHAR))
        return LUMA_OK;
    limit = (size_t)type.mod;
    chars = bytes <= limit && type.id == LUMA_TYPE_VARCHAR ? bytes : count_chars(p, bytes);
    if (chars > limit) {
        size_t keep = prefix_bytes(p, bytes, limit);
        for (size_t i = keep; i < bytes && !cut; i++)
            if (p[i] != ' ')
                return LUMA_FAIL_SQL(
                    call->ctx, LUMA_E_DATA, "22001", "value too long for type %s(%d)",
                    type.id == LUMA_TYPE_BPCHAR ? "character" : "character varying", type.mod);
        *inout = luma_str_make(p, (uint32_t)keep);
    } else if (type.id == LUMA_TYPE_BPCHAR && chars < limit) {
        char *padded = luma_func_room(call, bytes + limit - chars);
        if (padded == NULL)
            return luma_func_no_memory(call);
        memcpy(padded, p, bytes);
        memset(padded + bytes, ' ', limit - chars);
        *inout = luma_str_make(padded, (uint32_t)(bytes + limit - chars));
    }
    return LUMA_OK;
}

CORE_EVAL(any_text)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(value_to_text(call, &args[0], i, &r[i]));
        LUMA_TRY(fit(call, call->result, true, &r[i]));
    }
    return LUMA_OK;
}

CORE_EVAL(text_any)
{
    struct luma_value v;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(core_host->data->from_text(call->ctx, call->arena, call->result, call->format,
                                            luma_str_slice(luma_arg_str(&args[0], i)), &v));
        if (core_host->data->vec_set(call->arena, out, i, &v) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    return LUMA_OK;
}

/* Among text, varchar and name: the bytes stay where they are. */
CORE_EVAL(text_text)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = *luma_arg_str(&args[0], i);
        if (call->result.id == LUMA_TYPE_NAME && r[i].bytes > 63)
            r[i] = luma_str_make(luma_str_data(&r[i]),
                                 (uint32_t)prefix_bytes(luma_str_data(&r[i]), 63, 63));
        LUMA_TRY(fit(call, call->result, false, &r[i]));
    }
    return LUMA_OK;
}

/* character(n) loses its padding when it becomes text. */
CORE_EVAL(bpchar_text)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        uint32_t n = s->bytes;
        while (n > 0 && luma_str_data(s)[n - 1] == ' ')
            n--;
        r[i] = luma_str_make(luma_str_data(s), n);
        LUMA_TRY(fit(call, call->result, false, &r[i]));
    }
    return LUMA_OK;
}

/* varchar(value, n, explicit): the length coercion as a function. */
CORE_EVAL(fit_length)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_type type = call->func->result;
        type.mod = luma_arg_i32(&args[1], i) - 4; /* PostgreSQL's atttypmod counts its header */
        r[i] = *luma_arg_str(&args[0], i);
        LUMA_TRY(fit(call, type, luma_arg_bool(&args[2], i), &r[i]));
    }
    return LUMA_OK;
}

CORE_EVAL(json_jsonb)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(core_host->data->doc_from_json(call->ctx, call->arena,
                                                luma_str_slice(luma_arg_str(&args[0], i)), &r[i]));
    }
    return LUMA_OK;
}

/* A jsonb scalar as bool or number. */
static luma_rc
jsonb_scalar(const struct luma_func_call *call, const struct luma_str *doc, struct luma_value *out)
{
    const struct luma_host_data *data = core_host->data;
    struct luma_slice s = luma_str_slice(doc);
    bool wants_bool = call->func->result.id == LUMA_TYPE_BOOL;
    char kind = data->doc_kind(s);
    const char *found;

    if (kind == (wants_bool ? 'b' : 'n')) {
        data->doc_scalar(s, call->arena, out);
        return LUMA_OK;
    }
    found = kind == 'o'   ? "object"
            : kind == 'a' ? "array"
            : kind == 'n' ? "numeric"
            : kind == 'b' ? "boolean"
            : kind == 'z' ? "null"
                          : "string";
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "cannot cast jsonb %s to type %s",
                         found, data->type_info(call->func->result)->sql_name);
}

CORE_EVAL(jsonb_any)
{
    const struct luma_host_data *data = core_host->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_value v, cast;
        const char *text;
        LUMA_TRY(jsonb_scalar(call, luma_arg_str(&args[0], i), &v));
        cast = v;
        if (v.type.id == LUMA_TYPE_NUMERIC && call->result.id != LUMA_TYPE_NUMERIC) {
            struct luma_vec one;
            if (data->vec_const(call->arena, &v, &one) != LUMA_OK)
                return luma_func_no_memory(call);
            if (call->result.id != LUMA_TYPE_FLOAT4 && call->result.id != LUMA_TYPE_FLOAT8) {
                LUMA_TRY(data->numeric_vec_as(call->ctx, call->arena, &one, NULL, 1,
                                              luma_type_numeric(20, 0), &one));
                v = data->vec_value(&one, 0);
            }
            text = data->value_text(&v, NULL, call->arena);
            if (text == NULL)
                return luma_func_no_memory(call);
            LUMA_TRY(data->from_text(call->ctx, call->arena, call->result, NULL,
                                     luma_slice_text(text), &cast));
        }
        if (data->vec_set(call->arena, out, i, &cast) != LUMA_OK)
            return core_out_of_range(call, data->type_info(call->func->result)->sql_name);
    }
    return LUMA_OK;
}

#define CAST(from_, to_, flags_, eval_)                                                         \
    LUMA_FUNC_OP(#to_, LUMA_FUNC_STRICT | LUMA_FUNC_CAST | (flags_), LUMA_OP_CAST, LUMA_T(to_), \
                 eval_, LUMA_T(from_))
#define ASSIGN   LUMA_FUNC_CAST_ASSIGN
#define IMPLICIT (LUMA_FUNC_CAST_ASSIGN | LUMA_FUNC_CAST_IMPLICIT)
#define DICT     LUMA_FUNC_DICT

/* Every type has a text form: assignment to strings, explicit from them. */
#define THROUGH_TEXT(t)                                        \
    CAST(t, TEXT, ASSIGN | LUMA_FUNC_STABLE, any_text),        \
        CAST(t, VARCHAR, ASSIGN | LUMA_FUNC_STABLE, any_text), \
        CAST(t, BPCHAR, ASSIGN | LUMA_FUNC_STABLE, any_text),  \
        CAST(TEXT, t, LUMA_FUNC_STABLE | DICT, text_any),      \
        CAST(VARCHAR, t, LUMA_FUNC_STABLE | DICT, text_any),   \
        CAST(BPCHAR, t, LUMA_FUNC_STABLE | DICT, text_any)

static const struct luma_func cast_functions[] = {
    THROUGH_TEXT(BOOL),
    THROUGH_TEXT(INT2),
    THROUGH_TEXT(INT4),
    THROUGH_TEXT(INT8),
    THROUGH_TEXT(FLOAT4),
    THROUGH_TEXT(FLOAT8),
    THROUGH_TEXT(NUMERIC),
    THROUGH_TEXT(BYTEA),
    THROUGH_TEXT(DATE),
    THROUGH_TEXT(TIME),
    THROUGH_TEXT(TIMESTAMP),
    THROUGH_TEXT(TIMESTAMPTZ),
    THROUGH_TEXT(INTERVAL),
    THROUGH_TEXT(UUID),
    THROUGH_TEXT(JSON),
    THROUGH_TEXT(JSONB),
    THROUGH_TEXT(OID),
    THROUGH_TEXT(VECTOR),
    CAST(TEXT, VARCHAR, IMPLICIT | DICT, text_text),
    CAST(TEXT, BPCHAR, IMPLICIT | DICT, text_text),
    CAST(TEXT, NAME, IMPLICIT | DICT, text_text),
    CAST(VARCHAR, TEXT, IMPLICIT | DICT, text_text),
    CAST(VARCHAR, BPCHAR, IMPLICIT | DICT, text_text),
    CAST(VARCHAR, NAME, IMPLICIT | DICT, text_text),
    CAST(VARCHAR, VARCHAR, IMPLICIT | DICT, text_text),
    CAST(NAME, TEXT, IMPLICIT | DICT, text_text),
    CAST(NAME, VARCHAR, ASSIGN | DICT, text_text),
    CAST(NAME, BPCHAR, ASSIGN | DICT, text_text),
    CAST(BPCHAR, TEXT, IMPLICIT | DICT, bpchar_text),
    CAST(BPCHAR, VARCHAR, IMPLICIT | DICT, bpchar_text),
    CAST(BPCHAR, NAME, IMPLICIT | DICT, bpchar_text),
    CAST(BPCHAR, BPCHAR, IMPLICIT | DICT, text_text),
    CAST(CHAR1, TEXT, IMPLICIT | DICT, text_text),
    CAST(TEXT, CHAR1, ASSIGN | DICT, text_any),
    CAST(JSON, JSONB, ASSIGN, json_jsonb),
    CAST(JSONB, JSON, ASSIGN, any_text),
    CAST(JSONB, BOOL, 0, jsonb_any),
    CAST(JSONB, INT2, 0, jsonb_any),
    CAST(JSONB, INT4, 0, jsonb_any),
    CAST(JSONB, INT8, 0, jsonb_any),
    CAST(JSONB, FLOAT4, 0, jsonb_any),
    CAST(JSONB, FLOAT8, 0, jsonb_any),
    CAST(JSONB, NUMERIC, 0, jsonb_any),
    LUMA_FUNC("varchar", LUMA_FUNC_STRICT | LUMA_FUNC_HIDDEN, LUMA_T(VARCHAR), fit_length,
              LUMA_T(VARCHAR), LUMA_T(INT4), LUMA_T(BOOL)),
    LUMA_FUNC("bpchar", LUMA_FUNC_STRICT | LUMA_FUNC_HIDDEN, LUMA_T(BPCHAR), fit_length,
              LUMA_T(BPCHAR), LUMA_T(INT4), LUMA_T(BOOL)),
};

const struct luma_func_part core_cast_text = {cast_functions, LUMA_COUNTOF(cast_functions)};
