/* change.c - constraints of rows, their errors in PostgreSQL's words, RETURNING. */
#include "change.h"

#include <stdio.h>
#include <stdlib.h>

void
eng_change_build(struct phys *ph, struct rel *rel, const uint32_t *extra, uint32_t extra_count,
                 struct change *out)
{
    struct prep *pp = ph->pp;
    const struct luma_plan_change *plan = rel->plan->change;
    uint32_t cols = plan->table_cols_count;
    out->plan = plan;
    out->cols_count = cols;
    out->types = PP_ARRAY(pp, struct luma_type, cols);
    for (uint32_t i = 0; i < cols; i++)
        out->types[i] = plan->table_cols[i].type;
    uint32_t *vars = PP_ARRAY(pp, uint32_t, cols + extra_count);
    memcpy(vars, rel->new_vars, sizeof(uint32_t) * cols);
    if (extra_count > 0)
        memcpy(vars + cols, extra, sizeof(uint32_t) * extra_count);
    struct comp c = {pp, ph->prog, vars, cols + extra_count};
    out->checks = eng_compile_all(&c, rel->checks, plan->checks_count);
    out->returning_count = plan->returning_count;
    out->returning = eng_compile_all(&c, rel->returning, plan->returning_count);
    struct bits looked = {0, NULL};
    eng_need_exs(pp, &looked, rel->checks, plan->checks_count);
    eng_need_exs(pp, &looked, rel->returning, plan->returning_count);
    out->check_cols = PP_ARRAY(pp, bool, cols);
    for (uint32_t i = 0; i < cols; i++)
        out->check_cols[i] = eng_bits_has(&looked, rel->new_vars[i]);
    for (uint32_t i = 0; i < plan->captured_count; i++)
        out->check_cols[plan->captured_cols[i]] = true;
}

static void
append(char **text, size_t *len, struct luma_arena *arena, const char *part)
{
    size_t more = strlen(part);
    char *grown = luma_arena_alloc(arena, *len + more + 1);
    if (grown == NULL || *text == NULL) {
        *text = NULL;
        return;
    }
    memcpy(grown, *text, *len);
    memcpy(grown + *len, part, more + 1);
    *text = grown;
    *len += more;
}

/* "Failing row contains (1, null, abc)." */
static const char *
failing_row(struct xenv *e, const struct change *ch, const struct luma_batch *row, uint32_t at)
{
    struct luma_arena *arena = e->ctx->arena;
    char *text = luma_arena_text(arena, "", 0);
    size_t len = 0;
    append(&text, &len, arena, "Failing row contains (");
    for (uint32_t c = 0; c < ch->cols_count; c++) {
        const char *part = "null";
        if (row->cols[c].data == NULL)
            return NULL; /* an UPDATE that did not read all columns */
        if (!luma_vec_is_null(&row->cols[c], at)) {
            struct luma_value v = eng.data->vec_value(&row->cols[c], at);
            part = eng.data->value_text(&v, e->x->format, arena);
        }
        append(&text, &len, arena, c == 0 ? "" : ", ");
        append(&text, &len, arena, part == NULL ? "" : part);
    }
    append(&text, &len, arena, ").");
    return text;
}

static void
name_table(struct xenv *e, const struct change *ch)
{
    e->ctx->error->schema = ch->plan->schema_name;
    e->ctx->error->table = ch->plan->table_name;
}

luma_rc
eng_change_not_null(struct xenv *e, const struct change *ch, const struct luma_batch *row,
                    uint32_t col)
{
    const struct luma_vec *vec = &row->cols[col];
    if (vec->valid == NULL)
        return LUMA_OK;
    for (uint32_t k = 0; k < row->sel_rows; k++) {
        uint32_t at = luma_batch_row(row, k);
        if (!luma_vec_is_null(vec, at))
            continue;
        const char *name = ch->plan->table_cols[col].name;
        const char *detail = failing_row(e, ch, row, at);
        luma_rc rc = LUMA_FAIL(e->ctx, LUMA_E_NOTNULL,
                               "null value in column \"%s\" of relation \"%s\" violates not-null "
                               "constraint",
                               name, ch->plan->table_name);
        name_table(e, ch);
        e->ctx->error->column = name;
        e->ctx->error->detail = detail;
        return rc;
    }
    return LUMA_OK;
}

