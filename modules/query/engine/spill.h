/*
 * spill.h - rows on disk: what an operator writes when the statement's memory is short.
 *
 * A spool is a list of column blocks in a temporary file, appended to by one part, read back in
 * order as batches. An operator has one file; the blocks of its spools lie in it side by side.
 */
#ifndef ENGINE_SPILL_H
#define ENGINE_SPILL_H

#include "exec.h"

#define SPILL_FANOUT      16 /* partitions a level: four bits of the hash */
#define SPILL_LEVELS      6
#define SPILL_BLOCK_ROWS  2048
#define SPILL_PART_ROWS   512 /* of a block, where many spools are filled side by side */
#define SPILL_SMALL_BYTES ((size_t)128 << 10) /* less is not worth a file */

/* An operator's temporary file, made by the first write. */
struct spill {
    struct luma_event lock;
    struct luma_temp *file; /* atomic: pairs with the release in spill.c */
    uint64_t gone;          /* bytes of files that are closed already */
};

struct spool_block {
    uint64_t offset;
    uint32_t bytes, rows;
    uint64_t first; /* rows in the blocks before */
};

struct spool {
    struct spill *spill;
    struct luma_budget *budget;
    const struct luma_type *types;
    uint32_t cols, block_rows;
    uint32_t count, room;
    struct spool_block *blocks;
    uint64_t rows, bytes;
    /* the block being filled; NULL: none yet */
    uint8_t *fill;
    size_t fill_bytes;
    uint32_t fill_rows;
    char *text;
    uint32_t text_bytes, text_room, text_full;
};

struct spool_reader {
    const struct spool *spool;
    uint32_t next;
    uint8_t *buffer;
    size_t buffer_bytes;
    struct luma_vec *cols;
    struct luma_batch batch;
};

/* Should an operator that holds `mine` bytes write them out? Yes, when it has more than a third of
 * what it could have: those that come after it need some, too. */
bool eng_spill_due(const struct exec *x, size_t mine);
/* How much an operator of this execution may take now, for one of `parts` that do the same. */
size_t eng_spill_share(const struct exec *x, uint32_t parts);
void eng_spill_close(struct exec *x, struct spill *spill); /* counts what was written */
/* Written so far, to files that are closed, too. */
uint64_t eng_spill_bytes(const struct spill *spill);

void eng_spool_init(struct spool *s, struct spill *spill, struct luma_budget *budget,
                    const struct luma_type *types, uint32_t cols, uint32_t block_rows);
/* Rows sel[0..n) of vecs, of any form. */
luma_rc eng_spool_append(struct xenv *e, struct spool *s, const struct luma_vec *vecs,
                         const uint16_t *sel, uint32_t n, uint32_t vec_rows);
luma_rc eng_spool_flush(struct luma_ctx *ctx, struct spool *s); /* before it is read */
void eng_spool_settle(struct spool *s); /* flushed, no more rows come: gives its buffers back */
void eng_spool_fini(struct spool *s);
luma_rc eng_spool_read(struct luma_ctx *ctx, struct spool_reader *r, struct luma_arena *arena,
                       struct luma_batch **out); /* NULL: the end */
void eng_spool_reader_init(struct spool_reader *r, const struct spool *s);
void eng_spool_reader_fini(struct spool_reader *r);

static inline uint32_t
eng_spill_partition(uint64_t hash, uint32_t level)
{
    return (uint32_t)(hash >> (56 - 4 * level)) & (SPILL_FANOUT - 1);
}

/* One spool a partition. */
struct spools {
    struct spool of[SPILL_FANOUT];
};
void eng_spools_init(struct spools *s, struct spill *spill, struct luma_budget *budget,
                     const struct luma_type *types, uint32_t cols);
/* hashes[k] is of row sel[k]. */
luma_rc eng_spools_append(struct xenv *e, struct spools *s, const struct luma_vec *vecs,
                          const uint64_t *hashes, uint32_t level, const uint16_t *sel, uint32_t n,
                          uint32_t vec_rows);
luma_rc eng_spools_flush(struct luma_ctx *ctx, struct spools *s);
void eng_spools_fini(struct spools *s);

#endif
