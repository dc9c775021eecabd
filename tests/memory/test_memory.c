/*
 * tests/memory/test_memory.c - every allocation of the kernel fails once, one after the other, over
 * a fixed workload: open, define, insert, change, query, checkpoint, merge, close, recovery.
 *
 * What fails must say "out of memory" and leave nothing behind; the same step then succeeds, and
 * whatever was committed is there, before and after a restart. Each allocation has a process of its
 * own, so that a crash or a hang is one line of the report.
 *
 *     test_memory                    a part of the allocations that moves with LUMA_TEST_SEED
 *     LUMA_TEST_FULL=1 test_memory   all of them
 *     test_memory N                  the N-th, with the place it was asked for
 */
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/storage/segment/modules.h"
#include "base/mem.h"
#include "data/data.h"
#include "io/io.h"
#include "storage/store.h"

#define COLL   1001
#define PK     2001
#define BY_V   2002
#define KEYS   400
#define STEPS  24 /* addresses of a call that failed */
#define PARTS  16 /* a reduced run takes one of so many allocations */
#define WAIT_S 60

/* --- the allocator --- */

static bool counting;
static uint64_t counted, fail_at;
static void *place[STEPS];
static int place_steps;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
char *__real_strdup(const char *text);
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

static bool
refused(void)
{
    if (!counting || ++counted != fail_at)
        return false;
    place_steps = backtrace(place, STEPS);
    return true;
}

void *
__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : __real_malloc(bytes);
}

void *
__wrap_calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : __real_calloc(count, bytes);
}

void *
__wrap_realloc(void *p, size_t bytes)
{
    return refused() ? NULL : __real_realloc(p, bytes);
}

void *
__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return refused() ? NULL : __real_aligned_alloc(align, bytes);
}

char *
__wrap_strdup(const char *text)
{
    return refused() ? NULL : __real_strdup(text);
}

void *
__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    return refused() ? MAP_FAILED : __real_mmap(at, bytes, prot, flags, fd, offset);
}

/* Calls of the kernel: only what they allocate counts. */
#define K(call)              \
    ({                       \
        counting = true;     \
        luma_rc k_ = (call); \
        counting = false;    \
        k_;                  \
    })
#define KV(call)          \
    do {                  \
        counting = true;  \
        call;             \
        counting = false; \
    } while (0)

/* --- what the store must hold --- */

static char dir[64];
static struct lk_store *store;
static struct luma_arena *arena, *room; /* of the kernel's calls, of the test */
static struct lk_ctx c;
static int32_t values[KEYS], next[KEYS]; /* 0: no such row; committed, and with the open one */

static void
reset(void)
{
    arena->reset(arena);
    room->reset(room);
    lk_ctx_init(&c, arena);
}

static luma_rc
step_open(void)
{
    struct lk_store_conf conf;
    if (store != NULL) {
        lk_store_close(store);
        store = NULL;
    }
    lk_store_conf_default(&conf);
    conf.io = lk_io_posix();
    conf.dir = dir;
    conf.services = &test_host_services;
    conf.async = true;
    conf.wal_file_bytes = 1u << 20;
    conf.hot_bytes = 64u << 20;
    conf.cache_bytes = 8u << 20;
    conf.small_bytes = 4096;
    conf.history_ns = 3600 * 1000000000ULL;
    return K(lk_store_open(&c.ctx, &conf, &store));
}

static luma_rc
begin(struct luma_txn **out)
{
    *out = NULL;
    luma_rc rc = K(lk_txn_host.begin(&c.ctx, NULL, out));
    return rc == LUMA_OK ? K(lk_txn_host.statement_begin(&c.ctx, *out)) : rc;
}

static luma_rc
finish(struct luma_txn *txn, luma_rc rc)
{
    if (rc == LUMA_OK)
        rc = K(lk_txn_host.commit(&c.ctx, txn));
    else
        KV(lk_txn_host.rollback(txn));
    if (rc == LUMA_OK)
        memcpy(values, next, sizeof(values));
    return rc;
}

