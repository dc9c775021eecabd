/* host/load.c - from conf.d to descriptors that can be trusted. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/host_priv.h"

struct lki_host lki_host;

luma_rc
lki_host_add(struct luma_ctx *ctx, const char *label, const char *conf_file,
             struct lk_host_module **out_module)
{
    struct lk_host_module *m = calloc(1, sizeof(*m));
    if (lki_host.count == lki_host.room) {
        size_t room = lki_host.room == 0 ? 32 : lki_host.room * 2;
        struct lk_host_module **list = realloc(lki_host.modules, room * sizeof(*list));
        if (list != NULL) {
            lki_host.modules = list;
            lki_host.room = room;
        }
    }
    if (m == NULL || lki_host.count == lki_host.room) {
        free(m);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for module %s", label);
    }
    m->label = strdup(label);
    m->conf_file = conf_file == NULL ? NULL : strdup(conf_file);
    m->order = (uint32_t)lki_host.count;
    lki_host.modules[lki_host.count++] = m;
    if (m->label == NULL || (conf_file != NULL && m->conf_file == NULL))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for module %s", label);
    *out_module = m;
    return LUMA_OK;
}

void
lki_host_refuse(struct lk_host_module *m, enum lk_host_state state, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    m->state = state;
    free(m->reason);
    m->reason = strdup(text);
}

const char *
lki_host_where(const struct lk_host_module *m)
{
    return m->conf_file != NULL ? m->conf_file : m->file != NULL ? m->file : m->label;
}

/* --- conf.d --- */

struct scan {
    struct luma_ctx *ctx;
    struct lk_io *io;
    const char *dir;
    struct lk_conf *conf;
};

static luma_rc
scan_file(struct scan *scan, const char *name)
{
    struct luma_arena *arena = lk_conf_arena(scan->conf);
    size_t n = strlen(name);
    if (n < 6 || strcmp(name + n - 5, ".conf") != 0 || name[0] == '.')
        return LUMA_OK;
    const char *path = lk_arena_printf(arena, "%s/%s", scan->dir, name);
    const char *label = luma_arena_text(arena, name, n - 5);
    if (path == NULL || label == NULL)
        return LUMA_FAIL(scan->ctx, LUMA_E_NOMEM, "no memory for %s", name);
    const char *dash = strchr(label, '-');
    if (dash == NULL || dash == label || dash[1] == '\0')
        return LUMA_FAIL(scan->ctx, LUMA_E_CONFIG, "%s: files here are named <kind>-<name>.conf",
                         path);
    struct lk_bytes text = {0};
    struct lk_conf_doc *doc = NULL;
    luma_rc rc = lk_io_read_file(scan->ctx, scan->io, path, LK_CONF_FILE_BYTES_MAX, &text);
    if (rc == LUMA_OK)
        rc = lk_conf_parse_toml(scan->ctx, arena, path, lk_bytes_view(&text), &doc);
    lk_bytes_fini(&text);
    LUMA_TRY(rc);
    doc->source = LK_CONF_FROM_CONF_D;
    lk_conf_add_doc(scan->conf, doc);
    struct lk_host_module *m;
    if (lk_host_find(label) != NULL) /* a reload reads the files again */
        return LUMA_OK;
    return lki_host_add(scan->ctx, label, path, &m);
}

luma_rc
lk_host_scan(struct luma_ctx *ctx, struct lk_io *io, const char *conf_dir, struct lk_conf *conf)
{
    struct scan scan = {ctx, io, conf_dir, conf};
    const char *const *names = NULL;
    size_t count = 0;
    if (!lk_io_exists(io, conf_dir))
        return LUMA_OK;
    LUMA_TRY(lk_io_list_sorted(ctx, io, conf_dir, lk_conf_arena(conf), &names, &count));
    for (size_t i = 0; i < count; i++)
        LUMA_TRY(scan_file(&scan, names[i]));
    return LUMA_OK;
}

