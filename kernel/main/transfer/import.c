/*
 * main/transfer/import.c - `lumadb import`: one transaction. What is read ahead decides types and
 * columns and then goes the way of all records.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/transfer/transfer.h"

#define SAMPLE_BYTES     ((size_t)8 << 20)
#define READ_BYTES       ((size_t)1 << 18)
#define RECORD_BYTES_MAX ((size_t)256 << 20)

/* Records as they come from the stream. */
struct reader {
    struct lki_stream *stream;
    bool csv, ended;
    struct lki_text text; /* read ahead */
    size_t at;            /* the next record in text */
    size_t scanned;       /* of it, when its end was not there yet */
    bool quoted;
    uint64_t line;  /* of the next record, from 1 */
    uint64_t bytes; /* read so far */
};

struct import {
    struct lki_transfer *t;
    const char *name;
    struct reader reader;
    struct lki_columns known;  /* of the table */
    struct lki_columns fields; /* of the data, with guesses */
    struct lki_columns chosen; /* --columns */
    struct lki_batch batch;
    struct lki_meter meter;
};

static bool
say_at(struct import *m, uint64_t line, const char *why)
{
    lki_meter_clear(&m->meter);
    fprintf(stderr, "%s:%llu: %s\n", m->name, (unsigned long long)line, why);
    return false;
}

/* --- reading --- */

/* false: the stream failed, or the import was interrupted; the reason was said. */
static bool
read_more(struct import *m)
{
    struct reader *r = &m->reader;
    if (r->at > 0 && r->at >= r->text.used / 2) {
        memmove(r->text.bytes, r->text.bytes + r->at, r->text.used - r->at);
        r->text.used -= r->at;
        r->at = 0;
    }
    if (lki_shell_stopped())
        return lki_transfer_fail(m->t, NULL, "cancelled");
    char *room = lki_text_room(&r->text, READ_BYTES);
    ssize_t n = lki_stream_read(r->stream, room, READ_BYTES);
    if (n < 0) {
        lki_meter_clear(&m->meter);
        return lki_transfer_fail(m->t, m->name, lki_stream_error(r->stream));
    }
    r->ended = n == 0;
    r->text.used += (size_t)n;
    r->bytes += (uint64_t)n;
    return true;
}

/* The record at *at of what is read, *out_bytes long, 0: there is none left. It stays where it is.
 */
static bool
find_record(struct import *m, size_t *at, size_t *out_bytes, uint64_t line)
{
    struct reader *r = &m->reader;
    r->scanned = 0;
    r->quoted = false;
    for (;;) {
        size_t left = r->text.used - *at;
        size_t n = left == 0
                       ? 0
                       : lki_record_end(r->text.bytes + *at, left, r->csv, &r->scanned, &r->quoted);
        *out_bytes = n;
        if (n > 0)
            return true;
        if (r->ended && r->quoted)
            return say_at(m, line, "a field between double quotes has no end");
        *out_bytes = left;
        if (r->ended)
            return true;
        if (left > RECORD_BYTES_MAX)
            return say_at(m, line, "a record of more than 256 MiB");
        size_t behind = *at - r->at; /* what is before moves with it */
        if (!read_more(m))
            return false;
        *at = r->at + behind;
    }
}

static bool
is_blank(const char *record, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (record[i] != ' ' && record[i] != '\t' && record[i] != '\r' && record[i] != '\n')
            return false;
    return true;
}

static void
skip_mark(struct reader *r)
{
    if (r->text.used >= 3 && memcmp(r->text.bytes, "\xef\xbb\xbf", 3) == 0)
        r->at = 3;
}

/* --- what the data has --- */

