/*
 * tests/crash/turns.h - threads that take turns: one runs at a time, and a seed says which is next
 * wherever one waits or passes. What many sessions do at once can so be done again.
 */
#ifndef TEST_TURNS_H
#define TEST_TURNS_H

#include <lumadb/host/sched.h>

#define TURNS_MAX 16

/* Runs fn(args[0]), fn(args[1]), ... side by side, and returns when all have. That all wait and
 * nobody can go on ends the process. */
void turns_run(uint64_t seed, void (*fn)(void *arg), void *const *args, int count);
/* Lets another go on, or nobody. Outside turns_run nothing happens. */
void turns_pass(void);

/* What the store waits through. */
extern const struct luma_host_sched turns_sched;

#endif
