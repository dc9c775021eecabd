/*
 * ddl_table.c - CREATE TABLE: columns, constraints, serial and identity, LIKE.
 */
#include <stdio.h>

#include "ddl.h"

/* ---- defaults and checks as text ---- */

const char *
sql_default_text(struct sql_bind *b, PgQuery__Node *node, struct luma_type type, const char *column)
{
    if (node->node_case == PGN(A_CONST) && node->a_const->isnull)
        return NULL;
    struct sql_scope scope = {.place = SQL_PLACE_DEFAULT};
    struct luma_expr *e = sql_bind_expr(b, &scope, node);
    bool literal = node->node_case == PGN(A_CONST) && e->type.id == LUMA_TYPE_UNKNOWN;
    struct luma_type from = e->type;
    if (sql_coerce_try(b, e, type, SQL_CAST_ASSIGN, sql_node_location(node)) == NULL) {
        luma_rc rc =
            LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42804",
                          "column \"%s\" is of type %s but default expression is of type %s",
                          column, sql_type_text(b, type), sql_type_text(b, from));
        sql_hint(b, "You will need to rewrite or cast the expression.");
        sql_throw(b, -1, rc);
    }
    const char *text = sql_deparse_here(b, node);
    /* PostgreSQL shows a literal with its type */
    return literal ? sql_format(b, "%s::%s", text, sql_type_written(b, type)) : text;
}

/* ---- columns ---- */

static bool
serial_type(const PgQuery__TypeName *name, struct luma_type *out)
{
    static const struct {
        const char *name;
        enum luma_type_id id;
    } serials[] = {{"serial", LUMA_TYPE_INT4},      {"serial4", LUMA_TYPE_INT4},
                   {"bigserial", LUMA_TYPE_INT8},   {"serial8", LUMA_TYPE_INT8},
                   {"smallserial", LUMA_TYPE_INT2}, {"serial2", LUMA_TYPE_INT2}};
    if (name->n_names != 1)
        return false;
    const char *text = sql_string(name->names[0]);
    for (size_t i = 0; i < LUMA_COUNTOF(serials); i++)
        if (strcmp(serials[i].name, text) == 0) {
            *out = luma_type(serials[i].id);
            return true;
        }
    return false;
}

static struct luma_cat_object *
add_sequence(struct sql_bind *b, struct sql_draft *draft, uint32_t col)
{
    if (draft->sequences_count >= LUMA_COUNTOF(draft->sequences))
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54011", "too many serial columns");
    struct luma_cat_object *seq = &draft->sequences[draft->sequences_count];
    draft->sequence_cols[draft->sequences_count] = col;
    memset(seq, 0, sizeof(*seq));
    seq->name = sql_free_name(b, draft->object.schema_id, draft->object.name, draft->cols[col].name,
                              "seq", draft);
    seq->temporary = draft->object.temporary;
    sql_sequence_defaults(seq, draft->cols[col].type);
    draft->sequences_count++;
    return seq;
}

