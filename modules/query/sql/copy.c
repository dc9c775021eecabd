/*
 * copy.c - COPY: what is copied, and with which options.
 */
#include "copy.h"

#include <stdio.h>

static bool
option_flag(struct sql_bind *b, const PgQuery__DefElem *def)
{
    const PgQuery__Node *arg = def->arg;
    if (arg == NULL)
        return true;
    if (arg->node_case == PGN(INTEGER))
        return arg->integer->ival != 0;
    if (arg->node_case == PGN(BOOLEAN))
        return arg->boolean->boolval;
    const char *text = sql_string(arg);
    if (strcmp(text, "true") == 0 || strcmp(text, "on") == 0 || strcmp(text, "match") == 0)
        return true;
    if (strcmp(text, "false") == 0 || strcmp(text, "off") == 0)
        return false;
    SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42601", "%s requires a Boolean value",
              def->defname);
}

static char
option_char(struct sql_bind *b, const PgQuery__DefElem *def)
{
    const char *text = sql_string(def->arg);
    if (strlen(text) != 1)
        SQL_THROW(b, def->location, LUMA_E_UNSUPPORTED, "0A000",
                  "COPY %s must be a single one-byte character", def->defname);
    if (text[0] == '\n' || text[0] == '\r')
        SQL_THROW(b, def->location, LUMA_E_INVALID, "22023",
                  "COPY delimiter cannot be newline or carriage return");
    return text[0];
}

static void
set_format(struct sql_bind *b, struct sql_copy_opts *o, const PgQuery__DefElem *def)
{
    const char *format = sql_string(def->arg);
    if (strcmp(format, "text") == 0)
        o->format = SQL_COPY_TEXT;
    else if (strcmp(format, "csv") == 0)
        o->format = SQL_COPY_CSV;
    else if (strcmp(format, "binary") == 0)
        o->format = SQL_COPY_BINARY;
    else
        SQL_THROW(b, def->location, LUMA_E_INVALID, "22023", "COPY format \"%s\" not recognized",
                  format);
}

static const char *
column_name(const struct sql_copy *copy, uint32_t i)
{
    return copy->table->cols[copy->cols[i]].name;
}

static bool *
column_flags(struct sql_bind *b, const struct sql_copy *copy, const PgQuery__DefElem *def)
{
    bool *flags = SQL_NEW_ARRAY(b, bool, copy->cols_count + 1);
    bool all = def->arg == NULL || def->arg->node_case == PGN(A_STAR);
    if (!all && def->arg->node_case != PGN(LIST))
        SQL_THROW(b, def->location, LUMA_E_INVALID, "22023",
                  "argument to option \"%s\" must be a list of column names", def->defname);
    if (copy->table == NULL && !all)
        SQL_THROW(b, def->location, LUMA_E_UNSUPPORTED, "0A000",
                  "COPY %s with columns needs a table", def->defname);
    for (uint32_t i = 0; i < copy->cols_count; i++)
        flags[i] = all;
    for (size_t k = 0; !all && k < def->arg->list->n_items; k++) {
        const char *name = sql_string(def->arg->list->items[k]);
        bool found = false;
        for (uint32_t i = 0; i < copy->cols_count; i++)
            if (strcmp(column_name(copy, i), name) == 0)
                found = flags[i] = true;
        if (!found)
            SQL_THROW(b, def->location, LUMA_E_UNDEFINED, "42703",
                      "column \"%s\" is not referenced by COPY", name);
    }
    return flags;
}

struct given {
    bool delimiter, null, quote, escape;
};

