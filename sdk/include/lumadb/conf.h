/*
 * lumadb/conf.h - configuration is a table: one row per key, from which come parsing, ranges,
 * units, --check, `lumadb modules`, the reference page and the comments in conf.d.
 *
 * A module describes the fields of a struct; the kernel fills it before init() and publishes a
 * new, immutable struct on reload. Strings and lists in it belong to the kernel and live as long
 * as the struct does.
 */
#ifndef LUMADB_CONF_H
#define LUMADB_CONF_H

#include <lumadb/base.h>

enum luma_conf_type {
    LUMA_CONF_TYPE_END = 0,
    LUMA_CONF_TYPE_BOOL,     /* bool */
    LUMA_CONF_TYPE_INT,      /* int64_t */
    LUMA_CONF_TYPE_FLOAT,    /* double */
    LUMA_CONF_TYPE_BYTES,    /* int64_t; written 64MB, 1GiB, 4096 */
    LUMA_CONF_TYPE_DURATION, /* int64_t nanoseconds; written 30s, 200ms, 1h */
    LUMA_CONF_TYPE_TEXT,     /* const char * */
    LUMA_CONF_TYPE_PATH,     /* const char *; relative to the file that sets it */
    LUMA_CONF_TYPE_ENUM,     /* const char *, one of .values */
    LUMA_CONF_TYPE_LIST      /* struct luma_conf_list of text */
};

struct luma_conf_list {
    const char *const *items;
    size_t count;
};

enum luma_conf_flags {
    LUMA_CONF_RELOAD = 1, /* a reload may change it while running */
    LUMA_CONF_SECRET = 2  /* never printed or logged */
};

struct luma_conf_item {
    enum luma_conf_type type;
    const char *name;
    size_t offset;           /* of the field in the module's struct */
    int64_t def, min, max;   /* BOOL, INT, BYTES, DURATION; min == max: no range */
    double fdef, fmin, fmax; /* FLOAT */
    const char *sdef;        /* TEXT, PATH, ENUM, LIST (comma separated); NULL: unset */
    const char *values;      /* ENUM: "a|b|c" */
    const char *unit;        /* for people: "connections"; NULL: by type */
    uint32_t flags;
    const char *help;
};

#define LUMA_CONF_ITEM_(st, field, ...)                            \
    {                                                              \
        .name = #field, .offset = offsetof(st, field), __VA_ARGS__ \
    }
#define LUMA_CONF_BOOL(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_BOOL, __VA_ARGS__)
#define LUMA_CONF_INT(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_INT, __VA_ARGS__)
#define LUMA_CONF_FLOAT(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_FLOAT, __VA_ARGS__)
#define LUMA_CONF_BYTES(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_BYTES, __VA_ARGS__)
#define LUMA_CONF_DURATION(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_DURATION, __VA_ARGS__)
#define LUMA_CONF_TEXT(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_TEXT, __VA_ARGS__)
#define LUMA_CONF_PATH(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_PATH, __VA_ARGS__)
#define LUMA_CONF_ENUM(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_ENUM, __VA_ARGS__)
#define LUMA_CONF_LIST(st, field, ...) \
    LUMA_CONF_ITEM_(st, field, .type = LUMA_CONF_TYPE_LIST, __VA_ARGS__)
#define LUMA_CONF_END              \
    {                              \
        .type = LUMA_CONF_TYPE_END \
    }

#endif
