/*
 * session.c - sessions: life, the list of all, cancelling, and the table that modules get.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "session/session_priv.h"

struct lki_sessions lki_sessions = {.lock = LK_MUTEX_INIT(LK_LOCK_SESSIONS)};

const struct luma_conf_item lk_session_conf_items[] = {
    LUMA_CONF_DURATION(struct lk_session_conf, token_ttl, .def = 86400000000000, .min = 1000000000,
                       .max = 31536000000000000, .flags = LUMA_CONF_RELOAD,
                       .help = "longest life of a bearer token"),
    LUMA_CONF_INT(struct lk_session_conf, tokens_max, .def = 10000, .min = 1, .max = 10000000,
                  .unit = "tokens", .flags = LUMA_CONF_RELOAD,
                  .help = "live bearer tokens; one more ends the one that would expire first"),
    LUMA_CONF_INT(struct lk_session_conf, auth_failures, .def = 100, .min = 0, .max = 1000000,
                  .flags = LUMA_CONF_RELOAD,
                  .help = "failed logins of one address within a minute before it must wait; 0: no "
                          "limit"),
    LUMA_CONF_INT(struct lk_session_conf, requests_per_second, .def = 0, .min = 0,
                  .max = 1000000000, .flags = LUMA_CONF_RELOAD,
                  .help = "requests a bearer token may make in a second; 0: no limit"),
    LUMA_CONF_BYTES(struct lk_session_conf, statement_memory, .def = 0, .min = 0, .max = INT64_MAX,
                    .flags = LUMA_CONF_RELOAD,
                    .help = "memory the statements of one session may hold; 0: the server's limit"),
    LUMA_CONF_TEXT(struct lk_session_conf, timezone, .sdef = "UTC", .flags = LUMA_CONF_RELOAD,
                   .help = "time zone of sessions that set none"),
    LUMA_CONF_END,
};

/* --- all of them --- */

luma_rc
lk_session_start(struct luma_ctx *ctx, const struct lk_session_conf *conf,
                 const struct lk_session_parts *parts)
{
    (void)ctx;
    lk_list_init(&lki_sessions.list);
    atomic_store(&lki_sessions.conf, conf);
    lki_sessions.parts = *parts;
    lk_io_random(lk_io_posix(), lki_sessions.secret, sizeof(lki_sessions.secret));
    lki_sessions.stat_open =
        lk_stat_open(LUMA_STAT_GAUGE, "lumadb_sessions", "", "sessions", "sessions that are open");
    lki_sessions.stat_total = lk_stat_open(LUMA_STAT_COUNTER, "lumadb_sessions_total", "",
                                           "sessions", "sessions opened since the start");
    lki_sessions.running = true;
    return LUMA_OK;
}

void
lk_session_reload(const struct lk_session_conf *conf)
{
    atomic_store(&lki_sessions.conf, conf);
}

void
lk_session_stop(void)
{
    lki_tokens_clear();
    lki_sessions.running = false;
}

uint64_t
lk_session_role(const struct luma_session *session)
{
    return session == NULL ? 0 : session->role_id;
}

/* --- life --- */

static void
session_free(struct luma_session *s)
{
    for (uint32_t i = s->slots_count; i-- > 0;)
        if (s->slots[i].fini != NULL && s->slots[i].content != NULL)
            s->slots[i].fini(s->slots[i].content);
    free(s->slots);
    lki_settings_fini(s);
    lk_arena_destroy(s->arena_statement);
    lk_arena_destroy(s->arena_session);
    lk_budget_destroy(s->budget);
    lk_mutex_fini(&s->lock);
    s->magic = 0;
    free(s);
}

static const struct luma_cat_object *
made_type(const struct luma_session *s, uint32_t id)
{
    const struct luma_host_catalog *catalog = lki_sessions.parts.catalog;
    if (s->txn == NULL)
        return NULL;
    const struct luma_cat_object *o = catalog->by_id(catalog->view(s->txn), id);
    return o != NULL && o->kind == LUMA_CAT_TYPE ? o : NULL;
}

