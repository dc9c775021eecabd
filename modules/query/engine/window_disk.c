/*
 * window_disk.c - the sorted rows of a window on disk. They are read in order once, and anywhere
 * through some blocks that are kept in memory: what a function looks at is mostly near its row. Two
 * lists beside them say where peer groups begin and partitions end.
 */
#include "window.h"

#define CACHE_SHARE   4 /* of what the operator may take */
#define CACHE_LEAST   2u
#define CACHE_MOST    32u
#define GROUP_BLOCKS  4u
#define KEY_BYTES_MIN 64u

struct win_slot {
    struct spool_reader reader;
    struct luma_batch *batch; /* NULL: empty */
    uint64_t first, used;
};

struct win_cache {
    const struct spool *spool;
    uint32_t count;
    struct win_slot *slots, *last;
    uint64_t clock;
};

struct win_sorted {
    struct luma_arena *arena; /* of this, too */
    struct spill spill;
    uint32_t which;
    struct spool rows, groups, parts; /* first row of each group; end of each partition */
    struct win_cache row_cache, group_cache;
    struct spool_reader row_reader, part_reader; /* in order */
    struct luma_batch *ends;
    uint32_t ends_at;
    struct win_part part;
    uint32_t runs_count;
    struct win_run *runs; /* by function */
};

/* --- making it --- */

/* What is known when rows come in order. */
struct finding {
    uint64_t rows, groups;
    uint8_t *key; /* of the row before */
    size_t key_bytes, key_room;
    int64_t part_bytes;
    uint32_t starts, ends; /* in this batch */
    int64_t group_rows[SPILL_PART_ROWS], part_ends[SPILL_PART_ROWS], part_groups[SPILL_PART_ROWS];
};

static void
end_part(struct finding *f)
{
    f->part_ends[f->ends] = (int64_t)f->rows;
    f->part_groups[f->ends++] = (int64_t)f->groups;
}

static luma_rc
keep_key(struct luma_ctx *ctx, struct luma_arena *arena, struct finding *f,
         const struct luma_str *key)
{
    if (f->key == NULL || key->bytes > f->key_room) {
        f->key_room = KEY_BYTES_MIN + key->bytes * (size_t)2;
        f->key = luma_arena_alloc_aligned(arena, f->key_room, 1);
        ENG_NEED(ctx, f->key, "a window function");
    }
    memcpy(f->key, luma_str_data(key), key->bytes);
    f->key_bytes = key->bytes;
    return LUMA_OK;
}

/* Compares each row's key with that of the row before. */
static luma_rc
find_starts(struct luma_ctx *ctx, struct luma_arena *arena, struct finding *f,
            const struct luma_vec *keys, const int64_t *part_bytes, uint32_t n)
{
    const uint8_t *last = f->key;
    size_t last_bytes = f->key_bytes;
    f->starts = f->ends = 0;
    for (uint32_t k = 0; k < n; k++, f->rows++) {
        const struct luma_str *key = (const struct luma_str *)keys->data + k;
        const uint8_t *data = (const uint8_t *)luma_str_data(key);
        bool same_part = f->rows > 0 && part_bytes[k] == f->part_bytes &&
                         memcmp(data, last, (size_t)part_bytes[k]) == 0;
        if (f->rows > 0 && !same_part)
            end_part(f);
        if (!same_part || key->bytes != last_bytes || memcmp(data, last, last_bytes) != 0) {
            f->group_rows[f->starts++] = (int64_t)f->rows;
            f->groups++;
        }
        last = data;
        last_bytes = key->bytes;
        f->part_bytes = part_bytes[k];
    }
    return keep_key(ctx, arena, f, (const struct luma_str *)keys->data + n - 1);
}

static luma_rc
append_found(struct xenv *e, struct win_sorted *ws, struct finding *f)
{
    struct luma_vec starts, ends[2];
    eng_vec_int8(&starts, f->group_rows);
    eng_vec_int8(&ends[0], f->part_ends);
    eng_vec_int8(&ends[1], f->part_groups);
    if (f->starts > 0)
        LUMA_TRY(eng_spool_append(e, &ws->groups, &starts, NULL, f->starts, f->starts));
    if (f->ends > 0)
        LUMA_TRY(eng_spool_append(e, &ws->parts, ends, NULL, f->ends, f->ends));
    return LUMA_OK;
}

