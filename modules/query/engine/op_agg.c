/*
 * op_agg.c - hash aggregation in parallel: each part fills a table of its own, then the tables are
 * merged, side by side by ranges of the hash when there are many groups.
 *
 * Few groups (Q1) are summed group by group with vector loops; keys in dictionary form find their
 * groups by code. DISTINCT aggregates collect (keys, arguments) in a table of their own and are fed
 * from it at the end, ordered ones collect rows and are fed sorted.
 */
#include <stdlib.h>

#include "agg.h"
#include "explain.h"

#define CODE_MAP_MAX 1024

struct agg_out {
    struct luma_batch batch;
    struct luma_vec *cols;
    struct row_chunk *chunk;
    uint32_t at, set;
    struct agg_local local;
};

luma_rc
eng_agg_part_ready(struct part *p, const struct op_agg *op, struct agg_part *ap)
{
    uint32_t sets = eng_agg_sets(op), pairs = sets * op->aggs_count;
    if (ap->ready)
        return LUMA_OK;
    ap->arena = p->arena;
    ap->budget = p->x->budget;
    if (op->keys_count > 0) { /* what may go to disk has memory of its own */
        ap->own = eng.mem->budget_create(p->x->budget, "aggregate", 0);
        ENG_NEED(p->ctx, ap->own, "an aggregate");
        ap->budget = ap->own;
        ap->arena = eng.mem->arena_create(ap->own, 32u << 10);
        ENG_NEED(p->ctx, ap->arena, "an aggregate");
    }
    ap->tables = LUMA_NEW_ARRAY(ap->arena, struct agg_table, sets);
    ap->distinct = LUMA_NEW_ARRAY(ap->arena, struct agg_table, pairs + 1);
    ap->ordered = LUMA_NEW_ARRAY(ap->arena, struct rows, pairs + 1);
    if (ap->tables == NULL || ap->distinct == NULL || ap->ordered == NULL)
        return ENG_NOMEM(p->ctx, "an aggregate");
    ap->ready = true;
    for (uint32_t s = 0; s < sets; s++)
        if (eng_table_init(&ap->tables[s], &op->lay, ap->arena, ap->budget) != LUMA_OK)
            return ENG_NOMEM(p->ctx, "an aggregate");
    for (uint32_t i = 0; i < pairs; i++) {
        const struct agg *agg = &op->aggs[i / sets];
        if (agg->order_count > 0)
            eng_rows_init(&ap->ordered[i], &agg->collect_lay, ap->arena);
        else if (agg->distinct && eng_table_init(&ap->distinct[i], &agg->collect_lay, ap->arena,
                                                 ap->budget) != LUMA_OK)
            return ENG_NOMEM(p->ctx, "an aggregate");
    }
    return LUMA_OK;
}

void
eng_agg_part_free(const struct op_agg *op, struct agg_part *ap)
{
    if (ap->ready) {
        for (uint32_t s = 0; s < eng_agg_sets(op); s++)
            eng_table_fini(&ap->tables[s]);
        for (uint32_t s = 0; s < eng_agg_sets(op) * op->aggs_count; s++)
            eng_table_fini(&ap->distinct[s]);
    }
    for (uint32_t s = 0; ap->spools != NULL && s < eng_agg_sets(op); s++)
        eng_spools_fini(&ap->spools[s]);
    ap->spools = NULL;
    ap->ready = ap->spilling = false;
    if (ap->own == NULL)
        return;
    eng.mem->arena_destroy(ap->arena);
    eng.mem->budget_destroy(ap->own);
    ap->own = NULL;
    ap->arena = NULL;
}

/* --- finding groups --- */

/* All keys in dictionary form with few combinations: one lookup per combination. */
static luma_rc
find_by_codes(struct xenv *e, const struct op_agg *op, struct agg_table *t,
              const struct luma_vec *keys, const uint16_t *sel, uint32_t n, uint32_t rows,
              struct grouped *g, bool *out_done)
{
    uint32_t combos = 1;
    *out_done = false;
    for (uint32_t c = 0; c < op->keys_count; c++) {
        if (keys[c].form != LUMA_VEC_DICT || keys[c].dict_rows >= CODE_MAP_MAX)
            return LUMA_OK;
        combos *= keys[c].dict_rows + 1;
        if (combos > CODE_MAP_MAX || combos > n)
            return LUMA_OK;
    }
    uint8_t **map = luma_arena_zalloc(e->arena, sizeof(*map) * combos);
    struct luma_vec *one = luma_arena_alloc(e->arena, sizeof(*one) * op->keys_count);
    if (map == NULL || one == NULL)
        return ENG_NOMEM(e->ctx, "an aggregate");
    (void)rows;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k), combo = 0;
        for (uint32_t c = 0; c < op->keys_count; c++) {
            uint32_t code = luma_vec_is_null(&keys[c], row) ? keys[c].dict_rows
                                                            : ((const uint32_t *)keys[c].data)[row];
            combo = combo * (keys[c].dict_rows + 1) + code;
        }
        if (map[combo] == NULL) {
            uint16_t at = (uint16_t)row;
            for (uint32_t c = 0; c < op->keys_count; c++)
                one[c] = keys[c];
            uint64_t hash;
            struct luma_vec *flat = luma_arena_alloc(e->arena, sizeof(*flat) * op->keys_count);
            ENG_NEED(e->ctx, flat, "an aggregate");
            LUMA_TRY(
                eng_table_keys(e, &op->lay, op->keys_count, one, &at, 1, row + 1, flat, &hash));
            LUMA_TRY(eng_table_find(e->ctx, t, flat, &at, 1, &hash, &map[combo]));
        }
        g->groups[k] = map[combo];
    }
    *out_done = true;
    return LUMA_OK;
}