static bool
take_header(struct import *m)
{
    struct reader *r = &m->reader;
    struct lki_text name = {0};
    struct lki_field field;
    size_t bytes, at = 0;
    if (!find_record(m, &r->at, &bytes, r->line))
        return false;
    const char *record = r->text.bytes + r->at;
    size_t trimmed = lki_record_trim(record, bytes);
    while (bytes > 0 && lki_csv_field(record, trimmed, m->t->delimiter, &at, &field)) {
        lki_csv_value(record, &field, &name);
        if (name.used == 0)
            return say_at(m, r->line, "a column without a name in the header");
        if (lki_columns_find(&m->fields, name.bytes, name.used) < m->fields.count)
            return say_at(m, r->line, "two columns with one name in the header");
        (void)lki_columns_add(&m->fields, name.bytes, name.used);
    }
    r->line += lki_record_lines(record, bytes);
    r->at += bytes;
    lki_text_fini(&name);
    return m->fields.count > 0 || say_at(m, 1, "there is no header");
}

static void
sample_csv(struct import *m, const char *record, size_t bytes)
{
    struct lki_text value = {0};
    struct lki_field field;
    size_t at = 0, i = 0, null_bytes = strlen(m->t->null_text);
    char name[32];
    for (; lki_csv_field(record, bytes, m->t->delimiter, &at, &field); i++) {
        if (i == m->fields.count && m->t->header)
            break; /* the server says that it is too long */
        if (i == m->fields.count) {
            int n = snprintf(name, sizeof(name), "column%zu", i + 1);
            (void)lki_columns_add(&m->fields, name, (size_t)n);
        }
        bool null = !field.quoted && field.bytes == null_bytes &&
                    memcmp(record + field.at, m->t->null_text, null_bytes) == 0;
        lki_csv_value(record, &field, &value);
        if (!null)
            lki_guess_text(&m->fields.at[i].guess, value.bytes, value.used);
    }
    lki_text_fini(&value);
}

static void
sample_json(struct import *m, const char *record, size_t bytes)
{
    struct lki_text name = {0};
    struct lki_member member;
    size_t at = 0;
    while (lki_json_member(record, bytes, &at, &member) == 1) {
        if (!lki_json_unescape(record + member.name_at, member.name_bytes, &name))
            continue; /* the record is refused when its turn comes */
        size_t i = lki_columns_find(&m->fields, name.bytes, name.used);
        if (i == m->fields.count)
            (void)lki_columns_add(&m->fields, name.bytes, name.used);
        lki_guess_json(&m->fields.at[i].guess, member.kind, record + member.value_at,
                       member.value_bytes);
    }
    lki_text_fini(&name);
}

/* Looks at records ahead without taking them. */
static bool
take_sample(struct import *m)
{
    struct reader *r = &m->reader;
    size_t at = r->at, bytes;
    for (;;) {
        if (at - r->at >= SAMPLE_BYTES)
            return true;
        if (!find_record(m, &at, &bytes, r->line))
            return false;
        if (bytes == 0)
            return true;
        const char *record = r->text.bytes + at;
        size_t trimmed = lki_record_trim(record, bytes);
        if (!is_blank(record, bytes) && m->t->csv)
            sample_csv(m, record, trimmed);
        else if (!is_blank(record, bytes) && m->t->document == NULL)
            sample_json(m, record, trimmed);
        at += bytes;
    }
}

/* --- the table --- */

static bool
create_table(struct import *m)
{
    struct lki_text sql = {0}, name = {0};
    const struct lki_columns *fields = &m->fields;
    if (fields->count == 0)
        return lki_transfer_fail(m->t, m->name, "there is nothing to make a table from");
    lki_table_name(m->t->table, &name);
    lki_text_say(&sql, "CREATE TABLE ");
    lki_text_say(&sql, name.bytes);
    for (size_t i = 0; i < fields->count; i++) {
        lki_text_say(&sql, i == 0 ? " (" : ", ");
        lki_text_name(&sql, fields->at[i].name, strlen(fields->at[i].name));
        lki_text_say(&sql, " ");
        lki_text_say(&sql, m->t->document != NULL ? "jsonb" : lki_guess_type(&fields->at[i].guess));
    }
    lki_text_say(&sql, ")");
    bool ok = lki_transfer_run(m->t, sql.bytes);
    lki_text_fini(&sql);
    lki_text_fini(&name);
    return ok;
}

