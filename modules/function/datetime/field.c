/* function/datetime/field.c - extract, date_part, date_trunc, date_bin, age. */
#include <math.h>

#include "datetime.h"

/* A field's value: whole / 10^scale. */
struct part {
    int64_t whole;
    int16_t scale;
    bool null;     /* an infinite value has no such field */
    bool has_time; /* julian: day_us is its part of a day */
    int64_t day_us;
    int infinite; /* of fields that grow with it: -1, 1 */
};

static luma_rc
unknown(const struct luma_func_call *call, const struct luma_str *name, const char *type,
        bool supported_elsewhere)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, supported_elsewhere ? "0A000" : "22023",
                         "unit \"%.*s\" not %s for type %s", (int)name->bytes, luma_str_data(name),
                         supported_elsewhere ? "supported" : "recognized", type);
}

static const char *
type_name(const struct luma_func_call *call)
{
    return dt_host->data->type_info(call->func->args[1])->sql_name;
}

static int32_t
century_of(int32_t year)
{
    return year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100);
}

static int32_t
millennium_of(int32_t year)
{
    return year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000);
}

static int32_t
decade_of(int32_t year)
{
    return year >= 0 ? year / 10 : -((8 - (year - 1)) / 10);
}

/* Years without a zero, as people write them. */
static int32_t
shown_year(int32_t year)
{
    return year > 0 ? year : year - 1;
}

static bool
time_part(enum dt_field field, int64_t us, struct part *out)
{
    switch (field) {
    case FIELD_MICROSECONDS:
        out->whole = us % USECS_PER_MINUTE;
        return true;
    case FIELD_MILLISECONDS:
        out->whole = us % USECS_PER_MINUTE;
        out->scale = 3;
        return true;
    case FIELD_SECOND:
        out->whole = us % USECS_PER_MINUTE;
        out->scale = 6;
        return true;
    case FIELD_MINUTE:
        out->whole = us / USECS_PER_MINUTE % 60;
        return true;
    case FIELD_HOUR:
        out->whole = us / USECS_PER_HOUR;
        return true;
    default:
        return false;
    }
}

static bool
date_part_of(enum dt_field field, int32_t date, struct part *out)
{
    int32_t y, m, d, iso;

    dt_host->data->ymd_from_date(date, &y, &m, &d);
    switch (field) {
    case FIELD_DAY:
        out->whole = d;
        return true;
    case FIELD_MONTH:
        out->whole = m;
        return true;
    case FIELD_QUARTER:
        out->whole = (m - 1) / 3 + 1;
        return true;
    case FIELD_WEEK:
        out->whole = dt_iso_week(date, NULL);
        return true;
    case FIELD_YEAR:
        out->whole = shown_year(y);
        return true;
    case FIELD_ISOYEAR:
        dt_iso_week(date, &iso);
        out->whole = shown_year(iso);
        return true;
    case FIELD_DECADE:
        out->whole = decade_of(y);
        return true;
    case FIELD_CENTURY:
        out->whole = century_of(y);
        return true;
    case FIELD_MILLENNIUM:
        out->whole = millennium_of(y);
        return true;
    case FIELD_DOW:
        out->whole = dt_weekday(date);
        return true;
    case FIELD_ISODOW:
        out->whole = (dt_weekday(date) + 6) % 7 + 1;
        return true;
    case FIELD_DOY:
        out->whole = date - dt_host->data->date_from_ymd(y, 1, 1) + 1;
        return true;
    default:
        return false;
    }
}

static bool
grows(enum dt_field field)
{
    return field == FIELD_YEAR || field == FIELD_DECADE || field == FIELD_CENTURY ||
           field == FIELD_MILLENNIUM || field == FIELD_JULIAN || field == FIELD_ISOYEAR ||
           field == FIELD_EPOCH;
}

static bool
timestamp_part(const struct luma_func_call *call, enum dt_field field, int64_t us, bool zoned,
               struct part *out)
{
    int64_t local = zoned ? dt_to_local(call->format->zone, us) : us;
    int32_t date;

