/* function/datetime/to_char.c - to_char of timestamps and intervals. */
#include <ctype.h>
#include <stdio.h>

#include "pattern.h"

struct moment {
    struct luma_civil civil;
    int32_t date;
    bool is_interval;
    int64_t hours; /* of an interval: not limited to a day */
};

static char *
put_word(char *p, const char *word, enum pattern_case letters, int width, bool fill)
{
    size_t n = strlen(word);

    for (size_t i = 0; i < n; i++)
        p[i] = (char)(letters == CASE_UPPER            ? toupper((unsigned char)word[i])
                      : letters == CASE_LOWER || i > 0 ? tolower((unsigned char)word[i])
                                                       : toupper((unsigned char)word[i]));
    p += n;
    for (int k = (int)n; k < width && !fill; k++)
        *p++ = ' ';
    return p;
}

static char *
put_number(char *p, int64_t v, int width, const struct pattern_item *item)
{
    static const char *const ends[] = {"th", "st", "nd", "rd"};
    int64_t a = v < 0 ? -v : v, last = a % 10;

    p += sprintf(p, "%0*lld", item->fill ? 0 : v < 0 ? width + 1 : width, (long long)v);
    if (item->ordinal != 0) {
        const char *end = ends[a % 100 / 10 != 1 && last <= 3 ? last : 0];
        *p++ = (char)(item->ordinal == 1 ? toupper((unsigned char)end[0]) : end[0]);
        *p++ = (char)(item->ordinal == 1 ? toupper((unsigned char)end[1]) : end[1]);
    }
    return p;
}

static int32_t
shown_year(int32_t y)
{
    return y > 0 ? y : 1 - y;
}

static char *
put_year(char *p, int32_t year, const struct pattern_item *item, bool is_interval)
{
    static const int32_t mods[5] = {1, 10, 100, 1000, 0};
    int64_t y = is_interval ? year : shown_year(year);

    if (item->digits < 4)
        y %= mods[item->digits];
    return put_number(p, y, item->digits, item);
}

static char *
put_offset(char *p, int32_t gmtoff, bool fill)
{
    int32_t east = gmtoff < 0 ? -gmtoff : gmtoff;

    p += sprintf(p, fill ? "%c%d" : "%c%02d", gmtoff < 0 ? '-' : '+', east / 3600);
    if (east / 60 % 60 != 0)
        p += sprintf(p, ":%02d", east / 60 % 60);
    return p;
}

static const char *const roman[12] = {"I",   "II",   "III", "IV", "V",  "VI",
                                      "VII", "VIII", "IX",  "X",  "XI", "XII"};

