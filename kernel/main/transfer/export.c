/* main/transfer/export.c - `lumadb export`: COPY (query) TO STDOUT, as it comes for CSV and made
 * into a JSON object a line for NDJSON. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/transfer/transfer.h"

struct shape {
    struct lki_text name; /* "name": */
    enum lki_form form;
    bool array;
};

struct export
{
    struct lki_transfer *t;
    struct lki_stream *stream;
    struct lki_text query;
    struct shape *shapes;
    size_t shapes_count;
    struct lki_text line, field;
    uint64_t rows, bytes, all;
    struct lki_meter meter;
};

/* --query, or SELECT of --columns or all from --table. */
static void
make_query(struct export *e)
{
    struct lki_columns columns = {0};
    struct lki_text name = {0};
    const struct lki_transfer *t = e->t;
    if (t->query != NULL) {
        size_t n = strlen(t->query);
        while (n > 0 && strchr(" \t\r\n;", t->query[n - 1]) != NULL)
            n--;
        lki_text_add(&e->query, t->query, n);
        lki_text_say(&e->query, "\n"); /* a comment at the end stays one */
        return;
    }
    if (t->document != NULL)
        (void)lki_columns_add(&columns, t->document, strlen(t->document));
    else if (t->columns != NULL)
        lki_columns_parse(&columns, t->columns);
    lki_text_say(&e->query, columns.count == 0 ? "SELECT *" : "SELECT ");
    for (size_t i = 0; i < columns.count; i++) {
        lki_text_say(&e->query, i == 0 ? "" : ", ");
        lki_text_name(&e->query, columns.at[i].name, strlen(columns.at[i].name));
    }
    lki_table_name(t->table, &name);
    lki_text_say(&e->query, " FROM ");
    lki_text_say(&e->query, name.bytes);
    lki_text_fini(&name);
    lki_columns_fini(&columns);
}

/* Names and types of what the query gives. */
static bool
describe(struct export *e)
{
    PGconn *conn = e->t->shell.conn;
    PGresult *result = PQprepare(conn, "lumadb_export", e->query.bytes, 0, NULL);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PQclear(result);
        result = PQdescribePrepared(conn, "lumadb_export");
    }
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    int count = ok ? PQnfields(result) : 0;
    e->shapes = lki_grow(NULL, ((size_t)count + 1) * sizeof(*e->shapes));
    for (; e->shapes_count < (size_t)count; e->shapes_count++) {
        struct shape *shape = &e->shapes[e->shapes_count];
        const char *name = PQfname(result, (int)e->shapes_count);
        memset(shape, 0, sizeof(*shape));
        lki_json_quote(name, strlen(name), &shape->name);
        lki_text_say(&shape->name, ": ");
        shape->form = lki_table_form(e->t, PQftype(result, (int)e->shapes_count), &shape->array);
    }
    if (!ok)
        lki_transfer_fail(e->t, NULL, PQresultErrorMessage(result));
    else if (count == 0)
        ok = lki_transfer_fail(e->t, NULL, "the query gives no columns");
    else if (e->t->document != NULL && count != 1)
        ok = lki_transfer_fail(e->t, NULL, "--document wants a query with one column");
    PQclear(result);
    return ok;
}

static void
put_field(struct export *e, const struct shape *shape, bool null)
{
    if (null)
        lki_text_say(&e->line, "null");
    else if (!shape->array)
        lki_form_to_json(e->field.bytes, e->field.used, shape->form, &e->line);
    else {
        size_t before = e->line.used;
        if (!lki_array_to_json(e->field.bytes, e->field.used, shape->form, &e->line)) {
            e->line.used = before;
            lki_json_quote(e->field.bytes, e->field.used, &e->line);
        }
    }
}

/* A line of COPY as a line of JSON. */
static void
make_line(struct export *e, const char *data, size_t bytes)
{
    bool whole = e->t->document != NULL, null;
    size_t at = 0;
    bytes = lki_record_trim(data, bytes);
    e->line.used = 0;
    for (size_t i = 0; i < e->shapes_count && lki_copy_field(data, bytes, &at, &e->field, &null);
         i++) {
        if (!whole) {
            lki_text_say(&e->line, i == 0 ? "{" : ", ");
            lki_text_add(&e->line, e->shapes[i].name.bytes, e->shapes[i].name.used);
        }
        put_field(e, &e->shapes[i], null);
    }
    lki_text_say(&e->line, whole ? "\n" : "}\n");
}

