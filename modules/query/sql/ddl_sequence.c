/*
 * ddl_sequence.c - CREATE and ALTER SEQUENCE, and the sequences of serial and identity columns.
 */
#include <stdlib.h>

#include "ddl.h"

static void
type_limits(struct luma_type type, int64_t *out_min, int64_t *out_max)
{
    *out_max = type.id == LUMA_TYPE_INT2   ? INT16_MAX
               : type.id == LUMA_TYPE_INT4 ? INT32_MAX
                                           : INT64_MAX;
    *out_min = -*out_max - 1;
}

void
sql_sequence_defaults(struct luma_cat_object *seq, struct luma_type type)
{
    int64_t min, max;
    type_limits(type, &min, &max);
    seq->kind = LUMA_CAT_SEQUENCE;
    seq->seq_type = type;
    seq->seq_start = 1;
    seq->seq_increment = 1;
    seq->seq_min = 1;
    seq->seq_max = max;
    seq->seq_cache = 1;
}

static int64_t
option_number(struct sql_bind *b, const PgQuery__DefElem *def)
{
    const PgQuery__Node *arg = def->arg;
    if (arg != NULL && arg->node_case == PGN(INTEGER))
        return arg->integer->ival;
    if (arg != NULL && arg->node_case == PGN(FLOAT))
        return strtoll(arg->float_->fval, NULL, 10);
    SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42601", "invalid value for sequence option %s",
              def->defname);
}

static void
owned_by(struct sql_bind *b, const PgQuery__DefElem *def, const char **out_table,
         const char **out_col)
{
    const PgQuery__List *list = def->arg->list;
    *out_col = sql_string(list->items[list->n_items - 1]);
    *out_table = "";
    for (size_t i = 0; i + 1 < list->n_items; i++)
        *out_table =
            sql_format(b, "%s%s%s", *out_table, i > 0 ? "." : "", sql_string(list->items[i]));
}

static void
check_sequence(struct sql_bind *b, const struct luma_cat_object *seq)
{
    if (seq->seq_increment == 0)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023", "INCREMENT must not be zero");
    if (seq->seq_min >= seq->seq_max)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023",
                  "MINVALUE (%lld) must be less than MAXVALUE (%lld)", (long long)seq->seq_min,
                  (long long)seq->seq_max);
    if (seq->seq_start < seq->seq_min)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023",
                  "START value (%lld) cannot be less than MINVALUE (%lld)",
                  (long long)seq->seq_start, (long long)seq->seq_min);
    if (seq->seq_start > seq->seq_max)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023",
                  "START value (%lld) cannot be greater than MAXVALUE (%lld)",
                  (long long)seq->seq_start, (long long)seq->seq_max);
    if (seq->seq_cache < 1)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023", "CACHE (%lld) must be greater than zero",
                  (long long)seq->seq_cache);
}

static const PgQuery__DefElem *
find_option(PgQuery__Node *const *options, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i]->def_elem->defname, name) == 0)
            return options[i]->def_elem;
    return NULL;
}

