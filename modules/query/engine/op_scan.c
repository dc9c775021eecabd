/* op_scan.c - reading tables: shared scans in morsels, index lookups, index ranges. */
#include "explain.h"
#include "scan.h"

struct scan_state {
    struct luma_coll *coll;
    struct luma_scan *scan;     /* SEQ */
    struct luma_cursor *ranged; /* RANGE */
    bool empty, got;
    struct luma_pred *preds;
    uint32_t preds_count;
    struct xp **late; /* conditions whose value did not convert */
    uint32_t late_count;
    struct scan_fields fields;
    bool lazy;              /* columns are loaded when they are wanted */
    struct luma_value *row; /* GET */
    int64_t rowid;
    struct luma_batch batch; /* GET */
    struct scan_keys *keys;  /* KEYS */
    uint32_t parts;
};

struct scan_part {
    struct luma_cursor *cursor;
    struct luma_vec *cols; /* stored ones and the row id */
    struct luma_vec *out;
    struct luma_batch batch;
};

static luma_rc
fit_values(struct xenv *e, const struct op_scan *op, const struct scan_pred *sp,
           struct luma_pred *out, enum pred_fit *out_fit)
{
    out->col = sp->col;
    out->op = sp->op;
    *out_fit = PRED_FITS;
    if (sp->op == LUMA_PRED_IN) {
        struct luma_value *values;
        uint32_t n;
        bool cannot = false;
        LUMA_TRY(eng_scan_in_values(e, sp, op->col_types[sp->col], &values, &n, &cannot));
        *out_fit = cannot ? PRED_CANNOT : n == 0 ? PRED_NEVER : PRED_FITS;
        out->values = values;
        out->values_count = n;
        return LUMA_OK;
    }
    struct luma_value *value = LUMA_NEW(e->arena, struct luma_value);
    ENG_NEED(e->ctx, value, "a scan");
    out->values = value;
    out->values_count = sp->values_count;
    if (sp->values_count == 0)
        return LUMA_OK;
    struct luma_value v;
    LUMA_TRY(eng_eval_value(e, sp->values[0], &v));
    *out_fit = eng_pred_fit(op->col_types[sp->col], sp->op, &v, &out->op, value);
    if (*out_fit == PRED_ALWAYS) {
        out->op = LUMA_PRED_NOT_NULL;
        out->values_count = 0;
        *out_fit = PRED_FITS;
    }
    return LUMA_OK;
}

static luma_rc
make_preds(struct xenv *e, const struct op_scan *op, struct scan_state *st)
{
    uint32_t room = op->preds_count + op->filters_count;
    if (room == 0)
        return LUMA_OK;
    st->preds = luma_arena_alloc(e->arena, sizeof(*st->preds) * room);
    st->late = luma_arena_alloc(e->arena, sizeof(*st->late) * room);
    if (st->preds == NULL || st->late == NULL)
        return ENG_NOMEM(e->ctx, "a scan");
    for (uint32_t i = 0; i < op->preds_count && !st->empty; i++) {
        enum pred_fit fit = PRED_CANNOT;
        LUMA_TRY(fit_values(e, op, &op->preds[i], &st->preds[st->preds_count], &fit));
        if (fit == PRED_NEVER)
            st->empty = true;
        else if (fit == PRED_FITS)
            st->preds_count++;
        else if (!op->preds[i].hint)
            st->late[st->late_count++] = op->preds[i].cond;
    }
    for (uint32_t i = 0; i < op->filters_count; i++) {
        const struct luma_pred_bloom *bloom =
            eng_join_filter(e->x, op->filter_joins[i], op->filter_keys[i]);
        if (bloom == NULL)
            continue;
        struct luma_value *value = LUMA_NEW(e->arena, struct luma_value);
        ENG_NEED(e->ctx, value, "a scan");
        value->phys = LUMA_PHYS_STR;
        value->str.bytes = sizeof(*bloom);
        value->str.ptr = (const char *)bloom;
        st->preds[st->preds_count++] = (struct luma_pred){
            .col = op->filter_cols[i], .op = LUMA_PRED_BLOOM, .values_count = 1, .values = value};
    }
    return LUMA_OK;
}

