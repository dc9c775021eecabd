/*
 * embed-segments - multi-tier storage in a program: embed-segments DIR [MODULE-DIR CONF-DIR]
 *
 * The first run ingests segment seg_001, flushes it to the warm tier, and closes the store. It then
 * opens the folder again, as every later run does, and reads what is there.
 */
#include <lumadb/embed.h>

#include <stdio.h>
#include <stdlib.h>

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

static bool
print_segment(void *arg, const struct luma_db_segment_info *info)
{
    (void)arg;
    printf("%s: %lld to %lld, %llu documents, %s\n", info->name, (long long)info->from,
           (long long)info->to, (unsigned long long)info->documents,
           info->tier == LUMA_DB_HOT ? "hot" : "warm");
    return true;
}

static bool
print_document(void *arg, int64_t time, const char *json, size_t json_bytes)
{
    (void)arg;
    printf("  %lld %.*s\n", (long long)time, (int)json_bytes, json);
    return true;
}

/* Segment "seg_001" with a document for each of some times of its range. */
static void
ingest(struct luma_db *db)
{
    struct luma_db_segment *segment = NULL;
    must(luma_db_segment_create("seg_001", 1000, 2000, &segment, &error), "segment");
    for (int64_t time = 2000; time >= 1000; time -= 10) {
        char json[96];
        int n = snprintf(json, sizeof(json), "{\"level\": \"info\", \"took\": %lld.50}",
                         (long long)time % 7);
        must(luma_db_segment_add(segment, time, json, (size_t)n, &error), "add");
    }
    luma_rc rc = luma_db_ingest(db, segment, &error);
    luma_db_segment_destroy(segment);
    if (rc == LUMA_E_EXISTS) {
        printf("seg_001 is there from an earlier run\n");
        return;
    }
    must(rc, "ingest");
    must(luma_db_segment_each(db, 0, 9999, &error, print_segment, NULL), "each");
    must(luma_db_flush_to_warm(db, "seg_001", &error), "flush");
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: embed-segments DIR [MODULE-DIR CONF-DIR]\n");
        return 2;
    }
    struct luma_db *db = open_store(argv, argc);
    ingest(db);
    must(luma_db_close(db, &error), "close");

    db = open_store(argv, argc);
    must(luma_db_segment_each(db, 0, 9999, &error, print_segment, NULL), "each");
    must(luma_db_segment_read(db, "seg_001", 1500, 1520, &error, print_document, NULL), "read");
    must(luma_db_close(db, &error), "close");
    return 0;
}
