/* agg_state.c - the aggregates that are computed in line: counts, sums, averages, extremes. */
#include "agg.h"

static struct luma_arena *
states_arena(const struct xenv *e)
{
    return e->states != NULL ? e->states : e->p->arena;
}

static bool
is_int_type(uint8_t id)
{
    return id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4 || id == LUMA_TYPE_INT8;
}

static bool
is_plain_order(uint8_t id)
{
    return is_int_type(id) || id == LUMA_TYPE_DATE || id == LUMA_TYPE_TIMESTAMP ||
           id == LUMA_TYPE_TIMESTAMPTZ || id == LUMA_TYPE_TIME;
}

uint32_t
eng_agg_align(enum agg_kind kind)
{
    return kind == AGG_FUNC || kind == AGG_SUM || kind == AGG_AVG ? 16 : 8;
}

enum agg_kind
eng_agg_kind(const struct ex *ex)
{
    enum luma_func_op op = ex->func->op;
    if (op == LUMA_OP_COUNT_STAR || (op == LUMA_OP_COUNT && ex->args_count == 0))
        return AGG_COUNT_STAR;
    if (ex->args_count != 1)
        return AGG_FUNC;
    uint8_t id = ex->args[0]->type.id;
    switch (op) {
    case LUMA_OP_COUNT:
        return AGG_COUNT;
    case LUMA_OP_SUM:
        if ((id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4) && ex->type.id == LUMA_TYPE_INT8)
            return AGG_SUM_INT;
        if ((is_int_type(id) &&
             (ex->type.id == LUMA_TYPE_INT8 || ex->type.id == LUMA_TYPE_NUMERIC)) ||
            id == LUMA_TYPE_NUMERIC)
            return AGG_SUM;
        return id == LUMA_TYPE_FLOAT8 ? AGG_SUM_F64 : AGG_FUNC;
    case LUMA_OP_AVG:
        if ((id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4) && ex->type.id == LUMA_TYPE_NUMERIC)
            return AGG_AVG_INT;
        if ((id == LUMA_TYPE_INT8 || id == LUMA_TYPE_NUMERIC) && ex->type.id == LUMA_TYPE_NUMERIC)
            return AGG_AVG;
        return id == LUMA_TYPE_FLOAT8 ? AGG_AVG_F64 : AGG_FUNC;
    case LUMA_OP_MIN:
        return is_plain_order(id) ? AGG_MIN : AGG_FUNC;
    case LUMA_OP_MAX:
        return is_plain_order(id) ? AGG_MAX : AGG_FUNC;
    default:
        return AGG_FUNC;
    }
}

uint32_t
eng_agg_bytes(enum agg_kind kind, const struct luma_func *func)
{
    switch (kind) {
    case AGG_FUNC:
        return (func->aggregate->state_bytes + 15) & ~15u;
    case AGG_SUM:
    case AGG_AVG:
        return sizeof(struct agg_sum);
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        return 8;
    default:
        return 16;
    }
}

/* --- exact sums --- */

