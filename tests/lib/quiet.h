/*
 * tests/lib/quiet.h - a server's log that goes nowhere, for tests of failures that are meant to
 * happen.
 */
#ifndef TEST_QUIET_H
#define TEST_QUIET_H

#include "base/base.h"

static inline void
test_quiet_sink(void *arg, const char *line, size_t bytes)
{
    (void)arg, (void)line, (void)bytes;
}

static inline void
test_quiet(void)
{
    lk_log_set_sink(test_quiet_sink, NULL);
}

#endif
