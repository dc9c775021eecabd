/*
 * event.c - events, the mutex that parks, sleeping, cancelling, yielding.
 *
 * An event is a lock, a count of kept signals and a list of waiters, which lie on their own stacks.
 * A waiter always takes the event's lock before it leaves, so that a signaller is done with both
 * when they go out of scope.
 */
#include "sched/sched_priv.h"

struct waiter {
    struct waiter *next, *prev;
    struct luma_task *task; /* NULL: a plain thread, which sleeps on `futex` */
    _Atomic uint32_t futex; /* 1: look again */
    bool fired;             /* under the event's lock */
};

struct event_impl {
    struct lki_spin lock;
    uint32_t kept; /* signals nobody waited for; of a mutex: 1 while it is held */
    struct waiter *head, *tail;
    uint64_t unused;
};
LUMA_STATIC_ASSERT(sizeof(struct event_impl) == sizeof(struct luma_event), "luma_event is opaque");

static struct event_impl *
event_of(struct luma_event *event)
{
    return (struct event_impl *)event;
}

static void
waiter_push(struct event_impl *ev, struct waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = ev->tail;
    if (ev->tail != NULL)
        ev->tail->next = waiter;
    else
        ev->head = waiter;
    ev->tail = waiter;
}

static void
waiter_remove(struct event_impl *ev, struct waiter *waiter)
{
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        ev->head = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    else
        ev->tail = waiter->prev;
}

/* --- cancelling --- */

static luma_rc
cancel_report(struct luma_ctx *ctx, luma_rc why)
{
    switch (why) {
    case LUMA_E_CANCELED:
        return LUMA_FAIL(ctx, why, "canceling statement due to user request");
    case LUMA_E_TIMEOUT:
        return LUMA_FAIL(ctx, why, "canceling statement due to statement timeout");
    case LUMA_E_SHUTDOWN:
        return LUMA_FAIL(ctx, why, "terminating connection due to administrator command");
    default:
        return LUMA_FAIL(ctx, why, "%s", lk_error_info(why)->text);
    }
}

static luma_rc
cancel_why(const struct luma_cancel *cancel)
{
    for (; cancel != NULL; cancel = cancel->up) {
        uint32_t flag = __atomic_load_n(&cancel->flag, __ATOMIC_SEQ_CST);
        if (LUMA_UNLIKELY(flag != 0))
            return -(luma_rc)(flag - 1);
    }
    return LUMA_OK;
}

luma_rc
lki_cancel_check(struct luma_ctx *ctx)
{
    if (ctx == NULL || ctx->cancel == NULL)
        return LUMA_OK;
    luma_rc why = cancel_why(ctx->cancel);
    if (LUMA_UNLIKELY(why != LUMA_OK))
        return cancel_report(ctx, why);
    uint64_t deadline = ctx->cancel->deadline_ns;
    if (LUMA_UNLIKELY(deadline != 0) && lki_now_ns() >= deadline)
        return cancel_report(ctx, LUMA_E_TIMEOUT);
    return LUMA_OK;
}

