/*
 * window.c - one window function at one row of a partition. The rows come one after the other; what
 * a function looks at besides is anywhere in the partition, which lies in memory or on disk.
 */
#include "window.h"

#define SPAN_ROWS 512

/* A partition may be the whole table. */
#define WIN_YIELD(e, i)                           \
    do {                                          \
        if (((i)&1023) == 0)                      \
            LUMA_TRY(eng.sched->yield((e)->ctx)); \
    } while (0)

struct frame {
    uint64_t lo, hi; /* rows [lo, hi) */
};

/* --- the partition --- */

static luma_rc
col_value(struct xenv *e, const struct win_part *wp, uint64_t row, uint32_t col,
          struct luma_value *out)
{
    if (wp->disk != NULL)
        return eng_window_disk_value(e, wp->disk, row, col, out);
    *out = eng_row_value(wp->lay, wp->items[row].row, col);
    return LUMA_OK;
}

/* First row of a group; of the one behind the last: the end. */
static luma_rc
group_row(struct xenv *e, const struct win_part *wp, uint64_t group, uint64_t *out)
{
    *out = wp->last;
    if (group >= wp->groups_end)
        return LUMA_OK;
    if (wp->disk != NULL)
        return eng_window_disk_group(e, wp->disk, group, out);
    *out = wp->group_rows[group - wp->groups];
    return LUMA_OK;
}

luma_rc
eng_window_first(struct xenv *e, struct win_part *wp)
{
    wp->at = wp->peer_first = wp->first;
    wp->group = wp->groups;
    return group_row(e, wp, wp->group + 1, &wp->peer_last);
}

luma_rc
eng_window_step(struct xenv *e, struct win_part *wp)
{
    WIN_YIELD(e, wp->at);
    if (++wp->at < wp->peer_last)
        return LUMA_OK;
    wp->group++;
    wp->peer_first = wp->peer_last;
    return group_row(e, wp, wp->group + 1, &wp->peer_last);
}

/* A value of another row, to be kept. */
static luma_rc
take_value(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint64_t row,
           uint32_t col, struct luma_value *out)
{
    LUMA_TRY(col_value(e, wp, row, col, out));
    out->type = f->type;
    if (wp->disk == NULL || out->is_null || out->phys != LUMA_PHYS_STR ||
        out->str.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    char *copy = luma_arena_alloc_aligned(e->arena, out->str.bytes, 1);
    ENG_NEED(e->ctx, copy, "a window function");
    memcpy(copy, out->str.ptr, out->str.bytes);
    out->str.ptr = copy;
    return LUMA_OK;
}

static int64_t
as_int(const struct luma_value *v)
{
    return v->phys == LUMA_PHYS_I64   ? v->i64
           : v->phys == LUMA_PHYS_I32 ? v->i32
           : v->phys == LUMA_PHYS_I16 ? v->i16
                                      : 0;
}

static void
set_int(struct luma_value *out, struct luma_type type, int64_t v)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    if (out->phys == LUMA_PHYS_I32)
        out->i32 = (int32_t)v;
    else
        out->i64 = v;
}

static void
set_f64(struct luma_value *out, double v)
{
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_FLOAT8);
    out->phys = LUMA_PHYS_F64;
    out->f64 = v;
}

static void
set_null(struct luma_value *out, struct luma_type type)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    out->is_null = true;
}

/* --- frames --- */

static luma_rc
offset_null(struct xenv *e, bool upper)
{
    return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22004", "frame %s offset must not be null",
                         upper ? "ending" : "starting");
}

static luma_rc
offset_of(struct xenv *e, const struct win_part *wp, uint32_t col, bool upper, int64_t *out)
{
    struct luma_value v;
    LUMA_TRY(col_value(e, wp, wp->at, col, &v));
    if (v.is_null)
        return offset_null(e, upper);
    if (as_int(&v) < 0)
        return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22013",
                             "frame %s offset must not be negative", upper ? "ending" : "starting");
    *out = as_int(&v);
    return LUMA_OK;
}

/* RANGE with an offset: the first row (or one past the last) within it of the current value. */
static luma_rc
range_bound(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint32_t col,
            bool back, bool upper, uint64_t *out)
{
    struct luma_value offset, key;
    struct win_edge edge;
    struct xenv step = *e;
    LUMA_TRY(col_value(e, wp, wp->at, col, &offset));
    if (offset.is_null)
        return offset_null(e, upper);
    LUMA_TRY(col_value(e, wp, wp->at, f->order_col, &key));
    *out = upper ? wp->peer_last : wp->peer_first;
    if (key.is_null)
        return LUMA_OK;
    LUMA_TRY(eng_step_arena(e->p, wp->op, &step.arena));
    LUMA_TRY(eng_window_edge(&step, &key, &offset, back != f->order_desc, &edge));
    uint64_t lo = wp->first, hi = wp->last;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        struct luma_value v;
        LUMA_TRY(col_value(e, wp, mid, f->order_col, &v));
        /* nulls stand together at one end: on which side of us are they? */
        if (v.is_null ? mid < wp->at : eng_window_before_edge(&edge, &v, f->order_desc, upper))
            lo = mid + 1;
        else
            hi = mid;
    }
    *out = lo;
    return LUMA_OK;
}

