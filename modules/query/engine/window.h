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

#endif
