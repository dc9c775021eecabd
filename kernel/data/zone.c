/*
 * data/zone.c - time zones: the system's TZif files, abbreviations, POSIX offsets.
 *
 * A zone is read once and kept for the life of the process in a list that only grows; readers take
 * no lock. Two threads that load the same zone at once leave a harmless twin.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "data/calendar.h"
#include "data/data_priv.h"
#include "data/zone_file.h"

#define ABBREV_BYTES        16
#define ZONE_FILE_BYTES_MAX 65536

struct rule_date { /* Mm.w.d/time, Jn/time or n/time of a POSIX TZ string */
    char kind;     /* 'M', 'J', 'n' */
    int32_t month, week, day;
    int32_t time; /* seconds */
};

struct zone_kind {
    int32_t gmtoff;
    bool dst;
    char abbrev[ABBREV_BYTES];
};

struct luma_zone {
    struct luma_zone *next;
    char name[64];
    bool has_rule; /* what holds after the last change */
    struct zone_kind rule_std, rule_dst;
    struct rule_date rule_start, rule_end;
    uint32_t changes_count;
    int64_t *changes; /* seconds since 1970 */
    uint8_t *change_kinds;
    struct zone_kind first; /* before the first change */
    struct zone_kind kinds[256];
};

static _Atomic(struct luma_zone *) zones;

static const struct {
    const char *abbrev;
    int32_t minutes;
    bool dst;
} abbrevs[] = {
    {"utc", 0, false},     {"gmt", 0, false},    {"z", 0, false},      {"zulu", 0, false},
    {"ut", 0, false},      {"uct", 0, false},    {"wet", 0, false},    {"west", 60, true},
    {"bst", 60, true},     {"cet", 60, false},   {"cest", 120, true},  {"met", 60, false},
    {"mest", 120, true},   {"eet", 120, false},  {"eest", 180, true},  {"msk", 180, false},
    {"msd", 240, true},    {"ist", 120, false},  {"idt", 180, true},   {"sast", 120, false},
    {"est", -300, false},  {"edt", -240, true},  {"cst", -360, false}, {"cdt", -300, true},
    {"mst", -420, false},  {"mdt", -360, true},  {"pst", -480, false}, {"pdt", -420, true},
    {"akst", -540, false}, {"akdt", -480, true}, {"hst", -600, false}, {"ast", -240, false},
    {"adt", -180, true},   {"nst", -210, false}, {"ndt", -150, true},  {"jst", 540, false},
    {"kst", 540, false},   {"hkt", 480, false},  {"sgt", 480, false},  {"awst", 480, false},
    {"acst", 570, false},  {"acdt", 630, true},  {"aest", 600, false}, {"aedt", 660, true},
    {"nzst", 720, false},  {"nzdt", 780, true},  {"brt", -180, false}, {"art", -180, false},
};

static struct luma_zone *
publish(struct luma_zone *zone)
{
    struct luma_zone *head = atomic_load_explicit(&zones, memory_order_relaxed);

    do {
        zone->next = head;
        /* release pairs with the acquire in find_known: the zone is whole when it is seen */
    } while (!atomic_compare_exchange_weak_explicit(&zones, &head, zone, memory_order_release,
                                                    memory_order_relaxed));
    return zone;
}

static const struct luma_zone *
find_known(const char *name)
{
    for (struct luma_zone *z = atomic_load_explicit(&zones, memory_order_acquire); z != NULL;
         z = z->next)
        if (strcasecmp(z->name, name) == 0)
            return z;
    return NULL;
}

/* --- POSIX TZ strings: "CET-1CEST,M3.5.0,M10.5.0/3" --- */

