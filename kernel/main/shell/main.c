/*
 * main/shell/main.c - `lumadb sql`: a shell for people and for scripts. A client like any other: it
 * knows nothing of the server but the PostgreSQL protocol, spoken by libpq.
 *
 * Exit status: 0 all went well; 1 a statement or command failed; 2 a mistake in the command line;
 * 3 no connection.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <strings.h>
#include <unistd.h>

#include "main/shell/shell.h"
#include "main/transfer/transfer.h"

#define ACTIONS_MAX 256

static const char help[] =
    "usage: lumadb sql [OPTION]... [DATABASE]\n"
    "\n"
    "Runs SQL on a server: what is typed, what -c says, what a file holds, or standard input.\n"
    "\n"
    "  -c, --command SQL     run this and leave; may be repeated, in order with -f\n"
    "  -f, --file FILE       run the statements of a file and leave; \"-\" is standard input\n"
    "  -h, --host HOST       server (PGHOST, default localhost)\n"
    "  -p, --port PORT       its port (PGPORT, default 5432)\n"
    "  -U, --user NAME       who comes (PGUSER, default lumadb)\n"
    "  -d, --database NAME   database (PGDATABASE, default \"default\")\n"
    "  -w, --no-password     never ask for a password (PGPASSWORD and ~/.pgpass are used)\n"
    "  -F, --format NAME     table, expanded, csv or json (default table)\n"
    "  -o, --output FILE     send results there\n"
    "  -n, --null TEXT       how a table shows NULL\n"
    "  -t, --no-header       rows only\n"
    "  -T, --timing          say how long each statement took\n"
    "  -q, --quiet           no words but results and errors\n"
    "  -k, --keep-going      go on after a statement that failed\n"
    "  -1, --single-transaction  all of -c and -f in one transaction\n"
    "      --help            this\n"
    "\n"
    "At the prompt, \\? lists the commands. Statements end with a semicolon.\n"
    "Exit status: 0 all went well, 1 something failed, 2 a mistake in the command line,\n"
    "3 no connection.\n";

struct action {
    bool is_file;
    const char *text;
};

struct options {
    struct action actions[ACTIONS_MAX];
    size_t actions_count;
    const char *host, *port, *user, *database, *output;
    bool never_ask, single;
};

void
lki_shell_error(struct lki_shell *shell, const char *message)
{
    size_t n = strlen(message);
    while (n > 0 && message[n - 1] == '\n')
        n--;
    fflush(shell->out);
    if (shell->source != NULL && shell->source->file != NULL && shell->source->name != NULL)
        fprintf(stderr, "%s:%llu: ", shell->source->name, (unsigned long long)shell->source->lines);
    fprintf(stderr, "%.*s\n", (int)n, message);
    shell->failed = true;
}

static int
usage_error(const char *what, const char *value)
{
    fprintf(stderr, "lumadb sql: %s%s%s%s\nlumadb sql --help says more\n", what,
            value == NULL ? "" : " \"", value == NULL ? "" : value, value == NULL ? "" : "\"");
    return SHELL_USAGE;
}

static bool
parse_format(const char *name, enum lki_shell_format *out)
{
    static const char *const names[] = {"table", "expanded", "csv", "json"};
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (enum lki_shell_format)i;
            return true;
        }
    return false;
}

static bool
add_action(struct options *options, bool is_file, const char *text)
{
    if (options->actions_count == ACTIONS_MAX)
        return false;
    options->actions[options->actions_count++] = (struct action){is_file, text};
    return true;
}

/* -1: go on; otherwise the exit status. */
static int
parse(int argc, char **argv, struct options *o, struct lki_shell *shell)
{
    static const struct option names[] = {{"command", required_argument, NULL, 'c'},
                                          {"file", required_argument, NULL, 'f'},
                                          {"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"user", required_argument, NULL, 'U'},
                                          {"database", required_argument, NULL, 'd'},
                                          {"no-password", no_argument, NULL, 'w'},
                                          {"format", required_argument, NULL, 'F'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"null", required_argument, NULL, 'n'},
                                          {"no-header", no_argument, NULL, 't'},
                                          {"timing", no_argument, NULL, 'T'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"keep-going", no_argument, NULL, 'k'},
                                          {"single-transaction", no_argument, NULL, '1'},
                                          {"help", no_argument, NULL, '?' + 256},
                                          {NULL, 0, NULL, 0}};
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":c:f:h:p:U:d:wF:o:n:tTqk1", names, NULL)) != -1) {
        switch (c) {
        case 'c':
        case 'f':
            if (!add_action(o, c == 'f', optarg))
                return usage_error("more than 256 of -c and -f", NULL);
            break;
        case 'h':
            o->host = optarg;
            break;
        case 'p':
            o->port = optarg;
            break;
        case 'U':
            o->user = optarg;
            break;
        case 'd':
            o->database = optarg;
            break;
        case 'w':
            o->never_ask = true;
            break;
        case 'F':
            if (!parse_format(optarg, &shell->format))
                return usage_error("--format wants table, expanded, csv or json, not", optarg);
            break;
        case 'o':
            o->output = optarg;
            break;
        case 'n':
            snprintf(shell->null_text, sizeof(shell->null_text), "%s", optarg);
            break;
        case 't':
            shell->header = false;
            break;
        case 'T':
            shell->timing = true;
            break;
        case 'q':
            shell->quiet = true;
            break;
        case 'k':
            shell->keep_going = true;
            break;
        case '1':
            o->single = true;
            break;
        case '?' + 256:
            fputs(help, stdout);
            return SHELL_OK;
        case ':':
            return usage_error("an option wants a value:", argv[optind - 1]);
        default:
            return usage_error("no such option:", argv[optind - 1]);
        }
    }
    if (optind < argc)
        o->database = argv[optind++];
    if (optind < argc)
        return usage_error("what is this?", argv[optind]);
    if (o->single && o->actions_count == 0)
        return usage_error("--single-transaction wants -c or -f", NULL);
    return -1;
}