static void
make_serial(struct sql_bind *b, struct sql_draft *draft, uint32_t col)
{
    const struct luma_cat_object *seq = add_sequence(b, draft, col);
    const struct luma_cat_object *schema =
        sql_host->catalog->by_id(b->view, draft->object.schema_id);
    const char *name = sql_quoted(b, seq->name);
    bool plain = strspn(seq->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(seq->name);
    if (plain)
        name = seq->name;
    bool qualify =
        schema != NULL && draft->object.schema_id != LUMA_CAT_ID_PUBLIC && !draft->object.temporary;
    draft->cols[col].default_sql =
        qualify ? sql_format(b, "nextval('%s.%s'::regclass)", schema->name, name)
                : sql_format(b, "nextval('%s'::regclass)", name);
    draft->cols[col].not_null = true;
}

static void
check_column_type(struct sql_bind *b, const char *name, struct luma_type type)
{
    if (type.id == LUMA_TYPE_RECORD || type.id == LUMA_TYPE_ANY || type.id == LUMA_TYPE_VOID ||
        type.id == LUMA_TYPE_UNKNOWN || type.id == LUMA_TYPE_ANYELEMENT ||
        type.id == LUMA_TYPE_ANYARRAY)
        SQL_THROW(b, -1, LUMA_E_TYPE, "42P16", "column \"%s\" has pseudo-type %s", name,
                  sql_type_text(b, type));
}

/* DEFERRABLE and its kin stand behind a column's constraint as nodes of their own. */
static void
column_attributes(struct sql_bind *b, const PgQuery__ColumnDef *def, size_t at,
                  PgQuery__Constraint *con)
{
    bool initially_said = false;
    if (con->contype == PG_CONSTR(ATTR_DEFERRABLE) || con->contype == PG_CONSTR(ATTR_DEFERRED) ||
        con->contype == PG_CONSTR(ATTR_NOT_DEFERRABLE) ||
        con->contype == PG_CONSTR(ATTR_IMMEDIATE)) {
        if (at == 0)
            SQL_THROW(b, con->location, LUMA_E_SYNTAX, "42601",
                      "misplaced DEFERRABLE or INITIALLY clause");
        return;
    }
    for (size_t i = at + 1; i < def->n_constraints; i++) {
        switch (def->constraints[i]->constraint->contype) {
        case PG_CONSTR(ATTR_DEFERRABLE):
            con->deferrable = true;
            continue;
        case PG_CONSTR(ATTR_DEFERRED):
            con->initdeferred = initially_said = true;
            con->deferrable = true;
            continue;
        case PG_CONSTR(ATTR_NOT_DEFERRABLE):
            if (initially_said)
                SQL_THROW(b, con->location, LUMA_E_SYNTAX, "42601",
                          "constraint declared INITIALLY DEFERRED must be DEFERRABLE");
            continue;
        case PG_CONSTR(ATTR_IMMEDIATE):
            continue;
        default:
            return;
        }
    }
}

void
sql_draft_column(struct sql_bind *b, struct sql_draft *draft, PgQuery__ColumnDef *def)
{
    static const char *const system[] = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"};
    if (sql_draft_find(draft, def->colname) >= 0)
        SQL_THROW(b, -1, LUMA_E_EXISTS, "42701", "column \"%s\" specified more than once",
                  def->colname);
    for (size_t i = 0; i < LUMA_COUNTOF(system); i++)
        if (strcmp(system[i], def->colname) == 0)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42701",
                      "column name \"%s\" conflicts with a system column name", def->colname);
    if (draft->object.cols_count >= 1600)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54011", "tables can have at most 1600 columns");
    uint32_t at = draft->object.cols_count++;
    struct luma_cat_column *col = &draft->cols[at];
    memset(col, 0, sizeof(*col));
    if (draft->object.col_id_next == 0)
        draft->object.col_id_next = 1;
    col->id = draft->object.col_id_next++;
    col->name = def->colname;
    bool serial = serial_type(def->type_name, &col->type);
    if (!serial)
        col->type = sql_domain_base(b, sql_type_resolve(b, def->type_name), &col->domain_id);
    check_column_type(b, col->name, col->type);
    if (def->coll_clause != NULL)
        sql_collation(b, def->coll_clause);
    col->missing.type = col->type;
    col->missing.phys = (uint8_t)luma_type_phys(col->type);
    col->missing.is_null = true;
    if (serial)
        make_serial(b, draft, at);
    if (def->raw_default != NULL)
        col->default_sql = sql_default_text(b, def->raw_default, col->type, col->name);
    for (size_t i = 0; i < def->n_constraints; i++) {
        PgQuery__Constraint *con = def->constraints[i]->constraint;
        column_attributes(b, def, i, con);
        sql_draft_constraint(b, draft, con, (int32_t)at);
    }
}

/* ---- constraints ---- */

static uint32_t *
key_columns(struct sql_bind *b, const struct sql_draft *draft, PgQuery__Node *const *keys,
            size_t count, int32_t col, uint32_t *out_count)
{
    uint32_t n = col >= 0 && count == 0 ? 1 : (uint32_t)count;
    uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, n);
    if (col >= 0 && count == 0)
        ids[0] = draft->cols[col].id;
    for (size_t i = 0; i < count; i++) {
        const char *name = sql_string(keys[i]);
        int32_t at = sql_draft_find(draft, name);
        if (at < 0)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703", "column \"%s\" named in key does not exist",
                      name);
        ids[i] = draft->cols[at].id;
        for (size_t k = 0; k < i; k++)
            if (ids[k] == ids[i])
                SQL_THROW(b, -1, LUMA_E_EXISTS, "42701",
                          "column \"%s\" appears twice in key constraint", name);
    }
    *out_count = n;
    return ids;
}

static struct luma_cat_column *
column_by_id(const struct sql_draft *draft, uint32_t id)
{
    for (uint32_t i = 0; i < draft->object.cols_count; i++)
        if (draft->cols[i].id == id)
            return &draft->cols[i];
    return NULL;
}

static struct luma_cat_constraint *
add_constraint(struct sql_bind *b, struct sql_draft *draft, const char *name,
               enum luma_constraint_kind kind)
{
    for (uint32_t i = 0; i < draft->object.constraints_count; i++)
        if (strcmp(draft->constraints[i].name, name) == 0)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42710",
                      "constraint \"%s\" for relation \"%s\" already exists", name,
                      draft->object.name);
    struct luma_cat_constraint *con = &draft->constraints[draft->object.constraints_count++];
    memset(con, 0, sizeof(*con));
    con->name = name;
    con->kind = kind;
    return con;
}

