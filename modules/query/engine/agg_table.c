/*
 * agg_table.c - open addressing over rows at rest; a slot is a pointer with 16 bits of the hash.
 *
 * A table that has outgrown the caches and finds little (each row is new to it) is cleared: its
 * rows stay, in lists by their hash, and what comes again is entered again. The merge that follows
 * makes one of the twins list by list, and each list fits the caches. This is the two-phase
 * aggregation of Leis et al., "Morsel-Driven Parallelism" (SIGMOD 2014), section 4.4.
 */
#include "agg.h"

#define SLOTS_FIRST    64
#define TABLE_BLOCK    256u
#define SPLIT_CHUNK    (32u << 10) /* so many lists end in a chunk that is not full */
#define TABLE_LARGE    (1u << 16)  /* slots; from here on a table is split and may be cleared */
#define TABLE_EARNS    4 /* lookups for each row, with which a large table goes on growing */
#define TABLE_IN_CACHE (1u << 12) /* slots; below, nothing is worth asking for in advance */
#define PLAIN_MAX      4u
#define PTR_BITS       48
#define PTR_MASK       (((uint64_t)1 << PTR_BITS) - 1)

static uint32_t
block_of(uint32_t left)
{
    return left < TABLE_BLOCK ? left : TABLE_BLOCK;
}

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

/* Puts n rows into slots that have room; what a slot holds is asked for before it is needed. */
static void
place(uint64_t *slots, uint64_t mask, uint8_t *const *rows, uint32_t n)
{
    uint64_t hashes[TABLE_BLOCK];
    for (uint32_t k = 0; k < n; k++) {
        hashes[k] = ROW_HASH(rows[k]);
        __builtin_prefetch(&slots[hashes[k] & mask], 1);
    }
    for (uint32_t k = 0; k < n; k++) {
        uint64_t at = hashes[k] & mask;
        while (slots[at] != 0)
            at = (at + 1) & mask;
        slots[at] = (uint64_t)(uintptr_t)rows[k] | salt(hashes[k]);
    }
}

/* The table's rows, in the order in which they lie in memory where they are all its own. */
static uint32_t
next_rows(const struct agg_table *t, struct rows_reader *reader, uint64_t *inout_slot,
          uint8_t **out_rows)
{
    if (t->split == NULL && t->rows.count == t->used)
        return eng_rows_read(reader, t->rows.lay->bytes, out_rows, TABLE_BLOCK);
    uint32_t n = eng_table_groups(t, inout_slot, out_rows, TABLE_BLOCK);
    for (uint32_t k = 0; k < n; k++)
        __builtin_prefetch(out_rows[k]);
    return n;
}

void
eng_table_clear(struct agg_table *t)
{
    memset(t->slots, 0, (t->mask + 1) * sizeof(uint64_t));
    t->used = t->fed = 0;
}

static luma_rc
grow(struct luma_ctx *ctx, struct agg_table *t)
{
    uint64_t count = (t->mask + 1) * (t->mask < 4096 ? 4 : 2), slot = 0, moved = 0;
    size_t bytes = count * sizeof(uint64_t);
    uint64_t *slots = bytes >= (1u << 16) ? eng.mem->alloc_pages(t->budget, bytes)
                                          : eng.mem->alloc(t->budget, bytes);
    if (slots == NULL)
        return ENG_NOMEM(ctx, "an aggregate (hash table of groups)");
    if (bytes < (1u << 16))
        memset(slots, 0, bytes);
    struct rows_reader reader = {t->rows.first, 0};
    uint8_t *rows[TABLE_BLOCK];
    uint32_t n;
    while ((n = next_rows(t, &reader, &slot, rows)) > 0) {
        place(slots, count - 1, rows, n);
        moved += n;
        luma_rc rc = moved % 65536 >= n ? LUMA_OK : eng.sched->yield(ctx);
        if (LUMA_UNLIKELY(rc != LUMA_OK)) {
            release_slots(t->budget, slots, bytes);
            return rc;
        }
    }
    slots_release(t);
    t->slots = slots;
    t->mask = count - 1;
    return LUMA_OK;
}

static struct rows *
list_of(struct agg_table *t, uint64_t hash)
{
    return t->split == NULL ? &t->rows : &t->split[eng_agg_range(hash, AGG_RANGES)];
}

