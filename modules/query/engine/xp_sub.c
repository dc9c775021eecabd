/*
 * xp_sub.c - subqueries that expressions run: once for the whole execution when nothing correlates
 * them, else for each row with the outer values of that row.
 */
#include "agg.h"
#include "phys.h"

/* The rows of an uncorrelated x op ANY (subquery): hashed for equality. */
struct sub_set {
    struct rowlay lay;
    struct agg_table table;
    struct luma_arena *arena;
    bool has_null;
};

static luma_rc
sub_open(struct xenv *e, const struct xp *xp, const struct luma_value *outer, struct exec **out)
{
    struct exec *root = e->x->root, *x;
    LUMA_TRY(eng_exec_create(e->ctx, root->query, xp->prog, root->session, root->txn, root->params,
                             root->params_count, e->p, outer, &x));
    luma_rc rc = eng_exec_open(e->ctx, x);
    if (rc != LUMA_OK) {
        eng_exec_close(x);
        return rc;
    }
    *out = x;
    return LUMA_OK;
}

static luma_rc
value_keep(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_value *v,
           struct luma_value *out)
{
    *out = *v;
    if (v->is_null || v->phys != LUMA_PHYS_STR || v->str.bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    char *copy = luma_arena_copy(arena, v->str.ptr, v->str.bytes);
    ENG_NEED(ctx, copy, "a subquery");
    out->str = luma_str_make(copy, v->str.bytes);
    return LUMA_OK;
}

static luma_rc
scalar_result(struct xenv *e, struct exec *x, struct luma_arena *arena, struct luma_value *out)
{
    struct luma_batch *batch;
    uint64_t rows = 0;
    memset(out, 0, sizeof(*out));
    out->is_null = true;
    for (;;) {
        LUMA_TRY(eng_exec_next(e->ctx, x, &batch));
        if (batch == NULL)
            return LUMA_OK;
        rows += batch->sel_rows;
        if (rows > 1)
            return LUMA_FAIL_SQL(e->ctx, LUMA_E_INVALID, "21000",
                                 "more than one row returned by a subquery used as an expression");
        struct luma_value v = eng.data->vec_value(&batch->cols[0], eng_sel_at(batch->sel, 0));
        LUMA_TRY(value_keep(e->ctx, arena, &v, out));
    }
}

static luma_rc
array_result(struct xenv *e, struct exec *x, struct luma_type type, struct luma_arena *arena,
             struct luma_value *out)
{
    uint32_t count = 0, room = 16;
    struct luma_value *values = luma_arena_alloc(arena, sizeof(*values) * room);
    struct luma_batch *batch;
    ENG_NEED(e->ctx, values, "a subquery");
    for (;;) {
        LUMA_TRY(eng_exec_next(e->ctx, x, &batch));
        if (batch == NULL)
            break;
        for (uint32_t k = 0; k < batch->sel_rows; k++) {
            if (count == room) {
                struct luma_value *more = luma_arena_alloc(arena, sizeof(*more) * room * 2);
                ENG_NEED(e->ctx, more, "a subquery");
                memcpy(more, values, sizeof(*values) * room);
                values = more;
                room *= 2;
            }
            struct luma_value v = eng.data->vec_value(&batch->cols[0], eng_sel_at(batch->sel, k));
            LUMA_TRY(value_keep(e->ctx, arena, &v, &values[count++]));
        }
    }
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = LUMA_PHYS_STR;
    return eng.data->array_make(arena, type.elem, values, count, &out->str);
}

static void
bool_value(struct luma_value *out, bool value)
{
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_BOOL);
    out->phys = LUMA_PHYS_BOOL;
    out->b = value;
}

