/*
 * lumadb/host/data.h - types and values: names, text and binary forms, numeric and calendar
 * arithmetic, documents, keys, hashes. Pure functions: any thread, no parking.
 */
#ifndef LUMADB_HOST_DATA_H
#define LUMADB_HOST_DATA_H

#include <lumadb/batch.h>
#include <lumadb/error.h>

/* What the text form of a value depends on (session settings). */
struct luma_format {
    const struct luma_zone *zone; /* time zone; NULL: UTC */
    uint8_t date_style;           /* 0 ISO, 1 SQL, 2 Postgres, 3 German */
    uint8_t date_order;           /* 0 MDY, 1 DMY, 2 YMD */
    uint8_t interval_style;       /* 0 postgres, 1 postgres_verbose, 2 sql_standard, 3 iso_8601 */
    uint8_t bytea_escape;         /* 0 hex, 1 escape */
    int8_t extra_float_digits;    /* default 1: shortest exact */
    const char *(*regname)(void *arg, enum luma_type_id id, uint32_t oid); /* regclass and kin */
    void *arg;
    int64_t now_us;       /* start of the transaction: now(), 'today'; 0: not known */
    int64_t statement_us; /* start of the statement; 0: not known */
    /* Labels of enums by the type's id; NULL, false: there is none. */
    const char *(*enum_label)(void *arg, uint32_t type_id, int64_t place);
    bool (*enum_place)(void *arg, uint32_t type_id, struct luma_slice label, int64_t *out_place);
    const char *(*type_name)(void *arg, uint32_t type_id); /* of the catalogue's types; NULL */
};

struct luma_type_info {
    struct luma_type type;
    uint32_t oid;       /* PostgreSQL's */
    uint32_t array_oid; /* of type[]; 0: none */
    int16_t typlen;     /* PostgreSQL's: -1 variable */
    char category;      /* PostgreSQL's typcategory: 'N', 'S', 'D', ... */
    bool preferred;     /* of its category */
    bool typbyval;
    char align;           /* 'c' 's' 'i' 'd' */
    const char *name;     /* "int4" */
    const char *sql_name; /* "integer" */
};

/* Parts of a timestamp, proleptic Gregorian. */
struct luma_civil {
    int32_t year; /* astronomical: 0 is 1 BC */
    int32_t month, day, hour, minute, second, microsecond;
    int32_t gmtoff; /* seconds east */
    const char *abbrev;
};

/* Numeric, variable form: the bytes of a STR. Little endian:
 *   uint8_t  kind     0 finite >= 0, 1 finite < 0, 2 NaN, 3 +Infinity, 4 -Infinity
 *   uint8_t  0
 *   uint16_t dscale   digits shown after the point
 *   int16_t  weight   of the first digit, base 10000
 *   uint16_t digits[] base 10000, no leading or trailing zero digit
 */
enum luma_numeric_op {
    LUMA_NUMERIC_ADD,
    LUMA_NUMERIC_SUB,
    LUMA_NUMERIC_MUL,
    LUMA_NUMERIC_DIV,
    LUMA_NUMERIC_MOD,
    LUMA_NUMERIC_DIVTRUNC,
    LUMA_NUMERIC_POWER
};
enum luma_numeric_fn {
    LUMA_NUMERIC_NEG,
    LUMA_NUMERIC_ABS,
    LUMA_NUMERIC_SIGN,
    LUMA_NUMERIC_CEIL,
    LUMA_NUMERIC_FLOOR,
    LUMA_NUMERIC_SQRT,
    LUMA_NUMERIC_EXP,
    LUMA_NUMERIC_LN,
    LUMA_NUMERIC_LOG10
};

enum luma_key_flags { LUMA_KEY_DESC = 1, LUMA_KEY_NULLS_FIRST = 2 };

struct luma_path; /* host/store.h */
struct luma_path_step;

struct luma_host_data {
    struct luma_head head;

    /* --- types --- */
    const struct luma_type_info *(*type_info)(
        struct luma_type type);                                /* never NULL for stored types */
    const struct luma_type_info *(*type_by_oid)(uint32_t oid); /* NULL: unknown */
    const struct luma_type_info *(*type_by_name)(const char *name); /* "int4", "integer", "_int4" */
    const struct luma_type_info *(*type_at)(size_t index);          /* NULL past the end */
    uint32_t (*type_oid)(struct luma_type type);
    /* "numeric(15,2)", "character varying(25)", "integer[]" in the arena. */
    const char *(*type_text)(struct luma_type type, struct luma_arena *arena);
    /* PostgreSQL's atttypmod of the type. */
    int32_t (*type_typmod)(struct luma_type type);

