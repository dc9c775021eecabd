/*
 * sched.c - start, stop, and the table that modules get.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sched/sched_priv.h"

struct lki_sched lki_sched;

const struct luma_conf_item lk_sched_conf_items[] = {
    LUMA_CONF_INT(struct lk_sched_conf, loops, .def = 0, .min = 0, .max = 256, .unit = "threads",
                  .help = "event loops, which own connections and answer short statements; 0: one "
                          "per core"),
    LUMA_CONF_INT(struct lk_sched_conf, workers, .def = 0, .min = 0, .max = 1024, .unit = "threads",
                  .help = "threads for long statements and background work; 0: one per core"),
    LUMA_CONF_INT(struct lk_sched_conf, blocking, .def = 16, .min = 1, .max = 1024,
                  .unit = "threads",
                  .help = "most threads at once for calls that block, such as password hashing"),
    LUMA_CONF_DURATION(struct lk_sched_conf, slice, .def = 200000, .min = 10000, .max = 1000000000,
                       .help = "a statement that runs longer moves from its loop to a worker"),
    LUMA_CONF_DURATION(struct lk_sched_conf, spin, .def = 0, .min = 0, .max = 1000000,
                       .help = "a busy loop looks this long for the next request before it sleeps"),
    LUMA_CONF_ENUM(struct lk_sched_conf, pin, .sdef = "auto", .values = "auto|on|off",
                   .help = "bind each event loop to one core; auto: while it has several "
                           "connections, so that a lone one is answered wherever it is"),
    LUMA_CONF_END,
};

void
lk_sched_conf_default(struct lk_sched_conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    for (const struct luma_conf_item *item = lk_sched_conf_items; item->type != LUMA_CONF_TYPE_END;
         item++) {
        void *field = (uint8_t *)conf + item->offset;
        if (item->type == LUMA_CONF_TYPE_ENUM)
            *(const char **)field = item->sdef;
        else
            *(int64_t *)field = item->def;
    }
}

static uint32_t
cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : (uint32_t)n;
}

static int
thread_start(struct lki_thread *thread, const char *name, void *(*entry)(void *), void *arg)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->pthread, NULL, entry, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        char text[16];
        snprintf(text, sizeof(text), "%s-%u", name, thread->index % 1000);
        pthread_setname_np(thread->pthread, text);
    }
    return rc;
}

/* One core for the loop, or all that the process may use. */
static void
loop_bind(struct lki_loop *loop, bool bound)
{
    cpu_set_t one;
    uint32_t skip = loop->thread.index;
    loop->bound = bound;
    if (!bound) {
        pthread_setaffinity_np(loop->thread.pthread, sizeof(lki_sched.cpus), &lki_sched.cpus);
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &lki_sched.cpus) || skip-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(loop->thread.pthread, sizeof(one), &one);
        return;
    }
}

/*
 * With several connections on each loop the system tends to gather loops and clients on one core;
 * bound ones share the work evenly. A single connection is better off on whatever core its client
 * runs: 4 us for a round trip, 15 from core to core.
 */
void
lki_loop_place(struct lki_loop *loop)
{
    if (!lki_sched.may_bind || lki_sched.always_bound)
        return;
    bool wanted = atomic_load_explicit(&loop->connections, memory_order_relaxed) >= 2;
    if (wanted != loop->bound)
        loop_bind(loop, wanted);
}

static void
bind_prepare(void)
{
    const char *pin = lki_sched.conf.pin == NULL ? "auto" : lki_sched.conf.pin;
    lki_sched.may_bind = strcmp(pin, "off") != 0 &&
                         sched_getaffinity(0, sizeof(lki_sched.cpus), &lki_sched.cpus) == 0 &&
                         lki_sched.loops_count <= (uint32_t)CPU_COUNT(&lki_sched.cpus);
    lki_sched.always_bound = lki_sched.may_bind && strcmp(pin, "on") == 0;
}

static void
sched_free(void)
{
    for (uint32_t i = 0; i < lki_sched.loops_count; i++)
        lki_loop_fini(&lki_sched.loops[i]);
    free(lki_sched.loops);
    free(lki_sched.workers);
    lki_sched.loops = NULL;
    lki_sched.workers = NULL;
    lki_sched.loops_count = lki_sched.workers_count = 0;
}

