/*
 * lumadb/unstable/plan.h - the logical plan: what every language compiles to and the engine runs.
 *
 * Unstable: wants the exact build. Plans are bound (no names to resolve, every expression typed)
 * and immutable; they live in the arena of whoever made them and outlive the query prepared from
 * them.
 *
 * Rows of a node are positional. An expression's COL refers to the node's input row: the child's
 * columns, for a JOIN the left child's then the right child's. OUTER(level, index) refers to the
 * input row of the expression that holds the subquery, level counted from 1 outwards.
 */
#ifndef LUMADB_UNSTABLE_PLAN_H
#define LUMADB_UNSTABLE_PLAN_H

#include <lumadb/batch.h>
#include <lumadb/host/store.h>
#include <lumadb/kind/function.h>

struct luma_plan;
struct luma_expr;

enum luma_expr_kind {
    LUMA_EXPR_CONST = 1, /* value */
    LUMA_EXPR_PARAM,     /* index: $1 is 0 */
    LUMA_EXPR_COL,       /* index */
    LUMA_EXPR_OUTER,     /* level, index */
    LUMA_EXPR_CALL,      /* func, args (already of the declared types: casts are calls) */
    LUMA_EXPR_AND,       /* args, two or more, three-valued */
    LUMA_EXPR_OR,
    LUMA_EXPR_NOT,      /* args[0] */
    LUMA_EXPR_IS_NULL,  /* args[0]; negated: IS NOT NULL */
    LUMA_EXPR_IS_BOOL,  /* args[0] IS [NOT] TRUE/FALSE/UNKNOWN: index 1, 0, -1 as tested */
    LUMA_EXPR_DISTINCT, /* args[0] IS DISTINCT FROM args[1]; func: the equality; negated: NOT
                           DISTINCT */
    LUMA_EXPR_CASE, /* args: when, then, when, then, ..., else (always there); conditions bool */
    LUMA_EXPR_COALESCE, /* args */
    LUMA_EXPR_NULLIF,   /* args[0], args[1]; func: the equality */
    LUMA_EXPR_GREATEST, /* args, one type */
    LUMA_EXPR_LEAST,
    LUMA_EXPR_IN,    /* args[0] IN (args[1..]) of one type; func: the equality; negated */
    LUMA_EXPR_ANY,   /* args[0] func ANY(args[1] array); negated: ALL */
    LUMA_EXPR_ARRAY, /* constructor: args of one type */
    LUMA_EXPR_ROW,   /* args; only as an operand of ROW_CMP and sublinks, or as a result (record) */
    LUMA_EXPR_ROW_CMP, /* args: left columns then right columns; cmp; cmp_funcs[i]: '=' of column i,
                          then
                          '<' of column i */
    LUMA_EXPR_SUBSCRIPT, /* args[0][args[1]] */
    LUMA_EXPR_SUBLINK,   /* sublink, plan, args: left operands; func per column in cmp_funcs */
    LUMA_EXPR_AGG,       /* only in luma_plan.aggs: func, args */
    LUMA_EXPR_WINDOW,    /* only in luma_plan.windows: func, args */
    LUMA_EXPR_SET        /* set-returning call in a PROJECT_SET target: func, args */
};

enum luma_sublink {
    LUMA_SUBLINK_EXISTS = 1,
    LUMA_SUBLINK_SCALAR, /* first column of at most one row; 21000 for more */
    LUMA_SUBLINK_ANY,    /* args cmp ANY (plan): IN is = ANY */
    LUMA_SUBLINK_ALL,
    LUMA_SUBLINK_ARRAY
};

struct luma_sort_key;

struct luma_expr {
    enum luma_expr_kind kind;
    struct luma_type type;
    bool negated;
    int32_t index;                /* COL, PARAM, OUTER, IS_BOOL */
    int32_t level;                /* OUTER */
    uint32_t position;            /* 1-based in the text, for errors; 0: unknown */
    struct luma_value value;      /* CONST; bytes live as long as the plan */
    const struct luma_func *func; /* CALL, AGG, SET, ... */
    uint32_t args_count;
    struct luma_expr **args;
    enum luma_sublink sublink;
    enum luma_cmp cmp; /* ROW_CMP; SUBLINK ANY/ALL */
    const struct luma_func **cmp_funcs;
    const struct luma_plan *plan; /* SUBLINK */
    bool correlated;              /* SUBLINK: the plan has an OUTER that leaves it */
    /* AGG, WINDOW */
    bool distinct;
    struct luma_expr *filter; /* NULL: none */
    uint32_t order_count;
    const struct luma_sort_key *order; /* over the node's input row */
    /* WINDOW */
    const struct luma_window *window;
};

