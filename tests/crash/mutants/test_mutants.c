/*
 * tests/crash/mutants/test_mutants.c - the crash test, or for defects of transactions the test of
 * histories, must catch each planted defect, and nothing when there is none. The defects are in
 * storage/mutant.h; the storage is built a second time for this program, with them in it.
 *
 *     test_mutants [PART]      only those with PART in their name
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../crash.h"
#include "../sessions.h"
#include "storage/mutant.h"

#define SEEDS_MAX  4000
#define PATIENCE_S 30

enum lk_mutant lk_mutant_now;

static const char *const names[LK_MUTANT_COUNT_] = {
    [LK_MUTANT_NONE] = "none",
    [LK_MUTANT_SYNC_SKIPPED] = "sync skipped",
    [LK_MUTANT_EARLY_ANSWER] = "early answer",
    [LK_MUTANT_ORDER_SWAPPED] = "order swapped",
    [LK_MUTANT_DELETE_LOST] = "delete lost",
    [LK_MUTANT_CRC_UNCHECKED] = "checksum unchecked",
    [LK_MUTANT_COMMIT_SKIPPED] = "commit skipped",
    [LK_MUTANT_DELETES_DROPPED] = "delete map dropped",
    [LK_MUTANT_RUN_UNNAMED] = "index run unnamed",
    [LK_MUTANT_STALE_REPLAYED] = "stale log replayed",
    [LK_MUTANT_SYNC_BELIEVED] = "failed sync believed",
    [LK_MUTANT_LATE_END_LOST] = "late delete lost",
    [LK_MUTANT_UNDO_HALF] = "half an undo",
    [LK_MUTANT_CLAIMS_LOST] = "rows ended by a large transaction lost",
    [LK_MUTANT_BUILD_MISSED] = "rows loaded during an index build missed",
    [LK_MUTANT_BUILD_LATE] = "rows inserted during an index build missed",
    [LK_MUTANT_MERGE_STALE] = "delete map of a merge forgotten",
    [LK_MUTANT_REBUILD_UNNAMED] = "rebuilt run unnamed",
    [LK_MUTANT_FLUSH_UNSYNCED] = "object not synced",
    [LK_MUTANT_FLUSH_NAMELESS] = "object's name not synced",
    [LK_MUTANT_FLUSH_ROW_LOST] = "row lost in a flush",
    [LK_MUTANT_MERGE_CARRY_LOST] = "deletes during a merge lost",
    [LK_MUTANT_MERGE_ROW_LOST] = "row lost in a merge",
    [LK_MUTANT_MERGE_UNNAMED] = "merged segment unnamed",
    [LK_MUTANT_RUN_MERGE_LOST] = "run lost in a merge",
    [LK_MUTANT_RUN_MERGE_LIVE] = "live entries lost in a merge of runs",
    [LK_MUTANT_RUN_MERGE_OLD] = "entries lost in a merge beside a checkpoint",
    [LK_MUTANT_RUN_MERGE_UNNAMED] = "merged run unnamed",
    [LK_MUTANT_MANIFEST_UNSYNCED] = "manifest not synced",
    [LK_MUTANT_MANIFEST_UNCHECKED] = "torn edits of the manifest taken",
    [LK_MUTANT_DELETES_FORGOTTEN] = "later deletes forgotten",
    [LK_MUTANT_MOVE_UNSYNCED] = "moved segment not synced",
    [LK_MUTANT_MOVE_NAMELESS] = "moved segment's name not synced",
    [LK_MUTANT_MOVE_UNNAMED] = "moved segment unnamed",
    [LK_MUTANT_ENDS_LOST] = "ends of rows in segments lost",
    [LK_MUTANT_PAST_LOST] = "ended versions lost",
    [LK_MUTANT_PAST_PRUNED] = "past of the log lost",
    [LK_MUTANT_NEEDS_FORGOTTEN] = "versions of old snapshots lost",
    [LK_MUTANT_CONFLICT_UNSEEN] = "conflict unseen",
    [LK_MUTANT_CHANGE_UNTOLD] = "change untold",
    [LK_MUTANT_SNAPSHOT_OLD] = "old snapshot",
    [LK_MUTANT_SNAPSHOT_MOVES] = "snapshot moves",
    [LK_MUTANT_LOCK_SHARED] = "lock shared",
    [LK_MUTANT_RANGE_FORGOTTEN] = "range forgotten",
    [LK_MUTANT_SCAN_FORGOTTEN] = "scan forgotten",
    [LK_MUTANT_PIVOT_MISSED] = "pivot missed",
    [LK_MUTANT_UNDONE_LOGGED] = "undone changes logged",
    [LK_MUTANT_REDO_HALF] = "half a record replayed",
    [LK_MUTANT_ASYNC_UNBOUND] = "asynchronous log not synced",
    [LK_MUTANT_ASYNC_HORIZON] = "horizon before the log's sync",
    [LK_MUTANT_ASYNC_HOLES] = "damaged record stepped over",
    [LK_MUTANT_SEEN_EARLY] = "seen before it is durable",
};

/* Which test looks for it. */
static bool
of_histories(enum lk_mutant mutant)
{
    return mutant >= LK_MUTANT_CONFLICT_UNSEEN;
}

