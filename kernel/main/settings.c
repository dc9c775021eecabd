/* main/settings.c - the kernel's sections, and how a configuration comes together. */
#include <stdio.h>
#include <unistd.h>

#include "main/main_priv.h"
#include "main/paths.h"

#define MB     ((int64_t)1 << 20)
#define GB     ((int64_t)1 << 30)
#define TB     ((int64_t)1 << 40)
#define SECOND 1000000000

static const struct luma_conf_item general_items[] = {
    LUMA_CONF_PATH(struct lki_general, data_dir, .sdef = LK_DATA_DIR,
                   .help = "the data folder; it is made when it is not there"),
    LUMA_CONF_PATH(struct lki_general, module_dir, .sdef = NULL,
                   .help = "where the shared objects of modules lie; not set: the folder they "
                           "were installed to"),
    LUMA_CONF_ENUM(struct lki_general, log_level, .sdef = "info",
                   .values = "error|warn|info|debug|trace", .flags = LUMA_CONF_RELOAD,
                   .help = "messages of this level and above are written"),
    LUMA_CONF_PATH(struct lki_general, log_file, .sdef = NULL, .flags = LUMA_CONF_RELOAD,
                   .help = "messages go to this file, which SIGHUP opens again; not set: standard "
                           "error"),
    LUMA_CONF_ENUM(struct lki_general, log_format, .sdef = "text", .values = "text|json",
                   .flags = LUMA_CONF_RELOAD, .help = "lines of text, or one JSON object a line"),
    LUMA_CONF_DURATION(struct lki_general, shutdown_timeout, .def = 15 * (int64_t)SECOND, .min = 0,
                       .max = 3600 * (int64_t)SECOND, .flags = LUMA_CONF_RELOAD,
                       .help = "how long statements may go on after the server was told to stop"),
    LUMA_CONF_END,
};

struct simd_conf {
    const char *use;
};

static const struct luma_conf_item simd_items[] = {
    LUMA_CONF_TEXT(struct simd_conf, use, .sdef = NULL,
                   .help = "inner loops to use, such as avx2; not set: the best this machine has"),
    LUMA_CONF_END,
};

