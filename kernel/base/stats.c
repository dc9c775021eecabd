/*
 * base/stats.c - sharded counters and log-linear histograms.
 *
 * A histogram has 8 buckets per power of two from 2^10 ns (1 us) to 2^37 ns (137 s), one below and
 * one above: within an eighth for quantiles. Samples show the powers of two only.
 */
#include "base/stats.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

#define SHARDS        8
#define HIST_MIN_BITS 10
#define HIST_MAX_BITS 37
#define HIST_OCTAVES  (HIST_MAX_BITS - HIST_MIN_BITS)
#define HIST_SUB_BITS 3
#define HIST_SUB      (1 << HIST_SUB_BITS)
#define HIST_BUCKETS  (HIST_OCTAVES * HIST_SUB + 2)

struct stat_shard {
    LK_ALIGNED_LINE _Atomic int64_t value;
};

struct stat_hist {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[HIST_BUCKETS];
};

struct luma_stat {
    struct stat_shard shards[SHARDS];
    char *name, *labels, *help, *unit;
    enum luma_stat_kind kind;
    struct stat_hist *hist;
    int64_t (*_Atomic fn)(void *arg); /* pairs with the load in lk_stat_value */
    void *fn_arg;
};

static struct lk_mutex stats_lock = LK_MUTEX_INIT(LK_LOCK_STATS);
static struct luma_stat **stats_list; /* sorted by name, then labels */
static size_t stats_count, stats_room;

static _Atomic uint32_t shard_next;
static __thread uint32_t shard_of_thread; /* 0: none yet, else shard + 1 */

static struct stat_shard *
my_shard(struct luma_stat *stat)
{
    if (LUMA_UNLIKELY(shard_of_thread == 0))
        shard_of_thread =
            1 + atomic_fetch_add_explicit(&shard_next, 1, memory_order_relaxed) % SHARDS;
    return &stat->shards[shard_of_thread - 1];
}

static int
stat_order(const struct luma_stat *stat, const char *name, const char *labels)
{
    int c = strcmp(stat->name, name);
    return c != 0 ? c : strcmp(stat->labels, labels);
}

/* Index of the first stat not before (name, labels). */
static size_t
stats_lower(const char *name, const char *labels)
{
    size_t low = 0, high = stats_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (stat_order(stats_list[mid], name, labels) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void
stat_destroy(struct luma_stat *stat)
{
    free(stat->name);
    free(stat->labels);
    free(stat->help);
    free(stat->unit);
    free(stat->hist);
    free(stat);
}

static struct luma_stat *
stat_create(enum luma_stat_kind kind, const char *name, const char *labels, const char *unit,
            const char *help)
{
    struct luma_stat *stat = aligned_alloc(LK_CACHE_LINE, sizeof(*stat));
    if (stat == NULL)
        return NULL;
    memset(stat, 0, sizeof(*stat));
    stat->kind = kind;
    stat->name = strdup(name);
    stat->labels = strdup(labels);
    stat->unit = strdup(unit);
    stat->help = strdup(help);
    if (kind == LUMA_STAT_HISTOGRAM)
        stat->hist = calloc(1, sizeof(*stat->hist));
    if (stat->name == NULL || stat->labels == NULL || stat->unit == NULL || stat->help == NULL ||
        (kind == LUMA_STAT_HISTOGRAM && stat->hist == NULL)) {
        stat_destroy(stat);
        return NULL;
    }
    return stat;
}

static bool
stats_insert(size_t at, struct luma_stat *stat)
{
    if (stats_count == stats_room) {
        size_t room = stats_room == 0 ? 64 : stats_room * 2;
        struct luma_stat **list = realloc(stats_list, room * sizeof(*list));
        if (list == NULL)
            return false;
        stats_list = list;
        stats_room = room;
    }
    memmove(stats_list + at + 1, stats_list + at, (stats_count - at) * sizeof(*stats_list));
    stats_list[at] = stat;
    stats_count++;
    return true;
}

struct luma_stat *
lk_stat_open(enum luma_stat_kind kind, const char *name, const char *labels, const char *unit,
             const char *help)
{
    labels = labels == NULL ? "" : labels;
    lk_mutex_lock(&stats_lock);
    size_t at = stats_lower(name, labels);
    struct luma_stat *stat = at < stats_count ? stats_list[at] : NULL;
    if (stat == NULL || stat_order(stat, name, labels) != 0) {
        stat = stat_create(kind, name, labels, unit == NULL ? "" : unit, help == NULL ? "" : help);
        if (stat != NULL && !stats_insert(at, stat)) {
            stat_destroy(stat);
            stat = NULL;
        }
    }
    lk_mutex_unlock(&stats_lock);
    return stat;
}

struct luma_stat *
lk_stat_open_fn(const char *name, const char *labels, const char *unit, const char *help,
                int64_t (*fn)(void *arg), void *arg)
{
    struct luma_stat *stat = lk_stat_open(LUMA_STAT_GAUGE, name, labels, unit, help);
    if (stat != NULL) {
        stat->fn_arg = arg;
        atomic_store_explicit(&stat->fn, fn, memory_order_release);
    }
    return stat;
}

void
lk_stat_add(struct luma_stat *stat, int64_t delta)
{
    if (stat != NULL)
        atomic_fetch_add_explicit(&my_shard(stat)->value, delta, memory_order_relaxed);
}

void
lk_stat_set(struct luma_stat *stat, int64_t value)
{
    if (stat == NULL)
        return;
    /* A gauge is set or added to, seldom both: what the other shards hold is taken off. */
    int64_t others = 0;
    for (size_t i = 1; i < SHARDS; i++)
        others += atomic_load_explicit(&stat->shards[i].value, memory_order_relaxed);
    atomic_store_explicit(&stat->shards[0].value, value - others, memory_order_relaxed);
}

static size_t
hist_index(uint64_t ns)
{
    if (ns < ((uint64_t)1 << HIST_MIN_BITS))
        return 0;
    unsigned bits = lk_bits_width(ns) - 1;
    if (bits >= HIST_MAX_BITS)
        return HIST_BUCKETS - 1;
    uint64_t sub = (ns >> (bits - HIST_SUB_BITS)) & (HIST_SUB - 1);
    return 1 + (size_t)(bits - HIST_MIN_BITS) * HIST_SUB + (size_t)sub;
}

/* Exclusive upper bound of a bucket in nanoseconds. */
static uint64_t
hist_upper(size_t index)
{
    if (index == 0)
        return (uint64_t)1 << HIST_MIN_BITS;
    size_t octave = (index - 1) / HIST_SUB, sub = (index - 1) % HIST_SUB;
    return (uint64_t)(HIST_SUB + sub + 1) << (HIST_MIN_BITS - HIST_SUB_BITS + octave);
}

void
lk_stat_observe_ns(struct luma_stat *stat, uint64_t nanoseconds)
{
    if (stat == NULL || stat->hist == NULL)
        return;
    atomic_fetch_add_explicit(&stat->hist->sum_ns, nanoseconds, memory_order_relaxed);
    atomic_fetch_add_explicit(&stat->hist->buckets[hist_index(nanoseconds)], 1,
                              memory_order_relaxed);
}

int64_t
lk_stat_value(const struct luma_stat *stat)
{
    int64_t sum = 0;
    int64_t (*fn)(void *arg) =
        stat == NULL ? NULL : atomic_load_explicit(&stat->fn, memory_order_acquire);
    if (fn != NULL)
        return fn(stat->fn_arg);
    for (size_t i = 0; stat != NULL && i < SHARDS; i++)
        sum += atomic_load_explicit(&stat->shards[i].value, memory_order_relaxed);
    return sum;
}

uint64_t
lk_stat_quantile_ns(const struct luma_stat *stat, double q)
{
    uint64_t counts[HIST_BUCKETS], total = 0, seen = 0;
    if (stat == NULL || stat->hist == NULL)
        return 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&stat->hist->buckets[i], memory_order_relaxed);
        total += counts[i];
    }
    uint64_t want = (uint64_t)ceil(q * (double)total);
    for (size_t i = 0; i < HIST_BUCKETS && total > 0; i++) {
        seen += counts[i];
        if (seen >= want && seen > 0)
            return hist_upper(i < HIST_BUCKETS - 1 ? i : HIST_BUCKETS - 2);
    }
    return 0;
}

