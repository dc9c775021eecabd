/*
 * main/offline.c - subcommands that open a data folder no server is using: check, user.
 */
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "main/main_priv.h"
#include "sched/sched.h"
#include "storage/store.h"

#define PASSWORD_BYTES_MAX 1024

static void
print_line(void *arg, const char *line)
{
    (void)arg;
    printf("%s\n", line);
}

static void
print_damage(void *arg, const char *line)
{
    (void)arg;
    printf("DAMAGED  %s\n", line);
    fflush(stdout);
}

/* The data folder: an argument, or general.data_dir. */
static const char *
folder_of(const struct lki_options *options, const struct lki_settings *settings)
{
    return options->rest_count > 0 ? options->rest[0] : settings->general->data_dir;
}

static luma_rc
check_folder(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    struct lk_store_conf conf;
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), true));
    const char *dir = folder_of(options, &settings);
    if (!lk_io_exists(lk_io_posix(), dir))
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no data folder \"%s\"", dir);
    lki_store_conf(settings.storage, lk_io_posix(), dir, &conf);
    struct lki_progress progress;
    lki_progress_begin(&progress, "check");
    const struct lk_check_say say = {.line = print_line,
                                     .damage = print_damage,
                                     .progress = lki_progress_bytes,
                                     .arg = &progress};
    LUMA_TRY(lk_sched_start(ctx, settings.sched)); /* for its workers */
    conf.sched = &lk_sched_host;
    luma_rc rc = lk_store_check(ctx, &conf, &say);
    lk_sched_stop();
    lki_progress_end(&progress);
    LUMA_TRY(rc);
    printf("%s is sound\n", dir);
    return LUMA_OK;
}

int
lki_cmd_check(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_WARN);
    luma_rc rc = check_folder(&c.ctx, options);
    lk_host_fini();
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}

/* --- user add NAME --- */

/* One line of standard input, not shown when it is typed. */
static bool
read_password(char *out, size_t room)
{
    struct termios shown, hidden;
    bool typed = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (typed) {
        fprintf(stderr, "password: ");
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool ok = fgets(out, (int)room, stdin) != NULL;
    if (typed) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fprintf(stderr, "\n");
    }
    if (ok)
        out[strcspn(out, "\r\n")] = '\0';
    return ok && out[0] != '\0';
}

static luma_rc
put_user(struct luma_ctx *ctx, const char *name, const char *password)
{
    const struct luma_txn_opts opts = {.isolation = LUMA_REPEATABLE_READ};
    struct luma_txn *txn = NULL;
    struct luma_cat_object role = {.kind = LUMA_CAT_ROLE, .can_login = true, .inherit = true};
    role.name = name;
    LUMA_TRY(lk_catalog_host.make_verifier(ctx, password, ctx->arena, &role.verifier));
    LUMA_TRY(lk_txn_host.begin(ctx, &opts, &txn));
    luma_rc rc = lk_txn_host.statement_begin(ctx, txn);
    const struct luma_cat_view *view = lk_catalog_host.view(txn);
    const struct luma_cat_object *there = lk_catalog_host.find(view, LUMA_CAT_ROLE, name);
    if (there != NULL) { /* a new password; it may come from anywhere now */
        const char *verifier = role.verifier;
        role = *there;
        role.verifier = verifier;
        role.first_run = false;
    } else if (rc == LUMA_OK) {
        role.id = lk_catalog_host.next_id(ctx, txn);
        rc = role.id == 0 ? ctx->error->code : LUMA_OK;
    }
    if (rc == LUMA_OK)
        rc = lk_catalog_host.put(ctx, txn, &role);
    if (rc != LUMA_OK) {
        lk_txn_host.rollback(txn);
        return rc;
    }
    return lk_txn_host.commit(ctx, txn);
}

static luma_rc
add_user(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    char password[PASSWORD_BYTES_MAX];
    const char *name = options->rest[1];
    if (!read_password(password, sizeof(password)))
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "a password is wanted on standard input");
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    LUMA_TRY(lki_kernel_start(ctx, &settings, lk_io_posix(), settings.general->data_dir));
    luma_rc rc = put_user(ctx, name, password);
    explicit_bzero(password, sizeof(password));
    if (rc == LUMA_OK)
        printf("user \"%s\" may come in with this password\n", name);
    return rc;
}

int
lki_cmd_user(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    if (options->rest_count != 2 || strcmp(options->rest[0], "add") != 0) {
        fprintf(stderr, "usage: lumadb user add NAME [OPTION]... (the password comes from standard "
                        "input)\n");
        return EXIT_USAGE;
    }
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_WARN);
    luma_rc rc = add_user(&c.ctx, options);
    lki_parts_stop(0);
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}
