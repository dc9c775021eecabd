/*
 * tests/crash/workload.c - see crash.h.
 *
 * Up to three transactions are open at a time, in one thread; the model keeps them from waiting for
 * each other (a key that one has changed is left alone by the rest). Up to four old snapshots are
 * open beside them, through checkpoints and merges. Whatever a commit acknowledged must be there
 * after a crash; what the crash interrupted must be there whole or not at all.
 */
#include "workload.h"

char crash_complaint[2048];

const uint64_t crash_coll_ids[COLLS] = {1001, 1002};

/* --- the collections: key int8 primary key, v int4 indexed, t text --- */

/* The collection's definition; extra: the id of one more index, over v or t, 0: none. */
static luma_rc
define_coll(struct run *run, struct luma_txn *txn, int i, uint64_t extra)
{
    {
        struct luma_store_col cols[3];
        memset(cols, 0, sizeof(cols));
        cols[0].id = 1, cols[0].type = luma_type(LUMA_TYPE_INT8);
        cols[1].id = 2, cols[1].type = luma_type(LUMA_TYPE_INT4);
        cols[2].id = 3, cols[2].type = luma_type(LUMA_TYPE_TEXT);
        struct luma_store_index_col pk = {1, 0}, by_v = {2, 0};
        struct luma_store_index_col more = {extra % 2 == 0 ? 2 : 3, 0};
        struct luma_store_index indexes[3] = {
            {.id = 2001 + (uint64_t)i * 10, .kind = "btree", .unique = true, .primary = true},
            {.id = 2002 + (uint64_t)i * 10, .kind = "btree"},
            {.id = extra, .kind = "btree"},
        };
        indexes[0].cols_count = indexes[1].cols_count = indexes[2].cols_count = 1;
        indexes[0].cols = &pk;
        indexes[1].cols = &by_v;
        indexes[2].cols = &more;
        struct luma_store_coll def = {.id = crash_coll_ids[i], .cols_count = 3, .cols = cols};
        def.indexes_count = extra == 0 ? 2 : 3;
        def.indexes = indexes;
        LUMA_TRY(lk_store_define(&run->c.ctx, txn, &def));
    }
    return LUMA_OK;
}

luma_rc
crash_define(struct run *run, struct luma_txn *txn)
{
    for (int i = 0; i < COLLS; i++)
        LUMA_TRY(define_coll(run, txn, i, 0));
    return LUMA_OK;
}

static size_t
text_of(uint32_t seed, char *out)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    size_t bytes = (size_t)lk_rand_below(&r, seed % 7 == 0 ? 1500 : 60);
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)('a' + lk_rand_below(&r, 26));
    return bytes;
}

/* Damage is told with the file it is in. */
void
crash_named(struct run *run)
{
    const char *said = run->c.error.message;
    static const char *const kinds[] = {"/data/", ".deletes", "segment", "index run",
                                        "pack",   "manifest", "wal"};
    for (size_t i = 0; i < LUMA_COUNTOF(kinds); i++)
        if (strstr(said, kinds[i]) != NULL)
            return;
    BROKEN(run, "damage that names no file: %s", said);
}

/* After a power cut, or an error that was asked for, nothing more is expected of this life. */
bool
crash_is_dead(struct run *run)
{
    luma_rc code = run->c.error.code;
    bool hurt =
        code == LUMA_E_IO || code == LUMA_E_FULL || code == LUMA_E_CORRUPT || code == LUMA_E_NOMEM;
    if (run->sick && hurt && run->rotten)
        run->hurt = true; /* the power stays: something is written to the log yet */
    else if (run->sick && hurt && !lk_io_sim_is_dead(run->io))
        lk_io_sim_crash(run->io);
    return run->hurt || lk_io_sim_is_dead(run->io);
}

void
crash_reset(struct run *run)
{
    run->arena->reset(run->arena);
    lk_ctx_init(&run->c, run->arena);
}

static struct open_txn *
txn_at(struct run *run, int t)
{
    return &run->txns[t];
}

/* What transaction t must see; NULL t: the committed state. */
static void
expected(struct run *run, const struct open_txn *t, struct state *out)
{
    *out = t != NULL && t->snapshot ? t->seen : run->committed;
    for (uint32_t i = 0; t != NULL && i < t->count; i++) {
        const struct pending *p = &t->list[i];
        if (p->truncate) {
            memset(out->cells[p->coll], 0, sizeof(out->cells[p->coll]));
            if (p->coll == 0)
                memset(out->bulk, 0, sizeof(out->bulk));
        } else if (p->bulk >= 0) {
            out->bulk[p->bulk] = true;
        } else {
            out->cells[p->coll][p->key] = p->now;
        }
    }
}

