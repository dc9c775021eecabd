/*
 * sched_priv.h - for the files of kernel/sched only.
 *
 * The life of a task:
 *
 *   spawn -> queue -> RUNNING -> park -> PARKED -> unpark -> queue -> RUNNING -> ... -> exit
 *
 * A task's state word is a wake token. park() switches to the thread's own stack, which then tries
 * RUNNING -> PARKED; an unpark() that came first has left NOTIFIED there, and the task goes
 * straight back into a queue. So a waker may come at any time, early ones and several ones cost
 * nothing but a spurious return of park(): every waiter looks at its own condition again. Task
 * records are never given back to the system, so that a late unpark() of a task that has ended is
 * harmless.
 */
#ifndef LK_SCHED_SCHED_PRIV_H
#define LK_SCHED_SCHED_PRIV_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/base.h"
#include "io/io.h"
#include "sched/sched.h"

#if defined(__SANITIZE_THREAD__)
#define LKI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LKI_TSAN 1
#endif
#endif
#ifndef LKI_TSAN
#define LKI_TSAN 0
#endif

struct event_base;
struct event;

uint64_t lki_now_ns(void); /* monotonic */

/* --- spin locks: a few instructions long, never held across a switch --- */

struct lki_spin {
    _Atomic uint32_t word;
};

void lki_spin_wait(struct lki_spin *lock); /* the slow half of lki_spin_lock */

static inline void
lki_spin_lock(struct lki_spin *lock)
{
    if (LUMA_UNLIKELY(atomic_exchange_explicit(&lock->word, 1, memory_order_acquire) != 0))
        lki_spin_wait(lock);
}

static inline void
lki_spin_unlock(struct lki_spin *lock)
{
    atomic_store_explicit(&lock->word, 0, memory_order_release);
}

/* --- contexts: a place on a stack that one can switch to --- */

struct lki_context {
    void *sp;
    const void *bottom; /* lowest address of the stack, for the address sanitizer */
    size_t bytes;
    void *fake; /* the address sanitizer's second stack while we are away */
    void *tsan; /* the thread sanitizer's fiber */
};

/* The calling thread's own stack as a context. */
void lki_context_of_thread(struct lki_context *context);
/* A fresh context that calls entry(arg) on the stack; entry never returns. */
void lki_context_make(struct lki_context *context, void *bottom, size_t bytes,
                      void (*entry)(void *arg), void *arg);
void lki_context_drop(struct lki_context *context); /* its stack is not used again */
void lki_context_switch(struct lki_context *from, struct lki_context *to);
_Noreturn void lki_context_leave(struct lki_context *from, struct lki_context *to);
/* First thing a fresh context does. */
void lki_context_entered(struct lki_context *context);

/* --- stacks --- */

struct lki_stack {
    struct lki_stack *next; /* in the pool */
    uint8_t *bottom;        /* lowest usable address; the guard lies below */
    size_t bytes;
    uint32_t uses;
    uint8_t class;
};

struct lki_stack *lki_stack_take(enum luma_stack_class class); /* NULL: out of memory */
void lki_stack_give(struct lki_stack *stack);
void lki_stack_pool_drain(void);
/* Makes a fault in a guard page say "stack overflow in task NAME" before the process ends. */
void lki_stack_watch_start(void);
void lki_stack_watch_thread(void);
void lki_stack_unwatch_thread(void);

/* --- tasks --- */

enum lki_task_state { LKI_TASK_RUNNING = 0, LKI_TASK_PARKED = 1, LKI_TASK_NOTIFIED = 2 };

enum lki_after { /* what the thread does when a task has switched back to it */
                 LKI_AFTER_PARK,
                 LKI_AFTER_QUEUE, /* runnable: put it where it belongs */
                 LKI_AFTER_EXIT
};

struct lki_loop;
struct lki_worker;

struct lki_timer {
    uint64_t deadline_ns;
    struct lki_loop *loop; /* whose heap it is in */
    uint32_t place;        /* 1-based index in the heap; 0: not in it */
};

struct luma_task {
    struct luma_task *next; /* in a queue or in the pool */
    _Atomic uint32_t state;
    uint8_t prio;
    bool on_loop; /* where it goes when it is woken: its loop or the workers */
    bool alive;
    struct lki_context context;
    struct lki_stack *stack;
    struct lki_loop *loop; /* the loop it belongs to; NULL: none */
    luma_task_fn fn;
    void *arg;
    const char *name;
    uint64_t slice_end_ns; /* 0: not looked at the clock yet in this slice */
    struct lki_timer timer;
    /* The token it waits under; read by lki_cancel_wake on other threads. */
    _Atomic(struct luma_cancel *) waits_under;
};

struct lki_queue {
    struct luma_task *head, *tail;
    uint32_t count;
};

static inline void
lki_queue_push(struct lki_queue *queue, struct luma_task *task)
{
    task->next = NULL;
    if (queue->tail != NULL)
        queue->tail->next = task;
    else
        queue->head = task;
    queue->tail = task;
    queue->count++;
}

static inline struct luma_task *
lki_queue_pop(struct lki_queue *queue)
{
    struct luma_task *task = queue->head;
    if (task != NULL) {
        queue->head = task->next;
        if (queue->head == NULL)
            queue->tail = NULL;
        queue->count--;
    }
    return task;
}

/* --- threads --- */

