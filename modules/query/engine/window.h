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
    uint32_t col;     /* of its result, behind the columns of the sorts before */
    enum luma_frame_mode mode;
    enum luma_frame_bound start, end;
    uint32_t start_off, end_off; /* columns with the offsets; UINT32_MAX */
    uint8_t exclude;
    bool has_order;
    uint32_t order_col; /* RANGE offsets: the one order column */
    bool order_desc;
};

struct win_sorted;

/* One partition, sorted, in memory or on disk, and the row it stands at. Rows and peer groups are
 * numbered from the first one of the sort on. */
struct win_part {
    const struct op *op;
    const struct rowlay *lay;
    uint64_t first, last;        /* rows */
    uint64_t groups, groups_end; /* peer groups */
    uint64_t at;
    uint64_t group, peer_first, peer_last; /* of the row it stands at */
    struct sort_item *items;               /* in memory: rows by number */
    const uint64_t *group_rows;            /* in memory: first rows of its groups */
    struct win_sorted *disk;               /* NULL: in memory */
};

/* A function under way in a partition. */
struct win_run {
    uint8_t *state;
    uint64_t done;   /* rows before are in the state */
    uint64_t lo, hi; /* the frame of value; UINT64_MAX: none yet */
    struct luma_value value;
    struct luma_arena *arena; /* what the state points to */
    char *text;               /* of value, over the end of a batch of results */
    size_t text_room;
};

/* --- window.c --- */
luma_rc eng_window_run_init(struct part *p, struct luma_arena *arena, const struct win_func *f,
                            struct win_run *run);
void eng_window_run_fini(struct exec *x, struct win_run *run); /* zeroed is fine */
void eng_window_run_begin(const struct win_func *f, const struct win_part *wp, struct win_run *run);
/* To the first row, to the next one. */
luma_rc eng_window_first(struct xenv *e, struct win_part *wp);
luma_rc eng_window_step(struct xenv *e, struct win_part *wp);
/* The function's value for the row the partition stands at; what it points to lies in e->arena, or
 * as long as the rows. */
luma_rc eng_window_value(struct xenv *e, const struct win_func *f, const struct win_part *wp,
                         struct win_run *run, struct luma_value *out);

/* --- window_range.c: where a RANGE offset leads to --- */
struct win_edge {
    enum { WIN_EDGE_NONE, WIN_EDGE_EXACT, WIN_EDGE_FLOAT, WIN_EDGE_NUMERIC } kind; /* NONE: none */
    luma_i128 exact;
    double f64;
    struct luma_value value;
};
/* Can rows in the order of such a key have offsets of that type? */
bool eng_window_range_fits(struct luma_type key, struct luma_type offset);
/* The key's value, not null, plus or minus the offset; what it points to lies in e->arena. */
luma_rc eng_window_edge(struct xenv *e, const struct luma_value *key,
                        const struct luma_value *offset, bool back, struct win_edge *out);
/* Does a row of that value, not null, stand before the edge? upper: or at it. */
bool eng_window_before_edge(const struct win_edge *edge, const struct luma_value *v, bool desc,
                            bool upper);

struct win_sort {
    uint32_t partition_count, keys_count; /* partition keys first */
    struct xp_key *keys;
    const struct ex_window *window;
    struct rowlay lay; /* kept columns, bytes of the partition's key, results of sorts before */
};

struct op_window {
    struct op op;
    uint32_t child_cols;  /* of the child, kept first */
    uint32_t extra_count; /* then arguments, filters, offsets, order columns */
    struct xp **extra;
    uint32_t kept; /* so many columns are kept; behind them: bytes of the partition's key */
    uint32_t sorts_count;
    struct win_sort *sorts;
    uint32_t funcs_count;
    struct win_func *funcs;
    bool can_divide;        /* all windows have the same PARTITION BY: rows can be divided by it */
    struct rowlay part_lay; /* its columns */
    uint32_t *out_from;     /* output: kept column, or `kept` + function */
};

