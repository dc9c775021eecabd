/* tests/unit/session/test_session.c - settings, blocks, identity, cancelling; over made-up
 * transactions and a made-up catalogue that remember what was asked of them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "../../lib/suite.h"
#include "base/base.h"
#include "sched/sched.h"
#include "session/session.h"

static const struct luma_host_session *const ses = &lk_session_host;

/* --- the parts below --- */

struct luma_txn {
    enum luma_isolation isolation;
    bool read_only;
    uint64_t savepoints, rolled_to;
};

static int begun, committed, rolled_back, statements;
static luma_rc commit_rc;

static luma_rc
fake_begin(struct luma_ctx *ctx, const struct luma_txn_opts *opts, struct luma_txn **out)
{
    (void)ctx;
    struct luma_txn *txn = calloc(1, sizeof(*txn));
    txn->isolation = opts->isolation;
    txn->read_only = opts->read_only;
    begun++;
    *out = txn;
    return LUMA_OK;
}

static luma_rc
fake_statement_begin(struct luma_ctx *ctx, struct luma_txn *txn)
{
    (void)ctx;
    (void)txn;
    statements++;
    return LUMA_OK;
}

static luma_rc
fake_commit(struct luma_ctx *ctx, struct luma_txn *txn)
{
    free(txn);
    if (commit_rc != LUMA_OK)
        return LUMA_FAIL(ctx, commit_rc, "no commit today");
    committed++;
    return LUMA_OK;
}

static void
fake_rollback(struct luma_txn *txn)
{
    if (txn != NULL)
        rolled_back++;
    free(txn);
}

static luma_rc
fake_savepoint(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out)
{
    (void)ctx;
    *out = ++txn->savepoints;
    return LUMA_OK;
}

static luma_rc
fake_rollback_to(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t savepoint)
{
    (void)ctx;
    txn->rolled_to = savepoint;
    return LUMA_OK;
}

static void
fake_release(struct luma_txn *txn, uint64_t savepoint)
{
    (void)txn;
    (void)savepoint;
}

static enum luma_isolation
fake_isolation(const struct luma_txn *txn)
{
    return txn->isolation;
}

static bool
fake_is_read_only(const struct luma_txn *txn)
{
    return txn->read_only;
}

static void
fake_set_read_only(struct luma_txn *txn, bool read_only)
{
    txn->read_only = read_only;
}

static void
fake_set_lock_timeout(struct luma_txn *txn, uint64_t nanoseconds)
{
    (void)txn;
    (void)nanoseconds;
}

static int64_t
fake_start_us(const struct luma_txn *txn)
{
    (void)txn;
    return 0;
}

static luma_rc
fake_commit_get(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t *out_commit)
{
    *out_commit = 0;
    return fake_commit(ctx, txn);
}

static const struct luma_host_txn fake_txn = {
    .head = {sizeof(struct luma_host_txn), 1, 0},
    .begin = fake_begin,
    .statement_begin = fake_statement_begin,
    .commit = fake_commit,
    .commit_get = fake_commit_get,
    .rollback = fake_rollback,
    .savepoint = fake_savepoint,
    .rollback_to = fake_rollback_to,
    .release = fake_release,
    .isolation = fake_isolation,
    .is_read_only = fake_is_read_only,
    .set_read_only = fake_set_read_only,
    .set_lock_timeout = fake_set_lock_timeout,
    .start_us = fake_start_us,
};

static struct luma_cat_object roles[3], database;

static const struct luma_cat_view *
fake_view(struct luma_txn *txn)
{
    (void)txn;
    return (const struct luma_cat_view *)roles;
}

static void
fake_view_release(const struct luma_cat_view *view)
{
    (void)view;
}

