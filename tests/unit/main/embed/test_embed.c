/* tests/unit/main/embed/test_embed.c - the store inside a program, through liblumadb alone. */
#include <lumadb/embed.h>

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <roaring/roaring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../lib/suite.h"

static char dir[64];
static struct luma_db *db;
static struct luma_db_error error;

#define OK(call)                                                                       \
    do {                                                                               \
        luma_rc rc_ = (call);                                                          \
        ck_assert_msg(rc_ == LUMA_OK, "%s: %d %s %s", #call, (int)rc_, error.sqlstate, \
                      error.message);                                                  \
    } while (0)
#define FAILS(call, expected)                         \
    do {                                              \
        memset(&error, 0, sizeof(error));             \
        ck_assert_int_eq((call), (expected));         \
        ck_assert_int_eq(error.code, (expected));     \
        ck_assert_uint_eq(strlen(error.sqlstate), 5); \
        ck_assert_uint_gt(strlen(error.message), 0);  \
    } while (0)

static void
open_store(void)
{
    const struct luma_db_opts opts = {.size_bytes = sizeof(opts),
                                      .memory_bytes = (uint64_t)256 << 20,
                                      .module_dir = "modules.d",
                                      .conf_dir = "conf.d"};
    OK(luma_db_open(dir, &opts, &db, &error));
}

static void
reopen(void)
{
    OK(luma_db_close(db, &error));
    open_store();
}

static void
setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/lumadb-embed.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_store();
}

