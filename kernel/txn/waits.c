/*
 * txn/waits.c - who waits for whom: the search for deadlocks, and what views show of locks.
 *
 * Before a wait the graph is searched, one search at a time; who closes a cycle is the victim.
 */
#include <stdlib.h>

#include "txn/lock.h"

static void
lock_describe(struct lk_lock_key key, struct luma_lock_info *out)
{
    if (key.space == 0)
        out->kind = LUMA_LOCKED_TXN;
    else if (key.space == 2)
        out->kind = LUMA_LOCKED_COLLECTION;
    else
        out->kind = key.space & 1 ? LUMA_LOCKED_KEY : LUMA_LOCKED_ROW;
    out->id = key.space == 2 ? key.id : key.space >> 2;
    out->row_id = out->kind == LUMA_LOCKED_ROW ? (int64_t)key.id : 0;
}

struct search {
    struct luma_txn **stack;
    size_t count, room;
    bool failed;
    uint64_t visit;
};

static void
search_push(struct search *s, struct luma_txn *txn, struct luma_txn *waiter)
{
    if (txn->visit_from_at != s->visit) {
        txn->visit_from_at = s->visit;
        txn->visit_from = waiter;
    }
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 64 : s->room * 2;
        struct luma_txn **stack = realloc(s->stack, room * sizeof(*stack));
        if (stack == NULL) {
            s->failed = true;
            return;
        }
        s->stack = stack;
        s->room = room;
    }
    s->stack[s->count++] = txn;
}

/* Whom does this waiter wait for? */
static void
push_blockers(struct search *s, struct lk_lock_waiter *waiter)
{
    struct lki_lock *lock = waiter->lock;
    struct lki_lock_shard *shard = lock->shard;
    lk_mutex_lock(&shard->lock);
    if (!waiter->granted) {
        for (struct lk_hold *h = lock->holds; h != NULL; h = h->next_in_lock)
            if (h->txn != waiter->txn && (h->modes & lki_lock_conflicts[waiter->mode]))
                search_push(s, h->txn, waiter->txn);
        /* The one before it in the queue waits for those before that one. */
        struct lk_lock_waiter *before = NULL;
        for (struct lk_lock_waiter *w = lock->waiters; w != NULL && w != waiter; w = w->next)
            before = w;
        if (before != NULL && before->txn != waiter->txn)
            search_push(s, before->txn, waiter->txn);
    }
    lk_mutex_unlock(&shard->lock);
}

static const char *const mode_texts[] = {
    [LUMA_LOCK_UPDATE] = "FOR UPDATE",
    [LUMA_LOCK_NO_KEY_UPDATE] = "FOR NO KEY UPDATE",
    [LUMA_LOCK_SHARE] = "FOR SHARE",
    [LUMA_LOCK_KEY_SHARE] = "FOR KEY SHARE",
};

static void
describe_wait(struct lk_bytes *text, const struct luma_txn *txn, const struct luma_txn *blocker)
{
    const struct lk_lock_waiter *waiter = txn->waiting;
    struct luma_lock_info info;
    lock_describe(waiter->lock->key, &info);
    if (text->bytes > 0)
        (void)lk_bytes_text(text, "\n");
    (void)lk_bytes_printf(text, "Process %u waits for lock %s on ", txn->owner,
                          mode_texts[waiter->mode]);
    if (info.kind == LUMA_LOCKED_ROW)
        (void)lk_bytes_printf(text, "row %lld of relation %llu", (long long)info.row_id,
                              (unsigned long long)info.id);
    else if (info.kind == LUMA_LOCKED_TXN)
        (void)lk_bytes_text(text, "rows of a large transaction");
    else
        (void)lk_bytes_printf(text, "%s %llu",
                              info.kind == LUMA_LOCKED_KEY ? "a key of index" : "relation",
                              (unsigned long long)info.id);
    (void)lk_bytes_printf(text, "; blocked by process %u.", blocker->owner);
}

/* From whom to whom the search went, last step first. */
static const char *
describe_cycle(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct lk_bytes text;
    const char *copy = NULL;
    struct luma_txn *blocker = txn;
    if (ctx->arena == NULL)
        return NULL;
    lk_bytes_init(&text, NULL);
    do {
        struct luma_txn *waiter = blocker->visit_from;
        describe_wait(&text, waiter, blocker);
        blocker = waiter;
    } while (blocker != txn);
    if (!text.failed)
        copy = luma_arena_text(ctx->arena, (const char *)text.data, text.bytes);
    lk_bytes_fini(&text);
    return copy;
}

/* What txn, which has queued for a lock, holds. Whoever grants it the lock meanwhile puts one hold
 * more in front, under the mutex of that lock; the others are txn's own affair. */
static const struct lk_hold *
holds_of_waiter(const struct luma_txn *txn)
{
    struct lki_lock_shard *shard = txn->waiting->lock->shard;
    lk_mutex_lock(&shard->lock);
    const struct lk_hold *first = txn->holds;
    lk_mutex_unlock(&shard->lock);
    return first;
}

