/*
 * lumadb/kind/query.h - query languages as frontends see them: text in, results out.
 *
 * Service "query.<language>" version 1. All calls run in the session's task and may park.
 */
#ifndef LUMADB_KIND_QUERY_H
#define LUMADB_KIND_QUERY_H

#include <lumadb/batch.h>
#include <lumadb/error.h>
#include <lumadb/host/session.h>
#include <lumadb/module.h>

#define LUMA_QUERY_MAJOR 1

struct luma_result_col {
    const char *name;
    struct luma_type type;
    uint64_t table_id; /* origin, 0: an expression */
    uint32_t col_id;
};

/* A running or finished statement. Pulled by the frontend; a portal with a row limit is simply not
 * asked further. */
struct luma_result {
    const struct luma_result_col *cols; /* cols_count 0: no rows come (INSERT, SET ...) */
    uint32_t cols_count;
    /* Next batch; rows 0 (sel_rows 0): end. Valid until the next call. */
    luma_rc (*next)(struct luma_ctx *ctx, struct luma_result *result,
                    struct luma_batch **out_batch);
    /* Ends it, early or not; frees result. NULL is not fine. */
    void (*close)(struct luma_result *result);
    const char *tag; /* "SELECT", "INSERT 0", "UPDATE": rows_done is added by the frontend when */
    bool tag_rows;   /* this is set; valid after the end */
    uint64_t rows_done; /* rows returned or changed so far */
};

/* Bytes of COPY, implemented by the frontend. */
struct luma_copy_io {
    luma_rc (*begin_in)(struct luma_ctx *ctx, struct luma_copy_io *io, bool binary, uint32_t cols);
    /* Next piece from the client, any size, valid until the next call; bytes 0: the client is done.
     * LUMA_E_CANCELED (57014) when it sent CopyFail. */
    luma_rc (*read)(struct luma_ctx *ctx, struct luma_copy_io *io, struct luma_slice *out);
    luma_rc (*begin_out)(struct luma_ctx *ctx, struct luma_copy_io *io, bool binary, uint32_t cols);
    luma_rc (*write)(struct luma_ctx *ctx, struct luma_copy_io *io, const void *data, size_t bytes);
    luma_rc (*end_out)(struct luma_ctx *ctx, struct luma_copy_io *io);
};

struct luma_exec_opts {
    const struct luma_value *params;
    uint32_t params_count;
    struct luma_copy_io *copy; /* NULL: COPY to or from the client is refused */
};

struct luma_stmt; /* parsed, perhaps bound and planned; reference counted by the language */

struct luma_language {
    struct luma_head head;
    /* Splits and parses a script of any number of statements (none: *out_count 0). Names are
     * resolved when each is executed. out_stmts (ctx->arena) are released one by one. */
    luma_rc (*script)(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                      struct luma_stmt ***out_stmts, uint32_t *out_count);
    /* Exactly one statement (or an empty one), bound, so that describe can answer. type_oids: 0 or
     * missing means infer. */
    luma_rc (*prepare)(struct luma_ctx *ctx, struct luma_session *session, struct luma_slice text,
                       const uint32_t *type_oids, uint32_t types_count,
                       struct luma_stmt **out_stmt);
    void (*release)(struct luma_stmt *stmt);
    /* Valid while stmt is; cols_count 0: returns no rows. Rebinds after DDL (LUMA_E_UNSUPPORTED
     * 0A000 "cached plan must not change result type"). */
    luma_rc (*describe)(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
                        const struct luma_type **out_params, uint32_t *out_params_count,
                        const struct luma_result_col **out_cols, uint32_t *out_cols_count);
    /* Runs it in the session's transaction (statement_begin/statement_end are called inside; the
     * statement ends when the result does). The result's batches are done when next said so.
     * Statements without rows (INSERT without RETURNING, DDL, SET) have done their work when this
     * returns. */
    luma_rc (*execute)(struct luma_ctx *ctx, struct luma_session *session, struct luma_stmt *stmt,
                       const struct luma_exec_opts *opts, struct luma_result **out_result);
    bool (*is_empty)(const struct luma_stmt *stmt);
    /* May it run in a failed block (COMMIT, ROLLBACK)? */
    bool (*ends_block)(const struct luma_stmt *stmt);

    /* --- named statements of the session: PREPARE and the protocol's Parse share them --- */
    luma_rc (*named_put)(
        struct luma_ctx *ctx, struct luma_session *session, const char *name,
        struct luma_stmt *stmt); /* keeps a reference; 42P05 when the name is taken */
    struct luma_stmt *(*named_get)(struct luma_session *session,
                                   const char *name);                   /* borrowed or NULL */
    void (*named_drop)(struct luma_session *session, const char *name); /* NULL: all */
    /* SQL cursors as portals: the result of a DECLAREd cursor, or NULL. */
    struct luma_result *(*cursor_get)(struct luma_session *session, const char *name);
    /* One more reference, given back with release: a portal outlives DEALLOCATE. */
    void (*retain)(struct luma_stmt *stmt);
};

#define LUMA_QUERY_HEAD                                   \
    {                                                     \
        sizeof(struct luma_language), LUMA_QUERY_MAJOR, 0 \
    }

#endif
