/*
 * sql.h - what the files of query/sql share.
 *
 * A statement goes text -> parse tree (libpg_query, in an arena) -> bound plan
 * (lumadb/unstable/plan.h, in an arena of its own) -> engine. Nothing behind this module sees a
 * parse node.
 *
 * Binding never parks: it runs on the parser's big stack and unwinds by longjmp to sql_guard when
 * it finds an error. Everything it makes lies in arenas, so there is nothing to clean up on the
 * way.
 */
#ifndef LUMADB_QUERY_SQL_H
#define LUMADB_QUERY_SQL_H

#include <lumadb/host/catalog.h>
#include <lumadb/host/host.h>
#include <lumadb/host/log.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>
#include <lumadb/host/stats.h>
#include <lumadb/host/store.h>
#include <lumadb/host/txn.h>
#include <lumadb/kind/function.h>
#include <lumadb/kind/query.h>
#include <lumadb/unstable/engine.h>
#include <lumadb/unstable/plan.h>

#include <setjmp.h>
#include <stdatomic.h>

#include "tree.h"

#define SQL_NODES_DEPTH_MAX 1000u /* of a bound expression: what the engine's stack bears */

struct sql_conf {
    int64_t statement_bytes_max;
    int64_t nesting_max;
    int64_t cached_statements;
    int64_t slow_statement;
    bool slow_statement_plans;
};

/* The module's own: set once at init, read-only afterwards (the language table has no state
 * argument). */
extern const struct luma_host *sql_host;
extern const struct luma_engine *sql_engine;
extern const struct luma_simd *sql_simd; /* NULL: none offered */
extern const struct sql_conf *sql_conf;

/* ---- parse.c: statements out of text ---- */

/* The tree of one script; its statements share it. */
struct sql_bind;

struct sql_parse {
    uint32_t refs;
    struct luma_arena *arena;
    const char *text; /* NUL-terminated copy */
    size_t bytes;
    PgQuery__ParseResult *tree;
};

luma_rc sql_parse_open(struct luma_ctx *ctx, struct luma_slice text, struct sql_parse **out_parse);
void sql_parse_release(struct sql_parse *parse);
/* Refuses what is nested deeper than the parser's stack bears. */
luma_rc sql_parse_guard(struct luma_ctx *ctx, struct luma_slice text);
/* "name", quoted (ddl.c); NULL: no memory. */
const char *sql_quote(struct luma_arena *arena, const char *name);
/* Text of an expression or statement node, in arena. */
luma_rc sql_deparse(struct luma_ctx *ctx, struct luma_arena *arena, PgQuery__Node *node,
                    const char **out_text);
/* SELECT expr */
PgQuery__Node *sql_select_of(struct sql_bind *b, PgQuery__Node *expr);
/* Every node of a kind in a tree; true: fn said so, and it was the last (ddl_view.c). */
typedef bool (*sql_tree_fn)(void *arg, ProtobufCMessage *node);
bool sql_tree_each(ProtobufCMessage *message, const ProtobufCMessageDescriptor *kind,
                   sql_tree_fn fn, void *arg);
/* The same below a binding, on the stack we have; throws. Types that users made get their schema:
 * the text is kept and means the same whatever search_path says later. */
const char *sql_deparse_here(struct sql_bind *b, PgQuery__Node *node);
/* 1-based character of a byte offset. */
uint32_t sql_char_position(const char *text, size_t bytes, int32_t offset);

/* ---- statement.c: statements as frontends hold them ---- */

/* What binding gave: refcounted, because a portal may run it after the statement was rebound. */
struct sql_bound {
    uint32_t refs;
    struct luma_arena *arena;
    uint64_t version;  /* of the catalogue it was bound against */
    uint64_t settings; /* generation of the session's settings */
    uint64_t user_id;
    const struct luma_plan *plan; /* NULL: a utility statement */
    struct luma_query *query;     /* compiled on first execution */
    const struct luma_result_col *cols;
    uint32_t cols_count;
    const struct luma_type *params;
    uint32_t params_count;
    const char *tag;
    bool returns_rows;
};

#define SQL_LITERALS_MAX 64u

/* What normalize.c took out of a text, and the text without it. */
struct sql_literals {
    char *text;
    size_t bytes;
    uint32_t count;
    struct luma_value values[SQL_LITERALS_MAX];
    struct {
        uint32_t end;   /* of $n in text */
        uint32_t bytes; /* of the number it stands for */
    } places[SQL_LITERALS_MAX];
};

/* false: the text is to be taken as it is. */
bool sql_normalize(struct luma_slice text, struct luma_arena *arena, struct sql_literals *out);
/* Where an error's position in the changed text lies in the client's. */
uint32_t sql_literals_position(const struct sql_literals *literals, uint32_t position);