static luma_rc
sum_slow(struct xenv *e, struct agg_sum *s, const struct luma_str *add)
{
    struct luma_str sum, first;
    if (!s->slow) {
        LUMA_TRY(eng.data->numeric_from_i128(e->arena, s->sum, s->scale, &first));
        s->rest = first;
        s->own.buffer = NULL;
        s->own.room = 0;
        s->slow = true;
    }
    LUMA_TRY(eng.data->numeric_op(e->ctx, e->arena, LUMA_NUMERIC_ADD, &s->rest, add, &sum));
    s->rest = sum;
    if (sum.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    if (s->own.room < sum.bytes) {
        s->own.buffer = luma_arena_alloc(states_arena(e), sum.bytes * (size_t)2);
        ENG_NEED(e->ctx, s->own.buffer, "an aggregate");
        s->own.room = sum.bytes * (size_t)2;
    }
    memcpy(s->own.buffer, sum.ptr, sum.bytes);
    s->rest.ptr = s->own.buffer;
    return LUMA_OK;
}

static luma_rc
sum_add(struct xenv *e, struct agg_sum *s, luma_i128 v, int16_t scale)
{
    luma_i128 sum = s->sum;
    bool over = s->slow;
    if (!over && s->scale < scale) {
        for (int16_t k = s->scale; k < scale && !over; k++)
            over = __builtin_mul_overflow(sum, (luma_i128)10, &sum);
        if (!over) {
            s->sum = sum;
            s->scale = scale;
        }
    } else if (!over) {
        for (int16_t k = scale; k < s->scale && !over; k++)
            over = __builtin_mul_overflow(v, (luma_i128)10, &v);
        scale = s->scale;
    }
    if (!over && !__builtin_add_overflow(s->sum, v, &sum)) {
        s->sum = sum;
        return LUMA_OK;
    }
    struct luma_str text;
    LUMA_TRY(eng.data->numeric_from_i128(e->arena, v, scale, &text));
    return sum_slow(e, s, &text);
}

static luma_rc
sum_add_text(struct xenv *e, struct agg_sum *s, const struct luma_str *v)
{
    int scale = eng.data->numeric_dscale(v);
    luma_i128 n;
    if (!s->slow && scale >= 0 && scale <= 18 &&
        eng.data->numeric_to_i128(v, (int16_t)scale, &n) == LUMA_OK)
        return sum_add(e, s, n, (int16_t)scale);
    return sum_slow(e, s, v);
}

static luma_rc
sum_row(struct xenv *e, struct agg_sum *s, const struct luma_vec *arg, uint32_t row)
{
    s->n++;
    switch (arg->phys) {
    case LUMA_PHYS_I16:
        return sum_add(e, s, *(const int16_t *)luma_vec_at(arg, row), 0);
    case LUMA_PHYS_I32:
        return sum_add(e, s, *(const int32_t *)luma_vec_at(arg, row), 0);
    case LUMA_PHYS_I64:
        return sum_add(e, s, *(const int64_t *)luma_vec_at(arg, row), arg->scale);
    case LUMA_PHYS_I128:
        return sum_add(e, s, *(const luma_i128 *)luma_vec_at(arg, row), arg->scale);
    default:
        return sum_add_text(e, s, luma_vec_at(arg, row));
    }
}

static luma_rc
sum_i64(struct xenv *e, struct agg_sum *s, const struct luma_vec *arg, const uint16_t *sel,
        uint32_t n)
{
    int64_t dense[LUMA_BATCH_ROWS];
    const int64_t *x = arg->data;
    if (sel != NULL) {
        eng.simd->take_64(arg->data, sel, n, (uint64_t *)dense);
        x = dense;
    }
    s->n += n;
    return sum_add(e, s, eng.simd->sum_i64(x, n), arg->scale);
}

/* --- sums of small integers --- */

#define SUM_AT(ctype)                              \
    do {                                           \
        const ctype *x_ = arg->data;               \
        for (uint32_t k_ = 0; k_ < n; k_++)        \
            sum += x_[sel == NULL ? k_ : sel[k_]]; \
    } while (0)

/* Flat and without nulls. */
static void
sum_int_one(struct agg_sum_int *s, const struct luma_vec *arg, const uint16_t *sel, uint32_t n)
{
    int64_t sum = 0;
    if (arg->phys == LUMA_PHYS_I32 && sel == NULL)
        sum = eng.simd->sum_i32(arg->data, n);
    else if (arg->phys == LUMA_PHYS_I32)
        SUM_AT(int32_t);
    else
        SUM_AT(int16_t);
    s->sum += sum;
    s->n += n;
}

#define SCATTER_AT(ctype)                                                              \
    do {                                                                               \
        const ctype *x_ = arg->data;                                                   \
        for (uint32_t k_ = 0; k_ < n; k_++) {                                          \
            struct agg_sum_int *s_ = (struct agg_sum_int *)(void *)(groups[k_] + off); \
            s_->sum += x_[eng_sel_at(sel, k_)];                                        \
            s_->n++;                                                                   \
        }                                                                              \
    } while (0)

static bool
scatter_int(const struct luma_vec *arg, uint8_t *const *groups, uint32_t off, const uint16_t *sel,
            uint32_t n)
{
    if (arg->form != LUMA_VEC_FLAT || arg->valid != NULL)
        return false;
    if (arg->phys == LUMA_PHYS_I32)
        SCATTER_AT(int32_t);
    else if (arg->phys == LUMA_PHYS_I16)
        SCATTER_AT(int16_t);
    else
        return false;
    return true;
}

static void
extreme_add(const struct agg *agg, struct agg_extreme *s, int64_t v)
{
    bool better = s->n == 0 || (agg->kind == AGG_MIN ? v < s->value : v > s->value);
    if (better)
        s->value = v;
    s->n++;
}

#define EXTREME_BY(ctype, better)                                   \
    do {                                                            \
        const ctype *x_ = arg->data;                                \
        ctype best_ = x_[sel == NULL ? 0 : sel[0]];                 \
        for (uint32_t k_ = 1; sel == NULL && k_ < n; k_++)          \
            best_ = x_[k_] better best_ ? x_[k_] : best_;           \
        for (uint32_t k_ = 1; sel != NULL && k_ < n; k_++)          \
            best_ = x_[sel[k_]] better best_ ? x_[sel[k_]] : best_; \
        best = best_;                                               \
    } while (0)

#define EXTREME_OF(ctype)         \
    do {                          \
        if (agg->kind == AGG_MIN) \
            EXTREME_BY(ctype, <); \
        else                      \
            EXTREME_BY(ctype, >); \
    } while (0)

/* The extreme of at least one row, flat and without nulls. */
static void
extreme_one(const struct agg *agg, struct agg_extreme *s, const struct luma_vec *arg,
            const uint16_t *sel, uint32_t n)
{
    int64_t best;
    if (arg->phys == LUMA_PHYS_I16)
        EXTREME_OF(int16_t);
    else if (arg->phys == LUMA_PHYS_I32)
        EXTREME_OF(int32_t);
    else
        EXTREME_OF(int64_t);
    extreme_add(agg, s, best);
    s->n += n - 1;
}

/* One row (not null) into one state. */
static luma_rc
update_row(struct xenv *e, const struct agg *agg, void *state, const struct luma_vec *arg,
           uint32_t row)
{
    switch (agg->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        (*(int64_t *)state)++;
        return LUMA_OK;
    case AGG_SUM:
    case AGG_AVG:
        return sum_row(e, state, arg, row);
    case AGG_SUM_INT:
    case AGG_AVG_INT: {
        struct agg_sum_int *s = state;
        s->sum += eng_vec_int(arg, row);
        s->n++;
        return LUMA_OK;
    }
    case AGG_SUM_F64:
    case AGG_AVG_F64: {
        struct agg_f64 *s = state;
        s->sum += *(const double *)luma_vec_at(arg, row);
        s->n++;
        return LUMA_OK;
    }
    default:
        extreme_add(agg, state, eng_vec_int(arg, row));
        return LUMA_OK;
    }
}

/* n rows with one value that is not null; false: not of a kind that knows a way. */
static bool
const_rows(const struct agg *agg, void *state, const struct luma_vec *arg, uint32_t n)
{
    switch (agg->kind) {
    case AGG_COUNT:
        *(int64_t *)state += n;
        return true;
    case AGG_SUM_INT:
    case AGG_AVG_INT: {
        struct agg_sum_int *s = state;
        s->sum += eng_vec_int(arg, 0) * (int64_t)n;
        s->n += n;
        return true;
    }
    case AGG_MIN:
    case AGG_MAX: {
        struct agg_extreme *s = state;
        extreme_add(agg, s, eng_vec_int(arg, 0));
        s->n += n - 1;
        return true;
    }
    default:
        return false;
    }
}

luma_rc
eng_agg_update_one(struct xenv *e, const struct agg *agg, void *state, const struct luma_vec *arg,
                   const uint16_t *sel, uint32_t n, uint32_t rows)
{
    (void)rows;
    bool plain = arg != NULL && arg->form == LUMA_VEC_FLAT && arg->valid == NULL && n > 0;
    if (agg->kind == AGG_COUNT_STAR || (agg->kind == AGG_COUNT && arg->valid == NULL)) {
        *(int64_t *)state += n;
        return LUMA_OK;
    }
    if (n > 0 && arg->form == LUMA_VEC_CONST && !luma_vec_is_null(arg, 0) &&
        const_rows(agg, state, arg, n))
        return LUMA_OK;
    if (plain && (agg->kind == AGG_SUM || agg->kind == AGG_AVG) && arg->phys == LUMA_PHYS_I64)
        return sum_i64(e, state, arg, sel, n);
    if (plain && (agg->kind == AGG_SUM_INT || agg->kind == AGG_AVG_INT) &&
        (arg->phys == LUMA_PHYS_I32 || arg->phys == LUMA_PHYS_I16)) {
        sum_int_one(state, arg, sel, n);
        return LUMA_OK;
    }
    if (plain && (agg->kind == AGG_MIN || agg->kind == AGG_MAX)) {
        extreme_one(agg, state, arg, sel, n);
        return LUMA_OK;
    }
    if (plain && sel == NULL && agg->kind == AGG_SUM_F64) {
        struct agg_f64 *s = state;
        s->sum += eng.simd->sum_f64(arg->data, n);
        s->n += n;
        return LUMA_OK;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (!luma_vec_is_null(arg, row))
            LUMA_TRY(update_row(e, agg, state, arg, row));
    }
    return LUMA_OK;
}

static luma_rc
update_func(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off,
            const struct luma_vec *args, const uint16_t *sel, uint32_t n, uint32_t rows)
{
    (void)rows;
    void *states[LUMA_BATCH_ROWS];
    uint16_t live[LUMA_BATCH_ROWS];
    bool narrow =
        agg->func->aggregate->ignores_nulls && agg->args_count > 0 && args[0].valid != NULL;
    uint32_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (narrow && luma_vec_is_null(&args[0], row))
            continue;
        live[count] = (uint16_t)row;
        states[count++] = groups[k] + off;
    }
    if (count == 0)
        return LUMA_OK;
    struct luma_func_call call = {.ctx = e->ctx,
                                  .arena = states_arena(e),
                                  .func = agg->func,
                                  .format = e->x->format,
                                  .bound = agg->bound,
                                  .result = agg->type};
    return agg->func->aggregate->update(&call, args, agg->args_count, live, count, states);
}

