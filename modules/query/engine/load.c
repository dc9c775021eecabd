/*
 * load.c - COPY's way in: rows pulled by several parts from anywhere into a table. What turns out
 * to be small is inserted like any rows; the rest goes to storage's bulk interface.
 */
#include "change.h"
#include "query.h"
#include "spill.h"

#define SMALL_ROWS  16384
#define SMALL_SHARE 16 /* of what the statement may take */

struct load {
    struct op_insert op;
    struct change_state st;
    struct exec *x;
    luma_rc (*next)(void *arg, uint32_t part, struct luma_ctx *ctx, struct luma_batch *out);
    void *arg;
    bool *ended; /* by part */
    struct kept_batch *first, *last;
    uint64_t kept;
    size_t kept_bytes;
};

static luma_rc
load_build(struct prep *pp, const struct luma_plan_change *change, struct load *load)
{
    if (setjmp(pp->out) == 0) {
        struct prog *prog = PP_NEW(pp, struct prog);
        struct phys ph = {pp, prog};
        struct luma_plan *plan = PP_NEW(pp, struct luma_plan);
        struct rel *rel = eng_rel_new(pp, REL_CHANGE, NULL);
        uint32_t cols = change->table_cols_count;
        prog->query = pp->query;
        prog->index = pp->query->progs_count++;
        prog->ops_count = 1;
        plan->kind = LUMA_PLAN_INSERT;
        plan->change = change;
        rel->plan = plan;
        rel->new_vars = PP_ARRAY(pp, uint32_t, cols);
        for (uint32_t i = 0; i < cols; i++)
            rel->new_vars[i] = eng_var_new(pp, change->table_cols[i].type, rel);
        rel->checks = PP_ARRAY(pp, struct ex *, change->checks_count);
        for (uint32_t i = 0; i < change->checks_count; i++)
            rel->checks[i] = eng_import_expr(pp, change->checks[i].expr, rel->new_vars, cols, NULL);
        eng_change_build(&ph, rel, NULL, 0, &load->op.change);
        load->op.change.returning_count = 0;
        load->op.from = PP_ARRAY(pp, uint32_t, cols);
        for (uint32_t i = 0; i < cols; i++)
            load->op.from[i] = i;
        static const struct op_class load_class = {.name = "COPY"};
        load->op.op.cls = &load_class;
        pp->query->main = prog;
    }
    return pp->rc;
}

static luma_rc
pull(struct load *load, struct part *p, struct luma_arena *arena, struct luma_batch *in,
     struct luma_batch *row)
{
    struct xenv e = eng_env(p, arena);
    memset(in, 0, sizeof(*in));
    LUMA_TRY(load->next(load->arg, p->index, p->ctx, in));
    if (in->rows == 0)
        return LUMA_OK;
    if (in->sel == NULL)
        in->sel_rows = in->rows;
    return eng_insert_shape(&e, &load->op, in, row);
}

/* Up to SMALL_ROWS rows of all parts in turn, or fewer long ones; *out_all when that was
 * everything.
 */
static luma_rc
load_begin(struct load *load, struct luma_ctx *ctx, uint32_t parts, bool *out_all)
{
    size_t most = eng_spill_share(load->x, 1) / SMALL_SHARE;
    for (uint32_t i = 0; i < parts; i++) {
        struct part *p = eng_part(load->x, i, ctx);
        while (!load->ended[i]) {
            struct luma_batch in, row;
            struct luma_arena *arena;
            if (load->kept >= SMALL_ROWS || load->kept_bytes > most)
                return LUMA_OK;
            LUMA_TRY(eng.sched->yield(ctx));
            LUMA_TRY(eng_batch_arena(p, &load->op.op, &arena));
            LUMA_TRY(pull(load, p, arena, &in, &row));
            if (in.rows == 0) {
                load->ended[i] = true;
                break;
            }
            struct kept_batch *kept = LUMA_NEW(load->x->arena, struct kept_batch);
            ENG_NEED(ctx, kept, "COPY");
            LUMA_TRY(eng_batch_copy(ctx, load->x->arena, &row, &kept->batch));
            if (load->last == NULL)
                load->first = kept;
            else
                load->last->next = kept;
            load->last = kept;
            load->kept += row.sel_rows;
            load->kept_bytes += eng_batch_bytes(&row);
        }
    }
    *out_all = true;
    return LUMA_OK;
}

static luma_rc
append_bulk(struct load *load, struct xenv *e, uint32_t part, struct luma_batch *row)
{
    LUMA_TRY(eng_change_check(e, &load->op.change, row, NULL, load->op.change.cols_count));
    LUMA_TRY(eng_change_tell(e, &load->op.change, NULL, row));
    return eng.store->bulk_append(e->ctx, load->st.bulk, part, row);
}

