/*
 * txn/serial.c - the graph of serializable transactions, and who must give way.
 *
 * One mutex, TXN_SERIAL, guards all of it; nothing is waited for and no row is looked up under it.
 * Whether an edge is found does not depend on the order in which a reader reads and a writer
 * writes: each puts down what it does before it looks at what the other has put down.
 */
#include "txn/serial.h"

#include <stdlib.h>

#include "storage/mutant.h"

#define IN_PROGRESS UINT64_MAX       /* has not said that it will commit */
#define PREPARED    (UINT64_MAX - 1) /* will commit, after every snapshot there is now */

struct edges {
    struct lki_serial **items;
    uint32_t count, room;
};

struct lki_serial {
    struct lki_serial *prev, *next; /* active ones by age, or finished ones by commit */
    struct lki_serial_sets sets;
    struct edges ins, outs; /* readers before this one, writers after it */
    uint64_t serial;        /* order of registration */
    uint64_t snapshot;
    uint64_t commit;       /* or IN_PROGRESS, PREPARED */
    uint64_t earliest_out; /* first commit of a writer after it that is not known any more */
    bool read_only;        /* says so, or has committed and written nothing */
    bool doomed;           /* is the one that must give way */
    bool finished;
    /* Read only: writers that were active at its snapshot and may still make it unsafe. */
    bool safe, unsafe;
    uint32_t pending;
    struct luma_event *waiter; /* deferrable: told when it is decided */
};

static struct lk_txns *
txns_of(const struct luma_txn *txn)
{
    return txn->store->txns;
}

static luma_rc
refuse(struct luma_ctx *ctx, struct luma_txn *txn, const char *detail)
{
    lk_stat_add(txn->store->stats.conflicts, 1);
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_CONFLICT,
                           "could not serialize access due to read/write dependencies among "
                           "transactions");
    ctx->error->detail = detail;
    ctx->error->hint = "The transaction might succeed if retried.";
    return rc;
}

static const char doomed_text[] = "Another transaction that depends on this one committed first.";
static const char pivot_text[] = "Its reads and writes may close a cycle of dependencies.";

/* Its transaction has lost count of what it read or wrote, and cannot commit. */
static luma_rc
no_memory(struct luma_ctx *ctx)
{
    luma_rc rc = LUMA_FAIL(ctx, LUMA_E_NOMEM,
                           "out of memory for what a serializable transaction reads and writes");
    ctx->error->hint = "The transaction might succeed if retried, or with a larger memory_budget.";
    return rc;
}

/* --- lists and edges --- */

static void
list_add(struct lki_serial_list *list, struct lki_serial *s)
{
    s->prev = list->last;
    s->next = NULL;
    if (list->last != NULL)
        list->last->next = s;
    else
        list->first = s;
    list->last = s;
}

static void
list_remove(struct lki_serial_list *list, struct lki_serial *s)
{
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        list->first = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    else
        list->last = s->prev;
    s->prev = s->next = NULL;
}

static bool
edges_have(const struct edges *edges, const struct lki_serial *s)
{
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->items[i] == s)
            return true;
    return false;
}

static bool
edges_room(struct edges *edges)
{
    if (edges->count < edges->room)
        return true;
    uint32_t room = edges->room == 0 ? 4 : edges->room * 2;
    struct lki_serial **items = realloc(edges->items, room * sizeof(struct lki_serial *));
    if (items == NULL)
        return false;
    edges->items = items;
    edges->room = room;
    return true;
}

static void
edges_drop(struct edges *edges, const struct lki_serial *s)
{
    for (uint32_t i = 0; i < edges->count; i++) {
        if (edges->items[i] != s)
            continue;
        edges->items[i] = edges->items[--edges->count];
        return;
    }
}

/* Commit of the first writer after s; IN_PROGRESS: none has committed. */
static uint64_t
first_out(const struct lki_serial *s)
{
    uint64_t first = s->earliest_out;
    for (uint32_t i = 0; i < s->outs.count; i++)
        first = LK_MIN(first, s->outs.items[i]->commit);
    return first;
}

static void
forget_edges(struct lki_serial *s)
{
    for (uint32_t i = 0; i < s->ins.count; i++) {
        struct lki_serial *reader = s->ins.items[i];
        if (s->finished)
            reader->earliest_out = LK_MIN(reader->earliest_out, s->commit);
        edges_drop(&reader->outs, s);
    }
    for (uint32_t i = 0; i < s->outs.count; i++)
        edges_drop(&s->outs.items[i]->ins, s);
    s->ins.count = s->outs.count = 0;
}

static void
serial_free(struct lki_serial *s)
{
    while (s != NULL) {
        struct lki_serial *next = s->next;
        lki_serial_sets_fini(&s->sets);
        free(s->ins.items);
        free(s->outs.items);
        free(s);
        s = next;
    }
}

