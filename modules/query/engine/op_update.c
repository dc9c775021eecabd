/*
 * op_update.c - UPDATE and DELETE: lock, look again at what changed meanwhile, change.
 *
 * A row that a concurrent transaction changed between our snapshot and our lock is fetched in its
 * newest version, judged again by the whole WHERE and, if it still counts, changed from there (READ
 * COMMITTED).
 */
#include "change.h"

struct op_update {
    struct op op;
    struct change change;
    bool remove, once; /* once: the child may give a row more than once */
    uint32_t rowid;    /* its position in the child's row */
    uint32_t target_count;
    uint32_t *target_pos; /* child positions that are columns of the target */
    uint32_t *target_col; /* and which column of the table each is */
    uint32_t set_count;
    const uint32_t *set_cols;
    struct xp **set_exprs;
    struct xp *recheck;
    uint32_t extra_count;
    uint32_t *extra_pos;
};

static luma_rc
seen_grow(struct luma_ctx *ctx, struct exec *x, struct change_state *st)
{
    uint64_t room = st->seen == NULL ? 1024 : (st->seen_mask + 1) * 2;
    int64_t *seen = eng.mem->alloc(x->budget, room * sizeof(int64_t));
    ENG_NEED(ctx, seen, "UPDATE");
    memset(seen, 0xff, room * sizeof(int64_t));
    for (uint64_t i = 0; st->seen != NULL && i <= st->seen_mask; i++) {
        if (st->seen[i] < 0)
            continue;
        uint64_t at = (uint64_t)st->seen[i] * 0x9e3779b97f4a7c15u >> 20 & (room - 1);
        while (seen[at] >= 0)
            at = (at + 1) & (room - 1);
        seen[at] = st->seen[i];
    }
    if (st->seen != NULL)
        eng.mem->release(x->budget, st->seen, (st->seen_mask + 1) * sizeof(int64_t));
    st->seen = seen;
    st->seen_mask = room - 1;
    return LUMA_OK;
}

static luma_rc
seen_before(struct xenv *e, struct change_state *st, int64_t rowid, bool *out)
{
    if (st->seen == NULL || (st->seen_count + 1) * 2 > st->seen_mask)
        LUMA_TRY(seen_grow(e->ctx, e->x, st));
    uint64_t at = (uint64_t)rowid * 0x9e3779b97f4a7c15u >> 20 & st->seen_mask;
    while (st->seen[at] >= 0 && st->seen[at] != rowid)
        at = (at + 1) & st->seen_mask;
    *out = st->seen[at] == rowid;
    if (!*out) {
        st->seen[at] = rowid;
        st->seen_count++;
    }
    return LUMA_OK;
}

static int64_t
rowid_at(const struct op_update *op, const struct luma_batch *in, uint32_t row)
{
    return *(const int64_t *)luma_vec_at(&in->cols[op->rowid], row);
}

/* The new row (DELETE: the old one) as far as checks and RETURNING look at it, dense. */
static luma_rc
new_row(struct xenv *e, const struct op_update *op, const struct luma_batch *in,
        const struct luma_vec *set, struct luma_batch *out)
{
    const struct change *ch = &op->change;
    uint32_t n = in->sel_rows, cols = ch->cols_count;
    memset(out, 0, sizeof(*out));
    out->cols = luma_arena_zalloc(e->arena, sizeof(*out->cols) * (cols + op->extra_count + 1));
    ENG_NEED(e->ctx, out->cols, "UPDATE");
    out->rows = out->sel_rows = n;
    out->cols_count = cols + op->extra_count;
    for (uint32_t i = 0; i < op->target_count; i++)
        LUMA_TRY(eng.data->vec_copy(e->arena, &in->cols[op->target_pos[i]], in->sel, n, false,
                                    &out->cols[op->target_col[i]]));
    for (uint32_t i = 0; i < op->set_count && !op->remove; i++)
        out->cols[op->set_cols[i]] = set[i];
    for (uint32_t i = 0; i < op->extra_count; i++)
        LUMA_TRY(eng.data->vec_copy(e->arena, &in->cols[op->extra_pos[i]], in->sel, n, false,
                                    &out->cols[cols + i]));
    return LUMA_OK;
}