/* --- checking --- */

struct found {
    struct cell cells[KEYS];
    uint32_t times[KEYS];
    uint32_t bulk[BULKS];
    uint64_t bulk_sum[BULKS];
    uint32_t strange;
};

static void
row_found(struct found *f, const struct luma_batch *batch, uint32_t row)
{
    char text[2048];
    int64_t key = *(const int64_t *)luma_vec_at(&batch->cols[0], row);
    int32_t v = *(const int32_t *)luma_vec_at(&batch->cols[1], row);
    const struct luma_str *t = luma_vec_at(&batch->cols[2], row);
    if (key >= 100000) {
        int64_t b = key / 100000 - 1, i = key % 100000;
        if (b >= BULKS || i >= BULK_ROWS || v != (int32_t)(i * 7)) {
            f->strange++;
            return;
        }
        f->bulk[b]++;
        f->bulk_sum[b] += (uint64_t)i;
        return;
    }
    if (key < 0 || key >= KEYS) {
        f->strange++;
        return;
    }
    f->times[key]++;
    f->cells[key].exists = true;
    f->cells[key].v = v;
    /* The text says its own seed in v's place: v is the seed's low bits. */
    size_t bytes = text_of((uint32_t)v, text);
    if (t->bytes != bytes || memcmp(luma_str_data(t), text, bytes) != 0)
        f->strange++;
    f->cells[key].text = (uint32_t)v;
}

static luma_rc
scan_coll(struct run *run, struct luma_txn *txn, int coll, uint64_t index_id, struct found *f)
{
    static const uint32_t cols[3] = {1, 2, 3};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 3, .rowids = true};
    struct luma_coll *h = NULL;
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    struct luma_ctx *ctx = &run->c.ctx;
    memset(f, 0, sizeof(*f));
    luma_rc rc = lk_store_host.open(ctx, txn, crash_coll_ids[coll], &h);
    if (rc == LUMA_OK && index_id != 0) {
        rc = lk_store_host.index_scan(ctx, txn, h, index_id, NULL, &spec, &cursor);
    } else if (rc == LUMA_OK) {
        rc = lk_store_host.scan_open(ctx, txn, h, &spec, &scan);
        if (rc == LUMA_OK)
            rc = lk_store_host.cursor_open(ctx, scan, &cursor);
    }
    while (rc == LUMA_OK) {
        struct luma_batch *batch = NULL;
        rc = lk_store_host.cursor_next(ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row)
            row_found(f, batch, row);
    }
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    lk_store_host.close(h);
    return rc;
}

#define INDEXES_MAX 4

/* The collection's indexes, and 0 for none of them. */
static uint32_t
coll_indexes(struct run *run, struct luma_txn *txn, int coll, uint64_t *out)
{
    struct luma_coll *h = NULL;
    uint32_t count = 0;
    out[count++] = 0;
    if (lk_store_host.open(&run->c.ctx, txn, crash_coll_ids[coll], &h) != LUMA_OK)
        return count;
    const struct luma_store_coll *def = lk_store_host.def(h);
    for (uint32_t i = 0; i < def->indexes_count && count < INDEXES_MAX; i++)
        out[count++] = def->indexes[i].id;
    lk_store_host.close(h);
    return count;
}

/* NULL: as expected; else what differs. */
static const char *
differs(const struct found *f, const struct state *want, int coll)
{
    static char text[200];
    if (f->strange > 0)
        return "rows that were never written";
    for (uint32_t k = 0; k < KEYS; k++) {
        const struct cell *w = &want->cells[coll][k];
        if (f->times[k] > 1 || (f->times[k] == 1) != w->exists ||
            (w->exists && f->cells[k].v != w->v)) {
            snprintf(text, sizeof(text),
                     "collection %d key %u: found %u times v %d, expected %d v %d", coll, k,
                     f->times[k], f->cells[k].v, w->exists, w->v);
            return text;
        }
    }
    for (uint32_t b = 0; coll == 0 && b < BULKS; b++) {
        uint32_t rows = want->bulk[b] ? BULK_ROWS : 0;
        uint64_t sum = (uint64_t)rows * (BULK_ROWS - 1) / 2;
        if (f->bulk[b] != rows || f->bulk_sum[b] != sum) {
            snprintf(text, sizeof(text), "bulk load %u: %u rows, expected %u", b, f->bulk[b], rows);
            return text;
        }
    }
    return NULL;
}

