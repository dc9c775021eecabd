/*
 * main/transfer/batch.c - records on their way into a table, a batch at a time: one COPY behind a
 * savepoint. A batch that the server refuses is sent again in halves until the records at fault
 * stand alone, so that each is named with its line.
 */
#include <stdlib.h>

#include "main/transfer/transfer.h"

#define BATCH_BYTES ((size_t)16 << 20)
#define BATCH_ROWS  200000
#define WIRE_BYTES  ((size_t)1 << 16)
#define SHOWN_BYTES 200

void
lki_batch_prepare(struct lki_batch *b)
{
    const struct lki_transfer *t = b->t;
    struct lki_text name = {0};
    lki_table_name(t->table, &name);
    b->copy.used = 0;
    lki_text_say(&b->copy, "COPY ");
    lki_text_say(&b->copy, name.bytes);
    for (size_t i = 0; i < b->order_count; i++) {
        const char *column = b->known->at[b->order[i]].name;
        lki_text_say(&b->copy, i == 0 ? " (" : ", ");
        lki_text_name(&b->copy, column, strlen(column));
    }
    lki_text_say(&b->copy, ") FROM STDIN");
    if (t->csv) {
        char delimiter[2] = {t->delimiter, 0};
        lki_text_say(&b->copy, " WITH (FORMAT csv, DELIMITER ");
        lki_text_literal(&b->copy, delimiter);
        lki_text_say(&b->copy, ", NULL ");
        lki_text_literal(&b->copy, t->null_text);
        lki_text_say(&b->copy, ")");
    }
    lki_text_fini(&name);
    b->places = lki_grow(b->places, (b->known->count + 1) * sizeof(*b->places));
    for (size_t i = 0; i <= b->known->count; i++)
        b->places[i] = SIZE_MAX;
    for (size_t i = 0; i < b->order_count; i++)
        b->places[b->order[i]] = i;
    b->members = lki_grow(b->members, (b->order_count + 1) * sizeof(*b->members));
}

/* --- one record in the form COPY wants; NULL: it is in the wire, otherwise what is wrong --- */

static const char *
put_csv(struct lki_batch *b, const char *record, size_t bytes)
{
    if (bytes == 2 && memcmp(record, "\\.", 2) == 0) /* alone it would end the data */
        lki_text_add(&b->wire, "\"\\.\"", 4);
    else
        lki_text_add(&b->wire, record, bytes);
    lki_text_put(&b->wire, '\n');
    return NULL;
}

static const char *
put_value(struct lki_batch *b, const struct lki_column *column, const char *text, size_t bytes,
          enum lki_json kind)
{
    b->field.used = 0;
    if (kind == JSON_NULL || kind == JSON_BAD) {
        lki_text_add(&b->wire, "\\N", 2);
        return NULL;
    }
    if (column->array && kind == JSON_ARRAY) {
        if (!lki_array_from_json(text, bytes, &b->field))
            return "the array does not fit an array of SQL";
        text = b->field.bytes;
        bytes = b->field.used;
    } else if (!column->json && kind == JSON_STRING) {
        if (!lki_json_unescape(text, bytes, &b->field))
            return "a string holds \\u0000 or half a surrogate pair";
        text = b->field.bytes;
        bytes = b->field.used;
    }
    lki_copy_escape(text, bytes, &b->wire);
    return NULL;
}

/* The members of the record by column; NULL, or what is wrong. */
static const char *
find_members(struct lki_batch *b, const char *record, size_t bytes)
{
    static char why[160];
    struct lki_member member;
    size_t at = 0;
    int rc;
    for (size_t i = 0; i < b->order_count; i++)
        b->members[i] = (struct lki_member){.kind = JSON_BAD}; /* not in the record */
    while ((rc = lki_json_member(record, bytes, &at, &member)) == 1) {
        if (!lki_json_unescape(record + member.name_at, member.name_bytes, &b->scratch))
            return "the name of a field cannot be that of a column";
        size_t known = lki_columns_find(b->known, b->scratch.bytes, b->scratch.used);
        size_t place = b->places[known];
        if (place != SIZE_MAX) {
            b->members[place] = member;
        } else if (!b->lenient) {
            snprintf(why, sizeof(why), "%s \"%.64s\"",
                     known < b->known->count ? "a generated column cannot be given:"
                                             : "the table has no column",
                     b->scratch.bytes);
            return why;
        }
    }
    return rc == 0 ? NULL : "this is no JSON object";
}

