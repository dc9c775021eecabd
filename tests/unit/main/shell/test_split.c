/* tests/unit/main/shell/test_split.c - statements end where PostgreSQL's lexer says. */
#include <check.h>

#include "../../../lib/suite.h"
#include "main/shell/split.h"

/* How many statements text has, shown whole or line by line; what is left over goes to out_rest. */
static int
statements(const char *text, bool by_lines, size_t *out_rest)
{
    struct lki_split split;
    const char *end = text + strlen(text), *shown = by_lines ? text : end;
    int count = 0;
    size_t n;
    lki_split_init(&split);
    do {
        const char *newline = by_lines ? strchr(shown, '\n') : NULL;
        shown = newline == NULL ? end : newline + 1;
        for (; (n = lki_split_next(&split, text, (size_t)(shown - text))) != 0; count++) {
            text += n;
            lki_split_init(&split);
        }
    } while (shown < end);
    *out_rest = (size_t)(end - text);
    return count;
}

static const struct {
    const char *text;
    int count;
    size_t rest;
} cases[] = {
    {"", 0, 0},
    {"select 1", 0, 8},
    {"select 1;", 1, 0},
    {"a; b; c", 2, 2},
    {"select ';';", 1, 0},
    {"select 'it''s;';x", 1, 1},
    {"select E'a\\';b';x;", 2, 0},
    {"select E'a''b\\';c';x;", 2, 0},
    {"select 'a\\';x;", 2, 0},
    {"select \"a;\"\"b\";", 1, 0},
    {"-- one;\nselect 1;", 1, 0},
    {"select 'a;\nb', E'\\\n';\n-- ;\nx;y", 2, 1},
    {"/* a; /* b; */ c; */ select 1;", 1, 0},
    {"select $$a;b$$;", 1, 0},
    {"select $x$a;$$;$x$;", 1, 0},
    {"select a$b;$c;", 2, 0},
    {"select $1;", 1, 0},
    {"create rule r as on insert to t do (select 1; select 2);", 1, 0},
    {"select ');' from (select 1);", 1, 0},
    {"values (1); values (2);", 2, 0},
};

START_TEST(test_cases)
{
    size_t rest;
    for (int by_lines = 0; by_lines < 2; by_lines++) {
        ck_assert_int_eq(statements(cases[_i].text, by_lines, &rest), cases[_i].count);
        ck_assert_uint_eq(rest, cases[_i].rest);
    }
}
END_TEST

START_TEST(test_mark)
{
    static const struct {
        const char *text;
        char mark;
    } marks[] = {{" \n", '='},  {"/* x */", '='}, {"a", '-'},    {"a 'b", '\''},  {"a \"b", '"'},
                 {"a (b", '('}, {"a $$b", '$'},   {"/* a", '*'}, {"E'a\\'", '\''}};
    for (size_t i = 0; i < LUMA_COUNTOF(marks); i++) {
        struct lki_split split;
        lki_split_init(&split);
        ck_assert_uint_eq(lki_split_next(&split, marks[i].text, strlen(marks[i].text)), 0);
        ck_assert_int_eq(lki_split_mark(&split), marks[i].mark);
    }
}
END_TEST

int
main(void)
{
    TCase *tcase = tcase_create("split");
    tcase_add_loop_test(tcase, test_cases, 0, (int)LUMA_COUNTOF(cases));
    tcase_add_test(tcase, test_mark);
    return test_run("split", tcase);
}
