/* set.h - calls of functions that return rows. */
#ifndef ENGINE_SET_H
#define ENGINE_SET_H

#include "xp.h"

struct set_call {
    const struct luma_func *func;
    void *bound;
    struct luma_type type;
    uint32_t args_count;
    struct xp **args;
};

/* One running call. */
struct set_run {
    struct luma_func_call call;
    void *state;
    bool open, ended;
    struct luma_batch batch;
};

/* The memory of one call at a time, or of those side by side: emptied, or made when there is none.
 * The operator destroys it when it closes. */
luma_rc eng_set_memory(struct part *p, struct luma_arena **inout);
void eng_set_build(struct comp *c, const struct ex *ex, struct set_call *out);
/* args: one value each; what the run needs lies in e->arena. A strict call with a null has no rows.
 */
luma_rc eng_set_begin(struct xenv *e, const struct set_call *sc, const struct luma_value *args,
                      struct set_run *run);
/* The next rows are run->batch, in arena; none: it has ended. */
luma_rc eng_set_next(struct luma_ctx *ctx, struct luma_arena *arena, struct set_run *run);
void eng_set_end(struct set_run *run);

#endif