static bool
rule_name(const char **p, char out[ABBREV_BYTES])
{
    const char *start = *p, *end;
    size_t n;

    if (*start == '<') {
        end = strchr(++start, '>');
        if (end == NULL)
            return false;
        *p = end + 1;
    } else {
        for (end = start; (*end >= 'A' && *end <= 'Z') || (*end >= 'a' && *end <= 'z'); end++)
            ;
        *p = end;
    }
    n = (size_t)(end - start);
    if (n == 0 || n >= ABBREV_BYTES)
        return false;
    memcpy(out, start, n);
    out[n] = '\0';
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool
rule_time(const char **p, int32_t *out)
{
    int32_t sign = 1, unit = 3600, total = 0;
    const char *s = *p;

    if (*s == '+' || *s == '-')
        sign = *s++ == '-' ? -1 : 1;
    if (*s < '0' || *s > '9')
        return false;
    for (;;) {
        int32_t v = 0;
        for (int i = 0; i < 3 && *s >= '0' && *s <= '9'; i++)
            v = v * 10 + (*s++ - '0');
        total += v * unit;
        if (*s != ':' || unit == 1)
            break;
        s++;
        unit /= 60;
    }
    *out = sign * total;
    *p = s;
    return true;
}

static int32_t
rule_int(const char **p)
{
    int32_t v = 0;
    while (**p >= '0' && **p <= '9' && v < 100000)
        v = v * 10 + (*(*p)++ - '0');
    return v;
}

static bool
rule_date(const char **p, struct rule_date *out)
{
    if (**p != ',')
        return false;
    (*p)++;
    out->time = 7200;
    out->kind = **p == 'M' ? 'M' : **p == 'J' ? 'J' : 'n';
    if (out->kind != 'n')
        (*p)++;
    out->day = rule_int(p);
    if (out->kind == 'M') {
        out->month = out->day;
        if (*(*p)++ != '.')
            return false;
        out->week = rule_int(p);
        if (*(*p)++ != '.')
            return false;
        out->day = rule_int(p);
        if (out->month < 1 || out->month > 12 || out->week < 1 || out->week > 5 || out->day > 6)
            return false;
    }
    if (**p == '/') {
        (*p)++;
        return rule_time(p, &out->time);
    }
    return true;
}

static bool
parse_rule(struct luma_zone *zone, const char *text)
{
    const char *p = text;
    int32_t west;

    if (!rule_name(&p, zone->rule_std.abbrev) || !rule_time(&p, &west) || west < -100000 ||
        west > 100000)
        return false;
    zone->rule_std.gmtoff = -west;
    zone->rule_dst = zone->rule_std;
    zone->rule_start.kind = '\0';
    if (*p == '\0')
        return true;
    if (!rule_name(&p, zone->rule_dst.abbrev))
        return false;
    zone->rule_dst.gmtoff = zone->rule_std.gmtoff + 3600;
    zone->rule_dst.dst = true;
    if (*p != ',' && *p != '\0') {
        if (!rule_time(&p, &west))
            return false;
        zone->rule_dst.gmtoff = -west;
    }
    if (*p == '\0')
        p = ",M3.2.0,M11.1.0";
    return rule_date(&p, &zone->rule_start) && rule_date(&p, &zone->rule_end) && *p == '\0';
}

/* Seconds since 1970, wall clock, at which the rule's day begins in `year`. */
static int64_t
rule_instant(const struct rule_date *rule, int32_t year)
{
    int32_t date = lki_date_from_ymd(year, 1, 1);

    if (rule->kind == 'n') {
        date += rule->day;
    } else if (rule->kind == 'J') {
        date += rule->day - 1 + (rule->day >= 60 && lki_month_days(year, 2) == 29);
    } else {
        int32_t first = lki_date_from_ymd(year, rule->month, 1), weekday, day;
        weekday = ((first + 6) % 7 + 7) % 7; /* 2000-01-01 was a Saturday */
        day = (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
        while (day >= lki_month_days(year, rule->month))
            day -= 7;
        date = first + day;
    }
    return (int64_t)date * 86400 + LKI_EPOCH_SECS + rule->time;
}

/* --- TZif (RFC 8536) --- */

static int64_t
big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return bytes == 4 ? (int32_t)v : (int64_t)v;
}

struct tzif_header {
    uint32_t isut, isstd, leap, time, type, chars;
};

static bool
tzif_header(const uint8_t *p, size_t bytes, struct tzif_header *out)
{
    if (bytes < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    out->isut = (uint32_t)big_endian(p + 20, 4);
    out->isstd = (uint32_t)big_endian(p + 24, 4);
    out->leap = (uint32_t)big_endian(p + 28, 4);
    out->time = (uint32_t)big_endian(p + 32, 4);
    out->type = (uint32_t)big_endian(p + 36, 4);
    out->chars = (uint32_t)big_endian(p + 40, 4);
    return out->time < 10000 && out->type > 0 && out->type <= 256 && out->chars < 10000 &&
           out->leap < 10000 && out->isut <= 256 && out->isstd <= 256;
}

static size_t
tzif_body_bytes(const struct tzif_header *h, size_t time_bytes)
{
    return h->time * time_bytes + h->time + h->type * 6 + h->chars + h->leap * (time_bytes + 4) +
           h->isstd + h->isut;
}

static bool
tzif_kinds(struct luma_zone *zone, const struct tzif_header *h, const uint8_t *types)
{
    const uint8_t *chars = types + (size_t)h->type * 6;

    for (uint32_t i = 0; i < h->type; i++) {
        struct zone_kind *kind = &zone->kinds[i];
        uint32_t at = types[i * 6 + 5];
        kind->gmtoff = (int32_t)big_endian(types + (size_t)i * 6, 4);
        kind->dst = types[i * 6 + 4] != 0;
        if (at >= h->chars || memchr(chars + at, 0, h->chars - at) == NULL)
            return false;
        snprintf(kind->abbrev, ABBREV_BYTES, "%s", (const char *)chars + at);
    }
    zone->first = zone->kinds[0];
    for (uint32_t i = 0; i < h->type; i++)
        if (!zone->kinds[i].dst) {
            zone->first = zone->kinds[i];
            break;
        }
    return true;
}

static bool
tzif_load(struct luma_zone *zone, const uint8_t *data, size_t bytes)
{
    struct tzif_header h;
    size_t skip, body;
    const uint8_t *p;

    if (!tzif_header(data, bytes, &h) || data[4] < '2')
        return false;
    skip = 44 + tzif_body_bytes(&h, 4);
    if (skip > bytes || !tzif_header(data + skip, bytes - skip, &h))
        return false;
    p = data + skip + 44;
    body = tzif_body_bytes(&h, 8);
    if (body > (size_t)(data + bytes - p))
        return false;
    zone->changes = malloc((size_t)(h.time + 1) * 9);
    if (zone->changes == NULL)
        return false;
    zone->change_kinds = (uint8_t *)(zone->changes + h.time + 1);
    zone->changes_count = h.time;
    for (uint32_t i = 0; i < h.time; i++) {
        zone->changes[i] = big_endian(p + (size_t)i * 8, 8);
        zone->change_kinds[i] = p[(size_t)h.time * 8 + i];
        if (zone->change_kinds[i] >= h.type)
            return false;
    }
    if (!tzif_kinds(zone, &h, p + (size_t)h.time * 9))
        return false;
    p += body;
    if (p < data + bytes && *p == '\n') {
        const uint8_t *end = memchr(p + 1, '\n', (size_t)(data + bytes - p - 1));
        char rule[128];
        if (end != NULL && (size_t)(end - p) < sizeof(rule)) {
            snprintf(rule, sizeof(rule), "%.*s", (int)(end - p - 1), (const char *)p + 1);
            zone->has_rule = rule[0] != '\0' && parse_rule(zone, rule);
        }
    }
    return true;
}

static const struct luma_zone *
load_file(const char *name)
{
    uint8_t *data;
    size_t bytes;
    struct luma_zone *zone;

    for (const char *p = name; *p != '\0'; p++) /* stays inside the folder */
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '/' || *p == '_' || *p == '-' || *p == '+'))
            return NULL;
    data = malloc(ZONE_FILE_BYTES_MAX);
    zone = calloc(1, sizeof(*zone));
    bytes = data == NULL || zone == NULL ? 0 : lki_zone_file_read(name, data, ZONE_FILE_BYTES_MAX);
    if (bytes == 0 || !tzif_load(zone, data, bytes)) {
        if (zone != NULL)
            free(zone->changes);
        free(zone);
        free(data);
        return NULL;
    }
    free(data);
    snprintf(zone->name, sizeof(zone->name), "%s", name);
    return publish(zone);
}

