/* data/interval.c - intervals from and to text, in the four IntervalStyles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "data/calendar.h"
#include "data/data_priv.h"

enum unit {
    UNIT_NONE,
    UNIT_US,
    UNIT_MS,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM,
    UNIT_AGO
};

static const struct {
    const char *name;
    enum unit unit;
} unit_names[] = {
    {"us", UNIT_US},
    {"usec", UNIT_US},
    {"usecs", UNIT_US},
    {"usecond", UNIT_US},
    {"useconds", UNIT_US},
    {"microsecond", UNIT_US},
    {"microseconds", UNIT_US},
    {"microsecon", UNIT_US},
    {"ms", UNIT_MS},
    {"msec", UNIT_MS},
    {"msecs", UNIT_MS},
    {"msecond", UNIT_MS},
    {"mseconds", UNIT_MS},
    {"millisecond", UNIT_MS},
    {"milliseconds", UNIT_MS},
    {"millisecon", UNIT_MS},
    {"s", UNIT_SECOND},
    {"sec", UNIT_SECOND},
    {"secs", UNIT_SECOND},
    {"second", UNIT_SECOND},
    {"seconds", UNIT_SECOND},
    {"m", UNIT_MINUTE},
    {"min", UNIT_MINUTE},
    {"mins", UNIT_MINUTE},
    {"minute", UNIT_MINUTE},
    {"minutes", UNIT_MINUTE},
    {"h", UNIT_HOUR},
    {"hr", UNIT_HOUR},
    {"hrs", UNIT_HOUR},
    {"hour", UNIT_HOUR},
    {"hours", UNIT_HOUR},
    {"d", UNIT_DAY},
    {"day", UNIT_DAY},
    {"days", UNIT_DAY},
    {"w", UNIT_WEEK},
    {"week", UNIT_WEEK},
    {"weeks", UNIT_WEEK},
    {"mon", UNIT_MONTH},
    {"mons", UNIT_MONTH},
    {"month", UNIT_MONTH},
    {"months", UNIT_MONTH},
    {"qtr", UNIT_QUARTER},
    {"quarter", UNIT_QUARTER},
    {"y", UNIT_YEAR},
    {"yr", UNIT_YEAR},
    {"yrs", UNIT_YEAR},
    {"year", UNIT_YEAR},
    {"years", UNIT_YEAR},
    {"dec", UNIT_DECADE},
    {"decs", UNIT_DECADE},
    {"decade", UNIT_DECADE},
    {"decades", UNIT_DECADE},
    {"c", UNIT_CENTURY},
    {"cent", UNIT_CENTURY},
    {"century", UNIT_CENTURY},
    {"centuries", UNIT_CENTURY},
    {"mil", UNIT_MILLENNIUM},
    {"mils", UNIT_MILLENNIUM},
    {"millennium", UNIT_MILLENNIUM},
    {"millennia", UNIT_MILLENNIUM},
    {"ago", UNIT_AGO},
};

struct sum {
    luma_i128 us;
    int64_t days, months;
    bool overflow;
};

static inline bool
is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline bool
is_alpha(char c)
{
    return (unsigned char)((c | 32) - 'a') < 26;
}

static inline bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum unit
unit_of(const char *p, size_t n)
{
    for (size_t i = 0; i < LUMA_COUNTOF(unit_names); i++)
        if (strlen(unit_names[i].name) == n && strncasecmp(unit_names[i].name, p, n) == 0)
            return unit_names[i].unit;
    return UNIT_NONE;
}

static void
add_days_fraction(struct sum *sum, double fraction, double scale)
{
    double days = fraction * scale;
    int64_t whole = (int64_t)days;

    sum->days += whole;
    sum->us += (int64_t)rint((days - (double)whole) * (double)LKI_USECS_PER_DAY);
}

static void
add_unit(struct sum *sum, enum unit unit, int64_t value, double fraction)
{
    static const int64_t month_units[] = {
        [UNIT_MONTH] = 1,    [UNIT_QUARTER] = 3,    [UNIT_YEAR] = 12,
        [UNIT_DECADE] = 120, [UNIT_CENTURY] = 1200, [UNIT_MILLENNIUM] = 12000};
    static const int64_t us_units[] = {[UNIT_US] = 1,
                                       [UNIT_MS] = 1000,
                                       [UNIT_SECOND] = LKI_USECS_PER_SEC,
                                       [UNIT_MINUTE] = LKI_USECS_PER_MINUTE,
                                       [UNIT_HOUR] = LKI_USECS_PER_HOUR};

    if (value > INT64_C(1000000000000000000) || value < -INT64_C(1000000000000000000)) {
        sum->overflow = true;
        return;
    }
    switch (unit) {
    case UNIT_US:
    case UNIT_MS:
    case UNIT_SECOND:
    case UNIT_MINUTE:
    case UNIT_HOUR:
        sum->us += (luma_i128)value * us_units[unit];
        sum->us += (int64_t)rint(fraction * (double)us_units[unit]);
        return;
    case UNIT_DAY:
    case UNIT_WEEK: {
        int64_t scale = unit == UNIT_WEEK ? 7 : 1;
        if (value > INT32_MAX || value < INT32_MIN)
            sum->overflow = true;
        else
            sum->days += value * scale;
        add_days_fraction(sum, fraction, (double)scale);
        return;
    }
    default:
        if (value > INT32_MAX || value < INT32_MIN) {
            sum->overflow = true;
            return;
        }
        sum->months += value * month_units[unit];
        if (unit == UNIT_MONTH)
            add_days_fraction(sum, fraction, 30);
        else
            sum->months += (int64_t)rint(fraction * (double)month_units[unit]);
        return;
    }
}

/* [+-]digits[.digits]; the fraction carries the sign. */
static const char *
scan_number(const char *p, const char *end, bool *out_negative, int64_t *value, double *fraction)
{
    bool negative = false, any = false;
    int64_t v = 0;
    double f = 0, unit = 0.1;

    if (p < end && (*p == '+' || *p == '-')) {
        negative = *p++ == '-';
        while (p < end && is_space(*p))
            p++;
    }
    for (; p < end && is_digit(*p); p++, any = true)
        v = v > INT64_C(900000000000000000) ? INT64_MAX / 2 : v * 10 + (*p - '0');
    if (p < end && *p == '.') {
        const char *start = p++;
        char text[40] = "0";
        size_t n = 0;
        (void)unit;
        while (p < end && is_digit(*p))
            p++, any = true;
        n = (size_t)(p - start) < sizeof(text) - 2 ? (size_t)(p - start) : sizeof(text) - 2;
        memcpy(text + 1, start, n);
        text[n + 1] = '\0';
        f = n > 1 ? strtod(text, NULL) : 0;
    }
    if (!any)
        return NULL;
    *out_negative = negative;
    *value = negative ? -v : v;
    *fraction = negative ? -f : f;
    return p;
}

