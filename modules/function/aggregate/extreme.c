/* function/aggregate/extreme.c - min, max, booleans and bits. */
#include "aggregate.h"

/* --- min, max: the value itself, its bytes copied when they win --- */

struct extreme {
    struct luma_value value;
    bool has;
    uint32_t room_bytes; /* of the copy that value.str points to */
};

static luma_rc
keep(const struct luma_func_call *call, struct extreme *s, const struct luma_value *v)
{
    char *copy = s->room_bytes > 0 && v->phys == LUMA_PHYS_STR && s->value.str.bytes > 12
                     ? (char *)(uintptr_t)s->value.str.ptr
                     : NULL;

    if (v->phys != LUMA_PHYS_STR || v->str.bytes <= LUMA_STR_INLINE_MAX) {
        s->room_bytes = 0;
        s->value = *v;
        s->has = true;
        return LUMA_OK;
    }
    if (copy == NULL || s->room_bytes < v->str.bytes) {
        s->room_bytes = v->str.bytes + v->str.bytes / 2;
        copy = luma_func_room(call, s->room_bytes);
        if (copy == NULL)
            return luma_func_no_memory(call);
    }
    memmove(copy, v->str.ptr, v->str.bytes);
    s->value = *v;
    s->value.str = luma_str_make(copy, v->str.bytes);
    s->has = true;
    return LUMA_OK;
}

static luma_rc
offer(const struct luma_func_call *call, struct extreme *s, const struct luma_value *v, int sign)
{
    if (s->has && sign * aggregate_host->data->value_compare(v, &s->value) <= 0)
        return LUMA_OK;
    return keep(call, s, v);
}

static luma_rc
extreme_update(const struct luma_func_call *call, const struct luma_vec *vec, const uint16_t *sel,
               uint32_t rows, void *const *states, int sign)
{
    for (uint32_t k = 0; k < rows; k++) {
        struct luma_value v = aggregate_host->data->vec_value(vec, AGG_ROW(sel, k));
        LUMA_TRY(offer(call, states[k], &v, sign));
    }
    return LUMA_OK;
}

AGG_UPDATE(max_update)
{
    (void)args_count;
    return extreme_update(call, &args[0], sel, rows, states, 1);
}

AGG_UPDATE(min_update)
{
    (void)args_count;
    return extreme_update(call, &args[0], sel, rows, states, -1);
}

AGG_MERGE(max_merge)
{
    const struct extreme *b = from;
    return b->has ? offer(call, into, &b->value, 1) : LUMA_OK;
}

AGG_MERGE(min_merge)
{
    const struct extreme *b = from;
    return b->has ? offer(call, into, &b->value, -1) : LUMA_OK;
}

AGG_FINISH(extreme_finish)
{
    const struct extreme *s = state;

    if (s->has)
        *out = s->value;
    else
        value_null(out, call->result);
    return LUMA_OK;
}

static const struct luma_func_aggregate max_any = {.state_bytes = sizeof(struct extreme),
                                                   .ignores_nulls = true,
                                                   .update = max_update,
                                                   .merge = max_merge,
                                                   .finish = extreme_finish};
static const struct luma_func_aggregate min_any = {.state_bytes = sizeof(struct extreme),
                                                   .ignores_nulls = true,
                                                   .update = min_update,
                                                   .merge = min_merge,
                                                   .finish = extreme_finish};

/* --- booleans and bits --- */

struct bits {
    int64_t value;
    bool has;
};

static inline int64_t
bits_of(const struct luma_vec *vec, uint32_t row)
{
    const void *at = luma_vec_at(vec, row);

    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        return *(const uint8_t *)at != 0;
    case LUMA_PHYS_I16:
        return *(const int16_t *)at;
    case LUMA_PHYS_I32:
        return *(const int32_t *)at;
    default:
        return *(const int64_t *)at;
    }
}