static void
teardown(void)
{
    char command[128];
    OK(luma_db_close(db, &error));
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* --- the store --- */

START_TEST(test_one_store_at_a_time)
{
    struct luma_db *other = NULL;
    struct luma_db_opts opts = {.size_bytes = sizeof(opts)};
    FAILS(luma_db_open("/tmp/lumadb-embed.other", &opts, &other, &error), LUMA_E_INVALID);
    ck_assert_ptr_null(other);
    ck_assert_str_eq(luma_db_version(), LUMA_VERSION);
    OK(luma_db_checkpoint(db, &error));
    ck_assert_int_eq(luma_db_close(NULL, NULL), LUMA_OK);
    reopen();
    reopen();
}
END_TEST

START_TEST(test_open_says_what_is_wrong)
{
    struct luma_db *other = NULL;
    struct luma_db_opts opts = {.size_bytes = 1};
    OK(luma_db_close(db, &error));
    FAILS(luma_db_open(dir, &opts, &other, &error), LUMA_E_INVALID);
    FAILS(luma_db_open("", NULL, &other, &error), LUMA_E_INVALID);
    opts = (struct luma_db_opts){.size_bytes = sizeof(opts), .conf_dir = "/nowhere"};
    FAILS(luma_db_open(dir, &opts, &other, &error), LUMA_E_CONFIG);
    opts = (struct luma_db_opts){
        .size_bytes = sizeof(opts), .module_dir = "modules.d", .conf_dir = "conf.d"};
    ck_assert_int_ne(luma_db_open("/proc/none", &opts, &other, &error), LUMA_OK);
    ck_assert_int_ne(luma_db_open("/proc/none", &opts, &other, NULL), LUMA_OK);
    ck_assert_ptr_null(other);
    open_store();
}
END_TEST

/* --- segments --- */

struct documents {
    size_t count;
    int64_t times[8];
    char json[8][64];
};

static bool
keep_document(void *arg, int64_t time, const char *json, size_t bytes)
{
    struct documents *d = arg;
    if (d->count < 8) {
        d->times[d->count] = time;
        snprintf(d->json[d->count], 64, "%.*s", (int)bytes, json);
    }
    d->count++;
    return true;
}

static bool
keep_one(void *arg, int64_t time, const char *json, size_t bytes)
{
    (void)keep_document(arg, time, json, bytes);
    return false;
}

struct infos {
    size_t count;
    char name[8][64];
    enum luma_db_tier tier[8];
    uint64_t documents[8], bytes[8];
};

static bool
keep_info(void *arg, const struct luma_db_segment_info *info)
{
    struct infos *i = arg;
    snprintf(i->name[i->count], 64, "%s", info->name);
    i->documents[i->count] = info->documents;
    i->bytes[i->count] = info->file_bytes;
    i->tier[i->count++] = info->tier;
    return i->count < 8;
}

static luma_rc
ingest(const char *name, int64_t from, int64_t to, int64_t step)
{
    struct luma_db_segment *segment = NULL;
    char json[64];
    OK(luma_db_segment_create(name, from, to, &segment, &error));
    for (int64_t time = to; time >= from; time -= step) {
        int n = snprintf(json, sizeof(json), "{\"z\": %lld.10, \"a\": [null]}", (long long)time);
        OK(luma_db_segment_add(segment, time, json, (size_t)n, &error));
    }
    luma_rc rc = luma_db_ingest(db, segment, &error);
    luma_db_segment_destroy(segment);
    return rc;
}

START_TEST(test_segments_go_from_hot_to_warm)
{
    struct infos infos = {0};
    OK(luma_db_segment_each(db, INT64_MIN, INT64_MAX, &error, keep_info, &infos));
    ck_assert_uint_eq(infos.count, 0);
    OK(ingest("seg_002", 3000, 4000, 100));
    OK(ingest("seg_001", 1000, 2000, 1));
    OK(luma_db_segment_each(db, INT64_MIN, INT64_MAX, &error, keep_info, &infos));
    ck_assert_uint_eq(infos.count, 2);
    ck_assert_str_eq(infos.name[0], "seg_001");
    ck_assert_uint_eq(infos.documents[0], 1001);
    ck_assert(infos.tier[0] == LUMA_DB_HOT && infos.tier[1] == LUMA_DB_HOT);
    OK(luma_db_flush_to_warm(db, "seg_001", &error));
    OK(luma_db_flush_to_warm(db, "seg_001", &error));
    for (int turn = 0; turn < 2; turn++) {
        memset(&infos, 0, sizeof(infos));
        OK(luma_db_segment_each(db, 1500, 2500, &error, keep_info, &infos));
        ck_assert_uint_eq(infos.count, 1);
        ck_assert(infos.tier[0] == LUMA_DB_WARM && infos.bytes[0] > 0);
        reopen();
    }
    FAILS(luma_db_flush_to_warm(db, "seg_003", &error), LUMA_E_UNDEFINED);
    FAILS(luma_db_flush_to_warm(db, "lumadb_segments", &error), LUMA_E_UNDEFINED);
}
END_TEST

START_TEST(test_segments_read_as_written)
{
    OK(ingest("seg_001", -5, 2000, 1));
    for (int turn = 0; turn < 3; turn++) {
        struct documents d = {0};
        OK(luma_db_segment_read(db, "seg_001", -2, 1, &error, keep_document, &d));
        ck_assert_uint_eq(d.count, 4);
        ck_assert_int_eq(d.times[0], -2);
        ck_assert_int_eq(d.times[3], 1);
        ck_assert_str_eq(d.json[0], "{\"z\": -2.10, \"a\": [null]}");
        memset(&d, 0, sizeof(d));
        OK(luma_db_segment_read(db, "seg_001", INT64_MIN, INT64_MAX, &error, keep_document, &d));
        ck_assert_uint_eq(d.count, 2006);
        memset(&d, 0, sizeof(d));
        OK(luma_db_segment_read(db, "seg_001", 7, INT64_MAX, &error, keep_one, &d));
        ck_assert(d.count == 1 && d.times[0] == 7);
        memset(&d, 0, sizeof(d));
        OK(luma_db_segment_read(db, "seg_001", 5, 4, &error, keep_document, &d));
        ck_assert_uint_eq(d.count, 0);
        if (turn == 0)
            OK(luma_db_flush_to_warm(db, "seg_001", &error));
        else
            reopen();
    }
}
END_TEST

START_TEST(test_segments_refuse)
{
    struct luma_db_segment *segment = NULL;
    struct documents d = {0};
    char name[80];
    memset(name, 'x', sizeof(name));
    name[64] = '\0';
    FAILS(luma_db_segment_create("", 0, 1, &segment, &error), LUMA_E_INVALID);
    FAILS(luma_db_segment_create(name, 0, 1, &segment, &error), LUMA_E_INVALID);
    FAILS(luma_db_segment_create("\xff", 0, 1, &segment, &error), LUMA_E_INVALID);
    FAILS(luma_db_segment_create("lumadb_segments", 0, 1, &segment, &error), LUMA_E_INVALID);
    FAILS(luma_db_segment_create("a", 2, 1, &segment, &error), LUMA_E_INVALID);
    ck_assert_ptr_null(segment);
    name[63] = '\0';
    OK(luma_db_segment_create(name, 0, 10, &segment, &error));
    FAILS(luma_db_segment_add(segment, 11, "1", 1, &error), LUMA_E_RANGE);
    FAILS(luma_db_segment_add(segment, -1, "1", 1, &error), LUMA_E_RANGE);
    FAILS(luma_db_segment_add(segment, 1, "{\"a\"", 4, &error), LUMA_E_DATA);
    FAILS(luma_db_segment_add(segment, 1, "", 0, &error), LUMA_E_DATA);
    FAILS(luma_db_segment_add(segment, 1, "\"\xff\"", 3, &error), LUMA_E_DATA);
    OK(luma_db_segment_add(segment, 10, "\"text\"", 6, &error));
    OK(luma_db_ingest(db, segment, &error));
    FAILS(luma_db_ingest(db, segment, &error), LUMA_E_EXISTS);
    luma_db_segment_destroy(segment);
    luma_db_segment_destroy(NULL);
    FAILS(luma_db_segment_read(db, "nothing", 0, 1, &error, keep_document, &d), LUMA_E_UNDEFINED);
    FAILS(luma_db_segment_drop(db, "nothing", &error), LUMA_E_UNDEFINED);
    OK(luma_db_segment_drop(db, name, &error));
    FAILS(luma_db_segment_read(db, name, 0, 1, &error, keep_document, &d), LUMA_E_UNDEFINED);
    OK(ingest(name, 0, 10, 1));
}
END_TEST

/* --- metrics --- */

struct series {
    size_t count, points;
    char first[128]; /* labels of the first series */
    double sum, last;
};

static bool
add_series(void *arg, const struct luma_db_series *s)
{
    struct series *out = arg;
    size_t n = 0;
    if (out->count++ == 0)
        for (uint32_t i = 0; i < s->labels_count; i++)
            n += (size_t)snprintf(out->first + n, sizeof(out->first) - n, "%s=%s;",
                                  s->labels[i].name, s->labels[i].value);
    for (size_t i = 0; i < s->points_count; i++) {
        ck_assert(i == 0 || s->points[i].time_us > s->points[i - 1].time_us);
        out->last = s->points[i].value;
        out->sum += out->last;
    }
    out->points += s->points_count;
    return true;
}

static const struct luma_db_label prod[] = {{"env", "prod"}, {"dc", "a\"\\\n{},=x"}};
static const struct luma_db_label turned[] = {{"dc", "a\"\\\n{},=x"}, {"env", "prod"}};

static void
sample(const struct luma_db_label *labels, uint32_t count, int64_t time_us, double value)
{
    const struct luma_db_sample s = {"http_requests", labels, count, time_us, value};
    OK(luma_db_insert_samples(db, &s, 1, &error));
}

static struct series
read_series(const char *metric, const struct luma_db_label *labels, uint32_t count, int64_t from,
            int64_t to)
{
    struct series out = {0};
    OK(luma_db_read_samples(db, metric, labels, count, from, to, &error, add_series, &out));
    return out;
}

START_TEST(test_samples_come_back)
{
    struct series s = read_series("http_requests", NULL, 0, INT64_MIN, INT64_MAX);
    ck_assert_uint_eq(s.count, 0);
    sample(prod, 2, 1000, 1);
    sample(turned, 2, 2000, 2); /* the same series */
    sample(turned, 2, 2000, 5); /* in the place of the one before */
    sample(prod, 1, 2000, 100);
    sample(NULL, 0, -3000, 1000);
    for (int turn = 0; turn < 3; turn++) {
        s = read_series("http_requests", turned, 2, 0, 2000);
        ck_assert(s.count == 1 && s.points == 2 && s.sum == 6);
        ck_assert_str_eq(s.first, "dc=a\"\\\n{},=x;env=prod;");
        s = read_series("http_requests", prod, 1, 0, 2000);
        ck_assert(s.count == 2 && s.points == 3 && s.sum == 106);
        s = read_series("http_requests", NULL, 0, INT64_MIN, INT64_MAX);
        ck_assert(s.count == 3 && s.points == 4 && s.sum == 1106);
        s = read_series("http_requests", NULL, 0, -3000, -3000);
        ck_assert(s.count == 1 && s.last == 1000);
        s = read_series("http_requests", NULL, 0, 2001, 2000);
        ck_assert_uint_eq(s.points, 0);
        s = read_series("nobody_wrote", NULL, 0, INT64_MIN, INT64_MAX);
        ck_assert_uint_eq(s.count, 0);
        if (turn == 0)
            OK(luma_db_checkpoint(db, &error));
        else
            reopen();
    }
    sample(turned, 2, 3000, 7); /* known after the reopen */
    s = read_series("http_requests", turned, 2, 0, 3000);
    ck_assert(s.count == 1 && s.points == 3 && s.sum == 13);
}
END_TEST

START_TEST(test_many_samples_at_once)
{
    enum { SERIES = 50, POINTS = 200 };
    static struct luma_db_sample samples[SERIES * POINTS + 1];
    static struct luma_db_label labels[SERIES];
    static char values[SERIES][16];
    for (int i = 0; i < SERIES; i++) {
        snprintf(values[i], sizeof(values[i]), "host%d", i);
        labels[i] = (struct luma_db_label){"host", values[i]};
    }
    for (int i = 0; i < SERIES * POINTS; i++)
        samples[i] = (struct luma_db_sample){"up", &labels[i % SERIES], 1, i / SERIES, 1.0};
    samples[SERIES * POINTS] = (struct luma_db_sample){"up", labels, 1, 0, 5.0};
    OK(luma_db_insert_samples(db, samples, SERIES * POINTS + 1, &error));
    OK(luma_db_insert_samples(db, samples, SERIES * POINTS + 1, &error));
    reopen();
    struct series s = read_series("up", NULL, 0, 0, POINTS);
    ck_assert_uint_eq(s.points, SERIES * POINTS);
    ck_assert(s.sum == SERIES * POINTS + 4); /* the later of two counts */
    s = read_series("up", &labels[7], 1, 10, 19);
    ck_assert(s.count == 1 && s.points == 10);
}
END_TEST

START_TEST(test_values_of_samples)
{
    static const double values[] = {NAN, INFINITY, -INFINITY, -0.0, 5e-324};
    for (size_t i = 0; i < 5; i++)
        sample(prod, 1, (int64_t)i, values[i]);
    reopen();
    struct series s;
    for (size_t i = 0; i < 5; i++) {
        s = read_series("http_requests", NULL, 0, (int64_t)i, (int64_t)i);
        ck_assert(s.points == 1 && (isnan(values[i]) ? isnan(s.last) : s.last == values[i]));
    }
    ck_assert(signbit(read_series("http_requests", NULL, 0, 3, 3).last));
}
END_TEST

START_TEST(test_samples_refuse)
{
    static const struct luma_db_label bad[][2] = {
        {{"1a", "x"}, {"b", "x"}}, {{"", "x"}, {"b", "x"}},   {{"a-b", "x"}, {"b", "x"}},
        {{"a", "x"}, {"a", "y"}},  {{NULL, "x"}, {"b", "x"}}, {{"a:b", "x"}, {"b", "x"}}};
    static const char *const names[] = {"", "1up", "a b", "ü"};
    static const struct luma_db_label none[] = {{"a", "\xff"}};
    struct luma_db_sample s = {"up", NULL, 2, 0, 1};
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        s.labels = bad[i];
        FAILS(luma_db_insert_samples(db, &s, 1, &error), LUMA_E_INVALID);
    }
    s.labels = none;
    s.labels_count = 1;
    FAILS(luma_db_insert_samples(db, &s, 1, &error), LUMA_E_DATA);
    s.labels_count = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++) {
        s.metric = names[i];
        FAILS(luma_db_insert_samples(db, &s, 1, &error), LUMA_E_INVALID);
        FAILS(luma_db_read_samples(db, names[i], NULL, 0, 0, 1, &error, add_series, NULL),
              LUMA_E_INVALID);
    }
    s.metric = "up";
    s.time_us = INT64_MAX;
    FAILS(luma_db_insert_samples(db, &s, 1, &error), LUMA_E_INVALID);
    s.time_us = INT64_MIN;
    FAILS(luma_db_insert_samples(db, &s, 1, &error), LUMA_E_INVALID);
    /* All or none. */
    struct luma_db_sample two[] = {{"up", NULL, 0, 1, 1}, {"1up", NULL, 0, 1, 1}};
    FAILS(luma_db_insert_samples(db, two, 2, &error), LUMA_E_INVALID);
    ck_assert_uint_eq(read_series("up", NULL, 0, INT64_MIN, INT64_MAX).points, 0);
    OK(luma_db_insert_samples(db, two, 0, &error));
}
END_TEST

