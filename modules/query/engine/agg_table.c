/* agg_table.c - open addressing over rows at rest; a slot is a pointer with 16 bits of the hash. */
#include "agg.h"

#define SLOTS_FIRST 64
#define PTR_BITS    48
#define PTR_MASK    (((uint64_t)1 << PTR_BITS) - 1)

static uint64_t
salt(uint64_t hash)
{
    return hash & ~PTR_MASK;
}

static uint8_t *
slot_row(uint64_t slot)
{
    return (uint8_t *)(uintptr_t)(slot & PTR_MASK);
}

luma_rc
eng_table_init(struct agg_table *t, const struct rowlay *lay, struct luma_arena *arena,
               struct luma_budget *budget)
{
    memset(t, 0, sizeof(*t));
    eng_rows_init(&t->rows, lay, arena);
    t->budget = budget;
    t->slots = eng.mem->alloc(budget, SLOTS_FIRST * sizeof(uint64_t));
    if (t->slots == NULL)
        return LUMA_E_NOMEM;
    memset(t->slots, 0, SLOTS_FIRST * sizeof(uint64_t));
    t->mask = SLOTS_FIRST - 1;
    return LUMA_OK;
}

static void
release_slots(struct luma_budget *budget, uint64_t *slots, size_t bytes)
{
    if (bytes >= (1u << 16))
        eng.mem->release_pages(budget, slots, bytes);
    else
        eng.mem->release(budget, slots, bytes);
}

static void
slots_release(struct agg_table *t)
{
    if (t->slots != NULL)
        release_slots(t->budget, t->slots, (t->mask + 1) * sizeof(uint64_t));
    t->slots = NULL;
}

void
eng_table_fini(struct agg_table *t)
{
    slots_release(t);
}

static luma_rc
grow(struct luma_ctx *ctx, struct agg_table *t)
{
    uint64_t count = (t->mask + 1) * (t->mask < 4096 ? 4 : 2), mask = count - 1;
    size_t bytes = count * sizeof(uint64_t);
    uint64_t *slots = bytes >= (1u << 16) ? eng.mem->alloc_pages(t->budget, bytes)
                                          : eng.mem->alloc(t->budget, bytes);
    if (slots == NULL)
        return ENG_NOMEM(ctx, "an aggregate (hash table of groups)");
    if (bytes < (1u << 16))
        memset(slots, 0, bytes);
    for (uint64_t i = 0; i <= t->mask; i++) {
        luma_rc rc = (i & 0xffff) != 0xffff ? LUMA_OK : eng.sched->yield(ctx);
        if (LUMA_UNLIKELY(rc != LUMA_OK)) {
            release_slots(t->budget, slots, bytes);
            return rc;
        }
        if (t->slots[i] == 0)
            continue;
        uint64_t at = ROW_HASH(slot_row(t->slots[i])) & mask;
        while (slots[at] != 0)
            at = (at + 1) & mask;
        slots[at] = t->slots[i];
    }
    slots_release(t);
    t->slots = slots;
    t->mask = mask;
    return LUMA_OK;
}

/* Single integer keys are compared in place. */
static bool
same_key(const struct rowlay *lay, const uint8_t *row, uint32_t cols, const struct luma_vec *keys,
         uint32_t at)
{
    if (cols == 1 && keys[0].form == LUMA_VEC_FLAT && keys[0].valid == NULL &&
        lay->cmp[0] == ROW_CMP_RAW && !ROW_NULL(lay, row, 0)) {
        if (lay->phys[0] == LUMA_PHYS_I64)
            return *(const int64_t *)(const void *)(row + lay->off[0]) ==
                   ((const int64_t *)keys[0].data)[at];
        if (lay->phys[0] == LUMA_PHYS_I32)
            return *(const int32_t *)(const void *)(row + lay->off[0]) ==
                   ((const int32_t *)keys[0].data)[at];
    }
    return eng_row_equal(lay, row, cols, keys, at, true);
}

luma_rc
eng_table_find(struct luma_ctx *ctx, struct agg_table *t, const struct luma_vec *keys,
               const uint16_t *sel, uint32_t n, const uint64_t *hashes, uint8_t **out_groups)
{
    const struct rowlay *lay = t->rows.lay;
    while ((t->used + n) * 3 > (t->mask + 1) * 2)
        LUMA_TRY(grow(ctx, t));
    if (t->mask > (1u << 15))
        for (uint32_t k = 0; k < n; k++)
            __builtin_prefetch(&t->slots[hashes[k] & t->mask]);
    for (uint32_t k = 0; k < n; k++) {
        uint64_t hash = hashes[k], at = hash & t->mask;
        uint32_t row = eng_sel_at(sel, k);
        for (;; at = (at + 1) & t->mask) {
            uint64_t slot = t->slots[at];
            if (slot == 0) {
                uint8_t *made;
                LUMA_TRY(eng_rows_append_one(ctx, &t->rows, keys, row, hash, &made));
                t->slots[at] = (uint64_t)(uintptr_t)made | salt(hash);
                made[lay->matched_off] = (uint8_t)t->used++; /* see split_few */
                out_groups[k] = made;
                break;
            }
            if (salt(slot) != salt(hash))
                continue;
            uint8_t *there = slot_row(slot);
            if (ROW_HASH(there) == hash && same_key(lay, there, lay->cols, keys, row)) {
                out_groups[k] = there;
                break;
            }
        }
    }
    return LUMA_OK;
}

