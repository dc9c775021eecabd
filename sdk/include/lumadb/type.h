/*
 * lumadb/type.h - logical types, and the physical form each takes in memory.
 *
 * type            physical   meaning of the bits
 * bool            BOOL       one byte, 0 or 1
 * int2/4/8        I16/I32/I64
 * oid             I32        unsigned
 * float4/8        F32/F64
 * numeric         I64, I128  value = integer / 10^scale of the vector, or
 *                 STR        the variable form of kernel/data (host/data.h): any precision, NaN,
 * Inf text, varchar, bpchar, name, json, bytea, jsonb (binary document), arrays (host/data.h) STR
 * date            I32        days since 2000-01-01; INT32_MIN/MAX: -infinity/infinity
 * time            I64        microseconds since midnight
 * timestamp(tz)   I64        microseconds since 2000-01-01 00:00 (UTC); INT64_MIN/MAX: -/+infinity
 * interval        B16        struct luma_interval
 * uuid            B16        16 bytes in text order
 * enum            I64        the label's place in the order (struct luma_cat_label)
 */
#ifndef LUMADB_TYPE_H
#define LUMADB_TYPE_H

#include <lumadb/base.h>

/* Stored in catalogue, log and segments: values are never reused. */
enum luma_type_id {
    LUMA_TYPE_NONE = 0,
    LUMA_TYPE_BOOL = 1,
    LUMA_TYPE_INT2 = 2,
    LUMA_TYPE_INT4 = 3,
    LUMA_TYPE_INT8 = 4,
    LUMA_TYPE_FLOAT4 = 5,
    LUMA_TYPE_FLOAT8 = 6,
    LUMA_TYPE_NUMERIC = 7,
    LUMA_TYPE_TEXT = 8,
    LUMA_TYPE_VARCHAR = 9,
    LUMA_TYPE_BPCHAR = 10,
    LUMA_TYPE_NAME = 11,
    LUMA_TYPE_BYTEA = 12,
    LUMA_TYPE_DATE = 13,
    LUMA_TYPE_TIME = 14,
    LUMA_TYPE_TIMESTAMP = 15,
    LUMA_TYPE_TIMESTAMPTZ = 16,
    LUMA_TYPE_INTERVAL = 17,
    LUMA_TYPE_UUID = 18,
    LUMA_TYPE_JSON = 19,
    LUMA_TYPE_JSONB = 20,
    LUMA_TYPE_ARRAY = 21, /* elem says of what */
    LUMA_TYPE_VECTOR = 22,
    LUMA_TYPE_OID = 23,
    LUMA_TYPE_REGCLASS = 24, /* and its kin: an oid that prints as a name */
    LUMA_TYPE_REGTYPE = 25,
    LUMA_TYPE_REGPROC = 26,
    LUMA_TYPE_REGNAMESPACE = 27,
    LUMA_TYPE_CHAR1 = 28, /* PostgreSQL's internal "char" */
    LUMA_TYPE_VOID = 29,
    LUMA_TYPE_UNKNOWN = 30,    /* an untyped literal or parameter, before the binder decides */
    LUMA_TYPE_ANY = 31,        /* in signatures: any type */
    LUMA_TYPE_ANYARRAY = 32,   /* in signatures */
    LUMA_TYPE_ANYELEMENT = 33, /* in signatures: all of these agree */
    LUMA_TYPE_RECORD = 34,
    LUMA_TYPE_XID = 35,
    LUMA_TYPE_TIMETZ = 36,
    LUMA_TYPE_ENUM = 37,     /* mod says which: its id in the catalogue. In signatures: -1, any */
    LUMA_TYPE_DOMAIN = 38,   /* only while a statement is bound: mod says which */
    LUMA_TYPE_JSONPATH = 39, /* lumadb/host/jsonpath.h */
    LUMA_TYPE_COUNT_
};