bool
lki_shell_connect(struct lki_shell *shell, const char *const *keys, const char *const *values,
                  bool may_ask)
{
    PGconn *conn = PQconnectdbParams(keys, values, 0);
    if (PQstatus(conn) != CONNECTION_OK && PQconnectionNeedsPassword(conn) && may_ask) {
        char prompt[160];
        const char *again_keys[16], *again_values[16];
        size_t n = 0;
        for (; keys[n] != NULL && n < 14; n++) {
            again_keys[n] = keys[n];
            again_values[n] = values[n];
        }
        snprintf(prompt, sizeof(prompt), "Password for user %s: ", PQuser(conn));
        again_keys[n] = "password";
        again_values[n] = getpass(prompt);
        again_keys[n + 1] = again_values[n + 1] = NULL;
        PQfinish(conn);
        conn = PQconnectdbParams(again_keys, again_values, 0);
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        lki_shell_error(shell, PQerrorMessage(conn));
        PQfinish(conn);
        return false;
    }
    shell->conn = conn;
    lki_shell_watch(conn);
    return true;
}

const char *
lki_shell_chosen(const char *option, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);
    return option != NULL ? option : value != NULL && value[0] != 0 ? value : otherwise;
}

static bool
connect_first(struct lki_shell *shell, const struct options *o)
{
    const char *keys[] = {"host", "port", "user", "dbname", "fallback_application_name", NULL};
    const char *values[] = {lki_shell_chosen(o->host, "PGHOST", "localhost"),
                            lki_shell_chosen(o->port, "PGPORT", "5432"),
                            lki_shell_chosen(o->user, "PGUSER", "lumadb"),
                            lki_shell_chosen(o->database, "PGDATABASE", "default"),
                            "lumadb sql",
                            NULL};
    bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    return lki_shell_connect(shell, keys, values, terminal && !o->never_ask);
}

static bool
run_text(struct lki_shell *shell, const char *text)
{
    if (text[strspn(text, " \t\r\n")] == '\\')
        return lki_shell_command(shell, text);
    /* Statement by statement, so that each is timed and shown by itself. */
    size_t bytes = strlen(text);
    struct lki_source source = {
        .file = fmemopen((void *)(uintptr_t)text, LK_MAX(bytes, (size_t)1), "r")};
    if (source.file == NULL)
        return false;
    bool ok = lki_shell_read(shell, &source);
    fclose(source.file);
    lki_source_fini(&source);
    return ok;
}