struct luma_stmt {
    uint32_t refs;
    struct sql_parse *parse;
    PgQuery__Node *node; /* NULL: empty statement */
    const char *text;    /* of this statement alone, in parse->text */
    size_t text_bytes;
    struct luma_type *param_types; /* as declared; id NONE: to be inferred */
    uint32_t param_types_count;
    struct sql_bound *bound; /* NULL: not bound yet */
    /* A statement with numbers taken out: those of the text that runs now, in its arena. */
    const struct sql_literals *literals;
    struct sql_stat *stat; /* NULL: not looked for yet */
    bool described;        /* a client was told the result's columns */
    uint64_t cache_hash;
    struct luma_stmt *cache_next; /* in the session's cache */
    bool cached;
    uint64_t cache_used;
};

/* Foreign keys: foreign.h. */
struct sql_keys;
struct sql_foreign_ref {
    uint64_t parent_id, child_id;
};
struct sql_foreign_mode {
    uint64_t constraint_id; /* 0: all */
    bool deferred;
};

/* ---- statistics.c: what statements cost ---- */

struct sql_stat;
/* The entry of a text, its constants left out; NULL: there are too many. */
struct sql_stat *sql_stat_of(struct luma_session *session, const char *text, size_t bytes);
void sql_stat_count(struct sql_stat *s, uint64_t ns, uint64_t rows, bool failed);
void sql_stats_reset(void);
struct luma_stmt;
struct sql_bound;
/* Says so when the statement took longer than slow_statement. Its transaction is still open. */
void sql_slow_log(struct luma_session *session, const struct luma_stmt *stmt,
                  const struct sql_bound *bound, uint64_t ns, uint64_t rows, luma_rc rc);

struct sql_cursor;
struct sql_named;
struct sql_result;

/* This module's slot of a session. */
struct sql_session {
    struct luma_session *session;
    struct luma_arena *arena;
    struct luma_stmt **cache; /* hash table of chains */
    uint32_t cache_count, cache_slots;
    uint64_t cache_clock;
    uint64_t plain_texts[64]; /* hashes of normalized texts that did not bind */
    struct sql_named *named;
    struct sql_cursor *cursors;
    struct sql_result *results_free;
    uint64_t settings_generation;
    uint64_t temp_schema_id; /* 0: none yet */
    char *path_text;         /* search_path the ids below belong to */
    uint64_t path_version;
    uint64_t path_user;
    uint64_t *path;
    uint32_t path_count;
    uint32_t path_create; /* index of the schema new objects go to; path_count: none */
    atomic_flag foreign_lock;
    struct sql_keys *foreign_now;       /* of the statement that runs */
    const struct sql_keys *foreign_run; /* whose check or action runs; NULL: none */
    bool foreign_no_memory;             /* a part of the text of one could not be made */
    struct sql_keys *foreign_deferred;  /* of transaction foreign_txn */
    uint64_t foreign_txn;
    struct sql_foreign_mode *foreign_modes; /* SET CONSTRAINTS of that transaction, in order */
    uint32_t foreign_modes_count;
    struct sql_foreign_ref *foreign_refs; /* who refers to whom, as of catalogue version .. */
    uint32_t foreign_refs_count, foreign_refs_room;
    uint64_t foreign_refs_version;
};

/* What the language keeps of a session; sql_session_need comes first in a request and makes it. */
struct sql_session *sql_session_of(struct luma_session *session); /* NULL: not made yet */
luma_rc sql_session_need(struct luma_ctx *ctx, struct luma_session *session,
                         struct sql_session **out_own);
luma_rc sql_stmt_prepare(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                         const struct luma_type *types, uint32_t types_count,
                         struct luma_stmt **out_stmt);
/* From the session's cache, or made and put there. */
luma_rc sql_stmt_cached(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                        const uint32_t *type_oids, uint32_t types_count,
                        struct luma_stmt **out_stmt);
void sql_stmt_release(struct luma_stmt *stmt);
void sql_stmt_ref(struct luma_stmt *stmt);
/* Makes stmt->bound current. txn is the statement's. */
luma_rc sql_stmt_bind(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                      struct luma_stmt *stmt);
void sql_bound_release(struct sql_bound *bound);
bool sql_stmt_is_plan(const PgQuery__Node *node);
/* Binds a node that is a statement of its own (of PREPARE, DECLARE, EXPLAIN, COPY, CREATE TABLE
 * AS). */
luma_rc sql_bind_node(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                      const char *text, size_t text_bytes, PgQuery__Node *node,
                      const struct luma_type *types, uint32_t types_count, struct sql_bound **out);
/* Compiles bound->plan unless that was done. */
luma_rc sql_bound_compile(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                          struct sql_bound *bound);

