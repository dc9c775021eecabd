/* phys.h - from the query tree to operators. */
#ifndef ENGINE_PHYS_H
#define ENGINE_PHYS_H

#include "exec.h"

/* A tree under construction. */
struct phys {
    struct prep *pp;
    struct prog *prog;
};

/* --- phys.c --- */
struct prog *eng_prog(struct prep *pp, struct rel *rel, struct prog *up);
void eng_query_add_sub(struct prep *pp, struct prog *prog);
struct op *eng_phys(struct phys *ph, struct rel *rel, const struct bits *need);
/* An operator of `bytes` bytes whose output columns are vars. */
void *eng_op_new(struct phys *ph, const struct op_class *cls, size_t bytes, struct rel *rel,
                 const uint32_t *vars, uint32_t count);
struct comp eng_comp(struct phys *ph, const struct op *op); /* expressions over op's columns */
struct xp *eng_compile_conds(struct comp *c, const struct ex_list *conds); /* NULL: none */
uint32_t eng_op_pos(struct prep *pp, const struct op *op, uint32_t var);
void eng_need_exs(struct prep *pp, struct bits *need, struct ex *const *exs, uint32_t count);
void eng_need_list(struct prep *pp, struct bits *need, const struct ex_list *list);
/* Variables of rel's output that are needed, each once; *out_count of them. */
uint32_t *eng_needed_outs(struct prep *pp, const struct rel *rel, const struct bits *need,
                          uint32_t *out_count);

/* --- one file per family of operators --- */
struct op *eng_phys_scan(struct phys *ph, struct rel *rel,
                         const struct bits *need); /* phys_scan.c */
struct op *eng_phys_join(struct phys *ph, struct rel *rel, const struct bits *need); /* op_join.c */
struct op *eng_phys_index_join(struct phys *ph, struct rel *rel,
                               const struct bits *need); /* op_index_join.c */
struct op *eng_phys_agg(struct phys *ph, struct rel *rel, const struct bits *need); /* op_agg.c */
struct op *eng_phys_sort(struct phys *ph, struct rel *rel, const struct bits *need,
                         struct rel *limit); /* op_sort.c */
struct op *eng_phys_limit(struct phys *ph, struct rel *rel,
                          const struct bits *need); /* op_basic.c */
struct op *eng_limit_op(struct phys *ph, struct rel *rel, struct op *child);
struct op *eng_phys_project(struct phys *ph, struct rel *rel,
                            const struct bits *need); /* op_project.c */
struct op *eng_phys_filter(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_values(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_virtual(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_gather(struct phys *ph, struct op *child); /* op_gather.c */
struct op *eng_phys_set_func(struct phys *ph, struct rel *rel,
                             const struct bits *need); /* op_set.c */
struct op *eng_phys_project_set(struct phys *ph, struct rel *rel, const struct bits *need);
/* Rows times what a function makes of them: NULL, another operator has to do it. (op_expand.c) */
struct op *eng_phys_expand(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_expand_list(struct phys *ph, struct rel *rel);
struct op *eng_phys_distinct(struct phys *ph, struct rel *rel,
                             const struct bits *need); /* op_setop.c */
struct op *eng_phys_setop(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_cte(struct phys *ph, struct rel *rel, const struct bits *need); /* op_cte.c */
struct op *eng_phys_cte_scan(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_recursive(struct phys *ph, struct rel *rel, const struct bits *need);
struct op *eng_phys_window(struct phys *ph, struct rel *rel,
                           const struct bits *need); /* op_window.c */
struct op *eng_phys_lock(struct phys *ph, struct rel *rel, const struct bits *need); /* op_lock.c */
struct op *eng_phys_insert(struct phys *ph, struct rel *rel); /* op_insert.c */
struct op *eng_phys_update(struct phys *ph, struct rel *rel); /* op_update.c */
struct op *eng_phys_lateral(struct phys *ph, struct rel *rel,
                            const struct bits *need); /* op_lateral.c */

/* --- exec.c --- */
luma_rc eng_limit_values(struct exec *x, struct luma_ctx *ctx, const struct xp *limit,
                         const struct xp *offset, int64_t *out_limit, int64_t *out_offset);
luma_rc eng_batch_copy(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_batch *in,
                       struct luma_batch *out);
/* What selected rows take, copied. */
size_t eng_vec_bytes(const struct luma_vec *vec, const uint16_t *sel, uint32_t n);
size_t eng_batch_bytes(const struct luma_batch *batch);
luma_rc eng_parts_make(struct exec *x, struct luma_ctx *ctx, uint32_t parts);

/* --- xp_sub.c: subqueries that run once --- */
luma_rc eng_subs_run(struct luma_ctx *ctx, struct exec *x);
void eng_subs_close(struct exec *x);

#endif
