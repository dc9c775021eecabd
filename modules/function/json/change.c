/* function/json/change.c - documents made from documents: || - #- jsonb_set and their kin. */
#include "js.h"

static luma_rc
make(const struct luma_func_call *call, bool object, const struct luma_slice *names,
     const struct luma_slice *docs, uint32_t count, struct luma_str *out)
{
    const struct luma_host_data *data = js_host->data;

    return object ? data->doc_make_object(call->ctx, call->arena, names, docs, count, out)
                  : data->doc_make_array(call->ctx, call->arena, docs, count, out);
}

/* A result in the arena as a slice that stays. */
static luma_rc
keep(const struct luma_func_call *call, const struct luma_str *str, struct luma_slice *out)
{
    char *copy = luma_func_room(call, str->bytes);

    if (copy == NULL)
        return luma_func_no_memory(call);
    memcpy(copy, luma_str_data(str), str->bytes);
    *out = luma_slice(copy, str->bytes);
    return LUMA_OK;
}

/* --- || --- */

static luma_rc
concat_docs(const struct luma_func_call *call, struct luma_slice x, struct luma_slice y,
            struct luma_str *out)
{
    const struct luma_host_data *data = js_host->data;
    char kx = data->doc_kind(x), ky = data->doc_kind(y);
    struct luma_slice *names, *docs, *more_names, *more_docs;
    uint32_t count = 0, more = 0;

    if (kx == 'o' && ky == 'o') {
        LUMA_TRY(js_members(call, y, &more_names, &more_docs, 0, &more));
        LUMA_TRY(js_members(call, x, &names, &docs, more, &count));
        memcpy(names + count, more_names, sizeof(*names) * more);
        memcpy(docs + count, more_docs, sizeof(*docs) * more);
        return make(call, true, names, docs, count + more, out);
    }
    /* Everything else is joined as arrays; what is none is an array of one. */
    more = ky == 'a' ? data->doc_count(y) : 1;
    if (kx == 'a') {
        LUMA_TRY(js_members(call, x, &names, &docs, more, &count));
    } else {
        docs = luma_arena_zalloc(call->arena, sizeof(*docs) * ((size_t)more + 1));
        if (docs == NULL)
            return luma_func_no_memory(call);
        docs[0] = x;
        count = 1;
    }
    for (uint32_t i = 0; i < more; i++) {
        struct luma_slice name;
        docs[count + i] = y;
        if (ky == 'a')
            data->doc_at(y, i, &name, &docs[count + i]);
    }
    return make(call, false, NULL, docs, count + more, out);
}

JS_EVAL(concat)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice x, y;
        LUMA_TRY(js_doc_at(call, &args[0], i, &x));
        LUMA_TRY(js_doc_at(call, &args[1], i, &y));
        LUMA_TRY(concat_docs(call, x, y, &r[i]));
    }
    return LUMA_OK;
}

/* --- leaving out --- */

static luma_rc
scalar_error(const struct luma_func_call *call, const char *what)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "cannot %s", what);
}

static bool
is_string(struct luma_slice doc, const struct luma_str *text)
{
    struct luma_value v;
    return js_host->data->doc_kind(doc) == 's' && js_host->data->doc_scalar(doc, NULL, &v) &&
           luma_str_equal(&v.str, text);
}

/* Members whose name, or elements that are a string, among keys. */
static luma_rc
without_keys(const struct luma_func_call *call, struct luma_slice doc, const struct luma_str *keys,
             const bool *nulls, uint32_t keys_count, struct luma_str *out)
{
    char kind = js_host->data->doc_kind(doc);
    struct luma_slice *names, *docs;
    uint32_t count, kept = 0;

    if (kind != 'o' && kind != 'a')
        return scalar_error(call, "delete from scalar");
    LUMA_TRY(js_members(call, doc, &names, &docs, 0, &count));
    for (uint32_t i = 0; i < count; i++) {
        bool drop = false;
        for (uint32_t k = 0; k < keys_count && !drop; k++)
            drop = (nulls == NULL || !nulls[k]) &&
                   (kind == 'o' ? luma_slice_equal(names[i], luma_str_slice(&keys[k]))
                                : is_string(docs[i], &keys[k]));
        if (drop)
            continue;
        names[kept] = names[i];
        docs[kept++] = docs[i];
    }
    return make(call, kind == 'o', names, docs, kept, out);
}

