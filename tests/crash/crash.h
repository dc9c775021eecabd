/*
 * tests/crash/crash.h - a seeded workload on the simulated disk, against a model.
 */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include <lumadb/base.h>

struct crash_phases {
    const char *name;
    uint64_t crashes;
};

#define CRASH_PHASES 8
extern struct crash_phases crash_phases[CRASH_PHASES + 1]; /* the last: anywhere else */

/* Runs one seed: several lives of one data folder, most of them ended by a power cut. NULL: the
 * store kept all its promises; else what it broke (static text). */
const char *crash_run(uint64_t seed, bool verbose);
/* Loads the modules the store needs; false: the build folder has them not. */
bool crash_setup(void);

#endif