/* hh:mm[:ss[.f]], or mm:ss.f; p is behind the hours. */
static const char *
scan_clock(const char *p, const char *end, bool negative, int64_t first, struct sum *sum)
{
    int64_t part[3] = {negative ? -first : first, 0, 0};
    double fraction = 0;
    luma_i128 us;
    int count = 1;

    while (count < 3 && p < end && *p == ':') {
        bool ignored;
        if (p + 1 == end || !is_digit(p[1]))
            return NULL;
        if (count == 1) {
            for (p++; p < end && is_digit(*p); p++)
                part[1] = part[1] > 1000000 ? part[1] : part[1] * 10 + (*p - '0');
            if (p < end && *p == '.') {
                double f;
                int64_t zero;
                p = scan_number(p, end, &ignored, &zero, &f);
                if (p == NULL)
                    return NULL;
                fraction = f;
                part[2] = part[1];
                part[1] = part[0];
                part[0] = 0;
                count = 3;
                break;
            }
        } else {
            p = scan_number(p + 1, end, &ignored, &part[2], &fraction);
            if (p == NULL)
                return NULL;
        }
        count++;
    }
    if (count < 2 || part[1] > 59 || part[2] > 60)
        return NULL;
    us = (luma_i128)part[0] * LKI_USECS_PER_HOUR + part[1] * LKI_USECS_PER_MINUTE +
         part[2] * LKI_USECS_PER_SEC + (int64_t)rint(fraction * 1e6);
    sum->us += negative ? -us : us;
    return p;
}