static luma_rc
merge_rows(struct part *p, const struct op_window *op, struct win_sorted *ws, struct sort_merge *m)
{
    struct finding *f = LUMA_NEW(ws->arena, struct finding);
    ENG_NEED(p->ctx, f, "a window function");
    for (;;) {
        struct luma_arena *arena;
        struct luma_batch batch;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(eng_sort_merge_next(&e, m, SPILL_PART_ROWS, &batch));
        if (batch.rows == 0) {
            f->starts = f->ends = 0;
            end_part(f);
            return append_found(&e, ws, f);
        }
        LUMA_TRY(find_starts(p->ctx, ws->arena, f, &batch.cols[batch.cols_count],
                             batch.cols[op->kept].data, batch.rows));
        LUMA_TRY(append_found(&e, ws, f));
        LUMA_TRY(eng_spool_append(&e, &ws->rows, batch.cols, NULL, batch.rows, batch.rows));
        LUMA_TRY(eng.sched->yield(p->ctx));
    }
}

static luma_rc
cache_init(struct luma_ctx *ctx, struct luma_arena *arena, const struct spool *spool,
           uint32_t count, struct win_cache *c)
{
    c->spool = spool;
    c->count = count;
    c->slots = LUMA_NEW_ARRAY(arena, struct win_slot, count);
    ENG_NEED(ctx, c->slots, "a window function");
    for (uint32_t i = 0; i < count; i++)
        eng_spool_reader_init(&c->slots[i].reader, spool);
    return LUMA_OK;
}

static luma_rc
caches_init(struct part *p, struct win_sorted *ws)
{
    size_t share = eng_spill_share(p->x, 1) / CACHE_SHARE;
    size_t block = ws->rows.count == 0 ? 1 : ws->rows.bytes / ws->rows.count + 1;
    size_t count = share / block;
    count = count < CACHE_LEAST ? CACHE_LEAST : count > CACHE_MOST ? CACHE_MOST : count;
    LUMA_TRY(cache_init(p->ctx, ws->arena, &ws->rows, (uint32_t)count, &ws->row_cache));
    return cache_init(p->ctx, ws->arena, &ws->groups, GROUP_BLOCKS, &ws->group_cache);
}

static luma_rc
runs_init(struct part *p, const struct op_window *op, struct win_sorted *ws)
{
    ws->runs = LUMA_NEW_ARRAY(ws->arena, struct win_run, op->funcs_count);
    ENG_NEED(p->ctx, ws->runs, "a window function");
    ws->runs_count = op->funcs_count;
    for (uint32_t f = 0; f < op->funcs_count; f++) {
        if (op->funcs[f].sort != ws->which)
            continue;
        LUMA_TRY(eng_window_run_init(p, ws->arena, &op->funcs[f], &ws->runs[f]));
    }
    return LUMA_OK;
}

static luma_rc
spools_end(struct luma_ctx *ctx, struct win_sorted *ws)
{
    struct spool *spools[] = {&ws->rows, &ws->groups, &ws->parts};
    for (uint32_t i = 0; i < LUMA_COUNTOF(spools); i++) {
        LUMA_TRY(eng_spool_flush(ctx, spools[i]));
        eng_spool_settle(spools[i]);
    }
    return LUMA_OK;
}

luma_rc
eng_window_disk_make(struct part *p, const struct op_window *op, struct window_state *st,
                     uint32_t which, struct win_sorted **out)
{
    const struct rowlay *lay = &op->sorts[which].lay;
    struct luma_arena *arena = eng.mem->arena_create(p->x->budget, 4096);
    struct win_sorted *ws = arena == NULL ? NULL : LUMA_NEW(arena, struct win_sorted);
    struct luma_type *types = ws == NULL ? NULL : LUMA_NEW_ARRAY(arena, struct luma_type, 2);
    if (types == NULL) {
        eng.mem->arena_destroy(arena);
        return ENG_NOMEM(p->ctx, "a window function");
    }
    types[0] = types[1] = luma_type(LUMA_TYPE_INT8);
    ws->arena = arena;
    ws->which = which;
    *out = ws; /* freed with the rest, whatever happens */
    eng_spool_init(&ws->rows, &ws->spill, p->x->budget, lay->types, lay->cols, SPILL_PART_ROWS);
    eng_spool_init(&ws->groups, &ws->spill, p->x->budget, types, 1, SPILL_BLOCK_ROWS);
    eng_spool_init(&ws->parts, &ws->spill, p->x->budget, types, 2, SPILL_BLOCK_ROWS);
    struct sort_merge *m = NULL;
    luma_rc rc = eng_sort_merge_begin(p, &op->op, &st->runs, &m);
    if (rc == LUMA_OK)
        rc = merge_rows(p, op, ws, m);
    eng_sort_merge_close(m);
    LUMA_TRY(rc);
    LUMA_TRY(spools_end(p->ctx, ws));
    eng_spool_reader_init(&ws->row_reader, &ws->rows);
    eng_spool_reader_init(&ws->part_reader, &ws->parts);
    LUMA_TRY(caches_init(p, ws));
    ws->part = (struct win_part){.op = &op->op, .lay = lay, .disk = ws};
    return runs_init(p, op, ws);
}

