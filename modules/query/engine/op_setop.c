/* op_setop.c - UNION, INTERSECT, EXCEPT, DISTINCT. */
#include "agg.h"
#include "explain.h"

/* --- UNION ALL: one side after the other --- */

struct op_append {
    struct op op;
    uint32_t *pos[2]; /* side's column of each output column */
};

struct append_state {
    uint32_t parts[2];
};

struct append_part {
    uint32_t side;
    struct luma_batch batch;
    struct luma_vec *cols;
};

static luma_rc
append_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct append_state), &mem));
    struct append_state *st = mem;
    for (uint32_t side = 0; side < 2; side++) {
        LUMA_TRY(eng_open(x, ctx, base->child[side]));
        st->parts[side] = eng_parts(x, base->child[side]);
    }
    return LUMA_OK;
}

static uint32_t
append_parts(struct exec *x, const struct op *base)
{
    const struct append_state *st = x->op_state[base->id];
    return st->parts[0] > st->parts[1] ? st->parts[0] : st->parts[1];
}

static void
append_start(struct exec *x, const struct op *base, uint32_t parts)
{
    struct append_state *st = x->op_state[base->id];
    for (uint32_t side = 0; side < 2; side++) {
        st->parts[side] = st->parts[side] < parts ? st->parts[side] : parts;
        eng_start(x, base->child[side], st->parts[side]);
    }
}

static luma_rc
append_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_append *op = (const struct op_append *)base;
    const struct append_state *st = p->x->op_state[base->id];
    struct append_part *part;
    void *mem;
    LUMA_TRY(eng_part_state(p, base, sizeof(*part), &mem));
    part = mem;
    for (; part->side < 2; part->side++) {
        struct luma_batch *in = NULL;
        if (p->index < st->parts[part->side])
            LUMA_TRY(eng_next(p, base->child[part->side], &in));
        if (in == NULL)
            continue;
        if (part->cols == NULL) {
            part->cols = LUMA_NEW_ARRAY(p->arena, struct luma_vec, base->cols_count + 1);
            ENG_NEED(p->ctx, part->cols, "UNION");
        }
        part->batch = *in;
        for (uint32_t i = 0; i < base->cols_count; i++) {
            part->cols[i] = in->cols[op->pos[part->side][i]];
            part->cols[i].type = base->types[i];
        }
        part->batch.cols = part->cols;
        part->batch.cols_count = base->cols_count;
        *out = &part->batch;
        return LUMA_OK;
    }
    return LUMA_OK;
}

static const struct op_class append_class = {
    .name = "Append",
    .open = append_open,
    .parts = append_parts,
    .start = append_start,
    .next = append_next,
};

static uint32_t *
side_positions(struct phys *ph, const struct rel *rel, const struct rel *side, const struct op *op,
               const uint32_t *vars, uint32_t count)
{
    uint32_t *pos = PP_ARRAY(ph->pp, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (rel->outs[k] != vars[i])
            k++;
        pos[i] = eng_op_pos(ph->pp, op, side->outs[k]);
    }
    return pos;
}

static struct op *
phys_append(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    uint32_t count;
    uint32_t *vars = eng_needed_outs(pp, rel, need, &count);
    struct op *sides[2];
    uint32_t *pos[2];
    for (uint32_t side = 0; side < 2; side++) {
        struct rel *child = rel->child[side];
        struct bits below = {0, NULL};
        for (uint32_t i = 0; i < rel->outs_count; i++)
            if (eng_bits_has(need, rel->outs[i]))
                eng_bits_add(pp, &below, child->outs[i]);
        sides[side] = eng_phys(ph, child, &below);
        pos[side] = side_positions(ph, rel, child, sides[side], vars, count);
    }
    struct op_append *op = eng_op_new(ph, &append_class, sizeof(*op), rel, vars, count);
    for (uint32_t side = 0; side < 2; side++) {
        op->op.child[side] = sides[side];
        op->pos[side] = pos[side];
    }
    return &op->op;
}