static luma_rc
get_key(struct run *run, struct luma_txn *txn, int coll, uint32_t key, bool *out_found,
        int32_t *out_v)
{
    static const uint32_t cols[1] = {2};
    struct luma_value value, out;
    struct luma_coll *h = NULL;
    int64_t rowid = -1;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = key;
    LUMA_TRY(lk_store_host.open(&run->c.ctx, txn, crash_coll_ids[coll], &h));
    luma_rc rc = lk_store_host.get(&run->c.ctx, txn, h, 2001 + (uint64_t)coll * 10, &value, 1, cols,
                                   1, run->arena, &out, &rowid);
    lk_store_host.close(h);
    *out_found = rc == LUMA_OK && rowid >= 0;
    *out_v = *out_found ? out.i32 : 0;
    return rc;
}

luma_rc
crash_compare(struct run *run, struct luma_txn *txn, int coll, const struct state *want,
              const char **out_what)
{
    uint64_t ids[INDEXES_MAX];
    struct found *f = malloc(sizeof(*f));
    uint32_t count = coll_indexes(run, txn, coll, ids);
    luma_rc rc = LUMA_OK;
    for (uint32_t k = 0; rc == LUMA_OK && k < count && *out_what == NULL; k++) {
        rc = scan_coll(run, txn, coll, ids[k], f);
        if (rc == LUMA_OK)
            *out_what = differs(f, want, coll);
    }
    free(f);
    for (uint32_t i = 0; rc == LUMA_OK && i < 10 && *out_what == NULL; i++) {
        uint32_t key = (uint32_t)lk_rand_below(&run->r, KEYS);
        const struct cell *w = &want->cells[coll][key];
        bool there = false;
        int32_t v = 0;
        rc = get_key(run, txn, coll, key, &there, &v);
        if (rc == LUMA_OK && (there != w->exists || (there && v != w->v)))
            *out_what = "a key has not the row it had";
    }
    return rc;
}

/* What is damaged may be refused where something was damaged; then the file is named. */
static luma_rc
may_refuse(struct run *run, luma_rc rc)
{
    if (rc != LUMA_E_CORRUPT || !run->rotten)
        return rc == LUMA_E_CORRUPT ? LUMA_E_IO : rc;
    run->refused = true;
    crash_named(run);
    luma_error_reset(run->c.ctx.error);
    return rc;
}

/* Everything, by scan, by index and by key, as transaction t (NULL: a new one) sees it. */
void
crash_verify(struct run *run, struct open_txn *t, bool after_crash)
{
    struct luma_txn *txn = t == NULL ? NULL : t->txn;
    struct state want;
    struct found *f = malloc(sizeof(*f));
    const char *what = NULL;
    luma_rc rc = LUMA_OK;
    crash_reset(run);
    expected(run, t, &want);
    if (txn == NULL)
        rc = lk_txn_host.begin(&run->c.ctx, NULL, &txn);
    if (rc == LUMA_OK)
        rc = lk_txn_host.statement_begin(&run->c.ctx, txn);
    bool second = false;
    for (int coll = 0; rc == LUMA_OK && coll < COLLS; coll++) {
        uint64_t ids[INDEXES_MAX];
        uint32_t count = coll_indexes(run, txn, coll, ids);
        for (uint32_t k = 0; rc == LUMA_OK && k < count && run->broken == NULL; k++) {
            uint64_t by_index = ids[k];
            rc = may_refuse(run, scan_coll(run, txn, coll, by_index, f));
            what = rc == LUMA_OK ? differs(f, &want, coll) : NULL;
            if (rc == LUMA_E_CORRUPT) {
                rc = LUMA_OK;
                continue;
            }
            if (what != NULL && after_crash && run->is_maybe && !second && coll == 0 && !by_index) {
                /* The interrupted commit may be there: then all of it. */
                second = true;
                run->committed = run->maybe;
                want = run->maybe;
                what = differs(f, &want, coll);
            } else if (what != NULL && after_crash && run->is_maybe && !second && !by_index &&
                       coll == 1 &&
                       memcmp(&run->committed.cells[0], &run->maybe.cells[0],
                              sizeof(run->maybe.cells[0])) == 0 &&
                       memcmp(run->committed.bulk, run->maybe.bulk, sizeof(run->maybe.bulk)) == 0) {
                second = true;
                run->committed = run->maybe;
                want = run->maybe;
                what = differs(f, &want, coll);
            }
            if (what != NULL)
                BROKEN(run, "%sby %s %llu: %s", after_crash ? "after a crash, " : "",
                       by_index ? "index" : "scan", (unsigned long long)by_index, what);
        }
        for (uint32_t i = 0; rc == LUMA_OK && i < 20 && run->broken == NULL; i++) {
            uint32_t key = (uint32_t)lk_rand_below(&run->r, KEYS);
            bool there = false;
            int32_t v = 0;
            rc = may_refuse(run, get_key(run, txn, coll, key, &there, &v));
            if (rc == LUMA_E_CORRUPT) {
                rc = LUMA_OK;
                continue;
            }
            const struct cell *w = &want.cells[coll][key];
            if (rc == LUMA_OK && (there != w->exists || (there && v != w->v)))
                BROKEN(run, "%sby key %u of collection %d: found %d v %d, expected %d v %d",
                       after_crash ? "after a crash, " : "", key, coll, there, v, w->exists, w->v);
        }
    }
    if (rc != LUMA_OK && !crash_is_dead(run))
        BROKEN(run, "reading failed: %s", run->c.error.message);
    if (t == NULL)
        lk_txn_host.rollback(txn);
    free(f);
}

