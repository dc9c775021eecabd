/* op_lateral.c - LATERAL: the right side runs once for each left row, with that row's values. */
#include "explain.h"
#include "phys.h"

struct op_lateral {
    struct op op;
    struct prog *prog;
    struct xp **outer;   /* values of prog->outer_vars over the left row */
    struct xp *residual; /* over left columns ++ right columns */
    bool left_join;
    uint32_t left_cols;
    uint32_t *right_pos; /* columns of the program that are wanted */
    uint32_t right_cols;
    uint32_t *out_from; /* output: left position, or left_cols + i for right column i */
};

struct lateral_part {
    struct luma_batch *in;
    uint32_t at;
    struct exec *x;
    bool matched;
    struct luma_vec *outer, *both, *cols;
    struct luma_value *values, *left;
    struct luma_batch batch;
};

static luma_rc
lateral_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    LUMA_TRY(eng_open(x, ctx, op->child[0]));
    eng_start(x, op->child[0], 1);
    return LUMA_OK;
}

static luma_rc
lateral_init(struct part *p, const struct op_lateral *op, struct lateral_part *lp)
{
    uint32_t outer = op->prog->outer_count, left = op->left_cols;
    if (lp->both != NULL)
        return LUMA_OK;
    lp->outer = LUMA_NEW_ARRAY(p->arena, struct luma_vec, outer + 1);
    lp->both = LUMA_NEW_ARRAY(p->arena, struct luma_vec, left + op->right_cols + 1);
    lp->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->op.cols_count + 1);
    lp->values = LUMA_NEW_ARRAY(p->arena, struct luma_value, outer + 1);
    lp->left = LUMA_NEW_ARRAY(p->arena, struct luma_value, left + 1);
    if (lp->outer == NULL || lp->both == NULL || lp->cols == NULL || lp->values == NULL ||
        lp->left == NULL)
        return ENG_NOMEM(p->ctx, "LATERAL");
    return LUMA_OK;
}

static luma_rc
lateral_begin_row(struct part *p, const struct op_lateral *op, struct lateral_part *lp)
{
    struct exec *x = p->x, *root = x->root;
    uint32_t row = luma_batch_row(lp->in, lp->at++);
    for (uint32_t i = 0; i < op->prog->outer_count; i++)
        lp->values[i] = eng.data->vec_value(&lp->outer[i], row);
    for (uint32_t i = 0; i < op->left_cols; i++) {
        lp->left[i] = eng.data->vec_value(&lp->in->cols[i], row);
        eng_vec_of_value(&lp->both[i], &lp->left[i]);
    }
    lp->matched = false;
    LUMA_TRY(eng_exec_create(p->ctx, root->query, op->prog, root->session, root->txn, root->params,
                             root->params_count, p, lp->values, &lp->x));
    return eng_exec_open(p->ctx, lp->x);
}

static void
lateral_end_row(struct lateral_part *lp)
{
    eng_exec_close(lp->x);
    lp->x = NULL;
}

static void
lateral_shape(const struct op_lateral *op, struct lateral_part *lp, const struct luma_batch *like)
{
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        lp->cols[i] = lp->both[op->out_from[i]];
        lp->cols[i].type = op->op.types[i];
    }
    lp->batch = *like;
    lp->batch.cols = lp->cols;
    lp->batch.cols_count = op->op.cols_count;
}

/* One batch of the running right side; *out stays NULL when it has ended or nothing passed. */
static luma_rc
lateral_step(struct part *p, const struct op_lateral *op, struct lateral_part *lp,
             struct luma_batch **out)
{
    struct luma_batch *right;
    LUMA_TRY(eng_exec_next(p->ctx, lp->x, &right));
    if (right == NULL) {
        lateral_end_row(lp);
        if (!op->left_join || lp->matched)
            return LUMA_OK;
        for (uint32_t i = 0; i < op->right_cols; i++)
            eng_vec_null(&lp->both[op->left_cols + i], op->prog->out_types[op->right_pos[i]]);
        struct luma_batch one = {.rows = 1, .sel_rows = 1};
        lateral_shape(op, lp, &one);
        *out = &lp->batch;
        return LUMA_OK;
    }
    for (uint32_t i = 0; i < op->right_cols; i++)
        lp->both[op->left_cols + i] = right->cols[op->right_pos[i]];
    struct luma_batch pair = *right;
    pair.cols = lp->both;
    pair.cols_count = op->left_cols + op->right_cols;
    if (op->residual != NULL) {
        struct luma_arena *arena;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(eng_filter_batch(&e, op->residual, &pair));
    }
    if (pair.sel_rows == 0)
        return LUMA_OK;
    lp->matched = true;
    lateral_shape(op, lp, &pair);
    *out = &lp->batch;
    return LUMA_OK;
}

