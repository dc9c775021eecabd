/* function/datetime/series.c - generate_series of timestamps. */
#include "datetime.h"

struct series {
    int64_t at, stop;
    struct luma_interval step;
    const struct luma_zone *zone;
    bool up, done;
    int64_t *room;
    struct luma_vec col;
};

static luma_rc
series_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
            void **out_state)
{
    struct series *s = LUMA_NEW(call->arena, struct series);
    luma_i128 span;

    if (s == NULL)
        return luma_func_no_memory(call);
    *out_state = s;
    s->room = luma_arena_alloc(call->arena, LUMA_BATCH_ROWS * sizeof(*s->room));
    if (s->room == NULL)
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < args_count; i++)
        s->done |= args[i].is_null;
    if (s->done)
        return LUMA_OK;
    s->at = args[0].i64;
    s->stop = args[1].i64;
    s->step = args[2].interval;
    s->zone = call->func->result.id == LUMA_TYPE_TIMESTAMPTZ ? call->format->zone : NULL;
    span = (luma_i128)((int64_t)s->step.months * 30 + s->step.days) * USECS_PER_DAY +
           s->step.microseconds;
    if (span == 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "step size cannot equal zero");
    s->up = span > 0;
    return LUMA_OK;
}

static luma_rc
series_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct series *s = state;
    uint32_t n = 0;

    while (!s->done && n < LUMA_BATCH_ROWS) {
        if (s->up ? s->at > s->stop : s->at < s->stop) {
            s->done = true;
            break;
        }
        s->room[n++] = s->at;
        if (dt_host->data->timestamp_add_interval(s->at, &s->step, s->zone, &s->at) != LUMA_OK)
            return dt_out_of_range(call, "timestamp");
        s->done = !dt_finite(s->at);
    }
    s->col = (struct luma_vec){.type = call->func->result, .phys = LUMA_PHYS_I64, .data = s->room};
    luma_set_rows(out, &s->col, n);
    return LUMA_OK;
}

static const struct luma_func_set series_set = {.open = series_open, .next = series_next};

#define SERIES(t, flags_)                                                                    \
    LUMA_FUNC_OP_("generate_series", LUMA_FUNC_SET | (flags_), LUMA_OP_NONE, NULL, DT_T_##t, \
                  DT_T_##t, INTERVAL),                                                       \
        .result = DT_T_##t, .set = &series_set                                               \
    }

static const struct luma_func series_functions[] = {
    SERIES(TIMESTAMP, STRICT),
    SERIES(TIMESTAMPTZ, STABLE),
};

const struct luma_func_part dt_series = {series_functions, LUMA_COUNTOF(series_functions)};
