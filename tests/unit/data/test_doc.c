/*
 * tests/unit/data/test_doc.c - JSON text into documents: the quick reader against the careful one,
 * what is accepted and what is not, the order of names, kinds beside JSON's.
 */
#include <check.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "base/base.h"
#include "base/ctx.h"
#include "data/data.h"
#include "data/doc.h"

static struct luma_arena *arena;
static struct lk_ctx c;

/* Random JSON, mostly sound. */
struct gen {
    struct lk_rand r;
    char text[16384];
    size_t n;
};

static void
emit(struct gen *g, const char *text)
{
    size_t n = strlen(text);
    if (g->n + n < sizeof(g->text)) {
        memcpy(g->text + g->n, text, n);
        g->n += n;
    }
}

static void
emit_space(struct gen *g)
{
    static const char *const spaces[] = {"", "", "", " ", "\n\t ", "  "};
    emit(g, spaces[lk_rand_below(&g->r, LUMA_COUNTOF(spaces))]);
}

static void
emit_string(struct gen *g, bool name)
{
    static const char *const parts[] = {"a",          "bc",      "def", "\\n",
                                        "\\\"",       "\\u00e9", "ä",   "0123456789abcdef",
                                        "\\\\",       "x",       "\\/", "\\ud83d\\ude00",
                                        "long enough"};
    emit(g, "\"");
    for (uint64_t k = lk_rand_below(&g->r, name ? 3 : 6); k > 0; k--)
        emit(g, parts[lk_rand_below(&g->r, LUMA_COUNTOF(parts))]);
    emit(g, "\"");
}

static void
emit_scalar(struct gen *g)
{
    static const char *const words[] = {"null",
                                        "true",
                                        "false",
                                        "0",
                                        "-0",
                                        "1.10",
                                        "0.00",
                                        "-0.0",
                                        "12",
                                        "-7",
                                        "1e3",
                                        "1.5E-4",
                                        "100000",
                                        "0.001",
                                        "10000.0001",
                                        "99999999.99999999",
                                        "1234567890123456",
                                        "12345678901234567890",
                                        "0.0000000000000001",
                                        "-123.4567",
                                        "01",
                                        "1.",
                                        "-",
                                        ".5",
                                        "tru",
                                        "nulll",
                                        "1.2.3",
                                        "+1"};
    /* The last ones are wrong: rarely. */
    uint64_t sound = LUMA_COUNTOF(words) - 8;
    emit(g, words[lk_rand_percent(&g->r, 1) ? sound + lk_rand_below(&g->r, 8)
                                            : lk_rand_below(&g->r, sound)]);
}

static void
emit_value(struct gen *g, int depth)
{
    uint64_t what = lk_rand_below(&g->r, depth > 5 ? 6 : 10);
    if (what < 3 || what == 5) {
        emit_scalar(g);
    } else if (what < 6) {
        emit_string(g, false);
    } else {
        bool object = what < 9;
        uint64_t count = lk_rand_percent(&g->r, 3) ? 300 : lk_rand_below(&g->r, 7);
        emit(g, object ? "{" : "[");
        emit_space(g);
        for (uint64_t i = 0; i < count; i++) {
            if (i > 0)
                emit(g, ",");
            emit_space(g);
            if (object) {
                emit_string(g, true);
                emit_space(g);
                emit(g, ":");
                emit_space(g);
            }
            emit_value(g, count > 10 ? 9 : depth + 1);
            emit_space(g);
        }
        emit(g, object ? "}" : "]");
    }
}

static void
check_both(struct luma_slice json)
{
    struct luma_str quick, careful;
    lk_ctx_init(&c, arena);
    luma_rc rc = lki_doc_careful(&c.ctx, arena, json, &careful);
    if (!lki_doc_fast(arena, json, false, &quick))
        return;
    ck_assert_msg(rc == LUMA_OK, "only the quick reader takes %.*s", (int)json.bytes,
                  (const char *)json.data);
    ck_assert_msg(luma_slice_equal(luma_str_slice(&quick), luma_str_slice(&careful)),
                  "different documents of %.*s", (int)json.bytes, (const char *)json.data);
    if (lk_data_utf8_valid(json.data, json.bytes))
        ck_assert(lk_data_doc_valid(luma_str_slice(&quick)));
}

START_TEST(both_readers_make_the_same_document)
{
    struct gen g;
    lk_rand_init(&g.r, 15);
    for (int round = 0; round < 30000; round++) {
        g.n = 0;
        emit_space(&g);
        emit_value(&g, 0);
        emit_space(&g);
        if (lk_rand_percent(&g.r, 20) && g.n > 0) /* damage */
            g.text[lk_rand_below(&g.r, g.n)] = (char)lk_rand_below(&g.r, 128);
        /* At the very end of an allocation: reading on would be seen. */
        char *copy = malloc(g.n + 1);
        memcpy(copy + 1, g.text, g.n);
        check_both(luma_slice(copy + 1, g.n));
        free(copy);
        arena->reset(arena);
    }
}
END_TEST

static bool
accepts(const char *text, size_t bytes)
{
    struct luma_str str;
    lk_ctx_init(&c, arena);
    bool made = lk_data_doc_from_json(&c.ctx, arena, luma_slice(text, bytes), &str) == LUMA_OK;
    bool checked = lk_data_json_check(&c.ctx, luma_slice(text, bytes)) == LUMA_OK;
    ck_assert_msg(made == checked, "json and jsonb differ about %.*s", (int)bytes, text);
    return made;
}

