/* window.c - one window function over one partition. */
#include "window.h"

/* A partition may be the whole table. */
#define WIN_YIELD(e, i)                           \
    do {                                          \
        if (((i)&1023) == 0)                      \
            LUMA_TRY(eng.sched->yield((e)->ctx)); \
    } while (0)

struct frame {
    uint64_t lo, hi; /* items [lo, hi) */
};

static struct luma_value
col_value(const struct win_part *wp, uint64_t item, uint32_t col)
{
    return eng_row_value(wp->lay, wp->items[item].row, col);
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
offset_of(struct xenv *e, const struct win_part *wp, uint64_t item, uint32_t col, int64_t *out)
{
    struct luma_value v = col_value(wp, item, col);
    if (v.is_null || as_int(&v) < 0)
        return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, v.is_null ? "22004" : "22013",
                             v.is_null ? "frame offset must not be null"
                                       : "frame offset must not be negative");
    *out = as_int(&v);
    return LUMA_OK;
}

static double
range_number(const struct luma_value *v)
{
    double scale = 1;
    switch (v->phys) {
    case LUMA_PHYS_F64:
        return v->f64;
    case LUMA_PHYS_F32:
        return (double)v->f32;
    case LUMA_PHYS_STR:
        return v->type.id == LUMA_TYPE_NUMERIC ? eng.data->numeric_to_f64(&v->str) : 0;
    case LUMA_PHYS_B16: /* an interval beside a timestamp: microseconds, months of 30 days */
        return (double)v->interval.microseconds +
               ((double)v->interval.days + (double)v->interval.months * 30) * 86400e6;
    default:
        for (int16_t s = v->scale; s > 0 && v->type.id == LUMA_TYPE_NUMERIC; s--)
            scale *= 10;
        return (double)as_int(v) / scale * (v->type.id == LUMA_TYPE_DATE ? 86400e6 : 1);
    }
}

/* RANGE with an offset: the first item (or one past the last) within `delta` of the current value.
 */
static uint64_t
range_edge(const struct win_func *f, const struct win_part *wp, uint64_t item, double delta,
           bool upper)
{
    struct luma_value cur = col_value(wp, item, f->order_col);
    if (cur.is_null)
        return upper ? wp->peer_last[item] : wp->peer_first[item];
    double at = range_number(&cur), limit = f->order_desc ? at - delta : at + delta;
    uint64_t lo = wp->first, hi = wp->last;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        struct luma_value v = col_value(wp, mid, f->order_col);
        bool before;
        if (v.is_null) /* nulls stand together at one end: on which side of us are they? */
            before = mid < item;
        else if (f->order_desc)
            before = upper ? range_number(&v) >= limit : range_number(&v) > limit;
        else
            before = upper ? range_number(&v) <= limit : range_number(&v) < limit;
        if (before)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static uint64_t
group_edge(const struct win_part *wp, uint64_t item, int64_t delta, bool upper)
{
    uint64_t at = item;
    for (; delta < 0; delta++) {
        if (wp->peer_first[at] == wp->first)
            return wp->first;
        at = wp->peer_first[at] - 1;
    }
    for (; delta > 0; delta--) {
        if (wp->peer_last[at] == wp->last)
            return wp->last;
        at = wp->peer_last[at];
    }
    return upper ? wp->peer_last[at] : wp->peer_first[at];
}

static luma_rc
bound(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint64_t item,
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
            *out = upper ? item + 1 : item;
        else
            *out = upper ? wp->peer_last[item] : wp->peer_first[item];
        return LUMA_OK;
    default:
        break;
    }
    bool back = what == LUMA_BOUND_PRECEDING;
    if (f->mode == LUMA_FRAME_RANGE) {
        struct luma_value v = col_value(wp, item, col);
        double delta = v.is_null ? 0 : range_number(&v);
        struct luma_value key = col_value(wp, item, f->order_col);
        if (key.type.id == LUMA_TYPE_DATE && v.phys != LUMA_PHYS_B16)
            delta *= 86400e6;
        *out = range_edge(f, wp, item, back ? -delta : delta, upper);
        return LUMA_OK;
    }
    LUMA_TRY(offset_of(e, wp, item, col, &n));
    if (f->mode == LUMA_FRAME_GROUPS) {
        int64_t reach = (int64_t)(wp->last - wp->first);
        n = n > reach ? reach : n;
        bool outside = back && upper && (int64_t)wp->group_no[item] < n;
        *out = outside ? wp->first : group_edge(wp, item, back ? -n : n, upper);
        if (!back && !upper && *out == wp->last)
            *out = wp->last;
        return LUMA_OK;
    }
    int64_t at = (int64_t)item + (back ? -n : n) + (upper ? 1 : 0);
    if (!back && n > (int64_t)(wp->last - item))
        at = (int64_t)wp->last;
    *out = at < (int64_t)wp->first ? wp->first : at > (int64_t)wp->last ? wp->last : (uint64_t)at;
    return LUMA_OK;
}