static const char *
joined_names(struct sql_bind *b, const struct sql_draft *draft, const uint32_t *ids, uint32_t count)
{
    const char *text = "";
    for (uint32_t i = 0; i < count; i++)
        text = sql_format(b, "%s%s%s", text, i == 0 ? "" : "_", column_by_id(draft, ids[i])->name);
    return text;
}

/* ALTER TABLE ... ADD CONSTRAINT ... USING INDEX: the index is there already. */
static bool
use_index(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con, bool primary)
{
    if (con->indexname[0] == '\0')
        return false;
    for (uint32_t i = 0; i < draft->object.indexes_count; i++) {
        struct luma_cat_index *index = &draft->indexes[i];
        if (strcmp(index->name, con->indexname) != 0)
            continue;
        if (!index->unique)
            SQL_THROW(b, -1, LUMA_E_INVALID, "42809", "\"%s\" is not a unique index", index->name);
        const char *name = con->conname[0] != '\0' ? con->conname : index->name;
        struct luma_cat_constraint *made = add_constraint(
            b, draft, name, primary ? LUMA_CONSTRAINT_PRIMARY : LUMA_CONSTRAINT_UNIQUE);
        uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, index->cols_count);
        for (uint32_t k = 0; k < index->cols_count; k++)
            ids[k] = index->cols[k].col_id;
        made->cols = ids;
        made->cols_count = index->cols_count;
        made->index_id = i + 1;
        index->primary = primary;
        index->name = name;
        return true;
    }
    SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "index \"%s\" does not exist", con->indexname);
}

static void
key_constraint(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con,
               int32_t col)
{
    bool primary = con->contype == PG_CONSTR(PRIMARY);
    sql_tablespace(b, con->indexspace);
    uint32_t n = 0;
    if (con->deferrable)
        SQL_THROW(b, con->location, LUMA_E_UNSUPPORTED, "0A000",
                  "deferrable unique constraints are not supported");
    for (uint32_t i = 0; primary && i < draft->object.indexes_count; i++)
        if (draft->indexes[i].primary)
            SQL_THROW(b, con->location, LUMA_E_INVALID, "42P16",
                      "multiple primary keys for table \"%s\" are not allowed", draft->object.name);
    if (use_index(b, draft, con, primary))
        return;
    uint32_t *ids = key_columns(b, draft, con->keys, con->n_keys, col, &n);
    const char *name = con->conname[0] != '\0' ? con->conname
                       : primary ? sql_free_name(b, draft->object.schema_id, draft->object.name,
                                                 NULL, "pkey", draft)
                                 : sql_free_name(b, draft->object.schema_id, draft->object.name,
                                                 joined_names(b, draft, ids, n), "key", draft);
    struct luma_cat_constraint *made =
        add_constraint(b, draft, name, primary ? LUMA_CONSTRAINT_PRIMARY : LUMA_CONSTRAINT_UNIQUE);
    made->cols = ids;
    made->cols_count = n;
    struct luma_store_index_col *cols = SQL_NEW_ARRAY(b, struct luma_store_index_col, n);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_cat_column *c = column_by_id(draft, ids[i]);
        cols[i].col_id = ids[i];
        if (!sql_type_sortable(c->type))
            SQL_THROW(b, con->location, LUMA_E_UNDEFINED, "42704",
                      "data type %s has no default operator class for access method \"btree\"",
                      sql_type_text(b, c->type));
        c->not_null |= primary;
    }
    uint32_t at = draft->object.indexes_count++;
    draft->indexes[at] = (struct luma_cat_index){.name = name,
                                                 .kind = "btree",
                                                 .unique = true,
                                                 .primary = primary,
                                                 .nulls_not_distinct = con->nulls_not_distinct,
                                                 .cols_count = n,
                                                 .cols = cols};
    made->index_id = at + 1;
}

/* The one column a check names, for its default name; NULL: none or several. */
struct check_names {
    const struct sql_draft *draft;
    int32_t col;
    bool several;
};

static bool
check_name_walk(void *arg, const struct luma_expr *e)
{
    struct check_names *names = arg;
    if (e->kind == LUMA_EXPR_COL) {
        names->several |= names->col >= 0 && names->col != e->index;
        names->col = e->index;
    }
    return false;
}

static void
check_constraint(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con)
{
    struct sql_item *row = sql_item_of_row(b, &draft->object, draft->object.name, 0);
    struct sql_scope scope = {.items = row, .place = SQL_PLACE_CHECK};
    struct luma_expr *e = sql_coerce_bool(b, sql_bind_expr(b, &scope, con->raw_expr), "CHECK",
                                          sql_node_location(con->raw_expr));
    struct check_names names = {draft, -1, false};
    sql_expr_walk(e, check_name_walk, &names);
    const char *column = names.col >= 0 && !names.several ? draft->cols[names.col].name : NULL;
    const char *name = con->conname[0] != '\0'
                           ? con->conname
                           : sql_free_name(b, 0, draft->object.name, column, "check", draft);
    struct luma_cat_constraint *made = add_constraint(b, draft, name, LUMA_CONSTRAINT_CHECK);
    made->check_sql = sql_deparse_here(b, con->raw_expr);
    if (column != NULL) {
        uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, 1);
        ids[0] = draft->cols[names.col].id;
        made->cols = ids;
        made->cols_count = 1;
    }
}