/* --- changing --- */

static void
make_batch(struct luma_arena *arena, struct luma_batch *batch, uint32_t rows)
{
    memset(batch, 0, sizeof(*batch));
    batch->rows = batch->sel_rows = rows;
    batch->cols_count = 3;
    batch->cols = LUMA_NEW_ARRAY(arena, struct luma_vec, 3);
    luma_vec_init(&batch->cols[0], arena, luma_type(LUMA_TYPE_INT8), rows);
    luma_vec_init(&batch->cols[1], arena, luma_type(LUMA_TYPE_INT4), rows);
    luma_vec_init(&batch->cols[2], arena, luma_type(LUMA_TYPE_TEXT), rows);
}

static void
batch_row(struct luma_arena *arena, struct luma_batch *batch, uint32_t row, int64_t key, int32_t v)
{
    char text[2048];
    size_t bytes = text_of((uint32_t)v, text);
    ((int64_t *)batch->cols[0].data)[row] = key;
    ((int32_t *)batch->cols[1].data)[row] = v;
    ((struct luma_str *)batch->cols[2].data)[row] =
        luma_str_make(luma_arena_copy(arena, text, bytes), (uint32_t)bytes);
}

static bool
push(struct open_txn *t, const struct pending *p)
{
    if (t->count == PENDING)
        return false;
    t->list[t->count++] = *p;
    return true;
}

/* The row id of a key, through the primary key. */
static luma_rc
row_of(struct run *run, struct luma_txn *txn, struct luma_coll *h, int coll, uint32_t key,
       int64_t *out)
{
    struct luma_value value, v;
    static const uint32_t cols[1] = {2};
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = key;
    return lk_store_host.get(&run->c.ctx, txn, h, 2001 + (uint64_t)coll * 10, &value, 1, cols, 1,
                             run->arena, &v, out);
}

