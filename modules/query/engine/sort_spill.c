/*
 * sort_spill.c - sorting more rows than fit: sorted runs go to disk with their normalized keys as
 * one more column, and are merged as they are read. Very many runs are merged into longer ones
 * first.
 */
#include <stdlib.h>

#include "sort.h"

#define RUNS_MAX 96 /* merged at once: each has a block in memory */

/* One run being read. */
struct source {
    struct spool_reader reader;
    struct luma_arena *arena;
    struct luma_batch *batch; /* NULL: at its end */
    uint32_t at;
    uint64_t prefix;
    uint32_t order; /* of equal keys the run that was written first comes first */
};

struct sort_merge {
    struct luma_budget *budget;
    uint32_t cols, count, live; /* cols: the key is behind them */
    struct source *sources;
    struct source **heap;
};

/* --- runs --- */

static luma_rc
types_ready(struct part *p, struct sort_disk *d, const struct luma_type *types, uint32_t cols)
{
    luma_rc rc = LUMA_OK;
    LUMA_TRY(eng.sched->mutex_lock(p->ctx, &d->lock));
    if (d->types == NULL) {
        struct luma_type *own = LUMA_NEW_ARRAY(p->arena, struct luma_type, cols + 1);
        if (own != NULL) {
            if (cols > 0)
                memcpy(own, types, sizeof(*own) * cols);
            own[cols] = luma_type(LUMA_TYPE_BYTEA);
        }
        d->types = own;
        d->cols = cols;
        rc = own == NULL ? ENG_NOMEM(p->ctx, "a sort") : LUMA_OK;
    }
    eng.sched->mutex_unlock(&d->lock);
    return rc;
}

static luma_rc
add_run(struct luma_ctx *ctx, struct exec *x, struct sort_disk *d, const struct sort_file *run)
{
    LUMA_TRY(eng.sched->mutex_lock(ctx, &d->lock));
    luma_rc rc = LUMA_OK;
    if (d->count == d->room) {
        uint32_t room = d->room * 2 + 16;
        struct sort_file *runs =
            eng.mem->resize(x->budget, d->runs, d->room * sizeof(*runs), room * sizeof(*runs));
        if (runs == NULL) {
            rc = ENG_NOMEM(ctx, "a sort");
        } else {
            d->runs = runs;
            d->room = room;
        }
    }
    if (rc == LUMA_OK)
        d->runs[d->count++] = *run;
    eng.sched->mutex_unlock(&d->lock);
    return rc;
}

static luma_rc
write_items(struct part *p, const struct op *op, const struct rowlay *lay, struct sort_run *run,
            struct spool *spool)
{
    uint8_t *rows[SPILL_PART_ROWS];
    for (uint64_t first = 0; first < run->count; first += SPILL_PART_ROWS) {
        uint64_t left = run->count - first;
        uint32_t n = (uint32_t)(left < SPILL_PART_ROWS ? left : SPILL_PART_ROWS);
        struct luma_arena *arena;
        LUMA_TRY(eng_step_arena(p, op, &arena));
        LUMA_TRY(eng.sched->yield(p->ctx));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *vecs = luma_arena_alloc(arena, sizeof(*vecs) * (lay->cols + 1));
        struct luma_str *keys = luma_arena_alloc(arena, sizeof(*keys) * n);
        if (vecs == NULL || keys == NULL)
            return ENG_NOMEM(p->ctx, "a sort");
        for (uint32_t i = 0; i < n; i++) {
            rows[i] = run->items[first + i].row;
            const struct sort_tail *tail = SORT_TAIL(lay, rows[i]);
            keys[i] = luma_str_make((const char *)tail->key, tail->bytes);
        }
        for (uint32_t c = 0; c < lay->cols; c++)
            LUMA_TRY(eng_rows_gather(&e, lay, c, rows, NULL, n, n, &vecs[c]));
        vecs[lay->cols] = (struct luma_vec){
            .type = luma_type(LUMA_TYPE_BYTEA), .phys = LUMA_PHYS_STR, .data = keys};
        LUMA_TRY(eng_spool_append(&e, spool, vecs, NULL, n, n));
    }
    return eng_spool_flush(p->ctx, spool);
}

luma_rc
eng_sort_spill(struct part *p, const struct op *op, const struct rowlay *lay, struct sort_disk *d,
               struct sort_run *run)
{
    struct sort_file file = {.part = p->index, .serial = run->serial++};
    if (run->count == 0)
        return LUMA_OK;
    LUMA_TRY(types_ready(p, d, lay->types, lay->cols));
    LUMA_TRY(eng_sort_items(p->ctx, lay, run->items, run->count));
    eng_spool_init(&file.spool, &d->spill, p->x->budget, d->types, d->cols + 1, SPILL_PART_ROWS);
    luma_rc rc = write_items(p, op, lay, run, &file.spool);
    if (rc == LUMA_OK) {
        eng_spool_settle(&file.spool);
        rc = add_run(p->ctx, p->x, d, &file);
    }
    if (rc != LUMA_OK) {
        eng_spool_fini(&file.spool);
        return rc;
    }
    run->count = 0;
    run->cut = false;
    run->rows.first = run->rows.last = NULL;
    run->rows.count = 0;
    run->arena->reset(run->arena);
    return LUMA_OK;
}

