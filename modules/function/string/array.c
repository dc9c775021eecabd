/* function/string/array.c - arrays: making, joining, measuring, taking apart. */
#include "str.h"

struct values {
    struct luma_value *items;
    uint32_t count, room;
};

static luma_rc
add_value(const struct luma_func_call *call, struct values *v, const struct luma_value *value)
{
    if (v->count == v->room) {
        uint32_t room = v->room * 2 + 16;
        struct luma_value *more = luma_arena_alloc(call->arena, sizeof(*more) * room);
        if (more == NULL)
            return luma_func_no_memory(call);
        if (v->count > 0)
            memcpy(more, v->items, sizeof(*more) * v->count);
        v->items = more;
        v->room = room;
    }
    v->items[v->count++] = *value;
    return LUMA_OK;
}

static luma_rc
add_elements(const struct luma_func_call *call, struct values *v, const struct luma_vec *vec,
             uint32_t row)
{
    const struct luma_host_data *data = string_host->data;
    struct luma_type elem = luma_type_elem(vec->type);
    const struct luma_str *array;
    uint32_t count;

    if (luma_vec_is_null(vec, row))
        return LUMA_OK;
    array = luma_vec_at(vec, row);
    count = data->array_count(array);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value value;
        if (data->array_get(array, elem, i, &value) == LUMA_OK)
            LUMA_TRY(add_value(call, v, &value));
    }
    return LUMA_OK;
}

static luma_rc
make(const struct luma_func_call *call, enum luma_type_id elem, const struct values *v,
     struct luma_str *out)
{
    if (string_host->data->array_make(call->arena, elem, v->items, v->count, out) != LUMA_OK)
        return luma_func_no_memory(call);
    return LUMA_OK;
}

static luma_rc
add_text(const struct luma_func_call *call, struct values *v, const char *p, size_t bytes,
         const struct luma_str *null_text)
{
    struct luma_value value = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};

    value.str = luma_str_make(p, (uint32_t)bytes);
    value.is_null = null_text != NULL && luma_str_equal(&value.str, null_text);
    return add_value(call, v, &value);
}

/* Pieces of a text between delimiters; delimiter NULL: every character one. */
static luma_rc
split(const struct luma_func_call *call, const struct luma_str *s, const struct luma_str *between,
      const struct luma_str *null_text, struct values *v)
{
    const char *p = luma_str_data(s), *end = p + s->bytes;

    if (s->bytes == 0)
        return LUMA_OK;
    if (between == NULL) {
        while (p < end) {
            size_t n = string_char_bytes(p, (size_t)(end - p));
            LUMA_TRY(add_text(call, v, p, n, null_text));
            p += n;
        }
        return LUMA_OK;
    }
    while (between->bytes > 0) {
        const char *hit = string_find(p, (size_t)(end - p), luma_str_data(between), between->bytes);
        if (hit == NULL)
            break;
        LUMA_TRY(add_text(call, v, p, (size_t)(hit - p), null_text));
        p = hit + between->bytes;
    }
    return add_text(call, v, p, (size_t)(end - p), null_text);
}