static void
op_change(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    int coll = (int)lk_rand_below(&run->r, COLLS);
    uint32_t key = (uint32_t)lk_rand_below(&run->r, KEYS);
    struct luma_ctx *ctx = &run->c.ctx;
    struct state want;
    if ((run->owner[coll][key] >= 0 && run->owner[coll][key] != number) ||
        (run->coll_owner[coll] >= 0 && run->coll_owner[coll] != number) || t->count == PENDING)
        return;
    expected(run, t, &want);
    /* First updater wins: a snapshot must not touch what changed since. */
    const struct cell *now = &run->committed.cells[coll][key];
    bool own = run->owner[coll][key] == number || run->coll_owner[coll] == number;
    bool stale = t->snapshot && !own && memcmp(now, &t->seen.cells[coll][key], sizeof(*now)) != 0;
    if (stale && !now->exists && !t->seen.cells[coll][key].exists)
        stale = false;
    struct luma_coll *h = NULL;
    struct pending p = {.coll = (uint8_t)coll, .key = (uint16_t)key, .bulk = -1};
    int32_t v = (int32_t)lk_rand_below(&run->r, 1000000);
    luma_rc rc = lk_txn_host.statement_begin(ctx, t->txn);
    if (rc == LUMA_OK)
        rc = lk_store_host.open(ctx, t->txn, crash_coll_ids[coll], &h);
    if (rc == LUMA_OK && stale) {
        lk_store_host.close(h);
        return;
    }
    if (rc == LUMA_OK && !want.cells[coll][key].exists) {
        struct luma_batch batch;
        make_batch(run->arena, &batch, 1);
        batch_row(run->arena, &batch, 0, key, v);
        rc = lk_store_host.insert(ctx, t->txn, h, &batch, NULL, NULL, NULL);
        p.now = (struct cell){true, v, (uint32_t)v};
    } else if (rc == LUMA_OK) {
        int64_t rowid = -1;
        enum luma_lock_result result = LUMA_ROW_GONE;
        rc = row_of(run, t->txn, h, coll, key, &rowid);
        if (rc == LUMA_OK && rowid < 0)
            BROKEN(run, "key %u of collection %d is not found for a change", key, coll);
        if (rc == LUMA_OK && rowid >= 0)
            rc = lk_store_host.lock(ctx, t->txn, h, &rowid, 1, LUMA_LOCK_UPDATE, LUMA_LOCK_NOWAIT,
                                    &result);
        if (rc == LUMA_OK && rowid >= 0 && result != LUMA_ROW_LOCKED)
            BROKEN(run, "key %u of collection %d: locked with result %d", key, coll, result);
        if (rc == LUMA_OK && rowid >= 0 && lk_rand_percent(&run->r, 30)) {
            rc = lk_store_host.remove(ctx, t->txn, h, &rowid, 1);
            p.now = (struct cell){false, 0, 0};
        } else if (rc == LUMA_OK && rowid >= 0) {
            static const uint32_t cols[2] = {2, 3};
            struct luma_batch batch;
            make_batch(run->arena, &batch, 1);
            batch_row(run->arena, &batch, 0, key, v);
            batch.cols++;
            batch.cols_count = 2;
            rc = lk_store_host.update(ctx, t->txn, h, &rowid, 1, cols, &batch);
            p.now = (struct cell){true, v, (uint32_t)v};
        }
    }
    lk_store_host.close(h);
    if (rc == LUMA_OK) {
        push(t, &p);
        run->owner[coll][key] = (int8_t)number;
        lk_txn_host.command_end(t->txn);
    } else if (!crash_is_dead(run)) {
        BROKEN(run, "a change of key %u failed: %s", key, run->c.error.message);
    }
}

static bool
coll_is_free(struct run *run, int coll, int number)
{
    if (run->coll_owner[coll] >= 0 && run->coll_owner[coll] != number)
        return false;
    for (int t = 0; t < TXNS; t++)
        for (uint32_t i = 0; t != number && run->txns[t].txn != NULL && i < run->txns[t].count; i++)
            if (run->txns[t].list[i].coll == coll)
                return false;
    for (uint32_t k = 0; k < KEYS; k++)
        if (run->owner[coll][k] >= 0 && run->owner[coll][k] != number)
            return false;
    return true;
}

/* What its snapshot sees is what was committed. */
static void
txn_open(struct run *run, struct open_txn *t, const struct luma_txn_opts *opts)
{
    t->seen = run->committed;
    luma_rc rc = lk_txn_host.begin(&run->c.ctx, opts, &t->txn);
    if (rc == LUMA_OK)
        rc = lk_txn_host.statement_begin(&run->c.ctx, t->txn);
    if (rc != LUMA_OK)
        BROKEN(run, "BEGIN failed: %s", run->c.error.message);
}

/* --- old snapshots: they only read, beside many checkpoints and merges --- */

void
crash_old_end(struct run *run)
{
    for (int i = 0; i < OLD; i++) {
        if (run->old[i] == NULL)
            continue;
        lk_txn_host.rollback(run->old[i]->txn);
        free(run->old[i]);
        run->old[i] = NULL;
    }
}

/* Begins one, looks through it, or ends it. */
static void
op_old(struct run *run)
{
    struct luma_txn_opts opts = {.isolation = LUMA_REPEATABLE_READ, .read_only = true};
    struct open_txn **old = &run->old[lk_rand_below(&run->r, OLD)];
    if (*old != NULL && lk_rand_percent(&run->r, 70)) {
        crash_verify(run, *old, false);
        return;
    }
    if (*old != NULL) {
        lk_txn_host.rollback((*old)->txn);
        free(*old);
        *old = NULL;
        return;
    }
    struct open_txn *t = calloc(1, sizeof(*t));
    t->snapshot = true;
    txn_open(run, t, &opts);
    *old = t;
}