/* The array type's id is the one after the type's own. Whoever asks copies the name at once. */
static const char *
made_type_name(const struct luma_session *s, uint32_t oid)
{
    static _Thread_local char text[80];
    const struct luma_cat_object *o = made_type(s, oid);
    if (o != NULL)
        return o->name;
    o = oid > 0 ? made_type(s, oid - 1) : NULL;
    if (o == NULL)
        return NULL;
    snprintf(text, sizeof(text), "%s[]", o->name);
    return text;
}

/* The name of an object for regclass and its kin; NULL: shown as a number. */
static const char *
session_regname(void *arg, enum luma_type_id id, uint32_t oid)
{
    struct luma_session *s = arg;
    if (id == LUMA_TYPE_REGTYPE) {
        const struct luma_type_info *info = lki_sessions.parts.data->type_by_oid(oid);
        return info == NULL ? made_type_name(s, oid) : info->sql_name;
    }
    if (s->txn == NULL || (id != LUMA_TYPE_REGCLASS && id != LUMA_TYPE_REGNAMESPACE))
        return NULL;
    const struct luma_host_catalog *catalog = lki_sessions.parts.catalog;
    const struct luma_cat_object *object = catalog->by_id(catalog->view(s->txn), oid);
    return object == NULL ? NULL : object->name;
}

static const char *
session_type_name(void *arg, uint32_t type_id)
{
    const struct luma_cat_object *o = made_type(arg, type_id);
    return o != NULL ? o->name : NULL;
}

static const char *
session_enum_label(void *arg, uint32_t type_id, int64_t place)
{
    const struct luma_cat_object *o = made_type(arg, type_id);
    size_t low = 0, high = o != NULL ? o->labels_count : 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (o->labels[mid].place < place)
            low = mid + 1;
        else
            high = mid;
    }
    return o != NULL && low < o->labels_count && o->labels[low].place == place ? o->labels[low].name
                                                                               : NULL;
}

static bool
session_enum_place(void *arg, uint32_t type_id, struct luma_slice label, int64_t *out_place)
{
    const struct luma_cat_object *o = made_type(arg, type_id);
    for (uint32_t i = 0; o != NULL && i < o->labels_count; i++)
        if (strlen(o->labels[i].name) == label.bytes &&
            memcmp(o->labels[i].name, label.data, label.bytes) == 0) {
            *out_place = o->labels[i].place;
            return true;
        }
    return false;
}

static void
session_describe(struct luma_session *s, const char *frontend)
{
    snprintf(s->frontend, sizeof(s->frontend), "%s", frontend);
    if (s->conn != NULL)
        snprintf(s->peer, sizeof(s->peer), "%s", lk_net_host.peer(s->conn));
    s->started_us = s->state_changed_us = lki_wall_us();
}

static luma_rc
session_open(const char *frontend, struct luma_conn *conn, const struct luma_session_hooks *hooks,
             struct luma_session **out_session)
{
    const struct lk_session_conf *conf = atomic_load(&lki_sessions.conf);
    if (!lki_sessions.running)
        return LUMA_E_SHUTDOWN;
    struct luma_session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return LUMA_E_NOMEM;
    lk_mutex_init(&s->lock, LK_LOCK_SESSION);
    s->magic = LKI_SESSION_MAGIC;
    s->conn = conn;
    if (hooks != NULL)
        s->hooks = *hooks;
    s->starting = true;
    s->format.regname = session_regname;
    s->format.enum_label = session_enum_label;
    s->format.enum_place = session_enum_place;
    s->format.type_name = session_type_name;
    s->format.arg = s;
    s->budget = lk_budget_create(NULL, "session", (size_t)conf->statement_memory);
    s->arena_session = s->budget == NULL ? NULL : lk_arena_create(s->budget, 0);
    s->arena_statement = s->budget == NULL ? NULL : lk_arena_create(s->budget, 0);
    if (s->arena_session == NULL || s->arena_statement == NULL) {
        session_free(s);
        return LUMA_E_NOMEM;
    }
    lk_ctx_init(&s->c, s->arena_statement);
    s->c.ctx.session = s;
    s->c.ctx.cancel = &s->cancel;
    session_describe(s, frontend);
    lki_settings_init(s);
    lk_io_random(lk_io_posix(), &s->secret, sizeof(s->secret));
    lk_mutex_lock(&lki_sessions.lock);
    s->pid = atomic_fetch_add(&lki_sessions.next_pid, 1) % 0x7ffffffe + 1;
    lk_list_push_back(&lki_sessions.list, &s->link);
    lk_mutex_unlock(&lki_sessions.lock);
    lk_stat_add(lki_sessions.stat_open, 1);
    lk_stat_add(lki_sessions.stat_total, 1);
    *out_session = s;
    return LUMA_OK;
}

