/*
 * tests/crash/judge.c - may a database have done what a history says?
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "graph.h"
#include "history.h"

enum edge_kind { EDGE_TIME, EDGE_INSIDE, EDGE_WW, EDGE_WR, EDGE_RW, EDGE_RW_SERIAL };

struct version {
    uint32_t txn;
    uint32_t count; /* elements of the list, this one's included */
    int32_t group;
    uint64_t hash;
};

struct judge {
    struct history *h;
    struct graph graph;
    struct version *versions[HISTORY_KEYS]; /* [0]: the row is not there */
    uint32_t versions_count[HISTORY_KEYS];
    uint32_t *wanted, *found; /* per transaction: elements */
    bool *there;              /* per transaction: it took place */
    uint32_t *node_c, *node_s, *node_p;
    uint32_t *txn_of; /* per node: transaction + 1 */
    bool broken;
};

#define NO_TXN UINT32_MAX

#define SAY(j, ...)                                                    \
    do {                                                               \
        if (!(j)->broken)                                              \
            snprintf((j)->h->text, sizeof((j)->h->text), __VA_ARGS__); \
        (j)->broken = true;                                            \
    } while (0)

static void *
zeros(size_t count, size_t bytes)
{
    void *p = calloc(count + 1, bytes);
    if (p == NULL)
        abort();
    return p;
}

static const char *
level_of(const struct judge *j, uint32_t txn)
{
    static const char *const names[] = {"read committed", "repeatable read", "serializable"};
    return names[j->h->txns[txn].level];
}

/* --- which transactions took place --- */

static void
element_counted(struct judge *j, int32_t key, uint32_t at)
{
    uint32_t element = j->h->final[key][at];
    const struct history_append *a = history_append_at(j->h, element);
    if (a == NULL || a->key != key) {
        SAY(j, "key %d holds %u, which nobody put there", key, element);
        return;
    }
    if (a->undone)
        SAY(j, "key %d holds %u, which T%u undid", key, element, a->txn);
    j->found[a->txn]++;
    for (uint32_t i = 0; i < at; i++)
        if (j->h->final[key][i] == element)
            SAY(j, "key %d holds %u twice", key, element);
}

/* A commit that was answered and is not there. */
static void
lost(struct judge *j, uint32_t t)
{
    const struct history_txn *txn = &j->h->txns[t];
    const struct history_life *life = &j->h->lives[txn->life];
    j->h->lost++;
    if (!life->may_lose)
        SAY(j, "T%u (%s) was committed, and its changes are lost", t, level_of(j, t));
    else if (txn->acknowledged_ns + life->window_ns < life->cut_ns)
        SAY(j, "T%u was committed %.1f ms before the power went, and is lost", t,
            (double)(life->cut_ns - txn->acknowledged_ns) / 1e6);
    for (uint32_t u = 0; u < j->h->txns_count; u++) {
        const struct history_txn *other = &j->h->txns[u];
        if (other->life == txn->life && other->commit > txn->commit && j->found[u] > 0)
            SAY(j, "commit %llu is lost, and commit %llu after it is not",
                (unsigned long long)txn->commit, (unsigned long long)other->commit);
    }
}

static void
txn_settle(struct judge *j, uint32_t t)
{
    const struct history_txn *txn = &j->h->txns[t];
    uint32_t wanted = j->wanted[t], found = j->found[t];
    if (txn->status == HISTORY_ABORTED && found > 0)
        SAY(j, "T%u did not commit, and what it wrote is there (G1a)", t);
    else if (found > 0 && found < wanted)
        SAY(j, "of T%u's %u changes %u are there", t, wanted, found);
    else if (txn->status == HISTORY_COMMITTED && found < wanted)
        lost(j, t);
    j->there[t] = found == wanted && txn->status != HISTORY_ABORTED &&
                  (wanted > 0 || txn->status == HISTORY_COMMITTED);
}

static void
txns_settle(struct judge *j)
{
    struct history *h = j->h;
    for (uint32_t i = 0; i < h->appends_count; i++)
        j->wanted[h->appends[i].txn] += !h->appends[i].undone;
    for (int32_t k = 0; k < HISTORY_KEYS; k++)
        for (uint32_t i = 0; i < h->final_count[k]; i++)
            element_counted(j, k, i);
    for (uint32_t t = 0; t < h->txns_count; t++)
        txn_settle(j, t);
}

/* --- versions --- */

static void
versions_make(struct judge *j, int32_t key)
{
    struct history *h = j->h;
    uint32_t count = h->final_count[key], n = 1;
    struct version *list = zeros((size_t)count + 1, sizeof(*list));
    list[0] = (struct version){.txn = NO_TXN, .group = -1};
    for (uint32_t i = 0; i < count; i++) {
        const struct history_append *a = history_append_at(h, h->final[key][i]);
        if (list[n - 1].txn != a->txn) { /* several by one transaction are one version */
            list[n].hash = list[n - 1].hash;
            n++;
        }
        struct version *v = &list[n - 1];
        v->txn = a->txn;
        v->group = a->group;
        v->count = i + 1;
        v->hash = lk_hash_combine(v->hash, h->final[key][i]);
    }
    j->versions[key] = list;
    j->versions_count[key] = n;
}

