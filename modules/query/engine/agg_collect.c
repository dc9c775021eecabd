/*
 * agg_collect.c - DISTINCT and ORDER BY inside aggregates: what was collected row by row is fed to
 * the groups at the end, each argument once, or in order.
 */
#include "agg.h"
#include "sort.h"

#define COLLECT_BLOCK 256

static uint8_t *
living(uint8_t *group)
{
    return DEAD_ROW(group) ? (uint8_t *)(uintptr_t)ROW_HASH(group) : group;
}

static bool
belongs(const struct agg_item *item, uint8_t *group)
{
    return item == NULL || (item->groups && eng_agg_spill_has(item, ROW_HASH(group)));
}

struct feeder {
    struct part *p;
    const struct op_agg *op;
    const struct agg *agg;
    struct luma_arena *states;
    uint32_t first_arg, n;
    uint8_t *rows[LUMA_BATCH_ROWS], *groups[LUMA_BATCH_ROWS];
};

static luma_rc
feed(struct feeder *f)
{
    struct luma_vec args[8];
    struct luma_arena *arena;
    if (f->n == 0)
        return LUMA_OK;
    LUMA_TRY(eng_batch_arena(f->p, &f->op->op, &arena));
    LUMA_TRY(eng.sched->yield(f->p->ctx));
    struct xenv e = eng_env(f->p, arena);
    e.states = f->states;
    for (uint32_t i = 0; i < f->agg->args_count && i < 8; i++)
        LUMA_TRY(eng_rows_gather(&e, &f->agg->collect_lay, f->first_arg + i, f->rows, NULL, f->n,
                                 f->n, &args[i]));
    uint32_t n = f->n;
    f->n = 0;
    return eng_agg_update_many(&e, f->agg, f->groups, f->op->lay.extra_off + f->agg->off, args,
                               NULL, n, n);
}

static luma_rc
feed_row(struct feeder *f, uint8_t *row, uint8_t *group)
{
    if (f->agg->kind == AGG_COUNT) { /* what it counts is not looked at */
        (*(int64_t *)(void *)(group + f->op->lay.extra_off + f->agg->off))++;
        return LUMA_OK;
    }
    f->rows[f->n] = row;
    f->groups[f->n++] = group;
    return f->n == LUMA_BATCH_ROWS ? feed(f) : LUMA_OK;
}

/* --- DISTINCT --- */

/* The group that a row was collected for. Parts that look whose partition a row is of read the
 * pointer while the one that owns it writes. */
static uint8_t *
group_of(const struct agg *agg, uint8_t *row)
{
    int64_t at =
        __atomic_load_n((int64_t *)(void *)(row + agg->collect_lay.off[0]), __ATOMIC_RELAXED);
    return living((uint8_t *)(uintptr_t)at);
}

/* Enters those of the rows that are new, named by the group that lives; the others are dead then.
 */
static luma_rc
enter_rows(struct luma_ctx *ctx, const struct agg *agg, struct agg_table *all, uint8_t **rows,
           uint32_t n)
{
    uint8_t *twins[COLLECT_BLOCK];
    for (uint32_t k = 0; k < n; k++)
        __atomic_store_n((int64_t *)(void *)(rows[k] + agg->collect_lay.off[0]),
                         (int64_t)(uintptr_t)group_of(agg, rows[k]), __ATOMIC_RELAXED);
    LUMA_TRY(eng_table_enter(ctx, all, rows, n, agg->collect_lay.cols, twins));
    for (uint32_t k = 0; k < n; k++)
        if (twins[k] != NULL)
            ROW_NEXT(rows[k]) = rows[k];
    return LUMA_OK;
}

/* Rows that live; item: of its groups. */
static luma_rc
feed_rows(struct feeder *f, const struct rows *from, const struct agg_item *item,
          struct agg_table *enter)
{
    struct rows_reader reader = {from->first, 0};
    uint8_t *rows[COLLECT_BLOCK];
    uint32_t n;
    while ((n = eng_rows_read(&reader, f->agg->collect_lay.bytes, rows, COLLECT_BLOCK)) > 0) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++)
            if (belongs(item, group_of(f->agg, rows[k])))
                rows[count++] = rows[k];
        if (enter != NULL)
            LUMA_TRY(enter_rows(f->p->ctx, f->agg, enter, rows, count));
        for (uint32_t k = 0; k < count; k++)
            if (!DEAD_ROW(rows[k]))
                LUMA_TRY(feed_row(f, rows[k], group_of(f->agg, rows[k])));
        LUMA_TRY(eng.sched->yield(f->p->ctx));
    }
    return LUMA_OK;
}

/* What the parts collected, each once: range by range of the hashes, whichever part comes first. */
struct dedup {
    const struct op_agg *op;
    struct exec *x;
    const struct agg *agg;
    uint32_t slot, ranges, next;
    bool split;
};

