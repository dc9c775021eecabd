/*
 * settings_parse.c - values of settings: what is accepted, and the text SHOW gives back.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "session/session_priv.h"

struct unit {
    const char *name;
    int64_t times; /* of the smallest unit of its family */
};

static const struct unit time_units[] = {
    /* largest first; of a microsecond */
    {"d", 86400000000}, {"h", 3600000000}, {"min", 60000000},
    {"s", 1000000},     {"ms", 1000},      {"us", 1},
};
static const struct unit memory_units[] = {
    /* of a byte */
    {"TB", (int64_t)1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1},
};

struct family {
    const struct unit *units;
    size_t count;
    int64_t base; /* the setting's own unit in smallest ones */
};

static struct family
family_of(const char *unit)
{
    struct family f = {NULL, 0, 1};
    if (unit == NULL)
        return f;
    if (strcmp(unit, "8kB") == 0)
        return (struct family){memory_units, LUMA_COUNTOF(memory_units), 8192};
    for (size_t i = 0; i < LUMA_COUNTOF(time_units); i++)
        if (strcmp(unit, time_units[i].name) == 0)
            return (struct family){time_units, LUMA_COUNTOF(time_units), time_units[i].times};
    for (size_t i = 0; i < LUMA_COUNTOF(memory_units); i++)
        if (strcmp(unit, memory_units[i].name) == 0)
            return (struct family){memory_units, LUMA_COUNTOF(memory_units), memory_units[i].times};
    return f;
}

static luma_rc
refuse(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text, const char *hint)
{
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_INVALID, "invalid value for parameter \"%s\": \"%.200s\"",
                           def->name, text);
    if (hint != NULL && ctx->error->hint == NULL)
        ctx->error->hint = hint;
    return rc;
}

/* A prefix of one of PostgreSQL's words, long enough to be unique. */
static bool
parse_bool(const char *text, bool *out)
{
    static const struct {
        const char *word;
        size_t least;
        bool value;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    size_t n = strlen(text);
    for (size_t i = 0; i < LUMA_COUNTOF(words); i++) {
        if (n >= words[i].least && n <= strlen(words[i].word) &&
            strncasecmp(text, words[i].word, n) == 0) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

/* Number and unit in the setting's base unit. */
static bool
parse_int(const struct lki_setting_def *def, const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || errno != 0 || !isfinite(v))
        return false;
    while (*end == ' ')
        end++;
    if (*end != '\0') {
        struct family f = family_of(def->unit);
        size_t i = 0;
        while (i < f.count && strcmp(end, f.units[i].name) != 0)
            i++;
        if (i == f.count)
            return false;
        v = v * (double)f.units[i].times / (double)f.base;
    }
    *out = v;
    return true;
}

static const char *
int_text(const struct lki_setting_def *def, int64_t value, struct luma_arena *arena)
{
    struct family f = family_of(def->unit);
    if (value <= 0)
        return lk_arena_printf(arena, "%lld", (long long)value);
    for (size_t i = 0; i < f.count; i++) {
        __int128 all = (__int128)value * f.base;
        if (all % f.units[i].times == 0)
            return lk_arena_printf(arena, "%lld%s", (long long)(all / f.units[i].times),
                                   f.units[i].name);
    }
    return lk_arena_printf(arena, "%lld", (long long)value);
}

static luma_rc
canonical_int(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text,
              const char **out)
{
    double v = 0;
    if (!parse_int(def, text, &v))
        return refuse(ctx, def, text,
                      def->unit == NULL ? NULL
                      : family_of(def->unit).units == time_units
                          ? "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", "
                            "\"h\", and \"d\"."
                          : "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and "
                            "\"TB\".");
    v = rint(v);
    if (v < (double)def->min || v > (double)def->max)
        return LUMA_FAIL(ctx, LUMA_E_INVALID,
                         "%.0f%s%s is outside the valid range for parameter \"%s\" (%lld .. %lld)",
                         v, def->unit == NULL ? "" : " ", def->unit == NULL ? "" : def->unit,
                         def->name, (long long)def->min, (long long)def->max);
    *out = int_text(def, (int64_t)v, ctx->arena);
    return LUMA_OK;
}

static luma_rc
canonical_real(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text,
               const char **out)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v))
        return refuse(ctx, def, text, NULL);
    if (v < (double)def->min || v > (double)def->max)
        return LUMA_FAIL(ctx, LUMA_E_INVALID,
                         "%g is outside the valid range for parameter \"%s\" (%lld .. %lld)", v,
                         def->name, (long long)def->min, (long long)def->max);
    *out = lk_arena_printf(ctx->arena, "%g", v);
    return LUMA_OK;
}

