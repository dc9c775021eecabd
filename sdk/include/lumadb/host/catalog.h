/*
 * lumadb/host/catalog.h - names: databases, schemas, tables, columns, indexes, views, sequences,
 * functions, users, grants.
 *
 * A view of the catalogue is immutable. A transaction without DDL shares the newest committed one;
 * DDL gives the transaction a private copy that its commit publishes. Objects are plain records; to
 * change one, copy it (arena), change the copy, put it back.
 */
#ifndef LUMADB_HOST_CATALOG_H
#define LUMADB_HOST_CATALOG_H

#include <lumadb/error.h>
#include <lumadb/host/store.h>
#include <lumadb/host/txn.h>
#include <lumadb/type.h>

enum luma_cat_kind {
    LUMA_CAT_DATABASE = 1,
    LUMA_CAT_SCHEMA = 2,
    LUMA_CAT_TABLE = 3,
    LUMA_CAT_VIEW = 4,
    LUMA_CAT_INDEX = 5, /* its own name in the schema; described by its table */
    LUMA_CAT_SEQUENCE = 6,
    LUMA_CAT_ROLE = 7,
    LUMA_CAT_FUNCTION = 8,
    LUMA_CAT_TYPE = 9
};

/* Well-known ids; user objects start at 16384, as in PostgreSQL. */
#define LUMA_CAT_ID_PG_CATALOG         11
#define LUMA_CAT_ID_PUBLIC             2200
#define LUMA_CAT_ID_INFORMATION_SCHEMA 13000
#define LUMA_CAT_ID_DATABASE_DEFAULT   5
#define LUMA_CAT_ID_ROLE_LUMADB        10
#define LUMA_CAT_ID_USER_FIRST         16384

struct luma_cat_column {
    uint32_t id; /* storage's column id; also attnum; never reused */
    const char *name;
    struct luma_type type;
    bool not_null;
    const char *default_sql;   /* expression text; NULL: none */
    const char *generated_sql; /* GENERATED ALWAYS AS (...) STORED; NULL */
    char identity;             /* 'a' always, 'd' by default, 0 none */
    uint64_t sequence_id;      /* owned by serial/identity; 0: none */
    struct luma_value missing; /* for rows older than the column */
    const char *comment;
    uint64_t domain_id; /* declared as a domain (type is what that is over); 0: none */
};

enum luma_constraint_kind {
    LUMA_CONSTRAINT_PRIMARY = 'p',
    LUMA_CONSTRAINT_UNIQUE = 'u',
    LUMA_CONSTRAINT_CHECK = 'c',
    LUMA_CONSTRAINT_FOREIGN = 'f'
};

struct luma_cat_constraint {
    uint64_t id;
    const char *name;
    enum luma_constraint_kind kind;
    uint64_t index_id; /* PRIMARY, UNIQUE */
    uint32_t cols_count;
    const uint32_t *cols; /* column ids */
    const char *check_sql;
    uint64_t ref_table_id; /* FOREIGN */
    const uint32_t *ref_cols;
    char on_delete,
        on_update; /* 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default */
    char match;    /* FOREIGN: 'f' full, else simple */
    bool deferrable, deferred; /* deferred: INITIALLY DEFERRED */
    bool not_valid;            /* FOREIGN, CHECK: rows older than it were not looked at */
    uint32_t set_cols_count;   /* ON DELETE SET NULL (columns); 0: all of cols */
    const uint32_t *set_cols;
};

struct luma_cat_index {
    uint64_t id;
    const char *name;
    const char *kind; /* "btree" */
    bool unique, primary, nulls_not_distinct;
    uint32_t cols_count;
    const struct luma_store_index_col *cols;
    const char *comment;
};

struct luma_cat_grant {
    uint64_t role_id; /* 0: PUBLIC */
    uint32_t rights;  /* enum luma_right bits */
    uint32_t col_id;  /* 0: the whole object */
    bool grantable;
};

enum luma_right {
    LUMA_RIGHT_SELECT = 1,
    LUMA_RIGHT_INSERT = 2,
    LUMA_RIGHT_UPDATE = 4,
    LUMA_RIGHT_DELETE = 8,
    LUMA_RIGHT_TRUNCATE = 16,
    LUMA_RIGHT_REFERENCES = 32,
    LUMA_RIGHT_USAGE = 64,
    LUMA_RIGHT_CREATE = 128,
    LUMA_RIGHT_CONNECT = 256,
    LUMA_RIGHT_EXECUTE = 512,
    LUMA_RIGHT_TRIGGER = 1024
};

/* One label of an enum. Values are places: ordered as the labels are, never given twice. */
struct luma_cat_label {
    uint64_t id;
    int64_t place;
    const char *name;
};

#define LUMA_CAT_LABEL_STEP (INT64_C(1) << 40) /* between the places of a new enum's labels */

struct luma_cat_object {
    uint64_t id;
    enum luma_cat_kind kind;
    const char *name;
    uint64_t schema_id; /* 0: not in a schema (database, schema, role) */
    uint64_t owner_id;
    const char *comment;
    uint32_t grants_count;
    const struct luma_cat_grant *grants;