/* Other transactions hold a lock on a collection they changed, savepoints rolled back included. */
static void
op_truncate(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    int coll = (int)lk_rand_below(&run->r, COLLS);
    for (int i = 0; i < TXNS; i++)
        if (i != number && run->txns[i].txn != NULL)
            return;
    if (!coll_is_free(run, coll, number) || t->count == PENDING || t->snapshot)
        return;
    struct luma_coll *h = NULL;
    struct pending p = {.coll = (uint8_t)coll, .bulk = -1, .truncate = true};
    luma_rc rc = lk_txn_host.statement_begin(&run->c.ctx, t->txn);
    if (rc == LUMA_OK)
        rc = lk_store_host.open(&run->c.ctx, t->txn, crash_coll_ids[coll], &h);
    if (rc == LUMA_OK)
        rc = lk_store_host.truncate(&run->c.ctx, t->txn, h);
    lk_store_host.close(h);
    if (rc == LUMA_OK) {
        push(t, &p);
        run->coll_owner[coll] = (int8_t)number;
    } else if (!crash_is_dead(run)) {
        BROKEN(run, "TRUNCATE failed: %s", run->c.error.message);
    }
}

static void
op_bulk(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    int b = (int)lk_rand_below(&run->r, BULKS);
    struct state want;
    for (int i = 0; i < TXNS; i++)
        if (i != number && run->txns[i].txn != NULL)
            return;
    expected(run, t, &want);
    if (want.bulk[b] || run->committed.bulk[b] || t->snapshot || !coll_is_free(run, 0, number) ||
        t->count == PENDING)
        return;
    struct luma_ctx *ctx = &run->c.ctx;
    struct luma_coll *h = NULL;
    struct luma_bulk *bulk = NULL;
    uint64_t rows = 0;
    luma_rc rc = lk_txn_host.statement_begin(ctx, t->txn);
    if (rc == LUMA_OK)
        rc = lk_store_host.open(ctx, t->txn, crash_coll_ids[0], &h);
    if (rc == LUMA_OK)
        rc = lk_store_host.bulk_open(ctx, t->txn, h, 2, &bulk);
    for (uint32_t at = 0; rc == LUMA_OK && at < BULK_ROWS; at += 1000) {
        uint32_t n = LK_MIN((uint32_t)(BULK_ROWS - at), 1000u);
        struct luma_batch batch;
        make_batch(run->arena, &batch, n);
        for (uint32_t i = 0; i < n; i++) {
            ((int64_t *)batch.cols[0].data)[i] = (int64_t)(b + 1) * 100000 + at + i;
            ((int32_t *)batch.cols[1].data)[i] = (int32_t)((at + i) * 7);
        }
        rc = lk_store_host.bulk_append(ctx, bulk, (at / 1000) & 1, &batch);
    }
    if (rc == LUMA_OK)
        rc = lk_store_host.bulk_finish(ctx, LUMA_TAKE(bulk), &rows);
    lk_store_host.bulk_abort(bulk);
    lk_store_host.close(h);
    if (rc == LUMA_OK) {
        struct pending p = {.coll = 0, .bulk = (int8_t)b};
        push(t, &p);
        run->coll_owner[0] = (int8_t)number;
        lk_txn_host.command_end(t->txn);
    } else if (!crash_is_dead(run)) {
        BROKEN(run, "a bulk load failed: %s", run->c.error.message);
    }
}

void
crash_release(struct run *run, int number)
{
    for (int c = 0; c < COLLS; c++) {
        if (run->coll_owner[c] == number)
            run->coll_owner[c] = -1;
        for (uint32_t k = 0; k < KEYS; k++)
            if (run->owner[c][k] == number)
                run->owner[c][k] = -1;
    }
    run->txns[number].txn = NULL;
    run->txns[number].count = 0;
}

static void
op_begin(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED};
    t->snapshot = lk_rand_percent(&run->r, 30);
    if (t->snapshot)
        opts.isolation = LUMA_REPEATABLE_READ;
    t->count = 0;
    t->savepoint_count = UINT32_MAX;
    txn_open(run, t, &opts);
}

