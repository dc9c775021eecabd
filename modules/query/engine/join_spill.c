/*
 * join_spill.c - a hash join whose build side does not fit: both sides are written out by the hash
 * of their keys, then joined partition by partition. A partition that does not fit is divided again
 * by the next bits.
 */
#include "agg.h"
#include "join.h"

luma_rc
eng_join_rows_ready(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                    struct join_part_rows *jp)
{
    if (jp->rows.lay != NULL)
        return LUMA_OK;
    if (jp->budget == NULL)
        jp->budget = eng.mem->budget_create(x->budget, "join", 0);
    if (jp->budget != NULL && jp->arena == NULL)
        jp->arena = eng.mem->arena_create(jp->budget, 32u << 10);
    ENG_NEED(ctx, jp->arena, "a hash join (build side)");
    eng_rows_init(&jp->rows, &op->lay, jp->arena);
    return LUMA_OK;
}

void
eng_join_rows_free(struct join_part_rows *jp)
{
    eng.mem->arena_destroy(jp->arena);
    jp->arena = NULL;
    jp->rows.first = jp->rows.last = NULL;
    jp->rows.lay = NULL;
    if (jp->budget != NULL)
        eng.mem->budget_destroy(jp->budget);
    jp->budget = NULL;
    if (jp->spilling)
        eng_spools_fini(&jp->build);
}

bool
eng_join_spill_due(const struct exec *x, const struct op_join *op, struct join_state *st,
                   const struct join_part_rows *jp)
{
    if (op->keys_count == 0)
        return false; /* nothing to divide by */
    if (__atomic_load_n(&st->spilled, __ATOMIC_RELAXED))
        return true;
    /* The directory comes on top: a slot or two a row. */
    size_t mine = eng.mem->used_bytes(jp->budget) + jp->rows.count * 2 * sizeof(uint64_t);
    return eng_spill_due(x, mine * st->build_parts);
}

static luma_rc
spool_types(struct part *p, const struct luma_type *types, uint32_t count, struct luma_type **out)
{
    struct luma_type *own = luma_arena_alloc(p->arena, sizeof(*own) * (count + (size_t)1));
    ENG_NEED(p->ctx, own, "a hash join");
    if (count > 0)
        memcpy(own, types, sizeof(*own) * count);
    own[count] = luma_type(LUMA_TYPE_INT8);
    *out = own;
    return LUMA_OK;
}

/* The columns and the hash, which lies densely: made as wide as the batch. */
static luma_rc
with_hash(struct xenv *e, const struct luma_vec *vecs, uint32_t cols, const uint64_t *hashes,
          const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec **out)
{
    struct luma_vec *all = luma_arena_alloc(e->arena, sizeof(*all) * (cols + 1));
    uint64_t *wide = luma_arena_alloc(e->arena, sizeof(*wide) * (rows + (size_t)1));
    if (all == NULL || wide == NULL)
        return ENG_NOMEM(e->ctx, "a hash join");
    if (cols > 0)
        memcpy(all, vecs, sizeof(*all) * cols);
    for (uint32_t k = 0; k < n; k++)
        wide[eng_sel_at(sel, k)] = hashes[k];
    eng_vec_int8(&all[cols], wide);
    *out = all;
    return LUMA_OK;
}

luma_rc
eng_join_spill_append(struct xenv *e, const struct op_join *op, struct join_part_rows *jp,
                      const struct luma_vec *vecs, const uint64_t *hashes, const uint16_t *sel,
                      uint32_t n, uint32_t rows)
{
    struct luma_vec *all;
    LUMA_TRY(with_hash(e, vecs, op->lay.cols, hashes, sel, n, rows, &all));
    jp->spilled_rows += n;
    return eng_spools_append(e, &jp->build, all, hashes, 0, sel, n, rows);
}

