/*
 * tests/unit/storage/segment/test_documents.c - jsonb columns: taken apart when written, the same
 * documents when read, fields the same as those looked up in whole documents.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "data/shred.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/segment/merge.h"
#include "storage/segment/segment.h"

#define GROUPS_ROWS 70000 /* more than a group */
#if LK_ASAN
#define ROWS 9000 /* one walk over several groups is enough */
#else
#define ROWS GROUPS_ROWS
#endif

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static struct lk_formats *formats;
static struct luma_store_col column = {.id = 3, .type = {LUMA_TYPE_JSONB, 0, 0, -1}};
static const struct luma_store_coll def = {.id = 7, .cols_count = 1, .cols = &column};
static struct luma_str docs[GROUPS_ROWS];
static uint32_t raw_percent; /* of json: text that no document stands for */
static uint64_t valid[LUMA_BIT_WORDS(GROUPS_ROWS)];

static void
setup(void)
{
    column.type = luma_type(LUMA_TYPE_JSONB);
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 256 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
    ck_assert_int_eq(lk_formats_load(&c.ctx, NULL, "none", &formats), LUMA_OK);
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

/* Mostly alike, with every kind of exception: other types, nulls, missing and rare fields, arrays
 * that are long, empty or no arrays, whole documents that are scalars. */
static void
document(struct lk_rand *r, uint32_t row, char *out, size_t room)
{
    static const char *const cities[] = {"Oslo", "Bergen", "a city with quite a long name", ""};
    static const char *const odd[] = {"17",          "\"text\"", "null", "[1,2]",
                                      "{\"k\":1.5}", "1.5",      "true"};
    char tags[256] = "", n[64], price[64];
    size_t t = 0;
    if (lk_rand_percent(r, 2)) {
        snprintf(out, room, "%s", odd[lk_rand_below(r, LUMA_COUNTOF(odd))]);
        return;
    }
    for (uint64_t k = lk_rand_below(r, lk_rand_percent(r, 3) ? 20 : 5); k > 0; k--)
        t += (size_t)snprintf(tags + t, sizeof(tags) - t, "%s\"tag %u\"", t > 0 ? "," : "",
                              (unsigned)lk_rand_below(r, 30));
    snprintf(n, sizeof(n), "%u", row);
    snprintf(price, sizeof(price), "%u.%02u", (unsigned)lk_rand_below(r, 1000),
             (unsigned)lk_rand_below(r, 100));
    snprintf(out, room,
             "{\"id\":%s,\"address\":{\"city\":\"%s\",\"zip\":\"%05u\",\"geo\":[%u.%05u,-%u]},"
             "\"tags\":[%s],\"items\":[{\"q\":%u,\"p\":%s},{\"q\":%s}],\"mixed\":%s,\"flag\":%s%s}",
             lk_rand_percent(r, 1) ? odd[lk_rand_below(r, LUMA_COUNTOF(odd))] : n,
             cities[lk_rand_below(r, LUMA_COUNTOF(cities))], row % 100000,
             (unsigned)lk_rand_below(r, 90), (unsigned)lk_rand_below(r, 100000),
             1 + (unsigned)lk_rand_below(r, 180), tags, (unsigned)lk_rand_below(r, 9), price,
             lk_rand_percent(r, 5) ? "null" : "-3", odd[lk_rand_below(r, LUMA_COUNTOF(odd))],
             lk_rand_percent(r, 50) ? "true" : "false",
             lk_rand_percent(r, 1) ? ",\"rare\":{\"x\":[1,{\"y\":\"z\"}]}" : "");
}

/* Without spaces, with them, or in a way that no document stands for. */
static struct luma_str
json_text(struct lk_rand *r, char *text)
{
    size_t n = strlen(text + 1);
    text[0] = ' ';
    if (lk_rand_percent(r, raw_percent))
        return luma_str_make(luma_arena_copy(arena, text, n + 1), (uint32_t)n + 1);
    if (lk_rand_percent(r, 10))
        for (size_t i = 1; i < n && n < 2000; i++)
            if (text[i] == ':' || (text[i] == ',' && text[i + 1] != ' ')) {
                memmove(text + i + 2, text + i + 1, n - i + 1);
                text[++i] = ' ';
                n++;
            }
    return luma_str_make(luma_arena_copy(arena, text + 1, n), (uint32_t)n);
}

static void
make_documents(uint32_t rows, uint64_t seed)
{
    struct lk_rand r;
    char text[2048];
    lk_rand_init(&r, seed);
    memset(valid, 0, sizeof(valid));
    for (uint32_t row = 0; row < rows; row++) {
        if (lk_rand_percent(&r, 2))
            continue;
        document(&r, row, text + 1, sizeof(text) - 1);
        if (column.type.id == LUMA_TYPE_JSON)
            docs[row] = json_text(&r, text);
        else
            ck_assert_int_eq(
                lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(text + 1), &docs[row]),
                LUMA_OK);
        luma_bit_set(valid, row);
    }
}