static void
session_close(struct luma_session *s)
{
    if (s == NULL)
        return;
    LK_ASSERT(s->magic == LKI_SESSION_MAGIC);
    lk_mutex_lock(&lki_sessions.lock);
    lk_list_remove(&s->link); /* nobody finds it any more */
    lk_mutex_unlock(&lki_sessions.lock);
    memset(&s->hooks, 0, sizeof(s->hooks));
    lki_block_drop(s);
    session_free(s);
    lk_stat_add(lki_sessions.stat_open, -1);
}

static struct luma_ctx *
session_ctx(struct luma_session *s)
{
    return &s->c.ctx;
}

static void
session_request_begin(struct luma_session *s, const char *text, size_t bytes)
{
    s->arena_statement->reset(s->arena_statement);
    luma_error_reset(&s->c.error);
    s->starting = false;
    uint64_t deadline_ns =
        s->statement_timeout_ns == 0 ? 0 : lk_io_now_ns(lk_io_posix()) + s->statement_timeout_ns;
    int64_t now_us = lki_wall_us();
    /* What now() answers: a block keeps the time of its BEGIN. Counted from 2000-01-01. */
    s->format.statement_us = now_us - INT64_C(946684800000000);
    if (s->txn == NULL && s->block == LUMA_BLOCK_IDLE)
        s->format.now_us = s->format.statement_us;
    if (bytes >= sizeof(s->statement))
        bytes = sizeof(s->statement) - 1;
    lk_mutex_lock(&s->lock);
    s->cancel.deadline_ns = deadline_ns;
    __atomic_store_n(&s->cancel.flag,
                     atomic_load_explicit(&s->terminated, memory_order_relaxed)
                         ? 1 + (uint32_t)-LUMA_E_SHUTDOWN
                         : 0,
                     __ATOMIC_RELAXED);
    s->active = true;
    s->statement_started_us = s->state_changed_us = now_us;
    if (text != NULL) {
        memcpy(s->statement, text, bytes);
        s->statement[bytes] = '\0';
    }
    lk_mutex_unlock(&s->lock);
}

static void
session_request_end(struct luma_session *s)
{
    int64_t now_us = lki_wall_us();
    lk_mutex_lock(&s->lock);
    s->active = false;
    s->shown_block = s->block;
    s->state_changed_us = now_us;
    s->cancel.deadline_ns = 0;
    __atomic_store_n(&s->cancel.flag, 0, __ATOMIC_RELAXED);
    lk_mutex_unlock(&s->lock);
}

/* --- identity --- */

static const char *
session_user(const struct luma_session *s)
{
    return s->user;
}

static uint64_t
session_user_id(const struct luma_session *s)
{
    return s->role_id;
}

static bool
session_is_superuser(const struct luma_session *s)
{
    return s->superuser;
}

static const char *
session_database(const struct luma_session *s)
{
    return s->database;
}

/* --- cancelling and looking --- */

static void
session_cancel_key(const struct luma_session *s, uint32_t *out_pid, uint32_t *out_secret)
{
    *out_pid = s->pid;
    *out_secret = s->secret;
}

/* Locked list. */
static struct luma_session *
session_find(uint32_t pid)
{
    LK_LIST_FOR (&lki_sessions.list, s, struct luma_session, link) {
        if (s->pid == pid)
            return s;
    }
    return NULL;
}

/* Locked list: s cannot close meanwhile. What is idle is not cancelled: its next request is not
 * what was meant. */
static void
session_stop_work(struct luma_session *s, luma_rc why)
{
    lk_mutex_lock(&s->lock);
    if (s->active)
        lk_sched_host.cancel(&s->cancel, why);
    lk_mutex_unlock(&s->lock);
}

