/* main/backup.c - `lumadb backup` and `lumadb restore`. */
#include "storage/backup/backup.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/data.h"
#include "main/main_priv.h"
#include "storage/store.h"

#define EPOCH_US INT64_C(946684800000000) /* timestamps count from 2000, the log from 1970 */

static luma_rc
print_backup(void *arg, const struct lk_backup_info *info)
{
    (void)arg;
    printf("%s  commit %llu  %llu objects  %.1f MiB, %.1f MiB of it copied  %.1f s\n", info->name,
           (unsigned long long)info->commit, (unsigned long long)info->objects,
           (double)info->bytes / (1 << 20), (double)info->bytes_copied / (1 << 20),
           (double)(info->ended_us - info->begun_us) / 1e6);
    return LUMA_OK;
}

static luma_rc
backup(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    struct lki_progress progress;
    struct lk_backup_info info;
    const char *place = options->rest[0];
    if (options->list)
        return lk_backup_each(ctx, lk_io_posix(), place, print_backup, NULL);
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    lki_progress_begin(&progress, "backup");
    const struct lk_backup_say say = {lki_progress_bytes, &progress};
    luma_rc rc = lk_backup_take(ctx, lk_io_posix(), settings.general->data_dir, place, &say, &info);
    lki_progress_end(&progress);
    return rc == LUMA_OK ? print_backup(NULL, &info) : rc;
}

int
lki_cmd_backup(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_WARN);
    if (options->rest_count != 1) {
        fprintf(stderr, "usage: lumadb backup PLACE [--data DIR] [--list]\n");
        return EXIT_USAGE;
    }
    return backup(&c.ctx, options) == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}

/* --- restore --- */

/* A time in the form of SQL; without a zone it is UTC. */
static luma_rc
until_of(struct luma_ctx *ctx, const struct lki_options *options, struct lk_backup_until *out)
{
    struct luma_value value;
    memset(out, 0, sizeof(*out));
    out->backup = options->backup_name;
    out->logs = options->logs;
    out->logs_count = options->logs_count;
    if (options->to_commit != NULL) {
        char *end = NULL;
        out->commit = strtoull(options->to_commit, &end, 10);
        if (*end != '\0' || out->commit == 0)
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "--to-commit %s: expected a commit number",
                             options->to_commit);
    }
    if (options->to_time == NULL)
        return LUMA_OK;
    const struct luma_format format = {0};
    LUMA_TRY(lk_data_from_text(ctx, ctx->arena, luma_type(LUMA_TYPE_TIMESTAMPTZ), &format,
                               luma_slice_text(options->to_time), &value));
    out->time_us = value.i64 + EPOCH_US;
    return LUMA_OK;
}

static luma_rc
restore(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    struct lki_progress progress;
    struct lk_backup_until until;
    struct lk_backup_info info;
    struct lk_store_conf conf;
    const char *dir = options->rest[1];
    LUMA_TRY(until_of(ctx, options, &until));
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), true));
    lki_store_conf(settings.storage, lk_io_posix(), dir, &conf);
    lki_progress_begin(&progress, "restore");
    const struct lk_backup_say say = {lki_progress_bytes, &progress};
    luma_rc rc = lk_backup_restore(ctx, &conf, options->rest[0], &until, &say, &info);
    lki_progress_end(&progress);
    if (rc == LUMA_OK)
        printf("%s is restored from backup %s, up to commit %llu\n", dir, info.name,
               (unsigned long long)info.commit);
    return rc;
}

int
lki_cmd_restore(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_WARN);
    if (options->rest_count != 2) {
        fprintf(stderr, "usage: lumadb restore PLACE DIR [--to TIME] [--log DIR]...\n");
        return EXIT_USAGE;
    }
    luma_rc rc = restore(&c.ctx, options);
    lk_host_fini();
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}
