/* exec.c - one execution of a program: its memory, its parts, its pipelines. */
#include "exec.h"

#include "phys.h"

#define ARENA_BLOCK_BYTES ((size_t)32 << 10)
#define POOL_ARENAS       12

/* Arenas that a session's short statements use again and again: no malloc in the steady state. */
struct pool {
    uint32_t count;
    struct luma_arena *arenas[POOL_ARENAS];
};

static void
pool_fini(void *content)
{
    struct pool *pool = content;
    for (uint32_t i = 0; i < pool->count; i++)
        eng.mem->arena_destroy(pool->arenas[i]);
    eng.mem->release(NULL, pool, sizeof(*pool));
}

static struct pool *
pool_of(struct luma_session *session)
{
    static const char owner;
    if (session == NULL)
        return NULL;
    void **slot = eng.session->slot(session, &owner, pool_fini);
    if (slot == NULL)
        return NULL;
    if (*slot == NULL) {
        struct pool *pool = eng.mem->alloc(NULL, sizeof(*pool));
        if (pool != NULL)
            pool->count = 0;
        *slot = pool;
    }
    return *slot;
}

static struct luma_arena *
arena_take(struct pool *pool, struct luma_budget *budget)
{
    if (pool != NULL && pool->count > 0)
        return pool->arenas[--pool->count];
    return eng.mem->arena_create(budget, ARENA_BLOCK_BYTES);
}

static void
arena_give(struct pool *pool, struct luma_arena *arena)
{
    if (arena == NULL)
        return;
    if (pool == NULL || pool->count == POOL_ARENAS) {
        eng.mem->arena_destroy(arena);
        return;
    }
    arena->reset(arena);
    pool->arenas[pool->count++] = arena;
}

static luma_rc
part_init(struct exec *x, uint32_t index, struct luma_ctx *ctx, struct luma_arena *arena)
{
    const struct prog *prog = x->prog;
    struct part *p = LUMA_NEW(arena, struct part);
    ENG_NEED(ctx, p, "starting the query");
    p->x = x;
    p->index = index;
    p->ctx = ctx;
    p->arena = arena;
    p->op_state = LUMA_NEW_ARRAY(arena, void *, prog->ops_count + 1);
    p->op_mem = LUMA_NEW_ARRAY(arena, struct op_mem, prog->ops_count + 1);
    p->batch = LUMA_NEW_ARRAY(arena, struct luma_arena *, 2 * (prog->ops_count + 1));
    p->xp_state = LUMA_NEW_ARRAY(arena, void *, prog->states_count + 1);
    if (p->op_state == NULL || p->op_mem == NULL || p->batch == NULL || p->xp_state == NULL)
        return ENG_NOMEM(ctx, "starting the query");
    if (x->analyze) {
        p->stat = LUMA_NEW_ARRAY(arena, struct op_stat, prog->ops_count + 1);
        ENG_NEED(ctx, p->stat, "starting the query");
    }
    x->parts[index] = p;
    return LUMA_OK;
}

static luma_rc
exec_init(struct luma_ctx *ctx, struct exec *x, struct part *up)
{
    struct luma_query *query = x->query;
    const struct prog *prog = x->prog;
    struct luma_arena *arena = x->arena;
    x->op_state = LUMA_NEW_ARRAY(arena, void *, prog->ops_count + 1);
    x->op_mem = LUMA_NEW_ARRAY(arena, struct op_mem, prog->ops_count + 1);
    x->parts = LUMA_NEW_ARRAY(arena, struct part *, x->parts_max);
    if (x->op_state == NULL || x->op_mem == NULL || x->parts == NULL)
        return ENG_NOMEM(ctx, "starting the query");
    if (up == NULL && query->progs_count > 1) {
        x->subs = LUMA_NEW_ARRAY(arena, struct sub_state, query->progs_count);
        ENG_NEED(ctx, x->subs, "starting the query");
    }
    if (query->ctes_count > 0) {
        x->ctes = LUMA_NEW_ARRAY(arena, struct cte_state *, query->ctes_count);
        ENG_NEED(ctx, x->ctes, "starting the query");
        if (up != NULL && up->x->ctes != NULL)
            memcpy(x->ctes, up->x->ctes, sizeof(struct cte_state *) * query->ctes_count);
    }
    return part_init(x, 0, ctx, arena);
}

