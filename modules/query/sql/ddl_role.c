/*
 * ddl_role.c - roles, their passwords and memberships, GRANT and REVOKE.
 */
#include <stdio.h>

#include "ddl.h"

/* ---- CREATE ROLE, ALTER ROLE ---- */

struct verifier_call {
    struct luma_ctx *ctx;
    const char *password;
    const char *verifier;
};

static luma_rc
make_verifier(void *arg)
{
    struct verifier_call *call = arg;
    return sql_host->catalog->make_verifier(call->ctx, call->password, call->ctx->arena,
                                            &call->verifier);
}

static luma_rc
set_password(struct sql_utility *u, const PgQuery__DefElem *def, struct luma_cat_object *role)
{
    struct verifier_call call = {u->ctx, NULL, NULL};
    if (def->arg == NULL) {
        role->verifier = NULL;
        return LUMA_OK;
    }
    call.password = sql_string(def->arg);
    if (strncmp(call.password, "SCRAM-SHA-256$", 14) == 0) {
        role->verifier = call.password;
        return LUMA_OK;
    }
    LUMA_TRY(sql_host->sched->blocking(u->ctx, make_verifier, &call));
    role->verifier = call.verifier;
    role->first_run = false;
    return LUMA_OK;
}

static bool
flag_of(const PgQuery__DefElem *def)
{
    if (def->arg == NULL)
        return true;
    if (def->arg->node_case == PGN(BOOLEAN))
        return def->arg->boolean->boolval;
    return def->arg->node_case != PGN(INTEGER) || def->arg->integer->ival != 0;
}

static luma_rc
role_names(struct sql_utility *u, const PgQuery__Node *list, uint64_t *ids, uint32_t room,
           uint32_t *out_count)
{
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    for (size_t i = 0; i < list->list->n_items && *out_count < room; i++)
        LUMA_TRY(sql_role_find(u->ctx, u->session, view, list->list->items[i]->role_spec,
                               &ids[(*out_count)++]));
    return LUMA_OK;
}

static luma_rc
add_membership(struct sql_utility *u, uint64_t member_id, uint64_t group_id, bool add)
{
    const struct luma_cat_object *member =
        sql_host->catalog->by_id(sql_host->catalog->view(u->txn), member_id);
    struct luma_cat_object *copy = member != NULL ? sql_object_copy(u->ctx, member) : NULL;
    uint64_t *ids = member != NULL
                        ? LUMA_NEW_ARRAY(u->ctx->arena, uint64_t, member->members_of_count + 1)
                        : NULL;
    if (copy == NULL || ids == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    uint32_t n = 0;
    for (uint32_t i = 0; i < member->members_of_count; i++)
        if (member->members_of[i] != group_id)
            ids[n++] = member->members_of[i];
    if (add)
        ids[n++] = group_id;
    copy->members_of = ids;
    copy->members_of_count = n;
    return sql_host->catalog->put(u->ctx, u->txn, copy);
}

struct members {
    uint64_t in_role[64], members[64];
    uint32_t in_role_count, members_count;
};

static luma_rc
role_option(struct sql_utility *u, const PgQuery__DefElem *def, struct luma_cat_object *role,
            struct members *m)
{
    const char *name = def->defname;
    if (strcmp(name, "password") == 0)
        return set_password(u, def, role);
    if (strcmp(name, "superuser") == 0)
        role->superuser = flag_of(def);
    else if (strcmp(name, "canlogin") == 0)
        role->can_login = flag_of(def);
    else if (strcmp(name, "createrole") == 0)
        role->create_role = flag_of(def);
    else if (strcmp(name, "createdb") == 0)
        role->create_db = flag_of(def);
    else if (strcmp(name, "inherit") == 0)
        role->inherit = flag_of(def);
    else if (strcmp(name, "addroleto") == 0)
        return role_names(u, def->arg, m->in_role, 64, &m->in_role_count);
    else if (strcmp(name, "rolemembers") == 0 || strcmp(name, "adminmembers") == 0)
        return role_names(u, def->arg, m->members, 64, &m->members_count);
    else if (strcmp(name, "validUntil") == 0) {
        struct luma_value value;
        LUMA_TRY(sql_host->data->from_text(u->ctx, u->ctx->arena, luma_type(LUMA_TYPE_TIMESTAMPTZ),
                                           sql_host->session->format(u->session),
                                           luma_slice_text(sql_string(def->arg)), &value));
        /* from microseconds since 2000 to those since 1970; infinity is "no limit" */
        role->valid_until_us = value.i64 == INT64_MAX ? 0 : value.i64 + 946684800000000;
    }
    return LUMA_OK;
}

static bool
may_manage(struct sql_utility *u)
{
    if (sql_host->session->is_superuser(u->session))
        return true;
    const struct luma_cat_object *self = sql_host->catalog->by_id(
        sql_host->catalog->view(u->txn), sql_host->session->user_id(u->session));
    return self != NULL && self->create_role;
}

static luma_rc
apply_members(struct sql_utility *u, uint64_t role_id, const struct members *m)
{
    for (uint32_t i = 0; i < m->in_role_count; i++)
        LUMA_TRY(add_membership(u, role_id, m->in_role[i], true));
    for (uint32_t i = 0; i < m->members_count; i++)
        LUMA_TRY(add_membership(u, m->members[i], role_id, true));
    return LUMA_OK;
}

luma_rc
sql_create_role(struct sql_utility *u)
{
    const PgQuery__CreateRoleStmt *stmt = u->node->create_role_stmt;
    struct luma_cat_object role = {.kind = LUMA_CAT_ROLE, .name = stmt->role, .inherit = true};
    struct members m = {.in_role_count = 0};
    role.can_login = stmt->stmt_type == PG_QUERY__ROLE_STMT_TYPE__ROLESTMT_USER;
    if (!may_manage(u))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501", "permission denied to create role");
    if (sql_host->catalog->find(sql_host->catalog->view(u->txn), LUMA_CAT_ROLE, stmt->role) != NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_EXISTS, "42710", "role \"%s\" already exists",
                             stmt->role);
    for (size_t i = 0; i < stmt->n_options; i++)
        LUMA_TRY(role_option(u, stmt->options[i]->def_elem, &role, &m));
    if (role.superuser && !sql_host->session->is_superuser(u->session))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501",
                             "must be superuser to create superusers");
    role.id = sql_host->catalog->next_id(u->ctx, u->txn);
    if (role.id == 0)
        return u->ctx->error->code;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &role));
    LUMA_TRY(apply_members(u, role.id, &m));
    return sql_done(u, "CREATE ROLE");
}

