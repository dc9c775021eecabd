/* join.h - the hash join: build side at rest, probing in place. */
#ifndef ENGINE_JOIN_H
#define ENGINE_JOIN_H

#include "scan.h"
#include "spill.h"

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

/* What a part has built. Its memory is its own, so that it can be given back when the rows go to
 * disk. */
struct join_part_rows {
    struct rows rows;
    bool has_null_key, spilling;
    uint64_t spilled_rows;
    struct luma_budget *budget;
    struct luma_arena *arena;
    struct spools build; /* columns of the layout, then the hash */
};

/* One partition of a join that went to disk: what was built and what probes it. */
struct join_item {
    uint32_t level, builds_count, probes_count;
    struct spool **builds, **probes;
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
    /* on disk */
    bool spilled; /* atomic: every part writes its rows out from its next batch on */
    struct spill spill;
    struct luma_type *build_types, *probe_types;
    uint32_t probe_parts;
    struct spools *probes; /* of each part: the probe side's columns, then the hash */
    struct luma_event lock;
    uint32_t items_count, items_room; /* under lock: a stack of what is to be joined */
    struct join_item *items;
    struct join_divided *divided;
};

/* Spools of a partition that was divided again. */
struct join_divided {
    struct join_divided *next;
    struct spools sides[2];
};

/* The partition a part joins at present: a join of its own, in memory. */
struct join_local {
    struct join_state state;
    struct join_part_rows built;
    struct join_item item;
    struct spool_reader reader;
    uint32_t probe_at;
    bool open, reading;
};

bool eng_join_keeps_build(enum join_kind kind);
luma_rc eng_join_build(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                       struct join_state *st);
void eng_join_free(struct exec *x, struct join_state *st);
/* Chains the rows of all parts from one directory. */
luma_rc eng_join_directory(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                           struct join_state *st);

/* --- join_spill.c --- */
luma_rc eng_join_rows_ready(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                            struct join_part_rows *jp);
void eng_join_rows_free(struct join_part_rows *jp);
bool eng_join_spill_due(const struct exec *x, const struct op_join *op, struct join_state *st,
                        const struct join_part_rows *jp);
/* The part's rows so far go to disk, and those to come. */
luma_rc eng_join_spill_rows(struct part *p, const struct op_join *op, struct join_state *st,
                            struct join_part_rows *jp);
luma_rc eng_join_spill_append(struct xenv *e, const struct op_join *op, struct join_part_rows *jp,
                              const struct luma_vec *vecs, const uint64_t *hashes,
                              const uint16_t *sel, uint32_t n, uint32_t rows);
/* Reads the probe side to its end and lists the partitions. */
luma_rc eng_join_spill_probe(struct exec *x, struct luma_ctx *ctx, const struct op_join *op,
                             struct join_state *st);
/* The next partition into memory; !local->open: there is none. */
luma_rc eng_join_take(struct part *p, const struct op_join *op, struct join_state *st,
                      struct join_local *local);
luma_rc eng_join_read(struct part *p, const struct op_join *op, struct join_local *local,
                      struct luma_batch **out);
void eng_join_drop(struct exec *x, struct join_local *local);
void eng_join_spill_free(struct exec *x, struct join_state *st);

void eng_join_part_free(struct exec *x, void *probe); /* join_probe.c: a part's state at close */
luma_rc eng_join_next(struct part *p, const struct op *base, struct luma_batch **out);

#endif
