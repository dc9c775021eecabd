/*
 * tests/unit/host/test_host.c - descriptors judged, needs sorted, life and death of modules. The
 * modules are structs of this program.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "host/host_priv.h"
#include "io/sim.h"

static char story[1000]; /* what ran, in order */

static void
tell(const char *what, const void *state)
{
    strcat(story, what);
    strcat(story, state);
    strcat(story, " ");
}

static luma_rc
good_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)host, (void)ctx;
    *out_state = (void *)(uintptr_t)(conf == NULL ? "?" : *(const char *const *)conf);
    tell("init:", *out_state);
    return LUMA_OK;
}

static luma_rc
bad_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)host, (void)conf, (void)out_state;
    return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "out of order today");
}

static luma_rc
good_start(void *state, struct luma_ctx *ctx)
{
    (void)ctx;
    tell("start:", state);
    return LUMA_OK;
}

static luma_rc
port_taken(void *state, struct luma_ctx *ctx)
{
    (void)state;
    return LUMA_FAIL(ctx, LUMA_E_CONFIG, "port 5 is taken");
}

static void
good_stop(void *state, uint64_t deadline_ns)
{
    (void)deadline_ns;
    tell("stop:", state);
}

static void
good_fini(void *state)
{
    tell("fini:", state);
}

static const struct luma_conf_item items[] = {
    {.name = "tag", .type = LUMA_CONF_TYPE_TEXT, .offset = 0, .sdef = "?", .help = "a tag"},
    {.type = LUMA_CONF_TYPE_END},
};

static const struct luma_head table_1 = {sizeof(struct luma_head), 1, 0};
static const struct luma_head table_2 = {sizeof(struct luma_head), 1, 0};

static struct luma_module
module(const char *kind, const char *name)
{
    return (struct luma_module){.magic = LUMA_MODULE_MAGIC,
                                .abi_major = LUMA_ABI_MAJOR,
                                .abi_minor = LUMA_ABI_MINOR,
                                .size_bytes = sizeof(struct luma_module),
                                .kind = kind,
                                .name = name,
                                .version = "1",
                                .build = LUMA_MODULE_BUILD,
                                .conf = items,
                                .conf_bytes = sizeof(char *),
                                .init = good_init,
                                .start = good_start,
                                .stop = good_stop,
                                .fini = good_fini};
}

static struct lk_conf *conf;
static struct lk_ctx c;

static void
setup(void)
{
    conf = lk_conf_create();
    lk_ctx_init(&c, lk_conf_arena(conf));
    lk_log_set_level(LUMA_LOG_ERROR);
    story[0] = '\0';
}

static void
teardown(void)
{
    lk_host_fini();
    lk_conf_destroy(conf);
}

/* Adds a module as if it came from a conf file of its name; its tag is the first letter. */
static struct lk_host_module *
add(const char *label, const struct luma_module *desc)
{
    struct lk_host_module *m = NULL;
    char file[100], toml[200];
    snprintf(file, sizeof(file), "conf.d/%s.conf", label);
    ck_assert_int_eq(lki_host_add(&c.ctx, label, file, &m), LUMA_OK);
    if (lki_host_judge(m, desc, 0)) {
        struct lk_conf_doc *doc = NULL;
        snprintf(toml, sizeof(toml), "[%s]\ntag = \"%c\"\n", m->section, desc->name[0]);
        ck_assert_int_eq(
            lk_conf_parse_toml(&c.ctx, lk_conf_arena(conf), file, luma_slice_text(toml), &doc),
            LUMA_OK);
        lk_conf_add_doc(conf, doc);
        ck_assert_int_eq(
            lk_conf_add_section(conf, m->section, m->desc.conf, m->desc.conf_bytes, LK_CONF_MODULE),
            LUMA_OK);
    }
    return m;
}

static luma_rc
order(void)
{
    ck_assert_int_eq(lk_conf_resolve(&c.ctx, conf), LUMA_OK);
    return lk_host_order(&c.ctx, conf);
}

static luma_rc
run(void)
{
    static const struct luma_host host = {.head = {sizeof(host), 0, 1}};
    LUMA_TRY(order());
    LUMA_TRY(lk_host_init(&c.ctx, &host, true));
    LUMA_TRY(lk_host_init(&c.ctx, &host, false));
    return lk_host_start(&c.ctx);
}

