/*
 * engine.c - service "query.engine": prepare, open, eval; the module's descriptor.
 */
#include "engine.h"

#include <lumadb/module.h>

#include "change.h"
#include "explain.h"
#include "query.h"

#define QUERY_BLOCK_BYTES ((size_t)16 << 10)

struct eng_host eng;

luma_rc
eng_prep_begin(struct prep *pp, struct luma_ctx *ctx, struct luma_session *session,
               struct luma_txn *txn, struct luma_arena *arena)
{
    pp->rc = LUMA_OK;
    pp->ctx = ctx;
    pp->session = session;
    pp->txn = txn;
    pp->arena = arena;
    pp->cat = eng.catalog == NULL ? NULL : eng.catalog->view(txn);
    pp->vars = NULL;
    pp->vars_count = pp->vars_room = 0;
    pp->ctes = NULL;
    pp->ctes_count = 0;
    pp->cte_ids = 0;
    pp->has_join = false;
    pp->colls_count = 0;
    pp->query = LUMA_NEW(arena, struct luma_query);
    ENG_NEED(ctx, pp->query, "planning");
    pp->query->refs = 1;
    pp->query->arena = arena;
    return LUMA_OK;
}

void
eng_prep_end(struct prep *pp)
{
    for (uint32_t i = 0; i < pp->colls_count; i++)
        eng.store->close(pp->colls[i].coll);
    if (pp->cat != NULL && pp->txn == NULL)
        eng.catalog->release(pp->cat);
}

static bool
is_change(enum luma_plan_kind kind)
{
    return kind == LUMA_PLAN_INSERT || kind == LUMA_PLAN_UPDATE || kind == LUMA_PLAN_DELETE;
}

static void
describe(struct prep *pp, const struct luma_plan *plan)
{
    struct luma_query *query = pp->query;
    const struct luma_plan *top = plan;
    while (top->kind == LUMA_PLAN_CTE)
        top = top->children[1];
    query->is_change = is_change(top->kind);
    query->tag = top->kind == LUMA_PLAN_INSERT   ? "INSERT 0"
                 : top->kind == LUMA_PLAN_UPDATE ? "UPDATE"
                 : top->kind == LUMA_PLAN_DELETE ? "DELETE"
                                                 : "SELECT";
    query->cols_count = query->is_change ? top->change->returning_count : plan->cols_count;
    query->cols = PP_ARRAY(pp, struct luma_result_col, query->cols_count);
    for (uint32_t i = 0; i < query->cols_count; i++) {
        const struct luma_plan_col *col = i < plan->cols_count ? &plan->cols[i] : &top->cols[i];
        query->cols[i] = (struct luma_result_col){col->name, col->type, col->table_id, col->col_id};
    }
}

static void
plan_query(struct prep *pp, const struct luma_plan *plan)
{
    struct ex_list none = {NULL, 0, 0};
    struct rel *rel = eng_import(pp, plan, NULL);
    uint32_t *outs = rel->outs, outs_count = rel->outs_count;
    rel = eng_unnest(pp, rel);
    rel = eng_push(pp, rel, &none);
    eng_paths(pp, rel);
    rel->outs = outs; /* the order of the result's columns */
    rel->outs_count = outs_count;
    pp->query->plan = plan;
    pp->query->ctes_count = pp->cte_ids;
    describe(pp, plan);
    pp->query->main = eng_prog(pp, rel, NULL);
    pp->query->var_names_count = pp->vars_count;
    pp->query->var_names = PP_ARRAY(pp, const char *, pp->vars_count);
    for (uint32_t i = 0; i < pp->vars_count; i++)
        pp->query->var_names[i] = pp->vars[i].name;
}

static luma_rc
prepare_in(struct prep *pp, const struct luma_plan *plan)
{
    if (setjmp(pp->out) == 0)
        plan_query(pp, plan);
    return pp->rc;
}

static luma_rc
prepare(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
        const struct luma_plan *plan, const struct luma_type *param_types, uint32_t params_count,
        struct luma_query **out_query)
{
    struct luma_arena *arena = eng.mem->arena_create(NULL, QUERY_BLOCK_BYTES);
    ENG_NEED(ctx, arena, "planning");
    struct prep *pp = LUMA_NEW(arena, struct prep);
    luma_rc rc =
        pp == NULL ? ENG_NOMEM(ctx, "planning") : eng_prep_begin(pp, ctx, session, txn, arena);
    if (rc == LUMA_OK) {
        pp->query->param_types = param_types;
        pp->query->params_count = params_count;
        rc = prepare_in(pp, plan);
        eng_prep_end(pp);
    }
    if (rc != LUMA_OK) {
        eng.mem->arena_destroy(arena);
        return rc;
    }
    *out_query = pp->query;
    return LUMA_OK;
}

static void
query_ref(struct luma_query *query)
{
    __atomic_fetch_add(&query->refs, 1, __ATOMIC_RELAXED);
}

static void
query_release(struct luma_query *query)
{
    if (query != NULL && __atomic_sub_fetch(&query->refs, 1, __ATOMIC_ACQ_REL) == 0)
        eng.mem->arena_destroy(query->arena);
}

/* --- results --- */

static luma_rc
result_next(struct luma_ctx *ctx, struct luma_result *result, struct luma_batch **out_batch)
{
    static struct luma_batch end;
    struct exec *x = (struct exec *)result;
    struct luma_batch *batch = NULL;
    if (result->cols_count == 0 && x->query->is_change) {
        *out_batch = &end;
        return LUMA_OK;
    }
    LUMA_TRY(eng_exec_next(ctx, x, &batch));
    if (batch == NULL) {
        *out_batch = &end;
        return LUMA_OK;
    }
    if (!x->query->is_change)
        result->rows_done += batch->sel_rows;
    *out_batch = batch;
    return LUMA_OK;
}

