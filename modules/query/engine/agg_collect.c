/*
 * agg_collect.c - DISTINCT and ORDER BY inside aggregates: what was collected row by row is fed to
 * the groups at the end, each argument once, or in order.
 */
#include "agg.h"
#include "sort.h"

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
    f->rows[f->n] = row;
    f->groups[f->n++] = group;
    return f->n == LUMA_BATCH_ROWS ? feed(f) : LUMA_OK;
}

/* --- DISTINCT --- */

/* The same pair may have come to another part: named by the group that lives, looked up again. */
static luma_rc
enter_again(struct part *p, const struct op_agg *op, const struct agg *agg, struct agg_table *all,
            uint8_t *row, uint8_t *group, bool *out_new)
{
    struct luma_arena *arena;
    uint8_t *twin;
    uint64_t hash = 0;
    LUMA_TRY(eng_step_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    /* Other parts read the pointer to see whose partition the row is of. */
    __atomic_store_n((int64_t *)(void *)(row + agg->collect_lay.off[0]), (int64_t)(uintptr_t)group,
                     __ATOMIC_RELAXED);
    for (uint32_t c = 0; c < agg->collect_lay.cols; c++) {
        struct luma_vec vec;
        LUMA_TRY(eng_rows_gather(&e, &agg->collect_lay, c, &row, NULL, 1, 1, &vec));
        eng.data->hash(&vec, NULL, 1, c > 0, &hash);
    }
    ROW_HASH(row) = hash;
    LUMA_TRY(eng_table_enter(p->ctx, all, row, agg->collect_lay.cols, &twin));
    *out_new = twin == NULL;
    return LUMA_OK;
}

static luma_rc
feed_own(struct feeder *f, const struct agg_table *own)
{
    struct rows_reader reader = {own->rows.first, 0};
    uint8_t *row;
    while (eng_rows_read(&reader, f->agg->collect_lay.bytes, &row, 1) > 0) {
        int64_t group = *(const int64_t *)(const void *)(row + f->agg->collect_lay.off[0]);
        LUMA_TRY(feed_row(f, row, living((uint8_t *)(uintptr_t)group)));
    }
    return LUMA_OK;
}

static luma_rc
feed_other(struct feeder *f, struct agg_table *all, const struct agg_table *other,
           const struct agg_item *item)
{
    struct rows_reader reader = {other->rows.first, 0};
    uint8_t *row;
    while (eng_rows_read(&reader, f->agg->collect_lay.bytes, &row, 1) > 0) {
        bool fresh;
        int64_t mine = __atomic_load_n((int64_t *)(void *)(row + f->agg->collect_lay.off[0]),
                                       __ATOMIC_RELAXED);
        uint8_t *group = living((uint8_t *)(uintptr_t)mine);
        if (!belongs(item, group))
            continue;
        LUMA_TRY(enter_again(f->p, f->op, f->agg, all, row, group, &fresh));
        if (fresh)
            LUMA_TRY(feed_row(f, row, group));
    }
    return LUMA_OK;
}

static luma_rc
finish_distinct(struct feeder *f, struct agg_state *st, struct agg_part *into, uint32_t slot,
                const struct agg_item *item)
{
    struct agg_table *all = &into->distinct[slot];
    LUMA_TRY(feed_own(f, all));
    for (uint32_t i = 0; i < st->parts; i++)
        if (st->part[i] != into && st->part[i]->ready)
            LUMA_TRY(feed_other(f, all, &st->part[i]->distinct[slot], item));
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