luma_rc
eng_exec_create(struct luma_ctx *ctx, struct luma_query *query, const struct prog *prog,
                struct luma_session *session, struct luma_txn *txn, const struct luma_value *params,
                uint32_t params_count, struct part *up, const struct luma_value *outer,
                struct exec **out_exec)
{
    struct pool *pool = up == NULL ? pool_of(session) : up->index == 0 ? up->x->pool : NULL;
    struct luma_budget *budget = up != NULL        ? up->x->budget
                                 : session == NULL ? NULL
                                                   : eng.session->budget(session);
    struct luma_arena *arena = arena_take(pool, budget);
    struct exec *x = arena == NULL ? NULL : LUMA_NEW(arena, struct exec);
    if (x == NULL) {
        arena_give(pool, arena);
        return ENG_NOMEM(ctx, "starting the query");
    }
    x->query = query;
    x->prog = prog;
    x->session = session;
    x->txn = txn;
    x->arena = arena;
    x->budget = budget;
    x->pool = pool;
    x->params = params;
    x->params_count = params_count;
    x->outer = outer;
    x->up_part = up;
    x->up = up == NULL ? NULL : up->x;
    x->root = up == NULL ? x : up->x->root;
    x->format = up != NULL ? up->x->format : eng.session->format(session);
    x->parts_max = up != NULL && up->x->parts_made > 0 ? 1 : eng.sched->workers();
    if (x->parts_max == 0)
        x->parts_max = 1;
    luma_rc rc = exec_init(ctx, x, up);
    if (rc != LUMA_OK) {
        arena_give(pool, arena);
        return rc;
    }
    *out_exec = x;
    return LUMA_OK;
}

luma_rc
eng_exec_open(struct luma_ctx *ctx, struct exec *x)
{
    x->opened = true;
    if (x->up == NULL)
        LUMA_TRY(eng_subs_run(ctx, x));
    LUMA_TRY(eng_open(x, ctx, x->prog->root));
    eng_start(x, x->prog->root, 1); /* the one that pulls is the only part */
    return LUMA_OK;
}

luma_rc
eng_exec_next(struct luma_ctx *ctx, struct exec *x, struct luma_batch **out_batch)
{
    const struct prog *prog = x->prog;
    struct luma_batch *batch = NULL;
    struct part *p = eng_part(x, 0, ctx);
    *out_batch = NULL;
    if (x->ended)
        return LUMA_OK;
    LUMA_TRY(eng_next(p, prog->root, &batch));
    if (batch == NULL) {
        x->ended = true;
        return LUMA_OK;
    }
    if (prog->out_pos == NULL) {
        *out_batch = batch;
        return LUMA_OK;
    }
    if (x->out.cols == NULL) {
        x->out.cols = LUMA_NEW_ARRAY(x->arena, struct luma_vec, prog->outs_count + 1);
        ENG_NEED(ctx, x->out.cols, "returning rows");
    }
    struct luma_vec *cols = x->out.cols;
    x->out = *batch;
    x->out.cols = cols;
    x->out.cols_count = prog->outs_count;
    for (uint32_t i = 0; i < prog->outs_count; i++)
        cols[i] = batch->cols[prog->out_pos[i]];
    *out_batch = &x->out;
    return LUMA_OK;
}

void
eng_exec_close(struct exec *x)
{
    if (x == NULL)
        return;
    if (x->opened)
        eng_close(x, x->prog->root);
    if (x->up == NULL && x->subs != NULL)
        eng_subs_close(x);
    struct pool *pool = x->pool;
    for (uint32_t i = x->parts_max; i-- > 0;) {
        struct part *p = x->parts[i];
        if (p == NULL)
            continue;
        for (uint32_t o = 0; o < 2 * (x->prog->ops_count + 1); o++)
            if (p->batch[o] != NULL)
                arena_give(i == 0 ? pool : NULL, p->batch[o]);
        if (i > 0)
            arena_give(NULL, p->arena);
    }
    arena_give(pool, x->arena);
}

