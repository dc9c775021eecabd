/*
 * made_types.c - types that users made (enums, domains): finding them, their names, the functions
 * of enums.
 */
#include "sql.h"

/* ---- finding ---- */

static const struct luma_cat_object *
find_in_path(struct sql_bind *b, const char *name)
{
    uint32_t count;
    const uint64_t *path = sql_search_path(b, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct luma_cat_object *o = sql_host->catalog->type(b->view, path[i], name);
        if (o != NULL)
            return o;
    }
    return NULL;
}

const struct luma_cat_object *
sql_made_type_find(struct sql_bind *b, const char *schema, const char *name)
{
    if (schema == NULL || schema[0] == '\0')
        return find_in_path(b, name);
    if (strcmp(schema, "pg_temp") == 0)
        return sql_host->catalog->type(b->view, b->own->temp_schema_id, name);
    const struct luma_cat_object *at = sql_host->catalog->find(b->view, LUMA_CAT_SCHEMA, schema);
    return at == NULL ? NULL : sql_host->catalog->type(b->view, at->id, name);
}

struct luma_type
sql_made_type_of(const struct luma_cat_object *o)
{
    struct luma_type type = luma_type(o->type_kind == 'e' ? LUMA_TYPE_ENUM : LUMA_TYPE_DOMAIN);
    type.mod = (int32_t)o->id;
    return type;
}

bool
sql_made_type_by_name(struct sql_bind *b, const char *schema, const char *name,
                      struct luma_type *out)
{
    const struct luma_cat_object *o = sql_made_type_find(b, schema, name);
    if (o != NULL) {
        *out = sql_made_type_of(o);
        return true;
    }
    if (name[0] != '_' || (o = sql_made_type_find(b, schema, name + 1)) == NULL)
        return false;
    *out = luma_type_array_of(sql_made_type_of(o));
    return true;
}

bool
sql_made_type_by_oid(const struct luma_cat_view *view, uint32_t oid, struct luma_type *out)
{
    const struct luma_cat_object *o = sql_host->catalog->by_id(view, oid);
    if (o != NULL && o->kind == LUMA_CAT_TYPE) {
        *out = sql_made_type_of(o);
        return true;
    }
    o = oid > 0 ? sql_host->catalog->by_id(view, oid - 1) : NULL;
    if (o == NULL || o->kind != LUMA_CAT_TYPE)
        return false;
    *out = luma_type_array_of(sql_made_type_of(o));
    return true;
}

/* ---- names ---- */

static bool
is_plain_name(const char *name)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
           !(name[0] >= '0' && name[0] <= '9');
}

static const char *
quoted(struct sql_bind *b, const char *name)
{
    return is_plain_name(name) ? name : sql_quoted(b, name);
}

/* As format_type() has it: with its schema unless search_path finds it. */
const char *
sql_made_type_text(struct sql_bind *b, struct luma_type type)
{
    const struct luma_cat_object *o =
        type.mod > 0 ? sql_host->catalog->by_id(b->view, (uint64_t)type.mod) : NULL;
    const char *array = type.id == LUMA_TYPE_ARRAY ? "[]" : "";
    if (o == NULL)
        return type.id == LUMA_TYPE_ARRAY ? "anyarray" : "anyenum";
    if (find_in_path(b, o->name) == o)
        return sql_format(b, "%s%s", quoted(b, o->name), array);
    const struct luma_cat_object *schema = sql_host->catalog->by_id(b->view, o->schema_id);
    return sql_format(b, "%s.%s%s", schema != NULL ? quoted(b, schema->name) : "?",
                      quoted(b, o->name), array);
}

const char *
sql_type_written(struct sql_bind *b, struct luma_type type)
{
    const struct luma_cat_object *o =
        luma_type_is_made(type) ? sql_host->catalog->by_id(b->view, (uint64_t)type.mod) : NULL;
    const struct luma_cat_object *schema =
        o != NULL ? sql_host->catalog->by_id(b->view, o->schema_id) : NULL;
    if (schema == NULL)
        return sql_type_text(b, type);
    return sql_format(b, "%s.%s%s", quoted(b, schema->name), quoted(b, o->name),
                      type.id == LUMA_TYPE_ARRAY ? "[]" : "");
}

static PgQuery__Node *
string_node(struct sql_bind *b, const char *text)
{
    PgQuery__Node *node = SQL_NEW(b, PgQuery__Node);
    PgQuery__String *string = SQL_NEW(b, PgQuery__String);
    pg_query__node__init(node);
    pg_query__string__init(string);
    string->sval = sql_text(b, text);
    node->node_case = PGN(STRING);
    node->string = string;
    return node;
}

