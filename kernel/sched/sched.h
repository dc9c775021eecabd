/*
 * sched/sched.h - tasks (fibers), event loops, workers, timers, waiting; and the network on top.
 *
 * What modules see is host/sched.h and host/net.h; the two tables are here. Kernel code may call
 * through the tables or use the shorter names below.
 */
#ifndef LK_SCHED_SCHED_H
#define LK_SCHED_SCHED_H

#include <lumadb/conf.h>
#include <lumadb/host/net.h>
#include <lumadb/host/sched.h>

/* Section [sched]. */
struct lk_sched_conf {
    int64_t loops;    /* event loop threads; 0: one per core */
    int64_t workers;  /* threads for morsels and long statements; 0: one per core */
    int64_t blocking; /* most threads that may block in system calls at once */
    int64_t slice;    /* nanoseconds a statement may keep a loop */
    int64_t spin;     /* nanoseconds a busy loop looks for work before it sleeps */
    const char *pin;  /* "on": loop i runs on core i only; "auto": while it has company */
};

extern const struct luma_conf_item lk_sched_conf_items[];

/* Section [tls]. */
struct lk_net_conf {
    const char *cert; /* PEM chain; NULL: no TLS */
    const char *key;  /* PEM */
    const char *min_version;
};

extern const struct luma_conf_item lk_net_conf_items[];

/* Defaults of the table above, for tests and tools that run without a configuration. */
void lk_sched_conf_default(struct lk_sched_conf *conf);

/*
 * Starts the threads. Once per process, or again after lk_sched_stop.
 * Errors: LUMA_E_NOMEM, LUMA_E_IO (threads or event loops could not be made), nothing is left over.
 */
LUMA_NODISCARD luma_rc lk_sched_start(struct luma_ctx *ctx, const struct lk_sched_conf *conf);
/* Runs what is runnable to its next wait, then ends the threads. Tasks still parked are abandoned:
 * whoever started them ends them first. Not from a task. */
void lk_sched_stop(void);
bool lk_sched_running(void);

/* Loads certificate and key; conf->cert NULL turns TLS off. May be called again (reload). */
LUMA_NODISCARD luma_rc lk_net_start(struct luma_ctx *ctx, const struct lk_net_conf *conf);
/* Closes all listeners and what is left of their connections. */
void lk_net_stop(void);

/* A task about to wait for the disk in a system call goes to a worker first, so that no loop waits.
 * Parks; nothing happens outside loops. */
void lk_sched_to_worker(void);
/* Back to the loop the task belongs to, if it belongs to one. Parks. */
void lk_sched_to_loop(void);
/* Spawns a task that belongs to loop `index` (modulo their number): a connection. */
LUMA_NODISCARD luma_rc lk_sched_spawn_on_loop(uint32_t index, const char *name,
                                              enum luma_stack_class stack, luma_task_fn fn,
                                              void *arg);
uint32_t lk_sched_loops(void);
/* Tasks that exist now, parked ones included. */
uint64_t lk_sched_tasks(void);
/* Name of the running task, NULL outside tasks. */
const char *lk_sched_task_name(void);

extern const struct luma_host_sched lk_sched_host;
extern const struct luma_host_net lk_net_host;

#endif