/* A row's copy in its list. What it points to is the arena's and stays. */
static luma_rc
move_row(struct luma_ctx *ctx, struct agg_table *t, const uint8_t *row)
{
    uint8_t *made;
    LUMA_TRY(eng_rows_append_room(ctx, list_of(t, ROW_HASH((uint8_t *)(uintptr_t)row)), &made));
    memcpy(made, row, t->rows.lay->bytes);
    return LUMA_OK;
}

luma_rc
eng_table_split(struct luma_ctx *ctx, struct agg_table *t)
{
    struct rows whole = t->rows;
    struct rows_reader reader = {whole.first, 0};
    uint8_t *rows[TABLE_BLOCK];
    uint32_t n;
    if (t->split != NULL)
        return LUMA_OK;
    struct rows *split = LUMA_NEW_ARRAY(whole.arena, struct rows, AGG_RANGES);
    ENG_NEED(ctx, split, "an aggregate");
    for (uint32_t i = 0; i < AGG_RANGES; i++) {
        eng_rows_init(&split[i], whole.lay, whole.arena);
        split[i].chunk_bytes = SPLIT_CHUNK;
    }
    t->split = split;
    eng_table_clear(t); /* the slots point to the old rows */
    while ((n = eng_rows_read(&reader, whole.lay->bytes, rows, TABLE_BLOCK)) > 0)
        for (uint32_t k = 0; k < n; k++)
            LUMA_TRY(move_row(ctx, t, rows[k]));
    eng_rows_init(&t->rows, whole.lay, whole.arena);
    return LUMA_OK;
}

uint32_t
eng_table_lists(const struct agg_table *t, const struct rows **out_lists)
{
    *out_lists = t->split == NULL ? &t->rows : t->split;
    return t->split == NULL ? 1 : AGG_RANGES;
}

uint64_t
eng_table_count(const struct agg_table *t)
{
    const struct rows *lists;
    uint32_t n = eng_table_lists(t, &lists);
    uint64_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += lists[i].count;
    return count;
}

/* Slots for so many rows more: a larger table, or the same one once more from the start. */
static luma_rc
make_room(struct luma_ctx *ctx, struct agg_table *t, uint32_t more)
{
    while ((t->used + more) * 3 > (t->mask + 1) * 2) {
        bool large = t->may_split && t->mask + 1 >= TABLE_LARGE;
        if (large && t->split == NULL) {
            LUMA_TRY(eng_table_split(ctx, t));
        } else if (large && t->fed < t->used * TABLE_EARNS) {
            eng_table_clear(t);
        } else {
            LUMA_TRY(grow(ctx, t));
        }
    }
    return LUMA_OK;
}

/* Asks for the slots of n hashes, then for the rows they point to: two misses for all together
 * instead of two for each, one after the other. */
static void
touch(const struct agg_table *t, const uint64_t *hashes, uint32_t n)
{
    if (t->mask < TABLE_IN_CACHE)
        return;
    for (uint32_t k = 0; k < n; k++)
        __builtin_prefetch(&t->slots[hashes[k] & t->mask]);
    for (uint32_t k = 0; k < n; k++) {
        uint64_t slot = t->slots[hashes[k] & t->mask];
        if (salt(slot) == salt(hashes[k]))
            __builtin_prefetch(slot_row(slot));
    }
}

/* --- comparing --- */

/* Keys of fixed width without nulls are compared in place. */
struct plain_keys {
    uint32_t cols; /* 0: they are not such */
    uint32_t null_off;
    uint32_t off[PLAIN_MAX];
    const uint8_t *data[PLAIN_MAX];
    uint8_t bytes[PLAIN_MAX];
};

static void
plain_keys_init(struct plain_keys *p, const struct rowlay *lay, const struct luma_vec *keys)
{
    p->cols = 0;
    p->null_off = lay->null_off;
    if (lay->cols > PLAIN_MAX)
        return;
    for (uint32_t c = 0; c < lay->cols; c++) {
        p->bytes[c] = (uint8_t)luma_phys_bytes(lay->phys[c]);
        if (keys[c].form != LUMA_VEC_FLAT || keys[c].valid != NULL || lay->cmp[c] != ROW_CMP_RAW ||
            (p->bytes[c] != 4 && p->bytes[c] != 8))
            return;
        p->off[c] = lay->off[c];
        p->data[c] = keys[c].data;
    }
    p->cols = lay->cols;
}

