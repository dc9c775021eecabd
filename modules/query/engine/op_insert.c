/* op_insert.c - INSERT, with ON CONFLICT and bulk loads; COPY's rows come the same way. */
#include "change.h"

/* The child's row as a row of the table: its order and physical forms. */
luma_rc
eng_insert_shape(struct xenv *e, const struct op_insert *op, const struct luma_batch *in,
                 struct luma_batch *out)
{
    const struct change *ch = &op->change;
    *out = *in;
    out->cols = luma_arena_alloc(e->arena, sizeof(*out->cols) * (ch->cols_count + 1));
    ENG_NEED(e->ctx, out->cols, "INSERT");
    out->cols_count = ch->cols_count;
    for (uint32_t i = 0; i < ch->cols_count; i++) {
        LUMA_TRY(eng_vec_table_form(e, ch->types[i], &in->cols[op->from[i]], in->sel, in->sel_rows,
                                    in->rows, &out->cols[i]));
        out->cols[i].type = ch->types[i];
    }
    return LUMA_OK;
}

/* Rows of the batch whose out_rowids entry says that they went in. */
static luma_rc
inserted_only(struct xenv *e, const struct luma_batch *row, const int64_t *rowids, bool in,
              struct luma_batch *out)
{
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (row->sel_rows + 8));
    ENG_NEED(e->ctx, sel, "INSERT");
    uint32_t n = 0;
    for (uint32_t k = 0; k < row->sel_rows; k++)
        if ((rowids[k] >= 0) == in)
            sel[n++] = (uint16_t)luma_batch_row(row, k);
    *out = *row;
    out->sel = sel;
    out->sel_rows = n;
    return LUMA_OK;
}

/* ON CONFLICT DO UPDATE for rows that met an existing one, which storage has locked. */
static luma_rc
update_conflicts(struct xenv *e, const struct op_insert *op, struct change_state *st,
                 const struct luma_batch *row, const int64_t *conflicts)
{
    const struct change *ch = &op->change;
    const struct luma_store_coll *def = eng.store->def(st->coll);
    uint32_t cols = ch->cols_count, n = 0;
    int64_t *ids = luma_arena_alloc(e->arena, sizeof(int64_t) * (row->sel_rows + 1));
    uint32_t *idx = luma_arena_alloc(e->arena, sizeof(uint32_t) * (row->sel_rows + 1));
    int32_t *found = luma_arena_alloc(e->arena, sizeof(int32_t) * (row->sel_rows + 1));
    uint32_t *col_ids = luma_arena_alloc(e->arena, sizeof(uint32_t) * (cols + 1) * 2);
    struct luma_vec *both = luma_arena_alloc(e->arena, sizeof(*both) * (cols * 2 + 1));
    if (ids == NULL || idx == NULL || found == NULL || col_ids == NULL || both == NULL)
        return ENG_NOMEM(e->ctx, "ON CONFLICT");
    for (uint32_t k = 0; k < row->sel_rows; k++)
        if (conflicts[k] >= 0) {
            ids[n] = conflicts[k];
            idx[n++] = luma_batch_row(row, k);
        }
    if (n == 0)
        return LUMA_OK;
    for (uint32_t i = 0; i < cols; i++)
        col_ids[i] = def->cols[i].id;
    struct luma_batch old;
    memset(&old, 0, sizeof(old));
    LUMA_TRY(eng.store->fetch(e->ctx, e->x->txn, st->coll, ids, n, col_ids, cols, true, e->arena,
                              &old, found));
    uint32_t m = 0;
    uint32_t *old_at = luma_arena_alloc(e->arena, sizeof(uint32_t) * (n + 1));
    ENG_NEED(e->ctx, old_at, "ON CONFLICT");
    for (uint32_t i = 0; i < n; i++)
        if (found[i] >= 0) {
            old_at[m] = (uint32_t)found[i];
            ids[m] = ids[i];
            idx[m++] = idx[i];
        }
    for (uint32_t i = 0; i < cols; i++) {
        LUMA_TRY(eng_vec_gather(e, &old.cols[i], old_at, m, &both[i]));
        LUMA_TRY(eng_vec_gather(e, &row->cols[i], idx, m, &both[cols + i]));
    }
    struct luma_batch pair = {.rows = m, .sel_rows = m, .cols = both, .cols_count = cols * 2};
    if (op->set_where != NULL)
        LUMA_TRY(eng_filter_batch(e, op->set_where, &pair));
    if (pair.sel_rows == 0)
        return LUMA_OK;
    struct luma_vec *fresh = luma_arena_alloc(e->arena, sizeof(*fresh) * (cols + 1));
    struct luma_vec *set = luma_arena_alloc(e->arena, sizeof(*set) * (op->set_count + 1));
    int64_t *live = luma_arena_alloc(e->arena, sizeof(int64_t) * (pair.sel_rows + 1));
    if (fresh == NULL || set == NULL || live == NULL)
        return ENG_NOMEM(e->ctx, "ON CONFLICT");
    for (uint32_t k = 0; k < pair.sel_rows; k++)
        live[k] = ids[luma_batch_row(&pair, k)];
    for (uint32_t i = 0; i < cols; i++)
        LUMA_TRY(eng.data->vec_copy(e->arena, &both[i], pair.sel, pair.sel_rows, false, &fresh[i]));
    for (uint32_t i = 0; i < op->set_count; i++) {
        uint32_t col = op->set_cols[i];
        struct luma_vec v;
        LUMA_TRY(eng_eval(e, op->set_exprs[i], &pair, pair.sel, pair.sel_rows, &v));
        LUMA_TRY(eng_vec_table_form(e, ch->types[col], &v, pair.sel, pair.sel_rows, pair.rows, &v));
        v.type = ch->types[col];
        LUMA_TRY(eng.data->vec_copy(e->arena, &v, pair.sel, pair.sel_rows, false, &set[i]));
        fresh[col] = set[i];
        col_ids[cols + i] = def->cols[col].id;
    }
    struct luma_batch made = {
        .rows = pair.sel_rows, .sel_rows = pair.sel_rows, .cols = fresh, .cols_count = cols};
    LUMA_TRY(eng_change_check(e, ch, &made, op->set_cols, op->set_count));
    struct luma_batch sets = {
        .rows = made.rows, .sel_rows = made.rows, .cols = set, .cols_count = op->set_count};
    luma_rc rc =
        eng.store->update(e->ctx, e->x->txn, st->coll, live, made.rows, col_ids + cols, &sets);
    if (rc != LUMA_OK)
        return eng_change_unique(e, ch, st->coll, &made, rc);
    pair.cols_count = cols;
    LUMA_TRY(eng_change_tell(e, ch, &pair, &made));
    st->rows += made.rows;
    return eng_change_return(e, ch, st, &made);
}

