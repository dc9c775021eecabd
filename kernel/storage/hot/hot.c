/*
 * hot/hot.c - the table of row versions.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "storage/hot/hot_priv.h"

#define BUCKETS_AHEAD 8 /* whose rows are asked of memory while others are walked */

LUMA_NODISCARD luma_rc
lk_hot_create(struct luma_budget *budget, struct lk_hot **out_hot)
{
    struct lk_hot *hot = aligned_alloc(LK_CACHE_LINE, sizeof(*hot));
    if (hot == NULL)
        return LUMA_E_NOMEM;
    memset(hot, 0, sizeof(*hot));
    atomic_init(&hot->refs, 1);
    hot->budget = budget;
    lk_mutex_init(&hot->late_lock, LK_LOCK_HOT_LATE);
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++)
        lk_mutex_init(&hot->shards[i].lock, LK_LOCK_HOT_SHARD);
    *out_hot = hot;
    return LUMA_OK;
}

void
lk_hot_ref(struct lk_hot *hot)
{
    atomic_fetch_add_explicit(&hot->refs, 1, memory_order_relaxed);
}

void
lk_hot_version_free(struct lk_hot *hot, struct lk_version *version)
{
    size_t bytes = lk_version_bytes(version->tuple_bytes);
    atomic_fetch_sub_explicit(&hot->bytes, bytes, memory_order_relaxed);
    lk_free(hot->budget, version, bytes);
}

static void
shard_fini(struct lk_hot *hot, struct lk_hot_shard *shard)
{
    size_t buckets = shard->buckets == NULL ? 0 : (size_t)1 << shard->buckets_log2;
    for (size_t i = 0; i < buckets; i++) {
        struct lk_version *row = shard->buckets[i];
        while (row != NULL) {
            struct lk_version *next = row->next;
            for (struct lk_version *v = row; v != NULL;) {
                struct lk_version *older = v->older;
                lk_hot_version_free(hot, v);
                v = older;
            }
            row = next;
        }
    }
    free(shard->buckets);
    lk_mutex_fini(&shard->lock);
}

void
lk_hot_release(struct lk_hot *hot)
{
    while (hot->kept_count > 0)
        hot->release(hot->kept[--hot->kept_count]);
}

