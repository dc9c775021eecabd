/*
 * op_expand.c - rows times what a function makes of them: FROM t, f(t.a) and SELECT f(a) FROM t.
 *
 * The function's arguments are computed for a whole batch; its rows gather in batches that are
 * full, whatever number of them a call gives, with the row of the input that each came from. A
 * function that can (`expand`) takes many calls at once, without a value made in between. Parts
 * work side by side: a call belongs to one of them.
 */
#include "explain.h"
#include "phys.h"
#include "set.h"

#define ROWS_MAX    LUMA_BATCH_ROWS
#define LARGE_BATCH 256 /* rows of one call that are handed on as they lie */

struct op_expand {
    struct op op;
    struct set_call call;
    struct xp **exprs;  /* per column: over the input row; NULL: of the function */
    uint32_t *func_col; /* its column there; = func_cols: the ordinality */
    uint32_t func_cols;
    struct luma_type *func_types;
    bool keeps_empty; /* LEFT JOIN: a call without rows leaves a row of nulls */
    bool ordinality;
};

struct expand_part {
    struct luma_batch one, *in;
    uint32_t at; /* row of in, counted in its selection */
    bool given;
    struct luma_vec *left, *args; /* by column, by argument */
    struct luma_value *values;
    /* call by call */
    struct luma_arena *call_arena; /* of the run */
    struct set_run run;
    bool running, fresh, waiting; /* in a call; without a row yet; its batch is not handed on yet */
    int64_t ordinal;
    /* many calls at once */
    struct luma_func_expand calls;
    /* what is handed on */
    uint32_t rows, *origin; /* row of in for each */
    int64_t *ordinals;
    struct luma_vec *made, *cols;
    struct luma_batch batch;
};

static luma_rc
expand_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    return op->child[0] == NULL ? LUMA_OK : eng_open(x, ctx, op->child[0]);
}

static uint32_t
expand_parts(struct exec *x, const struct op *op)
{
    return op->child[0] == NULL ? 1 : eng_parts(x, op->child[0]);
}

static void
expand_start(struct exec *x, const struct op *op, uint32_t parts)
{
    if (op->child[0] != NULL)
        eng_start(x, op->child[0], parts);
}

static luma_rc
expand_init(struct part *p, const struct op_expand *op, struct expand_part *ep)
{
    uint32_t cols = op->op.cols_count;
    if (ep->cols != NULL)
        return LUMA_OK;
    ep->left = LUMA_NEW_ARRAY(p->arena, struct luma_vec, cols + 1);
    ep->args = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->call.args_count + 1);
    ep->values = LUMA_NEW_ARRAY(p->arena, struct luma_value, cols + op->call.args_count + 1);
    ep->made = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->func_cols + 1);
    ep->origin = LUMA_NEW_ARRAY(p->arena, uint32_t, ROWS_MAX);
    ep->ordinals = LUMA_NEW_ARRAY(p->arena, int64_t, ROWS_MAX);
    if (ep->left == NULL || ep->args == NULL || ep->values == NULL || ep->made == NULL ||
        ep->origin == NULL || ep->ordinals == NULL)
        return ENG_NOMEM(p->ctx, op->op.cls->name);
    ep->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, cols + 1);
    ENG_NEED(p->ctx, ep->cols, op->op.cls->name);
    return LUMA_OK;
}

/* The next input batch, and what is computed of it. */
static luma_rc
take_input(struct part *p, const struct op_expand *op, struct expand_part *ep)
{
    struct luma_arena *arena;
    ep->in = NULL;
    ep->at = 0;
    ep->calls = (struct luma_func_expand){0, 0};
    if (op->op.child[0] != NULL) {
        LUMA_TRY(eng_next(p, op->op.child[0], &ep->in));
    } else if (!ep->given && p->index == 0) {
        ep->one = (struct luma_batch){.rows = 1, .sel_rows = 1};
        ep->in = &ep->one;
        ep->given = true;
    }
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    if (ep->in == NULL)
        return LUMA_OK;
    struct xenv e = eng_env(p, arena);
    const struct luma_batch *in = ep->in;
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        if (op->exprs[i] != NULL)
            LUMA_TRY(eng_eval(&e, op->exprs[i], in, in->sel, in->sel_rows, &ep->left[i]));
    for (uint32_t i = 0; i < op->call.args_count; i++)
        LUMA_TRY(eng_eval_flat(&e, op->call.args[i], in, in->sel, in->sel_rows, &ep->args[i]));
    return LUMA_OK;
}

