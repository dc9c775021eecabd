/*
 * tests/unit/storage/segment/modules.h - the modules of the build folder as a table of services,
 * for tests that want real codecs, encodings and index kinds without a host.
 */
#ifndef TEST_MODULES_H
#define TEST_MODULES_H

#include <lumadb/host/host.h>
#include <lumadb/module.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"

static struct luma_service_info test_services[32];
static uint32_t test_services_count;
static void *test_states[32];

/* A module that configure linked into the program, NULL when it is a file. */
static inline const struct luma_module *
test_module_builtin(const char *file)
{
    for (size_t i = 0; lk_host_builtin[i] != NULL; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s-%s", lk_host_builtin[i]->kind, lk_host_builtin[i]->name);
        if (strcmp(name, file) == 0)
            return lk_host_builtin[i];
    }
    return NULL;
}

static inline const struct luma_module *
test_module_file(const char *file)
{
    const char *build = getenv("LUMA_BUILD_DIR");
    char path[512];
    snprintf(path, sizeof(path), "%s/modules.d/%s.so", build == NULL ? "." : build, file);
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct luma_module *module = so == NULL ? NULL : dlsym(so, "luma_module_v1");
    if (module == NULL)
        fprintf(stderr, "%s: %s\n", path, dlerror());
    return module;
}

/* Keeps the offers of a module, linked in or modules.d/<file>.so; its configuration is not read. */
static inline bool
test_module_load(const char *file)
{
    const struct luma_module *module = test_module_builtin(file);
    if (module == NULL)
        module = test_module_file(file);
    if (module == NULL)
        return false;
    for (const struct luma_offer *offer = module->offers; offer->service != NULL; offer++) {
        test_services[test_services_count].service = offer->service;
        test_services[test_services_count++].table = offer->table;
    }
    return true;
}

static inline const struct luma_head *
test_lookup(const char *service, uint16_t major)
{
    for (uint32_t i = 0; i < test_services_count; i++)
        if (strcmp(test_services[i].service, service) == 0 &&
            test_services[i].table->major == major)
            return test_services[i].table;
    return NULL;
}

static inline void
test_each(const char *prefix, void (*fn)(void *arg, const struct luma_service_info *info),
          void *arg)
{
    for (uint32_t i = 0; i < test_services_count; i++)
        if (strncmp(test_services[i].service, prefix, strlen(prefix)) == 0)
            fn(arg, &test_services[i]);
}

static inline void *
test_state_of(const struct luma_head *table)
{
    for (uint32_t i = 0; i < test_services_count; i++)
        if (test_services[i].table == table)
            return test_states[i];
    return NULL;
}

static const struct luma_host_services test_host_services = {
    .head = {sizeof(struct luma_host_services), 1, 0},
    .lookup = test_lookup,
    .each = test_each,
    .state_of = test_state_of,
};

#endif