static void
negate(struct sum *sum)
{
    sum->us = -sum->us;
    sum->days = -sum->days;
    sum->months = -sum->months;
}

/* P1Y2M3DT4H5M6S, and P0001-02-03T04:05:06 */
static bool
parse_iso(const char *p, const char *end, struct sum *sum)
{
    bool time = false, any = false;

    for (p++; p < end;) {
        bool negative;
        int64_t value;
        double fraction;
        if (*p == 'T') {
            time = true;
            p++;
            continue;
        }
        p = scan_number(p, end, &negative, &value, &fraction);
        if (p == NULL || p == end)
            return false;
        any = true;
        if (time && *p == ':') {
            p = scan_clock(p, end, negative, value, sum);
            return p == end;
        }
        if (!time && *p == '-') {
            int64_t month, day = 0;
            double f;
            add_unit(sum, UNIT_YEAR, value, fraction);
            p = scan_number(p + 1, end, &negative, &month, &f);
            if (p == NULL)
                return false;
            add_unit(sum, UNIT_MONTH, month, f);
            if (p < end && *p == '-') {
                p = scan_number(p + 1, end, &negative, &day, &f);
                if (p == NULL)
                    return false;
                add_unit(sum, UNIT_DAY, day, f);
            }
            continue;
        }
        switch (*p++) {
        case 'Y':
            add_unit(sum, UNIT_YEAR, value, fraction);
            break;
        case 'M':
            add_unit(sum, time ? UNIT_MINUTE : UNIT_MONTH, value, fraction);
            break;
        case 'W':
            add_unit(sum, UNIT_WEEK, value, fraction);
            break;
        case 'D':
            add_unit(sum, UNIT_DAY, value, fraction);
            break;
        case 'H':
            add_unit(sum, UNIT_HOUR, value, fraction);
            break;
        case 'S':
            add_unit(sum, UNIT_SECOND, value, fraction);
            break;
        default:
            return false;
        }
    }
    return any;
}

static const char *
skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* After a number: its unit. A bare one is days before a time, seconds at the end. */
static const char *
take_unit(const char *p, const char *end, int64_t value, double fraction, struct sum *sum)
{
    const char *q = skip_space(p, end), *word = q;
    enum unit unit;

    if (q == end) {
        add_unit(sum, UNIT_SECOND, value, fraction);
        return q;
    }
    if (!is_alpha(*q)) {
        const char *colon = q;
        if (*colon == '+' || *colon == '-')
            colon++;
        while (colon < end && is_digit(*colon))
            colon++;
        if (colon == q || colon == end || *colon != ':')
            return NULL;
        add_unit(sum, UNIT_DAY, value, fraction);
        return q;
    }
    while (q < end && is_alpha(*q))
        q++;
    unit = unit_of(word, (size_t)(q - word));
    if (unit == UNIT_NONE || unit == UNIT_AGO)
        return NULL;
    add_unit(sum, unit, value, fraction);
    return q;
}

static const char *
take_field(const char *p, const char *end, struct sum *sum)
{
    bool negative;
    int64_t value;
    double fraction;

    p = scan_number(p, end, &negative, &value, &fraction);
    if (p == NULL)
        return NULL;
    if (p < end && *p == ':')
        return scan_clock(p, end, negative, value, sum);
    if (p < end && *p == '-' && p + 1 < end && is_digit(p[1])) { /* years-months */
        int64_t months = 0;
        for (p++; p < end && is_digit(*p); p++)
            months = months > 1000 ? months : months * 10 + (*p - '0');
        if (months > 11)
            return NULL;
        add_unit(sum, UNIT_YEAR, value, 0);
        add_unit(sum, UNIT_MONTH, negative ? -months : months, 0);
        return p;
    }
    return take_unit(p, end, value, fraction, sum);
}

enum lki_dt_error
lki_interval_parse(const struct luma_format *format, const char *text, size_t bytes,
                   struct luma_interval *out)
{
    const char *p = text, *end = text + bytes;
    struct sum sum = {0};
    bool any = false;