struct luma_type {
    uint8_t id;    /* enum luma_type_id */
    uint8_t elem;  /* ARRAY: id of the element type; else 0 */
    int16_t scale; /* NUMERIC with a declared precision: digits after the point; else 0 */
    int32_t mod;   /* VARCHAR/BPCHAR: characters; NUMERIC: precision; VECTOR: dimensions;
                      TIME/TIMESTAMP/INTERVAL: digits of seconds; ENUM and arrays of it: the
                      type's id; -1: not declared */
};

/* Physical forms of one value in a vector. Stored in segments: values are never reused. */
enum luma_phys {
    LUMA_PHYS_NONE = 0,
    LUMA_PHYS_BOOL = 1,
    LUMA_PHYS_I16 = 2,
    LUMA_PHYS_I32 = 3,
    LUMA_PHYS_I64 = 4,
    LUMA_PHYS_I128 = 5, /* 16-byte aligned */
    LUMA_PHYS_F32 = 6,
    LUMA_PHYS_F64 = 7,
    LUMA_PHYS_B16 = 8, /* 16 bytes, 8-byte aligned */
    LUMA_PHYS_STR = 9, /* struct luma_str */
    LUMA_PHYS_COUNT_
};

typedef __int128 luma_i128;

struct luma_interval {
    int64_t microseconds;
    int32_t days;
    int32_t months;
};

struct luma_uuid {
    uint8_t bytes[16];
};

/*
 * A string or byte view of 16 bytes. Up to 12 bytes lie inline; longer ones are pointed to and
 * keep their first 4 bytes in `prefix`, so that most comparisons touch no other cache line.
 * Unused inline bytes are zero: equal short strings are equal as two 64-bit words.
 */
struct luma_str {
    uint32_t bytes;
    union {
        char inlined[12];
        struct {
            char prefix[4];
            const char *ptr;
        } __attribute__((packed, aligned(4)));
    };
};
LUMA_STATIC_ASSERT(sizeof(struct luma_str) == 16, "luma_str is two words");

#define LUMA_STR_INLINE_MAX 12

static inline const char *
luma_str_data(const struct luma_str *s)
{
    return s->bytes <= LUMA_STR_INLINE_MAX ? s->inlined : s->ptr;
}

static inline struct luma_str
luma_str_make(const char *data, uint32_t bytes)
{
    struct luma_str s;
    memset(&s, 0, sizeof(s));
    s.bytes = bytes;
    if (bytes <= LUMA_STR_INLINE_MAX) {
        if (bytes > 0)
            memcpy(s.inlined, data, bytes);
    } else {
        memcpy(s.prefix, data, 4);
        s.ptr = data;
    }
    return s;
}

static inline struct luma_slice
luma_str_slice(const struct luma_str *s)
{
    return luma_slice(luma_str_data(s), s->bytes);
}

static inline bool
luma_str_equal(const struct luma_str *a, const struct luma_str *b)
{
    uint64_t wa[2], wb[2];
    memcpy(wa, a, 16);
    memcpy(wb, b, 16);
    if (wa[0] != wb[0]) /* length and prefix */
        return false;
    if (wa[1] == wb[1])
        return true;
    return a->bytes > LUMA_STR_INLINE_MAX && memcmp(a->ptr, b->ptr, a->bytes) == 0;
}

/* Bytewise ("C" collation). */
static inline int
luma_str_compare(const struct luma_str *a, const struct luma_str *b)
{
    return luma_slice_compare(luma_str_slice(a), luma_str_slice(b));
}

static inline struct luma_type
luma_type(enum luma_type_id id)
{
    struct luma_type t = {(uint8_t)id, 0, 0, -1};
    return t;
}

static inline struct luma_type
luma_type_numeric(int32_t precision, int16_t scale)
{
    struct luma_type t = {LUMA_TYPE_NUMERIC, 0, scale, precision};
    return t;
}

