/*
 * tests/unit/storage/segment/test_fields.c - conditions on fields of documents: what storage judges
 * is exactly what they say of the whole documents, and it judges nothing that would be an error.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "data/shred.h"
#include "io/sim.h"
#include "modules.h"
#include "storage/cache/cache.h"
#include "storage/segment/segment.h"

#define ROWS   70000 /* more than a group */
#define ROUNDS 500

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static struct lk_formats *formats;
static struct luma_store_col column = {.id = 3, .type = {LUMA_TYPE_JSONB, 0, 0, -1}};
static const struct luma_store_coll def = {.id = 7, .cols_count = 1, .cols = &column};
static struct luma_str docs[ROWS];
static uint64_t valid[LUMA_BIT_WORDS(ROWS)];

static void
setup(void)
{
    static const char *const names[] = {"encoding-dictionary", "encoding-bitpack", "encoding-rle",
                                        "encoding-delta", "encoding-text"};
    for (size_t i = 0; test_services_count < LUMA_COUNTOF(names); i++)
        ck_assert(test_module_load(names[i]));
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 256 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
    ck_assert_int_eq(lk_formats_load(&c.ctx, &test_host_services, NULL, &formats), LUMA_OK);
}

static void
teardown(void)
{
    lk_formats_free(formats);
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

/* odd: per mille of documents that are unlike the others. */
static void
make_documents(uint32_t rows, uint64_t seed, uint32_t odd)
{
    static const char *const strange[] = {"17", "\"text\"", "null", "{}", "[\"t1\"]", "3.5"};
    static const char *const cities[] = {"Oslo", "Bergen", "a city with quite a long name", ""};
    struct lk_rand r;
    char text[512], tags[128];
    lk_rand_init(&r, seed);
    memset(valid, 0, sizeof(valid));
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t t = 0;
        for (uint64_t k = lk_rand_below(&r, 4); k > 0; k--)
            t += (uint32_t)snprintf(tags + t, sizeof(tags) - t, "%s\"t%u\"", t > 0 ? "," : "",
                                    (uint32_t)lk_rand_below(&r, 6));
        tags[t] = 0;
        snprintf(
            text, sizeof(text),
            "{\"id\":%u,\"n\":%d,\"price\":%u.%02u,\"city\":\"%s\",\"tags\":[%s],\"in\":{\"k\":%u,"
            "\"flag\":%s},\"items\":[{\"q\":%u},{\"q\":%u,\"s\":\"x%u\"}],\"mixed\":%s}",
            row * 20, (int)lk_rand_below(&r, 60) - 30, (uint32_t)lk_rand_below(&r, 50),
            (uint32_t)lk_rand_below(&r, 100), cities[lk_rand_below(&r, 4)], tags, row / 1000,
            lk_rand_percent(&r, 30) ? "true" : "false", (uint32_t)lk_rand_below(&r, 9),
            (uint32_t)lk_rand_below(&r, 9), (uint32_t)lk_rand_below(&r, 20),
            strange[lk_rand_below(&r, 6)]);
        if (lk_rand_below(&r, 1000) < odd) {
            const char *is = strange[lk_rand_below(&r, 6)];
            snprintf(
                text, sizeof(text),
                "{\"id\":%s,\"n\":%s,\"price\":7,\"city\":%s,\"tags\":%s,\"in\":%s,\"items\":%s}",
                is, is, is, is, is, is);
        }
        if (lk_rand_below(&r, 1000) < odd)
            continue;
        ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(text), &docs[row]),
                         LUMA_OK);
        luma_bit_set(valid, row);
    }
}

static struct lk_segment *
write_documents(uint32_t rows)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    struct lk_segment *segment;
    ck_assert_int_eq(lk_segment_write_begin(&c.ctx, objects, formats, &def, &writer), LUMA_OK);
    for (uint32_t first = 0; first < rows; first += LUMA_BATCH_ROWS) {
        uint32_t n = LK_MIN(rows - first, (uint32_t)LUMA_BATCH_ROWS);
        struct luma_vec vec = {.type = column.type,
                               .phys = LUMA_PHYS_STR,
                               .data = docs + first,
                               .valid = valid + first / 64};
        struct luma_batch batch = {.rows = n, .sel_rows = n, .cols_count = 1, .cols = &vec};
        ck_assert_int_eq(
            lk_segment_write_append(&c.ctx, writer, &batch, NULL, first, NULL, 1, NULL), LUMA_OK);
    }
    ck_assert_int_eq(lk_segment_write_end(&c.ctx, writer, &info), LUMA_OK);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, info.object_id, &segment), LUMA_OK);
    return segment;
}