/* --- inverted indexes --- */

static void
add(uint32_t id, const char *text)
{
    const struct luma_db_document d = {id, text, strlen(text)};
    OK(luma_db_add_documents(db, "pages", &d, 1, &error));
}

/* "1 2 " */
static const char *
found(const char *a, const char *b)
{
    static char text[256];
    const char *terms[] = {a, b};
    roaring_bitmap_t *bitmap = NULL;
    uint32_t ids[16];
    size_t n = 0;
    OK(luma_db_search_and(db, "pages", terms, b == NULL ? 1 : 2, &bitmap, &error));
    uint64_t count = roaring_bitmap_get_cardinality(bitmap);
    ck_assert_uint_le(count, 16);
    roaring_bitmap_to_uint32_array(bitmap, ids);
    roaring_bitmap_free(bitmap);
    text[0] = '\0';
    for (uint64_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%u ", (unsigned)ids[i]);
    return text;
}

START_TEST(test_documents_are_found)
{
    add(1, "hello world rust");
    add(2, "hello golang");
    add(UINT32_MAX, "HELLO, Stra\xc3\x9f\x65! e\xcc\x81t\xc3\xa9 42x");
    for (int turn = 0; turn < 3; turn++) {
        ck_assert_str_eq(found("hello", "rust"), "1 ");
        ck_assert_str_eq(found("hello", NULL), "1 2 4294967295 ");
        ck_assert_str_eq(found("Hello", "GOLANG"), "2 ");
        ck_assert_str_eq(found("strasse", NULL), "4294967295 ");            /* full case folding */
        ck_assert_str_eq(found("\xc3\x89te\xcc\x81", NULL), "4294967295 "); /* NFC */
        ck_assert_str_eq(found("42X", NULL), "4294967295 ");
        ck_assert_str_eq(found("hello-world", NULL), "1 "); /* both words */
        ck_assert_str_eq(found("hell", NULL), "");
        ck_assert_str_eq(found("hello", "!"), "");
        ck_assert_str_eq(found("world", "golang"), "");
        if (turn == 0)
            OK(luma_db_checkpoint(db, &error));
        else
            reopen();
    }
    roaring_bitmap_t *bitmap = NULL;
    OK(luma_db_search_and(db, "pages", NULL, 0, &bitmap, &error));
    ck_assert(roaring_bitmap_is_empty(bitmap));
    roaring_bitmap_free(bitmap);
}
END_TEST

START_TEST(test_documents_are_replaced_and_removed)
{
    static const uint32_t ids[] = {1, 99};
    add(1, "old words stay");
    add(2, "old");
    add(1, "new words come");
    ck_assert_str_eq(found("old", NULL), "2 ");
    ck_assert_str_eq(found("words", NULL), "1 ");
    ck_assert_str_eq(found("new", "come"), "1 ");
    const struct luma_db_document twice[] = {{3, "one", 3}, {3, "two", 3}};
    OK(luma_db_add_documents(db, "pages", twice, 2, &error));
    ck_assert_str_eq(found("one", NULL), "");
    ck_assert_str_eq(found("two", NULL), "3 ");
    OK(luma_db_remove_documents(db, "pages", ids, 2, &error));
    ck_assert_str_eq(found("words", NULL), "");
    reopen();
    ck_assert_str_eq(found("words", NULL), "");
    ck_assert_str_eq(found("two", NULL), "3 ");
    add(1, "words again");
    ck_assert_str_eq(found("words", NULL), "1 ");
}
END_TEST

START_TEST(test_indexes_refuse)
{
    static const char *const terms[] = {"a"};
    struct luma_db_document d = {1, "a", 1};
    roaring_bitmap_t *bitmap = NULL;
    uint32_t id = 1;
    char name[60];
    memset(name, 'x', sizeof(name));
    name[49] = '\0';
    FAILS(luma_db_search_and(db, "none", terms, 1, &bitmap, &error), LUMA_E_UNDEFINED);
    FAILS(luma_db_remove_documents(db, "none", &id, 1, &error), LUMA_E_UNDEFINED);
    FAILS(luma_db_add_documents(db, "", &d, 1, &error), LUMA_E_INVALID);
    FAILS(luma_db_add_documents(db, name, &d, 1, &error), LUMA_E_INVALID);
    d.text = "\xc3";
    FAILS(luma_db_add_documents(db, "pages", &d, 1, &error), LUMA_E_DATA);
    d.text = NULL;
    d.text_bytes = (size_t)17 << 20;
    FAILS(luma_db_add_documents(db, "pages", &d, 1, &error), LUMA_E_LIMIT);
    d = (struct luma_db_document){1, "a b", 3};
    const struct luma_db_document two[] = {d, {2, "\xff", 1}};
    FAILS(luma_db_add_documents(db, "pages", two, 2, &error), LUMA_E_DATA);
    ck_assert_str_eq(found("a", NULL), "");
    name[48] = '\0';
    OK(luma_db_add_documents(db, name, &d, 1, &error));
    OK(luma_db_search_and(db, name, terms, 1, &bitmap, &error));
    ck_assert(roaring_bitmap_contains(bitmap, 1));
    roaring_bitmap_free(bitmap);
}
END_TEST

START_TEST(test_long_texts_and_words)
{
    enum { WORDS = 5000, ROOM = WORDS * 12 + 1000 };
    char *text = malloc(ROOM);
    size_t n = 0;
    for (int i = 0; i < WORDS; i++)
        n += (size_t)snprintf(text + n, ROOM - n, "word%d ", i);
    memset(text + n, 'y', 600);
    const struct luma_db_document d = {7, text, n + 600};
    OK(luma_db_add_documents(db, "pages", &d, 1, &error));
    ck_assert_str_eq(found("word0", "word4999"), "7 ");
    char *word = calloc(1, 301);
    memset(word, 'y', 300);
    ck_assert_str_eq(found(word, NULL), "7 ");
    add(7, "short");
    ck_assert_str_eq(found("word77", NULL), "");
    free(word);
    free(text);
}
END_TEST

/* --- threads and crashes --- */

static void *
work(void *arg)
{
    int me = *(int *)arg;
    char text[64];
    for (int i = 0; i < 40; i++) {
        struct luma_db_error e;
        const struct luma_db_sample s[] = {{"shared", NULL, 0, i, me},
                                           {"own", prod, 1, me * 1000 + i, 1}};
        int n = snprintf(text, sizeof(text), "all thread%d step%d", me, i);
        const struct luma_db_document d = {(uint32_t)(me * 1000 + i % 10), text, (size_t)n};
        luma_rc rc = luma_db_insert_samples(db, s, 2, &e);
        if (rc == LUMA_OK)
            rc = luma_db_add_documents(db, "pages", &d, 1, &e);
        ck_assert_msg(rc == LUMA_OK, "%s", e.message);
    }
    return NULL;
}

START_TEST(test_threads)
{
    pthread_t threads[4];
    int numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, work, &numbers[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(read_series("shared", NULL, 0, 0, 100).points, 40);
    ck_assert_uint_eq(read_series("own", NULL, 0, 0, 10000).points, 160);
    ck_assert_str_eq(found("thread2", "step39"), "2009 ");
    ck_assert_str_eq(found("thread2", "step29"), "");
}
END_TEST

/* A child writes, says so, and dies without closing: all of it is there. */
START_TEST(test_a_crash_loses_nothing)
{
    OK(luma_db_close(db, &error));
    db = NULL;
    for (int turn = 0; turn < 3; turn++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            char name[16];
            open_store();
            snprintf(name, sizeof(name), "seg%d", turn);
            OK(ingest(name, 0, 100, 1));
            sample(prod, 1, turn, turn);
            add((uint32_t)turn, "crash");
            if (turn == 1)
                OK(luma_db_flush_to_warm(db, name, &error));
            _exit(33);
        }
        int status = 0;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 33);
    }
    open_store();
    struct infos infos = {0};
    struct documents d = {0};
    OK(luma_db_segment_each(db, 0, 0, &error, keep_info, &infos));
    ck_assert_uint_eq(infos.count, 3);
    OK(luma_db_segment_read(db, "seg2", 0, 100, &error, keep_document, &d));
    ck_assert_uint_eq(d.count, 101);
    ck_assert_uint_eq(read_series("http_requests", NULL, 0, 0, 9).points, 3);
    ck_assert_str_eq(found("crash", NULL), "0 1 2 ");
}
END_TEST

int
main(void)
{
    TCase *tcase = tcase_create("embed");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_one_store_at_a_time);
    tcase_add_test(tcase, test_open_says_what_is_wrong);
    tcase_add_test(tcase, test_segments_go_from_hot_to_warm);
    tcase_add_test(tcase, test_segments_read_as_written);
    tcase_add_test(tcase, test_segments_refuse);
    tcase_add_test(tcase, test_samples_come_back);
    tcase_add_test(tcase, test_many_samples_at_once);
    tcase_add_test(tcase, test_values_of_samples);
    tcase_add_test(tcase, test_samples_refuse);
    tcase_add_test(tcase, test_documents_are_found);
    tcase_add_test(tcase, test_documents_are_replaced_and_removed);
    tcase_add_test(tcase, test_indexes_refuse);
    tcase_add_test(tcase, test_long_texts_and_words);
    tcase_add_test(tcase, test_threads);
    tcase_add_test(tcase, test_a_crash_loses_nothing);
    return test_run("main/embed", tcase);
}
