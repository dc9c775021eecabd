/* opt_stats.c - how many rows: estimates from the storage's column statistics. */
#include <math.h>
#include <stdlib.h>

#include "opt.h"

#define ROWS_UNKNOWN 1000.0
#define SEL_EQ       0.005
#define SEL_RANGE    0.33
#define ANY_ELEMENTS 10 /* of an array that is not looked into */
#define SEL_OTHER    0.25

/* Beyond this the first batch says little, and segments are near. */
#define SAMPLE_ROWS_MAX 1e6

struct luma_coll *
eng_coll(struct prep *pp, uint64_t coll_id, double *out_rows)
{
    for (uint32_t i = 0; i < pp->colls_count; i++)
        if (pp->colls[i].coll_id == coll_id) {
            *out_rows = pp->colls[i].rows;
            return pp->colls[i].coll;
        }
    *out_rows = ROWS_UNKNOWN;
    struct luma_coll *coll = NULL;
    if (pp->txn == NULL || pp->colls_count == LUMA_COUNTOF(pp->colls))
        return NULL;
    eng_pp_try(pp, eng.store->open(pp->ctx, pp->txn, coll_id, &coll));
    struct coll_ref *ref = &pp->colls[pp->colls_count++];
    ref->coll_id = coll_id;
    ref->coll = coll;
    ref->rows = (double)eng.store->rows_estimate(coll);
    *out_rows = ref->rows;
    return coll;
}

/* Distinct values of a table from those of a sample (the estimator Duj1 of Haas and Stokes). */
static double
extrapolate(double sample, double distinct, double once, double rows)
{
    if (sample >= rows || sample < 1)
        return distinct;
    double d = sample * distinct / (sample - once + once * sample / rows);
    return d < distinct ? distinct : d > rows ? rows : d;
}

static int
hash_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Rows that no segment holds yet have no statistics: a look at one batch of them is worth its
 * price. */
static luma_rc
sample_column(struct prep *pp, struct luma_coll *coll, uint32_t col_id, double rows,
              struct luma_col_stats *out)
{
    struct luma_scan_spec spec = {.cols = &col_id, .cols_count = 1, .sample = true};
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    uint64_t hashes[LUMA_BATCH_ROWS];
    LUMA_TRY(eng.store->scan_open(pp->ctx, pp->txn, coll, &spec, &scan));
    luma_rc rc = eng.store->cursor_open(pp->ctx, scan, &cursor);
    if (rc == LUMA_OK)
        rc = eng.store->cursor_next(pp->ctx, cursor, &batch);
    if (rc == LUMA_OK && batch->sel_rows > 0) {
        uint32_t n = batch->sel_rows, distinct = 0, once = 0;
        eng.data->hash(&batch->cols[0], batch->sel, n, false, hashes);
        qsort(hashes, n, sizeof(*hashes), hash_order);
        for (uint32_t i = 0, k; i < n; i = k) {
            for (k = i + 1; k < n && hashes[k] == hashes[i];)
                k++;
            distinct++;
            once += k == i + 1 ? 1 : 0;
        }
        out->known = true;
        out->rows = (uint64_t)rows;
        out->distinct = extrapolate(n, distinct, once, rows < n ? n : rows);
        out->min.is_null = out->max.is_null = true;
    }
    if (cursor != NULL)
        eng.store->cursor_close(cursor);
    eng.store->scan_close(scan);
    return rc;
}

const struct luma_col_stats *
eng_var_stats(struct prep *pp, uint32_t var)
{
    struct var *v = &pp->vars[var];
    if (v->coll_id == 0)
        return NULL;
    if (!v->stats_read) {
        double rows;
        struct luma_coll *coll = eng_coll(pp, v->coll_id, &rows);
        v = &pp->vars[var];
        v->stats_read = true;
        if (coll != NULL)
            eng.store->col_stats(coll, v->col_id, &v->stats);
        if (coll != NULL && pp->has_join && !v->stats.known && rows >= 1 && rows <= SAMPLE_ROWS_MAX)
            eng_pp_try(pp, sample_column(pp, coll, v->col_id, rows, &v->stats));
    }
    return v->stats.known ? &v->stats : NULL;
}

