/* scan.h - the scan operator and what can be told to storage. */
#ifndef ENGINE_SCAN_H
#define ENGINE_SCAN_H

#include "phys.h"

enum scan_access {
    SCAN_SEQ,
    SCAN_GET,   /* the one row of a unique key */
    SCAN_RANGE, /* a stretch of an index, in its order */
    SCAN_KEYS   /* several keys of an index: IN, = ANY, OR of equalities */
};

/* One condition that storage may judge: column op values, values known when the scan opens. */
struct scan_pred {
    uint32_t col; /* position among the stored columns of the scan */
    enum luma_pred_op op;
    uint32_t values_count;
    struct xp **values;
    bool array;      /* IN: values[0] is an array, its elements are the values */
    struct xp *cond; /* the condition itself, when a value does not convert */
    bool hint;       /* follows from cond, which is judged anyway (LIKE 'abc%') */
};

/* A condition on documents that storage may judge for some rows (see luma_field_pred); cond, over
 * all_vars, for the others. */
struct scan_field {
    struct scan_pred pred; /* col is one with a path, or of documents */
    struct luma_type as;
    uint32_t cols_count;
    uint32_t *cols; /* that cond looks at */
};

struct scan_filter; /* a runtime filter: see op_join.c */

/* The first sort key of an ORDER BY with a limit above, a column of this scan. (scan_top.c) */
struct scan_top {
    const struct op *sort; /* NULL: none */
    uint32_t out, col;     /* the column among those given out, and among the stored ones */
    bool desc, nulls_first;
};

struct op_scan {
    struct op op;
    uint64_t coll_id;
    uint32_t stored;    /* columns that come from storage; the row id, if wanted, is one more */
    uint32_t *all_vars; /* of those: what conditions are compiled over */
    uint32_t *out_from; /* which of them each output column is */
    uint32_t *col_ids;
    struct luma_type *col_types;
    bool *lazy; /* columns only predicates want; with top all but its own */
    struct scan_top top;
    struct luma_path *paths; /* fields of documents; NULL: none */
    bool rowid;
    uint32_t preds_count;
    struct scan_pred *preds;
    uint32_t fields_count;
    struct scan_field *fields;
    struct xp *residual;
    enum scan_access access;
    uint64_t index_id;
    const char *index_name;      /* for EXPLAIN; NULL: not known */
    bool index_ordered, reverse; /* RANGE: the rows' order is what was asked for */
    uint32_t eq_count;           /* leading index columns with an equality: GET, RANGE, KEYS */
    struct scan_pred *eqs;
    uint32_t in_at;            /* KEYS: which of eqs is the list */
    struct scan_pred *lo, *hi; /* RANGE: on the column after them; NULL: open */
    struct luma_type *key_types;
    uint32_t filters_count; /* runtime filters of joins above */
    struct op *filter_joins[8];
    uint32_t filter_keys[8], filter_cols[8];
};

extern const struct op_class eng_scan_class;

/* What planning knows of a scan while it is built. (phys_scan.c) */
struct scan_build {
    struct phys *ph;
    struct rel *rel;
    struct op_scan *scan;
    struct comp comp;
    const struct ex **pred_conds; /* by predicate: the condition's expression */
    struct ex_list residual;
};

/* Picks an index when that is cheaper than reading the table. (phys_index.c) */
void eng_choose_index(struct scan_build *b);

/* --- phys_scan.c --- */
/* x IN (...), x = a OR x = b, x = ANY (array): the values of one x, which `is` knows by a number.
 * False: cond is none of them. */
typedef uint32_t (*eng_side_fn)(void *arg, const struct ex *ex);
bool eng_collect_in(struct scan_build *b, struct ex *cond, eng_side_fn is, void *arg,
                    uint32_t *inout_col, struct ex_list *values);
bool eng_scan_is_fixed(struct scan_build *b, const struct ex *ex);
enum luma_pred_op eng_pred_op(enum luma_func_op op, bool swapped);

/* phys_field.c: makes a field condition of cond; false: it is none. */
bool eng_take_field(struct scan_build *b, struct ex *cond);

/* --- scan_field.c: conditions on documents at work --- */
struct scan_fields {
    struct luma_field_pred *preds; /* that storage is given */
    uint32_t *from;                /* which field each of them is */
    uint32_t count;
};
luma_rc eng_scan_fields_open(struct xenv *e, const struct op_scan *op, struct scan_fields *out);
/* Evaluates those that are not in judged (bits of preds) for the rows of batch, whose columns
 * load(arg, col) fills first. */
typedef luma_rc (*eng_load_fn)(void *arg, struct luma_batch *batch, uint32_t col);
luma_rc eng_scan_fields_judge(struct xenv *e, const struct op_scan *op,
                              const struct scan_fields *fields, uint64_t judged, eng_load_fn load,
                              void *arg, struct luma_batch *batch);

/* --- scan_top.c: rows that cannot be among the first --- */
/* Takes the key of a sort with a limit right above, when that is a column of a scan. */
void eng_scan_take_top(struct prep *pp, struct op *child, const struct op *sort,
                       const struct ex_key *key);
luma_rc eng_scan_top_judge(struct part *p, const struct op_scan *op, struct luma_batch *batch);

/* --- scan_keys.c: rows of many keys --- */
struct scan_keys {
    uint32_t keys_rows;
    struct luma_vec *keys;
    uint64_t state;
    bool ended;
    struct luma_batch found;
    struct luma_vec *cols;
    struct luma_batch batch;
};
/* Makes the keys; *out_never: there is none, *out_cannot: a value is not one of the column's. */
luma_rc eng_scan_keys_open(struct xenv *e, const struct op_scan *op, struct scan_keys *keys,
                           bool *out_never, bool *out_cannot);
/* Next rows that have the keys and satisfy the other predicates; *out NULL at the end. */
luma_rc eng_scan_keys_next(struct part *p, const struct op_scan *op, struct luma_coll *coll,
                           struct scan_keys *keys, struct luma_batch **out);
/* The values of an IN predicate in the column's terms: those that a row can have. */
luma_rc eng_scan_in_values(struct xenv *e, const struct scan_pred *pred, struct luma_type col,
                           struct luma_value **out_values, uint32_t *out_count, bool *out_cannot);

enum pred_fit {
    PRED_FITS,   /* op and value hold for the column */
    PRED_NEVER,  /* no row can satisfy it */
    PRED_ALWAYS, /* every row whose column is not null does */
    PRED_CANNOT  /* storage cannot judge it: evaluate the condition */
};

/* col op value, value of another type perhaps, in the column's own terms. */
enum pred_fit eng_pred_fit(struct luma_type col, enum luma_pred_op op,
                           const struct luma_value *value, enum luma_pred_op *out_op,
                           struct luma_value *out);
/* May a cast between a column of type `from` and a comparison in type `to` be looked through? */
bool eng_pred_sees_through(struct luma_type from, struct luma_type to);

/* op_scan.c: what was looked up by key are whole documents; the fields take their place. */
luma_rc eng_scan_fields(struct luma_ctx *ctx, struct luma_arena *arena, const struct op_scan *op,
                        struct luma_vec *cols, uint32_t rows);

/* phys_scan.c: variables of a scan that are needed: columns, and fields of documents that only its
 * conditions look at. */
uint32_t *eng_scan_needed(struct prep *pp, const struct rel *rel, const struct bits *need,
                          uint32_t *out_count);

/* op_join.c: the filter that a finished build side has for its key, or NULL. */
const struct luma_pred_bloom *eng_join_filter(struct exec *x, const struct op *join, uint32_t key);

#endif
