/*
 * ddl_domain.c - CREATE DOMAIN, ALTER DOMAIN. A domain is a type of the catalogue with one column:
 * what it is over, its default, NOT NULL; and check constraints.
 */
#include "ddl.h"

#define DOMAIN_CONSTRAINTS_MAX 64u

struct domain_call {
    struct luma_cat_object object;
    struct luma_cat_column col;
    struct luma_cat_constraint constraints[DOMAIN_CONSTRAINTS_MAX]; /* new ones: id 0 */
    const PgQuery__CreateDomainStmt *create;
    const PgQuery__AlterDomainStmt *alter;
    const char *check; /* constraint whose values must be looked at; NULL */
    bool check_null, skip;
};

/* ---- constraints ---- */

static const char *
check_name(struct sql_bind *b, const struct domain_call *d)
{
    for (uint32_t number = 0;; number++) {
        const char *name = number == 0 ? sql_format(b, "%s_check", d->object.name)
                                       : sql_format(b, "%s_check%u", d->object.name, number);
        bool taken = false;
        for (uint32_t i = 0; i < d->object.constraints_count; i++)
            taken |= strcmp(d->constraints[i].name, name) == 0;
        if (!taken)
            return name;
    }
}

static void
add_check(struct sql_bind *b, struct domain_call *d, PgQuery__Constraint *con)
{
    if (d->object.constraints_count == DOMAIN_CONSTRAINTS_MAX)
        SQL_THROW(b, con->location, LUMA_E_LIMIT, "54000", "too many constraints for a domain");
    if (con->is_no_inherit)
        SQL_THROW(b, con->location, LUMA_E_INVALID, "42P16",
                  "check constraints for domains cannot be marked NO INHERIT");
    struct luma_cat_constraint *made = &d->constraints[d->object.constraints_count];
    memset(made, 0, sizeof(*made));
    made->kind = LUMA_CONSTRAINT_CHECK;
    made->name = con->conname[0] != '\0' ? con->conname : check_name(b, d);
    for (uint32_t i = 0; i < d->object.constraints_count; i++)
        if (strcmp(d->constraints[i].name, made->name) == 0)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42710",
                      "constraint \"%s\" for domain %s already exists", made->name, d->object.name);
    made->check_sql = sql_deparse_here(b, con->raw_expr);
    made->not_valid = con->skip_validation;
    (void)sql_domain_condition(b, made->check_sql, sql_const_null(b, d->col.type));
    d->object.constraints_count++;
    if (!con->skip_validation)
        d->check = made->name;
}

static void
add_constraint(struct sql_bind *b, struct domain_call *d, PgQuery__Constraint *con)
{
    switch (con->contype) {
    case PG_CONSTR(NOTNULL):
        d->col.not_null = true;
        return;
    case PG_CONSTR(NULL):
        if (d->col.not_null)
            SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "conflicting NULL/NOT NULL constraints");
        return;
    case PG_CONSTR(DEFAULT):
        if (d->col.default_sql != NULL && d->create != NULL && d->col.domain_id == 0)
            SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "multiple default expressions");
        d->col.default_sql = sql_default_text(b, con->raw_expr, d->col.type, d->object.name);
        return;
    case PG_CONSTR(CHECK):
        add_check(b, d, con);
        return;
    case PG_CONSTR(UNIQUE):
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "unique constraints not possible for domains");
    case PG_CONSTR(PRIMARY):
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "primary key constraints not possible for domains");
    case PG_CONSTR(EXCLUSION):
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601", "exclusion constraints not possible for domains");
    case PG_CONSTR(FOREIGN):
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "foreign key constraints not possible for domains");
    default:
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "specifying constraint deferrability not supported for domains");
    }
}

/* ---- CREATE DOMAIN ---- */