/* ---- foreign keys ---- */

static const struct luma_cat_object *
referenced_table(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con)
{
    if (strcmp(con->pktable->relname, draft->object.name) == 0 &&
        con->pktable->schemaname[0] == '\0')
        return &draft->object;
    struct sql_relation rel;
    sql_relation_get(b, con->pktable, &rel);
    if (rel.object == NULL || rel.object->kind != LUMA_CAT_TABLE)
        SQL_THROW(b, con->pktable->location, LUMA_E_TYPE, "42809",
                  "referenced relation \"%s\" is not a table", con->pktable->relname);
    sql_demand(b, rel.object, 0, LUMA_RIGHT_REFERENCES);
    return rel.object;
}

static const struct luma_cat_index *
unique_over(const struct luma_cat_object *table, const uint32_t *cols, uint32_t count)
{
    for (uint32_t i = 0; i < table->indexes_count; i++) {
        const struct luma_cat_index *index = &table->indexes[i];
        if (!index->unique || index->cols_count != count)
            continue;
        uint32_t found = 0;
        for (uint32_t c = 0; c < count; c++)
            for (uint32_t k = 0; k < count; k++)
                found += index->cols[k].col_id == cols[c];
        if (found == count)
            return index;
    }
    return NULL;
}

static uint32_t *
referenced_columns(struct sql_bind *b, const struct luma_cat_object *ref,
                   const PgQuery__Constraint *con, uint32_t *out_count)
{
    uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, con->n_pk_attrs + 32);
    uint32_t n = 0;
    for (size_t i = 0; i < con->n_pk_attrs; i++) {
        const char *name = sql_string(con->pk_attrs[i]);
        for (uint32_t c = 0; c < ref->cols_count; c++)
            if (strcmp(ref->cols[c].name, name) == 0)
                ids[n++] = ref->cols[c].id;
        if (n != i + 1)
            SQL_THROW(b, con->location, LUMA_E_UNDEFINED, "42703",
                      "column \"%s\" referenced in foreign key constraint does not exist", name);
    }
    for (uint32_t i = 0; con->n_pk_attrs == 0 && i < ref->indexes_count; i++)
        for (uint32_t c = 0; ref->indexes[i].primary && c < ref->indexes[i].cols_count && c < 32;
             c++)
            ids[n++] = ref->indexes[i].cols[c].col_id;
    if (n == 0)
        SQL_THROW(b, con->location, LUMA_E_UNDEFINED, "42704",
                  "there is no primary key for referenced table \"%s\"", ref->name);
    *out_count = n;
    return ids;
}

/* Types whose values compare with each other in one index. */
static bool
same_family(struct luma_type a, struct luma_type b)
{
    static const uint8_t families[][3] = {
        {LUMA_TYPE_INT2, LUMA_TYPE_INT4, LUMA_TYPE_INT8},
        {LUMA_TYPE_FLOAT4, LUMA_TYPE_FLOAT8, LUMA_TYPE_FLOAT8},
        {LUMA_TYPE_DATE, LUMA_TYPE_TIMESTAMP, LUMA_TYPE_TIMESTAMPTZ},
    };
    for (size_t i = 0; i < LUMA_COUNTOF(families); i++) {
        bool has_a = false, has_b = false;
        for (size_t k = 0; k < 3; k++) {
            has_a |= families[i][k] == a.id;
            has_b |= families[i][k] == b.id;
        }
        if (has_a && has_b)
            return true;
    }
    return false;
}

/* ON DELETE SET NULL (a, b) */
static const uint32_t *
set_columns(struct sql_bind *b, const struct sql_draft *draft, const PgQuery__Constraint *con,
            const struct luma_cat_constraint *made, uint32_t *out_count)
{
    uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, con->n_fk_del_set_cols);
    for (size_t i = 0; i < con->n_fk_del_set_cols; i++) {
        const char *name = sql_string(con->fk_del_set_cols[i]);
        int32_t at = sql_draft_find(draft, name);
        if (at < 0)
            SQL_THROW(b, con->location, LUMA_E_UNDEFINED, "42703",
                      "column \"%s\" referenced in foreign key constraint does not exist", name);
        bool member = false;
        for (uint32_t k = 0; k < made->cols_count; k++)
            member |= made->cols[k] == draft->cols[at].id;
        if (!member)
            SQL_THROW(
                b, con->location, LUMA_E_INVALID, "42P10",
                "column \"%s\" referenced in ON DELETE SET action must be part of foreign key",
                name);
        ids[i] = draft->cols[at].id;
    }
    *out_count = (uint32_t)con->n_fk_del_set_cols;
    return ids;
}

