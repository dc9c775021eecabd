/* config/config.c - documents against schemas: what is unknown, what holds, where it came from. */
#include "config/config.h"

#include <stdio.h>

#include "config/config_priv.h"

struct lk_conf *
lk_conf_create(void)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_conf *conf = arena == NULL ? NULL : LUMA_NEW(arena, struct lk_conf);
    if (conf == NULL)
        lk_arena_destroy(arena);
    else
        conf->arena = arena;
    return conf;
}

void
lk_conf_destroy(struct lk_conf *conf)
{
    if (conf != NULL)
        lk_arena_destroy(conf->arena);
}

struct luma_arena *
lk_conf_arena(struct lk_conf *conf)
{
    return conf->arena;
}

void
lk_conf_add_doc(struct lk_conf *conf, struct lk_conf_doc *doc)
{
    /* Sorted by source, the strongest first; of equals the later one first. */
    struct lk_conf_doc **at = &conf->docs;
    while (*at != NULL && (*at)->source > doc->source)
        at = &(*at)->next;
    doc->next = *at;
    *at = doc;
}

static struct lki_section *
section_find(const struct lk_conf *conf, const char *name)
{
    for (struct lki_section *s = conf->sections; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

luma_rc
lk_conf_add_section(struct lk_conf *conf, const char *name, const struct luma_conf_item *items,
                    size_t bytes, uint32_t flags)
{
    struct lki_section *s = section_find(conf, name);
    if (s != NULL && !(s->flags & LK_CONF_ABSENT))
        return LUMA_OK;
    if (s == NULL) {
        s = LUMA_NEW(conf->arena, struct lki_section);
        if (s == NULL)
            return LUMA_E_NOMEM;
        s->name = luma_arena_text(conf->arena, name, strlen(name));
        if (conf->sections == NULL)
            conf->sections = s;
        else
            conf->sections_last->next = s;
        conf->sections_last = s;
    }
    s->items = items;
    s->bytes = bytes;
    s->flags = flags;
    s->values = NULL;
    if (items != NULL && bytes > 0)
        s->values = luma_arena_zalloc(conf->arena, bytes);
    return s->name == NULL || (items != NULL && bytes > 0 && s->values == NULL) ? LUMA_E_NOMEM
                                                                                : LUMA_OK;
}

/* --- problems --- */

static void add_problem(struct lk_conf *conf, enum luma_log_level level, const char *fmt, ...)
    LUMA_PRINTF(3, 4);

static void
add_problem(struct lk_conf *conf, enum luma_log_level level, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct lk_conf_problem *problem = LUMA_NEW(conf->arena, struct lk_conf_problem);
    if (problem == NULL)
        return;
    problem->level = level;
    problem->text = luma_arena_text(conf->arena, text, strlen(text));
    if (problem->text == NULL)
        problem->text = "out of memory";
    if (conf->problems == NULL)
        conf->problems = problem;
    else
        conf->problems_last->next = problem;
    conf->problems_last = problem;
}

const struct lk_conf_problem *
lk_conf_problems(const struct lk_conf *conf)
{
    return conf->problems;
}

static const char *
place(struct lk_conf *conf, const struct lk_conf_doc *doc, int line)
{
    if (line == 0)
        return doc->file;
    const char *text = lk_arena_printf(conf->arena, "%s:%d", doc->file, line);
    return text == NULL ? doc->file : text;
}

/* --- who wins --- */

/* Rest of path behind "section.", NULL when it is not in the section. */
static const char *
key_in(const char *path, const char *section)
{
    size_t n = strlen(section);
    return strncmp(path, section, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

static const struct lk_conf_entry *
find_in(const struct lk_conf_doc *doc, const char *section, const char *key)
{
    for (const struct lk_conf_entry *e = doc->entries; e != NULL; e = e->next) {
        const char *rest = key_in(e->path, section);
        if (rest != NULL && strcmp(rest, key) == 0)
            return e;
    }
    return NULL;
}

const struct lk_conf_entry *
lki_find(const struct lk_conf *conf, const char *section, const char *key,
         const struct lk_conf_doc **out_doc)
{
    for (const struct lk_conf_doc *doc = conf->docs; doc != NULL; doc = doc->next) {
        const struct lk_conf_entry *e = find_in(doc, section, key);
        if (e != NULL) {
            *out_doc = doc;
            return e;
        }
    }
    return NULL;
}

bool
lk_conf_enabled(const struct lk_conf *conf, const char *section)
{
    const struct lk_conf_doc *doc;
    const struct lk_conf_entry *e = lki_find(conf, section, "enabled", &doc);
    return e == NULL || e->value.kind != LK_CONF_BOOL || e->value.b;
}

const char *
lk_conf_peek_path(struct lk_conf *conf, const char *section, const char *key)
{
    const struct lk_conf_doc *doc;
    const struct lk_conf_entry *e = lki_find(conf, section, key, &doc);
    struct luma_conf_item item = {.type = LUMA_CONF_TYPE_PATH, .name = key};
    const char *path = NULL, *why;
    return e != NULL && lki_fill(conf->arena, &item, e, doc, &path, &why) ? path : NULL;
}

const char *
lk_conf_origin(const struct lk_conf *conf, const char *section, const char *key)
{
    const struct lk_conf_doc *doc;
    const struct lk_conf_entry *e = lki_find(conf, section, key, &doc);
    return e == NULL ? "default" : place((struct lk_conf *)(uintptr_t)conf, doc, e->line);
}

const void *
lk_conf_values(const struct lk_conf *conf, const char *section)
{
    const struct lki_section *s = section_find(conf, section);
    return s == NULL ? NULL : s->values;
}

/* --- unknown names --- */

static size_t
edit_distance(const char *a, const char *b)
{
    size_t row[65], n = strlen(a), m = strlen(b);
    if (n > 64 || m > 64)
        return 64;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = LK_MIN(best, above + 1);
            best = LK_MIN(best, row[j - 1] + 1);
            diagonal = above;
            row[j] = best;
        }
    }
    return row[m];
}

struct nearest {
    const char *wanted, *best;
    size_t distance;
};

static void
consider(struct nearest *n, const char *name)
{
    size_t d = edit_distance(n->wanted, name);
    if (d < n->distance) {
        n->distance = d;
        n->best = name;
    }
}

static const char *
suggestion(struct lk_conf *conf, const struct nearest *n)
{
    if (n->best == NULL || n->distance > LK_MAX(strlen(n->wanted) / 2, (size_t)2))
        return "";
    const char *text = lk_arena_printf(conf->arena, "; is \"%s\" meant?", n->best);
    return text == NULL ? "" : text;
}

/* The section with the longest name that path lies in. */
static struct lki_section *
section_of(const struct lk_conf *conf, const char *path)
{
    struct lki_section *best = NULL;
    for (struct lki_section *s = conf->sections; s != NULL; s = s->next)
        if (key_in(path, s->name) != NULL && (best == NULL || strlen(s->name) > strlen(best->name)))
            best = s;
    return best;
}

static const struct luma_conf_item *
item_find(const struct lki_section *s, const char *key)
{
    for (const struct luma_conf_item *it = s->items; it != NULL && it->type != 0; it++)
        if (strcmp(it->name, key) == 0)
            return it;
    return NULL;
}

static const char *
nearest_section(struct lk_conf *conf, const char *name)
{
    struct nearest n = {.wanted = name, .distance = SIZE_MAX};
    for (const struct lki_section *s = conf->sections; s != NULL; s = s->next)
        consider(&n, s->name);
    return suggestion(conf, &n);
}

/* Line of the header that opens the table of path (or one around it), 0: none. */
static int
header_line(const struct lk_conf_doc *doc, const char *path)
{
    for (const struct lk_conf_table *t = doc->tables; t != NULL; t = t->next)
        if (key_in(path, t->path) != NULL)
            return t->line;
    return 0;
}

static void
unknown_section(struct lk_conf *conf, const struct lk_conf_doc *doc, const char *path, int line)
{
    const char *dot = strrchr(path, '.');
    size_t bytes = dot == NULL ? strlen(path) : (size_t)(dot - path);
    char *name = luma_arena_text(conf->arena, path, bytes);
    if (name == NULL)
        return;
    if (dot == NULL)
        add_problem(conf, LUMA_LOG_ERROR, "%s: key \"%s\" stands in no section",
                    place(conf, doc, line), name);
    else
        add_problem(conf, LUMA_LOG_ERROR, "%s: unknown section [%s] (key \"%s\")%s",
                    place(conf, doc, line), name, dot + 1, nearest_section(conf, name));
}

static void
check_entry(struct lk_conf *conf, const struct lk_conf_doc *doc, const struct lk_conf_entry *e)
{
    struct lki_section *s = section_of(conf, e->path);
    if (s == NULL) {
        int line = header_line(doc, e->path);
        unknown_section(conf, doc, e->path, line > 0 ? line : e->line);
        return;
    }
    const char *key = key_in(e->path, s->name);
    bool is_enabled = (s->flags & LK_CONF_MODULE) && strcmp(key, "enabled") == 0;
    if ((s->flags & LK_CONF_ABSENT) || item_find(s, key) != NULL)
        return;
    if (is_enabled && e->value.kind != LK_CONF_BOOL)
        add_problem(conf, LUMA_LOG_ERROR, "%s: [%s] enabled = %s: expected true or false",
                    place(conf, doc, e->line), s->name, e->value.text);
    if (is_enabled)
        return;
    struct nearest n = {.wanted = key, .distance = SIZE_MAX};
    for (const struct luma_conf_item *it = s->items; it != NULL && it->type != 0; it++)
        consider(&n, it->name);
    if (s->flags & LK_CONF_MODULE)
        consider(&n, "enabled");
    add_problem(conf, LUMA_LOG_ERROR, "%s: unknown key \"%s\" in section [%s]%s",
                place(conf, doc, e->line), key, s->name, suggestion(conf, &n));
}

/* A header is known when it names a section, or one lies in it or around it. */
static bool
table_is_known(const struct lk_conf *conf, const char *path)
{
    for (const struct lki_section *s = conf->sections; s != NULL; s = s->next)
        if (strcmp(s->name, path) == 0 || key_in(s->name, path) != NULL ||
            key_in(path, s->name) != NULL)
            return true;
    return false;
}

static bool
table_has_keys(const struct lk_conf_doc *doc, const char *path)
{
    for (const struct lk_conf_entry *e = doc->entries; e != NULL; e = e->next)
        if (key_in(e->path, path) != NULL)
            return true;
    return false;
}

static void
check_names(struct lk_conf *conf, const struct lk_conf_doc *doc)
{
    for (const struct lk_conf_table *t = doc->tables; t != NULL; t = t->next)
        if (!table_is_known(conf, t->path) && !table_has_keys(doc, t->path))
            add_problem(conf, LUMA_LOG_ERROR, "%s: unknown section [%s]%s",
                        place(conf, doc, t->line), t->path, nearest_section(conf, t->path));
    for (const struct lk_conf_entry *e = doc->entries; e != NULL; e = e->next)
        check_entry(conf, doc, e);
}

static void
check_absent(struct lk_conf *conf)
{
    for (const struct lki_section *s = conf->sections; s != NULL; s = s->next) {
        if (!(s->flags & LK_CONF_ABSENT))
            continue;
        for (const struct lk_conf_doc *doc = conf->docs; doc != NULL; doc = doc->next) {
            int line = 0;
            for (const struct lk_conf_table *t = doc->tables; t != NULL && line == 0; t = t->next)
                line = strcmp(t->path, s->name) == 0 ? t->line : 0;
            for (const struct lk_conf_entry *e = doc->entries; e != NULL && line == 0; e = e->next)
                line = section_of(conf, e->path) == s ? LK_MAX(e->line, 1) : 0;
            if (line > 0)
                add_problem(conf, LUMA_LOG_INFO,
                            "%s: [%s] has no effect: no loaded module has this section",
                            place(conf, doc, line), s->name);
        }
    }
}

/* --- the same key in two places --- */

static bool
same_value(const struct lk_conf_value *a, const struct lk_conf_value *b)
{
    return strcmp(a->text, b->text) == 0 ||
           (a->kind == LK_CONF_INT && b->kind == LK_CONF_INT && a->i == b->i);
}

static void
warn_differing(struct lk_conf *conf, const struct lk_conf_doc *winner,
               const struct lk_conf_entry *e)
{
    for (const struct lk_conf_doc *doc = conf->docs; doc != winner; doc = doc->next)
        for (const struct lk_conf_entry *o = doc->entries; o != NULL; o = o->next)
            if (strcmp(o->path, e->path) == 0)
                return; /* not the winner itself: the winner reports all others */
    const struct lki_section *s = section_of(conf, e->path);
    const struct luma_conf_item *item = s == NULL ? NULL : item_find(s, key_in(e->path, s->name));
    bool secret = item != NULL && (item->flags & LUMA_CONF_SECRET);
    for (const struct lk_conf_doc *doc = winner->next; doc != NULL; doc = doc->next) {
        for (const struct lk_conf_entry *o = doc->entries; o != NULL; o = o->next) {
            if (strcmp(o->path, e->path) != 0 || same_value(&o->value, &e->value))
                continue;
            add_problem(conf, LUMA_LOG_WARN, "%s sets %s = %s, %s sets it to %s: the first holds",
                        place(conf, winner, e->line), e->path, secret ? "..." : e->value.text,
                        place(conf, doc, o->line), secret ? "..." : o->value.text);
        }
    }
}

/* --- filling --- */

static void
fill_item(struct lk_conf *conf, struct lki_section *s, const struct luma_conf_item *item)
{
    const struct lk_conf_doc *doc;
    const char *why = NULL;
    if (lki_fill_default(conf->arena, item, s->values) != LUMA_OK)
        add_problem(conf, LUMA_LOG_ERROR, "[%s] %s: out of memory", s->name, item->name);
    const struct lk_conf_entry *e = lki_find(conf, s->name, item->name, &doc);
    if (e == NULL || lki_fill(conf->arena, item, e, doc, s->values, &why))
        return;
    bool secret = (item->flags & LUMA_CONF_SECRET) != 0;
    add_problem(conf, LUMA_LOG_ERROR, "%s: [%s] %s = %s%s%s: expected %s",
                place(conf, doc, e->line), s->name, item->name,
                e->value.kind == LK_CONF_STR ? "\"" : "", secret ? "..." : e->value.text,
                e->value.kind == LK_CONF_STR ? "\"" : "",
                why != NULL ? why : lki_range_text(conf->arena, item));
}

luma_rc
lk_conf_resolve(struct luma_ctx *ctx, struct lk_conf *conf)
{
    conf->problems = conf->problems_last = NULL;
    for (const struct lk_conf_doc *doc = conf->docs; doc != NULL; doc = doc->next)
        check_names(conf, doc);
    for (struct lki_section *s = conf->sections; s != NULL; s = s->next)
        for (const struct luma_conf_item *it = s->items; it != NULL && it->type != 0; it++)
            fill_item(conf, s, it);
    for (const struct lk_conf_doc *doc = conf->docs; doc != NULL; doc = doc->next)
        for (const struct lk_conf_entry *e = doc->entries; e != NULL; e = e->next)
            warn_differing(conf, doc, e);
    check_absent(conf);
    for (const struct lk_conf_problem *p = conf->problems; p != NULL; p = p->next)
        if (p->level == LUMA_LOG_ERROR)
            return LUMA_FAIL(ctx, LUMA_E_CONFIG, "%s", p->text);
    return LUMA_OK;
}

/* --- reload --- */

static size_t
field_bytes(const struct luma_conf_item *item)
{
    switch (item->type) {
    case LUMA_CONF_TYPE_BOOL:
        return sizeof(bool);
    case LUMA_CONF_TYPE_LIST:
        return sizeof(struct luma_conf_list);
    case LUMA_CONF_TYPE_FLOAT:
        return sizeof(double);
    case LUMA_CONF_TYPE_TEXT:
    case LUMA_CONF_TYPE_PATH:
    case LUMA_CONF_TYPE_ENUM:
        return sizeof(const char *);
    default:
        return sizeof(int64_t);
    }
}

static bool
text_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
field_same(const struct luma_conf_item *item, const void *a, const void *b)
{
    if (item->type == LUMA_CONF_TYPE_LIST) {
        const struct luma_conf_list *x = a, *y = b;
        bool same = x->count == y->count;
        for (size_t i = 0; same && i < x->count; i++)
            same = text_same(x->items[i], y->items[i]);
        return same;
    }
    if (item->type == LUMA_CONF_TYPE_TEXT || item->type == LUMA_CONF_TYPE_PATH ||
        item->type == LUMA_CONF_TYPE_ENUM)
        return text_same(*(const char *const *)a, *(const char *const *)b);
    return memcmp(a, b, field_bytes(item)) == 0;
}

bool
lk_conf_compare(const struct luma_conf_item *items, const void *old_values, void *new_values,
                void (*fn)(void *arg, const char *key, bool applied), void *arg)
{
    bool any = false;
    for (const struct luma_conf_item *it = items; it != NULL && it->type != 0; it++) {
        const uint8_t *before = (const uint8_t *)old_values + it->offset;
        uint8_t *after = (uint8_t *)new_values + it->offset;
        if (field_same(it, before, after))
            continue;
        bool applied = (it->flags & LUMA_CONF_RELOAD) != 0;
        if (!applied)
            memcpy(after, before, field_bytes(it));
        any = any || applied;
        fn(arg, it->name, applied);
    }
    return any;
}