/* --- names --- */

static const struct luma_zone *
make_fixed(const char *name, const char *abbrev, int32_t gmtoff, bool dst)
{
    struct luma_zone *zone = calloc(1, sizeof(*zone));

    if (zone == NULL)
        return NULL;
    snprintf(zone->name, sizeof(zone->name), "%s", name);
    snprintf(zone->first.abbrev, ABBREV_BYTES, "%s", abbrev);
    zone->first.gmtoff = gmtoff;
    zone->first.dst = dst;
    return publish(zone);
}

/* "Europe/Berlin" for "europe/berlin": the usual capitals. */
static void
usual_capitals(char *name)
{
    bool start = true;

    for (char *p = name; *p != '\0'; p++) {
        bool alpha = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (alpha && start && *p >= 'a')
            *p = (char)(*p - 32);
        else if (alpha && !start && *p <= 'Z')
            *p = (char)(*p + 32);
        start = !alpha;
    }
}

static const struct luma_zone *
load_posix(const char *name)
{
    struct luma_zone *zone;
    const char *p = name;
    int32_t west;

    if ((*name == '+' || *name == '-' || (*name >= '0' && *name <= '9')) && rule_time(&p, &west) &&
        *p == '\0' && west > -86400 * 7 && west < 86400 * 7) {
        char abbrev[ABBREV_BYTES];
        int32_t east = west < 0 ? -west : west;
        snprintf(abbrev, sizeof(abbrev), "%c%02d", west > 0 ? '-' : '+', east / 3600);
        if (east / 60 % 60 != 0)
            snprintf(abbrev + 3, sizeof(abbrev) - 3, ":%02d", east / 60 % 60);
        return make_fixed(name, abbrev, -west, false);
    }
    zone = calloc(1, sizeof(*zone));
    if (zone == NULL)
        return NULL;
    snprintf(zone->name, sizeof(zone->name), "%s", name);
    if (!parse_rule(zone, name)) {
        free(zone);
        return NULL;
    }
    zone->has_rule = true;
    zone->first = zone->rule_std;
    return publish(zone);
}

