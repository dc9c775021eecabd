/*
 * task.c - tasks: making, parking, waking. sched_priv.h has the life of a task.
 */
#include <stdlib.h>

#include "sched/sched_priv.h"

#define CHUNK_TASKS 64
#define CHUNKS_MAX  65536

/* Records are made in chunks and never given back: see sched_priv.h. */
struct chunk {
    struct luma_task tasks[CHUNK_TASKS];
};

static struct {
    struct lki_spin lock;
    struct luma_task *free;
    _Atomic uint32_t chunks_count;
    _Atomic(struct chunk *) chunks[CHUNKS_MAX];
} pool;

static _Thread_local struct lki_thread *self_thread;

__attribute__((noinline)) struct lki_thread *
lki_self(void)
{
    __asm__ volatile("" ::: "memory");
    return self_thread;
}

__attribute__((noinline)) void
lki_set_self(struct lki_thread *thread)
{
    self_thread = thread;
}

struct luma_task *
lki_current(void)
{
    struct lki_thread *thread = lki_self();
    return thread == NULL ? NULL : thread->current;
}

static bool
pool_grow(void)
{
    uint32_t n = atomic_load_explicit(&pool.chunks_count, memory_order_relaxed);
    if (n == CHUNKS_MAX)
        return false;
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    if (chunk == NULL)
        return false;
    for (size_t i = CHUNK_TASKS; i-- > 0;) {
        chunk->tasks[i].next = pool.free;
        pool.free = &chunk->tasks[i];
    }
    /* Pairs with the load in lki_cancel_wake. */
    atomic_store_explicit(&pool.chunks[n], chunk, memory_order_release);
    atomic_store_explicit(&pool.chunks_count, n + 1, memory_order_release);
    return true;
}

static struct luma_task *
task_take(void)
{
    lki_spin_lock(&pool.lock);
    struct luma_task *task = NULL;
    if (pool.free != NULL || pool_grow()) {
        task = pool.free;
        pool.free = task->next;
    }
    lki_spin_unlock(&pool.lock);
    return task;
}

static void
task_give(struct luma_task *task)
{
    lki_spin_lock(&pool.lock);
    task->next = pool.free;
    pool.free = task;
    lki_spin_unlock(&pool.lock);
}

static void
task_entry(void *arg)
{
    struct luma_task *task = arg;
    lki_context_entered(&task->context);
    task->fn(task->arg);
    lki_task_switch_out(LKI_AFTER_EXIT);
}

struct luma_task *
lki_task_create(const char *name, enum luma_task_prio prio, enum luma_stack_class class,
                luma_task_fn fn, void *arg)
{
    struct luma_task *task = task_take();
    if (task == NULL)
        return NULL;
    struct lki_stack *stack = lki_stack_take(class);
    if (stack == NULL) {
        task_give(task);
        return NULL;
    }
    task->stack = stack;
    task->fn = fn;
    task->arg = arg;
    task->name = name;
    task->prio = (uint8_t)prio;
    task->loop = NULL;
    task->on_loop = false;
    task->alive = true;
    task->slice_end_ns = 0;
    lki_context_make(&task->context, stack->bottom, stack->bytes - 64, task_entry, task);
    /* As if an unpark had happened: one that comes late from an earlier life changes nothing. */
    atomic_store_explicit(&task->state, LKI_TASK_NOTIFIED, memory_order_relaxed);
    atomic_fetch_add_explicit(&lki_sched.tasks, 1, memory_order_relaxed);
    return task;
}

static void
task_destroy(struct luma_task *task)
{
    lki_timer_disarm(task);
    lki_context_drop(&task->context);
    lki_stack_give(task->stack);
    task->stack = NULL;
    task->alive = false;
    atomic_fetch_sub_explicit(&lki_sched.tasks, 1, memory_order_relaxed);
    task_give(task);
}

void
lki_task_enqueue(struct luma_task *task)
{
    if (task->on_loop)
        lki_loop_post(task->loop, task);
    else
        lki_worker_post(task);
}

void
lki_task_unpark(struct luma_task *task)
{
    /* Whoever finds PARKED there queues it, nobody else. */
    if (atomic_exchange_explicit(&task->state, LKI_TASK_NOTIFIED, memory_order_acq_rel) ==
        LKI_TASK_PARKED)
        lki_task_enqueue(task);
}

void
lki_task_switch_out(enum lki_after after)
{
    struct lki_thread *thread = lki_self();
    struct luma_task *task = thread->current;
    LK_ASSERT_SLOW(lk_locks_held() == 0);
    thread->after = after;
    if (after == LKI_AFTER_EXIT)
        lki_context_leave(&task->context, &thread->context);
    lki_context_switch(&task->context, &thread->context);
}

void
lki_task_park(void)
{
    lki_task_switch_out(LKI_AFTER_PARK);
}

void
lki_task_park_until(uint64_t deadline_ns)
{
    if (deadline_ns != 0) {
        if (lki_now_ns() >= deadline_ns)
            return;
        lki_timer_arm(lki_current(), deadline_ns);
    }
    lki_task_park();
}

void
lki_thread_run(struct lki_thread *thread, struct luma_task *task)
{
    thread->current = task;
    task->slice_end_ns = 0;
    /* Takes the token; what the waker wrote before it is visible from here on. */
    atomic_exchange_explicit(&task->state, LKI_TASK_RUNNING, memory_order_acq_rel);
    lki_context_switch(&thread->context, &task->context);
    thread->current = NULL;

    if (thread->after == LKI_AFTER_PARK) {
        uint32_t expected = LKI_TASK_RUNNING;
        if (!atomic_compare_exchange_strong_explicit(&task->state, &expected, LKI_TASK_PARKED,
                                                     memory_order_acq_rel, memory_order_acquire))
            lki_task_enqueue(task); /* woken before it was away */
    } else if (thread->after == LKI_AFTER_QUEUE) {
        atomic_store_explicit(&task->state, LKI_TASK_NOTIFIED, memory_order_release);
        lki_task_enqueue(task);
    } else {
        task_destroy(task);
    }
}

void
lki_cancel_wake(struct luma_cancel *cancel)
{
    uint32_t chunks = atomic_load_explicit(&pool.chunks_count, memory_order_acquire);
    for (uint32_t c = 0; c < chunks; c++) {
        struct chunk *chunk = atomic_load_explicit(&pool.chunks[c], memory_order_acquire);
        for (size_t i = 0; i < CHUNK_TASKS; i++)
            if (atomic_load_explicit(&chunk->tasks[i].waits_under, memory_order_seq_cst) == cancel)
                lki_task_unpark(&chunk->tasks[i]);
    }
}

void
lki_task_pool_drain(void)
{
    /* The records stay reachable through pool.chunks; only their stacks are given back. */
    uint32_t chunks = atomic_load_explicit(&pool.chunks_count, memory_order_acquire);
    for (uint32_t c = 0; c < chunks; c++) {
        struct chunk *chunk = atomic_load_explicit(&pool.chunks[c], memory_order_acquire);
        for (size_t i = 0; i < CHUNK_TASKS; i++) {
            struct luma_task *task = &chunk->tasks[i];
            if (!task->alive)
                continue;
            lk_log_debug("sched", "task %s was still waiting at the end", task->name);
            task_destroy(task);
        }
    }
}