    /* TABLE (and VIEW: columns) */
    uint32_t cols_count;
    const struct luma_cat_column *cols;
    uint32_t col_id_next;
    uint32_t indexes_count;
    const struct luma_cat_index *indexes;
    uint32_t constraints_count;
    const struct luma_cat_constraint *constraints;
    const char *options; /* "fillfactor=100,..." or NULL */
    bool temporary, unlogged, flexible;

    /* VIEW, FUNCTION */
    const char *sql; /* SELECT text; function body */

    /* INDEX */
    uint64_t table_id;

    /* SEQUENCE */
    int64_t seq_start, seq_increment, seq_min, seq_max, seq_cache;
    bool seq_cycle;
    struct luma_type seq_type;

    /* ROLE */
    bool superuser, can_login, create_role, create_db, inherit, first_run;
    const char *verifier; /* SCRAM-SHA-256$iter:salt$stored:server */
    int64_t valid_until_us;
    uint32_t members_of_count;
    const uint64_t *members_of;
    uint32_t settings_count;     /* ALTER ROLE ... SET */
    const char *const *settings; /* "name=value" */

    /* TYPE: an enum has labels, in order; a domain has one column (what it is over, its default,
     * not_null) and check constraints, in which the value is called value. The id of type[] is the
     * one after the type's own. */
    char type_kind; /* 'e' enum, 'd' domain; 0: no type */
    uint32_t labels_count;
    const struct luma_cat_label *labels;
};

struct luma_cat_view; /* one immutable state of the catalogue */

struct luma_host_catalog {
    struct luma_head head;
    /* The catalogue as txn sees it (NULL: newest committed). Valid until txn's next DDL or end; for
     * NULL until release. */
    const struct luma_cat_view *(*view)(struct luma_txn *txn);
    void (*release)(const struct luma_cat_view *view); /* of view(NULL) only */
    /* Grows with every committed DDL; private views have numbers nobody else ever sees. Plans bind
     * it. */
    uint64_t (*version)(const struct luma_cat_view *view);
    const struct luma_cat_object *(*by_id)(const struct luma_cat_view *view, uint64_t id);
    /* Tables, views, indexes and sequences share one name space per schema. */
    const struct luma_cat_object *(*relation)(const struct luma_cat_view *view, uint64_t schema_id,
                                              const char *name);
    const struct luma_cat_object *(*find)(const struct luma_cat_view *view, enum luma_cat_kind kind,
                                          const char *name); /* schema-less kinds */
    void (*each)(const struct luma_cat_view *view, enum luma_cat_kind kind /* 0: all */,
                 bool (*fn)(void *arg, const struct luma_cat_object *object), void *arg);

    /* What version(view(txn)) would be, for one atomic load: is a cached plan still good? */
    uint64_t (*version_now)(struct luma_txn *txn);

    /* --- DDL --- */
    /* An id that no object has or had; 0: failed (reported). txn's commit makes it durable. */
    uint64_t (*next_id)(struct luma_ctx *ctx, struct luma_txn *txn);
    /* Adds or replaces object->id; deep copy. Tables change storage with it: a new one is created,
     * new columns appear with their missing value, dropped ones hide, new indexes are built from
     * the rows (unique ones fail with LUMA_E_UNIQUE), dropped ones go. Names are checked:
     * LUMA_E_EXISTS. */
    luma_rc (*put)(struct luma_ctx *ctx, struct luma_txn *txn,
                   const struct luma_cat_object *object);
    /* Removes an object with its storage; what depends on it is the language's to find first. */
    luma_rc (*remove)(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t id);

    /* --- sequences: not undone by a rollback, never given twice; durable with txn's commit --- */
    /* The next count values, *out_first and on by the increment (fewer near the end: *out_count).
     * LUMA_E_RANGE (2200H) at the end of a sequence that does not cycle. */
    luma_rc (*sequence_next)(struct luma_ctx *ctx, struct luma_txn *txn,
                             const struct luma_cat_object *sequence, uint32_t count,
                             int64_t *out_first, uint32_t *out_count);
    luma_rc (*sequence_set)(struct luma_ctx *ctx, struct luma_txn *txn,
                            const struct luma_cat_object *sequence, int64_t value, bool is_called);
    /* false: nothing was given out yet. */
    bool (*sequence_last)(const struct luma_cat_object *sequence, int64_t *out_last);

    /* --- rights --- */
    /* LUMA_E_DENIED (42501) with the object's name unless the session's user (through roles too)
     * has all of `rights` on object, or on its column col_id when that is not 0. */
    luma_rc (*check)(struct luma_ctx *ctx, const struct luma_cat_view *view,
                     const struct luma_cat_object *object, uint32_t col_id, uint32_t rights);
    /* The same for any role, and without an error: has_table_privilege(). */
    bool (*may)(const struct luma_cat_view *view, uint64_t role_id,
                const struct luma_cat_object *object, uint32_t col_id, uint32_t rights);
    /* Verifier text for a password (PBKDF2; call through sched->blocking). */
    luma_rc (*make_verifier)(struct luma_ctx *ctx, const char *password, struct luma_arena *arena,
                             const char **out_verifier);

    /* A type that a user made; NULL: there is none of that name in the schema. */
    const struct luma_cat_object *(*type)(const struct luma_cat_view *view, uint64_t schema_id,
                                          const char *name);
};

#endif
