/* agg.h - hash aggregation: states, tables, the operator. */
#ifndef ENGINE_AGG_H
#define ENGINE_AGG_H

#include "phys.h"

enum agg_kind {
    AGG_FUNC, /* the function's own update, merge and finish */
    AGG_COUNT_STAR,
    AGG_COUNT,
    AGG_SUM, /* integers and numerics, exactly */
    AGG_AVG,
    AGG_SUM_F64,
    AGG_AVG_F64,
    AGG_MIN, /* integers, dates, timestamps */
    AGG_MAX
};

struct agg {
    enum agg_kind kind;
    const struct luma_func *func;
    void *bound;
    struct luma_type type;
    uint32_t args_count;
    struct xp **args;
    struct luma_type *arg_types;
    struct xp *filter;
    bool distinct;
    uint32_t order_count;
    struct xp_key *order;
    uint32_t off; /* of its state in a group's row, from extra_off */
    uint32_t bytes;
    uint32_t same_as; /* an earlier one with this state (sum and avg of one thing); UINT32_MAX */
    struct rowlay collect_lay; /* distinct: keys, arguments; ordered: sort keys, arguments */
};

/* AGG_SUM and AGG_AVG. A sum that leaves 128 bits goes on in the variable form. */
struct agg_sum {
    luma_i128 sum;
    int64_t n;
    int16_t scale;
    bool slow;
    struct luma_str rest;
};

struct agg_f64 {
    double sum;
    int64_t n;
};

struct agg_extreme {
    int64_t value;
    int64_t n;
};

/* --- agg_state.c --- */
enum agg_kind eng_agg_kind(const struct ex *ex);
uint32_t eng_agg_bytes(enum agg_kind kind, const struct luma_func *func);
/* Rows of one group. */
luma_rc eng_agg_update_one(struct xenv *e, const struct agg *agg, void *state,
                           const struct luma_vec *arg, const uint16_t *sel, uint32_t n,
                           uint32_t rows);
/* states[k] belongs to row sel[k]. */
luma_rc eng_agg_update_many(struct xenv *e, const struct agg *agg, uint8_t *const *groups,
                            uint32_t off, const struct luma_vec *args, const uint16_t *sel,
                            uint32_t n, uint32_t rows);
luma_rc eng_agg_merge(struct xenv *e, const struct agg *agg, void *into, void *from);
/* Results of groups[0..n) as a dense vector. */
luma_rc eng_agg_finish(struct xenv *e, const struct agg *agg, uint8_t *const *groups, uint32_t off,
                       uint32_t n, struct luma_vec *out);

/* --- agg_table.c --- */
struct agg_table {
    struct rows rows;
    uint64_t *slots; /* pointer and, in the upper 16 bits, part of the hash */
    uint64_t mask, used;
    struct luma_budget *budget;
};

luma_rc eng_table_init(struct agg_table *t, const struct rowlay *lay, struct luma_arena *arena,
                       struct luma_budget *budget);
void eng_table_fini(struct agg_table *t);
/* Group of each row; keys in table form. */
luma_rc eng_table_find(struct luma_ctx *ctx, struct agg_table *t, const struct luma_vec *keys,
                       const uint16_t *sel, uint32_t n, const uint64_t *hashes,
                       uint8_t **out_groups);
/* The row with the same first `cols` columns, or NULL; enters row when there is none. */
luma_rc eng_table_enter(struct luma_ctx *ctx, struct agg_table *t, uint8_t *row, uint32_t cols,
                        uint8_t **out_twin);
/* Keys to table form and their hashes. */
luma_rc eng_table_keys(struct xenv *e, const struct rowlay *lay, uint32_t cols,
                       const struct luma_vec *in, const uint16_t *sel, uint32_t n, uint32_t rows,
                       struct luma_vec *out, uint64_t *hashes);

#endif