luma_rc sql_run_stmt(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                     struct luma_stmt *stmt, const struct luma_value *params, uint32_t params_count,
                     bool ends_statement, struct luma_result **out_result);
extern const struct luma_language sql_language;

/* ---- result.c ---- */

/* Statements without rows. tag is static or lives in the session's arena. */
luma_rc sql_result_done(struct luma_ctx *ctx, struct luma_session *session, const char *tag,
                        bool tag_rows, uint64_t rows, struct luma_result **out_result);
/* A result over an engine's; takes inner, keeps bound. Ends the statement when it is closed. */
luma_rc sql_result_wrap(struct luma_ctx *ctx, struct luma_session *session, struct sql_bound *bound,
                        struct luma_result *inner, bool ends_statement,
                        struct luma_result **out_result);
/* The result's end is counted for its statement, which it keeps. */
void sql_result_time(struct luma_result *result, struct luma_stmt *stmt, uint64_t started_ns);
/* Rows known beforehand, all text: rows * cols_count of them, NULL for null. Copies all. */
luma_rc sql_result_rows(struct luma_ctx *ctx, struct luma_session *session, const char *tag,
                        const struct luma_result_col *cols, uint32_t cols_count,
                        const char *const *cells, uint32_t rows, struct luma_result **out_result);
void sql_results_fini(struct sql_session *own);

/* ---- bind.c: context of one binding ---- */

struct sql_scope;
struct sql_cte;

struct sql_bind {
    struct luma_ctx *ctx;
    struct luma_session *session;
    struct sql_session *own;
    struct luma_txn *txn;
    const struct luma_cat_view *view;
    struct luma_arena *arena; /* the plan's */
    const char *text;         /* for positions; NULL: none are given */
    size_t text_bytes;
    jmp_buf *escape;
    struct luma_type *params;
    uint32_t params_count, params_room;
    bool params_fixed; /* no $n may be used beyond params_count */
    struct sql_cte *ctes;
    uint32_t cte_next;
    uint32_t view_depth;
    uint32_t expr_depth;
    int32_t column_location;            /* of the column reference being bound: kept in position */
    bool in_view;                       /* rights were the view owner's business */
    bool keep_unknown;                  /* the next SELECT leaves untyped literals to its user */
    bool want_rowids;                   /* tables of the FROM being bound bring their row ids */
    const PgQuery__SelectStmt *locking; /* whose FROM it is */
};

/* Raises: reports in ctx and leaves for sql_guard. location: byte offset, -1 unknown. */
#define SQL_THROW(b, location, code, state, ...) \
    sql_throw((b), (location), LUMA_FAIL_SQL((b)->ctx, (code), (state), __VA_ARGS__))
void sql_throw(struct sql_bind *b, int32_t location, luma_rc rc) __attribute__((noreturn));
void sql_hint(struct sql_bind *b, const char *fmt, ...) LUMA_PRINTF(2, 3);
/* Runs fn on the parser's stack and catches what it throws. */
luma_rc sql_guard(struct sql_bind *b, void (*fn)(struct sql_bind *b, void *arg), void *arg);
void sql_bind_init(struct sql_bind *b, struct luma_ctx *ctx, struct luma_session *session,
                   struct luma_txn *txn, struct luma_arena *arena, const char *text,
                   size_t text_bytes);
void *sql_alloc(struct sql_bind *b, size_t bytes);
char *sql_text(struct sql_bind *b, const char *text);
char *sql_text_of(struct sql_bind *b, const void *data, size_t bytes);
const char *sql_format(struct sql_bind *b, const char *fmt, ...) LUMA_PRINTF(2, 3);
#define SQL_NEW(b, type)              ((type *)sql_alloc((b), sizeof(type)))
#define SQL_NEW_ARRAY(b, type, count) ((type *)sql_alloc((b), sizeof(type) * (size_t)(count)))
/* Throws when rc is an error that was reported already. */
void sql_check(struct sql_bind *b, int32_t location, luma_rc rc);
const char *sql_type_text(struct sql_bind *b, struct luma_type type);
const char *sql_quoted(struct sql_bind *b, const char *name); /* sql_quote() that throws */

/* ---- expr.c: making and walking bound expressions ---- */

struct luma_expr *sql_expr(struct sql_bind *b, enum luma_expr_kind kind, struct luma_type type,
                           uint32_t args_count);