/* --- merging --- */

static const struct luma_str *
key_of(const struct sort_merge *m, const struct source *s)
{
    return (const struct luma_str *)s->batch->cols[m->cols].data + s->at;
}

static int
compare_keys(const struct luma_str *a, const struct luma_str *b)
{
    uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int c = n == 0 ? 0 : memcmp(luma_str_data(a), luma_str_data(b), n);
    return c != 0 ? c : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static bool
before(const struct sort_merge *m, const struct source *a, const struct source *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    int c = compare_keys(key_of(m, a), key_of(m, b));
    return c != 0 ? c < 0 : a->order < b->order;
}

static void
sift(struct sort_merge *m, uint32_t i)
{
    for (;;) {
        uint32_t least = i, l = 2 * i + 1, r = l + 1;
        if (l < m->live && before(m, m->heap[l], m->heap[least]))
            least = l;
        if (r < m->live && before(m, m->heap[r], m->heap[least]))
            least = r;
        if (least == i)
            return;
        struct source *t = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = t;
        i = least;
    }
}

static void
take_prefix(const struct sort_merge *m, struct source *s)
{
    const struct luma_str *key = key_of(m, s);
    uint8_t first[8] = {0};
    uint64_t v;
    memcpy(first, luma_str_data(key), key->bytes < 8 ? key->bytes : 8);
    memcpy(&v, first, 8);
    s->prefix = __builtin_bswap64(v);
}

static luma_rc
refill(struct luma_ctx *ctx, struct sort_merge *m, struct source *s)
{
    s->at = 0;
    LUMA_TRY(eng_spool_read(ctx, &s->reader, s->arena, &s->batch));
    if (s->batch != NULL)
        take_prefix(m, s);
    return LUMA_OK;
}

void
eng_sort_merge_close(struct sort_merge *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; m->sources != NULL && i < m->count; i++) {
        if (m->sources[i].reader.spool != NULL)
            eng_spool_reader_fini(&m->sources[i].reader);
        eng.mem->arena_destroy(m->sources[i].arena);
    }
    if (m->sources != NULL)
        eng.mem->release(m->budget, m->sources, m->count * sizeof(*m->sources));
    if (m->heap != NULL)
        eng.mem->release(m->budget, m->heap, m->count * sizeof(struct source *));
    eng.mem->release(m->budget, m, sizeof(*m));
}

static luma_rc
merge_open(struct luma_ctx *ctx, struct exec *x, const struct sort_disk *d, uint32_t count,
           struct sort_merge **out)
{
    struct sort_merge *m = eng.mem->alloc(x->budget, sizeof(*m));
    ENG_NEED(ctx, m, "a sort");
    memset(m, 0, sizeof(*m));
    *out = m;
    m->budget = x->budget;
    m->cols = d->cols;
    m->count = count;
    m->sources = eng.mem->alloc(x->budget, count * sizeof(*m->sources));
    m->heap = eng.mem->alloc(x->budget, count * sizeof(struct source *));
    if (m->sources == NULL || m->heap == NULL)
        return ENG_NOMEM(ctx, "a sort");
    memset(m->sources, 0, count * sizeof(*m->sources));
    for (uint32_t i = 0; i < count; i++) {
        struct source *s = &m->sources[i];
        s->order = i;
        s->arena = eng.mem->arena_create(x->budget, 4096);
        ENG_NEED(ctx, s->arena, "a sort");
        eng_spool_reader_init(&s->reader, &d->runs[i].spool);
        LUMA_TRY(refill(ctx, m, s));
        if (s->batch != NULL)
            m->heap[m->live++] = s;
    }
    for (uint32_t i = m->live / 2; i-- > 0;)
        sift(m, i);
    return LUMA_OK;
}