static luma_rc
group_edge(struct xenv *e, const struct win_part *wp, int64_t delta, bool upper, uint64_t *out)
{
    int64_t to = (int64_t)(wp->group - wp->groups) + delta;
    if (to < 0) {
        *out = wp->first;
        return LUMA_OK;
    }
    return group_row(e, wp, wp->groups + (uint64_t)to + upper, out);
}

static luma_rc
bound(struct xenv *e, const struct win_func *f, const struct win_part *wp,
      enum luma_frame_bound what, uint32_t col, bool upper, uint64_t *out)
{
    int64_t n = 0;
    switch (what) {
    case LUMA_BOUND_UNBOUNDED_PRECEDING:
        *out = wp->first;
        return LUMA_OK;
    case LUMA_BOUND_UNBOUNDED_FOLLOWING:
        *out = wp->last;
        return LUMA_OK;
    case LUMA_BOUND_CURRENT:
        if (f->mode == LUMA_FRAME_ROWS)
            *out = upper ? wp->at + 1 : wp->at;
        else
            *out = upper ? wp->peer_last : wp->peer_first;
        return LUMA_OK;
    default:
        break;
    }
    bool back = what == LUMA_BOUND_PRECEDING;
    if (f->mode == LUMA_FRAME_RANGE)
        return range_bound(e, f, wp, col, back, upper, out);
    LUMA_TRY(offset_of(e, wp, col, upper, &n));
    int64_t reach = (int64_t)(wp->last - wp->first);
    n = n > reach ? reach : n;
    if (f->mode == LUMA_FRAME_GROUPS)
        return group_edge(e, wp, back ? -n : n, upper, out);
    int64_t at = (int64_t)wp->at + (back ? -n : n) + (upper ? 1 : 0);
    *out = at < (int64_t)wp->first ? wp->first : at > (int64_t)wp->last ? wp->last : (uint64_t)at;
    return LUMA_OK;
}

static luma_rc
frame_of(struct xenv *e, const struct win_func *f, const struct win_part *wp, struct frame *out)
{
    LUMA_TRY(bound(e, f, wp, f->start, f->start_off, false, &out->lo));
    LUMA_TRY(bound(e, f, wp, f->end, f->end_off, true, &out->hi));
    if (out->hi < out->lo)
        out->hi = out->lo;
    return LUMA_OK;
}

static bool
excluded(const struct win_func *f, const struct win_part *wp, uint64_t row)
{
    switch (f->exclude) {
    case 1:
        return row == wp->at;
    case 2:
        return row >= wp->peer_first && row < wp->peer_last;
    case 3:
        return row != wp->at && row >= wp->peer_first && row < wp->peer_last;
    default:
        return false;
    }
}

/* --- aggregates --- */

luma_rc
eng_window_run_init(struct part *p, struct luma_arena *arena, const struct win_func *f,
                    struct win_run *run)
{
    memset(run, 0, sizeof(*run));
    if (f->kind != WIN_AGG)
        return LUMA_OK;
    run->state = luma_arena_zalloc(arena, f->agg.bytes + 16);
    ENG_NEED(p->ctx, run->state, "a window function");
    run->arena = eng.mem->arena_create(p->x->budget, 4096);
    ENG_NEED(p->ctx, run->arena, "a window function");
    return LUMA_OK;
}

void
eng_window_run_fini(struct exec *x, struct win_run *run)
{
    eng.mem->arena_destroy(LUMA_TAKE(run->arena));
    if (run->text != NULL)
        eng.mem->release(x->budget, LUMA_TAKE(run->text), run->text_room);
}

static void
state_empty(const struct win_func *f, struct win_run *run)
{
    memset(run->state, 0, f->agg.bytes);
    run->arena->reset(run->arena);
}

void
eng_window_run_begin(const struct win_func *f, const struct win_part *wp, struct win_run *run)
{
    run->done = wp->first;
    run->lo = run->hi = UINT64_MAX;
    if (run->state != NULL)
        state_empty(f, run);
}

/* Some of the rows [lo, hi), SPAN_ROWS at most, and where their columns are. */
struct span {
    uint32_t n;
    struct luma_batch *batch; /* on disk; the span begins at row `at` of it */
    uint32_t at;
};

