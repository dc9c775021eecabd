/*
 * txn/large.c - when changes are put aside, and what of account, log records and locks goes.
 */
#include "txn/large.h"

#include <stdlib.h>

#include "storage/mutant.h"
#include "txn/lock.h"

/* What one change costs besides its tuples: its writes, an end, a lock, table room. */
#define WRITE_BYTES 256u

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "transaction: out of memory");
}

/* --- readers and marks --- */

void
lki_reader_add(struct luma_txn *txn, struct lki_reader *reader)
{
    reader->command = txn->snap.command;
    lk_mutex_lock(&txn->readers_lock);
    reader->next = txn->readers;
    if (reader->next != NULL)
        reader->next->link = &reader->next;
    reader->link = &txn->readers;
    txn->readers = reader;
    lk_mutex_unlock(&txn->readers_lock);
}

void
lki_reader_remove(struct luma_txn *txn, struct lki_reader *reader)
{
    if (reader->link == NULL)
        return;
    lk_mutex_lock(&txn->readers_lock);
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    lk_mutex_unlock(&txn->readers_lock);
    reader->link = NULL;
}

/* Does a reader tell commands a and b (a < b) apart? */
static bool
told_apart(struct luma_txn *txn, uint32_t a, uint32_t b)
{
    bool apart = false;
    lk_mutex_lock(&txn->readers_lock);
    for (const struct lki_reader *r = txn->readers; r != NULL; r = r->next)
        apart = apart || (a < r->command && r->command <= b);
    lk_mutex_unlock(&txn->readers_lock);
    return apart;
}

/* Changes of commands from here on are seen by no open reader. */
static uint32_t
readers_command(struct luma_txn *txn)
{
    uint32_t command = 0;
    lk_mutex_lock(&txn->readers_lock);
    for (const struct lki_reader *r = txn->readers; r != NULL; r = r->next)
        command = LK_MAX(command, r->command);
    lk_mutex_unlock(&txn->readers_lock);
    return command;
}

/* Commands that nobody tells apart share a mark, but for the present one. */
static luma_rc
mark_command(struct luma_ctx *ctx, struct luma_txn *txn)
{
    uint32_t kept = txn->marks_count > 0;
    for (uint32_t i = 1; i < txn->marks_count; i++)
        if (told_apart(txn, txn->marks[kept - 1].command, txn->marks[i].command))
            txn->marks[kept++] = txn->marks[i];
    txn->marks_count = kept;
    if (txn->marks_count == txn->marks_room) {
        uint32_t room = txn->marks_room == 0 ? 8 : txn->marks_room * 2;
        struct lki_mark_command *marks = realloc(txn->marks, room * sizeof(*marks));
        if (marks == NULL)
            return no_memory(ctx);
        txn->marks = marks;
        txn->marks_room = room;
    }
    txn->marks[txn->marks_count++] =
        (struct lki_mark_command){txn->snap.command, txn->writes_count, txn->redo.bytes};
    txn->marked_command = txn->snap.command;
    return LUMA_OK;
}

void
lki_large_begin(struct luma_txn *txn)
{
    txn->marks_count = 0;
    txn->marked_command = 0;
    txn->barrier_writes = 0;
    txn->barrier_redo = 0;
    txn->barrier_wanted = txn->large = false;
}

void
lki_large_barrier(struct luma_txn *txn)
{
    txn->barrier_wanted = true;
}

static void
barrier_set(struct luma_txn *txn)
{
    txn->barrier_writes = txn->writes_count;
    txn->barrier_redo = txn->redo.bytes;
    txn->marks_count = 0;
    txn->marked_command = 0;
    txn->barrier_wanted = false;
}

void
lki_large_rolled_back(struct luma_txn *txn, const struct lk_savepoint *sp)
{
    if (txn->barrier_writes > sp->writes || txn->barrier_redo > sp->redo) {
        txn->barrier_writes = sp->writes;
        txn->barrier_redo = sp->redo;
    }
    while (txn->marks_count > 0 && (txn->marks[txn->marks_count - 1].writes > sp->writes ||
                                    txn->marks[txn->marks_count - 1].redo > sp->redo))
        txn->marks_count--;
    txn->marked_command = 0;
    txn->large = txn->large && lki_lock_is_held(txn, lk_lock_txn(txn->stamp));
}