/* Sorts the batch's rows by group when there are but a few groups: each knows its number. */
static void
split_few(struct grouped *g, const struct agg_table *t, const uint16_t *sel, uint32_t n)
{
    uint8_t of[LUMA_BATCH_ROWS];
    uint16_t counts[FEW_GROUPS] = {0}, at[FEW_GROUPS], first = 0;
    uint32_t number_off = t->rows.lay->matched_off, count = (uint32_t)t->used;
    g->few_count = 0;
    if (t->used > FEW_GROUPS || n < 64)
        return;
    for (uint32_t k = 0; k < n; k++) {
        of[k] = g->groups[k][number_off];
        counts[of[k]]++;
        g->few[of[k]] = g->groups[k];
    }
    for (uint32_t i = 0; i < count; i++) {
        g->few_first[i] = at[i] = first;
        first = (uint16_t)(first + counts[i]);
    }
    g->few_first[count] = first;
    for (uint32_t k = 0; k < n; k++)
        g->lists[at[of[k]]++] = (uint16_t)eng_sel_at(sel, k);
    g->few_count = count;
}

/* Keys of a grouping set in table form, and their hashes. */
luma_rc
eng_agg_keys(struct xenv *e, const struct op_agg *op, const struct luma_vec *keys, uint64_t mask,
             const uint16_t *sel, uint32_t n, uint32_t rows, uint64_t *hashes,
             struct luma_vec **out_flat)
{
    struct luma_vec *flat = luma_arena_alloc(e->arena, sizeof(*flat) * (op->keys_count + 1) * 2);
    ENG_NEED(e->ctx, flat, "an aggregate");
    struct luma_vec *in = flat + op->keys_count + 1;
    for (uint32_t c = 0; c < op->keys_count; c++) {
        in[c] = keys[c];
        if (!((mask >> c) & 1))
            eng_vec_null(&in[c], op->key_types[c]);
    }
    *out_flat = flat;
    return eng_table_keys(e, &op->lay, op->keys_count, in, sel, n, rows, flat, hashes);
}

/* Without keys every row is of the one group there is. */
static luma_rc
one_group(struct luma_ctx *ctx, struct agg_table *t, uint32_t n, struct grouped *g)
{
    const uint64_t hash = 0;
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng_table_find(ctx, t, NULL, NULL, 1, &hash, g->groups));
    for (uint32_t k = 1; k < n; k++)
        g->groups[k] = g->groups[0];
    g->few[0] = g->groups[0];
    g->few_first[0] = 0;
    g->few_first[1] = (uint16_t)n;
    g->few_count = 1;
    return LUMA_OK;
}

static luma_rc
find_groups(struct xenv *e, const struct op_agg *op, struct agg_table *t,
            const struct luma_vec *keys, uint64_t mask, const uint16_t *sel, uint32_t n,
            uint32_t rows, struct grouped *g)
{
    bool done = false;
    if (op->keys_count == 0) {
        LUMA_TRY(one_group(e->ctx, t, n, g));
        return LUMA_OK;
    }
    if (op->sets_count == 0)
        LUMA_TRY(find_by_codes(e, op, t, keys, sel, n, rows, g, &done));
    if (!done) {
        struct luma_vec *flat;
        LUMA_TRY(eng_agg_keys(e, op, keys, mask, sel, n, rows, g->hashes, &flat));
        LUMA_TRY(eng_table_find(e->ctx, t, flat, sel, n, g->hashes, g->groups));
    }
    split_few(g, t, sel, n);
    return LUMA_OK;
}

/* --- feeding --- */