/* --- call by call --- */

static luma_rc
begin_call(struct part *p, const struct op_expand *op, struct expand_part *ep)
{
    struct luma_value *args = ep->values + op->op.cols_count;
    uint32_t row = luma_batch_row(ep->in, ep->at++);
    LUMA_TRY(eng.sched->yield(p->ctx)); /* a batch of calls may be much work, and give no rows */
    LUMA_TRY(eng_set_memory(p, &ep->call_arena));
    struct xenv e = eng_env(p, ep->call_arena);
    for (uint32_t i = 0; i < op->call.args_count; i++)
        args[i] = eng.data->vec_value(&ep->args[i], row);
    LUMA_TRY(eng_set_begin(&e, &op->call, args, &ep->run));
    ep->running = ep->fresh = true;
    ep->ordinal = 0;
    return LUMA_OK;
}

static luma_rc
make_room(struct part *p, const struct op_expand *op, struct expand_part *ep,
          struct luma_arena *arena)
{
    struct xenv e = eng_env(p, arena);
    for (uint32_t c = 0; c < op->func_cols; c++)
        LUMA_TRY(eng_vec_room(&e, op->func_types[c], LUMA_PHYS_NONE, ROWS_MAX, &ep->made[c]));
    return LUMA_OK;
}

static luma_rc
put_value(struct part *p, const struct op_expand *op, struct expand_part *ep,
          struct luma_arena *arena, uint32_t c, const struct luma_value *value)
{
    uint32_t bytes = luma_phys_bytes(ep->made[c].phys);
    if (value->is_null)
        memset((uint8_t *)ep->made[c].data + (size_t)ep->rows * bytes, 0, bytes);
    luma_rc rc = eng.data->vec_set(arena, &ep->made[c], ep->rows, value);
    return rc == LUMA_OK ? LUMA_OK : ENG_NOMEM(p->ctx, op->op.cls->name);
}

static luma_rc
put_nulls(struct part *p, const struct op_expand *op, struct expand_part *ep,
          struct luma_arena *arena)
{
    const struct luma_value null = {.is_null = true};
    for (uint32_t c = 0; c < op->func_cols; c++)
        LUMA_TRY(put_value(p, op, ep, arena, c, &null));
    ep->ordinals[ep->rows] = 0; /* none */
    ep->origin[ep->rows++] = luma_batch_row(ep->in, ep->at - 1);
    return LUMA_OK;
}

static luma_rc
check_width(struct part *p, const struct op_expand *op, const struct luma_batch *given)
{
    if (given->cols_count < op->func_cols)
        return LUMA_FAIL(p->ctx, LUMA_E_INTERNAL, "%s gave %u columns", op->call.func->name,
                         given->cols_count);
    return LUMA_OK;
}

static luma_rc
put_rows(struct part *p, const struct op_expand *op, struct expand_part *ep,
         struct luma_arena *arena)
{
    const struct luma_batch *from = &ep->run.batch;
    for (uint32_t k = 0; k < from->sel_rows; k++) {
        for (uint32_t c = 0; c < op->func_cols; c++) {
            struct luma_value value = eng.data->vec_value(&from->cols[c], luma_batch_row(from, k));
            LUMA_TRY(put_value(p, op, ep, arena, c, &value));
        }
        ep->ordinals[ep->rows] = ++ep->ordinal;
        ep->origin[ep->rows++] = luma_batch_row(ep->in, ep->at - 1);
    }
    return LUMA_OK;
}

