/* op_basic.c - filter, limit, values, rows of modules. */
#include "explain.h"
#include "phys.h"

/* --- filter --- */

struct op_filter {
    struct op op;
    struct xp *cond;
};

struct filter_part {
    struct luma_batch batch;
};

static luma_rc
open_child(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    return eng_open(x, ctx, op->child[0]);
}

static uint32_t
child_parts(struct exec *x, const struct op *op)
{
    return eng_parts(x, op->child[0]);
}

static void
child_start(struct exec *x, const struct op *op, uint32_t parts)
{
    eng_start(x, op->child[0], parts);
}

static luma_rc
filter_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_filter *op = (const struct op_filter *)base;
    struct filter_part *st;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*st), &mem));
    st = mem;
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            return LUMA_OK;
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        st->batch = *in;
        LUMA_TRY(eng_filter_batch(&e, op->cond, &st->batch));
        if (st->batch.sel_rows > 0) {
            *out = &st->batch;
            return LUMA_OK;
        }
    }
}

static void
filter_explain(struct explain *ex, const struct op *op)
{
    eng_explain_conds(ex, "Filter", op->rel);
}

static const struct op_class filter_class = {
    .name = "Filter",
    .open = open_child,
    .parts = child_parts,
    .start = child_start,
    .next = filter_next,
    .explain = filter_explain,
};

struct op *
eng_phys_filter(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct bits below = eng_bits_copy(ph->pp, need);
    eng_need_list(ph->pp, &below, &rel->conds);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    struct comp c = eng_comp(ph, child);
    struct op_filter *op =
        eng_op_new(ph, &filter_class, sizeof(*op), rel, child->vars, child->cols_count);
    op->op.child[0] = child;
    op->cond = eng_compile_conds(&c, &rel->conds);
    return &op->op;
}

/* --- limit --- */

struct op_limit {
    struct op op;
    struct xp *limit, *offset;
};

struct limit_state {
    int64_t limit, offset; /* left; limit < 0: none */
    struct luma_batch batch;
};

luma_rc
eng_limit_values(struct exec *x, struct luma_ctx *ctx, const struct xp *limit,
                 const struct xp *offset, int64_t *out_limit, int64_t *out_offset)
{
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    struct luma_value v;
    *out_limit = -1;
    *out_offset = 0;
    if (limit != NULL) {
        LUMA_TRY(eng_eval_value(&e, limit, &v));
        if (!v.is_null && v.i64 < 0)
            return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201W", "LIMIT must not be negative");
        *out_limit = v.is_null ? -1 : v.i64;
    }
    if (offset != NULL) {
        LUMA_TRY(eng_eval_value(&e, offset, &v));
        if (!v.is_null && v.i64 < 0)
            return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "2201X", "OFFSET must not be negative");
        *out_offset = v.is_null ? 0 : v.i64;
    }
    return LUMA_OK;
}

static luma_rc
limit_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_limit *op = (const struct op_limit *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct limit_state), &mem));
    struct limit_state *st = mem;
    LUMA_TRY(eng_limit_values(x, ctx, op->limit, op->offset, &st->limit, &st->offset));
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    eng_start(x, base->child[0], 1);
    return LUMA_OK;
}

static luma_rc
limit_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    struct limit_state *st = p->x->op_state[base->id];
    while (st->limit != 0) {
        struct luma_batch *in;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            return LUMA_OK;
        if ((int64_t)in->sel_rows <= st->offset) {
            st->offset -= in->sel_rows;
            continue;
        }
        uint32_t skip = (uint32_t)st->offset, n = in->sel_rows - skip;
        st->offset = 0;
        if (st->limit >= 0 && (int64_t)n > st->limit)
            n = (uint32_t)st->limit;
        if (st->limit >= 0)
            st->limit -= n;
        st->batch = *in;
        if (in->sel == NULL && skip == 0) {
            if (n < in->rows) { /* leading rows: no selection needed */
                st->batch.rows = n;
            }
            st->batch.sel_rows = n;
        } else {
            struct luma_arena *arena;
            LUMA_TRY(eng_batch_arena(p, base, &arena));
            uint16_t *sel = luma_arena_alloc(arena, sizeof(uint16_t) * (n + 1));
            ENG_NEED(p->ctx, sel, "a limit");
            for (uint32_t k = 0; k < n; k++)
                sel[k] = (uint16_t)eng_sel_at(in->sel, skip + k);
            st->batch.sel = sel;
            st->batch.sel_rows = n;
        }
        *out = &st->batch;
        return LUMA_OK;
    }
    return LUMA_OK;
}

