/*
 * Serializability checked from histories: many transactions are interleaved step by step, and of
 * those that committed the graph of who must come before whom is drawn. At SERIALIZABLE it has no
 * cycle; at REPEATABLE READ the same workload must show one, or the test would prove nothing.
 *
 * Versions of a row count upwards, so that the history of every key is known: a writer locks the
 * row and no other writer comes between. What a snapshot holds is read with a scan that does not
 * count as reading.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/io.h"
#include "storage/store.h"

#define COLL     1001
#define PK       2001
#define BY_GROUP 2002
#define KEYS     10
#define GROUPS   3
#define SLOTS    6
#define TXNS     600
#define OPS_MAX  5

struct op {
    char what; /* 'k' a key was read, 'g' a group, 'w' a key was written */
    int64_t arg, version, group;
};

struct history {
    bool committed;
    int64_t versions[KEYS], groups[KEYS]; /* of its snapshot */
    bool wrote[KEYS];
    struct op ops[OPS_MAX];
    int ops_count;
};

struct slot {
    struct luma_txn *txn;
    struct luma_coll *h;
    struct history *history;
    bool read_only;
    int left;
};

static struct lk_store *store;
static char dir[64];
static struct history histories[TXNS];
static int histories_count, conflicts;
static int64_t rowids[KEYS];
/* Per key and version: who wrote it and into which group. */
static int writer_of[KEYS][TXNS + 1];
static int64_t group_of[KEYS][TXNS + 1], newest[KEYS];

static void
need(luma_rc rc, const struct lk_ctx *c, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %d %s\n", what, rc, c->error.message);
    abort();
}

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

static void
int8_vec(struct luma_vec *vec, int64_t *value)
{
    memset(vec, 0, sizeof(*vec));
    vec->type = luma_type(LUMA_TYPE_INT8);
    vec->phys = LUMA_PHYS_I64;
    vec->data = value;
}

static void
define(struct lk_ctx *c)
{
    struct luma_txn *txn = NULL;
    struct luma_store_col cols[3];
    struct luma_store_index indexes[2];
    struct luma_store_index_col pk = {1, 0}, by_group = {2, 0};
    memset(cols, 0, sizeof(cols));
    memset(indexes, 0, sizeof(indexes));
    for (uint32_t i = 0; i < 3; i++) {
        cols[i].id = i + 1;
        cols[i].type = luma_type(LUMA_TYPE_INT8);
    }
    indexes[0] = (struct luma_store_index){
        .id = PK, .kind = "btree", .unique = true, .primary = true, .cols_count = 1, .cols = &pk};
    indexes[1] = (struct luma_store_index){
        .id = BY_GROUP, .kind = "btree", .cols_count = 1, .cols = &by_group};
    struct luma_store_coll def = {
        .id = COLL, .cols_count = 3, .cols = cols, .indexes_count = 2, .indexes = indexes};
    need(lk_txn_host.begin(&c->ctx, NULL, &txn), c, "begin");
    need(lk_store_define(&c->ctx, txn, &def), c, "define");
    need(lk_txn_host.commit(&c->ctx, txn), c, "commit");
}

static void
fill(struct lk_ctx *c)
{
    struct luma_txn *txn = NULL;
    struct luma_coll *h = NULL;
    need(lk_txn_host.begin(&c->ctx, NULL, &txn), c, "begin");
    need(lk_store_host.open(&c->ctx, txn, COLL, &h), c, "open");
    for (int64_t k = 0; k < KEYS; k++) {
        struct luma_vec cols[3];
        int64_t key = k, group = k % GROUPS, version = 0;
        int8_vec(&cols[0], &key);
        int8_vec(&cols[1], &group);
        int8_vec(&cols[2], &version);
        struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 3, .cols = cols};
        need(lk_store_host.insert(&c->ctx, txn, h, &batch, NULL, &rowids[k], NULL), c, "insert");
        group_of[k][0] = group;
        writer_of[k][0] = -1;
        newest[k] = 0;
    }
    lk_store_host.close(h);
    need(lk_txn_host.commit(&c->ctx, txn), c, "commit");
}

static int64_t
at(const struct luma_batch *batch, uint32_t col, uint32_t row)
{
    return *(const int64_t *)luma_vec_at(&batch->cols[col], row);
}

/* All rows of the snapshot, or (sample false) those of a group, compared with what the snapshot
 * had. */
