/* function/datetime/from_char.c - to_date and to_timestamp by a template. */
#include <strings.h>

#include "pattern.h"

struct parsed {
    int32_t year, month, day, doy, iso_year, iso_week, iso_day, week, julian, century;
    int32_t hour, minute, second, microsecond, seconds_of_day;
    int32_t gmtoff;
    int8_t year_digits;
    bool have_year, have_month, have_day, have_doy, have_iso, have_julian, have_hour12, have_ssss;
    bool have_week, have_zone, have_century, pm, am, bc;
};

static luma_rc
bad_value(const struct luma_func_call *call, const char *p, const char *end)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22007", "invalid value \"%.*s\" for the template",
                         (int)(end - p > 20 ? 20 : end - p), p);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Up to `width` digits with a sign; without FM the next item bounds it too. */
static const char *
take_int(const char *p, const char *end, int width, bool sign_allowed, int32_t *out)
{
    bool negative = false;
    int digits = 0;
    int32_t v = 0;

    while (p < end && is_space(*p))
        p++;
    if (sign_allowed && p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    while (p < end && is_digit(*p) && digits < width && v < 100000000) {
        v = v * 10 + (*p++ - '0');
        digits++;
    }
    if (digits == 0)
        return NULL;
    *out = negative ? -v : v;
    return p;
}

static const char *
take_name(const char *p, const char *end, const char *const *names, int count, bool full,
          int32_t *out)
{
    for (int i = 0; i < count; i++) {
        size_t n = full ? strlen(names[i]) : 3;
        if ((size_t)(end - p) >= n && strncasecmp(p, names[i], n) == 0) {
            *out = i;
            p += n;
            while (full && p < end && is_space(*p) && strlen(names[i]) < 9)
                p++;
            return p;
        }
    }
    /* "Jan" for MONTH is taken too. */
    return full ? take_name(p, end, names, count, false, out) : NULL;
}

static const char *
take_either(const char *p, const char *end, const char *a, const char *b, bool *is_a, bool *is_b)
{
    size_t n = strlen(a);

    if ((size_t)(end - p) < n)
        return NULL;
    *is_a = strncasecmp(p, a, n) == 0;
    *is_b = strncasecmp(p, b, n) == 0;
    return *is_a || *is_b ? p + n : NULL;
}

static const char *
take_fraction(const char *p, const char *end, int width, int32_t *out_us)
{
    int32_t us = 0;
    int digits = 0;

    while (p < end && is_digit(*p) && digits < width) {
        us = us * 10 + (*p++ - '0');
        digits++;
    }
    if (digits == 0)
        return NULL;
    for (; digits < 6; digits++)
        us *= 10;
    *out_us = us;
    return p;
}

static const char *
take_year(const char *p, const char *end, const struct pattern_item *item, bool bounded,
          int32_t *out, int8_t *out_digits)
{
    const char *start = p;

    p = take_int(p, end, item->digits == 4 && !bounded ? 9 : item->digits, true, out);
    if (p != NULL)
        *out_digits = (int8_t)(p - start > 100 ? 100 : p - start);
    return p;
}

static const char *
take_date_item(const struct pattern_item *item, const char *p, const char *end, bool bounded,
               struct parsed *v)
{
    int8_t ignored;
    int32_t n = 0;

    switch (item->key) {
    case KEY_YEAR:
        v->have_year = true;
        return take_year(p, end, item, bounded, &v->year, &v->year_digits);
    case KEY_Y_YYY: {
        int32_t high = 0;
        v->have_year = true;
        v->year_digits = 4;
        p = take_int(p, end, 3, false, &high);
        if (p == NULL || p == end || *p != ',')
            return NULL;
        p = take_int(p + 1, end, 3, false, &n);
        v->year = high * 1000 + n;
        return p;
    }
    case KEY_ISOYEAR:
        v->have_iso = true;
        return take_year(p, end, item, bounded, &v->iso_year, &ignored);
    case KEY_MONTH:
    case KEY_MON:
        v->have_month = true;
        p = take_name(p, end, dt_month_names, 12, item->key == KEY_MONTH, &v->month);
        v->month++;
        return p;
    case KEY_MM:
        v->have_month = true;
        return take_int(p, end, 2, false, &v->month);
    case KEY_DAY:
    case KEY_DY:
        return take_name(p, end, dt_day_names, 7, item->key == KEY_DAY, &n);
    case KEY_DDD:
        v->have_doy = true;
        return take_int(p, end, 3, false, &v->doy);
    case KEY_DD:
        v->have_day = true;
        return take_int(p, end, 2, false, &v->day);
    case KEY_D:
        return take_int(p, end, 1, false, &n);
    case KEY_ID:
        return take_int(p, end, 1, false, &v->iso_day);
    case KEY_IW:
        v->have_iso = true;
        return take_int(p, end, 2, false, &v->iso_week);
    case KEY_WW:
        v->have_week = true;
        return take_int(p, end, 2, false, &v->week);
    case KEY_CC:
        v->have_century = true;
        return take_int(p, end, 2, false, &v->century);
    case KEY_J:
        v->have_julian = true;
        return take_int(p, end, 9, false, &v->julian);
    case KEY_Q:
    case KEY_W:
        return take_int(p, end, 1, false, &n);
    case KEY_BC: {
        bool ad;
        return take_either(p, end, "bc", "ad", &v->bc, &ad);
    }
    case KEY_B_C: {
        bool ad;
        return take_either(p, end, "b.c.", "a.d.", &v->bc, &ad);
    }
    case KEY_TZH:
    case KEY_OF:
        v->have_zone = true;
        p = take_int(p, end, 2, true, &n);
        v->gmtoff += n * 3600;
        return p;
    case KEY_TZM:
        p = take_int(p, end, 2, false, &n);
        v->gmtoff += v->gmtoff < 0 ? -n * 60 : n * 60;
        return p;
    default:
        return p;
    }
}

static const char *
take_item(const struct pattern_item *item, const char *p, const char *end, bool bounded,
          struct parsed *v)
{
    switch (item->key) {
    case KEY_HH24:
        return take_int(p, end, 2, false, &v->hour);
    case KEY_HH12:
        v->have_hour12 = true;
        return take_int(p, end, 2, false, &v->hour);
    case KEY_MI:
        return take_int(p, end, 2, false, &v->minute);
    case KEY_SS:
        return take_int(p, end, 2, false, &v->second);
    case KEY_SSSS:
        v->have_ssss = true;
        return take_int(p, end, 5, false, &v->seconds_of_day);
    case KEY_MS:
        return take_fraction(p, end, 3, &v->microsecond);
    case KEY_US:
        return take_fraction(p, end, 6, &v->microsecond);
    case KEY_FF:
        return take_fraction(p, end, item->digits, &v->microsecond);
    case KEY_AM:
        return take_either(p, end, "am", "pm", &v->am, &v->pm);
    case KEY_A_M:
        return take_either(p, end, "a.m.", "p.m.", &v->am, &v->pm);
    default:
        return take_date_item(item, p, end, bounded, v);
    }
}

static luma_rc
parse(const struct luma_func_call *call, const struct pattern_item *items, uint32_t count,
      const struct luma_str *text, struct parsed *v)
{
    const char *p = luma_str_data(text), *end = p + text->bytes, *next;

    memset(v, 0, sizeof(*v));
    for (uint32_t i = 0; i < count; i++) {
        /* A digit field right behind bounds the one before it to its own width. */
        bool bounded = i + 1 < count && items[i + 1].key != KEY_TEXT;
        if (items[i].key == KEY_TEXT) {
            bool separator = items[i].bytes == 1 &&
                             !((items[i].text[0] | 32) >= 'a' && (items[i].text[0] | 32) <= 'z') &&
                             !is_digit(items[i].text[0]);
            if (separator) {
                bool next_signed =
                    i + 1 < count && (items[i + 1].key == KEY_TZH || items[i + 1].key == KEY_OF);
                while (p < end && is_space(*p))
                    p++;
                if (p < end && !is_digit(*p) && !((*p | 32) >= 'a' && (*p | 32) <= 'z') &&
                    !(next_signed && (*p == '-' || *p == '+')))
                    p++;
            } else {
                for (uint32_t k = 0; k < items[i].bytes && p < end; k++)
                    p++;
            }
            continue;
        }
        while (p < end && is_space(*p))
            p++;
        if (p == end)
            break;
        next = take_item(&items[i], p, end, bounded, v);
        if (next == NULL)
            return bad_value(call, p, end);
        p = next;
        if (items[i].ordinal != 0 && end - p >= 2)
            p += 2;
    }
    return LUMA_OK;
}

static luma_rc
out_of_range(const struct luma_func_call *call, const struct luma_str *text)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008",
                         "date/time field value out of range: \"%.*s\"", (int)text->bytes,
                         luma_str_data(text));
}

