/*
 * types.c - type names, and conversions: PostgreSQL's casts by context, common types.
 */
#include <stdlib.h>

#include "sql.h"

/* ---- names ---- */

/* PostgreSQL names whose values are kept as another type here. */
static const struct {
    const char *name;
    uint8_t id, elem;
} aliases[] = {
    {"int2vector", LUMA_TYPE_ARRAY, LUMA_TYPE_INT2},
    {"oidvector", LUMA_TYPE_ARRAY, LUMA_TYPE_OID},
    {"pg_node_tree", LUMA_TYPE_TEXT, 0},
    {"aclitem", LUMA_TYPE_TEXT, 0},
    {"cid", LUMA_TYPE_XID, 0},
    {"tid", LUMA_TYPE_TEXT, 0},
    {"regprocedure", LUMA_TYPE_REGPROC, 0},
    {"regoper", LUMA_TYPE_OID, 0},
    {"regoperator", LUMA_TYPE_OID, 0},
    {"regrole", LUMA_TYPE_OID, 0},
    {"cstring", LUMA_TYPE_TEXT, 0},
    {"pg_lsn", LUMA_TYPE_TEXT, 0},
    {"inet", LUMA_TYPE_TEXT, 0},
    {"xid8", LUMA_TYPE_INT8, 0},
    {"refcursor", LUMA_TYPE_TEXT, 0},
    {"_aclitem", LUMA_TYPE_ARRAY, LUMA_TYPE_TEXT},
    {"anyarray", LUMA_TYPE_ARRAY, LUMA_TYPE_TEXT},
};

#define OLD_VECTORS 2u /* the first ones */

bool
sql_type_by_name(const char *name, struct luma_type *out)
{
    for (size_t i = 0; i < LUMA_COUNTOF(aliases); i++)
        if (strcmp(aliases[i].name, name) == 0) {
            *out = luma_type((enum luma_type_id)aliases[i].id);
            out->elem = aliases[i].elem;
            out->scale = i < OLD_VECTORS ? 1 : 0;
            return true;
        }
    const struct luma_type_info *info = sql_host->data->type_by_name(name);
    if (info == NULL)
        return false;
    *out = info->type;
    out->mod = -1;
    out->scale = 0;
    if (name[0] == '_' && out->id != LUMA_TYPE_ARRAY)
        *out = luma_type_array_of(*out);
    return true;
}

