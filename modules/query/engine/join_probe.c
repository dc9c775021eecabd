/*
 * join_probe.c - probing, in place: each round pairs every probe row that still has candidates with
 * its next partner, so probe columns pass through untouched under a narrower selection. When few
 * rows are left with long chains, pairs are gathered into dense batches instead.
 */
#include "agg.h"
#include "join.h"

#define PTR_MASK    (((uint64_t)1 << 48) - 1)
#define DENSE_BELOW 128

struct probe {
    struct luma_batch *in;
    struct luma_vec *keys;
    uint32_t active, rounds; /* rounds: of this batch so far */
    bool pending;            /* the batch is not done with: unmatched rows may follow */
    bool ended, left, drained;
    uint16_t rows[LUMA_BATCH_ROWS];
    uint8_t *cand[LUMA_BATCH_ROWS];
    uint64_t hash[LUMA_BATCH_ROWS];
    uint64_t matched[LUMA_BATCH_ROWS / 64];
    struct luma_vec *cols; /* of the output */
    struct luma_vec *both; /* probe ++ build, for the residual */
    struct luma_batch batch, pair;
    struct luma_arena *arena_out;
    struct rows_reader reader; /* drain */
    uint32_t reader_part;
    struct join_local *local; /* on disk: the partition being joined */
};

static luma_rc
probe_begin(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr)
{
    struct luma_arena *arena;
    struct luma_batch *in = pr->in;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *raw = luma_arena_alloc(arena, sizeof(*raw) * (op->keys_count + 1) * 2);
    uint64_t *hashes = luma_arena_alloc(arena, sizeof(uint64_t) * (in->sel_rows + 1));
    if (raw == NULL || hashes == NULL)
        return ENG_NOMEM(p->ctx, "a hash join");
    pr->keys = raw + op->keys_count + 1;
    pr->active = 0;
    pr->rounds = 0;
    memset(pr->matched, 0, sizeof(pr->matched));
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng_eval(&e, op->probe_keys[i], in, in->sel, in->sel_rows, &raw[i]));
    LUMA_TRY(eng_table_keys(&e, &op->lay, op->keys_count, raw, in->sel, in->sel_rows, in->rows,
                            pr->keys, hashes));
    bool far = st->dir_bytes > (1u << 19);
    for (uint32_t k = 0; far && k < in->sel_rows; k++)
        __builtin_prefetch(&st->dir[(hashes[k] >> 8) & st->dir_mask]);
    uint32_t n = 0;
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint32_t row = eng_sel_at(in->sel, k);
        uint64_t hash = hashes[k], slot = st->dir[(hash >> 8) & st->dir_mask];
        if (!((slot >> (48 + (hash >> 60))) & 1))
            continue;
        bool null = false;
        for (uint32_t i = 0; i < op->keys_count; i++)
            null = null || luma_vec_is_null(&pr->keys[i], row);
        if (null)
            continue;
        uint8_t *cand = (uint8_t *)(uintptr_t)(slot & PTR_MASK);
        __builtin_prefetch(cand);
        pr->rows[n] = (uint16_t)row;
        pr->cand[n] = cand;
        pr->hash[n++] = hash;
    }
    pr->active = n;
    pr->pending = true;
    return LUMA_OK;
}

static bool
key_match(const struct op_join *op, const struct probe *pr, const uint8_t *row, uint32_t at)
{
    const struct rowlay *lay = &op->lay;
    if (op->keys_count == 1 && lay->cmp[0] == ROW_CMP_RAW) {
        if (lay->phys[0] == LUMA_PHYS_I64)
            return *(const int64_t *)(const void *)(row + lay->off[0]) ==
                   ((const int64_t *)pr->keys[0].data)[at];
        if (lay->phys[0] == LUMA_PHYS_I32)
            return *(const int32_t *)(const void *)(row + lay->off[0]) ==
                   ((const int32_t *)pr->keys[0].data)[at];
    }
    return eng_row_equal(lay, row, op->keys_count, pr->keys, at, false);
}