static luma_rc
scan(struct lk_ctx *c, struct slot *s, struct luma_cursor *cursor, int64_t group)
{
    struct history *hi = s->history;
    bool met[KEYS] = {false};
    for (;;) {
        struct luma_batch *batch = NULL;
        LUMA_TRY(lk_store_host.cursor_next(&c->ctx, cursor, &batch));
        if (batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row) {
            int64_t k = at(batch, 0, row);
            met[k] = true;
            if (group < 0) {
                hi->groups[k] = at(batch, 1, row);
                hi->versions[k] = at(batch, 2, row);
            } else if (!hi->wrote[k]) {
                ck_assert_int_eq(at(batch, 1, row), group);
                ck_assert_int_eq(at(batch, 2, row), hi->versions[k]);
            }
        }
    }
    for (int64_t k = 0; k < KEYS && group >= 0; k++)
        ck_assert(hi->wrote[k] || met[k] == (hi->groups[k] == group));
    return LUMA_OK;
}

static luma_rc
scan_rows(struct lk_ctx *c, struct slot *s, int64_t group, bool by_index)
{
    static const uint32_t cols[3] = {1, 2, 3};
    struct luma_value value = int8_value(group);
    struct luma_pred pred = {.col = 1, .op = LUMA_PRED_EQ, .values_count = 1, .values = &value};
    struct luma_scan_spec spec = {.cols = cols, .cols_count = 3, .sample = group < 0};
    struct luma_scan *sc = NULL;
    struct luma_cursor *cursor = NULL;
    luma_rc rc;
    if (by_index) {
        struct luma_key_range range = {.lo = &value, .hi = &value, .lo_count = 1, .hi_count = 1};
        rc = lk_store_host.index_scan(&c->ctx, s->txn, s->h, BY_GROUP, &range, &spec, &cursor);
    } else {
        spec.preds = &pred;
        spec.preds_count = group < 0 ? 0 : 1;
        rc = lk_store_host.scan_open(&c->ctx, s->txn, s->h, &spec, &sc);
        if (rc == LUMA_OK)
            rc = lk_store_host.cursor_open(&c->ctx, sc, &cursor);
    }
    if (rc == LUMA_OK)
        rc = scan(c, s, cursor, group);
    lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(sc);
    return rc;
}

static luma_rc
read_key(struct lk_ctx *c, struct slot *s, int64_t k)
{
    static const uint32_t cols[1] = {3};
    struct luma_value key = int8_value(k), version;
    int64_t rowid = -1;
    LUMA_TRY(lk_store_host.get(&c->ctx, s->txn, s->h, PK, &key, 1, cols, 1, c->ctx.arena, &version,
                               &rowid));
    ck_assert_int_eq(rowid, rowids[k]);
    if (!s->history->wrote[k]) /* one snapshot for all reads */
        ck_assert_int_eq(version.i64, s->history->versions[k]);
    return LUMA_OK;
}

static luma_rc
write_key(struct lk_ctx *c, struct slot *s, struct op *op)
{
    static const uint32_t cols[2] = {2, 3};
    enum luma_lock_result result;
    struct luma_batch old;
    int32_t found = -1;
    LUMA_TRY(lk_store_host.lock(&c->ctx, s->txn, s->h, &rowids[op->arg], 1, LUMA_LOCK_NO_KEY_UPDATE,
                                LUMA_LOCK_NOWAIT, &result));
    LUMA_TRY(lk_store_host.fetch(&c->ctx, s->txn, s->h, &rowids[op->arg], 1, cols, 2, true,
                                 c->ctx.arena, &old, &found));
    ck_assert_int_eq(found, 0);
    op->version = at(&old, 1, 0) + 1;
    /* Nobody has changed it since the snapshot: no update is lost. */
    ck_assert_int_eq(op->version, s->history->versions[op->arg] + 1 + s->history->wrote[op->arg]);
    struct luma_vec vecs[2];
    int8_vec(&vecs[0], &op->group);
    int8_vec(&vecs[1], &op->version);
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 2, .cols = vecs};
    return lk_store_host.update(&c->ctx, s->txn, s->h, &rowids[op->arg], 1, cols, &batch);
}

