/* agg.h - hash aggregation: states, tables, the operator. */
#ifndef ENGINE_AGG_H
#define ENGINE_AGG_H

#include "phys.h"
#include "spill.h"

#define FEW_GROUPS         8
#define AGG_MERGE_PARALLEL 20000 /* rows of all parts, from which on all parts merge them */
#define AGG_RANGES         128 /* lists of a large table, by hash: each merges within the caches */

enum agg_kind {
    AGG_FUNC, /* the function's own update, merge and finish */
    AGG_COUNT_STAR,
    AGG_COUNT,
    AGG_SUM, /* int8 and numerics, exactly */
    AGG_AVG,
    AGG_SUM_INT, /* int2 and int4, whose sum of 2^32 rows is an int8 */
    AGG_AVG_INT,
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

/* AGG_SUM and AGG_AVG. A sum that leaves 128 bits goes on in the variable form, in memory of its
 * own that is used again and again. */
struct agg_sum {
    union {
        luma_i128 sum;
        struct {
            char *buffer;
            size_t room;
        } own; /* slow */
    };
    int64_t n;
    int16_t scale;
    bool slow;
    struct luma_str rest;
};

/* AGG_SUM_INT and AGG_AVG_INT. */
struct agg_sum_int {
    int64_t sum, n;
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
uint32_t eng_agg_align(enum agg_kind kind);
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
    struct rows *split; /* a large table's rows instead: AGG_RANGES lists by eng_agg_range */
    uint64_t *slots;    /* pointer and, in the upper 16 bits, part of the hash */
    uint64_t mask, used;
    uint64_t fed;   /* rows that were looked up since the table was cleared */
    bool may_split; /* nobody keeps a row's address, and somebody merges what is there twice */
    struct luma_budget *budget;
};

luma_rc eng_table_init(struct agg_table *t, const struct rowlay *lay, struct luma_arena *arena,
                       struct luma_budget *budget);
void eng_table_fini(struct agg_table *t);
/* Forgets the rows, which stay where they are. */
void eng_table_clear(struct agg_table *t);
/* Splits the rows of a table that may be. */
luma_rc eng_table_split(struct luma_ctx *ctx, struct agg_table *t);
/* The lists of its rows; the count of them is answered. */
uint32_t eng_table_lists(const struct agg_table *t, const struct rows **out_lists);
uint64_t eng_table_count(const struct agg_table *t);
/* Group of each row; keys in table form. */
luma_rc eng_table_find(struct luma_ctx *ctx, struct agg_table *t, const struct luma_vec *keys,
                       const uint16_t *sel, uint32_t n, const uint64_t *hashes,
                       uint8_t **out_groups);
/* Group of each row, NULL where there is none. */
void eng_table_lookup(const struct agg_table *t, const struct luma_vec *keys, const uint16_t *sel,
                      uint32_t n, const uint64_t *hashes, uint8_t **out_groups);
/* Up to max groups from slot *inout_slot on. */
uint32_t eng_table_groups(const struct agg_table *t, uint64_t *inout_slot, uint8_t **out_groups,
                          uint32_t max);
/* For each row the one with the same first `cols` columns that was there, or NULL: then it was
 * entered itself. */
luma_rc eng_table_enter(struct luma_ctx *ctx, struct agg_table *t, uint8_t *const *rows, uint32_t n,
                        uint32_t cols, uint8_t **out_twins);
/* Keys to table form and their hashes. */
luma_rc eng_table_keys(struct xenv *e, const struct rowlay *lay, uint32_t cols,
                       const struct luma_vec *in, const uint16_t *sel, uint32_t n, uint32_t rows,
                       struct luma_vec *out, uint64_t *hashes);
/* The same for columns first .. cols-1 of the layout; in[0] is column first. hashes: of what comes
 * before, from column 1 on. */
luma_rc eng_table_more_keys(struct xenv *e, const struct rowlay *lay, uint32_t first, uint32_t cols,
                            const struct luma_vec *in, const uint16_t *sel, uint32_t n,
                            uint32_t rows, struct luma_vec *out, uint64_t *hashes);
/* Enters the rows of a batch whose columns pos are the table's, and says which it did not have. */
luma_rc eng_table_fresh(struct xenv *e, struct agg_table *t, const struct luma_batch *in,
                        const uint32_t *pos, uint16_t **out_sel, uint32_t *out_n);

/* --- the operator --- */
struct op_agg {
    struct op op;
    uint32_t keys_count;
    struct xp **keys;
    struct luma_type *key_types;
    uint32_t aggs_count;
    struct agg *aggs;
    uint32_t sets_count;
    const uint64_t *sets;
    struct rowlay lay;
    uint32_t *key_pos, *agg_pos; /* output columns; UINT32_MAX: not needed */
    bool serial;
    bool collects; /* some aggregate is DISTINCT or ordered */
};

struct agg_part {
    struct agg_table *tables;   /* per set */
    struct agg_table *distinct; /* per aggregate, of set 0 .. : [agg * sets + set] */
    struct rows *ordered;       /* the same index */
    bool *used;                 /* of distinct and ordered */
    bool ready;
    struct luma_budget *budget, *own; /* own: with groups, a budget for them alone */
    struct luma_arena *arena;
    bool spilling;         /* rows of groups that are not here go to disk */
    size_t spilling_bytes; /* what the part held when that began */
    uint32_t level;        /* of the spools: which bits of the hash divide */
    struct spools *spools; /* per set: rows of the operator below */
};

/* Rows on disk whose groups have the same bits in their hash. */
struct agg_item {
    uint32_t set, level;
    uint64_t number; /* the bits of the hash down to this level */
    bool groups;     /* groups in the operator's memory are still to be looked at */
    uint32_t spools_count;
    struct spool **spools;
};

/* The partition whose groups a part is giving. */
struct agg_local {
    struct agg_part ap;
    struct agg_item item;
    bool open;
    uint64_t slot;
};

struct agg_state {
    uint32_t parts;
    struct agg_part **part;
    bool done;
    struct row_chunk **chunks; /* output: all chunks of all tables, set by set */
    uint32_t chunks_count, next_chunk;
    /* on disk */
    bool spilled; /* atomic */
    struct spill spill;
    struct luma_event lock;
    uint32_t items_count, items_room; /* under lock */
    struct agg_item *items;
    struct agg_divided *divided;
};

/* Spools of a partition that was divided again. */
struct agg_divided {
    struct agg_divided *next;
    struct spools spools;
};

/* A row that was merged into another part's: its hash is the other's address. */
#define DEAD_ROW(row) (ROW_NEXT(row) == (row))

/* Which of so many ranges of hashes this one is in. */
static inline uint32_t
eng_agg_range(uint64_t hash, uint32_t ranges)
{
    return (uint32_t)(((hash >> 40) & 0xffff) * ranges >> 16);
}

struct grouped {
    uint8_t *groups[LUMA_BATCH_ROWS];
    uint64_t hashes[LUMA_BATCH_ROWS];
    uint16_t lists[LUMA_BATCH_ROWS]; /* rows, group by group, when there are few */
    uint8_t *few[FEW_GROUPS];
    uint16_t few_first[FEW_GROUPS + 1];
    uint32_t few_count; /* 0: many */
};

static inline uint32_t
eng_agg_sets(const struct op_agg *op)
{
    return op->sets_count == 0 ? 1 : op->sets_count;
}

luma_rc eng_agg_part_ready(struct part *p, const struct op_agg *op, struct agg_part *ap);
void eng_agg_part_free(const struct op_agg *op, struct agg_part *ap);
luma_rc eng_agg_keys(struct xenv *e, const struct op_agg *op, const struct luma_vec *keys,
                     uint64_t mask, const uint16_t *sel, uint32_t n, uint32_t rows,
                     uint64_t *hashes, struct luma_vec **out_flat);
/* Aggregate a of the rows whose groups g has. */
luma_rc eng_agg_feed(struct xenv *e, const struct op_agg *op, struct agg_part *ap, uint32_t a,
                     uint32_t set, struct grouped *g, const struct luma_batch *in,
                     const uint16_t *sel, uint32_t n);
/* A batch into the tables of sets set .. set_end-1; all_out: once on disk, every row goes there. */
luma_rc eng_agg_batch(struct part *p, const struct op_agg *op, struct agg_part *ap,
                      struct luma_batch *in, uint32_t set, uint32_t set_end, bool all_out);

/* --- agg_collect.c: DISTINCT and ORDER BY inside aggregates --- */
/* Feeds what was collected of a set, by the operator's parts and by `into`, to the groups it
 * belongs to; item: those of its partition only. */
luma_rc eng_agg_finish_collected(struct part *p, const struct op_agg *op, struct agg_state *st,
                                 struct agg_part *into, uint32_t set, const struct agg_item *item);

/* --- agg_spill.c --- */
bool eng_agg_spill_due(const struct exec *x, const struct op_agg *op, const struct agg_part *ap,
                       uint32_t rows, uint32_t parts);
/* Has the part grown since, by states that grow? Then all its rows go to disk. */
bool eng_agg_spill_all(const struct op_agg *op, const struct agg_part *ap);
luma_rc eng_agg_spill_begin(struct part *p, const struct op_agg *op, struct agg_state *st,
                            struct agg_part *ap);
luma_rc eng_agg_spill_batch(struct xenv *e, const struct op_agg *op, struct agg_part *ap,
                            uint32_t set, const struct luma_vec *keys, uint64_t mask,
                            struct luma_batch *in, struct grouped *g, bool all_out);
/* Is the group one of the item's? */
bool eng_agg_spill_has(const struct agg_item *item, uint64_t hash);
luma_rc eng_agg_spill_list(struct exec *x, struct luma_ctx *ctx, const struct op_agg *op,
                           struct agg_state *st);
/* Finished groups of the next partition; none: the end. */
luma_rc eng_agg_spill_groups(struct part *p, const struct op_agg *op, struct agg_state *st,
                             struct agg_local *local, uint8_t **out_groups, uint32_t *out_n);
void eng_agg_spill_free(struct exec *x, struct agg_state *st);

#endif