struct luma_expr *sql_const_null(struct sql_bind *b, struct luma_type type);
struct luma_expr *sql_const_bool(struct sql_bind *b, bool value);
struct luma_expr *sql_const_i64(struct sql_bind *b, int64_t value);
struct luma_expr *sql_const_text(struct sql_bind *b, struct luma_type type, const char *text);
struct luma_expr *sql_col(struct sql_bind *b, int32_t index, struct luma_type type);
struct luma_expr *sql_and(struct sql_bind *b, struct luma_expr *left, struct luma_expr *right);
struct luma_expr *sql_not(struct sql_bind *b, struct luma_expr *arg);
bool sql_expr_equal(const struct luma_expr *a, const struct luma_expr *b);
bool sql_expr_is_const(const struct luma_expr *e);
/* Calls fn on e and below (not into sublinks' plans); stops when fn returns true, and returns that.
 */
bool sql_expr_walk(const struct luma_expr *e, bool (*fn)(void *arg, const struct luma_expr *e),
                   void *arg);
/* Replaces references to the row at OUTER `level` (0: COLs) in a plan that is below an expression.
 */
typedef struct luma_expr *(*sql_map_fn)(struct sql_bind *b, void *arg, struct luma_expr *e,
                                        int32_t level, bool *out_done);
struct luma_expr *sql_expr_map(struct sql_bind *b, struct luma_expr *e, int32_t level,
                               sql_map_fn fn, void *arg);
uint32_t sql_plan_depth(const struct luma_plan *plan);

struct luma_plan *sql_plan(struct sql_bind *b, enum luma_plan_kind kind, struct luma_plan *child);
struct luma_plan *sql_plan_project(struct sql_bind *b, struct luma_plan *child, uint32_t count,
                                   struct luma_expr **exprs, const char *const *names);
struct luma_plan *sql_plan_filter(struct sql_bind *b, struct luma_plan *child,
                                  struct luma_expr *filter);

/* ---- functions.c: which function is meant ---- */

enum sql_cast_context { SQL_CAST_IMPLICIT = 0, SQL_CAST_ASSIGN = 1, SQL_CAST_EXPLICIT = 2 };

struct sql_func_entry {
    const struct luma_func *func;
    struct sql_func_entry *next; /* of the same name */
    uint32_t oid;
    const char *package;
};

struct sql_func_list {
    struct sql_func_entry **entries;
    uint32_t count;
};

enum sql_func_class { SQL_FUNC_CALL = 0, SQL_FUNC_OPERATOR = 1 };

/* own_functions.c */
extern const struct luma_func sql_own_functions[];
extern const size_t sql_own_functions_count;

/* Reads the function packages once. */
void sql_functions_load(void);
const struct sql_func_list *sql_functions_all(void);
const struct luma_func *sql_cast_func(struct luma_type from, struct luma_type to,
                                      enum sql_cast_context context);
const struct luma_func *sql_window_func(const char *name, uint32_t args_count);

struct sql_resolved {
    const struct luma_func *func;
    struct luma_type result;
    struct luma_type *args; /* one per actual argument: what each must become */
    bool variadic;
};
/* False: there is none (nothing reported). Throws when it is ambiguous. */
bool sql_resolve(struct sql_bind *b, enum sql_func_class what, const char *name,
                 const struct luma_type *args, uint32_t args_count, int32_t location,
                 struct sql_resolved *out);
struct luma_expr *sql_call(struct sql_bind *b, const char *name, int32_t location,
                           struct luma_expr **args, uint32_t args_count);
struct luma_expr *sql_operator(struct sql_bind *b, const char *name, int32_t location,
                               struct luma_expr *left, struct luma_expr *right);
/* The operator's function for two operands of `type`; throws when there is none. */
const struct luma_func *sql_operator_func(struct sql_bind *b, const char *name,
                                          struct luma_type type, int32_t location);

/* ---- types.c: type names and conversions ---- */

struct luma_type sql_type_resolve(struct sql_bind *b, const PgQuery__TypeName *name);
bool sql_type_by_name(const char *name, struct luma_type *out);
void sql_collation(struct sql_bind *b, const PgQuery__CollateClause *clause);
bool sql_type_is_string(struct luma_type type);
char sql_type_category(struct luma_type type);
bool sql_type_preferred(struct luma_type type);
bool sql_type_sortable(struct luma_type type);
static inline bool
sql_type_same(struct luma_type a, struct luma_type b)
{
    return a.id == b.id && a.elem == b.elem && (a.mod == b.mod || !luma_type_is_made(a));
}
static inline bool
sql_type_exact(struct luma_type a, struct luma_type b)
{
    return a.id == b.id && a.elem == b.elem && a.mod == b.mod && a.scale == b.scale;
}
bool sql_can_coerce(struct luma_type from, struct luma_type to, enum sql_cast_context context);
/* Converts e; throws 42846/42804 when there is no way. location for the message. */
struct luma_expr *sql_coerce(struct sql_bind *b, struct luma_expr *e, struct luma_type to,
                             enum sql_cast_context context, int32_t location);