    (void)format;
    p = skip_space(p, end);
    while (end > p && is_space(end[-1]))
        end--;
    if (p == end)
        return LKI_DT_SYNTAX;
    if (*p == 'P') {
        if (!parse_iso(p, end, &sum))
            return LKI_DT_SYNTAX;
        p = end;
        any = true;
    }
    while (p < end) {
        if (is_space(*p) || *p == '@' || *p == ',') {
            p++;
        } else if (is_alpha(*p)) {
            if (!any || end - p != 3 || strncasecmp(p, "ago", 3) != 0)
                return LKI_DT_SYNTAX;
            negate(&sum);
            p = end;
        } else {
            p = take_field(p, end, &sum);
            if (p == NULL)
                return LKI_DT_SYNTAX;
            any = true;
        }
    }
    if (!any)
        return LKI_DT_SYNTAX;
    if (sum.overflow || sum.us > INT64_MAX || sum.us < INT64_MIN || sum.days > INT32_MAX ||
        sum.days < INT32_MIN || sum.months > INT32_MAX || sum.months < INT32_MIN)
        return LKI_DT_RANGE;
    out->microseconds = (int64_t)sum.us;
    out->days = (int32_t)sum.days;
    out->months = (int32_t)sum.months;
    return LKI_DT_OK;
}

/* --- output --- */

struct parts {
    int32_t years, months, days;
    int64_t hours;
    int32_t minutes, seconds, us;
};

static struct parts
parts_of(const struct luma_interval *iv)
{
    int64_t t = iv->microseconds;
    struct parts x;

    x.years = iv->months / 12;
    x.months = iv->months % 12;
    x.days = iv->days;
    x.hours = t / LKI_USECS_PER_HOUR;
    x.minutes = (int32_t)(t / LKI_USECS_PER_MINUTE % 60);
    x.seconds = (int32_t)(t / LKI_USECS_PER_SEC % 60);
    x.us = (int32_t)(t % LKI_USECS_PER_SEC);
    return x;
}

/* |seconds| with the fraction's trailing zeros cut. */
static char *
put_seconds(char *p, int32_t seconds, int32_t us, bool fill)
{
    int32_t s = abs(seconds), f = abs(us);

    p += sprintf(p, fill ? "%02d" : "%d", s);
    if (f != 0) {
        p += sprintf(p, ".%06d", f);
        while (p[-1] == '0')
            p--;
    }
    return p;
}

static char *
put_postgres(char *p, int32_t value, const char *unit, bool *zero, bool *before)
{
    if (value == 0)
        return p;
    p += sprintf(p, "%s%s%d %s%s", *zero ? "" : " ", *before && value > 0 ? "+" : "", value, unit,
                 value != 1 ? "s" : "");
    *before = value < 0;
    *zero = false;
    return p;
}

static char *
write_postgres(char *p, const struct parts *x)
{
    bool zero = true, before = false;

    p = put_postgres(p, x->years, "year", &zero, &before);
    p = put_postgres(p, x->months, "mon", &zero, &before);
    p = put_postgres(p, x->days, "day", &zero, &before);
    if (zero || x->hours != 0 || x->minutes != 0 || x->seconds != 0 || x->us != 0) {
        bool minus = x->hours < 0 || x->minutes < 0 || x->seconds < 0 || x->us < 0;
        p += sprintf(p, "%s%s%02lld:%02d:", zero ? "" : " ",
                     minus    ? "-"
                     : before ? "+"
                              : "",
                     llabs((long long)x->hours), abs(x->minutes));
        p = put_seconds(p, x->seconds, x->us, true);
    }
    return p;
}

static char *
put_verbose(char *p, int64_t value, const char *unit, bool *zero, bool *before)
{
    if (value == 0)
        return p;
    if (*zero) {
        *before = value < 0;
        value = value < 0 ? -value : value;
    } else if (*before) {
        value = -value;
    }
    *zero = false;
    return p + sprintf(p, " %lld %s%s", (long long)value, unit, value == 1 ? "" : "s");
}

