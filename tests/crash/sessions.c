/*
 * tests/crash/sessions.c - see sessions.h.
 *
 * Who goes on is drawn anew at every wait, between statements and at calls of the disk, so that
 * commits fall into the middle of checkpoints, merges and each other.
 */
#include "sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "crash.h"
#include "data/data.h"
#include "history.h"
#include "io/sim.h"
#include "storage/core.h"
#include "turns.h"

#define COLL     1001
#define PK       2001
#define BY_GROUP 2002
#define GROUPS   4
#define SESSIONS 5
#define OPS_MAX  5
#define LIST_MAX 4000
#define DIGITS   6
#define FLUSH_NS 10000000ULL /* asynchronous durability: this much may be lost */
#define CALL_NS  400000      /* what the clock moves at most between two statements */

struct sessions_totals sessions_totals;

enum mix { MIX_ALL, MIX_SERIALIZABLE, MIX_SNAPSHOT, MIX_COMMITTED, MIX_COUNT };

struct play {
    struct lk_rand r;
    struct lk_io *io;
    struct lk_store *store;
    struct history *history;
    uint64_t seed;
    uint32_t life;
    enum mix mix;
    bool async, sick; /* sick: a sync was made to fail */
    bool over;        /* this life: sessions end */
    int working;
    char complaint[2048];
    uint32_t list[LIST_MAX]; /* scratch, between two turns */
};

struct session {
    struct play *play;
    struct lk_rand r;
    struct luma_arena *arena;
    struct lk_ctx c;
    struct luma_txn *txn;
    struct luma_coll *h;
    enum luma_isolation level;
    uint32_t number;         /* of the transaction in the history */
    bool read_only, patient; /* patient: its snapshot grows old */
    uint32_t txns_left;
};

#define COMPLAIN(play, ...)                                                      \
    do {                                                                         \
        if ((play)->complaint[0] == '\0')                                        \
            snprintf((play)->complaint, sizeof((play)->complaint), __VA_ARGS__); \
        (play)->over = true;                                                     \
    } while (0)

/* --- rows --- */

static struct luma_value
int8_value(int64_t v)
{
    struct luma_value value;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = v;
    return value;
}

static int64_t
int8_at(const struct luma_batch *batch, uint32_t col, uint32_t row)
{
    return *(const int64_t *)luma_vec_at(&batch->cols[col], row);
}

/* Key, group and list of one row. */
static void
row_batch(struct session *s, struct luma_batch *batch, int64_t key, int64_t group, const char *text,
          size_t bytes)
{
    memset(batch, 0, sizeof(*batch));
    batch->rows = batch->sel_rows = 1;
    batch->cols_count = 3;
    batch->cols = LUMA_NEW_ARRAY(s->arena, struct luma_vec, 3);
    luma_vec_init(&batch->cols[0], s->arena, luma_type(LUMA_TYPE_INT8), 1);
    luma_vec_init(&batch->cols[1], s->arena, luma_type(LUMA_TYPE_INT8), 1);
    luma_vec_init(&batch->cols[2], s->arena, luma_type(LUMA_TYPE_TEXT), 1);
    *(int64_t *)batch->cols[0].data = key;
    *(int64_t *)batch->cols[1].data = group;
    *(struct luma_str *)batch->cols[2].data =
        luma_str_make(luma_arena_copy(s->arena, text, bytes), (uint32_t)bytes);
}

/* UINT32_MAX: the text is no list. */
static uint32_t
list_read(struct play *play, const struct luma_str *text)
{
    const char *p = luma_str_data(text);
    uint32_t count = text->bytes / DIGITS;
    if (text->bytes % DIGITS != 0 || count > LIST_MAX)
        return UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        char digits[DIGITS + 1] = {0};
        memcpy(digits, p + (size_t)i * DIGITS, DIGITS);
        play->list[i] = (uint32_t)strtoul(digits, NULL, 16);
    }
    return count;
}