static luma_rc
run_checks(struct xenv *e, const struct change *ch, const struct luma_batch *row)
{
    for (uint32_t i = 0; i < ch->plan->checks_count; i++) {
        struct luma_vec res;
        LUMA_TRY(eng_eval(e, ch->checks[i], row, row->sel, row->sel_rows, &res));
        for (uint32_t k = 0; k < row->sel_rows; k++) {
            uint32_t at = luma_batch_row(row, k);
            if (luma_vec_is_null(&res, at) || *(const uint8_t *)luma_vec_at(&res, at) != 0)
                continue;
            const char *detail = failing_row(e, ch, row, at);
            luma_rc rc = LUMA_FAIL(e->ctx, LUMA_E_CHECK,
                                   "new row for relation \"%s\" violates check constraint \"%s\"",
                                   ch->plan->table_name, ch->plan->checks[i].name);
            name_table(e, ch);
            e->ctx->error->constraint = ch->plan->checks[i].name;
            e->ctx->error->detail = detail;
            return rc;
        }
    }
    return LUMA_OK;
}

luma_rc
eng_change_check(struct xenv *e, const struct change *ch, const struct luma_batch *row,
                 const uint32_t *cols, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t col = cols == NULL ? i : cols[i];
        if (ch->plan->not_null != NULL && ch->plan->not_null[col])
            LUMA_TRY(eng_change_not_null(e, ch, row, col));
    }
    return run_checks(e, ch, row);
}

/* --- unique constraints --- */

static const struct luma_store_index *
find_index(struct luma_coll *coll, uint64_t id)
{
    const struct luma_store_coll *def = eng.store->def(coll);
    for (uint32_t i = 0; i < def->indexes_count; i++)
        if (def->indexes[i].id == id)
            return &def->indexes[i];
    return NULL;
}

static uint32_t
col_at(struct luma_coll *coll, uint32_t col_id)
{
    const struct luma_store_coll *def = eng.store->def(coll);
    uint32_t i = 0;
    while (i < def->cols_count && def->cols[i].id != col_id)
        i++;
    return i;
}

/* "Key (a, b)=(1, x) already exists." */
static const char *
key_detail(struct xenv *e, const struct change *ch, struct luma_coll *coll,
           const struct luma_store_index *index, const struct luma_batch *row, uint32_t at)
{
    struct luma_arena *arena = e->ctx->arena;
    char *text = luma_arena_text(arena, "", 0);
    size_t len = 0;
    append(&text, &len, arena, "Key (");
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < index->cols_count; i++) {
            uint32_t col = col_at(coll, index->cols[i].col_id);
            if (col >= ch->cols_count || row->cols[col].data == NULL)
                return NULL;
            append(&text, &len, arena, i == 0 ? "" : ", ");
            if (pass == 0) {
                append(&text, &len, arena, ch->plan->table_cols[col].name);
            } else {
                struct luma_value v = eng.data->vec_value(&row->cols[col], at);
                const char *part =
                    v.is_null ? "null" : eng.data->value_text(&v, e->x->format, arena);
                append(&text, &len, arena, part == NULL ? "" : part);
            }
        }
        append(&text, &len, arena, pass == 0 ? ")=(" : ") already exists.");
    }
    return text;
}

static bool
same_key(struct luma_coll *coll, const struct luma_store_index *index, const struct luma_batch *row,
         uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < index->cols_count; i++) {
        const struct luma_vec *vec = &row->cols[col_at(coll, index->cols[i].col_id)];
        if (luma_vec_is_null(vec, a) || luma_vec_is_null(vec, b) ||
            eng.data->compare(vec, a, vec, b) != 0)
            return false;
    }
    return true;
}