#define STEP(text)                                    \
    {                                                 \
        false, 0,                                     \
        {                                             \
            (const uint8_t *)(text), sizeof(text) - 1 \
        }                                             \
    }
#define ITEM(i)     \
    {               \
        true, (i),  \
        {           \
            NULL, 0 \
        }           \
    }
static const struct luma_path_step steps[][3] = {
    {STEP("id")},
    {STEP("n")},
    {STEP("price")},
    {STEP("city")},
    {STEP("in"), STEP("flag")},
    {STEP("in"), STEP("k")},
    {STEP("items"), ITEM(1), STEP("q")},
    {STEP("tags"), ITEM(0)},
    {STEP("mixed")},
    {STEP("none")},
    {STEP("tags")},
};
static const uint32_t steps_count[] = {1, 1, 1, 1, 2, 2, 3, 2, 1, 1, 1};

/* A condition, and its values as they are written. */
struct condition {
    struct luma_path path;
    struct luma_field_pred pred;
    struct luma_value values[3];
    const char *texts[3];
};

static struct luma_value
value_of(struct luma_type as, const char *text)
{
    struct luma_value v = {.type = as, .phys = (uint8_t)luma_type_phys(as)};
    struct luma_str str;
    switch (as.id) {
    case LUMA_TYPE_INT2:
        v.i16 = (int16_t)atoi(text);
        break;
    case LUMA_TYPE_INT4:
        v.i32 = atoi(text);
        break;
    case LUMA_TYPE_INT8:
        v.i64 = atoll(text);
        break;
    case LUMA_TYPE_FLOAT8:
        v.f64 = strtod(text, NULL);
        break;
    case LUMA_TYPE_BOOL:
        v.b = strcmp(text, "true") == 0;
        break;
    case LUMA_TYPE_TEXT:
        v.str = luma_str_make(text, (uint32_t)strlen(text));
        break;
    default: /* a number or a document, as documents have them */
        ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(text), &str),
                         LUMA_OK);
        if (as.id == LUMA_TYPE_JSONB)
            v.str = str;
        else
            ck_assert(lk_data_doc_scalar(
                luma_slice(luma_arena_copy(arena, luma_str_data(&str), str.bytes), str.bytes), NULL,
                &v));
        break;
    }
    return v;
}

static const char *
pick_text(struct lk_rand *r, uint8_t as)
{
    static const char *const texts[] = {"Oslo", "true", "17",   "-3",   "7.50", "a",   "t1",
                                        "",     "0",    "12.3", "text", "-0",   "007", "Bergen"};
    static const char *const wholes[] = {"0", "-30", "29", "7", "17", "100", "69000", "-100", "5"};
    static const char *const numbers[] = {"0",   "7",   "7.5", "12.34", "12.340", "49.99",
                                          "-29", "3.5", "17",  "1000",  "0.001"};
    static const char *const documents[] = {"{\"city\":\"Oslo\"}",
                                            "{\"in\":{\"flag\":true},\"n\":5}",
                                            "{\"tags\":[\"t1\"]}",
                                            "{\"tags\":[\"t1\",\"t2\"],\"price\":7}",
                                            "{\"items\":[{\"q\":3}]}",
                                            "{\"items\":[{\"q\":3,\"s\":\"x7\"}],\"mixed\":17}",
                                            "{\"mixed\":null}",
                                            "{\"mixed\":[]}",
                                            "{\"city\":\"nowhere\"}",
                                            "{\"in\":{\"k\":3.0}}",
                                            "{\"id\":100000}",
                                            "{}",
                                            "[]",
                                            "\"t1\"",
                                            "[\"t1\"]",
                                            "17",
                                            "{\"price\":7.5}",
                                            "{\"price\":\"7.5\"}"};
    switch (as) {
    case LUMA_TYPE_TEXT:
        return texts[lk_rand_below(r, LUMA_COUNTOF(texts))];
    case LUMA_TYPE_BOOL:
        return lk_rand_percent(r, 50) ? "true" : "false";
    case LUMA_TYPE_JSONB:
        return documents[lk_rand_below(r, LUMA_COUNTOF(documents))];
    case LUMA_TYPE_NUMERIC:
    case LUMA_TYPE_FLOAT8:
        return numbers[lk_rand_below(r, LUMA_COUNTOF(numbers))];
    default:
        return wholes[lk_rand_below(r, as == LUMA_TYPE_INT2 ? 6 : LUMA_COUNTOF(wholes))];
    }
}

