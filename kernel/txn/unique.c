/*
 * txn/unique.c - candidates of keys, and whether a key is taken.
 *
 * Inserters of a key hold its lock until they end, so among those who propose it nobody is in
 * progress when the check runs. A row that has the key and that somebody else is about to delete or
 * change is waited for: its outcome decides.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "txn/large.h"

void
lki_rowids_init(struct lki_rowids *list)
{
    list->items = list->few;
    list->count = 0;
    list->room = LUMA_COUNTOF(list->few);
    list->failed = false;
}

void
lki_rowids_fini(struct lki_rowids *list)
{
    if (list->items != list->few)
        free(list->items);
}

void
lki_rowids_add(struct lki_rowids *list, int64_t rowid)
{
    if (list->count == list->room) {
        int64_t *items = malloc(sizeof(*items) * list->room * 2);
        if (items == NULL) {
            list->failed = true;
            return;
        }
        memcpy(items, list->items, sizeof(*items) * list->count);
        if (list->items != list->few)
            free(list->items);
        list->items = items;
        list->room *= 2;
    }
    list->items[list->count++] = rowid;
}

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    lki_rowids_add(arg, rowid);
}

luma_rc
lki_candidates(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
               struct lk_cidx *cidx, struct luma_slice key, struct lki_rowids *out)
{
    out->count = 0;
    LUMA_TRY(lk_cidx_find(ctx, h->coll, cidx, &key, 1, emit, out));
    for (struct lk_private_index *p = txn->privates; p != NULL; p = p->next)
        if (p->coll == h->coll && p->index_id == cidx->index_def->id)
            LUMA_TRY(lk_index_find(ctx, p->cidx->index, &key, 1, emit, out));
    return out->failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "index lookup: out of memory") : LUMA_OK;
}

luma_rc
lki_unique_error(struct luma_ctx *ctx, const struct lk_cidx *cidx)
{
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_UNIQUE, "duplicate key value violates unique constraint");
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)cidx->index_def->id);
    if (ctx->arena != NULL && ctx->error->constraint == NULL)
        ctx->error->constraint = luma_arena_text(ctx->arena, text, (size_t)n);
    return rc;
}

enum verdict { FREE, TAKEN, WAIT };

static luma_rc
place_has_key(struct luma_ctx *ctx, struct luma_coll *h, struct lk_cidx *cidx,
              struct luma_slice key, const struct lk_place *place, struct lk_bytes *scratch,
              bool *out_has)
{
    bool null = false;
    lk_bytes_reset(scratch);
    LUMA_TRY(lk_key_place(ctx, scratch, h->view, cidx, place, ctx->arena, &null));
    *out_has = luma_slice_equal(lk_bytes_view(scratch), key);
    return LUMA_OK;
}

/* Has a version of the row this key: the current one, or one that a large transaction in progress,
 * which has no locks of its keys, has made? */
static luma_rc
row_verdict(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, struct lk_cidx *cidx,
            struct luma_slice key, int64_t rowid, struct lk_bytes *scratch,
            struct lk_bytes *version, struct lki_conflict *out, enum verdict *out_verdict)
{
    struct lk_place place;
    bool found = false, has = false;
    uint64_t other = 0;
    *out_verdict = FREE;
    LUMA_TRY(lki_row_current(ctx, txn, h, rowid, version, &place, &found, &other));
    if (found)
        LUMA_TRY(place_has_key(ctx, h, cidx, key, &place, scratch, &has));
    if (!has) {
        LUMA_TRY(lk_row_pending(ctx, h->view, &txn->store->slots, rowid, txn->stamp, version,
                                &place, &found, &other));
        if (found)
            LUMA_TRY(place_has_key(ctx, h, cidx, key, &place, scratch, &has));
    }
    if (!has)
        return LUMA_OK;
    if (other != 0) {
        *out_verdict = WAIT;
        out->begin = other;
        return LUMA_OK;
    }
    *out_verdict = TAKEN;
    out->rowid = rowid;
    out->begin = place.begin;
    out->same_command = lki_place_is_of_command(txn, &place);
    return LUMA_OK;
}

luma_rc
lki_unique_check(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                 struct lk_cidx *cidx, struct luma_slice key, int64_t self,
                 struct lki_conflict *out)
{
    uint64_t hash = lk_hash_bytes(key.data, key.bytes);
    struct lki_rowids rows;
    struct lk_bytes scratch, version;
    out->rowid = -1;
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_index_key(cidx->index_def->id, hash), LUMA_LOCK_UPDATE,
                          LUMA_LOCK_WAIT));
    lki_rowids_init(&rows);
    lk_bytes_init(&scratch, NULL);
    lk_bytes_init(&version, NULL);
    enum verdict verdict = FREE;
    luma_rc rc;
    do {
        verdict = FREE;
        rc = lki_candidates(ctx, txn, h, cidx, key, &rows);
        for (uint32_t i = 0; rc == LUMA_OK && verdict == FREE && i < rows.count; i++) {
            if (rows.items[i] == self)
                continue;
            rc = row_verdict(ctx, txn, h, cidx, key, rows.items[i], &scratch, &version, out,
                             &verdict);
            if (rc == LUMA_OK && verdict == WAIT)
                rc = lk_lock_take(ctx, txn, lk_lock_row(h->coll->id, rows.items[i]),
                                  LUMA_LOCK_SHARE, LUMA_LOCK_WAIT);
            if (rc == LUMA_OK && verdict == WAIT) /* a large one has no locks of its rows */
                rc = lki_large_wait(ctx, txn, out->begin, LUMA_LOCK_WAIT);
        }
    } while (rc == LUMA_OK && verdict == WAIT);
    lk_bytes_fini(&scratch);
    lk_bytes_fini(&version);
    lki_rowids_fini(&rows);
    return rc;
}