static luma_rc
fill_calls(struct part *p, const struct op_expand *op, struct expand_part *ep,
           struct luma_arena *arena)
{
    LUMA_TRY(make_room(p, op, ep, arena));
    while (ep->rows < ROWS_MAX) {
        if (!ep->running && ep->at == ep->in->sel_rows)
            return LUMA_OK;
        if (!ep->running)
            LUMA_TRY(begin_call(p, op, ep));
        LUMA_TRY(eng_set_next(p->ctx, arena, &ep->run));
        uint32_t n = ep->run.batch.sel_rows;
        if (n == 0) {
            ep->running = false;
            if (ep->fresh && op->keeps_empty)
                LUMA_TRY(put_nulls(p, op, ep, arena));
            continue;
        }
        ep->fresh = false;
        LUMA_TRY(check_width(p, op, &ep->run.batch));
        ep->waiting = n >= LARGE_BATCH || ep->rows + n > ROWS_MAX;
        if (ep->waiting)
            return LUMA_OK;
        LUMA_TRY(put_rows(p, op, ep, arena));
    }
    return LUMA_OK;
}

/* --- many calls at once --- */

static luma_rc
fill_batch(struct part *p, const struct op_expand *op, struct expand_part *ep,
           struct luma_arena *arena)
{
    struct luma_func_call call = {.ctx = p->ctx,
                                  .arena = arena,
                                  .func = op->call.func,
                                  .format = p->x->format,
                                  .bound = op->call.bound,
                                  .result = op->call.type};
    uint32_t row = ep->calls.row;
    uint16_t *from = luma_arena_alloc(arena, sizeof(*from) * ROWS_MAX);
    struct luma_batch got = {0};
    ENG_NEED(p->ctx, from, op->op.cls->name);
    if (ep->calls.item == 0)
        ep->ordinal = 0;
    LUMA_TRY(op->call.func->set->expand(&call, ep->args, op->call.args_count, ep->in->sel,
                                        ep->in->sel_rows, &ep->calls, &got, from));
    ep->at = ep->calls.row;
    if (got.rows > 0)
        LUMA_TRY(check_width(p, op, &got));
    for (uint32_t i = 0; i < got.rows; i++) {
        if (from[i] != row)
            ep->ordinal = 0;
        row = from[i];
        ep->ordinals[i] = ++ep->ordinal;
        ep->origin[i] = luma_batch_row(ep->in, row);
    }
    for (uint32_t c = 0; got.rows > 0 && c < op->func_cols; c++)
        ep->made[c] = got.cols[c];
    ep->rows = got.rows;
    return LUMA_OK;
}

/* --- what is handed on --- */

static luma_rc
ordinals(struct xenv *e, const struct expand_part *ep, uint32_t rows, struct luma_vec *out)
{
    LUMA_TRY(eng_vec_room(e, luma_type(LUMA_TYPE_INT8), LUMA_PHYS_I64, rows, out));
    LUMA_TRY(eng_vec_bits(e, rows, true, &out->valid));
    memcpy(out->data, ep->ordinals, sizeof(*ep->ordinals) * rows);
    for (uint32_t i = 0; i < rows; i++)
        if (ep->ordinals[i] == 0)
            luma_bit_clear(out->valid, i);
    return LUMA_OK;
}

static void
shape(const struct op_expand *op, struct expand_part *ep, uint32_t rows)
{
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        ep->cols[i].type = op->op.types[i];
    ep->batch = (struct luma_batch){
        .rows = rows, .sel_rows = rows, .cols = ep->cols, .cols_count = op->op.cols_count};
}

static luma_rc
give_gathered(struct part *p, const struct op_expand *op, struct expand_part *ep,
              struct luma_arena *arena)
{
    struct xenv e = eng_env(p, arena);
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        if (op->exprs[i] != NULL)
            LUMA_TRY(eng_vec_gather(&e, &ep->left[i], ep->origin, ep->rows, &ep->cols[i]));
        else if (op->func_col[i] < op->func_cols)
            ep->cols[i] = ep->made[op->func_col[i]];
        else
            LUMA_TRY(ordinals(&e, ep, ep->rows, &ep->cols[i]));
    }
    shape(op, ep, ep->rows);
    return LUMA_OK;
}

