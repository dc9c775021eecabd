/* function/json/build.c - documents and JSON text from values, and their aggregates. */
#include "js.h"

/* A growing text in the arena. */
struct text {
    const struct luma_func_call *call;
    char *data;
    size_t bytes, room_bytes;
};

static luma_rc
put(struct text *t, const char *data, size_t bytes)
{
    if (t->bytes + bytes > t->room_bytes) {
        size_t room = (t->bytes + bytes) * 2 + 64;
        char *more = room > UINT32_MAX / 2 ? NULL : luma_func_room(t->call, room);
        if (more == NULL)
            return luma_func_no_memory(t->call);
        if (t->bytes > 0)
            memcpy(more, t->data, t->bytes);
        t->data = more;
        t->room_bytes = room;
    }
    if (bytes > 0)
        memcpy(t->data + t->bytes, data, bytes);
    t->bytes += bytes;
    return LUMA_OK;
}

static luma_rc
put_json(struct text *t, const struct luma_value *value)
{
    struct luma_str str;

    LUMA_TRY(
        js_host->data->json_from_value(t->call->ctx, t->call->arena, t->call->format, value, &str));
    return put(t, luma_str_data(&str), str.bytes);
}

/* A name: the value's text, in quotes. */
static luma_rc
put_name(struct text *t, const struct luma_value *value)
{
    struct luma_value name = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
    const char *text;

    if (value->is_null)
        return LUMA_FAIL_SQL(t->call->ctx, LUMA_E_INVALID, "22023", "field name must not be null");
    text = js_host->data->value_text(value, t->call->format, t->call->arena);
    if (text == NULL)
        return luma_func_no_memory(t->call);
    name.str = luma_str_make(text, (uint32_t)strlen(text));
    return put_json(t, &name);
}

JS_EVAL(to_json)
{
    bool binary = call->func->result.id == LUMA_TYPE_JSONB;
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_value v = js_host->data->vec_value(&args[0], i);
        LUMA_TRY((binary ? js_host->data->doc_make_value : js_host->data->json_from_value)(
            call->ctx, call->arena, call->format, &v, &r[i]));
    }
    return LUMA_OK;
}

/* --- json_build_*: text; jsonb_build_*: the same text as a document --- */

static luma_rc
finish(const struct luma_func_call *call, const struct text *t, struct luma_str *out)
{
    if (call->func->result.id == LUMA_TYPE_JSONB)
        return js_host->data->doc_from_json(call->ctx, call->arena, luma_slice(t->data, t->bytes),
                                            out);
    *out = luma_str_make(t->data, (uint32_t)t->bytes);
    return LUMA_OK;
}

JS_EVAL(build_array)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct text t = {.call = call};
        LUMA_TRY(put(&t, "[", 1));
        for (uint32_t a = 0; a < args_count; a++) {
            struct luma_value v = js_host->data->vec_value(&args[a], i);
            if (a > 0)
                LUMA_TRY(put(&t, ", ", 2));
            LUMA_TRY(put_json(&t, &v));
        }
        LUMA_TRY(put(&t, "]", 1));
        LUMA_TRY(finish(call, &t, &r[i]));
    }
    return LUMA_OK;
}

JS_EVAL(build_object)
{
    struct luma_str *r = out->data;

    if (args_count % 2 != 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                             "argument list must have even number of elements");
    LUMA_ROWS(sel, rows, i)
    {
        struct text t = {.call = call};
        LUMA_TRY(put(&t, "{", 1));
        for (uint32_t a = 0; a < args_count; a += 2) {
            struct luma_value name = js_host->data->vec_value(&args[a], i);
            struct luma_value v = js_host->data->vec_value(&args[a + 1], i);
            if (name.is_null)
                return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                     "argument %u: key must not be null", a + 1);
            if (name.type.id == LUMA_TYPE_ARRAY || name.type.id == LUMA_TYPE_JSON ||
                name.type.id == LUMA_TYPE_JSONB || name.type.id == LUMA_TYPE_RECORD)
                return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                     "key value must be scalar, not array, composite, or json");
            if (a > 0)
                LUMA_TRY(put(&t, ", ", 2));
            LUMA_TRY(put_name(&t, &name));
            LUMA_TRY(put(&t, " : ", 3));
            LUMA_TRY(put_json(&t, &v));
        }
        LUMA_TRY(put(&t, "}", 1));
        LUMA_TRY(finish(call, &t, &r[i]));
    }
    return LUMA_OK;
}

