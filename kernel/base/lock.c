/* base/lock.c - the witness of lock ranks, condition variables. */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const lock_names[] = {
#define X(name, rank, text) #name,
#include "base/locks.def"
#undef X
};

const char *
lk_lock_name(enum lk_lock_id id)
{
    return (unsigned)id < LK_LOCK_COUNT_ ? lock_names[id] : "?";
}

#if LK_DEBUG

#define HELD_MAX 32

static const uint8_t lock_ranks[] = {
#define X(name, rank, text) rank,
#include "base/locks.def"
#undef X
};

static __thread enum lk_lock_id held[HELD_MAX];
static __thread uint32_t held_count;

void
lk_lock_rank_push(enum lk_lock_id id)
{
    LK_ASSERT((unsigned)id < LK_LOCK_COUNT_);
    LK_ASSERT(held_count < HELD_MAX);
    for (uint32_t i = 0; i < held_count; i++) {
        if (lock_ranks[held[i]] < lock_ranks[id])
            continue;
        fprintf(stderr, "lumadb: lock %s (rank %u) taken while holding %s (rank %u)\n",
                lk_lock_name(id), lock_ranks[id], lk_lock_name(held[i]), lock_ranks[held[i]]);
        abort();
    }
    held[held_count++] = id;
}

void
lk_lock_rank_pop(enum lk_lock_id id)
{
    for (uint32_t i = held_count; i > 0; i--) {
        if (held[i - 1] != id)
            continue;
        for (uint32_t k = i; k < held_count; k++)
            held[k - 1] = held[k];
        held_count--;
        return;
    }
    bool lock_was_held = false;
    LK_ASSERT(lock_was_held);
}

uint32_t
lk_locks_held(void)
{
    return held_count;
}

#endif

void
lk_cond_init(struct lk_cond *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&cond->c, &attr);
    pthread_condattr_destroy(&attr);
}

void
lk_cond_fini(struct lk_cond *cond)
{
    pthread_cond_destroy(&cond->c);
}

void
lk_cond_wait(struct lk_cond *cond, struct lk_mutex *mutex)
{
    int rc = pthread_cond_wait(&cond->c, &mutex->m);
    LK_ASSERT(rc == 0);
}

bool
lk_cond_wait_until(struct lk_cond *cond, struct lk_mutex *mutex, uint64_t deadline_ns)
{
    struct timespec at = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                          .tv_nsec = (long)(deadline_ns % 1000000000u)};
    return pthread_cond_timedwait(&cond->c, &mutex->m, &at) == 0;
}

void
lk_cond_signal(struct lk_cond *cond)
{
    pthread_cond_signal(&cond->c);
}

void
lk_cond_broadcast(struct lk_cond *cond)
{
    pthread_cond_broadcast(&cond->c);
}
