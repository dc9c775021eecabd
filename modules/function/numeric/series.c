/* function/numeric/series.c - generate_series of numbers. */
#include "numeric.h"

/* --- whole numbers --- */

struct int_series {
    int64_t at, stop, step;
    bool done;
    void *room;
    struct luma_vec col;
};

static int64_t
int_of(const struct luma_value *v)
{
    return v->phys == LUMA_PHYS_I32 ? v->i32 : v->phys == LUMA_PHYS_I16 ? v->i16 : v->i64;
}

static luma_rc
int_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
         void **out_state)
{
    struct int_series *s = LUMA_NEW(call->arena, struct int_series);

    if (s == NULL)
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < args_count; i++)
        s->done |= args[i].is_null;
    if (!s->done) {
        s->at = int_of(&args[0]);
        s->stop = int_of(&args[1]);
        s->step = args_count > 2 ? int_of(&args[2]) : 1;
        if (s->step == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "step size cannot equal zero");
    }
    s->room = luma_arena_alloc(call->arena, LUMA_BATCH_ROWS * sizeof(int64_t));
    if (s->room == NULL)
        return luma_func_no_memory(call);
    *out_state = s;
    return LUMA_OK;
}

static luma_rc
int_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct int_series *s = state;
    bool narrow = call->func->result.id == LUMA_TYPE_INT4;
    uint32_t n = 0;

    while (!s->done && n < LUMA_BATCH_ROWS) {
        if (s->step > 0 ? s->at > s->stop : s->at < s->stop) {
            s->done = true;
            break;
        }
        if (narrow)
            ((int32_t *)s->room)[n++] = (int32_t)s->at;
        else
            ((int64_t *)s->room)[n++] = s->at;
        s->done = __builtin_add_overflow(s->at, s->step, &s->at);
    }
    s->col = (struct luma_vec){.type = call->func->result,
                               .phys = narrow ? LUMA_PHYS_I32 : LUMA_PHYS_I64,
                               .data = s->room};
    luma_set_rows(out, &s->col, n);
    return LUMA_OK;
}

static const struct luma_func_set int_set = {.open = int_open, .next = int_next};

/* --- numeric --- */

struct numeric_series {
    struct luma_arena *arena; /* of this */
    struct luma_str at, stop, step;
    char *kept; /* what at points to */
    size_t kept_bytes;
    int sign;
    bool done;
    struct luma_str *room;
    struct luma_vec col;
};

static luma_rc
numeric_of(const struct luma_func_call *call, const struct luma_value *v, struct luma_str *out)
{
    struct luma_str str = v->str;
    char *copy;

    if (v->phys != LUMA_PHYS_STR &&
        numeric_host->data->numeric_from_i128(
            call->arena, v->phys == LUMA_PHYS_I64 ? v->i64 : v->i128, v->scale, &str) != LUMA_OK)
        return luma_func_no_memory(call);
    if ((uint8_t)luma_str_data(&str)[0] > 1)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                             "values of generate_series must be finite");
    copy = luma_func_room(call, str.bytes);
    if (copy == NULL)
        return luma_func_no_memory(call);
    memcpy(copy, luma_str_data(&str), str.bytes);
    *out = luma_str_make(copy, str.bytes);
    return LUMA_OK;
}

static luma_rc
numeric_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
             void **out_state)
{
    struct numeric_series *s = LUMA_NEW(call->arena, struct numeric_series);
    struct luma_str zero;

    if (s == NULL)
        return luma_func_no_memory(call);
    s->arena = call->arena;
    for (uint32_t i = 0; i < args_count; i++)
        s->done |= args[i].is_null;
    s->room = luma_arena_alloc(call->arena, LUMA_BATCH_ROWS * sizeof(*s->room));
    if (s->room == NULL || numeric_host->data->numeric_from_i128(call->arena, 0, 0, &zero) ||
        numeric_host->data->numeric_from_i128(call->arena, 1, 0, &s->step))
        return luma_func_no_memory(call);
    if (!s->done) {
        LUMA_TRY(numeric_of(call, &args[0], &s->at));
        LUMA_TRY(numeric_of(call, &args[1], &s->stop));
        if (args_count > 2)
            LUMA_TRY(numeric_of(call, &args[2], &s->step));
        s->sign = numeric_host->data->numeric_compare(&s->step, &zero);
        if (s->sign == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "step size cannot equal zero");
    }
    *out_state = s;
    return LUMA_OK;
}

/* The next number comes from the memory of a batch, and has to be there for the next batch. */
static luma_rc
keep_at(const struct luma_func_call *call, struct numeric_series *s)
{
    uint32_t bytes = s->at.bytes;

    if (bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    if (bytes > s->kept_bytes) {
        s->kept = luma_arena_alloc_aligned(s->arena, bytes * (size_t)2, 1);
        if (s->kept == NULL)
            return luma_func_no_memory(call);
        s->kept_bytes = bytes * (size_t)2;
    }
    memcpy(s->kept, s->at.ptr, bytes);
    s->at.ptr = s->kept;
    return LUMA_OK;
}

static luma_rc
numeric_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct numeric_series *s = state;
    uint32_t n = 0;

    if (!s->done)
        LUMA_TRY(
            numeric_of(call, &(struct luma_value){.phys = LUMA_PHYS_STR, .str = s->at}, &s->at));
    while (!s->done && n < LUMA_BATCH_ROWS) {
        int c = numeric_host->data->numeric_compare(&s->at, &s->stop);
        if (s->sign > 0 ? c > 0 : c < 0) {
            s->done = true;
            break;
        }
        s->room[n++] = s->at;
        LUMA_TRY(numeric_host->data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_ADD, &s->at,
                                                &s->step, &s->at));
    }
    if (!s->done)
        LUMA_TRY(keep_at(call, s));
    s->col = (struct luma_vec){
        .type = luma_type(LUMA_TYPE_NUMERIC), .phys = LUMA_PHYS_STR, .data = s->room};
    luma_set_rows(out, &s->col, n);
    return LUMA_OK;
}

static const struct luma_func_set numeric_set = {.open = numeric_open, .next = numeric_next};

#define SERIES(t, set_, ...)                                                               \
    LUMA_FUNC_OP_("generate_series", LUMA_FUNC_STRICT | LUMA_FUNC_SET, LUMA_OP_NONE, NULL, \
                  __VA_ARGS__),                                                            \
        .result = LUMA_T(t), .set = &(set_)                                                \
    }

static const struct luma_func series_functions[] = {
    SERIES(INT4, int_set, LUMA_T(INT4), LUMA_T(INT4)),
    SERIES(INT4, int_set, LUMA_T(INT4), LUMA_T(INT4), LUMA_T(INT4)),
    SERIES(INT8, int_set, LUMA_T(INT8), LUMA_T(INT8)),
    SERIES(INT8, int_set, LUMA_T(INT8), LUMA_T(INT8), LUMA_T(INT8)),
    SERIES(NUMERIC, numeric_set, LUMA_T(NUMERIC), LUMA_T(NUMERIC)),
    SERIES(NUMERIC, numeric_set, LUMA_T(NUMERIC), LUMA_T(NUMERIC), LUMA_T(NUMERIC)),
};

const struct luma_func_part numeric_series = {series_functions, LUMA_COUNTOF(series_functions)};
