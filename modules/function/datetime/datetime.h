/* function/datetime - dates, times, timestamps, intervals. */
#ifndef FUNCTION_DATETIME_H
#define FUNCTION_DATETIME_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *dt_host;
extern const struct luma_func_part dt_arith, dt_now, dt_field, dt_make, dt_series, dt_to_char,
    dt_to_number, dt_from_char;

#define DT_EVAL(name_)                                                                   \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

#define STRICT      LUMA_FUNC_STRICT
#define OPERATOR    (LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR)
#define STABLE      (LUMA_FUNC_STRICT | LUMA_FUNC_STABLE)
#define TEXT        LUMA_T(TEXT)
#define INT         LUMA_T(INT4)
#define DATE        LUMA_T(DATE)
#define TIME        LUMA_T(TIME)
#define TIMESTAMP   LUMA_T(TIMESTAMP)
#define TIMESTAMPTZ LUMA_T(TIMESTAMPTZ)
#define INTERVAL    LUMA_T(INTERVAL)
#define FLOAT8      LUMA_T(FLOAT8)

/* For macros that take the name of a type: DT_T_##t, since an expanded type is not one argument. */
#define DT_T_INT         LUMA_T(INT4)
#define DT_T_DATE        LUMA_T(DATE)
#define DT_T_TIME        LUMA_T(TIME)
#define DT_T_TIMESTAMP   LUMA_T(TIMESTAMP)
#define DT_T_TIMESTAMPTZ LUMA_T(TIMESTAMPTZ)
#define DT_T_INTERVAL    LUMA_T(INTERVAL)

#define USECS_PER_DAY    INT64_C(86400000000)
#define USECS_PER_HOUR   INT64_C(3600000000)
#define USECS_PER_MINUTE INT64_C(60000000)
#define USECS_PER_SEC    INT64_C(1000000)
/* 1970-01-01 to 2000-01-01 */
#define EPOCH_USECS INT64_C(946684800000000)

static inline bool
dt_finite(int64_t us)
{
    return us != INT64_MAX && us != INT64_MIN;
}

static inline int64_t
dt_floor_day(int64_t us)
{
    return us / USECS_PER_DAY - (us % USECS_PER_DAY < 0);
}

static inline const struct luma_interval *
dt_arg_interval(const struct luma_vec *vec, uint32_t row)
{
    return (const struct luma_interval *)vec->data + row * luma_vec_stride(vec);
}

luma_rc dt_out_of_range(const struct luma_func_call *call, const char *what);
/* A date as midnight of a timestamp. */
luma_rc dt_date_us(const struct luma_func_call *call, int32_t date, int64_t *out);
/* Wall clock of a time zone to the instant and back. */
luma_rc dt_to_utc(const struct luma_func_call *call, const struct luma_zone *zone, int64_t local,
                  int64_t *out);
int64_t dt_to_local(const struct luma_zone *zone, int64_t us);
luma_rc dt_find_zone(const struct luma_func_call *call, const struct luma_str *name,
                     const struct luma_zone **out);
/* Start of the transaction. */
int64_t dt_now_us(const struct luma_func_call *call);
/* Microseconds rounded from a double of seconds. */
luma_rc dt_interval_of(const struct luma_func_call *call, double months, double days, double us,
                       struct luma_interval *out);

/* Names of fields ("year", "years", "msec"), any case. */
enum dt_field {
    FIELD_NONE,
    FIELD_MICROSECONDS,
    FIELD_MILLISECONDS,
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_WEEK,
    FIELD_MONTH,
    FIELD_QUARTER,
    FIELD_YEAR,
    FIELD_DECADE,
    FIELD_CENTURY,
    FIELD_MILLENNIUM,
    FIELD_DOW,
    FIELD_ISODOW,
    FIELD_DOY,
    FIELD_ISOYEAR,
    FIELD_EPOCH,
    FIELD_JULIAN,
    FIELD_TIMEZONE,
    FIELD_TIMEZONE_HOUR,
    FIELD_TIMEZONE_MINUTE
};
enum dt_field dt_field_of(const struct luma_str *name);

/* The field a row names. Rows share the string of a constant: it is looked up once. */
struct dt_known {
    const struct luma_str *name;
    enum dt_field field;
};

static inline enum dt_field
dt_field_at(const struct luma_vec *names, uint32_t row, struct dt_known *known)
{
    const struct luma_str *name = luma_arg_str(names, row);
    if (name != known->name) {
        known->name = name;
        known->field = dt_field_of(name);
    }
    return known->field;
}
/* Week and year of ISO 8601 of a day. */
int32_t dt_iso_week(int32_t date, int32_t *out_year);
/* First day (Monday) of the ISO year. */
int32_t dt_iso_year_start(int32_t year);

static inline int32_t
dt_weekday(int32_t date) /* 0 is Sunday */
{
    return ((date + 6) % 7 + 7) % 7;
}

/* Months and days of the calendar, for to_char and to_date. */
extern const char *const dt_month_names[12], *const dt_day_names[7];

#endif
