/*
 * tests/crash/sessions.h - sessions that work side by side on the simulated disk while what they do
 * is taken down, through power cuts and restarts; history.h judges.
 */
#ifndef TEST_SESSIONS_H
#define TEST_SESSIONS_H

#include <lumadb/base.h>

struct sessions_totals {
    uint64_t txns, committed, conflicts, deadlocks, unknown, lives, lost;
};
extern struct sessions_totals sessions_totals;

/* Runs one seed. NULL: a database may have done that; else what it may not (static text). */
const char *sessions_run(uint64_t seed);

#endif
