/* op_set.c - functions that return rows: in FROM, and several side by side in select lists. */
#include "explain.h"
#include "phys.h"
#include "set.h"

/* --- FROM f(...) --- */

struct op_set_func {
    struct op op;
    struct set_call call;
    uint32_t *col; /* result column of the function; = its number of columns: the ordinality */
    uint32_t func_cols;
};

struct set_func_state {
    struct set_run run;
    int64_t ordinal;
    struct luma_batch batch;
};

static luma_rc
set_func_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_set_func *op = (const struct op_set_func *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct set_func_state), &mem));
    struct set_func_state *st = mem;
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    struct luma_value *args = LUMA_NEW_ARRAY(x->arena, struct luma_value, op->call.args_count + 1);
    ENG_NEED(ctx, args, "a set function");
    for (uint32_t i = 0; i < op->call.args_count; i++)
        LUMA_TRY(eng_eval_value(&e, op->call.args[i], &args[i]));
    return eng_set_begin(&e, &op->call, args, &st->run);
}

static luma_rc
set_func_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_set_func *op = (const struct op_set_func *)base;
    struct set_func_state *st = p->x->op_state[base->id];
    struct luma_arena *arena;
    if (p->index > 0)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    LUMA_TRY(eng_set_next(p->ctx, arena, &st->run));
    if (st->run.batch.rows == 0)
        return LUMA_OK;
    struct xenv e = eng_env(p, arena);
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, cols, "a set function");
    st->batch = st->run.batch;
    for (uint32_t i = 0; i < base->cols_count; i++) {
        if (op->col[i] < op->func_cols) {
            if (op->col[i] >= st->run.batch.cols_count)
                return LUMA_FAIL(p->ctx, LUMA_E_INTERNAL, "%s gave %u columns", op->call.func->name,
                                 st->run.batch.cols_count);
            cols[i] = st->run.batch.cols[op->col[i]];
            cols[i].type = base->types[i];
            continue;
        }
        LUMA_TRY(
            eng_vec_room(&e, luma_type(LUMA_TYPE_INT8), LUMA_PHYS_I64, st->batch.rows, &cols[i]));
        for (uint32_t r = 0; r < st->batch.rows; r++)
            ((int64_t *)cols[i].data)[r] = st->ordinal + 1 + r;
    }
    st->ordinal += st->batch.rows;
    st->batch.cols = cols;
    st->batch.cols_count = base->cols_count;
    *out = &st->batch;
    return LUMA_OK;
}

static void
set_func_close(struct exec *x, const struct op *base)
{
    struct set_func_state *st = x->op_state[base->id];
    eng_set_end(&st->run);
}

static const struct op_class set_func_class = {
    .name = "Function Scan",
    .open = set_func_open,
    .next = set_func_next,
    .close = set_func_close,
};

struct op *
eng_phys_set_func(struct phys *ph, struct rel *rel, const struct bits *need)
{
    uint32_t count;
    uint32_t *vars = eng_needed_outs(ph->pp, rel, need, &count);
    struct op_set_func *op = eng_op_new(ph, &set_func_class, sizeof(*op), rel, vars, count);
    struct comp c = eng_comp(ph, NULL);
    if (rel->exprs[0]->kind != LUMA_EXPR_SET) {
        /* A scalar function in FROM is a row of one. */
        struct rel *project = eng_rel_new(ph->pp, REL_PROJECT, NULL);
        project->exprs_count = 1;
        project->exprs = rel->exprs;
        project->outs = rel->outs;
        project->outs_count = rel->outs_count;
        return eng_phys_project(ph, project, need);
    }
    eng_set_build(&c, rel->exprs[0], &op->call);
    op->func_cols = rel->outs_count - (rel->plan->with_ordinality ? 1 : 0);
    op->col = PP_ARRAY(ph->pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        while (rel->outs[op->col[i]] != vars[i])
            op->col[i]++;
    return &op->op;
}

/* --- several in one select list --- */

struct op_project_set {
    struct op op;
    struct xp **exprs; /* per column; NULL: a set */
    uint32_t sets_count;
    struct set_call *sets;
    uint32_t *set_col; /* output column of set i */
};

struct project_set_part {
    struct luma_batch one, *in;
    uint32_t at; /* row of in, counted in its selection */
    bool running, given;
    struct luma_arena *call_arena; /* of the runs */
    struct set_run *runs;
    struct luma_vec *scalars, *args;
    struct luma_value *values;
    struct luma_batch batch;
};

static luma_rc
ps_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    return op->child[0] == NULL ? LUMA_OK : eng_open(x, ctx, op->child[0]);
}

