/* main/transfer/table.c - what import and export ask the server about tables and types. */
#include <ctype.h>
#include <stdlib.h>

#include "main/transfer/transfer.h"

struct lki_column *
lki_columns_add(struct lki_columns *columns, const char *name, size_t bytes)
{
    columns->at = lki_grow(columns->at, (columns->count + 1) * sizeof(*columns->at));
    struct lki_column *column = &columns->at[columns->count++];
    memset(column, 0, sizeof(*column));
    column->name = lki_grow(NULL, bytes + 1);
    memcpy(column->name, name, bytes);
    column->name[bytes] = 0;
    lki_guess_init(&column->guess);
    return column;
}

size_t
lki_columns_find(const struct lki_columns *columns, const char *name, size_t bytes)
{
    size_t i = 0;
    while (i < columns->count &&
           (strncmp(columns->at[i].name, name, bytes) != 0 || columns->at[i].name[bytes] != 0))
        i++;
    return i;
}

void
lki_columns_fini(struct lki_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        free(columns->at[i].name);
    free(columns->at);
    memset(columns, 0, sizeof(*columns));
}

/* One name up to `stop`; quotes are taken off. Gives what follows it. */
static const char *
take_name(const char *p, char stop, bool fold, struct lki_text *out)
{
    bool inside = false, quoted = *p == '"';
    out->used = 0;
    for (; *p != 0 && (inside || *p != stop); p++) {
        if (quoted && *p == '"') {
            if (inside && p[1] == '"')
                lki_text_put(out, *p++);
            else
                inside = !inside;
        } else {
            bool upper = fold && !quoted && *p >= 'A' && *p <= 'Z';
            lki_text_put(out, upper ? (char)tolower(*p) : *p);
        }
    }
    return p;
}

void
lki_columns_parse(struct lki_columns *columns, const char *text)
{
    struct lki_text name = {0};
    for (const char *p = text; *p != 0;) {
        p += strspn(p, " ");
        p = take_name(p, ',', false, &name);
        (void)lki_columns_add(columns, lki_text_room(&name, 0) - name.used, name.used);
        p += *p == ',';
    }
    lki_text_fini(&name);
}

void
lki_table_name(const char *typed, struct lki_text *out)
{
    struct lki_text name = {0};
    out->used = 0;
    for (const char *p = typed; *p != 0;) {
        p = take_name(p, '.', true, &name);
        lki_text_name(out, lki_text_room(&name, 0) - name.used, name.used);
        if (*p == '.') {
            lki_text_put(out, '.');
            p++;
        }
    }
    lki_text_say(out, "");
    lki_text_fini(&name);
}

bool
lki_table_columns(struct lki_transfer *t, struct lki_columns *out)
{
    static const char sql[] =
        "SELECT a.attname, t.typcategory, t.typname, a.attgenerated FROM pg_attribute a "
        "JOIN pg_type t ON t.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped "
        "AND a.attrelid = ";
    struct lki_text name = {0}, query = {0};
    lki_table_name(t->table, &name);
    lki_text_say(&query, sql);
    lki_text_literal(&query, name.bytes);
    lki_text_say(&query, "::regclass ORDER BY a.attnum");
    PGresult *result = PQexec(t->shell.conn, query.bytes);
    lki_text_fini(&query);
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    for (int r = 0; ok && r < PQntuples(result); r++) {
        const char *type = PQgetvalue(result, r, 2), *generated = PQgetvalue(result, r, 3);
        struct lki_column *column =
            lki_columns_add(out, PQgetvalue(result, r, 0), strlen(PQgetvalue(result, r, 0)));
        column->json = strcmp(type, "json") == 0 || strcmp(type, "jsonb") == 0;
        column->array = PQgetvalue(result, r, 1)[0] == 'A';
        column->generated = generated[0] != 0 && generated[0] != ' ';
    }
    if (!ok)
        lki_transfer_fail(t, NULL, PQresultErrorMessage(result));
    PQclear(result);
    lki_text_fini(&name);
    return ok;
}

static enum lki_form
form_of(const char *category, const char *name)
{
    if (strcmp(name, "json") == 0 || strcmp(name, "jsonb") == 0 || strcmp(name, "vector") == 0)
        return FORM_JSON;
    return category[0] == 'N' ? FORM_NUMBER : category[0] == 'B' ? FORM_BOOL : FORM_STRING;
}

enum lki_form
lki_table_form(struct lki_transfer *t, Oid type, bool *out_array)
{
    static const char sql[] =
        "SELECT t.typcategory, t.typname, e.typcategory, e.typname FROM pg_type t "
        "LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = $1::oid";
    char text[16];
    const char *values[] = {text};
    enum lki_form form = FORM_STRING;
    snprintf(text, sizeof(text), "%u", type);
    PGresult *result = PQexecParams(t->shell.conn, sql, 1, NULL, values, NULL, NULL, 0);
    *out_array = false;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
        *out_array = PQgetvalue(result, 0, 0)[0] == 'A' && !PQgetisnull(result, 0, 2);
        int at = *out_array ? 2 : 0;
        form = form_of(PQgetvalue(result, 0, at), PQgetvalue(result, 0, at + 1));
    }
    PQclear(result);
    return form;
}