/* The version that a reader saw; NO_TXN: none such. */
static uint32_t
version_of(const struct judge *j, int32_t key, const struct history_row *row)
{
    uint32_t lo = 0, hi = j->versions_count[key];
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (j->versions[key][mid].count <= row->count)
            lo = mid;
        else
            hi = mid;
    }
    const struct version *v = &j->versions[key][lo];
    bool same = v->count == row->count && v->hash == row->hash &&
                (row->own || row->count == 0 || v->group == row->group);
    return same ? lo : NO_TXN;
}

/* --- moments and what connects them --- */

static void
join(struct judge *j, uint32_t from, uint32_t to, enum edge_kind kind, int key)
{
    graph_edge(&j->graph, from, to, (uint8_t)kind, key);
}

static uint32_t
node_new(struct judge *j, uint32_t txn)
{
    uint32_t n = j->graph.nodes++;
    j->txn_of[n] = txn + 1;
    return n;
}

/* Node i is the moment i of the clock. */
static void
clock_nodes(struct judge *j)
{
    j->graph.nodes = (uint32_t)j->h->clock + 2;
    for (uint32_t i = 1; i < j->graph.nodes; i++)
        join(j, i - 1, i, EDGE_TIME, -1);
}

static uint64_t
restart_after(const struct history *h, uint64_t moment)
{
    for (uint32_t i = 0; i < h->restarts_count; i++)
        if (h->restarts[i] > moment)
            return h->restarts[i];
    return h->clock + 1;
}

static void
txn_nodes(struct judge *j, uint32_t t)
{
    const struct history_txn *txn = &j->h->txns[t];
    if (txn->level != LUMA_READ_COMMITTED)
        j->node_s[t] = node_new(j, t);
    if (!j->there[t])
        return;
    uint32_t c = j->node_c[t] = node_new(j, t);
    join(j, (uint32_t)txn->invoked, c, EDGE_TIME, -1);
    join(j, c, (uint32_t)(txn->returned != 0 ? txn->returned : restart_after(j->h, txn->invoked)),
         EDGE_TIME, -1);
    if (j->node_s[t] != 0)
        join(j, j->node_s[t], c, EDGE_INSIDE, -1);
    if (txn->level != LUMA_SERIALIZABLE)
        return;
    j->node_p[t] = node_new(j, t);
    join(j, j->node_s[t], j->node_p[t], EDGE_INSIDE, -1);
    join(j, j->node_p[t], c, EDGE_INSIDE, -1);
}

static void
versions_join(struct judge *j, int32_t key)
{
    const struct version *v = j->versions[key];
    for (uint32_t i = 2; i < j->versions_count[key]; i++) {
        uint32_t before = j->node_c[v[i - 1].txn], s = j->node_s[v[i].txn];
        join(j, before, j->node_c[v[i].txn], EDGE_WW, key);
        if (s != 0) /* the first to change a row wins */
            join(j, before, s, EDGE_WW, key);
    }
}

/* The snapshot of a read. */
static uint32_t
read_node(struct judge *j, const struct history_read *r, bool *first)
{
    uint32_t t = r->txn, s = j->node_s[t];
    if (s == 0) {
        s = node_new(j, t);
        if (j->node_c[t] != 0)
            join(j, s, j->node_c[t], EDGE_INSIDE, -1);
    } else if (!first[t]) {
        return s;
    }
    first[t] = false;
    join(j, (uint32_t)r->invoked, s, EDGE_TIME, -1);
    join(j, s, (uint32_t)r->returned, EDGE_TIME, -1);
    return s;
}

static void
serial_join(struct judge *j, uint32_t from, uint32_t to, int key)
{
    if (from != to && j->node_p[from] != 0 && j->node_p[to] != 0)
        join(j, j->node_p[from], j->node_p[to], EDGE_RW_SERIAL, key);
}

/* A predicate was read and version `at` of a row with it: who changes what satisfies it next? */
static void
predicate_join(struct judge *j, const struct history_read *r, int key, uint32_t at)
{
    const struct version *v = j->versions[key];
    bool in = at > 0 && v[at].group == r->group;
    for (uint32_t i = at + 1; i < j->versions_count[key]; i++)
        if (in || v[i].group == r->group) {
            serial_join(j, r->txn, v[i].txn, key);
            return;
        }
}