    /* --- text form, PostgreSQL's --- */
    /* Parses into out (bytes in arena when needed). SQLSTATE 22P02, 22003, 22007, 22008 ... */
    luma_rc (*from_text)(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                         const struct luma_format *format, struct luma_slice text,
                         struct luma_value *out);
    /* Parses fields[0..rows) (data NULL: null) into a flat vector made with luma_vec_init; strings
     * that need no change borrow the field's bytes. On error *out_bad is the row. The COPY path. */
    luma_rc (*column_from_text)(struct luma_ctx *ctx, struct luma_arena *arena,
                                struct luma_type type, const struct luma_format *format,
                                const struct luma_slice *fields, uint32_t rows,
                                struct luma_vec *out, uint32_t *out_bad);
    /* Upper bound of the text form of row, then the form itself: returns bytes written, no NUL. */
    size_t (*text_bound)(const struct luma_vec *vec, uint32_t row);
    size_t (*text_write)(const struct luma_vec *vec, uint32_t row, const struct luma_format *format,
                         char *out);
    const char *(*value_text)(const struct luma_value *value, const struct luma_format *format,
                              struct luma_arena *arena); /* NUL-terminated */

    /* --- binary form, PostgreSQL's wire format --- */
    luma_rc (*from_binary)(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                           struct luma_slice bytes, struct luma_value *out);
    size_t (*binary_bound)(const struct luma_vec *vec, uint32_t row);
    size_t (*binary_write)(const struct luma_vec *vec, uint32_t row, char *out);

    /* --- values and vectors --- */
    struct luma_value (*vec_value)(const struct luma_vec *vec, uint32_t row); /* borrows bytes */
    /* row's value of out (flat) := value; bytes longer than inline are copied into arena. */
    luma_rc (*vec_set)(struct luma_arena *arena, struct luma_vec *out, uint32_t row,
                       const struct luma_value *value);
    luma_rc (*vec_const)(struct luma_arena *arena, const struct luma_value *value,
                         struct luma_vec *out); /* CONST form */
    /* Flat copy of the rows that sel names (NULL: 0..rows), densely; deep: bytes are copied too. */
    luma_rc (*vec_copy)(struct luma_arena *arena, const struct luma_vec *vec, const uint16_t *sel,
                        uint32_t rows, bool deep, struct luma_vec *out);
    /* The same numbers in the table form of `type` (I64, I128 with its scale, or STR). LUMA_E_RANGE
     * when a value does not fit the declared precision. */
    luma_rc (*numeric_vec_as)(struct luma_ctx *ctx, struct luma_arena *arena,
                              const struct luma_vec *vec, const uint16_t *sel, uint32_t rows,
                              struct luma_type type, struct luma_vec *out);
    /* <0, 0, >0 in PostgreSQL's order (NaN above all, "C" collation); both not null, types alike.
     */
    int (*compare)(const struct luma_vec *a, uint32_t row_a, const struct luma_vec *b,
                   uint32_t row_b);
    int (*value_compare)(const struct luma_value *a, const struct luma_value *b);
    /* Hashes of rows (equal values hash alike whatever their physical form); combine: out[i] is
     * mixed with what is there. Written densely in selection order. Null hashes to a constant. */
    void (*hash)(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, bool combine,
                 uint64_t *out);

    /* --- memcomparable keys --- */
    size_t (*key_bound)(const struct luma_vec *vec, uint32_t row);
    size_t (*key_write)(const struct luma_vec *vec, uint32_t row, uint32_t flags, uint8_t *out);
    size_t (*key_write_value)(const struct luma_value *value, uint32_t flags, uint8_t *out);
    /* Reads one column back; *inout_pos moves past it. LUMA_E_CORRUPT. */
    luma_rc (*key_read)(struct luma_arena *arena, struct luma_slice key, size_t *inout_pos,
                        struct luma_type type, uint32_t flags, struct luma_value *out);

    /* --- numeric, variable form --- */
    luma_rc (*numeric_from_i128)(struct luma_arena *arena, luma_i128 v, int16_t scale,
                                 struct luma_str *out);
    /* Value as integer / 10^scale, rounded half away from zero; LUMA_E_RANGE when it does not fit.
     */
    luma_rc (*numeric_to_i128)(const struct luma_str *num, int16_t scale, luma_i128 *out);
    luma_rc (*numeric_from_f64)(struct luma_ctx *ctx, struct luma_arena *arena, double v,
                                struct luma_str *out);
    double (*numeric_to_f64)(const struct luma_str *num);
    luma_rc (*numeric_op)(struct luma_ctx *ctx, struct luma_arena *arena, enum luma_numeric_op op,
                          const struct luma_str *a, const struct luma_str *b, struct luma_str *out);
    luma_rc (*numeric_fn)(struct luma_ctx *ctx, struct luma_arena *arena, enum luma_numeric_fn fn,
                          const struct luma_str *a, struct luma_str *out);
    luma_rc (*numeric_round)(struct luma_arena *arena, const struct luma_str *a, int32_t dscale,
                             bool truncate, struct luma_str *out);
    int (*numeric_compare)(const struct luma_str *a, const struct luma_str *b);
    int (*numeric_dscale)(const struct luma_str *a);