static const struct luma_cat_object *
fake_find(const struct luma_cat_view *view, enum luma_cat_kind kind, const char *name)
{
    (void)view;
    for (size_t i = 0; kind == LUMA_CAT_ROLE && i < LUMA_COUNTOF(roles); i++)
        if (roles[i].name != NULL && strcmp(roles[i].name, name) == 0)
            return &roles[i];
    return kind == LUMA_CAT_DATABASE && strcmp(name, database.name) == 0 ? &database : NULL;
}

static luma_rc
fake_check(struct luma_ctx *ctx, const struct luma_cat_view *view,
           const struct luma_cat_object *object, uint32_t col_id, uint32_t rights)
{
    (void)ctx;
    (void)view;
    (void)object;
    (void)col_id;
    (void)rights;
    return LUMA_OK;
}

static const struct luma_host_catalog fake_catalog = {
    .head = {sizeof(struct luma_host_catalog), 1, 0},
    .view = fake_view,
    .release = fake_view_release,
    .find = fake_find,
    .check = fake_check,
};

static const char zone_utc[] = "UTC", zone_berlin[] = "Europe/Berlin";

static const struct luma_zone *
fake_zone_find(const char *name)
{
    if (strcmp(name, "UTC") == 0)
        return (const struct luma_zone *)(const void *)zone_utc;
    if (strcasecmp(name, "europe/berlin") == 0)
        return (const struct luma_zone *)(const void *)zone_berlin;
    return NULL;
}

static const char *
fake_zone_name(const struct luma_zone *zone)
{
    return (const char *)zone;
}

static const struct luma_host_data fake_data = {
    .head = {sizeof(struct luma_host_data), 1, 0},
    .zone_find = fake_zone_find,
    .zone_name = fake_zone_name,
};

/* --- one session --- */

static struct luma_session *s;
static struct luma_ctx *ctx;
static char notices[2000], reports[2000];
static struct lk_session_conf conf = {
    .token_ttl = 3600000000000, .tokens_max = 3, .auth_failures = 5, .timezone = "UTC"};

static void
on_notice(void *arg, const char *severity, const char *sqlstate, const char *message,
          const char *detail, const char *hint)
{
    (void)arg;
    (void)detail;
    (void)hint;
    size_t at = strlen(notices);
    snprintf(notices + at, sizeof(notices) - at, "%s %s %s\n", severity, sqlstate, message);
}

static void
on_parameter(void *arg, const char *name, const char *value)
{
    (void)arg;
    size_t at = strlen(reports);
    snprintf(reports + at, sizeof(reports) - at, "%s=%s\n", name, value);
}

/* Of the password "pencil". */
static const char verifier[] =
    "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$nQpbZ77WudtqufPwikHXGR"
    "t6g2QJ4zns8bZLw273DRM=:jn2amWP1q1h+jgjy0YTO14S6/F02SV7taipOeB7ef20=";

static void
start(void)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    struct lk_sched_conf sched_conf;
    lk_sched_conf_default(&sched_conf);
    ck_assert_int_eq(lk_sched_start(&c.ctx, &sched_conf), LUMA_OK);
    struct lk_session_parts parts = {&fake_txn, &fake_catalog, &fake_data};
    ck_assert_int_eq(lk_session_start(&c.ctx, &conf, &parts), LUMA_OK);
    static const char *const settings[] = {"work_mem=8MB", "nonsense=1"};
    roles[0] = (struct luma_cat_object){.id = 10,
                                        .name = "lumadb",
                                        .superuser = true,
                                        .can_login = true,
                                        .first_run = true,
                                        .verifier = verifier};
    roles[1] = (struct luma_cat_object){.id = 11,
                                        .name = "bob",
                                        .can_login = true,
                                        .verifier = verifier,
                                        .settings_count = 2,
                                        .settings = settings};
    roles[2] = (struct luma_cat_object){.id = 12, .name = "group"};
    database = (struct luma_cat_object){.id = 5, .name = "default"};
    begun = committed = rolled_back = statements = 0;
    commit_rc = LUMA_OK;
    notices[0] = reports[0] = '\0';
    struct luma_session_hooks hooks = {.notice = on_notice, .parameter = on_parameter};
    ck_assert_int_eq(ses->open("test", NULL, &hooks, &s), LUMA_OK);
    ctx = ses->ctx(s);
}

