/*
 * modules/index/btree/hot.c - the mutable part: a skip list (Pugh 1990) that grows by compare and
 * swap and never shrinks.
 *
 * A node is linked from below upwards: once level 0 has it, it is in the list; the upper levels are
 * short cuts. Removing marks it dead, inserting it again revives it; memory is freed with the whole
 * list, which a checkpoint makes soon. So readers follow pointers without any lock and a pointer
 * that was right stays right.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "btree.h"

#define HEIGHT_MAX       16
#define SORTED_ENTRIES   64 /* from which on sorting them first pays */
#define PREFETCH_ENTRIES 8
#define CHUNK_BYTES_MIN  4096
#define CHUNK_BYTES_MAX  ((size_t)1 << 20)

struct node {
    uint64_t
        head; /* first 8 bytes of the key, big endian, zero padded: most comparisons end here */
    int64_t rowid;
    uint32_t key_bytes;
    uint8_t height;
    _Atomic uint8_t dead;
    struct node *_Atomic next[]; /* height of them, then the key */
};

struct chunk {
    struct chunk *older;
    size_t bytes; /* all of it */
    _Atomic size_t used;
};

struct hot {
    struct luma_budget *budget;
    struct chunk *_Atomic chunk; /* newest */
    _Atomic uint32_t growing;    /* somebody makes a chunk */
    _Atomic size_t bytes, count;
    struct node *_Atomic head[HEIGHT_MAX];
};

/* --- memory --- */

void *
btree_alloc(struct luma_budget *budget, size_t bytes)
{
    return btree_mem == NULL ? malloc(bytes) : btree_mem->alloc(budget, bytes);
}

void
btree_free(struct luma_budget *budget, void *p, size_t bytes)
{
    if (btree_mem == NULL)
        free(p);
    else if (p != NULL)
        btree_mem->release(budget, p, bytes);
}

static struct chunk *
chunk_make(struct hot *hot, struct chunk *older, size_t want)
{
    size_t bytes = older == NULL ? CHUNK_BYTES_MIN : older->bytes * 2;
    if (bytes > CHUNK_BYTES_MAX)
        bytes = CHUNK_BYTES_MAX;
    if (bytes < want + sizeof(struct chunk))
        bytes = want + sizeof(struct chunk);
    struct chunk *chunk = btree_alloc(hot->budget, bytes);
    if (chunk == NULL)
        return NULL;
    chunk->older = older;
    chunk->bytes = bytes;
    atomic_init(&chunk->used, (sizeof(struct chunk) + 15) & ~(size_t)15);
    atomic_fetch_add_explicit(&hot->bytes, bytes, memory_order_relaxed);
    return chunk;
}

/* 16-byte aligned; NULL: no memory. Threads that meet a full chunk spin while one of them makes the
 * next: an allocation, no I/O. */
static void *
arena_take(struct hot *hot, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    for (;;) {
        /* Pairs with the store below: the chunk's header is seen. */
        struct chunk *chunk = atomic_load_explicit(&hot->chunk, memory_order_acquire);
        if (chunk != NULL) {
            size_t at = atomic_fetch_add_explicit(&chunk->used, bytes, memory_order_relaxed);
            if (at + bytes <= chunk->bytes)
                return (uint8_t *)chunk + at;
        }
        if (atomic_exchange_explicit(&hot->growing, 1, memory_order_acquire) != 0)
            continue;
        bool failed = false;
        if (atomic_load_explicit(&hot->chunk, memory_order_relaxed) == chunk) {
            struct chunk *fresh = chunk_make(hot, chunk, bytes);
            failed = fresh == NULL;
            if (!failed)
                atomic_store_explicit(&hot->chunk, fresh, memory_order_release);
        }
        atomic_store_explicit(&hot->growing, 0, memory_order_release);
        if (failed)
            return NULL;
    }
}

