/*
 * tests/memory/test_statements.c - every allocation of the whole server fails once, one after the
 * other, while a client runs statements of all kinds (statements.h) over the PostgreSQL protocol.
 *
 * A statement that runs short ends with SQLSTATE 53200 or succeeds; it has then happened not at all
 * or wholly, its session goes on, and the same statement gives the right answer. Nothing leaks:
 * sanitizers say so when the server stops.
 *
 *     test_statements                    a part of the allocations that moves with LUMA_TEST_SEED
 *     LUMA_TEST_FULL=1 test_statements   all of them
 *     test_statements NAME [N]           one statement, or one allocation of it
 *
 * The server is this program in a process of its own: its calls of the C library's allocator and
 * those of its modules are counted, those of libraries are not. Arenas take each of their
 * allocations from the heap (LK_ARENA_ALONE).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <libpq-fe.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "main/main_priv.h"
#include "statements.h"

#define STEPS      14 /* addresses of a call that failed */
#define PARTS      96 /* a reduced run takes one of so many allocations */
#define QUICK      4  /* times as many under sanitizers */
#define WAIT_MS    20000
#define FAILED_MAX 40
#define ANSWER_MAX 65536
#define COPY_ROWS  300

/* --- the allocator; what both processes see --- */

struct step {
    char file[120];
    uintptr_t offset;
};

static struct {
    _Atomic bool counting;
    _Atomic uint64_t counted, fail_at;
    _Atomic int steps;
    struct step place[STEPS];
} * shared;

struct range {
    uintptr_t first, last;
};

static struct range ours[64], foreign[2048];
static size_t ours_count, foreign_count;

/* What lies below the sanitizer's allocator or the C library's. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void *__interceptor_malloc(size_t bytes) __attribute__((weak));
void *__interceptor_calloc(size_t count, size_t bytes) __attribute__((weak));
void *__interceptor_realloc(void *p, size_t bytes) __attribute__((weak));
void *__interceptor_aligned_alloc(size_t align, size_t bytes) __attribute__((weak));
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

/* Called before the sanitizer is ready to look. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined", "thread")))

UNCHECKED static bool
is_in(const struct range *ranges, size_t count, uintptr_t at)
{
    for (size_t i = 0; i < count; i++)
        if (at >= ranges[i].first && at < ranges[i].last)
            return true;
    return false;
}

static void
keep_place(void)
{
    void *at[STEPS + 3];
    int n = backtrace(at, STEPS + 3), kept = 0;
    for (int i = 2; i < n && kept < STEPS; i++) {
        Dl_info info;
        if (dladdr(at[i], &info) == 0 || info.dli_fname == NULL)
            continue;
        struct step *step = &shared->place[kept++];
        strncpy(step->file, info.dli_fname, sizeof(step->file) - 1);
        step->offset = (uintptr_t)at[i] - (uintptr_t)info.dli_fbase;
    }
    atomic_store(&shared->steps, kept);
}

UNCHECKED static bool
refused(void *caller)
{
    if (LUMA_LIKELY(shared == NULL || !atomic_load(&shared->counting)))
        return false;
    uintptr_t at = (uintptr_t)caller;
    if (!is_in(ours, ours_count, at) || is_in(foreign, foreign_count, at))
        return false;
    if (atomic_fetch_add(&shared->counted, 1) + 1 != atomic_load(&shared->fail_at))
        return false;
    keep_place();
    return true;
}

#define REFUSED refused(__builtin_return_address(0))

#if LK_ASAN
/* The sanitizer knows the dynamic linker's own blocks by their caller, which is this program here.
 */
const char *__lsan_default_suppressions(void);
LUMA_EXPORT const char *
__lsan_default_suppressions(void)
{
    return "leak:ld-linux\nleak:elf/dl-\nleak:_dl_\n";
}
#endif

UNCHECKED LUMA_EXPORT void *
malloc(size_t bytes)
{
    if (REFUSED)
        return NULL;
    return __interceptor_malloc != NULL ? __interceptor_malloc(bytes) : __libc_malloc(bytes);
}

