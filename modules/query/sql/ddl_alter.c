/*
 * ddl_alter.c - ALTER TABLE. Commands change a draft of the table; what must look at rows or
 * rewrite them is done by SQL of our own between puts.
 */
#include <stdio.h>

#include "ddl.h"

struct alter {
    const PgQuery__AlterTableStmt *stmt;
    const PgQuery__AlterTableCmd *cmd;
    const struct luma_cat_object *table;
    struct sql_draft *draft;
    bool skip; /* IF EXISTS, and it does not */
    bool changed;
    /* what is left to do with the rows */
    const char *check_sql, *check_name; /* new check */
    const char *not_null;               /* new not null column */
    struct luma_expr *missing;          /* default of a new column, evaluated once */
    uint32_t missing_col;
    const char *fill_col;   /* new column whose default differs per row */
    const char *type_using; /* expression of ALTER TYPE, over the old row */
    uint32_t type_col;
    struct luma_type type_new;
    uint64_t domain_new;
    uint64_t drop_ids[64]; /* owned sequences that go too */
    uint32_t drop_count;
    uint32_t foreign_at; /* 1 + position of a foreign key whose rows are to be looked at */
};

static uint32_t
column_at(struct sql_bind *b, const struct alter *a, const char *name)
{
    int32_t at = sql_draft_find(a->draft, name);
    if (at < 0)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703",
                  "column \"%s\" of relation \"%s\" does not exist", name, a->draft->object.name);
    return (uint32_t)at;
}

static bool
is_volatile(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->func != NULL && (e->func->flags & LUMA_FUNC_VOLATILE) != 0;
}

static void
add_column(struct sql_bind *b, struct alter *a)
{
    PgQuery__ColumnDef *def = a->cmd->def->column_def;
    if (sql_draft_find(a->draft, def->colname) >= 0) {
        if (!a->cmd->missing_ok)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42701",
                      "column \"%s\" of relation \"%s\" already exists", def->colname,
                      a->draft->object.name);
        sql_host->session->notice(b->session, "NOTICE", "42701",
                                  "column \"%s\" of relation \"%s\" already exists, skipping",
                                  def->colname, a->draft->object.name);
        return;
    }
    uint32_t at = a->draft->object.cols_count;
    sql_draft_column(b, a->draft, def);
    struct luma_cat_column *col = &a->draft->cols[at];
    a->changed = true;
    if (col->generated_sql != NULL || col->identity != 0 || a->draft->sequences_count > 0) {
        a->fill_col = col->name;
        a->not_null = col->not_null ? col->name : NULL;
        return;
    }
    if (col->default_sql != NULL) {
        struct luma_expr *e =
            sql_coerce(b, sql_bind_text(b, col->default_sql, NULL, SQL_PLACE_DEFAULT), col->type,
                       SQL_CAST_ASSIGN, -1);
        if (sql_expr_walk(e, is_volatile, NULL)) {
            a->fill_col = col->name;
        } else {
            a->missing = e;
            a->missing_col = at;
        }
    }
    a->not_null = col->not_null ? col->name : NULL;
}

static bool
uses_column(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static bool
index_uses(const struct luma_cat_index *index, uint32_t id)
{
    for (uint32_t i = 0; i < index->cols_count; i++)
        if (index->cols[i].col_id == id)
            return true;
    return false;
}

struct name_search {
    const char *name;
    uint64_t table_id;
    const struct luma_cat_object *view;
    const struct luma_cat_object *referrer;
    const struct luma_cat_constraint *constraint;
};

static bool
word_in(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = strstr(text, word); p != NULL; p = strstr(p + 1, word)) {
        char before = p == text ? ' ' : p[-1], after = p[n];
        bool inside = (before >= 'a' && before <= 'z') || (before >= '0' && before <= '9') ||
                      before == '_' || (after >= 'a' && after <= 'z') ||
                      (after >= '0' && after <= '9') || after == '_';
        if (!inside)
            return true;
    }
    return false;
}