static void
stop(void)
{
    ses->close(s);
    lk_session_stop();
    lk_sched_stop();
}

static void
begin(void)
{
    ses->request_begin(s, "text", 4);
}

#define SET_OK(name, value)                                                      \
    ck_assert_msg(ses->setting_set(ctx, s, name, value, false) == LUMA_OK, "%s", \
                  ctx->error->message)
#define SHOWS(name, value) ck_assert_str_eq(ses->setting(s, name), value)

static void
set_fails(const char *name, const char *value, const char *sqlstate)
{
    luma_error_reset(ctx->error);
    ck_assert_int_ne(ses->setting_set(ctx, s, name, value, false), LUMA_OK);
    ck_assert_str_eq(ctx->error->sqlstate, sqlstate);
    luma_error_reset(ctx->error);
}

START_TEST(settings_are_checked_and_shown_as_postgresql_does)
{
    begin();
    SHOWS("statement_timeout", "0");
    SET_OK("Statement_Timeout", "90000");
    SHOWS("statement_timeout", "90s");
    SET_OK("statement_timeout", "1.5min");
    SHOWS("statement_timeout", "90s");
    SET_OK("work_mem", "65536");
    SHOWS("work_mem", "64MB");
    SET_OK("enable_seqscan", "F");
    SHOWS("enable_seqscan", "off");
    SET_OK("TimeZone", "europe/berlin");
    SHOWS("timezone", "Europe/Berlin");
    ck_assert_ptr_eq(ses->format(s)->zone, zone_berlin);
    SET_OK("DateStyle", "German, YMD");
    SHOWS("datestyle", "German, YMD");
    ck_assert_uint_eq(ses->format(s)->date_style, 3);
    SET_OK("client_encoding", "utf-8");
    SHOWS("client_encoding", "UTF8");
    SET_OK("extra_float_digits", "3");
    ck_assert_int_eq(ses->format(s)->extra_float_digits, 3);
    SET_OK("my.own", "anything");
    SHOWS("MY.own", "anything");
    ck_assert_ptr_null(ses->setting(s, "no_such"));
    set_fails("no_such", "1", "42704");
    set_fails("statement_timeout", "5 parsecs", "22023");
    set_fails("statement_timeout", "-1", "22023");
    set_fails("enable_seqscan", "maybe", "22023");
    set_fails("client_encoding", "LATIN1", "22023");
    set_fails("server_version", "16", "55P02");
    set_fails("timezone", "Nowhere/Land", "22023");
    ck_assert_ptr_nonnull(strstr(reports, "TimeZone=Europe/Berlin\n"));
    ck_assert_ptr_null(strstr(reports, "work_mem"));
    SET_OK("work_mem", NULL);
    SHOWS("work_mem", "4MB");
    ck_assert_ptr_nonnull(strstr(ses->setting(s, "server_version"), "15.0 (LumaDB"));
}
END_TEST

START_TEST(what_login_sets_is_what_reset_goes_back_to)
{
    SET_OK("application_name", "early");
    begin();
    SET_OK("application_name", "late");
    SHOWS("application_name", "late");
    SET_OK("application_name", NULL);
    SHOWS("application_name", "early");
}
END_TEST

