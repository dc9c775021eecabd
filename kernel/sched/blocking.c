/*
 * blocking.c - threads that may block: password hashing, name lookups.
 *
 * They are made when a call finds none idle, up to the configured number, and leave after a while
 * without work.
 */
#include "sched/sched_priv.h"

#define IDLE_NS 10000000000u /* 10 s */

struct call {
    struct call *next;
    luma_rc (*fn)(void *arg);
    void *arg;
    luma_rc rc;
    struct luma_event done;
};

static struct {
    struct lk_mutex lock;
    struct lk_cond work, gone;
    struct call *head, *tail;
    uint32_t threads, idle;
    bool stopping;
} pool = {.lock = LK_MUTEX_INIT(LK_LOCK_SCHED_BLOCKING)};

static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void
pool_init(void)
{
    lk_cond_init(&pool.work);
    lk_cond_init(&pool.gone);
}

/* Next call, or NULL when this thread should leave. Locked. */
static struct call *
pool_next(void)
{
    pool.idle++;
    uint64_t until_ns = lki_now_ns() + IDLE_NS;
    while (pool.head == NULL && !pool.stopping &&
           lk_cond_wait_until(&pool.work, &pool.lock, until_ns))
        ;
    pool.idle--;
    struct call *call = pool.head;
    if (call != NULL) {
        pool.head = call->next;
        if (pool.head == NULL)
            pool.tail = NULL;
    }
    return call;
}

static void *
pool_thread(void *arg)
{
    (void)arg;
    lk_mutex_lock(&pool.lock);
    for (;;) {
        struct call *call = pool_next();
        if (call == NULL)
            break;
        lk_mutex_unlock(&pool.lock);
        call->rc = call->fn(call->arg);
        lki_event_signal(&call->done); /* the last touch */
        lk_mutex_lock(&pool.lock);
    }
    pool.threads--;
    lk_cond_broadcast(&pool.gone);
    lk_mutex_unlock(&pool.lock);
    return NULL;
}

/* Locked. False: there is no thread at all that could run the call. */
static bool
pool_grow(void)
{
    if (pool.idle > 0 || pool.threads >= (uint32_t)lki_sched.conf.blocking)
        return pool.threads > 0;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    if (pthread_create(&thread, &attr, pool_thread, NULL) == 0)
        pool.threads++;
    pthread_attr_destroy(&attr);
    return pool.threads > 0;
}

luma_rc
lki_blocking(struct luma_ctx *ctx, luma_rc (*fn)(void *arg), void *arg)
{
    if (lki_current() == NULL)
        return fn(arg);
    LUMA_TRY(lki_cancel_check(ctx));
    pthread_once(&pool_once, pool_init);
    struct call call = {.fn = fn, .arg = arg};
    lk_mutex_lock(&pool.lock);
    bool queued = !pool.stopping && pool_grow();
    if (queued) {
        if (pool.tail != NULL)
            pool.tail->next = &call;
        else
            pool.head = &call;
        pool.tail = &call;
        lk_cond_signal(&pool.work);
    }
    lk_mutex_unlock(&pool.lock);
    if (!queued) { /* no thread to be had: a worker does it */
        lk_sched_to_worker();
        return fn(arg);
    }
    /* Not cancellable: fn uses arg until it returns. */
    luma_rc rc = lki_event_wait(NULL, &call.done, 0);
    return rc == LUMA_OK ? call.rc : rc;
}

void
lki_blocking_stop(void)
{
    pthread_once(&pool_once, pool_init);
    lk_mutex_lock(&pool.lock);
    pool.stopping = true;
    lk_cond_broadcast(&pool.work);
    while (pool.threads > 0)
        lk_cond_wait(&pool.gone, &pool.lock);
    pool.stopping = false;
    lk_mutex_unlock(&pool.lock);
}