STRING_EVAL(string_to_array)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct values v = {0};
        const struct luma_str *between = NULL, *null_text = NULL;
        if (luma_vec_is_null(&args[0], i)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        if (!luma_vec_is_null(&args[1], i))
            between = luma_arg_str(&args[1], i);
        if (args_count > 2 && !luma_vec_is_null(&args[2], i))
            null_text = luma_arg_str(&args[2], i);
        LUMA_TRY(split(call, luma_arg_str(&args[0], i), between, null_text, &v));
        LUMA_TRY(make(call, LUMA_TYPE_TEXT, &v, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(array_to_string)
{
    const struct luma_host_data *data = string_host->data;
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *between, *null_text = NULL;
        struct string_buf buf = {.call = call};
        struct values v = {0};
        bool first = true;
        if (luma_vec_is_null(&args[0], i) || luma_vec_is_null(&args[1], i)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        between = luma_arg_str(&args[1], i);
        if (args_count > 2 && !luma_vec_is_null(&args[2], i))
            null_text = luma_arg_str(&args[2], i);
        LUMA_TRY(add_elements(call, &v, &args[0], i));
        for (uint32_t k = 0; k < v.count; k++) {
            if (v.items[k].is_null && null_text == NULL)
                continue;
            if (!first)
                string_put(&buf, luma_str_data(between), between->bytes);
            first = false;
            if (v.items[k].is_null) {
                string_put(&buf, luma_str_data(null_text), null_text->bytes);
            } else {
                const char *text = data->value_text(&v.items[k], call->format, call->arena);
                if (text == NULL)
                    return luma_func_no_memory(call);
                string_put(&buf, text, strlen(text));
            }
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* --- measures; one dimension --- */

STRING_EVAL(array_length)
{
    bool upper = strcmp(call->func->name, "array_length") == 0 ||
                 strcmp(call->func->name, "array_upper") == 0;
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        uint32_t count = string_host->data->array_count(luma_arg_str(&args[0], i));
        if (luma_arg_i32(&args[1], i) != 1 || count == 0)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            r[i] = upper ? (int32_t)count : 1;
    }
    return LUMA_OK;
}

STRING_EVAL(cardinality)
{
    int32_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = (int32_t)string_host->data->array_count(luma_arg_str(&args[0], i));
    }
    return LUMA_OK;
}

STRING_EVAL(array_ndims)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        if (string_host->data->array_count(luma_arg_str(&args[0], i)) == 0)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            r[i] = 1;
    }
    return LUMA_OK;
}

/* --- joining --- */

/* array || array, array || element, element || array, array_append, array_prepend, array_cat */
STRING_EVAL(array_join)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct values v = {0};
        enum luma_type_id elem = LUMA_TYPE_TEXT;
        if (args[0].type.id == LUMA_TYPE_ARRAY && args[1].type.id == LUMA_TYPE_ARRAY &&
            luma_vec_is_null(&args[0], i) && luma_vec_is_null(&args[1], i)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        for (uint32_t a = 0; a < args_count; a++) {
            if (args[a].type.id == LUMA_TYPE_ARRAY) {
                elem = (enum luma_type_id)args[a].type.elem;
                LUMA_TRY(add_elements(call, &v, &args[a], i));
            } else {
                struct luma_value value = string_host->data->vec_value(&args[a], i);
                LUMA_TRY(add_value(call, &v, &value));
            }
        }
        LUMA_TRY(make(call, elem, &v, &r[i]));
    }
    return LUMA_OK;
}

static bool
same(const struct luma_value *a, const struct luma_value *b)
{
    if (a->is_null || b->is_null)
        return a->is_null && b->is_null;
    return string_host->data->value_compare(a, b) == 0;
}

STRING_EVAL(array_remove)
{
    bool replace = strcmp(call->func->name, "array_replace") == 0;
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct values all = {0}, kept = {0};
        struct luma_value wanted;
        if (luma_vec_is_null(&args[0], i)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        wanted = string_host->data->vec_value(&args[1], i);
        LUMA_TRY(add_elements(call, &all, &args[0], i));
        for (uint32_t k = 0; k < all.count; k++) {
            if (!same(&all.items[k], &wanted)) {
                LUMA_TRY(add_value(call, &kept, &all.items[k]));
            } else if (replace) {
                struct luma_value with = string_host->data->vec_value(&args[2], i);
                LUMA_TRY(add_value(call, &kept, &with));
            }
        }
        LUMA_TRY(make(call, (enum luma_type_id)args[0].type.elem, &kept, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(array_position)
{
    int32_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct values all = {0};
        struct luma_value wanted = string_host->data->vec_value(&args[1], i);
        uint32_t k = 0;
        LUMA_TRY(add_elements(call, &all, &args[0], i));
        while (k < all.count && !same(&all.items[k], &wanted))
            k++;
        if (k == all.count)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            r[i] = (int32_t)k + 1;
    }
    return LUMA_OK;
}

/* Every element of y in x (contains), or any (overlaps). */
static luma_rc
relate(const struct luma_func_call *call, const struct luma_vec *x, const struct luma_vec *y,
       uint32_t row, bool all_of, bool *out)
{
    struct values a = {0}, b = {0};

    LUMA_TRY(add_elements(call, &a, x, row));
    LUMA_TRY(add_elements(call, &b, y, row));
    *out = all_of;
    for (uint32_t k = 0; k < b.count; k++) {
        bool found = false;
        for (uint32_t j = 0; j < a.count && !found && !b.items[k].is_null; j++)
            found = !a.items[j].is_null && same(&a.items[j], &b.items[k]);
        if (found != all_of) {
            *out = found;
            return LUMA_OK;
        }
    }
    return LUMA_OK;
}

STRING_EVAL(array_contains)
{
    const char *name = call->func->name;
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        bool hit = false;
        if (strcmp(name, "<@") == 0)
            LUMA_TRY(relate(call, &args[1], &args[0], i, true, &hit));
        else
            LUMA_TRY(relate(call, &args[0], &args[1], i, strcmp(name, "@>") == 0, &hit));
        r[i] = hit;
    }
    return LUMA_OK;
}

/* --- unnest, string_to_table --- */

struct unnest {
    struct values v;
    uint32_t at;
    struct luma_vec col;
};

static luma_rc
unnest_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
            void **out_state)
{
    struct unnest *u = LUMA_NEW(call->arena, struct unnest);
    struct luma_vec vec;

    if (u == NULL)
        return luma_func_no_memory(call);
    *out_state = u;
    if (args[0].is_null)
        return LUMA_OK;
    if (args[0].type.id != LUMA_TYPE_ARRAY)
        return split(call, &args[0].str, args_count > 1 && !args[1].is_null ? &args[1].str : NULL,
                     args_count > 2 && !args[2].is_null ? &args[2].str : NULL, &u->v);
    if (string_host->data->vec_const(call->arena, &args[0], &vec) != LUMA_OK)
        return luma_func_no_memory(call);
    return add_elements(call, &u->v, &vec, 0);
}

static luma_rc
unnest_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct unnest *u = state;
    uint32_t n = u->v.count - u->at;

    if (n > LUMA_BATCH_ROWS)
        n = LUMA_BATCH_ROWS;
    if (!luma_vec_init(&u->col, call->arena, call->result, n))
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < n; i++)
        if (string_host->data->vec_set(call->arena, &u->col, i, &u->v.items[u->at + i]) != LUMA_OK)
            return luma_func_no_memory(call);
    u->at += n;
    luma_set_rows(out, &u->col, n);
    return LUMA_OK;
}

