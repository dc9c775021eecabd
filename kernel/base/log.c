/* base/log.c - messages: format a line on the stack, hand it to the sink. */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"

#define LOG_LINE_BYTES 2048

static _Atomic int log_level = LUMA_LOG_INFO;
static _Atomic bool log_json;
static int64_t (*_Atomic log_clock)(void);
static struct lk_mutex log_lock = LK_MUTEX_INIT(LK_LOCK_LOG);
static lk_log_sink_fn log_sink;
static void *log_sink_arg;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

void
lk_log_set_sink(lk_log_sink_fn sink, void *arg)
{
    lk_mutex_lock(&log_lock);
    log_sink = sink;
    log_sink_arg = arg;
    lk_mutex_unlock(&log_lock);
}

void
lk_log_set_clock(int64_t (*wall_us)(void))
{
    atomic_store_explicit(&log_clock, wall_us, memory_order_release);
}

void
lk_log_set_level(enum luma_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

enum luma_log_level
lk_log_level(void)
{
    return (enum luma_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool
lk_log_level_parse(const char *name, enum luma_log_level *out_level)
{
    for (size_t i = 0; i < LUMA_COUNTOF(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out_level = (enum luma_log_level)i;
            return true;
        }
    }
    return false;
}

void
lk_log_set_json(bool json)
{
    atomic_store_explicit(&log_json, json, memory_order_relaxed);
}

bool
lk_log_enabled(enum luma_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* Civil date from days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"):
 * gmtime_r would do, but takes a lock in glibc. */
static void
format_time(char *out, size_t room, int64_t us)
{
    int64_t days = us / 86400000000, rest = us % 86400000000;
    if (rest < 0) {
        rest += 86400000000;
        days--;
    }
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);
    snprintf(out, room, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ", (long long)year,
             (long long)month, (long long)day, (long long)(rest / 3600000000),
             (long long)(rest / 60000000 % 60), (long long)(rest / 1000000 % 60),
             (long long)(rest / 1000 % 1000));
}

static void
sink_line(const char *line, size_t bytes)
{
    lk_mutex_lock(&log_lock);
    if (log_sink != NULL) {
        log_sink(log_sink_arg, line, bytes);
    } else {
        size_t ignored = fwrite(line, 1, bytes, stderr); /* nowhere to report it to */
        (void)ignored;
        fflush(stderr);
    }
    lk_mutex_unlock(&log_lock);
}

static void
write_text(const char *time, const char *level, const char *who, const char *message)
{
    char line[LOG_LINE_BYTES + 128];
    int n = snprintf(line, sizeof(line) - 1, "%s%s%-5s %s: %s", time, time[0] == '\0' ? "" : " ",
                     level, who, message);
    size_t bytes = n < 0 ? 0 : LK_MIN((size_t)n, sizeof(line) - 2);
    for (size_t i = 0; i < bytes; i++) /* one message is one line, whatever a client put in it */
        if ((uint8_t)line[i] < 0x20)
            line[i] = ' ';
    line[bytes++] = '\n';
    sink_line(line, bytes);
}

static void
write_json(const char *time, const char *level, const char *who, const char *message)
{
    struct lk_bytes b = {0};
    bool ok = lk_bytes_text(&b, "{");
    if (time[0] != '\0')
        ok = ok && lk_bytes_printf(&b, "\"time\":\"%s\",", time);
    ok = ok && lk_bytes_printf(&b, "\"level\":\"%s\",\"who\":", level) &&
         lk_bytes_json(&b, luma_slice_text(who)) && lk_bytes_text(&b, ",\"message\":") &&
         lk_bytes_json(&b, luma_slice_text(message)) && lk_bytes_text(&b, "}\n");
    if (ok)
        sink_line((const char *)b.data, b.bytes);
    lk_bytes_fini(&b);
}

void
lk_log_write(enum luma_log_level level, const char *who, const char *fmt, ...)
{
    char message[LOG_LINE_BYTES], time[64] = "";
    if (!lk_log_enabled(level))
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (n < 0)
        return;
    int64_t (*clock)(void) = atomic_load_explicit(&log_clock, memory_order_acquire);
    if (clock != NULL)
        format_time(time, sizeof(time), clock());
    if ((unsigned)level >= LUMA_COUNTOF(level_names))
        level = LUMA_LOG_TRACE;
    if (atomic_load_explicit(&log_json, memory_order_relaxed))
        write_json(time, level_names[level], who, message);
    else
        write_text(time, level_names[level], who, message);
}

const struct luma_host_log lk_log_host = {
    .head = {sizeof(struct luma_host_log), 0, 1},
    .enabled = lk_log_enabled,
    .write = lk_log_write,
};