START_TEST(descriptors_are_judged_before_they_are_trusted)
{
    struct luma_conf_item outside[] = {{.name = "k", .type = LUMA_CONF_TYPE_INT, .offset = 4},
                                       {.type = LUMA_CONF_TYPE_END}};
    struct luma_offer no_table[] = {{"x", NULL}, {NULL, NULL}};
    static const char *const says[] = {"magic is 0x00000001",
                                       "another major version",
                                       "newer than the kernel",
                                       "its build is \"32be\"",
                                       "it is \"codec-x\", expected \"codec-m\"",
                                       "has no kind, name or version",
                                       "schema is wrong at key \"k\"",
                                       "offers x without a table",
                                       "descriptor says 8 bytes"};
    for (int i = 0; i < 9; i++) {
        struct luma_module d = module("codec", "m");
        d.magic = i == 0 ? 1 : d.magic;
        d.abi_major = (uint16_t)(i == 1 ? LUMA_ABI_MAJOR + 1 : d.abi_major);
        d.abi_minor = (uint16_t)(i == 2 ? LUMA_ABI_MINOR + 1 : d.abi_minor);
        d.build = i == 3 ? "32be" : d.build;
        d.name = i == 4 ? "x" : d.name;
        d.version = i == 5 ? NULL : d.version;
        d.conf = i == 6 ? outside : d.conf;
        d.offers = i == 7 ? no_table : NULL;
        d.size_bytes = i == 8 ? 8 : d.size_bytes;
        struct lk_host_module *m = NULL;
        ck_assert_int_eq(lki_host_add(&c.ctx, "codec-m", NULL, &m), LUMA_OK);
        ck_assert(!lki_host_judge(m, &d, sizeof(d)));
        ck_assert_int_eq(m->state, LK_HOST_REFUSED);
        ck_assert_msg(strstr(m->reason, says[i]) != NULL, "%s", m->reason);
    }
}
END_TEST

START_TEST(a_shorter_descriptor_is_filled_with_zeros)
{
    struct luma_module d = module("codec", "m");
    d.size_bytes = offsetof(struct luma_module, init);
    struct lk_host_module *m = NULL;
    ck_assert_int_eq(lki_host_add(&c.ctx, "codec-m", NULL, &m), LUMA_OK);
    ck_assert(lki_host_judge(m, &d, sizeof(d)));
    ck_assert(m->desc.init == NULL && m->desc.fini == NULL && m->desc.conf == items);
}
END_TEST

START_TEST(needs_give_the_order)
{
    struct luma_module a = module("query", "a"), b = module("query", "b"), s = module("codec", "s");
    a.needs = LUMA_NEEDS({"query.b", 1, false}, {"absent", 1, true});
    b.offers = LUMA_OFFERS({"query.b", &table_1});
    b.needs = LUMA_NEEDS({"codec.s", 1, false});
    s.offers = LUMA_OFFERS({"codec.s", &table_2});
    s.flags = LUMA_MODULE_STORAGE;
    add("query-a", &a);
    add("query-b", &b);
    add("codec-s", &s);
    ck_assert_int_eq(run(), LUMA_OK);
    ck_assert_ptr_eq(lk_services_host.lookup("query.b", 1), &table_1);
    ck_assert_ptr_null(lk_services_host.lookup("query.b", 2));
    ck_assert_str_eq(lk_services_host.state_of(&table_2), "s");
    lk_host_stop(0);
    lk_host_fini();
    ck_assert_str_eq(story, "init:s init:b init:a start:s start:b start:a "
                            "stop:a stop:b stop:s fini:a fini:b fini:s ");
}
END_TEST

START_TEST(a_missing_need_takes_down_only_what_needs_it)
{
    struct luma_module a = module("query", "a"), b = module("query", "b"), d = module("query", "d"),
                       v = module("query", "v");
    a.needs = LUMA_NEEDS({"query.b", 1, false});
    b.needs = LUMA_NEEDS({"query.klingon", 1, false});
    b.offers = LUMA_OFFERS({"query.b", &table_1});
    d.offers = LUMA_OFFERS({"query.d", &table_2});
    v.needs = LUMA_NEEDS({"query.d", 7, false});
    struct lk_host_module *ma = add("query-a", &a), *mb = add("query-b", &b),
                          *md = add("query-d", &d), *mv = add("query-v", &v);
    ck_assert_int_eq(run(), LUMA_OK);
    ck_assert_str_eq(mb->reason, "needs query.klingon/1, which no loaded module offers");
    ck_assert_str_eq(ma->reason, "needs query.b/1 of conf.d/query-b.conf, which is failed");
    ck_assert_str_eq(mv->reason, "needs query.d/7, but query.d/1 is what is offered");
    ck_assert_int_eq(md->state, LK_HOST_RUNNING);
    ck_assert_str_eq(story, "init:d start:d ");
}
END_TEST