    /* --- calendar --- */
    const struct luma_zone *(*zone_find)(
        const char *name); /* IANA name, abbreviation, +hh:mm; NULL */
    const char *(*zone_name)(const struct luma_zone *zone);
    void (*civil_from_timestamp)(int64_t us, const struct luma_zone *zone, struct luma_civil *out);
    luma_rc (*timestamp_from_civil)(const struct luma_civil *civil, const struct luma_zone *zone,
                                    int64_t *out_us); /* zone NULL: UTC */
    int32_t (*date_from_ymd)(int32_t year, int32_t month, int32_t day);
    void (*ymd_from_date)(int32_t date, int32_t *year, int32_t *month, int32_t *day);
    luma_rc (*timestamp_add_interval)(int64_t us, const struct luma_interval *iv,
                                      const struct luma_zone *zone, int64_t *out_us);

    /* --- documents (jsonb): binary, O(log n) field access, see docs/formats.md --- */
    luma_rc (*doc_from_json)(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                             struct luma_str *out); /* jsonb: keys sorted, last duplicate wins */
    luma_rc (*json_check)(struct luma_ctx *ctx,
                          struct luma_slice json); /* valid? 22P02 with place */
    size_t (*doc_text_bound)(struct luma_slice doc);
    size_t (*doc_text_write)(struct luma_slice doc, bool pretty, char *out);
    /* A view into doc of a field or element (itself a document); false: absent. */
    bool (*doc_field)(struct luma_slice doc, struct luma_slice name, struct luma_slice *out);
    bool (*doc_element)(struct luma_slice doc, int64_t index, struct luma_slice *out);
    uint32_t (*doc_count)(struct luma_slice doc);
    /* i-th member in stored order; name empty for arrays. */
    bool (*doc_at)(struct luma_slice doc, uint32_t i, struct luma_slice *out_name,
                   struct luma_slice *out);
    /* 'o' object, 'a' array, 's' string, 'n' number, 'b' bool, 'z' null, or a luma type beyond
     * JSON: 't' timestamp, 'd' date, 'x' bytes, 'u' uuid, 'v' vector */
    char (*doc_kind)(struct luma_slice doc);
    bool (*doc_scalar)(struct luma_slice doc, struct luma_arena *arena, struct luma_value *out);
    int (*doc_compare)(struct luma_slice a, struct luma_slice b);   /* jsonb's btree order */
    bool (*doc_contains)(struct luma_slice a, struct luma_slice b); /* a @> b */

    /* --- arrays: one dimension, int32 count, uint8 elem type, validity, then values --- */
    luma_rc (*array_make)(struct luma_arena *arena, enum luma_type_id elem,
                          const struct luma_value *values, uint32_t count, struct luma_str *out);
    uint32_t (*array_count)(const struct luma_str *array);
    luma_rc (*array_get)(const struct luma_str *array, struct luma_type elem, uint32_t index,
                         struct luma_value *out);

    /* --- text --- */
    bool (*utf8_valid)(const void *data, size_t bytes);

    /* --- documents from parts; the parts are documents themselves --- */
    /* Sorted, the last of equal names wins. */
    luma_rc (*doc_make_object)(struct luma_ctx *ctx, struct luma_arena *arena,
                               const struct luma_slice *names, const struct luma_slice *docs,
                               uint32_t count, struct luma_str *out);
    luma_rc (*doc_make_array)(struct luma_ctx *ctx, struct luma_arena *arena,
                              const struct luma_slice *docs, uint32_t count, struct luma_str *out);
    /* What to_jsonb makes of a value: numbers, booleans, null, json and arrays keep their kind, all
     * else becomes a string (timestamps in ISO 8601 with a T). */
    luma_rc (*doc_make_value)(struct luma_ctx *ctx, struct luma_arena *arena,
                              const struct luma_format *format, const struct luma_value *value,
                              struct luma_str *out);
    /* The same as JSON text: to_json. */
    luma_rc (*json_from_value)(struct luma_ctx *ctx, struct luma_arena *arena,
                               const struct luma_format *format, const struct luma_value *value,
                               struct luma_str *out);
    /* Are these bytes (from a disk or a wire) one whole, sound document? */
    bool (*doc_valid)(struct luma_slice doc);
    /* A field (host/store.h) of jsonb or json values, rows sel[0..n) of docs (sel NULL: 0..n), of
     * path->type; null where the path leads nowhere; rows not named are null. */
    luma_rc (*doc_path)(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *docs,
                        const struct luma_path *path, const uint16_t *sel, uint32_t n,
                        uint32_t rows, struct luma_vec *out);
    /* A field of JSON text as it is written: json's -> and ->> (as_text). *out_null: the path leads
     * nowhere, or ->> of null. Bytes in json's or in arena. */
    luma_rc (*json_path)(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                         const struct luma_path_step *steps, uint32_t count, bool as_text,
                         struct luma_str *out, bool *out_null);

    /* --- binary forms of types that the catalogue made need the session's format --- */
    luma_rc (*from_binary_as)(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                              const struct luma_format *format, struct luma_slice bytes,
                              struct luma_value *out);
    size_t (*binary_write_as)(const struct luma_vec *vec, uint32_t row,
                              const struct luma_format *format, char *out);
};

#endif
