/*
 * main/shell/query.c - one statement: sent, watched, cancelled on SIGINT, its rows shown as they
 * come, COPY served from the source of the statement or from a file.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "io/io.h"
#include "main/shell/shell.h"

#define PROGRESS_AFTER_NS 1000000000ULL
#define PROGRESS_EVERY_NS 200000000ULL

static PGcancel *volatile cancel_handle;
static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
    char why[256];
    PGcancel *cancel = cancel_handle;
    int saved = errno;
    (void)number;
    interrupted = 1;
    if (cancel != NULL)
        (void)PQcancel(cancel, why, sizeof(why)); /* libpq: safe in a signal handler */
    errno = saved;
}

void
lki_shell_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void
lki_shell_watch(PGconn *conn)
{
    PGcancel *old = cancel_handle;
    cancel_handle = conn == NULL ? NULL : PQgetCancel(conn);
    PQfreeCancel(old);
}

bool
lki_shell_interrupted(void)
{
    bool was = interrupted != 0;
    interrupted = 0;
    return was;
}

bool
lki_shell_stopped(void)
{
    return interrupted != 0;
}

/* --- how long it takes --- */

struct watch {
    uint64_t begun_ns, said_ns;
    bool said;
};

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

/* A line on a terminal that is not showing rows at the same time. */
static void
say_progress(struct lki_shell *shell, struct watch *watch, uint64_t rows, uint64_t bytes)
{
    uint64_t now = now_ns();
    if (now - watch->begun_ns < PROGRESS_AFTER_NS || now - watch->said_ns < PROGRESS_EVERY_NS ||
        !isatty(STDERR_FILENO) || (rows > 0 && isatty(fileno(shell->out))))
        return;
    double seconds = (double)(now - watch->begun_ns) / 1e9;
    watch->said_ns = now;
    watch->said = true;
    fprintf(stderr, "\r%.1f s", seconds);
    if (rows > 0)
        fprintf(stderr, ", %llu rows, %.0f rows/s", (unsigned long long)rows,
                (double)rows / seconds);
    if (bytes > 0)
        fprintf(stderr, ", %.1f MiB, %.1f MiB/s", (double)bytes / 1048576,
                (double)bytes / 1048576 / seconds);
    fputs("  (Ctrl-C cancels)\033[K", stderr);
    fflush(stderr);
}

static void
end_progress(struct watch *watch)
{
    if (watch->said)
        fputs("\r\033[K", stderr);
    watch->said = false;
}

/* Waits until a result can be taken without blocking; false: the connection is gone. */
static bool
wait_result(struct lki_shell *shell, struct watch *watch, uint64_t rows)
{
    while (PQisBusy(shell->conn)) {
        struct pollfd fd = {.fd = PQsocket(shell->conn), .events = POLLIN};
        int n = poll(&fd, 1, 200);
        if (n == 0 || (n < 0 && errno == EINTR))
            say_progress(shell, watch, rows, 0);
        else if (n < 0 || PQconsumeInput(shell->conn) == 0)
            return false;
    }
    return true;
}

static void
say_time(struct lki_shell *shell, const struct watch *watch)
{
    double ms = (double)(now_ns() - watch->begun_ns) / 1e6;
    if (!shell->timing)
        return;
    if (ms < 1000)
        fprintf(stderr, "Time: %.3f ms\n", ms);
    else
        fprintf(stderr, "Time: %.3f ms (%02d:%06.3f)\n", ms, (int)(ms / 60000),
                ms / 1000 - 60.0 * (int)(ms / 60000));
}

/* --- COPY --- */

/* Sends lines of the source up to the one that says \. */
static bool
copy_lines(struct lki_shell *shell, struct lki_source *source, struct watch *watch)
{
    uint64_t bytes = 0;
    const char *line;
    if (shell->interactive && source->file == NULL)
        fputs("Rows of data; a line with \\. alone ends them.\n", stderr);
    while ((line = lki_source_line(shell, source, ">> ")) != NULL) {
        size_t n = strlen(line);
        if (strcmp(line, "\\.\n") == 0 || strcmp(line, "\\.") == 0 || strcmp(line, "\\.\r\n") == 0)
            break;
        if (PQputCopyData(shell->conn, line, (int)n) < 0)
            return false;
        bytes += n;
        say_progress(shell, watch, 0, bytes);
        if (lki_shell_interrupted())
            return PQputCopyEnd(shell->conn, "cancelled by the user") >= 0;
    }
    return PQputCopyEnd(shell->conn, NULL) >= 0;
}

