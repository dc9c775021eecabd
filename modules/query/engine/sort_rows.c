/* sort_rows.c - normalized keys and the sort itself: an introsort on 16-byte items. */
#include <stdlib.h>

#include "sort.h"

int
eng_sort_compare(const struct rowlay *lay, const struct sort_item *a, const struct sort_item *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    const struct sort_tail *ta = SORT_TAIL(lay, a->row), *tb = SORT_TAIL(lay, b->row);
    uint32_t n = ta->bytes < tb->bytes ? ta->bytes : tb->bytes;
    int c = n == 0 ? 0 : memcmp(ta->key, tb->key, n);
    if (c != 0)
        return c;
    if (ta->bytes != tb->bytes)
        return ta->bytes < tb->bytes ? -1 : 1;
    return 0;
}

static int
stable_compare(const struct rowlay *lay, const struct sort_item *a, const struct sort_item *b)
{
    int c = eng_sort_compare(lay, a, b);
    if (c != 0)
        return c;
    uint32_t sa = SORT_TAIL(lay, a->row)->seq, sb = SORT_TAIL(lay, b->row)->seq;
    return sa < sb ? -1 : sa > sb;
}

static int
compare_r(const void *a, const void *b, void *arg)
{
    return stable_compare(arg, a, b);
}

static void
insertion(const struct rowlay *lay, struct sort_item *items, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) {
        struct sort_item x = items[i];
        uint64_t k = i;
        for (; k > 0 && stable_compare(lay, &x, &items[k - 1]) < 0; k--)
            items[k] = items[k - 1];
        items[k] = x;
    }
}

static void
swap_items(struct sort_item *a, struct sort_item *b)
{
    struct sort_item t = *a;
    *a = *b;
    *b = t;
}

/* Others want the thread, and the statement may have been cancelled. */
#define STEPS_OF_A_SLICE 4096

static luma_rc
quick(struct luma_ctx *ctx, const struct rowlay *lay, struct sort_item *items, uint64_t count,
      uint32_t depth)
{
    while (count > 24) {
        if (depth-- == 0)
            return eng_sort_any(ctx, items, count, sizeof(*items), compare_r,
                                (void *)(uintptr_t)lay);
        struct sort_item *mid = items + count / 2, *last = items + count - 1;
        if (stable_compare(lay, mid, items) < 0)
            swap_items(mid, items);
        if (stable_compare(lay, last, items) < 0)
            swap_items(last, items);
        if (stable_compare(lay, last, mid) < 0)
            swap_items(last, mid);
        struct sort_item pivot = *mid;
        uint64_t i = 0, j = count - 1, steps = 0;
        for (;;) {
            while (stable_compare(lay, &items[i], &pivot) < 0)
                i++;
            while (stable_compare(lay, &pivot, &items[j]) < 0)
                j--;
            if (i >= j)
                break;
            swap_items(&items[i], &items[j]);
            i++;
            j--;
            if (++steps % STEPS_OF_A_SLICE == 0)
                LUMA_TRY(eng.sched->yield(ctx));
        }
        if (count > STEPS_OF_A_SLICE)
            LUMA_TRY(eng.sched->yield(ctx));
        uint64_t left = j + 1;
        if (left < count - left) {
            LUMA_TRY(quick(ctx, lay, items, left, depth));
            items += left;
            count -= left;
        } else {
            LUMA_TRY(quick(ctx, lay, items + left, count - left, depth));
            count = left;
        }
    }
    insertion(lay, items, count);
    return LUMA_OK;
}

luma_rc
eng_sort_items(struct luma_ctx *ctx, const struct rowlay *lay, struct sort_item *items,
               uint64_t count)
{
    uint32_t depth = 2;
    bool sorted = true;
    for (uint64_t n = count; n > 1; n /= 2)
        depth += 2;
    for (uint64_t i = 1; i < count && sorted; i++) {
        sorted = stable_compare(lay, &items[i - 1], &items[i]) <= 0;
        if (i % STEPS_OF_A_SLICE == 0)
            LUMA_TRY(eng.sched->yield(ctx));
    }
    return sorted ? LUMA_OK : quick(ctx, lay, items, count, depth);
}

/* --- whatever, by a function: runs of a few thousand, then merged pairwise --- */

static luma_rc
merge_pairs(struct luma_ctx *ctx, const uint8_t *from, uint8_t *to, uint64_t count, size_t size,
            uint64_t run, int (*cmp)(const void *, const void *, void *), void *arg)
{
    for (uint64_t first = 0; first < count; first += 2 * run) {
        uint64_t mid = first + run < count ? first + run : count;
        uint64_t end = first + 2 * run < count ? first + 2 * run : count;
        uint64_t a = first, b = mid;
        for (uint64_t k = first; k < end; k++) {
            bool left = b == end || (a < mid && cmp(from + a * size, from + b * size, arg) <= 0);
            memcpy(to + k * size, from + (left ? a++ : b++) * size, size);
            if (k % STEPS_OF_A_SLICE == 0)
                LUMA_TRY(eng.sched->yield(ctx));
        }
    }
    return LUMA_OK;
}