static int32_t
typmod_value(struct sql_bind *b, const PgQuery__Node *node, int32_t location)
{
    if (node->node_case == PGN(A_CONST) && node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        return node->a_const->ival->ival;
    if (node->node_case == PGN(A_CONST) && !node->a_const->isnull &&
        node->a_const->val_case == PG_QUERY__A__CONST__VAL__NOT_SET)
        return 0; /* an Integer message that is all default */
    SQL_THROW(b, location, LUMA_E_INVALID, "22023", "type modifiers must be simple constants");
}

static void
numeric_typmod(struct sql_bind *b, const PgQuery__TypeName *name, struct luma_type *type)
{
    int32_t precision = typmod_value(b, name->typmods[0], name->location);
    int32_t scale = name->n_typmods > 1 ? typmod_value(b, name->typmods[1], name->location) : 0;
    if (precision < 1 || precision > 1000)
        SQL_THROW(b, name->location, LUMA_E_INVALID, "22023",
                  "NUMERIC precision %d must be between 1 and 1000", precision);
    if (scale < 0 || scale > precision)
        SQL_THROW(b, name->location, LUMA_E_INVALID, "22023",
                  "NUMERIC scale %d must be between 0 and precision %d", scale, precision);
    type->mod = precision;
    type->scale = (int16_t)scale;
}

static void
apply_typmods(struct sql_bind *b, const PgQuery__TypeName *name, struct luma_type *type)
{
    if (name->n_typmods == 0)
        return;
    switch (type->id) {
    case LUMA_TYPE_NUMERIC:
        numeric_typmod(b, name, type);
        return;
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
        type->mod = typmod_value(b, name->typmods[0], name->location);
        if (type->mod < 1)
            SQL_THROW(b, name->location, LUMA_E_INVALID, "22023",
                      "length for type %s must be at least 1",
                      type->id == LUMA_TYPE_VARCHAR ? "varchar" : "char");
        if (type->mod > 10485760)
            SQL_THROW(b, name->location, LUMA_E_INVALID, "22023",
                      "length for type %s cannot exceed 10485760",
                      type->id == LUMA_TYPE_VARCHAR ? "varchar" : "char");
        return;
    case LUMA_TYPE_INTERVAL:
        /* the first modifier is the field range; only the seconds' digits are kept */
        if (name->n_typmods > 1)
            type->mod = typmod_value(b, name->typmods[1], name->location);
        return;
    case LUMA_TYPE_TIME:
    case LUMA_TYPE_TIMETZ:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
    case LUMA_TYPE_VECTOR:
        type->mod = typmod_value(b, name->typmods[0], name->location);
        return;
    default:
        SQL_THROW(b, name->location, LUMA_E_SYNTAX, "42601",
                  "type modifier is not allowed for type \"%s\"", sql_type_text(b, *type));
    }
}

struct luma_type
sql_type_resolve(struct sql_bind *b, const PgQuery__TypeName *name)
{
    const char *schema = NULL, *base = sql_name_parts(name->names, name->n_names, &schema);
    struct luma_type type;
    if (name->pct_type)
        SQL_THROW(b, name->location, LUMA_E_UNSUPPORTED, "0A000", "%%TYPE is not supported here");
    if (sql_made_type_by_name(b, schema, base, &type)) {
        if (name->n_typmods > 0)
            SQL_THROW(b, name->location, LUMA_E_SYNTAX, "42601",
                      "type modifier is not allowed for type \"%s\"", base);
        return name->n_array_bounds > 0 && type.id != LUMA_TYPE_ARRAY ? luma_type_array_of(type)
                                                                      : type;
    }
    bool known =
        schema == NULL || strcmp(schema, "pg_catalog") == 0 || strcmp(schema, "public") == 0;
    if (known && schema == NULL && strcmp(base, "char") == 0)
        type = luma_type(LUMA_TYPE_CHAR1);
    else if (known && schema != NULL && strcmp(base, "char") == 0)
        type = luma_type(LUMA_TYPE_CHAR1);
    else if (!known || !sql_type_by_name(base, &type))
        SQL_THROW(b, name->location, LUMA_E_UNDEFINED, "42704", "type \"%s%s%s\" does not exist",
                  schema == NULL || strcmp(schema, "pg_catalog") == 0 ? "" : schema,
                  schema == NULL || strcmp(schema, "pg_catalog") == 0 ? "" : ".", base);
    apply_typmods(b, name, &type);
    if (name->n_array_bounds > 0 && type.id != LUMA_TYPE_ARRAY)
        type = luma_type_array_of(type);
    return type;
}

/* All text is in the order of its bytes: a collation that means another order is refused. */
void
sql_collation(struct sql_bind *b, const PgQuery__CollateClause *clause)
{
    static const char *const same[] = {"C", "POSIX", "default", "ucs_basic", "C.UTF-8", "C.utf8"};
    const char *schema = NULL,
               *name = sql_name_parts(clause->collname, clause->n_collname, &schema);
    for (size_t i = 0; i < LUMA_COUNTOF(same); i++)
        if (strcmp(same[i], name) == 0)
            return;
    SQL_THROW(b, clause->location, LUMA_E_UNDEFINED, "42704",
              "collation \"%s\" for encoding \"UTF8\" does not exist", name);
}

/* ---- families ---- */

bool
sql_type_is_string(struct luma_type t)
{
    return t.id == LUMA_TYPE_TEXT || t.id == LUMA_TYPE_VARCHAR || t.id == LUMA_TYPE_BPCHAR ||
           t.id == LUMA_TYPE_NAME;
}

char
sql_type_category(struct luma_type t)
{
    switch (t.id) {
    case LUMA_TYPE_UNKNOWN:
        return 'X';
    case LUMA_TYPE_ANY:
    case LUMA_TYPE_ANYELEMENT:
    case LUMA_TYPE_ANYARRAY:
    case LUMA_TYPE_RECORD:
        return 'P';
    case LUMA_TYPE_ARRAY:
        return 'A';
    default: {
        const struct luma_type_info *info = sql_host->data->type_info(t);
        return info != NULL ? info->category : 'U';
    }
    }
}

bool
sql_type_preferred(struct luma_type t)
{
    return t.id == LUMA_TYPE_TEXT || t.id == LUMA_TYPE_FLOAT8 || t.id == LUMA_TYPE_BOOL ||
           t.id == LUMA_TYPE_TIMESTAMPTZ || t.id == LUMA_TYPE_INTERVAL || t.id == LUMA_TYPE_OID;
}

bool
sql_type_sortable(struct luma_type t)
{
    return t.id != LUMA_TYPE_JSON && t.id != LUMA_TYPE_JSONPATH && t.id != LUMA_TYPE_VECTOR &&
           t.id != LUMA_TYPE_VOID;
}

static bool
is_reg(struct luma_type t)
{
    return t.id == LUMA_TYPE_REGCLASS || t.id == LUMA_TYPE_REGTYPE || t.id == LUMA_TYPE_REGPROC ||
           t.id == LUMA_TYPE_REGNAMESPACE;
}

static bool
is_oid(struct luma_type t)
{
    return t.id == LUMA_TYPE_OID || is_reg(t);
}

/* ---- which conversions there are ---- */

enum way {
    WAY_NONE,
    WAY_SAME,    /* nothing to do */
    WAY_LABEL,   /* same bits, other name */
    WAY_CALL,    /* a cast function of a package */
    WAY_IO,      /* through the text form */
    WAY_LENGTH,  /* same type, other modifier */
    WAY_REG,     /* a name looked up */
    WAY_ELEMENTS /* array of one type to array of another */
};

/* Same bits: the context that allows it, or -1. */
static int
label_context(struct luma_type from, struct luma_type to)
{
    if (is_oid(from) && is_oid(to))
        return to.id == LUMA_TYPE_OID || from.id == LUMA_TYPE_OID ? SQL_CAST_IMPLICIT
                                                                  : SQL_CAST_EXPLICIT;
    if (from.id == LUMA_TYPE_INT4 && is_oid(to))
        return SQL_CAST_IMPLICIT;
    if (is_oid(from) && to.id == LUMA_TYPE_INT4)
        return SQL_CAST_ASSIGN;
    if ((from.id == LUMA_TYPE_XID && to.id == LUMA_TYPE_OID) ||
        (from.id == LUMA_TYPE_OID && to.id == LUMA_TYPE_XID))
        return SQL_CAST_EXPLICIT;
    if (from.id == LUMA_TYPE_BPCHAR)
        return -1; /* loses its padding: a function's work */
    if (sql_type_is_string(from) && (to.id == LUMA_TYPE_TEXT || to.id == LUMA_TYPE_VARCHAR))
        return from.id == LUMA_TYPE_NAME && to.id == LUMA_TYPE_VARCHAR ? SQL_CAST_ASSIGN
                                                                       : SQL_CAST_IMPLICIT;
    if (from.id == LUMA_TYPE_CHAR1 && to.id == LUMA_TYPE_TEXT)
        return SQL_CAST_IMPLICIT;
    if (from.id == LUMA_TYPE_TEXT && to.id == LUMA_TYPE_JSON)
        return -1;
    if ((from.id == LUMA_TYPE_TEXT || from.id == LUMA_TYPE_VARCHAR) &&
        (to.id == LUMA_TYPE_BPCHAR || to.id == LUMA_TYPE_NAME))
        return SQL_CAST_IMPLICIT;
    return -1;
}

/* Implicit conversions of PostgreSQL that packages may leave to the text form. */
static bool
implicit_io(struct luma_type from, struct luma_type to)
{
    static const uint8_t ranks[LUMA_TYPE_COUNT_] = {
        [LUMA_TYPE_INT2] = 1,    [LUMA_TYPE_INT4] = 2,   [LUMA_TYPE_INT8] = 3,
        [LUMA_TYPE_NUMERIC] = 4, [LUMA_TYPE_FLOAT4] = 5, [LUMA_TYPE_FLOAT8] = 6};
    if (ranks[from.id] != 0 && ranks[to.id] != 0)
        return ranks[from.id] < ranks[to.id];
    if ((from.id == LUMA_TYPE_INT2 || from.id == LUMA_TYPE_INT8) && is_oid(to))
        return true;
    if (is_oid(from) && to.id == LUMA_TYPE_INT8)
        return true;
    if (from.id == LUMA_TYPE_DATE)
        return to.id == LUMA_TYPE_TIMESTAMP || to.id == LUMA_TYPE_TIMESTAMPTZ;
    if (from.id == LUMA_TYPE_TIMESTAMP)
        return to.id == LUMA_TYPE_TIMESTAMPTZ;
    if (from.id == LUMA_TYPE_TIME)
        return to.id == LUMA_TYPE_INTERVAL || to.id == LUMA_TYPE_TIMETZ;
    return from.id == LUMA_TYPE_BPCHAR && sql_type_is_string(to);
}

static bool
assign_io(struct luma_type from, struct luma_type to)
{
    char a = sql_type_category(from), c = sql_type_category(to);
    if (sql_type_is_string(to) && sql_type_category(to) == 'S')
        return true; /* every type has a text form */
    if (a == 'N' && c == 'N' && !is_oid(from) && !is_oid(to))
        return true;
    if (from.id == LUMA_TYPE_TIMESTAMPTZ || from.id == LUMA_TYPE_TIMESTAMP)
        return to.id == LUMA_TYPE_DATE || to.id == LUMA_TYPE_TIME || to.id == LUMA_TYPE_TIMESTAMP ||
               to.id == LUMA_TYPE_TIMESTAMPTZ;
    if (from.id == LUMA_TYPE_INTERVAL)
        return to.id == LUMA_TYPE_TIME;
    return (from.id == LUMA_TYPE_JSON && to.id == LUMA_TYPE_JSONB) ||
           (from.id == LUMA_TYPE_JSONB && to.id == LUMA_TYPE_JSON);
}

static enum way
find_way(struct luma_type from, struct luma_type to, enum sql_cast_context context,
         const struct luma_func **out_func)
{
    *out_func = NULL;
    if (to.id == LUMA_TYPE_ANY || to.id == LUMA_TYPE_ANYELEMENT)
        return WAY_SAME;
    if (to.id == LUMA_TYPE_ENUM && to.mod == -1)
        return from.id == LUMA_TYPE_ENUM ? WAY_SAME : WAY_NONE;
    if (to.id == LUMA_TYPE_ANYARRAY)
        return from.id == LUMA_TYPE_ARRAY ? WAY_SAME : WAY_NONE;
    if (sql_type_same(from, to))
        return to.mod == -1 || (from.mod == to.mod && from.scale == to.scale) ? WAY_SAME
                                                                              : WAY_LENGTH;
    if (sql_type_is_string(from) && is_reg(to))
        return context == SQL_CAST_EXPLICIT || to.id == LUMA_TYPE_REGCLASS ? WAY_REG : WAY_NONE;
    int label = label_context(from, to);
    /* values of reg types know their type when they are written: a label alone would not reach them
     */
    if (label >= 0 && is_reg(to) && (*out_func = sql_cast_func(from, to, context)) != NULL)
        return WAY_CALL;
    if (label >= 0 && (int)context >= label)
        return WAY_LABEL;
    *out_func = sql_cast_func(from, to, context);
    if (*out_func != NULL)
        return WAY_CALL;
    if (from.id == LUMA_TYPE_ARRAY && to.id == LUMA_TYPE_ARRAY) {
        const struct luma_func *f;
        enum way way = find_way(luma_type_elem(from), luma_type_elem(to), context, &f);
        return way == WAY_NONE ? WAY_NONE : WAY_ELEMENTS;
    }
    if (implicit_io(from, to))
        return WAY_IO;
    if (from.id == LUMA_TYPE_RECORD || to.id == LUMA_TYPE_RECORD || to.id == LUMA_TYPE_VOID ||
        from.id == LUMA_TYPE_VOID)
        return WAY_NONE;
    if (context == SQL_CAST_IMPLICIT)
        return WAY_NONE;
    if (assign_io(from, to))
        return WAY_IO;
    if (context == SQL_CAST_EXPLICIT && (sql_type_is_string(from) || sql_type_is_string(to) ||
                                         from.id == LUMA_TYPE_CHAR1 || to.id == LUMA_TYPE_CHAR1))
        return WAY_IO;
    return WAY_NONE;
}

bool
sql_can_coerce(struct luma_type from, struct luma_type to, enum sql_cast_context context)
{
    const struct luma_func *f;
    return from.id == LUMA_TYPE_UNKNOWN || find_way(from, to, context, &f) != WAY_NONE;
}

/* ---- conversion through the text form ---- */

static luma_rc
io_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
        const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)args_count;
    const struct luma_host_data *data = sql_host->data;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        if (luma_vec_is_null(&args[0], row))
            continue;
        char *text = luma_arena_alloc(call->arena, data->text_bound(&args[0], row) + 1);
        if (text == NULL)
            return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
        size_t bytes = data->text_write(&args[0], row, call->format, text);
        struct luma_value value;
        LUMA_TRY(data->from_text(call->ctx, call->arena, call->result, call->format,
                                 luma_slice(text, bytes), &value));
        LUMA_TRY(data->vec_set(call->arena, out, row, &value));
    }
    return LUMA_OK;
}

