/* test_records.c - what query/sql does with bytes alone: the guard against nesting, COPY's records.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../../modules/query/sql/copy.h"
#include "../../../lib/suite.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "data/data.h"

/* What the files under test find in the rest of the module. */
static const struct sql_conf conf = {64 << 20, 10000, 128, 0, false};
static const struct luma_host host = {.data = &lk_data_host};
const struct luma_host *sql_host = &host;
const struct luma_engine *sql_engine;
const struct luma_simd *sql_simd;
const struct sql_conf *sql_conf = &conf;

luma_rc
sql_copy_where(struct luma_ctx *ctx, const struct sql_copy *copy, uint64_t line, const char *column,
               luma_rc rc)
{
    (void)ctx;
    (void)copy;
    (void)line;
    (void)column;
    return rc;
}

size_t
sql_copy_find(const char *text, size_t bytes, char a, char b, char c, char d)
{
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == a || text[i] == b || text[i] == c || text[i] == d)
            return i;
    return bytes;
}

static struct luma_arena *arena;
static struct lk_ctx ctx;

static void
setup(void)
{
    arena = lk_arena_create(NULL, 4096);
    lk_ctx_init(&ctx, arena);
}

static void
teardown(void)
{
    lk_arena_destroy(arena);
}

/* ---- the guard ---- */

static char *
repeated(const char *head, const char *piece, size_t count, const char *tail)
{
    size_t bytes = strlen(piece);
    char *text = malloc(strlen(head) + bytes * count + strlen(tail) + 1);
    ck_assert_ptr_nonnull(text);
    char *at = text + sprintf(text, "%s", head);
    for (size_t i = 0; i < count; i++, at += bytes)
        memcpy(at, piece, bytes);
    strcpy(at, tail);
    return text;
}

static luma_rc
guard(char *text)
{
    luma_error_reset(ctx.ctx.error);
    luma_rc rc = sql_parse_guard(&ctx.ctx, luma_slice_text(text));
    free(text);
    return rc;
}

START_TEST(deep_statements_are_refused)
{
    ck_assert_int_eq(guard(repeated("select ", "1+", 100000, "1")), LUMA_E_LIMIT);
    ck_assert_str_eq(ctx.ctx.error->sqlstate, "54001");
    ck_assert_int_eq(guard(repeated("select ", "(", 100000, "1")), LUMA_E_LIMIT);
    ck_assert_int_eq(guard(repeated("select ", "not ", 20000, "true")), LUMA_E_LIMIT);
    ck_assert_int_eq(guard(repeated("select ", "f(1,2)+", 20000, "1")), LUMA_E_LIMIT);
    ck_assert_int_eq(guard(repeated("select ", "- ", 20000, "1")), LUMA_E_LIMIT);
}
END_TEST