static void
cache_fini(struct win_cache *c)
{
    for (uint32_t i = 0; c->slots != NULL && i < c->count; i++)
        eng_spool_reader_fini(&c->slots[i].reader);
}

void
eng_window_disk_free(struct exec *x, struct window_state *st, struct win_sorted *ws)
{
    for (uint32_t f = 0; f < ws->runs_count; f++)
        eng_window_run_fini(x, &ws->runs[f]);
    cache_fini(&ws->row_cache);
    cache_fini(&ws->group_cache);
    eng_spool_reader_fini(&ws->row_reader);
    eng_spool_reader_fini(&ws->part_reader);
    eng_spool_fini(&ws->rows);
    eng_spool_fini(&ws->groups);
    eng_spool_fini(&ws->parts);
    eng_spill_close(x, &ws->spill);
    st->spill.gone += ws->spill.gone;
    eng.mem->arena_destroy(ws->arena);
}

/* --- rows anywhere --- */

static uint32_t
block_with(const struct spool *s, uint64_t row)
{
    uint32_t lo = 0, hi = s->count;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->blocks[mid].first <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static bool
holds(const struct win_slot *slot, uint64_t row)
{
    return slot->batch != NULL && row - slot->first < slot->batch->rows;
}

static luma_rc
slot_with(struct xenv *e, struct win_sorted *ws, struct win_cache *c, uint64_t row,
          struct win_slot **out)
{
    *out = c->last;
    if (c->last != NULL && holds(c->last, row))
        return LUMA_OK;
    struct win_slot *slot = &c->slots[0];
    for (uint32_t i = 0; i < c->count && !holds(slot, row); i++)
        if (holds(&c->slots[i], row) || c->slots[i].used < slot->used)
            slot = &c->slots[i];
    if (!holds(slot, row)) {
        uint32_t block = block_with(c->spool, row);
        slot->batch = NULL;
        slot->reader.next = block;
        LUMA_TRY(eng_spool_read(e->ctx, &slot->reader, ws->arena, &slot->batch));
        slot->first = c->spool->blocks[block].first;
        if (!holds(slot, row))
            return LUMA_FAIL(e->ctx, LUMA_E_INTERNAL, "engine: a window has no row %llu",
                             (unsigned long long)row);
    }
    slot->used = ++c->clock;
    *out = c->last = slot;
    return LUMA_OK;
}

luma_rc
eng_window_disk_value(struct xenv *e, struct win_sorted *ws, uint64_t row, uint32_t col,
                      struct luma_value *out)
{
    struct win_slot *slot;
    LUMA_TRY(slot_with(e, ws, &ws->row_cache, row, &slot));
    *out = eng.data->vec_value(&slot->batch->cols[col], (uint32_t)(row - slot->first));
    return LUMA_OK;
}

luma_rc
eng_window_disk_rows(struct xenv *e, struct win_sorted *ws, uint64_t lo, uint64_t hi,
                     struct luma_batch **out, uint32_t *out_at, uint32_t *out_n)
{
    struct win_slot *slot;
    LUMA_TRY(slot_with(e, ws, &ws->row_cache, lo, &slot));
    uint64_t end = slot->first + slot->batch->rows;
    *out = slot->batch;
    *out_at = (uint32_t)(lo - slot->first);
    *out_n = (uint32_t)((hi < end ? hi : end) - lo);
    return LUMA_OK;
}

luma_rc
eng_window_disk_group(struct xenv *e, struct win_sorted *ws, uint64_t group, uint64_t *out)
{
    struct win_slot *slot;
    LUMA_TRY(slot_with(e, ws, &ws->group_cache, group, &slot));
    *out = ((const uint64_t *)slot->batch->cols[0].data)[group - slot->first];
    return LUMA_OK;
}

/* --- rows in order --- */

static luma_rc
next_part(struct xenv *e, const struct op_window *op, struct win_sorted *ws)
{
    struct win_part *wp = &ws->part;
    if (ws->ends == NULL || ws->ends_at == ws->ends->rows) {
        LUMA_TRY(eng_spool_read(e->ctx, &ws->part_reader, ws->arena, &ws->ends));
        ws->ends_at = 0;
        if (ws->ends == NULL)
            return LUMA_FAIL(e->ctx, LUMA_E_INTERNAL, "engine: a window has no more partitions");
    }
    wp->first = wp->last;
    wp->groups = wp->groups_end;
    wp->last = ((const uint64_t *)ws->ends->cols[0].data)[ws->ends_at];
    wp->groups_end = ((const uint64_t *)ws->ends->cols[1].data)[ws->ends_at++];
    for (uint32_t f = 0; f < op->funcs_count; f++)
        if (op->funcs[f].sort == ws->which)
            eng_window_run_begin(&op->funcs[f], wp, &ws->runs[f]);
    return eng_window_first(e, wp);
}

/* The value of the last frame may be asked for again when the batch it lies in is gone. */
static luma_rc
keep_value(struct part *p, struct win_run *run)
{
    const struct luma_value *v = &run->value;
    if (v->is_null || v->phys != LUMA_PHYS_STR || v->str.bytes <= LUMA_STR_INLINE_MAX ||
        v->str.ptr == run->text)
        return LUMA_OK;
    if (v->str.bytes > run->text_room) {
        size_t room = v->str.bytes * (size_t)2;
        char *text = eng.mem->resize(p->x->budget, run->text, run->text_room, room);
        ENG_NEED(p->ctx, text, "a window function");
        run->text = text;
        run->text_room = room;
    }
    memcpy(run->text, v->str.ptr, v->str.bytes);
    run->value.str.ptr = run->text;
    return LUMA_OK;
}

static luma_rc
compute_row(struct xenv *e, const struct op_window *op, struct win_sorted *ws,
            struct luma_value *const *values, uint32_t k)
{
    if (ws->part.last == 0 || ws->part.at + 1 == ws->part.last)
        LUMA_TRY(next_part(e, op, ws));
    else
        LUMA_TRY(eng_window_step(e, &ws->part));
    for (uint32_t f = 0; f < op->funcs_count; f++) {
        if (op->funcs[f].sort == ws->which)
            LUMA_TRY(eng_window_value(e, &op->funcs[f], &ws->part, &ws->runs[f], &values[f][k]));
    }
    return LUMA_OK;
}

/* The results of this sort's functions for the next n rows, as columns of cols. */
static luma_rc
compute_rows(struct xenv *e, const struct op_window *op, struct win_sorted *ws, uint32_t n,
             struct luma_vec *cols)
{
    const struct luma_value *of[SPILL_PART_ROWS];
    struct luma_value **values = LUMA_NEW_ARRAY(e->arena, struct luma_value *, op->funcs_count + 1);
    ENG_NEED(e->ctx, values, "a window function");
    for (uint32_t f = 0; f < op->funcs_count; f++) {
        if (op->funcs[f].sort != ws->which)
            continue;
        values[f] = luma_arena_alloc(e->arena, sizeof(*values[f]) * n);
        ENG_NEED(e->ctx, values[f], "a window function");
    }
    for (uint32_t k = 0; k < n; k++)
        LUMA_TRY(compute_row(e, op, ws, values, k));
    for (uint32_t f = 0; f < op->funcs_count; f++) {
        if (op->funcs[f].sort != ws->which)
            continue;
        for (uint32_t k = 0; k < n; k++)
            of[k] = &values[f][k];
        LUMA_TRY(eng_window_column(e, &op->funcs[f], of, n, &cols[op->funcs[f].col]));
    }
    return LUMA_OK;
}

luma_rc
eng_window_disk_next(struct part *p, const struct op_window *op, struct win_sorted *ws,
                     struct luma_batch **out)
{
    struct luma_arena *arena;
    uint32_t kept = op->sorts[ws->which].lay.cols;
    for (uint32_t f = 0; f < op->funcs_count; f++)
        LUMA_TRY(keep_value(p, &ws->runs[f]));
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    LUMA_TRY(eng_spool_read(p->ctx, &ws->row_reader, ws->arena, out));
    if (*out == NULL)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    struct xenv e = eng_env(p, arena);
    struct luma_batch *batch = LUMA_NEW(arena, struct luma_batch);
    struct luma_vec *cols =
        luma_arena_alloc(arena, sizeof(*cols) * (kept + op->funcs_count + (size_t)1));
    if (batch == NULL || cols == NULL)
        return ENG_NOMEM(p->ctx, "a window function");
    *batch = **out;
    memcpy(cols, batch->cols, sizeof(*cols) * kept);
    LUMA_TRY(compute_rows(&e, op, ws, batch->rows, cols));
    batch->cols = cols;
    *out = batch;
    return LUMA_OK;
}