static luma_rc
define(struct session *s)
{
    struct luma_txn *txn = NULL;
    struct luma_store_col cols[3];
    struct luma_store_index indexes[2];
    struct luma_store_index_col pk = {1, 0}, by_group = {2, 0};
    memset(cols, 0, sizeof(cols));
    memset(indexes, 0, sizeof(indexes));
    for (uint32_t i = 0; i < 3; i++) {
        cols[i].id = i + 1;
        cols[i].type = luma_type(i == 2 ? LUMA_TYPE_TEXT : LUMA_TYPE_INT8);
    }
    indexes[0] = (struct luma_store_index){
        .id = PK, .kind = "btree", .unique = true, .primary = true, .cols_count = 1, .cols = &pk};
    indexes[1] = (struct luma_store_index){
        .id = BY_GROUP, .kind = "btree", .cols_count = 1, .cols = &by_group};
    struct luma_store_coll def = {
        .id = COLL, .cols_count = 3, .cols = cols, .indexes_count = 2, .indexes = indexes};
    LUMA_TRY(lk_txn_host.begin(&s->c.ctx, NULL, &txn));
    luma_rc rc = lk_txn_host.statement_begin(&s->c.ctx, txn);
    if (rc == LUMA_OK)
        rc = lk_store_define(&s->c.ctx, txn, &def);
    if (rc == LUMA_OK)
        return lk_txn_host.commit(&s->c.ctx, txn);
    lk_txn_host.rollback(txn);
    return rc;
}

/* --- reading --- */

/* The rows of a cursor: what the snapshot holds goes to `rows`; met counts them. */
static luma_rc
rows_take(struct session *s, struct luma_cursor *cursor, struct history_row *rows, uint32_t *met)
{
    struct play *play = s->play;
    for (;;) {
        struct luma_batch *batch = NULL;
        LUMA_TRY(lk_store_host.cursor_next(&s->c.ctx, cursor, &batch));
        if (batch->sel_rows == 0)
            return LUMA_OK;
        LUMA_BATCH_FOR (batch, row) {
            int64_t key = int8_at(batch, 0, row);
            uint32_t count = list_read(play, luma_vec_at(&batch->cols[2], row));
            if (key < 0 || key >= HISTORY_KEYS || count == UINT32_MAX) {
                COMPLAIN(play, "T%u found a row that was never written", s->number);
                continue;
            }
            if (met[key]++ > 0)
                COMPLAIN(play, "T%u found key %lld twice", s->number, (long long)key);
            const char *wrong = history_row(play->history, &rows[key], s->number, (int32_t)key,
                                            play->list, count, (int32_t)int8_at(batch, 1, row));
            if (wrong != NULL)
                COMPLAIN(play, "%s", wrong);
        }
    }
}

/* group -1: all rows, and it does not count as reading. */
static luma_rc
rows_scan(struct session *s, int64_t group, bool by_index, struct history_row *rows, uint32_t *met)
{
    static const uint32_t cols[3] = {1, 2, 3};
    struct luma_value value = int8_value(group);
    struct luma_pred pred = {.col = 1, .op = LUMA_PRED_EQ, .values_count = 1, .values = &value};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 3, .sample = group < 0};
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    luma_rc rc;
    if (by_index) {
        struct luma_key_range range = {.lo = &value, .hi = &value, .lo_count = 1, .hi_count = 1};
        rc = lk_store_host.index_scan(&s->c.ctx, s->txn, s->h, BY_GROUP, &range, &spec, &cursor);
    } else {
        spec.preds = &pred;
        spec.preds_count = group < 0 ? 0 : 1;
        rc = lk_store_host.scan_open(&s->c.ctx, s->txn, s->h, &spec, &scan);
        if (rc == LUMA_OK)
            rc = lk_store_host.cursor_open(&s->c.ctx, scan, &cursor);
    }
    if (rc == LUMA_OK)
        rc = rows_take(s, cursor, rows, met);
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    return rc;
}

static bool
same_row(const struct history_row *a, const struct history_row *b)
{
    return a->count == b->count && a->hash == b->hash && a->own == b->own && a->group == b->group;
}

/* A query's answer against the rows of the same snapshot. */
static void
answer_compare(struct session *s, const struct history_row *all, const struct history_row *some,
               const uint32_t *met, int32_t key, int32_t group)
{
    for (int32_t k = 0; k < HISTORY_KEYS; k++) {
        bool there = all[k].count > 0 || all[k].own;
        bool wanted = there && (group >= 0 ? all[k].group == group : k == key);
        if ((group >= 0 || k == key) &&
            ((met[k] > 0) != wanted || (wanted && !same_row(&all[k], &some[k]))))
            COMPLAIN(s->play, "T%u by %s: key %d is not what a scan of the same snapshot gives",
                     s->number, group >= 0 ? "group" : "key", k);
    }
}

