/*
 * storage/wait.h - waiting for events through the scheduler, or, where none runs (tools, tests),
 * by blocking the thread.
 */
#ifndef LK_STORAGE_WAIT_H
#define LK_STORAGE_WAIT_H

#include <lumadb/host/sched.h>

/* As luma_host_sched.wait and signal; sched NULL blocks. */
LUMA_NODISCARD luma_rc lk_wait_event(const struct luma_host_sched *sched, struct luma_ctx *ctx,
                                     struct luma_event *event, uint64_t deadline_ns);
void lk_wait_signal(const struct luma_host_sched *sched, struct luma_event *event);

/* Waits that nothing interrupts: for what must be known before an answer is given. */
void lk_wait_surely(const struct luma_host_sched *sched, struct luma_event *event);

/* A mutex that is held across waits. */
void lk_wait_lock(const struct luma_host_sched *sched, struct luma_event *mutex);
void lk_wait_unlock(const struct luma_host_sched *sched, struct luma_event *mutex);

#endif
