/*
 * lumadb/kind/function.h - packages of SQL functions, operators, casts and aggregates.
 *
 * A package offers "function.<name>" version 1: an array of signatures. The binder finds all
 * packages, resolves overloads by PostgreSQL's rules, and puts the chosen signature into the plan;
 * the engine then calls it once a batch.
 */
#ifndef LUMADB_KIND_FUNCTION_H
#define LUMADB_KIND_FUNCTION_H

#include <lumadb/batch.h>
#include <lumadb/error.h>
#include <lumadb/host/data.h>
#include <lumadb/module.h>

#define LUMA_FUNCTION_MAJOR 1
#define LUMA_FUNC_ARGS_MAX  8

enum luma_func_flags {
    LUMA_FUNC_STRICT = 1,    /* a null argument gives null: the engine sets out->valid and selects
                                only the rows whose arguments are all there */
    LUMA_FUNC_STABLE = 2,    /* same answer within a statement (now()); default: immutable */
    LUMA_FUNC_VOLATILE = 4,  /* called for every row (random()) */
    LUMA_FUNC_VARIADIC = 8,  /* the last argument type repeats, zero or more times */
    LUMA_FUNC_OPERATOR = 16, /* name is an operator: "+", "~~", "->>" (1 arg: prefix) */
    LUMA_FUNC_CAST = 32,     /* name is ignored: a cast from args[0] to result */
    LUMA_FUNC_CAST_ASSIGN = 64,    /* with CAST: also on assignment */
    LUMA_FUNC_CAST_IMPLICIT = 128, /* with CAST: also in expressions */
    LUMA_FUNC_AGGREGATE = 256,
    LUMA_FUNC_SET = 512,    /* returns rows: generate_series, unnest, json_each ... */
    LUMA_FUNC_DICT = 1024,  /* cheap to evaluate on a dictionary instead of on rows: the engine may
                               evaluate a one-column call once per distinct value */
    LUMA_FUNC_HIDDEN = 2048 /* not shown in \df */
};

/* What the engine may understand beyond calling: comparisons can be pushed into segments. */
enum luma_func_op {
    LUMA_OP_NONE = 0,
    LUMA_OP_EQ,
    LUMA_OP_NE,
    LUMA_OP_LT,
    LUMA_OP_LE,
    LUMA_OP_GT,
    LUMA_OP_GE,
    LUMA_OP_ADD,
    LUMA_OP_SUB,
    LUMA_OP_MUL,
    LUMA_OP_DIV,
    LUMA_OP_MOD,
    LUMA_OP_NEG,
    LUMA_OP_LIKE,
    LUMA_OP_NOT_LIKE,
    LUMA_OP_PREFIX,
    LUMA_OP_CAST,
    /* aggregates the engine has fast paths for; their functions below still work */
    LUMA_OP_COUNT_STAR,
    LUMA_OP_COUNT,
    LUMA_OP_SUM,
    LUMA_OP_AVG,
    LUMA_OP_MIN,
    LUMA_OP_MAX
};

struct luma_func;

struct luma_func_call {
    struct luma_ctx *ctx;
    struct luma_arena *arena; /* batch lifetime: results and what they point to */
    const struct luma_func *func;
    const struct luma_format *format; /* of the session; never NULL */
    void *bound;                      /* what bind() made; NULL */
    struct luma_type result;          /* as bound */
};

/*
 * Fills out for rows sel[0..rows) (sel NULL: 0..rows). Arguments are FLAT or CONST, all of the
 * declared types. out comes as a flat vector of the result type with room for the highest row; the
 * function may replace its data/phys/scale/bound (numeric) or set it to CONST. Non-strict functions
 * set out->valid themselves.
 */
typedef luma_rc (*luma_func_eval)(const struct luma_func_call *call, const struct luma_vec *args,
                                  uint32_t args_count, const uint16_t *sel, uint32_t rows,
                                  struct luma_vec *out);

/* Aggregates: one state of state_bytes (zeroed, 16-byte aligned, movable with memcpy) a group.
 * Whatever it points to lies in the arena of the aggregation (call->arena there). */
struct luma_func_aggregate {
    uint32_t state_bytes;
    bool ignores_nulls; /* the engine leaves out rows whose first argument is null */
    /* states[i] is the state of row sel[i] (dense, one pointer per selected row). */
    luma_rc (*update)(const struct luma_func_call *call, const struct luma_vec *args,
                      uint32_t args_count, const uint16_t *sel, uint32_t rows, void *const *states);
    /* into := into + from; from is not used again. */
    luma_rc (*merge)(const struct luma_func_call *call, void *into, void *from);
    luma_rc (*finish)(const struct luma_func_call *call, void *state, struct luma_value *out);
};

/* Where the calls of a batch have come to: a position in the selection, and the result rows of that
 * call that were given. */
struct luma_func_expand {
    uint32_t row, item;
};

/* Set-returning functions: produce columns in batches. */
struct luma_func_set {
    /* Names and types of the result columns; single column named like the function when NULL. */
    luma_rc (*columns)(const struct luma_func_call *call, const struct luma_value *args,
                       uint32_t args_count, uint32_t *out_count, const char *const **out_names,
                       const struct luma_type **out_types);
    luma_rc (*open)(const struct luma_func_call *call, const struct luma_value *args,
                    uint32_t args_count, void **out_state);
    /* Up to LUMA_BATCH_ROWS rows; rows 0: end. */
    luma_rc (*next)(const struct luma_func_call *call, void *state, struct luma_batch *out);
    void (*close)(void *state);
    /* Many calls at once, one for each row sel[0..rows) of args (FLAT or CONST): goes on where *at
     * says, gives up to LUMA_BATCH_ROWS result rows, the calls in order and the rows of each in
     * order, origin[i] the position in the selection that row i belongs to, and moves *at; at->row
     * = rows: that was all. A STRICT function passes calls with a null over. No row need be given
     * while there is more to come. NULL: open and next do it. */
    luma_rc (*expand)(const struct luma_func_call *call, const struct luma_vec *args,
                      uint32_t args_count, const uint16_t *sel, uint32_t rows,
                      struct luma_func_expand *at, struct luma_batch *out, uint16_t *origin);
};

struct luma_func {
    const char *name; /* lower case; schema pg_catalog */
    uint32_t flags;
    enum luma_func_op op;
    uint8_t args_count;
    struct luma_type args[LUMA_FUNC_ARGS_MAX];
    struct luma_type result; /* ANYELEMENT etc.: follows the arguments */
    /* May refine the result type from the actual argument types (numeric scale, text lengths) and
     * prepare state from constant arguments (consts[i] NULL: not constant), e.g. a compiled
     * pattern. State lives in call->arena (statement or plan lifetime). NULL: nothing to do. */
    luma_rc (*bind)(struct luma_func_call *call, const struct luma_type *arg_types,
                    const struct luma_value *const *consts, uint32_t args_count);
    luma_func_eval eval;                         /* scalar functions, operators, casts */
    const struct luma_func_aggregate *aggregate; /* AGGREGATE */
    const struct luma_func_set *set;             /* SET */
    const char *help;
};

struct luma_function_package {
    struct luma_head head;
    const struct luma_func *functions;
    size_t functions_count;
};

#define LUMA_FUNCTION_HEAD                                           \
    {                                                                \
        sizeof(struct luma_function_package), LUMA_FUNCTION_MAJOR, 0 \
    }

#endif
