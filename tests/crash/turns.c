/*
 * tests/crash/turns.c - see turns.h. A baton goes from thread to thread under one mutex; real
 * threads and not fibers, so that sanitizers and thread-locals are at home.
 */
#include "turns.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

struct turn {
    pthread_t thread;
    pthread_cond_t mine; /* the baton has come */
    void (*fn)(void *arg);
    void *arg;
    const struct luma_event *waits; /* cannot go on before it has this ... */
    bool for_mutex;                 /* ... free, else signalled */
    bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_done = PTHREAD_COND_INITIALIZER;
static struct turn turns[TURNS_MAX];
static int turns_count, turn_now = -1;
static struct lk_rand turns_rand;
static __thread int turn_mine = -1;

static bool
may_run(const struct turn *t)
{
    if (t->done || t->waits == NULL)
        return !t->done;
    return t->for_mutex ? t->waits->opaque[1] == 0 : t->waits->opaque[0] != 0;
}

static void
stuck(void)
{
    fprintf(stderr, "all sessions wait and nobody is left to wake them\n");
    abort();
}

/* Gives the baton to whoever may have it. The lock is held. */
static void
baton_give(void)
{
    int able[TURNS_MAX], count = 0, left = 0;
    for (int i = 0; i < turns_count; i++) {
        left += !turns[i].done;
        if (may_run(&turns[i]))
            able[count++] = i;
    }
    if (left == 0) {
        turn_now = -1;
        pthread_cond_signal(&all_done);
        return;
    }
    if (count == 0)
        stuck();
    turn_now = able[lk_rand_below(&turns_rand, (uint64_t)count)];
    pthread_cond_signal(&turns[turn_now].mine);
}

static void
baton_await(void)
{
    while (turn_now != turn_mine)
        pthread_cond_wait(&turns[turn_mine].mine, &lock);
}

void
turns_pass(void)
{
    if (turn_mine < 0)
        return;
    pthread_mutex_lock(&lock);
    baton_give();
    baton_await();
    pthread_mutex_unlock(&lock);
}

static void
await(const struct luma_event *event, bool for_mutex)
{
    const struct turn wanted = {.waits = event, .for_mutex = for_mutex};
    if (may_run(&wanted))
        return;
    if (turn_mine < 0)
        stuck();
    struct turn *me = &turns[turn_mine];
    me->waits = event;
    me->for_mutex = for_mutex;
    turns_pass();
    me->waits = NULL;
}

static void *
turn_main(void *arg)
{
    struct turn *t = arg;
    turn_mine = (int)(t - turns);
    pthread_mutex_lock(&lock);
    baton_await();
    pthread_mutex_unlock(&lock);
    t->fn(t->arg);
    pthread_mutex_lock(&lock);
    t->done = true;
    baton_give();
    pthread_mutex_unlock(&lock);
    return NULL;
}

void
turns_run(uint64_t seed, void (*fn)(void *arg), void *const *args, int count)
{
    lk_rand_init(&turns_rand, seed);
    memset(turns, 0, sizeof(turns));
    turns_count = count;
    turn_now = -1;
    for (int i = 0; i < count; i++) {
        turns[i].fn = fn;
        turns[i].arg = args[i];
        pthread_cond_init(&turns[i].mine, NULL);
        if (pthread_create(&turns[i].thread, NULL, turn_main, &turns[i]) != 0)
            abort();
    }
    pthread_mutex_lock(&lock);
    baton_give();
    while (turn_now != -1)
        pthread_cond_wait(&all_done, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++) {
        pthread_join(turns[i].thread, NULL);
        pthread_cond_destroy(&turns[i].mine);
    }
    turns_count = 0;
}

/* --- as the store sees it; deadlines never come --- */

static luma_rc
turns_wait(struct luma_ctx *ctx, struct luma_event *event, uint64_t deadline_ns)
{
    (void)ctx, (void)deadline_ns;
    await(event, false);
    event->opaque[0]--;
    return LUMA_OK;
}

static void
turns_signal(struct luma_event *event)
{
    event->opaque[0]++;
}

static luma_rc
turns_mutex_lock(struct luma_ctx *ctx, struct luma_event *mutex)
{
    (void)ctx;
    await(mutex, true);
    mutex->opaque[1] = 1;
    return LUMA_OK;
}

static void
turns_mutex_unlock(struct luma_event *mutex)
{
    mutex->opaque[1] = 0;
}

/* Recovery is no part of the play: one after the other. */
static luma_rc
turns_parallel(struct luma_ctx *ctx, uint32_t parts,
               luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg)
{
    for (uint32_t i = 0; i < parts; i++)
        LUMA_TRY(fn(arg, i, ctx));
    return LUMA_OK;
}

const struct luma_host_sched turns_sched = {
    .head = {sizeof(struct luma_host_sched), 1, 0},
    .wait = turns_wait,
    .signal = turns_signal,
    .parallel = turns_parallel,
    .mutex_lock = turns_mutex_lock,
    .mutex_unlock = turns_mutex_unlock,
};