/* 64-bit addends straight into 128-bit sums: the common case of a grouped sum. */
static bool
scatter_sum(const struct luma_vec *arg, uint8_t *const *groups, uint32_t off, const uint16_t *sel,
            uint32_t n)
{
    const int64_t *x = arg->data;
    if (arg->phys != LUMA_PHYS_I64 || arg->form != LUMA_VEC_FLAT || arg->valid != NULL)
        return false;
    for (uint32_t k = 0; k < n; k++) {
        const struct agg_sum *s = (const struct agg_sum *)(const void *)(groups[k] + off);
        if (s->slow || (s->n > 0 && s->scale != arg->scale))
            return false;
    }
    const luma_i128 limit = (luma_i128)1 << 120;
    for (uint32_t k = 0; k < n; k++) {
        struct agg_sum *s = (struct agg_sum *)(void *)(groups[k] + off);
        if (s->sum > limit || s->sum < -limit)
            return false; /* what was added so far stays: see the caller */
    }
    for (uint32_t k = 0; k < n; k++) {
        struct agg_sum *s = (struct agg_sum *)(void *)(groups[k] + off);
        s->sum += x[eng_sel_at(sel, k)];
        s->n++;
        s->scale = arg->scale;
    }
    return true;
}

luma_rc
eng_agg_update_many(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off,
                    const struct luma_vec *args, const uint16_t *sel, uint32_t n, uint32_t rows)
{
    if (agg->kind == AGG_FUNC)
        return update_func(e, agg, groups, off, args, sel, n, rows);
    if (agg->kind == AGG_COUNT_STAR || (agg->kind == AGG_COUNT && args[0].valid == NULL)) {
        for (uint32_t k = 0; k < n; k++)
            (*(int64_t *)(void *)(groups[k] + off))++;
        return LUMA_OK;
    }
    if ((agg->kind == AGG_SUM || agg->kind == AGG_AVG) &&
        scatter_sum(&args[0], groups, off, sel, n))
        return LUMA_OK;
    if ((agg->kind == AGG_SUM_INT || agg->kind == AGG_AVG_INT) &&
        scatter_int(&args[0], groups, off, sel, n))
        return LUMA_OK;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (!luma_vec_is_null(&args[0], row))
            LUMA_TRY(update_row(e, agg, groups[k] + off, &args[0], row));
    }
    return LUMA_OK;
}