/* NULL when there is no way. */
struct luma_expr *sql_coerce_try(struct sql_bind *b, struct luma_expr *e, struct luma_type to,
                                 enum sql_cast_context context, int32_t location);
struct luma_expr *sql_coerce_bool(struct sql_bind *b, struct luma_expr *e, const char *where,
                                  int32_t location);
/* UNKNOWN becomes text. */
struct luma_expr *sql_known(struct sql_bind *b, struct luma_expr *e);
/* PostgreSQL's rule for UNION, CASE and friends. */
struct luma_type sql_common_type(struct sql_bind *b, struct luma_expr **exprs, uint32_t count,
                                 const char *where, int32_t location);

/* ---- made_types.c: types that users made ---- */

/* NULL: there is none. schema NULL: search_path is searched. */
const struct luma_cat_object *sql_made_type_find(struct sql_bind *b, const char *schema,
                                                 const char *name);
struct luma_type sql_made_type_of(const struct luma_cat_object *o);
/* "mood", and "_mood" for its array type. */
bool sql_made_type_by_name(struct sql_bind *b, const char *schema, const char *name,
                           struct luma_type *out);
bool sql_made_type_by_oid(const struct luma_cat_view *view, uint32_t oid, struct luma_type *out);
const char *sql_made_type_text(struct sql_bind *b, struct luma_type type);
/* A type's name for a text that is kept: with its schema when a user made it. */
const char *sql_type_written(struct sql_bind *b, struct luma_type type);
/* Puts the schema before the type's name when it is one that a user made. */
void sql_made_type_qualify(struct sql_bind *b, PgQuery__TypeName *name);
uint32_t sql_type_oid_of(struct luma_type type);
extern const struct luma_func sql_enum_functions[];
extern const size_t sql_enum_functions_count;

/* ---- domain.c ---- */

const struct luma_cat_object *sql_domain(struct sql_bind *b, uint64_t id); /* NULL: it is none */
/* What a domain is over, and its id; other types as they are, with 0. */
struct luma_type sql_domain_base(struct sql_bind *b, struct luma_type type,
                                 uint64_t *out_domain_id);
struct luma_expr *sql_domain_condition(struct sql_bind *b, const char *check_sql,
                                       struct luma_expr *value);
/* True or an error; NULL: the domain has no constraints. */
struct luma_expr *sql_domain_assert(struct sql_bind *b, const struct luma_cat_object *domain,
                                    struct luma_expr *value);
/* The value, or an error. */
struct luma_expr *sql_domain_checked(struct sql_bind *b, uint64_t domain_id,
                                     struct luma_expr *value, int32_t location);

/* ---- names.c: schemas, relations, columns ---- */

struct sql_virtual;

struct sql_relation {
    const struct luma_cat_object *object; /* NULL: virtual */
    const struct sql_virtual *virt;
    const char *schema;
};

/* The session's search_path as ids (pg_catalog first unless named). */
const uint64_t *sql_search_path(struct sql_bind *b, uint32_t *out_count);
bool sql_relation_find(struct sql_bind *b, const char *schema, const char *name,
                       struct sql_relation *out);
/* Throws 42P01 / 3F000. */
void sql_relation_get(struct sql_bind *b, const PgQuery__RangeVar *var, struct sql_relation *out);
uint64_t sql_schema_id(struct sql_bind *b, const char *name, int32_t location);
/* Where an unqualified new object goes. */
uint64_t sql_schema_create(struct sql_bind *b);
bool sql_rights(struct sql_bind *b, const struct luma_cat_object *object, uint32_t col_id,
                uint32_t rights);
void sql_demand(struct sql_bind *b, const struct luma_cat_object *object, uint32_t col_id,
                uint32_t rights);
uint32_t sql_reg_lookup(struct sql_bind *b, enum luma_type_id id, const char *text,
                        int32_t location);

struct sql_column {
    const char *name;
    struct luma_type type;
    int32_t index;            /* in the scope's row */
    struct luma_expr *merged; /* JOIN USING: stands for the column; NULL: COL index */
    uint64_t table_id;
    uint32_t col_id;
    bool hidden; /* not in *: merged away by USING, system columns */
};

/* One table, subquery, function ... of FROM as names see it. */
struct sql_item {
    struct sql_item *next;
    const char *name;   /* alias or table name; NULL: cannot be named */
    const char *schema; /* unaliased tables */
    uint32_t cols_count;
    struct sql_column *cols;
    bool cols_visible; /* unqualified */
    bool rel_visible;  /* qualified */
    bool by_column;    /* rights are checked per column */
    const struct luma_cat_object *object;
    int32_t rowid_index; /* -1: none */
    bool is_function;    /* a scalar function: its name is its value */
};