static void
make_condition(struct lk_rand *r, struct condition *out)
{
    static const uint8_t types[] = {LUMA_TYPE_TEXT, LUMA_TYPE_TEXT,   LUMA_TYPE_INT4,
                                    LUMA_TYPE_INT8, LUMA_TYPE_INT2,   LUMA_TYPE_FLOAT8,
                                    LUMA_TYPE_BOOL, LUMA_TYPE_NUMERIC};
    static const enum luma_pred_op ops[] = {
        LUMA_PRED_EQ, LUMA_PRED_EQ, LUMA_PRED_NE, LUMA_PRED_LT,      LUMA_PRED_LE,
        LUMA_PRED_GT, LUMA_PRED_GE, LUMA_PRED_IN, LUMA_PRED_IS_NULL, LUMA_PRED_NOT_NULL};
    uint32_t at = (uint32_t)lk_rand_below(r, LUMA_COUNTOF(steps));
    bool contains = lk_rand_percent(r, 30), whole = contains && lk_rand_percent(r, 80);
    memset(out, 0, sizeof(*out));
    out->path = (struct luma_path){.steps = steps[at],
                                   .steps_count = whole ? 0 : steps_count[at],
                                   .any_type = lk_rand_percent(r, 50),
                                   .type = luma_type(LUMA_TYPE_TEXT),
                                   .of = column.type};
    out->pred.op = contains ? LUMA_PRED_CONTAINS : ops[lk_rand_below(r, LUMA_COUNTOF(ops))];
    bool null = out->pred.op == LUMA_PRED_IS_NULL || out->pred.op == LUMA_PRED_NOT_NULL;
    if (contains || (null && lk_rand_percent(r, 30)))
        out->path.type = column.type;
    out->pred.as = contains ? column.type
                   : null   ? luma_type(LUMA_TYPE_TEXT)
                            : luma_type(types[lk_rand_below(r, LUMA_COUNTOF(types))]);
    out->pred.values_count = null ? 0 : out->pred.op == LUMA_PRED_IN ? 3 : 1;
    out->pred.values = out->values;
    for (uint32_t i = 0; i < out->pred.values_count; i++) {
        out->texts[i] = pick_text(r, out->pred.as.id);
        out->values[i] = value_of(out->pred.as, out->texts[i]);
    }
}

/* --- what a condition says of a document --- */

static int
compare(const struct condition *cond, uint32_t i, const char *text, bool *out_error)
{
    const struct luma_value *v = &cond->values[i];
    char *end;
    errno = 0;
    switch (cond->pred.as.id) {
    case LUMA_TYPE_TEXT:
        return strcmp(text, cond->texts[i]);
    case LUMA_TYPE_BOOL:
        *out_error = strcmp(text, "true") != 0 && strcmp(text, "false") != 0;
        return (int)(strcmp(text, "true") == 0) - (int)v->b;
    case LUMA_TYPE_FLOAT8: {
        double x = strtod(text, &end);
        *out_error = end == text || *end != 0;
        return (x > v->f64) - (x < v->f64);
    }
    case LUMA_TYPE_NUMERIC: {
        struct luma_str a, b;
        (void)strtod(text, &end);
        *out_error = end == text || *end != 0;
        if (*out_error)
            return 0;
        ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(text), &a), LUMA_OK);
        ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(cond->texts[i]), &b),
                         LUMA_OK);
        return lk_data_doc_compare(luma_str_slice(&a), luma_str_slice(&b));
    }
    default: {
        int64_t x = strtoll(text, &end, 10), y = atoll(cond->texts[i]);
        int64_t most = cond->pred.as.id == LUMA_TYPE_INT2   ? INT16_MAX
                       : cond->pred.as.id == LUMA_TYPE_INT4 ? INT32_MAX
                                                            : INT64_MAX;
        *out_error = end == text || *end != 0 || errno != 0 || x > most || x < -most - 1;
        return (x > y) - (x < y);
    }
    }
}

static bool
holds(const struct condition *cond, uint32_t row, bool *out_error)
{
    static const bool want[6][3] = {{false, true, false}, {true, false, true},
                                    {true, false, false}, {true, true, false},
                                    {false, false, true}, {false, true, true}};
    struct luma_slice part = luma_str_slice(&docs[row]);
    struct luma_str str;
    char text[128];
    bool null = !luma_bit_get(valid, row);

    *out_error = false;
    if (!null && cond->path.steps_count > 0)
        null = !lk_data_path_find(part, cond->path.steps, cond->path.steps_count, &part);
    if (cond->pred.op == LUMA_PRED_CONTAINS)
        return !null && lk_data_doc_contains(part, luma_str_slice(&cond->values[0].str));
    if (!null && cond->path.type.id == LUMA_TYPE_TEXT)
        ck_assert(lk_data_doc_as_text(part, arena, &str, &null));
    if (cond->pred.values_count == 0)
        return null == (cond->pred.op == LUMA_PRED_IS_NULL);
    if (null)
        return false;
    ck_assert_uint_lt(str.bytes, sizeof(text));
    memcpy(text, luma_str_data(&str), str.bytes);
    text[str.bytes] = 0;
    bool any = false;
    for (uint32_t i = 0; i < cond->pred.values_count && !any && !*out_error; i++) {
        int x = compare(cond, i, text, out_error);
        enum luma_pred_op op = cond->pred.op == LUMA_PRED_IN ? LUMA_PRED_EQ : cond->pred.op;
        any = want[op][x < 0 ? 0 : x == 0 ? 1 : 2];
    }
    return any;
}