static struct luma_func *
io_func(struct sql_bind *b, struct luma_type from, struct luma_type to)
{
    struct luma_func *f = SQL_NEW(b, struct luma_func);
    f->name = to.id == LUMA_TYPE_ARRAY ? "array" : sql_type_text(b, to);
    f->flags = LUMA_FUNC_CAST | LUMA_FUNC_STRICT | LUMA_FUNC_STABLE;
    f->args_count = 1;
    f->args[0] = from;
    f->result = to;
    f->eval = io_eval;
    return f;
}

/* ---- constants ---- */

static void
literal_failed(struct sql_bind *b, int32_t location, luma_rc rc)
{
    sql_throw(b, location, rc);
}

/* '{int4,text}'::regtype[]: each element is a name. */
static struct luma_expr *
reg_array(struct sql_bind *b, const struct luma_expr *names, struct luma_type to, int32_t location)
{
    const struct luma_host_data *data = sql_host->data;
    uint32_t n = data->array_count(&names->value.str);
    struct luma_type elem = luma_type_elem(to);
    struct luma_value *values = SQL_NEW_ARRAY(b, struct luma_value, n);
    struct luma_expr *c = sql_const_null(b, to);
    for (uint32_t i = 0; i < n; i++) {
        struct luma_value name;
        sql_check(b, location,
                  data->array_get(&names->value.str, luma_type(LUMA_TYPE_TEXT), i, &name));
        values[i] =
            (struct luma_value){.type = elem, .phys = LUMA_PHYS_I32, .is_null = name.is_null};
        if (!name.is_null)
            values[i].i32 = (int32_t)sql_reg_lookup(
                b, (enum luma_type_id)to.elem,
                sql_text_of(b, luma_str_data(&name.str), name.str.bytes), location);
    }
    c->value.is_null = false;
    sql_check(b, location,
              data->array_make(b->arena, (enum luma_type_id)to.elem, values, n, &c->value.str));
    return c;
}