const struct luma_zone *
lki_zone_find(const char *name, size_t bytes)
{
    char text[64];
    const struct luma_zone *zone;

    if (bytes == 0 || bytes >= sizeof(text))
        return NULL;
    memcpy(text, name, bytes);
    text[bytes] = '\0';
    zone = find_known(text);
    if (zone != NULL)
        return zone;
    for (size_t i = 0; i < LUMA_COUNTOF(abbrevs); i++)
        if (strcasecmp(abbrevs[i].abbrev, text) == 0) {
            char upper[ABBREV_BYTES];
            snprintf(upper, sizeof(upper), "%s", abbrevs[i].abbrev);
            for (char *p = upper; *p != '\0'; p++)
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
            return make_fixed(upper, upper, abbrevs[i].minutes * 60, abbrevs[i].dst);
        }
    zone = load_file(text);
    if (zone == NULL) {
        char usual[64];
        snprintf(usual, sizeof(usual), "%s", text);
        usual_capitals(usual);
        zone = find_known(usual);
        if (zone == NULL)
            zone = load_file(usual);
    }
    return zone != NULL ? zone : load_posix(text);
}

const struct luma_zone *
lk_data_zone_find(const char *name)
{
    return lki_zone_find(name, strlen(name));
}

const char *
lk_data_zone_name(const struct luma_zone *zone)
{
    return zone == NULL ? "UTC" : zone->name;
}

