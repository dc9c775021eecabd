/* main/options.c - the command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/main_priv.h"

enum {
    OPT_CONFIG = 256,
    OPT_CONF_DIR,
    OPT_DATA,
    OPT_MODULE_DIR,
    OPT_SET,
    OPT_CHECK,
    OPT_TEMPLATE,
    OPT_REFERENCE,
    OPT_VERIFY,
    OPT_LIST,
    OPT_JSON,
    OPT_TO,
    OPT_TO_COMMIT,
    OPT_BACKUP,
    OPT_LOG,
    OPT_HELP
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"conf-dir", required_argument, NULL, OPT_CONF_DIR},
    {"data", required_argument, NULL, OPT_DATA},
    {"module-dir", required_argument, NULL, OPT_MODULE_DIR},
    {"set", required_argument, NULL, OPT_SET},
    {"check", no_argument, NULL, OPT_CHECK},
    {"template", required_argument, NULL, OPT_TEMPLATE},
    {"reference", no_argument, NULL, OPT_REFERENCE},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"list", no_argument, NULL, OPT_LIST},
    {"json", no_argument, NULL, OPT_JSON},
    {"to", required_argument, NULL, OPT_TO},
    {"to-commit", required_argument, NULL, OPT_TO_COMMIT},
    {"backup", required_argument, NULL, OPT_BACKUP},
    {"log", required_argument, NULL, OPT_LOG},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool
add_set(struct lki_options *o, const char *prefix, const char *value)
{
    char *text = NULL;
    if (o->sets_count == SETS_MAX) {
        fprintf(stderr, "lumadb: more than %d settings on the command line\n", SETS_MAX);
        return false;
    }
    if (asprintf(&text, "%s%s", prefix, value) < 0)
        return false;
    o->sets[o->sets_count++] = text; /* as long as the process: a reload reads it again */
    return true;
}

static bool
add_log(struct lki_options *o, const char *dir)
{
    if (o->logs_count == LOGS_MAX) {
        fprintf(stderr, "lumadb: more than %d folders with log\n", LOGS_MAX);
        return false;
    }
    o->logs[o->logs_count++] = dir;
    return true;
}

static bool
take_option(struct lki_options *o, int option, const char *value)
{
    switch (option) {
    case OPT_CONFIG:
        o->config_file = value;
        return true;
    case OPT_CONF_DIR:
        o->conf_dir = value;
        return true;
    case OPT_DATA:
        return add_set(o, "general.data_dir=", value);
    case OPT_MODULE_DIR:
        return add_set(o, "general.module_dir=", value);
    case OPT_SET:
        return add_set(o, "", value);
    case OPT_CHECK:
        o->check = true;
        return true;
    case OPT_TEMPLATE:
        o->template_name = value;
        return true;
    case OPT_REFERENCE:
        o->reference = true;
        return true;
    case OPT_VERIFY:
        o->verify = true;
        return true;
    case OPT_LIST:
        o->list = true;
        return true;
    case OPT_JSON:
        o->json = true;
        return true;
    case OPT_TO:
        o->to_time = value;
        return true;
    case OPT_TO_COMMIT:
        o->to_commit = value;
        return true;
    case OPT_BACKUP:
        o->backup_name = value;
        return true;
    case OPT_LOG:
        return add_log(o, value);
    case OPT_HELP:
        o->help = true;
        return true;
    default:
        return false; /* getopt has said what is wrong */
    }
}

bool
lki_options_parse(int argc, char **argv, const char *usage, int rest_max,
                  struct lki_options *out_options)
{
    struct lki_options o = {0};
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == 'h')
            option = OPT_HELP;
        if (!take_option(&o, option, optarg)) {
            fprintf(stderr, "\n%s", usage);
            return false;
        }
    }
    o.rest = (const char **)(uintptr_t)(argv + optind);
    o.rest_count = argc - optind;
    if (o.check && o.rest_count == 1)
        o.check_file = o.rest[0];
    if (o.rest_count > rest_max && !o.help) {
        fprintf(stderr, "lumadb: unexpected argument \"%s\"\n\n%s", o.rest[rest_max], usage);
        return false;
    }
    *out_options = o;
    return true;
}

int
lki_complain(const struct luma_error *error)
{
    fprintf(stderr, "lumadb: %s\n", error->message);
    if (error->detail != NULL)
        fprintf(stderr, "lumadb: %s\n", error->detail);
    if (error->hint != NULL)
        fprintf(stderr, "lumadb: hint: %s\n", error->hint);
    return EXIT_FAILED;
}