    if (field == FIELD_NONE)
        return false;
    if (!dt_finite(us)) {
        out->null = !grows(field);
        out->infinite = us > 0 ? 1 : -1;
        return true;
    }
    date = (int32_t)dt_floor_day(local);
    switch (field) {
    case FIELD_EPOCH:
        out->whole = us + EPOCH_USECS;
        out->scale = 6;
        return true;
    case FIELD_JULIAN:
        out->whole = date + INT64_C(2451545);
        out->has_time = true;
        out->day_us = local - date * USECS_PER_DAY;
        return true;
    case FIELD_TIMEZONE:
        out->whole = (local - us) / USECS_PER_SEC;
        return zoned;
    case FIELD_TIMEZONE_HOUR:
        out->whole = (local - us) / USECS_PER_HOUR;
        return zoned;
    case FIELD_TIMEZONE_MINUTE:
        out->whole = (local - us) / USECS_PER_MINUTE % 60;
        return zoned;
    default:
        return time_part(field, local - date * USECS_PER_DAY, out) ||
               date_part_of(field, date, out);
    }
}

static bool
interval_part(enum dt_field field, const struct luma_interval *iv, struct part *out)
{
    int32_t years = iv->months / 12;

    switch (field) {
    case FIELD_DAY:
        out->whole = iv->days;
        return true;
    case FIELD_MONTH:
        out->whole = iv->months % 12;
        return true;
    case FIELD_QUARTER:
        out->whole = iv->months % 12 / 3 + 1;
        return true;
    case FIELD_YEAR:
        out->whole = years;
        return true;
    case FIELD_DECADE:
        out->whole = years / 10;
        return true;
    case FIELD_CENTURY:
        out->whole = years / 100;
        return true;
    case FIELD_MILLENNIUM:
        out->whole = years / 1000;
        return true;
    case FIELD_EPOCH: /* a year of 365.25 days, a month of 30 */
        out->whole = years * INT64_C(31557600000000) + iv->months % 12 * 30 * USECS_PER_DAY +
                     iv->days * USECS_PER_DAY + iv->microseconds;
        out->scale = 6;
        return true;
    default:
        return time_part(field, iv->microseconds, out);
    }
}

static luma_rc
part_at(const struct luma_func_call *call, const struct luma_vec *args, uint32_t row,
        struct dt_known *known, struct part *out)
{
    const struct luma_str *name = luma_arg_str(&args[0], row);
    enum dt_field field = dt_field_at(&args[0], row, known);
    bool ok = false;

    memset(out, 0, sizeof(*out));
    switch (call->func->args[1].id) {
    case LUMA_TYPE_DATE: {
        int32_t date = luma_arg_i32(&args[1], row);
        if (date == INT32_MAX || date == INT32_MIN) {
            ok = timestamp_part(call, field, date > 0 ? INT64_MAX : INT64_MIN, false, out);
        } else if (field == FIELD_EPOCH) {
            out->whole = date * INT64_C(86400) + EPOCH_USECS / USECS_PER_SEC;
            ok = true;
        } else if (field == FIELD_JULIAN) {
            out->whole = date + INT64_C(2451545);
            ok = true;
        } else {
            ok = date_part_of(field, date, out);
        }
        break;
    }
    case LUMA_TYPE_TIME:
        ok = time_part(field, luma_arg_i64(&args[1], row), out);
        if (field == FIELD_EPOCH) {
            out->whole = luma_arg_i64(&args[1], row);
            out->scale = 6;
            ok = true;
        }
        break;
    case LUMA_TYPE_INTERVAL:
        ok = interval_part(field, dt_arg_interval(&args[1], row), out);
        break;
    default:
        ok = timestamp_part(call, field, luma_arg_i64(&args[1], row),
                            call->func->args[1].id == LUMA_TYPE_TIMESTAMPTZ, out);
        break;
    }
    return ok ? LUMA_OK : unknown(call, name, type_name(call), field != FIELD_NONE);
}

static luma_rc
numeric_text(const struct luma_func_call *call, const char *text, struct luma_str *out)
{
    struct luma_value v;

    LUMA_TRY(dt_host->data->from_text(call->ctx, call->arena, luma_type(LUMA_TYPE_NUMERIC), NULL,
                                      luma_slice_text(text), &v));
    *out = v.str;
    return LUMA_OK;
}

