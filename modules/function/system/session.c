/*
 * session.c - the server and the session: version, settings, users, backends, functions'
 * signatures.
 */
#include <stdlib.h>

#include "system.h"

#define EPOCH_2000_US 946684800000000

static luma_rc
version(struct system_row *row)
{
    return system_set_text(row, "PostgreSQL 15.1 (LumaDB 0.1.0)");
}

static luma_rc
current_database(struct system_row *row)
{
    return system_set_text(row, system_host->session->database(row->session));
}

static luma_rc
current_user(struct system_row *row)
{
    return system_set_text(row, system_host->session->user(row->session));
}

static luma_rc
current_schema(struct system_row *row)
{
    uint64_t ids[32];
    uint32_t n = system_path(row, ids, 32);
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_cat_object *schema = system_object(row, ids[i]);
        bool implied = ids[i] == LUMA_CAT_ID_PG_CATALOG &&
                       strstr(system_host->session->setting(row->session, "search_path"),
                              "pg_catalog") == NULL;
        if (schema != NULL && !implied)
            return system_set_text(row, schema->name);
    }
    return LUMA_OK;
}

static luma_rc
set_names(struct system_row *row, const char *const *names, uint32_t count)
{
    struct luma_value values[40];
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct luma_value){.type = luma_type(LUMA_TYPE_NAME), .phys = LUMA_PHYS_STR};
        values[i].str = luma_str_make(names[i], (uint32_t)strlen(names[i]));
    }
    row->out->is_null = false;
    row->out->phys = LUMA_PHYS_STR;
    return system_host->data->array_make(row->arena, LUMA_TYPE_NAME, values, count, &row->out->str);
}

static luma_rc
current_schemas(struct system_row *row)
{
    uint64_t ids[32];
    const char *names[33];
    uint32_t n = system_path(row, ids, 32), count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_cat_object *schema = system_object(row, ids[i]);
        if (ids[i] == LUMA_CAT_ID_PG_CATALOG && row->args[0].b)
            names[count++] = "pg_catalog";
        else if (schema != NULL && ids[i] != LUMA_CAT_ID_PG_CATALOG)
            names[count++] = schema->name;
    }
    return set_names(row, names, count);
}

static luma_rc
backend_pid(struct system_row *row)
{
    uint32_t pid, secret;
    system_host->session->cancel_key(row->session, &pid, &secret);
    return system_set_int(row, pid);
}

static luma_rc
snapshot_token(struct system_row *row)
{
    char text[LUMA_COMMIT_TOKEN_BYTES];
    system_host->txn->token_text(system_host->txn->snapshot(row->txn), text);
    return system_set_text(row, text);
}

static luma_rc
last_commit(struct system_row *row)
{
    const char *text = system_host->session->setting(row->session, "lumadb.last_commit");
    return system_set_text(row, text == NULL || text[0] == '\0' ? NULL : text);
}

static luma_rc
blocking_pids(struct system_row *row)
{
    uint32_t *pids = NULL, count = 0;
    LUMA_TRY(system_host->txn->blockers(row->ctx, (uint32_t)row->args[0].i32, &pids, &count));
    struct luma_value *values = LUMA_NEW_ARRAY(row->arena, struct luma_value, count + 1);
    if (values == NULL)
        return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct luma_value){.type = luma_type(LUMA_TYPE_INT4), .phys = LUMA_PHYS_I32};
        values[i].i32 = (int32_t)pids[i];
    }
    row->out->is_null = false;
    row->out->phys = LUMA_PHYS_STR;
    return system_host->data->array_make(row->arena, LUMA_TYPE_INT4, values, count, &row->out->str);
}

static luma_rc
cancel_backend(struct system_row *row)
{
    if (!system_host->session->is_superuser(row->session))
        return LUMA_FAIL(row->ctx, LUMA_E_DENIED,
                         "must be a superuser to cancel another session's statement");
    return system_set_bool(row,
                           system_host->session->cancel_pid((uint32_t)row->args[0].i32, false));
}