static luma_rc
canonical_enum(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text,
               const char **out)
{
    size_t n = strlen(text);
    for (const char *at = def->values; *at != '\0';) {
        size_t word = strcspn(at, "|");
        if (word == n && strncasecmp(at, text, n) == 0) {
            *out = luma_arena_text(ctx->arena, at, n);
            return LUMA_OK;
        }
        at += word + (at[word] == '|');
    }
    bool flag = false; /* "true" for an enumeration with "on" */
    if (strstr(def->values, "on|off") != NULL && parse_bool(text, &flag)) {
        *out = flag ? "on" : "off";
        return LUMA_OK;
    }
    return refuse(ctx, def, text,
                  lk_arena_printf(ctx->arena, "Available values: %s.", def->values));
}

/* --- strings with rules of their own --- */

const char *
lki_setting_datestyle_text(uint8_t style, uint8_t order)
{
    static const char *const texts[4][3] = {
        {"ISO, MDY", "ISO, DMY", "ISO, YMD"},
        {"SQL, MDY", "SQL, DMY", "SQL, YMD"},
        {"Postgres, MDY", "Postgres, DMY", "Postgres, YMD"},
        {"German, MDY", "German, DMY", "German, YMD"},
    };
    return texts[style & 3][order % 3];
}

luma_rc
lki_setting_datestyle(struct luma_ctx *ctx, const char *text, uint8_t *inout_style,
                      uint8_t *inout_order)
{
    static const struct {
        const char *word;
        int style, order;
    } words[] = {{"iso", 0, -1},   {"sql", 1, -1},  {"postgres", 2, -1}, {"german", 3, 1},
                 {"mdy", -1, 0},   {"us", -1, 0},   {"noneuro", -1, 0},  {"noneuropean", -1, 0},
                 {"dmy", -1, 1},   {"euro", -1, 1}, {"european", -1, 1}, {"ymd", -1, 2},
                 {"default", 0, 0}};
    uint8_t style = *inout_style, order = *inout_order;
    for (const char *at = text; *at != '\0';) {
        at += strspn(at, ", \t'\"");
        size_t n = strcspn(at, ", \t'\"");
        if (n == 0)
            break;
        size_t i = 0;
        while (i < LUMA_COUNTOF(words) &&
               (strlen(words[i].word) != n || strncasecmp(words[i].word, at, n) != 0))
            i++;
        if (i == LUMA_COUNTOF(words))
            return LUMA_FAIL(ctx, LUMA_E_INVALID,
                             "invalid value for parameter \"DateStyle\": \"%.100s\"", text);
        if (words[i].style >= 0)
            style = (uint8_t)words[i].style;
        if (words[i].order >= 0)
            order = (uint8_t)words[i].order;
        at += n;
    }
    *inout_style = style;
    *inout_order = order;
    return LUMA_OK;
}

static luma_rc
canonical_encoding(struct luma_ctx *ctx, const char *text, const char **out)
{
    char plain[32];
    size_t n = 0;
    for (const char *c = text; *c != '\0' && n + 1 < sizeof(plain); c++)
        if (*c != '-' && *c != '_' && *c != ' ' && *c != '\'') /* drivers quote it */
            plain[n++] = *c;
    plain[n] = '\0';
    if (strcasecmp(plain, "utf8") == 0 || strcasecmp(plain, "unicode") == 0) {
        *out = "UTF8";
        return LUMA_OK;
    }
    if (strcasecmp(plain, "sqlascii") == 0) { /* bytes as they are: the same bytes */
        *out = "SQL_ASCII";
        return LUMA_OK;
    }
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_INVALID,
                           "invalid value for parameter \"client_encoding\": \"%.100s\"", text);
    ctx->error->hint = "This server speaks UTF8.";
    return rc;
}

static luma_rc
canonical_string(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text,
                 const char **out)
{
    if (def == &lki_setting_defs[LKI_SET_CLIENT_ENCODING])
        return canonical_encoding(ctx, text, out);
    if (def == &lki_setting_defs[LKI_SET_TIMEZONE]) {
        const struct luma_zone *zone = lki_sessions.parts.data->zone_find(text);
        if (zone == NULL)
            return refuse(ctx, def, text, NULL);
        *out = lki_sessions.parts.data->zone_name(zone);
        return LUMA_OK;
    }
    *out = text;
    return LUMA_OK;
}

luma_rc
lki_setting_canonical(struct luma_ctx *ctx, const struct lki_setting_def *def, const char *text,
                      const char **out)
{
    bool flag = false;
    switch (def->type) {
    case LKI_SETTING_BOOL:
        if (!parse_bool(text, &flag)) {
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "parameter \"%s\" requires a Boolean value",
                             def->name);
        }
        *out = flag ? "on" : "off";
        return LUMA_OK;
    case LKI_SETTING_INT:
        return canonical_int(ctx, def, text, out);
    case LKI_SETTING_REAL:
        return canonical_real(ctx, def, text, out);
    case LKI_SETTING_ENUM:
        return canonical_enum(ctx, def, text, out);
    case LKI_SETTING_STRING:
        break;
    }
    return canonical_string(ctx, def, text, out);
}

int64_t
lki_setting_int(const struct lki_setting_def *def, const char *text)
{
    double v = 0;
    return parse_int(def, text, &v) ? (int64_t)rint(v) : 0;
}