static void
settle_year(struct parsed *v)
{
    if (v->have_year && v->year_digits > 0 && v->year_digits < 4 && !v->bc && !v->have_century) {
        if (v->year_digits <= 2)
            v->year += v->year < 70 ? 2000 : 1900;
        else
            v->year += v->year < 520 ? 2000 : 1000;
    }
    if (v->have_century)
        v->year =
            v->have_year ? (v->century - 1) * 100 + v->year % 100 : (v->century - 1) * 100 + 1;
    if (v->bc)
        v->year = 1 - v->year;
}

static luma_rc
date_of(const struct luma_func_call *call, struct parsed *v, const struct luma_str *text,
        int32_t *out)
{
    const struct luma_host_data *data = dt_host->data;
    int32_t y, m, d;

    if (v->have_julian) {
        *out = v->julian - 2451545;
        return LUMA_OK;
    }
    if (v->have_iso) {
        *out = dt_iso_year_start(v->iso_year) + (v->iso_week > 0 ? v->iso_week - 1 : 0) * 7 +
               (v->iso_day > 0 ? v->iso_day - 1 : 0);
        return LUMA_OK;
    }
    settle_year(v);
    if (!v->have_year && !v->have_century)
        v->year = 0; /* 1 BC, as PostgreSQL has it */
    if (v->have_doy || v->have_week) {
        *out = data->date_from_ymd(v->year, 1, 1) + (v->have_doy ? v->doy - 1 : (v->week - 1) * 7);
        return LUMA_OK;
    }
    if (!v->have_month)
        v->month = 1;
    if (!v->have_day)
        v->day = 1;
    if (v->month < 1 || v->month > 12 || v->day < 1 || v->day > 31)
        return out_of_range(call, text);
    *out = data->date_from_ymd(v->year, v->month, v->day);
    data->ymd_from_date(*out, &y, &m, &d);
    return m == v->month && d == v->day ? LUMA_OK : out_of_range(call, text);
}

