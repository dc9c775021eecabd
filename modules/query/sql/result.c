/*
 * result.c - results as frontends pull them: the engine's behind a wrapper that ends the statement,
 * rows known beforehand, and plain completion tags. Wrappers are reused from a list per session.
 */
#include <stdlib.h>

#include "sql.h"

struct sql_result {
    struct luma_result base;
    struct sql_result *free_next;
    struct luma_session *session;
    struct luma_result *inner;
    struct sql_bound *bound;
    struct luma_arena *arena; /* of rows known beforehand */
    struct luma_batch *batches;
    uint32_t batches_count, batches_at;
    struct luma_batch empty;
    bool ends_statement, counts;
    luma_rc rc;
    struct luma_stmt *stmt; /* whose time is counted; NULL: nobody's */
    uint64_t started_ns;
};

static luma_rc
foreign_end(struct luma_ctx *ctx, const struct sql_result *r)
{
    return sql_foreign_end(ctx, r->session, sql_host->session->txn(r->session));
}

static luma_rc
result_next(struct luma_ctx *ctx, struct luma_result *base, struct luma_batch **out_batch)
{
    struct sql_result *r = (struct sql_result *)base;
    if (r->inner != NULL) {
        r->rc = r->inner->next(ctx, r->inner, out_batch);
        if (r->rc == LUMA_OK && (*out_batch)->sel_rows == 0)
            r->rc = foreign_end(ctx, r); /* changes of a WITH are done by now */
        if (r->rc != LUMA_OK)
            return r->rc;
        base->rows_done =
            r->counts ? base->rows_done + (*out_batch)->sel_rows : r->inner->rows_done;
        return LUMA_OK;
    }
    if (r->batches_at < r->batches_count) {
        *out_batch = &r->batches[r->batches_at++];
        base->rows_done += (*out_batch)->sel_rows;
        return LUMA_OK;
    }
    memset(&r->empty, 0, sizeof(r->empty));
    *out_batch = &r->empty;
    return LUMA_OK;
}

static void
result_close(struct luma_result *base)
{
    struct sql_result *r = (struct sql_result *)base;
    struct sql_session *own = sql_session_of(r->session);
    if (r->stmt != NULL) {
        uint64_t ns = sql_host->sched->now_ns() - r->started_ns;
        sql_stat_count(r->stmt->stat, ns, base->rows_done, r->rc != LUMA_OK);
        sql_slow_log(r->session, r->stmt, r->bound, ns, base->rows_done, r->rc);
    }
    if (r->inner != NULL)
        r->inner->close(r->inner);
    sql_stmt_release(r->stmt);
    if (r->ends_statement)
        sql_host->session->statement_end(r->session, r->rc);
    sql_bound_release(r->bound);
    if (r->arena != NULL)
        sql_host->mem->arena_destroy(r->arena);
    r->free_next = own->results_free;
    own->results_free = r;
}

static struct sql_result *
result_new(struct luma_session *session)
{
    struct sql_session *own = sql_session_of(session);
    struct sql_result *r = own->results_free;
    if (r != NULL)
        own->results_free = r->free_next;
    else
        r = malloc(sizeof(*r));
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof(*r));
    r->session = session;
    r->base.next = result_next;
    r->base.close = result_close;
    return r;
}

void
sql_results_fini(struct sql_session *own)
{
    while (own->results_free != NULL) {
        struct sql_result *r = own->results_free;
        own->results_free = r->free_next;
        free(r);
    }
}

