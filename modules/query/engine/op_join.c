/* op_join.c - joins: which side is built, which runtime filters it feeds, the hash join operator.
 */
#include "explain.h"
#include "join.h"

static luma_rc
join_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_join *op = (const struct op_join *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct join_state), &mem));
    struct join_state *st = mem;
    LUMA_TRY(eng_join_build(x, ctx, op, st));
    bool none =
        st->count == 0 &&
        (op->kind == JOIN_INNER || op->kind == JOIN_SEMI || eng_join_keeps_build(op->kind)) &&
        op->kind != JOIN_FULL;
    if (none || (op->null_aware && st->has_null)) {
        st->empty = true; /* NOT IN (..., NULL) is never true; nothing joins with nothing */
        return LUMA_OK;
    }
    st->probe_open = true;
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    return st->spilled ? eng_join_spill_probe(x, ctx, op, st) : LUMA_OK;
}

static uint32_t
join_parts(struct exec *x, const struct op *base)
{
    const struct join_state *st = x->op_state[base->id];
    if (st->spilled)
        return st->items_count == 0 ? 1 : st->items_count;
    return st->empty ? 1 : eng_parts(x, base->child[0]);
}

static void
join_start(struct exec *x, const struct op *base, uint32_t parts)
{
    struct join_state *st = x->op_state[base->id];
    st->parts_left = parts;
    if (!st->empty && !st->spilled)
        eng_start(x, base->child[0], parts);
}

static void
join_release(struct exec *x, const struct op *base)
{
    struct join_state *st = x->op_state[base->id];
    for (uint32_t i = 0; i < x->parts_max; i++)
        if (x->parts[i] != NULL && x->parts[i]->op_state[base->id] != NULL)
            eng_join_part_free(x, x->parts[i]->op_state[base->id]);
    eng_join_free(x, st);
    eng_join_spill_free(x, st);
}

static void
join_close(struct exec *x, const struct op *base)
{
    struct join_state *st = x->op_state[base->id];
    join_release(x, base);
    eng_spill_close(x, &st->spill);
}

static const char *const join_names[] = {
    [JOIN_INNER] = "Hash Join",
    [JOIN_LEFT] = "Hash Left Join",
    [JOIN_RIGHT] = "Hash Right Join",
    [JOIN_FULL] = "Hash Full Join",
    [JOIN_SEMI] = "Hash Semi Join",
    [JOIN_ANTI] = "Hash Anti Join",
    [JOIN_BUILD_SEMI] = "Hash Right Semi Join",
    [JOIN_BUILD_ANTI] = "Hash Right Anti Join",
};

static void
join_explain(struct explain *ex, const struct op *base)
{
    const struct op_join *op = (const struct op_join *)base;
    eng_explain_text(ex, "Join Type", join_names[op->kind]);
    eng_explain_conds(ex, op->keys_count > 0 ? "Hash Cond" : "Join Filter", base->rel);
    if (op->filter_keys != 0)
        eng_explain_text(ex, "Runtime Filter", "keys of the build side");
    const struct exec *x = eng_explain_exec(ex);
    const struct join_state *st = x == NULL ? NULL : x->op_state[base->id];
    if (st != NULL)
        eng_explain_spill(ex, &st->spill);
}

static const struct op_class join_class = {
    .name = "Hash Join",
    .open = join_open,
    .parts = join_parts,
    .start = join_start,
    .next = eng_join_next,
    .close = join_close,
    .release = join_release,
    .explain = join_explain,
};

static const struct op_class loop_class = {
    .name = "Nested Loop",
    .open = join_open,
    .parts = join_parts,
    .start = join_start,
    .next = eng_join_next,
    .close = join_close,
    .release = join_release,
    .explain = join_explain,
};

/* --- building --- */

struct join_build {
    struct phys *ph;
    struct rel *rel;
    enum join_kind kind;
    struct rel *probe, *build;
    struct bits probe_outs, build_outs;
    struct ex_list probe_keys, build_keys, residual;
};

