/*
 * lumadb/host/host.h - what the kernel hands a module at init: small tables, each with its own
 * size and version. Valid for the life of the process; a module may keep the pointer.
 */
#ifndef LUMADB_HOST_HOST_H
#define LUMADB_HOST_HOST_H

#include <lumadb/error.h>

struct luma_host_log;
struct luma_host_mem;
struct luma_host_data;
struct luma_host_sched;
struct luma_host_net;
struct luma_host_session;
struct luma_host_txn;
struct luma_host_catalog;
struct luma_host_store;
struct luma_host_stats;
struct luma_host_services;
struct luma_host_temp;

struct luma_host {
    struct luma_head head;
    const struct luma_host_log *log;           /* host/log.h */
    const struct luma_host_mem *mem;           /* host/mem.h */
    const struct luma_host_stats *stats;       /* host/stats.h */
    const struct luma_host_data *data;         /* host/data.h */
    const struct luma_host_sched *sched;       /* host/sched.h */
    const struct luma_host_net *net;           /* host/net.h */
    const struct luma_host_session *session;   /* host/session.h */
    const struct luma_host_txn *txn;           /* host/txn.h */
    const struct luma_host_catalog *catalog;   /* host/catalog.h */
    const struct luma_host_store *store;       /* host/store.h */
    const struct luma_host_services *services; /* below */
    const struct luma_host_temp *temp;         /* host/temp.h */
};

struct luma_service_info {
    const char *service; /* "codec.zstd" */
    const struct luma_head *table;
    const struct luma_module *module; /* NULL: the kernel's own */
    const char *file;                 /* shared object, NULL: built in */
    const char *conf_file;            /* NULL: none */
    const char *state;                /* "running", "stopped", "failed: ..." */
};

/* Services of other modules. Look up when a table, plan or connection opens, not per row. */
struct luma_host_services {
    struct luma_head head;
    /* NULL when no running module offers `service` with that major version. */
    const struct luma_head *(*lookup)(const char *service, uint16_t major);
    /* Visits all services whose name begins with `prefix` ("" for all) in name order. */
    void (*each)(const char *prefix, void (*fn)(void *arg, const struct luma_service_info *info),
                 void *arg);
    /* The state pointer that the module offering `table` gave from init. */
    void *(*state_of)(const struct luma_head *table);
    /* Visits every module that was configured, running or not. */
    void (*each_module)(void (*fn)(void *arg, const struct luma_service_info *info), void *arg);
    /* The configuration in force of the module offering `table` (what init and reload were given);
     * NULL: it has none. */
    const void *(*conf_of)(const struct luma_head *table);
};

#endif
