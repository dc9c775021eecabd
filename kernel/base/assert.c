/* base/assert.c - the last words of a process that found itself wrong. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void
lk_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "lumadb: %s:%d: assertion failed: %s\n", file, line, cond);
    fflush(stderr);
    abort();
}