luma_rc
eng_agg_merge(struct xenv *e, const struct agg *agg, void *into, void *from)
{
    switch (agg->kind) {
    case AGG_FUNC: {
        struct luma_func_call call = {.ctx = e->ctx,
                                      .arena = states_arena(e),
                                      .func = agg->func,
                                      .format = e->x->format,
                                      .bound = agg->bound,
                                      .result = agg->type};
        return agg->func->aggregate->merge(&call, into, from);
    }
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        *(int64_t *)into += *(int64_t *)from;
        return LUMA_OK;
    case AGG_SUM:
    case AGG_AVG: {
        struct agg_sum *a = into, *b = from;
        if (b->n == 0)
            return LUMA_OK;
        a->n += b->n;
        return b->slow ? sum_slow(e, a, &b->rest) : sum_add(e, a, b->sum, b->scale);
    }
    case AGG_SUM_INT:
    case AGG_AVG_INT: {
        struct agg_sum_int *a = into, *b = from;
        a->sum += b->sum;
        a->n += b->n;
        return LUMA_OK;
    }
    case AGG_SUM_F64:
    case AGG_AVG_F64: {
        struct agg_f64 *a = into, *b = from;
        a->sum += b->sum;
        a->n += b->n;
        return LUMA_OK;
    }
    default: {
        struct agg_extreme *a = into, *b = from;
        if (b->n == 0)
            return LUMA_OK;
        extreme_add(agg, a, b->value);
        a->n += b->n - 1;
        return LUMA_OK;
    }
    }
}

