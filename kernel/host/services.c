/* host/services.c - the table of services: name and major version to a table of functions. */
#include <stdlib.h>

#include "host/host_priv.h"

struct service {
    const char *name;
    const struct luma_head *table;
    const struct lk_host_module *module;
};

static struct lk_rwlock services_lock = LK_RWLOCK_INIT(LK_LOCK_HOST_SERVICES);
static struct service *services; /* by name, then major */
static size_t services_count, services_room;

static int
service_order(const struct service *s, const char *name, uint16_t major)
{
    int c = strcmp(s->name, name);
    return c != 0 ? c : (s->table->major > major) - (s->table->major < major);
}

static void
insert(const struct luma_offer *offer, const struct lk_host_module *m)
{
    if (services_count == services_room) {
        size_t room = services_room == 0 ? 64 : services_room * 2;
        struct service *list = realloc(services, room * sizeof(*list));
        LK_ASSERT(list != NULL); /* a few hundred bytes, at start */
        services = list;
        services_room = room;
    }
    size_t at = 0;
    while (at < services_count &&
           service_order(&services[at], offer->service, offer->table->major) < 0)
        at++;
    memmove(services + at + 1, services + at, (services_count - at) * sizeof(*services));
    services[at] = (struct service){offer->service, offer->table, m};
    services_count++;
}

void
lki_services_publish(const struct lk_host_module *m)
{
    lk_rwlock_wrlock(&services_lock);
    for (const struct luma_offer *o = m->desc.offers; o != NULL && o->service != NULL; o++)
        insert(o, m);
    lk_rwlock_unlock(&services_lock);
}

void
lki_services_publish_kernel(const char *name, const struct luma_head *table)
{
    struct luma_offer offer = {name, table};
    lk_rwlock_wrlock(&services_lock);
    insert(&offer, NULL);
    lk_rwlock_unlock(&services_lock);
}

void
lki_services_withdraw(const struct lk_host_module *m)
{
    lk_rwlock_wrlock(&services_lock);
    size_t kept = 0;
    for (size_t i = 0; i < services_count; i++)
        if (services[i].module != m)
            services[kept++] = services[i];
    services_count = kept;
    lk_rwlock_unlock(&services_lock);
}

void
lki_services_clear(void)
{
    lk_rwlock_wrlock(&services_lock);
    free(services);
    services = NULL;
    services_count = services_room = 0;
    lk_rwlock_unlock(&services_lock);
}

static const struct luma_head *
services_lookup(const char *name, uint16_t major)
{
    const struct luma_head *found = NULL;
    lk_rwlock_rdlock(&services_lock);
    for (size_t i = 0; i < services_count && found == NULL; i++)
        if (service_order(&services[i], name, major) == 0)
            found = services[i].table;
    lk_rwlock_unlock(&services_lock);
    return found;
}

static struct luma_service_info
info_of(const struct lk_host_module *m)
{
    return (struct luma_service_info){.module = &m->desc,
                                      .file = m->file,
                                      .conf_file = m->conf_file,
                                      .state = m->reason != NULL && m->state != LK_HOST_RUNNING
                                                   ? m->reason
                                                   : lk_host_state_name(m->state)};
}

static void
services_each(const char *prefix, void (*fn)(void *arg, const struct luma_service_info *info),
              void *arg)
{
    size_t n = strlen(prefix);
    for (size_t i = 0;; i++) { /* fn runs outside the lock: it may look up others */
        struct luma_service_info info = {0};
        lk_rwlock_rdlock(&services_lock);
        bool there = i < services_count;
        bool wanted = there && strncmp(services[i].name, prefix, n) == 0;
        if (wanted) {
            if (services[i].module != NULL)
                info = info_of(services[i].module);
            else
                info.state = "running";
            info.service = services[i].name;
            info.table = services[i].table;
        }
        lk_rwlock_unlock(&services_lock);
        if (!there)
            return;
        if (wanted)
            fn(arg, &info);
    }
}

static const struct lk_host_module *
module_of(const struct luma_head *table)
{
    const struct lk_host_module *found = NULL;
    lk_rwlock_rdlock(&services_lock);
    for (size_t i = 0; i < services_count && found == NULL; i++)
        if (services[i].table == table)
            found = services[i].module;
    lk_rwlock_unlock(&services_lock);
    return found;
}

static void *
services_state_of(const struct luma_head *table)
{
    const struct lk_host_module *m = module_of(table);
    return m == NULL ? NULL : m->module_state;
}

static const void *
services_conf_of(const struct luma_head *table)
{
    const struct lk_host_module *m = module_of(table);
    return m == NULL ? NULL : m->values;
}

static void
services_each_module(void (*fn)(void *arg, const struct luma_service_info *info), void *arg)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        struct luma_service_info info = info_of(lki_host.modules[i]);
        info.service = lki_host.modules[i]->label;
        fn(arg, &info);
    }
}

const struct luma_host_services lk_services_host = {
    .head = {sizeof(struct luma_host_services), 0, 1},
    .lookup = services_lookup,
    .each = services_each,
    .state_of = services_state_of,
    .each_module = services_each_module,
    .conf_of = services_conf_of,
};
