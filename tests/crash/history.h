/*
 * tests/crash/history.h - what many transactions did, and whether a database may have done it.
 *
 * Every row holds a list, and every write appends an element that is never used again; so the list
 * that is there in the end tells the order of all versions, and a list that was read tells which of
 * them was seen (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
 * Observations", 2020). From that the dependencies of Adya, "Weak Consistency: A Generalized Theory
 * and Optimistic Implementations for Distributed Transactions" (1999), are drawn:
 *
 *   ww  one transaction's version of a row comes right after another's
 *   wr  one reads what the other has written
 *   rw  one reads a version that the other has replaced
 *
 * They connect moments. A transaction has the moment c at which it commits and a moment s of each
 * snapshot: one at REPEATABLE READ and SERIALIZABLE, one for each statement at READ COMMITTED. A
 * version that is seen was committed before the snapshot (c -> s), one that is not comes after it
 * (s -> c); the clock adds that what was acknowledged before a statement began is seen by it. If
 * these moments have an order, reads came from snapshots, no update was lost and none was seen
 * early; else the cycle says what happened: G0 (only ww), G1c (ww and wr), G-single (one rw).
 *
 * A transaction at SERIALIZABLE has one more moment p, between s and c, at which it must seem to
 * have happened: rw between two of them, also from a predicate to whoever changes what satisfies
 * it, connects those. A cycle through them is G2.
 */
#ifndef TEST_HISTORY_H
#define TEST_HISTORY_H

#include <lumadb/host/txn.h>

#include <stdio.h>

#define HISTORY_KEYS 10

enum history_status {
    HISTORY_ABORTED = 0, /* or never came to its commit */
    HISTORY_COMMITTED,   /* acknowledged */
    HISTORY_UNKNOWN      /* the power went while it committed: wholly there or not at all */
};

/* One row as a statement's snapshot has it; the reader's own appends are taken off. */
struct history_row {
    uint32_t count; /* elements; 0: the row is not there */
    int32_t group;
    uint64_t hash; /* of the elements */
    bool own;      /* the reader has written it */
};

struct history_read {
    uint32_t txn;
    uint64_t invoked, returned;
    struct history_row rows[HISTORY_KEYS];
    int32_t key, group; /* what counts as read; -1: none */
};

struct history_append {
    uint32_t txn;
    int32_t key, group;
    bool undone; /* by a savepoint, or never acknowledged as done */
};

struct history_txn {
    enum luma_isolation level;
    enum history_status status;
    uint32_t life;
    uint32_t first_append;      /* no element of it is smaller */
    uint64_t invoked, returned; /* of its commit; returned 0: never */
    uint64_t commit;            /* its number, when acknowledged */
    uint64_t acknowledged_ns;
};

struct history;

struct history *history_create(void);
void history_destroy(struct history *h);

/* Moments as the clients see them: ascending numbers. */
uint64_t history_now(struct history *h);
uint32_t history_txn(struct history *h, enum luma_isolation level, uint32_t life);
struct history_txn *history_txn_at(struct history *h, uint32_t txn);
uint32_t history_txns(const struct history *h);
/* A new element for the list of a key: 1, 2, ... */
uint32_t history_append(struct history *h, uint32_t txn, int32_t key, int32_t group);
struct history_append *history_append_at(struct history *h, uint32_t element);
uint32_t history_appends(const struct history *h);
struct history_read *history_read(struct history *h, uint32_t txn, int32_t key, int32_t group);
/* The list that `reader` found in a row. NULL, or what cannot be right about it. */
const char *history_row(struct history *h, struct history_row *row, uint32_t reader, int32_t key,
                        const uint32_t *list, uint32_t count, int32_t group);
/* The store was opened again: what has been in doubt until now is decided. */
void history_restart(struct history *h);
/* From here on a commit of a life with this bound may be lost although acknowledged (asynchronous
 * durability), if it was less than `ns` before the power went at cut_ns. */
void history_may_lose(struct history *h, uint32_t life, uint64_t cut_ns, uint64_t ns);

/*
 * The lists as they are in the end, one call a key; then the judgement: NULL, or what is wrong with
 * it. Text is kept in the history.
 */
void history_final(struct history *h, int32_t key, const uint32_t *list, uint32_t count);
const char *history_check(struct history *h);

/* --- for check.c --- */
struct history_life {
    bool may_lose;
    uint64_t cut_ns, window_ns;
};

struct history {
    uint64_t clock;
    struct history_txn *txns;
    struct history_append *appends;
    struct history_read *reads;
    uint32_t txns_count, txns_room, appends_count, appends_room, reads_count, reads_room;
    uint64_t *restarts;
    uint32_t restarts_count, restarts_room;
    struct history_life lives[16];
    uint32_t *final[HISTORY_KEYS];
    uint32_t final_count[HISTORY_KEYS];
    uint32_t lost; /* commits that an asynchronous log lost, as it may */
    char text[2048];
};

#endif