static void
choose_sides(struct join_build *b)
{
    struct prep *pp = b->ph->pp;
    struct rel *rel = b->rel, *l = rel->child[0], *r = rel->child[1];
    double rows_l = eng_rows(pp, l), rows_r = eng_rows(pp, r);
    bool swap = false;
    switch (rel->join) {
    case LUMA_JOIN_INNER:
        swap = rows_l < rows_r;
        b->kind = JOIN_INNER;
        break;
    case LUMA_JOIN_LEFT:
        swap = !rel->single && rows_l * 2 < rows_r;
        b->kind = swap ? JOIN_RIGHT : JOIN_LEFT;
        break;
    case LUMA_JOIN_RIGHT:
        swap = rows_l < rows_r;
        b->kind = swap ? JOIN_LEFT : JOIN_RIGHT;
        swap = b->kind == JOIN_LEFT;
        break;
    case LUMA_JOIN_FULL:
        b->kind = JOIN_FULL;
        break;
    case LUMA_JOIN_SEMI:
        swap = rows_l * 2 < rows_r;
        b->kind = swap ? JOIN_BUILD_SEMI : JOIN_SEMI;
        break;
    case LUMA_JOIN_ANTI:
        swap = !rel->null_aware && rows_l * 2 < rows_r;
        b->kind = swap ? JOIN_BUILD_ANTI : JOIN_ANTI;
        break;
    }
    b->probe = swap ? r : l;
    b->build = swap ? l : r;
}

static bool
is_int(uint8_t id)
{
    return id == LUMA_TYPE_INT2 || id == LUMA_TYPE_INT4 || id == LUMA_TYPE_INT8;
}

/* Can two expressions be compared by hash, and as what? */
static bool
common_type(struct luma_type a, struct luma_type b, struct luma_type *out)
{
    *out = a;
    if (is_int(a.id) && is_int(b.id)) {
        *out = a.id == b.id ? a : luma_type(LUMA_TYPE_INT8);
        return true;
    }
    if (a.id == LUMA_TYPE_NUMERIC && b.id == LUMA_TYPE_NUMERIC) {
        if (a.mod != b.mod || a.scale != b.scale)
            *out = luma_type(LUMA_TYPE_NUMERIC);
        return true;
    }
    bool text_a = a.id == LUMA_TYPE_TEXT || a.id == LUMA_TYPE_VARCHAR;
    bool text_b = b.id == LUMA_TYPE_TEXT || b.id == LUMA_TYPE_VARCHAR;
    if (text_a && text_b) {
        *out = luma_type(LUMA_TYPE_TEXT);
        return true;
    }
    return a.id == b.id && a.elem == b.elem;
}

static void
split_conds(struct join_build *b)
{
    struct prep *pp = b->ph->pp;
    for (uint32_t i = 0; i < b->rel->conds.count; i++) {
        struct ex *cond = b->rel->conds.items[i], *l, *r;
        struct bits vl = {0, NULL}, vr = {0, NULL};
        struct luma_type type;
        bool hashable = eng_is_eq(cond, &l, &r) && common_type(l->type, r->type, &type) &&
                        !eng_ex_volatile(cond) && !eng_ex_has_sublink(cond);
        if (hashable) {
            eng_ex_vars(pp, l, &vl);
            eng_ex_vars(pp, r, &vr);
        }
        if (hashable && eng_bits_meet(&vl, &b->probe_outs) && !eng_bits_meet(&vl, &b->build_outs) &&
            eng_bits_meet(&vr, &b->build_outs) && !eng_bits_meet(&vr, &b->probe_outs)) {
            eng_list_add(pp, &b->probe_keys, l);
            eng_list_add(pp, &b->build_keys, r);
        } else if (hashable && eng_bits_meet(&vr, &b->probe_outs) &&
                   !eng_bits_meet(&vr, &b->build_outs) && eng_bits_meet(&vl, &b->build_outs) &&
                   !eng_bits_meet(&vl, &b->probe_outs)) {
            eng_list_add(pp, &b->probe_keys, r);
            eng_list_add(pp, &b->build_keys, l);
        } else {
            eng_list_add(pp, &b->residual, cond);
        }
    }
}