static bool
session_cancel(uint32_t pid, uint32_t secret)
{
    lk_mutex_lock(&lki_sessions.lock);
    struct luma_session *s = session_find(pid);
    bool found = s != NULL && s->secret == secret;
    if (found)
        session_stop_work(s, LUMA_E_CANCELED);
    lk_mutex_unlock(&lki_sessions.lock);
    return found;
}

static bool
session_cancel_pid(uint32_t pid, bool terminate)
{
    lk_mutex_lock(&lki_sessions.lock);
    struct luma_session *s = session_find(pid);
    if (s != NULL && terminate) {
        atomic_store(&s->terminated, true);
        session_stop_work(s, LUMA_E_SHUTDOWN);
        if (s->conn != NULL)
            lk_net_host.interrupt(s->conn);
    } else if (s != NULL) {
        session_stop_work(s, LUMA_E_CANCELED);
    }
    lk_mutex_unlock(&lki_sessions.lock);
    return s != NULL;
}

static const char *
session_state_text(const struct luma_session *s)
{
    if (s->active)
        return "active";
    return s->shown_block == LUMA_BLOCK_IDLE   ? "idle"
           : s->shown_block == LUMA_BLOCK_OPEN ? "idle in transaction"
                                               : "idle in transaction (aborted)";
}

/* A copy of what views show: fn is called with no lock held. */
struct seen {
    uint32_t pid;
    const char *state;
    char frontend[32], user[LKI_NAME_BYTES], database[LKI_NAME_BYTES], peer[64];
    char application[LKI_NAME_BYTES], statement[LKI_STATEMENT_SHOWN];
    int64_t started_us, statement_started_us, state_changed_us;
};

static void
session_look(struct luma_session *s, struct seen *out)
{
    lk_mutex_lock(&s->lock);
    out->pid = s->pid;
    out->state = session_state_text(s);
    memcpy(out->frontend, s->frontend, sizeof(out->frontend));
    memcpy(out->user, s->user, sizeof(out->user));
    memcpy(out->database, s->database, sizeof(out->database));
    memcpy(out->peer, s->peer, sizeof(out->peer));
    memcpy(out->application, s->application, sizeof(out->application));
    memcpy(out->statement, s->statement, sizeof(out->statement));
    out->started_us = s->started_us;
    out->statement_started_us = s->statement_started_us;
    out->state_changed_us = s->state_changed_us;
    lk_mutex_unlock(&s->lock);
}

static struct seen *
sessions_look(size_t *out_count)
{
    size_t count = 0, n = 0;
    lk_mutex_lock(&lki_sessions.lock);
    LK_LIST_FOR (&lki_sessions.list, s, struct luma_session, link)
        count++;
    struct seen *all = calloc(count == 0 ? 1 : count, sizeof(*all));
    if (all != NULL) {
        LK_LIST_FOR (&lki_sessions.list, s, struct luma_session, link)
            session_look(s, &all[n++]);
    }
    lk_mutex_unlock(&lki_sessions.lock);
    *out_count = n;
    return all;
}

static void
session_each(void (*fn)(void *arg, const struct luma_session_info *info), void *arg)
{
    size_t count = 0;
    struct seen *all = sessions_look(&count);
    for (size_t i = 0; i < count; i++) {
        struct luma_session_info info = {
            .pid = all[i].pid,
            .user = all[i].user,
            .database = all[i].database,
            .frontend = all[i].frontend,
            .peer = all[i].peer,
            .application = all[i].application,
            .state = all[i].state,
            .statement = all[i].statement,
            .started_us = all[i].started_us,
            .statement_started_us = all[i].statement_started_us,
            .state_changed_us = all[i].state_changed_us,
        };
        fn(arg, &info);
    }
    free(all);
}

/* --- notices --- */

/* Rank in client_min_messages' order. */
static int
severity_rank(const char *severity)
{
    static const char *const ranks[] = {"debug5", "debug4", "debug3", "debug2",  "debug1", "debug",
                                        "info",   "log",    "notice", "warning", "error"};
    for (size_t i = 0; i < LUMA_COUNTOF(ranks); i++)
        if (strcasecmp(severity, ranks[i]) == 0)
            return (int)i;
    return 100;
}

