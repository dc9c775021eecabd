/* op_lock.c - SELECT FOR UPDATE and its kin: rows go on when they are locked and still count. */
#include "explain.h"
#include "phys.h"

struct lock_target {
    uint64_t coll_id;
    uint32_t rowid; /* position in the row */
    enum luma_lock_mode mode;
    enum luma_lock_wait wait;
    uint32_t cols_count;
    uint32_t *pos, *col_ids; /* columns of this table in the row, fetched again when it changed */
};

struct op_lock {
    struct op op;
    uint32_t targets_count;
    struct lock_target *targets;
    struct xp *recheck;
    struct xp *limit, *offset;
};

struct lock_state {
    struct luma_coll **colls;
    struct luma_batch batch; /* the rows being locked: some of `in`, dense */
    struct luma_batch *in;
    uint32_t at;  /* row of `in` that is next */
    int64_t left; /* rows still asked for; < 0: all */
};

static luma_rc
lock_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_lock *op = (const struct op_lock *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct lock_state), &mem));
    struct lock_state *st = mem;
    int64_t offset = 0;
    LUMA_TRY(eng_limit_values(x, ctx, op->limit, op->offset, &st->left, &offset));
    if (st->left >= 0 && __builtin_add_overflow(st->left, offset, &st->left))
        st->left = -1;
    st->colls = LUMA_NEW_ARRAY(x->arena, struct luma_coll *, op->targets_count + 1);
    ENG_NEED(ctx, st->colls, "FOR UPDATE");
    for (uint32_t i = 0; i < op->targets_count; i++)
        LUMA_TRY(eng.store->open(ctx, x->txn, op->targets[i].coll_id, &st->colls[i]));
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    eng_start(x, base->child[0], 1);
    return LUMA_OK;
}

/* Locks the dense rows of batch in one table; out_stay[i] says which go on. */
static luma_rc
lock_target(struct xenv *e, const struct lock_target *t, struct luma_coll *coll,
            struct luma_batch *batch, bool *stay, bool *out_changed)
{
    uint32_t n = 0, changed = 0;
    int64_t *ids = luma_arena_alloc(e->arena, sizeof(int64_t) * (batch->rows + 1));
    uint32_t *at = luma_arena_alloc(e->arena, sizeof(uint32_t) * (batch->rows + 1));
    enum luma_lock_result *results =
        luma_arena_alloc(e->arena, sizeof(*results) * (batch->rows + 1));
    int32_t *found = luma_arena_alloc(e->arena, sizeof(int32_t) * (batch->rows + 1));
    if (ids == NULL || at == NULL || results == NULL || found == NULL)
        return ENG_NOMEM(e->ctx, "FOR UPDATE");
    for (uint32_t i = 0; i < batch->rows; i++) {
        if (!stay[i] || luma_vec_is_null(&batch->cols[t->rowid], i))
            continue; /* the nullable side of an outer join has nothing to lock */
        ids[n] = *(const int64_t *)luma_vec_at(&batch->cols[t->rowid], i);
        at[n++] = i;
    }
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng.store->lock(e->ctx, e->x->txn, coll, ids, n, t->mode, t->wait, results));
    for (uint32_t i = 0; i < n; i++) {
        if (results[i] == LUMA_ROW_GONE || results[i] == LUMA_ROW_SKIPPED)
            stay[at[i]] = false;
        if (results[i] == LUMA_ROW_CHANGED) {
            ids[changed] = ids[i];
            at[changed++] = at[i];
        }
    }
    if (changed == 0)
        return LUMA_OK;
    struct luma_batch newest;
    memset(&newest, 0, sizeof(newest));
    LUMA_TRY(eng.store->fetch(e->ctx, e->x->txn, coll, ids, changed, t->col_ids, t->cols_count,
                              true, e->arena, &newest, found));
    *out_changed = true;
    for (uint32_t i = 0; i < changed; i++) {
        if (found[i] < 0) {
            stay[at[i]] = false;
            continue;
        }
        for (uint32_t c = 0; c < t->cols_count; c++) {
            struct luma_value v = eng.data->vec_value(&newest.cols[c], (uint32_t)found[i]);
            struct luma_vec *vec = &batch->cols[t->pos[c]];
            if (v.is_null) {
                if (!luma_vec_need_valid(vec, e->arena, batch->rows))
                    return ENG_NOMEM(e->ctx, "FOR UPDATE");
                luma_bit_clear(vec->valid, at[i]);
                continue;
            }
            if (vec->valid != NULL)
                luma_bit_set(vec->valid, at[i]);
            LUMA_TRY(eng.data->vec_set(e->arena, vec, at[i], &v));
        }
    }
    return LUMA_OK;
}

