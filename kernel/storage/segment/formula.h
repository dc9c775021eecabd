/*
 * storage/segment/formula.h - a condition on documents with holes, asked of each of their forms
 * once.
 */
#ifndef LKI_STORAGE_SEGMENT_FORMULA_H
#define LKI_STORAGE_SEGMENT_FORMULA_H

#include "storage/segment/cursor.h"

struct lki_bounds {
    bool known;
    int64_t lo, hi;
};
/* field.c: bounds of a leaf with numbers. */
void lki_leaf_bounds(const struct lk_segment *segment, const struct lki_chunk *chunk,
                     struct luma_type type, struct lki_bounds *out);
/* field.c: clears bits of rows whose value in the column does not satisfy the predicate. */
luma_rc lki_pred_on_column(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                           struct lki_pred *p, struct lki_cursor_col *column, uint32_t n,
                           uint64_t *bits);

/* Sets judged when the group's documents have few forms and the condition can be asked of all. */
luma_rc lki_formula_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                          struct lki_field *f);
luma_rc lki_formula_apply(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                          struct lki_field *f, uint32_t n, uint64_t *bits);
void lki_formula_reset(struct lki_formula *formula); /* before the chunks go; NULL is fine */
void lki_formula_free(struct lki_formula *formula);  /* NULL is fine */
/* Do the footer's bounds say that no document of the group contains the condition's value? */
bool lki_contains_never(const struct lk_segment_cursor *cursor,
                        const struct luma_field_pred *field);

#endif