static uint64_t
write_documents(uint32_t from, uint32_t rows)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    ck_assert_int_eq(lk_segment_write_begin(&c.ctx, objects, formats, &def, &writer), LUMA_OK);
    for (uint32_t first = from; first < from + rows; first += LUMA_BATCH_ROWS) {
        uint32_t n = LK_MIN(from + rows - first, (uint32_t)LUMA_BATCH_ROWS);
        uint64_t bits[LUMA_BATCH_ROWS / 64] = {0};
        for (uint32_t i = 0; i < n; i++)
            if (luma_bit_get(valid, first + i))
                luma_bit_set(bits, i);
        struct luma_vec vec = {
            .type = column.type, .phys = LUMA_PHYS_STR, .data = docs + first, .valid = bits};
        struct luma_batch batch = {.rows = n, .sel_rows = n, .cols_count = 1, .cols = &vec};
        ck_assert_int_eq(
            lk_segment_write_append(&c.ctx, writer, &batch, NULL, first, NULL, 1, NULL), LUMA_OK);
    }
    ck_assert_int_eq(lk_segment_write_end(&c.ctx, writer, &info), LUMA_OK);
    return info.object_id;
}

/* What the path gives in a whole document, and what was read, are the same. */
static void
check_value(const struct luma_path *path, uint32_t row, const struct luma_vec *vec, uint32_t at)
{
    struct luma_slice part = luma_str_slice(&docs[row]);
    struct luma_str want = {0};
    bool null = !luma_bit_get(valid, row);
    char text[64];

    if (column.type.id == LUMA_TYPE_JSON) {
        if (!null)
            ck_assert_int_eq(lk_data_json_path(&c.ctx, arena, part, path->steps, path->steps_count,
                                               path->type.id == LUMA_TYPE_TEXT, &want, &null),
                             LUMA_OK);
        if (!null && path->steps_count == 0)
            want = docs[row]; /* spaces around it too */
    } else {
        if (!null && path->steps_count > 0)
            null = !lk_data_path_find(part, path->steps, path->steps_count, &part);
        if (!null && path->type.id == LUMA_TYPE_TEXT)
            ck_assert(lk_data_doc_as_text(part, arena, &want, &null));
        else if (!null)
            want = luma_str_make((const char *)part.data, (uint32_t)part.bytes);
    }
    if (null != luma_vec_is_null(vec, at))
        ck_abort_msg("row %u: null %d", row, null);
    if (null)
        return;
    const struct luma_str *got = luma_vec_at(vec, at);
    struct luma_str number;
    if (vec->phys == LUMA_PHYS_I64) { /* the text is that of the number */
        struct luma_vec flat = *vec;
        size_t n = lk_data_text_write(&flat, at, NULL, text);
        number = luma_str_make(text, (uint32_t)n);
        got = &number;
    }
    if (!luma_str_equal(got, &want))
        ck_abort_msg("row %u: \"%.*s\" for \"%.*s\"", row, (int)got->bytes, luma_str_data(got),
                     (int)want.bytes, luma_str_data(&want));
}