static luma_rc
step_define(void)
{
    struct luma_store_col cols[3];
    struct luma_store_index_col pk = {1, 0}, by_v = {2, 0};
    struct luma_store_index indexes[2] = {
        {.id = PK, .kind = "btree", .unique = true, .primary = true, .cols_count = 1, .cols = &pk},
        {.id = BY_V, .kind = "btree", .cols_count = 1, .cols = &by_v}};
    struct luma_store_coll def = {
        .id = COLL, .cols_count = 3, .cols = cols, .indexes_count = 2, .indexes = indexes};
    struct luma_txn *txn;
    memset(cols, 0, sizeof(cols));
    cols[0].id = 1, cols[0].type = luma_type(LUMA_TYPE_INT8);
    cols[1].id = 2, cols[1].type = luma_type(LUMA_TYPE_INT4);
    cols[2].id = 3, cols[2].type = luma_type(LUMA_TYPE_TEXT);
    luma_rc rc = begin(&txn);
    if (rc == LUMA_OK)
        rc = K(lk_store_define(&c.ctx, txn, &def));
    return finish(txn, rc);
}

static void
make_batch(struct luma_batch *batch, int first, int count, int32_t v)
{
    memset(batch, 0, sizeof(*batch));
    batch->rows = batch->sel_rows = (uint32_t)count;
    batch->cols_count = 3;
    batch->cols = LUMA_NEW_ARRAY(room, struct luma_vec, 3);
    luma_vec_init(&batch->cols[0], room, luma_type(LUMA_TYPE_INT8), batch->rows);
    luma_vec_init(&batch->cols[1], room, luma_type(LUMA_TYPE_INT4), batch->rows);
    luma_vec_init(&batch->cols[2], room, luma_type(LUMA_TYPE_TEXT), batch->rows);
    for (int i = 0; i < count; i++) {
        ((int64_t *)batch->cols[0].data)[i] = first + i;
        ((int32_t *)batch->cols[1].data)[i] = v + i;
        ((struct luma_str *)batch->cols[2].data)[i] =
            luma_str_make("a text that is longer than what lies inline", 20 + (uint32_t)(i % 20));
    }
}

static luma_rc
insert_rows(int first, int count)
{
    struct luma_batch batch;
    struct luma_coll *coll = NULL;
    struct luma_txn *txn;
    make_batch(&batch, first, count, 1000);
    luma_rc rc = begin(&txn);
    if (rc == LUMA_OK)
        rc = K(lk_store_host.open(&c.ctx, txn, COLL, &coll));
    if (rc == LUMA_OK)
        rc = K(lk_store_host.insert(&c.ctx, txn, coll, &batch, NULL, NULL, NULL));
    KV(lk_store_host.close(coll));
    for (int i = 0; i < count; i++)
        next[first + i] = 1000 + i;
    return finish(txn, rc);
}

static luma_rc
key_row(struct luma_txn *txn, struct luma_coll *coll, int key, int64_t *out_rowid, int32_t *out_v)
{
    static const uint32_t cols[] = {2};
    struct luma_value value, v;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(LUMA_TYPE_INT8);
    value.phys = LUMA_PHYS_I64;
    value.i64 = key;
    *out_rowid = -1;
    luma_rc rc =
        K(lk_store_host.get(&c.ctx, txn, coll, PK, &value, 1, cols, 1, arena, &v, out_rowid));
    *out_v = rc == LUMA_OK && *out_rowid >= 0 ? v.i32 : 0;
    return rc;
}

/* A new value for the even keys of a range, the odd ones go. */
static luma_rc
change_rows(int first, int count)
{
    static const uint32_t cols[] = {2};
    struct luma_coll *coll = NULL;
    struct luma_txn *txn;
    luma_rc rc = begin(&txn);
    if (rc == LUMA_OK)
        rc = K(lk_store_host.open(&c.ctx, txn, COLL, &coll));
    for (int i = first; rc == LUMA_OK && i < first + count; i++) {
        enum luma_lock_result result = LUMA_ROW_GONE;
        struct luma_batch batch;
        int64_t rowid;
        int32_t v;
        rc = key_row(txn, coll, i, &rowid, &v);
        if (rc == LUMA_OK)
            rc = K(lk_store_host.lock(&c.ctx, txn, coll, &rowid, 1, LUMA_LOCK_UPDATE,
                                      LUMA_LOCK_NOWAIT, &result));
        make_batch(&batch, i, 1, 5000 + i);
        batch.cols++;
        batch.cols_count = 1;
        if (rc == LUMA_OK)
            rc = i % 2 == 0 ? K(lk_store_host.update(&c.ctx, txn, coll, &rowid, 1, cols, &batch))
                            : K(lk_store_host.remove(&c.ctx, txn, coll, &rowid, 1));
        next[i] = i % 2 == 0 ? 5000 + i : 0;
    }
    KV(lk_store_host.close(coll));
    return finish(txn, rc);
}