static luma_rc
ps_init(struct part *p, const struct op_project_set *op, struct project_set_part *ps)
{
    if (ps->runs != NULL)
        return LUMA_OK;
    ps->runs = LUMA_NEW_ARRAY(p->arena, struct set_run, op->sets_count + 1);
    ps->scalars = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->op.cols_count + 1);
    ps->args = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->sets_count * LUMA_FUNC_ARGS_MAX + 1);
    ps->values = LUMA_NEW_ARRAY(p->arena, struct luma_value,
                                op->op.cols_count + op->sets_count * LUMA_FUNC_ARGS_MAX + 1);
    if (ps->runs == NULL || ps->scalars == NULL || ps->args == NULL || ps->values == NULL)
        return ENG_NOMEM(p->ctx, "a set function");
    return LUMA_OK;
}

/* The next input batch, its scalars and the arguments of its sets. */
static luma_rc
ps_input(struct part *p, const struct op_project_set *op, struct project_set_part *ps,
         struct xenv *e)
{
    ps->in = NULL;
    ps->at = 0;
    if (op->op.child[0] != NULL) {
        LUMA_TRY(eng_next(p, op->op.child[0], &ps->in));
    } else if (!ps->given) {
        ps->one = (struct luma_batch){.rows = 1, .sel_rows = 1};
        ps->in = &ps->one;
        ps->given = true;
    }
    if (ps->in == NULL)
        return LUMA_OK;
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        if (op->exprs[i] != NULL)
            LUMA_TRY(
                eng_eval(e, op->exprs[i], ps->in, ps->in->sel, ps->in->sel_rows, &ps->scalars[i]));
    for (uint32_t s = 0; s < op->sets_count; s++)
        for (uint32_t a = 0; a < op->sets[s].args_count; a++)
            LUMA_TRY(eng_eval(e, op->sets[s].args[a], ps->in, ps->in->sel, ps->in->sel_rows,
                              &ps->args[s * LUMA_FUNC_ARGS_MAX + a]));
    return LUMA_OK;
}

static luma_rc
ps_row(struct part *p, const struct op_project_set *op, struct project_set_part *ps)
{
    uint32_t row = luma_batch_row(ps->in, ps->at++);
    LUMA_TRY(eng_set_memory(p, &ps->call_arena));
    struct xenv e = eng_env(p, ps->call_arena);
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        if (op->exprs[i] != NULL)
            ps->values[i] = eng.data->vec_value(&ps->scalars[i], row);
    for (uint32_t s = 0; s < op->sets_count; s++) {
        struct luma_value *args = ps->values + op->op.cols_count + s * LUMA_FUNC_ARGS_MAX;
        for (uint32_t a = 0; a < op->sets[s].args_count; a++)
            args[a] = eng.data->vec_value(&ps->args[s * LUMA_FUNC_ARGS_MAX + a], row);
        LUMA_TRY(eng_set_begin(&e, &op->sets[s], args, &ps->runs[s]));
    }
    ps->running = true;
    return LUMA_OK;
}

/* Rows of all sets side by side; those that end first go on with nulls. */
static luma_rc
ps_emit(struct part *p, const struct op_project_set *op, struct project_set_part *ps,
        struct luma_arena *arena, struct luma_batch **out)
{
    struct xenv e = eng_env(p, arena);
    uint32_t rows = 0;
    for (uint32_t s = 0; s < op->sets_count; s++) {
        LUMA_TRY(eng_set_next(p->ctx, arena, &ps->runs[s]));
        rows = ps->runs[s].batch.sel_rows > rows ? ps->runs[s].batch.sel_rows : rows;
    }
    if (rows == 0) {
        ps->running = false;
        return LUMA_OK;
    }
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (op->op.cols_count + 1));
    ENG_NEED(p->ctx, cols, "a set function");
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        if (op->exprs[i] != NULL)
            eng_vec_of_value(&cols[i], &ps->values[i]);
    for (uint32_t s = 0; s < op->sets_count; s++) {
        struct luma_batch *b = &ps->runs[s].batch;
        struct luma_vec *to = &cols[op->set_col[s]];
        if (b->sel_rows == 0) {
            eng_vec_null(to, op->op.types[op->set_col[s]]);
            continue;
        }
        LUMA_TRY(eng.data->vec_copy(arena, &b->cols[0], b->sel, b->sel_rows, false, to));
        if (b->sel_rows == rows)
            continue;
        struct luma_vec longer;
        LUMA_TRY(eng_vec_room(&e, to->type, to->phys, rows, &longer));
        LUMA_TRY(eng_vec_bits(&e, rows, false, &longer.valid));
        longer.scale = to->scale;
        memset(longer.data, 0, (size_t)rows * luma_phys_bytes(to->phys));
        memcpy(longer.data, to->data, (size_t)b->sel_rows * luma_phys_bytes(to->phys));
        for (uint32_t r = 0; r < b->sel_rows; r++)
            if (!luma_vec_is_null(to, r))
                luma_bit_set(longer.valid, r);
        *to = longer;
    }
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        cols[i].type = op->op.types[i];
    ps->batch = (struct luma_batch){
        .rows = rows, .sel_rows = rows, .cols = cols, .cols_count = op->op.cols_count};
    *out = &ps->batch;
    return LUMA_OK;
}