static luma_rc
key_values(struct xenv *e, const struct op_scan *op, uint32_t count, struct luma_value *key,
           bool *out_never, bool *out_cannot)
{
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        enum luma_pred_op got;
        LUMA_TRY(eng_eval_value(e, op->eqs[i].values[0], &v));
        enum pred_fit fit = eng_pred_fit(op->key_types[i], LUMA_PRED_EQ, &v, &got, &key[i]);
        *out_never = *out_never || fit == PRED_NEVER;
        *out_cannot = *out_cannot || fit == PRED_CANNOT || fit == PRED_ALWAYS;
    }
    return LUMA_OK;
}

static luma_rc
open_get(struct xenv *e, const struct op_scan *op, struct scan_state *st, bool *out_cannot)
{
    struct luma_value key[16];
    if (op->eq_count > LUMA_COUNTOF(key)) {
        *out_cannot = true;
        return LUMA_OK;
    }
    LUMA_TRY(key_values(e, op, op->eq_count, key, &st->empty, out_cannot));
    if (st->empty || *out_cannot)
        return LUMA_OK;
    st->row = luma_arena_alloc(e->arena, sizeof(*st->row) * (op->stored + 1));
    st->batch.cols = luma_arena_alloc(e->arena, sizeof(struct luma_vec) * (op->stored + 2));
    if (st->row == NULL || st->batch.cols == NULL)
        return ENG_NOMEM(e->ctx, "a scan");
    LUMA_TRY(eng.store->get(e->ctx, e->x->txn, st->coll, op->index_id, key, op->eq_count,
                            op->col_ids, op->stored, e->arena, st->row, &st->rowid));
    if (st->rowid < 0)
        st->empty = true;
    return LUMA_OK;
}

static luma_rc
range_bound(struct xenv *e, const struct op_scan *op, const struct scan_pred *pred,
            struct luma_value *out, bool *out_exclusive, bool *out_used, bool *out_never)
{
    struct luma_value v;
    enum luma_pred_op got;
    *out_used = false;
    if (pred == NULL)
        return LUMA_OK;
    LUMA_TRY(eng_eval_value(e, pred->values[0], &v));
    enum pred_fit fit = eng_pred_fit(op->key_types[op->eq_count], pred->op, &v, &got, out);
    *out_never = *out_never || fit == PRED_NEVER;
    *out_used = fit == PRED_FITS;
    *out_exclusive = got == LUMA_PRED_LT || got == LUMA_PRED_GT;
    return LUMA_OK;
}

static luma_rc
open_range(struct xenv *e, const struct op_scan *op, struct scan_state *st,
           const struct luma_scan_spec *spec, bool *out_cannot)
{
    struct luma_value lo[17], hi[17];
    struct luma_key_range range = {.lo = lo, .hi = hi, .reverse = op->reverse};
    if (op->eq_count > 16) {
        *out_cannot = true;
        return LUMA_OK;
    }
    LUMA_TRY(key_values(e, op, op->eq_count, lo, &st->empty, out_cannot));
    memcpy(hi, lo, sizeof(*lo) * op->eq_count);
    range.lo_count = range.hi_count = op->eq_count;
    bool used_lo, used_hi;
    LUMA_TRY(
        range_bound(e, op, op->lo, &lo[op->eq_count], &range.lo_exclusive, &used_lo, &st->empty));
    LUMA_TRY(
        range_bound(e, op, op->hi, &hi[op->eq_count], &range.hi_exclusive, &used_hi, &st->empty));
    if (st->empty || *out_cannot)
        return LUMA_OK;
    range.lo_count += used_lo ? 1 : 0;
    range.hi_count += used_hi ? 1 : 0;
    range.lo_exclusive = range.lo_exclusive && used_lo;
    range.hi_exclusive = range.hi_exclusive && used_hi;
    return eng.store->index_scan(e->ctx, e->x->txn, st->coll, op->index_id, &range, spec,
                                 &st->ranged);
}