/* A column of the merged rows: row i is row at[i] of from[i]. */
static luma_rc
merged_column(struct xenv *e, uint32_t c, struct source *const *from, const uint32_t *at,
              uint32_t n, struct luma_vec *out)
{
    const struct luma_vec *like = &from[0]->batch->cols[c];
    uint32_t size = luma_phys_bytes((enum luma_phys)like->phys);
    LUMA_TRY(eng_vec_room(e, like->type, (enum luma_phys)like->phys, n, out));
    out->scale = like->scale;
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_vec *vec = &from[i]->batch->cols[c];
        const uint8_t *value = (const uint8_t *)vec->data + (size_t)at[i] * size;
        uint8_t *to = (uint8_t *)out->data + (size_t)i * size;
        if (size == 8)
            memcpy(to, value, 8);
        else if (size == 16)
            memcpy(to, value, 16);
        else if (size == 4)
            memcpy(to, value, 4);
        else
            memcpy(to, value, size);
        if (!luma_vec_is_null(vec, at[i]))
            continue;
        if (out->valid == NULL)
            LUMA_TRY(eng_vec_bits(e, n, true, &out->valid));
        luma_bit_clear(out->valid, i);
    }
    return LUMA_OK;
}

/* Up to max rows in order, with their keys as the last column; they point into the runs' blocks, so
 * a batch ends where a block does. */
luma_rc
eng_sort_merge_next(struct xenv *e, struct sort_merge *m, uint32_t max, struct luma_batch *out)
{
    struct source *from[LUMA_BATCH_ROWS], *ended = NULL;
    uint32_t at[LUMA_BATCH_ROWS], n = 0;
    memset(out, 0, sizeof(*out));
    if (m->live > 0 && m->heap[0]->at == m->heap[0]->batch->rows) {
        LUMA_TRY(refill(e->ctx, m, m->heap[0]));
        if (m->heap[0]->batch == NULL)
            m->heap[0] = m->heap[--m->live];
        sift(m, 0);
    }
    while (m->live > 0 && n < max && ended == NULL) {
        struct source *s = m->heap[0];
        from[n] = s;
        at[n++] = s->at++;
        if (s->at == s->batch->rows) {
            ended = s; /* stays on top: the next call reads on */
        } else {
            take_prefix(m, s);
            sift(m, 0);
        }
    }
    if (n == 0)
        return LUMA_OK;
    out->cols = luma_arena_alloc(e->arena, sizeof(*out->cols) * (m->cols + 1));
    ENG_NEED(e->ctx, out->cols, "a sort");
    out->rows = out->sel_rows = n;
    out->cols_count = m->cols;
    for (uint32_t c = 0; c <= m->cols; c++)
        LUMA_TRY(merged_column(e, c, from, at, n, &out->cols[c]));
    return LUMA_OK;
}

static int
by_age(const void *a, const void *b)
{
    const struct sort_file *x = a, *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* The first runs become one, in their place. */
static luma_rc
merge_first(struct part *p, const struct op *op, struct sort_disk *d)
{
    struct sort_file into = d->runs[0];
    struct sort_merge *m = NULL;
    eng_spool_init(&into.spool, &d->spill, p->x->budget, d->types, d->cols + 1, SPILL_PART_ROWS);
    luma_rc rc = merge_open(p->ctx, p->x, d, RUNS_MAX, &m);
    while (rc == LUMA_OK) {
        struct luma_arena *arena;
        struct luma_batch batch;
        rc = eng_step_arena(p, op, &arena);
        if (rc != LUMA_OK)
            break;
        struct xenv e = eng_env(p, arena);
        rc = eng_sort_merge_next(&e, m, SPILL_PART_ROWS, &batch);
        if (rc != LUMA_OK || batch.rows == 0)
            break;
        rc = eng_spool_append(&e, &into.spool, batch.cols, NULL, batch.rows, batch.rows);
        if (rc == LUMA_OK)
            rc = eng.sched->yield(p->ctx);
    }
    eng_sort_merge_close(m);
    if (rc == LUMA_OK)
        rc = eng_spool_flush(p->ctx, &into.spool);
    if (rc != LUMA_OK) {
        eng_spool_fini(&into.spool);
        return rc;
    }
    eng_spool_settle(&into.spool);
    for (uint32_t i = 0; i < RUNS_MAX; i++)
        eng_spool_fini(&d->runs[i].spool);
    d->runs[0] = into;
    d->count -= RUNS_MAX - 1;
    memmove(&d->runs[1], &d->runs[RUNS_MAX], (d->count - 1) * sizeof(*d->runs));
    return LUMA_OK;
}

luma_rc
eng_sort_merge_begin(struct part *p, const struct op *op, struct sort_disk *d,
                     struct sort_merge **out)
{
    qsort(d->runs, d->count, sizeof(*d->runs), by_age);
    while (d->count > RUNS_MAX)
        LUMA_TRY(merge_first(p, op, d));
    return merge_open(p->ctx, p->x, d, d->count, out);
}

void
eng_sort_disk_free(struct exec *x, struct sort_disk *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        eng_spool_fini(&d->runs[i].spool);
    if (d->runs != NULL)
        eng.mem->release(x->budget, d->runs, d->room * sizeof(*d->runs));
    d->runs = NULL;
    d->count = d->room = 0;
}
