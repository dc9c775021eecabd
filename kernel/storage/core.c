/*
 * storage/core.c - opening and closing a store.
 */
#include "storage/core.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "storage/mutant.h"

void
lk_store_conf_default(struct lk_store_conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    conf->async_flush_ns = 10000000;
    conf->hot_bytes = 512ULL << 20;
    conf->cache_bytes = 512ULL << 20;
    conf->wal_file_bytes = 16ULL << 20;
    conf->checkpoint_wal_bytes = 256ULL << 20;
    conf->checkpoint_ns = 60ULL * 1000000000;
    conf->small_bytes = 256u << 10;
    conf->build_rows = 8192; /* fewer are indexed sooner under the lock */
}

static void
stats_open(struct lk_store_stats *s)
{
    const enum luma_stat_kind counter = LUMA_STAT_COUNTER;
    s->commits = lk_stat_open(counter, "lumadb_txn_commits", "", "", "Transactions committed.");
    s->rollbacks =
        lk_stat_open(counter, "lumadb_txn_rollbacks", "", "", "Transactions rolled back.");
    s->conflicts = lk_stat_open(counter, "lumadb_txn_conflicts", "", "",
                                "Statements that lost a race against another transaction.");
    s->deadlocks = lk_stat_open(counter, "lumadb_txn_deadlocks", "", "", "Deadlocks broken.");
    s->checkpoints = lk_stat_open(counter, "lumadb_store_checkpoints", "", "", "Checkpoints.");
    s->checkpoint_ns = lk_stat_open(LUMA_STAT_HISTOGRAM, "lumadb_store_checkpoint_seconds", "",
                                    "seconds", "How long checkpoints took.");
    s->segments_written =
        lk_stat_open(counter, "lumadb_store_segments_written", "", "", "Segments written.");
    s->segment_bytes_written = lk_stat_open(counter, "lumadb_store_segment_bytes_written", "",
                                            "bytes", "Bytes of segments written.");
    s->merges = lk_stat_open(counter, "lumadb_store_merges", "", "", "Merges of segments or runs.");
    s->snapshots_too_old = lk_stat_open(counter, "lumadb_txn_snapshots_too_old", "", "",
                                        "Snapshots that grew older than storage.max_snapshot_age.");
    s->index_damages = lk_stat_open(counter, "lumadb_store_index_damages", "", "",
                                    "Indexes found damaged and rebuilt from their rows.");
    s->commit_wait = lk_stat_open(LUMA_STAT_HISTOGRAM, "lumadb_txn_commit_wait_seconds", "",
                                  "seconds", "How long commits waited for the log.");
    s->wal_bytes =
        lk_stat_open(LUMA_STAT_GAUGE, "lumadb_wal_bytes", "", "bytes", "Bytes logged so far.");
    s->wal_syncs = lk_stat_open(LUMA_STAT_GAUGE, "lumadb_wal_syncs", "", "", "Syncs of the log.");
    s->wal_records =
        lk_stat_open(LUMA_STAT_GAUGE, "lumadb_wal_records", "", "", "Records logged so far.");
    s->hot_bytes = lk_stat_open(LUMA_STAT_GAUGE, "lumadb_store_hot_bytes", "", "bytes",
                                "Rows and index entries in memory that no object holds yet.");
}

struct lk_sequence *
lk_core_sequence(struct lk_store *store, uint64_t seq_id, bool create)
{
    struct lk_sequence **bucket = &store->sequences[lk_hash_u64(seq_id) % LK_SEQUENCES_BUCKETS];
    struct lk_sequence *seq = *bucket;
    while (seq != NULL && seq->id != seq_id)
        seq = seq->next;
    if (seq == NULL && create) {
        seq = calloc(1, sizeof(*seq));
        if (seq == NULL)
            return NULL;
        seq->id = seq_id;
        seq->next = *bucket;
        *bucket = seq;
    }
    return seq;
}

uint64_t
lk_core_hot_bytes(const struct lk_store *store)
{
    return lk_budget_used(store->hot_budget);
}

void
lk_core_want_checkpoint(struct lk_store *store)
{
    if (!atomic_exchange(&store->checkpoint_wanted, true) && atomic_load(&store->running))
        lk_wait_signal(store->conf.sched, &store->wake);
}

/* Of `part` in four of the limit, a quarter of it new at the least. */
static bool
hot_fills(const struct lk_store *store, uint64_t part)
{
    uint64_t limit = store->conf.hot_bytes, used = lk_core_hot_bytes(store);
    uint64_t left = atomic_load_explicit(&store->left_bytes, memory_order_relaxed);
    return used >= limit / 4 * part && (used >= left + limit / 4 || used >= limit * 2);
}