/* --- DISTINCT as grouping --- */

static struct rel *
as_group(struct prep *pp, struct rel *child)
{
    struct rel *agg = eng_rel_new(pp, REL_AGG, child);
    agg->exprs_count = child->outs_count;
    agg->exprs = PP_ARRAY(pp, struct ex *, child->outs_count);
    for (uint32_t i = 0; i < child->outs_count; i++)
        agg->exprs[i] = eng_ex_col(pp, child->outs[i]);
    return agg;
}

/* --- INTERSECT, EXCEPT: count rows on both sides --- */

struct op_setop {
    struct op op;
    enum luma_setop what;
    bool all;
    struct rowlay lay;
    uint32_t *pos[2];
};

struct setop_state {
    struct agg_table table;
    struct rows_reader reader;
    uint8_t *row; /* EXCEPT ALL, INTERSECT ALL: the row still to be repeated */
    int64_t repeat;
    struct luma_batch batch;
};

static int64_t *
counts_of(const struct op_setop *op, uint8_t *row)
{
    return (int64_t *)(void *)(row + op->lay.extra_off);
}

static luma_rc
setop_side(struct part *p, const struct op_setop *op, struct setop_state *st, uint32_t side)
{
    const struct op *child = op->op.child[side];
    uint32_t cols = op->lay.cols;
    eng_start(p->x, child, 1);
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, child, &in));
        if (in == NULL)
            return LUMA_OK;
        LUMA_TRY(eng.sched->yield(p->ctx));
        LUMA_TRY(eng_batch_arena(p, &op->op, &arena));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *vecs = luma_arena_alloc(arena, sizeof(*vecs) * (cols + 1) * 2);
        uint64_t *hashes = luma_arena_alloc(arena, sizeof(uint64_t) * (in->sel_rows + 1));
        uint8_t **rows = luma_arena_alloc(arena, sizeof(*rows) * (in->sel_rows + 1));
        if (vecs == NULL || hashes == NULL || rows == NULL)
            return ENG_NOMEM(p->ctx, op->op.cls->name);
        for (uint32_t i = 0; i < cols; i++)
            vecs[i] = in->cols[op->pos[side][i]];
        LUMA_TRY(eng_table_keys(&e, &op->lay, cols, vecs, in->sel, in->sel_rows, in->rows,
                                vecs + cols + 1, hashes));
        LUMA_TRY(eng_table_find(p->ctx, &st->table, vecs + cols + 1, in->sel, in->sel_rows, hashes,
                                rows));
        for (uint32_t k = 0; k < in->sel_rows; k++)
            counts_of(op, rows[k])[side]++;
    }
}

static luma_rc
setop_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_setop *op = (const struct op_setop *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct setop_state), &mem));
    struct setop_state *st = mem;
    struct part *p = eng_part(x, 0, ctx);
    if (eng_table_init(&st->table, &op->lay, x->arena, x->budget) != LUMA_OK)
        return ENG_NOMEM(ctx, base->cls->name);
    for (uint32_t side = 0; side < 2; side++) {
        LUMA_TRY(eng_open(x, ctx, base->child[side]));
        LUMA_TRY(setop_side(p, op, st, side));
    }
    st->reader = (struct rows_reader){st->table.rows.first, 0};
    return LUMA_OK;
}

static int64_t
setop_times(const struct op_setop *op, const int64_t *n)
{
    int64_t times = op->what == LUMA_SETOP_INTERSECT ? (n[0] < n[1] ? n[0] : n[1]) : n[0] - n[1];
    if (!op->all)
        times = op->what == LUMA_SETOP_INTERSECT ? (n[0] > 0 && n[1] > 0) : (n[0] > 0 && n[1] == 0);
    return times < 0 ? 0 : times;
}

