/* function/json/json.c - the package, and what its files share. */
#include "js.h"

const struct luma_host *js_host;

luma_rc
js_doc_at(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
          struct luma_slice *out)
{
    const struct luma_str *s = luma_vec_at(vec, row);
    struct luma_str *made;

    if (vec->type.id == LUMA_TYPE_JSONB) {
        *out = luma_str_slice(s); /* inline bytes stay valid: they lie in the vector */
        return LUMA_OK;
    }
    made = luma_arena_alloc(call->arena, sizeof(*made));
    if (made == NULL)
        return luma_func_no_memory(call);
    LUMA_TRY(js_host->data->doc_from_json(call->ctx, call->arena, luma_str_slice(s), made));
    *out = luma_str_slice(made);
    return LUMA_OK;
}

static luma_rc
doc_text(const struct luma_func_call *call, struct luma_slice doc, struct luma_str *out)
{
    char *text = luma_func_room(call, js_host->data->doc_text_bound(doc));

    if (text == NULL)
        return luma_func_no_memory(call);
    *out = luma_str_make(text, (uint32_t)js_host->data->doc_text_write(doc, false, text));
    return LUMA_OK;
}

luma_rc
js_text(const struct luma_func_call *call, struct luma_slice doc, struct luma_str *out,
        bool *out_null)
{
    char kind = js_host->data->doc_kind(doc);
    struct luma_value v;

    *out_null = kind == 'z';
    if (kind == 'z')
        return LUMA_OK;
    if (kind == 's' && js_host->data->doc_scalar(doc, call->arena, &v)) {
        *out = v.str;
        return LUMA_OK;
    }
    return doc_text(call, doc, out);
}

luma_rc
js_result(const struct luma_func_call *call, struct luma_slice doc, enum luma_type_id type,
          struct luma_str *out)
{
    if (type != LUMA_TYPE_JSONB)
        return doc_text(call, doc, out);
    *out = luma_str_make((const char *)doc.data, (uint32_t)doc.bytes);
    return LUMA_OK;
}

luma_rc
js_path(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
        struct luma_str **out_items, bool **out_nulls, uint32_t *out_count)
{
    const struct luma_host_data *data = js_host->data;
    const struct luma_str *array = luma_vec_at(vec, row);
    uint32_t count = data->array_count(array);
    struct luma_str *items = luma_arena_zalloc(call->arena, sizeof(*items) * ((size_t)count + 1));
    bool *nulls = luma_arena_zalloc(call->arena, sizeof(*nulls) * ((size_t)count + 1));

    if (items == NULL || nulls == NULL)
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        nulls[i] = data->array_get(array, luma_type(LUMA_TYPE_TEXT), i, &v) != LUMA_OK || v.is_null;
        if (!nulls[i])
            items[i] = v.str;
    }
    *out_items = items;
    *out_nulls = nulls;
    *out_count = count;
    return LUMA_OK;
}

bool
js_index(const struct luma_str *text, int64_t *out)
{
    const char *p = luma_str_data(text), *end = p + text->bytes;
    bool negative = p < end && *p == '-';
    int64_t v = 0;

    p += negative;
    if (p == end || end - p > 9)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        v = v * 10 + (*p - '0');
    }
    *out = negative ? -v : v;
    return true;
}

bool
js_step(struct luma_slice doc, const struct luma_str *step, struct luma_slice *out)
{
    int64_t index;

    switch (js_host->data->doc_kind(doc)) {
    case 'o':
        return js_host->data->doc_field(doc, luma_str_slice(step), out);
    case 'a':
        return js_index(step, &index) && js_host->data->doc_element(doc, index, out);
    default:
        return false;
    }
}

luma_rc
js_members(const struct luma_func_call *call, struct luma_slice doc, struct luma_slice **out_names,
           struct luma_slice **out_docs, uint32_t spare, uint32_t *out_count)
{
    uint32_t count = js_host->data->doc_count(doc);
    size_t room = (size_t)count + spare + 1;
    struct luma_slice *names = luma_arena_zalloc(call->arena, sizeof(*names) * room);
    struct luma_slice *docs = luma_arena_zalloc(call->arena, sizeof(*docs) * room);

    if (names == NULL || docs == NULL)
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < count; i++)
        if (!js_host->data->doc_at(doc, i, &names[i], &docs[i]))
            return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "a stored document is not sound");
    *out_names = names;
    *out_docs = docs;
    *out_count = count;
    return LUMA_OK;
}

static struct luma_function_package js_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
js_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    const struct luma_func_part parts[] = {js_get,  js_change,     js_build,
                                           js_sets, js_aggregates, js_paths};

    (void)conf;
    js_host = host;
    if (!luma_function_package_join(&js_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "json", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "json and jsonb",
            .offers = LUMA_OFFERS({"function.json", &js_package.head}), .init = js_init);
