/* tests/unit/main/transfer/test_record.c - CSV, NDJSON and the text form of COPY, as import and
 * export read and write them. */
#include <check.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "main/transfer/record.h"

static struct lki_text out;

static const char *
text(void)
{
    lki_text_say(&out, "");
    return out.bytes;
}

START_TEST(test_records)
{
    static const struct {
        const char *text;
        bool csv;
        size_t end;
    } cases[] = {
        {"a,b\nc", true, 4},        {"\"a\nb\",c\nd", true, 8}, {"\"a\"\"\n\"\nx", true, 7},
        {"\"a\nb\",c\n", false, 3}, {"abc", true, 0},           {"\"abc\n", true, 0},
        {"a\"b\nc\"\nd", true, 7},
    };
    for (size_t i = 0; i < LUMA_COUNTOF(cases); i++) {
        size_t bytes = strlen(cases[i].text), scanned = 0;
        bool quoted = false;
        ck_assert_uint_eq(lki_record_end(cases[i].text, bytes, cases[i].csv, &scanned, &quoted),
                          cases[i].end);
        /* The same when it comes byte by byte. */
        size_t end = scanned = 0;
        quoted = false;
        for (size_t n = 1; n <= bytes && end == 0; n++)
            end = lki_record_end(cases[i].text, n, cases[i].csv, &scanned, &quoted);
        ck_assert_uint_eq(end, cases[i].end);
    }
    ck_assert_uint_eq(lki_record_trim("ab\r\n", 4), 2);
    ck_assert_uint_eq(lki_record_lines("a\nb\n", 4), 2);
}
END_TEST

START_TEST(test_csv_fields)
{
    static const char record[] = "1,\"a \"\"b\"\",c\",,x\"y,z\"";
    static const char *const values[] = {"1", "a \"b\",c", "", "xy,z"};
    struct lki_field field;
    size_t at = 0, n = 0;
    for (; lki_csv_field(record, sizeof(record) - 1, ',', &at, &field); n++) {
        lki_csv_value(record, &field, &out);
        ck_assert_str_eq(text(), values[n]);
        ck_assert_int_eq(field.quoted, n == 1);
    }
    ck_assert_uint_eq(n, 4);
}
END_TEST

START_TEST(test_json_is_checked)
{
    static const char *const good[] = {
        "{}",     "[]",       "{\"a\": [1, {\"b\": null}], \"c\": -0.5e+3}", "\"\\u00e9\\n\"",
        " true ", "[[[]],{}]"};
    static const char *const bad[] = {
        "",           "{",      "[1,]", "{\"a\"}", "{\"a\":}",          "01",   "1.",
        "1e",         "tru",    "\"a",  "\"\\x\"", "\"\\u12g4\"",       "[1}",  "{,}",
        "{\"a\":1,}", "\"\n\"", "-",    "[1 2]",   "{\"a\":1 \"b\":2}", "{1:2}"};
    for (size_t i = 0; i < LUMA_COUNTOF(good); i++) {
        size_t at = 0, from;
        ck_assert_msg(lki_json_skip(good[i], strlen(good[i]), &at, &from) != JSON_BAD, "%s",
                      good[i]);
    }
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        size_t at = 0, from;
        ck_assert_msg(lki_json_skip(bad[i], strlen(bad[i]), &at, &from) == JSON_BAD ||
                          at != strlen(bad[i]),
                      "%s", bad[i]);
    }
    char *deep = malloc(100001);
    memset(deep, '[', 100000);
    size_t at = 0, from;
    ck_assert_int_eq(lki_json_skip(deep, 100000, &at, &from), JSON_BAD);
    free(deep);
}
END_TEST

