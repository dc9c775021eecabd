/*
 * worker.c - threads for morsels, long statements and background work.
 *
 * Each worker has a queue per priority and takes from the others' when its own are empty. Higher
 * priorities go first; now and then one round asks the lowest first, so that a busy server still
 * writes its segments.
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sched/sched_priv.h"

#define BACKGROUND_EVERY 64

void
lki_spin_wait(struct lki_spin *lock)
{
    uint32_t tries = 0;
    do {
        while (atomic_load_explicit(&lock->word, memory_order_relaxed) != 0) {
            if (++tries < 64) {
#if defined(__x86_64__)
                __builtin_ia32_pause();
#elif defined(__aarch64__)
                __asm__ volatile("yield");
#endif
            } else {
                sched_yield(); /* its holder was preempted */
            }
        }
    } while (atomic_exchange_explicit(&lock->word, 1, memory_order_acquire) != 0);
}

void
lki_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                          .tv_nsec = (long)(deadline_ns % 1000000000u)};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                  deadline_ns == 0 ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

void
lki_futex_wake(_Atomic uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

static bool
worker_rouse(struct lki_worker *worker)
{
    uint32_t expected = 1;
    if (atomic_load(&worker->idle) != 1 ||
        !atomic_compare_exchange_strong(&worker->idle, &expected, 0))
        return false;
    lki_futex_wake(&worker->idle, 1);
    return true;
}

void
lki_worker_wake_all(void)
{
    for (uint32_t i = 0; i < lki_sched.workers_count; i++)
        worker_rouse(&lki_sched.workers[i]);
}

void
lki_worker_post(struct luma_task *task)
{
    struct lki_thread *thread = lki_self();
    uint32_t first =
        thread != NULL && thread->worker != NULL
            ? thread->index
            : atomic_fetch_add_explicit(&lki_sched.next_worker, 1, memory_order_relaxed) %
                  lki_sched.workers_count;
    struct lki_worker *worker = &lki_sched.workers[first];
    uint8_t prio = task->prio;
    lki_spin_lock(&worker->lock);
    lki_queue_push(&worker->queues[prio], task);
    lki_spin_unlock(&worker->lock);
    /* seq_cst: pairs with a worker that sets idle and then looks at `queued`. */
    atomic_fetch_add(&lki_sched.queued[prio], 1);
    if (worker_rouse(worker))
        return;
    for (uint32_t i = 1; i < lki_sched.workers_count; i++)
        if (worker_rouse(&lki_sched.workers[(first + i) % lki_sched.workers_count]))
            return;
}

static struct luma_task *
worker_take_prio(struct lki_worker *own, unsigned prio)
{
    for (uint32_t i = 0; i < lki_sched.workers_count; i++) {
        if (atomic_load_explicit(&lki_sched.queued[prio], memory_order_relaxed) == 0)
            return NULL;
        struct lki_worker *from =
            &lki_sched.workers[(own->thread.index + i) % lki_sched.workers_count];
        lki_spin_lock(&from->lock);
        struct luma_task *task = lki_queue_pop(&from->queues[prio]);
        lki_spin_unlock(&from->lock);
        if (task != NULL) {
            atomic_fetch_sub_explicit(&lki_sched.queued[prio], 1, memory_order_relaxed);
            return task;
        }
    }
    return NULL;
}

static struct luma_task *
worker_take(struct lki_worker *worker, uint32_t round)
{
    if (round % BACKGROUND_EVERY == 0) {
        struct luma_task *task = worker_take_prio(worker, LUMA_PRIO_BACKGROUND);
        if (task != NULL)
            return task;
    }
    for (unsigned prio = 0; prio < LKI_PRIO_COUNT; prio++) {
        struct luma_task *task = worker_take_prio(worker, prio);
        if (task != NULL)
            return task;
    }
    return NULL;
}

bool
lki_worker_has_work(void)
{
    for (unsigned prio = 0; prio < LKI_PRIO_COUNT; prio++)
        if (atomic_load_explicit(&lki_sched.queued[prio], memory_order_relaxed) != 0)
            return true;
    return false;
}

static bool
worker_must_stay(void)
{
    for (unsigned prio = 0; prio < LKI_PRIO_COUNT; prio++)
        if (atomic_load(&lki_sched.queued[prio]) != 0)
            return true;
    return atomic_load(&lki_sched.stopping);
}

void *
lki_worker_main(void *arg)
{
    struct lki_worker *worker = arg;
    lki_set_self(&worker->thread);
    lki_context_of_thread(&worker->thread.context);
    lki_stack_watch_thread();
    for (uint32_t round = 1;; round++) {
        struct luma_task *task = worker_take(worker, round);
        if (task != NULL) {
            lki_thread_run(&worker->thread, task);
            lk_mem_trim();
            continue;
        }
        if (atomic_load_explicit(&lki_sched.stopping, memory_order_acquire))
            break;
        atomic_store(&worker->idle, 1);
        if (worker_must_stay()) {
            atomic_store(&worker->idle, 0);
            continue;
        }
        while (atomic_load_explicit(&worker->idle, memory_order_acquire) == 1)
            lki_futex_wait(&worker->idle, 1, 0);
    }
    lki_stack_unwatch_thread();
    lki_set_self(NULL);
    return NULL;
}
