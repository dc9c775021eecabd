/* xp_choice.c - CASE, COALESCE, NULLIF, GREATEST, LEAST: each branch sees only its own rows. */
#include "xp.h"

struct choice {
    struct luma_vec *vecs;
    const uint16_t **sels;
    uint32_t *ns;
    uint32_t count;
};

static luma_rc
choice_init(struct xenv *e, uint32_t room, struct choice *ch)
{
    ch->count = 0;
    ch->vecs = luma_arena_alloc(e->arena, sizeof(*ch->vecs) * room);
    ch->sels = luma_arena_alloc(e->arena, sizeof(*ch->sels) * room);
    ch->ns = luma_arena_alloc(e->arena, sizeof(*ch->ns) * room);
    if (ch->vecs == NULL || ch->sels == NULL || ch->ns == NULL)
        return ENG_NOMEM(e->ctx, "an expression");
    return LUMA_OK;
}

/* Puts the branches' rows together in one vector. */
static luma_rc
choice_merge(struct xenv *e, const struct xp *xp, struct choice *ch, uint32_t rows,
             struct luma_vec *out)
{
    if (ch->count == 0) {
        eng_vec_null(out, xp->type);
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_unify(e, ch->vecs, ch->count, (xp->flags & XP_ANY_SCALE) != 0, ch->sels,
                           ch->ns, rows));
    if (ch->count == 1) {
        *out = ch->vecs[0];
        out->type = xp->type;
        return LUMA_OK;
    }
    const struct luma_vec *model = NULL;
    for (uint32_t i = 0; i < ch->count; i++)
        if (ch->vecs[i].form != LUMA_VEC_CONST || !luma_vec_is_null(&ch->vecs[i], 0))
            model = &ch->vecs[i];
    if (model == NULL) {
        eng_vec_null(out, xp->type);
        return LUMA_OK;
    }
    LUMA_TRY(eng_vec_room(e, xp->type, model->phys, rows, out));
    LUMA_TRY(eng_vec_bits(e, rows, true, &out->valid));
    out->scale = model->scale;
    out->bound = model->bound;
    for (uint32_t i = 0; i < ch->count; i++) {
        if (ch->vecs[i].bound == 0)
            out->bound = 0;
        eng_vec_put(out, &ch->vecs[i], ch->sels[i], ch->ns[i]);
    }
    return LUMA_OK;
}

static luma_rc
choice_add(struct xenv *e, const struct xp *xp, struct choice *ch, const struct xp *branch,
           const struct luma_batch *in, const uint16_t *sel, uint32_t n)
{
    (void)xp;
    LUMA_TRY(eng_eval_flat(e, branch, in, sel, n, &ch->vecs[ch->count]));
    ch->sels[ch->count] = sel;
    ch->ns[ch->count++] = n;
    return LUMA_OK;
}

/* rows := those of sel that are not in taken (both ascending). */
static uint32_t
without(const uint16_t *sel, uint32_t n, const uint16_t *taken, uint32_t taken_n, uint16_t *out)
{
    uint32_t count = 0, t = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (t < taken_n && taken[t] == sel[k])
            t++;
        else
            out[count++] = sel[k];
    }
    return count;
}

static luma_rc
sel_copy(struct xenv *e, const uint16_t *sel, uint32_t n, uint16_t **out)
{
    uint16_t *copy = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1));
    ENG_NEED(e->ctx, copy, "an expression");
    for (uint32_t k = 0; k < n; k++)
        copy[k] = (uint16_t)eng_sel_at(sel, k);
    *out = copy;
    return LUMA_OK;
}

static luma_rc
eval_case(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
          uint32_t n, struct luma_vec *out)
{
    struct choice ch;
    uint16_t *open;
    LUMA_TRY(choice_init(e, xp->args_count + 1, &ch));
    LUMA_TRY(sel_copy(e, sel, n, &open));
    for (uint32_t i = 0; i + 1 < xp->args_count && n > 0; i += 2) {
        uint16_t *taken = luma_arena_alloc(e->arena, sizeof(uint16_t) * (in->rows + 8));
        uint32_t taken_n;
        ENG_NEED(e->ctx, taken, "an expression");
        LUMA_TRY(eng_filter(e, xp->args[i], in, open, n, taken, &taken_n));
        if (taken_n == 0)
            continue;
        LUMA_TRY(choice_add(e, xp, &ch, xp->args[i + 1], in, taken, taken_n));
        n = without(open, n, taken, taken_n, open);
    }
    if (n > 0)
        LUMA_TRY(choice_add(e, xp, &ch, xp->args[xp->args_count - 1], in, open, n));
    return choice_merge(e, xp, &ch, in->rows, out);
}

