/*
 * window_spill.c - window functions over more rows than fit: rows go to disk by the hash of what
 * all windows partition by, and are computed some partitions at a time. What does not fit is
 * divided again by the next bits; what that does not divide, one huge partition, is sorted on disk.
 */
#include "window.h"

/* Sorting and computing take about so many times what the rows take. */
#define COMPUTE_FACTOR 3

struct win_item {
    const struct spool *spool;
    uint32_t level;
    bool whole; /* dividing has left all rows together */
};

struct win_divided {
    struct win_divided *next;
    struct spools spools;
};

struct win_disk {
    struct luma_arena *arena; /* of this and the lists below */
    struct spools spools;
    struct win_divided *divided;
    uint32_t count, room;
    struct win_item *items;
};

static uint64_t
results_bytes(const struct op_window *op, uint64_t rows)
{
    return rows * op->funcs_count * sizeof(struct luma_value);
}

bool
eng_window_spill_due(const struct exec *x, const struct op_window *op,
                     const struct window_state *st)
{
    return eng_spill_due(x, eng.mem->used_bytes(st->budget) * COMPUTE_FACTOR +
                                results_bytes(op, st->run.count));
}

/* Rows by the hash of the partition keys, which are computed from the operator below's columns. */
static luma_rc
append(struct xenv *e, const struct op_window *op, struct spools *spools, uint32_t level,
       const struct luma_vec *cols, const struct luma_batch *in)
{
    const struct win_sort *ws = &op->sorts[0];
    struct luma_batch below = *in;
    below.cols = (struct luma_vec *)(uintptr_t)cols;
    below.cols_count = op->child_cols;
    uint32_t n = in->sel_rows;
    struct luma_vec *keys =
        luma_arena_alloc(e->arena, sizeof(*keys) * (ws->partition_count + 1) * 2);
    uint64_t *hashes = luma_arena_alloc(e->arena, sizeof(*hashes) * (n + (size_t)1));
    if (keys == NULL || hashes == NULL)
        return ENG_NOMEM(e->ctx, "a window function");
    for (uint32_t i = 0; i < ws->partition_count; i++)
        LUMA_TRY(eng_eval(e, ws->keys[i].xp, &below, in->sel, n, &keys[i]));
    LUMA_TRY(eng_table_keys(e, &op->part_lay, ws->partition_count, keys, in->sel, n, in->rows,
                            keys + ws->partition_count + 1, hashes));
    return eng_spools_append(e, spools, cols, hashes, level, in->sel, n, in->rows);
}

luma_rc
eng_window_spill_append(struct xenv *e, const struct op_window *op, struct window_state *st,
                        const struct luma_vec *cols, const struct luma_batch *in)
{
    return append(e, op, &st->disk->spools, 0, cols, in);
}

luma_rc
eng_window_spill_begin(struct part *p, const struct op_window *op, struct window_state *st)
{
    struct win_disk *disk = LUMA_NEW(p->arena, struct win_disk);
    uint8_t *rows[LUMA_BATCH_ROWS];
    ENG_NEED(p->ctx, disk, "a window function");
    disk->arena = p->arena;
    const struct rowlay *lay = &op->sorts[0].lay;
    eng_spools_init(&disk->spools, &st->spill, p->x->budget, lay->types, lay->cols);
    st->disk = disk;
    for (uint64_t first = 0; first < st->run.count; first += LUMA_BATCH_ROWS) {
        uint64_t left = st->run.count - first;
        uint32_t n = (uint32_t)(left < LUMA_BATCH_ROWS ? left : LUMA_BATCH_ROWS);
        struct luma_arena *arena;
        LUMA_TRY(eng_step_arena(p, &op->op, &arena));
        LUMA_TRY(eng.sched->yield(p->ctx));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (lay->cols + 1));
        ENG_NEED(p->ctx, cols, "a window function");
        for (uint32_t i = 0; i < n; i++)
            rows[i] = st->run.items[first + i].row;
        for (uint32_t c = 0; c < lay->cols; c++)
            LUMA_TRY(eng_rows_gather(&e, lay, c, rows, NULL, n, n, &cols[c]));
        struct luma_batch in = {.rows = n, .sel_rows = n};
        LUMA_TRY(append(&e, op, &disk->spools, 0, cols, &in));
    }
    eng_window_rows_empty(st, lay);
    return LUMA_OK;
}

static luma_rc
push(struct luma_ctx *ctx, struct window_state *st, const struct spool *spool, uint32_t level,
     bool whole)
{
    struct win_disk *disk = st->disk;
    if (spool->rows == 0)
        return LUMA_OK;
    if (disk->count == disk->room) {
        uint32_t room = disk->room * 2 + 2 * SPILL_FANOUT;
        struct win_item *items = eng.mem->resize(
            st->budget, disk->items, disk->room * sizeof(*items), room * sizeof(*items));
        ENG_NEED(ctx, items, "a window function");
        disk->items = items;
        disk->room = room;
    }
    disk->items[disk->count++] = (struct win_item){spool, level, whole};
    return LUMA_OK;
}