static luma_rc
terminate_backend(struct system_row *row)
{
    if (!system_host->session->is_superuser(row->session))
        return LUMA_FAIL(row->ctx, LUMA_E_DENIED,
                         "must be a superuser to terminate another session");
    return system_set_bool(row, system_host->session->cancel_pid((uint32_t)row->args[0].i32, true));
}

static luma_rc
false_value(struct system_row *row)
{
    return system_set_bool(row, false);
}

static luma_rc
true_value(struct system_row *row)
{
    return system_set_bool(row, true);
}

static luma_rc
zero_value(struct system_row *row)
{
    return system_set_int(row, 0);
}

static luma_rc
null_value(struct system_row *row)
{
    (void)row;
    return LUMA_OK;
}

struct oldest {
    int64_t started_us;
};

static void
oldest_session(void *arg, const struct luma_session_info *info)
{
    struct oldest *oldest = arg;
    if (info->started_us < oldest->started_us)
        oldest->started_us = info->started_us;
}

/* No session is older than the server; the oldest one is the best that is known here. */
static luma_rc
start_time(struct system_row *row)
{
    struct oldest oldest = {system_host->sched->wall_us()};
    system_host->session->each(oldest_session, &oldest);
    return system_set_int(row, oldest.started_us - EPOCH_2000_US);
}

/* ---- settings ---- */

static luma_rc
current_setting(struct system_row *row)
{
    const char *name = system_text(row, 0);
    const char *value = system_host->session->setting(row->session, name);
    if (value == NULL && !(row->args_count > 1 && row->args[1].b))
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_UNDEFINED, "42704",
                             "unrecognized configuration parameter \"%s\"", name);
    return system_set_text(row, value);
}

static luma_rc
set_config(struct system_row *row)
{
    if (row->args[0].is_null)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_INVALID, "22004", "SET requires parameter name");
    const char *name = system_text(row, 0);
    LUMA_TRY(system_host->session->setting_set(row->ctx, row->session, name,
                                               row->args[1].is_null ? NULL : system_text(row, 1),
                                               !row->args[2].is_null && row->args[2].b));
    return system_set_text(row, system_host->session->setting(row->session, name));
}

/* ---- transactions, sleeping ---- */

static luma_rc
txid_current(struct system_row *row)
{
    return system_set_int(row, (int64_t)system_host->txn->id(row->txn));
}

static luma_rc
sleep_for(struct system_row *row)
{
    double seconds = row->args[0].f64;
    row->out->is_null = false;
    row->out->str = luma_str_make("", 0);
    return seconds <= 0 ? LUMA_OK : system_host->sched->sleep(row->ctx, (uint64_t)(seconds * 1e9));
}

/* ---- signatures of functions, by pg_proc's numbers ---- */

struct proc_search {
    uint32_t oid, next;
    const struct luma_func *found;
};

/* pg_proc numbers functions in the order of their packages: see query/sql. */
static void
search_package(void *arg, const struct luma_service_info *info)
{
    struct proc_search *search = arg;
    const struct luma_head *table =
        system_host->services->lookup(info->service, LUMA_FUNCTION_MAJOR);
    if (table == NULL)
        return;
    const struct luma_function_package *package = (const struct luma_function_package *)table;
    if (search->found == NULL && search->oid - search->next < package->functions_count)
        search->found = &package->functions[search->oid - search->next];
    search->next += (uint32_t)package->functions_count;
}

static const struct luma_func *
function_of(uint32_t oid)
{
    struct proc_search search = {.oid = oid, .next = 9000};
    if (oid >= 9000)
        system_host->services->each("function.", search_package, &search);
    return search.found;
}

