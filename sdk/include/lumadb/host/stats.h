/*
 * lumadb/host/stats.h - counters, gauges and histograms. frontend/metrics shows them all.
 *
 * Registered once (init or start), updated from any thread without a lock.
 */
#ifndef LUMADB_HOST_STATS_H
#define LUMADB_HOST_STATS_H

#include <lumadb/base.h>

enum luma_stat_kind { LUMA_STAT_COUNTER = 0, LUMA_STAT_GAUGE = 1, LUMA_STAT_HISTOGRAM = 2 };

struct luma_stat;

struct luma_stat_sample {
    const char *name;   /* "lumadb_pg_connections" */
    const char *labels; /* "state=\"active\"" or "" */
    const char *help, *unit;
    enum luma_stat_kind kind;
    int64_t value;           /* counter, gauge */
    uint64_t count;          /* histogram */
    double sum;              /* histogram, in base units (seconds, bytes) */
    const double *bounds;    /* histogram: upper bounds, bounds_count of them */
    const uint64_t *buckets; /* cumulative, bounds_count + 1 of them (+Inf last) */
    size_t bounds_count;
};

struct luma_host_stats {
    struct luma_head head;
    /* name follows Prometheus' rules; labels may be "". The same name and labels give the same
     * stat. Never freed. NULL: out of memory. */
    struct luma_stat *(*open)(enum luma_stat_kind kind, const char *name, const char *labels,
                              const char *unit, const char *help);
    void (*add)(struct luma_stat *stat, int64_t delta);               /* counter, gauge */
    void (*set)(struct luma_stat *stat, int64_t value);               /* gauge */
    void (*observe_ns)(struct luma_stat *stat, uint64_t nanoseconds); /* histogram of durations */
    /* Visits all in name order. */
    void (*each)(void (*fn)(void *arg, const struct luma_stat_sample *sample), void *arg);
};

#endif
