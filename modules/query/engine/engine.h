/*
 * engine.h - the engine's own structures: the query tree, compiled expressions, operators.
 *
 * A logical plan becomes a tree of `rel` nodes over variables (every column of every node instance
 * has a number of its own, so that predicates and columns move without renumbering); the optimizer
 * rewrites that tree; phys_*.c turns it into operators over positions; op_*.c runs them.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <lumadb/host/catalog.h>
#include <lumadb/host/data.h>
#include <lumadb/host/host.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>
#include <lumadb/host/stats.h>
#include <lumadb/host/store.h>
#include <lumadb/host/txn.h>
#include <lumadb/kind/simd.h>
#include <lumadb/unstable/engine.h>

#include <setjmp.h>

struct explain;
struct luma_host_temp;
struct rel;
struct ex;
struct xp;
struct op;
struct prog;
struct exec;
struct part;

/* The tables of the kernel, copied once at init and never changed after start. */
struct eng_host {
    const struct luma_host_mem *mem;
    const struct luma_host_data *data;
    const struct luma_host_sched *sched;
    const struct luma_host_session *session;
    const struct luma_host_txn *txn;
    const struct luma_host_catalog *catalog; /* NULL in tests: nothing is known to be not null */
    const struct luma_host_store *store;
    const struct luma_host_stats *stats;
    const struct luma_simd *simd;
    const struct luma_host_temp *temp; /* NULL: nothing is written out */
};
extern struct eng_host eng;

extern const struct luma_engine eng_engine;

/* ---- query tree --------------------------------------------------------------------------- */

struct ex_key {
    struct ex *expr;
    bool desc, nulls_first;
};

struct ex_window {
    uint32_t partition_count, order_count;
    struct ex **partition;
    struct ex_key *order;
    enum luma_frame_mode mode;
    enum luma_frame_bound start, end;
    struct ex *start_offset, *end_offset;
    uint8_t exclude;
};

/* A bound expression over variables: kinds and members are those of struct luma_expr; COL and OUTER
 * have both become EXPR_COL with the variable in index. */
struct ex {
    enum luma_expr_kind kind;
    struct luma_type type;
    bool negated;
    int32_t index;
    struct luma_value value;
    const struct luma_func *func;
    uint32_t args_count;
    struct ex **args;
    enum luma_sublink sublink;
    enum luma_cmp cmp;
    const struct luma_func *const *cmp_funcs;
    struct rel *sub;
    bool distinct;
    struct ex *filter;
    uint32_t order_count;
    struct ex_key *order;
    struct ex_window *window;
};

enum rel_kind {
    REL_SCAN = 1,
    REL_VIRTUAL,
    REL_VALUES,
    REL_SET_FUNC,
    REL_FILTER,
    REL_PROJECT,
    REL_PROJECT_SET,
    REL_JOIN,
    REL_GROUP, /* inner joins flattened: members and conds, before they are ordered */
    REL_AGG,
    REL_DISTINCT,
    REL_SORT,
    REL_LIMIT,
    REL_SETOP,
    REL_CTE,
    REL_CTE_SCAN,
    REL_RECURSIVE,
    REL_WINDOW,
    REL_LOCK,
    REL_CHANGE, /* INSERT, UPDATE, DELETE: plan->kind says which */
    REL_EMPTY   /* no rows */
};

struct ex_list {
    struct ex **items;
    uint32_t count, room;
};

struct rel {
    enum rel_kind kind;
    const struct luma_plan *plan; /* where it came from; NULL: made by the optimizer */
    uint32_t outs_count;
    uint32_t *outs; /* variables of the output row, in order */
    struct rel *child[2];
    struct ex_list conds; /* SCAN, VIRTUAL, FILTER, JOIN, GROUP: conjuncts */
    uint32_t exprs_count; /* PROJECT, PROJECT_SET, AGG keys, VALUES, SET_FUNC */
    struct ex **exprs;    /* PROJECT: parallel to outs */
    uint32_t aggs_count;  /* AGG, WINDOW functions */
    struct ex **aggs;
    uint32_t sort_count; /* SORT; DISTINCT ON keeps the child's order */
    struct ex_key *sort;
    struct ex *limit, *offset;
    bool with_ties;
    enum luma_join join;
    bool lateral;
    bool null_aware;        /* ANTI of NOT IN: a null on either side is no match and no proof */
    bool single;            /* LEFT: more than one match is an error (scalar subquery) */
    uint32_t members_count; /* GROUP */
    struct rel **members;
    enum luma_join *member_join; /* INNER, or SEMI and ANTI with their own conditions */
    struct ex_list *member_conds;
    bool *member_aware;
    uint32_t *key_vars; /* SETOP right side variables live in child[1]->outs; AGG: outs */
    uint32_t distinct_count;
    enum luma_setop setop;
    bool all;
    uint32_t cte_id;
    uint32_t rowid_var; /* SCAN with row ids, else NO_VAR */
    /* SCAN: the SORT above that an index may stand in for, and how many rows of it are wanted. */
    const struct rel *order;
    double order_rows;
    uint32_t path_vars_count; /* SCAN: fields of documents, see opt_path.c */
    uint32_t *path_vars;
    /* CHANGE: expressions and the variables they speak of */
    uint32_t *new_vars; /* table columns of the new row (DELETE: the old row) */
    uint32_t *old_vars; /* ON CONFLICT: the row in the way */
    struct ex **set_exprs;
    struct ex *set_where, *recheck;
    struct ex **checks;
    struct ex **returning;
    double rows; /* estimate; < 0: not yet made */
    double cost;
};

