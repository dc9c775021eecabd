/*
 * ddl_type.c - CREATE TYPE ... AS ENUM and ALTER TYPE of its labels.
 */
#include "ddl.h"

/* ---- CREATE TYPE ... AS ENUM ---- */

/* An id whose successor is free too: that one is the array type's. */
luma_rc
sql_made_type_id(struct sql_utility *u, uint64_t *out_id)
{
    uint64_t before = 0;
    for (;;) {
        uint64_t id = sql_host->catalog->next_id(u->ctx, u->txn);
        if (id == 0)
            return u->ctx->error->code;
        if (before != 0 && id == before + 1) {
            *out_id = before;
            return LUMA_OK;
        }
        before = id;
    }
}

/* Where a new type goes, and that its name is free. */
void
sql_made_type_place(struct sql_bind *b, PgQuery__Node *const *names, size_t count,
                    struct luma_cat_object *type)
{
    const char *schema = NULL;
    type->kind = LUMA_CAT_TYPE;
    type->name = sql_name_parts(names, count, &schema);
    type->owner_id = sql_host->session->user_id(b->session);
    type->schema_id =
        schema != NULL && schema[0] != '\0' ? sql_schema_id(b, schema, -1) : sql_schema_create(b);
    const struct luma_cat_object *at = sql_host->catalog->by_id(b->view, type->schema_id);
    if (type->schema_id < LUMA_CAT_ID_USER_FIRST && type->schema_id != LUMA_CAT_ID_PUBLIC)
        SQL_THROW(b, -1, LUMA_E_DENIED, "42501", "permission denied for schema %s",
                  at != NULL ? at->name : schema);
    if (at != NULL && type->schema_id != b->own->temp_schema_id)
        sql_demand(b, at, 0, LUMA_RIGHT_CREATE);
    const struct luma_cat_object *relation =
        sql_host->catalog->relation(b->view, type->schema_id, type->name);
    if (sql_host->catalog->type(b->view, type->schema_id, type->name) != NULL ||
        (relation != NULL && relation->kind != LUMA_CAT_INDEX))
        SQL_THROW(b, -1, LUMA_E_EXISTS, "42710", "type \"%s\" already exists", type->name);
}

struct enum_call {
    const PgQuery__CreateEnumStmt *stmt;
    struct luma_cat_object type;
    struct luma_cat_label *labels;
};

static void
check_label(struct sql_bind *b, const char *label)
{
    if (strlen(label) <= SQL_NAME_BYTES_MAX)
        return;
    luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_INVALID, "42602", "invalid enum label \"%s\"", label);
    b->ctx->error->detail = "Labels must be 63 bytes or less.";
    sql_throw(b, -1, rc);
}

static void
build_enum(struct sql_bind *b, void *arg)
{
    struct enum_call *call = arg;
    const PgQuery__CreateEnumStmt *stmt = call->stmt;
    sql_made_type_place(b, stmt->type_name, stmt->n_type_name, &call->type);
    call->type.type_kind = 'e';
    call->labels = SQL_NEW_ARRAY(b, struct luma_cat_label, stmt->n_vals + 1);
    call->type.labels = call->labels;
    for (size_t i = 0; i < stmt->n_vals; i++) {
        const char *label = sql_string(stmt->vals[i]);
        check_label(b, label);
        for (size_t k = 0; k < i; k++)
            if (strcmp(call->labels[k].name, label) == 0)
                SQL_THROW(b, -1, LUMA_E_UNIQUE, "23505",
                          "duplicate key value violates unique constraint "
                          "\"pg_enum_typid_label_index\"");
        call->labels[i].name = label;
        call->labels[i].place = (int64_t)(i + 1) * LUMA_CAT_LABEL_STEP;
        call->type.labels_count++;
    }
}

static luma_rc
label_id(struct sql_utility *u, struct luma_cat_label *label)
{
    label->id = sql_host->catalog->next_id(u->ctx, u->txn);
    return label->id != 0 ? LUMA_OK : u->ctx->error->code;
}

luma_rc
sql_create_enum(struct sql_utility *u)
{
    struct enum_call call = {.stmt = u->node->create_enum_stmt};
    struct sql_bind b;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_enum, &call));
    LUMA_TRY(sql_made_type_id(u, &call.type.id));
    for (uint32_t i = 0; i < call.type.labels_count; i++)
        LUMA_TRY(label_id(u, &call.labels[i]));
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &call.type));
    return sql_done(u, "CREATE TYPE");
}

