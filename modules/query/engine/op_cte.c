/* op_cte.c - common table expressions kept in memory, and recursion over them. */
#include "agg.h"
#include "change.h"
#include "explain.h"
#include "spill.h"

struct cte_list {
    struct kept_batch *first, *last;
};

/* What a part has made of a CTE: batches in memory of its own, the rest on disk. */
struct cte_part {
    struct luma_budget *budget;
    struct luma_arena *arena;
    bool spilling;
    struct spool spool;
};

/* Rows of a CTE: batches in the order they came (part by part), then blocks on disk. */
struct cte_state {
    uint32_t parts;
    struct cte_list *lists;
    struct cte_part *made; /* NULL: a step of a recursion, in memory */
    struct spill spill;
    uint32_t count, blocks;
    struct luma_batch **batches;
    const uint32_t *pos; /* of output column i in the batches */
};

static luma_rc
keep(struct luma_ctx *ctx, struct luma_arena *arena, struct cte_list *list,
     const struct luma_batch *in)
{
    struct kept_batch *kept = LUMA_NEW(arena, struct kept_batch);
    ENG_NEED(ctx, kept, "WITH");
    LUMA_TRY(eng_batch_copy(ctx, arena, in, &kept->batch));
    if (list->last == NULL)
        list->first = kept;
    else
        list->last->next = kept;
    list->last = kept;
    return LUMA_OK;
}

static luma_rc
index_lists(struct luma_ctx *ctx, struct luma_arena *arena, struct cte_state *st)
{
    st->count = 0;
    for (uint32_t i = 0; i < st->parts; i++)
        for (struct kept_batch *k = st->lists[i].first; k != NULL; k = k->next)
            st->count++;
    st->batches = luma_arena_alloc(arena, sizeof(*st->batches) * (st->count + 1));
    ENG_NEED(ctx, st->batches, "WITH");
    uint32_t n = 0;
    for (uint32_t i = 0; i < st->parts; i++)
        for (struct kept_batch *k = st->lists[i].first; k != NULL; k = k->next)
            st->batches[n++] = &k->batch;
    return LUMA_OK;
}

/* --- WITH --- */

struct op_cte {
    struct op op;
    uint32_t cte_id;
    uint32_t *pos;
};

struct cte_sink {
    const struct op_cte *op;
    struct cte_state *st;
};

static luma_rc
cte_sink(struct part *p, void *arg, struct luma_batch *in)
{
    const struct cte_sink *sink = arg;
    struct cte_state *st = sink->st;
    struct cte_part *made = &st->made[p->index];
    const struct op *def = sink->op->op.child[0];
    if (made->budget == NULL) {
        made->budget = eng.mem->budget_create(p->x->budget, "with", 0);
        if (made->budget != NULL)
            made->arena = eng.mem->arena_create(made->budget, 32u << 10);
        ENG_NEED(p->ctx, made->arena, "WITH");
    }
    if (!made->spilling && eng_spill_due(p->x, eng.mem->used_bytes(made->budget) * st->parts)) {
        eng_spool_init(&made->spool, &st->spill, p->x->budget, def->types, def->cols_count,
                       SPILL_BLOCK_ROWS);
        made->spilling = true;
    }
    if (!made->spilling)
        return keep(p->ctx, made->arena, &st->lists[p->index], in);
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &sink->op->op, &arena));
    struct xenv e = eng_env(p, arena);
    return eng_spool_append(&e, &made->spool, in->cols, in->sel, in->sel_rows, in->rows);
}

static luma_rc
settle(struct luma_ctx *ctx, struct cte_state *st)
{
    for (uint32_t i = 0; i < st->parts; i++) {
        if (!st->made[i].spilling)
            continue;
        LUMA_TRY(eng_spool_flush(ctx, &st->made[i].spool));
        eng_spool_settle(&st->made[i].spool);
        st->blocks += st->made[i].spool.count;
    }
    return LUMA_OK;
}