/* A constant field of finite values: 64-bit numbers at one scale. False: not all rows are so. */
static luma_rc
extract_narrow(const struct luma_func_call *call, const struct luma_vec *args, const uint16_t *sel,
               uint32_t rows, struct luma_vec *out, bool *out_done)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    int64_t *r = luma_arena_zalloc(call->arena, sizeof(*r) * ((size_t)highest + 1));
    struct dt_known known = {NULL, FIELD_NONE};
    int16_t scale = 0;

    *out_done = false;
    if (r == NULL)
        return luma_func_no_memory(call);
    LUMA_ROWS(sel, rows, i)
    {
        struct part p;
        LUMA_TRY(part_at(call, args, i, &known, &p));
        if (p.null || p.infinite != 0 || p.has_time)
            return LUMA_OK;
        r[i] = p.whole;
        scale = p.scale;
    }
    out->phys = LUMA_PHYS_I64;
    out->scale = scale;
    out->data = r;
    *out_done = true;
    return LUMA_OK;
}

DT_EVAL(extract)
{
    const struct luma_host_data *data = dt_host->data;
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    struct dt_known known = {NULL, FIELD_NONE};
    struct luma_str *r;
    bool done = false;

    (void)args_count;
    if (args[0].form == LUMA_VEC_CONST) {
        LUMA_TRY(extract_narrow(call, args, sel, rows, out, &done));
        if (done)
            return LUMA_OK;
    }
    r = luma_arena_zalloc(call->arena, sizeof(*r) * ((size_t)highest + 1));
    if (r == NULL)
        return luma_func_no_memory(call);
    out->phys = LUMA_PHYS_STR;
    out->scale = 0;
    out->data = r;
    LUMA_ROWS(sel, rows, i)
    {
        struct part p;
        LUMA_TRY(part_at(call, args, i, &known, &p));
        if (p.null)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else if (p.infinite != 0)
            LUMA_TRY(numeric_text(call, p.infinite > 0 ? "Infinity" : "-Infinity", &r[i]));
        else if (data->numeric_from_i128(call->arena, p.whole, p.scale, &r[i]) != LUMA_OK)
            return luma_func_no_memory(call);
        if (p.has_time && !p.null && p.infinite == 0) {
            struct luma_str us, day;
            if (data->numeric_from_i128(call->arena, p.day_us, 0, &us) != LUMA_OK ||
                data->numeric_from_i128(call->arena, USECS_PER_DAY, 0, &day) != LUMA_OK)
                return luma_func_no_memory(call);
            LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_DIV, &us, &day, &us));
            LUMA_TRY(data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_ADD, &r[i], &us, &r[i]));
        }
    }
    return LUMA_OK;
}

DT_EVAL(date_part)
{
    struct dt_known known = {NULL, FIELD_NONE};
    double *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct part p;
        LUMA_TRY(part_at(call, args, i, &known, &p));
        if (p.null)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else if (p.infinite != 0)
            r[i] = p.infinite > 0 ? INFINITY : -INFINITY;
        else
            r[i] = (double)p.whole / pow(10, p.scale) + (double)p.day_us / (double)USECS_PER_DAY;
    }
    return LUMA_OK;
}

/* --- date_trunc --- */

static luma_rc
trunc_local(const struct luma_func_call *call, enum dt_field field, const struct luma_str *name,
            int64_t us, int64_t *out)
{
    const struct luma_host_data *data = dt_host->data;
    int32_t date = (int32_t)dt_floor_day(us), y, m, d, first;
    int64_t time = us - date * USECS_PER_DAY;

    if (field >= FIELD_MONTH && field <= FIELD_MILLENNIUM)
        data->ymd_from_date(date, &y, &m, &d);
    switch (field) {
    case FIELD_MICROSECONDS:
        *out = us;
        return LUMA_OK;
    case FIELD_MILLISECONDS:
        *out = us - time % 1000;
        return LUMA_OK;
    case FIELD_SECOND:
        *out = us - time % USECS_PER_SEC;
        return LUMA_OK;
    case FIELD_MINUTE:
        *out = us - time % USECS_PER_MINUTE;
        return LUMA_OK;
    case FIELD_HOUR:
        *out = us - time % USECS_PER_HOUR;
        return LUMA_OK;
    case FIELD_DAY:
        *out = us - time;
        return LUMA_OK;
    case FIELD_WEEK:
        *out = (int64_t)(date - (dt_weekday(date) + 6) % 7) * USECS_PER_DAY;
        return LUMA_OK;
    case FIELD_MONTH:
        first = data->date_from_ymd(y, m, 1);
        break;
    case FIELD_QUARTER:
        first = data->date_from_ymd(y, (m - 1) / 3 * 3 + 1, 1);
        break;
    case FIELD_YEAR:
        first = data->date_from_ymd(y, 1, 1);
        break;
    case FIELD_DECADE:
        first = data->date_from_ymd(y > 0 ? y / 10 * 10 : -((8 - (y - 1)) / 10) * 10, 1, 1);
        break;
    case FIELD_CENTURY:
        first = data->date_from_ymd(
            y > 0 ? (y + 99) / 100 * 100 - 99 : -((99 - (y - 1)) / 100) * 100 + 1, 1, 1);
        break;
    case FIELD_MILLENNIUM:
        first = data->date_from_ymd(
            y > 0 ? (y + 999) / 1000 * 1000 - 999 : -((999 - (y - 1)) / 1000) * 1000 + 1, 1, 1);
        break;
    default:
        return unknown(call, name, type_name(call), field != FIELD_NONE);
    }
    *out = first * USECS_PER_DAY;
    return LUMA_OK;
}