static const char *wrong;

static luma_rc
count_rows(struct luma_txn *txn, struct luma_coll *coll, uint64_t index_id, int *seen)
{
    static const uint32_t cols[] = {1, 2};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    luma_rc rc;
    memset(seen, 0, KEYS * sizeof(*seen));
    if (index_id != 0) {
        rc = K(lk_store_host.index_scan(&c.ctx, txn, coll, index_id, NULL, &spec, &cursor));
    } else {
        rc = K(lk_store_host.scan_open(&c.ctx, txn, coll, &spec, &scan));
        if (rc == LUMA_OK)
            rc = K(lk_store_host.cursor_open(&c.ctx, scan, &cursor));
    }
    while (rc == LUMA_OK) {
        rc = K(lk_store_host.cursor_next(&c.ctx, cursor, &batch));
        if (rc != LUMA_OK || batch->sel_rows == 0)
            break;
        LUMA_BATCH_FOR (batch, row) {
            int64_t key = *(const int64_t *)luma_vec_at(&batch->cols[0], row);
            int32_t v = *(const int32_t *)luma_vec_at(&batch->cols[1], row);
            if (key < 0 || key >= KEYS || values[key] != v)
                wrong = "a row that was never committed";
            else
                seen[key]++;
        }
    }
    KV(lk_store_host.cursor_close(cursor));
    KV(lk_store_host.scan_close(scan));
    for (int i = 0; rc == LUMA_OK && i < KEYS; i++)
        if (seen[i] != (values[i] != 0))
            wrong = "a committed row is not there once";
    return rc;
}

static luma_rc
step_query(void)
{
    static int seen[KEYS];
    struct luma_coll *coll = NULL;
    struct luma_txn *txn;
    luma_rc rc = begin(&txn);
    if (rc == LUMA_OK)
        rc = K(lk_store_host.open(&c.ctx, txn, COLL, &coll));
    if (rc == LUMA_OK)
        rc = count_rows(txn, coll, 0, seen);
    if (rc == LUMA_OK)
        rc = count_rows(txn, coll, BY_V, seen);
    for (int i = 0; rc == LUMA_OK && i < KEYS; i += 29) {
        int64_t rowid;
        int32_t v;
        rc = key_row(txn, coll, i, &rowid, &v);
        if (rc == LUMA_OK && v != values[i])
            wrong = "a key gives another row than the one committed";
    }
    KV(lk_store_host.close(coll));
    KV(lk_txn_host.rollback(txn));
    return rc;
}

static luma_rc
step_checkpoint(void)
{
    return K(lk_store_checkpoint(&c.ctx, store));
}

static luma_rc
step_merge(void)
{
    bool work = true;
    luma_rc rc = LUMA_OK;
    for (int i = 0; rc == LUMA_OK && work && i < 20; i++)
        rc = K(lk_store_merge(&c.ctx, store, &work));
    return rc;
}

static luma_rc
step_insert_first(void)
{
    return insert_rows(0, 200);
}

static luma_rc
step_insert_second(void)
{
    return insert_rows(200, 120);
}

static luma_rc
step_insert_third(void)
{
    return insert_rows(320, 80);
}

static luma_rc
step_change_first(void)
{
    return change_rows(0, 40);
}

static luma_rc
step_change_second(void)
{
    return change_rows(100, 60);
}

static const struct {
    const char *name;
    luma_rc (*run)(void);
    bool defined; /* there is something to look at after it */
} steps[] = {
    {"open", step_open, false},
    {"define", step_define, true},
    {"insert", step_insert_first, true},
    {"change", step_change_first, true},
    {"query", step_query, true},
    {"checkpoint", step_checkpoint, true},
    {"insert again", step_insert_second, true},
    {"checkpoint again", step_checkpoint, true},
    {"change what is in segments", step_change_second, true},
    {"query segments", step_query, true},
    {"third checkpoint", step_checkpoint, true},
    {"merge", step_merge, true},
    {"query what was merged", step_query, true},
    {"insert behind the checkpoint", step_insert_third, true},
    {"recovery", step_open, true},
    {"query what was recovered", step_query, true},
    {"last checkpoint", step_checkpoint, true},
    {"start", step_open, true},
    {"query at the end", step_query, true},
};

/* --- one life --- */