void
lk_hot_unref(struct lk_hot *hot)
{
    if (hot == NULL || atomic_fetch_sub_explicit(&hot->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++)
        shard_fini(hot, &hot->shards[i]);
    lk_hot_release(hot);
    free(hot->kept);
    free(hot->late);
    lk_mutex_fini(&hot->late_lock);
    free(hot);
}

struct lk_version *
lk_hot_version(struct lk_hot *hot, int64_t rowid, uint32_t tuple_bytes)
{
    size_t bytes = lk_version_bytes(tuple_bytes);
    struct lk_version *v = lk_alloc(hot->budget, bytes);
    if (v == NULL)
        return NULL;
    memset(v, 0, sizeof(*v));
    v->rowid = rowid;
    v->tuple_bytes = tuple_bytes;
    atomic_fetch_add_explicit(&hot->bytes, bytes, memory_order_relaxed);
    return v;
}

bool
lki_hot_resize(struct lk_hot_shard *shard, uint32_t log2)
{
    struct lk_version **buckets = calloc((size_t)1 << log2, sizeof(*buckets));
    if (buckets == NULL)
        return false;
    size_t old = shard->buckets == NULL ? 0 : (size_t)1 << shard->buckets_log2;
    uint64_t mask = ((uint64_t)1 << log2) - 1;
    for (size_t i = 0; i < old; i++) {
        if (i + BUCKETS_AHEAD < old)
            __builtin_prefetch(shard->buckets[i + BUCKETS_AHEAD]);
        for (struct lk_version *v = shard->buckets[i]; v != NULL;) {
            struct lk_version *next = v->next;
            struct lk_version **to = &buckets[lki_hot_hash(v->rowid) & mask];
            v->next = *to;
            *to = v;
            v = next;
        }
    }
    free(shard->buckets);
    shard->buckets = buckets;
    shard->buckets_log2 = log2;
    return true;
}

/*
 * Frees versions behind `newest` that no snapshot sees: never begun, or dead
 * with the final number in place (the transaction that ended it does not look at it again). What
 * a flush is writing stays.
 */
static void
row_prune(struct lk_hot *hot, struct lk_version *newest, const struct lk_dead *dead)
{
    struct lk_version **link = &newest->older;
    while (*link != NULL) {
        struct lk_version *v = *link;
        uint64_t begin = atomic_load_explicit(&v->begin, memory_order_acquire);
        uint64_t end = atomic_load_explicit(&v->end, memory_order_acquire);
        bool final = !(begin & LK_STAMP_TXN) && !(end & LK_STAMP_TXN) && end != LK_STAMP_NONE;
        bool gone = begin == LK_STAMP_ABORTED || (final && lk_is_dead(dead, begin, end));
        if (gone && atomic_load_explicit(&v->flushed, memory_order_relaxed) == 0) {
            *link = v->older;
            atomic_fetch_sub_explicit(&hot->versions, 1, memory_order_relaxed);
            lk_hot_version_free(hot, v);
        } else {
            link = &v->older;
        }
    }
}

bool
lki_hot_room(struct lk_hot_shard *shard)
{
    if (shard->buckets != NULL && shard->rows < (uint32_t)1 << shard->buckets_log2)
        return true;
    uint32_t log2 = shard->buckets == NULL ? LKI_HOT_BUCKETS_LOG2_MIN : shard->buckets_log2 + 1;
    return lki_hot_resize(shard, log2) || shard->buckets != NULL;
}

luma_rc
lk_hot_add(struct lk_hot *hot, struct lk_version *version, const struct lk_slots *slots,
           const struct lk_dead *dead)
{
    (void)slots;
    uint64_t hash = lki_hot_hash(version->rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);

    lk_mutex_lock(&shard->lock);
    if (!lki_hot_room(shard)) {
        lk_mutex_unlock(&shard->lock);
        return LUMA_E_NOMEM;
    }
    struct lk_version **link = lki_hot_link(shard, hash, version->rowid);
    struct lk_version *old = *link;
    if (old == NULL) {
        shard->rows++;
        version->next = NULL;
    } else {
        version->next = old->next;
        old->next = NULL;
    }
    version->older = old;
    *link = version;
    atomic_fetch_add_explicit(&hot->versions, 1, memory_order_relaxed);
    if (old != NULL)
        row_prune(hot, version, dead);
    lk_mutex_unlock(&shard->lock);
    return LUMA_OK;
}

bool
lk_hot_forget(struct lk_hot *hot, struct lk_version *version)
{
    uint64_t hash = lki_hot_hash(version->rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);
    bool found = false;
    lk_mutex_lock(&shard->lock);
    if (shard->buckets != NULL) {
        struct lk_version **row = lki_hot_link(shard, hash, version->rowid), **link = row;
        while (*link != NULL && *link != version)
            link = &(*link)->older;
        found = *link == version;
        if (found && link == row) { /* the newest one: the next takes its place in the bucket */
            struct lk_version *older = version->older;
            *row = older != NULL ? older : version->next;
            if (older != NULL)
                older->next = version->next;
            else
                shard->rows--;
        } else if (found) {
            *link = version->older;
        }
    }
    lk_mutex_unlock(&shard->lock);
    if (found) {
        atomic_fetch_sub_explicit(&hot->versions, 1, memory_order_relaxed);
        lk_hot_version_free(hot, version);
    }
    return found;
}

static bool
version_skipped(const struct lk_version *v, uint64_t gen)
{
    uint64_t flushed = atomic_load_explicit(&v->flushed, memory_order_acquire);
    return flushed != 0 && flushed <= gen;
}

static bool
version_seen(struct lk_version *v, struct lk_snapshot *snap)
{
    uint64_t begin = lk_stamp_resolve(snap->slots, &v->begin);
    if (!lk_stamp_seen(snap, begin, v->begin_command))
        return false;
    uint64_t end = lk_stamp_resolve(snap->slots, &v->end);
    return !lk_stamp_seen(snap, end, v->end_command);
}

static struct lk_version *
row_find(struct lk_version *newest, struct lk_snapshot *snap, uint64_t gen)
{
    for (struct lk_version *v = newest; v != NULL; v = v->older)
        if (!version_skipped(v, gen) && version_seen(v, snap))
            return v;
    return NULL;
}

struct lk_version *
lk_hot_find(struct lk_hot *hot, int64_t rowid, struct lk_snapshot *snap, uint64_t gen)
{
    uint64_t hash = lki_hot_hash(rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);
    struct lk_version *found = NULL;

    lk_mutex_lock(&shard->lock);
    if (shard->buckets != NULL)
        found = row_find(*lki_hot_link(shard, hash, rowid), snap, gen);
    lk_mutex_unlock(&shard->lock);
    return found;
}

void
lk_hot_row(struct lk_hot *hot, int64_t rowid, uint64_t gen,
           bool (*fn)(void *arg, struct lk_version *version), void *arg)
{
    uint64_t hash = lki_hot_hash(rowid);
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, hash);

    lk_mutex_lock(&shard->lock);
    if (shard->buckets != NULL)
        for (struct lk_version *v = *lki_hot_link(shard, hash, rowid); v != NULL; v = v->older)
            if (!version_skipped(v, gen) && !fn(arg, v))
                break;
    lk_mutex_unlock(&shard->lock);
}

