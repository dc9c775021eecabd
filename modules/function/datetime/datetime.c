/* function/datetime/datetime.c - the package, and what its files share. */
#include "datetime.h"

#include <lumadb/host/sched.h>

#include <math.h>
#include <strings.h>

const struct luma_host *dt_host;

const char *const dt_month_names[12] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
const char *const dt_day_names[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                     "Thursday", "Friday", "Saturday"};

luma_rc
dt_out_of_range(const struct luma_func_call *call, const char *what)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_RANGE, "22008", "%s out of range", what);
}

luma_rc
dt_date_us(const struct luma_func_call *call, int32_t date, int64_t *out)
{
    if (date == INT32_MAX || date == INT32_MIN) {
        *out = date > 0 ? INT64_MAX : INT64_MIN;
        return LUMA_OK;
    }
    if (date > 106751982)
        return dt_out_of_range(call, "date");
    *out = date * USECS_PER_DAY;
    return LUMA_OK;
}

luma_rc
dt_to_utc(const struct luma_func_call *call, const struct luma_zone *zone, int64_t local,
          int64_t *out)
{
    struct luma_civil civil;

    *out = local;
    if (!dt_finite(local) || zone == NULL)
        return LUMA_OK;
    dt_host->data->civil_from_timestamp(local, NULL, &civil);
    if (dt_host->data->timestamp_from_civil(&civil, zone, out) != LUMA_OK)
        return dt_out_of_range(call, "timestamp");
    return LUMA_OK;
}

int64_t
dt_to_local(const struct luma_zone *zone, int64_t us)
{
    struct luma_civil civil;

    if (!dt_finite(us) || zone == NULL)
        return us;
    dt_host->data->civil_from_timestamp(us, zone, &civil);
    return us + civil.gmtoff * USECS_PER_SEC;
}

luma_rc
dt_find_zone(const struct luma_func_call *call, const struct luma_str *name,
             const struct luma_zone **out)
{
    char text[64];

    *out = NULL;
    if (name->bytes < sizeof(text)) {
        memcpy(text, luma_str_data(name), name->bytes);
        text[name->bytes] = '\0';
        *out = dt_host->data->zone_find(text);
    }
    if (*out == NULL)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                             "time zone \"%.*s\" not recognized", (int)name->bytes,
                             luma_str_data(name));
    return LUMA_OK;
}

int64_t
dt_now_us(const struct luma_func_call *call)
{
    return call->format->now_us != 0 ? call->format->now_us
                                     : dt_host->sched->wall_us() - EPOCH_USECS;
}

luma_rc
dt_interval_of(const struct luma_func_call *call, double months, double days, double us,
               struct luma_interval *out)
{
    if (!(fabs(months) <= INT32_MAX) || !(fabs(days) <= INT32_MAX) || !(fabs(us) < 9.2e18))
        return dt_out_of_range(call, "interval");
    *out = (struct luma_interval){(int64_t)us, (int32_t)days, (int32_t)months};
    return LUMA_OK;
}

enum dt_field
dt_field_of(const struct luma_str *name)
{
    static const struct {
        const char *name;
        enum dt_field field;
    } names[] = {
        {"microseconds", FIELD_MICROSECONDS},
        {"microsecond", FIELD_MICROSECONDS},
        {"us", FIELD_MICROSECONDS},
        {"usec", FIELD_MICROSECONDS},
        {"milliseconds", FIELD_MILLISECONDS},
        {"millisecond", FIELD_MILLISECONDS},
        {"ms", FIELD_MILLISECONDS},
        {"msec", FIELD_MILLISECONDS},
        {"second", FIELD_SECOND},
        {"seconds", FIELD_SECOND},
        {"sec", FIELD_SECOND},
        {"s", FIELD_SECOND},
        {"minute", FIELD_MINUTE},
        {"minutes", FIELD_MINUTE},
        {"min", FIELD_MINUTE},
        {"m", FIELD_MINUTE},
        {"hour", FIELD_HOUR},
        {"hours", FIELD_HOUR},
        {"h", FIELD_HOUR},
        {"hr", FIELD_HOUR},
        {"day", FIELD_DAY},
        {"days", FIELD_DAY},
        {"d", FIELD_DAY},
        {"week", FIELD_WEEK},
        {"weeks", FIELD_WEEK},
        {"w", FIELD_WEEK},
        {"month", FIELD_MONTH},
        {"months", FIELD_MONTH},
        {"mon", FIELD_MONTH},
        {"mons", FIELD_MONTH},
        {"quarter", FIELD_QUARTER},
        {"qtr", FIELD_QUARTER},
        {"year", FIELD_YEAR},
        {"years", FIELD_YEAR},
        {"y", FIELD_YEAR},
        {"yr", FIELD_YEAR},
        {"decade", FIELD_DECADE},
        {"decades", FIELD_DECADE},
        {"century", FIELD_CENTURY},
        {"centuries", FIELD_CENTURY},
        {"millennium", FIELD_MILLENNIUM},
        {"millennia", FIELD_MILLENNIUM},
        {"dow", FIELD_DOW},
        {"isodow", FIELD_ISODOW},
        {"doy", FIELD_DOY},
        {"isoyear", FIELD_ISOYEAR},
        {"epoch", FIELD_EPOCH},
        {"julian", FIELD_JULIAN},
        {"timezone", FIELD_TIMEZONE},
        {"timezone_hour", FIELD_TIMEZONE_HOUR},
        {"timezone_minute", FIELD_TIMEZONE_MINUTE},
    };

    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        if (strlen(names[i].name) == name->bytes &&
            strncasecmp(names[i].name, luma_str_data(name), name->bytes) == 0)
            return names[i].field;
    return FIELD_NONE;
}

int32_t
dt_iso_year_start(int32_t year)
{
    int32_t jan4 = dt_host->data->date_from_ymd(year, 1, 4);
    return jan4 - (dt_weekday(jan4) + 6) % 7;
}

int32_t
dt_iso_week(int32_t date, int32_t *out_year)
{
    int32_t year, month, day;

    dt_host->data->ymd_from_date(date, &year, &month, &day);
    if (date < dt_iso_year_start(year))
        year--;
    else if (date >= dt_iso_year_start(year + 1))
        year++;
    if (out_year != NULL)
        *out_year = year;
    return (date - dt_iso_year_start(year)) / 7 + 1;
}

static struct luma_function_package dt_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
dt_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    const struct luma_func_part parts[] = {dt_arith,  dt_now,     dt_field,     dt_make,
                                           dt_series, dt_to_char, dt_to_number, dt_from_char};

    (void)conf;
    dt_host = host;
    if (!luma_function_package_join(&dt_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "datetime", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "dates, times, intervals, to_char and its kin",
            .offers = LUMA_OFFERS({"function.datetime", &dt_package.head}), .init = dt_init);
