/*
 * ddl_view.c - CREATE VIEW. The text that is kept names every relation with its schema, so that a
 * view means the same whatever search_path says later, and dependencies can be read from it.
 */
#include "ddl.h"

/* ---- every node of a kind in a tree, found through protobuf's descriptors ---- */

bool
sql_tree_each(ProtobufCMessage *message, const ProtobufCMessageDescriptor *kind, sql_tree_fn fn,
              void *arg)
{
    const ProtobufCMessageDescriptor *d = message->descriptor;
    if (d == kind && fn(arg, message))
        return true;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *at = (char *)message + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(size_t *)((char *)message + f->quantifier_offset);
            ProtobufCMessage **list = *(ProtobufCMessage ***)at;
            for (size_t k = 0; k < n; k++)
                if (list[k] != NULL && sql_tree_each(list[k], kind, fn, arg))
                    return true;
            continue;
        }
        bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        if (oneof && *(uint32_t *)((char *)message + f->quantifier_offset) != f->id)
            continue;
        ProtobufCMessage *sub = *(ProtobufCMessage **)at;
        if (sub != NULL && sql_tree_each(sub, kind, fn, arg))
            return true;
    }
    return false;
}

typedef bool (*range_fn)(void *arg, PgQuery__RangeVar *var); /* true: stop */

struct ranges {
    range_fn fn;
    void *arg;
};

static bool
range_node(void *arg, ProtobufCMessage *node)
{
    const struct ranges *ranges = arg;
    return ranges->fn(ranges->arg, (PgQuery__RangeVar *)node);
}

static bool
each_range(ProtobufCMessage *message, range_fn fn, void *arg)
{
    struct ranges ranges = {fn, arg};
    return sql_tree_each(message, &pg_query__range_var__descriptor, range_node, &ranges);
}

struct names {
    const char *schema, *name;
};

static bool
is_named(void *arg, PgQuery__RangeVar *var)
{
    const struct names *names = arg;
    return strcmp(var->relname, names->name) == 0 && strcmp(var->schemaname, names->schema) == 0;
}

bool
sql_view_names(const PgQuery__Node *node, const char *schema, const char *name)
{
    struct names names = {schema, name};
    return each_range((ProtobufCMessage *)&node->base, is_named, &names);
}

static bool
qualify(void *arg, PgQuery__RangeVar *var)
{
    struct sql_bind *b = arg;
    struct sql_relation rel;
    /* what cannot be found is a WITH name (the query was bound before) */
    if (var->schemaname[0] == '\0' && sql_relation_find(b, NULL, var->relname, &rel))
        var->schemaname = sql_text(b, rel.schema);
    return false;
}

/* Names of WITH queries anywhere in the tree hide relations: such views keep their names as
 * written. */
static bool
has_with(ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *d = message->descriptor;
    if (d == &pg_query__with_clause__descriptor)
        return true;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *at = (char *)message + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(size_t *)((char *)message + f->quantifier_offset);
            ProtobufCMessage **list = *(ProtobufCMessage ***)at;
            for (size_t k = 0; k < n; k++)
                if (list[k] != NULL && has_with(list[k]))
                    return true;
            continue;
        }
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(uint32_t *)((char *)message + f->quantifier_offset) != f->id)
            continue;
        ProtobufCMessage *sub = *(ProtobufCMessage **)at;
        if (sub != NULL && has_with(sub))
            return true;
    }
    return false;
}

struct with_names {
    struct sql_bind *b;
    PgQuery__WithClause *with;
};

static bool
qualify_unless_with(void *arg, PgQuery__RangeVar *var)
{
    const struct with_names *w = arg;
    for (size_t i = 0; i < w->with->n_ctes; i++)
        if (strcmp(w->with->ctes[i]->common_table_expr->ctename, var->relname) == 0)
            return false;
    return qualify(w->b, var);
}

static void
qualify_query(struct sql_bind *b, PgQuery__Node *query)
{
    PgQuery__WithClause *with = query->select_stmt->with_clause;
    if (with != NULL) {
        struct with_names w = {b, with};
        each_range(&query->base, qualify_unless_with, &w);
    } else if (!has_with(&query->base)) {
        each_range(&query->base, qualify, b);
    }
}

/* ---- CREATE VIEW ---- */

struct view_call {
    const PgQuery__ViewStmt *stmt;
    struct luma_cat_object object;
    bool temporary;
};

static void
view_columns(struct sql_bind *b, const struct view_call *call, const struct luma_plan *plan,
             struct luma_cat_object *o)
{
    const PgQuery__ViewStmt *stmt = call->stmt;
    struct luma_cat_column *cols = SQL_NEW_ARRAY(b, struct luma_cat_column, plan->cols_count);
    if (stmt->n_aliases > plan->cols_count)
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "CREATE VIEW specifies more column names than columns");
    for (uint32_t i = 0; i < plan->cols_count; i++) {
        cols[i].id = i + 1;
        cols[i].name = i < stmt->n_aliases ? sql_string(stmt->aliases[i]) : plan->cols[i].name;
        cols[i].type = plan->cols[i].type;
        cols[i].missing.type = cols[i].type;
        cols[i].missing.is_null = true;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(cols[k].name, cols[i].name) == 0)
                SQL_THROW(b, -1, LUMA_E_EXISTS, "42701", "column \"%s\" specified more than once",
                          cols[i].name);
    }
    o->cols = cols;
    o->cols_count = plan->cols_count;
    o->col_id_next = plan->cols_count + 1;
}