double
eng_distinct(struct prep *pp, uint32_t var, double rows)
{
    const struct luma_col_stats *stats = eng_var_stats(pp, var);
    double distinct = stats != NULL && stats->distinct >= 1 ? stats->distinct : rows * 0.1;
    if (distinct < 1)
        distinct = 1;
    return distinct > rows && rows >= 1 ? rows : distinct;
}

/* A value on a line, so that a range's share can be guessed; false for text and the like. */
static bool
as_number(const struct luma_value *v, double *out)
{
    double scale = 1;
    if (v->is_null)
        return false;
    for (int16_t s = v->scale; s > 0; s--)
        scale *= 10;
    switch (v->phys) {
    case LUMA_PHYS_I16:
        *out = v->i16;
        return true;
    case LUMA_PHYS_I32:
        *out = v->i32;
        break;
    case LUMA_PHYS_I64:
        *out = (double)v->i64 / scale;
        break;
    case LUMA_PHYS_I128:
        *out = (double)v->i128 / scale;
        break;
    case LUMA_PHYS_F32:
        *out = (double)v->f32;
        return true;
    case LUMA_PHYS_F64:
        *out = v->f64;
        return true;
    case LUMA_PHYS_STR:
        if (v->type.id != LUMA_TYPE_NUMERIC)
            return false;
        *out = eng.data->numeric_to_f64(&v->str);
        break;
    default:
        return false;
    }
    if (v->type.id == LUMA_TYPE_DATE)
        *out *= 86400e6; /* one line with timestamps */
    return true;
}

static const struct ex *
strip_casts(const struct ex *ex)
{
    while (ex->kind == LUMA_EXPR_CALL && ex->func->op == LUMA_OP_CAST && ex->args_count >= 1)
        ex = ex->args[0];
    return ex;
}

static double
range_share(struct prep *pp, uint32_t var, enum luma_func_op op, const struct ex *bound)
{
    const struct luma_col_stats *stats = eng_var_stats(pp, var);
    double lo, hi, at;
    if (stats == NULL || bound->kind != LUMA_EXPR_CONST || !as_number(&stats->min, &lo) ||
        !as_number(&stats->max, &hi) || !as_number(&bound->value, &at))
        return SEL_RANGE;
    double share = hi <= lo ? 0.5 : (at - lo) / (hi - lo);
    if (op == LUMA_OP_GT || op == LUMA_OP_GE)
        share = 1 - share;
    return share < 0.0001 ? 0.0001 : share > 1 ? 1 : share;
}

static double
compare_selectivity(struct prep *pp, const struct ex *cond)
{
    const struct ex *a = strip_casts(cond->args[0]), *b = strip_casts(cond->args[1]);
    enum luma_func_op op = cond->func->op;
    if (a->kind != LUMA_EXPR_COL && b->kind == LUMA_EXPR_COL) {
        const struct ex *swap = a;
        a = b;
        b = swap;
        op = op == LUMA_OP_LT   ? LUMA_OP_GT
             : op == LUMA_OP_LE ? LUMA_OP_GE
             : op == LUMA_OP_GT ? LUMA_OP_LT
             : op == LUMA_OP_GE ? LUMA_OP_LE
                                : op;
    }
    if (a->kind != LUMA_EXPR_COL)
        return op == LUMA_OP_EQ ? SEL_EQ * 4 : op == LUMA_OP_NE ? 0.9 : SEL_RANGE;
    uint32_t var = (uint32_t)a->index;
    const struct luma_col_stats *stats = eng_var_stats(pp, var);
    switch (op) {
    case LUMA_OP_EQ:
        return stats != NULL && stats->distinct >= 1 ? 1 / stats->distinct : SEL_EQ;
    case LUMA_OP_NE:
        return stats != NULL && stats->distinct > 1 ? 1 - 1 / stats->distinct : 0.95;
    default:
        return b->kind == LUMA_EXPR_COL ? SEL_RANGE : range_share(pp, var, op, b);
    }
}

