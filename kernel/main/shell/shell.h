/* main/shell/shell.h - `lumadb sql`: what its parts share. One thread, one connection. */
#ifndef LK_MAIN_SHELL_SHELL_H
#define LK_MAIN_SHELL_SHELL_H

#include <libpq-fe.h>
#include <stdio.h>

#include "base/base.h"
#include "main/shell/split.h"

/* Exit statuses. */
enum { SHELL_OK = 0, SHELL_FAILED = 1, SHELL_USAGE = 2, SHELL_NO_CONNECTION = 3 };

enum lki_shell_format { SHELL_TABLE, SHELL_EXPANDED, SHELL_CSV, SHELL_JSON };

struct lki_edit;

struct lki_shell {
    PGconn *conn;
    FILE *out; /* stdout, or what \o says */
    enum lki_shell_format format;
    bool timing, header, quiet;
    bool keep_going;                 /* after a statement failed, outside of a terminal */
    bool interactive;                /* a person types */
    bool failed;                     /* some statement or command failed */
    bool quit;                       /* \q */
    char null_text[32];              /* how NULL is shown in tables */
    int depth;                       /* of \i */
    struct lki_edit *edit;           /* NULL unless interactive */
    char *last;                      /* the statement before, for \watch */
    const struct lki_source *source; /* that is being read; NULL: -c */
};

/* Where statements and the data of COPY come from. */
struct lki_source {
    FILE *file; /* NULL: the line editor */
    const char *name;
    char *line; /* the last one, with its newline */
    size_t room;
    uint64_t lines;
};

/* The next line with its newline, NULL at the end. Valid until the next call. */
const char *lki_source_line(struct lki_shell *shell, struct lki_source *source,
                            const char *prompt_mark);
void lki_source_fini(struct lki_source *source);
/* Reads statements and commands until the end, an error that stops it or \q; false: an error. */
bool lki_shell_read(struct lki_shell *shell, struct lki_source *source);
/* The same for a file by name; "-" is standard input. */
bool lki_shell_file(struct lki_shell *shell, const char *path);

/*
 * Runs SQL and shows what comes back; false: it failed, and the reason was said. Data of COPY FROM
 * STDIN comes from source; NULL: it is refused.
 */
bool lki_shell_run(struct lki_shell *shell, const char *sql, struct lki_source *source);
/* COPY with a file of this side; the statement says STDIN or STDOUT. */
bool lki_shell_copy_file(struct lki_shell *shell, const char *sql, FILE *file);
/* Says what went wrong, with the file and line if statements come from a file. */
void lki_shell_error(struct lki_shell *shell, const char *message);
/* Cancels on SIGINT what runs on the connection. */
void lki_shell_catch_signals(void);
void lki_shell_watch(PGconn *conn);
/* Was there a SIGINT since the last call? */
bool lki_shell_interrupted(void);
/* The same without forgetting it. */
bool lki_shell_stopped(void);
/* What an option, a variable of the environment or the program says, in this order. */
const char *lki_shell_chosen(const char *option, const char *variable, const char *otherwise);

/* A line that starts with a backslash; false: it failed, and the reason was said. */
bool lki_shell_command(struct lki_shell *shell, const char *line);
extern const char *const lki_shell_commands[]; /* "\\d", ...; NULL at the end */
/* \d and its family: name without the backslash, pattern may be empty. */
bool lki_shell_describe(struct lki_shell *shell, const char *name, const char *pattern);
bool lki_shell_connect(struct lki_shell *shell, const char *const *keys, const char *const *values,
                       bool may_ask);

/* --- rows (print.c) --- */

/* Shows rows as they come: widths of a table are those of the first rows. */
struct lki_printer {
    struct lki_shell *shell;
    PGresult **held; /* rows whose widths are being measured */
    size_t held_count;
    uint64_t rows;
    int columns;
    int *widths;
    char **names;
    Oid *types;
    const char **left; /* of each cell of the row that is being shown */
    bool begun, measured;
};
/* Takes over the result, which has one row or more; false: out of memory. */
bool lki_printer_take(struct lki_printer *printer, PGresult *result);
/* The end of a result: what is held is shown, then the footer. Clears result. */
bool lki_printer_end(struct lki_printer *printer, PGresult *result);
void lki_printer_fini(struct lki_printer *printer);
/* Columns a text takes on a terminal, control characters written out; newlines end it. */
int lki_text_width(const char *text, size_t bytes);

/* --- the line editor (edit.c) --- */

struct lki_edit *lki_edit_create(struct lki_shell *shell);
void lki_edit_destroy(struct lki_edit *edit);
const char *lki_edit_line(struct lki_edit *edit, const char *prompt);
/* Remembers a whole statement as one entry. */
void lki_edit_remember(struct lki_edit *edit, const char *text);

#endif
