/*
 * metrics - the server's counters as Prometheus text and OpenMetrics.
 */
#include <lumadb/host/log.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/stats.h>
#include <lumadb/kind/frontend.h>
#include <lumadb/module.h>

#include <http.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WHO "frontend.metrics"

struct metrics_conf {
    const char *host;
    int64_t port;
    const char *path;
    int64_t max_connections;
};

static const struct luma_conf_item metrics_conf_items[] = {
    LUMA_CONF_TEXT(struct metrics_conf, host, .sdef = "127.0.0.1",
                   .help = "address to listen on; * or 0.0.0.0: every one"),
    LUMA_CONF_INT(struct metrics_conf, port, .def = 9091, .min = 0, .max = 65535,
                  .help = "port; 0 lets the system choose"),
    LUMA_CONF_TEXT(struct metrics_conf, path, .sdef = "/metrics", .flags = LUMA_CONF_RELOAD,
                   .help = "path that is answered"),
    LUMA_CONF_INT(struct metrics_conf, max_connections, .def = 50, .min = 1, .max = 10000,
                  .unit = "connections", .help = "more are refused"),
    LUMA_CONF_END,
};

struct metrics {
    const struct luma_host *host;
    const struct metrics_conf *_Atomic conf;
    struct luma_listener *listener;
    int64_t started_us;
};

/* --- a page being written --- */

struct page {
    const struct luma_host_mem *mem;
    char *text;
    size_t bytes, room;
    bool open_metrics, failed;
    char family[200]; /* of the sample before */
};

static void add(struct page *page, const char *fmt, ...) LUMA_PRINTF(2, 3);

static void
add(struct page *page, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    if (bytes > page->room - page->bytes) {
        size_t room = page->room == 0 ? 16384 : page->room * 2;
        char *text = page->mem->resize(NULL, page->text, page->room, room);
        if (text == NULL) {
            page->failed = true;
            return;
        }
        page->text = text;
        page->room = room;
    }
    memcpy(page->text + page->bytes, line, bytes);
    page->bytes += bytes;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Help text: backslash and newline are escaped. */
static void
add_help(struct page *page, const char *family, const char *help)
{
    add(page, "# HELP %s ", family);
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\n')
            add(page, "\\n");
        else if (*c == '\\')
            add(page, "\\\\");
        else
            add(page, "%c", *c);
    }
    add(page, "\n");
}

/* The lines before the first sample of a family. OpenMetrics names counters without _total. */
static void
begin_family(struct page *page, const char *name, enum luma_stat_kind kind, const char *help,
             const char *unit)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    char family[200];
    snprintf(family, sizeof(family), "%s", name);
    if (page->open_metrics && kind == LUMA_STAT_COUNTER && ends_with(family, "_total"))
        family[strlen(family) - 6] = '\0';
    if (strcmp(page->family, family) == 0)
        return;
    snprintf(page->family, sizeof(page->family), "%s", family);
    add(page, "# TYPE %s %s\n", family, kinds[kind]);
    char suffix[64];
    snprintf(suffix, sizeof(suffix), "_%s", unit == NULL ? "" : unit);
    if (page->open_metrics && unit != NULL && unit[0] != '\0' && ends_with(family, suffix))
        add(page, "# UNIT %s %s\n", family, unit);
    add_help(page, family, help == NULL ? "" : help);
}

static void
add_histogram(struct page *page, const struct luma_stat_sample *s)
{
    const char *comma = s->labels[0] == '\0' ? "" : ",";
    for (size_t i = 0; i <= s->bounds_count; i++) {
        char bound[40] = "+Inf";
        if (i < s->bounds_count)
            snprintf(bound, sizeof(bound), "%.9g", s->bounds[i]);
        add(page, "%s_bucket{%s%sle=\"%s\"} %llu\n", s->name, s->labels, comma, bound,
            (unsigned long long)s->buckets[i]);
    }
    const char *open = s->labels[0] == '\0' ? "" : "{", *close = s->labels[0] == '\0' ? "" : "}";
    add(page, "%s_sum%s%s%s %.9g\n", s->name, open, s->labels, close, s->sum);
    add(page, "%s_count%s%s%s %llu\n", s->name, open, s->labels, close,
        (unsigned long long)s->count);
}

static void
add_sample(void *arg, const struct luma_stat_sample *s)
{
    struct page *page = arg;
    begin_family(page, s->name, s->kind, s->help, s->unit);
    if (s->kind == LUMA_STAT_HISTOGRAM) {
        add_histogram(page, s);
        return;
    }
    const char *total =
        page->open_metrics && s->kind == LUMA_STAT_COUNTER && !ends_with(s->name, "_total")
            ? "_total"
            : "";
    if (s->labels[0] == '\0')
        add(page, "%s%s %lld\n", s->name, total, (long long)s->value);
    else
        add(page, "%s%s{%s} %lld\n", s->name, total, s->labels, (long long)s->value);
}

static void
add_number(struct page *page, const char *name, enum luma_stat_kind kind, const char *unit,
           const char *help, double value)
{
    begin_family(page, name, kind, help, unit);
    add(page, "%s %.12g\n", name, value);
}

/* --- the process --- */

