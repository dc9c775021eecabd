/* function/json/sets.c - documents as rows: elements, members, names. */
#include "js.h"

struct rows {
    struct luma_slice doc;
    uint32_t at, count;
    struct luma_vec cols[2];
};

static bool
wants_text(const struct luma_func *func)
{
    return strstr(func->name, "_text") != NULL;
}

static luma_rc
not_an_array(const struct luma_func_call *call, char kind)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "cannot extract elements from %s",
                         kind == 'o' ? "an object" : "a scalar");
}

static luma_rc
rows_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
          void **out_state)
{
    bool elements = strstr(call->func->name, "elements") != NULL;
    struct rows *s = LUMA_NEW(call->arena, struct rows);
    struct luma_vec vec;
    char kind;

    (void)args_count;
    if (s == NULL)
        return luma_func_no_memory(call);
    *out_state = s;
    if (args[0].is_null)
        return LUMA_OK;
    if (js_host->data->vec_const(call->arena, &args[0], &vec) != LUMA_OK)
        return luma_func_no_memory(call);
    LUMA_TRY(js_doc_at(call, &vec, 0, &s->doc));
    kind = js_host->data->doc_kind(s->doc);
    if (elements && kind != 'a')
        return not_an_array(call, kind);
    if (!elements && kind != 'o')
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "cannot call %s on a non-object",
                             call->func->name);
    s->count = js_host->data->doc_count(s->doc);
    return LUMA_OK;
}

static luma_rc
put_doc(const struct luma_func_call *call, struct luma_vec *col, uint32_t row, uint32_t rows,
        struct luma_slice doc, bool text)
{
    struct luma_str *r = (struct luma_str *)col->data + row;
    bool null = false;

    if (!text)
        return js_result(
            call, doc, call->func->args[0].id == LUMA_TYPE_JSON ? LUMA_TYPE_JSON : LUMA_TYPE_JSONB,
            r);
    LUMA_TRY(js_text(call, doc, r, &null));
    return null ? luma_out_null(call, col, NULL, rows, row) : LUMA_OK;
}

static luma_rc
rows_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct rows *s = state;
    uint32_t n = s->count - s->at < LUMA_BATCH_ROWS ? s->count - s->at : LUMA_BATCH_ROWS;
    bool names = strstr(call->func->name, "keys") != NULL;
    bool each = strstr(call->func->name, "each") != NULL, text = wants_text(call->func);
    struct luma_type value_type =
        luma_type(text || names                              ? LUMA_TYPE_TEXT
                  : call->func->args[0].id == LUMA_TYPE_JSON ? LUMA_TYPE_JSON
                                                             : LUMA_TYPE_JSONB);

    memset(out, 0, sizeof(*out));
    if (!luma_vec_init(&s->cols[0], call->arena, each ? luma_type(LUMA_TYPE_TEXT) : value_type,
                       n) ||
        !luma_vec_init(&s->cols[1], call->arena, value_type, n))
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_slice name, doc;
        if (!js_host->data->doc_at(s->doc, s->at + i, &name, &doc))
            return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "a stored document is not sound");
        if (names || each)
            luma_out_str(&s->cols[0], i, (const char *)name.data, name.bytes);
        if (!names)
            LUMA_TRY(put_doc(call, &s->cols[each], i, n, doc, text));
    }
    s->at += n;
    out->rows = out->sel_rows = n;
    out->cols_count = each ? 2 : 1;
    out->cols = s->cols;
    return LUMA_OK;
}

/* The array of a call, and how many elements it has. */
static luma_rc
elements_at(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
            struct luma_slice *out_doc, uint32_t *out_count)
{
    char kind;

    *out_count = 0;
    if (luma_vec_is_null(vec, row))
        return LUMA_OK;
    LUMA_TRY(js_doc_at(call, vec, row, out_doc));
    kind = js_host->data->doc_kind(*out_doc);
    if (kind != 'a')
        return not_an_array(call, kind);
    *out_count = js_host->data->doc_count(*out_doc);
    return LUMA_OK;
}