static luma_rc
collect(struct xenv *e, const struct op_agg *op, struct agg_part *ap, uint32_t a, uint32_t set,
        struct grouped *g, const struct luma_vec *args, const struct luma_batch *in,
        const uint16_t *sel, const uint16_t *which, uint32_t n)
{
    const struct agg *agg = &op->aggs[a];
    uint32_t slot = a * eng_agg_sets(op) + set;
    struct luma_vec *vecs =
        luma_arena_alloc(e->arena, sizeof(*vecs) * (agg->collect_lay.cols + 1) * 2);
    ENG_NEED(e->ctx, vecs, "an aggregate");
    if (agg->order_count > 0) {
        for (uint32_t i = 0; i < agg->order_count; i++)
            LUMA_TRY(eng_eval(e, agg->order[i].xp, in, sel, n, &vecs[i]));
        for (uint32_t i = 0; i < agg->args_count; i++)
            vecs[agg->order_count + i] = args[i];
        uint8_t *ptrs[LUMA_BATCH_ROWS];
        LUMA_TRY(eng_rows_append(e, &ap->ordered[slot], vecs, sel, n, in->rows, NULL, ptrs));
        for (uint32_t k = 0; k < n; k++)
            ROW_NEXT(ptrs[k]) = g->groups[which[k]];
        return LUMA_OK;
    }
    /* distinct: the group's address stands for its keys within this part; in the hash it is their
     * hash, which is the same in every part */
    struct luma_vec *flat = vecs + agg->collect_lay.cols + 1;
    uint64_t hashes[LUMA_BATCH_ROWS];
    uint8_t *found[LUMA_BATCH_ROWS];
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_INT8), LUMA_PHYS_I64, in->rows, &flat[0]));
    for (uint32_t k = 0; k < n; k++) {
        uint8_t *group = g->groups[which[k]];
        ((int64_t *)flat[0].data)[eng_sel_at(sel, k)] = (int64_t)(uintptr_t)group;
        hashes[k] = ROW_HASH(group);
    }
    LUMA_TRY(eng_table_more_keys(e, &agg->collect_lay, 1, agg->collect_lay.cols, args, sel, n,
                                 in->rows, flat, hashes));
    return eng_table_find(e->ctx, &ap->distinct[slot], flat, sel, n, hashes, found);
}

/* Rows that an aggregate's FILTER and null rule leave. which[k]: index into the batch's selection.
 */
static luma_rc
narrow(struct xenv *e, const struct agg *agg, const struct luma_vec *args,
       const struct luma_batch *in, const uint16_t **inout_sel, uint32_t *inout_n, uint16_t *which)
{
    const uint16_t *sel = *inout_sel;
    uint32_t n = *inout_n, count = 0, f = 0, passed = n;
    uint16_t *rows = luma_arena_alloc(e->arena, sizeof(uint16_t) * (in->rows + 8) * 2);
    ENG_NEED(e->ctx, rows, "an aggregate");
    uint16_t *ok = rows + in->rows + 8;
    if (agg->filter != NULL)
        LUMA_TRY(eng_filter(e, agg->filter, in, sel, n, ok, &passed));
    bool nulls =
        args != NULL && (agg->distinct || agg->order_count > 0) && agg->func->aggregate != NULL &&
        (agg->kind != AGG_FUNC || agg->func->aggregate->ignores_nulls) && agg->args_count > 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        if (agg->filter != NULL) {
            if (f >= passed || ok[f] != row)
                continue;
            f++;
        }
        if (nulls && luma_vec_is_null(&args[0], row))
            continue;
        rows[count] = (uint16_t)row;
        which[count++] = (uint16_t)k;
    }
    *inout_sel = rows;
    *inout_n = count;
    return LUMA_OK;
}

luma_rc
eng_agg_feed(struct xenv *e, const struct op_agg *op, struct agg_part *ap, uint32_t a, uint32_t set,
             struct grouped *g, const struct luma_batch *in, const uint16_t *sel, uint32_t n)
{
    const struct agg *agg = &op->aggs[a];
    struct luma_vec few[4], *args = few;
    uint32_t off = op->lay.extra_off + agg->off;
    if (agg->args_count > LUMA_COUNTOF(few)) {
        args = luma_arena_alloc(e->arena, sizeof(*args) * agg->args_count);
        ENG_NEED(e->ctx, args, "an aggregate");
    }
    bool special = agg->filter != NULL || agg->distinct || agg->order_count > 0;
    uint16_t which[LUMA_BATCH_ROWS];
    const uint16_t *rows = sel;
    uint32_t count = n;
    if (agg->filter != NULL)
        LUMA_TRY(narrow(e, agg, NULL, in, &rows, &count, which));
    for (uint32_t i = 0; i < agg->args_count; i++)
        LUMA_TRY(eng_eval_flat(e, agg->args[i], in, rows, count, &args[i]));
    if (!special) {
        if (g->few_count == 0 || agg->kind == AGG_FUNC)
            return eng_agg_update_many(e, agg, g->groups, off, args, sel, n, in->rows);
        for (uint32_t i = 0; i < g->few_count; i++) {
            bool all = g->few_count == 1;
            if (g->few_first[i + 1] == g->few_first[i])
                continue;
            LUMA_TRY(eng_agg_update_one(
                e, agg, g->few[i] + off, args, all ? sel : g->lists + g->few_first[i],
                (uint32_t)(g->few_first[i + 1] - g->few_first[i]), in->rows));
        }
        return LUMA_OK;
    }
    if (agg->distinct || agg->order_count > 0) {
        rows = sel;
        count = n;
        LUMA_TRY(narrow(e, agg, args, in, &rows, &count, which));
        return count == 0 ? LUMA_OK : collect(e, op, ap, a, set, g, args, in, rows, which, count);
    }
    uint8_t *groups[LUMA_BATCH_ROWS];
    for (uint32_t k = 0; k < count; k++)
        groups[k] = g->groups[which[k]];
    return count == 0 ? LUMA_OK
                      : eng_agg_update_many(e, agg, groups, off, args, rows, count, in->rows);
}