/* The scan below op from which var comes unchanged, if leaving rows out there is harmless. */
static struct op_scan *
source_scan(struct op *op, uint32_t var)
{
    for (uint32_t guard = 0; op != NULL && guard < 64; guard++) {
        if (op->cls == &eng_scan_class)
            return (struct op_scan *)op;
        struct op *child = NULL;
        if (op->cls == &join_class || op->cls == &loop_class) {
            const struct op_join *join = (const struct op_join *)op;
            if (join->kind == JOIN_RIGHT || join->kind == JOIN_FULL ||
                join->kind == JOIN_BUILD_ANTI)
                return NULL;
            for (uint32_t side = 0; side < 2; side++)
                for (uint32_t i = 0; i < op->child[side]->cols_count; i++)
                    if (op->child[side]->vars[i] == var &&
                        (side == 0 || join->kind == JOIN_INNER || join->kind == JOIN_BUILD_SEMI))
                        child = op->child[side];
        } else if (strcmp(op->cls->name, "Filter") == 0 || strcmp(op->cls->name, "Project") == 0) {
            child = op->child[0];
        } else if (strcmp(op->cls->name, "HashAggregate") == 0) {
            /* Fine for a key; not for an aggregate's result, which has another variable anyway. */
            if (op->rel->plan != NULL && op->rel->plan->sets_count > 0)
                return NULL;
            child = op->child[0];
        } else {
            return NULL;
        }
        bool has = false;
        for (uint32_t i = 0; child != NULL && i < child->cols_count; i++)
            has = has || child->vars[i] == var;
        if (!has)
            return NULL;
        op = child;
    }
    return NULL;
}

static void
plan_filters(struct join_build *b, struct op_join *op)
{
    struct prep *pp = b->ph->pp;
    if (op->kind == JOIN_LEFT || op->kind == JOIN_FULL || op->kind == JOIN_ANTI)
        return;
    for (uint32_t k = 0; k < op->keys_count && k < 4; k++) {
        const struct ex *key = b->probe_keys.items[k];
        if (key->kind != LUMA_EXPR_COL || key->type.id != op->key_types[k].id)
            continue;
        struct op_scan *scan = source_scan(op->op.child[0], (uint32_t)key->index);
        if (scan == NULL || scan->access != SCAN_SEQ || scan->filters_count == 8)
            continue;
        double rows;
        (void)eng_coll(pp, scan->coll_id, &rows);
        /* Not worth it where the build side is nearly everything there is. */
        if (rows < 5000 || op->op.child[1]->rows_est > rows)
            continue;
        uint32_t col = UINT32_MAX;
        for (uint32_t i = 0; i < scan->stored; i++)
            if (scan->all_vars[i] == (uint32_t)key->index)
                col = i;
        if (col == UINT32_MAX)
            continue;
        scan->filter_joins[scan->filters_count] = &op->op;
        scan->filter_keys[scan->filters_count] = k;
        scan->filter_cols[scan->filters_count++] = col;
        op->filter_keys |= 1u << k;
    }
}

static void
payload(struct join_build *b, struct op_join *op, const struct bits *wanted)
{
    struct prep *pp = b->ph->pp;
    struct op *child = op->op.child[1];
    op->build_cols = child->cols_count;
    op->build_lay = PP_ARRAY(pp, uint32_t, child->cols_count);
    op->payload_pos = PP_ARRAY(pp, uint32_t, child->cols_count);
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, op->keys_count + child->cols_count);
    for (uint32_t k = 0; k < op->keys_count; k++)
        types[k] = op->key_types[k];
    for (uint32_t i = 0; i < child->cols_count; i++) {
        op->build_lay[i] = UINT32_MAX;
        if (!eng_bits_has(wanted, child->vars[i]))
            continue;
        for (uint32_t k = 0; k < op->keys_count; k++) {
            const struct ex *key = b->build_keys.items[k];
            if (key->kind == LUMA_EXPR_COL && (uint32_t)key->index == child->vars[i] &&
                key->type.id == op->key_types[k].id && key->type.mod == op->key_types[k].mod)
                op->build_lay[i] = k;
        }
        if (op->build_lay[i] != UINT32_MAX)
            continue;
        op->build_lay[i] = op->keys_count + op->payload_count;
        types[op->keys_count + op->payload_count] = child->types[i];
        op->payload_pos[op->payload_count++] = i;
    }
    if (eng_rowlay_init(pp->arena, types, op->keys_count + op->payload_count, 0, &op->lay) !=
        LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
}

