/*
 * tests/crash/workload.h - the workload from inside: what is open, what the model holds.
 */
#ifndef TEST_CRASH_WORKLOAD_H
#define TEST_CRASH_WORKLOAD_H

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"
#include "crash.h"
#include "data/data.h"
#include "io/sim.h"
#include "storage/store.h"

#define COLLS     2
#define KEYS      150
#define TXNS      3
#define OLD       4 /* snapshots that stay open for long */
#define PENDING   2000
#define BULK_ROWS 4300
#define BULKS     3
#define SEQ       77

struct cell {
    bool exists;
    int32_t v;
    uint32_t text; /* seed of the text */
};

struct state {
    struct cell cells[COLLS][KEYS];
    bool bulk[BULKS]; /* rows of bulk load b are there, in collection 0 */
};

struct pending {
    uint8_t coll;
    uint16_t key;
    struct cell now;
    int8_t bulk;   /* >= 0: this bulk load instead */
    bool truncate; /* the collection is emptied instead */
};

struct open_txn {
    struct luma_txn *txn;
    bool snapshot;     /* REPEATABLE READ */
    struct state seen; /* at its begin, when snapshot */
    struct pending list[PENDING];
    uint32_t count;
    uint64_t savepoint;
    uint32_t savepoint_count; /* UINT32_MAX: none */
};

struct run {
    struct lk_rand r;
    struct lk_io *io;
    struct lk_store *store;
    struct luma_arena *arena;
    struct lk_ctx c;
    struct state committed;
    struct state maybe; /* with the commit that the crash interrupted */
    bool is_maybe;
    struct open_txn txns[TXNS];
    struct open_txn *old[OLD]; /* NULL: not open; they read only */
    int8_t owner[COLLS][KEYS]; /* -1: nobody */
    int8_t coll_owner[COLLS];  /* TRUNCATE, bulk load */
    int64_t sequence;          /* highest value acknowledged */
    int index_version;         /* definitions tried */
    bool indexing;             /* in the middle of one */
    bool merging;              /* in the pause of a merge */
    uint64_t seed;
    uint32_t tier_passes;
    bool verbose;
    bool sick;           /* a sync was made to fail: the life ends at the first error */
    bool rotten;         /* a write was lost and nobody told: what is damaged may be refused */
    bool refused, hurt;  /* and some was; this life is to end */
    bool ended;          /* the log has a record behind everything */
    struct state before; /* the last commit but one */
    struct past *past;   /* past.c's */
    uint32_t lives;      /* begun */
    const char *broken;
};

extern char crash_complaint[2048];

#define BROKEN(run, ...)                                                     \
    do {                                                                     \
        if ((run)->broken == NULL) {                                         \
            snprintf(crash_complaint, sizeof(crash_complaint), __VA_ARGS__); \
            (run)->broken = crash_complaint;                                 \
        }                                                                    \
    } while (0)

/* --- workload.c --- */
extern const uint64_t crash_coll_ids[COLLS];
luma_rc crash_define(struct run *run, struct luma_txn *txn);
bool crash_is_dead(struct run *run);
void crash_reset(struct run *run);
void crash_named(struct run *run);
bool crash_close_off(struct run *run);
void crash_release(struct run *run, int number);
/* Compares the store with the model, as t sees it (NULL: as it is). */
void crash_verify(struct run *run, struct open_txn *t, bool after_crash);
/* A collection as txn sees it, by scan, by its indexes and by key; *out_what: what differs. */
luma_rc crash_compare(struct run *run, struct luma_txn *txn, int coll, const struct state *want,
                      const char **out_what);
void crash_op(struct run *run);
void crash_old_end(struct run *run);
void crash_background(struct run *run, bool merge);
void crash_while_building(void *arg);
void crash_while_merging(void *arg);

/* --- past.c --- */
/* How much of the past this life keeps. */
uint64_t crash_past_ns(const struct run *run);
/* t was committed, begun before_us (commit 0: perhaps), and what was there afterwards. */
void crash_past_add(struct run *run, const struct open_txn *t, uint64_t commit, int64_t before_us,
                    const struct state *after);
/* Some of what was remembered, read as of then. */
void crash_past_verify(struct run *run);

#endif
