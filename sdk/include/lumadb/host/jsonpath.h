/*
 * lumadb/host/jsonpath.h - values of type jsonpath: a tree in prefix order.
 *
 *   uint8_t mode        1 lax, 0 strict
 *   node
 *
 * A node is uint8_t kind (enum luma_jsonpath), uint8_t 1 when an accessor follows it, what its kind
 * brings, and that accessor, a node itself. Numbers are little endian; bytes are uint32_t count and
 * the bytes.
 */
#ifndef LUMADB_HOST_JSONPATH_H
#define LUMADB_HOST_JSONPATH_H

#include <lumadb/base.h>

/* Stored in tables: values are never reused. */
enum luma_jsonpath {
    LUMA_JSONPATH_NULL = 1,
    LUMA_JSONPATH_BOOL = 2,     /* uint8_t */
    LUMA_JSONPATH_NUMBER = 3,   /* bytes: its text */
    LUMA_JSONPATH_STRING = 4,   /* bytes */
    LUMA_JSONPATH_VARIABLE = 5, /* bytes */
    LUMA_JSONPATH_ROOT = 6,
    LUMA_JSONPATH_CURRENT = 7,
    LUMA_JSONPATH_LAST = 8,
    /* two nodes */
    LUMA_JSONPATH_AND = 9,
    LUMA_JSONPATH_OR = 10,
    LUMA_JSONPATH_EQ = 11,
    LUMA_JSONPATH_NE = 12,
    LUMA_JSONPATH_LT = 13,
    LUMA_JSONPATH_GT = 14,
    LUMA_JSONPATH_LE = 15,
    LUMA_JSONPATH_GE = 16,
    LUMA_JSONPATH_ADD = 17,
    LUMA_JSONPATH_SUB = 18,
    LUMA_JSONPATH_MUL = 19,
    LUMA_JSONPATH_DIV = 20,
    LUMA_JSONPATH_MOD = 21,
    LUMA_JSONPATH_STARTS = 22,
    /* one node */
    LUMA_JSONPATH_NOT = 23,
    LUMA_JSONPATH_UNKNOWN = 24,
    LUMA_JSONPATH_EXISTS = 25,
    LUMA_JSONPATH_PLUS = 26,
    LUMA_JSONPATH_MINUS = 27,
    LUMA_JSONPATH_FILTER = 28,
    /* accessors and methods */
    LUMA_JSONPATH_KEY = 29, /* bytes */
    LUMA_JSONPATH_ANY_KEY = 30,
    LUMA_JSONPATH_ANY_ARRAY = 31,
    LUMA_JSONPATH_INDEX = 32, /* uint32_t count; each: node, uint8_t 1 and a node when "to" */
    LUMA_JSONPATH_ANY = 33, /* uint32_t first level, uint32_t last; UINT32_MAX: the last there is */
    LUMA_JSONPATH_TYPE = 34,
    LUMA_JSONPATH_SIZE = 35,
    LUMA_JSONPATH_ABS = 36,
    LUMA_JSONPATH_FLOOR = 37,
    LUMA_JSONPATH_CEILING = 38,
    LUMA_JSONPATH_DOUBLE = 39,
    LUMA_JSONPATH_KEYVALUE = 40,
    LUMA_JSONPATH_DATETIME = 41, /* uint8_t 1 and a node when there is a template */
    LUMA_JSONPATH_REGEX = 42,    /* node, uint8_t flags (enum luma_jsonpath_regex), bytes */
    LUMA_JSONPATH_COUNT_
};

enum luma_jsonpath_regex {
    LUMA_JSONPATH_REGEX_I = 1,
    LUMA_JSONPATH_REGEX_S = 2,
    LUMA_JSONPATH_REGEX_M = 4,
    LUMA_JSONPATH_REGEX_X = 8,
    LUMA_JSONPATH_REGEX_Q = 16
};

#endif