static luma_rc
cte_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_cte *op = (const struct op_cte *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct cte_state), &mem));
    struct cte_state *st = mem;
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    st->parts = eng_parts_for(x, base->child[0]);
    st->lists = LUMA_NEW_ARRAY(x->arena, struct cte_list, st->parts);
    st->pos = op->pos;
    st->made = LUMA_NEW_ARRAY(x->arena, struct cte_part, st->parts);
    if (st->lists == NULL || st->made == NULL)
        return ENG_NOMEM(ctx, "WITH");
    struct cte_sink sink = {op, st};
    LUMA_TRY(eng_run(x, ctx, base->child[0], st->parts, cte_sink, NULL, &sink));
    eng_release(x, base->child[0]);
    LUMA_TRY(settle(ctx, st));
    LUMA_TRY(index_lists(ctx, x->arena, st));
    x->ctes[op->cte_id] = st;
    return eng_open(x, ctx, base->child[1]);
}

static uint32_t
cte_parts(struct exec *x, const struct op *op)
{
    return eng_parts(x, op->child[1]);
}

static void
cte_start(struct exec *x, const struct op *op, uint32_t parts)
{
    eng_start(x, op->child[1], parts);
}

static luma_rc
cte_next(struct part *p, const struct op *op, struct luma_batch **out)
{
    return eng_next(p, op->child[1], out);
}

static void
cte_close(struct exec *x, const struct op *base)
{
    struct cte_state *st = x->op_state[base->id];
    for (uint32_t i = 0; st->made != NULL && i < st->parts; i++) {
        struct cte_part *made = &st->made[i];
        if (made->spilling)
            eng_spool_fini(&made->spool);
        eng.mem->arena_destroy(made->arena);
        if (made->budget != NULL)
            eng.mem->budget_destroy(made->budget);
    }
    st->made = NULL;
    eng_spill_close(x, &st->spill);
}

static void
cte_explain(struct explain *ex, const struct op *base)
{
    const struct exec *x = eng_explain_exec(ex);
    const struct cte_state *st = x == NULL ? NULL : x->op_state[base->id];
    if (st != NULL)
        eng_explain_spill(ex, &st->spill);
}

static const struct op_class cte_class = {
    .name = "CTE",
    .open = cte_open,
    .parts = cte_parts,
    .start = cte_start,
    .next = cte_next,
    .close = cte_close,
    .explain = cte_explain,
};

static uint32_t *
positions(struct phys *ph, const struct op *op, const struct rel *rel)
{
    uint32_t *pos = PP_ARRAY(ph->pp, uint32_t, rel->outs_count);
    for (uint32_t i = 0; i < rel->outs_count; i++)
        pos[i] = eng_op_pos(ph->pp, op, rel->outs[i]);
    return pos;
}

static void
cte_known(struct phys *ph, uint32_t id)
{
    struct prog *prog = ph->prog;
    if (prog->ctes == NULL)
        prog->ctes = PP_ARRAY(ph->pp, bool, ph->pp->cte_ids);
    prog->ctes[id] = true;
}

struct op *
eng_phys_cte(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct bits all = {0, NULL};
    eng_rel_outs(ph->pp, rel->child[0], &all);
    struct op *def = eng_phys(ph, rel->child[0], &all);
    cte_known(ph, rel->cte_id);
    struct op *body = eng_phys(ph, rel->child[1], need);
    struct op_cte *op = eng_op_new(ph, &cte_class, sizeof(*op), rel, body->vars, body->cols_count);
    op->op.child[0] = def;
    op->op.child[1] = body;
    op->cte_id = rel->cte_id;
    op->pos = positions(ph, def, rel->child[0]);
    return &op->op;
}

/* --- reading it --- */

struct op_cte_scan {
    struct op op;
    uint32_t cte_id;
    uint32_t *col; /* output column number of the CTE */
};

struct cte_scan_state {
    uint32_t next;
};

struct cte_scan_part {
    struct batch_view view;
    struct spool_reader reader;
};

static luma_rc
cte_scan_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    void *mem;
    return eng_shared_state(x, ctx, base, sizeof(struct cte_scan_state), &mem);
}

static uint32_t
cte_scan_parts(struct exec *x, const struct op *base)
{
    const struct op_cte_scan *op = (const struct op_cte_scan *)base;
    const struct cte_state *cte = x->ctes[op->cte_id];
    uint32_t batches = cte == NULL ? 0 : cte->count + cte->blocks;
    return batches < 16 ? 1 : batches / 8;
}

