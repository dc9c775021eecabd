/* main/shell/edit.c - lines typed at a terminal: editing, history, completion (libedit). */
#include <histedit.h>
#include <strings.h>
#include <unistd.h>

#include "main/shell/shell.h"

#define HISTORY_SIZE   2000
#define CANDIDATES_MAX 200

struct lki_edit {
    struct lki_shell *shell;
    EditLine *line;
    History *history;
    char *file;         /* of the history; NULL: none */
    const char *prompt; /* of the line that is being read */
};

static const char *
prompt(EditLine *line)
{
    struct lki_edit *edit;
    el_get(line, EL_CLIENTDATA, &edit);
    return edit->prompt;
}

/* --- completion --- */

static const char *const keywords[] = {
    "ALTER TABLE", "ANALYZE",      "AND",          "AS",          "BEGIN",       "BETWEEN",
    "BY",          "CASE",         "CAST",         "CHECKPOINT",  "COALESCE",    "COMMIT",
    "COPY",        "CREATE INDEX", "CREATE TABLE", "CREATE VIEW", "CROSS JOIN",  "DEFAULT",
    "DELETE FROM", "DESC",         "DISTINCT",     "DROP TABLE",  "DROP VIEW",   "ELSE",
    "END",         "EXISTS",       "EXPLAIN",      "FROM",        "FULL JOIN",   "GROUP BY",
    "HAVING",      "ILIKE",        "IN",           "INNER JOIN",  "INSERT INTO", "IS NOT NULL",
    "IS NULL",     "JOIN",         "LEFT JOIN",    "LIKE",        "LIMIT",       "NOT",
    "NULL",        "OFFSET",       "ON CONFLICT",  "OR",          "ORDER BY",    "PRIMARY KEY",
    "REFERENCES",  "RETURNING",    "RIGHT JOIN",   "ROLLBACK",    "SAVEPOINT",   "SELECT",
    "SET",         "SHOW",         "TABLE",        "THEN",        "TRUNCATE",    "UNION ALL",
    "UNIQUE",      "UPDATE",       "USING",        "VALUES",      "WHEN",        "WHERE",
    "WITH"};

/* What may stand at the cursor: found names, without doubles. */
struct candidates {
    const char *names[CANDIDATES_MAX];
    size_t count;
    PGresult *result; /* owns the names that come from the server */
};

static void
offer(struct candidates *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0)
            return;
    if (c->count < CANDIDATES_MAX)
        c->names[c->count++] = name;
}

static void
offer_fixed(struct candidates *c, const char *const *names, size_t count, const char *word)
{
    for (size_t i = 0; i < count && names[i] != NULL; i++)
        if (strncasecmp(names[i], word, strlen(word)) == 0)
            offer(c, names[i]);
}

/* Relations, schemas, functions and columns of the person's own tables. */
static const char names_sql[] =
    "SELECT quote_ident(relname) FROM pg_catalog.pg_class WHERE relkind IN ('r','v','m','S','p') "
    "AND relname LIKE $1 AND pg_catalog.pg_table_is_visible(oid) "
    "UNION SELECT quote_ident(nspname) || '.' FROM pg_catalog.pg_namespace WHERE nspname LIKE $1 "
    "UNION SELECT quote_ident(a.attname) FROM pg_catalog.pg_attribute a "
    "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE $1 "
    "AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "UNION SELECT proname || '(' FROM pg_catalog.pg_proc WHERE proname LIKE $1 "
    "AND $1 <> '%' ORDER BY 1 LIMIT 200";

/* Behind a dot: relations of a schema, or columns of a table of that name. */
static const char members_sql[] =
    "SELECT $2 || '.' || quote_ident(c.relname) FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $2 AND c.relkind IN ('r','v','m','S','p') AND c.relname LIKE $1 "
    "UNION SELECT $2 || '.' || quote_ident(a.attname) FROM pg_catalog.pg_attribute a "
    "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
    "WHERE c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE $1 "
    "ORDER BY 1 LIMIT 200";

/* word% with what LIKE takes for its own escaped. */
static void
make_pattern(const char *word, char *out, size_t room)
{
    size_t n = 0;
    for (; *word != 0 && n + 4 < room; word++) {
        if (*word == '_' || *word == '%' || *word == '\\')
            out[n++] = '\\';
        out[n++] = *word;
    }
    memcpy(out + n, "%", 2);
}

static void
offer_names(struct lki_edit *edit, struct candidates *c, const char *word)
{
    PGTransactionStatusType state = PQtransactionStatus(edit->shell->conn);
    const char *dot = strchr(word, '.');
    char pattern[256], owner[128];
    const char *values[] = {pattern, owner};
    if (state != PQTRANS_IDLE && state != PQTRANS_INTRANS)
        return;
    make_pattern(dot == NULL ? word : dot + 1, pattern, sizeof(pattern));
    snprintf(owner, sizeof(owner), "%.*s", dot == NULL ? 0 : (int)(dot - word), word);
    c->result = PQexecParams(edit->shell->conn, dot == NULL ? names_sql : members_sql,
                             dot == NULL ? 1 : 2, NULL, values, NULL, NULL, 0);
    for (int i = 0; PQresultStatus(c->result) == PGRES_TUPLES_OK && i < PQntuples(c->result); i++)
        offer(c, PQgetvalue(c->result, i, 0));
}