static luma_rc
time_of(const struct luma_func_call *call, struct parsed *v, const struct luma_str *text,
        int64_t *out)
{
    if (v->have_ssss) {
        *out = v->seconds_of_day * USECS_PER_SEC + v->microsecond;
        return v->seconds_of_day < 86400 ? LUMA_OK : out_of_range(call, text);
    }
    if (v->have_hour12) {
        if (v->hour < 1 || v->hour > 12)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22007",
                                 "hour \"%d\" is invalid for the 12-hour clock", v->hour);
        if (v->pm && v->hour < 12)
            v->hour += 12;
        else if (v->am && v->hour == 12)
            v->hour = 0;
    }
    if (v->hour > 23 || v->minute > 59 || v->second > 59)
        return out_of_range(call, text);
    *out = v->hour * USECS_PER_HOUR + v->minute * USECS_PER_MINUTE + v->second * USECS_PER_SEC +
           v->microsecond;
    return LUMA_OK;
}

DT_EVAL(from_char)
{
    bool is_date = call->func->result.id == LUMA_TYPE_DATE;
    struct pattern_item *items = NULL;
    uint32_t count = 0;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *text = luma_arg_str(&args[0], i);
        struct parsed v;
        int32_t date = 0;
        int64_t time = 0;
        if (items == NULL || args[1].form != LUMA_VEC_CONST)
            LUMA_TRY(pattern_parse(call, luma_arg_str(&args[1], i), &items, &count));
        LUMA_TRY(parse(call, items, count, text, &v));
        LUMA_TRY(date_of(call, &v, text, &date));
        if (is_date) {
            ((int32_t *)out->data)[i] = date;
            continue;
        }
        LUMA_TRY(time_of(call, &v, text, &time));
        time += date * USECS_PER_DAY;
        if (v.have_zone)
            ((int64_t *)out->data)[i] = time - v.gmtoff * USECS_PER_SEC;
        else
            LUMA_TRY(dt_to_utc(call, call->format->zone, time, &((int64_t *)out->data)[i]));
    }
    return LUMA_OK;
}

static const struct luma_func from_char_functions[] = {
    LUMA_FUNC("to_date", STABLE, DATE, from_char, TEXT, TEXT),
    LUMA_FUNC("to_timestamp", STABLE, TIMESTAMPTZ, from_char, TEXT, TEXT),
};

const struct luma_func_part dt_from_char = {from_char_functions, LUMA_COUNTOF(from_char_functions)};
