/*
 * base/log.h - messages for the operator. A line goes to one sink; a sink that fails is ignored,
 * messages never stop the work. Text ("2026-01-31T12:00:00.123Z info  who: message") or one JSON
 * object a line.
 */
#ifndef LK_BASE_LOG_H
#define LK_BASE_LOG_H

#include <lumadb/host/log.h>

/* Takes one finished line with its newline. Called with the LOG lock held. */
typedef void (*lk_log_sink_fn)(void *arg, const char *line, size_t bytes);

/* NULL: stderr. The previous sink is not called after this returns. */
void lk_log_set_sink(lk_log_sink_fn sink, void *arg);
/* Microseconds since 1970; NULL: lines carry no time. */
void lk_log_set_clock(int64_t (*wall_us)(void));
void lk_log_set_level(enum luma_log_level level);
enum luma_log_level lk_log_level(void);
/* "error", "warn", "info", "debug", "trace"; false: no such level, *out_level unchanged. */
bool lk_log_level_parse(const char *name, enum luma_log_level *out_level);
void lk_log_set_json(bool json);

bool lk_log_enabled(enum luma_log_level level);
void lk_log_write(enum luma_log_level level, const char *who, const char *fmt, ...)
    LUMA_PRINTF(3, 4);

#define LK_LOG(level, who, ...)                        \
    do {                                               \
        if (lk_log_enabled(level))                     \
            lk_log_write((level), (who), __VA_ARGS__); \
    } while (0)
#define lk_log_error(who, ...) LK_LOG(LUMA_LOG_ERROR, who, __VA_ARGS__)
#define lk_log_warn(who, ...)  LK_LOG(LUMA_LOG_WARN, who, __VA_ARGS__)
#define lk_log_info(who, ...)  LK_LOG(LUMA_LOG_INFO, who, __VA_ARGS__)
#define lk_log_debug(who, ...) LK_LOG(LUMA_LOG_DEBUG, who, __VA_ARGS__)
#define lk_log_trace(who, ...) LK_LOG(LUMA_LOG_TRACE, who, __VA_ARGS__)

/* What modules get. */
extern const struct luma_host_log lk_log_host;

#endif