/* Next partner of every active row; rows without one leave. */
static uint32_t
advance(const struct op_join *op, struct probe *pr, uint16_t *rows, uint8_t **ptrs)
{
    uint32_t found = 0, left = 0;
    for (uint32_t i = 0; i < pr->active; i++) {
        uint8_t *cand = pr->cand[i];
        uint16_t row = pr->rows[i];
        uint64_t hash = pr->hash[i];
        while (cand != NULL && !(ROW_HASH(cand) == hash && key_match(op, pr, cand, row)))
            cand = ROW_NEXT(cand);
        if (cand == NULL)
            continue;
        rows[found] = row;
        ptrs[found++] = cand;
        uint8_t *next = ROW_NEXT(cand);
        if (next != NULL) {
            pr->rows[left] = row;
            pr->cand[left] = next;
            pr->hash[left++] = hash;
        }
    }
    pr->active = left;
    return found;
}

static luma_rc
need_cols(struct part *p, const struct op_join *op, struct probe *pr)
{
    if (pr->cols != NULL)
        return LUMA_OK;
    pr->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->op.cols_count + 1);
    pr->both = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->probe_cols + op->build_cols + 1);
    if (pr->cols == NULL || pr->both == NULL)
        return ENG_NOMEM(p->ctx, "a hash join");
    return LUMA_OK;
}

/* Build columns at the probe rows' positions (rows NULL: dense). */
static luma_rc
build_columns(struct xenv *e, const struct op_join *op, struct luma_vec *to, uint8_t *const *ptrs,
              const uint16_t *rows, uint32_t n, uint32_t vec_rows)
{
    for (uint32_t c = 0; c < op->build_cols; c++)
        if (op->build_lay[c] != UINT32_MAX)
            LUMA_TRY(
                eng_rows_gather(e, &op->lay, op->build_lay[c], ptrs, rows, n, vec_rows, &to[c]));
    return LUMA_OK;
}

static void
shape_out(const struct op_join *op, struct probe *pr, const struct luma_batch *like)
{
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        uint32_t from = op->out_from[i];
        pr->cols[i] = from & JOIN_FROM_BUILD ? pr->both[op->probe_cols + (from & ~JOIN_FROM_BUILD)]
                                             : pr->both[from];
        pr->cols[i].type = op->op.types[i];
    }
    pr->batch = *like;
    pr->batch.rowids = NULL;
    pr->batch.cols = pr->cols;
    pr->batch.cols_count = op->op.cols_count;
}

/* Pairs one by one into a dense batch: few rows with many partners. */
static uint32_t
advance_dense(const struct op_join *op, struct probe *pr, uint32_t *idx, uint8_t **ptrs)
{
    uint16_t rows[DENSE_BELOW];
    uint8_t *found[DENSE_BELOW];
    uint32_t n = 0;
    while (pr->active > 0 && n + DENSE_BELOW <= LUMA_BATCH_ROWS) {
        uint32_t more = advance(op, pr, rows, found);
        for (uint32_t i = 0; i < more; i++) {
            idx[n] = rows[i];
            ptrs[n++] = found[i];
        }
    }
    return n;
}

struct pairs {
    uint32_t n;
    uint16_t rows[LUMA_BATCH_ROWS];
    uint8_t *ptrs[LUMA_BATCH_ROWS];
    uint32_t idx[LUMA_BATCH_ROWS]; /* dense: probe row of pair i */
    bool dense;
};