static void
read_option(struct sql_bind *b, struct sql_copy *copy, const PgQuery__DefElem *def,
            struct given *given)
{
    struct sql_copy_opts *o = &copy->opts;
    const char *name = def->defname;
    if (strcmp(name, "format") == 0) {
        set_format(b, o, def);
    } else if (strcmp(name, "delimiter") == 0) {
        o->delimiter = option_char(b, def);
        given->delimiter = true;
    } else if (strcmp(name, "null") == 0) {
        o->null = sql_string(def->arg);
        given->null = true;
    } else if (strcmp(name, "header") == 0) {
        o->header = option_flag(b, def);
    } else if (strcmp(name, "quote") == 0) {
        o->quote = option_char(b, def);
        given->quote = true;
    } else if (strcmp(name, "escape") == 0) {
        o->escape = option_char(b, def);
        given->escape = true;
    } else if (strcmp(name, "force_quote") == 0) {
        o->force_quote = column_flags(b, copy, def);
    } else if (strcmp(name, "force_not_null") == 0) {
        o->force_not_null = column_flags(b, copy, def);
    } else if (strcmp(name, "force_null") == 0) {
        o->force_null = column_flags(b, copy, def);
    } else if (strcmp(name, "encoding") == 0) {
        const char *encoding = sql_string(def->arg);
        if (strcasecmp(encoding, "utf8") != 0 && strcasecmp(encoding, "utf-8") != 0 &&
            strcasecmp(encoding, "sql_ascii") != 0)
            SQL_THROW(b, def->location, LUMA_E_UNSUPPORTED, "0A000",
                      "COPY in encoding \"%s\" is not supported", encoding);
    } else if (strcmp(name, "freeze") != 0) {
        SQL_THROW(b, def->location, LUMA_E_SYNTAX, "42601", "option \"%s\" not recognized", name);
    }
}

luma_rc
sql_copy_options(struct sql_bind *b, struct sql_copy *copy)
{
    struct sql_copy_opts *o = &copy->opts;
    struct given given = {false, false, false, false};
    *o = (struct sql_copy_opts){.format = SQL_COPY_TEXT};
    for (size_t i = 0; i < copy->stmt->n_options; i++)
        read_option(b, copy, copy->stmt->options[i]->def_elem, &given);
    bool csv = o->format == SQL_COPY_CSV;
    if (!given.delimiter)
        o->delimiter = csv ? ',' : '\t';
    if (!given.null)
        o->null = csv ? "" : "\\N";
    if (!given.quote)
        o->quote = '"';
    if (!given.escape)
        o->escape = o->quote;
    o->null_bytes = strlen(o->null);
    if (!csv && (given.quote || given.escape || o->force_quote != NULL ||
                 o->force_not_null != NULL || o->force_null != NULL))
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000",
                  "COPY quote, escape and force options are available only in CSV mode");
    if (o->format == SQL_COPY_BINARY && (given.delimiter || given.null || o->header))
        SQL_THROW(b, -1, LUMA_E_SYNTAX, "42601",
                  "cannot specify DELIMITER, NULL or HEADER in BINARY mode");
    if (csv && o->delimiter == o->quote)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023", "COPY delimiter and quote must be different");
    if (!csv && o->format == SQL_COPY_TEXT &&
        strchr("\\.abcdefghijklmnopqrstuvwxyz0123456789", o->delimiter) != NULL)
        SQL_THROW(b, -1, LUMA_E_INVALID, "22023", "COPY delimiter cannot be \"%c\"", o->delimiter);
    return LUMA_OK;
}