static luma_rc
read_key(struct session *s, int32_t key, struct history_row *rows, uint32_t *met)
{
    static const uint32_t cols[2] = {2, 3};
    struct luma_value value = int8_value(key), out[2];
    int64_t rowid = -1;
    LUMA_TRY(
        lk_store_host.get(&s->c.ctx, s->txn, s->h, PK, &value, 1, cols, 2, s->arena, out, &rowid));
    if (rowid < 0)
        return LUMA_OK;
    met[key]++;
    uint32_t count = list_read(s->play, &out[1].str);
    const char *wrong = count == UINT32_MAX
                            ? "a list that was never written"
                            : history_row(s->play->history, &rows[key], s->number, key,
                                          s->play->list, count, (int32_t)out[0].i64);
    if (wrong != NULL)
        COMPLAIN(s->play, "%s", wrong);
    return LUMA_OK;
}

/* The snapshot of a statement, and maybe a query under it. */
static luma_rc
statement(struct session *s, int32_t key, int32_t group)
{
    struct history *h = s->play->history;
    struct history_row all[HISTORY_KEYS], some[HISTORY_KEYS];
    uint32_t met[HISTORY_KEYS] = {0}, met_some[HISTORY_KEYS] = {0};
    memset(all, 0, sizeof(all));
    memset(some, 0, sizeof(some));
    uint32_t at = h->reads_count;
    (void)history_read(h, s->number, key, group);
    LUMA_TRY(lk_txn_host.statement_begin(&s->c.ctx, s->txn));
    LUMA_TRY(rows_scan(s, -1, false, all, met));
    if (key >= 0)
        LUMA_TRY(read_key(s, key, some, met_some));
    if (group >= 0)
        LUMA_TRY(rows_scan(s, group, lk_rand_percent(&s->r, 60), some, met_some));
    if (key >= 0 || group >= 0)
        answer_compare(s, all, some, met_some, key, group);
    memcpy(h->reads[at].rows, all, sizeof(all));
    /* No answer before what it rests on is durable. */
    LUMA_TRY(lk_txn_host.wait_seen(&s->c.ctx, s->txn));
    h->reads[at].returned = history_now(h);
    return LUMA_OK;
}

/* --- writing --- */

static luma_rc
rowid_of(struct session *s, int32_t key, int64_t *out_rowid)
{
    static const uint32_t cols[1] = {2};
    struct luma_value value = int8_value(key), out;
    return lk_store_host.get(&s->c.ctx, s->txn, s->h, PK, &value, 1, cols, 1, s->arena, &out,
                             out_rowid);
}

/* The new list of a row that is locked; newest: it has changed since the snapshot. */
static luma_rc
list_longer(struct session *s, int64_t rowid, bool newest, uint32_t element, char **out_text,
            size_t *out_bytes)
{
    static const uint32_t cols[1] = {3};
    struct luma_batch old;
    int32_t found = -1;
    LUMA_TRY(lk_store_host.fetch(&s->c.ctx, s->txn, s->h, &rowid, 1, cols, 1, newest, s->arena,
                                 &old, &found));
    if (found < 0)
        return LUMA_FAIL(&s->c.ctx, LUMA_E_INTERNAL, "a locked row is not there");
    const struct luma_str *text = luma_vec_at(&old.cols[0], 0);
    char *longer = luma_arena_alloc(s->arena, (size_t)text->bytes + DIGITS + 1);
    memcpy(longer, luma_str_data(text), text->bytes);
    snprintf(longer + text->bytes, DIGITS + 1, "%06x", element);
    *out_text = longer;
    *out_bytes = (size_t)text->bytes + DIGITS;
    return LUMA_OK;
}

