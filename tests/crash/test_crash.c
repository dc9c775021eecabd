/*
 * tests/crash/test_crash.c - many seeds, each with power cuts in the middle of things. Prints where
 * the cuts fell; a phase that none fell into fails the test.
 *
 *     test_crash [FIRST COUNT]      LUMA_CRASH_SEEDS=n in the environment for n seeds
 */
#include <stdio.h>
#include <stdlib.h>

#include "crash.h"

int
main(int argc, char **argv)
{
    const char *seeds = getenv("LUMA_CRASH_SEEDS");
    uint64_t first = 1, count = seeds == NULL ? 220 : strtoull(seeds, NULL, 10), failed = 0;
    if (argc == 3) {
        first = strtoull(argv[1], NULL, 10);
        count = strtoull(argv[2], NULL, 10);
    }
    if (!crash_setup())
        return 77;
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *broken = crash_run(seed, count == 1);
        if (broken != NULL) {
            printf("seed %llu: %s\n", (unsigned long long)seed, broken);
            failed++;
        }
    }
    printf("%llu seeds, %llu failed; power cuts in", (unsigned long long)count,
           (unsigned long long)failed);
    bool all = true;
    for (int i = 0; i <= CRASH_PHASES; i++) {
        const struct crash_phases *p = &crash_phases[i];
        printf(" %s: %llu%s", i == CRASH_PHASES ? "elsewhere" : p->name,
               (unsigned long long)p->crashes, i == CRASH_PHASES ? "\n" : ",");
        all = all && (i == CRASH_PHASES || p->crashes > 0);
    }
    if (!all && count >= 200)
        printf("a phase saw no crash\n");
    return failed == 0 && (all || count < 200) ? EXIT_SUCCESS : EXIT_FAILURE;
}