/* Counts rows for their groups, which other parts do too; neighbours are often of one group. */
static void
count_living(const struct dedup *d, uint8_t *const *rows, uint32_t n)
{
    const uint32_t off = d->op->lay.extra_off + d->agg->off;
    uint8_t *group = NULL;
    int64_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint8_t *next = group_of(d->agg, rows[k]);
        if (DEAD_ROW(rows[k]))
            continue;
        if (next != group && group != NULL) {
            __atomic_fetch_add((int64_t *)(void *)(group + off), count, __ATOMIC_RELAXED);
            count = 0;
        }
        group = next;
        count++;
    }
    if (group != NULL)
        __atomic_fetch_add((int64_t *)(void *)(group + off), count, __ATOMIC_RELAXED);
}

static luma_rc
dedup_list(struct luma_ctx *ctx, const struct dedup *d, struct agg_table *t,
           const struct rows *list, uint32_t range, uint32_t ranges)
{
    struct rows_reader reader = {list->first, 0};
    uint8_t *rows[COLLECT_BLOCK];
    uint32_t n;
    while ((n = eng_rows_read(&reader, d->agg->collect_lay.bytes, rows, COLLECT_BLOCK)) > 0) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++)
            if (eng_agg_range(ROW_HASH(rows[k]), ranges) == range)
                rows[count++] = rows[k];
        LUMA_TRY(enter_rows(ctx, d->agg, t, rows, count));
        if (d->agg->kind == AGG_COUNT)
            count_living(d, rows, count);
        LUMA_TRY(eng.sched->yield(ctx));
    }
    return LUMA_OK;
}

static luma_rc
dedup_range(struct luma_ctx *ctx, const struct dedup *d, struct agg_table *t, uint32_t range)
{
    struct agg_state *st = d->x->op_state[d->op->op.id];
    for (uint32_t i = 0; i < st->parts; i++) {
        const struct agg_table *from = &st->part[i]->distinct[d->slot];
        if (!st->part[i]->ready)
            continue;
        LUMA_TRY(d->split ? dedup_list(ctx, d, t, &from->split[range], 0, 1)
                          : dedup_list(ctx, d, t, &from->rows, range, d->ranges));
    }
    return LUMA_OK;
}

static luma_rc
dedup_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct dedup *d = arg;
    struct part *p = eng_part(d->x, index, ctx);
    struct agg_table t;
    uint32_t range;
    luma_rc rc = LUMA_OK;
    if (eng_table_init(&t, &d->agg->collect_lay, p->arena, d->x->budget) != LUMA_OK)
        return ENG_NOMEM(ctx, "an aggregate");
    while (rc == LUMA_OK &&
           (range = __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED)) < d->ranges) {
        rc = dedup_range(ctx, d, &t, range);
        eng_table_clear(&t);
    }
    eng_table_fini(&t);
    return rc;
}

static luma_rc
dedup_all(struct feeder *f, struct agg_state *st, struct dedup *d)
{
    struct luma_ctx *ctx = f->p->ctx;
    for (uint32_t i = 0; d->split && i < st->parts; i++)
        if (st->part[i]->ready)
            LUMA_TRY(eng_table_split(ctx, &st->part[i]->distinct[d->slot]));
    d->ranges = d->split ? AGG_RANGES : st->parts;
    luma_rc rc = eng.sched->parallel(ctx, st->parts, dedup_part, d);
    eng_part(d->x, 0, ctx); /* this task's again */
    return rc;
}

static luma_rc
feed_lists(struct feeder *f, const struct agg_table *from, const struct agg_item *item,
           struct agg_table *enter)
{
    const struct rows *lists;
    uint32_t n = eng_table_lists(from, &lists);
    for (uint32_t i = 0; i < n; i++)
        LUMA_TRY(feed_rows(f, &lists[i], item, enter));
    return LUMA_OK;
}

static luma_rc
finish_distinct(struct feeder *f, struct agg_state *st, struct agg_part *into, uint32_t slot,
                const struct agg_item *item)
{
    struct agg_table *enter = &into->distinct[slot];
    struct dedup d = {f->op, f->p->x, f->agg, slot, 0, 0, false};
    uint64_t collected = 0;
    for (uint32_t i = 0; i < st->parts; i++)
        if (st->part[i]->ready) {
            collected += eng_table_count(&st->part[i]->distinct[slot]);
            d.split = d.split || st->part[i]->distinct[slot].split != NULL;
        }
    if (item == NULL && (d.split || (st->parts > 1 && collected >= AGG_MERGE_PARALLEL))) {
        LUMA_TRY(dedup_all(f, st, &d));
        if (f->agg->kind == AGG_COUNT)
            return LUMA_OK;
        enter = NULL;
    }
    LUMA_TRY(feed_lists(f, &into->distinct[slot], NULL, NULL));
    for (uint32_t i = 0; i < st->parts; i++)
        if (st->part[i] != into && st->part[i]->ready)
            LUMA_TRY(feed_lists(f, &st->part[i]->distinct[slot], item, enter));
    return feed(f);
}

