/*
 * storage/wait.c - events without a scheduler: one mutex and one condition for all of them.
 */
#include "storage/wait.h"

#include "base/base.h"
#include "base/lock.h"

static struct lk_mutex plain_lock = LK_MUTEX_INIT(LK_LOCK_STORE_WAIT);
static struct lk_cond plain_cond = {PTHREAD_COND_INITIALIZER};

luma_rc
lk_wait_event(const struct luma_host_sched *sched, struct luma_ctx *ctx, struct luma_event *event,
              uint64_t deadline_ns)
{
    if (sched != NULL)
        return sched->wait(ctx, event, deadline_ns);
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&plain_lock);
    uint64_t *signals = &event->opaque[0];
    while (*signals == 0 && rc == LUMA_OK) {
        if (deadline_ns == 0)
            lk_cond_wait(&plain_cond, &plain_lock);
        else if (!lk_cond_wait_until(&plain_cond, &plain_lock, deadline_ns) && *signals == 0)
            rc = LUMA_E_TIMEOUT;
    }
    if (rc == LUMA_OK)
        --*signals;
    lk_mutex_unlock(&plain_lock);
    return rc;
}

void
lk_wait_signal(const struct luma_host_sched *sched, struct luma_event *event)
{
    if (sched != NULL) {
        sched->signal(event);
        return;
    }
    lk_mutex_lock(&plain_lock);
    event->opaque[0]++;
    lk_cond_broadcast(&plain_cond);
    lk_mutex_unlock(&plain_lock);
}

void
lk_wait_surely(const struct luma_host_sched *sched, struct luma_event *event)
{
    for (;;) {
        struct lk_ctx calm; /* no cancel token: the outcome must be known */
        lk_ctx_init(&calm, NULL);
        if (lk_wait_event(sched, &calm.ctx, event, 0) == LUMA_OK)
            return;
    }
}

void
lk_wait_lock(const struct luma_host_sched *sched, struct luma_event *mutex)
{
    if (sched != NULL) {
        struct lk_ctx calm;
        do
            lk_ctx_init(&calm, NULL);
        while (sched->mutex_lock(&calm.ctx, mutex) != LUMA_OK);
        return;
    }
    lk_mutex_lock(&plain_lock);
    while (mutex->opaque[1] != 0)
        lk_cond_wait(&plain_cond, &plain_lock);
    mutex->opaque[1] = 1;
    lk_mutex_unlock(&plain_lock);
}

void
lk_wait_unlock(const struct luma_host_sched *sched, struct luma_event *mutex)
{
    if (sched != NULL) {
        sched->mutex_unlock(mutex);
        return;
    }
    lk_mutex_lock(&plain_lock);
    mutex->opaque[1] = 0;
    lk_cond_broadcast(&plain_cond);
    lk_mutex_unlock(&plain_lock);
}
