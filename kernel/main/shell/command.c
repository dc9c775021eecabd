/* main/shell/command.c - what starts with a backslash. */
#include <errno.h>
#include <poll.h>
#include <strings.h>

#include "main/shell/shell.h"

#define WORD_ROOM 1024

const char *const lki_shell_commands[] = {
    "\\?",  "\\c",    "\\conninfo", "\\copy", "\\d",      "\\df",     "\\di",     "\\dn",
    "\\ds", "\\dt",   "\\du",       "\\dv",   "\\echo",   "\\format", "\\header", "\\i",
    "\\l",  "\\null", "\\o",        "\\q",    "\\timing", "\\watch",  "\\x",      NULL};

static const char help[] =
    "  \\q                    leave (Ctrl-D too)\n"
    "  \\c DATABASE [USER]    connect again, to another database or as another user\n"
    "  \\conninfo             where this is connected\n"
    "  \\d [NAME]             relations, or the columns, indexes and constraints of one\n"
    "  \\dt \\dv \\di \\ds       tables, views, indexes, sequences [PATTERN]; + says more\n"
    "  \\dn \\df \\du \\l        schemas, functions, users, databases [PATTERN]\n"
    "  \\i FILE               run the statements of a file\n"
    "  \\o [FILE]             send results to a file; without one: to the terminal again\n"
    "  \\copy T FROM|TO FILE  COPY with a file of this machine; STDIN, STDOUT too\n"
    "  \\watch [SECONDS]      run the last statement again and again until Ctrl-C\n"
    "  \\format NAME          table, expanded, csv or json\n"
    "  \\x [on|off]           expanded: one line per column\n"
    "  \\header [on|off]      names of columns and number of rows\n"
    "  \\null TEXT            how a table shows NULL\n"
    "  \\timing [on|off]      say how long each statement took\n"
    "  \\echo TEXT            print a text\n";

/* The next word, quoted by '...' if need be; gives what follows, NULL: no word left. */
static const char *
next_word(const char *p, char *out, size_t room)
{
    size_t n = 0;
    p += strspn(p, " \t\r\n");
    if (*p == 0)
        return NULL;
    bool quoted = *p == '\'';
    for (p += quoted; *p != 0 && n + 1 < room; p++) {
        if (quoted && *p == '\'' && p[1] == '\'')
            p++;
        else if (quoted ? *p == '\'' : strchr(" \t\r\n", *p) != NULL)
            break;
        out[n++] = *p;
    }
    out[n] = 0;
    return quoted && *p == '\'' ? p + 1 : p;
}

static bool
complain(struct lki_shell *shell, const char *what, const char *why)
{
    char text[WORD_ROOM + 512];
    snprintf(text, sizeof(text), "%s: %s", what, why);
    lki_shell_error(shell, text);
    return false;
}

/* on, off, or nothing: the other way round. */
static bool
toggle(struct lki_shell *shell, const char *name, const char *word, bool *value)
{
    if (word == NULL)
        *value = !*value;
    else if (strcasecmp(word, "on") == 0 || strcasecmp(word, "off") == 0)
        *value = strcasecmp(word, "on") == 0;
    else
        return complain(shell, name, "say on or off");
    if (!shell->quiet)
        printf("%s is %s.\n", name + 1, *value ? "on" : "off");
    return true;
}

static bool
set_format(struct lki_shell *shell, const char *word)
{
    static const char *const names[] = {"table", "expanded", "csv", "json"};
    for (size_t i = 0; word != NULL && i < LUMA_COUNTOF(names); i++)
        if (strcasecmp(word, names[i]) == 0) {
            shell->format = (enum lki_shell_format)i;
            return true;
        }
    return complain(shell, "\\format", "say table, expanded, csv or json");
}

static bool
set_output(struct lki_shell *shell, const char *word)
{
    FILE *file = stdout;
    if (word != NULL && (file = fopen(word, "we")) == NULL) /* os-door: the person's own file */
        return complain(shell, word, strerror(errno));
    if (shell->out != stdout)
        fclose(shell->out);
    shell->out = file;
    return true;
}

static bool
connect_again(struct lki_shell *shell, const char *database, const char *user)
{
    const char *keys[] = {"host", "port", "dbname", "user", "password", NULL};
    bool same_user = user == NULL || strcmp(user, PQuser(shell->conn)) == 0;
    const char *values[] = {PQhost(shell->conn),
                            PQport(shell->conn),
                            database == NULL ? PQdb(shell->conn) : database,
                            user == NULL ? PQuser(shell->conn) : user,
                            same_user ? PQpass(shell->conn) : NULL,
                            NULL};
    PGconn *old = shell->conn;
    if (!lki_shell_connect(shell, keys, values, shell->interactive)) {
        shell->conn = old; /* the old one stays in use */
        lki_shell_watch(old);
        return false;
    }
    PQfinish(old);
    if (!shell->quiet)
        printf("Connected to database \"%s\" as user \"%s\".\n", PQdb(shell->conn),
               PQuser(shell->conn));
    return true;
}

static bool
say_connection(const struct lki_shell *shell)
{
    const char *version = PQparameterStatus(shell->conn, "server_version");
    printf("Database \"%s\" as user \"%s\" on %s, port %s%s; server %s.\n", PQdb(shell->conn),
           PQuser(shell->conn), PQhost(shell->conn), PQport(shell->conn),
           PQsslInUse(shell->conn) ? ", TLS" : "", version == NULL ? "unknown" : version);
    return true;
}

/* --- \copy --- */

