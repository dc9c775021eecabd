/*
 * op_index_join.c - a few rows against a large table with an index on the join columns: probe the
 * index for a batch of keys at once instead of reading the table.
 */
#include "explain.h"
#include "scan.h"

struct op_index_join {
    struct op op;
    enum luma_join join; /* INNER, LEFT, SEMI, ANTI; children[0] is the outer side */
    uint64_t coll_id, index_id;
    uint32_t keys_count;
    struct xp **keys;
    struct luma_type *key_types;
    uint32_t inner_cols;
    uint32_t *col_ids;
    struct luma_type *col_types;
    const struct luma_path **paths; /* per inner column; NULL: the column itself */
    bool rowid;                     /* one more column */
    struct xp *residual; /* over outer ++ inner: other join conditions, conditions of the scan */
    uint32_t outer_cols;
    uint32_t *out_from;
    const char *table;
};

struct index_join_state {
    struct luma_coll *coll;
    struct luma_batch *in;
    struct luma_vec *keys;
    uint32_t keys_rows;
    uint32_t *key_row; /* outer row of each key */
    uint64_t state;
    bool probing;
    uint64_t matched[LUMA_BATCH_ROWS / 64];
    struct luma_vec *both, *cols;
    struct luma_batch batch;
};

static luma_rc
ij_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_index_join *op = (const struct op_index_join *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct index_join_state), &mem));
    struct index_join_state *st = mem;
    st->both = LUMA_NEW_ARRAY(x->arena, struct luma_vec, op->outer_cols + op->inner_cols + 2);
    st->cols = LUMA_NEW_ARRAY(x->arena, struct luma_vec, base->cols_count + 1);
    st->keys = LUMA_NEW_ARRAY(x->arena, struct luma_vec, op->keys_count + 1);
    if (st->both == NULL || st->cols == NULL || st->keys == NULL)
        return ENG_NOMEM(ctx, "an index join");
    LUMA_TRY(eng.store->open(ctx, x->txn, op->coll_id, &st->coll));
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    eng_start(x, base->child[0], 1);
    return LUMA_OK;
}

/* Dense keys of the outer batch, rows with a null key left out. */
static luma_rc
ij_begin(struct xenv *e, const struct op_index_join *op, struct index_join_state *st)
{
    struct luma_batch *in = st->in;
    struct luma_vec *raw = luma_arena_alloc(e->arena, sizeof(*raw) * (op->keys_count + 1));
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (in->rows + 8));
    st->key_row = luma_arena_alloc(e->arena, sizeof(uint32_t) * (in->sel_rows + 1));
    if (raw == NULL || sel == NULL || st->key_row == NULL)
        return ENG_NOMEM(e->ctx, "an index join");
    for (uint32_t i = 0; i < op->keys_count; i++) {
        LUMA_TRY(eng_eval(e, op->keys[i], in, in->sel, in->sel_rows, &raw[i]));
        LUMA_TRY(eng_vec_table_form(e, op->key_types[i], &raw[i], in->sel, in->sel_rows, in->rows,
                                    &raw[i]));
        raw[i].type = op->key_types[i];
    }
    uint32_t n = 0;
    for (uint32_t k = 0; k < in->sel_rows; k++) {
        uint32_t row = luma_batch_row(in, k);
        bool null = false;
        for (uint32_t i = 0; i < op->keys_count; i++)
            null = null || luma_vec_is_null(&raw[i], row);
        if (null)
            continue;
        sel[n] = (uint16_t)row;
        st->key_row[n++] = row;
    }
    for (uint32_t i = 0; i < op->keys_count; i++)
        LUMA_TRY(eng.data->vec_copy(e->arena, &raw[i], sel, n, false, &st->keys[i]));
    st->keys_rows = n;
    st->state = 0;
    st->probing = n > 0;
    memset(st->matched, 0, sizeof(st->matched));
    return LUMA_OK;
}

static void
ij_shape(const struct op_index_join *op, struct index_join_state *st, const struct luma_batch *like)
{
    for (uint32_t i = 0; i < op->op.cols_count; i++) {
        st->cols[i] = st->both[op->out_from[i]];
        st->cols[i].type = op->op.types[i];
    }
    st->batch = *like;
    st->batch.cols = st->cols;
    st->batch.cols_count = op->op.cols_count;
    st->batch.rowids = NULL;
}