static struct luma_expr *
literal_as(struct sql_bind *b, struct luma_expr *e, struct luma_type to, int32_t location)
{
    if (to.id == LUMA_TYPE_ARRAY && !e->value.is_null && is_reg(luma_type_elem(to)))
        return reg_array(b, literal_as(b, e, luma_type_array(LUMA_TYPE_TEXT), location), to,
                         location);
    if (e->value.is_null)
        return sql_const_null(b, to);
    struct luma_expr *c = sql_const_null(b, to);
    struct luma_slice text = luma_str_slice(&e->value.str);
    if (is_reg(to)) {
        c->value.is_null = false;
        c->value.i32 = (int32_t)sql_reg_lookup(b, (enum luma_type_id)to.id,
                                               sql_text_of(b, text.data, text.bytes), location);
        return c;
    }
    luma_rc rc = sql_host->data->from_text(b->ctx, b->arena, to,
                                           sql_host->session->format(b->session), text, &c->value);
    if (rc != LUMA_OK)
        literal_failed(b, location, rc);
    c->value.type = to;
    c->type = to;
    /* long strings may borrow the literal's bytes, which live in the same arena */
    return c;
}

static struct luma_expr *
param_as(struct sql_bind *b, struct luma_expr *e, struct luma_type to)
{
    if (to.id == LUMA_TYPE_UNKNOWN || to.id == LUMA_TYPE_ANY)
        to = luma_type(LUMA_TYPE_TEXT);
    to = luma_type_plain(to);
    if (b->params[e->index].id == LUMA_TYPE_UNKNOWN || b->params[e->index].id == LUMA_TYPE_NONE)
        b->params[e->index] = to;
    struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
    *copy = *e;
    copy->type = b->params[e->index];
    return copy;
}

