/*
 * own_functions.c - functions that the grammar itself calls: SIMILAR TO's pattern, array slices.
 */
#include "sql.h"

/* ---- SIMILAR TO: an SQL pattern as a regular expression ---- */

struct similar {
    const char *in;
    uint32_t bytes;
    char escape; /* 0: none */
    char *out;
    uint32_t used;
};

static void
similar_char(struct similar *s, uint32_t *at, bool *inout_class)
{
    char c = s->in[*at];
    if (s->escape != 0 && c == s->escape && *at + 1 < s->bytes) {
        s->out[s->used++] = '\\';
        s->out[s->used++] = s->in[++*at];
    } else if (*inout_class) {
        if (c == '\\')
            s->out[s->used++] = '\\';
        s->out[s->used++] = c;
        *inout_class = c != ']';
    } else if (c == '[') {
        s->out[s->used++] = c;
        *inout_class = true;
    } else if (c == '%') {
        s->out[s->used++] = '.';
        s->out[s->used++] = '*';
    } else if (c == '_') {
        s->out[s->used++] = '.';
    } else if (c == '(') {
        memcpy(s->out + s->used, "(?:", 3);
        s->used += 3;
    } else {
        if (strchr("\\.^$", c) != NULL && c != '\0')
            s->out[s->used++] = '\\';
        s->out[s->used++] = c;
    }
}

static luma_rc
similar_row(const struct luma_func_call *call, const struct luma_str *pattern, char escape,
            struct luma_str *out)
{
    struct similar s = {luma_str_data(pattern), pattern->bytes, escape, NULL, 0};
    bool in_class = false;
    s.out = luma_arena_alloc(call->arena, (size_t)pattern->bytes * 3 + 16);
    if (s.out == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    memcpy(s.out, "^(?:", 4);
    s.used = 4;
    for (uint32_t at = 0; at < s.bytes; at++)
        similar_char(&s, &at, &in_class);
    memcpy(s.out + s.used, ")$", 2);
    s.used += 2;
    *out = luma_str_make(s.out, s.used);
    return LUMA_OK;
}

static luma_rc
similar_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
             const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        char escape = '\\';
        if (args_count > 1) {
            const struct luma_str *text = luma_vec_at(&args[1], row);
            if (text->bytes > 1)
                return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22025", "invalid escape string");
            escape = text->bytes == 0 ? '\0' : luma_str_data(text)[0];
        }
        LUMA_TRY(similar_row(call, luma_vec_at(&args[0], row), escape,
                             &((struct luma_str *)out->data)[row]));
    }
    return LUMA_OK;
}

/* ---- array[lower:upper] ---- */

static luma_rc
slice_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_host_data *data = sql_host->data;
    enum luma_type_id elem = (enum luma_type_id)args[0].type.elem;
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        if (luma_vec_is_null(&args[0], row)) {
            if (!luma_vec_need_valid(out, call->arena, LUMA_BATCH_ROWS))
                return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
            luma_bit_clear(out->valid, row);
            continue;
        }
        const struct luma_str *array = luma_vec_at(&args[0], row);
        int64_t count = data->array_count(array);
        /* a bound left out is null */
        int64_t lo =
            luma_vec_is_null(&args[1], row) ? 1 : *(const int32_t *)luma_vec_at(&args[1], row);
        int64_t hi =
            luma_vec_is_null(&args[2], row) ? count : *(const int32_t *)luma_vec_at(&args[2], row);
        lo = lo < 1 ? 1 : lo;
        hi = hi > count ? count : hi;
        uint32_t n = hi >= lo ? (uint32_t)(hi - lo + 1) : 0;
        struct luma_value *values = LUMA_NEW_ARRAY(call->arena, struct luma_value, n + 1);
        if (values == NULL)
            return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
        for (uint32_t k = 0; k < n; k++)
            LUMA_TRY(data->array_get(array, luma_type(elem), (uint32_t)(lo - 1) + k, &values[k]));
        LUMA_TRY(
            data->array_make(call->arena, elem, values, n, &((struct luma_str *)out->data)[row]));
    }
    return LUMA_OK;
}

#define TEXT                     \
    {                            \
        LUMA_TYPE_TEXT, 0, 0, -1 \
    }
#define INT4                     \
    {                            \
        LUMA_TYPE_INT4, 0, 0, -1 \
    }
#define ANYARRAY                     \
    {                                \
        LUMA_TYPE_ANYARRAY, 0, 0, -1 \
    }

/* ---- generate_subscripts(array, 1) ---- */

struct subscripts {
    struct luma_vec vec;
    uint32_t count, at;
};

static luma_rc
subscripts_open(const struct luma_func_call *call, const struct luma_value *args,
                uint32_t args_count, void **out_state)
{
    struct subscripts *state = LUMA_NEW(call->arena, struct subscripts);
    if (state == NULL ||
        !luma_vec_init(&state->vec, call->arena, luma_type(LUMA_TYPE_INT4), LUMA_BATCH_ROWS))
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    if (!args[0].is_null && args_count > 1 && !args[1].is_null && args[1].i32 == 1)
        state->count = sql_host->data->array_count(&args[0].str);
    *out_state = state;
    return LUMA_OK;
}