static void
replace_view(struct sql_bind *b, struct luma_cat_object *o, const struct luma_cat_object *old,
             bool replace)
{
    if (!replace)
        SQL_THROW(b, -1, LUMA_E_EXISTS, "42P07", "relation \"%s\" already exists", o->name);
    if (old->kind != LUMA_CAT_VIEW)
        SQL_THROW(b, -1, LUMA_E_TYPE, "42809", "\"%s\" is not a view", o->name);
    sql_must_own(b, old);
    if (o->cols_count < old->cols_count)
        SQL_THROW(b, -1, LUMA_E_INVALID, "42P16", "cannot drop columns from view");
    for (uint32_t i = 0; i < old->cols_count; i++) {
        if (strcmp(old->cols[i].name, o->cols[i].name) != 0)
            SQL_THROW(b, -1, LUMA_E_INVALID, "42P16",
                      "cannot change name of view column \"%s\" to \"%s\"", old->cols[i].name,
                      o->cols[i].name);
        if (!sql_type_same(old->cols[i].type, o->cols[i].type))
            SQL_THROW(b, -1, LUMA_E_INVALID, "42P16",
                      "cannot change data type of view column \"%s\" from %s to %s",
                      old->cols[i].name, sql_type_text(b, old->cols[i].type),
                      sql_type_text(b, o->cols[i].type));
    }
    o->id = old->id;
    o->grants = old->grants;
    o->grants_count = old->grants_count;
    o->comment = old->comment;
    o->owner_id = old->owner_id;
}

/* FETCH FIRST n ROWS takes constants and names as they are, all else in parentheses, which the text
 * of the tree leaves out: a subquery brings its own. */
static void
wrap_fetch_count(struct sql_bind *b, PgQuery__SelectStmt *select)
{
    PgQuery__Node *count = select->limit_count;
    if (select->limit_option != PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES || count == NULL ||
        count->node_case == PGN(A_CONST) || count->node_case == PGN(SUB_LINK))
        return;
    PgQuery__SubLink *link = SQL_NEW(b, PgQuery__SubLink);
    pg_query__sub_link__init(link);
    link->sub_link_type = PG_LINK(EXPR);
    link->subselect = sql_select_of(b, count);
    PgQuery__Node *node = SQL_NEW(b, PgQuery__Node);
    pg_query__node__init(node);
    node->node_case = PGN(SUB_LINK);
    node->sub_link = link;
    select->limit_count = node;
}

static void
build_view(struct sql_bind *b, void *arg)
{
    struct view_call *call = arg;
    const PgQuery__ViewStmt *stmt = call->stmt;
    struct luma_cat_object *o = &call->object;
    if (stmt->with_check_option == PG_QUERY__VIEW_CHECK_OPTION__LOCAL_CHECK_OPTION ||
        stmt->with_check_option == PG_QUERY__VIEW_CHECK_OPTION__CASCADED_CHECK_OPTION)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "WITH CHECK OPTION is not supported");
    if (stmt->query->node_case != PGN(SELECT_STMT))
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "a view must be a query");
    b->params_fixed = true;
    const struct luma_plan *plan = sql_bind_select(b, NULL, stmt->query->select_stmt, NULL);
    o->kind = LUMA_CAT_VIEW;
    o->name = stmt->view->relname;
    o->schema_id = sql_new_schema(b, stmt->view);
    o->owner_id = sql_host->session->user_id(b->session);
    o->temporary = stmt->view->relpersistence[0] == 't';
    view_columns(b, call, plan, o);
    qualify_query(b, stmt->query);
    wrap_fetch_count(b, stmt->query->select_stmt);
    o->sql = sql_deparse_here(b, stmt->query);
    const struct luma_cat_object *old = sql_host->catalog->relation(b->view, o->schema_id, o->name);
    if (old != NULL)
        replace_view(b, o, old, stmt->replace);
}

luma_rc
sql_create_view(struct sql_utility *u)
{
    struct view_call call = {.stmt = u->node->view_stmt};
    struct sql_bind b;
    uint64_t temp;
    if (call.stmt->view->relpersistence[0] == 't')
        LUMA_TRY(sql_temp_schema(u, &temp));
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_view, &call));
    if (call.object.id == 0)
        call.object.id = sql_host->catalog->next_id(u->ctx, u->txn);
    if (call.object.id == 0)
        return u->ctx->error->code;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &call.object));
    return sql_done(u, "CREATE VIEW");
}
