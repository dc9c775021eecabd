/*
 * ddl.c - helpers of the statements that define objects: names, ownership, drafts of tables, and
 * SQL that the server runs for itself.
 */
#include "ddl.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

const char *
sql_kind_name(const struct luma_cat_object *object)
{
    switch (object->kind) {
    case LUMA_CAT_DATABASE:
        return "database";
    case LUMA_CAT_SCHEMA:
        return "schema";
    case LUMA_CAT_VIEW:
        return "view";
    case LUMA_CAT_INDEX:
        return "index";
    case LUMA_CAT_SEQUENCE:
        return "sequence";
    case LUMA_CAT_ROLE:
        return "role";
    case LUMA_CAT_TYPE:
        return "type";
    default:
        return "table";
    }
}

static bool
in_draft(const struct sql_draft *draft, const char *name)
{
    if (draft == NULL)
        return false;
    if (draft->object.name != NULL && strcmp(draft->object.name, name) == 0)
        return true;
    for (uint32_t i = 0; i < draft->object.indexes_count; i++)
        if (strcmp(draft->indexes[i].name, name) == 0)
            return true;
    for (uint32_t i = 0; i < draft->object.constraints_count; i++)
        if (strcmp(draft->constraints[i].name, name) == 0)
            return true;
    for (uint32_t i = 0; i < draft->sequences_count; i++)
        if (strcmp(draft->sequences[i].name, name) == 0)
            return true;
    return false;
}

/* Shortens base and column alike until all fits, as PostgreSQL's makeObjectName does. */
static const char *
object_name(struct sql_bind *b, const char *base, const char *column, const char *label,
            uint32_t number)
{
    char suffix[80];
    if (number > 0)
        snprintf(suffix, sizeof(suffix), "_%s%u", label, number);
    else
        snprintf(suffix, sizeof(suffix), "_%s", label);
    size_t room = SQL_NAME_BYTES_MAX - strlen(suffix) - (column != NULL ? 1 : 0);
    size_t n1 = strlen(base), n2 = column != NULL ? strlen(column) : 0;
    while (n1 + n2 > room) {
        if (n1 > n2)
            n1--;
        else
            n2--;
    }
    return sql_format(b, "%.*s%s%.*s%s", (int)n1, base, column != NULL ? "_" : "", (int)n2,
                      column != NULL ? column : "", suffix);
}

const char *
sql_free_name(struct sql_bind *b, uint64_t schema_id, const char *base, const char *column,
              const char *label, const struct sql_draft *draft)
{
    for (uint32_t number = 0;; number++) {
        const char *name = object_name(b, base, column, label, number);
        if (!in_draft(draft, name) &&
            (schema_id == 0 || sql_host->catalog->relation(b->view, schema_id, name) == NULL))
            return name;
    }
}

const char *
sql_quote(struct luma_arena *arena, const char *name)
{
    size_t bytes = strlen(name), n = 0;
    char *out = luma_arena_alloc(arena, bytes * 2 + 3);
    if (out == NULL)
        return NULL;
    out[n++] = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] == '"')
            out[n++] = '"';
        out[n++] = name[i];
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

const char *
sql_quoted(struct sql_bind *b, const char *name)
{
    const char *text = sql_quote(b->arena, name);
    if (text == NULL)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    return text;
}

const char *
sql_qualified(struct sql_bind *b, const struct luma_cat_object *object)
{
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, object->schema_id);
    const char *name = sql_quote(b->ctx->arena, object->name);
    const char *prefix = schema != NULL ? sql_quote(b->ctx->arena, schema->name) : "\"public\"";
    if (name == NULL || prefix == NULL)
        return NULL;
    size_t bytes = strlen(name) + strlen(prefix) + 2;
    char *out = luma_arena_alloc(b->ctx->arena, bytes);
    if (out != NULL)
        snprintf(out, bytes, "%s.%s", prefix, name);
    return out;
}

/* ---- ownership ---- */

static bool
member_of(const struct luma_cat_view *view, uint64_t role_id, uint64_t of, uint32_t depth)
{
    if (role_id == of)
        return true;
    const struct luma_cat_object *role = sql_host->catalog->by_id(view, role_id);
    if (role == NULL || depth > 32)
        return false;
    for (uint32_t i = 0; i < role->members_of_count; i++)
        if (member_of(view, role->members_of[i], of, depth + 1))
            return true;
    return false;
}

