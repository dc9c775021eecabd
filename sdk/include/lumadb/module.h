/*
 * lumadb/module.h - what a shared object must say of itself to be loaded.
 *
 * One exported symbol, luma_module_v1. The kernel exports none: a module reaches it through
 * struct luma_host. A module that has run is never unloaded from memory.
 */
#ifndef LUMADB_MODULE_H
#define LUMADB_MODULE_H

#include <lumadb/base.h>
#include <lumadb/conf.h>
#include <lumadb/error.h>

#define LUMA_MODULE_MAGIC 0x4c4d4f44u /* "LMOD" */

enum luma_module_flags {
    LUMA_MODULE_REQUIRED = 1, /* the server does not start without it */
    LUMA_MODULE_STORAGE = 2   /* needed to read stored data: loaded before recovery */
};

/* A service this module cannot do without: name and major version, never a file. */
struct luma_need {
    const char *service; /* "query.engine"; NULL ends the list */
    uint16_t major;
    bool optional; /* absent: lookup() answers NULL, the module still starts */
};

/* A service it provides: the table begins with struct luma_head. */
struct luma_offer {
    const char *service; /* "codec.zstd"; NULL ends the list */
    const struct luma_head *table;
};

struct luma_host;

struct luma_module {
    /* Frozen: readable by a kernel of any age, before anything else is trusted. */
    uint32_t magic;      /* LUMA_MODULE_MAGIC */
    uint16_t abi_major;  /* differs from the kernel's: refused */
    uint16_t abi_minor;  /* newer than the kernel's: refused */
    uint32_t size_bytes; /* sizeof as the module's compiler saw it */
    uint32_t flags;      /* LUMA_MODULE_* bits */
    const char *kind;    /* "codec" */
    const char *name;    /* "zstd" */
    const char *version; /* the module's own, "1.0.0" */
    const char *build;   /* word size, byte order: LUMA_MODULE_BUILD */

    /* Since 0.1. New members join at the end. */
    const char *licence, *author, *summary;
    const char *section;               /* of config.toml; NULL: "<kind>.<name>" */
    const struct luma_need *needs;     /* NULL: none */
    const struct luma_offer *offers;   /* services it provides; NULL: none */
    const struct luma_conf_item *conf; /* schema of its section; NULL: none */
    size_t conf_bytes;                 /* sizeof the struct that schema fills */

    /* All may be NULL. Called in this order, from the main thread, inside no task. */
    luma_rc (*init)(const struct luma_host *host, const void *conf, struct luma_ctx *ctx,
                    void **out_state);
    luma_rc (*start)(void *state, struct luma_ctx *ctx); /* the services in needs are running */
    /* A reload gave a new configuration; only LUMA_CONF_RELOAD keys differ. The old struct stays
     * valid for the life of the process. */
    void (*reload)(void *state, const void *conf);
    void (*stop)(void *state, uint64_t deadline_ns); /* drains; after it only fini */
    void (*fini)(void *state);
};

#if defined(__x86_64__) || defined(__aarch64__)
#define LUMA_MODULE_BUILD "64le"
#else
#error "LumaDB supports 64-bit little-endian machines"
#endif

#ifdef LUMA_MODULE_STATIC
#define LUMA_MODULE_PASTE2_(a, b) a##b
#define LUMA_MODULE_PASTE_(a, b)  LUMA_MODULE_PASTE2_(a, b)
#define LUMA_MODULE_SYMBOL        LUMA_MODULE_PASTE_(luma_module_, LUMA_MODULE_STATIC)
#define LUMA_MODULE_VISIBLE
#else
#define LUMA_MODULE_SYMBOL  luma_module_v1
#define LUMA_MODULE_VISIBLE LUMA_EXPORT
#endif

/* Closes a module's main file: LUMA_MODULE(.kind = "codec", .name = "zstd", ...); */
#define LUMA_MODULE(...)                                                    \
    LUMA_MODULE_VISIBLE extern const struct luma_module LUMA_MODULE_SYMBOL; \
    LUMA_MODULE_VISIBLE const struct luma_module LUMA_MODULE_SYMBOL = {     \
        .magic = LUMA_MODULE_MAGIC,                                         \
        .abi_major = LUMA_ABI_MAJOR,                                        \
        .abi_minor = LUMA_ABI_MINOR,                                        \
        .size_bytes = sizeof(struct luma_module),                           \
        .build = LUMA_MODULE_BUILD,                                         \
        __VA_ARGS__}

#define LUMA_OFFERS(...) ((const struct luma_offer[]){__VA_ARGS__, {NULL, NULL}})
#define LUMA_NEEDS(...)  ((const struct luma_need[]){__VA_ARGS__, {NULL, 0, false}})

#endif