/* How many first bytes all candidates share, letter case aside. */
static size_t
shared_bytes(const struct candidates *c)
{
    size_t n = strlen(c->names[0]);
    for (size_t i = 1; i < c->count; i++) {
        size_t k = 0;
        while (k < n && strncasecmp(c->names[i] + k, c->names[0] + k, 1) == 0)
            k++;
        n = k;
    }
    return n;
}

static void
list(const struct candidates *c)
{
    size_t widest = 1;
    for (size_t i = 0; i < c->count; i++)
        widest = LK_MAX(widest, strlen(c->names[i]));
    size_t columns = LK_MAX(78 / (widest + 2), (size_t)1);
    putchar('\n');
    for (size_t i = 0; i < c->count; i++)
        printf("%-*s%s", (int)widest, c->names[i],
               (i + 1) % columns == 0 || i + 1 == c->count ? "\n" : "  ");
    fflush(stdout);
}

static bool
ends_word(char c)
{
    return strchr(" \t\n,()=<>+-*/;'", c) != NULL;
}

static unsigned char
complete(EditLine *line, int key)
{
    struct lki_edit *edit;
    const LineInfo *info = el_line(line);
    const char *begin = info->cursor;
    struct candidates c = {0};
    unsigned char did = CC_ERROR;
    char word[128];
    (void)key;
    el_get(line, EL_CLIENTDATA, &edit);
    while (begin > info->buffer && !ends_word(begin[-1]))
        begin--;
    size_t n = (size_t)(info->cursor - begin);
    if (n >= sizeof(word))
        return CC_ERROR;
    memcpy(word, begin, n);
    word[n] = 0;
    if (word[0] == '\\') {
        offer_fixed(&c, lki_shell_commands, CANDIDATES_MAX, word);
    } else {
        if (n > 0)
            offer_fixed(&c, keywords, LUMA_COUNTOF(keywords), word);
        offer_names(edit, &c, word);
    }
    size_t shared = c.count == 0 ? 0 : shared_bytes(&c);
    if (shared > n || c.count == 1) {
        char out[256];
        bool whole = c.count == 1 && strchr(".(", c.names[0][shared - 1]) == NULL;
        snprintf(out, sizeof(out), "%.*s%s", (int)shared, c.names[0], whole ? " " : "");
        el_deletestr(line, (int)n);
        did = el_insertstr(line, out) == 0 ? CC_REFRESH : CC_ERROR;
    } else if (c.count > 1) {
        list(&c);
        did = CC_REDISPLAY;
    }
    PQclear(c.result);
    return did;
}

/* --- history --- */

static char *
history_file(void)
{
    const char *chosen = getenv("LUMADB_HISTORY"), *home = getenv("HOME");
    char *path = NULL;
    if (chosen != NULL)
        return chosen[0] == 0 ? NULL : strdup(chosen);
    if (home == NULL || asprintf(&path, "%s/.lumadb_history", home) < 0)
        return NULL;
    return path;
}

void
lki_edit_remember(struct lki_edit *edit, const char *text)
{
    HistEvent event;
    text += strspn(text, " \t\r\n");
    if (*text == 0)
        return;
    history(edit->history, &event, H_ENTER, text);
    if (edit->file != NULL)
        history(edit->history, &event, H_SAVE, edit->file);
}

struct lki_edit *
lki_edit_create(struct lki_shell *shell)
{
    HistEvent event;
    struct lki_edit *edit = calloc(1, sizeof(*edit));
    if (edit == NULL)
        return NULL;
    edit->shell = shell;
    edit->line = el_init("lumadb", stdin, stdout, stderr);
    edit->history = history_init();
    if (edit->line == NULL || edit->history == NULL) {
        lki_edit_destroy(edit);
        return NULL;
    }
    edit->file = history_file();
    history(edit->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(edit->history, &event, H_SETUNIQUE, 1);
    if (edit->file != NULL)
        history(edit->history, &event, H_LOAD, edit->file);
    el_set(edit->line, EL_CLIENTDATA, edit);
    el_set(edit->line, EL_PROMPT, prompt);
    el_set(edit->line, EL_EDITOR, "emacs");
    el_set(edit->line, EL_HIST, history, edit->history);
    el_set(edit->line, EL_ADDFN, "complete", "names of commands, keywords and relations", complete);
    el_set(edit->line, EL_BIND, "^I", "complete", NULL);
    el_set(edit->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(edit->line, EL_SIGNAL, 0);
    el_source(edit->line, NULL); /* ~/.editrc */
    return edit;
}

void
lki_edit_destroy(struct lki_edit *edit)
{
    if (edit == NULL)
        return;
    if (edit->history != NULL)
        history_end(edit->history);
    if (edit->line != NULL)
        el_end(edit->line);
    free(edit->file);
    free(edit);
}

const char *
lki_edit_line(struct lki_edit *edit, const char *text)
{
    int n;
    edit->prompt = text;
    const char *line = el_gets(edit->line, &n);
    if (line == NULL && !isatty(STDIN_FILENO))
        return NULL;
    return line;
}