struct part *
eng_part(struct exec *x, uint32_t index, struct luma_ctx *ctx)
{
    struct part *p = x->parts[index];
    p->ctx = ctx;
    return p;
}

/* Empties the arena of a place in part.batch, or takes one. */
static luma_rc
emptied_arena(struct part *p, const struct op *op, uint32_t place, struct luma_arena **out)
{
    struct luma_arena *arena = p->batch[place];
    if (arena != NULL) {
        arena->reset(arena);
    } else {
        arena = arena_take(p->index == 0 ? p->x->pool : NULL, p->x->budget);
        ENG_NEED(p->ctx, arena, op->cls->name);
        p->batch[place] = arena;
    }
    *out = arena;
    return LUMA_OK;
}

luma_rc
eng_batch_arena(struct part *p, const struct op *op, struct luma_arena **out)
{
    return emptied_arena(p, op, op->id, out);
}

luma_rc
eng_step_arena(struct part *p, const struct op *op, struct luma_arena **out)
{
    return emptied_arena(p, op, p->x->prog->ops_count + 1 + op->id, out);
}

static void *
state_of(struct luma_arena *arena, struct op_mem *mem, size_t bytes)
{
    if (mem->p != NULL && mem->bytes >= bytes) {
        memset(mem->p, 0, bytes);
        return mem->p;
    }
    mem->p = luma_arena_zalloc(arena, bytes);
    mem->bytes = bytes;
    return mem->p;
}

luma_rc
eng_part_state(struct part *p, const struct op *op, size_t bytes, void **out)
{
    if (p->op_state[op->id] == NULL) {
        p->op_state[op->id] = state_of(p->arena, &p->op_mem[op->id], bytes);
        ENG_NEED(p->ctx, p->op_state[op->id], op->cls->name);
    }
    *out = p->op_state[op->id];
    return LUMA_OK;
}

luma_rc
eng_shared_state(struct exec *x, struct luma_ctx *ctx, const struct op *op, size_t bytes,
                 void **out)
{
    *out = state_of(x->arena, &x->op_mem[op->id], bytes);
    ENG_NEED(ctx, *out, op->cls->name);
    x->op_state[op->id] = *out;
    return LUMA_OK;
}

luma_rc
eng_batch_view(struct part *p, const struct op *op, struct batch_view *view,
               const struct luma_batch *in, const uint32_t *pos, const uint32_t *of,
               struct luma_batch **out)
{
    if (view->cols == NULL) {
        view->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->cols_count + 1);
        ENG_NEED(p->ctx, view->cols, op->cls->name);
    }
    view->batch = *in;
    for (uint32_t i = 0; i < op->cols_count; i++) {
        view->cols[i] = in->cols[of == NULL ? pos[i] : of[pos[i]]];
        view->cols[i].type = op->types[i];
    }
    view->batch.cols = view->cols;
    view->batch.cols_count = op->cols_count;
    *out = &view->batch;
    return LUMA_OK;
}

/* Whoever ran out of memory without a word: it was in this operator. */
static luma_rc
named(struct luma_ctx *ctx, const struct op *op, luma_rc rc)
{
    bool silent = rc == LUMA_E_NOMEM && ctx->error->code == LUMA_OK;
    return LUMA_UNLIKELY(silent) ? ENG_NOMEM(ctx, op->cls->name) : rc;
}

luma_rc
eng_next(struct part *p, const struct op *op, struct luma_batch **out)
{
    *out = NULL;
    if (LUMA_LIKELY(p->stat == NULL))
        return named(p->ctx, op, op->cls->next(p, op, out));
    struct op_stat *stat = &p->stat[op->id];
    uint64_t start = eng.sched->now_ns();
    luma_rc rc = op->cls->next(p, op, out);
    stat->ns += eng.sched->now_ns() - start;
    if (rc == LUMA_OK && *out != NULL) {
        stat->rows += (*out)->sel_rows;
        stat->batches++;
    }
    return named(p->ctx, op, rc);
}