START_TEST(a_rollback_takes_settings_back_and_local_ends_with_the_block)
{
    bool back = false;
    struct luma_txn *txn = NULL;
    begin();
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    SET_OK("work_mem", "1MB");
    ck_assert_int_eq(ses->setting_set(ctx, s, "TimeZone", "Europe/Berlin", true), LUMA_OK);
    ck_assert_int_eq(ses->block_savepoint(ctx, s, "a"), LUMA_OK);
    SET_OK("work_mem", "2MB");
    ck_assert_int_eq(ses->block_rollback_to(ctx, s, "a"), LUMA_OK);
    SHOWS("work_mem", "1MB");
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ck_assert_int_eq(ses->block_commit(ctx, s, &back), LUMA_OK);
    ck_assert(!back);
    SHOWS("work_mem", "1MB");
    SHOWS("timezone", "UTC");
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    SET_OK("work_mem", "3MB");
    ck_assert_int_eq(ses->block_rollback(ctx, s), LUMA_OK);
    SHOWS("work_mem", "1MB");
    ck_assert_int_eq(ses->setting_set(ctx, s, "work_mem", "9MB", true), LUMA_OK);
    SHOWS("work_mem", "1MB");
    ck_assert_ptr_nonnull(strstr(notices, "WARNING 25P01 SET LOCAL"));
}
END_TEST

START_TEST(an_implicit_transaction_lives_as_long_as_its_message)
{
    struct luma_txn *txn = NULL, *again = NULL;
    begin();
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ses->statement_end(s, LUMA_OK);
    ck_assert(ses->in_implicit(s));
    ck_assert_int_eq(ses->statement_begin(ctx, s, &again), LUMA_OK);
    ck_assert_ptr_eq(txn, again);
    ck_assert_int_eq(ses->implicit_commit(ctx, s), LUMA_OK);
    ck_assert_int_eq(committed, 1);
    ck_assert(!ses->in_implicit(s));
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ses->statement_end(s, LUMA_E_DATA);
    ck_assert_int_eq(rolled_back, 1);
    ck_assert_ptr_null(ses->txn(s));
    commit_rc = LUMA_E_IO;
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ck_assert_int_eq(ses->implicit_commit(ctx, s), LUMA_E_IO);
    ck_assert_ptr_null(ses->txn(s));
}
END_TEST

START_TEST(a_failed_block_refuses_until_its_end_or_a_savepoint)
{
    struct luma_txn *txn = NULL;
    bool back = false;
    begin();
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    ck_assert_ptr_nonnull(strstr(notices, "25001 there is already a transaction"));
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ck_assert_int_eq(ses->block_savepoint(ctx, s, "sp"), LUMA_OK);
    ses->statement_end(s, LUMA_E_DATA);
    ck_assert_int_eq(ses->block_state(s), LUMA_BLOCK_FAILED);
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_E_ABORTED);
    ck_assert_str_eq(ctx->error->sqlstate, "25P02");
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->block_rollback_to(ctx, s, "nope"), LUMA_E_TXNSTATE);
    ck_assert_str_eq(ctx->error->sqlstate, "3B001");
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->block_rollback_to(ctx, s, "sp"), LUMA_OK);
    ck_assert_int_eq(ses->block_state(s), LUMA_BLOCK_OPEN);
    ck_assert_int_eq(ses->block_release(ctx, s, "sp"), LUMA_OK);
    ses->statement_end(s, LUMA_E_DATA);
    ck_assert_int_eq(rolled_back, 1); /* no savepoint: its locks go at once */
    ck_assert_int_eq(ses->block_commit(ctx, s, &back), LUMA_OK);
    ck_assert(back);
    ck_assert_int_eq(ses->block_state(s), LUMA_BLOCK_IDLE);
    ck_assert_int_eq(ses->block_commit(ctx, s, &back), LUMA_OK);
    ck_assert_ptr_nonnull(strstr(notices, "25P01 there is no transaction in progress"));
}
END_TEST