/* --- offsets --- */

static struct lki_zone_offset
offset_of(const struct zone_kind *kind)
{
    return (struct lki_zone_offset){kind->gmtoff, kind->dst, kind->abbrev};
}

static int32_t
year_of(int64_t secs)
{
    int32_t year, month, day;
    int64_t days = (secs - LKI_EPOCH_SECS) / 86400;

    lki_ymd_from_date((int32_t)(days > 2000000000 ? 2000000000 : days), &year, &month, &day);
    return year;
}

/* Offset by the rule, and the next change after `secs` (INT64_MAX: none). */
static const struct zone_kind *
rule_at(const struct luma_zone *zone, int64_t secs, int64_t *out_next)
{
    int32_t year;
    const struct zone_kind *kind = NULL;

    *out_next = INT64_MAX;
    if (zone->rule_start.kind == '\0')
        return &zone->rule_std;
    year = year_of(secs);
    /* Changes of three years in order; the last one not after secs decides. */
    for (int32_t y = year - 1; y <= year + 1; y++) {
        int64_t start = rule_instant(&zone->rule_start, y) - zone->rule_std.gmtoff;
        int64_t end = rule_instant(&zone->rule_end, y) - zone->rule_dst.gmtoff;
        bool start_first = start < end;
        for (int i = 0; i < 2; i++) {
            bool to_dst = (i == 0) == start_first;
            int64_t at = to_dst ? start : end;
            if (at <= secs)
                kind = to_dst ? &zone->rule_dst : &zone->rule_std;
            else if (*out_next == INT64_MAX)
                *out_next = at;
        }
    }
    return kind == NULL ? &zone->rule_std : kind;
}

static const struct zone_kind *
kind_at(const struct luma_zone *zone, int64_t secs, int64_t *out_next)
{
    uint32_t low = 0, high = zone->changes_count;

    while (low < high) { /* the first change after secs */
        uint32_t mid = (low + high) / 2;
        if (zone->changes[mid] <= secs)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == zone->changes_count && zone->has_rule)
        return rule_at(zone, secs, out_next);
    *out_next = low < zone->changes_count ? zone->changes[low] : INT64_MAX;
    return low == 0 ? &zone->first : &zone->kinds[zone->change_kinds[low - 1]];
}

static int64_t
secs_of(int64_t us)
{
    int64_t s = us / LKI_USECS_PER_SEC;
    return s - (us % LKI_USECS_PER_SEC < 0) + LKI_EPOCH_SECS;
}

struct lki_zone_offset
lki_zone_at(const struct luma_zone *zone, int64_t us)
{
    int64_t next;

    if (zone == NULL)
        return (struct lki_zone_offset){0, false, "UTC"};
    return offset_of(kind_at(zone, secs_of(us), &next));
}

/* In a gap the offset before it holds, in an hour that comes twice the one after. */
int32_t
lki_zone_local_offset(const struct luma_zone *zone, int64_t local_us)
{
    int64_t local = secs_of(local_us), boundary, ignored, as_before, as_after;
    const struct zone_kind *before, *after;

    if (zone == NULL)
        return 0;
    before = kind_at(zone, local - 86400, &boundary);
    if (boundary == INT64_MAX)
        return before->gmtoff;
    after = kind_at(zone, boundary, &ignored);
    as_before = local - before->gmtoff;
    as_after = local - after->gmtoff;
    if (as_before < boundary && as_after < boundary)
        return before->gmtoff;
    if (as_before > boundary && as_after >= boundary)
        return after->gmtoff;
    return as_before > as_after ? before->gmtoff : after->gmtoff;
}
