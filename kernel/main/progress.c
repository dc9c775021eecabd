/*
 * main/progress.c - how far a long command is, on standard error: a line that is written over on a
 * terminal, a line every few seconds elsewhere.
 */
#include <stdio.h>
#include <unistd.h>

#include "main/main_priv.h"

#define TERMINAL_NS 200000000ULL
#define LINES_NS    5000000000ULL

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

void
lki_progress_begin(struct lki_progress *p, const char *what)
{
    memset(p, 0, sizeof(*p));
    p->what = what;
    p->terminal = isatty(STDERR_FILENO);
    p->begun_ns = p->said_ns = now_ns();
}

/* Is it time to say something again? */
static bool
is_due(struct lki_progress *p)
{
    uint64_t now = now_ns();
    if (now - p->said_ns < (p->terminal ? TERMINAL_NS : LINES_NS))
        return false;
    p->said_ns = now;
    p->said = true;
    return true;
}

static double
seconds(const struct lki_progress *p)
{
    double s = (double)(now_ns() - p->begun_ns) / 1e9;
    return s > 0.001 ? s : 0.001;
}

static void
line_end(const struct lki_progress *p)
{
    fputs(p->terminal ? "\033[K\r" : "\n", stderr);
    fflush(stderr);
}

void
lki_progress_bytes(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
    struct lki_progress *p = arg;
    if (!is_due(p))
        return;
    double mib = (double)done_bytes / (1 << 20);
    fprintf(stderr, "%s: %.1f of %.1f MiB (%.0f%%), %.1f MiB/s", p->what, mib,
            (double)all_bytes / (1 << 20),
            all_bytes == 0 ? 100.0 : 100.0 * (double)done_bytes / (double)all_bytes,
            mib / seconds(p));
    line_end(p);
}

void
lki_progress_rows(struct lki_progress *p, uint64_t rows)
{
    if (!is_due(p))
        return;
    fprintf(stderr, "%s: %llu rows, %.0f rows/s", p->what, (unsigned long long)rows,
            (double)rows / seconds(p));
    line_end(p);
}

void
lki_progress_end(struct lki_progress *p)
{
    if (p->terminal && p->said)
        fputs("\033[K", stderr);
}
