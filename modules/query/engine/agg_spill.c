/*
 * agg_spill.c - groups that do not fit: from then on a part makes no new group. Rows of groups it
 * has are added to them as before, the others are written out by the hash of their keys; at the end
 * the groups in memory and the rows on disk meet partition by partition. A partition whose groups
 * do not fit either is divided again by the next bits.
 */
#include "agg.h"

/* Groups by a volatile expression would differ when it is computed again. */
static bool
can_spill(const struct op_agg *op)
{
    bool can = eng.temp != NULL && op->keys_count > 0;
    for (uint32_t i = 0; i < op->keys_count; i++)
        can = can && !(op->keys[i]->flags & XP_VOLATILE);
    return can;
}

/* What the tables would take more, if so many groups came. */
static size_t
growth(const struct op_agg *op, const struct agg_part *ap, uint32_t rows)
{
    size_t bytes = (size_t)rows * op->lay.bytes;
    for (uint32_t s = 0; s < eng_agg_sets(op); s++)
        if ((ap->tables[s].used + rows) * 3 > (ap->tables[s].mask + 1) * 2)
            bytes += (ap->tables[s].mask + 1) * 2 * sizeof(uint64_t);
    for (uint32_t i = 0; op->collects && i < eng_agg_sets(op) * op->aggs_count; i++) {
        const struct agg *agg = &op->aggs[i / eng_agg_sets(op)];
        if (!agg->distinct && agg->order_count == 0)
            continue;
        bytes += (size_t)rows * agg->collect_lay.bytes;
        if (ap->distinct[i].slots != NULL &&
            (ap->distinct[i].used + rows) * 3 > (ap->distinct[i].mask + 1) * 2)
            bytes += (ap->distinct[i].mask + 1) * 2 * sizeof(uint64_t);
    }
    return bytes;
}

bool
eng_agg_spill_due(const struct exec *x, const struct op_agg *op, const struct agg_part *ap,
                  uint32_t rows, uint32_t parts)
{
    if (!can_spill(op))
        return false;
    size_t mine = eng.mem->used_bytes(ap->budget) + growth(op, ap, rows);
    return eng_spill_due(x, mine * parts);
}

bool
eng_agg_spill_all(const struct op_agg *op, const struct agg_part *ap)
{
    /* Collected arguments grow with every row, whatever the group. */
    return op->collects ||
           eng.mem->used_bytes(ap->budget) > ap->spilling_bytes + ap->spilling_bytes / 4;
}

luma_rc
eng_agg_spill_begin(struct part *p, const struct op_agg *op, struct agg_state *st,
                    struct agg_part *ap)
{
    const struct op *child = op->op.child[0];
    ap->spools = LUMA_NEW_ARRAY(ap->arena, struct spools, eng_agg_sets(op));
    ENG_NEED(p->ctx, ap->spools, "an aggregate");
    for (uint32_t s = 0; s < eng_agg_sets(op); s++)
        eng_spools_init(&ap->spools[s], &st->spill, p->x->budget, child->types, child->cols_count);
    ap->spilling = true;
    ap->spilling_bytes = eng.mem->used_bytes(ap->budget);
    __atomic_store_n(&st->spilled, true, __ATOMIC_RELAXED);
    return LUMA_OK;
}

luma_rc
eng_agg_spill_batch(struct xenv *e, const struct op_agg *op, struct agg_part *ap, uint32_t set,
                    const struct luma_vec *keys, uint64_t mask, struct luma_batch *in,
                    struct grouped *g, bool all_out)
{
    uint16_t *known = luma_arena_alloc(e->arena, sizeof(uint16_t) * (in->sel_rows + 8) * 2);
    uint64_t *hashes = luma_arena_alloc(e->arena, sizeof(uint64_t) * (in->sel_rows + 1));
    if (known == NULL || hashes == NULL)
        return ENG_NOMEM(e->ctx, "an aggregate");
    uint16_t *unknown = known + in->sel_rows + 8;
    uint32_t n = 0, out = 0;
    struct luma_vec *flat;
    LUMA_TRY(eng_agg_keys(e, op, keys, mask, in->sel, in->sel_rows, in->rows, g->hashes, &flat));
    if (all_out)
        memset(g->groups, 0, sizeof(g->groups[0]) * in->sel_rows);
    else
        eng_table_lookup(&ap->tables[set], flat, in->sel, in->sel_rows, g->hashes, g->groups);
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint16_t row = (uint16_t)luma_batch_row(in, k);
        if (g->groups[k] != NULL) {
            g->groups[n] = g->groups[k];
            known[n++] = row;
        } else {
            hashes[out] = g->hashes[k];
            unknown[out++] = row;
        }
    }
    if (out > 0)
        LUMA_TRY(eng_spools_append(e, &ap->spools[set], in->cols, hashes, ap->level, unknown, out,
                                   in->rows));
    g->few_count = 0;
    for (uint32_t a = 0; a < op->aggs_count && n > 0; a++)
        if (op->aggs[a].same_as == UINT32_MAX)
            LUMA_TRY(eng_agg_feed(e, op, ap, a, set, g, in, known, n));
    return eng.sched->yield(e->ctx);
}