static void
row_join(struct judge *j, const struct history_read *r, int key, uint32_t s)
{
    const struct history_row *row = &r->rows[key];
    const struct version *v = j->versions[key];
    uint32_t at = version_of(j, key, row), last = j->versions_count[key] - 1;
    if (at == NO_TXN) {
        bool may_be_lost = j->h->lives[j->h->txns[r->txn].life].may_lose;
        if (!may_be_lost || (j->there[r->txn] && j->wanted[r->txn] > 0))
            SAY(j,
                "T%u (%s) read %u elements of group %d in key %d, which no transaction left so "
                "(G1a, G1b)",
                r->txn, level_of(j, r->txn), row->count, row->group, key);
        return;
    }
    if (at > 0)
        join(j, j->node_c[v[at].txn], s, EDGE_WR, key);
    if (at < last && v[at + 1].txn != r->txn)
        join(j, s, j->node_c[v[at + 1].txn], EDGE_RW, key);
    if (row->own)
        return;
    if (r->key == key && at < last)
        serial_join(j, r->txn, v[at + 1].txn, key);
    if (r->group >= 0)
        predicate_join(j, r, key, at);
}

static void
reads_join(struct judge *j)
{
    struct history *h = j->h;
    bool *first = zeros(h->txns_count, sizeof(bool));
    memset(first, true, h->txns_count);
    for (uint32_t i = 0; i < h->reads_count; i++) {
        const struct history_read *r = &h->reads[i];
        if (r->returned == 0)
            continue;
        uint32_t s = read_node(j, r, first);
        for (int k = 0; k < HISTORY_KEYS; k++)
            row_join(j, r, k, s);
    }
    free(first);
}

/* --- the verdict --- */

static const char *
cycle_name(const struct graph_edge *edges, uint32_t count)
{
    uint32_t kinds[EDGE_RW_SERIAL + 1] = {0};
    for (uint32_t i = 0; i < count; i++)
        kinds[edges[i].kind]++;
    if (kinds[EDGE_RW_SERIAL] > 0)
        return "not serializable (G2)";
    if (kinds[EDGE_RW] == 1)
        return "no snapshot (G-single)";
    if (kinds[EDGE_RW] > 1)
        return "no snapshots (G-SI)";
    return kinds[EDGE_WR] > 0 ? "circular information flow (G1c)" : "a write cycle (G0)";
}

static void
cycle_say(struct judge *j, const struct graph_edge *edges, uint32_t count)
{
    static const char *const names[] = {"then", "", "ww", "wr", "rw", "rw"};
    char text[1600];
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(text) - 120; i++) {
        const struct graph_edge *e = &edges[i];
        uint32_t from = j->txn_of[e->from];
        if (from != 0 && (i == 0 || e->kind != EDGE_INSIDE))
            used += (size_t)snprintf(text + used, sizeof(text) - used, " T%u (%s)", from - 1,
                                     level_of(j, from - 1));
        if (e->kind >= EDGE_WW)
            used += (size_t)snprintf(text + used, sizeof(text) - used, " -%s key %d->",
                                     names[e->kind], e->key);
        else if (e->kind == EDGE_TIME && from != 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, " ended before");
    }
    text[used] = '\0';
    SAY(j, "%s:%s", cycle_name(edges, count), text);
}

static void
cycles_look(struct judge *j)
{
    struct history *h = j->h;
    clock_nodes(j);
    for (uint32_t t = 0; t < h->txns_count; t++)
        txn_nodes(j, t);
    for (int32_t k = 0; k < HISTORY_KEYS; k++)
        versions_join(j, k);
    reads_join(j);
    struct graph_edge *cycle = NULL;
    uint32_t count = j->broken ? 0 : graph_cycle(&j->graph, &cycle);
    if (count > 0)
        cycle_say(j, cycle, count);
    free(cycle);
}

const char *
history_check(struct history *h)
{
    struct judge j = {.h = h};
    uint32_t txns = h->txns_count;
    j.wanted = zeros(txns, sizeof(uint32_t));
    j.found = zeros(txns, sizeof(uint32_t));
    j.there = zeros(txns, sizeof(bool));
    j.node_c = zeros(txns, sizeof(uint32_t));
    j.node_s = zeros(txns, sizeof(uint32_t));
    j.node_p = zeros(txns, sizeof(uint32_t));
    j.txn_of = zeros((size_t)h->clock + 4 + (size_t)txns * 3 + h->reads_count, sizeof(uint32_t));
    txns_settle(&j);
    for (int32_t k = 0; k < HISTORY_KEYS && !j.broken; k++)
        versions_make(&j, k);
    if (!j.broken)
        cycles_look(&j);
    for (int k = 0; k < HISTORY_KEYS; k++)
        free(j.versions[k]);
    graph_fini(&j.graph);
    free(j.wanted);
    free(j.found);
    free(j.there);
    free(j.node_c);
    free(j.node_s);
    free(j.node_p);
    free(j.txn_of);
    return j.broken ? h->text : NULL;
}
