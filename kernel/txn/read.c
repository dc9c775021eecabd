/*
 * txn/read.c - rows by id and by key.
 */
#include <stdlib.h>

#include "txn/serial.h"

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "read: out of memory");
}

static luma_rc
dropped(struct luma_ctx *ctx, const struct luma_coll *h)
{
    return LUMA_FAIL(ctx, LUMA_E_NOTFOUND, "collection %llu was dropped",
                     (unsigned long long)h->coll->id);
}

/* --- batches of places --- */

struct fill {
    struct luma_ctx *ctx;
    const struct lk_view *view;
    const struct lk_place *places;
    uint32_t count;
    struct luma_arena *arena;
};

/* The hot rows of one column set, decoded in one pass and scattered to their places. */
static luma_rc
fill_hot(struct fill *f, const uint32_t *cols, uint32_t cols_count, struct luma_vec *vecs,
         uint32_t hot_count)
{
    struct luma_arena *arena = f->arena;
    const uint8_t **tuples = LUMA_NEW_ARRAY(arena, const uint8_t *, hot_count);
    struct lk_tuple_column *columns = LUMA_NEW_ARRAY(arena, struct lk_tuple_column, cols_count);
    struct luma_value *missing = LUMA_NEW_ARRAY(arena, struct luma_value, cols_count);
    struct luma_vec **out = LUMA_NEW_ARRAY(arena, struct luma_vec *, cols_count);
    if (tuples == NULL || columns == NULL || missing == NULL || out == NULL)
        return no_memory(f->ctx);
    for (uint32_t c = 0; c < cols_count; c++) {
        const struct luma_store_col *col =
            &f->view->def->coll.cols[lk_def_col(f->view->def, cols[c])];
        columns[c] = (struct lk_tuple_column){col->id, col->type};
        missing[c] = col->missing;
        out[c] = &vecs[c];
    }
    /* Runs of hot rows keep their places: rows come back in the order they were asked for. */
    for (uint32_t i = 0; i < f->count;) {
        uint32_t n = 0;
        while (i + n < f->count && f->places[i + n].hot != NULL) {
            tuples[n] = f->places[i + n].version->tuple;
            n++;
        }
        if (n > 0 && lk_tuple_decode(arena, tuples, i, n, f->count, columns, cols_count, missing,
                                     true, out) != LUMA_OK)
            return no_memory(f->ctx);
        i += n + 1;
    }
    return LUMA_OK;
}

static luma_rc
fill_segments(struct fill *f, const uint32_t *cols, uint32_t cols_count, struct luma_vec *vecs)
{
    for (uint32_t c = 0; c < cols_count; c++) {
        const struct luma_store_col *col =
            &f->view->def->coll.cols[lk_def_col(f->view->def, cols[c])];
        for (uint32_t i = 0; i < f->count; i++) {
            struct luma_value value;
            if (f->places[i].hot != NULL)
                continue;
            LUMA_TRY(lk_segment_get(f->ctx, f->places[i].seg->segment, f->places[i].row, col,
                                    f->arena, &value));
            if (value.is_null) {
                if (!luma_vec_need_valid(&vecs[c], f->arena, f->count))
                    return no_memory(f->ctx);
                luma_bit_clear(vecs[c].valid, i);
            } else if (lk_data_vec_set(f->arena, &vecs[c], i, &value) != LUMA_OK) {
                return no_memory(f->ctx);
            }
        }
    }
    return LUMA_OK;
}

luma_rc
lki_places_batch(struct luma_ctx *ctx, const struct lk_view *view, const struct lk_place *places,
                 uint32_t count, const uint32_t *cols, uint32_t cols_count,
                 struct luma_arena *arena, struct luma_batch *out)
{
    struct fill f = {ctx, view, places, count, arena};
    struct luma_vec *vecs = LUMA_NEW_ARRAY(arena, struct luma_vec, cols_count + 1);
    if (vecs == NULL)
        return no_memory(ctx);
    for (uint32_t c = 0; c < cols_count; c++) {
        int32_t at = lk_def_col(view->def, cols[c]);
        if (at < 0)
            return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "collection %llu has no column %u",
                             (unsigned long long)view->def->coll.id, cols[c]);
        if (!luma_vec_init(&vecs[c], arena, view->def->coll.cols[at].type, count))
            return no_memory(ctx);
    }
    uint32_t hot_count = 0;
    for (uint32_t i = 0; i < count; i++)
        hot_count += places[i].hot != NULL;
    if (hot_count > 0 && cols_count > 0)
        LUMA_TRY(fill_hot(&f, cols, cols_count, vecs, hot_count));
    if (hot_count < count)
        LUMA_TRY(fill_segments(&f, cols, cols_count, vecs));
    memset(out, 0, sizeof(*out));
    out->rows = out->sel_rows = count;
    out->cols_count = cols_count;
    out->cols = vecs;
    return LUMA_OK;
}