luma_rc
lk_host_want_file(struct luma_ctx *ctx, const char *file, struct lk_conf *conf)
{
    const char *slash = strrchr(file, '/'), *base = slash == NULL ? file : slash + 1;
    size_t n = strlen(base);
    bool is_so = n > 3 && strcmp(base + n - 3, ".so") == 0;
    char *label = luma_arena_text(lk_conf_arena(conf), base, is_so ? n - 3 : n);
    struct lk_host_module *m = NULL;
    if (label == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for %s", file);
    m = (struct lk_host_module *)(uintptr_t)lk_host_find(label);
    if (m == NULL)
        LUMA_TRY(lki_host_add(ctx, label, NULL, &m));
    m->file = strdup(file);
    return m->file == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for %s", file) : LUMA_OK;
}

/* --- judging a descriptor --- */

static const char *
bad_item(const struct luma_module *d)
{
    const struct luma_conf_item *it = d->conf;
    for (; it != NULL && it->type != LUMA_CONF_TYPE_END; it++) {
        size_t bytes = it->type == LUMA_CONF_TYPE_BOOL   ? sizeof(bool)
                       : it->type == LUMA_CONF_TYPE_LIST ? sizeof(struct luma_conf_list)
                                                         : 8;
        if (it->name == NULL)
            return "(without a name)";
        if ((unsigned)it->type > LUMA_CONF_TYPE_LIST || it->min > it->max ||
            it->offset > d->conf_bytes || bytes > d->conf_bytes - it->offset ||
            (it->type == LUMA_CONF_TYPE_ENUM && it->values == NULL))
            return it->name;
    }
    return NULL;
}

static bool
judge_lists(struct lk_host_module *m)
{
    const struct luma_module *d = &m->desc;
    const char *item = bad_item(d);
    if (item != NULL) {
        lki_host_refuse(m, LK_HOST_REFUSED, "its configuration schema is wrong at key \"%s\"",
                        item);
        return false;
    }
    for (const struct luma_offer *o = d->offers; o != NULL && o->service != NULL; o++) {
        if (o->table == NULL || o->table->size_bytes < sizeof(struct luma_head)) {
            lki_host_refuse(m, LK_HOST_REFUSED, "it offers %s without a table", o->service);
            return false;
        }
    }
    return true;
}

static bool
judge_versions(struct lk_host_module *m, const struct luma_module *d, size_t symbol_bytes)
{
    size_t frozen = offsetof(struct luma_module, licence);
    if (symbol_bytes != 0 && symbol_bytes < frozen)
        lki_host_refuse(m, LK_HOST_REFUSED,
                        "luma_module_v1 has %zu bytes, a descriptor has at least %zu", symbol_bytes,
                        frozen);
    else if (d->magic != LUMA_MODULE_MAGIC)
        lki_host_refuse(m, LK_HOST_REFUSED, "magic is 0x%08x, expected 0x%08x: not a module",
                        d->magic, LUMA_MODULE_MAGIC);
    else if (d->abi_major != LUMA_ABI_MAJOR)
        lki_host_refuse(m, LK_HOST_REFUSED,
                        "built for ABI %u.%u, this kernel has %u.%u: another major version",
                        d->abi_major, d->abi_minor, LUMA_ABI_MAJOR, LUMA_ABI_MINOR);
    else if (d->size_bytes < frozen || (symbol_bytes != 0 && d->size_bytes > symbol_bytes))
        lki_host_refuse(m, LK_HOST_REFUSED, "its descriptor says %u bytes, expected %zu .. %zu",
                        d->size_bytes, frozen, symbol_bytes);
    else if (d->abi_minor > LUMA_ABI_MINOR)
        lki_host_refuse(m, LK_HOST_REFUSED,
                        "built for ABI %u.%u, this kernel has %u.%u: newer than the kernel",
                        d->abi_major, d->abi_minor, LUMA_ABI_MAJOR, LUMA_ABI_MINOR);
    else if (LUMA_ABI_MAJOR == 0 && d->abi_minor != LUMA_ABI_MINOR)
        lki_host_refuse(m, LK_HOST_REFUSED,
                        "built for ABI %u.%u, this kernel has %u.%u: before 1.0 both must be equal",
                        d->abi_major, d->abi_minor, LUMA_ABI_MAJOR, LUMA_ABI_MINOR);
    else if (d->build == NULL || strcmp(d->build, LUMA_MODULE_BUILD) != 0)
        lki_host_refuse(m, LK_HOST_REFUSED, "its build is \"%s\", this kernel's is \"%s\"",
                        d->build == NULL ? "" : d->build, LUMA_MODULE_BUILD);
    else
        return true;
    return false;
}

bool
lki_host_judge(struct lk_host_module *m, const struct luma_module *d, size_t symbol_bytes)
{
    char label[256];
    if (!judge_versions(m, d, symbol_bytes))
        return false;
    memcpy(&m->desc, d, LK_MIN((size_t)d->size_bytes, sizeof(m->desc)));
    if (d->kind == NULL || d->name == NULL || d->version == NULL) {
        lki_host_refuse(m, LK_HOST_REFUSED, "its descriptor has no kind, name or version");
        return false;
    }
    snprintf(label, sizeof(label), "%s-%s", d->kind, d->name);
    if (strcmp(label, m->label) != 0) {
        lki_host_refuse(m, LK_HOST_REFUSED, "it is \"%s\", expected \"%s\" by the file's name",
                        label, m->label);
        return false;
    }
    if (!judge_lists(m))
        return false;
    snprintf(label, sizeof(label), "%s.%s", d->kind, d->name);
    m->section = strdup(m->desc.section == NULL ? label : m->desc.section);
    if (m->section == NULL)
        lki_host_refuse(m, LK_HOST_REFUSED, "out of memory");
    return m->section != NULL;
}

/* --- finding and opening --- */

void
lki_host_open(struct lk_io *io, struct lk_host_module *m, const char *file)
{
    char why[512];
    if (!lki_elf_check(io, file, why, sizeof(why))) {
        lki_host_refuse(m, LK_HOST_REFUSED, "%s", why);
        return;
    }
    m->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (m->handle == NULL) {
        const char *said = dlerror();
        lki_host_refuse(m, LK_HOST_REFUSED, "%s", said == NULL ? "cannot be loaded" : said);
        return;
    }
    const struct luma_module *desc = dlsym(m->handle, "luma_module_v1");
    if (desc == NULL) {
        lki_host_refuse(m, LK_HOST_REFUSED, "it exports no symbol luma_module_v1");
        return;
    }
    Dl_info info;
    ElfW(Sym) *symbol = NULL;
    if (dladdr1(desc, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL) {
        lki_host_refuse(m, LK_HOST_REFUSED, "luma_module_v1 is no object");
        return;
    }
    lki_host_judge(m, desc, symbol->st_size);
}

static const struct luma_module *
find_builtin(const char *label)
{
    for (size_t i = 0; lk_host_builtin[i] != NULL; i++) {
        char name[256];
        snprintf(name, sizeof(name), "%s-%s", lk_host_builtin[i]->kind, lk_host_builtin[i]->name);
        if (strcmp(name, label) == 0)
            return lk_host_builtin[i];
    }
    return NULL;
}

static bool
find_file(struct lk_io *io, struct lk_host_module *m, const char *const *dirs)
{
    for (size_t i = 0; dirs[i] != NULL; i++) {
        size_t bytes = strlen(dirs[i]) + strlen(m->label) + 8;
        char *path = malloc(bytes);
        if (path == NULL)
            return false;
        snprintf(path, bytes, "%s/%s.so", dirs[i], m->label);
        if (lk_io_exists(io, path)) {
            m->file = path;
            return true;
        }
        free(path);
    }
    return false;
}

static void
load_one(struct lk_io *io, struct lk_host_module *m, const char *const *dirs)
{
    const struct luma_module *builtin = m->file == NULL ? find_builtin(m->label) : NULL;
    if (builtin != NULL)
        lki_host_judge(m, builtin, 0);
    else if (m->file != NULL || find_file(io, m, dirs))
        lki_host_open(io, m, m->file);
    else
        lki_host_refuse(m, LK_HOST_REFUSED, "no module %s.so in %s", m->label,
                        dirs[0] == NULL ? "any folder" : dirs[0]);
}

/* Two modules must not share a section or a service. */
static void
refuse_twins(struct lk_host_module *m)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        const struct lk_host_module *other = lki_host.modules[i];
        if (other == m)
            return;
        if (other->state != LK_HOST_LOADED)
            continue;
        if (strcmp(other->section, m->section) == 0) {
            lki_host_refuse(m, LK_HOST_REFUSED, "its section [%s] belongs to %s already",
                            m->section, lki_host_where(other));
            return;
        }
        for (const struct luma_offer *a = m->desc.offers; a != NULL && a->service != NULL; a++) {
            for (const struct luma_offer *b = other->desc.offers; b != NULL && b->service != NULL;
                 b++) {
                if (strcmp(a->service, b->service) != 0 || a->table->major != b->table->major)
                    continue;
                lki_host_refuse(m, LK_HOST_REFUSED, "%s offers %s/%u already",
                                lki_host_where(other), a->service, a->table->major);
                return;
            }
        }
    }
}