struct luma_expr *
sql_known(struct sql_bind *b, struct luma_expr *e)
{
    return e->type.id == LUMA_TYPE_UNKNOWN
               ? sql_coerce(b, e, luma_type(LUMA_TYPE_TEXT), SQL_CAST_IMPLICIT, -1)
               : e;
}

static struct luma_expr *
call1(struct sql_bind *b, const struct luma_func *f, struct luma_expr *arg, struct luma_type to)
{
    struct luma_expr *call = sql_expr(b, LUMA_EXPR_CALL, to, 1);
    call->func = f;
    call->args[0] = arg;
    return call;
}

/* A cast to (type, modifier): the cast function, then the length coercion where it is another one.
 */
static struct luma_expr *
with_length(struct sql_bind *b, struct luma_expr *e, struct luma_type to)
{
    if (to.mod == -1 || sql_type_exact(e->type, to))
        return e;
    struct luma_type plain = luma_type((enum luma_type_id)to.id);
    const struct luma_func *f = sql_cast_func(plain, plain, SQL_CAST_EXPLICIT);
    return call1(b, f != NULL ? f : io_func(b, plain, to), e, to);
}

static struct luma_expr *
relabel(struct sql_bind *b, struct luma_expr *e, struct luma_type to)
{
    struct luma_expr *copy = SQL_NEW(b, struct luma_expr);
    *copy = *e;
    struct luma_type plain = luma_type_plain(to);
    copy->type = plain;
    if (copy->kind == LUMA_EXPR_CONST)
        copy->value.type = plain;
    return with_length(b, copy, to);
}

