/*
 * parallel.c - morsels: the parts of one operator on all workers.
 *
 * The caller takes part itself, with as many helper tasks as there are other workers; each takes
 * the next part until none is left. A part has an error and an arena of its own.
 */
#include "sched/sched_priv.h"

struct job {
    luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx);
    void *arg;
    struct luma_ctx *ctx;      /* the caller's; read by helpers, written by the caller only */
    struct luma_cancel cancel; /* of all parts */
    uint32_t parts;
    _Atomic uint32_t next;
    struct luma_event helper_done;
    struct lki_spin lock;
    struct lk_ctx first; /* the error that came first; its strings lie in `arena` */
    struct luma_arena *arena;
};

static void
job_fail(struct job *job, const struct luma_error *error)
{
    lki_spin_lock(&job->lock);
    if (job->first.error.code == LUMA_OK) {
        if (job->arena == NULL)
            job->arena = lk_arena_create(NULL, 0);
        job->first.ctx.arena = job->arena;
        lk_ctx_merge(&job->first.ctx, error);
    }
    lki_spin_unlock(&job->lock);
    /* The reason itself is in `first`; the others only have to stop. */
    lki_cancel(&job->cancel, LUMA_E_CANCELED);
}

static void
job_part(struct job *job, uint32_t part, struct luma_arena *arena)
{
    struct lk_ctx own;
    lk_ctx_init(&own, arena);
    own.ctx.session = job->ctx == NULL ? NULL : job->ctx->session;
    own.ctx.cancel = &job->cancel;
    luma_rc rc = lki_cancel_check(&own.ctx);
    if (rc == LUMA_OK)
        rc = job->fn(job->arg, part, &own.ctx);
    if (rc != LUMA_OK) {
        lk_ctx_ensure(&own.ctx, rc);
        job_fail(job, &own.error);
    }
}

static void
job_parts(struct job *job)
{
    struct luma_arena *arena = NULL;
    for (;;) {
        uint32_t part = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (part >= job->parts)
            break;
        if (arena == NULL && (arena = lk_arena_create(NULL, 0)) == NULL) {
            struct lk_ctx none;
            lk_ctx_init(&none, NULL);
            lk_ctx_ensure(&none.ctx, LUMA_E_NOMEM);
            job_fail(job, &none.error);
            continue;
        }
        job_part(job, part, arena);
        arena->reset(arena);
    }
    lk_arena_destroy(arena);
}

static void
job_helper(void *arg)
{
    struct job *job = arg;
    job_parts(job);
    lki_event_signal(&job->helper_done); /* the last touch */
}

/* Waits for the helpers; a cancel of the caller's request becomes one of the parts. */
static luma_rc
job_join(struct job *job, uint32_t helpers)
{
    struct luma_ctx *ctx = job->ctx;
    luma_rc canceled = LUMA_OK;
    while (helpers > 0) {
        luma_rc rc = lki_event_wait(ctx, &job->helper_done, 0);
        if (rc == LUMA_OK) {
            helpers--;
            continue;
        }
        lki_cancel(&job->cancel, rc);
        canceled = rc;
        ctx = NULL; /* once is enough; they still have to come back */
    }
    return canceled;
}

luma_rc
lki_parallel(struct luma_ctx *ctx, uint32_t parts,
             luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg)
{
    if (parts == 0)
        return LUMA_OK;
    struct job job = {.fn = fn, .arg = arg, .ctx = ctx, .parts = parts};
    lk_ctx_init(&job.first, NULL);
    if (ctx != NULL && ctx->cancel != NULL) {
        LUMA_TRY(lki_cancel_check(ctx));
        job.cancel.deadline_ns = ctx->cancel->deadline_ns;
        job.cancel.up = ctx->cancel; /* while the caller is busy with a part of its own */
    }
    uint32_t helpers = 0;
    if (parts > 1 && lk_sched_running()) { /* a plain thread may have helpers, too */
        lk_sched_to_worker();
        uint32_t wanted = LK_MIN(parts, lki_sched.workers_count) - 1;
        const struct luma_task *task = lki_current();
        enum luma_task_prio prio = task != NULL && task->prio == LUMA_PRIO_BACKGROUND
                                       ? LUMA_PRIO_BACKGROUND
                                       : LUMA_PRIO_NORMAL;
        while (helpers < wanted &&
               lk_sched_host.spawn("part", prio, LUMA_STACK_NORMAL, job_helper, &job) == LUMA_OK)
            helpers++; /* with fewer it only takes longer */
    }
    job_parts(&job);
    luma_rc canceled = job_join(&job, helpers);
    luma_rc rc = canceled != LUMA_OK ? canceled : job.first.error.code;
    if (rc != LUMA_OK && ctx != NULL)
        lk_ctx_merge(ctx, &job.first.error);
    lk_arena_destroy(job.arena);
    return rc;
}
