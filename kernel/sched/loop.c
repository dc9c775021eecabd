/*
 * loop.c - event loop threads: sockets and timers through libevent, and the tasks that belong to
 * them.
 *
 * libevent is used from the loop's own thread only (bases are made without locks): whoever wants
 * something of a loop sends it a task. One round: take what other threads sent, run what is
 * runnable, fire timers, ask for events (without waiting while there is work).
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sched/sched_priv.h"

static void
loop_woken(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n; /* the flag is what counts */
}

static void
loop_timer_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct lki_loop *loop = arg;
    loop->armed_ns = UINT64_MAX;
}

luma_rc
lki_loop_init(struct lki_loop *loop, uint32_t index)
{
    memset(loop, 0, sizeof(*loop));
    loop->wake_fd = -1;
    loop->thread.loop = loop;
    loop->thread.index = index;
    loop->armed_ns = UINT64_MAX;
    atomic_store(&loop->timers.first_ns, UINT64_MAX);
    struct event_config *config = event_config_new();
    if (config == NULL)
        return LUMA_E_NOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        return LUMA_E_IO;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return lk_error_from_errno(errno);
    loop->wake_event =
        event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST | EV_ET, loop_woken, loop);
    loop->timer_event = event_new(loop->base, -1, 0, loop_timer_fired, loop);
    if (loop->wake_event == NULL || loop->timer_event == NULL ||
        event_add(loop->wake_event, NULL) != 0)
        return LUMA_E_NOMEM;
    return LUMA_OK;
}

void
lki_loop_fini(struct lki_loop *loop)
{
    if (loop->wake_event != NULL)
        event_free(loop->wake_event);
    if (loop->timer_event != NULL)
        event_free(loop->timer_event);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    lki_timers_fini(&loop->timers);
}

void
lki_loop_wake(struct lki_loop *loop)
{
    /* Pairs with loop_sleep: either it sees what we left for it, or we see it asleep. */
    if (atomic_load(&loop->sleeping) == 0 || atomic_exchange(&loop->sleeping, 0) == 0)
        return;
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));
    (void)n; /* EAGAIN: it is being woken already */
}

void
lki_loop_post(struct lki_loop *loop, struct luma_task *task)
{
    struct lki_thread *thread = lki_self();
    if (thread != NULL && thread->loop == loop) {
        lki_queue_push(&loop->local, task);
        return;
    }
    struct luma_task *head = atomic_load_explicit(&loop->inbound, memory_order_relaxed);
    do
        task->next = head;
    while (!atomic_compare_exchange_weak(&loop->inbound, &head, task));
    lki_loop_wake(loop);
}

static void
loop_take_inbound(struct lki_loop *loop)
{
    if (atomic_load_explicit(&loop->inbound, memory_order_relaxed) == NULL)
        return;
    struct luma_task *newest = atomic_exchange_explicit(&loop->inbound, NULL, memory_order_acquire);
    struct luma_task *oldest = NULL;
    while (newest != NULL) { /* turn it round: first come, first served */
        struct luma_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct luma_task *next = oldest->next;
        lki_queue_push(&loop->local, oldest);
        oldest = next;
    }
}

/* Runs each task that is runnable now once; those they wake wait for the next round, so that
 * events are looked at in between. */
static void
loop_run_tasks(struct lki_loop *loop)
{
    for (uint32_t n = loop->local.count; n > 0; n--)
        lki_thread_run(&loop->thread, lki_queue_pop(&loop->local));
}

static void
loop_arm_timer(struct lki_loop *loop)
{
    uint64_t first = atomic_load(&loop->timers.first_ns);
    if (first >= loop->armed_ns)
        return; /* fires earlier anyway, or there is none */
    uint64_t now = lki_now_ns();
    uint64_t us = first <= now ? 0 : (first - now + 999) / 1000;
    struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    event_del(loop->timer_event);
    if (event_add(loop->timer_event, &tv) == 0)
        loop->armed_ns = first;
}

static bool
loop_idle(const struct lki_loop *loop)
{
    return loop->local.count == 0 &&
           atomic_load_explicit(&loop->inbound, memory_order_relaxed) == NULL;
}

/* A busy loop looks around for a little while: the next request often comes sooner than a sleeping
 * thread would wake. Not while a worker wants the core. */
static bool
loop_spin(struct lki_loop *loop)
{
    uint64_t spin_ns = (uint64_t)lki_sched.conf.spin;
    if (spin_ns == 0)
        return false;
    uint64_t end_ns = lki_now_ns() + spin_ns;
    do {
        event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (!loop_idle(loop))
            return true;
    } while (lki_now_ns() < end_ns && !lki_worker_has_work());
    return false;
}

static void
loop_sleep(struct lki_loop *loop, bool was_busy)
{
    if (was_busy && loop_spin(loop))
        return;
    atomic_store(&loop->sleeping, 1);
    if (atomic_load(&loop->inbound) == NULL &&
        !atomic_load_explicit(&lki_sched.stopping, memory_order_seq_cst)) {
        loop_arm_timer(loop);
        event_base_loop(loop->base, EVLOOP_ONCE);
    }
    atomic_store_explicit(&loop->sleeping, 0, memory_order_relaxed);
}

void *
lki_loop_main(void *arg)
{
    struct lki_loop *loop = arg;
    lki_set_self(&loop->thread);
    lki_context_of_thread(&loop->thread.context);
    lki_stack_watch_thread();
    bool was_busy = false;
    for (;;) {
        loop_take_inbound(loop);
        if (loop->local.count > 0) {
            was_busy = true;
            loop_run_tasks(loop);
        }
        if (atomic_load_explicit(&loop->timers.first_ns, memory_order_relaxed) != UINT64_MAX)
            lki_timers_expire(&loop->timers, lki_now_ns());
        if (!loop_idle(loop)) {
            event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
            continue;
        }
        if (atomic_load_explicit(&lki_sched.stopping, memory_order_acquire))
            break;
        loop_sleep(loop, was_busy);
        was_busy = false;
    }
    lki_stack_unwatch_thread();
    lki_set_self(NULL);
    return NULL;
}