void
lki_cancel(struct luma_cancel *cancel, luma_rc why)
{
    uint32_t none = 0;
    /* The first reason stays. seq_cst: pairs with the check of a waiter that has set waits_under.
     */
    __atomic_compare_exchange_n(&cancel->flag, &none, 1 + (uint32_t)-why, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    lki_cancel_wake(cancel);
}

/* --- waiting --- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a | b;
    return LK_MIN(a, b);
}

/* Parks the task or the thread until woken, the deadline or a cancel; may return early. */
static void
waiter_park(struct waiter *self, struct luma_cancel *cancel, uint64_t deadline_ns)
{
    if (cancel != NULL)
        deadline_ns = earlier(deadline_ns, cancel->deadline_ns);
    if (self->task == NULL) {
        /* A thread hears of a cancel late at worst: it looks every 50 ms. */
        uint64_t look_ns = cancel == NULL ? 0 : lki_now_ns() + 50000000;
        lki_futex_wait(&self->futex, 0, earlier(deadline_ns, look_ns));
        return;
    }
    atomic_store(&self->task->waits_under, cancel);
    if (cancel == NULL || cancel_why(cancel) == LUMA_OK)
        lki_task_park_until(deadline_ns);
    atomic_store_explicit(&self->task->waits_under, NULL, memory_order_relaxed);
}

/* With ev locked and the waiter pushed; returns with the lock held and the waiter gone. */
static luma_rc
waiter_wait(struct luma_ctx *ctx, struct event_impl *ev, struct waiter *self, uint64_t deadline_ns)
{
    struct luma_cancel *cancel = ctx == NULL ? NULL : ctx->cancel;
    for (;;) {
        lki_spin_unlock(&ev->lock);
        waiter_park(self, cancel, deadline_ns);
        luma_rc rc = lki_cancel_check(ctx);
        if (rc == LUMA_OK && deadline_ns != 0 && lki_now_ns() >= deadline_ns)
            rc = LUMA_E_TIMEOUT;
        lki_spin_lock(&ev->lock);
        if (self->fired)
            return LUMA_OK;
        if (rc != LUMA_OK) {
            waiter_remove(ev, self);
            return rc;
        }
    }
}

/* Takes the waiter off; ev is locked. */
static struct waiter *
waiter_fire(struct event_impl *ev)
{
    struct waiter *waiter = ev->head;
    waiter_remove(ev, waiter);
    waiter->fired = true;
    return waiter;
}

/* The waiter's memory is safe until ev is unlocked, its task record for ever. */
static void
waiter_wake(struct waiter *waiter)
{
    if (waiter->task != NULL) {
        lki_task_unpark(waiter->task);
    } else {
        atomic_store_explicit(&waiter->futex, 1, memory_order_release);
        lki_futex_wake(&waiter->futex, 1);
    }
}

luma_rc
lki_event_wait(struct luma_ctx *ctx, struct luma_event *event, uint64_t deadline_ns)
{
    struct event_impl *ev = event_of(event);
    lki_spin_lock(&ev->lock);
    if (ev->kept > 0) {
        ev->kept--;
        lki_spin_unlock(&ev->lock);
        return LUMA_OK;
    }
    struct waiter self = {.task = lki_current()};
    waiter_push(ev, &self);
    luma_rc rc = waiter_wait(ctx, ev, &self, deadline_ns);
    lki_spin_unlock(&ev->lock);
    return rc;
}

void
lki_event_signal(struct luma_event *event)
{
    struct event_impl *ev = event_of(event);
    struct luma_task *task = NULL;
    lki_spin_lock(&ev->lock);
    if (ev->head == NULL) {
        ev->kept++;
    } else {
        struct waiter *waiter = waiter_fire(ev);
        task = waiter->task;
        if (task == NULL)
            waiter_wake(waiter);
    }
    lki_spin_unlock(&ev->lock);
    if (task != NULL)
        lki_task_unpark(task); /* its record is safe for ever, its waiter no longer is */
}

void
lki_event_broadcast(struct luma_event *event)
{
    struct event_impl *ev = event_of(event);
    lki_spin_lock(&ev->lock);
    while (ev->head != NULL)
        waiter_wake(waiter_fire(ev));
    lki_spin_unlock(&ev->lock);
}

luma_rc
lki_mutex_lock(struct luma_ctx *ctx, struct luma_event *mutex)
{
    struct event_impl *ev = event_of(mutex);
    lki_spin_lock(&ev->lock);
    if (ev->kept == 0) {
        ev->kept = 1;
        lki_spin_unlock(&ev->lock);
        return LUMA_OK;
    }
    struct waiter self = {.task = lki_current()};
    waiter_push(ev, &self);
    luma_rc rc = waiter_wait(ctx, ev, &self, 0); /* fired: it was handed to us */
    lki_spin_unlock(&ev->lock);
    return rc;
}

void
lki_mutex_unlock(struct luma_event *mutex)
{
    struct event_impl *ev = event_of(mutex);
    lki_spin_lock(&ev->lock);
    LK_ASSERT(ev->kept == 1);
    if (ev->head != NULL)
        waiter_wake(waiter_fire(ev));
    else
        ev->kept = 0;
    lki_spin_unlock(&ev->lock);
}

luma_rc
lki_sleep(struct luma_ctx *ctx, uint64_t nanoseconds)
{
    struct luma_event never = {{0}};
    luma_rc rc = lki_event_wait(ctx, &never, lki_now_ns() + nanoseconds);
    /* Its own deadline is what a sleep waits for; a cancel's was reported. */
    return rc == LUMA_E_TIMEOUT && lki_cancel_check(ctx) == LUMA_OK ? LUMA_OK : rc;
}

/* --- fairness --- */

static void
yield_from_worker(struct luma_task *task)
{
    /* Nobody waits: go on with a new slice. */
    if (lki_worker_has_work())
        lki_task_switch_out(LKI_AFTER_QUEUE);
    else
        task->slice_end_ns = 0;
}

luma_rc
lki_yield(struct luma_ctx *ctx)
{
    LUMA_TRY(lki_cancel_check(ctx));
    struct luma_task *task = lki_current();
    if (task == NULL)
        return LUMA_OK;
    uint64_t now = lki_now_ns();
    if (task->slice_end_ns == 0) {
        task->slice_end_ns = now + (uint64_t)lki_sched.conf.slice;
        return LUMA_OK;
    }
    /* Background work makes way at once, the others at the end of their slice. */
    if (now < task->slice_end_ns && task->prio != LUMA_PRIO_BACKGROUND)
        return LUMA_OK;
    if (task->on_loop) {
        task->on_loop = false;
        lki_task_switch_out(LKI_AFTER_QUEUE);
    } else {
        yield_from_worker(task);
    }
    return lki_cancel_check(ctx);
}

void
lk_sched_to_worker(void)
{
    struct luma_task *task = lki_current();
    if (task == NULL || !task->on_loop)
        return;
    task->on_loop = false;
    lki_task_switch_out(LKI_AFTER_QUEUE);
}

void
lk_sched_to_loop(void)
{
    struct luma_task *task = lki_current();
    if (task == NULL || task->on_loop || task->loop == NULL)
        return;
    task->on_loop = true;
    lki_task_switch_out(LKI_AFTER_QUEUE);
}