static luma_rc
step(struct lk_ctx *c, struct slot *s, struct lk_rand *r)
{
    struct history *hi = s->history;
    struct op *op = &hi->ops[hi->ops_count];
    LUMA_TRY(lk_txn_host.statement_begin(&c->ctx, s->txn));
    uint32_t dice = (uint32_t)lk_rand_below(r, 100);
    op->arg = (int64_t)lk_rand_below(r, KEYS);
    if (dice < 30) {
        op->what = 'k';
        if (hi->wrote[op->arg])
            return LUMA_OK;
        LUMA_TRY(read_key(c, s, op->arg));
    } else if (dice < 60 || s->read_only) {
        op->what = 'g';
        op->arg %= GROUPS;
        LUMA_TRY(scan_rows(c, s, op->arg, lk_rand_percent(r, 50)));
    } else {
        op->what = 'w';
        op->group = (int64_t)lk_rand_below(r, GROUPS);
        if (hi->wrote[op->arg])
            return LUMA_OK;
        LUMA_TRY(write_key(c, s, op));
        hi->wrote[op->arg] = true;
    }
    hi->ops_count++;
    return LUMA_OK;
}

static void
slot_begin(struct lk_ctx *c, struct slot *s, struct lk_rand *r, enum luma_isolation level)
{
    s->read_only = lk_rand_percent(r, 20);
    struct luma_txn_opts opts = {.isolation = level, .read_only = s->read_only};
    need(lk_txn_host.begin(&c->ctx, &opts, &s->txn), c, "begin");
    need(lk_txn_host.statement_begin(&c->ctx, s->txn), c, "statement");
    need(lk_store_host.open(&c->ctx, s->txn, COLL, &s->h), c, "open");
    s->history = &histories[histories_count++];
    s->left = 1 + (int)lk_rand_below(r, OPS_MAX);
    memset(s->history, 0, sizeof(*s->history));
    need(scan_rows(c, s, -1, false), c, "scan");
}

static void
slot_end(struct lk_ctx *c, struct slot *s, luma_rc rc, bool commit)
{
    struct history *hi = s->history;
    lk_store_host.close(s->h);
    if (rc == LUMA_OK && commit)
        rc = lk_txn_host.commit(&c->ctx, s->txn);
    else
        lk_txn_host.rollback(s->txn);
    s->txn = NULL;
    if (rc == LUMA_E_CONFLICT || rc == LUMA_E_LOCKED) {
        conflicts += rc == LUMA_E_CONFLICT;
        return;
    }
    need(rc, c, "a transaction");
    hi->committed = commit;
    for (int i = 0; commit && i < hi->ops_count; i++) {
        const struct op *op = &hi->ops[i];
        if (op->what != 'w')
            continue;
        ck_assert_int_eq(op->version, newest[op->arg] + 1);
        newest[op->arg] = op->version;
        writer_of[op->arg][op->version] = (int)(hi - histories);
        group_of[op->arg][op->version] = op->group;
    }
}

/* --- the graph --- */

static bool edges[TXNS][TXNS];

static void
edge(int from, int to)
{
    if (from >= 0 && to >= 0 && from != to)
        edges[from][to] = true;
}

static void
edges_of_group(int t, int64_t group)
{
    for (int64_t k = 0; k < KEYS; k++) {
        int64_t v = histories[t].versions[k], w = v;
        while (w > 0 && group_of[k][w] != group && group_of[k][w - 1] != group)
            w--;
        edge(writer_of[k][w], t);
        bool in = group_of[k][v] == group;
        for (w = v + 1; w <= newest[k]; w++)
            if (in || group_of[k][w] == group) {
                edge(t, writer_of[k][w]);
                break;
            }
    }
}

static void
edges_draw(void)
{
    memset(edges, 0, sizeof(edges));
    for (int64_t k = 0; k < KEYS; k++)
        for (int64_t v = 1; v <= newest[k]; v++)
            edge(writer_of[k][v - 1], writer_of[k][v]);
    for (int t = 0; t < histories_count; t++) {
        const struct history *hi = &histories[t];
        for (int i = 0; hi->committed && i < hi->ops_count; i++) {
            const struct op *op = &hi->ops[i];
            if (op->what == 'g')
                edges_of_group(t, op->arg);
            if (op->what != 'k')
                continue;
            int64_t v = hi->versions[op->arg];
            edge(writer_of[op->arg][v], t);
            if (v < newest[op->arg])
                edge(t, writer_of[op->arg][v + 1]);
        }
    }
}