static luma_rc
frame_of(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint64_t item,
         struct frame *out)
{
    LUMA_TRY(bound(e, f, wp, item, f->start, f->start_off, false, &out->lo));
    LUMA_TRY(bound(e, f, wp, item, f->end, f->end_off, true, &out->hi));
    if (out->hi < out->lo)
        out->hi = out->lo;
    return LUMA_OK;
}

static bool
excluded(const struct win_func *f, const struct win_part *wp, uint64_t item, uint64_t k)
{
    switch (f->exclude) {
    case 1:
        return k == item;
    case 2:
        return k >= wp->peer_first[item] && k < wp->peer_last[item];
    case 3:
        return k != item && k >= wp->peer_first[item] && k < wp->peer_last[item];
    default:
        return false;
    }
}

/* --- aggregates --- */

static luma_rc
agg_add(struct xenv *e, const struct win_func *f, const struct win_part *wp, uint64_t lo,
        uint64_t hi, uint64_t item, uint8_t *state)
{
    uint8_t *rows[512], *states[512];
    while (lo < hi) {
        uint32_t n = 0;
        for (; lo < hi && n < 512; lo++) {
            if (f->exclude != 0 && excluded(f, wp, item, lo))
                continue;
            if (f->filter != UINT32_MAX) {
                struct luma_value ok = col_value(wp, lo, f->filter);
                if (ok.is_null || !ok.b)
                    continue;
            }
            rows[n] = wp->items[lo].row;
            states[n++] = state;
        }
        if (n == 0)
            continue;
        struct luma_vec args[4];
        for (uint32_t i = 0; i < f->args_count && i < 4; i++)
            LUMA_TRY(eng_rows_gather(e, wp->lay, f->args[i], rows, NULL, n, n, &args[i]));
        LUMA_TRY(eng_agg_update_many(e, &f->agg, states, 0, args, NULL, n, n));
    }
    return LUMA_OK;
}

static luma_rc
agg_value(struct xenv *e, const struct win_func *f, uint8_t *state, struct luma_value *out)
{
    struct luma_vec vec;
    struct xenv keep = {e->x, e->p, e->ctx, e->states, e->states};
    LUMA_TRY(eng_agg_finish(&keep, &f->agg, &state, 0, 1, &vec));
    *out = eng.data->vec_value(&vec, 0);
    out->type = f->type;
    return LUMA_OK;
}

/* Frames that begin with the partition grow; others are added up anew for each row. */
static luma_rc
run_aggregate(struct xenv *e, const struct win_func *f, const struct win_part *wp,
              struct luma_value *results)
{
    uint8_t *state = luma_arena_zalloc(e->states, f->agg.bytes + 16);
    ENG_NEED(e->ctx, state, "a window function");
    bool grows = f->start == LUMA_BOUND_UNBOUNDED_PRECEDING && f->exclude == 0;
    uint64_t done = wp->first, last_hi = UINT64_MAX, last_lo = UINT64_MAX;
    struct luma_value value;
    memset(&value, 0, sizeof(value));
    for (uint64_t i = wp->first; i < wp->last; i++) {
        struct frame fr;
        LUMA_TRY(frame_of(e, f, wp, i, &fr));
        if (fr.hi != last_hi || fr.lo != last_lo || f->exclude != 0) {
            if (!grows || fr.hi < done) {
                memset(state, 0, f->agg.bytes);
                done = fr.lo;
            }
            LUMA_TRY(agg_add(e, f, wp, done, fr.hi, i, state));
            done = fr.hi > done ? fr.hi : done;
            LUMA_TRY(agg_value(e, f, state, &value));
            last_hi = fr.hi;
            last_lo = fr.lo;
        }
        results[SORT_TAIL(wp->lay, wp->items[i].row)->seq] = value;
        WIN_YIELD(e, i);
    }
    return LUMA_OK;
}

/* --- values of other rows --- */