static const char *
put_json(struct lki_batch *b, const char *record, size_t bytes)
{
    const char *why = find_members(b, record, bytes);
    for (size_t i = 0; why == NULL && i < b->order_count; i++) {
        const struct lki_member *m = &b->members[i];
        if (i > 0)
            lki_text_put(&b->wire, '\t');
        why =
            put_value(b, &b->known->at[b->order[i]], record + m->value_at, m->value_bytes, m->kind);
    }
    lki_text_put(&b->wire, '\n');
    return why;
}

static const char *
put_document(struct lki_batch *b, const char *record, size_t bytes)
{
    size_t at = 0, from;
    enum lki_json kind = lki_json_skip(record, bytes, &at, &from);
    size_t end = at;
    while (end < bytes && (record[end] == ' ' || record[end] == '\t'))
        end++;
    if (kind == JSON_BAD || end != bytes)
        return "this is no JSON";
    lki_copy_escape(record + from, at - from, &b->wire);
    lki_text_put(&b->wire, '\n');
    return NULL;
}

static const char *
put_record(struct lki_batch *b, const char *record, size_t bytes)
{
    size_t before = b->wire.used;
    const char *why = b->t->csv                ? put_csv(b, record, bytes)
                      : b->t->document != NULL ? put_document(b, record, bytes)
                                               : put_json(b, record, bytes);
    if (why != NULL)
        b->wire.used = before;
    return why;
}

/* --- what is refused --- */

/* Says which record is at fault and why; false: the import stops here. */
static bool
refuse(struct lki_batch *b, const struct lki_row *row, const char *why, const char *more)
{
    const char *text = b->raw.bytes + row->at;
    size_t n = lki_record_trim(text, row->bytes), shown = LK_MIN(n, (size_t)SHOWN_BYTES);
    lki_meter_clear(b->meter);
    b->refused++;
    fprintf(stderr, "%s:%llu: %s%s%s%s\n    ", b->name, (unsigned long long)row->line, why,
            more == NULL ? "" : " (", more == NULL ? "" : more, more == NULL ? "" : ")");
    for (size_t i = 0; i < shown; i++) /* nothing of a file moves the cursor */
        fputc((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i], stderr);
    fprintf(stderr, "%s\n", shown < n ? "..." : "");
    if (b->rejected != NULL)
        fwrite(text, 1, row->bytes, b->rejected);
    return b->t->skip;
}

/* Errors that a record can be blamed for: its data, a constraint, its form. */
static bool
is_of_data(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state != NULL && (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 ||
                             strcmp(state, "42804") == 0 || strcmp(state, "54000") == 0);
}

/* "COPY t, line 3, column a: ..." without what goes before the column, which counts lines of ours.
 */
static const char *
column_of(const PGresult *result, char *out, size_t room)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *column = context == NULL ? NULL : strstr(context, ", column ");
    if (column == NULL && detail == NULL)
        return NULL;
    if (column == NULL) {
        snprintf(out, room, "%s", detail);
        return out;
    }
    column += 2;
    const char *colon = strchr(column, ':');
    snprintf(out, room, "%.*s", colon == NULL ? (int)strlen(column) : (int)(colon - column),
             column);
    return out;
}

/* --- sending --- */

static bool
say_connection(struct lki_batch *b)
{
    lki_meter_clear(b->meter);
    return lki_transfer_fail(b->t, NULL, PQerrorMessage(b->t->shell.conn));
}

static bool
begin_copy(struct lki_batch *b)
{
    if (!lki_transfer_run(b->t, "SAVEPOINT lumadb_import"))
        return false;
    PGresult *result = PQexec(b->t->shell.conn, b->copy.bytes);
    b->copying = PQresultStatus(result) == PGRES_COPY_IN;
    if (!b->copying) {
        lki_meter_clear(b->meter);
        lki_transfer_fail(b->t, NULL, PQresultErrorMessage(result));
    }
    PQclear(result);
    b->wire.used = 0;
    return b->copying;
}

static bool
send_wire(struct lki_batch *b, size_t beyond)
{
    bool ok = b->wire.used <= beyond ||
              PQputCopyData(b->t->shell.conn, b->wire.bytes, (int)b->wire.used) > 0;
    if (b->wire.used > beyond)
        b->wire.used = 0;
    return ok || say_connection(b);
}

enum ending { ENDED_WELL, ENDED_BY_DATA, ENDED_FOR_GOOD };