enum sql_place {
    SQL_PLACE_OTHER = 0,
    SQL_PLACE_TARGET,
    SQL_PLACE_WHERE,
    SQL_PLACE_GROUP,
    SQL_PLACE_HAVING,
    SQL_PLACE_ORDER,
    SQL_PLACE_ON,
    SQL_PLACE_FROM_FUNCTION,
    SQL_PLACE_VALUES,
    SQL_PLACE_LIMIT,
    SQL_PLACE_SET,
    SQL_PLACE_RETURNING,
    SQL_PLACE_CHECK,
    SQL_PLACE_DEFAULT,
    SQL_PLACE_WINDOW,
    SQL_PLACE_FILTER
};

/* One query level: what its expressions may name. */
struct sql_scope {
    struct sql_scope *parent;
    struct sql_item *items;
    enum sql_place place;
    bool in_aggregate, in_window;
    bool escaped;  /* something below referred past this level */
    bool boundary; /* the left side of a join, for LATERAL items */
    bool has_sets;
    uint32_t aggs_count, aggs_room;
    struct luma_expr **aggs;
    uint32_t windows_count, windows_room;
    struct luma_expr **windows;
    const PgQuery__SelectStmt *select; /* for WINDOW clauses */
};

struct luma_expr *sql_name_resolve(struct sql_bind *b, struct sql_scope *scope,
                                   const PgQuery__ColumnRef *ref);
struct luma_expr *sql_column_expr(struct sql_bind *b, const struct sql_column *col, int32_t level);
struct sql_item *sql_item_find(struct sql_scope *scope, const char *schema, const char *name,
                               int32_t *out_level, struct sql_scope **out_scope);

/* ---- bind_expr.c, bind_call.c, bind_ops.c, bind_sublink.c ---- */

struct luma_expr *sql_bind_expr(struct sql_bind *b, struct sql_scope *scope,
                                const PgQuery__Node *node);
struct luma_expr *sql_bind_condition(struct sql_bind *b, struct sql_scope *scope,
                                     const PgQuery__Node *node, enum sql_place place,
                                     const char *where);
struct luma_expr *sql_bind_func(struct sql_bind *b, struct sql_scope *scope,
                                const PgQuery__FuncCall *call);
struct luma_expr *sql_bind_a_expr(struct sql_bind *b, struct sql_scope *scope,
                                  const PgQuery__AExpr *a);
struct luma_expr *sql_bind_sublink(struct sql_bind *b, struct sql_scope *scope,
                                   const PgQuery__SubLink *link);
const char *sql_target_name(const PgQuery__Node *node, const char *def);
int32_t sql_node_location(const PgQuery__Node *node);
const char *sql_string(const PgQuery__Node *node); /* String or "" */
/* last part of a qualified name; *out_schema may be NULL */
const char *sql_name_parts(PgQuery__Node *const *names, size_t count, const char **out_schema);
enum luma_cmp sql_cmp_of(const char *op, bool *out_known);

/* ---- bind_from.c, bind_select.c, bind_group.c, bind_with.c ---- */

struct sql_cte {
    struct sql_cte *next;
    const char *name;
    uint32_t id;
    uint32_t cols_count;
    const struct luma_plan_col *cols;
    struct luma_plan *plan;   /* NULL while its own recursive part is bound */
    struct sql_scope *parent; /* outside of the query that defines it */
    struct luma_plan *scan;   /* the last reference */
    uint32_t uses;
    bool movable; /* every reference so far lies at the definition's level */
    bool materialized, changes;
};

struct sql_from {
    struct luma_plan *plan; /* NULL: no FROM */
    struct sql_item *items;
};

/* parent: the scope an expression in it finds outside. *out_escaped (may be NULL) is set when
 * something in it referred to parent or further out. */
struct luma_plan *sql_bind_select(struct sql_bind *b, struct sql_scope *parent,
                                  const PgQuery__SelectStmt *select, bool *out_escaped);
/* A SELECT or a data-changing statement with RETURNING. */
struct luma_plan *sql_bind_query(struct sql_bind *b, struct sql_scope *parent,
                                 const PgQuery__Node *node, bool *out_escaped);
/* Appends to *inout (plan NULL: nothing yet); scope->items follows. */
void sql_bind_from(struct sql_bind *b, struct sql_scope *scope, PgQuery__Node *const *nodes,
                   size_t count, struct sql_from *inout);
void sql_items_append(struct sql_item **list, struct sql_item *more);
struct sql_item *sql_item_of_table(struct sql_bind *b, const struct sql_relation *rel,
                                   const PgQuery__Alias *alias, bool rowid, uint32_t rights,
                                   struct luma_plan **out_plan);
