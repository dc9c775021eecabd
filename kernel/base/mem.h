/*
 * base/mem.h - budgets, counted heap memory, pages, arenas.
 *
 * Budgets form a tree under one root. A reservation goes up the tree and is taken back where it
 * does not fit; used never exceeds a limit.
 */
#ifndef LK_BASE_MEM_H
#define LK_BASE_MEM_H

#include <lumadb/arena.h>
#include <lumadb/host/mem.h>

struct luma_budget *lk_budget_root(void);
/* 0: no limit. What is used already stays used. */
void lk_budget_set_limit(struct luma_budget *budget, size_t limit_bytes);
/* NULL parent: the root. The name is copied. NULL: out of memory. */
struct luma_budget *lk_budget_create(struct luma_budget *parent, const char *name,
                                     size_t limit_bytes);
void lk_budget_destroy(struct luma_budget *budget); /* NULL is fine; asserts that it is empty */
LUMA_DEFINE_CLEANUP(struct luma_budget *, lk_budget_destroy)
/* Who can give memory back when a reservation finds no room: gives about `bytes`, waits for
 * nothing, any lock may be held; false: nothing went. One at a time; fn NULL: nobody (if arg was
 * the last one). */
void lk_budget_set_reclaim(bool (*fn)(void *arg, size_t bytes), void *arg);
LUMA_NODISCARD bool lk_budget_reserve(struct luma_budget *budget, size_t bytes);
void lk_budget_unreserve(struct luma_budget *budget, size_t bytes);
size_t lk_budget_used(const struct luma_budget *budget);
size_t lk_budget_peak(const struct luma_budget *budget);
/* The tightest limit up the tree; SIZE_MAX: none. */
size_t lk_budget_limit(const struct luma_budget *budget);
const char *lk_budget_name(const struct luma_budget *budget);

/* Has the C library hold little of what is freed where a budget of so many bytes is small; before
 * the threads start. */
void lk_mem_tune(size_t budget_bytes);
/* Gives the system free pages inside the library's heaps, if there may be enough of them: a worker
 * between two tasks, as it takes some milliseconds. */
void lk_mem_trim(void);

/* Counted heap memory. NULL budget: the root. NULL result: no room. */
void *lk_alloc(struct luma_budget *budget, size_t bytes);
void *lk_zalloc(struct luma_budget *budget, size_t bytes);
void *lk_resize(struct luma_budget *budget, void *p, size_t old_bytes, size_t new_bytes);
void lk_free(struct luma_budget *budget, void *p, size_t bytes); /* NULL is fine */

/* Page-aligned, zeroed; huge pages asked for from 2 MiB up. */
void *lk_pages_alloc(struct luma_budget *budget, size_t bytes);
void lk_pages_free(struct luma_budget *budget, void *p, size_t bytes);

/* One huge page with whatever is in it; some that come back are kept for the next. */
#define LK_HUGE_BYTES ((size_t)2 << 20)
void *lk_huge_alloc(struct luma_budget *budget);
void lk_huge_free(struct luma_budget *budget, void *p);
/* Of mem.c: zeroed memory at a multiple of a page, from 2 MiB up of a huge one. */
void *lki_map_pages(size_t bytes);

#define LK_ARENA_BLOCK_BYTES 8192

/* block_bytes is the size of the first block (0: LK_ARENA_BLOCK_BYTES); blocks double up to 2 MiB.
 * The first block comes with the first allocation. In address-sanitizer builds every allocation is
 * one of its own, so that overruns show. */
struct luma_arena *lk_arena_create(struct luma_budget *budget, size_t block_bytes);
void lk_arena_destroy(struct luma_arena *arena); /* NULL is fine */
LUMA_DEFINE_CLEANUP(struct luma_arena *, lk_arena_destroy)
/* Memory the arena has taken from its budget. */
size_t lk_arena_bytes(const struct luma_arena *arena);
char *lk_arena_printf(struct luma_arena *arena, const char *fmt, ...) LUMA_PRINTF(2, 3);

extern const struct luma_host_mem lk_mem_host;

#endif
