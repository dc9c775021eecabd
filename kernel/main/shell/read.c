/* main/shell/read.c - statements and commands from a terminal, a file or standard input. */
#include <errno.h>

#include "main/shell/shell.h"

#define DEPTH_MAX 16

const char *
lki_source_line(struct lki_shell *shell, struct lki_source *source, const char *prompt)
{
    if (source->file == NULL)
        return lki_edit_line(shell->edit, prompt);
    if (getline(&source->line, &source->room, source->file) < 0)
        return NULL;
    source->lines++;
    return source->line;
}

void
lki_source_fini(struct lki_source *source)
{
    free(source->line);
    source->line = NULL;
}

/* A statement as it grows, line by line. */
struct text {
    char *bytes;
    size_t used, room;
};

static bool
append(struct text *text, const char *line)
{
    size_t n = strlen(line);
    if (text->used + n + 2 > text->room) {
        size_t room = LK_MAX((text->used + n + 2) * 2, (size_t)256);
        char *bytes = realloc(text->bytes, room);
        if (bytes == NULL)
            return false;
        text->bytes = bytes;
        text->room = room;
    }
    memcpy(text->bytes + text->used, line, n + 1);
    text->used += n;
    return true;
}

static void
make_prompt(const struct lki_shell *shell, const struct lki_split *split, char *out, size_t room)
{
    char mark = lki_split_mark(split), state = ' ';
    const char *name = PQdb(shell->conn);
    switch (PQtransactionStatus(shell->conn)) {
    case PQTRANS_INTRANS:
        state = '*';
        break;
    case PQTRANS_INERROR:
        state = '!';
        break;
    case PQTRANS_UNKNOWN:
        state = '?';
        break;
    default:
        break;
    }
    if (state == ' ')
        snprintf(out, room, "%s%c> ", name == NULL ? "" : name, mark);
    else
        snprintf(out, room, "%s%c%c> ", name == NULL ? "" : name, mark, state);
}

/* May the next statement be read? */
static bool
goes_on(const struct lki_shell *shell, bool ok)
{
    return !shell->quit && (ok || shell->interactive || shell->keep_going);
}

/* Runs every statement that is whole; what is left moves to the front. */
static bool
run_whole(struct lki_shell *shell, struct lki_source *source, struct text *text,
          struct lki_split *split)
{
    bool ok = true;
    size_t n;
    while (goes_on(shell, ok) && (n = lki_split_next(split, text->bytes, text->used)) != 0) {
        char kept = text->bytes[n];
        text->bytes[n] = 0;
        if (source->file == NULL)
            lki_edit_remember(shell->edit, text->bytes);
        free(shell->last);
        shell->last = strdup(text->bytes);
        ok = lki_shell_run(shell, text->bytes, source) && ok;
        text->bytes[n] = kept;
        memmove(text->bytes, text->bytes + n, text->used - n + 1);
        text->used -= n;
        lki_split_init(split);
    }
    return ok;
}

static bool
is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\f;")] == 0;
}

/* A line typed or read; a command needs a fresh statement before it. */
static bool
take_line(struct lki_shell *shell, struct lki_source *source, const char *line, struct text *text,
          struct lki_split *split)
{
    if (split->blank && split->state == SPLIT_PLAIN && line[strspn(line, " \t")] == '\\') {
        if (source->file == NULL)
            lki_edit_remember(shell->edit, line);
        return lki_shell_command(shell, line);
    }
    if (!append(text, line)) {
        lki_shell_error(shell, "out of memory");
        shell->quit = true;
        return false;
    }
    bool ok = run_whole(shell, source, text, split);
    if (split->blank && split->state == SPLIT_PLAIN && is_blank(text->bytes)) {
        text->used = 0;
        lki_split_init(split);
    }
    return ok;
}

bool
lki_shell_read(struct lki_shell *shell, struct lki_source *source)
{
    struct text text = {0};
    struct lki_split split;
    bool ok = true, all = true;
    const struct lki_source *outer = shell->source;
    const char *line;
    char prompt[128];
    shell->source = source;
    lki_split_init(&split);
    while (goes_on(shell, ok)) {
        make_prompt(shell, &split, prompt, sizeof(prompt));
        line = lki_source_line(shell, source, prompt);
        if (lki_shell_interrupted() && shell->interactive) {
            text.used = 0;
            lki_split_init(&split);
            continue;
        }
        if (line == NULL)
            break;
        ok = take_line(shell, source, line, &text, &split);
        all = all && ok;
    }
    /* The last statement of a file may go without its semicolon. */
    if (text.used > 0 && goes_on(shell, ok) && source->file != NULL && !split.blank)
        all = lki_shell_run(shell, text.bytes, source) && all;
    shell->source = outer;
    free(text.bytes);
    return all;
}

bool
lki_shell_file(struct lki_shell *shell, const char *path)
{
    struct lki_source source = {.name = path};
    char why[512];
    if (shell->depth >= DEPTH_MAX) {
        lki_shell_error(shell, "\\i: files include each other too deeply");
        return false;
    }
    bool own = strcmp(path, "-") != 0;
    source.file = own ? fopen(path, "re") : stdin; /* os-door: a file of the person at the shell */
    if (source.file == NULL) {
        snprintf(why, sizeof(why), "%s: %s", path, strerror(errno));
        lki_shell_error(shell, why);
        return false;
    }
    bool was = shell->interactive;
    shell->interactive = false;
    shell->depth++;
    bool ok = lki_shell_read(shell, &source);
    shell->depth--;
    shell->interactive = was;
    lki_source_fini(&source);
    if (own)
        fclose(source.file);
    return ok;
}