luma_rc
lk_host_load(struct luma_ctx *ctx, struct lk_io *io, const char *const *dirs, struct lk_conf *conf)
{
    for (size_t i = 0; i < lki_host.count; i++) {
        struct lk_host_module *m = lki_host.modules[i];
        if (m->handle == NULL && m->state == LK_HOST_LOADED && m->section == NULL) {
            load_one(io, m, dirs);
            if (m->state == LK_HOST_LOADED)
                refuse_twins(m);
        }
        const char *section = m->section;
        uint32_t flags = LK_CONF_MODULE;
        char fallback[256];
        if (section == NULL) { /* its keys cannot be judged, but the section is no mistake */
            char *dash = strchr(m->label, '-');
            snprintf(fallback, sizeof(fallback), "%.*s.%s",
                     dash == NULL ? 0 : (int)(dash - m->label), m->label,
                     dash == NULL ? m->label : dash + 1);
            section = fallback;
            flags = LK_CONF_ABSENT;
        }
        if (lk_conf_add_section(conf, section, flags == LK_CONF_ABSENT ? NULL : m->desc.conf,
                                m->desc.conf_bytes, flags) != LUMA_OK)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for section [%s]", section);
    }
    return LUMA_OK;
}

size_t
lk_host_count(void)
{
    return lki_host.count;
}

const struct lk_host_module *
lk_host_at(size_t index)
{
    return index < lki_host.count ? lki_host.modules[index] : NULL;
}

const struct lk_host_module *
lk_host_find(const char *label)
{
    for (size_t i = 0; i < lki_host.count; i++)
        if (strcmp(lki_host.modules[i]->label, label) == 0)
            return lki_host.modules[i];
    return NULL;
}

const char *
lk_host_state_name(enum lk_host_state state)
{
    static const char *const names[] = {"loaded", "refused", "disabled", "failed",
                                        "ready",  "running", "stopped"};
    return (unsigned)state < LUMA_COUNTOF(names) ? names[state] : "?";
}