/* Batch `at` of the CTE: one in memory, or a block on disk. */
static luma_rc
cte_batch(struct part *p, const struct cte_state *cte, struct cte_scan_part *part, uint32_t at,
          struct luma_batch **out)
{
    if (at < cte->count) {
        *out = cte->batches[at];
        return LUMA_OK;
    }
    at -= cte->count;
    for (uint32_t i = 0; i < cte->parts; i++) {
        const struct cte_part *made = &cte->made[i];
        if (!made->spilling)
            continue;
        if (at < made->spool.count) {
            part->reader.spool = &made->spool;
            part->reader.next = at;
            return eng_spool_read(p->ctx, &part->reader, p->arena, out);
        }
        at -= made->spool.count;
    }
    return LUMA_FAIL(p->ctx, LUMA_E_INTERNAL, "engine: a CTE has no batch %u", at);
}

static void
cte_scan_close(struct exec *x, const struct op *base)
{
    for (uint32_t i = 0; i < x->parts_max; i++) {
        struct cte_scan_part *part = x->parts[i] == NULL ? NULL : x->parts[i]->op_state[base->id];
        if (part != NULL && part->reader.spool != NULL)
            eng_spool_reader_fini(&part->reader);
    }
}

static luma_rc
cte_scan_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_cte_scan *op = (const struct op_cte_scan *)base;
    const struct cte_state *cte = p->x->ctes[op->cte_id];
    struct cte_scan_state *st = p->x->op_state[base->id];
    struct cte_scan_part *part;
    void *mem;
    if (cte == NULL)
        return LUMA_FAIL(p->ctx, LUMA_E_INTERNAL, "engine: a CTE is read before it is made");
    uint32_t at = __atomic_fetch_add(&st->next, 1, __ATOMIC_RELAXED);
    if (at >= cte->count + cte->blocks)
        return LUMA_OK;
    LUMA_TRY(eng.sched->yield(p->ctx));
    LUMA_TRY(eng_part_state(p, base, sizeof(*part), &mem));
    part = mem;
    struct luma_batch *from = NULL;
    LUMA_TRY(cte_batch(p, cte, part, at, &from));
    return eng_batch_view(p, base, &part->view, from, op->col, cte->pos, out);
}

static const struct op_class cte_scan_class = {
    .name = "CTE Scan",
    .open = cte_scan_open,
    .parts = cte_scan_parts,
    .next = cte_scan_next,
    .close = cte_scan_close,
};

struct op *
eng_phys_cte_scan(struct phys *ph, struct rel *rel, const struct bits *need)
{
    uint32_t count;
    uint32_t *vars = eng_needed_outs(ph->pp, rel, need, &count);
    struct op_cte_scan *op = eng_op_new(ph, &cte_scan_class, sizeof(*op), rel, vars, count);
    op->cte_id = rel->cte_id;
    op->col = PP_ARRAY(ph->pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        while (rel->outs[op->col[i]] != vars[i])
            op->col[i]++;
    /* A CTE of an enclosing program: this one cannot run before it is there. */
    for (struct prog *prog = ph->prog; prog != NULL; prog = prog->up) {
        if (prog->ctes != NULL && prog->ctes[rel->cte_id])
            break;
        prog->uses_outer_cte = true;
    }
    return &op->op;
}

/* --- WITH RECURSIVE --- */

struct op_recursive {
    struct op op;
    uint32_t cte_id;
    bool all;
    uint32_t *start_pos, *step_pos; /* of each output column */
    struct rowlay lay;
    uint32_t *identity;
    uint32_t *out_col;
};

struct recursive_state {
    struct agg_table seen;
    struct cte_list all;
    struct kept_batch *at;
    bool has_table;
    struct batch_view view;
};

/* Adds the batch's rows to the result and to `fresh`, those not seen before when UNION is distinct.
 */
static luma_rc
recursive_add(struct xenv *e, const struct op_recursive *op, struct recursive_state *st,
              const struct luma_batch *in, const uint32_t *pos, struct cte_list *fresh)
{
    struct luma_batch row = *in;
    uint32_t cols = op->lay.cols;
    row.cols = luma_arena_alloc(e->arena, sizeof(*row.cols) * (cols + 1));
    ENG_NEED(e->ctx, row.cols, "WITH RECURSIVE");
    row.cols_count = cols;
    for (uint32_t i = 0; i < cols; i++)
        row.cols[i] = in->cols[pos[i]];
    if (!op->all) {
        uint16_t *sel;
        LUMA_TRY(eng_table_fresh(e, &st->seen, in, pos, &sel, &row.sel_rows));
        row.sel = sel;
    }
    if (row.sel_rows == 0)
        return LUMA_OK;
    LUMA_TRY(keep(e->ctx, e->x->arena, fresh, &row));
    return keep(e->ctx, e->x->arena, &st->all, &row);
}

static luma_rc
recursive_pull(struct part *p, const struct op_recursive *op, struct recursive_state *st,
               const struct op *child, const uint32_t *pos, struct cte_list *fresh)
{
    eng_start(p->x, child, 1);
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, child, &in));
        if (in == NULL)
            return LUMA_OK;
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(recursive_add(&e, op, st, in, pos, fresh));
        LUMA_TRY(eng.sched->yield(p->ctx));
    }
}