/* --- results --- */

static luma_rc
null_row(struct xenv *e, struct luma_vec *out, uint32_t n, uint32_t i)
{
    if (out->valid == NULL)
        LUMA_TRY(eng_vec_bits(e, n, true, &out->valid));
    luma_bit_clear(out->valid, i);
    memset((uint8_t *)out->data + (size_t)i * luma_phys_bytes(out->phys), 0,
           luma_phys_bytes(out->phys));
    return LUMA_OK;
}

static const struct agg_sum *
sum_of(uint8_t *const *groups, uint32_t off, uint32_t i)
{
    return (const struct agg_sum *)(const void *)(groups[i] + off);
}

static luma_rc
sum_text(struct xenv *e, const struct agg_sum *s, struct luma_str *out)
{
    if (s->slow) {
        *out = s->rest;
        return LUMA_OK;
    }
    return eng.data->numeric_from_i128(e->arena, s->sum, s->scale, out);
}

static luma_rc
finish_sum_int8(struct xenv *e, uint8_t *const *groups, uint32_t off, uint32_t n,
                struct luma_vec *out)
{
    int64_t *to = out->data;
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_sum *s = sum_of(groups, off, i);
        if (s->n == 0) {
            LUMA_TRY(null_row(e, out, n, i));
            continue;
        }
        if (s->sum > INT64_MAX || s->sum < INT64_MIN)
            return LUMA_FAIL(e->ctx, LUMA_E_RANGE, "bigint out of range");
        to[i] = (int64_t)s->sum;
    }
    return LUMA_OK;
}

static luma_rc
finish_sum(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off, uint32_t n,
           struct luma_vec *out)
{
    if (agg->type.id == LUMA_TYPE_INT8) {
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_I64, n, out));
        return finish_sum_int8(e, groups, off, n, out);
    }
    bool fast = true;
    int16_t scale = -1;
    for (uint32_t i = 0; i < n && fast; i++) {
        const struct agg_sum *s = sum_of(groups, off, i);
        if (s->n == 0)
            continue;
        scale = scale < 0 ? s->scale : scale;
        fast = !s->slow && s->scale == scale;
    }
    LUMA_TRY(eng_vec_room(e, agg->type, fast ? LUMA_PHYS_I128 : LUMA_PHYS_STR, n, out));
    out->scale = scale < 0 ? (int16_t)0 : scale;
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_sum *s = sum_of(groups, off, i);
        if (s->n == 0)
            LUMA_TRY(null_row(e, out, n, i));
        else if (fast)
            ((luma_i128 *)out->data)[i] = s->sum;
        else
            LUMA_TRY(sum_text(e, s, &((struct luma_str *)out->data)[i]));
    }
    return LUMA_OK;
}

static luma_rc
finish_sum_int(struct xenv *e, uint8_t *const *groups, uint32_t off, uint32_t n,
               struct luma_vec *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_sum_int *s = (const struct agg_sum_int *)(const void *)(groups[i] + off);
        if (s->n == 0)
            LUMA_TRY(null_row(e, out, n, i));
        else
            ((int64_t *)out->data)[i] = s->sum;
    }
    return LUMA_OK;
}

static luma_rc
finish_avg(struct xenv *e, bool ints, uint8_t *const *groups, uint32_t off, uint32_t n,
           struct luma_vec *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_sum_int *is = (const struct agg_sum_int *)(const void *)(groups[i] + off);
        const struct agg_sum *s = sum_of(groups, off, i);
        int64_t rows = ints ? is->n : s->n;
        struct luma_str sum, count;
        if (rows == 0) {
            LUMA_TRY(null_row(e, out, n, i));
            continue;
        }
        if (ints)
            LUMA_TRY(eng.data->numeric_from_i128(e->arena, is->sum, 0, &sum));
        else
            LUMA_TRY(sum_text(e, s, &sum));
        LUMA_TRY(eng.data->numeric_from_i128(e->arena, rows, 0, &count));
        LUMA_TRY(eng.data->numeric_op(e->ctx, e->arena, LUMA_NUMERIC_DIV, &sum, &count,
                                      &((struct luma_str *)out->data)[i]));
    }
    return LUMA_OK;
}

