/*
 * base/lock.h - mutexes and reader-writer locks with a rank each (locks.def). Debug builds assert
 * that a thread takes locks in rising rank, so that no cycle can exist. Held across no I/O, no
 * call into a module and no park.
 */
#ifndef LK_BASE_LOCK_H
#define LK_BASE_LOCK_H

#include <pthread.h>

#include "base/assert.h"

enum lk_lock_id {
#define X(name, rank, text) LK_LOCK_##name,
#include "base/locks.def"
#undef X
    LK_LOCK_COUNT_
};

struct lk_mutex {
    pthread_mutex_t m;
    uint8_t id; /* enum lk_lock_id */
};

struct lk_rwlock {
    pthread_rwlock_t l;
    uint8_t id;
};

struct lk_cond {
    pthread_cond_t c;
};

#define LK_MUTEX_INIT(lock_id)                                   \
    {                                                            \
        .m = PTHREAD_MUTEX_INITIALIZER, .id = (uint8_t)(lock_id) \
    }
#define LK_RWLOCK_INIT(lock_id)                                   \
    {                                                             \
        .l = PTHREAD_RWLOCK_INITIALIZER, .id = (uint8_t)(lock_id) \
    }

#if LK_DEBUG
/* Called before taking and after giving back. */
void lk_lock_rank_push(enum lk_lock_id id);
void lk_lock_rank_pop(enum lk_lock_id id);
/* How many locks this thread holds: a task that parks asserts 0. */
uint32_t lk_locks_held(void);
#else
static inline void
lk_lock_rank_push(enum lk_lock_id id)
{
    (void)id;
}
static inline void
lk_lock_rank_pop(enum lk_lock_id id)
{
    (void)id;
}
static inline uint32_t
lk_locks_held(void)
{
    return 0;
}
#endif

const char *lk_lock_name(enum lk_lock_id id);

static inline void
lk_mutex_init(struct lk_mutex *mutex, enum lk_lock_id id)
{
    pthread_mutex_init(&mutex->m, NULL);
    mutex->id = (uint8_t)id;
}

static inline void
lk_mutex_fini(struct lk_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->m);
}

/* Never waits, so any rank will do; given back with lk_mutex_untry. */
static inline bool
lk_mutex_try(struct lk_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->m) == 0;
}

static inline void
lk_mutex_untry(struct lk_mutex *mutex)
{
    int rc = pthread_mutex_unlock(&mutex->m);
    LK_ASSERT(rc == 0);
}

static inline void
lk_mutex_lock(struct lk_mutex *mutex)
{
    lk_lock_rank_push((enum lk_lock_id)mutex->id);
    int rc = pthread_mutex_lock(&mutex->m);
    LK_ASSERT(rc == 0);
}

static inline void
lk_mutex_unlock(struct lk_mutex *mutex)
{
    /* Once unlocked, the mutex may be gone: whoever waited may free what it lies in. */
    lk_lock_rank_pop((enum lk_lock_id)mutex->id);
    int rc = pthread_mutex_unlock(&mutex->m);
    LK_ASSERT(rc == 0);
}

static inline void
lk_rwlock_init(struct lk_rwlock *lock, enum lk_lock_id id)
{
    pthread_rwlock_init(&lock->l, NULL);
    lock->id = (uint8_t)id;
}

static inline void
lk_rwlock_fini(struct lk_rwlock *lock)
{
    pthread_rwlock_destroy(&lock->l);
}

static inline void
lk_rwlock_rdlock(struct lk_rwlock *lock)
{
    lk_lock_rank_push((enum lk_lock_id)lock->id);
    int rc = pthread_rwlock_rdlock(&lock->l);
    LK_ASSERT(rc == 0);
}

static inline void
lk_rwlock_wrlock(struct lk_rwlock *lock)
{
    lk_lock_rank_push((enum lk_lock_id)lock->id);
    int rc = pthread_rwlock_wrlock(&lock->l);
    LK_ASSERT(rc == 0);
}

static inline void
lk_rwlock_unlock(struct lk_rwlock *lock)
{
    lk_lock_rank_pop((enum lk_lock_id)lock->id);
    int rc = pthread_rwlock_unlock(&lock->l);
    LK_ASSERT(rc == 0);
}

/* The clock of lk_cond_timedwait is the monotonic one. */
void lk_cond_init(struct lk_cond *cond);
void lk_cond_fini(struct lk_cond *cond);
void lk_cond_wait(struct lk_cond *cond, struct lk_mutex *mutex);
/* False when deadline_ns (monotonic) passed. */
bool lk_cond_wait_until(struct lk_cond *cond, struct lk_mutex *mutex, uint64_t deadline_ns);
void lk_cond_signal(struct lk_cond *cond);
void lk_cond_broadcast(struct lk_cond *cond);

#endif
