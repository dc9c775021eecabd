/* lumadb/host/log.h - messages for the operator. (`wal` is the write-ahead log; `log` is messages.)
 */
#ifndef LUMADB_HOST_LOG_H
#define LUMADB_HOST_LOG_H

#include <lumadb/base.h>

enum luma_log_level {
    LUMA_LOG_ERROR = 0,
    LUMA_LOG_WARN = 1,
    LUMA_LOG_INFO = 2,
    LUMA_LOG_DEBUG = 3,
    LUMA_LOG_TRACE = 4
};

struct luma_host_log {
    struct luma_head head;
    /* Cheap: one atomic load. Any thread. */
    bool (*enabled)(enum luma_log_level level);
    /* One line; `who` is the module ("frontend.pgwire"). Copied before it returns. Any thread. */
    void (*write)(enum luma_log_level level, const char *who, const char *fmt, ...)
        LUMA_PRINTF(3, 4);
};

#endif
