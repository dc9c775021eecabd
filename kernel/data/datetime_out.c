/* data/datetime_out.c - dates, times and timestamps as text, in the four DateStyles. */
#include <stdio.h>

#include "data/calendar.h"
#include "data/data_priv.h"

enum { STYLE_ISO, STYLE_SQL, STYLE_POSTGRES, STYLE_GERMAN };

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static inline char *
put2(char *p, int32_t v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
    return p + 2;
}

static char *
put_text(char *p, const char *text)
{
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

/* Years as PostgreSQL counts them: at least four digits, no year zero. */
static char *
put_year(char *p, int32_t year)
{
    int32_t y = year > 0 ? year : 1 - year;

    if (y < 10000) {
        p = put2(p, y / 100);
        return put2(p, y % 100);
    }
    return p + sprintf(p, "%d", y);
}

static char *
put_fraction(char *p, int32_t us)
{
    char digits[6];
    int n = 6;

    if (us == 0)
        return p;
    for (int i = 5; i >= 0; i--, us /= 10)
        digits[i] = (char)('0' + us % 10);
    while (digits[n - 1] == '0')
        n--;
    *p++ = '.';
    memcpy(p, digits, (size_t)n);
    return p + n;
}

static char *
put_time(char *p, const struct luma_civil *c)
{
    p = put2(p, c->hour);
    *p++ = ':';
    p = put2(p, c->minute);
    *p++ = ':';
    p = put2(p, c->second);
    return put_fraction(p, c->microsecond);
}

static char *
put_offset(char *p, int32_t gmtoff)
{
    int32_t east = gmtoff < 0 ? -gmtoff : gmtoff;

    *p++ = gmtoff < 0 ? '-' : '+';
    p = put2(p, east / 3600);
    if (east % 3600 != 0) {
        *p++ = ':';
        p = put2(p, east / 60 % 60);
        if (east % 60 != 0) {
            *p++ = ':';
            p = put2(p, east % 60);
        }
    }
    return p;
}

static char *
put_date(char *p, int32_t y, int32_t m, int32_t d, int style, int order)
{
    switch (style) {
    case STYLE_SQL:
    case STYLE_POSTGRES: {
        char sep = style == STYLE_SQL ? '/' : '-';
        p = put2(p, order == 1 ? d : m);
        *p++ = sep;
        p = put2(p, order == 1 ? m : d);
        *p++ = sep;
        return put_year(p, y);
    }
    case STYLE_GERMAN:
        p = put2(p, d);
        *p++ = '.';
        p = put2(p, m);
        *p++ = '.';
        return put_year(p, y);
    default:
        p = put_year(p, y);
        *p++ = '-';
        p = put2(p, m);
        *p++ = '-';
        return put2(p, d);
    }
}

size_t
lki_date_write(int32_t date, const struct luma_format *format, char *out)
{
    int32_t y, m, d;
    char *p = out;

    if (date == INT32_MAX || date == INT32_MIN)
        return (size_t)(put_text(p, date > 0 ? "infinity" : "-infinity") - out);
    lki_ymd_from_date(date, &y, &m, &d);
    p = put_date(p, y, m, d, format == NULL ? 0 : format->date_style,
                 format == NULL ? 0 : format->date_order);
    if (y <= 0)
        p = put_text(p, " BC");
    return (size_t)(p - out);
}

size_t
lki_time_write(int64_t time, char *out)
{
    struct luma_civil c = {0};

    c.hour = (int32_t)(time / LKI_USECS_PER_HOUR);
    c.minute = (int32_t)(time / LKI_USECS_PER_MINUTE % 60);
    c.second = (int32_t)(time / LKI_USECS_PER_SEC % 60);
    c.microsecond = (int32_t)(time % LKI_USECS_PER_SEC);
    return (size_t)(put_time(out, &c) - out);
}

static size_t
write_civil(const struct luma_civil *c, bool zoned, const struct luma_format *format, char *out)
{
    int style = format == NULL ? 0 : format->date_style;
    int order = format == NULL ? 0 : format->date_order;
    char *p = out;

    if (style == STYLE_POSTGRES) {
        int32_t weekday = (lki_date_from_ymd(c->year, c->month, c->day) % 7 + 13) % 7;
        p = put_text(p, day_names[weekday]);
        *p++ = ' ';
        if (order == 1)
            p = put_text(put2(p, c->day), " ");
        p = put_text(p, month_names[c->month - 1]);
        *p++ = ' ';
        if (order != 1)
            p = put_text(put2(p, c->day), " ");
        p = put_time(p, c);
        *p++ = ' ';
        p = put_year(p, c->year);
    } else {
        p = put_date(p, c->year, c->month, c->day, style, order);
        *p++ = ' ';
        p = put_time(p, c);
    }
    if (zoned) {
        if (style == STYLE_ISO) {
            p = put_offset(p, c->gmtoff);
        } else if (c->abbrev != NULL && c->abbrev[0] != '+' && c->abbrev[0] != '-') {
            *p++ = ' ';
            p = put_text(p, c->abbrev);
        } else {
            if (style == STYLE_POSTGRES)
                *p++ = ' ';
            p = put_offset(p, c->gmtoff);
        }
    }
    if (c->year <= 0)
        p = put_text(p, " BC");
    return (size_t)(p - out);
}

static size_t
write_timestamp(int64_t us, bool zoned, const struct luma_format *format, char *out)
{
    struct luma_civil c;

    if (!lki_timestamp_finite(us))
        return (size_t)(put_text(out, us > 0 ? "infinity" : "-infinity") - out);
    lk_data_civil_from_timestamp(us, zoned && format != NULL ? format->zone : NULL, &c);
    return write_civil(&c, zoned, format, out);
}

size_t
lki_timestamp_write(int64_t us, const struct luma_format *format, char *out)
{
    return write_timestamp(us, false, format, out);
}

size_t
lki_timestamptz_write(int64_t us, const struct luma_format *format, char *out)
{
    return write_timestamp(us, true, format, out);
}