static luma_rc
scan_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_scan *op = (const struct op_scan *)base;
    struct scan_state *st;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(*st), &mem));
    st = mem;
    struct xenv e = eng_env(eng_part(x, 0, ctx), x->arena);
    LUMA_TRY(eng.store->open(ctx, x->txn, op->coll_id, &st->coll));
    bool cannot = false;
    if (op->access == SCAN_GET) {
        LUMA_TRY(open_get(&e, op, st, &cannot));
        if (!cannot && (st->empty || op->preds_count == op->eq_count))
            return LUMA_OK; /* the key is all there is to judge */
    }
    if (op->access == SCAN_KEYS) {
        struct scan_keys *keys = LUMA_NEW(x->arena, struct scan_keys);
        ENG_NEED(ctx, keys, "a scan");
        LUMA_TRY(eng_scan_keys_open(&e, op, keys, &st->empty, &cannot));
        if (!cannot) {
            st->keys = keys;
            return LUMA_OK;
        }
    }
    LUMA_TRY(make_preds(&e, op, st));
    if (op->fields_count > 0)
        LUMA_TRY(eng_scan_fields_open(&e, op, &st->fields));
    if (st->empty || (op->access == SCAN_GET && !cannot))
        return LUMA_OK;
    st->lazy = st->late_count == 0 && op->stored > 0;
    struct luma_scan_spec spec = {.cols = op->col_ids,
                                  .cols_count = op->stored,
                                  .preds = st->preds,
                                  .preds_count = st->preds_count,
                                  .rowids = op->rowid,
                                  .paths = op->paths,
                                  .lazy = st->lazy ? op->lazy : NULL,
                                  .fields = st->fields.preds,
                                  .fields_count = st->fields.count};
    if (op->access == SCAN_RANGE) {
        cannot = false;
        LUMA_TRY(open_range(&e, op, st, &spec, &cannot));
        if (!cannot)
            return LUMA_OK;
    }
    return eng.store->scan_open(ctx, x->txn, st->coll, &spec, &st->scan);
}

static uint32_t
scan_parts(struct exec *x, const struct op *base)
{
    const struct scan_state *st = x->op_state[base->id];
    uint32_t morsels = st->scan == NULL ? 1 : eng.store->scan_morsels(st->scan);
    return morsels == 0 ? 1 : morsels;
}

static void
scan_start(struct exec *x, const struct op *base, uint32_t parts)
{
    struct scan_state *st = x->op_state[base->id];
    st->parts = parts;
}

struct load_call {
    struct part *p;
    struct luma_cursor *cursor;
    struct luma_batch *raw; /* storage's own */
};

/* A column that only conditions look at, for the rows that are left. */
static luma_rc
load_column(void *arg, struct luma_batch *batch, uint32_t col)
{
    const struct load_call *call = arg;
    call->raw->sel = batch->sel;
    call->raw->sel_rows = batch->sel_rows;
    LUMA_TRY(eng.store->cursor_load(call->p->ctx, call->cursor, call->raw, col));
    batch->cols[col] = call->raw->cols[col];
    return LUMA_OK;
}

/* The columns that waited for the bound of a sort. */
static luma_rc
load_rest(const struct op_scan *op, const struct scan_state *st, struct load_call *call,
          struct luma_batch *batch)
{
    for (uint32_t i = 0; st->lazy && i < op->stored; i++)
        if (op->lazy[i])
            LUMA_TRY(load_column(call, batch, i));
    return LUMA_OK;
}

/* Conditions that storage did not judge. */
static luma_rc
judge(struct part *p, const struct op_scan *op, const struct scan_state *st, struct load_call *call,
      struct luma_batch *batch)
{
    if (op->residual == NULL && st->late_count == 0 && op->fields_count == 0)
        return LUMA_OK;
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
    struct xenv e = eng_env(p, arena);
    for (uint32_t i = 0; i < st->late_count && batch->sel_rows > 0; i++)
        LUMA_TRY(eng_filter_batch(&e, st->late[i], batch));
    if (op->fields_count > 0)
        LUMA_TRY(eng_scan_fields_judge(&e, op, &st->fields,
                                       call == NULL ? 0 : eng.store->cursor_fields(call->cursor),
                                       call != NULL && st->lazy ? load_column : NULL, call, batch));
    if (op->residual != NULL && batch->sel_rows > 0)
        LUMA_TRY(eng_filter_batch(&e, op->residual, batch));
    return LUMA_OK;
}

/* Output columns out of what was read: columns that only conditions wanted stay behind. */
static luma_rc
shape_out(struct part *p, const struct op_scan *op, struct luma_batch *batch)
{
    struct scan_part *part;
    void *mem;
    LUMA_TRY(eng_part_state(p, &op->op, sizeof(*part), &mem));
    part = mem;
    if (part->out == NULL) {
        part->out = luma_arena_alloc(p->arena, sizeof(*part->out) * (op->op.cols_count + 1));
        ENG_NEED(p->ctx, part->out, "a scan");
    }
    for (uint32_t i = 0; i < op->op.cols_count; i++)
        part->out[i] = batch->cols[op->out_from[i]];
    batch->cols = part->out;
    batch->cols_count = op->op.cols_count;
    return LUMA_OK;
}