struct sql_item *sql_item_of_plan(struct sql_bind *b, const struct luma_plan *plan,
                                  const char *name, const PgQuery__Alias *alias);
/* The columns of plan made to be of these types. */
struct luma_plan *sql_plan_coerce(struct sql_bind *b, struct luma_plan *plan,
                                  const struct luma_type *types, enum sql_cast_context context);
struct sql_cte *sql_with_begin(struct sql_bind *b, struct sql_scope *parent,
                               const PgQuery__WithClause *with, bool *out_escaped);
struct luma_plan *sql_with_end(struct sql_bind *b, struct luma_plan *body, struct sql_cte *saved);

struct sql_target {
    struct luma_expr *expr;
    const char *name;
    const PgQuery__Node *node;
    uint64_t table_id;
    uint32_t col_id;
    bool junk;
};
struct sql_targets {
    struct sql_target *list;
    uint32_t count, room;
};
void sql_bind_targets(struct sql_bind *b, struct sql_scope *scope, PgQuery__Node *const *nodes,
                      size_t count, enum sql_place place, struct sql_targets *out);
struct sql_target *sql_targets_add(struct sql_bind *b, struct sql_targets *targets,
                                   struct luma_expr *expr, const char *name);
struct luma_plan *sql_plan_targets(struct sql_bind *b, struct luma_plan *child,
                                   const struct sql_targets *targets);

struct sql_group {
    uint32_t keys_count;
    struct luma_expr **keys;
    uint32_t sets_count;
    uint64_t *sets;
};
void sql_bind_group(struct sql_bind *b, struct sql_scope *scope, const PgQuery__SelectStmt *select,
                    struct sql_targets *targets, struct sql_group *out);
/* Puts AGGREGATE over child and rewrites the expressions that stand above it. */
struct luma_plan *sql_plan_group(struct sql_bind *b, struct sql_scope *scope,
                                 struct luma_plan *child, struct sql_group *group,
                                 struct sql_targets *targets, struct luma_expr **having);
struct luma_plan *sql_plan_windows(struct sql_bind *b, struct sql_scope *scope,
                                   struct luma_plan *child, struct sql_targets *targets);
const struct luma_window *sql_bind_window(struct sql_bind *b, struct sql_scope *scope,
                                          const PgQuery__WindowDef *def);
void sql_sort_key(struct sql_bind *b, const PgQuery__SortBy *by, struct luma_expr *expr,
                  struct luma_sort_key *out);
struct luma_plan *sql_bind_limit(struct sql_bind *b, struct sql_scope *scope,
                                 const PgQuery__SelectStmt *select, struct luma_plan *plan);

/* ---- bind_change.c, bind_table.c ---- */

struct luma_plan *sql_bind_insert(struct sql_bind *b, struct sql_scope *parent,
                                  const PgQuery__InsertStmt *stmt);
struct luma_plan *sql_bind_update(struct sql_bind *b, struct sql_scope *parent,
                                  const PgQuery__UpdateStmt *stmt);
struct luma_plan *sql_bind_delete(struct sql_bind *b, struct sql_scope *parent,
                                  const PgQuery__DeleteStmt *stmt);
/* What INSERT, UPDATE, DELETE and COPY share: definition, checks, index names. */
struct luma_plan_change *sql_change_of(struct sql_bind *b, const struct luma_cat_object *table,
                                       bool with_checks);
/* The table's columns as names over a row that begins at `base`. */
struct sql_item *sql_item_of_row(struct sql_bind *b, const struct luma_cat_object *table,
                                 const char *alias, int32_t base);
/* Default of a column, coerced to its type; NULL constant when it has none. */
struct luma_expr *sql_column_default(struct sql_bind *b, const struct luma_cat_object *table,
                                     const struct luma_cat_column *col);
/* Binds an expression kept as text over `item` (NULL: no names). */
struct luma_expr *sql_bind_text(struct sql_bind *b, const char *text, struct sql_item *item,
                                enum sql_place place);
/* Parses text below a binding (views, defaults, checks). */
PgQuery__Node *sql_parse_nested(struct sql_bind *b, const char *text);

/* ---- foreign_bind.c, foreign.c: foreign keys ---- */

/* Makes a change tell which keys it touches; kind: INSERT, UPDATE or DELETE. After set_cols. */
void sql_foreign_bind(struct sql_bind *b, const struct luma_cat_object *table,
                      struct luma_plan_change *change, enum luma_plan_kind kind);
/* The statement's changes are done: actions and checks that are due now. */
luma_rc sql_foreign_end(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn);
/* The statement failed. */
void sql_foreign_forget(struct sql_session *own);
void sql_foreign_fini(struct sql_session *own);

/* ---- utility.c and the statements it sends on ---- */