luma_rc
btree_hot_create(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot)
{
    struct hot *hot = btree_alloc(budget, sizeof(*hot));
    if (hot == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index");
    memset(hot, 0, sizeof(*hot));
    hot->budget = budget;
    *out_hot = hot;
    return LUMA_OK;
}

void
btree_hot_destroy(void *arg)
{
    struct hot *hot = arg;
    if (hot == NULL)
        return;
    struct chunk *chunk = atomic_load_explicit(&hot->chunk, memory_order_relaxed);
    while (chunk != NULL) {
        struct chunk *older = chunk->older;
        btree_free(hot->budget, chunk, chunk->bytes);
        chunk = older;
    }
    btree_free(hot->budget, hot, sizeof(*hot));
}

size_t
btree_hot_bytes(const void *arg)
{
    const struct hot *hot = arg;
    return sizeof(*hot) + atomic_load_explicit(&hot->bytes, memory_order_relaxed);
}

size_t
btree_hot_count(const void *arg)
{
    const struct hot *hot = arg;
    return atomic_load_explicit(&hot->count, memory_order_relaxed);
}

/* --- order --- */

static inline struct luma_slice
node_key(const struct node *node)
{
    return luma_slice((const uint8_t *)(node->next + node->height), node->key_bytes);
}

/* What a search looks for: the first node not before (key, rowid), or not before a bound. */
struct target {
    struct luma_slice key;
    uint64_t head;
    int64_t rowid;
    bool is_bound, after;
};

static inline bool
node_before(const struct node *node, const struct target *t)
{
    if (t->is_bound)
        return btree_before(node_key(node), t->key, t->after);
    if (node->head != t->head)
        return node->head < t->head;
    int c = luma_slice_compare(node_key(node), t->key);
    return c < 0 || (c == 0 && node->rowid < t->rowid);
}

/* At each level the link that leads past the target; gives the first node not before it. */
static struct node *
seek(struct hot *hot, const struct target *t, struct node *_Atomic *links[HEIGHT_MAX])
{
    struct node *_Atomic *level = hot->head;
    struct node *node = NULL;
    for (int h = HEIGHT_MAX - 1; h >= 0; h--) {
        for (;;) {
            /* Pairs with the compare and swap of insert: the node's content is seen. */
            node = atomic_load_explicit(&level[h], memory_order_acquire);
            if (node == NULL || !node_before(node, t))
                break;
            level = node->next;
        }
        if (links != NULL)
            links[h] = &level[h];
    }
    return node;
}

/* The last node before the target, NULL: none. */
static struct node *
seek_before(struct hot *hot, const struct target *t)
{
    struct node *_Atomic *level = hot->head;
    struct node *last = NULL;
    for (int h = HEIGHT_MAX - 1; h >= 0; h--) {
        for (;;) {
            struct node *node = atomic_load_explicit(&level[h], memory_order_acquire);
            if (node == NULL || (t != NULL && !node_before(node, t)))
                break;
            last = node;
            level = node->next;
        }
    }
    return last;
}

static inline struct target
exact(struct luma_slice key, int64_t rowid)
{
    struct target t = {.key = key, .head = btree_key_head(key), .rowid = rowid};
    return t;
}

static inline bool
node_is(const struct node *node, const struct target *t)
{
    return node != NULL && node->head == t->head && node->rowid == t->rowid &&
           luma_slice_equal(node_key(node), t->key);
}

/* --- changes --- */

/* A quarter of the nodes of one level reach the next. */
static uint8_t
pick_height(const struct hot *hot, const struct target *t)
{
    uint64_t v = t->head ^ (uint64_t)t->rowid * 0x9e3779b97f4a7c15ULL ^
                 atomic_load_explicit(&hot->count, memory_order_relaxed);
    v ^= v >> 32;
    v *= 0xe9846af9b1a615dULL;
    v ^= v >> 29;
    uint8_t height = 1;
    for (; (v & 3) == 0 && height < HEIGHT_MAX; v >>= 2)
        height++;
    return height;
}

static struct node *
node_make(struct hot *hot, const struct target *t)
{
    uint8_t height = pick_height(hot, t);
    struct node *node =
        arena_take(hot, sizeof(*node) + height * sizeof(node->next[0]) + t->key.bytes);
    if (node == NULL)
        return NULL;
    node->head = t->head;
    node->rowid = t->rowid;
    node->key_bytes = (uint32_t)t->key.bytes;
    node->height = height;
    atomic_init(&node->dead, 0);
    if (t->key.bytes > 0)
        memcpy((uint8_t *)(node->next + height), t->key.data, t->key.bytes);
    return node;
}

static void
revive(struct hot *hot, struct node *node)
{
    if (atomic_exchange_explicit(&node->dead, 0, memory_order_relaxed) != 0)
        atomic_fetch_add_explicit(&hot->count, 1, memory_order_relaxed);
}

/* The node is in the list; the levels above are short cuts to it. */
static void
link_above(struct hot *hot, struct node *node, const struct target *t,
           struct node *_Atomic *links[HEIGHT_MAX])
{
    for (uint8_t h = 1; h < node->height; h++) {
        for (;;) {
            struct node *after = atomic_load_explicit(links[h], memory_order_acquire);
            /* Others may have linked nodes here since: look again. */
            if (after != NULL && node_before(after, t)) {
                seek(hot, t, links);
                continue;
            }
            atomic_store_explicit(&node->next[h], after, memory_order_relaxed);
            if (atomic_compare_exchange_strong_explicit(links[h], &after, node,
                                                        memory_order_release, memory_order_relaxed))
                break;
        }
    }
}

/* found: the first node that is not before the target, links as seek gives them. Afterwards they
 * lead to what follows the entry. */
static luma_rc
insert_at(struct luma_ctx *ctx, struct hot *hot, const struct target *t, struct node *found,
          struct node *_Atomic *links[HEIGHT_MAX])
{
    struct node *node = NULL;
    for (;;) {
        if (node_is(found, t)) { /* a node made for nothing stays in the arena */
            revive(hot, found);
            return LUMA_OK;
        }
        if (node == NULL)
            node = node_make(hot, t);
        if (node == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index entry");
        atomic_store_explicit(&node->next[0], found, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(links[0], &found, node, memory_order_release,
                                                    memory_order_relaxed))
            break;
        found = seek(hot, t, links);
    }
    atomic_fetch_add_explicit(&hot->count, 1, memory_order_relaxed);
    link_above(hot, node, t, links);
    for (uint8_t h = 0; h < node->height; h++)
        links[h] = &node->next[h];
    return LUMA_OK;
}

static luma_rc
insert_one(struct luma_ctx *ctx, struct hot *hot, const struct luma_index_entry *entry)
{
    struct target t = exact(entry->key, entry->rowid);
    struct node *_Atomic *links[HEIGHT_MAX];
    struct node *found = seek(hot, &t, links);
    return insert_at(ctx, hot, &t, found, links);
}

/*
 * As seek, from where an earlier target was found that is not behind this one (a finger search): up
 * to the first level whose link leads far enough, and down again.
 */
static struct node *
seek_on(const struct target *t, struct node *_Atomic *links[HEIGHT_MAX])
{
    struct node *node = NULL, *_Atomic *level = NULL; /* NULL: not yet beyond the links */
    int top = 0;
    while (top < HEIGHT_MAX - 1) {
        node = atomic_load_explicit(links[top], memory_order_acquire);
        if (node == NULL || !node_before(node, t))
            break;
        top++;
    }
    for (int h = top; h >= 0; h--) {
        if (level != NULL)
            links[h] = &level[h];
        for (;;) {
            node = atomic_load_explicit(links[h], memory_order_acquire);
            if (node == NULL || !node_before(node, t))
                break;
            level = node->next;
            links[h] = &level[h];
        }
    }
    return node;
}

/* Many entries, in their order: each is near the one before, or the same. */
static luma_rc
insert_many(struct luma_ctx *ctx, struct hot *hot, const struct luma_index_entry *entries,
            const struct btree_ordered *order, size_t count)
{
    const struct luma_index_entry *last = NULL;
    struct node *_Atomic *links[HEIGHT_MAX];
    for (int h = 0; h < HEIGHT_MAX; h++)
        links[h] = &hot->head[h];
    for (size_t i = 0; i < count; i++) {
        if (order != NULL && i + PREFETCH_ENTRIES < count)
            __builtin_prefetch(entries[order[i + PREFETCH_ENTRIES].at].key.data);
        const struct luma_index_entry *entry = &entries[order == NULL ? i : order[i].at];
        if (last != NULL && last->rowid == entry->rowid && luma_slice_equal(last->key, entry->key))
            continue; /* the links are behind it */
        last = entry;
        struct target t = exact(entry->key, entry->rowid);
        LUMA_TRY(insert_at(ctx, hot, &t, seek_on(&t, links), links));
    }
    return LUMA_OK;
}

luma_rc
btree_hot_insert(struct luma_ctx *ctx, void *arg, const struct luma_index_entry *entries,
                 size_t count)
{
    struct hot *hot = arg;
    struct btree_ordered *order = NULL;
    if (count >= SORTED_ENTRIES && btree_order(hot->budget, entries, count, &order) == LUMA_OK) {
        luma_rc rc = insert_many(ctx, hot, entries, order, count);
        btree_free(hot->budget, order, count * sizeof(*order));
        return rc;
    }
    for (size_t i = 0; i < count; i++)
        LUMA_TRY(insert_one(ctx, hot, &entries[i]));
    return LUMA_OK;
}

void
btree_hot_remove(void *arg, const struct luma_index_entry *entry)
{
    struct hot *hot = arg;
    struct target t = exact(entry->key, entry->rowid);
    struct node *node = seek(hot, &t, NULL);
    if (node_is(node, &t) && atomic_exchange_explicit(&node->dead, 1, memory_order_relaxed) == 0)
        atomic_fetch_sub_explicit(&hot->count, 1, memory_order_relaxed);
}

/* --- reading --- */

luma_rc
btree_hot_find(struct luma_ctx *ctx, void *arg, struct luma_slice key, int64_t *out_rowids,
               size_t room, size_t *out_count)
{
    struct target t = exact(key, INT64_MIN);
    size_t count = 0;

    (void)ctx;
    struct node *node = seek(arg, &t, NULL);
    while (node != NULL && node->head == t.head && luma_slice_equal(node_key(node), key)) {
        if (atomic_load_explicit(&node->dead, memory_order_relaxed) == 0) {
            if (count < room)
                out_rowids[count] = node->rowid;
            count++;
        }
        node = atomic_load_explicit(&node->next[0], memory_order_acquire);
    }
    *out_count = count;
    return LUMA_OK;
}

struct cursor {
    struct luma_index_cursor base;
    struct hot *hot;
    struct luma_index_range range;
    struct node *at; /* NULL: not begun */
    bool done;
};

static struct node *
first_of(struct cursor *cursor)
{
    const struct luma_index_range *range = &cursor->range;
    struct target t = {.is_bound = true};
    if (!range->reverse) {
        if (range->lo.data == NULL)
            return atomic_load_explicit(&cursor->hot->head[0], memory_order_acquire);
        t.key = range->lo;
        t.after = range->lo_exclusive;
        return seek(cursor->hot, &t, NULL);
    }
    t.key = range->hi;
    t.after = !range->hi_exclusive;
    return seek_before(cursor->hot, range->hi.data == NULL ? NULL : &t);
}

static struct node *
step(struct cursor *cursor)
{
    if (!cursor->range.reverse)
        return atomic_load_explicit(&cursor->at->next[0], memory_order_acquire);
    struct target t = exact(node_key(cursor->at), cursor->at->rowid);
    return seek_before(cursor->hot, &t);
}

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *base,
            struct luma_index_entry *out_entry, bool *out_more)
{
    struct cursor *cursor = (struct cursor *)base;

    (void)ctx;
    while (!cursor->done) {
        cursor->at = cursor->at == NULL ? first_of(cursor) : step(cursor);
        if (cursor->at == NULL || btree_beyond(&cursor->range, node_key(cursor->at))) {
            cursor->done = true;
            break;
        }
        if (atomic_load_explicit(&cursor->at->dead, memory_order_relaxed) != 0)
            continue;
        out_entry->key = node_key(cursor->at);
        out_entry->rowid = cursor->at->rowid;
        *out_more = true;
        return LUMA_OK;
    }
    *out_more = false;
    return LUMA_OK;
}

static void
cursor_close(struct luma_index_cursor *base)
{
    (void)base; /* it lies in the caller's arena */
}

luma_rc
btree_hot_cursor(struct luma_ctx *ctx, void *arg, const struct luma_index_range *range,
                 struct luma_arena *arena, struct luma_index_cursor **out_cursor)
{
    struct cursor *cursor = LUMA_NEW(arena, struct cursor);
    if (cursor == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    cursor->base.next = cursor_next;
    cursor->base.close = cursor_close;
    cursor->hot = arg;
    cursor->range = *range;
    *out_cursor = &cursor->base;
    return LUMA_OK;
}