/* The next rows of the child, copied: no more than are asked for, so that no row is locked for
 * nothing. Rows 0: the end. */
static luma_rc
rows_next(struct part *p, const struct op *base, struct lock_state *st,
          struct luma_arena **out_arena)
{
    st->batch.rows = st->batch.sel_rows = 0;
    if (st->left == 0)
        return LUMA_OK;
    if (st->in == NULL || st->at == st->in->sel_rows) {
        st->at = 0;
        LUMA_TRY(eng_next(p, base->child[0], &st->in));
        if (st->in == NULL)
            return LUMA_OK;
    }
    uint32_t n = st->in->sel_rows - st->at;
    if (st->left >= 0 && (int64_t)n > st->left)
        n = (uint32_t)st->left;
    LUMA_TRY(eng_batch_arena(p, base, out_arena));
    uint16_t *sel = luma_arena_alloc(*out_arena, sizeof(uint16_t) * (n + 8));
    if (sel == NULL)
        return ENG_NOMEM(p->ctx, "FOR UPDATE");
    for (uint32_t k = 0; k < n; k++)
        sel[k] = (uint16_t)luma_batch_row(st->in, st->at + k);
    st->at += n;
    struct luma_batch some = *st->in;
    some.sel = sel;
    some.sel_rows = n;
    return eng_batch_copy(p->ctx, *out_arena, &some, &st->batch);
}

static luma_rc
lock_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_lock *op = (const struct op_lock *)base;
    struct lock_state *st = p->x->op_state[base->id];
    for (;;) {
        struct luma_arena *arena = NULL;
        LUMA_TRY(rows_next(p, base, st, &arena));
        if (st->batch.rows == 0)
            return LUMA_OK;
        struct xenv e = eng_env(p, arena);
        bool *stay = luma_arena_alloc(arena, sizeof(bool) * (st->batch.rows + 1));
        uint16_t *sel = luma_arena_alloc(arena, sizeof(uint16_t) * (st->batch.rows + 8));
        if (stay == NULL || sel == NULL)
            return ENG_NOMEM(p->ctx, "FOR UPDATE");
        memset(stay, 1, st->batch.rows);
        bool changed = false;
        for (uint32_t i = 0; i < op->targets_count; i++)
            LUMA_TRY(lock_target(&e, &op->targets[i], st->colls[i], &st->batch, stay, &changed));
        uint32_t n = 0;
        for (uint32_t i = 0; i < st->batch.rows; i++)
            if (stay[i])
                sel[n++] = (uint16_t)i;
        st->batch.sel = sel;
        st->batch.sel_rows = n;
        if (changed && op->recheck != NULL && n > 0)
            LUMA_TRY(eng_filter_batch(&e, op->recheck, &st->batch));
        if (st->batch.sel_rows > 0) {
            st->left -= st->left >= 0 ? st->batch.sel_rows : 0;
            *out = &st->batch;
            return LUMA_OK;
        }
    }
}

static void
lock_close(struct exec *x, const struct op *base)
{
    const struct op_lock *op = (const struct op_lock *)base;
    struct lock_state *st = x->op_state[base->id];
    for (uint32_t i = 0; st->colls != NULL && i < op->targets_count; i++)
        eng.store->close(st->colls[i]);
}