static void
foreign_constraint(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con,
                   int32_t col)
{
    uint32_t n = 0, ref_count = 0;
    uint32_t *ids = key_columns(b, draft, con->fk_attrs, con->n_fk_attrs, col, &n);
    const struct luma_cat_object *ref = referenced_table(b, draft, con);
    uint32_t *ref_ids = referenced_columns(b, ref, con, &ref_count);
    if (n != ref_count)
        SQL_THROW(b, con->location, LUMA_E_INVALID, "42830",
                  "number of referencing and referenced columns for foreign key disagree");
    if (con->fk_matchtype[0] == 'p')
        SQL_THROW(b, con->location, LUMA_E_UNSUPPORTED, "0A000", "MATCH PARTIAL is not supported");
    if (unique_over(ref, ref_ids, n) == NULL)
        SQL_THROW(b, con->location, LUMA_E_INVALID, "42830",
                  "there is no unique constraint matching given keys for referenced table \"%s\"",
                  ref->name);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_type own = column_by_id(draft, ids[i])->type, other = own;
        for (uint32_t c = 0; c < ref->cols_count; c++)
            if (ref->cols[c].id == ref_ids[i])
                other = ref->cols[c].type;
        if (!sql_can_coerce(own, other, SQL_CAST_IMPLICIT) && !same_family(own, other))
            SQL_THROW(b, con->location, LUMA_E_TYPE, "42804",
                      "foreign key constraint cannot be implemented: key columns are of "
                      "incompatible types: %s and %s",
                      sql_type_text(b, own), sql_type_text(b, other));
    }
    const char *name = con->conname[0] != '\0'
                           ? con->conname
                           : sql_free_name(b, 0, draft->object.name, joined_names(b, draft, ids, n),
                                           "fkey", draft);
    struct luma_cat_constraint *made = add_constraint(b, draft, name, LUMA_CONSTRAINT_FOREIGN);
    made->cols = ids;
    made->cols_count = n;
    made->ref_table_id = ref == &draft->object && ref->id == 0 ? UINT64_MAX : ref->id;
    made->ref_cols = ref_ids;
    made->on_delete = con->fk_del_action[0] != '\0' ? con->fk_del_action[0] : 'a';
    made->on_update = con->fk_upd_action[0] != '\0' ? con->fk_upd_action[0] : 'a';
    made->match = con->fk_matchtype[0] == 'f' ? 'f' : 's';
    made->deferrable = con->deferrable;
    made->deferred = con->initdeferred;
    made->not_valid = con->skip_validation;
    made->set_cols = set_columns(b, draft, con, made, &made->set_cols_count);
}

static void
identity_constraint(struct sql_bind *b, struct sql_draft *draft, const PgQuery__Constraint *con,
                    uint32_t col)
{
    struct luma_cat_column *c = &draft->cols[col];
    if (c->type.id != LUMA_TYPE_INT2 && c->type.id != LUMA_TYPE_INT4 &&
        c->type.id != LUMA_TYPE_INT8)
        SQL_THROW(b, con->location, LUMA_E_TYPE, "22023",
                  "identity column type must be smallint, integer, or bigint");
    c->identity = con->generated_when[0] == 'a' ? 'a' : 'd';
    c->not_null = true;
    struct luma_cat_object *seq = add_sequence(b, draft, col);
    const char *owner = NULL, *owner_col = NULL;
    int64_t restart = 0;
    bool has_restart = false;
    sql_sequence_options(b, con->options, con->n_options, seq, true, &owner, &owner_col, &restart,
                         &has_restart);
}

void
sql_draft_constraint(struct sql_bind *b, struct sql_draft *draft, PgQuery__Constraint *con,
                     int32_t col)
{
    switch (con->contype) {
    case PG_CONSTR(NULL):
        draft->cols[col].not_null = false;
        return;
    case PG_CONSTR(NOTNULL):
        draft->cols[col].not_null = true;
        return;
    case PG_CONSTR(DEFAULT):
        draft->cols[col].default_sql =
            sql_default_text(b, con->raw_expr, draft->cols[col].type, draft->cols[col].name);
        return;
    case PG_CONSTR(IDENTITY):
        identity_constraint(b, draft, con, (uint32_t)col);
        return;
    case PG_CONSTR(GENERATED):
        draft->cols[col].generated_sql = sql_deparse_here(b, con->raw_expr);
        return;
    case PG_CONSTR(CHECK):
        check_constraint(b, draft, con);
        return;
    case PG_CONSTR(PRIMARY):
    case PG_CONSTR(UNIQUE):
        key_constraint(b, draft, con, col);
        return;
    case PG_CONSTR(FOREIGN):
        foreign_constraint(b, draft, con, col);
        return;
    case PG_CONSTR(ATTR_NOT_DEFERRABLE):
    case PG_CONSTR(ATTR_IMMEDIATE):
    case PG_CONSTR(ATTR_DEFERRABLE):
    case PG_CONSTR(ATTR_DEFERRED):
        return; /* the constraint before it knows */
    default:
        SQL_THROW(b, con->location, LUMA_E_UNSUPPORTED, "0A000",
                  "exclusion constraints are not supported");
    }
}

