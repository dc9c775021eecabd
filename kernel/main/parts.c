/*
 * main/parts.c - the parts of the kernel, started in the order of their needs and stopped the other
 * way round.
 */
#include <unistd.h>

#include "main/main_priv.h"

static struct {
    bool sched, net, modules;
} started;

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

/* 60 percent of the machine's memory unless the configuration says otherwise. */
static uint64_t
memory_budget(const struct lki_settings *s)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
    if (s->storage->memory_budget > 0)
        return (uint64_t)s->storage->memory_budget;
    if (pages <= 0 || page_bytes <= 0)
        return (uint64_t)1 << 30;
    return (uint64_t)pages * (uint64_t)page_bytes / 10 * 6;
}

luma_rc
lki_parts_start(struct luma_ctx *ctx, const struct lki_settings *settings, struct lk_io *io,
                const char *dir)
{
    (void)io, (void)dir;
    lk_budget_set_limit(NULL, memory_budget(settings));
    LUMA_TRY(lk_sched_start(ctx, settings->sched));
    started.sched = true;
    LUMA_TRY(lk_net_start(ctx, settings->tls));
    started.net = true;
    started.modules = true;
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), true));
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), false));
    return lk_host_start(ctx);
}

void
lki_parts_stop(uint64_t timeout_ns)
{
    if (started.modules)
        lk_host_stop(now_ns() + timeout_ns);
    if (started.net)
        lk_net_stop();
    if (started.sched)
        lk_sched_stop();
    if (started.modules)
        lk_host_fini();
    memset(&started, 0, sizeof(started));
}
