/*
 * foreign.h - foreign keys: what changed rows mean for the constraints around their table.
 *
 * Binding a change lists the constraints it may touch (rules, in the plan). While the change runs
 * the engine tells of the rows, and their keys are kept per constraint (struct sql_keys). When the
 * statement, or for deferred constraints the transaction, is at its end, one statement of SQL per
 * constraint checks all keys at once or carries out the action; it reads the keys as a relation of
 * its own.
 */
#ifndef LUMADB_QUERY_SQL_FOREIGN_H
#define LUMADB_QUERY_SQL_FOREIGN_H

#include "sql.h"

#define SQL_FOREIGN_COLS_MAX 32u

enum sql_foreign_event {
    SQL_FOREIGN_CHILD = 'i', /* rows came in or changed their reference: there must be a partner */
    SQL_FOREIGN_GONE = 'd',  /* rows that may be referred to were deleted */
    SQL_FOREIGN_MOVED = 'u'  /* rows that may be referred to changed their key */
};

struct sql_foreign_rule {
    uint64_t constraint_id, child_id;
    enum sql_foreign_event event;
    bool match_full;
    uint32_t count;
    const uint32_t *pos; /* columns of the changed table */
    const struct luma_type *types;
    const char *name, *table_name, *schema_name;
};

struct sql_foreign {
    uint32_t count;
    const struct sql_foreign_rule *rules;
};

struct sql_keys_chunk {
    struct sql_keys_chunk *next;
    struct luma_batch batch;
};

/* Keys of one constraint and event: columns c1 .. cn, for MOVED then n1 .. nn, the new ones. */
struct sql_keys {
    struct sql_keys *next;
    struct luma_arena *arena; /* holds it */
    uint64_t constraint_id, child_id;
    enum sql_foreign_event event;
    uint32_t count; /* columns of the key */
    struct luma_type types[SQL_FOREIGN_COLS_MAX];
    struct sql_keys_chunk *first, *last;
    uint64_t rows;
    /* CHILD: every key once; open addressing */
    struct sql_keys_slot *slots;
    uint64_t slots_count; /* a power of two; 0: none yet */
    uint64_t hashes[LUMA_BATCH_ROWS];
    uint16_t sel[LUMA_BATCH_ROWS], sel_new[LUMA_BATCH_ROWS];
};

/* --- foreign_keys.c --- */
/* luma_plan_change.captured; arg is struct sql_foreign. */
luma_rc sql_foreign_captured(struct luma_ctx *ctx, struct luma_session *session, const void *arg,
                             const struct luma_batch *before, const struct luma_batch *after);
void sql_keys_free(struct sql_keys *keys); /* the whole list */
/* The keys of own->foreign_run as a relation; NULL: that is not its name. */
struct luma_plan *sql_foreign_source(struct sql_bind *b, const char *name);
#define SQL_FOREIGN_FEW  "lumadb changed keys"
#define SQL_FOREIGN_MANY "lumadb many changed keys"

#endif