static const struct op_class limit_class = {
    .name = "Limit",
    .open = limit_open,
    .next = limit_next,
};

struct op *
eng_phys_limit(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct rel *below = rel->child[0];
    if (below->kind == REL_SORT)
        return eng_phys_sort(ph, below, need, rel);
    /* A projection does not change how many rows there are: the limit goes below it, to the sort.
     */
    if (below->kind == REL_PROJECT && below->child[0] != NULL &&
        below->child[0]->kind == REL_SORT && !rel->with_ties) {
        struct rel *limit = eng_rel_new(ph->pp, REL_LIMIT, below->child[0]);
        limit->limit = rel->limit;
        limit->offset = rel->offset;
        below->child[0] = limit;
        return eng_phys(ph, below, need);
    }
    return eng_limit_op(ph, rel, eng_phys(ph, below, need));
}

struct op *
eng_limit_op(struct phys *ph, struct rel *rel, struct op *child)
{
    struct op_limit *op =
        eng_op_new(ph, &limit_class, sizeof(*op), rel, child->vars, child->cols_count);
    struct comp c = eng_comp(ph, NULL);
    op->op.child[0] = child;
    op->limit = rel->limit == NULL ? NULL : eng_compile(&c, rel->limit);
    op->offset = rel->offset == NULL ? NULL : eng_compile(&c, rel->offset);
    return &op->op;
}

/* --- values --- */

struct op_values {
    struct op op;
    uint32_t rows;
    struct xp **exprs; /* row by row, the needed columns */
};

struct values_state {
    uint32_t at;
    struct luma_batch batch;
};

static luma_rc
values_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    void *mem;
    return eng_shared_state(x, ctx, base, sizeof(struct values_state), &mem);
}

static luma_rc
values_column(struct xenv *e, const struct op_values *op, uint32_t c, uint32_t first, uint32_t n,
              struct luma_vec *out)
{
    struct luma_value *values = luma_arena_alloc(e->arena, sizeof(*values) * n);
    ENG_NEED(e->ctx, values, "VALUES");
    struct luma_type type = op->op.types[c];
    uint32_t phys = luma_type_phys(type);
    int16_t scale = type.scale;
    bool first_value = true, same = true;
    for (uint32_t r = 0; r < n; r++) {
        LUMA_TRY(
            eng_eval_value(e, op->exprs[(size_t)(first + r) * op->op.cols_count + c], &values[r]));
        if (values[r].is_null)
            continue;
        same = same && (first_value || (values[r].phys == phys && values[r].scale == scale));
        phys = values[r].phys;
        scale = values[r].scale;
        first_value = false;
    }
    /* Numerics of several widths or scales keep their own text: the variable form. */
    if (type.id == LUMA_TYPE_NUMERIC && !same)
        phys = LUMA_PHYS_STR;
    LUMA_TRY(eng_vec_room(e, type, phys, n, out));
    out->scale = scale;
    for (uint32_t r = 0; r < n; r++) {
        if (values[r].is_null) {
            if (out->valid == NULL)
                LUMA_TRY(eng_vec_bits(e, n, true, &out->valid));
            luma_bit_clear(out->valid, r);
            memset((uint8_t *)out->data + (size_t)r * luma_phys_bytes(out->phys), 0,
                   luma_phys_bytes(out->phys));
            continue;
        }
        struct luma_vec one;
        eng_vec_of_value(&one, &values[r]);
        one.type = type;
        if (one.phys != out->phys) {
            struct luma_vec wide;
            LUMA_TRY(eng.data->numeric_vec_as(e->ctx, e->arena, &one, NULL, 1,
                                              luma_type(LUMA_TYPE_NUMERIC), &wide));
            one = wide;
        }
        memcpy((uint8_t *)out->data + (size_t)r * luma_phys_bytes(out->phys), one.data,
               luma_phys_bytes(out->phys));
    }
    return LUMA_OK;
}

static luma_rc
values_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_values *op = (const struct op_values *)base;
    struct values_state *st = p->x->op_state[base->id];
    struct luma_arena *arena;
    if (st->at >= op->rows || p->index > 0)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    struct xenv e = eng_env(p, arena);
    uint32_t n = op->rows - st->at < LUMA_BATCH_ROWS ? op->rows - st->at : LUMA_BATCH_ROWS;
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, cols, "VALUES");
    for (uint32_t c = 0; c < base->cols_count; c++)
        LUMA_TRY(values_column(&e, op, c, st->at, n, &cols[c]));
    st->at += n;
    st->batch =
        (struct luma_batch){.rows = n, .sel_rows = n, .cols_count = base->cols_count, .cols = cols};
    *out = &st->batch;
    return LUMA_OK;
}

