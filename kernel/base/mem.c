/* base/mem.c - budgets, counted heap memory, pages. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

#define BUDGET_MAGIC      0x62756467u
#define BUDGET_NAME_BYTES 48

#define TUNE_BUDGET_MAX ((size_t)1 << 30)
#define TUNE_SHARE      1024
#define TUNE_BLOCK_MIN  ((size_t)128 << 10)
#define TUNE_HEAPS      2
#define TRIM_SHARE      16

#define RECLAIM_TRIES 32 /* of a reservation, while others take what it had given back */

struct luma_budget {
    uint32_t magic;
    _Atomic uint32_t children;
    struct luma_budget *parent; /* NULL: the root */
    _Atomic size_t limit;       /* 0: none */
    char name[BUDGET_NAME_BYTES];
    LK_ALIGNED_LINE _Atomic size_t used;
    _Atomic size_t peak; /* a hint: racing updates may lose one */
};

static struct luma_budget budget_root = {.magic = BUDGET_MAGIC, .name = "total"};

struct luma_budget *
lk_budget_root(void)
{
    return &budget_root;
}

static struct luma_budget *
budget_or_root(struct luma_budget *budget)
{
    struct luma_budget *b = budget == NULL ? &budget_root : budget;
    LK_ASSERT(b->magic == BUDGET_MAGIC);
    return b;
}

void
lk_budget_set_limit(struct luma_budget *budget, size_t limit_bytes)
{
    atomic_store_explicit(&budget_or_root(budget)->limit, limit_bytes, memory_order_relaxed);
}

struct luma_budget *
lk_budget_create(struct luma_budget *parent, const char *name, size_t limit_bytes)
{
    parent = budget_or_root(parent);
    struct luma_budget *b = aligned_alloc(LK_CACHE_LINE, sizeof(*b));
    if (b == NULL)
        return NULL;
    memset(b, 0, sizeof(*b));
    b->magic = BUDGET_MAGIC;
    b->parent = parent;
    atomic_init(&b->limit, limit_bytes);
    strncpy(b->name, name, sizeof(b->name) - 1);
    atomic_fetch_add_explicit(&parent->children, 1, memory_order_relaxed);
    return b;
}

void
lk_budget_destroy(struct luma_budget *budget)
{
    if (budget == NULL)
        return;
    LK_ASSERT(budget->magic == BUDGET_MAGIC);
    LK_ASSERT(budget->parent != NULL);
    LK_ASSERT(atomic_load_explicit(&budget->used, memory_order_acquire) == 0);
    LK_ASSERT(atomic_load_explicit(&budget->children, memory_order_acquire) == 0);
    atomic_fetch_sub_explicit(&budget->parent->children, 1, memory_order_release);
    budget->magic = 0;
    free(budget);
}