/* --- partitions --- */

bool
eng_agg_spill_has(const struct agg_item *item, uint64_t hash)
{
    uint64_t bits = 4 * ((uint64_t)item->level + 1);
    return ((hash >> (60 - bits)) & (((uint64_t)1 << bits) - 1)) == item->number;
}

static luma_rc
push_item(struct luma_ctx *ctx, struct exec *x, struct agg_state *st, const struct agg_item *item)
{
    if (st->items_count == st->items_room) {
        uint32_t room = st->items_room * 2 + 2 * SPILL_FANOUT;
        struct agg_item *items = eng.mem->resize(
            x->budget, st->items, st->items_room * sizeof(*items), room * sizeof(*items));
        ENG_NEED(ctx, items, "an aggregate");
        st->items = items;
        st->items_room = room;
    }
    st->items[st->items_count++] = *item;
    return LUMA_OK;
}

luma_rc
eng_agg_spill_list(struct exec *x, struct luma_ctx *ctx, const struct op_agg *op,
                   struct agg_state *st)
{
    for (uint32_t i = 0; i < st->parts; i++)
        for (uint32_t s = 0; s < eng_agg_sets(op); s++) {
            if (st->part[i]->spilling)
                LUMA_TRY(eng_spools_flush(ctx, &st->part[i]->spools[s]));
            if (st->part[i]->ready)
                eng_table_fini(&st->part[i]->tables[s]); /* its rows stay */
        }
    for (uint32_t s = 0; s < eng_agg_sets(op); s++)
        for (uint32_t k = 0; k < SPILL_FANOUT; k++) {
            struct agg_item item = {.set = s, .number = k, .groups = true};
            item.spools = LUMA_NEW_ARRAY(x->arena, struct spool *, st->parts);
            ENG_NEED(ctx, item.spools, "an aggregate");
            for (uint32_t i = 0; i < st->parts; i++)
                if (st->part[i]->spilling)
                    item.spools[item.spools_count++] = &st->part[i]->spools[s].of[k];
            LUMA_TRY(push_item(ctx, x, st, &item));
        }
    return LUMA_OK;
}

/* Those of a list of groups that are of the partition. */
static luma_rc
enter_list(struct part *p, const struct op_agg *op, struct agg_local *local,
           const struct rows *list)
{
    struct agg_table *t = &local->ap.tables[local->item.set];
    struct rows_reader reader = {list->first, 0};
    uint8_t *rows[256], *twins[256];
    uint32_t n;
    while ((n = eng_rows_read(&reader, op->lay.bytes, rows, 256)) > 0) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++)
            if (!DEAD_ROW(rows[k]) && eng_agg_spill_has(&local->item, ROW_HASH(rows[k])))
                rows[count++] = rows[k];
        uint8_t number = (uint8_t)t->used; /* its number among few */
        LUMA_TRY(eng_table_enter(p->ctx, t, rows, count, op->keys_count, twins));
        for (uint32_t k = 0; k < count; k++)
            rows[k][op->lay.matched_off] = number++;
        LUMA_TRY(eng.sched->yield(p->ctx));
    }
    return LUMA_OK;
}

/* The groups in memory that are of the partition. */
static luma_rc
enter_groups(struct part *p, const struct op_agg *op, struct agg_state *st, struct agg_local *local)
{
    for (uint32_t i = 0; i < st->parts; i++) {
        const struct rows *lists;
        if (!st->part[i]->ready)
            continue;
        uint32_t n = eng_table_lists(&st->part[i]->tables[local->item.set], &lists);
        for (uint32_t k = 0; k < n; k++)
            LUMA_TRY(enter_list(p, op, local, &lists[k]));
    }
    return LUMA_OK;
}