static void
copy_columns(struct sql_bind *b, struct sql_copy *copy)
{
    const PgQuery__CopyStmt *stmt = copy->stmt;
    const struct luma_cat_object *table = copy->table;
    copy->cols = SQL_NEW_ARRAY(b, uint32_t, table->cols_count + stmt->n_attlist);
    for (size_t i = 0; i < stmt->n_attlist; i++) {
        const char *name = sql_string(stmt->attlist[i]);
        uint32_t at = 0;
        while (at < table->cols_count && strcmp(table->cols[at].name, name) != 0)
            at++;
        if (at == table->cols_count)
            SQL_THROW(b, -1, LUMA_E_UNDEFINED, "42703",
                      "column \"%s\" of relation \"%s\" does not exist", name, table->name);
        for (uint32_t k = 0; k < copy->cols_count; k++)
            if (copy->cols[k] == at)
                SQL_THROW(b, -1, LUMA_E_EXISTS, "42701", "column \"%s\" specified more than once",
                          name);
        if (table->cols[at].generated_sql != NULL)
            SQL_THROW(b, -1, LUMA_E_INVALID, "42P10", "column \"%s\" is a generated column", name);
        copy->cols[copy->cols_count++] = at;
    }
    for (uint32_t i = 0; stmt->n_attlist == 0 && i < table->cols_count; i++)
        if (table->cols[i].generated_sql == NULL)
            copy->cols[copy->cols_count++] = i;
}

static void
resolve_copy(struct sql_bind *b, void *arg)
{
    struct sql_copy *copy = arg;
    const PgQuery__CopyStmt *stmt = copy->stmt;
    if (stmt->is_program || stmt->filename[0] != '\0') {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                   "COPY to or from a %s of the server is not supported",
                                   stmt->is_program ? "program" : "file");
        sql_hint(b, "psql's \\copy command reads and writes files of the client.");
        sql_throw(b, -1, rc);
    }
    if (stmt->where_clause != NULL)
        SQL_THROW(b, -1, LUMA_E_UNSUPPORTED, "0A000", "COPY FROM ... WHERE is not supported");
    copy->name = "query";
    if (stmt->relation != NULL) {
        struct sql_relation rel;
        sql_relation_get(b, stmt->relation, &rel);
        bool plain = rel.object != NULL && rel.object->kind == LUMA_CAT_TABLE;
        if (!plain) {
            luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42809", "cannot copy %s view \"%s\"",
                                       stmt->is_from ? "to" : "from", stmt->relation->relname);
            if (!stmt->is_from)
                sql_hint(b, "Try the COPY (SELECT ...) TO variant.");
            sql_throw(b, -1, rc);
        }
        copy->table = rel.object;
        copy->name = rel.object->name;
        sql_demand(b, copy->table, 0, stmt->is_from ? LUMA_RIGHT_INSERT : LUMA_RIGHT_SELECT);
        copy_columns(b, copy);
    }
    sql_copy_options(b, copy);
}

luma_rc
sql_copy(struct sql_utility *u)
{
    struct sql_copy *copy = LUMA_NEW(u->ctx->arena, struct sql_copy);
    struct sql_bind b;
    if (copy == NULL)
        return LUMA_FAIL(u->ctx, LUMA_E_NOMEM, "out of memory");
    copy->u = u;
    copy->stmt = u->node->copy_stmt;
    sql_utility_bind(u, &b);
    LUMA_TRY(sql_guard(&b, resolve_copy, copy));
    if (u->opts == NULL || u->opts->copy == NULL)
        return LUMA_FAIL_SQL(u->ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "COPY to or from the client is not possible here");
    return copy->stmt->is_from ? sql_copy_from(copy) : sql_copy_to(copy);
}

luma_rc
sql_copy_where(struct luma_ctx *ctx, const struct sql_copy *copy, uint64_t line, const char *column,
               luma_rc rc)
{
    char text[512];
    if (column != NULL)
        snprintf(text, sizeof(text), "COPY %s, line %llu, column %s", copy->name,
                 (unsigned long long)line, column);
    else
        snprintf(text, sizeof(text), "COPY %s, line %llu", copy->name, (unsigned long long)line);
    if (ctx->error->context == NULL)
        ctx->error->context = luma_arena_text(ctx->arena, text, strlen(text));
    return rc;
}

size_t
sql_copy_find(const char *text, size_t bytes, char a, char b, char c, char d)
{
    if (sql_simd != NULL)
        return sql_simd->find_any4(text, bytes, a, b, c, d);
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == a || text[i] == b || text[i] == c || text[i] == d)
            return i;
    return bytes;
}