static const struct luma_conf_item storage_items[] = {
    LUMA_CONF_ENUM(struct lki_storage, durability, .sdef = "sync", .values = "sync|async",
                   .help = "sync: a commit is answered when it is on the disk; async: when the "
                           "system has it, which may lose the last async_flush"),
    LUMA_CONF_DURATION(struct lki_storage, async_flush, .def = SECOND / 5, .min = SECOND / 1000,
                       .max = 60 * (int64_t)SECOND,
                       .help = "longest time between writes to the disk when durability is async"),
    LUMA_CONF_BYTES(struct lki_storage, memory_budget, .def = 0, .min = 0, .max = 64 * TB,
                    .help = "all memory the server counts; 0: 60 percent of the machine's"),
    LUMA_CONF_BYTES(struct lki_storage, cache_size, .def = 0, .min = 0, .max = 64 * TB,
                    .help = "column chunks kept in memory; 0: a third of the budget"),
    LUMA_CONF_BYTES(struct lki_storage, hot_tier_size, .def = 0, .min = 0, .max = 64 * TB,
                    .help = "rows not yet in segments; writers slow down when it is full; 0: a "
                            "quarter of the budget"),
    LUMA_CONF_BYTES(struct lki_storage, wal_file_size, .def = 16 * MB, .min = MB, .max = 4 * GB,
                    .help = "size of a file of the write-ahead log, preallocated"),
    LUMA_CONF_BYTES(struct lki_storage, checkpoint_wal_size, .def = GB, .min = 4 * MB, .max = TB,
                    .help = "a checkpoint is due after so much log"),
    LUMA_CONF_DURATION(struct lki_storage, checkpoint_interval, .def = 300 * (int64_t)SECOND,
                       .min = SECOND, .max = 86400 * (int64_t)SECOND,
                       .help = "a checkpoint is due after this time if anything changed"),
    LUMA_CONF_PATH(struct lki_storage, wal_archive, .sdef = NULL,
                   .help = "full files of the write-ahead log are copied to this folder, so that a "
                           "backup can be restored to any time after it; not set: they are not "
                           "kept"),
    LUMA_CONF_DURATION(struct lki_storage, history, .def = 0, .min = 0,
                       .max = 30 * 86400 * (int64_t)SECOND,
                       .help = "how much of the past stays readable (SET lumadb.as_of); it takes "
                               "room until it has passed; 0: none"),
    LUMA_CONF_DURATION(struct lki_storage, max_snapshot_age, .def = 0, .min = 0,
                       .max = 365 * 86400 * (int64_t)SECOND,
                       .help = "statements whose snapshot is older, or transactions that keep one, "
                               "end with 72000 \"snapshot too old\", and what only they could see "
                               "is kept no longer; 0: there is no limit"),
    LUMA_CONF_TEXT(struct lki_storage, codec, .sdef = NULL,
                   .help = "byte codec of new segments, such as zstd or lz4; not set: lz4, and "
                           "zstd where it packs much tighter"),
    LUMA_CONF_ENUM(struct lki_storage, tier, .sdef = "hybrid", .values = "ram|ssd|hybrid",
                   .help = "where tables lie that have no storage_tier: ram: in memory, as far as "
                           "half the cache goes; ssd: on disk, and reading them once takes no "
                           "memory from others; hybrid: young segments as the cache has room for "
                           "them, old ones as ssd"),
    LUMA_CONF_PATH(struct lki_storage, cold_dir, .sdef = NULL,
                   .help = "hybrid: segments that are old move to this folder, on a larger or "
                           "cheaper disk, and are read there; not set: they stay in the data "
                           "folder"),
    LUMA_CONF_DURATION(struct lki_storage, tier_age, .def = 0, .min = 0,
                       .max = 3650 * 86400 * (int64_t)SECOND,
                       .help = "hybrid: segments are old after this time; 0: age does not matter"),
    LUMA_CONF_BYTES(struct lki_storage, tier_bytes, .def = 0, .min = 0, .max = 1024 * TB,
                    .help = "hybrid: segments are old beyond so many bytes of younger ones of "
                            "their table; 0: size does not matter"),
    LUMA_CONF_BYTES(struct lki_storage, temp_limit, .def = 0, .min = 0, .max = 1024 * TB,
                    .help = "temporary files of all statements together, which hold what "
                            "statement_memory does not grant; 0: what the disk has"),
    LUMA_CONF_END,
};

static const struct kernel_section {
    const char *name;
    const struct luma_conf_item *items;
    size_t bytes;
} kernel_sections[] = {
    {"general", general_items, sizeof(struct lki_general)},
    {"storage", storage_items, sizeof(struct lki_storage)},
    {"sched", lk_sched_conf_items, sizeof(struct lk_sched_conf)},
    {"simd", simd_items, sizeof(struct simd_conf)},
    {"session", lk_session_conf_items, sizeof(struct lk_session_conf)},
    {"tls", lk_net_conf_items, sizeof(struct lk_net_conf)},
};

/* Sections of the product whose modules may not be here: no mistake, and said at info level. */
static const char *const product_sections[] = {"server", "postgres", "prometheus", "metrics",
                                               "otlp",   "grpc",     "console"};

static const char *const module_kinds[] = {"frontend", "query", "index", "codec", "encoding",
                                           "function", "simd",  "tier",  "llm"};

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static luma_rc
add_file(struct luma_ctx *ctx, struct lk_conf *conf, const char *file)
{
    struct lk_bytes text = {0};
    struct lk_conf_doc *doc = NULL;
    bool yaml = ends_with(file, ".yaml") || ends_with(file, ".yml");
    luma_rc rc = lk_io_read_file(ctx, lk_io_posix(), file, LK_CONF_FILE_BYTES_MAX, &text);
    if (rc == LUMA_OK)
        rc = (yaml ? lk_conf_parse_yaml : lk_conf_parse_toml)(ctx, lk_conf_arena(conf), file,
                                                              lk_bytes_view(&text), &doc);
    lk_bytes_fini(&text);
    if (rc == LUMA_OK)
        lk_conf_add_doc(conf, doc);
    return rc;
}