static inline bool
plain_equal(const struct plain_keys *p, const uint8_t *row, uint32_t at)
{
    if (row[p->null_off] != 0)
        return false;
    for (uint32_t c = 0; c < p->cols; c++) {
        const uint8_t *there = row + p->off[c];
        if (p->bytes[c] == 8 ? *(const uint64_t *)(const void *)there !=
                                   ((const uint64_t *)(const void *)p->data[c])[at]
                             : *(const uint32_t *)(const void *)there !=
                                   ((const uint32_t *)(const void *)p->data[c])[at])
            return false;
    }
    return true;
}

static inline bool
same_key(const struct plain_keys *p, const struct rowlay *lay, const uint8_t *row,
         const struct luma_vec *keys, uint32_t at)
{
    return p->cols > 0 ? plain_equal(p, row, at)
                       : eng_row_equal(lay, row, lay->cols, keys, at, true);
}

static luma_rc
find_block(struct luma_ctx *ctx, struct agg_table *t, const struct plain_keys *plain,
           const struct luma_vec *keys, const uint16_t *sel, uint32_t first, uint32_t n,
           const uint64_t *hashes, uint8_t **out_groups)
{
    const struct rowlay *lay = t->rows.lay;
    touch(t, hashes + first, n);
    for (uint32_t k = first; k < first + n; k++) {
        uint64_t hash = hashes[k], at = hash & t->mask;
        uint32_t row = eng_sel_at(sel, k);
        for (;; at = (at + 1) & t->mask) {
            uint64_t slot = t->slots[at];
            if (slot == 0) {
                uint8_t *made;
                LUMA_TRY(eng_rows_append_one(ctx, list_of(t, hash), keys, row, hash, &made));
                t->slots[at] = (uint64_t)(uintptr_t)made | salt(hash);
                made[lay->matched_off] = (uint8_t)t->used++; /* see split_few */
                out_groups[k] = made;
                break;
            }
            if (salt(slot) != salt(hash))
                continue;
            uint8_t *there = slot_row(slot);
            if (ROW_HASH(there) == hash && same_key(plain, lay, there, keys, row)) {
                out_groups[k] = there;
                break;
            }
        }
    }
    return LUMA_OK;
}

luma_rc
eng_table_find(struct luma_ctx *ctx, struct agg_table *t, const struct luma_vec *keys,
               const uint16_t *sel, uint32_t n, const uint64_t *hashes, uint8_t **out_groups)
{
    struct plain_keys plain;
    plain_keys_init(&plain, t->rows.lay, keys);
    LUMA_TRY(make_room(ctx, t, n));
    t->fed += n;
    for (uint32_t k = 0; k < n; k += TABLE_BLOCK)
        LUMA_TRY(find_block(ctx, t, &plain, keys, sel, k, block_of(n - k), hashes, out_groups));
    return LUMA_OK;
}

