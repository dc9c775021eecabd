/*
 * txn/txn.c - the life of a transaction, and the table modules get.
 */
#include <stdlib.h>

#include "storage/mutant.h"
#include "txn/age.h"
#include "txn/history.h"
#include "txn/large.h"
#include "txn/lock.h"
#include "txn/serial.h"

#define REDO_KEEP_BYTES (256u << 10) /* room a transaction keeps for the next one in its slot */
#define WRITES_KEEP     4096u

static struct lk_store *current_store;
static void (*slot_end)(void *content, bool committed, uint64_t commit);

struct lk_store *
lk_store_current(void)
{
    return current_store;
}

void
lk_txn_set_slot_end(void (*end)(void *content, bool committed, uint64_t commit))
{
    slot_end = end;
}

void **
lk_txn_slot(struct luma_txn *txn)
{
    return &txn->slot_content;
}

uint64_t
lk_txn_undo_count(const struct luma_txn *txn)
{
    return txn->undo_count;
}

void
lk_txn_saw(struct luma_txn *txn, uint64_t commit)
{
    uint64_t seen = atomic_load_explicit(&txn->seen, memory_order_relaxed);
    while (seen < commit &&
           !atomic_compare_exchange_weak_explicit(&txn->seen, &seen, commit, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue;
}

/* --- the pool --- */

static uint32_t
pool_of_thread(void)
{
    static _Atomic uint32_t threads;
    static _Thread_local uint32_t mine;
    if (mine == 0)
        mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
    return mine % LKI_POOLS;
}

static struct luma_txn *
pool_take(struct lki_pool *pool)
{
    lk_mutex_lock(&pool->lock);
    struct luma_txn *txn = pool->free;
    if (txn != NULL)
        pool->free = txn->next_free;
    lk_mutex_unlock(&pool->lock);
    return txn;
}

static struct luma_txn *
txn_new(struct lk_store *store)
{
    uint32_t index = atomic_load(&store->slots.used);
    struct luma_txn *txn = calloc(1, sizeof(*txn)); /* before the slot: that is never given back */
    if (txn == NULL)
        return NULL;
    do {
        if (index == LK_SLOTS_MAX) {
            free(txn);
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&store->slots.used, &index, index + 1));
    txn->store = store;
    txn->index = index;
    txn->slot = &store->slots.slots[index];
    lk_bytes_init(&txn->redo, NULL);
    lk_mutex_init(&txn->readers_lock, LK_LOCK_TXN_READERS);
    atomic_store_explicit(&((struct lk_txns *)store->txns)->all[index], txn, memory_order_release);
    return txn;
}

static struct luma_txn *
txn_get(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    uint32_t mine = pool_of_thread();
    struct luma_txn *txn = pool_take(&txns->pools[mine]);
    if (txn == NULL)
        txn = txn_new(store);
    for (uint32_t i = 1; txn == NULL && i < LKI_POOLS; i++)
        txn = pool_take(&txns->pools[(mine + i) % LKI_POOLS]);
    return txn;
}

static void
txn_put(struct luma_txn *txn)
{
    struct lk_txns *txns = txn->store->txns;
    struct lki_pool *pool = &txns->pools[pool_of_thread()];
    /* Readers that meet a left-over stamp find that it is not this slot's any more. */
    if (txn->stamp != 0)
        atomic_store_explicit(&txn->slot->stamp, 0, memory_order_release);
    atomic_store_explicit(&txn->slot->snapshot, 0, memory_order_release);
    if (txn->redo.room > REDO_KEEP_BYTES)
        lk_bytes_fini(&txn->redo);
    lk_bytes_reset(&txn->redo);
    if (txn->writes_room > WRITES_KEEP) {
        free(txn->writes);
        txn->writes = NULL;
        txn->writes_room = 0;
    }
    txn->writes_count = txn->colls_count = txn->savepoints_count = 0;
    txn->stamp = 0;
    lk_mutex_lock(&pool->lock);
    txn->next_free = pool->free;
    pool->free = txn;
    lk_mutex_unlock(&pool->lock);
}

static void
txn_free(struct luma_txn *txn)
{
    lki_holds_free(txn);
    lk_bytes_fini(&txn->redo);
    free(txn->writes);
    free(txn->colls);
    free(txn->hots);
    free(txn->savepoints);
    free(txn->marks);
    lk_mutex_fini(&txn->readers_lock);
    free(txn);
}

luma_rc
lk_txns_create(struct luma_ctx *ctx, struct lk_store *store)
{
    struct lk_txns *txns = aligned_alloc(LK_CACHE_LINE, sizeof(*txns));
    if (txns == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transactions: out of memory");
    memset(txns, 0, sizeof(*txns));
    txns->all = calloc(LK_SLOTS_MAX, sizeof(txns->all[0])); /* pages never touched cost nothing */
    if (txns->all == NULL) {
        free(txns);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transactions: out of memory");
    }
    atomic_init(&txns->next_id, store->commit + 1);
    for (uint32_t i = 0; i < LKI_POOLS; i++)
        lk_mutex_init(&txns->pools[i].lock, LK_LOCK_TXN_POOL);
    lk_mutex_init(&txns->serial_lock, LK_LOCK_TXN_SERIAL);
    store->txns = txns;
    current_store = store;
    txns->began_commit = store->commit;
    return lk_locks_create(ctx, txns);
}

void
lk_txns_destroy(struct lk_store *store)
{
    struct lk_txns *txns = store->txns;
    if (txns == NULL)
        return;
    for (uint32_t i = 0; i < LKI_POOLS; i++) {
        while (txns->pools[i].free != NULL) {
            struct luma_txn *txn = txns->pools[i].free;
            txns->pools[i].free = txn->next_free;
            txn_free(txn);
        }
        lk_mutex_fini(&txns->pools[i].lock);
    }
    lki_locks_destroy(txns);
    lki_serial_destroy(txns);
    free(txns->all);
    free(txns);
    store->txns = NULL;
    if (current_store == store)
        current_store = NULL;
}

/* --- begin --- */

/* The past does not change: no level is needed. */
static luma_rc
as_of(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t commit)
{
    LUMA_TRY(lki_history_pin(ctx, txn, commit));
    txn->as_of = txn->read_only = true;
    txn->isolation = LUMA_REPEATABLE_READ;
    txn->snap.commit = commit;
    return LUMA_OK;
}

static luma_rc
txn_begin(struct luma_ctx *ctx, const struct luma_txn_opts *opts, struct luma_txn **out_txn)
{
    struct lk_store *store = current_store;
    if (store == NULL)
        return LUMA_FAIL(ctx, LUMA_E_SHUTDOWN, "the store is closed");
    struct luma_txn *txn = txn_get(store);
    if (txn == NULL && atomic_load(&store->slots.used) < LK_SLOTS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    if (txn == NULL)
        return LUMA_FAIL(ctx, LUMA_E_BUSY, "too many transactions are open");
    txn->isolation = opts == NULL ? LUMA_READ_COMMITTED : opts->isolation;
    txn->read_only = opts != NULL && opts->read_only;
    txn->deferrable = opts != NULL && opts->deferrable;
    txn->serial = NULL;
    txn->as_of = false;
    txn->owner = opts == NULL ? 0 : opts->owner;
    txn->lock_timeout_ns = opts == NULL ? 0 : opts->lock_timeout_ns;
    txn->id = atomic_fetch_add_explicit(&((struct lk_txns *)store->txns)->next_id, 1,
                                        memory_order_relaxed);
    txn->start_us = lk_io_wall_us(store->conf.io);
    txn->snap = (struct lk_snapshot){.slots = &store->slots, .command = 1};
    lki_renew_begin(txn);
    txn->snap.commit = lk_slots_snapshot(&store->slots, txn->slot);
    lki_renew_end(txn);
    atomic_store_explicit(&txn->seen, 0, memory_order_relaxed);
    txn->slot_content = NULL;
    txn->undo_count = 0;
    txn->savepoint_serial = 0;
    lki_large_begin(txn);
    luma_rc rc = LUMA_OK;
    if (opts != NULL && opts->as_of != 0)
        rc = as_of(ctx, txn, opts->as_of);
    else if (txn->isolation == LUMA_SERIALIZABLE)
        rc = lki_serial_begin(ctx, txn, false);
    if (rc != LUMA_OK) {
        txn_put(txn);
        return rc;
    }
    *out_txn = txn;
    return LUMA_OK;
}

/* The snapshot that the statement has: a new one, or the transaction's. */
static luma_rc
statement_snapshot(struct luma_ctx *ctx, struct luma_txn *txn)
{
    /* Until its first statement a REPEATABLE READ transaction has seen nothing either. */
    bool first = txn->snap.command == 2;
    bool fresh = txn->isolation == LUMA_READ_COMMITTED || first || LK_MUTANT(SNAPSHOT_MOVES);
    fresh = fresh && !txn->as_of;
    if (!fresh) {
        LUMA_TRY(lki_use_begin(ctx, txn));
        lki_use_end(txn);
    }
    if (txn->isolation == LUMA_SERIALIZABLE && first) {
        lki_renew_begin(txn);
        luma_rc rc = lki_serial_begin(ctx, txn, true);
        lki_renew_end(txn);
        return rc;
    }
    if (LUMA_UNLIKELY(txn->serial != NULL))
        return lki_serial_check(ctx, txn);
    if (fresh) {
        lki_renew_begin(txn);
        txn->snap.commit = lk_slots_snapshot(&txn->store->slots, txn->slot);
        lki_renew_end(txn);
    }
    txn->snap.commit -= fresh && LK_MUTANT(SNAPSHOT_OLD);
    return LUMA_OK;
}

static luma_rc
txn_statement_begin(struct luma_ctx *ctx, struct luma_txn *txn)
{
    txn->snap.command++;
    if (LUMA_UNLIKELY(txn->writes_count > 0))
        LUMA_TRY(lki_large_due(ctx, txn));
    return statement_snapshot(ctx, txn);
}

static void
txn_command_end(struct luma_txn *txn)
{
    txn->snap.command++;
}

/* --- writes --- */

luma_rc
lk_txn_stamp_take(struct luma_ctx *ctx, struct luma_txn *txn)
{
    if (txn->read_only)
        return LUMA_FAIL(ctx, LUMA_E_READONLY, "cannot change data in a read-only transaction");
    if (txn->stamp == 0) {
        txn->stamp = lk_slots_stamp(&txn->store->slots, txn->index);
        txn->snap.own = txn->stamp;
    }
    return LUMA_OK;
}

luma_rc
lk_txn_write_begin(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_coll *coll)
{
    LUMA_TRY(lk_txn_stamp_take(ctx, txn));
    for (uint32_t i = txn->colls_count; i > 0; i--)
        if (txn->colls[i - 1] == coll)
            return LUMA_OK;
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_coll(coll->id), LUMA_LOCK_KEY_SHARE, LUMA_LOCK_WAIT));
    if (txn->colls_count == txn->colls_room) {
        uint32_t room = txn->colls_room == 0 ? 8 : txn->colls_room * 2;
        struct lk_coll **colls = realloc(txn->colls, room * sizeof(*colls));
        if (colls == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
        txn->colls = colls;
        txn->colls_room = room;
    }
    txn->colls[txn->colls_count++] = coll;
    return LUMA_OK;
}

static luma_rc
hot_hold(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_hot *hot)
{
    for (uint32_t i = txn->hots_count; i > 0; i--)
        if (txn->hots[i - 1] == hot)
            return LUMA_OK;
    if (txn->hots_count == txn->hots_room) {
        uint32_t room = txn->hots_room == 0 ? 8 : txn->hots_room * 2;
        struct lk_hot **hots = realloc(txn->hots, room * sizeof(*hots));
        if (hots == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
        txn->hots = hots;
        txn->hots_room = room;
    }
    lk_hot_ref(hot);
    txn->hots[txn->hots_count++] = hot;
    return LUMA_OK;
}

luma_rc
lk_txn_write(struct luma_ctx *ctx, struct luma_txn *txn, const struct lk_write *write,
             struct lk_hot *hot)
{
    if (hot != NULL)
        LUMA_TRY(hot_hold(ctx, txn, hot));
    if (txn->writes_count == txn->writes_room) {
        uint32_t room = txn->writes_room == 0 ? 64 : txn->writes_room * 2;
        struct lk_write *writes = realloc(txn->writes, room * sizeof(*writes));
        if (writes == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
        txn->writes = writes;
        txn->writes_room = room;
    }
    txn->writes[txn->writes_count++] = *write;
    return LUMA_OK;
}

/* --- savepoints --- */

static luma_rc
txn_savepoint(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_savepoint)
{
    LUMA_TRY(lki_large_before_savepoint(ctx, txn));
    if (txn->savepoints_count == txn->savepoints_room) {
        uint32_t room = txn->savepoints_room == 0 ? 8 : txn->savepoints_room * 2;
        struct lk_savepoint *list = realloc(txn->savepoints, room * sizeof(*list));
        if (list == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
        txn->savepoints = list;
        txn->savepoints_room = room;
    }
    struct lk_savepoint *sp = &txn->savepoints[txn->savepoints_count++];
    sp->serial = ++txn->savepoint_serial;
    sp->writes = txn->writes_count;
    sp->redo = txn->redo.bytes;
    sp->holds = txn->holds;
    *out_savepoint = sp->serial;
    return LUMA_OK;
}

static struct lk_savepoint *
savepoint_find(struct luma_txn *txn, uint64_t serial)
{
    for (uint32_t i = txn->savepoints_count; i > 0; i--)
        if (txn->savepoints[i - 1].serial == serial)
            return &txn->savepoints[i - 1];
    return NULL;
}

/* Collections first changed after the savepoint are locked anew when they are changed again. */
static void
colls_recount(struct luma_txn *txn)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < txn->colls_count; i++)
        if (lki_lock_is_held(txn, lk_lock_coll(txn->colls[i]->id)))
            txn->colls[kept++] = txn->colls[i];
    txn->colls_count = kept;
}

static luma_rc
txn_rollback_to(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t savepoint)
{
    struct lk_savepoint *sp = savepoint_find(txn, savepoint);
    if (sp == NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "3B001", "savepoint does not exist");
    lk_txn_undo(txn, sp->writes);
    txn->redo.bytes = LK_MUTANT(UNDONE_LOGGED) ? txn->redo.bytes : sp->redo;
    txn->redo.failed = false;
    lk_lock_release(txn, sp->holds);
    colls_recount(txn);
    lki_large_rolled_back(txn, sp);
    txn->savepoints_count = (uint32_t)(sp - txn->savepoints) + 1; /* it stays */
    txn->undo_count++;
    txn->snap.command++;
    return LUMA_OK;
}

static void
txn_release(struct luma_txn *txn, uint64_t savepoint)
{
    struct lk_savepoint *sp = savepoint_find(txn, savepoint);
    if (sp != NULL)
        txn->savepoints_count = (uint32_t)(sp - txn->savepoints);
}

/* --- end --- */

static void
txn_end(struct luma_txn *txn, bool committed, uint64_t commit)
{
    if (LUMA_UNLIKELY(txn->serial != NULL))
        lki_serial_end(txn, committed);
    lki_privates_free(txn, 0, committed);
    lk_lock_release(txn, NULL);
    for (uint32_t i = 0; i < txn->hots_count; i++)
        lk_hot_unref(txn->hots[i]);
    txn->hots_count = 0;
    if (txn->slot_content != NULL && slot_end != NULL)
        slot_end(txn->slot_content, committed, commit);
    txn->slot_content = NULL;
    while (txn->ends != NULL) {
        struct lk_txn_end *end = txn->ends;
        txn->ends = end->next;
        end->fn(end->arg, committed);
        free(end);
    }
}

static void
txn_rollback(struct luma_txn *txn)
{
    if (txn == NULL)
        return;
    if (txn->writes_count > 0 || txn->stamp != 0) {
        lk_txn_undo(txn, 0);
        lk_stat_add(txn->store->stats.rollbacks, 1);
    }
    txn_end(txn, false, 0);
    txn_put(txn);
}

static luma_rc
wait_durable(struct luma_ctx *ctx, struct lk_store *store, uint64_t commit)
{
    if (LUMA_LIKELY(lk_wal_durable(store->wal) >= commit))
        return LUMA_OK;
    return lk_wal_wait(ctx, store->wal, commit);
}

static luma_rc
txn_commit_get(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_commit)
{
    struct lk_store *store = txn->store;
    uint64_t commit = 0;
    *out_commit = 0;
    if (LUMA_UNLIKELY(txn->serial != NULL)) {
        luma_rc rc = lki_serial_prepare(ctx, txn);
        if (rc != LUMA_OK) {
            txn_rollback(txn);
            return rc;
        }
    }
    if (txn->redo.bytes > 0 || txn->writes_count > 0 || txn->redo.failed) {
        luma_rc rc = txn->redo.failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory")
                                      : lki_commit_place(ctx, txn, &commit);
        if (rc != LUMA_OK) {
            txn_rollback(txn);
            return rc;
        }
    }
    *out_commit = commit;
    txn_end(txn, true, commit);
    uint64_t seen = LK_MAX(commit, atomic_load_explicit(&txn->seen, memory_order_relaxed));
    seen = LK_MAX(seen, txn->snap.seen);
    txn_put(txn);
    if (commit == 0)
        return wait_durable(ctx, store, seen);
    uint64_t start_ns = lk_io_now_ns(store->conf.io);
    luma_rc rc = wait_durable(ctx, store, seen);
    lk_stat_add(store->stats.commits, 1);
    lk_stat_observe_ns(store->stats.commit_wait, lk_io_now_ns(store->conf.io) - start_ns);
    lki_checkpoint_due(store);
    return rc;
}

static luma_rc
txn_commit(struct luma_ctx *ctx, struct luma_txn *txn)
{
    uint64_t commit;
    return txn_commit_get(ctx, txn, &commit);
}

static luma_rc
txn_wait_seen(struct luma_ctx *ctx, struct luma_txn *txn)
{
    uint64_t seen = LK_MAX(atomic_load_explicit(&txn->seen, memory_order_relaxed), txn->snap.seen);
    return LK_MUTANT(SEEN_EARLY) ? LUMA_OK : wait_durable(ctx, txn->store, seen);
}

static luma_rc
txn_on_end(struct luma_ctx *ctx, struct luma_txn *txn, void (*fn)(void *arg, bool committed),
           void *arg)
{
    struct lk_txn_end *end = malloc(sizeof(*end));
    if (end == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
    *end = (struct lk_txn_end){txn->ends, fn, arg};
    txn->ends = end;
    return LUMA_OK;
}

static uint64_t
txn_id(const struct luma_txn *txn)
{
    return txn->id;
}

static bool
txn_wrote(const struct luma_txn *txn)
{
    return txn->writes_count > 0 || txn->redo.bytes > 0;
}

static uint64_t
txn_snapshot(const struct luma_txn *txn)
{
    return txn->snap.commit;
}

static enum luma_isolation
txn_isolation(const struct luma_txn *txn)
{
    return txn->isolation;
}

static bool
txn_is_read_only(const struct luma_txn *txn)
{
    return txn->read_only;
}

static void
txn_set_read_only(struct luma_txn *txn, bool read_only)
{
    txn->read_only = read_only;
}

static void
txn_set_lock_timeout(struct luma_txn *txn, uint64_t nanoseconds)
{
    txn->lock_timeout_ns = nanoseconds;
}

static int64_t
txn_start_us(const struct luma_txn *txn)
{
    return txn->start_us;
}

const struct luma_host_txn lk_txn_host = {
    .head = {sizeof(struct luma_host_txn), 0, 1},
    .begin = txn_begin,
    .statement_begin = txn_statement_begin,
    .command_end = txn_command_end,
    .commit = txn_commit,
    .rollback = txn_rollback,
    .savepoint = txn_savepoint,
    .rollback_to = txn_rollback_to,
    .release = txn_release,
    .wait_seen = txn_wait_seen,
    .id = txn_id,
    .wrote = txn_wrote,
    .snapshot = txn_snapshot,
    .isolation = txn_isolation,
    .is_read_only = txn_is_read_only,
    .set_read_only = txn_set_read_only,
    .set_lock_timeout = txn_set_lock_timeout,
    .start_us = txn_start_us,
    .on_end = txn_on_end,
    .locks = lki_locks_list,
    .blockers = lki_lock_blockers,
    .commit_get = txn_commit_get,
    .token_text = lki_token_text,
    .token_read = lki_token_read,
    .commit_at = lki_history_at,
    .wait_for = lki_wait_for,
};
