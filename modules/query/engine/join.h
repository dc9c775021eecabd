/* join.h - the hash join: build side at rest, probing in place. */
#ifndef ENGINE_JOIN_H
#define ENGINE_JOIN_H

#include "scan.h"

/* Seen from the probe side (child[0]); the build side is child[1]. */
enum join_kind {
    JOIN_INNER,
    JOIN_LEFT,  /* probe rows stay */
    JOIN_RIGHT, /* build rows stay */
    JOIN_FULL,
    JOIN_SEMI,
    JOIN_ANTI,
    JOIN_BUILD_SEMI, /* build rows that found a partner */
    JOIN_BUILD_ANTI
};

struct op_join {
    struct op op;
    enum join_kind kind;
    bool null_aware, single;
    uint32_t keys_count;
    struct xp **probe_keys, **build_keys;
    struct luma_type *key_types;
    struct rowlay lay; /* keys, then payload */
    uint32_t payload_count;
    uint32_t *payload_pos; /* build child's column of payload i */
    uint32_t build_cols;   /* columns of the build child */
    uint32_t *build_lay;   /* lay column of build child's column; UINT32_MAX: not kept */
    uint32_t *out_from;    /* output column: probe position, or build position | JOIN_FROM_BUILD */
    struct xp *residual;   /* over probe columns ++ build columns */
    uint32_t probe_cols;
    uint32_t filter_keys; /* bit k: some scan wants a filter on key k */
};

#define JOIN_FROM_BUILD 0x80000000u

struct join_part_rows {
    struct rows rows;
    bool has_null_key;
};

struct join_state {
    uint32_t build_parts;
    struct join_part_rows *built;
    uint64_t count;
    uint64_t *dir;
    uint64_t dir_mask;
    size_t dir_bytes;
    bool has_null, empty, probe_open;
    struct luma_pred_bloom *blooms[4];
    size_t bloom_bytes;
    uint32_t parts_left;
};

bool eng_join_keeps_build(enum join_kind kind);
luma_rc eng_join_build(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                       struct join_state *st);
void eng_join_free(struct exec *x, struct join_state *st);
luma_rc eng_join_next(struct part *p, const struct op *base, struct luma_batch **out);

#endif