/* --- log records of a stretch --- */

/* Row ids of one collection with the same high half. */
struct ended {
    uint64_t coll_id;
    uint32_t high;
    roaring_bitmap_t *low;
};

struct spill {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    struct lki_stretch stretch;
    struct lk_bytes redo; /* what takes the place of the stretch's records */
    struct ended *ended;  /* rows changed or deleted */
    uint32_t ended_count, ended_room;
    struct lki_large **larges;
    uint32_t larges_count;
};

static roaring_bitmap_t *
ended_map(struct spill *s, uint64_t coll_id, int64_t rowid, bool make)
{
    uint32_t high = (uint32_t)((uint64_t)rowid >> 32);
    for (uint32_t i = s->ended_count; i > 0; i--)
        if (s->ended[i - 1].coll_id == coll_id && s->ended[i - 1].high == high)
            return s->ended[i - 1].low;
    if (!make)
        return NULL;
    if (s->ended_count == s->ended_room) {
        uint32_t room = s->ended_room == 0 ? 4 : s->ended_room * 2;
        struct ended *list = realloc(s->ended, room * sizeof(*list));
        if (list == NULL)
            return NULL;
        s->ended = list;
        s->ended_room = room;
    }
    roaring_bitmap_t *low = roaring_bitmap_create();
    if (low != NULL)
        s->ended[s->ended_count++] = (struct ended){coll_id, high, low};
    return low;
}

/* Rows that were changed or deleted are gathered, other operations stay. */
static luma_rc
records_read(struct spill *s, size_t from, size_t to)
{
    struct lk_reader r = lk_reader(luma_slice(s->txn->redo.data + from, to - from));
    for (;;) {
        const uint8_t *begin = r.p;
        struct lk_redo_seen seen;
        if (!lk_redo_walk(&r, &seen))
            break;
        if (seen.op == LK_REDO_UPDATE || seen.op == LK_REDO_DELETE) {
            roaring_bitmap_t *low = ended_map(s, seen.coll_id, seen.rowid, true);
            if (low == NULL)
                return no_memory(s->ctx);
            roaring_bitmap_add(low, (uint32_t)seen.rowid);
        } else if (seen.op != LK_REDO_INSERT) {
            if (!lk_bytes_append(&s->redo, begin, (size_t)(r.p - begin)))
                return no_memory(s->ctx);
        }
    }
    LK_ASSERT(!r.failed);
    return LUMA_OK;
}

static luma_rc
records_write(struct spill *s, const struct lki_large *large)
{
    bool ok = true;
    for (uint32_t i = 0; i < s->ended_count; i++) {
        if (s->ended[i].coll_id != large->coll->id || LK_MUTANT(CLAIMS_LOST))
            continue;
        roaring_bitmap_run_optimize(s->ended[i].low);
        ok = ok && lk_redo_deletes(&s->redo, large->coll->id, s->ended[i].high, s->ended[i].low);
    }
    for (uint32_t i = 0; i < large->segs_count; i++)
        ok = ok && lk_redo_segment(&s->redo, &large->segs[i]->info);
    for (uint32_t i = 0; i < large->runs_count; i++)
        ok = ok && lk_redo_run(&s->redo, large->coll->id, &large->runs[i].info);
    return ok ? LUMA_OK : no_memory(s->ctx);
}

/* --- the stretch --- */

