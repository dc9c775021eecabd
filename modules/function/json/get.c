/* function/json/get.c - reading documents: -> ->> #> #>> @> ? and their kin. */
#include <lumadb/host/store.h>

#include "js.h"

/* The answer of ->, ->>, #>, #>>: absent is null; ->> of null is null. */
static luma_rc
answer(const struct luma_func_call *call, bool found, struct luma_slice doc, const uint16_t *sel,
       uint32_t rows, uint32_t row, struct luma_vec *out)
{
    struct luma_str *r = (struct luma_str *)out->data + row;
    bool null = !found;

    if (found && call->func->result.id == LUMA_TYPE_TEXT)
        LUMA_TRY(js_text(call, doc, r, &null));
    else if (found)
        LUMA_TRY(js_result(call, doc, (enum luma_type_id)call->func->result.id, r));
    return null ? luma_out_null(call, out, sel, rows, row) : LUMA_OK;
}

/* json keeps what is written: a step into the text itself. */
static luma_rc
text_step(const struct luma_func_call *call, const struct luma_vec *docs,
          const struct luma_path_step *step, const uint16_t *sel, uint32_t rows, uint32_t row,
          struct luma_vec *out)
{
    struct luma_str *r = (struct luma_str *)out->data + row;
    const struct luma_str *json = luma_vec_at(docs, row);
    bool null;
    LUMA_TRY(js_host->data->json_path(call->ctx, call->arena, luma_str_slice(json), step, 1,
                                      call->func->result.id == LUMA_TYPE_TEXT, r, &null));
    return null ? luma_out_null(call, out, sel, rows, row) : LUMA_OK;
}

static luma_rc
text_field(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
           uint32_t rows, struct luma_vec *out)
{
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_path_step step = {.name = luma_str_slice(luma_arg_str(&args[1], i))};
        LUMA_TRY(text_step(call, &args[0], &step, sel, rows, i, out));
    }
    return LUMA_OK;
}

JS_EVAL(get_field)
{
    (void)args_count;
    if (args[0].type.id == LUMA_TYPE_JSON)
        return text_field(call, args, sel, rows, out);
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc, found = {NULL, 0};
        bool has;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        has = js_host->data->doc_field(doc, luma_str_slice(luma_arg_str(&args[1], i)), &found);
        LUMA_TRY(answer(call, has, found, sel, rows, i, out));
    }
    return LUMA_OK;
}

JS_EVAL(get_element)
{
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc, found = {NULL, 0};
        bool has;
        if (args[0].type.id == LUMA_TYPE_JSON && luma_arg_i32(&args[1], i) >= 0) {
            const struct luma_path_step step = {.is_index = true,
                                                .index = (uint32_t)luma_arg_i32(&args[1], i)};
            LUMA_TRY(text_step(call, &args[0], &step, sel, rows, i, out));
            continue;
        }
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        has = js_host->data->doc_element(doc, luma_arg_i32(&args[1], i), &found);
        if (!has && js_host->data->doc_kind(doc) != 'a' && js_host->data->doc_kind(doc) != 'o' &&
            (luma_arg_i32(&args[1], i) == 0 || luma_arg_i32(&args[1], i) == -1)) {
            found = doc; /* a scalar counts as an array of one */
            has = true;
        }
        LUMA_TRY(answer(call, has, found, sel, rows, i, out));
    }
    return LUMA_OK;
}

JS_EVAL(get_path)
{
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        struct luma_str *steps;
        bool *nulls, has = true;
        uint32_t count;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        LUMA_TRY(js_path(call, &args[1], i, &steps, &nulls, &count));
        for (uint32_t k = 0; k < count && has; k++)
            has = !nulls[k] && js_step(doc, &steps[k], &doc);
        LUMA_TRY(answer(call, has, doc, sel, rows, i, out));
    }
    return LUMA_OK;
}

/* jsonb_extract_path(doc, step, step ...) */
JS_EVAL(extract_path)
{
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        bool has = true;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        for (uint32_t a = 1; a < args_count && has; a++)
            has = js_step(doc, luma_arg_str(&args[a], i), &doc);
        LUMA_TRY(answer(call, has, doc, sel, rows, i, out));
    }
    return LUMA_OK;
}

JS_EVAL(contains)
{
    bool flip = call->func->name[0] == '<' || strcmp(call->func->name, "jsonb_contained") == 0;
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice x, y;
        LUMA_TRY(js_doc_at(call, &args[flip], i, &x));
        LUMA_TRY(js_doc_at(call, &args[!flip], i, &y));
        r[i] = js_host->data->doc_contains(x, y);
    }
    return LUMA_OK;
}

/* A name of an object, or a string among the elements of an array, or the string itself. */
static bool
has_key(struct luma_slice doc, const struct luma_str *key)
{
    const struct luma_host_data *data = js_host->data;
    char kind = data->doc_kind(doc);
    struct luma_slice name, at;
    struct luma_value v;

    if (kind == 'o')
        return data->doc_field(doc, luma_str_slice(key), &at);
    if (kind == 's')
        return data->doc_scalar(doc, NULL, &v) && luma_str_equal(&v.str, key);
    for (uint32_t i = 0; kind == 'a' && i < data->doc_count(doc); i++)
        if (data->doc_at(doc, i, &name, &at) && data->doc_kind(at) == 's' &&
            data->doc_scalar(at, NULL, &v) && luma_str_equal(&v.str, key))
            return true;
    return false;
}