START_TEST(a_cycle_names_its_conf_files)
{
    struct luma_module a = module("query", "a"), b = module("query", "b"), d = module("query", "d"),
                       self = module("query", "self");
    a.needs = LUMA_NEEDS({"query.b", 1, false});
    a.offers = LUMA_OFFERS({"query.a", &table_1});
    b.needs = LUMA_NEEDS({"query.a", 1, false});
    b.offers = LUMA_OFFERS({"query.b", &table_2});
    self.needs = LUMA_NEEDS({"query.self", 1, false});
    self.offers = LUMA_OFFERS({"query.self", &table_2});
    struct lk_host_module *ma = add("query-a", &a), *mb = add("query-b", &b),
                          *md = add("query-d", &d), *ms = add("query-self", &self);
    ck_assert_int_eq(run(), LUMA_OK);
    ck_assert_str_eq(ma->reason, "in a cycle of needs: conf.d/query-a.conf needs "
                                 "conf.d/query-b.conf needs conf.d/query-a.conf");
    ck_assert_str_eq(mb->reason, ma->reason);
    ck_assert_int_eq(ms->state, LK_HOST_FAILED);
    ck_assert_int_eq(md->state, LK_HOST_RUNNING);
}
END_TEST

START_TEST(what_fails_is_left_out_unless_required)
{
    struct luma_module bad = module("query", "bad"), user = module("query", "user");
    bad.init = bad_init;
    bad.offers = LUMA_OFFERS({"query.bad", &table_1});
    user.needs = LUMA_NEEDS({"query.bad", 1, false});
    struct lk_host_module *mb = add("query-bad", &bad), *mu = add("query-user", &user);
    ck_assert_int_eq(run(), LUMA_OK);
    ck_assert_str_eq(mb->reason, "init failed: out of order today");
    ck_assert_int_eq(mu->state, LK_HOST_FAILED);
    ck_assert_ptr_null(lk_services_host.lookup("query.bad", 1));
    teardown();
    setup();
    bad.flags = LUMA_MODULE_REQUIRED;
    add("query-bad", &bad);
    ck_assert_int_eq(run(), LUMA_E_MODULE);
    ck_assert_ptr_nonnull(strstr(c.error.message, "conf.d/query-bad.conf"));
}
END_TEST

START_TEST(a_start_that_contradicts_the_configuration_stops_the_server)
{
    struct luma_module f = module("frontend", "f");
    f.start = port_taken;
    add("frontend-f", &f);
    ck_assert_int_eq(run(), LUMA_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(c.error.message, "port 5 is taken"));
}
END_TEST

START_TEST(disabled_wins_over_presence)
{
    struct luma_module a = module("query", "a");
    struct lk_host_module *m = add("query-a", &a);
    struct lk_conf_doc *set = lk_conf_doc_create(lk_conf_arena(conf), LK_CONF_FROM_SET, "--set");
    ck_assert_int_eq(lk_conf_parse_set(&c.ctx, lk_conf_arena(conf), "query.a.enabled=false", set),
                     LUMA_OK);
    lk_conf_add_doc(conf, set);
    ck_assert_int_eq(run(), LUMA_OK);
    ck_assert_int_eq(m->state, LK_HOST_DISABLED);
    ck_assert_str_eq(story, "");
}
END_TEST

/* This program is a shared object as far as the headers say; cut anywhere it is not. */
START_TEST(truncated_objects_are_refused)
{
    struct lk_io *sim = lk_io_sim_create(1);
    struct lk_bytes whole = {0};
    char why[300];
    ck_assert_int_eq(
        lk_io_read_file(&c.ctx, lk_io_posix(), "/proc/self/exe", (size_t)1 << 30, &whole), LUMA_OK);
    ck_assert_msg(lki_elf_check(lk_io_posix(), "/proc/self/exe", why, sizeof(why)), "%s", why);
    for (size_t i = 0; i < 40; i++) {
        size_t bytes = whole.bytes * i / 40;
        ck_assert_int_eq(lk_io_write_file(&c.ctx, sim, "cut.so", whole.data, bytes), LUMA_OK);
        ck_assert(!lki_elf_check(sim, "cut.so", why, sizeof(why)));
        ck_assert_msg(strstr(why, "runcated") || strstr(why, "too short"), "%s", why);
    }
    whole.data[18] ^= 0x55; /* e_machine */
    ck_assert_int_eq(lk_io_write_file(&c.ctx, sim, "cut.so", whole.data, whole.bytes), LUMA_OK);
    ck_assert(!lki_elf_check(sim, "cut.so", why, sizeof(why)));
    ck_assert_ptr_nonnull(strstr(why, "another processor"));
    lk_bytes_fini(&whole);
    lk_io_sim_destroy(sim);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, descriptors_are_judged_before_they_are_trusted);
    tcase_add_test(tc, a_shorter_descriptor_is_filled_with_zeros);
    tcase_add_test(tc, needs_give_the_order);
    tcase_add_test(tc, a_missing_need_takes_down_only_what_needs_it);
    tcase_add_test(tc, a_cycle_names_its_conf_files);
    tcase_add_test(tc, what_fails_is_left_out_unless_required);
    tcase_add_test(tc, a_start_that_contradicts_the_configuration_stops_the_server);
    tcase_add_test(tc, disabled_wins_over_presence);
    tcase_add_test(tc, truncated_objects_are_refused);
    return test_run("host", tc);
}