static luma_rc
add_sets(struct luma_ctx *ctx, struct lk_conf *conf, const struct lki_options *options)
{
    struct lk_conf_doc *doc = lk_conf_doc_create(lk_conf_arena(conf), LK_CONF_FROM_SET, "--set");
    if (doc == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the configuration");
    for (size_t i = 0; i < options->sets_count; i++)
        LUMA_TRY(lk_conf_parse_set(ctx, lk_conf_arena(conf), options->sets[i], doc));
    lk_conf_add_doc(conf, doc);
    return LUMA_OK;
}

const char *
lki_beside_program(struct luma_arena *arena, const char *name, const char *installed)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return installed;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return installed;
    *slash = '\0';
    const char *modules = lk_arena_printf(arena, "%s/modules.d", path);
    const char *wanted = lk_arena_printf(arena, "%s/%s", path, name);
    if (modules == NULL || wanted == NULL || !lk_io_exists(lk_io_posix(), modules))
        return installed;
    return lk_io_exists(lk_io_posix(), wanted) ? wanted : installed;
}

static luma_rc
add_sections(struct luma_ctx *ctx, struct lk_conf *conf)
{
    luma_rc rc = LUMA_OK;
    for (size_t i = 0; i < LUMA_COUNTOF(kernel_sections) && rc == LUMA_OK; i++)
        rc = lk_conf_add_section(conf, kernel_sections[i].name, kernel_sections[i].items,
                                 kernel_sections[i].bytes, 0);
    const char *dir = lk_conf_peek_path(conf, "general", "module_dir");
    const char *const dirs[] = {
        dir != NULL && dir[0] != '\0'
            ? dir
            : lki_beside_program(lk_conf_arena(conf), "modules.d", LK_MODULE_DIR),
        NULL};
    LUMA_TRY(rc == LUMA_OK ? lk_host_load(ctx, lk_io_posix(), dirs, conf) : rc);
    for (size_t i = 0; i < LUMA_COUNTOF(product_sections) && rc == LUMA_OK; i++)
        rc = lk_conf_add_section(conf, product_sections[i], NULL, 0, LK_CONF_ABSENT);
    for (size_t i = 0; i < LUMA_COUNTOF(module_kinds) && rc == LUMA_OK; i++)
        rc = lk_conf_add_section(conf, module_kinds[i], NULL, 0, LK_CONF_ABSENT);
    return rc == LUMA_OK ? LUMA_OK : lk_ctx_ensure(ctx, rc);
}

static luma_rc
read_all(struct luma_ctx *ctx, const struct lki_options *options, struct lk_conf *conf)
{
    const char *dir = options->conf_dir;
    if (dir == NULL)
        dir = lki_beside_program(lk_conf_arena(conf), "conf.d", LK_CONF_DIR);
    else if (!lk_io_exists(lk_io_posix(), dir))
        return LUMA_FAIL(ctx, LUMA_E_CONFIG, "--conf-dir %s: no such folder", dir);
    LUMA_TRY(lk_host_scan(ctx, lk_io_posix(), dir, conf));
    if (options->config_file != NULL)
        LUMA_TRY(add_file(ctx, conf, options->config_file));
    else if (lk_io_exists(lk_io_posix(), LK_CONFIG_FILE))
        LUMA_TRY(add_file(ctx, conf, LK_CONFIG_FILE));
    LUMA_TRY(add_sets(ctx, conf, options));
    LUMA_TRY(add_sections(ctx, conf));
    return lk_conf_resolve(ctx, conf);
}

/* All but the first error, which the caller reports. */
static void
log_problems(const struct lk_conf *conf)
{
    bool first = true;
    for (const struct lk_conf_problem *p = lk_conf_problems(conf); p != NULL; p = p->next) {
        if (p->level != LUMA_LOG_ERROR || !first)
            LK_LOG(p->level, "config", "%s", p->text);
        first = first && p->level != LUMA_LOG_ERROR;
    }
}