/* Says what was changed: the rows as they were, beside `row`. */
static luma_rc
tell(struct xenv *e, const struct op_update *op, const struct luma_batch *in,
     const struct luma_batch *row)
{
    const struct change *ch = &op->change;
    if (ch->plan->captured == NULL)
        return LUMA_OK;
    if (op->remove)
        return eng_change_tell(e, ch, row, NULL);
    struct luma_batch before = *in;
    before.cols = luma_arena_zalloc(e->arena, sizeof(*before.cols) * (ch->cols_count + 1));
    ENG_NEED(e->ctx, before.cols, "UPDATE");
    before.cols_count = ch->cols_count;
    for (uint32_t i = 0; i < op->target_count; i++)
        before.cols[op->target_col[i]] = in->cols[op->target_pos[i]];
    return eng_change_tell(e, ch, &before, row);
}

/* Changes the batch's rows, all of them locked. */
static luma_rc
apply(struct xenv *e, const struct op_update *op, struct change_state *st, struct luma_batch *in)
{
    const struct change *ch = &op->change;
    const struct luma_store_coll *def = eng.store->def(st->coll);
    uint32_t n = in->sel_rows;
    if (n == 0)
        return LUMA_OK;
    int64_t *ids = luma_arena_alloc(e->arena, sizeof(int64_t) * n);
    uint32_t *col_ids = luma_arena_alloc(e->arena, sizeof(uint32_t) * (op->set_count + 1));
    struct luma_vec *set = luma_arena_alloc(e->arena, sizeof(*set) * (op->set_count + 1));
    struct luma_batch row;
    if (ids == NULL || col_ids == NULL || set == NULL)
        return ENG_NOMEM(e->ctx, "UPDATE");
    for (uint32_t k = 0; k < n; k++)
        ids[k] = rowid_at(op, in, luma_batch_row(in, k));
    for (uint32_t i = 0; i < op->set_count && !op->remove; i++) {
        uint32_t col = op->set_cols[i];
        struct luma_vec v;
        LUMA_TRY(eng_eval(e, op->set_exprs[i], in, in->sel, n, &v));
        LUMA_TRY(eng_vec_table_form(e, ch->types[col], &v, in->sel, n, in->rows, &v));
        v.type = ch->types[col];
        LUMA_TRY(eng.data->vec_copy(e->arena, &v, in->sel, n, false, &set[i]));
        set[i].type = ch->types[col];
        col_ids[i] = def->cols[col].id;
    }
    LUMA_TRY(new_row(e, op, in, set, &row));
    luma_rc rc;
    if (op->remove) {
        rc = eng.store->remove(e->ctx, e->x->txn, st->coll, ids, n);
    } else {
        struct luma_batch sets = {
            .rows = n, .sel_rows = n, .cols = set, .cols_count = op->set_count};
        LUMA_TRY(eng_change_check(e, ch, &row, op->set_cols, op->set_count));
        rc = eng.store->update(e->ctx, e->x->txn, st->coll, ids, n, col_ids, &sets);
    }
    if (rc != LUMA_OK)
        return eng_change_unique(e, ch, st->coll, &row, rc);
    LUMA_TRY(tell(e, op, in, &row));
    st->rows += n;
    return eng_change_return(e, ch, st, &row);
}

