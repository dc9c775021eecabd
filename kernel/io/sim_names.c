/* io/sim_names.c - names as programs see them, as the disk has them, and what lies between. */
#include <stdlib.h>

#include "io/sim_priv.h"

/* "a//b/./c/" -> "a/b/c"; "" -> "."; ".." is kept as it is. */
char *
lki_sim_path(const char *path)
{
    size_t n = strlen(path), out = 0;
    char *name = malloc(n + 2);
    LK_ASSERT(name != NULL);
    if (path[0] == '/')
        name[out++] = '/';
    for (size_t i = 0; i < n;) {
        size_t part = strcspn(path + i, "/");
        bool empty = part == 0 || (part == 1 && path[i] == '.');
        if (!empty) {
            if (out > 0 && name[out - 1] != '/')
                name[out++] = '/';
            memcpy(name + out, path + i, part);
            out += part;
        }
        i += part + 1;
    }
    if (out == 0)
        name[out++] = '.';
    name[out] = '\0';
    return name;
}

char *
lki_sim_parent(const char *name)
{
    const char *slash = strrchr(name, '/');
    char *parent = slash == NULL   ? strdup(".")
                   : slash == name ? strdup("/")
                                   : strndup(name, (size_t)(slash - name));
    LK_ASSERT(parent != NULL);
    return parent;
}

struct sim_node *
lki_sim_find(struct sim *sim, const char *name)
{
    return lk_map_get_text(&sim->live, name);
}

static bool
is_root(const char *name)
{
    return strcmp(name, "/") == 0 || strcmp(name, ".") == 0;
}

bool
lki_sim_is_dir(struct sim *sim, const char *name)
{
    struct sim_node *node = lki_sim_find(sim, name);
    return is_root(name) || (node != NULL && node->is_dir);
}

void
lki_sim_set_name(struct sim *sim, struct lk_map *map, const char *name, struct sim_node *node)
{
    struct luma_slice key = luma_slice_text(name);
    void *old = NULL;
    if (node != NULL) {
        lki_sim_node_ref(node);
        luma_rc rc = lk_map_put(map, key, node, &old);
        LK_ASSERT(rc == LUMA_OK);
    } else {
        old = lk_map_remove(map, key);
    }
    if (old != NULL)
        lki_sim_node_unref(sim, old);
}

static void
change_destroy(struct sim *sim, struct sim_change *change)
{
    if (change->node != NULL)
        lki_sim_node_unref(sim, change->node);
    lk_list_remove(&change->link);
    free(change->dir);
    free(change->dir2);
    free(change->removed);
    free(change->added);
    free(change);
}

void
lki_sim_change(struct sim *sim, const char *removed, const char *added, struct sim_node *node)
{
    struct sim_change *change = calloc(1, sizeof(*change));
    LK_ASSERT(change != NULL);
    change->removed = removed == NULL ? NULL : strdup(removed);
    change->added = added == NULL ? NULL : strdup(added);
    change->dir = lki_sim_parent(added != NULL ? added : removed);
    if (removed != NULL && added != NULL) {
        change->dir2 = lki_sim_parent(removed);
        if (strcmp(change->dir, change->dir2) == 0) {
            free(change->dir2);
            change->dir2 = NULL;
        }
    }
    change->node = node;
    if (node != NULL)
        lki_sim_node_ref(node);
    lk_list_push_back(&sim->changes, &change->link);
    if (removed != NULL)
        lki_sim_set_name(sim, &sim->live, removed, NULL);
    if (added != NULL)
        lki_sim_set_name(sim, &sim->live, added, node);
}

static void
change_to_disk(struct sim *sim, struct sim_change *change)
{
    /* The old name goes only if it still means this file: a lost change may lie between. */
    struct sim_node *old =
        change->removed == NULL ? NULL : lk_map_get_text(&sim->disk, change->removed);
    if (old != NULL && (change->node == NULL || old == change->node))
        lki_sim_set_name(sim, &sim->disk, change->removed, NULL);
    if (change->added != NULL)
        lki_sim_set_name(sim, &sim->disk, change->added, change->node);
}

/* A rename over two directories is on the disk once the one that gains the name is: the journal
 * has both in one transaction. */
void
lki_sim_sync_names(struct sim *sim, const char *dir)
{
    LK_LIST_FOR (&sim->changes, change, struct sim_change, link) {
        bool here = strcmp(change->dir, dir) == 0 ||
                    (change->dir2 != NULL && strcmp(change->dir2, dir) == 0);
        if (here) {
            change_to_disk(sim, change);
            change_destroy(sim, change);
        }
    }
}

/* Names under a directory that was lost are lost with it. */
static bool
drop_one_orphan(struct sim *sim)
{
    size_t cursor = 0;
    const struct lk_map_entry *e;
    while ((e = lk_map_next(&sim->disk, &cursor)) != NULL) {
        char *parent = lki_sim_parent(e->key);
        const struct sim_node *dir = lk_map_get_text(&sim->disk, parent);
        bool orphan = !is_root(parent) && (dir == NULL || !dir->is_dir);
        free(parent);
        if (orphan) {
            char *name = strdup(e->key);
            LK_ASSERT(name != NULL);
            lki_sim_set_name(sim, &sim->disk, name, NULL);
            free(name);
            return true;
        }
    }
    return false;
}

static void
map_clear(struct sim *sim, struct lk_map *map)
{
    size_t cursor = 0;
    const struct lk_map_entry *e;
    while ((e = lk_map_next(map, &cursor)) != NULL)
        lki_sim_node_unref(sim, e->value);
    lk_map_fini(map);
}

void
lki_sim_crash_names(struct sim *sim, unsigned percent)
{
    LK_LIST_FOR (&sim->changes, change, struct sim_change, link) {
        if (lk_rand_percent(&sim->rand, percent))
            change_to_disk(sim, change);
        change_destroy(sim, change);
    }
    while (drop_one_orphan(sim))
        continue;
    map_clear(sim, &sim->live);
    size_t cursor = 0;
    const struct lk_map_entry *e;
    while ((e = lk_map_next(&sim->disk, &cursor)) != NULL)
        lki_sim_set_name(sim, &sim->live, e->key, e->value);
}

void
lki_sim_names_fini(struct sim *sim)
{
    LK_LIST_FOR (&sim->changes, change, struct sim_change, link)
        change_destroy(sim, change);
    map_clear(sim, &sim->live);
    map_clear(sim, &sim->disk);
}