static luma_rc
eval_coalesce(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
              uint32_t n, struct luma_vec *out)
{
    struct choice ch;
    uint16_t *open;
    LUMA_TRY(choice_init(e, xp->args_count, &ch));
    LUMA_TRY(sel_copy(e, sel, n, &open));
    for (uint32_t i = 0; i < xp->args_count && n > 0; i++) {
        LUMA_TRY(choice_add(e, xp, &ch, xp->args[i], in, open, n));
        const struct luma_vec *vec = &ch.vecs[ch.count - 1];
        if (vec->valid == NULL)
            break;
        /* The rows that have a value stay with this branch, the others go on. */
        uint16_t *has = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1));
        uint16_t *rest = luma_arena_alloc(e->arena, sizeof(uint16_t) * (n + 1));
        if (has == NULL || rest == NULL)
            return ENG_NOMEM(e->ctx, "an expression");
        uint32_t has_n = 0, rest_n = 0;
        for (uint32_t k = 0; k < n; k++) {
            if (luma_vec_is_null(vec, open[k]) && i + 1 < xp->args_count)
                rest[rest_n++] = open[k];
            else
                has[has_n++] = open[k];
        }
        ch.sels[ch.count - 1] = has;
        ch.ns[ch.count - 1] = has_n;
        if (has_n == 0)
            ch.count--;
        open = rest;
        n = rest_n;
    }
    return choice_merge(e, xp, &ch, in->rows, out);
}

static luma_rc
eval_nullif(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
            uint32_t n, struct luma_vec *out)
{
    struct luma_vec args[2], eq;
    LUMA_TRY(eng_eval_flat(e, xp->args[0], in, sel, n, &args[0]));
    LUMA_TRY(eng_eval_flat(e, xp->args[1], in, sel, n, &args[1]));
    LUMA_TRY(
        eng_call(e, xp->func, NULL, luma_type(LUMA_TYPE_BOOL), args, 2, in->rows, sel, n, &eq));
    struct luma_vec first;
    uint64_t *valid;
    LUMA_TRY(eng_vec_flatten(e, &args[0], sel, n, in->rows, true, &first));
    LUMA_TRY(eng_vec_bits(e, in->rows, true, &valid));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        bool equal = !luma_vec_is_null(&eq, row) && *(const uint8_t *)luma_vec_at(&eq, row) != 0;
        if (equal || luma_vec_is_null(&first, row))
            luma_bit_clear(valid, row);
    }
    *out = first;
    out->type = xp->type;
    out->valid = valid;
    return LUMA_OK;
}

static luma_rc
eval_extreme(struct xenv *e, const struct xp *xp, const struct luma_batch *in, const uint16_t *sel,
             uint32_t n, struct luma_vec *out)
{
    struct choice ch;
    uint16_t *all;
    LUMA_TRY(choice_init(e, xp->args_count, &ch));
    LUMA_TRY(sel_copy(e, sel, n, &all));
    for (uint32_t i = 0; i < xp->args_count; i++)
        LUMA_TRY(choice_add(e, xp, &ch, xp->args[i], in, all, n));
    LUMA_TRY(eng_vec_unify(e, ch.vecs, ch.count, (xp->flags & XP_ANY_SCALE) != 0, ch.sels, ch.ns,
                           in->rows));
    struct luma_vec best;
    LUMA_TRY(eng_vec_flatten(e, &ch.vecs[0], all, n, in->rows, true, &best));
    LUMA_TRY(eng_vec_room(e, xp->type, ch.vecs[0].phys, in->rows, out));
    LUMA_TRY(eng_vec_bits(e, in->rows, true, &out->valid));
    out->phys = best.phys;
    for (uint32_t k = 0; k < n; k++) {
        const struct luma_vec *pick = NULL;
        for (uint32_t i = 0; i < ch.count; i++) {
            const struct luma_vec *v = &ch.vecs[i];
            if (luma_vec_is_null(v, all[k]))
                continue;
            int c = pick == NULL ? 0 : eng.data->compare(v, all[k], pick, all[k]);
            if (pick == NULL || (xp->kind == XP_GREATEST ? c > 0 : c < 0))
                pick = v;
        }
        if (pick == NULL) {
            luma_bit_clear(out->valid, all[k]);
            continue;
        }
        out->phys = pick->phys;
        out->scale = pick->scale;
        uint32_t bytes = luma_phys_bytes(pick->phys);
        memcpy((uint8_t *)out->data + (size_t)all[k] * bytes, luma_vec_at(pick, all[k]), bytes);
    }
    return LUMA_OK;
}

luma_rc
eng_eval_choice(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    switch (xp->kind) {
    case XP_CASE:
        return eval_case(e, xp, in, sel, n, out);
    case XP_COALESCE:
        return eval_coalesce(e, xp, in, sel, n, out);
    case XP_NULLIF:
        return eval_nullif(e, xp, in, sel, n, out);
    default:
        return eval_extreme(e, xp, in, sel, n, out);
    }
}