static char *
write_verbose(char *p, const struct parts *x)
{
    bool zero = true, before = false;

    *p++ = '@';
    p = put_verbose(p, x->years, "year", &zero, &before);
    p = put_verbose(p, x->months, "mon", &zero, &before);
    p = put_verbose(p, x->days, "day", &zero, &before);
    p = put_verbose(p, x->hours, "hour", &zero, &before);
    p = put_verbose(p, x->minutes, "min", &zero, &before);
    if (x->seconds != 0 || x->us != 0) {
        *p++ = ' ';
        if (x->seconds < 0 || (x->seconds == 0 && x->us < 0)) {
            if (zero)
                before = true;
            else if (!before)
                *p++ = '-';
        } else if (before) {
            *p++ = '-';
        }
        p = put_seconds(p, x->seconds, x->us, false);
        p += sprintf(p, " sec%s", abs(x->seconds) != 1 || x->us != 0 ? "s" : "");
        zero = false;
    }
    if (zero)
        p += sprintf(p, " 0");
    if (before)
        p += sprintf(p, " ago");
    return p;
}

static char *
write_sql(char *p, struct parts x)
{
    bool negative = x.years < 0 || x.months < 0 || x.days < 0 || x.hours < 0 || x.minutes < 0 ||
                    x.seconds < 0 || x.us < 0;
    bool positive = x.years > 0 || x.months > 0 || x.days > 0 || x.hours > 0 || x.minutes > 0 ||
                    x.seconds > 0 || x.us > 0;
    bool year_month = x.years != 0 || x.months != 0, has_day = x.days != 0;
    bool day_time = has_day || x.hours != 0 || x.minutes != 0 || x.seconds != 0 || x.us != 0;
    bool plain = !(negative && positive) && !(year_month && day_time);

    if (!negative && !positive)
        return p + sprintf(p, "0");
    if (!plain) {
        bool ym = x.years < 0 || x.months < 0;
        bool t = x.hours < 0 || x.minutes < 0 || x.seconds < 0 || x.us < 0;
        p += sprintf(p, "%c%d-%d %c%lld %c%lld:%02d:", ym ? '-' : '+', abs(x.years), abs(x.months),
                     x.days < 0 ? '-' : '+', llabs((long long)x.days), t ? '-' : '+',
                     llabs((long long)x.hours), abs(x.minutes));
        return put_seconds(p, x.seconds, x.us, true);
    }
    if (negative)
        *p++ = '-';
    if (year_month)
        return p + sprintf(p, "%d-%d", abs(x.years), abs(x.months));
    if (has_day)
        p += sprintf(p, "%d ", abs(x.days));
    p += sprintf(p, "%lld:%02d:", llabs((long long)x.hours), abs(x.minutes));
    return put_seconds(p, x.seconds, x.us, true);
}

static char *
put_iso(char *p, int64_t value, char unit)
{
    return value == 0 ? p : p + sprintf(p, "%lld%c", (long long)value, unit);
}

static char *
write_iso(char *p, const struct parts *x)
{
    if (x->years == 0 && x->months == 0 && x->days == 0 && x->hours == 0 && x->minutes == 0 &&
        x->seconds == 0 && x->us == 0)
        return p + sprintf(p, "PT0S");
    *p++ = 'P';
    p = put_iso(p, x->years, 'Y');
    p = put_iso(p, x->months, 'M');
    p = put_iso(p, x->days, 'D');
    if (x->hours != 0 || x->minutes != 0 || x->seconds != 0 || x->us != 0)
        *p++ = 'T';
    p = put_iso(p, x->hours, 'H');
    p = put_iso(p, x->minutes, 'M');
    if (x->seconds != 0 || x->us != 0) {
        if (x->seconds < 0 || x->us < 0)
            *p++ = '-';
        p = put_seconds(p, x->seconds, x->us, false);
        *p++ = 'S';
    }
    return p;
}

size_t
lki_interval_write(const struct luma_interval *iv, const struct luma_format *format, char *out)
{
    struct parts x = parts_of(iv);
    char *end;

    switch (format == NULL ? 0 : format->interval_style) {
    case 1:
        end = write_verbose(out, &x);
        break;
    case 2:
        end = write_sql(out, x);
        break;
    case 3:
        end = write_iso(out, &x);
        break;
    default:
        end = write_postgres(out, &x);
        break;
    }
    return (size_t)(end - out);
}