static luma_rc
row_change(struct session *s, int32_t key, int64_t rowid, bool newest, int32_t group,
           uint32_t element, bool replace)
{
    static const uint32_t cols[2] = {2, 3};
    struct luma_batch batch;
    char *text = NULL;
    size_t bytes = 0;
    LUMA_TRY(list_longer(s, rowid, newest, element, &text, &bytes));
    row_batch(s, &batch, key, group, text, bytes);
    if (replace) {
        LUMA_TRY(lk_store_host.remove(&s->c.ctx, s->txn, s->h, &rowid, 1));
        lk_txn_host.command_end(s->txn);
        return lk_store_host.insert(&s->c.ctx, s->txn, s->h, &batch, NULL, NULL, NULL);
    }
    batch.cols++;
    batch.cols_count = 2;
    return lk_store_host.update(&s->c.ctx, s->txn, s->h, &rowid, 1, cols, &batch);
}

static luma_rc
row_make(struct session *s, int32_t key, int32_t group, uint32_t element)
{
    struct luma_batch batch;
    char text[DIGITS + 1];
    snprintf(text, sizeof(text), "%06x", element);
    row_batch(s, &batch, key, group, text, DIGITS);
    return lk_store_host.insert(&s->c.ctx, s->txn, s->h, &batch, NULL, NULL, NULL);
}

/* One more element for a key's list, as UPDATE or INSERT would do it. */
static luma_rc
append(struct session *s)
{
    int32_t key = (int32_t)lk_rand_below(&s->r, HISTORY_KEYS);
    int32_t group = (int32_t)lk_rand_below(&s->r, GROUPS);
    bool replace = lk_rand_percent(&s->r, 15);
    enum luma_lock_result result = LUMA_ROW_GONE;
    int64_t rowid = -1;
    LUMA_TRY(statement(s, key, -1));
    LUMA_TRY(rowid_of(s, key, &rowid));
    if (rowid >= 0) {
        turns_pass();
        LUMA_TRY(lk_store_host.lock(&s->c.ctx, s->txn, s->h, &rowid, 1,
                                    replace ? LUMA_LOCK_UPDATE : LUMA_LOCK_NO_KEY_UPDATE,
                                    LUMA_LOCK_WAIT, &result));
        if (result == LUMA_ROW_GONE)
            return LUMA_OK;
    }
    uint32_t element = history_append(s->play->history, s->number, key, group);
    if (rowid >= 0)
        LUMA_TRY(row_change(s, key, rowid, result == LUMA_ROW_CHANGED, group, element, replace));
    else
        LUMA_TRY(row_make(s, key, group, element));
    lk_txn_host.command_end(s->txn);
    history_append_at(s->play->history, element)->undone = false;
    return LUMA_OK;
}

/* A savepoint, something under it, and back; or not back. */
static luma_rc
append_maybe(struct session *s)
{
    struct history *h = s->play->history;
    uint64_t savepoint = 0;
    LUMA_TRY(lk_txn_host.savepoint(&s->c.ctx, s->txn, &savepoint));
    uint32_t first = history_appends(h) + 1;
    LUMA_TRY(append(s));
    turns_pass();
    if (lk_rand_percent(&s->r, 40)) {
        lk_txn_host.release(s->txn, savepoint);
        return LUMA_OK;
    }
    LUMA_TRY(lk_txn_host.rollback_to(&s->c.ctx, s->txn, savepoint));
    for (uint32_t e = first; e <= history_appends(h); e++)
        if (history_append_at(h, e)->txn == s->number)
            history_append_at(h, e)->undone = true;
    return LUMA_OK;
}

/* --- transactions --- */

static enum luma_isolation
level_draw(struct session *s)
{
    static const enum luma_isolation levels[] = {LUMA_READ_COMMITTED, LUMA_REPEATABLE_READ,
                                                 LUMA_SERIALIZABLE};
    switch (s->play->mix) {
    case MIX_SERIALIZABLE:
        return LUMA_SERIALIZABLE;
    case MIX_SNAPSHOT:
        return LUMA_REPEATABLE_READ;
    case MIX_COMMITTED:
        return LUMA_READ_COMMITTED;
    default:
        return levels[lk_rand_below(&s->r, 3)];
    }
}