static uint32_t
scan(struct lk_segment *segment, const struct luma_path *paths, const uint32_t *cols,
     uint32_t cols_count)
{
    struct luma_scan_spec spec = {
        .cols = cols, .cols_count = cols_count, .paths = paths, .rowids = true};
    struct lk_segment_cursor *cursor;
    uint32_t rows = 0;
    bool more = true;

    ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
    for (uint32_t g = 0; g < lk_segment_groups(segment); g++) {
        ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, g), LUMA_OK);
        for (more = true; more;) {
            struct luma_batch *batch;
            ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more),
                             LUMA_OK);
            for (uint32_t i = 0; more && i < batch->rows; i++, rows++)
                for (uint32_t k = 0; k < cols_count; k++)
                    check_value(&paths[k], (uint32_t)batch->rowids[i], &batch->cols[k], i);
        }
    }
    lk_segment_cursor_close(cursor);
    return rows;
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

static void
check_segment(uint64_t id, uint32_t rows)
{
    static const struct luma_path_step id_path[] = {STEP("id")};
    static const struct luma_path_step city[] = {STEP("address"), STEP("city")};
    static const struct luma_path_step geo[] = {STEP("address"), STEP("geo"), ITEM(0)};
    static const struct luma_path_step address[] = {STEP("address")};
    static const struct luma_path_step tag[] = {STEP("tags"), ITEM(2)};
    static const struct luma_path_step late_tag[] = {STEP("tags"), ITEM(12)};
    static const struct luma_path_step price[] = {STEP("items"), ITEM(0), STEP("p")};
    static const struct luma_path_step q[] = {STEP("items"), ITEM(1), STEP("q")};
    static const struct luma_path_step mixed[] = {STEP("mixed")};
    static const struct luma_path_step rare[] = {STEP("rare"), STEP("x"), ITEM(1)};
    static const struct luma_path_step none[] = {STEP("none"), STEP("at all")};
    static const struct luma_path_step flag[] = {STEP("flag")};
    static const struct luma_path_step scalar[] = {STEP("mixed"), ITEM(0)};
    static const struct {
        const struct luma_path_step *steps;
        uint32_t count;
    } all[] = {{NULL, 0}, {id_path, 1},  {city, 2},  {geo, 3},   {address, 1},
               {tag, 2},  {late_tag, 2}, {price, 3}, {q, 3},     {mixed, 1},
               {rare, 3}, {none, 2},     {flag, 1},  {scalar, 2}};
    enum { PATHS = 2 * LUMA_COUNTOF(all) };
    struct luma_path paths[PATHS];
    uint32_t cols[PATHS];
    struct lk_segment *segment;

    for (uint32_t i = 0; i < PATHS; i++) {
        cols[i] = 3;
        paths[i] = (struct luma_path){.steps = all[i / 2].steps,
                                      .steps_count = all[i / 2].count,
                                      .any_type = i % 4 == 1,
                                      .type = column.type,
                                      .of = column.type};
        if (i % 2 == 1 && i > 1)
            paths[i].type = luma_type(LUMA_TYPE_TEXT);
    }
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, id, &segment), LUMA_OK);
    ck_assert_int_eq(lk_segment_verify(&c.ctx, segment, NULL, NULL), LUMA_OK);
    ck_assert_uint_eq(scan(segment, paths, cols, PATHS), rows);
    for (uint32_t row = 0; row < rows; row += 97) {
        struct luma_value v;
        int64_t rowid;
        ck_assert_int_eq(lk_segment_rowid(&c.ctx, segment, row, &rowid), LUMA_OK);
        ck_assert_int_eq(lk_segment_get(&c.ctx, segment, row, &column, arena, &v), LUMA_OK);
        ck_assert_int_eq(v.is_null, !luma_bit_get(valid, (size_t)rowid));
        if (!v.is_null && !luma_str_equal(&v.str, &docs[rowid]))
            ck_abort_msg("row %u comes back changed", row);
    }
    lk_segment_unref(segment);
}

START_TEST(documents_come_back_as_they_were)
{
    make_documents(GROUPS_ROWS, 1);
    check_segment(write_documents(0, GROUPS_ROWS), GROUPS_ROWS);
}
END_TEST

START_TEST(json_comes_back_as_it_was_written)
{
    column.type = luma_type(LUMA_TYPE_JSON);
    raw_percent = 0;
    make_documents(ROWS, 6);
    check_segment(write_documents(0, ROWS), ROWS);
    raw_percent = 2;
    make_documents(5000, 7);
    check_segment(write_documents(0, 5000), 5000);
}
END_TEST