UNCHECKED LUMA_EXPORT void *
calloc(size_t count, size_t bytes)
{
    if (REFUSED)
        return NULL;
    return __interceptor_calloc != NULL ? __interceptor_calloc(count, bytes)
                                        : __libc_calloc(count, bytes);
}

UNCHECKED LUMA_EXPORT void *
realloc(void *p, size_t bytes)
{
    if (REFUSED)
        return NULL;
    return __interceptor_realloc != NULL ? __interceptor_realloc(p, bytes)
                                         : __libc_realloc(p, bytes);
}

UNCHECKED LUMA_EXPORT void *
aligned_alloc(size_t align, size_t bytes)
{
    if (REFUSED)
        return NULL;
    return __interceptor_aligned_alloc != NULL ? __interceptor_aligned_alloc(align, bytes)
                                               : __libc_memalign(align, bytes);
}

UNCHECKED LUMA_EXPORT char *
strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = REFUSED ? NULL : malloc(bytes);
    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

void *
__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    return REFUSED ? MAP_FAILED : __real_mmap(at, bytes, prot, flags, fd, offset);
}

/* --- whose call it is --- */

/* Libraries that are linked into the program or a module. */
static bool
is_library(const char *function)
{
    static const char *const beginnings[] = {
        "pg_query_", "protobuf_c_",           "AllocSet", "MemoryContext", "Slab", "Generation",
        "palloc",    "parse_required_member", "XXH",
    };
    if (strncmp(function, "pg_query__", 10) == 0)
        return false; /* they allocate with what they are given */
    for (size_t i = 0; i < LUMA_COUNTOF(beginnings); i++)
        if (strncmp(function, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

static void
find_libraries(const char *file, uintptr_t base)
{
    char command[512], line[512], name[400], kind;
    unsigned long long at, bytes;
    snprintf(command, sizeof(command), "nm -S --defined-only '%s' 2>/dev/null", file);
    FILE *symbols = popen(command, "r");
    while (symbols != NULL && fgets(line, sizeof(line), symbols) != NULL)
        if (sscanf(line, "%llx %llx %c %399s", &at, &bytes, &kind, name) == 4 &&
            (kind == 't' || kind == 'T') && is_library(name) &&
            foreign_count < LUMA_COUNTOF(foreign))
            foreign[foreign_count++] = (struct range){base + at, base + at + bytes};
    if (symbols != NULL)
        pclose(symbols);
}

static int
keep_object(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    const char *name = info->dlpi_name;
    (void)bytes;
    (void)arg;
    if (name[0] != '\0' && strstr(name, "/modules.d/") == NULL && strstr(name, "/.libs/") == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum && ours_count < LUMA_COUNTOF(ours); i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0) {
            uintptr_t first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ours[ours_count++] = (struct range){first, first + info->dlpi_phdr[i].p_memsz};
        }
    find_libraries(name[0] == '\0' ? "/proc/self/exe" : name, info->dlpi_addr);
    return 0;
}

/* --- the server --- */

static char dir[64];
static int port;
static pid_t server;
static bool verbose;

static void
say_signal(int number)
{
    static const char text[] = "the server ends by a signal\n";
    void *at[32];
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    backtrace_symbols_fd(at, backtrace(at, 32), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

static const char *
setting(struct luma_arena *arena, const char *key, const char *fmt, const char *text, int number)
{
    char value[256];
    snprintf(value, sizeof(value), fmt, text, number);
    return lk_arena_printf(arena, "%s=%s", key, value);
}

static void
server_options(struct luma_arena *arena, struct lki_options *out)
{
    const char *build = getenv("LUMA_BUILD_DIR");
    build = build == NULL ? "." : build;
    memset(out, 0, sizeof(*out));
    out->config_file = "/dev/null";
    out->conf_dir = lk_arena_printf(arena, "%s/conf.d", build);
    const char *const sets[] = {
        setting(arena, "general.data_dir", "%s", dir, 0),
        setting(arena, "general.module_dir", "%s/modules.d", build, 0),
        setting(arena, "general.log_level", "%s", verbose ? "debug" : "error", 0),
        setting(arena, "postgres.port", "%.0s%d", "", port),
        "server.port=0",
        "metrics.port=0",
        "storage.durability=async",
        "storage.memory_budget=1GB",
        "storage.wal_file_size=16MB",
        "sched.loops=1",
        "sched.workers=2",
    };
    memcpy(out->sets, sets, sizeof(sets));
    out->sets_count = LUMA_COUNTOF(sets);
}

static int
server_run(void)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lki_options options;
    struct lki_settings settings;
    struct lk_ctx c;
    sigset_t signals;
    int number = 0;
    lk_ctx_init(&c, arena);
    server_options(arena, &options);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (lki_settings_load(&c.ctx, &options, &settings) != LUMA_OK ||
        lk_host_order(&c.ctx, settings.conf) != LUMA_OK ||
        lki_settings_apply_log(&c.ctx, &settings) != LUMA_OK)
        return lki_complain(c.ctx.error);
    dl_iterate_phdr(keep_object, NULL);
    luma_rc rc = lki_parts_start(&c.ctx, &settings, lk_io_posix(), settings.general->data_dir);
    while (rc == LUMA_OK && number != SIGTERM)
        sigwait(&signals, &number);
    lki_parts_stop((uint64_t)settings.general->shutdown_timeout);
    if (rc != LUMA_OK)
        (void)lki_complain(c.ctx.error);
    lk_arena_destroy(arena);
    return rc == LUMA_OK ? 0 : 1;
}

static int
free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, bytes) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) != 0)
        exit(1);
    close(fd);
    return ntohs(at.sin_port);
}