static void
build_domain(struct sql_bind *b, void *arg)
{
    struct domain_call *d = arg;
    const PgQuery__CreateDomainStmt *stmt = d->create;
    sql_made_type_place(b, stmt->domainname, stmt->n_domainname, &d->object);
    d->object.type_kind = 'd';
    d->col.id = 1;
    d->col.name = "value";
    d->col.type = sql_domain_base(b, sql_type_resolve(b, stmt->type_name), &d->col.domain_id);
    if (sql_type_category(d->col.type) == 'P')
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "\"%s\" is not a valid base type for a domain",
                  sql_type_text(b, d->col.type));
    if (stmt->coll_clause != NULL)
        sql_collation(b, stmt->coll_clause);
    const struct luma_cat_object *below = sql_domain(b, d->col.domain_id);
    if (below != NULL)
        d->col.default_sql = below->cols[0].default_sql;
    for (size_t i = 0; i < stmt->n_constraints; i++)
        add_constraint(b, d, stmt->constraints[i]->constraint);
    d->col.missing = (struct luma_value){
        .type = d->col.type, .phys = (uint8_t)luma_type_phys(d->col.type), .is_null = true};
}

static luma_rc
put_domain(struct sql_utility *u, struct domain_call *d)
{
    d->object.cols_count = 1;
    d->object.cols = &d->col;
    d->object.col_id_next = 2;
    d->object.constraints = d->constraints;
    if (d->object.id == 0)
        LUMA_TRY(sql_made_type_id(u, &d->object.id));
    for (uint32_t i = 0; i < d->object.constraints_count; i++) {
        if (d->constraints[i].id == 0)
            d->constraints[i].id = sql_host->catalog->next_id(u->ctx, u->txn);
        if (d->constraints[i].id == 0)
            return u->ctx->error->code;
    }
    return sql_host->catalog->put(u->ctx, u->txn, &d->object);
}

luma_rc
sql_create_domain(struct sql_utility *u)
{
    struct domain_call *call = LUMA_NEW(u->ctx->arena, struct domain_call);
    struct sql_bind b;
    if (call == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    call->create = u->node->create_domain_stmt;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_domain, call));
    LUMA_TRY(put_domain(u, call));
    return sql_done(u, "CREATE DOMAIN");
}

/* ---- ALTER DOMAIN ---- */

static struct luma_cat_constraint *
constraint_named(struct domain_call *d, const char *name)
{
    for (uint32_t i = 0; i < d->object.constraints_count; i++)
        if (strcmp(d->constraints[i].name, name) == 0)
            return &d->constraints[i];
    return NULL;
}

static void
drop_constraint(struct sql_bind *b, struct domain_call *d)
{
    struct luma_cat_constraint *con = constraint_named(d, d->alter->name);
    if (con == NULL && !d->alter->missing_ok)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
                  "constraint \"%s\" of domain \"%s\" does not exist", d->alter->name,
                  d->object.name);
    if (con == NULL) {
        sql_host->session->notice(b->session, "NOTICE", "00000",
                                  "constraint \"%s\" of domain \"%s\" does not exist, skipping",
                                  d->alter->name, d->object.name);
        return;
    }
    size_t behind = (size_t)(&d->constraints[d->object.constraints_count] - con) - 1;
    memmove(con, con + 1, sizeof(*con) * behind);
    d->object.constraints_count--;
}

static void
validate_constraint(struct sql_bind *b, struct domain_call *d)
{
    struct luma_cat_constraint *con = constraint_named(d, d->alter->name);
    if (con == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704",
                  "constraint \"%s\" of domain \"%s\" does not exist", d->alter->name,
                  d->object.name);
    con->not_valid = false;
    d->check = con->name;
}

static void
change_domain(struct sql_bind *b, void *arg)
{
    struct domain_call *d = arg;
    const PgQuery__AlterDomainStmt *stmt = d->alter;
    const char *schema = NULL, *name = sql_name_parts(stmt->type_name, stmt->n_type_name, &schema);
    const struct luma_cat_object *domain = sql_made_type_find(b, schema, name);
    if (domain == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "type \"%s\" does not exist", name);
    if (domain->type_kind != 'd')
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "%s is not a domain", name);
    sql_must_own(b, domain);
    d->object = *domain;
    d->col = domain->cols[0];
    for (uint32_t i = 0; i < domain->constraints_count && i < DOMAIN_CONSTRAINTS_MAX; i++)
        d->constraints[i] = domain->constraints[i];
    switch (stmt->subtype[0]) {
    case 'T':
        d->col.default_sql =
            stmt->def == NULL ? NULL : sql_default_text(b, stmt->def, d->col.type, name);
        return;
    case 'N':
        d->col.not_null = false;
        return;
    case 'O':
        d->check_null = !d->col.not_null;
        d->col.not_null = true;
        return;
    case 'C':
        add_constraint(b, d, stmt->def->constraint);
        return;
    case 'X':
        drop_constraint(b, d);
        return;
    default:
        validate_constraint(b, d);
    }
}