luma_rc
eng_insert_rows(struct xenv *e, const struct op_insert *op, struct change_state *st,
                struct luma_batch *row)
{
    const struct change *ch = &op->change;
    struct luma_insert_opts opts = {ch->plan->conflict, ch->plan->conflict_index};
    LUMA_TRY(eng_change_check(e, ch, row, NULL, ch->cols_count));
    bool fail = opts.conflict == LUMA_CONFLICT_FAIL;
    int64_t *rowids = luma_arena_alloc(e->arena, sizeof(int64_t) * (row->sel_rows + 1) * 2);
    ENG_NEED(e->ctx, rowids, "INSERT");
    int64_t *conflicts = rowids + row->sel_rows + 1;
    memset(conflicts, 0xff, sizeof(int64_t) * (row->sel_rows + 1));
    luma_rc rc = eng.store->insert(e->ctx, e->x->txn, st->coll, row, &opts, fail ? NULL : rowids,
                                   opts.conflict == LUMA_CONFLICT_REPORT ? conflicts : NULL);
    if (rc != LUMA_OK)
        return eng_change_unique(e, ch, st->coll, row, rc);
    if (fail) {
        LUMA_TRY(eng_change_tell(e, ch, NULL, row));
        st->rows += row->sel_rows;
        return eng_change_return(e, ch, st, row);
    }
    struct luma_batch in;
    LUMA_TRY(inserted_only(e, row, rowids, true, &in));
    st->rows += in.sel_rows;
    if (in.sel_rows > 0)
        LUMA_TRY(eng_change_tell(e, ch, NULL, &in));
    LUMA_TRY(eng_change_return(e, ch, st, &in));
    return opts.conflict == LUMA_CONFLICT_REPORT ? update_conflicts(e, op, st, row, conflicts)
                                                 : LUMA_OK;
}