bool
lk_core_hot_full(const struct lk_store *store)
{
    return hot_fills(store, 4);
}

bool
lk_core_hot_much(const struct lk_store *store)
{
    return hot_fills(store, 2);
}

luma_rc
lk_core_throttle(struct luma_ctx *ctx, struct lk_store *store)
{
    if (LUMA_LIKELY(!lk_core_hot_much(store)))
        return LUMA_OK;
    if (!lk_core_hot_full(store)) {
        lk_core_want_checkpoint(store);
        return LUMA_OK;
    }
    uint64_t seen = atomic_load(&store->checkpoints);
    LUMA_TRY(lk_store_make_room(ctx, store));
    uint64_t used = lk_core_hot_bytes(store);
    if (used < store->conf.hot_bytes * 2 || atomic_load(&store->checkpoints) == seen)
        return LUMA_OK;
    return LUMA_FAIL(ctx, LUMA_E_NOMEM,
                     "the hot tier is full (%llu MiB) and open transactions keep it from being "
                     "written out",
                     (unsigned long long)(used >> 20));
}

void
lk_core_needs(struct lk_store *store, uint64_t commit, struct lk_needs *out)
{
    /* Any commit of a history that is kept may be asked for. */
    if (lk_history_floor(store) != UINT64_MAX)
        commit = LK_MIN(commit, lk_slots_horizon(&store->slots));
    lk_slots_needs(&store->slots, commit, out);
    if (LK_MUTANT(NEEDS_FORGOTTEN))
        out->count = 0;
}

static void
colls_free(struct lk_store *store)
{
    for (uint32_t i = 0; i < LK_COLLS_BUCKETS; i++) {
        while (store->colls[i] != NULL) {
            struct lk_coll *coll = store->colls[i];
            store->colls[i] = coll->next;
            lk_view_unref(coll->view);
            lk_view_unref(coll->pending);
            free(coll->rows_broken);
            lk_rwlock_fini(&coll->latch);
            lk_mutex_fini(&coll->view_lock);
            lk_mutex_fini(&coll->live_lock);
            free(coll);
        }
    }
    for (uint32_t i = 0; i < LK_SEQUENCES_BUCKETS; i++) {
        while (store->sequences[i] != NULL) {
            struct lk_sequence *seq = store->sequences[i];
            store->sequences[i] = seq->next;
            free(seq);
        }
    }
}

void
lk_core_close(struct lk_store *store)
{
    if (store == NULL)
        return;
    lk_wal_close(store->wal);
    lk_archive_forget(store);
    colls_free(store);
    lk_objects_close(store->objects);
    lk_places_close(store);
    lk_formats_free(store->formats);
    if (store->cache != NULL)
        lk_cache_destroy(store->cache);
    lk_manifest_close(store->manifest);
    lk_slots_fini(&store->slots, store->budget);
    lk_io_close(store->lock_file);
    lk_budget_destroy(store->hot_budget);
    lk_budget_destroy(store->budget);
    lk_rwlock_fini(&store->colls_lock);
    lk_mutex_fini(&store->commit_lock);
    lk_mutex_fini(&store->archive_lock);
    lk_history_close(store);
    free(store->named);
    free(store->dir);
    free(store->wal_dir);
    free(store);
}

/* A folder with a log or objects but no manifest has lost it. */
struct orphans {
    uint64_t count;
};

static luma_rc
orphan_found(void *arg, const char *name, bool is_dir)
{
    (void)name;
    ((struct orphans *)arg)->count += !is_dir;
    return LUMA_OK;
}