START_TEST(test_json_members)
{
    static const char object[] = " {\"a\": 1.10 , \"b\" :{\"x\":[2]},\"c\":\"\"} ";
    static const char *const values[] = {"1.10", "{\"x\":[2]}", "\"\""};
    static const char *const bad[] = {"[1]",        "{\"a\":1", "{\"a\":1}x",
                                      "{\"a\":1,}", "1",        "{\"a\":1]"};
    struct lki_member m;
    size_t at = 0, n = 0;
    for (; lki_json_member(object, sizeof(object) - 1, &at, &m) == 1; n++) {
        ck_assert_uint_eq(m.value_bytes, strlen(values[n]));
        ck_assert(memcmp(object + m.value_at, values[n], m.value_bytes) == 0);
    }
    ck_assert_uint_eq(n, 3);
    at = 0;
    ck_assert_int_eq(lki_json_member("{ }", 3, &at, &m), 0);
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        int rc;
        at = 0;
        while ((rc = lki_json_member(bad[i], strlen(bad[i]), &at, &m)) == 1)
            ;
        ck_assert_msg(rc == -1, "%s", bad[i]);
    }
}
END_TEST

START_TEST(test_json_strings)
{
    static const char string[] = "\"a\\n\\u00e9\\ud83d\\ude00\\\"\\\\/\"";
    ck_assert(lki_json_unescape(string, sizeof(string) - 1, &out));
    ck_assert_str_eq(out.bytes, "a\n\xc3\xa9\xf0\x9f\x98\x80\"\\/");
    ck_assert(!lki_json_unescape("\"\\u0000\"", 8, &out));
    ck_assert(!lki_json_unescape("\"\\ud800x\"", 9, &out));
    ck_assert(!lki_json_unescape("\"\\ude00\"", 8, &out));
    out.used = 0;
    lki_json_quote("a\"\\\n\x01\xc3\xa9", 7, &out);
    ck_assert_str_eq(text(), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\"");
}
END_TEST

START_TEST(test_arrays)
{
    static const struct {
        const char *json, *sql, *back;
        enum lki_form form;
    } cases[] = {
        {"[1, 2.50, null]", "{1,2.50,NULL}", "[1,2.50,null]", FORM_NUMBER},
        {"[[1],[2]]", "{{1},{2}}", "[[1],[2]]", FORM_NUMBER},
        {"[\"a b\",\"\",\"NULL\",\"q\\\"\\\\\"]", "{\"a b\",\"\",\"NULL\",\"q\\\"\\\\\"}",
         "[\"a b\",\"\",\"NULL\",\"q\\\"\\\\\"]", FORM_STRING},
        {"[]", "{}", "[]", FORM_STRING},
        {"[{\"a\": 1}]", "{\"{\\\"a\\\": 1}\"}", "[{\"a\": 1}]", FORM_JSON},
    };
    for (size_t i = 0; i < LUMA_COUNTOF(cases); i++) {
        out.used = 0;
        ck_assert(lki_array_from_json(cases[i].json, strlen(cases[i].json), &out));
        ck_assert_str_eq(text(), cases[i].sql);
        out.used = 0;
        ck_assert(lki_array_to_json(cases[i].sql, strlen(cases[i].sql), cases[i].form, &out));
        ck_assert_str_eq(text(), cases[i].back);
    }
    static const char *const bad[] = {"", "{", "{1", "{1}}", "x", "{\"a}", "{a\\", "[2:3]", "{,}x"};
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++)
        ck_assert_msg(!lki_array_to_json(bad[i], strlen(bad[i]), FORM_STRING, &out), "%s", bad[i]);
    ck_assert(!lki_array_from_json("[1 2]", 5, &out));
    ck_assert(!lki_array_from_json("1", 1, &out));
}
END_TEST

