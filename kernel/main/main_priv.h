/* main/main_priv.h - the subcommands of the program and what they share. */
#ifndef LK_MAIN_MAIN_PRIV_H
#define LK_MAIN_MAIN_PRIV_H

#include "config/config.h"
#include "host/host.h"
#include "io/io.h"
#include "sched/sched.h"
#include "session/session.h"

/* Exit statuses. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define SETS_MAX 256
#define LOGS_MAX 16

/* What all subcommands understand. */
struct lki_options {
    const char *config_file; /* NULL: the default one, if it is there */
    const char *conf_dir;
    const char *sets[SETS_MAX]; /* section.key=value */
    size_t sets_count;
    bool check;
    const char *check_file;    /* modules --check FILE */
    const char *template_name; /* config --template KIND-NAME */
    bool reference;            /* config --reference */
    bool verify;               /* segment --verify */
    bool list;                 /* backup --list */
    bool json;                 /* tiers --json */
    const char *to_time;       /* restore --to, --to-commit, --backup, --log */
    const char *to_commit;
    const char *backup_name;
    const char *logs[LOGS_MAX];
    uint32_t logs_count;
    bool help;
    const char **rest; /* arguments that are no options, NULL terminated */
    int rest_count;
};

/* [general] */
struct lki_general {
    const char *data_dir;
    const char *module_dir;
    const char *log_level;
    const char *log_file;
    const char *log_format;
    int64_t shutdown_timeout;
};

/* [storage]; 0: chosen from the memory of the machine, or the store's own default. */
struct lki_storage {
    const char *durability;
    int64_t async_flush;
    int64_t memory_budget;
    int64_t cache_size;
    int64_t hot_tier_size;
    int64_t wal_file_size;
    int64_t checkpoint_wal_size;
    int64_t checkpoint_interval;
    int64_t history;
    const char *codec;
    int64_t temp_limit;
    const char *wal_archive;
    const char *tier;
    const char *cold_dir;
    int64_t tier_age;
    int64_t tier_bytes;
    int64_t max_snapshot_age;
};

/* The structs in force; replaced by a reload, never changed. */
struct lki_settings {
    struct lk_conf *conf;
    const struct lki_general *general;
    const struct lki_storage *storage;
    const struct lk_sched_conf *sched;
    const struct lk_net_conf *tls;
    const struct lk_session_conf *session;
};

/* Parses argv of a subcommand; on a mistake it has said so and EXIT_USAGE is to be returned. */
bool lki_options_parse(int argc, char **argv, const char *usage, int rest_max,
                       struct lki_options *out_options);

/*
 * Reads conf.d, the configuration file and --set, loads the modules' descriptors and resolves all.
 * Problems are logged. LUMA_E_CONFIG: something is wrong with it.
 */
LUMA_NODISCARD luma_rc lki_settings_load(struct luma_ctx *ctx, const struct lki_options *options,
                                         struct lki_settings *out_settings);
/* Reads everything again and takes over what may change; what is wrong changes nothing. */
void lki_settings_reload(const struct lki_options *options, struct lki_settings *settings);
/* In a build folder modules.d, conf.d and lumadb-sql lie beside the program, which so runs without
 * installation: the path of one of them there, or `installed`. */
const char *lki_beside_program(struct luma_arena *arena, const char *name, const char *installed);
/* Level, format and file of messages. */
LUMA_NODISCARD luma_rc lki_settings_apply_log(struct luma_ctx *ctx,
                                              const struct lki_settings *settings);
/* The tables of the kernel's parts. */
const struct luma_host *lki_host_tables(void);

/* Starts the kernel's parts and the modules that are loaded and ordered, in the order of the
 * README, on the data folder dir of io. What was started before an error is stopped by
 * lki_parts_stop. */
LUMA_NODISCARD luma_rc lki_parts_start(struct luma_ctx *ctx, const struct lki_settings *settings,
                                       struct lk_io *io, const char *dir);
/* The first half of it: no modules but those that storage needs, no background work. */
LUMA_NODISCARD luma_rc lki_kernel_start(struct luma_ctx *ctx, const struct lki_settings *settings,
                                        struct lk_io *io, const char *dir);
struct lk_store_conf;
/* [storage] as the store wants it, without a scheduler. */
void lki_store_conf(const struct lki_storage *storage, struct lk_io *io, const char *dir,
                    struct lk_store_conf *out_conf);
/* The same without modules that serve anybody: the store inside a program. */
LUMA_NODISCARD luma_rc lki_embedded_start(struct luma_ctx *ctx, const struct lki_settings *settings,
                                          struct lk_io *io, const char *dir);
/* The other way round; statements may go on for timeout_ns. */
void lki_parts_stop(uint64_t timeout_ns);

/* `lumadb modules --check FILE`: judges one object on a kernel of its own, whose disk is in memory.
 */
int lki_cmd_check_module(const struct lki_options *options);

/* --- how far a long command is, on stderr --- */

struct lki_progress {
    const char *what;
    bool terminal, said;
    uint64_t begun_ns, said_ns;
};
void lki_progress_begin(struct lki_progress *progress, const char *what);
void lki_progress_bytes(void *progress, uint64_t done_bytes, uint64_t all_bytes);
void lki_progress_rows(struct lki_progress *progress, uint64_t rows);
void lki_progress_end(struct lki_progress *progress);

/* Replaces this program by the client of SQL; argv[0] is "sql". Gives an exit status only if that
 * fails. */
int lki_run_shell(char **argv);

/* What is behind the message of a context, on stderr. */
int lki_complain(const struct luma_error *error);

int lki_cmd_server(const struct lki_options *options);
int lki_cmd_modules(const struct lki_options *options);
int lki_cmd_check(const struct lki_options *options);
int lki_cmd_backup(const struct lki_options *options);
int lki_cmd_restore(const struct lki_options *options);
int lki_cmd_segment(const struct lki_options *options);
int lki_cmd_tiers(const struct lki_options *options);
int lki_cmd_user(const struct lki_options *options);
int lki_cmd_config(const struct lki_options *options);

#endif