static luma_rc
run_offset(struct xenv *e, const struct win_func *f, const struct win_part *wp,
           struct luma_value *results)
{
    for (uint64_t i = wp->first; i < wp->last; i++) {
        struct luma_value *out = &results[SORT_TAIL(wp->lay, wp->items[i].row)->seq];
        int64_t n = 1;
        WIN_YIELD(e, i);
        if (f->args_count > 1) {
            struct luma_value v = col_value(wp, i, f->args[1]);
            if (v.is_null) {
                set_null(out, f->type);
                continue;
            }
            n = as_int(&v);
        }
        int64_t at = f->kind == WIN_LAG ? (int64_t)i - n : (int64_t)i + n;
        if (at >= (int64_t)wp->first && at < (int64_t)wp->last)
            *out = col_value(wp, (uint64_t)at, f->args[0]);
        else if (f->args_count > 2)
            *out = col_value(wp, i, f->args[2]);
        else
            set_null(out, f->type);
        out->type = f->type;
    }
    return LUMA_OK;
}

static luma_rc
run_value(struct xenv *e, const struct win_func *f, const struct win_part *wp,
          struct luma_value *results)
{
    for (uint64_t i = wp->first; i < wp->last; i++) {
        struct luma_value *out = &results[SORT_TAIL(wp->lay, wp->items[i].row)->seq];
        struct frame fr;
        WIN_YIELD(e, i);
        LUMA_TRY(frame_of(e, f, wp, i, &fr));
        int64_t nth = 1;
        bool from_end = f->kind == WIN_LAST_VALUE;
        if (f->kind == WIN_NTH_VALUE) {
            struct luma_value v = col_value(wp, i, f->args[1]);
            nth = v.is_null ? 0 : as_int(&v);
            if (!v.is_null && nth <= 0)
                return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22016",
                                     "argument of nth_value must be greater than zero");
        }
        set_null(out, f->type);
        for (uint64_t k = fr.lo; k < fr.hi && nth > 0; k++) {
            uint64_t at = from_end ? fr.hi - 1 - (k - fr.lo) : k;
            WIN_YIELD(e, k);
            if (excluded(f, wp, i, at) || --nth > 0)
                continue;
            *out = col_value(wp, at, f->args[0]);
            out->type = f->type;
        }
    }
    return LUMA_OK;
}

/* --- ranks --- */

static luma_rc
run_ntile(struct xenv *e, const struct win_func *f, const struct win_part *wp,
          struct luma_value *results)
{
    struct luma_value v = col_value(wp, wp->first, f->args[0]);
    int64_t rows = (int64_t)(wp->last - wp->first), n = v.is_null ? 0 : as_int(&v);
    if (!v.is_null && n <= 0)
        return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "22014",
                             "argument of ntile must be greater than zero");
    for (uint64_t i = wp->first; i < wp->last; i++) {
        struct luma_value *out = &results[SORT_TAIL(wp->lay, wp->items[i].row)->seq];
        int64_t at = (int64_t)(i - wp->first);
        WIN_YIELD(e, i);
        if (n == 0) {
            set_null(out, f->type);
            continue;
        }
        int64_t size = rows / n, larger = rows % n;
        int64_t bucket = at < larger * (size + 1)
                             ? at / (size + 1)
                             : larger + (at - larger * (size + 1)) / (size == 0 ? 1 : size);
        set_int(out, f->type, bucket + 1);
    }
    return LUMA_OK;
}

static luma_rc
run_rank(struct xenv *e, const struct win_func *f, const struct win_part *wp,
         struct luma_value *results)
{
    double rows = (double)(wp->last - wp->first);
    for (uint64_t i = wp->first; i < wp->last; i++) {
        struct luma_value *out = &results[SORT_TAIL(wp->lay, wp->items[i].row)->seq];
        int64_t rank = (int64_t)(wp->peer_first[i] - wp->first) + 1;
        WIN_YIELD(e, i);
        switch (f->kind) {
        case WIN_ROW_NUMBER:
            set_int(out, f->type, (int64_t)(i - wp->first) + 1);
            break;
        case WIN_RANK:
            set_int(out, f->type, rank);
            break;
        case WIN_DENSE_RANK:
            set_int(out, f->type, (int64_t)wp->group_no[i] + 1);
            break;
        case WIN_PERCENT_RANK:
            set_f64(out, rows <= 1 ? 0 : (double)(rank - 1) / (rows - 1));
            break;
        default:
            set_f64(out, (double)(wp->peer_last[i] - wp->first) / rows);
            break;
        }
    }
    return LUMA_OK;
}

luma_rc
eng_window_part(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                struct luma_value *results)
{
    switch (f->kind) {
    case WIN_AGG:
        return run_aggregate(e, f, wp, results);
    case WIN_LAG:
    case WIN_LEAD:
        return run_offset(e, f, wp, results);
    case WIN_FIRST_VALUE:
    case WIN_LAST_VALUE:
    case WIN_NTH_VALUE:
        return run_value(e, f, wp, results);
    case WIN_NTILE:
        return run_ntile(e, f, wp, results);
    default:
        return run_rank(e, f, wp, results);
    }
}