JS_EVAL(minus_key)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        LUMA_TRY(without_keys(call, doc, luma_arg_str(&args[1], i), NULL, 1, &r[i]));
    }
    return LUMA_OK;
}

JS_EVAL(minus_keys)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        struct luma_str *keys;
        bool *nulls;
        uint32_t count;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        LUMA_TRY(js_path(call, &args[1], i, &keys, &nulls, &count));
        LUMA_TRY(without_keys(call, doc, keys, nulls, count, &r[i]));
    }
    return LUMA_OK;
}

JS_EVAL(minus_index)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc, *names, *docs;
        int64_t index = luma_arg_i32(&args[1], i);
        uint32_t count;
        char kind;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        kind = js_host->data->doc_kind(doc);
        if (kind != 'a')
            return scalar_error(call, kind == 'o' ? "delete from object using integer index"
                                                  : "delete from scalar");
        LUMA_TRY(js_members(call, doc, &names, &docs, 0, &count));
        if (index < 0)
            index += count;
        if (index >= 0 && index < count) {
            memmove(docs + index, docs + index + 1, sizeof(*docs) * (count - (size_t)index - 1));
            count--;
        }
        LUMA_TRY(make(call, false, NULL, docs, count, &r[i]));
    }
    return LUMA_OK;
}

/* --- along a path --- */

enum path_way { WAY_SET, WAY_INSERT, WAY_DELETE };

struct path_job {
    const struct luma_func_call *call;
    enum path_way way;
    bool create; /* SET: also when absent; INSERT: after the element */
    const struct luma_str *steps;
    const bool *nulls;
    uint32_t count;
    struct luma_slice value;
};

static luma_rc change_at(const struct path_job *job, struct luma_slice doc, uint32_t depth,
                         struct luma_slice *out);

static luma_rc
change_object(const struct path_job *job, struct luma_slice doc, uint32_t depth,
              struct luma_slice *out)
{
    struct luma_slice *names, *docs, key = luma_str_slice(&job->steps[depth]);
    bool last = depth + 1 == job->count;
    uint32_t count, at;
    struct luma_str made;

    LUMA_TRY(js_members(job->call, doc, &names, &docs, 1, &count));
    for (at = 0; at < count && !luma_slice_equal(names[at], key); at++)
        ;
    if (!last) {
        if (at < count)
            LUMA_TRY(change_at(job, docs[at], depth + 1, &docs[at]));
    } else if (job->way == WAY_DELETE) {
        if (at < count) {
            memmove(names + at, names + at + 1, sizeof(*names) * (count - at - 1));
            memmove(docs + at, docs + at + 1, sizeof(*docs) * (count - at - 1));
            count--;
        }
    } else if (at < count) {
        if (job->way == WAY_INSERT)
            return LUMA_FAIL_SQL(job->call->ctx, LUMA_E_INVALID, "22023",
                                 "cannot replace existing key");
        docs[at] = job->value;
    } else if (job->create || job->way == WAY_INSERT) {
        names[count] = key;
        docs[count++] = job->value;
    }
    LUMA_TRY(make(job->call, true, names, docs, count, &made));
    return keep(job->call, &made, out);
}

static luma_rc
change_array(const struct path_job *job, struct luma_slice doc, uint32_t depth,
             struct luma_slice *out)
{
    struct luma_slice *names, *docs;
    bool last = depth + 1 == job->count, inside;
    struct luma_str made;
    uint32_t count;
    int64_t index;

    if (js_host->data->doc_count(doc) == 0 &&
        (job->way == WAY_DELETE || (job->way == WAY_SET && !job->create))) {
        *out = doc;
        return LUMA_OK;
    }
    if (!js_index(&job->steps[depth], &index))
        return LUMA_FAIL_SQL(job->call->ctx, LUMA_E_DATA, "22P02",
                             "path element at position %u is not an integer: \"%.*s\"", depth + 1,
                             (int)job->steps[depth].bytes, luma_str_data(&job->steps[depth]));
    LUMA_TRY(js_members(job->call, doc, &names, &docs, 1, &count));
    if (index < 0)
        index += count;
    inside = index >= 0 && index < count;
    if (!last) {
        if (inside)
            LUMA_TRY(change_at(job, docs[index], depth + 1, &docs[index]));
    } else if (job->way == WAY_DELETE) {
        if (inside) {
            memmove(docs + index, docs + index + 1, sizeof(*docs) * (count - (size_t)index - 1));
            count--;
        }
    } else if (job->way == WAY_SET && inside) {
        docs[index] = job->value;
    } else if (job->way == WAY_INSERT || job->create) {
        int64_t at = index < 0 ? 0 : index > count ? count : index;
        if (job->way == WAY_INSERT && job->create && inside)
            at++;
        memmove(docs + at + 1, docs + at, sizeof(*docs) * (count - (size_t)at));
        docs[at] = job->value;
        count++;
    }
    LUMA_TRY(make(job->call, false, NULL, docs, count, &made));
    return keep(job->call, &made, out);
}