static luma_rc
larges_make(struct spill *s)
{
    struct luma_txn *txn = s->txn;
    s->larges = calloc((size_t)txn->colls_count + 1, sizeof(*s->larges));
    if (s->larges == NULL)
        return no_memory(s->ctx);
    for (uint32_t c = 0; c < txn->colls_count; c++) {
        bool any = false;
        for (uint32_t i = 0; !any && i < s->stretch.count; i++)
            any = s->stretch.writes[i].coll == txn->colls[c];
        if (!any)
            continue;
        struct lki_large **large = &s->larges[s->larges_count];
        LUMA_TRY(lki_large_make(s->ctx, txn, txn->colls[c], &s->stretch, large));
        s->larges_count++;
        LUMA_TRY(records_write(s, *large));
    }
    return LUMA_OK;
}

/* The account names the objects in place of the changes. There is room: objects take the place of
 * at least one change each collection. */
static void
account_replace(struct spill *s, uint32_t from)
{
    struct luma_txn *txn = s->txn;
    uint32_t to = from, end = from + s->stretch.count;
    for (uint32_t i = 0; i < s->stretch.count; i++)
        if (s->stretch.kept[i])
            txn->writes[to++] = s->stretch.writes[i];
    for (uint32_t i = 0; i < s->larges_count; i++) {
        if (s->larges[i]->segs_count + s->larges[i]->ends_count == 0) {
            lki_large_free(s->larges[i]);
            continue;
        }
        txn->writes[to] = (struct lk_write){.kind = LK_WRITE_LARGE, .coll = s->larges[i]->coll};
        txn->writes[to++].large = s->larges[i];
    }
    uint32_t behind = txn->writes_count - end, less = end - to;
    memmove(txn->writes + to, txn->writes + end, behind * sizeof(txn->writes[0]));
    txn->writes_count -= less;
    for (uint32_t i = 0; i < txn->marks_count; i++)
        if (txn->marks[i].writes >= end)
            txn->marks[i].writes -= less;
}

static luma_rc
records_replace(struct spill *s, size_t from, size_t to)
{
    struct lk_bytes *redo = &s->txn->redo;
    size_t old = to - from, fresh = s->redo.bytes;
    if (fresh > old && lk_bytes_extend(redo, fresh - old) == NULL) {
        redo->failed = false;
        return no_memory(s->ctx);
    }
    size_t behind = redo->bytes - (fresh > old ? fresh - old : 0) - to;
    memmove(redo->data + from + fresh, redo->data + to, behind);
    if (fresh > 0)
        memcpy(redo->data + from, s->redo.data, fresh);
    redo->bytes = from + fresh + behind;
    for (uint32_t i = 0; i < s->txn->marks_count; i++)
        if (s->txn->marks[i].redo >= to)
            s->txn->marks[i].redo = s->txn->marks[i].redo - old + fresh;
    return LUMA_OK;
}

/* Rows that are claimed need no locks, keys whose entries everybody finds neither. */
static bool
lock_gives(void *arg, struct lk_lock_key key)
{
    const struct spill *s = arg;
    if (key.space < 4) /* transactions, collections, definitions */
        return false;
    if (key.space & 1)
        return true;
    if ((key.space & 3) != 0)
        return false;
    for (uint32_t i = 0; i < s->ended_count; i++)
        if (s->ended[i].coll_id == key.space >> 2 && s->ended[i].high == key.id >> 32)
            return roaring_bitmap_contains(s->ended[i].low, (uint32_t)key.id);
    return false;
}

/* Rows whose ends stay in hot tables keep their locks. */
static void
locked_rows_keep(struct spill *s)
{
    for (uint32_t i = 0; i < s->stretch.count; i++) {
        const struct lk_write *w = &s->stretch.writes[i];
        if (!s->stretch.kept[i] || w->kind != LK_WRITE_END_HOT)
            continue;
        roaring_bitmap_t *low = ended_map(s, w->coll->id, w->version->rowid, false);
        if (low != NULL)
            roaring_bitmap_remove(low, (uint32_t)w->version->rowid);
    }
}

static void
hots_let_go(struct luma_txn *txn)
{
    for (uint32_t i = 0; i < txn->writes_count; i++)
        if (txn->writes[i].kind == LK_WRITE_BEGIN || txn->writes[i].kind == LK_WRITE_END_HOT)
            return;
    while (txn->hots_count > 0)
        lk_hot_unref(txn->hots[--txn->hots_count]);
}

