/*
 * base/arena.c - arenas as chains of blocks. Blocks double from the first size to 2 MiB; what is
 * larger than a quarter of the next block gets a block of its own behind the current one, which
 * stays in use; one that fills a huge page lies in one. A reset keeps the blocks in front up to
 * ARENA_KEEP_BYTES.
 */
#include <stdio.h>

#include "base/base.h"

#define ARENA_MAGIC      0x6172656eu
#define ARENA_BLOCK_MAX  ((size_t)2 << 20)
#define ARENA_KEEP_BYTES ((size_t)64 << 10)
/* Each allocation is one of the heap: overruns show, and each of them can fail in a test. */
#ifdef LK_ARENA_ALONE
#define ARENA_ALONE 1
#else
#define ARENA_ALONE LK_ASAN
#endif

struct arena_block {
    struct arena_block *next; /* older block */
    size_t bytes;             /* with this header */
    uint8_t pad[16];          /* what follows is 32-byte aligned relative to the block */
};

struct arena {
    struct luma_arena pub;
    uint32_t magic;
    struct luma_budget *budget;
    struct arena_block *blocks; /* newest first; the current one is blocks[0] */
    size_t first_bytes;
    size_t next_bytes; /* size of the next regular block */
    size_t total_bytes;
};

static struct arena *
arena_of(const struct luma_arena *pub)
{
    struct arena *a = pub->impl;
    LK_ASSERT(a->magic == ARENA_MAGIC);
    return a;
}

/* Not even for zero bytes: those would get a NULL that means "no memory". */
static void
arena_no_room(struct luma_arena *pub)
{
    pub->next = (uint8_t *)1;
    pub->end = NULL;
}

/* Does a block of this size fill a huge page but for a sixteenth? */
static bool
is_huge(size_t bytes)
{
    return !ARENA_ALONE && bytes <= LK_HUGE_BYTES && bytes >= LK_HUGE_BYTES - LK_HUGE_BYTES / 16;
}

static struct arena_block *
block_create(struct arena *a, size_t bytes)
{
    struct arena_block *block =
        is_huge(bytes) ? lk_huge_alloc(a->budget) : lk_alloc(a->budget, bytes);
    if (block == NULL)
        return NULL;
    block->bytes = is_huge(bytes) ? LK_HUGE_BYTES : bytes;
    a->total_bytes += block->bytes;
    return block;
}

static void
block_destroy(struct arena *a, struct arena_block *block)
{
    a->total_bytes -= block->bytes;
    if (is_huge(block->bytes))
        lk_huge_free(a->budget, block);
    else
        lk_free(a->budget, block, block->bytes);
}

static void *
align_in(struct arena_block *block, size_t align)
{
    uintptr_t p = (uintptr_t)(block + 1);
    return (void *)((p + (align - 1)) & ~(uintptr_t)(align - 1));
}

static void *
arena_grow_alone(struct arena *a, size_t bytes, size_t align)
{
    struct arena_block *block = block_create(a, sizeof(*block) + bytes + align);
    if (block == NULL)
        return NULL;
    if (a->blocks == NULL || ARENA_ALONE) { /* there is no current block to stay in front */
        block->next = a->blocks;
        a->blocks = block;
        arena_no_room(&a->pub);
    } else {
        block->next = a->blocks->next;
        a->blocks->next = block;
    }
    return align_in(block, align);
}

static void *
arena_grow(struct luma_arena *pub, size_t bytes, size_t align)
{
    struct arena *a = arena_of(pub);
    if (bytes > SIZE_MAX / 4)
        return NULL;
    if (ARENA_ALONE || bytes + align > a->next_bytes / 4)
        return arena_grow_alone(a, bytes, align);
    struct arena_block *block = block_create(a, a->next_bytes);
    if (block == NULL)
        return arena_grow_alone(a, bytes, align); /* a small one may still fit the budget */
    block->next = a->blocks;
    a->blocks = block;
    if (a->next_bytes < ARENA_BLOCK_MAX)
        a->next_bytes *= 2;
    uint8_t *p = align_in(block, align);
    pub->next = p + bytes;
    pub->end = (uint8_t *)block + block->bytes;
    return p;
}

static void
arena_reset(struct luma_arena *pub)
{
    struct arena *a = arena_of(pub);
    struct arena_block *keep = NULL, *next;
    for (struct arena_block *block = a->blocks; block != NULL; block = next) {
        next = block->next;
        /* The largest block that is cheap to keep serves the next round. */
        if (!ARENA_ALONE && block->bytes <= ARENA_KEEP_BYTES &&
            (keep == NULL || block->bytes > keep->bytes)) {
            if (keep != NULL)
                block_destroy(a, keep);
            keep = block;
        } else {
            block_destroy(a, block);
        }
    }
    a->blocks = keep;
    arena_no_room(pub);
    a->next_bytes = a->first_bytes;
    if (keep == NULL)
        return;
    keep->next = NULL;
    pub->next = (uint8_t *)(keep + 1);
    pub->end = (uint8_t *)keep + keep->bytes;
    if (keep->bytes * 2 > a->next_bytes)
        a->next_bytes = LK_MIN(keep->bytes * 2, ARENA_BLOCK_MAX);
}

struct luma_arena *
lk_arena_create(struct luma_budget *budget, size_t block_bytes)
{
    struct arena *a = lk_zalloc(budget, sizeof(*a));
    if (a == NULL)
        return NULL;
    a->magic = ARENA_MAGIC;
    a->budget = budget;
    a->first_bytes = block_bytes == 0 ? LK_ARENA_BLOCK_BYTES : LK_MAX(block_bytes, (size_t)256);
    a->next_bytes = a->first_bytes;
    a->pub.grow = arena_grow;
    a->pub.reset = arena_reset;
    a->pub.impl = a;
    arena_no_room(&a->pub);
    return &a->pub;
}

void
lk_arena_destroy(struct luma_arena *arena)
{
    if (arena == NULL)
        return;
    struct arena *a = arena_of(arena);
    struct arena_block *next;
    for (struct arena_block *block = a->blocks; block != NULL; block = next) {
        next = block->next;
        block_destroy(a, block);
    }
    a->magic = 0;
    lk_free(a->budget, a, sizeof(*a));
}

size_t
lk_arena_bytes(const struct luma_arena *arena)
{
    return arena_of(arena)->total_bytes + sizeof(struct arena);
}

char *
lk_arena_printf(struct luma_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *text = n < 0 ? NULL : luma_arena_alloc_aligned(arena, (size_t)n + 1, 1);
    if (text != NULL)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}