/* Generated columns may refer to columns defined after them: checked at the end. */
void
sql_draft_check_exprs(struct sql_bind *b, const struct sql_draft *draft)
{
    for (uint32_t i = 0; i < draft->object.cols_count; i++) {
        const struct luma_cat_column *col = &draft->cols[i];
        if (col->generated_sql == NULL)
            continue;
        struct sql_item *row = sql_item_of_row(b, &draft->object, draft->object.name, 0);
        struct luma_expr *e = sql_bind_text(b, col->generated_sql, row, SQL_PLACE_CHECK);
        sql_coerce(b, e, col->type, SQL_CAST_ASSIGN, -1);
    }
}

/* ---- LIKE ---- */

#define LIKE_CONSTRAINTS 0x04u
#define LIKE_DEFAULTS    0x08u
#define LIKE_GENERATED   0x10u
#define LIKE_INDEXES     0x40u

static void
like_clause(struct sql_bind *b, struct sql_draft *draft, const PgQuery__TableLikeClause *like)
{
    struct sql_relation rel;
    sql_relation_get(b, like->relation, &rel);
    if (rel.object == NULL ||
        (rel.object->kind != LUMA_CAT_TABLE && rel.object->kind != LUMA_CAT_VIEW))
        SQL_THROW(b, like->relation->location, LUMA_E_TYPE, "42809",
                  "relation \"%s\" is invalid in LIKE clause", like->relation->relname);
    const struct luma_cat_object *from = rel.object;
    sql_demand(b, from, 0, LUMA_RIGHT_SELECT);
    if (draft->object.cols_count + from->cols_count > draft->cols_room)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54011", "tables can have at most 1600 columns");
    for (uint32_t i = 0; i < from->cols_count; i++) {
        struct luma_cat_column *col = &draft->cols[draft->object.cols_count++];
        *col = from->cols[i];
        if (draft->object.col_id_next == 0)
            draft->object.col_id_next = 1;
        col->id = draft->object.col_id_next++;
        col->identity = 0;
        col->sequence_id = 0;
        col->missing.is_null = true;
        if (!(like->options & LIKE_DEFAULTS))
            col->default_sql = NULL;
        if (!(like->options & LIKE_GENERATED))
            col->generated_sql = NULL;
    }
    for (uint32_t i = 0; (like->options & LIKE_CONSTRAINTS) && i < from->constraints_count; i++)
        if (from->constraints[i].kind == LUMA_CONSTRAINT_CHECK)
            add_constraint(b, draft, from->constraints[i].name, LUMA_CONSTRAINT_CHECK)->check_sql =
                from->constraints[i].check_sql;
    for (uint32_t i = 0; (like->options & LIKE_INDEXES) && i < from->indexes_count; i++) {
        struct luma_cat_index index = from->indexes[i];
        struct luma_store_index_col *cols =
            SQL_NEW_ARRAY(b, struct luma_store_index_col, index.cols_count);
        uint32_t *ids = SQL_NEW_ARRAY(b, uint32_t, index.cols_count);
        for (uint32_t c = 0; c < index.cols_count; c++) {
            cols[c] = index.cols[c];
            for (uint32_t k = 0; k < from->cols_count; k++)
                if (from->cols[k].id == cols[c].col_id)
                    cols[c].col_id =
                        draft->cols[draft->object.cols_count - from->cols_count + k].id;
            ids[c] = cols[c].col_id;
        }
        index.id = 0;
        index.cols = cols;
        index.name =
            sql_free_name(b, draft->object.schema_id, draft->object.name,
                          index.primary ? NULL : joined_names(b, draft, ids, index.cols_count),
                          index.primary  ? "pkey"
                          : index.unique ? "key"
                                         : "idx",
                          draft);
        draft->indexes[draft->object.indexes_count++] = index;
        if (!index.unique)
            continue;
        struct luma_cat_constraint *con = add_constraint(
            b, draft, index.name, index.primary ? LUMA_CONSTRAINT_PRIMARY : LUMA_CONSTRAINT_UNIQUE);
        con->cols = ids;
        con->cols_count = index.cols_count;
        con->index_id = draft->object.indexes_count;
    }
}

/* ---- CREATE TABLE ---- */

struct create_call {
    const PgQuery__CreateStmt *stmt;
    struct sql_draft *draft;
    bool exists;
};