static luma_rc
change_at(const struct path_job *job, struct luma_slice doc, uint32_t depth, struct luma_slice *out)
{
    if (depth >= job->count || job->nulls[depth]) {
        if (depth < job->count)
            return LUMA_FAIL_SQL(job->call->ctx, LUMA_E_INVALID, "22004",
                                 "path element at position %u is null", depth + 1);
        *out = doc;
        return LUMA_OK;
    }
    switch (js_host->data->doc_kind(doc)) {
    case 'o':
        return change_object(job, doc, depth, out);
    case 'a':
        return change_array(job, doc, depth, out);
    default:
        *out = doc;
        return LUMA_OK;
    }
}

static luma_rc
run(struct path_job *job, const struct luma_vec *args, uint32_t row, struct luma_str *out)
{
    struct luma_slice doc, made;
    struct luma_str *steps;
    bool *nulls;
    char kind;

    LUMA_TRY(js_doc_at(job->call, &args[0], row, &doc));
    LUMA_TRY(js_path(job->call, &args[1], row, &steps, &nulls, &job->count));
    job->steps = steps;
    job->nulls = nulls;
    kind = js_host->data->doc_kind(doc);
    if (kind != 'o' && kind != 'a')
        return scalar_error(job->call, job->way == WAY_DELETE ? "delete path in scalar"
                                                              : "set path in scalar");
    LUMA_TRY(change_at(job, doc, 0, &made));
    *out = luma_str_make((const char *)made.data, (uint32_t)made.bytes);
    return LUMA_OK;
}

JS_EVAL(set_path)
{
    bool insert = strcmp(call->func->name, "jsonb_insert") == 0;
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct path_job job = {
            .call = call, .way = insert ? WAY_INSERT : WAY_SET, .create = !insert};
        if (args_count > 3)
            job.create = luma_arg_bool(&args[3], i);
        LUMA_TRY(js_doc_at(call, &args[2], i, &job.value));
        LUMA_TRY(run(&job, args, i, &r[i]));
    }
    return LUMA_OK;
}

/* jsonb_set, and what a null in place of the new value means. */
static luma_rc
set_lax_row(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
            const uint16_t *sel, uint32_t rows, uint32_t row, struct luma_vec *out)
{
    struct luma_str *r = (struct luma_str *)out->data + row;
    struct path_job job = {.call = call, .way = WAY_SET, .create = true};
    const char *how = "use_json_null";
    bool null = luma_vec_is_null(&args[0], row) || luma_vec_is_null(&args[1], row) ||
                (args_count > 3 && luma_vec_is_null(&args[3], row));
    if (null)
        return luma_out_null(call, out, sel, rows, row);
    if (args_count > 3)
        job.create = luma_arg_bool(&args[3], row);
    if (args_count > 4) {
        const struct luma_str *s = luma_vec_at(&args[4], row);
        how = luma_vec_is_null(&args[4], row)
                  ? ""
                  : luma_arena_text(call->arena, luma_str_data(s), s->bytes);
    }
    if (how == NULL)
        return luma_func_no_memory(call);
    bool fail = strcmp(how, "raise_exception") == 0, same = strcmp(how, "return_target") == 0;
    bool gone = strcmp(how, "delete_key") == 0;
    if (!fail && !same && !gone && strcmp(how, "use_json_null") != 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                             "null_value_treatment must be \"delete_key\", \"return_target\", "
                             "\"use_json_null\", or \"raise_exception\"");
    if (!luma_vec_is_null(&args[2], row)) {
        LUMA_TRY(js_doc_at(call, &args[2], row, &job.value));
        return run(&job, args, row, r);
    }
    if (fail)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22004", "JSON value must not be null");
    if (same) {
        *r = *(const struct luma_str *)luma_vec_at(&args[0], row);
        return LUMA_OK;
    }
    if (gone) {
        job.way = WAY_DELETE;
        return run(&job, args, row, r);
    }
    struct luma_str *none = LUMA_NEW(call->arena, struct luma_str);
    if (none == NULL)
        return luma_func_no_memory(call);
    LUMA_TRY(js_host->data->doc_from_json(call->ctx, call->arena, luma_slice("null", 4), none));
    job.value = luma_str_slice(none);
    return run(&job, args, row, r);
}