static luma_rc
next_pairs(struct xenv *e, const struct op_join *op, struct probe *pr, struct pairs *pairs)
{
    struct luma_batch *in = pr->in;
    pairs->dense = pr->active < DENSE_BELOW && op->kind != JOIN_SEMI && op->kind != JOIN_ANTI &&
                   !op->single && (in->sel_rows >= DENSE_BELOW || pr->rounds > 3);
    pr->rounds++;
    pairs->n = pairs->dense ? advance_dense(op, pr, pairs->idx, pairs->ptrs)
                            : advance(op, pr, pairs->rows, pairs->ptrs);
    if (pairs->n == 0)
        return LUMA_OK;
    for (uint32_t c = 0; c < op->probe_cols; c++) {
        if (pairs->dense)
            LUMA_TRY(eng_vec_gather(e, &in->cols[c], pairs->idx, pairs->n, &pr->both[c]));
        else
            pr->both[c] = in->cols[c];
    }
    bool need_build = op->residual != NULL || (op->kind != JOIN_SEMI && op->kind != JOIN_ANTI);
    if (need_build && op->kind != JOIN_BUILD_SEMI && op->kind != JOIN_BUILD_ANTI)
        LUMA_TRY(build_columns(e, op, pr->both + op->probe_cols, pairs->ptrs,
                               pairs->dense ? NULL : pairs->rows, pairs->n,
                               pairs->dense ? pairs->n : in->rows));
    else if (op->residual != NULL)
        LUMA_TRY(build_columns(e, op, pr->both + op->probe_cols, pairs->ptrs,
                               pairs->dense ? NULL : pairs->rows, pairs->n,
                               pairs->dense ? pairs->n : in->rows));
    memset(&pr->pair, 0, sizeof(pr->pair));
    pr->pair.rows = pairs->dense ? pairs->n : in->rows;
    pr->pair.sel_rows = pairs->n;
    pr->pair.sel = pairs->dense ? NULL : pairs->rows;
    pr->pair.cols = pr->both;
    pr->pair.cols_count = op->probe_cols + op->build_cols;
    return LUMA_OK;
}

/* Pairs that the residual condition accepts; compacts ptrs along. */
static luma_rc
judge_pairs(struct xenv *e, const struct op_join *op, struct probe *pr, struct pairs *pairs)
{
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (LUMA_BATCH_ROWS + 8));
    uint32_t n, k = 0;
    ENG_NEED(e->ctx, sel, "a join");
    LUMA_TRY(eng_filter(e, op->residual, &pr->pair, pr->pair.sel, pairs->n, sel, &n));
    for (uint32_t i = 0; i < pairs->n && k < n; i++) {
        uint32_t at = pairs->dense ? i : pairs->rows[i];
        if (sel[k] != at)
            continue;
        pairs->ptrs[k] = pairs->ptrs[i];
        if (pairs->dense)
            pairs->idx[k] = pairs->idx[i];
        k++;
    }
    if (!pairs->dense)
        memcpy(pairs->rows, sel, sizeof(uint16_t) * n);
    pr->pair.sel = sel;
    pr->pair.sel_rows = n;
    pairs->n = n;
    return LUMA_OK;
}

static luma_rc
mark(struct part *p, const struct op_join *op, struct probe *pr, const struct pairs *pairs)
{
    for (uint32_t i = 0; i < pairs->n; i++) {
        uint32_t row = pairs->dense ? pairs->idx[i] : pairs->rows[i];
        if (op->single && luma_bit_get(pr->matched, row))
            return LUMA_FAIL_SQL(p->ctx, LUMA_E_INVALID, "21000",
                                 "more than one row returned by a subquery used as an expression");
        luma_bit_set(pr->matched, row);
        if (eng_join_keeps_build(op->kind))
            __atomic_store_n(pairs->ptrs[i] + op->lay.matched_off, (uint8_t)1, __ATOMIC_RELAXED);
    }
    return LUMA_OK;
}

/* Rows already matched need no further partner: semi joins and the like. */
static void
drop_matched(struct probe *pr)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pr->active; i++) {
        if (luma_bit_get(pr->matched, pr->rows[i]))
            continue;
        pr->rows[n] = pr->rows[i];
        pr->cand[n] = pr->cand[i];
        pr->hash[n++] = pr->hash[i];
    }
    pr->active = n;
}