static void
no_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static PGconn *
connect_once(void)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", port);
    const char *const keys[] = {"host",   "port",    "user",       "password",
                                "dbname", "sslmode", "gssencmode", "connect_timeout",
                                NULL};
    const char *const values[] = {"127.0.0.1", text,      "lumadb", "lumadb", "default",
                                  "disable",   "disable", "20",     NULL};
    PGconn *made = PQconnectdbParams(keys, values, 0);
    (void)PQsetNoticeProcessor(made, no_notice, NULL);
    return made;
}

static PGconn *conn;

static bool
server_start(void)
{
    port = free_port();
    atomic_store(&shared->counting, false);
    fflush(NULL);
    server = fork();
    if (server == 0) {
        void *warm[4];
        (void)backtrace(warm, 4); /* loads what it needs */
#if !LK_ASAN
        signal(SIGSEGV, say_signal);
        signal(SIGBUS, say_signal);
#endif
        signal(SIGABRT, say_signal);
        exit(server_run());
    }
    for (int i = 0; server > 0 && i < 1000; i++) {
        int status;
        conn = connect_once();
        if (PQstatus(conn) == CONNECTION_OK)
            return true;
        PQfinish(conn);
        conn = NULL;
        if (waitpid(server, &status, WNOHANG) == server)
            break;
        usleep(20000);
    }
    fprintf(stderr, "the server does not start\n");
    return false;
}

/* True: it ended as it should; leaks are an end that it should not have. */
static bool
server_stop(bool hard)
{
    int status = 0;
    PQfinish(conn);
    conn = NULL;
    kill(server, hard ? SIGKILL : SIGTERM);
    for (int i = 0; i < 600; i++) {
        if (waitpid(server, &status, WNOHANG) == server)
            return hard || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
        usleep(100000);
    }
    kill(server, SIGKILL);
    waitpid(server, &status, 0);
    fprintf(stderr, "the server does not stop\n");
    return hard;
}

/* --- the client --- */

struct answer {
    bool lost; /* no answer at all */
    char state[6];
    char message[256];
    size_t bytes;
    char text[ANSWER_MAX];
};

static void
answer_add(struct answer *a, const char *text, size_t bytes)
{
    bytes = LK_MIN(bytes, ANSWER_MAX - 1 - a->bytes);
    memcpy(a->text + a->bytes, text, bytes);
    a->bytes += bytes;
    a->text[a->bytes] = '\0';
}