/* One call of the index; *out stays NULL when it gave nothing to hand on. */
static luma_rc
ij_probe(struct xenv *e, const struct op_index_join *op, struct index_join_state *st,
         struct luma_batch **out)
{
    struct luma_batch found;
    uint32_t *key = luma_arena_alloc(e->arena, sizeof(uint32_t) * LUMA_BATCH_ROWS);
    ENG_NEED(e->ctx, key, "an index join");
    memset(&found, 0, sizeof(found));
    LUMA_TRY(eng.store->probe(e->ctx, e->x->txn, st->coll, op->index_id, st->keys, op->keys_count,
                              st->keys_rows, op->col_ids, op->inner_cols, op->rowid, e->arena,
                              &found, key, &st->state));
    if (found.rows == 0) {
        st->probing = false;
        return LUMA_OK;
    }
    for (uint32_t i = 0; i < op->inner_cols; i++) {
        struct luma_vec docs = found.cols[i];
        if (op->paths[i] == NULL)
            continue;
        docs.type = op->paths[i]->of;
        LUMA_TRY(eng.data->doc_path(e->ctx, e->arena, &docs, op->paths[i], NULL, found.rows,
                                    found.rows, &found.cols[i]));
    }
    for (uint32_t i = 0; i < found.rows; i++)
        key[i] = st->key_row[key[i]];
    for (uint32_t c = 0; c < op->outer_cols; c++)
        LUMA_TRY(eng_vec_gather(e, &st->in->cols[c], key, found.rows, &st->both[c]));
    for (uint32_t c = 0; c < op->inner_cols; c++)
        st->both[op->outer_cols + c] = found.cols[c];
    if (op->rowid)
        eng_vec_int8(&st->both[op->outer_cols + op->inner_cols], found.rowids);
    struct luma_batch pair = {.rows = found.rows,
                              .sel_rows = found.rows,
                              .cols = st->both,
                              .cols_count = op->outer_cols + op->inner_cols + 1};
    if (op->residual != NULL)
        LUMA_TRY(eng_filter_batch(e, op->residual, &pair));
    for (uint32_t k = 0; k < pair.sel_rows; k++)
        luma_bit_set(st->matched, key[luma_batch_row(&pair, k)]);
    if (pair.sel_rows == 0 || op->join == LUMA_JOIN_SEMI || op->join == LUMA_JOIN_ANTI)
        return LUMA_OK;
    ij_shape(op, st, &pair);
    *out = &st->batch;
    return LUMA_OK;
}

/* After the last match: rows that must have had one, or none. */
static luma_rc
ij_rest(struct xenv *e, const struct op_index_join *op, struct index_join_state *st,
        struct luma_batch **out)
{
    struct luma_batch like = *st->in;
    bool want = op->join == LUMA_JOIN_SEMI;
    uint32_t n = 0;
    st->in = NULL;
    if (op->join == LUMA_JOIN_INNER)
        return LUMA_OK;
    uint16_t *sel = luma_arena_alloc(e->arena, sizeof(uint16_t) * (like.sel_rows + 8));
    ENG_NEED(e->ctx, sel, "an index join");
    for (uint32_t k = 0; k < like.sel_rows; k++) {
        uint32_t row = luma_batch_row(&like, k);
        if (luma_bit_get(st->matched, row) == want)
            sel[n++] = (uint16_t)row;
    }
    if (n == 0)
        return LUMA_OK;
    memcpy(st->both, like.cols, sizeof(*st->both) * op->outer_cols);
    for (uint32_t c = 0; c < op->inner_cols; c++)
        eng_vec_null(&st->both[op->outer_cols + c], op->col_types[c]);
    if (op->rowid)
        eng_vec_null(&st->both[op->outer_cols + op->inner_cols], luma_type(LUMA_TYPE_INT8));
    like.sel = sel;
    like.sel_rows = n;
    ij_shape(op, st, &like);
    *out = &st->batch;
    return LUMA_OK;
}

