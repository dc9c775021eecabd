/* host/order.c - who needs whom: a topological order, missing needs, cycles. */
#include <stdio.h>
#include <stdlib.h>

#include "host/host_priv.h"

static bool
is_alive(const struct lk_host_module *m)
{
    return m->state == LK_HOST_LOADED || m->state == LK_HOST_READY || m->state == LK_HOST_RUNNING;
}

struct lk_host_module *
lki_host_offering(const char *service, uint16_t major, int *out_other_major)
{
    *out_other_major = -1;
    /* "simd" is the kernel's choice among the variants: there once any of them is. */
    bool is_simd = strcmp(service, "simd") == 0;
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        const struct luma_offer *o = is_alive(m) ? m->desc.offers : NULL;
        if (is_simd && is_alive(m) && strcmp(m->desc.kind, "simd") == 0)
            return m;
        for (; o != NULL && o->service != NULL; o++) {
            if (strcmp(o->service, service) != 0)
                continue;
            if (o->table->major == major)
                return m;
            *out_other_major = o->table->major;
        }
    }
    return NULL;
}

/* A module that would offer the service if it worked: the better explanation. */
static const struct lk_host_module *
would_offer(const char *service)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        const struct lk_host_module *m = lki_host.modules[i];
        const struct luma_offer *o = is_alive(m) ? NULL : m->desc.offers;
        for (; o != NULL && o->service != NULL; o++)
            if (strcmp(o->service, service) == 0)
                return m;
    }
    return NULL;
}

static void
fail_need(struct lk_host_module *m, const struct luma_need *need, int other_major)
{
    const struct lk_host_module *dead = would_offer(need->service);
    if (other_major >= 0)
        lki_host_refuse(m, LK_HOST_FAILED, "needs %s/%u, but %s/%d is what is offered",
                        need->service, need->major, need->service, other_major);
    else if (dead != NULL)
        lki_host_refuse(m, LK_HOST_FAILED, "needs %s/%u of %s, which is %s", need->service,
                        need->major, lki_host_where(dead), lk_host_state_name(dead->state));
    else
        lki_host_refuse(m, LK_HOST_FAILED, "needs %s/%u, which no loaded module offers",
                        need->service, need->major);
}

/* Fails what lacks a need, again until nothing changes: others may need that in turn. */
static void
fail_missing(void)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < lki_host.count; i++) {
            struct lk_host_module *m = lki_host.modules[i];
            const struct luma_need *n = is_alive(m) ? m->desc.needs : NULL;
            for (; n != NULL && n->service != NULL; n++) {
                int other = -1;
                if (n->optional || lki_host_offering(n->service, n->major, &other) != NULL)
                    continue;
                fail_need(m, n, other);
                changed = true;
                break;
            }
        }
    }
}

enum { UNSEEN = 0, OPEN = 1, DONE = 2 };

struct walk {
    uint8_t *marks; /* by index in lki_host.modules */
    struct lk_host_module **path;
    size_t depth;
    struct lk_host_module **sorted;
    size_t sorted_count;
};

static size_t
index_of(const struct lk_host_module *m)
{
    for (size_t i = 0; i < lki_host.count; i++)
        if (lki_host.modules[i] == m)
            return i;
    return m->order; /* not reached: every module is in the list */
}

/* Names the modules from `m` on the path to its end, and fails them. */
static void
fail_cycle(struct walk *w, const struct lk_host_module *m)
{
    char text[800] = "";
    size_t from = 0, used = 0;
    while (w->path[from] != m)
        from++;
    for (size_t i = from; i < w->depth && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s needs ",
                                 lki_host_where(w->path[i]));
    if (used < sizeof(text))
        snprintf(text + used, sizeof(text) - used, "%s", lki_host_where(m));
    for (size_t i = from; i < w->depth; i++)
        lki_host_refuse(w->path[i], LK_HOST_FAILED, "in a cycle of needs: %s", text);
}

static void
visit(struct walk *w, struct lk_host_module *m)
{
    size_t i = index_of(m);
    if (w->marks[i] == DONE || !is_alive(m))
        return;
    if (w->marks[i] == OPEN) {
        fail_cycle(w, m);
        return;
    }
    w->marks[i] = OPEN;
    w->path[w->depth++] = m;
    for (const struct luma_need *n = m->desc.needs; n != NULL && n->service != NULL; n++) {
        int other;
        struct lk_host_module *needed = lki_host_offering(n->service, n->major, &other);
        if (needed != NULL)
            visit(w, needed);
    }
    w->depth--;
    w->marks[i] = DONE;
    w->sorted[w->sorted_count++] = m;
}

static luma_rc
sort_all(struct luma_ctx *ctx)
{
    size_t n = lki_host.count == 0 ? 1 : lki_host.count;
    struct walk w = {.marks = calloc(n, 1),
                     .path = calloc(n, sizeof(*w.path)),
                     .sorted = calloc(n, sizeof(*w.sorted))};
    luma_rc rc = LUMA_OK;
    if (w.marks == NULL || w.path == NULL || w.sorted == NULL)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to sort modules");
    for (size_t i = 0; rc == LUMA_OK && i < lki_host.count; i++)
        visit(&w, lki_host.modules[i]);
    /* The dead ones follow: they are still listed. */
    for (size_t i = 0; rc == LUMA_OK && i < lki_host.count; i++)
        if (w.marks[i] != DONE)
            w.sorted[w.sorted_count++] = lki_host.modules[i];
    if (rc == LUMA_OK && lki_host.count > 0)
        memcpy(lki_host.modules, w.sorted, lki_host.count * sizeof(*w.sorted));
    for (size_t i = 0; i < lki_host.count; i++)
        lki_host.modules[i]->order = (uint32_t)i;
    free(w.marks);
    free(w.path);
    free(w.sorted);
    return rc;
}

static luma_rc
report_failures(struct luma_ctx *ctx)
{
    luma_rc rc = LUMA_OK;
    for (size_t i = 0; i < lki_host.count; i++) {
        const struct lk_host_module *m = lki_host.modules[i];
        if (m->state != LK_HOST_REFUSED && m->state != LK_HOST_FAILED)
            continue;
        bool required = (m->desc.flags & LUMA_MODULE_REQUIRED) != 0;
        lk_log_error("host", "%s: module %s left out: %s%s%s", lki_host_where(m), m->label,
                     m->file == NULL ? "" : m->file, m->file == NULL ? "" : ": ", m->reason);
        if (required)
            rc = LUMA_FAIL(ctx, LUMA_E_MODULE, "%s: the required module %s cannot run: %s",
                           lki_host_where(m), m->label, m->reason);
    }
    return rc;
}

luma_rc
lk_host_order(struct luma_ctx *ctx, struct lk_conf *conf)
{
    lki_host.conf = conf;
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        if (m->state != LK_HOST_LOADED)
            continue;
        m->values = lk_conf_values(conf, m->section);
        if (!lk_conf_enabled(conf, m->section))
            lki_host_refuse(m, LK_HOST_DISABLED, "enabled = false (%s)",
                            lk_conf_origin(conf, m->section, "enabled"));
    }
    fail_missing();
    LUMA_TRY(sort_all(ctx));
    fail_missing(); /* who needed a member of a cycle */
    return report_failures(ctx);
}