bool
sql_owns(struct sql_bind *b, const struct luma_cat_object *object)
{
    return sql_host->session->is_superuser(b->session) ||
           member_of(b->view, sql_host->session->user_id(b->session), object->owner_id, 0);
}

void
sql_must_own(struct sql_bind *b, const struct luma_cat_object *object)
{
    if (!sql_owns(b, object))
        SQL_THROW(b, -1, LUMA_E_DENIED, "42501", "must be owner of %s %s", sql_kind_name(object),
                  object->name);
}

luma_rc
sql_role_find(struct luma_ctx *ctx, struct luma_session *session, const struct luma_cat_view *view,
              const PgQuery__RoleSpec *spec, uint64_t *out_id)
{
    if (spec == NULL || spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE ||
        spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER ||
        spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER) {
        *out_id = sql_host->session->user_id(session);
        return LUMA_OK;
    }
    if (spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC) {
        *out_id = 0;
        return LUMA_OK;
    }
    const struct luma_cat_object *role =
        sql_host->catalog->find(view, LUMA_CAT_ROLE, spec->rolename);
    if (role == NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_UNDEFINED, "42704", "role \"%s\" does not exist",
                             spec->rolename);
    *out_id = role->id;
    return LUMA_OK;
}

/* ---- schemas ---- */

luma_rc
sql_temp_schema(struct sql_utility *u, uint64_t *out_id)
{
    uint32_t pid, secret;
    char name[32];
    if (u->own->temp_schema_id != 0) {
        const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
        *out_id = u->own->temp_schema_id;
        if (sql_host->catalog->by_id(view, *out_id) != NULL)
            return LUMA_OK;
    }
    sql_host->session->cancel_key(u->session, &pid, &secret);
    snprintf(name, sizeof(name), "pg_temp_%u", pid);
    const struct luma_cat_view *view = sql_host->catalog->view(u->txn);
    const struct luma_cat_object *old = sql_host->catalog->find(view, LUMA_CAT_SCHEMA, name);
    if (old != NULL) {
        *out_id = u->own->temp_schema_id = old->id;
        return LUMA_OK;
    }
    struct luma_cat_object schema = {.kind = LUMA_CAT_SCHEMA,
                                     .name = name,
                                     .temporary = true,
                                     .owner_id = sql_host->session->user_id(u->session)};
    schema.id = sql_host->catalog->next_id(u->ctx, u->txn);
    if (schema.id == 0)
        return u->ctx->error->code;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &schema));
    *out_id = u->own->temp_schema_id = schema.id;
    return LUMA_OK;
}

uint64_t
sql_new_schema(struct sql_bind *b, const PgQuery__RangeVar *var)
{
    bool temporary = var->relpersistence[0] == 't' || strcmp(var->schemaname, "pg_temp") == 0;
    if (temporary)
        return b->own->temp_schema_id;
    uint64_t id = var->schemaname[0] != '\0' ? sql_schema_id(b, var->schemaname, var->location)
                                             : sql_schema_create(b);
    if (id == LUMA_CAT_ID_PG_CATALOG || id == LUMA_CAT_ID_INFORMATION_SCHEMA)
        SQL_THROW(b, var->location, LUMA_E_DENIED, "42501", "permission denied to create \"%s.%s\"",
                  id == LUMA_CAT_ID_PG_CATALOG ? "pg_catalog" : "information_schema", var->relname);
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, id);
    if (schema != NULL && id != b->own->temp_schema_id)
        sql_demand(b, schema, 0, LUMA_RIGHT_CREATE);
    return id;
}

struct temp_list {
    uint64_t schema_id;
    uint64_t ids[256];
    uint32_t count;
};

static bool
temp_collect(void *arg, const struct luma_cat_object *object)
{
    struct temp_list *list = arg;
    if (object->schema_id == list->schema_id && object->kind != LUMA_CAT_INDEX &&
        list->count < LUMA_COUNTOF(list->ids))
        list->ids[list->count++] = object->id;
    return true;
}

static luma_rc
temp_remove(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t schema_id)
{
    struct temp_list list = {.schema_id = schema_id};
    do {
        list.count = 0;
        sql_host->catalog->each(sql_host->catalog->view(txn), 0, temp_collect, &list);
        for (uint32_t i = 0; i < list.count; i++)
            LUMA_TRY(sql_host->catalog->remove(ctx, txn, list.ids[i]));
    } while (list.count > 0);
    if (sql_host->catalog->by_id(sql_host->catalog->view(txn), schema_id) == NULL)
        return LUMA_OK;
    return sql_host->catalog->remove(ctx, txn, schema_id);
}

