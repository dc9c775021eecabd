/*
 * wal/group.c - group commit: one writer at a time takes all that was appended, writes and syncs
 * it, and wakes everybody it covers.
 */
#include "base/mem.h"
#include "storage/mutant.h"
#include "storage/wait.h"
#include "storage/wal/wal_priv.h"

/* Everything up to `commit` may be answered. WAL is held. */
static void
wal_advance(struct lk_wal *wal, uint64_t commit)
{
    if (commit > atomic_load_explicit(&wal->durable_commit, memory_order_relaxed))
        atomic_store_explicit(&wal->durable_commit, commit, memory_order_release);
    struct lki_wal_waiter **link = &wal->waiters;
    while (*link != NULL) {
        struct lki_wal_waiter *waiter = *link;
        if (waiter->commit > commit && !lk_wal_failed(wal)) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        lk_wait_signal(wal->conf.sched, &waiter->event);
    }
}

/* The log is not believed a second time: nothing is appended, written or synced from here on. */
static void
wal_fail(struct lk_wal *wal, const struct luma_error *error)
{
    if (!atomic_exchange(&wal->failed, true))
        lk_log_error("storage.wal", "the log failed and takes no more commits until a restart: %s",
                     error->message);
    wal_advance(wal, 0);
}

static luma_rc
batch_write(struct luma_ctx *ctx, struct lk_wal *wal, struct lki_wal_batch *batch, bool sync)
{
    LK_IO_PHASE(batch->opens ? "log roll" : "group commit");
    if (wal->unsynced != NULL && wal->unsynced != batch->file) {
        LUMA_TRY(lk_io_sync(ctx, wal->unsynced->file));
        wal->unsynced = NULL;
    }
    LUMA_TRY(
        lk_io_write(ctx, batch->file->file, batch->data.data, batch->data.bytes, batch->offset));
    if (sync && !LK_MUTANT(SYNC_SKIPPED)) {
        luma_rc rc = lk_io_sync(ctx, batch->file->file);
        if (rc != LUMA_OK && LK_MUTANT(SYNC_BELIEVED))
            rc = lk_io_sync(ctx, batch->file->file);
        LUMA_TRY(rc);
    }
    wal->unsynced = sync ? NULL : batch->file;
    return LUMA_OK;
}

void
lki_wal_flush(struct lk_wal *wal)
{
    if (wal->writing)
        return;
    wal->writing = true;
    while (wal->batches != NULL && !lk_wal_failed(wal)) {
        struct lki_wal_batch *batch = wal->batches;
        wal->batches = batch->next;
        if (wal->batches == NULL)
            wal->batches_tail = NULL;
        uint64_t now_ns = wal->conf.async ? lk_io_now_ns(wal->conf.io) : 0;
        bool due = now_ns - wal->synced_at_ns >= wal->conf.async_flush_ns;
        bool sync = !wal->conf.async || batch->opens || (due && !LK_MUTANT(ASYNC_UNBOUND));
        lk_mutex_unlock(&wal->lock);

        struct lk_ctx c;
        lk_ctx_init(&c, NULL);
        luma_rc rc = batch_write(&c.ctx, wal, batch, sync);

        lk_mutex_lock(&wal->lock);
        wal->stats.batches++;
        wal->stats.syncs += sync;
        if (rc != LUMA_OK) {
            wal_fail(wal, &c.error);
        } else {
            if (sync) {
                wal->synced_at_ns = now_ns;
                if (batch->commit > lk_wal_synced(wal))
                    atomic_store_explicit(&wal->synced_commit, batch->commit, memory_order_release);
                atomic_store_explicit(
                    &wal->durable_lsn,
                    lki_wal_lsn(batch->file->number, batch->offset + batch->data.bytes),
                    memory_order_relaxed);
            }
            wal_advance(wal, batch->commit);
        }
        batch->next = wal->batches_free;
        wal->batches_free = batch;
    }
    wal->writing = false;
}