/* Elements of an array from at->item on; strings stay where they lie. */
static luma_rc
put_elements(const struct luma_func_call *call, const struct luma_str *array, struct luma_type elem,
             uint32_t count, struct luma_func_expand *at, struct luma_vec *col, uint32_t *inout_n,
             uint16_t *origin)
{
    const struct luma_host_data *data = string_host->data;
    struct luma_value value;

    for (; at->item < count && *inout_n < LUMA_BATCH_ROWS; at->item++) {
        LUMA_TRY(data->array_get(array, elem, at->item, &value));
        if (!value.is_null && col->phys == LUMA_PHYS_STR && value.phys == LUMA_PHYS_STR) {
            if (col->valid != NULL)
                luma_bit_set(col->valid, *inout_n);
            ((struct luma_str *)col->data)[*inout_n] = value.str;
        } else if (data->vec_set(call->arena, col, *inout_n, &value) != LUMA_OK) {
            return luma_func_no_memory(call);
        }
        origin[(*inout_n)++] = (uint16_t)at->row;
    }
    return LUMA_OK;
}

static luma_rc
unnest_expand(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
              const uint16_t *sel, uint32_t rows, struct luma_func_expand *at,
              struct luma_batch *out, uint16_t *origin)
{
    struct luma_vec *col = luma_set_column(call);
    uint32_t n = 0;