static void
op_commit(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    /* TRUNCATE is no MVCC: older snapshots would see it. */
    for (uint32_t i = 0; i < t->count; i++)
        for (int k = 0; t->list[i].truncate && k < TXNS; k++)
            if (k != number && run->txns[k].txn != NULL && run->txns[k].snapshot)
                return;
    for (uint32_t i = 0; i < t->count; i++)
        if (t->list[i].truncate)
            crash_old_end(run);
    /* What others committed meanwhile stays; a snapshot's own changes go on top of it. */
    bool snapshot = t->snapshot;
    struct state after;
    t->snapshot = false;
    expected(run, t, &after);
    t->snapshot = snapshot;
    uint64_t commit = 0;
    int64_t before_us = lk_io_wall_us(run->io);
    luma_rc rc = lk_txn_host.commit_get(&run->c.ctx, t->txn, &commit);
    if (rc == LUMA_OK && commit != 0)
        crash_past_add(run, t, commit, before_us, &after);
    if (rc == LUMA_OK) {
        if (memcmp(&run->committed, &after, sizeof(after)) != 0)
            run->before = run->committed;
        run->committed = after;
    } else if (crash_is_dead(run)) {
        run->maybe = after;
        run->is_maybe = true;
        crash_past_add(run, t, 0, before_us, &after);
    } else {
        BROKEN(run, "COMMIT failed: %s", run->c.error.message);
    }
    crash_release(run, number);
}

static void
op_savepoint(struct run *run, int number)
{
    struct open_txn *t = txn_at(run, number);
    luma_rc rc = LUMA_OK;
    if (t->savepoint_count == UINT32_MAX) {
        rc = lk_txn_host.savepoint(&run->c.ctx, t->txn, &t->savepoint);
        t->savepoint_count = t->count;
    } else if (lk_rand_percent(&run->r, 50)) {
        /* Keys stay reserved until the end: the store may give locks back, the model need not. */
        rc = lk_txn_host.rollback_to(&run->c.ctx, t->txn, t->savepoint);
        t->count = t->savepoint_count;
    } else {
        lk_txn_host.release(t->txn, t->savepoint);
        t->savepoint_count = UINT32_MAX;
    }
    if (rc != LUMA_OK && !crash_is_dead(run))
        BROKEN(run, "a savepoint failed: %s", run->c.error.message);
}

static void
op_sequence(struct run *run)
{
    struct lk_sequence_spec spec = {.start = 1, .increment = 1, .min = 1, .max = INT64_MAX};
    struct luma_txn *txn = NULL;
    int64_t first = 0;
    uint32_t count = 0;
    luma_rc rc = lk_txn_host.begin(&run->c.ctx, NULL, &txn);
    if (rc == LUMA_OK)
        rc = lk_store_sequence_next(&run->c.ctx, txn, SEQ, &spec, 3, &first, &count);
    if (rc == LUMA_OK && first <= run->sequence)
        BROKEN(run, "a sequence gave %lld twice", (long long)first);
    if (rc == LUMA_OK)
        rc = lk_txn_host.commit(&run->c.ctx, txn);
    else
        lk_txn_host.rollback(txn);
    if (rc == LUMA_OK)
        run->sequence = first + count - 1;
    else if (!crash_is_dead(run))
        BROKEN(run, "a sequence failed: %s", run->c.error.message);
}

/* Segments go to the cold place; those of a collection in turn come back. */
static luma_rc
tiers_pass(struct run *run)
{
    static const struct lk_tier_policy policies[] = {{.tier = LK_TIER_DEFAULT},
                                                     {.tier = LK_TIER_SSD}};
    uint32_t pass = run->tier_passes++;
    lk_store_set_tier(run->store, crash_coll_ids[pass / 2 % COLLS], &policies[pass % 2], "rows");
    return lk_store_tiers(&run->c.ctx, run->store);
}

void
crash_background(struct run *run, bool merge)
{
    bool work = false;
    luma_rc rc = merge ? lk_store_merge(&run->c.ctx, run->store, &work)
                       : lk_store_checkpoint(&run->c.ctx, run->store);
    if (rc == LUMA_OK && merge)
        rc = tiers_pass(run);
    if (rc != LUMA_OK && !crash_is_dead(run))
        BROKEN(run, "a %s failed: %s", merge ? "merge" : "checkpoint", run->c.error.message);
}

/* An index over everything, or over what there is without it; others write meanwhile. */
static void
op_index(struct run *run)
{
    struct luma_txn *txn = NULL;
    int coll = (int)lk_rand_below(&run->r, COLLS);
    uint64_t extra = 3000 + (uint64_t)coll * 1000 + (uint64_t)run->index_version++;
    crash_old_end(run);
    for (int i = 0; i < TXNS && !crash_is_dead(run); i++) {
        if (run->txns[i].txn == NULL)
            continue;
        lk_txn_host.rollback(run->txns[i].txn);
        crash_release(run, i);
    }
    if (lk_rand_percent(&run->r, 20))
        extra = 0;
    run->indexing = true;
    luma_rc rc = crash_is_dead(run) ? LUMA_E_IO : lk_txn_host.begin(&run->c.ctx, NULL, &txn);
    if (rc == LUMA_OK)
        rc = lk_txn_host.statement_begin(&run->c.ctx, txn);
    if (rc == LUMA_OK)
        rc = define_coll(run, txn, coll, extra);
    run->indexing = false;
    if (rc == LUMA_OK && lk_rand_percent(&run->r, 90))
        rc = lk_txn_host.commit(&run->c.ctx, txn);
    else
        lk_txn_host.rollback(txn);
    if (rc != LUMA_OK && !crash_is_dead(run))
        BROKEN(run, "an index failed: %s", run->c.error.message);
}

