/*
 * scan_top.c - ORDER BY with a limit right above a table: once a part has as many rows as are
 * wanted, rows whose first sort key lies beyond the last of them are left out before their other
 * columns are read. A part looks at its own rows only, so nothing is shared.
 */
#include "scan.h"
#include "sort.h"

static bool
is_plain_key(struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_DATE:
    case LUMA_TYPE_TIMESTAMP:
    case LUMA_TYPE_TIMESTAMPTZ:
        return true;
    default:
        return false;
    }
}

void
eng_scan_take_top(struct prep *pp, struct op *child, const struct op *sort,
                  const struct ex_key *key)
{
    struct op_scan *scan = (struct op_scan *)child;
    if (child->cls != &eng_scan_class || scan->access != SCAN_SEQ || scan->fields_count > 0 ||
        scan->paths != NULL || key->expr->kind != LUMA_EXPR_COL)
        return;
    uint32_t at = eng_op_pos(pp, child, (uint32_t)key->expr->index);
    if (at == UINT32_MAX || scan->out_from[at] >= scan->stored ||
        !is_plain_key(scan->col_types[scan->out_from[at]]))
        return;
    scan->top = (struct scan_top){sort, at, scan->out_from[at], key->desc, key->nulls_first};
    for (uint32_t i = 0; i < scan->stored; i++)
        scan->lazy[i] = i != scan->top.col;
}

luma_rc
eng_scan_top_judge(struct part *p, const struct op_scan *op, struct luma_batch *batch)
{
    const struct scan_top *top = &op->top;
    struct luma_arena *arena;
    struct luma_value bound;
    if (!eng_sort_bound(p, top->sort, top->out, &bound))
        return LUMA_OK;
    /* Conditions that are judged later empty the other one. */
    LUMA_TRY(eng_step_arena(p, &op->op, &arena));
    uint16_t *sel = luma_arena_alloc(arena, sizeof(*sel) * (batch->rows + 8));
    ENG_NEED(p->ctx, sel, "a scan");
    const struct luma_vec *vec = &batch->cols[top->col];
    uint32_t n = 0;
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t row = luma_batch_row(batch, k);
        bool null = luma_vec_is_null(vec, row), keep;
        if (null || bound.is_null) {
            keep = null == bound.is_null || null == top->nulls_first;
        } else {
            int64_t v = eng_vec_int(vec, row);
            keep = top->desc ? v >= bound.i64 : v <= bound.i64;
        }
        sel[n] = (uint16_t)row;
        n += keep;
    }
    batch->sel = sel;
    batch->sel_rows = n;
    return LUMA_OK;
}