/* --- dangerous structures --- */

/* T1 -> s -> T3 with T3 committed first: does `reader` as T1 complete it? */
static bool
pivot_is_writer(const struct lki_serial *reader, const struct lki_serial *writer)
{
    uint64_t first = LK_MUTANT(PIVOT_MISSED) ? IN_PROGRESS : first_out(writer);
    return first != IN_PROGRESS && first <= writer->commit && first <= reader->commit &&
           (!reader->read_only || first <= reader->snapshot);
}

/* T1 -> reader -> writer, where the writer has committed first. */
static bool
pivot_is_reader(const struct lki_serial *reader, const struct lki_serial *writer)
{
    if (writer->commit == IN_PROGRESS || reader->read_only)
        return false;
    for (uint32_t i = 0; i < reader->ins.count; i++) {
        const struct lki_serial *first = reader->ins.items[i];
        if (!first->doomed && first->commit >= writer->commit &&
            (!first->read_only || first->snapshot >= writer->commit))
            return true;
    }
    return false;
}

/* Puts down reader -> writer. False: the caller, which is one of them, must give way. */
static bool
edge_add(struct lki_serial *reader, struct lki_serial *writer, const struct lki_serial *me)
{
    if (reader == writer || reader->doomed || writer->doomed || edges_have(&reader->outs, writer))
        return true;
    if (pivot_is_writer(reader, writer) || pivot_is_reader(reader, writer)) {
        if (me == writer || writer->commit != IN_PROGRESS)
            return false;
        writer->doomed = true;
        return true;
    }
    if (!edges_room(&reader->outs) || !edges_room(&writer->ins))
        return false;
    reader->outs.items[reader->outs.count++] = writer;
    writer->ins.items[writer->ins.count++] = reader;
    return true;
}

/* Did they run side by side? */
static bool
concurrent(const struct lki_serial *active, const struct lki_serial *other)
{
    return other != active && other->commit > active->snapshot;
}

/* --- the beginning --- */

/* A writer that was active at their snapshots has ended: read-only transactions may know now. */
static void
readers_tell(struct luma_txn *txn, const struct lki_serial *writer, bool committed)
{
    uint64_t first = committed ? first_out(writer) : IN_PROGRESS;
    for (struct lki_serial *s = txns_of(txn)->serial_active.last;
         s != NULL && s->serial > writer->serial; s = s->prev) {
        if (!s->read_only || s->pending == 0)
            continue;
        s->pending--;
        s->unsafe = s->unsafe || first <= s->snapshot;
        s->safe = s->pending == 0 && !s->unsafe;
        if (s->waiter != NULL && (s->safe || s->unsafe)) {
            lk_wait_signal(txn->store->conf.sched, s->waiter);
            s->waiter = NULL;
        }
    }
}

static void
enter(struct luma_txn *txn, struct lki_serial *s)
{
    struct lk_txns *txns = txns_of(txn);
    s->serial = ++txns->serial_next;
    s->read_only = txn->read_only;
    s->safe = s->unsafe = false;
    s->pending = 0;
    for (struct lki_serial *other = txns->serial_active.first; other != NULL; other = other->next)
        s->pending += !other->read_only;
    s->snapshot = txn->snap.commit = lk_slots_snapshot(&txn->store->slots, txn->slot);
    s->safe = s->read_only && s->pending == 0;
    list_add(&txns->serial_active, s);
}

/* Finished ones that nobody ran beside; the caller frees them. */
static struct lki_serial *
take_old(struct lk_txns *txns)
{
    struct lki_serial *old = NULL;
    const struct lki_serial *oldest = txns->serial_active.first;
    for (;;) {
        struct lki_serial *s = txns->serial_finished.first;
        if (s == NULL || (oldest != NULL && s->commit > oldest->snapshot))
            return old;
        list_remove(&txns->serial_finished, s);
        forget_edges(s);
        s->next = old;
        old = s;
    }
}

/* Takes s out of the active ones. */
static void
leave(struct luma_txn *txn, struct lki_serial *s, bool committed)
{
    list_remove(&txns_of(txn)->serial_active, s);
    if (!s->read_only)
        readers_tell(txn, s, committed);
}

/* Waits until it is known whether the snapshot is safe. */
static luma_rc
wait_decided(struct luma_ctx *ctx, struct luma_txn *txn, struct lki_serial *s, bool *out_safe)
{
    struct lk_txns *txns = txns_of(txn);
    struct luma_event event;
    memset(&event, 0, sizeof(event));
    lk_mutex_lock(&txns->serial_lock);
    bool decided = s->safe || s->unsafe;
    s->waiter = decided ? NULL : &event;
    lk_mutex_unlock(&txns->serial_lock);
    luma_rc rc = decided ? LUMA_OK : lk_wait_event(txn->store->conf.sched, ctx, &event, 0);
    lk_mutex_lock(&txns->serial_lock);
    s->waiter = NULL;
    *out_safe = s->safe;
    lk_mutex_unlock(&txns->serial_lock);
    return rc;
}

