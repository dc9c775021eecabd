/*
 * tests/crash/test_sweep.c - one fault at every call of a fixed workload: the power goes, the disk
 * answers EIO, is full, writes a part, forgets what it was to sync, turns a bit of what is read, or
 * says that it has written what lies elsewhere or in part.
 * Whatever was acknowledged before is there afterwards, nothing else is, and the folder is sound.
 *
 *     test_sweep                    a part of the calls that moves with LUMA_TEST_SEED
 *     LUMA_TEST_FULL=1 test_sweep   all of them
 *     test_sweep SEED               all of another workload
 *     test_sweep SEED FAULT AT      one
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define PARTS     16    /* a reduced run takes one of so many calls, */
#define CALLS_MAX 65536 /* or fewer: workloads make no more than so many with one kind of fault */
#define WORKLOADS 10    /* a full run takes so many */

static const struct crash_fault faults[] = {
    {"cut", LK_IO_CALL_ANY, LK_IO_SIM_POWER_CUT, 0},
    {"eio", LK_IO_CALL_ANY, LK_IO_SIM_EIO, 0},
    {"full", LK_IO_CALL_ANY, LK_IO_SIM_ENOSPC, 0},
    {"short", LK_IO_CALL_WRITE, LK_IO_SIM_SHORT, 0},
    {"unsynced", LK_IO_CALL_SYNC, LK_IO_SIM_SYNC_DROP, 0},
    {"flip", LK_IO_CALL_READ, LK_IO_SIM_BIT_FLIP, 0},
    {"astray", LK_IO_CALL_WRITE, LK_IO_SIM_ASTRAY, 0},
    {"holes", LK_IO_CALL_WRITE, LK_IO_SIM_HOLES, 0},
};

static const char *
run_one(uint64_t seed, const struct crash_fault *kind, uint64_t at)
{
    struct crash_fault fault = *kind;
    fault.at = at;
    return crash_sweep(seed, &fault, NULL);
}

static uint64_t
sweep(uint64_t seed, const struct crash_fault *kind, uint64_t calls, uint64_t first, uint64_t step)
{
    uint64_t failed = 0, runs = 0;
    for (uint64_t at = 1 + first % step; at <= calls; at += step, runs++) {
        const char *broken = run_one(seed, kind, at);
        if (broken == NULL)
            continue;
        printf("test_sweep %llu %s %llu: %s\n", (unsigned long long)seed, kind->name,
               (unsigned long long)at, broken);
        failed++;
    }
    printf("%s: %llu of %llu calls, %llu failed\n", kind->name, (unsigned long long)runs,
           (unsigned long long)calls, (unsigned long long)failed);
    return failed;
}

static uint64_t
rotation(void)
{
    const char *seed = getenv("LUMA_TEST_SEED");
    return seed == NULL ? 0 : strtoull(seed, NULL, 10);
}

/* One call of so many: some workloads make twenty times as many as others, each time again. */
static uint64_t
reduced_step(uint64_t calls, uint64_t calls_all)
{
    uint64_t runs = CALLS_MAX / calls_all + 1;
    return LK_MAX((uint64_t)PARTS, calls / runs);
}

static int
sweep_all(uint64_t seed, bool full)
{
    uint64_t first = rotation(), failed = 0;
    uint64_t calls[LK_IO_CALL_COUNT_];
    const char *broken = crash_sweep(seed, NULL, calls);
    if (broken != NULL) {
        printf("without a fault: %s\n", broken);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < LUMA_COUNTOF(faults); i++) {
        uint64_t n = calls[faults[i].call];
        uint64_t step = full ? 1 : reduced_step(n, calls[LK_IO_CALL_ANY]);
        failed += sweep(seed, &faults[i], n, first, step);
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    const char *full = getenv("LUMA_TEST_FULL");
    if (!crash_setup())
        return 77;
    for (size_t i = 0; argc == 4 && i < LUMA_COUNTOF(faults); i++) {
        if (strcmp(argv[2], faults[i].name) != 0)
            continue;
        const char *broken =
            run_one(strtoull(argv[1], NULL, 10), &faults[i], strtoull(argv[3], NULL, 10));
        printf("%s\n", broken == NULL ? "kept its promises" : broken);
        return broken == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (argc == 2)
        return sweep_all(strtoull(argv[1], NULL, 10), true);
    if (full == NULL || strcmp(full, "1") != 0)
        return sweep_all(7 + rotation() / PARTS % WORKLOADS, false);
    int rc = EXIT_SUCCESS;
    for (uint64_t seed = 7; seed < 7 + WORKLOADS; seed++)
        rc |= sweep_all(seed, true);
    return rc;
}
