/* main/tools.c - subcommands that serve nobody: modules, config; and the way to the client. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "main/main_priv.h"
#include "main/paths.h"

static void
print_services(const struct lk_host_module *m)
{
    const struct luma_offer *o = m->desc.offers;
    const struct luma_need *n = m->desc.needs;
    if (o != NULL && o->service != NULL) {
        printf("    offers  ");
        for (; o->service != NULL; o++)
            printf(" %s/%u", o->service, o->table->major);
        printf("\n");
    }
    if (n != NULL && n->service != NULL) {
        printf("    needs   ");
        for (; n->service != NULL; n++)
            printf(" %s/%u%s", n->service, n->major, n->optional ? " (optional)" : "");
        printf("\n");
    }
}

static void
print_module(const struct lk_conf *conf, const struct lk_host_module *m)
{
    struct lk_bytes keys = {0};
    bool known = m->section != NULL;
    printf("%s %s\n", m->label, known ? m->desc.version : "(unknown)");
    if (known && m->desc.summary != NULL)
        printf("    %s\n", m->desc.summary);
    printf("    state    %s%s%s\n", lk_host_state_name(m->state), m->reason == NULL ? "" : ": ",
           m->reason == NULL ? "" : m->reason);
    printf("    file     %s\n", m->file == NULL ? (known ? "built in" : "none") : m->file);
    if (m->conf_file != NULL)
        printf("    conf     %s\n", m->conf_file);
    if (known && m->desc.licence != NULL)
        printf("    licence  %s%s%s\n", m->desc.licence, m->desc.author == NULL ? "" : ", ",
               m->desc.author == NULL ? "" : m->desc.author);
    if (!known)
        return;
    print_services(m);
    if (m->desc.conf != NULL && lk_conf_print_section(conf, m->section, &keys) && keys.bytes > 0) {
        printf("    [%s]\n", m->section);
        for (char *line = strtok((char *)(uintptr_t)lk_bytes_cstr(&keys), "\n"); line != NULL;
             line = strtok(NULL, "\n"))
            printf("      %s\n", line);
    }
    lk_bytes_fini(&keys);
}

/* Loads configuration and descriptors quietly: these commands answer on stdout. */
static luma_rc
load(struct luma_ctx *ctx, const struct lki_options *options, struct lki_settings *out_settings)
{
    lk_log_set_level(LUMA_LOG_ERROR);
    return lki_settings_load(ctx, options, out_settings);
}

int
lki_cmd_modules(const struct lki_options *options)
{
    if (options->check_file != NULL)
        return lki_cmd_check_module(options);
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lki_settings settings;
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    if (load(&c.ctx, options, &settings) != LUMA_OK)
        return lki_complain(&c.error);
    luma_rc rc = lk_host_order(&c.ctx, settings.conf);
    for (size_t i = 0; i < lk_host_count(); i++)
        print_module(settings.conf, lk_host_at(i));
    lk_host_fini();
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}

static int
print_template(const struct lki_options *options)
{
    const struct lk_host_module *m = lk_host_find(options->template_name);
    struct lk_bytes out = {0};
    if (m == NULL || m->section == NULL) {
        fprintf(stderr, "lumadb: no module %s%s%s\n", options->template_name, m == NULL ? "" : ": ",
                m == NULL ? "" : m->reason);
        return EXIT_FAILED;
    }
    bool ok =
        lk_conf_template(m->desc.kind, m->desc.name, m->desc.summary == NULL ? "" : m->desc.summary,
                         m->section, m->desc.conf, &out);
    ok = ok && fwrite(out.data, 1, out.bytes, stdout) == out.bytes;
    lk_bytes_fini(&out);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int
lki_cmd_config(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lki_settings settings;
    struct lk_bytes out = {0};
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    if (load(&c.ctx, options, &settings) != LUMA_OK)
        return lki_complain(&c.error);
    int status = EXIT_OK;
    if (options->template_name != NULL)
        status = print_template(options);
    else if (!(options->reference ? lk_conf_reference : lk_conf_print)(settings.conf, &out) ||
             fwrite(out.data, 1, out.bytes, stdout) != out.bytes)
        status = EXIT_FAILED;
    lk_bytes_fini(&out);
    lk_host_fini();
    return status;
}

/* Clients are a program of their own: the server has no use for its libraries. */
int
lki_run_shell(char **argv)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    const char *file =
        arena == NULL ? NULL : lki_beside_program(arena, "lumadb-sql", LK_SHELL_FILE);
    if (file == NULL)
        return EXIT_FAILED;
    execv(file, argv);
    fprintf(stderr, "lumadb: the shell is not there: %s: %s\n", file, strerror(errno));
    return EXIT_FAILED;
}