/* Never over the limit, for no moment: what finds no room must not take the room of others. */
static bool
budget_take(struct luma_budget *b, size_t bytes)
{
    size_t limit = atomic_load_explicit(&b->limit, memory_order_relaxed);
    size_t most = limit == 0 ? SIZE_MAX : limit;
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (bytes > most || used > most - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (used + bytes > atomic_load_explicit(&b->peak, memory_order_relaxed))
        atomic_store_explicit(&b->peak, used + bytes, memory_order_relaxed);
    return true;
}

static bool (*_Atomic reclaim_fn)(void *arg, size_t bytes);
static void *_Atomic reclaim_arg;

void
lk_budget_set_reclaim(bool (*fn)(void *arg, size_t bytes), void *arg)
{
    if (fn == NULL && atomic_load(&reclaim_arg) != arg)
        return;
    atomic_store(&reclaim_fn, NULL);
    atomic_store(&reclaim_arg, arg);
    atomic_store(&reclaim_fn, fn);
}

/* NULL: done. Otherwise the budget that has no room. */
static struct luma_budget *
budget_reserve(struct luma_budget *budget, size_t bytes)
{
    struct luma_budget *first = budget_or_root(budget);
    for (struct luma_budget *b = first; b != NULL; b = b->parent) {
        if (budget_take(b, bytes))
            continue;
        for (struct luma_budget *undo = first; undo != b; undo = undo->parent)
            atomic_fetch_sub_explicit(&undo->used, bytes, memory_order_relaxed);
        return b;
    }
    return NULL;
}

static bool
root_has_room(size_t bytes)
{
    size_t limit = atomic_load_explicit(&budget_root.limit, memory_order_relaxed);
    size_t used = atomic_load_explicit(&budget_root.used, memory_order_relaxed);
    return limit == 0 || (bytes <= limit && used <= limit - bytes);
}

bool
lk_budget_reserve(struct luma_budget *budget, size_t bytes)
{
    struct luma_budget *full = budget_reserve(budget, bytes);
    /* Only the whole server's want of memory is met: a statement's own limit is its own affair.
     * What is given back may go to another who is faster: as long as there is more, ask again. */
    for (int i = 0; LUMA_UNLIKELY(full == &budget_root) && i < RECLAIM_TRIES; i++) {
        bool (*reclaim)(void *arg, size_t bytes) = atomic_load(&reclaim_fn);
        size_t limit = atomic_load_explicit(&budget_root.limit, memory_order_relaxed);
        if (reclaim == NULL || bytes > limit)
            return false;
        size_t used = atomic_load_explicit(&budget_root.used, memory_order_relaxed);
        bool want = used > limit - bytes;
        if (want && !reclaim(atomic_load(&reclaim_arg), used - (limit - bytes)) &&
            !root_has_room(bytes))
            return false;
        full = budget_reserve(budget, bytes);
    }
    return full == NULL;
}

void
lk_budget_unreserve(struct luma_budget *budget, size_t bytes)
{
    for (struct luma_budget *b = budget_or_root(budget); b != NULL; b = b->parent) {
        size_t before = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_release);
        LK_ASSERT(before >= bytes);
    }
}

size_t
lk_budget_used(const struct luma_budget *budget)
{
    budget = budget == NULL ? &budget_root : budget;
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

size_t
lk_budget_peak(const struct luma_budget *budget)
{
    budget = budget == NULL ? &budget_root : budget;
    return atomic_load_explicit(&budget->peak, memory_order_relaxed);
}

size_t
lk_budget_limit(const struct luma_budget *budget)
{
    size_t tightest = SIZE_MAX;
    for (budget = budget == NULL ? &budget_root : budget; budget != NULL; budget = budget->parent) {
        size_t limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);
        if (limit != 0 && limit < tightest)
            tightest = limit;
    }
    return tightest;
}

const char *
lk_budget_name(const struct luma_budget *budget)
{
    return budget == NULL ? budget_root.name : budget->name;
}

static struct {
    size_t below, every;  /* of a budget that is not small: 0 */
    _Atomic size_t bytes; /* of smaller blocks freed since */
} trim;

/*
 * Unless told otherwise, the library has up to eight heaps a processor, and keeps blocks of up to
 * 32 MiB in them once one has been freed: where a task moves between threads, all of them come to
 * hold what one would need. A small budget cannot afford that; a large one rather keeps pages than
 * has the system clear new ones.
 */
void
lk_mem_tune(size_t budget_bytes)
{
    size_t own = budget_bytes / TUNE_SHARE; /* blocks from here on are mapped one by one */
    own = own < TUNE_BLOCK_MIN ? TUNE_BLOCK_MIN : own;
    if (budget_bytes > TUNE_BUDGET_MAX || LK_ASAN)
        return;
    mallopt(M_ARENA_MAX, TUNE_HEAPS);
    mallopt(M_MMAP_THRESHOLD, (int)own);
    mallopt(M_TRIM_THRESHOLD, (int)own * 2);
    trim.below = own;
    trim.every = budget_bytes / TRIM_SHARE;
}

static void
freed(size_t bytes)
{
    if (bytes < trim.below)
        atomic_fetch_add_explicit(&trim.bytes, bytes, memory_order_relaxed);
}

void
lk_mem_trim(void)
{
    if (LUMA_LIKELY(trim.every == 0 ||
                    atomic_load_explicit(&trim.bytes, memory_order_relaxed) < trim.every))
        return;
    atomic_store_explicit(&trim.bytes, 0, memory_order_relaxed);
    malloc_trim(0);
}