JS_EVAL(set_lax)
{
    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(set_lax_row(call, args, args_count, sel, rows, i, out));
    }
    return LUMA_OK;
}

JS_EVAL(delete_path)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct path_job job = {.call = call, .way = WAY_DELETE};
        LUMA_TRY(run(&job, args, i, &r[i]));
    }
    return LUMA_OK;
}

/* --- without nulls --- */

static luma_rc
strip_at(const struct luma_func_call *call, struct luma_slice doc, struct luma_slice *out)
{
    char kind = js_host->data->doc_kind(doc);
    struct luma_slice *names, *docs;
    uint32_t count, kept = 0;
    struct luma_str made;

    *out = doc;
    if (kind != 'o' && kind != 'a')
        return LUMA_OK;
    LUMA_TRY(js_members(call, doc, &names, &docs, 0, &count));
    for (uint32_t i = 0; i < count; i++) {
        if (kind == 'o' && js_host->data->doc_kind(docs[i]) == 'z')
            continue;
        names[kept] = names[i];
        LUMA_TRY(strip_at(call, docs[i], &docs[kept]));
        kept++;
    }
    LUMA_TRY(make(call, kind == 'o', names, docs, kept, &made));
    return keep(call, &made, out);
}

JS_EVAL(strip_nulls)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_slice doc;
        LUMA_TRY(js_doc_at(call, &args[0], i, &doc));
        LUMA_TRY(strip_at(call, doc, &doc));
        LUMA_TRY(js_result(call, doc, (enum luma_type_id)call->func->result.id, &r[i]));
    }
    return LUMA_OK;
}

#define PATH LUMA_TA(TEXT)

static const struct luma_func change_functions[] = {
    LUMA_FUNC("||", OP, JSONB, concat, JSONB, JSONB),
    LUMA_FUNC("jsonb_concat", STRICT, JSONB, concat, JSONB, JSONB),
    LUMA_FUNC("jsonb_delete", STRICT, JSONB, minus_key, JSONB, TEXT),
    LUMA_FUNC("jsonb_delete", STRICT, JSONB, minus_keys, JSONB, PATH),
    LUMA_FUNC("jsonb_delete", STRICT, JSONB, minus_index, JSONB, INT),
    LUMA_FUNC("-", OP, JSONB, minus_key, JSONB, TEXT),
    LUMA_FUNC("-", OP, JSONB, minus_keys, JSONB, PATH),
    LUMA_FUNC("-", OP, JSONB, minus_index, JSONB, INT),
    LUMA_FUNC("#-", OP, JSONB, delete_path, JSONB, PATH),
    LUMA_FUNC("jsonb_delete_path", STRICT, JSONB, delete_path, JSONB, PATH),
    LUMA_FUNC("jsonb_set", STRICT, JSONB, set_path, JSONB, PATH, JSONB),
    LUMA_FUNC("jsonb_set", STRICT, JSONB, set_path, JSONB, PATH, JSONB, BOOL),
    LUMA_FUNC("jsonb_set_lax", 0, JSONB, set_lax, JSONB, PATH, JSONB),
    LUMA_FUNC("jsonb_set_lax", 0, JSONB, set_lax, JSONB, PATH, JSONB, BOOL),
    LUMA_FUNC("jsonb_set_lax", 0, JSONB, set_lax, JSONB, PATH, JSONB, BOOL, TEXT),
    LUMA_FUNC("jsonb_insert", STRICT, JSONB, set_path, JSONB, PATH, JSONB),
    LUMA_FUNC("jsonb_insert", STRICT, JSONB, set_path, JSONB, PATH, JSONB, BOOL),
    LUMA_FUNC("jsonb_strip_nulls", STRICT, JSONB, strip_nulls, JSONB),
    LUMA_FUNC("json_strip_nulls", STRICT, JSON, strip_nulls, JSON),
};

const struct luma_func_part js_change = {change_functions, LUMA_COUNTOF(change_functions)};