/* After the last partner: rows that stay without one, or that only had to have one. */
static luma_rc
probe_rest(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr,
           struct luma_batch **out)
{
    struct luma_batch *in = pr->in;
    pr->pending = false;
    bool want = op->kind == JOIN_SEMI;
    if (op->kind != JOIN_SEMI && op->kind != JOIN_ANTI && op->kind != JOIN_LEFT &&
        op->kind != JOIN_FULL)
        return LUMA_OK;
    struct luma_arena *arena = p->batch[op->op.id];
    struct xenv e = eng_env(p, arena);
    uint16_t *sel = luma_arena_alloc(arena, sizeof(uint16_t) * (in->sel_rows + 8));
    ENG_NEED(p->ctx, sel, "a join");
    uint32_t n = 0;
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint32_t row = eng_sel_at(in->sel, k);
        if (luma_bit_get(pr->matched, row) != want)
            continue;
        if (op->null_aware && st->count > 0 && luma_vec_is_null(&pr->keys[0], row))
            continue; /* NULL NOT IN (something) is unknown */
        sel[n++] = (uint16_t)row;
    }
    if (n == 0)
        return LUMA_OK;
    memcpy(pr->both, in->cols, sizeof(*pr->both) * op->probe_cols);
    for (uint32_t c = 0; c < op->build_cols; c++)
        if (op->build_lay[c] != UINT32_MAX)
            eng_vec_null(&pr->both[op->probe_cols + c], op->lay.types[op->build_lay[c]]);
    (void)e;
    struct luma_batch like = *in;
    like.sel = sel;
    like.sel_rows = n;
    shape_out(op, pr, &like);
    *out = &pr->batch;
    return LUMA_OK;
}

