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

#endif
