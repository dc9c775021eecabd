/*
 * toyserver.c - frontends over the toy language: the kernel's scheduler, network and sessions are
 * the real ones. `toyserver MODULE.so [key=value ...]` prints "port N" and serves until its
 * standard input ends.
 *
 * Keys are those of the module's section, plus loops, workers, spin, pin, cert.
 */
#include <lumadb/kind/frontend.h>
#include <lumadb/module.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "data/data.h"
#include "sched/sched.h"
#include "session/session.h"
#include "toy.h"

static void *module_state, *module_conf;
static const struct luma_module *module;

static const struct luma_head *
lookup(const char *service, uint16_t major)
{
    return strcmp(service, "query.sql") == 0 && major == LUMA_QUERY_MAJOR ? &toy_language.head
                                                                          : NULL;
}

static void
each_none(const char *prefix, void (*fn)(void *arg, const struct luma_service_info *info),
          void *arg)
{
    (void)prefix;
    (void)fn;
    (void)arg;
}

static void *
state_of(const struct luma_head *table)
{
    (void)table;
    return module_state;
}

static void
each_module_none(void (*fn)(void *arg, const struct luma_service_info *info), void *arg)
{
    (void)fn;
    (void)arg;
}

static const struct luma_host_services services = {
    .head = {sizeof(services), 1, 0},
    .lookup = lookup,
    .each = each_none,
    .state_of = state_of,
    .each_module = each_module_none,
};

static const struct luma_host host = {
    .head = {sizeof(host), 0, 1},
    .log = &lk_log_host,
    .mem = &lk_mem_host,
    .stats = &lk_stats_host,
    .data = &lk_data_host,
    .sched = &lk_sched_host,
    .net = &lk_net_host,
    .session = &lk_session_host,
    .txn = &toy_txn,
    .catalog = &toy_catalog,
    .services = &services,
};

static void
conf_set(const struct luma_conf_item *item, uint8_t *conf, const char *text)
{
    void *field = conf + item->offset;
    switch (item->type) {
    case LUMA_CONF_TYPE_BOOL:
        *(bool *)field = text == NULL ? item->def != 0 : atoi(text) != 0;
        break;
    case LUMA_CONF_TYPE_INT:
    case LUMA_CONF_TYPE_BYTES:
    case LUMA_CONF_TYPE_DURATION:
        *(int64_t *)field = text == NULL ? item->def : atoll(text);
        break;
    case LUMA_CONF_TYPE_FLOAT:
        *(double *)field = text == NULL ? item->fdef : atof(text);
        break;
    case LUMA_CONF_TYPE_LIST:
    case LUMA_CONF_TYPE_END:
        break;
    default:
        *(const char **)field = text == NULL ? item->sdef : text;
        break;
    }
}

static const char *
argument(int argc, char **argv, const char *key)
{
    size_t n = strlen(key);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], key, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return NULL;
}

static void
conf_fill(const struct luma_conf_item *items, void *conf, int argc, char **argv)
{
    for (const struct luma_conf_item *item = items;
         item != NULL && item->type != LUMA_CONF_TYPE_END; item++)
        conf_set(item, conf, argument(argc, argv, item->name));
}

static int
complain(const struct lk_ctx *c)
{
    fprintf(stderr, "toyserver: %s\n", c->error.message);
    return 1;
}

static luma_rc
start(struct luma_ctx *ctx, int argc, char **argv)
{
    static struct lk_sched_conf sched_conf;
    static struct lk_net_conf net_conf;
    static struct lk_session_conf session_conf;
    conf_fill(lk_sched_conf_items, &sched_conf, argc, argv);
    conf_fill(lk_net_conf_items, &net_conf, argc, argv);
    conf_fill(lk_session_conf_items, &session_conf, argc, argv);
    module_conf = calloc(1, module->conf_bytes + 1);
    conf_fill(module->conf, module_conf, argc, argv);
    toy_init(&host);
    struct lk_session_parts parts = {&toy_txn, &toy_catalog, &lk_data_host};
    LUMA_TRY(lk_sched_start(ctx, &sched_conf));
    LUMA_TRY(lk_net_start(ctx, &net_conf));
    LUMA_TRY(lk_session_start(ctx, &session_conf, &parts));
    LUMA_TRY(module->init(&host, module_conf, ctx, &module_state));
    return module->start(module_state, ctx);
}

int
main(int argc, char **argv)
{
    struct lk_ctx c;
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    void *object = argc < 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    module = object == NULL ? NULL : dlsym(object, "luma_module_v1");
    if (module == NULL) {
        fprintf(stderr, "usage: toyserver MODULE.so [key=value ...]: %s\n", dlerror());
        return 2;
    }
    if (argument(argc, argv, "verbose") == NULL)
        lk_log_set_level(LUMA_LOG_ERROR);
    if (start(&c.ctx, argc, argv) != LUMA_OK)
        return complain(&c);
    const struct luma_frontend *frontend = (const struct luma_frontend *)module->offers[0].table;
    printf("port %u\n", frontend->port(module_state));
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    module->stop(module_state, lk_sched_host.now_ns() + 2000000000u);
    lk_net_stop();
    lk_session_stop();
    lk_sched_stop();
    if (module->fini != NULL)
        module->fini(module_state);
    free(module_conf);
    lk_arena_destroy(arena);
    return 0;
}