/* Reads the item's rows batch by batch into fn. */
static luma_rc
each_batch(struct part *p, const struct op_agg *op, const struct agg_item *item, void *arg,
           luma_rc (*fn)(struct part *p, const struct op_agg *op, void *arg,
                         struct luma_batch *batch))
{
    for (uint32_t i = 0; i < item->spools_count; i++) {
        struct spool_reader reader;
        luma_rc rc = LUMA_OK;
        eng_spool_reader_init(&reader, item->spools[i]);
        while (rc == LUMA_OK) {
            struct luma_arena *arena;
            struct luma_batch *batch = NULL;
            rc = eng_step_arena(p, &op->op, &arena);
            reader.cols = NULL;
            if (rc == LUMA_OK)
                rc = eng_spool_read(p->ctx, &reader, arena, &batch);
            if (rc != LUMA_OK || batch == NULL)
                break;
            rc = fn(p, op, arg, batch);
            if (rc == LUMA_OK)
                rc = eng.sched->yield(p->ctx);
        }
        eng_spool_reader_fini(&reader);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

/* What the arguments to be collected will take; 0: nothing is collected. */
static uint64_t
collected_bytes(const struct op_agg *op, const struct agg_item *item)
{
    uint64_t rows = 0, bytes = 0, row_bytes = 0;
    for (uint32_t i = 0; i < item->spools_count; i++) {
        rows += item->spools[i]->rows;
        bytes += item->spools[i]->bytes;
    }
    for (uint32_t a = 0; a < op->aggs_count; a++)
        if (op->aggs[a].distinct || op->aggs[a].order_count > 0)
            row_bytes += op->aggs[a].collect_lay.bytes + 3 * sizeof(uint64_t);
    return row_bytes == 0 ? 0 : rows * row_bytes + bytes / 2;
}

struct dividing {
    const struct agg_item *item;
    struct agg_divided *made;
};

static luma_rc
divide_batch(struct part *p, const struct op_agg *op, void *arg, struct luma_batch *batch)
{
    struct dividing *d = arg;
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *keys = luma_arena_alloc(arena, sizeof(*keys) * (op->keys_count + 1)), *flat;
    uint64_t *hashes = luma_arena_alloc(arena, sizeof(*hashes) * (batch->rows + (size_t)1));
    if (keys == NULL || hashes == NULL)
        return ENG_NOMEM(p->ctx, "an aggregate");
    uint64_t mask = op->sets_count == 0 ? UINT64_MAX : op->sets[d->item->set];
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(&e, op->keys[i], batch, NULL, batch->rows, &keys[i]));
    LUMA_TRY(eng_agg_keys(&e, op, keys, mask, NULL, batch->rows, batch->rows, hashes, &flat));
    return eng_spools_append(&e, &d->made->spools, batch->cols, hashes, d->item->level + 1, NULL,
                             batch->rows, batch->rows);
}

/* The item's rows by the next bits; groups: those in memory go along. */
static luma_rc
push_divided(struct part *p, struct agg_state *st, const struct agg_item *item,
             struct agg_divided *made, bool groups)
{
    struct spool **spools = LUMA_NEW_ARRAY(p->arena, struct spool *, SPILL_FANOUT);
    ENG_NEED(p->ctx, spools, "an aggregate");
    LUMA_TRY(eng_spools_flush(p->ctx, &made->spools));
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &st->lock));
    luma_rc rc = LUMA_OK;
    for (uint32_t k = 0; k < SPILL_FANOUT && rc == LUMA_OK; k++) {
        struct agg_item part = {.set = item->set,
                                .level = item->level + 1,
                                .number = item->number * SPILL_FANOUT + k,
                                .groups = groups,
                                .spools_count = 1};
        spools[k] = &made->spools.of[k];
        part.spools = &spools[k];
        if (spools[k]->rows > 0 || groups)
            rc = push_item(p->ctx, p->x, st, &part);
    }
    eng.sched->mutex_unlock(&st->lock);
    return rc;
}

/* Closing frees it, whatever happens until then. */
static luma_rc
divided_new(struct part *p, struct agg_state *st, struct agg_divided **out)
{
    struct agg_divided *made = LUMA_NEW(p->arena, struct agg_divided);
    ENG_NEED(p->ctx, made, "an aggregate");
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &st->lock));
    made->next = st->divided;
    st->divided = made;
    eng.sched->mutex_unlock(&st->lock);
    *out = made;
    return LUMA_OK;
}