luma_rc
eng_agg_batch(struct part *p, const struct op_agg *op, struct agg_part *ap, struct luma_batch *in,
              uint32_t set, uint32_t set_end, bool all_out)
{
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv env = eng_env(p, arena), *e = &env;
    env.states = ap->arena;
    struct grouped *g = luma_arena_alloc(arena, sizeof(*g));
    struct luma_vec *keys = luma_arena_alloc(arena, sizeof(*keys) * (op->keys_count + 1));
    if (g == NULL || keys == NULL)
        return ENG_NOMEM(p->ctx, "an aggregate");
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(e, op->keys[i], in, in->sel, in->sel_rows, &keys[i]));
    for (; set < set_end; set++) {
        uint64_t mask = op->sets_count == 0 ? UINT64_MAX : op->sets[set];
        if (ap->spilling) {
            LUMA_TRY(eng_agg_spill_batch(e, op, ap, set, keys, mask, in, g, all_out));
            continue;
        }
        LUMA_TRY(
            find_groups(e, op, &ap->tables[set], keys, mask, in->sel, in->sel_rows, in->rows, g));
        for (uint32_t a = 0; a < op->aggs_count; a++)
            if (op->aggs[a].same_as == UINT32_MAX)
                LUMA_TRY(eng_agg_feed(e, op, ap, a, set, g, in, in->sel, in->sel_rows));
    }
    return LUMA_OK;
}

/* The tables of the parts, which are merged in the end. Rows that others point to stay where they
 * are: groups for which something is collected. */
static void
allow_split(const struct op_agg *op, struct agg_part *ap)
{
    ap->tables[0].may_split = op->sets_count == 0 && op->keys_count > 0 && !op->collects;
    for (uint32_t i = 0; op->sets_count == 0 && i < op->aggs_count; i++)
        ap->distinct[i].may_split = op->aggs[i].distinct && op->aggs[i].order_count == 0;
}

static luma_rc
agg_sink(struct part *p, void *arg, struct luma_batch *in)
{
    const struct op_agg *op = arg;
    struct agg_state *st = p->x->op_state[op->op.id];
    struct agg_part *ap = st->part[p->index];
    if (!ap->ready) {
        LUMA_TRY(eng_agg_part_ready(p, op, ap));
        allow_split(op, ap);
    }
    if (!ap->spilling && eng_agg_spill_due(p->x, op, ap, in->sel_rows, st->parts))
        LUMA_TRY(eng_agg_spill_begin(p, op, st, ap));
    return eng_agg_batch(p, op, ap, in, 0, eng_agg_sets(op),
                         ap->spilling && eng_agg_spill_all(op, ap));
}

/* --- merging --- */

static luma_rc
merge_row(struct xenv *e, const struct op_agg *op, uint8_t *into, uint8_t *from)
{
    for (uint32_t a = 0; a < op->aggs_count; a++) {
        const struct agg *agg = &op->aggs[a];
        uint32_t off = op->lay.extra_off + agg->off;
        if (agg->same_as == UINT32_MAX && !agg->distinct && agg->order_count == 0)
            LUMA_TRY(eng_agg_merge(e, agg, into + off, from + off));
    }
    ROW_NEXT(from) = from; /* dead; its twin is remembered for DISTINCT */
    ROW_HASH(from) = (uint64_t)(uintptr_t)into;
    return LUMA_OK;
}

/* Rows of one range of hashes, all of them when ranges is 1, that are not dead. */
static uint32_t
of_range(uint8_t **rows, uint32_t n, uint32_t index, uint32_t ranges)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < n; k++)
        if (!DEAD_ROW(rows[k]) && eng_agg_range(ROW_HASH(rows[k]), ranges) == index)
            rows[count++] = rows[k];
    return count;
}

static luma_rc
merge_rows(struct xenv *e, const struct op_agg *op, struct agg_table *into, const struct rows *from,
           uint32_t index, uint32_t ranges)
{
    struct rows_reader reader = {from->first, 0};
    uint8_t *rows[256], *twins[256];
    uint32_t n;
    while ((n = eng_rows_read(&reader, op->lay.bytes, rows, 256)) > 0) {
        n = of_range(rows, n, index, ranges);
        LUMA_TRY(eng_table_enter(e->ctx, into, rows, n, op->keys_count, twins));
        for (uint32_t k = 0; k < n; k++)
            if (twins[k] != NULL)
                LUMA_TRY(merge_row(e, op, twins[k], rows[k]));
        LUMA_TRY(eng.sched->yield(e->ctx));
    }
    return LUMA_OK;
}

static luma_rc
merge_serial(struct part *p, const struct op_agg *op, struct agg_state *st)
{
    struct xenv e = eng_env(p, p->arena);
    for (uint32_t set = 0; set < eng_agg_sets(op); set++)
        for (uint32_t i = 1; i < st->parts; i++)
            if (st->part[i]->ready)
                LUMA_TRY(merge_rows(&e, op, &st->part[0]->tables[set],
                                    &st->part[i]->tables[set].rows, 0, 1));
    return LUMA_OK;
}

