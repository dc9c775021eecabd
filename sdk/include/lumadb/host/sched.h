/*
 * lumadb/host/sched.h - tasks, waiting, parallel work.
 *
 * A task is a stackful fiber: straight-line code that may park at any depth with no thread held.
 * Event-loop threads own sockets and run short statements; workers run what is heavy. A task that
 * has used its slice (about 200 us) on a loop moves to a worker at its next yield, and back to its
 * loop when it next reads from its connection.
 *
 * Rules for code in a task: across park, yield and every call documented to park, keep no lock, no
 * thread-local pointer and no errno. Blocking system calls belong in `blocking`.
 */
#ifndef LUMADB_HOST_SCHED_H
#define LUMADB_HOST_SCHED_H

#include <lumadb/error.h>

struct luma_task;

typedef void (*luma_task_fn)(void *arg);

enum luma_task_prio {
    LUMA_PRIO_INTERACTIVE = 0, /* sessions */
    LUMA_PRIO_NORMAL = 1,      /* morsels */
    LUMA_PRIO_BACKGROUND = 2   /* flush, merge, tiering: yields to the others */
};

enum luma_stack_class {
    LUMA_STACK_SMALL = 0,  /* 64 KiB: services, timers */
    LUMA_STACK_NORMAL = 1, /* 512 KiB: sessions, operators */
    LUMA_STACK_PARSER = 2  /* 256 MiB mapped, guarded, untouched pages cost nothing */
};

/* One-shot or counting wake-up. Zero-initialized is "nothing signalled, nobody waiting". Several
 * tasks may wait. Lives in the caller's memory; must outlive its waiters. */
struct luma_event {
    uint64_t opaque[4];
};

/* Cooperative cancellation with a deadline. */
struct luma_cancel {
    uint32_t flag;        /* atomic: 0, or 1 + (-rc) of why */
    uint64_t deadline_ns; /* monotonic; 0: none */
    const struct luma_cancel
        *up; /* who is cancelled with it is, too (parts of a statement); NULL */
};

struct luma_host_sched {
    struct luma_head head;

    /* --- tasks --- */
    luma_rc (*spawn)(const char *name, enum luma_task_prio prio, enum luma_stack_class stack,
                     luma_task_fn fn, void *arg);
    /* Gives up the thread if the slice is over; moves from a loop to a worker when it is. Parks.
     * LUMA_E_CANCELED / LUMA_E_TIMEOUT when ctx->cancel says so (reported in ctx). Call once a
     * batch. ctx may be NULL. */
    luma_rc (*yield)(struct luma_ctx *ctx);
    bool (*in_task)(void);

    /* --- waiting --- */
    /* Consumes one signal, parking until there is one, deadline_ns (monotonic, 0: never) passes
     * (LUMA_E_TIMEOUT, not reported) or ctx->cancel fires (reported). Outside a task it blocks. */
    luma_rc (*wait)(struct luma_ctx *ctx, struct luma_event *event, uint64_t deadline_ns);
    void (*signal)(struct luma_event *event);    /* wakes one, or is kept for the next wait */
    void (*broadcast)(struct luma_event *event); /* wakes all that wait now, keeps nothing */
    luma_rc (*sleep)(struct luma_ctx *ctx, uint64_t nanoseconds);
    void (*cancel)(struct luma_cancel *cancel, luma_rc why); /* any thread; wakes the sleepers */
    uint64_t (*now_ns)(void);                                /* monotonic */
    int64_t (*wall_us)(void);                                /* microseconds since 1970 UTC */

    /* --- parallel work --- */
    /* Runs fn(arg, part, ctx_of_part) for part = 0 .. parts-1 on up to parts workers (part 0 may
     * run on the caller) and parks until all are done; each part has its own arena and error.
     * The first error cancels the rest, is copied into ctx and returned. */
    luma_rc (*parallel)(struct luma_ctx *ctx, uint32_t parts,
                        luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg);
    uint32_t (*workers)(void); /* how many threads run morsels */
    /* Runs fn on a thread that may block (password hashing, getaddrinfo); parks until done. */
    luma_rc (*blocking)(struct luma_ctx *ctx, luma_rc (*fn)(void *arg), void *arg);
    /* Calls fn on a stack of the given class (the grammar needs LUMA_STACK_PARSER), on the same
     * thread; fn must not park. */
    void (*on_stack)(enum luma_stack_class stack, void (*fn)(void *arg), void *arg);

    /* --- locks that park --- */
    /* A mutex for tasks: zero-initialized is unlocked; held across parks at the holder's peril of
     * waiting others only, never of a thread. */
    luma_rc (*mutex_lock)(struct luma_ctx *ctx, struct luma_event *mutex);
    void (*mutex_unlock)(struct luma_event *mutex);

    void (*random)(void *out, size_t bytes); /* cryptographic, through the kernel's one door */
};

#endif