static luma_rc
ij_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_index_join *op = (const struct op_index_join *)base;
    struct index_join_state *st = p->x->op_state[base->id];
    if (p->index > 0)
        return LUMA_OK;
    for (;;) {
        struct luma_arena *arena = p->batch[base->id];
        LUMA_TRY(eng.sched->yield(p->ctx));
        if (st->in == NULL) {
            LUMA_TRY(eng_next(p, base->child[0], &st->in));
            if (st->in == NULL)
                return LUMA_OK;
            LUMA_TRY(eng_batch_arena(p, base, &arena));
            struct xenv e = eng_env(p, arena);
            LUMA_TRY(ij_begin(&e, op, st));
        }
        struct xenv e = eng_env(p, arena);
        if (st->probing)
            LUMA_TRY(ij_probe(&e, op, st, out));
        else
            LUMA_TRY(ij_rest(&e, op, st, out));
        if (*out != NULL)
            return LUMA_OK;
    }
}

static void
ij_close(struct exec *x, const struct op *base)
{
    struct index_join_state *st = x->op_state[base->id];
    eng.store->close(st->coll);
}

static void
ij_explain(struct explain *ex, const struct op *base)
{
    const struct op_index_join *op = (const struct op_index_join *)base;
    eng_explain_text(ex, "Inner Table", op->table);
    eng_explain_conds(ex, "Index Cond", base->rel);
}

static const struct op_class index_join_class = {
    .name = "Index Join",
    .open = ij_open,
    .next = ij_next,
    .close = ij_close,
    .explain = ij_explain,
};

/* --- building --- */

struct ij_build {
    struct prep *pp;
    struct rel *outer, *inner;
    struct bits outer_outs;
    uint32_t keys_count;
    struct ex *keys[16];
    const struct ex *used[16];
    uint64_t index_id;
};

/* Equality of inner column col_id with something of the outer side, of exactly its type. */
static struct ex *
key_for(struct ij_build *b, const struct rel *join, uint32_t col_id, const struct ex **out_cond)
{
    for (uint32_t i = 0; i < join->conds.count; i++) {
        struct ex *sides[2];
        if (!eng_is_eq(join->conds.items[i], &sides[0], &sides[1]))
            continue;
        for (uint32_t s = 0; s < 2; s++) {
            struct ex *mine = sides[s], *other = sides[1 - s];
            struct bits vars = {0, NULL};
            if (mine->kind != LUMA_EXPR_COL || !eng_rel_defines(b->inner, (uint32_t)mine->index) ||
                b->pp->vars[mine->index].col_id != col_id || mine->type.id != other->type.id ||
                mine->type.scale != other->type.scale || mine->type.mod != other->type.mod)
                continue;
            eng_ex_vars(b->pp, other, &vars);
            if (!eng_bits_within(&vars, &b->outer_outs) || eng_ex_volatile(other) ||
                eng_ex_has_sublink(other))
                continue;
            *out_cond = join->conds.items[i];
            return other;
        }
    }
    return NULL;
}

static bool
choose(struct ij_build *b, const struct rel *join)
{
    double rows;
    struct luma_coll *coll = eng_coll(b->pp, b->inner->plan->coll_id, &rows);
    if (coll == NULL || eng_rows(b->pp, b->outer) * 25 > rows)
        return false;
    const struct luma_store_coll *def = eng.store->def(coll);
    for (uint32_t i = 0; i < def->indexes_count; i++) {
        const struct luma_store_index *index = &def->indexes[i];
        uint32_t n = 0;
        const struct ex *used[16];
        struct ex *keys[16];
        while (n < index->cols_count && n < 16) {
            keys[n] = key_for(b, join, index->cols[n].col_id, &used[n]);
            if (keys[n] == NULL)
                break;
            n++;
        }
        bool whole = n == index->cols_count;
        if (n <= b->keys_count || (!whole && strcmp(index->kind, "btree") != 0))
            continue;
        b->keys_count = n;
        b->index_id = index->id;
        memcpy(b->keys, keys, sizeof(*keys) * n);
        memcpy(b->used, used, sizeof(*used) * n);
    }
    return b->keys_count > 0;
}

