/*
 * domain.c - domains while a statement is bound: what they are over, and the checks of their
 * values.
 *
 * An expression never has a domain as its type: a cast gives the type below, wrapped so that the
 * constraints are looked at. Columns keep the domain's id, and every change of a table checks its
 * new rows (with the constraints of the table itself).
 */
#include "sql.h"

const struct luma_cat_object *
sql_domain(struct sql_bind *b, uint64_t id)
{
    const struct luma_cat_object *o = id != 0 ? sql_host->catalog->by_id(b->view, id) : NULL;
    return o != NULL && o->kind == LUMA_CAT_TYPE && o->type_kind == 'd' ? o : NULL;
}

struct luma_type
sql_domain_base(struct sql_bind *b, struct luma_type type, uint64_t *out_domain_id)
{
    bool array = type.id == LUMA_TYPE_ARRAY;
    *out_domain_id = 0;
    if ((array ? type.elem : type.id) != LUMA_TYPE_DOMAIN)
        return type;
    const struct luma_cat_object *domain = sql_domain(b, (uint64_t)type.mod);
    if (domain == NULL)
        SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42704", "type with OID %d does not exist", type.mod);
    if (!array) {
        *out_domain_id = domain->id;
        return domain->cols[0].type;
    }
    if (domain->constraints_count > 0 || domain->cols[0].not_null || domain->cols[0].domain_id != 0)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "arrays of domain %s are not supported: it has constraints", domain->name);
    if (domain->cols[0].type.id == LUMA_TYPE_ARRAY)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "arrays of domain %s are not supported: it is over an array", domain->name);
    return luma_type_array_of(domain->cols[0].type);
}

/* ---- checks ---- */

/* A function for one constraint: true, or its error. */
struct assertion {
    struct luma_func func;
    const char *domain, *constraint; /* constraint NULL: NOT NULL */
};

static luma_rc
assert_failed(const struct luma_func_call *call)
{
    const struct assertion *a = (const struct assertion *)call->func;
    if (a->constraint == NULL)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_NOTNULL, "23502",
                             "domain %s does not allow null values", a->domain);
    luma_rc rc = LUMA_FAIL_SQL(call->ctx, LUMA_E_CHECK, "23514",
                               "value for domain %s violates check constraint \"%s\"", a->domain,
                               a->constraint);
    call->ctx->error->constraint = a->constraint;
    return rc;
}

static luma_rc
assert_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
            const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        if (!luma_vec_is_null(&args[0], row) && !*(const uint8_t *)luma_vec_at(&args[0], row))
            return assert_failed(call);
        ((uint8_t *)out->data)[row] = 1;
    }
    return LUMA_OK;
}

static struct luma_expr *
assertion(struct sql_bind *b, const char *domain, const char *constraint,
          struct luma_expr *condition)
{
    struct assertion *a = SQL_NEW(b, struct assertion);
    struct luma_type boolean = luma_type(LUMA_TYPE_BOOL);
    a->func.name = "domain_check";
    a->func.flags = LUMA_FUNC_STABLE;
    a->func.args_count = 1;
    a->func.args[0] = boolean;
    a->func.result = boolean;
    a->func.eval = assert_eval;
    a->domain = domain;
    a->constraint = constraint != NULL ? sql_text(b, constraint) : NULL;
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CALL, boolean, 1);
    e->func = &a->func;
    e->args[0] = condition;
    return e;
}

/* The name `value` for an expression. */
static struct sql_item *
value_item(struct sql_bind *b, struct luma_expr *value)
{
    struct sql_item *item = SQL_NEW(b, struct sql_item);
    item->cols_visible = true;
    item->rowid_index = -1;
    item->cols_count = 1;
    item->cols = SQL_NEW(b, struct sql_column);
    item->cols[0] = (struct sql_column){.name = "value", .type = value->type, .merged = value};
    return item;
}

struct luma_expr *
sql_domain_condition(struct sql_bind *b, const char *check_sql, struct luma_expr *value)
{
    struct luma_expr *e = sql_bind_text(b, check_sql, value_item(b, value), SQL_PLACE_CHECK);
    return sql_coerce_bool(b, e, "CHECK", -1);
}

/* A domain over another one has its constraints too; errors name the one that was asked for. */
static struct luma_expr *
assert_all(struct sql_bind *b, const struct luma_cat_object *domain, const char *name,
           struct luma_expr *value)
{
    const struct luma_cat_object *below = sql_domain(b, domain->cols[0].domain_id);
    struct luma_expr *all = below != NULL ? assert_all(b, below, name, value) : NULL;
    if (domain->cols[0].not_null) {
        struct luma_expr *there = sql_expr(b, LUMA_EXPR_IS_NULL, luma_type(LUMA_TYPE_BOOL), 1);
        there->args[0] = value;
        there->negated = true;
        there = assertion(b, name, NULL, there);
        all = all == NULL ? there : sql_and(b, all, there);
    }
    for (uint32_t i = 0; i < domain->constraints_count; i++) {
        const struct luma_cat_constraint *con = &domain->constraints[i];
        struct luma_expr *one =
            assertion(b, name, con->name, sql_domain_condition(b, con->check_sql, value));
        all = all == NULL ? one : sql_and(b, all, one);
    }
    return all;
}

struct luma_expr *
sql_domain_assert(struct sql_bind *b, const struct luma_cat_object *domain, struct luma_expr *value)
{
    return assert_all(b, domain, sql_text(b, domain->name), value);
}

static bool
is_volatile(void *arg, const struct luma_expr *e)
{
    (void)arg;
    return e->func != NULL && (e->func->flags & LUMA_FUNC_VOLATILE) != 0;
}

/* The value is looked at and then given: an expression that may differ the second time cannot be.
 */
struct luma_expr *
sql_domain_checked(struct sql_bind *b, uint64_t domain_id, struct luma_expr *value,
                   int32_t location)
{
    const struct luma_cat_object *domain = sql_domain(b, domain_id);
    struct luma_expr *ok = domain != NULL ? sql_domain_assert(b, domain, value) : NULL;
    if (ok == NULL)
        return value;
    if (sql_expr_walk(value, is_volatile, NULL))
        SQL_THROW(b, location, LUMA_E_UNSUPPORTED, "0A000",
                  "a cast of a volatile expression to domain %s is not supported", domain->name);
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CASE, value->type, 3);
    e->args[0] = ok;
    e->args[1] = value;
    e->args[2] = sql_const_null(b, value->type);
    return e;
}