static const struct op_class values_class = {
    .name = "Values Scan",
    .open = values_open,
    .next = values_next,
};

struct op *
eng_phys_values(struct phys *ph, struct rel *rel, const struct bits *need)
{
    uint32_t count;
    uint32_t *vars = eng_needed_outs(ph->pp, rel, need, &count);
    struct op_values *op = eng_op_new(ph, &values_class, sizeof(*op), rel, vars, count);
    if (rel->kind == REL_EMPTY)
        return &op->op;
    struct comp c = eng_comp(ph, NULL);
    op->rows = rel->plan->values_rows;
    op->exprs = PP_ARRAY(ph->pp, struct xp *, (size_t)op->rows * count);
    for (uint32_t r = 0; r < op->rows; r++)
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = 0;
            while (rel->outs[k] != vars[i])
                k++;
            op->exprs[(size_t)r * count + i] = eng_compile(&c, rel->exprs[r * rel->outs_count + k]);
        }
    return &op->op;
}

/* --- rows made by a module --- */

struct op_virtual {
    struct op op;
    const struct luma_provider *provider;
    uint32_t *pos; /* provider's column of each of ours */
    struct xp *cond;
};

struct virtual_state {
    void *state;
    bool open, ended;
    struct luma_batch in, batch;
    struct luma_vec *cols;
};

static luma_rc
virtual_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_virtual *op = (const struct op_virtual *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct virtual_state), &mem));
    struct virtual_state *st = mem;
    st->cols = LUMA_NEW_ARRAY(x->arena, struct luma_vec, base->cols_count + 1);
    ENG_NEED(ctx, st->cols, "a system view");
    LUMA_TRY(op->provider->open(ctx, x->txn, op->provider->arg, x->arena, &st->state));
    st->open = true;
    return LUMA_OK;
}

static luma_rc
virtual_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_virtual *op = (const struct op_virtual *)base;
    struct virtual_state *st = p->x->op_state[base->id];
    while (!st->ended && p->index == 0) {
        struct luma_arena *arena;
        LUMA_TRY(eng.sched->yield(p->ctx));
        memset(&st->in, 0, sizeof(st->in));
        LUMA_TRY(op->provider->next(p->ctx, st->state, &st->in));
        if (st->in.rows == 0) {
            st->ended = true;
            return LUMA_OK;
        }
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        st->batch = st->in;
        if (st->batch.sel == NULL)
            st->batch.sel_rows = st->batch.rows;
        for (uint32_t i = 0; i < base->cols_count; i++) {
            st->cols[i] = st->in.cols[op->pos[i]];
            st->cols[i].type = base->types[i];
        }
        st->batch.cols = st->cols;
        st->batch.cols_count = base->cols_count;
        if (op->cond != NULL)
            LUMA_TRY(eng_filter_batch(&e, op->cond, &st->batch));
        if (st->batch.sel_rows > 0) {
            *out = &st->batch;
            return LUMA_OK;
        }
    }
    return LUMA_OK;
}

static void
virtual_close(struct exec *x, const struct op *base)
{
    const struct op_virtual *op = (const struct op_virtual *)base;
    struct virtual_state *st = x->op_state[base->id];
    if (st->open && op->provider->close != NULL)
        op->provider->close(st->state);
}

static const struct op_class virtual_class = {
    .name = "System Scan",
    .open = virtual_open,
    .next = virtual_next,
    .close = virtual_close,
    .explain = filter_explain,
};

struct op *
eng_phys_virtual(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct bits all = eng_bits_copy(ph->pp, need);
    eng_need_list(ph->pp, &all, &rel->conds);
    uint32_t count;
    uint32_t *vars = eng_needed_outs(ph->pp, rel, &all, &count);
    struct op_virtual *op = eng_op_new(ph, &virtual_class, sizeof(*op), rel, vars, count);
    struct comp c = eng_comp(ph, &op->op);
    op->provider = rel->plan->provider;
    op->pos = PP_ARRAY(ph->pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        while (rel->outs[op->pos[i]] != vars[i])
            op->pos[i]++;
    op->cond = eng_compile_conds(&c, &rel->conds);
    return &op->op;
}