/* One seed in a process of its own: a defect may end it. Tells what was noticed, "" for nothing. */
static void
one_seed(enum lk_mutant mutant, uint64_t seed, char *out, size_t room)
{
    int ends[2];
    out[0] = '\0';
    if (pipe(ends) != 0)
        exit(EXIT_FAILURE);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        alarm(PATIENCE_S); /* or keep it from ending */
        lk_mutant_now = mutant;
        const char *broken = of_histories(mutant) ? sessions_run(seed) : crash_run(seed, false);
        if (broken != NULL && write(ends[1], broken, strlen(broken)) < 0)
            _exit(2);
        _exit(broken != NULL);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], out, room - 1);
    out[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (out[0] == '\0' && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        snprintf(out, room, "the process ended by itself");
}

/* 1: no seed shows the defect. */
static int
seek_defect(enum lk_mutant mutant)
{
    char what[512];
    uint64_t seed = 1;
    do
        one_seed(mutant, seed, what, sizeof(what));
    while (what[0] == '\0' && seed++ < SEEDS_MAX);
    if (what[0] == '\0')
        printf("%s: not caught by %d seeds\n", names[mutant], SEEDS_MAX);
    else
        printf("%s: caught by seed %llu: %s\n", names[mutant], (unsigned long long)seed, what);
    return what[0] == '\0';
}

/* One process of several: takes the next defect that none has taken. Gives how many were missed. */
static int
seek_defects(_Atomic int *next, const char *part)
{
    int missed = 0;
    for (;;) {
        int m = atomic_fetch_add(next, 1);
        if (m >= LK_MUTANT_COUNT_)
            return missed;
        if (part == NULL || strstr(names[m], part) != NULL)
            missed += seek_defect((enum lk_mutant)m);
    }
}

/* On every core. */
static int
seek_all(const char *part)
{
    int missed = 0, status;
    long workers = sysconf(_SC_NPROCESSORS_ONLN);
    _Atomic int *next =
        mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (next == MAP_FAILED)
        return 1;
    atomic_init(next, LK_MUTANT_NONE + 1);
    fflush(stdout);
    for (long i = 0; i < workers; i++) {
        pid_t child = fork();
        if (child < 0)
            return 1;
        if (child == 0)
            exit(seek_defects(next, part) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    while (wait(&status) > 0)
        missed += !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS;
    return missed;
}

int
main(int argc, char **argv)
{
    char what[512];
    int missed = 0;
    if (!crash_setup())
        return 77;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        one_seed(LK_MUTANT_NONE, seed, what, sizeof(what));
        if (what[0] == '\0' && sessions_run(seed) != NULL)
            snprintf(what, sizeof(what), "%s", sessions_run(seed));
        if (what[0] != '\0') {
            printf("without a defect, seed %llu: %s\n", (unsigned long long)seed, what);
            missed++;
        }
    }
    missed += seek_all(argc > 1 ? argv[1] : NULL);
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