static bool
run_actions(struct lki_shell *shell, const struct options *o)
{
    bool ok = true, quiet = shell->quiet;
    shell->quiet = quiet || o->single;
    if (o->single)
        ok = lki_shell_run(shell, "BEGIN", NULL);
    shell->quiet = quiet;
    for (size_t i = 0; i < o->actions_count && !shell->quit && (ok || shell->keep_going); i++) {
        const struct action *a = &o->actions[i];
        ok = (a->is_file ? lki_shell_file(shell, a->text) : run_text(shell, a->text)) && ok;
    }
    shell->quiet = quiet || o->single;
    if (o->single && PQstatus(shell->conn) == CONNECTION_OK)
        ok = lki_shell_run(shell, ok ? "COMMIT" : "ROLLBACK", NULL) && ok;
    shell->quiet = quiet;
    return ok;
}

static bool
talk(struct lki_shell *shell)
{
    struct lki_source source = {0};
    const char *version = PQparameterStatus(shell->conn, "server_version");
    shell->interactive = true;
    shell->edit = lki_edit_create(shell);
    if (shell->edit == NULL) {
        lki_shell_error(shell, "the line editor cannot be started");
        return false;
    }
    if (!shell->quiet)
        printf("LumaDB %s, server %s. Statements end with a semicolon; \\? for help, \\q to "
               "leave.\n\n",
               LK_VERSION, version == NULL ? "unknown" : version);
    (void)lki_shell_read(shell, &source);
    if (!shell->quit)
        putchar('\n');
    lki_edit_destroy(shell->edit);
    return true; /* mistakes of typing are no failure of the shell */
}

bool
lki_transfer_fail(const struct lki_transfer *t, const char *what, const char *why)
{
    size_t n = strlen(why);
    while (n > 0 && why[n - 1] == '\n')
        n--;
    fprintf(stderr, "lumadb %s: %s%s%.*s\n", t->import ? "import" : "export",
            what == NULL ? "" : what, what == NULL ? "" : ": ", (int)n, why);
    return false;
}

bool
lki_transfer_run(struct lki_transfer *t, const char *sql)
{
    PGresult *result = PQexec(t->shell.conn, sql);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!ok)
        lki_transfer_fail(t, NULL, PQresultErrorMessage(result));
    PQclear(result);
    return ok;
}

/* `lumadb import` and `lumadb export`. */
static int
transfer(int argc, char **argv, bool import)
{
    static struct lki_transfer t;
    struct options o = {0};
    t.import = import;
    t.shell.out = stdout;
    int status = lki_transfer_parse(&t, argc, argv);
    if (status >= 0)
        return status;
    o.host = t.host;
    o.port = t.port;
    o.user = t.user;
    o.database = t.database;
    o.never_ask = t.never_ask;
    lki_shell_catch_signals();
    if (!connect_first(&t.shell, &o))
        return SHELL_NO_CONNECTION;
    status = import ? lki_import(&t) : lki_export(&t);
    bool gone = PQstatus(t.shell.conn) != CONNECTION_OK;
    lki_shell_watch(NULL);
    PQfinish(t.shell.conn);
    return status == SHELL_FAILED && gone ? SHELL_NO_CONNECTION : status;
}

int
main(int argc, char **argv)
{
    static struct lki_shell shell;
    static struct options options;
    setlocale(LC_CTYPE, "");
    if (strcmp(argv[0], "import") == 0 || strcmp(argv[0], "export") == 0)
        return transfer(argc, argv, argv[0][0] == 'i');
    shell.out = stdout;
    shell.header = true;
    int status = parse(argc, argv, &options, &shell);
    if (status >= 0)
        return status;
    if (options.output != NULL) {
        shell.out = fopen(options.output, "we"); /* os-door: the person's own file */
        if (shell.out == NULL) {
            fprintf(stderr, "lumadb sql: %s: %s\n", options.output, strerror(errno));
            return SHELL_FAILED;
        }
    }
    lki_shell_catch_signals();
    if (!connect_first(&shell, &options))
        return SHELL_NO_CONNECTION;
    bool ok = options.actions_count > 0 ? run_actions(&shell, &options)
              : isatty(STDIN_FILENO)    ? talk(&shell)
                                        : lki_shell_file(&shell, "-");
    bool gone = PQstatus(shell.conn) != CONNECTION_OK;
    if (shell.out != stdout && fclose(shell.out) != 0)
        ok = false;
    if (fflush(stdout) != 0)
        ok = false;
    lki_shell_watch(NULL);
    PQfinish(shell.conn);
    free(shell.last);
    return gone ? SHELL_NO_CONNECTION : ok ? SHELL_OK : SHELL_FAILED;
}