/* --- json_object(text[]), json_object(text[], text[]) --- */

static luma_rc
put_member(struct text *t, uint32_t at, bool name_null, const struct luma_str *name, bool null,
           const struct luma_str *value)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
    if (name_null)
        return LUMA_FAIL_SQL(t->call->ctx, LUMA_E_DATA, "22004",
                             "null value not allowed for object key");
    if (at > 0)
        LUMA_TRY(put(t, ", ", 2));
    v.str = *name;
    LUMA_TRY(put_json(t, &v));
    LUMA_TRY(put(t, " : ", 3));
    if (null)
        return put(t, "null", 4);
    v.str = *value;
    return put_json(t, &v);
}

static luma_rc
object_row(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           uint32_t row, struct luma_str *out)
{
    struct text t = {.call = call};
    struct luma_str *names, *values;
    bool *names_null, *values_null;
    uint32_t count, values_count, step = args_count == 1 ? 2 : 1;
    LUMA_TRY(js_path(call, &args[0], row, &names, &names_null, &count));
    values = names + 1;
    values_null = names_null + 1;
    values_count = count;
    if (args_count > 1)
        LUMA_TRY(js_path(call, &args[1], row, &values, &values_null, &values_count));
    if (values_count != count)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "2202E", "mismatched array dimensions");
    if (count % step != 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "2202E",
                             "array must have even number of elements");
    LUMA_TRY(put(&t, "{", 1));
    for (uint32_t i = 0; i < count; i += step)
        LUMA_TRY(put_member(&t, i, names_null[i], &names[i], values_null[i], &values[i]));
    LUMA_TRY(put(&t, "}", 1));
    return finish(call, &t, out);
}

JS_EVAL(object_of_arrays)
{
    struct luma_str *r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(object_row(call, args, args_count, i, &r[i]));
    }
    return LUMA_OK;
}

#define ANY   LUMA_T(ANY)
#define TEXTS LUMA_TA(TEXT)

static const struct luma_func build_functions[] = {
    LUMA_FUNC("to_json", STRICT | LUMA_FUNC_STABLE, JSON, to_json, LUMA_T(ANYELEMENT)),
    LUMA_FUNC("to_jsonb", STRICT | LUMA_FUNC_STABLE, JSONB, to_json, LUMA_T(ANYELEMENT)),
    LUMA_FUNC("array_to_json", STRICT | LUMA_FUNC_STABLE, JSON, to_json, LUMA_T(ANYARRAY)),
    LUMA_FUNC("json_object", STRICT, JSON, object_of_arrays, TEXTS),
    LUMA_FUNC("json_object", STRICT, JSON, object_of_arrays, TEXTS, TEXTS),
    LUMA_FUNC("jsonb_object", STRICT, JSONB, object_of_arrays, TEXTS),
    LUMA_FUNC("jsonb_object", STRICT, JSONB, object_of_arrays, TEXTS, TEXTS),
    LUMA_FUNC0("json_build_array", LUMA_FUNC_STABLE, JSON, build_array),
    LUMA_FUNC0("jsonb_build_array", LUMA_FUNC_STABLE, JSONB, build_array),
    LUMA_FUNC0("json_build_object", LUMA_FUNC_STABLE, JSON, build_object),
    LUMA_FUNC0("jsonb_build_object", LUMA_FUNC_STABLE, JSONB, build_object),
    LUMA_FUNC("json_build_array", LUMA_FUNC_STABLE | LUMA_FUNC_VARIADIC, JSON, build_array, ANY),
    LUMA_FUNC("jsonb_build_array", LUMA_FUNC_STABLE | LUMA_FUNC_VARIADIC, JSONB, build_array, ANY),
    LUMA_FUNC("json_build_object", LUMA_FUNC_STABLE | LUMA_FUNC_VARIADIC, JSON, build_object, ANY),
    LUMA_FUNC("jsonb_build_object", LUMA_FUNC_STABLE | LUMA_FUNC_VARIADIC, JSONB, build_object,
              ANY),
};

