/* change.h - INSERT, UPDATE, DELETE: what they have in common. */
#ifndef ENGINE_CHANGE_H
#define ENGINE_CHANGE_H

#include "phys.h"

struct change {
    const struct luma_plan_change *plan;
    uint32_t cols_count;
    struct luma_type *types; /* of the table's columns */
    struct xp **checks;      /* over the new row */
    bool *check_cols;        /* table columns that checks and RETURNING look at */
    uint32_t returning_count;
    struct xp **returning; /* over the new row ++ the extra columns of the child */
};

/* Rows that RETURNING gives, kept until they are asked for. */
struct kept_batch {
    struct kept_batch *next;
    struct luma_batch batch;
};

struct change_state {
    struct luma_coll *coll;
    struct kept_batch *first, *last, *at;
    struct luma_bulk *bulk;
    uint64_t rows;
    int64_t *seen; /* row ids already changed: open addressing, -1 is free */
    uint64_t seen_mask, seen_count;
};

void eng_change_build(struct phys *ph, struct rel *rel, const uint32_t *extra, uint32_t extra_count,
                      struct change *out);
luma_rc eng_change_not_null(struct xenv *e, const struct change *ch, const struct luma_batch *row,
                            uint32_t col);
/* Not-null constraints of all columns (of the changed ones: cols) and checks over the new row. */
luma_rc eng_change_check(struct xenv *e, const struct change *ch, const struct luma_batch *row,
                         const uint32_t *cols, uint32_t count);
/* Turns storage's LUMA_E_UNIQUE into PostgreSQL's words. */
luma_rc eng_change_unique(struct xenv *e, const struct change *ch, struct luma_coll *coll,
                          const struct luma_batch *row, luma_rc rc);
/* Evaluates RETURNING over row (new row ++ extra) and keeps the result. */
luma_rc eng_change_return(struct xenv *e, const struct change *ch, struct change_state *st,
                          struct luma_batch *row);
/* Tells the language which rows were changed, when it asked. */
luma_rc eng_change_tell(struct xenv *e, const struct change *ch, const struct luma_batch *before,
                        const struct luma_batch *after);
luma_rc eng_change_next(struct part *p, const struct op *op, struct luma_batch **out);
void eng_change_close(struct exec *x, const struct op *op);

struct op_insert {
    struct op op;
    struct change change;
    uint32_t *from; /* child's column of each table column */
    uint32_t set_count;
    const uint32_t *set_cols;
    struct xp **set_exprs; /* over the existing row ++ the proposed one */
    struct xp *set_where;
    bool bulk;
};

/* --- op_insert.c --- */
/* The child's row as a row of the table: its order and physical forms. */
luma_rc eng_insert_shape(struct xenv *e, const struct op_insert *op, const struct luma_batch *in,
                         struct luma_batch *out);
/* Checks and inserts the rows of a shaped batch, one command's worth. */
luma_rc eng_insert_rows(struct xenv *e, const struct op_insert *op, struct change_state *st,
                        struct luma_batch *row);

/* --- load.c --- */
luma_rc eng_load(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                 const struct luma_plan_change *change, uint32_t parts,
                 luma_rc (*next)(void *arg, uint32_t part, struct luma_ctx *ctx,
                                 struct luma_batch *out),
                 void *arg, uint64_t *out_rows);

#endif