luma_rc
sql_result_done(struct luma_ctx *ctx, struct luma_session *session, const char *tag, bool tag_rows,
                uint64_t rows, struct luma_result **out_result)
{
    struct sql_result *r = result_new(session);
    if (r == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    r->base.tag = tag;
    r->base.tag_rows = tag_rows;
    r->base.rows_done = rows;
    *out_result = &r->base;
    return LUMA_OK;
}

luma_rc
sql_result_wrap(struct luma_ctx *ctx, struct luma_session *session, struct sql_bound *bound,
                struct luma_result *inner, bool ends_statement, struct luma_result **out_result)
{
    struct sql_result *r = result_new(session);
    if (r == NULL) {
        inner->close(inner);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    bound->refs++;
    r->bound = bound;
    r->inner = inner;
    r->ends_statement = ends_statement;
    r->counts = bound->returns_rows;
    r->base.cols = bound->cols;
    r->base.cols_count = bound->cols_count;
    r->base.tag = bound->tag;
    r->base.tag_rows = true;
    r->base.rows_done = r->counts ? 0 : inner->rows_done;
    *out_result = &r->base;
    return LUMA_OK;
}

void
sql_result_time(struct luma_result *result, struct luma_stmt *stmt, uint64_t started_ns)
{
    struct sql_result *r = (struct sql_result *)result;
    r->stmt = stmt;
    r->started_ns = started_ns;
    sql_stmt_ref(stmt);
}

/* ---- rows known beforehand ---- */

static luma_rc
fill_batch(struct luma_arena *arena, const char *const *cells, uint32_t cols, uint32_t first,
           uint32_t rows, struct luma_batch *out)
{
    out->rows = out->sel_rows = rows;
    out->cols_count = cols;
    out->cols = LUMA_NEW_ARRAY(arena, struct luma_vec, cols);
    if (out->cols == NULL)
        return LUMA_E_NOMEM;
    for (uint32_t c = 0; c < cols; c++) {
        struct luma_vec *vec = &out->cols[c];
        if (!luma_vec_init(vec, arena, luma_type(LUMA_TYPE_TEXT), rows))
            return LUMA_E_NOMEM;
        struct luma_str *values = vec->data;
        for (uint32_t r = 0; r < rows; r++) {
            const char *cell = cells[(size_t)(first + r) * cols + c];
            if (cell == NULL) {
                if (!luma_vec_need_valid(vec, arena, rows))
                    return LUMA_E_NOMEM;
                luma_bit_clear(vec->valid, r);
                continue;
            }
            size_t bytes = strlen(cell);
            const char *copy = luma_arena_text(arena, cell, bytes);
            if (copy == NULL)
                return LUMA_E_NOMEM;
            values[r] = luma_str_make(copy, (uint32_t)bytes);
        }
    }
    return LUMA_OK;
}

static luma_rc
fill_rows(struct sql_result *r, const struct luma_result_col *cols, uint32_t cols_count,
          const char *const *cells, uint32_t rows)
{
    struct luma_result_col *own = LUMA_NEW_ARRAY(r->arena, struct luma_result_col, cols_count);
    uint32_t batches = (rows + LUMA_BATCH_ROWS - 1) / LUMA_BATCH_ROWS;
    r->batches = LUMA_NEW_ARRAY(r->arena, struct luma_batch, batches + 1);
    if (own == NULL || r->batches == NULL)
        return LUMA_E_NOMEM;
    for (uint32_t i = 0; i < cols_count; i++) {
        own[i] = cols[i];
        own[i].name = luma_arena_text(r->arena, cols[i].name, strlen(cols[i].name));
        if (own[i].name == NULL)
            return LUMA_E_NOMEM;
    }
    r->base.cols = own;
    r->base.cols_count = cols_count;
    r->batches_count = batches;
    for (uint32_t i = 0; i < batches; i++) {
        uint32_t first = i * LUMA_BATCH_ROWS;
        uint32_t n = rows - first < LUMA_BATCH_ROWS ? rows - first : LUMA_BATCH_ROWS;
        LUMA_TRY(fill_batch(r->arena, cells, cols_count, first, n, &r->batches[i]));
    }
    return LUMA_OK;
}

luma_rc
sql_result_rows(struct luma_ctx *ctx, struct luma_session *session, const char *tag,
                const struct luma_result_col *cols, uint32_t cols_count, const char *const *cells,
                uint32_t rows, struct luma_result **out_result)
{
    struct sql_result *r = result_new(session);
    if (r == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    r->arena = sql_host->mem->arena_create(sql_host->session->budget(session), 4096);
    if (r->arena == NULL || fill_rows(r, cols, cols_count, cells, rows) != LUMA_OK) {
        result_close(&r->base);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    }
    r->base.tag = tag;
    *out_result = &r->base;
    return LUMA_OK;
}