void
sql_temp_drop(struct sql_session *own)
{
    if (own->temp_schema_id == 0 || !sql_host->sched->in_task())
        return;
    struct luma_ctx *ctx = sql_host->session->ctx(own->session);
    struct luma_txn *txn = NULL;
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED};
    if (sql_host->session->txn(own->session) != NULL ||
        sql_host->txn->begin(ctx, &opts, &txn) != LUMA_OK)
        return;
    if (sql_host->txn->statement_begin(ctx, txn) != LUMA_OK ||
        temp_remove(ctx, txn, own->temp_schema_id) != LUMA_OK) {
        sql_host->txn->rollback(txn);
        return;
    }
    if (sql_host->txn->commit(ctx, txn) == LUMA_OK)
        own->temp_schema_id = 0;
}

/* ---- objects ---- */

struct luma_cat_object *
sql_object_copy(struct luma_ctx *ctx, const struct luma_cat_object *object)
{
    return luma_arena_copy(ctx->arena, object, sizeof(*object));
}

static void *
copy_with_room(struct sql_bind *b, const void *items, uint32_t count, uint32_t more, size_t bytes)
{
    char *copy = sql_alloc(b, (size_t)(count + more + 1) * bytes);
    if (count > 0)
        memcpy(copy, items, count * bytes);
    return copy;
}

void
sql_draft_begin(struct sql_bind *b, struct sql_draft *draft, const struct luma_cat_object *table,
                uint32_t more_cols, uint32_t more_rest)
{
    memset(draft, 0, sizeof(*draft));
    if (table != NULL)
        draft->object = *table;
    struct luma_cat_object *o = &draft->object;
    draft->cols = copy_with_room(b, o->cols, o->cols_count, more_cols, sizeof(*o->cols));
    draft->constraints =
        copy_with_room(b, o->constraints, o->constraints_count, more_rest, sizeof(*o->constraints));
    draft->indexes =
        copy_with_room(b, o->indexes, o->indexes_count, more_rest, sizeof(*o->indexes));
    draft->cols_room = o->cols_count + more_cols;
    draft->constraints_room = o->constraints_count + more_rest;
    draft->indexes_room = o->indexes_count + more_rest;
    o->cols = draft->cols;
    o->constraints = draft->constraints;
    o->indexes = draft->indexes;
}

