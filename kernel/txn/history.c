/*
 * txn/history.c - marks of commits in time, the window they span, and the tokens that name them.
 */
#include "txn/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MARKS_MAX (1u << 20)

static struct lk_txns *
txns_of(struct lk_store *store)
{
    return store->txns;
}

luma_rc
lki_history_create(struct luma_ctx *ctx, struct lk_store *store)
{
    struct lk_txns *txns = txns_of(store);
    struct lki_history *h = &txns->history;
    lk_mutex_init(&h->lock, LK_LOCK_TXN_HISTORY);
    h->window_us = (int64_t)(store->conf.history_ns / 1000);
    h->began_commit = store->commit;
    if (h->window_us == 0)
        return LUMA_OK;
    h->marks = malloc(64 * sizeof(*h->marks));
    if (h->marks == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "history: out of memory");
    h->room = 64;
    h->marks[0] = (struct lki_mark){lk_io_wall_us(store->conf.io), store->commit};
    h->count = 1;
    uint32_t index = atomic_fetch_add(&store->slots.used, 1);
    h->pin = &store->slots.slots[index];
    atomic_store(&h->pin->snapshot, store->commit + 1);
    return LUMA_OK;
}

void
lki_history_destroy(struct lk_txns *txns)
{
    free(txns->history.marks);
    lk_mutex_fini(&txns->history.lock);
}

/* The first mark is the newest one that is older than the window. */
static void
prune(struct lki_history *h, int64_t now_us)
{
    uint32_t first = h->first;
    while (first + 1 < h->count && h->marks[first + 1].us <= now_us - h->window_us)
        first++;
    if (first == h->first)
        return;
    h->first = first;
    atomic_store(&h->pin->snapshot, h->marks[first].commit + 1);
}

/* Makes room for one mark: forgets those before the window, then every second of the older half. */
static bool
marks_room(struct lki_history *h)
{
    if (h->count < h->room)
        return true;
    if (h->first > h->count / 2) {
        h->count -= h->first;
        memmove(h->marks, h->marks + h->first, h->count * sizeof(*h->marks));
        h->first = 0;
        return true;
    }
    if (h->room < MARKS_MAX) {
        struct lki_mark *marks = realloc(h->marks, (size_t)h->room * 2 * sizeof(*marks));
        if (marks != NULL) {
            h->marks = marks;
            h->room *= 2;
            return true;
        }
    }
    uint32_t to = h->first + 1, half = h->first + (h->count - h->first) / 2;
    for (uint32_t i = h->first + 2; i < half; i += 2)
        h->marks[to++] = h->marks[i];
    memmove(h->marks + to, h->marks + half, (h->count - half) * sizeof(*h->marks));
    h->count = to + h->count - half;
    return h->count < h->room;
}

void
lki_history_note(struct lk_store *store, uint64_t commit)
{
    struct lki_history *h = &txns_of(store)->history;
    if (h->window_us == 0)
        return;
    lk_mutex_lock(&h->lock);
    int64_t now_us = lk_io_wall_us(store->conf.io);
    struct lki_mark *last = &h->marks[h->count - 1];
    prune(h, now_us);
    if (commit > last->commit && (now_us <= last->us || !marks_room(h)))
        h->marks[h->count - 1].commit = commit; /* the clock stands still, or goes back */
    else if (commit > last->commit)
        h->marks[h->count++] = (struct lki_mark){now_us, commit};
    lk_mutex_unlock(&h->lock);
}

void
lki_history_prune(struct lk_store *store)
{
    struct lki_history *h = &txns_of(store)->history;
    if (h->window_us == 0)
        return;
    lk_mutex_lock(&h->lock);
    prune(h, lk_io_wall_us(store->conf.io));
    lk_mutex_unlock(&h->lock);
}

static luma_rc
not_kept(struct luma_ctx *ctx, const struct lki_history *h)
{
    if (h->window_us == 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                             "no history is kept: storage.history is 0");
    return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                         "snapshot too old: it lies outside the window of storage.history, or "
                         "before the server was started");
}

luma_rc
lki_history_pin(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t commit)
{
    struct lk_store *store = txn->store;
    struct lki_history *h = &txns_of(store)->history;
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&h->lock);
    if (h->window_us == 0 || commit < h->marks[h->first].commit)
        rc = not_kept(ctx, h);
    else if (commit > atomic_load(&store->slots.visible))
        rc = LUMA_FAIL(ctx, LUMA_E_INVALID, "the snapshot lies in the future");
    else /* the pin still holds it: no horizon can pass */
        atomic_store(&txn->slot->snapshot, commit + 1);
    lk_mutex_unlock(&h->lock);
    return rc;
}

luma_rc
lki_history_at(struct luma_ctx *ctx, int64_t us, uint64_t *out_commit)
{
    struct lk_store *store = lk_store_current();
    struct lki_history *h = &txns_of(store)->history;
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&h->lock);
    if (h->window_us == 0 || us < h->marks[h->first].us) {
        rc = not_kept(ctx, h);
    } else if (us > lk_io_wall_us(store->conf.io)) {
        rc = LUMA_FAIL(ctx, LUMA_E_INVALID, "the time lies in the future");
    } else {
        uint32_t lo = h->first, hi = h->count;
        while (hi - lo > 1) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (h->marks[mid].us <= us)
                lo = mid;
            else
                hi = mid;
        }
        *out_commit = h->marks[lo].commit;
    }
    lk_mutex_unlock(&h->lock);
    return rc;
}

/* --- tokens: store, owner's epoch, commit --- */

void
lki_token_text(uint64_t commit, char *out_text)
{
    const struct lk_store *store = lk_store_current();
    snprintf(out_text, LUMA_COMMIT_TOKEN_BYTES, "%016" PRIx64 "-%" PRIx64 "-%" PRIx64, store->id,
             lk_wal_epoch(store->wal), commit);
}

/* One hexadecimal number, ended by `end`. */
static bool
read_hex(const char **text, char end, uint64_t *out)
{
    const char *p = *text;
    uint64_t v = 0;
    int digits = 0;
    for (; digits < 17; p++, digits++) {
        if (*p >= '0' && *p <= '9')
            v = v << 4 | (uint64_t)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            v = v << 4 | (uint64_t)(*p - 'a' + 10);
        else
            break;
    }
    if (digits == 0 || digits > 16 || *p != end)
        return false;
    *text = p + (end != '\0');
    *out = v;
    return true;
}

luma_rc
lki_token_read(struct luma_ctx *ctx, const char *text, uint64_t *out_commit)
{
    struct lk_store *store = lk_store_current();
    const struct lki_history *h = &txns_of(store)->history;
    uint64_t id = 0, epoch = 0, commit = 0, now = lk_wal_epoch(store->wal);
    if (!read_hex(&text, '-', &id) || !read_hex(&text, '-', &epoch) ||
        !read_hex(&text, '\0', &commit))
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "this is not the token of a commit");
    if (id != store->id)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "the token names a commit of another store");
    uint64_t newest = epoch < now ? h->began_commit : atomic_load(&store->slots.visible);
    if (epoch > now || commit > newest)
        return LUMA_FAIL(ctx, LUMA_E_INVALID,
                         epoch < now ? "the commit of this token was lost when the server ended"
                                     : "the token names a commit that has not happened");
    *out_commit = commit;
    return LUMA_OK;
}

luma_rc
lki_wait_for(struct luma_ctx *ctx, uint64_t commit)
{
    struct lk_store *store = lk_store_current();
    return lk_wal_durable(store->wal) >= commit ? LUMA_OK : lk_wal_wait(ctx, store->wal, commit);
}