/* --- ORDER BY --- */

static int
ordered_cmp(const void *a, const void *b, void *arg)
{
    const struct agg *agg = arg;
    uint8_t *ra = *(uint8_t *const *)a, *rb = *(uint8_t *const *)b;
    uintptr_t ga = (uintptr_t)ROW_NEXT(ra), gb = (uintptr_t)ROW_NEXT(rb);
    if (ga != gb)
        return ga < gb ? -1 : 1;
    for (uint32_t i = 0; i < agg->order_count; i++) {
        bool na = ROW_NULL(&agg->collect_lay, ra, i), nb = ROW_NULL(&agg->collect_lay, rb, i);
        int c;
        if (na || nb) {
            c = na == nb ? 0 : (na == agg->order[i].nulls_first ? -1 : 1);
        } else {
            struct luma_vec va, vb;
            eng_row_vec(&agg->collect_lay, ra, i, &va);
            eng_row_vec(&agg->collect_lay, rb, i, &vb);
            c = eng.data->compare(&va, 0, &vb, 0);
            c = agg->order[i].desc ? -c : c;
        }
        if (c != 0)
            return c;
    }
    return 0;
}

static bool
same_args(const struct agg *agg, const uint8_t *a, const uint8_t *b)
{
    struct luma_vec vecs[8];
    if (ROW_NEXT((uint8_t *)(uintptr_t)a) != ROW_NEXT((uint8_t *)(uintptr_t)b))
        return false;
    for (uint32_t i = 0; i < agg->args_count && i < 8; i++) {
        uint32_t c = agg->order_count + i;
        eng_row_vec(&agg->collect_lay, b, c, &vecs[i]);
        bool na = ROW_NULL(&agg->collect_lay, a, c), nb = luma_vec_is_null(&vecs[i], 0);
        struct luma_vec mine;
        eng_row_vec(&agg->collect_lay, a, c, &mine);
        if (na != nb || (!na && eng.data->compare(&mine, 0, &vecs[i], 0) != 0))
            return false;
    }
    return true;
}

static uint64_t
gather_rows(const struct agg *agg, const struct rows *rows, const struct agg_item *item,
            uint8_t **all)
{
    struct rows_reader reader = {rows->first, 0};
    uint64_t n = 0;
    uint8_t *row;
    while (eng_rows_read(&reader, agg->collect_lay.bytes, &row, 1) > 0)
        if (belongs(item, ROW_NEXT(row)))
            all[n++] = row;
    return n;
}

/* Ordered aggregates run in one part: no group of theirs is dead. */
static luma_rc
finish_ordered(struct feeder *f, struct agg_state *st, struct agg_part *into, uint32_t slot,
               const struct agg_item *item)
{
    const struct agg *agg = f->agg;
    const struct rows *first = &st->part[0]->ordered[slot], *own = &into->ordered[slot];
    bool two = into != st->part[0];
    uint64_t room = own->count + (two ? first->count : 0) + 1, count;
    uint8_t **all = eng.mem->alloc(into->budget, sizeof(*all) * room), *last = NULL;
    ENG_NEED(f->p->ctx, all, "an ordered aggregate");
    count = gather_rows(agg, own, NULL, all);
    if (two)
        count += gather_rows(agg, first, item, all + count);
    luma_rc rc =
        eng_sort_any(f->p->ctx, all, count, sizeof(*all), ordered_cmp, (void *)(uintptr_t)agg);
    for (uint64_t i = 0; i < count && rc == LUMA_OK; i++) {
        if (agg->distinct && last != NULL && same_args(agg, all[i], last))
            continue;
        last = all[i];
        rc = feed_row(f, all[i], ROW_NEXT(all[i]));
    }
    if (rc == LUMA_OK)
        rc = feed(f);
    eng.mem->release(into->budget, all, sizeof(*all) * room);
    return rc;
}

luma_rc
eng_agg_finish_collected(struct part *p, const struct op_agg *op, struct agg_state *st,
                         struct agg_part *into, uint32_t set, const struct agg_item *item)
{
    for (uint32_t a = 0; a < op->aggs_count; a++) {
        const struct agg *agg = &op->aggs[a];
        uint32_t slot = a * eng_agg_sets(op) + set;
        if (agg->same_as != UINT32_MAX || (!agg->distinct && agg->order_count == 0))
            continue;
        struct feeder *f = eng.mem->alloc(into->budget, sizeof(*f));
        ENG_NEED(p->ctx, f, "an aggregate");
        f->p = p;
        f->op = op;
        f->agg = agg;
        f->states = into->arena;
        f->first_arg = agg->order_count > 0 ? agg->order_count : 1;
        f->n = 0;
        luma_rc rc = agg->order_count > 0 ? finish_ordered(f, st, into, slot, item)
                                          : finish_distinct(f, st, into, slot, item);
        eng.mem->release(into->budget, f, sizeof(*f));
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}