/* In the middle of the build of an index. */
void
crash_while_building(void *arg)
{
    struct run *run = arg;
    int number = (int)lk_rand_below(&run->r, TXNS);
    if (!run->indexing || crash_is_dead(run))
        return;
    op_begin(run, number);
    if (lk_rand_percent(&run->r, 30))
        op_bulk(run, number);
    for (uint64_t i = lk_rand_below(&run->r, 30);
         i > 0 && !crash_is_dead(run) && run->broken == NULL; i--)
        op_change(run, number);
    if (!crash_is_dead(run) && lk_rand_percent(&run->r, 80)) {
        op_commit(run, number);
    } else {
        lk_txn_host.rollback(run->txns[number].txn);
        crash_release(run, number);
    }
    if (!crash_is_dead(run) && lk_rand_percent(&run->r, 50))
        crash_background(run, lk_rand_percent(&run->r, 50));
}

/* One more commit: a record of the log behind everything. False: none is possible any more. */
bool
crash_close_off(struct run *run)
{
    struct state last = run->committed;
    for (int i = 0; i < 20 && run->broken == NULL && !lk_io_sim_is_dead(run->io); i++) {
        for (int t = 0; t < TXNS; t++) {
            if (run->txns[t].txn != NULL)
                lk_txn_host.rollback(run->txns[t].txn);
            crash_release(run, t);
        }
        if (memcmp(&last, &run->committed, sizeof(last)) != 0)
            return true;
        run->hurt = false;
        crash_reset(run);
        op_begin(run, 0);
        op_change(run, 0);
        if (!crash_is_dead(run))
            op_commit(run, 0);
    }
    return false;
}

/* Between the writing of a merge and its publication: changes, and checkpoints that know of them.
 */
void
crash_while_merging(void *arg)
{
    struct run *run = arg;
    int number = (int)lk_rand_below(&run->r, TXNS);
    if (run->merging || run->indexing || crash_is_dead(run) || lk_rand_percent(&run->r, 30))
        return;
    run->merging = true;
    for (int turn = 0; turn < 2 && !crash_is_dead(run) && run->broken == NULL; turn++) {
        if (run->txns[number].txn == NULL)
            op_begin(run, number);
        if (lk_rand_percent(&run->r, 20))
            op_bulk(run, number);
        for (uint64_t i = lk_rand_below(&run->r, 20);
             i > 0 && !crash_is_dead(run) && run->broken == NULL; i--)
            op_change(run, number);
        if (!crash_is_dead(run) && lk_rand_percent(&run->r, 70))
            op_commit(run, number);
        if (!crash_is_dead(run) && lk_rand_percent(&run->r, 60))
            crash_background(run, false);
    }
    run->merging = false;
}

void
crash_op(struct run *run)
{
    int number = (int)lk_rand_below(&run->r, TXNS);
    struct open_txn *t = txn_at(run, number);
    uint64_t dice = lk_rand_below(&run->r, 1000);
    crash_reset(run);
    if (dice < 12) {
        crash_background(run, false);
    } else if (dice < 24) {
        crash_background(run, true);
    } else if (dice < 34) {
        op_sequence(run);
    } else if (dice < 38) {
        op_index(run);
    } else if (dice < 50) {
        crash_verify(run, t->txn == NULL ? NULL : t, false);
        crash_past_verify(run);
    } else if (dice >= 988) {
        op_old(run);
    } else if (t->txn == NULL) {
        op_begin(run, number);
    } else if (dice < 55) {
        op_truncate(run, number);
    } else if (dice < 60) {
        op_bulk(run, number);
    } else if (dice < 200) {
        op_commit(run, number);
    } else if (dice < 230) {
        lk_txn_host.rollback(t->txn);
        crash_release(run, number);
    } else if (dice < 280) {
        op_savepoint(run, number);
    } else {
        op_change(run, number);
    }
}