/* --columns and --document name the fields of the data. */
static bool
name_fields(struct import *m)
{
    const struct lki_transfer *t = m->t;
    if (t->document != NULL) {
        (void)lki_columns_add(&m->fields, t->document, strlen(t->document));
        return true;
    }
    if (t->columns == NULL)
        return true;
    if (t->csv && t->header && m->chosen.count != m->fields.count)
        return say_at(m, 1, "the header has another number of columns than --columns");
    for (size_t i = 0; i < m->chosen.count; i++) {
        const char *name = m->chosen.at[i].name;
        if (i < m->fields.count && t->csv) {
            free(m->fields.at[i].name);
            m->fields.at[i].name = strdup(name);
        } else if (lki_columns_find(&m->fields, name, strlen(name)) == m->fields.count) {
            (void)lki_columns_add(&m->fields, name, strlen(name));
        }
    }
    return true;
}

static bool
add_order(struct import *m, const char *name)
{
    struct lki_batch *b = &m->batch;
    size_t i = lki_columns_find(&m->known, name, strlen(name));
    char why[200];
    snprintf(why, sizeof(why), "the table has no column \"%.100s\"", name);
    if (i == m->known.count)
        return lki_transfer_fail(m->t, m->name, why);
    b->order = lki_grow(b->order, (b->order_count + 1) * sizeof(*b->order));
    b->order[b->order_count++] = i;
    return true;
}

/* Fields of the data that go into columns. Without a header the columns of the table in order; of
 * NDJSON every column that can be given, so that a field may turn up late; but a column with a
 * default gets it unless the fields read ahead name it. */
static bool
choose_columns(struct import *m)
{
    const struct lki_transfer *t = m->t;
    const struct lki_columns *from = t->columns != NULL ? &m->chosen : &m->fields;
    if (t->csv && !t->header && t->columns == NULL) {
        for (size_t i = 0; i < m->known.count; i++)
            if (!m->known.at[i].generated && !add_order(m, m->known.at[i].name))
                return false;
        return true;
    }
    for (size_t i = 0; i < from->count; i++) {
        size_t at = lki_columns_find(&m->known, from->at[i].name, strlen(from->at[i].name));
        if (at == m->known.count && !t->csv && t->columns == NULL && t->document == NULL)
            continue; /* said of the record that has it */
        if (!add_order(m, from->at[i].name))
            return false;
    }
    return m->batch.order_count > 0 ||
           lki_transfer_fail(m->t, m->name, "no field of the data is a column of the table");
}

/* The table's one json column, if documents can only mean that one. */
static void
find_document(struct import *m)
{
    if (m->t->csv || m->t->document != NULL || m->t->columns != NULL || m->known.count != 1 ||
        !m->known.at[0].json ||
        lki_columns_find(&m->fields, m->known.at[0].name, strlen(m->known.at[0].name)) <
            m->fields.count)
        return;
    m->t->document = m->known.at[0].name;
    lki_columns_fini(&m->fields);
    (void)lki_columns_add(&m->fields, m->t->document, strlen(m->t->document));
}

static bool
make_ready(struct import *m)
{
    struct lki_transfer *t = m->t;
    if (t->columns != NULL)
        lki_columns_parse(&m->chosen, t->columns);
    if (!read_more(m))
        return false;
    skip_mark(&m->reader);
    if (t->csv && t->header && !take_header(m))
        return false;
    if (((t->create || !t->csv) && !take_sample(m)) || !name_fields(m))
        return false;
    if (t->create && !create_table(m))
        return false;
    if (!lki_table_columns(t, &m->known))
        return false;
    find_document(m);
    if (!choose_columns(m))
        return false;
    m->batch.t = t;
    m->batch.name = m->name;
    m->batch.known = &m->known;
    m->batch.meter = &m->meter;
    m->batch.lenient = t->columns != NULL;
    lki_batch_prepare(&m->batch);
    return true;
}

/* --- all records --- */