DT_EVAL(date_trunc)
{
    bool zoned = call->func->args[1].id == LUMA_TYPE_TIMESTAMPTZ;
    const struct luma_zone *zone = zoned ? call->format->zone : NULL;
    struct dt_known known = {NULL, FIELD_NONE};
    int64_t *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *name = luma_arg_str(&args[0], i);
        enum dt_field field = dt_field_at(&args[0], i, &known);
        int64_t us = luma_arg_i64(&args[1], i), local = 0;
        if (args_count > 2)
            LUMA_TRY(dt_find_zone(call, luma_arg_str(&args[2], i), &zone));
        if (!dt_finite(us)) {
            r[i] = us;
            continue;
        }
        LUMA_TRY(trunc_local(call, field, name, dt_to_local(zone, us), &local));
        LUMA_TRY(dt_to_utc(call, zone, local, &r[i]));
    }
    return LUMA_OK;
}

DT_EVAL(date_trunc_interval)
{
    struct dt_known known = {NULL, FIELD_NONE};
    struct luma_interval *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        static const int32_t months[] = {
            [FIELD_MONTH] = 1,    [FIELD_QUARTER] = 3,    [FIELD_YEAR] = 12,
            [FIELD_DECADE] = 120, [FIELD_CENTURY] = 1200, [FIELD_MILLENNIUM] = 12000};
        static const int64_t units[] = {[FIELD_MICROSECONDS] = 1,
                                        [FIELD_MILLISECONDS] = 1000,
                                        [FIELD_SECOND] = USECS_PER_SEC,
                                        [FIELD_MINUTE] = USECS_PER_MINUTE,
                                        [FIELD_HOUR] = USECS_PER_HOUR};
        const struct luma_str *name = luma_arg_str(&args[0], i);
        struct luma_interval iv = *dt_arg_interval(&args[1], i);
        enum dt_field field = dt_field_at(&args[0], i, &known);
        if (field >= FIELD_MICROSECONDS && field <= FIELD_HOUR) {
            iv.microseconds -= iv.microseconds % units[field];
        } else if (field == FIELD_DAY) {
            iv.microseconds = 0;
        } else if (field >= FIELD_MONTH && field <= FIELD_MILLENNIUM) {
            iv.months -= iv.months % months[field];
            iv.days = 0;
            iv.microseconds = 0;
        } else {
            return unknown(call, name, "interval", field != FIELD_NONE);
        }
        r[i] = iv;
    }
    return LUMA_OK;
}

/* date_bin(stride, source, origin) */
DT_EVAL(date_bin)
{
    int64_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_interval *iv = dt_arg_interval(&args[0], i);
        int64_t us = luma_arg_i64(&args[1], i), origin = luma_arg_i64(&args[2], i);
        luma_i128 stride = (luma_i128)iv->days * USECS_PER_DAY + iv->microseconds, diff, binned;
        if (iv->months != 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                 "timestamps cannot be binned into intervals containing months or "
                                 "years");
        if (stride <= 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                                 "stride must be greater than zero");
        if (!dt_finite(origin))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "origin out of range");
        if (!dt_finite(us)) {
            r[i] = us;
            continue;
        }
        diff = (luma_i128)us - origin;
        binned = origin + (diff / stride - (diff % stride < 0)) * stride;
        if (binned < INT64_C(-211813488000000000) || binned >= INT64_C(9223371331200000000))
            return dt_out_of_range(call, "timestamp");
        r[i] = (int64_t)binned;
    }
    return LUMA_OK;
}