static luma_rc
span_of(struct xenv *e, const struct win_part *wp, uint64_t lo, uint64_t hi, struct span *out)
{
    memset(out, 0, sizeof(*out));
    hi = hi - lo > SPAN_ROWS ? lo + SPAN_ROWS : hi;
    if (wp->disk != NULL)
        return eng_window_disk_rows(e, wp->disk, lo, hi, &out->batch, &out->at, &out->n);
    out->n = (uint32_t)(hi - lo);
    return LUMA_OK;
}

static bool
passes_filter(const struct win_func *f, const struct win_part *wp, const struct span *span,
              uint64_t lo, uint32_t k)
{
    struct luma_value ok = span->batch == NULL
                               ? eng_row_value(wp->lay, wp->items[lo + k].row, f->filter)
                               : eng.data->vec_value(&span->batch->cols[f->filter], span->at + k);
    return !ok.is_null && ok.b;
}

static luma_rc
add_span(struct xenv *e, const struct win_func *f, const struct win_part *wp,
         const struct span *span, uint64_t lo, uint8_t *state)
{
    uint8_t *rows[SPAN_ROWS], *states[SPAN_ROWS];
    uint16_t sel[SPAN_ROWS];
    struct luma_vec args[4];
    uint32_t n = 0;
    for (uint32_t k = 0; k < span->n; k++) {
        if ((f->exclude != 0 && excluded(f, wp, lo + k)) ||
            (f->filter != UINT32_MAX && !passes_filter(f, wp, span, lo, k)))
            continue;
        rows[n] = span->batch == NULL ? wp->items[lo + k].row : NULL;
        sel[n] = (uint16_t)(span->at + k);
        states[n++] = state;
    }
    if (n == 0)
        return LUMA_OK;
    for (uint32_t i = 0; i < f->args_count; i++) {
        if (span->batch != NULL)
            args[i] = span->batch->cols[f->args[i]];
        else
            LUMA_TRY(eng_rows_gather(e, wp->lay, f->args[i], rows, NULL, n, n, &args[i]));
    }
    if (span->batch != NULL)
        return eng_agg_update_many(e, &f->agg, states, 0, args, sel, n, span->batch->rows);
    return eng_agg_update_many(e, &f->agg, states, 0, args, NULL, n, n);
}

static luma_rc
agg_add(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint64_t lo,
        uint64_t hi, uint8_t *state)
{
    struct xenv step = *e;
    for (uint32_t spans = 1; lo < hi; spans++) {
        struct span span;
        LUMA_TRY(eng_step_arena(e->p, wp->op, &step.arena));
        LUMA_TRY(span_of(&step, wp, lo, hi, &span));
        LUMA_TRY(add_span(&step, f, wp, &span, lo, state));
        lo += span.n;
        if (spans % 8 == 0)
            LUMA_TRY(eng.sched->yield(e->ctx));
    }
    return LUMA_OK;
}