/* One step with the current probe batch; *out stays NULL when it gave nothing. */
static luma_rc
probe_step(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr,
           struct luma_batch **out)
{
    if (pr->active == 0)
        return probe_rest(p, op, st, pr, out);
    struct luma_arena *arena;
    LUMA_TRY(eng_step_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    struct pairs *pairs = luma_arena_alloc(arena, sizeof(*pairs));
    ENG_NEED(p->ctx, pairs, "a join");
    LUMA_TRY(next_pairs(&e, op, pr, pairs));
    if (pairs->n > 0 && op->residual != NULL)
        LUMA_TRY(judge_pairs(&e, op, pr, pairs));
    if (pairs->n == 0)
        return LUMA_OK;
    bool inner = op->kind == JOIN_INNER && !op->single;
    if (!inner)
        LUMA_TRY(mark(p, op, pr, pairs));
    switch (op->kind) {
    case JOIN_SEMI:
    case JOIN_ANTI:
        drop_matched(pr);
        return LUMA_OK;
    case JOIN_BUILD_SEMI:
    case JOIN_BUILD_ANTI:
        return LUMA_OK;
    default:
        shape_out(op, pr, &pr->pair);
        *out = &pr->batch;
        return LUMA_OK;
    }
}

/* --- build rows after the last probe row --- */

static luma_rc
drain(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr,
      struct luma_batch **out)
{
    uint8_t want = op->kind == JOIN_BUILD_SEMI ? 1 : 0;
    uint8_t *ptrs[LUMA_BATCH_ROWS];
    uint32_t n = 0, seen = 0;
    while (n < LUMA_BATCH_ROWS) {
        uint8_t *row;
        if (pr->reader.chunk == NULL) {
            if (pr->reader_part == st->build_parts)
                break;
            pr->reader = (struct rows_reader){st->built[pr->reader_part++].rows.first, 0};
            continue;
        }
        if (++seen % 8192 == 0)
            LUMA_TRY(eng.sched->yield(p->ctx));
        if (eng_rows_read(&pr->reader, op->lay.bytes, &row, 1) == 0)
            continue;
        if (__atomic_load_n(row + op->lay.matched_off, __ATOMIC_RELAXED) == want)
            ptrs[n++] = row;
    }
    if (n == 0) {
        pr->drained = true;
        return LUMA_OK;
    }
    LUMA_TRY(eng.sched->yield(p->ctx));
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    LUMA_TRY(need_cols(p, op, pr));
    for (uint32_t c = 0; c < op->probe_cols; c++)
        eng_vec_null(&pr->both[c], op->op.child[0]->types[c]);
    LUMA_TRY(build_columns(&e, op, pr->both + op->probe_cols, ptrs, NULL, n, n));
    struct luma_batch like = {.rows = n, .sel_rows = n};
    shape_out(op, pr, &like);
    *out = &pr->batch;
    return LUMA_OK;
}

/* The next batch to probe with, from the operator below or from the partition's files. */
static luma_rc
pull(struct part *p, const struct op_join *op, struct probe *pr)
{
    pr->in = NULL;
    if (pr->local != NULL)
        return eng_join_read(p, op, pr->local, &pr->in);
    return eng_next(p, op->op.child[0], &pr->in);
}

static luma_rc
probe_all(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr,
          struct luma_batch **out)
{
    while (!pr->ended) {
        while (pr->pending) {
            LUMA_TRY(probe_step(p, op, st, pr, out));
            if (*out != NULL)
                return LUMA_OK;
            /* A residual may refuse many pairs in a row: others want the thread, too. */
            LUMA_TRY(eng.sched->yield(p->ctx));
        }
        LUMA_TRY(pull(p, op, pr));
        if (pr->in == NULL) {
            pr->ended = true;
            break;
        }
        LUMA_TRY(need_cols(p, op, pr));
        LUMA_TRY(probe_begin(p, op, st, pr));
    }
    if (!eng_join_keeps_build(op->kind))
        return LUMA_OK;
    /* The last part to end tells what the build side kept; pairs with the others' decrements. */
    if (!pr->left) {
        pr->left = true;
        pr->drained = __atomic_sub_fetch(&st->parts_left, 1, __ATOMIC_ACQ_REL) != 0;
    }
    return pr->drained ? LUMA_OK : drain(p, op, st, pr, out);
}

/* Partition by partition, each as if it were a join of its own. */
static luma_rc
next_on_disk(struct part *p, const struct op_join *op, struct join_state *st, struct probe *pr,
             struct luma_batch **out)
{
    if (pr->local == NULL) {
        pr->local = LUMA_NEW(p->arena, struct join_local);
        ENG_NEED(p->ctx, pr->local, "a hash join");
    }
    for (;;) {
        if (!pr->local->open) {
            LUMA_TRY(eng_join_take(p, op, st, pr->local));
            if (!pr->local->open)
                return LUMA_OK;
            pr->pending = pr->ended = pr->left = pr->drained = false;
            pr->active = 0;
            pr->reader = (struct rows_reader){NULL, 0};
            pr->reader_part = 0;
        }
        LUMA_TRY(probe_all(p, op, &pr->local->state, pr, out));
        if (*out != NULL)
            return LUMA_OK;
        eng_join_drop(p->x, pr->local);
    }
}

luma_rc
eng_join_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_join *op = (const struct op_join *)base;
    struct join_state *st = p->x->op_state[base->id];
    void *mem;
    if (st->empty)
        return LUMA_OK;
    LUMA_TRY(eng_part_state(p, base, sizeof(struct probe), &mem));
    return st->spilled ? next_on_disk(p, op, st, mem, out) : probe_all(p, op, st, mem, out);
}

void
eng_join_part_free(struct exec *x, void *probe)
{
    struct probe *pr = probe;
    if (pr->local != NULL)
        eng_join_drop(x, pr->local);
}
