/* function/json/path.c - jsonb_path_exists and its kin, @? and @@. */
#include "path.h"

static luma_rc
variables(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
          uint32_t row, struct luma_slice *out)
{
    *out = luma_slice(NULL, 0);
    if (args_count < 3)
        return LUMA_OK;
    LUMA_TRY(js_doc_at(call, &args[2], row, out));
    if (js_host->data->doc_kind(*out) == 'o')
        return LUMA_OK;
    luma_rc rc =
        LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "\"vars\" argument is not an object");
    call->ctx->error->detail =
        "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.";
    return rc;
}

static luma_rc
run(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
    uint32_t row, struct js_items *out, bool *out_failed, bool *out_silent)
{
    struct luma_slice doc, vars;
    *out_silent = (call->func->flags & LUMA_FUNC_OPERATOR) != 0 ||
                  (args_count > 3 && *(const uint8_t *)luma_vec_at(&args[3], row) != 0);
    LUMA_TRY(js_doc_at(call, &args[0], row, &doc));
    LUMA_TRY(variables(call, args, args_count, row, &vars));
    return js_jsonpath_run(call, luma_vec_at(&args[1], row), doc, vars, *out_silent, out,
                           out_failed);
}

JS_EVAL(path_exists)
{
    uint8_t *r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct js_items items;
        bool failed, silent;
        LUMA_TRY(run(call, args, args_count, i, &items, &failed, &silent));
        if (failed)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            r[i] = items.count > 0;
    }
    return LUMA_OK;
}

JS_EVAL(path_match)
{
    uint8_t *r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct js_items items;
        bool failed, silent;
        LUMA_TRY(run(call, args, args_count, i, &items, &failed, &silent));
        char kind = !failed && items.count == 1 ? js_host->data->doc_kind(items.list[0]) : ' ';
        struct luma_value v;
        if (kind == 'b' && js_host->data->doc_scalar(items.list[0], call->arena, &v)) {
            r[i] = v.b;
            continue;
        }
        if (kind != 'z' && !silent)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22038",
                                 "single boolean result is expected");
        LUMA_TRY(luma_out_null(call, out, sel, rows, i));
    }
    return LUMA_OK;
}

JS_EVAL(path_first)
{
    struct luma_str *r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct js_items items;
        bool failed, silent;
        LUMA_TRY(run(call, args, args_count, i, &items, &failed, &silent));
        if (items.count == 0)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            LUMA_TRY(js_result(call, items.list[0], LUMA_TYPE_JSONB, &r[i]));
    }
    return LUMA_OK;
}

JS_EVAL(path_array)
{
    struct luma_str *r = out->data;
    LUMA_ROWS(sel, rows, i)
    {
        struct js_items items;
        bool failed, silent;
        LUMA_TRY(run(call, args, args_count, i, &items, &failed, &silent));
        LUMA_TRY(
            js_host->data->doc_make_array(call->ctx, call->arena, items.list, items.count, &r[i]));
    }
    return LUMA_OK;
}

/* ---- jsonb_path_query: a row for each item ---- */

struct rows {
    struct js_items items;
    uint32_t at;
    struct luma_vec col;
};

static luma_rc
query_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
           void **out_state)
{
    struct rows *s = LUMA_NEW(call->arena, struct rows);
    struct luma_vec vecs[4];
    bool failed, silent;
    if (s == NULL)
        return luma_func_no_memory(call);
    *out_state = s;
    for (uint32_t i = 0; i < args_count && i < 4; i++) {
        if (args[i].is_null)
            return LUMA_OK;
        if (js_host->data->vec_const(call->arena, &args[i], &vecs[i]) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    return run(call, vecs, args_count, 0, &s->items, &failed, &silent);
}

static luma_rc
query_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct rows *s = state;
    uint32_t left = s->items.count - s->at, n = left < LUMA_BATCH_ROWS ? left : LUMA_BATCH_ROWS;
    if (!luma_vec_init(&s->col, call->arena, luma_type(LUMA_TYPE_JSONB), n))
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < n; i++)
        LUMA_TRY(js_result(call, s->items.list[s->at + i], LUMA_TYPE_JSONB,
                           (struct luma_str *)s->col.data + i));
    s->at += n;
    luma_set_rows(out, &s->col, n);
    return LUMA_OK;
}

static const struct luma_func_set query_set = {.open = query_open, .next = query_next};

/* ---- like_regex ---- */