struct merge {
    const struct op_agg *op;
    struct exec *x;
    uint32_t ranges, next;
    bool split;
};

/* The rows of one range of hashes from all tables. */
static luma_rc
merge_range(struct part *p, const struct merge *m, struct agg_table *t, uint32_t range)
{
    struct agg_state *st = m->x->op_state[m->op->op.id];
    struct xenv e = eng_env(p, p->arena);
    for (uint32_t i = 0; i < st->parts; i++) {
        const struct agg_table *from = &st->part[i]->tables[0];
        if (!st->part[i]->ready)
            continue;
        LUMA_TRY(m->split ? merge_rows(&e, m->op, t, &from->split[range], 0, 1)
                          : merge_rows(&e, m->op, t, &from->rows, range, m->ranges));
    }
    return LUMA_OK;
}

static luma_rc
merge_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct merge *m = arg;
    struct part *p = eng_part(m->x, index, ctx);
    struct agg_table t;
    uint32_t range;
    luma_rc rc = LUMA_OK;
    if (eng_table_init(&t, &m->op->lay, p->arena, m->x->budget) != LUMA_OK)
        return ENG_NOMEM(ctx, "an aggregate");
    while (rc == LUMA_OK &&
           (range = __atomic_fetch_add(&m->next, 1, __ATOMIC_RELAXED)) < m->ranges) {
        rc = merge_range(p, m, &t, range);
        eng_table_clear(&t);
    }
    eng_table_fini(&t);
    return rc;
}

static luma_rc
merge_all(struct exec *x, struct luma_ctx *ctx, const struct op_agg *op, struct agg_state *st)
{
    uint64_t groups = 0;
    struct merge m = {op, x, st->parts, 0, false};
    for (uint32_t i = 0; i < st->parts; i++)
        if (st->part[i]->ready) {
            groups += eng_table_count(&st->part[i]->tables[0]);
            m.split = m.split || st->part[i]->tables[0].split != NULL;
        }
    if (st->parts <= 1 && !m.split)
        return LUMA_OK;
    if (!m.split && (groups < AGG_MERGE_PARALLEL || op->sets_count > 0))
        return merge_serial(eng_part(x, 0, ctx), op, st);
    for (uint32_t i = 0; m.split && i < st->parts; i++)
        if (st->part[i]->ready)
            LUMA_TRY(eng_table_split(ctx, &st->part[i]->tables[0]));
    m.ranges = m.split ? AGG_RANGES : st->parts;
    luma_rc rc = eng.sched->parallel(ctx, st->parts, merge_part, &m);
    eng_part(x, 0, ctx);
    return rc;
}

/* A table without keys has its one group, rows or no rows. */
static luma_rc
need_empty_group(struct part *p, const struct op_agg *op, struct agg_state *st)
{
    for (uint32_t set = 0; set < eng_agg_sets(op); set++) {
        if (op->keys_count > 0 && (op->sets_count == 0 || op->sets[set] != 0))
            continue;
        struct agg_table *t = &st->part[0]->tables[set];
        uint8_t *group;
        uint64_t hash = 0;
        struct luma_arena *arena;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *keys = luma_arena_alloc(arena, sizeof(*keys) * (op->keys_count + 1) * 2);
        ENG_NEED(p->ctx, keys, "an aggregate");
        struct luma_vec *flat = keys + op->keys_count + 1;
        for (uint32_t c = 0; c < op->keys_count; c++)
            eng_vec_null(&keys[c], op->key_types[c]);
        LUMA_TRY(eng_table_keys(&e, &op->lay, op->keys_count, keys, NULL, 1, 1, flat, &hash));
        LUMA_TRY(eng_table_find(p->ctx, t, flat, NULL, 1, &hash, &group));
    }
    return LUMA_OK;
}

/* Chunks of a table's rows, put behind one another from *inout_count on; NULL: only counted. */
static void
table_chunks(const struct agg_table *t, struct row_chunk **out, uint32_t *inout_count)
{
    const struct rows *lists;
    uint32_t n = eng_table_lists(t, &lists);
    for (uint32_t i = 0; i < n; i++)
        for (struct row_chunk *c = lists[i].first; c != NULL; c = c->next) {
            if (out != NULL)
                out[*inout_count] = c;
            (*inout_count)++;
        }
}

static luma_rc
list_chunks(struct exec *x, struct luma_ctx *ctx, const struct op_agg *op, struct agg_state *st)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < st->parts; i++)
            for (uint32_t set = 0; st->part[i]->ready && set < eng_agg_sets(op); set++)
                table_chunks(&st->part[i]->tables[set], st->chunks, &count);
        st->chunks_count = count;
        if (pass == 0) {
            st->chunks = LUMA_NEW_ARRAY(x->arena, struct row_chunk *, count + 1);
            ENG_NEED(ctx, st->chunks, "an aggregate");
        }
    }
    return LUMA_OK;
}