static void
drop_column(struct sql_bind *b, struct alter *a)
{
    struct sql_draft *d = a->draft;
    if (sql_draft_find(d, a->cmd->name) < 0 && a->cmd->missing_ok) {
        sql_host->session->notice(b->session, "NOTICE", "42703",
                                  "column \"%s\" of relation \"%s\" does not exist, skipping",
                                  a->cmd->name, d->object.name);
        return;
    }
    uint32_t at = column_at(b, a, a->cmd->name), id = d->cols[at].id, kept = 0;
    const char *name = d->cols[at].name;
    if (d->cols[at].sequence_id != 0 && a->drop_count < LUMA_COUNTOF(a->drop_ids))
        a->drop_ids[a->drop_count++] = d->cols[at].sequence_id;
    for (uint32_t i = 0; i < d->object.constraints_count; i++) {
        const struct luma_cat_constraint *con = &d->constraints[i];
        bool goes = uses_column(con->cols, con->cols_count, id) ||
                    (con->check_sql != NULL && word_in(con->check_sql, name));
        if (!goes)
            d->constraints[kept++] = d->constraints[i];
    }
    d->object.constraints_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < d->object.indexes_count; i++)
        if (!index_uses(&d->indexes[i], id))
            d->indexes[kept++] = d->indexes[i];
    d->object.indexes_count = kept;
    for (uint32_t i = 0; i < d->object.cols_count; i++)
        if (i != at && d->cols[i].generated_sql != NULL && word_in(d->cols[i].generated_sql, name))
            SQL_THROW(b, -1, LUMA_E_INVALID, "2BP01",
                      "cannot drop column %s of table %s because other objects depend on it", name,
                      d->object.name);
    memmove(&d->cols[at], &d->cols[at + 1], sizeof(*d->cols) * (d->object.cols_count - at - 1));
    d->object.cols_count--;
    a->changed = true;
}

static void
alter_default(struct sql_bind *b, struct alter *a)
{
    struct luma_cat_column *col = &a->draft->cols[column_at(b, a, a->cmd->name)];
    if (col->identity != 0)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "column \"%s\" of relation \"%s\" is an identity column", col->name,
                  a->draft->object.name);
    col->default_sql =
        a->cmd->def == NULL ? NULL : sql_default_text(b, a->cmd->def, col->type, col->name);
    a->changed = true;
}

static void
alter_type(struct sql_bind *b, struct alter *a)
{
    PgQuery__ColumnDef *def = a->cmd->def->column_def;
    uint32_t at = column_at(b, a, a->cmd->name);
    struct luma_cat_column *col = &a->draft->cols[at];
    struct luma_type type_new = sql_type_resolve(b, def->type_name);
    a->type_new = sql_domain_base(b, type_new, &a->domain_new);
    a->type_col = at;
    struct sql_item *row = sql_item_of_row(b, a->table, a->table->name, 0);
    struct sql_scope scope = {.items = row, .place = SQL_PLACE_SET};
    if (def->raw_default != NULL) {
        sql_coerce(b, sql_bind_expr(b, &scope, def->raw_default), a->type_new, SQL_CAST_ASSIGN, -1);
        a->type_using = sql_deparse_here(b, def->raw_default);
    } else {
        struct luma_expr *e = sql_col(b, (int32_t)at, col->type);
        if (sql_coerce_try(b, e, a->type_new, SQL_CAST_ASSIGN, -1) == NULL) {
            luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42804",
                                       "column \"%s\" cannot be cast automatically to type %s",
                                       col->name, sql_type_text(b, a->type_new));
            sql_hint(b, "You might need to specify \"USING %s::%s\".", col->name,
                     sql_type_text(b, a->type_new));
            sql_throw(b, -1, rc);
        }
        const char *type = luma_type_is_made(type_new)
                               ? sql_type_text(b, type_new)
                               : sql_host->data->type_text(a->type_new, b->arena);
        a->type_using =
            sql_format(b, "%s::%s", sql_quoted(b, col->name), type != NULL ? type : "text");
    }
    if (col->default_sql != NULL) {
        struct luma_expr *e = sql_bind_text(b, col->default_sql, NULL, SQL_PLACE_DEFAULT);
        if (sql_coerce_try(b, e, a->type_new, SQL_CAST_ASSIGN, -1) == NULL)
            SQL_THROW(b, -1, LUMA_E_TYPE, "42804",
                      "default for column \"%s\" cannot be cast automatically to type %s",
                      col->name, sql_type_text(b, a->type_new));
    }
}