START_TEST(levels_come_from_begin_set_transaction_or_the_default)
{
    struct luma_txn *txn = NULL;
    begin();
    SHOWS("transaction_isolation", "read committed");
    SET_OK("default_transaction_isolation", "Repeatable Read");
    SHOWS("transaction_isolation", "repeatable read");
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    SET_OK("transaction_isolation", "read committed");
    SET_OK("transaction_read_only", "on");
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ck_assert_int_eq(txn->isolation, LUMA_READ_COMMITTED);
    ck_assert(txn->read_only);
    SHOWS("transaction_read_only", "on");
    set_fails("transaction_isolation", "repeatable read", "25001");
    ck_assert_int_eq(ses->block_rollback(ctx, s), LUMA_OK);
    ck_assert_int_eq(ses->statement_begin(ctx, s, &txn), LUMA_OK);
    ck_assert_int_eq(txn->isolation, LUMA_REPEATABLE_READ);
}
END_TEST

START_TEST(login_asks_the_catalogue)
{
    ck_assert_int_eq(ses->check_password(ctx, s, "bob", "pencil"), LUMA_OK);
    ck_assert_int_eq(ses->check_password(ctx, s, "bob", "pen"), LUMA_E_AUTH);
    ck_assert_str_eq(ctx->error->sqlstate, "28P01");
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->check_password(ctx, s, "nobody", "pencil"), LUMA_E_AUTH);
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->login(ctx, s, "group", "default"), LUMA_E_AUTH);
    ck_assert_str_eq(ctx->error->sqlstate, "28000");
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->login(ctx, s, "bob", "nowhere"), LUMA_E_NOTFOUND);
    ck_assert_str_eq(ctx->error->sqlstate, "3D000");
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->login(ctx, s, "bob", "default"), LUMA_OK);
    ck_assert_str_eq(ses->user(s), "bob");
    ck_assert_uint_eq(lk_session_role(s), 11);
    SHOWS("work_mem", "8MB");
    SHOWS("is_superuser", "off");
    ck_assert_ptr_nonnull(strstr(notices, "nonsense"));
    luma_error_reset(ctx->error);

    struct luma_scram a, b;
    bool known = true;
    ck_assert_int_eq(ses->scram(ctx, "nobody", &a, &known), LUMA_OK);
    ck_assert(!known);
    ck_assert_int_eq(ses->scram(ctx, "nobody", &b, &known), LUMA_OK);
    ck_assert_mem_eq(a.salt, b.salt, sizeof(a.salt));
    ck_assert_uint_eq(a.iterations, 4096);
}
END_TEST

START_TEST(tokens_open_end_and_are_revoked)
{
    char text[65], other[65];
    int64_t expires = 0;
    ck_assert_int_eq(ses->token_issue(ctx, s, 60, text, &expires), LUMA_E_AUTH);
    luma_error_reset(ctx->error);
    ck_assert_int_eq(ses->login(ctx, s, "lumadb", "default"), LUMA_OK);
    ck_assert_int_eq(ses->token_issue(ctx, s, 60, text, &expires), LUMA_OK);
    ck_assert_int_eq(ses->token_issue(ctx, s, 3600, other, &expires), LUMA_OK);
    ck_assert_uint_eq(strlen(text), 64);
    ck_assert_str_ne(text, other);
    struct luma_session *t = NULL;
    ck_assert_int_eq(ses->open("test", NULL, NULL, &t), LUMA_OK);
    ck_assert_int_eq(ses->token_login(ses->ctx(t), t, text), LUMA_OK);
    ck_assert_str_eq(ses->user(t), "lumadb");
    ck_assert_int_eq(ses->token_revoke(ctx, text), LUMA_OK);
    ck_assert_int_eq(ses->token_login(ses->ctx(t), t, text), LUMA_E_AUTH);
    for (int i = 0; i < 5; i++) /* three live at most: the first to end goes first */
        ck_assert_int_eq(ses->token_issue(ctx, s, 100u + (uint64_t)i, text, &expires), LUMA_OK);
    luma_error_reset(ses->ctx(t)->error);
    ck_assert_int_eq(ses->token_login(ses->ctx(t), t, other), LUMA_OK);
    conf.requests_per_second = 5;
    luma_rc rc = LUMA_OK;
    for (int i = 0; i < 20 && rc == LUMA_OK; i++)
        rc = ses->token_login(ses->ctx(t), t, other);
    conf.requests_per_second = 0;
    ck_assert_int_eq(rc, LUMA_E_RATE);
    ses->close(t);
}
END_TEST

