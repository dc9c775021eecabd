/*
 * main/parts.c - the parts of the kernel, started in the order of their needs and stopped the other
 * way round.
 */
#include <unistd.h>

#include "catalog/catalog.h"
#include "data/data.h"
#include "main/main_priv.h"
#include "storage/store.h"
#include "storage/temp/temp.h"

#define LIBRARY_SHARE     8 /* of the memory budget */
#define LIBRARY_BYTES_MAX ((uint64_t)64 << 20)

static struct {
    bool sched, net, modules, catalog, session, background, temp;
    struct lk_store *store;
    uint64_t at_ns;
} started;

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

/* 60 percent of the machine's memory unless the configuration says otherwise. */
static uint64_t
memory_budget(const struct lki_storage *storage)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
    if (storage->memory_budget > 0)
        return (uint64_t)storage->memory_budget;
    if (pages <= 0 || page_bytes <= 0)
        return (uint64_t)1 << 30;
    return (uint64_t)pages * (uint64_t)page_bytes / 10 * 6;
}

static enum lk_tier
tier_of(const char *name)
{
    enum lk_tier tier = LK_TIER_RAM;
    while (tier < LK_TIER_HYBRID && strcmp(lk_tier_name(tier), name) != 0)
        tier++;
    return tier;
}

/* What is counted: libraries, stacks and the allocator's own room have the rest. */
static size_t
counted_budget(const struct lki_storage *storage)
{
    uint64_t budget = memory_budget(storage), rest = budget / LIBRARY_SHARE;
    return (size_t)(budget - (rest < LIBRARY_BYTES_MAX ? rest : LIBRARY_BYTES_MAX));
}

void
lki_store_conf(const struct lki_storage *storage, struct lk_io *io, const char *dir,
               struct lk_store_conf *out_conf)
{
    uint64_t budget = memory_budget(storage);
    lk_store_conf_default(out_conf);
    out_conf->io = io;
    out_conf->dir = dir;
    out_conf->services = &lk_services_host;
    out_conf->codec = storage->codec;
    out_conf->wal_archive = storage->wal_archive;
    out_conf->async = strcmp(storage->durability, "async") == 0;
    out_conf->async_flush_ns = (uint64_t)storage->async_flush;
    out_conf->cold_dir = storage->cold_dir;
    out_conf->tier.tier = tier_of(storage->tier);
    out_conf->tier.age_us = storage->tier_age / 1000;
    out_conf->tier.bytes = storage->tier_bytes;
    out_conf->snapshot_age_ns = (uint64_t)storage->max_snapshot_age;
    out_conf->history_ns = (uint64_t)storage->history;
    out_conf->hot_bytes =
        storage->hot_tier_size > 0 ? (uint64_t)storage->hot_tier_size : budget / 4;
    out_conf->cache_bytes = storage->cache_size > 0 ? (uint64_t)storage->cache_size : budget / 3;
    out_conf->wal_file_bytes = (uint64_t)storage->wal_file_size;
    out_conf->checkpoint_wal_bytes = (uint64_t)storage->checkpoint_wal_size;
    out_conf->checkpoint_ns = (uint64_t)storage->checkpoint_interval;
}

static int64_t
memory_used(void *arg)
{
    (void)arg;
    return (int64_t)lk_budget_used(NULL);
}

static int64_t
memory_limit(void *arg)
{
    (void)arg;
    return (int64_t)lk_budget_limit(NULL);
}

static int64_t
tasks_now(void *arg)
{
    (void)arg;
    return (int64_t)lk_sched_tasks();
}

static int64_t
uptime(void *arg)
{
    (void)arg;
    return (int64_t)((now_ns() - started.at_ns) / 1000000000u);
}

static void
open_gauges(void)
{
    started.at_ns = now_ns();
    lk_stat_open_fn("lumadb_memory_bytes", "", "bytes", "memory counted by the server", memory_used,
                    NULL);
    lk_stat_open_fn("lumadb_memory_limit_bytes", "", "bytes", "what the server may count",
                    memory_limit, NULL);
    lk_stat_open_fn("lumadb_tasks", "", "", "tasks, parked ones included", tasks_now, NULL);
    lk_stat_open_fn("lumadb_uptime_seconds", "", "seconds", "time since the start", uptime, NULL);
    lk_stat_set(lk_stat_open(LUMA_STAT_GAUGE, "lumadb_build_info", "version=\"" LUMA_VERSION "\"",
                             "", "1; the version is a label"),
                1);
}

static luma_rc
start_store(struct luma_ctx *ctx, const struct lki_settings *s, struct lk_io *io, const char *dir)
{
    struct lk_store_conf conf;
    lki_store_conf(s->storage, io, dir, &conf);
    conf.sched = &lk_sched_host;
    LUMA_TRY(lk_io_mkdir_all(ctx, io, dir));
    LUMA_TRY(lk_store_open(ctx, &conf, &started.store));
    LUMA_TRY(lk_temp_start(ctx, io, dir, (uint64_t)s->storage->temp_limit));
    started.temp = true;
    lk_catalog_set_identity(lk_session_role);
    LUMA_TRY(lk_catalog_open(ctx));
    started.catalog = true;
    return LUMA_OK;
}

luma_rc
lki_kernel_start(struct luma_ctx *ctx, const struct lki_settings *settings, struct lk_io *io,
                 const char *dir)
{
    static const struct lk_session_parts session_parts = {&lk_txn_host, &lk_catalog_host,
                                                          &lk_data_host};
    open_gauges();
    lk_budget_set_limit(NULL, counted_budget(settings->storage));
    LUMA_TRY(lk_sched_start(ctx, settings->sched));
    started.sched = true;
    LUMA_TRY(lk_net_start(ctx, settings->tls));
    started.net = true;
    started.modules = true;
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), true));
    LUMA_TRY(start_store(ctx, settings, io, dir));
    LUMA_TRY(lk_session_start(ctx, settings->session, &session_parts));
    started.session = true;
    return LUMA_OK;
}

luma_rc
lki_embedded_start(struct luma_ctx *ctx, const struct lki_settings *settings, struct lk_io *io,
                   const char *dir)
{
    LUMA_TRY(lki_kernel_start(ctx, settings, io, dir));
    LUMA_TRY(lk_store_start(ctx, started.store));
    started.background = true;
    return LUMA_OK;
}

luma_rc
lki_parts_start(struct luma_ctx *ctx, const struct lki_settings *settings, struct lk_io *io,
                const char *dir)
{
    lk_mem_tune(memory_budget(settings->storage));
    LUMA_TRY(lki_kernel_start(ctx, settings, io, dir));
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), false));
    LUMA_TRY(lk_store_start(ctx, started.store));
    started.background = true;
    return lk_host_start(ctx);
}

/* What is in objects need not be replayed: the next start is quick. Its failure loses nothing. */
static void
last_checkpoint(void)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    if (arena != NULL && lk_store_checkpoint(&c.ctx, started.store) != LUMA_OK)
        lk_log_warn("main", "no last checkpoint: %s", c.error.message);
}

void
lki_parts_stop(uint64_t timeout_ns)
{
    if (started.modules)
        lk_host_stop(now_ns() + timeout_ns);
    if (started.net)
        lk_net_stop();
    if (started.background) {
        lk_store_stop(started.store);
        last_checkpoint();
    }
    if (started.session)
        lk_session_stop();
    if (started.catalog)
        lk_catalog_close();
    if (started.temp)
        lk_temp_stop();
    lk_store_close(started.store);
    if (started.sched)
        lk_sched_stop();
    if (started.modules)
        lk_host_fini();
    memset(&started, 0, sizeof(started));
}