static void
check_create(struct sql_bind *b, const PgQuery__CreateStmt *stmt)
{
    const char *what = stmt->partspec != NULL || stmt->partbound != NULL ? "partitioned tables"
                       : stmt->n_inh_relations > 0                       ? "inheritance"
                       : stmt->of_typename != NULL                       ? "typed tables"
                                                                         : NULL;
    if (what != NULL)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "%s are not supported", what);
    if (stmt->oncommit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DELETE_ROWS ||
        stmt->oncommit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "ON COMMIT DELETE ROWS and ON COMMIT DROP are not supported");
    sql_tablespace(b, stmt->tablespacename);
    if (stmt->access_method[0] != '\0' && strcmp(stmt->access_method, "heap") != 0)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "access method \"%s\" does not exist",
                  stmt->access_method);
}

void
sql_tablespace(struct sql_bind *b, const char *name)
{
    if (name[0] != '\0' && strcmp(name, "pg_default") != 0)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "tablespace \"%s\" does not exist", name);
}

static bool
table_exists(struct sql_bind *b, uint64_t schema_id, const char *name, bool if_not_exists)
{
    const struct luma_cat_object *old = sql_host->catalog->relation(b->view, schema_id, name);
    if (old == NULL)
        return false;
    if (!if_not_exists)
        SQL_THROW(b, -1, LUMA_E_EXISTS, "42P07", "relation \"%s\" already exists", name);
    sql_host->session->notice(b->session, "NOTICE", "42P07",
                              "relation \"%s\" already exists, skipping", name);
    return true;
}

static void
build_table(struct sql_bind *b, void *arg)
{
    struct create_call *call = arg;
    const PgQuery__CreateStmt *stmt = call->stmt;
    struct sql_draft *draft = call->draft;
    check_create(b, stmt);
    sql_draft_begin(b, draft, NULL, 1700, (uint32_t)stmt->n_table_elts * 4 + 128);
    struct luma_cat_object *o = &draft->object;
    o->kind = LUMA_CAT_TABLE;
    o->name = stmt->relation->relname;
    o->schema_id = sql_new_schema(b, stmt->relation);
    o->owner_id = sql_host->session->user_id(b->session);
    o->temporary = stmt->relation->relpersistence[0] == 't';
    o->unlogged = stmt->relation->relpersistence[0] == 'u';
    o->options = sql_storage_options(b, NULL, stmt->options, stmt->n_options);
    call->exists = table_exists(b, o->schema_id, o->name, stmt->if_not_exists);
    if (call->exists)
        return;
    for (size_t i = 0; i < stmt->n_table_elts; i++)
        if (stmt->table_elts[i]->node_case == PGN(COLUMN_DEF))
            sql_draft_column(b, draft, stmt->table_elts[i]->column_def);
        else if (stmt->table_elts[i]->node_case == PGN(TABLE_LIKE_CLAUSE))
            like_clause(b, draft, stmt->table_elts[i]->table_like_clause);
    for (size_t i = 0; i < stmt->n_table_elts; i++)
        if (stmt->table_elts[i]->node_case == PGN(CONSTRAINT))
            sql_draft_constraint(b, draft, stmt->table_elts[i]->constraint, -1);
    for (size_t i = 0; i < stmt->n_constraints; i++)
        sql_draft_constraint(b, draft, stmt->constraints[i]->constraint, -1);
    if (o->col_id_next == 0)
        o->col_id_next = 1;
    sql_draft_check_exprs(b, draft);
}

luma_rc
sql_create_table(struct sql_utility *u)
{
    const PgQuery__CreateStmt *stmt = u->node->create_stmt;
    struct sql_draft *draft = LUMA_NEW(u->ctx->arena, struct sql_draft);
    struct create_call call = {stmt, draft, false};
    struct sql_bind b;
    uint64_t temp;
    if (draft == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    if (stmt->relation->relpersistence[0] == 't')
        LUMA_TRY(sql_temp_schema(u, &temp));
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_table, &call));
    if (!call.exists)
        LUMA_TRY(sql_draft_put(u, draft));
    return sql_done(u, "CREATE TABLE");
}

/* ---- CREATE TABLE AS, SELECT INTO ---- */

struct create_as {
    const PgQuery__IntoClause *into;
    const struct sql_bound *source;
    struct sql_draft *draft;
    bool if_not_exists, exists;
    struct luma_plan *insert;
};