static void
result_close(struct luma_result *result)
{
    struct exec *x = (struct exec *)result;
    struct luma_query *query = x->query;
    eng_exec_close(x);
    query_release(query);
}

static luma_rc
query_open(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
           struct luma_query *query, const struct luma_value *params, uint32_t params_count,
           struct luma_result **out_result)
{
    struct exec *x;
    LUMA_TRY(eng_exec_create(ctx, query, query->main, session, txn, params, params_count, NULL,
                             NULL, &x));
    query_ref(query);
    luma_rc rc = eng_exec_open(ctx, x);
    if (rc != LUMA_OK) {
        result_close(&x->result);
        return rc;
    }
    x->result.cols = query->cols;
    x->result.cols_count = query->cols_count;
    x->result.next = result_next;
    x->result.close = result_close;
    x->result.tag = query->tag;
    x->result.tag_rows = true;
    x->result.rows_done = query->is_change ? x->changed : 0;
    *out_result = &x->result;
    return LUMA_OK;
}

/* --- single expressions --- */

static luma_rc
eval_in(struct prep *pp, const struct luma_expr *expr, struct xp **out)
{
    if (setjmp(pp->out) == 0) {
        struct prog *prog = PP_NEW(pp, struct prog);
        prog->query = pp->query;
        prog->index = pp->query->progs_count++;
        struct comp c = {pp, prog, NULL, 0};
        struct ex *ex = eng_import_expr(pp, expr, NULL, 0, NULL);
        if (eng_ex_has_sublink(ex)) {
            struct rel *rel = eng_rel_new(pp, REL_PROJECT, NULL);
            struct ex_list none = {NULL, 0, 0};
            rel->exprs_count = 1;
            rel->exprs = PP_ARRAY(pp, struct ex *, 1);
            rel->exprs[0] = ex;
            rel = eng_push(pp, eng_unnest(pp, rel), &none);
            ex = rel->exprs[0];
        }
        *out = eng_compile(&c, ex);
        pp->query->main = prog;
    }
    return pp->rc;
}

static luma_rc
eval_with(struct prep *pp, const struct luma_expr *expr, const struct luma_value *params,
          uint32_t params_count, struct luma_arena *arena, struct luma_value *out)
{
    struct xp *xp = NULL;
    struct exec *x;
    struct luma_ctx *ctx = pp->ctx;
    LUMA_TRY(eval_in(pp, expr, &xp));
    LUMA_TRY(eng_exec_create(ctx, pp->query, pp->query->main, pp->session, pp->txn, params,
                             params_count, NULL, NULL, &x));
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    struct luma_value v;
    luma_rc rc = eng_eval_value(&e, xp, &v);
    if (rc == LUMA_OK && !v.is_null && v.phys == LUMA_PHYS_STR &&
        v.str.bytes > LUMA_STR_INLINE_MAX) {
        char *copy = luma_arena_copy(arena, v.str.ptr, v.str.bytes);
        if (copy == NULL)
            rc = ENG_NOMEM(ctx, "an expression");
        else
            v.str = luma_str_make(copy, v.str.bytes);
    }
    eng_exec_close(x);
    if (rc == LUMA_OK)
        *out = v;
    return rc;
}

static luma_rc
eval(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
     const struct luma_expr *expr, const struct luma_value *params, uint32_t params_count,
     struct luma_arena *arena, struct luma_value *out)
{
    if (expr->kind == LUMA_EXPR_CONST) {
        *out = expr->value;
        out->type = expr->type;
        return LUMA_OK;
    }
    struct luma_arena *own = eng.mem->arena_create(NULL, QUERY_BLOCK_BYTES);
    ENG_NEED(ctx, own, "an expression");
    struct prep *pp = LUMA_NEW(own, struct prep);
    luma_rc rc =
        pp == NULL ? ENG_NOMEM(ctx, "an expression") : eng_prep_begin(pp, ctx, session, txn, own);
    if (rc == LUMA_OK) {
        rc = eval_with(pp, expr, params, params_count, arena, out);
        eng_prep_end(pp);
    }
    eng.mem->arena_destroy(own);
    return rc;
}

const struct luma_engine eng_engine = {
    .head = LUMA_ENGINE_HEAD,
    .prepare = prepare,
    .ref = query_ref,
    .release = query_release,
    .open = query_open,
    .explain = eng_explain,
    .eval = eval,
    .load = eng_load,
};

/* --- the module --- */

static luma_rc
init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)conf;
    (void)ctx;
    eng.mem = host->mem;
    eng.data = host->data;
    eng.sched = host->sched;
    eng.session = host->session;
    eng.txn = host->txn;
    eng.catalog = host->catalog;
    eng.temp = host->temp;
    eng.store = host->store;
    eng.stats = host->stats;
    *out_state = (void *)(uintptr_t)host;
    return LUMA_OK;
}

static luma_rc
start(void *state, struct luma_ctx *ctx)
{
    const struct luma_host *host = state;
    const struct luma_head *simd = host->services->lookup("simd", LUMA_SIMD_MAJOR);
    if (simd == NULL)
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "query-engine: service simd is not there");
    eng.simd = (const struct luma_simd *)(const void *)simd;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "query", .name = "engine", .version = LUMA_VERSION, .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "optimizer and vectorized, parallel executor",
            .needs = LUMA_NEEDS({"simd", LUMA_SIMD_MAJOR, false}),
            .offers = LUMA_OFFERS({"query.engine", &eng_engine.head}), .init = init,
            .start = start);