/* A field that was not among those read ahead and is a column: from here on it is given too. */
static bool
widen(struct import *m, const char *record, size_t bytes)
{
    struct lki_batch *b = &m->batch;
    struct lki_member member;
    size_t at = 0, before = b->order_count;
    while (lki_json_member(record, bytes, &at, &member) == 1) {
        if (!lki_json_unescape(record + member.name_at, member.name_bytes, &b->scratch))
            return true;
        size_t i = lki_columns_find(&m->known, b->scratch.bytes, b->scratch.used);
        if (i == m->known.count || b->places[i] != SIZE_MAX || m->known.at[i].generated)
            continue;
        if (b->order_count == before && !lki_batch_flush(b))
            return false;
        if (!add_order(m, m->known.at[i].name))
            return false;
        lki_batch_prepare(b);
    }
    return true;
}

static void
say_progress(struct import *m)
{
    uint64_t done, all;
    lki_stream_place(m->reader.stream, &done, &all);
    lki_meter_say(&m->meter, m->batch.loaded + m->batch.rows_count, m->reader.bytes, done, all);
}

static bool
load(struct import *m)
{
    struct reader *r = &m->reader;
    bool spread = !m->t->csv && m->t->document == NULL && m->t->columns == NULL;
    size_t bytes;
    for (;;) {
        if (!find_record(m, &r->at, &bytes, r->line))
            return false;
        if (bytes == 0)
            return lki_batch_flush(&m->batch);
        const char *record = r->text.bytes + r->at;
        /* An empty line of CSV is a row for a table of one column only. */
        bool blank = m->t->csv ? lki_record_trim(record, bytes) == 0 && m->batch.order_count > 1
                               : is_blank(record, bytes);
        if (!blank && ((spread && !widen(m, record, lki_record_trim(record, bytes))) ||
                       !lki_batch_add(&m->batch, record, bytes, r->line)))
            return false;
        r->line += lki_record_lines(record, bytes);
        r->at += bytes;
        say_progress(m);
        if (lki_shell_stopped()) {
            if (m->batch.copying)
                (void)PQputCopyEnd(m->t->shell.conn, "cancelled");
            return lki_transfer_fail(m->t, NULL, "cancelled");
        }
    }
}

static bool
open_files(struct import *m)
{
    m->reader.stream = lki_stream_read_open(m->t->file);
    if (m->reader.stream == NULL)
        return lki_transfer_fail(m->t, m->name, strerror(errno));
    if (m->t->rejected != NULL) {
        m->batch.rejected = fopen(m->t->rejected, "we"); /* os-door: the person's own file */
        if (m->batch.rejected == NULL)
            return lki_transfer_fail(m->t, m->t->rejected, strerror(errno));
    }
    return true;
}

static void
say_result(struct import *m)
{
    lki_meter_clear(&m->meter);
    if (m->t->quiet)
        return;
    double s = lki_meter_seconds(&m->meter);
    fprintf(stderr, "%llu rows in %.1f s, %.0f rows/s", (unsigned long long)m->batch.loaded, s,
            (double)m->batch.loaded / s);
    if (m->batch.refused > 0)
        fprintf(stderr, "; %llu skipped", (unsigned long long)m->batch.refused);
    fputc('\n', stderr);
}

int
lki_import(struct lki_transfer *t)
{
    struct import m = {.t = t, .name = t->file == NULL ? "standard input" : t->file};
    m.reader.csv = t->csv;
    m.reader.line = 1;
    lki_meter_begin(&m.meter, "import", t->quiet);
    bool ok = open_files(&m) && lki_transfer_run(t, "BEGIN") && make_ready(&m) && load(&m);
    if (ok && m.batch.rejected != NULL && fflush(m.batch.rejected) != 0)
        ok = lki_transfer_fail(t, t->rejected, strerror(errno));
    ok = ok && lki_transfer_run(t, "COMMIT");
    if (ok)
        say_result(&m);
    lki_meter_clear(&m.meter);
    if (m.batch.rejected != NULL)
        fclose(m.batch.rejected);
    int status = !ok ? SHELL_FAILED : m.batch.refused > 0 ? TRANSFER_SKIPPED : SHELL_OK;
    lki_batch_fini(&m.batch);
    lki_columns_fini(&m.known);
    lki_columns_fini(&m.fields);
    lki_columns_fini(&m.chosen);
    lki_text_fini(&m.reader.text);
    lki_stream_close(m.reader.stream);
    return status;
}