static void
build_table_as(struct sql_bind *b, void *arg)
{
    struct create_as *call = arg;
    struct sql_draft *draft = call->draft;
    uint32_t n = call->source->cols_count;
    sql_draft_begin(b, draft, NULL, n, 1);
    struct luma_cat_object *o = &draft->object;
    o->kind = LUMA_CAT_TABLE;
    o->name = call->into->rel->relname;
    o->schema_id = sql_new_schema(b, call->into->rel);
    o->owner_id = sql_host->session->user_id(b->session);
    o->temporary = call->into->rel->relpersistence[0] == 't';
    o->options = sql_storage_options(b, NULL, call->into->options, call->into->n_options);
    o->col_id_next = 1;
    call->exists = table_exists(b, o->schema_id, o->name, call->if_not_exists);
    if (call->exists)
        return;
    if (call->into->n_col_names > n)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "too many column names were specified");
    for (uint32_t i = 0; i < n; i++) {
        const char *name = i < call->into->n_col_names ? sql_string(call->into->col_names[i])
                                                       : call->source->cols[i].name;
        if (sql_draft_find(draft, name) >= 0)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42701", "column \"%s\" specified more than once",
                      name);
        struct luma_cat_column *col = &draft->cols[o->cols_count++];
        col->id = o->col_id_next++;
        col->name = name;
        col->type = call->source->cols[i].type;
        check_column_type(b, name, col->type);
        col->missing.type = col->type;
        col->missing.phys = (uint8_t)luma_type_phys(col->type);
        col->missing.is_null = true;
    }
}

static void
build_insert_as(struct sql_bind *b, void *arg)
{
    struct create_as *call = arg;
    const struct luma_cat_object *table = sql_host->catalog->by_id(b->view, call->draft->object.id);
    if (table == NULL)
        SQL_THROW(b, -1, LUMA_E_INTERNAL, "XX000", "the new table is not in the catalogue");
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_INSERT, (struct luma_plan *)call->source->plan);
    struct luma_plan_change *change = sql_change_of(b, table, false);
    change->bulk = true;
    plan->cols_count = 0;
    plan->cols = NULL;
    plan->table_name = change->table_name;
    plan->change = change;
    call->insert = plan;
}

static luma_rc
fill_table(struct sql_utility *u, struct create_as *call, uint64_t *out_rows)
{
    struct sql_bind b;
    struct luma_query *query = NULL;
    struct luma_result *result = NULL;
    sql_host->txn->command_end(u->txn);
    sql_bind_init(&b, u->ctx, u->session, u->txn, u->ctx->arena, NULL, 0);
    LUMA_TRY(sql_guard(&b, build_insert_as, call));
    LUMA_TRY(sql_engine->prepare(u->ctx, u->session, u->txn, call->insert, call->source->params,
                                 call->source->params_count, &query));
    luma_rc rc = sql_engine->open(u->ctx, u->session, u->txn, query,
                                  u->opts != NULL ? u->opts->params : NULL,
                                  u->opts != NULL ? u->opts->params_count : 0, &result);
    if (rc == LUMA_OK) {
        *out_rows = result->rows_done;
        result->close(result);
    }
    sql_engine->release(query);
    return rc;
}

luma_rc
sql_create_table_as(struct sql_utility *u)
{
    PgQuery__Node *query = u->node;
    const PgQuery__IntoClause *into;
    bool if_not_exists = false;
    if (u->node->node_case == PGN(SELECT_STMT)) {
        into = u->node->select_stmt->into_clause;
        u->node->select_stmt->into_clause = NULL; /* the rest is an ordinary query */
    } else {
        const PgQuery__CreateTableAsStmt *stmt = u->node->create_table_as_stmt;
        if (stmt->objtype == PG_OBJECT(MATVIEW))
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                 "materialized views are not supported");
        into = stmt->into;
        query = stmt->query;
        if_not_exists = stmt->if_not_exists;
    }
    struct sql_draft *draft = LUMA_NEW(u->ctx->arena, struct sql_draft);
    struct create_as call = {.into = into, .draft = draft, .if_not_exists = if_not_exists};
    struct sql_bound *source = NULL;
    struct sql_bind b;
    uint64_t rows = 0, temp;
    if (draft == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    luma_rc rc = sql_bind_node(u->ctx, u->session, u->txn, u->stmt->parse->text,
                               u->stmt->parse->bytes, query, NULL, 0, &source);
    if (u->node->node_case == PGN(SELECT_STMT))
        u->node->select_stmt->into_clause = (PgQuery__IntoClause *)into;
    if (rc != LUMA_OK)
        return rc;
    call.source = source;
    if (into->rel->relpersistence[0] == 't')
        rc = sql_temp_schema(u, &temp);
    sql_utility_bind(u, &b);
    if (rc == LUMA_OK)
        rc = sql_guard(&b, build_table_as, &call);
    if (rc == LUMA_OK && !call.exists)
        rc = sql_draft_put(u, draft);
    if (rc == LUMA_OK && !call.exists && !into->skip_data)
        rc = fill_table(u, &call, &rows);
    sql_bound_release(source);
    if (rc != LUMA_OK)
        return rc;
    if (call.exists || into->skip_data)
        return sql_done(u, "CREATE TABLE AS");
    return sql_result_done(u->ctx, u->session, "SELECT", true, rows, u->out_result);
}