double
eng_selectivity(struct prep *pp, const struct ex *cond)
{
    double sel = 1;
    switch (cond->kind) {
    case LUMA_EXPR_CONST:
        return cond->value.is_null || !cond->value.b ? 0 : 1;
    case LUMA_EXPR_AND:
        for (uint32_t i = 0; i < cond->args_count; i++)
            sel *= eng_selectivity(pp, cond->args[i]);
        return sel;
    case LUMA_EXPR_OR:
        for (uint32_t i = 0; i < cond->args_count; i++)
            sel *= 1 - eng_selectivity(pp, cond->args[i]);
        return 1 - sel;
    case LUMA_EXPR_NOT:
        return 1 - eng_selectivity(pp, cond->args[0]) * 0.99;
    case LUMA_EXPR_IS_NULL:
        return cond->negated ? 0.95 : 0.05;
    case LUMA_EXPR_IN:
    case LUMA_EXPR_ANY: {
        if (cond->kind == LUMA_EXPR_ANY && (cond->negated || cond->func->op != LUMA_OP_EQ))
            return SEL_OTHER;
        const struct ex *col = strip_casts(cond->args[0]);
        const struct luma_col_stats *stats =
            col->kind == LUMA_EXPR_COL ? eng_var_stats(pp, (uint32_t)col->index) : NULL;
        double one = stats != NULL && stats->distinct >= 1 ? 1 / stats->distinct : SEL_EQ;
        sel = one * (cond->kind == LUMA_EXPR_ANY ? ANY_ELEMENTS : cond->args_count - 1);
        sel = sel > 1 ? 1 : sel;
        return cond->negated ? 1 - sel * 0.99 : sel;
    }
    case LUMA_EXPR_CALL:
        if (cond->args_count == 2 && cond->func->op >= LUMA_OP_EQ && cond->func->op <= LUMA_OP_GE)
            return compare_selectivity(pp, cond);
        if (cond->func->op == LUMA_OP_LIKE || cond->func->op == LUMA_OP_PREFIX)
            return 0.05;
        return cond->func->op == LUMA_OP_NOT_LIKE ? 0.95 : SEL_OTHER;
    default:
        return SEL_OTHER;
    }
}

double
eng_join_selectivity(struct prep *pp, const struct ex *cond, double left, double right)
{
    struct ex *a, *b;
    if (!eng_is_eq(cond, &a, &b))
        return eng_selectivity(pp, cond);
    double da = a->kind == LUMA_EXPR_COL ? eng_distinct(pp, (uint32_t)a->index, left) : left * 0.1;
    double db =
        b->kind == LUMA_EXPR_COL ? eng_distinct(pp, (uint32_t)b->index, right) : right * 0.1;
    double d = da > db ? da : db;
    return d < 1 ? 1 : 1 / d;
}

static double
conds_share(struct prep *pp, const struct ex_list *conds)
{
    double sel = 1;
    for (uint32_t i = 0; i < conds->count; i++)
        sel *= eng_selectivity(pp, conds->items[i]);
    return sel;
}

static double
group_rows(struct prep *pp, const struct rel *rel, double rows)
{
    if (rel->exprs_count == 0)
        return 1;
    double groups = 1;
    for (uint32_t i = 0; i < rel->exprs_count; i++)
        groups *= rel->exprs[i]->kind == LUMA_EXPR_COL
                      ? eng_distinct(pp, (uint32_t)rel->exprs[i]->index, rows)
                      : sqrt(rows < 1 ? 1 : rows);
    return groups > rows ? rows : groups;
}