/* Fields that are values or JSON's null, and nothing else: the forms that documents are known by.
 * optional: percent of documents that lack each of some fields. */
static void
check_forms(uint32_t optional)
{
    static const struct luma_path_step steps[][2] = {
        {STEP("a")}, {STEP("b")}, {STEP("in"), STEP("c")}, {STEP("l"), ITEM(1)}, {STEP("in")}};
    static const uint32_t counts[] = {1, 1, 2, 2, 1};
    struct luma_path paths[10];
    uint32_t cols[10];
    struct lk_rand r;
    struct lk_segment *segment;
    lk_rand_init(&r, 8);
    memset(valid, 0, sizeof(valid));
    for (uint32_t row = 0; row < ROWS; row++) {
        char text[256], some[64] = "";
        size_t n = 0;
        for (char name = 'q'; name < 'w' && optional > 0; name++)
            if (!lk_rand_percent(&r, optional))
                n += (size_t)snprintf(some + n, sizeof(some) - n, ",\"%c\":1", name);
        snprintf(text, sizeof(text), "{\"a\":%s,\"b\":%u,\"in\":{\"c\":%u},\"l\":[1,%u]%s}",
                 lk_rand_percent(&r, 4) ? "null" : "12", (uint32_t)lk_rand_below(&r, 100),
                 row % 1000, row % 7, some);
        ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice_text(text), &docs[row]),
                         LUMA_OK);
        luma_bit_set(valid, row);
    }
    for (uint32_t i = 0; i < 10; i++) {
        cols[i] = 3;
        paths[i] = (struct luma_path){.steps = steps[i / 2],
                                      .steps_count = counts[i / 2],
                                      .type = i % 2 == 0 ? column.type : luma_type(LUMA_TYPE_TEXT),
                                      .of = column.type};
    }
    uint64_t id = write_documents(0, ROWS);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, id, &segment), LUMA_OK);
    ck_assert_uint_eq(scan(segment, paths, cols, 10), ROWS);
    for (uint32_t row = 0; row < ROWS; row += 31) {
        struct luma_value v;
        ck_assert_int_eq(lk_segment_get(&c.ctx, segment, row, &column, arena, &v), LUMA_OK);
        ck_assert(luma_str_equal(&v.str, &docs[row]));
    }
    lk_segment_unref(segment);
}

START_TEST(documents_of_few_forms)
{
    check_forms(0);
}
END_TEST

START_TEST(documents_of_many_forms)
{
    check_forms(50);
}
END_TEST

START_TEST(few_documents_stay_whole)
{
    make_documents(20, 2);
    check_segment(write_documents(0, 20), 20);
}
END_TEST

static void
find_line(void *arg, const char *line)
{
    if (strstr(line, "address.city") != NULL)
        *(bool *)arg = true;
}

START_TEST(a_field_is_a_column_that_one_sees)
{
    struct lk_segment *segment;
    bool found = false;
    make_documents(1000, 3);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, write_documents(0, 1000), &segment),
                     LUMA_OK);
    ck_assert_int_eq(lk_segment_describe(&c.ctx, segment, find_line, &found), LUMA_OK);
    ck_assert(found);
    lk_segment_unref(segment);
}
END_TEST

