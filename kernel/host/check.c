/* host/check.c - judging a module by its kind: what the runs share. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "host/check_priv.h"
#include "storage/segment/segment.h"

#define PAGE_BYTES 4096
#define PATTERN    0xa5

void
lki_check_done(struct lki_check *k, const char *name)
{
    char line[512];
    bool ok = k->why == NULL;
    snprintf(line, sizeof(line), "%s%s%s", name, ok ? "" : ": ", ok ? "" : k->why);
    k->tests++;
    k->failed += ok ? 0 : 1;
    k->why = NULL;
    k->say(k->arg, ok, line);
}

bool
lki_check_wrong(struct lki_check *k, const char *fmt, ...)
{
    if (k->why != NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    vsnprintf(k->why_text, sizeof(k->why_text), fmt, args);
    va_end(args);
    k->why = k->why_text;
    return false;
}

struct luma_ctx *
lki_check_ctx(struct lki_check *k)
{
    lk_ctx_init(&k->c, k->arena);
    return &k->c.ctx;
}

bool
lki_guard_init(struct lki_guard *g, size_t bytes, size_t align)
{
    size_t body = (size_t)lk_align_up(bytes + align + 64, PAGE_BYTES);
    g->map_bytes = body + PAGE_BYTES;
    g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->map == MAP_FAILED)
        return false;
    if (mprotect(g->map + body, PAGE_BYTES, PROT_NONE) != 0) {
        munmap(g->map, g->map_bytes);
        return false;
    }
    memset(g->map, PATTERN, body);
    uintptr_t at = (uintptr_t)(g->map + body - bytes) & ~(uintptr_t)(align - 1);
    g->data = (uint8_t *)at;
    g->bytes = bytes;
    return true;
}

bool
lki_guard_intact(const struct lki_guard *g)
{
    const uint8_t *end = g->map + g->map_bytes - PAGE_BYTES;
    for (const uint8_t *p = g->data + g->bytes; p < end; p++)
        if (*p != PATTERN)
            return false;
    for (const uint8_t *p = g->data - 32; p < g->data; p++)
        if (*p != PATTERN)
            return false;
    return true;
}

void
lki_guard_fini(struct lki_guard *g)
{
    munmap(g->map, g->map_bytes);
}

struct thread_run {
    pthread_t thread;
    void (*fn)(void *arg, unsigned index);
    void *arg;
    unsigned index;
};

static void *
thread_main(void *arg)
{
    struct thread_run *run = arg;
    run->fn(run->arg, run->index);
    return NULL;
}

void
lki_check_threads(unsigned count, void (*fn)(void *arg, unsigned index), void *arg)
{
    struct thread_run runs[16];
    LK_ASSERT(count <= LUMA_COUNTOF(runs));
    for (unsigned i = 0; i < count; i++) {
        runs[i] = (struct thread_run){.fn = fn, .arg = arg, .index = i};
        int rc = pthread_create(&runs[i].thread, NULL, thread_main, &runs[i]);
        LK_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(runs[i].thread, NULL);
}

static const struct {
    const char *kind;
    void (*run)(struct lki_check *k, const struct luma_head *table);
    uint16_t major;
} kinds[] = {
    {"codec", lki_check_codec, 1}, {"encoding", lki_check_encoding, 1},
    {"index", lki_check_index, 1}, {"function", lki_check_function, 1},
    {"simd", lki_check_simd, 1},   {"frontend", lki_check_frontend, 1},
};

static void
check_descriptor(struct lki_check *k)
{
    const struct luma_module *d = &k->module->desc;
    for (const char *p = d->name; *p != '\0'; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
            lki_check_wrong(k, "its name has other characters than a-z 0-9 - _");
    lki_check_done(k, "descriptor: magic, ABI, size, build, name");
    if (d->licence == NULL || d->summary == NULL)
        lki_check_wrong(k, "licence and summary are for people: please set both");
    lki_check_done(k, "descriptor: licence and summary");
    for (const struct luma_conf_item *it = d->conf; it != NULL && it->type != 0; it++)
        if (it->help == NULL || it->help[0] == '\0')
            lki_check_wrong(k, "key \"%s\" has no help", it->name);
    lki_check_done(k, "descriptor: every key of its configuration is explained");
}

/* The service a module of this kind has to offer: "<kind>.<name>". */
static void
check_kind(struct lki_check *k)
{
    const struct luma_module *d = &k->module->desc;
    char service[256];
    snprintf(service, sizeof(service), "%s.%s", d->kind, d->name);
    for (size_t i = 0; i < LUMA_COUNTOF(kinds); i++) {
        if (strcmp(kinds[i].kind, d->kind) != 0)
            continue;
        const struct luma_head *table = NULL;
        for (const struct luma_offer *o = d->offers; o != NULL && o->service != NULL; o++)
            if (strcmp(o->service, service) == 0 && o->table->major == kinds[i].major)
                table = o->table;
        if (table == NULL)
            lki_check_wrong(k, "it offers no %s/%u", service, kinds[i].major);
        lki_check_done(k, "offers the service of its kind");
        if (table != NULL)
            kinds[i].run(k, table);
        return;
    }
}

luma_rc
lk_host_check(struct luma_ctx *ctx, const struct lk_host_module *module,
              const struct luma_host *host, void (*say)(void *arg, bool ok, const char *line),
              void *arg)
{
    struct lki_check *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to check a module");
    k->arena = lk_arena_create(NULL, 0);
    k->host = host;
    k->module = module;
    k->say = say;
    k->arg = arg;
    k->simd = (const struct luma_simd *)lk_services_host.lookup("simd.scalar", LUMA_SIMD_MAJOR);
    struct lk_formats *own = NULL; /* the kernel's plain loops, when no module has any */
    if (k->simd == NULL && lk_formats_load(ctx, NULL, "none", &own) == LUMA_OK)
        k->simd = lk_formats_simd(own);
    lk_rand_init(&k->rand, 42);
    if (module->state == LK_HOST_READY || module->state == LK_HOST_RUNNING) {
        check_descriptor(k);
        check_kind(k);
    } else {
        lki_check_wrong(k, "%s", module->reason == NULL ? "not loaded" : module->reason);
        lki_check_done(k, lk_host_state_name(module->state));
    }
    size_t tests = k->tests, failed = k->failed;
    lk_formats_free(own);
    lk_arena_destroy(k->arena);
    free(k);
    if (failed > 0)
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "%s: %zu of %zu tests failed", module->label, failed,
                         tests);
    return LUMA_OK;
}