#define NO_VAR UINT32_MAX

/* What is known about a variable. */
struct var {
    struct luma_type type;
    struct rel *def; /* the node that makes it */
    const char *name;
    uint64_t coll_id; /* base column; 0: none */
    uint32_t col_id;
    const struct luma_path *path; /* a field of variable path_of; NULL: none */
    uint32_t path_of;
    bool not_null;
    bool stats_read;
    struct luma_col_stats stats;
};

struct bits {
    uint32_t words;
    uint64_t *w;
};

struct coll_ref {
    uint64_t coll_id;
    struct luma_coll *coll;
    double rows;
};

/* One prepare: everything lives in arena (the query's). Deep recursion makes many small things, so
 * errors leave by one long jump to eng_prepare, which closes what was opened; the code between
 * holds no resource of its own. */
struct prep {
    jmp_buf out;
    luma_rc rc;
    struct luma_ctx *ctx;
    struct luma_session *session;
    struct luma_txn *txn;
    struct luma_arena *arena;
    struct luma_query *query;
    const struct luma_cat_view *cat;
    uint32_t vars_count, vars_room;
    struct var *vars;
    uint32_t colls_count;
    struct coll_ref colls[64]; /* open while preparing; further tables go without statistics */
    uint32_t ctes_count;
    uint32_t cte_ids; /* one more than the highest id met */
    bool has_join;    /* then statistics are worth some reading */
    struct cte_import *ctes;
};

/* ---- compiled expressions ----------------------------------------------------------------- */

enum xp_kind {
    XP_COL = 1,
    XP_CONST,
    XP_PARAM,
    XP_OUTER,
    XP_CALL,
    XP_AND,
    XP_OR,
    XP_NOT,
    XP_IS_NULL,
    XP_IS_BOOL,
    XP_DISTINCT,
    XP_CASE,
    XP_COALESCE,
    XP_NULLIF,
    XP_GREATEST,
    XP_LEAST,
    XP_IN,
    XP_ANY,
    XP_ARRAY,
    XP_ROW,
    XP_ROW_CMP,
    XP_SUBSCRIPT,
    XP_SUBLINK
};

enum xp_flags {
    XP_CONSTANT = 1, /* no column, no volatile call: one value per execution */
    XP_VOLATILE = 2,
    XP_ANY_SCALE = 4, /* the consumer does not mind a wider numeric scale */
    XP_IMMUTABLE = 8  /* constant over all executions: no parameter, outer value or stable call */
};

struct xp {
    enum xp_kind kind;
    uint32_t flags;
    struct luma_type type;
    uint32_t index; /* COL: position, PARAM, OUTER; IS_BOOL */
    uint32_t state; /* slot of the part's expression states; UINT32_MAX: none */
    bool negated;
    uint32_t args_count;
    struct xp **args;
    const struct luma_func *func;
    void *bound;
    struct luma_value value; /* CONST */
    enum luma_sublink sublink;
    enum luma_cmp cmp;
    const struct luma_func *const *cmp_funcs;
    struct prog *prog;  /* SUBLINK */
    struct in_set *set; /* IN of constants */
    struct xp **outer;  /* SUBLINK: values of prog->outer_vars in this expression's terms */
};

struct xp_key {
    struct xp *xp;
    bool desc, nulls_first;
};

/* Where an expression is evaluated: the batch arena takes results. */
struct xenv {
    struct exec *x;
    struct part *p;
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct luma_arena
        *states; /* where aggregate states keep what they point to; NULL: the part's */
};

/* ---- operators ------------------------------------------------------------------------------ */