static void
settings_of(struct lk_conf *conf, struct lki_settings *out)
{
    *out = (struct lki_settings){.conf = conf,
                                 .general = lk_conf_values(conf, "general"),
                                 .storage = lk_conf_values(conf, "storage"),
                                 .sched = lk_conf_values(conf, "sched"),
                                 .tls = lk_conf_values(conf, "tls"),
                                 .session = lk_conf_values(conf, "session")};
}

/* The level holds for the messages about the configuration itself, too. */
static void
early_level(const struct lk_conf *conf)
{
    const struct lki_general *general = lk_conf_values(conf, "general");
    enum luma_log_level level;
    if (general != NULL && general->log_level != NULL &&
        lk_log_level_parse(general->log_level, &level))
        lk_log_set_level(level);
}

/* Configurations live as long as the process: whatever was handed their structs may still read
 * them. */
static struct kept {
    struct lk_conf *conf;
    struct kept *next;
} * kept;

static void
keep(struct lk_conf *conf)
{
    struct kept *k = luma_arena_zalloc(lk_conf_arena(conf), sizeof(*k));
    if (k == NULL)
        return;
    k->conf = conf;
    k->next = kept;
    kept = k;
}

luma_rc
lki_settings_load(struct luma_ctx *ctx, const struct lki_options *options,
                  struct lki_settings *out_settings)
{
    struct lk_conf *conf = lk_conf_create();
    if (conf == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the configuration");
    luma_rc rc = read_all(ctx, options, conf);
    early_level(conf);
    log_problems(conf);
    if (rc != LUMA_OK) {
        lk_conf_destroy(conf);
        return rc;
    }
    keep(conf);
    settings_of(conf, out_settings);
    const struct simd_conf *simd = lk_conf_values(conf, "simd");
    lk_host_force_simd(simd->use);
    return LUMA_OK;
}

luma_rc
lki_settings_apply_log(struct luma_ctx *ctx, const struct lki_settings *settings)
{
    const struct lki_general *general = settings->general;
    early_level(settings->conf);
    lk_log_set_json(strcmp(general->log_format, "json") == 0);
    if (general->log_file != NULL && general->log_file[0] != '\0')
        return lk_io_log_open(ctx, general->log_file);
    lk_log_set_sink(NULL, NULL);
    return LUMA_OK;
}

static void
changed(void *arg, const char *key, bool applied)
{
    if (applied)
        lk_log_info("config", "[%s] %s changed", (const char *)arg, key);
    else
        lk_log_warn("config", "[%s] %s changed in the configuration; it takes a restart",
                    (const char *)arg, key);
}

void
lki_settings_reload(const struct lki_options *options, struct lki_settings *settings)
{
    struct lk_ctx c;
    struct lk_conf *conf = lk_conf_create();
    if (conf == NULL)
        return;
    lk_ctx_init(&c, lk_conf_arena(conf));
    luma_rc rc = read_all(&c.ctx, options, conf);
    log_problems(conf);
    if (rc != LUMA_OK) {
        lk_log_error("config", "nothing is changed: %s", c.error.message);
        lk_conf_destroy(conf);
        return;
    }
    for (size_t i = 0; i < LUMA_COUNTOF(kernel_sections); i++) {
        const struct kernel_section *s = &kernel_sections[i];
        lk_conf_compare(s->items, lk_conf_values(settings->conf, s->name),
                        (void *)(uintptr_t)lk_conf_values(conf, s->name), changed,
                        (void *)(uintptr_t)s->name);
    }
    keep(conf);
    settings_of(conf, settings); /* the old one stays: modules may still read it */
    if (lki_settings_apply_log(&c.ctx, settings) != LUMA_OK ||
        lk_net_start(&c.ctx, settings->tls) != LUMA_OK)
        lk_log_error("config", "%s", c.error.message);
    lk_session_reload(settings->session);
    lk_host_reload(conf);
    lk_log_info("config", "the configuration was read again");
}
