/*
 * copy.h - what the files of COPY share.
 */
#ifndef LUMADB_QUERY_SQL_COPY_H
#define LUMADB_QUERY_SQL_COPY_H

#include "sql.h"

enum sql_copy_format { SQL_COPY_TEXT = 0, SQL_COPY_CSV, SQL_COPY_BINARY };

struct sql_copy_opts {
    enum sql_copy_format format;
    char delimiter, quote, escape;
    const char *null;
    size_t null_bytes;
    bool header;
    bool *force_quote, *force_not_null, *force_null; /* per copied column; NULL: none */
};

struct sql_copy {
    struct sql_utility *u;
    const PgQuery__CopyStmt *stmt;
    struct sql_copy_opts opts;
    const struct luma_cat_object *table; /* NULL: a query */
    uint32_t cols_count;
    uint32_t *cols;   /* positions in the table, in the order of the data */
    const char *name; /* for messages */
};

/* One piece of input that ends at a record's end. */
struct sql_copy_chunk {
    struct sql_copy_chunk *next;
    char *data;
    size_t bytes, room;
    uint64_t line; /* number of its first record's line, from 1 */
};

/* Reads records of a chunk: up to `rows` of them into fields[col * LUMA_BATCH_ROWS + row] (data
 * NULL: null). Fields point into the chunk, which is changed where escapes are undone.
 * *out_bad_line: line of an error. */
struct sql_copy_parser {
    const struct sql_copy *copy;
    struct sql_copy_chunk *chunk;
    size_t at;
    uint64_t line;
    bool ended; /* the end marker was seen */
    struct luma_slice *fields;
    uint64_t lines[LUMA_BATCH_ROWS];
};

luma_rc sql_copy_options(struct sql_bind *b, struct sql_copy *copy);
luma_rc sql_copy_from(struct sql_copy *copy);
luma_rc sql_copy_from_binary(struct sql_copy *copy);
luma_rc sql_copy_to(struct sql_copy *copy);
/* The bytes of a chunk are text in UTF-8, and none is zero. */
luma_rc sql_copy_check(struct luma_ctx *ctx, const struct sql_copy *copy,
                       const struct sql_copy_chunk *chunk);
luma_rc sql_copy_records(struct luma_ctx *ctx, struct sql_copy_parser *p, uint32_t *out_rows);
/* How many bytes of data end with a whole record; 0: none does. *inout_quoted carries over. */
size_t sql_copy_cut(const struct sql_copy_opts *opts, const char *data, size_t bytes);
luma_rc sql_copy_where(struct luma_ctx *ctx, const struct sql_copy *copy, uint64_t line,
                       const char *column, luma_rc rc);
/* First of a, b, c or d. */
size_t sql_copy_find(const char *text, size_t bytes, char a, char b, char c, char d);

#endif