struct op *
eng_phys_index_join(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct ij_build b = {.pp = pp, .outer = rel->child[0], .inner = rel->child[1]};
    if (rel->null_aware || rel->single || rel->join == LUMA_JOIN_RIGHT ||
        rel->join == LUMA_JOIN_FULL)
        return NULL;
    bool found = false;
    for (uint32_t turn = 0; turn < 2 && !found; turn++) {
        if (turn == 1) {
            if (rel->join != LUMA_JOIN_INNER)
                return NULL;
            b.outer = rel->child[1];
            b.inner = rel->child[0];
        }
        b.outer_outs = (struct bits){0, NULL};
        eng_rel_outs(pp, b.outer, &b.outer_outs);
        found = b.inner->kind == REL_SCAN && choose(&b, rel);
    }
    if (!found)
        return NULL;
    /* Conditions but for the keys, and those of the scan, are judged on the pairs. */
    struct ex_list residual = {NULL, 0, 0};
    for (uint32_t i = 0; i < rel->conds.count; i++) {
        bool used = false;
        for (uint32_t k = 0; k < b.keys_count; k++)
            used = used || b.used[k] == rel->conds.items[i];
        if (!used)
            eng_list_add(pp, &residual, rel->conds.items[i]);
    }
    for (uint32_t i = 0; i < b.inner->conds.count; i++)
        eng_list_add(pp, &residual, b.inner->conds.items[i]);
    struct bits below = eng_bits_copy(pp, need);
    eng_need_list(pp, &below, &residual);
    eng_need_exs(pp, &below, b.keys, b.keys_count);
    struct op *outer = eng_phys(ph, b.outer, &below);
    uint32_t inner_count, n = 0, count = 0;
    uint32_t *inner_vars = eng_scan_needed(pp, b.inner, &below, &inner_count);
    uint32_t room = outer->cols_count + inner_count;
    uint32_t *both = PP_ARRAY(pp, uint32_t, room), *vars = PP_ARRAY(pp, uint32_t, room),
             *from = PP_ARRAY(pp, uint32_t, room);
    memcpy(both, outer->vars, sizeof(uint32_t) * outer->cols_count);
    for (uint32_t i = 0; i < inner_count; i++)
        if (inner_vars[i] != b.inner->rowid_var)
            both[outer->cols_count + n++] = inner_vars[i];
    bool rowid = n < inner_count;
    if (rowid)
        both[outer->cols_count + n] = b.inner->rowid_var;
    bool left_only = rel->join == LUMA_JOIN_SEMI || rel->join == LUMA_JOIN_ANTI;
    for (uint32_t i = 0; i < (left_only ? outer->cols_count : room); i++)
        if (eng_bits_has(need, both[i])) {
            vars[count] = both[i];
            from[count++] = i;
        }
    struct op_index_join *op = eng_op_new(ph, &index_join_class, sizeof(*op), rel, vars, count);
    struct comp oc = eng_comp(ph, outer), bc = {pp, ph->prog, both, room};
    op->op.child[0] = outer;
    op->join = rel->join;
    op->coll_id = b.inner->plan->coll_id;
    op->index_id = b.index_id;
    op->table = b.inner->plan->table_name;
    op->keys_count = b.keys_count;
    op->keys = eng_compile_all(&oc, b.keys, b.keys_count);
    op->key_types = PP_ARRAY(pp, struct luma_type, b.keys_count);
    for (uint32_t k = 0; k < b.keys_count; k++)
        op->key_types[k] = b.keys[k]->type;
    op->inner_cols = n;
    op->rowid = rowid;
    op->col_ids = PP_ARRAY(pp, uint32_t, n);
    op->col_types = PP_ARRAY(pp, struct luma_type, n);
    op->paths = PP_ARRAY(pp, const struct luma_path *, n);
    for (uint32_t i = 0; i < n; i++) {
        op->col_ids[i] = pp->vars[both[outer->cols_count + i]].col_id;
        op->col_types[i] = pp->vars[both[outer->cols_count + i]].type;
        op->paths[i] = pp->vars[both[outer->cols_count + i]].path;
    }
    op->outer_cols = outer->cols_count;
    op->out_from = from;
    op->residual = eng_compile_conds(&bc, &residual);
    return &op->op;
}