/* The one row of a lookup must satisfy the other predicates too. */
static bool
pred_holds(const struct luma_pred *pred, const struct luma_value *v)
{
    if (pred->op == LUMA_PRED_IS_NULL)
        return v->is_null;
    if (v->is_null)
        return false;
    if (pred->op == LUMA_PRED_NOT_NULL || pred->op == LUMA_PRED_BLOOM)
        return true;
    if (pred->op == LUMA_PRED_IN) {
        for (uint32_t i = 0; i < pred->values_count; i++)
            if (eng.data->value_compare(v, &pred->values[i]) == 0)
                return true;
        return false;
    }
    int c = eng.data->value_compare(v, &pred->values[0]);
    switch (pred->op) {
    case LUMA_PRED_EQ:
        return c == 0;
    case LUMA_PRED_NE:
        return c != 0;
    case LUMA_PRED_LT:
        return c < 0;
    case LUMA_PRED_LE:
        return c <= 0;
    case LUMA_PRED_GT:
        return c > 0;
    default:
        return c >= 0;
    }
}

luma_rc
eng_scan_fields(struct luma_ctx *ctx, struct luma_arena *arena, const struct op_scan *op,
                struct luma_vec *cols, uint32_t rows)
{
    for (uint32_t i = 0; op->paths != NULL && i < op->stored; i++) {
        if (op->paths[i].steps_count == 0)
            continue;
        struct luma_vec docs = cols[i];
        docs.type = op->paths[i].of;
        LUMA_TRY(eng.data->doc_path(ctx, arena, &docs, &op->paths[i], NULL, rows, rows, &cols[i]));
    }
    return LUMA_OK;
}

static luma_rc
next_get(struct part *p, const struct op_scan *op, struct scan_state *st, struct luma_batch **out)
{
    static const uint64_t none;
    if (st->got || p->index > 0)
        return LUMA_OK;
    st->got = true;
    for (uint32_t i = 0; i < st->preds_count; i++)
        if (!pred_holds(&st->preds[i], &st->row[st->preds[i].col]))
            return LUMA_OK;
    struct luma_batch *batch = &st->batch;
    for (uint32_t i = 0; i < op->stored; i++) {
        struct luma_vec *vec = &batch->cols[i];
        memset(vec, 0, sizeof(*vec));
        vec->type = op->col_types[i];
        vec->phys = st->row[i].is_null ? (uint8_t)luma_type_phys(vec->type) : st->row[i].phys;
        vec->scale = st->row[i].scale;
        vec->data = &st->row[i].b;
        if (st->row[i].is_null)
            vec->valid = (uint64_t *)(uintptr_t)&none;
    }
    if (op->rowid)
        eng_vec_int8(&batch->cols[op->stored], &st->rowid);
    LUMA_TRY(eng_scan_fields(p->ctx, p->x->arena, op, batch->cols, 1));
    batch->cols_count = op->stored + (op->rowid ? 1 : 0);
    batch->rows = batch->sel_rows = 1;
    LUMA_TRY(judge(p, op, st, NULL, batch));
    if (batch->sel_rows == 0)
        return LUMA_OK;
    *out = batch;
    return shape_out(p, op, batch);
}

static luma_rc
next_batch(struct part *p, const struct op_scan *op, struct scan_state *st, struct scan_part *part,
           struct load_call *call, struct luma_batch **out)
{
    struct luma_cursor *cursor = st->ranged != NULL ? st->ranged : part->cursor;
    struct luma_batch *batch;
    LUMA_TRY(eng.store->cursor_next(p->ctx, cursor, &batch));
    *call = (struct load_call){p, cursor, batch};
    if (batch->rows == 0 || batch->sel_rows == 0) {
        *out = NULL;
        return LUMA_OK;
    }
    part->batch = *batch;
    if (op->rowid) {
        if (part->cols == NULL) {
            part->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, op->stored + 1);
            ENG_NEED(p->ctx, part->cols, "a scan");
        }
        if (op->stored > 0)
            memcpy(part->cols, batch->cols, sizeof(*part->cols) * op->stored);
        eng_vec_int8(&part->cols[op->stored], batch->rowids);
        part->batch.cols = part->cols;
    }
    part->batch.cols_count = op->stored + (op->rowid ? 1 : 0);
    *out = &part->batch;
    return LUMA_OK;
}