/* Keeps the distinct rows of the subquery. */
static luma_rc
set_result(struct xenv *e, struct exec *x, const struct prog *prog, struct luma_arena *arena,
           struct sub_set **out)
{
    struct sub_set *set = LUMA_NEW(arena, struct sub_set);
    struct luma_batch *batch;
    ENG_NEED(e->ctx, set, "a subquery");
    set->arena = arena;
    if (eng_rowlay_init(arena, prog->out_types, prog->outs_count, 0, &set->lay) != LUMA_OK ||
        eng_table_init(&set->table, &set->lay, arena, x->budget) != LUMA_OK)
        return ENG_NOMEM(e->ctx, "a subquery");
    *out = set;
    for (;;) {
        LUMA_TRY(eng_exec_next(e->ctx, x, &batch));
        if (batch == NULL)
            return LUMA_OK;
        struct luma_arena *scratch = arena;
        struct xenv local = {e->x, e->p, e->ctx, scratch, NULL};
        struct luma_vec *flat = luma_arena_alloc(scratch, sizeof(*flat) * prog->outs_count);
        uint64_t *hashes = luma_arena_alloc(scratch, sizeof(uint64_t) * (batch->sel_rows + 1));
        uint8_t **rows = luma_arena_alloc(scratch, sizeof(*rows) * (batch->sel_rows + 1));
        if (flat == NULL || hashes == NULL || rows == NULL)
            return ENG_NOMEM(e->ctx, "a subquery");
        LUMA_TRY(eng_table_keys(&local, &set->lay, prog->outs_count, batch->cols, batch->sel,
                                batch->sel_rows, batch->rows, flat, hashes));
        for (uint32_t c = 0; c < prog->outs_count; c++)
            for (uint32_t k = 0; k < batch->sel_rows && flat[c].valid != NULL; k++)
                set->has_null =
                    set->has_null || luma_vec_is_null(&flat[c], eng_sel_at(batch->sel, k));
        LUMA_TRY(
            eng_table_find(e->ctx, &set->table, flat, batch->sel, batch->sel_rows, hashes, rows));
    }
}

/* x op ANY (rows) for one left row: 1 true, 0 false, -1 unknown; ALL is its dual. */
static luma_rc
compare_rows(struct xenv *e, const struct xp *xp, const struct luma_value *left,
             struct rows_reader reader, const struct rowlay *lay, int *out)
{
    bool all = xp->sublink == LUMA_SUBLINK_ALL, unknown = false;
    uint8_t *row;
    while (eng_rows_read(&reader, lay->bytes, &row, 1) > 0) {
        bool row_true = true, row_unknown = false;
        for (uint32_t i = 0; i < xp->args_count; i++) {
            struct luma_vec args[2], res;
            eng_vec_of_value(&args[0], &left[i]);
            eng_row_vec(lay, row, i, &args[1]);
            LUMA_TRY(eng_call(e, xp->cmp_funcs[i], NULL, luma_type(LUMA_TYPE_BOOL), args, 2, 1,
                              NULL, 1, &res));
            if (luma_vec_is_null(&res, 0))
                row_unknown = true;
            else if (!*(const uint8_t *)res.data)
                row_true = false;
        }
        bool known_false = !row_true, known_true = row_true && !row_unknown;
        if (all ? known_false : known_true) {
            *out = all ? 0 : 1;
            return LUMA_OK;
        }
        unknown = unknown || (row_unknown && row_true);
    }
    *out = unknown ? -1 : all ? 1 : 0;
    return LUMA_OK;
}

static bool
all_equal(const struct xp *xp)
{
    for (uint32_t i = 0; i < xp->args_count; i++)
        if (xp->cmp_funcs[i]->op != LUMA_OP_EQ || xp->args[i]->type.id != xp->prog->out_types[i].id)
            return false;
    return xp->sublink == LUMA_SUBLINK_ANY;
}

/* Is the row in the set? Equality without nulls is a lookup. */
static luma_rc
in_set(struct xenv *e, const struct xp *xp, struct sub_set *set, const struct luma_value *left,
       int *out)
{
    struct luma_vec vecs[8], flat[8];
    bool null = false;
    for (uint32_t i = 0; i < xp->args_count; i++)
        null = null || left[i].is_null;
    if (!all_equal(xp) || null || xp->args_count > 8 || xp->args_count != set->lay.cols)
        return compare_rows(e, xp, left, (struct rows_reader){set->table.rows.first, 0}, &set->lay,
                            out);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < xp->args_count; i++)
        eng_vec_of_value(&vecs[i], &left[i]);
    LUMA_TRY(eng_table_keys(e, &set->lay, set->lay.cols, vecs, NULL, 1, 1, flat, &hash));
    for (uint64_t at = hash & set->table.mask; set->table.slots[at] != 0;
         at = (at + 1) & set->table.mask) {
        uint8_t *row = (uint8_t *)(uintptr_t)(set->table.slots[at] & (((uint64_t)1 << 48) - 1));
        if (ROW_HASH(row) == hash && eng_row_equal(&set->lay, row, set->lay.cols, flat, 0, false)) {
            *out = 1;
            return LUMA_OK;
        }
    }
    if (set->has_null && set->lay.cols > 1)
        return compare_rows(e, xp, left, (struct rows_reader){set->table.rows.first, 0}, &set->lay,
                            out);
    *out = set->has_null ? -1 : 0;
    return LUMA_OK;
}