/* Does anybody wait for what txn holds? Looks at a few locks only: when in doubt, yes. */
static bool
is_waited_for(const struct luma_txn *txn)
{
    int looked = 0;
    for (const struct lk_hold *h = holds_of_waiter(txn); h != NULL; h = h->next_in_txn) {
        struct lki_lock_shard *shard = h->lock->shard;
        lk_mutex_lock(&shard->lock);
        bool waited = h->lock->waiters != NULL;
        lk_mutex_unlock(&shard->lock);
        if (waited || ++looked == 64)
            return true;
    }
    return false;
}

bool
lki_deadlocked(struct luma_ctx *ctx, struct luma_txn *txn, const char **out_cycle)
{
    struct lk_txns *txns = txn->store->txns;
    if (!is_waited_for(txn)) /* nothing leads back to it */
        return false;
    struct search s = {.visit = ++txns->visits};
    bool found = false;
    push_blockers(&s, txn->waiting);
    while (s.count > 0 && !found) {
        struct luma_txn *other = s.stack[--s.count];
        if (other == txn)
            found = true;
        if (found || other->visit == s.visit || other->waiting == NULL)
            continue;
        other->visit = s.visit;
        push_blockers(&s, other->waiting);
    }
    free(s.stack);
    if (found)
        *out_cycle = describe_cycle(ctx, txn);
    return found;
}

/* --- views --- */

struct list {
    struct luma_lock_info *items;
    uint32_t count, room;
    bool failed;
};

static void
list_add(struct list *list, const struct lki_lock *lock, const struct luma_txn *txn,
         enum luma_lock_mode mode, bool granted)
{
    if (list->count == list->room) {
        uint32_t room = list->room == 0 ? 64 : list->room * 2;
        struct luma_lock_info *items = realloc(list->items, room * sizeof(*items));
        if (items == NULL) {
            list->failed = true;
            return;
        }
        list->items = items;
        list->room = room;
    }
    struct luma_lock_info *info = &list->items[list->count++];
    memset(info, 0, sizeof(*info));
    lock_describe(lock->key, info);
    info->owner = txn->owner;
    info->txn_id = txn->id;
    info->mode = (uint8_t)mode;
    info->granted = granted;
}

static void
list_lock(struct list *list, const struct lki_lock *lock)
{
    for (const struct lk_hold *h = lock->holds; h != NULL; h = h->next_in_lock)
        for (int mode = 0; mode < 4; mode++)
            if (h->modes & MODE_BIT(mode)) {
                list_add(list, lock, h->txn, (enum luma_lock_mode)mode, true);
                break; /* the strongest says it all */
            }
    for (const struct lk_lock_waiter *w = lock->waiters; w != NULL; w = w->next)
        list_add(list, lock, w->txn, w->mode, false);
}

luma_rc
lki_locks_list(struct luma_ctx *ctx, struct luma_lock_info **out_list, uint32_t *out_count)
{
    struct lk_txns *txns = lk_store_current()->txns;
    struct list list = {NULL, 0, 0, false};
    for (uint32_t i = 0; i < LKI_LOCK_SHARDS; i++) {
        struct lki_lock_shard *shard = &txns->shards[i];
        lk_mutex_lock(&shard->lock);
        for (uint32_t k = 0; shard->count > 0 && k < shard->room; k++)
            for (const struct lki_lock *lock = shard->buckets[k]; lock != NULL; lock = lock->next)
                list_lock(&list, lock);
        lk_mutex_unlock(&shard->lock);
    }
    struct luma_lock_info *copy = LUMA_NEW_ARRAY(ctx->arena, struct luma_lock_info, list.count + 1);
    if (copy != NULL && list.count > 0)
        memcpy(copy, list.items, list.count * sizeof(*copy));
    free(list.items);
    if (copy == NULL || list.failed)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "locks: out of memory");
    *out_list = copy;
    *out_count = list.count;
    return LUMA_OK;
}

static bool
same_lock(const struct luma_lock_info *a, const struct luma_lock_info *b)
{
    return a->kind == b->kind && a->id == b->id && a->row_id == b->row_id;
}

luma_rc
lki_lock_blockers(struct luma_ctx *ctx, uint32_t owner, uint32_t **out_owners, uint32_t *out_count)
{
    struct luma_lock_info *list = NULL;
    uint32_t count = 0, n = 0;
    LUMA_TRY(lki_locks_list(ctx, &list, &count));
    uint32_t *owners = LUMA_NEW_ARRAY(ctx->arena, uint32_t, count + 1);
    if (owners == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "locks: out of memory");
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].owner != owner || list[i].granted)
            continue;
        /* Waiters of a lock follow its holders, in the order of the queue. */
        for (uint32_t k = 0; k < count; k++) {
            bool before = list[k].granted || k < i;
            if (list[k].owner == owner || !before || !same_lock(&list[k], &list[i]) ||
                !(lki_lock_conflicts[list[i].mode] & MODE_BIT(list[k].mode)))
                continue;
            bool known = false;
            for (uint32_t o = 0; o < n; o++)
                known = known || owners[o] == list[k].owner;
            if (!known)
                owners[n++] = list[k].owner;
        }
    }
    *out_owners = owners;
    *out_count = n;
    return LUMA_OK;
}
