/*
 * tests/crash/crash.h - a seeded workload on the simulated disk, against a model.
 */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include <lumadb/base.h>

#include "io/sim.h"

struct luma_host_services;

struct crash_phases {
    const char *name;
    uint64_t crashes;
};

#define CRASH_PHASES 9
extern struct crash_phases crash_phases[CRASH_PHASES + 1]; /* the last: anywhere else */

/* Runs one seed: several lives of one data folder, most of them ended by a power cut. NULL: the
 * store kept all its promises; else what it broke (static text). */
const char *crash_run(uint64_t seed, bool verbose);
/* One thing that goes wrong, once: at the at-th call of a kind, counted from the start. */
struct crash_fault {
    const char *name;
    enum lk_io_call call;
    enum lk_io_sim_action action;
    uint64_t at;
};

/*
 * A life of a fixed workload, with this fault (NULL: none), and one after it that must find
 * everything. out_calls (may be NULL): calls of each kind in the first.
 */
const char *crash_sweep(uint64_t seed, const struct crash_fault *fault,
                        uint64_t out_calls[LK_IO_CALL_COUNT_]);
/* Loads the modules the store needs; false: the build folder has them not. */
bool crash_setup(void);
/* Where the store finds them. */
const struct luma_host_services *crash_services(void);

#endif