static luma_rc
recursive_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_recursive *op = (const struct op_recursive *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct recursive_state), &mem));
    struct recursive_state *st = mem;
    struct part *p = eng_part(x, 0, ctx);
    if (!op->all) {
        if (eng_table_init(&st->seen, &op->lay, x->arena, x->budget) != LUMA_OK)
            return ENG_NOMEM(ctx, "WITH RECURSIVE");
        st->has_table = true;
    }
    struct cte_list fresh = {NULL, NULL};
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    LUMA_TRY(recursive_pull(p, op, st, base->child[0], op->start_pos, &fresh));
    while (fresh.first != NULL) {
        struct cte_state work = {.parts = 1, .lists = &fresh, .pos = op->identity};
        struct cte_list next = {NULL, NULL};
        LUMA_TRY(index_lists(ctx, x->arena, &work));
        x->ctes[op->cte_id] = &work;
        LUMA_TRY(eng_open(x, ctx, base->child[1]));
        LUMA_TRY(recursive_pull(p, op, st, base->child[1], op->step_pos, &next));
        eng_close(x, base->child[1]);
        x->ctes[op->cte_id] = NULL;
        fresh = next;
    }
    st->at = st->all.first;
    return LUMA_OK;
}

static luma_rc
recursive_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_recursive *op = (const struct op_recursive *)base;
    struct recursive_state *st = p->x->op_state[base->id];
    if (st->at == NULL || p->index > 0)
        return LUMA_OK;
    const struct luma_batch *in = &st->at->batch;
    st->at = st->at->next;
    return eng_batch_view(p, base, &st->view, in, op->out_col, NULL, out);
}

static void
recursive_close(struct exec *x, const struct op *base)
{
    struct recursive_state *st = x->op_state[base->id];
    if (st->has_table)
        eng_table_fini(&st->seen);
}

static const struct op_class recursive_class = {
    .name = "Recursive Union",
    .open = recursive_open,
    .next = recursive_next,
    .close = recursive_close,
};

struct op *
eng_phys_recursive(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct bits all = {0, NULL};
    eng_rel_outs(pp, rel->child[0], &all);
    eng_rel_outs(pp, rel->child[1], &all);
    struct op *start = eng_phys(ph, rel->child[0], &all);
    cte_known(ph, rel->cte_id);
    struct op *step = eng_phys(ph, rel->child[1], &all);
    uint32_t count, cols = rel->outs_count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op_recursive *op = eng_op_new(ph, &recursive_class, sizeof(*op), rel, vars, count);
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, cols);
    op->op.child[0] = start;
    op->op.child[1] = step;
    op->cte_id = rel->cte_id;
    op->all = rel->all;
    op->start_pos = positions(ph, start, rel->child[0]);
    op->step_pos = positions(ph, step, rel->child[1]);
    op->identity = PP_ARRAY(pp, uint32_t, cols);
    op->out_col = PP_ARRAY(pp, uint32_t, count);
    for (uint32_t i = 0; i < cols; i++) {
        op->identity[i] = i;
        types[i] = pp->vars[rel->outs[i]].type;
    }
    for (uint32_t i = 0; i < count; i++)
        while (rel->outs[op->out_col[i]] != vars[i])
            op->out_col[i]++;
    if (eng_rowlay_init(pp->arena, types, cols, 0, &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}