void
lk_hot_each(struct lk_hot *hot, uint32_t shard_number,
            void (*fn)(void *arg, struct lk_version *version), void *arg)
{
    struct lk_hot_shard *shard = &hot->shards[shard_number];
    lk_mutex_lock(&shard->lock);
    size_t buckets = shard->buckets == NULL ? 0 : (size_t)1 << shard->buckets_log2;
    for (size_t i = 0; i < buckets; i++) {
        if (i + BUCKETS_AHEAD < buckets)
            __builtin_prefetch(shard->buckets[i + BUCKETS_AHEAD]);
        for (struct lk_version *row = shard->buckets[i]; row != NULL; row = row->next)
            for (struct lk_version *v = row; v != NULL; v = v->older)
                fn(arg, v);
    }
    lk_mutex_unlock(&shard->lock);
}

bool
lk_hot_keep(struct lk_hot *hot, void *kept, void (*release)(void *kept))
{
    if (hot->kept_count == hot->kept_room) {
        uint32_t room = hot->kept_room == 0 ? 4 : hot->kept_room * 2;
        void **list = realloc(hot->kept, room * sizeof(*list));
        if (list == NULL)
            return false;
        hot->kept = list;
        hot->kept_room = room;
    }
    hot->kept[hot->kept_count++] = kept;
    hot->release = release;
    return true;
}

bool
lk_hot_late(struct lk_hot *hot, struct lk_version *version)
{
    bool ok = true;
    lk_mutex_lock(&hot->late_lock);
    if (hot->late_count == hot->late_room) {
        uint32_t room = hot->late_room == 0 ? 64 : hot->late_room * 2;
        struct lk_version **late = realloc(hot->late, room * sizeof(*late));
        ok = late != NULL;
        if (ok) {
            hot->late = late;
            hot->late_room = room;
        }
    }
    if (ok)
        hot->late[hot->late_count++] = version;
    lk_mutex_unlock(&hot->late_lock);
    return ok;
}

luma_rc
lk_hot_end(struct lk_hot *hot, struct lk_version *version, uint64_t stamp, uint32_t command)
{
    struct lk_hot_shard *shard = lki_hot_shard_of(hot, lki_hot_hash(version->rowid));
    luma_rc rc = LUMA_OK;

    lk_mutex_lock(&shard->lock);
    if (atomic_load_explicit(&version->flushed, memory_order_relaxed) != 0 &&
        !lk_hot_late(hot, version))
        rc = LUMA_E_NOMEM;
    if (rc == LUMA_OK) {
        version->end_command = command;
        /* Pairs with the load in lk_stamp_resolve: who sees the stamp sees the command. */
        atomic_store_explicit(&version->end, stamp, memory_order_release);
    }
    lk_mutex_unlock(&shard->lock);
    return rc;
}

bool
lk_versions_push(struct lk_versions *list, struct lk_version *version)
{
    if (list->count == list->room) {
        uint32_t room = list->room == 0 ? 256 : list->room * 2;
        struct lk_version **items = realloc(list->items, room * sizeof(*items));
        if (items == NULL)
            return false;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = version;
    return true;
}

void
lk_versions_fini(struct lk_versions *list)
{
    free(list->items);
    memset(list, 0, sizeof(*list));
}

luma_rc
lk_hot_collect(struct lk_hot *hot, uint32_t shard_number, struct lk_snapshot *snap, uint64_t gen,
               struct lk_versions *out)
{
    struct lk_hot_shard *shard = &hot->shards[shard_number];
    luma_rc rc = LUMA_OK;

    lk_mutex_lock(&shard->lock);
    size_t buckets = shard->buckets == NULL ? 0 : (size_t)1 << shard->buckets_log2;
    for (size_t i = 0; i < buckets && rc == LUMA_OK; i++) {
        for (struct lk_version *row = shard->buckets[i]; row != NULL; row = row->next) {
            struct lk_version *v = row_find(row, snap, gen);
            if (v != NULL && !lk_versions_push(out, v)) {
                rc = LUMA_E_NOMEM;
                break;
            }
        }
    }
    lk_mutex_unlock(&shard->lock);
    return rc;
}