struct lki_thread {
    struct lki_context context;
    struct luma_task *current;
    struct lki_loop *loop;     /* this thread is a loop, or */
    struct lki_worker *worker; /* a worker */
    enum lki_after after;
    uint32_t index;
    pthread_t pthread;
};

struct lki_timers {
    struct lki_spin lock;
    struct lki_timer **heap; /* 4-ary, 1-based */
    uint32_t count, room;
    _Atomic uint64_t first_ns; /* earliest deadline; UINT64_MAX: none */
};

struct lki_loop {
    struct lki_thread thread;
    struct event_base *base;
    struct event *wake_event, *timer_event;
    int wake_fd;
    struct lki_queue local;              /* this thread only */
    _Atomic(struct luma_task *) inbound; /* newest first, from other threads */
    _Atomic uint32_t sleeping;
    uint64_t armed_ns; /* when timer_event fires; UINT64_MAX: it does not */
    struct lki_timers timers;
    _Atomic uint32_t connections; /* net's measure of how busy it is */
    bool bound;                   /* to one core; its own thread changes it */
} LK_ALIGNED_LINE;

#define LKI_PRIO_COUNT 3

struct lki_worker {
    struct lki_thread thread;
    struct lki_spin lock;
    struct lki_queue queues[LKI_PRIO_COUNT];
    _Atomic uint32_t idle; /* futex: 1 while asleep */
} LK_ALIGNED_LINE;

struct lki_sched {
    struct lk_sched_conf conf;
    struct lki_loop *loops;
    struct lki_worker *workers;
    uint32_t loops_count, workers_count;
    _Atomic uint32_t loops_started, workers_started;
    _Atomic bool running, stopping;
    _Atomic uint32_t next_worker;
    _Atomic uint32_t queued[LKI_PRIO_COUNT]; /* on all workers */
    _Atomic uint64_t tasks;
    cpu_set_t cpus; /* that the process may use */
    bool may_bind, always_bound;
};

extern struct lki_sched lki_sched;

/* The scheduler thread we are on; NULL elsewhere. Not inlined: a compiler may keep the address of a
 * thread-local over a switch, and the task may be elsewhere by then. */
struct lki_thread *lki_self(void);
void lki_set_self(struct lki_thread *thread);
struct luma_task *lki_current(void); /* NULL outside tasks */

struct luma_task *lki_task_create(const char *name, enum luma_task_prio prio,
                                  enum luma_stack_class stack, luma_task_fn fn, void *arg);
void lki_task_park(void);
/* The same, not later than deadline_ns (0: none); returns at once when it has passed. */
void lki_task_park_until(uint64_t deadline_ns);
void lki_task_unpark(struct luma_task *task);
void lki_task_enqueue(struct luma_task *task);
void lki_task_switch_out(enum lki_after after);
/* Runs task on this thread until it switches back. */
void lki_thread_run(struct lki_thread *thread, struct luma_task *task);
/* Wakes every task that waits under this token. */
void lki_cancel_wake(struct luma_cancel *cancel);
void lki_task_pool_drain(void);

/* --- loops, workers, timers --- */

LUMA_NODISCARD luma_rc lki_loop_init(struct lki_loop *loop, uint32_t index);
void lki_loop_fini(struct lki_loop *loop);
void *lki_loop_main(void *loop);
void lki_loop_post(struct lki_loop *loop, struct luma_task *task);
void lki_loop_wake(struct lki_loop *loop);
/* On its own thread, when its number of connections has changed. */
void lki_loop_place(struct lki_loop *loop);

void *lki_worker_main(void *worker);
void lki_worker_post(struct luma_task *task);
void lki_worker_wake_all(void);
bool lki_worker_has_work(void);

/* Arms the timer for deadline_ns unless it fires earlier anyway. */
void lki_timer_arm(struct luma_task *task, uint64_t deadline_ns);
void lki_timer_disarm(struct luma_task *task);
/* Unparks the tasks whose deadline has passed. */
void lki_timers_expire(struct lki_timers *timers, uint64_t now_ns);
void lki_timers_fini(struct lki_timers *timers);

void lki_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void lki_futex_wake(_Atomic uint32_t *word, int count);

/* --- waiting --- */

/* LUMA_OK, or why ctx's request must stop, reported in ctx. ctx may be NULL. */
luma_rc lki_cancel_check(struct luma_ctx *ctx);
luma_rc lki_event_wait(struct luma_ctx *ctx, struct luma_event *event, uint64_t deadline_ns);
void lki_event_signal(struct luma_event *event);
void lki_event_broadcast(struct luma_event *event);
luma_rc lki_mutex_lock(struct luma_ctx *ctx, struct luma_event *mutex);
void lki_mutex_unlock(struct luma_event *mutex);
luma_rc lki_sleep(struct luma_ctx *ctx, uint64_t nanoseconds);
void lki_cancel(struct luma_cancel *cancel, luma_rc why);
luma_rc lki_yield(struct luma_ctx *ctx);
luma_rc lki_parallel(struct luma_ctx *ctx, uint32_t parts,
                     luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg);
luma_rc lki_blocking(struct luma_ctx *ctx, luma_rc (*fn)(void *arg), void *arg);
void lki_blocking_stop(void);
void lki_on_stack(enum luma_stack_class stack, void (*fn)(void *arg), void *arg);

#endif