/* Columns declared as the domain, or as one over it. */
struct domain_users {
    const struct luma_cat_view *view;
    uint64_t id;
    struct {
        const struct luma_cat_object *table;
        const struct luma_cat_column *col;
    } list[256];
    uint32_t count;
};

static bool
is_over(const struct luma_cat_view *view, uint64_t domain_id, uint64_t id)
{
    while (domain_id != 0 && domain_id != id) {
        const struct luma_cat_object *o = sql_host->catalog->by_id(view, domain_id);
        domain_id = o != NULL && o->cols_count > 0 ? o->cols[0].domain_id : 0;
    }
    return domain_id != 0;
}

static bool
collect_users(void *arg, const struct luma_cat_object *table)
{
    struct domain_users *users = arg;
    for (uint32_t i = 0; i < table->cols_count && users->count < LUMA_COUNTOF(users->list); i++)
        if (is_over(users->view, table->cols[i].domain_id, users->id)) {
            users->list[users->count].table = table;
            users->list[users->count++].col = &table->cols[i];
        }
    return true;
}

static luma_rc
check_column(struct sql_utility *u, const struct domain_call *d, const char *check_sql,
             const struct luma_cat_object *table, const struct luma_cat_column *col)
{
    struct sql_bind b;
    uint64_t rows = 0;
    sql_utility_bind(u, &b);
    const char *name = sql_quote(u->ctx->arena, col->name), *from = sql_qualified(&b, table);
    if (name == NULL || from == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    if (d->check_null)
        LUMA_TRY(sql_internal(u, &rows, "SELECT 1 FROM %s WHERE %s IS NULL LIMIT 1", from, name));
    if (rows > 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_NOTNULL, "23502",
                             "column \"%s\" of table \"%s\" contains null values", col->name,
                             table->name);
    if (check_sql == NULL)
        return LUMA_OK;
    LUMA_TRY(sql_internal(u, &rows,
                          "SELECT 1 FROM (SELECT %s AS value FROM %s) x WHERE NOT (%s) LIMIT 1",
                          name, from, check_sql));
    if (rows > 0)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_CHECK, "23514",
                             "column \"%s\" of table \"%s\" contains values that violate the new "
                             "constraint",
                             col->name, table->name);
    return LUMA_OK;
}

luma_rc
sql_alter_domain(struct sql_utility *u)
{
    struct domain_call *call = LUMA_NEW(u->ctx->arena, struct domain_call);
    struct domain_users *users = LUMA_NEW(u->ctx->arena, struct domain_users);
    struct sql_bind b;
    if (call == NULL || users == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    call->alter = u->node->alter_domain_stmt;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, change_domain, call));
    users->view = sql_host->catalog->view(u->txn);
    users->id = call->object.id;
    if (call->check != NULL || call->check_null)
        sql_host->catalog->each(users->view, LUMA_CAT_TABLE, collect_users, users);
    const struct luma_cat_constraint *con =
        call->check != NULL ? constraint_named(call, call->check) : NULL;
    for (uint32_t i = 0; i < users->count; i++)
        LUMA_TRY(check_column(u, call, con != NULL ? con->check_sql : NULL, users->list[i].table,
                              users->list[i].col));
    LUMA_TRY(put_domain(u, call));
    return sql_done(u, "ALTER DOMAIN");
}

luma_rc
sql_rename_domain_constraint(struct sql_utility *u, const struct luma_cat_object *domain,
                             const char *from, const char *to)
{
    struct luma_cat_object *copy = sql_object_copy(u->ctx, domain);
    struct luma_cat_constraint *cons = luma_arena_copy(u->ctx->arena, domain->constraints,
                                                       sizeof(*cons) * domain->constraints_count);
    if (copy == NULL || cons == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->constraints = cons;
    for (uint32_t i = 0; i < copy->constraints_count; i++)
        if (strcmp(cons[i].name, from) == 0) {
            cons[i].name = to;
            return sql_host->catalog->put(u->ctx, u->txn, copy);
        }
    return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "42704",
                         "constraint \"%s\" for domain %s does not exist", from, domain->name);
}
