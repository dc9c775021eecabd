/*
 * storage/run/index.c - an index: the hot part that takes inserts, parts frozen by a checkpoint,
 * and runs; readers hold the list of them without a lock.
 */
#include <lumadb/host/host.h>

#include <stdio.h>

#include "storage/run/run_priv.h"

#define DEAD      0x80000000u
#define FIND_ROOM 64

/* --- parts --- */

static void
hot_unref(const struct luma_index_kind *kind, struct lki_hot *hot)
{
    if (hot == NULL || atomic_fetch_sub_explicit(&hot->refs, 1, memory_order_acq_rel) != 1)
        return;
    kind->hot_destroy(hot->part);
    lk_free(NULL, hot, sizeof(*hot));
}

static luma_rc
hot_make(struct luma_ctx *ctx, struct lk_index *index, struct lki_hot **out_hot)
{
    struct lki_hot *hot = lk_zalloc(NULL, sizeof(*hot));
    if (hot == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    atomic_init(&hot->refs, 1);
    luma_rc rc = index->kind->hot_create(ctx, index->budget, &hot->part);
    if (rc != LUMA_OK) {
        lk_free(NULL, hot, sizeof(*hot));
        return rc;
    }
    *out_hot = hot;
    return LUMA_OK;
}

void
lki_run_unref(const struct luma_index_kind *kind, struct lki_run *run)
{
    if (run == NULL || atomic_fetch_sub_explicit(&run->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (run->run != NULL)
        kind->run_close(run->run);
    lki_frame_close(&run->reader);
    lk_free(NULL, run, sizeof(*run));
}

static luma_rc
run_open(struct luma_ctx *ctx, struct lk_index *index, const struct lk_run_info *info,
         struct lki_run **out_run)
{
    struct lki_run *run = lk_zalloc(NULL, sizeof(*run));
    uint64_t entries = 0;
    if (run == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an index run");
    atomic_init(&run->refs, 1);
    run->info = *info;
    luma_rc rc = lki_frame_open(ctx, index->objects, info->object_id, index->kind->wire_id,
                                index->id, &run->reader, &entries);
    if (rc == LUMA_OK)
        rc = index->kind->run_open(ctx, &run->reader.base, &run->run);
    if (rc == LUMA_OK && (entries != info->entries || index->kind->run_count(run->run) != entries))
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s has %llu entries, %llu were written",
                       lk_object_name(run->reader.object),
                       (unsigned long long)index->kind->run_count(run->run),
                       (unsigned long long)info->entries);
    if (rc != LUMA_OK) {
        lki_run_unref(index->kind, run);
        return rc;
    }
    *out_run = run;
    return LUMA_OK;
}

/* --- the list --- */

struct lki_parts *
lki_parts_hold(struct lk_index *index)
{
    for (;;) {
        struct lki_parts *parts = atomic_load_explicit(&index->current, memory_order_acquire);
        /* Pairs with the subtraction of DEAD in parts_take: the content is seen. */
        uint32_t was = atomic_fetch_add_explicit(&parts->holders, 1, memory_order_acquire);
        if ((was & DEAD) == 0)
            return parts; /* alive: current, or current a moment ago */
        atomic_fetch_sub_explicit(&parts->holders, 1, memory_order_release);
    }
}

/* What the list held goes, the descriptor waits for its next use. */
static void
parts_bury(struct lk_index *index, struct lki_parts *parts)
{
    hot_unref(index->kind, parts->hot);
    for (uint32_t i = 0; i < parts->frozen_count; i++)
        hot_unref(index->kind, parts->frozen[i]);
    for (uint32_t i = 0; i < parts->runs_count; i++)
        lki_run_unref(index->kind, parts->runs[i]);
    lk_free(NULL, parts->runs, parts->runs_count * sizeof(*parts->runs));
    parts->runs = NULL;
    parts->runs_count = parts->frozen_count = 0;
    parts->hot = NULL;
    lk_mutex_lock(&index->lock);
    parts->next_free = index->free;
    index->free = parts;
    lk_mutex_unlock(&index->lock);
}

void
lki_parts_release(struct lk_index *index, struct lki_parts *parts)
{
    /* Only the last holder of a list that is no longer current buries it: `current` itself counts
     * as a holder. A late reader that adds after this sees DEAD. */
    uint32_t was = atomic_load_explicit(&parts->holders, memory_order_relaxed);
    for (;;) {
        uint32_t now = was == 1 ? DEAD : was - 1;
        if (atomic_compare_exchange_weak_explicit(&parts->holders, &was, now, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            if (now == DEAD)
                parts_bury(index, parts);
            return;
        }
    }
}

/* An empty descriptor, held once; NULL: no memory. */
static struct lki_parts *
parts_take(struct lk_index *index)
{
    lk_mutex_lock(&index->lock);
    struct lki_parts *parts = index->free;
    if (parts != NULL)
        index->free = parts->next_free;
    lk_mutex_unlock(&index->lock);
    if (parts == NULL) {
        parts = lk_zalloc(NULL, sizeof(*parts));
        if (parts == NULL)
            return NULL;
        atomic_init(&parts->holders, DEAD);
        lk_mutex_lock(&index->lock);
        parts->next_all = index->all;
        index->all = parts;
        lk_mutex_unlock(&index->lock);
    }
    return parts;
}

/* How the next list differs from the present one. */
struct change {
    struct lki_hot *hot; /* taken: the new hot part; the old one is frozen */
    bool drop_frozen;
    struct lki_run *add;       /* taken */
    const uint64_t *drop_runs; /* object ids */
    uint32_t drop_runs_count;
};

static bool
is_dropped(const struct change *change, const struct lki_run *run)
{
    for (uint32_t i = 0; i < change->drop_runs_count; i++)
        if (change->drop_runs[i] == run->info.object_id)
            return true;
    return false;
}

static luma_rc
fill_parts(struct luma_ctx *ctx, struct lki_parts *next, const struct lki_parts *now,
           const struct change *change)
{
    next->frozen_count = 0;
    for (uint32_t i = 0; !change->drop_frozen && i < now->frozen_count; i++)
        next->frozen[next->frozen_count++] = now->frozen[i];
    if (change->hot != NULL)
        next->frozen[next->frozen_count++] = now->hot;
    next->hot = change->hot != NULL ? change->hot : now->hot;
    uint32_t count = change->add != NULL;
    for (uint32_t i = 0; i < now->runs_count; i++)
        count += !is_dropped(change, now->runs[i]);
    next->runs_count = 0;
    next->runs = count == 0 ? NULL : lk_alloc(NULL, count * sizeof(*next->runs));
    if (count > 0 && next->runs == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    for (uint32_t i = 0; i < now->runs_count; i++)
        if (!is_dropped(change, now->runs[i]))
            next->runs[next->runs_count++] = now->runs[i];
    /* Everything carried over has one more list that holds it; what is new brings its own count. */
    for (uint32_t i = 0; i < next->runs_count; i++)
        atomic_fetch_add_explicit(&next->runs[i]->refs, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < next->frozen_count; i++)
        atomic_fetch_add_explicit(&next->frozen[i]->refs, 1, memory_order_relaxed);
    if (change->hot == NULL)
        atomic_fetch_add_explicit(&next->hot->refs, 1, memory_order_relaxed);
    if (change->add != NULL)
        next->runs[next->runs_count++] = change->add;
    return LUMA_OK;
}

/* Checkpoints, merges and rebuilding come one at a time; runs of bulk loads join at any time. */
static luma_rc
apply(struct luma_ctx *ctx, struct lk_index *index, const struct change *change)
{
    struct lki_parts *next = parts_take(index);
    if (next == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    lk_mutex_lock(&index->list_lock);
    struct lki_parts *now = atomic_load_explicit(&index->current, memory_order_relaxed);
    luma_rc rc = fill_parts(ctx, next, now, change);
    if (rc == LUMA_OK) {
        atomic_fetch_sub_explicit(&next->holders, DEAD - 1, memory_order_release);
        atomic_store_explicit(&index->current, next, memory_order_release);
    }
    lk_mutex_unlock(&index->list_lock);
    if (rc != LUMA_OK) {
        next->hot = NULL;
        next->frozen_count = next->runs_count = 0;
        parts_bury(index, next);
        return rc;
    }
    lki_parts_release(index, now);
    return LUMA_OK;
}

static luma_rc
change_list(struct luma_ctx *ctx, struct lk_index *index, const struct change *change)
{
    luma_rc rc = apply(ctx, index, change);
    if (rc != LUMA_OK) {
        hot_unref(index->kind, change->hot);
        lki_run_unref(index->kind, change->add);
    }
    return rc;
}

/* --- life --- */

luma_rc
lk_index_create(struct luma_ctx *ctx, struct lk_objects *objects, struct luma_budget *budget,
                const struct luma_host_services *services, const struct luma_store_index *def,
                struct lk_index **out_index)
{
    char service[64];
    snprintf(service, sizeof(service), "index.%s", def->kind);
    const struct luma_head *kind = services->lookup(service, LUMA_INDEX_MAJOR);
    if (kind == NULL)
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "the index module \"%s\" is needed and not loaded",
                         def->kind);
    struct lk_index *index = lk_zalloc(NULL, sizeof(*index));
    if (index == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    index->objects = objects;
    index->budget = budget;
    index->kind = (const struct luma_index_kind *)kind;
    index->id = def->id;
    snprintf(index->kind_name, sizeof(index->kind_name), "%s", def->kind);
    lk_mutex_init(&index->list_lock, LK_LOCK_INDEX_LIST);
    lk_mutex_init(&index->lock, LK_LOCK_INDEX);
    struct lki_parts *parts = parts_take(index);
    luma_rc rc = parts == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index")
                               : hot_make(ctx, index, &parts->hot);
    if (rc == LUMA_OK) {
        atomic_fetch_sub_explicit(&parts->holders, DEAD - 1, memory_order_release);
        atomic_store_explicit(&index->current, parts, memory_order_release);
    } else {
        lk_index_destroy(index);
        return rc;
    }
    *out_index = index;
    return LUMA_OK;
}

void
lk_index_destroy(struct lk_index *index)
{
    if (index == NULL)
        return;
    struct lki_parts *parts = atomic_load_explicit(&index->current, memory_order_relaxed);
    if (parts != NULL)
        lki_parts_release(index, parts);
    while (index->all != NULL) {
        parts = index->all;
        index->all = parts->next_all;
        LK_ASSERT(atomic_load_explicit(&parts->holders, memory_order_relaxed) == DEAD);
        lk_free(NULL, parts, sizeof(*parts));
    }
    lk_mutex_fini(&index->list_lock);
    lk_mutex_fini(&index->lock);
    lk_free(NULL, index, sizeof(*index));
}

/* --- entries --- */

luma_rc
lk_index_insert(struct luma_ctx *ctx, struct lk_index *index,
                const struct luma_index_entry *entries, size_t count)
{
    for (;;) {
        struct lki_parts *parts = lki_parts_hold(index);
        struct lki_hot *hot = parts->hot;
        luma_rc rc = LUMA_E_AGAIN;
        /* Either freeze sees this writer and waits, or the writer sees frozen and goes on to the
         * next hot part: both sides are sequentially consistent. */
        atomic_fetch_add(&hot->writers, 1);
        if (atomic_load(&hot->frozen) == 0)
            rc = index->kind->hot_insert(ctx, hot->part, entries, count);
        atomic_fetch_sub(&hot->writers, 1);
        lki_parts_release(index, parts);
        if (rc != LUMA_E_AGAIN)
            return rc;
    }
}

void
lk_index_remove(struct lk_index *index, const struct luma_index_entry *entry)
{
    struct lki_parts *parts = lki_parts_hold(index);
    index->kind->hot_remove(parts->hot->part, entry);
    for (uint32_t i = 0; i < parts->frozen_count; i++)
        index->kind->hot_remove(parts->frozen[i]->part, entry);
    lki_parts_release(index, parts);
}

/* --- candidates --- */

static luma_rc
find_hot(struct luma_ctx *ctx, const struct lk_index *index, struct lki_hot *hot,
         struct luma_slice key, size_t key_index,
         void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    int64_t few[FIND_ROOM], *rowids = few;
    size_t room = FIND_ROOM, count = 0;
    luma_rc rc = index->kind->hot_find(ctx, hot->part, key, rowids, room, &count);
    while (rc == LUMA_OK && count > room) { /* a common key: more may come meanwhile */
        if (rowids != few)
            lk_free(NULL, rowids, room * sizeof(*rowids));
        room = count * 2;
        rowids = lk_alloc(NULL, room * sizeof(*rowids));
        if (rowids == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for %zu row ids", room);
        rc = index->kind->hot_find(ctx, hot->part, key, rowids, room, &count);
    }
    for (size_t i = 0; rc == LUMA_OK && i < count; i++)
        emit(arg, key_index, rowids[i]);
    if (rowids != few)
        lk_free(NULL, rowids, room * sizeof(*rowids));
    return rc;
}

static luma_rc
find_parts(struct luma_ctx *ctx, const struct lk_index *index, struct lki_parts *parts,
           const struct luma_slice *keys, size_t count,
           void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    for (size_t k = 0; k < count; k++) {
        LUMA_TRY(find_hot(ctx, index, parts->hot, keys[k], k, emit, arg));
        for (uint32_t i = 0; i < parts->frozen_count; i++)
            LUMA_TRY(find_hot(ctx, index, parts->frozen[i], keys[k], k, emit, arg));
    }
    for (uint32_t i = 0; i < parts->runs_count; i++)
        LUMA_TRY(index->kind->run_find(ctx, parts->runs[i]->run, keys, count, emit, arg));
    return LUMA_OK;
}

luma_rc
lk_index_find(struct luma_ctx *ctx, struct lk_index *index, const struct luma_slice *keys,
              size_t count, void (*emit)(void *arg, size_t key_index, int64_t rowid), void *arg)
{
    struct lki_parts *parts = lki_parts_hold(index);
    luma_rc rc = find_parts(ctx, index, parts, keys, count, emit, arg);
    lki_parts_release(index, parts);
    return rc;
}

struct lk_index_cursor {
    struct lk_index *index;
    struct lki_parts *parts;
    struct lki_merge merge;
};

static luma_rc
open_sources(struct luma_ctx *ctx, struct lk_index_cursor *cursor,
             const struct luma_index_range *range, struct luma_arena *arena)
{
    const struct luma_index_kind *kind = cursor->index->kind;
    struct lki_parts *parts = cursor->parts;
    uint32_t hots = 1 + parts->frozen_count, all = hots + parts->runs_count;

    cursor->merge.sources = LUMA_NEW_ARRAY(arena, struct lki_source *, all);
    if (cursor->merge.sources == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    for (uint32_t i = 0; i < all; i++) {
        struct luma_index_cursor *part;
        if (i < hots)
            LUMA_TRY(kind->hot_cursor(ctx, (i == 0 ? parts->hot : parts->frozen[i - 1])->part,
                                      range, arena, &part));
        else
            LUMA_TRY(kind->run_cursor(ctx, parts->runs[i - hots]->run, range, arena, &part));
        LUMA_TRY(lki_source_cursor(ctx, kind, part, arena, &cursor->merge.sources[i]));
        cursor->merge.count = i + 1;
    }
    return LUMA_OK;
}

luma_rc
lk_index_cursor_open(struct luma_ctx *ctx, struct lk_index *index,
                     const struct luma_index_range *range, struct luma_arena *arena,
                     struct lk_index_cursor **out_cursor)
{
    if ((index->kind->caps & LUMA_INDEX_ORDERED) == 0)
        return LUMA_FAIL(ctx, LUMA_E_UNSUPPORTED, "an index of kind \"%s\" has no order",
                         index->kind_name);
    struct lk_index_cursor *cursor = LUMA_NEW(arena, struct lk_index_cursor);
    if (cursor == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    cursor->index = index;
    cursor->parts = lki_parts_hold(index);
    cursor->merge.reverse = range->reverse;
    luma_rc rc = open_sources(ctx, cursor, range, arena);
    if (rc != LUMA_OK) {
        lk_index_cursor_close(cursor);
        return rc;
    }
    *out_cursor = cursor;
    return LUMA_OK;
}

luma_rc
lk_index_cursor_next(struct luma_ctx *ctx, struct lk_index_cursor *cursor,
                     struct luma_index_entry *out_entry, bool *out_more)
{
    return lki_merge_next(ctx, &cursor->merge, out_entry, out_more);
}

void
lk_index_cursor_close(struct lk_index_cursor *cursor)
{
    if (cursor == NULL || cursor->parts == NULL)
        return;
    lki_merge_close(&cursor->merge);
    lki_parts_release(cursor->index, cursor->parts);
    cursor->parts = NULL;
}

/* --- sizes --- */

#define ESTIMATE_STEPS 128

/* Hot parts cannot tell: count a few entries, beyond that take the share the runs have in range. */
static uint64_t
estimate_hot(struct luma_ctx *ctx, struct lk_index *index, struct lki_hot *hot,
             const struct luma_index_range *range, double share)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct luma_index_cursor *cursor;
    struct luma_index_entry entry;
    uint64_t count = 0;
    bool more = true;

    if (arena == NULL || index->kind->hot_count(hot->part) == 0 ||
        index->kind->hot_cursor(ctx, hot->part, range, arena, &cursor) != LUMA_OK)
        return 0;
    while (count < ESTIMATE_STEPS &&
           index->kind->cursor_next(ctx, cursor, &entry, &more) == LUMA_OK && more)
        count++;
    index->kind->cursor_close(cursor);
    if (count < ESTIMATE_STEPS)
        return count;
    return LK_MAX(count, (uint64_t)(share * (double)index->kind->hot_count(hot->part)));
}

uint64_t
lk_index_estimate(struct luma_ctx *ctx, struct lk_index *index,
                  const struct luma_index_range *range)
{
    struct lki_parts *parts = lki_parts_hold(index);
    uint64_t in_range = 0, all = 0;
    for (uint32_t i = 0; i < parts->runs_count; i++) {
        in_range += index->kind->run_estimate == NULL
                        ? 0
                        : index->kind->run_estimate(ctx, parts->runs[i]->run, range);
        all += parts->runs[i]->info.entries;
    }
    double share = all == 0 ? 0.33 : (double)in_range / (double)all;
    in_range += estimate_hot(ctx, index, parts->hot, range, share);
    for (uint32_t i = 0; i < parts->frozen_count; i++)
        in_range += estimate_hot(ctx, index, parts->frozen[i], range, share);
    lki_parts_release(index, parts);
    return in_range;
}

size_t
lk_index_hot_bytes(const struct lk_index *index)
{
    struct lk_index *mutable_index = (struct lk_index *)(uintptr_t)index;
    struct lki_parts *parts = lki_parts_hold(mutable_index);
    size_t bytes = index->kind->hot_bytes(parts->hot->part);
    for (uint32_t i = 0; i < parts->frozen_count; i++)
        bytes += index->kind->hot_bytes(parts->frozen[i]->part);
    lki_parts_release(mutable_index, parts);
    return bytes;
}

uint64_t
lk_index_hot_count(struct lk_index *index)
{
    struct lki_parts *parts = lki_parts_hold(index);
    uint64_t count = index->kind->hot_count(parts->hot->part);
    for (uint32_t i = 0; i < parts->frozen_count; i++)
        count += index->kind->hot_count(parts->frozen[i]->part);
    lki_parts_release(index, parts);
    return count;
}

bool
lk_index_is_ordered(const struct lk_index *index)
{
    return (index->kind->caps & LUMA_INDEX_ORDERED) != 0;
}

uint64_t
lk_index_entries(struct lk_index *index)
{
    uint64_t count = lk_index_hot_count(index);
    struct lki_parts *parts = lki_parts_hold(index);
    for (uint32_t i = 0; i < parts->runs_count; i++)
        count += parts->runs[i]->info.entries;
    lki_parts_release(index, parts);
    return count;
}

uint64_t
lk_index_bytes(const struct lk_index *index)
{
    struct lk_index *mutable_index = (struct lk_index *)(uintptr_t)index;
    struct lki_parts *parts = lki_parts_hold(mutable_index);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < parts->runs_count; i++)
        bytes += parts->runs[i]->info.bytes;
    lki_parts_release(mutable_index, parts);
    return bytes;
}

/* --- checkpoint --- */

luma_rc
lk_index_freeze(struct luma_ctx *ctx, struct lk_index *index)
{
    struct change change = {0};
    if (index->freezing)
        return LUMA_E_AGAIN;
    struct lki_parts *now = lki_parts_hold(index);
    bool full = now->frozen_count == LKI_FROZEN_MAX; /* many checkpoints failed: these first */
    struct lki_hot *old = now->hot;                  /* only this function changes it */
    lki_parts_release(index, now);
    if (full) {
        index->freezing = true;
        return LUMA_OK;
    }
    LUMA_TRY(hot_make(ctx, index, &change.hot));
    LUMA_TRY(change_list(ctx, index, &change)); /* the new list holds `old` on */
    atomic_store(&old->frozen, 1);
    while (atomic_load(&old->writers) != 0) /* inserts never park: this is short */
        continue;
    index->freezing = true;
    return LUMA_OK;
}

luma_rc
lk_index_write_frozen(struct luma_ctx *ctx, struct lk_index *index, struct lk_run_info *out_info,
                      bool *out_written)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lki_parts *parts = lki_parts_hold(index);
    struct lki_source *sources[LKI_FROZEN_MAX];
    struct lki_merge merge = {.sources = sources};
    struct luma_index_range all = {0};
    size_t count = 0;
    luma_rc rc =
        arena == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to write an index run") : LUMA_OK;

    *out_written = false;
    for (uint32_t i = 0; i < parts->frozen_count && rc == LUMA_OK; i++) {
        struct luma_index_cursor *cursor;
        count += index->kind->hot_count(parts->frozen[i]->part);
        rc = index->kind->hot_cursor(ctx, parts->frozen[i]->part, &all, arena, &cursor);
        if (rc == LUMA_OK)
            rc = lki_source_cursor(ctx, index->kind, cursor, arena, &sources[merge.count]);
        merge.count += rc == LUMA_OK;
    }
    if (rc == LUMA_OK && count > 0) {
        rc = lki_run_write(ctx, index, &merge, 0, NULL, NULL, false, NULL, out_info);
        *out_written = rc == LUMA_OK;
    }
    lki_merge_close(&merge);
    lki_parts_release(index, parts);
    return rc;
}

luma_rc
lk_index_publish(struct luma_ctx *ctx, struct lk_index *index, const struct lk_run_info *info)
{
    struct change change = {.drop_frozen = true};
    if (info != NULL)
        LUMA_TRY(run_open(ctx, index, info, &change.add));
    LUMA_TRY(change_list(ctx, index, &change));
    index->freezing = false;
    return LUMA_OK;
}

void
lk_index_unfreeze(struct lk_index *index)
{
    /* What was frozen stays readable and is written by the next checkpoint with what came since. */
    index->freezing = false;
}

luma_rc
lk_index_attach(struct luma_ctx *ctx, struct lk_index *index, const struct lk_run_info *info)
{
    struct change change = {0};
    LUMA_TRY(run_open(ctx, index, info, &change.add));
    return change_list(ctx, index, &change);
}

luma_rc
lk_index_replace(struct luma_ctx *ctx, struct lk_index *index, const struct lk_run_merge *merge)
{
    uint64_t ids[16];
    struct change change = {.drop_runs = ids, .drop_runs_count = merge->inputs_count};
    for (uint32_t i = 0; i < merge->inputs_count; i++)
        ids[i] = merge->inputs[i].object_id;
    LUMA_TRY(run_open(ctx, index, &merge->output, &change.add));
    return change_list(ctx, index, &change);
}

luma_rc
lk_index_rebuilt(struct luma_ctx *ctx, struct lk_index *index, const uint64_t *ids, uint32_t count,
                 const struct lk_run_info *info)
{
    struct change change = {.drop_runs = ids, .drop_runs_count = count};
    if (info != NULL)
        LUMA_TRY(run_open(ctx, index, info, &change.add));
    return change_list(ctx, index, &change);
}

bool
lk_index_run_sound(struct luma_ctx *ctx, struct lk_index *index, uint64_t object_id)
{
    struct lki_parts *parts = lki_parts_hold(index);
    bool sound = false;
    for (uint32_t i = 0; i < parts->runs_count; i++)
        if (parts->runs[i]->info.object_id == object_id)
            sound = index->kind->run_verify(ctx, parts->runs[i]->run) == LUMA_OK;
    lki_parts_release(index, parts);
    return sound;
}

luma_rc
lk_index_verify(struct luma_ctx *ctx, struct lk_index *index)
{
    struct lki_parts *parts = lki_parts_hold(index);
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; i < parts->runs_count && rc == LUMA_OK; i++)
        rc = index->kind->run_verify(ctx, parts->runs[i]->run);
    lki_parts_release(index, parts);
    return rc;
}
