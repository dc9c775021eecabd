/* sort.h - sorting rows at rest by normalized keys. */
#ifndef ENGINE_SORT_H
#define ENGINE_SORT_H

#include "phys.h"
#include "spill.h"

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
    bool cut;                   /* the first rows are the best so far, in order */
    struct luma_budget *budget; /* own, or the execution's: what rows and items come from */
    struct luma_arena *arena;
    uint32_t serial; /* runs that went to disk */
};

/* A sorted run on disk: columns, then the key. */
struct sort_file {
    struct spool spool;
    uint32_t part, serial;
};

struct sort_disk {
    struct spill spill;
    struct luma_event lock;
    struct luma_type *types;
    uint32_t cols, count, room;
    struct sort_file *runs;
};

struct sort_merge;

/* op_sort.c: column col of the last row that this part of a sort with a limit would keep; false: it
 * has not as many yet. */
bool eng_sort_bound(struct part *p, const struct op *sort, uint32_t col, struct luma_value *out);
int eng_sort_compare(const struct rowlay *lay, const struct sort_item *a,
                     const struct sort_item *b);
/* Yields as it goes; a cancelled statement leaves the items in any order. */
luma_rc eng_sort_items(struct luma_ctx *ctx, const struct rowlay *lay, struct sort_item *items,
                       uint64_t count);
/* Items of any size, by cmp, stably. */
luma_rc eng_sort_any(struct luma_ctx *ctx, void *items, uint64_t count, size_t size,
                     int (*cmp)(const void *, const void *, void *), void *arg);
/* Appends the batch's rows with their keys; keys[i] is of the selected rows' positions. */
luma_rc eng_sort_append(struct xenv *e, struct sort_run *run, struct luma_budget *budget,
                        const struct luma_vec *cols, const struct luma_vec *keys,
                        const struct xp_key *specs, uint32_t keys_count, const uint16_t *sel,
                        uint32_t n, uint32_t rows, const struct sort_item *threshold);
void eng_sort_run_fini(struct sort_run *run, struct luma_budget *budget);

/* --- sort_spill.c --- */
/* Sorts the run, writes it out and empties it. Any part. */
luma_rc eng_sort_spill(struct part *p, const struct op *op, const struct rowlay *lay,
                       struct sort_disk *d, struct sort_run *run);
luma_rc eng_sort_merge_begin(struct part *p, const struct op *op, struct sort_disk *d,
                             struct sort_merge **out);
luma_rc eng_sort_merge_next(struct xenv *e, struct sort_merge *m, uint32_t max,
                            struct luma_batch *out);
void eng_sort_merge_close(struct sort_merge *m); /* NULL is fine */
void eng_sort_disk_free(struct exec *x, struct sort_disk *d);

#endif