static luma_rc
subscripts_next(const struct luma_func_call *call, void *arg, struct luma_batch *out)
{
    struct subscripts *state = arg;
    uint32_t n = state->count - state->at;
    (void)call;
    n = n < LUMA_BATCH_ROWS ? n : LUMA_BATCH_ROWS;
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < n; i++)
        ((int32_t *)state->vec.data)[i] = (int32_t)(++state->at);
    out->rows = out->sel_rows = n;
    out->cols_count = 1;
    out->cols = &state->vec;
    return LUMA_OK;
}

static void
subscripts_close(void *state)
{
    (void)state; /* lies in the arena */
}

static const struct luma_func_set subscripts_set = {
    .open = subscripts_open, .next = subscripts_next, .close = subscripts_close};

/* ---- pg_options_to_table(text[]): "name=value" in two columns ---- */

struct options {
    struct luma_batch batch;
    bool done;
};

static luma_rc
options_columns(const struct luma_func_call *call, const struct luma_value *args,
                uint32_t args_count, uint32_t *out_count, const char *const **out_names,
                const struct luma_type **out_types)
{
    static const char *const names[] = {"option_name", "option_value"};
    static const struct luma_type types[] = {TEXT, TEXT};
    (void)call;
    (void)args;
    (void)args_count;
    *out_count = 2;
    *out_names = names;
    *out_types = types;
    return LUMA_OK;
}

static luma_rc
options_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
             void **out_state)
{
    const struct luma_host_data *data = sql_host->data;
    struct options *state = LUMA_NEW(call->arena, struct options);
    struct luma_vec *cols = LUMA_NEW_ARRAY(call->arena, struct luma_vec, 2);
    uint32_t n = args_count == 0 || args[0].is_null ? 0 : data->array_count(&args[0].str);
    n = n < LUMA_BATCH_ROWS ? n : LUMA_BATCH_ROWS;
    if (state == NULL || cols == NULL ||
        !luma_vec_init(&cols[0], call->arena, luma_type(LUMA_TYPE_TEXT), n + 1) ||
        !luma_vec_init(&cols[1], call->arena, luma_type(LUMA_TYPE_TEXT), n + 1))
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        struct luma_value v;
        LUMA_TRY(data->array_get(&args[0].str, luma_type(LUMA_TYPE_TEXT), i, &v));
        struct luma_slice s = v.is_null ? luma_slice("", 0) : luma_str_slice(&v.str);
        const char *text = luma_arena_text(call->arena, s.data, s.bytes);
        if (text == NULL)
            return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
        const char *equals = memchr(text, '=', s.bytes);
        size_t name = equals != NULL ? (size_t)(equals - text) : s.bytes;
        size_t rest = equals != NULL ? s.bytes - name - 1 : 0;
        ((struct luma_str *)cols[0].data)[i] = luma_str_make(text, (uint32_t)name);
        ((struct luma_str *)cols[1].data)[i] =
            luma_str_make(equals != NULL ? equals + 1 : text, (uint32_t)rest);
    }
    state->batch = (struct luma_batch){.rows = n, .sel_rows = n, .cols = cols, .cols_count = 2};
    *out_state = state;
    return LUMA_OK;
}

static luma_rc
options_next(const struct luma_func_call *call, void *arg, struct luma_batch *out)
{
    struct options *state = arg;
    (void)call;
    memset(out, 0, sizeof(*out));
    if (!state->done)
        *out = state->batch;
    state->done = true;
    return LUMA_OK;
}

static const struct luma_func_set options_set = {.columns = options_columns,
                                                 .open = options_open,
                                                 .next = options_next,
                                                 .close = subscripts_close};

/* ---- ordered-set aggregates, over the sorted array of a group's values ---- */

static luma_rc
fraction_of(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
            double *out)
{
    *out = *(const double *)luma_vec_at(vec, row);
    if (!(*out >= 0 && *out <= 1))
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22003",
                             "percentile value %g is not between 0 and 1", *out);
    return LUMA_OK;
}

static luma_rc
cont_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
          const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_host_data *data = sql_host->data;
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        double share;
        if (luma_vec_is_null(&args[0], row) || luma_vec_is_null(&args[1], row))
            continue;
        LUMA_TRY(fraction_of(call, &args[1], row, &share));
        const struct luma_str *array = luma_vec_at(&args[0], row);
        double at = share * (double)(data->array_count(array) - 1);
        uint32_t low = (uint32_t)at;
        struct luma_value a, b;
        LUMA_TRY(data->array_get(array, luma_type(LUMA_TYPE_FLOAT8), low, &a));
        b = a;
        if (at > (double)low)
            LUMA_TRY(data->array_get(array, luma_type(LUMA_TYPE_FLOAT8), low + 1, &b));
        ((double *)out->data)[row] = a.f64 + (at - (double)low) * (b.f64 - a.f64);
    }
    return LUMA_OK;
}