static luma_rc
finish_f64(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off, uint32_t n,
           struct luma_vec *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_f64 *s = (const struct agg_f64 *)(const void *)(groups[i] + off);
        if (s->n == 0)
            LUMA_TRY(null_row(e, out, n, i));
        else
            ((double *)out->data)[i] = agg->kind == AGG_AVG_F64 ? s->sum / (double)s->n : s->sum;
    }
    return LUMA_OK;
}

static luma_rc
finish_extreme(struct xenv *e, uint8_t *const *groups, uint32_t off, uint32_t n,
               struct luma_vec *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct agg_extreme *s = (const struct agg_extreme *)(const void *)(groups[i] + off);
        if (s->n == 0)
            LUMA_TRY(null_row(e, out, n, i));
        else if (out->phys == LUMA_PHYS_I64)
            ((int64_t *)out->data)[i] = s->value;
        else if (out->phys == LUMA_PHYS_I32)
            ((int32_t *)out->data)[i] = (int32_t)s->value;
        else
            ((int16_t *)out->data)[i] = (int16_t)s->value;
    }
    return LUMA_OK;
}

static luma_rc
finish_func(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off, uint32_t n,
            struct luma_vec *out)
{
    struct luma_func_call call = {.ctx = e->ctx,
                                  .arena = e->arena,
                                  .func = agg->func,
                                  .format = e->x->format,
                                  .bound = agg->bound,
                                  .result = agg->type};
    struct luma_value *values = luma_arena_alloc(e->arena, sizeof(*values) * (n + 1));
    ENG_NEED(e->ctx, values, "an aggregate");
    bool same = true;
    const struct luma_value *model = NULL;
    for (uint32_t i = 0; i < n; i++) {
        memset(&values[i], 0, sizeof(values[i]));
        LUMA_TRY(agg->func->aggregate->finish(&call, groups[i] + off, &values[i]));
        if (values[i].is_null)
            continue;
        same = same && (model == NULL ||
                        (model->phys == values[i].phys && model->scale == values[i].scale));
        model = &values[i];
    }
    uint32_t phys = model == NULL ? luma_type_phys(agg->type)
                    : same        ? model->phys
                                  : (uint32_t)LUMA_PHYS_STR;
    LUMA_TRY(eng_vec_room(e, agg->type, phys, n, out));
    out->scale = model == NULL ? (int16_t)0 : model->scale;
    for (uint32_t i = 0; i < n; i++) {
        struct luma_vec one;
        if (values[i].is_null) {
            LUMA_TRY(null_row(e, out, n, i));
            continue;
        }
        eng_vec_of_value(&one, &values[i]);
        if (one.phys != out->phys)
            LUMA_TRY(eng_vec_table_form(e, luma_type(LUMA_TYPE_NUMERIC), &one, NULL, 1, 1, &one));
        memcpy((uint8_t *)out->data + (size_t)i * luma_phys_bytes(out->phys), one.data,
               luma_phys_bytes(out->phys));
    }
    return LUMA_OK;
}

luma_rc
eng_agg_finish(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off,
               uint32_t n, struct luma_vec *out)
{
    switch (agg->kind) {
    case AGG_FUNC:
        return finish_func(e, agg, groups, off, n, out);
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_I64, n, out));
        for (uint32_t i = 0; i < n; i++)
            ((int64_t *)out->data)[i] = *(const int64_t *)(const void *)(groups[i] + off);
        return LUMA_OK;
    case AGG_SUM:
        return finish_sum(e, agg, groups, off, n, out);
    case AGG_SUM_INT:
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_I64, n, out));
        return finish_sum_int(e, groups, off, n, out);
    case AGG_AVG:
    case AGG_AVG_INT:
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_STR, n, out));
        return finish_avg(e, agg->kind == AGG_AVG_INT, groups, off, n, out);
    case AGG_SUM_F64:
    case AGG_AVG_F64:
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_F64, n, out));
        return finish_f64(e, agg, groups, off, n, out);
    default:
        LUMA_TRY(eng_vec_room(e, agg->type, LUMA_PHYS_NONE, n, out));
        return finish_extreme(e, groups, off, n, out);
    }
}
