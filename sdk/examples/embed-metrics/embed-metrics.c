/*
 * embed-metrics - samples of metrics in a program: embed-metrics DIR [MODULE-DIR CONF-DIR]
 *
 * Inserts samples of http_requests, closes the store, opens it again and reads a range of the
 * series with env="prod".
 */
#include <lumadb/embed.h>

#include <stdio.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define BEGIN     INT64_C(1702540800) /* seconds since 1970: 2023-12-14 08:00 UTC */
#define SAMPLES   3600

static struct luma_db_error error;

static void
must(luma_rc rc, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %s (SQLSTATE %s)\n", what, error.message, error.sqlstate);
    exit(1);
}

static struct luma_db *
open_store(char **argv, int argc)
{
    struct luma_db_opts opts = {.size_bytes = sizeof(opts)};
    struct luma_db *db = NULL;
    if (argc > 3) { /* otherwise where LumaDB was installed */
        opts.module_dir = argv[2];
        opts.conf_dir = argv[3];
    }
    must(luma_db_open(argv[1], &opts, &db, &error), "open");
    return db;
}

/* One sample, and an hour of them, one a second, in two series. */
static void
insert(struct luma_db *db)
{
    static const struct luma_db_label prod[] = {{"env", "prod"}};
    static const struct luma_db_label test[] = {{"region", "eu"}, {"env", "test"}};
    static struct luma_db_sample samples[2 * SAMPLES];
    const struct luma_db_sample one = {"http_requests", prod, 1, BEGIN * SECOND_US, 42.0};
    must(luma_db_insert_samples(db, &one, 1, &error), "one sample");
    for (int i = 0; i < SAMPLES; i++) {
        int64_t time_us = (BEGIN + 1 + i) * SECOND_US;
        samples[2 * i] = (struct luma_db_sample){"http_requests", prod, 1, time_us, 43.0 + i};
        samples[2 * i + 1] = (struct luma_db_sample){"http_requests", test, 2, time_us, -1.0 * i};
    }
    must(luma_db_insert_samples(db, samples, 2 * SAMPLES, &error), "many samples");
}

struct sum {
    size_t points;
    double first, last, sum;
};

static bool
add_points(void *arg, const struct luma_db_series *series)
{
    struct sum *sum = arg;
    for (size_t i = 0; i < series->points_count; i++) {
        if (sum->points++ == 0)
            sum->first = series->points[i].value;
        sum->last = series->points[i].value;
        sum->sum += sum->last;
    }
    return true;
}

int
main(int argc, char **argv)
{
    static const struct luma_db_label wanted[] = {{"env", "prod"}};
    struct sum sum = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: embed-metrics DIR [MODULE-DIR CONF-DIR]\n");
        return 2;
    }
    struct luma_db *db = open_store(argv, argc);
    insert(db);
    must(luma_db_close(db, &error), "close");

    db = open_store(argv, argc);
    must(luma_db_read_samples(db, "http_requests", wanted, 1, BEGIN * SECOND_US,
                              (BEGIN + 600) * SECOND_US, &error, add_points, &sum),
         "read");
    printf("http_requests{env=\"prod\"}: %zu points, from %g to %g, sum %g\n", sum.points,
           sum.first, sum.last, sum.sum);
    must(luma_db_close(db, &error), "close");
    return 0;
}