/* Rows changed meanwhile: newest versions in the target's columns, WHERE once more. */
static luma_rc
apply_changed(struct xenv *e, const struct op_update *op, struct change_state *st,
              const struct luma_batch *in, const uint32_t *idx, uint32_t n)
{
    const struct luma_store_coll *def = eng.store->def(st->coll);
    int64_t *ids = luma_arena_alloc(e->arena, sizeof(int64_t) * n);
    int32_t *found = luma_arena_alloc(e->arena, sizeof(int32_t) * n);
    uint32_t *col_ids = luma_arena_alloc(e->arena, sizeof(uint32_t) * (op->target_count + 1));
    uint32_t *from = luma_arena_alloc(e->arena, sizeof(uint32_t) * n * 2);
    struct luma_vec *cols = luma_arena_alloc(e->arena, sizeof(*cols) * (in->cols_count + 1));
    if (ids == NULL || found == NULL || col_ids == NULL || from == NULL || cols == NULL)
        return ENG_NOMEM(e->ctx, "UPDATE");
    uint32_t *at = from + n, m = 0;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = rowid_at(op, in, idx[i]);
    for (uint32_t i = 0; i < op->target_count; i++)
        col_ids[i] = def->cols[op->target_col[i]].id;
    struct luma_batch newest;
    memset(&newest, 0, sizeof(newest));
    LUMA_TRY(eng.store->fetch(e->ctx, e->x->txn, st->coll, ids, n, col_ids, op->target_count, true,
                              e->arena, &newest, found));
    for (uint32_t i = 0; i < n; i++)
        if (found[i] >= 0) {
            from[m] = idx[i];
            at[m++] = (uint32_t)found[i];
        }
    for (uint32_t c = 0; c < in->cols_count; c++)
        LUMA_TRY(eng_vec_gather(e, &in->cols[c], from, m, &cols[c]));
    for (uint32_t i = 0; i < op->target_count; i++)
        LUMA_TRY(eng_vec_gather(e, &newest.cols[i], at, m, &cols[op->target_pos[i]]));
    struct luma_batch fresh = {
        .rows = m, .sel_rows = m, .cols = cols, .cols_count = in->cols_count};
    if (m > 0 && op->recheck != NULL)
        LUMA_TRY(eng_filter_batch(e, op->recheck, &fresh));
    return apply(e, op, st, &fresh);
}

static luma_rc
change_batch(struct xenv *e, const struct op_update *op, struct change_state *st,
             struct luma_batch *in)
{
    uint32_t n = 0, locked = 0, changed = 0, total = in->sel_rows;
    int64_t *ids = luma_arena_alloc(e->arena, sizeof(int64_t) * total);
    uint16_t *rows = luma_arena_alloc(e->arena, sizeof(uint16_t) * (total + 8));
    uint32_t *again = luma_arena_alloc(e->arena, sizeof(uint32_t) * total);
    enum luma_lock_result *results = luma_arena_alloc(e->arena, sizeof(*results) * total);
    if (ids == NULL || rows == NULL || again == NULL || results == NULL)
        return ENG_NOMEM(e->ctx, "UPDATE");
    for (uint32_t k = 0; k < total; k++) {
        uint32_t row = luma_batch_row(in, k);
        int64_t id = rowid_at(op, in, row);
        bool seen = false;
        if (luma_vec_is_null(&in->cols[op->rowid], row))
            continue;
        if (op->once)
            LUMA_TRY(seen_before(e, st, id, &seen));
        if (seen)
            continue;
        ids[n] = id;
        rows[n++] = (uint16_t)row;
    }
    if (n == 0)
        return LUMA_OK;
    LUMA_TRY(eng.store->lock(e->ctx, e->x->txn, st->coll, ids, n,
                             op->remove ? LUMA_LOCK_UPDATE : LUMA_LOCK_NO_KEY_UPDATE,
                             LUMA_LOCK_WAIT, results));
    for (uint32_t i = 0; i < n; i++) {
        if (results[i] == LUMA_ROW_LOCKED)
            rows[locked++] = rows[i];
        else if (results[i] == LUMA_ROW_CHANGED)
            again[changed++] = rows[i];
    }
    struct luma_batch work = *in;
    work.sel = rows;
    work.sel_rows = locked;
    LUMA_TRY(apply(e, op, st, &work));
    return changed == 0 ? LUMA_OK : apply_changed(e, op, st, in, again, changed);
}

