/* xp.h - compiled expressions: vectorized evaluation over the rows a selection names. */
#ifndef ENGINE_XP_H
#define ENGINE_XP_H

#include "opt.h"

/* Where variables are found while an expression is compiled. */
struct comp {
    struct prep *pp;
    struct prog *prog;
    const uint32_t *vars; /* positions of the input row; others become outer values */
    uint32_t count;
};

/* --- xp_compile.c --- */
struct xp *eng_compile(struct comp *c, const struct ex *ex);
struct xp **eng_compile_all(struct comp *c, struct ex *const *exs, uint32_t count);
void eng_bind(struct prep *pp, const struct luma_func *func, const struct luma_type *arg_types,
              const struct luma_value *const *consts, uint32_t args_count, struct luma_type result,
              void **out_bound);

/* --- xp_eval.c --- */
/* Value of xp for rows sel[0..n) of in (sel NULL: 0..n). out may be of any form and may share in's
 * memory; rows outside the selection are undefined. */
luma_rc eng_eval(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                 const uint16_t *sel, uint32_t n, struct luma_vec *out);
/* The same, FLAT or CONST. */
luma_rc eng_eval_flat(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                      const uint16_t *sel, uint32_t n, struct luma_vec *out);
/* One value of an expression without columns; bytes live in e->arena or longer. */
luma_rc eng_eval_value(struct xenv *e, const struct xp *xp, struct luma_value *out);
luma_rc eng_call(struct xenv *e, const struct luma_func *func, void *bound, struct luma_type result,
                 struct luma_vec *args, uint32_t args_count, uint32_t rows, const uint16_t *sel,
                 uint32_t n, struct luma_vec *out);

/* --- xp_filter.c --- */
/* Rows of the selection for which xp is true; out_sel (room for in->rows) may be sel itself. */
luma_rc eng_filter(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                   const uint16_t *sel, uint32_t n, uint16_t *out_sel, uint32_t *out_n);
/* Narrows batch by xp: gives it a selection of its own in e->arena. */
luma_rc eng_filter_batch(struct xenv *e, const struct xp *xp, struct luma_batch *batch);

/* --- xp_logic.c, xp_in.c, xp_sub.c: kinds with a file of their own --- */
luma_rc eng_eval_logic(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                       const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_choice(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                        const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_in(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                    const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_any(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                     const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_array(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                       const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_row_cmp(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                         const uint16_t *sel, uint32_t n, struct luma_vec *out);
luma_rc eng_eval_sublink(struct xenv *e, const struct xp *xp, const struct luma_batch *in,
                         const uint16_t *sel, uint32_t n, struct luma_vec *out);
struct in_set *eng_in_set(struct prep *pp, const struct xp *xp);

/* --- xp_path.c --- */
/* A cast whose argument came as the numbers behind the text: done, or *arg becomes their text. */
luma_rc eng_eval_field_cast(struct xenv *e, const struct xp *xp, struct luma_vec *arg,
                            uint32_t rows, const uint16_t *sel, uint32_t n, struct luma_vec *out,
                            bool *out_done);

/* --- vec.c --- */
/* A flat vector of uninitialized room; phys NONE: the type's own. */
luma_rc eng_vec_room(struct xenv *e, struct luma_type type, uint32_t phys, uint32_t rows,
                     struct luma_vec *out);
luma_rc eng_vec_bits(struct xenv *e, uint32_t rows, bool set, uint64_t **out);
/* FLAT, without nulls: numbers of 64 bits that lie at values. */
void eng_vec_int8(struct luma_vec *out, void *values);
void eng_vec_null(struct luma_vec *out, struct luma_type type);              /* CONST null */
void eng_vec_of_value(struct luma_vec *out, const struct luma_value *value); /* CONST, borrows */
luma_rc eng_vec_flatten(struct xenv *e, const struct luma_vec *in, const uint16_t *sel, uint32_t n,
                        uint32_t rows, bool consts, struct luma_vec *out);
/* FLAT or CONST in the table form of the type (numerics have many). */
luma_rc eng_vec_table_form(struct xenv *e, struct luma_type type, const struct luma_vec *in,
                           const uint16_t *sel, uint32_t n, uint32_t rows, struct luma_vec *out);
/* Brings vectors of one type to one physical form, so that their values can be mixed. */
luma_rc eng_vec_unify(struct xenv *e, struct luma_vec *vecs, uint32_t count, bool any_scale,
                      const uint16_t *const *sels, const uint32_t *ns, uint32_t rows);
/* out[row] := in[row] for the rows of sel; out is FLAT with valid bits of its own. */
void eng_vec_put(struct luma_vec *out, const struct luma_vec *in, const uint16_t *sel, uint32_t n);
/* FLAT dense copy of in[idx[i]]. */
luma_rc eng_vec_gather(struct xenv *e, const struct luma_vec *in, const uint32_t *idx, uint32_t n,
                       struct luma_vec *out);

static inline uint32_t
eng_sel_at(const uint16_t *sel, uint32_t k)
{
    return sel == NULL ? k : sel[k];
}

#endif