    (void)args_count;
    if (col == NULL)
        return luma_func_no_memory(call);
    for (; at->row < rows && n < LUMA_BATCH_ROWS; at->row++, at->item = 0) {
        uint32_t row = sel == NULL ? at->row : sel[at->row], count;
        if (luma_vec_is_null(&args[0], row))
            continue;
        const struct luma_str *array = luma_vec_at(&args[0], row);
        count = string_host->data->array_count(array);
        LUMA_TRY(
            put_elements(call, array, luma_type_elem(args[0].type), count, at, col, &n, origin));
        if (at->item < count)
            break;
    }
    luma_set_rows(out, col, n);
    return LUMA_OK;
}

static const struct luma_func_set split_set = {.open = unnest_open, .next = unnest_next};
static const struct luma_func_set unnest_set = {
    .open = unnest_open, .next = unnest_next, .expand = unnest_expand};

#define ARRAY LUMA_T(ANYARRAY)
#define ELEM  LUMA_T(ANYELEMENT)
#define OP    LUMA_FUNC_OPERATOR
#define SET(name_, flags_, set_, result_, ...)                                       \
    LUMA_FUNC_OP_(name_, LUMA_FUNC_SET | (flags_), LUMA_OP_NONE, NULL, __VA_ARGS__), \
        .result = result_, .set = &(set_)                                            \
    }

static const struct luma_func array_functions[] = {
    LUMA_FUNC("string_to_array", 0, LUMA_TA(TEXT), string_to_array, TEXT, TEXT),
    LUMA_FUNC("string_to_array", 0, LUMA_TA(TEXT), string_to_array, TEXT, TEXT, TEXT),
    LUMA_FUNC("array_to_string", LUMA_FUNC_STABLE, TEXT, array_to_string, ARRAY, TEXT),
    LUMA_FUNC("array_to_string", LUMA_FUNC_STABLE, TEXT, array_to_string, ARRAY, TEXT, TEXT),
    LUMA_FUNC("array_length", STRICT, INT, array_length, ARRAY, INT),
    LUMA_FUNC("array_upper", STRICT, INT, array_length, ARRAY, INT),
    LUMA_FUNC("array_lower", STRICT, INT, array_length, ARRAY, INT),
    LUMA_FUNC("array_ndims", STRICT, INT, array_ndims, ARRAY),
    LUMA_FUNC("cardinality", STRICT, INT, cardinality, ARRAY),
    LUMA_FUNC("array_append", 0, ARRAY, array_join, ARRAY, ELEM),
    LUMA_FUNC("array_prepend", 0, ARRAY, array_join, ELEM, ARRAY),
    LUMA_FUNC("array_cat", 0, ARRAY, array_join, ARRAY, ARRAY),
    LUMA_FUNC("||", OP, ARRAY, array_join, ARRAY, ARRAY),
    LUMA_FUNC("||", OP, ARRAY, array_join, ARRAY, ELEM),
    LUMA_FUNC("||", OP, ARRAY, array_join, ELEM, ARRAY),
    LUMA_FUNC("array_remove", 0, ARRAY, array_remove, ARRAY, ELEM),
    LUMA_FUNC("array_replace", 0, ARRAY, array_remove, ARRAY, ELEM, ELEM),
    LUMA_FUNC("array_position", 0, INT, array_position, ARRAY, ELEM),
    LUMA_FUNC("@>", STRICT | OP, LUMA_T(BOOL), array_contains, ARRAY, ARRAY),
    LUMA_FUNC("<@", STRICT | OP, LUMA_T(BOOL), array_contains, ARRAY, ARRAY),
    LUMA_FUNC("&&", STRICT | OP, LUMA_T(BOOL), array_contains, ARRAY, ARRAY),
    SET("unnest", STRICT, unnest_set, ELEM, ARRAY),
    SET("string_to_table", 0, split_set, TEXT, TEXT, TEXT),
    SET("string_to_table", 0, split_set, TEXT, TEXT, TEXT, TEXT),
};

const struct luma_func_part string_array = {array_functions, LUMA_COUNTOF(array_functions)};
