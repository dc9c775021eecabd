/*
 * data/shred.h - documents taken apart: scalars at common paths become columns, the rest stays a
 * document with holes; and put together again, byte for byte.
 *
 * A path is a row of steps, each a member's name or an element's index. Its stored form is, per
 * step, 1 and u16 bytes and the name, or 2 and u16 index.
 */
#ifndef LK_DATA_SHRED_H
#define LK_DATA_SHRED_H

#include <lumadb/host/store.h>

#include "data/data.h"

#define LK_SHRED_COLS_MAX  160
#define LK_SHRED_ITEMS_MAX 8 /* elements of an array that may have columns */

/* A scalar at a path: BOOL, INT8, NUMERIC of 18 digits and a scale, TEXT, or JSONB for any. */
struct lk_leaf {
    struct luma_slice path; /* stored form */
    struct luma_type type;
};

/* One of the types that leaves have: bool, int8, decimals of an int8, text, and jsonb of the rest.
 */
bool lk_data_leaf_type_valid(struct luma_type type);

/* A leaf's column while a group is written: vec has room for every row. */
struct lk_shred_col {
    struct luma_vec vec;
    uint32_t others;     /* rows with another value at the path, which stays in the document */
    uint32_t json_nulls; /* rows with JSON's null there */
};

/* What documents look like: learns from samples, then takes documents apart. */
struct lk_shape;
struct luma_budget;
struct lk_shape *lk_data_shape_create(struct luma_budget *budget); /* NULL: no memory */
void lk_data_shape_destroy(struct lk_shape *shape);                /* NULL is fine */
bool lk_data_shape_sample(struct lk_shape *shape, struct luma_slice doc);
/* Paths that are worth a column, at most cols_max; 0: none. */
uint32_t lk_data_shape_choose(struct lk_shape *shape, uint32_t cols_max);
const struct lk_leaf *lk_data_shape_leaf(const struct lk_shape *shape, uint32_t i);
/* The document without what went into row `row` of cols; *out is valid until the next call. Strings
 * in cols point into doc. false: no memory. */
bool lk_data_shred(struct lk_shape *shape, struct luma_slice doc, uint32_t row,
                   struct lk_shred_col *cols, struct luma_slice *out);

/* Where documents are put together. What was met twice is remembered by its address: the bytes of
 * documents with holes must not change before lk_data_join_forget. */
struct lki_doc_plan;
struct lk_join_met {
    const uint8_t *data;
    size_t bytes;
    struct lki_doc_plan *plan; /* NULL: met once, or not worth one */
};
#define LK_JOIN_MET 32
struct lk_join {
    const struct luma_vec
        *cols; /* vectors of the columns, by number; those not at hand are empty */
    uint32_t cols_count;
    uint8_t *data;
    size_t used, room;
    struct lk_join_met met[LK_JOIN_MET];
};
void lk_data_join_init(struct lk_join *join);
void lk_data_join_fini(struct lk_join *join);
void lk_data_join_forget(struct lk_join *join);
/* The whole document (or part of one) whose holes are filled from row `row`; *out is valid until
 * the next call. LUMA_E_CORRUPT: a hole nothing fits, LUMA_E_NOMEM. */
luma_rc lk_data_join(struct lk_join *join, struct luma_slice part, uint32_t row,
                     struct luma_slice *out);

/* Is this part a hole? Then *out_col says which column it was. */
bool lk_data_doc_hole(struct luma_slice part, uint32_t *out_col);
/* Sets the bits of the columns that holes of the document name; bits has 256. */
void lk_data_doc_holes(struct luma_slice doc, uint64_t *bits);
/* Sound, holes of columns below cols_count included? */
bool lk_data_shred_valid(struct luma_slice doc, uint32_t cols_count);

/* --- paths --- */
bool lk_data_path_make(struct luma_arena *arena, const struct luma_path_step *steps, uint32_t count,
                       struct luma_slice *out);
bool lk_data_path_find(struct luma_slice doc, const struct luma_path_step *steps, uint32_t count,
                       struct luma_slice *out);
/* "user.name", "items[0].sku" */
size_t lk_data_path_text(struct luma_slice path, char *out, size_t room);
/* Does the path begin with prefix? */
bool lk_data_path_below(struct luma_slice path, struct luma_slice prefix);
bool lk_data_path_valid(struct luma_slice path);

/* What ->> makes of a document: text, and null of JSON's null. false: no memory. */
bool lk_data_doc_as_text(struct luma_slice doc, struct luma_arena *arena, struct luma_str *out,
                         bool *out_null);
/* Rows sel[0..n) of a leaf's column as TEXT or as JSONB; rows not named are undefined. */
luma_rc lk_data_leaf_as(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *vec,
                        struct luma_type type, const uint16_t *sel, uint32_t n, uint32_t rows,
                        struct luma_vec *out);
/* --- json: text that comes back as it was written --- */
enum {
    LK_JSON_RAW = 0,     /* the text itself follows */
    LK_JSON_COMPACT = 1, /* a document follows; its text has no spaces */
    LK_JSON_SPACED = 2   /* a document follows; a space behind each comma and colon */
};
/* The document that json is the text of, in a style; false: none (or no memory), keep the text. */
bool lk_data_json_doc(struct luma_arena *arena, struct luma_slice json, struct luma_slice *out_doc,
                      uint8_t *out_style);
/* The text of what a shredded json column has: a style byte, then text or document with holes. */
luma_rc lk_data_json_join(struct lk_join *join, struct luma_slice rest, uint32_t row,
                          struct luma_arena *arena, struct luma_str *out);
/* json's -> and ->> (as_text): the bytes as they are written, strings without quotes for ->>.
 * *out_null: the path leads nowhere, or ->> of null. */
luma_rc lk_data_json_path(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                          const struct luma_path_step *steps, uint32_t count, bool as_text,
                          struct luma_str *out, bool *out_null);

/* A path of whole documents (JSONB or JSON), rows sel[0..n): TEXT or the same type, in docs' bytes
 * or in arena. */
luma_rc lk_data_path_of(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *docs,
                        const struct luma_path *path, const uint16_t *sel, uint32_t n,
                        uint32_t rows, struct luma_vec *out);

#endif