void
sql_made_type_qualify(struct sql_bind *b, PgQuery__TypeName *name)
{
    const struct luma_cat_object *o =
        name->n_names == 1 ? sql_made_type_find(b, NULL, sql_string(name->names[0])) : NULL;
    const struct luma_cat_object *schema =
        o != NULL ? sql_host->catalog->by_id(b->view, o->schema_id) : NULL;
    if (schema == NULL)
        return;
    PgQuery__Node **names = SQL_NEW_ARRAY(b, PgQuery__Node *, 2);
    names[0] = string_node(b, schema->name);
    names[1] = name->names[0];
    name->names = names;
    name->n_names = 2;
}

/* ---- enum_first, enum_last, enum_range ---- */

static const struct luma_cat_object *
enum_of(const struct luma_func_call *call, struct luma_type type)
{
    struct luma_txn *txn = sql_host->session->txn(call->ctx->session);
    if (type.id != LUMA_TYPE_ENUM || type.mod <= 0 || txn == NULL)
        return NULL;
    return sql_host->catalog->by_id(sql_host->catalog->view(txn), (uint64_t)type.mod);
}

static struct luma_value
label_value(struct luma_type type, const struct luma_cat_label *label)
{
    struct luma_value v = {.type = type, .phys = LUMA_PHYS_I64};
    v.i64 = label->place;
    return v;
}

static luma_rc
end_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
         const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_cat_object *type = enum_of(call, args[0].type);
    bool last = strcmp(call->func->name, "enum_last") == 0;
    (void)args_count;
    if (type == NULL || type->labels_count == 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "55000", "enum contains no values");
    struct luma_value v =
        label_value(args[0].type, &type->labels[last ? type->labels_count - 1 : 0]);
    for (uint32_t i = 0; i < rows; i++)
        LUMA_TRY(sql_host->data->vec_set(call->arena, out, sel != NULL ? sel[i] : i, &v));
    return LUMA_OK;
}

static luma_rc
range_row(const struct luma_func_call *call, const struct luma_cat_object *type,
          const struct luma_vec *args, uint32_t args_count, uint32_t row, struct luma_vec *out)
{
    int64_t low = INT64_MIN, high = INT64_MAX;
    uint32_t count = 0;
    if (args_count == 2 && !luma_vec_is_null(&args[0], row))
        low = *(const int64_t *)luma_vec_at(&args[0], row);
    if (args_count == 2 && !luma_vec_is_null(&args[1], row))
        high = *(const int64_t *)luma_vec_at(&args[1], row);
    struct luma_value *values = LUMA_NEW_ARRAY(call->arena, struct luma_value, type->labels_count);
    struct luma_value v = {.type = luma_type_array_of(args[0].type), .phys = LUMA_PHYS_STR};
    if (values == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < type->labels_count; i++)
        if (type->labels[i].place >= low && type->labels[i].place <= high)
            values[count++] = label_value(args[0].type, &type->labels[i]);
    LUMA_TRY(sql_host->data->array_make(call->arena, LUMA_TYPE_ENUM, values, count, &v.str));
    return sql_host->data->vec_set(call->arena, out, row, &v);
}

static luma_rc
range_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    const struct luma_cat_object *type = enum_of(call, args[0].type);
    if (type == NULL)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_TYPE, "42804", "could not determine enum type");
    for (uint32_t i = 0; i < rows; i++)
        LUMA_TRY(range_row(call, type, args, args_count, sel != NULL ? sel[i] : i, out));
    return LUMA_OK;
}

#define ANYENUM                  \
    {                            \
        LUMA_TYPE_ENUM, 0, 0, -1 \
    }

const struct luma_func sql_enum_functions[] = {
    {.name = "enum_first",
     .flags = LUMA_FUNC_STABLE,
     .args_count = 1,
     .args = {ANYENUM},
     .result = ANYENUM,
     .eval = end_eval},
    {.name = "enum_last",
     .flags = LUMA_FUNC_STABLE,
     .args_count = 1,
     .args = {ANYENUM},
     .result = ANYENUM,
     .eval = end_eval},
    {.name = "enum_range",
     .flags = LUMA_FUNC_STABLE,
     .args_count = 1,
     .args = {ANYENUM},
     .result = {LUMA_TYPE_ANYARRAY, 0, 0, -1},
     .eval = range_eval},
    {.name = "enum_range",
     .flags = LUMA_FUNC_STABLE,
     .args_count = 2,
     .args = {ANYENUM, ANYENUM},
     .result = {LUMA_TYPE_ANYARRAY, 0, 0, -1},
     .eval = range_eval},
};
const size_t sql_enum_functions_count = LUMA_COUNTOF(sql_enum_functions);