static luma_rc
operation(struct session *s)
{
    uint64_t dice = lk_rand_below(&s->r, 100);
    if (dice < 25)
        return statement(s, (int32_t)lk_rand_below(&s->r, HISTORY_KEYS), -1);
    if (dice < 50 || s->read_only)
        return statement(s, -1, (int32_t)lk_rand_below(&s->r, GROUPS));
    return dice < 60 ? append_maybe(s) : append(s);
}

static luma_rc
txn_begin(struct session *s)
{
    s->level = level_draw(s);
    s->patient = s->level == LUMA_REPEATABLE_READ && lk_rand_percent(&s->r, 10);
    s->read_only = s->patient || lk_rand_percent(&s->r, 15);
    s->number = history_txn(s->play->history, s->level, s->play->life);
    sessions_totals.txns++;
    struct luma_txn_opts opts = {.isolation = s->level, .read_only = s->read_only};
    opts.deferrable = s->read_only && lk_rand_percent(&s->r, 20);
    LUMA_TRY(lk_txn_host.begin(&s->c.ctx, &opts, &s->txn));
    return lk_store_host.open(&s->c.ctx, s->txn, COLL, &s->h);
}

static void
txn_commit(struct session *s)
{
    struct play *play = s->play;
    struct history_txn *txn = history_txn_at(play->history, s->number);
    uint64_t commit = 0;
    txn->invoked = history_now(play->history);
    luma_rc rc = lk_txn_host.commit_get(&s->c.ctx, s->txn, &commit);
    s->txn = NULL;
    txn = history_txn_at(play->history, s->number);
    if (rc == LUMA_OK) {
        txn->status = HISTORY_COMMITTED;
        txn->returned = history_now(play->history);
        txn->commit = commit;
        txn->acknowledged_ns = lk_io_now_ns(play->io);
        sessions_totals.committed++;
    } else if (rc == LUMA_E_CONFLICT) {
        sessions_totals.conflicts++;
    } else {
        txn->status = HISTORY_UNKNOWN;
        sessions_totals.unknown++;
        if (!lk_io_sim_is_dead(play->io) && !play->sick)
            COMPLAIN(play, "COMMIT failed: %s", s->c.error.message);
        play->over = true;
    }
}

/* What may end a transaction that did nothing wrong. */
static void
txn_fail(struct session *s, luma_rc rc)
{
    struct play *play = s->play;
    sessions_totals.conflicts += rc == LUMA_E_CONFLICT;
    sessions_totals.deadlocks += rc == LUMA_E_DEADLOCK;
    if (rc == LUMA_E_CONFLICT && s->level == LUMA_READ_COMMITTED)
        COMPLAIN(play, "READ COMMITTED was told to try again: %s", s->c.error.message);
    if (rc == LUMA_E_CONFLICT || rc == LUMA_E_DEADLOCK || rc == LUMA_E_UNIQUE)
        return;
    if (!lk_io_sim_is_dead(play->io) && !play->sick)
        COMPLAIN(play, "a statement failed: %s", s->c.error.message);
    play->over = true;
}

static void
txn_run(struct session *s)
{
    s->arena->reset(s->arena);
    lk_ctx_init(&s->c, s->arena);
    luma_rc rc = txn_begin(s);
    uint64_t ops = 1 + lk_rand_below(&s->r, s->patient ? 4 * OPS_MAX : OPS_MAX);
    for (uint64_t left = ops; rc == LUMA_OK && left > 0 && !s->play->over; left--) {
        for (uint64_t rest = s->patient ? lk_rand_below(&s->r, 100) : 0; rest > 0; rest--)
            turns_pass();
        turns_pass();
        lk_io_sim_advance(s->play->io, lk_rand_below(&s->r, CALL_NS));
        lk_wal_tick(s->play->store->wal);
        rc = operation(s);
    }
    lk_store_host.close(s->h);
    s->h = NULL;
    if (rc != LUMA_OK)
        txn_fail(s, rc);
    else if (!s->play->over && lk_rand_percent(&s->r, 90))
        txn_commit(s);
    if (s->txn != NULL)
        lk_txn_host.rollback(s->txn);
    s->txn = NULL;
}

/* --- side by side --- */