static luma_rc
lateral_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_lateral *op = (const struct op_lateral *)base;
    struct lateral_part *lp;
    void *mem;
    if (p->index > 0)
        return LUMA_OK;
    LUMA_TRY(eng_part_state(p, base, sizeof(*lp), &mem));
    lp = mem;
    LUMA_TRY(lateral_init(p, op, lp));
    for (;;) {
        LUMA_TRY(eng.sched->yield(p->ctx));
        if (lp->x != NULL) {
            LUMA_TRY(lateral_step(p, op, lp, out));
            if (*out != NULL)
                return LUMA_OK;
            continue;
        }
        if (lp->in == NULL || lp->at == lp->in->sel_rows) {
            LUMA_TRY(eng_next(p, base->child[0], &lp->in));
            if (lp->in == NULL)
                return LUMA_OK;
            lp->at = 0;
            struct xenv e = eng_env(p, p->arena);
            for (uint32_t i = 0; i < op->prog->outer_count; i++)
                LUMA_TRY(eng_eval(&e, op->outer[i], lp->in, lp->in->sel, lp->in->sel_rows,
                                  &lp->outer[i]));
        }
        LUMA_TRY(lateral_begin_row(p, op, lp));
    }
}

static void
lateral_close(struct exec *x, const struct op *base)
{
    struct lateral_part *lp = x->parts[0]->op_state[base->id];
    if (lp != NULL && lp->x != NULL)
        lateral_end_row(lp);
}

static void
lateral_explain(struct explain *ex, const struct op *base)
{
    const struct op_lateral *op = (const struct op_lateral *)base;
    eng_explain_text(ex, "Join Type", op->left_join ? "Left" : "Inner");
    eng_explain_prog(ex, "lateral", op->prog);
}

static const struct op_class lateral_class = {
    .name = "Nested Loop Lateral",
    .open = lateral_open,
    .next = lateral_next,
    .close = lateral_close,
    .explain = lateral_explain,
};

struct op *
eng_phys_lateral(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct rel *right = rel->child[1];
    struct op *expand = eng_phys_expand(ph, rel, need);
    if (expand != NULL)
        return expand;
    struct bits below = eng_bits_copy(pp, need);
    eng_need_list(pp, &below, &rel->conds);
    eng_rel_free_vars(pp, right, &below);
    struct op *left = eng_phys(ph, rel->child[0], &below);
    struct prog *prog = eng_prog(pp, right, ph->prog);
    if (rel->join != LUMA_JOIN_INNER && rel->join != LUMA_JOIN_LEFT)
        eng_pp_throw(
            pp, LUMA_FAIL(pp->ctx, LUMA_E_UNSUPPORTED, "LATERAL joins are inner or left joins"));
    uint32_t room = left->cols_count + right->outs_count, count = 0, right_cols = 0;
    uint32_t *vars = PP_ARRAY(pp, uint32_t, room), *from = PP_ARRAY(pp, uint32_t, room);
    uint32_t *both = PP_ARRAY(pp, uint32_t, room);
    uint32_t *right_pos = PP_ARRAY(pp, uint32_t, right->outs_count);
    struct bits seen = {0, NULL};
    for (uint32_t i = 0; i < left->cols_count; i++) {
        both[i] = left->vars[i];
        if (!eng_bits_has(need, left->vars[i]))
            continue;
        vars[count] = left->vars[i];
        from[count++] = i;
    }
    for (uint32_t i = 0; i < right->outs_count; i++) {
        uint32_t var = right->outs[i];
        if (!eng_bits_has(&below, var) || eng_bits_has(&seen, var))
            continue;
        eng_bits_add(pp, &seen, var);
        both[left->cols_count + right_cols] = var;
        if (eng_bits_has(need, var)) {
            vars[count] = var;
            from[count++] = left->cols_count + right_cols;
        }
        right_pos[right_cols++] = i;
    }
    struct op_lateral *op = eng_op_new(ph, &lateral_class, sizeof(*op), rel, vars, count);
    struct comp lc = eng_comp(ph, left), bc = {pp, ph->prog, both, left->cols_count + right_cols};
    op->op.child[0] = left;
    op->prog = prog;
    op->left_join = rel->join == LUMA_JOIN_LEFT;
    op->left_cols = left->cols_count;
    op->right_pos = right_pos;
    op->right_cols = right_cols;
    op->out_from = from;
    op->outer = PP_ARRAY(pp, struct xp *, prog->outer_count);
    for (uint32_t i = 0; i < prog->outer_count; i++)
        op->outer[i] = eng_compile(&lc, eng_ex_col(pp, prog->outer_vars[i]));
    op->residual = eng_compile_conds(&bc, &rel->conds);
    return &op->op;
}