static luma_rc
sched_make(struct luma_ctx *ctx)
{
    const struct lk_sched_conf *conf = &lki_sched.conf;
    uint32_t loops = conf->loops > 0 ? (uint32_t)conf->loops : cores();
    uint32_t workers = conf->workers > 0 ? (uint32_t)conf->workers : cores();
    lki_sched.loops = aligned_alloc(LK_CACHE_LINE, loops * sizeof(struct lki_loop));
    lki_sched.workers = aligned_alloc(LK_CACHE_LINE, workers * sizeof(struct lki_worker));
    if (lki_sched.loops == NULL || lki_sched.workers == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the threads' records");
    memset(lki_sched.workers, 0, workers * sizeof(struct lki_worker));
    lki_sched.workers_count = workers;
    for (uint32_t i = 0; i < workers; i++) {
        lki_sched.workers[i].thread.index = i;
        lki_sched.workers[i].thread.worker = &lki_sched.workers[i];
    }
    for (uint32_t i = 0; i < loops; i++) {
        luma_rc rc = lki_loop_init(&lki_sched.loops[i], i);
        lki_sched.loops_count = i + 1;
        if (rc != LUMA_OK)
            return LUMA_FAIL(ctx, rc, "an event loop could not be made");
    }
    return LUMA_OK;
}

static luma_rc
sched_run(struct luma_ctx *ctx)
{
    bind_prepare();
    for (uint32_t i = 0; i < lki_sched.loops_count; i++) {
        struct lki_loop *loop = &lki_sched.loops[i];
        int err = thread_start(&loop->thread, "loop", lki_loop_main, loop);
        if (err != 0)
            return LUMA_FAIL(ctx, LUMA_E_IO, "a thread could not be started: %s", strerror(err));
        if (lki_sched.always_bound)
            loop_bind(loop, true);
        lki_sched.loops_started++;
    }
    for (uint32_t i = 0; i < lki_sched.workers_count; i++) {
        struct lki_worker *worker = &lki_sched.workers[i];
        int err = thread_start(&worker->thread, "worker", lki_worker_main, worker);
        if (err != 0)
            return LUMA_FAIL(ctx, LUMA_E_IO, "a thread could not be started: %s", strerror(err));
        lki_sched.workers_started++;
    }
    return LUMA_OK;
}

luma_rc
lk_sched_start(struct luma_ctx *ctx, const struct lk_sched_conf *conf)
{
    LK_ASSERT(!atomic_load(&lki_sched.running));
    memset(&lki_sched, 0, sizeof(lki_sched));
    lki_sched.conf = *conf;
    lki_stack_watch_start();
    luma_rc rc = sched_make(ctx);
    if (rc != LUMA_OK) {
        sched_free();
        return rc;
    }
    atomic_store(&lki_sched.running, true);
    rc = sched_run(ctx);
    if (rc != LUMA_OK)
        lk_sched_stop();
    return rc;
}

void
lk_sched_stop(void)
{
    if (!atomic_load(&lki_sched.running))
        return;
    LK_ASSERT(lki_current() == NULL);
    lki_blocking_stop();
    atomic_store(&lki_sched.stopping, true);
    for (uint32_t i = 0; i < lki_sched.loops_count; i++)
        lki_loop_wake(&lki_sched.loops[i]);
    lki_worker_wake_all();
    for (uint32_t i = 0; i < lki_sched.loops_started; i++)
        pthread_join(lki_sched.loops[i].thread.pthread, NULL);
    for (uint32_t i = 0; i < lki_sched.workers_started; i++)
        pthread_join(lki_sched.workers[i].thread.pthread, NULL);
    lki_task_pool_drain();
    lki_stack_pool_drain();
    sched_free();
    atomic_store(&lki_sched.running, false);
}

bool
lk_sched_running(void)
{
    return atomic_load(&lki_sched.running);
}

uint32_t
lk_sched_loops(void)
{
    return lki_sched.loops_count;
}

uint64_t
lk_sched_tasks(void)
{
    return atomic_load_explicit(&lki_sched.tasks, memory_order_relaxed);
}

const char *
lk_sched_task_name(void)
{
    struct luma_task *task = lki_current();
    return task == NULL ? NULL : task->name;
}

static luma_rc
sched_spawn(const char *name, enum luma_task_prio prio, enum luma_stack_class stack,
            luma_task_fn fn, void *arg)
{
    if (!lk_sched_running())
        return LUMA_E_SHUTDOWN;
    struct luma_task *task = lki_task_create(name, prio, stack, fn, arg);
    if (task == NULL)
        return LUMA_E_NOMEM;
    lki_task_enqueue(task);
    return LUMA_OK;
}

luma_rc
lk_sched_spawn_on_loop(uint32_t index, const char *name, enum luma_stack_class stack,
                       luma_task_fn fn, void *arg)
{
    if (!lk_sched_running())
        return LUMA_E_SHUTDOWN;
    struct luma_task *task = lki_task_create(name, LUMA_PRIO_INTERACTIVE, stack, fn, arg);
    if (task == NULL)
        return LUMA_E_NOMEM;
    task->loop = &lki_sched.loops[index % lki_sched.loops_count];
    task->on_loop = true;
    lki_task_enqueue(task);
    return LUMA_OK;
}

static bool
sched_in_task(void)
{
    return lki_current() != NULL;
}

static uint32_t
sched_workers(void)
{
    return lki_sched.workers_count > 0 ? lki_sched.workers_count : 1;
}

uint64_t
lki_now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

static int64_t
sched_wall_us(void)
{
    return lk_io_wall_us(lk_io_posix());
}

static void
sched_random(void *out, size_t bytes)
{
    lk_io_random(lk_io_posix(), out, bytes);
}

const struct luma_host_sched lk_sched_host = {
    .head = {sizeof(struct luma_host_sched), 1, 0},
    .spawn = sched_spawn,
    .yield = lki_yield,
    .in_task = sched_in_task,
    .wait = lki_event_wait,
    .signal = lki_event_signal,
    .broadcast = lki_event_broadcast,
    .sleep = lki_sleep,
    .cancel = lki_cancel,
    .now_ns = lki_now_ns,
    .wall_us = sched_wall_us,
    .parallel = lki_parallel,
    .workers = sched_workers,
    .blocking = lki_blocking,
    .on_stack = lki_on_stack,
    .mutex_lock = lki_mutex_lock,
    .mutex_unlock = lki_mutex_unlock,
    .random = sched_random,
};