static int
complain(const char *step, const char *what)
{
    fprintf(stderr, "%s: %s (%s); the allocation was asked for at\n", step, what, c.error.message);
    if (place_steps > 2)
        backtrace_symbols_fd(place + 2, LK_MIN(place_steps - 2, 8), STDERR_FILENO);
    return 1;
}

/* Runs a step that may fail once for want of memory. */
static int
live_step(size_t i)
{
    uint64_t before = counted;
    reset();
    memcpy(next, values, sizeof(next));
    luma_rc rc = steps[i].run();
    bool hit = before < fail_at && counted >= fail_at;
    if (wrong != NULL)
        return complain(steps[i].name, wrong);
    if (rc == LUMA_OK)
        return 0;
    if (!hit)
        return complain(steps[i].name, "failed with memory to be had");
    if (rc != LUMA_E_NOMEM)
        return complain(steps[i].name, "failed for another reason than memory");
    reset();
    if (steps[i].defined && store != NULL && steps[i].run != step_define) {
        if (step_query() != LUMA_OK)
            return complain(steps[i].name, "nothing can be read after it failed");
        if (wrong != NULL)
            return complain(steps[i].name, wrong);
    }
    reset();
    memcpy(next, values, sizeof(next));
    if (steps[i].run() != LUMA_OK)
        return complain(steps[i].name, "fails again with memory to be had");
    return wrong == NULL ? 0 : complain(steps[i].name, wrong);
}

static int
live(uint64_t at, uint64_t *out_counted)
{
    int rc = 0;
    /* In memory where that is possible: thousands of lives wait for no disk. */
    snprintf(dir, sizeof(dir), "%s/lumadb-memory.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(dir) == NULL)
        return 1;
    arena = lk_arena_create(NULL, 0);
    room = lk_arena_create(NULL, 0);
    counted = 0;
    fail_at = at;
    for (size_t i = 0; rc == 0 && i < LUMA_COUNTOF(steps); i++)
        rc = live_step(i);
    *out_counted = counted;
    if (rc == 0)
        lk_store_close(store);
    return rc;
}

/* In a process of its own; true: all promises were kept. */
static bool
live_apart(uint64_t at, uint64_t *out_counted)
{
    uint64_t *shared =
        __real_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char command[128], what[128];
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(WAIT_S);
        int rc = live(at, shared);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        if (system(command) != 0)
            rc = 1;
        fflush(NULL);
        _exit(rc);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    *out_counted = *shared;
    munmap(shared, 4096);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        snprintf(what, sizeof(what), "%s",
                 WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
    else
        snprintf(what, sizeof(what), "broke a promise");
    printf("test_memory %llu: %s\n", (unsigned long long)at, what);
    fflush(stdout);
    return false;
}

static void
say_place(int number)
{
    static const char line[] = "a signal; the allocation was asked for at\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored;
    if (place_steps > 2)
        backtrace_symbols_fd(place + 2, LK_MIN(place_steps - 2, 8), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

static bool
load_modules(void)
{
    return test_module_load("index-btree") && test_module_load("codec-lz4") &&
           test_module_load("encoding-dictionary") && test_module_load("encoding-bitpack") &&
           test_module_load("encoding-rle") && test_module_load("encoding-delta");
}

int
main(int argc, char **argv)
{
    const char *full = getenv("LUMA_TEST_FULL"), *seed = getenv("LUMA_TEST_SEED");
    uint64_t all = 0, ignored, failed = 0, runs = 0;
    bool every = full != NULL && strcmp(full, "1") == 0;
    void *warm[4];
    if (!load_modules())
        return 77;
    (void)backtrace(warm, 4); /* loads what it needs */
    lk_log_set_level(LUMA_LOG_ERROR);
    signal(SIGSEGV, say_place);
    signal(SIGABRT, say_place);
    signal(SIGBUS, say_place);
    if (argc > 1)
        return live_apart(strtoull(argv[1], NULL, 10), &ignored) ? 0 : 1;
    if (!live_apart(0, &all) || all == 0) {
        printf("without a failure: broken\n");
        return 1;
    }
    uint64_t step = every ? 1 : PARTS;
    uint64_t first = seed == NULL || every ? 0 : strtoull(seed, NULL, 10) % PARTS;
    for (uint64_t at = 1 + first; at <= all; at += step, runs++)
        failed += !live_apart(at, &ignored);
    printf("%llu of %llu allocations failed once, %llu broke a promise\n", (unsigned long long)runs,
           (unsigned long long)all, (unsigned long long)failed);
    return failed == 0 ? 0 : 1;
}