static bool
copy_bytes(struct lki_shell *shell, FILE *file, struct watch *watch)
{
    static char room[1 << 16];
    uint64_t bytes = 0;
    size_t n;
    while ((n = fread(room, 1, sizeof(room), file)) > 0) {
        if (PQputCopyData(shell->conn, room, (int)n) < 0)
            return false;
        bytes += n;
        say_progress(shell, watch, 0, bytes);
        if (lki_shell_interrupted())
            return PQputCopyEnd(shell->conn, "cancelled by the user") >= 0;
    }
    return PQputCopyEnd(shell->conn, ferror(file) ? "the file could not be read" : NULL) >= 0;
}

static bool
copy_out(struct lki_shell *shell, FILE *file, struct watch *watch)
{
    uint64_t bytes = 0;
    char *data;
    int n;
    bool ok = true;
    while ((n = PQgetCopyData(shell->conn, &data, 0)) > 0) {
        ok = ok && fwrite(data, 1, (size_t)n, file) == (size_t)n;
        PQfreemem(data);
        bytes += (uint64_t)n;
        if (file != stdout)
            say_progress(shell, watch, 0, bytes);
    }
    if (ok && fflush(file) == 0)
        return n != -2;
    end_progress(watch);
    fprintf(stderr, "lumadb: cannot write what COPY gave: %s\n", strerror(errno));
    return false;
}

/* --- results --- */

struct run {
    struct lki_shell *shell;
    struct lki_source *source;
    FILE *file; /* of \copy; NULL: source or the output */
    struct watch watch;
    struct lki_printer printer;
    bool ok;
};

static void
serve_copy_in(struct run *run)
{
    bool sent = run->file != NULL ? copy_bytes(run->shell, run->file, &run->watch)
                : run->source != NULL
                    ? copy_lines(run->shell, run->source, &run->watch)
                    : PQputCopyEnd(run->shell->conn, "no data can follow this statement here") >= 0;
    end_progress(&run->watch);
    if (!sent) {
        lki_shell_error(run->shell, PQerrorMessage(run->shell->conn));
        run->ok = false;
    }
}

static void
say_status(struct run *run, PGresult *result)
{
    const char *status = PQcmdStatus(result);
    if (!run->shell->quiet && status[0] != 0)
        fprintf(run->shell->format == SHELL_TABLE || run->shell->format == SHELL_EXPANDED
                    ? run->shell->out
                    : stderr,
                "%s\n", status);
}

/* Takes over the result. */
static void
take(struct run *run, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        end_progress(&run->watch);
        run->ok = lki_printer_take(&run->printer, result) && run->ok;
        return;
    case PGRES_TUPLES_OK:
        end_progress(&run->watch);
        run->ok = lki_printer_end(&run->printer, result) && run->ok;
        return;
    case PGRES_COMMAND_OK:
        end_progress(&run->watch);
        say_status(run, result);
        break;
    case PGRES_COPY_IN:
        serve_copy_in(run);
        break;
    case PGRES_COPY_OUT:
        run->ok =
            copy_out(run->shell, run->file == NULL ? run->shell->out : run->file, &run->watch) &&
            run->ok;
        end_progress(&run->watch);
        break;
    case PGRES_EMPTY_QUERY:
        break;
    default:
        end_progress(&run->watch);
        lki_printer_fini(&run->printer);
        lki_shell_error(run->shell, PQresultErrorMessage(result));
        run->ok = false;
        break;
    }
    PQclear(result);
}

static bool
run_statement(struct run *run, const char *sql)
{
    struct lki_shell *shell = run->shell;
    PGresult *result;
    (void)lki_shell_interrupted();
    run->watch.begun_ns = now_ns();
    run->printer.shell = shell;
    run->ok = true;
    if (PQsendQuery(shell->conn, sql) == 0) {
        lki_shell_error(shell, PQerrorMessage(shell->conn));
        return false;
    }
    PQsetSingleRowMode(shell->conn);
    for (;;) {
        if (!wait_result(shell, &run->watch, run->printer.rows + run->printer.held_count)) {
            lki_shell_error(shell, PQerrorMessage(shell->conn));
            run->ok = false;
            break;
        }
        if ((result = PQgetResult(shell->conn)) == NULL)
            break;
        take(run, result);
    }
    end_progress(&run->watch);
    lki_printer_fini(&run->printer);
    fflush(shell->out);
    say_time(shell, &run->watch);
    (void)lki_shell_interrupted(); /* it was meant for this statement */
    return run->ok;
}

bool
lki_shell_run(struct lki_shell *shell, const char *sql, struct lki_source *source)
{
    struct run run = {.shell = shell, .source = source};
    return run_statement(&run, sql);
}

bool
lki_shell_copy_file(struct lki_shell *shell, const char *sql, FILE *file)
{
    struct run run = {.shell = shell, .file = file};
    return run_statement(&run, sql);
}