static luma_rc
load_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct load *load = arg;
    struct part *p = eng_part(load->x, index, ctx);
    struct luma_arena *arena;
    for (struct kept_batch *k = load->first; index == 0 && k != NULL; k = k->next) {
        LUMA_TRY(eng_batch_arena(p, &load->op.op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(append_bulk(load, &e, index, &k->batch));
    }
    while (!load->ended[index]) {
        struct luma_batch in, row;
        LUMA_TRY(eng.sched->yield(ctx));
        LUMA_TRY(eng_batch_arena(p, &load->op.op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(pull(load, p, arena, &in, &row));
        if (in.rows == 0)
            load->ended[index] = true;
        else
            LUMA_TRY(append_bulk(load, &e, index, &row));
    }
    return LUMA_OK;
}

static luma_rc
load_bulk(struct load *load, struct luma_ctx *ctx, uint32_t parts)
{
    struct exec *x = load->x;
    LUMA_TRY(eng.store->bulk_open(ctx, x->txn, load->st.coll, parts, &load->st.bulk));
    if (parts == 1)
        LUMA_TRY(load_part(load, 0, ctx));
    else
        LUMA_TRY(eng.sched->parallel(ctx, parts, load_part, load));
    struct luma_bulk *bulk = LUMA_TAKE(load->st.bulk);
    luma_rc rc = eng.store->bulk_finish(ctx, bulk, &load->st.rows);
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    return rc == LUMA_OK ? rc : eng_change_unique(&e, &load->op.change, load->st.coll, NULL, rc);
}

static luma_rc
load_small(struct load *load, struct luma_ctx *ctx)
{
    struct part *p = eng_part(load->x, 0, ctx);
    for (struct kept_batch *k = load->first; k != NULL; k = k->next) {
        struct luma_arena *arena;
        LUMA_TRY(eng_batch_arena(p, &load->op.op, &arena));
        struct xenv e = eng_env(p, arena);
        LUMA_TRY(eng_insert_rows(&e, &load->op, &load->st, &k->batch));
    }
    return LUMA_OK;
}

static luma_rc
load_run(struct load *load, struct luma_ctx *ctx, uint32_t parts)
{
    struct exec *x = load->x;
    bool all = false;
    if (parts > x->parts_max) {
        struct part **more = LUMA_NEW_ARRAY(x->arena, struct part *, parts);
        ENG_NEED(ctx, more, "COPY");
        more[0] = x->parts[0];
        x->parts = more;
        x->parts_max = parts;
    }
    load->ended = LUMA_NEW_ARRAY(x->arena, bool, parts);
    ENG_NEED(ctx, load->ended, "COPY");
    LUMA_TRY(eng_parts_make(x, ctx, parts));
    LUMA_TRY(eng.store->open(ctx, x->txn, load->op.change.plan->coll_id, &load->st.coll));
    LUMA_TRY(load_begin(load, ctx, parts, &all));
    return all ? load_small(load, ctx) : load_bulk(load, ctx, parts);
}

luma_rc
eng_load(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
         const struct luma_plan_change *change, uint32_t parts,
         luma_rc (*next)(void *arg, uint32_t part, struct luma_ctx *ctx, struct luma_batch *out),
         void *arg, uint64_t *out_rows)
{
    struct luma_arena *own = eng.mem->arena_create(NULL, (size_t)16 << 10);
    ENG_NEED(ctx, own, "COPY");
    struct prep *pp = LUMA_NEW(own, struct prep);
    struct load *load = LUMA_NEW(own, struct load);
    luma_rc rc = pp == NULL || load == NULL ? ENG_NOMEM(ctx, "COPY")
                                            : eng_prep_begin(pp, ctx, session, txn, own);
    if (rc == LUMA_OK) {
        rc = load_build(pp, change, load);
        eng_prep_end(pp);
    }
    if (rc == LUMA_OK)
        rc = eng_exec_create(ctx, pp->query, pp->query->main, session, txn, NULL, 0, NULL, NULL,
                             &load->x);
    if (rc == LUMA_OK) {
        load->next = next;
        load->arg = arg;
        rc = load_run(load, ctx, parts == 0 ? 1 : parts);
        if (load->st.bulk != NULL)
            eng.store->bulk_abort(load->st.bulk);
        eng.store->close(load->st.coll);
        eng_exec_close(load->x);
        if (rc == LUMA_OK)
            *out_rows = load->st.rows;
    }
    eng.mem->arena_destroy(own);
    return rc;
}