static luma_rc
elements_expand(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
                const uint16_t *sel, uint32_t rows, struct luma_func_expand *at,
                struct luma_batch *out, uint16_t *origin)
{
    struct luma_vec *col = luma_set_column(call);
    bool text = wants_text(call->func);
    uint32_t n = 0;

    (void)args_count;
    if (col == NULL)
        return luma_func_no_memory(call);
    for (; at->row < rows && n < LUMA_BATCH_ROWS; at->row++, at->item = 0) {
        struct luma_slice array = {0}, name, doc;
        uint32_t count;
        LUMA_TRY(elements_at(call, &args[0], sel == NULL ? at->row : sel[at->row], &array, &count));
        for (; at->item < count && n < LUMA_BATCH_ROWS; at->item++) {
            if (!js_host->data->doc_at(array, at->item, &name, &doc))
                return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "a stored document is not sound");
            LUMA_TRY(put_doc(call, col, n, LUMA_BATCH_ROWS, doc, text));
            origin[n++] = (uint16_t)at->row;
        }
        if (at->item < count)
            break;
    }
    luma_set_rows(out, col, n);
    return LUMA_OK;
}

static luma_rc
each_columns(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
             uint32_t *out_count, const char *const **out_names, const struct luma_type **out_types)
{
    static const char *const names[] = {"key", "value"};
    struct luma_type *types = luma_arena_alloc(call->arena, sizeof(*types) * 2);

    (void)args;
    (void)args_count;
    if (types == NULL)
        return luma_func_no_memory(call);
    types[0] = luma_type(LUMA_TYPE_TEXT);
    types[1] = luma_type(wants_text(call->func)                     ? LUMA_TYPE_TEXT
                         : call->func->args[0].id == LUMA_TYPE_JSON ? LUMA_TYPE_JSON
                                                                    : LUMA_TYPE_JSONB);
    *out_count = 2;
    *out_names = names;
    *out_types = types;
    return LUMA_OK;
}

static luma_rc
value_columns(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
              uint32_t *out_count, const char *const **out_names,
              const struct luma_type **out_types)
{
    static const char *const names[] = {"value"};

    (void)args;
    (void)args_count;
    *out_count = 1;
    *out_names = names;
    *out_types = &call->func->result;
    return LUMA_OK;
}

static const struct luma_func_set names_set = {.open = rows_open, .next = rows_next};
static const struct luma_func_set values_set = {
    .columns = value_columns, .open = rows_open, .next = rows_next, .expand = elements_expand};
/* Text is read once a call: expand would read all of it again for each batch of elements. */
static const struct luma_func_set text_values_set = {
    .columns = value_columns, .open = rows_open, .next = rows_next};
static const struct luma_func_set each_set = {
    .columns = each_columns, .open = rows_open, .next = rows_next};

#define SET(name_, type_, result_, set_)                                           \
    {                                                                              \
        .name = name_, .flags = LUMA_FUNC_SET | LUMA_FUNC_STRICT, .args_count = 1, \
        .args = {LUMA_T(type_)}, .result = LUMA_T(result_), .set = &(set_)         \
    }

#undef JSON
#undef JSONB
#undef TEXT

static const struct luma_func set_functions[] = {
    SET("json_array_elements", JSON, JSON, text_values_set),
    SET("jsonb_array_elements", JSONB, JSONB, values_set),
    SET("json_array_elements_text", JSON, TEXT, text_values_set),
    SET("jsonb_array_elements_text", JSONB, TEXT, values_set),
    SET("json_object_keys", JSON, TEXT, names_set),
    SET("jsonb_object_keys", JSONB, TEXT, names_set),
    SET("json_each", JSON, RECORD, each_set),
    SET("jsonb_each", JSONB, RECORD, each_set),
    SET("json_each_text", JSON, RECORD, each_set),
    SET("jsonb_each_text", JSONB, RECORD, each_set),
};

const struct luma_func_part js_sets = {set_functions, LUMA_COUNTOF(set_functions)};
