/*
 * storage/segment/keep.c - segments that stay in memory: every chunk is read and keeps its pin.
 */
#include <stdlib.h>

#include "sched/sched.h"
#include "storage/segment/segment_priv.h"

void
lk_segment_set_trial(struct lk_segment *segment, bool trial)
{
    atomic_store_explicit(&segment->trial, trial, memory_order_relaxed);
}

static uint32_t
chunks_with_bytes(const struct lk_segment *segment, size_t *out_bytes)
{
    uint32_t count = 0;
    *out_bytes = 0;
    for (size_t i = 0; i < (size_t)segment->groups * segment->cols_all; i++) {
        const struct lki_chunk *chunk = &segment->chunks[i];
        if (!lki_chunk_has_bytes(chunk))
            continue;
        count++;
        *out_bytes += lk_cache_room_bytes(chunk->raw_bytes, lki_chunk_parsed_bytes(chunk));
    }
    return count;
}

size_t
lk_segment_memory(const struct lk_segment *segment)
{
    size_t bytes;
    (void)chunks_with_bytes(segment, &bytes);
    return bytes;
}

static luma_rc
chunks_pin(struct luma_ctx *ctx, struct lk_segment *segment, struct lk_segment_kept *kept)
{
    for (uint32_t g = 0; g < segment->groups; g++) {
        for (uint32_t i = 0; i < segment->cols_all; i++) {
            if (!lki_chunk_has_bytes(lki_segment_chunk(segment, g, i)))
                continue;
            LUMA_TRY(lki_segment_load(ctx, segment, g, i, &kept->blocks[kept->count]));
            kept->count++;
            if (lk_sched_host.in_task())
                LUMA_TRY(lk_sched_host.yield(ctx));
        }
    }
    return LUMA_OK;
}

luma_rc
lk_segment_keep(struct luma_ctx *ctx, struct lk_segment *segment, struct lk_segment_kept *kept)
{
    struct lk_segment_kept mine = {0};
    uint32_t count = chunks_with_bytes(segment, &mine.bytes);
    mine.blocks = calloc((size_t)count + 1, sizeof(struct lk_cache_block *));
    if (mine.blocks == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to keep a segment in memory");
    lk_cache_kept_add(lk_object_cache(segment->reader), mine.bytes);
    luma_rc rc = chunks_pin(ctx, segment, &mine);
    if (rc != LUMA_OK) {
        lk_segment_let_go(segment, &mine);
        return rc;
    }
    *kept = mine;
    return LUMA_OK;
}

void
lk_segment_let_go(struct lk_segment *segment, struct lk_segment_kept *kept)
{
    if (kept->blocks == NULL)
        return;
    struct lk_cache *cache = lk_object_cache(segment->reader);
    for (uint32_t i = 0; i < kept->count; i++)
        lk_cache_unpin(cache, kept->blocks[i]);
    lk_cache_kept_sub(cache, kept->bytes);
    free(kept->blocks);
    *kept = (struct lk_segment_kept){0};
}
