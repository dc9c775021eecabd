/* main/tables.c - what modules are handed: the tables of the kernel's parts, side by side. */
#include "data/data.h"
#include "main/main_priv.h"

const struct luma_host *
lki_host_tables(void)
{
    static const struct luma_host tables = {
        .head = {sizeof(struct luma_host), 0, 1},
        .log = &lk_log_host,
        .mem = &lk_mem_host,
        .stats = &lk_stats_host,
        .data = &lk_data_host,
        .session = &lk_session_host,
        .sched = &lk_sched_host,
        .net = &lk_net_host,
        .services = &lk_services_host,
    };
    return &tables;
}