static luma_rc
divide(struct part *p, const struct op_agg *op, struct agg_state *st, const struct agg_item *item)
{
    const struct op *child = op->op.child[0];
    struct dividing d = {item, NULL};
    LUMA_TRY(divided_new(p, st, &d.made));
    eng_spools_init(&d.made->spools, &st->spill, p->x->budget, child->types, child->cols_count);
    LUMA_TRY(each_batch(p, op, item, &d, divide_batch));
    return push_divided(p, st, item, d.made, item->groups);
}

struct replaying {
    struct agg_state *st;
    struct agg_local *local;
};

static luma_rc
replay_batch(struct part *p, const struct op_agg *op, void *arg, struct luma_batch *batch)
{
    struct replaying *r = arg;
    struct agg_part *ap = &r->local->ap;
    const struct agg_item *item = &r->local->item;
    if (!ap->spilling && item->level + 1 < SPILL_LEVELS &&
        eng_agg_spill_due(p->x, op, ap, batch->sel_rows, p->x->parts_max)) {
        LUMA_TRY(eng_agg_spill_begin(p, op, r->st, ap));
        ap->level = item->level + 1;
    }
    return eng_agg_batch(p, op, ap, batch, item->set, item->set + 1, false);
}

/* What the partition had no memory for becomes partitions of its own; its groups are all here. */
static luma_rc
hand_back(struct part *p, struct agg_state *st, struct agg_local *local)
{
    struct agg_part *ap = &local->ap;
    struct agg_divided *made;
    if (!ap->spilling)
        return LUMA_OK;
    LUMA_TRY(divided_new(p, st, &made));
    made->spools = ap->spools[local->item.set];
    memset(&ap->spools[local->item.set], 0, sizeof(made->spools));
    return push_divided(p, st, &local->item, made, false);
}

static luma_rc
pop_item(struct part *p, struct agg_state *st, struct agg_item *out, bool *out_found)
{
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &st->lock));
    *out_found = st->items_count > 0;
    if (*out_found)
        *out = st->items[--st->items_count];
    eng.sched->mutex_unlock(&st->lock);
    return LUMA_OK;
}

static luma_rc
take(struct part *p, const struct op_agg *op, struct agg_state *st, struct agg_local *local,
     bool *out_found)
{
    struct agg_item item;
    for (;;) {
        LUMA_TRY(pop_item(p, st, &item, out_found));
        if (!*out_found)
            return LUMA_OK;
        if (item.level + 1 == SPILL_LEVELS ||
            collected_bytes(op, &item) <= eng_spill_share(p->x, p->x->parts_max))
            break;
        LUMA_TRY(divide(p, op, st, &item));
    }
    memset(local, 0, sizeof(*local));
    local->item = item;
    LUMA_TRY(eng_agg_part_ready(p, op, &local->ap));
    if (item.groups)
        LUMA_TRY(enter_groups(p, op, st, local));
    struct replaying r = {st, local};
    LUMA_TRY(each_batch(p, op, &item, &r, replay_batch));
    LUMA_TRY(hand_back(p, st, local));
    LUMA_TRY(eng_agg_finish_collected(p, op, st, &local->ap, item.set, &local->item));
    local->open = true;
    return LUMA_OK;
}

luma_rc
eng_agg_spill_groups(struct part *p, const struct op_agg *op, struct agg_state *st,
                     struct agg_local *local, uint8_t **out_groups, uint32_t *out_n)
{
    *out_n = 0;
    for (;;) {
        bool found = true;
        if (local->open)
            *out_n = eng_table_groups(&local->ap.tables[local->item.set], &local->slot, out_groups,
                                      LUMA_BATCH_ROWS);
        if (*out_n > 0)
            return LUMA_OK;
        local->open = false;
        eng_agg_part_free(op, &local->ap);
        LUMA_TRY(take(p, op, st, local, &found));
        if (!found)
            return LUMA_OK;
    }
}

void
eng_agg_spill_free(struct exec *x, struct agg_state *st)
{
    for (struct agg_divided *d = st->divided; d != NULL; d = d->next)
        eng_spools_fini(&d->spools);
    st->divided = NULL;
    if (st->items != NULL)
        eng.mem->release(x->budget, st->items, st->items_room * sizeof(*st->items));
    st->items = NULL;
    st->items_count = st->items_room = 0;
}