/* --- once --- */

static luma_rc
run_once(struct xenv *e, const struct xp *xp, struct sub_state *st)
{
    struct exec *x, *root = e->x->root;
    LUMA_TRY(sub_open(e, xp, NULL, &x));
    st->exec = x; /* its arena keeps the answer */
    luma_rc rc;
    struct luma_batch *batch;
    switch (xp->sublink) {
    case LUMA_SUBLINK_EXISTS:
        rc = eng_exec_next(e->ctx, x, &batch);
        if (rc == LUMA_OK)
            bool_value(&st->value, batch != NULL);
        break;
    case LUMA_SUBLINK_SCALAR:
        rc = scalar_result(e, x, x->arena, &st->value);
        break;
    case LUMA_SUBLINK_ARRAY:
        rc = array_result(e, x, xp->type, x->arena, &st->value);
        break;
    default:
        rc = set_result(e, x, xp->prog, x->arena, &st->set);
        break;
    }
    (void)root;
    if (rc == LUMA_OK)
        __atomic_store_n(&st->done, true, __ATOMIC_RELEASE); /* pairs with the load in need_once */
    return rc;
}

static luma_rc
need_once(struct xenv *e, const struct xp *xp, struct sub_state **out)
{
    struct sub_state *st = &e->x->root->subs[xp->prog->index];
    *out = st;
    if (__atomic_load_n(&st->done, __ATOMIC_ACQUIRE))
        return LUMA_OK;
    LUMA_TRY(eng.sched->mutex_lock(e->ctx, &st->lock));
    luma_rc rc = st->done ? LUMA_OK : run_once(e, xp, st);
    eng.sched->mutex_unlock(&st->lock);
    return rc;
}

luma_rc
eng_subs_run(struct luma_ctx *ctx, struct exec *x)
{
    /* Kept answers are computed when an expression first asks: what is not asked costs nothing. */
    (void)ctx;
    (void)x;
    return LUMA_OK;
}

void
eng_subs_close(struct exec *x)
{
    for (uint32_t i = 0; i < x->query->progs_count; i++) {
        struct sub_state *st = &x->subs[i];
        if (st->set != NULL)
            eng_table_fini(&st->set->table);
        if (st->exec != NULL)
            eng_exec_close(st->exec);
    }
}

/* --- per row --- */

static luma_rc
row_value(struct xenv *e, const struct xp *xp, const struct luma_value *outer,
          const struct luma_value *left, struct luma_value *out)
{
    struct exec *x;
    struct sub_set *set = NULL;
    struct luma_batch *batch;
    LUMA_TRY(sub_open(e, xp, outer, &x));
    luma_rc rc;
    switch (xp->sublink) {
    case LUMA_SUBLINK_EXISTS:
        rc = eng_exec_next(e->ctx, x, &batch);
        if (rc == LUMA_OK)
            bool_value(out, batch != NULL);
        break;
    case LUMA_SUBLINK_SCALAR:
        rc = scalar_result(e, x, e->arena, out);
        break;
    case LUMA_SUBLINK_ARRAY:
        rc = array_result(e, x, xp->type, e->arena, out);
        break;
    default: {
        int answer = 0;
        rc = set_result(e, x, xp->prog, x->arena, &set);
        if (rc == LUMA_OK)
            rc = in_set(e, xp, set, left, &answer);
        bool_value(out, answer == 1);
        out->is_null = answer < 0;
        break;
    }
    }
    if (set != NULL)
        eng_table_fini(&set->table);
    eng_exec_close(x);
    return rc;
}