/* Where FROM or TO stands, outside of quotes and parentheses; NULL: nowhere. */
static const char *
find_direction(const char *p, bool *out_from)
{
    int depth = 0;
    char quote = 0, before = ' ';
    for (; *p != 0; before = *p++) {
        if (quote != 0) {
            quote = *p == quote ? 0 : quote;
        } else if (*p == '\'' || *p == '"') {
            quote = *p;
        } else if (*p == '(' || *p == ')') {
            depth += *p == '(' ? 1 : -1;
        } else if (depth == 0 && (before == ' ' || before == '\t' || before == ')')) {
            *out_from = strncasecmp(p, "from", 4) == 0;
            size_t n = *out_from ? 4 : 2;
            if ((*out_from || strncasecmp(p, "to", 2) == 0) && (p[n] == ' ' || p[n] == '\t'))
                return p;
        }
    }
    return NULL;
}

static bool
copy(struct lki_shell *shell, const char *rest)
{
    char path[WORD_ROOM], *sql = NULL;
    bool from, own = false;
    const char *way = find_direction(rest, &from);
    const char *options = way == NULL ? NULL : next_word(way + (from ? 4 : 2), path, sizeof(path));
    if (options == NULL)
        return complain(shell, "\\copy",
                        "say \\copy TABLE [(COLUMNS)] FROM|TO FILE [OPTIONS], or (QUERY) TO FILE");
    size_t last = strlen(options);
    while (last > 0 && strchr(" \t\r\n;", options[last - 1]) != NULL)
        last--;
    FILE *file = from ? stdin : shell->out;
    if (strcasecmp(path, from ? "stdin" : "stdout") != 0 &&
        strcasecmp(path, from ? "pstdin" : "pstdout") != 0) {
        own = true;
        file = fopen(path, from ? "re" : "we"); /* os-door: the person's own file */
        if (file == NULL)
            return complain(shell, path, strerror(errno));
    }
    bool ok = asprintf(&sql, "COPY %.*s%s %.*s", (int)(way - rest), rest,
                       from ? "FROM STDIN" : "TO STDOUT", (int)last, options) > 0;
    if (ok)
        ok = lki_shell_copy_file(shell, sql, file);
    free(sql);
    if (own && fclose(file) != 0 && !from)
        ok = complain(shell, path, strerror(errno));
    return ok;
}

/* --- \watch --- */

static bool
watch(struct lki_shell *shell, const char *word)
{
    double seconds = word == NULL ? 2 : strtod(word, NULL);
    const char *sql = shell->last;
    if (sql == NULL)
        return complain(shell, "\\watch", "there is no statement to run again");
    if (!(seconds >= 0.01 && seconds <= 86400))
        return complain(shell, "\\watch", "say a number of seconds, 0.01 to 86400");
    bool ok = true;
    while (ok && !lki_shell_interrupted()) {
        printf("Every %g s; Ctrl-C ends.\n", seconds);
        ok = lki_shell_run(shell, sql, NULL);
        (void)poll(NULL, 0, (int)(seconds * 1000)); /* SIGINT ends it */
    }
    return ok;
}

bool
lki_shell_command(struct lki_shell *shell, const char *line)
{
    char name[64], first[WORD_ROOM], second[WORD_ROOM];
    const char *rest = next_word(line, name, sizeof(name));
    const char *after = rest == NULL ? NULL : next_word(rest, first, sizeof(first));
    const char *word = after == NULL ? NULL : first;
    const char *more = after == NULL ? NULL : next_word(after, second, sizeof(second));
    size_t n = word == NULL ? 0 : strlen(word);
    rest = rest == NULL ? "" : rest + strspn(rest, " \t");

    if (strcmp(name, "\\q") == 0)
        return shell->quit = true;
    if (strcmp(name, "\\?") == 0)
        return fputs(help, stdout) >= 0;
    if (strcmp(name, "\\copy") == 0)
        return copy(shell, rest);
    if (strcmp(name, "\\echo") == 0)
        return fputs(rest, shell->out) >= 0;
    if (n > 0 && strcmp(name, "\\c") != 0 && first[n - 1] == ';')
        first[n - 1] = 0; /* a habit of the fingers */
    if (strcmp(name, "\\c") == 0)
        return connect_again(shell, word, more == NULL ? NULL : second);
    if (strcmp(name, "\\conninfo") == 0)
        return say_connection(shell);
    if (strcmp(name, "\\timing") == 0)
        return toggle(shell, name, word, &shell->timing);
    if (strcmp(name, "\\header") == 0)
        return toggle(shell, name, word, &shell->header);
    if (strcmp(name, "\\format") == 0)
        return set_format(shell, word);
    if (strcmp(name, "\\watch") == 0)
        return watch(shell, word);
    if (strcmp(name, "\\o") == 0)
        return set_output(shell, word);
    if (strcmp(name, "\\i") == 0)
        return word == NULL ? complain(shell, name, "say which file") : lki_shell_file(shell, word);
    if (strcmp(name, "\\null") == 0) {
        snprintf(shell->null_text, sizeof(shell->null_text), "%s", word == NULL ? "" : word);
        return true;
    }
    if (strcmp(name, "\\x") == 0) {
        bool on = shell->format == SHELL_EXPANDED;
        bool ok = toggle(shell, name, word, &on);
        shell->format = on ? SHELL_EXPANDED : SHELL_TABLE;
        return ok;
    }
    if (name[1] == 'd' || strcmp(name, "\\l") == 0)
        return lki_shell_describe(shell, name + 1, word == NULL ? "" : word);
    return complain(shell, name, "no such command; \\? lists them");
}
