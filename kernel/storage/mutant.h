/*
 * storage/mutant.h - defects that the crash test must catch: built into tests/crash/mutants only.
 */
#ifndef LK_STORAGE_MUTANT_H
#define LK_STORAGE_MUTANT_H

#include <stdbool.h>

enum lk_mutant {
    LK_MUTANT_NONE = 0,
    LK_MUTANT_SYNC_SKIPPED,    /* the log is written and not synced */
    LK_MUTANT_EARLY_ANSWER,    /* a commit is answered before the log is durable */
    LK_MUTANT_ORDER_SWAPPED,   /* the log goes before the manifest has changed */
    LK_MUTANT_DELETE_LOST,     /* a delete has no redo record */
    LK_MUTANT_CRC_UNCHECKED,   /* torn records are replayed */
    LK_MUTANT_COMMIT_SKIPPED,  /* a checkpoint claims one commit more than it holds */
    LK_MUTANT_DELETES_DROPPED, /* delete maps are not written */
    LK_MUTANT_RUN_UNNAMED,     /* the manifest does not name new index runs */
    LK_MUTANT_STALE_REPLAYED,  /* records of a log file's earlier life are taken for new ones */
    LK_MUTANT_SYNC_BELIEVED,   /* a failed sync is tried again, and success believed */
    LK_MUTANT_LATE_END_LOST,   /* a delete that comes during a flush does not reach the segment */
    LK_MUTANT_UNDO_HALF,       /* a rollback leaves deleted rows deleted */
    LK_MUTANT_REBUILD_UNNAMED, /* the manifest does not name the run of a rebuilt index */
    LK_MUTANT_BUILD_MISSED,    /* a new index lacks rows loaded while it was built */
    LK_MUTANT_BUILD_LATE,      /* and rows inserted while it was built */
    LK_MUTANT_COUNT_
};

#ifdef LK_MUTANTS
extern enum lk_mutant lk_mutant_now;
#define LK_MUTANT(which) (lk_mutant_now == LK_MUTANT_##which)
#else
#define LK_MUTANT(which) false
#endif

#endif
