/* query.h - preparing queries. */
#ifndef ENGINE_QUERY_H
#define ENGINE_QUERY_H

#include "phys.h"

/* Starts a preparation whose things live in arena; end it with eng_prep_end whatever happened. */
luma_rc eng_prep_begin(struct prep *pp, struct luma_ctx *ctx, struct luma_session *session,
                       struct luma_txn *txn, struct luma_arena *arena);
void eng_prep_end(struct prep *pp);

#endif
