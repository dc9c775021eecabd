/*
 * phys_index.c - which index a table is read through: where it is selective, or where its order
 * spares sorting for the first few rows.
 */
#include "scan.h"

/* A row through an index costs about as much as forty in a scan. */
#define INDEX_ROW_COST 40
#define SMALL_ROWS     500 /* a scan of fewer is not worth a thought */
#define ARRAY_KEYS     10  /* of an array that is a parameter */

static const struct scan_pred *
find_eq(const struct op_scan *scan, uint32_t col_id, enum luma_pred_op op)
{
    for (uint32_t i = 0; i < scan->preds_count; i++)
        if (scan->col_ids[scan->preds[i].col] == col_id && scan->preds[i].op == op)
            return &scan->preds[i];
    return NULL;
}

static struct scan_pred *
find_bound(struct op_scan *scan, uint32_t col_id, bool lower)
{
    for (uint32_t i = 0; i < scan->preds_count; i++) {
        struct scan_pred *pred = &scan->preds[i];
        bool is_lower = pred->op == LUMA_PRED_GT || pred->op == LUMA_PRED_GE;
        bool is_upper = pred->op == LUMA_PRED_LT || pred->op == LUMA_PRED_LE;
        if (scan->col_ids[pred->col] == col_id && (lower ? is_lower : is_upper))
            return pred;
    }
    return NULL;
}

static struct luma_type
def_type(const struct luma_store_coll *def, uint32_t col_id)
{
    for (uint32_t i = 0; i < def->cols_count; i++)
        if (def->cols[i].id == col_id)
            return def->cols[i].type;
    return luma_type(LUMA_TYPE_NONE);
}

static double
pred_share(struct scan_build *b, const struct scan_pred *pred)
{
    return pred == NULL ? 1 : eng_selectivity(b->ph->pp, b->pred_conds[pred - b->scan->preds]);
}

/* One index as the scan could use it. */
struct choice {
    const struct luma_store_index *index;
    struct scan_pred *eqs, *lo, *hi;
    uint32_t eq_count, in_at; /* in_at: eq_count when there is no list */
    double share;             /* of the rows that the bounds leave */
};

static bool
is_tree(const struct luma_store_index *index)
{
    return strcmp(index->kind, "btree") == 0;
}

/* Equalities on the leading columns, one list among them at most, then bounds on the next. */
static void
match(struct scan_build *b, const struct luma_store_index *index, bool lists, struct choice *c)
{
    struct op_scan *scan = b->scan;
    uint32_t n = 0;
    c->index = index;
    c->eqs = PP_ARRAY(b->ph->pp, struct scan_pred, index->cols_count);
    c->in_at = UINT32_MAX;
    c->share = 1;
    for (; n < index->cols_count; n++) {
        const struct scan_pred *pred = find_eq(scan, index->cols[n].col_id, LUMA_PRED_EQ);
        if (pred == NULL && lists && c->in_at == UINT32_MAX) {
            pred = find_eq(scan, index->cols[n].col_id, LUMA_PRED_IN);
            c->in_at = pred == NULL ? c->in_at : n;
        }
        if (pred == NULL)
            break;
        c->eqs[n] = *pred;
        c->share *= pred_share(b, pred);
    }
    c->eq_count = n;
    c->lo = c->hi = NULL;
    if (n == index->cols_count || !is_tree(index) || c->in_at != UINT32_MAX)
        return;
    c->lo = find_bound(scan, index->cols[n].col_id, true);
    c->hi = find_bound(scan, index->cols[n].col_id, false);
    c->share *= pred_share(b, c->lo) * pred_share(b, c->hi);
    c->share *= c->lo != NULL && c->hi != NULL ? 0.3 : 1;
}

static void
take(struct scan_build *b, const struct luma_store_coll *def, const struct choice *c,
     enum scan_access access)
{
    struct op_scan *scan = b->scan;
    struct luma_type *types = PP_ARRAY(b->ph->pp, struct luma_type, c->index->cols_count);
    for (uint32_t i = 0; i < c->index->cols_count; i++)
        types[i] = def_type(def, c->index->cols[i].col_id);
    scan->access = access;
    scan->index_id = c->index->id;
    scan->eq_count = c->eq_count;
    scan->eqs = c->eqs;
    scan->in_at = c->in_at;
    scan->lo = c->lo;
    scan->hi = c->hi;
    scan->key_types = types;
}

/* How many keys a list has: one row each in a unique index. */
static double
keys_of(const struct scan_pred *list)
{
    const struct xp *array = list->values[0];
    if (!list->array)
        return list->values_count;
    return array->kind == XP_CONST && !array->value.is_null
               ? (double)eng.data->array_count(&array->value.str)
               : ARRAY_KEYS;
}

static void
try_index(struct scan_build *b, const struct luma_store_coll *def,
          const struct luma_store_index *index, double rows, double *inout_best)
{
    for (uint32_t lists = 0; lists < 2; lists++) {
        struct choice c;
        match(b, index, lists == 1, &c);
        if (lists == 1 && c.in_at == UINT32_MAX)
            return;
        bool whole = c.eq_count == index->cols_count;
        bool get = index->unique && whole && lists == 0;
        bool usable = whole || (is_tree(index) && (c.eq_count > 0 || c.lo != NULL || c.hi != NULL));
        double expect = get                      ? 0.5
                        : index->unique && whole ? keys_of(&c.eqs[c.in_at])
                                                 : rows * c.share;
        if (!usable || c.eq_count > 16 || expect >= *inout_best)
            continue;
        /* Equality on all of a kind without order is asked for as keys. */
        enum scan_access access = get                             ? SCAN_GET
                                  : lists == 1 || !is_tree(index) ? SCAN_KEYS
                                                                  : SCAN_RANGE;
        *inout_best = expect;
        take(b, def, &c, access);
    }
}