JS_EVAL(exists_key)
{
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        r[i] = has_key(doc, luma_arg_str(&args[1], i));
    }
    return LUMA_OK;
}

/* ?| any, ?& all */
JS_EVAL(exists_keys)
{
    bool all = call->func->name[1] == '&' || strstr(call->func->name, "all") != NULL;
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        struct luma_str *keys;
        bool *nulls, result = all;
        uint32_t count;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        LUMA_TRY(js_path(call, &args[1], i, &keys, &nulls, &count));
        for (uint32_t k = 0; k < count; k++)
            if (!nulls[k] && has_key(doc, &keys[k]) != all) {
                result = !all;
                break;
            }
        r[i] = result;
    }
    return LUMA_OK;
}

JS_EVAL(type_of)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        const char *name;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        switch (js_host->data->doc_kind(doc)) {
        case 'o':
            name = "object";
            break;
        case 'a':
            name = "array";
            break;
        case 'n':
            name = "number";
            break;
        case 'b':
            name = "boolean";
            break;
        case 'z':
            name = "null";
            break;
        default:
            name = "string";
            break;
        }
        r[i] = luma_str_make(name, (uint32_t)strlen(name));
    }
    return LUMA_OK;
}

JS_EVAL(array_length)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        char kind;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        kind = js_host->data->doc_kind(doc);
        if (kind != 'a')
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "cannot get array length of a %s",
                                 kind == 'o' ? "non-array" : "scalar");
        r[i] = (int32_t)js_host->data->doc_count(doc);
    }
    return LUMA_OK;
}

JS_EVAL(pretty)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        char *text;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        text = luma_func_room(call, js_host->data->doc_text_bound(doc));
        if (text == NULL)
            return luma_func_no_memory(call);
        r[i] = luma_str_make(text, (uint32_t)js_host->data->doc_text_write(doc, true, text));
    }
    return LUMA_OK;
}

static const struct luma_func get_functions[] = {
    LUMA_FUNC("->", OP, JSON, get_field, JSON, TEXT),
    LUMA_FUNC("->", OP, JSONB, get_field, JSONB, TEXT),
    LUMA_FUNC("->>", OP, TEXT, get_field, JSON, TEXT),
    LUMA_FUNC("->>", OP, TEXT, get_field, JSONB, TEXT),
    LUMA_FUNC("->", OP, JSON, get_element, JSON, INT),
    LUMA_FUNC("->", OP, JSONB, get_element, JSONB, INT),
    LUMA_FUNC("->>", OP, TEXT, get_element, JSON, INT),
    LUMA_FUNC("->>", OP, TEXT, get_element, JSONB, INT),
    LUMA_FUNC("#>", OP, JSON, get_path, JSON, LUMA_TA(TEXT)),
    LUMA_FUNC("#>", OP, JSONB, get_path, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("#>>", OP, TEXT, get_path, JSON, LUMA_TA(TEXT)),
    LUMA_FUNC("#>>", OP, TEXT, get_path, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("json_extract_path", STRICT | LUMA_FUNC_VARIADIC, JSON, extract_path, JSON, TEXT),
    LUMA_FUNC("jsonb_extract_path", STRICT | LUMA_FUNC_VARIADIC, JSONB, extract_path, JSONB, TEXT),
    LUMA_FUNC("json_extract_path_text", STRICT | LUMA_FUNC_VARIADIC, TEXT, extract_path, JSON,
              TEXT),
    LUMA_FUNC("jsonb_extract_path_text", STRICT | LUMA_FUNC_VARIADIC, TEXT, extract_path, JSONB,
              TEXT),
    LUMA_FUNC("@>", OP, BOOL, contains, JSONB, JSONB),
    LUMA_FUNC("<@", OP, BOOL, contains, JSONB, JSONB),
    LUMA_FUNC("jsonb_contains", STRICT, BOOL, contains, JSONB, JSONB),
    LUMA_FUNC("jsonb_contained", STRICT, BOOL, contains, JSONB, JSONB),
    LUMA_FUNC("?", OP, BOOL, exists_key, JSONB, TEXT),
    LUMA_FUNC("?|", OP, BOOL, exists_keys, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("?&", OP, BOOL, exists_keys, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("jsonb_exists", STRICT, BOOL, exists_key, JSONB, TEXT),
    LUMA_FUNC("jsonb_exists_any", STRICT, BOOL, exists_keys, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("jsonb_exists_all", STRICT, BOOL, exists_keys, JSONB, LUMA_TA(TEXT)),
    LUMA_FUNC("json_typeof", STRICT, TEXT, type_of, JSON),
    LUMA_FUNC("jsonb_typeof", STRICT, TEXT, type_of, JSONB),
    LUMA_FUNC("json_array_length", STRICT, INT, array_length, JSON),
    LUMA_FUNC("jsonb_array_length", STRICT, INT, array_length, JSONB),
    LUMA_FUNC("jsonb_pretty", STRICT, TEXT, pretty, JSONB),
};

const struct luma_func_part js_get = {get_functions, LUMA_COUNTOF(get_functions)};
