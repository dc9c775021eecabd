/* storage/segment/cursor.h - a cursor from inside, for cursor.c and cursor_doc.c. */
#ifndef LKI_STORAGE_SEGMENT_CURSOR_H
#define LKI_STORAGE_SEGMENT_CURSOR_H

#include "storage/segment/segment_priv.h"

#define WINDOW       LUMA_BATCH_ROWS
#define WINDOW_WORDS (WINDOW / 64)

/* How a column of the batch comes out of the group. */
enum lki_way {
    LKI_WAY_CHUNK, /* the chunk's values as they are */
    LKI_WAY_LEAF,  /* a field: the leaf's values, as the type that was asked */
    LKI_WAY_JOIN,  /* documents: put together of what the chunk and the leaves have */
    LKI_WAY_PART,  /* a field: looked up in documents with holes, put together where it has some */
    LKI_WAY_FIELD  /* a field: looked up in whole documents */
};

struct lki_cursor_col {
    const struct luma_store_col *def;
    const struct luma_path *path; /* NULL: the column itself */
    struct luma_slice path_key;   /* in its stored form */
    struct luma_type type;        /* of the chunk's values */
    enum lki_way way;
    int32_t at;                    /* in the segment, -1: it lacks the column */
    const struct lki_chunk *chunk; /* NULL: missing */
    struct lk_cache_block *block;  /* pinned, once met */
    const struct lki_loaded *loaded;
    uint8_t *buffer;       /* WINDOW values */
    struct luma_vec fixed; /* of a constant chunk or a missing column */
    struct luma_value value;
    uint64_t value_valid;
    bool is_fixed;
    bool decoded; /* all rows of this window, in the batch's vector */

    /* JOIN and PART: the leaves, all of the column's in their order */
    struct lki_cursor_col *leaves;
    uint32_t leaves_count, leaves_room;
    struct luma_vec *leaf_vecs;
    struct lk_join join;
};

/* A condition on a field, at work on a group. */
struct lki_formula;
struct lki_field {
    const struct luma_field_pred *field;
    bool judged;
    struct luma_pred leaf; /* what it says of the leaf's values, when one leaf has all of them */
    struct luma_value *values;
    struct lki_pred pred;
    struct lki_formula *formula; /* else what it says of each form of documents; NULL: nothing */
};

struct lk_segment_cursor {
    const struct luma_store_coll *def;
    const struct luma_scan_spec *spec;
    const struct luma_simd *simd;
    struct lk_segment *segment;
    uint32_t group, group_rows, first; /* first: next window's, within the group */
    uint32_t window_first;             /* this window's, within the group */
    bool dead;                         /* a predicate refuses the whole group */
    struct lki_cursor_col *columns;    /* spec's, then the specials */
    uint32_t columns_count;
    struct lki_pred *preds;
    struct lki_field *fields; /* spec's */
    uint64_t judged;          /* bits of those that hold for every row that is left */
    struct luma_batch batch;
    struct luma_vec *vecs;
    uint16_t sel[WINDOW];
    int64_t *rowids;
    uint64_t *begins, *ends;
    uint8_t *memory; /* buffers of all columns */
    size_t memory_bytes;
    /* Made when there are documents: what the window has of them; stored forms of paths. */
    struct luma_arena *arena, *arena_paths;
};

/* --- cursor.c --- */
/* The window's rows (those of sel, NULL: all) of a chunk into vec. */
luma_rc lki_cursor_decode(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                          struct lki_cursor_col *column, uint32_t n, const uint16_t *sel,
                          uint32_t sel_rows, struct luma_vec *vec);
/* Makes column ready for the group: its chunk, or its one value. */
luma_rc lki_cursor_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                         struct lki_cursor_col *column, int32_t at);
void lki_cursor_col_leave(struct lk_segment_cursor *cursor, struct lki_cursor_col *column);

/* Pins the column's chunk, which has bytes. */
luma_rc lki_cursor_pin(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                       struct lki_cursor_col *column);

/* --- field.c: conditions on fields --- */
luma_rc lki_fields_init(struct luma_ctx *ctx, struct lk_segment_cursor *cursor);
void lki_fields_fini(struct lk_segment_cursor *cursor);
/* Which of them can be judged in the group; the cursor may die of it. */
luma_rc lki_fields_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor);
void lki_fields_leave(struct lk_segment_cursor *cursor);
/* Clears bits of rows of the window that do not satisfy those that can. */
luma_rc lki_fields_apply(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, uint32_t n,
                         uint64_t *bits);

/* --- leaf.c --- */
enum lki_fit {
    LKI_FIT_CANNOT, /* the leaf's values do not tell, or a value would be an error */
    LKI_FIT_NEVER,  /* no value satisfies it */
    LKI_FIT_ALL,    /* every value does */
    LKI_FIT_OP      /* those do that satisfy op and the value */
};
/* field op value, for a field whose text is that of the leaf's values, in the leaf's own terms. lo
 * and hi are bounds of integer leaves; NULL: not known. */
enum lki_fit lki_leaf_fit(struct luma_type leaf, const int64_t *lo, const int64_t *hi,
                          struct luma_type as, enum luma_pred_op op, const struct luma_value *value,
                          enum luma_pred_op *out_op, struct luma_value *out);

/* --- cursor_doc.c --- */
/* What must be done for the column in this segment: way, and the column that is read, in *inout_at.
 */
luma_rc lki_cursor_doc_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                             struct lki_cursor_col *column, int32_t *inout_at);
/* As lki_cursor_decode, for any way but CHUNK. */
luma_rc lki_cursor_doc_decode(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                              struct lki_cursor_col *column, uint32_t n, const uint16_t *sel,
                              uint32_t sel_rows, struct luma_vec *vec);
void lki_cursor_doc_fini(struct lki_cursor_col *column);
/* cursor->arena: what is put together for a window. */
luma_rc lki_cursor_need_arena(struct luma_ctx *ctx, struct lk_segment_cursor *cursor);

#endif
