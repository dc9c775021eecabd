/* main/embedded.c - the store without a server, for kernel/main/embed: settings from a program's
 * options, then the parts that storage needs. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "main/main.h"
#include "main/main_priv.h"

static bool
add_set(struct luma_arena *arena, struct lki_options *options, const char *key, const char *value)
{
    const char *text = lk_arena_printf(arena, "%s=%s", key, value);
    options->sets[options->sets_count++] = text;
    return text != NULL;
}

static luma_rc
settings(struct luma_ctx *ctx, struct luma_arena *arena, const char *dir,
         const struct luma_db_opts *opts, struct lki_settings *out)
{
    struct lki_options *options = LUMA_NEW(arena, struct lki_options);
    bool ok = options != NULL;
    char bytes[24];
    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)opts->memory_bytes);
    ok = ok && add_set(arena, options, "general.data_dir", dir) &&
         add_set(arena, options, "general.log_level", "warn");
    if (ok && opts->async)
        ok = add_set(arena, options, "storage.durability", "async");
    if (ok && opts->memory_bytes != 0)
        ok = add_set(arena, options, "storage.memory_budget", bytes);
    if (ok && opts->module_dir != NULL)
        ok = add_set(arena, options, "general.module_dir", opts->module_dir);
    if (!ok)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    options->conf_dir =
        opts->conf_dir == NULL ? NULL : lk_arena_printf(arena, "%s", opts->conf_dir);
    options->config_file =
        opts->config_file == NULL ? "/dev/null" : lk_arena_printf(arena, "%s", opts->config_file);
    LUMA_TRY(lki_settings_load(ctx, options, out));
    return lk_host_order(ctx, out->conf);
}

/* Threads of the store take no signals of the program. */
luma_rc
lk_main_start(struct luma_ctx *ctx, struct luma_arena *arena, const char *dir,
              const struct luma_db_opts *opts)
{
    struct lki_settings s;
    sigset_t all, before;
    LUMA_TRY(settings(ctx, arena, dir, opts, &s));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    luma_rc rc = lki_embedded_start(ctx, &s, lk_io_posix(), dir);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != LUMA_OK)
        lki_parts_stop(0);
    return rc;
}

void
lk_main_stop(void)
{
    lki_parts_stop(0);
}