static luma_rc
role_copy(struct sql_utility *u, const PgQuery__RoleSpec *spec, struct luma_cat_object **out)
{
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    uint64_t id = 0;
    LUMA_TRY(sql_role_find(u->ctx, u->session, view, spec, &id));
    const struct luma_cat_object *role = sql_host->catalog->by_id(view, id);
    if (role == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_UNDEFINED, "role does not exist");
    *out = sql_object_copy(u->ctx, role);
    return *out != NULL ? LUMA_OK : LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
}

luma_rc
sql_alter_role(struct sql_utility *u)
{
    const PgQuery__AlterRoleStmt *stmt = u->node->alter_role_stmt;
    struct luma_cat_object *role = NULL;
    struct members m = {.in_role_count = 0};
    LUMA_TRY(role_copy(u, stmt->role, &role));
    bool own_password = stmt->n_options == 1 &&
                        strcmp(stmt->options[0]->def_elem->defname, "password") == 0 &&
                        role->id == sql_host->session->user_id(u->session);
    if (!own_password &&
        (!may_manage(u) || (role->superuser && !sql_host->session->is_superuser(u->session))))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501", "permission denied");
    bool was_superuser = role->superuser;
    for (size_t i = 0; i < stmt->n_options; i++)
        LUMA_TRY(role_option(u, stmt->options[i]->def_elem, role, &m));
    if (role->superuser != was_superuser && !sql_host->session->is_superuser(u->session))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501",
                             "must be superuser to alter superuser attribute");
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, role));
    if (stmt->action < 0) {
        for (uint32_t i = 0; i < m.members_count; i++)
            LUMA_TRY(add_membership(u, m.members[i], role->id, false));
        m.members_count = 0;
    }
    LUMA_TRY(apply_members(u, role->id, &m));
    return sql_done(u, "ALTER ROLE");
}

