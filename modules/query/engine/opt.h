/* opt.h - the query tree: import of logical plans and the passes that improve it. */
#ifndef ENGINE_OPT_H
#define ENGINE_OPT_H

#include "engine.h"

/* A common table expression while plans are imported. */
struct cte_import {
    uint32_t id;
    const struct luma_plan *def;
    const struct scope *scope; /* of the definition */
    uint32_t refs;
    bool inlined;
    struct rel *rel; /* the definition, when it is materialized */
};

/* The input row of an expression around a subquery. */
struct scope {
    const struct scope *up;
    const uint32_t *vars;
    uint32_t count;
};

/* --- opt_base.c: memory, variables, expressions --- */
void *eng_pp_alloc(struct prep *pp, size_t bytes); /* zeroed; never NULL */
#define PP_NEW(pp, type)      ((type *)eng_pp_alloc((pp), sizeof(type)))
#define PP_ARRAY(pp, type, n) ((type *)eng_pp_alloc((pp), sizeof(type) * ((size_t)(n) + 1)))
void eng_pp_throw(struct prep *pp, luma_rc rc) __attribute__((noreturn));
static inline void
eng_pp_try(struct prep *pp, luma_rc rc)
{
    if (LUMA_UNLIKELY(rc != LUMA_OK))
        eng_pp_throw(pp, rc);
}
uint32_t eng_var_new(struct prep *pp, struct luma_type type, struct rel *def);
bool eng_bits_has(const struct bits *b, uint32_t i);
void eng_bits_add(struct prep *pp, struct bits *b, uint32_t i);
void eng_bits_add_all(struct prep *pp, struct bits *b, const uint32_t *vars, uint32_t count);
void eng_bits_union(struct prep *pp, struct bits *b, const struct bits *from);
bool eng_bits_within(const struct bits *b, const struct bits *all); /* b is a subset */
bool eng_bits_meet(const struct bits *a, const struct bits *b);
bool eng_bits_empty(const struct bits *b);
struct bits eng_bits_copy(struct prep *pp, const struct bits *from);
void eng_list_add(struct prep *pp, struct ex_list *list, struct ex *ex);

struct ex *eng_ex_new(struct prep *pp, enum luma_expr_kind kind, struct luma_type type);
struct ex *eng_ex_col(struct prep *pp, uint32_t var);
struct ex *eng_ex_bool(struct prep *pp, bool value);
struct ex *eng_ex_args(struct prep *pp, enum luma_expr_kind kind, struct luma_type type,
                       uint32_t count, struct ex *const *args);
struct ex *eng_ex_and(struct prep *pp, const struct ex_list *list); /* NULL: true */
struct ex *eng_ex_not(struct prep *pp, struct ex *ex);
/* Splits nested ANDs; constant true disappears. */
void eng_conj_split(struct prep *pp, struct ex *ex, struct ex_list *out);
/* Variables that ex reads, free ones of its subqueries among them. */
void eng_ex_vars(struct prep *pp, const struct ex *ex, struct bits *out);
void eng_rel_free_vars(struct prep *pp, const struct rel *rel, struct bits *out);
bool eng_ex_equal(const struct ex *a, const struct ex *b);
bool eng_ex_volatile(const struct ex *ex);
bool eng_ex_has_sublink(const struct ex *ex);
bool eng_ex_is_const(const struct ex *ex, bool value); /* a bool constant of that value */
/* Copy of ex with variables replaced: fn gives the replacement or NULL. */
typedef struct ex *(*eng_subst_fn)(struct prep *pp, void *arg, uint32_t var);
struct ex *eng_ex_subst(struct prep *pp, const struct ex *ex, eng_subst_fn fn, void *arg);
/* Applies fn to every expression held directly by rel. */
void eng_rel_each_ex(struct rel *rel, void (*fn)(void *arg, struct ex **ex), void *arg);
struct rel *eng_rel_new(struct prep *pp, enum rel_kind kind, struct rel *child);
void eng_rel_outs(struct prep *pp, struct rel *rel, struct bits *out);
struct rel *eng_rel_filter(struct prep *pp, struct rel *child, const struct ex_list *conds);
/* The function of FROM t, f(t.a) that is called for each row of t and nothing else; NULL: rel is no
 * such join. (op_expand.c) */
struct rel *eng_set_of_lateral(const struct rel *rel);
bool eng_rel_defines(const struct rel *rel, uint32_t var);

/* --- import.c --- */
struct rel *eng_import(struct prep *pp, const struct luma_plan *plan, const struct scope *scope);
struct ex *eng_import_expr(struct prep *pp, const struct luma_expr *e, const uint32_t *in,
                           uint32_t in_count, const struct scope *up);

/* --- the passes, in this order --- */
struct ex *eng_fold(struct prep *pp, struct ex *ex);                           /* opt_fold.c */
struct rel *eng_unnest(struct prep *pp, struct rel *rel);                      /* opt_sublink.c */
struct rel *eng_push(struct prep *pp, struct rel *rel, struct ex_list *conds); /* opt_push.c */
struct rel *eng_order(struct prep *pp, struct rel *rel);                       /* opt_join.c */
void eng_paths(struct prep *pp, struct rel *rel);                              /* opt_path.c */

/* --- opt_stats.c --- */
double eng_rows(struct prep *pp, struct rel *rel);
double eng_selectivity(struct prep *pp, const struct ex *cond);
double eng_distinct(struct prep *pp, uint32_t var, double rows);
struct luma_coll *eng_coll(struct prep *pp, uint64_t coll_id, double *out_rows);
const struct luma_col_stats *eng_var_stats(struct prep *pp, uint32_t var);
double eng_join_selectivity(struct prep *pp, const struct ex *cond, double left, double right);

/* Equality of two variables (or of expressions over two disjoint sides). */
bool eng_is_eq(const struct ex *ex, struct ex **out_a, struct ex **out_b);

#endif
