/*
 * storage/mutant.h - defects that the crash test must catch: built into tests/crash/mutants only.
 */
#ifndef LK_STORAGE_MUTANT_H
#define LK_STORAGE_MUTANT_H

#include <stdbool.h>

enum lk_mutant {
    LK_MUTANT_NONE = 0,
    LK_MUTANT_SYNC_SKIPPED,      /* the log is written and not synced */
    LK_MUTANT_EARLY_ANSWER,      /* a commit is answered before the log is durable */
    LK_MUTANT_ORDER_SWAPPED,     /* the log goes before the manifest has changed */
    LK_MUTANT_DELETE_LOST,       /* a delete has no redo record */
    LK_MUTANT_CRC_UNCHECKED,     /* torn records are replayed */
    LK_MUTANT_COMMIT_SKIPPED,    /* a checkpoint claims one commit more than it holds */
    LK_MUTANT_DELETES_DROPPED,   /* delete maps are not written */
    LK_MUTANT_RUN_UNNAMED,       /* the manifest does not name new index runs */
    LK_MUTANT_STALE_REPLAYED,    /* records of a log file's earlier life are taken for new ones */
    LK_MUTANT_SYNC_BELIEVED,     /* a failed sync is tried again, and success believed */
    LK_MUTANT_LATE_END_LOST,     /* a delete that comes during a flush does not reach the segment */
    LK_MUTANT_UNDO_HALF,         /* a rollback leaves deleted rows deleted */
    LK_MUTANT_REBUILD_UNNAMED,   /* the manifest does not name the run of a rebuilt index */
    LK_MUTANT_BUILD_MISSED,      /* a new index lacks rows loaded while it was built */
    LK_MUTANT_BUILD_LATE,        /* and rows inserted while it was built */
    LK_MUTANT_FLUSH_UNSYNCED,    /* an object is named before it is durable */
    LK_MUTANT_FLUSH_NAMELESS,    /* or before its name is */
    LK_MUTANT_FLUSH_ROW_LOST,    /* a segment lacks its last row */
    LK_MUTANT_MERGE_CARRY_LOST,  /* deletes that come while segments are merged are not carried over
                                  */
    LK_MUTANT_MERGE_ROW_LOST,    /* a merge of segments leaves a row out */
    LK_MUTANT_MERGE_UNNAMED,     /* the manifest does not name the result of a merge */
    LK_MUTANT_RUN_MERGE_LOST,    /* a merge of index runs leaves one out */
    LK_MUTANT_RUN_MERGE_LIVE,    /* or drops entries of rows that are there */
    LK_MUTANT_RUN_MERGE_OLD,     /* or entries of rows that a checkpoint beside it moved */
    LK_MUTANT_RUN_MERGE_UNNAMED, /* the manifest does not name the result */
    LK_MUTANT_MANIFEST_UNSYNCED, /* an edit of the manifest is not synced */
    LK_MUTANT_MANIFEST_UNCHECKED, /* torn edits are taken for whole */
    LK_MUTANT_DELETES_FORGOTTEN,  /* deletes after a checkpoint's commit are not in the next map */
    LK_MUTANT_MERGE_STALE,        /* a merge forgets deletes that a checkpoint wrote beside it */
    LK_MUTANT_CLAIMS_LOST,        /* the log does not name rows that a large transaction ended */
    LK_MUTANT_MOVE_UNSYNCED,      /* a segment is moved before its copy is durable */
    LK_MUTANT_MOVE_NAMELESS,      /* or before the name of the copy is */
    LK_MUTANT_MOVE_UNNAMED,       /* the manifest does not say that it lies elsewhere */
    LK_MUTANT_ENDS_LOST,          /* when rows of segments ended is not kept */
    LK_MUTANT_PAST_LOST,          /* nor the versions that ended in memory */
    LK_MUTANT_PAST_PRUNED,        /* nor, when the log is replayed, any state but the last */
    LK_MUTANT_NEEDS_FORGOTTEN,    /* versions go that an old snapshot sees */
    /* Of transactions: the test of histories must catch these. */
    LK_MUTANT_CONFLICT_UNSEEN, /* a snapshot changes rows that others have changed since */
    LK_MUTANT_CHANGE_UNTOLD,   /* who waited for a row is not told that it has changed */
    LK_MUTANT_SNAPSHOT_OLD,    /* a snapshot lacks the newest commit */
    LK_MUTANT_SNAPSHOT_MOVES,  /* REPEATABLE READ takes a snapshot per statement */
    LK_MUTANT_LOCK_SHARED,     /* a lock is given to several writers */
    LK_MUTANT_RANGE_FORGOTTEN, /* SERIALIZABLE does not remember ranges of an index it has read */
    LK_MUTANT_SCAN_FORGOTTEN,  /* nor the conditions of scans */
    LK_MUTANT_PIVOT_MISSED,    /* nor looks at the writer between two others */
    LK_MUTANT_UNDONE_LOGGED,   /* what a savepoint took back stays in the redo record */
    LK_MUTANT_REDO_HALF,       /* recovery leaves the rest of a record out */
    LK_MUTANT_SEEN_EARLY,      /* readers do not wait until what they saw is durable */
    LK_MUTANT_ASYNC_UNBOUND,   /* an asynchronous log is synced when a file is full */
    LK_MUTANT_ASYNC_HORIZON,   /* entries go that a commit made dead which a power cut undoes */
    LK_MUTANT_ASYNC_HOLES,     /* a damaged record is stepped over when the log is replayed */
    LK_MUTANT_COUNT_
};

#ifdef LK_MUTANTS
extern enum lk_mutant lk_mutant_now;
#define LK_MUTANT(which) (lk_mutant_now == LK_MUTANT_##which)
#else
#define LK_MUTANT(which) false
#endif

#endif