static void
keep_error(struct answer *a, const char *state, const char *message)
{
    if (a->state[0] != '\0')
        return;
    snprintf(a->state, sizeof(a->state), "%s", state == NULL ? "?????" : state);
    snprintf(a->message, sizeof(a->message), "%s", message);
}

static void
keep_result(struct answer *a, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        keep_error(a, PQresultErrorField(result, PG_DIAG_SQLSTATE), PQresultErrorMessage(result));
        return;
    }
    for (int row = 0; row < PQntuples(result); row++)
        for (int col = 0; col < PQnfields(result); col++) {
            answer_add(a, PQgetvalue(result, row, col), (size_t)PQgetlength(result, row, col));
            answer_add(a, col + 1 < PQnfields(result) ? "|" : "\n", 1);
        }
    const char *tag = PQcmdStatus((PGresult *)(uintptr_t)result);
    answer_add(a, tag, strlen(tag));
    answer_add(a, "\n", 1);
}

/* The next result, NULL: there is none; the server may have gone, or say nothing any more. */
static PGresult *
next_result(struct answer *a)
{
    while (PQisBusy(conn)) {
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
        if (poll(&fd, 1, WAIT_MS) <= 0) {
            snprintf(a->message, sizeof(a->message), "no answer after %d s", WAIT_MS / 1000);
            a->lost = true;
            return NULL;
        }
        if (PQconsumeInput(conn) == 0)
            break;
    }
    return PQgetResult(conn);
}

static void
send_rows(void)
{
    char line[64];
    for (int i = 1; i <= COPY_ROWS; i++) {
        int n = snprintf(line, sizeof(line), "%d\tcopied %d\t%d\n", i, i, 1 + i % 7);
        if (PQputCopyData(conn, line, n) != 1)
            break;
    }
    PQputCopyEnd(conn, NULL);
}

static void
take_rows(struct answer *a)
{
    char *data;
    int n;
    while ((n = PQgetCopyData(conn, &data, 0)) > 0) {
        answer_add(a, data, (size_t)n);
        PQfreemem(data);
    }
}

static void
collect(struct answer *a)
{
    PGresult *result;
    while (!a->lost && (result = next_result(a)) != NULL) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN)
            send_rows();
        else if (status == PGRES_COPY_OUT)
            take_rows(a);
        else
            keep_result(a, result);
        PQclear(result);
    }
    if (PQstatus(conn) != CONNECTION_OK)
        a->lost = true;
}

static void
run_connect(struct answer *a, const char *text)
{
    PGconn *keep = conn;
    conn = connect_once();
    if (PQstatus(conn) == CONNECTION_OK) {
        PQsendQuery(conn, text);
        collect(a);
        if (a->lost && a->state[0] != '\0')
            a->lost = false; /* it said why */
    } else {
        const char *message = PQerrorMessage(conn);
        bool short_of_it =
            strstr(message, "memory") != NULL || strstr(message, "closed the connection") != NULL;
        keep_error(a, short_of_it ? "53200" : "08006", message);
    }
    PQfinish(conn);
    conn = keep;
}

static void
run(enum how how, const char *text, struct answer *a)
{
    static const char *const values[] = {"7", "seven"};
    int sent = 1;
    memset(a, 0, offsetof(struct answer, text) + 1);
    if (how == CONNECT) {
        run_connect(a, text);
        return;
    }
    if (how == PREPARED) {
        sent = PQsendPrepare(conn, "p", text, 0, NULL);
        collect(a);
        if (a->state[0] == '\0' && !a->lost)
            sent = PQsendQueryPrepared(conn, "p", 2, values, NULL, NULL, 0);
    } else if (how == PARAMS) {
        sent = PQsendQueryParams(conn, text, 2, NULL, values, NULL, NULL, 0);
    } else {
        sent = PQsendQuery(conn, text);
    }
    if (sent != 1) {
        a->lost = true;
        snprintf(a->message, sizeof(a->message), "%s", PQerrorMessage(conn));
    }
    collect(a);
}

