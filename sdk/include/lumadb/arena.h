/*
 * lumadb/arena.h - region allocation. Arenas are arguments named by lifetime (arena_session,
 * arena_statement, arena_batch); there is no current arena. Nothing is freed singly.
 *
 * An arena belongs to one task at a time. Its memory counts against the budget it was made with.
 */
#ifndef LUMADB_ARENA_H
#define LUMADB_ARENA_H

#include <lumadb/base.h>

struct luma_arena {
    uint8_t *next, *end; /* room left in the current block */
    /* Gives `bytes` aligned to `align`, from a new block; NULL: out of memory or over budget. */
    void *(*grow)(struct luma_arena *arena, size_t bytes, size_t align);
    /* Forgets everything allocated, keeps the first blocks for reuse. */
    void (*reset)(struct luma_arena *arena);
    void *impl;
};

/* NULL when the budget is exhausted. Uninitialized memory. */
static inline void *
luma_arena_alloc_aligned(struct luma_arena *arena, size_t bytes, size_t align)
{
    uintptr_t p = ((uintptr_t)arena->next + (align - 1)) & ~(uintptr_t)(align - 1);
    if (LUMA_LIKELY(p <= (uintptr_t)arena->end && bytes <= (uintptr_t)arena->end - p)) {
        arena->next = (uint8_t *)(p + bytes);
        return (void *)p;
    }
    return arena->grow(arena, bytes, align);
}

static inline void *
luma_arena_alloc(struct luma_arena *arena, size_t bytes)
{
    return luma_arena_alloc_aligned(arena, bytes, 16);
}

static inline void *
luma_arena_zalloc(struct luma_arena *arena, size_t bytes)
{
    void *p = luma_arena_alloc(arena, bytes);
    if (LUMA_LIKELY(p != NULL))
        memset(p, 0, bytes);
    return p;
}

static inline void *
luma_arena_copy(struct luma_arena *arena, const void *src, size_t bytes)
{
    void *p = luma_arena_alloc(arena, bytes);
    if (LUMA_LIKELY(p != NULL) && bytes > 0)
        memcpy(p, src, bytes);
    return p;
}

/* NUL-terminated copy of bytes. */
static inline char *
luma_arena_text(struct luma_arena *arena, const void *src, size_t bytes)
{
    char *p = (char *)luma_arena_alloc_aligned(arena, bytes + 1, 1);
    if (LUMA_LIKELY(p != NULL)) {
        if (bytes > 0)
            memcpy(p, src, bytes);
        p[bytes] = '\0';
    }
    return p;
}

#define LUMA_NEW(arena, type) ((type *)luma_arena_zalloc((arena), sizeof(type)))
#define LUMA_NEW_ARRAY(arena, type, count) \
    ((type *)luma_arena_zalloc((arena), sizeof(type) * (size_t)(count)))

#endif