/* The batch of a call as it lies, beside the values of its row. */
static luma_rc
give_run(struct part *p, const struct op_expand *op, struct expand_part *ep,
         struct luma_arena *arena)
{
    const struct luma_batch *run = &ep->run.batch;
    struct xenv e = eng_env(p, arena);
    uint32_t row = luma_batch_row(ep->in, ep->at - 1);
    ep->waiting = false;
    for (uint32_t k = 0; op->ordinality && k < run->sel_rows; k++)
        ep->ordinals[luma_batch_row(run, k)] = ep->ordinal + 1 + k;
    ep->ordinal += run->sel_rows;
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        if (op->exprs[i] != NULL) {
            ep->values[i] = eng.data->vec_value(&ep->left[i], row);
            eng_vec_of_value(&ep->cols[i], &ep->values[i]);
        } else if (op->func_col[i] < op->func_cols) {
            ep->cols[i] = run->cols[op->func_col[i]];
        } else {
            LUMA_TRY(ordinals(&e, ep, run->rows, &ep->cols[i]));
        }
    }
    shape(op, ep, run->rows);
    ep->batch.sel = run->sel;
    ep->batch.sel_rows = run->sel_rows;
    return LUMA_OK;
}

static luma_rc
expand_step(struct part *p, const struct op_expand *op, struct expand_part *ep,
            struct luma_batch **out)
{
    struct luma_arena *arena = p->batch[p->x->prog->ops_count + 1 + op->op.id];
    if (!ep->waiting) { /* else the batch that waits lies there */
        LUMA_TRY(eng_step_arena(p, &op->op, &arena));
        ep->rows = 0;
        if (op->call.func->set->expand != NULL && !op->keeps_empty)
            LUMA_TRY(fill_batch(p, op, ep, arena));
        else
            LUMA_TRY(fill_calls(p, op, ep, arena));
    } else {
        ep->rows = 0;
    }
    if (ep->rows > 0)
        LUMA_TRY(give_gathered(p, op, ep, arena));
    else if (ep->waiting)
        LUMA_TRY(give_run(p, op, ep, arena));
    else
        return LUMA_OK;
    *out = &ep->batch;
    return LUMA_OK;
}

static luma_rc
expand_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_expand *op = (const struct op_expand *)base;
    struct expand_part *ep;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*ep), &mem));
    ep = mem;
    LUMA_TRY(expand_init(p, op, ep));
    for (;;) {
        LUMA_TRY(eng.sched->yield(p->ctx));
        if (ep->in != NULL && (ep->running || ep->waiting || ep->at < ep->in->sel_rows)) {
            LUMA_TRY(expand_step(p, op, ep, out));
            if (*out != NULL)
                return LUMA_OK;
            continue;
        }
        LUMA_TRY(take_input(p, op, ep));
        if (ep->in == NULL)
            return LUMA_OK;
    }
}

static void
expand_close(struct exec *x, const struct op *base)
{
    for (uint32_t i = 0; i < x->parts_max; i++) {
        struct expand_part *ep = x->parts[i] == NULL ? NULL : x->parts[i]->op_state[base->id];
        if (ep == NULL)
            continue;
        eng_set_end(&ep->run);
        eng.mem->arena_destroy(LUMA_TAKE(ep->call_arena));
    }
}

static void
expand_explain(struct explain *ex, const struct op *base)
{
    const struct op_expand *op = (const struct op_expand *)base;
    eng_explain_text(ex, "Function", op->call.func->name);
    if (op->keeps_empty)
        eng_explain_text(ex, "Join Type", "Left");
}

static const struct op_class expand_class = {
    .name = "Function Expand",
    .open = expand_open,
    .parts = expand_parts,
    .start = expand_start,
    .next = expand_next,
    .close = expand_close,
    .explain = expand_explain,
};

static const struct op_class expand_list_class = {
    .name = "ProjectSet",
    .open = expand_open,
    .parts = expand_parts,
    .start = expand_start,
    .next = expand_next,
    .close = expand_close,
    .explain = expand_explain,
};

/* --- planning --- */

struct rel *
eng_set_of_lateral(const struct rel *rel)
{
    struct rel *right = rel->child[1];
    if (rel->kind != REL_JOIN || !rel->lateral || rel->single ||
        (rel->join != LUMA_JOIN_INNER && rel->join != LUMA_JOIN_LEFT))
        return NULL;
    if (right->kind == REL_FILTER && rel->join == LUMA_JOIN_INNER)
        right = right->child[0];
    bool fits = right->kind == REL_SET_FUNC && right->exprs[0]->kind == LUMA_EXPR_SET &&
                (rel->join == LUMA_JOIN_INNER || rel->conds.count == 0);
    return fits ? right : NULL;
}

