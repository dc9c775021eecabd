/*
 * join_build.c - the build side: rows kept by each part, chained from one directory whose entries
 * carry a 16-bit filter beside the pointer; and the runtime filters made of its keys.
 */
#include "agg.h"
#include "join.h"

#define PTR_MASK        (((uint64_t)1 << 48) - 1)
#define PARALLEL_CHAIN  100000
#define FILTER_ROWS_MAX (4u << 20)
#define FILTER_KEYS_MAX 4

bool
eng_join_keeps_build(enum join_kind kind)
{
    return kind == JOIN_RIGHT || kind == JOIN_FULL || kind == JOIN_BUILD_SEMI ||
           kind == JOIN_BUILD_ANTI;
}

struct build {
    const struct op_join *op;
    struct join_state *st;
    struct exec *x;
    uint32_t next_chunk_part;
};

static luma_rc
build_sink(struct part *p, void *arg, struct luma_batch *in)
{
    struct build *b = arg;
    const struct op_join *op = b->op;
    struct join_part_rows *jp = &b->st->built[p->index];
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    LUMA_TRY(eng_join_rows_ready(p->x, p->ctx, op, jp));
    if (!jp->spilling && eng_join_spill_due(p->x, op, b->st, jp))
        LUMA_TRY(eng_join_spill_rows(p, op, b->st, jp));
    struct luma_vec *vecs = luma_arena_alloc(arena, sizeof(*vecs) * (op->lay.cols + 1) * 2);
    uint64_t *hashes = luma_arena_alloc(arena, sizeof(uint64_t) * (in->sel_rows + 1));
    uint16_t *live = luma_arena_alloc(arena, sizeof(uint16_t) * (in->rows + 8));
    if (vecs == NULL || hashes == NULL || live == NULL)
        return ENG_NOMEM(p->ctx, "a hash join (build side)");
    struct luma_vec *keys = vecs + op->lay.cols + 1;
    const uint16_t *sel = in->sel;
    uint32_t n = in->sel_rows;
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(&e, op->build_keys[i], in, sel, n, &keys[i]));
    if (op->keys_count > 0) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = eng_sel_at(sel, k);
            bool null = false;
            for (uint32_t i = 0; i < op->keys_count; i++)
                null = null || luma_vec_is_null(&keys[i], row);
            live[count] = (uint16_t)row;
            count += !null || eng_join_keeps_build(op->kind) ? 1 : 0;
            jp->has_null_key = jp->has_null_key || null;
        }
        sel = live;
        n = count;
    }
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng_table_keys(&e, &op->lay, op->keys_count, keys, sel, n, in->rows, vecs, hashes));
    for (uint32_t i = 0; i < op->payload_count; i++)
        vecs[op->keys_count + i] = in->cols[op->payload_pos[i]];
    if (jp->spilling)
        return eng_join_spill_append(&e, op, jp, vecs, hashes, sel, n, in->rows);
    return eng_rows_append(&e, &jp->rows, vecs, sel, n, in->rows, hashes, NULL);
}

static bool
row_has_null_key(const struct op_join *op, const uint8_t *row)
{
    for (uint32_t i = 0; i < op->keys_count; i++)
        if (ROW_NULL(&op->lay, row, i))
            return true;
    return false;
}

