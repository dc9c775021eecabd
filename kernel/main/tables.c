/* main/tables.c - what modules are handed: the tables of the kernel's parts, side by side. */
#include "catalog/catalog.h"
#include "data/data.h"
#include "main/main_priv.h"
#include "storage/store.h"
#include "storage/temp/temp.h"

const struct luma_host *
lki_host_tables(void)
{
    static const struct luma_host tables = {
        .head = {sizeof(struct luma_host), 0, 1},
        .log = &lk_log_host,
        .mem = &lk_mem_host,
        .stats = &lk_stats_host,
        .data = &lk_data_host,
        .sched = &lk_sched_host,
        .net = &lk_net_host,
        .session = &lk_session_host,
        .txn = &lk_txn_host,
        .catalog = &lk_catalog_host,
        .store = &lk_store_host,
        .services = &lk_services_host,
        .temp = &lk_temp_host,
    };
    return &tables;
}
