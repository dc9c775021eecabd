/*
 * settings.c - SET, SHOW, RESET, DISCARD. The settings themselves are the kernel's.
 */
#include <stdio.h>

#include "sql.h"

/* ---- values ---- */

static const char *
const_text(struct luma_ctx *ctx, const PgQuery__AConst *c)
{
    char text[64];
    switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_SVAL:
        return c->sval->sval;
    case PG_QUERY__A__CONST__VAL_FVAL:
        return c->fval->fval;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        return c->boolval->boolval ? "on" : "off";
    default:
        snprintf(text, sizeof(text), "%d",
                 c->val_case == PG_QUERY__A__CONST__VAL_IVAL ? c->ival->ival : 0);
        return luma_arena_text(ctx->arena, text, strlen(text));
    }
}

static bool
is_plain_name(const char *text)
{
    if (!((text[0] >= 'a' && text[0] <= 'z') || text[0] == '_'))
        return false;
    for (; *text != '\0'; text++)
        if (!((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || *text == '_'))
            return false;
    return true;
}

/* NULL, like those below: no memory. */
static const char *
arg_text(struct luma_ctx *ctx, const PgQuery__Node *arg, bool list)
{
    const char *text = "";
    if (arg->node_case == PGN(A_CONST))
        text = const_text(ctx, arg->a_const);
    else if (arg->node_case == PGN(TYPE_CAST) && arg->type_cast->arg->node_case == PGN(A_CONST))
        text = const_text(ctx, arg->type_cast->arg->a_const); /* INTERVAL '...' of TIME ZONE */
    if (!list || text == NULL || is_plain_name(text))
        return text;
    size_t bytes = strlen(text), n = 0;
    char *quoted = luma_arena_alloc(ctx->arena, bytes * 2 + 3);
    if (quoted == NULL)
        return NULL;
    quoted[n++] = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"')
            quoted[n++] = '"';
        quoted[n++] = text[i];
    }
    quoted[n++] = '"';
    quoted[n] = '\0';
    return quoted;
}

static const char *
args_text(struct luma_ctx *ctx, const PgQuery__VariableSetStmt *stmt)
{
    if (stmt->n_args == 1 && strcmp(stmt->name, "search_path") != 0)
        return arg_text(ctx, stmt->args[0], false);
    const char *text = "";
    bool list = strcmp(stmt->name, "search_path") == 0;
    for (size_t i = 0; i < stmt->n_args; i++) {
        const char *item = arg_text(ctx, stmt->args[i], list);
        if (item == NULL)
            return NULL;
        size_t bytes = strlen(text) + strlen(item) + 3;
        char *joined = luma_arena_alloc(ctx->arena, bytes);
        if (joined == NULL)
            return NULL;
        snprintf(joined, bytes, "%s%s%s", text, i == 0 ? "" : ", ", item);
        text = joined;
    }
    return text;
}

/* ---- SET ---- */

/* NULL resets. */
static luma_rc
set_one(struct sql_utility *u, const char *name, const char *value, bool local)
{
    if (local && sql_host->session->block_state(u->session) == LUMA_BLOCK_IDLE &&
        !sql_host->session->in_implicit(u->session)) {
        sql_host->session->notice(u->session, "WARNING", "25P01",
                                  "SET LOCAL can only be used in transaction blocks");
        return LUMA_OK;
    }
    LUMA_TRY(sql_host->session->setting_set(u->ctx, u->session, name, value, local));
    u->own->settings_generation++;
    return LUMA_OK;
}

static const char *
option_text(struct luma_ctx *ctx, const PgQuery__DefElem *def)
{
    return def->arg != NULL ? arg_text(ctx, def->arg, false) : "";
}

static luma_rc
set_text(struct sql_utility *u, const char *name, const char *value, bool local)
{
    return value == NULL ? LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory")
                         : set_one(u, name, value, local);
}

/* SET TRANSACTION ..., SET SESSION CHARACTERISTICS AS TRANSACTION ... */
static luma_rc
set_multi(struct sql_utility *u, const PgQuery__VariableSetStmt *stmt)
{
    bool session = strcmp(stmt->name, "SESSION CHARACTERISTICS") == 0;
    if (strcmp(stmt->name, "TRANSACTION SNAPSHOT") == 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "SET TRANSACTION SNAPSHOT is not supported");
    for (size_t i = 0; i < stmt->n_args; i++) {
        const PgQuery__DefElem *def = stmt->args[i]->def_elem;
        char name[64];
        const char *value = option_text(u->ctx, def);
        bool flag = strcmp(def->defname, "transaction_isolation") != 0;
        if (flag)
            value = def->arg != NULL && def->arg->node_case == PGN(A_CONST) &&
                            def->arg->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
                            def->arg->a_const->ival->ival != 0
                        ? "on"
                        : "off";
        snprintf(name, sizeof(name), "%s%s", session ? "default_" : "", def->defname);
        LUMA_TRY(set_text(u, name, value, !session));
    }
    return LUMA_OK;
}

/* Names with a spelling of their own in the grammar. */
static const char *
setting_name(const char *name)
{
    return strcmp(name, "timezone") == 0                ? "TimeZone"
           : strcmp(name, "session_authorization") == 0 ? "session_authorization"
                                                        : name;
}

static luma_rc
reset_name(void *arg, const char *name)
{
    struct sql_utility *u = arg;
    return set_one(u, name, NULL, false);
}