/* ALTER ROLE ... SET name = value: "name=value" texts on the role */
luma_rc
sql_alter_role_set(struct sql_utility *u)
{
    const PgQuery__AlterRoleSetStmt *stmt = u->node->alter_role_set_stmt;
    const PgQuery__VariableSetStmt *set = stmt->setstmt;
    struct luma_cat_object *role = NULL;
    LUMA_TRY(role_copy(u, stmt->role, &role));
    if (role->id != sql_host->session->user_id(u->session) && !may_manage(u))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501", "permission denied");
    const char **list = LUMA_NEW_ARRAY(u->ctx->arena, const char *, role->settings_count + 1);
    if (list == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    uint32_t n = 0;
    size_t name_bytes = strlen(set->name);
    for (uint32_t i = 0; i < role->settings_count && set->kind != PG_VAR(RESET_ALL); i++)
        if (strncmp(role->settings[i], set->name, name_bytes) != 0 ||
            role->settings[i][name_bytes] != '=')
            list[n++] = role->settings[i];
    if (set->kind == PG_VAR(SET_VALUE) && set->n_args > 0 &&
        set->args[0]->node_case == PGN(A_CONST)) {
        const PgQuery__AConst *c = set->args[0]->a_const;
        char text[512];
        if (c->val_case == PG_QUERY__A__CONST__VAL_IVAL)
            snprintf(text, sizeof(text), "%s=%d", set->name, c->ival->ival);
        else
            snprintf(text, sizeof(text), "%s=%s", set->name,
                     c->val_case == PG_QUERY__A__CONST__VAL_SVAL   ? c->sval->sval
                     : c->val_case == PG_QUERY__A__CONST__VAL_FVAL ? c->fval->fval
                                                                   : "on");
        list[n] = luma_arena_text(u->ctx->arena, text, strlen(text));
        if (list[n++] == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    }
    role->settings = list;
    role->settings_count = n;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, role));
    return sql_done(u, "ALTER ROLE");
}

/* ---- DROP ROLE ---- */

struct owned {
    uint64_t role_id;
    const struct luma_cat_object *object;
};

static bool
find_owned(void *arg, const struct luma_cat_object *object)
{
    struct owned *owned = arg;
    bool hit = object->owner_id == owned->role_id && object->kind != LUMA_CAT_ROLE;
    for (uint32_t i = 0; i < object->grants_count && !hit; i++)
        hit = object->grants[i].role_id == owned->role_id;
    if (hit)
        owned->object = object;
    return !hit;
}

static luma_rc
drop_one_role(struct sql_utility *u, const PgQuery__RoleSpec *spec, bool missing_ok)
{
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    const struct luma_cat_object *role =
        sql_host->catalog->find(view, LUMA_CAT_ROLE, spec->rolename);
    if (role == NULL && missing_ok) {
        sql_host->session->notice(u->session, "NOTICE", "00000",
                                  "role \"%s\" does not exist, skipping", spec->rolename);
        return LUMA_OK;
    }
    if (role == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42704", "role \"%s\" does not exist",
                             spec->rolename);
    if (role->id == sql_host->session->user_id(u->session))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_INVALID, "55006", "current user cannot be dropped");
    struct owned owned = {.role_id = role->id};
    sql_host->catalog->each(view, 0, find_owned, &owned);
    if (owned.object != NULL) {
        char detail[256];
        luma_rc rc = LUMA_FAIL_SQL(
            u->ctx, LUMA_E_INVALID, "2BP01",
            "role \"%s\" cannot be dropped because some objects depend on it", role->name);
        snprintf(detail, sizeof(detail), "%s %s %s",
                 owned.object->owner_id == role->id ? "owner of" : "privileges for",
                 sql_kind_name(owned.object), owned.object->name);
        u->ctx->error->detail = luma_arena_text(u->ctx->arena, detail, strlen(detail));
        return rc;
    }
    return sql_host->catalog->remove(u->ctx, u->txn, role->id);
}

luma_rc
sql_drop_role(struct sql_utility *u)
{
    const PgQuery__DropRoleStmt *stmt = u->node->drop_role_stmt;
    if (!may_manage(u))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501", "permission denied to drop role");
    for (size_t i = 0; i < stmt->n_roles; i++)
        LUMA_TRY(drop_one_role(u, stmt->roles[i]->role_spec, stmt->missing_ok));
    return sql_done(u, "DROP ROLE");
}

/* ---- GRANT role TO role ---- */

luma_rc
sql_grant_role(struct sql_utility *u)
{
    const PgQuery__GrantRoleStmt *stmt = u->node->grant_role_stmt;
    if (!may_manage(u))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_DENIED, "42501", "permission denied to grant role");
    for (size_t i = 0; i < stmt->n_granted_roles; i++)
        for (size_t k = 0; k < stmt->n_grantee_roles; k++) {
            const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
            const char *name = stmt->granted_roles[i]->access_priv->priv_name;
            const struct luma_cat_object *group =
                sql_host->catalog->find(view, LUMA_CAT_ROLE, name);
            uint64_t member = 0;
            if (group == NULL)
                return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42704",
                                     "role \"%s\" does not exist", name);
            LUMA_TRY(sql_role_find(u->ctx, u->session, view, stmt->grantee_roles[k]->role_spec,
                                   &member));
            LUMA_TRY(add_membership(u, member, group->id, stmt->is_grant));
        }
    return sql_done(u, stmt->is_grant ? "GRANT ROLE" : "REVOKE ROLE");
}