/* The state goes on: what its value points to is copied. */
static luma_rc
agg_value(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint8_t *state,
          struct luma_value *out)
{
    struct luma_vec vec;
    struct xenv step = *e;
    LUMA_TRY(eng_step_arena(e->p, wp->op, &step.arena));
    LUMA_TRY(eng_agg_finish(&step, &f->agg, &state, 0, 1, &vec));
    *out = eng.data->vec_value(&vec, 0);
    out->type = f->type;
    if (out->is_null || out->phys != LUMA_PHYS_STR || out->str.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    char *copy = luma_arena_alloc_aligned(e->arena, out->str.bytes, 1);
    ENG_NEED(e->ctx, copy, "a window function");
    memcpy(copy, out->str.ptr, out->str.bytes);
    out->str.ptr = copy;
    return LUMA_OK;
}

/* Frames that begin with the partition grow; others are added up anew for each row. */
static luma_rc
value_of_aggregate(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                   struct win_run *run, struct luma_value *out)
{
    bool grows = f->start == LUMA_BOUND_UNBOUNDED_PRECEDING && f->exclude == 0;
    struct frame fr;
    struct xenv own = *e;
    own.states = run->arena;
    LUMA_TRY(frame_of(e, f, wp, &fr));
    if (fr.hi != run->hi || fr.lo != run->lo || f->exclude != 0) {
        if (!grows || fr.hi < run->done) {
            state_empty(f, run);
            run->done = fr.lo;
        }
        LUMA_TRY(agg_add(&own, f, wp, run->done, fr.hi, run->state));
        run->done = fr.hi > run->done ? fr.hi : run->done;
        LUMA_TRY(agg_value(&own, f, wp, run->state, &run->value));
        run->lo = fr.lo;
        run->hi = fr.hi;
    }
    *out = run->value;
    return LUMA_OK;
}

/* --- values of other rows --- */

static luma_rc
value_at_offset(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                struct luma_value *out)
{
    int64_t n = 1, before = (int64_t)(wp->at - wp->first), behind = (int64_t)(wp->last - wp->at);
    set_null(out, f->type);
    if (f->args_count > 1) {
        struct luma_value v;
        LUMA_TRY(col_value(e, wp, wp->at, f->args[1], &v));
        if (v.is_null)
            return LUMA_OK;
        n = as_int(&v);
    }
    if (f->kind == WIN_LAG)
        n = n == INT64_MIN ? INT64_MAX : -n;
    if (n >= -before && n < behind)
        return take_value(e, f, wp, (uint64_t)((int64_t)wp->at + n), f->args[0], out);
    if (f->args_count > 2)
        return take_value(e, f, wp, wp->at, f->args[2], out);
    return LUMA_OK;
}

static luma_rc
value_in_frame(struct xenv *e, const struct win_func *f, const struct win_part *wp,
               struct luma_value *out)
{
    struct frame fr;
    int64_t nth = 1;
    bool from_end = f->kind == WIN_LAST_VALUE;
    LUMA_TRY(frame_of(e, f, wp, &fr));
    set_null(out, f->type);
    if (f->kind == WIN_NTH_VALUE) {
        struct luma_value v;
        LUMA_TRY(col_value(e, wp, wp->at, f->args[1], &v));
        if (v.is_null)
            return LUMA_OK;
        nth = as_int(&v);
        if (nth <= 0)
            return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22016",
                                 "argument of nth_value must be greater than zero");
    }
    uint64_t skip = f->exclude == 0 ? (uint64_t)nth - 1 : 0;
    nth -= (int64_t)skip;
    for (uint64_t k = skip; k < fr.hi - fr.lo; k++) {
        uint64_t row = from_end ? fr.hi - 1 - k : fr.lo + k;
        WIN_YIELD(e, k);
        if (!excluded(f, wp, row) && --nth == 0)
            return take_value(e, f, wp, row, f->args[0], out);
    }
    return LUMA_OK;
}

/* --- ranks --- */

static luma_rc
value_of_ntile(struct xenv *e, const struct win_func *f, const struct win_part *wp,
               struct win_run *run, struct luma_value *out)
{
    if (wp->at == wp->first) /* one value for the partition: that of its first row */
        LUMA_TRY(col_value(e, wp, wp->first, f->args[0], &run->value));
    const struct luma_value *v = &run->value;
    int64_t rows = (int64_t)(wp->last - wp->first), n = v->is_null ? 0 : as_int(v);
    if (!v->is_null && n <= 0)
        return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22014",
                             "argument of ntile must be greater than zero");
    set_null(out, f->type);
    if (n == 0)
        return LUMA_OK;
    int64_t at = (int64_t)(wp->at - wp->first), size = rows / n, larger = rows % n;
    int64_t bucket = at < larger * (size + 1)
                         ? at / (size + 1)
                         : larger + (at - larger * (size + 1)) / (size == 0 ? 1 : size);
    set_int(out, f->type, bucket + 1);
    return LUMA_OK;
}

static void
value_of_rank(const struct win_func *f, const struct win_part *wp, struct luma_value *out)
{
    double rows = (double)(wp->last - wp->first);
    int64_t rank = (int64_t)(wp->peer_first - wp->first) + 1;
    switch (f->kind) {
    case WIN_ROW_NUMBER:
        set_int(out, f->type, (int64_t)(wp->at - wp->first) + 1);
        break;
    case WIN_RANK:
        set_int(out, f->type, rank);
        break;
    case WIN_DENSE_RANK:
        set_int(out, f->type, (int64_t)(wp->group - wp->groups) + 1);
        break;
    case WIN_PERCENT_RANK:
        set_f64(out, rows <= 1 ? 0 : (double)(rank - 1) / (rows - 1));
        break;
    default:
        set_f64(out, (double)(wp->peer_last - wp->first) / rows);
        break;
    }
}

luma_rc
eng_window_value(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                 struct win_run *run, struct luma_value *out)
{
    switch (f->kind) {
    case WIN_AGG:
        return value_of_aggregate(e, f, wp, run, out);
    case WIN_LAG:
    case WIN_LEAD:
        return value_at_offset(e, f, wp, out);
    case WIN_FIRST_VALUE:
    case WIN_LAST_VALUE:
    case WIN_NTH_VALUE:
        return value_in_frame(e, f, wp, out);
    case WIN_NTILE:
        return value_of_ntile(e, f, wp, run, out);
    default:
        value_of_rank(f, wp, out);
        return LUMA_OK;
    }
}
