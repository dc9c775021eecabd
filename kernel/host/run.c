/* host/run.c - init, start, reload, stop, fini. */
#include <lumadb/kind/simd.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/host_priv.h"

/* Its configuration with origins, for the message about a start that failed. */
static void
explain(struct lk_conf *conf, const struct lk_host_module *m, const char *key, char *out,
        size_t out_bytes)
{
    const char *origin = lk_conf_origin(conf, m->section, key);
    snprintf(out, out_bytes, " ([%s] %s: %s)", m->section, key, origin);
}

static luma_rc
module_failed(struct luma_ctx *ctx, struct lk_host_module *m, const char *what, luma_rc rc,
              const struct luma_error *error)
{
    char port[256] = "";
    const char *said = error->code != LUMA_OK ? error->message : lk_error_info(rc)->text;
    for (const struct luma_conf_item *it = m->desc.conf; it != NULL && it->type != 0; it++)
        if (strcmp(it->name, "port") == 0 && strcmp(what, "start") == 0 && lki_host.conf != NULL)
            explain(lki_host.conf, m, "port", port, sizeof(port));
    lki_host_refuse(m, LK_HOST_FAILED, "%s failed: %s%s", what, said, port);
    lki_services_withdraw(m);
    bool required = (m->desc.flags & LUMA_MODULE_REQUIRED) != 0;
    /* BUSY: the port is somebody else's. */
    bool asked_for =
        rc == LUMA_E_CONFIG || (rc == LUMA_E_BUSY && strcmp(m->desc.kind, "frontend") == 0);
    lk_log_error("host", "%s: module %s%s: %s", lki_host_where(m), m->label,
                 required || asked_for ? "" : " left out", m->reason);
    if (!required && !asked_for)
        return LUMA_OK;
    return LUMA_FAIL(ctx, asked_for ? LUMA_E_CONFIG : LUMA_E_MODULE, "%s: module %s cannot run: %s",
                     lki_host_where(m), m->label, m->reason);
}

/* The needed module that is not there any more; NULL: all are. */
static const struct luma_need *
lost_need(const struct lk_host_module *m)
{
    for (const struct luma_need *n = m->desc.needs; n != NULL && n->service != NULL; n++) {
        int other;
        if (!n->optional && lki_host_offering(n->service, n->major, &other) == NULL)
            return n;
    }
    return NULL;
}

static luma_rc
need_lost(struct luma_ctx *ctx, struct lk_host_module *m, const struct luma_need *need)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    luma_rc rc = LUMA_FAIL(&c.ctx, LUMA_E_MODULE, "%s/%u, which it needs, failed", need->service,
                           need->major);
    return module_failed(ctx, m, "init", rc, &c.error);
}

static luma_rc
init_one(struct luma_ctx *ctx, const struct luma_host *host, struct lk_host_module *m)
{
    const struct luma_need *lost = lost_need(m);
    if (lost != NULL)
        return need_lost(ctx, m, lost);
    if (m->desc.init != NULL) {
        struct lk_ctx c;
        lk_ctx_init(&c, ctx->arena);
        luma_rc rc = m->desc.init(host, m->values, &c.ctx, &m->module_state);
        if (rc != LUMA_OK)
            return module_failed(ctx, m, "init", rc, &c.error);
    }
    m->state = LK_HOST_READY;
    lki_services_publish(m);
    return LUMA_OK;
}

/* Marks m and all it needs, transitively. */
static void
mark_needed(const struct lk_host_module *m, bool *marks)
{
    if (marks[m->order])
        return;
    marks[m->order] = true;
    for (const struct luma_need *n = m->desc.needs; n != NULL && n->service != NULL; n++) {
        int other;
        const struct lk_host_module *needed = lki_host_offering(n->service, n->major, &other);
        if (needed != NULL)
            mark_needed(needed, marks);
    }
}

static const char *simd_forced;
static const struct luma_simd *simd_chosen;

void
lk_host_force_simd(const char *name)
{
    simd_forced = name;
}

const char *
lk_host_simd(void)
{
    return simd_chosen == NULL ? NULL : simd_chosen->name;
}

/* Inner loops come before everything: all else may use them. */
static luma_rc
init_simd(struct luma_ctx *ctx, const struct luma_host *host)
{
    if (simd_chosen != NULL)
        return LUMA_OK;
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        if (m->state == LK_HOST_LOADED && strcmp(m->desc.kind, "simd") == 0)
            LUMA_TRY(init_one(ctx, host, m));
    }
    simd_chosen = lki_simd_choose(simd_forced);
    if (simd_chosen != NULL)
        lki_services_publish_kernel("simd", &simd_chosen->head);
    return LUMA_OK;
}