static luma_rc
agg_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_agg *op = (const struct op_agg *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct agg_state), &mem));
    struct agg_state *st = mem;
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    st->parts = op->serial ? 1 : eng_parts_for(x, base->child[0]);
    st->part = LUMA_NEW_ARRAY(x->arena, struct agg_part *, st->parts);
    ENG_NEED(ctx, st->part, "an aggregate");
    for (uint32_t i = 0; i < st->parts; i++) {
        st->part[i] = LUMA_NEW(x->arena, struct agg_part);
        ENG_NEED(ctx, st->part[i], "an aggregate");
    }
    LUMA_TRY(eng_run(x, ctx, base->child[0], st->parts, agg_sink, NULL, (void *)(uintptr_t)op));
    struct part *p = eng_part(x, 0, ctx);
    LUMA_TRY(eng_agg_part_ready(p, op, st->part[0]));
    LUMA_TRY(merge_all(x, ctx, op, st));
    LUMA_TRY(need_empty_group(p, op, st));
    eng_release(x, base->child[0]);
    if (st->spilled)
        return eng_agg_spill_list(x, ctx, op, st);
    for (uint32_t set = 0; set < eng_agg_sets(op); set++)
        LUMA_TRY(eng_agg_finish_collected(p, op, st, st->part[0], set, NULL));
    return list_chunks(x, ctx, op, st);
}

static uint32_t
agg_parts(struct exec *x, const struct op *base)
{
    const struct agg_state *st = x->op_state[base->id];
    if (st->spilled)
        return st->items_count == 0 ? 1 : st->items_count;
    return st->chunks_count < 2 ? 1 : st->chunks_count;
}

/* Rows of the result from tables in memory: chunk by chunk, whichever part comes first. */
static uint32_t
next_groups(const struct op_agg *op, struct agg_state *st, struct agg_out *o, uint8_t **groups)
{
    uint32_t n = 0;
    while (n == 0) {
        if (o->chunk == NULL || o->at == o->chunk->count) {
            uint32_t next = __atomic_fetch_add(&st->next_chunk, 1, __ATOMIC_RELAXED);
            if (next >= st->chunks_count) {
                o->chunk = NULL;
                return 0;
            }
            o->chunk = st->chunks[next];
            o->at = 0;
        }
        for (; o->at < o->chunk->count && n < LUMA_BATCH_ROWS; o->at++) {
            uint8_t *row = o->chunk->data + (size_t)o->at * op->lay.bytes;
            if (!DEAD_ROW(row))
                groups[n++] = row;
        }
    }
    return n;
}

static luma_rc
agg_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_agg *op = (const struct op_agg *)base;
    struct agg_state *st = p->x->op_state[base->id];
    struct agg_out *o;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*o), &mem));
    o = mem;
    uint8_t *groups[LUMA_BATCH_ROWS];
    uint32_t n = 0;
    if (st->spilled)
        LUMA_TRY(eng_agg_spill_groups(p, op, st, &o->local, groups, &n));
    else
        n = next_groups(op, st, o, groups);
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    struct xenv e = eng_env(p, arena);
    o->cols = luma_arena_alloc(arena, sizeof(*o->cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, o->cols, "an aggregate");
    for (uint32_t c = 0; c < op->keys_count; c++)
        if (op->key_pos[c] != UINT32_MAX)
            LUMA_TRY(
                eng_rows_gather(&e, &op->lay, c, groups, NULL, n, n, &o->cols[op->key_pos[c]]));
    for (uint32_t a = 0; a < op->aggs_count; a++)
        if (op->agg_pos[a] != UINT32_MAX)
            LUMA_TRY(eng_agg_finish(&e, &op->aggs[a], groups, op->lay.extra_off + op->aggs[a].off,
                                    n, &o->cols[op->agg_pos[a]]));
    o->batch = (struct luma_batch){
        .rows = n, .sel_rows = n, .cols_count = base->cols_count, .cols = o->cols};
    *out = &o->batch;
    return LUMA_OK;
}

static void
agg_release(struct exec *x, const struct op *base)
{
    const struct op_agg *op = (const struct op_agg *)base;
    struct agg_state *st = x->op_state[base->id];
    for (uint32_t i = 0; i < x->parts_max; i++) {
        struct agg_out *o = x->parts[i] == NULL ? NULL : x->parts[i]->op_state[base->id];
        if (o != NULL)
            eng_agg_part_free(op, &o->local.ap);
    }
    for (uint32_t i = 0; st->part != NULL && i < st->parts; i++)
        if (st->part[i] != NULL)
            eng_agg_part_free(op, st->part[i]);
    eng_agg_spill_free(x, st);
}

static void
agg_close(struct exec *x, const struct op *base)
{
    struct agg_state *st = x->op_state[base->id];
    agg_release(x, base);
    eng_spill_close(x, &st->spill);
}

static void
agg_explain(struct explain *ex, const struct op *base)
{
    const struct op_agg *op = (const struct op_agg *)base;
    if (op->keys_count > 0)
        eng_explain_exprs(ex, "Group Key", base->rel->exprs, base->rel->exprs_count);
    const struct exec *x = eng_explain_exec(ex);
    const struct agg_state *st = x == NULL ? NULL : x->op_state[base->id];
    if (st != NULL)
        eng_explain_spill(ex, &st->spill);
}