static bool
run_well(const char *text)
{
    static struct answer a;
    if (text == NULL)
        return true;
    run(SIMPLE, text, &a);
    if (!a.lost && a.state[0] == '\0')
        return true;
    fprintf(stderr, "%s: %s %s\n", text, a.state, a.message);
    return false;
}

static bool
set_up(void)
{
    for (size_t i = 0; i < LUMA_COUNTOF(setup); i++)
        if (!run_well(setup[i]))
            return false;
    return true;
}

/* A folder of its own, in memory where that is possible: thousands of statements wait for no disk.
 */
static bool
begin_anew(void)
{
    snprintf(dir, sizeof(dir), "%s/lumadb-statements.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(dir) != NULL && server_start() && set_up();
}

static bool
end(bool hard)
{
    char command[128];
    bool good = server_stop(hard);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) == 0 && good;
}

/* --- one statement --- */

static struct answer first, state_after, now, state_now;
static uint64_t failed;

static void
say_place(void)
{
    int steps = atomic_load(&shared->steps);
    fflush(stdout);
    for (int i = 0; i < steps; i++) {
        char command[256];
        snprintf(command, sizeof(command), "addr2line -f -p -s -e '%s' 0x%llx 2>/dev/null",
                 shared->place[i].file, (unsigned long long)shared->place[i].offset - 1);
        if (system(command) != 0)
            printf("%s+0x%llx\n", shared->place[i].file,
                   (unsigned long long)shared->place[i].offset);
    }
}

static void
complain(const struct statement *s, uint64_t at, bool cold, const char *what,
         const struct answer *answer)
{
    failed++;
    printf("%s, allocation %llu%s: %s%s%s%s%s\n", s->name, (unsigned long long)at,
           cold ? "" : " (known text)", what, answer == NULL ? "" : ": ",
           answer == NULL ? "" : answer->state, answer == NULL ? "" : " ",
           answer == NULL ? "" : answer->message);
    say_place();
    fflush(stdout);
}

/* With a number in front the session has never seen the text and has to bind it. */
static const char *
text_of(const struct statement *s, bool cold)
{
    static char text[4096];
    static uint64_t number;
    snprintf(text, sizeof(text), "/* %llu */ %s", (unsigned long long)(cold ? ++number : 0),
             s->run);
    return text;
}

static void
run_short(const struct statement *s, uint64_t at, bool cold)
{
    const char *text = text_of(s, cold);
    atomic_store(&shared->steps, 0);
    atomic_store(&shared->counted, 0);
    atomic_store(&shared->fail_at, at);
    atomic_store(&shared->counting, true);
    run(s->how, text, &now);
    atomic_store(&shared->counting, false);
}

static bool
same(const struct statement *s, const struct answer *a, const struct answer *b)
{
    return s->how == TIMED || (strcmp(a->state, b->state) == 0 && a->bytes == b->bytes &&
                               memcmp(a->text, b->text, a->bytes) == 0);
}

static bool
in_block(const struct statement *s)
{
    return s->before != NULL && strncmp(s->before, "BEGIN", 5) == 0;
}

/* What a failure has left is not cleared away before the second try. */
static bool
once_more(const struct statement *s, uint64_t at, bool cold)
{
    if (PQtransactionStatus(conn) == PQTRANS_INERROR && !run_well("ROLLBACK"))
        return false;
    if (in_block(s) && PQtransactionStatus(conn) == PQTRANS_INTRANS && !run_well("ROLLBACK"))
        return false;
    if (in_block(s) && !run_well(s->before))
        return false;
    if (s->how == PREPARED && !run_well("DEALLOCATE ALL"))
        return false;
    run(s->how, text_of(s, cold), &now);
    if (now.lost) {
        complain(s, at, cold, "the session is lost", &now);
        return false;
    }
    if (!same(s, &now, &first))
        complain(s, at, cold, "another answer after it", &now);
    return now.state[0] == '\0';
}