static luma_rc
update_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_update *op = (const struct op_update *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct change_state), &mem));
    struct change_state *st = mem;
    LUMA_TRY(eng.store->open(ctx, x->txn, op->change.plan->coll_id, &st->coll));
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    struct part *p = eng_part(x, 0, ctx);
    eng_start(x, base->child[0], 1);
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            break;
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(change_batch(&e, op, st, in));
        LUMA_TRY(eng.sched->yield(ctx));
    }
    x->changed = st->rows;
    return LUMA_OK;
}

static const struct op_class update_class = {
    .name = "Update",
    .open = update_open,
    .next = eng_change_next,
    .close = eng_change_close,
};

static const struct op_class delete_class = {
    .name = "Delete",
    .open = update_open,
    .next = eng_change_next,
    .close = eng_change_close,
};

struct op *
eng_phys_update(struct phys *ph, struct rel *rel)
{
    struct prep *pp = ph->pp;
    const struct luma_plan_change *plan = rel->plan->change;
    struct rel *child_rel = rel->child[0];
    uint32_t cols = plan->table_cols_count;
    if (child_rel->outs_count <= cols)
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: UPDATE without row id"));
    uint32_t extra_all = child_rel->outs_count - cols - 1;
    const uint32_t *extra = child_rel->outs + cols + 1;
    struct change change = {.plan = plan};
    eng_change_build(ph, rel, extra, extra_all, &change);
    struct bits need = {0, NULL}, returns = {0, NULL};
    eng_bits_add(pp, &need, child_rel->outs[cols]);
    eng_need_exs(pp, &need, rel->set_exprs, plan->set_count);
    if (rel->recheck != NULL)
        eng_ex_vars(pp, rel->recheck, &need);
    eng_need_exs(pp, &returns, rel->returning, plan->returning_count);
    for (uint32_t i = 0; i < extra_all; i++)
        if (eng_bits_has(&returns, extra[i]))
            eng_bits_add(pp, &need, extra[i]);
    for (uint32_t i = 0; i < cols; i++)
        if (change.check_cols[i])
            eng_bits_add(pp, &need, child_rel->outs[i]);
    struct op *child = eng_phys_gather(ph, eng_phys(ph, child_rel, &need));
    bool remove = rel->plan->kind == LUMA_PLAN_DELETE;
    struct op_update *op = eng_op_new(ph, remove ? &delete_class : &update_class, sizeof(*op), rel,
                                      rel->outs, rel->outs_count);
    op->op.child[0] = child;
    op->change = change;
    op->remove = remove;
    struct rel *below = child_rel;
    while (below->kind == REL_FILTER || below->kind == REL_PROJECT)
        below = below->child[0];
    op->once = below->kind != REL_SCAN;
    op->rowid = eng_op_pos(pp, child, child_rel->outs[cols]);
    op->target_pos = PP_ARRAY(pp, uint32_t, cols);
    op->target_col = PP_ARRAY(pp, uint32_t, cols);
    for (uint32_t i = 0; i < cols; i++)
        for (uint32_t k = 0; k < child->cols_count; k++)
            if (child->vars[k] == child_rel->outs[i]) {
                op->target_pos[op->target_count] = k;
                op->target_col[op->target_count++] = i;
                break;
            }
    /* RETURNING was compiled over all extra columns: those not needed stay empty. */
    op->extra_count = extra_all;
    op->extra_pos = PP_ARRAY(pp, uint32_t, extra_all);
    for (uint32_t i = 0; i < extra_all; i++) {
        op->extra_pos[i] = op->rowid;
        for (uint32_t k = 0; k < child->cols_count; k++)
            if (child->vars[k] == extra[i])
                op->extra_pos[i] = k;
    }
    struct comp c = eng_comp(ph, child);
    op->set_count = plan->set_count;
    op->set_cols = plan->set_cols;
    op->set_exprs = eng_compile_all(&c, rel->set_exprs, plan->set_count);
    op->recheck = rel->recheck == NULL ? NULL : eng_compile(&c, rel->recheck);
    return &op->op;
}
