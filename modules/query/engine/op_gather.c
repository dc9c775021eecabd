/*
 * op_gather.c - the end of a parallel pipeline whose rows go on one by one: to the client, to a
 * change.
 *
 * Parts run in rounds: each fills a few batches, then all are handed on in turn. Memory stays
 * bounded and a reader that stops early stops the parts.
 */
#include "phys.h"
#include "spill.h"

#define ROUND_BATCHES 16
#define ROUND_SHARE   8 /* of what a part may take: long rows make short rounds */

struct gather_part {
    struct luma_arena *arena;
    uint32_t count, at;
    bool ended;
    struct luma_batch batches[ROUND_BATCHES];
};

struct gather_state {
    uint32_t parts, turn;
    struct gather_part **part;
};

static luma_rc
gather_open(struct exec *x, struct luma_ctx *ctx, const struct op *op)
{
    void *mem;
    LUMA_TRY(eng_shared_state(x, ctx, op, sizeof(struct gather_state), &mem));
    struct gather_state *st = mem;
    LUMA_TRY(eng_open(x, ctx, op->child[0]));
    st->parts = eng_parts_for(x, op->child[0]);
    eng_start(x, op->child[0], st->parts);
    if (st->parts == 1)
        return LUMA_OK;
    LUMA_TRY(eng_parts_make(x, ctx, st->parts));
    st->part = LUMA_NEW_ARRAY(x->arena, struct gather_part *, st->parts);
    ENG_NEED(ctx, st->part, "gathering rows");
    for (uint32_t i = 0; i < st->parts; i++) {
        st->part[i] = LUMA_NEW(x->arena, struct gather_part);
        ENG_NEED(ctx, st->part[i], "gathering rows");
    }
    return LUMA_OK;
}

luma_rc
eng_batch_copy(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_batch *in,
               struct luma_batch *out)
{
    memset(out, 0, sizeof(*out));
    out->cols = luma_arena_alloc(arena, sizeof(*out->cols) * (in->cols_count + 1));
    ENG_NEED(ctx, out->cols, "keeping rows");
    out->rows = out->sel_rows = in->sel_rows;
    out->cols_count = in->cols_count;
    for (uint32_t c = 0; c < in->cols_count; c++) {
        luma_rc rc =
            eng.data->vec_copy(arena, &in->cols[c], in->sel, in->sel_rows, true, &out->cols[c]);
        if (rc != LUMA_OK)
            return rc == LUMA_E_NOMEM ? ENG_NOMEM(ctx, "keeping rows") : rc;
    }
    return LUMA_OK;
}

size_t
eng_vec_bytes(const struct luma_vec *vec, const uint16_t *sel, uint32_t n)
{
    size_t bytes = (size_t)n * luma_phys_bytes(vec->phys);
    for (uint32_t k = 0; vec->phys == LUMA_PHYS_STR && k < n; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        if (luma_vec_is_null(vec, row))
            continue;
        const struct luma_str *text = luma_vec_at(vec, row);
        bytes += text->bytes > LUMA_STR_INLINE_MAX ? text->bytes : 0;
    }
    return bytes;
}

size_t
eng_batch_bytes(const struct luma_batch *batch)
{
    size_t bytes = 0;
    for (uint32_t c = 0; c < batch->cols_count; c++)
        bytes += eng_vec_bytes(&batch->cols[c], batch->sel, batch->sel_rows);
    return bytes;
}

struct round {
    struct exec *x;
    const struct op *op;
};

static luma_rc
round_part(void *arg, uint32_t index, struct luma_ctx *ctx)
{
    struct round *round = arg;
    struct gather_state *st = round->x->op_state[round->op->id];
    struct gather_part *gp = st->part[index];
    struct part *p = eng_part(round->x, index, ctx);
    size_t bytes = 0, most = eng_spill_share(p->x, st->parts) / ROUND_SHARE;
    gp->count = gp->at = 0;
    if (gp->ended)
        return LUMA_OK;
    LUMA_TRY(eng_batch_arena(p, round->op, &gp->arena));
    while (gp->count < ROUND_BATCHES && bytes <= most) {
        struct luma_batch *in;
        LUMA_TRY(eng_next(p, round->op->child[0], &in));
        if (in == NULL) {
            gp->ended = true;
            return LUMA_OK;
        }
        LUMA_TRY(eng_batch_copy(ctx, gp->arena, in, &gp->batches[gp->count]));
        bytes += eng_batch_bytes(&gp->batches[gp->count++]);
    }
    return LUMA_OK;
}

static luma_rc
gather_next(struct part *p, const struct op *op, struct luma_batch **out)
{
    struct exec *x = p->x;
    struct gather_state *st = x->op_state[op->id];
    if (st->parts == 1)
        return eng_next(p, op->child[0], out);
    for (;;) {
        bool ended = true;
        for (uint32_t i = 0; i < st->parts; i++) {
            struct gather_part *gp = st->part[i];
            ended = ended && gp->ended;
            if (gp->at < gp->count) {
                *out = &gp->batches[gp->at++];
                return LUMA_OK;
            }
        }
        if (ended)
            return LUMA_OK;
        struct luma_ctx *ctx = p->ctx;
        struct round round = {x, op};
        uint32_t made = x->parts_made;
        x->parts_made = st->parts;
        luma_rc rc = eng.sched->parallel(ctx, st->parts, round_part, &round);
        x->parts_made = made;
        eng_part(x, 0, ctx);
        LUMA_TRY(rc);
    }
}

static const struct op_class gather_class = {
    .name = "Gather",
    .open = gather_open,
    .next = gather_next,
};

/* Is there enough to do below to wake other threads for it? */
static bool
worth_it(const struct op *op)
{
    double rows = 0;
    bool work = false;
    for (; op != NULL; op = op->child[0]) {
        if (strcmp(op->cls->name, "Seq Scan") == 0)
            return (work || (op->rel != NULL && op->rel->conds.count > 0)) &&
                   (rows > 100000 || op->rows_est > 100000);
        if (op->cls->parts == NULL)
            return false;
        work = true;
        rows = op->rows_est > rows ? op->rows_est : rows;
    }
    return false;
}

struct op *
eng_phys_gather(struct phys *ph, struct op *child)
{
    if (!worth_it(child))
        return child;
    struct op *op =
        eng_op_new(ph, &gather_class, sizeof(*op), NULL, child->vars, child->cols_count);
    op->child[0] = child;
    op->rows_est = child->rows_est;
    return op;
}
