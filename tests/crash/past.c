/*
 * tests/crash/past.c - states that were committed, remembered, and read again as of their commit:
 * later in the same life, and after power cuts.
 *
 * A seed keeps no history, a long one, which must show every state since the folder was made, or a
 * short one, which may refuse old states, but must not show them otherwise. In some lives of the
 * last kind no history is kept at all.
 */
#include "workload.h"

#define STATES 24

enum history { HISTORY_NONE, HISTORY_LONG, HISTORY_SHORT };

struct past_state {
    uint64_t commit, next_commit; /* next: of the state remembered after it, 0: none yet */
    int64_t us, next_us;          /* after the commit; before the next one */
    struct state state;
};

struct past {
    uint32_t count, newest;
    struct past_state states[STATES];
    uint64_t cut[COLLS]; /* commit at which the collection may have been emptied last */
};

static enum history
history_of(const struct run *run)
{
    return run->seed % 3 != 1 ? HISTORY_NONE : run->seed % 9 == 1 ? HISTORY_SHORT : HISTORY_LONG;
}

uint64_t
crash_past_ns(const struct run *run)
{
    switch (history_of(run)) {
    case HISTORY_NONE:
        return 0;
    case HISTORY_LONG:
        return 3600 * 1000000000ULL;
    case HISTORY_SHORT: /* a call of the disk takes a microsecond */
        return run->lives % 4 == 3 ? 0 : 300000u << run->lives % 3;
    }
    return 0;
}

static void
cut(struct past *past, const struct open_txn *t, uint64_t commit)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->list[i].truncate)
            past->cut[t->list[i].coll] = commit;
}

void
crash_past_add(struct run *run, const struct open_txn *t, uint64_t commit, int64_t before_us,
               const struct state *after)
{
    if (run->past == NULL)
        run->past = calloc(1, sizeof(*run->past));
    struct past *past = run->past;
    if (history_of(run) == HISTORY_NONE)
        return;
    struct past_state *last = past->count == 0 ? NULL : &past->states[past->newest];
    if (commit == 0) { /* in doubt: if it is there, its number comes next */
        cut(past, t, last == NULL ? 0 : last->commit + 1);
        return;
    }
    cut(past, t, commit);
    if (last != NULL) {
        last->next_commit = commit;
        last->next_us = before_us;
    }
    past->newest = past->count < STATES ? past->count++ : (uint32_t)lk_rand_below(&run->r, STATES);
    past->states[past->newest] =
        (struct past_state){.commit = commit, .us = lk_io_wall_us(run->io), .state = *after};
}

/* 72000: allowed where a short history has passed, or the collection was emptied since. */
static bool
refused(struct run *run, bool allowed, const struct past_state *s, luma_rc rc)
{
    if (rc == LUMA_OK || crash_is_dead(run))
        return rc != LUMA_OK;
    bool old = strcmp(run->c.error.sqlstate, "72000") == 0;
    if (!old || !allowed)
        BROKEN(run, "the state of commit %llu cannot be read: %s", (unsigned long long)s->commit,
               run->c.error.message);
    crash_reset(run);
    return true;
}

static void
time_check(struct run *run, const struct past_state *s)
{
    uint64_t commit = 0;
    luma_rc rc = lk_txn_host.commit_at(&run->c.ctx, s->us, &commit);
    if (refused(run, history_of(run) != HISTORY_LONG, s, rc))
        return;
    if (commit < s->commit ||
        (s->next_commit != 0 && s->next_us > s->us && commit >= s->next_commit))
        BROKEN(run, "the time of commit %llu names commit %llu (next %llu)",
               (unsigned long long)s->commit, (unsigned long long)commit,
               (unsigned long long)s->next_commit);
}

static void
state_check(struct run *run, const struct past_state *s)
{
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED, .as_of = s->commit};
    struct luma_txn *txn = NULL;
    bool lax = history_of(run) != HISTORY_LONG;
    luma_rc rc = lk_txn_host.begin(&run->c.ctx, &opts, &txn);
    if (refused(run, lax, s, rc))
        return;
    rc = lk_txn_host.statement_begin(&run->c.ctx, txn);
    for (int coll = 0; rc == LUMA_OK && coll < COLLS && run->broken == NULL; coll++) {
        const char *what = NULL;
        rc = crash_compare(run, txn, coll, &s->state, &what);
        if (refused(run, lax || run->past->cut[coll] > s->commit, s, rc)) {
            rc = LUMA_OK;
            continue;
        }
        if (what != NULL)
            BROKEN(run, "as of commit %llu: %s", (unsigned long long)s->commit, what);
    }
    lk_txn_host.rollback(txn);
}

void
crash_past_verify(struct run *run)
{
    struct past *past = run->past;
    if (past == NULL || past->count == 0 || run->rotten || crash_past_ns(run) == 0)
        return;
    crash_reset(run);
    for (int i = 0; i < 4 && run->broken == NULL && !crash_is_dead(run); i++) {
        uint32_t at = i == 0 ? past->newest : (uint32_t)lk_rand_below(&run->r, past->count);
        state_check(run, &past->states[at]);
        if (run->broken == NULL && !crash_is_dead(run))
            time_check(run, &past->states[at]);
    }
}