luma_rc
eng_sort_any(struct luma_ctx *ctx, void *items, uint64_t count, size_t size,
             int (*cmp)(const void *, const void *, void *), void *arg)
{
    uint64_t run = STEPS_OF_A_SLICE;
    for (uint64_t first = 0; first < count; first += run) {
        qsort_r((uint8_t *)items + first * size, count - first < run ? count - first : run, size,
                cmp, arg);
        LUMA_TRY(eng.sched->yield(ctx));
    }
    if (count <= run)
        return LUMA_OK;
    uint8_t *other = eng.mem->alloc(NULL, count * size), *from = items, *to = other;
    ENG_NEED(ctx, other, "a sort");
    luma_rc rc = LUMA_OK;
    for (; run < count && rc == LUMA_OK; run *= 2) {
        rc = merge_pairs(ctx, from, to, count, size, run, cmp, arg);
        uint8_t *t = from;
        from = to;
        to = t;
    }
    if (from != items)
        memcpy(items, from, count * size);
    eng.mem->release(NULL, other, count * size);
    return rc;
}

static uint64_t
prefix_of(const uint8_t *key, size_t bytes)
{
    uint8_t first[8] = {0};
    uint64_t v;
    memcpy(first, key, bytes < 8 ? bytes : 8);
    memcpy(&v, first, 8);
    return __builtin_bswap64(v);
}

static luma_rc
items_need(struct luma_ctx *ctx, struct sort_run *run, struct luma_budget *budget, uint64_t more)
{
    if (run->count + more <= run->room)
        return LUMA_OK;
    uint64_t room = run->room == 0 ? 256 : run->room * 2;
    while (room < run->count + more)
        room *= 2;
    struct sort_item *items =
        eng.mem->resize(budget, run->items, run->room * sizeof(*items), room * sizeof(*items));
    ENG_NEED(ctx, items, "a sort");
    run->items = items;
    run->room = room;
    return LUMA_OK;
}

luma_rc
eng_sort_append(struct xenv *e, struct sort_run *run, struct luma_budget *budget,
                const struct luma_vec *cols, const struct luma_vec *keys,
                const struct xp_key *specs, uint32_t keys_count, const uint16_t *sel, uint32_t n,
                uint32_t rows, const struct sort_item *threshold)
{
    struct luma_arena *keep = run->rows.arena;
    const struct rowlay *lay = run->rows.lay;
    const uint8_t **full = luma_arena_alloc(e->arena, sizeof(*full) * (n + 1));
    uint32_t *bytes = luma_arena_alloc(e->arena, sizeof(*bytes) * (n + 1));
    uint16_t *taken = luma_arena_alloc(e->arena, sizeof(*taken) * (n + 1));
    uint8_t **ptrs = luma_arena_alloc(e->arena, sizeof(*ptrs) * (n + 1));
    if (full == NULL || bytes == NULL || taken == NULL || ptrs == NULL)
        return ENG_NOMEM(e->ctx, "a sort");
    uint32_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        size_t bound = 0, at = 0;
        for (uint32_t i = 0; i < keys_count; i++)
            bound += eng.data->key_bound(&keys[i], row);
        uint8_t *key = luma_arena_alloc_aligned(e->arena, bound + 8, 1);
        ENG_NEED(e->ctx, key, "a sort");
        for (uint32_t i = 0; i < keys_count; i++) {
            uint32_t flags = (specs[i].desc ? LUMA_KEY_DESC : 0u) |
                             (specs[i].nulls_first ? LUMA_KEY_NULLS_FIRST : 0u);
            at += eng.data->key_write(&keys[i], row, flags, key + at);
        }
        if (threshold != NULL) {
            uint64_t prefix = prefix_of(key, at);
            const struct sort_tail *t = SORT_TAIL(lay, threshold->row);
            if (prefix > threshold->prefix)
                continue;
            if (prefix == threshold->prefix) {
                size_t m = at < t->bytes ? at : t->bytes;
                int c = memcmp(key, t->key, m);
                if (c > 0 || (c == 0 && at >= t->bytes))
                    continue;
            }
        }
        full[count] = key;
        bytes[count] = (uint32_t)at;
        taken[count++] = (uint16_t)row;
    }
    if (count == 0)
        return LUMA_OK;
    LUMA_TRY(items_need(e->ctx, run, budget, count));
    LUMA_TRY(eng_rows_append(e, &run->rows, cols, taken, count, rows, NULL, ptrs));
    for (uint32_t k = 0; k < count; k++) {
        struct sort_tail *tail = SORT_TAIL(lay, ptrs[k]);
        uint8_t *copy = luma_arena_alloc_aligned(keep, bytes[k] + 1, 1);
        ENG_NEED(e->ctx, copy, "a sort");
        memcpy(copy, full[k], bytes[k]);
        tail->key = copy;
        tail->bytes = bytes[k];
        tail->seq = (uint32_t)(run->rows.count - count + k);
        run->items[run->count++] = (struct sort_item){prefix_of(copy, bytes[k]), ptrs[k]};
    }
    return LUMA_OK;
}

void
eng_sort_run_fini(struct sort_run *run, struct luma_budget *budget)
{
    if (run->items != NULL)
        eng.mem->release(budget, run->items, run->room * sizeof(*run->items));
    run->items = NULL;
    run->room = run->count = 0;
}
