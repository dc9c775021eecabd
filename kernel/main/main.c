/*
 * main/main.c - the `lumadb` program, which answers to `tdbplus` too.
 *
 * Exit status: 0 success; 1 failure, said on stderr; 2 a mistake in the command line.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "main/main_priv.h"
#include "main/paths.h"

static const char help_program[] =
    "usage: lumadb COMMAND [OPTION]...\n"
    "\n"
    "LumaDB keeps documents, tables, metrics, logs, vectors and text in one transactional store.\n"
    "\n"
    "  server    run the server in the foreground\n"
    "  sql       run SQL on a server: a shell for people and scripts\n"
    "  import    load a file of CSV or NDJSON into a table\n"
    "  export    write a table or a query to a file of CSV or NDJSON\n"
    "  modules   list modules, or judge one: modules --check FILE.so\n"
    "  config    print every effective setting and where it comes from\n"
    "  check     read everything in a data folder and verify it\n"
    "  backup    copy a data folder to a backup place, while a server works on it\n"
    "  restore   make a data folder from a backup, and the log that came after it\n"
    "  segment   say what is in a segment's file\n"
    "  tiers     say which tables lie in memory, on disk, or in a colder place\n"
    "  user      add a user, or give one a new password\n"
    "\n"
    "  --version  print the version\n"
    "  --help     this; COMMAND --help says more\n";

#define HELP_COMMON                                                               \
    "  --config FILE            configuration, TOML or (by its ending) YAML\n"    \
    "                           (default " LK_CONFIG_FILE ", if it is there)\n"   \
    "  --conf-dir DIR           one file per module, <kind>-<name>.conf\n"        \
    "  --data DIR               data folder: --set general.data_dir=DIR\n"        \
    "  --module-dir DIR         shared objects: --set general.module_dir=DIR\n"   \
    "  --set SECTION.KEY=VALUE  one setting, before all files; may be repeated\n" \
    "  --help                   this\n"

static const char help_server[] =
    "usage: lumadb server [OPTION]...\n"
    "\n"
    "Opens the data folder, recovers what an earlier run left in its log, starts the modules that\n"
    "have a file in conf.d, and serves until it is told to stop.\n"
    "\n"
    "  --check                  validate configuration and modules, start nothing\n" HELP_COMMON
    "\n"
    "SIGTERM, SIGINT  no new connections, running statements may finish; a second one stops at "
    "once\n"
    "SIGHUP           read the configuration again, reopen the log file\n";

static const char help_modules[] =
    "usage: lumadb modules [OPTION]...\n"
    "       lumadb modules --check FILE.so\n"
    "\n"
    "Lists the modules that would be loaded: file, kind, name, version, state, services offered "
    "and\n"
    "needed, settings. With --check, judges one shared object: its descriptor, then the "
    "conformance\n"
    "run of its kind; one line per test, exit status 0 only if all passed.\n"
    "\n"
    "  --check FILE.so          judge this object\n" HELP_COMMON;

static const char help_config[] =
    "usage: lumadb config [OPTION]...\n"
    "       lumadb config --template KIND-NAME\n"
    "       lumadb config --reference\n"
    "\n"
    "Prints every effective setting as TOML, with its origin in a comment. With --template, prints "
    "the\n"
    "file of conf.d for a module: every key commented out, with default, range and meaning.\n"
    "\n"
    "  --template KIND-NAME     print this module's conf.d file\n"
    "  --reference              print all keys as Markdown tables\n" HELP_COMMON;

static const char help_check[] =
    "usage: lumadb check [OPTION]... [DIR]\n"
    "\n"
    "Reads everything in a data folder that no server is using, verifies checksums and structure, "
    "and\n"
    "reports what is damaged. Changes nothing. Exit status 0 only if all is sound.\n"
    "\n" HELP_COMMON;

static const char help_backup[] =
    "usage: lumadb backup PLACE [--data DIR] [OPTION]...\n"
    "       lumadb backup PLACE --list\n"
    "\n"
    "Copies a data folder to PLACE, whether a server works on it or not: one state, with "
    "everything\n"
    "that was committed when it began. A place keeps any number of backups of one store; what they "
    "have\n"
    "in common is copied once.\n"
    "\n"
    "  --list                   print the backups of a place, change nothing\n" HELP_COMMON;

static const char help_restore[] =
    "usage: lumadb restore PLACE DIR [OPTION]...\n"
    "\n"
    "Makes the data folder DIR, which is absent or empty, from the newest backup in PLACE. With "
    "--log,\n"
    "what was committed after the backup comes back too, up to the time or commit given.\n"
    "\n"
    "  --to TIME                no commit after this time: '2026-01-31 10:15:00+00'\n"
    "  --to-commit NUMBER       no commit after this one\n"
    "  --backup NAME            begin with this backup, as backup --list names it\n"
    "  --log DIR                a folder with archived log (storage.wal_archive), or the log of "
    "the\n"
    "                           lost data folder; may be repeated\n" HELP_COMMON;

static const char help_segment[] =
    "usage: lumadb segment [--verify] [OPTION]... FILE\n"
    "\n"
    "Prints what the footer of a segment says: rows, groups, and for each column chunk its "
    "encoding,\n"
    "codec, bytes, nulls and smallest and largest value. Reads no values and needs no module.\n"
    "\n"
    "  --verify                 read everything: checksums, every value by each way to it, "
    "bounds,\n"
    "                           order of row ids, documents; needs the modules that wrote it\n"
    "\n" HELP_COMMON;

static const char help_tiers[] = "usage: lumadb tiers [--data DIR] [--json] [OPTION]...\n"
                                 "\n"
                                 "Prints for each table its storage_tier, rows, segments, and "
                                 "bytes in each place. A folder that "
                                 "a\n"
                                 "server uses is not looked at: the server is asked, as lumadb sql "
                                 "would do it (PGHOST, PGPORT,\n"
                                 "PGUSER, PGPASSWORD).\n"
                                 "\n"
                                 "  --json                   one JSON document\n" HELP_COMMON;

static const char help_user[] =
    "usage: lumadb user add NAME [OPTION]...\n"
    "\n"
    "Adds a user to a data folder that no server is using, or gives a user that is there a new\n"
    "password. The password is one line of standard input. (With a server running: CREATE ROLE.)\n"
    "\n" HELP_COMMON;

static const struct {
    const char *name;
    const char *help;
    int (*run)(const struct lki_options *options);
    int rest_max; /* arguments that are no options */
} commands[] = {
    {"server", help_server, lki_cmd_server, 0},    {"modules", help_modules, lki_cmd_modules, 1},
    {"config", help_config, lki_cmd_config, 0},    {"check", help_check, lki_cmd_check, 1},
    {"segment", help_segment, lki_cmd_segment, 1}, {"user", help_user, lki_cmd_user, 2},
    {"tiers", help_tiers, lki_cmd_tiers, 0},       {"backup", help_backup, lki_cmd_backup, 1},
    {"restore", help_restore, lki_cmd_restore, 2},
};

static int
run_command(size_t index, int argc, char **argv)
{
    static struct lki_options options; /* and the texts of --set: as long as the process */
    if (!lki_options_parse(argc, argv, commands[index].help, commands[index].rest_max, &options))
        return EXIT_USAGE;
    if (options.help) {
        fputs(commands[index].help, stdout);
        return EXIT_OK;
    }
    return commands[index].run(&options);
}

int
main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "--help";
    if (strcmp(command, "sql") == 0 || strcmp(command, "import") == 0 ||
        strcmp(command, "export") == 0)
        return lki_run_shell(argv + 1);
    for (size_t i = 0; i < LUMA_COUNTOF(commands); i++)
        if (strcmp(command, commands[i].name) == 0)
            return run_command(i, argc - 1, argv + 1);
    if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
        printf("LumaDB %s (module ABI %d.%d)\n", LUMA_VERSION, LUMA_ABI_MAJOR, LUMA_ABI_MINOR);
        return EXIT_OK;
    }
    bool asked = argc > 1 && (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0);
    if (!asked && argc > 1)
        fprintf(stderr, "lumadb: no command \"%s\"\n\n", command);
    fputs(help_program, asked ? stdout : stderr);
    return asked ? EXIT_OK : EXIT_USAGE;
}
