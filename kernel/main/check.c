/*
 * main/check.c - `lumadb modules --check FILE.so`: the module runs in a kernel of its own, on a
 * disk in memory, together with the installed modules it needs, and its kind's conformance run
 * judges it.
 */
#include <stdio.h>

#include "io/sim.h"
#include "main/main_priv.h"

struct verdict {
    size_t tests, failed;
};

static void
say(void *arg, bool ok, const char *line)
{
    struct verdict *v = arg;
    v->tests++;
    v->failed += ok ? 0 : 1;
    printf("%s %s\n", ok ? "ok    " : "FAILED", line);
    fflush(stdout); /* a crash must not take the lines before it along */
}

static bool
is_needed_by(const struct lk_host_module *m, const struct lk_host_module *by)
{
    for (const struct luma_need *n = by->desc.needs; n != NULL && n->service != NULL; n++)
        for (const struct luma_offer *o = m->desc.offers; o != NULL && o->service != NULL; o++)
            if (strcmp(o->service, n->service) == 0)
                return true;
    return false;
}

/* Only what the module needs runs beside it, and the inner loops. */
static void
disable_others(const struct lk_host_module *target, struct lki_options *o)
{
    static char text[SETS_MAX][160];
    static bool needed[1024];
    size_t count = LK_MIN(lk_host_count(), LUMA_COUNTOF(needed));
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            const struct lk_host_module *m = lk_host_at(i);
            bool keep = m == target || (m->section != NULL && strcmp(m->desc.kind, "simd") == 0) ||
                        (m->section != NULL && is_needed_by(m, target));
            for (size_t j = 0; j < count && !keep && m->section != NULL; j++)
                keep = needed[j] && is_needed_by(m, lk_host_at(j));
            changed = changed || (keep && !needed[i]);
            needed[i] = needed[i] || keep;
        }
    }
    for (size_t i = 0; i < count && o->sets_count < SETS_MAX; i++) {
        const struct lk_host_module *m = lk_host_at(i);
        if (needed[i] || m->section == NULL)
            continue;
        snprintf(text[i % SETS_MAX], sizeof(text[0]), "%s.enabled=false", m->section);
        o->sets[o->sets_count++] = text[i % SETS_MAX];
    }
}

static bool
has_port(const struct lk_host_module *m)
{
    for (const struct luma_conf_item *it = m->desc.conf; it != NULL && it->type != 0; it++)
        if (strcmp(it->name, "port") == 0)
            return true;
    return false;
}

/* Reads the configuration until the module's section is known, then again for it alone. */
static luma_rc
load(struct luma_ctx *ctx, const struct lki_options *options, struct lki_settings *out_settings,
     const struct lk_host_module **out_module)
{
    static char port[160];
    struct lki_options alone = *options;
    struct lki_settings first;
    struct lk_conf *conf = lk_conf_create();
    if (conf == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the configuration");
    LUMA_TRY(lk_host_want_file(ctx, options->check_file, conf));
    const struct lk_host_module *m = lk_host_at(lk_host_count() - 1);
    LUMA_TRY(lki_settings_load(ctx, options, &first));
    disable_others(m, &alone);
    if (m->section != NULL && has_port(m)) {
        snprintf(port, sizeof(port), "%s.port=0", m->section);
        alone.sets[alone.sets_count++] = port;
    }
    *out_module = m;
    return lki_settings_load(ctx, &alone, out_settings);
}

static luma_rc
judge(struct luma_ctx *ctx, const struct lki_options *options, struct verdict *verdict)
{
    struct lki_settings settings;
    const struct lk_host_module *m = NULL;
    LUMA_TRY(load(ctx, options, &settings, &m));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    struct lk_io *disk = lk_io_sim_create(1);
    if (disk == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a disk");
    luma_rc rc = lki_parts_start(ctx, &settings, disk, "data");
    if (rc == LUMA_OK)
        rc = lk_host_check(ctx, m, lki_host_tables(), say, verdict);
    lki_parts_stop(1000000000u);
    lk_io_sim_destroy(disk);
    return rc;
}

int
lki_cmd_check_module(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct verdict verdict = {0};
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_ERROR);
    luma_rc rc = judge(&c.ctx, options, &verdict);
    if (rc != LUMA_OK && verdict.failed == 0)
        return lki_complain(&c.error);
    printf("%s: %zu tests, %zu failed\n", options->check_file, verdict.tests, verdict.failed);
    return verdict.failed == 0 ? EXIT_OK : EXIT_FAILED;
}
