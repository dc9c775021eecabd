/*
 * txn/open.c - a store with its transactions, and the work it does in the background.
 */
#include "txn/age.h"

#define WORK_TICK_NS  1000000000ULL
#define SWEEP_TICK_NS 20000000ULL /* while readers hold on to what a checkpoint has written */

luma_rc
lk_store_open(struct luma_ctx *ctx, const struct lk_store_conf *conf, struct lk_store **out_store)
{
    struct lk_store *store = NULL;
    LUMA_TRY(lk_core_open(ctx, conf, false, &store));
    luma_rc rc = lk_txns_create(ctx, store);
    if (rc == LUMA_OK && lk_history_unwritten(store)) {
        rc = lk_store_settle(ctx, store);
        if (rc != LUMA_OK)
            lk_txns_destroy(store);
    }
    if (rc != LUMA_OK) {
        lk_core_close(store);
        return rc;
    }
    *out_store = store;
    return LUMA_OK;
}

void
lk_store_close(struct lk_store *store)
{
    if (store == NULL)
        return;
    lk_store_stop(store);
    lk_txns_destroy(store);
    lk_core_close(store);
}

static bool
checkpoint_is_due(struct lk_store *store)
{
    if (atomic_load(&store->checkpoint_wanted))
        return true;
    if (store->conf.checkpoint_ns == 0)
        return false;
    uint64_t now_ns = lk_io_now_ns(store->conf.io);
    return now_ns - atomic_load(&store->checkpoint_at_ns) >= store->conf.checkpoint_ns;
}

static void
work_once(struct lk_store *store)
{
    struct lk_ctx c;
    lk_history_prune(store);
    lki_snapshots_age(store);
    lk_ctx_init(&c, NULL);
    if (checkpoint_is_due(store) && lk_store_checkpoint(&c.ctx, store) != LUMA_OK) {
        lk_log_error("storage", "a checkpoint failed and is tried again: %s", c.error.message);
        return;
    }
    lk_store_heal(store);
    lk_ctx_init(&c, NULL);
    lk_wait_lock(store->conf.sched, &store->work_lock);
    lk_archive_drain(store);
    lk_wait_unlock(store->conf.sched, &store->work_lock);
    if (lk_wal_archive(&c.ctx, store->wal) != LUMA_OK)
        lk_log_error("storage", "the log is not archived, which is tried again: %s",
                     c.error.message);
    bool work = true;
    while (work && !atomic_load(&store->stopping)) {
        (void)lk_store_sweep(store);
        lk_ctx_init(&c, NULL);
        if (lk_store_merge(&c.ctx, store, &work) != LUMA_OK) {
            lk_log_warn("storage", "a merge failed and is tried again: %s", c.error.message);
            break;
        }
    }
    lk_ctx_init(&c, NULL);
    if (!atomic_load(&store->stopping) && lk_store_tiers(&c.ctx, store) != LUMA_OK)
        lk_log_warn("storage", "segments are not where their tier wants them: %s", c.error.message);
}

static void
work_task(void *arg)
{
    struct lk_store *store = arg;
    uint64_t next_ns = lk_io_now_ns(store->conf.io) + WORK_TICK_NS, sweep_ns = SWEEP_TICK_NS;
    while (!atomic_load(&store->stopping)) {
        struct lk_ctx c;
        uint64_t now_ns = lk_io_now_ns(store->conf.io);
        /* A reader may hold on for long: it is asked less and less often. */
        sweep_ns = lk_store_sweep(store) ? LK_MIN(sweep_ns * 2, WORK_TICK_NS) : WORK_TICK_NS;
        lk_ctx_init(&c, NULL);
        luma_rc rc =
            store->conf.sched->wait(&c.ctx, &store->wake, LK_MIN(next_ns, now_ns + sweep_ns));
        if (rc == LUMA_E_TIMEOUT && lk_io_now_ns(store->conf.io) < next_ns)
            continue;
        if ((rc == LUMA_OK || rc == LUMA_E_TIMEOUT) && !atomic_load(&store->stopping))
            work_once(store);
        next_ns = lk_io_now_ns(store->conf.io) + WORK_TICK_NS;
        sweep_ns = SWEEP_TICK_NS / 2;
    }
    store->conf.sched->signal(&store->ended);
}

luma_rc
lk_store_start(struct luma_ctx *ctx, struct lk_store *store)
{
    if (store->conf.sched == NULL)
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "background work needs a scheduler");
    luma_rc rc = store->conf.sched->spawn("storage", LUMA_PRIO_BACKGROUND, LUMA_STACK_NORMAL,
                                          work_task, store);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "the storage's background task could not be started");
    atomic_store(&store->running, true);
    return LUMA_OK;
}

void
lk_store_stop(struct lk_store *store)
{
    if (!atomic_exchange(&store->running, false))
        return;
    atomic_store(&store->stopping, true);
    lk_wait_signal(store->conf.sched, &store->wake);
    lk_wait_surely(store->conf.sched, &store->ended);
}