static void
background(struct session *s)
{
    struct play *play = s->play;
    while (play->working > 0 && !play->over) {
        bool work = false;
        for (uint64_t rest = lk_rand_below(&s->r, 400); rest > 0 && play->working > 0; rest--)
            turns_pass();
        lk_ctx_init(&s->c, s->arena);
        luma_rc rc = lk_rand_percent(&s->r, 60) ? lk_store_checkpoint(&s->c.ctx, play->store)
                                                : lk_store_merge(&s->c.ctx, play->store, &work);
        if (rc == LUMA_OK && lk_rand_percent(&s->r, 10))
            rc = lk_store_host.reindex(&s->c.ctx, COLL, 0);
        if (rc != LUMA_OK && !lk_io_sim_is_dead(play->io) && !play->sick)
            COMPLAIN(play, "background work failed: %s", s->c.error.message);
        if (rc != LUMA_OK)
            break;
    }
}

static void
session_main(void *arg)
{
    struct session *s = arg;
    if (s->txns_left == 0) {
        background(s);
        return;
    }
    for (; s->txns_left > 0 && !s->play->over; s->txns_left--)
        txn_run(s);
    s->play->working--;
}

/* Commits, flushes and merges are interrupted at calls of the disk. Not where a file of the log is
 * made: that holds a lock across its calls. */
static void
disk_called(void *arg)
{
    struct play *play = arg;
    const char *phase = lk_io_phase_now();
    if (phase[0] == '\0' || strcmp(phase, "log roll") == 0 || strcmp(phase, "recovery") == 0)
        return;
    (void)play;
    turns_pass();
}

static void
session_init(struct session *s, struct play *play, uint64_t seed, uint32_t txns)
{
    memset(s, 0, sizeof(*s));
    s->play = play;
    s->arena = lk_arena_create(NULL, 0);
    lk_rand_init(&s->r, seed);
    lk_ctx_init(&s->c, s->arena);
    s->txns_left = txns;
}

static void
sessions_play(struct play *play)
{
    struct session sessions[SESSIONS + 1];
    void *args[SESSIONS + 1];
    for (int i = 0; i <= SESSIONS; i++) {
        uint32_t txns = i == SESSIONS ? 0 : 10 + (uint32_t)lk_rand_below(&play->r, 25);
        session_init(&sessions[i], play, lk_rand_u64(&play->r), txns);
        args[i] = &sessions[i];
    }
    play->over = false;
    play->working = SESSIONS;
    lk_io_sim_on_call(play->io, disk_called, play);
    turns_run(lk_rand_u64(&play->r), session_main, args, SESSIONS + 1);
    lk_io_sim_on_call(play->io, NULL, NULL);
    for (int i = 0; i <= SESSIONS; i++)
        lk_arena_destroy(sessions[i].arena);
}

/* --- lives --- */

static luma_rc
store_open(struct play *play, struct session *s)
{
    struct lk_store_conf conf;
    lk_store_conf_default(&conf);
    conf.io = play->io;
    conf.dir = "/data";
    conf.services = crash_services();
    conf.sched = &turns_sched;
    conf.wal_file_bytes = 64u << 10;
    conf.small_bytes = 2u << 10;
    conf.cache_bytes = 8u << 20;
    conf.wal_inline = true;
    conf.async = play->async;
    conf.async_flush_ns = FLUSH_NS;
    LUMA_TRY(lk_store_open(&s->c.ctx, &conf, &play->store));
    struct luma_coll *h = NULL;
    struct luma_txn *txn = NULL;
    LUMA_TRY(lk_txn_host.begin(&s->c.ctx, NULL, &txn));
    bool there = lk_store_host.open(&s->c.ctx, txn, COLL, &h) == LUMA_OK;
    lk_store_host.close(h);
    lk_txn_host.rollback(txn);
    lk_ctx_init(&s->c, s->arena);
    return there ? LUMA_OK : define(s);
}