struct sub_rows {
    struct luma_vec *outer, *left;
    struct luma_value *outer_values, *left_values, *results;
};

static luma_rc
sub_rows_init(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
              uint32_t n, struct sub_rows *sr)
{
    uint32_t outer = xp->prog->outer_count, left = xp->args_count;
    sr->outer = luma_arena_alloc(e->arena, sizeof(struct luma_vec) * (outer + left + 1));
    sr->outer_values = luma_arena_alloc(e->arena, sizeof(struct luma_value) * (outer + left + 1));
    sr->results = luma_arena_alloc(e->arena, sizeof(struct luma_value) * (n + 1));
    if (sr->outer == NULL || sr->outer_values == NULL || sr->results == NULL)
        return ENG_NOMEM(e->ctx, "a subquery");
    sr->left = sr->outer + outer;
    sr->left_values = sr->outer_values + outer;
    for (uint32_t i = 0; i < outer; i++)
        LUMA_TRY(eng_eval(e, xp->outer[i], in, sel, n, &sr->outer[i]));
    for (uint32_t i = 0; i < left; i++)
        LUMA_TRY(eng_eval(e, xp->args[i], in, sel, n, &sr->left[i]));
    return LUMA_OK;
}

static luma_rc
results_vec(struct xenv *e, const struct xp *xp, const struct luma_value *results,
            const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec *out)
{
    const struct luma_value *model = NULL;
    bool same = true;
    for (uint32_t k = 0; k < n; k++) {
        if (results[k].is_null)
            continue;
        same = same && (model == NULL ||
                        (model->phys == results[k].phys && model->scale == results[k].scale));
        model = &results[k];
    }
    if (model == NULL) {
        eng_vec_null(out, xp->type);
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_room(e, xp->type, same ? model->phys : (uint32_t)LUMA_PHYS_STR, rows, out));
    LUMA_TRY(eng_vec_bits(e, rows, true, &out->valid));
    out->scale = model->scale;
    uint32_t bytes = luma_phys_bytes(out->phys);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        struct luma_vec one;
        if (results[k].is_null) {
            luma_bit_clear(out->valid, row);
            memset((uint8_t *)out->data + (size_t)row * bytes, 0, bytes);
            continue;
        }
        eng_vec_of_value(&one, &results[k]);
        if (one.phys != out->phys)
            LUMA_TRY(eng_vec_table_form(e, luma_type(LUMA_TYPE_NUMERIC), &one, NULL, 1, 1, &one));
        memcpy((uint8_t *)out->data + (size_t)row * bytes, one.data, bytes);
    }
    return LUMA_OK;
}

luma_rc
eng_eval_sublink(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                 const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    bool sets = xp->sublink == LUMA_SUBLINK_ANY || xp->sublink == LUMA_SUBLINK_ALL;
    struct sub_state *kept = NULL;
    if (xp->prog->once) {
        LUMA_TRY(need_once(e, xp, &kept));
        if (!sets) {
            eng_vec_of_value(out, &kept->value);
            out->type = xp->type;
            if (kept->value.is_null)
                eng_vec_null(out, xp->type);
            return LUMA_OK;
        }
    }
    struct sub_rows sr = {NULL, NULL, NULL, NULL, NULL};
    LUMA_TRY(sub_rows_init(e, xp, in, sel, n, &sr));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        for (uint32_t i = 0; i < xp->prog->outer_count; i++)
            sr.outer_values[i] = eng.data->vec_value(&sr.outer[i], row);
        for (uint32_t i = 0; i < xp->args_count; i++)
            sr.left_values[i] = eng.data->vec_value(&sr.left[i], row);
        if (kept == NULL) {
            LUMA_TRY(row_value(e, xp, sr.outer_values, sr.left_values, &sr.results[k]));
            continue;
        }
        int answer;
        LUMA_TRY(in_set(e, xp, kept->set, sr.left_values, &answer));
        bool_value(&sr.results[k], answer == 1);
        sr.results[k].is_null = answer < 0;
    }
    return results_vec(e, xp, sr.results, sel, n, in->rows, out);
}