START_TEST(test_copy_text)
{
    static const char value[] = "a\tb\nc\\d\r\b\f\v";
    struct lki_text field = {0};
    size_t at = 0;
    bool null;
    out.used = 0;
    lki_copy_escape(value, sizeof(value) - 1, &out);
    lki_text_say(&out, "\t\\N\t\\\\N");
    ck_assert(lki_copy_field(out.bytes, out.used, &at, &field, &null));
    ck_assert_str_eq(field.bytes, value);
    ck_assert(!null && lki_copy_field(out.bytes, out.used, &at, &field, &null) && null);
    ck_assert(lki_copy_field(out.bytes, out.used, &at, &field, &null) && !null);
    ck_assert_str_eq(field.bytes, "\\N");
    ck_assert(!lki_copy_field(out.bytes, out.used, &at, &field, &null));
    lki_text_fini(&field);
}
END_TEST

static const char *
type_of(const char *const *values, bool json)
{
    struct lki_guess guess;
    lki_guess_init(&guess);
    for (; *values != NULL; values++) {
        size_t at = 0, from, bytes = strlen(*values);
        if (json)
            lki_guess_json(&guess, lki_json_skip(*values, bytes, &at, &from), *values, bytes);
        else
            lki_guess_text(&guess, *values, bytes);
    }
    return lki_guess_type(&guess);
}

#define TYPE(json, ...) type_of((const char *const[]){__VA_ARGS__, NULL}, json)

START_TEST(test_types)
{
    ck_assert_str_eq(TYPE(false, "1", "-20"), "bigint");
    ck_assert_str_eq(TYPE(false, "-9223372036854775808"), "bigint");
    ck_assert_str_eq(TYPE(false, "9223372036854775808"), "numeric");
    ck_assert_str_eq(TYPE(false, "1", "2.50"), "numeric");
    ck_assert_str_eq(TYPE(false, "1.5", "2e300"), "double precision");
    ck_assert_str_eq(TYPE(false, "-0"), "double precision");
    ck_assert_str_eq(TYPE(false, "007"), "text");
    ck_assert_str_eq(TYPE(false, "true", "false"), "boolean");
    ck_assert_str_eq(TYPE(false, "t", "f"), "text");
    ck_assert_str_eq(TYPE(false, "2024-02-29", "1999-12-31"), "date");
    ck_assert_str_eq(TYPE(false, "2023-02-29"), "text");
    ck_assert_str_eq(TYPE(false, "2024-02-29", "2024-01-01 10:00:00.5"), "timestamp");
    ck_assert_str_eq(TYPE(false, "2024-01-01T10:00:00Z", "2024-01-01 10:00:00+05:30"),
                     "timestamp with time zone");
    ck_assert_str_eq(TYPE(false, "2024-01-01T10:00:00Z", "2024-01-01 10:00:00"), "text");
    ck_assert_str_eq(TYPE(false, "2024-01-01 10:00:00.1234567"), "text");
    ck_assert_str_eq(TYPE(false, "6f9619ff-8b86-d011-b42d-00c04fc964ff"), "uuid");
    ck_assert_str_eq(TYPE(true, "1", "null", "2"), "bigint");
    ck_assert_str_eq(TYPE(true, "\"a\"", "\"b\""), "text");
    ck_assert_str_eq(TYPE(true, "\"1\"", "1"), "jsonb");
    ck_assert_str_eq(TYPE(true, "[1]", "{}"), "jsonb");
    ck_assert_str_eq(TYPE(true, "true"), "boolean");
    ck_assert_str_eq(TYPE(true, "\"2024-01-01\""), "date");
    ck_assert_str_eq(TYPE(true, "null"), "text");
}
END_TEST

int
main(void)
{
    TCase *tcase = tcase_create("record");
    tcase_add_test(tcase, test_records);
    tcase_add_test(tcase, test_csv_fields);
    tcase_add_test(tcase, test_json_is_checked);
    tcase_add_test(tcase, test_json_members);
    tcase_add_test(tcase, test_json_strings);
    tcase_add_test(tcase, test_arrays);
    tcase_add_test(tcase, test_copy_text);
    tcase_add_test(tcase, test_types);
    return test_run("main/transfer/record", tcase);
}
