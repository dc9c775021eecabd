/*
 * modules/index/btree/order.c - many entries in the order of the index: by the first bytes in
 * which their keys differ with a radix sort, what is equal there by comparison.
 */
#include <stdlib.h>

#include "btree.h"

static int
entry_compare(const struct luma_index_entry *a, const struct luma_index_entry *b)
{
    int c = luma_slice_compare(a->key, b->key);
    return c != 0 ? c : (a->rowid > b->rowid) - (a->rowid < b->rowid);
}

static bool
in_order(const struct luma_index_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (entry_compare(&entries[i - 1], &entries[i]) > 0)
            return false;
    return true;
}

/* One byte of all heads, least significant first; false: they agree in it, nothing was moved. */
static bool
radix_pass(const struct btree_ordered *from, struct btree_ordered *to, size_t count, int shift)
{
    size_t starts[256] = {0};
    for (size_t i = 0; i < count; i++)
        starts[from[i].head >> shift & 255]++;
    if (starts[from[0].head >> shift & 255] == count)
        return false;
    size_t at = 0;
    for (int b = 0; b < 256; b++) {
        size_t n = starts[b];
        starts[b] = at;
        at += n;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].head >> shift & 255]++] = from[i];
    return true;
}

static int
ordered_compare(const void *a, const void *b, void *arg)
{
    const struct luma_index_entry *entries = arg;
    return entry_compare(&entries[((const struct btree_ordered *)a)->at],
                         &entries[((const struct btree_ordered *)b)->at]);
}

/* Keys that begin alike. */
static void
ties_sort(struct btree_ordered *list, const struct luma_index_entry *entries, size_t count)
{
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && list[end].head == list[begin].head;)
            end++;
        if (end - begin > 1)
            qsort_r(list + begin, end - begin, sizeof(*list), ordered_compare,
                    (void *)(uintptr_t)entries);
    }
}

/* What all keys begin with. */
static size_t
common_bytes(const struct luma_index_entry *entries, size_t count)
{
    struct luma_slice first = entries[0].key;
    size_t common = first.bytes;
    for (size_t i = 1; i < count && common > 0; i++) {
        struct luma_slice key = entries[i].key;
        size_t bytes = key.bytes < common ? key.bytes : common;
        for (common = 0; common < bytes && key.data[common] == first.data[common];)
            common++;
    }
    return common;
}

luma_rc
btree_order(struct luma_budget *budget, const struct luma_index_entry *entries, size_t count,
            struct btree_ordered **out)
{
    if (in_order(entries, count)) {
        *out = NULL;
        return LUMA_OK;
    }
    size_t bytes = count * sizeof(struct btree_ordered);
    struct btree_ordered *list = btree_alloc(budget, bytes), *other = btree_alloc(budget, bytes);
    if (list == NULL || other == NULL) {
        btree_free(budget, list, bytes);
        btree_free(budget, other, bytes);
        return LUMA_E_NOMEM;
    }
    size_t common = common_bytes(entries, count);
    for (size_t i = 0; i < count; i++) {
        struct luma_slice key = entries[i].key;
        list[i].head = btree_key_head(luma_slice(key.data + common, key.bytes - common));
        list[i].at = i;
    }
    for (int shift = 0; shift < 64; shift += 8) {
        if (!radix_pass(list, other, count, shift))
            continue;
        struct btree_ordered *sorted = other;
        other = list;
        list = sorted;
    }
    btree_free(budget, other, bytes);
    ties_sort(list, entries, count);
    *out = list;
    return LUMA_OK;
}
