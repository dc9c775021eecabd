/*
 * lumadb/host/mem.h - memory that counts.
 *
 * Budgets form a tree under the configured total. Operators reserve before they allocate; a
 * reservation that does not fit fails (LUMA_E_NOMEM) and the operator spills or gives up by name.
 */
#ifndef LUMADB_HOST_MEM_H
#define LUMADB_HOST_MEM_H

#include <lumadb/arena.h>
#include <lumadb/error.h>

struct luma_budget;

struct luma_host_mem {
    struct luma_head head;
    /* Counted heap memory; NULL when the budget (NULL: the root's) is exhausted. Any thread.
     * resize keeps content and may move; release wants the size that was asked for. */
    void *(*alloc)(struct luma_budget *budget, size_t bytes);
    void *(*resize)(struct luma_budget *budget, void *p, size_t old_bytes, size_t new_bytes);
    void (*release)(struct luma_budget *budget, void *p, size_t bytes);
    /* Large, page-aligned, zeroed; huge pages asked for from 2 MiB up. */
    void *(*alloc_pages)(struct luma_budget *budget, size_t bytes);
    void (*release_pages)(struct luma_budget *budget, void *p, size_t bytes);
    /* Arenas take their blocks from the budget. */
    struct luma_arena *(*arena_create)(struct luma_budget *budget, size_t block_bytes);
    void (*arena_destroy)(struct luma_arena *arena); /* NULL is fine */
    /* A child that may hold at most limit_bytes (0: only its parents limit it). */
    struct luma_budget *(*budget_create)(struct luma_budget *parent, const char *name,
                                         size_t limit_bytes);
    void (*budget_destroy)(struct luma_budget *budget); /* everything in it was released */
    bool (*reserve)(struct luma_budget *budget, size_t bytes);
    void (*unreserve)(struct luma_budget *budget, size_t bytes);
    size_t (*used_bytes)(const struct luma_budget *budget);
    size_t (*limit_bytes)(const struct luma_budget *budget); /* the tightest up the tree */
    struct luma_budget *(*root)(void);
};

#endif