static luma_rc
disc_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
          const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_host_data *data = sql_host->data;
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        double share;
        struct luma_value v;
        if (luma_vec_is_null(&args[0], row) || luma_vec_is_null(&args[1], row))
            continue;
        LUMA_TRY(fraction_of(call, &args[1], row, &share));
        const struct luma_str *array = luma_vec_at(&args[0], row);
        double place = share * (double)data->array_count(array);
        uint32_t at = place > 1 ? (uint32_t)place - ((double)(uint32_t)place == place) : 0;
        LUMA_TRY(data->array_get(array, luma_type_elem(args[0].type), at, &v));
        LUMA_TRY(data->vec_set(call->arena, out, row, &v));
    }
    return LUMA_OK;
}

static luma_rc
mode_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
          const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_host_data *data = sql_host->data;
    struct luma_type elem = luma_type_elem(args[0].type);
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i, best = 0, run = 0, best_at = 0;
        if (luma_vec_is_null(&args[0], row))
            continue;
        const struct luma_str *array = luma_vec_at(&args[0], row);
        uint32_t n = data->array_count(array);
        struct luma_value v, before;
        for (uint32_t k = 0; k < n; k++) {
            LUMA_TRY(data->array_get(array, elem, k, &v));
            run = k > 0 && data->value_compare(&before, &v) == 0 ? run + 1 : 1;
            before = v;
            if (run > best) {
                best = run;
                best_at = k;
            }
        }
        LUMA_TRY(data->array_get(array, elem, best_at, &v));
        LUMA_TRY(data->vec_set(call->arena, out, row, &v));
    }
    return LUMA_OK;
}

/* ---- lumadb_statements_reset() ---- */

static luma_rc
reset_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)args;
    (void)args_count;
    if (!sql_host->session->is_superuser(call->ctx->session))
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_DENIED, "42501",
                             "permission denied for function lumadb_statements_reset");
    sql_stats_reset();
    for (uint32_t i = 0; i < rows; i++)
        ((uint8_t *)out->data)[sel != NULL ? sel[i] : i] = 1;
    return LUMA_OK;
}

#define FLOAT8                     \
    {                              \
        LUMA_TYPE_FLOAT8, 0, 0, -1 \
    }
#define ANYELEMENT                     \
    {                                  \
        LUMA_TYPE_ANYELEMENT, 0, 0, -1 \
    }

const struct luma_func sql_own_functions[] = {
    {.name = "array_percentile_cont",
     .flags = LUMA_FUNC_HIDDEN | LUMA_FUNC_STRICT,
     .args_count = 2,
     .args = {{LUMA_TYPE_ARRAY, LUMA_TYPE_FLOAT8, 0, -1}, FLOAT8},
     .result = FLOAT8,
     .eval = cont_eval},
    {.name = "array_percentile_disc",
     .flags = LUMA_FUNC_HIDDEN | LUMA_FUNC_STRICT,
     .args_count = 2,
     .args = {ANYARRAY, FLOAT8},
     .result = ANYELEMENT,
     .eval = disc_eval},
    {.name = "array_mode",
     .flags = LUMA_FUNC_HIDDEN | LUMA_FUNC_STRICT,
     .args_count = 1,
     .args = {ANYARRAY},
     .result = ANYELEMENT,
     .eval = mode_eval},
    {.name = "lumadb_statements_reset",
     .flags = LUMA_FUNC_VOLATILE,
     .result = {LUMA_TYPE_BOOL, 0, 0, -1},
     .eval = reset_eval},
    {.name = "pg_options_to_table",
     .flags = LUMA_FUNC_SET,
     .args_count = 1,
     .args = {{LUMA_TYPE_ARRAY, LUMA_TYPE_TEXT, 0, -1}},
     .result = {LUMA_TYPE_RECORD, 0, 0, -1},
     .set = &options_set},
    {.name = "generate_subscripts",
     .flags = LUMA_FUNC_STRICT | LUMA_FUNC_SET,
     .args_count = 2,
     .args = {ANYARRAY, INT4},
     .result = INT4,
     .set = &subscripts_set},
    {.name = "similar_to_escape",
     .flags = LUMA_FUNC_STRICT,
     .args_count = 1,
     .args = {TEXT},
     .result = TEXT,
     .eval = similar_eval},
    {.name = "similar_to_escape",
     .flags = LUMA_FUNC_STRICT,
     .args_count = 2,
     .args = {TEXT, TEXT},
     .result = TEXT,
     .eval = similar_eval},
    {.name = "array_slice",
     .flags = LUMA_FUNC_HIDDEN,
     .args_count = 3,
     .args = {ANYARRAY, INT4, INT4},
     .result = ANYARRAY,
     .eval = slice_eval},
};
const size_t sql_own_functions_count = LUMA_COUNTOF(sql_own_functions);