luma_rc
eng_join_spill_rows(struct part *p, const struct op_join *op, struct join_state *st,
                    struct join_part_rows *jp)
{
    uint8_t *ptrs[SPILL_BLOCK_ROWS];
    uint32_t n;
    struct luma_type *types;
    LUMA_TRY(spool_types(p, op->lay.types, op->lay.cols, &types));
    eng_spools_init(&jp->build, &st->spill, p->x->budget, types, op->lay.cols + 1);
    jp->spilling = true;
    __atomic_store_n(&st->spilled, true, __ATOMIC_RELAXED);
    struct rows_reader reader = {jp->rows.first, 0};
    while ((n = eng_rows_read(&reader, op->lay.bytes, ptrs, SPILL_BLOCK_ROWS)) > 0) {
        struct luma_arena *arena;
        LUMA_TRY(eng_step_arena(p, &op->op, &arena));
        LUMA_TRY(eng.sched->yield(p->ctx));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *vecs = luma_arena_alloc(arena, sizeof(*vecs) * (op->lay.cols + 1));
        uint64_t *hashes = luma_arena_alloc(arena, sizeof(*hashes) * n);
        if (vecs == NULL || hashes == NULL)
            return ENG_NOMEM(p->ctx, "a hash join");
        for (uint32_t c = 0; c < op->lay.cols; c++)
            LUMA_TRY(eng_rows_gather(&e, &op->lay, c, ptrs, NULL, n, n, &vecs[c]));
        for (uint32_t i = 0; i < n; i++)
            hashes[i] = ROW_HASH(ptrs[i]);
        LUMA_TRY(eng_join_spill_append(&e, op, jp, vecs, hashes, NULL, n, n));
    }
    if (jp->arena != NULL)
        jp->arena->reset(jp->arena);
    if (jp->rows.lay != NULL)
        eng_rows_init(&jp->rows, &op->lay, jp->arena);
    return LUMA_OK;
}

/* --- the probe side --- */

struct probe_out {
    const struct op_join *op;
    struct join_state *st;
};

static luma_rc
probe_sink(struct part *p, void *arg, struct luma_batch *in)
{
    struct probe_out *out = arg;
    const struct op_join *op = out->op;
    struct luma_arena *arena;
    LUMA_TRY(eng_step_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *keys = luma_arena_alloc(arena, sizeof(*keys) * (op->keys_count + 1) * 2);
    uint64_t *hashes = luma_arena_alloc(arena, sizeof(*hashes) * (in->sel_rows + 1));
    if (keys == NULL || hashes == NULL)
        return ENG_NOMEM(p->ctx, "a hash join");
    struct luma_vec *flat = keys + op->keys_count + 1, *all;
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(&e, op->probe_keys[i], in, in->sel, in->sel_rows, &keys[i]));
    LUMA_TRY(eng_table_keys(&e, &op->lay, op->keys_count, keys, in->sel, in->sel_rows, in->rows,
                            flat, hashes));
    LUMA_TRY(
        with_hash(&e, in->cols, op->probe_cols, hashes, in->sel, in->sel_rows, in->rows, &all));
    LUMA_TRY(eng.sched->yield(p->ctx));
    return eng_spools_append(&e, &out->st->probes[p->index], all, hashes, 0, in->sel, in->sel_rows,
                             in->rows);
}

static luma_rc
push_item(struct luma_ctx *ctx, struct exec *x, struct join_state *st, const struct join_item *item)
{
    if (st->items_count == st->items_room) {
        uint32_t room = st->items_room * 2 + 2 * SPILL_FANOUT;
        struct join_item *items = eng.mem->resize(
            x->budget, st->items, st->items_room * sizeof(*items), room * sizeof(*items));
        ENG_NEED(ctx, items, "a hash join");
        st->items = items;
        st->items_room = room;
    }
    st->items[st->items_count++] = *item;
    return LUMA_OK;
}

static uint64_t
spooled_rows(struct spool *const *spools, uint32_t count)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < count; i++)
        rows += spools[i]->rows;
    return rows;
}

/* Can the pair of sides give a row? */
static bool
worth_it(const struct op_join *op, const struct join_item *item)
{
    uint64_t build = spooled_rows(item->builds, item->builds_count);
    uint64_t probe = spooled_rows(item->probes, item->probes_count);
    bool keeps_probe = op->kind == JOIN_LEFT || op->kind == JOIN_FULL || op->kind == JOIN_ANTI;
    bool keeps_build =
        op->kind == JOIN_RIGHT || op->kind == JOIN_FULL || op->kind == JOIN_BUILD_ANTI;
    return (build > 0 && probe > 0) || (probe > 0 && keeps_probe) || (build > 0 && keeps_build);
}

static luma_rc
list_partitions(struct part *p, const struct op_join *op, struct join_state *st)
{
    for (uint32_t k = 0; k < SPILL_FANOUT; k++) {
        struct join_item item = {.builds_count = st->build_parts, .probes_count = st->probe_parts};
        item.builds = LUMA_NEW_ARRAY(p->arena, struct spool *, st->build_parts);
        item.probes = LUMA_NEW_ARRAY(p->arena, struct spool *, st->probe_parts);
        if (item.builds == NULL || item.probes == NULL)
            return ENG_NOMEM(p->ctx, "a hash join");
        for (uint32_t i = 0; i < st->build_parts; i++)
            item.builds[i] = &st->built[i].build.of[k];
        for (uint32_t i = 0; i < st->probe_parts; i++)
            item.probes[i] = &st->probes[i].of[k];
        if (worth_it(op, &item))
            LUMA_TRY(push_item(p->ctx, p->x, st, &item));
    }
    return LUMA_OK;
}

