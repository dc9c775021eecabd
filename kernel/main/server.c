/*
 * main/server.c - from the configuration to a server that answers, and back: the main thread starts
 * the parts (parts.c), says how to connect, and waits for signals.
 */
#include <lumadb/kind/frontend.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "main/main_priv.h"

static int64_t
wall_us(void)
{
    return lk_io_wall_us(lk_io_posix());
}

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

/* All threads inherit the mask: signals come to sigwait on the main thread only. */
static void
block_signals(sigset_t *out_set)
{
    sigemptyset(out_set);
    sigaddset(out_set, SIGHUP);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, out_set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void
stop_at_once(int number)
{
    (void)number;
    _exit(EXIT_FAILED); /* as good as a crash: recovery replays what was committed */
}

/* From here on a second signal does not wait for anything. */
static void
arm_second_signal(const sigset_t *set)
{
    struct sigaction action = {.sa_handler = stop_at_once};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGHUP, SIG_IGN);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

struct ways {
    size_t count;
};

static void
print_way(void *arg, const struct luma_service_info *info)
{
    const struct luma_frontend *frontend = (const struct luma_frontend *)info->table;
    void *state = lk_services_host.state_of(info->table);
    char how[512] = "";
    struct ways *ways = arg;
    ways->count++;
    if (LUMA_HAS(frontend, how) && frontend->how != NULL)
        frontend->how(state, how, sizeof(how));
    if (how[0] != '\0')
        printf("  %s\n", how);
}

static void
announce(uint64_t begun_ns)
{
    struct ways ways = {0};
    double ms = (double)(now_ns() - begun_ns) / 1e6;
    printf("LumaDB %s is ready after %.0f ms. Connect with\n", LUMA_VERSION, ms);
    lk_services_host.each("frontend.", print_way, &ways);
    if (ways.count == 0)
        printf("  (nothing: no frontend is loaded)\n");
    fflush(stdout);
    if (ways.count == 0)
        lk_log_warn("main", "no frontend is loaded: nobody can come in");
    lk_log_info("main", "ready after %.0f ms", ms);
}

/* A connection is a file: as many as the system lets us have. */
static void
raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        lk_log_debug("main", "the limit of open files stays as it is");
}

/* LUMA_FAULTS arms fault points of a debug build: base/fault.h. */
static luma_rc
arm_faults(struct luma_ctx *ctx)
{
    const char *text = getenv("LUMA_FAULTS");
    if (text != NULL && !lk_fault_arm_text(text))
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "LUMA_FAULTS=%s: expected name[=times][@skip],...",
                         text);
    return LUMA_OK;
}

static int
check_only(void)
{
    size_t bad = 0;
    for (size_t i = 0; i < lk_host_count(); i++) {
        enum lk_host_state state = lk_host_at(i)->state;
        bad += state == LK_HOST_REFUSED || state == LK_HOST_FAILED;
    }
    if (bad > 0) {
        fprintf(stderr, "lumadb: %zu of %zu modules cannot run\n", bad, lk_host_count());
        return EXIT_FAILED;
    }
    printf("the configuration is good: %zu modules\n", lk_host_count());
    return EXIT_OK;
}

static void
serve(const struct lki_options *options, struct lki_settings *settings, const sigset_t *set)
{
    for (;;) {
        int number = 0;
        if (sigwait(set, &number) != 0)
            continue;
        if (number != SIGHUP) {
            lk_log_info("main", "told to stop by %s", strsignal(number));
            return;
        }
        lki_settings_reload(options, settings);
    }
}

static int
run(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    uint64_t begun_ns = now_ns();
    sigset_t signals;
    if (lki_settings_load(ctx, options, &settings) != LUMA_OK ||
        lk_host_order(ctx, settings.conf) != LUMA_OK)
        return lki_complain(ctx->error);
    if (options->check)
        return check_only();
    if (lki_settings_apply_log(ctx, &settings) != LUMA_OK)
        return lki_complain(ctx->error);
    block_signals(&signals);
    raise_file_limit();
    luma_rc rc = arm_faults(ctx);
    if (rc == LUMA_OK)
        rc = lki_parts_start(ctx, &settings, lk_io_posix(), settings.general->data_dir);
    if (rc == LUMA_OK) {
        announce(begun_ns);
        serve(options, &settings, &signals);
    }
    if (rc == LUMA_OK)
        arm_second_signal(&signals);
    lki_parts_stop((uint64_t)settings.general->shutdown_timeout);
    if (rc != LUMA_OK)
        return lki_complain(ctx->error);
    lk_log_info("main", "stopped");
    return EXIT_OK;
}

int
lki_cmd_server(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    if (arena == NULL)
        return EXIT_FAILED;
    lk_ctx_init(&c, arena);
    lk_log_set_clock(wall_us);
    return run(&c.ctx, options);
}
