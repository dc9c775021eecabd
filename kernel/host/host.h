/*
 * host/host.h - modules: found by conf.d, judged, ordered by what they need, started, stopped.
 *
 * A file <kind>-<name>.conf in a conf.d folder means that the module <kind>-<name> is wanted. It
 * is built in, or <kind>-<name>.so in one of the module folders. What is wrong with one module
 * never stops the others, unless it says LUMA_MODULE_REQUIRED.
 *
 * The calls below run on the main thread in the order they are listed; the services table may be
 * used from any thread.
 */
#ifndef LK_HOST_HOST_H
#define LK_HOST_HOST_H

#include <lumadb/host/host.h>
#include <lumadb/module.h>

#include "config/config.h"
#include "io/io.h"

/* The modules linked into the program, NULL at the end; configure writes the file. */
extern const struct luma_module *const lk_host_builtin[];

enum lk_host_state {
    LK_HOST_LOADED = 0, /* judged, waits for its turn */
    LK_HOST_REFUSED,    /* cannot be loaded: reason */
    LK_HOST_DISABLED,   /* enabled = false */
    LK_HOST_FAILED,     /* needs, init or start failed: reason */
    LK_HOST_READY,      /* init done: its services can be found */
    LK_HOST_RUNNING,    /* start done */
    LK_HOST_STOPPED
};

struct lk_host_module {
    struct luma_module desc; /* copy, zero where the module's own is shorter */
    char *label;             /* "codec-zstd" */
    char *file;              /* shared object; NULL: built in, or not found */
    char *conf_file;         /* NULL: none */
    char *section;
    enum lk_host_state state;
    char *reason;
    void *module_state; /* what init gave */
    const void *values; /* its configuration in force */
    void *handle;       /* of dlopen */
    uint32_t order;     /* position in start order */
};

/* Reads conf.d: adds a document for each file to conf and remembers what is wanted. A folder that
 * is not there holds nothing. */
LUMA_NODISCARD luma_rc lk_host_scan(struct luma_ctx *ctx, struct lk_io *io, const char *conf_dir,
                                    struct lk_conf *conf);

/* Wants the module in this file, in place of the installed one of that name if there is one. */
LUMA_NODISCARD luma_rc lk_host_want_file(struct luma_ctx *ctx, const char *file,
                                         struct lk_conf *conf);

/* Loads and judges what is wanted and adds the sections of the modules to conf. dirs is NULL
 * terminated. Refusals are kept in the modules' reason; LUMA_E_NOMEM only. */
LUMA_NODISCARD luma_rc lk_host_load(struct luma_ctx *ctx, struct lk_io *io, const char *const *dirs,
                                    struct lk_conf *conf);

/* After conf was resolved: takes out what is disabled, finds the order of needs. Missing needs and
 * cycles fail the modules concerned; LUMA_E_MODULE when a required one is among them. */
LUMA_NODISCARD luma_rc lk_host_order(struct luma_ctx *ctx, struct lk_conf *conf);

/* [simd] use: the variant of inner loops to use; NULL: the best. Before lk_host_init. */
void lk_host_force_simd(const char *name);
/* Name of the variant in use; NULL: none yet. */
const char *lk_host_simd(void);

/* Init of all, or (storage_only) of those that recovery needs and what these need. The second call
 * does the rest. LUMA_E_MODULE when a required one fails. */
LUMA_NODISCARD luma_rc lk_host_init(struct luma_ctx *ctx, const struct luma_host *host,
                                    bool storage_only);
/* Start in the same order. A module whose configuration cannot be followed (LUMA_E_CONFIG, a port
 * that is taken) stops the start: the operator asked for it. */
LUMA_NODISCARD luma_rc lk_host_start(struct luma_ctx *ctx);

/* A new configuration, already resolved with the same modules; kept for the life of the process. */
void lk_host_reload(struct lk_conf *conf);

/* Stop in reverse order, all with one deadline (monotonic ns); kinds "frontend" first of all. */
void lk_host_stop(uint64_t deadline_ns);
/* Only the frontends: nobody comes in any more, the rest still works. */
void lk_host_stop_frontends(uint64_t deadline_ns);
void lk_host_fini(void);

/* All modules wanted, in start order once that is known. */
size_t lk_host_count(void);
const struct lk_host_module *lk_host_at(size_t index);
const struct lk_host_module *lk_host_find(const char *label);
const char *lk_host_state_name(enum lk_host_state state);

extern const struct luma_host_services lk_services_host;

/* The conformance run of a module that is ready: one line per test through say. LUMA_OK only if all
 * passed. */
LUMA_NODISCARD luma_rc lk_host_check(struct luma_ctx *ctx, const struct lk_host_module *module,
                                     const struct luma_host *host,
                                     void (*say)(void *arg, bool ok, const char *line), void *arg);

#endif
