/*
 * tests/crash/history.c - taking a history down.
 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct history *
history_create(void)
{
    return calloc(1, sizeof(struct history));
}

void
history_destroy(struct history *h)
{
    free(h->txns);
    free(h->appends);
    free(h->reads);
    free(h->restarts);
    for (int k = 0; k < HISTORY_KEYS; k++)
        free(h->final[k]);
    free(h);
}

/* Room for one more of `bytes` each. */
static void *
grown(void *items, uint32_t count, uint32_t *room, size_t bytes)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 256 : *room * 2;
    void *more = realloc(items, *room * bytes);
    if (more == NULL)
        abort();
    return more;
}

uint64_t
history_now(struct history *h)
{
    return ++h->clock;
}

uint32_t
history_txn(struct history *h, enum luma_isolation level, uint32_t life)
{
    h->txns = grown(h->txns, h->txns_count, &h->txns_room, sizeof(*h->txns));
    h->txns[h->txns_count] =
        (struct history_txn){.level = level, .life = life, .first_append = h->appends_count + 1};
    return h->txns_count++;
}

struct history_txn *
history_txn_at(struct history *h, uint32_t txn)
{
    return &h->txns[txn];
}

uint32_t
history_txns(const struct history *h)
{
    return h->txns_count;
}

uint32_t
history_append(struct history *h, uint32_t txn, int32_t key, int32_t group)
{
    h->appends = grown(h->appends, h->appends_count, &h->appends_room, sizeof(*h->appends));
    h->appends[h->appends_count++] =
        (struct history_append){.txn = txn, .key = key, .group = group, .undone = true};
    return h->appends_count;
}

struct history_append *
history_append_at(struct history *h, uint32_t element)
{
    return element == 0 || element > h->appends_count ? NULL : &h->appends[element - 1];
}

uint32_t
history_appends(const struct history *h)
{
    return h->appends_count;
}

struct history_read *
history_read(struct history *h, uint32_t txn, int32_t key, int32_t group)
{
    h->reads = grown(h->reads, h->reads_count, &h->reads_room, sizeof(*h->reads));
    struct history_read *r = &h->reads[h->reads_count++];
    *r = (struct history_read){.txn = txn, .key = key, .group = group};
    r->invoked = history_now(h);
    return r;
}

/* Own appends must stand at the end, all of them, in order. */
static bool
own_is_whole(struct history *h, uint32_t reader, int32_t key, const uint32_t *list, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t e = h->txns[reader].first_append; e <= h->appends_count; e++) {
        const struct history_append *a = &h->appends[e - 1];
        if (a->txn != reader || a->key != key || a->undone)
            continue;
        if (at == count || list[at++] != e)
            return false;
    }
    return at == count;
}

const char *
history_row(struct history *h, struct history_row *row, uint32_t reader, int32_t key,
            const uint32_t *list, uint32_t count, int32_t group)
{
    uint32_t others = count;
    row->group = group;
    row->hash = 0;
    while (others > 0) {
        const struct history_append *a = history_append_at(h, list[others - 1]);
        if (a == NULL || a->txn != reader)
            break;
        others--;
    }
    row->count = others;
    row->own = others < count;
    for (uint32_t i = 0; i < others; i++)
        row->hash = lk_hash_combine(row->hash, list[i]);
    if (own_is_whole(h, reader, key, list + others, count - others))
        return NULL;
    snprintf(h->text, sizeof(h->text), "T%u does not find in key %d what it wrote there", reader,
             key);
    return h->text;
}

void
history_restart(struct history *h)
{
    h->restarts = grown(h->restarts, h->restarts_count, &h->restarts_room, sizeof(*h->restarts));
    h->restarts[h->restarts_count++] = history_now(h);
}

void
history_may_lose(struct history *h, uint32_t life, uint64_t cut_ns, uint64_t ns)
{
    h->lives[life] = (struct history_life){true, cut_ns, ns};
}

void
history_final(struct history *h, int32_t key, const uint32_t *list, uint32_t count)
{
    free(h->final[key]);
    h->final[key] = calloc((size_t)count + 1, sizeof(*list));
    if (h->final[key] == NULL)
        abort();
    if (count > 0)
        memcpy(h->final[key], list, count * sizeof(*list));
    h->final_count[key] = count;
}