/* False: the server has to begin anew. */
static bool
try(const struct statement *s, uint64_t at, bool cold)
{
    if (!run_well(s->before))
        return false;
    run_short(s, at, cold);
    bool hit = atomic_load(&shared->steps) > 0;
    if (now.lost) {
        complain(s, at, cold, "the session is lost", &now);
        return false;
    }
    if (now.state[0] != '\0') {
        if (!hit)
            complain(s, at, cold, "failed with memory to be had", &now);
        else if (strcmp(now.state, "53200") != 0)
            complain(s, at, cold, "failed for another reason than memory", &now);
        if (!once_more(s, at, cold))
            return false;
    } else if (!same(s, &now, &first)) {
        complain(s, at, cold, "another answer", &now);
    }
    if (s->check != NULL) {
        run(SIMPLE, s->check, &state_now);
        if (!same(s, &state_now, &state_after))
            complain(s, at, cold, "left something else", &state_now);
        if (state_now.lost)
            return false;
    }
    return run_well(s->after);
}

/* The answer it must give, and how many allocations it takes. */
static bool
learn(const struct statement *s, bool cold, uint64_t *out_count)
{
    if (!run_well(s->before))
        return false;
    run(s->how, text_of(s, cold), &first);
    if (first.lost || first.state[0] != '\0') {
        complain(s, 0, cold, "fails", &first);
        return false;
    }
    if (s->check != NULL)
        run(SIMPLE, s->check, &state_after);
    if (!run_well(s->after) || !run_well(s->before))
        return false;
    run_short(s, 0, cold);
    *out_count = atomic_load(&shared->counted);
    return run_well(s->after);
}

static bool
restart(void)
{
    (void)end(true);
    return begin_anew();
}

struct part {
    uint64_t only, first, step; /* one allocation, or each step-th */
    uint64_t runs;
};

/* False: nothing works any more. */
static bool
run_statement(const struct statement *s, bool cold, struct part *part)
{
    uint64_t count = 0, before = failed;
    if (!learn(s, cold, &count))
        return restart() && part->only == 0;
    uint64_t from = part->only != 0 ? part->only : 1 + (part->first + part->runs) % part->step;
    uint64_t to = part->only != 0 ? part->only : count;
    for (uint64_t at = from; at <= to && failed < FAILED_MAX; at += part->step) {
        part->runs++;
        if (try(s, at, cold))
            continue;
        if (failed == before)
            complain(s, at, cold, "the session is not what it was", NULL);
        if (!restart() || !learn(s, cold, &count))
            return false;
    }
    if (verbose)
        printf("%s%s: %llu allocations\n", s->name, cold ? "" : " (known text)",
               (unsigned long long)count);
    return true;
}

int
main(int argc, char **argv)
{
    const char *full = getenv("LUMA_TEST_FULL"), *seed = getenv("LUMA_TEST_SEED");
    bool every = argc > 1 || (full != NULL && strcmp(full, "1") == 0), works, known = false;
#ifdef __SANITIZE_THREAD__
    printf("its allocator is not the sanitizer's: allocations fail under the others\n");
    return 77;
#endif
    uint64_t parts = every ? 1 : getenv("LUMA_TEST_QUICK") != NULL ? PARTS * QUICK : PARTS;
    struct part part = {.step = parts,
                        .first = seed == NULL ? 0 : strtoull(seed, NULL, 10) % parts};
    shared = mmap(NULL, lk_align_up(sizeof(*shared), 4096), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    verbose = getenv("LUMA_TEST_VERBOSE") != NULL;
    part.only = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    works = begin_anew();
    for (size_t i = 0; works && i < LUMA_COUNTOF(statements); i++)
        if (argc < 2 || strcmp(argv[1], statements[i].name) == 0) {
            known = true;
            works = run_statement(&statements[i], true, &part) &&
                    run_statement(&statements[i], false, &part);
        }
    if (works && !known)
        printf("no statement has the name %s\n", argv[1]);
    if (server > 0 && !end(false)) {
        printf("the server did not end well\n");
        failed++;
    }
    printf("%llu allocations failed once, %llu broke a promise\n", (unsigned long long)part.runs,
           (unsigned long long)failed);
    return works && known && failed == 0 ? 0 : 1;
}