void *
lk_alloc(struct luma_budget *budget, size_t bytes)
{
    if (LK_FAULT("base.alloc") || !lk_budget_reserve(budget, bytes))
        return NULL;
    void *p = malloc(bytes == 0 ? 1 : bytes);
    if (p == NULL)
        lk_budget_unreserve(budget, bytes);
    return p;
}

void *
lk_zalloc(struct luma_budget *budget, size_t bytes)
{
    if (LK_FAULT("base.alloc") || !lk_budget_reserve(budget, bytes))
        return NULL;
    void *p = calloc(1, bytes == 0 ? 1 : bytes);
    if (p == NULL)
        lk_budget_unreserve(budget, bytes);
    return p;
}

void *
lk_resize(struct luma_budget *budget, void *p, size_t old_bytes, size_t new_bytes)
{
    if (p == NULL)
        return lk_alloc(budget, new_bytes);
    if (new_bytes > old_bytes &&
        (LK_FAULT("base.alloc") || !lk_budget_reserve(budget, new_bytes - old_bytes)))
        return NULL;
    void *moved = realloc(p, new_bytes == 0 ? 1 : new_bytes);
    if (moved == NULL && new_bytes > old_bytes)
        lk_budget_unreserve(budget, new_bytes - old_bytes);
    if (moved == NULL)
        return NULL;
    if (new_bytes < old_bytes)
        lk_budget_unreserve(budget, old_bytes - new_bytes);
    return moved;
}

void
lk_free(struct luma_budget *budget, void *p, size_t bytes)
{
    if (p == NULL)
        return;
    free(p);
    freed(bytes);
    lk_budget_unreserve(budget, bytes);
}

static size_t
pages_round(size_t bytes)
{
    return (size_t)lk_align_up(bytes, bytes >= LK_HUGE_BYTES ? LK_HUGE_BYTES : 4096);
}

/* mmap gives 4 KiB alignment; huge pages want 2 MiB: map more and cut off both ends. */
void *
lki_map_pages(size_t bytes)
{
    size_t extra = bytes >= LK_HUGE_BYTES ? LK_HUGE_BYTES : 0;
    uint8_t *raw = mmap(NULL, bytes + extra, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    if (extra == 0)
        return raw;
    uint8_t *p = (uint8_t *)lk_align_up((uintptr_t)raw, LK_HUGE_BYTES);
    if (p > raw)
        munmap(raw, (size_t)(p - raw));
    size_t tail = (size_t)(raw + bytes + extra - (p + bytes));
    if (tail > 0)
        munmap(p + bytes, tail);
    madvise(p, bytes, MADV_HUGEPAGE); /* only advice: a refusal costs speed, nothing else */
    return p;
}

void *
lk_pages_alloc(struct luma_budget *budget, size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = pages_round(bytes);
    if (LK_FAULT("base.alloc") || !lk_budget_reserve(budget, rounded))
        return NULL;
    void *p = lki_map_pages(rounded);
    if (p == NULL)
        lk_budget_unreserve(budget, rounded);
    return p;
}

void
lk_pages_free(struct luma_budget *budget, void *p, size_t bytes)
{
    if (p == NULL)
        return;
    int rc = munmap(p, pages_round(bytes));
    LK_ASSERT(rc == 0);
    lk_budget_unreserve(budget, pages_round(bytes));
}

const struct luma_host_mem lk_mem_host = {
    .head = {sizeof(struct luma_host_mem), 0, 1},
    .alloc = lk_alloc,
    .resize = lk_resize,
    .release = lk_free,
    .alloc_pages = lk_pages_alloc,
    .release_pages = lk_pages_free,
    .arena_create = lk_arena_create,
    .arena_destroy = lk_arena_destroy,
    .budget_create = lk_budget_create,
    .budget_destroy = lk_budget_destroy,
    .reserve = lk_budget_reserve,
    .unreserve = lk_budget_unreserve,
    .used_bytes = lk_budget_used,
    .limit_bytes = lk_budget_limit,
    .root = lk_budget_root,
};