static struct luma_expr *
reg_call(struct sql_bind *b, struct luma_expr *e, struct luma_type to, int32_t location)
{
    static const struct {
        uint8_t id;
        const char *func;
    } lookups[] = {{LUMA_TYPE_REGCLASS, "to_regclass"},
                   {LUMA_TYPE_REGTYPE, "to_regtype"},
                   {LUMA_TYPE_REGPROC, "to_regproc"},
                   {LUMA_TYPE_REGNAMESPACE, "to_regnamespace"}};
    for (size_t i = 0; i < LUMA_COUNTOF(lookups); i++)
        if (lookups[i].id == to.id)
            return relabel(b, sql_call(b, lookups[i].func, location, &e, 1), to);
    return e;
}

/* regtype[] as oid[]: the same bits under another name. */
static luma_rc
relabel_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
             const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_host_data *data = sql_host->data;
    struct luma_type elem = luma_type_elem(args[0].type);
    (void)args_count;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = sel != NULL ? sel[i] : i;
        if (luma_vec_is_null(&args[0], row))
            continue;
        const struct luma_str *array = luma_vec_at(&args[0], row);
        uint32_t n = data->array_count(array);
        struct luma_value *values = LUMA_NEW_ARRAY(call->arena, struct luma_value, n + 1);
        struct luma_value v = {.type = call->result, .phys = LUMA_PHYS_STR};
        if (values == NULL)
            return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
        for (uint32_t k = 0; k < n; k++)
            LUMA_TRY(data->array_get(array, elem, k, &values[k]));
        LUMA_TRY(
            data->array_make(call->arena, (enum luma_type_id)call->result.elem, values, n, &v.str));
        LUMA_TRY(data->vec_set(call->arena, out, row, &v));
    }
    return LUMA_OK;
}