/* --- fetch --- */

luma_rc
lki_fetch(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, const int64_t *rowids,
          uint32_t count, const uint32_t *cols, uint32_t cols_count, bool newest,
          struct luma_arena *arena, struct luma_batch *out, int32_t *out_found)
{
    struct lk_view *view = lki_coll_view(h);
    if (view == NULL)
        return dropped(ctx, h);
    if (LUMA_UNLIKELY(txn->serial != NULL) && !newest)
        LUMA_TRY(lki_serial_read(ctx, txn, h, NULL, NULL, NULL));
    struct lk_place *places = LUMA_NEW_ARRAY(arena, struct lk_place, count + 1);
    int64_t *ids = LUMA_NEW_ARRAY(arena, int64_t, count + 1);
    if (places == NULL || ids == NULL)
        return no_memory(ctx);
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;
        uint64_t other = 0;
        if (newest)
            LUMA_TRY(lk_row_current(ctx, view, &txn->store->slots, rowids[i], txn->stamp, NULL,
                                    &places[n], &found, &other));
        else
            LUMA_TRY(lk_row_find(ctx, view, rowids[i], &txn->snap, &places[n], &found));
        if (out_found != NULL)
            out_found[i] = found ? (int32_t)n : -1;
        if (found)
            ids[n++] = rowids[i];
    }
    LUMA_TRY(lki_places_batch(ctx, view, places, n, cols, cols_count, arena, out));
    out->rowids = ids;
    return LUMA_OK;
}

/* --- get --- */

/* A serializable transaction remembers that it has looked at a key. */
static luma_rc
key_read(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, struct lk_cidx *cidx,
         struct luma_slice key)
{
    struct luma_index_range range = {.lo = key, .hi = key};
    return lki_serial_read(ctx, txn, h, cidx, &range, NULL);
}

/* Does the row have these values in the index's first columns? */
static luma_rc
key_fits(struct luma_ctx *ctx, const struct lk_view *view, const struct lk_cidx *cidx,
         const struct lk_place *place, struct luma_slice key, uint32_t key_count,
         struct luma_arena *arena, bool *out_fits)
{
    struct luma_value values[LK_INDEX_COLS_MAX];
    uint8_t room[256];
    struct lk_bytes have = {.data = room, .room = sizeof(room)};
    for (uint32_t i = 0; i < key_count; i++)
        LUMA_TRY(
            lk_place_value(ctx, view, place, cidx->index_def->cols[i].col_id, arena, &values[i]));
    /* Short keys are made on the stack; a longer one goes to the heap. */
    size_t bound = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        uint64_t valid;
        struct luma_vec vec = lk_vec_of(&values[i], &valid);
        bound += lk_data_key_bound(&vec, 0);
    }
    struct lk_bytes heap;
    lk_bytes_init(&heap, NULL);
    struct lk_bytes *to = bound <= sizeof(room) ? &have : &heap;
    luma_rc rc = lk_key_values(to, cidx, values, key_count, NULL);
    *out_fits = rc == LUMA_OK && luma_slice_equal(lk_bytes_view(to), key);
    lk_bytes_fini(&heap);
    return rc == LUMA_OK ? rc : no_memory(ctx);
}