static luma_rc
ps_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_project_set *op = (const struct op_project_set *)base;
    struct project_set_part *ps;
    void *mem;
    if (p->index > 0)
        return LUMA_OK;
    LUMA_TRY(eng_part_state(p, base, sizeof(*ps), &mem));
    ps = mem;
    LUMA_TRY(ps_init(p, op, ps));
    for (;;) {
        LUMA_TRY(eng.sched->yield(p->ctx));
        if (ps->running) {
            struct luma_arena *arena;
            LUMA_TRY(eng_step_arena(p, base, &arena));
            LUMA_TRY(ps_emit(p, op, ps, arena, out));
            if (*out != NULL)
                return LUMA_OK;
            continue;
        }
        if (ps->in == NULL || ps->at == ps->in->sel_rows) {
            struct luma_arena *arena; /* scalars and arguments: as long as the input batch */
            LUMA_TRY(eng_batch_arena(p, base, &arena));
            struct xenv e = eng_env(p, arena);
            LUMA_TRY(ps_input(p, op, ps, &e));
            if (ps->in == NULL)
                return LUMA_OK;
        }
        LUMA_TRY(ps_row(p, op, ps));
    }
}

static void
ps_start(struct exec *x, const struct op *op, uint32_t parts)
{
    (void)parts;
    if (op->child[0] != NULL)
        eng_start(x, op->child[0], 1);
}

static void
ps_close(struct exec *x, const struct op *base)
{
    const struct op_project_set *op = (const struct op_project_set *)base;
    struct project_set_part *ps = x->parts[0]->op_state[base->id]; /* no other part gives rows */
    if (ps == NULL)
        return;
    for (uint32_t s = 0; ps->runs != NULL && s < op->sets_count; s++)
        eng_set_end(&ps->runs[s]);
    eng.mem->arena_destroy(LUMA_TAKE(ps->call_arena));
}

static const struct op_class project_set_class = {
    .name = "ProjectSet",
    .open = ps_open,
    .start = ps_start,
    .next = ps_next,
    .close = ps_close,
};

struct op *
eng_phys_project_set(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits below = {0, NULL};
    struct op *alone = eng_phys_expand_list(ph, rel);
    (void)need; /* sets decide how many rows there are: all columns are made */
    if (alone != NULL)
        return alone;
    eng_need_exs(pp, &below, rel->exprs, rel->exprs_count);
    struct op *child = rel->child[0] == NULL ? NULL : eng_phys(ph, rel->child[0], &below);
    struct op_project_set *op =
        eng_op_new(ph, &project_set_class, sizeof(*op), rel, rel->outs, rel->outs_count);
    struct comp c = eng_comp(ph, child);
    op->op.child[0] = child;
    op->exprs = PP_ARRAY(pp, struct xp *, rel->exprs_count);
    op->sets = PP_ARRAY(pp, struct set_call, rel->exprs_count);
    op->set_col = PP_ARRAY(pp, uint32_t, rel->exprs_count);
    for (uint32_t i = 0; i < rel->exprs_count; i++) {
        if (rel->exprs[i]->kind != LUMA_EXPR_SET) {
            op->exprs[i] = eng_compile(&c, rel->exprs[i]);
            continue;
        }
        eng_set_build(&c, rel->exprs[i], &op->sets[op->sets_count]);
        op->set_col[op->sets_count++] = i;
    }
    return &op->op;
}