static void
spill_fini(struct spill *s)
{
    for (uint32_t i = 0; i < s->ended_count; i++)
        roaring_bitmap_free(s->ended[i].low);
    free(s->ended);
    free(s->stretch.kept);
    free(s->stretch.writes);
    free(s->larges);
    lk_bytes_fini(&s->redo);
}

static luma_rc
stretch_take(struct spill *s, uint32_t from, uint32_t to)
{
    struct luma_txn *txn = s->txn;
    struct lki_stretch *t = &s->stretch;
    t->count = to - from;
    /* A copy: the account grows by nothing meanwhile, but what is freed must not be read again. */
    t->writes = malloc((size_t)t->count * sizeof(*t->writes));
    t->kept = calloc(t->count, sizeof(bool));
    if (t->writes == NULL || t->kept == NULL)
        return no_memory(s->ctx);
    memcpy(t->writes, txn->writes + from, (size_t)t->count * sizeof(*t->writes));
    memset(t->kept, true, t->count);
    return LUMA_OK;
}

/* Puts writes [w0, w1) aside, whose records are redo [r0, r1) and whose commands are up to
 * `command`. */
static luma_rc
spill_stretch(struct luma_ctx *ctx, struct luma_txn *txn, uint32_t w0, uint32_t w1, size_t r0,
              size_t r1, uint32_t command, uint32_t floor)
{
    struct spill s = {.ctx = ctx, .txn = txn};
    struct lk_hold *base =
        txn->savepoints_count == 0 ? NULL : txn->savepoints[txn->savepoints_count - 1].holds;
    lk_bytes_init(&s.redo, NULL);
    s.stretch.command = command;
    s.stretch.floor = floor;
    luma_rc rc = stretch_take(&s, w0, w1);
    if (rc == LUMA_OK && !txn->large) {
        rc = lk_lock_take(ctx, txn, lk_lock_txn(txn->stamp), LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT);
        txn->large = rc == LUMA_OK;
    }
    if (rc == LUMA_OK)
        rc = records_read(&s, r0, r1);
    if (rc == LUMA_OK)
        rc = larges_make(&s);
    /* From here on the account must say what was done, whatever becomes of the statement. */
    if (rc == LUMA_OK) {
        locked_rows_keep(&s);
        rc = records_replace(&s, r0, r1);
    }
    if (s.larges_count > 0)
        account_replace(&s, w0);
    if (rc == LUMA_OK) {
        hots_let_go(txn);
        lki_locks_give(txn, base, lock_gives, &s);
    } else {
        txn->redo.failed =
            true; /* it cannot be committed any more, unless it rolls back to before */
    }
    spill_fini(&s);
    return rc;
}

static size_t
cost(const struct luma_txn *txn, uint32_t writes, size_t redo)
{
    return (txn->redo.bytes - redo) * 2 + (size_t)(txn->writes_count - writes) * WRITE_BYTES;
}

static luma_rc
spill_from(struct luma_ctx *ctx, struct luma_txn *txn, size_t limit)
{
    uint32_t base = txn->barrier_writes, floor = readers_command(txn), first = 0;
    size_t base_redo = txn->barrier_redo;
    if (txn->savepoints_count > 0) {
        const struct lk_savepoint *sp = &txn->savepoints[txn->savepoints_count - 1];
        base = LK_MAX(base, sp->writes);
        base_redo = LK_MAX(base_redo, sp->redo);
    }
    while (first < txn->marks_count && txn->marks[first].command < floor)
        first++;
    if (first == txn->marks_count)
        return LUMA_OK;
    const struct lki_mark_command *last = &txn->marks[txn->marks_count - 1];
    uint32_t w0 = LK_MAX(base, txn->marks[first].writes);
    size_t r0 = LK_MAX(base_redo, txn->marks[first].redo);
    if (cost(txn, w0, r0) < limit)
        return LUMA_OK;
    /* The present command's changes are not mixed with earlier ones. */
    bool present = last->command == txn->snap.command;
    uint32_t split = LK_MAX(w0, last->writes);
    if (present && split > w0) {
        LUMA_TRY(spill_stretch(ctx, txn, w0, split, r0, LK_MAX(r0, last->redo),
                               txn->snap.command - 1, floor));
        last = &txn->marks[txn->marks_count - 1];
        w0 = last->writes;
        r0 = last->redo;
    }
    if (w0 == txn->writes_count)
        return LUMA_OK;
    return spill_stretch(ctx, txn, w0, txn->writes_count, r0, txn->redo.bytes,
                         txn->snap.command - !present, floor);
}