static bool
reaches_itself(int t, char *state)
{
    state[t] = 1;
    for (int u = 0; u < histories_count; u++)
        if (edges[t][u] && (state[u] == 1 || (state[u] == 0 && reaches_itself(u, state))))
            return true;
    state[t] = 2;
    return false;
}

static bool
has_cycle(void)
{
    char state[TXNS] = {0};
    edges_draw();
    for (int t = 0; t < histories_count; t++)
        if (state[t] == 0 && reaches_itself(t, state))
            return true;
    return false;
}

/* --- runs --- */

static void
store_open(struct luma_arena *arena)
{
    struct lk_store_conf conf;
    struct lk_ctx c;
    char command[128];
    snprintf(dir, sizeof(dir), "/tmp/luma-serial-%d", (int)getpid());
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
    lk_store_conf_default(&conf);
    conf.io = lk_io_posix();
    conf.dir = dir;
    conf.services = &test_host_services;
    conf.async = true;
    lk_ctx_init(&c, arena);
    need(lk_store_open(&c.ctx, &conf, &store), &c, "store");
    define(&c);
    fill(&c);
}

static void
store_close(void)
{
    char command[128];
    lk_store_close(store);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static bool
run(uint64_t seed, enum luma_isolation level)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct slot slots[SLOTS];
    struct lk_rand r;
    store_open(arena);
    lk_rand_init(&r, seed);
    memset(slots, 0, sizeof(slots));
    histories_count = conflicts = 0;
    while (histories_count < TXNS) {
        struct slot *s = &slots[lk_rand_below(&r, SLOTS)];
        struct lk_ctx c;
        arena->reset(arena);
        lk_ctx_init(&c, arena);
        if (s->txn == NULL) {
            slot_begin(&c, s, &r, level);
        } else if (s->left-- > 0) {
            luma_rc rc = step(&c, s, &r);
            if (rc != LUMA_OK)
                slot_end(&c, s, rc, false);
        } else {
            slot_end(&c, s, LUMA_OK, lk_rand_percent(&r, 95));
        }
        if (lk_rand_below(&r, 400) == 0)
            need(lk_store_checkpoint(&c.ctx, store), &c, "checkpoint");
    }
    for (int i = 0; i < SLOTS; i++) {
        struct lk_ctx c;
        lk_ctx_init(&c, arena);
        if (slots[i].txn != NULL)
            slot_end(&c, &slots[i], LUMA_OK, true);
    }
    store_close();
    lk_arena_destroy(arena);
    return has_cycle();
}

static int
seeds(void)
{
    return getenv("LUMA_TEST_FULL") != NULL && strcmp(getenv("LUMA_TEST_FULL"), "1") == 0 ? 200 : 8;
}

static uint64_t
first_seed(void)
{
    const char *seed = getenv("LUMA_TEST_SEED");
    return seed == NULL ? 1 : strtoull(seed, NULL, 10);
}

START_TEST(serializable_histories_have_no_cycle)
{
    int all = 0;
    for (int i = 0; i < seeds(); i++) {
        uint64_t seed = first_seed() + (uint64_t)i;
        ck_assert_msg(!run(seed, LUMA_SERIALIZABLE), "seed %llu: a cycle",
                      (unsigned long long)seed);
        all += conflicts;
    }
    printf("%d histories of %d transactions, %d conflicts\n", seeds(), TXNS, all);
}
END_TEST

START_TEST(the_same_workload_has_cycles_at_repeatable_read)
{
    int cycles = 0;
    for (int i = 0; i < 8; i++)
        cycles += run(first_seed() + (uint64_t)i, LUMA_REPEATABLE_READ);
    ck_assert_int_gt(cycles, 4);
}
END_TEST

/* --- one case each --- */

static struct slot
begin_one(struct lk_ctx *c, bool read_only)
{
    struct slot s = {.read_only = read_only};
    struct luma_txn_opts opts = {.isolation = LUMA_SERIALIZABLE, .read_only = read_only};
    need(lk_txn_host.begin(&c->ctx, &opts, &s.txn), c, "begin");
    need(lk_txn_host.statement_begin(&c->ctx, s.txn), c, "statement");
    need(lk_store_host.open(&c->ctx, s.txn, COLL, &s.h), c, "open");
    s.history = &histories[histories_count++];
    memset(s.history, 0, sizeof(*s.history));
    need(scan_rows(c, &s, -1, false), c, "scan");
    return s;
}

