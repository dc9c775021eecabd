/* data/calendar.c - the proleptic Gregorian calendar, timestamps and intervals as numbers. */
#include "data/calendar.h"

#include "data/data_priv.h"

/* Days of 2000-01-01 in the count that begins 0000-03-01. */
#define DAYS_TO_2000 730425

int32_t
lki_date_from_ymd(int32_t year, int32_t month, int32_t day)
{
    int64_t y = (int64_t)year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400,
            of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;

    return (int32_t)(era * 146097 + days - DAYS_TO_2000);
}

void
lki_ymd_from_date(int32_t date, int32_t *year, int32_t *month, int32_t *day)
{
    int64_t z = (int64_t)date + DAYS_TO_2000, era = (z >= 0 ? z : z - 146096) / 146097;
    uint32_t doe = (uint32_t)(z - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *day = (int32_t)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int32_t)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int32_t)((int64_t)yoe + era * 400 + (*month <= 2));
}

int32_t
lki_month_days(int32_t year, int32_t month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

void
lki_timestamp_split(int64_t us, int32_t *date, int64_t *time)
{
    int64_t day = us / LKI_USECS_PER_DAY, rest = us % LKI_USECS_PER_DAY;

    if (rest < 0) {
        rest += LKI_USECS_PER_DAY;
        day--;
    }
    *date = (int32_t)day;
    *time = rest;
}

int64_t
lki_round_usecs(int64_t us, int32_t digits)
{
    static const int64_t unit[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int64_t u;

    if (digits < 0 || digits >= 6)
        return us;
    u = unit[digits];
    return us >= 0 ? (us + u / 2) / u * u : -((-us + u / 2) / u * u);
}

int32_t
lk_data_date_from_ymd(int32_t year, int32_t month, int32_t day)
{
    return lki_date_from_ymd(year, month, day);
}

void
lk_data_ymd_from_date(int32_t date, int32_t *year, int32_t *month, int32_t *day)
{
    lki_ymd_from_date(date, year, month, day);
}

void
lk_data_civil_from_timestamp(int64_t us, const struct luma_zone *zone, struct luma_civil *out)
{
    struct lki_zone_offset offset = {0, false, "UTC"};
    int32_t date;
    int64_t time;

    if (zone != NULL)
        offset = lki_zone_at(zone, us);
    lki_timestamp_split(us, &date, &time);
    time += offset.gmtoff * LKI_USECS_PER_SEC;
    while (time < 0)
        time += LKI_USECS_PER_DAY, date--;
    while (time >= LKI_USECS_PER_DAY)
        time -= LKI_USECS_PER_DAY, date++;
    lki_ymd_from_date(date, &out->year, &out->month, &out->day);
    out->hour = (int32_t)(time / LKI_USECS_PER_HOUR);
    out->minute = (int32_t)(time / LKI_USECS_PER_MINUTE % 60);
    out->second = (int32_t)(time / LKI_USECS_PER_SEC % 60);
    out->microsecond = (int32_t)(time % LKI_USECS_PER_SEC);
    out->gmtoff = offset.gmtoff;
    out->abbrev = offset.abbrev;
}

luma_rc
lk_data_timestamp_from_civil(const struct luma_civil *civil, const struct luma_zone *zone,
                             int64_t *out_us)
{
    luma_i128 us;

    if (civil->month < 1 || civil->month > 12 || civil->day < 1 ||
        civil->day > lki_month_days(civil->year, civil->month) || civil->year < -4713 ||
        civil->year > 294277)
        return LUMA_E_RANGE;
    us = (luma_i128)lki_date_from_ymd(civil->year, civil->month, civil->day) * LKI_USECS_PER_DAY +
         civil->hour * LKI_USECS_PER_HOUR + civil->minute * LKI_USECS_PER_MINUTE +
         civil->second * LKI_USECS_PER_SEC + civil->microsecond;
    if (us < LKI_TIMESTAMP_MIN || us >= LKI_TIMESTAMP_END)
        return LUMA_E_RANGE;
    if (zone != NULL)
        us -= (luma_i128)lki_zone_local_offset(zone, (int64_t)us) * LKI_USECS_PER_SEC;
    if (us < LKI_TIMESTAMP_MIN || us >= LKI_TIMESTAMP_END)
        return LUMA_E_RANGE;
    *out_us = (int64_t)us;
    return LUMA_OK;
}

/* Months keep the day where the month has it, else take its last; days keep the wall clock. */
luma_rc
lk_data_timestamp_add_interval(int64_t us, const struct luma_interval *iv,
                               const struct luma_zone *zone, int64_t *out_us)
{
    struct luma_civil c;
    int64_t sum;

    if (!lki_timestamp_finite(us)) {
        *out_us = us;
        return LUMA_OK;
    }
    if (iv->months != 0) {
        int64_t month;
        lk_data_civil_from_timestamp(us, zone, &c);
        month = (int64_t)c.year * 12 + (c.month - 1) + iv->months;
        if (month < -4714 * 12 || month > 294278 * 12)
            return LUMA_E_RANGE;
        c.year = (int32_t)(month >= 0 ? month / 12 : -((11 - month) / 12));
        c.month = (int32_t)(month - (int64_t)c.year * 12) + 1;
        if (c.day > lki_month_days(c.year, c.month))
            c.day = lki_month_days(c.year, c.month);
        LUMA_TRY(lk_data_timestamp_from_civil(&c, zone, &us));
    }
    if (iv->days != 0) {
        int64_t date;
        lk_data_civil_from_timestamp(us, zone, &c);
        date = (int64_t)lki_date_from_ymd(c.year, c.month, c.day) + iv->days;
        if (date < LKI_DATE_MIN || date > 106751983)
            return LUMA_E_RANGE;
        lki_ymd_from_date((int32_t)date, &c.year, &c.month, &c.day);
        LUMA_TRY(lk_data_timestamp_from_civil(&c, zone, &us));
    }
    if (__builtin_add_overflow(us, iv->microseconds, &sum) || sum < LKI_TIMESTAMP_MIN ||
        sum >= LKI_TIMESTAMP_END)
        return LUMA_E_RANGE;
    *out_us = sum;
    return LUMA_OK;
}

luma_i128
lki_interval_span(const struct luma_interval *iv)
{
    return (luma_i128)((int64_t)iv->months * 30 + iv->days) * LKI_USECS_PER_DAY + iv->microseconds;
}