void
eng_table_lookup(const struct agg_table *t, const struct luma_vec *keys, const uint16_t *sel,
                 uint32_t n, const uint64_t *hashes, uint8_t **out_groups)
{
    const struct rowlay *lay = t->rows.lay;
    struct plain_keys plain;
    plain_keys_init(&plain, lay, keys);
    for (uint32_t k = 0; k < n; k++) {
        uint64_t hash = hashes[k];
        uint32_t row = eng_sel_at(sel, k);
        if (k % TABLE_BLOCK == 0)
            touch(t, hashes + k, block_of(n - k));
        out_groups[k] = NULL;
        for (uint64_t at = hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
            uint8_t *there = slot_row(t->slots[at]);
            if (salt(t->slots[at]) != salt(hash) || ROW_HASH(there) != hash ||
                !same_key(&plain, lay, there, keys, row))
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
values_equal(const struct rowlay *lay, const uint8_t *a, const uint8_t *b, uint32_t c)
{
    struct luma_vec mine, other;
    if (lay->cmp[c] == ROW_CMP_RAW)
        return memcmp(a + lay->off[c], b + lay->off[c], luma_phys_bytes(lay->phys[c])) == 0;
    eng_row_vec(lay, a, c, &mine);
    eng_row_vec(lay, b, c, &other);
    return eng.data->compare(&mine, 0, &other, 0) == 0;
}

static bool
rows_equal(const struct rowlay *lay, const uint8_t *a, const uint8_t *b, uint32_t cols)
{
    for (uint32_t c = 0; c < cols; c++) {
        bool na = ROW_NULL(lay, a, c), nb = ROW_NULL(lay, b, c);
        if (na != nb || (!na && !values_equal(lay, a, b, c)))
            return false;
    }
    return true;
}

/* The slot's row, which may now be the one given. */
static uint8_t *
enter(struct agg_table *t, uint8_t *row, uint32_t cols)
{
    uint64_t hash = ROW_HASH(row);
    for (uint64_t at = hash & t->mask;; at = (at + 1) & t->mask) {
        uint64_t slot = t->slots[at];
        if (slot == 0) {
            t->slots[at] = (uint64_t)(uintptr_t)row | salt(hash);
            t->used++;
            return row;
        }
        if (salt(slot) == salt(hash) && ROW_HASH(slot_row(slot)) == hash &&
            rows_equal(t->rows.lay, slot_row(slot), row, cols))
            return slot_row(slot);
    }
}

luma_rc
eng_table_enter(struct luma_ctx *ctx, struct agg_table *t, uint8_t *const *rows, uint32_t n,
                uint32_t cols, uint8_t **out_twins)
{
    LUMA_TRY(make_room(ctx, t, n));
    for (uint32_t first = 0; first < n; first += TABLE_BLOCK) {
        uint32_t count = block_of(n - first);
        uint64_t hashes[TABLE_BLOCK];
        for (uint32_t k = 0; k < count; k++)
            hashes[k] = ROW_HASH(rows[first + k]);
        touch(t, hashes, count);
        for (uint32_t k = first; k < first + count; k++) {
            uint8_t *there = enter(t, rows[k], cols);
            out_twins[k] = there == rows[k] ? NULL : there;
        }
    }
    return LUMA_OK;
}

luma_rc
eng_table_more_keys(struct xenv *e, const struct rowlay *lay, uint32_t first, uint32_t cols,
                    const struct luma_vec *in, const uint16_t *sel, uint32_t n, uint32_t rows,
                    struct luma_vec *out, uint64_t *hashes)
{
    for (uint32_t c = first; c < cols; c++) {
        LUMA_TRY(eng_vec_table_form(e, lay->types[c], &in[c - first], sel, n, rows, &out[c]));
        if (out[c].form == LUMA_VEC_CONST) {
            /* hash wants one entry a row */
            LUMA_TRY(eng_vec_flatten(e, &out[c], sel, n, rows, true, &out[c]));
        }
        out[c].type = lay->types[c];
        /* a dictionary's values are hashed once each; in another form they would differ */
        bool as_dict = in[c - first].form == LUMA_VEC_DICT && in[c - first].phys == out[c].phys &&
                       in[c - first].type.id == out[c].type.id &&
                       in[c - first].type.id != LUMA_TYPE_NUMERIC;
        eng.data->hash(as_dict ? &in[c - first] : &out[c], sel, n, c > 0, hashes);
    }
    return LUMA_OK;
}

luma_rc
eng_table_keys(struct xenv *e, const struct rowlay *lay, uint32_t cols, const struct luma_vec *in,
               const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec *out,
               uint64_t *hashes)
{
    if (cols == 0)
        memset(hashes, 0, sizeof(uint64_t) * n);
    return eng_table_more_keys(e, lay, 0, cols, in, sel, n, rows, out, hashes);
}

luma_rc
eng_table_fresh(struct xenv *e, struct agg_table *t, const struct luma_batch *in,
                const uint32_t *pos, uint16_t **out_sel, uint32_t *out_n)
{
    const struct rowlay *lay = t->rows.lay;
    struct luma_vec *keys = luma_arena_alloc(e->arena, sizeof(*keys) * (lay->cols + 1) * 2);
    uint64_t *hashes = luma_arena_alloc(e->arena, sizeof(*hashes) * (in->sel_rows + 1));
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(*sel) * (in->rows + 8));
    if (keys == NULL || hashes == NULL || sel == NULL)
        return ENG_NOMEM(e->ctx, "an aggregate (hash table of groups)");
    struct luma_vec *flat = keys + lay->cols + 1;
    for (uint32_t c = 0; c < lay->cols; c++)
        keys[c] = in->cols[pos[c]];
    LUMA_TRY(
        eng_table_keys(e, lay, lay->cols, keys, in->sel, in->sel_rows, in->rows, flat, hashes));
    uint32_t n = 0;
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint16_t row = (uint16_t)luma_batch_row(in, k);
        uint64_t before = t->rows.count;
        uint8_t *group;
        LUMA_TRY(eng_table_find(e->ctx, t, flat, &row, 1, &hashes[k], &group));
        if (t->rows.count > before)
            sel[n++] = row;
    }
    *out_sel = sel;
    *out_n = n;
    return LUMA_OK;
}