static void
chain(const struct op_join *op, struct join_state *st, uint8_t *row, bool shared)
{
    uint64_t hash = ROW_HASH(row), tag = (uint64_t)1 << (48 + (hash >> 60));
    uint64_t *slot = &st->dir[(hash >> 8) & st->dir_mask];
    if (eng_join_keeps_build(op->kind) && row_has_null_key(op, row))
        return;
    if (!shared) {
        ROW_NEXT(row) = (uint8_t *)(uintptr_t)(*slot & PTR_MASK);
        *slot = (uint64_t)(uintptr_t)row | (*slot & ~PTR_MASK) | tag;
        return;
    }
    uint64_t old = __atomic_load_n(slot, __ATOMIC_RELAXED), fresh;
    do { /* pairs with the acquire of the parallel call's end: nobody reads before that */
        ROW_NEXT(row) = (uint8_t *)(uintptr_t)(old & PTR_MASK);
        fresh = (uint64_t)(uintptr_t)row | (old & ~PTR_MASK) | tag;
    } while (
        !__atomic_compare_exchange_n(slot, &old, fresh, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static luma_rc
chain_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct build *b = arg;
    struct rows_reader reader = {b->st->built[index].rows.first, 0};
    uint8_t *rows[256];
    uint32_t n;
    while ((n = eng_rows_read(&reader, b->op->lay.bytes, rows, 256)) > 0) {
        for (uint32_t i = 0; i < n; i++)
            __builtin_prefetch(&b->st->dir[(ROW_HASH(rows[i]) >> 8) & b->st->dir_mask], 1);
        for (uint32_t i = 0; i < n; i++)
            chain(b->op, b->st, rows[i], b->st->build_parts > 1);
        LUMA_TRY(eng.sched->yield(ctx));
    }
    return LUMA_OK;
}

static uint64_t
slots_for(const struct op_join *op, uint64_t rows)
{
    uint64_t slots = 64;
    while (slots < rows && op->keys_count > 0)
        slots *= 2;
    return slots;
}

luma_rc
eng_join_directory(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                   struct join_state *st)
{
    struct build whole = {op, st, x, 0}, *b = &whole;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < st->build_parts; i++)
        rows += st->built[i].rows.count;
    uint64_t slots = slots_for(op, rows);
    st->dir_bytes = slots * sizeof(uint64_t);
    st->dir_mask = slots - 1;
    st->dir = eng.mem->alloc_pages(b->x->budget, st->dir_bytes);
    if (st->dir == NULL)
        return ENG_NOMEM(ctx, "a hash join (build side)");
    if (st->build_parts > 1 && rows >= PARALLEL_CHAIN)
        return eng.sched->parallel(ctx, st->build_parts, chain_part, b);
    for (uint32_t i = 0; i < st->build_parts; i++)
        LUMA_TRY(chain_part(b, i, ctx));
    return LUMA_OK;
}

/* --- runtime filters --- */

static bool
ranged(struct luma_type type, enum luma_phys phys)
{
    return (phys == LUMA_PHYS_I16 || phys == LUMA_PHYS_I32 || phys == LUMA_PHYS_I64) &&
           type.id != LUMA_TYPE_OID;
}

static void
widen_range(struct luma_pred_bloom *bloom, const struct luma_value *v)
{
    if (!bloom->has_range) {
        bloom->min = bloom->max = *v;
        bloom->has_range = true;
        return;
    }
    if (eng.data->value_compare(v, &bloom->min) < 0)
        bloom->min = *v;
    if (eng.data->value_compare(v, &bloom->max) > 0)
        bloom->max = *v;
}

static luma_rc
fill_filter(struct part *p, const struct op_join *op, struct join_state *st, uint32_t key,
            struct luma_pred_bloom *bloom, uint64_t *words)
{
    uint8_t *rows[LUMA_BATCH_ROWS];
    uint64_t hashes[LUMA_BATCH_ROWS];
    bool has_range = ranged(op->key_types[key], op->lay.phys[key]);
    for (uint32_t i = 0; i < st->build_parts; i++) {
        struct rows_reader reader = {st->built[i].rows.first, 0};
        uint32_t n;
        while ((n = eng_rows_read(&reader, op->lay.bytes, rows, LUMA_BATCH_ROWS)) > 0) {
            struct luma_arena *arena;
            struct luma_vec vec;
            LUMA_TRY(eng.sched->yield(p->ctx));
            LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
            struct xenv e = eng_env(p, arena);
            LUMA_TRY(eng_rows_gather(&e, &op->lay, key, rows, NULL, n, n, &vec));
            eng.data->hash(&vec, NULL, n, false, hashes);
            uint32_t lo = UINT32_MAX, hi = 0;
            for (uint32_t k = 0; k < n; k++) {
                if (luma_vec_is_null(&vec, k))
                    continue;
                words[hashes[k] >> (64 - bloom->words_log2)] |= luma_bloom_mask(hashes[k]);
                if (lo == UINT32_MAX) {
                    lo = hi = k;
                } else if (has_range) {
                    lo = eng.data->compare(&vec, k, &vec, lo) < 0 ? k : lo;
                    hi = eng.data->compare(&vec, k, &vec, hi) > 0 ? k : hi;
                }
            }
            if (has_range && lo != UINT32_MAX) {
                struct luma_value v = eng.data->vec_value(&vec, lo);
                widen_range(bloom, &v);
                v = eng.data->vec_value(&vec, hi);
                widen_range(bloom, &v);
            }
        }
    }
    return LUMA_OK;
}

static luma_rc
make_filters(struct build *b, struct luma_ctx *ctx)
{
    struct join_state *st = b->st;
    if (b->op->filter_keys == 0 || st->count > FILTER_ROWS_MAX)
        return LUMA_OK;
    for (uint32_t key = 0; key < b->op->keys_count && key < FILTER_KEYS_MAX; key++) {
        if (!(b->op->filter_keys & (1u << key)))
            continue;
        struct luma_pred_bloom *bloom = LUMA_NEW(b->x->arena, struct luma_pred_bloom);
        uint32_t log2 = 4;
        while (log2 < 22 && ((uint64_t)4 << log2) < st->count)
            log2++;
        uint64_t *words = luma_arena_zalloc(b->x->arena, sizeof(uint64_t) << log2);
        if (bloom == NULL || words == NULL)
            return LUMA_OK; /* a filter is a help, not a need */
        bloom->words = words;
        bloom->words_log2 = log2;
        LUMA_TRY(fill_filter(eng_part(b->x, 0, ctx), b->op, st, key, bloom, words));
        st->blooms[key] = bloom;
    }
    return LUMA_OK;
}

const struct luma_pred_bloom *
eng_join_filter(struct exec *x, const struct op *join, uint32_t key)
{
    const struct join_state *st = x->op_state[join->id];
    return st == NULL || key >= FILTER_KEYS_MAX ? NULL : st->blooms[key];
}

luma_rc
eng_join_build(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
               struct join_state *st)
{
    const struct op *child = op->op.child[1];
    struct build b = {op, st, x, 0};
    LUMA_TRY(eng_open(x, ctx, child));
    st->build_parts = eng_parts_for(x, child);
    st->built = LUMA_NEW_ARRAY(x->arena, struct join_part_rows, st->build_parts);
    ENG_NEED(ctx, st->built, "a hash join");
    LUMA_TRY(eng_run(x, ctx, child, st->build_parts, build_sink, NULL, &b));
    eng_release(x, child);
    for (uint32_t i = 0; i < st->build_parts; i++) {
        st->count += st->built[i].rows.count + st->built[i].spilled_rows;
        st->has_null = st->has_null || st->built[i].has_null_key;
    }
    if (!st->spilled && op->keys_count > 0 &&
        slots_for(op, st->count) * sizeof(uint64_t) > eng_spill_share(x, 1) && eng.temp != NULL)
        st->spilled = true;
    if (st->spilled) {
        struct part *p = eng_part(x, 0, ctx);
        for (uint32_t i = 0; i < st->build_parts; i++)
            if (!st->built[i].spilling)
                LUMA_TRY(eng_join_spill_rows(p, op, st, &st->built[i]));
        return LUMA_OK;
    }
    LUMA_TRY(eng_join_directory(x, ctx, op, st));
    eng_part(x, 0, ctx);
    return make_filters(&b, ctx);
}

void
eng_join_free(struct exec *x, struct join_state *st)
{
    if (st->dir != NULL)
        eng.mem->release_pages(x->budget, st->dir, st->dir_bytes);
    st->dir = NULL;
    for (uint32_t i = 0; st->built != NULL && i < st->build_parts; i++)
        eng_join_rows_free(&st->built[i]);
}