static void
add_constraint(struct sql_bind *b, struct alter *a)
{
    PgQuery__Constraint *con = a->cmd->def->constraint;
    sql_draft_constraint(b, a->draft, con, -1);
    a->changed = true;
    const struct luma_cat_constraint *made =
        &a->draft->constraints[a->draft->object.constraints_count - 1];
    if (made->kind == LUMA_CONSTRAINT_CHECK && !con->skip_validation) {
        a->check_sql = made->check_sql;
        a->check_name = made->name;
    }
    if (made->kind == LUMA_CONSTRAINT_FOREIGN && !con->skip_validation)
        a->foreign_at = a->draft->object.constraints_count;
    if (made->kind == LUMA_CONSTRAINT_PRIMARY)
        for (uint32_t i = 0; i < made->cols_count; i++)
            for (uint32_t c = 0; c < a->table->cols_count; c++)
                if (a->table->cols[c].id == made->cols[i] && !a->table->cols[c].not_null)
                    a->not_null = a->table->cols[c].name;
}

static bool
find_referrer(void *arg, const struct luma_cat_object *object)
{
    struct name_search *s = arg;
    for (uint32_t i = 0; i < object->constraints_count; i++)
        if (object->constraints[i].kind == LUMA_CONSTRAINT_FOREIGN &&
            object->constraints[i].ref_table_id == s->table_id) {
            s->referrer = object;
            s->constraint = &object->constraints[i];
            return false;
        }
    return true;
}

static void
drop_constraint(struct sql_bind *b, struct alter *a)
{
    struct sql_draft *d = a->draft;
    for (uint32_t i = 0; i < d->object.constraints_count; i++) {
        struct luma_cat_constraint *con = &d->constraints[i];
        if (strcmp(con->name, a->cmd->name) != 0)
            continue;
        struct name_search s = {.table_id = a->table->id};
        if (con->index_id != 0)
            sql_host->catalog->each(b->view, LUMA_CAT_TABLE, find_referrer, &s);
        if (s.referrer != NULL) {
            luma_rc rc = LUMA_FAIL_SQL(
                b->ctx, LUMA_E_INVALID, "2BP01",
                "cannot drop constraint %s on table %s because other objects depend on it",
                con->name, d->object.name);
            b->ctx->error->detail = sql_format(b, "constraint %s on table %s depends on index %s",
                                               s.constraint->name, s.referrer->name, con->name);
            sql_hint(b, "Use DROP ... CASCADE to drop the dependent objects too.");
            sql_throw(b, -1, rc);
        }
        uint32_t kept = 0;
        for (uint32_t k = 0; k < d->object.indexes_count; k++)
            if (con->index_id == 0 || d->indexes[k].id != con->index_id)
                d->indexes[kept++] = d->indexes[k];
        d->object.indexes_count = kept;
        memmove(con, con + 1, sizeof(*con) * (d->object.constraints_count - i - 1));
        d->object.constraints_count--;
        a->changed = true;
        return;
    }
    if (!a->cmd->missing_ok)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
                  "constraint \"%s\" of relation \"%s\" does not exist", a->cmd->name,
                  d->object.name);
    sql_host->session->notice(b->session, "NOTICE", "42704",
                              "constraint \"%s\" of relation \"%s\" does not exist, skipping",
                              a->cmd->name, d->object.name);
}