luma_rc
eng_join_spill_probe(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                     struct join_state *st)
{
    const struct op *child = op->op.child[0];
    struct probe_out out = {op, st};
    for (uint32_t i = 0; i < st->build_parts; i++)
        LUMA_TRY(eng_spools_flush(ctx, &st->built[i].build));
    uint32_t parts = eng_parts_for(x, child);
    st->probes = LUMA_NEW_ARRAY(x->arena, struct spools, parts);
    ENG_NEED(ctx, st->probes, "a hash join");
    st->probe_parts = parts;
    LUMA_TRY(spool_types(eng_part(x, 0, ctx), child->types, op->probe_cols, &st->probe_types));
    for (uint32_t i = 0; i < parts; i++)
        eng_spools_init(&st->probes[i], &st->spill, x->budget, st->probe_types, op->probe_cols + 1);
    LUMA_TRY(eng_run(x, ctx, child, parts, probe_sink, NULL, &out));
    eng_release(x, child);
    for (uint32_t i = 0; i < parts; i++)
        LUMA_TRY(eng_spools_flush(ctx, &st->probes[i]));
    return list_partitions(eng_part(x, 0, ctx), op, st);
}

/* --- a partition --- */

/* One side of a partition, divided by the next bits of the hash. */
static luma_rc
divide_side(struct part *p, const struct op_join *op, struct join_state *st,
            struct spool *const *from, uint32_t count, uint32_t level, struct spools *to)
{
    const struct spool *like = from[0];
    eng_spools_init(to, &st->spill, p->x->budget, like->types, like->cols);
    for (uint32_t i = 0; i < count; i++) {
        struct spool_reader reader;
        luma_rc rc = LUMA_OK;
        eng_spool_reader_init(&reader, from[i]);
        for (;;) {
            struct luma_arena *arena;
            struct luma_batch *batch = NULL;
            rc = eng_step_arena(p, &op->op, &arena);
            reader.cols = NULL;
            if (rc == LUMA_OK)
                rc = eng_spool_read(p->ctx, &reader, arena, &batch);
            if (rc != LUMA_OK || batch == NULL)
                break;
            struct xenv e = eng_env(p, arena);
            rc = eng_spools_append(&e, to, batch->cols, batch->cols[like->cols - 1].data, level,
                                   NULL, batch->rows, batch->rows);
            if (rc == LUMA_OK)
                rc = eng.sched->yield(p->ctx);
            if (rc != LUMA_OK)
                break;
        }
        eng_spool_reader_fini(&reader);
        LUMA_TRY(rc);
    }
    return eng_spools_flush(p->ctx, to);
}

static luma_rc
divide(struct part *p, const struct op_join *op, struct join_state *st,
       const struct join_item *item)
{
    struct join_divided *made = LUMA_NEW(p->arena, struct join_divided);
    struct spool **spools = LUMA_NEW_ARRAY(p->arena, struct spool *, 2 * SPILL_FANOUT);
    if (made == NULL || spools == NULL)
        return ENG_NOMEM(p->ctx, "a hash join");
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &st->lock));
    made->next = st->divided; /* closing frees it, whatever happens below */
    st->divided = made;
    eng.sched->mutex_unlock(&st->lock);
    LUMA_TRY(
        divide_side(p, op, st, item->builds, item->builds_count, item->level + 1, &made->sides[0]));
    LUMA_TRY(
        divide_side(p, op, st, item->probes, item->probes_count, item->level + 1, &made->sides[1]));
    luma_rc rc = eng.sched->mutex_lock(p->ctx, &st->lock);
    LUMA_TRY(rc);
    for (uint32_t k = 0; k < SPILL_FANOUT && rc == LUMA_OK; k++) {
        struct join_item part = {.level = item->level + 1, .builds_count = 1, .probes_count = 1};
        part.builds = &spools[2 * k];
        part.probes = &spools[2 * k + 1];
        part.builds[0] = &made->sides[0].of[k];
        part.probes[0] = &made->sides[1].of[k];
        if (worth_it(op, &part))
            rc = push_item(p->ctx, p->x, st, &part);
    }
    eng.sched->mutex_unlock(&st->lock);
    return rc;
}