void
sql_sequence_options(struct sql_bind *b, PgQuery__Node *const *options, size_t count,
                     struct luma_cat_object *seq, bool is_new, const char **out_owned_by,
                     const char **out_owned_col, int64_t *out_restart, bool *out_has_restart)
{
    const PgQuery__DefElem *def = find_option(options, count, "as");
    int64_t min, max;
    if (def != NULL) {
        seq->seq_type = sql_type_resolve(b, def->arg->type_name);
        if (seq->seq_type.id != LUMA_TYPE_INT2 && seq->seq_type.id != LUMA_TYPE_INT4 &&
            seq->seq_type.id != LUMA_TYPE_INT8)
            SQL_THROW(b, def->location, LUMA_E_INVALID, "22023",
                      "sequence type must be smallint, integer, or bigint");
    }
    type_limits(seq->seq_type, &min, &max);
    if ((def = find_option(options, count, "increment")) != NULL)
        seq->seq_increment = option_number(b, def);
    bool down = seq->seq_increment < 0;
    if (is_new || find_option(options, count, "as") != NULL) {
        seq->seq_min = down ? min : 1;
        seq->seq_max = down ? -1 : max;
    }
    if ((def = find_option(options, count, "minvalue")) != NULL)
        seq->seq_min = def->arg != NULL ? option_number(b, def) : down ? min : 1;
    if ((def = find_option(options, count, "maxvalue")) != NULL)
        seq->seq_max = def->arg != NULL ? option_number(b, def) : down ? -1 : max;
    if (is_new)
        seq->seq_start = down ? seq->seq_max : seq->seq_min;
    if ((def = find_option(options, count, "start")) != NULL)
        seq->seq_start = option_number(b, def);
    if ((def = find_option(options, count, "cache")) != NULL)
        seq->seq_cache = option_number(b, def);
    if ((def = find_option(options, count, "cycle")) != NULL)
        seq->seq_cycle =
            def->arg == NULL || def->arg->node_case != PGN(BOOLEAN) || def->arg->boolean->boolval;
    if ((def = find_option(options, count, "owned_by")) != NULL)
        owned_by(b, def, out_owned_by, out_owned_col);
    if ((def = find_option(options, count, "restart")) != NULL) {
        *out_has_restart = true;
        *out_restart = def->arg != NULL ? option_number(b, def) : seq->seq_start;
    }
    check_sequence(b, seq);
}

struct sequence_call {
    PgQuery__Node *const *options;
    size_t options_count;
    const PgQuery__RangeVar *var;
    bool if_exists_rule; /* CREATE: IF NOT EXISTS; ALTER: IF EXISTS */
    bool skip;
    struct luma_cat_object object;
    struct luma_cat_object *owner; /* table whose column owns it now */
    int64_t restart;
    bool has_restart;
};

static void
own_by_column(struct sql_bind *b, struct sequence_call *call, const char *table, const char *column)
{
    struct sql_relation rel;
    if (strcmp(column, "none") == 0 && (table == NULL || table[0] == '\0'))
        return;
    const char *dot = strrchr(table, '.');
    const char *schema = dot != NULL ? sql_text_of(b, table, (size_t)(dot - table)) : NULL;
    if (!sql_relation_find(b, schema, dot != NULL ? dot + 1 : table, &rel) || rel.object == NULL)
        SQL_THROW(b, -1, LUMA_E_NOTFOUND, "42P01", "relation \"%s\" does not exist", table);
    struct luma_cat_object *copy = SQL_NEW(b, struct luma_cat_object);
    *copy = *rel.object;
    struct luma_cat_column *cols = SQL_NEW_ARRAY(b, struct luma_cat_column, copy->cols_count);
    memcpy(cols, copy->cols, sizeof(*cols) * copy->cols_count);
    copy->cols = cols;
    for (uint32_t i = 0; i < copy->cols_count; i++)
        if (strcmp(cols[i].name, column) == 0) {
            cols[i].sequence_id = UINT64_MAX; /* known when the sequence has its id */
            call->owner = copy;
            call->object.table_id = copy->id;
            return;
        }
    SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703", "column \"%s\" of relation \"%s\" does not exist",
              column, table);
}

static void
build_sequence(struct sql_bind *b, void *arg)
{
    struct sequence_call *call = arg;
    struct luma_cat_object *o = &call->object;
    const char *table = NULL, *column = NULL;
    sql_sequence_defaults(o, luma_type(LUMA_TYPE_INT8));
    o->name = call->var->relname;
    o->schema_id = sql_new_schema(b, call->var);
    o->owner_id = sql_host->session->user_id(b->session);
    o->temporary = call->var->relpersistence[0] == 't';
    if (sql_host->catalog->relation(b->view, o->schema_id, o->name) != NULL) {
        if (!call->if_exists_rule)
            SQL_THROW(b, -1, LUMA_E_EXISTS, "42P07", "relation \"%s\" already exists", o->name);
        sql_host->session->notice(b->session, "NOTICE", "42P07",
                                  "relation \"%s\" already exists, skipping", o->name);
        call->skip = true;
        return;
    }
    sql_sequence_options(b, call->options, call->options_count, o, true, &table, &column,
                         &call->restart, &call->has_restart);
    if (column != NULL)
        own_by_column(b, call, table, column);
}