luma_rc
lki_serial_begin(struct luma_ctx *ctx, struct luma_txn *txn, bool may_wait)
{
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = txn->serial;
    if (s == NULL && (s = calloc(1, sizeof(*s))) == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
    bool safe = false, wait = may_wait && txn->deferrable && txn->read_only;
    do {
        lk_mutex_lock(&txns->serial_lock);
        if (txn->serial != NULL)
            leave(txn, s, false);
        s->commit = s->earliest_out = IN_PROGRESS;
        enter(txn, s);
        txn->serial = s;
        safe = s->safe;
        lk_mutex_unlock(&txns->serial_lock);
        if (wait && !safe)
            LUMA_TRY(wait_decided(ctx, txn, s, &safe));
    } while (wait && !safe);
    if (safe)
        lki_serial_end(txn, false); /* from here on it is as good as any serial order */
    return LUMA_OK;
}

luma_rc
lki_serial_check(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = txn->serial;
    lk_mutex_lock(&txns->serial_lock);
    bool doomed = s->doomed, safe = s->safe;
    lk_mutex_unlock(&txns->serial_lock);
    if (doomed)
        return refuse(ctx, txn, doomed_text);
    if (safe)
        lki_serial_end(txn, false);
    return LUMA_OK;
}

/* --- reads and writes --- */

/* Edges from s to every writer whose changes fall into the item. */
static bool
read_meets(struct lk_txns *txns, struct lki_serial *s, uint64_t coll_id,
           const struct lki_serial_read_item *item)
{
    struct lki_serial_list *lists[2] = {&txns->serial_active, &txns->serial_finished};
    for (int i = 0; i < 2; i++)
        for (struct lki_serial *other = lists[i]->first; other != NULL; other = other->next)
            if (concurrent(s, other) && !edges_have(&s->outs, other) &&
                lki_serial_reads(item, &other->sets, coll_id) && !edge_add(s, other, s))
                return false;
    return true;
}

static bool
write_meets(struct lk_txns *txns, struct lki_serial *s, uint64_t coll_id,
            const struct lki_serial_write_item *item)
{
    struct lki_serial_list *lists[2] = {&txns->serial_active, &txns->serial_finished};
    for (int i = 0; i < 2; i++)
        for (struct lki_serial *other = lists[i]->first; other != NULL; other = other->next)
            if (concurrent(s, other) && !edges_have(&other->outs, s) &&
                lki_serial_writes(item, &other->sets, coll_id) && !edge_add(other, s, s))
                return false;
    return true;
}

luma_rc
lki_serial_read(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                struct lk_cidx *cidx, const struct luma_index_range *range,
                const struct luma_scan_spec *spec)
{
    uint64_t coll_id = h->coll->id;
    if (coll_id < LK_STORE_SYSTEM_END || (spec != NULL && spec->sample))
        return LUMA_OK;
    if ((cidx == NULL && LK_MUTANT(SCAN_FORGOTTEN)) || (cidx != NULL && LK_MUTANT(RANGE_FORGOTTEN)))
        return LUMA_OK;
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = txn->serial;
    struct lki_serial_read_item *item = lki_serial_read_new(cidx, range, spec), *freed = NULL;
    lk_mutex_lock(&txns->serial_lock);
    const char *why = s->doomed ? doomed_text : NULL;
    if (why == NULL && !read_meets(txns, s, coll_id, item))
        why = pivot_text;
    bool kept = lki_serial_add_read(&s->sets, coll_id, item, &freed);
    lk_mutex_unlock(&txns->serial_lock);
    lki_serial_read_free(freed);
    if (why != NULL)
        return refuse(ctx, txn, why);
    return kept ? LUMA_OK : no_memory(ctx);
}

static luma_rc
write_item(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t coll_id,
           struct lki_serial_write_item *item)
{
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = txn->serial;
    struct lki_serial_write_item *freed = NULL;
    lk_mutex_lock(&txns->serial_lock);
    const char *why = s->doomed ? doomed_text : NULL;
    if (why == NULL && !write_meets(txns, s, coll_id, item))
        why = pivot_text;
    bool kept = lki_serial_add_write(&s->sets, coll_id, item, &freed);
    lk_mutex_unlock(&txns->serial_lock);
    lki_serial_write_free(freed);
    if (why != NULL)
        return refuse(ctx, txn, why);
    return kept ? LUMA_OK : no_memory(ctx);
}

luma_rc
lki_serial_write(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                 struct luma_slice tuple)
{
    if (h->coll->id < LK_STORE_SYSTEM_END)
        return LUMA_OK;
    return write_item(ctx, txn, h->coll->id, lki_serial_write_new(h->def, tuple));
}

luma_rc
lki_serial_write_all(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h)
{
    return h->coll->id < LK_STORE_SYSTEM_END ? LUMA_OK : write_item(ctx, txn, h->coll->id, NULL);
}

static luma_rc
remove_rows(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, const int64_t *rowids,
            uint32_t count, struct luma_arena *arena)
{
    const struct lk_def *def = h->def;
    uint32_t cols = def->coll.cols_count;
    uint32_t *ids = LUMA_NEW_ARRAY(arena, uint32_t, cols + 1);
    int32_t *found = LUMA_NEW_ARRAY(arena, int32_t, count + 1);
    const struct luma_vec **by_id = LUMA_NEW_ARRAY(arena, const struct luma_vec *, cols + 1);
    struct luma_batch old;
    if (ids == NULL || found == NULL || by_id == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "delete: out of memory");
    for (uint32_t c = 0; c < cols; c++)
        ids[c] = def->coll.cols[c].id;
    LUMA_TRY(lki_fetch(ctx, txn, h, rowids, count, ids, cols, true, arena, &old, found));
    for (uint32_t c = 0; c < cols; c++)
        by_id[c] = &old.cols[def->positions[c]];
    for (uint32_t row = 0; row < old.rows; row++) {
        const uint8_t *tuple = NULL;
        LUMA_TRY(lk_tuple_make(arena, def->tuple_cols, cols, def->ids_known, by_id, row, &tuple));
        LUMA_TRY(lki_serial_write(ctx, txn, h, luma_slice(tuple, lk_tuple_bytes(tuple))));
    }
    return LUMA_OK;
}

luma_rc
lki_serial_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h,
                  const int64_t *rowids, uint32_t count)
{
    if (h->coll->id < LK_STORE_SYSTEM_END)
        return LUMA_OK;
    struct luma_arena *arena = lk_arena_create(txn->store->budget, 0);
    if (arena == NULL)
        return lki_serial_write_all(ctx, txn, h);
    luma_rc rc = remove_rows(ctx, txn, h, rowids, count, arena);
    lk_arena_destroy(arena);
    return rc;
}

