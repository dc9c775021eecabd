/*
 * data/datetime_in.c - dates, times and timestamps from text.
 *
 * The ISO forms that machines write take a direct path. Everything else is cut into fields
 * (numbers, dates, times, words, zones) and put together as PostgreSQL does.
 */
#include <strings.h>

#include "data/calendar.h"
#include "data/data_priv.h"
#include "io/io.h"

struct fields {
    bool have_year, have_month, have_day, have_time, have_zone, bc, iso_t;
    int32_t year, month, day;
    int64_t time; /* microseconds */
    int32_t year_digits;
    enum { AMPM_NONE, AMPM_AM, AMPM_PM } ampm;
    int32_t gmtoff;
    const struct luma_zone *zone; /* have_zone and not NULL: gmtoff depends on the date */
    enum { SPECIAL_NONE, SPECIAL_INF, SPECIAL_NINF, SPECIAL_EPOCH, SPECIAL_NOW } special;
    int32_t day_shift; /* yesterday -1, tomorrow 1 */
    bool special_day;
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

static inline int32_t
two(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* Digits after the point, to microseconds, rounded. */
static const char *
fraction(const char *p, const char *end, int64_t *out)
{
    int64_t us = 0;
    int digits = 0;

    for (; p < end && is_digit(*p); p++, digits++) {
        if (digits < 6)
            us = us * 10 + (*p - '0');
        else if (digits == 6 && *p >= '5')
            us++;
    }
    for (; digits < 6; digits++)
        us *= 10;
    *out = us;
    return p;
}

/* --- the direct path: YYYY-MM-DD[ T]hh:mm:ss[.f][+-hh[:mm]] --- */

static const char *
iso_date(const char *p, const char *end, int32_t *y, int32_t *m, int32_t *d)
{
    if (end - p < 10 || p[4] != '-' || p[7] != '-')
        return NULL;
    for (int i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !is_digit(p[i]))
            return NULL;
    *y = two(p) * 100 + two(p + 2);
    *m = two(p + 5);
    *d = two(p + 8);
    if (*y == 0 || *m < 1 || *m > 12 || *d < 1 || *d > lki_month_days(*y, *m))
        return NULL;
    return p + 10;
}

static const char *
iso_time(const char *p, const char *end, int64_t *out)
{
    int64_t us = 0;
    int32_t h, m, s;

    if (end - p < 8 || p[2] != ':' || p[5] != ':')
        return NULL;
    for (int i = 0; i < 8; i++)
        if (i != 2 && i != 5 && !is_digit(p[i]))
            return NULL;
    h = two(p);
    m = two(p + 3);
    s = two(p + 6);
    if (h > 23 || m > 59 || s > 59)
        return NULL;
    p += 8;
    if (p < end && *p == '.')
        p = fraction(p + 1, end, &us);
    *out = h * LKI_USECS_PER_HOUR + m * LKI_USECS_PER_MINUTE + s * LKI_USECS_PER_SEC + us;
    return p;
}

static const char *
iso_zone(const char *p, const char *end, int32_t *out)
{
    int32_t sign = *p == '-' ? -1 : 1, h, m = 0;

    if (end - p < 3 || !is_digit(p[1]) || !is_digit(p[2]))
        return NULL;
    h = two(p + 1);
    p += 3;
    if (end - p >= 3 && *p == ':' && is_digit(p[1]) && is_digit(p[2])) {
        m = two(p + 1);
        p += 3;
    }
    if (h > 15 || m > 59)
        return NULL;
    *out = sign * (h * 3600 + m * 60);
    return p;
}

/* False: not this form, or out of range; the general path decides. */
static bool
parse_iso(enum lki_dt_kind kind, const struct luma_zone *zone, const char *p, const char *end,
          int64_t *out)
{
    int32_t y, m, d, gmtoff = 0;
    int64_t time = 0, local;
    bool zoned = false;

    p = iso_date(p, end, &y, &m, &d);
    if (p == NULL)
        return false;
    if (kind == LKI_DT_DATE) {
        *out = lki_date_from_ymd(y, m, d);
        return p == end;
    }
    if (p < end && (*p == ' ' || *p == 'T')) {
        p = iso_time(p + 1, end, &time);
        if (p == NULL)
            return false;
        if (p < end && (*p == '+' || *p == '-')) {
            p = iso_zone(p, end, &gmtoff);
            zoned = true;
        } else if (p < end && *p == 'Z') {
            p++;
            zoned = true;
        }
    }
    if (p != end)
        return false;
    local = lki_date_from_ymd(y, m, d) * LKI_USECS_PER_DAY + time;
    if (kind == LKI_DT_TIMESTAMPTZ)
        local -= (zoned          ? gmtoff
                  : zone == NULL ? 0
                                 : lki_zone_local_offset(zone, local)) *
                 LKI_USECS_PER_SEC;
    *out = local;
    return true;
}

/* --- fields of the general path --- */

static int32_t
month_of(const char *p, size_t n)
{
    static const char *const names[12] = {"january",   "february", "march",    "april",
                                          "may",       "june",     "july",     "august",
                                          "september", "october",  "november", "december"};

    if (n == 4 && strncasecmp(p, "sept", 4) == 0)
        return 9;
    for (int32_t i = 0; i < 12; i++)
        if ((n == 3 || n == strlen(names[i])) && strncasecmp(p, names[i], n) == 0)
            return i + 1;
    return 0;
}

static bool
is_weekday(const char *p, size_t n)
{
    static const char *const names[] = {
        "sun",       "sunday", "mon",  "monday", "tue",      "tues", "tuesday", "wed", "weds",
        "wednesday", "thu",    "thur", "thurs",  "thursday", "fri",  "friday",  "sat", "saturday"};

    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        if (strlen(names[i]) == n && strncasecmp(p, names[i], n) == 0)
            return true;
    return false;
}

static bool
word_is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static int32_t
number(const char *p, size_t n)
{
    int32_t v = 0;

    for (size_t i = 0; i < n; i++) {
        if (v > 100000000)
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

static enum lki_dt_error
set_month(struct fields *f, int32_t month)
{
    if (f->have_month) {
        /* A number taken as the month was the day after all: "8 January 1999". */
        if (f->have_day || month == 0)
            return LKI_DT_SYNTAX;
        f->day = f->month;
        f->have_day = true;
    }
    f->month = month;
    f->have_month = true;
    return LKI_DT_OK;
}

/* hh:mm[:ss[.f]] */
static enum lki_dt_error
set_time(struct fields *f, const char *p, const char *end)
{
    int64_t part[3] = {0, 0, 0}, us = 0;
    int count = 0;

    if (f->have_time)
        return LKI_DT_SYNTAX;
    while (count < 3 && p < end && is_digit(*p)) {
        for (; p < end && is_digit(*p); p++)
            if (part[count] < 1000000)
                part[count] = part[count] * 10 + (*p - '0');
        count++;
        if (p == end || *p != ':')
            break;
        p++;
    }
    if (p < end && *p == '.') {
        p = fraction(p + 1, end, &us);
        if (count == 2) { /* mm:ss.f */
            part[2] = part[1];
            part[1] = part[0];
            part[0] = 0;
        }
    }
    if (p != end || count < 2)
        return LKI_DT_SYNTAX;
    if (part[1] > 59 || part[2] > 60 || part[0] > 24)
        return LKI_DT_RANGE;
    f->time = part[0] * LKI_USECS_PER_HOUR + part[1] * LKI_USECS_PER_MINUTE +
              part[2] * LKI_USECS_PER_SEC + us;
    f->have_time = true;
    return f->time > LKI_USECS_PER_DAY ? LKI_DT_RANGE : LKI_DT_OK;
}

/* hhmmss or hhmm */
static enum lki_dt_error
set_packed_time(struct fields *f, const char *p, size_t n, int64_t us)
{
    int32_t h = two(p), m = two(p + 2), s = n == 6 ? two(p + 4) : 0;

    if (f->have_time)
        return LKI_DT_SYNTAX;
    if (h > 24 || m > 59 || s > 60)
        return LKI_DT_RANGE;
    f->time = h * LKI_USECS_PER_HOUR + m * LKI_USECS_PER_MINUTE + s * LKI_USECS_PER_SEC + us;
    f->have_time = true;
    return LKI_DT_OK;
}

static void
set_ymd(struct fields *f, int32_t y, int32_t m, int32_t d, int32_t year_digits)
{
    f->year = y;
    f->month = m;
    f->day = d;
    f->year_digits = year_digits;
    f->have_year = f->have_month = f->have_day = true;
}

/* A number within or without a date: which part it is depends on what is there and the order. */
static enum lki_dt_error
set_date_part(struct fields *f, const struct luma_format *format, const char *p, size_t n)
{
    int32_t v = number(p, n);
    uint8_t order = format == NULL ? 0 : format->date_order;
    bool text_month_first = f->have_month && !f->have_day && !f->have_year;

    if (v < 0)
        return LKI_DT_RANGE;
    if (n >= 3 && !f->have_year && (f->have_month || f->have_day || n >= 4)) {
        f->year = v;
        f->year_digits = (int32_t)n;
        f->have_year = true;
        return LKI_DT_OK;
    }
    if (f->have_year && !f->have_month) {
        f->month = v;
        f->have_month = true;
    } else if (f->have_month && !f->have_day) {
        f->day = v;
        f->have_day = true;
    } else if (f->have_month && f->have_day && !f->have_year) {
        f->year = v;
        f->year_digits = (int32_t)n;
        f->have_year = true;
    } else if (!f->have_month && !f->have_day && !f->have_year) {
        if (order == 2) {
            f->year = v;
            f->year_digits = (int32_t)n;
            f->have_year = true;
        } else if (order == 1) {
            f->day = v;
            f->have_day = true;
        } else {
            f->month = v;
            f->have_month = true;
        }
    } else if (f->have_day && !f->have_month) {
        f->month = v;
        f->have_month = true;
    } else {
        return LKI_DT_SYNTAX;
    }
    (void)text_month_first;
    return LKI_DT_OK;
}

/* Numbers and month names with -, / or . between them. */
static enum lki_dt_error
set_date(struct fields *f, const struct luma_format *format, const char *p, const char *end)
{
    const char *start = p;

    /* A month in letters is known before the numbers beside it are judged. */
    for (const char *q = p; q < end; q++) {
        const char *w = q;
        if (!is_alpha(*q))
            continue;
        while (q < end && is_alpha(*q))
            q++;
        if (f->have_month || month_of(w, (size_t)(q - w)) == 0)
            return LKI_DT_SYNTAX;
        f->month = month_of(w, (size_t)(q - w));
        f->have_month = true;
    }
    for (p = start; p < end;) {
        const char *w = p;
        if (is_alpha(*p)) {
            while (p < end && is_alpha(*p))
                p++;
        } else if (is_digit(*p)) {
            enum lki_dt_error e;
            while (p < end && is_digit(*p))
                p++;
            e = set_date_part(f, format, w, (size_t)(p - w));
            if (e != LKI_DT_OK)
                return e;
        } else {
            p++;
        }
    }
    return LKI_DT_OK;
}

static enum lki_dt_error
set_number(struct fields *f, const struct luma_format *format, const char *p, size_t n,
           const char *dot, const char *end)
{
    int64_t us = 0;
    bool date_done = f->have_year && f->have_month && f->have_day;

    if (dot != NULL) {
        if (fraction(dot + 1, end, &us) != end)
            return LKI_DT_SYNTAX;
        if (n == 6 && (date_done || f->iso_t))
            return set_packed_time(f, p, n, us);
        return LKI_DT_SYNTAX;
    }
    if ((n == 6 || n == 4) && (date_done || f->iso_t))
        return set_packed_time(f, p, n, 0);
    if (n == 8 && !f->have_year && !f->have_month && !f->have_day) {
        set_ymd(f, two(p) * 100 + two(p + 2), two(p + 4), two(p + 6), 4);
        return LKI_DT_OK;
    }
    if (n == 6 && !f->have_year && !f->have_month && !f->have_day) {
        set_ymd(f, two(p), two(p + 2), two(p + 4), 2);
        return LKI_DT_OK;
    }
    return set_date_part(f, format, p, n);
}

/* +-hh, +-hhmm, +-hh:mm[:ss] */
static enum lki_dt_error
set_zone_offset(struct fields *f, const char *p, const char *end)
{
    int32_t sign = *p++ == '-' ? -1 : 1, part[3] = {0, 0, 0};
    int count = 0;

    if (f->have_zone && f->zone != NULL)
        return LKI_DT_SYNTAX;
    while (count < 3 && p < end && is_digit(*p)) {
        const char *w = p;
        while (p < end && is_digit(*p))
            p++;
        part[count++] = number(w, (size_t)(p - w));
        if (count == 1 && p - w > 2 && p - w <= 4) {
            part[1] = part[0] % 100;
            part[0] /= 100;
            count = 2;
        }
        if (p < end && *p == ':')
            p++;
        else
            break;
    }
    if (p != end || count == 0)
        return LKI_DT_SYNTAX;
    if (part[0] < 0 || part[0] > 15 || part[1] > 59 || part[2] > 59)
        return LKI_DT_ZONE_RANGE;
    f->gmtoff = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    f->have_zone = true;
    return LKI_DT_OK;
}

static bool
special_word(struct fields *f, const char *p, size_t n)
{
    if (word_is(p, n, "infinity") || word_is(p, n, "+infinity")) {
        f->special = SPECIAL_INF;
    } else if (word_is(p, n, "-infinity")) {
        f->special = SPECIAL_NINF;
    } else if (word_is(p, n, "epoch")) {
        f->special = SPECIAL_EPOCH;
    } else if (word_is(p, n, "now")) {
        f->special = SPECIAL_NOW;
    } else if (word_is(p, n, "today") || word_is(p, n, "tomorrow") || word_is(p, n, "yesterday")) {
        f->special_day = true;
        f->day_shift = word_is(p, n, "today") ? 0 : word_is(p, n, "tomorrow") ? 1 : -1;
    } else {
        return false;
    }
    return true;
}

static enum lki_dt_error
set_word(struct fields *f, const char *p, size_t n)
{
    int32_t month = month_of(p, n);

    if (month != 0)
        return set_month(f, month);
    if (special_word(f, p, n) || is_weekday(p, n) || word_is(p, n, "at") || word_is(p, n, "on"))
        return LKI_DT_OK;
    if (word_is(p, n, "am") || word_is(p, n, "pm")) {
        f->ampm = (*p | 32) == 'a' ? AMPM_AM : AMPM_PM;
        return LKI_DT_OK;
    }
    if (word_is(p, n, "bc") || word_is(p, n, "ad")) {
        f->bc = (*p | 32) == 'b';
        return LKI_DT_OK;
    }
    if (word_is(p, n, "allballs")) {
        f->have_time = f->have_zone = true;
        f->time = 0;
        return LKI_DT_OK;
    }
    if (word_is(p, n, "t")) {
        f->iso_t = true;
        return LKI_DT_OK;
    }
    if (f->have_zone)
        return LKI_DT_SYNTAX;
    f->zone = lki_zone_find(p, n);
    if (f->zone == NULL)
        return memchr(p, '/', n) != NULL ? LKI_DT_ZONE_UNKNOWN : LKI_DT_SYNTAX;
    f->have_zone = true;
    return LKI_DT_OK;
}

/* Julian day number: J2451187 */
static bool
set_julian(struct fields *f, const char *p, size_t n)
{
    int32_t v;

    if (n < 2 || (*p | 32) != 'j' || !is_digit(p[1]))
        return false;
    v = number(p + 1, n - 1);
    if (v < 0)
        return false;
    lki_ymd_from_date(v - 2451545, &f->year, &f->month, &f->day);
    f->have_year = f->have_month = f->have_day = true;
    f->year_digits = 4;
    return true;
}

static const char *
skip_while(const char *p, const char *end, bool (*fn)(char))
{
    while (p < end && fn(*p))
        p++;
    return p;
}

static bool
is_time_char(char c)
{
    return is_digit(c) || c == ':' || c == '.';
}

static bool
is_date_char(char c)
{
    return is_digit(c) || is_alpha(c) || c == '-' || c == '/' || c == '.';
}

static bool
is_zone_char(char c)
{
    return is_digit(c) || c == ':';
}

static bool
is_word_char(char c)
{
    return is_alpha(c) || is_digit(c) || c == '_' || c == '/';
}

static const char *
field_digits(struct fields *f, const struct luma_format *format, const char *p, const char *end,
             enum lki_dt_error *error)
{
    const char *q = skip_while(p, end, is_digit), *stop = q;

    if (q < end && *q == ':') {
        stop = skip_while(q, end, is_time_char);
        *error = set_time(f, p, stop);
    } else if (q + 1 < end && (*q == '-' || *q == '/' || *q == '.') &&
               !(*q == '.' && (f->have_day || f->iso_t)) &&
               !(*q == '-' && f->have_year && f->have_month && f->have_day)) {
        stop = skip_while(q, end, is_date_char);
        /* "1999-01-08T04:05" and "...-08t": the marker ends the date. */
        for (const char *t = q; t < stop; t++)
            if ((*t | 32) == 't' && is_digit(t[-1])) {
                stop = t;
                break;
            }
        *error = set_date(f, format, p, stop);
    } else if (q < end && *q == '.') {
        stop = skip_while(q + 1, end, is_digit);
        *error = set_number(f, format, p, (size_t)(q - p), q, stop);
    } else {
        *error = set_number(f, format, p, (size_t)(q - p), NULL, NULL);
    }
    return stop;
}

static const char *
field_word(struct fields *f, const struct luma_format *format, const char *p, const char *end,
           enum lki_dt_error *error)
{
    const char *q = skip_while(p, end, is_alpha), *stop;

    if (q < end && (*q == '-' || *q == '/' || *q == '.') && month_of(p, (size_t)(q - p)) != 0 &&
        q + 1 < end && is_digit(q[1])) {
        stop = skip_while(q, end, is_date_char);
        *error = set_date(f, format, p, stop);
        return stop;
    }
    if ((q - p == 1 && (*p | 32) == 't' && q < end && is_digit(*q)) ||
        (q < end && is_digit(*q) &&
         (word_is(p, (size_t)(q - p), "am") || word_is(p, (size_t)(q - p), "pm")))) {
        *error = set_word(f, p, (size_t)(q - p));
        return q;
    }
    stop = skip_while(q, end, is_word_char);
    /* Etc/GMT+5 */
    if (stop < end && (*stop == '+' || *stop == '-') && memchr(p, '/', (size_t)(stop - p)) != NULL)
        stop = skip_while(stop + 1, end, is_word_char);
    if (!set_julian(f, p, (size_t)(stop - p)))
        *error = set_word(f, p, (size_t)(stop - p));
    return stop;
}

static enum lki_dt_error
cut(struct fields *f, const struct luma_format *format, const char *p, const char *end)
{
    while (p < end) {
        enum lki_dt_error error = LKI_DT_OK;
        if (is_space(*p) || *p == ',') {
            p++;
        } else if (is_digit(*p)) {
            p = field_digits(f, format, p, end, &error);
        } else if (is_alpha(*p)) {
            p = field_word(f, format, p, end, &error);
        } else if (*p == '+' || *p == '-') {
            const char *stop = skip_while(p + 1, end, is_alpha);
            if (stop > p + 1) {
                if (!special_word(f, p, (size_t)(stop - p)))
                    return LKI_DT_SYNTAX;
            } else {
                stop = skip_while(p + 1, end, is_zone_char);
                error = set_zone_offset(f, p, stop);
            }
            p = stop;
        } else {
            return LKI_DT_SYNTAX;
        }
        if (error != LKI_DT_OK)
            return error;
    }
    return LKI_DT_OK;
}

/* --- putting fields together --- */

static int64_t
now_of(const struct luma_format *format)
{
    if (format != NULL && format->now_us != 0)
        return format->now_us;
    return lk_io_wall_us(lk_io_posix()) - LKI_EPOCH_SECS * LKI_USECS_PER_SEC;
}

static enum lki_dt_error
check_date(struct fields *f)
{
    if (!f->have_year || !f->have_month || !f->have_day)
        return LKI_DT_SYNTAX;
    if (f->bc) {
        if (f->year <= 0)
            return LKI_DT_RANGE;
        f->year = -(f->year - 1);
    } else if (f->year_digits <= 2) {
        f->year += f->year < 70 ? 2000 : 1900;
    } else if (f->year == 0) {
        return LKI_DT_RANGE;
    }
    if (f->month < 1 || f->month > 12 || f->day < 1 || f->day > lki_month_days(f->year, f->month))
        return LKI_DT_RANGE;
    if (f->year < -4713 || f->year > 5874897)
        return LKI_DT_RANGE;
    return LKI_DT_OK;
}

static enum lki_dt_error
apply_ampm(struct fields *f)
{
    if (f->ampm == AMPM_NONE)
        return LKI_DT_OK;
    if (f->time >= 13 * LKI_USECS_PER_HOUR)
        return LKI_DT_RANGE;
    if (f->ampm == AMPM_AM && f->time >= 12 * LKI_USECS_PER_HOUR)
        f->time -= 12 * LKI_USECS_PER_HOUR;
    else if (f->ampm == AMPM_PM && f->time < 12 * LKI_USECS_PER_HOUR)
        f->time += 12 * LKI_USECS_PER_HOUR;
    return LKI_DT_OK;
}

/* now, today, epoch, infinity: true when the answer is complete. */
static bool
finish_special(struct fields *f, enum lki_dt_kind kind, const struct luma_format *format,
               int64_t *out)
{
    const struct luma_zone *zone = format == NULL ? NULL : format->zone;
    bool with_zone = kind == LKI_DT_TIMESTAMPTZ;
    int64_t now = now_of(format), local = now, time;
    int32_t date;

    switch (f->special) {
    case SPECIAL_INF:
    case SPECIAL_NINF:
        if (kind == LKI_DT_DATE)
            *out = f->special == SPECIAL_INF ? INT32_MAX : INT32_MIN;
        else
            *out = f->special == SPECIAL_INF ? INT64_MAX : INT64_MIN;
        return true;
    case SPECIAL_EPOCH:
        *out = kind == LKI_DT_DATE ? -10957 : -LKI_EPOCH_SECS * LKI_USECS_PER_SEC;
        return true;
    case SPECIAL_NOW:
        if (!with_zone)
            local += lki_zone_at(zone, now).gmtoff * LKI_USECS_PER_SEC;
        lki_timestamp_split(local, &date, &time);
        *out = kind == LKI_DT_DATE ? date : kind == LKI_DT_TIME ? time : local;
        return true;
    default:
        break;
    }
    if (!f->special_day)
        return false;
    local += lki_zone_at(zone, now).gmtoff * LKI_USECS_PER_SEC;
    lki_timestamp_split(local, &date, &time);
    date += f->day_shift;
    lki_ymd_from_date(date, &f->year, &f->month, &f->day);
    f->have_year = f->have_month = f->have_day = true;
    f->year_digits = 4;
    return false;
}

static enum lki_dt_error
finish(struct fields *f, enum lki_dt_kind kind, const struct luma_format *format, int64_t *out,
       int32_t *out_gmtoff)
{
    const struct luma_zone *zone = format == NULL ? NULL : format->zone;
    enum lki_dt_error e;
    luma_i128 us;
    int32_t date;

    if (finish_special(f, kind, format, out))
        return LKI_DT_OK;
    e = apply_ampm(f);
    if (e != LKI_DT_OK)
        return e;
    if (kind == LKI_DT_TIME || kind == LKI_DT_TIMETZ) {
        if (!f->have_time)
            return LKI_DT_SYNTAX;
        *out = f->time;
        *out_gmtoff = f->have_zone ? f->gmtoff : 0;
        return LKI_DT_OK;
    }
    e = check_date(f);
    if (e != LKI_DT_OK)
        return e;
    date = lki_date_from_ymd(f->year, f->month, f->day);
    if (date < LKI_DATE_MIN || date >= LKI_DATE_END)
        return LKI_DT_RANGE;
    if (kind == LKI_DT_DATE) {
        *out = date;
        return LKI_DT_OK;
    }
    us = (luma_i128)date * LKI_USECS_PER_DAY + (f->have_time ? f->time : 0);
    if (us < LKI_TIMESTAMP_MIN || us >= LKI_TIMESTAMP_END)
        return LKI_DT_RANGE;
    if (kind == LKI_DT_TIMESTAMPTZ) {
        int32_t gmtoff = f->gmtoff;
        if (!f->have_zone)
            gmtoff = zone == NULL ? 0 : lki_zone_local_offset(zone, (int64_t)us);
        else if (f->zone != NULL)
            gmtoff += lki_zone_local_offset(f->zone, (int64_t)us);
        us -= (luma_i128)gmtoff * LKI_USECS_PER_SEC;
        if (us < LKI_TIMESTAMP_MIN || us >= LKI_TIMESTAMP_END)
            return LKI_DT_RANGE;
    }
    *out = (int64_t)us;
    return LKI_DT_OK;
}

enum lki_dt_error
lki_datetime_parse(enum lki_dt_kind kind, const struct luma_format *format, const char *text,
                   size_t bytes, int64_t *out, int32_t *out_gmtoff)
{
    const char *p = text, *end = text + bytes;
    struct fields f = {0};
    int32_t ignored;
    enum lki_dt_error e;

    if (kind <= LKI_DT_TIME || kind == LKI_DT_TIMETZ) {
        if (kind == LKI_DT_DATE && parse_iso(kind, NULL, p, end, out))
            return LKI_DT_OK;
    } else if (parse_iso(kind, format == NULL ? NULL : format->zone, p, end, out)) {
        return LKI_DT_OK;
    }
    if (kind == LKI_DT_TIME && bytes >= 8 && iso_time(p, end, out) == end)
        return LKI_DT_OK;
    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    if (p == end || end - p > 128)
        return LKI_DT_SYNTAX;
    f.iso_t = kind == LKI_DT_TIME || kind == LKI_DT_TIMETZ; /* a bare number is a time */
    e = cut(&f, format, p, end);
    if (e != LKI_DT_OK)
        return e;
    return finish(&f, kind, format, out, out_gmtoff == NULL ? &ignored : out_gmtoff);
}
