/*
 * ddl.h - what the statements that define objects share.
 */
#ifndef LUMADB_QUERY_SQL_DDL_H
#define LUMADB_QUERY_SQL_DDL_H

#include "sql.h"

#define SQL_NAME_BYTES_MAX 63u

/* A table being made or changed: arrays with room, ids given out when the draft is put. */
struct sql_draft {
    struct luma_cat_object object;
    struct luma_cat_column *cols;
    struct luma_cat_constraint
        *constraints;               /* new ones: id 0, index_id = position in indexes + 1 */
    struct luma_cat_index *indexes; /* new ones: id 0 */
    uint32_t cols_room, constraints_room, indexes_room;
    /* sequences that serial and identity columns bring: sequence i belongs to
     * cols[sequence_cols[i]] */
    struct luma_cat_object sequences[64];
    uint32_t sequence_cols[64];
    uint32_t sequences_count;
};

void sql_draft_begin(struct sql_bind *b, struct sql_draft *draft,
                     const struct luma_cat_object *table, uint32_t more_cols, uint32_t more_rest);
/* Gives ids and puts sequences and the table. */
luma_rc sql_draft_put(struct sql_utility *u, struct sql_draft *draft);

void sql_draft_column(struct sql_bind *b, struct sql_draft *draft, PgQuery__ColumnDef *def);
void sql_draft_constraint(struct sql_bind *b, struct sql_draft *draft, PgQuery__Constraint *con,
                          int32_t col);
void sql_draft_check_exprs(struct sql_bind *b, const struct sql_draft *draft);
const char *sql_default_text(struct sql_bind *b, PgQuery__Node *node, struct luma_type type,
                             const char *column);
void sql_sequence_options(struct sql_bind *b, PgQuery__Node *const *options, size_t count,
                          struct luma_cat_object *seq, bool is_new, const char **out_owned_by,
                          const char **out_owned_col, int64_t *out_restart, bool *out_has_restart);
void sql_sequence_defaults(struct luma_cat_object *seq, struct luma_type type);
/* `old` (NULL: none) with the options of WITH or SET; without those that RESET names. */
const char *sql_storage_options(struct sql_bind *b, const char *old, PgQuery__Node *const *options,
                                size_t count);
const char *sql_storage_options_reset(struct sql_bind *b, const char *old,
                                      PgQuery__Node *const *options, size_t count);
int32_t sql_draft_find(const struct sql_draft *draft, const char *name);

/* "base_label", shortened and numbered until no relation of the schema has it. */
const char *sql_free_name(struct sql_bind *b, uint64_t schema_id, const char *base,
                          const char *column, const char *label, const struct sql_draft *draft);
bool sql_owns(struct sql_bind *b, const struct luma_cat_object *object);
void sql_must_own(struct sql_bind *b, const struct luma_cat_object *object);
const char *sql_kind_name(const struct luma_cat_object *object);
/* Where a RangeVar's new relation goes; makes no schema. 0: the temporary one is not there yet. */
uint64_t sql_new_schema(struct sql_bind *b, const PgQuery__RangeVar *var);
luma_rc sql_temp_schema(struct sql_utility *u, uint64_t *out_id);
/* schema.name, quoted; NULL: no memory. */
const char *sql_qualified(struct sql_bind *b, const struct luma_cat_object *object);

/* ddl_type.c: an id for a type, whose successor is its array type's; where a new type goes. */
luma_rc sql_made_type_id(struct sql_utility *u, uint64_t *out_id);
void sql_made_type_place(struct sql_bind *b, PgQuery__Node *const *names, size_t count,
                         struct luma_cat_object *type);

luma_rc sql_rename_domain_constraint(struct sql_utility *u, const struct luma_cat_object *domain,
                                     const char *from, const char *to);

/* Does a stored view's tree name schema.name? */
bool sql_view_names(const PgQuery__Node *node, const char *schema, const char *name);

/* Runs SQL of our own under u->txn; *out_rows: rows returned or changed. */
luma_rc sql_internal(struct sql_utility *u, uint64_t *out_rows, const char *fmt, ...)
    LUMA_PRINTF(3, 4);
/* The same for one ALTER TABLE. */
luma_rc sql_internal_alter(struct sql_utility *u, const char *fmt, ...) LUMA_PRINTF(2, 3);
/* Shallow copy to be changed and put. */
struct luma_cat_object *sql_object_copy(struct luma_ctx *ctx, const struct luma_cat_object *object);
/* Throws unless it is the one there is, or none is named. */
void sql_tablespace(struct sql_bind *b, const char *name);
luma_rc sql_drop_absent(struct sql_utility *u);
/* Do all rows have a partner? 23503 with PostgreSQL's words when not. */
luma_rc sql_foreign_validate(struct sql_utility *u, uint64_t table_id, uint64_t constraint_id);
luma_rc sql_role_find(struct luma_ctx *ctx, struct luma_session *session,
                      const struct luma_cat_view *view, const PgQuery__RoleSpec *spec,
                      uint64_t *out_id);

#endif