#define BITS(name_, OP)                                          \
    AGG_UPDATE(name_##_update)                                   \
    {                                                            \
        (void)call;                                              \
        (void)args_count;                                        \
        for (uint32_t k = 0; k < rows; k++) {                    \
            struct bits *s = states[k];                          \
            int64_t v = bits_of(&args[0], AGG_ROW(sel, k));      \
            s->value = s->has ? s->value OP v : v;               \
            s->has = true;                                       \
        }                                                        \
        return LUMA_OK;                                          \
    }                                                            \
    AGG_MERGE(name_##_merge)                                     \
    {                                                            \
        struct bits *a = into;                                   \
        const struct bits *b = from;                             \
        (void)call;                                              \
        if (b->has) {                                            \
            a->value = a->has ? a->value OP b->value : b->value; \
            a->has = true;                                       \
        }                                                        \
        return LUMA_OK;                                          \
    }

BITS(and, &)
BITS(or, |)
BITS(xor, ^)

AGG_FINISH(bits_finish)
{
    const struct bits *s = state;

    value_null(out, call->func->result);
    out->is_null = !s->has;
    switch (out->phys) {
    case LUMA_PHYS_BOOL:
        out->b = s->value != 0;
        break;
    case LUMA_PHYS_I16:
        out->i16 = (int16_t)s->value;
        break;
    case LUMA_PHYS_I32:
        out->i32 = (int32_t)s->value;
        break;
    default:
        out->i64 = s->value;
        break;
    }
    return LUMA_OK;
}

#define BITS_AGGREGATE(name_)                                                                   \
    static const struct luma_func_aggregate name_##_bits = {.state_bytes = sizeof(struct bits), \
                                                            .ignores_nulls = true,              \
                                                            .update = name_##_update,           \
                                                            .merge = name_##_merge,             \
                                                            .finish = bits_finish}
BITS_AGGREGATE(and);
BITS_AGGREGATE(or);
BITS_AGGREGATE(xor);

#define EXTREME(t)                                          \
    AGG("max", LUMA_OP_MAX, LUMA_T(t), max_any, LUMA_T(t)), \
        AGG("min", LUMA_OP_MIN, LUMA_T(t), min_any, LUMA_T(t))
#define BITS_OF(t)                                                  \
    AGG("bit_and", LUMA_OP_NONE, LUMA_T(t), and_bits, LUMA_T(t)),   \
        AGG("bit_or", LUMA_OP_NONE, LUMA_T(t), or_bits, LUMA_T(t)), \
        AGG("bit_xor", LUMA_OP_NONE, LUMA_T(t), xor_bits, LUMA_T(t))

static const struct luma_func extreme_functions[] = {
    EXTREME(INT2),
    EXTREME(INT4),
    EXTREME(INT8),
    EXTREME(FLOAT4),
    EXTREME(FLOAT8),
    EXTREME(NUMERIC),
    EXTREME(TEXT),
    EXTREME(BPCHAR),
    EXTREME(DATE),
    EXTREME(TIME),
    EXTREME(TIMESTAMP),
    EXTREME(TIMESTAMPTZ),
    EXTREME(INTERVAL),
    EXTREME(OID),
    EXTREME(ENUM),
    AGG("max", LUMA_OP_MAX, LUMA_T(ANYARRAY), max_any, LUMA_T(ANYARRAY)),
    AGG("min", LUMA_OP_MIN, LUMA_T(ANYARRAY), min_any, LUMA_T(ANYARRAY)),
    BITS_OF(INT2),
    BITS_OF(INT4),
    BITS_OF(INT8),
    AGG("bool_and", LUMA_OP_NONE, LUMA_T(BOOL), and_bits, LUMA_T(BOOL)),
    AGG("bool_or", LUMA_OP_NONE, LUMA_T(BOOL), or_bits, LUMA_T(BOOL)),
    AGG("every", LUMA_OP_NONE, LUMA_T(BOOL), and_bits, LUMA_T(BOOL)),
};

const struct luma_func_part aggregate_extreme = {extreme_functions,
                                                 LUMA_COUNTOF(extreme_functions)};
