/* function/aggregate/collect.c - string_agg, array_agg. */
#include "aggregate.h"

/* --- string_agg --- */

struct joined {
    char *data;
    uint32_t bytes, room_bytes;
    uint32_t first_bytes; /* of the delimiter before the first value: left out at the end */
    bool has;
};

static luma_rc
append(const struct luma_func_call *call, struct joined *s, const char *data, size_t bytes)
{
    if (s->bytes + bytes > UINT32_MAX / 4)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000", "result of string_agg is too long");
    if (s->bytes + bytes > s->room_bytes) {
        uint32_t room = (uint32_t)((s->bytes + bytes) * 2 + 32);
        char *more = luma_func_room(call, room);
        if (more == NULL)
            return luma_func_no_memory(call);
        if (s->bytes > 0)
            memcpy(more, s->data, s->bytes);
        s->data = more;
        s->room_bytes = room;
    }
    if (bytes > 0)
        memcpy(s->data + s->bytes, data, bytes);
    s->bytes += (uint32_t)bytes;
    return LUMA_OK;
}

AGG_UPDATE(join_update)
{
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = AGG_ROW(sel, k);
        const struct luma_str *text = luma_vec_at(&args[0], row);
        struct joined *s = states[k];
        /* The first delimiter is kept too: it comes between the halves of a merge. */
        if (!luma_vec_is_null(&args[1], row)) {
            const struct luma_str *between = luma_vec_at(&args[1], row);
            LUMA_TRY(append(call, s, luma_str_data(between), between->bytes));
            if (!s->has)
                s->first_bytes = between->bytes;
        }
        s->has = true;
        LUMA_TRY(append(call, s, luma_str_data(text), text->bytes));
    }
    return LUMA_OK;
}

AGG_MERGE(join_merge)
{
    struct joined *a = into;
    const struct joined *b = from;

    if (!b->has)
        return LUMA_OK;
    if (!a->has) {
        *a = *b;
        return LUMA_OK;
    }
    return append(call, a, b->data, b->bytes);
}

AGG_FINISH(join_finish)
{
    const struct joined *s = state;

    value_null(out, call->func->result);
    out->is_null = !s->has;
    if (s->has)
        out->str = luma_str_make(s->data == NULL ? "" : s->data + s->first_bytes,
                                 s->bytes - s->first_bytes);
    return LUMA_OK;
}

static const struct luma_func_aggregate join_agg = {.state_bytes = sizeof(struct joined),
                                                    .ignores_nulls = true,
                                                    .update = join_update,
                                                    .merge = join_merge,
                                                    .finish = join_finish};

/* --- array_agg --- */

struct collected {
    struct luma_value *values;
    uint32_t count, room;
};

static luma_rc
grow(const struct luma_func_call *call, struct collected *s, uint32_t more)
{
    uint32_t room = (s->count + more) * 2 + 6;
    struct luma_value *values;

    if (s->count + more <= s->room)
        return LUMA_OK;
    values = luma_arena_alloc(call->arena, sizeof(*values) * room);
    if (values == NULL)
        return luma_func_no_memory(call);
    if (s->count > 0)
        memcpy(values, s->values, sizeof(*values) * s->count);
    s->values = values;
    s->room = room;
    return LUMA_OK;
}

AGG_UPDATE(array_update)
{
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        struct collected *s = states[k];
        struct luma_value v = aggregate_host->data->vec_value(&args[0], AGG_ROW(sel, k));
        LUMA_TRY(grow(call, s, 1));
        if (!v.is_null && v.phys == LUMA_PHYS_STR && v.str.bytes > LUMA_STR_INLINE_MAX) {
            char *copy = luma_func_room(call, v.str.bytes);
            if (copy == NULL)
                return luma_func_no_memory(call);
            memcpy(copy, v.str.ptr, v.str.bytes);
            v.str.ptr = copy;
        }
        s->values[s->count++] = v;
    }
    return LUMA_OK;
}

AGG_MERGE(array_merge)
{
    struct collected *a = into;
    const struct collected *b = from;

    LUMA_TRY(grow(call, a, b->count));
    if (b->count > 0)
        memcpy(a->values + a->count, b->values, sizeof(*b->values) * b->count);
    a->count += b->count;
    return LUMA_OK;
}

AGG_FINISH(array_finish)
{
    const struct collected *s = state;

    value_null(out, call->result);
    out->phys = LUMA_PHYS_STR;
    if (s->count == 0)
        return LUMA_OK;
    out->is_null = false;
    if (out->type.id != LUMA_TYPE_ARRAY)
        out->type = luma_type_array_of(s->values[0].type);
    if (aggregate_host->data->array_make(call->arena, (enum luma_type_id)out->type.elem, s->values,
                                         s->count, &out->str) != LUMA_OK)
        return luma_func_no_memory(call);
    return LUMA_OK;
}

static const struct luma_func_aggregate array_agg = {.state_bytes = sizeof(struct collected),
                                                     .update = array_update,
                                                     .merge = array_merge,
                                                     .finish = array_finish};

static const struct luma_func collect_functions[] = {
    AGG("string_agg", LUMA_OP_NONE, LUMA_T(TEXT), join_agg, LUMA_T(TEXT), LUMA_T(TEXT)),
    AGG("string_agg", LUMA_OP_NONE, LUMA_T(BYTEA), join_agg, LUMA_T(BYTEA), LUMA_T(BYTEA)),
    AGG("array_agg", LUMA_OP_NONE, LUMA_T(ANYARRAY), array_agg, LUMA_T(ANYELEMENT)),
};

const struct luma_func_part aggregate_collect = {collect_functions,
                                                 LUMA_COUNTOF(collect_functions)};