static luma_rc
value_keep(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_value *value)
{
    if (value->is_null || value->phys != LUMA_PHYS_STR || value->str.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    const char *copy = luma_arena_copy(arena, value->str.ptr, value->str.bytes);
    if (copy == NULL)
        return no_memory(ctx);
    value->str = luma_str_make(copy, value->str.bytes);
    return LUMA_OK;
}

static luma_rc
get_values(struct luma_ctx *ctx, struct lk_view *view, const struct lk_place *place,
           const uint32_t *cols, uint32_t cols_count, struct luma_arena *arena,
           struct luma_value *out_values)
{
    for (uint32_t c = 0; c < cols_count; c++) {
        LUMA_TRY(lk_place_value(ctx, view, place, cols[c], arena, &out_values[c]));
        if (place->hot != NULL)
            LUMA_TRY(value_keep(ctx, arena, &out_values[c]));
    }
    return LUMA_OK;
}

luma_rc
lki_get(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
        const struct luma_value *key, uint32_t key_count, const uint32_t *cols, uint32_t cols_count,
        struct luma_arena *arena, struct luma_value *out_values, int64_t *out_rowid)
{
    struct lk_view *view = lki_coll_view(h);
    struct lk_cidx *cidx = view == NULL ? NULL : lk_view_index(view, index_id);
    if (cidx == NULL || key_count != cidx->index_def->cols_count)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "index %llu has gone, or has other columns",
                         (unsigned long long)index_id);
    uint8_t room[256];
    struct lk_bytes bytes = {.data = room, .room = sizeof(room)}, heap;
    size_t bound = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        uint64_t valid;
        struct luma_vec vec = lk_vec_of(&key[i], &valid);
        bound += lk_data_key_bound(&vec, 0);
    }
    lk_bytes_init(&heap, NULL);
    struct lk_bytes *kb = bound <= sizeof(room) ? &bytes : &heap;
    struct lki_rowids rows;
    lki_rowids_init(&rows);
    *out_rowid = -1;
    luma_rc rc = lk_key_values(kb, cidx, key, key_count, NULL);
    if (rc == LUMA_OK && txn->serial != NULL)
        rc = key_read(ctx, txn, h, cidx, lk_bytes_view(kb));
    if (rc == LUMA_OK)
        rc = lki_candidates(ctx, txn, h, cidx, lk_bytes_view(kb), &rows);
    for (uint32_t i = 0; rc == LUMA_OK && *out_rowid < 0 && i < rows.count; i++) {
        struct lk_place place;
        bool found = false, fits = false;
        rc = lk_row_find(ctx, view, rows.items[i], &txn->snap, &place, &found);
        if (rc == LUMA_OK && found)
            rc = key_fits(ctx, view, cidx, &place, lk_bytes_view(kb), key_count, arena, &fits);
        if (rc == LUMA_OK && fits) {
            rc = get_values(ctx, view, &place, cols, cols_count, arena, out_values);
            if (rc == LUMA_OK)
                *out_rowid = rows.items[i];
        }
    }
    lki_rowids_fini(&rows);
    lk_bytes_fini(&heap);
    return rc;
}

/* --- probe --- */

struct probe {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct luma_coll *h;
    struct lk_view *view;
    struct lk_cidx *cidx;
    uint32_t key_count;
    bool whole; /* the key has all columns of the index */
    struct luma_arena *arena;
    struct lk_place *places;
    int64_t *rowids;
    uint32_t *key_index;
    uint32_t count;
};

static luma_rc
prefix_candidates(struct probe *p, struct lk_index *index, struct luma_slice key,
                  struct lki_rowids *rows)
{
    struct luma_index_range range = {.lo = key, .hi = key};
    struct lk_index_cursor *cursor = NULL;
    LUMA_TRY(lk_index_cursor_open(p->ctx, index, &range, p->arena, &cursor));
    bool more = true;
    luma_rc rc = LUMA_OK;
    while (rc == LUMA_OK && more) {
        struct luma_index_entry entry;
        rc = lk_index_cursor_next(p->ctx, cursor, &entry, &more);
        if (rc == LUMA_OK && more)
            lki_rowids_add(rows, entry.rowid);
    }
    lk_index_cursor_close(cursor);
    return rc;
}

static int
by_value(const void *a, const void *b)
{
    int64_t ia = *(const int64_t *)a, ib = *(const int64_t *)b;
    return (ia > ib) - (ia < ib);
}

/* Rows of one key with ids above `after`, until the batch is full; *out_last: where it stopped
 * (-1: it did not). */