const struct luma_func_part js_build = {build_functions, LUMA_COUNTOF(build_functions)};

/* --- aggregates: the text grows, without its brackets --- */

struct gathered {
    char *data;
    uint64_t bytes, room_bytes;
    bool has;
};

static luma_rc
gather(const struct luma_func_call *call, struct gathered *g, const struct luma_value *name,
       const struct luma_value *value)
{
    struct text t = {call, g->data, g->bytes, g->room_bytes};

    if (g->has)
        LUMA_TRY(put(&t, ", ", 2));
    if (name != NULL) {
        LUMA_TRY(put_name(&t, name));
        LUMA_TRY(put(&t, " : ", 3));
    }
    LUMA_TRY(put_json(&t, value));
    *g = (struct gathered){t.data, t.bytes, t.room_bytes, true};
    return LUMA_OK;
}

static luma_rc
gather_update(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
              const uint16_t *sel, uint32_t rows, void *const *states)
{
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        struct luma_value first = js_host->data->vec_value(&args[0], row);
        if (args_count == 1) {
            LUMA_TRY(gather(call, states[k], NULL, &first));
        } else {
            struct luma_value value = js_host->data->vec_value(&args[1], row);
            LUMA_TRY(gather(call, states[k], &first, &value));
        }
    }
    return LUMA_OK;
}

static luma_rc
gather_merge(const struct luma_func_call *call, void *into, void *from)
{
    struct gathered *a = into, *b = from;
    struct text t = {call, a->data, a->bytes, a->room_bytes};

    if (!b->has)
        return LUMA_OK;
    if (a->has)
        LUMA_TRY(put(&t, ", ", 2));
    LUMA_TRY(put(&t, b->data, b->bytes));
    *a = (struct gathered){t.data, t.bytes, t.room_bytes, true};
    return LUMA_OK;
}

static luma_rc
gather_finish(const struct luma_func_call *call, void *state, struct luma_value *out)
{
    const struct gathered *g = state;
    bool object = strstr(call->func->name, "object") != NULL;
    struct text t = {.call = call};

    memset(out, 0, sizeof(*out));
    out->type = call->func->result;
    out->phys = LUMA_PHYS_STR;
    out->is_null = !g->has;
    if (!g->has)
        return LUMA_OK;
    LUMA_TRY(
        put(&t, object ? "{ " : "[", object && call->func->result.id == LUMA_TYPE_JSON ? 2 : 1));
    LUMA_TRY(put(&t, g->data, g->bytes));
    if (object)
        LUMA_TRY(put(&t, " }", 2));
    else
        LUMA_TRY(put(&t, "]", 1));
    return finish(call, &t, &out->str);
}

static const struct luma_func_aggregate gather_agg = {.state_bytes = sizeof(struct gathered),
                                                      .update = gather_update,
                                                      .merge = gather_merge,
                                                      .finish = gather_finish};

#define LUMA_T_JSON  LUMA_T(JSON)
#define LUMA_T_JSONB LUMA_T(JSONB)
#define AGG(name_, result_, ...)                                                                   \
    LUMA_FUNC_OP_(name_, LUMA_FUNC_AGGREGATE | LUMA_FUNC_STABLE, LUMA_OP_NONE, NULL, __VA_ARGS__), \
        .result = LUMA_T_##result_, .aggregate = &gather_agg                                       \
    }

static const struct luma_func aggregate_functions[] = {
    AGG("json_agg", JSON, LUMA_T(ANYELEMENT)),
    AGG("jsonb_agg", JSONB, LUMA_T(ANYELEMENT)),
    AGG("json_object_agg", JSON, ANY, ANY),
    AGG("jsonb_object_agg", JSONB, ANY, ANY),
};

const struct luma_func_part js_aggregates = {aggregate_functions,
                                             LUMA_COUNTOF(aggregate_functions)};
