/* window.h - window functions over sorted rows. */
#ifndef ENGINE_WINDOW_H
#define ENGINE_WINDOW_H

#include "agg.h"
#include "sort.h"

enum win_kind {
    WIN_AGG,
    WIN_ROW_NUMBER,
    WIN_RANK,
    WIN_DENSE_RANK,
    WIN_PERCENT_RANK,
    WIN_CUME_DIST,
    WIN_NTILE,
    WIN_LAG,
    WIN_LEAD,
    WIN_FIRST_VALUE,
    WIN_LAST_VALUE,
    WIN_NTH_VALUE
};

struct win_func {
    enum win_kind kind;
    struct agg agg; /* WIN_AGG: state and calls */
    struct luma_type type;
    uint32_t args_count;
    uint32_t args[4]; /* columns of the kept row */
    uint32_t filter;  /* column of the kept row; UINT32_MAX: none */
    uint32_t sort;    /* which of the sorts */
    enum luma_frame_mode mode;
    enum luma_frame_bound start, end;
    uint32_t start_off, end_off; /* columns with the offsets; UINT32_MAX */
    uint8_t exclude;
    bool has_order;
    uint32_t order_col; /* RANGE offsets: the one order column */
    bool order_desc;
};

/* One partition: items[first..last) in order, with peer groups. */
struct win_part {
    const struct rowlay *lay;
    struct sort_item *items;
    uint64_t first, last;
    const uint64_t *peer_first, *peer_last; /* by item index: its peer group [first, last) */
    const uint64_t *group_no;               /* number of the peer group within the partition */
};

/* Fills results[SORT_TAIL(row)->seq] for every row of the partition. */
luma_rc eng_window_part(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                        struct luma_value *results);

struct win_sort {
    uint32_t partition_count, keys_count; /* partition keys first */
    struct xp_key *keys;
    const struct ex_window *window;
};

struct op_window {
    struct op op;
    uint32_t child_cols;  /* of the child, kept first */
    uint32_t extra_count; /* then arguments, filters, offsets, order columns */
    struct xp **extra;
    struct rowlay lay;
    uint32_t sorts_count;
    struct win_sort *sorts;
    uint32_t funcs_count;
    struct win_func *funcs;
    bool can_divide;        /* all windows have the same PARTITION BY: rows can be divided by it */
    struct rowlay part_lay; /* its columns */
    uint32_t *out_from;     /* output: kept column, or child_cols + extra_count + function */
};

struct window_state {
    struct sort_run run;
    struct luma_value **results; /* per function, by seq */
    uint64_t at;
    struct luma_batch batch;
    struct luma_budget *budget; /* of all that is kept, and what is computed from it */
    struct luma_arena *arena;
    struct win_disk *disk; /* NULL: all is in memory */
    struct spill spill;
};

/* Sorts what is kept for every window and computes the functions. (op_window.c) */
luma_rc eng_window_compute(struct part *p, const struct op_window *op, struct window_state *st);

/* --- window_spill.c --- */
bool eng_window_spill_due(const struct exec *x, const struct window_state *st);
luma_rc eng_window_spill_begin(struct part *p, const struct op_window *op, struct window_state *st);
luma_rc eng_window_spill_append(struct xenv *e, const struct op_window *op, struct window_state *st,
                                const struct luma_vec *cols, const struct luma_batch *in);
luma_rc eng_window_spill_list(struct part *p, const struct op_window *op, struct window_state *st);
/* The next partitions with rows, computed; st->run is empty at the end. */
luma_rc eng_window_spill_next(struct part *p, const struct op_window *op, struct window_state *st);
void eng_window_spill_free(struct window_state *st);

#endif