static luma_rc
manifest_open(struct luma_ctx *ctx, struct lk_store *store, bool read_only)
{
    struct lk_io *io = store->conf.io;
    struct orphans orphans = {0};
    char *path = NULL;
    if (asprintf(&path, "%s/manifest", store->dir) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    luma_rc rc = read_only ? LUMA_OK : lk_io_mkdir_all(ctx, io, path);
    bool has_log = false;
    if (rc == LUMA_OK)
        rc = lk_io_find(ctx, io, store->wal_dir, &has_log);
    if (rc == LUMA_OK && has_log)
        rc = lk_io_list(ctx, io, store->wal_dir, orphan_found, &orphans);
    if (rc == LUMA_OK)
        rc = lk_manifest_open(ctx, io, path, read_only || orphans.count > 0, &store->manifest,
                              &store->is_new);
    if (rc == LUMA_OK && orphans.count > 0 && !read_only) {
        /* It was looked at first without writing: a log without a manifest is not a new store. */
        lk_manifest_close(LUMA_TAKE(store->manifest));
        rc = lk_manifest_open(ctx, io, path, false, &store->manifest, &store->is_new);
    }
    free(path);
    if (rc == LUMA_OK)
        store->id = lk_manifest_store_id(store->manifest);
    return rc;
}

static luma_rc
folders_open(struct luma_ctx *ctx, struct lk_store *store, bool read_only)
{
    const struct lk_store_conf *conf = &store->conf;
    char *path = NULL;
    store->dir = strdup(conf->dir);
    if (store->dir == NULL || asprintf(&store->wal_dir, "%s/wal", conf->dir) < 0) {
        store->wal_dir = NULL;
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    }
    if (!read_only)
        LUMA_TRY(lk_io_mkdir_all(ctx, conf->io, store->dir));
    if (asprintf(&path, "%s/lock", conf->dir) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    luma_rc rc = lk_io_lock(ctx, conf->io, path, &store->lock_file);
    free(path);
    LUMA_TRY(rc);
    if (asprintf(&path, "%s/" LK_STORE_RESTORING, conf->dir) < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    bool unfinished = false;
    rc = conf->restoring ? LUMA_OK : lk_io_find(ctx, conf->io, path, &unfinished);
    free(path);
    LUMA_TRY(rc);
    if (unfinished)
        return LUMA_FAIL(ctx, LUMA_E_CONFIG,
                         "%s was not restored to the end: run lumadb restore again", conf->dir);
    LUMA_TRY(manifest_open(ctx, store, read_only));
    if (!read_only)
        LUMA_TRY(lk_io_mkdir_all(ctx, conf->io, store->wal_dir));
    return LUMA_OK;
}

static luma_rc
parts_open(struct luma_ctx *ctx, struct lk_store *store)
{
    const struct lk_store_conf *conf = &store->conf;
    store->budget = lk_budget_create(conf->budget, "store", 0);
    store->hot_budget = store->budget == NULL ? NULL : lk_budget_create(store->budget, "hot", 0);
    if (store->hot_budget == NULL || lk_slots_init(&store->slots, store->budget) != LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    atomic_store(&store->slots.used, 1); /* slot 0 is the checkpoint's */
    LUMA_TRY(lk_history_open(ctx, store));
    luma_rc rc = lk_cache_create(store->budget, conf->cache_bytes, &store->cache);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "store: no memory for a cache of %llu bytes",
                         (unsigned long long)conf->cache_bytes);
    LUMA_TRY(lk_formats_load(ctx, conf->services, conf->codec, &store->formats));
    return lk_objects_open(ctx, conf->io, store->dir, store->cache, &store->objects);
}

static luma_rc
wal_open(struct luma_ctx *ctx, struct lk_store *store, const struct lk_wal_end *end)
{
    const struct lk_store_conf *conf = &store->conf;
    struct lk_wal_conf wal = {.io = conf->io, .dir = store->wal_dir, .store_id = store->id};
    wal.file_bytes = conf->wal_file_bytes;
    wal.async = conf->async;
    wal.archive_dir = conf->wal_archive;
    wal.async_flush_ns = conf->async_flush_ns;
    wal.inline_write = conf->wal_inline;
    wal.sched = conf->sched;
    return lk_wal_open(ctx, &wal, end, &store->wal);
}

luma_rc
lk_core_open(struct luma_ctx *ctx, const struct lk_store_conf *conf, bool read_only,
             struct lk_store **out_store)
{
    struct lk_store *store = calloc(1, sizeof(*store));
    struct lk_wal_end end;
    if (store == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "store: out of memory");
    store->conf = *conf;
    lk_rwlock_init(&store->colls_lock, LK_LOCK_STORE_COLLS);
    lk_mutex_init(&store->commit_lock, LK_LOCK_STORE_COMMIT);
    lk_mutex_init(&store->archive_lock, LK_LOCK_STORE_ARCHIVE);
    lk_mutex_init(&store->history.lock, LK_LOCK_STORE_HISTORY);
    stats_open(&store->stats);

    luma_rc rc = folders_open(ctx, store, read_only);
    if (rc == LUMA_OK)
        rc = parts_open(ctx, store);
    if (rc == LUMA_OK)
        rc = lk_recover(ctx, store, read_only, &end);
    if (rc == LUMA_OK && !read_only) {
        LK_IO_PHASE("recovery");
        rc = wal_open(ctx, store, &end);
        if (rc == LUMA_OK)
            lk_history_start(store, lk_wal_epoch(store->wal), store->commit);
    }
    atomic_store(&store->checkpoint_at_ns, lk_io_now_ns(conf->io));
    if (rc != LUMA_OK) {
        lk_core_close(store);
        return rc;
    }
    *out_store = store;
    return LUMA_OK;
}

bool
lk_store_is_new(const struct lk_store *store)
{
    return store->is_new;
}

uint64_t
lk_store_id(const struct lk_store *store)
{
    return store->id;
}