/* What the rows of a partition take in memory, directory included. */
static uint64_t
memory_of(const struct op_join *op, const struct join_item *item)
{
    uint64_t bytes = 0, rows = spooled_rows(item->builds, item->builds_count);
    for (uint32_t i = 0; i < item->builds_count; i++)
        bytes += item->builds[i]->bytes;
    uint64_t fixed = rows * (op->lay.bytes + 2 * sizeof(uint64_t));
    return fixed > bytes ? fixed : bytes + rows * 2 * sizeof(uint64_t);
}

static luma_rc
load_rows(struct part *p, const struct op_join *op, struct join_local *local)
{
    struct join_part_rows *jp = &local->built;
    for (uint32_t i = 0; i < local->item.builds_count; i++) {
        struct spool_reader reader;
        luma_rc rc = LUMA_OK;
        eng_spool_reader_init(&reader, local->item.builds[i]);
        for (;;) {
            struct luma_arena *arena;
            struct luma_batch *batch = NULL;
            rc = eng_step_arena(p, &op->op, &arena);
            reader.cols = NULL;
            if (rc == LUMA_OK)
                rc = eng_spool_read(p->ctx, &reader, arena, &batch);
            if (rc != LUMA_OK || batch == NULL)
                break;
            struct xenv e = eng_env(p, arena);
            rc = eng_rows_append(&e, &jp->rows, batch->cols, NULL, batch->rows, batch->rows,
                                 batch->cols[op->lay.cols].data, NULL);
            if (rc == LUMA_OK)
                rc = eng.sched->yield(p->ctx);
            if (rc != LUMA_OK)
                break;
        }
        eng_spool_reader_fini(&reader);
        LUMA_TRY(rc);
    }
    return LUMA_OK;
}

static luma_rc
pop_item(struct part *p, struct join_state *st, struct join_item *out, bool *out_found)
{
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &st->lock));
    *out_found = st->items_count > 0;
    if (*out_found)
        *out = st->items[--st->items_count];
    eng.sched->mutex_unlock(&st->lock);
    return LUMA_OK;
}

luma_rc
eng_join_take(struct part *p, const struct op_join *op, struct join_state *st,
              struct join_local *local)
{
    for (;;) {
        bool found;
        struct join_item item;
        LUMA_TRY(pop_item(p, st, &item, &found));
        if (!found)
            return LUMA_OK;
        if (item.level + 1 < SPILL_LEVELS &&
            memory_of(op, &item) > eng_spill_share(p->x, p->x->parts_max)) {
            LUMA_TRY(divide(p, op, st, &item));
            continue;
        }
        memset(local, 0, sizeof(*local));
        local->item = item;
        local->open = true;
        local->state.build_parts = 1;
        local->state.built = &local->built;
        local->state.parts_left = 1;
        LUMA_TRY(eng_join_rows_ready(p->x, p->ctx, op, &local->built));
        LUMA_TRY(load_rows(p, op, local));
        local->state.count = st->count; /* of the whole side: what NOT IN asks for */
        return eng_join_directory(p->x, p->ctx, op, &local->state);
    }
}

luma_rc
eng_join_read(struct part *p, const struct op_join *op, struct join_local *local,
              struct luma_batch **out)
{
    *out = NULL;
    for (;;) {
        if (!local->reading) {
            if (local->probe_at == local->item.probes_count)
                return LUMA_OK;
            eng_spool_reader_init(&local->reader, local->item.probes[local->probe_at++]);
            local->reading = true;
        }
        LUMA_TRY(eng.sched->yield(p->ctx));
        LUMA_TRY(eng_spool_read(p->ctx, &local->reader, local->built.arena, out));
        if (*out != NULL) {
            (*out)->cols_count = op->probe_cols;
            return LUMA_OK;
        }
        eng_spool_reader_fini(&local->reader);
        local->reading = false;
    }
}

void
eng_join_drop(struct exec *x, struct join_local *local)
{
    if (!local->open)
        return;
    if (local->reading)
        eng_spool_reader_fini(&local->reader);
    local->reading = local->open = false;
    eng_join_free(x, &local->state);
}

void
eng_join_spill_free(struct exec *x, struct join_state *st)
{
    for (uint32_t i = 0; st->probes != NULL && i < st->probe_parts; i++)
        eng_spools_fini(&st->probes[i]);
    st->probes = NULL;
    for (struct join_divided *d = st->divided; d != NULL; d = d->next)
        for (uint32_t i = 0; i < 2; i++)
            eng_spools_fini(&d->sides[i]);
    st->divided = NULL;
    if (st->items != NULL)
        eng.mem->release(x->budget, st->items, st->items_room * sizeof(*st->items));
    st->items = NULL;
    st->items_count = st->items_room = 0;
}