static void
change_sequence(struct sql_bind *b, void *arg)
{
    struct sequence_call *call = arg;
    struct sql_relation rel;
    const char *table = NULL, *column = NULL;
    if (!sql_relation_find(b, call->var->schemaname, call->var->relname, &rel)) {
        if (!call->if_exists_rule)
            sql_relation_get(b, call->var, &rel);
        sql_host->session->notice(b->session, "NOTICE", "42P01",
                                  "relation \"%s\" does not exist, skipping", call->var->relname);
        call->skip = true;
        return;
    }
    if (rel.object == NULL || rel.object->kind != LUMA_CAT_SEQUENCE)
        SQL_THROW(b, call->var->location, LUMA_E_TYPE, "42809", "\"%s\" is not a sequence",
                  call->var->relname);
    sql_must_own(b, rel.object);
    call->object = *rel.object;
    sql_sequence_options(b, call->options, call->options_count, &call->object, false, &table,
                         &column, &call->restart, &call->has_restart);
    if (column != NULL)
        own_by_column(b, call, table, column);
}

static luma_rc
put_sequence(struct sql_utility *u, struct sequence_call *call)
{
    if (call->object.id == 0)
        call->object.id = sql_host->catalog->next_id(u->ctx, u->txn);
    if (call->object.id == 0)
        return u->ctx->error->code;
    LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, &call->object));
    if (call->owner != NULL) {
        struct luma_cat_column *cols = (struct luma_cat_column *)call->owner->cols;
        for (uint32_t i = 0; i < call->owner->cols_count; i++)
            if (cols[i].sequence_id == UINT64_MAX)
                cols[i].sequence_id = call->object.id;
        LUMA_TRY(sql_host->catalog->put(u->ctx, u->txn, call->owner));
    }
    if (!call->has_restart)
        return LUMA_OK;
    const struct luma_cat_object *seq =
        sql_host->catalog->by_id(sql_host->catalog->view(u->txn), call->object.id);
    return sql_host->catalog->sequence_set(u->ctx, u->txn, seq, call->restart, false);
}

luma_rc
sql_create_sequence(struct sql_utility *u)
{
    const PgQuery__CreateSeqStmt *stmt = u->node->create_seq_stmt;
    struct sequence_call call = {.options = stmt->options,
                                 .options_count = stmt->n_options,
                                 .var = stmt->sequence,
                                 .if_exists_rule = stmt->if_not_exists};
    struct sql_bind b;
    uint64_t temp;
    if (stmt->sequence->relpersistence[0] == 't')
        LUMA_TRY(sql_temp_schema(u, &temp));
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, build_sequence, &call));
    if (!call.skip)
        LUMA_TRY(put_sequence(u, &call));
    return sql_done(u, "CREATE SEQUENCE");
}

luma_rc
sql_alter_sequence(struct sql_utility *u)
{
    const PgQuery__AlterSeqStmt *stmt = u->node->alter_seq_stmt;
    struct sequence_call call = {.options = stmt->options,
                                 .options_count = stmt->n_options,
                                 .var = stmt->sequence,
                                 .if_exists_rule = stmt->missing_ok};
    struct sql_bind b;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, change_sequence, &call));
    if (!call.skip)
        LUMA_TRY(put_sequence(u, &call));
    return sql_done(u, "ALTER SEQUENCE");
}
