/*
 * txn/history.c - snapshots of the past, and the tokens that name commits.
 */
#include "txn/history.h"

#include <inttypes.h>
#include <stdio.h>

static luma_rc
not_kept(struct luma_ctx *ctx, const struct lk_history *h)
{
    if (h->window_us == 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                             "no history is kept: storage.history is 0");
    return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "72000",
                         "snapshot too old: it lies outside the window of storage.history, or "
                         "before the history began");
}

luma_rc
lki_history_pin(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t commit)
{
    struct lk_store *store = txn->store;
    struct lk_history *h = &store->history;
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&h->lock);
    if (h->window_us == 0 || commit < lk_history_floor(store))
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
    struct lk_history *h = &store->history;
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
        if (*out_commit < lk_history_floor(store))
            rc = not_kept(ctx, h);
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
    const struct lk_txns *txns = store->txns;
    uint64_t id = 0, epoch = 0, commit = 0, now = lk_wal_epoch(store->wal);
    if (!read_hex(&text, '-', &id) || !read_hex(&text, '-', &epoch) ||
        !read_hex(&text, '\0', &commit))
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "this is not the token of a commit");
    if (id != store->id)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "the token names a commit of another store");
    uint64_t newest = epoch < now ? LK_MIN(txns->began_commit, lk_history_last(store, epoch))
                                  : atomic_load(&store->slots.visible);
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