int32_t
sql_draft_find(const struct sql_draft *draft, const char *name)
{
    for (uint32_t i = 0; i < draft->object.cols_count; i++)
        if (strcmp(draft->cols[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

static luma_rc
new_id(struct sql_utility *u, uint64_t *out_id)
{
    *out_id = sql_host->catalog->next_id(u->ctx, u->txn);
    return *out_id != 0 ? LUMA_OK : u->ctx->error->code;
}

static luma_rc
put_sequences(struct sql_utility *u, struct sql_draft *draft)
{
    for (uint32_t i = 0; i < draft->sequences_count; i++) {
        struct luma_cat_object *seq = &draft->sequences[i];
        LUMA_TRY(new_id(u, &seq->id));
        seq->kind = LUMA_CAT_SEQUENCE;
        seq->schema_id = draft->object.schema_id;
        seq->owner_id = draft->object.owner_id;
        seq->table_id = draft->object.id;
        LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, seq));
        draft->cols[draft->sequence_cols[i]].sequence_id = seq->id;
    }
    return LUMA_OK;
}

luma_rc
sql_draft_put(struct sql_utility *u, struct sql_draft *draft)
{
    if (draft->object.id == 0)
        LUMA_TRY(new_id(u, &draft->object.id));
    LUMA_TRY(put_sequences(u, draft));
    uint32_t old_indexes = 0;
    for (uint32_t i = 0; i < draft->object.indexes_count; i++) {
        if (draft->indexes[i].id == 0)
            LUMA_TRY(new_id(u, &draft->indexes[i].id));
        else
            old_indexes++;
    }
    for (uint32_t i = 0; i < draft->object.constraints_count; i++) {
        struct luma_cat_constraint *con = &draft->constraints[i];
        if (con->id != 0)
            continue;
        LUMA_TRY(new_id(u, &con->id));
        if (con->index_id > 0 && con->index_id <= draft->object.indexes_count)
            con->index_id = draft->indexes[con->index_id - 1].id;
        if (con->kind == LUMA_CONSTRAINT_FOREIGN && con->ref_table_id == UINT64_MAX)
            con->ref_table_id = draft->object.id; /* of itself */
    }
    luma_rc rc = sql_host->catalog->put(u->ctx, u->txn, &draft->object);
    if (rc == LUMA_E_UNIQUE && old_indexes < draft->object.indexes_count) {
        /* the table has rows that the new index refuses */
        char *end;
        const char *constraint = u->ctx->error->constraint;
        uint64_t id = constraint != NULL ? strtoull(constraint, &end, 10) : 0;
        const char *name = draft->indexes[draft->object.indexes_count - 1].name;
        for (uint32_t i = 0; i < draft->object.indexes_count; i++)
            if (draft->indexes[i].id == id)
                name = draft->indexes[i].name;
        const char *detail = u->ctx->error->detail;
        luma_error_reset(u->ctx->error);
        rc = LUMA_FAIL_SQL(u->ctx, LUMA_E_UNIQUE, "23505", "could not create unique index \"%s\"",
                           name);
        u->ctx->error->detail = detail;
    }
    return rc;
}

/* ---- SQL of our own ---- */

static luma_rc
drain(struct luma_ctx *ctx, struct luma_result *result, uint64_t *out_rows)
{
    uint64_t rows = 0;
    luma_rc rc = LUMA_OK;
    struct luma_batch *batch = NULL;
    if (result->cols_count > 0)
        do {
            rc = result->next(ctx, result, &batch);
            rows += rc == LUMA_OK ? batch->sel_rows : 0;
        } while (rc == LUMA_OK && batch->sel_rows > 0);
    else
        rows = result->rows_done;
    result->close(result);
    *out_rows = rows;
    return rc;
}

static luma_rc
format_text(struct sql_utility *u, char **out_text, size_t *out_bytes, const char *fmt,
            va_list args)
{
    va_list again;
    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, fmt, args);
    char *text = luma_arena_alloc(u->ctx->arena, (size_t)bytes + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)bytes + 1, fmt, again);
    va_end(again);
    *out_text = text;
    *out_bytes = (size_t)bytes;
    return text != NULL ? LUMA_OK : LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
}

luma_rc
sql_internal_alter(struct sql_utility *u, const char *fmt, ...)
{
    char *text = NULL;
    size_t bytes = 0;
    va_list args;
    va_start(args, fmt);
    luma_rc rc = format_text(u, &text, &bytes, fmt, args);
    va_end(args);
    LUMA_TRY(rc);
    struct luma_stmt *stmt = NULL;
    struct luma_result *result = NULL;
    LUMA_TRY(sql_stmt_prepare(u->ctx, u->session, luma_slice(text, bytes), NULL, 0, &stmt));
    struct sql_utility inner = *u;
    inner.stmt = stmt;
    inner.node = stmt->node;
    inner.out_result = &result;
    rc = sql_alter_table(&inner);
    if (rc == LUMA_OK)
        result->close(result);
    sql_stmt_release(stmt);
    return rc;
}

luma_rc
sql_internal(struct sql_utility *u, uint64_t *out_rows, const char *fmt, ...)
{
    char *text = NULL;
    size_t bytes = 0;
    va_list args;
    va_start(args, fmt);
    luma_rc formatted = format_text(u, &text, &bytes, fmt, args);
    va_end(args);
    LUMA_TRY(formatted);
    struct luma_stmt *stmt = NULL;
    struct sql_bound *bound = NULL;
    struct luma_result *result = NULL;
    uint64_t rows = 0;
    sql_host->txn->command_end(u->txn);
    LUMA_TRY(sql_stmt_prepare(u->ctx, u->session, luma_slice(text, bytes), NULL, 0, &stmt));
    luma_rc rc = sql_bind_node(u->ctx, u->session, u->txn, NULL, 0, stmt->node, NULL, 0, &bound);
    if (rc == LUMA_OK)
        rc = sql_bound_compile(u->ctx, u->session, u->txn, bound);
    if (rc == LUMA_OK)
        rc = sql_engine->open(u->ctx, u->session, u->txn, bound->query, NULL, 0, &result);
    if (rc == LUMA_OK)
        rc = drain(u->ctx, result, &rows);
    sql_bound_release(bound);
    sql_stmt_release(stmt);
    sql_host->txn->command_end(u->txn);
    if (out_rows != NULL)
        *out_rows = rows;
    return rc;
}