static void
set_columns(struct phys *ph, struct op_expand *op, const struct rel *set)
{
    op->func_cols = set->outs_count - (set->plan->with_ordinality ? 1 : 0);
    op->func_types = PP_ARRAY(ph->pp, struct luma_type, op->func_cols);
    for (uint32_t i = 0; i < op->func_cols; i++)
        op->func_types[i] = ph->pp->vars[set->outs[i]].type;
    op->exprs = PP_ARRAY(ph->pp, struct xp *, op->op.cols_count);
    op->func_col = PP_ARRAY(ph->pp, uint32_t, op->op.cols_count);
}

/* The rows of both sides; conditions come above. */
static struct op *
phys_pairs(struct phys *ph, struct rel *rel, struct rel *set, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits below = eng_bits_copy(pp, need), made = {0, NULL};
    uint32_t count;
    eng_rel_free_vars(pp, set, &below);
    eng_bits_add_all(pp, &made, set->outs, set->outs_count);
    struct op *left = eng_phys(ph, rel->child[0], &below);
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op_expand *op = eng_op_new(ph, &expand_class, sizeof(*op), rel, vars, count);
    struct comp c = eng_comp(ph, left);
    op->op.child[0] = left;
    op->keeps_empty = rel->join == LUMA_JOIN_LEFT;
    set_columns(ph, op, set);
    eng_set_build(&c, set->exprs[0], &op->call);
    for (uint32_t i = 0; i < count; i++) {
        if (!eng_bits_has(&made, vars[i])) {
            op->exprs[i] = eng_compile(&c, eng_ex_col(pp, vars[i]));
            continue;
        }
        while (set->outs[op->func_col[i]] != vars[i])
            op->func_col[i]++;
        op->ordinality = op->ordinality || op->func_col[i] == op->func_cols;
    }
    return &op->op;
}

struct op *
eng_phys_expand(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct rel *set = eng_set_of_lateral(rel);
    if (set == NULL)
        return NULL;
    struct ex_list conds = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++)
        eng_list_add(pp, &conds, rel->conds.items[i]);
    for (uint32_t i = 0; rel->child[1] != set && i < rel->child[1]->conds.count; i++)
        eng_list_add(pp, &conds, rel->child[1]->conds.items[i]);
    if (conds.count == 0)
        return phys_pairs(ph, rel, set, need);
    struct rel *pairs = PP_NEW(pp, struct rel);
    *pairs = *rel;
    pairs->child[1] = set;
    pairs->conds = (struct ex_list){NULL, 0, 0};
    pairs->rows = -1;
    return eng_phys(ph, eng_rel_filter(pp, pairs, &conds), need);
}

struct op *
eng_phys_expand_list(struct phys *ph, struct rel *rel)
{
    struct prep *pp = ph->pp;
    struct bits below = {0, NULL};
    uint32_t sets = 0;
    for (uint32_t i = 0; i < rel->exprs_count; i++)
        sets += rel->exprs[i]->kind == LUMA_EXPR_SET;
    if (sets != 1)
        return NULL;
    eng_need_exs(pp, &below, rel->exprs, rel->exprs_count);
    struct op *child = rel->child[0] == NULL ? NULL : eng_phys(ph, rel->child[0], &below);
    struct op_expand *op =
        eng_op_new(ph, &expand_list_class, sizeof(*op), rel, rel->outs, rel->outs_count);
    struct comp c = eng_comp(ph, child);
    op->op.child[0] = child;
    op->func_cols = 1;
    op->func_types = PP_ARRAY(pp, struct luma_type, 1);
    op->exprs = PP_ARRAY(pp, struct xp *, rel->exprs_count);
    op->func_col = PP_ARRAY(pp, uint32_t, rel->exprs_count);
    for (uint32_t i = 0; i < rel->exprs_count; i++) {
        if (rel->exprs[i]->kind != LUMA_EXPR_SET) {
            op->exprs[i] = eng_compile(&c, rel->exprs[i]);
            continue;
        }
        op->func_types[0] = pp->vars[rel->outs[i]].type;
        eng_set_build(&c, rel->exprs[i], &op->call);
    }
    return &op->op;
}