struct luma_sort_key {
    struct luma_expr *expr;
    bool desc, nulls_first;
};

enum luma_frame_mode { LUMA_FRAME_ROWS, LUMA_FRAME_RANGE, LUMA_FRAME_GROUPS };
enum luma_frame_bound {
    LUMA_BOUND_UNBOUNDED_PRECEDING,
    LUMA_BOUND_PRECEDING,
    LUMA_BOUND_CURRENT,
    LUMA_BOUND_FOLLOWING,
    LUMA_BOUND_UNBOUNDED_FOLLOWING
};
struct luma_window {
    uint32_t partition_count, order_count;
    struct luma_expr **partition;
    const struct luma_sort_key *order;
    enum luma_frame_mode mode;
    enum luma_frame_bound start, end;
    struct luma_expr *start_offset, *end_offset;
    uint8_t exclude; /* 0 none, 1 current row, 2 group, 3 ties */
};

enum luma_plan_kind {
    LUMA_PLAN_SCAN = 1, /* coll_id, scan_cols [, rowid last], filter */
    LUMA_PLAN_VIRTUAL,  /* provider: catalogue and system views; filter */
    LUMA_PLAN_VALUES,   /* rows of expressions without COLs */
    LUMA_PLAN_SET_FUNC, /* FROM f(...): exprs[0] is EXPR_SET; with_ordinality adds an int8 column */
    LUMA_PLAN_FILTER,   /* children[0], filter */
    LUMA_PLAN_PROJECT,  /* children[0] (or none: one empty row), exprs */
    LUMA_PLAN_PROJECT_SET, /* like PROJECT; top-level EXPR_SETs multiply rows as in PostgreSQL 10+
                            */
    LUMA_PLAN_JOIN,        /* children[0], children[1], join, filter is the ON condition */
    LUMA_PLAN_AGGREGATE,   /* children[0], exprs: group keys, aggs; output: keys then aggregates */
    LUMA_PLAN_DISTINCT, /* children[0]; distinct_count leading columns decide (DISTINCT ON), 0: all
                         */
    LUMA_PLAN_SORT,     /* children[0], sort */
    LUMA_PLAN_LIMIT,    /* children[0], limit, offset (NULL: none), with_ties (child is the SORT) */
    LUMA_PLAN_SETOP,    /* children[0], children[1], setop, all; columns of equal types */
    LUMA_PLAN_CTE, /* children[0]: the definition, children[1]: the body; cte_id; computed once */
    LUMA_PLAN_CTE_SCAN,  /* cte_id of an enclosing CTE or RECURSIVE */
    LUMA_PLAN_RECURSIVE, /* children[0] start, children[1] step (reads CTE_SCAN cte_id = last rows);
                            all */
    LUMA_PLAN_WINDOW, /* children[0]; windows; output: child's columns then one per window function
                       */
    LUMA_PLAN_LOCK,   /* children[0]; locks: SELECT FOR UPDATE ... */
    LUMA_PLAN_INSERT, /* change; children[0] gives all columns of the definition in its order */
    LUMA_PLAN_UPDATE, /* change; children[0] gives: the target's columns, its rowid, then others */
    LUMA_PLAN_DELETE  /* change; as UPDATE */
};

enum luma_join {
    LUMA_JOIN_INNER = 1,
    LUMA_JOIN_LEFT,
    LUMA_JOIN_RIGHT,
    LUMA_JOIN_FULL,
    LUMA_JOIN_SEMI,
    LUMA_JOIN_ANTI /* output: left columns only */
};

enum luma_setop { LUMA_SETOP_UNION = 1, LUMA_SETOP_INTERSECT, LUMA_SETOP_EXCEPT };

struct luma_plan_col {
    const char *name;
    struct luma_type type;
    uint64_t table_id; /* origin, 0: an expression */
    uint32_t col_id;
};

/* Rows made by a module: pg_catalog, information_schema, system views, COPY sources. */
struct luma_provider {
    const char *name;
    luma_rc (*open)(struct luma_ctx *ctx, struct luma_txn *txn, void *arg, struct luma_arena *arena,
                    void **out_state);
    luma_rc (*next)(struct luma_ctx *ctx, void *state, struct luma_batch *out); /* rows 0: end */
    void (*close)(void *state);
    void *arg;
    uint64_t rows_estimate;
};