static luma_rc
setop_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_setop *op = (const struct op_setop *)base;
    struct setop_state *st = p->x->op_state[base->id];
    uint8_t *rows[LUMA_BATCH_ROWS];
    uint32_t n = 0;
    while (n < LUMA_BATCH_ROWS && p->index == 0) {
        if (st->repeat == 0) {
            if (eng_rows_read(&st->reader, op->lay.bytes, &st->row, 1) == 0)
                break;
            st->repeat = setop_times(op, counts_of(op, st->row));
            continue;
        }
        rows[n++] = st->row;
        st->repeat--;
    }
    if (n == 0)
        return LUMA_OK;
    struct luma_arena *arena;
    LUMA_TRY(eng_batch_arena(p, base, &arena));
    struct xenv e = eng_env(p, arena);
    struct luma_vec *cols = luma_arena_alloc(arena, sizeof(*cols) * (base->cols_count + 1));
    ENG_NEED(p->ctx, cols, base->cls->name);
    for (uint32_t i = 0; i < base->cols_count; i++)
        LUMA_TRY(eng_rows_gather(&e, &op->lay, i, rows, NULL, n, n, &cols[i]));
    st->batch =
        (struct luma_batch){.rows = n, .sel_rows = n, .cols_count = base->cols_count, .cols = cols};
    *out = &st->batch;
    return LUMA_OK;
}

static void
setop_close(struct exec *x, const struct op *base)
{
    struct setop_state *st = x->op_state[base->id];
    eng_table_fini(&st->table);
}

static const struct op_class setop_class = {
    .name = "HashSetOp",
    .open = setop_open,
    .next = setop_next,
    .close = setop_close,
};

struct op *
eng_phys_setop(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    if (rel->setop == LUMA_SETOP_UNION && rel->all)
        return phys_append(ph, rel, need);
    if (rel->setop == LUMA_SETOP_UNION) {
        rel->all = true; /* below, duplicates come through; the grouping above takes them out */
        struct bits all = {0, NULL};
        eng_rel_outs(pp, rel, &all);
        return eng_phys_agg(ph, as_group(pp, rel), &all);
    }
    struct op *sides[2];
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, rel->outs_count);
    uint32_t *pos[2];
    for (uint32_t side = 0; side < 2; side++) {
        struct bits below = {0, NULL};
        eng_rel_outs(pp, rel->child[side], &below);
        sides[side] = eng_phys(ph, rel->child[side], &below);
        pos[side] =
            side_positions(ph, rel, rel->child[side], sides[side], rel->outs, rel->outs_count);
    }
    struct op_setop *op =
        eng_op_new(ph, &setop_class, sizeof(*op), rel, rel->outs, rel->outs_count);
    for (uint32_t side = 0; side < 2; side++) {
        op->op.child[side] = sides[side];
        op->pos[side] = pos[side];
    }
    for (uint32_t i = 0; i < rel->outs_count; i++)
        types[i] = op->op.types[i];
    op->what = rel->setop;
    op->all = rel->all;
    if (eng_rowlay_init(pp->arena, types, rel->outs_count, 16, &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}

/* --- DISTINCT ON: the first row of each group, in the child's order --- */

struct op_first {
    struct op op;
    struct rowlay lay;
    uint32_t *pos;
};

struct first_state {
    struct agg_table table;
    struct luma_batch batch;
};

static luma_rc
first_open(struct exec *x, struct luma_ctx *ctx, const struct op *base)
{
    const struct op_first *op = (const struct op_first *)base;
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, base, sizeof(struct first_state), &mem));
    struct first_state *st = mem;
    if (eng_table_init(&st->table, &op->lay, x->arena, x->budget) != LUMA_OK)
        return ENG_NOMEM(ctx, "DISTINCT ON");
    LUMA_TRY(eng_open(x, ctx, base->child[0]));
    eng_start(x, base->child[0], 1);
    return LUMA_OK;
}