/* ---- GRANT rights ON objects ---- */

static const struct {
    const char *name;
    uint32_t right;
} rights[] = {{"select", LUMA_RIGHT_SELECT},     {"insert", LUMA_RIGHT_INSERT},
              {"update", LUMA_RIGHT_UPDATE},     {"delete", LUMA_RIGHT_DELETE},
              {"truncate", LUMA_RIGHT_TRUNCATE}, {"references", LUMA_RIGHT_REFERENCES},
              {"usage", LUMA_RIGHT_USAGE},       {"create", LUMA_RIGHT_CREATE},
              {"connect", LUMA_RIGHT_CONNECT},   {"execute", LUMA_RIGHT_EXECUTE},
              {"trigger", LUMA_RIGHT_TRIGGER},   {"temporary", LUMA_RIGHT_CREATE},
              {"temp", LUMA_RIGHT_CREATE}};

static uint32_t
all_rights(enum luma_cat_kind kind)
{
    switch (kind) {
    case LUMA_CAT_SCHEMA:
        return LUMA_RIGHT_USAGE | LUMA_RIGHT_CREATE;
    case LUMA_CAT_DATABASE:
        return LUMA_RIGHT_CONNECT | LUMA_RIGHT_CREATE;
    case LUMA_CAT_SEQUENCE:
        return LUMA_RIGHT_USAGE | LUMA_RIGHT_SELECT | LUMA_RIGHT_UPDATE;
    default:
        return LUMA_RIGHT_SELECT | LUMA_RIGHT_INSERT | LUMA_RIGHT_UPDATE | LUMA_RIGHT_DELETE |
               LUMA_RIGHT_TRUNCATE | LUMA_RIGHT_REFERENCES | LUMA_RIGHT_TRIGGER;
    }
}

struct grant_call {
    const PgQuery__GrantStmt *stmt;
    const struct luma_cat_object *objects[512];
    uint32_t count;
    uint64_t schema_id;
    enum luma_cat_kind kind;
};

static bool
collect_in_schema(void *arg, const struct luma_cat_object *object)
{
    struct grant_call *call = arg;
    bool fits = object->kind == call->kind ||
                (call->kind == LUMA_CAT_TABLE && object->kind == LUMA_CAT_VIEW);
    if (fits && object->schema_id == call->schema_id && call->count < LUMA_COUNTOF(call->objects))
        call->objects[call->count++] = object;
    return true;
}

static void
grant_objects(struct sql_bind *b, void *arg)
{
    struct grant_call *call = arg;
    const PgQuery__GrantStmt *stmt = call->stmt;
    call->kind = stmt->objtype == PG_OBJECT(SEQUENCE)   ? LUMA_CAT_SEQUENCE
                 : stmt->objtype == PG_OBJECT(SCHEMA)   ? LUMA_CAT_SCHEMA
                 : stmt->objtype == PG_OBJECT(DATABASE) ? LUMA_CAT_DATABASE
                                                        : LUMA_CAT_TABLE;
    if (stmt->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_DEFAULTS)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "default privileges are not supported");
    for (size_t i = 0; i < stmt->n_objects; i++) {
        const PgQuery__Node *object = stmt->objects[i];
        const struct luma_cat_object *found = NULL;
        if (stmt->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA) {
            call->schema_id = sql_schema_id(b, sql_string(object), -1);
            sql_host->catalog->each(b->view, 0, collect_in_schema, call);
            continue;
        }
        if (object->node_case == PGN(RANGE_VAR)) {
            struct sql_relation rel;
            sql_relation_get(b, object->range_var, &rel);
            if (rel.object == NULL)
                continue; /* catalogue tables are readable by all */
            found = rel.object;
        } else if (call->kind == LUMA_CAT_SCHEMA || call->kind == LUMA_CAT_DATABASE) {
            const char *name = sql_string(object);
            found = sql_host->catalog->find(b->view, call->kind, name);
            if (found == NULL)
                SQL_THROW(b, -1, LUMA_E_UNDEFINED,
                          call->kind == LUMA_CAT_SCHEMA ? "3F000" : "3D000",
                          "%s \"%s\" does not exist",
                          call->kind == LUMA_CAT_SCHEMA ? "schema" : "database", name);
        }
        if (found != NULL && call->count < LUMA_COUNTOF(call->objects))
            call->objects[call->count++] = found;
    }
    for (uint32_t i = 0; i < call->count; i++)
        sql_must_own(b, call->objects[i]);
}

