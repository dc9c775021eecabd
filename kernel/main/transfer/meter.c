/* main/transfer/meter.c - rows, bytes, rate and time left in a line that is written over; a
 * terminal sees it, a file or a pipe does not. */
#include <unistd.h>

#include "io/io.h"
#include "main/transfer/transfer.h"

#define EVERY_NS 200000000ULL

static uint64_t
now_ns(void)
{
    return lk_io_now_ns(lk_io_posix());
}

void
lki_meter_begin(struct lki_meter *meter, const char *what, bool quiet)
{
    memset(meter, 0, sizeof(*meter));
    meter->what = what;
    meter->shown = !quiet && isatty(STDERR_FILENO);
    meter->begun_ns = meter->said_ns = now_ns();
}

double
lki_meter_seconds(const struct lki_meter *meter)
{
    double s = (double)(now_ns() - meter->begun_ns) / 1e9;
    return s > 0.001 ? s : 0.001;
}

void
lki_meter_say(struct lki_meter *meter, uint64_t rows, uint64_t bytes, uint64_t done, uint64_t all)
{
    uint64_t now = meter->shown ? now_ns() : 0;
    if (!meter->shown || now - meter->said_ns < EVERY_NS)
        return;
    double s = lki_meter_seconds(meter);
    meter->said_ns = now;
    meter->said = true;
    fprintf(stderr, "\r%s: %llu rows, %.1f MiB, %.0f rows/s, %.1f MiB/s", meter->what,
            (unsigned long long)rows, (double)bytes / 1048576, (double)rows / s,
            (double)bytes / 1048576 / s);
    if (all > 0 && done > 0 && done <= all) {
        double left = s * (double)(all - done) / (double)done;
        fprintf(stderr, ", %.0f%%, %d:%02d left", 100.0 * (double)done / (double)all,
                (int)(left / 60), (int)left % 60);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
}

void
lki_meter_clear(struct lki_meter *meter)
{
    if (meter->said)
        fputs("\r\033[K", stderr);
    meter->said = false;
}