static const struct op_class agg_class = {
    .name = "HashAggregate",
    .open = agg_open,
    .parts = agg_parts,
    .next = agg_next,
    .close = agg_close,
    .release = agg_release,
    .explain = agg_explain,
};

static const struct op_class plain_agg_class = {
    .name = "Aggregate",
    .open = agg_open,
    .parts = agg_parts,
    .next = agg_next,
    .close = agg_close,
    .release = agg_release,
    .explain = agg_explain,
};

/* --- building --- */

static void
collect_layout(struct prep *pp, struct agg *agg)
{
    uint32_t lead = agg->order_count > 0 ? agg->order_count : 1;
    uint32_t cols = lead + agg->args_count;
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, cols);
    for (uint32_t i = 0; i < lead; i++)
        types[i] = agg->order_count > 0 ? agg->order[i].xp->type : luma_type(LUMA_TYPE_INT8);
    for (uint32_t i = 0; i < agg->args_count; i++)
        types[lead + i] = agg->args[i]->type;
    if (eng_rowlay_init(pp->arena, types, cols, 0, &agg->collect_lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
}

static void
build_agg(struct comp *c, const struct ex *ex, struct agg *agg)
{
    struct prep *pp = c->pp;
    if (ex->func == NULL || (ex->func->aggregate == NULL && eng_agg_kind(ex) == AGG_FUNC))
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "engine: not an aggregate"));
    agg->kind = eng_agg_kind(ex);
    agg->func = ex->func;
    agg->type = ex->type;
    agg->args_count = ex->args_count;
    agg->args = eng_compile_all(c, ex->args, ex->args_count);
    for (uint32_t i = 0; i < ex->args_count; i++)
        agg->args[i]->flags |= XP_ANY_SCALE;
    agg->filter = ex->filter == NULL ? NULL : eng_compile(c, ex->filter);
    agg->order_count = ex->order_count;
    agg->order = PP_ARRAY(pp, struct xp_key, ex->order_count);
    for (uint32_t i = 0; i < ex->order_count; i++)
        agg->order[i] = (struct xp_key){eng_compile(c, ex->order[i].expr), ex->order[i].desc,
                                        ex->order[i].nulls_first};
    /* DISTINCT with its arguments in another order than asked: sort by them last. */
    agg->distinct = ex->distinct && agg->kind != AGG_MIN && agg->kind != AGG_MAX;
    agg->same_as = UINT32_MAX;
    if (agg->distinct || agg->order_count > 0)
        collect_layout(pp, agg);
    struct luma_type types[LUMA_FUNC_ARGS_MAX];
    const struct luma_value *consts[LUMA_FUNC_ARGS_MAX];
    uint32_t n = ex->args_count < LUMA_FUNC_ARGS_MAX ? ex->args_count : LUMA_FUNC_ARGS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        types[i] = ex->args[i]->type;
        consts[i] = ex->args[i]->kind == LUMA_EXPR_CONST ? &ex->args[i]->value : NULL;
    }
    eng_bind(pp, ex->func, types, consts, n, ex->type, &agg->bound);
}

static bool
share_state(const struct ex *a, const struct ex *b)
{
    enum agg_kind ka = eng_agg_kind(a), kb = eng_agg_kind(b);
    bool sums =
        ((ka == AGG_SUM || ka == AGG_AVG) && (kb == AGG_SUM || kb == AGG_AVG)) ||
        ((ka == AGG_SUM_INT || ka == AGG_AVG_INT) && (kb == AGG_SUM_INT || kb == AGG_AVG_INT));
    if ((ka != kb && !sums) || ka == AGG_FUNC || a->distinct || b->distinct || a->filter != NULL ||
        b->filter != NULL || a->order_count > 0 || b->order_count > 0 ||
        a->args_count != b->args_count)
        return false;
    for (uint32_t i = 0; i < a->args_count; i++)
        if (!eng_ex_equal(a->args[i], b->args[i]) || eng_ex_volatile(a->args[i]))
            return false;
    return true;
}

#define DISTINCT_BYTES 96 /* a value and its slot, about */
#define DISTINCT_SHARE 8  /* of the memory there is: more of them are grouped first */

/* Is it the same in whatever order the values come? */
static bool
any_order(const struct ex *ex)
{
    return eng_agg_kind(ex) != AGG_FUNC || ex->func->op == LUMA_OP_MIN ||
           ex->func->op == LUMA_OP_MAX;
}

/* Do all aggregates look at the distinct values of the same thing, and nothing else? */
static bool
same_distinct(const struct rel *rel)
{
    const struct ex *first = rel->aggs_count == 0 ? NULL : rel->aggs[0];
    for (uint32_t i = 0; i < rel->aggs_count; i++) {
        const struct ex *ex = rel->aggs[i];
        if (!ex->distinct || ex->filter != NULL || ex->order_count > 0 || ex->args_count != 1 ||
            !any_order(ex) || !eng_ex_equal(ex->args[0], first->args[0]) ||
            eng_ex_volatile(ex->args[0]))
            return false;
    }
    return first != NULL && rel->exprs_count == 0 && rel->plan != NULL &&
           rel->plan->sets_count == 0;
}

