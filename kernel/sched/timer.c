/*
 * timer.c - deadlines of parked tasks: one 4-ary heap per loop.
 *
 * A timer only unparks its task, which looks at the clock itself. So a timer that fires earlier
 * than wanted does no harm, and a deadline that moves further away (an idle connection that was
 * used again) needs no work: the old one fires once for nothing and is armed anew.
 */
#include <stdlib.h>

#include "sched/sched_priv.h"

static void
heap_put(struct lki_timers *timers, uint32_t place, struct lki_timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void
heap_up(struct lki_timers *timers, uint32_t place, struct lki_timer *timer)
{
    while (place > 1) {
        uint32_t parent = (place - 2) / 4 + 1;
        if (timers->heap[parent]->deadline_ns <= timer->deadline_ns)
            break;
        heap_put(timers, place, timers->heap[parent]);
        place = parent;
    }
    heap_put(timers, place, timer);
}

static void
heap_down(struct lki_timers *timers, uint32_t place, struct lki_timer *timer)
{
    for (;;) {
        uint32_t child = (place - 1) * 4 + 2, last = LK_MIN(child + 3, timers->count);
        if (child > timers->count)
            break;
        for (uint32_t i = child + 1; i <= last; i++)
            if (timers->heap[i]->deadline_ns < timers->heap[child]->deadline_ns)
                child = i;
        if (timer->deadline_ns <= timers->heap[child]->deadline_ns)
            break;
        heap_put(timers, place, timers->heap[child]);
        place = child;
    }
    heap_put(timers, place, timer);
}

static bool
heap_room(struct lki_timers *timers)
{
    if (timers->count + 2 <= timers->room)
        return true;
    uint32_t room = timers->room == 0 ? 64 : timers->room * 2;
    struct lki_timer **heap = realloc(timers->heap, room * sizeof(*heap));
    if (heap == NULL)
        return false;
    timers->heap = heap;
    timers->room = room;
    return true;
}

static void
heap_remove(struct lki_timers *timers, struct lki_timer *timer)
{
    uint32_t place = timer->place;
    struct lki_timer *last = timers->heap[timers->count--];
    timer->place = 0;
    if (last == timer)
        return;
    if (place > 1 && timers->heap[(place - 2) / 4 + 1]->deadline_ns > last->deadline_ns)
        heap_up(timers, place, last);
    else
        heap_down(timers, place, last);
}

static void
heap_publish_first(struct lki_timers *timers)
{
    uint64_t first = timers->count == 0 ? UINT64_MAX : timers->heap[1]->deadline_ns;
    /* Pairs with the load before a loop sleeps: seq_cst, with its `sleeping` flag. */
    atomic_store_explicit(&timers->first_ns, first, memory_order_seq_cst);
}

static struct lki_loop *
timer_loop(struct luma_task *task)
{
    if (task->loop != NULL)
        return task->loop;
    return &lki_sched.loops[((uintptr_t)task >> 8) % lki_sched.loops_count];
}

void
lki_timer_arm(struct luma_task *task, uint64_t deadline_ns)
{
    struct lki_timer *timer = &task->timer;
    if (timer->loop == NULL)
        timer->loop = timer_loop(task);
    struct lki_loop *loop = timer->loop;
    struct lki_timers *timers = &loop->timers;
    lki_spin_lock(&timers->lock);
    if (timer->place != 0 && timer->deadline_ns <= deadline_ns) {
        lki_spin_unlock(&timers->lock);
        return;
    }
    bool first = false;
    if (timer->place != 0) {
        timer->deadline_ns = deadline_ns;
        heap_up(timers, timer->place, timer);
    } else if (heap_room(timers)) {
        timer->deadline_ns = deadline_ns;
        heap_up(timers, ++timers->count, timer);
    } else {
        /* No memory for a timer: the task goes on at once and asks the clock. */
        lki_spin_unlock(&timers->lock);
        lki_task_unpark(task);
        return;
    }
    first = timer->place == 1;
    if (first)
        heap_publish_first(timers);
    lki_spin_unlock(&timers->lock);
    struct lki_thread *thread = lki_self();
    if (first && (thread == NULL || thread->loop != loop))
        lki_loop_wake(loop); /* it may sleep longer than that */
}

void
lki_timer_disarm(struct luma_task *task)
{
    struct lki_timer *timer = &task->timer;
    if (timer->loop == NULL)
        return;
    struct lki_timers *timers = &timer->loop->timers;
    lki_spin_lock(&timers->lock);
    if (timer->place != 0) {
        heap_remove(timers, timer);
        heap_publish_first(timers);
    }
    lki_spin_unlock(&timers->lock);
    timer->loop = NULL;
}

void
lki_timers_expire(struct lki_timers *timers, uint64_t now_ns)
{
    while (atomic_load_explicit(&timers->first_ns, memory_order_relaxed) <= now_ns) {
        struct luma_task *task = NULL;
        lki_spin_lock(&timers->lock);
        if (timers->count > 0 && timers->heap[1]->deadline_ns <= now_ns) {
            task = LK_CONTAINER_OF(timers->heap[1], struct luma_task, timer);
            heap_remove(timers, timers->heap[1]);
            heap_publish_first(timers);
        }
        lki_spin_unlock(&timers->lock);
        if (task == NULL)
            return;
        lki_task_unpark(task);
    }
}

void
lki_timers_fini(struct lki_timers *timers)
{
    free(timers->heap);
    timers->heap = NULL;
    timers->count = timers->room = 0;
}