static luma_rc
first_next(struct part *p, const struct op *base, struct luma_batch **out)
{
    const struct op_first *op = (const struct op_first *)base;
    struct first_state *st = p->x->op_state[base->id];
    uint32_t cols = op->lay.cols;
    for (;;) {
        struct luma_batch *in;
        struct luma_arena *arena;
        LUMA_TRY(eng_next(p, base->child[0], &in));
        if (in == NULL)
            return LUMA_OK;
        LUMA_TRY(eng_batch_arena(p, base, &arena));
        struct xenv e = eng_env(p, arena);
        struct luma_vec *vecs = luma_arena_alloc(arena, sizeof(*vecs) * (cols + 1) * 2);
        uint64_t *hashes = luma_arena_alloc(arena, sizeof(uint64_t) * (in->sel_rows + 1));
        uint16_t *sel = luma_arena_alloc(arena, sizeof(uint16_t) * (in->rows + 8));
        if (vecs == NULL || hashes == NULL || sel == NULL)
            return ENG_NOMEM(p->ctx, "DISTINCT ON");
        for (uint32_t i = 0; i < cols; i++)
            vecs[i] = in->cols[op->pos[i]];
        LUMA_TRY(eng_table_keys(&e, &op->lay, cols, vecs, in->sel, in->sel_rows, in->rows,
                                vecs + cols + 1, hashes));
        uint32_t n = 0;
        for (uint32_t k = 0; k < in->sel_rows; k++) {
            uint16_t at = (uint16_t)luma_batch_row(in, k);
            uint64_t before = st->table.rows.count;
            uint8_t *group;
            LUMA_TRY(
                eng_table_find(p->ctx, &st->table, vecs + cols + 1, &at, 1, &hashes[k], &group));
            if (st->table.rows.count > before)
                sel[n++] = at;
        }
        if (n == 0)
            continue;
        st->batch = *in;
        st->batch.sel = sel;
        st->batch.sel_rows = n;
        *out = &st->batch;
        return LUMA_OK;
    }
}

static void
first_close(struct exec *x, const struct op *base)
{
    struct first_state *st = x->op_state[base->id];
    eng_table_fini(&st->table);
}

static const struct op_class first_class = {
    .name = "Unique",
    .open = first_open,
    .next = first_next,
    .close = first_close,
};

struct op *
eng_phys_distinct(struct phys *ph, struct rel *rel, const struct bits *need)
{
    struct prep *pp = ph->pp;
    bool sorted = rel->child[0]->kind == REL_SORT;
    if (rel->distinct_count == 0 && !sorted) {
        struct bits all = {0, NULL};
        eng_rel_outs(pp, rel, &all);
        struct rel *group = as_group(pp, rel->child[0]);
        group->outs = rel->outs;
        group->outs_count = group->exprs_count = rel->outs_count;
        for (uint32_t i = 0; i < rel->outs_count; i++)
            group->exprs[i] = eng_ex_col(pp, rel->outs[i]);
        return eng_phys_agg(ph, group, &all);
    }
    uint32_t keys = rel->distinct_count == 0 ? rel->outs_count : rel->distinct_count;
    struct bits below = eng_bits_copy(pp, need);
    eng_bits_add_all(pp, &below, rel->outs, keys);
    struct op *child = eng_phys(ph, rel->child[0], &below);
    struct op_first *op =
        eng_op_new(ph, &first_class, sizeof(*op), rel, child->vars, child->cols_count);
    struct luma_type *types = PP_ARRAY(pp, struct luma_type, keys);
    op->op.child[0] = child;
    op->pos = PP_ARRAY(pp, uint32_t, keys);
    for (uint32_t i = 0; i < keys; i++) {
        op->pos[i] = eng_op_pos(pp, child, rel->outs[i]);
        types[i] = child->types[op->pos[i]];
    }
    if (eng_rowlay_init(pp->arena, types, keys, 0, &op->lay) != LUMA_OK)
        eng_pp_throw(pp, ENG_NOMEM(pp->ctx, "planning"));
    return &op->op;
}