static void
add_memory(struct page *page)
{
    unsigned long long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r"); /* os-door: the process looks at itself */
    if (f == NULL)
        return;
    if (fscanf(f, "%llu %llu", &total, &resident) == 2) {
        double size = (double)sysconf(_SC_PAGESIZE);
        add_number(page, "process_resident_memory_bytes", LUMA_STAT_GAUGE, "bytes",
                   "Resident memory size in bytes.", (double)resident * size);
        add_number(page, "process_virtual_memory_bytes", LUMA_STAT_GAUGE, "bytes",
                   "Virtual memory size in bytes.", (double)total * size);
    }
    fclose(f);
}

static void
add_process(struct page *page, const struct metrics *m)
{
    struct rusage usage;
    struct rlimit files;
    add_memory(page);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        add_number(page, "process_cpu_seconds_total", LUMA_STAT_COUNTER, "seconds",
                   "Total user and system CPU time spent in seconds.",
                   (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        add_number(page, "process_max_fds", LUMA_STAT_GAUGE, "", "Most open file descriptors.",
                   (double)files.rlim_cur);
    add_number(page, "process_start_time_seconds", LUMA_STAT_GAUGE, "seconds",
               "Start time of the process since unix epoch in seconds.",
               (double)m->started_us / 1e6);
    begin_family(page, "lumadb_build_info", LUMA_STAT_GAUGE, "Version of the server.", "");
    add(page, "lumadb_build_info{version=\"%s\"} 1\n", LUMA_VERSION);
}

/* --- answering --- */

static luma_rc
answer_page(struct metrics *m, struct http *http)
{
    const char *accept = http_header(http, "accept");
    struct page page = {.mem = m->host->mem,
                        .open_metrics = accept != NULL &&
                                        strstr(accept, "application/openmetrics-text") != NULL};
    m->host->stats->each(add_sample, &page);
    add_process(&page, m);
    if (page.open_metrics)
        add(&page, "# EOF\n");
    luma_rc rc =
        page.failed
            ? http_respond(http, 503, "text/plain; charset=utf-8", NULL, "out of memory\n", 14)
            : http_respond(http, 200,
                           page.open_metrics
                               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8",
                           NULL, page.text, page.bytes);
    m->host->mem->release(NULL, page.text, page.room);
    return rc;
}

static luma_rc
answer(struct metrics *m, struct http *http, const struct http_request *request)
{
    static const char text[] = "text/plain; charset=utf-8";
    if (strcmp(request->path, m->conf->path) != 0)
        return http_respond(http, 404, text, NULL, "not found\n", 10);
    if (strcmp(request->method, "GET") != 0 && !request->head)
        return http_respond(http, 405, text, "Allow: GET, HEAD\r\n", "GET only\n", 9);
    return answer_page(m, http);
}

static void
serve(void *arg, struct luma_conn *conn)
{
    static const struct http_limits limits = {.body_bytes_max = 65536, .idle_ns = 60000000000};
    struct metrics *m = arg;
    struct http_request request;
    struct http *http = http_create(m->host, conn, &limits);
    while (http != NULL && http_read(http, &request) == LUMA_OK &&
           answer(m, http, &request) == LUMA_OK)
        ;
    (void)m->host->net->flush(conn);
    http_destroy(http);
}

/* --- the module --- */

static luma_rc
metrics_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    struct metrics *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    m->host = host;
    m->conf = conf;
    m->started_us = host->sched->wall_us();
    *out_state = m;
    return LUMA_OK;
}

static luma_rc
metrics_start(void *state, struct luma_ctx *ctx)
{
    struct metrics *m = state;
    const struct metrics_conf *conf = m->conf;
    if (conf->path[0] != '/')
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "[metrics] path: \"%s\" does not begin with /",
                         conf->path);
    struct luma_listen_spec spec = {
        .name = WHO,
        .host = conf->host,
        .port = (uint16_t)conf->port,
        .connections_max = (uint32_t)conf->max_connections,
        .conf_origin = "[metrics] port",
        .serve = serve,
        .arg = m,
    };
    return m->host->net->listen(ctx, &spec, &m->listener);
}

static void
metrics_reload(void *state, const void *conf)
{
    struct metrics *m = state;
    m->conf = conf;
}

static void
metrics_stop(void *state, uint64_t deadline_ns)
{
    struct metrics *m = state;
    if (m->listener != NULL)
        m->host->net->unlisten(m->listener, deadline_ns);
    m->listener = NULL;
}

static void
metrics_fini(void *state)
{
    free(state);
}

static uint16_t
metrics_port(void *state)
{
    struct metrics *m = state;
    return m->listener == NULL ? 0 : m->host->net->listener_port(m->listener);
}

static void
metrics_how(void *state, char *out, size_t room)
{
    struct metrics *m = state;
    if (m->listener != NULL)
        snprintf(out, room, "curl http://localhost:%u%s", metrics_port(m), m->conf->path);
    else if (room > 0)
        out[0] = '\0';
}

static const struct luma_frontend metrics_frontend = {
    .head = LUMA_FRONTEND_HEAD,
    .protocol = "Prometheus exposition",
    .how = metrics_how,
    .port = metrics_port,
};

LUMA_MODULE(.kind = "frontend", .name = "metrics", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "the server's own metrics for Prometheus",
            .section = "metrics",
            .offers = LUMA_OFFERS({"frontend.metrics", &metrics_frontend.head}),
            .conf = metrics_conf_items, .conf_bytes = sizeof(struct metrics_conf),
            .init = metrics_init, .start = metrics_start, .reload = metrics_reload,
            .stop = metrics_stop, .fini = metrics_fini);
