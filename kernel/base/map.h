/*
 * base/map.h - hash map from byte strings to pointers. Open addressing, keys are copied. For names
 * and configuration, not for rows. Zero-initialized is empty. One thread at a time.
 */
#ifndef LK_BASE_MAP_H
#define LK_BASE_MAP_H

#include <lumadb/base.h>

struct lk_map_entry {
    uint64_t hash;
    char *key; /* NUL-terminated copy; NULL: free slot */
    size_t key_bytes;
    void *value;
};

struct lk_map {
    struct lk_map_entry *slots;
    size_t slots_count; /* power of two, or 0 */
    size_t count;
};

/* Frees the map, not what it points to. */
void lk_map_fini(struct lk_map *map);
/* NULL: absent. */
void *lk_map_get(const struct lk_map *map, struct luma_slice key);
/* Sets, replacing what was there; out_old may be NULL. LUMA_E_NOMEM leaves the map as it was. */
LUMA_NODISCARD luma_rc lk_map_put(struct lk_map *map, struct luma_slice key, void *value,
                                  void **out_old);
/* The value that was there, NULL when absent. */
void *lk_map_remove(struct lk_map *map, struct luma_slice key);
/* The entry at or after *cursor (start with 0), NULL at the end. In no particular order. */
const struct lk_map_entry *lk_map_next(const struct lk_map *map, size_t *cursor);

static inline void *
lk_map_get_text(const struct lk_map *map, const char *key)
{
    return lk_map_get(map, luma_slice_text(key));
}

#endif