/* --- age: years, months and days as a person counts them --- */

static luma_rc
age_of(const struct luma_func_call *call, int64_t x, int64_t y, struct luma_interval *out)
{
    static const uint8_t days_in[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const struct luma_host_data *data = dt_host->data;
    bool flip = x < y;
    struct luma_civil a, b;
    int64_t us;
    int32_t years, months, days, month_days;

    if (!dt_finite(x) || !dt_finite(y))
        return dt_out_of_range(call, "interval");
    data->civil_from_timestamp(flip ? y : x, NULL, &a);
    data->civil_from_timestamp(flip ? x : y, NULL, &b);
    us = (a.hour - b.hour) * USECS_PER_HOUR + (a.minute - b.minute) * USECS_PER_MINUTE +
         (a.second - b.second) * USECS_PER_SEC + (a.microsecond - b.microsecond);
    years = a.year - b.year;
    months = a.month - b.month;
    days = a.day - b.day;
    if (us < 0) {
        us += USECS_PER_DAY;
        days--;
    }
    /* Days are borrowed from the month of the earlier date. */
    while (days < 0) {
        bool leap = (b.year % 4 == 0 && b.year % 100 != 0) || b.year % 400 == 0;
        month_days = days_in[b.month - 1] + (b.month == 2 && leap);
        days += month_days;
        months--;
    }
    while (months < 0) {
        months += 12;
        years--;
    }
    *out = (struct luma_interval){us, days, years * 12 + months};
    if (flip)
        *out = (struct luma_interval){-us, -days, -(years * 12 + months)};
    return LUMA_OK;
}

DT_EVAL(age)
{
    bool zoned = call->func->args[0].id == LUMA_TYPE_TIMESTAMPTZ;
    struct luma_interval *r = out->data;
    int64_t today = 0;

    if (args_count == 1)
        today = dt_floor_day(dt_to_local(call->format->zone, dt_now_us(call))) * USECS_PER_DAY;
    LUMA_ROWS(sel, rows, i)
    {
        int64_t x = luma_arg_i64(&args[0], i), y = args_count > 1 ? luma_arg_i64(&args[1], i) : 0;
        if (zoned) {
            x = dt_to_local(call->format->zone, x);
            y = dt_to_local(call->format->zone, y);
        }
        LUMA_TRY(args_count > 1 ? age_of(call, x, y, &r[i]) : age_of(call, today, x, &r[i]));
    }
    return LUMA_OK;
}

#define PARTS(t, flags_)                                                    \
    LUMA_FUNC("extract", flags_, LUMA_T(NUMERIC), extract, TEXT, DT_T_##t), \
        LUMA_FUNC("date_part", flags_, FLOAT8, date_part, TEXT, DT_T_##t)

static const struct luma_func field_functions[] = {
    PARTS(DATE, STRICT),
    PARTS(TIME, STRICT),
    PARTS(TIMESTAMP, STRICT),
    PARTS(TIMESTAMPTZ, STABLE),
    PARTS(INTERVAL, STRICT),
    LUMA_FUNC("date_trunc", STRICT, TIMESTAMP, date_trunc, TEXT, TIMESTAMP),
    LUMA_FUNC("date_trunc", STABLE, TIMESTAMPTZ, date_trunc, TEXT, TIMESTAMPTZ),
    LUMA_FUNC("date_trunc", STABLE, TIMESTAMPTZ, date_trunc, TEXT, TIMESTAMPTZ, TEXT),
    LUMA_FUNC("date_trunc", STRICT, INTERVAL, date_trunc_interval, TEXT, INTERVAL),
    LUMA_FUNC("date_bin", STRICT, TIMESTAMP, date_bin, INTERVAL, TIMESTAMP, TIMESTAMP),
    LUMA_FUNC("date_bin", STRICT, TIMESTAMPTZ, date_bin, INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ),
    LUMA_FUNC("age", STRICT, INTERVAL, age, TIMESTAMP, TIMESTAMP),
    LUMA_FUNC("age", STABLE, INTERVAL, age, TIMESTAMPTZ, TIMESTAMPTZ),
    LUMA_FUNC("age", STABLE, INTERVAL, age, TIMESTAMP),
    LUMA_FUNC("age", STABLE, INTERVAL, age, TIMESTAMPTZ),
};

const struct luma_func_part dt_field = {field_functions, LUMA_COUNTOF(field_functions)};
