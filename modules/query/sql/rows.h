/*
 * rows.h - how the catalogue's views make their rows.
 */
#ifndef LUMADB_QUERY_SQL_ROWS_H
#define LUMADB_QUERY_SQL_ROWS_H

#include "sql.h"

#define SQL_VIRTUALS_MAX 160u

/* OIDs of what has no id in the catalogue. */
#define SQL_OID_AM_HEAP           2u
#define SQL_OID_AM_BTREE          403u
#define SQL_OID_AM_HASH           405u
#define SQL_OID_OPERATORS         50000u  /* + position in the list of functions */
#define SQL_OID_CASTS             10000u  /* below 16384: pg_dump takes those above for a user's */
#define SQL_OID_DEFAULTS          100000u /* + a hash of table and column */
#define SQL_OID_COLLATION_DEFAULT 100u
#define SQL_OID_COLLATION_C       950u

struct sql_rows {
    struct luma_ctx *ctx;
    struct luma_txn *txn;
    const struct luma_cat_view *view;
    struct luma_session *session;
    struct luma_arena *arena;
    const struct sql_virtual *virt;
    luma_rc rc;
    struct sql_rows_chunk *first, *last;
    const void *arg; /* of a visit in progress */
};

/*
 * Adds a row; one letter of `kinds` per column, each followed by its argument:
 *   o uint32_t oid   b bool   s, i int   l int64_t   f double   t text or NULL   c char (0: null)
 *   n nothing: null  S (const int16_t *, count) int2[]   O (const uint32_t *, count) oid[]
 *   T (const char *const *, count) text[], NULL: null   z int64_t timestamptz, INT64_MIN: null
 */
void sql_rows_add(struct sql_rows *rows, const char *kinds, ...);
char *sql_rows_format(struct sql_rows *rows, const char *fmt, ...) LUMA_PRINTF(2, 3);
const struct luma_cat_object *sql_rows_object(const struct sql_rows *rows, uint64_t id);
const char *sql_rows_name(const struct sql_rows *rows, uint64_t id);
void sql_rows_each(struct sql_rows *rows, enum luma_cat_kind kind,
                   bool (*fn)(void *arg, const struct luma_cat_object *object));
/* aclitem[] texts of an object (column col_id, or 0); *out_count 0 with NULL: none given. */
const char *const *sql_rows_acl(struct sql_rows *rows, const struct luma_cat_object *object,
                                uint32_t col_id, uint32_t *out_count);
uint32_t sql_default_oid(uint64_t table_id, uint32_t col_id);
uint32_t sql_kind_am(const char *kind);

struct sql_virtual_list {
    struct sql_virtual *tables;
    size_t count;
};
extern struct sql_virtual_list sql_pg_relations, sql_pg_types, sql_pg_functions, sql_pg_views,
    sql_pg_empty, sql_information_schema, sql_lumadb_store;

/* lumadb_statements: statistics.c. */
void sql_fill_statements(struct sql_rows *rows);

#endif