struct grant_item {
    uint32_t rights, col_id;
};

static luma_rc
grant_items(struct sql_utility *u, const PgQuery__GrantStmt *stmt,
            const struct luma_cat_object *object, struct grant_item *items, uint32_t room,
            uint32_t *out_count)
{
    *out_count = 0;
    if (stmt->n_privileges == 0) {
        items[(*out_count)++] = (struct grant_item){all_rights(object->kind), 0};
        return LUMA_OK;
    }
    for (size_t i = 0; i < stmt->n_privileges; i++) {
        const PgQuery__AccessPriv *priv = stmt->privileges[i]->access_priv;
        uint32_t right = priv->priv_name[0] == '\0' ? all_rights(object->kind) : 0;
        for (size_t k = 0; k < LUMA_COUNTOF(rights); k++)
            if (strcmp(rights[k].name, priv->priv_name) == 0)
                right = rights[k].right;
        if (right == 0)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_SYNTAX, "42601",
                                 "unrecognized privilege type \"%s\"", priv->priv_name);
        if (priv->n_cols == 0 && *out_count < room)
            items[(*out_count)++] = (struct grant_item){right, 0};
        for (size_t c = 0; c < priv->n_cols && *out_count < room; c++) {
            uint32_t col_id = 0;
            for (uint32_t k = 0; k < object->cols_count; k++)
                if (strcmp(object->cols[k].name, sql_string(priv->cols[c])) == 0)
                    col_id = object->cols[k].id;
            if (col_id == 0)
                return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42703",
                                     "column \"%s\" of relation \"%s\" does not exist",
                                     sql_string(priv->cols[c]), object->name);
            items[(*out_count)++] = (struct grant_item){right, col_id};
        }
    }
    return LUMA_OK;
}

static luma_rc
grant_one(struct sql_utility *u, const PgQuery__GrantStmt *stmt, struct luma_cat_object *object,
          uint64_t role_id)
{
    struct grant_item items[128];
    uint32_t count = 0, n = 0;
    LUMA_TRY(grant_items(u, stmt, object, items, 128, &count));
    struct luma_cat_grant *list =
        LUMA_NEW_ARRAY(u->ctx->arena, struct luma_cat_grant, object->grants_count + count);
    if (list == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < object->grants_count; i++) {
        list[n] = object->grants[i];
        for (uint32_t k = 0; k < count; k++)
            if (list[n].role_id == role_id &&
                (list[n].col_id == items[k].col_id || (!stmt->is_grant && items[k].col_id == 0)))
                list[n].rights &= ~items[k].rights;
        if (list[n].rights != 0)
            n++;
    }
    for (uint32_t k = 0; stmt->is_grant && k < count; k++) {
        struct luma_cat_grant *same = NULL;
        for (uint32_t i = 0; i < n; i++)
            if (list[i].role_id == role_id && list[i].col_id == items[k].col_id &&
                list[i].grantable == stmt->grant_option)
                same = &list[i];
        if (same != NULL)
            same->rights |= items[k].rights;
        else
            list[n++] = (struct luma_cat_grant){role_id, items[k].rights, items[k].col_id,
                                                stmt->grant_option};
    }
    object->grants = list;
    object->grants_count = n;
    return LUMA_OK;
}

luma_rc
sql_grant(struct sql_utility *u)
{
    const PgQuery__GrantStmt *stmt = u->node->grant_stmt;
    struct grant_call *call = LUMA_NEW(u->ctx->arena, struct grant_call);
    struct sql_bind b;
    if (call == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    call->stmt = stmt;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, grant_objects, call));
    /* copies first: putting one replaces the view that the others were found in */
    for (uint32_t i = 0; i < call->count; i++) {
        struct luma_cat_object *copy = sql_object_copy(u->ctx, call->objects[i]);
        if (copy == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        for (size_t k = 0; k < stmt->n_grantees; k++) {
            uint64_t role_id = 0;
            LUMA_TRY(
                sql_role_find(u->ctx, u->session, b.view, stmt->grantees[k]->role_spec, &role_id));
            LUMA_TRY(grant_one(u, stmt, copy, role_id));
        }
        call->objects[i] = copy;
    }
    for (uint32_t i = 0; i < call->count; i++)
        LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, call->objects[i]));
    return sql_done(u, stmt->is_grant ? "GRANT" : "REVOKE");
}