luma_rc sql_utility_cols(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
                         const struct luma_result_col **out_cols, uint32_t *out_count);
/* Drops what the session made in its temporary schema. */
void sql_temp_drop(struct sql_session *own);

struct sql_utility {
    struct luma_ctx *ctx;
    struct luma_session *session;
    struct sql_session *own;
    struct luma_txn *txn; /* NULL for those that handle transactions themselves */
    struct luma_stmt *stmt;
    PgQuery__Node *node;
    const struct luma_exec_opts *opts;
    struct luma_result **out_result;
};

luma_rc sql_utility(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
                    const struct luma_exec_opts *opts, struct luma_result **out_result);
luma_rc sql_done(struct sql_utility *u, const char *tag);
/* A binding context for a utility statement, over ctx->arena. */
void sql_utility_bind(struct sql_utility *u, struct sql_bind *b);

luma_rc sql_transaction(struct sql_utility *u);
luma_rc sql_set(struct sql_utility *u);
luma_rc sql_show(struct sql_utility *u);
luma_rc sql_discard(struct sql_utility *u);
luma_rc sql_prepare_stmt(struct sql_utility *u);
luma_rc sql_execute_stmt(struct sql_utility *u);
luma_rc sql_deallocate(struct sql_utility *u);
luma_rc sql_declare_cursor(struct sql_utility *u);
luma_rc sql_fetch(struct sql_utility *u);
luma_rc sql_close_cursor(struct sql_utility *u);
luma_rc sql_explain(struct sql_utility *u);
luma_rc sql_create_table(struct sql_utility *u);
luma_rc sql_create_table_as(struct sql_utility *u);
luma_rc sql_alter_table(struct sql_utility *u);
luma_rc sql_drop(struct sql_utility *u);
luma_rc sql_truncate(struct sql_utility *u);
luma_rc sql_create_index(struct sql_utility *u);
luma_rc sql_create_view(struct sql_utility *u);
luma_rc sql_create_sequence(struct sql_utility *u);
luma_rc sql_alter_sequence(struct sql_utility *u);
luma_rc sql_create_schema(struct sql_utility *u);
luma_rc sql_rename(struct sql_utility *u);
luma_rc sql_alter_owner(struct sql_utility *u);
luma_rc sql_alter_schema(struct sql_utility *u);
luma_rc sql_create_enum(struct sql_utility *u);
luma_rc sql_alter_enum(struct sql_utility *u);
luma_rc sql_create_domain(struct sql_utility *u);
luma_rc sql_alter_domain(struct sql_utility *u);
luma_rc sql_comment(struct sql_utility *u);
luma_rc sql_create_role(struct sql_utility *u);
luma_rc sql_alter_role(struct sql_utility *u);
luma_rc sql_alter_role_set(struct sql_utility *u);
luma_rc sql_drop_role(struct sql_utility *u);
luma_rc sql_grant(struct sql_utility *u);
luma_rc sql_grant_role(struct sql_utility *u);
luma_rc sql_vacuum(struct sql_utility *u);
luma_rc sql_set_constraints(struct sql_utility *u);
luma_rc sql_copy(struct sql_utility *u);
luma_rc sql_create_database(struct sql_utility *u);
luma_rc sql_drop_database(struct sql_utility *u);

void sql_cursors_close(struct sql_session *own, bool all);
void sql_named_fini(struct sql_session *own);
luma_rc sql_named_put(struct luma_ctx *ctx, struct luma_session *session, const char *name,
                      struct luma_stmt *stmt);
struct luma_stmt *sql_named_get(struct luma_session *session, const char *name);
void sql_named_drop(struct luma_session *session, const char *name);
struct luma_result *sql_cursor_get(struct luma_session *session, const char *name);
void sql_named_each(struct luma_session *session,
                    void (*fn)(void *arg, const char *name, struct luma_stmt *stmt), void *arg);

/* ---- virtual.c: pg_catalog and information_schema ---- */

#define SQL_OID_ARRAY_IN 750u /* how clients tell array types */

struct sql_rows; /* rows.h */

struct sql_virtual {
    const char *schema, *name;
    uint32_t oid;
    const char *columns;                 /* "oid oid, relname name, ..." */
    void (*fill)(struct sql_rows *rows); /* NULL: always empty */
    /* made from `columns` on load */
    uint32_t cols_count;
    struct luma_plan_col *cols;
    struct luma_provider provider;
};

void sql_virtuals_load(void);
const struct sql_virtual *sql_virtual_find(const char *schema, const char *name);
const struct sql_virtual *sql_virtual_at(size_t index); /* NULL past the end */
const struct sql_virtual *sql_virtual_by_oid(uint32_t oid);

#endif