/* The answer to a COPY; what refuses data goes to why and more. */
static enum ending
end_copy(struct lki_batch *b, char *why, char *more, size_t room)
{
    enum ending ending = ENDED_WELL;
    PGresult *result;
    b->copying = false;
    if (!send_wire(b, 0) || PQputCopyEnd(b->t->shell.conn, NULL) <= 0)
        return ENDED_FOR_GOOD;
    while ((result = PQgetResult(b->t->shell.conn)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && ending == ENDED_WELL) {
            ending = is_of_data(result) ? ENDED_BY_DATA : ENDED_FOR_GOOD;
            const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
            snprintf(why, room, "%s", message == NULL ? PQresultErrorMessage(result) : message);
            if (column_of(result, more, room) == NULL)
                more[0] = 0;
            if (ending == ENDED_FOR_GOOD) {
                lki_meter_clear(b->meter);
                lki_transfer_fail(b->t, NULL, PQresultErrorMessage(result));
            }
        }
        PQclear(result);
    }
    if (ending != ENDED_WELL && PQstatus(b->t->shell.conn) != CONNECTION_OK)
        return ENDED_FOR_GOOD;
    return ending;
}

static bool
keep(struct lki_batch *b, size_t rows)
{
    b->loaded += rows;
    return lki_transfer_run(b->t, "RELEASE SAVEPOINT lumadb_import");
}

static bool
undo(struct lki_batch *b)
{
    return lki_transfer_run(b->t, "ROLLBACK TO SAVEPOINT lumadb_import") &&
           lki_transfer_run(b->t, "RELEASE SAVEPOINT lumadb_import");
}

/* Rows [from, to) in a COPY of their own. */
static enum ending
send_rows(struct lki_batch *b, size_t from, size_t to, char *why, char *more, size_t room)
{
    if (!begin_copy(b))
        return ENDED_FOR_GOOD;
    for (size_t i = from; i < to; i++) {
        /* Those that cannot be put were refused before. */
        (void)put_record(b, b->raw.bytes + b->rows[i].at,
                         lki_record_trim(b->raw.bytes + b->rows[i].at, b->rows[i].bytes));
        if (!send_wire(b, WIRE_BYTES))
            return ENDED_FOR_GOOD;
    }
    return end_copy(b, why, more, room);
}

/* Sends rows [from, to) that were refused together, in halves. Stops at the first one at fault
 * unless those are skipped. The depth is that of halving a batch. */
static bool
send_halves(struct lki_batch *b, size_t from, size_t to)
{
    char why[400], more[400];
    switch (send_rows(b, from, to, why, more, sizeof(why))) {
    case ENDED_WELL:
        return keep(b, to - from);
    case ENDED_BY_DATA:
        break;
    default:
        return false;
    }
    if (!undo(b))
        return false;
    if (to - from == 1)
        return refuse(b, &b->rows[from], why, more[0] == 0 ? NULL : more);
    size_t middle = from + (to - from) / 2;
    return send_halves(b, from, middle) && send_halves(b, middle, to);
}

bool
lki_batch_flush(struct lki_batch *b)
{
    char why[400], more[400];
    bool ok = true;
    if (b->copying) {
        switch (end_copy(b, why, more, sizeof(why))) {
        case ENDED_WELL:
            ok = keep(b, b->rows_count);
            break;
        case ENDED_BY_DATA:
            ok = undo(b) &&
                 (b->rows_count == 1 ? refuse(b, &b->rows[0], why, more[0] == 0 ? NULL : more)
                                     : send_halves(b, 0, b->rows_count / 2) &&
                                           send_halves(b, b->rows_count / 2, b->rows_count));
            break;
        default:
            ok = false;
        }
    }
    b->raw.used = b->rows_count = 0;
    return ok;
}

bool
lki_batch_add(struct lki_batch *b, const char *record, size_t bytes, uint64_t line)
{
    struct lki_row row = {b->raw.used, bytes, line};
    if (!b->copying && !begin_copy(b))
        return false;
    lki_text_add(&b->raw, record, bytes);
    const char *why = put_record(b, record, lki_record_trim(record, bytes));
    if (why != NULL) {
        bool on = refuse(b, &row, why, NULL);
        b->raw.used = row.at;
        if (!on && b->copying) {
            b->copying = false;
            (void)PQputCopyEnd(b->t->shell.conn, "the import stopped");
        }
        return on;
    }
    if (b->rows_count == b->rows_room) {
        b->rows_room = LK_MAX(b->rows_room * 2, (size_t)1024);
        b->rows = lki_grow(b->rows, b->rows_room * sizeof(*b->rows));
    }
    b->rows[b->rows_count++] = row;
    if (!send_wire(b, WIRE_BYTES))
        return false;
    return (b->raw.used < BATCH_BYTES && b->rows_count < BATCH_ROWS) || lki_batch_flush(b);
}

void
lki_batch_fini(struct lki_batch *b)
{
    lki_text_fini(&b->copy);
    lki_text_fini(&b->raw);
    lki_text_fini(&b->wire);
    lki_text_fini(&b->scratch);
    lki_text_fini(&b->field);
    free(b->rows);
    free(b->order);
    free(b->places);
    free(b->members);
}