static void
sample_hist(const struct luma_stat *stat, struct luma_stat_sample *s, double *bounds,
            uint64_t *cumulative)
{
    uint64_t total = 0;
    for (size_t o = 0; o <= HIST_OCTAVES; o++) {
        size_t first = o == 0 ? 0 : 1 + (o - 1) * HIST_SUB, last = o * HIST_SUB;
        for (size_t i = first; i <= last; i++)
            total += atomic_load_explicit(&stat->hist->buckets[i], memory_order_relaxed);
        bounds[o] = (double)((uint64_t)1 << (HIST_MIN_BITS + o)) / 1e9;
        cumulative[o] = total;
    }
    total += atomic_load_explicit(&stat->hist->buckets[HIST_BUCKETS - 1], memory_order_relaxed);
    cumulative[HIST_OCTAVES + 1] = total;
    s->count = total;
    s->sum = (double)atomic_load_explicit(&stat->hist->sum_ns, memory_order_relaxed) / 1e9;
    s->bounds = bounds;
    s->buckets = cumulative;
    s->bounds_count = HIST_OCTAVES + 1;
}

void
lk_stat_each(void (*fn)(void *arg, const struct luma_stat_sample *sample), void *arg)
{
    /* The list is copied: fn may be slow, may open stats itself, and stats are never freed. */
    lk_mutex_lock(&stats_lock);
    size_t count = stats_count;
    struct luma_stat **list = malloc((count == 0 ? 1 : count) * sizeof(*list));
    if (list != NULL && count > 0)
        memcpy(list, stats_list, count * sizeof(*list));
    lk_mutex_unlock(&stats_lock);
    for (size_t i = 0; list != NULL && i < count; i++) {
        double bounds[HIST_OCTAVES + 1];
        uint64_t cumulative[HIST_OCTAVES + 2];
        const struct luma_stat *stat = list[i];
        struct luma_stat_sample s = {.name = stat->name,
                                     .labels = stat->labels,
                                     .help = stat->help,
                                     .unit = stat->unit,
                                     .kind = stat->kind,
                                     .value = lk_stat_value(stat)};
        if (stat->hist != NULL)
            sample_hist(stat, &s, bounds, cumulative);
        fn(arg, &s);
    }
    free(list);
}

const struct luma_host_stats lk_stats_host = {
    .head = {sizeof(struct luma_host_stats), 0, 1},
    .open = lk_stat_open,
    .add = lk_stat_add,
    .set = lk_stat_set,
    .observe_ns = lk_stat_observe_ns,
    .each = lk_stat_each,
};
