/*
 * txn/lock.c - the table of locks.
 *
 * A lock that nobody else wants costs one shard's mutex. Who must wait queues up in order of
 * arrival and is handed the lock by who gives it up. Before a wait the graph of who waits for whom
 * is searched, one search at a time; who closes a cycle is the victim.
 */
#include "txn/lock.h"

#include <stdlib.h>

#include "base/hash.h"
#include "storage/mutant.h"

/* What is kept for the next lock: a large transaction's would never be needed again. */
#define LOCKS_KEEP 16u  /* of a shard */
#define HOLDS_KEEP 256u /* of a transaction */

static uint64_t
key_hash(struct lk_lock_key key)
{
    return lk_hash_combine(lk_hash_u64(key.space), lk_hash_u64(key.id));
}

static bool
shard_grow(struct lki_lock_shard *shard)
{
    uint32_t room = shard->room == 0 ? 16 : shard->room * 2;
    struct lki_lock **buckets = calloc(room, sizeof(*buckets));
    if (buckets == NULL)
        return shard->room != 0;
    for (uint32_t i = 0; i < shard->room; i++) {
        while (shard->buckets[i] != NULL) {
            struct lki_lock *lock = shard->buckets[i];
            shard->buckets[i] = lock->next;
            struct lki_lock **to = &buckets[key_hash(lock->key) & (room - 1)];
            lock->next = *to;
            *to = lock;
        }
    }
    free(shard->buckets);
    shard->buckets = buckets;
    shard->room = room;
    return true;
}

static struct lki_lock **
lock_link(struct lki_lock_shard *shard, struct lk_lock_key key, uint64_t hash)
{
    struct lki_lock **link = &shard->buckets[hash & (shard->room - 1)];
    while (*link != NULL && ((*link)->key.space != key.space || (*link)->key.id != key.id))
        link = &(*link)->next;
    return link;
}

/* The lock of a key, made when it is not there. The shard is locked. */
static struct lki_lock *
lock_get(struct lki_lock_shard *shard, struct lk_lock_key key, uint64_t hash)
{
    if (shard->count >= shard->room && !shard_grow(shard))
        return NULL;
    struct lki_lock **link = lock_link(shard, key, hash);
    if (*link != NULL)
        return *link;
    struct lki_lock *lock = shard->free;
    if (lock != NULL) {
        shard->free = lock->next;
        shard->free_count--;
    } else if ((lock = malloc(sizeof(*lock))) == NULL) {
        return NULL;
    }
    *lock = (struct lki_lock){.key = key, .shard = shard};
    *link = lock;
    shard->count++;
    return lock;
}

static void
lock_drop_unused(struct lki_lock *lock)
{
    struct lki_lock_shard *shard = lock->shard;
    if (lock->holds != NULL || lock->waiters != NULL)
        return;
    struct lki_lock **link = lock_link(shard, lock->key, key_hash(lock->key));
    *link = lock->next;
    shard->count--;
    if (shard->free_count == LOCKS_KEEP) {
        free(lock);
        return;
    }
    lock->next = shard->free;
    shard->free = lock;
    shard->free_count++;
}

static struct lk_hold *
hold_of(const struct lki_lock *lock, const struct luma_txn *txn)
{
    struct lk_hold *hold = lock->holds;
    while (hold != NULL && hold->txn != txn)
        hold = hold->next_in_lock;
    return hold;
}

static bool
held_against(const struct lki_lock *lock, const struct luma_txn *txn, enum luma_lock_mode mode)
{
    for (const struct lk_hold *hold = lock->holds; hold != NULL; hold = hold->next_in_lock)
        if (hold->txn != txn && (hold->modes & lki_lock_conflicts[mode]) && !LK_MUTANT(LOCK_SHARED))
            return true;
    return false;
}

static bool
waited_against(const struct lki_lock *lock, enum luma_lock_mode mode)
{
    for (const struct lk_lock_waiter *w = lock->waiters; w != NULL; w = w->next)
        if (MODE_BIT(w->mode) & lki_lock_conflicts[mode])
            return true;
    return false;
}

/* Is a hold of these modes at least as strong as `mode`? UPDATE > NO_KEY_UPDATE > SHARE >
 * KEY_SHARE in what they keep out. */
static bool
covers(uint8_t modes, enum luma_lock_mode mode)
{
    for (int m = 0; m <= (int)mode; m++)
        if (modes & MODE_BIT(m))
            return true;
    return false;
}

