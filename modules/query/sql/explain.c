/*
 * explain.c - EXPLAIN of anything that has a plan.
 */
#include "sql.h"

static bool
option_on(const PgQuery__DefElem *def)
{
    const PgQuery__Node *arg = def->arg;
    if (arg == NULL)
        return true;
    if (arg->node_case == PGN(INTEGER))
        return arg->integer->ival != 0;
    if (arg->node_case == PGN(BOOLEAN))
        return arg->boolean->boolval;
    const char *text = sql_string(arg);
    return strcmp(text, "true") == 0 || strcmp(text, "on") == 0 || strcmp(text, "1") == 0;
}

static luma_rc
read_options(struct luma_ctx *ctx, const PgQuery__ExplainStmt *stmt, struct luma_explain_opts *out)
{
    bool summary_given = false, timing_given = false;
    memset(out, 0, sizeof(*out));
    out->costs = true;
    for (size_t i = 0; i < stmt->n_options; i++) {
        const PgQuery__DefElem *def = stmt->options[i]->def_elem;
        const char *name = def->defname;
        if (strcmp(name, "format") == 0) {
            const char *format = sql_string(def->arg);
            if (strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
                return LUMA_FAIL_SQL(ctx, LUMA_E_UNSUPPORTED, "0A000",
                                     "EXPLAIN format \"%s\" is not supported", format);
            out->format = strcmp(format, "json") == 0 ? LUMA_EXPLAIN_JSON : LUMA_EXPLAIN_TEXT;
        } else if (strcmp(name, "analyze") == 0) {
            out->analyze = option_on(def);
        } else if (strcmp(name, "verbose") == 0) {
            out->verbose = option_on(def);
        } else if (strcmp(name, "costs") == 0) {
            out->costs = option_on(def);
        } else if (strcmp(name, "buffers") == 0) {
            out->buffers = option_on(def);
        } else if (strcmp(name, "timing") == 0) {
            timing_given = true;
            out->timing = option_on(def);
        } else if (strcmp(name, "summary") == 0) {
            summary_given = true;
            out->summary = option_on(def);
        } else if (strcmp(name, "wal") == 0 && option_on(def)) {
            return LUMA_FAIL_SQL(ctx, LUMA_E_UNSUPPORTED, "0A000",
                                 "EXPLAIN option WAL is not supported");
        } else if (strcmp(name, "settings") != 0 && strcmp(name, "wal") != 0) {
            return LUMA_FAIL_SQL(ctx, LUMA_E_SYNTAX, "42601", "unrecognized EXPLAIN option \"%s\"",
                                 name);
        }
    }
    if (!timing_given)
        out->timing = out->analyze;
    if (!summary_given)
        out->summary = out->analyze;
    return LUMA_OK;
}

static luma_rc
explained(struct sql_utility *u, PgQuery__Node *query, struct sql_bound **out_bound)
{
    if (query->node_case == PGN(EXECUTE_STMT)) {
        struct luma_stmt *stmt = sql_named_get(u->session, query->execute_stmt->name);
        if (stmt == NULL)
            return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNDEFINED, "26000",
                                 "prepared statement \"%s\" does not exist",
                                 query->execute_stmt->name);
        query = stmt->node;
        return sql_bind_node(u->ctx, u->session, u->txn, stmt->parse->text, stmt->parse->bytes,
                             query, stmt->param_types, stmt->param_types_count, out_bound);
    }
    if (query->node_case == PGN(CREATE_TABLE_AS_STMT))
        query = query->create_table_as_stmt->query;
    else if (query->node_case == PGN(DECLARE_CURSOR_STMT))
        query = query->declare_cursor_stmt->query;
    if (!sql_stmt_is_plan(query))
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "EXPLAIN of this statement is not supported");
    return sql_bind_node(u->ctx, u->session, u->txn, u->stmt->parse->text, u->stmt->parse->bytes,
                         query, NULL, 0, out_bound);
}

luma_rc
sql_explain(struct sql_utility *u)
{
    const PgQuery__ExplainStmt *stmt = u->node->explain_stmt;
    struct luma_explain_opts opts;
    struct sql_bound *bound = NULL;
    const char *const *lines = NULL;
    uint32_t count = 0;
    LUMA_TRY(read_options(u->ctx, stmt, &opts));
    LUMA_TRY(explained(u, stmt->query, &bound));
    luma_rc rc = sql_bound_compile(u->ctx, u->session, u->txn, bound);
    const struct luma_value *params = u->opts != NULL ? u->opts->params : NULL;
    uint32_t params_count = u->opts != NULL ? u->opts->params_count : 0;
    if (rc == LUMA_OK)
        rc = sql_engine->explain(u->ctx, u->session, u->txn, bound->query, params, params_count,
                                 &opts, &lines, &count);
    sql_bound_release(bound);
    if (rc != LUMA_OK)
        return rc;
    struct luma_result_col col = {"QUERY PLAN", luma_type(LUMA_TYPE_TEXT), 0, 0};
    return sql_result_rows(u->ctx, u->session, "EXPLAIN", &col, 1, lines, count, u->out_result);
}