static luma_rc
scan_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_scan *op = (const struct op_scan *)base;
    struct scan_state *st = p->x->op_state[base->id];
    struct scan_part *part;
    void *mem;
    if (st->empty)
        return LUMA_OK;
    if (st->row != NULL && st->scan == NULL)
        return next_get(p, op, st, out);
    if ((st->ranged != NULL || st->keys != NULL) && p->index > 0)
        return LUMA_OK;
    LUMA_TRY(eng_part_state(p, base, sizeof(*part), &mem));
    part = mem;
    if (st->scan != NULL && part->cursor == NULL)
        LUMA_TRY(eng.store->cursor_open(p->ctx, st->scan, &part->cursor));
    for (;;) {
        struct load_call call = {0};
        LUMA_TRY(eng.sched->yield(p->ctx));
        if (st->keys != NULL)
            LUMA_TRY(eng_scan_keys_next(p, op, st->coll, st->keys, out));
        else
            LUMA_TRY(next_batch(p, op, st, part, &call, out));
        if (*out == NULL)
            return LUMA_OK;
        if (op->top.sort != NULL && st->scan != NULL) {
            LUMA_TRY(eng_scan_top_judge(p, op, *out));
            if ((*out)->sel_rows == 0)
                continue;
            LUMA_TRY(load_rest(op, st, &call, *out));
        }
        LUMA_TRY(judge(p, op, st, st->keys == NULL ? &call : NULL, *out));
        if ((*out)->sel_rows > 0)
            return shape_out(p, op, *out);
    }
}

static void
scan_close(struct exec *x, const struct op *base)
{
    struct scan_state *st = x->op_state[base->id];
    for (uint32_t i = 0; i < x->parts_max; i++) {
        struct scan_part *part = x->parts[i] == NULL ? NULL : x->parts[i]->op_state[base->id];
        if (part != NULL && part->cursor != NULL)
            eng.store->cursor_close(part->cursor);
        if (part != NULL)
            x->parts[i]->op_state[base->id] = NULL;
    }
    if (st->ranged != NULL)
        eng.store->cursor_close(st->ranged);
    if (st->scan != NULL)
        eng.store->scan_close(st->scan);
    eng.store->close(st->coll);
}

static void
scan_explain(struct explain *ex, const struct op *base)
{
    const struct op_scan *op = (const struct op_scan *)base;
    const struct exec *x = eng_explain_exec(ex);
    if (op->top.sort != NULL)
        eng_explain_text(ex, "Read Late", "all columns but the first sort key");
    eng_explain_conds(ex, op->access == SCAN_SEQ ? "Filter" : "Index Cond", base->rel);
    if (x == NULL || x->op_state[base->id] == NULL)
        return;
    const struct scan_state *st = x->op_state[base->id];
    if (st->scan == NULL)
        return;
    struct luma_scan_stats stats;
    memset(&stats, 0, sizeof(stats));
    eng.store->scan_stats(st->scan, &stats);
    eng_explain_num(ex, "Segments", (double)stats.segments);
    eng_explain_num(ex, "Row Groups Read", (double)(stats.groups - stats.groups_skipped));
    eng_explain_num(ex, "Row Groups Skipped", (double)stats.groups_skipped);
    eng_explain_num(ex, "Rows Read", (double)stats.rows_read);
    eng_explain_num(ex, "Bytes Read", (double)stats.bytes_read);
}

const char *
eng_scan_title(const struct op *base)
{
    const struct op_scan *op = (const struct op_scan *)base;
    if (base->cls != &eng_scan_class)
        return base->cls->name;
    if (op->access == SCAN_RANGE)
        return op->reverse ? "Index Scan Backward" : "Index Scan";
    return op->access == SCAN_SEQ ? "Seq Scan" : "Index Lookup";
}

const char *
eng_scan_index(const struct op *base)
{
    const struct op_scan *op = (const struct op_scan *)base;
    return base->cls == &eng_scan_class && op->access != SCAN_SEQ ? op->index_name : NULL;
}

const struct op_class eng_scan_class = {
    .name = "Seq Scan",
    .open = scan_open,
    .parts = scan_parts,
    .start = scan_start,
    .next = scan_next,
    .close = scan_close,
    .explain = scan_explain,
};
