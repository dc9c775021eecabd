/* data/calendar.h - dates, times, zones and intervals, for the files of kernel/data. */
#ifndef LKI_DATA_CALENDAR_H
#define LKI_DATA_CALENDAR_H

#include "data/numeric.h"

#define LKI_USECS_PER_DAY    INT64_C(86400000000)
#define LKI_USECS_PER_HOUR   INT64_C(3600000000)
#define LKI_USECS_PER_MINUTE INT64_C(60000000)
#define LKI_USECS_PER_SEC    INT64_C(1000000)
/* Seconds from 1970-01-01 to 2000-01-01. */
#define LKI_EPOCH_SECS INT64_C(946684800)

/* 4714-11-24 BC .. the day before 5874898-01-01; timestamps end with the year 294276. */
#define LKI_DATE_MIN      (-2451545)
#define LKI_DATE_END      2145031949
#define LKI_TIMESTAMP_MIN INT64_C(-211813488000000000)
#define LKI_TIMESTAMP_END INT64_C(9223371331200000000)

static inline bool
lki_timestamp_finite(int64_t us)
{
    return us != INT64_MIN && us != INT64_MAX;
}

int32_t lki_date_from_ymd(int32_t year, int32_t month, int32_t day);
void lki_ymd_from_date(int32_t date, int32_t *year, int32_t *month, int32_t *day);
int32_t lki_month_days(int32_t year, int32_t month);
/* Day and microsecond within it; floor division. */
void lki_timestamp_split(int64_t us, int32_t *date, int64_t *time);

/* --- zones (zone.c) --- */
struct lki_zone_offset {
    int32_t gmtoff; /* seconds east */
    bool dst;
    const char *abbrev;
};
/* `name` need not be terminated. NULL: unknown. */
const struct luma_zone *lki_zone_find(const char *name, size_t bytes);
struct lki_zone_offset lki_zone_at(const struct luma_zone *zone, int64_t us);
/* Offset of a local time (microseconds since 2000-01-01 of the wall clock). */
int32_t lki_zone_local_offset(const struct luma_zone *zone, int64_t local_us);

/* --- text (datetime_in.c, datetime_out.c, interval.c) --- */
enum lki_dt_error {
    LKI_DT_OK,
    LKI_DT_SYNTAX,
    LKI_DT_RANGE,
    LKI_DT_ZONE_RANGE,
    LKI_DT_ZONE_UNKNOWN
};

enum lki_dt_kind { LKI_DT_DATE, LKI_DT_TIME, LKI_DT_TIMESTAMP, LKI_DT_TIMESTAMPTZ, LKI_DT_TIMETZ };

/* DATE: days; TIME: microseconds; TIMESTAMP(TZ): microseconds. */
enum lki_dt_error lki_datetime_parse(enum lki_dt_kind kind, const struct luma_format *format,
                                     const char *text, size_t bytes, int64_t *out,
                                     int32_t *out_gmtoff);
enum lki_dt_error lki_interval_parse(const struct luma_format *format, const char *text,
                                     size_t bytes, struct luma_interval *out);
#define LKI_DATETIME_TEXT_BYTES 96
size_t lki_date_write(int32_t date, const struct luma_format *format, char *out);
size_t lki_time_write(int64_t time, char *out);
size_t lki_timestamp_write(int64_t us, const struct luma_format *format, char *out);
size_t lki_timestamptz_write(int64_t us, const struct luma_format *format, char *out);
#define LKI_INTERVAL_TEXT_BYTES 160
size_t lki_interval_write(const struct luma_interval *iv, const struct luma_format *format,
                          char *out);
/* Microseconds of a day, months as 30 days: the order of intervals. */
luma_i128 lki_interval_span(const struct luma_interval *iv);
/* Rounds to `digits` places of seconds. */
int64_t lki_round_usecs(int64_t us, int32_t digits);

#endif
