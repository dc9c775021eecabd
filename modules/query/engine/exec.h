/* exec.h - running programs: parts, pipelines, rows at rest. */
#ifndef ENGINE_EXEC_H
#define ENGINE_EXEC_H

#include "xp.h"

/* --- exec.c --- */
luma_rc eng_exec_create(struct luma_ctx *ctx, struct luma_query *query, const struct prog *prog,
                        struct luma_session *session, struct luma_txn *txn,
                        const struct luma_value *params, uint32_t params_count, struct part *up,
                        const struct luma_value *outer, struct exec **out_exec);
luma_rc eng_exec_open(struct luma_ctx *ctx, struct exec *x);
/* Next batch of the program's output columns; *out_batch NULL at the end. */
luma_rc eng_exec_next(struct luma_ctx *ctx, struct exec *x, struct luma_batch **out_batch);
void eng_exec_close(struct exec *x);
struct part *eng_part(struct exec *x, uint32_t index, struct luma_ctx *ctx);
/* The operator's own arena in this part, emptied: what its batch points to. */
luma_rc eng_batch_arena(struct part *p, const struct op *op, struct luma_arena **out);
/* A second one, for operators that make several batches of one input batch: emptied for each of
 * them, while the batch arena keeps what belongs to the input. */
luma_rc eng_step_arena(struct part *p, const struct op *op, struct luma_arena **out);
/* Memory of the operator in this part that lives as long as the execution; zeroed on first use. */
luma_rc eng_part_state(struct part *p, const struct op *op, size_t bytes, void **out);
luma_rc eng_shared_state(struct exec *x, struct luma_ctx *ctx, const struct op *op, size_t bytes,
                         void **out);
luma_rc eng_next(struct part *p, const struct op *op, struct luma_batch **out);
luma_rc eng_open(struct exec *x, struct luma_ctx *ctx, const struct op *op);
void eng_close(struct exec *x, const struct op *op);
/* All rows of op were read and nothing points to them: its tree gives back what it can. */
void eng_release(struct exec *x, const struct op *op);
uint32_t eng_parts(struct exec *x, const struct op *op);
void eng_start(struct exec *x, const struct op *op, uint32_t parts);
/* A batch through an operator's columns. */
struct batch_view {
    struct luma_batch batch;
    struct luma_vec *cols;
};
/* Column i is column pos[i] of in, or with `of` column of[pos[i]]. */
luma_rc eng_batch_view(struct part *p, const struct op *op, struct batch_view *view,
                       const struct luma_batch *in, const uint32_t *pos, const uint32_t *of,
                       struct luma_batch **out);
/* Environment for expressions of an operator in a part. */
static inline struct xenv
eng_env(struct part *p, struct luma_arena *arena)
{
    struct xenv e = {p->x, p, p->ctx, arena, NULL};
    return e;
}

/* Pulls child to its end in as many parts as are useful and feeds each batch to fn. done (may be
 * NULL) is called by each part after its last batch. */
typedef luma_rc (*eng_sink_fn)(struct part *p, void *arg, struct luma_batch *batch);
typedef luma_rc (*eng_done_fn)(struct part *p, void *arg);
luma_rc eng_run(struct exec *x, struct luma_ctx *ctx, const struct op *child, uint32_t parts,
                eng_sink_fn fn, eng_done_fn done, void *arg);
uint32_t eng_parts_for(struct exec *x, const struct op *child);

/* --- rows.c: rows at rest, row by row --- */
enum row_cmp { ROW_CMP_RAW, ROW_CMP_F32, ROW_CMP_F64, ROW_CMP_STR, ROW_CMP_GENERIC };

/* A value of an integer, date or time column, in whatever width it lies. */
static inline int64_t
eng_vec_int(const struct luma_vec *vec, uint32_t row)
{
    const void *at = luma_vec_at(vec, row);
    switch (vec->phys) {
    case LUMA_PHYS_I16:
        return *(const int16_t *)at;
    case LUMA_PHYS_I32:
        return *(const int32_t *)at;
    default:
        return *(const int64_t *)at;
    }
}

/*   uint8_t *next    chain of a hash table
 *   uint64_t hash
 *   values, each aligned to its size (16 at most)
 *   a bit per column: null
 *   uint8_t matched  joins that report what found no partner
 *   extra bytes      aggregate states
 */
struct rowlay {
    uint32_t cols;
    const struct luma_type *types;
    uint32_t *off;
    uint8_t *phys, *cmp;
    uint32_t null_off, matched_off, extra_off, bytes;
};

#define ROW_NEXT(row)         (*(uint8_t **)(void *)(row))
#define ROW_HASH(row)         (*(uint64_t *)(void *)((row) + 8))
#define ROW_NULL(lay, row, c) (((row)[(lay)->null_off + ((c) >> 3)] >> ((c)&7)) & 1)

struct row_chunk {
    struct row_chunk *next;
    uint32_t count, room;
    uint8_t *data;
};

struct rows {
    const struct rowlay *lay;
    struct luma_arena *arena;
    struct row_chunk *first, *last;
    uint64_t count;
    uint32_t chunk_bytes; /* of the largest chunk */
};

luma_rc eng_rowlay_init(struct luma_arena *arena, const struct luma_type *types, uint32_t cols,
                        uint32_t extra_bytes, struct rowlay *lay);
void eng_rows_init(struct rows *rows, const struct rowlay *lay, struct luma_arena *arena);
/* Appends rows sel[0..n) of vecs (any form; brought to the table form); out_ptrs may be NULL. */
luma_rc eng_rows_append(struct xenv *e, struct rows *rows, const struct luma_vec *vecs,
                        const uint16_t *sel, uint32_t n, uint32_t vec_rows, const uint64_t *hashes,
                        uint8_t **out_ptrs);
/* One row whose vectors are already in table form, FLAT or CONST. */
luma_rc eng_rows_append_one(struct luma_ctx *ctx, struct rows *rows, const struct luma_vec *vecs,
                            uint32_t row, uint64_t hash, uint8_t **out_ptr);
/* Room for one row more, not written yet. */
luma_rc eng_rows_append_room(struct luma_ctx *ctx, struct rows *rows, uint8_t **out_ptr);
/* Column c of rows ptrs[0..n) (NULL: null) into a flat vector, row i at position pos[i] (NULL: i).
 */
luma_rc eng_rows_gather(struct xenv *e, const struct rowlay *lay, uint32_t c, uint8_t *const *ptrs,
                        const uint16_t *pos, uint32_t n, uint32_t vec_rows, struct luma_vec *out);
bool eng_row_equal(const struct rowlay *lay, const uint8_t *row, uint32_t cols,
                   const struct luma_vec *vecs, uint32_t at, bool nulls_equal);
struct luma_value eng_row_value(const struct rowlay *lay, const uint8_t *row, uint32_t c);
/* A CONST vector that shows column c of a row. */
void eng_row_vec(const struct rowlay *lay, const uint8_t *row, uint32_t c, struct luma_vec *out);

/* Reads rows back in the order they were appended. */
struct rows_reader {
    const struct row_chunk *chunk;
    uint32_t at;
};
uint32_t eng_rows_read(struct rows_reader *reader, uint32_t row_bytes, uint8_t **out_ptrs,
                       uint32_t max);

#endif
