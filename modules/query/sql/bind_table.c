/*
 * bind_table.c - what changes of a table share: its definition for the engine, defaults, checks.
 */
#include "sql.h"

struct luma_expr *
sql_bind_text(struct sql_bind *b, const char *text, struct sql_item *item, enum sql_place place)
{
    const char *saved = b->text;
    b->text = NULL;
    size_t bytes = strlen(text);
    char *full = sql_alloc(b, bytes + sizeof("SELECT "));
    memcpy(full, "SELECT ", 7);
    memcpy(full + 7, text, bytes);
    const PgQuery__Node *node = sql_parse_nested(b, full);
    struct sql_scope scope = {.items = item, .place = place};
    struct luma_expr *e =
        sql_bind_expr(b, &scope, node->select_stmt->target_list[0]->res_target->val);
    b->text = saved;
    return e;
}

struct sql_item *
sql_item_of_row(struct sql_bind *b, const struct luma_cat_object *table, const char *alias,
                int32_t base)
{
    struct sql_item *item = SQL_NEW(b, struct sql_item);
    item->name = alias;
    item->cols_visible = true;
    item->rel_visible = alias != NULL;
    item->rowid_index = -1;
    item->object = table;
    item->cols_count = table->cols_count;
    item->cols = SQL_NEW_ARRAY(b, struct sql_column, table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++)
        item->cols[i] = (struct sql_column){.name = sql_text(b, table->cols[i].name),
                                            .type = table->cols[i].type,
                                            .index = base + (int32_t)i,
                                            .table_id = table->id,
                                            .col_id = table->cols[i].id};
    return item;
}

struct luma_expr *
sql_column_default(struct sql_bind *b, const struct luma_cat_object *table,
                   const struct luma_cat_column *col)
{
    (void)table;
    if (col->generated_sql != NULL)
        return sql_const_null(b, col->type);
    if (col->identity != 0 && col->sequence_id != 0) {
        struct luma_expr *seq = sql_const_null(b, luma_type(LUMA_TYPE_REGCLASS));
        seq->value.is_null = false;
        seq->value.i32 = (int32_t)col->sequence_id;
        return sql_coerce(b, sql_call(b, "nextval", -1, &seq, 1), col->type, SQL_CAST_ASSIGN, -1);
    }
    const struct luma_cat_object *domain = sql_domain(b, col->domain_id);
    const char *text =
        col->default_sql == NULL && domain != NULL ? domain->cols[0].default_sql : col->default_sql;
    if (text == NULL)
        return sql_const_null(b, col->type);
    struct luma_expr *e = sql_bind_text(b, text, NULL, SQL_PLACE_DEFAULT);
    return sql_coerce(b, e, col->type, SQL_CAST_ASSIGN, -1);
}

static void
change_checks(struct sql_bind *b, const struct luma_cat_object *table,
              struct luma_plan_change *change)
{
    uint32_t n = 0;
    struct luma_plan_check *checks =
        SQL_NEW_ARRAY(b, struct luma_plan_check, table->constraints_count + table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++) {
        const struct luma_cat_object *domain = sql_domain(b, table->cols[i].domain_id);
        struct luma_expr *value = sql_col(b, (int32_t)i, table->cols[i].type);
        struct luma_expr *ok = domain != NULL ? sql_domain_assert(b, domain, value) : NULL;
        if (ok == NULL)
            continue;
        checks[n].name = sql_text(b, domain->name);
        checks[n++].expr = ok;
    }
    for (uint32_t i = 0; i < table->constraints_count; i++) {
        const struct luma_cat_constraint *con = &table->constraints[i];
        if (con->kind != LUMA_CONSTRAINT_CHECK)
            continue;
        struct sql_item *row = sql_item_of_row(b, table, table->name, 0);
        struct luma_expr *e = sql_bind_text(b, con->check_sql, row, SQL_PLACE_CHECK);
        checks[n].name = sql_text(b, con->name);
        checks[n++].expr = sql_coerce_bool(b, e, "CHECK", -1);
    }
    change->checks = checks;
    change->checks_count = n;
}

static const char *
schema_of(struct sql_bind *b, const struct luma_cat_object *table)
{
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, table->schema_id);
    return schema != NULL ? sql_text(b, schema->name) : NULL;
}

static const char *
constraint_of_index(const struct luma_cat_object *table, const struct luma_cat_index *index)
{
    for (uint32_t i = 0; i < table->constraints_count; i++)
        if (table->constraints[i].index_id == index->id &&
            (table->constraints[i].kind == LUMA_CONSTRAINT_PRIMARY ||
             table->constraints[i].kind == LUMA_CONSTRAINT_UNIQUE))
            return table->constraints[i].name;
    return index->name;
}

struct luma_plan_change *
sql_change_of(struct sql_bind *b, const struct luma_cat_object *table, bool with_checks)
{
    struct luma_plan_change *change = SQL_NEW(b, struct luma_plan_change);
    uint32_t n = table->cols_count;
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, n);
    bool *not_null = SQL_NEW_ARRAY(b, bool, n);
    for (uint32_t i = 0; i < n; i++) {
        cols[i] = (struct luma_plan_col){sql_text(b, table->cols[i].name), table->cols[i].type,
                                         table->id, table->cols[i].id};
        not_null[i] = table->cols[i].not_null;
    }
    change->coll_id = table->id;
    change->table_name = sql_text(b, table->name);
    change->schema_name = schema_of(b, table);
    change->table_cols_count = n;
    change->table_cols = cols;
    change->not_null = not_null;
    uint64_t *ids = SQL_NEW_ARRAY(b, uint64_t, table->indexes_count);
    const char **names = SQL_NEW_ARRAY(b, const char *, table->indexes_count);
    for (uint32_t i = 0; i < table->indexes_count; i++) {
        ids[i] = table->indexes[i].id;
        names[i] = sql_text(b, constraint_of_index(table, &table->indexes[i]));
    }
    change->index_names_count = table->indexes_count;
    change->index_ids = ids;
    change->index_names = names;
    if (with_checks)
        change_checks(b, table, change);
    return change;
}