START_TEST(cancel_wants_the_key_and_somebody_at_work)
{
    uint32_t pid = 0, secret = 0;
    ses->cancel_key(s, &pid, &secret);
    ck_assert(!ses->cancel(pid, secret + 1));
    ck_assert(ses->cancel(pid, secret)); /* idle: found, nothing to stop */
    begin();
    ck_assert_int_eq(lk_sched_host.yield(ctx), LUMA_OK);
    ck_assert(ses->cancel(pid, secret));
    ck_assert_int_eq(lk_sched_host.yield(ctx), LUMA_E_CANCELED);
    ses->request_end(s);
    begin();
    ck_assert_int_eq(lk_sched_host.yield(ctx), LUMA_OK);
    SET_OK("statement_timeout", "1ms");
    ses->request_end(s);
    begin();
    ck_assert_int_eq(lk_sched_host.sleep(ctx, 5000000000u), LUMA_E_TIMEOUT);
    ck_assert(ses->cancel_pid(pid, true));
    begin();
    ck_assert_int_eq(lk_sched_host.yield(ctx), LUMA_E_SHUTDOWN);
    ck_assert(!ses->cancel_pid(pid + 12345, false));
}
END_TEST

static void
see(void *arg, const struct luma_session_info *info)
{
    char *out = arg;
    size_t at = strlen(out);
    snprintf(out + at, 500 - at, "%s|%s|%s;", info->frontend, info->state, info->statement);
}

static int slot_freed;

static void
slot_fini(void *content)
{
    slot_freed += *(int *)content;
}

START_TEST(views_see_sessions_and_modules_keep_their_slots)
{
    char out[500] = "";
    static const char owner_a, owner_b;
    static int content = 7;
    ses->request_begin(s, "SELECT 1", 8);
    ses->each(see, out);
    ck_assert_str_eq(out, "test|active|SELECT 1;");
    ck_assert_int_eq(ses->block_begin(ctx, s, NULL), LUMA_OK);
    ses->request_end(s);
    out[0] = '\0';
    ses->each(see, out);
    ck_assert_str_eq(out, "test|idle in transaction|SELECT 1;");
    void **a = ses->slot(s, &owner_a, slot_fini), **b = ses->slot(s, &owner_b, NULL);
    ck_assert_ptr_ne(a, b);
    ck_assert_ptr_null(*a);
    *a = &content;
    ck_assert_ptr_eq(*ses->slot(s, &owner_a, slot_fini), &content);
    struct luma_session *t = NULL;
    ck_assert_int_eq(ses->open("test", NULL, NULL, &t), LUMA_OK);
    *ses->slot(t, &owner_a, slot_fini) = &content;
    ses->close(t);
    ck_assert_int_eq(slot_freed, 7);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("session");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, settings_are_checked_and_shown_as_postgresql_does);
    tcase_add_test(tc, what_login_sets_is_what_reset_goes_back_to);
    tcase_add_test(tc, a_rollback_takes_settings_back_and_local_ends_with_the_block);
    tcase_add_test(tc, an_implicit_transaction_lives_as_long_as_its_message);
    tcase_add_test(tc, a_failed_block_refuses_until_its_end_or_a_savepoint);
    tcase_add_test(tc, levels_come_from_begin_set_transaction_or_the_default);
    tcase_add_test(tc, login_asks_the_catalogue);
    tcase_add_test(tc, tokens_open_end_and_are_revoked);
    tcase_add_test(tc, cancel_wants_the_key_and_somebody_at_work);
    tcase_add_test(tc, views_see_sessions_and_modules_keep_their_slots);
    return test_run("session", tc);
}
