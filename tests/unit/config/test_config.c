/* tests/unit/config/test_config.c - TOML and YAML, schemas, merging, messages. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "config/config.h"

struct settings {
    bool flag;
    int64_t port;
    double ratio;
    int64_t size;
    int64_t wait;
    const char *text;
    const char *dir;
    const char *mode;
    struct luma_conf_list names;
    const char *password;
};

static const struct luma_conf_item items[] = {
    LUMA_CONF_BOOL(struct settings, flag, .def = 1, .help = "A flag"),
    LUMA_CONF_INT(struct settings, port, .def = 5432, .min = 0, .max = 65535, .help = "A port"),
    LUMA_CONF_FLOAT(struct settings, ratio, .fdef = 0.5, .fmin = 0, .fmax = 1, .help = "A share"),
    LUMA_CONF_BYTES(struct settings, size, .def = 1 << 20, .min = 1024, .max = 1 << 30,
                    .flags = LUMA_CONF_RELOAD, .help = "A size"),
    LUMA_CONF_DURATION(struct settings, wait, .def = 30000000000, .help = "A wait"),
    LUMA_CONF_TEXT(struct settings, text, .sdef = "abc", .help = "Some text"),
    LUMA_CONF_PATH(struct settings, dir, .sdef = NULL, .help = "A folder"),
    LUMA_CONF_ENUM(struct settings, mode, .sdef = "sync", .values = "sync|async", .help = "A mode"),
    LUMA_CONF_LIST(struct settings, names, .sdef = "x, y", .help = "Names"),
    LUMA_CONF_TEXT(struct settings, password, .flags = LUMA_CONF_SECRET, .help = "A secret"),
    LUMA_CONF_END,
};

static struct luma_arena *arena;
static struct lk_ctx c;
static struct lk_conf *conf;

static void
setup(void)
{
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    conf = lk_conf_create();
    ck_assert_int_eq(
        lk_conf_add_section(conf, "postgres", items, sizeof(struct settings), LK_CONF_MODULE),
        LUMA_OK);
    ck_assert_int_eq(lk_conf_add_section(conf, "codec.zstd", items, sizeof(struct settings), 0),
                     LUMA_OK);
    ck_assert_int_eq(lk_conf_add_section(conf, "prometheus", NULL, 0, LK_CONF_ABSENT), LUMA_OK);
}

static void
teardown(void)
{
    lk_conf_destroy(conf);
    lk_arena_destroy(arena);
}

static struct lk_conf_doc *
toml(const char *file, const char *text)
{
    struct lk_conf_doc *doc = NULL;
    luma_rc rc = lk_conf_parse_toml(&c.ctx, lk_conf_arena(conf), file, luma_slice_text(text), &doc);
    ck_assert_msg(rc == LUMA_OK, "%s: %s", text, c.error.message);
    return doc;
}

static void
add(const char *file, enum lk_conf_source source, const char *text)
{
    struct lk_conf_doc *doc = toml(file, text);
    doc->source = source;
    lk_conf_add_doc(conf, doc);
}

static const struct settings *
resolved(void)
{
    luma_rc rc = lk_conf_resolve(&c.ctx, conf);
    ck_assert_msg(rc == LUMA_OK, "%s", c.error.message);
    return lk_conf_values(conf, "postgres");
}

START_TEST(toml_values_of_every_kind)
{
    add("/etc/x/config.toml", LK_CONF_FROM_FILE,
        "# first\n[postgres] # a section\r\nflag = false\nport = 0x1_0\nratio = 2.5e-1\n"
        "size = \"64kB\"\nwait = '1.5min'\n"
        "text = \"\"\"\\\n   two\\tlines \\u00e9\n\"quoted\\\"\"\"\"\"\ndir = \"./sub/dir\"\n"
        "mode = \"async\"\nnames = [ \"a\", # one\n 'b',\n]\n");
    const struct settings *s = resolved();
    ck_assert(!s->flag);
    ck_assert_int_eq(s->port, 16);
    ck_assert_double_eq(s->ratio, 0.25);
    ck_assert_int_eq(s->size, 65536);
    ck_assert_int_eq(s->wait, 90000000000);
    ck_assert_str_eq(s->text, "two\tlines \xc3\xa9\n\"quoted\"\"");
    ck_assert_str_eq(s->dir, "/etc/x/sub/dir");
    ck_assert_str_eq(s->mode, "async");
    ck_assert_uint_eq(s->names.count, 2);
    ck_assert_str_eq(s->names.items[1], "b");
}
END_TEST

START_TEST(defaults_fill_what_nobody_sets)
{
    const struct settings *s = resolved();
    ck_assert(s->flag && s->port == 5432 && s->size == 1 << 20);
    ck_assert_ptr_null(s->dir);
    ck_assert_uint_eq(s->names.count, 2);
    ck_assert_str_eq(s->names.items[1], "y");
    ck_assert_str_eq(lk_conf_origin(conf, "postgres", "port"), "default");
    ck_assert(lk_conf_enabled(conf, "postgres"));
}
END_TEST

START_TEST(tables_may_nest_in_every_notation)
{
    add("a", LK_CONF_FROM_FILE, "codec.zstd.port = 1\n[postgres]\nport = 2\n");
    add("b", LK_CONF_FROM_FILE, "codec = { zstd = { flag = false } }\n");
    add("c", LK_CONF_FROM_FILE, "[codec]\n[codec.zstd]\ntext = \"t\"\n");
    ck_assert_int_eq(resolved()->port, 2);
    const struct settings *z = lk_conf_values(conf, "codec.zstd");
    ck_assert(z->port == 1 && !z->flag);
    ck_assert_str_eq(z->text, "t");
}
END_TEST

START_TEST(toml_refuses_with_file_and_line)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[postgres\nport = 1\n", "f:1: expected ']'"},
        {"[postgres]\nport = \"x\n", "f:2: this string does not end"},
        {"[postgres]\nport = 1\nport = 2\n", "f:3: \"postgres.port\" is set twice"},
        {"[a]\n[b]\n[a]\n", "f:3: section [a] is defined twice"},
        {"a = 1\n[a]\n", "f:2: \"a\" has a value"},
        {"a.b = 1\n[a]\n", "f:2: section [a] is defined twice"},
        {"a = {b = 1}\na.c = 2\n", "f:2: \"a\" is defined already"},
        {"[[a]]\n", "f:1: no section is a list"},
        {"a = 2020-01-01\n", "f:1: no setting takes a date"},
        {"a = word\n", "f:1: \"word\" is no value"},
        {"a = 007\n", "f:1: \"007\" is no value"},
        {"a = 1__0\n", "f:1: \"1__0\" is no value"},
        {"a = 9223372036854775808\n", "is no value"},
        {"a = \n", "f:1: a value is missing"},
        {"= 1\n", "f:1: unexpected '='"},
        {"a 1\n", "f:1: expected '='"},
        {"a = 1 2\n", "f:1: unexpected '2'"},
        {"a = [1, 2\n", "this list does not end"},
        {"a = [[1]]\n", "plain values only"},
        {"a = \"\\q\"\n", "f:1: unknown escape \\q"},
        {"a = \"\\ud800\"\n", "is not a character"},
        {"a = \"\x01\"\n", "control character 0x01"},
        {"\n\na = \"\xff\"\n", "f:3: this is not UTF-8"},
        {"\"a b\" = 1\n", "no key has a name like"},
        {"a = {b = 1\n", "expected ',' or '}'"},
        {"a = 'it''s'\n", "unexpected"},
    };
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        struct lk_conf_doc *doc = NULL;
        luma_error_reset(&c.error);
        luma_rc rc = lk_conf_parse_toml(&c.ctx, arena, "f", luma_slice_text(bad[i].text), &doc);
        ck_assert_msg(rc == LUMA_E_CONFIG, "accepted %s", bad[i].text);
        ck_assert_msg(strstr(c.error.message, bad[i].says) != NULL, "%s: %s", bad[i].text,
                      c.error.message);
    }
    struct lk_bytes deep = {0};
    lk_bytes_text(&deep, "a = ");
    for (int i = 0; i < 10000; i++)
        lk_bytes_text(&deep, "{a = ");
    struct lk_conf_doc *doc = NULL;
    ck_assert_int_eq(lk_conf_parse_toml(&c.ctx, arena, "f", lk_bytes_view(&deep), &doc),
                     LUMA_E_CONFIG);
    lk_bytes_fini(&deep);
}
END_TEST

START_TEST(unknown_names_get_a_suggestion)
{
    add("config.toml", LK_CONF_FROM_FILE,
        "[postgres]\n\nprt = 5\n[postgre]\nport = 1\n[nowhere]\n");
    ck_assert_int_eq(lk_conf_resolve(&c.ctx, conf), LUMA_E_CONFIG);
    char all[2000] = "";
    for (const struct lk_conf_problem *p = lk_conf_problems(conf); p != NULL; p = p->next) {
        strcat(all, p->text);
        strcat(all, "\n");
    }
    ck_assert_ptr_nonnull(strstr(
        all, "config.toml:3: unknown key \"prt\" in section [postgres]; is \"port\" meant?"));
    ck_assert_ptr_nonnull(strstr(
        all, "config.toml:4: unknown section [postgre] (key \"port\"); is \"postgres\" meant?"));
    ck_assert_ptr_nonnull(strstr(all, "config.toml:6: unknown section [nowhere]"));
}
END_TEST

START_TEST(types_and_ranges_are_checked)
{
    static const char *const bad[][2] = {
        {"port = \"quick\"", "f:2: [postgres] port = \"quick\": expected a whole number"},
        {"port = 99999999", "expected 0 .. 65535"},
        {"port = 1.5", "expected a whole number"},
        {"ratio = 2", "expected 0 .. 1"},
        {"size = \"64XB\"", "expected a size"},
        {"size = 5", "expected 1kB .. 1GB"},
        {"wait = 30", "expected a duration"},
        {"wait = \"30\"", "expected a duration"},
        {"flag = 1", "expected true or false"},
        {"flag = \"yes\"", "expected true or false"},
        {"text = 5", "expected text in quotes"},
        {"mode = \"fast\"", "expected one of sync|async"},
        {"names = 7", "expected a list of text"},
        {"enabled = 3", "[postgres] enabled = 3: expected true or false"},
    };
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        char text[100];
        teardown();
        setup();
        snprintf(text, sizeof(text), "[postgres]\n%s\n", bad[i][0]);
        add("f", LK_CONF_FROM_FILE, text);
        ck_assert_msg(lk_conf_resolve(&c.ctx, conf) == LUMA_E_CONFIG, "accepted %s", bad[i][0]);
        ck_assert_msg(strstr(c.error.message, bad[i][1]) != NULL, "%s: %s", bad[i][0],
                      c.error.message);
    }
}
END_TEST

START_TEST(later_sources_win_and_differences_are_named)
{
    struct lk_conf_doc *set = lk_conf_doc_create(lk_conf_arena(conf), LK_CONF_FROM_SET, "--set");
    ck_assert_int_eq(lk_conf_parse_set(&c.ctx, lk_conf_arena(conf), "postgres.port=20003", set),
                     LUMA_OK);
    ck_assert_int_eq(lk_conf_parse_set(&c.ctx, lk_conf_arena(conf), "postgres.text=12", set),
                     LUMA_OK);
    ck_assert_int_eq(lk_conf_parse_set(&c.ctx, lk_conf_arena(conf), "postgres.mode=async", set),
                     LUMA_OK);
    ck_assert_int_ne(lk_conf_parse_set(&c.ctx, lk_conf_arena(conf), "nonsense", set), LUMA_OK);
    luma_error_reset(&c.error);
    lk_conf_add_doc(conf, set);
    add("config.toml", LK_CONF_FROM_FILE, "[postgres]\nport = 20002\nflag = true\n");
    add("conf.d/frontend-pgwire.conf", LK_CONF_FROM_CONF_D,
        "[postgres]\nport = 20001\nwait = \"1s\"\nflag = true\nenabled = false\n");
    const struct settings *s = resolved();
    ck_assert_int_eq(s->port, 20003);
    ck_assert_str_eq(s->text, "12");
    ck_assert_str_eq(s->mode, "async");
    ck_assert_int_eq(s->wait, 1000000000);
    ck_assert(!lk_conf_enabled(conf, "postgres"));
    ck_assert_str_eq(lk_conf_origin(conf, "postgres", "port"), "--set");
    ck_assert_str_eq(lk_conf_origin(conf, "postgres", "wait"), "conf.d/frontend-pgwire.conf:3");
    int warnings = 0;
    for (const struct lk_conf_problem *p = lk_conf_problems(conf); p != NULL; p = p->next) {
        ck_assert_int_eq(p->level, LUMA_LOG_WARN);
        ck_assert_ptr_nonnull(strstr(p->text, "--set sets postgres.port = 20003, "));
        warnings++;
    }
    ck_assert_int_eq(warnings, 2);
}
END_TEST

START_TEST(yaml_means_the_same)
{
    struct lk_conf_doc *doc = NULL;
    const char *text =
        "postgres:\n  port: 7\n  text: \"9\"\n  flag: false\n  wait: 2s\n"
        "  names: [a, 'b']\n  mode: async\nprometheus:\ncodec:\n  zstd:\n    port: 3\n";
    luma_rc rc =
        lk_conf_parse_yaml(&c.ctx, lk_conf_arena(conf), "c.yaml", luma_slice_text(text), &doc);
    ck_assert_msg(rc == LUMA_OK, "%s", c.error.message);
    lk_conf_add_doc(conf, doc);
    const struct settings *s = resolved();
    ck_assert(s->port == 7 && !s->flag && s->wait == 2000000000 && s->names.count == 2);
    ck_assert_str_eq(s->text, "9");
    ck_assert_str_eq(lk_conf_origin(conf, "postgres", "flag"), "c.yaml:4");
    ck_assert_int_eq(((const struct settings *)lk_conf_values(conf, "codec.zstd"))->port, 3);
    ck_assert_ptr_nonnull(strstr(lk_conf_problems(conf)->text, "[prometheus] has no effect"));
    static const char *const bad[] = {"a: &x 1\n",     "a: 1\na: 2\n",      "- 1\n",
                                      "a: [1, [2]]\n", "a: !!str 1\n",      "a: {b: 1\n",
                                      "a: *x\n",       "a: 1\n---\nb: 1\n", "\"a b\": 1\n"};
    for (size_t i = 0; i < LUMA_COUNTOF(bad); i++) {
        luma_error_reset(&c.error);
        ck_assert_msg(lk_conf_parse_yaml(&c.ctx, arena, "c.yaml", luma_slice_text(bad[i]), &doc) ==
                          LUMA_E_CONFIG,
                      "accepted %s", bad[i]);
        ck_assert_ptr_eq(strstr(c.error.message, "c.yaml:"), c.error.message);
    }
}
END_TEST

static void
changed(void *arg, const char *key, bool applied)
{
    char *log = arg;
    strcat(log, key);
    strcat(log, applied ? "+" : "-");
}

START_TEST(reload_applies_what_may_change)
{
    struct settings before = {.port = 1, .size = 2000, .text = "a"};
    struct settings after = {.port = 2, .size = 3000, .text = "a"};
    char log[100] = "";
    ck_assert(lk_conf_compare(items, &before, &after, changed, log));
    ck_assert_str_eq(log, "port-size+");
    ck_assert(after.port == 1 && after.size == 3000);
}
END_TEST

START_TEST(print_and_template_can_be_read_back)
{
    add("x", LK_CONF_FROM_FILE, "[postgres]\npassword = \"hunter2\"\n");
    resolved();
    struct lk_bytes out = {0};
    ck_assert(lk_conf_print(conf, &out));
    const char *text = lk_bytes_cstr(&out);
    ck_assert_ptr_nonnull(strstr(text, "port = 5432  # default"));
    ck_assert_ptr_nonnull(strstr(text, "size = \"1MB\"  # default"));
    ck_assert_ptr_null(strstr(text, "hunter2"));
    struct lk_conf_doc *doc = toml("printed", text);
    ck_assert_ptr_nonnull(doc->entries);
    lk_bytes_reset(&out);
    ck_assert(lk_conf_template("frontend", "pgwire", "PostgreSQL", "postgres", items, &out));
    /* Every key is commented out; without the marks it is a document that sets the defaults. */
    ck_assert_ptr_null(toml("template", lk_bytes_cstr(&out))->entries);
    char *keys = luma_arena_text(arena, out.data, out.bytes), *w = keys;
    for (char *p = keys; *p != '\0'; p++)
        if (!(*p == '#' && p[1] != ' '))
            *w++ = *p;
    *w = '\0';
    teardown();
    setup();
    add("template", LK_CONF_FROM_FILE, "");
    ck_assert_ptr_nonnull(lk_conf_values(conf, "postgres"));
    lk_bytes_fini(&out);
}
END_TEST