/* --- order --- */

/* Would a value of one of these types as an equality always be one of the column's? Else the scan
 * may have to read the table instead, in no order. */
static bool
sure_key(const struct scan_pred *pred, struct luma_type col)
{
    uint8_t id = pred->values[0]->type.id;
    bool ints =
        (col.id == LUMA_TYPE_INT2 || col.id == LUMA_TYPE_INT4 || col.id == LUMA_TYPE_INT8) &&
        (id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4 || id == LUMA_TYPE_INT8);
    bool texts = (col.id == LUMA_TYPE_TEXT || col.id == LUMA_TYPE_VARCHAR) &&
                 (id == LUMA_TYPE_TEXT || id == LUMA_TYPE_VARCHAR);
    bool same = id == col.id &&
                (id == LUMA_TYPE_DATE || id == LUMA_TYPE_TIMESTAMP || id == LUMA_TYPE_TIMESTAMPTZ ||
                 id == LUMA_TYPE_UUID || id == LUMA_TYPE_BOOL);
    return ints || texts || same;
}

/* Does the index, read forward or backward, give the rows as sort wants them? */
static bool
gives_order(struct scan_build *b, const struct choice *c, const struct rel *sort, bool reverse)
{
    struct prep *pp = b->ph->pp;
    uint32_t at = c->eq_count;
    for (uint32_t i = 0; i < sort->sort_count; i++) {
        const struct ex_key *key = &sort->sort[i];
        if (key->expr->kind != LUMA_EXPR_COL ||
            !eng_rel_defines(b->rel, (uint32_t)key->expr->index))
            return false;
        const struct var *var = &pp->vars[key->expr->index];
        bool fixed = false; /* one value in all rows: no matter where it is named */
        for (uint32_t e = 0; e < c->eq_count; e++)
            fixed = fixed || c->index->cols[e].col_id == var->col_id;
        if (fixed)
            continue;
        if (at == c->index->cols_count || c->index->cols[at].col_id != var->col_id)
            return false;
        uint32_t flags = c->index->cols[at++].flags;
        bool desc = ((flags & LUMA_KEY_DESC) != 0) != reverse;
        bool first = ((flags & LUMA_KEY_NULLS_FIRST) != 0) != reverse;
        if (desc != key->desc || (first != key->nulls_first && !var->not_null))
            return false;
    }
    return true;
}

static void
try_order(struct scan_build *b, const struct luma_store_coll *def,
          const struct luma_store_index *index, double rows, double *inout_best)
{
    const struct rel *sort = b->rel->order;
    struct choice c;
    if (!is_tree(index))
        return;
    match(b, index, false, &c);
    if (c.eq_count > 16)
        return;
    for (uint32_t i = 0; i < c.eq_count; i++)
        if (!sure_key(&c.eqs[i], def_type(def, index->cols[i].col_id)))
            return;
    bool reverse = !gives_order(b, &c, sort, false);
    if (reverse && !gives_order(b, &c, sort, true))
        return;
    /* Conditions beyond the bounds let only some of the rows pass: more entries are read. */
    double all = eng_rows(b->ph->pp, b->rel), within = rows * c.share;
    double passes = within > 0 ? all / within : 1;
    double expect = b->rel->order_rows / (passes > 1 ? 1 : passes < 1e-6 ? 1e-6 : passes);
    expect = expect > within ? within : expect;
    if (expect > *inout_best)
        return;
    *inout_best = expect;
    take(b, def, &c, SCAN_RANGE);
    b->scan->index_ordered = true;
    b->scan->reverse = reverse;
}

static void
name_index(struct scan_build *b)
{
    struct prep *pp = b->ph->pp;
    const struct luma_cat_object *table =
        pp->cat == NULL ? NULL : eng.catalog->by_id(pp->cat, b->scan->coll_id);
    for (uint32_t i = 0; table != NULL && i < table->indexes_count; i++) {
        const char *name = table->indexes[i].name;
        if (table->indexes[i].id != b->scan->index_id || name == NULL)
            continue;
        char *copy = PP_ARRAY(pp, char, strlen(name) + 1);
        memcpy(copy, name, strlen(name) + 1);
        b->scan->index_name = copy;
    }
}

void
eng_choose_index(struct scan_build *b)
{
    double rows;
    struct luma_coll *coll = eng_coll(b->ph->pp, b->scan->coll_id, &rows);
    if (coll == NULL)
        return;
    const struct luma_store_coll *def = eng.store->def(coll);
    double best = rows / INDEX_ROW_COST < 20 ? 20 : rows / INDEX_ROW_COST;
    for (uint32_t i = 0; i < def->indexes_count; i++)
        try_index(b, def, &def->indexes[i], rows, &best);
    if (b->rel->order != NULL && b->scan->access != SCAN_GET) {
        best = b->scan->access == SCAN_SEQ && best * INDEX_ROW_COST < SMALL_ROWS
                   ? (double)SMALL_ROWS / INDEX_ROW_COST
                   : best;
        for (uint32_t i = 0; i < def->indexes_count; i++)
            try_order(b, def, &def->indexes[i], rows, &best);
    }
    if (b->scan->access != SCAN_SEQ)
        name_index(b);
}