static bool
begin_copy(struct export *e)
{
    struct lki_text sql = {0};
    char delimiter[2] = {e->t->delimiter, 0};
    lki_text_say(&sql, "COPY (");
    lki_text_say(&sql, e->query.bytes);
    lki_text_say(&sql, ") TO STDOUT");
    if (e->t->csv) {
        lki_text_say(&sql, " WITH (FORMAT csv, DELIMITER ");
        lki_text_literal(&sql, delimiter);
        lki_text_say(&sql, ", NULL ");
        lki_text_literal(&sql, e->t->null_text);
        lki_text_say(&sql, e->t->header ? ", HEADER)" : ")");
    }
    PGresult *result = PQexec(e->t->shell.conn, sql.bytes);
    bool ok = PQresultStatus(result) == PGRES_COPY_OUT;
    if (!ok)
        lki_transfer_fail(e->t, NULL, PQresultErrorMessage(result));
    PQclear(result);
    lki_text_fini(&sql);
    return ok;
}

static bool
take_row(struct export *e, const char *data, size_t bytes)
{
    const char *out = data;
    size_t n = bytes;
    if (!e->t->csv) {
        make_line(e, data, bytes);
        out = e->line.bytes;
        n = e->line.used;
    }
    e->rows++;
    e->bytes += n;
    lki_meter_say(&e->meter, e->rows, e->bytes, e->rows, e->all);
    return lki_stream_write(e->stream, out, n);
}

static bool
say_write(struct export *e)
{
    lki_meter_clear(&e->meter);
    return lki_transfer_fail(e->t, e->t->file == NULL ? "standard output" : e->t->file,
                             lki_stream_error(e->stream));
}

/* All rows; an error of the disk ends it without waiting for the rest. */
static bool
copy_rows(struct export *e)
{
    PGconn *conn = e->t->shell.conn;
    bool ok = true;
    char *data;
    int n;
    while (ok && (n = PQgetCopyData(conn, &data, 0)) > 0) {
        ok = take_row(e, data, (size_t)n);
        PQfreemem(data);
    }
    if (!ok)
        return say_write(e);
    PGresult *result;
    while ((result = PQgetResult(conn)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && ok) {
            lki_meter_clear(&e->meter);
            ok = lki_transfer_fail(e->t, NULL, PQresultErrorMessage(result));
        }
        PQclear(result);
    }
    e->rows -= ok && e->t->csv && e->t->header && e->rows > 0;
    return ok && (lki_stream_finish(e->stream) || say_write(e));
}

/* How many rows there will be: asked only when somebody looks on. */
static void
count_rows(struct export *e)
{
    struct lki_text sql = {0};
    if (!e->meter.shown || e->t->table == NULL)
        return;
    lki_text_say(&sql, "SELECT count(*) FROM (");
    lki_text_say(&sql, e->query.bytes);
    lki_text_say(&sql, ") counted");
    PGresult *result = PQexec(e->t->shell.conn, sql.bytes);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        e->all = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    lki_text_fini(&sql);
}

static void
say_result(struct export *e)
{
    lki_meter_clear(&e->meter);
    if (!e->t->quiet) {
        double s = lki_meter_seconds(&e->meter);
        fprintf(stderr, "%llu rows in %.1f s, %.0f rows/s\n", (unsigned long long)e->rows, s,
                (double)e->rows / s);
    }
}

int
lki_export(struct lki_transfer *t)
{
    struct export e = {.t = t};
    lki_meter_begin(&e.meter, "export", t->quiet);
    make_query(&e);
    bool ok = t->csv || describe(&e);
    if (ok) {
        count_rows(&e);
        e.stream = lki_stream_write_open(t->file);
        ok = e.stream != NULL || lki_transfer_fail(t, t->file, strerror(errno));
    }
    ok = ok && begin_copy(&e) && copy_rows(&e);
    if (ok)
        say_result(&e);
    for (size_t i = 0; i < e.shapes_count; i++)
        lki_text_fini(&e.shapes[i].name);
    free(e.shapes);
    lki_text_fini(&e.query);
    lki_text_fini(&e.line);
    lki_text_fini(&e.field);
    lki_stream_close(e.stream);
    return ok ? SHELL_OK : SHELL_FAILED;
}