static char *
put_time_item(char *p, const struct pattern_item *item, const struct moment *m)
{
    const struct luma_civil *c = &m->civil;
    static const int32_t units[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int64_t hour12 = m->hours % 12 == 0 ? 12 : m->hours % 12;

    switch (item->key) {
    case KEY_HH24:
        return put_number(p, m->hours, 2, item);
    case KEY_HH12:
        return put_number(p, hour12, 2, item);
    case KEY_MI:
        return put_number(p, c->minute, 2, item);
    case KEY_SS:
        return put_number(p, c->second, 2, item);
    case KEY_SSSS:
        return put_number(p, m->hours * 3600 + c->minute * 60 + c->second, 0, item);
    case KEY_MS:
        return put_number(p, c->microsecond / 1000, 3, item);
    case KEY_US:
        return put_number(p, c->microsecond, 6, item);
    case KEY_FF:
        return put_number(p, c->microsecond / units[item->digits], item->digits, item);
    case KEY_AM:
        return put_word(p, m->hours % 24 >= 12 ? "pm" : "am",
                        item->letters == CASE_TITLE ? CASE_UPPER : item->letters, 0, true);
    default: /* KEY_A_M */
        return put_word(p, m->hours % 24 >= 12 ? "p.m." : "a.m.",
                        item->letters == CASE_LOWER ? CASE_LOWER : CASE_UPPER, 0, true);
    }
}

static char *
put_week_item(char *p, const struct pattern_item *item, const struct moment *m)
{
    const struct luma_civil *c = &m->civil;
    int32_t iso_year, week = dt_iso_week(m->date, &iso_year), weekday = dt_weekday(m->date);
    int32_t doy = m->date - dt_host->data->date_from_ymd(c->year, 1, 1) + 1;

    switch (item->key) {
    case KEY_ISOYEAR:
        return put_year(p, iso_year, item, false);
    case KEY_DAY:
        return put_word(p, dt_day_names[weekday], item->letters, 9, item->fill);
    case KEY_DY: {
        char three[4] = {0};
        memcpy(three, dt_day_names[weekday], 3);
        return put_word(p, three, item->letters, 0, true);
    }
    case KEY_DDD:
        return put_number(p, m->is_interval ? c->year * INT64_C(360) + c->month * 30 + c->day : doy,
                          3, item);
    case KEY_IDDD:
        return put_number(p, m->date - dt_iso_year_start(iso_year) + 1, 3, item);
    case KEY_D:
        return put_number(p, weekday + 1, 1, item);
    case KEY_ID:
        return put_number(p, weekday == 0 ? 7 : weekday, 1, item);
    case KEY_W:
        return put_number(p, (c->day - 1) / 7 + 1, 1, item);
    case KEY_WW:
        return put_number(p, (doy - 1) / 7 + 1, 2, item);
    case KEY_IW:
        return put_number(p, week, 2, item);
    default: /* KEY_J */
        return put_number(p, m->date + INT64_C(2451545), 0, item);
    }
}

static char *
put_date_item(char *p, const struct pattern_item *item, const struct moment *m)
{
    const struct luma_civil *c = &m->civil;
    int32_t month = c->month < 1 ? 1 : c->month;

    switch (item->key) {
    case KEY_Y_YYY: {
        int32_t y = shown_year(c->year);
        return p + sprintf(p, "%d,%03d", y / 1000, y % 1000);
    }
    case KEY_YEAR:
        return put_year(p, c->year, item, m->is_interval);
    case KEY_BC:
        return put_word(p, c->year <= 0 ? "bc" : "ad",
                        item->letters == CASE_LOWER ? CASE_LOWER : CASE_UPPER, 0, true);
    case KEY_B_C:
        return put_word(p, c->year <= 0 ? "b.c." : "a.d.",
                        item->letters == CASE_LOWER ? CASE_LOWER : CASE_UPPER, 0, true);
    case KEY_MONTH:
        return put_word(p, dt_month_names[month - 1], item->letters, 9, item->fill);
    case KEY_MON: {
        char three[4] = {0};
        memcpy(three, dt_month_names[month - 1], 3);
        return put_word(p, three, item->letters, 0, true);
    }
    case KEY_MM:
        return put_number(p, c->month, 2, item);
    case KEY_RM:
        return put_word(p, roman[month - 1], item->letters == CASE_LOWER ? CASE_LOWER : CASE_UPPER,
                        0, true) +
               (item->fill ? 0
                           : sprintf(p + strlen(roman[month - 1]), "%*s",
                                     4 - (int)strlen(roman[month - 1]), ""));
    case KEY_DD:
        return put_number(p, c->day, 2, item);
    case KEY_CC:
        return put_number(p, c->year > 0 ? (c->year + 99) / 100 : -((99 - (c->year - 1)) / 100), 2,
                          item);
    case KEY_Q:
        return put_number(p, (month - 1) / 3 + 1, 1, item);
    case KEY_TZ:
        return c->abbrev == NULL
                   ? p
                   : put_word(p, c->abbrev, item->letters == CASE_LOWER ? CASE_LOWER : CASE_UPPER,
                              0, true);
    case KEY_TZH:
        return p + sprintf(p, "%c%02d", c->gmtoff < 0 ? '-' : '+',
                           (c->gmtoff < 0 ? -c->gmtoff : c->gmtoff) / 3600);
    case KEY_TZM:
        return p + sprintf(p, "%02d", (c->gmtoff < 0 ? -c->gmtoff : c->gmtoff) / 60 % 60);
    case KEY_OF:
        return put_offset(p, c->gmtoff, item->fill);
    default:
        return put_week_item(p, item, m);
    }
}

/* Room that any item may take. */
#define ITEM_BYTES 48

static luma_rc
write_items(const struct luma_func_call *call, const struct pattern_item *items, uint32_t count,
            const struct moment *m, struct luma_str *out)
{
    size_t room = 1;
    char *text, *p;

    for (uint32_t i = 0; i < count; i++)
        room += items[i].key == KEY_TEXT ? items[i].bytes : ITEM_BYTES;
    text = p = luma_func_room(call, room);
    if (text == NULL)
        return luma_func_no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].key == KEY_TEXT) {
            memcpy(p, items[i].text, items[i].bytes);
            p += items[i].bytes;
        } else if (items[i].key <= KEY_A_M) {
            p = put_time_item(p, &items[i], m);
        } else {
            p = put_date_item(p, &items[i], m);
        }
    }
    *out = luma_str_make(text, (uint32_t)(p - text));
    return LUMA_OK;
}

static void
moment_of_interval(const struct luma_interval *iv, struct moment *m)
{
    int64_t us = iv->microseconds;

    memset(m, 0, sizeof(*m));
    m->is_interval = true;
    m->hours = us / USECS_PER_HOUR;
    m->civil.year = iv->months / 12;
    m->civil.month = iv->months % 12;
    m->civil.day = iv->days;
    m->civil.minute = (int32_t)(us / USECS_PER_MINUTE % 60);
    m->civil.second = (int32_t)(us / USECS_PER_SEC % 60);
    m->civil.microsecond = (int32_t)(us % USECS_PER_SEC);
}

DT_EVAL(to_char_instant)
{
    uint8_t id = call->func->args[0].id;
    struct luma_str *r = out->data;
    struct pattern_item *items = NULL;
    uint32_t count = 0;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct moment m;
        if (items == NULL || args[1].form != LUMA_VEC_CONST)
            LUMA_TRY(pattern_parse(call, luma_arg_str(&args[1], i), &items, &count));
        if (id == LUMA_TYPE_INTERVAL) {
            moment_of_interval(dt_arg_interval(&args[0], i), &m);
        } else {
            const struct luma_zone *zone = id == LUMA_TYPE_TIMESTAMPTZ ? call->format->zone : NULL;
            int64_t us = luma_arg_i64(&args[0], i);
            if (!dt_finite(us) || count == 0) {
                LUMA_TRY(luma_out_null(call, out, sel, rows, i));
                continue;
            }
            memset(&m, 0, sizeof(m));
            dt_host->data->civil_from_timestamp(us, zone, &m.civil);
            if (id == LUMA_TYPE_TIMESTAMP)
                m.civil.abbrev = NULL;
            m.date = dt_host->data->date_from_ymd(m.civil.year, m.civil.month, m.civil.day);
            m.hours = m.civil.hour;
        }
        LUMA_TRY(write_items(call, items, count, &m, &r[i]));
    }
    return LUMA_OK;
}

static const struct luma_func to_char_functions[] = {
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_instant, TIMESTAMP, TEXT),
    LUMA_FUNC("to_char", STABLE, TEXT, to_char_instant, TIMESTAMPTZ, TEXT),
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_instant, INTERVAL, TEXT),
};

const struct luma_func_part dt_to_char = {to_char_functions, LUMA_COUNTOF(to_char_functions)};