START_TEST(units)
{
    int64_t v = 0;
    ck_assert(lk_conf_parse_bytes("9223372036854775807", &v) && v == INT64_MAX);
    ck_assert(lk_conf_parse_bytes("1.5 GiB", &v) && v == 1610612736);
    ck_assert(!lk_conf_parse_bytes("9999999999TB", &v) && !lk_conf_parse_bytes("", &v) &&
              !lk_conf_parse_bytes("MB", &v) && !lk_conf_parse_bytes("1MBs", &v));
    ck_assert(lk_conf_parse_duration("200ms", &v) && v == 200000000);
    ck_assert(lk_conf_parse_duration("0", &v) && v == 0);
    ck_assert(lk_conf_parse_duration("1d", &v) && v == 86400000000000);
    ck_assert(!lk_conf_parse_duration("5", &v) && !lk_conf_parse_duration("5 years", &v));
}
END_TEST

/* Random mutations of a document neither crash nor hang either parser. */
START_TEST(mutated_documents_are_survived)
{
    const char *seed =
        "[postgres]\nport = 5 # x\ntext = \"a\\n\"\nnames = [1, 'b']\na.b = {c = 1}\n"
        "x: &a [b, {c: d}]\n- e\n\"\"\"q\"\"\"";
    struct lk_rand r;
    lk_rand_init(&r, 99);
    for (int i = 0; i < 20000; i++) {
        char text[256];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (uint64_t k = lk_rand_below(&r, 6); k > 0; k--)
            text[lk_rand_below(&r, n)] = seed[lk_rand_below(&r, n)];
        if (lk_rand_percent(&r, 20))
            text[lk_rand_below(&r, n)] = (char)lk_rand_u64(&r);
        size_t from = lk_rand_below(&r, n), bytes = lk_rand_below(&r, n - from + 1);
        struct lk_conf_doc *doc;
        luma_error_reset(&c.error);
        luma_rc t = lk_conf_parse_toml(&c.ctx, arena, "f", luma_slice(text + from, bytes), &doc);
        luma_rc y = lk_conf_parse_yaml(&c.ctx, arena, "f", luma_slice(text + from, bytes), &doc);
        ck_assert(t <= 0 && y <= 0);
        arena->reset(arena);
    }
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, toml_values_of_every_kind);
    tcase_add_test(tc, defaults_fill_what_nobody_sets);
    tcase_add_test(tc, tables_may_nest_in_every_notation);
    tcase_add_test(tc, toml_refuses_with_file_and_line);
    tcase_add_test(tc, unknown_names_get_a_suggestion);
    tcase_add_test(tc, types_and_ranges_are_checked);
    tcase_add_test(tc, later_sources_win_and_differences_are_named);
    tcase_add_test(tc, yaml_means_the_same);
    tcase_add_test(tc, reload_applies_what_may_change);
    tcase_add_test(tc, print_and_template_can_be_read_back);
    tcase_add_test(tc, units);
    tcase_add_test(tc, mutated_documents_are_survived);
    return test_run("config", tc);
}
