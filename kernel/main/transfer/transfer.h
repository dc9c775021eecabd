/* main/transfer/transfer.h - `lumadb import` and `lumadb export`: what their parts share. One
 * thread, one connection. */
#ifndef LK_MAIN_TRANSFER_TRANSFER_H
#define LK_MAIN_TRANSFER_TRANSFER_H

#include "main/shell/shell.h"
#include "main/transfer/record.h"

enum { TRANSFER_SKIPPED = 4 }; /* exit status: all is in but records that were refused */

struct lki_transfer {
    struct lki_shell shell; /* the connection, and Ctrl-C */
    bool import;
    const char *host, *port, *user, *database;
    bool never_ask, quiet;
    const char *file; /* NULL: standard input or output */
    bool csv;         /* otherwise NDJSON */
    const char *table, *query, *columns, *document, *null_text, *rejected;
    char delimiter;
    bool header, create, skip;
};

/* -1: go on; otherwise the exit status. */
int lki_transfer_parse(struct lki_transfer *t, int argc, char **argv);
int lki_import(struct lki_transfer *t);
int lki_export(struct lki_transfer *t);
/* `lumadb: what: why` on stderr; false. */
bool lki_transfer_fail(const struct lki_transfer *t, const char *what, const char *why);
/* Runs one statement without rows; false: the reason was said. */
bool lki_transfer_run(struct lki_transfer *t, const char *sql);

/* --- files (stream.c): plain, .gz, .zst --- */

struct lki_stream;
/* Compression of what is read is seen from its first bytes. NULL: errno says why. */
struct lki_stream *lki_stream_read_open(const char *file);
/* By the ending of the name. A file appears under its name when it is complete. */
struct lki_stream *lki_stream_write_open(const char *file);
/* 0: the end; -1: what lki_stream_error says. */
ssize_t lki_stream_read(struct lki_stream *stream, char *out, size_t room);
bool lki_stream_write(struct lki_stream *stream, const char *bytes, size_t count);
/* Ends what is written; false: it did not all get there. Frees nothing. */
bool lki_stream_finish(struct lki_stream *stream);
/* What is written and not finished is removed. */
void lki_stream_close(struct lki_stream *stream);
const char *lki_stream_error(const struct lki_stream *stream);
/* Bytes of the file itself so far, and its size; 0: not known. */
void lki_stream_place(const struct lki_stream *stream, uint64_t *out_done, uint64_t *out_all);

/* --- how far it is (meter.c), on a terminal only --- */

struct lki_meter {
    const char *what;
    bool shown, said;
    uint64_t begun_ns, said_ns;
};
void lki_meter_begin(struct lki_meter *meter, const char *what, bool quiet);
/* done of all (0: unknown) is what the time left is reckoned from: bytes of a file, or rows. */
void lki_meter_say(struct lki_meter *meter, uint64_t rows, uint64_t bytes, uint64_t done,
                   uint64_t all);
void lki_meter_clear(struct lki_meter *meter);
double lki_meter_seconds(const struct lki_meter *meter);

/* --- tables (table.c) --- */

struct lki_column {
    char *name;
    bool json, array, generated;
    struct lki_guess guess; /* of --create */
};
struct lki_columns {
    struct lki_column *at;
    size_t count;
};
struct lki_column *lki_columns_add(struct lki_columns *columns, const char *name, size_t bytes);
/* Its index; count: there is none. */
size_t lki_columns_find(const struct lki_columns *columns, const char *name, size_t bytes);
void lki_columns_fini(struct lki_columns *columns);
/* Names between commas; double quotes hold commas. */
void lki_columns_parse(struct lki_columns *columns, const char *text);
/* --table as SQL: each part quoted, in lower case unless it was quoted. */
void lki_table_name(const char *typed, struct lki_text *out);
/* The columns a table has; false: the reason was said. */
bool lki_table_columns(struct lki_transfer *t, struct lki_columns *out);
/* How the values of a type are written in JSON; *out_array: it is an array of those. */
enum lki_form lki_table_form(struct lki_transfer *t, Oid type, bool *out_array);

/* --- batches of records on their way (batch.c) --- */

struct lki_row {
    size_t at, bytes;
    uint64_t line;
};
struct lki_batch {
    struct lki_transfer *t;
    const char *name;          /* of the file, for messages */
    struct lki_columns *known; /* of the table */
    size_t *order;             /* of COPY's columns, in known */
    size_t order_count;
    size_t *places;       /* of known in order; SIZE_MAX: not there */
    bool lenient;         /* fields of NDJSON that no column has are passed over */
    struct lki_text copy; /* the statement */
    struct lki_text raw;  /* records as they came */
    struct lki_row *rows;
    size_t rows_count, rows_room;
    bool copying;
    struct lki_text wire; /* what is sent next */
    struct lki_text scratch, field;
    struct lki_member *members;
    uint64_t loaded, refused;
    FILE *rejected;
    struct lki_meter *meter;
};
/* Writes the COPY statement from order. */
void lki_batch_prepare(struct lki_batch *batch);
/* Takes one record; may send what is held. False: the import is over, and the reason was said. */
bool lki_batch_add(struct lki_batch *batch, const char *record, size_t bytes, uint64_t line);
/* Sends the rest. */
bool lki_batch_flush(struct lki_batch *batch);
void lki_batch_fini(struct lki_batch *batch);

#endif