struct op_class {
    const char *name;
    /* Opens the shared state, children first or last as it must; runs what has to come before rows.
     */
    luma_rc (*open)(struct exec *x, struct luma_ctx *ctx, const struct op *op);
    /* How many parts may pull side by side; called after open. */
    uint32_t (*parts)(struct exec *x, const struct op *op);
    /* How many will: before the first next of a pipeline. NULL: nothing to know. */
    void (*start)(struct exec *x, const struct op *op, uint32_t parts);
    /* Next batch of this part with sel_rows > 0, or NULL at the end. Valid until the part's next
     * call. */
    luma_rc (*next)(struct part *p, const struct op *op, struct luma_batch **out);
    /* There is state, of the execution or of a part. */
    void (*close)(struct exec *x, const struct op *op);
    /* Its last row was given: memory goes back, what EXPLAIN tells stays. NULL: nothing to give. */
    void (*release)(struct exec *x, const struct op *op);
    /* One line of EXPLAIN properties each; NULL: none. */
    void (*explain)(struct explain *e, const struct op *op);
};

struct op {
    const struct op_class *cls;
    uint32_t id;
    uint32_t cols_count;
    uint32_t *vars; /* of the columns */
    struct luma_type *types;
    struct op *child[2];
    const struct rel *rel;
    double rows_est;
};

/* What EXPLAIN ANALYZE counts, per operator; each part adds at its end of a batch. */
struct op_stat {
    uint64_t rows, batches, ns, loops;
};

/* A runnable tree: the main query, a subquery of an expression, the right side of a lateral join.
 */
struct prog {
    struct luma_query *query;
    struct prog *up; /* whose expressions hold it */
    struct op *root;
    uint32_t ops_count, states_count, index;
    uint32_t outer_count, outer_room;
    uint32_t *outer_vars;
    const struct luma_type **outer_types;
    uint32_t *out_pos; /* position in root's row of output column i */
    uint32_t outs_count;
    struct luma_type *out_types;
    bool once; /* uncorrelated: its answer is kept for the whole execution */
    bool uses_outer_cte;
    bool *ctes; /* by id: defined in this program */
};

struct luma_query {
    uint32_t refs;
    struct luma_arena *arena;
    struct luma_budget *budget;
    const struct luma_plan *plan;
    struct prog *main;
    uint32_t subs_count, subs_room; /* programs with once set, inner ones first */
    struct prog **subs;
    uint32_t progs_count;
    uint32_t ctes_count;
    struct luma_result_col *cols;
    uint32_t cols_count;
    const char **var_names; /* by variable, for EXPLAIN */
    uint32_t var_names_count;
    const char *tag;
    bool tag_rows;
    bool is_change; /* the top node changes rows */
    const struct luma_type *param_types;
    uint32_t params_count;
};

/* Kept answer of a subquery, or a materialized CTE. */
struct sub_state {
    struct luma_event lock;
    bool done;
    struct exec *exec;
    struct luma_value value; /* SCALAR, ARRAY; EXISTS as bool */
    struct sub_set *set;     /* ANY, ALL */
};

struct op_mem {
    void *p;
    size_t bytes;
};

struct part {
    struct exec *x;
    uint32_t index;
    struct luma_ctx *ctx;      /* of whoever runs it now */
    struct luma_arena *arena;  /* life of the execution */
    void **op_state;           /* by op id */
    struct op_mem *op_mem;     /* what op_state points to, kept when an operator is run again */
    void **xp_state;           /* by xp state */
    struct luma_arena **batch; /* by op id: reset by the op at each next; then the step arenas */
    struct op_stat *stat;
};

struct exec {
    struct luma_result result; /* first: what the language holds */
    struct luma_query *query;
    const struct prog *prog;
    struct luma_session *session;
    struct luma_txn *txn;
    struct luma_arena *arena;
    struct luma_budget *budget;
    const struct luma_format *format;
    const struct luma_value *params;
    uint32_t params_count;
    const struct luma_value *outer; /* by prog->outer_vars */
    struct exec *up, *root;
    struct part *up_part;
    uint32_t parts_max; /* 1 inside a part of another pipeline */
    uint32_t parts_made;
    struct part **parts;
    void **op_state; /* shared, by op id */
    struct op_mem *op_mem;
    struct sub_state *subs;  /* root: by prog->index */
    struct cte_state **ctes; /* by cte slot; the exec whose program has the CTE fills it */
    struct pool *pool;
    bool opened, ended, analyze;
    struct luma_batch out;
    uint64_t changed; /* rows inserted, updated, deleted */
    uint64_t spilled; /* root, atomic: bytes written to temporary files */
};

#define ENG_NOMEM(ctx, what)                                                                     \
    LUMA_FAIL((ctx), LUMA_E_NOMEM,                                                               \
              "out of memory in %s: what statement_memory (or memory_budget) grants is used up", \
              (what))

#define ENG_NEED(ctx, ptr, what)             \
    do {                                     \
        if (LUMA_UNLIKELY((ptr) == NULL))    \
            return ENG_NOMEM((ctx), (what)); \
    } while (0)

#endif