static void
hold_add(struct lki_lock *lock, struct lk_hold *hold, struct luma_txn *txn,
         enum luma_lock_mode mode)
{
    hold->lock = lock;
    hold->txn = txn;
    hold->modes = (uint8_t)MODE_BIT(mode);
    hold->next_in_lock = lock->holds;
    lock->holds = hold;
    hold->next_in_txn = txn->holds;
    txn->holds = hold;
}

static struct lk_hold *
hold_new(struct luma_txn *txn)
{
    struct lk_hold *hold = txn->holds_free;
    if (hold == NULL)
        return malloc(sizeof(*hold));
    txn->holds_free = hold->next_in_txn;
    txn->holds_free_count--;
    return hold;
}

static void
hold_free(struct luma_txn *txn, struct lk_hold *hold)
{
    if (txn->holds_free_count == HOLDS_KEEP) {
        free(hold);
        return;
    }
    hold->next_in_txn = txn->holds_free;
    txn->holds_free = hold;
    txn->holds_free_count++;
}

/* Hands the lock to the waiters at the head of the queue that may have it. */
static void
lock_grant(struct lki_lock *lock, const struct luma_host_sched *sched)
{
    while (lock->waiters != NULL) {
        struct lk_lock_waiter *w = lock->waiters;
        if (held_against(lock, w->txn, w->mode))
            return;
        lock->waiters = w->next;
        struct lk_hold *own = hold_of(lock, w->txn);
        if (own != NULL)
            own->modes |= (uint8_t)MODE_BIT(w->mode);
        else
            hold_add(lock, LUMA_TAKE(w->hold), w->txn, w->mode);
        w->granted = true;
        lk_wait_signal(sched, &w->event);
    }
}

/* --- taking and giving back --- */

static void
waiter_leave(struct lk_lock_waiter *waiter, const struct luma_host_sched *sched)
{
    struct lki_lock *lock = waiter->lock;
    struct lk_lock_waiter **link = &lock->waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    lock_grant(lock, sched); /* those behind may have waited for this one only */
    lock_drop_unused(lock);
}

static luma_rc
lock_wait(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_lock_waiter *waiter)
{
    struct lk_store *store = txn->store;
    struct lk_txns *txns = store->txns;
    const struct luma_host_sched *sched = store->conf.sched;
    struct lki_lock_shard *shard = waiter->lock->shard;
    uint64_t deadline_ns =
        txn->lock_timeout_ns == 0 ? 0 : lk_io_now_ns(store->conf.io) + txn->lock_timeout_ns;

    lk_mutex_lock(&txns->waits_lock);
    txn->waiting = waiter;
    const char *cycle = NULL;
    bool deadlock = lki_deadlocked(ctx, txn, &cycle);
    if (deadlock)
        txn->waiting = NULL;
    lk_mutex_unlock(&txns->waits_lock);

    luma_rc rc = LUMA_E_DEADLOCK;
    if (!deadlock) {
        rc = lk_wait_event(sched, ctx, &waiter->event, deadline_ns);
        lk_mutex_lock(&txns->waits_lock);
        txn->waiting = NULL;
        lk_mutex_unlock(&txns->waits_lock);
    }
    lk_mutex_lock(&shard->lock);
    if (waiter->granted)
        rc = LUMA_OK;
    else
        waiter_leave(waiter, sched);
    lk_mutex_unlock(&shard->lock);
    if (waiter->hold != NULL)
        hold_free(txn, waiter->hold);
    if (rc == LUMA_E_DEADLOCK) {
        lk_stat_add(store->stats.deadlocks, 1);
        rc = LUMA_FAIL(ctx, LUMA_E_DEADLOCK, "deadlock detected");
        ctx->error->detail = cycle;
        return rc;
    }
    if (rc == LUMA_E_TIMEOUT && ctx->error->code == LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_LOCKED, "canceling statement due to lock timeout");
    return rc;
}

luma_rc
lk_lock_take(struct luma_ctx *ctx, struct luma_txn *txn, struct lk_lock_key key,
             enum luma_lock_mode mode, enum luma_lock_wait wait)
{
    struct lk_txns *txns = txn->store->txns;
    uint64_t hash = key_hash(key);
    struct lki_lock_shard *shard = &txns->shards[hash >> 56];
    struct lk_hold *fresh = hold_new(txn);
    if (fresh == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "locks: out of memory");