static inline struct luma_type
luma_type_array(enum luma_type_id elem)
{
    struct luma_type t = {LUMA_TYPE_ARRAY, (uint8_t)elem, 0, -1};
    return t;
}

/* A type of the catalogue, or an array of it: mod is part of what it is. */
static inline bool
luma_type_is_made(struct luma_type t)
{
    uint8_t id = t.id == LUMA_TYPE_ARRAY ? t.elem : t.id;
    return id == LUMA_TYPE_ENUM || id == LUMA_TYPE_DOMAIN;
}

/* The same type without modifiers. */
static inline struct luma_type
luma_type_plain(struct luma_type t)
{
    t.mod = luma_type_is_made(t) ? t.mod : -1;
    t.scale = 0;
    return t;
}

/* What an array is of, and an array of something. */
static inline struct luma_type
luma_type_elem(struct luma_type array)
{
    struct luma_type t = {array.elem, 0, 0, luma_type_is_made(array) ? array.mod : -1};
    return t;
}

static inline struct luma_type
luma_type_array_of(struct luma_type elem)
{
    struct luma_type t = {LUMA_TYPE_ARRAY, elem.id, 0, luma_type_is_made(elem) ? elem.mod : -1};
    return t;
}

/* int2vector, oidvector: an array of int2 or oid whose type has scale 1. Its text has no braces,
 * its subscripts begin at 0. */
static inline bool
luma_type_is_oldvector(struct luma_type t)
{
    return t.id == LUMA_TYPE_ARRAY && t.scale == 1 &&
           (t.elem == LUMA_TYPE_INT2 || t.elem == LUMA_TYPE_OID);
}

/* Bytes of one value in a flat vector. */
static inline uint32_t
luma_phys_bytes(enum luma_phys phys)
{
    static const uint8_t bytes[LUMA_PHYS_COUNT_] = {0, 1, 2, 4, 8, 16, 4, 8, 16, 16};
    return bytes[phys];
}

/* The form values of a type have in tables: a numeric of declared precision up to 18 digits is I64,
 * up to 38 I128, any other the variable form. Intermediate results may be wider. */
static inline enum luma_phys
luma_type_phys(struct luma_type t)
{
    switch (t.id) {
    case LUMA_TYPE_BOOL:
        return LUMA_PHYS_BOOL;
    case LUMA_TYPE_INT2:
        return LUMA_PHYS_I16;
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_OID:
    case LUMA_TYPE_REGCLASS:
    case LUMA_TYPE_REGTYPE:
    case LUMA_TYPE_REGPROC:
    case LUMA_TYPE_REGNAMESPACE:
    case LUMA_TYPE_XID:
        return LUMA_PHYS_I32;
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_ENUM:
        return LUMA_PHYS_I64;
    case LUMA_TYPE_FLOAT4:
        return LUMA_PHYS_F32;
    case LUMA_TYPE_FLOAT8:
        return LUMA_PHYS_F64;
    case LUMA_TYPE_NUMERIC:
        return t.mod <= 0 || t.mod > 38 ? LUMA_PHYS_STR
               : t.mod <= 18            ? LUMA_PHYS_I64
                                        : LUMA_PHYS_I128;
    case LUMA_TYPE_INTERVAL:
    case LUMA_TYPE_UUID:
        return LUMA_PHYS_B16;
    case LUMA_TYPE_NONE:
        return LUMA_PHYS_NONE;
    default:
        return LUMA_PHYS_STR;
    }
}

/* One typed value. The bytes of a STR are borrowed unless a function says otherwise. */
struct luma_value {
    struct luma_type type;
    uint8_t phys; /* enum luma_phys of the member below; NUMERIC may be I64, I128 or STR */
    bool is_null;
    int16_t scale; /* NUMERIC as I64 or I128 */
    union {
        bool b;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        luma_i128 i128;
        float f32;
        double f64;
        struct luma_interval interval;
        struct luma_uuid uuid;
        struct luma_str str;
    };
};

#endif