struct luma_plan_check {
    const char *name;       /* of the constraint */
    struct luma_expr *expr; /* over the new row; false is an error, null passes */
};

/* INSERT, UPDATE, DELETE */
struct luma_plan_change {
    uint64_t coll_id;
    const char *table_name, *schema_name;
    uint32_t table_cols_count; /* of the definition */
    const struct luma_plan_col *table_cols;
    const bool *not_null; /* per table column */
    uint32_t checks_count;
    const struct luma_plan_check *checks; /* over the new row (table columns) */
    /* UPDATE: new value of table column set_cols[i] is set_exprs[i] over the child's row. INSERT
     * with conflict REPORT: over existing row ++ proposed row. */
    uint32_t set_count;
    const uint32_t *set_cols; /* positions in table_cols */
    struct luma_expr **set_exprs;
    struct luma_expr *set_where; /* ON CONFLICT DO UPDATE ... WHERE; NULL */
    enum luma_conflict_mode conflict;
    uint64_t conflict_index;
    /* UPDATE, DELETE under READ COMMITTED: the whole WHERE over the child's row, evaluated again on
     * the newest version of a row that changed meanwhile. NULL: no WHERE. */
    struct luma_expr *recheck;
    /* RETURNING: over new row (DELETE: old row) ++ child's columns after rowid. count 0: none; the
     * node's cols are then empty and its rows are counted only. */
    uint32_t returning_count;
    struct luma_expr **returning;
    /* Name of a unique constraint by index id, for error messages. */
    uint32_t index_names_count;
    const uint64_t *index_ids;
    const char *const *index_names;
    bool bulk; /* large source (INSERT ... SELECT, COPY): the engine may use host->store bulk calls
                */
    /* Told of each batch of changed rows, after checks and change; NULL: nobody asks. Rows are in
     * the table's columns, of which at least captured_cols (positions) are filled; the i-th
     * selected row of before and after are the same row. INSERT: before NULL; DELETE: after NULL.
     * Parts of a bulk load call it side by side. */
    luma_rc (*captured)(struct luma_ctx *ctx, struct luma_session *session, const void *arg,
                        const struct luma_batch *before, const struct luma_batch *after);
    const void *captured_arg;
    uint32_t captured_count;
    const uint32_t *captured_cols;
};

struct luma_plan_lock {
    uint64_t coll_id;
    uint32_t rowid_col; /* in the child's row */
    enum luma_lock_mode mode;
    enum luma_lock_wait wait;
};

struct luma_plan {
    enum luma_plan_kind kind;
    uint32_t cols_count;
    const struct luma_plan_col *cols; /* output */
    uint32_t children_count;
    struct luma_plan *children[2];

    /* SCAN, VIRTUAL */
    uint64_t coll_id;
    const char *table_name; /* for EXPLAIN */
    const char *alias;
    const uint32_t *scan_cols; /* storage column ids; with rowid, cols has one more column (int8) */
    bool rowid;
    const struct luma_provider *provider;

    struct luma_expr *filter; /* SCAN, VIRTUAL, FILTER, JOIN; NULL: true */
    uint32_t exprs_count;     /* PROJECT, PROJECT_SET, AGGREGATE keys, SET_FUNC */
    struct luma_expr **exprs;
    bool with_ordinality;
    uint32_t aggs_count;
    struct luma_expr **aggs;
    uint32_t sets_count; /* AGGREGATE: grouping sets as bit masks over exprs; 0: one, of all */
    const uint64_t *sets;
    uint32_t windows_count;
    struct luma_expr **windows;
    enum luma_join join;
    bool lateral; /* JOIN: children[1] has OUTER(1, i) into children[0]'s row */
    uint32_t distinct_count;
    uint32_t sort_count;
    const struct luma_sort_key *sort;
    struct luma_expr *limit, *offset; /* int8, no COLs; LOCK: no more rows are asked of it */
    bool with_ties;
    enum luma_setop setop;
    bool all;
    uint32_t cte_id; /* unique in the whole plan */
    const char *cte_name;
    uint32_t values_rows; /* VALUES: exprs of row r are exprs[r * cols_count ...] */
    uint32_t locks_count;
    const struct luma_plan_lock *locks;
    const struct luma_plan_change *change;
};

#endif