/* count(DISTINCT x) without groups keeps all values of x. When these may be too many it becomes
 * count(x) over a grouping by x, which goes to disk. */
static struct rel *
over_groups(struct prep *pp, struct rel *rel)
{
    struct luma_budget *budget = pp->session == NULL ? NULL : eng.session->budget(pp->session);
    size_t limit = eng.mem->limit_bytes(budget == NULL ? eng.mem->root() : budget);
    if (!same_distinct(rel))
        return rel;
    struct rel *groups = eng_rel_new(pp, REL_AGG, rel->child[0]);
    groups->exprs_count = groups->outs_count = 1;
    groups->exprs = rel->aggs[0]->args;
    groups->outs = PP_ARRAY(pp, uint32_t, 1);
    groups->outs[0] = eng_var_new(pp, rel->aggs[0]->args[0]->type, groups);
    if (eng_rows(pp, groups) * DISTINCT_BYTES < (double)limit / DISTINCT_SHARE)
        return rel;
    struct rel *over = PP_NEW(pp, struct rel);
    *over = *rel;
    over->child[0] = groups;
    over->aggs = PP_ARRAY(pp, struct ex *, rel->aggs_count);
    for (uint32_t i = 0; i < rel->aggs_count; i++) {
        over->aggs[i] = PP_NEW(pp, struct ex);
        *over->aggs[i] = *rel->aggs[i];
        over->aggs[i]->distinct = false;
        over->aggs[i]->args = PP_ARRAY(pp, struct ex *, 1);
        over->aggs[i]->args[0] = eng_ex_col(pp, groups->outs[0]);
    }
    return over;
}

struct op *
eng_phys_agg(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits below = {0, NULL};
    rel = over_groups(pp, rel);
    uint32_t aggs_count = 0;
    struct ex **aggs = PP_ARRAY(pp, struct ex *, rel->aggs_count);
    uint32_t *agg_vars = PP_ARRAY(pp, uint32_t, rel->aggs_count);
    for (uint32_t i = 0; i < rel->aggs_count; i++) {
        uint32_t var = rel->outs[rel->exprs_count + i];
        if (!eng_bits_has(need, var))
            continue;
        agg_vars[aggs_count] = var;
        aggs[aggs_count++] = rel->aggs[i];
    }
    eng_need_exs(pp, &below, rel->exprs, rel->exprs_count);
    eng_need_exs(pp, &below, aggs, aggs_count);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    uint32_t count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op_agg *op = eng_op_new(ph, rel->exprs_count == 0 ? &plain_agg_class : &agg_class,
                                   sizeof(*op), rel, vars, count);
    struct comp c = eng_comp(ph, child);
    op->op.child[0] = child;
    op->keys_count = rel->exprs_count;
    op->keys = eng_compile_all(&c, rel->exprs, rel->exprs_count);
    op->key_types = PP_ARRAY(pp, struct luma_type, rel->exprs_count);
    op->key_pos = PP_ARRAY(pp, uint32_t, rel->exprs_count);
    for (uint32_t i = 0; i < rel->exprs_count; i++) {
        op->key_types[i] = rel->exprs[i]->type;
        op->key_pos[i] = UINT32_MAX;
        for (uint32_t k = 0; k < count; k++)
            if (vars[k] == rel->outs[i])
                op->key_pos[i] = k;
    }
    op->aggs_count = aggs_count;
    op->aggs = PP_ARRAY(pp, struct agg, aggs_count);
    op->agg_pos = PP_ARRAY(pp, uint32_t, aggs_count);
    uint32_t off = 0;
    for (uint32_t i = 0; i < aggs_count; i++) {
        struct agg *agg = &op->aggs[i];
        build_agg(&c, aggs[i], agg);
        op->serial = op->serial || agg->order_count > 0;
        op->collects = op->collects || agg->distinct || agg->order_count > 0;
        op->agg_pos[i] = eng_op_pos(pp, &op->op, agg_vars[i]);
        for (uint32_t k = 0; k < i && agg->same_as == UINT32_MAX; k++)
            if (op->aggs[k].same_as == UINT32_MAX && share_state(aggs[k], aggs[i]))
                agg->same_as = k;
        agg->bytes = eng_agg_bytes(agg->kind, agg->func);
        off = (off + eng_agg_align(agg->kind) - 1) & ~(eng_agg_align(agg->kind) - 1);
        agg->off = agg->same_as != UINT32_MAX ? op->aggs[agg->same_as].off : off;
        off += agg->same_as != UINT32_MAX ? 0 : agg->bytes;
    }
    if (rel->plan != NULL) {
        op->sets_count = rel->plan->sets_count;
        op->sets = rel->plan->sets;
    }
    if (eng_rowlay_init(pp->arena, op->key_types, op->keys_count, off, &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}
