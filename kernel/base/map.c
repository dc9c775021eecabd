/* base/map.c - string-keyed hash map, linear probing, backward-shift deletion. */
#include "base/map.h"

#include <stdlib.h>

#include "base/hash.h"

#define MAP_SLOTS_MIN 16

void
lk_map_fini(struct lk_map *map)
{
    for (size_t i = 0; i < map->slots_count; i++)
        free(map->slots[i].key);
    free(map->slots);
    memset(map, 0, sizeof(*map));
}

/* The slot of key, or the free one where it would go. The map is never full. */
static size_t
map_slot(const struct lk_map *map, uint64_t hash, struct luma_slice key)
{
    size_t mask = map->slots_count - 1, i = (size_t)hash & mask;
    for (;; i = (i + 1) & mask) {
        const struct lk_map_entry *e = &map->slots[i];
        if (e->key == NULL)
            return i;
        if (e->hash == hash && luma_slice_equal(luma_slice(e->key, e->key_bytes), key))
            return i;
    }
}

void *
lk_map_get(const struct lk_map *map, struct luma_slice key)
{
    if (map->count == 0)
        return NULL;
    const struct lk_map_entry *e =
        &map->slots[map_slot(map, lk_hash_bytes(key.data, key.bytes), key)];
    return e->key == NULL ? NULL : e->value;
}

static luma_rc
map_grow(struct lk_map *map)
{
    struct lk_map bigger = {.slots_count =
                                map->slots_count == 0 ? MAP_SLOTS_MIN : map->slots_count * 2,
                            .count = map->count};
    bigger.slots = calloc(bigger.slots_count, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return LUMA_E_NOMEM;
    for (size_t i = 0; i < map->slots_count; i++) {
        struct lk_map_entry *e = &map->slots[i];
        if (e->key != NULL)
            bigger.slots[map_slot(&bigger, e->hash, luma_slice(e->key, e->key_bytes))] = *e;
    }
    free(map->slots);
    *map = bigger;
    return LUMA_OK;
}

luma_rc
lk_map_put(struct lk_map *map, struct luma_slice key, void *value, void **out_old)
{
    if ((map->count + 1) * 4 > map->slots_count * 3) {
        luma_rc rc = map_grow(map);
        if (rc != LUMA_OK)
            return rc;
    }
    uint64_t hash = lk_hash_bytes(key.data, key.bytes);
    struct lk_map_entry *e = &map->slots[map_slot(map, hash, key)];
    void *old = e->key == NULL ? NULL : e->value;
    if (e->key == NULL) {
        char *copy = malloc(key.bytes + 1);
        if (copy == NULL)
            return LUMA_E_NOMEM;
        if (key.bytes > 0)
            memcpy(copy, key.data, key.bytes);
        copy[key.bytes] = '\0';
        *e = (struct lk_map_entry){.hash = hash, .key = copy, .key_bytes = key.bytes};
        map->count++;
    }
    e->value = value;
    if (out_old != NULL)
        *out_old = old;
    return LUMA_OK;
}

/* Entries behind a freed slot move up unless that would put them before their home. */
static void
map_close_gap(struct lk_map *map, size_t gap)
{
    size_t mask = map->slots_count - 1;
    for (size_t i = (gap + 1) & mask; map->slots[i].key != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)map->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        map->slots[gap] = map->slots[i];
        gap = i;
    }
    memset(&map->slots[gap], 0, sizeof(map->slots[gap]));
}

void *
lk_map_remove(struct lk_map *map, struct luma_slice key)
{
    if (map->count == 0)
        return NULL;
    size_t i = map_slot(map, lk_hash_bytes(key.data, key.bytes), key);
    struct lk_map_entry *e = &map->slots[i];
    if (e->key == NULL)
        return NULL;
    void *value = e->value;
    free(e->key);
    map->count--;
    map_close_gap(map, i);
    return value;
}

const struct lk_map_entry *
lk_map_next(const struct lk_map *map, size_t *cursor)
{
    while (*cursor < map->slots_count) {
        const struct lk_map_entry *e = &map->slots[(*cursor)++];
        if (e->key != NULL)
            return e;
    }
    return NULL;
}