struct window_state {
    struct sort_run run;
    struct luma_value **results; /* per function, by seq */
    uint32_t runs_count;
    struct win_run *runs_of; /* per function, while a sort in memory is computed */
    uint64_t at;
    struct luma_batch batch;
    struct luma_budget *budget; /* of all that is kept, and what is computed from it */
    struct luma_arena *arena;
    struct win_disk *disk; /* divided by the partitions' hash; NULL: it is not */
    bool sorting;          /* rows go to the first sort's runs on disk */
    struct sort_disk runs;
    struct win_sorted *sorted; /* the last sort's rows, on disk; NULL: all is in memory */
    struct spill spill;
};

/* --- op_window.c --- */
/* Sorts what is kept for every window and computes the functions. */
luma_rc eng_window_compute(struct part *p, const struct op_window *op, struct window_state *st);
/* Keys of one window for all rows in memory, read from the kept rows. */
luma_rc eng_window_keys(struct part *p, const struct op_window *op, struct window_state *st,
                        const struct win_sort *ws);
/* A function's values, by pointers, as a column. */
luma_rc eng_window_column(struct xenv *e, const struct win_func *f,
                          const struct luma_value *const *values, uint32_t n, struct luma_vec *out);
/* Empties what is in memory, for rows of that layout. */
void eng_window_rows_empty(struct window_state *st, const struct rowlay *lay);

/* --- window_spill.c: divided by what all windows partition by --- */
/* Rows, computed, take more than they should? */
bool eng_window_spill_due(const struct exec *x, const struct op_window *op,
                          const struct window_state *st);
luma_rc eng_window_spill_begin(struct part *p, const struct op_window *op, struct window_state *st);
luma_rc eng_window_spill_append(struct xenv *e, const struct op_window *op, struct window_state *st,
                                const struct luma_vec *cols, const struct luma_batch *in);
luma_rc eng_window_spill_list(struct part *p, struct window_state *st);
/* The next partitions with rows, computed in memory or sorted on disk; none: the end. */
luma_rc eng_window_spill_next(struct part *p, const struct op_window *op, struct window_state *st);
void eng_window_spill_free(struct window_state *st);

/* --- window_sort.c: sorted on disk, computed as they are read --- */
/* What is in memory becomes the first run. */
luma_rc eng_window_sort_begin(struct part *p, const struct op_window *op, struct window_state *st);
/* A batch of kept rows; their memory is not the step arena's. */
luma_rc eng_window_sort_append(struct xenv *e, const struct op_window *op, struct window_state *st,
                               struct luma_vec *cols, const struct luma_batch *in);
/* All rows are there: sorts and computes window by window up to the last, which is left to read. */
luma_rc eng_window_sort_end(struct part *p, const struct op_window *op, struct window_state *st);
/* Kept columns, key bytes, results of all functions; NULL: the end. */
luma_rc eng_window_sort_next(struct part *p, const struct op_window *op, struct window_state *st,
                             struct luma_batch **out);
void eng_window_sort_free(struct exec *x, struct window_state *st);

/* --- window_disk.c: sorted rows of a window on disk --- */
/* Merges the runs of sort `which` and finds partitions and peer groups. */
luma_rc eng_window_disk_make(struct part *p, const struct op_window *op, struct window_state *st,
                             uint32_t which, struct win_sorted **out);
void eng_window_disk_free(struct exec *x, struct window_state *st, struct win_sorted *ws);
/* The next rows in order with the results of this sort's functions; NULL: the end. */
luma_rc eng_window_disk_next(struct part *p, const struct op_window *op, struct win_sorted *ws,
                             struct luma_batch **out);
/* Any row's value; it lies in a buffer that the next call may fill anew. */
luma_rc eng_window_disk_value(struct xenv *e, struct win_sorted *ws, uint64_t row, uint32_t col,
                              struct luma_value *out);
/* Rows [lo, hi) or the first of them, as rows of a batch from *out_at on. */
luma_rc eng_window_disk_rows(struct xenv *e, struct win_sorted *ws, uint64_t lo, uint64_t hi,
                             struct luma_batch **out, uint32_t *out_at, uint32_t *out_n);
luma_rc eng_window_disk_group(struct xenv *e, struct win_sorted *ws, uint64_t group, uint64_t *out);

#endif