static struct luma_expr *
array_as(struct sql_bind *b, struct luma_expr *e, struct luma_type to,
         enum sql_cast_context context, int32_t location)
{
    if (e->kind != LUMA_EXPR_ARRAY) {
        struct luma_type from = luma_type_elem(e->type), elem = luma_type_elem(to);
        struct luma_func *f = io_func(b, e->type, to);
        if (luma_type_phys(from) == LUMA_PHYS_I32 && luma_type_phys(elem) == LUMA_PHYS_I32 &&
            label_context(from, elem) >= 0)
            f->eval = relabel_eval;
        return call1(b, f, e, to);
    }
    struct luma_expr *copy = sql_expr(b, LUMA_EXPR_ARRAY, to, e->args_count);
    for (uint32_t i = 0; i < e->args_count; i++)
        copy->args[i] = sql_coerce(b, e->args[i], luma_type_elem(to), context, location);
    return copy;
}

/* An explicit cast to varchar(n) or char(n) cuts what is too long, an assignment refuses it. */
static struct luma_expr *
cut_text(struct sql_bind *b, struct luma_expr *e, struct luma_type to, int32_t location)
{
    struct luma_expr *args[2] = {e, sql_const_i64(b, to.mod)};
    if (e->type.id == LUMA_TYPE_BPCHAR && e->type.mod == to.mod && to.id == LUMA_TYPE_BPCHAR)
        return e;
    args[0] = sql_coerce(b, e, luma_type(LUMA_TYPE_TEXT), SQL_CAST_EXPLICIT, location);
    return sql_call(b, "left", location, args, 2);
}

struct luma_expr *
sql_coerce_try(struct sql_bind *b, struct luma_expr *e, struct luma_type to,
               enum sql_cast_context context, int32_t location)
{
    const struct luma_func *f = NULL;
    if (to.id == LUMA_TYPE_DOMAIN || to.elem == LUMA_TYPE_DOMAIN) {
        uint64_t domain_id = 0;
        e = sql_coerce_try(b, e, sql_domain_base(b, to, &domain_id), context, location);
        return e == NULL || domain_id == 0 ? e : sql_domain_checked(b, domain_id, e, location);
    }
    if (context == SQL_CAST_EXPLICIT && to.mod > 0 &&
        (to.id == LUMA_TYPE_VARCHAR || to.id == LUMA_TYPE_BPCHAR) && e->kind != LUMA_EXPR_PARAM &&
        !(e->kind == LUMA_EXPR_CONST && e->value.is_null) && !sql_type_exact(e->type, to) &&
        (e->type.id == LUMA_TYPE_UNKNOWN || sql_type_is_string(e->type)))
        e = cut_text(b, e, to, location);
    if (e->type.id == LUMA_TYPE_UNKNOWN) {
        if (to.id == LUMA_TYPE_UNKNOWN)
            return e;
        if (e->kind == LUMA_EXPR_CONST)
            return literal_as(b, e, to, location);
        if (e->kind == LUMA_EXPR_PARAM) {
            struct luma_expr *p = param_as(b, e, to);
            return p->type.id == LUMA_TYPE_UNKNOWN ? p
                                                   : sql_coerce_try(b, p, to, context, location);
        }
        e = relabel(b, e, luma_type(LUMA_TYPE_TEXT));
    }
    if (e->kind == LUMA_EXPR_PARAM && b->params[e->index].id != e->type.id &&
        b->params[e->index].id != LUMA_TYPE_NONE)
        e = param_as(b, e, to);
    if (e->kind == LUMA_EXPR_CONST && e->value.is_null && e->type.id != LUMA_TYPE_RECORD &&
        find_way(e->type, to, context, &f) != WAY_NONE)
        return sql_const_null(b, to.id == LUMA_TYPE_ANY || to.id == LUMA_TYPE_ANYELEMENT ||
                                         to.id == LUMA_TYPE_ANYARRAY
                                     ? e->type
                                     : to);
    switch (find_way(e->type, to, context, &f)) {
    case WAY_SAME:
        return e;
    case WAY_LENGTH:
        return with_length(b, e, to);
    case WAY_LABEL:
        return relabel(b, e, to);
    case WAY_CALL:
        return with_length(b, call1(b, f, e, luma_type((enum luma_type_id)to.id)), to);
    case WAY_REG:
        return reg_call(b, e, to, location);
    case WAY_IO:
        return call1(b, io_func(b, e->type, to), e, to);
    case WAY_ELEMENTS:
        return array_as(b, e, to, context, location);
    default:
        return NULL;
    }
}