START_TEST(predicates_on_documents_hold)
{
    static const uint32_t cols[1] = {3};
    struct lk_segment *segment;
    make_documents(3000, 4);
    ck_assert_int_eq(lk_segment_open(&c.ctx, objects, formats, write_documents(0, 3000), &segment),
                     LUMA_OK);
    for (uint32_t wanted = 100; wanted < 3000; wanted += 100) {
        if (!luma_bit_get(valid, wanted))
            continue;
        const struct luma_value value = {
            .type = column.type, .phys = LUMA_PHYS_STR, .str = docs[wanted]};
        const struct luma_pred pred = {0, LUMA_PRED_EQ, 1, &value};
        struct luma_scan_spec spec = {
            .cols = cols, .cols_count = 1, .preds = &pred, .preds_count = 1, .rowids = true};
        struct lk_segment_cursor *cursor;
        bool more = true, found = false;
        ck_assert(lk_segment_group_may(segment, 0, &spec));
        ck_assert_int_eq(lk_segment_cursor_open(&c.ctx, &def, &spec, &cursor), LUMA_OK);
        ck_assert_int_eq(lk_segment_cursor_seek(&c.ctx, cursor, segment, 0), LUMA_OK);
        while (more) {
            struct luma_batch *batch;
            ck_assert_int_eq(lk_segment_cursor_next(&c.ctx, cursor, NULL, NULL, &batch, &more),
                             LUMA_OK);
            for (uint32_t k = 0; more && k < batch->sel_rows; k++) {
                uint32_t row = luma_batch_row(batch, k);
                ck_assert_int_eq(
                    lk_data_doc_compare(luma_str_slice(luma_vec_at(&batch->cols[0], row)),
                                        luma_str_slice(&docs[wanted])),
                    0);
                found = found || batch->rowids[row] == wanted;
            }
        }
        ck_assert(found);
        lk_segment_cursor_close(cursor);
    }
    lk_segment_unref(segment);
}
END_TEST

START_TEST(flipped_bits_give_errors_or_the_same)
{
    struct lk_shape *shape = lk_data_shape_create(NULL);
    struct lk_shred_col cols[LK_SHRED_COLS_MAX];
    struct luma_vec vecs[LK_SHRED_COLS_MAX];
    struct lk_join join;
    struct luma_slice rest, whole;
    make_documents(300, 5);
    for (uint32_t row = 0; row < 300; row++)
        if (luma_bit_get(valid, row))
            ck_assert(lk_data_shape_sample(shape, luma_str_slice(&docs[row])));
    uint32_t count = lk_data_shape_choose(shape, LK_SHRED_COLS_MAX);
    ck_assert_uint_gt(count, 8);
    memset(cols, 0, sizeof(cols));
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(luma_vec_init(&cols[i].vec, arena, lk_data_shape_leaf(shape, i)->type, 300));
        cols[i].vec.valid = luma_arena_zalloc(arena, 64);
    }
    lk_data_join_init(&join);
    join.cols = vecs;
    join.cols_count = count;
    for (uint32_t row = 0; row < 300; row++) {
        if (!luma_bit_get(valid, row))
            continue;
        ck_assert(lk_data_shred(shape, luma_str_slice(&docs[row]), row, cols, &rest));
        ck_assert(lk_data_shred_valid(rest, count));
        for (uint32_t i = 0; i < count; i++)
            vecs[i] = cols[i].vec;
        for (int again = 0; again < 3; again++) { /* by itself, then by its plan */
            if (again == 0)
                lk_data_join_forget(&join);
            ck_assert_int_eq(lk_data_join(&join, rest, row, &whole), LUMA_OK);
            ck_assert(luma_slice_equal(whole, luma_str_slice(&docs[row])));
        }
        uint8_t *copy = malloc(rest.bytes);
        for (size_t at = 0; at < rest.bytes * 8; at += 3) {
            memcpy(copy, rest.data, rest.bytes);
            copy[at / 8] = (uint8_t)(copy[at / 8] ^ 1u << (at & 7));
            (void)lk_data_shred_valid(luma_slice(copy, rest.bytes), count);
            lk_data_join_forget(&join);
            for (int again = 0; again < 2; again++)
                (void)!lk_data_join(&join, luma_slice(copy, rest.bytes), row, &whole);
        }
        free(copy);
    }
    lk_data_join_fini(&join);
    lk_data_shape_destroy(shape);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, documents_come_back_as_they_were);
    tcase_add_test(tc, json_comes_back_as_it_was_written);
    tcase_add_test(tc, documents_of_few_forms);
    tcase_add_test(tc, documents_of_many_forms);
    tcase_add_test(tc, few_documents_stay_whole);
    tcase_add_test(tc, a_field_is_a_column_that_one_sees);
    tcase_add_test(tc, predicates_on_documents_hold);
    tcase_add_test(tc, flipped_bits_give_errors_or_the_same);
    return test_run("documents of segments", tc);
}