static luma_rc
bulk_sink(struct part *p, void *arg, struct luma_batch *in)
{
    const struct op_insert *op = arg;
    struct change_state *st = p->x->op_state[op->op.id];
    struct luma_arena *arena;
    struct luma_batch row;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    LUMA_TRY(eng_insert_shape(&e, op, in, &row));
    LUMA_TRY(eng_change_check(&e, &op->change, &row, NULL, op->change.cols_count));
    LUMA_TRY(eng_change_tell(&e, &op->change, NULL, &row));
    return eng.store->bulk_append(p->ctx, st->bulk, p->index, &row);
}

static luma_rc
insert_bulk(struct exec *x, struct luma_ctx *ctx, const struct op_insert *op,
            struct change_state *st)
{
    uint32_t parts = eng_parts_for(x, op->op.child[0]);
    uint64_t rows = 0;
    LUMA_TRY(eng.store->bulk_open(ctx, x->txn, st->coll, parts, &st->bulk));
    LUMA_TRY(eng_run(x, ctx, op->op.child[0], parts, bulk_sink, NULL, (void *)(uintptr_t)op));
    struct luma_bulk *bulk = LUMA_TAKE(st->bulk);
    luma_rc rc = eng.store->bulk_finish(ctx, bulk, &rows);
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    if (rc != LUMA_OK)
        return eng_change_unique(&e, &op->change, st->coll, NULL, rc);
    st->rows = rows;
    return LUMA_OK;
}

static luma_rc
insert_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_insert *op = (const struct op_insert *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct change_state), &mem));
    struct change_state *st = mem;
    LUMA_TRY(eng.store->open(ctx, x->txn, op->change.plan->coll_id, &st->coll));
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    if (op->bulk) {
        LUMA_TRY(insert_bulk(x, ctx, op, st));
        x->changed = st->rows;
        return LUMA_OK;
    }
    struct part *p = eng_part(x, 0, ctx);
    eng_start(x, base->child[0], 1);
    for (;;) {
        struct luma_batch *in, row;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            break;
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(eng_insert_shape(&e, op, in, &row));
        LUMA_TRY(eng_insert_rows(&e, op, st, &row));
        LUMA_TRY(eng.sched->yield(ctx));
    }
    x->changed = st->rows;
    return LUMA_OK;
}

static const struct op_class insert_class = {
    .name = "Insert",
    .open = insert_open,
    .next = eng_change_next,
    .close = eng_change_close,
};

struct op *
eng_phys_insert(struct phys *ph, struct rel *rel)
{
    struct prep *pp = ph->pp;
    const struct luma_plan_change *plan = rel->plan->change;
    struct rel *child_rel = rel->child[0];
    uint32_t cols = plan->table_cols_count;
    struct bits need = {0, NULL};
    if (child_rel->outs_count < cols)
        eng_pp_throw(pp, LUMA_FAIL(pp->ctx, LUMA_E_INTERNAL, "plan: INSERT of %u columns into %u",
                                   child_rel->outs_count, cols));
    eng_bits_add_all(pp, &need, child_rel->outs, cols);
    struct op *child = eng_phys_gather(ph, eng_phys(ph, child_rel, &need));
    struct op_insert *op =
        eng_op_new(ph, &insert_class, sizeof(*op), rel, rel->outs, rel->outs_count);
    op->op.child[0] = child;
    op->from = PP_ARRAY(pp, uint32_t, cols);
    for (uint32_t i = 0; i < cols; i++)
        op->from[i] = eng_op_pos(pp, child, child_rel->outs[i]);
    eng_change_build(ph, rel, NULL, 0, &op->change);
    op->bulk = plan->returning_count == 0 && plan->conflict == LUMA_CONFLICT_FAIL && plan->bulk &&
               eng_rows(pp, child_rel) > 20000;
    op->set_count = plan->set_count;
    op->set_cols = plan->set_cols;
    if (rel->old_vars != NULL) {
        uint32_t *both = PP_ARRAY(pp, uint32_t, cols * 2);
        memcpy(both, rel->old_vars, sizeof(uint32_t) * cols);
        memcpy(both + cols, rel->new_vars, sizeof(uint32_t) * cols);
        struct comp c = {pp, ph->prog, both, cols * 2};
        op->set_exprs = eng_compile_all(&c, rel->set_exprs, plan->set_count);
        op->set_where = rel->set_where == NULL ? NULL : eng_compile(&c, rel->set_where);
    }
    return &op->op;
}