static const struct luma_func *
regexp_like(void)
{
    const struct luma_head *head =
        js_host->services->lookup("function.string", LUMA_FUNCTION_MAJOR);
    const struct luma_function_package *package = (const struct luma_function_package *)head;
    for (size_t i = 0; package != NULL && i < package->functions_count; i++)
        if (strcmp(package->functions[i].name, "regexp_like") == 0 &&
            package->functions[i].args_count == 3)
            return &package->functions[i];
    return NULL;
}

/* XQuery's flags as the ones that PostgreSQL's regular expressions know. */
static const char *
flags_of(uint8_t flags)
{
    bool fold = (flags & LUMA_JSONPATH_REGEX_I) != 0;
    bool dot = (flags & LUMA_JSONPATH_REGEX_S) != 0, lines = (flags & LUMA_JSONPATH_REGEX_M) != 0;
    if ((flags & LUMA_JSONPATH_REGEX_Q) != 0)
        return fold ? "qi" : "q";
    if (dot)
        return lines ? (fold ? "wi" : "w") : (fold ? "si" : "s");
    return lines ? (fold ? "ni" : "n") : (fold ? "pi" : "p");
}

luma_rc
js_jsonpath_like(const struct luma_func_call *call, struct luma_slice text,
                 const struct js_node *node, bool *out)
{
    const struct luma_func *f = regexp_like();
    const char *flags = flags_of(node->flag);
    const struct luma_slice texts[3] = {text, node->text, luma_slice(flags, strlen(flags))};
    struct luma_vec args[3], result;
    if (f == NULL)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "like_regex needs the module function/string");
    for (int i = 0; i < 3; i++) {
        struct luma_value v = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
        v.str = luma_str_make((const char *)texts[i].data, (uint32_t)texts[i].bytes);
        LUMA_TRY(js_host->data->vec_const(call->arena, &v, &args[i]));
    }
    struct luma_func_call inner = {.ctx = call->ctx,
                                   .arena = call->arena,
                                   .func = f,
                                   .format = call->format,
                                   .result = luma_type(LUMA_TYPE_BOOL)};
    if (!luma_vec_init(&result, call->arena, inner.result, 1))
        return luma_func_no_memory(call);
    LUMA_TRY(f->eval(&inner, args, 3, NULL, 1, &result));
    *out = *(const uint8_t *)luma_vec_at(&result, 0) != 0;
    return LUMA_OK;
}

/* ---- signatures ---- */

#undef JSONB
#undef BOOL

#define PATH_ARGS LUMA_T(JSONB), LUMA_T(JSONPATH)
#define THREE_FLAGS(name_, flags_, t_, eval_)                                  \
    LUMA_FUNC(name_, flags_, LUMA_T(t_), eval_, PATH_ARGS),                    \
        LUMA_FUNC(name_, flags_, LUMA_T(t_), eval_, PATH_ARGS, LUMA_T(JSONB)), \
        LUMA_FUNC(name_, flags_, LUMA_T(t_), eval_, PATH_ARGS, LUMA_T(JSONB), LUMA_T(BOOL))
#define THREE(name_, t_, eval_)            \
    THREE_FLAGS(name_, STRICT, t_, eval_), \
        THREE_FLAGS(name_ "_tz", STRICT | LUMA_FUNC_STABLE, t_, eval_)
#define QUERY(name_, count_)                                                            \
    {                                                                                   \
        .name = name_, .flags = LUMA_FUNC_SET | LUMA_FUNC_STRICT, .args_count = count_, \
        .args = {PATH_ARGS, LUMA_T(JSONB), LUMA_T(BOOL)}, .result = LUMA_T(JSONB),      \
        .set = &query_set                                                               \
    }

static const struct luma_func path_functions[] = {
    LUMA_FUNC("@?", OP, LUMA_T(BOOL), path_exists, PATH_ARGS),
    LUMA_FUNC("@@", OP, LUMA_T(BOOL), path_match, PATH_ARGS),
    THREE("jsonb_path_exists", BOOL, path_exists),
    THREE("jsonb_path_match", BOOL, path_match),
    THREE("jsonb_path_query_first", JSONB, path_first),
    THREE("jsonb_path_query_array", JSONB, path_array),
    QUERY("jsonb_path_query", 2),
    QUERY("jsonb_path_query", 3),
    QUERY("jsonb_path_query", 4),
    QUERY("jsonb_path_query_tz", 2),
    QUERY("jsonb_path_query_tz", 3),
    QUERY("jsonb_path_query_tz", 4),
};

const struct luma_func_part js_paths = {path_functions, LUMA_COUNTOF(path_functions)};