static double
limit_rows(const struct rel *rel, double rows)
{
    double limit =
        rel->limit != NULL && rel->limit->kind == LUMA_EXPR_CONST && !rel->limit->value.is_null
            ? (double)rel->limit->value.i64
            : rows;
    return limit < rows ? limit : rows;
}

static double
join_rows(struct prep *pp, const struct rel *rel)
{
    double left = eng_rows(pp, rel->child[0]), right = eng_rows(pp, rel->child[1]);
    double sel = 1;
    for (uint32_t i = 0; i < rel->conds.count; i++)
        sel *= eng_join_selectivity(pp, rel->conds.items[i], left, right);
    double rows = left * right * sel;
    switch (rel->join) {
    case LUMA_JOIN_LEFT:
        return rows < left ? left : rows;
    case LUMA_JOIN_RIGHT:
        return rows < right ? right : rows;
    case LUMA_JOIN_FULL:
        return rows < left + right ? left + right : rows;
    case LUMA_JOIN_SEMI:
        return left * 0.5;
    case LUMA_JOIN_ANTI:
        return left * 0.5;
    default:
        return rows;
    }
}

static double
rows_of(struct prep *pp, struct rel *rel)
{
    double rows;
    switch (rel->kind) {
    case REL_SCAN:
        (void)eng_coll(pp, rel->plan->coll_id, &rows);
        return rows * conds_share(pp, &rel->conds);
    case REL_VIRTUAL:
        rows = rel->plan->provider != NULL ? (double)rel->plan->provider->rows_estimate : 100;
        return (rows < 1 ? 100 : rows) * conds_share(pp, &rel->conds);
    case REL_VALUES:
        return rel->plan->values_rows;
    case REL_FILTER:
        return eng_rows(pp, rel->child[0]) * conds_share(pp, &rel->conds);
    case REL_PROJECT:
        return rel->child[0] == NULL ? 1 : eng_rows(pp, rel->child[0]);
    case REL_PROJECT_SET:
        return rel->child[0] == NULL ? 10 : eng_rows(pp, rel->child[0]) * 10;
    case REL_JOIN:
        return join_rows(pp, rel);
    case REL_AGG:
        return group_rows(pp, rel, eng_rows(pp, rel->child[0]));
    case REL_DISTINCT:
        return eng_rows(pp, rel->child[0]) * 0.5;
    case REL_LIMIT:
        return limit_rows(rel, eng_rows(pp, rel->child[0]));
    case REL_SETOP:
        return eng_rows(pp, rel->child[0]) +
               (rel->setop == LUMA_SETOP_UNION ? eng_rows(pp, rel->child[1]) : 0);
    case REL_CTE:
        (void)eng_rows(pp, rel->child[0]);
        return eng_rows(pp, rel->child[1]);
    case REL_RECURSIVE:
        return eng_rows(pp, rel->child[0]) * 10;
    case REL_SORT:
    case REL_WINDOW:
    case REL_LOCK:
    case REL_CHANGE:
        return eng_rows(pp, rel->child[0]);
    case REL_EMPTY:
        return 0;
    case REL_CTE_SCAN: {
        for (uint32_t i = 0; i < pp->ctes_count; i++)
            if (pp->ctes[i].id == rel->cte_id && pp->ctes[i].rel != NULL)
                return eng_rows(pp, pp->ctes[i].rel);
        return ROWS_UNKNOWN;
    }
    default:
        return ROWS_UNKNOWN;
    }
}

double
eng_rows(struct prep *pp, struct rel *rel)
{
    if (rel->rows < 0) {
        rel->rows = ROWS_UNKNOWN; /* a recursive definition ends here */
        double rows = rows_of(pp, rel);
        rel->rows = rows < 1 && rel->kind != REL_EMPTY ? 1 : rows;
    }
    return rel->rows;
}