static size_t
limit_of(const struct lk_store *store)
{
    if (store->conf.large_bytes != 0)
        return store->conf.large_bytes;
    uint64_t limit = LK_MIN(store->conf.hot_bytes / 2, (uint64_t)64 << 20);
    return LK_MAX(limit, (uint64_t)64 << 10);
}

luma_rc
lki_large_due(struct luma_ctx *ctx, struct luma_txn *txn)
{
    if (LUMA_UNLIKELY(txn->barrier_wanted))
        barrier_set(txn);
    size_t limit = limit_of(txn->store);
    if (LUMA_UNLIKELY(cost(txn, txn->barrier_writes, txn->barrier_redo) >= limit) &&
        !txn->redo.failed)
        LUMA_TRY(spill_from(ctx, txn, limit));
    return txn->marked_command == txn->snap.command ? LUMA_OK : mark_command(ctx, txn);
}

luma_rc
lki_large_before_savepoint(struct luma_ctx *ctx, struct luma_txn *txn)
{
    size_t limit = limit_of(txn->store) / 2;
    if (txn->barrier_wanted)
        barrier_set(txn);
    if (cost(txn, txn->barrier_writes, txn->barrier_redo) < limit || txn->redo.failed)
        return LUMA_OK;
    return spill_from(ctx, txn, limit);
}

/* --- others meet claims --- */

luma_rc
lki_large_wait(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t stamp, enum luma_lock_wait wait)
{
    struct lk_hold *before = txn->holds;
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_txn(stamp), LUMA_LOCK_SHARE, wait));
    lk_lock_release(txn, before); /* it was waited for, no more */
    return LUMA_OK;
}

/* After a wait: has the transaction gone and left its mark behind? */
static luma_rc
ended_check(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t stamp, uint64_t waited_for)
{
    const struct lk_slot *slot = &txn->store->slots.slots[stamp & (LK_SLOTS_MAX - 1)];
    if (stamp != waited_for || atomic_load(&slot->stamp) == stamp)
        return LUMA_OK;
    return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "a row is held by a transaction that is over");
}

luma_rc
lki_row_lock(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *h, int64_t rowid,
             enum luma_lock_mode mode, enum luma_lock_wait wait)
{
    LUMA_TRY(lk_lock_take(ctx, txn, lk_lock_row(h->coll->id, rowid), mode, wait));
    for (uint64_t waited_for = 0;;) {
        struct lk_place place;
        bool found = false;
        uint64_t other = 0;
        LUMA_TRY(lki_row_current(ctx, txn, h, rowid, NULL, &place, &found, &other));
        if (LUMA_LIKELY(!found || other == 0))
            return LUMA_OK;
        /* Whoever ends a row outside a claim has its lock, in a mode that goes with ours. */
        enum lk_claimed claimed =
            place.hot != NULL ? LK_CLAIMED_NOT : lk_seg_claimed(place.seg, place.row);
        if (claimed == LK_CLAIMED_NOT ||
            (claimed == LK_CLAIMED_WEAKLY && mode == LUMA_LOCK_KEY_SHARE))
            return LUMA_OK;
        LUMA_TRY(ended_check(ctx, txn, other, waited_for));
        LUMA_TRY(lki_large_wait(ctx, txn, other, wait));
        waited_for = other;
    }
}