static const char *
signature_type(struct system_row *row, struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_ANY:
        return "\"any\"";
    case LUMA_TYPE_ANYARRAY:
        return "anyarray";
    case LUMA_TYPE_ANYELEMENT:
        return "anyelement";
    case LUMA_TYPE_RECORD:
        return "record";
    case LUMA_TYPE_VOID:
        return "void";
    default:
        type.mod = -1;
        type.scale = 0;
        return system_need(row, system_host->data->type_text(type, row->arena));
    }
}

static luma_rc
function_result(struct system_row *row)
{
    const struct luma_func *f = function_of(system_oid(row, 0));
    if (f == NULL)
        return LUMA_OK;
    const char *type = signature_type(row, f->result);
    return system_set_text(row,
                           f->flags & LUMA_FUNC_SET ? system_format(row, "SETOF %s", type) : type);
}

static luma_rc
function_arguments(struct system_row *row)
{
    const struct luma_func *f = function_of(system_oid(row, 0));
    if (f == NULL)
        return LUMA_OK;
    const char *text = "";
    for (uint32_t i = 0; i < f->args_count && text != NULL; i++) {
        bool variadic = (f->flags & LUMA_FUNC_VARIADIC) != 0 && i + 1u == f->args_count;
        text = system_format(row, "%s%s%s%s", text, i > 0 ? ", " : "", variadic ? "VARIADIC " : "",
                             signature_type(row, f->args[i]));
    }
    return system_set_text(row, text);
}

#define ST SYSTEM_STABLE
#define VO (LUMA_FUNC_STRICT | LUMA_FUNC_VOLATILE)

static const struct system_func list[] = {
    {"version", "", 't', ST, version},
    {"current_database", "", 'n', ST, current_database},
    {"current_catalog", "", 'n', ST, current_database},
    {"current_user", "", 'n', ST, current_user},
    {"session_user", "", 'n', ST, current_user},
    {"current_role", "", 'n', ST, current_user},
    {"user", "", 'n', ST, current_user},
    {"current_schema", "", 'n', ST, current_schema},
    {"current_schemas", "b", 'N', ST, current_schemas},
    {"pg_backend_pid", "", 'i', ST, backend_pid},
    {"lumadb_snapshot", "", 't', VO, snapshot_token},
    {"lumadb_last_commit", "", 't', VO, last_commit},
    {"pg_blocking_pids", "i", 'I', VO, blocking_pids},
    {"pg_cancel_backend", "i", 'b', VO, cancel_backend},
    {"pg_terminate_backend", "i", 'b', VO, terminate_backend},
    {"pg_is_in_recovery", "", 'b', ST, false_value},
    {"pg_is_wal_replay_paused", "", 'b', ST, false_value},
    {"pg_my_temp_schema", "", 'o', ST, zero_value},
    {"pg_postmaster_start_time", "", 'z', ST, start_time},
    {"pg_conf_load_time", "", 'z', ST, start_time},
    {"pg_reload_conf", "", 'b', VO, true_value},
    {"inet_client_addr", "", 't', LUMA_FUNC_STABLE, null_value},
    {"inet_server_addr", "", 't', LUMA_FUNC_STABLE, null_value},
    {"inet_client_port", "", 'i', LUMA_FUNC_STABLE, null_value},
    {"inet_server_port", "", 'i', LUMA_FUNC_STABLE, null_value},
    {"current_setting", "t", 't', ST, current_setting},
    {"current_setting", "tb", 't', ST, current_setting},
    {"set_config", "ttb", 't', LUMA_FUNC_VOLATILE, set_config},
    {"txid_current", "", 'l', ST, txid_current},
    {"txid_current_if_assigned", "", 'l', ST, txid_current},
    {"pg_current_xact_id", "", 'l', ST, txid_current},
    {"pg_sleep", "f", 'v', VO, sleep_for},
    {"pg_get_function_result", "o", 't', ST, function_result},
    {"pg_get_function_arguments", "o", 't', ST, function_arguments},
    {"pg_get_function_identity_arguments", "o", 't', ST, function_arguments},
};

const struct system_list system_session = {list, LUMA_COUNTOF(list)};