struct op *
eng_phys_join(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    struct join_build b = {.ph = ph, .rel = rel};
    choose_sides(&b);
    struct op *inl = eng_phys_index_join(ph, rel, need);
    if (inl != NULL)
        return inl;
    eng_rel_outs(pp, b.probe, &b.probe_outs);
    eng_rel_outs(pp, b.build, &b.build_outs);
    split_conds(&b);
    struct bits below = eng_bits_copy(pp, need);
    eng_need_list(pp, &below, &rel->conds);
    struct op *probe = eng_phys(ph, b.probe, &below), *build = eng_phys(ph, b.build, &below);
    bool probe_out = b.kind != JOIN_BUILD_SEMI && b.kind != JOIN_BUILD_ANTI;
    bool build_out = b.kind != JOIN_SEMI && b.kind != JOIN_ANTI;
    uint32_t *vars = PP_ARRAY(pp, uint32_t, probe->cols_count + build->cols_count);
    uint32_t *from = PP_ARRAY(pp, uint32_t, probe->cols_count + build->cols_count);
    uint32_t count = 0;
    for (uint32_t i = 0; probe_out && i < probe->cols_count; i++)
        if (eng_bits_has(need, probe->vars[i])) {
            vars[count] = probe->vars[i];
            from[count++] = i;
        }
    for (uint32_t i = 0; build_out && i < build->cols_count; i++)
        if (eng_bits_has(need, build->vars[i])) {
            vars[count] = build->vars[i];
            from[count++] = i | JOIN_FROM_BUILD;
        }
    struct op_join *op = eng_op_new(ph, b.probe_keys.count > 0 ? &join_class : &loop_class,
                                    sizeof(*op), rel, vars, count);
    op->op.child[0] = probe;
    op->op.child[1] = build;
    op->kind = b.kind;
    op->null_aware = rel->null_aware;
    op->single = rel->single;
    op->out_from = from;
    op->probe_cols = probe->cols_count;
    op->keys_count = b.probe_keys.count;
    struct comp pc = eng_comp(ph, probe), bc = eng_comp(ph, build);
    op->probe_keys = eng_compile_all(&pc, b.probe_keys.items, op->keys_count);
    op->build_keys = eng_compile_all(&bc, b.build_keys.items, op->keys_count);
    op->key_types = PP_ARRAY(pp, struct luma_type, op->keys_count);
    for (uint32_t k = 0; k < op->keys_count; k++)
        (void)common_type(b.probe_keys.items[k]->type, b.build_keys.items[k]->type,
                          &op->key_types[k]);
    /* What of the build side is looked at after it: output and residual. */
    struct bits wanted = eng_bits_copy(pp, need);
    eng_need_list(pp, &wanted, &b.residual);
    payload(&b, op, &wanted);
    uint32_t *both = PP_ARRAY(pp, uint32_t, probe->cols_count + build->cols_count);
    if (probe->cols_count > 0)
        memcpy(both, probe->vars, sizeof(uint32_t) * probe->cols_count);
    if (build->cols_count > 0)
        memcpy(both + probe->cols_count, build->vars, sizeof(uint32_t) * build->cols_count);
    struct comp rc = {pp, ph->prog, both, probe->cols_count + build->cols_count};
    op->residual = eng_compile_conds(&rc, &b.residual);
    plan_filters(&b, op);
    return &op->op;
}
