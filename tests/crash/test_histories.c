/*
 * tests/crash/test_histories.c - histories of sessions side by side, at all levels of isolation,
 * through power cuts: snapshots, no lost updates, serializable where it was promised, nothing lost,
 * halved or brought back to life.
 *
 *     test_histories                    some seeds, drawn from LUMA_TEST_SEED
 *     LUMA_TEST_FULL=1 test_histories   1,000
 *     test_histories FIRST COUNT        these
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "sessions.h"

#define SEEDS      150
#define SEEDS_FULL 1000

int
main(int argc, char **argv)
{
    const char *full = getenv("LUMA_TEST_FULL"), *rotation = getenv("LUMA_TEST_SEED");
    uint64_t first = rotation == NULL ? 1 : strtoull(rotation, NULL, 10), failed = 0;
    uint64_t count = full != NULL && strcmp(full, "1") == 0 ? SEEDS_FULL : SEEDS;
    if (argc == 3) {
        first = strtoull(argv[1], NULL, 10);
        count = strtoull(argv[2], NULL, 10);
    }
    if (!crash_setup())
        return 77;
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *wrong = sessions_run(seed);
        if (wrong == NULL)
            continue;
        printf("test_histories %llu 1: %s\n", (unsigned long long)seed, wrong);
        failed++;
    }
    const struct sessions_totals *t = &sessions_totals;
    printf("%llu seeds from %llu, %llu failed: %llu lives, %llu transactions, %llu committed, %llu "
           "conflicts, %llu deadlocks, %llu in doubt, %llu lost by asynchronous logs\n",
           (unsigned long long)count, (unsigned long long)first, (unsigned long long)failed,
           (unsigned long long)t->lives, (unsigned long long)t->txns,
           (unsigned long long)t->committed, (unsigned long long)t->conflicts,
           (unsigned long long)t->deadlocks, (unsigned long long)t->unknown,
           (unsigned long long)t->lost);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
