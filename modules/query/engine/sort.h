/* sort.h - sorting rows at rest by normalized keys. */
#ifndef ENGINE_SORT_H
#define ENGINE_SORT_H

#include "phys.h"

/* A row to be sorted: its first eight key bytes as a number; the rest of the key lies behind the
 * row. */
struct sort_item {
    uint64_t prefix;
    uint8_t *row;
};

/* What sorting adds behind a row: at rowlay.extra_off. */
struct sort_tail {
    const uint8_t *key;
    uint32_t bytes;
    uint32_t seq; /* order of arrival within the part: keeps equal rows stable */
};

#define SORT_TAIL(lay, row) ((struct sort_tail *)(void *)((row) + (lay)->extra_off))

struct sort_run {
    struct sort_item *items;
    uint64_t count, room;
    struct rows rows;
    uint64_t at;
    bool cut; /* the first rows are the best so far, in order */
};

int eng_sort_compare(const struct rowlay *lay, const struct sort_item *a,
                     const struct sort_item *b);
void eng_sort_items(const struct rowlay *lay, struct sort_item *items, uint64_t count);
/* Appends the batch's rows with their keys; keys[i] is of the selected rows' positions. */
luma_rc eng_sort_append(struct xenv *e, struct sort_run *run, struct luma_budget *budget,
                        const struct luma_vec *cols, const struct luma_vec *keys,
                        const struct xp_key *specs, uint32_t keys_count, const uint16_t *sel,
                        uint32_t n, uint32_t rows, const struct sort_item *threshold);
void eng_sort_run_fini(struct sort_run *run, struct luma_budget *budget);

#endif