static struct luma_cat_constraint *
constraint_named(struct sql_bind *b, const struct alter *a, const char *name)
{
    for (uint32_t i = 0; i < a->draft->object.constraints_count; i++)
        if (strcmp(a->draft->constraints[i].name, name) == 0)
            return &a->draft->constraints[i];
    SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
              "constraint \"%s\" of relation \"%s\" does not exist", name, a->draft->object.name);
}

static void
validate_constraint(struct sql_bind *b, struct alter *a)
{
    struct luma_cat_constraint *con = constraint_named(b, a, a->cmd->name);
    if (con->kind != LUMA_CONSTRAINT_FOREIGN && con->kind != LUMA_CONSTRAINT_CHECK)
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809",
                  "constraint \"%s\" of relation \"%s\" is not a foreign key or check constraint",
                  con->name, a->draft->object.name);
    if (!con->not_valid)
        return;
    con->not_valid = false;
    a->changed = true;
    if (con->kind == LUMA_CONSTRAINT_FOREIGN) {
        a->foreign_at = (uint32_t)(con - a->draft->constraints) + 1;
    } else {
        a->check_sql = con->check_sql;
        a->check_name = con->name;
    }
}

/* ALTER CONSTRAINT: whether and when a foreign key waits for the end of the transaction. */
static void
alter_constraint(struct sql_bind *b, struct alter *a)
{
    const PgQuery__Constraint *def = a->cmd->def->constraint;
    struct luma_cat_constraint *con = constraint_named(b, a, def->conname);
    if (con->kind != LUMA_CONSTRAINT_FOREIGN)
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809",
                  "constraint \"%s\" of relation \"%s\" is not a foreign key constraint", con->name,
                  a->draft->object.name);
    con->deferrable = def->deferrable;
    con->deferred = def->initdeferred;
    a->changed = true;
}

static void
set_options(struct sql_bind *b, struct alter *a)
{
    const PgQuery__Node *def = a->cmd->def;
    struct luma_cat_object *o = &a->draft->object;
    bool reset = a->cmd->subtype == PG_AT(ResetRelOptions);
    if (def != NULL && def->node_case == PGN(LIST))
        o->options = (reset ? sql_storage_options_reset : sql_storage_options)(
            b, o->options, def->list->items, def->list->n_items);
    a->changed = true;
}

static void
change_owner(struct sql_bind *b, struct alter *a)
{
    sql_check(
        b, -1,
        sql_role_find(b->ctx, b->session, b->view, a->cmd->newowner, &a->draft->object.owner_id));
    a->changed = true;
}