static luma_rc
probe_key(struct probe *p, uint32_t key_index, struct luma_slice key, int64_t after,
          int64_t *out_last)
{
    struct lki_rowids rows;
    lki_rowids_init(&rows);
    luma_rc rc = p->txn->serial == NULL ? LUMA_OK : key_read(p->ctx, p->txn, p->h, p->cidx, key);
    if (rc == LUMA_OK && p->whole) {
        rc = lki_candidates(p->ctx, p->txn, p->h, p->cidx, key, &rows);
    } else if (rc == LUMA_OK) {
        rc = lk_cidx_usable(p->ctx, p->h->coll, p->cidx);
        if (rc == LUMA_OK)
            rc = prefix_candidates(p, p->cidx->index, key, &rows);
        if (rc == LUMA_E_CORRUPT) {
            lk_cidx_damage(p->h->coll, p->cidx, p->ctx->error->message);
            luma_error_reset(p->ctx->error);
            rc = lk_cidx_usable(p->ctx, p->h->coll, p->cidx);
            if (rc == LUMA_OK) /* what was found before is found again and left out */
                rc = prefix_candidates(p, p->cidx->index, key, &rows);
        }
        for (struct lk_private_index *pi = p->txn->privates; rc == LUMA_OK && pi != NULL;
             pi = pi->next)
            if (pi->coll == p->h->coll && pi->index_id == p->cidx->index_def->id)
                rc = prefix_candidates(p, pi->cidx->index, key, &rows);
    }
    if (rc == LUMA_OK && rows.failed)
        rc = no_memory(p->ctx);
    if (rows.count > 1)
        qsort(rows.items, rows.count, sizeof(rows.items[0]), by_value);
    *out_last = -1;
    for (uint32_t i = 0; rc == LUMA_OK && i < rows.count; i++) {
        int64_t rowid = rows.items[i];
        if (rowid <= after || (i > 0 && rowid == rows.items[i - 1]))
            continue;
        if (p->count == LUMA_BATCH_ROWS) {
            *out_last = after;
            break;
        }
        bool found = false, fits = false;
        struct lk_place *place = &p->places[p->count];
        after = rowid;
        rc = lk_row_find(p->ctx, p->view, rowid, &p->txn->snap, place, &found);
        if (rc == LUMA_OK && found)
            rc = key_fits(p->ctx, p->view, p->cidx, place, key, p->key_count, p->arena, &fits);
        if (rc == LUMA_OK && fits) {
            p->rowids[p->count] = rowid;
            p->key_index[p->count++] = key_index;
        }
    }
    lki_rowids_fini(&rows);
    return rc;
}

static luma_rc
probe_keys(struct probe *p, const struct luma_vec *keys, uint32_t keys_rows, uint64_t *inout_state)
{
    /* The state: which key is next, and above which row id it goes on. */
    uint32_t at = (uint32_t)(*inout_state >> 48);
    int64_t after = (int64_t)(*inout_state & ((1ULL << 48) - 1)) - 1;
    struct lk_bytes key;
    lk_bytes_init(&key, NULL);
    luma_rc rc = LUMA_OK;
    while (rc == LUMA_OK && at < keys_rows && p->count < LUMA_BATCH_ROWS) {
        bool null = false;
        lk_bytes_reset(&key);
        for (uint32_t c = 0; c < p->key_count; c++) {
            null = null || luma_vec_is_null(&keys[c], at);
            if (!lk_bytes_reserve(&key, lk_data_key_bound(&keys[c], at)))
                rc = no_memory(p->ctx);
            else
                key.bytes += lk_data_key_write(&keys[c], at, p->cidx->index_def->cols[c].flags,
                                               key.data + key.bytes);
        }
        int64_t last = -1;
        if (rc == LUMA_OK && !null) /* a null equals nothing */
            rc = probe_key(p, at, lk_bytes_view(&key), after, &last);
        if (last >= 0) {
            after = last;
            break;
        }
        after = -1;
        at++;
    }
    lk_bytes_fini(&key);
    *inout_state = (uint64_t)at << 48 | (uint64_t)(after + 1);
    return rc;
}

luma_rc
lki_probe(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, uint64_t index_id,
          const struct luma_vec *keys, uint32_t key_count, uint32_t keys_rows, const uint32_t *cols,
          uint32_t cols_count, bool rowids, struct luma_arena *arena, struct luma_batch *out,
          uint32_t *out_key_index, uint64_t *inout_state)
{
    struct probe p = {.ctx = ctx, .txn = txn, .h = h, .key_count = key_count, .arena = arena};
    p.view = lki_coll_view(h);
    p.cidx = p.view == NULL ? NULL : lk_view_index(p.view, index_id);
    if (p.cidx == NULL || key_count > p.cidx->index_def->cols_count || keys_rows > UINT16_MAX)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "index %llu has gone, or has other columns",
                         (unsigned long long)index_id);
    p.whole = key_count == p.cidx->index_def->cols_count;
    p.places = LUMA_NEW_ARRAY(arena, struct lk_place, LUMA_BATCH_ROWS);
    p.rowids = LUMA_NEW_ARRAY(arena, int64_t, LUMA_BATCH_ROWS);
    p.key_index = out_key_index;
    if (p.places == NULL || p.rowids == NULL)
        return no_memory(ctx);
    LUMA_TRY(probe_keys(&p, keys, keys_rows, inout_state));
    LUMA_TRY(lki_places_batch(ctx, p.view, p.places, p.count, cols, cols_count, arena, out));
    out->rowids = rowids ? p.rowids : NULL;
    return LUMA_OK;
}