/* ---- ALTER TYPE ... ADD VALUE, RENAME VALUE ---- */

struct enum_change {
    const PgQuery__AlterEnumStmt *stmt;
    struct luma_cat_object type;
    struct luma_cat_label *labels;
    struct luma_cat_label *added; /* NULL: nothing to add */
};

static int32_t
label_at(const struct enum_change *c, const char *name)
{
    for (uint32_t i = 0; i < c->type.labels_count; i++)
        if (strcmp(c->labels[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

static uint32_t
label_must(struct sql_bind *b, const struct enum_change *c, const char *name)
{
    int32_t at = label_at(c, name);
    if (at < 0)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023", "\"%s\" is not an existing enum label", name);
    return (uint32_t)at;
}

static void
rename_label(struct sql_bind *b, struct enum_change *c)
{
    uint32_t at = label_must(b, c, c->stmt->old_val);
    check_label(b, c->stmt->new_val);
    if (label_at(c, c->stmt->new_val) >= 0)
        SQL_THROW(b, -1, LUMA_E_EXISTS, "42710", "enum label \"%s\" already exists",
                  c->stmt->new_val);
    c->labels[at].name = c->stmt->new_val;
}

/* Values that are stored keep their place, so a new label goes into the gap between two others. */
static int64_t
free_place(struct sql_bind *b, const struct enum_change *c, uint32_t at)
{
    uint32_t n = c->type.labels_count;
    if (n == 0)
        return LUMA_CAT_LABEL_STEP;
    if (at == n)
        return c->labels[n - 1].place + LUMA_CAT_LABEL_STEP;
    if (at == 0)
        return c->labels[0].place - LUMA_CAT_LABEL_STEP;
    int64_t low = c->labels[at - 1].place, high = c->labels[at].place;
    if (high - low < 2)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54000",
                  "there is no room for another label between \"%s\" and \"%s\"",
                  c->labels[at - 1].name, c->labels[at].name);
    return low + (high - low) / 2;
}

static void
add_label(struct sql_bind *b, struct enum_change *c)
{
    const PgQuery__AlterEnumStmt *stmt = c->stmt;
    check_label(b, stmt->new_val);
    if (label_at(c, stmt->new_val) >= 0) {
        if (!stmt->skip_if_new_val_exists)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42710", "enum label \"%s\" already exists",
                      stmt->new_val);
        sql_host->session->notice(b->session, "NOTICE", "42710",
                                  "enum label \"%s\" already exists, skipping", stmt->new_val);
        return;
    }
    uint32_t at = c->type.labels_count;
    if (stmt->new_val_neighbor != NULL && stmt->new_val_neighbor[0] != '\0')
        at = label_must(b, c, stmt->new_val_neighbor) + (stmt->new_val_is_after ? 1 : 0);
    int64_t place = free_place(b, c, at);
    memmove(&c->labels[at + 1], &c->labels[at], sizeof(*c->labels) * (c->type.labels_count - at));
    c->labels[at] = (struct luma_cat_label){.name = stmt->new_val, .place = place};
    c->added = &c->labels[at];
    c->type.labels_count++;
}

static void
change_enum(struct sql_bind *b, void *arg)
{
    struct enum_change *c = arg;
    const char *schema = NULL,
               *name = sql_name_parts(c->stmt->type_name, c->stmt->n_type_name, &schema);
    const struct luma_cat_object *type = sql_made_type_find(b, schema, name);
    if (type == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "type \"%s\" does not exist", name);
    if (type->type_kind != 'e')
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "%s is not an enum", name);
    sql_must_own(b, type);
    c->type = *type;
    c->labels = SQL_NEW_ARRAY(b, struct luma_cat_label, type->labels_count + 1);
    if (type->labels_count > 0)
        memcpy(c->labels, type->labels, sizeof(*c->labels) * type->labels_count);
    c->type.labels = c->labels;
    if (c->stmt->old_val != NULL && c->stmt->old_val[0] != '\0')
        rename_label(b, c);
    else
        add_label(b, c);
}

luma_rc
sql_alter_enum(struct sql_utility *u)
{
    struct enum_change call = {.stmt = u->node->alter_enum_stmt};
    struct sql_bind b;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, change_enum, &call));
    if (call.added != NULL)
        LUMA_TRY(label_id(u, call.added));
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &call.type));
    return sql_done(u, "ALTER TYPE");
}