void
eng_table_lookup(const struct agg_table *t, const struct luma_vec *keys, const uint16_t *sel,
                 uint32_t n, const uint64_t *hashes, uint8_t **out_groups)
{
    const struct rowlay *lay = t->rows.lay;
    for (uint32_t k = 0; k < n; k++)
        __builtin_prefetch(&t->slots[hashes[k] & t->mask]);
    for (uint32_t k = 0; k < n; k++) {
        uint64_t hash = hashes[k];
        uint32_t row = eng_sel_at(sel, k);
        out_groups[k] = NULL;
        for (uint64_t at = hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
            uint8_t *there = slot_row(t->slots[at]);
            if (salt(t->slots[at]) != salt(hash) || ROW_HASH(there) != hash ||
                !same_key(lay, there, lay->cols, keys, row))
                continue;
            out_groups[k] = there;
            break;
        }
    }
}

uint32_t
eng_table_groups(const struct agg_table *t, uint64_t *inout_slot, uint8_t **out_groups,
                 uint32_t max)
{
    uint32_t n = 0;
    uint64_t at = *inout_slot;
    for (; at <= t->mask && n < max; at++)
        if (t->slots[at] != 0)
            out_groups[n++] = slot_row(t->slots[at]);
    *inout_slot = at;
    return n;
}

static bool
rows_equal(const struct rowlay *lay, const uint8_t *a, const uint8_t *b, uint32_t cols)
{
    for (uint32_t c = 0; c < cols; c++) {
        struct luma_vec vec;
        eng_row_vec(lay, b, c, &vec);
        bool na = ROW_NULL(lay, a, c), nb = ROW_NULL(lay, b, c);
        if (na || nb) {
            if (na != nb)
                return false;
            continue;
        }
        if (lay->cmp[c] == ROW_CMP_RAW) {
            if (memcmp(a + lay->off[c], b + lay->off[c], luma_phys_bytes(lay->phys[c])) != 0)
                return false;
        } else {
            struct luma_vec mine;
            eng_row_vec(lay, a, c, &mine);
            if (eng.data->compare(&mine, 0, &vec, 0) != 0)
                return false;
        }
    }
    return true;
}

luma_rc
eng_table_enter(struct luma_ctx *ctx, struct agg_table *t, uint8_t *row, uint32_t cols,
                uint8_t **out_twin)
{
    uint64_t hash = ROW_HASH(row);
    if ((t->used + 1) * 3 > (t->mask + 1) * 2)
        LUMA_TRY(grow(ctx, t));
    for (uint64_t at = hash & t->mask;; at = (at + 1) & t->mask) {
        uint64_t slot = t->slots[at];
        if (slot == 0) {
            t->slots[at] = (uint64_t)(uintptr_t)row | salt(hash);
            t->used++;
            *out_twin = NULL;
            return LUMA_OK;
        }
        if (salt(slot) != salt(hash) || ROW_HASH(slot_row(slot)) != hash)
            continue;
        if (rows_equal(t->rows.lay, slot_row(slot), row, cols)) {
            *out_twin = slot_row(slot);
            return LUMA_OK;
        }
    }
}

luma_rc
eng_table_keys(struct xenv *e, const struct rowlay *lay, uint32_t cols, const struct luma_vec *in,
               const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec *out,
               uint64_t *hashes)
{
    for (uint32_t c = 0; c < cols; c++) {
        LUMA_TRY(eng_vec_table_form(e, lay->types[c], &in[c], sel, n, rows, &out[c]));
        if (out[c].form == LUMA_VEC_CONST) {
            /* hash wants one entry a row */
            LUMA_TRY(eng_vec_flatten(e, &out[c], sel, n, rows, true, &out[c]));
        }
        out[c].type = lay->types[c];
        eng.data->hash(&out[c], sel, n, c > 0, hashes);
    }
    if (cols == 0)
        memset(hashes, 0, sizeof(uint64_t) * n);
    return LUMA_OK;
}