static uint64_t judged_groups, dead_groups;

/* Rows that come are those that satisfy what was judged, and no judged group has an error. */
static void
check_group(struct lk_segment *segment, uint32_t g, struct lk_segment_cursor *cursor,
            const struct condition *conds, uint32_t count)
{
    uint32_t rows = lk_segment_group_rows(segment, g), from = lk_segment_group_first(segment, g);
    uint64_t *seen = calloc(LUMA_BIT_WORDS(rows), 8);
    bool more = true, error;
    ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, g), LUMA_OK);
    uint64_t judged = lk_segment_cursor_fields(cursor);
    bool dead = lk_segment_cursor_dead(cursor);
    judged_groups += judged != 0;
    dead_groups += dead;
    while (more) {
        struct luma_batch *batch;
        ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more),
                         LUMA_OK);
        for (uint32_t k = 0; more && k < batch->sel_rows; k++)
            luma_bit_set(seen, (size_t)batch->rowids[luma_batch_row(batch, k)] - from);
    }
    for (uint32_t row = 0; row < rows; row++) {
        bool all = true, none = false;
        for (uint32_t i = 0; i < count; i++) {
            bool yes = holds(&conds[i], from + row, &error);
            if ((judged >> i & 1) != 0 && error)
                ck_abort_msg("row %u: an error was passed over", from + row);
            all = all && (yes || (judged >> i & 1) == 0);
            none = none || (!yes && !error);
        }
        if (dead ? !none : luma_bit_get(seen, row) != all)
            ck_abort_msg("row %u: %d of op %d as %u \"%s\" on path %td%s, judged %llx", from + row,
                         luma_bit_get(seen, row), (int)conds[0].pred.op, conds[0].pred.as.id,
                         conds[0].texts[0] == NULL ? "" : conds[0].texts[0],
                         (conds[0].path.steps - steps[0]) / 3, dead ? ", dead" : "",
                         (unsigned long long)judged);
    }
    free(seen);
}

static void
check_conditions(struct lk_segment *segment, uint64_t seed, uint32_t rounds)
{
    struct lk_rand r;
    lk_rand_init(&r, seed);
    for (uint32_t round = 0; round < rounds; round++) {
        struct condition conds[2];
        struct luma_field_pred preds[2];
        struct luma_path paths[2];
        static const uint32_t cols[2] = {3, 3};
        uint32_t count = 1 + (uint32_t)lk_rand_below(&r, 2);
        static const bool lazy[2] = {true, true};
        for (uint32_t i = 0; i < count; i++) {
            make_condition(&r, &conds[i]);
            preds[i] = conds[i].pred;
            preds[i].col = i;
            paths[i] = conds[i].path;
        }
        const struct luma_scan_spec spec = {.cols = cols,
                                            .cols_count = count,
                                            .paths = paths,
                                            .fields = preds,
                                            .fields_count = count,
                                            .lazy = lazy,
                                            .rowids = true};
        struct lk_segment_cursor *cursor;
        ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
        for (uint32_t g = 0; g < lk_segment_groups(segment); g++)
            check_group(segment, g, cursor, conds, count);
        lk_segment_cursor_close(cursor);
    }
}

static void
check(uint32_t rows, uint64_t seed, uint32_t odd, uint32_t rounds)
{
    make_documents(rows, seed, odd);
    struct lk_segment *segment = write_documents(rows);
    judged_groups = dead_groups = 0;
    check_conditions(segment, seed, rounds);
    ck_assert_uint_gt(judged_groups, rounds / 3);
    ck_assert_uint_gt(dead_groups, 0);
    lk_segment_unref(segment);
}

START_TEST(conditions_on_documents_that_are_alike)
{
    check(3000, 1, 0, ROUNDS);
}
END_TEST

START_TEST(conditions_with_exceptions)
{
    check(3000, 2, 20, ROUNDS);
}
END_TEST

START_TEST(conditions_on_several_groups)
{
    check(ROWS, 3, 1, 30);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, conditions_on_documents_that_are_alike);
    tcase_add_test(tc, conditions_with_exceptions);
    tcase_add_test(tc, conditions_on_several_groups);
    return test_run("conditions on fields", tc);
}
