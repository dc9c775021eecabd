/*
 * lumadb/unstable/engine.h - the query engine as languages see it: service "query.engine"
 * version 1.
 *
 * prepare optimizes a logical plan (push-down, join order, indexes, decorrelation) and compiles it
 * once; open runs it any number of times, also at the same time from several sessions.
 */
#ifndef LUMADB_UNSTABLE_ENGINE_H
#define LUMADB_UNSTABLE_ENGINE_H

#include <lumadb/kind/query.h>
#include <lumadb/unstable/plan.h>

#define LUMA_ENGINE_MAJOR 1

struct luma_query; /* prepared, immutable, reference counted */

enum luma_explain_format { LUMA_EXPLAIN_TEXT = 0, LUMA_EXPLAIN_JSON = 1 };

struct luma_explain_opts {
    enum luma_explain_format format;
    bool analyze, verbose, costs, timing, summary, buffers;
};

struct luma_engine {
    struct luma_head head;
    /* plan must stay valid until the query is released. param_types: as bound. */
    luma_rc (*prepare)(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                       const struct luma_plan *plan, const struct luma_type *param_types,
                       uint32_t params_count, struct luma_query **out_query);
    void (*ref)(struct luma_query *query);
    void (*release)(struct luma_query *query); /* NULL is fine */
    /* Runs it under txn. The result allocates from an arena of its own and is closed before the
     * transaction ends. Changes (INSERT ...) without RETURNING are done when open returns, with
     * rows_done set. params stay valid until close. */
    luma_rc (*open)(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                    struct luma_query *query, const struct luma_value *params,
                    uint32_t params_count, struct luma_result **out_result);
    /* One line per entry, in ctx->arena. With analyze the query was run to its end first. */
    luma_rc (*explain)(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                       struct luma_query *query, const struct luma_value *params,
                       uint32_t params_count, const struct luma_explain_opts *opts,
                       const char *const **out_lines, uint32_t *out_count);
    /* A scalar expression without COLs (defaults, LIMIT, EXECUTE arguments). */
    luma_rc (*eval)(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                    const struct luma_expr *expr, const struct luma_value *params,
                    uint32_t params_count, struct luma_arena *arena, struct luma_value *out);
    /* Rows from anywhere (COPY FROM) into a table: checks, not null, then bulk or insert. The
     * source is pulled by `parts` workers: next(arg, part, ctx, batch) gives table columns; rows 0:
     * that part is done. */
    luma_rc (*load)(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                    const struct luma_plan_change *change, uint32_t parts,
                    luma_rc (*next)(void *arg, uint32_t part, struct luma_ctx *ctx,
                                    struct luma_batch *out),
                    void *arg, uint64_t *out_rows);
};

#define LUMA_ENGINE_HEAD                                 \
    {                                                    \
        sizeof(struct luma_engine), LUMA_ENGINE_MAJOR, 0 \
    }

#endif