    lk_mutex_lock(&shard->lock);
    struct lki_lock *lock = lock_get(shard, key, hash);
    if (lock == NULL) {
        lk_mutex_unlock(&shard->lock);
        hold_free(txn, fresh);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "locks: out of memory");
    }
    struct lk_hold *own = hold_of(lock, txn);
    bool have = own != NULL && covers(own->modes, mode);
    bool may =
        have || (!held_against(lock, txn, mode) && (own != NULL || !waited_against(lock, mode)));
    if (may) {
        if (own != NULL)
            own->modes |= (uint8_t)MODE_BIT(mode);
        else
            hold_add(lock, LUMA_TAKE(fresh), txn, mode);
    }
    if (may || wait != LUMA_LOCK_WAIT) {
        lk_mutex_unlock(&shard->lock);
        if (fresh != NULL)
            hold_free(txn, fresh);
        return may ? LUMA_OK : LUMA_E_LOCKED;
    }
    struct lk_lock_waiter waiter = {.lock = lock, .txn = txn, .hold = fresh, .mode = mode};
    struct lk_lock_waiter **link = &lock->waiters;
    while (own == NULL && *link != NULL) /* who has a weaker lock already goes first */
        link = &(*link)->next;
    waiter.next = *link;
    *link = &waiter;
    lk_mutex_unlock(&shard->lock);
    return lock_wait(ctx, txn, &waiter);
}

bool
lki_lock_is_held(struct luma_txn *txn, struct lk_lock_key key)
{
    for (const struct lk_hold *hold = txn->holds; hold != NULL; hold = hold->next_in_txn)
        if (hold->lock->key.space == key.space && hold->lock->key.id == key.id)
            return true;
    return false;
}

/* Gives back the lock whose hold *at is. */
static void
hold_give(struct luma_txn *txn, struct lk_hold **at, const struct luma_host_sched *sched)
{
    struct lk_hold *hold = *at;
    struct lki_lock *lock = hold->lock;
    struct lki_lock_shard *shard = lock->shard;
    *at = hold->next_in_txn;
    lk_mutex_lock(&shard->lock);
    struct lk_hold **link = &lock->holds;
    while (*link != hold)
        link = &(*link)->next_in_lock;
    *link = hold->next_in_lock;
    lock_grant(lock, sched);
    lock_drop_unused(lock);
    lk_mutex_unlock(&shard->lock);
    hold_free(txn, hold);
}

void
lk_lock_release(struct luma_txn *txn, struct lk_hold *mark)
{
    const struct luma_host_sched *sched = txn->store->conf.sched;
    while (txn->holds != mark)
        hold_give(txn, &txn->holds, sched);
}

void
lki_locks_give(struct luma_txn *txn, struct lk_hold *mark,
               bool (*gives)(void *arg, struct lk_lock_key key), void *arg)
{
    const struct luma_host_sched *sched = txn->store->conf.sched;
    struct lk_hold **at = &txn->holds;
    while (*at != mark) {
        struct lk_hold *hold = *at;
        if (gives(arg, hold->lock->key))
            hold_give(txn, at, sched);
        else
            at = &hold->next_in_txn;
    }
}

luma_rc
lk_locks_create(struct luma_ctx *ctx, struct lk_txns *txns)
{
    (void)ctx;
    lk_mutex_init(&txns->waits_lock, LK_LOCK_TXN_WAITS);
    for (uint32_t i = 0; i < LKI_LOCK_SHARDS; i++)
        lk_mutex_init(&txns->shards[i].lock, LK_LOCK_TXN_LOCKS);
    return LUMA_OK;
}

void
lki_locks_destroy(struct lk_txns *txns)
{
    for (uint32_t i = 0; i < LKI_LOCK_SHARDS; i++) {
        struct lki_lock_shard *shard = &txns->shards[i];
        while (shard->free != NULL) {
            struct lki_lock *lock = shard->free;
            shard->free = lock->next;
            free(lock);
        }
        free(shard->buckets);
        lk_mutex_fini(&shard->lock);
    }
    lk_mutex_fini(&txns->waits_lock);
}

void
lki_holds_free(struct luma_txn *txn)
{
    while (txn->holds_free != NULL) {
        struct lk_hold *hold = txn->holds_free;
        txn->holds_free = hold->next_in_txn;
        free(hold);
    }
}