/* Which of the rows was in the way: one already stored, or one proposed twice. */
static uint32_t
culprit(struct xenv *e, struct luma_coll *coll, const struct luma_store_index *index,
        const struct luma_batch *row)
{
    struct luma_value key[16];
    if (row->sel_rows == 1 || index->cols_count > LUMA_COUNTOF(key))
        return luma_batch_row(row, 0);
    for (uint32_t k = 0; k < row->sel_rows; k++) {
        uint32_t at = luma_batch_row(row, k);
        int64_t rowid = -1;
        bool null = false;
        for (uint32_t i = 0; i < index->cols_count; i++) {
            key[i] = eng.data->vec_value(&row->cols[col_at(coll, index->cols[i].col_id)], at);
            null = null || key[i].is_null;
        }
        if (!null &&
            eng.store->get(e->ctx, e->x->txn, coll, index->id, key, index->cols_count, NULL, 0,
                           e->arena, NULL, &rowid) == LUMA_OK &&
            rowid >= 0)
            return at;
        for (uint32_t j = 0; j < k && k < 256; j++)
            if (same_key(coll, index, row, luma_batch_row(row, j), at))
                return at;
    }
    return UINT32_MAX;
}

luma_rc
eng_change_unique(struct xenv *e, const struct change *ch, struct luma_coll *coll,
                  const struct luma_batch *row, luma_rc rc)
{
    struct luma_error *error = e->ctx->error;
    if (rc != LUMA_E_UNIQUE || error->constraint == NULL)
        return rc;
    uint64_t id = strtoull(error->constraint, NULL, 10);
    const char *name = NULL, *detail = error->detail;
    for (uint32_t i = 0; i < ch->plan->index_names_count; i++)
        if (ch->plan->index_ids[i] == id)
            name = ch->plan->index_names[i];
    const struct luma_store_index *index = find_index(coll, id);
    if (row != NULL && index != NULL) {
        struct luma_error saved = *error;
        luma_error_reset(error);
        uint32_t at = culprit(e, coll, index, row);
        *error = saved;
        if (at != UINT32_MAX)
            detail = key_detail(e, ch, coll, index, row, at);
    }
    if (name != NULL) {
        error->constraint = name;
        (void)snprintf(error->message, sizeof(error->message),
                       "duplicate key value violates unique constraint \"%s\"", name);
    }
    error->detail = detail;
    name_table(e, ch);
    return rc;
}

/* --- RETURNING --- */

luma_rc
eng_change_return(struct xenv *e, const struct change *ch, struct change_state *st,
                  struct luma_batch *row)
{
    if (ch->returning_count == 0 || row->sel_rows == 0)
        return LUMA_OK;
    struct luma_arena *keep = e->x->arena;
    struct luma_batch made = *row;
    made.cols = luma_arena_alloc(e->arena, sizeof(*made.cols) * (ch->returning_count + 1));
    struct kept_batch *kept = LUMA_NEW(keep, struct kept_batch);
    if (made.cols == NULL || kept == NULL)
        return ENG_NOMEM(e->ctx, "RETURNING");
    made.cols_count = ch->returning_count;
    for (uint32_t i = 0; i < ch->returning_count; i++)
        LUMA_TRY(eng_eval(e, ch->returning[i], row, row->sel, row->sel_rows, &made.cols[i]));
    LUMA_TRY(eng_batch_copy(e->ctx, keep, &made, &kept->batch));
    if (st->last == NULL)
        st->first = kept;
    else
        st->last->next = kept;
    st->last = kept;
    return LUMA_OK;
}

luma_rc
eng_change_tell(struct xenv *e, const struct change *ch, const struct luma_batch *before,
                const struct luma_batch *after)
{
    if (LUMA_LIKELY(ch->plan->captured == NULL))
        return LUMA_OK;
    return ch->plan->captured(e->ctx, e->x->session, ch->plan->captured_arg, before, after);
}

luma_rc
eng_change_next(struct part *p, const struct op *op, struct luma_batch **out)
{
    struct change_state *st = p->x->op_state[op->id];
    st->at = st->at == NULL ? st->first : st->at->next;
    if (st->at == NULL) {
        st->first = NULL; /* asked again after the end */
        return LUMA_OK;
    }
    for (uint32_t i = 0; i < op->cols_count; i++)
        st->at->batch.cols[i].type = op->types[i];
    *out = &st->at->batch;
    return LUMA_OK;
}

void
eng_change_close(struct exec *x, const struct op *op)
{
    struct change_state *st = x->op_state[op->id];
    if (st->bulk != NULL)
        eng.store->bulk_abort(st->bulk);
    if (st->seen != NULL)
        eng.mem->release(x->budget, st->seen, (st->seen_mask + 1) * sizeof(int64_t));
    eng.store->close(st->coll);
}