START_TEST(sound_text_is_taken_and_nothing_else)
{
    static const char *const sound[] = {"1",
                                        " [ ] ",
                                        "{}",
                                        "\"\"",
                                        "[[],[[]],{}]",
                                        "{\"\":0}",
                                        "-0",
                                        "[1E22,0e+1,1.0e-2]",
                                        "\"\\u0041\\ud834\\udd1e\"",
                                        "[true,false,null]",
                                        "\"\x7f\"",
                                        "{\"a\":{\"a\":{\"a\":[[[1]]]}}}"};
    static const char *const wrong[] = {"",
                                        "[",
                                        "]",
                                        "{",
                                        "[1,]",
                                        "[,1]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{a:1}",
                                        "[1 2]",
                                        "01",
                                        "1.",
                                        ".1",
                                        "-",
                                        "+1",
                                        "1e",
                                        "0x1",
                                        "nul",
                                        "True",
                                        "\"",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\n\"",
                                        "{\"a\":1,}",
                                        "[1]]",
                                        "{\"a\" 1}",
                                        "'a'",
                                        "\"a\"b",
                                        "[\"a\",",
                                        "1 1",
                                        "{1:1}",
                                        "[1}",
                                        "NaN",
                                        "\"\\\"",
                                        "{\"a\":1 \"b\":2}",
                                        "[-]",
                                        "[1.e1]",
                                        "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < LUMA_COUNTOF(sound); i++)
        ck_assert_msg(accepts(sound[i], strlen(sound[i])), "%s", sound[i]);
    for (size_t i = 0; i < LUMA_COUNTOF(wrong); i++)
        ck_assert_msg(!accepts(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
    ck_assert(!accepts("1\0", 2));
}
END_TEST

static const char *
text_of(struct luma_str *doc)
{
    size_t bound = lk_data_doc_text_bound(luma_str_slice(doc));
    char *text = luma_arena_alloc(arena, bound + 1);
    text[lk_data_doc_text_write(luma_str_slice(doc), false, text)] = '\0';
    return text;
}

START_TEST(names_keep_their_order_when_asked)
{
    static const char json[] =
        "{\"zeta\":1,\"b\":{\"y\":2.50,\"x\":null},\"a\":[{\"q\":1,\"p\":2}]}";
    struct luma_slice text = luma_slice(json, sizeof(json) - 1), found;
    struct luma_str kept, sorted;

    ck_assert(lki_doc_fast(arena, text, true, &kept));
    ck_assert(lki_doc_fast(arena, text, false, &sorted));
    ck_assert_str_eq(text_of(&kept), "{\"zeta\": 1, \"b\": {\"y\": 2.50, \"x\": null}, "
                                     "\"a\": [{\"q\": 1, \"p\": 2}]}");
    ck_assert_str_eq(text_of(&sorted), "{\"a\": [{\"p\": 2, \"q\": 1}], "
                                       "\"b\": {\"x\": null, \"y\": 2.50}, \"zeta\": 1}");
    ck_assert(lk_data_doc_valid(luma_str_slice(&kept)));
    ck_assert_int_eq(lk_data_doc_compare(luma_str_slice(&kept), luma_str_slice(&sorted)), 0);
    ck_assert_uint_eq(lki_doc_hash(luma_str_slice(&kept)), lki_doc_hash(luma_str_slice(&sorted)));
    ck_assert(lk_data_doc_field(luma_str_slice(&kept), luma_slice_text("zeta"), &found));
    ck_assert_int_eq(lk_data_doc_kind(found), 'n');
    /* A name twice has no place in an order. */
    ck_assert(!lki_doc_fast(arena, luma_slice_text("{\"a\":1,\"a\":2}"), true, &kept));
    /* An order that names a member twice is damage. */
    ck_assert(lki_doc_fast(arena, luma_slice_text("{\"b\":1,\"a\":2}"), true, &kept));
    uint8_t *bytes = luma_arena_copy(arena, luma_str_data(&kept), kept.bytes);
    ck_assert_uint_eq(bytes[6], 1);
    bytes[6] = 0;
    ck_assert(!lk_data_doc_valid(luma_slice(bytes, kept.bytes)));
}
END_TEST

START_TEST(dates_are_documents_too)
{
    uint8_t doc[5] = {LKI_DOC_DATE, 1, 0, 0, 0};
    struct luma_value v;
    char text[64];
    ck_assert(lk_data_doc_valid(luma_slice(doc, 5)) && !lk_data_doc_valid(luma_slice(doc, 4)));
    ck_assert_int_eq(lk_data_doc_kind(luma_slice(doc, 5)), 'd');
    ck_assert(lk_data_doc_scalar(luma_slice(doc, 5), arena, &v));
    ck_assert_int_eq(v.type.id, LUMA_TYPE_DATE);
    text[lk_data_doc_text_write(luma_slice(doc, 5), false, text)] = '\0';
    ck_assert_str_eq(text, "\"2000-01-02\"");
}
END_TEST

static void
setup(void)
{
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
}

static void
teardown(void)
{
    lk_arena_destroy(arena);
}

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, both_readers_make_the_same_document);
    tcase_add_test(tc, sound_text_is_taken_and_nothing_else);
    tcase_add_test(tc, names_keep_their_order_when_asked);
    tcase_add_test(tc, dates_are_documents_too);
    return test_run("documents", tc);
}