luma_rc
eng_window_spill_list(struct part *p, struct window_state *st)
{
    LUMA_TRY(eng_spools_flush(p->ctx, &st->disk->spools));
    for (uint32_t k = 0; k < SPILL_FANOUT; k++)
        LUMA_TRY(push(p->ctx, st, &st->disk->spools.of[k], 0, false));
    return LUMA_OK;
}

/* Where an item's rows go: into spools that divide them, the runs of a sort, or memory. */
struct win_target {
    const struct op_window *op;
    struct window_state *st;
    struct spools *spools;
    uint32_t level;
};

static luma_rc
take_batch(struct xenv *e, const struct win_target *to, struct luma_batch *batch)
{
    struct window_state *st = to->st;
    if (to->spools != NULL)
        return append(e, to->op, to->spools, to->level, batch->cols, batch);
    if (st->sorting)
        return eng_window_sort_append(e, to->op, st, batch->cols, batch);
    return eng_sort_append(e, &st->run, st->budget, batch->cols, NULL, NULL, 0, NULL, batch->rows,
                           batch->rows, NULL);
}

static luma_rc
read_item(struct part *p, const struct win_item *item, const struct win_target *to)
{
    struct spool_reader reader;
    luma_rc rc = LUMA_OK;
    eng_spool_reader_init(&reader, item->spool);
    while (rc == LUMA_OK) {
        struct luma_arena *arena;
        struct luma_batch *batch = NULL;
        rc = eng_batch_arena(p, &to->op->op, &arena);
        reader.cols = NULL;
        if (rc == LUMA_OK)
            rc = eng_spool_read(p->ctx, &reader, arena, &batch);
        if (rc != LUMA_OK || batch == NULL)
            break;
        struct xenv e = eng_env(p, arena);
        rc = take_batch(&e, to, batch);
        if (rc == LUMA_OK)
            rc = eng.sched->yield(p->ctx);
    }
    eng_spool_reader_fini(&reader);
    return rc;
}

static luma_rc
divide(struct part *p, const struct win_target *memory, const struct win_item *item)
{
    struct window_state *st = memory->st;
    const struct rowlay *lay = &memory->op->sorts[0].lay;
    struct win_divided *made = LUMA_NEW(st->disk->arena, struct win_divided);
    ENG_NEED(p->ctx, made, "a window function");
    eng_spools_init(&made->spools, &st->spill, p->x->budget, lay->types, lay->cols);
    made->next = st->disk->divided;
    st->disk->divided = made;
    struct win_target to = *memory;
    to.spools = &made->spools;
    to.level = item->level + 1;
    LUMA_TRY(read_item(p, item, &to));
    LUMA_TRY(eng_spools_flush(p->ctx, &made->spools));
    for (uint32_t k = 0; k < SPILL_FANOUT; k++)
        LUMA_TRY(push(p->ctx, st, &made->spools.of[k], to.level,
                      made->spools.of[k].rows == item->spool->rows));
    return LUMA_OK;
}

luma_rc
eng_window_spill_next(struct part *p, const struct op_window *op, struct window_state *st)
{
    struct win_disk *disk = st->disk;
    const struct win_target memory = {op, st, NULL, 0};
    eng_window_rows_empty(st, &op->sorts[0].lay);
    while (disk->count > 0) {
        struct win_item item = disk->items[--disk->count];
        uint64_t bytes = item.spool->bytes + item.spool->rows * (uint64_t)op->sorts[0].lay.bytes;
        bytes = bytes * COMPUTE_FACTOR + results_bytes(op, item.spool->rows);
        bool fits = bytes <= eng_spill_share(p->x, 1);
        if (!fits && !item.whole && item.level + 1 < SPILL_LEVELS) {
            LUMA_TRY(divide(p, &memory, &item));
            continue;
        }
        if (!fits)
            LUMA_TRY(eng_window_sort_begin(p, op, st));
        LUMA_TRY(read_item(p, &item, &memory));
        return st->sorting ? eng_window_sort_end(p, op, st) : eng_window_compute(p, op, st);
    }
    return LUMA_OK;
}

void
eng_window_spill_free(struct window_state *st)
{
    struct win_disk *disk = st->disk;
    if (disk == NULL)
        return;
    eng_spools_fini(&disk->spools);
    for (struct win_divided *d = disk->divided; d != NULL; d = d->next)
        eng_spools_fini(&d->spools);
    if (disk->items != NULL)
        eng.mem->release(st->budget, disk->items, disk->room * sizeof(*disk->items));
    st->disk = NULL;
    st->run.count = st->at = 0;
}