/* A transaction that reads everything, right after a start or in the end. */
static luma_rc
read_all(struct play *play, struct session *s, bool final)
{
    s->read_only = true;
    s->level = LUMA_REPEATABLE_READ;
    s->number = history_txn(play->history, s->level, play->life);
    struct luma_txn_opts opts = {.isolation = s->level, .read_only = true};
    LUMA_TRY(lk_txn_host.begin(&s->c.ctx, &opts, &s->txn));
    luma_rc rc = lk_store_host.open(&s->c.ctx, s->txn, COLL, &s->h);
    if (rc == LUMA_OK)
        rc = statement(s, -1, -1);
    for (int32_t g = 0; rc == LUMA_OK && g < GROUPS; g++)
        rc = statement(s, -1, g);
    for (int32_t k = 0; rc == LUMA_OK && k < HISTORY_KEYS; k++) {
        struct luma_value value = int8_value(k), out;
        static const uint32_t cols[1] = {3};
        int64_t rowid = -1;
        rc = lk_store_host.get(&s->c.ctx, s->txn, s->h, PK, &value, 1, cols, 1, s->arena, &out,
                               &rowid);
        uint32_t count = rc == LUMA_OK && rowid >= 0 ? list_read(play, &out.str) : 0;
        if (rc == LUMA_OK && final && count != UINT32_MAX)
            history_final(play->history, k, play->list, count);
    }
    lk_store_host.close(s->h);
    s->h = NULL;
    if (rc == LUMA_OK)
        txn_commit(s);
    else
        lk_txn_host.rollback(s->txn);
    s->txn = NULL;
    return rc;
}

static void
misfortune(struct play *play)
{
    uint64_t calls = lk_io_sim_calls(play->io);
    if (lk_rand_percent(&play->r, 85))
        lk_io_sim_cut_at(play->io,
                         calls + 1 +
                             lk_rand_below(&play->r, lk_rand_percent(&play->r, 20) ? 60 : 1500));
    play->sick = lk_rand_percent(&play->r, 10);
    if (play->sick) {
        struct lk_io_sim_rule rule = {.call = LK_IO_CALL_SYNC, .action = LK_IO_SIM_SYNC_DROP};
        rule.skip = lk_rand_below(&play->r, 100);
        rule.times = 1;
        lk_io_sim_rule(play->io, &rule);
    }
}

static void
life(struct play *play, bool last)
{
    struct session s;
    sessions_totals.lives++;
    session_init(&s, play, lk_rand_u64(&play->r), 0);
    play->sick = false;
    if (!last)
        misfortune(play);
    luma_rc rc = store_open(play, &s);
    if (rc == LUMA_OK)
        rc = read_all(play, &s, false);
    if (rc == LUMA_OK)
        sessions_play(play);
    if (rc == LUMA_OK)
        lk_ctx_init(&s.c, s.arena);
    if (rc == LUMA_OK && last && play->complaint[0] == '\0')
        rc = read_all(play, &s, true);
    if (rc != LUMA_OK && ((!lk_io_sim_is_dead(play->io) && !play->sick) || last))
        COMPLAIN(play, "a start failed: %s", s.c.error.message);
    if (!last && !lk_io_sim_is_dead(play->io))
        lk_io_sim_crash(play->io);
    if (play->async && !last)
        history_may_lose(play->history, play->life, lk_io_sim_cut_ns(play->io),
                         FLUSH_NS + SESSIONS * CALL_NS);
    lk_store_close(play->store);
    play->store = NULL;
    lk_arena_destroy(s.arena);
    lk_io_sim_cut_at(play->io, 0);
    lk_io_sim_rules_clear(play->io);
    lk_io_sim_restart(play->io);
    history_restart(play->history);
    play->life++;
}

const char *
sessions_run(uint64_t seed)
{
    static char text[2048];
    struct play *play = calloc(1, sizeof(*play));
    lk_rand_init(&play->r, seed * 2654435761u + 17);
    play->seed = seed;
    play->io = lk_io_sim_create(seed);
    play->history = history_create();
    play->async = seed % 3 == 2;
    play->mix = (enum mix)(seed % (MIX_COUNT + 1) % MIX_COUNT);
    int lives = 1 + (int)lk_rand_below(&play->r, 4);
    for (int i = 0; i < lives && play->complaint[0] == '\0'; i++)
        life(play, i == lives - 1);
    text[0] = '\0';
    const char *wrong = play->complaint[0] != '\0' ? play->complaint : history_check(play->history);
    if (wrong != NULL)
        snprintf(text, sizeof(text), "%s", wrong);
    sessions_totals.lost += play->history->lost;
    history_destroy(play->history);
    lk_io_sim_destroy(play->io);
    free(play);
    return text[0] == '\0' ? NULL : text;
}