struct luma_expr *
sql_coerce(struct sql_bind *b, struct luma_expr *e, struct luma_type to,
           enum sql_cast_context context, int32_t location)
{
    struct luma_expr *out = sql_coerce_try(b, e, to, context, location);
    if (out == NULL)
        SQL_THROW(b, location, LUMA_E_TYPE, "42846", "cannot cast type %s to %s",
                  sql_type_text(b, e->type), sql_type_text(b, to));
    return out;
}

struct luma_expr *
sql_coerce_bool(struct sql_bind *b, struct luma_expr *e, const char *where, int32_t location)
{
    struct luma_type boolean = luma_type(LUMA_TYPE_BOOL);
    if (e->type.id != LUMA_TYPE_BOOL && e->type.id != LUMA_TYPE_UNKNOWN)
        SQL_THROW(b, location, LUMA_E_TYPE, "42804",
                  "argument of %s must be type boolean, not type %s", where,
                  sql_type_text(b, e->type));
    return sql_coerce(b, e, boolean, SQL_CAST_IMPLICIT, location);
}

/* ---- UNION, CASE, ARRAY, VALUES ... ---- */

struct luma_type
sql_common_type(struct sql_bind *b, struct luma_expr **exprs, uint32_t count, const char *where,
                int32_t location)
{
    struct luma_type best = luma_type(LUMA_TYPE_UNKNOWN);
    bool exact = true;
    for (uint32_t i = 0; i < count; i++) {
        struct luma_type t = exprs[i]->type;
        if (t.id == LUMA_TYPE_UNKNOWN || (best.id != LUMA_TYPE_UNKNOWN && sql_type_same(best, t))) {
            exact = exact && (t.id != LUMA_TYPE_UNKNOWN ? sql_type_exact(best, t) : false);
            continue;
        }
        if (best.id == LUMA_TYPE_UNKNOWN) {
            best = t;
            exact = i == 0;
            continue;
        }
        exact = false;
        if (sql_type_category(t) != sql_type_category(best))
            SQL_THROW(b, location, LUMA_E_TYPE, "42804", "%s types %s and %s cannot be matched",
                      where, sql_type_text(b, best), sql_type_text(b, t));
        if (!sql_type_preferred(best) && sql_can_coerce(best, t, SQL_CAST_IMPLICIT) &&
            !sql_can_coerce(t, best, SQL_CAST_IMPLICIT))
            best = t;
        else if (!sql_type_preferred(best) && sql_type_preferred(t) &&
                 sql_can_coerce(best, t, SQL_CAST_IMPLICIT))
            best = t;
    }
    if (best.id == LUMA_TYPE_UNKNOWN)
        best = luma_type(LUMA_TYPE_TEXT);
    return exact ? best : luma_type_plain(best);
}