static const struct op_class lock_class = {
    .name = "LockRows",
    .open = lock_open,
    .next = lock_next,
    .close = lock_close,
};

/* All conditions of scans and filters below: what a newer version must still satisfy. */
static void
conditions_below(struct prep *pp, const struct rel *rel, struct ex_list *out)
{
    if (rel == NULL || rel->kind == REL_AGG || rel->kind == REL_CTE || rel->kind == REL_SETOP)
        return;
    for (uint32_t i = 0; i < rel->conds.count; i++)
        if (!eng_ex_has_sublink(rel->conds.items[i]))
            eng_list_add(pp, out, rel->conds.items[i]);
    conditions_below(pp, rel->child[0], out);
    if (rel->kind == REL_JOIN && rel->join == LUMA_JOIN_INNER)
        conditions_below(pp, rel->child[1], out);
}

static const struct rel *
scan_of(const struct rel *rel, uint32_t rowid_var)
{
    if (rel == NULL)
        return NULL;
    if (rel->kind == REL_SCAN && rel->rowid_var == rowid_var)
        return rel;
    const struct rel *found = scan_of(rel->child[0], rowid_var);
    return found != NULL ? found : scan_of(rel->child[1], rowid_var);
}

struct op *
eng_phys_lock(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct ex_list conds = {NULL, 0, 0}, judged = {NULL, 0, 0};
    struct bits below = eng_bits_copy(pp, need), outs = {0, NULL}, got = {0, NULL};
    conditions_below(pp, rel->child[0], &conds);
    eng_rel_outs(pp, rel->child[0], &outs);
    for (uint32_t i = 0; i < conds.count; i++) {
        struct bits vars = {0, NULL};
        eng_ex_vars(pp, conds.items[i], &vars);
        if (eng_bits_within(&vars, &outs)) {
            eng_bits_union(pp, &below, &vars);
            eng_list_add(pp, &judged, conds.items[i]);
        }
    }
    for (uint32_t i = 0; i < rel->plan->locks_count; i++)
        eng_bits_add(pp, &below, rel->outs[rel->plan->locks[i].rowid_col]);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    struct op_lock *op =
        eng_op_new(ph, &lock_class, sizeof(*op), rel, child->vars, child->cols_count);
    struct comp c = eng_comp(ph, child);
    (void)got;
    op->op.child[0] = child;
    op->targets_count = rel->plan->locks_count;
    op->targets = PP_ARRAY(pp, struct lock_target, op->targets_count);
    op->recheck = eng_compile_conds(&c, &judged);
    struct comp none = eng_comp(ph, NULL);
    op->limit = rel->limit == NULL ? NULL : eng_compile(&none, rel->limit);
    op->offset = rel->offset == NULL ? NULL : eng_compile(&none, rel->offset);
    for (uint32_t i = 0; i < op->targets_count; i++) {
        const struct luma_plan_lock *lock = &rel->plan->locks[i];
        struct lock_target *t = &op->targets[i];
        uint32_t rowid_var = rel->outs[lock->rowid_col];
        t->coll_id = lock->coll_id;
        t->mode = lock->mode;
        t->wait = lock->wait;
        t->rowid = eng_op_pos(pp, child, rowid_var);
        t->pos = PP_ARRAY(pp, uint32_t, child->cols_count);
        t->col_ids = PP_ARRAY(pp, uint32_t, child->cols_count);
        const struct rel *scan = scan_of(rel->child[0], rowid_var);
        for (uint32_t k = 0; scan != NULL && k < child->cols_count; k++)
            if (child->vars[k] != rowid_var && eng_rel_defines(scan, child->vars[k])) {
                t->pos[t->cols_count] = k;
                t->col_ids[t->cols_count++] = pp->vars[child->vars[k]].col_id;
            }
    }
    return &op->op;
}