luma_rc
eng_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    struct part *p = x->parts[0];
    if (LUMA_LIKELY(p->stat == NULL))
        return named(ctx, op, op->cls->open(x, ctx, op));
    uint64_t start = eng.sched->now_ns();
    luma_rc rc = op->cls->open(x, ctx, op);
    p->stat[op->id].ns += eng.sched->now_ns() - start;
    p->stat[op->id].loops++;
    return named(ctx, op, rc);
}

static bool
has_state(const struct exec *x, const struct op *op)
{
    bool has = x->op_state[op->id] != NULL;
    for (uint32_t i = 0; !has && i < x->parts_max; i++)
        has = x->parts[i] != NULL && x->parts[i]->op_state[op->id] != NULL;
    return has;
}

void
eng_close(struct exec *x, const struct op *op)
{
    if (op == NULL)
        return;
    if (op->cls->close != NULL && has_state(x, op))
        op->cls->close(x, op);
    x->op_state[op->id] = NULL;
    for (uint32_t i = 0; i < x->parts_max; i++)
        if (x->parts[i] != NULL)
            x->parts[i]->op_state[op->id] = NULL;
    eng_close(x, op->child[0]);
    eng_close(x, op->child[1]);
}

void
eng_release(struct exec *x, const struct op *op)
{
    if (op == NULL)
        return;
    if (op->cls->release != NULL && x->op_state[op->id] != NULL)
        op->cls->release(x, op);
    eng_release(x, op->child[0]);
    eng_release(x, op->child[1]);
}

uint32_t
eng_parts(struct exec *x, const struct op *op)
{
    return op->cls->parts == NULL ? 1 : op->cls->parts(x, op);
}

void
eng_start(struct exec *x, const struct op *op, uint32_t parts)
{
    if (op->cls->start != NULL)
        op->cls->start(x, op, parts);
}

uint32_t
eng_parts_for(struct exec *x, const struct op *child)
{
    uint32_t parts = eng_parts(x, child);
    parts = parts < x->parts_max ? parts : x->parts_max;
    return parts == 0 ? 1 : parts;
}

struct run {
    struct exec *x;
    const struct op *child;
    eng_sink_fn fn;
    eng_done_fn done;
    void *arg;
};

static luma_rc
run_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct run *run = arg;
    struct part *p = eng_part(run->x, index, ctx);
    for (;;) {
        struct luma_batch *batch;
        LUMA_TRY(eng_next(p, run->child, &batch));
        if (batch == NULL)
            break;
        LUMA_TRY(run->fn(p, run->arg, batch));
    }
    return run->done == NULL ? LUMA_OK : run->done(p, run->arg);
}

luma_rc
eng_parts_make(struct exec *x, struct luma_ctx *ctx, uint32_t parts)
{
    for (uint32_t i = 1; i < parts; i++) {
        if (x->parts[i] != NULL)
            continue;
        struct luma_arena *arena = eng.mem->arena_create(x->budget, ARENA_BLOCK_BYTES);
        ENG_NEED(ctx, arena, "starting the query");
        luma_rc rc = part_init(x, i, ctx, arena);
        if (rc != LUMA_OK) {
            eng.mem->arena_destroy(arena);
            return rc;
        }
    }
    return LUMA_OK;
}

luma_rc
eng_run(struct exec *x, struct luma_ctx *ctx, const struct op *child, uint32_t parts,
        eng_sink_fn fn, eng_done_fn done, void *arg)
{
    struct run run = {x, child, fn, done, arg};
    eng_start(x, child, parts);
    if (parts <= 1)
        return run_part(&run, 0, ctx);
    LUMA_TRY(eng_parts_make(x, ctx, parts));
    uint32_t made = x->parts_made;
    x->parts_made = parts; /* programs begun by a part stay in it */
    luma_rc rc = eng.sched->parallel(ctx, parts, run_part, &run);
    x->parts_made = made;
    eng_part(x, 0, ctx);
    return rc;
}