START_TEST(wide_statements_pass)
{
    ck_assert_int_eq(guard(repeated("select ", "1+", 5000, "1")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("insert into t values ", "(1,-2),", 50000, "(1,2)")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select 1 in (", "1,", 50000, "1)")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select '", "(((+++", 50000, "'")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select 1 -- ", "((((", 50000, "\n")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select /* ", "((((", 50000, "*/ 1")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select $a$", "((((", 50000, "$a$")), LUMA_OK);
    ck_assert_int_eq(guard(repeated("select \"", "((((", 50000, "\"")), LUMA_OK);
}
END_TEST

/* ---- COPY ---- */

static struct luma_cat_column columns[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
static struct luma_cat_object table = {.name = "t", .cols_count = 3, .cols = columns};
static uint32_t positions[3] = {0, 1, 2};

/* "a|b|c" of each record, nulls as ~, records ended by ; - or the error's SQLSTATE. */
static const char *
records(const struct sql_copy_opts *opts, uint32_t cols, const char *text)
{
    static char out[4096];
    static struct luma_slice fields[3 * LUMA_BATCH_ROWS];
    struct sql_copy copy = {.opts = *opts, .table = &table, .cols_count = cols, .cols = positions};
    struct sql_copy_chunk chunk = {.data = strdup(text), .bytes = strlen(text)};
    static struct sql_copy_parser parser;
    parser = (struct sql_copy_parser){.copy = &copy, .chunk = &chunk, .line = 1, .fields = fields};
    uint32_t rows = 0;
    char *at = out;
    luma_error_reset(ctx.ctx.error);
    if (sql_copy_records(&ctx.ctx, &parser, &rows) != LUMA_OK) {
        free(chunk.data);
        return ctx.ctx.error->sqlstate;
    }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) {
            struct luma_slice f = fields[c * LUMA_BATCH_ROWS + r];
            at += f.data == NULL ? sprintf(at, "~")
                                 : sprintf(at, "%.*s", (int)f.bytes, (const char *)f.data);
            at += sprintf(at, "%s", c + 1 < cols ? "|" : ";");
        }
    *at = '\0';
    free(chunk.data);
    return out;
}

static const struct sql_copy_opts text_opts = {
    .format = SQL_COPY_TEXT, .delimiter = '\t', .null = "\\N", .null_bytes = 2};
static const struct sql_copy_opts csv_opts = {
    .format = SQL_COPY_CSV, .delimiter = ',', .quote = '"', .escape = '"', .null = ""};

START_TEST(text_records)
{
    ck_assert_str_eq(records(&text_opts, 2, "1\tx\n2\t\\N\n"), "1|x;2|~;");
    ck_assert_str_eq(records(&text_opts, 2, "1\ta\\tb\\\\c\n"), "1|a\tb\\c;");
    ck_assert_str_eq(records(&text_opts, 2, "1\t\\x41\\101\n"), "1|AA;");
    ck_assert_str_eq(records(&text_opts, 2, "1\t\\xc3\\xa9\n"), "1|\xc3\xa9;");
    ck_assert_str_eq(records(&text_opts, 2, "1\t\\xc3\n"), "22021");
    ck_assert_str_eq(records(&text_opts, 2, "1\ta\\0b\n"), "22021");
    ck_assert_str_eq(records(&text_opts, 2, "1\ta\\\nb\n2\tc\n"), "1|a\nb;2|c;");
    ck_assert_str_eq(records(&text_opts, 2, "1\tx\r\n2\ty\r\n"), "1|x;2|y;");
    ck_assert_str_eq(records(&text_opts, 2, "1\tx"), "1|x;");
    ck_assert_str_eq(records(&text_opts, 2, "1\t\n"), "1|;");
    ck_assert_str_eq(records(&text_opts, 2, "1\tx\n\\.\nrest"), "1|x;");
    ck_assert_str_eq(records(&text_opts, 2, "1\n"), "22P04");
    ck_assert_str_eq(records(&text_opts, 2, "1\t2\t3\n"), "22P04");
}
END_TEST

START_TEST(csv_records)
{
    ck_assert_str_eq(records(&csv_opts, 2, "1,x\n2,\n"), "1|x;2|~;");
    ck_assert_str_eq(records(&csv_opts, 2, "1,\"\"\n"), "1|;");
    ck_assert_str_eq(records(&csv_opts, 2, "1,\"a,\"\"b\"\"\nc\"\n"), "1|a,\"b\"\nc;");
    ck_assert_str_eq(records(&csv_opts, 2, "1,a\"b\"c\r\n"), "1|abc;");
    ck_assert_str_eq(records(&csv_opts, 3, "1,2\n"), "22P04");
    ck_assert_str_eq(records(&csv_opts, 2, "1,\"open\n"), "22P04");
    struct sql_copy_opts o = csv_opts;
    o.escape = '\\';
    ck_assert_str_eq(records(&o, 2, "1,\"a\\\"b\"\n"), "1|a\"b;");
    bool force[2] = {true, true};
    o = csv_opts;
    o.force_not_null = force;
    ck_assert_str_eq(records(&o, 2, ",x\n"), "|x;");
    o = csv_opts;
    o.force_null = force;
    ck_assert_str_eq(records(&o, 2, "\"\",x\n"), "~|x;");
}
END_TEST

static size_t
cut(const struct sql_copy_opts *o, const char *text)
{
    return sql_copy_cut(o, text, strlen(text));
}

START_TEST(chunks_end_with_records)
{
    ck_assert_uint_eq(cut(&text_opts, "a\nb\nc"), 4);
    ck_assert_uint_eq(cut(&text_opts, "a\nb\\\n"), 2);
    ck_assert_uint_eq(cut(&text_opts, "a\nb\\\\\n"), 6);
    ck_assert_uint_eq(cut(&text_opts, "abc"), 0);
    ck_assert_uint_eq(cut(&csv_opts, "a\n\"b\nc"), 2);
    ck_assert_uint_eq(cut(&csv_opts, "a\n\"b\nc\"\nd"), 8);
    ck_assert_uint_eq(cut(&csv_opts, "\"a\"\"\nb"), 0);
}
END_TEST

int
main(void)
{
    TCase *tcase = tcase_create("records");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, deep_statements_are_refused);
    tcase_add_test(tcase, wide_statements_pass);
    tcase_add_test(tcase, text_records);
    tcase_add_test(tcase, csv_records);
    tcase_add_test(tcase, chunks_end_with_records);
    return test_run("query/sql", tcase);
}