luma_rc
lk_host_init(struct luma_ctx *ctx, const struct luma_host *host, bool storage_only)
{
    LUMA_TRY(init_simd(ctx, host));
    bool *marks = calloc(lki_host.count + 1, sizeof(*marks));
    luma_rc rc = LUMA_OK;
    if (marks == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to start modules");
    for (size_t i = 0; i < lki_host.count; i++) {
        const struct lk_host_module *m = lki_host.modules[i];
        if (m->state == LK_HOST_LOADED && (!storage_only || (m->desc.flags & LUMA_MODULE_STORAGE)))
            mark_needed(m, marks);
    }
    for (size_t i = 0; rc == LUMA_OK && i < lki_host.count; i++)
        if (marks[i] && lki_host.modules[i]->state == LK_HOST_LOADED)
            rc = init_one(ctx, host, lki_host.modules[i]);
    free(marks);
    return rc;
}

luma_rc
lk_host_start(struct luma_ctx *ctx)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        if (m->state != LK_HOST_READY)
            continue;
        const struct luma_need *lost = lost_need(m);
        if (lost != NULL) {
            LUMA_TRY(need_lost(ctx, m, lost));
            continue;
        }
        struct lk_ctx c;
        lk_ctx_init(&c, ctx->arena);
        luma_rc rc = m->desc.start == NULL ? LUMA_OK : m->desc.start(m->module_state, &c.ctx);
        if (rc == LUMA_OK)
            m->state = LK_HOST_RUNNING;
        else
            LUMA_TRY(module_failed(ctx, m, "start", rc, &c.error));
    }
    return LUMA_OK;
}

/* --- reload --- */

static void
changed(void *arg, const char *key, bool applied)
{
    const struct lk_host_module *m = arg;
    if (applied)
        lk_log_info("config", "[%s] %s changed", m->section, key);
    else
        lk_log_warn("config", "[%s] %s changed in the configuration; it takes a restart",
                    m->section, key);
}

void
lk_host_reload(struct lk_conf *conf)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        if (m->state == LK_HOST_DISABLED || m->state == LK_HOST_RUNNING) {
            bool enabled = lk_conf_enabled(conf, m->section);
            if (enabled != (m->state == LK_HOST_RUNNING))
                lk_log_warn("config",
                            "[%s] enabled changed in the configuration; it takes a restart",
                            m->section);
        }
        void *values =
            (void *)(uintptr_t)lk_conf_values(conf, m->section == NULL ? "" : m->section);
        if (m->state != LK_HOST_RUNNING || m->values == NULL || values == NULL)
            continue;
        bool any = lk_conf_compare(m->desc.conf, m->values, values, changed, m);
        m->values = values;
        if (any && m->desc.reload != NULL)
            m->desc.reload(m->module_state, values);
    }
    lki_host.conf = conf;
}

/* --- the end --- */

static void
stop_one(struct lk_host_module *m, uint64_t deadline_ns)
{
    if (m->state != LK_HOST_RUNNING)
        return;
    lk_log_debug("host", "stopping %s", m->label);
    if (m->desc.stop != NULL)
        m->desc.stop(m->module_state, deadline_ns);
    m->state = LK_HOST_STOPPED;
}

void
lk_host_stop_frontends(uint64_t deadline_ns)
{
    for (size_t i = lki_host.count; i > 0; i--)
        if (lki_host.modules[i - 1]->state == LK_HOST_RUNNING &&
            strcmp(lki_host.modules[i - 1]->desc.kind, "frontend") == 0)
            stop_one(lki_host.modules[i - 1], deadline_ns);
}

void
lk_host_stop(uint64_t deadline_ns)
{
    lk_host_stop_frontends(deadline_ns);
    for (size_t i = lki_host.count; i > 0; i--)
        stop_one(lki_host.modules[i - 1], deadline_ns);
}

static void
module_destroy(struct lk_host_module *m, bool has_run)
{
    /* Code that has run stays mapped: a thread of its library may still be in it. */
    if (m->handle != NULL && !has_run)
        dlclose(m->handle);
    free(m->label);
    free(m->file);
    free(m->conf_file);
    free(m->section);
    free(m->reason);
    free(m);
}

void
lk_host_fini(void)
{
    for (size_t i = lki_host.count; i > 0; i--) {
        struct lk_host_module *m = lki_host.modules[i - 1];
        bool has_run =
            m->state == LK_HOST_READY || m->state == LK_HOST_STOPPED || m->state == LK_HOST_RUNNING;
        if (has_run && m->desc.fini != NULL)
            m->desc.fini(m->module_state);
        has_run = has_run || m->state == LK_HOST_FAILED;
        module_destroy(m, has_run);
    }
    lki_services_clear();
    simd_chosen = NULL;
    free(lki_host.modules);
    memset(&lki_host, 0, sizeof(lki_host));
}