static void
apply_command(struct sql_bind *b, void *arg)
{
    struct alter *a = arg;
    switch (a->cmd->subtype) {
    case PG_AT(AddColumn):
        add_column(b, a);
        return;
    case PG_AT(DropColumn):
        drop_column(b, a);
        return;
    case PG_AT(ColumnDefault):
        alter_default(b, a);
        return;
    case PG_AT(DropNotNull): {
        uint32_t at = column_at(b, a, a->cmd->name);
        for (uint32_t i = 0; i < a->draft->object.indexes_count; i++)
            if (a->draft->indexes[i].primary &&
                index_uses(&a->draft->indexes[i], a->draft->cols[at].id))
                SQL_THROW(b, -1, LUMA_E_INVALID, "42P16", "column \"%s\" is in a primary key",
                          a->cmd->name);
        a->draft->cols[at].not_null = false;
        a->changed = true;
        return;
    }
    case PG_AT(SetNotNull): {
        struct luma_cat_column *col = &a->draft->cols[column_at(b, a, a->cmd->name)];
        a->not_null = col->not_null ? NULL : col->name;
        col->not_null = true;
        a->changed = true;
        return;
    }
    case PG_AT(AlterColumnType):
        alter_type(b, a);
        return;
    case PG_AT(AddConstraint):
        add_constraint(b, a);
        return;
    case PG_AT(DropConstraint):
        drop_constraint(b, a);
        return;
    case PG_AT(SetRelOptions):
    case PG_AT(ResetRelOptions):
        set_options(b, a);
        return;
    case PG_AT(ChangeOwner):
        change_owner(b, a);
        return;
    case PG_AT(DropExpression):
        a->draft->cols[column_at(b, a, a->cmd->name)].generated_sql = NULL;
        a->changed = true;
        return;
    case PG_AT(DropIdentity): {
        struct luma_cat_column *col = &a->draft->cols[column_at(b, a, a->cmd->name)];
        if (col->sequence_id != 0 && a->drop_count < LUMA_COUNTOF(a->drop_ids))
            a->drop_ids[a->drop_count++] = col->sequence_id;
        col->identity = 0;
        col->sequence_id = 0;
        a->changed = true;
        return;
    }
    case PG_AT(AddIdentity):
        sql_draft_constraint(b, a->draft, a->cmd->def->constraint,
                             (int32_t)column_at(b, a, a->cmd->name));
        a->changed = true;
        return;
    case PG_AT(ValidateConstraint):
        validate_constraint(b, a);
        return;
    case PG_AT(AlterConstraint):
        alter_constraint(b, a);
        return;
    case PG_AT(SetStatistics):
    case PG_AT(SetStorage):
    case PG_AT(SetCompression):
    case PG_AT(ReplicaIdentity):
    case PG_AT(SetLogged):
    case PG_AT(SetUnLogged):
    case PG_AT(ClusterOn):
    case PG_AT(DropCluster):
        return; /* nothing here depends on it */
    default:
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "this form of ALTER TABLE is not supported");
    }
}

/* ---- rows ---- */

