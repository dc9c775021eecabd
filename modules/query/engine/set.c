/* set.c - one call of a function that returns rows. */
#include "set.h"

#include "phys.h"

#define CALL_BYTES (64u << 10) /* state and rows of most functions */

void
eng_set_build(struct comp *c, const struct ex *ex, struct set_call *out)
{
    struct luma_type types[LUMA_FUNC_ARGS_MAX];
    const struct luma_value *consts[LUMA_FUNC_ARGS_MAX];
    if (ex->kind != LUMA_EXPR_SET || ex->func == NULL || ex->func->set == NULL)
        eng_pp_throw(c->pp, LUMA_FAIL(c->pp->ctx, LUMA_E_INTERNAL, "plan: not a set function"));
    out->func = ex->func;
    out->type = ex->type;
    out->args_count = ex->args_count;
    out->args = eng_compile_all(c, ex->args, ex->args_count);
    for (uint32_t i = 0; i < ex->args_count && i < LUMA_FUNC_ARGS_MAX; i++) {
        types[i] = ex->args[i]->type;
        consts[i] = ex->args[i]->kind == LUMA_EXPR_CONST ? &ex->args[i]->value : NULL;
    }
    eng_bind(c->pp, ex->func, types, consts, ex->args_count, ex->type, &out->bound);
}

luma_rc
eng_set_memory(struct part *p, struct luma_arena **inout)
{
    struct luma_arena *arena = *inout;
    if (arena != NULL) {
        arena->reset(arena);
        return LUMA_OK;
    }
    *inout = eng.mem->arena_create(p->x->budget, CALL_BYTES);
    ENG_NEED(p->ctx, *inout, "a set function");
    return LUMA_OK;
}

luma_rc
eng_set_begin(struct xenv *e, const struct set_call *sc, const struct luma_value *args,
              struct set_run *run)
{
    memset(run, 0, sizeof(*run));
    run->call = (struct luma_func_call){.ctx = e->ctx,
                                        .arena = e->arena,
                                        .func = sc->func,
                                        .format = e->x->format,
                                        .bound = sc->bound,
                                        .result = sc->type};
    for (uint32_t i = 0; i < sc->args_count; i++)
        if (args[i].is_null && (sc->func->flags & LUMA_FUNC_STRICT)) {
            run->ended = true;
            return LUMA_OK;
        }
    LUMA_TRY(sc->func->set->open(&run->call, args, sc->args_count, &run->state));
    run->open = true;
    return LUMA_OK;
}

void
eng_set_end(struct set_run *run)
{
    if (run->open && run->call.func->set->close != NULL)
        run->call.func->set->close(run->state);
    run->open = false;
}

luma_rc
eng_set_next(struct luma_ctx *ctx, struct luma_arena *arena, struct set_run *run)
{
    if (run->ended) {
        run->batch.rows = run->batch.sel_rows = 0;
        return LUMA_OK;
    }
    run->call.ctx = ctx;
    run->call.arena = arena;
    memset(&run->batch, 0, sizeof(run->batch));
    LUMA_TRY(run->call.func->set->next(&run->call, run->state, &run->batch));
    if (run->batch.sel == NULL)
        run->batch.sel_rows = run->batch.rows;
    if (run->batch.rows == 0) {
        run->ended = true;
        eng_set_end(run);
    }
    return LUMA_OK;
}