/* Spares ahead of need, so that a commit does not wait for a file to be filled with zeros. */
static void
wal_prepare_ahead(struct lk_wal *wal)
{
    bool due = wal->spares_count == 0 && wal->offset > wal->conf.file_bytes / 2;
    if (!due || lk_wal_failed(wal) || wal->closing)
        return;
    lk_mutex_unlock(&wal->lock);
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    if (lki_wal_prepare(&c.ctx, wal, 1) != LUMA_OK)
        lk_log_warn("storage.wal", "no file for the log to go on in: %s", c.error.message);
    lk_mutex_lock(&wal->lock);
}

/* Async: what was written is synced at the latest async_flush_ns later. WAL is held. */
static void
wal_sync_late(struct lk_wal *wal)
{
    if (wal->unsynced == NULL || wal->writing || lk_wal_failed(wal))
        return;
    struct lki_wal_file *file = wal->unsynced;
    lk_lsn lsn = lki_wal_lsn(wal->files_tail->number, wal->offset);
    bool all = file == wal->files_tail && wal->batches == NULL;
    uint64_t commit = lk_wal_durable(wal);
    wal->writing = true;
    wal->unsynced = NULL;
    lk_mutex_unlock(&wal->lock);
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    luma_rc rc = lk_io_sync(&c.ctx, file->file);
    lk_mutex_lock(&wal->lock);
    wal->writing = false;
    wal->stats.syncs++;
    wal->synced_at_ns = lk_io_now_ns(wal->conf.io);
    if (rc != LUMA_OK) {
        wal_fail(wal, &c.error);
    } else if (all) {
        atomic_store_explicit(&wal->durable_lsn, lsn, memory_order_relaxed);
        atomic_store_explicit(&wal->synced_commit, commit, memory_order_release);
    }
}

void
lk_wal_tick(struct lk_wal *wal)
{
    lk_mutex_lock(&wal->lock);
    if (wal->conf.async && !LK_MUTANT(ASYNC_UNBOUND) &&
        lk_io_now_ns(wal->conf.io) - wal->synced_at_ns >= wal->conf.async_flush_ns)
        wal_sync_late(wal);
    lk_mutex_unlock(&wal->lock);
}

void *
lki_wal_thread(void *arg)
{
    struct lk_wal *wal = arg;
    lk_mutex_lock(&wal->lock);
    for (;;) {
        lki_wal_flush(wal);
        wal_prepare_ahead(wal);
        if (wal->batches != NULL && !lk_wal_failed(wal))
            continue;
        if (wal->closing)
            break;
        wal->sleeping = true;
        if (wal->unsynced == NULL) {
            lk_cond_wait(&wal->work, &wal->lock);
        } else if (!lk_cond_wait_until(&wal->work, &wal->lock,
                                       wal->synced_at_ns + wal->conf.async_flush_ns)) {
            wal_sync_late(wal);
        }
        wal->sleeping = false;
    }
    wal_sync_late(wal);
    lk_mutex_unlock(&wal->lock);
    return NULL;
}

luma_rc
lk_wal_wait(struct luma_ctx *ctx, struct lk_wal *wal, uint64_t commit)
{
    if (LUMA_LIKELY(lk_wal_durable(wal) >= commit) || LK_MUTANT(EARLY_ANSWER))
        return LUMA_OK;
    lk_mutex_lock(&wal->lock);
    if (wal->conf.inline_write) {
        lki_wal_flush(wal);
        wal_prepare_ahead(wal);
    }
    if (lk_wal_durable(wal) < commit && !lk_wal_failed(wal)) {
        struct lki_wal_waiter waiter = {.commit = commit, .next = wal->waiters};
        wal->waiters = &waiter;
        lk_mutex_unlock(&wal->lock);
        lk_wait_surely(wal->conf.sched, &waiter.event);
    } else {
        lk_mutex_unlock(&wal->lock);
    }
    if (lk_wal_durable(wal) >= commit)
        return LUMA_OK;
    return LUMA_FAIL(ctx, LUMA_E_IO,
                     "the log could not be written: whether this transaction is durable is not "
                     "known until the server has been restarted");
}