void
lki_session_notice(struct luma_session *s, const char *severity, const char *sqlstate,
                   const char *fmt, ...)
{
    const char *least = lki_setting_at(s, LKI_SET_CLIENT_MIN_MESSAGES);
    bool always = strcasecmp(severity, "INFO") == 0;
    if (s->hooks.notice == NULL || (!always && severity_rank(severity) < severity_rank(least)))
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    s->hooks.notice(s->hooks.arg, severity, sqlstate, text, NULL, NULL);
}

static bool
session_in_implicit(const struct luma_session *s)
{
    return s->txn != NULL && s->block == LUMA_BLOCK_IDLE;
}

static enum luma_block_state
session_block_state(const struct luma_session *s)
{
    return s->block;
}

static struct luma_txn *
session_txn(struct luma_session *s)
{
    return s->txn;
}

static const struct luma_format *
session_format(struct luma_session *s)
{
    return &s->format;
}

static void **
session_slot(struct luma_session *s, const void *owner, void (*fini)(void *content))
{
    for (uint32_t i = 0; i < s->slots_count; i++)
        if (s->slots[i].owner == owner)
            return &s->slots[i].content;
    /* Addresses are handed out: room for all the modules there may be, once. */
    if (s->slots == NULL)
        s->slots = calloc(LKI_SLOTS_MAX, sizeof(*s->slots));
    if (s->slots == NULL || s->slots_count == LKI_SLOTS_MAX)
        return NULL;
    struct lki_slot *slot = &s->slots[s->slots_count++];
    slot->owner = owner;
    slot->fini = fini;
    return &slot->content;
}

static struct luma_arena *
session_arena(struct luma_session *s)
{
    return s->arena_session;
}

static struct luma_budget *
session_budget(struct luma_session *s)
{
    return s->budget;
}

static uint64_t
session_idle_timeout_ns(const struct luma_session *s)
{
    return s->block == LUMA_BLOCK_IDLE ? s->idle_ns : s->idle_block_ns;
}

static void
session_before_commit(struct luma_session *s,
                      luma_rc (*fn)(struct luma_ctx *ctx, struct luma_session *session,
                                    struct luma_txn *txn, void *arg),
                      void *arg)
{
    s->before_commit = fn;
    s->before_commit_arg = arg;
}

const struct luma_host_session lk_session_host = {
    .head = {sizeof(struct luma_host_session), 1, 0},
    .open = session_open,
    .close = session_close,
    .ctx = session_ctx,
    .request_begin = session_request_begin,
    .request_end = session_request_end,
    .scram = lki_auth_scram,
    .check_password = lki_auth_check_password,
    .login = lki_auth_login,
    .token_issue = lki_token_issue,
    .token_login = lki_token_login,
    .token_revoke = lki_token_revoke,
    .user = session_user,
    .user_id = session_user_id,
    .is_superuser = session_is_superuser,
    .database = session_database,
    .cancel_key = session_cancel_key,
    .cancel = session_cancel,
    .cancel_pid = session_cancel_pid,
    .each = session_each,
    .notice = lki_session_notice,
    .setting = lki_setting_get,
    .setting_set = lki_setting_set,
    .setting_each = lki_setting_each,
    .format = session_format,
    .statement_begin = lki_statement_begin,
    .statement_end = lki_statement_end,
    .implicit_commit = lki_implicit_commit,
    .in_implicit = session_in_implicit,
    .block_begin = lki_block_begin,
    .block_commit = lki_block_commit,
    .block_rollback = lki_block_rollback,
    .block_savepoint = lki_block_savepoint,
    .block_rollback_to = lki_block_rollback_to,
    .block_release = lki_block_release,
    .block_state = session_block_state,
    .txn = session_txn,
    .slot = session_slot,
    .arena = session_arena,
    .budget = session_budget,
    .idle_timeout_ns = session_idle_timeout_ns,
    .before_commit = session_before_commit,
    .login_failed = lki_failures_note,
};
