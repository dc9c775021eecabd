/*
 * base/stats.h - counters, gauges and histograms behind host/stats.h. Updates go to one of a few
 * cache lines by thread, so that threads do not fight; readers add them up.
 */
#ifndef LK_BASE_STATS_H
#define LK_BASE_STATS_H

#include <lumadb/host/stats.h>

struct luma_stat *lk_stat_open(enum luma_stat_kind kind, const char *name, const char *labels,
                               const char *unit, const char *help);
/* A gauge that is asked for its value when somebody looks; fn: any thread, quick. */
struct luma_stat *lk_stat_open_fn(const char *name, const char *labels, const char *unit,
                                  const char *help, int64_t (*fn)(void *arg), void *arg);
void lk_stat_add(struct luma_stat *stat, int64_t delta); /* NULL is fine, here and below */
void lk_stat_set(struct luma_stat *stat, int64_t value);
void lk_stat_observe_ns(struct luma_stat *stat, uint64_t nanoseconds);
void lk_stat_each(void (*fn)(void *arg, const struct luma_stat_sample *sample), void *arg);
/* Sum of a counter or gauge. */
int64_t lk_stat_value(const struct luma_stat *stat);
/* The value in nanoseconds below which a share q (0 .. 1) of a histogram's observations lie,
 * within an eighth; 0 when it is empty. */
uint64_t lk_stat_quantile_ns(const struct luma_stat *stat, double q);

extern const struct luma_host_stats lk_stats_host;

#endif