static luma_rc
write_one(struct lk_ctx *c, struct slot *s, int64_t k, int64_t group)
{
    struct op op = {.what = 'w', .arg = k, .group = group};
    return write_key(c, s, &op);
}

static luma_rc
commit_one(struct lk_ctx *c, struct slot *s)
{
    lk_store_host.close(s->h);
    return lk_txn_host.commit(&c->ctx, s->txn);
}

START_TEST(disjoint_keys_do_not_conflict)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    store_open(arena);
    lk_ctx_init(&c, arena);
    histories_count = 0;
    struct slot s[KEYS];
    for (int64_t k = 0; k < KEYS; k++)
        s[k] = begin_one(&c, false);
    for (int64_t k = 0; k < KEYS; k++) {
        need(read_key(&c, &s[k], k), &c, "read");
        need(write_one(&c, &s[k], k, k % GROUPS), &c, "write");
    }
    for (int64_t k = 0; k < KEYS; k++)
        need(commit_one(&c, &s[k]), &c, "commit");
    store_close();
    lk_arena_destroy(arena);
}
END_TEST

/* So many reads that they widen to the collection: still no error of their own, and what they
 * covered stays covered. */
START_TEST(many_reads_widen)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    store_open(arena);
    lk_ctx_init(&c, arena);
    histories_count = 0;
    struct slot a = begin_one(&c, false), b = begin_one(&c, false);
    for (int i = 0; i < 6000; i++)
        need(read_key(&c, &a, 1), &c, "read");
    need(read_key(&c, &b, 2), &c, "read");
    need(write_one(&c, &a, 2, 0), &c, "write");
    need(write_one(&c, &b, 1, 0), &c, "write");
    need(commit_one(&c, &a), &c, "commit");
    ck_assert_int_eq(commit_one(&c, &b), LUMA_E_CONFLICT);
    store_close();
    lk_arena_destroy(arena);
}
END_TEST

/* Fekete, O'Neil and O'Neil: a reader alone makes the history not serializable. */
START_TEST(read_only_anomaly)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    store_open(arena);
    lk_ctx_init(&c, arena);
    histories_count = 0;
    struct slot a = begin_one(&c, false);
    need(read_key(&c, &a, 1), &c, "read");
    need(read_key(&c, &a, 2), &c, "read");
    struct slot b = begin_one(&c, false);
    need(write_one(&c, &b, 2, 0), &c, "write");
    need(commit_one(&c, &b), &c, "commit");
    struct slot reader = begin_one(&c, true);
    need(read_key(&c, &reader, 1), &c, "read");
    need(read_key(&c, &reader, 2), &c, "read");
    need(commit_one(&c, &reader), &c, "commit");
    luma_rc rc = write_one(&c, &a, 1, 0);
    if (rc == LUMA_OK)
        rc = commit_one(&c, &a);
    else
        slot_end(&c, &a, rc, false);
    ck_assert_int_eq(rc, LUMA_E_CONFLICT);
    store_close();
    lk_arena_destroy(arena);
}
END_TEST

/* The same without the reader, and with one whose snapshot is older: both are fine. */
START_TEST(two_in_a_row_are_fine)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    store_open(arena);
    lk_ctx_init(&c, arena);
    histories_count = 0;
    struct slot a = begin_one(&c, false), reader = begin_one(&c, true);
    need(read_key(&c, &a, 1), &c, "read");
    need(read_key(&c, &a, 2), &c, "read");
    struct slot b = begin_one(&c, false);
    need(write_one(&c, &b, 2, 0), &c, "write");
    need(commit_one(&c, &b), &c, "commit");
    need(read_key(&c, &reader, 1), &c, "read");
    need(read_key(&c, &reader, 2), &c, "read");
    need(commit_one(&c, &reader), &c, "commit");
    need(write_one(&c, &a, 1, 0), &c, "write");
    need(commit_one(&c, &a), &c, "commit");
    store_close();
    lk_arena_destroy(arena);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("serial");
    if (!test_module_load("index-btree"))
        return EXIT_FAILURE;
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, disjoint_keys_do_not_conflict);
    tcase_add_test(tc, many_reads_widen);
    tcase_add_test(tc, read_only_anomaly);
    tcase_add_test(tc, two_in_a_row_are_fine);
    tcase_add_test(tc, serializable_histories_have_no_cycle);
    tcase_add_test(tc, the_same_workload_has_cycles_at_repeatable_read);
    return test_run("serial", tc);
}