/* --- the end --- */

/* s is about to commit first: whoever would be the pivot of T1 -> pivot -> s gives way. */
static bool
doom_pivots(struct lki_serial *s)
{
    for (uint32_t i = 0; i < s->ins.count; i++) {
        struct lki_serial *pivot = s->ins.items[i];
        if (pivot->commit < PREPARED || pivot->doomed)
            continue;
        for (uint32_t k = 0; k < pivot->ins.count; k++) {
            const struct lki_serial *first = pivot->ins.items[k];
            if (first != s && (first->commit < PREPARED || first->read_only || first->doomed))
                continue;
            if (pivot->commit == PREPARED)
                return false;
            pivot->doomed = true;
            break;
        }
    }
    return true;
}

luma_rc
lki_serial_prepare(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = txn->serial;
    bool writes = txn->redo.bytes > 0 || txn->writes_count > 0;
    lk_mutex_lock(&txns->serial_lock);
    const char *why = s->doomed ? doomed_text : NULL;
    if (why == NULL && !doom_pivots(s))
        why = pivot_text;
    if (why == NULL && writes)
        s->commit = PREPARED;
    lk_mutex_unlock(&txns->serial_lock);
    return why == NULL ? LUMA_OK : refuse(ctx, txn, why);
}

void
lki_serial_placed(struct luma_txn *txn, uint64_t commit)
{
    struct lk_txns *txns = txns_of(txn);
    lk_mutex_lock(&txns->serial_lock);
    txn->serial->commit = commit;
    lk_mutex_unlock(&txns->serial_lock);
}

void
lki_serial_end(struct luma_txn *txn, bool committed)
{
    struct lk_txns *txns = txns_of(txn);
    struct lki_serial *s = LUMA_TAKE(txn->serial);
    lk_mutex_lock(&txns->serial_lock);
    leave(txn, s, committed);
    struct lki_serial *mine = NULL;
    if (committed) {
        if (s->commit == IN_PROGRESS) { /* it has written nothing */
            s->commit = atomic_load(&txn->store->slots.visible);
            s->read_only = true;
        }
        s->finished = true;
        list_add(&txns->serial_finished, s);
    } else {
        forget_edges(s);
        mine = s;
    }
    struct lki_serial *old = take_old(txns);
    lk_mutex_unlock(&txns->serial_lock);
    serial_free(mine);
    serial_free(old);
}

void
lki_serial_destroy(struct lk_txns *txns)
{
    serial_free(txns->serial_finished.first);
    lk_mutex_fini(&txns->serial_lock);
}