struct names {
    struct luma_arena *arena;
    const char **list;
    uint32_t count, room;
    bool failed;
};

static void
collect_name(void *arg, const struct luma_setting_info *info)
{
    struct names *names = arg;
    if (info->source != NULL && strcmp(info->source, "default") == 0)
        return;
    if (names->count == names->room)
        return;
    const char *name = luma_arena_text(names->arena, info->name, strlen(info->name));
    names->list[names->count++] = name;
    names->failed = names->failed || name == NULL;
}

static luma_rc
reset_all(struct sql_utility *u)
{
    struct names names = {u->ctx->arena, LUMA_NEW_ARRAY(u->ctx->arena, const char *, 512), 0, 512,
                          false};
    if (names.list != NULL)
        sql_host->session->setting_each(u->session, collect_name, &names);
    if (names.list == NULL || names.failed)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < names.count; i++)
        if (reset_name(u, names.list[i]) != LUMA_OK)
            luma_error_reset(u->ctx->error); /* what cannot be set cannot be reset either */
    return LUMA_OK;
}

static luma_rc
set(struct sql_utility *u, const PgQuery__VariableSetStmt *stmt)
{
    switch (stmt->kind) {
    case PG_VAR(SET_MULTI):
        return set_multi(u, stmt);
    case PG_VAR(RESET_ALL):
        return reset_all(u);
    case PG_VAR(RESET):
        return set_one(u, setting_name(stmt->name), NULL, false);
    case PG_VAR(SET_DEFAULT):
        return set_one(u, setting_name(stmt->name), NULL, stmt->is_local);
    default:
        return set_text(u, setting_name(stmt->name), args_text(u->ctx, stmt), stmt->is_local);
    }
}

/* No transaction takes back what was set outside of one: nothing can fail after it. */
luma_rc
sql_set(struct sql_utility *u)
{
    const PgQuery__VariableSetStmt *stmt = u->node->variable_set_stmt;
    bool reset = stmt->kind == PG_VAR(RESET) || stmt->kind == PG_VAR(RESET_ALL);
    LUMA_TRY(sql_done(u, reset ? "RESET" : "SET"));
    luma_rc rc = set(u, stmt);
    if (rc != LUMA_OK) {
        struct luma_result *done = LUMA_TAKE(*u->out_result);
        done->close(done);
    }
    return rc;
}

/* ---- SHOW ---- */

struct show {
    struct luma_arena *arena;
    const char **cells;
    uint32_t rows, room;
    bool failed;
};

static void
show_each(void *arg, const struct luma_setting_info *info)
{
    struct show *show = arg;
    if (show->rows == show->room)
        return;
    const char *texts[3] = {info->name, info->value, info->help};
    for (uint32_t i = 0; i < 3; i++) {
        const char *cell =
            texts[i] != NULL ? luma_arena_text(show->arena, texts[i], strlen(texts[i])) : "";
        show->cells[show->rows * 3 + i] = cell;
        show->failed = show->failed || cell == NULL;
    }
    show->rows++;
}

static luma_rc
show_all(struct sql_utility *u)
{
    struct show show = {u->ctx->arena, LUMA_NEW_ARRAY(u->ctx->arena, const char *, 3 * 512), 0, 512,
                        false};
    struct luma_type text = luma_type(LUMA_TYPE_TEXT);
    struct luma_result_col cols[3] = {
        {"name", text, 0, 0}, {"setting", text, 0, 0}, {"description", text, 0, 0}};
    if (show.cells != NULL)
        sql_host->session->setting_each(u->session, show_each, &show);
    if (show.cells == NULL || show.failed)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    return sql_result_rows(u->ctx, u->session, "SHOW", cols, 3, show.cells, show.rows,
                           u->out_result);
}

luma_rc
sql_show(struct sql_utility *u)
{
    const char *name = u->node->variable_show_stmt->name;
    if (strcmp(name, "all") == 0)
        return show_all(u);
    const char *value = sql_host->session->setting(u->session, setting_name(name));
    if (value == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42704",
                             "unrecognized configuration parameter \"%s\"", name);
    struct luma_result_col col = {setting_name(name), luma_type(LUMA_TYPE_TEXT), 0, 0};
    return sql_result_rows(u->ctx, u->session, "SHOW", &col, 1, &value, 1, u->out_result);
}

luma_rc
sql_discard(struct sql_utility *u)
{
    switch (u->node->discard_stmt->target) {
    case PG_QUERY__DISCARD_MODE__DISCARD_ALL:
        if (sql_host->session->block_state(u->session) != LUMA_BLOCK_IDLE)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_TXNSTATE, "25001",
                                 "DISCARD ALL cannot run inside a transaction block");
        sql_cursors_close(u->own, true);
        sql_named_drop(u->session, NULL);
        sql_temp_drop(u->own);
        LUMA_TRY(reset_all(u));
        return sql_done(u, "DISCARD ALL");
    case PG_QUERY__DISCARD_MODE__DISCARD_PLANS:
        u->own->settings_generation++;
        return sql_done(u, "DISCARD PLANS");
    case PG_QUERY__DISCARD_MODE__DISCARD_TEMP:
        sql_temp_drop(u->own);
        return sql_done(u, "DISCARD TEMP");
    default:
        return sql_done(u, "DISCARD SEQUENCES");
    }
}