static luma_rc
check_not_null(struct sql_utility *u, const char *table, const struct alter *a)
{
    uint64_t rows = 0;
    const char *column = sql_quote(u->ctx->arena, a->not_null);
    if (column == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    LUMA_TRY(sql_internal(u, &rows, "SELECT 1 FROM %s WHERE %s IS NULL LIMIT 1", table, column));
    if (rows > 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_NOTNULL, "23502",
                             "column \"%s\" of relation \"%s\" contains null values", a->not_null,
                             a->draft->object.name);
    return LUMA_OK;
}

static luma_rc
check_rows(struct sql_utility *u, const char *table, const struct alter *a)
{
    uint64_t rows = 0;
    LUMA_TRY(
        sql_internal(u, &rows, "SELECT 1 FROM %s WHERE NOT (%s) LIMIT 1", table, a->check_sql));
    if (rows > 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_CHECK, "23514",
                             "check constraint \"%s\" of relation \"%s\" is violated by some row",
                             a->check_name, a->draft->object.name);
    return LUMA_OK;
}

/* Indexes over a column go, so that their names are free for the ones that are built anew. */
static luma_rc
drop_indexes_of(struct sql_utility *u, struct sql_draft *d, uint32_t col_id)
{
    struct luma_cat_object without = d->object;
    struct luma_cat_index *kept =
        LUMA_NEW_ARRAY(u->ctx->arena, struct luma_cat_index, d->object.indexes_count + 1);
    if (kept == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    without.indexes_count = 0;
    without.indexes = kept;
    for (uint32_t i = 0; i < d->object.indexes_count; i++)
        if (!index_uses(&d->indexes[i], col_id))
            kept[without.indexes_count++] = d->indexes[i];
    if (without.indexes_count == d->object.indexes_count)
        return LUMA_OK;
    return sql_host->catalog->put(u->ctx, u->txn, &without);
}

/* Puts the table with a new column beside the old one, fills it, puts it again without the old. */
static luma_rc
rewrite_type(struct sql_utility *u, const char *table, struct alter *a)
{
    static const char *const temp_name = "pg_alter_type";
    struct sql_draft *d = a->draft;
    uint32_t at = a->type_col, last = d->object.cols_count;
    struct luma_cat_column old = d->cols[at], *fresh = &d->cols[last];
    *fresh = old;
    fresh->id = d->object.col_id_next++;
    fresh->name = temp_name;
    fresh->type = a->type_new;
    fresh->domain_id = a->domain_new;
    fresh->not_null = false;
    fresh->default_sql = NULL;
    fresh->missing = (struct luma_value){.type = a->type_new, .is_null = true};
    fresh->missing.phys = (uint8_t)luma_type_phys(a->type_new);
    d->object.cols_count++;
    LUMA_TRY(sql_draft_put(u, d));
    LUMA_TRY(sql_internal(u, NULL, "UPDATE %s SET \"%s\" = %s", table, temp_name, a->type_using));
    LUMA_TRY(drop_indexes_of(u, d, old.id));
    struct luma_cat_column done = *fresh;
    done.name = old.name;
    done.not_null = old.not_null;
    done.default_sql = old.default_sql;
    d->cols[at] = done;
    d->object.cols_count--;
    for (uint32_t i = 0; i < d->object.indexes_count; i++) {
        if (!index_uses(&d->indexes[i], old.id))
            continue;
        struct luma_store_index_col *cols = luma_arena_copy(
            u->ctx->arena, d->indexes[i].cols, sizeof(*cols) * d->indexes[i].cols_count);
        if (cols == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        for (uint32_t c = 0; c < d->indexes[i].cols_count; c++)
            if (cols[c].col_id == old.id)
                cols[c].col_id = done.id;
        uint64_t was = d->indexes[i].id;
        d->indexes[i].cols = cols;
        d->indexes[i].id = sql_host->catalog->next_id(u->ctx, u->txn);
        if (d->indexes[i].id == 0)
            return u->ctx->error->code;
        for (uint32_t k = 0; k < d->object.constraints_count; k++)
            if (d->constraints[k].index_id == was)
                d->constraints[k].index_id = d->indexes[i].id;
    }
    for (uint32_t k = 0; k < d->object.constraints_count; k++) {
        uint32_t *ids = luma_arena_copy(u->ctx->arena, d->constraints[k].cols,
                                        sizeof(*ids) * d->constraints[k].cols_count);
        if (ids == NULL)
            return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
        for (uint32_t c = 0; c < d->constraints[k].cols_count; c++)
            if (ids[c] == old.id)
                ids[c] = done.id;
        d->constraints[k].cols = ids;
    }
    return sql_draft_put(u, d);
}

static luma_rc
evaluate_missing(struct sql_utility *u, struct alter *a)
{
    struct luma_value value;
    LUMA_TRY(
        sql_engine->eval(u->ctx, u->session, u->txn, a->missing, NULL, 0, u->ctx->arena, &value));
    a->draft->cols[a->missing_col].missing = value;
    a->draft->cols[a->missing_col].missing.type = a->draft->cols[a->missing_col].type;
    return LUMA_OK;
}

static luma_rc
fill_column(struct sql_utility *u, const char *table, const struct alter *a)
{
    const char *column = sql_quote(u->ctx->arena, a->fill_col);
    if (column == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    return sql_internal(u, NULL, "UPDATE %s SET %s = DEFAULT", table, column);
}

static luma_rc
finish_command(struct sql_utility *u, const char *table, struct alter *a)
{
    if (a->type_using != NULL)
        return rewrite_type(u, table, a);
    if (!a->changed)
        return LUMA_OK;
    if (a->missing != NULL)
        LUMA_TRY(evaluate_missing(u, a));
    if (a->not_null != NULL && a->fill_col == NULL && sql_draft_find(a->draft, a->not_null) >= 0 &&
        (uint32_t)sql_draft_find(a->draft, a->not_null) < a->table->cols_count)
        LUMA_TRY(check_not_null(u, table, a));
    LUMA_TRY(sql_draft_put(u, a->draft));
    if (a->fill_col != NULL)
        LUMA_TRY(fill_column(u, table, a));
    else if (a->not_null != NULL)
        LUMA_TRY(check_not_null(u, table, a));
    if (a->check_sql != NULL)
        LUMA_TRY(check_rows(u, table, a));
    if (a->foreign_at != 0)
        LUMA_TRY(sql_foreign_validate(u, a->draft->object.id,
                                      a->draft->constraints[a->foreign_at - 1].id));
    for (uint32_t i = 0; i < a->drop_count; i++)
        LUMA_TRY(sql_host->catalog->remove(u->ctx, u->txn, a->drop_ids[i]));
    return LUMA_OK;
}

struct alter_begin {
    const PgQuery__AlterTableStmt *stmt;
    const struct luma_cat_object *table;
    const char *qualified;
    struct sql_draft *draft;
};

static void
begin(struct sql_bind *b, void *arg)
{
    struct alter_begin *call = arg;
    struct sql_relation rel;
    const PgQuery__RangeVar *var = call->stmt->relation;
    if (call->table != NULL) {
        /* a further command: the table as the last one left it */
        call->table = sql_host->catalog->by_id(b->view, call->table->id);
    } else {
        if (!sql_relation_find(b, var->schemaname, var->relname, &rel)) {
            if (!call->stmt->missing_ok)
                sql_relation_get(b, var, &rel);
            sql_host->session->notice(b->session, "NOTICE", "42P01",
                                      "relation \"%s\" does not exist, skipping", var->relname);
            return;
        }
        if (rel.object == NULL)
            SQL_THROW(b, -1, LUMA_E_DENIED, "42501",
                      "permission denied: \"%s\" is a system catalog", var->relname);
        sql_must_own(b, rel.object);
        call->table = rel.object;
    }
    call->qualified = sql_qualified(b, call->table);
    if (call->qualified == NULL)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    sql_draft_begin(b, call->draft, call->table, 4, 8);
}

/* ALTER VIEW, INDEX and SEQUENCE share the statement; only their owner can change here. */
static bool
table_only(const struct luma_cat_object *object, const PgQuery__AlterTableCmd *cmd)
{
    return object->kind != LUMA_CAT_TABLE && cmd->subtype != PG_AT(ChangeOwner);
}

luma_rc
sql_alter_table(struct sql_utility *u)
{
    const PgQuery__AlterTableStmt *stmt = u->node->alter_table_stmt;
    struct sql_draft *draft = LUMA_NEW(u->ctx->arena, struct sql_draft);
    struct alter_begin first = {stmt, NULL, NULL, draft};
    if (draft == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < stmt->n_cmds; i++) {
        struct sql_bind b;
        sql_utility_bind(u, &b);
        LUMA_TRY(sql_guard(&b, begin, &first));
        if (first.table == NULL)
            break;
        struct alter a = {.stmt = stmt,
                          .cmd = stmt->cmds[i]->alter_table_cmd,
                          .table = first.table,
                          .draft = draft};
        if (table_only(first.table, a.cmd))
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_TYPE, "42809", "\"%s\" is not a table",
                                 first.table->name);
        LUMA_TRY(sql_guard(&b, apply_command, &a));
        LUMA_TRY(finish_command(u, first.qualified, &a));
    }
    return sql_done(u, stmt->objtype == PG_OBJECT(VIEW)       ? "ALTER VIEW"
                       : stmt->objtype == PG_OBJECT(INDEX)    ? "ALTER INDEX"
                       : stmt->objtype == PG_OBJECT(SEQUENCE) ? "ALTER SEQUENCE"
                                                              : "ALTER TABLE");
}
